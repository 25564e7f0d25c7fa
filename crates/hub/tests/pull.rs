//! From an id to a folder: the cache and its layout, what is asked for, and what is not.

mod common;

use std::path::Path;

use albert_hub::{Error, Want};
use albert_testing::{HubRepository, HubServer, Reply};
use common::{
    COMMIT, NEEDED, NEXT, Place, Watch, file, id, is_whole, model, names, server, weights,
};

#[test]
fn a_model_comes_into_the_layout_of_the_cache() {
    let server = server(|_, reply| reply);
    let place = Place::new(&server);
    let pulled = place.pull().expect("a model");
    assert_eq!(pulled.folder, place.cached("snapshots").join(COMMIT));
    assert_eq!(
        (pulled.commit.as_str(), pulled.files),
        (COMMIT, NEEDED.map(str::to_owned).to_vec())
    );
    is_whole(&pulled.folder);
    let text = |name: &str| std::fs::read_to_string(place.cached(name)).expect(name);
    assert_eq!(
        text("refs/main"),
        COMMIT,
        "no line feed: Python compares it"
    );
    let expected: Vec<String> = model("albert/tiny")
        .files
        .iter()
        .filter(|file| NEEDED.contains(&file.name.as_str()))
        .map(|file| file.etag())
        .collect();
    let mut blobs = names(&place.cached("blobs"));
    assert_eq!(blobs.len(), expected.len());
    blobs.retain(|name| !expected.contains(name));
    assert_eq!(blobs, Vec::<String>::new());
    // What the repository lacks is known, so that nobody asks again.
    assert_eq!(
        names(&place.cached(".no_exist").join(COMMIT)),
        ["modules.json", "tokenizer.json", "vocab.txt"]
    );
    assert_eq!(
        names(&place.path("hf/hub")),
        [".locks", "CACHEDIR.TAG", "models--albert--tiny"]
    );
    #[cfg(unix)]
    for name in NEEDED {
        let target = std::fs::read_link(pulled.folder.join(name)).expect("a link");
        assert!(target.starts_with("../../blobs"), "{}", target.display());
    }
}

#[test]
fn a_complete_cache_asks_nobody() {
    let server = server(|_, reply| reply);
    let place = Place::new(&server);
    let folder = place.folder().expect("a model");
    assert!(!server.seen().is_empty());
    server.forget();
    assert_eq!(place.folder().expect("from the cache"), folder);
    assert_eq!(server.seen().len(), 0);
    // To pull is to ask, but nothing is brought twice.
    place.pull().expect("a model");
    let seen = server.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].target.contains("/revision/main"));
}

#[test]
fn a_new_commit_brings_what_changed() {
    let server = server(|_, reply| reply);
    let place = Place::new(&server);
    let old = place.pull().expect("a model");
    let mut next = model("albert/tiny");
    next.commit = NEXT.to_owned();
    next.files[2] = file("config.json", "{\"new\": true}", false);
    server.change(vec![next]);
    server.forget();
    assert_eq!(
        place.folder().expect("the old one"),
        old.folder,
        "the cache is enough"
    );
    let new = place.pull().expect("the new one");
    assert_eq!(new.commit, NEXT);
    assert_eq!(
        std::fs::read_to_string(new.folder.join("config.json")).expect("there"),
        "{\"new\": true}"
    );
    let bodies = server
        .seen()
        .into_iter()
        .filter(|request| request.method == "GET");
    let bodies: Vec<String> = bodies.map(|request| request.target).collect();
    assert_eq!(bodies.len(), 2, "the list and one file: {bodies:?}");
    is_whole(&old.folder);
    assert_eq!(place.folder().expect("the new one"), new.folder);
    // The old commit has a name of its own.
    let hub = place.hub();
    let by_commit = hub.folder(&id(), Some(COMMIT), Want::Model, &mut Watch::default());
    assert_eq!(by_commit.expect("cached"), old.folder);
}

#[test]
fn revisions_have_names_with_slashes() {
    let mut pr = model("albert/tiny");
    pr.revision = "refs/pr/1".to_owned();
    let server = HubServer::start(vec![pr]);
    let place = Place::new(&server);
    let hub = place.hub();
    let pulled = hub
        .pull(&id(), Some("refs/pr/1"), Want::Model, &mut Watch::default())
        .expect("a model");
    assert_eq!(
        std::fs::read_to_string(place.cached("refs/refs/pr/1")).expect("a ref"),
        COMMIT
    );
    assert_eq!(
        hub.folder(&id(), Some("refs/pr/1"), Want::Model, &mut Watch::default())
            .expect("cached"),
        pulled.folder
    );
    let asked = &server.seen()[0].target;
    assert!(asked.ends_with("/revision/refs%2Fpr%2F1"), "{asked}");
    let error = hub
        .pull(&id(), Some("v9"), Want::Model, &mut Watch::default())
        .expect_err("no such tag")
        .to_string();
    assert!(
        error.contains("albert/tiny has no revision \"v9\"") && error.contains("404"),
        "{error}"
    );
    for bad in ["../x", "/x", "a//b", ""] {
        let error = hub
            .pull(&id(), Some(bad), Want::Model, &mut Watch::default())
            .expect_err(bad);
        assert!(matches!(error, Error::Name { .. }), "{error}");
    }
}

#[test]
fn a_tokenizer_alone_brings_no_weights() {
    let server = server(|_, reply| reply);
    let place = Place::new(&server);
    let mut watch = Watch::default();
    place
        .hub()
        .folder(&id(), None, Want::Tokenizer, &mut watch)
        .expect("a tokenizer");
    assert_eq!(
        watch.files,
        ["spiece.model", "tokenizer_config.json", "config.json"]
    );
    server.forget();
    place
        .hub()
        .folder(&id(), None, Want::Tokenizer, &mut watch)
        .expect("cached");
    assert_eq!(server.seen().len(), 0);
    // The weights come when a model is wanted.
    is_whole(&place.folder().expect("a model"));
}

#[test]
fn shards_and_modules_are_whole() {
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let modules = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
    let repository = HubRepository {
        files: vec![
            file("config.json", "{}", false),
            file("model.safetensors.index.json", index, false),
            file("model-00001-of-00002.safetensors", "one", true),
            file("model-00002-of-00002.safetensors", "two", true),
            file("vocab.txt", "[PAD]\n", false),
            file("modules.json", modules, false),
            file(
                "1_Pooling/config.json",
                "{\"pooling_mode\": \"mean\"}",
                false,
            ),
        ],
        ..model("albert/tiny")
    };
    let server = HubServer::start(vec![repository]);
    let place = Place::new(&server);
    let pulled = place.pull().expect("a model");
    let expected = [
        "model.safetensors.index.json",
        "vocab.txt",
        "config.json",
        "modules.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "1_Pooling/config.json",
    ];
    assert_eq!(pulled.files, expected);
    for name in expected {
        assert!(pulled.folder.join(name).is_file(), "{name}");
    }
    #[cfg(unix)]
    assert!(
        std::fs::read_link(pulled.folder.join("1_Pooling/config.json"))
            .expect("a link")
            .starts_with("../../../blobs")
    );
    server.forget();
    place.folder().expect("cached");
    assert_eq!(server.seen().len(), 0);
    // Without one of the shards it is not complete any more.
    std::fs::remove_file(pulled.folder.join("model-00002-of-00002.safetensors")).expect("removed");
    place.folder().expect("brought again");
    assert!(
        server
            .seen()
            .iter()
            .any(|request| request.target.contains("model-00002-of"))
    );
}

#[test]
fn a_repository_without_a_model_is_named() {
    let names = |files: Vec<_>| {
        let server = HubServer::start(vec![HubRepository {
            files,
            ..model("albert/tiny")
        }]);
        let place = Place::new(&server);
        let error = place.pull().expect_err("no model").to_string();
        assert!(!place.cached("refs").exists());
        assert_eq!(server.seen().len(), 1, "nothing is brought of it");
        error
    };
    let error = names(vec![
        file("config.json", "{}", false),
        file("model.onnx", "x", true),
    ]);
    assert!(
        error.contains("has no weights (model.safetensors, ")
            && error.contains("found config.json, model.onnx"),
        "{error}"
    );
    let error = names(vec![file("model.safetensors", "x", true)]);
    assert!(
        error.contains("has no config.json: found model.safetensors"),
        "{error}"
    );
    let error = names(vec![]);
    assert!(error.contains("found no files"), "{error}");
}

#[test]
fn a_renamed_model_is_followed() {
    let server =
        server(
            |request, reply| match request.target.strip_prefix("/api/models/old/name/") {
                Some(rest) => {
                    Reply::status(307).with("Location", format!("/api/models/albert/tiny/{rest}"))
                }
                None => match request.target.strip_prefix("/old/name/") {
                    Some(rest) => {
                        Reply::status(307).with("Location", format!("/albert/tiny/{rest}"))
                    }
                    None => reply,
                },
            },
        );
    let place = Place::new(&server);
    let old = albert_hub::ModelId::parse("old/name").expect("an id");
    let folder = place
        .hub()
        .folder(&old, None, Want::Model, &mut Watch::default())
        .expect("a model");
    assert!(
        folder.starts_with(place.path("hf/hub/models--old--name")),
        "{}",
        folder.display()
    );
    is_whole(&folder);
}

#[test]
fn the_weights_of_the_tests_differ() {
    assert_ne!(weights(1), weights(2));
    assert!(!Path::new("albert").exists(), "no folder here is an id");
}

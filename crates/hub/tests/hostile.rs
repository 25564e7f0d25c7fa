//! Servers that refuse, lie or are none: what is said, who sees the token, and what is not written.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use albert_hub::{Error, Want};
use albert_testing::{HubServer, Reply};
use common::{Place, Watch, file, id, is_whole, model, names, server};

/// What is said when the list of files is refused.
fn refused(status: u16, code: &'static str, token: Option<&str>) -> String {
    let server = server(move |_, _| Reply::status(status).with("X-Error-Code", code));
    let mut place = Place::new(&server);
    if let Some(token) = token {
        place.set("HF_TOKEN", token);
    }
    let error = place.pull().expect_err("refused").to_string();
    assert_eq!(server.seen().len(), 1, "asked once");
    assert!(!error.contains("hf_secret"), "{error}");
    assert!(
        error.starts_with(&format!(
            "{}/api/models/albert/tiny/revision/main: the server answers {status}: ",
            server.endpoint()
        )),
        "{error}"
    );
    error
}

#[test]
fn refusals_say_what_to_do() {
    let token = Some("hf_secret");
    for (status, code, token, words) in [
        (
            401,
            "RepoNotFound",
            None,
            &[
                "no model albert/tiny that may be seen without a token",
                "typo",
                "HF_TOKEN or ",
                "token",
            ][..],
        ),
        (
            401,
            "RepoNotFound",
            token,
            &["with this token", "the token of HF_TOKEN must have access"],
        ),
        (401, "", None, &["no model albert/tiny", "put a token into"]),
        (401, "", token, &["does not accept the token of HF_TOKEN"]),
        (
            403,
            "GatedRepo",
            None,
            &[
                "access to albert/tiny must be granted",
                "/albert/tiny and accept",
                "put a token of that account",
            ],
        ),
        (
            403,
            "GatedRepo",
            token,
            &["must be granted", "is of the same account"],
        ),
        (
            401,
            "GatedRepo",
            None,
            &["access to albert/tiny must be granted"],
        ),
        (404, "RepoNotFound", None, &["no model albert/tiny", "typo"]),
        (
            404,
            "RevisionNotFound",
            None,
            &["no revision \"main\"", "a branch, a tag or a commit"],
        ),
        (404, "", None, &["check the id albert/tiny", "HF_ENDPOINT"]),
        (451, "", None, &["no reason is given"]),
    ] {
        let error = refused(status, code, token);
        for word in words {
            assert!(
                error.contains(word),
                "{status} {code}: {word:?} is not in {error}"
            );
        }
    }
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let server = server(|_, reply| reply);
    let mut place = Place::new(&server);
    place.set("HF_TOKEN", "hf_secret");
    // The host of the large files refuses a token, as the real one.
    is_whole(&place.pull().expect("a model").folder);
    for request in server.seen() {
        let expected = if request.storage {
            None
        } else {
            Some("Bearer hf_secret")
        };
        assert_eq!(request.header("authorization"), expected, "{request:?}");
        assert!(
            request
                .header("user-agent")
                .is_some_and(|agent| agent.starts_with("albert/"))
        );
    }
    // Another host that pretends to be the hub.
    let elsewhere = common::server(|_, reply| reply);
    let target = elsewhere.endpoint();
    let mirror = common::server(move |request, _| {
        Reply::status(307).with("Location", format!("{target}{}", request.target))
    });
    let mut place = Place::new(&mirror);
    place.set("HF_TOKEN", "hf_secret");
    is_whole(&place.pull().expect("a model").folder);
    assert!(
        elsewhere
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert!(
        mirror
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_some())
    );
}

#[test]
fn redirects_to_nowhere_are_refused() {
    for (location, words) in [
        ("file:///etc/passwd", "redirects to file:///etc/passwd"),
        ("ftp://h/x", "redirects to ftp://h/x"),
        ("http://user:word@127.0.0.1/", "with a user or password"),
        ("http://", "not an address"),
        ("", "more than ten times"),
    ] {
        let server = server(move |request, _| {
            Reply::status(302).with(
                "Location",
                if location.is_empty() {
                    request.target.clone()
                } else {
                    location.to_owned()
                },
            )
        });
        let place = Place::new(&server);
        let error = place.pull().expect_err(location);
        assert!(matches!(error, Error::Redirect { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains("HF_ENDPOINT"),
            "{text}"
        );
        assert!(server.seen().len() <= 11);
    }
}

#[test]
fn hostile_names_stay_inside() {
    // Names of the list that are not wanted are never used.
    let mut hostile = model("albert/tiny");
    hostile.files.insert(0, file("../../evil", "x", false));
    hostile.files.push(file("/etc/evil", "x", false));
    let server = HubServer::start(vec![hostile]);
    let place = Place::new(&server);
    is_whole(&place.pull().expect("a model").folder);
    assert!(!place.path("evil").exists() && !place.path("hf/evil").exists());
    // Names that an index or modules.json asks for are.
    let index = r#"{"weight_map": {"a": "../../../../../evil.safetensors"}}"#;
    let modules = r#"[{"path": "../../../../evil", "type": "x"}]"#;
    for (name, text) in [
        ("model.safetensors.index.json", index),
        ("modules.json", modules),
    ] {
        let mut hostile = model("albert/tiny");
        hostile
            .files
            .retain(|file| !file.large || name == "modules.json");
        hostile.files.push(file(name, text, false));
        hostile
            .files
            .push(file("../../../../../evil.safetensors", "x", true));
        let server = HubServer::start(vec![hostile]);
        let place = Place::new(&server);
        for error in [
            place.pull().expect_err(name),
            place.pull_into("to").expect_err(name),
        ] {
            assert!(
                error.to_string().contains("is not valid: it names the f"),
                "{error}"
            );
        }
        assert!(!place.path("evil").exists() && !place.path("evil.safetensors").exists());
    }
    // Etags and commits become names of files.
    for etag in ["../../evil", "..", "a/b", ""] {
        let server = common::server(move |request, mut reply| {
            if request.method == "HEAD" {
                let kept = |(name, _): &(&str, String)| !["ETag", "X-Linked-Etag"].contains(name);
                reply.headers.retain(kept);
                reply.headers.push(("ETag", format!("\"{etag}\"")));
            }
            reply
        });
        let place = Place::new(&server);
        is_whole(&place.pull().expect("a model").folder);
        let blobs = names(&place.cached("blobs"));
        assert_eq!(blobs.len(), 4, "{blobs:?}");
        assert!(
            blobs.iter().all(|name| name.starts_with("etag-")),
            "{blobs:?}"
        );
        assert!(!place.cached("evil").exists() && !place.path("hf/evil").exists());
    }
    let server = common::server(|_, mut reply| {
        reply
            .headers
            .retain(|(name, _)| !["ETag", "X-Linked-Etag"].contains(name));
        reply
    });
    let error = Place::new(&server).pull().expect_err("no etag").to_string();
    assert!(error.contains("expected an ETag"), "{error}");
    for commit in ["../../evil", "main", ""] {
        let mut hostile = model("albert/tiny");
        hostile.commit = commit.to_owned();
        let error = Place::new(&HubServer::start(vec![hostile]))
            .pull()
            .expect_err(commit)
            .to_string();
        assert!(error.contains("expected the name of a commit"), "{error}");
    }
}

#[test]
fn answers_that_are_no_hubs_are_refused() {
    for body in [
        "<html>Log in to the network</html>",
        "{}",
        "[]",
        "{\"sha\": 7, \"siblings\": []}",
    ] {
        let server = server(move |_, _| Reply::body(body));
        let error = Place::new(&server).pull().expect_err(body).to_string();
        assert!(
            error.contains("in JSON, found something else") && error.contains("HF_ENDPOINT"),
            "{error}"
        );
    }
    let server = server(|_, _| Reply::body(vec![b' '; 33 << 20]));
    let error = Place::new(&server).pull().expect_err("endless").to_string();
    assert!(error.contains("expected an answer of at most"), "{error}");
}

#[test]
fn mirrors_without_checksums_are_told() {
    let server = server(|request, mut reply| {
        for (name, value) in &mut reply.headers {
            if *name == "ETag" && !request.storage {
                *value = "W/\"some-thing.1\"".to_owned();
            }
        }
        reply
    });
    let place = Place::new(&server);
    let mut watch = Watch::default();
    let pulled = place
        .hub()
        .pull(&id(), None, Want::Model, &mut watch)
        .expect("a model");
    assert!(pulled.folder.join("config.json").exists());
    assert!(
        watch
            .notes
            .iter()
            .any(|note| note.starts_with("config.json: the server gives no checksum")),
        "{:?}",
        watch.notes
    );
}

#[test]
fn proxies_are_used_and_loopback_is_not() {
    // A proxy that is not there: an address of this machine is asked directly.
    let server = server(|_, reply| reply);
    let mut place = Place::new(&server);
    place.set("HTTP_PROXY", "http://127.0.0.1:9");
    place.set("ALL_PROXY", "http://127.0.0.1:9");
    is_whole(&place.pull().expect("a model").folder);
    // A host that nobody knows is asked for through the proxy, which says no.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let proxy = HubServer::twisted(Vec::new(), move |request, _| {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("CONNECT", "hub.invalid:443")
        );
        count.fetch_add(1, Ordering::SeqCst);
        Reply::status(407)
    });
    let mut place = Place::new(&server);
    place.set("HF_ENDPOINT", "https://hub.invalid");
    place.set("HTTPS_PROXY", &proxy.endpoint());
    let error = place.pull().expect_err("no").to_string();
    assert!(asked.load(Ordering::SeqCst) >= 1, "{error}");
    assert!(
        error.contains("407") && error.contains("HTTPS_PROXY"),
        "{error}"
    );
    place.set("NO_PROXY", ".invalid");
    let before = asked.load(Ordering::SeqCst);
    let error = place.pull().expect_err("no such host").to_string();
    assert_eq!(asked.load(Ordering::SeqCst), before);
    assert!(error.contains("hub.invalid"), "{error}");
}

//! Without a network, without links, into a folder, and all at once.

mod common;

use albert_hub::Want;
use albert_testing::{HubRequest, Manner, Reply};
use common::{NEEDED, Place, Watch, id, is_weights, is_whole, names, server};

#[test]
fn offline_the_cache_is_all() {
    let server = server(|_, reply| reply);
    let mut place = Place::new(&server);
    place.set("HF_HUB_OFFLINE", "1");
    let error = place.folder().expect_err("an empty cache").to_string();
    assert!(
        error.contains("albert/tiny: not complete in the cache")
            && error.contains("HF_HUB_OFFLINE forbids to ask"),
        "{error}"
    );
    assert_eq!(server.seen().len(), 0);
    place.set("HF_HUB_OFFLINE", "0");
    let folder = place.pull().expect("a model").folder;
    server.forget();
    place.set("HF_HUB_OFFLINE", "1");
    assert_eq!(place.folder().expect("cached"), folder);
    let mut watch = Watch::default();
    let pulled = place
        .hub()
        .pull(&id(), None, Want::Model, &mut watch)
        .expect("cached");
    assert_eq!(pulled.folder, folder);
    assert_eq!(watch.notes.len(), 1, "{:?}", watch.notes);
    assert!(
        watch.notes[0].contains("HF_HUB_OFFLINE is set"),
        "{:?}",
        watch.notes
    );
    is_whole(&place.pull_into("copy").expect("a copy").folder);
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn what_python_downloaded_in_part_is_used_when_nobody_can_be_asked() {
    let server = server(|_, reply| reply);
    let mut place = Place::new(&server);
    let pulled = place.pull().expect("a model");
    // As `AutoModel.from_pretrained` leaves it: no tokenizer, nothing known about other files.
    std::fs::remove_dir_all(place.cached(".no_exist")).expect("removed");
    std::fs::remove_file(pulled.folder.join("spiece.model")).expect("removed");
    place.set("HF_HUB_OFFLINE", "1");
    let mut watch = Watch::default();
    let folder = place
        .hub()
        .folder(&id(), None, Want::Model, &mut watch)
        .expect("usable");
    assert_eq!(folder, pulled.folder);
    assert_eq!(watch.notes.len(), 1);
    place.set("HF_HUB_OFFLINE", "0");
    server.forget();
    place.folder().expect("completed");
    let bodies = server
        .seen()
        .iter()
        .filter(|request| request.storage)
        .count();
    assert_eq!(bodies, 0, "blobs are not brought twice");
    assert!(pulled.folder.join("spiece.model").is_file());
}

#[test]
fn a_server_that_is_away_is_told_and_the_cache_used() {
    let server = server(|_, reply| reply);
    let place = Place::new(&server);
    let pulled = place.pull().expect("a model");
    drop(server);
    let mut watch = Watch::default();
    assert_eq!(place.folder().expect("cached"), pulled.folder);
    let again = place
        .hub()
        .pull(&id(), None, Want::Model, &mut watch)
        .expect("cached");
    assert_eq!(again.folder, pulled.folder);
    assert!(
        watch.notes[0].contains("since the server cannot be asked: http://127.0.0.1"),
        "{:?}",
        watch.notes
    );
    std::fs::remove_dir_all(place.path("hf")).expect("removed");
    let error = place.pull().expect_err("nothing").to_string();
    assert!(
        error.contains("4 attempts") && error.contains("check the network"),
        "{error}"
    );
}

#[test]
fn without_links_files_stand_in_the_snapshot() {
    let server = server(|_, reply| reply);
    let mut place = Place::new(&server);
    place.set("HF_HUB_DISABLE_SYMLINKS", "1");
    let pulled = place.pull().expect("a model");
    is_whole(&pulled.folder);
    assert!(
        NEEDED
            .iter()
            .all(|name| !pulled.folder.join(name).is_symlink())
    );
    assert_eq!(names(&place.cached("blobs")), Vec::<String>::new());
    // A cache with links serves too, and its blobs are copied.
    place.set(
        "HF_HOME",
        place
            .path("other")
            .to_str()
            .expect("UTF-8")
            .to_owned()
            .as_str(),
    );
    place.set("HF_HUB_DISABLE_SYMLINKS", "0");
    let linked = place.pull().expect("a model").folder;
    std::fs::remove_dir_all(&linked).expect("removed");
    place.set("HF_HUB_DISABLE_SYMLINKS", "1");
    let copied = place.pull().expect("a model").folder;
    is_whole(&copied);
    assert!(!copied.join("config.json").is_symlink());
}

#[test]
fn a_folder_gets_plain_files_and_keeps_what_is_not_ours() {
    let server = server(|_, reply| reply);
    let place = Place::new(&server);
    let pulled = place.pull_into("to/here").expect("a model");
    assert_eq!(pulled.folder, place.path("to/here"));
    is_whole(&pulled.folder);
    let mut sorted = NEEDED.to_vec();
    sorted.sort_unstable();
    assert_eq!(names(&pulled.folder), sorted, "no partial files, no locks");
    assert!(!place.path("hf").exists(), "the cache is not written");
    server.forget();
    place.pull_into("to/here").expect("the same again");
    assert!(
        server.seen().iter().all(|request| !request.storage),
        "nothing is brought twice"
    );
    std::fs::write(pulled.folder.join("config.json"), "mine").expect("written");
    let error = place
        .pull_into("to/here")
        .expect_err("another file")
        .to_string();
    assert!(
        error.contains("config.json: it is there already and differs"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_to_string(pulled.folder.join("config.json")).expect("there"),
        "mine"
    );
    // What the cache has is copied.
    place.pull().expect("a model");
    server.forget();
    is_whole(&place.pull_into("two").expect("a copy").folder);
    assert!(server.seen().iter().all(|request| !request.storage));
}

#[test]
fn two_at_once_do_not_harm_each_other() {
    let slow = |request: &HubRequest, reply: Reply| match request.method.as_str() {
        "GET" if request.storage => {
            reply.sent(Manner::Slow(1 << 19, std::time::Duration::from_millis(20)))
        }
        _ => reply,
    };
    let server = server(slow);
    let place = Place::new(&server);
    let run = |to: Option<&str>| match to {
        None => place.pull().expect("a model"),
        Some(to) => place.pull_into(to).expect("a model"),
    };
    std::thread::scope(|scope| {
        let both = [None, None, None, Some("x"), Some("x")].map(|to| scope.spawn(move || run(to)));
        for one in both {
            is_whole(&one.join().expect("no panic").folder);
        }
    });
    let gets = server
        .seen()
        .iter()
        .filter(|request| is_weights(request))
        .count();
    assert!(
        (1..=2).contains(&gets),
        "once for the cache, at most once for the folder: {gets}"
    );
    let left: Vec<String> = [place.cached("blobs"), place.path("x")]
        .iter()
        .flat_map(|folder| names(folder))
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.ends_with(".incomplete") && !name.ends_with(".lock")),
        "{left:?}"
    );
}

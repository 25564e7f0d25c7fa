//! Servers that are slow, broken, wrong or hostile: what is kept, what is said, and what is not done.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use albert_hub::{Error, Want};
use albert_testing::{HubRequest, HubServer, Manner, Reply};
use common::{
    COMMIT, Place, WEIGHTS, Watch, file, id, is_weights, is_whole, model, names, server, weights,
};

/// A server whose first `times` answers to requests for the weights are changed.
fn at_first(
    times: usize,
    change: impl Fn(&HubRequest, Reply) -> Reply + Send + Sync + 'static,
) -> HubServer {
    let count = AtomicUsize::new(0);
    server(move |request, reply| {
        if is_weights(request) && count.fetch_add(1, Ordering::SeqCst) < times {
            return change(request, reply);
        }
        reply
    })
}

/// What was asked for the weights: the ranges.
fn ranges(server: &HubServer) -> Vec<String> {
    let seen = server.seen();
    let asked = seen.iter().filter(|request| is_weights(request));
    asked
        .map(|request| request.header("range").unwrap_or("all").to_owned())
        .collect()
}

/// Nothing of the weights is in the cache.
#[track_caller]
fn nothing_is_kept(place: &Place) {
    let etag = file("", weights(1), true).etag();
    let kept: Vec<String> = names(&place.cached("blobs"))
        .into_iter()
        .filter(|name| name.starts_with(&etag))
        .collect();
    assert_eq!(kept, Vec::<String>::new());
    assert!(
        !place
            .cached("snapshots")
            .join(COMMIT)
            .join("model.safetensors")
            .exists()
    );
    assert!(!place.cached("refs/main").exists());
}

#[test]
fn a_slow_server_is_waited_for() {
    let server = at_first(1, |_, reply| {
        reply.sent(Manner::Slow(1 << 18, Duration::from_millis(100)))
    });
    let place = Place::new(&server);
    is_whole(&place.pull().expect("a model").folder);
    assert_eq!(ranges(&server), ["all"]);
}

#[test]
fn a_broken_connection_is_gone_on_from() {
    let server = at_first(2, |request, reply| match request.header("range") {
        None => reply.sent(Manner::Cut(1_000_000)),
        Some(_) => reply.sent(Manner::Cut(500_000)),
    });
    let place = Place::new(&server);
    is_whole(&place.pull().expect("a model").folder);
    let ranges = ranges(&server);
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert_eq!(ranges[1..], ["bytes=1000000-", "bytes=1500000-"]);
}

#[test]
fn a_later_run_goes_on() {
    let server = at_first(usize::MAX, |_, reply| reply.sent(Manner::Cut(400_000)));
    let place = Place::new(&server);
    let error = place.pull().expect_err("broken each time").to_string();
    assert!(
        error.contains("the connection ended after") || error.contains("Peer disconnected"),
        "{error}"
    );
    assert!(error.contains("/albert/tiny/resolve/"), "{error}");
    assert!(
        error.contains("attempts") && error.contains("the next run goes on from there"),
        "{error}"
    );
    let partial = place
        .cached("blobs")
        .join(format!("{}.incomplete", file("", weights(1), true).etag()));
    let kept = partial.metadata().expect("kept").len();
    assert_eq!(kept, 4 * 400_000, "four attempts, each goes on");
    let good = common::server(|_, reply| reply);
    let mut place = place;
    place.set("HF_ENDPOINT", &good.endpoint());
    let mut watch = Watch::default();
    let pulled = place
        .hub()
        .pull(&id(), None, Want::Model, &mut watch)
        .expect("the rest");
    is_whole(&pulled.folder);
    assert_eq!(ranges(&good), [format!("bytes={kept}-")]);
    assert_eq!(watch.starts[0], kept, "progress counts what was there");
    assert!(!partial.exists());
}

#[test]
fn a_partial_file_with_wrong_bytes_is_begun_anew() {
    let server = server(|_, reply| reply);
    let place = Place::new(&server);
    let etag = file("", weights(1), true).etag();
    std::fs::create_dir_all(place.cached("blobs")).expect("a folder");
    let partial = place.cached("blobs").join(format!("{etag}.incomplete"));
    for garbage in [
        vec![7; 1000],
        vec![7; WEIGHTS],
        vec![7; WEIGHTS + 1],
        Vec::new(),
    ] {
        std::fs::write(&partial, &garbage).expect("written");
        let pulled = place.pull().expect("a model");
        is_whole(&pulled.folder);
        assert!(!partial.exists());
        std::fs::remove_dir_all(place.cached("snapshots")).expect("removed");
        std::fs::remove_file(place.cached("blobs").join(&etag)).expect("removed");
    }
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let server = at_first(usize::MAX, |request, _| match request.header("range") {
        None => Reply::body(weights(1)).sent(Manner::Cut(1_000_000)),
        Some(_) => Reply::body(weights(1)),
    });
    let place = Place::new(&server);
    is_whole(&place.pull().expect("a model").folder);
    assert_eq!(ranges(&server), ["all", "bytes=1000000-"]);
}

#[test]
fn another_part_than_asked_for_is_refused() {
    let server = at_first(usize::MAX, |request, reply| match request.header("range") {
        None => reply.sent(Manner::Cut(1_000_000)),
        Some(_) => Reply {
            status: 206,
            ..Reply::body(&weights(1)[5..])
        }
        .with(
            "Content-Range",
            format!("bytes 5-{}/{WEIGHTS}", WEIGHTS - 1),
        ),
    });
    let place = Place::new(&server);
    let error = place.pull().expect_err("another part").to_string();
    assert!(
        error.contains("the part \"bytes 5-") && error.contains("from byte 1000000 on"),
        "{error}"
    );
    nothing_is_kept(&place);
}

#[test]
fn wrong_bytes_are_not_kept() {
    let server = at_first(usize::MAX, |_, _| Reply::body(weights(9)));
    let place = Place::new(&server);
    let error = place.pull().expect_err("wrong bytes");
    assert!(
        matches!(
            error,
            Error::Checksum {
                kind: "SHA-256",
                ..
            }
        ),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&file("", weights(1), true).etag())
            && text.contains(&file("", weights(9), true).etag()),
        "{text}"
    );
    nothing_is_kept(&place);
    // Small files have git's checksum.
    let server = common::server(|request, reply| match request.method.as_str() {
        "GET" if request.target.ends_with("/config.json") => Reply {
            body: b"{\"model_type\": \"bertal\"}\n".to_vec(),
            ..reply
        },
        _ => reply,
    });
    let place = Place::new(&server);
    let error = place.pull().expect_err("wrong bytes");
    assert!(
        matches!(
            error,
            Error::Checksum {
                kind: "git blob SHA-1",
                ..
            }
        ),
        "{error}"
    );
    assert!(
        !place
            .cached("snapshots")
            .join(COMMIT)
            .join("config.json")
            .exists()
    );
    let error = place.pull_into("to").expect_err("wrong bytes");
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    assert!(
        !names(&place.path("to"))
            .iter()
            .any(|name| name == "config.json" || name.ends_with(".incomplete"))
    );
}

#[test]
fn more_or_fewer_bytes_than_announced_are_refused() {
    // A length that is not the announced one.
    for bytes in [WEIGHTS - 1, WEIGHTS + 1] {
        let server = at_first(usize::MAX, move |_, _| Reply::body(vec![1; bytes]));
        let place = Place::new(&server);
        let error = place.pull().expect_err("another length").to_string();
        assert!(
            error.contains(&format!("expected {WEIGHTS} bytes"))
                && error.contains(&format!("found {bytes} bytes")),
            "{error}"
        );
        nothing_is_kept(&place);
    }
    // A body without a length that does not end.
    let server = at_first(usize::MAX, |_, _| {
        Reply::body(chunked(&vec![1; WEIGHTS + 100_000])).with("Transfer-Encoding", "chunked")
    });
    let place = Place::new(&server);
    let error = place.pull().expect_err("no end").to_string();
    assert!(
        error.contains(&format!(
            "expected {WEIGHTS} bytes, as announced, found more"
        )),
        "{error}"
    );
    nothing_is_kept(&place);
    // A length that is longer than the body: the connection ends early, each time.
    let server = at_first(usize::MAX, |_, reply| {
        Reply {
            body: reply.body[..1000].to_vec(),
            ..Reply::status(200)
        }
        .with("Content-Length", WEIGHTS)
        .sent(Manner::Cut(1000))
    });
    let place = Place::new(&server);
    let error = place.pull().expect_err("too short");
    assert!(
        matches!(error, Error::Network { attempts: 4, .. }),
        "{error}"
    );
}

fn chunked(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n0\r\n\r\n");
    out
}

#[test]
fn a_body_in_chunks_is_read() {
    let server = at_first(usize::MAX, |_, reply| {
        Reply {
            body: chunked(&reply.body),
            ..reply
        }
        .with("Transfer-Encoding", "chunked")
    });
    let place = Place::new(&server);
    is_whole(&place.pull().expect("a model").folder);
}

#[test]
fn silence_is_not_waited_for_without_end() {
    let server = at_first(usize::MAX, |_, reply| {
        reply.sent(Manner::Hang(Duration::from_secs(5)))
    });
    let place = Place::new(&server);
    let start = Instant::now();
    let error = place.pull().expect_err("silence").to_string();
    assert!(
        error.contains("no answer in time") && error.contains("4 attempts"),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    // Silence in the middle of a file.
    let server = at_first(1, |_, reply| {
        reply.sent(Manner::Slow(1_000_000, Duration::from_secs(3)))
    });
    let place = Place::new(&server);
    is_whole(&place.pull().expect("a model").folder);
    let ranges = ranges(&server);
    assert!(
        ranges.len() == 2 && ranges[1].starts_with("bytes="),
        "{ranges:?}"
    );
}

#[test]
fn busy_servers_are_asked_again_when_they_say() {
    for status in [429, 503, 500, 502, 504, 408] {
        let server = at_first(2, move |_, _| Reply::status(status).with("Retry-After", 0));
        let place = Place::new(&server);
        is_whole(&place.pull().expect("a model").folder);
        assert_eq!(ranges(&server).len(), 3, "{status}");
    }
    let server = at_first(1, |_, _| Reply::status(429).with("Retry-After", 1));
    let place = Place::new(&server);
    let start = Instant::now();
    is_whole(&place.pull().expect("a model").folder);
    assert!(start.elapsed() >= Duration::from_secs(1));
    // Longer than anyone waits: it says so at once.
    let server = at_first(usize::MAX, |_, _| {
        Reply::status(429).with("Retry-After", 3600)
    });
    let place = Place::new(&server);
    let error = place.pull().expect_err("busy").to_string();
    assert!(
        error.contains("429") && error.contains("wait 3600 seconds"),
        "{error}"
    );
    assert_eq!(ranges(&server).len(), 1);
    // Always busy: four attempts.
    let server = at_first(usize::MAX, |_, _| Reply::status(503));
    let place = Place::new(&server);
    let error = place.pull().expect_err("busy").to_string();
    assert!(
        error.contains("503") && error.contains("a problem of its own"),
        "{error}"
    );
    assert_eq!(ranges(&server).len(), 4);
}

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

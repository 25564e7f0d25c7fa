//! Servers that are slow, broken, wrong or hostile: what is kept, what is said, and what is not done.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use albert_hub::{Error, Want};
use albert_testing::{HubRequest, HubServer, Manner, Reply};
use common::{
    COMMIT, Place, WEIGHTS, Watch, file, id, is_weights, is_whole, names, server, weights,
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

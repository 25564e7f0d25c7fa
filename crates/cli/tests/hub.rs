//! Models by id: every verb takes them, `albert pull` brings them, and a path stays a path.

mod common;

use std::process::{Command, Stdio};

use albert_testing::{HubRepository, HubServer, Manner, Reply};
use common::{Home, fixtures};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A model of the hub with the files of a folder of `fixtures/`.
fn repository(id: &str, folder: &str) -> HubRepository {
    HubRepository::of_folder(id, COMMIT, &fixtures().join(folder))
}

fn demo() -> HubServer {
    HubServer::start(vec![repository("albert/demo", "demo")])
}

/// The program in a folder, with a cache in it and a server.
fn command(home: &Home, server: &HubServer, arguments: &str) -> Command {
    let mut command = home.command(arguments);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("HF_")
            || name.starts_with("HUGGING")
            || name.to_lowercase().ends_with("_proxy")
        {
            command.env_remove(name);
        }
    }
    command
        .env_remove("TRANSFORMERS_OFFLINE")
        .env("HF_HOME", home.path("hf"))
        .env("HF_ENDPOINT", server.endpoint())
        .env("HF_HUB_DOWNLOAD_TIMEOUT", "2");
    command
}

/// Exit code, stdout and stderr.
fn run(home: &Home, server: &HubServer, arguments: &str) -> (Option<i32>, String, String) {
    let output = command(home, server, arguments)
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[track_caller]
fn done(home: &Home, server: &HubServer, arguments: &str) -> (String, String) {
    let (code, out, err) = run(home, server, arguments);
    assert_eq!(code, Some(0), "{arguments}\n{out}{err}");
    (out, err)
}

#[track_caller]
fn refused(home: &Home, server: &HubServer, arguments: &str, words: &[&str]) {
    let (code, out, err) = run(home, server, arguments);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments}\n{err}");
    for word in words {
        assert!(
            err.contains("error: ") && err.contains(word),
            "{arguments}: {word:?} is not in\n{err}"
        );
    }
}

#[test]
fn verbs_take_ids_and_answer_as_with_the_folder() {
    let (home, server) = (Home::empty(), demo());
    for verb in [
        "fill-mask the_[MASK] --json --model",
        "embed the_river --model",
        "features the_river --model",
        "tokenize the_river --model",
        "decode 2 --model",
        "inspect",
        "bench forward --seq 8 --iterations 1 --json --model",
    ] {
        let (by_id, _) = done(&home, &server, &format!("{verb} albert/demo"));
        let (by_path, err) = done(&home, &server, &format!("{verb} fixtures/demo"));
        assert_eq!(err, "", "{verb}: a path asks nobody");
        if !verb.starts_with("bench") {
            assert_eq!(by_id, by_path, "{verb}");
        }
    }
    let bodies = server
        .seen()
        .iter()
        .filter(|request| request.storage)
        .count();
    assert_eq!(bodies, 1, "the weights came once");
    // The same with the network forbidden, and with the revision at both places.
    for arguments in [
        "inspect albert/demo@main",
        &format!("inspect hf:albert/demo@{COMMIT}"),
        "tokenize the --model albert/demo --revision main",
        "fill-mask the_[MASK] --model albert/demo --model_revision main",
    ] {
        let output = command(&home, &server, arguments)
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .expect("the program starts");
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_download_is_told_once_and_quiet_is_quiet() {
    let (home, server) = (Home::empty(), demo());
    let (_, err) = done(&home, &server, "fill-mask the_[MASK] --model albert/demo");
    assert_eq!(
        err,
        format!("note: downloading albert/demo from {}\n", server.endpoint()),
        "no bar without a terminal"
    );
    let (_, err) = done(&home, &server, "fill-mask the_[MASK] --model albert/demo");
    assert_eq!(err, "");
    let (_, err) = done(
        &Home::empty(),
        &server,
        "fill-mask the_[MASK] --model albert/demo --quiet",
    );
    assert_eq!(err, "");
}

#[test]
fn pull_prints_the_folder() {
    let (home, server) = (Home::empty(), demo());
    let (out, _) = done(&home, &server, "pull albert/demo");
    let folder = home
        .path("hf/hub/models--albert--demo/snapshots")
        .join(COMMIT);
    assert_eq!(out, format!("{}\n", folder.display()));
    let (out, err) = done(&home, &server, "pull hf:albert/demo@main --json --verbose");
    assert_eq!(err, format!("albert/demo at commit {COMMIT}\n"));
    let line: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(line["commit"], COMMIT);
    assert_eq!(
        line["files"],
        serde_json::json!(["model.safetensors", "tokenizer.json", "config.json"])
    );
    done(&home, &server, "pull albert/demo --to here");
    assert_eq!(
        home.names("here"),
        ["config.json", "model.safetensors", "tokenizer.json"]
    );
    done(&home, &server, "pull albert/demo --to words --tokenizer");
    assert_eq!(home.names("words"), ["config.json", "tokenizer.json"]);
    // What the folder holds works without a server.
    let offline = |arguments: &str| home.done(arguments);
    offline("fill-mask the_[MASK] --model here");
    assert_eq!(home.json("here/config.json")["model_type"], "albert");
    home.file("here/config.json", "mine");
    refused(
        &home,
        &server,
        "pull albert/demo --to here",
        &["config.json: it is there already and differs"],
    );
    assert_eq!(home.read("here/config.json"), "mine");
}

#[test]
fn paths_are_paths() {
    let (home, server) = (Home::empty(), demo());
    std::fs::create_dir(home.path("models")).expect("a folder");
    for (given, words) in [
        ("./no", &["./no: no such file or folder"][..]),
        (
            "no/such/folder",
            &["no/such/folder: no such file or folder"],
        ),
        ("/no/such", &["/no/such: no such file or folder"]),
        (
            "albert-base-v2",
            &[
                "albert-base-v2: no such file or folder",
                "albert/albert-base-v2",
            ],
        ),
        (
            "models/demo",
            &[
                "no such file or folder in the folder models here",
                "hf:models/demo",
            ],
        ),
        ("../a/b", &["../a/b: no such file or folder"]),
    ] {
        for verb in [
            "fill-mask the_[MASK] --model",
            "tokenize the --model",
            "inspect",
        ] {
            refused(&home, &server, &format!("{verb} {given}"), words);
        }
        refused(&home, &server, &format!("quantize {given} none"), words);
    }
    assert_eq!(server.seen().len(), 0, "nobody was asked");
    home.refused("inspect ./no", 1, &["./no: no such file or folder"]);
    // A folder of the name of an id is meant.
    let fixture = fixtures().join("demo");
    std::fs::create_dir_all(home.path("albert/demo")).expect("a folder");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(fixture.join(name), home.path("albert/demo").join(name)).expect("copied");
    }
    done(&home, &server, "inspect albert/demo");
    assert_eq!(server.seen().len(), 0);
    done(&home, &server, "inspect hf:albert/demo");
    assert!(!server.seen().is_empty(), "the prefix means the hub");
    refused(
        &home,
        &server,
        "fill-mask x --model albert/demo --revision main",
        &["--revision: expected a model of the hub"],
    );
    refused(
        &home,
        &server,
        "tokenize x --model hf:albert/demo@main --revision main",
        &["two revisions"],
    );
    refused(
        &home,
        &server,
        "pull a/b/c",
        &["a/b/c", "expected the id of a model"],
    );
}

#[test]
fn refusals_name_what_was_asked() {
    let (home, server) = (Home::empty(), demo());
    refused(
        &home,
        &server,
        "fill-mask x --model albert/dmeo",
        &[
            "albert/dmeo is no path here",
            "no model albert/dmeo that may be seen without a token",
            "401",
        ],
    );
    refused(
        &home,
        &server,
        "inspect albert/demo@v7",
        &["has no revision \"v7\""],
    );
    refused(
        &home,
        &server,
        "pull albert/demo --revision v7",
        &["has no revision \"v7\""],
    );
    assert!(
        !home.path("hf").exists(),
        "nothing is made for what is not there"
    );
    let output = command(&home, &server, "pull albert/demo")
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("the program starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && err.contains("HF_HUB_OFFLINE forbids to ask"),
        "{err}"
    );
}

/// As a power cut or Ctrl-C leaves it.
#[cfg(unix)]
#[test]
fn a_killed_download_is_gone_on_from() {
    let mut large = repository("albert/demo", "demo");
    for file in &mut large.files {
        if file.large {
            file.bytes = (0..4_000_000_u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect();
        }
    }
    let length = 4_000_000;
    let slow = HubServer::twisted(vec![large.clone()], |request, reply| {
        match request.storage {
            true => reply.sent(Manner::Slow(200_000, std::time::Duration::from_millis(50))),
            false => reply,
        }
    });
    let home = Home::empty();
    let mut child = command(&home, &slow, "pull albert/demo")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let blobs = home.path("hf/hub/models--albert--demo/blobs");
    let partial = || {
        let entries = std::fs::read_dir(&blobs).into_iter().flatten().flatten();
        let mut sizes =
            entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".incomplete"));
        sizes
            .find_map(|entry| entry.metadata().ok())
            .map_or(0, |metadata| metadata.len())
    };
    while partial() < 500_000 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it ended too early"
        );
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    let kept = partial();
    assert!((500_000..length).contains(&kept), "{kept}");
    assert!(!home.path("hf/hub/models--albert--demo/refs/main").exists());
    let good = HubServer::start(vec![large]);
    done(&home, &good, "pull albert/demo");
    let asked = good
        .seen()
        .into_iter()
        .find(|request| request.is_get("") && request.storage)
        .expect("the rest");
    assert_eq!(
        asked.header("range"),
        Some(format!("bytes={kept}-").as_str())
    );
    assert_eq!(partial(), 0);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let server = HubServer::twisted(
        vec![repository("albert/demo", "demo")],
        |request, mut reply| {
            if request.storage {
                reply.body[100] ^= 1;
            }
            reply
        },
    );
    let home = Home::empty();
    refused(
        &home,
        &server,
        "pull albert/demo",
        &["wrong SHA-256: expected ", "nothing is kept"],
    );
    refused(
        &home,
        &server,
        "pull albert/demo --to here",
        &["wrong SHA-256: expected "],
    );
    assert_eq!(home.names("here"), Vec::<String>::new());
    assert_eq!(
        home.names("hf/hub/models--albert--demo/blobs"),
        Vec::<String>::new()
    );
}

#[test]
fn training_names_the_model_it_began_from() {
    let (home, server) = (
        Home::empty(),
        HubServer::start(vec![repository("org/three", "pipelines/models/three")]),
    );
    home.file(
        "train.csv",
        "text,label\na good book,good\na bad book,bad\nan old book,old\n",
    );
    let arguments = "finetune classification --model org/three --train-file train.csv --output out --max-steps 1 --batch-size 2 --quiet";
    done(&home, &server, arguments);
    let card = home.read("out/README.md");
    assert!(card.contains("base_model: \"org/three\""), "{card}");
    // A server that refuses everything: the cache is enough.
    let busy = HubServer::twisted(Vec::new(), |_, _| Reply::status(503));
    done(&home, &busy, "inspect org/three");
}

#[test]
fn doctor_shows_where_models_come_from_and_no_secret() {
    let (home, server) = (Home::empty(), demo());
    let output = command(&home, &server, "doctor --json")
        .env("HF_TOKEN", "hf_secret")
        .output()
        .expect("the program starts");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    let found: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let expected = serde_json::json!({
        "cache": home.path("hf/hub"), "server": server.endpoint(), "offline": false, "token": true,
    });
    assert_eq!(found["hub"], expected);
    assert!(!out.contains("secret"));
    assert_eq!(server.seen().len(), 0);
    let output = command(&home, &server, "doctor")
        .env("HF_ENDPOINT", "nowhere")
        .output()
        .expect("the program starts");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "a wrong variable is shown, not fatal"
    );
    assert!(
        out.contains("hub error") && out.contains("HF_ENDPOINT: "),
        "{out}"
    );
}

//! The invariants of ARCHITECTURE.md that are absences: words that must not stand in a crate.

use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("crates/")
        .to_owned()
}

/// Every source file of a crate but `tests.rs`, with the code outside comments and unit tests.
fn sources(name: &str) -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![crates().join(name).join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                let text = std::fs::read_to_string(&path).expect("a source");
                found.push((path, code(&text)));
            }
        }
    }
    assert!(!found.is_empty(), "{name} has no source");
    found
}

fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Where one of `words` stands in a crate.
fn strangers(name: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(name) {
        let hits = words.iter().filter(|word| text.contains(**word));
        found.extend(hits.map(|word| format!("{}: {word}", path.display())));
    }
    found
}

/// Names in the table `[dependencies]` of a crate.
fn dependencies(name: &str) -> Vec<String> {
    let manifest =
        std::fs::read_to_string(crates().join(name).join("Cargo.toml")).expect("Cargo.toml");
    let table = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    table
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn kernels_model_tokenizer_and_export_print_nothing_and_read_no_clock_and_no_environment() {
    let words = [
        "println!",
        "eprintln!",
        "print!",
        "dbg!",
        "std::env",
        "env::var",
        "Instant",
        "SystemTime",
        "std::process",
        "std::net",
    ];
    let crates = ["kernels", "albert", "tokenizer", "export"];
    let found = crates.map(|name| strangers(name, &words)).concat();
    assert!(found.is_empty(), "{}", found.join("\n"));
    // The search finds what is there.
    assert!(!strangers("cli", &words).is_empty());
}

#[test]
fn training_prints_nothing_and_reads_no_environment() {
    let words = [
        "println!",
        "eprintln!",
        "print!",
        "dbg!",
        "std::env",
        "env::var",
        "std::net",
    ];
    assert_eq!(strangers("train", &words), Vec::<String>::new());
    // Models know no trainer, and the trainer knows models through its seam alone.
    assert_eq!(strangers("albert", &["albert_train"]), Vec::<String>::new());
    assert_eq!(
        strangers("train", &["albert_kernels"]),
        Vec::<String>::new()
    );
}

/// Sockets are opened by `hub` alone, and only the program asks it to.
#[test]
fn only_the_hub_opens_sockets() {
    let words = [
        "std::net",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ureq",
        "rustls",
    ];
    for name in ["kernels", "formats", "tokenizer", "albert", "train", "cli"] {
        assert_eq!(strangers(name, &words), Vec::<String>::new());
        let known = dependencies(name);
        let network = known
            .iter()
            .filter(|name| ["ureq", "rustls", "rustls-graviola"].contains(&name.as_str()));
        assert_eq!(network.collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
        assert!(
            name == "cli" || !known.contains(&"albert-hub".to_owned()),
            "{name} knows the hub"
        );
    }
    assert!(dependencies("hub").contains(&"ureq".to_owned()));
    // In the program, one door and one verb.
    let doors: Vec<PathBuf> = sources("cli")
        .into_iter()
        .filter(|(_, text)| text.contains("albert_hub::Hub") || text.contains("Hub::new"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(doors.len(), 2, "{doors:?}");
    assert!(
        doors
            .iter()
            .all(|path| path.ends_with("src/hub.rs") || path.ends_with("verbs/pull.rs"))
    );
    assert_eq!(
        strangers("hub", &["println!", "eprintln!", "print!"]),
        Vec::<String>::new()
    );
}

#[test]
fn kernels_know_no_files() {
    assert_eq!(
        strangers("kernels", &["std::fs", "std::path"]),
        Vec::<String>::new()
    );
}

#[test]
fn dependencies_point_one_way() {
    assert_eq!(dependencies("kernels"), Vec::<String>::new());
    let ours = |name: &str| -> Vec<String> {
        dependencies(name)
            .into_iter()
            .filter(|name| name.starts_with("albert"))
            .collect()
    };
    assert_eq!(ours("formats"), Vec::<String>::new());
    assert_eq!(
        ours("albert"),
        ["albert-formats", "albert-kernels", "albert-tokenizer"]
    );
    assert_eq!(ours("tokenizer"), Vec::<String>::new());
    assert_eq!(ours("hub"), ["albert-formats"]);
    assert_eq!(
        ours("cli"),
        [
            "albert",
            "albert-export",
            "albert-formats",
            "albert-hub",
            "albert-kernels",
            "albert-tokenizer",
            "albert-train"
        ]
    );
    assert_eq!(
        ours("train"),
        ["albert", "albert-formats", "albert-tokenizer"]
    );
    assert_eq!(ours("export"), ["albert", "albert-formats"]);
    // The tokenizers crate serves tests alone.
    assert!(!dependencies("cli").contains(&"tokenizers".to_owned()));
    for name in [
        "kernels",
        "formats",
        "hub",
        "albert",
        "tokenizer",
        "train",
        "export",
    ] {
        let doors = dependencies(name)
            .into_iter()
            .filter(|name| ["clap", "anyhow", "tokenizers"].contains(&name.as_str()));
        assert_eq!(doors.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn comments_and_unit_tests_are_left_out() {
    let text = "//! println!\nfn f() {}\n    // std::env\n#[cfg(test)]\nmod tests { println!() }\n";
    assert_eq!(code(text), "fn f() {}");
}

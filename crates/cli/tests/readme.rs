//! The documents tell the truth: every command in them runs, prints what it is said to print, and
//! every link leads somewhere.
//!
//! A block ```` ```console ```` holds commands after `$ ` and what they print; a block ```` ```sh ````
//! holds commands alone. Commands of the program run here, on the binary that cargo built, in a
//! folder with a copy of `fixtures/`; `DIR` stands for a model folder and becomes `fixtures/demo`, and a hub on this machine
//! has it as `albert/albert-base-v2`.
//! Every other command is in [`NOT_RUN`] with the reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use albert_testing::{HubRepository, HubServer};

/// Commands that no test runs, and why; one that ends with `…` is a beginning. An entry that no document holds any more
/// fails the test.
const NOT_RUN: &[(&str, &str)] = &[
    ("make test", "it runs this test"),
    ("make bench MODEL=DIR", "it measures for minutes"),
    (
        "cargo install cargo-deny --locked",
        "it downloads and compiles for minutes",
    ),
    (
        "cargo install cargo-fuzz --locked",
        "it downloads and compiles for minutes",
    ),
    (
        "cargo run -p albert --example hidden_state",
        "`make readme` runs it",
    ),
    (
        "cargo run -p albert-tensorflow --example tf_albert -- DIR \"The capital of [MASK] is Paris.\"",
        "it needs TensorFlow; crates/tensorflow/tests runs it where there is one",
    ),
    (
        "RUSTC_BOOTSTRAP=1 cargo fuzz run …",
        "it runs for minutes and needs cargo-fuzz",
    ),
    ("perf …", "perf is rarely there"),
    ("apt-get install …", "it changes the machine"),
    (
        "cargo build --release --features mpi",
        "it needs Open MPI and libclang",
    ),
    (
        "tools/mpi_check.sh target/release/albert",
        "it needs a program with the feature mpi",
    ),
    ("mpirun …", "Open MPI is rarely there"),
    (
        "python tools/vocab_peers.py …",
        "it needs sentencepiece and measures for minutes",
    ),
    ("python tools/paper.py …", "it measures for minutes"),
];

/// Commands that run here but whose output is another one on each machine.
const VARIES: &[(&str, &str)] = &[("doctor", "processor and cores"), ("bench", "time")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository")
}

/// Every document for people, by its path from the root.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "fuzz/README.md",
    ]
    .map(PathBuf::from)
    .into();
    for entry in std::fs::read_dir(root().join("docs")).expect("docs/") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(
                path.strip_prefix(root())
                    .expect("below the root")
                    .to_owned(),
            );
        }
    }
    found.sort();
    assert!(found.len() > 6, "{found:?}");
    found
}

fn read(document: &Path) -> String {
    std::fs::read_to_string(root().join(document))
        .unwrap_or_else(|e| panic!("{}: {e}", document.display()))
}

#[derive(Debug, PartialEq)]
struct Block {
    line: usize,
    language: String,
    text: String,
}

/// The fenced blocks of a document.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (i, line) in text.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    line: i + 1,
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    blocks
}

#[derive(Debug, PartialEq)]
struct Shown {
    command: String,
    /// What the document shows below it; empty when it shows nothing.
    output: String,
}

/// The commands of a block, or none when its language holds no commands.
fn commands(block: &Block) -> Result<Vec<Shown>, String> {
    let mut shown: Vec<Shown> = Vec::new();
    match block.language.as_str() {
        "console" => {
            for line in block.text.lines() {
                match (line.strip_prefix("$ "), shown.last_mut()) {
                    (Some(command), _) => shown.push(Shown {
                        command: command.trim().to_owned(),
                        output: String::new(),
                    }),
                    (None, Some(last)) => last.output.extend([line.trim_end(), "\n"]),
                    (None, None) => {
                        return Err(format!("line {}: output before any command", block.line));
                    }
                }
            }
        }
        "sh" => {
            let lines = block.text.lines().filter(|line| !line.trim().is_empty());
            shown.extend(lines.map(|line| Shown {
                command: line.trim().to_owned(),
                output: String::new(),
            }));
        }
        // Python's are what users run in other programs, which the tests do not have.
        "rust" | "rust,no_run" | "toml" | "text" | "json" | "python" => {}
        other => {
            return Err(format!(
                "line {}: a block in {other:?}: expected console, sh, rust, toml, text, json or python",
                block.line
            ));
        }
    }
    Ok(shown)
}

/// Variables in front of a command.
type Environment = Vec<(String, String)>;

/// A command line of the program: environment, then arguments. `None`: some other program.
fn of_the_program(command: &str) -> Option<(Environment, Vec<String>)> {
    let mut words = words(command);
    let mut environment = Vec::new();
    while let Some((name, value)) = words.first().and_then(|word| word.split_once('=')) {
        environment.push((name.to_owned(), value.to_owned()));
        words.remove(0);
    }
    let starts = [&["albert"][..], &["cargo", "run", "--release", "--"]];
    let start = starts
        .iter()
        .find(|start| words.iter().zip(**start).filter(|(a, b)| a == b).count() == start.len())?;
    Some((environment, words.split_off(start.len())))
}

/// Splits at blanks outside double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Whether `found` is what a document shows: line by line, and a shown line that ends with `…` is a beginning.
fn agrees(shown: &str, found: &str) -> bool {
    let (shown, found): (Vec<&str>, Vec<&str>) = (
        shown.trim_end().lines().collect(),
        found.trim_end().lines().collect(),
    );
    let same = |(shown, found): (&&str, &&str)| match shown.strip_suffix('…') {
        Some(beginning) => found.starts_with(beginning),
        None => *shown == found.trim_end(),
    };
    shown.len() == found.len() && shown.iter().zip(&found).all(same)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry").path();
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).expect("copied");
        }
    }
}

#[test]
fn every_command_of_the_documents_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&root().join("fixtures"), &folder.path().join("fixtures"));
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let published = HubRepository::of_folder(
        "albert/albert-base-v2",
        commit,
        &root().join("fixtures/demo"),
    );
    let hub = HubServer::start(vec![published]);
    let (mut failures, mut listed, mut ran) = (Vec::new(), BTreeSet::new(), 0);
    for document in documents() {
        let name = document.display().to_string();
        for block in blocks(&read(&document)) {
            let shown = commands(&block).unwrap_or_else(|e| panic!("{name}: {e}"));
            for Shown { command, output } in shown {
                let place = format!("{name}, block at line {}: {command}", block.line);
                if let Some((entry, _)) = NOT_RUN.iter().find(|(entry, _)| agrees(entry, &command))
                {
                    listed.insert(*entry);
                    continue;
                }
                let Some((environment, arguments)) = of_the_program(&command) else {
                    failures.push(format!("{place}\n  neither run nor listed in NOT_RUN"));
                    continue;
                };
                let arguments = arguments
                    .iter()
                    .map(|word| if word == "DIR" { "fixtures/demo" } else { word });
                let run = Command::new(env!("CARGO_BIN_EXE_albert"))
                    .args(arguments.clone())
                    .current_dir(folder.path())
                    .env_remove("ALBERT_ISA")
                    .env("HF_ENDPOINT", hub.endpoint())
                    .env("HF_HOME", folder.path().join("hf"))
                    .envs(environment)
                    .output()
                    .expect("the program starts");
                ran += 1;
                let found = String::from_utf8_lossy(&run.stdout).into_owned();
                let varies = VARIES
                    .iter()
                    .any(|(verb, _)| arguments.clone().next() == Some(verb));
                if !run.status.success() {
                    failures.push(format!(
                        "{place}\n  {}: {}",
                        run.status,
                        String::from_utf8_lossy(&run.stderr)
                    ));
                } else if !output.is_empty() && !varies && !agrees(&output, &found) {
                    failures.push(format!("{place}\n  shown:\n{output}\n  printed:\n{found}"));
                }
            }
        }
    }
    for (entry, _) in NOT_RUN {
        if !listed.contains(entry) {
            failures.push(format!("NOT_RUN lists {entry:?}, which no document holds"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(ran >= 8, "only {ran} commands ran");
    for (command, reason) in NOT_RUN {
        println!("not run: {command} ({reason})");
    }
}

#[test]
fn the_library_example_is_the_one_in_the_readme() {
    let example = std::fs::read_to_string(root().join("crates/albert/examples/hidden_state.rs"))
        .expect("the example");
    let shown = blocks(&read(Path::new("README.md")));
    let shown: Vec<&Block> = shown
        .iter()
        .filter(|block| block.language == "rust")
        .collect();
    assert_eq!(shown.len(), 1, "one Rust block in README.md");
    // The file opens with a comment that the README does not repeat.
    let code = example
        .split_once("\n\n")
        .expect("a comment, an empty line, code")
        .1;
    assert_eq!(shown[0].text, code);
}

/// GitHub's name for a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars()
        .filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_')
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        inside ^= line.trim_start().starts_with("```");
        if !inside && line.starts_with('#') {
            found.insert(anchor(line.trim_start_matches('#')));
        }
    }
    found
}

/// Targets of the links outside code.
fn links(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        inside ^= line.trim_start().starts_with("```");
        if !inside {
            let targets = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'));
            found.extend(targets.map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// Why a link of a document does not work.
fn broken(document: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let base = if file.is_empty() {
        root().join(document)
    } else {
        root().join(document.parent().expect("a file")).join(file)
    };
    if !base.exists() {
        return Some("no such file".to_owned());
    }
    let text = || std::fs::read_to_string(&base).unwrap_or_default();
    (!fragment.is_empty() && !anchors(&text()).contains(fragment))
        .then(|| "no such heading".to_owned())
}

#[test]
fn every_link_leads_somewhere() {
    let (mut failures, mut checked) = (Vec::new(), 0);
    for document in documents() {
        for target in links(&read(&document)) {
            checked += 1;
            let why = broken(&document, &target);
            failures.extend(why.map(|why| format!("{}: {target}: {why}", document.display())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(checked > 20, "only {checked} links");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::from([PathBuf::from("README.md")]);
    let mut queue = vec![PathBuf::from("README.md")];
    while let Some(document) = queue.pop() {
        for target in links(&read(&document)) {
            let file = root()
                .join(document.parent().expect("a file"))
                .join(target.split('#').next().unwrap_or_default());
            let Ok(file) = file.canonicalize() else {
                continue;
            };
            let file = file
                .strip_prefix(root())
                .expect("below the root")
                .to_owned();
            if file.extension().is_some_and(|extension| extension == "md")
                && reached.insert(file.clone())
            {
                queue.push(file);
            }
        }
    }
    let missing: Vec<PathBuf> = documents()
        .into_iter()
        .filter(|document| !reached.contains(document))
        .collect();
    assert!(missing.is_empty(), "no way from README.md to {missing:?}");
}

/// Paths in backquotes that look like files of this repository exist.
#[test]
fn every_file_that_is_named_exists() {
    let mut failures = Vec::new();
    for document in documents() {
        for part in read(&document).split('`').skip(1).step_by(2) {
            let starts = ["crates/", "docs/", "fixtures/", "tools/", "fuzz/", ".ci/"];
            let plain = part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if plain
                && starts.iter().any(|start| part.starts_with(start))
                && !root().join(part).exists()
                && !part.starts_with("fuzz/artifacts")
            {
                failures.push(format!("{}: {part}", document.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

// ---------------------------------------------------------------------------------------------
// the ruler itself

#[test]
fn blocks_and_commands_are_found() {
    let text = "x\n```console\n$ albert a \"b c\"\nout\n$ make test\n```\n\n```sh\nalbert d\n```\n```rust\nlet x;\n```\n";
    let found = blocks(text);
    let shown: Vec<Vec<Shown>> = found
        .iter()
        .map(|block| commands(block).expect("commands"))
        .collect();
    let one = |command: &str, output: &str| Shown {
        command: command.to_owned(),
        output: output.to_owned(),
    };
    assert_eq!(
        shown,
        [
            vec![one("albert a \"b c\"", "out\n"), one("make test", "")],
            vec![one("albert d", "")],
            vec![]
        ]
    );
    assert_eq!(found[1].line, 8);
    let unknown = Block {
        line: 1,
        language: "bash".to_owned(),
        text: String::new(),
    };
    assert!(
        commands(&unknown).is_err(),
        "commands cannot hide in a block of another name"
    );
}

#[test]
fn commands_are_split_as_a_shell_does() {
    let (environment, arguments) =
        of_the_program("A=1 cargo run --release -- x \"y z\" \"\"").expect("ours");
    assert_eq!(
        (environment, arguments),
        (
            vec![("A".to_owned(), "1".to_owned())],
            vec!["x".to_owned(), "y z".to_owned(), String::new()]
        )
    );
    assert_eq!(
        of_the_program("albert").map(|(_, arguments)| arguments),
        Some(vec![])
    );
    for other in [
        "make test",
        "cargo run -p albert",
        "cargo run --release",
        "albertine x",
    ] {
        assert_eq!(of_the_program(other), None, "{other}");
    }
}

#[test]
fn outputs_agree_line_by_line() {
    assert!(agrees("a\nb…\n", "a\nbcd\n"));
    assert!(
        !agrees("a\n", "b\n")
            && !agrees("a\n", "a\nb\n")
            && !agrees("a\nb\n", "a\n")
            && !agrees("b…", "a")
    );
}

#[test]
fn broken_links_are_found() {
    let document = Path::new("docs/numerics.md");
    assert_eq!(broken(document, "../README.md"), None);
    assert_eq!(broken(document, "https://example.org"), None);
    assert!(
        broken(document, "no-such-page.md").is_some()
            && broken(document, "../README.md#no-such-heading").is_some()
    );
    assert_eq!(
        links("[a](b.md) and [c](d.md#e)\n```text\n[x](y)\n```\n"),
        ["b.md", "d.md#e"]
    );
    assert_eq!(anchor(" Where do I change …?"), "where-do-i-change-");
}

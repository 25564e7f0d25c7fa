//! Lines of every form of file, and what is refused.

use std::io::Write;
use std::path::PathBuf;

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

fn all(path: &Path) -> Result<Vec<String>> {
    let mut lines = open_lines(path)?;
    let mut found = Vec::new();
    while let Some(line) = lines.next_line()? {
        found.push(line.to_owned());
    }
    Ok(found)
}

#[track_caller]
fn refused(path: &Path, words: &[&str]) {
    let error = anyhow_like(&all(path).unwrap_err());
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

/// The message with its causes.
fn anyhow_like(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", anyhow_like(source)),
        None => error.to_string(),
    }
}

const TEXT: &str = "Eins.\nZwei: äöü.\n\nDrei.\n";

#[test]
fn lines_end_at_line_feeds() {
    let home = Home::new();
    let of = |text: &str| all(&home.file("a.txt", text.as_bytes())).unwrap();
    assert_eq!(of(TEXT), ["Eins.", "Zwei: äöü.", "", "Drei."]);
    assert_eq!(of(""), [""; 0]);
    assert_eq!(of("\n"), [""]);
    assert_eq!(of("a\r\nb\rc\u{2028}d"), ["a", "b\rc\u{2028}d"]);
    assert_eq!(of("\u{FEFF}a\n\u{FEFF}b"), ["a", "\u{FEFF}b"]);
}

#[test]
fn compressed_files_give_the_same_lines() {
    let home = Home::new();
    let long: String = (0..50_000)
        .map(|i| format!("Zeile ä {}\n", i * 7919))
        .collect();
    for text in [TEXT, "", long.as_str()] {
        let plain = all(&home.file("a.txt", text.as_bytes())).unwrap();
        let bytes = text.as_bytes();
        assert_eq!(all(&home.file("a.gz", &gzip(bytes))).unwrap(), plain);
        assert_eq!(all(&home.file("a.zst", &zstd(bytes))).unwrap(), plain);
        // The bytes say what a file is, not its name.
        assert_eq!(all(&home.file("a", &gzip(bytes))).unwrap(), plain);
        assert_eq!(all(&home.file("b.txt", &zstd(bytes))).unwrap(), plain);
    }
}

#[test]
fn files_of_several_parts_are_read_to_their_end() {
    let home = Home::new();
    let (one, two) = (b"Eins.\nZw".as_slice(), b"ei.\nDrei.\n".as_slice());
    let expected = ["Eins.", "Zwei.", "Drei."];
    let both = [gzip(one), gzip(two)].concat();
    assert_eq!(all(&home.file("a.gz", &both)).unwrap(), expected);
    let skipped = [&[0x5F, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let parts = [&skipped[..], &zstd(one), &skipped, &zstd(two), &skipped];
    assert_eq!(all(&home.file("a.zst", &parts.concat())).unwrap(), expected);
}

#[test]
fn documents_are_separated_by_blank_lines() {
    let home = Home::new();
    let path = home.file("a.txt", b"\n\n  \nA.\n B. \r\n \t\n\nC.\n\n");
    let mut lines = open_lines(&path).unwrap();
    let (mut document, mut found) = (vec!["old".to_owned()], Vec::new());
    while lines.next_document(&mut document).unwrap() {
        found.push((document.clone(), lines.number()));
    }
    assert_eq!(
        found,
        [
            (vec!["A.".to_owned(), "B.".to_owned()], 6),
            (vec!["C.".to_owned()], 9)
        ]
    );
    assert_eq!(lines.bytes(), 22);
}

#[test]
fn wrong_bytes_are_named_with_their_place() {
    let home = Home::new();
    let text = b"\xEF\xBB\xBFgut\nab\xC3\x28\n";
    let place = ["line 2", "UTF-8", "0xC3 at byte 9"];
    refused(&home.file("a.txt", text), &place);
    refused(&home.file("a.gz", &gzip(text)), &place);
    refused(
        &home.file("b.txt", b"\xEF\xBB\xBF\xFF"),
        &["line 1", "0xFF at byte 3"],
    );
    refused(
        &home.file("c.txt", b"ok\nend\xE2\x82"),
        &["line 2", "0xE2 at byte 6"],
    );
}

#[test]
fn damaged_files_are_refused() {
    let home = Home::new();
    let text: Vec<u8> = (0..40_000_u32)
        .flat_map(|i| format!("{}\n", i * i).into_bytes())
        .collect();
    let (gz, zst) = (gzip(&text), zstd(&text));
    refused(&home.file("a.gz", &gz[..gz.len() / 2]), &["cannot read"]);
    refused(
        &home.file("a.zst", &zst[..zst.len() / 2]),
        &["cannot read", "zstd"],
    );
    let mut flipped = gz.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1; // its checksum
    refused(&home.file("b.gz", &flipped), &["cannot read"]);
    refused(
        &home.file("b.zst", &[&zst[..], b"rest"].concat()),
        &["cannot read"],
    );
    refused(&home.file("c.gz", b"plain"), &["c.gz", "gzip", "rename"]);
    refused(&home.file("c.zst", b"plain"), &["c.zst", "zstd", "rename"]);
    refused(
        &home.0.path().join("none.txt"),
        &["cannot open", "none.txt"],
    );
    refused(home.0.path(), &["cannot read"]);
}

#[test]
fn lines_have_a_limit() {
    let home = Home::new();
    let mut text = vec![b'x'; MAX_LINE];
    text.push(b'\n');
    assert_eq!(
        all(&home.file("a.gz", &gzip(&text))).unwrap()[0].len(),
        MAX_LINE
    );
    text.insert(0, b'x');
    text.splice(..0, *b"one\n");
    refused(
        &home.file("b.gz", &gzip(&text)),
        &["line 2", "67108864", "longer"],
    );
}

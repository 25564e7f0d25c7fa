//! Files as checked text and lines; answers as files.

use std::path::Path;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::error::{At, Error, Result};

/// A whole file as text, without a byte order mark.
pub(super) fn text_of(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..valid];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Error::data(
            path,
            At::Line(line),
            "UTF-8; convert the file (iconv -t utf-8)",
            format!("a byte that is not, at {valid} of the file"),
        )
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// The lines with their numbers from 1; `\n` and `\r\n` end a line, nothing else does.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(line, number)| (number, line))
}

/// Writes a text whole or not at all.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    Ok(albert_formats::write_atomically(path, text.as_bytes())?)
}

/// Writes JSON as Python's `json.dumps(…, indent=4)` lays it out, other letters than ASCII as `\u` escapes, and a final
/// newline.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    value
        .serialize(&mut serializer)
        .map_err(|error| Error::data(path, At::File, "values that JSON can hold", error))?;
    let mut text = String::with_capacity(bytes.len() + 1);
    // Other letters stand in strings alone.
    for c in String::from_utf8_lossy(&bytes).chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            text.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text.push('\n');
    write(path, &text)
}

/// JSON of a file, with the line of what is wrong.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    path: &Path,
    first_line: usize,
    text: &str,
    expected: &str,
) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let line = first_line + error.line().saturating_sub(1);
        Error::data(path, At::Line(line), expected, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.tsv");
        std::fs::write(&path, b"\xef\xbb\xbfone\ntwo \xff\n").expect("written");
        let error = text_of(&path).expect_err("not UTF-8").to_string();
        assert!(
            error.contains("a.tsv, line 2") && error.contains("UTF-8"),
            "{error}"
        );
        std::fs::write(&path, "\u{feff}one\r\ntw\u{2028}o").expect("written");
        let text = text_of(&path).expect("UTF-8");
        let found: Vec<_> = lines(&text).collect();
        assert_eq!(found, [(1, "one"), (2, "tw\u{2028}o")]);
    }

    #[test]
    fn json_is_laid_out_as_pythons() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        // json.dumps({"é\n😀": [1.5]}, indent=4)
        write_json(&path, &std::collections::BTreeMap::from([("é\n😀", [1.5])])).expect("written");
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(
            text,
            "{\n    \"\\u00e9\\n\\ud83d\\ude00\": [\n        1.5\n    ]\n}\n"
        );
    }
}

//! Which names from outside are safe in paths and addresses.

/// Why `name` is no plain name of a file or folder, on any system.
pub(crate) fn problem_of_component(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "." || name == ".." {
        return Some("it leaves the folder");
    }
    if name.contains(['/', '\\', ':']) {
        return Some("it holds a separator of paths");
    }
    if name.contains(char::is_control) {
        return Some("it holds control characters");
    }
    // NAME_MAX of common file systems; Windows drops dots and blanks at the end.
    if name.len() > 255 || name.ends_with(['.', ' ']) {
        return Some("it is too long, or ends with a dot or a blank");
    }
    None
}

/// Why `path` is no path below a folder, of plain names between slashes.
pub(crate) fn problem_of_path(path: &str) -> Option<&'static str> {
    path.split('/').find_map(problem_of_component)
}

/// Whether these are hexadecimal digits, lower or upper case.
pub(crate) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether this is the full name of a commit: SHA-1 or SHA-256.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

/// `text` for one segment of an address; slashes too are escaped.
pub(crate) fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// A path for an address: its segments escaped.
pub(crate) fn escape_path(path: &str) -> String {
    path.split('/').map(escape).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_a_folder_pass() {
        for good in [
            "config.json",
            "1_Pooling/config.json",
            "a b.txt",
            "é",
            "..a",
        ] {
            assert_eq!(problem_of_path(good), None, "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a/",
            "a\\b",
            "C:x",
            "a\0b",
            "a\nb",
            "x.",
            "x ",
        ] {
            assert!(problem_of_path(bad).is_some(), "{bad:?}");
        }
        assert!(problem_of_path(&"x".repeat(256)).is_some());
    }

    #[test]
    fn addresses_are_escaped_as_python_does() {
        assert_eq!(escape("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(escape_path("a b/é.json"), "a%20b/%C3%A9.json");
    }

    #[test]
    fn commits_have_a_length() {
        assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0F".repeat(32)));
        assert!(!is_commit("main") && !is_commit("a1b2c3") && !is_commit(&"g".repeat(40)));
    }
}

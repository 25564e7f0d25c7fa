//! Variables of the environment: text, switches, paths and seconds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// Reads variables; an empty one counts as absent.
pub(crate) struct Variables<'a> {
    pub(crate) get: &'a dyn Fn(&str) -> Option<OsString>,
    /// The user's folder.
    pub(crate) home: Option<PathBuf>,
}

impl Variables<'_> {
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>> {
        let Some(value) = (self.get)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        value
            .into_string()
            .map(Some)
            .map_err(|_| Error::Environment {
                variable: name,
                problem: "expected UTF-8".to_owned(),
            })
    }

    /// `1`, `ON`, `YES` or `TRUE`, as Python's library reads it.
    pub(crate) fn is_true(&self, name: &'static str) -> Result<bool> {
        let value = self.text(name)?.unwrap_or_default().to_uppercase();
        Ok(["1", "ON", "YES", "TRUE"].contains(&value.as_str()))
    }

    /// A path; `~` and `$NAME` in it are what they are to a shell.
    pub(crate) fn path(&self, name: &'static str) -> Result<Option<PathBuf>> {
        let Some(value) = (self.get)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let Some(text) = value.to_str() else {
            return Ok(Some(value.into()));
        };
        let text = self.expand(text);
        Ok(Some(match (text.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with(['/', '\\']) => home.join(&rest[1..]),
            _ => text.into(),
        }))
    }

    /// Replaces `$NAME` and `${NAME}` of variables that are set, as `os.path.expandvars`.
    fn expand(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, behind) = match after
                .strip_prefix('{')
                .and_then(|braced| braced.split_once('}'))
            {
                Some(parts) => parts,
                None => after.split_at(after.find(|c| !letters(c)).unwrap_or(after.len())),
            };
            match (self.get)(name).and_then(|value| value.into_string().ok()) {
                Some(value) if !name.is_empty() => out.push_str(&value),
                _ => out.extend(["$", &after[..after.len() - behind.len()]]),
            }
            rest = behind;
        }
        out + rest
    }

    /// Whole seconds, or `usual`.
    pub(crate) fn seconds(&self, name: &'static str, usual: Duration) -> Result<Duration> {
        let Some(text) = self.text(name)? else {
            return Ok(usual);
        };
        match text.trim().parse() {
            Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
            _ => Err(Error::Environment {
                variable: name,
                problem: format!("expected seconds from 1 to 86400, found {text:?}"),
            }),
        }
    }
}

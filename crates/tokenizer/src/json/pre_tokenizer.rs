//! The section `pre_tokenizer`, and the Metaspace that it shares with `decoder`.

use serde_json::{Value, json};

use super::node::Node;
use crate::{Error, error::shown};

/// One step that cuts a normalised text into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PreTokenizer {
    Metaspace {
        replacement: char,
        prepend: PrependScheme,
        split: bool,
    },
    WhitespaceSplit,
    Whitespace,
    Bert,
    Punctuation(Behavior),
}

/// Where Metaspace puts its mark before a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrependScheme {
    First,
    Never,
    Always,
}

/// What becomes of a delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// Names of [`Behavior`] in the file.
const BEHAVIORS: [(Behavior, &str); 5] = [
    (Behavior::Removed, "Removed"),
    (Behavior::Isolated, "Isolated"),
    (Behavior::MergedWithPrevious, "MergedWithPrevious"),
    (Behavior::MergedWithNext, "MergedWithNext"),
    (Behavior::Contiguous, "Contiguous"),
];

/// Names of [`PrependScheme`] in the file.
const SCHEMES: [(PrependScheme, &str); 3] = [
    (PrependScheme::First, "first"),
    (PrependScheme::Never, "never"),
    (PrependScheme::Always, "always"),
];

/// Reads Metaspace's fields, which pre-tokenizer and decoder share.
///
/// Files before release 0.15 say `add_prefix_space` alone. Where both are given, the newer
/// `prepend_scheme` counts and a contradiction with `false` is an error, as in the library.
pub(super) fn read_metaspace(node: &Node) -> Result<(char, PrependScheme, bool), Error> {
    node.only(&[
        "type",
        "replacement",
        "add_prefix_space",
        "prepend_scheme",
        "split",
        "str_rep",
    ])?;
    let add_prefix = node
        .get("add_prefix_space")?
        .map(|n| n.bool())
        .transpose()?;
    let scheme = match node.get("prepend_scheme")? {
        None => None,
        Some(name) => {
            let text = name.str()?;
            let known = SCHEMES.iter().find(|(_, n)| *n == text);
            Some(known.map(|(s, _)| *s).ok_or_else(|| {
                name.fail(format!(
                    "expected \"first\", \"never\" or \"always\", found {}",
                    shown(text)
                ))
            })?)
        }
    };
    let scheme = match (scheme, add_prefix) {
        (None, Some(false)) => PrependScheme::Never,
        (None, _) => PrependScheme::Always,
        (Some(PrependScheme::First | PrependScheme::Always), Some(false)) => {
            return Err(node.fail(
                "add_prefix_space is false but prepend_scheme is not \"never\"; remove one",
            ));
        }
        (Some(scheme), _) => scheme,
    };
    let split = node.get("split")?.map_or(Ok(true), |n| n.bool())?;
    Ok((node.field("replacement")?.char()?, scheme, split))
}

pub(super) fn write_metaspace(replacement: char, prepend: PrependScheme, split: bool) -> Value {
    let name = SCHEMES.iter().find(|(s, _)| *s == prepend).map(|(_, n)| n);
    json!({
        "type": "Metaspace",
        "replacement": replacement,
        // Releases before 0.15 know this key alone, and need it.
        "add_prefix_space": prepend != PrependScheme::Never,
        "prepend_scheme": name,
        "split": split,
    })
}

impl PreTokenizer {
    /// Appends the steps of one node.
    pub(super) fn read(node: &Node, steps: &mut Vec<Self>) -> Result<(), Error> {
        let plain = |step| node.only(&["type"]).map(|()| step);
        steps.push(match node.kind()? {
            "Sequence" => {
                node.only(&["type", "pretokenizers"])?;
                return node
                    .field("pretokenizers")?
                    .list()?
                    .iter()
                    .try_for_each(|step| Self::read(step, steps));
            }
            "Metaspace" => {
                let (replacement, prepend, split) = read_metaspace(node)?;
                Self::Metaspace {
                    replacement,
                    prepend,
                    split,
                }
            }
            "Punctuation" => {
                node.only(&["type", "behavior"])?;
                Self::Punctuation(match node.get("behavior")? {
                    None => Behavior::Isolated,
                    Some(name) => {
                        let text = name.str()?;
                        let known = BEHAVIORS.iter().find(|(_, n)| *n == text);
                        known
                            .map(|(b, _)| *b)
                            .ok_or_else(|| name.fail(format!("unknown behavior {}", shown(text))))?
                    }
                })
            }
            "WhitespaceSplit" => plain(Self::WhitespaceSplit)?,
            "Whitespace" => plain(Self::Whitespace)?,
            "BertPreTokenizer" => plain(Self::Bert)?,
            other => {
                return Err(node.fail(format!(
                    "the pre-tokenizer {} is not supported; known are Sequence, Metaspace, \
                     WhitespaceSplit, Whitespace, BertPreTokenizer, Punctuation",
                    shown(other)
                )));
            }
        });
        Ok(())
    }

    pub(super) fn write(&self) -> Value {
        match self {
            Self::Metaspace {
                replacement,
                prepend,
                split,
            } => write_metaspace(*replacement, *prepend, *split),
            Self::WhitespaceSplit => json!({"type": "WhitespaceSplit"}),
            Self::Whitespace => json!({"type": "Whitespace"}),
            Self::Bert => json!({"type": "BertPreTokenizer"}),
            Self::Punctuation(behavior) => {
                let name = BEHAVIORS.iter().find(|(b, _)| b == behavior);
                json!({"type": "Punctuation", "behavior": name.map(|(_, n)| n)})
            }
        }
    }
}

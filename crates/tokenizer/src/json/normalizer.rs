//! The section `normalizer`.

use serde_json::{Value, json};

use super::{base64, node::Node};
use crate::{Error, charsmap::Charsmap, error::shown};

/// One step from a text to its normalised form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Normalizer {
    Replace { pattern: Pattern, content: String },
    Prepend(String),
    Strip { left: bool, right: bool },
    StripAccents,
    Lowercase,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Nmt,
    Precompiled(Box<Charsmap>),
    Bert(BertNormalizer),
}

/// What a replacement looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Exactly this text, not empty.
    Text(String),
    /// The regular expression ` {2,}`: runs of at least two spaces. It is the only one that ALBERT
    /// files hold, and the only one supported.
    Spaces,
}

/// BERT's cleaning, each part switchable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BertNormalizer {
    pub clean_text: bool,
    pub handle_chinese_chars: bool,
    /// `None`: as `lowercase`.
    pub strip_accents: Option<bool>,
    pub lowercase: bool,
}

const SPACES: &str = " {2,}";

impl Pattern {
    pub(super) fn read(node: &Node) -> Result<Self, Error> {
        node.only(&["String", "Regex"])?;
        match (node.get("String")?, node.get("Regex")?) {
            (Some(text), None) => match text.str()? {
                "" => Err(text.fail("an empty pattern matches everywhere; remove the step")),
                text => Ok(Self::Text(text.to_owned())),
            },
            (None, Some(regex)) => match regex.str()? {
                SPACES => Ok(Self::Spaces),
                other => Err(regex.fail(format!(
                    "the regular expression {} is not supported: only {SPACES:?} is; write it as \
                     {{\"String\": …}} if it is a plain text",
                    shown(other)
                ))),
            },
            _ => Err(node.fail("expected either {\"String\": …} or {\"Regex\": …}")),
        }
    }

    pub(super) fn write(&self) -> Value {
        match self {
            Self::Text(text) => json!({"String": text}),
            Self::Spaces => json!({"Regex": SPACES}),
        }
    }
}

impl Normalizer {
    /// Appends the steps of one node.
    pub(super) fn read(node: &Node, steps: &mut Vec<Self>) -> Result<(), Error> {
        let plain = |step| node.only(&["type"]).map(|()| step);
        steps.push(match node.kind()? {
            "Sequence" => {
                node.only(&["type", "normalizers"])?;
                return node
                    .field("normalizers")?
                    .list()?
                    .iter()
                    .try_for_each(|step| Self::read(step, steps));
            }
            "Replace" => {
                node.only(&["type", "pattern", "content"])?;
                Self::Replace {
                    pattern: Pattern::read(&node.field("pattern")?)?,
                    content: node.field("content")?.str()?.to_owned(),
                }
            }
            "Prepend" => {
                node.only(&["type", "prepend"])?;
                let text = node.field("prepend")?;
                match text.str()? {
                    "" => return Err(text.fail("an empty text; remove the step")),
                    text => Self::Prepend(text.to_owned()),
                }
            }
            "Strip" => {
                node.only(&["type", "strip_left", "strip_right"])?;
                Self::Strip {
                    left: node.field("strip_left")?.bool()?,
                    right: node.field("strip_right")?.bool()?,
                }
            }
            "Precompiled" => {
                node.only(&["type", "precompiled_charsmap"])?;
                let map = node.field("precompiled_charsmap")?;
                if map.is_null() || map.str()?.is_empty() {
                    // The library panics on both, so there is no behaviour to follow.
                    return Err(map.fail(
                        "no rules: the tokenizers library cannot load this either; remove the step",
                    ));
                }
                let bytes = base64::decode(map.str()?).map_err(|e| map.fail(e))?;
                Self::Precompiled(Box::new(Charsmap::parse(&bytes)?))
            }
            "BertNormalizer" | "Bert" => {
                node.only(&[
                    "type",
                    "clean_text",
                    "handle_chinese_chars",
                    "strip_accents",
                    "lowercase",
                ])?;
                Self::Bert(BertNormalizer {
                    clean_text: node.field("clean_text")?.bool()?,
                    handle_chinese_chars: node.field("handle_chinese_chars")?.bool()?,
                    strip_accents: node.get("strip_accents")?.map(|n| n.bool()).transpose()?,
                    lowercase: node.field("lowercase")?.bool()?,
                })
            }
            "StripAccents" => plain(Self::StripAccents)?,
            "Lowercase" => plain(Self::Lowercase)?,
            "NFC" => plain(Self::Nfc)?,
            "NFD" => plain(Self::Nfd)?,
            "NFKC" => plain(Self::Nfkc)?,
            "NFKD" => plain(Self::Nfkd)?,
            "Nmt" => plain(Self::Nmt)?,
            other => {
                return Err(node.fail(format!(
                    "the normalizer {} is not supported; known are Sequence, Replace, Prepend, \
                     Strip, StripAccents, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, \
                     BertNormalizer",
                    shown(other)
                )));
            }
        });
        Ok(())
    }

    pub(super) fn write(&self) -> Value {
        match self {
            Self::Replace { pattern, content } => {
                json!({"type": "Replace", "pattern": pattern.write(), "content": content})
            }
            Self::Prepend(text) => json!({"type": "Prepend", "prepend": text}),
            Self::Strip { left, right } => {
                json!({"type": "Strip", "strip_left": left, "strip_right": right})
            }
            Self::Precompiled(map) => json!({
                "type": "Precompiled",
                "precompiled_charsmap": base64::encode(map.bytes()),
            }),
            Self::Bert(bert) => json!({
                "type": "BertNormalizer",
                "clean_text": bert.clean_text,
                "handle_chinese_chars": bert.handle_chinese_chars,
                "strip_accents": bert.strip_accents,
                "lowercase": bert.lowercase,
            }),
            Self::StripAccents => json!({"type": "StripAccents"}),
            Self::Lowercase => json!({"type": "Lowercase"}),
            Self::Nfc => json!({"type": "NFC"}),
            Self::Nfd => json!({"type": "NFD"}),
            Self::Nfkc => json!({"type": "NFKC"}),
            Self::Nfkd => json!({"type": "NFKD"}),
            Self::Nmt => json!({"type": "Nmt"}),
        }
    }
}

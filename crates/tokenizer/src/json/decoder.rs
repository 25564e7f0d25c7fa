//! The section `decoder`.

use serde_json::{Value, json};

use super::{
    Pattern, PrependScheme,
    node::Node,
    pre_tokenizer::{read_metaspace, write_metaspace},
};
use crate::{Error, error::shown};

/// One step from tokens to text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decoder {
    Metaspace {
        replacement: char,
        prepend: PrependScheme,
        /// Without meaning here; kept so that the file is written as it was.
        split: bool,
    },
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    Fuse,
    ByteFallback,
}

impl Decoder {
    /// Appends the steps of one node.
    pub(super) fn read(node: &Node, steps: &mut Vec<Self>) -> Result<(), Error> {
        steps.push(match node.kind()? {
            "Sequence" => {
                node.only(&["type", "decoders"])?;
                return node
                    .field("decoders")?
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
            "WordPiece" => {
                node.only(&["type", "prefix", "cleanup"])?;
                Self::WordPiece {
                    prefix: node.field("prefix")?.str()?.to_owned(),
                    cleanup: node.field("cleanup")?.bool()?,
                }
            }
            "Replace" => {
                node.only(&["type", "pattern", "content"])?;
                Self::Replace {
                    pattern: Pattern::read(&node.field("pattern")?)?,
                    content: node.field("content")?.str()?.to_owned(),
                }
            }
            "Strip" => {
                node.only(&["type", "content", "start", "stop"])?;
                Self::Strip {
                    content: node.field("content")?.char()?,
                    start: node.field("start")?.usize()?,
                    stop: node.field("stop")?.usize()?,
                }
            }
            "Fuse" => node.only(&["type"]).map(|()| Self::Fuse)?,
            "ByteFallback" => node.only(&["type"]).map(|()| Self::ByteFallback)?,
            other => {
                return Err(node.fail(format!(
                    "the decoder {} is not supported; known are Sequence, Metaspace, WordPiece, \
                     Replace, Strip, Fuse, ByteFallback",
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
            Self::WordPiece { prefix, cleanup } => {
                json!({"type": "WordPiece", "prefix": prefix, "cleanup": cleanup})
            }
            Self::Replace { pattern, content } => {
                json!({"type": "Replace", "pattern": pattern.write(), "content": content})
            }
            Self::Strip {
                content,
                start,
                stop,
            } => json!({"type": "Strip", "content": content, "start": start, "stop": stop}),
            Self::Fuse => json!({"type": "Fuse"}),
            Self::ByteFallback => json!({"type": "ByteFallback"}),
        }
    }
}

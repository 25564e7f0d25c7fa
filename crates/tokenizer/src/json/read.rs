//! Bytes of `tokenizer.json` to [`Spec`].

use serde::Deserialize;
use serde_json::Value;

use super::{
    AddedToken, Decoder, Normalizer, Padding, PreTokenizer, Spec, Template, Truncation,
    TruncationStrategy, model::RawModel, node::Node,
};
use crate::{Error, error::shown};

/// The outermost object. serde refuses double keys here, and serde_json stops at 128 levels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: Option<String>,
    truncation: Option<Value>,
    padding: Option<Value>,
    added_tokens: Option<Value>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: RawModel,
}

impl Spec {
    /// From the bytes of a file.
    ///
    /// # Errors
    /// Not JSON, not what `tokenizers` writes, or something that this crate does not support.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let fail = |place: &str, problem: String| Error::TokenizerJson {
            place: place.to_owned(),
            problem,
        };
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| fail("", e.to_string()))?;
        if let Some(version) = raw.version.as_deref().filter(|v| *v != "1.0") {
            let found = shown(version);
            return Err(fail("version", format!("expected \"1.0\", found {found}")));
        }
        let mut spec = Self {
            truncation: None,
            padding: None,
            added_tokens: Vec::new(),
            normalizer: Vec::new(),
            pre_tokenizer: Vec::new(),
            model: raw.model.finish().map_err(|e| fail("model", e))?,
            template: None,
            decoder: None,
        };
        if let Some(value) = &raw.truncation {
            spec.truncation = Some(read_truncation(&Node::new(value, "truncation"))?);
        }
        if let Some(value) = &raw.padding {
            spec.padding = Some(read_padding(&Node::new(value, "padding"))?);
        }
        if let Some(value) = &raw.added_tokens {
            let list = Node::new(value, "added_tokens").list()?;
            spec.added_tokens = list.iter().map(read_added).collect::<Result<_, _>>()?;
        }
        if let Some(value) = &raw.normalizer {
            Normalizer::read(&Node::new(value, "normalizer"), &mut spec.normalizer)?;
        }
        if let Some(value) = &raw.pre_tokenizer {
            PreTokenizer::read(&Node::new(value, "pre_tokenizer"), &mut spec.pre_tokenizer)?;
        }
        if let Some(value) = &raw.post_processor {
            spec.template = Template::read(&Node::new(value, "post_processor"))?;
        }
        if let Some(value) = &raw.decoder {
            let mut steps = Vec::new();
            Decoder::read(&Node::new(value, "decoder"), &mut steps)?;
            spec.decoder = Some(steps);
        }
        Ok(spec)
    }
}

fn read_added(node: &Node) -> Result<AddedToken, Error> {
    node.only(&[
        "id",
        "content",
        "single_word",
        "lstrip",
        "rstrip",
        "normalized",
        "special",
    ])?;
    let content = node.field("content")?;
    if content.str()?.is_empty() {
        return Err(content.fail("an added token without text; remove it"));
    }
    Ok(AddedToken {
        id: node.field("id")?.u32()?,
        content: content.str()?.to_owned(),
        single_word: node.field("single_word")?.bool()?,
        lstrip: node.field("lstrip")?.bool()?,
        rstrip: node.field("rstrip")?.bool()?,
        normalized: node.field("normalized")?.bool()?,
        special: node.field("special")?.bool()?,
    })
}

/// `Left` or `Right`; releases before 0.11 have no direction and cut at the right.
fn read_left(node: Option<Node>) -> Result<bool, Error> {
    match node {
        None => Ok(false),
        Some(node) => match node.str()? {
            "Left" => Ok(true),
            "Right" => Ok(false),
            other => Err(node.fail(format!(
                "expected \"Left\" or \"Right\", found {}",
                shown(other)
            ))),
        },
    }
}

fn read_truncation(node: &Node) -> Result<Truncation, Error> {
    node.only(&["direction", "max_length", "strategy", "stride"])?;
    let strategy = node.field("strategy")?;
    Ok(Truncation {
        max_length: node.field("max_length")?.usize()?,
        stride: node.field("stride")?.usize()?,
        strategy: match strategy.str()? {
            "LongestFirst" => TruncationStrategy::LongestFirst,
            "OnlyFirst" => TruncationStrategy::OnlyFirst,
            "OnlySecond" => TruncationStrategy::OnlySecond,
            other => {
                return Err(strategy.fail(format!(
                    "expected LongestFirst, OnlyFirst or OnlySecond, found {}",
                    shown(other)
                )));
            }
        },
        left: read_left(node.get("direction")?)?,
    })
}

fn read_padding(node: &Node) -> Result<Padding, Error> {
    node.only(&[
        "strategy",
        "direction",
        "pad_to_multiple_of",
        "pad_id",
        "pad_type_id",
        "pad_token",
    ])?;
    let strategy = node.field("strategy")?;
    let length = match strategy.str() {
        Ok("BatchLongest") => None,
        Ok(other) => {
            return Err(strategy.fail(format!(
                "expected BatchLongest or {{\"Fixed\": length}}, found {}",
                shown(other)
            )));
        }
        Err(_) => {
            strategy.only(&["Fixed"])?;
            Some(strategy.field("Fixed")?.usize()?)
        }
    };
    let multiple = node
        .get("pad_to_multiple_of")?
        .map(|n| n.usize())
        .transpose()?;
    Ok(Padding {
        length,
        left: read_left(Some(node.field("direction")?))?,
        // The library divides by it only where it is positive.
        pad_to_multiple_of: multiple.filter(|&n| n > 0),
        pad_id: node.field("pad_id")?.u32()?,
        pad_type_id: node.field("pad_type_id")?.u32()?,
        pad_token: node.field("pad_token")?.str()?.to_owned(),
    })
}

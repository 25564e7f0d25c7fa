//! The section `post_processor`, as one list of parts for a text and one for a pair.

use serde_json::{Map, Value, json};

use super::node::Node;
use crate::{Error, error::shown};

/// Which of the two sequences of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    A,
    B,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TemplatePiece {
    /// Special tokens: usually one. `ids` and `tokens` have equal length.
    Special {
        /// The template's own name for them.
        name: String,
        ids: Vec<u32>,
        tokens: Vec<String>,
        type_id: u32,
    },
    /// The tokens of one sequence.
    Sequence { side: Side, type_id: u32 },
}

/// What stands around one text and around two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub single: Vec<TemplatePiece>,
    pub pair: Vec<TemplatePiece>,
}

impl Template {
    /// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, the second half with token type 1.
    pub(crate) fn bert(cls: (&str, u32), sep: (&str, u32)) -> Self {
        let special = |(name, id): (&str, u32), type_id| TemplatePiece::Special {
            name: name.to_owned(),
            ids: vec![id],
            tokens: vec![name.to_owned()],
            type_id,
        };
        let sequence = |side, type_id| TemplatePiece::Sequence { side, type_id };
        let single = vec![special(cls, 0), sequence(Side::A, 0), special(sep, 0)];
        let mut pair = single.clone();
        pair.extend([sequence(Side::B, 1), special(sep, 1)]);
        Self { single, pair }
    }

    pub(super) fn read(node: &Node) -> Result<Option<Self>, Error> {
        match node.kind()? {
            "TemplateProcessing" => read_template(node).map(Some),
            "BertProcessing" => {
                node.only(&["type", "sep", "cls"])?;
                let token = |key: &str| {
                    let node = node.field(key)?;
                    match node.list()?.as_slice() {
                        [text, id] => Ok((text.str()?, id.u32()?)),
                        _ => Err(node.fail("expected a token and its number")),
                    }
                };
                Ok(Some(Self::bert(token("cls")?, token("sep")?)))
            }
            "Sequence" => {
                node.only(&["type", "processors"])?;
                let list = node.field("processors")?.list()?;
                match list.as_slice() {
                    [] => Ok(None),
                    [one] => Self::read(one),
                    _ => Err(node.fail(format!(
                        "a Sequence of {} post-processors is not supported; keep one",
                        list.len()
                    ))),
                }
            }
            other => Err(node.fail(format!(
                "the post-processor {} is not supported; known are TemplateProcessing, \
                 BertProcessing, Sequence; an ALBERT model has one of these",
                shown(other)
            ))),
        }
    }

    pub(super) fn write(&self) -> Value {
        let mut specials = Map::new();
        let mut write = |pieces: &[TemplatePiece]| -> Vec<Value> {
            pieces
                .iter()
                .map(|piece| match piece {
                    TemplatePiece::Special {
                        name,
                        ids,
                        tokens,
                        type_id,
                    } => {
                        specials.insert(
                            name.clone(),
                            json!({"id": name, "ids": ids, "tokens": tokens}),
                        );
                        json!({"SpecialToken": {"id": name, "type_id": type_id}})
                    }
                    TemplatePiece::Sequence { side, type_id } => {
                        let id = if *side == Side::A { "A" } else { "B" };
                        json!({"Sequence": {"id": id, "type_id": type_id}})
                    }
                })
                .collect()
        };
        let (single, pair) = (write(&self.single), write(&self.pair));
        json!({
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": specials,
        })
    }
}

fn read_template(node: &Node) -> Result<Template, Error> {
    node.only(&["type", "single", "pair", "special_tokens"])?;
    let specials = node.field("special_tokens")?;
    let read = |key: &str| {
        let pieces = node.field(key)?.list()?;
        pieces
            .iter()
            .map(|piece| read_piece(piece, &specials))
            .collect::<Result<Vec<_>, _>>()
    };
    let (single, pair) = (read("single")?, read("pair")?);
    let is_b = |p: &TemplatePiece| matches!(p, TemplatePiece::Sequence { side: Side::B, .. });
    if single.iter().any(is_b) {
        return Err(node.fail("the template for one text names the sequence B"));
    }
    Ok(Template { single, pair })
}

fn read_piece(node: &Node, specials: &Node) -> Result<TemplatePiece, Error> {
    node.only(&["SpecialToken", "Sequence"])?;
    match (node.get("SpecialToken")?, node.get("Sequence")?) {
        (Some(special), None) => {
            special.only(&["id", "type_id"])?;
            let name = special.field("id")?.str()?;
            let entry = specials.get(name)?.ok_or_else(|| {
                special.fail(format!(
                    "the special token {} is not defined in special_tokens",
                    shown(name)
                ))
            })?;
            entry.only(&["id", "ids", "tokens"])?;
            let ids = entry.field("ids")?.list()?;
            let ids: Vec<u32> = ids.iter().map(Node::u32).collect::<Result<_, _>>()?;
            let tokens = entry.field("tokens")?.list()?;
            let tokens: Vec<String> = tokens
                .iter()
                .map(|t| t.str().map(str::to_owned))
                .collect::<Result<_, _>>()?;
            if ids.len() != tokens.len() {
                return Err(entry.fail(format!(
                    "{} ids but {} tokens: both must be equally many",
                    ids.len(),
                    tokens.len()
                )));
            }
            Ok(TemplatePiece::Special {
                name: name.to_owned(),
                ids,
                tokens,
                type_id: special.field("type_id")?.u32()?,
            })
        }
        (None, Some(sequence)) => {
            sequence.only(&["id", "type_id"])?;
            let side = match sequence.field("id")?.str()? {
                "A" => Side::A,
                "B" => Side::B,
                other => {
                    return Err(sequence.fail(format!("expected A or B, found {}", shown(other))));
                }
            };
            Ok(TemplatePiece::Sequence {
                side,
                type_id: sequence.field("type_id")?.u32()?,
            })
        }
        _ => Err(node.fail("expected either SpecialToken or Sequence")),
    }
}

//! [`Spec`] to bytes that the `tokenizers` library loads with equal behaviour.

use serde_json::{Map, Value, json};

use super::{Model, Spec, TruncationStrategy};

impl Spec {
    /// The file, indented as the library does it, its sections in the library's order.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Writing to memory cannot fail, and every key is a string.
        let mut bytes = serde_json::to_vec_pretty(&self.to_value()).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn to_value(&self) -> Value {
        let sequence = |name: &str, steps: Vec<Value>| match steps.len() {
            0 => Value::Null,
            1 => steps.into_iter().next().unwrap_or(Value::Null),
            _ => {
                let kind = json!("Sequence");
                Value::Object(Map::from_iter([
                    ("type".to_owned(), kind),
                    (name.to_owned(), Value::Array(steps)),
                ]))
            }
        };
        json!({
            "version": "1.0",
            "truncation": self.write_truncation(),
            "padding": self.write_padding(),
            "added_tokens": self.write_added(),
            "normalizer": sequence(
                "normalizers",
                self.normalizer.iter().map(|n| n.write()).collect(),
            ),
            "pre_tokenizer": sequence(
                "pretokenizers",
                self.pre_tokenizer.iter().map(|p| p.write()).collect(),
            ),
            "post_processor": self.template.as_ref().map(|t| t.write()),
            "decoder": match &self.decoder {
                None => Value::Null,
                // No decoder at all would join tokens with spaces; an empty Sequence does not.
                Some(steps) if steps.is_empty() => json!({"type": "Sequence", "decoders": []}),
                Some(steps) => sequence("decoders", steps.iter().map(|d| d.write()).collect()),
            },
            "model": self.write_model(),
        })
    }

    fn write_truncation(&self) -> Option<Value> {
        self.truncation.as_ref().map(|t| {
            let strategy = match t.strategy {
                TruncationStrategy::LongestFirst => "LongestFirst",
                TruncationStrategy::OnlyFirst => "OnlyFirst",
                TruncationStrategy::OnlySecond => "OnlySecond",
            };
            json!({
                "direction": side(t.left),
                "max_length": t.max_length,
                "strategy": strategy,
                "stride": t.stride,
            })
        })
    }

    fn write_padding(&self) -> Option<Value> {
        self.padding.as_ref().map(|p| {
            json!({
                "strategy": p.length.map_or(json!("BatchLongest"), |n| json!({"Fixed": n})),
                "direction": side(p.left),
                "pad_to_multiple_of": p.pad_to_multiple_of,
                "pad_id": p.pad_id,
                "pad_type_id": p.pad_type_id,
                "pad_token": p.pad_token,
            })
        })
    }

    fn write_added(&self) -> Vec<Value> {
        self.added_tokens
            .iter()
            .map(|t| {
                json!({
                    "id": t.id,
                    "content": t.content,
                    "single_word": t.single_word,
                    "lstrip": t.lstrip,
                    "rstrip": t.rstrip,
                    "normalized": t.normalized,
                    "special": t.special,
                })
            })
            .collect()
    }

    fn write_model(&self) -> Value {
        match &self.model {
            Model::Unigram(u) => json!({
                "type": "Unigram",
                "unk_id": u.unk_id,
                "vocab": u.vocab,
                "byte_fallback": u.byte_fallback,
            }),
            Model::WordPiece(w) => {
                // The library writes by number; that order is also what people expect to read.
                let mut vocab: Vec<_> = w.vocab.iter().collect();
                vocab.sort_by_key(|(_, id)| *id);
                let vocab: Map<String, Value> = vocab
                    .into_iter()
                    .map(|(token, id)| (token.clone(), json!(id)))
                    .collect();
                json!({
                    "type": "WordPiece",
                    "unk_token": w.unk_token,
                    "continuing_subword_prefix": w.continuing_subword_prefix,
                    "max_input_chars_per_word": w.max_input_chars_per_word,
                    "vocab": vocab,
                })
            }
        }
    }
}

fn side(left: bool) -> &'static str {
    if left { "Left" } else { "Right" }
}

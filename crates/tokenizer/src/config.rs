//! `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.

mod document;
mod special;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub(crate) use document::Document;
pub(crate) use special::PARTS;
pub use special::SpecialTokens;

use crate::error::{Error, shown};
use crate::mode::Mode;
use crate::options::Side;
use crate::token::AddedToken;

/// What the configuration files of a folder say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) tokenizer_class: Option<String>,
    pub(crate) do_lower_case: Option<bool>,
    pub(crate) keep_accents: Option<bool>,
    pub(crate) remove_space: Option<bool>,
    pub(crate) strip_accents: Option<bool>,
    pub(crate) tokenize_chinese_chars: Option<bool>,
    pub(crate) add_prefix_space: Option<bool>,
    pub(crate) split_special_tokens: Option<bool>,
    pub(crate) clean_up_tokenization_spaces: Option<bool>,
    /// `None`: no limit.
    pub(crate) model_max_length: Option<usize>,
    pub(crate) padding_side: Option<Side>,
    pub(crate) truncation_side: Option<Side>,
    pub(crate) model_input_names: Option<Vec<String>>,
    /// Named tokens that the files give; `Some(None)`: the file says null.
    named: BTreeMap<&'static str, Option<AddedToken>>,
    /// Named tokens that the files give as text, without flags.
    plain: BTreeSet<&'static str>,
    /// `special_tokens_map.json` gives the mask token as text.
    plain_mask: bool,
    additional: Vec<AddedToken>,
    /// Tokens beside the vocabulary, by number.
    pub(crate) added: BTreeMap<u32, AddedToken>,
    /// `added` comes from `added_tokens_decoder`, which is complete.
    pub(crate) has_decoder: bool,
    /// The whole file, for what this crate does not use and writes again.
    pub(crate) raw: Map<String, Value>,
}

impl Config {
    /// What holds where a folder has no configuration file.
    pub(crate) fn none() -> Self {
        Self {
            tokenizer_class: None,
            do_lower_case: None,
            keep_accents: None,
            remove_space: None,
            strip_accents: None,
            tokenize_chinese_chars: None,
            add_prefix_space: None,
            split_special_tokens: None,
            clean_up_tokenization_spaces: None,
            model_max_length: None,
            padding_side: None,
            truncation_side: None,
            model_input_names: None,
            named: BTreeMap::new(),
            plain: BTreeSet::new(),
            plain_mask: false,
            additional: Vec::new(),
            added: BTreeMap::new(),
            has_decoder: false,
            raw: Map::new(),
        }
    }

    /// Reads `tokenizer_config.json`.
    pub(crate) fn read(file: &Document<'_>, mode: Mode) -> Result<Self, Error> {
        let mut config = Self {
            do_lower_case: file.bool("do_lower_case")?,
            keep_accents: file.bool("keep_accents")?,
            remove_space: file.bool("remove_space")?,
            strip_accents: file.bool("strip_accents")?,
            tokenize_chinese_chars: file.bool("tokenize_chinese_chars")?,
            add_prefix_space: file.bool("add_prefix_space")?,
            split_special_tokens: file.bool("split_special_tokens")?,
            clean_up_tokenization_spaces: file.bool("clean_up_tokenization_spaces")?,
            padding_side: file.side("padding_side")?,
            truncation_side: file.side("truncation_side")?,
            raw: file.map.clone(),
            ..Self::none()
        };
        // Files of transformers 2 say max_len.
        let key = ["model_max_length", "max_len"]
            .into_iter()
            .find(|key| file.get(key).is_some());
        if let Some(key) = key {
            config.model_max_length = file.length(key)?;
        }
        if let Some(value) = file.get("tokenizer_class") {
            let class = value
                .as_str()
                .ok_or_else(|| file.wrong("tokenizer_class", "a name", value))?;
            config.tokenizer_class = Some(class.to_owned());
        }
        if let Some(value) = file.get("model_input_names") {
            let names = value.as_array().and_then(|list| {
                list.iter()
                    .map(|name| name.as_str().map(str::to_owned))
                    .collect()
            });
            config.model_input_names = Some(
                names.ok_or_else(|| file.wrong("model_input_names", "a list of names", value))?,
            );
        }
        if let Some(value) = file.get("added_tokens_decoder") {
            let wrong = || {
                file.wrong(
                    "added_tokens_decoder",
                    "an object of tokens by number",
                    value,
                )
            };
            for (id, token) in value.as_object().ok_or_else(wrong)? {
                let id: u32 = id.parse().map_err(|_| wrong())?;
                config
                    .added
                    .insert(id, file.token("added_tokens_decoder", token, false)?);
            }
            config.has_decoder = true;
        }
        config.take_named(file, mode)?;
        Ok(config)
    }

    /// Takes `special_tokens_map.json`, which wins over `tokenizer_config.json` unless that has
    /// `added_tokens_decoder`.
    pub(crate) fn read_special(&mut self, file: &Document<'_>, mode: Mode) -> Result<(), Error> {
        if self.has_decoder && mode != Mode::HfSlow {
            return Ok(());
        }
        self.take_named(file, mode)?;
        // The class gives a mask without flags its own, but not once this file replaces it.
        if file.map.get("mask_token").is_some_and(Value::is_string) {
            self.plain_mask = true;
        }
        Ok(())
    }

    /// Whether transformers 4 takes white space on both sides of a special token: it does for one
    /// that no file gives flags.
    pub(crate) fn strips_both(&self, content: &str) -> bool {
        PARTS.iter().all(|name| match self.named.get(name) {
            Some(Some(token)) if token.content == content => {
                self.plain.contains(name) && (*name != "mask_token" || self.plain_mask)
            }
            Some(_) => true,
            None => *name != "mask_token" || content != "[MASK]",
        })
    }

    fn take_named(&mut self, file: &Document<'_>, mode: Mode) -> Result<(), Error> {
        for name in PARTS {
            match file.map.get(name) {
                None => {}
                Some(Value::Null) => {
                    self.named.insert(name, None);
                }
                Some(value) => {
                    // The class gives a mask without flags its own.
                    let lstrip = name == "mask_token" && mode != Mode::Hf5;
                    let mut token = file.token(name, value, lstrip)?;
                    let known = self.added.values().find(|t| t.content == token.content);
                    // transformers 5 takes the flags of the list; 4 knows the text alone.
                    if let (true, Some(known), false) =
                        (value.is_string(), known, mode == Mode::HfSlow)
                    {
                        token = known.clone();
                    }
                    token.special = true;
                    self.named.insert(name, Some(token));
                    if value.is_string() {
                        self.plain.insert(name);
                    } else {
                        self.plain.remove(name);
                    }
                }
            }
        }
        for key in ["additional_special_tokens", "extra_special_tokens"] {
            let tokens: Vec<&Value> = match file.get(key) {
                None => continue,
                Some(Value::Array(list)) => list.iter().collect(),
                Some(Value::Object(map)) => map.values().collect(),
                Some(other) => return Err(file.wrong(key, "a list of tokens", other)),
            };
            for value in tokens {
                let token = file.token(key, value, false)?;
                if !self
                    .additional
                    .iter()
                    .any(|known| known.content == token.content)
                {
                    self.additional.push(token);
                }
            }
        }
        Ok(())
    }

    /// Takes `added_tokens.json`.
    pub(crate) fn read_added(&mut self, file: &Document<'_>) -> Result<(), Error> {
        if self.has_decoder {
            return Ok(());
        }
        for (content, id) in &file.map {
            let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let number = number.ok_or_else(|| file.wrong(content, "a number", id))?;
            let mut named = self.named.values().flatten().chain(&self.additional);
            let special = named.find(|token| token.content == *content).cloned();
            let token = special.unwrap_or_else(|| AddedToken::new(content.as_str(), false));
            if let Some(other) = self.added.insert(number, token) {
                return Err(document::config_error(
                    file.path,
                    format!(
                        "the number {number} belongs to {} and to {}: expected one token each",
                        shown(&other.content),
                        shown(content)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The special tokens: those of the files, and the family's where the files say nothing.
    pub(crate) fn special_tokens(&self, wordpiece: bool, mode: Mode) -> SpecialTokens {
        let mut tokens = SpecialTokens::of_family(wordpiece, mode);
        for (name, token) in &self.named {
            *tokens.part_mut(name) = token.clone();
        }
        tokens.additional = self.additional.clone();
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn document(text: &str) -> Document<'static> {
        Document::parse(Path::new("tokenizer_config.json"), text.as_bytes()).unwrap()
    }

    #[test]
    fn the_published_file_is_read() {
        let file = document(
            r#"{"do_lower_case": true, "keep_accents": false, "remove_space": true,
            "mask_token": {"__type": "AddedToken", "content": "[MASK]", "lstrip": true,
            "normalized": false, "rstrip": false, "single_word": false},
            "model_max_length": 1000000000000000019884624838656, "pad_token": "<pad>",
            "padding_side": "left", "tokenizer_class": "AlbertTokenizer", "bos_token": null}"#,
        );
        let config = Config::read(&file, Mode::HfFast).unwrap();
        assert_eq!(config.do_lower_case, Some(true));
        assert_eq!(config.model_max_length, None);
        assert_eq!(config.padding_side, Some(Side::Left));
        let special = config.special_tokens(false, Mode::HfFast);
        let mask = special.mask.unwrap();
        assert!(mask.lstrip && mask.special && !mask.normalized);
        assert_eq!(
            (special.bos, special.eos.unwrap().content.as_str()),
            (None, "[SEP]")
        );
    }

    #[test]
    fn legacy_and_newer_keys() {
        let file = document(
            r#"{"max_len": 512, "additional_special_tokens": ["<a>"], "mask_token": "[MASK]",
            "extra_special_tokens": {"image": "<b>"}}"#,
        );
        let mut config = Config::read(&file, Mode::Hf5).unwrap();
        assert_eq!(config.model_max_length, Some(512));
        config
            .read_added(&document(r#"{"<a>": 11, "new": 12}"#))
            .unwrap();
        assert!(config.added[&11].special && !config.added[&12].special);
        assert!(config.added[&12].normalized);
        let special = config.special_tokens(false, Mode::Hf5);
        let texts: Vec<&str> = special.all().iter().map(|t| t.content.as_str()).collect();
        assert_eq!(
            texts,
            ["[CLS]", "[SEP]", "<unk>", "<pad>", "[MASK]", "<a>", "<b>"]
        );
        assert!(!special.mask.unwrap().lstrip);
        assert!(config.read_added(&document(r#"{"x": 12}"#)).is_err());
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, word) in [
            (r#"{"do_lower_case": 1}"#, "do_lower_case"),
            (r#"{"padding_side": "middle"}"#, "padding_side"),
            (r#"{"model_max_length": -1}"#, "model_max_length"),
            (r#"{"cls_token": {"text": "x"}}"#, "cls_token"),
            (r#"{"cls_token": ""}"#, "cls_token"),
            (
                r#"{"added_tokens_decoder": {"x": "y"}}"#,
                "added_tokens_decoder",
            ),
            (r#"{"model_input_names": [1]}"#, "model_input_names"),
        ] {
            let error = Config::read(&document(text), Mode::HfFast)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(word) && error.contains("expected"),
                "{text}: {error}"
            );
        }
        let path = Path::new("x.json");
        assert!(Document::parse(path, b"[]").is_err());
        assert!(Document::parse(path, &b"[".repeat(100_000)).is_err());
    }
}

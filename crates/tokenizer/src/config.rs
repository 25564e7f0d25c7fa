//! `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, shown};
use crate::mode::Mode;
use crate::options::Side;
use crate::token::AddedToken;

/// Above this a `model_max_length` means "no limit", as in transformers.
const NO_LIMIT: f64 = 1e20;

/// The special tokens by their part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpecialTokens {
    /// Beginning of a text; ALBERT's is its `[CLS]`.
    pub bos: Option<AddedToken>,
    /// End of a text; ALBERT's is its `[SEP]`.
    pub eos: Option<AddedToken>,
    /// What stands for unknown text.
    pub unk: Option<AddedToken>,
    /// Between and after sequences.
    pub sep: Option<AddedToken>,
    /// Padding.
    pub pad: Option<AddedToken>,
    /// Before the first sequence.
    pub cls: Option<AddedToken>,
    /// A gap to be filled.
    pub mask: Option<AddedToken>,
    /// Others (`additional_special_tokens`, `extra_special_tokens`).
    pub additional: Vec<AddedToken>,
}

/// Names in the files of transformers, in the order in which it lists them.
pub(crate) const PARTS: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

impl SpecialTokens {
    /// Those of ALBERT's SentencePiece vocabularies, or of WordPiece vocabularies.
    pub(crate) fn of_family(wordpiece: bool, mode: Mode) -> Self {
        let token = |content: &str| Some(AddedToken::new(content, true));
        // Only transformers 5 lets [MASK] leave the space before it.
        let mask = AddedToken {
            lstrip: !wordpiece && mode != Mode::Hf5,
            ..AddedToken::new("[MASK]", true)
        };
        Self {
            bos: (!wordpiece).then(|| AddedToken::new("[CLS]", true)),
            eos: (!wordpiece).then(|| AddedToken::new("[SEP]", true)),
            unk: token(if wordpiece { "[UNK]" } else { "<unk>" }),
            sep: token("[SEP]"),
            pad: token(if wordpiece { "[PAD]" } else { "<pad>" }),
            cls: token("[CLS]"),
            mask: Some(mask),
            additional: Vec::new(),
        }
    }

    pub(crate) fn part(&self, name: &str) -> Option<&AddedToken> {
        let part = match name {
            "bos_token" => &self.bos,
            "eos_token" => &self.eos,
            "unk_token" => &self.unk,
            "sep_token" => &self.sep,
            "pad_token" => &self.pad,
            "cls_token" => &self.cls,
            _ => &self.mask,
        };
        part.as_ref()
    }

    fn part_mut(&mut self, name: &str) -> &mut Option<AddedToken> {
        match name {
            "bos_token" => &mut self.bos,
            "eos_token" => &mut self.eos,
            "unk_token" => &mut self.unk,
            "sep_token" => &mut self.sep,
            "pad_token" => &mut self.pad,
            "cls_token" => &mut self.cls,
            _ => &mut self.mask,
        }
    }

    /// All of them, each once, named parts first.
    #[must_use]
    pub fn all(&self) -> Vec<&AddedToken> {
        let mut all: Vec<&AddedToken> = Vec::new();
        let named = PARTS.iter().filter_map(|name| self.part(name));
        for token in named.chain(&self.additional) {
            if !all.iter().any(|known| known.content == token.content) {
                all.push(token);
            }
        }
        all
    }
}

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

/// One JSON file, with its name for messages.
pub(crate) struct Document<'a> {
    pub(crate) path: &'a Path,
    pub(crate) map: Map<String, Value>,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(path: &'a Path, bytes: &[u8]) -> Result<Self, Error> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self { path, map }),
            Ok(_) => Err(config_error(path, "expected a JSON object".into())),
            Err(error) => Err(config_error(path, format!("not JSON: {error}"))),
        }
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> Error {
        let found = shown(&found.to_string());
        config_error(
            self.path,
            format!("{key:?}: expected {expected}, found {found}"),
        )
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key)
            .map(|v| {
                v.as_bool()
                    .ok_or_else(|| self.wrong(key, "true or false", v))
            })
            .transpose()
    }

    fn side(&self, key: &str) -> Result<Option<Side>, Error> {
        self.get(key)
            .map(|value| match value.as_str() {
                Some("left") => Ok(Side::Left),
                Some("right") => Ok(Side::Right),
                _ => Err(self.wrong(key, "\"left\" or \"right\"", value)),
            })
            .transpose()
    }

    /// A number of tokens; `None` for one that is too large to mean anything.
    fn length(&self, key: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if number > NO_LIMIT => Ok(None),
            Some(number) if number >= 0.0 => Ok(Some(number as usize)),
            _ => Err(self.wrong(key, "a number of tokens", value)),
        }
    }

    /// A token as text or as an object with its flags; a text has `lstrip` where it is given.
    fn token(&self, key: &str, value: &Value, lstrip: bool) -> Result<AddedToken, Error> {
        let parsed = match value {
            Value::String(text) => AddedToken {
                lstrip,
                ..AddedToken::new(text.as_str(), true)
            },
            Value::Object(map) => {
                let flag = |name: &str, default: bool| match map.get(name) {
                    None | Some(Value::Null) => Ok(default),
                    Some(Value::Bool(flag)) => Ok(*flag),
                    Some(other) => {
                        Err(self.wrong(&format!("{key}.{name}"), "true or false", other))
                    }
                };
                let content = map.get("content").and_then(Value::as_str);
                AddedToken {
                    content: content
                        .ok_or_else(|| self.wrong(key, "a token with \"content\"", value))?
                        .to_owned(),
                    single_word: flag("single_word", false)?,
                    lstrip: flag("lstrip", false)?,
                    rstrip: flag("rstrip", false)?,
                    normalized: flag("normalized", false)?,
                    special: flag("special", true)?,
                }
            }
            other => return Err(self.wrong(key, "a token as text or object", other)),
        };
        if parsed.content.is_empty() {
            return Err(self.wrong(key, "a token with text", value));
        }
        Ok(parsed)
    }
}

fn config_error(path: &Path, problem: String) -> Error {
    Error::Config {
        path: path.to_owned(),
        problem,
    }
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
                return Err(config_error(
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

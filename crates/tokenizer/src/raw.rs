//! The engines of the SentencePiece family without the surface: for the tools that compare them
//! with their references, and for fuzzing.

use crate::{
    Error, Mode, SpieceModel,
    basic::{Basic, BasicOptions},
    convert::{self, ClassOptions},
    engine::{Cache, Engine, Pieces},
    google::Google,
    json::{Spec, WordPieceSpec},
    pipeline::{Pipeline, PipelineOptions},
    sampling::{Sampler, Sampling},
    sentencepiece::SentencePiece,
    slow::{Slow, SlowOptions},
    vocab_txt,
};
use std::sync::Arc;

/// One engine with its memory.
pub struct Raw {
    engine: Box<dyn Engine>,
    inner: Option<Arc<SentencePiece>>,
    cache: Cache,
    pieces: Pieces,
}

impl Raw {
    /// The engine of a mode: `sentencepiece`, `hf-slow`, `hf-slow-keep-accents` or `google` or
    /// `google-cased`.
    ///
    /// # Errors
    /// The model cannot be used.
    pub fn new(mode: &str, model: SpieceModel) -> Result<Self, Error> {
        let inner = Arc::new(SentencePiece::new(Arc::new(model))?);
        let engine: Box<dyn Engine> = match mode {
            "sentencepiece" => Box::new(SentencePiece::new(inner.file.clone())?),
            "google" => Box::new(Google::new(inner.clone(), true)),
            "google-cased" => Box::new(Google::new(inner.clone(), false)),
            "hf-slow" | "hf-slow-keep-accents" => Box::new(Slow::new(
                inner.clone(),
                SlowOptions {
                    keep_accents: mode == "hf-slow-keep-accents",
                    ..SlowOptions::default()
                },
            )),
            _ => {
                return Err(Error::Vocabulary {
                    problem: format!("mode {mode:?}: expected sentencepiece, hf-slow or google"),
                });
            }
        };
        Ok(Self {
            engine,
            inner: Some(inner),
            cache: Cache::default(),
            pieces: Pieces::default(),
        })
    }

    /// An engine of the tokenizers family. `mode` is `hf-fast` or `hf5`, with `+keep-accents`,
    /// `+cased`, `+no-prefix`, `+split-special`, `+exact` (scores as they stand in the file) or
    /// `+general` (no fast way) behind it; `bytes` are a tokenizer.json or a spiece.model.
    ///
    /// # Errors
    /// The file cannot be used, or there is no such mode.
    pub fn tokenizers(mode: &str, bytes: &[u8]) -> Result<Self, Error> {
        let has = |flag: &str| mode.split('+').any(|word| word == flag);
        let options = PipelineOptions {
            split_special: has("split-special"),
            exact_scores: has("hf5") || has("exact"),
            general_only: has("general"),
        };
        Ok(Self {
            engine: Box::new(Pipeline::new(&spec(mode, bytes)?, options)?),
            inner: None,
            cache: Cache::default(),
            pieces: Pieces::default(),
        })
    }

    /// The engine of `google` or `hf-slow` (or `…+cased`) over a vocab.txt.
    ///
    /// # Errors
    /// The file cannot be used, or there is no such mode.
    pub fn vocab_txt(mode: &str, bytes: &[u8]) -> Result<Self, Error> {
        let (base, flags) = mode.split_once('+').unwrap_or((mode, ""));
        let google = base == "google";
        let kind = if google { Mode::Google } else { Mode::HfSlow };
        let vocab = vocab_txt::parse(bytes, kind)?;
        let specials = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
        let tokens = vocab
            .iter()
            .filter(|(text, _)| !google && specials.contains(&text.as_str()));
        let tokens: Vec<(String, u32)> = tokens.cloned().collect();
        let options = BasicOptions {
            do_lower_case: flags != "cased",
            strip_accents: None,
            tokenize_chinese_chars: true,
            special: tokens.iter().map(|(_, id)| *id).collect(),
            tokens,
            google,
        };
        let spec = WordPieceSpec {
            unk_token: "[UNK]".to_owned(),
            continuing_subword_prefix: "##".to_owned(),
            max_input_chars_per_word: if google { 200 } else { 100 },
            vocab,
        };
        Ok(Self {
            engine: Box::new(Basic::new(&spec, options)?),
            inner: None,
            cache: Cache::default(),
            pieces: Pieces::default(),
        })
    }

    /// The tokenizer.json of such an engine.
    ///
    /// # Errors
    /// The file cannot be used, or there is no such mode.
    pub fn tokenizer_json(mode: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(spec(mode, bytes)?.to_bytes())
    }

    /// The piece with this number.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&str> {
        self.engine.token(id)
    }

    /// Appends ids.
    pub fn ids(&mut self, text: &str, out: &mut Vec<u32>) {
        self.engine.encode_ids(text, &mut self.cache, out);
    }

    /// Ids, offsets and texts of unknown runs.
    pub fn pieces(&mut self, text: &str) -> &Pieces {
        self.pieces.clear();
        self.engine.encode(text, &mut self.cache, &mut self.pieces);
        &self.pieces
    }

    /// The best segmentations of plain SentencePiece with their scores.
    pub fn n_best(&mut self, text: &str, count: usize) -> Vec<(Pieces, f32)> {
        match &self.inner {
            Some(inner) => inner.n_best(text, count, &mut Cache::default()),
            None => Vec::new(),
        }
    }

    /// One segmentation drawn at random.
    pub fn sample(&mut self, text: &str, sampling: Sampling, number: u64) -> &Pieces {
        self.pieces.clear();
        let mut sampler = Sampler::new(sampling, number);
        self.engine
            .sample(text, &mut sampler, &mut self.cache, &mut self.pieces);
        &self.pieces
    }

    /// Text of ids.
    #[must_use]
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.engine.decode(ids, skip_special)
    }
}

fn spec(mode: &str, bytes: &[u8]) -> Result<Spec, Error> {
    let has = |flag: &str| mode.split('+').any(|word| word == flag);
    let named = [
        "[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]",
    ];
    let tokens = named.map(|name| crate::token::AddedToken {
        lstrip: name == "[MASK]" && !has("hf5"),
        ..crate::token::AddedToken::new(name, true)
    });
    let options = ClassOptions {
        do_lower_case: !has("cased"),
        keep_accents: has("keep-accents"),
        add_prefix_space: !has("no-prefix"),
        specials: tokens.iter().collect(),
        cls: "[CLS]",
        sep: "[SEP]",
    };
    let json = bytes.trim_ascii_start().first() == Some(&b'{');
    match (mode.split('+').next().unwrap_or_default(), json) {
        ("hf-fast", true) => Spec::parse(bytes),
        ("hf-fast", false) => convert::hf_fast(&SpieceModel::parse(bytes)?, &options),
        ("hf5", true) => convert::hf5_from_json(&Spec::parse(bytes)?, &options),
        ("hf5", false) => convert::hf5_from_spiece(&SpieceModel::parse(bytes)?, &options),
        _ => Err(Error::Vocabulary {
            problem: format!("mode {mode:?}: expected hf-fast or hf5"),
        }),
    }
}

/// What our versions of Python's string methods make of a character: a line for
/// tools/tokenizer_unicode.py.
#[must_use]
pub fn python_row(character: char) -> String {
    use crate::python;
    let lower = |text: &str| {
        let mut out = String::new();
        for character in text.chars() {
            if character == 'Σ' {
                out.push(character);
            } else {
                python::lower(character, |character| out.push(character));
            }
        }
        python::lower_sigmas(&mut out);
        out
    };
    let hexed = |text: &str| {
        let codes: Vec<String> = text
            .chars()
            .map(|character| format!("{:x}", u32::from(character)))
            .collect();
        codes.join(" ")
    };
    let mut stripped = String::new();
    python::strip_accents(character, |part| stripped.push(part));
    let text = character.to_string();
    let before = lower(&format!("a{character}Σ")).ends_with('ς');
    let behind = lower(&format!("aΣ{character}b")).chars().nth(1) == Some('ς');
    format!(
        "{:x}\t{}\t{}\t{}\t{}\t{}\t{}",
        u32::from(character),
        hexed(&lower(&text)),
        u8::from(before),
        u8::from(behind),
        hexed(&stripped),
        u8::from(python::is_space(character)),
        u8::from(python::is_digit(character)),
    )
}

//! From the files of a folder to the engine of a mode.

mod family;

use std::path::Path;
use std::sync::Arc;

use crate::basic::{Basic, BasicOptions};
use crate::config::{Config, SpecialTokens};
use crate::convert::{self, ClassOptions};
use crate::engine::Engine;
use crate::error::Error;
use crate::files::{Vocabulary, read};
use crate::json::{self, Spec};
use crate::mode::Mode;
use crate::pipeline::{Pipeline, PipelineOptions};
use crate::sentencepiece::SentencePiece;
use crate::spiece::SpieceModel;
use crate::template::{Part, Template};
use crate::token::AddedToken;
use crate::tokenizer::Inner;
use crate::vocab_txt;
use family::sentencepiece_family;

/// The parts of a tokenizer that depend on its vocabulary.
pub(crate) struct Built {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) template: Template,
    pub(crate) special: SpecialTokens,
    pub(crate) spec: Option<Arc<Spec>>,
    pub(crate) spiece: Option<Arc<SpieceModel>>,
    pub(crate) sentencepiece: Option<Arc<SentencePiece>>,
    pub(crate) wordpiece: bool,
    /// Tokens that are recognised as a whole, with their numbers.
    pub(crate) added: Vec<(u32, AddedToken)>,
    /// Entries of the vocabulary without added tokens.
    pub(crate) base_size: usize,
}

/// Reads the vocabulary and builds what the mode needs. `given` is what the caller named.
pub(crate) fn build(
    given: &Path,
    vocabulary: &Vocabulary,
    mode: Mode,
    config: &Config,
) -> Result<Built, Error> {
    let path = vocabulary.path();
    let bytes = read(path)?;
    let check = |wordpiece: bool, has: &dyn Fn(&str) -> bool| {
        let numbered = |content: &str| config.added.values().any(|known| known.content == content);
        let special = config.special_tokens(wordpiece, mode);
        check_special(given, &special, |content| has(content) || numbered(content))
    };
    let built = || match vocabulary {
        Vocabulary::Json(_) => {
            let spec = Spec::parse(&bytes)?;
            let wordpiece = matches!(spec.model, json::Model::WordPiece(_));
            check(wordpiece, &|content| spec_has(&spec, content))?;
            from_spec(spec, mode, config)
        }
        Vocabulary::Spiece(_) => {
            let model = SpieceModel::parse(&bytes)?;
            let has = |content: &str| model.pieces.iter().any(|piece| &*piece.text == content);
            check(false, &has)?;
            from_spiece(model, mode, config)
        }
        Vocabulary::WordPiece(_) => {
            let vocab = vocab_txt::parse(&bytes, mode)?;
            check(true, &|content| {
                vocab.iter().any(|(token, _)| token == content)
            })?;
            from_words(vocab, mode, config)
        }
    };
    built().map_err(|error| match error {
        Error::Foreign { .. } => error,
        error => Error::in_file(path)(error),
    })
}

fn spec_has(spec: &Spec, content: &str) -> bool {
    let mut added = spec.added_tokens.iter();
    added.any(|token| token.content == content)
        || match &spec.model {
            json::Model::Unigram(model) => model.vocab.iter().any(|(piece, _)| piece == content),
            json::Model::WordPiece(model) => model.vocab.iter().any(|(token, _)| token == content),
        }
}

fn from_spec(spec: Spec, mode: Mode, config: &Config) -> Result<Built, Error> {
    let wordpiece = matches!(spec.model, json::Model::WordPiece(_));
    let special = config.special_tokens(wordpiece, mode);
    let spec = match (mode, spec.model) {
        (Mode::Hf5, json::Model::WordPiece(model)) => Spec {
            added_tokens: spec.added_tokens,
            template: spec.template,
            truncation: spec.truncation,
            padding: spec.padding,
            ..vocab_txt::bert(model.vocab, &special, mode, config)
        },
        (Mode::Hf5, model) => {
            let spec = Spec { model, ..spec };
            convert::hf5_from_json(&spec, &class_options(&special, config))?
        }
        (_, model) => Spec { model, ..spec },
    };
    // The library reads scores in its own way, transformers 5 with Python's float.
    let exact = mode == Mode::Hf5;
    pipeline(spec, special, pipeline_options(exact, config), None)
}

fn pipeline_options(exact_scores: bool, config: &Config) -> PipelineOptions {
    PipelineOptions {
        exact_scores,
        split_special: config.split_special_tokens.unwrap_or(false),
        ..PipelineOptions::default()
    }
}

fn class_options<'a>(special: &'a SpecialTokens, config: &Config) -> ClassOptions<'a> {
    let content = |name, default: &'static str| {
        special
            .part(name)
            .map_or(default, |token| token.content.as_str())
    };
    ClassOptions {
        do_lower_case: config.do_lower_case.unwrap_or(true),
        keep_accents: config.keep_accents.unwrap_or(false),
        add_prefix_space: config.add_prefix_space.unwrap_or(true),
        specials: special.all(),
        cls: content("cls_token", "[CLS]"),
        sep: content("sep_token", "[SEP]"),
    }
}

fn pipeline(
    spec: Spec,
    special: SpecialTokens,
    options: PipelineOptions,
    spiece: Option<Arc<SpieceModel>>,
) -> Result<Built, Error> {
    let wordpiece = matches!(spec.model, json::Model::WordPiece(_));
    let engine: Arc<dyn Engine> = Arc::new(Pipeline::new(&spec, options)?);
    Ok(Built {
        added: spec.added_tokens.iter().map(added_token).collect(),
        base_size: match &spec.model {
            json::Model::Unigram(model) => model.vocab.len(),
            json::Model::WordPiece(model) => model.vocab.len(),
        },
        engine,
        template: spec.template.as_ref().map_or_else(Template::bare, template),
        special,
        spec: Some(Arc::new(spec)),
        spiece,
        sentencepiece: None,
        wordpiece,
    })
}

/// Builds what the mode needs of a SentencePiece model.
pub(crate) fn from_spiece(model: SpieceModel, mode: Mode, config: &Config) -> Result<Built, Error> {
    let model = Arc::new(model);
    let special = config.special_tokens(false, mode);
    let convert = match mode {
        Mode::HfFast => convert::hf_fast,
        Mode::Hf5 => convert::hf5_from_spiece,
        Mode::HfSlow | Mode::Google | Mode::SentencePiece => {
            return sentencepiece_family(model, special, mode, config);
        }
    };
    let mut options = class_options(&special, config);
    // Tokens that the files number come below, with their numbers.
    let numbered = |content: &str| config.added.values().any(|known| known.content == content);
    options.specials.retain(|token| !numbered(&token.content));
    let mut spec = convert(&model, &options)?;
    add(
        &mut spec,
        config.added.iter().map(|(id, token)| (*id, token)),
    );
    pipeline(spec, special, pipeline_options(true, config), Some(model))
}

/// Appends added tokens that are not there yet.
fn add<'a>(spec: &mut Spec, tokens: impl Iterator<Item = (u32, &'a AddedToken)>) {
    for (id, token) in tokens {
        if spec
            .added_tokens
            .iter()
            .all(|known| known.content != token.content)
        {
            spec.added_tokens.push(json_token(id, token));
        }
    }
}

fn added_token(token: &json::AddedToken) -> (u32, AddedToken) {
    let flags = AddedToken {
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    };
    (token.id, flags)
}

fn json_token(id: u32, token: &AddedToken) -> json::AddedToken {
    json::AddedToken {
        id,
        content: token.content.clone(),
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}

fn from_words(vocab: Vec<(String, u32)>, mode: Mode, config: &Config) -> Result<Built, Error> {
    let special = config.special_tokens(true, mode);
    let mut spec = vocab_txt::bert(vocab, &special, mode, config);
    let added = config.added.iter().map(|(id, token)| (*id, token));
    add(&mut spec, added);
    words(spec, special, mode, config)
}

/// A WordPiece vocabulary read from `vocab.txt`.
fn words(spec: Spec, special: SpecialTokens, mode: Mode, config: &Config) -> Result<Built, Error> {
    let (json::Model::WordPiece(model), true) = (&spec.model, mode.is_slow()) else {
        return pipeline(spec, special, pipeline_options(true, config), None);
    };
    let added = spec.added_tokens.iter();
    let tokens: Vec<(String, u32)> = added.map(|t| (t.content.clone(), t.id)).collect();
    let ids = |content: &str| {
        let added = tokens.iter().find(|(known, _)| known == content);
        let entry = model.vocab.iter().find(|(known, _)| known == content);
        added.or(entry).map(|(_, id)| *id)
    };
    let special_ids = special
        .all()
        .into_iter()
        .filter_map(|token| ids(&token.content));
    let options = BasicOptions {
        do_lower_case: config.do_lower_case.unwrap_or(true),
        strip_accents: config.strip_accents,
        tokenize_chinese_chars: config.tokenize_chinese_chars.unwrap_or(true),
        special: special_ids.collect(),
        google: mode == Mode::Google,
        tokens,
    };
    let engine: Arc<dyn Engine> = Arc::new(Basic::new(model, options)?);
    Ok(Built {
        template: around(engine.as_ref(), &special),
        engine,
        special,
        added: spec.added_tokens.iter().map(added_token).collect(),
        base_size: model.vocab.len(),
        spec: Some(Arc::new(spec)),
        spiece: None,
        sentencepiece: None,
        wordpiece: true,
    })
}

/// The same tokenizer with more added tokens, of which `added` is the whole list.
pub(crate) fn with_added(
    inner: &Inner,
    special: SpecialTokens,
    added: Vec<(u32, AddedToken)>,
) -> Result<Built, Error> {
    let (config, mode) = (&inner.config, inner.mode);
    match (&inner.source.spec, &inner.source.spiece, mode) {
        (Some(spec), spiece, _) => {
            let mut spec = Spec::clone(spec);
            spec.added_tokens = added
                .iter()
                .map(|(id, token)| json_token(*id, token))
                .collect();
            if mode.is_slow() {
                return words(spec, special, mode, config);
            }
            let read_by_library =
                matches!(inner.source.vocabulary, Vocabulary::Json(_)) && mode == Mode::HfFast;
            pipeline(
                spec,
                special,
                pipeline_options(!read_by_library, config),
                spiece.clone(),
            )
        }
        (None, Some(model), Mode::HfSlow) => {
            let mut config = config.clone();
            config.added = added.into_iter().collect();
            sentencepiece_family(model.clone(), special, mode, &config)
        }
        _ => Err(Error::Mode {
            mode: mode.name(),
            problem: "the reference knows no added tokens: choose hf-fast, hf5 or hf-slow".into(),
        }),
    }
}

/// `[CLS]` and `[SEP]` around sequences; nothing where the vocabulary lacks one, which
/// [`check_special`] refuses.
fn around(engine: &dyn Engine, special: &SpecialTokens) -> Template {
    let id = |name| {
        special
            .part(name)
            .and_then(|token| engine.id(&token.content))
    };
    match (id("cls_token"), id("sep_token")) {
        (Some(cls), Some(sep)) => Template::albert(cls, sep),
        _ => Template::bare(),
    }
}

fn template(file: &json::Template) -> Template {
    let parts = |pieces: &[json::TemplatePiece]| {
        let part = |piece: &json::TemplatePiece| match piece {
            json::TemplatePiece::Special { ids, type_id, .. } => Part::Special {
                ids: ids.clone(),
                type_id: *type_id,
            },
            json::TemplatePiece::Sequence { side, type_id } => Part::Sequence {
                second: *side == json::Side::B,
                type_id: *type_id,
            },
        };
        pieces.iter().map(part).collect()
    };
    Template {
        single: parts(&file.single),
        pair: parts(&file.pair),
    }
}

/// Refuses a vocabulary without ALBERT's special tokens.
fn check_special(
    given: &Path,
    special: &SpecialTokens,
    has: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let missing: Vec<&str> = ["cls_token", "sep_token", "mask_token"]
        .into_iter()
        .filter_map(|name| special.part(name))
        .map(|token| token.content.as_str())
        .filter(|content| !has(content))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Foreign {
        path: given.to_owned(),
        problem: format!(
            "the vocabulary has no {}: expected the special tokens [CLS], [SEP] and [MASK], or \
             others that tokenizer_config.json names; give the folder of an ALBERT model",
            missing.join(", no ")
        ),
    })
}

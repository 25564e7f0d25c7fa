//! From the files of a folder to the engine of a mode.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Config, SpecialTokens};
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

/// The parts of a tokenizer that depend on its vocabulary.
pub(crate) struct Built {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) template: Template,
    pub(crate) special: SpecialTokens,
    pub(crate) spec: Option<Arc<Spec>>,
    pub(crate) spiece: Option<Arc<SpieceModel>>,
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
    let built = match vocabulary {
        Vocabulary::Json(_) => Spec::parse(&bytes).and_then(|spec| from_spec(spec, mode, config)),
        Vocabulary::Spiece(_) => {
            SpieceModel::parse(&bytes).and_then(|model| from_spiece(model, mode, config))
        }
        Vocabulary::WordPiece(_) => from_words(&bytes, mode, config),
    };
    let built = built.map_err(Error::in_file(path))?;
    check_special(given, &built)?;
    Ok(built)
}

fn from_spec(spec: Spec, mode: Mode, config: &Config) -> Result<Built, Error> {
    let wordpiece = matches!(spec.model, json::Model::WordPiece(_));
    let special = config.special_tokens(wordpiece, mode);
    pipeline(spec, special, None, wordpiece)
}

fn pipeline(
    spec: Spec,
    special: SpecialTokens,
    spiece: Option<Arc<SpieceModel>>,
    wordpiece: bool,
) -> Result<Built, Error> {
    let engine: Arc<dyn Engine> = Arc::new(Pipeline::new(&spec, PipelineOptions::default())?);
    let added = spec.added_tokens.iter().map(|token| {
        let json::AddedToken {
            id,
            ref content,
            single_word,
            lstrip,
            rstrip,
            normalized,
            special,
        } = *token;
        let content = content.clone();
        (
            id,
            AddedToken {
                content,
                single_word,
                lstrip,
                rstrip,
                normalized,
                special,
            },
        )
    });
    Ok(Built {
        added: added.collect(),
        base_size: match &spec.model {
            json::Model::Unigram(model) => model.vocab.len(),
            json::Model::WordPiece(model) => model.vocab.len(),
        },
        engine,
        template: spec.template.as_ref().map_or_else(Template::bare, template),
        special,
        spec: Some(Arc::new(spec)),
        spiece,
        wordpiece,
    })
}

fn from_spiece(model: SpieceModel, mode: Mode, config: &Config) -> Result<Built, Error> {
    let model = Arc::new(model);
    let special = config.special_tokens(false, mode);
    let engine: Arc<dyn Engine> = match mode {
        Mode::SentencePiece => Arc::new(SentencePiece::new(model.clone())?),
        _ => {
            return Err(Error::Mode {
                mode: mode.name(),
                problem: "not built yet".into(),
            });
        }
    };
    Ok(Built {
        template: around(engine.as_ref(), &special),
        engine,
        special,
        added: Vec::new(),
        base_size: model.pieces.len(),
        spec: None,
        spiece: Some(model),
        wordpiece: false,
    })
}

fn from_words(_bytes: &[u8], mode: Mode, _config: &Config) -> Result<Built, Error> {
    Err(Error::Mode {
        mode: mode.name(),
        problem: "not built yet".into(),
    })
}

/// `[CLS]` and `[SEP]` around sequences; nothing where the vocabulary lacks one, which
/// [`check_special`] refuses.
fn around(engine: &dyn Engine, special: &SpecialTokens) -> Template {
    let id = |name| special.part(name).and_then(|token| engine.id(&token.content));
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
fn check_special(given: &Path, built: &Built) -> Result<(), Error> {
    let missing: Vec<&str> = ["cls_token", "sep_token", "mask_token"]
        .into_iter()
        .filter_map(|name| built.special.part(name))
        .map(|token| token.content.as_str())
        .filter(|content| built.engine.id(content).is_none())
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

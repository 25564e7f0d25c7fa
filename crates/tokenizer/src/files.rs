//! Which files of a folder make a tokenizer, and whether they are ALBERT's.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::build::{self, Built};
use crate::config::{Config, Document};
use crate::error::{Error, shown};
use crate::json::Spec;
use crate::mode::Mode;
use crate::spiece::SpieceModel;
use crate::tokenizer::Inner;

/// What a caller may choose when a tokenizer is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Whose behaviour it gets.
    pub mode: Mode,
    /// Lower-case texts; `None`: as the files say, else yes.
    pub do_lower_case: Option<bool>,
    /// Keep accents; `None`: as the files say, else no.
    pub keep_accents: Option<bool>,
    /// Make one space of every run of white space (mode `hf-slow`); `None`: as the files say, else yes.
    pub remove_space: Option<bool>,
    /// Take the space before punctuation out of decoded text; `None`: as the files say, else as
    /// the mode's reference does.
    pub clean_up_tokenization_spaces: Option<bool>,
}

impl LoadOptions {
    /// The files' own settings, in this mode.
    #[must_use]
    pub fn mode(mode: Mode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }
}

/// The file with the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    Json(PathBuf),
    Spiece(PathBuf),
    WordPiece(PathBuf),
}

impl Vocabulary {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Json(path) | Self::Spiece(path) | Self::WordPiece(path) => path,
        }
    }
}

/// Where a tokenizer came from, for saving it.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) vocabulary: Vocabulary,
    /// The pipeline of the modes `hf-fast` and `hf5`.
    pub(crate) spec: Option<Arc<Spec>>,
    /// `spiece.model`, where it was read.
    pub(crate) spiece: Option<Arc<SpieceModel>>,
    /// `spiece.model` and `vocab.txt` of the folder, where another file was read.
    pub(crate) beside: Vec<PathBuf>,
    /// Whether the vocabulary is WordPiece.
    pub(crate) wordpiece: bool,
    /// Tokens were added after loading.
    pub(crate) changed: bool,
}

/// Names of a SentencePiece model: transformers', then Google's.
const SPIECE: [&str; 2] = ["spiece.model", "30k-clean.model"];

/// Reads a folder or a single file.
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<Inner, Error> {
    let (vocabulary, beside, mut config) = if path.is_dir() {
        let config = read_config(path, options.mode)?;
        check_class(path, &config)?;
        let (vocabulary, beside) = choose(path, options.mode, &config)?;
        (vocabulary, beside, config)
    } else {
        (single(path)?, Vec::new(), Config::none())
    };
    check_mode(&vocabulary, options.mode)?;
    choose_options(&mut config, options);
    let built = build::build(path, &vocabulary, options.mode, &config)?;
    Ok(join(built, vocabulary, beside, config, options))
}

/// A tokenizer of a model in memory, with nothing configured but `options`.
pub(crate) fn from_spiece(model: SpieceModel, options: &LoadOptions) -> Result<Inner, Error> {
    let mut config = Config::none();
    choose_options(&mut config, options);
    let vocabulary = Vocabulary::Spiece(PathBuf::from(SPIECE[0]));
    let built = build::from_spiece(model, options.mode, &config)?;
    Ok(join(built, vocabulary, Vec::new(), config, options))
}

fn choose_options(config: &mut Config, options: &LoadOptions) {
    config.do_lower_case = options.do_lower_case.or(config.do_lower_case);
    config.keep_accents = options.keep_accents.or(config.keep_accents);
    config.remove_space = options.remove_space.or(config.remove_space);
    config.clean_up_tokenization_spaces = options
        .clean_up_tokenization_spaces
        .or(config.clean_up_tokenization_spaces);
}

fn join(
    built: Built,
    vocabulary: Vocabulary,
    beside: Vec<PathBuf>,
    config: Config,
    options: &LoadOptions,
) -> Inner {
    let Built {
        engine,
        template,
        special,
        spec,
        spiece,
        sentencepiece,
        wordpiece,
        added,
        base_size,
    } = built;
    let source = Source {
        vocabulary,
        spec,
        spiece,
        beside,
        wordpiece,
        changed: false,
    };
    Inner {
        mode: options.mode,
        engine,
        template,
        special,
        config,
        source,
        sentencepiece,
        added,
        base_size,
        caches: Mutex::new(Vec::new()),
    }
}

/// Reads a file, but not one that is no tokenizer's.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    const LIMIT: u64 = 1 << 30;
    let file = File::open(path).map_err(Error::io("open", path))?;
    let metadata = file.metadata().map_err(Error::io("read", path))?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return Err(Error::Config {
            path: path.to_owned(),
            problem: format!(
                "expected a regular file of at most {LIMIT} bytes, found {} bytes: give a \
                 tokenizer's own file",
                metadata.len()
            ),
        });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    Ok(bytes)
}

fn read_config(folder: &Path, mode: Mode) -> Result<Config, Error> {
    let path = |name| Some(folder.join(name)).filter(|path| path.is_file());
    let mut config = Config::none();
    if let Some(path) = path("tokenizer_config.json") {
        config = Config::read(&Document::parse(&path, &read(&path)?)?, mode)?;
    }
    if let Some(path) = path("special_tokens_map.json") {
        config.read_special(&Document::parse(&path, &read(&path)?)?, mode)?;
    }
    if let Some(path) = path("added_tokens.json") {
        config.read_added(&Document::parse(&path, &read(&path)?)?)?;
    }
    if let (None, Some(path)) = (&config.tokenizer_class, path("config.json")) {
        let model = Document::parse(&path, &read(&path)?)?;
        let named = |key: &str| model.map.get(key).and_then(serde_json::Value::as_str);
        if let Some(class) = named("tokenizer_class") {
            config.tokenizer_class = Some(class.to_owned());
        } else if let Some(kind) = named("model_type").filter(|kind| !is_our_model(kind)) {
            return Err(Error::Foreign {
                path: folder.to_owned(),
                problem: format!(
                    "config.json has model_type {}: expected \"albert\"; give the folder of an \
                     ALBERT model",
                    shown(kind)
                ),
            });
        }
    }
    Ok(config)
}

/// Models that use ALBERT's tokenizer or, for Chinese ALBERT, BERT's.
fn is_our_model(kind: &str) -> bool {
    ["albert", "bert", "yoso"].contains(&kind)
}

/// Whether a class of transformers is BERT's.
fn is_bert(class: &str) -> bool {
    ["BertTokenizer", "BertTokenizerFast"].contains(&class)
}

fn check_class(folder: &Path, config: &Config) -> Result<(), Error> {
    const GENERIC: [&str; 5] = [
        "AlbertTokenizer",
        "AlbertTokenizerFast",
        "PreTrainedTokenizerFast",
        "PreTrainedTokenizer",
        "TokenizersBackend",
    ];
    match &config.tokenizer_class {
        Some(class) if !GENERIC.contains(&class.as_str()) && !is_bert(class) => {
            Err(Error::Foreign {
                path: folder.to_owned(),
                problem: format!(
                    "tokenizer_config.json names the class {}: expected AlbertTokenizer, or \
                     BertTokenizer for Chinese ALBERT; give the folder of an ALBERT model",
                    shown(class)
                ),
            })
        }
        _ => Ok(()),
    }
}

/// The file that the mode reads, and those beside it.
fn choose(folder: &Path, mode: Mode, config: &Config) -> Result<(Vocabulary, Vec<PathBuf>), Error> {
    let find = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let bert = config.tokenizer_class.as_deref().is_some_and(is_bert);
    let spiece = SPIECE.iter().find_map(|name| find(name)).filter(|_| !bert);
    let (json, words) = (find("tokenizer.json"), find("vocab.txt"));
    let fast = matches!(mode, Mode::HfFast | Mode::Hf5);
    let candidates = [
        json.clone().filter(|_| fast).map(Vocabulary::Json),
        spiece.clone().map(Vocabulary::Spiece),
        words.clone().map(Vocabulary::WordPiece),
    ];
    let Some(chosen) = candidates.into_iter().flatten().next() else {
        let wanted = match (fast, mode) {
            (true, _) => "tokenizer.json, spiece.model or vocab.txt",
            (_, Mode::SentencePiece) => "spiece.model",
            _ => "spiece.model or vocab.txt",
        };
        let found = match json {
            Some(_) => "found tokenizer.json alone, which the modes hf-fast and hf5 read",
            None => "found none of them; copy the tokenizer's files beside config.json",
        };
        return Err(Error::Missing {
            path: folder.to_owned(),
            problem: format!("mode {mode} looks for {wanted}, {found}"),
        });
    };
    let beside = [spiece, words].into_iter().flatten();
    let beside = beside.filter(|path| path != chosen.path()).collect();
    Ok((chosen, beside))
}

/// A file by its name.
fn single(path: &Path) -> Result<Vocabulary, Error> {
    if !path.exists() {
        return Err(Error::Missing {
            path: path.to_owned(),
            problem: "no such file or folder; give a folder with tokenizer.json, spiece.model or \
                      vocab.txt, or one of these files"
                .into(),
        });
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("json") => Ok(Vocabulary::Json(path.to_owned())),
        Some("model") => Ok(Vocabulary::Spiece(path.to_owned())),
        Some("txt" | "vocab") => Ok(Vocabulary::WordPiece(path.to_owned())),
        _ => Err(Error::Missing {
            path: path.to_owned(),
            problem: "expected a name that ends with .model (SentencePiece), .json \
                      (tokenizer.json) or .txt (WordPiece vocabulary)"
                .into(),
        }),
    }
}

fn check_mode(vocabulary: &Vocabulary, mode: Mode) -> Result<(), Error> {
    let fails = |problem: &str| {
        Err(Error::Mode {
            mode: mode.name(),
            problem: format!("{}: {problem}", vocabulary.path().display()),
        })
    };
    match (vocabulary, mode) {
        (Vocabulary::Json(_), Mode::HfSlow | Mode::Google | Mode::SentencePiece) => {
            fails("a tokenizer.json is read by the modes hf-fast and hf5 alone: give spiece.model")
        }
        (Vocabulary::WordPiece(_), Mode::SentencePiece) => {
            fails("a WordPiece vocabulary is not SentencePiece's: choose another mode")
        }
        _ => Ok(()),
    }
}

//! [`AlbertTokenizer`]: text to ids and back, in the manner of one reference.

mod vocabulary;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::assemble::{self, Defaults, Plan};
use crate::batch;
use crate::config::{Config, SpecialTokens};
use crate::encoding::Encoding;
use crate::engine::{Cache, Engine};
use crate::error::Error;
use crate::files::{self, LoadOptions, Source};
use crate::mode::Mode;
use crate::options::{EncodeOptions, Input, PadTo};
use crate::pad::{self, Filling};
use crate::sampling::{Sampler, Sampling};
use crate::sentencepiece::SentencePiece;
use crate::spiece::SpieceModel;
use crate::template::{Part, Template};
use crate::token::AddedToken;

/// A tokenizer: cheap to clone, and usable from any number of threads.
///
/// ```no_run
/// use albert_tokenizer::{AlbertTokenizer, EncodeOptions, LoadOptions};
///
/// let tokenizer = AlbertTokenizer::from_pretrained("albert-base-v2", LoadOptions::default())?;
/// let encoding = tokenizer.encode("Hello, my dog is cute", &EncodeOptions::default())?;
/// assert_eq!(encoding.ids, [2, 10975, 15, 51, 1952, 25, 10901, 3]);
/// assert_eq!(tokenizer.decode(&encoding.ids, true), "hello, my dog is cute");
/// # Ok::<(), albert_tokenizer::Error>(())
/// ```
#[derive(Clone)]
pub struct AlbertTokenizer {
    inner: Arc<Inner>,
}

/// What a tokenizer consists of.
pub(crate) struct Inner {
    pub(crate) mode: Mode,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) template: Template,
    pub(crate) special: SpecialTokens,
    pub(crate) config: Config,
    pub(crate) source: Source,
    /// The model of the SentencePiece family.
    pub(crate) sentencepiece: Option<Arc<SentencePiece>>,
    /// Tokens that are recognised as a whole, with their numbers.
    pub(crate) added: Vec<(u32, AddedToken)>,
    /// Entries of the vocabulary without added tokens.
    pub(crate) base_size: usize,
    /// Memories that no call uses at the moment.
    pub(crate) caches: Mutex<Vec<Cache>>,
}

impl std::fmt::Debug for AlbertTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlbertTokenizer")
            .field("mode", &self.inner.mode)
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

/// Loading and saving.
impl AlbertTokenizer {
    /// Reads a model folder, or a single `spiece.model`, `tokenizer.json` or `vocab.txt`.
    ///
    /// # Errors
    /// Files are missing or damaged, are those of another model, or are not enough for the mode.
    pub fn from_pretrained(path: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        Ok(Self::new(files::load(path.as_ref(), &options)?))
    }

    /// A tokenizer of a SentencePiece model in memory, with ALBERT's special tokens.
    ///
    /// # Errors
    /// The model lacks what the mode needs.
    pub fn from_spiece(model: SpieceModel, options: LoadOptions) -> Result<Self, Error> {
        Ok(Self::new(files::from_spiece(model, &options)?))
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Writes the files of this tokenizer into a folder, each complete or not at all, so that
    /// transformers 4 and 5 and SentencePiece load it again. The folder is made where it is missing.
    ///
    /// # Errors
    /// A file cannot be written, or the file that was loaded is gone.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        crate::save::save(&self.inner, folder.as_ref())
    }
}

/// Text to ids.
impl AlbertTokenizer {
    /// Encodes a text, a pair, or words.
    ///
    /// # Errors
    /// The options contradict each other, or the input is too short for the truncation asked for.
    pub fn encode<'a>(
        &self,
        input: impl Into<Input<'a>>,
        options: &EncodeOptions,
    ) -> Result<Encoding, Error> {
        self.encode_one(&input.into(), options, None)
    }

    /// Encodes with one segmentation drawn from many (subword regularisation). `number` tells
    /// inputs apart: equal seeds, numbers and inputs give equal results, on any thread.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and where the mode's reference draws nothing (`hf-fast`,
    /// `hf5`, WordPiece).
    pub fn encode_sampled<'a>(
        &self,
        input: impl Into<Input<'a>>,
        options: &EncodeOptions,
        sampling: Sampling,
        number: u64,
    ) -> Result<Encoding, Error> {
        self.sentencepiece("segmentations cannot be drawn")?;
        let mut sampler = Sampler::new(sampling, number);
        self.encode_one(&input.into(), options, Some(&mut sampler))
    }

    /// The best segmentations of a text by SentencePiece itself, without the preprocessing of the
    /// mode, as ids and score; the best first, at most 512.
    ///
    /// # Errors
    /// The mode is not of the SentencePiece family.
    pub fn n_best(&self, text: &str, count: usize) -> Result<Vec<(Vec<u32>, f32)>, Error> {
        let model = self.sentencepiece("there is no list of segmentations")?;
        let mut cache = self.cache();
        let list = model.n_best(text, count, &mut cache);
        self.put_back(cache);
        Ok(list
            .into_iter()
            .map(|(pieces, score)| (pieces.ids, score))
            .collect())
    }

    fn sentencepiece(&self, problem: &str) -> Result<&SentencePiece, Error> {
        self.inner
            .sentencepiece
            .as_deref()
            .ok_or_else(|| Error::Mode {
                mode: self.inner.mode.name(),
                problem: format!(
                    "{problem}: load spiece.model in mode hf-slow, google or sentencepiece"
                ),
            })
    }

    fn encode_one(
        &self,
        input: &Input<'_>,
        options: &EncodeOptions,
        sampler: Option<&mut Sampler>,
    ) -> Result<Encoding, Error> {
        let plan = self.plan(options)?;
        let mut cache = self.cache();
        let encoding = self.encode_unpadded(&plan, &mut cache, input, sampler);
        self.put_back(cache);
        let mut encoding = encoding?;
        // transformers' Python tokenizers return nothing at all as it is.
        if !(plan.slow && encoding.is_empty()) {
            self.pad(std::slice::from_mut(&mut encoding), options, &plan)?;
        }
        Ok(encoding)
    }

    /// Encodes many inputs on `threads` threads; the results do not depend on their number.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), for the first input that fails.
    pub fn encode_batch<'a, I>(
        &self,
        inputs: &'a [I],
        options: &EncodeOptions,
        threads: NonZeroUsize,
    ) -> Result<Vec<Encoding>, Error>
    where
        I: Sync,
        &'a I: Into<Input<'a>>,
    {
        let plan = self.plan(options)?;
        let encodings = batch::map(
            inputs,
            threads,
            || self.cache(),
            |cache| self.put_back(cache),
            |cache, input| self.encode_unpadded(&plan, cache, &input.into(), None),
        );
        let mut encodings = encodings.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.pad(&mut encodings, options, &plan)?;
        Ok(encodings)
    }

    /// The ids of a text alone, appended to `out`: the fast way.
    pub fn encode_ids(&self, text: &str, add_special_tokens: bool, out: &mut Vec<u32>) {
        let mut cache = self.cache();
        self.encode_ids_with(text, add_special_tokens, &mut cache, out);
        self.put_back(cache);
    }

    /// As [`encode_ids`](Self::encode_ids), with the memory of the calling thread.
    pub(crate) fn encode_ids_with(
        &self,
        text: &str,
        add_special_tokens: bool,
        cache: &mut Cache,
        out: &mut Vec<u32>,
    ) {
        if !add_special_tokens {
            return self.inner.engine.encode_ids(text, cache, out);
        }
        for part in &self.inner.template.single {
            match part {
                Part::Special { ids, .. } => out.extend(ids),
                Part::Sequence { .. } => self.inner.engine.encode_ids(text, cache, out),
            }
        }
    }

    /// The ids of many texts, on `threads` threads.
    #[must_use]
    pub fn encode_batch_ids<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        add_special_tokens: bool,
        threads: NonZeroUsize,
    ) -> Vec<Vec<u32>> {
        batch::map(
            texts,
            threads,
            || self.cache(),
            |cache| self.put_back(cache),
            |cache, text| {
                let mut ids = Vec::new();
                self.encode_ids_with(text.as_ref(), add_special_tokens, cache, &mut ids);
                ids
            },
        )
    }

    /// Special tokens that a text, or a pair, gets.
    #[must_use]
    pub fn num_special_tokens_to_add(&self, pair: bool) -> usize {
        self.inner.template.added(pair)
    }

    /// 1 where an id is that of a special token, wherever it came from.
    #[must_use]
    pub fn special_tokens_mask(&self, ids: &[u32]) -> Vec<u32> {
        let special = self.all_special_ids();
        ids.iter()
            .map(|id| u32::from(special.contains(id)))
            .collect()
    }

    fn plan(&self, options: &EncodeOptions) -> Result<Plan, Error> {
        let inner = &*self.inner;
        let defaults = Defaults {
            slow: inner.mode.is_slow(),
            model_max_length: inner.config.model_max_length,
            truncation_side: self.truncation_side(),
            type_ids: match &inner.config.model_input_names {
                Some(names) => names.iter().any(|name| name == "token_type_ids"),
                None => inner.mode != Mode::Hf5,
            },
        };
        Plan::new(options, &defaults, &inner.template)
    }

    fn encode_unpadded(
        &self,
        plan: &Plan,
        cache: &mut Cache,
        input: &Input<'_>,
        sampler: Option<&mut Sampler>,
    ) -> Result<Encoding, Error> {
        let Inner {
            engine, template, ..
        } = &*self.inner;
        assemble::encode(engine, template, plan, cache, input, sampler)
    }

    fn pad(
        &self,
        encodings: &mut [Encoding],
        options: &EncodeOptions,
        plan: &Plan,
    ) -> Result<(), Error> {
        let lengths = encodings.iter().map(Encoding::len);
        let Some(target) = pad::target(&options.padding, lengths)? else {
            return Ok(());
        };
        let id = self.pad_token_id().ok_or_else(|| {
            Error::options("the tokenizer has no padding token: encode without padding".into())
        })?;
        let filling = Filling {
            id,
            type_id: 0,
            side: options.padding.side.unwrap_or(self.padding_side()),
        };
        for encoding in encodings {
            pad::pad(encoding, target, filling);
            if !plan.type_ids {
                encoding.drop_type_ids();
            }
        }
        debug_assert!(options.padding.to != PadTo::None);
        Ok(())
    }

    /// A memory for one thread.
    pub(crate) fn cache(&self) -> Cache {
        let mut caches = self
            .inner
            .caches
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        caches.pop().unwrap_or_default()
    }

    /// Keeps a memory for later calls.
    pub(crate) fn put_back(&self, cache: Cache) {
        const KEPT: usize = 64;
        let mut caches = self
            .inner
            .caches
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if caches.len() < KEPT {
            caches.push(cache);
        }
    }
}

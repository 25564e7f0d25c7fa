//! The flags of `pretrain` that say what is read, and the samples that come of it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use albert::AlbertConfig;
use albert::heads::PreTrainingLabels;
use albert_tokenizer::AlbertTokenizer;
use albert_train::dataset::Dataset;
use albert_train::pretrain::{
    Masking, Objective, Pieces, PrepareOptions, PretrainData, PretrainOptions, Progress,
    RecordData, Split, Stage, TokenCache, prepare, stages_of_shares, write_records,
};
use anyhow::{Context, Result, bail};

use crate::stream::{Voice, usage};
use crate::training::{file_name, rate};

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum ObjectiveName {
    /// Whether two segments of a document were swapped (ALBERT)
    SentenceOrder,
    /// Whether the second segment is from another document (BERT)
    NextSentence,
    /// One segment, and masked words alone
    None,
}

/// What is read, and how samples are made of it.
#[derive(clap::Args)]
#[command(next_help_heading = "Text")]
pub(super) struct TextFlags {
    /// Text files (plain, .gz or .zst): a sentence on each line, an empty line between documents; or .tfrecord files of
    /// samples, as google-research/albert makes them (x.tf_record and x.tfrecord-00000-of-00001 are such, too)
    #[arg(required_unless_present = "input_file", value_name = "FILES")]
    files: Vec<PathBuf>,
    /// The same, as google-research/albert names it.
    #[arg(
        long = "input_file",
        hide = true,
        value_delimiter = ',',
        conflicts_with = "files"
    )]
    input_file: Vec<PathBuf>,
    /// Lines are paragraphs: cut them into sentences
    #[arg(long)]
    split_sentences: bool,
    /// Folder for the tokens of the text [default: OUTPUT.tokens]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Make the cache anew where it is of other files or another tokenizer
    #[arg(long)]
    rebuild_cache: bool,
    /// Text files to measure on [default: a share of the documents]
    #[arg(long, value_name = "FILES", num_args = 1.., alias = "validation_file")]
    validation_file: Vec<PathBuf>,
    /// Share of the documents that is measured on, and not learned [default: 0.005, where that is any]
    #[arg(long, value_name = "SHARE", value_parser = rate, conflicts_with = "validation_file")]
    held_out: Option<f64>,
    /// Most samples that are measured on
    #[arg(long, value_name = "N", default_value_t = 2000)]
    max_eval_samples: u64,
    /// Most tokens of a sample; or several lengths one after another, each with its share: 128:0.9,512:0.1 [default: 512,
    /// or the model's positions where they are fewer]
    #[arg(long, value_name = "N", alias = "max_seq_length")]
    max_seq_length: Option<String>,
    /// Most masked tokens of a sample [default: --masked-lm-prob of its length; google-research/albert: 20]
    #[arg(long, value_name = "N", alias = "max_predictions_per_seq")]
    max_predictions: Option<usize>,
    /// The second label
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        default_value = "sentence-order"
    )]
    objective: ObjectiveName,
    /// Share of the tokens that is masked
    #[arg(long, value_name = "SHARE", default_value_t = MASKED, value_parser = rate, alias = "masked_lm_prob")]
    masked_lm_prob: f64,
    /// Most words that are masked together
    #[arg(long, value_name = "N", default_value_t = NGRAM)]
    ngram: usize,
    /// Mask single tokens, not whole words
    #[arg(long)]
    no_whole_word: bool,
    /// Share of documents that is cut into shorter samples in a pass
    #[arg(long, value_name = "SHARE", default_value_t = SHORT, value_parser = rate, alias = "short_seq_prob")]
    short_seq_prob: f64,
    /// Samples of whole sentences of one document: none is cut, and a sentence beside which no other fits is left out. Then the
    /// order of sentences cannot be told by where they were cut
    #[arg(long)]
    whole_sentences: bool,
    /// With --prepare-only: write samples into so many .tfrecord files in --output
    #[arg(long, value_name = "N", requires = "prepare_only", conflicts_with = "validation_file", value_parser = clap::value_parser!(u32).range(1..=99_999))]
    tfrecords: Option<u32>,
    /// With --tfrecords: passes over the text
    #[arg(long, value_name = "N", default_value_t = 40, alias = "dupe_factor", requires = "tfrecords", value_parser = clap::value_parser!(u64).range(1..))]
    dupe_factor: u64,
    /// Threads that make tokens.
    #[arg(skip)]
    pub(super) threads: Option<NonZeroUsize>,
}

/// Most tokens of a sample, unless something else is asked for.
const LENGTH: usize = 512;
/// Share of the documents that is measured on, unless something else is asked for.
const HELD_OUT: f64 = 0.005;
/// Share of the tokens that is masked, most words of a mask, share of documents that is cut shorter; as in the paper.
const MASKED: f64 = 0.15;
const NGRAM: usize = 3;
const SHORT: f64 = 0.1;
/// Passes over the text that are worth a warning; google-research/albert repeats masks after 40.
const MANY_PASSES: u64 = 200;

/// Samples of a run.
pub(super) struct Samples {
    training: Training,
    held_out: Option<PretrainData>,
    objective: Objective,
    longest: usize,
    masked: f64,
    origin: String,
    validation: String,
    facts: Vec<(&'static str, String)>,
}

enum Training {
    Text(PretrainData),
    Records(RecordData),
}

impl TextFlags {
    /// Flags that name the same thing become one.
    pub(super) fn unite(&mut self) {
        self.files.append(&mut self.input_file);
    }

    fn options(&self, seed: u64) -> PretrainOptions {
        PretrainOptions {
            objective: match self.objective {
                ObjectiveName::SentenceOrder => Objective::SentenceOrder,
                ObjectiveName::NextSentence => Objective::NextSentence,
                ObjectiveName::None => Objective::None,
            },
            short_seq_prob: self.short_seq_prob,
            whole_sentences: self.whole_sentences,
            masking: Masking {
                probability: self.masked_lm_prob,
                max_ngram: self.ngram,
                favor_shorter_ngram: true,
                whole_word: !self.no_whole_word,
            },
            ..PretrainOptions::google(seed)
        }
    }

    /// Whether words are masked.
    pub(super) fn predicts_words(&self) -> bool {
        self.masked_lm_prob > 0.0 && self.max_predictions != Some(0)
    }

    /// Flags that say how samples are made have no meaning for samples that are made; what is measured may come from text.
    fn check_of_records(&self) -> Result<()> {
        if self.objective != ObjectiveName::SentenceOrder {
            bail!(
                "--objective: expected text files; samples of .tfrecord files have the second label that they were made with"
            );
        }
        let given = [
            ("--max-seq-length", self.max_seq_length.is_some()),
            ("--max-predictions", self.max_predictions.is_some()),
            ("--masked-lm-prob", self.masked_lm_prob != MASKED),
            ("--ngram", self.ngram != NGRAM),
            ("--no-whole-word", self.no_whole_word),
            ("--short-seq-prob", self.short_seq_prob != SHORT),
            ("--whole-sentences", self.whole_sentences),
            ("--split-sentences", self.split_sentences),
        ];
        let given = given.iter().find(|(_, is_given)| *is_given);
        match given.filter(|_| self.validation_file.is_empty()) {
            Some((flag, _)) => bail!(
                "{flag}: expected text files, or a --validation-file of text; samples of .tfrecord files are made already"
            ),
            None => Ok(()),
        }
    }

    /// (share, tokens, predictions) of each stage; `usual`: tokens where no flag says it.
    fn shares(&self, usual: usize) -> Result<Vec<(f64, usize, usize)>> {
        let usual = usual.to_string();
        let given = self.max_seq_length.as_deref().unwrap_or(&usual);
        let wrong = || {
            format!(
                "--max-seq-length: expected a length, or lengths with their shares as 128:0.9,512:0.1, found {given}"
            )
        };
        let parts: Vec<&str> = given.split(',').collect();
        let of = |part: &&str| {
            let (length, share) = part.split_once(':').unwrap_or((part, "1"));
            let length: usize = length.trim().parse().ok()?;
            let predictions = (length as f64 * self.masked_lm_prob).ceil() as usize;
            Some((
                share.trim().parse().ok()?,
                length,
                self.max_predictions.unwrap_or(predictions),
            ))
        };
        parts
            .iter()
            .map(of)
            .collect::<Option<_>>()
            .with_context(wrong)
    }

    fn cache(&self, output: Option<&Path>) -> Result<PathBuf> {
        if let Some(cache) = &self.cache {
            return Ok(cache.clone());
        }
        let Some(output) = output else {
            return Err(usage(
                "--cache is missing: the folder for the tokens of the text",
            ));
        };
        beside(output, ".tokens")
    }

    /// Tokens of text files, made now or before.
    fn tokens(
        &self,
        files: &[PathBuf],
        folder: &Path,
        tokenizer: &AlbertTokenizer,
        voice: Voice,
    ) -> Result<Arc<TokenCache>> {
        let options = PrepareOptions {
            split_sentences: self.split_sentences,
            threads: self.threads.unwrap_or(NonZeroUsize::MIN),
            rebuild: self.rebuild_cache,
            ..PrepareOptions::new(files.to_vec())
        };
        let start = Instant::now();
        let mut told = 0;
        let mut progress = |now: &Progress| {
            let seconds = start.elapsed().as_secs();
            if seconds >= told + 5 {
                told = seconds;
                let rate = now.text_bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
                voice.note(format_args!("{} tokens so far, {rate:.1} MB/s", now.tokens));
            }
            ControlFlow::Continue(())
        };
        let prepared = prepare(folder, tokenizer, &options, &mut progress)?;
        let cache = prepared.cache;
        voice.note(format_args!(
            "{} documents, {} sentences, {} tokens in {}",
            cache.documents(),
            cache.sentences(),
            cache.tokens(),
            folder.display(),
        ));
        Ok(Arc::new(cache))
    }

    /// The cache alone, or files of samples.
    pub(super) fn prepare_only(
        &self,
        tokenizer: &AlbertTokenizer,
        output: Option<&Path>,
        seed: u64,
        voice: Voice,
    ) -> Result<()> {
        let Some(count) = self.tfrecords else {
            let cache = self.cache(output)?;
            self.tokens(&self.files, &cache, tokenizer, voice)?;
            if !self.validation_file.is_empty() {
                let cache = validation_cache(&cache)?;
                self.tokens(&self.validation_file, &cache, tokenizer, voice)?;
            }
            return Ok(());
        };
        let Some(output) = output else {
            return Err(usage(
                "--output is missing: the folder for the .tfrecord files",
            ));
        };
        let [(_, max_seq_length, max_predictions)] = self.shares(LENGTH)?[..] else {
            bail!(
                "--max-seq-length: expected one length for --tfrecords, found {}",
                self.max_seq_length.as_deref().unwrap_or_default()
            );
        };
        let stage = Stage {
            samples: 0,
            max_seq_length,
            max_predictions,
        };
        let options = PretrainOptions {
            split: self.held_out.map_or(Split::All, Split::Train),
            ..self.options(seed)
        };
        let pieces = Pieces::of(tokenizer)?;
        options.check()?;
        stage.check()?;
        let cache = self.tokens(&self.files, &self.cache(Some(output))?, tokenizer, voice)?;
        let data = PretrainData::of_passes(cache, pieces, options, stage, self.dupe_factor)?;
        std::fs::create_dir_all(output)
            .with_context(|| format!("cannot create {}", output.display()))?;
        let name = |i| output.join(format!("{i:05}-of-{count:05}.tfrecord"));
        let files: Vec<PathBuf> = (0..count).map(name).collect();
        if let Some(there) = files.iter().find(|file| file.exists()) {
            bail!(
                "{}: expected no such file, found one; give another --output",
                there.display()
            );
        }
        write_records(&data, 0..data.len(), &files)?;
        voice.note(format_args!("{} samples in {count} files", data.len()));
        Ok(())
    }

    /// The samples of a run of so many.
    pub(super) fn open(
        &self,
        tokenizer: &AlbertTokenizer,
        config: &AlbertConfig,
        samples: u64,
        output: &Path,
        seed: u64,
        voice: Voice,
    ) -> Result<Samples> {
        let pieces = || Pieces::of(tokenizer);
        let options = self.options(seed);
        let share = self.held_out.unwrap_or(HELD_OUT);
        let records = self.files.iter().filter(|path| holds_records(path)).count();
        if records > 0 && records < self.files.len() {
            bail!("expected text files or .tfrecord files, found both");
        }
        if records > 0 && self.held_out.is_some() {
            bail!(
                "--held-out: expected text files; .tfrecord files hold samples, not documents: give --validation-file, or make \
                 the files with --held-out"
            );
        }
        if records > 0 {
            self.check_of_records()?;
        }
        let records = (records > 0)
            .then(|| RecordData::open(&self.files, config))
            .transpose()?;
        let shares = self.shares(match &records {
            Some(records) => records.max_seq_length(),
            None => config.max_position_embeddings.min(LENGTH),
        })?;
        if options.objective == Objective::None && !self.predicts_words() {
            bail!(
                "--objective none: expected words to predict, found --masked-lm-prob 0 or --max-predictions 0: there is nothing \
                 to learn"
            );
        }
        let cache_folder = self.cache(Some(output))?;
        let (training, from_text, longest) = if let Some(records) = records {
            let longest = records.max_seq_length();
            (Training::Records(records), None, longest)
        } else {
            let split = if self.validation_file.is_empty() && share > 0.0 {
                Split::Train(share)
            } else {
                Split::All
            };
            let stages = stages_of_shares(samples, &shares)?;
            let lengths = stages.iter().map(|stage| stage.max_seq_length);
            let longest = lengths.max().unwrap_or(0);
            let options = PretrainOptions {
                split,
                ..options.clone()
            };
            // What is wrong with flags is said before the text is read, which may take hours.
            options.check()?;
            stages.iter().try_for_each(Stage::check)?;
            check_positions(longest, config)?;
            if options.objective != Objective::None && config.type_vocab_size < 2 {
                bail!(
                    "type_vocab_size: expected 2 for two segments, found {}; a model with one learns with --objective none",
                    config.type_vocab_size
                );
            }
            let cache = self.tokens(&self.files, &cache_folder, tokenizer, voice)?;
            let data = PretrainData::new(Arc::clone(&cache), pieces()?, options, stages)?;
            self.tell_passes(&data, voice)?;
            (Training::Text(data), Some(cache), longest)
        };
        check_positions(longest, config)?;
        let (_, max_seq_length, max_predictions) = shares[shares.len() - 1];
        let stage = Stage {
            samples: 0,
            max_seq_length,
            max_predictions,
        };
        let measured = |cache, split| -> Result<PretrainData> {
            let options = PretrainOptions {
                split,
                // A measurement is the same for every run.
                ..self.options(0)
            };
            let whole =
                PretrainData::of_passes(Arc::clone(&cache), pieces()?, options.clone(), stage, 1)?;
            let samples = (whole.len() as u64).min(self.max_eval_samples.max(1));
            Ok(PretrainData::new(
                cache,
                pieces()?,
                options,
                vec![Stage { samples, ..stage }],
            )?)
        };
        let held_out = match (&self.validation_file[..], from_text) {
            ([], Some(cache)) if share > 0.0 => {
                let documents = cache.documents();
                let found = measured(cache, Split::HeldOut(share)).with_context(|| {
                    format!(
                        "--held-out {share} of {documents} documents, in samples of {max_seq_length} tokens; give a larger \
                         share, --validation-file, or 0 to measure nothing"
                    )
                });
                match (found, self.held_out) {
                    (Err(_), None) => {
                        voice.note(format_args!(
                            "none of {documents} documents is held out: nothing is measured (--held-out, --validation-file)"
                        ));
                        None
                    }
                    (found, _) => Some(found?),
                }
            }
            ([], _) => None,
            (files, _) => {
                let folder = validation_cache(&cache_folder)?;
                let cache = self.tokens(files, &folder, tokenizer, voice)?;
                Some(measured(cache, Split::All)?)
            }
        };
        let names = |files: &[PathBuf]| {
            let names: Vec<String> = files.iter().map(|path| file_name(path)).collect();
            names.join(", ")
        };
        let text = match &training {
            Training::Text(data) => data.fingerprint(),
            Training::Records(data) => data.fingerprint(),
        };
        let validation_data = held_out.as_ref().map_or("nothing".to_owned(), |data| {
            format!("{:016x}", data.fingerprint())
        });
        Ok(Samples {
            training,
            held_out,
            objective: options.objective,
            longest,
            masked: self.masked_lm_prob,
            origin: names(&self.files),
            validation: names(&self.validation_file),
            facts: vec![
                ("text", format!("{text:016x}")),
                ("max_seq_length", format!("{shares:?}")),
                ("max_predictions", format!("{:?}", self.max_predictions)),
                ("samples", format!("{options:?}")),
                ("validation data", validation_data),
            ],
        })
    }

    /// Refuses text that gives no sample, and warns of stages that meet the same samples very often.
    fn tell_passes(&self, data: &PretrainData, voice: Voice) -> Result<()> {
        data.pass(0)?;
        for (number, stage) in data.stages().iter().enumerate() {
            // A pass may be empty by chance.
            let samples = data.samples_of_pass(number)?.max(1);
            let passes = stage.samples / samples;
            if passes >= MANY_PASSES {
                voice.note(format_args!(
                    "a pass over the text has {samples} samples of {} tokens, and {} are wanted: about {passes} passes, so the \
                     model may learn them by heart; take {}more text or fewer steps",
                    stage.max_seq_length,
                    stage.samples,
                    if self.whole_sentences {
                        "longer samples, "
                    } else {
                        ""
                    },
                ));
            }
        }
        Ok(())
    }
}

/// Whether a file is of samples, by its name: x.tfrecord, x.tf_record, x.tfrecords, x.tfrecord-00000-of-00001.
fn holds_records(path: &Path) -> bool {
    let name = file_name(path).to_lowercase();
    // Without the numbers of a file among others.
    let whole = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let whole = whole.strip_suffix("-of-").map_or(name.as_str(), |first| {
        let first = first.trim_end_matches(|c: char| c.is_ascii_digit());
        first.trim_end_matches('-')
    });
    let whole = whole.strip_suffix('s').unwrap_or(whole);
    whole.ends_with(".tfrecord") || whole.ends_with(".tf_record")
}

/// The cache of what is measured on, beside that of the text.
fn validation_cache(cache: &Path) -> Result<PathBuf> {
    beside(cache, ".validation")
}

/// A name with an end more, whatever form the path has: `out/`, `.`.
fn beside(folder: &Path, end: &str) -> Result<PathBuf> {
    let mut folder: PathBuf = folder.components().collect();
    if folder.file_name().is_none() {
        folder = folder
            .canonicalize()
            .with_context(|| format!("cannot open {}", folder.display()))?;
    }
    let mut name = folder.into_os_string();
    name.push(end);
    Ok(name.into())
}

fn check_positions(longest: usize, config: &AlbertConfig) -> Result<()> {
    let positions = config.max_position_embeddings;
    if longest > positions {
        bail!(
            "--max-seq-length: expected at most {positions}, the positions of the model, found {longest}"
        );
    }
    Ok(())
}

impl Samples {
    pub(super) fn training(&self) -> &dyn Dataset<PreTrainingLabels> {
        match &self.training {
            Training::Text(data) => data,
            Training::Records(data) => data,
        }
    }

    /// Whether samples come in an order of their own; those of files are shuffled.
    pub(super) fn are_ordered(&self) -> bool {
        matches!(self.training, Training::Text(_))
    }

    pub(super) fn held_out(&self) -> Option<&PretrainData> {
        self.held_out.as_ref()
    }

    pub(super) fn objective(&self) -> Objective {
        self.objective
    }

    /// Most tokens of a sample.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Share of the tokens that is predicted.
    pub(super) fn masked_share(&self) -> f64 {
        self.masked
    }

    pub(super) fn origin(&self) -> String {
        self.origin.clone()
    }

    /// The files that are measured on, where they are others.
    pub(super) fn measured_on(&self) -> Option<String> {
        (!self.validation.is_empty()).then(|| self.validation.clone())
    }

    pub(super) fn facts(&self) -> BTreeMap<String, String> {
        let facts = self.facts.iter();
        facts
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }
}

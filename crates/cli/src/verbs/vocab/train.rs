//! `albert vocab train`: a SentencePiece unigram vocabulary from text files.

use std::path::PathBuf;
use std::time::Instant;

use albert::quantize::Draft;
use albert_train::vocab::{Stage, VocabOptions, train};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stream::{Voice, interrupt};

/// Learn a SentencePiece unigram vocabulary from text files
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert vocab train corpus.txt --output vocabulary --vocab-size 1000
  albert vocab train a.txt.gz b.txt.zst --output cased --vocab-size 1000 --no-lower-case
  albert vocab train corpus.txt --output drawn --vocab-size 300 --input-sentence-size 1000",
    after_help = "\
The files hold a sentence or a paragraph on each line. The defaults are those of the published English ALBERT models."
)]
pub(super) struct VocabTrain {
    /// Text files, plain or compressed with gzip or zstd
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder to write: new or empty; it appears when it is complete
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Pieces, the reserved ones included
    #[arg(long, alias = "vocab_size", value_name = "N", default_value_t = VocabOptions::default().vocab_size)]
    vocab_size: usize,
    /// Share of the text's characters that pieces are made of; rarer ones are unknown to it
    #[arg(long, alias = "character_coverage", value_name = "SHARE", default_value_t = VocabOptions::default().character_coverage)]
    character_coverage: f64,
    /// Lines to draw at most, at random; 0 takes all
    #[arg(long, alias = "input_sentence_size", value_name = "N", default_value_t = VocabOptions::default().input_sentence_size)]
    input_sentence_size: u64,
    /// Which lines are drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Texts are not lower-cased, here and by the tokenizer
    #[arg(long)]
    no_lower_case: bool,
    /// Accents stay, here and in the tokenizer
    #[arg(long)]
    keep_accents: bool,
    /// Every digit is a piece of its own
    #[arg(long, alias = "split_digits")]
    split_digits: bool,
    /// Pieces that are found whole wherever they stand; once for each [default: ( ) " - . – £ €]
    #[arg(
        long,
        value_name = "SYMBOL",
        conflicts_with = "no_user_defined_symbols",
        allow_hyphen_values = true
    )]
    user_defined_symbol: Vec<String>,
    /// No such pieces
    #[arg(long)]
    no_user_defined_symbols: bool,
    /// Pieces that no text holds, besides [CLS], [SEP] and [MASK]; once for each
    #[arg(long, value_name = "SYMBOL")]
    control_symbol: Vec<String>,
    /// Characters of a piece, at most
    #[arg(long, alias = "max_sentencepiece_length", value_name = "N", default_value_t = VocabOptions::default().max_sentencepiece_length, help_heading = "Details")]
    max_sentencepiece_length: usize,
    /// Pieces to begin with, at most
    #[arg(long, alias = "seed_sentencepiece_size", value_name = "N", default_value_t = VocabOptions::default().seed_sentencepiece_size, help_heading = "Details")]
    seed_sentencepiece_size: usize,
    /// Share of the pieces that a round of pruning keeps
    #[arg(long, alias = "shrinking_factor", value_name = "SHARE", default_value_t = VocabOptions::default().shrinking_factor, help_heading = "Details")]
    shrinking_factor: f64,
    /// Steps of expectation and maximisation before each round
    #[arg(long, alias = "num_sub_iterations", value_name = "N", default_value_t = VocabOptions::default().num_sub_iterations, help_heading = "Details")]
    num_sub_iterations: usize,
    /// Id of the padding piece
    #[arg(long, alias = "pad_id", value_name = "ID", default_value_t = VocabOptions::default().pad_id, help_heading = "Details")]
    pad_id: usize,
    /// Id of the unknown piece
    #[arg(long, alias = "unk_id", value_name = "ID", default_value_t = VocabOptions::default().unk_id, help_heading = "Details")]
    unk_id: usize,
    /// Id of a piece for the beginning of a text [default: there is none]
    #[arg(long, alias = "bos_id", value_name = "ID", help_heading = "Details")]
    bos_id: Option<usize>,
    /// Id of a piece for the end of a text [default: there is none]
    #[arg(long, alias = "eos_id", value_name = "ID", help_heading = "Details")]
    eos_id: Option<usize>,
    /// Threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voice: Voice,
}

impl VocabTrain {
    pub(super) fn run(self) -> Result<()> {
        let start = Instant::now();
        let options = self.options();
        let here = || std::thread::available_parallelism().map_or(1, Into::into);
        let threads = self.threads.map_or_else(here, usize::from);
        // The folder is refused before the work, not after it.
        let draft = interrupt::create_folder(|| Ok(Draft::new(&self.output)?))?;
        let show = Show::new(self.voice);
        let learned = train(&self.files, &options, threads, |stage| show.stage(stage));
        show.bar.finish_and_clear();
        let saved = learned.map_err(anyhow::Error::from).and_then(|vocabulary| {
            vocabulary.save(draft.path())?;
            Ok(vocabulary)
        });
        let vocabulary = match saved {
            Ok(vocabulary) => vocabulary,
            Err(error) => {
                interrupt::finish_folder(draft, drop);
                return Err(error);
            }
        };
        interrupt::finish_folder(draft, Draft::publish)?;
        let (output, seconds) = (self.output.display(), start.elapsed().as_secs_f64());
        self.voice.detail(format_args!("{seconds:.1} s"));
        if self.json {
            let line = serde_json::json!({
                "output": self.output,
                "vocab_size": vocabulary.pieces.len(),
                "sentences": vocabulary.sentences,
                "drawn": vocabulary.drawn,
            });
            println!("{line}");
        } else {
            let (pieces, drawn) = (vocabulary.pieces.len(), vocabulary.drawn);
            let of = match vocabulary.sentences {
                all if all == drawn => String::new(),
                all => format!(" of {all}"),
            };
            println!("{output}: {pieces} pieces from {drawn}{of} lines");
        }
        Ok(())
    }

    fn options(&self) -> VocabOptions {
        let default = VocabOptions::default();
        let user_defined_symbols = match &self.user_defined_symbol {
            _ if self.no_user_defined_symbols => Vec::new(),
            symbols if symbols.is_empty() => default.user_defined_symbols,
            symbols => symbols.clone(),
        };
        VocabOptions {
            vocab_size: self.vocab_size,
            character_coverage: self.character_coverage,
            input_sentence_size: self.input_sentence_size,
            seed: self.seed,
            max_sentencepiece_length: self.max_sentencepiece_length,
            seed_sentencepiece_size: self.seed_sentencepiece_size,
            shrinking_factor: self.shrinking_factor,
            num_sub_iterations: self.num_sub_iterations,
            split_digits: self.split_digits,
            do_lower_case: !self.no_lower_case,
            keep_accents: self.keep_accents,
            unk_id: self.unk_id,
            pad_id: self.pad_id,
            bos_id: self.bos_id,
            eos_id: self.eos_id,
            control_symbols: [default.control_symbols, self.control_symbol.clone()].concat(),
            user_defined_symbols,
        }
    }
}

/// What is done, on stderr: a line that changes on a terminal, lines with `-v`.
struct Show {
    voice: Voice,
    bar: ProgressBar,
}

impl Show {
    fn new(voice: Voice) -> Self {
        // Hidden where stderr is no terminal.
        let target = match voice.is_quiet() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr_with_hz(4),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg}") {
            bar.set_style(style);
        }
        Self { voice, bar }
    }

    fn stage(&self, stage: Stage) {
        let (message, matters) = match stage {
            Stage::Reading { sentences, bytes } => (
                format!("read: {sentences} lines, {} MB", bytes / 1_000_000),
                false,
            ),
            Stage::Read {
                sentences,
                drawn,
                words,
                characters,
            } => (
                format!("{drawn} of {sentences} lines, {words} words, {characters} characters"),
                true,
            ),
            Stage::Learned { pieces, loss } => {
                (format!("{pieces} pieces, {loss:.4} nats for a word"), true)
            }
            Stage::Pruned { pieces } => (format!("pruned to {pieces} pieces"), true),
        };
        if matters {
            self.bar.suspend(|| self.voice.detail(&message));
        }
        self.bar.set_message(message);
        self.bar.tick();
    }
}

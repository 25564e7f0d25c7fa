//! `albert quantize`: a model folder with matrices of 8-bit integers, if its answers stay good enough.

use std::path::{Path, PathBuf};

use albert::evaluate::{Change, Gate, evaluate};
use albert::pipeline::Features;
use albert::quantize::{
    Draft, LayerError, SAMPLE, below, compare_layers, encoder_folder, quantize_into,
};
use albert::{AlbertConfig, Precision};
use anyhow::{Context, Result, anyhow, bail};

use crate::device::DeviceFlags;
use crate::hub;
use crate::labelled::{self, Labelled, LabelledFormat};
use crate::stream::{Field, Format, TableFlags, Voice, interrupt, read_all, usage};

mod report;

use report::{Evaluation, Report};

/// Write a model's folder with 8-bit weights, if its answers stay good enough
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert quantize DIR int8
  albert quantize DIR checked --evaluate dev.tsv --max-drop 0.5
  albert quantize DIR int8 --text texts.txt --json --force",
    after_help = "\
Without --evaluate nothing but the weights and the hidden states is compared: measure before you trust the answers."
)]
pub(crate) struct Quantize {
    /// Model in floating point: a folder, or ORG/NAME of the Hugging Face Hub
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Folder to write: new or empty; it appears when it is complete
    #[arg(value_name = "DESTINATION")]
    destination: PathBuf,
    /// Replace a destination that holds a quantised model
    #[arg(long)]
    force: bool,
    /// Compare hidden states on the lines of FILE instead of the sentences inside the program
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Measure the answers to the labelled examples of FILE in f32 and int8, and write nothing if they become worse
    #[arg(long, value_name = "FILE", help_heading = "Evaluation")]
    evaluate: Option<PathBuf>,
    /// Form of the examples [default: by the file's extension and the task]
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        requires = "evaluate",
        help_heading = "Evaluation"
    )]
    format: Option<LabelledFormat>,
    /// Examples to read at most, from the beginning of FILE [default: all]
    #[arg(
        long,
        value_name = "N",
        requires = "evaluate",
        help_heading = "Evaluation"
    )]
    examples: Option<std::num::NonZeroUsize>,
    /// Points (of 100) that each measure may fall
    #[arg(long, value_name = "POINTS", default_value_t = Gate::default().max_drop, requires = "evaluate", value_parser = finite, allow_negative_numbers = true, help_heading = "Evaluation")]
    max_drop: f64,
    /// By how much the loss of a masked language model may rise
    #[arg(long, value_name = "NATS", default_value_t = Gate::default().max_loss_rise, requires = "evaluate", value_parser = finite, allow_negative_numbers = true, help_heading = "Evaluation")]
    max_loss_rise: f64,
    #[command(flatten)]
    table: TableFlags,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
    #[command(flatten)]
    voice: Voice,
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("expected a number".to_owned()),
    }
}

impl Quantize {
    pub(crate) fn run(mut self) -> Result<()> {
        self.source = hub::folder(&self.source, self.voice)?;
        if !self.source.is_dir() {
            bail!("{}: expected the folder of a model", self.source.display());
        }
        // What is wrong with the examples shows before anything is written.
        let encoder = encoder_folder(&self.source)?;
        let source = below(&self.source, &encoder);
        let (config, _) = AlbertConfig::from_folder(&source).map_err(albert::Error::from)?;
        let labelled = self.labelled(&config)?;
        let texts = self.texts()?;
        let draft = interrupt::create_folder(|| {
            Ok(Draft::beside(&self.source, &self.destination, self.force)?)
        })?;
        match self.measure(
            &draft,
            &source,
            &below(draft.path(), &encoder),
            labelled,
            &texts,
        ) {
            Ok(report) if report.passed() => {
                let printed = report.print(self.json);
                // Who cannot be given the report gets no folder either; who has read enough of it does.
                let enough = |error: &anyhow::Error| {
                    let cause = error.downcast_ref::<std::io::Error>();
                    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
                };
                if printed.as_ref().is_err_and(|error| !enough(error)) {
                    interrupt::finish_folder(draft, drop);
                    return printed;
                }
                interrupt::finish_folder(draft, Draft::publish)?;
                printed
            }
            Ok(report) => {
                interrupt::finish_folder(draft, drop);
                report.print(self.json)?;
                Err(report.refusal())
            }
            Err(error) => {
                interrupt::finish_folder(draft, drop);
                Err(error)
            }
        }
    }

    fn labelled(&self, config: &AlbertConfig) -> Result<Option<Labelled>> {
        let Some(path) = &self.evaluate else {
            if self.table.is_set() {
                return Err(usage(
                    "--columns, --no-header and --quotes are about examples: give --evaluate FILE, or leave them out",
                ));
            }
            return Ok(None);
        };
        let most = self.examples.map(Into::into);
        let labelled = labelled::read(path, self.format, &self.table, config, most)?;
        if labelled.examples.is_empty() {
            bail!("{}: expected examples, found none", path.display());
        }
        Ok(Some(labelled))
    }

    fn texts(&self) -> Result<Vec<String>> {
        let Some(path) = &self.text else {
            return Ok(SAMPLE.map(str::to_owned).to_vec());
        };
        let none = TableFlags::default();
        let records = read_all(path, &[Field::TEXT], Some(Format::Text), &none)?;
        let texts = records.iter().map(|record| record.required(0).to_owned());
        let texts: Vec<String> = texts.filter(|text| !text.trim().is_empty()).collect();
        if texts.is_empty() {
            bail!("{}: expected lines of text, found none", path.display());
        }
        Ok(texts)
    }

    /// Writes into the draft, and compares what is there with the source.
    fn measure(
        &self,
        draft: &Draft,
        source: &Path,
        quantized: &Path,
        labelled: Option<Labelled>,
        texts: &[String],
    ) -> Result<Report> {
        let written = quantize_into(&self.source, draft.path())?;
        self.voice.detail(format_args!(
            "weights of {} written",
            self.destination.display()
        ));
        let layers = match self.layers(source, quantized, texts) {
            Ok(layers) => layers,
            // A folder without a tokenizer is a model all the same.
            Err(error) if self.text.is_none() && labelled.is_none() => {
                self.voice
                    .note(format_args!("hidden states are not compared: {error:#}"));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let evaluation = match (&self.evaluate, labelled) {
            (Some(file), Some(labelled)) => Some(Evaluation {
                file: file.display().to_string(),
                examples: labelled.examples.len(),
                changes: self.evaluate(source, quantized, &labelled)?,
            }),
            _ => None,
        };
        Ok(Report {
            source: self.source.display().to_string(),
            destination: self.destination.display().to_string(),
            texts: texts.len(),
            written,
            layers,
            evaluation,
        })
    }

    fn layers(&self, source: &Path, quantized: &Path, texts: &[String]) -> Result<Vec<LayerError>> {
        let features = |folder: &Path, precision| -> Result<Features> {
            Ok(Features::from_pretrained(folder, self.device.open(precision)?)?.0)
        };
        let original = features(source, Precision::F32)?;
        let other = features(quantized, Precision::Int8)?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(compare_layers(&original, &other, &texts)?)
    }

    fn evaluate(
        &self,
        source: &Path,
        quantized: &Path,
        labelled: &Labelled,
    ) -> Result<Vec<Change>> {
        let metrics = |folder: &Path, precision| {
            let device = self.device.open(precision)?;
            evaluate(folder, device, &labelled.examples).map_err(|error| match error {
                albert::Error::Example { index, source } => {
                    anyhow!(*source).context(labelled.places[index].clone())
                }
                error => error.into(),
            })
        };
        let before = metrics(source, Precision::F32).context("in f32")?;
        let after = metrics(quantized, Precision::Int8).context("in int8")?;
        let gate = Gate {
            max_drop: self.max_drop,
            max_loss_rise: self.max_loss_rise,
        };
        Ok(gate.compare(&before, &after))
    }
}

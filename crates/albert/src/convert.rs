//! A model's folder in another program's format: names, orientation of matrices, configuration and tokenizer.
//!
//! ```
//! use albert::convert::{ConvertOptions, Target, convert_folder};
//! use albert::{Cpu, CpuOptions};
//! use std::path::Path;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/demo");
//! # let home = tempfile::tempdir()?;
//! # let destination = home.path().join("tf");
//! let device = Cpu::new(CpuOptions::default())?;
//! let options = ConvertOptions::to(Target::Hdf5);
//! let converted = convert_folder(&source, &destination, &options, &device)?;
//! assert!(destination.join("tf_model.h5").is_file());
//! assert_eq!(converted.check.outputs[0].0, "prediction_logits");
//! # Ok(())
//! # }
//! ```
//!
//! In reading order: this file, `plan` (which tensor becomes which), `write` (the files), `check` (what was written, read
//! back and run).

use std::path::{Path, PathBuf};

use albert_formats::{Checkpoint, Dtype};

use crate::checkpoint::{MlmBias, ModelFolder, View, head_class};
use crate::config::{AlbertConfig, ModelClass};
use crate::error::{Error, Result};
use crate::names::Dialect;
use crate::ops::Cpu;
use crate::quantize::{Draft, below, copy_others, encoder_folder, make};

mod check;
mod plan;
mod write;

pub use check::Check;
pub use write::save_keras;

/// What a model is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `model.safetensors`, under the names of transformers' PyTorch classes.
    Safetensors,
    /// `pytorch_model.bin`.
    Torch,
    /// `model.ckpt-best` and `albert_config.json`, as google-research/albert's programs write and read them.
    Tf1,
    /// `tf_model.h5` of transformers' TensorFlow classes.
    Hdf5,
    /// `flax_model.msgpack` of transformers' Flax classes.
    Flax,
}

impl Target {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Safetensors,
        Self::Torch,
        Self::Tf1,
        Self::Hdf5,
        Self::Flax,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Torch => "torch",
            Self::Tf1 => "tf1",
            Self::Hdf5 => "h5",
            Self::Flax => "flax",
        }
    }

    /// Whose names the tensors get.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Safetensors | Self::Torch => Dialect::Torch,
            Self::Tf1 => Dialect::Google,
            Self::Hdf5 => Dialect::Keras,
            Self::Flax => Dialect::Flax,
        }
    }

    /// The file of the weights; of a TensorFlow checkpoint its prefix.
    pub fn file(self) -> &'static str {
        match self {
            Self::Safetensors => "model.safetensors",
            Self::Torch => "pytorch_model.bin",
            Self::Tf1 => "model.ckpt-best",
            Self::Hdf5 => "tf_model.h5",
            Self::Flax => "flax_model.msgpack",
        }
    }
}

/// How to convert.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// What to write.
    pub to: Target,
    /// The class of the model. `None`: as config.json says, else as the heads leave no doubt.
    pub class: Option<ModelClass>,
    /// The configuration, where it does not lie beside the weights.
    pub config: Option<PathBuf>,
    /// Which of two different MLM biases to write where the target has one.
    pub mlm_bias: Option<MlmBias>,
    /// Leave out tensors that no ALBERT has, instead of refusing the checkpoint.
    pub ignore_unknown: bool,
}

impl ConvertOptions {
    /// To this target, without exceptions.
    pub fn to(to: Target) -> Self {
        Self {
            to,
            class: None,
            config: None,
            mlm_bias: None,
            ignore_unknown: false,
        }
    }
}

/// One tensor of the destination.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Renamed {
    /// Its names in the source: two where it is a product, none where it is the identity that the source leaves out.
    pub from: Vec<String>,
    /// Its name in the destination.
    pub to: String,
    /// Its shape there.
    pub shape: Vec<usize>,
}

/// What was written.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Converted {
    /// The class that config.json names now.
    pub class: String,
    /// Whose names the source's tensors have.
    pub from: &'static str,
    /// Whose names the destination's have.
    pub to: &'static str,
    /// Every tensor of the destination.
    pub tensors: Vec<Renamed>,
    /// Tensors of the source that repeat another one, bit for bit, or that the destination says otherwise.
    pub repeated: Vec<String>,
    /// Tensors of the source that mean nothing to a model: buffers, the state of an optimiser, counters.
    pub ignored: Vec<String>,
    /// Tensors of the source that no ALBERT has, left out because the caller said so.
    pub unknown: Vec<String>,
    /// Files of the source that were not copied, and why.
    pub left_out: Vec<String>,
    /// Doubtful things.
    pub notes: Vec<String>,
    /// What was read back.
    pub check: Check,
}

/// Writes the model in `source` (a folder, or a checkpoint in one), with every other file of its folder, to `destination`,
/// which is new or empty. It appears when it is complete and was checked, and not at all on an error.
///
/// # Errors
/// A source that cannot be read, lacks tensors of its class, holds unknown ones or whole numbers, or is what the target's
/// programs cannot express; a destination that is something else; files that cannot be written; results that differ.
pub fn convert_folder(
    source: &Path,
    destination: &Path,
    options: &ConvertOptions,
    device: &Cpu,
) -> Result<Converted> {
    let draft = Draft::apart(&home_of(source)?, destination)?;
    let converted = convert_into(source, draft.path(), options, device)?;
    draft.publish()?;
    Ok(converted)
}

/// The folder of a source: itself, or that in which a checkpoint lies.
///
/// # Errors
/// A source that is not there.
pub fn home_of(source: &Path) -> Result<PathBuf> {
    if source.is_dir() {
        return Ok(source.to_owned());
    }
    // A checkpoint of TensorFlow is known by what its files begin with.
    let mut index = source.as_os_str().to_owned();
    index.push(".index");
    if !source.exists() && !Path::new(&index).exists() {
        return Err(Error::Folder {
            path: source.to_owned(),
            problem: "expected the folder of a model or a checkpoint in one, found nothing"
                .to_owned(),
        });
    }
    Ok(match source.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    })
}

/// As [`convert_folder`], into a folder that is there and empty, such as that of a [`Draft`].
///
/// # Errors
/// As [`convert_folder`]; files that were written stay.
pub fn convert_into(
    source: &Path,
    folder: &Path,
    options: &ConvertOptions,
    device: &Cpu,
) -> Result<Converted> {
    let home = home_of(source)?;
    let encoder = match source.is_dir() {
        true if options.config.is_none() => encoder_folder(source)?,
        _ => PathBuf::new(),
    };
    make(folder, &encoder)?;
    let (from, to) = (below(&home, &encoder), below(folder, &encoder));
    let weights = if source.is_dir() { &from } else { source };
    let model = open(&from, weights, options)?;
    refuse_integers(weights, &model)?;
    let view = View::new(&model.checkpoint);
    let class = class_of(weights, &model.config, &view, options)?;
    let mut config = model.config.clone();
    config.architectures = vec![class.name().to_owned()];

    let plan = plan::plan(weights, &config, &view, options)?;
    let before = check::outputs(
        class,
        &config,
        &model.checkpoint,
        weights,
        device,
        options.mlm_bias,
    )?;
    let file = to.join(options.to.file());
    write::weights(&file, options.to, class, &view, &plan)?;
    write::configuration(&to, options.to, &mut config, &plan)?;
    let mut left_out = Vec::new();
    copy_others(&home, folder, &encoder, &mut left_out)?;
    left_out.retain(|text| !is_own(text, &model.checkpoint));
    write::rename_vocabulary(&to, options.to)?;
    let check = check::check(&to, class, &view, &plan, &before, device)?;

    let mut notes = model.report.notes;
    notes.extend(plan.notes);
    Ok(Converted {
        class: class.name().to_owned(),
        from: view.dialect.name(),
        to: options.to.dialect().name(),
        tensors: plan.items.iter().map(plan::Item::renamed).collect(),
        repeated: plan.repeated,
        ignored: view.ignored.iter().map(|info| info.name.clone()).collect(),
        unknown: view.unknown.iter().map(|info| info.name.clone()).collect(),
        left_out,
        notes,
        check,
    })
}

/// Whether what was not copied is the checkpoint that was converted, or lists its files.
fn is_own(left_out: &str, checkpoint: &Checkpoint) -> bool {
    let name = left_out.split(": ").next().unwrap_or_default();
    let name = Path::new(name).file_name().unwrap_or_default();
    let mut files = checkpoint
        .files()
        .map(|file| file.file_name().unwrap_or_default());
    let lists = [".index", ".index.json"]
        .iter()
        .any(|end| name.to_string_lossy().ends_with(end));
    lists || name == "checkpoint" || files.any(|file| file == name)
}

fn open(folder: &Path, weights: &Path, options: &ConvertOptions) -> Result<ModelFolder> {
    let (config, report) = match &options.config {
        Some(file) => AlbertConfig::from_file(file)?,
        None => AlbertConfig::from_folder(folder)?,
    };
    let checkpoint = Checkpoint::open(weights)?;
    Ok(ModelFolder::of(config, report, checkpoint))
}

fn refuse_integers(path: &Path, model: &ModelFolder) -> Result<()> {
    let integers = model
        .checkpoint
        .tensors()
        .find(|info| info.dtype == Dtype::I8);
    let found = match (model.config.quantization(), integers) {
        (Some(_), _) => "a quantization_config in config.json".to_owned(),
        (None, Some(info)) => format!("tensor {} of type I8", info.name),
        (None, None) => return Ok(()),
    };
    Err(Error::Folder {
        path: path.to_owned(),
        problem: format!(
            "expected weights in floating point, found {found}: convert the model that it was made from"
        ),
    })
}

/// The class to write for.
fn class_of(
    path: &Path,
    config: &AlbertConfig,
    view: &View<'_>,
    options: &ConvertOptions,
) -> Result<ModelClass> {
    // The TensorFlow and Flax classes write their names without what they begin with, but people do not.
    let bare = |name: &str| {
        let name = name
            .strip_prefix("TF")
            .or(name.strip_prefix("Flax"))
            .unwrap_or(name);
        ModelClass::from_name(name)
    };
    let named = || config.architectures.iter().find_map(|name| bare(name));
    let found = options
        .class
        .or_else(named)
        .or_else(|| ModelClass::from_name(head_class(view)?));
    found.ok_or_else(|| Error::Folder {
        path: path.to_owned(),
        problem: "its tensors may be those of several classes, and no configuration names one: name it (--class)".to_owned(),
    })
}

//! The exact state of training, as files: what a run that was killed goes on from, bit for bit.
//!
//! A checkpoint is a folder `checkpoint-N` with the model as [`crate::learner::Learner::save`] writes it, and
//!
//! - `training_state.safetensors`: the parameters, m and v in f32, whatever the type of the model's file;
//! - `training_state.json`: [`State`] and the sizes of all other files of the folder; it is written last;
//! - `trainer_state.json`: the same history in the shape of transformers' trainer.

pub mod folder;
mod hugging_face;

use std::collections::BTreeMap;
use std::path::Path;

use albert_formats::{
    Checkpoint, Dtype, TensorSpec, crc32c_append, write_atomically, write_safetensors,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::learner::Metrics;
use crate::trainer::error::{Result, TrainError};
use crate::watch::Watch;
pub use hugging_face::trainer_state;

/// One line of the history: `step`, `epoch` and what was logged or evaluated.
pub type Entry = Map<String, Value>;

/// Everything but the tensors that later numbers depend on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this layout.
    pub version: u32,
    /// Batches that were trained on, those left out included. With the seed and the batch size it is the place in the data.
    pub step: u64,
    /// Passes over the data.
    pub epoch: f64,
    /// Batches of the pass that is under way.
    pub batch_in_epoch: u64,
    /// Updates of the optimiser: t of its bias corrections.
    pub updates: u64,
    /// Factor on the learning rate: halved when training went back.
    pub rate_scale: f64,
    /// How often training went back.
    pub rollbacks: u32,
    /// Tokens that were trained on.
    pub tokens: u64,
    /// Operations as transformers' trainer estimates them: 6 for each token and parameter, tables of embeddings aside.
    #[serde(default)]
    pub total_flos: f64,
    /// Sum and number of the losses since the last log.
    pub since_log: (f64, u64),
    /// Sum of the second losses among them.
    #[serde(default)]
    pub second_since_log: f64,
    /// Sum and number of all losses.
    pub overall: (f64, u64),
    /// Step and value of the best evaluation.
    pub best: Option<(u64, f64)>,
    /// Evaluations since then.
    pub worse: u64,
    /// What the watchdog saw.
    pub watch: Watch,
    /// What was logged.
    pub history: Vec<Entry>,
    /// The options that the numbers depend on.
    pub options: BTreeMap<String, Value>,
    /// Their hash, in hexadecimal.
    pub options_hash: String,
    /// Sizes of the other files, in bytes, by path.
    pub files: BTreeMap<String, u64>,
    /// Their CRC-32C; empty in a checkpoint of an earlier version.
    #[serde(default)]
    pub checksums: BTreeMap<String, u32>,
}

impl State {
    /// Adds a line to the history.
    pub(crate) fn remember<'a>(&mut self, values: impl IntoIterator<Item = (&'a str, Value)>) {
        let mut entry = Entry::new();
        entry.insert("epoch".to_owned(), self.epoch.into());
        let values = values.into_iter();
        entry.extend(values.map(|(name, value)| (name.to_owned(), value)));
        entry.insert("step".to_owned(), self.step.into());
        self.history.push(entry);
    }

    /// Adds metrics of the model as it is to the history.
    pub fn remember_evaluation(&mut self, metrics: &Metrics) {
        let named: Vec<(String, Value)> = metrics
            .iter()
            .map(|(name, value)| (format!("eval_{name}"), (*value).into()))
            .collect();
        self.remember(
            named
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
    }

    /// Whether the history has metrics of the model as it is.
    pub fn is_evaluated(&self) -> bool {
        let now = Value::from(self.step);
        let last = |entry: &Entry| entry.get("step") == Some(&now);
        let measured = |entry: &Entry| entry.keys().any(|name| name.starts_with("eval_"));
        self.history
            .iter()
            .any(|entry| last(entry) && measured(entry))
    }
}

/// A checkpoint in memory.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Everything but tensors.
    pub state: State,
    /// All parameters.
    pub parameters: Vec<f32>,
    /// Means of gradients.
    pub m: Vec<f32>,
    /// Means of squares.
    pub v: Vec<f32>,
}

/// The layout that this version writes.
pub const VERSION: u32 = 1;
const JSON: &str = "training_state.json";
const TENSORS: &str = "training_state.safetensors";
const NAMES: [&str; 3] = ["exp_avg", "exp_avg_sq", "parameters"];

/// Writes the tensors: parameters, m, v.
pub(crate) fn write_tensors(folder: &Path, parameters: &[f32], m: &[f32], v: &[f32]) -> Result<()> {
    let shape = [parameters.len()];
    let specs = NAMES.map(|name| TensorSpec {
        name,
        dtype: Dtype::F32,
        shape: &shape,
    });
    let path = folder.join(TENSORS);
    write_safetensors(&path, &BTreeMap::new(), &specs, |spec, sink| {
        sink.write_f32(match spec.name {
            "exp_avg" => m,
            "exp_avg_sq" => v,
            _ => parameters,
        })
    })?;
    Ok(())
}

/// Writes the rest, with the sizes and checksums of what is already there.
pub(crate) fn write_state(folder: &Path, state: &State) -> Result<()> {
    let mut state = state.clone();
    state.version = VERSION;
    state.files = folder::sizes(folder)?;
    state.checksums = BTreeMap::new();
    for name in state.files.keys() {
        let sum = checksum(&folder.join(name))?;
        state.checksums.insert(name.clone(), sum);
    }
    Ok(write_atomically(&folder.join(JSON), &pretty(&state)?)?)
}

/// JSON as it stands in files.
pub(crate) fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| TrainError::Io {
        action: "write",
        path: JSON.into(),
        source: error.into(),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// CRC-32C of a file.
fn checksum(path: &Path) -> Result<u32> {
    let file = std::fs::File::open(path);
    let sum = file.and_then(crc32c_of);
    sum.map_err(TrainError::io("read", path))
}

/// CRC-32C of what is left to read.
pub(crate) fn crc32c_of(mut reader: impl std::io::Read) -> std::io::Result<u32> {
    let (mut sum, mut buffer) = (0, vec![0; 1 << 18]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(sum),
            read => sum = crc32c_append(sum, &buffer[..read]),
        }
    }
}

/// Reads the state alone, and checks that every file of the folder is what was written.
///
/// # Errors
/// Files that are missing, cut short, damaged, or of another version; a folder with the name of another checkpoint.
pub fn read_state(folder: &Path) -> Result<State> {
    let refuse = |problem: String| TrainError::Checkpoint {
        path: folder.to_owned(),
        problem,
    };
    let path = folder.join(JSON);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(refuse(format!(
                "expected {JSON}, found none: it is no complete checkpoint of training; use another one"
            )));
        }
        text => text.map_err(TrainError::io("read", &path))?,
    };
    let state: State = serde_json::from_slice(&text).map_err(|error| {
        refuse(format!(
            "{JSON} is not a state of training: {error}; use another checkpoint"
        ))
    })?;
    if state.version != VERSION {
        let found = state.version;
        return Err(refuse(format!(
            "expected a state of version {VERSION}, found {found}; go on with the program that wrote it"
        )));
    }
    for (name, size) in &state.files {
        let found = std::fs::metadata(folder.join(name)).map(|known| known.len());
        match found {
            Ok(found) if found == *size => {}
            found => {
                let found = found.map_or("none".to_owned(), |found| format!("{found} bytes"));
                return Err(refuse(format!(
                    "it is not complete: expected {size} bytes of {name}, found {found}; use another checkpoint"
                )));
            }
        }
    }
    for (name, expected) in &state.checksums {
        if checksum(&folder.join(name))? != *expected {
            return Err(refuse(format!(
                "{name} is damaged: its checksum is another one than when it was written; use another checkpoint"
            )));
        }
    }
    if let Some(step) = folder::step_of(folder).filter(|step| *step != state.step) {
        return Err(refuse(format!(
            "{JSON} is of step {}, the folder's name says {step}; use another checkpoint",
            state.step
        )));
    }
    Ok(state)
}

/// Reads a checkpoint of a model with `len` parameters.
///
/// # Errors
/// As [`read_state`]; tensors of another length.
pub fn read(folder: &Path, len: usize) -> Result<Saved> {
    let state = read_state(folder)?;
    let file = Checkpoint::open(&folder.join(TENSORS))?;
    let tensor = |name: &str| -> Result<Vec<f32>> {
        let found = file.get(name);
        let Some(tensor) = found.filter(|t| t.dtype == Dtype::F32 && t.elements() == len) else {
            let found = found.map_or("none".to_owned(), |t| {
                format!("{:?} {:?}", t.dtype, t.shape)
            });
            return Err(TrainError::Checkpoint {
                path: folder.to_owned(),
                problem: format!(
                    "expected {len} elements of F32 in {name} of {TENSORS}, found {found}; use a checkpoint of the same model"
                ),
            });
        };
        let mut values = vec![0.0; len];
        file.read_f32(tensor, 0, &mut values)?;
        Ok(values)
    };
    Ok(Saved {
        parameters: tensor("parameters")?,
        m: tensor("exp_avg")?,
        v: tensor("exp_avg_sq")?,
        state,
    })
}

/// 64 bits of FNV-1a over the options' JSON, in hexadecimal.
pub(crate) fn hash(options: &BTreeMap<String, Value>) -> String {
    let text = serde_json::to_string(options).unwrap_or_default();
    format!("{:016x}", fnv(text.as_bytes()))
}

/// The hash of Fowler, Noll and Vo, variant 1a.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Refuses a checkpoint that was made with options that give other numbers.
pub(crate) fn compare(folder: &Path, saved: &State, now: &BTreeMap<String, Value>) -> Result<()> {
    let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    for option in saved.options.keys().chain(now.keys()) {
        let (old, new) = (saved.options.get(option), now.get(option));
        if old != new {
            return Err(TrainError::Changed {
                path: folder.to_owned(),
                option: option.clone(),
                expected: shown(old),
                found: shown(new),
            });
        }
    }
    Ok(())
}

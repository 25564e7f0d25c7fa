//! A golden: a checkpoint with its inputs and transformers' f64 outputs, as `tools/make_goldens.py` describes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use albert_formats::{Checkpoint, Dtype};
use serde_json::Value;

use crate::compare::{Array64, Deviation, Mismatch, Precision, measure_where};

/// The folder of the committed inputs and outputs.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// Every case below `fixtures/model`, sorted.
///
/// # Panics
/// When there is none, or something that is not a folder.
pub fn case_names() -> Vec<String> {
    let root = fixtures().join("model");
    let entries =
        std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut names: Vec<String> = entries
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            assert!(path.is_dir(), "{} is not a case", path.display());
            let name = path.file_name().and_then(|name| name.to_str());
            name.expect("a UTF-8 name").to_owned()
        })
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{} is empty", root.display());
    names
}

/// One input.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Π shape elements.
    pub numbers: Numbers,
}

/// Elements of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Token numbers, masks, classes.
    Whole(Vec<i64>),
    /// Embeddings, fractional masks, targets of a regression.
    Real(Vec<f32>),
}

impl Tensor {
    /// As f32, exactly.
    pub fn real(&self) -> Vec<f32> {
        match &self.numbers {
            Numbers::Whole(numbers) => numbers.iter().map(|&x| x as f32).collect(),
            Numbers::Real(numbers) => numbers.clone(),
        }
    }

    /// # Panics
    /// When they are not whole numbers.
    pub fn whole(&self) -> Vec<i64> {
        match &self.numbers {
            Numbers::Whole(numbers) => numbers.clone(),
            Numbers::Real(_) => panic!("whole numbers expected"),
        }
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct Golden {
    /// Name of the folder.
    pub name: String,
    /// The folder, which is a checkpoint.
    pub folder: PathBuf,
    /// transformers' class.
    pub class: String,
    /// By transformers' names.
    pub inputs: BTreeMap<String, Tensor>,
    /// transformers' outputs in f64.
    pub expected: BTreeMap<String, Array64>,
    /// How far transformers' own f32 run is from them, over what counts.
    pub hf_f32_error: BTreeMap<String, f64>,
    /// All of expected.json.
    pub description: Value,
}

/// Which rows of an output count under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// [B, …]: all.
    All,
    /// [B, S, …]: those of tokens that the mask keeps.
    Tokens,
    /// [B, A, S, S]: those of queries that the mask keeps.
    Queries,
}

impl Golden {
    /// Reads a case of `fixtures/model`.
    ///
    /// # Panics
    /// When a file is missing or wrong.
    pub fn open(name: &str) -> Self {
        Self::read(&fixtures().join("model").join(name))
    }

    /// Reads a case from any folder.
    ///
    /// # Panics
    /// When a file is missing or wrong.
    pub fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("expected.json"));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let description: Value = serde_json::from_str(&text).expect("expected.json is JSON");
        let errors = description["hf_f32_error"].as_object();
        let errors = errors.expect("expected.json has hf_f32_error");
        let hf_f32_error: BTreeMap<String, f64> = errors
            .iter()
            .map(|(name, error)| (name.clone(), error.as_f64().expect("a number")))
            .collect();
        let expected = read_f64(&folder.join("expected.safetensors"));
        assert!(
            !expected.is_empty() && expected.keys().eq(hf_f32_error.keys()),
            "{}: an error for each output",
            folder.display()
        );
        let class = description["class"].as_str();
        let name = folder.file_name().expect("a named folder");
        Self {
            name: name.to_string_lossy().into_owned(),
            folder: folder.to_owned(),
            class: class.expect("expected.json has class").to_owned(),
            inputs: read_inputs(&folder.join("inputs.safetensors")),
            expected,
            hf_f32_error,
            description,
        }
    }

    /// The inputs of a case of any kind, from `inputs.safetensors` in its folder.
    ///
    /// # Panics
    /// When the file is missing or wrong.
    pub fn inputs_in(folder: &Path) -> BTreeMap<String, Tensor> {
        read_inputs(&folder.join("inputs.safetensors"))
    }

    /// A list of names under `loading`: transformers' "missing_keys" or "unexpected_keys".
    ///
    /// # Panics
    /// When it is not there.
    pub fn loading(&self, list: &str) -> Vec<String> {
        let names = self.description["loading"][list].as_array();
        let names = names.unwrap_or_else(|| panic!("{}: loading.{list}", self.name));
        let name = |value: &Value| value.as_str().expect("a name").to_owned();
        names.iter().map(name).collect()
    }

    /// Several forwards over one file have names "variant.output"; "" is the one forward of all other cases.
    pub fn variants(&self) -> Vec<String> {
        match self.description["variants"].as_object() {
            Some(variants) => variants.keys().cloned().collect(),
            None => vec![String::new()],
        }
    }

    /// Names of a variant's outputs, without the variant.
    pub fn outputs(&self, variant: &str) -> Vec<String> {
        let prefix = prefix(variant);
        let names = self.expected.keys();
        names
            .filter_map(|name| name.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    }

    /// How far `actual` is from a variant's output, over what counts. What does not count must be exactly 0.
    ///
    /// # Errors
    /// As [`crate::measure_where`], and [`Mismatch::NotZero`].
    ///
    /// # Panics
    /// When the case has no such output.
    pub fn measure(
        &self,
        variant: &str,
        output: &str,
        actual: &Array64,
    ) -> Result<Deviation, Mismatch> {
        let name = prefix(variant) + output;
        let expected = self.expected.get(&name);
        let expected =
            expected.unwrap_or_else(|| panic!("case {} has no output {name}", self.name));
        let counts = |i: usize| self.counts(output, &expected.shape, i);
        let deviation = measure_where(actual, expected, counts)?;
        let hidden = actual.data.iter().enumerate().filter(|(i, _)| !counts(*i));
        match hidden.into_iter().find(|(_, x)| **x != 0.0) {
            None => Ok(deviation),
            Some((i, &x)) => Err(Mismatch::NotZero {
                at: vec![i],
                actual: x,
            }),
        }
    }

    /// Whether `actual` is as near as a result of this precision must be.
    ///
    /// # Errors
    /// As [`Golden::measure`] and [`Deviation::within`].
    ///
    /// # Panics
    /// As [`Golden::measure`].
    pub fn check(
        &self,
        variant: &str,
        output: &str,
        actual: &Array64,
        precision: Precision,
    ) -> Result<Deviation, Mismatch> {
        let deviation = self.measure(variant, output, actual)?;
        let tolerance = self.tolerance(variant, output, precision, deviation.scale);
        deviation.within(tolerance)
    }

    /// How far a result of this precision may be from this output.
    ///
    /// # Panics
    /// When the case has no such output.
    pub fn tolerance(&self, variant: &str, output: &str, precision: Precision, scale: f64) -> f64 {
        precision.tolerance(self.hf_f32_error[&(prefix(variant) + output)], scale)
    }

    /// Which tokens the mask keeps, [B·S]; all without a mask.
    pub fn keeps(&self, token: usize) -> bool {
        let mask = self.inputs.get("attention_mask");
        mask.is_none_or(|mask| mask.real()[token] != 0.0)
    }

    fn rows(&self, output: &str) -> Rows {
        let per_token = ["AlbertForMaskedLM", "AlbertForTokenClassification"];
        match output.split('.').next().unwrap_or(output) {
            "attentions" => Rows::Queries,
            "last_hidden_state" | "hidden_states" | "prediction_logits" | "start_logits"
            | "end_logits" => Rows::Tokens,
            "logits" if per_token.contains(&self.class.as_str()) => Rows::Tokens,
            "logits" | "loss" | "sop_logits" | "pooler_output" => Rows::All,
            other => panic!("case {}: unknown output {other}", self.name),
        }
    }

    fn counts(&self, output: &str, shape: &[usize], i: usize) -> bool {
        match self.rows(output) {
            Rows::All => true,
            Rows::Tokens => self.keeps(i / shape[2..].iter().product::<usize>()),
            Rows::Queries => {
                let (heads, length) = (shape[1], shape[3]);
                let query = i / length;
                self.keeps(query / (heads * length) * length + query % length)
            }
        }
    }
}

fn prefix(variant: &str) -> String {
    if variant.is_empty() {
        String::new()
    } else {
        format!("{variant}.")
    }
}

fn open(path: &Path) -> Checkpoint {
    Checkpoint::open(path).unwrap_or_else(|error| panic!("{error}"))
}

/// All tensors of a safetensors file as f64.
///
/// # Panics
/// When the file is missing or wrong.
pub fn read_f64(path: &Path) -> BTreeMap<String, Array64> {
    let file = open(path);
    let read = |tensor: &albert_formats::TensorInfo| {
        let mut data = vec![0.0; tensor.elements()];
        let read = file.read_f64(tensor, 0, &mut data);
        read.unwrap_or_else(|error| panic!("{error}"));
        (tensor.name.clone(), Array64::new(&tensor.shape, &data))
    };
    file.tensors().map(read).collect()
}

fn read_inputs(path: &Path) -> BTreeMap<String, Tensor> {
    let file = open(path);
    let read = |tensor: &albert_formats::TensorInfo| {
        let count = tensor.elements();
        let (mut whole, mut real) = (vec![0; count], vec![0.0; count]);
        let numbers = if tensor.dtype == Dtype::F32 {
            file.read_f32(tensor, 0, &mut real)
                .map(|()| Numbers::Real(real))
        } else {
            file.read_i64(tensor, 0, &mut whole)
                .map(|()| Numbers::Whole(whole))
        };
        let numbers = numbers.unwrap_or_else(|error| panic!("{error}"));
        let shape = tensor.shape.clone();
        (tensor.name.clone(), Tensor { shape, numbers })
    };
    file.tensors().map(read).collect()
}

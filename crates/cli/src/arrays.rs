//! Model inputs and outputs as safetensors files.

use std::collections::BTreeMap;
use std::path::Path;

use albert::output::Array;
use albert::{AlbertConfig, Inputs};
use albert_formats::{Checkpoint, Dtype, TensorInfo, TensorSpec, write_safetensors};
use anyhow::{Context, Result, bail};

/// A file of input tensors; remembers which ones were used.
pub(crate) struct InputFile {
    file: Checkpoint,
    path: String,
}

const KNOWN: &[&str] = &[
    "input_ids",
    "inputs_embeds",
    "attention_mask",
    "token_type_ids",
    "position_ids",
    "head_mask",
    "labels",
    "sentence_order_label",
    "start_positions",
    "end_positions",
    "is_impossible",
];

impl InputFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = Self {
            file: Checkpoint::open(path)?,
            path: path.display().to_string(),
        };
        if let Some(unknown) = file
            .file
            .tensors()
            .find(|t| !KNOWN.contains(&t.name.as_str()))
        {
            bail!(
                "{}: unknown tensor {:?}; known: {}",
                file.path,
                unknown.name,
                KNOWN.join(", ")
            );
        }
        Ok(file)
    }

    pub(crate) fn is_integer(&self, name: &str) -> bool {
        self.file
            .get(name)
            .is_some_and(|t| !matches!(t.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16))
    }

    pub(crate) fn integers(&self, name: &str) -> Result<Option<Vec<i64>>> {
        let Some(tensor) = self.file.get(name) else {
            return Ok(None);
        };
        let mut values = vec![0; tensor.elements()];
        self.file.read_i64(tensor, 0, &mut values)?;
        Ok(Some(values))
    }

    /// Numbers of any type as f32.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.file.get(name) else {
            return Ok(None);
        };
        if self.is_integer(name) {
            return Ok(self
                .integers(name)?
                .map(|values| values.into_iter().map(|x| x as f32).collect()));
        }
        let mut values = vec![0.0; tensor.elements()];
        self.file.read_f32(tensor, 0, &mut values)?;
        Ok(Some(values))
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.file
            .get(name)
            .map(|tensor: &TensorInfo| tensor.shape.as_slice())
    }

    fn check(&self, name: &str, expected: &[&[usize]]) -> Result<()> {
        match self.shape(name) {
            Some(shape) if !expected.contains(&shape) => {
                if shape.len() > 2 && name == "attention_mask" {
                    bail!(
                        "{}: attention_mask has {} axes {shape:?}; only masks of one value for each token, {:?}, are supported",
                        self.path,
                        shape.len(),
                        expected[0]
                    );
                }
                let shapes: Vec<String> = expected.iter().map(|s| format!("{s:?}")).collect();
                bail!(
                    "{}: {name} has shape {shape:?}, expected {}",
                    self.path,
                    shapes.join(" or ")
                )
            }
            _ => Ok(()),
        }
    }

    /// The batch, [B, S] or [B, K, S].
    pub(crate) fn inputs(&self, config: &AlbertConfig) -> Result<Inputs> {
        let e = config.embedding_size;
        let shape = match (self.shape("input_ids"), self.shape("inputs_embeds")) {
            (Some(shape), None) => shape.to_vec(),
            (None, Some([shape @ .., width])) if *width == e => shape.to_vec(),
            (None, Some(shape)) => bail!(
                "{}: inputs_embeds has shape {shape:?}, expected [B, S, {e}]",
                self.path
            ),
            (Some(_), Some(_)) => {
                bail!("{}: both input_ids and inputs_embeds; give one", self.path)
            }
            (None, None) => bail!("{}: neither input_ids nor inputs_embeds", self.path),
        };
        let (batch, choices, length) = match shape[..] {
            [b, s] => (b, None, s),
            [b, k, s] => (b.checked_mul(k).context("batch is too large")?, Some(k), s),
            _ => bail!(
                "{}: input_ids has shape {shape:?}, expected [B, S], or [B, K, S] for multiple choice",
                self.path
            ),
        };
        for name in ["attention_mask", "token_type_ids"] {
            self.check(name, &[&shape])?;
        }
        self.check("position_ids", &[&shape, &[length], &[1, length]])?;
        let (l, a) = (config.num_hidden_layers, config.num_attention_heads);
        self.check("head_mask", &[&[a], &[l, a]])?;
        Ok(Inputs {
            batch,
            length,
            input_ids: self.integers("input_ids")?,
            inputs_embeds: self.floats("inputs_embeds")?,
            attention_mask: self.floats("attention_mask")?,
            token_type_ids: self.integers("token_type_ids")?,
            position_ids: self.integers("position_ids")?,
            head_mask: self.floats("head_mask")?,
            choices,
        })
    }
}

/// Writes arrays under their names.
pub(crate) fn write(path: &Path, arrays: &[(String, &Array)]) -> Result<()> {
    let specs: Vec<TensorSpec<'_>> = arrays
        .iter()
        .map(|(name, array)| TensorSpec {
            name,
            dtype: Dtype::F32,
            shape: &array.shape,
        })
        .collect();
    let by_name: BTreeMap<&str, &Array> = arrays
        .iter()
        .map(|(name, array)| (name.as_str(), *array))
        .collect();
    write_safetensors(path, &BTreeMap::new(), &specs, |spec, sink| {
        sink.write_f32(&by_name[spec.name].data)
    })?;
    Ok(())
}

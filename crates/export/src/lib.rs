//! ALBERT models as files of other runtimes: ONNX.
//!
//! ```
//! use std::path::Path;
//! use albert::config::ModelClass;
//! use albert_export::onnx::{self, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/model/masked_lm");
//! # let temporary = tempfile::tempdir()?;
//! # let file = temporary.path().join("model.onnx");
//! // A folder that `albert` loads, in whatever format its weights are.
//! let written = onnx::export(&folder, ModelClass::MaskedLM, &file, Options::default())?;
//! assert_eq!(written.bytes, std::fs::metadata(&file)?.len());
//! # Ok(())
//! # }
//! ```
//!
//! A graph holds each tensor once, however often the model applies it, so a file is as large as the weights.
//!
//! # Modules in reading order
//! 1. `error`: [`Error`], the only error.
//! 2. [`onnx`]: what to export and how. In it `model` (embeddings, layers, pooler), `heads` (one place for each class),
//!    `builder` (their layers as nodes, in f32 and in 8-bit whole numbers), `graph` (nodes and constants), `proto` (the messages of the format),
//!    `write` (the file, in pieces).

mod error;
pub mod onnx;

pub use error::{Error, Result};

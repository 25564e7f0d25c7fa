//! A model as a TensorFlow SavedModel, for the C library and for `tf.saved_model.load`: each tensor in it once, as a variable.
//!
//! The model's graph is that of [`crate::onnx`], whose nodes become TensorFlow's, so that there is one description of the model.

mod function;
mod lower;
mod meta;
mod names;
mod objects;
pub mod proto;
pub mod session;
mod write;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use albert::config::ModelClass;
use albert::quantize::Draft;
use albert::{Loaded, MlmBias};
use albert_formats::write_atomically;
use prost::Message;

use crate::onnx::{self, Source};
use crate::{Error, Result};

/// The version of TensorFlow whose operators are used.
pub const TENSORFLOW: &str = "2.21.0";

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Size of all files.
    pub bytes: u64,
    /// Number of variables.
    pub variables: usize,
    /// What loading found.
    pub loaded: Loaded,
}

/// Writes the model of `folder` as the class `class` to the folder `output`, which must be new or empty and appears when it is
/// complete: `saved_model.pb` and `variables/`, in f32.
///
/// The signatures `serving_default` (int32) and `int64_serving` take `input_ids`, `attention_mask` and `token_type_ids` [B, S]
/// ([B, K, S] for multiple choice); outputs have transformers' names. Every value of the mask but 0 keeps a token. Variables
/// have the names of transformers' TensorFlow classes and are trainable.
///
/// # Errors
/// A folder that cannot be loaded as this class, or whose classifier was trained as another one; a folder that is not empty or
/// cannot be written.
pub fn export(
    folder: &Path,
    class: ModelClass,
    output: &Path,
    mlm_bias: MlmBias,
) -> Result<Written> {
    let options = onnx::Options {
        int8: None,
        mlm_bias,
    };
    let source = Source::new(folder, class, options);
    let draft = Draft::apart(folder, output)?;
    let ((bytes, variables), loaded) = source.build(|_, graph| -> Result<_> {
        let model = meta::Model::new(&graph, class);
        let message = meta::saved_model(&model).encode_to_vec();
        write_atomically(&draft.path().join("saved_model.pb"), &message)?;

        let variables = draft.path().join("variables");
        fs::create_dir(&variables).map_err(|source| Error::Write {
            path: variables.clone(),
            source,
        })?;
        let objects = objects::trackable(&model).encode_to_vec();
        let bytes = write::variables(&variables, &model.variables, &objects)?;
        Ok((message.len() as u64 + bytes, model.variables.len()))
    })?;
    draft.publish()?;
    Ok(Written {
        bytes,
        variables,
        loaded,
    })
}

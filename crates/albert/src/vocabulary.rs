//! More words for the model of a folder: rows of its word table and its masked-LM head, everything else as it is.

use std::collections::BTreeMap;
use std::path::Path;

use albert_formats::{
    Checkpoint, Dtype, FormatError, TensorInfo, TensorSink, TensorSpec, write_atomically,
    write_safetensors,
};

use crate::checkpoint::{ModelFolder, View};
use crate::config::{AlbertConfig, ConfigDialect};
use crate::error::{Error, Result};
use crate::names::Site;
use crate::quantize::{below, copy_others, encoder_folder, make};

/// A word that the vocabulary gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWord {
    /// Its number, which is also the number of its row.
    pub id: usize,
    /// The pieces that stood for it so far. Its row is the mean of theirs; without any, the mean of all rows.
    pub pieces: Vec<usize>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Tensors with more or other rows, by name.
    pub tensors: Vec<String>,
    /// Rows before.
    pub rows_before: usize,
    /// Rows now.
    pub rows: usize,
    /// What the source has and the new folder does not, and why.
    pub left_out: Vec<String>,
}

/// Writes the model in `source`, with rows for `words`, and every other file of its folder, to `folder`, which is there and
/// empty. Tensors keep their type, and rows that were there their bits. The tokenizer's files are copied as they are: the
/// caller writes those with the new words.
///
/// # Shapes
/// Of V rows become max(V, the largest id + 1): the word table [V, E], and where they are there, the decoder [V, E] and the
/// biases of the masked-LM head `[V]`. Rows between, of no word, become the mean of all.
///
/// # Errors
/// A source that cannot be read, is quantised, or whose tensors do not have the shape that its configuration says; a piece
/// that is not there; files that cannot be written, of which those that were stay.
pub fn grow_into(source: &Path, folder: &Path, words: &[NewWord]) -> Result<Grown> {
    let encoder = encoder_folder(source)?;
    let from = below(source, &encoder);
    let ModelFolder {
        mut config,
        checkpoint,
        ..
    } = ModelFolder::open(&from)?;
    refuse_integers(source, &config, &checkpoint)?;
    let before = config.vocab_size;
    let pieces = words.iter().flat_map(|word| &word.pieces);
    if let Some(piece) = pieces.copied().find(|piece| *piece >= before) {
        return Err(Error::input(
            "pieces of a new word",
            format!("numbers below {before}"),
            piece,
        ));
    }
    let tables = tables(source, &config, &checkpoint)?;
    let rows = words
        .iter()
        .map(|word| word.id + 1)
        .fold(before, usize::max);
    config.vocab_size = rows;
    config.validate()?;
    let words: BTreeMap<usize, &[usize]> = words
        .iter()
        .map(|word| (word.id, &word.pieces[..]))
        .collect();

    make(folder, &encoder)?;
    let to = below(folder, &encoder);
    let shape = |info: &TensorInfo| {
        let mut shape = info.shape.clone();
        if tables.contains(&info.name) {
            shape[0] = rows;
        }
        shape
    };
    let shapes: Vec<Vec<usize>> = checkpoint.tensors().map(shape).collect();
    let specs: Vec<TensorSpec<'_>> = checkpoint
        .tensors()
        .zip(&shapes)
        .map(|(info, shape)| TensorSpec {
            name: &info.name,
            dtype: info.dtype,
            shape,
        })
        .collect();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    write_safetensors(
        &to.join("model.safetensors"),
        &metadata,
        &specs,
        |spec, sink| match checkpoint.get(spec.name) {
            Some(info) if tables.contains(&info.name) => {
                grow(&checkpoint, info, rows, &words, sink)
            }
            Some(info) => copy(&checkpoint, info, sink),
            None => Ok(()),
        },
    )?;
    let json = config.to_json(ConfigDialect::HuggingFace)?;
    write_atomically(&to.join("config.json"), json.as_bytes())?;
    let mut left_out = Vec::new();
    copy_others(source, folder, &encoder, &mut left_out)?;
    Ok(Grown {
        tensors: tables,
        rows_before: before,
        rows,
        left_out,
    })
}

fn refuse_integers(source: &Path, config: &AlbertConfig, checkpoint: &Checkpoint) -> Result<()> {
    let integers = checkpoint
        .tensors()
        .find(|tensor| tensor.dtype == Dtype::I8);
    let found = match (config.quantization(), integers) {
        (Some(_), _) => "quantization_config in config.json".to_owned(),
        (None, Some(tensor)) => format!("tensor {} of type I8", tensor.name),
        (None, None) => return Ok(()),
    };
    Err(Error::Folder {
        path: source.to_owned(),
        problem: format!(
            "expected weights in floating point, found {found}: add the tokens to the model that it was made from, and quantise that again"
        ),
    })
}

/// Names of the tensors with a row for each word.
fn tables(source: &Path, config: &AlbertConfig, checkpoint: &Checkpoint) -> Result<Vec<String>> {
    let view = View::new(checkpoint);
    view.require_torch(source)?;
    let sites = [Site::WordEmbeddings, Site::MlmBias, Site::Decoder];
    let mut found = Vec::new();
    for tensor in sites.into_iter().flat_map(|site| site.tensors(config, 1)) {
        for stored in view.all(&tensor.name) {
            if stored.shape() != tensor.shape {
                return Err(stored.misshapen(source, &tensor.shape));
            }
            found.extend(stored.infos().map(|info| info.name.clone()));
        }
    }
    if found.is_empty() {
        return Err(Error::Folder {
            path: source.to_owned(),
            problem:
                "expected a word table, found none; `albert inspect --tensors` lists what it holds"
                    .to_owned(),
        });
    }
    Ok(found)
}

/// Elements that are read at once, at least one row.
const AT_ONCE: usize = 1 << 16;

fn copy(
    checkpoint: &Checkpoint,
    info: &TensorInfo,
    sink: &mut dyn TensorSink,
) -> std::result::Result<(), FormatError> {
    let real = matches!(
        info.dtype,
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16
    );
    for first in (0..info.elements()).step_by(AT_ONCE) {
        let count = AT_ONCE.min(info.elements() - first);
        if real {
            let mut values = vec![0.0; count];
            checkpoint.read_f64(info, first, &mut values)?;
            sink.write_f64(&values)?;
        } else {
            let mut values = vec![0; count];
            checkpoint.read_i64(info, first, &mut values)?;
            sink.write_i64(&values)?;
        }
    }
    Ok(())
}

/// Writes a table [V, n] or a bias `[V]` with other rows for `words`, and more of them.
fn grow(
    checkpoint: &Checkpoint,
    info: &TensorInfo,
    rows: usize,
    words: &BTreeMap<usize, &[usize]>,
    sink: &mut dyn TensorSink,
) -> std::result::Result<(), FormatError> {
    let (before, width) = (info.shape[0], info.shape[1..].iter().product::<usize>());
    let at_once = (AT_ONCE / width.max(1)).max(1);
    let mut row = vec![0.0; width];
    let mut all = vec![0.0; width];
    for first in (0..before).step_by(at_once) {
        let count = at_once.min(before - first);
        let mut values = vec![0.0; count * width];
        checkpoint.read_f64(info, first * width, &mut values)?;
        for (i, old) in values.chunks_exact_mut(width).enumerate() {
            for (sum, x) in all.iter_mut().zip(old.iter()) {
                *sum += *x / before as f64;
            }
            if let Some(pieces) = words.get(&(first + i)).filter(|pieces| !pieces.is_empty()) {
                mean(checkpoint, info, pieces, &mut row)?;
                old.copy_from_slice(&row);
            }
        }
        sink.write_f64(&values)?;
    }
    for id in before..rows {
        match words.get(&id).filter(|pieces| !pieces.is_empty()) {
            Some(pieces) => {
                mean(checkpoint, info, pieces, &mut row)?;
                sink.write_f64(&row)?;
            }
            None => sink.write_f64(&all)?,
        }
    }
    Ok(())
}

/// The mean of some rows, in their order.
fn mean(
    checkpoint: &Checkpoint,
    info: &TensorInfo,
    pieces: &[usize],
    mean: &mut [f64],
) -> std::result::Result<(), FormatError> {
    let width = mean.len();
    let mut row = vec![0.0; width];
    mean.fill(0.0);
    for piece in pieces {
        checkpoint.read_f64(info, piece * width, &mut row)?;
        for (sum, x) in mean.iter_mut().zip(&row) {
            *sum += *x;
        }
    }
    for x in mean {
        *x /= pieces.len() as f64;
    }
    Ok(())
}

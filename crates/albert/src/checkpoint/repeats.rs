//! Tensors that a file holds twice, which must be the same.

use std::path::Path;

use albert_formats::TensorInfo;

use super::equal;
use super::view::{Stored, View};
use crate::error::{Error, Result};
use crate::names::{DELTA_LEFT, DELTA_RIGHT, SCALE};

/// What the file holds for the place of `stored`, whose name is ours, beside it: Keras lists the embeddings with every layer
/// that uses them.
///
/// # Errors
/// Two tensors that differ.
pub(crate) fn of<'a>(
    path: &Path,
    view: &View<'a>,
    name: &str,
    stored: Stored<'a>,
) -> Result<Vec<Stored<'a>>> {
    let repeats: Vec<Stored<'a>> = view.repeats(name).collect();
    for repeat in &repeats {
        if differ(view, stored, *repeat)? {
            let name_of = |stored: Stored<'_>| stored.info().map(|info| info.name.clone());
            let [one, other] = [stored, *repeat].map(|stored| name_of(stored).unwrap_or_default());
            return Err(Error::Folder {
                path: path.to_owned(),
                problem: format!(
                    "expected one {name}, found two that differ, {one} and {other}; take a checkpoint that its program wrote whole"
                ),
            });
        }
    }
    Ok(repeats)
}

/// Whether two tensors of the file differ in shape or in any element.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn differ<'a>(view: &View<'a>, a: Stored<'a>, b: Stored<'a>) -> Result<bool> {
    if a.shape() != b.shape() {
        return Ok(true);
    }
    if a.is_integer() || b.is_integer() {
        return match (a, b) {
            (Stored::Plain(a), Stored::Plain(b)) => integers_differ(view, a, b),
            _ => Ok(true),
        };
    }
    Ok(!view.same(a, b)?)
}

/// Whether two matrices differ of which at least one is I8: in type, in an integer, in a scale.
fn integers_differ<'a>(view: &View<'a>, a: &'a TensorInfo, b: &'a TensorInfo) -> Result<bool> {
    if a.dtype != b.dtype {
        return Ok(true);
    }
    let checkpoint = view.checkpoint;
    let same = equal(
        a.elements(),
        |first, out: &mut [i8]| Ok(checkpoint.read_i8(a, first, out)?),
        |first, out: &mut [i8]| Ok(checkpoint.read_i8(b, first, out)?),
        i8::eq,
    )?;
    if !same {
        return Ok(true);
    }
    // What is missing or misshapen is told when the matrix is read.
    for suffix in [SCALE, DELTA_LEFT, DELTA_RIGHT] {
        let [a, b] = [a, b].map(|info| checkpoint.get(&format!("{}{suffix}", info.name)));
        let differ = match (a, b) {
            (None, None) => false,
            (Some(a), Some(b)) => {
                a.shape != b.shape || !view.same(Stored::Plain(a), Stored::Plain(b))?
            }
            _ => true,
        };
        if differ {
            return Ok(true);
        }
    }
    Ok(false)
}

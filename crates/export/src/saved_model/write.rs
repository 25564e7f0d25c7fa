//! The files of the variables.

use std::fs;
use std::path::Path;

use albert_formats::{Dtype, FormatError, TensorSink, TensorSpec, write_tf_variables};

use super::names::Variable;
use crate::elements::pieces;
use crate::{Error, Result};

/// Rows of a transposed matrix that are made at once.
const ROWS: usize = 64;

/// Writes `variables.index` and its data into `folder`; gives the size of both in bytes.
pub(super) fn variables(folder: &Path, variables: &[Variable<'_>], objects: &[u8]) -> Result<u64> {
    let spec = |variable: &'_ Variable<'_>| (variable.key(), variable.shape.clone());
    let owned: Vec<(String, Vec<usize>)> = variables.iter().map(spec).collect();
    let specs = owned.iter().map(|(name, shape)| TensorSpec {
        name,
        shape,
        dtype: Dtype::F32,
    });
    let specs: Vec<TensorSpec<'_>> = specs.collect();
    write_tf_variables(&folder.join("variables"), &specs, objects, |spec, sink| {
        let variable = variables
            .iter()
            .find(|variable| variable.key() == spec.name);
        elements(variable.expect("one of those that were given"), sink)
    })?;
    let size = |name: &str| {
        let path = folder.join(name);
        let about = fs::metadata(&path);
        about
            .map(|about| about.len())
            .map_err(|source| Error::Write { path, source })
    };
    Ok(size("variables.index")? + size("variables.data-00000-of-00001")?)
}

fn elements(
    variable: &Variable<'_>,
    sink: &mut dyn TensorSink,
) -> std::result::Result<(), FormatError> {
    let tensor = variable.tensor;
    if !variable.transposed {
        return pieces(tensor, |values| sink.write_f32(values));
    }
    let (inputs, outputs) = (variable.shape[0], variable.shape[1]);
    let mut matrix = vec![0.0; inputs * outputs];
    tensor.read(0, &mut matrix);
    let mut band = Vec::new();
    for first in (0..inputs).step_by(ROWS) {
        let rows = ROWS.min(inputs - first);
        band.clear();
        band.resize(rows * outputs, 0.0);
        for (column, row) in matrix.chunks_exact(inputs).enumerate() {
            for (i, value) in row[first..first + rows].iter().enumerate() {
                band[i * outputs + column] = *value;
            }
        }
        sink.write_f32(&band)?;
    }
    Ok(())
}

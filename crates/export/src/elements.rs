//! The numbers of a tensor, in pieces.

use albert::Parameter;

/// Elements of a tensor that are read at once, at least a row.
const AT_ONCE: usize = 1 << 16;

/// Hands all numbers of a tensor to `each`, some rows at a time.
pub(crate) fn pieces<E>(
    tensor: &Parameter<'_>,
    mut each: impl FnMut(&[f32]) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let elements: usize = tensor.shape.iter().product();
    let row = tensor.shape.last().copied().unwrap_or(1).max(1);
    let step = AT_ONCE.div_ceil(row) * row;
    let mut values = vec![0.0; step.min(elements)];
    for first in (0..elements).step_by(step) {
        let values = &mut values[..step.min(elements - first)];
        tensor.read(first, values);
        each(values)?;
    }
    Ok(())
}

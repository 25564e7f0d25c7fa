//! Padding: one length for all inputs of a batch.

use crate::encoding::Encoding;
use crate::error::Error;
use crate::options::{PadTo, Padding, Side};

/// What padding consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filling {
    pub(crate) id: u32,
    pub(crate) type_id: u32,
    pub(crate) side: Side,
}

/// The length that inputs of these lengths are padded to; `None`: no padding.
pub(crate) fn target(
    padding: &Padding,
    lengths: impl Iterator<Item = usize>,
) -> Result<Option<usize>, Error> {
    let length = match padding.to {
        PadTo::None => return Ok(None),
        PadTo::Longest => lengths.max().unwrap_or(0),
        PadTo::MaxLength(length) => length,
    };
    let multiple = padding.multiple_of.unwrap_or(1).max(1);
    length
        .checked_next_multiple_of(multiple)
        .map(Some)
        .ok_or_else(|| {
            Error::options(format!(
                "no multiple of {multiple} is large enough for padding to {length} tokens"
            ))
        })
}

/// Pads an encoding and its overflow; what is longer stays as it is.
pub(crate) fn pad(encoding: &mut Encoding, target: usize, filling: Filling) {
    for window in &mut encoding.overflowing {
        pad(window, target, filling);
    }
    if let Some(count @ 1..) = target.checked_sub(encoding.ids.len()) {
        encoding.push_padding(count, filling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_longest_or_the_number_rounded_up() {
        let of = |to, multiple_of, lengths: &[usize]| {
            let padding = Padding {
                to,
                multiple_of,
                side: None,
            };
            target(&padding, lengths.iter().copied()).unwrap()
        };
        assert_eq!(of(PadTo::None, Some(8), &[3, 9]), None);
        assert_eq!(of(PadTo::Longest, None, &[3, 9]), Some(9));
        assert_eq!(of(PadTo::Longest, Some(8), &[3, 9]), Some(16));
        assert_eq!(of(PadTo::MaxLength(7), Some(8), &[3, 9]), Some(8));
        assert_eq!(of(PadTo::MaxLength(7), Some(0), &[]), Some(7));
        assert_eq!(of(PadTo::Longest, None, &[]), Some(0));
        let hostile = Padding {
            to: PadTo::MaxLength(usize::MAX),
            multiple_of: Some(8),
            side: None,
        };
        assert!(target(&hostile, [].into_iter()).is_err());
    }
}

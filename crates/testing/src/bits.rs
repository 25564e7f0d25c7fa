//! Equality of bits.

/// Compares f32 bits; says where the first difference is and how many there are. NaNs of the same bits agree, 0 and
/// −0 do not.
///
/// # Errors
/// The difference in words.
pub fn same_bits(actual: &[f32], expected: &[f32]) -> Result<(), String> {
    if actual.len() != expected.len() {
        return Err(format!(
            "{} elements instead of {}",
            actual.len(),
            expected.len()
        ));
    }
    let differ = |(_, (a, e)): &(usize, (&f32, &f32))| a.to_bits() != e.to_bits();
    let mut differences = actual.iter().zip(expected).enumerate().filter(differ);
    match differences.next() {
        None => Ok(()),
        Some((at, (a, e))) => Err(format!(
            "{} of {} elements differ, first element {at}: {a:e} ({:#010x}) instead of {e:e} ({:#010x})",
            1 + differences.count(),
            actual.len(),
            a.to_bits(),
            e.to_bits()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::same_bits;

    #[test]
    fn sees_the_last_bit_and_the_sign_of_zero() {
        let x = [1.0, 0.0, f32::NAN];
        same_bits(&x, &x).expect("the same");
        let next = [f32::from_bits(1.0_f32.to_bits() + 1), 0.0, f32::NAN];
        let message = same_bits(&next, &x).expect_err("one bit");
        assert!(
            message.starts_with("1 of 3 elements differ, first element 0"),
            "{message}"
        );
        same_bits(&[1.0, -0.0, f32::NAN], &x).expect_err("minus zero");
        same_bits(&[1.0, 0.0, 2.0], &x).expect_err("a number for NaN");
        same_bits(&x[..2], &x).expect_err("shorter");
    }
}

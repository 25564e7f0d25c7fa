//! Two arrays of numbers: how far apart they are, and how far they may be.

use std::fmt;

/// A row-major array of f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Array64 {
    /// Sizes of the axes; none for a single number.
    pub shape: Vec<usize>,
    /// Π shape elements.
    pub data: Vec<f64>,
}

impl Array64 {
    /// # Panics
    /// When the number of elements is not that of the shape.
    pub fn new<T: Copy + Into<f64>>(shape: &[usize], data: &[T]) -> Self {
        let elements: usize = shape.iter().product();
        assert_eq!(data.len(), elements, "elements of an array {shape:?}");
        Self {
            shape: shape.to_vec(),
            data: data.iter().map(|&x| x.into()).collect(),
        }
    }

    fn index(&self, mut flat: usize) -> Vec<usize> {
        let mut index = vec![0; self.shape.len()];
        for (at, size) in index.iter_mut().zip(&self.shape).rev() {
            (*at, flat) = (flat % size, flat / size);
        }
        index
    }
}

/// The largest distance between two arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// max |actual − expected|; infinite where only one of two is infinite.
    pub max_abs: f64,
    /// Where that is.
    pub at: Vec<usize>,
    /// The element there.
    pub actual: f64,
    /// What it should be.
    pub expected: f64,
    /// max |expected| over the finite elements compared.
    pub scale: f64,
    /// Elements compared.
    pub compared: usize,
}

impl Deviation {
    /// Fails when the distance is larger than `tolerance`, also where every expected value is 0, and when the
    /// tolerance is so wide that wrong results could pass: a hundredth of the scale or not a number.
    ///
    /// # Errors
    /// [`Mismatch::TooFar`], [`Mismatch::Blind`].
    pub fn within(self, tolerance: f64) -> Result<Self, Mismatch> {
        let sharp = tolerance >= 0.0
            && tolerance.is_finite()
            && (self.scale == 0.0 || tolerance < 0.01 * self.scale);
        if !sharp {
            return Err(Mismatch::Blind {
                tolerance,
                scale: self.scale,
            });
        }
        if self.max_abs <= tolerance {
            Ok(self)
        } else {
            Err(Mismatch::TooFar {
                deviation: self,
                tolerance,
            })
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            max_abs,
            at,
            actual,
            expected,
            scale,
            compared,
        } = self;
        write!(
            f,
            "off by {max_abs:.3e} at {at:?}: {actual:e} instead of {expected:e} ({compared} elements up to {scale:.3e})"
        )
    }
}

/// Why two arrays do not agree.
#[derive(Clone, Debug, PartialEq)]
pub enum Mismatch {
    /// Other sizes.
    Shape {
        /// Ours.
        actual: Vec<usize>,
        /// The golden's.
        expected: Vec<usize>,
    },
    /// Nothing was selected: the comparison could not fail.
    Empty,
    /// One side is not a number where the other one is.
    Nan {
        /// Where.
        at: Vec<usize>,
        /// Ours.
        actual: f64,
        /// The golden's.
        expected: f64,
    },
    /// Every element of ours is 0, and the golden's are not.
    AllZero {
        /// max |expected|
        scale: f64,
    },
    /// An element that must be exactly 0 is not.
    NotZero {
        /// Where.
        at: Vec<usize>,
        /// Ours.
        actual: f64,
    },
    /// Further apart than allowed.
    TooFar {
        /// How far.
        deviation: Deviation,
        /// How far it may be.
        tolerance: f64,
    },
    /// The tolerance itself is useless.
    Blind {
        /// The tolerance.
        tolerance: f64,
        /// max |expected|
        scale: f64,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { actual, expected } => {
                write!(f, "shape {actual:?} instead of {expected:?}")
            }
            Self::Empty => write!(f, "no element to compare"),
            Self::Nan {
                at,
                actual,
                expected,
            } => write!(f, "{actual} instead of {expected} at {at:?}"),
            Self::AllZero { scale } => {
                write!(f, "all elements are 0 instead of values up to {scale:e}")
            }
            Self::NotZero { at, actual } => write!(f, "{actual:e} instead of 0 at {at:?}"),
            Self::TooFar {
                deviation,
                tolerance,
            } => write!(f, "{deviation}, allowed {tolerance:.3e}"),
            Self::Blind { tolerance, scale } => {
                write!(
                    f,
                    "a tolerance of {tolerance:e} sees nothing in values up to {scale:e}"
                )
            }
        }
    }
}

impl std::error::Error for Mismatch {}

/// Compares all elements.
///
/// # Errors
/// As [`measure_where`].
pub fn measure(actual: &Array64, expected: &Array64) -> Result<Deviation, Mismatch> {
    measure_where(actual, expected, |_| true)
}

/// Compares the elements whose flat index is `selected`. NaN agrees with NaN alone.
///
/// # Errors
/// Another shape, nothing selected, NaN on one side, zeros instead of numbers.
pub fn measure_where(
    actual: &Array64,
    expected: &Array64,
    selected: impl Fn(usize) -> bool,
) -> Result<Deviation, Mismatch> {
    if actual.shape != expected.shape {
        return Err(Mismatch::Shape {
            actual: actual.shape.clone(),
            expected: expected.shape.clone(),
        });
    }
    let (mut worst, mut worst_at) = (-1.0, 0);
    let (mut scale, mut compared, mut all_zero) = (0.0_f64, 0, true);
    let pairs = actual.data.iter().zip(&expected.data).enumerate();
    for (i, (&a, &e)) in pairs.filter(|(i, _)| selected(*i)) {
        if a.is_nan() != e.is_nan() {
            return Err(Mismatch::Nan {
                at: actual.index(i),
                actual: a,
                expected: e,
            });
        }
        let distance = if a == e || a.is_nan() {
            0.0
        } else {
            (a - e).abs()
        };
        if distance > worst {
            (worst, worst_at) = (distance, i);
        }
        if e.is_finite() {
            scale = scale.max(e.abs());
        }
        all_zero &= a == 0.0;
        compared += 1;
    }
    if compared == 0 {
        return Err(Mismatch::Empty);
    }
    if all_zero && scale > 0.0 {
        return Err(Mismatch::AllZero { scale });
    }
    Ok(Deviation {
        max_abs: worst,
        at: actual.index(worst_at),
        actual: actual.data[worst_at],
        expected: expected.data[worst_at],
        scale,
        compared,
    })
}

/// The arithmetic that produced a result, and with it how far it may be from transformers' f64 result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32 activations: at most three times as far as transformers' own f32 run of the same inputs. Both are the largest
    /// of a few rounding errors, so that luck alone makes a factor: over the 330 outputs of `fixtures/model` ours is
    /// 0.95 times theirs on average and 2.55 times at most. (A test of all of them bounds the average too.) Where their
    /// run was very lucky, 2e-7 of the largest value: one rounding to f32 is up to 2⁻²⁴ = 6e-8 of the value, and the last
    /// operations before an output chain about three (product, bias, normalisation).
    F32,
    /// f64 activations over f32 weights: 1e-12 of the largest value. Weights and inputs are exact in both
    /// programs, so that only the order of f64 sums differs: some ten roundings of 2⁻⁵³ = 1e-16, grown at most
    /// a thousandfold by LayerNorm over rows whose deviation is 1e-3. (Measured: 5e-15, and 6e-14 for `gelu_fast`,
    /// which cuts √(2/π) after ten digits where we take the exact number.)
    F64,
}

impl Precision {
    /// The largest distance allowed for values up to `scale`, where transformers' f32 run was
    /// `hf_f32_error` away.
    pub fn tolerance(self, hf_f32_error: f64, scale: f64) -> f64 {
        match self {
            Self::F32 => (3.0 * hf_f32_error).max(2e-7 * scale),
            Self::F64 => 1e-12 * scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Array64 {
        // [3, 4]: all different, with signs, none zero but the last.
        let data: Vec<f64> = (0..12)
            .map(|i| (f64::from(i) - 11.0) * 0.37 * if i % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        Array64::new(&[3, 4], &data)
    }

    /// The verdict under the usual rule with a typical error of transformers.
    fn verdict(actual: &Array64, expected: &Array64) -> Result<Deviation, Mismatch> {
        let deviation = measure(actual, expected)?;
        let tolerance = Precision::F32.tolerance(1e-6, deviation.scale);
        deviation.within(tolerance)
    }

    fn edited(edit: impl FnOnce(&mut Vec<f64>)) -> Array64 {
        let mut array = numbers();
        edit(&mut array.data);
        array
    }

    #[test]
    fn passes_what_is_equal_or_near() {
        let exact = verdict(&numbers(), &numbers()).expect("equal");
        assert_eq!((exact.max_abs, exact.compared), (0.0, 12));
        let near = verdict(&edited(|data| data[5] += 2.9e-6), &numbers()).expect("near");
        assert_eq!(near.at, [1, 1]);
        assert!((near.max_abs - 2.9e-6).abs() < 1e-12);
    }

    #[test]
    fn fails_when_it_must() {
        let far = |array: &Array64| {
            matches!(
                verdict(array, &numbers()),
                Err(Mismatch::TooFar { .. } | Mismatch::AllZero { .. })
            )
        };
        assert!(far(&edited(|data| data[5] += 3.1e-6)), "a little too far");
        assert!(far(&edited(|data| data.fill(0.0))), "zeros");
        assert!(far(&edited(|data| data[3] = -data[3])), "one sign");
        assert!(
            far(&edited(|data| data.iter_mut().for_each(|x| *x = -*x))),
            "all signs"
        );
        assert!(far(&edited(|data| data.rotate_right(4))), "off by one row");
        assert!(
            far(&edited(|data| data.rotate_left(1))),
            "off by one element"
        );
        assert!(far(&edited(|data| data.swap(0, 1))), "two swapped");
        assert!(far(&edited(|data| data[7] = f64::INFINITY)), "infinite");
        assert!(
            far(&edited(|data| data[11] = 1e-5)),
            "where the value is exactly 0"
        );
        let transposed: Vec<f64> = (0..12).map(|i| numbers().data[i % 3 * 4 + i / 3]).collect();
        assert!(
            far(&Array64::new(&[3, 4], &transposed)),
            "transposed in place"
        );
    }

    #[test]
    fn names_zeros_shapes_and_emptiness() {
        assert!(matches!(
            verdict(&edited(|data| data.fill(0.0)), &numbers()),
            Err(Mismatch::AllZero { .. })
        ));
        let turned = Array64::new(&[4, 3], &numbers().data);
        assert!(matches!(
            verdict(&turned, &numbers()),
            Err(Mismatch::Shape { .. })
        ));
        let flat = Array64::new(&[12], &numbers().data);
        assert!(matches!(
            verdict(&flat, &numbers()),
            Err(Mismatch::Shape { .. })
        ));
        assert_eq!(
            measure_where(&numbers(), &numbers(), |_| false),
            Err(Mismatch::Empty)
        );
        let empty = Array64::new::<f64>(&[0, 4], &[]);
        assert_eq!(measure(&empty, &empty), Err(Mismatch::Empty));
    }

    #[test]
    fn nan_agrees_with_nan_alone() {
        let nan = edited(|data| data[6] = f64::NAN);
        assert!(matches!(verdict(&nan, &numbers()), Err(Mismatch::Nan { at, .. }) if at == [1, 2]));
        assert!(matches!(
            verdict(&numbers(), &nan),
            Err(Mismatch::Nan { .. })
        ));
        verdict(&nan, &nan).expect("NaN where NaN is expected");
        let both = edited(|data| {
            data[6] = f64::NAN;
            data[0] += 1.0;
        });
        assert!(
            matches!(verdict(&both, &nan), Err(Mismatch::TooFar { .. })),
            "the others still count"
        );
        let all = Array64::new(&[], &[f64::NAN]);
        verdict(&all, &all).expect("a loss that is NaN");
        assert!(verdict(&Array64::new(&[], &[0.0]), &all).is_err());
    }

    #[test]
    fn infinity_agrees_with_itself_alone() {
        let infinite = edited(|data| data[6] = f64::INFINITY);
        verdict(&infinite, &infinite).expect("the same infinity");
        assert!(verdict(&edited(|data| data[6] = f64::NEG_INFINITY), &infinite).is_err());
        assert!(verdict(&numbers(), &infinite).is_err());
    }

    #[test]
    fn expected_zeros_can_still_fail() {
        let zeros = Array64::new(&[2], &[0.0, 0.0]);
        let deviation = measure(&Array64::new(&[2], &[0.0, 1e-30]), &zeros).expect("comparable");
        let tolerance = Precision::F32.tolerance(0.0, deviation.scale);
        assert!(matches!(
            deviation.within(tolerance),
            Err(Mismatch::TooFar { .. })
        ));
        let exact = measure(&zeros, &zeros).expect("comparable");
        exact.within(0.0).expect("zeros are zeros");
    }

    #[test]
    fn refuses_a_blind_tolerance() {
        let exact = measure(&numbers(), &numbers()).expect("equal");
        for tolerance in [f64::NAN, f64::INFINITY, -1.0, 0.01 * exact.scale, 1.0] {
            let verdict = exact.clone().within(tolerance);
            assert!(
                matches!(verdict, Err(Mismatch::Blind { .. })),
                "{tolerance}"
            );
        }
    }

    #[test]
    fn tolerances() {
        assert_eq!(Precision::F32.tolerance(1e-6, 1.0), 3.0 * 1e-6);
        assert_eq!(Precision::F32.tolerance(0.0, 3.0), 2e-7 * 3.0);
        assert_eq!(Precision::F64.tolerance(1e-6, 3.0), 1e-12 * 3.0);
    }

    #[test]
    fn selection_leaves_out_what_it_says() {
        let wrong = edited(|data| data[11] = 9.0);
        let deviation = measure_where(&wrong, &numbers(), |i| i != 11).expect("comparable");
        assert_eq!((deviation.max_abs, deviation.compared), (0.0, 11));
        let deviation = measure_where(&wrong, &numbers(), |i| i == 11).expect("comparable");
        assert_eq!((deviation.max_abs, deviation.at), (9.0, vec![2, 3]));
    }
}

//! Dropout whose choices depend on numbers of the element, never on where it stands in memory.

use crate::parallel::Pool;
use crate::random::mix;

/// Elements to drop.
#[derive(Clone, Copy)]
pub struct Dropout<'a> {
    /// Chance of each element to become 0, from 0 up to but not including 1; the others are divided by 1 − rate.
    pub rate: f64,
    /// Random bits of each row: what an element becomes depends on these and its column.
    pub rows: &'a [u64],
}

impl Dropout<'_> {
    /// 0, or 1/(1 − rate).
    #[inline(always)]
    pub fn factor(&self, row: usize, column: u64) -> f32 {
        let dropped = (mix(self.rows[row].wrapping_add(column)) >> 32) < self.threshold();
        if dropped {
            0.0
        } else {
            (1.0 / (1.0 - self.rate)) as f32
        }
    }

    fn threshold(&self) -> u64 {
        (self.rate * f64::from(u32::MAX)) as u64
    }

    /// Applies it to every element of x [T, cols]; also its own gradient.
    ///
    /// # Panics
    /// When there is another number of rows.
    pub fn apply(&self, pool: &Pool, x: &mut [f32], cols: usize) {
        assert_eq!(x.len(), self.rows.len() * cols, "dropout");
        if self.rate == 0.0 {
            return;
        }
        pool.for_chunks(x, cols, &mut vec![(); pool.threads()], |(), row, x| {
            for (column, x) in (0..).zip(x) {
                *x *= self.factor(row, column);
            }
        });
    }
}

//! What the kernel tests share: seeded numbers, threads, scratch.
#![allow(dead_code)] // no test uses all of it

use albert_kernels::Scratch;
use albert_kernels::pack::{LANES, Line, pack_weight_panel, packed_len};
use albert_kernels::{Isa, parallel::Pool};

/// Seeded numbers in (−1, 1), with some zeros.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = self.0 >> 40;
        if bits.is_multiple_of(61) {
            0.0
        } else {
            bits as f32 / (1 << 23) as f32 - 1.0
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

pub(crate) fn pools() -> Vec<Pool> {
    [1, 2, 7].map(|threads| Pool::new(threads).unwrap()).into()
}

pub(crate) fn scratch(pool: &Pool) -> Vec<Scratch> {
    (0..pool.threads()).map(|_| Scratch::default()).collect()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

pub(crate) fn pack(isa: Isa, weights: &[f32], rows: usize, cols: usize) -> Vec<Line> {
    let mut panels = vec![Line([f32::NAN; LANES]); packed_len(rows, cols)];
    for (p, panel) in panels.chunks_mut(cols).enumerate() {
        let first = p * LANES;
        pack_weight_panel(
            isa,
            &weights[first * cols..rows.min(first + LANES) * cols],
            cols,
            panel,
        );
    }
    panels
}

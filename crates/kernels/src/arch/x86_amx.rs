//! Products of tiles, 16 rows by 16 columns by 64 bytes at a time, with Intel AMX.
//!
//! The compiler does not know these registers: each computation is one block of assembly, between a configuration and a release.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, __m512i};
use std::sync::OnceLock;

use super::x86_avx512::{Avx512, Avx512Vnni};
use crate::pack::Line;
use crate::simd::{
    Dot, DotKernel, GROUP, Kernel, LANES, PairTiles, PairTilesKernel, Simd, Tiles, Words,
};

/// Bytes of a row of a tile.
const ROW_BYTES: usize = 64;

/// Proof that AMX is present with products of bytes, that the system lets this process use it, and that AVX-512 VNNI is
/// there as well.
#[derive(Clone, Copy)]
pub(crate) struct Amx(Avx512Vnni);

/// Eight tiles of 16 rows of 64 bytes, as `LDTILECFG` reads them.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: {
        let mut bytes = [0; 16];
        let mut tile = 0;
        while tile < 8 {
            bytes[tile] = ROW_BYTES as u16;
            tile += 1;
        }
        bytes
    },
    rows: {
        let mut rows = [0; 16];
        let mut tile = 0;
        while tile < 8 {
            rows[tile] = LANES as u8;
            tile += 1;
        }
        rows
    },
};

impl Amx {
    /// Whether this machine has the instructions and the system lets this process use them, which it is asked for once.
    pub(crate) fn detected() -> bool {
        static DETECTED: OnceLock<bool> = OnceLock::new();
        *DETECTED.get_or_init(|| Avx512Vnni::detected() && has_tiles_of_bytes() && permitted())
    }

    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// # Panics
    /// Where [`Amx::detected`] is false.
    pub(crate) fn run<K: DotKernel>(kernel: K) {
        assert!(Self::detected(), "AMX kernel on a machine without AMX");
        Avx512Vnni::run_with(kernel, Amx);
    }
}

impl Dot<Avx512> for Amx {
    const STEPS: usize = 1;
    const TILES: bool = true;

    #[inline(always)]
    fn add(self, s: Avx512, sum: __m512i, w: __m512i, x: __m512i) -> __m512i {
        self.0.add(s, sum, w, x)
    }

    fn add_tiles(self, tiles: Tiles<'_, Words>) {
        add_bytes(tiles);
    }
}

/// Proof that products of pairs of bfloat16 are present too.
#[derive(Clone, Copy)]
pub(crate) struct AmxBf16(());

impl AmxBf16 {
    /// Whether this machine has the instructions and the system lets this process use them.
    pub(crate) fn detected() -> bool {
        Amx::detected() && has_tiles_of_pairs()
    }

    /// Runs `kernel` in code compiled for this instruction set.
    ///
    /// # Panics
    /// Where [`AmxBf16::detected`] is false.
    pub(crate) fn run<K: PairTilesKernel>(kernel: K) {
        assert!(Self::detected(), "AMX kernel on a machine without AMX");
        struct WithTiles<K>(K);
        impl<K: PairTilesKernel> Kernel for WithTiles<K> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                self.0.eval(s, AmxBf16(()));
            }
        }
        Avx512::run(WithTiles(kernel));
    }
}

impl PairTiles for AmxBf16 {
    fn add(self, tiles: Tiles<'_, Line>) {
        add_pairs(tiles);
    }
}

/// Defines a function that adds products of tiles.
macro_rules! products {
    ($(#[$doc:meta])* $name:ident, $sum:ty, $dot:literal) => {
        $(#[$doc])*
        fn $name(tiles: Tiles<'_, $sum>) {
            let Tiles { a, stride, b, to } = tiles;
            let lines = b[0].len();
            assert!(lines.is_multiple_of(LANES) && b.iter().all(|panel| panel.len() == lines));
            assert!(to.len().is_multiple_of(LANES) && to.len() > 0 && lines <= stride);
            assert!(a.len() >= (to.len() - 1) * stride + lines);
            let blocks = lines / LANES;
            if blocks == 0 {
                return;
            }
            configure();
            let pairs = to.chunks_mut(2 * LANES);
            for (to, a) in pairs.zip((0..).map(|pair| &a[pair * 2 * LANES * stride..])) {
                let [b0, b1, b2] = b.map(<[Words]>::as_ptr);
                let (row, sums) = (a.as_ptr(), to.as_mut_ptr());
                if to.len() == 2 * LANES {
                    // SAFETY: tiles are configured. A tile of A reads 16 rows of 64 bytes at `stride` words from each other, of
                    // B 16 lines, of the sums 16 rows at the size of a row: all within `a`, `b` and `to`, as asserted above for
                    // `lines` of K in blocks of 16. The sums are written alone.
                    unsafe {
                        asm!(
                            "tileloadd tmm0, [{to0} + {width}]",
                            "tileloadd tmm1, [{to0} + {width} + 64]",
                            "tileloadd tmm2, [{to0} + {width} + 128]",
                            "tileloadd tmm3, [{to1} + {width}]",
                            "tileloadd tmm4, [{to1} + {width} + 64]",
                            "tileloadd tmm5, [{to1} + {width} + 128]",
                            "2:",
                            "tileloadd tmm7, [{b0} + {line}]",
                            "tileloadd tmm6, [{a0} + {stride}]",
                            concat!($dot, " tmm0, tmm6, tmm7"),
                            "tileloadd tmm6, [{a1} + {stride}]",
                            concat!($dot, " tmm3, tmm6, tmm7"),
                            "tileloadd tmm7, [{b1} + {line}]",
                            concat!($dot, " tmm4, tmm6, tmm7"),
                            "tileloadd tmm6, [{a0} + {stride}]",
                            concat!($dot, " tmm1, tmm6, tmm7"),
                            "tileloadd tmm7, [{b2} + {line}]",
                            concat!($dot, " tmm2, tmm6, tmm7"),
                            "tileloadd tmm6, [{a1} + {stride}]",
                            concat!($dot, " tmm5, tmm6, tmm7"),
                            "add {a0}, 64",
                            "add {a1}, 64",
                            "add {b0}, 1024",
                            "add {b1}, 1024",
                            "add {b2}, 1024",
                            "dec {blocks}",
                            "jnz 2b",
                            "tilestored [{to0} + {width}], tmm0",
                            "tilestored [{to0} + {width} + 64], tmm1",
                            "tilestored [{to0} + {width} + 128], tmm2",
                            "tilestored [{to1} + {width}], tmm3",
                            "tilestored [{to1} + {width} + 64], tmm4",
                            "tilestored [{to1} + {width} + 128], tmm5",
                            a0 = inout(reg) row => _,
                            a1 = inout(reg) row.add(LANES * stride) => _,
                            stride = in(reg) stride * size_of::<f32>(),
                            b0 = inout(reg) b0 => _,
                            b1 = inout(reg) b1 => _,
                            b2 = inout(reg) b2 => _,
                            line = in(reg) ROW_BYTES,
                            to0 = in(reg) sums,
                            to1 = in(reg) sums.add(LANES),
                            width = in(reg) size_of::<[$sum; GROUP]>(),
                            blocks = inout(reg) blocks => _,
                            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                            options(nostack),
                        );
                    }
                } else {
                    // SAFETY: as above, with 16 rows of sums.
                    unsafe {
                        asm!(
                            "tileloadd tmm0, [{to} + {width}]",
                            "tileloadd tmm1, [{to} + {width} + 64]",
                            "tileloadd tmm2, [{to} + {width} + 128]",
                            "2:",
                            "tileloadd tmm6, [{a} + {stride}]",
                            "tileloadd tmm3, [{b0} + {line}]",
                            concat!($dot, " tmm0, tmm6, tmm3"),
                            "tileloadd tmm4, [{b1} + {line}]",
                            concat!($dot, " tmm1, tmm6, tmm4"),
                            "tileloadd tmm5, [{b2} + {line}]",
                            concat!($dot, " tmm2, tmm6, tmm5"),
                            "add {a}, 64",
                            "add {b0}, 1024",
                            "add {b1}, 1024",
                            "add {b2}, 1024",
                            "dec {blocks}",
                            "jnz 2b",
                            "tilestored [{to} + {width}], tmm0",
                            "tilestored [{to} + {width} + 64], tmm1",
                            "tilestored [{to} + {width} + 128], tmm2",
                            a = inout(reg) row => _,
                            stride = in(reg) stride * size_of::<f32>(),
                            b0 = inout(reg) b0 => _,
                            b1 = inout(reg) b1 => _,
                            b2 = inout(reg) b2 => _,
                            line = in(reg) ROW_BYTES,
                            to = in(reg) sums,
                            width = in(reg) size_of::<[$sum; GROUP]>(),
                            blocks = inout(reg) blocks => _,
                            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                            out("tmm4") _, out("tmm5") _, out("tmm6") _,
                            options(nostack),
                        );
                    }
                }
            }
            release();
        }
    };
}

products!(
    /// Unsigned times signed bytes, four at a time, exact.
    add_bytes, Words, "tdpbusd"
);
products!(
    /// Pairs of bfloat16, see [`PairTiles`].
    add_pairs, Line, "tdpbf16ps"
);

/// Makes eight tiles of 16 rows of 64 bytes.
fn configure() {
    // SAFETY: an `Amx` is the proof that the instruction is there and allowed; it reads 64 bytes. No other code uses tiles.
    unsafe {
        asm!(
            "ldtilecfg [{}]",
            in(reg) &raw const CONFIGURATION,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly),
        );
    }
}

/// Frees the tiles, so that the system need not save them.
fn release() {
    // SAFETY: as [`configure`].
    unsafe {
        asm!(
            "tilerelease",
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, nomem),
        );
    }
}

/// AMX-TILE and AMX-INT8.
fn has_tiles_of_bytes() -> bool {
    has_features(1 << 24 | 1 << 25)
}

/// AMX-TILE and AMX-BF16.
fn has_tiles_of_pairs() -> bool {
    has_features(1 << 24 | 1 << 22)
}

/// Whether all these bits of leaf 7, register EDX, are set.
fn has_features(bits: u32) -> bool {
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & bits == bits
}

/// Whether Linux lets this process use the registers of tiles; their state is saved for threads that use them.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: the system call has no pointers; the kernel overwrites rax, rcx and r11 alone.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

//! Which instructions this machine has, and which ones a computation uses.

use std::fmt;

use crate::arch::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::arch::{
    x86_amx::{Amx, AmxBf16},
    x86_avx2::{Avx2, AvxVnni},
    x86_avx512::{Avx512, Avx512Bf16, Avx512Vnni},
};
use crate::simd::{ByHalves, ByWidened, DotKernel, Kernel, PairKernel, PairTilesKernel};

/// An instruction set that this machine has; results do not depend on it, but for those in bfloat16 with AMX: see
/// [`crate::bf16`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Name);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Amx,
}

/// Every name that [`Isa::from_name`] knows, slowest first.
pub const ISA_NAMES: &[&str] = &[
    "portable",
    "avx2",
    "avx2-vnni",
    "avx512",
    "avx512-vnni",
    "avx512-bf16",
    "amx",
];

impl Isa {
    /// Plain Rust, present everywhere (with hardware FMA where the machine has it).
    pub const PORTABLE: Isa = Isa(Name::Portable);

    /// The fastest instruction set of this machine.
    pub fn best() -> Self {
        *Self::available()
            .last()
            .expect("portable code is always there")
    }

    /// All instruction sets of this machine, slowest first.
    pub fn available() -> Vec<Self> {
        ISA_NAMES
            .iter()
            .filter_map(|name| Self::from_name(name))
            .collect()
    }

    /// The instruction set of that name, if the name is known and this machine has it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "portable" => Some(Self::PORTABLE),
            #[cfg(target_arch = "x86_64")]
            "avx2" => Avx2::detected().then_some(Isa(Name::Avx2)),
            #[cfg(target_arch = "x86_64")]
            "avx2-vnni" => AvxVnni::detected().then_some(Isa(Name::AvxVnni)),
            #[cfg(target_arch = "x86_64")]
            "avx512" => Avx512::detected().then_some(Isa(Name::Avx512)),
            #[cfg(target_arch = "x86_64")]
            "avx512-vnni" => Avx512Vnni::detected().then_some(Isa(Name::Avx512Vnni)),
            #[cfg(target_arch = "x86_64")]
            "avx512-bf16" => {
                (Avx512Vnni::detected() && Avx512Bf16::detected()).then_some(Isa(Name::Avx512Bf16))
            }
            #[cfg(target_arch = "x86_64")]
            "amx" => (AmxBf16::detected() && Avx512Bf16::detected()).then_some(Isa(Name::Amx)),
            _ => None,
        }
    }

    /// This one, or the fastest one before it whose products of bfloat16 have the bits that most have: AMX adds in an order
    /// of its own.
    pub fn with_common_bf16(self) -> Self {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Name::Amx => Isa(Name::Avx512Bf16),
            _ => self,
        }
    }

    /// One of [`ISA_NAMES`].
    pub fn name(self) -> &'static str {
        match self.0 {
            Name::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Name::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Name::AvxVnni => "avx2-vnni",
            #[cfg(target_arch = "x86_64")]
            Name::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Name::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Name::Avx512Bf16 => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            Name::Amx => "amx",
        }
    }

    /// Runs `kernel` in code compiled for this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Name::Portable => Portable::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Name::Avx2 | Name::AvxVnni => Avx2::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Name::Avx512 | Name::Avx512Vnni | Name::Avx512Bf16 | Name::Amx => Avx512::run(kernel),
        }
    }

    /// As [`Isa::run`], with the machine's products of bytes.
    pub(crate) fn run_dot<K: DotKernel>(self, kernel: K) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Name::AvxVnni => AvxVnni::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Name::Avx512Vnni | Name::Avx512Bf16 => Avx512Vnni::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Name::Amx => Amx::run(kernel),
            _ => self.run(ByHalves(kernel)),
        }
    }

    /// As [`Isa::run`], with the machine's products of pairs of bfloat16.
    pub(crate) fn run_pairs<K: PairKernel + PairTilesKernel>(self, kernel: K) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Name::Avx512Bf16 => Avx512Bf16::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Name::Amx => AmxBf16::run(kernel),
            _ => self.run(ByWidened(kernel)),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

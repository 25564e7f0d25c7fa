//! The ruler: what the tests of this workspace measure with, itself tested. For development only.
//!
//! ```
//! use albert_testing::{Array64, Precision, measure};
//!
//! let expected = Array64::new(&[2], &[1.0, -2.0]);
//! let actual = Array64::new(&[2], &[1.0, -2.000_000_1]);
//! let deviation = measure(&actual, &expected)?;
//! assert_eq!(deviation.at, [1]);
//! // transformers' own f32 run was 1e-7 away from its f64 run:
//! let tolerance = Precision::F32.tolerance(1e-7, deviation.scale);
//! assert!(deviation.within(tolerance).is_ok());
//! # Ok::<(), albert_testing::Mismatch>(())
//! ```
//!
//! Modules in reading order:
//! 1. `compare`: two arrays, how far apart, how far they may be. The one place of tolerances.
//! 2. `bits`: equality of f32 bits, where results must not depend on the path.
//! 3. `golden`: a folder below `fixtures/model`; which elements of an output count.
//! 4. `random`: seeded numbers for made-up models and inputs.
//! 5. `hub` over `http`: a server that speaks the protocol of the Hugging Face Hub, well or badly.
//!
//! Everything here panics where a file is missing or wrong: no test may quietly not run.

mod bits;
mod compare;
mod golden;
mod http;
mod hub;
mod random;

pub use bits::same_bits;
pub use compare::{Array64, Deviation, Mismatch, Precision, measure, measure_where};
pub use golden::{Golden, Numbers, Tensor, case_names, fixtures, read_f64};
pub use http::{HubRequest, Manner, Reply};
pub use hub::{HubFile, HubRepository, HubServer};
pub use random::Random;

//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses a part")]

use albert_formats::{
    Checkpoint, Dtype, FormatError, TensorInfo, TensorSink, TensorSpec, write_safetensors,
};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

pub(crate) mod torch;

/// A file with this header and these data.
pub(crate) fn file(header: impl AsRef<[u8]>, data: &[u8]) -> Vec<u8> {
    let header = header.as_ref();
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

/// Writes `bytes` to a file and opens it.
pub(crate) fn open(bytes: &[u8]) -> Result<Checkpoint, FormatError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).expect("written");
    Checkpoint::open(&path)
}

/// The messages of an error and its sources, as a program would show them.
pub(crate) fn message(error: &FormatError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Asserts that the result is an error whose messages hold each of `parts`.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T, FormatError>, parts: &[&str]) {
    let Err(error) = result else {
        panic!("accepted, but {parts:?} was expected");
    };
    let text = message(&error);
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing from: {text}");
    }
    assert!(text.len() < 2000, "{} bytes of message: {text}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// No metadata.
pub(crate) fn nothing() -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// A tensor to write.
pub(crate) fn spec<'a>(name: &'a str, dtype: Dtype, shape: &'a [usize]) -> TensorSpec<'a> {
    TensorSpec { name, dtype, shape }
}

/// Writes one tensor.
pub(crate) fn write_one(
    path: &Path,
    spec: TensorSpec<'_>,
    mut fill: impl FnMut(&mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    write_safetensors(path, &nothing(), &[spec], |_, sink| fill(sink))
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("readable").file_name();
    let mut names: Vec<String> = entries
        .map(|e| name(e).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A file of `fixtures/torch`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/torch");
    folder.join(name)
}

/// The names of all PyTorch files in `fixtures/torch`, without `.bin`.
pub(crate) fn fixtures() -> Vec<String> {
    let names = names(&fixture(""));
    let stem = |name: String| name.strip_suffix(".bin").map(str::to_owned);
    names.into_iter().filter_map(stem).collect()
}

/// A file of `fixtures/containers`.
pub(crate) fn container(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/containers");
    folder.join(name)
}

/// The elements `first..first + count` as bits, by the reader of their type.
pub(crate) fn bits(
    checkpoint: &Checkpoint,
    tensor: &TensorInfo,
    first: usize,
    count: usize,
) -> Result<Vec<u64>, FormatError> {
    match tensor.dtype {
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => {
            let (mut narrow, mut wide) = (vec![0.0; count], vec![0.0; count]);
            checkpoint.read_f32(tensor, first, &mut narrow)?;
            checkpoint.read_f64(tensor, first, &mut wide)?;
            for (narrow, wide) in narrow.iter().zip(&wide) {
                assert_eq!(narrow.to_bits(), (*wide as f32).to_bits());
            }
            Ok(wide.into_iter().map(f64::to_bits).collect())
        }
        _ => {
            let mut whole = vec![0; count];
            checkpoint.read_i64(tensor, first, &mut whole)?;
            if tensor.dtype == Dtype::I8 {
                let mut small = vec![0; count];
                checkpoint.read_i8(tensor, first, &mut small)?;
                assert!(
                    whole
                        .iter()
                        .eq(&small.iter().map(|&n| n.into()).collect::<Vec<i64>>())
                );
            }
            Ok(whole.into_iter().map(|n| n as u64).collect())
        }
    }
}

/// Asserts that two checkpoints hold the same, whole and in runs that begin anywhere.
#[track_caller]
pub(crate) fn assert_same(found: &Checkpoint, expected: &Checkpoint, case: &str) {
    let names = |checkpoint: &Checkpoint| -> Vec<String> {
        checkpoint.tensors().map(|t| t.name.clone()).collect()
    };
    assert_eq!(names(found), names(expected), "{case}");
    for (found_tensor, tensor) in found.tensors().zip(expected.tensors()) {
        let name = &tensor.name;
        assert_eq!(found_tensor.dtype, tensor.dtype, "{case} {name}");
        assert_eq!(found_tensor.shape, tensor.shape, "{case} {name}");
        assert_eq!(found_tensor.bytes(), tensor.bytes(), "{case} {name}");
        if matches!(tensor.dtype, Dtype::Other { .. }) {
            continue;
        }
        let count = tensor.elements();
        let all = bits(expected, tensor, 0, count).expect("read");
        assert_eq!(
            bits(found, found_tensor, 0, count).expect("read"),
            all,
            "{case} {name}"
        );
        for first in 0..count {
            for count in [1, 2, 3, 7].map(|n: usize| n.min(count - first)) {
                let part = bits(found, found_tensor, first, count).expect("read");
                assert_eq!(part, all[first..first + count], "{case} {name} {first}");
            }
        }
        assert!(
            bits(found, found_tensor, 1, count).is_err(),
            "{case} {name}"
        );
    }
}

/// Reads everything, also transposed, so that a wrong place is found; checksums may be wrong.
pub(crate) fn read_all(checkpoint: &Checkpoint) {
    for tensor in checkpoint.tensors() {
        if tensor.elements() > 1 << 20 {
            continue;
        }
        let mut real = vec![0.0; tensor.elements()];
        let mut whole = vec![0; tensor.elements()];
        let read = checkpoint.read_f32(tensor, 0, &mut real);
        let read = read.or_else(|_| checkpoint.read_i64(tensor, 0, &mut whole));
        if let Err(error) = read {
            assert!(message(&error).len() < 2000, "{error}");
        }
        if !tensor.shape.is_empty() {
            let _ = checkpoint.read_f32_transposed(tensor, 1, 0, &mut real);
        }
    }
}

/// Deterministic numbers for mutations.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    /// The bytes with a few changes: other bytes, numbers that lie, pieces that are copied, cut or repeated.
    pub(crate) fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        const LIES: [u64; 8] = [
            0,
            1,
            0x7f,
            0xff,
            0xffff,
            u32::MAX as u64,
            i64::MAX as u64,
            u64::MAX,
        ];
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.len() < 20 {
                break;
            }
            let at = self.below(bytes.len() - 9);
            match self.below(6) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 | 3 => {
                    let width = [1, 2, 4, 8][self.below(4)];
                    let value = match self.below(3) {
                        0 => self.below(bytes.len()) as u64,
                        _ => LIES[self.below(LIES.len())],
                    };
                    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
                }
                4 => {
                    let length = self.below(64).min(bytes.len() - at);
                    let to = self.below(bytes.len() - length);
                    bytes.copy_within(at..at + length, to);
                }
                _ => bytes.truncate(bytes.len() - self.below(16)),
            }
        }
        bytes
    }
}

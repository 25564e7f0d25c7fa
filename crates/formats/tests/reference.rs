//! Files of the `safetensors` library and ours: the same bytes, read by both.

mod common;

use albert_formats::{Checkpoint, Dtype, FormatError, TensorSink, TensorSpec, write_safetensors};
use common::open;
use proptest::prelude::*;
use safetensors::{SafeTensors, tensor::TensorView};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

const DTYPES: [(Dtype, safetensors::Dtype); 10] = [
    (Dtype::F64, safetensors::Dtype::F64),
    (Dtype::F32, safetensors::Dtype::F32),
    (Dtype::F16, safetensors::Dtype::F16),
    (Dtype::BF16, safetensors::Dtype::BF16),
    (Dtype::I64, safetensors::Dtype::I64),
    (Dtype::I32, safetensors::Dtype::I32),
    (Dtype::I16, safetensors::Dtype::I16),
    (Dtype::I8, safetensors::Dtype::I8),
    (Dtype::U8, safetensors::Dtype::U8),
    (Dtype::Bool, safetensors::Dtype::BOOL),
];

/// A tensor with small integer values, which every type can hold.
#[derive(Debug, Clone)]
struct Tensor {
    dtype: usize,
    shape: Vec<usize>,
    values: Vec<u8>,
}

impl Tensor {
    fn is_float(&self) -> bool {
        self.dtype < 4
    }

    fn bytes(&self) -> Vec<u8> {
        let encode = |&value: &u8| match DTYPES[self.dtype].0 {
            Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
            Dtype::F32 => f32::from(value).to_le_bytes().to_vec(),
            Dtype::F16 => half::f16::from(value).to_le_bytes().to_vec(),
            Dtype::BF16 => half::bf16::from(value).to_le_bytes().to_vec(),
            dtype => {
                let mut bytes = vec![0; dtype.size()];
                bytes[0] = value;
                bytes
            }
        };
        self.values.iter().flat_map(encode).collect()
    }

    fn fill(&self, sink: &mut dyn TensorSink) -> Result<(), FormatError> {
        if self.is_float() {
            let values: Vec<f32> = self.values.iter().map(|&value| value.into()).collect();
            sink.write_f32(&values)
        } else {
            let values: Vec<i64> = self.values.iter().map(|&value| value.into()).collect();
            sink.write_i64(&values)
        }
    }
}

fn tensors() -> impl Strategy<Value = BTreeMap<String, Tensor>> {
    let shape = prop::collection::vec(0_usize..5, 0..4);
    let tensor = (0..DTYPES.len(), shape).prop_flat_map(|(dtype, shape)| {
        let count: usize = shape.iter().product();
        let largest = if DTYPES[dtype].0 == Dtype::Bool {
            1
        } else {
            100
        };
        prop::collection::vec(0_u8..=largest, count).prop_map(move |values| Tensor {
            dtype,
            shape: shape.clone(),
            values,
        })
    });
    prop::collection::btree_map("[a-zäß\"\\\\/.\\x00-\\x1f]{0,8}", tensor, 0..8)
}

/// At most one entry: the library writes its hash map in random order.
fn metadata() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(".{0,5}", ".{0,9}", 0..2)
}

fn theirs(tensors: &BTreeMap<String, Tensor>, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors.values().map(Tensor::bytes).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
        let view = TensorView::new(DTYPES[tensor.dtype].1, tensor.shape.clone(), bytes);
        (name.as_str(), view.expect("a valid tensor"))
    });
    let metadata: HashMap<_, _> = metadata.clone().into_iter().collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    safetensors::serialize(views, metadata).expect("serialized")
}

fn ours(tensors: &BTreeMap<String, Tensor>, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let specs: Vec<TensorSpec<'_>> = tensors
        .iter()
        .map(|(name, tensor)| TensorSpec {
            name,
            dtype: DTYPES[tensor.dtype].0,
            shape: &tensor.shape,
        })
        .collect();
    let fill = |spec: &TensorSpec<'_>, sink: &mut dyn TensorSink| tensors[spec.name].fill(sink);
    write_safetensors(&path, metadata, &specs, fill).expect("written");
    fs::read(&path).expect("read")
}

/// The checkpoint holds exactly these tensors.
fn check(checkpoint: &Checkpoint, tensors: &BTreeMap<String, Tensor>) {
    let names: Vec<&str> = checkpoint
        .tensors()
        .map(|tensor| tensor.name.as_str())
        .collect();
    assert!(
        names.iter().copied().eq(tensors.keys().map(String::as_str)),
        "{names:?}"
    );
    for (info, tensor) in checkpoint.tensors().zip(tensors.values()) {
        assert_eq!(
            (info.dtype, &info.shape),
            (DTYPES[tensor.dtype].0, &tensor.shape)
        );
        assert_eq!(info.elements(), tensor.values.len());
        assert_eq!(info.bytes(), tensor.bytes().len() as u64);
        if tensor.is_float() {
            let (mut narrow, mut wide) =
                (vec![0.0_f32; info.elements()], vec![0.0; info.elements()]);
            checkpoint.read_f32(info, 0, &mut narrow).expect("read");
            checkpoint.read_f64(info, 0, &mut wide).expect("read");
            assert!(
                narrow
                    .iter()
                    .copied()
                    .eq(tensor.values.iter().map(|&v| f32::from(v)))
            );
            assert!(
                wide.iter()
                    .copied()
                    .eq(tensor.values.iter().map(|&v| f64::from(v)))
            );
        } else {
            let mut values = vec![0; info.elements()];
            checkpoint.read_i64(info, 0, &mut values).expect("read");
            assert!(
                values
                    .iter()
                    .copied()
                    .eq(tensor.values.iter().map(|&v| i64::from(v)))
            );
        }
    }
}

proptest! {
    #[test]
    fn both_write_the_same_bytes_and_we_read_them(tensors in tensors(), metadata in metadata()) {
        let bytes = theirs(&tensors, &metadata);
        prop_assert_eq!(&ours(&tensors, &metadata), &bytes);
        let checkpoint = open(&bytes).expect("valid");
        check(&checkpoint, &tensors);
        prop_assert_eq!(checkpoint.metadata(), &metadata);
    }

    #[test]
    fn they_read_what_we_write(tensors in tensors()) {
        let several: BTreeMap<_, _> = [("format", "pt"), ("ä\"", "\n")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let bytes = ours(&tensors, &several);
        let read = SafeTensors::deserialize(&bytes).expect("valid");
        prop_assert_eq!(read.len(), tensors.len());
        for (name, tensor) in &tensors {
            let view = read.tensor(name).expect("listed");
            prop_assert_eq!(view.dtype(), DTYPES[tensor.dtype].1);
            prop_assert_eq!(view.shape(), &tensor.shape);
            prop_assert_eq!(view.data(), tensor.bytes());
        }
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("valid");
        let metadata = header.metadata().clone().expect("metadata");
        prop_assert_eq!(metadata.into_iter().collect::<BTreeMap<_, _>>(), several);
    }

    /// A header of anything: what we accept, the library accepts and sees alike.
    #[test]
    fn we_accept_no_more_than_they_do(
        tensors in tensors(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        extra in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = theirs(&tensors, &BTreeMap::new());
        bytes.extend(extra);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(listed) = albert_formats::fuzzing::safetensors(&bytes) {
            let read = SafeTensors::deserialize(&bytes).expect("accepted by the library");
            prop_assert_eq!(listed.len(), read.len());
            for tensor in listed {
                let view = read.tensor(&tensor.name).expect("listed");
                prop_assert_eq!(view.dtype().to_string(), tensor.dtype.name());
                prop_assert_eq!(view.shape(), &tensor.shape);
                prop_assert_eq!(view.data(), &bytes[tensor.place]);
            }
        }
    }
}

//! One safetensors file: raw bytes, or a header that is nearly right.
//!
//! No input may panic, and whatever we accept the reference reader accepts and sees alike.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::fmt::Write;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Raw(&'a [u8]),
    Header {
        json: &'a str,
        data: u8,
    },
    Tensors {
        tensors: Vec<Tensor<'a>>,
        metadata: Option<&'a str>,
        padding: u8,
        surplus: i8,
    },
}

/// A tensor that follows the one before it, unless `gap` or `excess` say otherwise.
#[derive(Debug, Arbitrary)]
struct Tensor<'a> {
    name: &'a str,
    dtype: u8,
    shape: Vec<u8>,
    huge: Option<u64>,
    gap: Option<i8>,
    excess: Option<i8>,
    field: Option<&'a str>,
}

const DTYPES: [(&str, u64); 12] = [
    ("F64", 64),
    ("F32", 32),
    ("F16", 16),
    ("BF16", 16),
    ("I64", 64),
    ("I32", 32),
    ("U8", 8),
    ("BOOL", 8),
    ("F8_E4M3", 8),
    ("F6_E2M3", 6),
    ("F4", 4),
    ("F33", 33),
];

fn bytes_of(input: &Input<'_>) -> Vec<u8> {
    match *input {
        Input::Raw(bytes) => bytes.to_vec(),
        Input::Header { json, data } => file(json, data.into()),
        Input::Tensors {
            ref tensors,
            metadata,
            padding,
            surplus,
        } => {
            let mut json = String::from("{");
            if let Some(text) = metadata {
                let _ = write!(json, r#""__metadata__":{{"k":"{text}"}},"#);
            }
            let mut end = 0_u64;
            for tensor in tensors {
                let (dtype, bits) = DTYPES[usize::from(tensor.dtype) % DTYPES.len()];
                let mut shape: Vec<u64> = tensor.shape.iter().map(|&n| n.into()).collect();
                shape.extend(tensor.huge);
                let count = shape
                    .iter()
                    .fold(1_u64, |product, &n| product.wrapping_mul(n));
                let start = end.wrapping_add_signed(tensor.gap.unwrap_or(0).into());
                end = start
                    .wrapping_add(count.wrapping_mul(bits) / 8)
                    .wrapping_add_signed(tensor.excess.unwrap_or(0).into());
                let field = tensor
                    .field
                    .map(|text| format!(",{text}"))
                    .unwrap_or_default();
                let name = tensor.name;
                let _ = write!(
                    json,
                    r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]{field}}},"#
                );
            }
            if json.ends_with(',') {
                json.pop();
            }
            json.push('}');
            json.extend(std::iter::repeat_n(' ', usize::from(padding % 9)));
            file(&json, end.wrapping_add_signed(surplus.into()))
        }
    }
}

fn file(json: &str, data: u64) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    let data = usize::try_from(data).unwrap_or(0).min(1 << 16);
    bytes.resize(bytes.len() + data, 7);
    bytes
}

fuzz_target!(|input: Input<'_>| {
    let bytes = bytes_of(&input);
    match albert_formats::fuzzing::safetensors(&bytes) {
        Ok(tensors) => {
            let reference =
                safetensors::SafeTensors::deserialize(&bytes).expect("the reference accepts it");
            assert_eq!(tensors.len(), reference.len());
            for tensor in tensors {
                let view = reference
                    .tensor(&tensor.name)
                    .expect("the reference lists it");
                assert_eq!(view.dtype().to_string(), tensor.dtype.name());
                assert_eq!(view.shape(), tensor.shape);
                assert_eq!(view.data(), &bytes[tensor.place]);
            }
        }
        Err(error) => assert!(error.to_string().len() < 4096),
    }
});

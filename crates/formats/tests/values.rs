//! Elements: every type read and written, against slow twins.

mod common;

use albert_formats::{Checkpoint, Dtype, TensorSink, write_safetensors};
use common::{file, nothing, open, refused, spec, write_one};
use proptest::prelude::*;
use std::{fs, thread};

/// A 16-bit float with `mantissa` bits of fraction, from the definition.
fn decode(bits: u16, mantissa: i32) -> f64 {
    let exponent_bits = 15 - mantissa;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> mantissa) & ((1 << exponent_bits) - 1);
    let fraction = f64::from(bits & ((1 << mantissa) - 1)) / f64::from(1 << mantissa);
    match exponent {
        0 => sign * fraction * 2_f64.powi(1 - bias),
        _ if exponent < (1 << exponent_bits) - 1 => {
            sign * (1.0 + fraction) * 2_f64.powi(exponent - bias)
        }
        _ if fraction == 0.0 => sign * f64::INFINITY,
        _ => f64::NAN,
    }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// All 65536 patterns: subnormals, infinities and NaN among them; an odd start crosses the chunks.
#[test]
fn every_16_bit_float_is_read() {
    let data: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for (dtype, mantissa) in [("F16", 10), ("BF16", 7)] {
        let header =
            format!(r#"{{"x":{{"dtype":"{dtype}","shape":[65536],"data_offsets":[0,131072]}}}}"#);
        let checkpoint = open(&file(header, &data)).expect("valid");
        let tensor = checkpoint.get("x").expect("listed");
        for first in [0, 1, 65_535] {
            let (mut narrow, mut wide) = (vec![0_f32; 65_536 - first], vec![0_f64; 65_536 - first]);
            checkpoint
                .read_f32(tensor, first, &mut narrow)
                .expect("read");
            checkpoint.read_f64(tensor, first, &mut wide).expect("read");
            for (bits, (narrow, wide)) in (first..).zip(narrow.into_iter().zip(wide)) {
                let expected = decode(bits as u16, mantissa);
                assert!(
                    same(wide, expected),
                    "{dtype} {bits:#06x}: {wide} {expected}"
                );
                assert!(
                    same(narrow.into(), expected),
                    "{dtype} {bits:#06x}: {narrow} {expected}"
                );
            }
        }
    }
}

/// Writes values as one type and gives their bits.
fn bits_of(dtype: Dtype, values: &[f64], by_f32: bool) -> Vec<u16> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let shape = [values.len()];
    write_one(&path, spec("x", dtype, &shape), |sink| {
        if by_f32 {
            sink.write_f32(&narrow)
        } else {
            sink.write_f64(values)
        }
    })
    .expect("written");
    let bytes = fs::read(&path).expect("read");
    let data = &bytes[bytes.len() - 2 * values.len()..];
    data.chunks(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// Each representable value is kept; a value between two neighbours goes to the nearer one, in the
/// middle to the even one.
#[test]
fn rounding_to_16_bits_is_to_nearest_even() {
    for (dtype, mantissa) in [(Dtype::F16, 10), (Dtype::BF16, 7)] {
        let largest = ((1_u16 << (15 - mantissa)) - 1) << mantissa; // Infinity.
        let (mut values, mut expected) = (Vec::new(), Vec::new());
        for low in 0..largest - 1 {
            let (a, b) = (decode(low, mantissa), decode(low + 1, mantissa));
            let even = if low % 2 == 0 { low } else { low + 1 };
            for (share, bits) in [(0.0, low), (0.25, low), (0.5, even), (0.75, low + 1)] {
                values.extend([a + (b - a) * share, -(a + (b - a) * share)]);
                expected.extend([bits, bits | 0x8000]);
            }
        }
        values.extend([f64::INFINITY, f64::NEG_INFINITY]);
        expected.extend([largest, largest | 0x8000]);
        for by_f32 in [false, true] {
            assert!(
                bits_of(dtype, &values, by_f32) == expected,
                "{dtype} from f32: {by_f32}"
            );
        }
        let nan = bits_of(dtype, &[f64::NAN], true)[0];
        assert!(decode(nan, mantissa).is_nan());
    }
}

#[test]
fn f32_and_f64_keep_their_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    let patterns = [
        0,
        1,
        0x8000_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_1234,
        0x7fa0_0001,
        0x007f_ffff,
    ];
    let values = patterns.map(f32::from_bits);
    write_one(&path, spec("x", Dtype::F32, &[8]), |sink| {
        sink.write_f32(&values)
    })
    .expect("written");
    let checkpoint = Checkpoint::open(&path).expect("valid");
    let mut back = [0_f32; 8];
    checkpoint
        .read_f32(checkpoint.get("x").expect("listed"), 0, &mut back)
        .expect("read");
    assert_eq!(back.map(f32::to_bits), patterns);

    let wide = [f64::MIN_POSITIVE, -0.0, f64::from_bits(1), f64::MAX];
    write_one(&path, spec("x", Dtype::F64, &[4]), |sink| {
        sink.write_f64(&wide)
    })
    .expect("written");
    let checkpoint = Checkpoint::open(&path).expect("valid");
    let (mut back, mut narrow) = ([0_f64; 4], [0_f32; 4]);
    let tensor = checkpoint.get("x").expect("listed");
    checkpoint.read_f64(tensor, 0, &mut back).expect("read");
    checkpoint.read_f32(tensor, 0, &mut narrow).expect("read");
    assert_eq!(back.map(f64::to_bits), wide.map(f64::to_bits));
    assert_eq!(narrow, [0.0, -0.0, 0.0, f32::INFINITY]);
}

#[test]
fn integers() {
    let cases: [(Dtype, &[i64]); 6] = [
        (Dtype::I64, &[i64::MIN, -1, 0, i64::MAX]),
        (Dtype::I32, &[i32::MIN as i64, -1, 0, i32::MAX as i64]),
        (Dtype::I16, &[i16::MIN as i64, -1, 0, i16::MAX as i64]),
        (Dtype::I8, &[-128, -1, 0, 127]),
        (Dtype::U8, &[0, 1, 128, 255]),
        (Dtype::Bool, &[0, 1, 1, 0]),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    for (dtype, values) in cases {
        write_one(&path, spec("x", dtype, &[2, 2]), |sink| {
            sink.write_i64(values)
        })
        .expect("written");
        let checkpoint = Checkpoint::open(&path).expect("valid");
        let tensor = checkpoint.get("x").expect("listed");
        let mut back = [0; 3];
        checkpoint.read_i64(tensor, 1, &mut back).expect("read");
        assert_eq!(back, values[1..], "{dtype}");
        refused(
            checkpoint.read_f32(tensor, 0, &mut [0.0]),
            &[dtype.name(), "expected one of F64"],
        );
        let too_large = values.iter().max().and_then(|max| max.checked_add(1));
        for wrong in too_large
            .into_iter()
            .chain(values.iter().min().and_then(|min| min.checked_sub(1)))
        {
            let result = write_one(&path, spec("x", dtype, &[1]), |sink| {
                sink.write_i64(&[wrong])
            });
            refused(result, &["element 0 is", &wrong.to_string(), dtype.name()]);
        }
    }
    let header = r#"{"x":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"#;
    let checkpoint = open(&file(header, &[2, 255])).expect("valid");
    let mut back = [0; 2];
    checkpoint
        .read_i64(checkpoint.get("x").expect("listed"), 0, &mut back)
        .expect("read");
    assert_eq!(back, [1, 1]);
}

#[test]
fn values_that_do_not_fit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    let wide = |dtype, value: f64| {
        write_one(&path, spec("x", dtype, &[3]), |sink| {
            sink.write_f64(&[0.0])?;
            sink.write_f64(&[1.0, value])
        })
    };
    refused(
        wide(Dtype::F16, 65520.0),
        &[r#"tensor "x""#, "element 2 is 65520", "F16"],
    );
    wide(Dtype::F16, 65519.0).expect("rounds to 65504");
    refused(wide(Dtype::BF16, 3.4e38), &["element 2", "BF16"]);
    refused(wide(Dtype::F32, -1e39), &["element 2", "F32"]);
    wide(Dtype::F32, f64::NEG_INFINITY).expect("infinity is a value");
    let narrow = write_one(&path, spec("x", Dtype::F16, &[1]), |sink| {
        sink.write_f32(&[1e5])
    });
    refused(narrow, &["element 0 is 100000"]);
    let kind = write_one(&path, spec("x", Dtype::I8, &[1]), |sink| {
        sink.write_f32(&[1.0])
    });
    refused(kind, &["is I8: expected one of F64, F32, F16, BF16"]);
    let kind = write_one(&path, spec("x", Dtype::F32, &[1]), |sink| {
        sink.write_i64(&[1])
    });
    refused(kind, &["is F32: expected one of I64"]);
}

#[test]
fn ranges() {
    let header = r#"{"x":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]},"y":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"z":{"dtype":"U8","shape":[],"data_offsets":[6,7]}}"#;
    let checkpoint = open(&file(header, &[1, 2, 3, 4, 5, 6, 7])).expect("valid");
    let [x, y, z] = ["x", "y", "z"].map(|name| checkpoint.get(name).expect("listed"));
    assert_eq!([x.elements(), y.elements(), z.elements()], [6, 0, 1]);
    let read = |tensor, first, count| {
        let mut out = vec![0; count];
        checkpoint.read_i64(tensor, first, &mut out).map(|()| out)
    };
    assert_eq!(read(x, 0, 6).expect("read"), [1, 2, 3, 4, 5, 6]);
    assert!(read(x, 6, 0).expect("read").is_empty());
    assert!(read(y, 0, 0).expect("read").is_empty());
    assert_eq!(read(z, 0, 1).expect("read"), [7]);
    refused(
        read(x, 1, 6),
        &[r#"tensor "x""#, "has 6 elements: 6 elements from element 1"],
    );
    refused(read(x, 7, 0), &["has 6 elements"]);
    refused(read(x, usize::MAX, 2), &["has 6 elements"]);
    refused(read(y, 0, 1), &["has 0 elements"]);
}

#[test]
fn a_tensor_of_another_checkpoint() {
    let header = |shape: usize| {
        format!(r#"{{"x":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,{shape}]}}}}"#)
    };
    let small = open(&file(header(1), &[0])).expect("valid");
    let large = open(&file(header(9), &[0; 9])).expect("valid");
    let tensor = large.get("x").expect("listed");
    refused(
        small.read_i64(tensor, 8, &mut [0]),
        &[r#"tensor "x" does not come from"#],
    );
    let empty = open(&file("{}", b"")).expect("valid");
    refused(empty.read_i64(tensor, 0, &mut [0]), &["does not come from"]);
    refused(empty.read_f32(tensor, 0, &mut [0.0]), &["U8"]);
}

#[test]
fn a_file_cut_short_while_open_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    write_one(&path, spec("x", Dtype::F32, &[100]), |sink| {
        sink.write_f32(&[1.0; 100])
    })
    .expect("written");
    let checkpoint = Checkpoint::open(&path).expect("valid");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("opened");
    file.set_len(200).expect("cut");
    let tensor = checkpoint.get("x").expect("listed");
    let result = checkpoint.read_f32(tensor, 0, &mut [0.0; 100]);
    refused(
        result,
        &[r#"cannot read tensor "x""#, "changed while it was open"],
    );
}

#[test]
fn threads_read_at_once() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    let count = 200_000;
    let names: Vec<String> = (0..8).map(|i| format!("t{i}")).collect();
    let specs: Vec<_> = names
        .iter()
        .map(|name| spec(name, Dtype::F32, std::slice::from_ref(&count)))
        .collect();
    write_safetensors(&path, &nothing(), &specs, |spec, sink| {
        let base = spec.name[1..].parse::<usize>().expect("a number") * count;
        let values: Vec<f32> = (base..base + count).map(|i| i as f32).collect();
        values.chunks(777).try_for_each(|part| sink.write_f32(part))
    })
    .expect("written");
    let checkpoint = shared(Checkpoint::open(&path).expect("valid"));
    thread::scope(|scope| {
        for (i, name) in names.iter().enumerate() {
            let checkpoint = &checkpoint;
            scope.spawn(move || {
                let tensor = checkpoint.get(name).expect("listed");
                let mut out = vec![0.0; 1001];
                for first in (0..count - out.len()).step_by(997) {
                    checkpoint.read_f32(tensor, first, &mut out).expect("read");
                    let expected = (i * count + first..).map(|i| i as f32);
                    assert!(
                        out.iter().copied().zip(expected).all(|(a, b)| a == b),
                        "{name} {first}"
                    );
                }
            });
        }
    });
}

proptest! {
    /// Any window of any tensor, supplied in any pieces, comes back.
    #[test]
    fn windows_and_pieces(values in prop::collection::vec(any::<f32>(), 0..5000), piece in 1_usize..6000, cut in any::<(u16, u16)>()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        let shape = [values.len()];
        let pieces = |sink: &mut dyn TensorSink| values.chunks(piece).try_for_each(|part| sink.write_f32(part));
        write_one(&path, spec("x", Dtype::F32, &shape), pieces).expect("written");
        let checkpoint = Checkpoint::open(&path).expect("valid");
        let first = usize::from(cut.0) % (values.len() + 1);
        let count = usize::from(cut.1) % (values.len() - first + 1);
        let mut out = vec![0.0; count];
        checkpoint.read_f32(checkpoint.get("x").expect("listed"), first, &mut out).expect("read");
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&out), bits(&values[first..first + count]));
    }
}

//! One PyTorch file: bytes that begin like one as they are, or a pickle in either container with
//! everything around it right.
//!
//! No input may panic; what is accepted is within the file, is read to the same bits whole and in parts,
//! and takes no more elements than the limits allow.
#![no_main]

use albert_formats::{Checkpoint, Dtype, TensorInfo};
use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// An archive of entries that agree with its directory.
    Zip(Vec<(Name<'a>, &'a [u8])>),
    /// The object's pickle and what follows it, after the right preamble.
    Legacy(&'a [u8]),
    /// A pickle that is made of pieces, in either container.
    Pieces {
        pieces: Vec<Piece<'a>>,
        legacy: bool,
        counts: [u8; 2],
    },
}

#[derive(Debug, Arbitrary)]
enum Name<'a> {
    Pickle,
    ByteOrder,
    Storage(u8),
    Other(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Piece<'a> {
    Tensor {
        name: u8,
        storage: u8,
        class: u8,
        offset: i8,
        shape: Vec<(u8, i8)>,
        huge: Option<i64>,
        version: u8,
    },
    Text(&'a str),
    Number(i64),
    Get(u8),
    Put(u8),
    Code(u8),
    Raw(&'a [u8]),
}

const CLASSES: [&str; 10] = [
    "torch\nFloatStorage",
    "torch\nHalfStorage",
    "torch\nBFloat16Storage",
    "torch\nDoubleStorage",
    "torch\nLongStorage",
    "torch\nIntStorage",
    "torch\nShortStorage",
    "torch\nCharStorage",
    "torch\nBoolStorage",
    "torch.storage\nUntypedStorage",
];
const SIZES: [usize; 10] = [4, 2, 2, 8, 8, 4, 2, 1, 1, 1];
const CODES: &[u8] = b"(tuseab])}RbQN.\x81\x85\x86\x87\x88\x89\x93\x94";

fn number(out: &mut Vec<u8>, number: i64) {
    out.extend([0x8a, 8]);
    out.extend(number.to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A pickle, and the classes of its storages as it names them last.
fn pickle(pieces: &[Piece<'_>], counts: [u8; 2]) -> (Vec<u8>, [usize; 2]) {
    let mut out = b"\x80\x02}(".to_vec();
    let mut classes = [0; 2];
    for piece in pieces {
        match piece {
            Piece::Tensor {
                name,
                storage,
                class,
                offset,
                shape,
                huge,
                version,
            } => {
                text(&mut out, &format!("t{}", name % 16));
                let storage = usize::from(storage % 2);
                classes[storage] = usize::from(*class) % CLASSES.len();
                out.extend(match version % 8 {
                    0 => b"ctorch._utils\n_rebuild_tensor\n((".as_slice(),
                    1 => b"ctorch._utils\n_rebuild_tensor_v3\n((".as_slice(),
                    _ => b"ctorch._utils\n_rebuild_tensor_v2\n((".as_slice(),
                });
                text(&mut out, "storage");
                out.extend([b"c", CLASSES[classes[storage]].as_bytes(), b"\n"].concat());
                text(&mut out, &storage.to_string());
                text(&mut out, "cpu");
                number(&mut out, counts[storage].into());
                out.extend(b"tQ");
                number(&mut out, (*offset).into());
                out.push(b'(');
                shape
                    .iter()
                    .for_each(|(size, _)| number(&mut out, (*size).into()));
                out.extend(b"t(");
                for (_, stride) in shape {
                    number(
                        &mut out,
                        huge.filter(|_| *stride == 7).unwrap_or((*stride).into()),
                    );
                }
                out.extend(b"t");
                out.extend(match version % 8 {
                    0 => b"".as_slice(),
                    1 => b"\x89)ctorch\nuint16\n",
                    _ => b"\x89)",
                });
                out.extend(b"tR");
            }
            Piece::Text(value) => text(&mut out, value),
            Piece::Number(value) => number(&mut out, *value),
            Piece::Get(at) => out.extend([b'h', *at]),
            Piece::Put(at) => out.extend([b'q', *at]),
            Piece::Code(at) => out.push(CODES[usize::from(*at) % CODES.len()]),
            Piece::Raw(bytes) => out.extend(*bytes),
        }
    }
    out.extend(b"u.");
    (out, classes)
}

const PREAMBLE: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";

fn zip(entries: &[(String, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let mut fields = vec![0; 12];
        for _ in 0..2 {
            fields.extend((data.len() as u32).to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0; 2]);
        let start = out.len() as u32;
        out.extend(
            [
                b"PK\x03\x04\x14\0",
                fields.as_slice(),
                name.as_bytes(),
                data,
            ]
            .concat(),
        );
        directory.extend([b"PK\x01\x02\x14\0\x14\0", fields.as_slice(), &[0; 10]].concat());
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (start, size) = (out.len() as u32, directory.len() as u32);
    out.extend(directory);
    out.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat());
    out.extend([&size.to_le_bytes()[..], &start.to_le_bytes(), &[0; 2]].concat());
    out
}

fn bytes_of(input: &Input<'_>) -> Vec<u8> {
    match input {
        Input::Zip(entries) => {
            let named = entries.iter().map(|(name, data)| {
                let name = match name {
                    Name::Pickle => "a/data.pkl".to_owned(),
                    Name::ByteOrder => "a/byteorder".to_owned(),
                    Name::Storage(key) => format!("a/data/{}", key % 4),
                    Name::Other(name) => format!("a/{name}"),
                };
                (name, *data)
            });
            zip(&named.collect::<Vec<_>>())
        }
        Input::Legacy(bytes) => [PREAMBLE, bytes].concat(),
        Input::Pieces {
            pieces,
            legacy,
            counts,
        } => {
            let (pickle, classes) = pickle(pieces, *counts);
            let data = [0, 1].map(|at| vec![0x3c; usize::from(counts[at]) * SIZES[classes[at]]]);
            if !legacy {
                return zip(&[
                    ("a/data.pkl".to_owned(), &pickle),
                    ("a/data/0".to_owned(), &data[0]),
                    ("a/data/1".to_owned(), &data[1]),
                ]);
            }
            let mut out = [PREAMBLE, &pickle].concat();
            let used = pieces.iter().fold([false; 2], |mut used, piece| {
                if let Piece::Tensor { storage, .. } = piece {
                    used[usize::from(storage % 2)] = true;
                }
                used
            });
            out.extend(b"\x80\x02](");
            for at in [0, 1].into_iter().filter(|at| used[*at]) {
                text(&mut out, &at.to_string());
            }
            out.extend(b"e.");
            for at in [0, 1].into_iter().filter(|at| used[*at]) {
                out.extend(u64::from(counts[at]).to_le_bytes());
                out.extend(&data[at]);
            }
            out
        }
    }
}

/// Whole and in two parts, as bits.
fn check(checkpoint: &Checkpoint, tensor: &TensorInfo) {
    let count = tensor.elements();
    if count > 1 << 16 {
        assert!(count <= 1 << 24, "{tensor:?}");
        return;
    }
    let middle = count * 2 / 3;
    match tensor.dtype {
        Dtype::Other { .. } => {}
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => {
            let (mut whole, mut parts) = (vec![0.0; count], vec![1.0; count]);
            checkpoint
                .read_f64(tensor, 0, &mut whole)
                .expect("within the file");
            let (head, tail) = parts.split_at_mut(middle);
            checkpoint
                .read_f64(tensor, 0, head)
                .expect("within the file");
            checkpoint
                .read_f64(tensor, middle, tail)
                .expect("within the file");
            assert!(
                whole
                    .iter()
                    .map(|x| x.to_bits())
                    .eq(parts.iter().map(|x| x.to_bits()))
            );
        }
        _ => {
            let (mut whole, mut parts) = (vec![0; count], vec![1; count]);
            checkpoint
                .read_i64(tensor, 0, &mut whole)
                .expect("within the file");
            let (head, tail) = parts.split_at_mut(middle);
            checkpoint
                .read_i64(tensor, 0, head)
                .expect("within the file");
            checkpoint
                .read_i64(tensor, middle, tail)
                .expect("within the file");
            assert_eq!(whole, parts);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let bytes = if data.starts_with(b"PK") || data.starts_with(b"\x80") {
        data.to_vec()
    } else {
        match Input::arbitrary_take_rest(Unstructured::new(data)) {
            Ok(input) => bytes_of(&input),
            Err(_) => return,
        }
    };
    match Checkpoint::from_bytes("memory", bytes) {
        Ok(checkpoint) => {
            let some = checkpoint.tensors().take(16);
            some.for_each(|tensor| check(&checkpoint, tensor));
        }
        Err(error) => assert!(error.to_string().len() < 4096),
    }
});

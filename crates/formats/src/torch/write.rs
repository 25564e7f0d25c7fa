//! Writing `pytorch_model.bin` as torch 1.6 and later does: a zip archive of stored entries.

use super::globals::storage_of;
use crate::{
    FormatError, TensorSpec,
    dtype::SUPPORTED,
    error::shown,
    plan::{Fill, Out, Plan, unwritable},
    sink::TensorSink,
};
use flate2::Crc;
use std::{
    collections::BTreeMap,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

/// The folder of all entries.
const TOP: &str = "pytorch_model";
/// Data of entries begin at multiples of this, as torch's do.
const ALIGNMENT: u64 = 64;
/// Bytes before an entry's name, and where its checksum stands among them.
const LOCAL: u64 = 30;
const CRC: u64 = 14;

/// Writes a file that `torch.load(…, weights_only=True)` reads: an ordered dictionary of tensors.
///
/// `ties` are pairs of a name and that of the tensor, one of `tensors`, whose storage it shares, as tied weights do; such
/// a name stands after `tensors` and takes no further bytes. `fill` is called once per tensor, in the order given. The same
/// input gives the same bytes. On an error the old file stays and nothing new is left behind.
///
/// # Errors
/// As [`write_safetensors`](crate::write_safetensors); if a tie names a tensor that is not there, or a name is taken; if
/// the file would have 4 GiB or more (write safetensors, or several files).
pub fn write_torch(
    path: &Path,
    tensors: &[TensorSpec<'_>],
    ties: &[(&str, &str)],
    mut fill: impl FnMut(&TensorSpec<'_>, &mut dyn TensorSink) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let plan = Plan::new(path, tensors, &SUPPORTED, "to PyTorch's files")?;
    let numbers: BTreeMap<&str, usize> = (tensors.iter().enumerate())
        .map(|(number, spec)| (spec.name, number))
        .collect();
    let mut listed: Vec<(&str, usize)> = (tensors.iter().enumerate())
        .map(|(number, spec)| (spec.name, number))
        .collect();
    for (name, source) in ties {
        let Some(&number) = numbers.get(source) else {
            let problem = format!(
                "tensor {} is tied to {}, which is not written",
                shown(name),
                shown(source)
            );
            return Err(unwritable(path, problem));
        };
        if listed.iter().any(|(known, _)| known == name) {
            let problem = format!("two tensors are named {}", shown(name));
            return Err(unwritable(path, problem));
        }
        listed.push((name, number));
    }
    let pickle = pickle(tensors, &listed);
    let data: u64 = (0..tensors.len())
        .map(|number| plan.extent(number).bytes)
        .fold(0, u64::saturating_add);
    let around = (tensors.len() as u64 + 4) * 300 + pickle.len() as u64;
    if data.saturating_add(around) > u64::from(u32::MAX) || tensors.len() > 0xfff0 {
        let problem = "a PyTorch file of 4 GiB or more, or of more than 65,520 tensors, is not written: \
                       write safetensors, or several files";
        return Err(unwritable(path, problem));
    }
    plan.write(|out| {
        let mut archive = Archive {
            out,
            entries: Vec::new(),
        };
        archive.bytes("data.pkl", &pickle)?;
        archive.bytes("byteorder", b"little")?;
        for (number, spec) in tensors.iter().enumerate() {
            let size = plan.extent(number).bytes;
            archive.tensor(&format!("data/{number}"), size, spec, &mut fill)?;
        }
        archive.bytes("version", b"3\n")?;
        archive.finish()
    })
}

/// The pickle of an ordered dictionary from names to tensors, each a row-major view of the whole
/// storage with its number.
fn pickle(tensors: &[TensorSpec<'_>], listed: &[(&str, usize)]) -> Vec<u8> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (name, number) in listed {
        let spec = &tensors[*number];
        let elements: usize = spec.shape.iter().product();
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend([b"ctorch\n", storage_of(spec.dtype).as_bytes(), b"\n"].concat());
        text(&mut out, &number.to_string());
        text(&mut out, "cpu");
        int(&mut out, elements);
        out.extend(b"tQK\0");
        tuple(&mut out, spec.shape);
        let mut strides = vec![1; spec.shape.len()];
        for axis in (1..strides.len()).rev() {
            strides[axis - 1] = strides[axis] * spec.shape[axis].max(1);
        }
        tuple(&mut out, &strides);
        // It needs no gradient and has no hooks.
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, value: usize) {
    match value {
        0..=0xff => out.extend([b'K', value as u8]),
        0x100..=0xffff => out.extend([&b"M"[..], &(value as u16).to_le_bytes()].concat()),
        0x1_0000..=0x7fff_ffff => out.extend([&b"J"[..], &(value as u32).to_le_bytes()].concat()),
        _ => out.extend([&b"\x8a\x09"[..], &(value as u64).to_le_bytes(), &[0]].concat()),
    }
}

fn tuple(out: &mut Vec<u8>, values: &[usize]) {
    out.push(b'(');
    for value in values {
        int(out, *value);
    }
    out.push(b't');
}

/// A zip archive that is being written.
struct Archive<'o, 'a> {
    out: &'o mut Out<'a>,
    /// What the directory says of each entry.
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    crc: u32,
    size: u32,
    start: u32,
}

impl Entry {
    /// The fields that stand before the entry and in the directory, from the version on.
    fn fields(&self, extra: u16) -> Vec<u8> {
        // Version 2.0, no flags, stored, and no time: the first of January 1980.
        let mut out = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        for number in [self.crc, self.size, self.size] {
            out.extend(number.to_le_bytes());
        }
        for number in [self.name.len() as u16, extra] {
            out.extend(number.to_le_bytes());
        }
        out
    }
}

impl Archive<'_, '_> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), FormatError> {
        let mut crc = Crc::new();
        crc.update(bytes);
        self.begin(name, bytes.len() as u64, crc.sum())?;
        self.out.put(bytes)
    }

    fn tensor(
        &mut self,
        name: &str,
        size: u64,
        spec: &TensorSpec<'_>,
        fill: Fill<'_>,
    ) -> Result<(), FormatError> {
        self.begin(name, size, 0)?;
        let mut crc = Crc::new();
        self.out
            .tensor_through(spec, fill, |_, _| Vec::new(), |bytes| crc.update(bytes))?;
        let Some(entry) = self.entries.last_mut() else {
            return Ok(());
        };
        entry.crc = crc.sum();
        let at = u64::from(entry.start) + CRC;
        let sum = entry.crc.to_le_bytes();
        self.out.patch(|file| {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&sum)
        })
    }

    /// Writes what stands before the bytes of an entry, so that these begin aligned.
    fn begin(&mut self, name: &str, size: u64, crc: u32) -> Result<(), FormatError> {
        let start = self.out.position();
        let name = format!("{TOP}/{name}");
        // A field of padding has four bytes of its own.
        let data = start + LOCAL + name.len() as u64 + 4;
        let padding = (data.next_multiple_of(ALIGNMENT) - data) as u16;
        let entry = Entry {
            name,
            crc,
            size: size as u32,
            start: start as u32,
        };
        let mut head = b"PK\x03\x04".to_vec();
        head.extend(entry.fields(padding + 4));
        head.extend(entry.name.as_bytes());
        head.extend(b"FB");
        head.extend(padding.to_le_bytes());
        head.resize(head.len() + usize::from(padding), b'Z');
        self.entries.push(entry);
        self.out.put(&head)
    }

    fn finish(self) -> Result<(), FormatError> {
        let start = self.out.position() as u32;
        let mut directory = Vec::new();
        for entry in &self.entries {
            directory.extend(b"PK\x01\x02\x14\0");
            directory.extend(entry.fields(0));
            // No comment, part 0, no attributes.
            directory.extend([0; 10]);
            directory.extend(entry.start.to_le_bytes());
            directory.extend(entry.name.as_bytes());
        }
        let (count, size) = (self.entries.len() as u16, directory.len() as u32);
        directory.extend(b"PK\x05\x06\0\0\0\0");
        for _ in 0..2 {
            directory.extend(count.to_le_bytes());
        }
        directory.extend(size.to_le_bytes());
        directory.extend(start.to_le_bytes());
        directory.extend([0; 2]);
        self.out.put(&directory)
    }
}

//! PyTorch files made by hand, right or wrong.

/// A number as the shortest pickle instruction that we need.
fn int(number: i64) -> Vec<u8> {
    let mut bytes = vec![0x8a, 8];
    bytes.extend(number.to_le_bytes());
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b'X'];
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

fn ints(numbers: &[i64]) -> Vec<u8> {
    let mut bytes = vec![b'('];
    bytes.extend(numbers.iter().flat_map(|&number| int(number)));
    bytes.push(b't');
    bytes
}

/// A tensor, or what claims to be one.
pub(crate) struct Tensor {
    pub(crate) class: &'static str,
    pub(crate) key: &'static str,
    /// Elements of the storage.
    pub(crate) count: i64,
    pub(crate) offset: i64,
    pub(crate) shape: Vec<i64>,
    pub(crate) strides: Vec<i64>,
}

impl Default for Tensor {
    fn default() -> Self {
        Self {
            class: "FloatStorage",
            key: "0",
            count: 4,
            offset: 0,
            shape: vec![2, 2],
            strides: vec![2, 1],
        }
    }
}

impl Tensor {
    /// The instructions that put it on the stack.
    pub(crate) fn code(&self) -> Vec<u8> {
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n((".as_slice(),
            &text("storage"),
            b"ctorch\n",
            self.class.as_bytes(),
            b"\n",
            &text(self.key),
            &text("cpu"),
            &int(self.count),
            b"tQ",
            &int(self.offset),
            &ints(&self.shape),
            &ints(&self.strides),
            b"\x89ccollections\nOrderedDict\n)RtR",
        ]
        .concat()
    }
}

/// A pickle of these instructions.
pub(crate) fn pickle(code: &[u8]) -> Vec<u8> {
    [b"\x80\x02", code, b"."].concat()
}

/// The pickle of a dictionary with this tensor under `x`.
pub(crate) fn dictionary(tensor: &Tensor) -> Vec<u8> {
    pickle(&[b"}(".as_slice(), &text("x"), &tensor.code(), b"u"].concat())
}

/// The pickles before the object of the older format.
pub(crate) fn preamble() -> Vec<u8> {
    [
        pickle(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"),
        pickle(b"M\xe9\x03"),
        pickle(&[b"}".as_slice(), &text("little_endian"), b"\x88s"].concat()),
    ]
    .concat()
}

/// A file of the older format with this tensor alone, and its storage.
pub(crate) fn legacy(tensor: &Tensor, data: &[u8]) -> Vec<u8> {
    legacy_of(&dictionary(tensor), tensor.key, tensor.count, data)
}

/// A file of the older format with this object and one storage.
pub(crate) fn legacy_of(object: &[u8], key: &str, count: i64, data: &[u8]) -> Vec<u8> {
    let keys = pickle(&[b"]".as_slice(), &text(key), b"a"].concat());
    [&preamble(), object, &keys, &count.to_le_bytes(), data].concat()
}

/// One entry of an archive. Fields that a hostile file changes are public.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    /// The name before the bytes, where it differs.
    pub(crate) local_name: Option<String>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// What the directory says, where it is not the truth.
    pub(crate) size: Option<u32>,
    pub(crate) header: Option<u32>,
}

pub(crate) fn entry(name: &str, data: &[u8]) -> Entry {
    Entry {
        name: name.to_owned(),
        data: data.to_vec(),
        local_name: None,
        method: 0,
        flags: 0,
        size: None,
        header: None,
    }
}

/// An archive of stored entries with plain headers.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let size = entry.data.len() as u32;
        let place = entry.header.unwrap_or(out.len() as u32);
        let local = entry.local_name.as_ref().unwrap_or(&entry.name);
        let fields = |size: u32, name: &str| {
            [
                &entry.flags.to_le_bytes()[..],
                &entry.method.to_le_bytes(),
                &[0; 8],
                &size.to_le_bytes(),
                &size.to_le_bytes(),
                &(name.len() as u16).to_le_bytes(),
                &[0; 2],
            ]
            .concat()
        };
        out.extend(
            [
                b"PK\x03\x04\x14\0",
                &fields(size, local)[..],
                local.as_bytes(),
            ]
            .concat(),
        );
        out.extend(&entry.data);
        let said = fields(entry.size.unwrap_or(size), &entry.name);
        directory.extend([b"PK\x01\x02\x14\0\x14\0", &said[..], &[0; 10]].concat());
        directory.extend(place.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (start, size) = (out.len() as u32, directory.len() as u32);
    out.extend(directory);
    out.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat());
    out.extend([&size.to_le_bytes()[..], &start.to_le_bytes(), &[0; 2]].concat());
    out
}

/// The entries of an archive with this pickle and one storage.
pub(crate) fn entries(pickle: &[u8], data: &[u8]) -> Vec<Entry> {
    vec![
        entry("archive/data.pkl", pickle),
        entry("archive/byteorder", b"little"),
        entry("archive/data/0", data),
        entry("archive/version", b"3\n"),
    ]
}

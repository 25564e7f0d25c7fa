//! A dataset: its shape, its type, and where its bytes are.

use super::{
    NOWHERE,
    attribute::dataspace_of,
    btree,
    datatype::Datatype,
    file::{Cursor, File, check, number},
    group::run_at,
    header::Message,
    message,
};
use crate::{
    Dtype, TensorInfo,
    chunked::{Chunked, MAX_CHUNK},
    dtype::extent,
    fault::Fault,
    placement::Placement,
};

/// What deflate makes of zeros: no stream unpacks to more times its bytes.
const MAX_RATIO: u64 = 1032;
/// The numbers of filters.
const DEFLATE: u16 = 1;
const SHUFFLE: u16 = 2;

/// What the messages of a dataset say.
#[derive(Default)]
struct Described {
    shape: Option<Vec<usize>>,
    datatype: Option<Datatype>,
    layout: Option<Layout>,
    deflate: bool,
    shuffle: bool,
}

enum Layout {
    Run {
        start: u64,
        length: u64,
    },
    Chunks {
        sizes: Vec<u64>,
        index: Index,
        at: u64,
    },
}

/// How the places of chunks are found.
#[derive(Clone, Copy)]
enum Index {
    Tree,
    /// One chunk, of so many bytes if it is compressed.
    Single(Option<u64>),
    /// All chunks follow one another.
    Implicit,
    /// A list of all.
    Fixed,
}

/// The tensor of this name with these messages.
pub(super) fn read(
    file: &mut File<'_>,
    name: &str,
    messages: &[Message],
) -> Result<(TensorInfo, Option<Placement>), Fault> {
    let mut described = Described::default();
    for message in messages {
        described
            .add(message)
            .map_err(|fault| in_tensor(name, fault))?;
    }
    let read = described.place(file, name);
    read.map_err(|fault| in_tensor(name, fault))
}

/// A fault of a dataset's description names the dataset.
fn in_tensor(name: &str, fault: Fault) -> Fault {
    match fault {
        Fault::File { problem, advice } => Fault::File {
            problem: format!("dataset {}: {problem}", crate::error::shown(name)),
            advice,
        },
        other => other,
    }
}

impl Described {
    fn add(&mut self, message: &Message) -> Result<(), Fault> {
        match message.kind {
            message::DATASPACE => {
                self.shape = Some(dataspace_of(message.cursor("shape of a dataset")?)?);
            }
            message::DATATYPE => {
                let mut cursor = message.cursor("type of a dataset")?;
                self.datatype = Some(Datatype::read(&mut cursor)?);
            }
            message::LAYOUT => self.layout = Some(layout(message)?),
            message::FILTERS => self.filters(message.cursor("list of filters")?)?,
            message::EXTERNAL_FILES => {
                return Err(Fault::unsupported("its data are in other files"));
            }
            _ => {}
        }
        Ok(())
    }

    fn filters(&mut self, mut cursor: Cursor<'_>) -> Result<(), Fault> {
        let (version, count) = (cursor.u8()?, cursor.u8()?);
        match version {
            1 => drop(cursor.take(6)?),
            2 => {}
            _ => return Err(cursor.wrong(&format!("has version {version}"))),
        }
        for _ in 0..count {
            let id = cursor.u16()?;
            let named = version == 1 || id >= 256;
            let name = if named { cursor.u16()? } else { 0 };
            let (_flags, values) = (cursor.u16()?, cursor.u16()?);
            let padded = if version == 1 {
                usize::from(name).next_multiple_of(8)
            } else {
                name.into()
            };
            cursor.take(padded)?;
            cursor.take(usize::from(values) * 4)?;
            if version == 1 && values % 2 == 1 {
                cursor.take(4)?;
            }
            match id {
                SHUFFLE if !self.shuffle && !self.deflate => self.shuffle = true,
                DEFLATE if !self.deflate => self.deflate = true,
                _ => {
                    return Err(Fault::unsupported(format!(
                        "it is stored with filter {id}, expected none, gzip (1), or shuffle (2) and gzip"
                    )));
                }
            }
        }
        Ok(())
    }

    fn place(
        self,
        file: &mut File<'_>,
        name: &str,
    ) -> Result<(TensorInfo, Option<Placement>), Fault> {
        let (Some(shape), Some(datatype), Some(layout)) = (self.shape, self.datatype, self.layout)
        else {
            return Err(Fault::damaged("it lacks a shape, a type or a layout"));
        };
        let wrong = |problem: String| Fault::tensor(name, problem);
        let dtype = datatype.listed();
        let elements = extent(Dtype::U8, &shape).map_err(&wrong)?.elements;
        let size = datatype.size();
        let bytes = (elements as u64)
            .checked_mul(size as u64)
            .filter(|_| elements.checked_mul(size.max(1)).is_some())
            .ok_or_else(|| wrong(format!("the size of shape {shape:?} overflows")))?;
        let mut placement = None;
        let start = match layout {
            _ if bytes == 0 => 0,
            Layout::Run { start: NOWHERE, .. } => {
                return Err(wrong("its data were never written".to_owned()));
            }
            Layout::Run { start, length } => {
                if self.deflate || self.shuffle || length != bytes {
                    return Err(wrong(format!(
                        "it has {length} bytes, but shape {shape:?} in {dtype} has {bytes}"
                    )));
                }
                start
            }
            Layout::Chunks { sizes, index, at } => {
                let filters = [self.deflate, self.shuffle];
                let chunked = chunks(file, &shape, size, sizes, index, at, filters)?;
                let first = chunked.places.iter().map(|(start, _)| *start).min();
                placement = Some(Placement::Chunked(chunked));
                first.unwrap_or_default()
            }
        };
        let end = start.checked_add(bytes);
        let end = end.filter(|end| placement.is_some() || *end <= file.length);
        let Some(end) = end else {
            return Err(wrong(format!(
                "its {bytes} bytes from byte {start} lie beyond the file's {}",
                file.length
            )));
        };
        let tensor = TensorInfo {
            name: name.to_owned(),
            dtype,
            shape,
            shard: 0,
            place: (start, end),
        };
        Ok((tensor, placement))
    }
}

fn layout(message: &Message) -> Result<Layout, Fault> {
    let mut cursor = message.cursor("layout")?;
    let version = cursor.u8()?;
    if !(3..=4).contains(&version) {
        return Err(Fault::unsupported(format!(
            "its layout has version {version}, expected 3 or 4"
        )));
    }
    match cursor.u8()? {
        0 => {
            let length = u64::from(cursor.u16()?);
            cursor.take(length as usize)?;
            Ok(Layout::Run {
                start: message.at + 4,
                length,
            })
        }
        1 => {
            let (start, length) = run_at(cursor.take(16)?, 0);
            Ok(Layout::Run { start, length })
        }
        2 if version == 3 => {
            let rank = cursor.u8()?;
            let at = cursor.u64()?;
            let mut sizes = Vec::new();
            for _ in 0..rank {
                sizes.push(cursor.u32()?.into());
            }
            let index = Index::Tree;
            Ok(Layout::Chunks { sizes, index, at })
        }
        2 => {
            let (flags, rank, width) = (cursor.u8()?, cursor.u8()?, cursor.u8()?);
            if !(1..=8).contains(&width) {
                return Err(cursor.wrong("has sizes of an impossible width"));
            }
            let mut sizes = Vec::new();
            for _ in 0..rank {
                sizes.push(cursor.number(width.into())?);
            }
            let index = match cursor.u8()? {
                1 if flags & 2 != 0 => {
                    let size = cursor.u64()?;
                    cursor.u32()?;
                    Index::Single(Some(size))
                }
                1 => Index::Single(None),
                2 => Index::Implicit,
                3 => {
                    cursor.u8()?;
                    Index::Fixed
                }
                other => {
                    return Err(Fault::unsupported(format!(
                        "its chunks are indexed in form {other}, that of data that may grow; write it \
                         again with a fixed shape"
                    )));
                }
            };
            let at = cursor.u64()?;
            Ok(Layout::Chunks { sizes, index, at })
        }
        other => Err(Fault::unsupported(format!(
            "its data are laid out in form {other}, expected compact, contiguous or chunked"
        ))),
    }
}

/// The places of all chunks; `sizes` are those of a chunk and the bytes of an element.
fn chunks(
    file: &mut File<'_>,
    shape: &[usize],
    item: usize,
    sizes: Vec<u64>,
    index: Index,
    at: u64,
    [deflate, shuffle]: [bool; 2],
) -> Result<Chunked, Fault> {
    let bytes = sizes
        .iter()
        .try_fold(1_u64, |bytes, &size| bytes.checked_mul(size))
        .filter(|bytes| (1..=MAX_CHUNK).contains(bytes));
    let (Some(bytes), Some((&last, inner))) = (bytes, sizes.split_last()) else {
        return Err(Fault::deceives(format!(
            "its chunks have shape {sizes:?}, at most {MAX_CHUNK} bytes are allowed"
        )));
    };
    if inner.len() != shape.len() || shape.is_empty() || last != item as u64 {
        return Err(Fault::damaged(format!(
            "its chunks have shape {sizes:?}, it has shape {shape:?} and elements of {item} bytes"
        )));
    }
    let chunk: Vec<usize> = inner.iter().map(|size| *size as usize).collect();
    let grid: Vec<usize> = (shape.iter().zip(&chunk))
        .map(|(size, chunk)| size.div_ceil(*chunk))
        .collect();
    let count = (grid.iter())
        .try_fold(1_usize, |count, &size| count.checked_mul(size))
        .unwrap_or(usize::MAX);
    file.list_chunks(count)?;
    let mut places = vec![None; count];
    match index {
        Index::Single(size) if count == 1 => places[0] = Some((at, size.unwrap_or(bytes))),
        Index::Single(_) => return Err(Fault::damaged("it has one chunk for a larger shape")),
        Index::Implicit => {
            for (number, place) in (0..).zip(&mut places) {
                *place = at.checked_add(number * bytes).map(|at| (at, bytes));
            }
        }
        Index::Fixed => fixed(file, at, bytes, &mut places)?,
        Index::Tree => {
            let key = 8 + 8 * sizes.len();
            btree::first(file, at, 1, key, &mut |_, key, child| {
                let (size, mask) = (number(&key[..4]), number(&key[4..8]));
                let mut number_of_chunk = 0;
                for (axis, (size, offset)) in chunk.iter().zip(key[8..].chunks_exact(8)).enumerate()
                {
                    let index = number(offset) / *size as u64;
                    if !number(offset).is_multiple_of(*size as u64) || index >= grid[axis] as u64 {
                        return Err(Fault::damaged("a chunk lies beside its grid"));
                    }
                    number_of_chunk = number_of_chunk * grid[axis] + index as usize;
                }
                let place = (mask == 0).then_some((child, size));
                if places[number_of_chunk]
                    .replace(check_mask(place)?)
                    .is_some()
                {
                    return Err(Fault::deceives("it has two chunks in one place"));
                }
                Ok(())
            })?;
        }
    }
    let mut checked = Vec::with_capacity(count);
    for place in places {
        let found = place.filter(|(start, _)| *start != NOWHERE);
        let (start, length) =
            found.ok_or_else(|| Fault::unsupported("one of its chunks was never written"))?;
        let end = start.checked_add(length);
        if end.is_none_or(|end| end > file.length) || !deflate && length != bytes {
            return Err(Fault::damaged(format!(
                "a chunk of {length} bytes at byte {start} lies beyond the file's {}, or should have \
                 {bytes}",
                file.length
            )));
        }
        if deflate && length < bytes / MAX_RATIO {
            return Err(Fault::deceives(format!(
                "a chunk of {length} bytes cannot unpack to {bytes}"
            )));
        }
        // Data that do not shrink grow by a few bytes.
        if length > MAX_CHUNK + MAX_CHUNK / 64 {
            return Err(Fault::deceives(format!(
                "a chunk has {length} bytes, at most {MAX_CHUNK} are allowed"
            )));
        }
        checked.push((start, length));
    }
    // Else a tiny file could hold any number of elements.
    let mut sorted = checked.clone();
    sorted.sort_unstable();
    if sorted
        .windows(2)
        .any(|pair| pair[1].0 < pair[0].0 + pair[0].1)
    {
        return Err(Fault::deceives("two of its chunks overlap"));
    }
    Ok(Chunked {
        chunk,
        places: checked,
        deflate,
        shuffle,
    })
}

fn check_mask(place: Option<(u64, u64)>) -> Result<(u64, u64), Fault> {
    place.ok_or_else(|| Fault::unsupported("a chunk is stored without one of its filters"))
}

/// The list of chunks of data that have a fixed shape.
fn fixed(
    file: &mut File<'_>,
    at: u64,
    bytes: u64,
    places: &mut [Option<(u64, u64)>],
) -> Result<(), Fault> {
    const WHAT: &str = "list of chunks";
    let head = file.signed(at, 28, b"FAHD", WHAT)?;
    check(&head, WHAT, at)?;
    let mut cursor = Cursor::new(&head[4..], WHAT);
    let (_version, filtered, entry) = (cursor.u8()?, cursor.u8()? == 1, cursor.u8()?);
    let (page, count, block) = (cursor.u8()?, cursor.u64()?, cursor.u64()?);
    let entry = usize::from(entry);
    // An address; of a compressed chunk its size and four bytes of filters that were left out, too.
    let width = match filtered {
        true => entry
            .checked_sub(12)
            .filter(|width| (1..=8).contains(width)),
        false => Some(0).filter(|_| entry == 8),
    };
    let Some(width) = width.filter(|_| count == places.len() as u64) else {
        return Err(cursor.wrong("does not fit the dataset"));
    };
    if page >= 64 || count > 1 << page {
        return Err(Fault::unsupported(format!(
            "its list of {count} chunks is stored in pages; write it again with larger chunks"
        )));
    }
    let size = 14 + count * entry as u64 + 4;
    let list = file.signed(block, size, b"FADB", WHAT)?;
    check(&list, WHAT, block)?;
    let mut cursor = Cursor::new(&list[14..], WHAT);
    for place in places {
        let start = cursor.u64()?;
        let found = match filtered {
            true => {
                let size = cursor.number(width)?;
                let mask = cursor.u32()?;
                check_mask((mask == 0).then_some((start, size)))?
            }
            false => (start, bytes),
        };
        *place = Some(found);
    }
    Ok(())
}

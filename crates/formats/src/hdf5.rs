//! HDF5 files as `h5py` and Keras write them (`tf_model.h5`), from bytes to checked tensors.
//!
//! A file is a tree of objects: groups, whose links name other objects, and datasets. Each object has a
//! header of messages ([`header`]). The links of a group are messages, or stand in a B-tree of names
//! ([`btree`]) over a heap ([`heap`]). A dataset's messages say its shape, type and where its bytes are
//! ([`dataset`]); attributes ([`attribute`]) hold Keras' lists of layers and weights.
//!
//! Read are superblocks 0 to 3, both forms of object headers, groups and attributes, and contiguous,
//! compact and chunked data, the latter also with shuffling and gzip. Everything else is refused.
//! Format: <https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>

mod attribute;
mod btree;
mod checksum;
mod dataset;
mod datatype;
mod encode;
mod file;
mod group;
mod header;
mod heap;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use crate::{FormatError, contents::Contents, fault::Fault, positional::Source};
use std::{io, path::Path};

pub use write::write_hdf5;

pub(crate) const FORMAT: &str = "an HDF5 file";
const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// The address of what is not there.
const NOWHERE: u64 = u64::MAX;

/// Types of messages in an object's header.
mod message {
    pub(super) const DATASPACE: u16 = 0x01;
    pub(super) const LINK_INFO: u16 = 0x02;
    pub(super) const DATATYPE: u16 = 0x03;
    pub(super) const FILL_VALUE: u16 = 0x05;
    pub(super) const LINK: u16 = 0x06;
    pub(super) const EXTERNAL_FILES: u16 = 0x07;
    pub(super) const LAYOUT: u16 = 0x08;
    pub(super) const GROUP_INFO: u16 = 0x0a;
    pub(super) const FILTERS: u16 = 0x0b;
    pub(super) const ATTRIBUTE: u16 = 0x0c;
    pub(super) const CONTINUATION: u16 = 0x10;
    pub(super) const SYMBOL_TABLE: u16 = 0x11;
    pub(super) const ATTRIBUTE_INFO: u16 = 0x15;
}

/// Whether a file begins like HDF5.
pub(crate) fn is_hdf5(source: &Source, length: u64) -> io::Result<bool> {
    let mut start = [0; 8];
    if length < start.len() as u64 {
        return Ok(false);
    }
    source.read_exact_at(&mut start, 0)?;
    Ok(&start == SIGNATURE)
}

/// Reads and checks everything but the tensors' values. A tensor's name is its path without the first
/// `/`; metadata are the texts at the root and Keras' lists (see [`tree`]).
pub(crate) fn read(source: &Source, length: u64, path: &Path) -> Result<Contents, FormatError> {
    file::File::open(source, length)
        .and_then(|mut file| tree::read(&mut file))
        .map_err(|fault: Fault| fault.at(FORMAT, path))
}

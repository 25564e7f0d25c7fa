//! Who watches a download.

/// Told how far a download is.
pub trait Observer {
    /// A file begins; its length, if it was announced.
    fn begin(&mut self, name: &str, length: Option<u64>);
    /// Bytes of it that are there, those of earlier runs included. May go back when the server begins anew.
    fn at(&mut self, bytes: u64);
    /// The file is complete.
    fn end(&mut self);
    /// What the user should know.
    fn note(&mut self, text: &str);
}

/// Nobody.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: &str, _: Option<u64>) {}
    fn at(&mut self, _: u64) {}
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
}

//! Prints what our versions of Python's string methods make of every code point, for
//! tools/tokenizer_unicode.py.

use albert_tokenizer::raw::python_row;
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for character in '\0'..=char::MAX {
        writeln!(out, "{}", python_row(character))?;
    }
    Ok(())
}

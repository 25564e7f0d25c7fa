//! From bytes to code points, as Python counts positions.

/// Counts code points before a byte of a text in constant time.
///
/// ```
/// let index = albert_tokenizer::CharIndex::new("né à Paris");
/// assert_eq!(index.chars_before("né ".len()), 3);
/// ```
#[derive(Debug)]
pub struct CharIndex<'a> {
    text: &'a [u8],
    /// Code points before each block; empty where every code point is one byte.
    blocks: Vec<usize>,
}

const BLOCK: usize = 64;

impl<'a> CharIndex<'a> {
    /// Reads the text once.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let mut blocks = Vec::new();
        if !text.is_ascii() {
            let mut count = 0;
            for block in text.as_bytes().chunks(BLOCK) {
                blocks.push(count);
                count += begun(block);
            }
            blocks.push(count);
        }
        Self {
            text: text.as_bytes(),
            blocks,
        }
    }

    /// Code points that end before this byte; a byte inside a code point counts as its beginning,
    /// one past the end as the end.
    #[must_use]
    pub fn chars_before(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        if self.blocks.is_empty() {
            return byte;
        }
        let block = byte / BLOCK;
        let count = self.blocks[block] + begun(&self.text[block * BLOCK..byte]);
        // Inside a code point: it has begun, but not ended.
        let inside = self.text.get(byte).is_some_and(|b| is_continuation(*b));
        count - usize::from(inside)
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Code points that begin in a run of bytes.
fn begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| !is_continuation(**byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_as_char_indices_does() {
        for text in [
            "",
            "plain",
            &"aé€😀".repeat(50),
            &"é".repeat(32),
            &"€".repeat(64),
        ] {
            let index = CharIndex::new(text);
            let starts: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
            for byte in 0..=text.len() + 2 {
                let inside = byte.min(text.len());
                let expected = match starts.binary_search(&inside) {
                    Ok(count) => count,
                    Err(count) if inside == text.len() => count,
                    Err(count) => count - 1,
                };
                assert_eq!(index.chars_before(byte), expected, "{text:?} {byte}");
            }
        }
    }
}

//! Prints ids, and offsets on request, of each line of standard input: a feed for tools/.
//!
//! `cargo run --release -p albert-tokenizer --example encode -- MODE MODEL [ids|offsets|decode|time]`

use albert_tokenizer::{SpieceModel, raw::Raw};
use std::{
    error::Error,
    io::{self, Read, Write},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, path, rest @ ..] = &arguments[..] else {
        return Err("encode MODE MODEL [ids|offsets|decode|time]".into());
    };
    let what = rest.first().map_or("ids", String::as_str);
    let bytes = std::fs::read(path)?;
    let mut tokenizer = match mode.starts_with("hf-fast") || mode.starts_with("hf5") {
        true => Raw::tokenizers(mode, &bytes)?,
        false => Raw::new(mode, SpieceModel::parse(&bytes)?)?,
    };
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let text = String::from_utf8(input)?;
    // Lines end at \n only; a final \n starts no line.
    let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut ids = Vec::new();
    if what == "time" {
        let lines: Vec<&str> = lines.collect();
        for _ in 0..3 {
            let start = std::time::Instant::now();
            let mut count = 0;
            for line in &lines {
                ids.clear();
                tokenizer.ids(line, &mut ids);
                count += ids.len();
            }
            let seconds = start.elapsed().as_secs_f64();
            let rate = text.len() as f64 / 1e6 / seconds;
            writeln!(out, "{count} ids, {seconds:.3} s, {rate:.1} MB/s")?;
            out.flush()?;
        }
        return Ok(());
    }
    for line in lines {
        ids.clear();
        match what {
            "offsets" => {
                let pieces = tokenizer.pieces(line);
                for (index, (id, (start, end))) in pieces.ids.iter().zip(&pieces.offsets).enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(out, "{space}{id} {start} {end}")?;
                }
            }
            _ => {
                tokenizer.ids(line, &mut ids);
                if what == "decode" {
                    out.write_all(tokenizer.decode(&ids, false).as_bytes())?;
                    writeln!(out)?;
                    continue;
                }
                for (index, id) in ids.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(out, "{space}{id}")?;
                }
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

//! Prints ids, and offsets on request, of each line of standard input: a feed for tools/.
//!
//! `cargo run --release -p albert-tokenizer --example encode -- MODE MODEL [ids|offsets|decode|time|time-offsets|frames|json]`
//!
//! `json` writes the tokenizer.json of modes hf-fast and hf5.
//!
//! `frames`: binary, for texts with line ends inside. Input: length (u32, little-endian) and bytes
//! of each text; output: number of pieces, then id, start, end (code points) and word of each.

use albert_tokenizer::{Sampling, SpieceModel, raw::Raw};
use std::{
    error::Error,
    io::{self, Read, Write},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, path, rest @ ..] = &arguments[..] else {
        return Err("encode MODE MODEL [ids|offsets|decode|time|time-offsets|frames|json]".into());
    };
    let what = rest.first().map_or("ids", String::as_str);
    let bytes = std::fs::read(path)?;
    let fast = mode.starts_with("hf-fast") || mode.starts_with("hf5");
    let mut tokenizer = match (fast, path.ends_with(".txt")) {
        (true, _) => Raw::tokenizers(mode, &bytes)?,
        (false, true) => Raw::vocab_txt(mode, &bytes)?,
        (false, false) => Raw::new(mode, SpieceModel::parse(&bytes)?)?,
    };
    if what == "json" {
        io::stdout().write_all(&Raw::tokenizer_json(mode, &bytes)?)?;
        return Ok(());
    }
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    if what == "frames" {
        return frames(&mut tokenizer, &input);
    }
    let text = String::from_utf8(input)?;
    // Lines end at \n only; a final \n starts no line.
    let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut ids = Vec::new();
    let mut number = 0;
    if what.starts_with("time") {
        let lines: Vec<&str> = lines.collect();
        for _ in 0..3 {
            let start = std::time::Instant::now();
            let mut count = 0;
            for line in &lines {
                if what == "time-offsets" {
                    count += tokenizer.pieces(line).ids.len();
                    continue;
                }
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
                for (index, (id, (start, end))) in
                    pieces.ids.iter().zip(&pieces.offsets).enumerate()
                {
                    let space = if index == 0 { "" } else { " " };
                    write!(out, "{space}{id} {start} {end}")?;
                }
            }
            "nbest" => {
                for (pieces, score) in tokenizer.n_best(line, 10) {
                    write!(out, "{}", score.to_bits())?;
                    for id in &pieces.ids {
                        write!(out, " {id}")?;
                    }
                    write!(out, "\t")?;
                }
            }
            "sample" => {
                let sampling = Sampling {
                    nbest_size: rest.get(1).map_or(Ok(-1), |size| size.parse())?,
                    alpha: rest.get(2).map_or(Ok(0.1), |alpha| alpha.parse())?,
                    seed: 1,
                };
                number += 1;
                for (index, id) in tokenizer
                    .sample(line, sampling, number)
                    .ids
                    .iter()
                    .enumerate()
                {
                    let space = if index == 0 { "" } else { " " };
                    write!(out, "{space}{id}")?;
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

fn frames(tokenizer: &mut Raw, mut input: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut chars = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = rest.split_at_checked(length).ok_or("a text is cut short")?;
        input = rest;
        let text = std::str::from_utf8(text)?;
        // Number of code points before each byte.
        chars.clear();
        let mut count = 0u32;
        for (at, _) in text.char_indices() {
            chars.resize(at + 1, count);
            count += 1;
        }
        chars.resize(text.len() + 1, count);
        let pieces = tokenizer.pieces(text);
        out.write_all(&(pieces.ids.len() as u32).to_le_bytes())?;
        for ((id, (start, end)), word) in pieces.ids.iter().zip(&pieces.offsets).zip(&pieces.words)
        {
            for number in [*id, chars[*start], chars[*end], word.unwrap_or(u32::MAX)] {
                out.write_all(&number.to_le_bytes())?;
            }
        }
    }
    Ok(())
}

//! Compares texts by their vectors: `cargo run -p albert --example embed -- DIR TEXT OTHER...`

use std::path::Path;

use albert::pipeline::{Embed, EmbedOptions, cosine_similarity};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, texts @ ..] = words.as_slice() else {
        return Err("give a model folder and texts".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (embed, _) = Embed::from_pretrained(Path::new(folder), device)?;
    let inputs: Vec<_> = texts.iter().map(|text| (text.as_str(), None)).collect();
    let mut vectors = Vec::new();
    for answer in embed.run_batch(&inputs, &EmbedOptions::default())? {
        vectors.push(answer?.output);
    }
    for (text, vector) in texts.iter().zip(&vectors).skip(1) {
        println!("{:.4} {text}", cosine_similarity(&vectors[0], vector));
    }
    Ok(())
}

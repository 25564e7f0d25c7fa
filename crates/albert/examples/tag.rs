//! Finds the entities of a text: `cargo run -p albert --example tag -- DIR TEXT`

use std::path::Path;

use albert::pipeline::{Tag, TagInput, TagOptions};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text] = words.as_slice() else {
        return Err("give a model folder and a text".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (tag, _) = Tag::from_pretrained(Path::new(folder), device)?;
    let answer = tag.run(TagInput::Text(text), &TagOptions::default())?;
    for entity in answer.output {
        // Spans count bytes for Rust and code points for everyone else.
        let part = &text[entity.span.bytes.clone()];
        println!(
            "{:.4} {:<10} {:?} {part:?}",
            entity.score, entity.label, entity.span.chars
        );
    }
    Ok(())
}

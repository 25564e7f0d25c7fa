//! Chooses what fits a text best: `cargo run -p albert --example choose -- DIR TEXT CHOICE...`

use std::path::Path;

use albert::pipeline::{Choose, ChooseOptions};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text, choices @ ..] = words.as_slice() else {
        return Err("give a model folder, a text and choices".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (choose, _) = Choose::from_pretrained(Path::new(folder), device)?;
    let choice = choose.run(text, choices, &ChooseOptions::default())?.output;
    for (i, score) in choice.scores.iter().enumerate() {
        let mark = if i == choice.choice { "*" } else { " " };
        println!("{mark} {score:.4} {}", choices[i]);
    }
    Ok(())
}

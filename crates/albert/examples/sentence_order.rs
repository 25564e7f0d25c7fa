//! Judges whether two texts follow each other: `cargo run -p albert --example sentence_order -- DIR FIRST SECOND`

use std::path::Path;

use albert::pipeline::{SentenceOrder, SentenceOrderOptions};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, first, second] = words.as_slice() else {
        return Err("give the folder of a pre-trained model and two texts".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (order, _) = SentenceOrder::from_pretrained(Path::new(folder), device)?;
    let answer = order.run(first, second, &SentenceOrderOptions::default())?;
    for label in answer.output {
        println!("{:.4} {}", label.score, label.label);
    }
    Ok(())
}

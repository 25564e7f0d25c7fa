//! Ranks labels that the model was not trained for: `cargo run -p albert --example zero_shot -- DIR TEXT LABEL...`

use std::path::Path;

use albert::pipeline::{ZeroShot, ZeroShotOptions};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text, labels @ ..] = words.as_slice() else {
        return Err("give the folder of a model of entailment, a text and labels".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (model, _) = ZeroShot::from_pretrained(Path::new(folder), device)?;
    let options = ZeroShotOptions::new(labels);
    let ranking = model.run(text, &options)?.output;
    for (label, score) in ranking.labels.iter().zip(&ranking.scores) {
        println!("{score:.4} {label}");
    }
    Ok(())
}

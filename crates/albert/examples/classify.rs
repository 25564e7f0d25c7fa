//! Labels a text or a pair of texts: `cargo run -p albert --example classify -- DIR TEXT [PAIR]`

use std::path::Path;

use albert::pipeline::{Classify, ClassifyOptions};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text, pair @ ..] = words.as_slice() else {
        return Err("give a model folder and a text, or two".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (classify, _) = Classify::from_pretrained(Path::new(folder), device)?;
    let pair = pair.first().map(String::as_str);
    let answer = classify.run(text, pair, &ClassifyOptions::default())?;
    for label in answer.output {
        println!("{:.4} {}", label.score, label.label);
    }
    Ok(())
}

//! Fills the gaps of a text: `cargo run -p albert --example fill_mask -- DIR "A [MASK] text."`

use std::path::Path;

use albert::pipeline::{FillMask, FillMaskOptions};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text] = words.as_slice() else {
        return Err("give a model folder and a text with [MASK]".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (fill, _) = FillMask::from_pretrained(Path::new(folder), device)?;
    let options = FillMaskOptions {
        top_k: 3,
        ..FillMaskOptions::default()
    };
    for mask in fill.run(text, &options)?.output {
        for filled in mask {
            println!(
                "{:.4} {:<8} {}",
                filled.score, filled.token_str, filled.sequence
            );
        }
    }
    Ok(())
}

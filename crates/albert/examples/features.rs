//! Shows the first numbers of every token's vector: `cargo run -p albert --example features -- DIR TEXT`

use std::path::Path;

use albert::pipeline::{Features, FeaturesOptions};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text] = words.as_slice() else {
        return Err("give a model folder and a text".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (features, _) = Features::from_pretrained(Path::new(folder), device)?;
    let output = features
        .run(text, None, &FeaturesOptions::default())?
        .output;
    let last = &output.layers[0];
    for (token, vector) in output
        .tokens
        .iter()
        .zip(last.data.chunks_exact(last.shape[1]))
    {
        println!(
            "{token:<10} {:+.4} {:+.4} {:+.4} …",
            vector[0], vector[1], vector[2]
        );
    }
    Ok(())
}

//! Finds the answer to a question in a text: `cargo run -p albert --example answer -- DIR QUESTION CONTEXT`

use std::path::Path;

use albert::pipeline::{AnswerOptions, QuestionAnswering};
use albert::{Cpu, CpuOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, question, context] = words.as_slice() else {
        return Err("give a model folder, a question and a context".into());
    };
    let device = Cpu::new(CpuOptions::default())?;
    let (model, _) = QuestionAnswering::from_pretrained(Path::new(folder), device)?;
    let options = AnswerOptions {
        top_k: 3,
        ..AnswerOptions::default()
    };
    for found in model.run(question, context, &options)?.output {
        println!(
            "{:.4} {}..{} {:?}",
            found.score, found.start, found.end, found.answer
        );
    }
    Ok(())
}

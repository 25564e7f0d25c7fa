//! The masked language model of Hugging Face's documentation, run by TensorFlow:
//! `cargo run -p albert-tensorflow --example tf_albert -- DIR ["A [MASK] text."]`

use std::path::Path;

use albert::{IGNORE_INDEX, Inputs, Keep, LoadOptions};
use albert_tensorflow::{TFAlbertForMaskedLM, TensorFlow};
use albert_tokenizer::{AlbertTokenizer, EncodeOptions};

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words
        .next()
        .ok_or("give a model folder and perhaps a text with [MASK]")?;
    let text = words
        .next()
        .unwrap_or("The capital of [MASK] is Paris.".to_owned());
    let folder = Path::new(&folder);

    let tensorflow = TensorFlow::load()?;
    let (model, _) =
        TFAlbertForMaskedLM::from_pretrained(folder, &tensorflow, LoadOptions::default())?;
    let tokenizer =
        AlbertTokenizer::from_pretrained(folder, albert_tokenizer::LoadOptions::default())?;
    let encoding = tokenizer.encode(text.as_str(), &EncodeOptions::default())?;
    let ids: Vec<i64> = encoding.ids.into_iter().map(i64::from).collect();
    let mask = tokenizer.mask_token_id().map(i64::from);
    let place = ids
        .iter()
        .position(|id| Some(*id) == mask)
        .ok_or("the text has no [MASK]")?;

    // input_ids, attention_mask; labels make a loss.
    let inputs = Inputs::from_sequences(std::slice::from_ref(&ids), 0);
    let logits = model.forward(&inputs, None, Keep::default())?.logits;
    let scores = &logits.data[place * logits.shape[2]..][..logits.shape[2]];
    let mut best: Vec<usize> = (0..scores.len()).collect();
    best.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    for id in &best[..3] {
        println!(
            "{:.4} {}",
            scores[*id],
            tokenizer.id_to_token(*id as u32).unwrap_or_default()
        );
    }

    let mut labels = vec![IGNORE_INDEX; ids.len()];
    labels[place] = best[0] as i64;
    let output = model.forward(&inputs, Some(&labels), Keep::default())?;
    println!(
        "loss {:.4}",
        output.loss.ok_or("labels make a loss")?.data[0]
    );
    Ok(())
}

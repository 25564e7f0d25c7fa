//! The last hidden state of two sequences of token numbers; README.md shows this code, `make readme` runs it.

use std::path::Path;

use albert::{AlbertModel, Cpu, CpuOptions, Inputs, Keep, LoadOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/demo");
    let device = Cpu::new(CpuOptions::default())?;
    let (model, _report) = AlbertModel::from_pretrained(&folder, device, LoadOptions::default())?;
    let inputs = Inputs::from_sequences(&[vec![2, 7, 9, 3], vec![2, 7, 3]], 0);
    let output = model.forward(&inputs, None, Keep::default())?;
    println!("{:?}", output.last_hidden_state.shape); // [2, 4, 32]: sequences, tokens, H
    Ok(())
}

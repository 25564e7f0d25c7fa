//! A file whose matrices are whole numbers with scales loads as the model that they stand for.

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/toy.rs"]
mod toy;

use std::collections::BTreeMap;
use std::path::Path;

use albert::{AlbertForMaskedLM, Cpu, CpuOptions, Error, Inputs, Keep, LoadOptions};
use albert_formats::Checkpoint;

const WORDS: &str = "albert.embeddings.word_embeddings.weight";

/// The scale of row i.
fn scale(i: usize) -> f32 {
    0.001 + 0.0001 * i as f32
}

/// Name, dtype, shape, bytes.
type Stored = (String, &'static str, Vec<usize>, Vec<u8>);

/// A safetensors image.
fn image(tensors: &[Stored]) -> Vec<u8> {
    let (mut header, mut data) = (BTreeMap::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        let place = [start, data.len()];
        header.insert(
            name,
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": place }),
        );
    }
    let header = serde_json::to_vec(&header).expect("JSON");
    let mut image = (header.len() as u64).to_le_bytes().to_vec();
    image.extend(header);
    image.extend(data);
    image
}

/// The tensors of a toy model; its word table is whole numbers times scales, in f32 or as they are.
fn stored(folder: &Path, whole: bool) -> Vec<Stored> {
    let checkpoint = Checkpoint::open(folder).expect("a toy");
    let mut tensors: Vec<Stored> = Vec::new();
    for info in checkpoint.tensors() {
        let mut values = vec![0.0f32; info.elements()];
        checkpoint.read_f32(info, 0, &mut values).expect("values");
        if info.name != WORDS {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((info.name.clone(), "F32", info.shape.clone(), bytes));
            continue;
        }
        let (rows, cols) = (info.shape[0], info.shape[1]);
        let numbers: Vec<i8> = (0..rows * cols).map(|i| ((i * 37) % 255) as i8).collect();
        if whole {
            let bytes = numbers.iter().map(|q| q.to_le_bytes()[0]).collect();
            tensors.push((info.name.clone(), "I8", info.shape.clone(), bytes));
            let scales = (0..rows).flat_map(|i| scale(i).to_le_bytes()).collect();
            tensors.push((format!("{WORDS}_scale"), "F32", vec![rows, 1], scales));
        } else {
            let value = |(i, q): (usize, &i8)| (f32::from(*q) * scale(i / cols)).to_le_bytes();
            let bytes = numbers.iter().enumerate().flat_map(value).collect();
            tensors.push((info.name.clone(), "F32", info.shape.clone(), bytes));
        }
    }
    tensors.sort();
    tensors
}

fn load(
    folder: &Path,
    tensors: &[Stored],
) -> Result<(AlbertForMaskedLM, albert::LoadReport), Error> {
    let checkpoint = Checkpoint::from_bytes("memory", image(tensors)).expect("an image");
    let (config, _) = albert::AlbertConfig::from_file(&folder.join("config.json")).expect("config");
    let device = Cpu::new(CpuOptions::default()).expect("threads");
    let options = LoadOptions::default();
    AlbertForMaskedLM::from_checkpoint(config, &checkpoint, Path::new("memory"), device, options)
}

#[test]
fn whole_numbers_times_scales_are_the_matrix() {
    let folder = toy::NARROW.folder("AlbertForMaskedLM");
    let run = |whole| {
        let (model, report) = load(folder.path(), &stored(folder.path(), whole)).expect("loaded");
        assert_eq!(report.unexpected, Vec::<String>::new());
        let inputs = Inputs::new(1, 5, vec![2, 96, 50, 0, 3]);
        let output = model.forward(&inputs, None, Keep::default()).expect("run");
        let bits: Vec<u32> = output.logits.data.iter().map(|x| x.to_bits()).collect();
        bits
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn scales_must_be_there_and_fit() {
    let folder = toy::NARROW.folder("AlbertForMaskedLM");
    let message = |change: &dyn Fn(&mut Vec<Stored>)| {
        let mut tensors = stored(folder.path(), true);
        change(&mut tensors);
        match load(folder.path(), &tensors) {
            Ok(_) => panic!("loaded"),
            Err(error) => error.to_string(),
        }
    };
    let name = format!("{WORDS}_scale");
    let missing = message(&|tensors| tensors.retain(|tensor| tensor.0 != name));
    assert!(
        missing.contains(&name) && missing.contains("[97, 1]"),
        "{missing}"
    );
    let flat = message(&|tensors| {
        let tensor = tensors.iter_mut().find(|tensor| tensor.0 == name);
        tensor.expect("the scales").2 = vec![97];
    });
    assert!(flat.contains("[97, 1]") && flat.contains("[97]"), "{flat}");
}

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

/// Factors of the r-th product that is added: of row i, of column j.
fn left(i: usize, r: usize) -> f32 {
    0.01 * (i + 7 * r) as f32 - 0.3
}

fn right(r: usize, j: usize) -> f32 {
    0.02 + 0.005 * (j + 3 * r) as f32
}

/// How the word table is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Table {
    /// In f32, as the file says that it is computed.
    Wide { rank: usize },
    /// Whole numbers, scales and, where asked for, the product that is added.
    Whole { rank: usize },
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

fn f32s(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}

/// The tensors of a toy model; its word table is whole numbers times scales.
fn stored(folder: &Path, table: Table) -> Vec<Stored> {
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
        let numbers: Vec<i8> = (0..rows * cols)
            .map(|i| ((i * 37) % 255) as i8)
            .map(|q| q.max(-127))
            .collect();
        match table {
            Table::Whole { rank } => {
                let bytes = numbers.iter().map(|q| q.to_le_bytes()[0]).collect();
                tensors.push((info.name.clone(), "I8", info.shape.clone(), bytes));
                let mut add = |suffix: &str, shape, bytes| {
                    tensors.push((format!("{WORDS}_{suffix}"), "F32", shape, bytes));
                };
                add("scale", vec![rows, 1], f32s((0..rows).map(scale)));
                if rank > 0 {
                    let lefts = (0..rows * rank).map(|at| left(at / rank, at % rank));
                    add("delta_left", vec![rows, rank], f32s(lefts));
                    let rights = (0..rank * cols).map(|at| right(at / cols, at % cols));
                    add("delta_right", vec![rank, cols], f32s(rights));
                }
            }
            Table::Wide { rank } => {
                let value = |(at, q): (usize, &i8)| {
                    let (i, j) = (at / cols, at % cols);
                    let own = f32::from(*q) * scale(i);
                    (0..rank).fold(own, |sum, r| sum + left(i, r) * right(r, j))
                };
                let bytes = f32s(numbers.iter().enumerate().map(value));
                tensors.push((info.name.clone(), "F32", info.shape.clone(), bytes));
            }
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
    let run = |table| {
        let (model, report) = load(folder.path(), &stored(folder.path(), table)).expect("loaded");
        assert_eq!(report.unexpected, Vec::<String>::new());
        let inputs = Inputs::new(1, 5, vec![2, 96, 50, 0, 3]);
        let output = model.forward(&inputs, None, Keep::default()).expect("run");
        let bits: Vec<u32> = output.logits.data.iter().map(|x| x.to_bits()).collect();
        bits
    };
    let [alone, added, more] = [0, 1, 3].map(|rank| {
        let wide = run(Table::Wide { rank });
        assert_eq!(run(Table::Whole { rank }), wide, "rank {rank}");
        wide
    });
    assert!(alone != added && added != more);
}

#[test]
fn companions_must_be_there_and_fit() {
    let folder = toy::NARROW.folder("AlbertForMaskedLM");
    let message = |change: &dyn Fn(&mut Vec<Stored>)| {
        let mut tensors = stored(folder.path(), Table::Whole { rank: 1 });
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
    assert!(!flat.contains("config.json"), "{flat}");
    let wrong = message(&|tensors| {
        let name = format!("{WORDS}_delta_right");
        let tensor = tensors.iter_mut().find(|tensor| tensor.0 == name);
        tensor.expect("the factor").2 = vec![2, 10];
    });
    assert!(
        wrong.contains("[1, 20]") && wrong.contains("[2, 10]"),
        "{wrong}"
    );
    let flat = message(&|tensors| {
        let name = format!("{WORDS}_delta_left");
        let tensor = tensors.iter_mut().find(|tensor| tensor.0 == name);
        tensor.expect("the factor").2 = vec![97];
    });
    assert!(flat.contains("[97, 1]") && flat.contains("[97]"), "{flat}");
    for (lacking, shape) in [("delta_left", "[97, 1]"), ("delta_right", "[1, 20]")] {
        let name = format!("{WORDS}_{lacking}");
        let alone = message(&|tensors| tensors.retain(|tensor| tensor.0 != name));
        assert!(alone.contains(&name) && alone.contains(shape), "{alone}");
    }
}

#[test]
fn scales_and_integers_that_nobody_writes_are_refused_by_tensor_and_row() {
    let folder = toy::NARROW.folder("AlbertForMaskedLM");
    let message = |name: &str, at: usize, bytes: &[u8]| {
        let mut tensors = stored(folder.path(), Table::Whole { rank: 0 });
        let tensor = tensors.iter_mut().find(|tensor| tensor.0 == name);
        tensor.expect("the tensor").3[at..at + bytes.len()].copy_from_slice(bytes);
        match load(folder.path(), &tensors) {
            Ok(_) => panic!("{name}, {bytes:?}: loaded"),
            Err(error) => error.to_string(),
        }
    };
    let scales = format!("{WORDS}_scale");
    for (scale, found) in [
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
        (-0.5, "-0.5"),
        (-0.0, "-0.0"),
    ] {
        let wrong = message(&scales, 3 * 4, &scale.to_le_bytes());
        let words = format!("{scales}, row 3: expected a finite scale, 0 or more, found {found};");
        assert!(
            wrong.starts_with("memory: ") && wrong.contains(&words),
            "{wrong}"
        );
    }
    let zero = message(&scales, 2 * 4, &0f32.to_le_bytes());
    assert!(
        zero.contains(&format!(
            "{WORDS}, row 2: expected zeros, since its scale is 0"
        )),
        "{zero}"
    );
    let low = message(WORDS, 5 * 20 + 7, &[0x80]);
    assert!(
        low.contains(&format!(
            "{WORDS}, row 5: expected whole numbers from -127 to 127, found -128"
        )),
        "{low}"
    );
}

#[test]
fn whole_numbers_are_matrices_alone() {
    let folder = toy::NARROW.folder("AlbertForMaskedLM");
    let mut tensors = stored(folder.path(), Table::Whole { rank: 0 });
    let name = "albert.embeddings.LayerNorm.weight";
    let tensor = tensors.iter_mut().find(|tensor| tensor.0 == name);
    let tensor = tensor.expect("the gains");
    (tensor.1, tensor.3) = ("I8", vec![1; tensor.2[0]]);
    let error = load(folder.path(), &tensors)
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.contains(name)
            && error.contains("expected a floating-point type")
            && error.contains("found I8"),
        "{error}"
    );
}

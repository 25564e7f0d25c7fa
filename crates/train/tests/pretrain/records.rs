//! TFRecord files: those of the reference's libraries, ours, and hostile ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use albert::{AlbertConfig, IGNORE_INDEX};
use albert_formats::{Example, RecordReader, RecordWriter, Values};
use albert_train::dataset::Dataset;
use albert_train::pretrain::{Objective, PretrainData, PretrainOptions, RecordData, write_records};

use crate::{cache, common, corpus, options, pieces, stage};

fn golden() -> PathBuf {
    common::fixtures().join("pretrain/examples.tfrecord")
}

#[test]
fn a_file_of_protobuf_and_tensorboard() {
    let data = RecordData::open(&[golden(), golden()], &AlbertConfig::base_v2()).expect("data");
    assert_eq!(
        (data.len(), data.max_seq_length(), data.tokens(3)),
        (4, 12, 12)
    );
    let (inputs, labels) = data.batch(&[0, 3]).expect("a batch");
    // The longer one has ten tokens.
    assert_eq!((inputs.batch, inputs.length), (2, 10));
    let ids = [
        2, 20, 21, 22, 3, 24, 25, 26, 3, 0, 2, 21, 22, 23, 3, 25, 26, 27, 28, 3,
    ];
    assert_eq!(inputs.input_ids.expect("ids"), ids);
    let types = [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1];
    assert_eq!(inputs.token_type_ids.expect("types"), types);
    let mut mask = [1.0; 20];
    mask[9] = 0.0;
    assert_eq!(inputs.attention_mask.expect("a mask"), mask);
    let mut expected = [IGNORE_INDEX; 20];
    (expected[2], expected[12], expected[15]) = (700, 700, 701);
    assert_eq!(labels.labels.expect("labels"), expected);
    assert_eq!(labels.sentence_order_label.expect("labels"), [1, 0]);
    assert!(
        data.batch(&[4])
            .expect_err("outside")
            .to_string()
            .contains("0 to 3")
    );

    // Written again, the bytes are those of protobuf's serialiser with sorted names.
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    let reader = RecordReader::open(&golden()).expect("records");
    let mut writer = RecordWriter::create(&copy).expect("a file");
    for record in 0..reader.len() {
        let mut bytes = Vec::new();
        reader.read(record, &mut bytes).expect("a record");
        let again = Example::decode(&bytes).expect("an example").encode();
        assert_eq!(again, bytes);
        writer.write(&again).expect("written");
    }
    assert!(!copy.exists());
    writer.finish().expect("written");
    assert_eq!(
        std::fs::read(&copy).expect("a file"),
        std::fs::read(golden()).expect("a file")
    );
}

#[test]
fn samples_come_back() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = cache(&home.path().join("cache"), &[corpus()]);
    let data = PretrainData::of_passes(Arc::clone(&cache), pieces(), options(), stage(0, 64), 2)
        .expect("data");
    let files: Vec<PathBuf> = (0..3)
        .map(|i| home.path().join(format!("{i}.tfrecord")))
        .collect();
    write_records(&data, 0..data.len(), &files).expect("written");
    let records = RecordData::open(&files, &AlbertConfig::base_v2()).expect("records");
    assert_eq!((records.len(), records.max_seq_length()), (data.len(), 64));
    // By turns: the first file has samples 0, 3, 6, ….
    let first = RecordData::open(&files[..1], &AlbertConfig::base_v2()).expect("records");
    for place in 0..first.len() {
        let (inputs, labels) = data.batch(&[3 * place]).expect("a batch");
        let (read, read_labels) = first.batch(&[place]).expect("a batch");
        assert_eq!(read.input_ids, inputs.input_ids);
        assert_eq!(read.attention_mask, inputs.attention_mask);
        assert_eq!(read.token_type_ids, inputs.token_type_ids);
        assert_eq!(read_labels.labels, labels.labels);
        assert_eq!(
            read_labels.sentence_order_label,
            labels.sentence_order_label
        );
    }
    // Exactly the features of the script, with its lengths.
    let mut bytes = Vec::new();
    RecordReader::open(&files[0])
        .expect("records")
        .read(0, &mut bytes)
        .expect("a record");
    let example = Example::decode(&bytes).expect("an example");
    let lengths: Vec<(&str, usize)> = example
        .features
        .iter()
        .map(|(name, values)| match values {
            Values::Int64s(values) => (name.as_str(), values.len()),
            Values::Floats(values) => (name.as_str(), values.len()),
            Values::Bytes(_) => panic!("{name}"),
        })
        .collect();
    let expected = [
        ("input_ids", 64),
        ("input_mask", 64),
        ("masked_lm_ids", 10),
        ("masked_lm_positions", 10),
        ("masked_lm_weights", 10),
        ("next_sentence_labels", 1),
        ("segment_ids", 64),
        ("token_boundary", 64),
    ];
    assert_eq!(lengths, expected);
    let Values::Int64s(boundary) = &example.features["token_boundary"] else {
        panic!("numbers")
    };
    let instance = data.instance(0).expect("a sample");
    let found: Vec<bool> = boundary.iter().map(|is| *is == 1).collect();
    assert_eq!(found[..instance.boundary.len()], instance.boundary);

    // Refusals leave nothing.
    let none = home.path().join("none.tfrecord");
    let single = PretrainOptions {
        objective: Objective::None,
        ..options()
    };
    let single =
        PretrainData::new(Arc::clone(&cache), pieces(), single, vec![stage(9, 64)]).expect("data");
    let two = PretrainData::new(cache, pieces(), options(), vec![stage(9, 64), stage(9, 32)])
        .expect("data");
    for (data, samples, word) in [
        (&single, 0..9, "objective"),
        (&two, 0..18, "stage"),
        (&two, 0..19, "within 0 to 18"),
    ] {
        let error = write_records(data, samples, std::slice::from_ref(&none))
            .expect_err("refused")
            .to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(!none.exists());
}

fn refused(bytes: &[u8], folder: &Path, word: &str) {
    let path = folder.join("hostile");
    std::fs::write(&path, bytes).expect("written");
    let error = match RecordData::open(&[path], &AlbertConfig::base_v2()) {
        Ok(data) => (0..data.len())
            .find_map(|sample| data.batch(&[sample]).err())
            .expect("an error"),
        Err(error) => error,
    };
    let error = error.to_string();
    assert!(
        error.contains(word) && (word == "at least one" || error.contains("hostile, record")),
        "{word}: {error}"
    );
}

#[test]
fn damaged_and_hostile_files_are_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let good = std::fs::read(golden()).expect("a file");
    let refused = |bytes: &[u8], word: &str| refused(bytes, home.path(), word);
    for cut in 1..good.len() {
        let path = home.path().join("cut");
        std::fs::write(&path, &good[..cut]).expect("written");
        let whole = RecordReader::open(&path).is_ok();
        assert_eq!(
            whole,
            RecordReader::open(&golden()).is_ok() && is_border(&good, cut),
            "{cut}"
        );
    }
    refused(&[], "at least one");
    refused(&good[..good.len() - 1], "cut short");
    refused(&[&good[..], b"more"].concat(), "cut short");
    for at in (0..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        refused(&bytes, "");
    }
    // A length of 2⁶³ with the right checksum.
    let mut record = Vec::new();
    albert_formats::frame_record(&[], &mut record);
    let mut long = (1u64 << 63).to_le_bytes().to_vec();
    let crc = albert_formats::crc32c(&long)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8);
    long.extend(crc.to_le_bytes());
    long.extend(&record);
    refused(&long, "its length is 9223372036854775808");

    let framed = |change: &dyn Fn(&mut Example)| {
        let mut bytes = Vec::new();
        RecordReader::open(&golden())
            .expect("records")
            .read(1, &mut bytes)
            .expect("a record");
        let mut example = Example::decode(&bytes).expect("an example");
        change(&mut example);
        let mut out = good[..first_length(&good)].to_vec();
        albert_formats::frame_record(&example.encode(), &mut out);
        out
    };
    let set = |name: &'static str, values: Values| {
        framed(&|example| {
            example.features.insert(name.to_owned(), values.clone());
        })
    };
    refused(
        &framed(&|example| example.features.clear()),
        "no feature input_ids",
    );
    refused(
        &set("input_ids", Values::Int64s(vec![1; 13])),
        "input_ids has 13 values, expected 12",
    );
    refused(
        &set("segment_ids", Values::Int64s(Vec::new())),
        "segment_ids has 0",
    );
    refused(
        &set("input_mask", Values::Floats(vec![1.0; 12])),
        "input_mask holds no whole numbers",
    );
    refused(
        &set("masked_lm_ids", Values::Int64s(vec![1; 2])),
        "masked_lm_ids has 2 values, expected 3",
    );
    refused(
        &set("masked_lm_positions", Values::Int64s(vec![12; 3])),
        "holds 12, expected 0 to 11",
    );
    refused(
        &set("masked_lm_positions", Values::Int64s(vec![-1; 3])),
        "holds -1",
    );
    refused(
        &set("masked_lm_ids", Values::Int64s(vec![-7; 3])),
        "token -7",
    );
    // Those of albert-base-v2.
    refused(
        &set("input_ids", Values::Int64s(vec![30_000; 12])),
        "input_ids holds 30000, expected 0 to 29999",
    );
    refused(
        &set("segment_ids", Values::Int64s(vec![2; 12])),
        "segment_ids holds 2, expected 0 to 1",
    );
    refused(
        &set("masked_lm_ids", Values::Int64s(vec![30_000; 3])),
        "token 30000",
    );
    refused(
        &set("masked_lm_weights", Values::Floats(vec![f32::NAN; 3])),
        "weight NaN",
    );
    refused(
        &set("next_sentence_labels", Values::Int64s(vec![2])),
        "is 2, expected 0 or 1",
    );
    refused(
        &set("next_sentence_labels", Values::Int64s(vec![0; 2])),
        "has 2 values",
    );
    // Records of the same lengths with other numbers are other records.
    let path = home.path().join("other");
    let other = framed(&|example| {
        let Some(Values::Int64s(ids)) = example.features.get_mut("input_ids") else {
            panic!("whole numbers");
        };
        ids.swap(1, 2);
    });
    assert_eq!(other.len(), good.len());
    std::fs::write(&path, other).expect("written");
    let of = |path: PathBuf| {
        let data = RecordData::open(&[path], &AlbertConfig::base_v2()).expect("records");
        data.fingerprint()
    };
    assert_ne!(of(path), of(golden()));
    assert_eq!(of(golden()), of(golden()));
    let mut bytes = good[..first_length(&good)].to_vec();
    albert_formats::frame_record(b"\xff\xff\xff\xff no message", &mut bytes);
    refused(&bytes, "no tf.train.Example");
}

/// Bytes of the first record.
fn first_length(file: &[u8]) -> usize {
    16 + u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize
}

fn is_border(file: &[u8], cut: usize) -> bool {
    cut == first_length(file) || cut == file.len()
}

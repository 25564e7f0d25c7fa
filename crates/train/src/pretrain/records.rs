//! Samples as files of `tf.train.Example`, as `create_pretraining_data.py` writes them, and such files as a data set.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use albert::heads::PreTrainingLabels;
use albert::{AlbertConfig, IGNORE_INDEX, Inputs};
use albert_formats::{Example, FormatError, RecordReader, RecordWriter, Values};

use super::data::PretrainData;
use super::instance::Instance;
use super::options::Stage;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::random::mix;

/// Writes samples into files, by turns; each has its name when all are complete. Every list is padded with zeros to the stage's
/// `max_seq_length` or `max_predictions`, as Google's scripts expect.
///
/// # Errors
/// No file, samples of more than one stage, samples without a second label, a cache that cannot be read, a full disk.
pub fn write_records(data: &PretrainData, samples: Range<usize>, files: &[PathBuf]) -> Result<()> {
    if files.is_empty() || samples.is_empty() || samples.end > data.len() {
        let expected = format!("at least one file, and samples within 0 to {}", data.len());
        return Err(Error::input(
            "records",
            expected,
            format!("{} files, samples {samples:?}", files.len()),
        ));
    }
    let stage = *data.stage(samples.start);
    if !data.is_of_one_stage(&samples) {
        return Err(Error::input(
            "samples",
            "samples of one stage: lengths are fixed in these files",
            "more than one",
        ));
    }
    let writers: std::result::Result<Vec<_>, FormatError> = files
        .iter()
        .map(|path| RecordWriter::create(path))
        .collect();
    let mut writers = writers?;
    for (turn, sample) in samples.enumerate() {
        let example = example(&data.instance(sample)?, &stage)?;
        writers[turn % files.len()].write(&example.encode())?;
    }
    for writer in writers {
        writer.finish()?;
    }
    Ok(())
}

/// §"TFRecord" of `docs/pretraining-data.md`.
fn example(instance: &Instance, stage: &Stage) -> Result<Example> {
    let Some(label) = instance.sentence_order_label else {
        let expected = "sentence order or next sentence: these files have a second label";
        return Err(Error::input("objective", expected, "none"));
    };
    let padded = |values: Vec<i64>, length: usize| {
        let mut values = values;
        values.resize(length, 0);
        Values::Int64s(values)
    };
    let (long, short) = (stage.max_seq_length, stage.max_predictions);
    let length = instance.input_ids.len();
    let mut weights = vec![1.0; instance.masked.len()];
    weights.resize(short, 0.0);
    let masked = instance.masked.iter();
    let types = (0..length)
        .map(|place| i64::from(place >= instance.second))
        .collect();
    let features = [
        (
            "input_ids",
            padded(
                instance.input_ids.iter().map(|&id| i64::from(id)).collect(),
                long,
            ),
        ),
        ("input_mask", padded(vec![1; length], long)),
        ("segment_ids", padded(types, long)),
        (
            "token_boundary",
            padded(
                instance.boundary.iter().map(|&is| i64::from(is)).collect(),
                long,
            ),
        ),
        (
            "masked_lm_positions",
            padded(
                masked.clone().map(|(place, _)| i64::from(*place)).collect(),
                short,
            ),
        ),
        (
            "masked_lm_ids",
            padded(masked.map(|(_, token)| i64::from(*token)).collect(), short),
        ),
        ("masked_lm_weights", Values::Floats(weights)),
        (
            "next_sentence_labels",
            Values::Int64s(vec![i64::from(label)]),
        ),
    ];
    let features = features
        .into_iter()
        .map(|(name, values)| (name.to_owned(), values));
    Ok(Example {
        features: features.collect::<BTreeMap<_, _>>(),
    })
}

/// Files of records as a data set: samples in the order of the files, with the masks that stand in them.
#[derive(Debug)]
pub struct RecordData {
    files: Vec<RecordReader>,
    /// Number of the first sample of each file, and of all samples.
    firsts: Vec<usize>,
    limits: Limits,
}

/// What the numbers of a record must be below.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Tokens of each record; 0 before the first one is read.
    length: usize,
    words: i64,
    types: i64,
}

/// A record, checked.
struct Row {
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
    /// (place, token)
    predicted: Vec<(usize, i64)>,
    order: i64,
}

impl RecordData {
    /// Opens files for a model and goes through the lengths of their records; the first record says how long samples are.
    /// Each is checked as it is read: its tokens and their types must be some that the model has.
    ///
    /// # Errors
    /// A file that cannot be read or is no TFRecord; no record; a first record that is no sample of pre-training.
    pub fn open(paths: &[PathBuf], config: &AlbertConfig) -> Result<Self> {
        let files: std::result::Result<Vec<_>, FormatError> =
            paths.iter().map(|path| RecordReader::open(path)).collect();
        let files = files?;
        let mut firsts = vec![0];
        for file in &files {
            firsts.push(firsts[firsts.len() - 1] + file.len());
        }
        let mut data = Self {
            files,
            firsts,
            limits: Limits {
                length: 0,
                words: i64::try_from(config.vocab_size).unwrap_or(i64::MAX),
                types: i64::try_from(config.type_vocab_size).unwrap_or(i64::MAX),
            },
        };
        if data.len() == 0 {
            return Err(Error::input(
                "files of records",
                "at least one record",
                "none",
            ));
        }
        data.limits.length = data.row(0)?.ids.len();
        Ok(data)
    }

    /// Tokens of each record, padding included.
    pub fn max_seq_length(&self) -> usize {
        self.limits.length
    }

    fn row(&self, sample: usize) -> Result<Row> {
        let file = self.firsts.partition_point(|first| *first <= sample) - 1;
        let Some(reader) = self.files.get(file) else {
            return Err(Error::input(
                "sample",
                format!("0 to {}", self.len().saturating_sub(1)),
                sample,
            ));
        };
        let record = sample - self.firsts[file];
        let mut bytes = Vec::new();
        reader.read(record, &mut bytes)?;
        let row = Example::decode(&bytes).and_then(|example| parse(example, self.limits));
        Ok(row.map_err(|problem| reader.problem(record, problem))?)
    }
}

fn parse(mut example: Example, limits: Limits) -> std::result::Result<Row, String> {
    let mut take = |name: &str| match example.features.remove(name) {
        Some(Values::Int64s(values)) => Ok(values),
        Some(_) => Err(format!("feature {name} holds no whole numbers")),
        None => Err(format!(
            "there is no feature {name}; expected a sample of create_pretraining_data.py"
        )),
    };
    let (ids, mask, types) = (
        take("input_ids")?,
        take("input_mask")?,
        take("segment_ids")?,
    );
    let (places, tokens) = (take("masked_lm_positions")?, take("masked_lm_ids")?);
    let orders = take("next_sentence_labels")?;
    let weights = match example.features.remove("masked_lm_weights") {
        Some(Values::Floats(weights)) => weights,
        _ => return Err("there is no feature masked_lm_weights of floats".to_owned()),
    };
    let expected = match limits.length {
        0 => ids.len(),
        length => length,
    };
    let lengths = [
        ("input_ids", ids.len()),
        ("input_mask", mask.len()),
        ("segment_ids", types.len()),
    ];
    for (name, found) in lengths {
        if found != expected || found == 0 {
            return Err(format!(
                "feature {name} has {found} values, expected {expected}"
            ));
        }
    }
    for (name, values, limit) in [
        ("input_ids", &ids, limits.words),
        ("segment_ids", &types, limits.types),
    ] {
        if let Some(found) = values.iter().find(|value| !(0..limit).contains(*value)) {
            return Err(format!(
                "feature {name} holds {found}, expected 0 to {}, as the model has them",
                limit - 1
            ));
        }
    }
    for (name, found) in [
        ("masked_lm_ids", tokens.len()),
        ("masked_lm_weights", weights.len()),
    ] {
        if found != places.len() {
            return Err(format!(
                "feature {name} has {found} values, expected {}, as masked_lm_positions",
                places.len()
            ));
        }
    }
    let [order] = orders[..] else {
        return Err(format!(
            "feature next_sentence_labels has {} values, expected 1",
            orders.len()
        ));
    };
    if !(0..=1).contains(&order) {
        return Err(format!(
            "feature next_sentence_labels is {order}, expected 0 or 1"
        ));
    }
    let mut predicted = Vec::new();
    for ((place, token), weight) in places.into_iter().zip(tokens).zip(weights) {
        if weight == 0.0 {
            continue;
        }
        if weight != 1.0 || !(0..limits.words).contains(&token) {
            return Err(format!(
                "a prediction of token {token} with weight {weight}, expected 0 to {}, and weight 1",
                limits.words - 1
            ));
        }
        let inside = usize::try_from(place)
            .ok()
            .filter(|place| *place < expected);
        let place = inside.ok_or_else(|| {
            format!(
                "masked_lm_positions holds {place}, expected 0 to {}",
                expected - 1
            )
        })?;
        predicted.push((place, token));
    }
    Ok(Row {
        ids,
        mask,
        types,
        predicted,
        order,
    })
}

impl Dataset<PreTrainingLabels> for RecordData {
    fn len(&self) -> usize {
        self.firsts[self.firsts.len() - 1]
    }

    /// The most that a sample may have: padding is known when the record is read.
    fn tokens(&self, _sample: usize) -> usize {
        self.limits.length
    }

    /// Of what the files say of their records: lengths and checksums.
    fn fingerprint(&self) -> u64 {
        let files = self.files.iter();
        files.fold(self.limits.length as u64, |hash, file| {
            mix(hash ^ u64::from(file.checksum()))
        })
    }

    /// Without the padding that all samples have at their end.
    fn batch(&self, samples: &[usize]) -> Result<(Inputs, PreTrainingLabels)> {
        let rows: Result<Vec<Row>> = samples.iter().map(|&sample| self.row(sample)).collect();
        let rows = rows?;
        let used = |row: &Row| {
            let kept = row
                .mask
                .iter()
                .rposition(|mask| *mask != 0)
                .map_or(0, |last| last + 1);
            row.predicted
                .iter()
                .map(|(place, _)| place + 1)
                .fold(kept, usize::max)
        };
        let length = rows.iter().map(used).max().unwrap_or(0).max(1);
        let mut labels = vec![IGNORE_INDEX; rows.len() * length];
        for (row, labels) in rows.iter().zip(labels.chunks_exact_mut(length)) {
            row.predicted
                .iter()
                .for_each(|&(place, token)| labels[place] = token);
        }
        let flat = |of: fn(&Row) -> &Vec<i64>| {
            rows.iter()
                .flat_map(|row| &of(row)[..length])
                .copied()
                .collect::<Vec<_>>()
        };
        let mask = flat(|row| &row.mask)
            .into_iter()
            .map(|mask| f32::from(u8::from(mask != 0)));
        let inputs = Inputs {
            attention_mask: Some(mask.collect()),
            token_type_ids: Some(flat(|row| &row.types)),
            ..Inputs::new(rows.len(), length, flat(|row| &row.ids))
        };
        let orders = rows.iter().map(|row| row.order).collect();
        Ok((
            inputs,
            PreTrainingLabels {
                labels: Some(labels),
                sentence_order_label: Some(orders),
            },
        ))
    }
}

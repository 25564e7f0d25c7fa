//! Samples of a run: that each is a function of its number, stages, splits, batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use albert::IGNORE_INDEX;
use albert_train::dataset::Dataset;
use albert_train::pretrain::{
    Instance, Masking, Objective, PretrainData, PretrainOptions, Split, Stage, TokenCache,
};

use crate::{cache, corpus, options, pieces, stage};

fn data(cache: &Arc<TokenCache>, options: &PretrainOptions, stages: &[Stage]) -> PretrainData {
    PretrainData::new(
        Arc::clone(cache),
        pieces(),
        options.clone(),
        stages.to_vec(),
    )
    .expect("data")
}

fn all(data: &PretrainData) -> Vec<Instance> {
    (0..data.len())
        .map(|sample| data.instance(sample).expect("a sample"))
        .collect()
}

#[test]
fn a_sample_is_a_function_of_its_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(folder.path(), &[corpus()]);
    let stages = [stage(500, 48), stage(300, 96)];
    let expected = all(&data(&cache, &options(), &stages));
    // Backwards, and by several threads, from a cache with other shards.
    let other = tempfile::tempdir().expect("a folder");
    let again = data(
        &crate::cache(other.path(), &[corpus()]),
        &options(),
        &stages,
    );
    for sample in (0..800).rev().step_by(7) {
        assert_eq!(again.instance(sample).expect("a sample"), expected[sample]);
    }
    let shared = data(&cache, &options(), &stages);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (shared, expected) = (&shared, &expected);
            scope.spawn(move || {
                for sample in (thread * 13..800).step_by(29) {
                    assert_eq!(
                        &shared.instance(sample).expect("a sample"),
                        &expected[sample]
                    );
                }
            });
        }
    });
    let other_seed = all(&data(
        &cache,
        &PretrainOptions {
            seed: 8,
            ..options()
        },
        &stages,
    ));
    assert_ne!(other_seed, expected);
    assert!(
        shared
            .instance(800)
            .expect_err("outside")
            .to_string()
            .contains("0 to 799")
    );
}

#[test]
fn passes_differ_and_stages_begin_new_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(folder.path(), &[corpus()]);
    let one = PretrainData::of_passes(Arc::clone(&cache), pieces(), options(), stage(0, 48), 1)
        .expect("data");
    let per_pass = one.len();
    assert!(per_pass > 50, "{per_pass}");
    let run = data(
        &cache,
        &options(),
        &[stage(3 * per_pass as u64, 48), stage(50, 96)],
    );
    assert_eq!((run.len(), run.stages().len()), (3 * per_pass + 50, 2));
    let samples = all(&run);
    assert_eq!(samples[..per_pass], all(&one));
    // Lengths of stages, and predictions.
    for (sample, instance) in samples.iter().enumerate() {
        let stage = run.stage(sample);
        assert_eq!(
            stage.max_seq_length,
            if sample < 3 * per_pass { 48 } else { 96 }
        );
        assert!(instance.input_ids.len() <= stage.max_seq_length);
        assert!((1..=stage.max_predictions).contains(&instance.masked.len()));
        assert_eq!(run.tokens(sample), instance.input_ids.len());
    }
    assert!(
        samples[3 * per_pass..]
            .iter()
            .any(|instance| instance.input_ids.len() > 60)
    );
    let last = run.pass(3 * per_pass - 1).expect("a pass");
    assert_eq!(run.pass(3 * per_pass).expect("a pass"), last + 1);
    assert!([2, 3].contains(&last));
    // The same sentences, masked otherwise: whole samples of two passes hardly ever agree.
    let both = samples[per_pass..2 * per_pass]
        .iter()
        .filter(|sample| samples[..per_pass].contains(sample))
        .count();
    assert!(both < per_pass / 10, "{both}");
    // All sentences are used: without masks, short samples and truncation every token comes back.
    let plain = PretrainOptions {
        short_seq_prob: 0.0,
        objective: Objective::None,
        ..options()
    };
    let whole = PretrainData::of_passes(Arc::clone(&cache), pieces(), plain, stage(0, 2000), 1)
        .expect("data");
    let tokens: usize = all(&whole)
        .iter()
        .map(|instance| instance.input_ids.len() - 2)
        .sum();
    assert_eq!(
        (whole.len() as u64, tokens as u64),
        (cache.documents(), cache.tokens())
    );
}

#[test]
fn objectives() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(folder.path(), &[corpus()]);
    let [cls, sep] = [2, 3];
    for objective in [
        Objective::SentenceOrder,
        Objective::NextSentence,
        Objective::None,
    ] {
        let options = PretrainOptions {
            objective,
            ..options()
        };
        let samples = all(&data(&cache, &options, &[stage(600, 48)]));
        for sample in &samples {
            let ids = &sample.input_ids;
            let masked = |place| {
                sample
                    .masked
                    .iter()
                    .any(|(masked, _)| *masked as usize == place)
            };
            assert!(ids[0] == cls && ids[ids.len() - 1] == sep && ids[sample.second - 1] == sep);
            assert!(!masked(0) && !masked(ids.len() - 1) && !masked(sample.second - 1));
            assert_eq!(objective == Objective::None, sample.second == ids.len());
            assert_eq!(
                objective == Objective::None,
                sample.sentence_order_label.is_none()
            );
        }
        let ones = samples
            .iter()
            .filter(|sample| sample.sentence_order_label == Some(1))
            .count();
        // Half, and samples of one sentence more.
        assert!(
            objective == Objective::None || (260..450).contains(&ones),
            "{objective:?}: {ones}"
        );
    }
}

/// Against the lines of the text itself: both segments are sentences that follow each other, or were swapped, and no other fits.
#[test]
fn whole_sentences_are_not_cut_and_have_no_foreign_segment() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(folder.path(), &[corpus()]);
    let tokenizer = crate::google();
    let text = std::fs::read_to_string(corpus()).expect("text");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let documents: Vec<Vec<Vec<u32>>> = lines
        .split(|line| line.is_empty())
        .map(|document| {
            let ids = document.iter().map(|line| {
                let mut ids = Vec::new();
                tokenizer.encode_ids(line, false, &mut ids);
                ids
            });
            ids.filter(|ids| !ids.is_empty()).collect()
        })
        .collect();
    let room = 48 - 3;
    let options = PretrainOptions {
        whole_sentences: true,
        short_seq_prob: 0.0,
        ..options()
    };
    let run = PretrainData::of_passes(Arc::clone(&cache), pieces(), options, stage(0, 48), 8)
        .expect("data");
    let samples = all(&run);
    let mut swapped = 0;
    for (number, sample) in samples.iter().enumerate() {
        assert_eq!(run.tokens(number), sample.input_ids.len());
        let mut ids = sample.input_ids.clone();
        for &(place, token) in &sample.masked {
            ids[place as usize] = token;
        }
        let mut segments = [
            &ids[1..sample.second - 1],
            &ids[sample.second..ids.len() - 1],
        ];
        if sample.sentence_order_label == Some(1) {
            segments.reverse();
            swapped += 1;
        }
        let tokens = segments[0].len() + segments[1].len();
        assert!(tokens <= room, "{number}");
        let is_there = documents.iter().any(|document| {
            (0..document.len()).any(|start| {
                let ends = |wanted: &[u32], start: usize| {
                    (start + 1..=document.len())
                        .find(|&end| document[start..end].concat() == wanted)
                };
                let end = ends(segments[0], start).and_then(|middle| ends(segments[1], middle));
                end.is_some_and(|end| {
                    document
                        .get(end)
                        .is_none_or(|next| tokens + next.len() > room)
                })
            })
        });
        assert!(is_there, "{number}: {segments:?}");
    }
    let share = f64::from(swapped) / samples.len() as f64;
    assert!(
        (0.4..0.6).contains(&share),
        "{swapped} of {}",
        samples.len()
    );
}

#[test]
fn sentences_that_are_alone_have_no_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("alone.txt");
    std::fs::write(&text, "the river is long\n\nthe city is old\n").expect("written");
    let cache = cache(&folder.path().join("cache"), &[text]);
    let of = |whole_sentences| {
        let options = PretrainOptions {
            whole_sentences,
            ..options()
        };
        data(&cache, &options, &[stage(4, 48)]).instance(0)
    };
    assert!(of(false).is_ok());
    let error = of(true).expect_err("refused").to_string();
    assert!(error.contains("follow each other"), "{error}");
}

#[test]
fn batches_have_labels_where_tokens_are_masked() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(folder.path(), &[corpus()]);
    let run = data(&cache, &options(), &[stage(100, 64)]);
    let (inputs, labels) = run.batch(&[5, 17, 80]).expect("a batch");
    let samples: Vec<Instance> = [5, 17, 80]
        .map(|sample| run.instance(sample).expect("a sample"))
        .to_vec();
    let length = samples
        .iter()
        .map(|sample| sample.input_ids.len())
        .max()
        .expect("three");
    assert_eq!((inputs.batch, inputs.length), (3, length));
    let (ids, types) = (
        inputs.input_ids.expect("ids"),
        inputs.token_type_ids.expect("types"),
    );
    let (mask, tokens) = (
        inputs.attention_mask.expect("a mask"),
        labels.labels.expect("labels"),
    );
    let orders: Vec<i64> = samples
        .iter()
        .map(|sample| i64::from(sample.sentence_order_label.expect("a label")))
        .collect();
    assert_eq!(labels.sentence_order_label.expect("labels"), orders);
    for (b, sample) in samples.iter().enumerate() {
        for s in 0..length {
            let at = b * length + s;
            let inside = s < sample.input_ids.len();
            assert_eq!(
                ids[at],
                if inside {
                    i64::from(sample.input_ids[s])
                } else {
                    0
                }
            );
            assert_eq!(mask[at], f32::from(u8::from(inside)));
            assert_eq!(types[at], i64::from(inside && s >= sample.second));
            let masked = sample.masked.iter().find(|(place, _)| *place as usize == s);
            assert_eq!(
                tokens[at],
                masked.map_or(IGNORE_INDEX, |(_, token)| i64::from(*token))
            );
        }
    }
    let single = data(
        &cache,
        &PretrainOptions {
            objective: Objective::None,
            ..options()
        },
        &[stage(9, 64)],
    );
    assert!(
        single
            .batch(&[0, 1])
            .expect("a batch")
            .1
            .sentence_order_label
            .is_none()
    );
}

#[test]
fn documents_are_held_out() {
    // Every document has words of its own.
    let words = "river window garden mountain engine winter summer letter reader writer teacher painting morning evening because \
                 although often never always quickly slowly which this that before under between over after understanding";
    let text: String = words
        .split(' ')
        .map(|word| format!("{}\n\n", [word; 4].join("\n")))
        .collect();
    let home = crate::common::folder(&[("a.txt", &text)]);
    let cache = cache(&home.path().join("cache"), &[home.path().join("a.txt")]);
    let all_of = |split, objective| {
        let masking = Masking {
            probability: 0.0,
            ..options().masking
        };
        let options = PretrainOptions {
            split,
            objective,
            masking,
            ..options()
        };
        let data = PretrainData::of_passes(Arc::clone(&cache), pieces(), options, stage(0, 32), 3)
            .expect("data");
        all(&data)
    };
    let words = |samples: &[Instance]| -> BTreeSet<u32> {
        samples
            .iter()
            .flat_map(|sample| sample.input_ids.iter().copied())
            .filter(|id| ![2, 3].contains(id))
            .collect()
    };
    let whole = words(&all_of(Split::All, Objective::SentenceOrder));
    for objective in [Objective::SentenceOrder, Objective::NextSentence] {
        let train = words(&all_of(Split::Train(0.3), objective));
        let held = all_of(Split::HeldOut(0.3), objective);
        let held_words = words(&held);
        assert!(train.is_disjoint(&held_words), "{objective:?}");
        assert_eq!(&train | &held_words, whole);
        assert!(held_words.len() > 3 && train.len() > held_words.len());
        // The same again.
        assert_eq!(all_of(Split::HeldOut(0.3), objective), held);
    }
    let options = PretrainOptions {
        split: Split::HeldOut(1e-9),
        ..options()
    };
    let none = PretrainData::new(cache, pieces(), options, vec![stage(10, 32)]);
    assert!(none.expect_err("nothing").to_string().contains("split"));
}

#[test]
fn a_cache_that_goes_away_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(folder.path(), &[corpus()]);
    let run = data(&cache, &options(), &[stage(100, 64)]);
    run.batch(&[0]).expect("a batch");
    for (name, bytes) in crate::files(folder.path()) {
        if name.starts_with("shard-") {
            std::fs::write(folder.path().join(name), &bytes[..bytes.len() / 2]).expect("written");
        }
    }
    let error = run.batch(&[0, 1, 2]).expect_err("cut short").to_string();
    assert!(
        error.contains("shard-") && error.contains("prepare"),
        "{error}"
    );
    let fresh = PretrainData::new(cache, pieces(), options(), vec![stage(100, 64)]).expect("data");
    // The most that it may be.
    assert_eq!(fresh.tokens(3), 64);
    assert!(fresh.batch(&[3]).is_err());
}

#[test]
fn wrong_options_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(folder.path(), &[corpus()]);
    let of = |options: PretrainOptions, stages: &[Stage]| {
        let data = PretrainData::new(Arc::clone(&cache), pieces(), options, stages.to_vec());
        data.expect_err("refused").to_string()
    };
    assert!(of(options(), &[]).contains("stages"));
    assert!(of(options(), &[stage(10, 4)]).contains("max_seq_length"));
    assert!(
        of(
            PretrainOptions {
                short_seq_prob: -0.1,
                ..options()
            },
            &[stage(10, 64)]
        )
        .contains("short_seq_prob")
    );
    let other = albert_train::pretrain::Pieces::of(&crate::common::tokenizer()).expect("pieces");
    let error = PretrainData::new(cache, other, options(), vec![stage(10, 64)])
        .expect_err("another tokenizer");
    assert!(matches!(error, albert_train::Error::Cache { .. }));
}

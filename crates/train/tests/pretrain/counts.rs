//! Distributions against counts of `create_pretraining_data.py` itself (tools/make_pretraining_counts.py).

use std::collections::BTreeMap;

use albert_train::dataset::Dataset;
use albert_train::pretrain::{
    Instance, Masking, Objective, PretrainData, PretrainOptions, Split, Stage,
};
use serde_json::Value;

use crate::common;

/// Sum and sum of squares over passes, by bin.
type Bins = BTreeMap<String, [f64; 2]>;

fn golden() -> Value {
    let path = common::fixtures().join("pretrain/counts.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the golden")).expect("JSON")
}

fn setting(golden: &Value, name: &str) -> (PretrainOptions, Stage, u64, Bins) {
    let setting = &golden["settings"][name];
    let number = |key: &str| setting[key].as_f64().expect("a number");
    let options = PretrainOptions {
        seed: 12345,
        objective: if setting["random_next_sentence"] == true {
            Objective::NextSentence
        } else {
            Objective::SentenceOrder
        },
        short_seq_prob: number("short_seq_prob"),
        whole_sentences: false,
        masking: Masking {
            probability: number("masked_lm_prob"),
            max_ngram: number("ngram") as usize,
            favor_shorter_ngram: setting["favor_shorter_ngram"] == true,
            whole_word: setting["do_whole_word_mask"] == true,
        },
        split: Split::All,
    };
    let stage = Stage {
        samples: 0,
        max_seq_length: number("max_seq_length") as usize,
        max_predictions: number("max_predictions_per_seq") as usize,
    };
    let bins = setting["bins"].as_object().expect("bins").iter();
    let bins = bins.map(|(name, sums)| {
        (
            name.clone(),
            [0, 1].map(|i| sums[i].as_f64().expect("a number")),
        )
    });
    (options, stage, number("passes") as u64, bins.collect())
}

/// `bins` of the tool.
fn count(instance: &Instance, mask: u32, counts: &mut BTreeMap<String, f64>) {
    let mut add = |name: String, by: usize| *counts.entry(name).or_default() += by as f64;
    let length = instance.input_ids.len();
    add("instances".to_owned(), 1);
    add(format!("length {}", length / 4 * 4), 1);
    add(format!("first {}", (instance.second - 2) / 4 * 4), 1);
    add(
        format!("label {}", instance.sentence_order_label.expect("a label")),
        1,
    );
    add(format!("predictions {}", instance.masked.len()), 1);
    add(
        "boundaries".to_owned(),
        instance.boundary.iter().filter(|is| **is).count(),
    );
    (0..length).for_each(|place| add(format!("present {}", place / 4 * 4), 1));
    let mut run = 0usize;
    for (i, &(place, before)) in instance.masked.iter().enumerate() {
        add(format!("masked {}", place / 4 * 4), 1);
        let now = instance.input_ids[place as usize];
        let kind = if now == mask {
            "mask"
        } else if now == before {
            "kept"
        } else {
            "other"
        };
        add(format!("kind {kind}"), 1);
        run += 1;
        if instance
            .masked
            .get(i + 1)
            .is_none_or(|(next, _)| *next != place + 1)
        {
            add(format!("run {}", run.min(7)), 1);
            run = 0;
        }
    }
}

/// The bins of so many passes.
fn passes(options: &PretrainOptions, stage: Stage, passes: u64) -> Bins {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = crate::cache(folder.path(), &[crate::corpus()]);
    let mask = crate::google().mask_token_id().expect("a mask");
    let data = PretrainData::of_passes(cache, crate::pieces(), options.clone(), stage, passes)
        .expect("data");
    let mut counts = vec![BTreeMap::new(); passes as usize];
    for sample in 0..data.len() {
        let pass = data.pass(sample).expect("a pass") as usize;
        let instance = data.instance(sample).expect("a sample");
        assert_eq!(data.tokens(sample), instance.input_ids.len());
        count(&instance, mask, &mut counts[pass]);
    }
    let mut bins = Bins::new();
    for (name, count) in counts.into_iter().flatten() {
        let sums = bins.entry(name).or_default();
        sums[0] += count;
        sums[1] += count * count;
    }
    bins
}

/// The distance of each bin's means in standard errors, for bins that count a hundred times in sum; those that never vary must
/// be equal, and have 0 or infinity.
fn distances(found: &Bins, expected: &Bins, passes: f64) -> Vec<(String, f64)> {
    let names: std::collections::BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let of = |bins: &Bins, name: &String| {
        let [sum, squares] = bins.get(name).copied().unwrap_or_default();
        let mean = sum / passes;
        (
            mean,
            (squares / passes - mean * mean).max(0.0) / (passes - 1.0),
        )
    };
    let distance = |name: &String| {
        let ((a, s), (b, t)) = (of(found, name), of(expected, name));
        if (a + b) * passes < 100.0 {
            return None;
        }
        let difference = (a - b).abs();
        let z = if difference < 1e-9 {
            0.0
        } else {
            difference / (s + t).sqrt()
        };
        Some((name.clone(), z))
    };
    names.into_iter().filter_map(distance).collect()
}

/// Whether the bins agree: none is five standard errors away, and their mean square is that of noise.
fn agree(distances: &[(String, f64)]) -> Result<(), String> {
    let mean = distances.iter().map(|(_, z)| z * z).sum::<f64>() / distances.len() as f64;
    let far: Vec<_> = distances.iter().filter(|(_, z)| *z > 5.0).collect();
    // Bins depend on each other (a longer sample has more of everything), so their mean varies more than that of
    // independent ones, √(2/60) = 0.2 around 1.
    if far.is_empty() && mean < 2.0 {
        Ok(())
    } else {
        Err(format!("mean square {mean:.2}, far: {far:?}"))
    }
}

#[test]
fn documents_are_the_reference_s() {
    let golden = golden();
    let folder = tempfile::tempdir().expect("a folder");
    let cache = crate::cache(folder.path(), &[crate::corpus()]);
    let mut lengths: Vec<Vec<u64>> = (0..cache.documents())
        .map(|document| {
            let sentences = cache.sentences_of(document).expect("sentences");
            sentences
                .iter()
                .map(|sentence| sentence.len() as u64)
                .collect()
        })
        .collect();
    lengths.sort();
    let expected: Vec<Vec<u64>> =
        serde_json::from_value(golden["lengths"].clone()).expect("lengths");
    assert_eq!(lengths, expected);
    assert_eq!(crate::pieces().vocab_size() as u64, golden["vocab_size"]);
}

#[test]
fn distributions_are_the_reference_s() {
    let golden = golden();
    for name in ["order", "next", "tokens"] {
        let (options, stage, count, expected) = setting(&golden, name);
        let distances = distances(&passes(&options, stage, count), &expected, count as f64);
        assert!(distances.len() > 40, "{} bins", distances.len());
        agree(&distances).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
}

#[test]
fn wrong_distributions_are_found() {
    let golden = golden();
    let (options, stage, count, expected) = setting(&golden, "order");
    let changed = |change: &dyn Fn(&mut PretrainOptions)| {
        let mut options = options.clone();
        change(&mut options);
        agree(&distances(
            &passes(&options, stage, count),
            &expected,
            count as f64,
        ))
        .is_err()
    };
    assert!(
        !changed(&|options| options.seed = 99),
        "another seed is no other distribution"
    );
    assert!(changed(&|options| options.short_seq_prob = 0.15));
    assert!(changed(
        &|options| options.masking.favor_shorter_ngram = false
    ));
    assert!(changed(&|options| options.masking.max_ngram = 2));
    assert!(changed(&|options| options.masking.whole_word = false));
    assert!(changed(&|options| options.masking.probability = 0.14));
    assert!(changed(
        &|options| options.objective = Objective::NextSentence
    ));
    let shorter = Stage {
        max_seq_length: 63,
        ..stage
    };
    assert!(
        agree(&distances(
            &passes(&options, shorter, count),
            &expected,
            count as f64
        ))
        .is_err()
    );
}

//! The same text gives the same bits in each precision: alone, anywhere in a batch, with any padding, on any number of
//! threads and on every instruction set. Everything is compared with one run: alone, unpadded, portable code, one thread.
//!
//! Left out, as the guarantee says: a row without any key, and other position_ids. One file, because all of it is one
//! statement about one run.

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/run.rs"]
mod run;
#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "common/toy.rs"]
mod toy;

use std::collections::{BTreeMap, BTreeSet};

use albert::model::Encoded;
use albert::ops::Backend;
use albert::output::Array;
use albert::{
    AlbertConfig, AlbertForPreTraining, Cpu, CpuOptions, Inputs, Keep, LoadOptions, Precision,
};
use albert_kernels::Isa;
use albert_testing::{Random, same_bits};
use run::{ALL, AnyModel, Arrays, Labels};
use tempfile::TempDir;
use toy::{CLASSES, NARROW, RELATIVE, Sizes, WIDE};

const PLAIN: (Precision, Isa) = (Precision::F32, Isa::PORTABLE);
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// A text: token numbers and their types.
#[derive(Clone, Debug)]
struct Text {
    ids: Vec<i64>,
    types: Vec<i64>,
}

fn text(random: &mut Random, config: &AlbertConfig, length: usize) -> Text {
    Text {
        ids: random.ids(length, config.vocab_size),
        types: random.ids(length, config.type_vocab_size),
    }
}

fn cpu(precision: Precision, isa: Isa, threads: usize) -> Cpu {
    Cpu::new(CpuOptions {
        isa,
        threads,
        precision,
    })
    .expect("threads")
}

/// Every instruction set of this machine with 1 and 2 threads, and the best with 7, more than most machines have cores.
fn every_cpu(precision: Precision) -> Vec<(String, Cpu)> {
    let isas = Isa::available().into_iter();
    let mut pairs: Vec<(Isa, usize)> = isas.flat_map(|isa| [(isa, 1), (isa, 2)]).collect();
    pairs.push((Isa::best(), 7));
    pairs
        .into_iter()
        .map(|(isa, threads)| {
            (
                format!("{precision:?} on {} with {threads} threads", isa.name()),
                cpu(precision, isa, threads),
            )
        })
        .collect()
}

fn load(class: &str, folder: &TempDir, cpu: Cpu) -> Box<dyn AnyModel<f32>> {
    let config = run::config(folder.path());
    let loaded = run::load(class, folder.path(), config, cpu, LoadOptions::default());
    loaded.unwrap_or_else(|error| panic!("{class}: {error}")).0
}

/// Texts in a batch: where the tokens of each stand.
struct Batch {
    inputs: Inputs,
    /// Position of token i of text b.
    places: Vec<Vec<usize>>,
}

/// A batch of S columns in which text b stands at `places[b]`, around it noise that the mask hides.
fn batch(
    random: &mut Random,
    config: &AlbertConfig,
    texts: &[Text],
    length: usize,
    places: Vec<Vec<usize>>,
) -> Batch {
    let tokens = texts.len() * length;
    let mut ids = random.ids(tokens, config.vocab_size);
    let mut types = random.ids(tokens, config.type_vocab_size);
    let mut positions = random.ids(tokens, config.max_position_embeddings);
    let mut mask = vec![0.0; tokens];
    for (b, (text, places)) in texts.iter().zip(&places).enumerate() {
        assert_eq!(text.ids.len(), places.len());
        for (i, place) in places.iter().enumerate() {
            let at = b * length + place;
            (ids[at], types[at], positions[at], mask[at]) =
                (text.ids[i], text.types[i], i as i64, 1.0);
        }
    }
    let inputs = Inputs {
        attention_mask: Some(mask),
        token_type_ids: Some(types),
        position_ids: Some(positions),
        choices: Some(1),
        ..Inputs::new(texts.len(), length, ids)
    };
    Batch { inputs, places }
}

/// Text b at the columns `first`, `first` + 1, …
fn run_of_columns(texts: &[Text], first: impl Fn(&Text) -> usize) -> Vec<Vec<usize>> {
    texts
        .iter()
        .map(|text| (first(text)..).take(text.ids.len()).collect())
        .collect()
}

/// The text alone: no mask, no padding, no explicit positions.
fn alone(model: &dyn AnyModel<f32>, text: &Text, keep: Keep) -> BTreeMap<String, Vec<f32>> {
    let length = text.ids.len();
    let inputs = Inputs {
        token_type_ids: Some(text.types.clone()),
        choices: Some(1),
        ..Inputs::new(1, length, text.ids.clone())
    };
    let arrays = model.run(&inputs, &Labels::default(), keep).expect("runs");
    arrays
        .into_iter()
        .map(|(name, array)| (name, array.data))
        .collect()
}

/// What an output has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Text,
    /// A text, by its first token that is not masked, wherever that stands.
    Answer,
    Token,
    Query,
}

fn row_of(name: &str, rank: usize) -> Row {
    match name.split('.').next().unwrap_or(name) {
        "attentions" => Row::Query,
        "last_hidden_state" | "hidden_states" | "prediction_logits" | "start_logits"
        | "end_logits" => Row::Token,
        "logits" if rank == 3 => Row::Token,
        "logits" | "sop_logits" | "pooler_output" => Row::Text,
        "start_top_log_probs"
        | "start_top_index"
        | "end_top_log_probs"
        | "end_top_index"
        | "cls_logits" => Row::Answer,
        other => panic!("unknown output {other}"),
    }
}

/// What an array says of text b, in the form of `alone`; asserts that it says 0 of masked places.
fn part(name: &str, array: &Array<f32>, b: usize, length: usize, places: &[usize]) -> Vec<f32> {
    let Array { shape, data } = array;
    let size = data.len() / shape[0];
    let mut rest = data[b * size..][..size].to_vec();
    let mut found = Vec::new();
    let mut take = |first: usize, count: usize| {
        found.extend_from_slice(&rest[first..][..count]);
        rest[first..][..count].fill(0.0);
    };
    match row_of(name, shape.len()) {
        Row::Text | Row::Answer => take(0, size),
        Row::Token => {
            let cols = size / length;
            places.iter().for_each(|place| take(place * cols, cols));
        }
        Row::Query => {
            for (head, query) in
                (0..shape[1]).flat_map(|head| places.iter().map(move |query| (head, query)))
            {
                for key in places {
                    take((head * length + query) * length + key, 1);
                }
            }
        }
    }
    assert!(
        rest.iter().all(|x| *x == 0.0),
        "{name}: a masked place of text {b} is not 0"
    );
    found
}

/// Compares text by text. `pooled`: position 0 is the text's first token, which is what the pooler reads.
fn compare(
    what: &str,
    arrays: &Arrays<f32>,
    batch: &Batch,
    alone: &[BTreeMap<String, Vec<f32>>],
    pooled: bool,
) {
    assert_eq!(batch.places.len(), alone.len());
    let names: BTreeSet<&String> = arrays.iter().map(|(name, _)| name).collect();
    for (b, (places, alone)) in batch.places.iter().zip(alone).enumerate() {
        assert!(names.iter().copied().eq(alone.keys()), "{what}: {names:?}");
        for (name, array) in arrays {
            let mut found = part(name, array, b, batch.inputs.length, places);
            let expected = &alone[name];
            let is_position = name.ends_with("_index");
            if is_position {
                // Counted in the batch, where alone it is counted in the text; 0 too where there is no further candidate.
                for x in &mut found {
                    let place = places.iter().position(|place| *place == *x as usize);
                    assert!(place.is_some() || *x == 0.0, "{what} {name}: {x}");
                    *x = place.unwrap_or(0) as f32;
                }
            }
            if pooled || row_of(name, array.shape.len()) != Row::Text {
                same_bits(&found, expected)
                    .unwrap_or_else(|error| panic!("{what}, text {b}, {name}: {error}"));
            }
            assert!(
                (is_position || expected.iter().any(|x| *x != 0.0))
                    && expected.iter().all(|x| x.is_finite()),
                "{what} {name}"
            );
        }
    }
}

/// [`every_cpu`] in groups of equal bits, each with an instruction set that gives them: AMX adds bfloat16 in its own order.
fn alike(precision: Precision) -> Vec<(Isa, Vec<(String, Cpu)>)> {
    let of_its_own = |name: &str| precision == Precision::Bf16 && name.contains(" amx ");
    let (own, others): (Vec<_>, Vec<_>) = every_cpu(precision)
        .into_iter()
        .partition(|(name, _)| of_its_own(name));
    let mut groups = vec![(Isa::PORTABLE, others)];
    groups.extend(Isa::from_name("amx").map(|amx| (amx, own)));
    groups
}

/// Of each text, its arrays by name.
type Expected = Vec<BTreeMap<String, Vec<f32>>>;

/// Each text alone on one thread.
fn baseline(
    class: &str,
    folder: &TempDir,
    texts: &[Text],
    keep: Keep,
    (precision, isa): (Precision, Isa),
) -> Expected {
    let model = load(class, folder, cpu(precision, isa, 1));
    texts
        .iter()
        .map(|text| alone(&*model, text, keep))
        .collect()
}

/// [`every_cpu`], with what each must give for the texts.
fn with_baselines(
    class: &str,
    folder: &TempDir,
    texts: &[Text],
    precision: Precision,
) -> Vec<(String, Cpu, Expected)> {
    let groups = alike(precision).into_iter();
    let with_expected = groups.flat_map(|(isa, cpus)| {
        let expected = baseline(class, folder, texts, ALL, (precision, isa));
        let cpus = cpus.into_iter();
        cpus.map(move |(name, cpu)| (name, cpu, expected.clone()))
    });
    with_expected.collect()
}

/// The arrangements of some texts in a batch, by name, and whether position 0 is a text's own.
fn arrangements(
    random: &mut Random,
    config: &AlbertConfig,
    texts: &[Text],
) -> Vec<(&'static str, Batch, bool)> {
    let longest = texts
        .iter()
        .map(|text| text.ids.len())
        .max()
        .expect("texts");
    let mut arrange =
        |name, length, places, pooled| (name, batch(random, config, texts, length, places), pooled);
    let every_third = |first: usize| -> Vec<Vec<usize>> {
        texts
            .iter()
            .map(|text| (0..text.ids.len()).map(|i| first + i + i / 3 * 2).collect())
            .collect()
    };
    vec![
        arrange(
            "padded on the right",
            longest,
            run_of_columns(texts, |_| 0),
            true,
        ),
        arrange(
            "padded further",
            longest + 9,
            run_of_columns(texts, |_| 0),
            true,
        ),
        arrange(
            "padded on the left",
            longest,
            run_of_columns(texts, |text| longest - text.ids.len()),
            false,
        ),
        arrange(
            "padded on both sides",
            longest + 5,
            run_of_columns(texts, |_| 3),
            false,
        ),
        arrange("with holes", longest * 2, every_third(0), true),
        arrange(
            "with holes after padding",
            longest * 2 + 1,
            every_third(1),
            false,
        ),
    ]
}

/// Texts of 1 to 40 tokens, all different, in no order.
fn ragged(random: &mut Random, config: &AlbertConfig, count: usize) -> Vec<Text> {
    let mut lengths: Vec<usize> = (0..count).map(|i| 1 + i * 39 / count.max(2)).collect();
    for i in (1..count).rev() {
        lengths.swap(i, random.below(i + 1));
    }
    lengths
        .into_iter()
        .map(|length| text(random, config, length))
        .collect()
}

fn all_classes(sizes: Sizes, precision: Precision) {
    let mut random = Random::new(11);
    for class in CLASSES {
        let folder = sizes.folder(class);
        let config = sizes.config(class);
        let texts = ragged(&mut random, &config, 6);
        let arrangements = arrangements(&mut random, &config, &texts);
        for (name, cpu, expected) in with_baselines(class, &folder, &texts, precision) {
            let model = load(class, &folder, cpu);
            let alone_here: Vec<_> = texts.iter().map(|text| alone(&*model, text, ALL)).collect();
            for (b, (found, expected)) in alone_here.iter().zip(&expected).enumerate() {
                for (array, expected) in expected {
                    same_bits(&found[array], expected).unwrap_or_else(|error| {
                        panic!("{class} on {name}, text {b} alone, {array}: {error}")
                    });
                }
            }
            for (how, batch, pooled) in &arrangements {
                let arrays = model
                    .run(&batch.inputs, &Labels::default(), ALL)
                    .expect("runs");
                compare(
                    &format!("{class} on {name} {how}"),
                    &arrays,
                    batch,
                    &expected,
                    *pooled,
                );
            }
        }
    }
}

#[test]
fn all_narrow_classes() {
    for precision in PRECISIONS {
        all_classes(NARROW, precision);
    }
}

#[test]
fn all_wide_classes() {
    for precision in PRECISIONS {
        all_classes(WIDE, precision);
    }
}

/// 64 ragged texts; then in another order, so that each stands elsewhere.
#[test]
fn anywhere_in_a_batch_of_64() {
    let classes = [(NARROW, "AlbertForPreTraining"), (WIDE, "AlbertModel")];
    for ((sizes, class), precision) in classes
        .into_iter()
        .flat_map(|class| PRECISIONS.map(|precision| (class, precision)))
    {
        let mut random = Random::new(5);
        let folder = sizes.folder(class);
        let config = sizes.config(class);
        let texts = ragged(&mut random, &config, 64);
        for (name, cpu, expected) in with_baselines(class, &folder, &texts, precision) {
            let model = load(class, &folder, cpu);
            for turn in [0, 31] {
                let (mut texts, mut expected) = (texts.clone(), expected.clone());
                texts.rotate_left(turn);
                expected.rotate_left(turn);
                let longest = texts
                    .iter()
                    .map(|text| text.ids.len())
                    .max()
                    .expect("texts");
                let batch = batch(
                    &mut random,
                    &config,
                    &texts,
                    longest,
                    run_of_columns(&texts, |_| 0),
                );
                let arrays = model
                    .run(&batch.inputs, &Labels::default(), ALL)
                    .expect("runs");
                compare(
                    &format!("{class} on {name} turned by {turn}"),
                    &arrays,
                    &batch,
                    &expected,
                    true,
                );
            }
        }
    }
}

/// Several blocks of queries, several chains of keys.
#[test]
fn long_texts() {
    for sizes in [NARROW, WIDE] {
        let class = "AlbertForPreTraining";
        let mut random = Random::new(23);
        let folder = sizes.folder(class);
        let config = sizes.config(class);
        let texts: Vec<Text> = [300, 1, 129, 257]
            .map(|length| text(&mut random, &config, length))
            .into();
        let expected = baseline(class, &folder, &texts, ALL, PLAIN);
        for (name, cpu) in every_cpu(Precision::F32) {
            let model = load(class, &folder, cpu);
            for (how, length, pooled) in [
                ("padded on the right", 320, true),
                ("padded on the left", 320, false),
            ] {
                let places =
                    run_of_columns(
                        &texts,
                        |text| if pooled { 0 } else { length - text.ids.len() },
                    );
                let batch = batch(&mut random, &config, &texts, length, places);
                let arrays = model
                    .run(&batch.inputs, &Labels::default(), ALL)
                    .expect("runs");
                compare(&format!("{name} {how}"), &arrays, &batch, &expected, pooled);
            }
        }
    }
}

/// Relative positions count from 0 whatever position_ids says: padding on the right only, holes never.
#[test]
fn relative_positions() {
    let class = "AlbertForPreTraining";
    let mut random = Random::new(8);
    let folder = RELATIVE.folder(class);
    let config = RELATIVE.config(class);
    let texts = ragged(&mut random, &config, 12);
    let expected = baseline(class, &folder, &texts, ALL, PLAIN);
    for (name, cpu) in every_cpu(Precision::F32) {
        let model = load(class, &folder, cpu);
        for length in [40, 64] {
            let batch = batch(
                &mut random,
                &config,
                &texts,
                length,
                run_of_columns(&texts, |_| 0),
            );
            let arrays = model
                .run(&batch.inputs, &Labels::default(), ALL)
                .expect("runs");
            compare(
                &format!("{name} padded to {length}"),
                &arrays,
                &batch,
                &expected,
                true,
            );
        }
    }
}

/// What is kept besides, and whether there are labels, changes no bit; nor does a label at a masked place, which keeps
/// rows that would be dropped.
#[test]
fn keeping_and_labels() {
    let mut random = Random::new(2);
    for class in CLASSES {
        let folder = NARROW.folder(class);
        let config = NARROW.config(class);
        let texts = ragged(&mut random, &config, 5);
        let mut expected = baseline(class, &folder, &texts, Keep::default(), PLAIN);
        let model = load(class, &folder, cpu(Precision::F32, Isa::best(), 2));
        let batch = batch(
            &mut random,
            &config,
            &texts,
            45,
            run_of_columns(&texts, |_| 0),
        );
        let per_token = matches!(
            class,
            "AlbertForPreTraining" | "AlbertForMaskedLM" | "AlbertForTokenClassification"
        );
        let labels = Labels {
            whole: Some(vec![
                if class == "AlbertForMultipleChoice" {
                    0
                } else {
                    1
                };
                if per_token { 5 * 45 } else { 5 }
            ]),
            order: Some(vec![0, 1, 0, 1, -100]),
            answer: Some(match class {
                // An answer may stand in [CLS], or in a second text.
                "AlbertForJointQuestionAnswering" => (vec![0; 5], vec![0; 5]),
                _ => (vec![1; 5], vec![44; 5]),
            }),
            impossible: Some(vec![true; 5]),
            real: None,
        };
        for keep in [
            Keep::default(),
            Keep {
                hidden_states: true,
                attentions: false,
            },
            Keep {
                hidden_states: false,
                attentions: true,
            },
        ] {
            for labels in [&Labels::default(), &labels] {
                let mut arrays = model.run(&batch.inputs, labels, keep).expect("runs");
                let loss = arrays
                    .iter()
                    .position(|(name, _)| name == "loss")
                    .map(|at| arrays.remove(at));
                assert_eq!(
                    loss.is_some(),
                    labels.whole.is_some() && class != "AlbertModel",
                    "{class}"
                );
                assert!(
                    loss.is_none_or(|(_, loss)| loss.shape.is_empty() && loss.data[0].is_finite())
                );
                arrays.retain(|(name, _)| expected[0].contains_key(name));
                compare(class, &arrays, &batch, &expected, true);
            }
        }
        // The comparison sees a single bit.
        let value = expected[3]
            .values_mut()
            .next()
            .expect("an array")
            .last_mut()
            .expect("an element");
        *value = f32::from_bits(value.to_bits() ^ 1);
        let arrays = model
            .run(&batch.inputs, &Labels::default(), Keep::default())
            .expect("runs");
        let seen = std::panic::catch_unwind(|| compare(class, &arrays, &batch, &expected, true));
        assert!(seen.is_err(), "{class}: one bit is not seen");
    }
}

/// A loss is the same bits on every processor.
#[test]
fn losses() {
    let mut random = Random::new(31);
    let class = "AlbertForPreTraining";
    let folder = WIDE.folder(class);
    let config = WIDE.config(class);
    let texts = ragged(&mut random, &config, 6);
    let batch = batch(
        &mut random,
        &config,
        &texts,
        41,
        run_of_columns(&texts, |_| 0),
    );
    let labels = Labels {
        whole: Some(random.ids(6 * 41, config.vocab_size)),
        order: Some(vec![0, 1, 1, 0, 1, 0]),
        ..Labels::default()
    };
    let mut first = None;
    for (name, cpu) in every_cpu(Precision::F32) {
        let arrays = load(class, &folder, cpu)
            .run(&batch.inputs, &labels, Keep::default())
            .expect("runs");
        let loss = arrays
            .iter()
            .find(|(name, _)| name == "loss")
            .expect("a loss")
            .1
            .data[0];
        assert!(loss.is_finite() && loss > 1.0, "{name}: {loss}");
        assert_eq!(
            first.get_or_insert(loss).to_bits(),
            loss.to_bits(),
            "{name}"
        );
    }
}

/// A last layer that is computed for a few rows has the bits of those rows in the whole.
#[test]
fn rows_that_are_read() {
    let class = "AlbertForPreTraining";
    let mut random = Random::new(7);
    for (sizes, precision) in [NARROW, WIDE]
        .into_iter()
        .flat_map(|sizes| PRECISIONS.map(|precision| (sizes, precision)))
    {
        let (folder, config) = (sizes.folder(class), sizes.config(class));
        let texts = ragged(&mut random, &config, 5);
        let columns = run_of_columns(&texts, |_| 0);
        let Batch { inputs, places } = batch(&mut random, &config, &texts, 45, columns);
        let last = |b: usize| (b, places[b][places[b].len() - 1]);
        let asked = [last(3), (1, 0), last(1), last(1)];
        // The pooler reads the first of each text.
        let read: BTreeSet<_> = (0..5).map(|b| (b, 0)).chain(asked).collect();
        for (name, cpu) in every_cpu(precision) {
            let loaded =
                AlbertForPreTraining::from_pretrained(folder.path(), cpu, LoadOptions::default());
            let (model, _) = loaded.expect("loads");
            let values = |buffer: &<Cpu as Backend>::Buffer| model.device().values(buffer);
            let (packed, whole) = model.encode(&inputs).expect("runs");
            let (_, some) = model.encode_at(&inputs, &asked).expect("runs");
            let rows = some.reads.some().expect("not all rows");
            let found: Vec<_> = rows.iter().map(|&row| packed.rows[row as usize]).collect();
            assert_eq!(found, Vec::from_iter(read.iter().copied()), "{name}");
            let (hidden, all, h) = (
                values(&some.hidden),
                values(&whole.hidden),
                config.hidden_size,
            );
            assert_eq!(hidden.len(), read.len() * h, "{name}");
            for (row, found) in rows.iter().zip(hidden.chunks_exact(h)) {
                same_bits(found, &all[*row as usize * h..][..h])
                    .unwrap_or_else(|error| panic!("{name}, row {row}: {error}"));
            }
            let pooled = |encoded: &Encoded<Cpu>| values(encoded.pooled.as_ref().expect("pooled"));
            same_bits(&pooled(&some), &pooled(&whole))
                .unwrap_or_else(|error| panic!("{name}, pooled: {error}"));
        }
    }
}

/// Threads of the caller that share one processor, or models that do, do not disturb each other.
#[test]
fn many_callers_at_once() {
    let class = "AlbertForPreTraining";
    for (sizes, threads) in [(NARROW, 1), (NARROW, 2), (WIDE, 3)] {
        let folder = sizes.folder(class);
        let config = sizes.config(class);
        let shared = cpu(Precision::F32, Isa::best(), threads);
        let model = load(class, &folder, shared.clone());
        std::thread::scope(|scope| {
            for caller in 0..6 {
                let (folder, config, model, shared) = (&folder, &config, &*model, shared.clone());
                scope.spawn(move || {
                    let mut random = Random::new(100 + caller);
                    // Half of the callers share the model, half have one of their own on the same processor.
                    let own = (caller % 2 == 1).then(|| load(class, folder, shared));
                    let model = own.as_deref().unwrap_or(model);
                    let texts = ragged(&mut random, config, 4);
                    let expected = baseline(class, folder, &texts, ALL, PLAIN);
                    for round in 0..8 {
                        let length = 40 + round * 3;
                        let batch = batch(
                            &mut random,
                            config,
                            &texts,
                            length,
                            run_of_columns(&texts, |_| 0),
                        );
                        let arrays = model
                            .run(&batch.inputs, &Labels::default(), ALL)
                            .expect("runs");
                        compare(
                            &format!("caller {caller}, round {round}"),
                            &arrays,
                            &batch,
                            &expected,
                            true,
                        );
                    }
                });
            }
        });
    }
}

/// Factors of the heads: the same for every text of a batch.
#[test]
fn head_masks() {
    let class = "AlbertModel";
    let folder = NARROW.folder(class);
    let config = NARROW.config(class);
    let mut random = Random::new(77);
    let texts = ragged(&mut random, &config, 7);
    let mask = Some(random.values(3 * 2, 0.5, 0.5));
    let reference = load(class, &folder, cpu(Precision::F32, Isa::PORTABLE, 1));
    let expected: Vec<BTreeMap<String, Vec<f32>>> = texts
        .iter()
        .map(|text| {
            let inputs = Inputs {
                token_type_ids: Some(text.types.clone()),
                head_mask: mask.clone(),
                ..Inputs::new(1, text.ids.len(), text.ids.clone())
            };
            let arrays = reference
                .run(&inputs, &Labels::default(), ALL)
                .expect("runs");
            arrays
                .into_iter()
                .map(|(name, array)| (name, array.data))
                .collect()
        })
        .collect();
    for (name, cpu) in every_cpu(Precision::F32) {
        let model = load(class, &folder, cpu);
        for (how, mut batch, pooled) in arrangements(&mut random, &config, &texts) {
            batch.inputs.head_mask = mask.clone();
            let arrays = model
                .run(&batch.inputs, &Labels::default(), ALL)
                .expect("runs");
            compare(&format!("{name} {how}"), &arrays, &batch, &expected, pooled);
        }
    }
}

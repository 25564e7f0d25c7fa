//! Answers are chosen from logits as transformers' `utils_qa.py` chooses them: the same texts, scores and probabilities.

mod common;

use albert_train::tasks::squad::{
    AnswerChoice, Question, SquadFile, Window, answers, write_predictions,
};
use common::Random;
use serde_json::Value;

/// Questions of tools/make_task_fixtures.py: contexts `w0 w1 …`, windows of 12 words that share 4, logits that all differ.
fn questions(seed: u64, count: usize) -> (SquadFile, Vec<Window>, Vec<[Vec<f64>; 2]>) {
    let mut r = Random(seed);
    let (mut file, mut windows, mut logits) = (SquadFile::default(), Vec::new(), Vec::new());
    for q in 0..count {
        let words = 1 + r.below(30) as usize;
        let list: Vec<String> = (0..words).map(|i| format!("w{i}")).collect();
        let mut places = Vec::new();
        let mut at = 0;
        for word in &list {
            places.push(Some((at, at + word.len())));
            at += word.len() + 1;
        }
        file.questions.push(Question {
            id: format!("q{q}"),
            question: String::new(),
            context: q,
            answers: Vec::new(),
        });
        file.contexts.push(list.join(" "));
        let mut first = 0;
        loop {
            let mut offsets = vec![None; 4];
            offsets.extend(&places[first..words.min(first + 12)]);
            offsets.push(None);
            let mut draw = || -> Vec<f64> {
                let order = r.shuffled(offsets.len());
                order.into_iter().map(|x| (x as f64 - 6.0) / 2.0).collect()
            };
            logits.push([draw(), draw()]);
            windows.push(Window {
                question: q,
                offsets,
                answer: (0, 0),
            });
            if first + 12 >= words {
                break;
            }
            first += 8;
        }
    }
    (file, windows, logits)
}

#[test]
fn answers_are_those_of_transformers() {
    let Value::Array(cases) = common::json("answers.json") else {
        panic!("a list");
    };
    let mut compared = 0;
    for case in cases {
        let number = |name: &str| case[name].as_u64().expect("a number") as usize;
        let (file, windows, logits) = questions(number("seed") as u64, number("count"));
        let choice = AnswerChoice {
            n_best_size: number("n_best"),
            max_answer_length: number("longest"),
            no_answer: case["null"] == true,
            null_score_diff_threshold: case["threshold"].as_f64().expect("a number"),
        };
        let found = answers(&file, &windows, &logits, &choice);
        let expected = case["expected"].as_array().expect("answers");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.text, expected["text"].as_str().expect("a text"));
            assert_eq!(Some(found.null_odds), expected["odds"].as_f64());
            let best = expected["best"].as_array().expect("candidates");
            assert_eq!(found.candidates.len(), best.len(), "{expected}");
            for (found, best) in found.candidates.iter().zip(best) {
                assert_eq!(best[0], found.text);
                assert_eq!(best[1].as_f64(), Some(found.start_logit));
                let probability = best[2].as_f64().expect("a number");
                // The reference computes its softmax in f32.
                assert!((found.probability - probability).abs() < 1e-6, "{expected}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 340);
}

#[test]
fn files_are_laid_out_as_those_of_run_qa() {
    let (file, windows, logits) = questions(1, 2);
    let choice = AnswerChoice {
        n_best_size: 2,
        no_answer: true,
        ..AnswerChoice::default()
    };
    let found = answers(&file, &windows, &logits, &choice);
    let folder = tempfile::tempdir().expect("a folder");
    write_predictions(folder.path(), "eval_", &file, &found, true).expect("written");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file");
    let expected = format!(
        "{{\n    \"q0\": {:?},\n    \"q1\": {:?}\n}}\n",
        found[0].text, found[1].text
    );
    assert_eq!(read("eval_predictions.json"), expected);
    let best: Value = serde_json::from_str(&read("eval_nbest_predictions.json")).expect("JSON");
    let keys: Vec<&String> = best["q1"][0]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(keys, ["start_logit", "end_logit", "text", "probability"]);
    assert_eq!(
        best["q0"].as_array().map(Vec::len),
        Some(found[0].candidates.len())
    );
    let odds: Value = serde_json::from_str(&read("eval_null_odds.json")).expect("JSON");
    assert_eq!(odds["q1"].as_f64(), Some(found[1].null_odds));
}

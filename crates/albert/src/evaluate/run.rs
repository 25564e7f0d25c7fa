//! A model over the examples of its task.

use std::path::Path;

use super::{Example, Examples, Metric, Texts, Unit};
use crate::error::{Error, Result};
use crate::metrics;
use crate::ops::Backend;
use crate::pipeline::{
    AnswerOptions, Apply, Choose, ChooseOptions, Classify, ClassifyOptions, FillMask, Label,
    Limits, Long, QuestionAnswering, Results, Tag,
};

/// Examples that are encoded at once.
const AT_ONCE: usize = 1024;

pub(super) fn run<B: Backend>(
    folder: &Path,
    device: B,
    examples: &Examples,
) -> Result<Vec<Metric>> {
    match examples {
        Examples::Classes(list) => classes(&Classify::from_pretrained(folder, device)?.0, list),
        Examples::Values(list) => values(&Classify::from_pretrained(folder, device)?.0, list),
        Examples::Tags(list) => tags(&Tag::from_pretrained(folder, device)?.0, list),
        Examples::Answers(list) => {
            answers(&QuestionAnswering::from_pretrained(folder, device)?.0, list)
        }
        Examples::Choices(list) => choices(&Choose::from_pretrained(folder, device)?.0, list),
        Examples::Texts(list) => texts(&FillMask::from_pretrained(folder, device)?.0, list),
    }
}

/// The outputs for a list in pieces; the first error names its example.
fn outputs<I, T>(list: &[I], answer: impl Fn(&[I]) -> Result<Results<T>>) -> Result<Vec<T>> {
    let mut outputs = Vec::with_capacity(list.len());
    for piece in list.chunks(AT_ONCE) {
        for result in answer(piece)? {
            let index = outputs.len();
            let answer = result.map_err(|source| Error::Example {
                index,
                source: Box::new(source),
            })?;
            outputs.push(answer.output);
        }
    }
    Ok(outputs)
}

/// The likeliest label of each text with its score.
fn first_labels<B: Backend, L>(
    model: &Classify<B>,
    list: &[Example<Texts, L>],
    apply: Option<Apply>,
) -> Result<Vec<Label>> {
    let options = ClassifyOptions {
        apply,
        top_k: Some(1),
        limits: Limits::long(Long::Truncate),
    };
    let labels = outputs(list, |piece| {
        let texts: Vec<_> = piece
            .iter()
            .map(|example| (example.input.0.as_str(), example.input.1.as_deref()))
            .collect();
        model.run_batch(&texts, &options)
    })?;
    Ok(labels
        .into_iter()
        .map(|mut labels| labels.remove(0))
        .collect())
}

fn classes<B: Backend>(model: &Classify<B>, list: &[Example<Texts, usize>]) -> Result<Vec<Metric>> {
    let config = model.model().config();
    let predicted: Vec<usize> = first_labels(model, list, None)?
        .iter()
        .map(|label| config.label_id(&label.label).unwrap_or_default())
        .collect();
    let expected: Vec<usize> = list.iter().map(|example| example.label).collect();
    let mut metrics = vec![Metric::points(
        "accuracy",
        metrics::accuracy(&predicted, &expected),
    )];
    if config.num_labels() == 2 {
        metrics.push(Metric::points("f1", metrics::f1(&predicted, &expected, 1)));
        // 0 by convention where one side is constant; but then it says nothing about the answers.
        let constant = |list: &[usize]| list.iter().all(|class| *class == list[0]);
        let matthews = if constant(&predicted) || constant(&expected) {
            f64::NAN
        } else {
            metrics::matthews(&predicted, &expected)
        };
        metrics.push(Metric::points("matthews", matthews));
    }
    Ok(metrics)
}

fn values<B: Backend>(model: &Classify<B>, list: &[Example<Texts, f64>]) -> Result<Vec<Metric>> {
    let labels = first_labels(model, list, Some(Apply::None))?;
    let predicted: Vec<f64> = labels.iter().map(|label| label.score).collect();
    let expected: Vec<f64> = list.iter().map(|example| example.label).collect();
    Ok(vec![
        Metric::points("pearson", metrics::pearson(&predicted, &expected)),
        Metric::points("spearman", metrics::spearman(&predicted, &expected)),
    ])
}

fn tags<B: Backend>(
    model: &Tag<B>,
    list: &[Example<Vec<String>, Vec<usize>>],
) -> Result<Vec<Metric>> {
    let names = &model.model().config().id2label;
    let limits = Limits::long(Long::Slide);
    let labels = outputs(list, |piece| {
        let sentences: Vec<Vec<&str>> = piece
            .iter()
            .map(|example| example.input.iter().map(String::as_str).collect())
            .collect();
        model.label_words(&sentences, &limits)
    })?;
    let name = |&number: &usize| names[number].as_str();
    let expected: Vec<Vec<&str>> = list
        .iter()
        .map(|example| example.label.iter().map(name).collect())
        .collect();
    // A word without tokens is nothing that the model saw.
    let predicted: Vec<Vec<&str>> = labels
        .iter()
        .map(|labels| {
            labels
                .iter()
                .map(|label| label.as_ref().map_or("O", name))
                .collect()
        })
        .collect();
    let (words, right) = (predicted.concat(), expected.concat());
    let scheme = names
        .iter()
        .any(|name| name.starts_with("B-") || name.starts_with("I-"));
    let f1 = if scheme {
        Metric::points("entity f1", metrics::entity_f1(&predicted, &expected))
    } else {
        Metric::points("micro f1", metrics::micro_f1(&words, &right))
    };
    Ok(vec![
        Metric::points("accuracy", metrics::accuracy(&words, &right)),
        f1,
    ])
}

fn answers<B: Backend>(
    model: &QuestionAnswering<B>,
    list: &[Example<(String, String), Vec<String>>],
) -> Result<Vec<Metric>> {
    let options = AnswerOptions {
        // As SQuAD 2.0, where some questions have no answer.
        no_answer: list.iter().any(|example| example.label.is_empty()),
        max_answer_tokens: 30,
        ..AnswerOptions::default()
    };
    let answers = outputs(list, |piece| {
        let pairs: Vec<_> = piece
            .iter()
            .map(|example| (example.input.0.as_str(), example.input.1.as_str()))
            .collect();
        model.run_batch(&pairs, &options)
    })?;
    let mean = |measure: fn(&str, &[String]) -> f64| {
        let of = |(found, example): (&Vec<_>, &Example<_, Vec<String>>)| {
            let text = found
                .first()
                .map_or("", |span: &crate::pipeline::AnswerSpan| &span.answer);
            measure(text, &example.label)
        };
        answers.iter().zip(list).map(of).sum::<f64>() / list.len() as f64
    };
    Ok(vec![
        Metric::points("exact match", mean(metrics::exact_match)),
        Metric::points("f1", mean(metrics::answer_f1)),
    ])
}

fn choices<B: Backend>(
    model: &Choose<B>,
    list: &[Example<(String, Vec<String>), usize>],
) -> Result<Vec<Metric>> {
    let options = ChooseOptions {
        limits: Limits::long(Long::Truncate),
    };
    let chosen = outputs(list, |piece| {
        let questions: Vec<(&str, Vec<&str>)> = piece
            .iter()
            .map(
                |Example {
                     input: (text, choices),
                     ..
                 }| {
                    (text.as_str(), choices.iter().map(String::as_str).collect())
                },
            )
            .collect();
        model.run_batch(&questions, &options)
    })?;
    let predicted: Vec<usize> = chosen.iter().map(|choice| choice.choice).collect();
    let expected: Vec<usize> = list.iter().map(|example| example.label).collect();
    Ok(vec![Metric::points(
        "accuracy",
        metrics::accuracy(&predicted, &expected),
    )])
}

fn texts<B: Backend>(model: &FillMask<B>, list: &[String]) -> Result<Vec<Metric>> {
    let limits = Limits::long(Long::Truncate);
    let guesses = outputs(list, |piece| model.guess(piece, &limits))?;
    let hidden: usize = guesses.iter().map(|one| one.hidden).sum();
    if hidden == 0 {
        return Err(Error::input(
            "texts",
            "enough words that some are hidden",
            "too few; give more text",
        ));
    }
    let right: usize = guesses.iter().map(|one| one.right).sum();
    let loss: f64 = guesses.iter().map(|one| one.loss).sum();
    Ok(vec![
        Metric {
            name: "loss",
            value: loss / hidden as f64,
            unit: Unit::Loss,
        },
        Metric::points("accuracy", right as f64 / hidden as f64),
    ])
}

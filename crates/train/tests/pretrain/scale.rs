//! Speed and memory with text of any size: not part of `make test`, which has no such text.
//!
//! `PRETRAIN_TEXT=FILE,FILE,… PRETRAIN_FOLDER=DIR PRETRAIN_TOKENIZER=DIR cargo test -p albert-train --test pretrain
//! scale -- --ignored --nocapture` prepares the files into DIR and makes samples. Run it under `ulimit -v` to bound its memory.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use albert_tokenizer::{AlbertTokenizer, LoadOptions};
use albert_train::dataset::Dataset;
use albert_train::pretrain::{
    Pieces, PrepareOptions, PretrainData, PretrainOptions, Stage, prepare,
};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see the head of this file"))
}

#[test]
#[ignore = "needs text; see the head of the file"]
fn measure() {
    let files: Vec<PathBuf> = variable("PRETRAIN_TEXT")
        .split(',')
        .map(PathBuf::from)
        .collect();
    let tokenizer =
        AlbertTokenizer::from_pretrained(variable("PRETRAIN_TOKENIZER"), LoadOptions::default());
    let tokenizer = tokenizer.expect("a tokenizer");
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = PrepareOptions {
        threads,
        ..PrepareOptions::new(files)
    };
    let start = Instant::now();
    let mut bytes = 0;
    let prepared = prepare(
        Path::new(&variable("PRETRAIN_FOLDER")),
        &tokenizer,
        &options,
        &mut |progress| {
            bytes = progress.text_bytes;
            ControlFlow::Continue(())
        },
    );
    let cache = Arc::new(prepared.expect("a cache").cache);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "prepared {:.1} MB of text in {seconds:.1} s on {threads} threads: {:.1} MB/s; {} documents, {} sentences, {} tokens",
        bytes as f64 / 1e6,
        bytes as f64 / 1e6 / seconds,
        cache.documents(),
        cache.sentences(),
        cache.tokens()
    );
    for (max_seq_length, max_predictions) in [(128, 20), (512, 77)] {
        let stage = Stage {
            samples: 1 << 40,
            max_seq_length,
            max_predictions,
        };
        let pieces = Pieces::of(&tokenizer).expect("pieces");
        let data = PretrainData::new(
            Arc::clone(&cache),
            pieces,
            PretrainOptions::google(1),
            vec![stage],
        )
        .expect("data");
        let start = Instant::now();
        data.tokens(0);
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{max_seq_length} tokens: index in {seconds:.2} s, {:.1} M sentences/s",
            cache.sentences() as f64 / 1e6 / seconds
        );
        let (start, mut tokens, count) = (Instant::now(), 0, 20_000);
        for first in (0..count).step_by(32) {
            let samples: Vec<usize> = (first..first + 32).collect();
            let (inputs, _) = data.batch(&samples).expect("a batch");
            tokens += inputs.batch * inputs.length;
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{max_seq_length} tokens: {:.0} samples/s, {:.1} M tokens/s on one thread",
            count as f64 / seconds,
            tokens as f64 / 1e6 / seconds
        );
    }
}

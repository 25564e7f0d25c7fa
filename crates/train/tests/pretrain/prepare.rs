//! Caches of tokens: forms of text, refusals, interruptions.

use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use albert_train::Error;
use albert_train::pretrain::{PrepareOptions, Prepared, TokenCache, prepare};

use crate::{common, files, google};

fn go(folder: &Path, options: &PrepareOptions) -> albert_train::Result<Prepared> {
    prepare(folder, &google(), options, &mut |_| {
        ControlFlow::Continue(())
    })
}

fn small(files: Vec<PathBuf>) -> PrepareOptions {
    PrepareOptions {
        shard_bytes: 1500,
        ..PrepareOptions::new(files)
    }
}

fn sentences(cache: &TokenCache) -> Vec<Vec<Vec<u32>>> {
    (0..cache.documents())
        .map(|document| cache.sentences_of(document).expect("sentences"))
        .collect()
}

#[test]
fn sentences_are_those_of_the_tokenizer() {
    let text = "\n\nThe river.\n  A window \r\n\n \t \nParis.\nthe mountain\n";
    let home = common::folder(&[("a.txt", text), ("b.txt", "engine\n\n"), ("c.txt", "\n\n")]);
    let paths = ["a.txt", "b.txt", "c.txt"].map(|name| home.path().join(name));
    let cache = go(
        &home.path().join("cache"),
        &PrepareOptions::new(paths.to_vec()),
    )
    .expect("a cache")
    .cache;
    let ids = |text: &str| {
        let mut ids = Vec::new();
        google().encode_ids(text, false, &mut ids);
        ids
    };
    let expected = [
        vec![ids("The river."), ids("A window")],
        vec![ids("Paris."), ids("the mountain")],
        vec![ids("engine")],
    ];
    assert_eq!(sentences(&cache), expected);
    assert_eq!((cache.documents(), cache.sentences()), (3, 5));
    assert_eq!(
        cache.tokens(),
        expected.iter().flatten().map(Vec::len).sum::<usize>() as u64
    );
    assert_eq!(cache.files(), ["a.txt", "b.txt", "c.txt"]);
    assert!(cache.sentences_of(3).is_err());

    // Paragraphs.
    let home = common::folder(&[("a.txt", "The river. A window! paris\n")]);
    let options = PrepareOptions {
        split_sentences: true,
        ..PrepareOptions::new(vec![home.path().join("a.txt")])
    };
    let cache = go(&home.path().join("cache"), &options)
        .expect("a cache")
        .cache;
    assert_eq!(
        sentences(&cache),
        [[ids("The river."), ids("A window! paris")]]
    );
}

#[test]
fn compressed_text_and_any_number_of_threads_and_shards_give_the_same() {
    let home = tempfile::tempdir().expect("a folder");
    let text = std::fs::read(crate::corpus()).expect("the corpus");
    let gz = home.path().join("corpus.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        std::fs::File::create(&gz).expect("a file"),
        flate2::Compression::fast(),
    );
    encoder.write_all(&text).expect("written");
    encoder.finish().expect("written");
    let zst = home.path().join("corpus.zst");
    let compressed =
        ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
    std::fs::write(&zst, compressed).expect("written");
    let plain = go(
        &home.path().join("plain"),
        &PrepareOptions::new(vec![crate::corpus()]),
    )
    .expect("a cache")
    .cache;
    let expected = sentences(&plain);
    for (i, file) in [gz, zst, crate::corpus()].into_iter().enumerate() {
        let options = PrepareOptions {
            threads: NonZeroUsize::new(i + 1).expect("1"),
            ..small(vec![file])
        };
        let cache = go(&home.path().join(i.to_string()), &options)
            .expect("a cache")
            .cache;
        assert_eq!(sentences(&cache), expected);
    }
    assert!(files(&home.path().join("2")).len() > 6, "several shards");
}

#[test]
fn a_document_longer_than_two_shards_is_cut() {
    let home = common::folder(&[("a.txt", &"The river.\n".repeat(1000))]);
    let options = PrepareOptions {
        shard_bytes: 1000,
        ..PrepareOptions::new(vec![home.path().join("a.txt")])
    };
    let cache = go(&home.path().join("cache"), &options)
        .expect("a cache")
        .cache;
    assert_eq!((cache.sentences(), cache.documents()), (1000, 5));
}

#[test]
fn what_was_stopped_goes_on() {
    let home = tempfile::tempdir().expect("a folder");
    let copy = home.path().join("second.txt");
    std::fs::copy(crate::corpus(), &copy).expect("a copy");
    let options = small(vec![crate::corpus(), copy]);
    let whole = home.path().join("whole");
    assert_eq!(go(&whole, &options).expect("a cache").reused_shards, 0);
    let expected = files(&whole);
    let pieces = home.path().join("pieces");
    let mut stops = 0;
    let reused = loop {
        let mut blocks = 0;
        let result = prepare(&pieces, &google(), &options, &mut |_| {
            blocks += 1;
            if blocks > 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        match result {
            Ok(prepared) => break prepared.reused_shards,
            Err(Error::Stopped) => stops += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(
            matches!(TokenCache::open(&pieces), Err(Error::Data { .. })),
            "no cache before it is complete"
        );
        // What a kill leaves.
        std::fs::write(pieces.join(".albert-x.tmp"), "half").expect("written");
    };
    assert!(
        stops > 2 && reused > 4,
        "{stops} stops, {reused} shards reused"
    );
    assert_eq!(files(&pieces), expected);

    // All is there: nothing is done.
    let mut told = 0;
    let again = prepare(&pieces, &google(), &options, &mut |_| {
        told += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(
        (again.expect("the cache").reused_shards, told),
        (expected.len() as u64 - 2, 0)
    );

    // A shard that was damaged is made again.
    let path = pieces.join("shard-00002.tokens");
    let mut bytes = std::fs::read(&path).expect("a shard");
    bytes.truncate(200);
    std::fs::write(&path, bytes).expect("written");
    assert!(
        TokenCache::open(&pieces)
            .expect_err("damaged")
            .to_string()
            .contains("shard-00002.tokens")
    );
    assert_eq!(go(&pieces, &options).expect("a cache").reused_shards, 2);
    assert_eq!(files(&pieces), expected);
}

#[test]
fn another_cache_is_refused_or_replaced() {
    let home = common::folder(&[("a.txt", "The river.\n"), ("b.txt", "The window.\n")]);
    let (a, b) = (home.path().join("a.txt"), home.path().join("b.txt"));
    let folder = home.path().join("cache");
    let made =
        |options: &PrepareOptions| go(&folder, options).map(|prepared| prepared.cache.tokens());
    let first = PrepareOptions::new(vec![a.clone()]);
    made(&first).expect("a cache");
    let before = files(&folder);
    let refused = |options: PrepareOptions, what: &str| {
        let message = made(&options).expect_err("another cache").to_string();
        assert!(
            message.contains(what) && message.contains("rebuild"),
            "{message}"
        );
        assert_eq!(files(&folder), before);
    };
    refused(
        PrepareOptions {
            split_sentences: true,
            ..first.clone()
        },
        "split_sentences is false, wanted is true",
    );
    refused(
        PrepareOptions {
            shard_bytes: 7,
            ..first.clone()
        },
        "shard_bytes",
    );
    refused(PrepareOptions::new(vec![b.clone()]), "b.txt (12 bytes");
    refused(
        PrepareOptions::new(vec![a.clone(), b.clone()]),
        "number of files is 1, wanted is 2",
    );
    let other = prepare(&folder, &common::tokenizer(), &first, &mut |_| {
        ControlFlow::Continue(())
    });
    assert!(
        other
            .expect_err("another tokenizer")
            .to_string()
            .contains("tokenizer is")
    );
    let cache = TokenCache::open(&folder).expect("the cache");
    cache.check(&google()).expect("its tokenizer");
    assert!(matches!(
        cache.check(&common::tokenizer()),
        Err(Error::Cache { .. })
    ));
    // Who reads keeps others from replacing it.
    let rebuild = PrepareOptions {
        rebuild: true,
        ..PrepareOptions::new(vec![b])
    };
    assert!(
        made(&rebuild)
            .expect_err("in use")
            .to_string()
            .contains("nobody else")
    );
    drop(cache);
    made(&rebuild).expect("another cache");
    assert_ne!(files(&folder), before);

    // The same text with another time is the same; other text of the same size is not.
    let rebuild = PrepareOptions {
        rebuild: true,
        ..first.clone()
    };
    made(&rebuild).expect("the first again");
    std::fs::write(&a, "The river.\n").expect("written");
    made(&first).expect("the same text");
    std::fs::write(&a, "The rivet.\n").expect("written");
    assert!(
        made(&first)
            .expect_err("other text")
            .to_string()
            .contains("a.txt (11 bytes")
    );
}

#[test]
fn folders_and_files_that_are_something_else_are_refused() {
    let home = common::folder(&[
        ("mine/letter.txt", "dear"),
        ("empty.txt", "\n \n"),
        ("bad.txt", "ok\n\u{1}"),
    ]);
    let message = |folder: &str, files: &[&str]| {
        let files = files.iter().map(|name| home.path().join(name)).collect();
        let options = PrepareOptions {
            rebuild: false,
            ..PrepareOptions::new(files)
        };
        go(&home.path().join(folder), &options)
            .expect_err("refused")
            .to_string()
    };
    assert!(message("mine", &["empty.txt"]).contains("letter.txt"));
    assert!(message("cache", &[]).contains("at least one"));
    assert!(message("cache", &["none.txt"]).contains("cannot open"));
    assert!(message("cache", &["mine"]).contains("regular files"));
    assert!(message("cache2", &["empty.txt"]).contains("sentences that the tokenizer"));
    std::fs::write(home.path().join("bad.txt"), b"ok\nab\xff\n").expect("written");
    assert!(message("cache3", &["bad.txt"]).contains("bad.txt, line 2"));
    assert!(home.path().join("mine/letter.txt").exists());
    let open = TokenCache::open(&home.path().join("mine"))
        .expect_err("no cache")
        .to_string();
    assert!(open.contains("manifest.json"), "{open}");
}

//! A preparation that is killed at any moment and goes on gives the bytes of one that was not.

use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::time::Duration;

use albert_testing::Random;
use albert_train::pretrain::{PrepareOptions, TokenCache, prepare};

use crate::{files, google};

const SHARDS: usize = 30;

fn options() -> PrepareOptions {
    PrepareOptions {
        shard_bytes: 1000,
        ..PrepareOptions::new(vec![crate::corpus(); 6])
    }
}

#[test]
#[ignore = "the process that `killed_by_the_system` kills"]
fn child() {
    let folder = std::env::var_os("CACHE_FOLDER").expect("started by the other test");
    let result = prepare(folder.as_ref(), &google(), &options(), &mut |_| {
        std::thread::sleep(Duration::from_millis(15));
        ControlFlow::Continue(())
    });
    result.expect("a cache");
}

#[test]
fn killed_by_the_system() {
    let home = tempfile::tempdir().expect("a folder");
    let (whole, pieces) = (home.path().join("whole"), home.path().join("pieces"));
    prepare(&whole, &google(), &options(), &mut |_| {
        ControlFlow::Continue(())
    })
    .expect("a cache");
    let expected = files(&whole);
    assert!(expected.len() > SHARDS, "{}", expected.len());
    let mut random = Random::new(11);
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--ignored", "--exact", "killed::child"])
            .env("CACHE_FOLDER", &pieces)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("a process");
        let wait = if kills < 40 {
            5 + random.below(100)
        } else {
            60_000
        };
        let mut waited = 0;
        while waited < wait && child.try_wait().expect("a process").is_none() {
            std::thread::sleep(Duration::from_millis(1));
            waited += 1;
        }
        if let Some(status) = child.try_wait().expect("a process") {
            assert!(status.success());
            break;
        }
        child.kill().expect("a kill");
        child.wait().expect("an end");
        kills += 1;
        assert!(TokenCache::open(&pieces).is_err() || files(&pieces) == expected);
    }
    assert!(kills > 3, "{kills} kills");
    assert_eq!(files(&pieces), expected, "after {kills} kills");
}

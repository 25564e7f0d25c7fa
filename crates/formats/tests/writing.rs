//! Writing: complete or not at all, and refusals.

mod common;

use albert_formats::{Checkpoint, Dtype, FormatError, write_atomically, write_safetensors};
use common::{names, nothing, refused, spec, write_one};
use std::{fs, path::Path};

#[test]
fn an_error_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_one(&path, spec("x", Dtype::F32, &[2]), |sink| {
        sink.write_f32(&[1.0, 2.0])
    })
    .expect("written");
    let before = fs::read(&path).expect("read");

    let large = vec![0.5; 1 << 20];
    let shape = [large.len() + 1];
    let fails: [&dyn Fn() -> Result<(), FormatError>; 4] = [
        &|| {
            write_one(&path, spec("x", Dtype::F32, &shape), |sink| {
                sink.write_f32(&large)
            })
        },
        &|| {
            write_one(&path, spec("x", Dtype::F32, &[]), |sink| {
                sink.write_f32(&[1.0, 2.0])
            })
        },
        &|| {
            write_one(&path, spec("x", Dtype::F16, &[1]), |sink| {
                sink.write_f32(&[1e9])
            })
        },
        &|| {
            write_one(&path, spec("x", Dtype::F32, &[1]), |_| {
                Err(FormatError::NoCheckpoint {
                    folder: "source".into(),
                })
            })
        },
    ];
    for fail in fails {
        fail().expect_err("refused");
        assert_eq!(fs::read(&path).expect("read"), before);
        assert_eq!(names(folder.path()), ["model.safetensors"]);
    }
    refused(
        fails[0](),
        &[
            r#"tensor "x""#,
            "has 1048577 elements, 1048576 were supplied",
        ],
    );
    refused(
        fails[1](),
        &["model.safetensors", "has 1 elements, 2 were supplied"],
    );
    refused(fails[3](), &["no checkpoint in source"]);
}

#[test]
fn a_panic_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let panicked = std::panic::catch_unwind(|| {
        write_one(&path, spec("x", Dtype::F32, &[2]), |_| {
            panic!("in the caller")
        })
    });
    assert!(panicked.is_err());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_swallowed_refusal_is_not_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let result = write_one(&path, spec("x", Dtype::F16, &[2]), |sink| {
        let _ = sink.write_f32(&[1e9, 1.0]);
        Ok(())
    });
    refused(result, &["has 2 elements, 0 were supplied"]);
}

#[test]
fn what_cannot_be_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let write = |specs: &[_]| {
        write_safetensors(&path, &nothing(), specs, |_, _| {
            panic!("refused before the first tensor")
        })
    };
    let one: &[usize] = &[1];
    let twice = [
        spec("x", Dtype::F32, one),
        spec("y", Dtype::I8, one),
        spec("x", Dtype::U8, one),
    ];
    refused(
        write(&twice),
        &["model.safetensors", r#"two tensors are named "x""#],
    );
    refused(
        write(&[spec("__metadata__", Dtype::F32, one)]),
        &["no tensor may be named __metadata__"],
    );
    refused(
        write(&[spec("x", Dtype::F32, &[usize::MAX, 2])]),
        &[r#"tensor "x""#, "overflows"],
    );
    let halves: &[usize] = &[usize::MAX / 8];
    let sum: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        .map(|n| spec(n, Dtype::U8, halves))
        .into();
    refused(write(&sum), &[r#"tensor "i""#, "overflow"]);
    let other = Dtype::from_name("U64").expect("listed");
    refused(
        write(&[spec("x", other, one)]),
        &[r#"tensor "x" is U64, which is not written"#],
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_missing_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("absent/model.safetensors");
    let result = write_one(&path, spec("x", Dtype::F32, &[]), |sink| {
        sink.write_f32(&[1.0])
    });
    refused(result, &["cannot create", "absent/model.safetensors"]);
    refused(
        write_atomically(&path, b"{}"),
        &["cannot create", "absent/model.safetensors"],
    );
}

#[test]
fn a_failed_rename_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("taken");
    fs::create_dir_all(path.join("inside")).expect("made");
    refused(write_atomically(&path, b"{}"), &["cannot replace", "taken"]);
    assert_eq!(names(folder.path()), ["taken"]);
}

#[test]
fn files_replace_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.json");
    for contents in [&b"{}"[..], b"", b"{\"a\": 1}\n"] {
        write_atomically(&path, contents).expect("written");
        assert_eq!(fs::read(&path).expect("read"), contents);
    }
    assert_eq!(names(folder.path()), ["config.json"]);
}

#[test]
#[cfg(unix)]
fn others_may_read_what_we_write() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, plain) = (folder.path().join("ours"), folder.path().join("plain"));
    write_atomically(&path, b"x").expect("written");
    fs::write(&plain, b"x").expect("written");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(&path), mode(&plain), "the process's umask decides");
}

#[test]
fn an_empty_checkpoint_and_the_order_of_tensors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &nothing(), &[], |_, _| Ok(())).expect("written");
    assert_eq!(
        fs::read(&path).expect("read"),
        b"\x08\0\0\0\0\0\0\0{}      "
    );
    assert_eq!(Checkpoint::open(&path).expect("valid").tensors().len(), 0);

    let specs = [
        ("b", Dtype::U8),
        ("z", Dtype::F32),
        ("c", Dtype::BF16),
        ("a", Dtype::F32),
    ];
    let specs = specs.map(|(name, dtype)| spec(name, dtype, &[3]));
    let mut order = Vec::new();
    write_safetensors(&path, &nothing(), &specs, |spec, sink| {
        order.push(spec.name.to_owned());
        if spec.dtype == Dtype::U8 {
            sink.write_i64(&[1, 2, 3])
        } else {
            sink.write_f64(&[1.0, 2.0, 3.0])
        }
    })
    .expect("written");
    assert_eq!(order, ["a", "z", "c", "b"]);
    let once = fs::read(&path).expect("read");
    assert_eq!(once[..8], 224_u64.to_le_bytes());
    assert_eq!(once.len(), 8 + 224 + 12 + 12 + 6 + 3);
}

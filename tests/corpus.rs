//! Replays what fuzzing started from and what it found, without libFuzzer: see `fuzz/src/lib.rs`.
#![cfg(feature = "cli")]

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a package of its own, with its own lints")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Bytes of corpus and regressions that a checkout can bear.
const CORPUS_BYTES: u64 = 2 << 20;

#[test]
fn corpus_and_regressions_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let (mut failed, mut bytes) = (Vec::new(), 0);
    for (target, body) in fuzz::TARGETS {
        let mut count = 0;
        for folder in ["corpus", "regressions"] {
            let Ok(files) = fs::read_dir(root.join(folder).join(target)) else { continue };
            for file in files {
                let path = file.expect("a folder that can be read").path();
                let input = fs::read(&path).expect("a file that can be read");
                (count, bytes) = (count + 1, bytes + input.len() as u64);
                if catch_unwind(|| body(&input)).is_err() {
                    failed.push(path);
                }
            }
        }
        assert!(count > 0, "{target} has a corpus");
    }
    assert!(failed.is_empty(), "{failed:#?}");
    // What a local run of cargo fuzz added is not counted against the checkout.
    assert!(bytes < CORPUS_BYTES || std::env::var_os("CI").is_none(), "{bytes} bytes of corpus");
}

#[test]
fn every_target_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut programs: Vec<String> = fs::read_dir(root)
        .expect("a folder that can be read")
        .map(|file| file.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    programs.sort();
    let mut listed: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.0).collect();
    listed.sort_unstable();
    assert_eq!(programs, listed);
}

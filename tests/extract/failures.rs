//! What cannot be written.

use std::fs;

use mptcp_inspect::extract::ExtractError;

use crate::files::{WAYS, manifest, sha256};
use crate::traffic::{crowd, track};

/// A folder is in the way of one file. What is kept and what is said of it does not depend on when the failure shows.
#[test]
fn a_failure_leaves_the_same_however_far_the_analysis_has_come() {
    let (packets, streams) = crowd(80, 300);
    let mut left = Vec::new();
    for new in [WAYS[0], WAYS[1], WAYS[0], WAYS[0], WAYS[0]] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("conn-70-client_to_server.bin")).expect("a folder");
        fs::write(directory.path().join("conn-75-client_to_server.bin"), "of an earlier run").expect("a file");
        let mut extractor = new(directory.path());
        let tracker = track(&packets, &mut extractor);
        let Err(ExtractError::Write { path, kept, .. }) = extractor.finish(&tracker) else { panic!("no error") };
        assert!(path.ends_with("conn-70-client_to_server.bin"), "{}", path.display());
        let manifest = manifest(directory.path());
        assert!(manifest["error"].as_str().is_some_and(|error| error.contains("conn-70-")));
        let entries = manifest["streams"].as_array().expect("streams").clone();
        assert!((1..70).contains(&entries.len()), "those that had begun: {}", entries.len());
        assert_eq!(kept.streams, entries.len() as u64);
        for entry in &entries {
            let number = entry["connection"].as_u64().expect("a number") as usize;
            let file = fs::read(directory.path().join(entry["file"].as_str().expect("a name"))).expect("the file");
            assert_eq!(entry["bytes"], file.len());
            assert!(!file.is_empty() && streams[number - 1].starts_with(&file), "stream {number} differs");
            assert_eq!((&entry["complete"], &entry["missing_bytes"]), (&false.into(), &0.into()));
            assert!(entry["sha256"].is_null() || entry["sha256"] == sha256(&file), "stream {number}");
        }
        left.push(entries);
    }
    assert!(left.iter().all(|entries| entries == &left[0]), "{left:?}");
}

/// Files are cut short by a limit on their size, as a full disk would: the report is printed all the same.
#[cfg(all(unix, feature = "cli"))]
#[test]
fn a_full_disk_is_told_and_costs_only_what_did_not_fit() {
    let manifests = [(); 3].map(|()| extract_to_a_full_disk());
    assert!(manifests.iter().all(|manifest| *manifest == manifests[0]), "{manifests:?}");
}

#[cfg(all(unix, feature = "cli"))]
fn extract_to_a_full_disk() -> serde_json::Value {
    let directory = tempfile::tempdir().expect("a directory");
    let into = directory.path().join("streams");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/captures/v1-01-single/client-e1.pcap");
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" -F table --extract \"$1\" \"$2\""])
        .args([env!("CARGO_BIN_EXE_mptcp-inspect"), into.to_str().expect("UTF-8"), capture])
        .output()
        .expect("sh");
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stdout.is_empty(), "the report");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(message.contains("cannot write") && message.contains("kept in"), "{message}");
    let mut manifest = manifest(&into);
    // It names the folder.
    assert!(manifest["error"].take().as_str().is_some_and(|error| error.contains("cannot write")));
    let streams = manifest["streams"].as_array().expect("streams");
    for stream in streams {
        let size = fs::metadata(into.join(stream["file"].as_str().expect("a name"))).expect("the file").len();
        assert_eq!((&stream["bytes"], &stream["missing_bytes"]), (&size.into(), &0.into()));
    }
    assert!(streams.iter().any(|stream| stream["sha256"].is_null() && stream["complete"] == false));
    manifest
}

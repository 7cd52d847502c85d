//! What cannot be written.

/// Files are cut short by a limit on their size, as a full disk would: the report is printed all the same.
#[cfg(all(unix, feature = "cli"))]
#[test]
fn a_full_disk_is_told_and_costs_only_what_did_not_fit() {
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
    let manifest = std::fs::read(into.join("manifest.json")).expect("the manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert!(manifest["error"].as_str().is_some_and(|error| error.contains("cannot write")));
    let streams = manifest["streams"].as_array().expect("streams");
    for stream in streams {
        let size = std::fs::metadata(into.join(stream["file"].as_str().expect("a name"))).expect("the file").len();
        assert_eq!((&stream["bytes"], &stream["missing_bytes"]), (&size.into(), &0.into()));
    }
    assert!(streams.iter().any(|stream| stream["sha256"].is_null() && stream["complete"] == false));
}

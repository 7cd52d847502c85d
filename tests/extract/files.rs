//! Files and their manifest.

use mptcp_inspect::crypto::{Suite, identify};
use std::fs;
use std::path::Path;

use mptcp_inspect::extract::Extractor;

use crate::traffic::{Packet, Plan, SERVER_KEY, crowd, handshakes, mapping, noise, track, traffic};

/// With threads and without.
pub(crate) const WAYS: [fn(&Path) -> Extractor; 2] = [
    |directory| Extractor::new(directory, &[]).expect("a directory"),
    |directory| Extractor::without_threads(directory, &[]).expect("a directory"),
];

pub(crate) fn sha256(bytes: &[u8]) -> String {
    mptcp_inspect::wire::Hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes)).to_string()
}

/// The manifest as it is in a directory.
pub(crate) fn manifest(directory: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(directory.join("manifest.json")).expect("the manifest")).expect("JSON")
}

#[test]
fn files_and_manifest() {
    let directory = tempfile::tempdir().expect("a directory");
    let plan = Plan { len: 3000, cuts: vec![1000, 1001, 2500], subflow: 1, reinjected: true, corrupted: Some(7) };
    let (mut data, stream) = traffic(&[plan.clone(), Plan { subflow: 0, reinjected: false, ..plan }], true, 1);
    let mut packets = handshakes(true, 2);
    packets.append(&mut data);
    let name = directory.path().join("conn-1-client_to_server.bin");
    fs::write(&name, "of an earlier run").expect("a file");
    let mut extractor = Extractor::new(directory.path(), &[]).expect("a directory");
    let tracker = track(&packets, &mut extractor);
    let extracted = extractor.finish(&tracker).expect("written");
    assert_eq!((extracted.streams, extracted.bytes, extracted.incomplete), (1, 6000, 1), "no DATA_FIN was sent");
    assert_eq!(fs::read(name).expect("the file"), stream);
    let manifest = fs::read(directory.path().join("manifest.json")).expect("the manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let entry = &manifest["streams"][0];
    assert_eq!(entry["file"], "conn-1-client_to_server.bin");
    assert_eq!(entry["sha256"], mptcp_inspect::wire::Hex(&<sha2::Sha256 as sha2::Digest>::digest(&stream)).to_string());
    for (field, expected) in [("bytes", 6000), ("verified_bytes", 6000), ("missing_bytes", 0), ("wrong_bytes", 0)] {
        assert_eq!(entry[field], expected, "{field}");
    }
    assert_eq!(entry["differing_bytes"], 1);
    assert_eq!(entry["client"], "10.0.0.1:40000");
}

/// The manifest's entries of what the packets carry, and the first file.
fn extract(packets: &[Packet]) -> (Vec<serde_json::Value>, Vec<u8>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut extractor = Extractor::new(directory.path(), &[]).expect("a directory");
    let tracker = track(packets, &mut extractor);
    extractor.finish(&tracker).expect("written");
    let read = |name: &str| fs::read(directory.path().join(name)).expect("a file");
    let manifest: serde_json::Value = serde_json::from_slice(&read("manifest.json")).expect("JSON");
    let entries = manifest["streams"].as_array().expect("a list").clone();
    let file = entries.first().map(|entry| read(entry["file"].as_str().expect("a name")));
    (entries, file.unwrap_or_default())
}

#[test]
fn what_a_join_carried_before_its_connection_showed_is_told() {
    let mut first = handshakes(false, 1);
    let join = first.split_off(3);
    let early = mapping(1, 1, 0, b"0123456789", &[], false);
    let late = mapping(0, 1, 10, b"abcdef", &[], false);
    let again = mapping(0, 7, 0, b"0123456789", &[], false);
    // Bytes carried before, bytes missing.
    let told = |entry: &serde_json::Value| {
        assert_eq!(entry["complete"], false, "no DATA_FIN was sent");
        ["before_connection_bytes", "missing_bytes"].map(|field| entry[field].as_u64())
    };

    let late_first = [join.clone(), early.clone(), first.clone(), late.clone()].concat();
    let (entries, file) = extract(&late_first);
    assert_eq!(told(&entries[0]), [Some(10), Some(10)]);
    assert_eq!(entries[0]["holes"], serde_json::json!([{ "offset": 0, "length": 10 }]));
    assert_eq!(file, b"\0\0\0\0\0\0\0\0\0\0abcdef");

    // Sent again on a path whose connection is known, they are there.
    let (entries, file) = extract(&[late_first, again].concat());
    assert_eq!(told(&entries[0]), [Some(10), Some(0)]);
    assert_eq!(file, b"0123456789abcdef");

    // Nothing else was sent: the stream is listed all the same.
    let (entries, file) = extract(&[join.clone(), early.clone(), first.clone()].concat());
    assert_eq!(told(&entries[0])[0], Some(10));
    assert_eq!((entries.len(), file.len()), (1, 0));

    // In the usual order nothing is said.
    let (entries, file) = extract(&[first, join, early, late].concat());
    assert_eq!(told(&entries[0]), [None, Some(0)]);
    assert_eq!(file, b"0123456789abcdef");
}

#[test]
fn only_what_was_asked_for_is_kept() {
    let mut packets = handshakes(false, 0);
    packets.extend(mapping(0, 1, 0, b"some bytes", &[], false));
    let token = identify(Suite::Sha256, SERVER_KEY).token;
    for (filter, streams) in [("1", 1), ("2", 0), (&token.to_string(), 1), ("00000000", 0)] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut extractor =
            Extractor::new(directory.path(), &[filter.parse().expect("a filter")]).expect("a directory");
        let tracker = track(&packets, &mut extractor);
        assert_eq!(extractor.finish(&tracker).expect("written").streams, streams, "{filter}");
        let files = fs::read_dir(directory.path()).expect("the directory").count();
        assert_eq!(files as u64, streams + 1, "{filter}: files and a manifest");
    }
}

#[test]
fn more_streams_at_once_than_files_may_be_open() {
    let (packets, streams) = crowd(90, 4);
    for new in WAYS {
        let directory = tempfile::tempdir().expect("a directory");
        let mut extractor = new(directory.path());
        let tracker = track(&packets, &mut extractor);
        let extracted = extractor.finish(&tracker).expect("written");
        assert_eq!((extracted.streams, extracted.bytes), (90, 90 * 4000));
        let manifest = manifest(directory.path());
        for (index, stream) in streams.iter().enumerate() {
            let entry = &manifest["streams"][index];
            assert_eq!(entry["connection"], index + 1);
            let file = fs::read(directory.path().join(entry["file"].as_str().expect("a name"))).expect("the file");
            assert!(&file == stream, "stream {index} differs");
            assert_eq!(entry["sha256"], sha256(stream), "stream {index}");
        }
    }
}

/// What was written a moment ago may be in a block that is being filled, in one under way, or in the file.
#[test]
fn late_copies_are_compared_wherever_the_bytes_are() {
    const STEP: usize = 50_000;
    let stream = noise(40 * STEP, 1);
    let (mut packets, mut again, mut expected) = (handshakes(false, 1), 1, Vec::new());
    for (step, payload) in stream.chunks(STEP).enumerate() {
        packets.extend(mapping(0, (step * STEP) as u32 + 1, step * STEP, payload, &[20_000, 40_000], false));
        // Of the newest, the oldest, and one between: another byte each time.
        for distance in [0, step / 2, step] {
            let offset = (step - distance) * STEP + 3 * step + usize::from(distance > 0);
            let mut copy = stream[offset..offset + 1000].to_vec();
            copy[1] ^= 0xff;
            packets.extend(mapping(1, again, offset, &copy, &[], false));
            again += 1000;
            expected.push(serde_json::json!({ "offset": offset + 1, "length": 1 }));
        }
    }
    for new in WAYS {
        let directory = tempfile::tempdir().expect("a directory");
        let mut extractor = new(directory.path());
        let tracker = track(&packets, &mut extractor);
        extractor.finish(&tracker).expect("written");
        let entry = &manifest(directory.path())["streams"][0];
        assert_eq!(entry["differing"].as_array(), Some(&expected));
        assert_eq!(entry["sha256"], sha256(&stream));
    }
}

#[test]
fn zeros_for_a_hole_are_hashed_as_they_are_in_the_file() {
    let stream = noise(700_000, 1);
    let mut packets = handshakes(false, 0);
    for (index, payload) in stream.chunks(10_000).enumerate().filter(|(index, _)| !(20..55).contains(index)) {
        packets.extend(mapping(0, index as u32 * 10_000 + 1, index * 10_000, payload, &[], false));
    }
    let with_hole = [&stream[..200_000], &vec![0; 350_000], &stream[550_000..]].concat();
    for new in WAYS {
        let directory = tempfile::tempdir().expect("a directory");
        let mut extractor = new(directory.path());
        let tracker = track(&packets, &mut extractor);
        extractor.finish(&tracker).expect("written");
        assert!(fs::read(directory.path().join("conn-1-client_to_server.bin")).expect("the file") == with_hole);
        let entry = &manifest(directory.path())["streams"][0];
        assert_eq!(entry["holes"], serde_json::json!([{ "offset": 200_000, "length": 350_000 }]));
        assert_eq!(entry["sha256"], sha256(&with_hole));
    }
}

/// As where standard output is closed: the analysis ends without a manifest.
#[test]
fn what_was_taken_is_written_even_without_an_end() {
    let (packets, streams) = crowd(3, 400);
    for new in WAYS {
        let directory = tempfile::tempdir().expect("a directory");
        let mut extractor = new(directory.path());
        track(&packets, &mut extractor);
        drop(extractor);
        for (index, stream) in streams.iter().enumerate() {
            let name = format!("conn-{}-client_to_server.bin", index + 1);
            assert!(&fs::read(directory.path().join(name)).expect("the file") == stream, "stream {index} differs");
        }
    }
}

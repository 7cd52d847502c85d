//! A device that was captured on both sides, in one file: the report says what it says of a capture on each side, where these
//! prove that something between them changed what passed. What they say is judged elsewhere, against what is known of them.

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mptcp_inspect::capture::{InterfaceInfo, Merge, OpenOptions, PcapngWriter, Source, open};
use mptcp_inspect::frame::{Frame, FrameId};
use serde_json::Value;
use support::{file_name, folders, list, report, text};

const SIDES: [&str; 2] = ["near", "far"];

/// Two captures as one file with two interfaces. Gives the frames' numbers there.
fn as_one(captures: &[PathBuf], to: &Path) -> HashMap<FrameId, u64> {
    let sources = captures.iter().enumerate();
    let sources = sources.map(|(input, path)| open(path, input as u16, &OpenOptions::default()).expect("a capture"));
    let mut frames = Merge::new(sources.collect());
    let mut writer = PcapngWriter::new(Vec::new()).expect("memory");
    let mut numbers = HashMap::new();
    while frames.advance().expect("a merge has no errors") {
        let frame = frames.frame();
        let interface = |name: &str| InterfaceInfo { name: Some(name.to_owned()), link: frame.link, snaplen: 0 };
        let frame = Frame { interface: frame.id.input, ..frame };
        writer.frame(&frame, &SIDES.map(interface)).expect("memory");
        numbers.insert(frame.id, numbers.len() as u64 + 1);
    }
    std::fs::write(to, writer.into_inner()).expect("a place to write");
    numbers
}

/// What a report on both captures says, in the words of one on both as one: frames by their number there, interfaces for files.
fn translated(value: &Value, captures: &[PathBuf], numbers: &HashMap<FrameId, u64>) -> Value {
    let again = |value: &Value| translated(value, captures, numbers);
    match value {
        Value::String(word) => {
            if let Some(at) = captures.iter().position(|path| path.as_os_str() == word.as_str()) {
                return SIDES[at].into();
            }
            let frame = word.split_once('#').and_then(|(input, number)| {
                let input: u16 = input.parse().ok()?;
                numbers.get(&FrameId { input: input - 1, number: number.parse().ok()? })
            });
            frame.map_or_else(|| value.clone(), |&number| number.into())
        }
        Value::Array(values) => values.iter().map(again).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), again(value))).collect(),
        other => other.clone(),
    }
}

/// Takes out what names frames and inputs in sentences, and the interfaces of subflows; of a name, what tells interfaces of one
/// side apart.
fn without_words(mut value: Value) -> Value {
    match &mut value {
        Value::Array(values) => values.iter_mut().for_each(|value| *value = without_words(value.take())),
        Value::Object(fields) => {
            for name in ["message", "advice", "interfaces"] {
                fields.remove(name);
            }
            // Frames in the order of the numbers that they have here.
            if let Some(Value::Array(frames)) = fields.get_mut("frames") {
                frames.sort_by_key(Value::as_u64);
            }
            fields.values_mut().for_each(|value| *value = without_words(value.take()));
        }
        Value::String(word) => {
            if let Some((side, _)) = word.split_once(':').filter(|(side, _)| SIDES.contains(side)) {
                value = side.into();
            }
        }
        _ => {}
    }
    value
}

/// Fails where the two are not the same, and tells where.
fn differ(one: &Value, two: &Value, at: &str) {
    match (one, two) {
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            one.iter().zip(two).enumerate().for_each(|(index, (one, two))| differ(one, two, &format!("{at}/{index}")));
        }
        (Value::Object(one), Value::Object(two)) if one.keys().eq(two.keys()) => {
            one.iter().for_each(|(name, one)| differ(one, &two[name], &format!("{at}/{name}")));
        }
        _ => assert_eq!(one, two, "{at}"),
    }
}

fn ids(connection: &Value) -> Vec<&str> {
    list(&connection["findings"]).iter().map(|finding| text(&finding["id"])).collect()
}

#[test]
fn a_file_with_both_sides_of_a_device_tells_what_a_capture_of_each_does() {
    let scratch = tempfile::tempdir().expect("a place to write");
    let both = scratch.path().join("both.pcapng");
    let mut changed = 0;
    for folder in folders() {
        let captures = folder.captures();
        let [client, server] = captures.as_slice() else { continue };
        if !file_name(client).starts_with("client") || !file_name(server).starts_with("server") {
            continue;
        }
        let two = report(&captures, &[]);
        let no_change = ["path-resegmented", "path-translated-addresses", "path-lost-packets"];
        let is_change = |id: &&str| id.starts_with("path-") && !no_change.contains(id);
        if list(&two["connections"]).iter().any(|connection| ids(connection).iter().any(is_change)) {
            changed += 1;
            let numbers = as_one(&captures, &both);
            let one = without_words(report(std::slice::from_ref(&both), &[])["connections"].clone());
            differ(&one, &without_words(translated(&two["connections"], &captures, &numbers)), &folder.name);
        }
    }
    assert!(changed >= 5, "{changed} with a device that changes something");
}

/// What is captured twice on its way through a host that changes nothing is one connection, seen once.
#[test]
fn where_nothing_changes_the_second_side_is_a_copy() {
    let scratch = tempfile::tempdir().expect("a place to write");
    let both = scratch.path().join("both.pcapng");
    let mut copied = 0;
    for folder in folders() {
        let captures = folder.captures();
        let [capture] = captures.as_slice() else { continue };
        let alone = report(&captures, &[]);
        as_one(&[capture.clone(), capture.clone()], &both);
        let twice = report(std::slice::from_ref(&both), &[]);
        copied += 1;
        let connections = list(&twice["connections"]);
        assert_eq!(connections.len(), list(&alone["connections"]).len(), "{}", folder.name);
        for (twice, alone) in connections.iter().zip(list(&alone["connections"])) {
            assert_eq!(list(&twice["views"]), [Value::Null; 0], "{}", folder.name);
            let bytes = |connection: &Value, from: &str| connection["directions"][from]["bytes"].clone();
            for from in ["client_to_server", "server_to_client"] {
                assert_eq!(bytes(twice, from), bytes(alone, from), "{}", folder.name);
            }
            assert_eq!(ids(twice), ids(alone), "{}", folder.name);
        }
    }
    assert!(copied >= 5, "{copied} captures");
}

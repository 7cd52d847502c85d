//! Captures without their first part. What the whole capture proves is the measure: subflows of different connections are
//! never put together, those of one hardly ever apart, and every byte extracted is one of the whole stream, in its place.
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use support::{file_name, four_tuple, list, report, text};

/// The capture without its first packets, if it is a pcap in this machine's order of at most so many.
fn without(capture: &[u8], tenths: usize) -> Option<Vec<u8>> {
    let magic = u32::from_le_bytes(*capture.first_chunk()?);
    let mut places = Vec::new();
    let mut at = 24;
    while let Some(header) = capture.get(at..at + 16) {
        places.push(at);
        at += 16 + u32::from_le_bytes(*header[8..].first_chunk()?) as usize;
    }
    let known = matches!(magic, 0xa1b2_c3d4 | 0xa1b2_3c4d) && (20..20_000).contains(&places.len());
    known.then(|| [&capture[..24], &capture[places[places.len() * tenths / 10]..]].concat())
}

/// By ends and direction: the entry of the manifest, and the bytes.
type Streams = BTreeMap<[String; 3], (Value, Vec<u8>)>;

/// Its report, and what `--extract` wrote.
fn inspect(capture: &Path) -> (Value, Streams) {
    let extracted = tempfile::tempdir().expect("a directory");
    let found = report(&[capture.to_owned()], &["--extract", extracted.path().to_str().expect("UTF-8")]);
    let manifest = std::fs::read(extracted.path().join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let streams = list(&manifest["streams"]).iter().map(|entry| {
        let bytes = std::fs::read(extracted.path().join(text(&entry["file"]))).expect("a stream");
        (["client", "server", "direction"].map(|field| text(&entry[field]).to_owned()), (entry.clone(), bytes))
    });
    (found, streams.collect())
}

/// The stretches of a stream that were captured.
fn captured<'a>(entry: &Value, bytes: &'a [u8]) -> Vec<(usize, &'a [u8])> {
    let number = |range: &Value, field: &str| range[field].as_u64().expect("a number") as usize;
    let mut at = 0;
    let mut parts = Vec::new();
    for hole in list(&entry["holes"]) {
        let start = number(hole, "offset").min(bytes.len());
        parts.push((at, &bytes[at..start]));
        at = (start + number(hole, "length")).min(bytes.len());
    }
    parts.push((at, &bytes[at..]));
    parts.retain(|part| !part.1.is_empty());
    parts
}

/// Whether all stretches stand in `whole`, as far from each other as they are here.
fn stands_in(parts: &[(usize, &[u8])], whole: &[u8]) -> bool {
    let Some(longest) = parts.iter().max_by_key(|part| part.1.len()) else { return true };
    let finder = |start: &usize| whole[*start..].starts_with(longest.1);
    let found = (longest.0..whole.len()).find(finder);
    found.is_some_and(|start| {
        parts.iter().all(|part| whole.get(start - longest.0 + part.0..).is_some_and(|rest| rest.starts_with(part.1)))
    })
}

#[test]
fn what_is_left_of_a_capture_without_its_start_is_part_of_the_whole() {
    let cut = tempfile::Builder::new().suffix(".pcap").tempfile().expect("a file");
    let (mut together, mut apart, mut compared) = (0, Vec::new(), 0);
    for file in support::folders().iter().flat_map(support::Folder::captures) {
        let capture = std::fs::read(&file).expect("a capture");
        let Some(mut part) = without(&capture, 3) else { continue };
        let (whole, streams) = inspect(&file);
        let mut home: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for connection in list(&whole["connections"]) {
            for subflow in list(&connection["subflows"]) {
                home.entry(four_tuple(subflow)).or_default().insert(connection["id"].as_u64().expect("an id"));
            }
        }
        for tenths in [3, 6] {
            let name = format!("{} without {tenths} tenths", file_name(&file));
            part = without(&capture, tenths).unwrap_or(part);
            std::fs::write(cut.path(), &part).expect("written");
            let (left, left_streams) = inspect(cut.path());
            let mut parts: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            for connection in list(&left["connections"]) {
                let homes = list(&connection["subflows"]).iter().filter_map(|subflow| home.get(&four_tuple(subflow)));
                let common = homes.cloned().reduce(|a, b| &a & &b);
                assert!(common.as_ref().is_none_or(|homes| !homes.is_empty()), "{name}: {}", connection["subflows"]);
                if let Some(homes) = common.filter(|homes| homes.len() == 1) {
                    let id = connection["id"].as_u64().expect("an id");
                    for home in homes {
                        parts.entry(home).or_default().insert(id);
                    }
                }
            }
            together += parts.values().filter(|ids| ids.len() == 1).count();
            apart.extend(parts.into_iter().filter(|(_, ids)| ids.len() > 1).map(|part| (name.clone(), part)));
            for (of, (entry, bytes)) in left_streams {
                // Where copies differ, the whole capture knows more checksums.
                let Some((_, whole)) = streams.get(&of).filter(|_| entry["differing_bytes"] == 0) else { continue };
                assert!(stands_in(&captured(&entry, &bytes), whole), "{name}: {of:?} is not in the stream");
                compared += 1;
            }
        }
    }
    eprintln!("{together} connections whole, {} in parts, {compared} streams compared", apart.len());
    assert!(together > 50 && compared > 80, "{together} and {compared}");
    assert!(apart.len() * 10 < together, "{apart:?}");
}

//! The same traffic in another container or under another encapsulation must give the same report.
mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::{DIRECTIONS, Folder, four_tuples, list};

/// Each of these holds the packets of `merged.pcap`.
const SAME_AS_MERGED: [&str; 5] =
    ["merged-bigendian.pcap", "merged-nsec.pcap", "merged.pcap.gz", "merged.pcap.zst", "merged-2if.pcapng"];
/// The connection of `02-client-endpoint`, IPv4 only.
const IPV4: [&str; 9] = [
    "gtpu.pcap",
    "ipip.pcap",
    "ipv4-options.pcap",
    "loop-be.pcap",
    "mpls2.pcap",
    "null.pcap",
    "pppoe.pcap",
    "rawip12.pcap",
    "triple-vlan.pcap",
];
/// The same, with four frames of ARP between.
const IPV4_WITH_ARP: [&str; 2] = ["eth-trailer.pcap", "llc-snap.pcap"];
/// The connection of `06a-ipv6`.
const IPV6: [&str; 4] = ["6in4.pcap", "null-v6-bsd.pcap", "v6-atomic-frag.pcap", "v6-hbh-dstopts.pcap"];

#[test]
fn containers_of_the_same_packets_agree() {
    for folder in scenario("29-formats") {
        let merged = report_of(&folder, "merged.pcap", &[]);
        assert_eq!(list(&merged["connections"]).len(), 1, "{}", folder.name);
        for name in SAME_AS_MERGED {
            assert_same(&folder, name, &report_of(&folder, name, &[]), &merged);
        }
    }
}

#[test]
fn a_damaged_end_costs_only_what_is_behind_it() {
    for folder in scenario("29-formats") {
        let truncated = report_of(&folder, "merged-truncated.pcap", &[]);
        let whole_frames = truncated["inputs"][0]["packets"].as_u64().expect("packets");
        assert_eq!(truncated["inputs"][0]["cut_after"].as_u64(), Some(whole_frames), "{}", folder.name);
        let expected = if folder.is_cut() { 39 } else { 520 };
        assert_eq!(whole_frames, expected, "{}: number of whole frames", folder.name);
        let merged = report_of(&folder, "merged.pcap", &["-c", &whole_frames.to_string()]);
        assert_same(&folder, "merged-truncated.pcap", &truncated, &merged);
    }
}

/// `two-if.pcapng` was captured by another process on two interfaces: other times and, between interfaces, another order
/// of the same packets. What does not hang on these agrees.
#[test]
fn two_interfaces_in_one_file_make_one_connection() {
    for folder in scenario("29-formats").into_iter().filter(|folder| !folder.is_cut()) {
        let (two, merged) = (report_of(&folder, "two-if.pcapng", &[]), report_of(&folder, "merged.pcap", &[]));
        assert_eq!(two["inputs"][0]["interfaces"].as_array().map(Vec::len), Some(2));
        assert_eq!(essence(&two), essence(&merged), "{}", folder.name);
    }
}

#[test]
fn ipv4_encapsulations_agree() {
    for folder in scenario("52-encaps") {
        let plain = report_of(&folder, "ipv4-228.pcap", &[]);
        assert_eq!(list(&plain["connections"]).len(), 1, "{}", folder.name);
        for name in IPV4 {
            assert_same(&folder, name, &report_of(&folder, name, &[]), &plain);
        }
        for name in IPV4_WITH_ARP {
            let with_arp = report_of(&folder, name, &[]);
            let segments = with_arp["capture"]["tcp_segments"].as_u64().expect("tcp_segments");
            assert!(segments > 0, "{}/{name}", folder.name);
            let plain = report_of(&folder, "ipv4-228.pcap", &["-c", &segments.to_string()]);
            assert_eq!(essence(&with_arp), essence(&plain), "{}/{name}", folder.name);
        }
    }
}

#[test]
fn ipv6_encapsulations_agree() {
    for folder in scenario("52-encaps") {
        let plain = report_of(&folder, "ipv6-229.pcap", &[]);
        assert_eq!(list(&plain["connections"]).len(), 1, "{}", folder.name);
        for name in IPV6 {
            assert_same(&folder, name, &report_of(&folder, name, &[]), &plain);
        }
    }
}

fn scenario(name: &str) -> Vec<Folder> {
    let found: Vec<_> = support::folders().into_iter().filter(|folder| folder.scenario() == name).collect();
    assert!(!found.is_empty(), "{name} is missing from testdata");
    found
}

fn report_of(folder: &Folder, name: &str, options: &[&str]) -> Value {
    let file: PathBuf = folder.path.join(name);
    support::report(&[file], options)
}

/// Equal but for what names the file itself; complains of the first field that differs.
fn assert_same(folder: &Folder, name: &str, got: &Value, expected: &Value) {
    let (mut got, mut expected) = (got.clone(), expected.clone());
    for report in [&mut got, &mut expected] {
        report.as_object_mut().expect("object").remove("inputs");
        remove_interfaces(report);
    }
    if let Some(difference) = difference("", &got, &expected) {
        panic!("{}/{name}: {difference}", folder.name);
    }
}

fn remove_interfaces(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("interfaces");
            fields.values_mut().for_each(remove_interfaces);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_interfaces),
        _ => {}
    }
}

fn difference(path: &str, got: &Value, expected: &Value) -> Option<String> {
    match (got, expected) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| difference(&format!("{path}.{key}"), value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| difference(&format!("{path}[{index}]"), a, b))
        }
        _ => (got != expected).then(|| format!("{path}: {got} instead of {expected}")),
    }
}

/// What is left of a report without frame numbers and times.
fn essence(report: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for connection in list(&report["connections"]) {
        let ends = ["client", "server"]
            .map(|end| [&connection[end]["address"], &connection[end]["key"], &connection[end]["token"]]);
        lines.push(format!("{ends:?} {} {} {}", connection["version"], connection["outcome"], connection["close"]));
        for direction in DIRECTIONS {
            let sums = &connection["directions"][direction];
            lines.push(format!(
                "{direction} {} {} {}",
                sums["bytes"], sums["missing_bytes"], sums["checksums"]["verified"]
            ));
        }
        for subflow in list(&connection["subflows"]) {
            let join = ["token_check", "syn_ack_hmac", "ack_hmac"].map(|check| &subflow["join"][check]["verdict"]);
            let payload = DIRECTIONS.map(|direction| &subflow["directions"][direction]["payload_bytes"]);
            lines.push(format!("{:?} {} {join:?} {payload:?}", four_tuples(subflow), subflow["address_ids"]));
        }
        for address in list(&connection["addresses"]) {
            lines.push(format!("{} {} {}", address["by"], address["id"], address["hmac"]["verdict"]));
        }
    }
    // The order of subflows may hang on the order of packets.
    lines.sort();
    lines
}

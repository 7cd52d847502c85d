//! The formats that are written while reading: `packets` and `ndjson`. The snapshots are meant to be read.
#![cfg(feature = "cli")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Run, four_tuples, list, run, text};

/// Runs the program on a file below testdata/captures, so that its name is the same everywhere.
fn inspect(arguments: &[&str], file: &str) -> Run {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures");
    let program = env!("CARGO_BIN_EXE_mptcp-inspect");
    let run = run(Command::new(program).current_dir(directory).env_remove("LC_ALL").args(arguments).arg(file));
    assert_eq!(run.stderr, "");
    run
}

fn output(arguments: &[&str], file: &str) -> String {
    String::from_utf8(inspect(arguments, file).stdout).expect("UTF-8")
}

const PRIO: &str = "v1-08-mp-prio-small/client-any.pcap";
const REFUSED: &str = "v1-18a-join-refused-limits/client-any.pcap";
const STRIPPED: &str = "v1-15d-strip-s2c-only/server-e1.pcap";

#[test]
fn packets_of_a_connection_with_two_subflows() {
    insta::assert_snapshot!(output(&["-F", "packets"], PRIO));
}

#[test]
fn packets_in_ascii_and_colour() {
    let text = output(&["-F", "packets", "--ascii", "--color", "always", "-c", "14"], REFUSED);
    insta::assert_snapshot!(text.replace('\u{1b}', "␛"));
}

#[test]
fn packets_of_all_tcp_through_a_fallback() {
    insta::assert_snapshot!(output(&["-F", "packets", "--all-tcp"], STRIPPED));
}

#[test]
fn packets_with_a_wrong_checksum_and_a_fallback() {
    insta::assert_snapshot!(output(&["-F", "packets"], "v1-11e-alg-insert-single/server-e1.pcap"));
}

#[test]
fn packets_of_v0() {
    insta::assert_snapshot!(output(&["-F", "packets", "-c", "24"], "v0-01-fullmesh-csum/client_enp0s9.pcap"));
}

#[test]
fn ndjson_of_a_refused_join() {
    let lines = output(&["-F", "ndjson", "-c", "16"], REFUSED);
    // What findings say is the matter of other tests.
    let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with(r#"{"type":"finding","#)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// Neither segments nor findings.
fn events(file: &str) -> String {
    let lines = output(&["-F", "ndjson"], file);
    let others = [r#"{"type":"segment""#, r#"{"type":"finding""#];
    let events: Vec<_> = lines.lines().filter(|line| !others.iter().any(|other| line.starts_with(other))).collect();
    events.join("\n")
}

#[test]
fn ndjson_events_of_a_whole_connection() {
    insta::assert_snapshot!(events(PRIO));
}

#[test]
fn ndjson_events_of_a_wrong_checksum_and_a_fallback() {
    insta::assert_snapshot!(events("v1-11e-alg-insert-single/server-e1.pcap"));
}

#[test]
fn ndjson_events_of_an_announced_address() {
    insta::assert_snapshot!(events("v1-03-server-signal/client-any.pcap"));
}

/// The names and forms of the report contract, by hand, for options that few captures have.
#[test]
fn ndjson_of_rare_options() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rare.pcap");
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    };
    let areas: [&str; 5] = [
        "1e0320011e04f0aa6304abcd22020000", // malformed DSS, experiment, unknown kind, Fast Open
        "1e0c30010a00020111223344",         // ADD_ADDR of 12 bytes: a length it cannot have
        "1e05400102011e045103011e0460071e048103", // REMOVE_ADDR, MP_PRIO, MP_FAIL too short, MP_TCPRST
        "fd06acce01021c0480051d060102abcd050a0000000100000010", // experiment, user timeout, AO, SACK
        "1e0c60000102030405060708",         // MP_FAIL
    ];
    let mut pcap = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x65\0\0\0".to_vec();
    for (index, area) in areas.into_iter().enumerate() {
        let mut area = bytes(area);
        area.resize(area.len().next_multiple_of(4), 0);
        let len = 40 + area.len() as u16;
        pcap.extend([1, 0, 0, 0, index as u8, 0, 0, 0]);
        pcap.extend(u32::from(len).to_le_bytes().repeat(2));
        pcap.extend([0x45, 0, 0, len as u8, 0, index as u8 + 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        pcap.extend([
            0x9c,
            0x40,
            0,
            80,
            0,
            0,
            0,
            9,
            0,
            0,
            0,
            7,
            ((20 + area.len() as u8) / 4) << 4,
            0x10,
            4,
            0,
            0,
            0,
            0,
            0,
        ]);
        pcap.extend(area);
    }
    std::fs::write(&file, pcap).expect("written");
    let lines = inspect(&["-F", "ndjson", "--all-tcp"], file.to_str().expect("UTF-8")).ndjson();
    let segments: Vec<_> = lines.iter().filter(|line| line["type"] == "segment").collect();
    assert_eq!(segments.len(), 5);
    assert_eq!(
        (&segments[0]["seq"], &segments[0]["ack"], &segments[0]["window"]),
        (&json!(9), &json!(7), &json!(1024))
    );
    assert_eq!(segments[0]["flags"], json!(["ACK"]));
    assert_eq!(segments[1]["time"], "1970-01-01T00:00:01.000001000Z");
    let malformed = |offset: u32, length, what, needs, bytes| {
        let malformed = format!("length {length} at option byte {offset}: {what} needs {needs}");
        json!({ "kind": 30, "malformed": malformed, "bytes": bytes })
    };
    let expected = [
        json!([
            malformed(0, 3, "DSS", "at least 4", "1e0320"),
            { "kind": 30, "name": "MP_EXPERIMENTAL", "length": 4, "subtype": 15, "bytes": "1e04f0aa" },
            { "kind": 99, "name": "UNKNOWN", "length": 4, "bytes": "6304abcd" },
            { "kind": 34, "name": "FAST_OPEN", "length": 2, "cookie": "" },
        ]),
        json!([malformed(0, 12, "ADD_ADDR", "16, 18, 28 or 30", "1e0c30010a00020111223344")]),
        json!([
            { "kind": 30, "name": "REMOVE_ADDR", "length": 5, "address_ids": [1, 2] },
            { "kind": 30, "name": "MP_PRIO", "length": 4, "backup": true, "address_id": 3 },
            malformed(11, 4, "MP_FAIL", "12", "1e046007"),
            {
                "kind": 30, "name": "MP_TCPRST", "length": 4, "reason": 3,
                "meaning": "administratively prohibited", "transient": true,
            },
        ]),
        json!([
            { "kind": 253, "name": "EXPERIMENTAL", "length": 6, "exid": "acce", "data": "0102" },
            { "kind": 28, "name": "USER_TIMEOUT", "length": 4, "timeout_seconds": 300 },
            { "kind": 29, "name": "AO", "length": 6, "key_id": 1, "r_next_key_id": 2, "mac": "abcd" },
            { "kind": 5, "name": "SACK", "length": 10, "blocks": [[1, 16]] },
        ]),
        json!([{ "kind": 30, "name": "MP_FAIL", "length": 12, "dsn": "72623859790382856" }]),
    ];
    for (index, (segment, expected)) in segments.iter().zip(&expected).enumerate() {
        assert_eq!(segment["options"], *expected, "segment {}", index + 1);
    }
}

/// A token that shows only in the third packet chooses the first two as well; a number chooses at once.
#[test]
fn connections_are_chosen_by_number_or_token() {
    let file = "v1-33-reuseport/client-e1.pcap";
    let all = inspect(&["-F", "ndjson"], file).ndjson();
    let wanted: Vec<&Value> = all.iter().filter(|line| line["connection"] == 7 && line["type"] != "finding").collect();
    assert!(wanted.len() > 5);
    let keys = wanted.iter().filter(|line| line["event"] == "keys");
    let tokens: Vec<&str> = keys.map(|line| text(&line["token"])).collect();
    assert_eq!(tokens.len(), 2);
    for filter in ["7", tokens[0], tokens[1]] {
        let chosen = inspect(&["-F", "ndjson", "--connection", filter], file).ndjson();
        let of_connections = |line: &&Value| line["type"] != "finding" && line["type"] != "capture";
        let chosen: Vec<&Value> = chosen.iter().filter(of_connections).collect();
        assert_eq!(chosen, wanted, "{filter}");
    }
}

/// The numbers given while reading are those of the report, subflow by subflow.
#[test]
fn numbers_agree_with_the_report() {
    for folder in support::folders().iter().filter(|folder| folder.name.starts_with("testdata/")) {
        let files = folder.captures();
        let whole: Vec<_> =
            files.iter().filter(|file| !file.to_string_lossy().contains("truncated")).cloned().collect();
        let report = support::report(&whole, &[]);
        let mut numbers: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
        for connection in list(&report["connections"]) {
            for subflow in list(&connection["subflows"]) {
                let number = (connection["id"].as_u64().unwrap(), subflow["id"].as_u64().unwrap());
                numbers.insert(number, four_tuples(subflow));
            }
        }
        let arguments = ["-F", "ndjson"].map(std::ffi::OsString::from).into_iter();
        let lines = support::inspect(arguments.chain(whole.iter().map(Into::into))).ndjson();
        let mut seen = 0;
        for line in lines.iter().filter(|line| line["type"] == "segment") {
            let (Some(connection), Some(subflow)) = (line["connection"].as_u64(), line["subflow"].as_u64()) else {
                continue;
            };
            let (source, destination) = (text(&line["source"]), text(&line["destination"]));
            let either = [format!("{source}>{destination}"), format!("{destination}>{source}")];
            let known = numbers.get(&(connection, subflow)).unwrap_or_else(|| panic!("{}: {line}", folder.name));
            assert!(
                line["duplicate"] == true || known.iter().any(|tuple| either.contains(tuple)),
                "{}: {line}",
                folder.name
            );
            seen += 1;
        }
        assert!(seen > 0 || numbers.is_empty(), "{}", folder.name);
        let of_connections = list(&report["connections"]).iter().flat_map(|connection| list(&connection["findings"]));
        let found = of_connections.chain(list(&report["findings"])).count();
        assert_eq!(lines.iter().filter(|line| line["type"] == "finding").count(), found, "{}", folder.name);
    }
}

/// What the last word on each connection's end says while reading is what the report says.
#[test]
fn closed_connections_end_as_in_the_report() {
    let mut closed = 0;
    for file in
        ["v1-15a-strip-after-synack/client-e1.pcap", "v1-15b-strip-after-3rd-ack/server-e1.pcap", STRIPPED, PRIO]
    {
        let report: Value = serde_json::from_str(&output(&["-F", "json"], file)).expect("JSON");
        let lines = output(&["-F", "ndjson"], file);
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let ends: BTreeMap<u64, Value> = events
            .filter(|event| event["type"] == "connection" && event["event"] == "closed")
            .filter_map(|event| Some((event["connection"].as_u64()?, event)))
            .collect();
        for (number, end) in ends {
            let connection = &list(&report["connections"])[number as usize - 1];
            let bytes = |direction: &str| connection["directions"][direction]["bytes"].clone();
            let said = (&end["close"], &end["bytes_client_to_server"], &end["bytes_server_to_client"]);
            let reported = (&connection["close"], &bytes("client_to_server"), &bytes("server_to_client"));
            assert_eq!(said, reported, "{file}");
            closed += 1;
        }
    }
    assert!(closed >= 4);
}

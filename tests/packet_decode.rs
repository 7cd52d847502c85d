//! Frame by frame against tshark: addresses, ports, raw sequence number, payload length, option bytes of the innermost
//! TCP segment.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::packet::checksum::sum16;
use mptcp_inspect::packet::{Decoded, Decoder};

/// Folders with every link type, tag and tunnel there is, a snaplen, and both IP versions.
const FOLDERS: [&str; 9] = [
    "v1/52-encaps",
    "v1/25-vlan-qinq",
    "v1/26a-vxlan",
    "v1/37-rawip-sll",
    "v1/34b-any-twice",
    "v1/27-snaplen96",
    "v1/06a-ipv6",
    "v0/16-ipv6",
    "v0/01-fullmesh-csum",
];

/// Enough of each capture to hold every kind of frame in it.
const FRAMES: usize = 1500;

#[test]
fn segments_are_those_that_tshark_sees() {
    let Some(captures) = captures() else { return };
    let mut compared = 0;
    for folder in FOLDERS {
        let mut files: Vec<_> = std::fs::read_dir(captures.join(folder))
            .unwrap_or_else(|error| panic!("{folder}: {error}"))
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{folder} has no captures");
        for file in files {
            compared += compare(&file);
        }
    }
    assert!(compared > 10_000, "only {compared} segments were compared");
}

/// The captures, if they and tshark are here.
fn captures() -> Option<PathBuf> {
    let captures = std::env::var_os("MPTCP_CAPTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"), PathBuf::from);
    if !captures.is_dir() {
        eprintln!("SKIPPED: no captures at {}", captures.display());
        return None;
    }
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("SKIPPED: tshark is not installed");
        return None;
    }
    Some(captures)
}

/// Compares one capture; returns the number of segments.
fn compare(file: &Path) -> usize {
    let expected = tshark(file);
    let bytes = std::fs::read(file).unwrap();
    let mut decoder = Decoder::new();
    let mut segments = 0;
    for frame in frames(&bytes) {
        let seen = match decoder.decode(&frame) {
            Decoded::Tcp(segment) => {
                segments += 1;
                if let Some(intact) = segment.is_intact(sum16(segment.payload)) {
                    let status = expected.get(&frame.id.number).map(|(_, status)| status.as_str());
                    let (file, number) = (file.display(), frame.id.number);
                    assert_eq!(status, Some(if intact { GOOD } else { BAD }), "{file} frame {number} (tshark's, ours)");
                }
                Some(format!(
                    "{} {} {} {} {} {} {}",
                    segment.ip.source(),
                    segment.ip.destination(),
                    segment.source_port,
                    segment.destination_port,
                    segment.seq,
                    segment.payload_len,
                    hex(segment.options),
                ))
            }
            Decoded::Malformed(malformed) => panic!("{} frame {}: {malformed}", file.display(), frame.id.number),
            _ => None,
        };
        assert_eq!(
            seen.as_ref(),
            expected.get(&frame.id.number).map(|(segment, _)| segment),
            "{} frame {} (ours, tshark's)",
            file.display(),
            frame.id.number
        );
    }
    assert!(segments > 0, "{}: no segments", file.display());
    segments
}

/// Of a checksum, in tshark's fields.
const GOOD: &str = "1";
const BAD: &str = "0";

/// What tshark says of each frame with TCP: `source destination port port sequence length options`, innermost values, and what
/// it thinks of the checksum.
fn tshark(file: &Path) -> HashMap<u64, (String, String)> {
    const FIELDS: [&str; 12] = [
        "frame.number",
        "frame.protocols",
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "ipv6.dst",
        "tcp.srcport",
        "tcp.dstport",
        "tcp.seq_raw",
        "tcp.len",
        "tcp.options",
        "tcp.checksum.status",
    ];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-c", &FRAMES.to_string(), "-d", "udp.port==8472,vxlan"]);
    command.args(["-T", "fields", "-E", "occurrence=l", "-o", "tcp.check_checksum:TRUE"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut segments = HashMap::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let &[number, protocols, ref ends @ .., from, to, seq, len, options, status] = fields.as_slice() else {
            panic!("tshark: {line}");
        };
        let &[v4_source, v4_destination, v6_source, v6_destination] = ends else { panic!("tshark: {line}") };
        // ICMP errors quote TCP headers.
        if from.is_empty() || protocols.contains("icmp") {
            continue;
        }
        let is_v6 = protocols.split(':').rfind(|name| matches!(*name, "ip" | "ipv6")) == Some("ipv6");
        let (source, destination) = if is_v6 { (v6_source, v6_destination) } else { (v4_source, v4_destination) };
        let segment = format!("{source} {destination} {from} {to} {seq} {len} {options}");
        segments.insert(number.parse().unwrap(), (segment, status.to_owned()));
    }
    segments
}

/// The frames of a little-endian pcap file.
fn frames(file: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let le32 = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert!(matches!(le32(0), 0xa1b2_c3d4 | 0xa1b2_3c4d), "not a little-endian pcap file");
    let link = LinkType(le32(20) & 0x0fff_ffff);
    let mut at = 24;
    (1..=FRAMES as u64).map_while(move |number| {
        if at + 16 > file.len() {
            return None;
        }
        let (seconds, captured, wire_len) = (le32(at), le32(at + 8) as usize, le32(at + 12));
        let data = &file[at + 16..at + 16 + captured];
        at += 16 + captured;
        let time = Timestamp(i64::from(seconds) * 1_000_000_000);
        Some(Frame { id: FrameId { number, input: 0 }, time, link, interface: 0, data, wire_len })
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

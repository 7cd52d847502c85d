//! Extraction: streams do not depend on how their bytes were cut, repeated or reordered on the way, nor on the path they
//! took; and what went wrong is told.
//!
//! The traffic here is made by hand, with checksums by plain arithmetic. That the streams of real captures have the hashes
//! that the applications computed is judged in `truth`.

use std::net::Ipv4Addr;

use mptcp_inspect::crypto::{Key, Nonce, Suite, identify};
use mptcp_inspect::extract::Extractor;
use mptcp_inspect::extract::stream::{MappingName, Outcome, Part, Sink, Stream};
use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::packet::{IpPair, Segment, TapHint, TcpFlags};
use mptcp_inspect::track::observer::{Checked, Data, Observer};
use mptcp_inspect::track::options::Options;
use mptcp_inspect::track::side::Side;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::{Dss, Mapping, MpCapable, MpJoin, MptcpOption, RawSequence};
use proptest::prelude::*;

const CLIENT_KEY: Key = Key(*b"client k");
const SERVER_KEY: Key = Key(*b"server k");
const LIMIT: usize = 8 << 20;

/// A file in memory.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    fill_left: u64,
}

impl Sink for Memory {
    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
    fn fill(&mut self, count: u64) -> u64 {
        let filled = if count <= self.fill_left { count } else { 0 };
        self.bytes.resize(self.bytes.len() + filled as usize, 0);
        filled
    }
    fn read_back(&mut self, position: u64, buffer: &mut [u8]) -> bool {
        buffer.copy_from_slice(&self.bytes[position as usize..][..buffer.len()]);
        true
    }
}

fn memory() -> Memory {
    Memory { bytes: Vec::new(), fill_left: 1 << 20 }
}

fn plain(offset: i64, bytes: &[u8]) -> Part<'_> {
    Part { offset, bytes, mapping: None, anchored: true }
}

fn mapped(subflow: u16, offset: i64, bytes: &[u8]) -> Part<'_> {
    Part { mapping: Some(name(subflow, offset, bytes)), ..plain(offset, bytes) }
}

fn name(subflow: u16, offset: i64, bytes: &[u8]) -> MappingName {
    MappingName { subflow, offset, len: bytes.len() as u32 }
}

fn finish(stream: Stream, end: Option<i64>, sink: &mut Memory) -> Outcome {
    let (outcome, sha256) = stream.finish(end, sink);
    assert_eq!(outcome.length, sink.bytes.len() as u64);
    assert_eq!(sha256, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&sink.bytes)));
    outcome
}

#[test]
fn a_hole_is_zeros_and_listed() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(0, b"abc"), LIMIT, &mut sink);
    stream.insert(plain(5, b"fg"), LIMIT, &mut sink);
    assert_eq!(sink.bytes, b"abc", "what follows a hole waits");
    let outcome = finish(stream, Some(9), &mut sink);
    assert_eq!(sink.bytes, b"abc\0\0fg");
    assert_eq!(outcome.holes.list, [(3, 2), (7, 2)]);
    assert_eq!((outcome.holes.bytes, outcome.unfilled), (4, 2), "none is filled behind the last byte");
}

#[test]
fn a_hole_too_large_to_fill_is_left_out() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(0, b"abc"), LIMIT, &mut sink);
    stream.insert(plain(1 << 40, b"x"), LIMIT, &mut sink);
    stream.insert(plain((1 << 40) + 1, b"y"), LIMIT, &mut sink);
    let outcome = finish(stream, None, &mut sink);
    assert_eq!(sink.bytes, b"abcxy");
    assert_eq!(outcome.holes.list, [(3, (1 << 40) - 3)]);
    assert_eq!(outcome.unfilled, (1 << 40) - 3);
}

#[test]
fn the_front_of_a_full_buffer_goes_out() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(4, &[1; 600]), 1000, &mut sink);
    assert!(sink.bytes.is_empty());
    stream.insert(plain(604, &[2; 600]), 1000, &mut sink);
    assert_eq!(sink.bytes.len(), 4 + 1200, "the hole, and what waited behind it");
    assert!(stream.held() <= 1000);
    assert_eq!(finish(stream, None, &mut sink).holes.list, [(0, 4)]);
}

#[test]
fn the_copy_with_the_right_checksum_wins() {
    for verdicts in [[(1, false), (0, true)], [(0, true), (1, false)]] {
        let (mut stream, mut sink) = (Stream::default(), memory());
        stream.insert(mapped(1, 0, b"wrong bytes"), LIMIT, &mut sink);
        stream.insert(mapped(0, 0, b"right bytes"), LIMIT, &mut sink);
        assert!(sink.bytes.is_empty(), "nothing goes out before its checksum is known");
        for (subflow, right) in verdicts {
            stream.checked(name(subflow, 0, b"right bytes"), Some(right), LIMIT, &mut sink);
        }
        assert_eq!(sink.bytes, b"right bytes");
        let outcome = finish(stream, Some(11), &mut sink);
        assert_eq!(outcome.differing.list, [(0, 5)]);
        assert_eq!((outcome.verified, outcome.wrong.bytes), (11, 0));
    }
}

#[test]
fn wrong_bytes_wait_for_a_right_copy_and_go_out_without_one() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(mapped(1, 0, b"wrong!"), LIMIT, &mut sink);
    stream.checked(name(1, 0, b"wrong!"), Some(false), LIMIT, &mut sink);
    stream.insert(plain(6, b" and more"), LIMIT, &mut sink);
    assert!(sink.bytes.is_empty());
    // Another subflow brings the second half of them.
    stream.insert(mapped(0, 3, b"ht!"), LIMIT, &mut sink);
    stream.checked(name(0, 3, b"ht!"), Some(true), LIMIT, &mut sink);
    let outcome = finish(stream, Some(15), &mut sink);
    assert_eq!(sink.bytes, b"wroht! and more");
    assert_eq!(outcome.wrong.list, [(0, 3)]);
    assert_eq!((outcome.differing.list, outcome.verified), (vec![(3, 2)], 3));
}

#[test]
fn late_copies_are_compared_with_what_was_written() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    stream.insert(plain(-2, b"TF"), LIMIT, &mut sink);
    stream.insert(plain(0, b"abcdef"), LIMIT, &mut sink);
    stream.insert(plain(2, b"cdef"), LIMIT, &mut sink);
    stream.insert(plain(3, b"dXfgh"), LIMIT, &mut sink);
    let outcome = finish(stream, Some(8), &mut sink);
    assert_eq!(sink.bytes, b"TFabcdefgh");
    assert_eq!((outcome.differing.list, outcome.fast_open), (vec![(6, 1)], 2));
}

#[test]
fn a_stream_without_beginning_waits_for_earlier_bytes() {
    let (mut stream, mut sink) = (Stream::default(), memory());
    let part = |offset, bytes| Part { anchored: false, ..plain(offset, bytes) };
    stream.insert(part(0, b"later"), LIMIT, &mut sink);
    stream.insert(part(-6, b"sooner"), LIMIT, &mut sink);
    let outcome = finish(stream, None, &mut sink);
    assert_eq!(sink.bytes, b"soonerlater");
    assert_eq!((outcome.holes.bytes, outcome.before_start), (0, 0));
}

/// What the client sends, reassembled.
#[derive(Default)]
struct Upload {
    stream: Stream,
    sink: Memory,
}

impl Observer for Upload {
    const WANTS_DATA: bool = true;

    fn data(&mut self, data: Data<'_>) {
        assert_eq!((data.number, data.side, data.anchored), (Some(1), Side::Client, true));
        let mapping = data.mapping.map(|(offset, len)| MappingName { subflow: data.subflow, offset, len });
        let part = Part { offset: data.offset, bytes: data.bytes, mapping, anchored: data.anchored };
        self.stream.insert(part, LIMIT, &mut self.sink);
    }

    fn checked(&mut self, checked: Checked) {
        let mapping = MappingName { subflow: checked.subflow, offset: checked.offset, len: checked.len };
        self.stream.checked(mapping, checked.right, LIMIT, &mut self.sink);
    }
}

/// A segment of the client's, or of the server's to it.
#[derive(Clone, Debug)]
struct Packet {
    subflow: u16,
    from_client: bool,
    flags: u8,
    seq: u32,
    ack: u32,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Packet {
    fn new(subflow: u16, from_client: bool, flags: u8, seq: u32, ack: u32, option: Option<MptcpOption<'_>>) -> Self {
        let mut options = Vec::new();
        if let Some(option) = option {
            option.emit(&mut options);
        }
        Self { subflow, from_client, flags, seq, ack, options, payload: Vec::new() }
    }
}

/// Initial sequence numbers: the client's wrap soon.
const CLIENT_ISN: u32 = u32::MAX - 3000;
const SERVER_ISN: u32 = 77;

/// Handshakes of a connection and of `joins` more subflows.
fn handshakes(checksums: bool, joins: u16) -> Vec<Packet> {
    let capable = |sender_key, receiver_key| {
        let flags = if checksums { 0x81 } else { 0x01 };
        let (data_len, checksum) = (None, None);
        Some(MptcpOption::MpCapable(MpCapable { version: 1, flags, sender_key, receiver_key, data_len, checksum }))
    };
    let (syn, syn_ack, ack) = (TcpFlags::SYN, TcpFlags::SYN | TcpFlags::ACK, TcpFlags::ACK);
    let (client, server) = (CLIENT_ISN.wrapping_add(1), SERVER_ISN + 1);
    let mut packets = vec![
        Packet::new(0, true, syn, CLIENT_ISN, 0, capable(None, None)),
        Packet::new(0, false, syn_ack, SERVER_ISN, client, capable(Some(SERVER_KEY), None)),
        Packet::new(0, true, ack, client, server, capable(Some(CLIENT_KEY), Some(SERVER_KEY))),
    ];
    for subflow in 1..=joins {
        let token = identify(Suite::Sha256, SERVER_KEY).token;
        let (backup, reserved, address_id, nonce) = (false, 0, subflow as u8, Nonce(u32::from(subflow)));
        let join = MpJoin::Syn { backup, address_id, token, nonce, reserved };
        let answer = MpJoin::SynAck { backup, address_id: 0, hmac: [0; 8], nonce, reserved };
        packets.push(Packet::new(subflow, true, syn, CLIENT_ISN, 0, Some(MptcpOption::MpJoin(join))));
        packets.push(Packet::new(subflow, false, syn_ack, SERVER_ISN, client, Some(MptcpOption::MpJoin(answer))));
        let proof = MpJoin::Ack { hmac: [0; 20], reserved: 0 };
        packets.push(Packet::new(subflow, true, ack, client, server, Some(MptcpOption::MpJoin(proof))));
    }
    packets
}

/// Data of one mapping: bytes `[offset, offset + payload)` of the stream at relative sequence number `ssn` of a subflow,
/// cut at `cuts`.
fn mapping(subflow: u16, ssn: u32, offset: usize, payload: &[u8], cuts: &[usize], checksums: bool) -> Vec<Packet> {
    let dsn = identify(Suite::Sha256, CLIENT_KEY).first_dsn().wrapping_add(offset as u64);
    let len = payload.len() as u16;
    let checksum = checksums.then(|| {
        let mut covered = dsn.to_be_bytes().to_vec();
        covered.extend(ssn.to_be_bytes());
        covered.extend(len.to_be_bytes());
        covered.extend([0, 0]);
        covered.extend(payload);
        internet_checksum(&covered)
    });
    let dss = Dss::new(None, Some(Mapping { dsn: RawSequence::Long(dsn), ssn, len, checksum }), false);
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % payload.len()).chain([0, payload.len()]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let segment = |bounds: &[usize]| {
        let seq = CLIENT_ISN.wrapping_add(ssn).wrapping_add(bounds[0] as u32);
        let option = Some(MptcpOption::Dss(dss));
        let payload = payload[bounds[0]..bounds[1]].to_vec();
        Packet { payload, ..Packet::new(subflow, true, TcpFlags::ACK, seq, SERVER_ISN + 1, option) }
    };
    bounds.windows(2).map(segment).collect()
}

/// RFC 1071, word by word.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum = words.fold(0, |sum, word| ((sum + word) & 0xffff) + ((sum + word) >> 16));
    !(sum as u16)
}

/// Feeds packets to a tracker as frames of their own.
fn track<O: Observer>(packets: &[Packet], observer: &mut O) -> Tracker {
    let mut tracker = Tracker::new(Config::default());
    for (index, packet) in packets.iter().enumerate() {
        let id = FrameId { number: index as u64 + 1, input: 0 };
        let time = Timestamp(1_000_000_000 + index as i64 * 1000);
        let frame = Frame { id, time, link: LinkType::RAW, interface: 0, data: &[], wire_len: 0 };
        let (client, server) = (Ipv4Addr::new(10, 0, 0, 1).to_bits(), Ipv4Addr::new(10, 0, 0, 2).to_bits());
        let pair = IpPair::V4 { source: client, destination: server };
        let port = 40_000 + packet.subflow;
        let (ip, source_port, destination_port) =
            if packet.from_client { (pair, port, 80) } else { (pair.reversed(), 80, port) };
        let segment = Segment {
            ip,
            source_port,
            destination_port,
            seq: packet.seq,
            ack: packet.ack,
            flags: TcpFlags(packet.flags),
            window: 1000,
            options: &packet.options,
            options_cut: false,
            payload: &packet.payload,
            payload_len: packet.payload.len() as u32,
            payload_sum: None,
            ip_id: index as u16 + 1,
            ttl: 64,
            source_routed: false,
            encapsulations: 0,
            tap: TapHint::default(),
        };
        tracker.segment(&frame, &segment, &Options::of(&segment), observer);
    }
    tracker.finish(observer);
    tracker
}

/// One mapping's worth of the stream and how it travels.
#[derive(Clone, Debug)]
struct Plan {
    len: usize,
    cuts: Vec<usize>,
    subflow: u16,
    /// The same data again on another subflow.
    reinjected: bool,
    /// The first copy of those two has this byte changed.
    corrupted: Option<usize>,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let cuts = prop::collection::vec(any::<usize>(), 0..6);
    let corrupted = prop::option::weighted(0.3, any::<usize>());
    let plan = (1..6000_usize, cuts, 0..3_u16, any::<bool>(), corrupted).prop_map(|plan| {
        let (len, cuts, subflow, reinjected, corrupted) = plan;
        Plan { len, cuts, subflow, reinjected, corrupted }
    });
    prop::collection::vec(plan, 1..20)
}

/// The data of `plans` over three subflows, and the stream they make up. Without checksums nothing is corrupted.
fn traffic(plans: &[Plan], checksums: bool, bytes: u64) -> (Vec<Packet>, Vec<u8>) {
    let total = plans.iter().map(|plan| plan.len).sum();
    let mut state = bytes | 1;
    let stream: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(total)
    .collect();
    let (mut packets, mut offset, mut next) = (Vec::new(), 0, [1_u32; 3]);
    for plan in plans {
        let payload = &stream[offset..offset + plan.len];
        let other = (plan.subflow + 1) % 3;
        let mut first = mapping(plan.subflow, next[usize::from(plan.subflow)], offset, payload, &plan.cuts, checksums);
        next[usize::from(plan.subflow)] += plan.len as u32;
        let copy = plan.reinjected.then(|| {
            let ssn = next[usize::from(other)];
            next[usize::from(other)] += plan.len as u32;
            mapping(other, ssn, offset, payload, &[], checksums)
        });
        if let (Some(at), true, true) = (plan.corrupted, checksums, plan.reinjected) {
            let packet = at % first.len();
            let byte = at % first[packet].payload.len();
            first[packet].payload[byte] ^= 0x55;
        }
        packets.append(&mut first);
        packets.extend(copy.into_iter().flatten());
        offset += plan.len;
    }
    (packets, stream)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// However the bytes are cut, repeated, reordered and spread over subflows: the stream and the report are the same.
    #[test]
    fn streams_do_not_depend_on_how_they_travel(
        plans in plans(),
        checksums in any::<bool>(),
        bytes in any::<u64>(),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1..16_usize), 0..40),
    ) {
        let (mut data, stream) = traffic(&plans, checksums, bytes);
        for repeat in repeats {
            let at = repeat.index(data.len());
            // A corrupted segment is not sent again: its TCP checksum was right.
            let packet = data[at].clone();
            data.insert(at + 1, packet);
        }
        for (at, distance) in swaps {
            let at = at.index(data.len());
            let with = (at + distance).min(data.len() - 1);
            data.swap(at, with);
        }
        let mut packets = handshakes(checksums, 2);
        packets.append(&mut data);
        let mut upload = Upload { sink: memory(), ..Upload::default() };
        let tracker = track(&packets, &mut upload);
        let outcome = finish(upload.stream, Some(stream.len() as i64), &mut upload.sink);
        prop_assert!(upload.sink.bytes == stream, "the stream differs");
        prop_assert_eq!((outcome.holes.bytes, outcome.wrong.bytes), (0, 0));
        let connection = tracker.connection(0).expect("a connection");
        let level = &connection.data.client;
        prop_assert_eq!((level.unique, level.missing()), (stream.len() as u64, 0));
        let corrupted = plans.iter().filter(|plan| checksums && plan.reinjected && plan.corrupted.is_some()).count();
        let copies = plans.iter().filter(|plan| plan.reinjected).count();
        let mappings = if checksums { (plans.len() + copies - corrupted) as u64 } else { 0 };
        let tally = &connection.checksums.client;
        prop_assert_eq!((tally.verified, tally.mismatch, tally.unverifiable()), (mappings, corrupted as u64, 0));
    }
}

#[test]
fn files_and_manifest() {
    let directory = tempfile::tempdir().expect("a directory");
    let plan = Plan { len: 3000, cuts: vec![1000, 1001, 2500], subflow: 1, reinjected: true, corrupted: Some(7) };
    let (mut data, stream) = traffic(&[plan.clone(), Plan { subflow: 0, reinjected: false, ..plan }], true, 1);
    let mut packets = handshakes(true, 2);
    packets.append(&mut data);
    let name = directory.path().join("conn-1-client_to_server.bin");
    std::fs::write(&name, "of an earlier run").expect("a file");
    let mut extractor = Extractor::new(directory.path(), &[]).expect("a directory");
    let tracker = track(&packets, &mut extractor);
    let extracted = extractor.finish(&tracker).expect("written");
    assert_eq!((extracted.streams, extracted.bytes, extracted.incomplete), (1, 6000, 1), "no DATA_FIN was sent");
    assert_eq!(std::fs::read(name).expect("the file"), stream);
    let manifest = std::fs::read(directory.path().join("manifest.json")).expect("the manifest");
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
    let read = |name: &str| std::fs::read(directory.path().join(name)).expect("a file");
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
        let files = std::fs::read_dir(directory.path()).expect("the directory").count();
        assert_eq!(files as u64, streams + 1, "{filter}: files and a manifest");
    }
}

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

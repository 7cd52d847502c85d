//! Attacks: what floods, forges, contradicts, jumps and explodes must neither stop the analysis nor change what was proven.
//!
//! `HOSTILE_FLOOD` sets the number of SYNs of the floods (default 100,000) to measure peak memory with.
#![cfg(feature = "cli")]

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a package of its own, with its own lints")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use clap::Parser;
use fuzz::world::{ACK, Ends, Packet, SYN};
use mptcp_inspect::capture::{InterfaceInfo, OpenOptions, PcapngWriter, Source, open};
use mptcp_inspect::cli::args::Args;
use mptcp_inspect::cli::follow::Follower;
use mptcp_inspect::cli::plan::{Action, Surroundings};
use mptcp_inspect::crypto::{Key, Nonce, Suite, Token, identify};
use mptcp_inspect::limits;
use mptcp_inspect::packet::IpPair;
use mptcp_inspect::report::style::Look;
use mptcp_inspect::report::{Report, Selection, TrackedReport, json, tree};
use mptcp_inspect::track::connection::Connection;
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::{AddAddr, Dss, Mapping, MpCapable, MpJoin, MptcpOption, RawSequence};

const CLIENT: usize = 0;
const SERVER: usize = 1;
const ISN: [u32; 2] = [1000, 2000];

/// A tracker and what was fed to it.
struct Scene {
    tracker: Tracker,
    frames: u64,
    time: i64,
}

impl Scene {
    fn new() -> Self {
        Self { tracker: Tracker::new(Config::default()), frames: 0, time: 1_700_000_000_000_000_000 }
    }

    fn send(&mut self, packet: &Packet) {
        self.frames += 1;
        self.time = self.time.saturating_add(1_000_000);
        let packet = Packet { time: self.time, ip_id: self.frames as u16, ..packet.clone() };
        packet.feed(self.frames, &mut self.tracker, &mut Silent);
    }

    fn connect(&mut self, ends: &Ends) {
        for step in 0..3 {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            self.send(
                &packet(ends, 0, end, flags, u32::from(step > 1)).with(&MptcpOption::MpCapable(ends.capable(step))),
            );
        }
    }

    fn join(&mut self, ends: &Ends, subflow: u8) {
        for step in 0..3 {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            let option = MptcpOption::MpJoin(ends.join(step, CLIENT, subflow));
            self.send(&packet(ends, subflow, end, flags, u32::from(step > 1)).with(&option));
        }
    }

    fn data(&mut self, ends: &Ends, subflow: u8, end: usize, offset: u64, ssn: u32, payload: &[u8]) {
        let dss = ends.dss(end, offset, ssn, payload, false, true);
        let mut packet = packet(ends, subflow, end, ACK, ssn).with(&MptcpOption::Dss(dss));
        packet.payload = payload.to_vec();
        self.send(&packet);
    }

    fn only(&self) -> &Connection {
        assert_eq!(self.tracker.connections().count(), 1);
        self.tracker.connections().next().expect("one")
    }

    fn report(mut self) -> TrackedReport {
        self.tracker.finish(&mut Silent);
        let report = TrackedReport::new(self.tracker, Vec::new(), 0);
        fuzz::invariants::check(&report);
        report
    }
}

fn packet(ends: &Ends, subflow: u8, end: usize, flags: u8, ssn: u32) -> Packet {
    Packet {
        tuple: ends.tuple(end, CLIENT, subflow),
        seq: ISN[end].wrapping_add(ssn),
        ack: if flags & ACK == 0 { 0 } else { ISN[1 - end].wrapping_add(1) },
        flags,
        options: Vec::new(),
        payload: Vec::new(),
        cut: 0,
        time: 0,
        tap: (0, 0),
        ip_id: 0,
    }
}

/// A SYN of its own 4-tuple.
fn stranger(number: u32, option: &MptcpOption<'_>) -> Packet {
    let ip = IpPair::V4 { source: 0x0b00_0000 + number / 50_000, destination: 0x0a01_0101 };
    let mut packet = packet(&Ends::new(9, 1, false, false), 0, CLIENT, SYN, 0).with(option);
    packet.tuple = (ip, 1024 + (number % 50_000) as u16, 443);
    packet
}

fn flood_size() -> u32 {
    std::env::var("HOSTILE_FLOOD").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

/// Peak memory of this process so far, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn key_of(number: u32) -> Key {
    Key((u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555).to_be_bytes())
}

#[test]
fn flood_of_mp_capable() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"before the flood");
    let capable = |number| MpCapable {
        version: 0,
        flags: 1,
        sender_key: Some(key_of(number)),
        receiver_key: None,
        data_len: None,
        checksum: None,
    };
    for number in 0..flood_size() {
        scene.send(&stranger(number, &MptcpOption::MpCapable(capable(number))));
    }
    println!("{} SYNs with MP_CAPABLE: {} MiB", flood_size(), peak_mib());
    // An established connection outlives a flood of SYNs that nobody answers.
    scene.data(&ends, 0, CLIENT, 16, 17, b"after");
    let established = scene.tracker.connections().next().expect("the first");
    assert_eq!(established.data.client.unique, 21);
    assert_eq!(established.checksums.client.verified, 2);
    assert!(scene.tracker.connections().count() <= limits::CONNECTIONS);
    let gone = scene.tracker.counts.left.limit;
    assert_eq!(scene.tracker.connections().count() as u64 + gone, u64::from(flood_size()) + 1);
    assert!(peak_mib() < 6000);
}

#[test]
fn flood_of_joins_with_random_tokens() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    for number in 0..flood_size() {
        let token = Token(number.wrapping_mul(0x9e37_79b9));
        let join = MpJoin::Syn { backup: false, address_id: 1, token, nonce: Nonce(number), reserved: 0 };
        scene.send(&stranger(number, &MptcpOption::MpJoin(join)));
    }
    println!("{} joins with random tokens: {} MiB", flood_size(), peak_mib());
    scene.join(&ends, 1);
    scene.tracker.finish(&mut Silent);
    let report = TrackedReport::new(scene.tracker, Vec::new(), 0);
    let connection = report.connection(0);
    assert_eq!(connection.subflows.len(), 2);
    let proof = format!("{:?}", connection.subflows[1].join);
    assert_eq!(proof.matches("Verified").count(), 3, "{proof}");
    let joins = report.orphan_joins(&|_| true);
    assert!(joins > u64::from(flood_size()).min(1 << 16) - 1 && joins <= limits::CONNECTIONS as u64);
    let text = fuzz::invariants::check(&report);
    println!("… and their report: {} MiB", peak_mib());
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(json["orphans"].as_array().map(Vec::len), Some(limits::ORPHAN_JOINS));
    assert_eq!(json["orphans_left_out"]["joins"], joins - limits::ORPHAN_JOINS as u64);
    assert_eq!(json["capture"]["joins_without_connection"], joins);
}

/// A capture of one direction: joins show by their SYN/ACKs, and are no connections of their own.
#[test]
fn a_join_whose_syn_is_missing_is_no_tcp_connection() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    for subflow in 1..3 {
        let option = MptcpOption::MpJoin(ends.join(1, CLIENT, subflow));
        scene.send(&packet(&ends, subflow, SERVER, SYN | ACK, 0).with(&option));
    }
    let counts = scene.tracker.counts;
    assert_eq!((counts.tcp_connections, counts.asked_for_mptcp), (0, 0));
    assert_eq!(scene.report().orphan_joins(&|_| true), 2);
}

#[test]
fn of_joins_without_connection_as_many_are_built_as_asked_for() {
    let ends = Ends::new(1, 1, true, false);
    let MpJoin::Syn { token: first, .. } = ends.join(0, CLIENT, 1) else { unreachable!() };
    let mut scene = Scene::new();
    for number in 0..12 {
        let token = Token(first.0 + number % 3);
        let join = MpJoin::Syn { backup: false, address_id: 1, token, nonce: Nonce(number), reserved: 0 };
        scene.send(&stranger(number, &MptcpOption::MpJoin(join)));
    }
    let report = scene.report();
    let groups = |most| -> Vec<(u32, usize)> {
        let built = report.orphans(&|_| true, most);
        built.iter().map(|group| (group.token.expect("seen").0 - first.0, group.subflows.len())).collect()
    };
    assert_eq!(groups(usize::MAX), [(0, 4), (1, 4), (2, 4)]);
    assert_eq!(groups(6), [(0, 4), (1, 2)]);
    assert_eq!(groups(0), []);
    assert_eq!(report.orphan_joins(&|_| true), 12);
    let last = Some(Token(first.0 + 2));
    assert_eq!(report.orphan_joins(&|token| token == last), 4);
    assert_eq!(report.orphans(&|token| token == last, 3)[0].subflows.len(), 3);
}

#[test]
fn flood_of_joins_with_the_right_token() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    let MpJoin::Syn { token, .. } = ends.join(0, CLIENT, 1) else { unreachable!() };
    let count = flood_size().max(5000);
    for number in 0..count {
        let join = MpJoin::Syn { backup: false, address_id: 1, token, nonce: Nonce(number), reserved: 0 };
        scene.send(&stranger(number, &MptcpOption::MpJoin(join)));
    }
    println!("{count} joins with the right token: {} MiB", peak_mib());
    assert_eq!(scene.only().subflows.len(), limits::SUBFLOWS);
    assert!(scene.only().left_out.subflows >= u64::from(count) - limits::SUBFLOWS as u64);
    scene.report();
}

#[test]
fn flood_of_addresses() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    for number in 0..flood_size().max(20_000) {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number).into();
        let add = AddAddr { low_nibble: 0, address_id: number as u8, address, port: None, hmac: Some([7; 8]) };
        scene.send(&packet(&ends, 0, SERVER, ACK, 1).with(&MptcpOption::AddAddr(add)));
    }
    println!("{} ADD_ADDR: {} MiB", flood_size().max(20_000), peak_mib());
    assert_eq!(scene.only().addresses.len(), limits::ADDRESSES);
    assert!(scene.only().anomalies.len() <= limits::ANOMALIES && scene.only().left_out.addresses > 10_000);
    scene.report();
}

/// Feeds `Scene::send`'s packets to a follower that writes ndjson, too.
fn ndjson(connections: usize, packets: &[Packet]) -> Vec<serde_json::Value> {
    let args = ["mptcp-inspect", "-F", "ndjson", "generated.pcap"];
    let args = Args::try_parse_from(args).expect("arguments");
    let Ok(Action::Inspect(plan)) = Action::new(args, &Surroundings::default()) else { panic!("a plan") };
    let mut out: Vec<u8> = Vec::new();
    let mut follower = Follower::new(&plan, false, &mut out).expect("a follower");
    let mut tracker = Tracker::new(Config { connections, ..Config::default() });
    for (index, packet) in packets.iter().enumerate() {
        packet.feed(index as u64 + 1, &mut tracker, &mut follower);
    }
    tracker.finish(&mut follower);
    follower.finish(&TrackedReport::new(tracker, Vec::new(), 0)).expect("written");
    let lines = out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

#[test]
fn what_limits_leave_out_is_counted_and_said() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.tracker = Tracker::new(Config { connections: 10, flows: 1100, ..Config::default() });
    scene.connect(&ends);
    let MpJoin::Syn { token, .. } = ends.join(0, CLIENT, 1) else { unreachable!() };
    for number in 0..limits::SUBFLOWS as u32 + 6 {
        let join = MpJoin::Syn { backup: false, address_id: 1, token, nonce: Nonce(number), reserved: 0 };
        scene.send(&stranger(number, &MptcpOption::MpJoin(join)));
    }
    for number in 0..limits::ADDRESSES as u32 + 3 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number).into();
        let add = AddAddr { low_nibble: 0, address_id: number as u8, address, port: None, hmac: Some([7; 8]) };
        scene.send(&packet(&ends, 0, SERVER, ACK, 1).with(&MptcpOption::AddAddr(add)));
    }
    // Ten connections are remembered, of which the first is answered: of 30 further ones, 21 go.
    let plain = (0..30).map(|number| stranger(10_000 + number, &MptcpOption::MpCapable(ends.capable(0))));
    let plain: Vec<Packet> = plain.collect();
    for packet in &plain {
        scene.send(packet);
    }
    // One of the connections that went comes back: its 4-tuple is as good as new.
    assert_eq!((scene.tracker.connections().count(), scene.tracker.counts.left.limit), (10, 21));
    for number in 0..200 {
        let mut syn = stranger(20_000 + number, &MptcpOption::MpCapable(ends.capable(0)));
        syn.options.clear();
        scene.send(&syn);
    }
    let report = scene.report();
    let mut out = Vec::new();
    json::write(&mut out, &report, &[]).expect("room");
    let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(value["capture"]["connections_left"]["limit"], 21);
    let left_out = &value["connections"][0]["left_out"];
    assert_eq!((&left_out["subflows"], &left_out["addresses"]), (&7.into(), &3.into()), "{left_out}");
    assert!(value["tcp_connections"]["forgotten"].as_u64().is_some_and(|flows| flows > 100));
    assert!(value["connections"][1].get("left_out").is_none());
    let mut out = Vec::new();
    let look = Look::default();
    tree::write(&mut out, &report, &Selection::new(&report, &[], None), look, false).expect("room");
    let text = String::from_utf8(out).expect("text");
    assert!(text.contains("left before the end:  21 beyond a limit"), "{text}");
    assert!(text.contains("beyond limits, not shown:  7 joins  3 announcements"), "{text}");
    let lines = ndjson(10, &plain);
    let left: Vec<_> = lines.iter().filter(|line| line["event"] == "left").collect();
    assert_eq!(left.len(), 20);
    assert!(left.iter().all(|line| line["reason"] == "limit" && line["report"]["outcome"] == "unanswered"));
    let last = lines.last().expect("a line");
    assert_eq!((&last["type"], &last["capture"]["connections_left"]["limit"]), (&"capture".into(), &20.into()));
}

#[test]
fn mappings_that_nobody_acknowledges_are_bounded() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    // Each maps a byte that never comes, behind a hole.
    for number in 0..3 * limits::MAPPINGS as u32 {
        let dsn = RawSequence::Long(ends.idsn(CLIENT) + 10 + 2 * u64::from(number));
        let mapping = Mapping { dsn, ssn: 10 + 2 * number, len: 1, checksum: Some(1) };
        scene.send(&packet(&ends, 0, CLIENT, ACK, 1).with(&MptcpOption::Dss(Dss::new(None, Some(mapping), false))));
    }
    assert!(scene.only().checksums.client.unverifiable() >= limits::MAPPINGS as u64, "given up and counted");
    let report = scene.report();
    let checksums = report.connection(0).directions.client_to_server.checksums;
    assert_eq!((checksums.verified, checksums.unverifiable), (0, 3 * limits::MAPPINGS as u64));
}

#[test]
fn flood_of_plain_syns() {
    let mut scene = Scene::new();
    for number in 0..flood_size() {
        let mut syn = stranger(number, &MptcpOption::MpCapable(Ends::new(9, 1, false, false).capable(0)));
        syn.options.clear();
        scene.send(&syn);
    }
    println!("{} SYNs without MPTCP: {} MiB", flood_size(), peak_mib());
    let forgotten = u64::from(flood_size()).saturating_sub(limits::FLOWS as u64);
    assert_eq!(scene.tracker.counts.flows_evicted, forgotten);
}

/// Mappings with checksums, each of two bytes of which one never comes, on many connections at once.
#[test]
fn flood_of_half_filled_mappings() {
    let mut scene = Scene::new();
    let connections = 64;
    let ends: Vec<Ends> = (0..connections).map(|number| Ends::new(number, 1, true, false)).collect();
    for ends in &ends {
        scene.connect(ends);
    }
    for number in 0..flood_size() / u32::from(connections) {
        for ends in &ends {
            let dsn = RawSequence::Long(ends.idsn(CLIENT) + 1 + 4 * u64::from(number));
            let mapping = Mapping { dsn, ssn: 1 + 4 * number, len: 2, checksum: Some(1) };
            let dss = Dss::new(None, Some(mapping), false);
            let mut packet = packet(ends, 0, CLIENT, ACK, 1 + 4 * number).with(&MptcpOption::Dss(dss));
            packet.payload = vec![7];
            scene.send(&packet);
        }
    }
    println!("{} half-filled mappings: {} MiB", flood_size(), peak_mib());
    assert!(scene.tracker.connections().all(|connection| connection.checksums.client.verified == 0));
    scene.report();
}

/// Ends of flows that are all in one place of a table with foldhash's public seed: where the upper half of an IPv6 address is
/// that seed, the hash is the same whatever the lower half.
#[test]
fn flows_that_collide_under_a_known_seed_cost_no_more_than_others() {
    const SEED: u64 = 0xc0ac_29b7_c97c_50dd;
    const FLOWS: u64 = 50_000;
    let server = (u128::MAX - 5, 443_u16);
    let of_prefix = |prefix: u64, host: u64| u128::from(prefix) << 64 | u128::from(host);
    let hash = |host: u64| {
        let key = ((of_prefix(SEED, host), 1024_u16), server);
        std::hash::BuildHasher::hash_one(&foldhash::fast::FixedState::default(), key)
    };
    assert!((1..1000).all(|host| hash(host) == hash(0)), "the attack works on a table with that seed");
    let ends = Ends::new(9, 1, false, false);
    let time_of = |prefix: u64| {
        let mut scene = Scene::new();
        let mut syn = stranger(1, &MptcpOption::MpCapable(ends.capable(0)));
        syn.options.clear();
        let began = std::time::Instant::now();
        for host in 0..FLOWS {
            let ip = IpPair::V6 { source: of_prefix(prefix, host), destination: server.0 };
            syn.tuple = (ip, 1024, server.1);
            scene.send(&syn);
        }
        assert_eq!(scene.tracker.counts.tcp_connections, FLOWS);
        began.elapsed()
    };
    // The best of three: other programs run beside this one.
    let best = |prefix: u64| (0..3).map(|_| time_of(prefix)).min().expect("three");
    let (harmless, attack) = (best(0x2001_0db8_0000_0000), best(SEED));
    assert!(attack < 5 * harmless, "{attack:?} rather than {harmless:?}");
}

#[test]
fn forged_keys_do_not_displace_proven_ones() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
    scene.data(&ends, 0, SERVER, 0, 1, b"world");
    for (step, end, flags) in [(1, SERVER, SYN | ACK), (2, CLIENT, ACK)] {
        let real = ends.capable(step);
        let forged = MpCapable {
            sender_key: Some(Key([step; 8])),
            receiver_key: real.receiver_key.map(|_| Key([9; 8])),
            ..real
        };
        scene.send(&packet(&ends, 0, end, flags, u32::from(step == 2)).with(&MptcpOption::MpCapable(forged)));
    }
    let keys = &scene.only().ends;
    assert_eq!(keys.client.key.expect("known").key, ends.keys[CLIENT]);
    assert_eq!(keys.server.key.expect("known").key, ends.keys[SERVER]);
    scene.join(&ends, 1);
    scene.data(&ends, 0, CLIENT, 5, 6, b" again");
    let report = scene.report();
    let connection = report.connection(0);
    let proof = format!("{:?}", connection.subflows[1].join);
    assert_eq!(proof.matches("Verified").count(), 3, "{proof}");
    assert_eq!(connection.directions.client_to_server.checksums.verified, 2);
    assert_eq!(connection.directions.client_to_server.checksums.mismatch, 0);
}

/// A server's key is shown again and again, each time another: only the last few lead joins to the connection, so that tokens
/// don't pile up.
#[test]
fn tokens_of_keys_given_up_are_forgotten() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.send(&packet(&ends, 0, CLIENT, SYN, 0).with(&MptcpOption::MpCapable(ends.capable(0))));
    for number in 0..100 {
        let forged = MpCapable { sender_key: Some(key_of(number)), ..ends.capable(1) };
        scene.send(&packet(&ends, 0, SERVER, SYN | ACK, 0).with(&MptcpOption::MpCapable(forged)));
    }
    let join = |scene: &mut Scene, number: u32| {
        let token = identify(Suite::Sha256, key_of(number)).token;
        let join = MpJoin::Syn { backup: false, address_id: 1, token, nonce: Nonce(number), reserved: 0 };
        scene.send(&stranger(number, &MptcpOption::MpJoin(join)));
    };
    join(&mut scene, 99);
    assert_eq!(scene.only().subflows.len(), 2, "the last key's token");
    join(&mut scene, 50);
    assert_eq!(scene.tracker.connections().count(), 2, "a token that is no end's: an orphan");
}

#[test]
fn forged_hmacs_do_not_displace_proven_ones() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
    let send = |scene: &mut Scene, step: u8, option: MpJoin| {
        let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
        scene.send(&packet(&ends, 1, end, flags, u32::from(step > 1)).with(&MptcpOption::MpJoin(option)));
    };
    let forged_syn_ack = MpJoin::SynAck { backup: true, address_id: 7, hmac: [6; 8], nonce: Nonce(666), reserved: 0 };
    let forged_ack = MpJoin::Ack { hmac: [6; 20], reserved: 0 };
    // A forgery before each real one, and one behind.
    send(&mut scene, 0, ends.join(0, CLIENT, 1));
    send(&mut scene, 1, forged_syn_ack);
    send(&mut scene, 1, ends.join(1, CLIENT, 1));
    send(&mut scene, 1, forged_syn_ack);
    send(&mut scene, 2, forged_ack);
    send(&mut scene, 2, ends.join(2, CLIENT, 1));
    send(&mut scene, 2, forged_ack);
    send(&mut scene, 1, forged_syn_ack);
    let report = scene.report();
    let proof = format!("{:?}", report.connection(0).subflows[1].join);
    assert_eq!(proof.matches("Verified").count(), 3, "{proof}");
}

#[test]
fn the_first_mapping_and_the_first_bytes_stay() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"the truth");
    scene.data(&ends, 0, CLIENT, 0, 1, b"the lies!");
    scene.data(&ends, 0, CLIENT, 4, 1, b"elsewhere");
    let report = scene.report();
    let direction = report.connection(0).directions.client_to_server;
    assert_eq!((direction.bytes, direction.checksums.verified, direction.checksums.mismatch), (9, 1, 0));
}

#[test]
fn a_reused_tuple_is_a_new_connection() {
    let ends = Ends::new(1, 1, true, false);
    let mut again = ends.clone();
    again.keys = [Key([0x31; 8]), Key([0x32; 8])];
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"one");
    for step in 0..3 {
        let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
        let mut packet =
            packet(&again, 0, end, flags, u32::from(step > 1)).with(&MptcpOption::MpCapable(again.capable(step)));
        packet.seq = packet.seq.wrapping_add(900_000);
        packet.ack = if step == 0 { 0 } else { packet.ack.wrapping_add(900_000) };
        scene.send(&packet);
    }
    let report = scene.report();
    assert_eq!(report.connection_count(), 2);
    assert_eq!(report.connection(1).server.key, Some(Key([0x32; 8])));
}

#[test]
fn time_may_jump_anywhere() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    let mut offset = 0;
    for time in [i64::MAX, i64::MIN, 0, -1, i64::MAX - 1, 1, i64::MIN + 1] {
        scene.time = time;
        scene.data(&ends, 0, CLIENT, offset, 1 + offset as u32, b"tick");
        scene.send(&packet(&ends, 0, SERVER, ACK, 1));
        offset += 4;
    }
    let report = scene.report();
    fuzz::report::print(&report, 0x1b);
    assert_eq!(report.connection(0).directions.client_to_server.checksums.verified, 7);
}

#[test]
fn options_on_resets_and_everywhere_else() {
    let ends = Ends::new(1, 1, true, false);
    let options =
        |step: u8| [MptcpOption::MpCapable(ends.capable(step)), MptcpOption::MpJoin(ends.join(step, CLIENT, 1))];
    let mut scene = Scene::new();
    scene.connect(&ends);
    for flags in 0..=255 {
        for step in 0..3 {
            for option in options(step) {
                scene.send(&packet(&ends, 0, usize::from(step == 1), flags, 1).with(&option));
            }
        }
    }
    scene.report();
}

/// Runs the program on a file, with at most so much memory.
fn inspect(path: &Path, memory_kib: u64) -> Output {
    let program = env!("CARGO_BIN_EXE_mptcp-inspect");
    Command::new("sh")
        .args(["-c", &format!("ulimit -v {memory_kib}; exec \"$0\" \"$1\""), program])
        .arg(path)
        .output()
        .expect("a shell")
}

/// Ends by itself (not by a signal, a panic's 101, or for want of memory), and prints no control characters.
fn ends_well(path: &Path) -> Output {
    let output = inspect(path, 1 << 20);
    let code = output.status.code().unwrap_or(-1);
    assert!((0..=3).contains(&code), "{}: {code} {}", path.display(), String::from_utf8_lossy(&output.stderr));
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.iter().any(|&byte| byte < b' ' && byte != b'\n'), "{}", String::from_utf8_lossy(text));
    }
    output
}

fn pcap_header() -> Vec<u8> {
    let mut header = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    header.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    header
}

fn record(time: u32, length: u32) -> Vec<u8> {
    let mut record: Vec<u8> = [time, 0, length, length].iter().flat_map(|word| word.to_le_bytes()).collect();
    record.resize(16 + length as usize, 0);
    record
}

#[test]
fn bombs_are_read_in_constant_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = record(1, 262_144).repeat(16);
    // 1 GiB of zeros in frames, about a thousandth of it compressed.
    let gz = folder.path().join("bomb.pcap.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(&gz).expect("a file"), flate2::Compression::fast());
    encoder.write_all(&pcap_header()).expect("room");
    (0..256).for_each(|_| encoder.write_all(&records).expect("room"));
    encoder.finish().expect("room");
    let output = ends_well(&gz);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let zst = folder.path().join("bomb.pcap.zst");
    let mut encoder = zstd::Encoder::new(std::fs::File::create(&zst).expect("a file"), 1).expect("an encoder");
    encoder.write_all(&pcap_header()).expect("room");
    (0..256).for_each(|_| encoder.write_all(&records).expect("room"));
    encoder.finish().expect("room");
    let output = ends_well(&zst);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A window of 2 GiB asks for as much memory (RFC 8878 §3.1.1.1.2): exponent 21, mantissa 0.
    let window = folder.path().join("window.zst");
    std::fs::write(&window, [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0xff, 0xff, 0xff]).expect("a file");
    ends_well(&window);
}

fn block(kind: u32, length: u32, body: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &length.to_le_bytes()].concat()
}

#[test]
fn absurd_blocks_end_the_file_not_the_program() {
    let section = block(0x0a0d_0d0a, 28, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let interface = block(1, 20, &[1, 0, 0, 0, 0, 0, 4, 0]);
    let mut files = Vec::new();
    for length in [0, 1, 11, 12, 13, 0x7fff_fffc, 0xffff_fff0, u32::MAX, (limits::CAPTURE_RECORD_BYTES as u32) + 16] {
        for kind in [1, 2, 3, 4, 5, 6, 0xbad, 0x0a0d_0d0a] {
            files.push([section.clone(), interface.clone(), block(kind, length, &[0; 64])].concat());
        }
    }
    // A packet that claims more than its block has; more interfaces than a section may have; endless options.
    files.push(
        [
            section.clone(),
            interface.clone(),
            block(6, 32, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 9, 0, 0, 0]),
        ]
        .concat(),
    );
    files.push([section.clone(), interface.repeat(limits::SECTION_INTERFACES + 10)].concat());
    files.push([section.clone(), block(1, 28, &[1, 0, 0, 0, 0, 0, 4, 0, 2, 0, 255, 255, 0, 0, 0, 0])].concat());
    let many_sections = [section, interface.repeat(1000)].concat().repeat(80);
    files.push(many_sections);
    for file in files {
        fuzz::capture_file::run(&file);
        fuzz::report::run(&[&[0x1b][..], &file].concat());
    }
}

#[test]
fn escapes_in_names_of_interfaces_reach_no_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("evil\u{1b}]0;title\u{7}.pcapng");
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures/v1-08-mp-prio-small/client-any.pcap");
    let mut source = open(&real, 0, &OpenOptions::default()).expect("a capture");
    let mut writer = PcapngWriter::new(std::fs::File::create(&path).expect("a file")).expect("room");
    while source.advance().expect("whole") {
        let frame = source.frame();
        let name = Some("\u{1b}[2J\u{7}\u{9b}A\r\n\u{202e}eth0".to_owned());
        writer.frame(&frame, &[InterfaceInfo { name, link: frame.link, snaplen: 0 }]).expect("room");
    }
    for format in ["tree", "table", "packets", "json", "ndjson"] {
        let output = Command::new(env!("CARGO_BIN_EXE_mptcp-inspect"))
            .args(["-v", "-F", format])
            .arg(&path)
            .output()
            .expect("the program");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8_lossy(&output.stderr);
        let is_json = format.ends_with("json");
        let escape =
            |c: char| (c.is_control() && c != '\n' && !(is_json && c > '\u{7f}')) || (!is_json && c == '\u{202e}');
        assert_eq!(text.chars().find(|&c| escape(c)), None, "{format}: {text:?}");
    }
}

#[test]
fn escapes_in_names_and_comments_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let section = block(0x0a0d_0d0a, 28, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    // if_name (2) and opt_comment (1), 8 bytes each: ESC [ 2 J BEL and the C1 form of CSI.
    let evil = [0x1b, b'[', b'2', b'J', 7, 0xc2, 0x9b, b'A'];
    let mut body = vec![1, 0, 0, 0, 0, 0, 4, 0];
    for code in [2_u8, 1] {
        body.extend([code, 0, 8, 0]);
        body.extend(evil);
    }
    body.extend([0; 4]);
    let length = 12 + body.len() as u32;
    let path = folder.path().join("evil\u{1b}[31m.pcapng");
    std::fs::write(&path, [section, block(1, length, &body)].concat()).expect("a file");
    let output = ends_well(&path);
    assert!(!output.stdout.windows(2).any(|pair| pair == [0xc2, 0x9b]));
}

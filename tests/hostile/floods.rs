//! Floods: more of something than anybody could keep.

use clap::Parser;
use mptcp_inspect::cli::args::Args;
use mptcp_inspect::cli::follow::Follower;
use mptcp_inspect::cli::plan::{Action, Surroundings};
use mptcp_inspect::crypto::{Nonce, Token};
use mptcp_inspect::limits;
use mptcp_inspect::packet::IpPair;
use mptcp_inspect::report::style::Look;
use mptcp_inspect::report::{Report, Selection, TrackedReport, json, tree};
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::{AddAddr, Dss, Mapping, MpCapable, MpJoin, MptcpOption, RawSequence};

use crate::fuzz;
use crate::fuzz::world::{ACK, Ends, Packet, SYN};
use crate::scene::{CLIENT, SERVER, Scene, flood_size, key_of, packet, peak_mib, stranger};

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
    assert!(scene.only().seldom.left_out.subflows >= u64::from(count) - limits::SUBFLOWS as u64);
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
    assert!(
        scene.only().seldom.anomalies.len() <= limits::ANOMALIES && scene.only().seldom.left_out.addresses > 10_000
    );
    scene.report();
}

/// Feeds `Scene::send`'s packets to a follower that writes ndjson, too.
fn ndjson(connections: usize, packets: &[Packet]) -> Vec<serde_json::Value> {
    let args = ["mptcp-inspect", "-F", "ndjson", "generated.pcap"];
    let args = Args::try_parse_from(args).expect("arguments");
    let Ok(Action::Inspect(plan)) = Action::new(args, &Surroundings::default()) else { panic!("a plan") };
    let mut out: Vec<u8> = Vec::new();
    let mut follower = Follower::new(&plan, Vec::new(), &mut out).expect("a follower");
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
            let ip = IpPair::V6 { source: of_prefix(prefix, host).into(), destination: server.0.into() };
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

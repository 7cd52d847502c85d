//! Captures that begin behind the handshakes: which subflows are of one connection, and where their bytes belong.
#![cfg(feature = "cli")]

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a package of its own, with its own lints")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;
#[allow(dead_code, reason = "written for attacks, which need more")]
#[path = "hostile/scene.rs"]
mod scene;

use fuzz::world::{ACK, Ends, Packet, SYN};
use mptcp_inspect::crypto::{Key, identify};
use mptcp_inspect::report::{Report, TrackedReport};
use mptcp_inspect::track::observer::{Event, Observer, Silent, What};
use mptcp_inspect::track::{Compare, Config, Tracker};
use mptcp_inspect::wire::{Dss, MpFastclose, MptcpOption, RawSequence};
use scene::{CLIENT, SERVER, Scene, packet};

/// A segment with this DSS and payload.
fn carrying(shown: &Ends, subflow: u8, end: usize, ssn: u32, dss: Dss, payload: &[u8]) -> Packet {
    Packet { payload: payload.to_vec(), ..packet(shown, subflow, end, ACK, ssn).with(&MptcpOption::Dss(dss)) }
}

/// Data at `offset` with an acknowledgement of the first bytes of the other end, under the addresses of `shown`.
fn exchanged(
    ends: &Ends,
    (shown, subflow): (&Ends, u8),
    end: usize,
    [offset, acked]: [u64; 2],
    payload: &[u8],
) -> Packet {
    let ack = RawSequence::Long(ends.idsn(1 - end).wrapping_add(1 + acked));
    let mapping = ends.dss(end, offset, 1, payload, false, true).mapping.filter(|_| !payload.is_empty());
    carrying(shown, subflow, end, 1, Dss::new(Some(ack), mapping, false), payload)
}

impl Scene {
    fn exchange(&mut self, ends: &Ends, place: (&Ends, u8), end: usize, data: [u64; 2], payload: &[u8]) {
        self.send(&exchanged(ends, place, end, data, payload));
    }

    /// One segment, `[from, to)`, of the mapping of `payload` at `offset`, which is at the same place of the subflow.
    fn part(&mut self, ends: &Ends, offset: u32, payload: &[u8], (from, to): (usize, usize)) {
        let dss = ends.dss(CLIENT, u64::from(offset), offset + 1, payload, false, true);
        self.send(&carrying(ends, 0, CLIENT, offset + 1 + from as u32, dss, &payload[from..to]));
    }
}

/// Subflows whose DSNs and DATA_ACKs are about those of a connection are its own; no others, however they begin.
#[test]
fn subflows_without_handshake_are_of_the_connection_whose_streams_they_carry() {
    for version in [0, 1] {
        let [ends, other] = [1, 2].map(|number| Ends::new(number, version, false, false));
        let mut scene = Scene::new();
        scene.exchange(&ends, (&ends, 0), CLIENT, [1000, 500], b"hello");
        scene.exchange(&ends, (&ends, 0), SERVER, [500, 1005], b"hello");
        scene.exchange(&other, (&other, 0), CLIENT, [0, 0], b"hello");
        // Other addresses at both ends: both numbers fit.
        scene.exchange(&ends, (&other, 1), SERVER, [505, 1005], b" there");
        // An acknowledgement only: an address is known, too; or not.
        scene.exchange(&ends, (&ends, 2), CLIENT, [0, 511], b"");
        let stranger = Ends::new(3, version, false, false);
        scene.exchange(&ends, (&stranger, 3), CLIENT, [0, 511], b"");
        // One of both numbers is far away.
        scene.exchange(&ends, (&stranger, 4), CLIENT, [1 << 40, 511], b"far");
        let report = scene.report();
        let subflows: Vec<usize> =
            (0..report.connection_count()).map(|at| report.connection(at).subflows.len()).collect();
        assert_eq!(subflows, [3, 1, 1, 1], "v{version}");
        let connection = report.connection(0);
        let directions = &connection.directions;
        assert_eq!((directions.client_to_server.bytes, directions.server_to_client.bytes), (Some(5), Some(11)));
        for subflow in &connection.subflows {
            assert_eq!((subflow.role, subflow.initiator, subflow.join.is_some()), (None, None, false));
            assert_eq!((subflow.address_ids.source, subflow.address_ids.destination), (None, None));
        }
    }
}

/// A subflow whose handshake is missing beside one whose handshake is not: it can only be a join.
#[test]
fn a_subflow_without_handshake_beside_an_initial_one_is_a_join() {
    let ends = Ends::new(1, 1, false, false);
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
    scene.exchange(&ends, (&ends, 1), CLIENT, [5, 0], b" there");
    let report = scene.report();
    assert_eq!(report.connection_count(), 1);
    let connection = report.connection(0);
    assert_eq!(connection.directions.client_to_server.bytes, Some(11));
    assert_eq!([0, 1].map(|at| connection.subflows[at].role), [Some("initial"), Some("join")]);
    let proof = format!("{:?}", connection.subflows[1].join);
    assert_eq!(proof.matches("segments_missing").count(), 3, "{proof}");
}

/// Joins name a token that nothing proves; their data shows which connection has it.
#[test]
fn joins_find_a_connection_whose_handshake_is_missing() {
    let ends = Ends::new(1, 1, false, false);
    let mut scene = Scene::new();
    scene.exchange(&ends, (&ends, 0), CLIENT, [0, 0], b"hello");
    scene.exchange(&ends, (&ends, 0), SERVER, [0, 5], b"hello");
    scene.join(&ends, 1);
    scene.exchange(&ends, (&ends, 1), SERVER, [5, 5], b" there");
    // The second one's token is known by then.
    scene.join(&ends, 2);
    scene.exchange(&ends, (&ends, 2), CLIENT, [5, 11], b" here");
    let report = scene.report();
    assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
    let connection = report.connection(0);
    assert_eq!(
        (connection.client.token, connection.server.token),
        (None, Some(identify(ends.suite(), ends.keys[SERVER]).token))
    );
    let directions = &connection.directions;
    assert_eq!((directions.client_to_server.bytes, directions.server_to_client.bytes), (Some(10), Some(11)));
    assert_eq!([0, 1, 2].map(|at| connection.subflows[at].role), [None, Some("join"), Some("join")]);
}

/// Where a mapping spans segments, the place of its bytes shows when all of them came, or when the next one begins.
#[test]
fn mappings_get_their_place_from_one_whose_first_byte_is_known() {
    let payload = [7; 300];
    let segments = |from: usize| (from..3).map(|segment| (100 * segment, 100 * segment + 100));
    for (from, bytes) in [(0, 300), (1, 200), (2, 100)] {
        let ends = Ends::new(1, 1, true, false);
        let mut scene = Scene::new();
        segments(from).for_each(|part| scene.part(&ends, 0, &payload, part));
        let alone = u64::from(from > 0);
        if from > 0 {
            segments(0).take(1).for_each(|part| scene.part(&ends, 300, &payload[..200], part));
        }
        let report = scene.report();
        let sent = report.connection(0).directions.client_to_server;
        assert_eq!((sent.bytes, sent.unmapped_bytes), (Some(bytes + 100 * alone), Some(0)), "from segment {from}");
        assert_eq!(sent.checksums.verified, 1 - alone);
    }
    // Nothing tells which part of the mapping this is.
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    segments(1).for_each(|part| scene.part(&ends, 0, &payload, part));
    let sent = scene.report().connection(0).directions.client_to_server;
    assert_eq!((sent.bytes, sent.unmapped_bytes), (Some(0), Some(200)));
}

/// Short DSNs do not tell whose they are: a given key does, and what was given with it follows.
#[test]
fn given_keys_unite_what_short_numbers_cannot() {
    let ends = Ends::new(1, 1, false, false);
    let [client, server] = ends.keys;
    let far = |key: &Key| (ends.idsn(SERVER) as u32).wrapping_sub(identify(ends.suite(), *key).idsn as u32) >= 1 << 31;
    let wrong = (0..9).map(|byte| Key([byte; 8])).find(far).expect("every other one");
    for (keys, pairs, found) in [
        (vec![], vec![], None),
        (vec![client], vec![], Some((Some(client), None))),
        (vec![server, client], vec![[server, client]], Some((Some(client), Some(server)))),
        // What was given with it is not what the DSNs of the server follow.
        (vec![client, wrong], vec![[client, wrong]], Some((Some(client), None))),
    ] {
        let config = Config { keys, pairs, ..Config::default() };
        let mut scene = Scene { tracker: Tracker::new(config), ..Scene::new() };
        // Neither address of the second subflow is known.
        for (subflow, shown) in [(0, &ends), (1, &Ends::new(2, 1, false, false))] {
            for (end, long) in [(SERVER, false), (CLIENT, true)] {
                let dss = ends.dss(end, 10 * u64::from(subflow), 1, b"0123456789", false, long);
                scene.send(&carrying(shown, subflow, end, 1, dss, b"0123456789"));
            }
        }
        let report = scene.report();
        assert_eq!(report.connection_count(), if found.is_some() { 1 } else { 2 });
        assert_eq!(report.header().tcp_connections.seen, report.connection_count() as u64);
        let connection = report.connection(0);
        if let Some(found) = found {
            assert_eq!((connection.client.key, connection.server.key), found);
            let sent = [&connection.directions.client_to_server, &connection.directions.server_to_client];
            assert_eq!(sent.map(|direction| (direction.bytes, direction.missing_bytes)), [(Some(20), Some(0)); 2]);
        }
    }
}

/// The key in MP_FASTCLOSE is right where it was given.
#[test]
fn a_given_key_makes_that_of_a_fastclose_right() {
    let ends = Ends::new(1, 1, false, false);
    for (keys, words) in [(vec![], "nothing else"), (vec![ends.keys[SERVER]], "the right key")] {
        let mut scene = Scene { tracker: Tracker::new(Config { keys, ..Config::default() }), ..Scene::new() };
        scene.exchange(&ends, (&ends, 0), CLIENT, [0, 0], b"hello");
        let close = MpFastclose { key: ends.keys[SERVER], reserved: 0 };
        scene.send(&packet(&ends, 0, CLIENT, ACK, 6).with(&MptcpOption::MpFastclose(close)));
        let found = scene.report().connection(0).findings;
        let message = &found.iter().find(|finding| finding.id == "fastclose").expect("it").message;
        assert!(message.contains(words), "{message}");
    }
}

/// Short numbers of both streams and a known address tell subflows apart while few connections began before the capture.
#[test]
fn short_numbers_tell_subflows_of_few_connections_apart() {
    for (others, found) in [(0, 1), (20, 1), (100, 2)] {
        let ends = Ends::new(1, 0, false, false);
        let mut scene = Scene::new();
        let mut send = |ends: &Ends, shown: &Ends, subflow, offset| {
            let short = |end| RawSequence::Short(ends.idsn(end).wrapping_add(1 + offset) as u32);
            let mapping = ends.dss(CLIENT, offset, 1, b"hello", false, false).mapping;
            let dss = Dss::new(Some(short(SERVER)), mapping, false);
            scene.send(&carrying(shown, subflow, CLIENT, 1, dss, b"hello"));
        };
        send(&ends, &ends, 0, 0);
        for other in 0..others {
            let other = Ends::new(10 + other, 0, false, false);
            send(&other, &other, 0, 0);
        }
        send(&ends, &ends, 1, 5);
        let report = scene.report();
        assert_eq!(report.connection_count(), usize::from(others) + found, "{others} others");
        assert_eq!(report.connection(0).subflows.len(), 3 - found);
    }
}

/// A join whose SYN is missing, beside the connection's own handshake, with short numbers: they tell that it is the connection's.
#[test]
fn short_numbers_place_a_join_without_its_syn() {
    for steps in [1..3, 2..3, 3..3] {
        let ends = Ends::new(1, 0, true, false);
        let mut scene = Scene::new();
        scene.connect(&ends);
        scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
        for step in steps {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            let option = MptcpOption::MpJoin(ends.join(step, CLIENT, 1));
            scene.send(&packet(&ends, 1, end, flags, u32::from(step > 1)).with(&option));
        }
        let ack = RawSequence::Short(ends.idsn(SERVER).wrapping_add(1) as u32);
        let mapping = ends.dss(CLIENT, 5, 1, b" there", false, false).mapping;
        scene.send(&carrying(&ends, 1, CLIENT, 1, Dss::new(Some(ack), mapping, false), b" there"));
        let report = scene.report();
        assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
        let connection = report.connection(0);
        let data = &connection.directions.client_to_server;
        assert_eq!((data.bytes, data.missing_bytes, data.checksums.verified), (Some(11), Some(0), 2));
        assert_eq!([0, 1].map(|at| connection.subflows[at].role), [Some("initial"), Some("join")]);
    }
}

/// Only low halves of DSNs show: checksums, in which the high half counts, prove a key that was given, and are verified with it.
#[test]
fn checksums_prove_a_given_key() {
    for version in [0, 1] {
        let ends = Ends::new(1, version, true, false);
        for (given, verified) in [(ends.keys[CLIENT], 3), (Key([9; 8]), 0)] {
            let config = Config { keys: vec![given], ..Config::default() };
            let mut scene = Scene { tracker: Tracker::new(config), ..Scene::new() };
            for number in 0..3 {
                let offset = 100 + 5 * number;
                let dss = ends.dss(CLIENT, u64::from(offset), offset, b"hello", false, false);
                scene.send(&carrying(&ends, 0, CLIENT, offset, dss, b"hello"));
            }
            let connection = scene.report().connection(0);
            let checksums = &connection.directions.client_to_server.checksums;
            assert_eq!(connection.client.key, Some(given).filter(|_| verified > 0));
            assert_eq!((checksums.verified, checksums.mismatch, checksums.unverifiable), (verified, 0, 3 - verified));
        }
    }
}

/// Two taps, of which now one, now the other shows a subflow first: the connection has all of them, and so has its view.
#[test]
fn subflows_that_another_tap_shows_first_are_the_connections_own() {
    for joined in [false, true] {
        let ends = Ends::new(1, 1, false, false);
        let mut scene =
            Scene { tracker: Tracker::new(Config { compare: Compare::Inputs, ..Config::default() }), ..Scene::new() };
        let mut packets = Vec::new();
        for subflow in 0..2_u8 {
            let first = u16::from(subflow);
            if joined {
                let handshake = |step, end, flags, ssn| {
                    let option = if subflow == 0 {
                        MptcpOption::MpCapable(ends.capable(step))
                    } else {
                        MptcpOption::MpJoin(ends.join(step, CLIENT, subflow))
                    };
                    packet(&ends, subflow, end, flags, ssn).with(&option)
                };
                packets.push((first, handshake(0, CLIENT, SYN, 0)));
                packets.push((first, handshake(1, SERVER, SYN | ACK, 0)));
                packets.push((first, handshake(2, CLIENT, ACK, 1)));
            }
            for part in 0..3 {
                let offset = 10 * (3 * u64::from(subflow) + part);
                let ack = RawSequence::Long(ends.idsn(SERVER).wrapping_add(1));
                let mapping = ends.dss(CLIENT, offset, 10 * part as u32 + 1, b"0123456789", false, true).mapping;
                let dss = Dss::new(Some(ack), mapping, false);
                packets.push((first, carrying(&ends, subflow, CLIENT, 10 * part as u32 + 1, dss, b"0123456789")));
            }
        }
        for (ip_id, (first, packet)) in packets.into_iter().enumerate() {
            for input in [first, 1 - first] {
                scene.frames += 1;
                scene.time += 1_000_000;
                let packet = Packet { time: scene.time, ip_id: ip_id as u16 + 1, tap: (input, 0), ..packet.clone() };
                packet.feed(scene.frames, &mut scene.tracker, &mut Silent);
            }
        }
        let report = scene.report();
        assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
        let connection = report.connection(0);
        let sent = &connection.directions.client_to_server;
        assert_eq!(
            (connection.subflows.len(), sent.bytes, sent.missing_bytes),
            (2, Some(60), Some(0)),
            "joined: {joined}"
        );
        assert_eq!(connection.views.len(), 1);
    }
}

/// Numbers of connections that were told to be part of another.
#[derive(Default)]
struct Absorbed(Vec<(u64, u64)>);

impl Observer for Absorbed {
    fn event(&mut self, event: Event) {
        if let What::Absorbed(number) = event.what {
            self.0.push((event.number.expect("a number"), number));
        }
    }
}

/// What one segment does not tell, those before it and those of the other direction do; the younger becomes part of the older.
#[test]
fn connections_become_one_when_both_streams_have_shown() {
    let [ends, other] = [1, 2].map(|number| Ends::new(number, 1, false, false));
    let (known, elsewhere) = ((&ends, 0), (&other, 1));
    // Place, sender, offset and acknowledged bytes, payload.
    let acks_only: [(_, _, _, &[u8]); 4] = [
        (known, CLIENT, [0, 0], b"hello"),
        (known, SERVER, [0, 5], b"hello"),
        (elsewhere, CLIENT, [0, 5], b""),
        (elsewhere, SERVER, [0, 5], b""),
    ];
    let older_knows_less: [(_, _, _, &[u8]); 3] =
        [(known, CLIENT, [0, 5], b""), (elsewhere, CLIENT, [0, 5], b"hello"), (known, SERVER, [5, 5], b" there")];
    for segments in [&acks_only[..], &older_knows_less[..]] {
        let (mut tracker, mut absorbed) = (Tracker::new(Config::default()), Absorbed::default());
        for (at, &(place, end, data, payload)) in segments.iter().enumerate() {
            let mut packet = exchanged(&ends, place, end, data, payload);
            packet.time = 1_700_000_000_000_000_000 + at as i64;
            packet.feed(at as u64 + 1, &mut tracker, &mut absorbed);
        }
        tracker.finish(&mut absorbed);
        assert_eq!(absorbed.0, [(1, 2)]);
        let report = TrackedReport::new(tracker, Vec::new(), 0);
        assert_eq!((report.connection_count(), report.header().tcp_connections.seen), (1, 1));
        let connection = report.connection(0);
        assert_eq!((connection.id, connection.subflows.len()), (1, 2));
    }
}

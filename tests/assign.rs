//! Which connection a segment belongs to, where the capture makes that hard to tell: keys given by hand, joins
//! whose packets come out of order, 4-tuples that are used again.
#![cfg(feature = "cli")]

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a package of its own, with its own lints")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;
#[allow(dead_code, reason = "written for attacks, which need more")]
#[path = "hostile/scene.rs"]
mod scene;

use fuzz::world::{ACK, Ends, Packet, SYN};
use mptcp_inspect::crypto::{Key, identify};
use mptcp_inspect::model::Subflow;
use mptcp_inspect::report::{Report, TrackedReport};
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::{Dss, MpFail, MpJoin, MpTcprst, MptcpOption, RawSequence};
use scene::{CLIENT, SERVER, Scene, packet};

const FIN: u8 = 1;
const RST: u8 = 4;

/// A scene in which these keys are given.
fn given(keys: &[Key]) -> Scene {
    Scene { tracker: Tracker::new(Config { keys: keys.to_vec(), ..Config::default() }), ..Scene::new() }
}

impl Scene {
    /// A DATA_ACK by `end` of the first `offset` bytes.
    fn data_ack(&mut self, ends: &Ends, subflow: u8, end: usize, offset: u64) {
        let ack = RawSequence::Long(ends.idsn(1 - end).wrapping_add(1 + offset));
        let dss = Dss::new(Some(ack), None, false);
        self.send(&packet(ends, subflow, end, ACK, 1).with(&MptcpOption::Dss(dss)));
    }
}

/// Token and both HMACs of so many joins.
#[track_caller]
fn all_proven(joins: &[Subflow], count: usize) {
    assert_eq!(joins.len(), count);
    for subflow in joins {
        let proof = format!("{:?}", subflow.join);
        assert_eq!(proof.matches("Verified").count(), 3, "{proof}");
    }
}

/// The capture begins behind the handshake: keys given by hand prove the connection, and then its joins are its own.
#[test]
fn given_keys_bring_a_connection_its_joins() {
    for version in [0, 1] {
        // Where data of the client shows on a join only, the join's HMAC proves its key.
        for shown in [true, false] {
            let ends = Ends::new(1, version, true, false);
            let mut scene = given(&[Key([9; 8]), ends.keys[SERVER], ends.keys[CLIENT]]);
            scene.data_ack(&ends, 0, CLIENT, 0);
            if shown {
                scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
            }
            scene.join(&ends, 1);
            scene.data(&ends, 1, CLIENT, 5, 1, b" there");
            let report = scene.report();
            assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0), "v{version}");
            let connection = report.connection(0);
            assert_eq!((connection.client.key, connection.server.key), (Some(ends.keys[0]), Some(ends.keys[1])));
            all_proven(&connection.subflows[1..], 1);
            let data = &connection.directions.client_to_server;
            let expected = if shown { (11, 0, 2) } else { (6, 0, 1) };
            let (bytes, missing, verified) = expected;
            assert_eq!(
                (data.bytes, data.missing_bytes, data.checksums.verified),
                (Some(bytes), Some(missing), verified)
            );
        }
    }
}

/// Only a join is in the capture: both keys given prove it, and it stays without its connection.
#[test]
fn given_keys_prove_a_join_alone() {
    for version in [0, 1] {
        let ends = Ends::new(1, version, true, false);
        for (keys, proven) in [(vec![ends.keys[0], ends.keys[1]], 3), (vec![Key([9; 8]), ends.keys[1]], 1)] {
            let mut scene = given(&keys);
            scene.join(&ends, 1);
            scene.data(&ends, 1, CLIENT, 5, 1, b" there");
            let report = scene.report();
            assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (0, 1));
            let proof = format!("{:?}", report.orphans(&|_| true, 9)[0].subflows[0].join);
            assert_eq!(proof.matches("Verified").count(), proven, "{proof}");
        }
    }
}

/// SYN and SYN/ACK are in the capture, and the client's key in none of its packets.
#[test]
fn a_given_key_stands_in_for_the_third_ack() {
    for given_key in [true, false] {
        for data in [true, false] {
            let ends = Ends::new(1, 1, true, false);
            let mut scene = given(if given_key { &ends.keys } else { &ends.keys[SERVER..] });
            for (step, end, flags) in [(0, CLIENT, SYN), (1, SERVER, SYN | ACK)] {
                scene.send(&packet(&ends, 0, end, flags, 0).with(&MptcpOption::MpCapable(ends.capable(step))));
            }
            if data {
                scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
            }
            scene.join(&ends, 1);
            let report = scene.report();
            let connection = report.connection(0);
            assert_eq!(connection.client.key, given_key.then_some(ends.keys[CLIENT]));
            let source = connection.client.key_source;
            assert_eq!(source, given_key.then_some("command_line"));
            if given_key {
                all_proven(&connection.subflows[1..], 1);
            }
        }
    }
}

/// A join in which each packet comes behind the one that answers it, as in captures of both directions with clocks apart.
fn join_backwards(scene: &mut Scene, ends: &Ends, opener: usize) {
    let steps = [(1, 1 - opener, SYN | ACK), (0, opener, SYN), (2, opener, ACK)];
    for (step, end, flags) in steps {
        scene.send(&of_join(ends, opener, end, flags, u32::from(step > 1)).with(&join_option(ends, step, opener)));
    }
}

fn join_option(ends: &Ends, step: u8, opener: usize) -> MptcpOption<'static> {
    MptcpOption::MpJoin(ends.join(step, opener, 1))
}

/// A segment of a join that `opener` opened.
fn of_join(ends: &Ends, opener: usize, end: usize, flags: u8, ssn: u32) -> Packet {
    Packet { tuple: ends.tuple(end, opener, 1), ..packet(ends, 1, end, flags, ssn) }
}

#[test]
fn a_join_whose_syn_comes_late_is_its_connections() {
    for opener in [CLIENT, SERVER] {
        for known in [true, false] {
            let ends = Ends::new(1, 1, true, false);
            let mut scene = Scene::new();
            // The token tells at once, or when the connection shows the key.
            if known {
                scene.connect(&ends);
            }
            join_backwards(&mut scene, &ends, opener);
            let mut data = of_join(&ends, opener, CLIENT, ACK, 1);
            data.payload = b"hello".to_vec();
            scene.send(&data.with(&MptcpOption::Dss(ends.dss(CLIENT, 0, 1, b"hello", false, true))));
            if !known {
                scene.connect(&ends);
            }
            let report = scene.report();
            assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0), "opened by {opener}");
            let connection = report.connection(0);
            all_proven(&connection.subflows[1..], 1);
            assert_eq!(connection.directions.client_to_server.bytes, Some(5));
        }
    }
}

/// Two joins of one token without their connection, the SYN of one late: they are one group.
#[test]
fn late_joins_without_their_connection_are_grouped() {
    let ends = Ends::new(1, 1, true, false);
    let mut scene = Scene::new();
    scene.join(&ends, 2);
    join_backwards(&mut scene, &ends, CLIENT);
    let report = scene.report();
    let orphans = report.orphans(&|_| true, 9);
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0].subflows.len(), 2);
}

/// Two servers' keys with the same token (by hashlib: SHA-1 22404517, SHA-256 0aba3924).
const SAME_TOKEN: [[u64; 2]; 2] =
    [[0x7726_7548_8d4d_019f, 0xb4c8_317f_22d9_1bdc], [0xa90b_c5d4_1787_e9ff, 0x8cfd_bdd4_4b86_f219]];

/// Two live connections to one server have the same token: the HMAC of a join says whose it is; where none was captured, its
/// addresses do.
#[test]
fn the_hmac_decides_between_connections_with_the_same_token() {
    for version in [0, 1] {
        for handshake in [3, 2, 1] {
            let both = [0_u8, 1].map(|number| {
                let mut ends = Ends::new(number, version, true, false);
                ends.keys[SERVER] = Key(SAME_TOKEN[usize::from(version)][usize::from(number)].to_be_bytes());
                ends
            });
            // Addresses that neither has used.
            let elsewhere = Ends::new(7, version, true, false);
            let mut scene = Scene::new();
            for ends in &both {
                scene.connect(ends);
            }
            for step in 0..handshake {
                for (subflow, ends) in (1..).zip(&both) {
                    let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
                    let option = MptcpOption::MpJoin(ends.join(step, CLIENT, 1));
                    scene.send(&packet(&elsewhere, subflow, end, flags, u32::from(step > 1)).with(&option));
                }
            }
            if handshake == 3 {
                for (subflow, ends) in (1..).zip(&both) {
                    let dss = MptcpOption::Dss(ends.dss(CLIENT, 0, 1, b"hello", false, true));
                    let mut data = packet(&elsewhere, subflow, CLIENT, ACK, 1).with(&dss);
                    data.payload = b"hello".to_vec();
                    scene.send(&data);
                }
            }
            let report = scene.report();
            assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (2, 0), "v{version}");
            let joins: Vec<usize> = [0, 1].map(|index| report.connection(index).subflows.len() - 1).to_vec();
            if handshake == 1 {
                assert_eq!(joins.iter().sum::<usize>(), 2);
                continue;
            }
            assert_eq!(joins, [1, 1]);
            for connection in [report.connection(0), report.connection(1)] {
                let proof = format!("{:?}", connection.subflows[1].join);
                assert_eq!(proof.matches("Verified").count(), usize::from(handshake), "{proof}");
                let data = &connection.directions.client_to_server;
                let expected = if handshake == 3 { (Some(5), Some(0), 1) } else { (Some(0), Some(0), 0) };
                assert_eq!((data.bytes, data.missing_bytes, data.checksums.verified), expected);
            }
        }
    }
}

/// A 4-tuple is used again, and the capture lacks the SYN, or the SYN/ACK as well: what comes is of another connection.
#[test]
fn a_closed_tuple_is_opened_anew_unseen() {
    for version in [0, 1] {
        for first_seen in [1, 2] {
            let ends = Ends::new(1, version, true, false);
            let mut again = ends.clone();
            again.keys = [Key([0x31; 8]), Key([0x32; 8])];
            let mut scene = Scene::new();
            scene.connect(&ends);
            scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
            for end in [CLIENT, SERVER] {
                let ssn = if end == CLIENT { 6 } else { 1 };
                scene.send(&packet(&ends, 0, end, FIN | ACK, ssn));
            }
            scene.time += 90_000_000_000;
            let moved = |mut packet: Packet| {
                packet.seq = packet.seq.wrapping_add(0x7000_0000);
                packet.ack = packet.ack.wrapping_add(0x7000_0000);
                packet
            };
            for step in first_seen..3 {
                let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
                let option = MptcpOption::MpCapable(again.capable(step));
                scene.send(&moved(packet(&again, 0, end, flags, u32::from(step > 1))).with(&option));
            }
            let dss = MptcpOption::Dss(again.dss(CLIENT, 0, 1, b"again", false, true));
            let mut data = moved(packet(&again, 0, CLIENT, ACK, 1)).with(&dss);
            data.payload = b"again".to_vec();
            scene.send(&data);
            let report = scene.report();
            assert_eq!(report.connection_count(), 2, "v{version} from step {first_seen}");
            for (index, ends) in [ends, again].iter().enumerate() {
                let connection = report.connection(index);
                let data = &connection.directions.client_to_server;
                assert_eq!((data.bytes, data.checksums.verified, data.checksums.mismatch), (Some(5), 1, 0));
                assert_eq!(connection.server.key, Some(ends.keys[SERVER]));
                assert!(connection.findings.iter().all(|finding| finding.id != "keys-contradict"));
            }
        }
    }
}

/// The third ACK names another key of the server than the SYN/ACK: DATA_ACKs and the DATA_FIN prove that of the SYN/ACK.
#[test]
fn the_data_decides_between_contradicting_keys() {
    for version in [0, 1] {
        let ends = Ends::new(1, version, true, false);
        let mut scene = Scene::new();
        for step in 0..3 {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            let mut capable = ends.capable(step);
            capable.receiver_key = capable.receiver_key.map(|_| Key([0x22; 8]));
            let option = MptcpOption::MpCapable(capable);
            scene.send(&packet(&ends, 0, end, flags, u32::from(step > 1)).with(&option));
        }
        scene.data_ack(&ends, 0, CLIENT, 0);
        let fin = ends.dss(SERVER, 0, 0, b"", true, true);
        scene.send(&packet(&ends, 0, SERVER, ACK, 1).with(&MptcpOption::Dss(fin)));
        let connection = scene.report().connection(0);
        assert_eq!(connection.server.key, Some(ends.keys[SERVER]));
        assert!(connection.directions.server_to_client.data_fin.is_some());
        let found: Vec<_> = connection.findings.iter().map(|finding| finding.id).collect();
        assert_eq!(found, ["keys-contradict"]);
    }
}

/// Bit C of MP_CAPABLE forbids joins in version 1; in version 0 it stands for an algorithm (RFC 6824 §3.1).
#[test]
fn the_c_flag_is_of_version_1() {
    for version in [0, 1] {
        let ends = Ends::new(1, version, false, false);
        let mut scene = Scene::new();
        for step in 0..3 {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            let mut capable = ends.capable(step);
            capable.flags |= 0x20;
            let option = MptcpOption::MpCapable(capable);
            scene.send(&packet(&ends, 0, end, flags, u32::from(step > 1)).with(&option));
        }
        scene.join(&ends, 1);
        let denied = |finding: &mptcp_inspect::model::Finding| finding.id == "join-despite-c-flag";
        assert_eq!(scene.report().connection(0).findings.iter().any(denied), version == 1);
    }
}

/// What a join shows is told of its connection, whether the connection's handshake comes before or behind it.
#[test]
fn a_join_tells_the_same_before_and_behind_its_connection() {
    let told = |version: u8, late: bool| {
        let ends = Ends::new(1, version, true, false);
        let mut scene = Scene::new();
        if !late {
            scene.connect(&ends);
        }
        scene.join(&ends, 1);
        scene.data(&ends, 1, CLIENT, 0, 1, b"hello");
        for (end, offset) in [(CLIENT, 5), (SERVER, 0)] {
            let fin = ends.dss(end, offset, 0, b"", true, true);
            scene.send(&packet(&ends, 1, end, ACK, 1 + offset as u32).with(&MptcpOption::Dss(fin)));
        }
        let fail = MptcpOption::MpFail(MpFail { dsn: ends.idsn(CLIENT) + 1, reserved: 0 });
        scene.send(&packet(&ends, 1, SERVER, ACK, 1).with(&fail));
        scene.send(&packet(&ends, 1, SERVER, RST | ACK, 1));
        if late {
            scene.connect(&ends);
        }
        let report = scene.report();
        let connection = report.connection(0);
        let data = &connection.directions.client_to_server;
        let findings: std::collections::BTreeSet<_> = connection.findings.iter().map(|finding| finding.id).collect();
        let fin = data.data_fin.as_ref().map(|fin| fin.acked);
        (findings, data.bytes, fin, data.checksums.verified, connection.outcome, connection.close)
    };
    for version in [0, 1] {
        assert_eq!(told(version, true), told(version, false), "v{version}");
    }
}

/// A join of the server is first taken for one of a client: who sent its RST turns with the sides when it is known better.
#[test]
fn who_sent_a_reset_turns_with_the_sides_of_an_adopted_join() {
    for resetter in [CLIENT, SERVER] {
        let ends = Ends::new(1, 1, true, false);
        let mut scene = Scene::new();
        for (step, end, flags) in [(0, SERVER, SYN), (1, CLIENT, SYN | ACK), (2, SERVER, ACK)] {
            let option = join_option(&ends, step, SERVER);
            scene.send(&of_join(&ends, SERVER, end, flags, u32::from(step > 1)).with(&option));
        }
        scene.send(&of_join(&ends, SERVER, resetter, RST | ACK, 1));
        scene.connect(&ends);
        let report = scene.report();
        assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
        let join = &report.connection(0).subflows[1];
        assert_eq!(join.initiator, Some("server"));
        let by = join.reset.as_ref().expect("a RST").by;
        assert_eq!(by, Some(["client", "server"][resetter]));
    }
}

/// Ends that choose their first sequence numbers without chance: an initial subflow is opened twice with the same ones.
fn opened_twice(version: u8, between: &dyn Fn(&mut Scene, &Ends)) -> TrackedReport {
    let ends = Ends::new(1, version, true, false);
    let mut again = ends.clone();
    again.keys = [Key([0x31; 8]), Key([0x32; 8])];
    let mut scene = Scene::new();
    scene.connect(&ends);
    scene.data(&ends, 0, CLIENT, 0, 1, b"one");
    between(&mut scene, &ends);
    scene.connect(&again);
    scene.data(&again, 0, CLIENT, 0, 1, b"two");
    scene.report()
}

#[test]
fn a_closed_tuple_is_opened_anew_with_the_same_sequence_number() {
    let reset = |scene: &mut Scene, ends: &Ends| scene.send(&packet(ends, 0, SERVER, RST | ACK, 1));
    let fins = |scene: &mut Scene, ends: &Ends| {
        scene.send(&packet(ends, 0, CLIENT, FIN | ACK, 4));
        scene.send(&packet(ends, 0, SERVER, FIN | ACK, 1));
    };
    let count = |version, close: &dyn Fn(&mut Scene, &Ends), seconds: i64| {
        let report = opened_twice(version, &|scene, ends| {
            close(scene, ends);
            scene.time += seconds * 1_000_000_000;
        });
        let last = report.connection_count() - 1;
        (report.connection_count(), report.connection(last).server.key == Some(Key([0x32; 8])))
    };
    // The key of the SYN tells, or the time.
    assert_eq!(count(0, &reset, 0), (2, true));
    assert_eq!(count(0, &fins, 0), (2, true));
    assert_eq!(count(1, &reset, 5), (2, true));
    assert_eq!(count(1, &fins, 5), (2, true));
    // Neither does, but the keys in the third ACK.
    assert_eq!(count(1, &fins, 0), (2, true));
    // The first is alive.
    assert_eq!(count(1, &|_, _| (), 5).0, 1);
    assert_eq!(count(0, &|_, _| (), 5).0, 1);
}

#[test]
fn a_syn_that_comes_again_after_the_end_opens_nothing() {
    for version in [0, 1] {
        let ends = Ends::new(1, version, true, false);
        let mut scene = Scene::new();
        let syn = packet(&ends, 0, CLIENT, SYN, 0).with(&MptcpOption::MpCapable(ends.capable(0)));
        scene.send(&syn);
        // Refused: the client may have sent it again before it knew.
        scene.send(&packet(&ends, 0, SERVER, RST | ACK, 0));
        scene.time += 3_000_000_000;
        scene.send(&syn);
        let report = scene.report();
        assert_eq!(report.connection_count(), 1, "v{version}");
    }
}

#[test]
fn a_join_is_made_again_with_the_same_sequence_number() {
    for (other, subflows) in [(true, 3), (false, 2)] {
        let ends = Ends::new(1, 1, true, false);
        let mut scene = Scene::new();
        scene.connect(&ends);
        scene.join(&ends, 1);
        scene.send(&packet(&ends, 1, SERVER, RST | ACK, 1));
        for step in 0..3 {
            let (end, flags) = [(CLIENT, SYN), (SERVER, SYN | ACK), (CLIENT, ACK)][usize::from(step)];
            // Another nonce, as another subflow has, from the same port.
            let option = MptcpOption::MpJoin(ends.join(step, CLIENT, if other { 2 } else { 1 }));
            scene.send(&packet(&ends, 1, end, flags, u32::from(step > 1)).with(&option));
        }
        scene.data(&ends, 1, CLIENT, 0, 1, b"hello");
        let report = scene.report();
        let connection = report.connection(0);
        all_proven(&connection.subflows[1..], subflows - 1);
        let last = &connection.subflows[subflows - 1];
        assert_eq!(last.directions.client_to_server.data_bytes, Some(5));
    }
}

/// Without an IP identification, RSTs at two taps are the same one only if they have the same options.
#[test]
fn a_bare_rst_is_no_copy_of_one_with_a_reason() {
    for (reason, copies) in [(true, 1), (false, 0)] {
        let ends = Ends::new(1, 1, false, false);
        let mut scene = Scene::new();
        scene.connect(&ends);
        let bare = packet(&ends, 0, SERVER, RST, 1);
        let told = bare.clone().with(&MptcpOption::MpTcprst(MpTcprst { flags: 0, reason: 1 }));
        for (interface, packet) in [&told, if reason { &told } else { &bare }].into_iter().enumerate() {
            scene.frames += 1;
            let packet = Packet { time: scene.time, ip_id: 0, tap: (0, interface as u16), ..packet.clone() };
            packet.feed(scene.frames, &mut scene.tracker, &mut Silent);
        }
        assert_eq!(scene.report().header().capture.duplicates, copies);
    }
}

/// A client that joins with its own token, not the server's, is the client all the same, and its token is wrong.
#[test]
fn a_join_with_a_token_of_its_own_is_not_the_other_ends() {
    for (named, verdict) in [(SERVER, "Verified"), (CLIENT, "Mismatch")] {
        let ends = Ends::new(1, 1, false, false);
        let mut scene = Scene::new();
        scene.connect(&ends);
        scene.data(&ends, 0, CLIENT, 0, 1, b"hello");
        let mut join = ends.join(0, CLIENT, 1);
        if let MpJoin::Syn { token, .. } = &mut join {
            *token = identify(ends.suite(), ends.keys[named]).token;
        }
        scene.send(&packet(&ends, 1, CLIENT, SYN, 0).with(&MptcpOption::MpJoin(join)));
        let report = scene.report();
        assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
        let subflow = &report.connection(0).subflows[1];
        assert_eq!(subflow.initiator, Some("client"));
        let check = format!("{:?}", subflow.join.as_ref().expect("a join").token_check);
        assert!(check.starts_with(verdict), "{check}");
    }
}

//! What is known of a packet only because two places show it, or one of them does not.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::TcpOption;

use super::data::checksum;
use super::silent;
use crate::script::*;

/// One 4-tuple has several connections, and a second capture shows all of them later, by a wrong clock: each is compared with
/// itself.
#[test]
fn a_tuple_that_is_used_again_at_two_places() {
    in_both_versions(|_| {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            for number in 0..3 {
                let mut flow =
                    Flow::new(CLIENT, SERVER).rewound(Client, -9000 * number).rewound(Server, -7000 * number);
                let (asked, answered, confirmed) = handshake();
                script.send(&mut flow, Client, SYN, &[asked], 0);
                script.send(&mut flow, Server, SYN | ACK, &[answered], 0);
                script.send(&mut flow, Client, ACK, &[confirmed], 0);
                script.data(&mut flow, Client, 0, 1, 100);
                script.send(&mut flow, Client, RST | ACK, &[fastclose(SERVER_KEY)], 0);
            }
        }
        let report = script.report();
        assert_eq!(report.connection_count(), 3);
        assert!((0..3).all(|index| report.connection(index).views.len() == 1));
        let ids = script.ids();
        assert!(!ids.iter().any(|id| id.starts_with("path-")), "{ids:?}");
    });
}

/// A join that a device refuses, that gets lost, or whose answer does, with a capture at each end: which of these it was shows,
/// unless the capture that lacks it has ended by then.
#[test]
fn joins_that_one_end_shows() {
    let cases = [(false, Some(RST | ACK)), (false, None), (true, Some(SYN | ACK))];
    for ((syn_comes, answer), ends) in cases.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let mut script = Script::default();
        // Each end with the two packet types of its cooked capture: what it sends leaves, what the other sends comes in.
        let at = |script: &mut Script, input: u16, side| {
            script.input = input;
            script.cooked = Some((2, if (side == Client) == (input == 0) { 4 } else { 0 }));
        };
        let both = |script: &mut Script, flow: &mut Flow, side, flags, options: &[TcpOption<'_>]| {
            let before = flow.clone();
            at(script, 0, side);
            script.send(flow, side, flags, options, 0);
            at(script, 1, side);
            script.send(&mut before.clone(), side, flags, options, 0);
        };
        let mut flow = Flow::new(CLIENT, SERVER);
        let (asked, answered, confirmed) = handshake();
        both(&mut script, &mut flow, Client, SYN, &[asked]);
        both(&mut script, &mut flow, Server, SYN | ACK, &[answered]);
        both(&mut script, &mut flow, Client, ACK, &[confirmed]);
        let mut join = Flow::new(CLIENT_2, SERVER);
        let (syn, syn_ack) = (join.join_syn(2, false), join.join_syn_ack(false));
        if syn_comes {
            both(&mut script, &mut join, Client, SYN, &[syn]);
            at(&mut script, 1, Server);
            script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
        } else {
            at(&mut script, 0, Client);
            script.send(&mut join, Client, SYN, &[syn], 0);
            if let Some(flags) = answer {
                at(&mut script, 0, Server);
                script.send(&mut join, Server, flags, &[], 0);
            }
        }
        for _ in 0..5 {
            for side in [Client, Server] {
                let option = data_ack(side.peer(), 0);
                if ends {
                    at(&mut script, u16::from(!syn_comes) ^ 1, side);
                    script.send(&mut flow, side, ACK, &[option], 0);
                } else {
                    both(&mut script, &mut flow, side, ACK, &[option]);
                }
            }
        }
        if ends {
            silent(&script, "path-forged-reset");
            silent(&script, "join-unanswered");
            continue;
        }
        let (id, words) = match (syn_comes, answer) {
            (false, Some(_)) => ("path-forged-reset", "input-1.pcap, which was captured at the server, shows neither"),
            (false, None) => ("join-unanswered", "input-1.pcap, which was captured at the server, does not show it"),
            (true, _) => ("join-unanswered", "the server answered (frame 2#5), and the answer is lost on the way back"),
        };
        let found = script.the(id);
        assert!(found.message.contains(words), "{found:?}");
        silent(&script, "join-refused-without-reason");
    }
}

/// A router that translates addresses was captured on both sides: its connections show once, and nothing counts twice.
#[test]
fn both_sides_of_a_nat() {
    in_both_versions(|version| {
        let (outside, outside_2) = (([192, 0, 2, 1], 6000), ([192, 0, 2, 1], 6001));
        let mut script = Script::default();
        let (asked, answered, confirmed) = handshake();
        let mut flow = Flow::new(CLIENT, SERVER);
        let mut both = |script: &mut Script, side, flags, options: &[TcpOption<'_>], payload| {
            script.send(&mut flow, side, flags, options, payload);
            script.translated(1, CLIENT, outside);
        };
        both(&mut script, Client, SYN, &[asked], 0);
        both(&mut script, Server, SYN | ACK, &[answered], 0);
        both(&mut script, Client, ACK, &[confirmed], 0);
        both(&mut script, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
        both(&mut script, Server, ACK, &[mapping(Server, 0, 1, 50, None)], 50);
        let mut join = Flow::new(CLIENT_2, SERVER);
        for (side, flags) in [(Client, SYN), (Server, SYN | ACK), (Client, ACK)] {
            let option = match (side, flags) {
                (_, SYN) => join.join_syn(1, false),
                (Server, _) => join.join_syn_ack(false),
                _ => join.join_ack(),
            };
            script.send(&mut join, side, flags, &[option], 0);
            script.translated(1, CLIENT_2, outside_2);
        }
        let report = script.report();
        let capture = report.header().capture;
        assert_eq!(report.connection_count(), 1, "version {version}");
        assert_eq!(report.header().tcp_connections.seen, 1);
        assert_eq!((capture.tcp_segments, capture.mptcp_segments, capture.duplicates), (8, 8, 8));
        let connection = report.connection(0);
        let tuples = connection.subflows.iter().map(|subflow| {
            let [other] = subflow.also_seen_as.as_slice() else { panic!("{subflow:?}") };
            (subflow.source.address, subflow.source.port, other.source.address, other.source.port)
        });
        let expected = [(CLIENT, outside), (CLIENT_2, outside_2)]
            .map(|(inside, outside)| (inside.0.into(), inside.1, outside.0.into(), outside.1));
        assert_eq!(tuples.collect::<Vec<_>>(), expected);
        assert_eq!(connection.directions.client_to_server.bytes, Some(100));
        assert_eq!(connection.subflows[0].directions.client_to_server.retransmitted_bytes, 0);
        let findings: Vec<_> = connection.findings.iter().map(|found| (found.id, found.subflow)).collect();
        let id = "path-translated-addresses";
        assert_eq!(findings, [(id, Some(0)), (id, Some(1))]);
        // The first packet on each side.
        let frames = connection.findings.iter().map(|found| found.frames.iter().map(|frame| frame.id.number).collect());
        assert_eq!(frames.collect::<Vec<Vec<u64>>>(), [[1, 2], [11, 12]]);
    });
}

/// The payload is changed on the way, and its receiver says so: where the capture shows it first it is right, and so it is at the
/// sender, if it shows one place only.
#[test]
fn a_checksum_that_is_wrong_beyond_this_place() {
    for copied in [true, false] {
        let mut script = Script::default();
        let mut flow = script.open_with(0x81, 0x81);
        let option = mapping(Client, 0, 1, 100, Some(checksum(0, 1, 100)));
        script.send(&mut flow, Client, ACK, &[option], 100);
        if copied {
            for frame in 0..4 {
                script.copy(frame, 1);
            }
        }
        script.send(&mut flow, Server, ACK, &[fail(dsn(Client, 0)), data_ack(Client, 0)], 0);
        script.send(&mut flow, Client, ACK, &[infinite(Client, 0, 1)], 100);
        let message = script.the("fallback-mp-fail").message;
        let place = if copied { "where this capture shows the data first" } else { "where this capture was made" };
        assert!(message.contains(place), "{message}");
    }
}

/// Captures of both ends, of which one lacks the client's SYN, or ended behind it: the other has NOPs in the place of the third ACK's
/// option, or a wrong checksum.
#[test]
fn a_capture_without_the_syn_or_with_nothing_else() {
    in_both_versions(|_| {
        for (lacks_syn, changed) in [(true, false), (true, true), (false, true)] {
            let mut script = Script::default();
            let (asked, answered, confirmed) = handshake();
            // Each packet at the client, then at the server, or the other way round, 3 ms apart.
            let mut flows = [(); 2].map(|()| Flow::new(CLIENT, SERVER));
            let mut both = |script: &mut Script, side, flags, option: &TcpOption<'_>, payload| {
                let order = if side == Client { [0_u16, 1] } else { [1, 0] };
                for input in order {
                    script.input = input;
                    let flow = &mut flows[usize::from(input)];
                    if input == 1 && !lacks_syn && changed && flags == ACK && side == Client && payload == 0 {
                        script.send_raw(flow, side, flags, vec![1; 20], payload);
                    } else {
                        script.send(flow, side, flags, std::slice::from_ref(option), payload);
                    }
                    script.wait(-7 * MS);
                }
                script.wait(10 * MS);
            };
            both(&mut script, Client, SYN, &asked, 0);
            both(&mut script, Server, SYN | ACK, &answered, 0);
            both(&mut script, Client, ACK, &confirmed, 0);
            let checksum = changed.then_some(0x1234);
            both(&mut script, Client, ACK, &mapping(Client, 0, 1, 100, checksum), 100);
            both(&mut script, Server, ACK, &data_ack(Client, 100), 0);
            if lacks_syn {
                script.forget(0..1);
                let report = script.report();
                let view = &report.connection(0).views[0];
                let nearer = if view.input == "input-0.pcap" { "client" } else { "server" };
                assert_eq!(view.nearer_to, nearer);
            } else {
                script.forget_input_behind(0, 1);
                silent(&script, "path-changed-payload");
            }
        }
    });
}

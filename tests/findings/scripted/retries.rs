//! Handshakes that begin again, and what is left of those that were given up.

use mptcp_inspect::crypto::Nonce;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};

use super::silent;
use crate::script::*;

/// The client's RST answers the SYN/ACK, as it does where that comes in on another interface than the socket is bound to; then it
/// sends its SYN again. Three attempts are one subflow, and the last one counts.
#[test]
fn handshakes_that_begin_again_after_a_rst() {
    in_both_versions(|_| {
        for initial in [true, false] {
            let mut script = Script::default();
            if !initial {
                script.open();
            }
            let mut flow = if initial { Flow::new(CLIENT, SERVER) } else { Flow::new(CLIENT_2, SERVER) };
            let (asked, _, confirmed) = handshake();
            let syn = if initial { asked } else { flow.join_syn(2, false) };
            let mut last = 0;
            for attempt in 0..3 {
                flow.server_nonce = Nonce(7 + attempt);
                let key = if attempt < 2 { WRONG_KEY } else { SERVER_KEY };
                let answer = if initial { capable(1, Some(key), None) } else { flow.join_syn_ack(false) };
                let mut far = flow.clone().rewound(Server, -10_000 * attempt as i32);
                script.send(&mut far, Client, SYN, std::slice::from_ref(&syn), 0);
                script.send(&mut far, Server, SYN | ACK, &[answer], 0);
                if attempt == 2 {
                    flow = far;
                    break;
                }
                last = script.send(&mut far, Client, RST, &[], 0);
                script.wait(SECOND);
            }
            let ack = if initial { confirmed } else { flow.join_ack() };
            script.send(&mut flow, Client, ACK, &[ack], 0);
            script.data(&mut flow, Client, 0, 1, 100);
            script.send(&mut flow, Server, ACK, &[mapping(Server, 0, 1, 50, None)], 50);
            let report = script.report();
            assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
            let connection = report.connection(0);
            assert_eq!(connection.subflows.len(), if initial { 1 } else { 2 });
            let subflow = connection.subflows.last().expect("a subflow");
            assert_eq!((subflow.state, subflow.reset.is_none()), ("established", true));
            assert_eq!(connection.server.key, Some(SERVER_KEY));
            assert_eq!(connection.directions.server_to_client.bytes, Some(50));
            if let Some(join) = &subflow.join {
                assert_eq!(format!("{join:?}").matches("Verified").count(), 3);
            }
            let id = if initial { "syn-retransmitted" } else { "join-retransmitted" };
            let message = script.the(id).message;
            assert!(
                message.ends_with(&format!("with a RST in the client's name, the last in frame {last}.")),
                "{message}"
            );
            silent(&script, "subflow-reset");
            silent(&script, "connection-reset");
        }
    });
}

/// A connection closes while a join of it is under way that this capture shows nothing else of: no connection more.
#[test]
fn a_reset_that_gives_up_a_join_unseen() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let mut first = script.open();
        script.send(&mut first, Client, RST | ACK, &[fastclose(SERVER_KEY)], 0);
        let mut join = Flow::new(CLIENT_2, SERVER).unanswered();
        script.send(&mut join, Client, RST | ACK, &[fastclose(SERVER_KEY)], 0);
        let report = script.report();
        assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
        assert_eq!(report.header().tcp_connections.seen, 1);
    });
}

/// Handshakes that begin again, from a capture that lacks some of their packets: what shows of the attempt before is not taken for
/// a part of the last one.
#[test]
fn handshakes_that_begin_again_unseen() {
    in_both_versions(|_| {
        for initial in [true, false] {
            for lacks in ["the RST", "the SYN/ACK", "the SYN/ACK and the RST"] {
                let mut script = Script::at_ttl(63);
                if !initial {
                    script.open();
                }
                let mut flow = if initial { Flow::new(CLIENT, SERVER) } else { Flow::new(CLIENT_2, SERVER) };
                let (asked, answer, confirmed) = handshake();
                let syn = if initial { asked } else { flow.join_syn(2, false) };
                script.send(&mut flow.clone(), Client, SYN, std::slice::from_ref(&syn), 0);
                let old = if initial { capable(1, Some(WRONG_KEY), None) } else { flow.join_syn_ack(false) };
                let mut first = flow.clone();
                script.send(&mut first.clone(), Server, SYN | ACK, &[old], 0);
                if lacks == "the SYN/ACK" {
                    script.ttl = Some(64);
                    script.send(&mut first, Client, RST, &[], 0);
                    script.ttl = Some(63);
                }
                script.wait(SECOND);
                flow.server_nonce = Nonce(8);
                let mut flow = flow.rewound(Server, -16_000_000);
                script.send(&mut flow, Client, SYN, &[syn], 0);
                let at = script.frame_count();
                let new = if initial { answer } else { flow.join_syn_ack(false) };
                script.send(&mut flow, Server, SYN | ACK, &[new], 0);
                let ack = if initial { confirmed } else { flow.join_ack() };
                script.send(&mut flow, Client, ACK, &[ack], 0);
                script.data(&mut flow, Client, 0, 1, 100);
                script.send(&mut flow, Server, ACK, &[mapping(Server, 0, 1, 50, None)], 50);
                if lacks != "the RST" {
                    script.forget(at..at + 1);
                }
                let report = script.report();
                let connection = report.connection(0);
                assert_eq!(connection.directions.server_to_client.bytes, Some(50), "{lacks}");
                assert_eq!(connection.server.key, Some(SERVER_KEY));
                if let Some(join) = &connection.subflows.last().expect("a subflow").join {
                    let proof = format!("{join:?}");
                    let verified = if lacks == "the RST" { 3 } else { 1 };
                    assert_eq!(proof.matches("Verified").count(), verified, "{lacks}: {proof}");
                    assert!(!proof.contains("Mismatch"), "{lacks}: {proof}");
                }
                for id in ["keys-contradict", "join-hmac-mismatch", "subflow-reset-forged", "unmapped-payload"] {
                    silent(&script, id);
                }
            }
        }
    });
}

/// The same where neither the last SYN/ACK nor the third ACK was captured.
#[test]
fn a_handshake_that_began_again_and_was_not_captured_further() {
    for sent_again in [true, false] {
        let mut script = Script::default();
        let (asked, _, _) = handshake();
        let flow = Flow::new(CLIENT, SERVER);
        let mut first = flow.clone();
        script.send(&mut first, Client, SYN, std::slice::from_ref(&asked), 0);
        script.send(&mut first, Server, SYN | ACK, &[capable(1, Some(WRONG_KEY), None)], 0);
        script.send(&mut first, Client, RST, &[], 0);
        script.wait(SECOND);
        let mut flow = flow.rewound(Server, -16_000_000);
        let at = script.frame_count();
        script.send(&mut flow, Client, SYN, &[asked], 0);
        if !sent_again {
            script.forget(at..at + 1);
        }
        script.send(&mut flow, Server, ACK, &[data_ack(Client, 0)], 0);
        script.data(&mut flow, Client, 0, 1, 100);
        script.data(&mut flow, Server, 0, 1, 50);
        for id in ["sequence-out-of-reach", "subflow-reset-forged"] {
            silent(&script, id);
        }
    }
}

/// A long gap in the capture behind a SYN/ACK that was sent twice: what follows is of the same connection.
#[test]
fn a_gap_behind_a_repeated_syn_ack_is_no_other_attempt() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let (asked, answer, _) = handshake();
        let mut flow = Flow::new(CLIENT, SERVER);
        script.send(&mut flow, Client, SYN, std::slice::from_ref(&asked), 0);
        script.send(&mut flow, Server, SYN | ACK, std::slice::from_ref(&answer), 0);
        script.wait(SECOND);
        script.again(&mut flow, Client, SYN, &[asked], 0);
        let mut flow = flow.rewound(Client, -300).rewound(Server, -1_000_000);
        script.send(&mut flow, Server, ACK, &[mapping(Server, 1_000_000, 1_000_001, 100, None)], 100);
        script.send(&mut flow, Client, ACK, &[data_ack(Server, 1_000_100)], 0);
        let connection = script.report().connection(0);
        assert_eq!(connection.server.key, Some(SERVER_KEY));
    });
}

/// One of the keys is damaged in the third ACK, and right in the first data, or in the SYN: DATA_ACKs prove which.
#[test]
fn a_damaged_third_ack() {
    in_both_versions(|version| {
        for damaged in [Client, Server] {
            let mut script = Script::default();
            let (asked, answer, _) = handshake();
            let mut flow = Flow::new(CLIENT, SERVER);
            script.send(&mut flow, Client, SYN, &[asked], 0);
            script.send(&mut flow, Server, SYN | ACK, &[answer], 0);
            let key = |side| Some(if side == damaged { WRONG_KEY } else { key_of(side) });
            script.send(&mut flow, Client, ACK, &[capable(1, key(Client), key(Server))], 0);
            if version == 0 {
                script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
            } else {
                script.send(&mut flow, Client, ACK, &[first_data(100)], 100);
            }
            script.send(&mut flow, Server, ACK, &[data_ack(Client, 100)], 0);
            script.send(&mut flow, Server, ACK, &[mapping(Server, 0, 1, 50, None)], 50);
            script.send(&mut flow, Client, ACK, &[data_ack(Server, 50)], 0);
            script.join(CLIENT_2, SERVER, 2, [false; 2]);
            let report = script.report();
            assert_eq!((report.connection_count(), report.orphan_joins(&|_| true)), (1, 0));
            let connection = report.connection(0);
            assert_eq!((connection.client.key, connection.server.key), (Some(CLIENT_KEY), Some(SERVER_KEY)));
            assert_eq!(connection.directions.client_to_server.bytes, Some(100));
            assert_eq!(connection.directions.server_to_client.bytes, Some(50));
            assert_eq!(script.ids(), ["keys-contradict"]);
        }
    });
}

/// Two SYN/ACKs that count from different numbers, as a server answers that has forgotten the first, or two servers: the third ACK
/// tells which one the client took.
#[test]
fn two_answers_to_one_syn() {
    in_both_versions(|_| {
        for (initial, taken) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
            let mut script = Script::default();
            if !initial {
                script.open();
            }
            let mut flow = if initial { Flow::new(CLIENT, SERVER) } else { Flow::new(CLIENT_2, SERVER) };
            let (asked, answer, confirmed) = handshake();
            let syn = if initial { asked } else { flow.join_syn(2, false) };
            script.send(&mut flow, Client, SYN, &[syn], 0);
            let mut went_on = None;
            for attempt in 0..2 {
                let mut far = flow.clone().rewound(Server, -16_000_000 * attempt);
                far.server_nonce = Nonce(7 + attempt as u32);
                let other = capable(1, Some(WRONG_KEY), None);
                let of_server = if attempt == taken { answer } else { other };
                let option = if initial { of_server } else { far.join_syn_ack(false) };
                script.send(&mut far, Server, SYN | ACK, &[option], 0);
                if attempt == taken {
                    went_on = Some(far);
                }
            }
            let mut flow = went_on.expect("one of the two");
            let ack = if initial { confirmed } else { flow.join_ack() };
            script.send(&mut flow, Client, ACK, &[ack], 0);
            script.data(&mut flow, Client, 0, 1, 100);
            script.send(&mut flow, Server, ACK, &[mapping(Server, 0, 1, 50, None)], 50);
            let connection = script.report().connection(0);
            assert_eq!(connection.server.key, Some(SERVER_KEY));
            assert_eq!(connection.directions.server_to_client.bytes, Some(50), "{initial} {taken}");
            if let Some(join) = &connection.subflows.last().expect("a subflow").join {
                let proof = format!("{join:?}");
                assert_eq!(proof.matches("Verified").count(), 3, "{taken}: {proof}");
            }
            assert!(script.ids().is_empty(), "{initial} {taken}: {:?}", script.findings());
        }
    });
}

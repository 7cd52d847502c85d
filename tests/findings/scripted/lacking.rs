//! Captures that lack a packet, or a part of one: what they do not show is not told as if it had not been.

use mptcp_inspect::crypto::{Key, Token};
use mptcp_inspect::model::Connection;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::{MpJoin, MptcpOption, TcpOption};

use super::data::checksum;
use super::{fires, silent};
use crate::script::*;

fn only(script: &Script) -> Connection {
    script.report().connection(0)
}

/// 200 bytes of the client with checksums, the second of which is wrong.
fn wrong_data(script: &mut Script) -> Flow {
    let mut flow = script.open_with(0x81, 0x81);
    for offset in [0, 100] {
        let ssn = offset as u32 + 1;
        script.send(
            &mut flow,
            Client,
            ACK,
            &[mapping(Client, offset, ssn, 100, Some(checksum(offset, ssn, 100)))],
            100,
        );
    }
    script.damage();
    flow
}

/// The server's MP_FAIL was not captured, the client's answer to it was: the client's own data is wrong. In version 0 nobody answers
/// so: whoever sends MP_FAIL found a wrong checksum.
#[test]
fn the_answer_to_an_mp_fail_that_was_not_captured() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut flow = wrong_data(&mut script);
        script.send(&mut flow, Server, ACK, &[data_ack(Client, 100)], 0);
        let frame = script.send(&mut flow, Client, ACK, &[fail(dsn(Server, 0))], 0);
        script.send(&mut flow, Server, ACK, &[], 50);
        fires(&script, "fallback-mp-fail", &[frame]);
        let message = script.the("fallback-mp-fail").message;
        let answers = message.contains("in answer to an MP_FAIL of the server, which is not in the capture");
        assert_eq!(answers, version == 1, "{message}");
    });
}

/// A capture that begins with an MP_FAIL: that of the other end may have come before.
#[test]
fn a_capture_that_begins_with_an_mp_fail() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, ACK, &[data_ack(Server, 0), fail(dsn(Server, 0))], 0);
    for _ in 0..3 {
        script.send(&mut flow, Server, ACK, &[], 100);
        script.send(&mut flow, Client, ACK, &[], 0);
    }
    let message = script.the("fallback-mp-fail").message;
    assert!(message.contains("or it answers an MP_FAIL of the server, which is not in the capture"), "{message}");
}

/// A part of the mapping that MP_FAIL names was not captured: whether it is right where the capture was made is unknown.
#[test]
fn a_failed_mapping_that_is_not_whole() {
    in_both_versions(|_| {
        for lacks in [0, 1, 2] {
            let mut script = Script::default();
            let mut flow = script.open_with(0x81, 0x81);
            script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, Some(checksum(0, 1, 100)))], 100);
            let option = [mapping(Client, 100, 101, 100, Some(checksum(100, 101, 100)))];
            let at = script.frame_count();
            script.send(&mut flow, Client, ACK, &option, 50);
            script.send(&mut flow, Client, ACK, &[], 50);
            script.forget(at..at + lacks);
            script.send(&mut flow, Server, ACK, &[fail(dsn(Client, 100)), data_ack(Client, 100)], 0);
            script.send(&mut flow, Client, ACK, &[infinite(Client, 100, 101)], 100);
            let message = script.the("fallback-mp-fail").message;
            assert!(!message.contains("are right"), "{lacks}: {message}");
        }
    });
}

/// The capture begins between the two halves of a join's handshake; its third ACK is sent again.
#[test]
fn a_third_ack_without_its_handshake() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = Flow::new(CLIENT_2, SERVER);
        script.send(&mut join, Server, ACK, &[data_ack(Client, 100)], 0);
        let ack = join.join_ack();
        script.send(&mut join, Client, ACK, &[ack], 0);
        script.data(&mut join, Client, 100, 1, 100);
        silent(&script, "option-out-of-place");
        assert_eq!(script.report().connection_count(), 1);
    });
}

/// The capture begins with the third ACK of a join that is sent again, behind an ACK of its responder.
#[test]
fn a_capture_that_begins_with_a_join() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let mut join = Flow::new(CLIENT_2, SERVER);
        script.send(&mut join, Server, ACK, &[data_ack(Client, 100)], 0);
        let ack = join.join_ack();
        script.send(&mut join, Client, ACK, &[ack], 0);
        script.data(&mut join, Client, 100, 1, 100);
        silent(&script, "option-out-of-place");
        assert_eq!(only(&script).outcome, "mptcp");
    });
}

/// The token in the SYN was changed, and the server took the join: it did not get this one.
#[test]
pub(super) fn a_token_that_the_server_cannot_have_got() {
    in_both_versions(|_| {
        for wrong in [true, false] {
            let mut script = Script::default();
            script.open();
            let mut join = Flow::new(CLIENT_2, SERVER);
            let TcpOption::Mptcp(MptcpOption::MpJoin(MpJoin::Syn { backup, address_id, token, nonce, reserved })) =
                join.join_syn(2, false)
            else {
                panic!("no MP_JOIN");
            };
            let token = if wrong { Token(token.0 ^ 0x0100_0000) } else { token };
            let syn = MpJoin::Syn { backup, address_id, token, nonce, reserved };
            let frame = script.send(&mut join, Client, SYN, &[TcpOption::Mptcp(MptcpOption::MpJoin(syn))], 0);
            let (syn_ack, ack) = (join.join_syn_ack(false), join.join_ack());
            script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
            script.send(&mut join, Client, ACK, &[ack], 0);
            script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
            if wrong { fires(&script, "join-token-mismatch", &[frame]) } else { silent(&script, "join-token-mismatch") }
        }
    });
}

/// A refusal after the third ACK, whose SYN/ACK was not captured: whether its HMACs are right is not known. Without the third ACK,
/// it answers the handshake, not the server's own SYN/ACK.
#[test]
fn a_refused_join_that_lacks_a_packet() {
    in_both_versions(|_| {
        for lacks in 0..3 {
            let mut script = Script::default();
            script.open();
            let at = script.frame_count();
            let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
            let ack = join.join_ack();
            script.send(&mut join, Client, ACK, &[ack], 0);
            script.send(&mut join, Server, RST | ACK, &[reason(3)], 0);
            if lacks > 0 {
                script.forget(at + lacks..at + lacks + 1);
            }
            let message = script.the("join-refused-prohibited").message;
            assert_eq!(message.contains("are right"), lacks == 0, "{lacks}: {message}");
            assert!(!message.contains("answered the SYN/ACK"), "{lacks}: {message}");
        }
    });
}

/// The echo was not captured, and the client joins the address: it got the announcement. Where that is sent again, the echo is lost.
#[test]
fn an_announced_address_that_is_joined() {
    for (joins, repeats) in [(true, 0), (true, 1), (false, 0)] {
        let mut script = Script::default();
        let mut flow = script.open();
        for _ in 0..=repeats {
            script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
        }
        for number in 0..8 {
            script.data(&mut flow, Client, number * 100, number as u32 * 100 + 1, 100);
        }
        script.join(CLIENT_2, if joins { SERVER_2 } else { SERVER }, 2, [false; 2]);
        if joins && repeats == 0 {
            silent(&script, "address-never-echoed");
        } else {
            fires(&script, "address-never-echoed", &[4]);
            let found = script.the("address-never-echoed");
            assert_eq!(found.message.contains("no echo of it came: that got lost"), joins, "{found:?}");
            assert_eq!(found.advice.is_none(), joins);
        }
    }
}

/// The start of a connection that uses the 4-tuple of another was not captured, but for its third ACK, or for that and the SYN/ACK;
/// perhaps neither was the abort of the other.
#[test]
fn the_next_connection_after_an_abort() {
    in_both_versions(|version| {
        for (aborted, answered) in [(true, false), (true, true), (false, false), (false, true)] {
            one_after_another(version, aborted, answered);
        }
    });
}

fn one_after_another(version: u8, aborted: bool, answered: bool) {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    let keys = [Some(WRONG_KEY), Some(Key([0x77; 8]))];
    script.send(&mut flow, Client, SYN, &[capable(1, keys[0].filter(|_| version == 0), None)], 0);
    script.send(&mut flow, Server, SYN | ACK, &[capable(1, keys[1], None)], 0);
    script.send(&mut flow, Client, ACK, &[capable(1, keys[0], keys[1])], 0);
    if aborted {
        script.send(&mut flow, Client, ACK, &[fastclose(Key([0x77; 8]))], 0);
    }
    script.wait(SECOND);
    let mut flow = Flow::new(CLIENT, SERVER).rewound(Client, -20_000_000).rewound(Server, -16_000_000);
    if answered {
        script.send(&mut flow, Server, SYN | ACK, &[handshake().1], 0);
    }
    script.send(&mut flow, Client, ACK, &[handshake().2], 0);
    script.data(&mut flow, Client, 0, 1, 100);
    let report = script.report();
    assert_eq!(report.connection_count(), 2);
    assert_eq!(report.connection(1).directions.client_to_server.bytes, Some(100));
    silent(&script, "sequence-out-of-reach");
    silent(&script, "keys-contradict");
}

/// A RST that belongs to no SYN is in the capture twice.
#[test]
fn a_stray_reset_that_shows_twice() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let mut join = Flow::new(CLIENT_2, SERVER).unanswered();
    for _ in 0..2 {
        script.send(&mut join, Client, RST | ACK, &[fastclose(SERVER_KEY)], 0);
    }
    assert_eq!(script.report().header().tcp_connections.seen, 1);
}

/// Options that a snaplen cut: a RST has no reason only where all of it was captured, nobody removed an unknown id where joins are
/// cut, and data without option in sight is no fallback.
#[test]
fn what_a_cut_option_may_have_said() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.join(CLIENT_2, SERVER, 2, [false; 2]);
    script.data(&mut flow, Client, 0, 1, 100);
    script.send(&mut flow, Client, ACK, &[remove(&[2])], 0);
    script.send(&mut flow, Server, ACK, &[], 100);
    script.send(&mut flow, Server, RST | ACK, &[fastclose(CLIENT_KEY), reason(2)], 0);
    for snaplen in 40..100 {
        script.snaplen = Some(snaplen);
        let found = script.found();
        let told = |id: &str| found.iter().any(|finding| finding.id == id);
        let is_whole = snaplen >= 40 + 24;
        assert!(!told("remove-addr-hit-nothing"), "{snaplen}: {found:?}");
        assert!(!told("fallback-no-option-on-data"), "{snaplen}: {found:?}");
        assert!(is_whole || !found.iter().any(|one| one.message.contains("without a reason")), "{snaplen}: {found:?}");
    }
}

/// A firewall that clears timestamps leaves as many NOPs as they took: no more than that was removed.
#[test]
fn timestamps_that_were_cleared() {
    use TcpOption::{MaximumSegmentSize, NoOperation, SackPermitted, Timestamps, WindowScale};
    for (run, blanked) in [(11, false), (12, false), (24, true)] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let usual = [MaximumSegmentSize(1460), SackPermitted, Timestamps { value: 7, echo_reply: 0 }, NoOperation];
        let options: Vec<_> = usual.into_iter().chain([WindowScale(7), capable(1, None, None)]).collect();
        script.send(&mut flow, Client, SYN, &options, 0);
        let mut answer = vec![2, 4, 5, 0xb4];
        answer.extend(vec![1; run]);
        answer.extend([3, 3, 7]);
        let frame = script.send_raw(&mut flow, Server, SYN | ACK, answer, 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 100);
        let by = only(&script).fallback.expect("a fallback").by;
        assert_eq!(by, blanked.then_some("path"));
        if blanked { fires(&script, "option-blanked", &[frame]) } else { silent(&script, "option-blanked") }
    }
}

/// The RST that refuses a SYN was captured some microseconds before it, as where an interface has several queues. One that
/// acknowledges another SYN, or came long before, is no answer.
#[test]
fn a_reset_that_was_captured_before_its_syn() {
    in_both_versions(|_| {
        for (initial, early, of_other, refused) in
            [(true, 10, 0, true), (false, 10, 0, true), (true, 10, 7, false), (false, 20_000, 0, false)]
        {
            let mut script = Script::default();
            if !initial {
                script.open();
            }
            let mut flow = if initial { Flow::new(CLIENT, SERVER) } else { Flow::new(CLIENT_2, SERVER) };
            let syn = if initial { handshake().0 } else { flow.join_syn(2, false) };
            let mut answer = flow.clone().rewound(Client, -1 - of_other).unanswered();
            script.send(&mut answer, Server, RST | ACK, &[], 0);
            script.wait(early * 1_000 - 10 * MS);
            script.send(&mut flow, Client, SYN, &[syn], 0);
            let report = script.report();
            let connection = report.connection(0);
            let state = connection.subflows.last().expect("a subflow").state;
            assert_eq!(state, if refused { "refused" } else { "unanswered" }, "{initial} {early} {of_other}");
            // One that answers nothing is of a connection of its own.
            assert_eq!(report.header().tcp_connections.seen, 1 + u64::from(!refused));
        }
    });
}

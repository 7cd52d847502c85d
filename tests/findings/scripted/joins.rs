//! Joins that are refused, late, forbidden or half done.

use mptcp_inspect::crypto::Nonce;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::TcpOption;

use super::{fires, silent};
use crate::script::*;

/// A connection, and a join that is answered with a RST.
pub(super) fn refused_join(server: ([u8; 4], u16), options: &[TcpOption<'_>]) -> (Script, u64) {
    let mut script = Script::default();
    let mut first = script.open();
    script.data(&mut first, Client, 0, 1, 100);
    let mut join = Flow::new(CLIENT_2, server);
    let syn = join.join_syn(2, false);
    script.send(&mut join, Client, SYN, &[syn], 0);
    let rst = script.send(&mut join, Server, RST | ACK, options, 0);
    (script, rst)
}

#[test]
pub(super) fn refused_joins() {
    let other_port = (SERVER.0, 9999);
    let cases = [
        ("join-refused-with-reason", refused_join(SERVER, &[reason(2)])),
        ("join-refused-prohibited", refused_join(SERVER, &[reason(3)])),
        ("join-refused-unknown-token", refused_join(SERVER, &[reason(1)])),
        ("join-refused-without-reason", refused_join(SERVER, &[])),
        ("join-refused-no-listener", refused_join(other_port, &[])),
    ];
    for (id, (script, rst)) in &cases {
        fires(script, id, &[*rst]);
        for (other, _) in cases.iter().filter(|other| other.0 != *id) {
            silent(script, other);
        }
    }
}

#[test]
pub(super) fn a_join_whose_third_ack_lacks_its_option() {
    for bare in [true, false] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
        let ack = join.join_ack();
        let third = script.send(&mut join, Client, ACK, if bare { &[] } else { std::slice::from_ref(&ack) }, 0);
        script.send(&mut join, Server, RST | ACK, &[reason(1)], 0);
        if bare {
            fires(&script, "join-ack-without-option", &[third]);
        } else {
            silent(&script, "join-ack-without-option");
        }
    }
}

/// The capture lacks the third ACK. The options of either end beyond it show that it had its own.
#[test]
fn a_join_whose_third_ack_was_not_captured() {
    in_both_versions(|version| {
        for (by_server, resets) in [(true, Client), (true, Server), (false, Server)] {
            let mut script = Script::default();
            let mut first = script.open();
            script.data(&mut first, Client, 0, 1, 100);
            let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
            if by_server {
                script.send(&mut join, Server, ACK, &[data_ack(Client, 100)], 0);
                script.send(&mut join, Client, ACK, &[], 0);
            } else {
                script.send(&mut join, Client, ACK, &[data_ack(Server, 0)], 0);
            }
            script.send(&mut join, resets, RST | ACK, &[], 0);
            script.data(&mut first, Client, 100, 101, 100);
            silent(&script, "join-ack-without-option");
            if by_server {
                silent(&script, "join-refused-without-reason");
                assert_eq!(script.report().connection(0).subflows[1].state, "reset", "version {version}, {resets:?}");
            }
        }
    });
}

#[test]
pub(super) fn unanswered_and_unfinished_joins() {
    let mut script = Script::default();
    script.open();
    let mut join = Flow::new(CLIENT_2, SERVER);
    let syn = join.join_syn(2, false);
    let frame = script.send(&mut join, Client, SYN, std::slice::from_ref(&syn), 0);
    silent(&script, "join-unanswered");
    script.wait(SECOND);
    let again = script.again(&mut join, Client, SYN, &[syn], 0);
    fires(&script, "join-unanswered", &[frame, again]);

    let mut script = Script::default();
    let mut first = script.open();
    let (_, frame) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
    silent(&script, "join-incomplete");
    script.wait(2 * SECOND);
    script.data(&mut first, Client, 0, 1, 100);
    fires(&script, "join-incomplete", &[frame]);
}

/// A server that has forgotten its SYN/ACK answers anew, with another nonce: the third ACK goes with one of the two.
#[test]
fn a_syn_ack_with_another_nonce() {
    for (taken, right) in [(7, true), (8, true), (9, false)] {
        let mut script = Script::default();
        script.open();
        let mut join = Flow::new(CLIENT_2, SERVER);
        let syn = join.join_syn(2, false);
        script.send(&mut join, Client, SYN, &[syn], 0);
        for nonce in [7, 8] {
            join.server_nonce = Nonce(nonce);
            join = if nonce == 8 { join.rewound(Server, 1) } else { join };
            let syn_ack = join.join_syn_ack(false);
            script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
        }
        join.server_nonce = Nonce(taken);
        let ack = join.join_ack();
        script.send(&mut join, Client, ACK, &[ack], 0);
        script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
        assert_eq!(script.ids().contains(&"join-hmac-mismatch"), !right, "{taken}: {:?}", script.findings());
    }
}

#[test]
pub(super) fn a_late_join_and_a_forbidden_one() {
    let mut script = Script::default();
    script.open();
    let mut join = Flow::new(CLIENT_2, SERVER);
    let (syn, syn_ack, ack) = (join.join_syn(2, false), join.join_syn_ack(false), join.join_ack());
    let frame = script.send(&mut join, Client, SYN, std::slice::from_ref(&syn), 0);
    script.wait(SECOND);
    script.again(&mut join, Client, SYN, &[syn], 0);
    script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
    script.send(&mut join, Client, ACK, &[ack], 0);
    script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
    fires(&script, "join-retransmitted", &[frame]);

    // It waits for the answer to its third ACK.
    let mut script = Script::default();
    script.open();
    let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
    let ack = join.join_ack();
    let first = script.send(&mut join, Client, ACK, std::slice::from_ref(&ack), 0);
    script.wait(SECOND);
    let last = script.send(&mut join, Client, ACK, &[ack], 0);
    let answer = script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
    fires(&script, "join-retransmitted", &[first, last, answer]);

    for (flags, forbidden) in [(0x21, true), (0x01, false)] {
        let mut script = Script::default();
        script.open_with(1, flags);
        script.join(CLIENT_2, SERVER, 2, [false; 2]);
        silent(&script, "join-retransmitted");
        if forbidden { fires(&script, "join-despite-c-flag", &[4]) } else { silent(&script, "join-despite-c-flag") }
    }
}

#[test]
pub(super) fn a_join_whose_data_lacks_its_option() {
    for mapped in [false, true] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        let options = if mapped { vec![mapping(Client, 100, 1, 100, None)] } else { Vec::new() };
        let bare = script.send(&mut join, Client, ACK, &options, 100);
        let rst = script.send(&mut join, Server, RST | ACK, &[reason(6)], 0);
        if mapped {
            silent(&script, "join-data-without-option");
        } else {
            fires(&script, "join-data-without-option", &[bare, rst]);
        }
    }
}

/// On the way back the options of a join are removed after its handshake: the one whose data is acknowledged without
/// DATA_ACK resets it.
#[test]
fn a_join_whose_acknowledgements_lack_their_options() {
    in_both_versions(|version| {
        for (with_option, resets) in [(false, true), (false, false), (true, true)] {
            let mut script = Script::default();
            let mut first = script.open();
            script.data(&mut first, Client, 0, 1, 100);
            let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
            let ack = join.join_ack();
            script.send(&mut join, Client, ACK, &[ack], 0);
            // An answer to the third ACK with its option is none to data.
            let answer = if resets { vec![data_ack(Client, 100)] } else { Vec::new() };
            script.send(&mut join, Server, ACK, &answer, 0);
            script.send(&mut join, Client, ACK, &[mapping(Client, 100, 1, 100, None)], 100);
            let options = if with_option { vec![data_ack(Client, 200)] } else { Vec::new() };
            let bare = script.send(&mut join, Server, ACK, &options, 0);
            let rst = if resets { script.send(&mut join, Client, RST, &[], 0) } else { 0 };
            script.data(&mut first, Client, 100, 101, 100);
            if resets && !with_option {
                fires(&script, "join-data-without-option", &[bare, rst]);
                let counter = (version == 0).then_some("MPTcpExtMPFallbackAckSub");
                assert_eq!(script.the("join-data-without-option").counter, counter);
            } else {
                silent(&script, "join-data-without-option");
            }
            assert_eq!(script.ids().contains(&"subflow-reset"), with_option);
        }
    });
}

/// What else the connection shows of why a join was refused.
#[test]
pub(super) fn refusals_and_what_else_is_known_of_them() {
    let refused = |prepare: &dyn Fn(&mut Script), server, options: &[TcpOption<'_>]| {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        prepare(&mut script);
        let mut join = Flow::new((CLIENT_2.0, 40077), server);
        let syn = join.join_syn(2, false);
        script.send(&mut join, Client, SYN, &[syn], 0);
        script.send(&mut join, Server, RST | ACK, options, 0);
        script
    };
    let other_address = |script: &mut Script| {
        script.join(CLIENT_2, SERVER_2, 2, [false; 2]);
    };
    let same_path = |script: &mut Script| {
        script.join(CLIENT_2, SERVER, 2, [false; 2]);
    };
    let unknown = |prepare| refused(prepare, SERVER, &[reason(1)]).the("join-refused-unknown-token").message;
    assert!(
        unknown(&other_address).contains("Subflow 1 to 10.0.8.8:443 works: a load balancer"),
        "{}",
        unknown(&other_address)
    );
    assert!(!unknown(&|_| ()).contains("load balancer"));
    let limit = |prepare| refused(prepare, SERVER, &[reason(3)]).the("join-refused-prohibited").message;
    assert!(limit(&same_path).contains("Subflow 1 joins the same two addresses already"), "{}", limit(&same_path));
    assert!(!limit(&other_address).contains("already"));
}

/// A join is refused by the end that is joined; the other end gives up what it opened itself.
#[test]
fn a_join_that_its_initiator_resets() {
    in_both_versions(|version| {
        for (answered, removes) in [(true, false), (false, false), (true, true)] {
            let mut script = Script::default();
            let mut first = script.open();
            script.data(&mut first, Client, 0, 1, 100);
            let mut join = Flow::new(CLIENT_2, SERVER);
            let (syn, syn_ack, ack) = (join.join_syn(2, false), join.join_syn_ack(false), join.join_ack());
            script.send(&mut join, Client, SYN, &[syn], 0);
            if answered {
                script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
            }
            if removes {
                // The handshake is complete but for the fourth ACK, which was not captured.
                script.send(&mut join, Client, ACK, &[ack], 0);
                script.send(&mut first, Client, ACK, &[remove(&[2])], 0);
            }
            let rst = script.send(&mut join, Client, RST | ACK, &[], 0);
            script.data(&mut first, Client, 100, 101, 100);
            silent(&script, "join-refused-without-reason");
            if removes {
                fires(&script, "subflow-reset-by-removal", &[rst]);
                silent(&script, "join-incomplete");
            } else {
                fires(&script, "join-incomplete", &[rst]);
                silent(&script, "subflow-reset");
            }
            let state = if answered && !removes { "refused" } else { "reset" };
            assert_eq!(script.report().connection(0).subflows[1].state, state, "version {version}");
        }
    });
}

/// In a capture without any segment of the server's, nothing tells which joins it answered.
#[test]
fn unanswered_joins_in_a_capture_of_one_direction() {
    in_both_versions(|_| {
        for whole in [false, true] {
            let mut script = Script::default();
            let mut first = Flow::new(CLIENT, SERVER);
            let (syn, syn_ack, ack) = handshake();
            script.send(&mut first, Client, SYN, &[syn], 0);
            if whole {
                script.send(&mut first, Server, SYN | ACK, &[syn_ack], 0);
            }
            script.send(&mut first, Client, ACK, &[ack], 0);
            let mut join = Flow::new(CLIENT_2, SERVER);
            let syn = join.join_syn(2, false);
            script.send(&mut join, Client, SYN, &[syn], 0);
            script.wait(2 * SECOND);
            script.send(&mut first, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
            if whole {
                fires(&script, "join-unanswered", &[]);
            } else {
                silent(&script, "join-unanswered");
            }
        }
    });
}

/// The responder must acknowledge a third ACK with MP_JOIN, which is sent again until it does. Frames that follow each other
/// with the same option, and one repetition, are no sign of that.
#[test]
fn a_third_ack_that_is_never_answered() {
    in_both_versions(|_| {
        for (copies, wait, answered, told) in
            [(3, 300 * MS, false, true), (3, 300 * MS, true, false), (3, MS, false, false), (2, 300 * MS, false, false)]
        {
            let mut script = Script::default();
            let mut first = script.open();
            script.data(&mut first, Client, 0, 1, 100);
            let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
            let ack = join.join_ack();
            let mut frames = Vec::new();
            for _ in 0..copies {
                frames.push(script.send(&mut join, Client, ACK, std::slice::from_ref(&ack), 0));
                script.wait(wait);
            }
            if answered {
                script.send(&mut join, Server, ACK, &[data_ack(Client, 100)], 0);
            }
            script.data(&mut first, Client, 100, 101, 100);
            script.send(&mut first, Client, ACK, &[data_fin(Client, 200)], 0);
            script.send(&mut first, Server, ACK, &[data_fin(Server, 0)], 0);
            if told {
                fires(&script, "join-incomplete", &[frames[0], frames[2]]);
            } else {
                silent(&script, "join-incomplete");
            }
        }
    });
}

/// A SYN/ACK without third ACK in a connection that closes: at once, or after it went on without the join.
#[test]
fn a_join_without_third_ack_in_a_connection_that_closes() {
    in_both_versions(|_| {
        for (wait, told) in [(2 * SECOND, true), (50 * MS, false)] {
            let mut script = Script::default();
            let mut first = script.open();
            let (_, frame) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
            script.wait(wait);
            script.data(&mut first, Client, 0, 1, 100);
            script.send(&mut first, Client, ACK, &[data_fin(Client, 100)], 0);
            script.send(&mut first, Server, ACK, &[data_fin(Server, 0)], 0);
            script.wait(2 * SECOND);
            script.send(&mut first, Client, ACK, &[data_ack(Server, 1)], 0);
            if told {
                fires(&script, "join-incomplete", &[frame]);
            } else {
                silent(&script, "join-incomplete");
            }
        }
    });
}

/// The third ACK is not in the capture; what the initiator sent after it is.
#[test]
fn a_join_whose_later_segments_are_there() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let mut first = script.open();
        let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
        script.send(&mut join, Client, ACK, &[data_ack(Server, 0)], 0);
        script.wait(2 * SECOND);
        script.data(&mut first, Client, 0, 1, 100);
        silent(&script, "join-incomplete");
    });
}

/// A connection that has fallen back has no second subflow: version 1 says that it does not know the token, version 0 nothing.
#[test]
fn a_join_of_a_connection_that_has_fallen_back() {
    in_both_versions(|version| {
        for fallen_back in [true, false] {
            let mut script = Script::default();
            let mut first = script.open();
            script.data(&mut first, Client, 0, 1, 100);
            if fallen_back {
                script.send(&mut first, Server, ACK, &[fail(dsn(Client, 0)), data_ack(Client, 100)], 0);
                script.send(&mut first, Client, ACK, &[infinite(Client, 100, 101)], 100);
            }
            let mut join = Flow::new(CLIENT_2, SERVER);
            let syn = join.join_syn(2, false);
            script.send(&mut join, Client, SYN, &[syn], 0);
            let options = if version == 0 { Vec::new() } else { vec![reason(1)] };
            let rst = script.send(&mut join, Server, RST | ACK, &options, 0);
            let id = if version == 0 { "join-refused-without-reason" } else { "join-refused-unknown-token" };
            fires(&script, id, &[rst]);
            let found = script.the(id);
            assert_eq!(found.message.contains("had fallen back to TCP in frame 6"), fallen_back, "{}", found.message);
            assert_eq!(found.advice.is_none(), fallen_back);
            let counter = if version == 1 {
                Some("MPTcpExtMPJoinNoTokenFound")
            } else {
                fallen_back.then_some("MPTcpExtMPJoinAlreadyFallenback")
            };
            assert_eq!(found.counter, counter);
        }
    });
}

/// Short connections end before their joins are answered: that is none of the joins' faults, whatever the capture lacks.
#[test]
fn a_join_that_is_given_up_as_the_connection_closes() {
    in_both_versions(|_| {
        for answered in [true, false] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = Flow::new(CLIENT_2, SERVER);
            let (syn, syn_ack) = (join.join_syn(2, false), join.join_syn_ack(false));
            script.send(&mut join, Client, SYN, &[syn], 0);
            script.send(&mut first, Client, ACK, &[data_fin(Client, 0)], 0);
            if answered {
                script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
            }
            let rst = script.send(&mut join, Client, RST, &[], 0);
            silent(&script, "join-incomplete");
            fires(&script, "join-refused-at-close", &[rst]);
        }
    });
}

/// The server joins its client at the port from which that opened the connection: nothing listens there, unless its kernel is
/// that of version 0.
#[test]
fn a_join_of_the_server_to_the_port_of_the_client() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = Flow::new(CLIENT, SERVER_2);
        let syn = join.join_syn_to(Client, 2);
        script.send(&mut join, Server, SYN, &[syn], 0);
        let rst = script.send(&mut join, Client, RST | ACK, &[], 0);
        let (fire, other) = ("join-refused-no-listener", "join-refused-without-reason");
        let (fire, other) = if version == 0 { (other, fire) } else { (fire, other) };
        fires(&script, fire, &[rst]);
        silent(&script, other);
        let message = script.the(fire).message;
        assert_eq!(
            message.contains("port 40000, from which the client opened the connection"),
            version == 1,
            "{message}"
        );
    });
}

/// How long nobody answered is told by the clock of the capture that shows it.
#[test]
fn the_clock_of_another_capture_tells_no_waiting_time() {
    for later in [0, 30 * SECOND] {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            if input == 0 {
                let mut join = Flow::new(CLIENT_2, SERVER);
                let syn = join.join_syn(2, false);
                script.send(&mut join, Client, SYN, &[syn], 0);
            }
            script.wait(later);
        }
        silent(&script, "join-unanswered");
    }
}

//! What the kernels of both ends count, as far as packets show it.

use mptcp_inspect::crypto::Nonce;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{self, Client, Server};
use mptcp_inspect::wire::{MpJoin, MptcpOption, TcpOption};

use crate::script::*;

/// What one end counts under this name; `None` where that is not known, or nothing.
fn counted(script: &Script, side: Side, name: &str) -> Option<u64> {
    let counters = script.report().kernel_counters(&[]).expect("all is known");
    let end = if side == Client { counters.client } else { counters.server };
    end.get(format!("MPTcpExt{name}").as_str()).copied()
}

fn captured_at(host: Option<Side>) -> Script {
    let mut script = Script::default();
    script.host = host;
    script
}

/// Where the capture was made at the host that gets them, options that nothing answers are seen to come.
#[test]
fn options_that_reach_the_host_that_captures() {
    for host in [None, Some(Client), Some(Server)] {
        let here = || announce(1, SERVER_2.0, None, SERVER_KEY);
        let mut script = captured_at(host);
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        script.send(&mut flow, Server, ACK, &[here()], 0);
        script.send(&mut flow, Client, ACK, &[echo(1, SERVER_2.0, None)], 0);
        assert_eq!(counted(&script, Client, "AddAddr"), Some(1));

        // TCP drops what lies before that which it has acknowledged. What else is not echoed may have come or not.
        let came = |count| if host == Some(Client) { Some(count) } else { None };
        script.data(&mut flow, Server, 0, 1, 100);
        let mut late = flow.clone().rewound(Server, 100);
        script.send(&mut late, Server, ACK, &[here()], 0);
        assert_eq!(counted(&script, Client, "AddAddr"), came(1), "{host:?}");
        script.send(&mut flow, Server, ACK, &[here()], 0);
        assert_eq!(counted(&script, Client, "AddAddr"), None, "{host:?}");

        for removals in 1..=2 {
            script.send(&mut flow, Server, ACK, &[remove(&[0])], 0);
            assert_eq!(counted(&script, Server, "RmAddrTx"), Some(removals));
            assert_eq!(counted(&script, Client, "RmAddr"), came(removals), "{host:?}");
        }
        // No socket is left to take another.
        script.send(&mut flow, Client, FIN | ACK, &[], 0);
        script.send(&mut flow, Server, ACK, &[remove(&[0])], 0);
        assert_eq!(counted(&script, Server, "RmAddrTx"), Some(3));
        assert_eq!(counted(&script, Client, "RmAddr"), came(2), "{host:?}");
    }
}

/// An interface that cuts a segment with data puts its options on each part.
#[test]
fn a_removal_on_data_that_is_cut() {
    let mut script = captured_at(Some(Client));
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    for _ in 0..2 {
        script.send(&mut flow, Server, ACK, &[mapping(Server, 0, 1, 200, None), remove(&[0])], 100);
    }
    assert_eq!(counted(&script, Server, "RmAddrTx"), Some(1));
    assert_eq!(counted(&script, Client, "RmAddr"), None);
}

/// The client's RST answers that with which the server refused its join, after the third ACK.
#[test]
fn resets_of_both_ends_of_one_subflow() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
    let ack = join.join_ack();
    script.send(&mut join, Client, ACK, &[ack], 0);
    script.send(&mut join, Server, RST, &[reason(3)], 0);
    script.send(&mut join, Client, RST | ACK, &[reason(0)], 0);
    assert_eq!(counted(&script, Client, "MPRstTx"), Some(1));
    assert_eq!(counted(&script, Server, "MPRstTx"), None);
}

#[test]
fn resets_that_reach_the_host_that_captures() {
    for (host, ahead, heard) in [(None, 0, None), (Some(Client), 0, Some(1)), (Some(Client), 100, None)] {
        let mut script = captured_at(host);
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        // Out of order: TCP answers with an ACK that asks for more, and nothing else.
        let mut flow = flow.rewound(Server, -ahead);
        script.send(&mut flow, Server, RST | ACK, &[fastclose(CLIENT_KEY), reason(0)], 0);
        for name in ["MPRst", "MPFastclose"] {
            assert_eq!(counted(&script, Server, &format!("{name}Tx")), Some(1));
            assert_eq!(counted(&script, Client, &format!("{name}Rx")), heard, "{name} {host:?} {ahead}");
        }
    }
}

/// MP_FASTCLOSE on an ACK counts where it is taken, which does not show.
#[test]
fn a_fastclose_on_an_ack() {
    let mut script = captured_at(Some(Client));
    let mut flow = script.open();
    let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
    script.data(&mut join, Client, 0, 1, 100);
    script.send(&mut flow, Server, ACK, &[fastclose(CLIENT_KEY)], 0);
    script.send(&mut join, Server, RST | ACK, &[fastclose(CLIENT_KEY), reason(0)], 0);
    assert_eq!(counted(&script, Client, "MPRstRx"), Some(1));
    assert_eq!(counted(&script, Client, "MPFastcloseRx"), None);
}

/// The client gives MPTCP up, and nobody answers that either; or the server does, which had agreed.
#[test]
fn a_client_that_gives_mptcp_up() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    assert_eq!(counted(&script, Client, "MPCapableSYNTXDrop"), None);
    script.wait(SECOND);
    script.again(&mut flow, Client, SYN, &[], 0);
    assert_eq!(counted(&script, Client, "MPCapableSYNTXDrop"), Some(1));
    script.send(&mut flow, Server, SYN | ACK, &[capable(1, Some(SERVER_KEY), None)], 0);
    script.send(&mut flow, Client, ACK, &[], 0);
    assert_eq!(counted(&script, Server, "MPCapableFallbackACK"), None);
    script.send(&mut flow, Server, ACK, &[], 100);
    assert_eq!(counted(&script, Client, "MPCapableSYNTXDrop"), Some(1));
    assert_eq!(counted(&script, Server, "MPCapableFallbackACK"), Some(1));
}

/// Each end counts what its own capture shows: an echo that gets lost is no echo at the server.
#[test]
fn each_end_is_read_where_it_is_captured() {
    let mut script = Script::default();
    for (input, end) in [(0, Client), (1, Server)] {
        script.input = input;
        script.host = Some(end);
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
        if end == Client {
            script.send(&mut flow, Client, ACK, &[echo(1, SERVER_2.0, None)], 0);
        }
    }
    assert_eq!(counted(&script, Client, "AddAddr"), Some(1));
    assert_eq!(counted(&script, Client, "EchoAddTx"), Some(1));
    assert_eq!(counted(&script, Server, "EchoAdd"), None);
}

/// Joins that fail at their HMACs, or for lack of them.
#[test]
fn joins_that_an_end_refuses() {
    in_both_versions(|version| {
        for (wrong_answer, wrong_ack, name) in [
            (true, false, "MPJoinSynAckHMacFailure"),
            (false, true, "MPJoinAckHMacFailure"),
            (false, false, "MPJoinAckMissing"),
        ] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let mut join = Flow::new(CLIENT_2, SERVER);
            let (syn, answer) = (join.join_syn(2, false), join.join_syn_ack(false));
            script.send(&mut join, Client, SYN, &[syn], 0);
            let mut other = join.clone();
            other.server_nonce = Nonce(8);
            let (other_ack, other_answer) = (other.join_ack(), other.join_syn_ack(false));
            let TcpOption::Mptcp(MptcpOption::MpJoin(MpJoin::SynAck { hmac, .. })) = other_answer else { panic!() };
            let nonce = Nonce(7);
            let forged = MpJoin::SynAck { backup: false, address_id: 0, hmac, nonce, reserved: 0 };
            let forged = TcpOption::Mptcp(MptcpOption::MpJoin(forged));
            script.send(&mut join, Server, SYN | ACK, &[if wrong_answer { forged } else { answer }], 0);
            let end = if wrong_answer {
                script.send(&mut join, Client, RST, &[], 0);
                Client
            } else {
                let options = if wrong_ack { vec![other_ack] } else { Vec::new() };
                script.send(&mut join, Client, ACK, &options, 0);
                script.send(&mut join, Server, RST, &[], 0);
                Server
            };
            let expected = (version == 0 || wrong_answer || wrong_ack).then_some(1);
            assert_eq!(counted(&script, end, name), expected, "{name}");
        }
    });
}

/// The kernel of version 0 counts a REMOVE_ADDR as one, and has names of its own.
#[test]
fn removals_by_version() {
    in_both_versions(|version| {
        for host in [None, Some(Client)] {
            let mut script = captured_at(host);
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            script.send(&mut flow, Server, ACK, &[remove(&[0])], 0);
            let [sent, received] = if version == 0 { ["RemAddrTx", "RemAddrRx"] } else { ["RmAddrTx", "RmAddr"] };
            assert_eq!(counted(&script, Server, sent), Some(1));
            assert_eq!(counted(&script, Client, received), host.map(|_| 1));
            script.send(&mut flow, Server, ACK, &[remove(&[3, 4])], 0);
            assert_eq!(counted(&script, Server, sent), (version == 1).then_some(3));
        }
    });
}

/// Which counter the server of version 0 raises without MP_CAPABLE in the third ACK, that ACK does not tell.
#[test]
fn a_third_ack_without_the_option() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let (syn, syn_ack, _) = handshake();
        script.send(&mut flow, Client, SYN, &[syn], 0);
        script.send(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 100);
        script.send(&mut flow, Server, ACK, &[], 0);
        let mainline = version == 1;
        assert_eq!(counted(&script, Server, "MPCapableFallbackACK"), mainline.then_some(1));
        let found = script.the("fallback-no-option-in-third-ack");
        assert_eq!(found.counter, mainline.then_some("MPTcpExtMPCapableFallbackACK"));
    });
}

/// The responder finds the HMAC of the third ACK wrong.
#[test]
fn a_third_ack_with_a_wrong_hmac() {
    for wrong in [true, false] {
        let mut script = captured_at(Some(Server));
        script.open();
        let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 1, [false; 2]);
        let other = Flow::new((CLIENT_2.0, 40009), SERVER);
        let ack = if wrong { other.join_ack() } else { join.join_ack() };
        script.send(&mut join, Client, ACK, &[ack], 0);
        script.send(&mut join, Server, RST | ACK, &[reason(3)], 0);
        assert_eq!(counted(&script, Server, "MPJoinAckHMacFailure"), wrong.then_some(1));
    }
}

/// MP_FAIL on two segments counts twice; and an end that acknowledges without options takes no infinite mapping.
#[test]
fn repeated_mp_fails_and_an_infinite_mapping_that_comes_too_late() {
    for (repeats, late) in [(0, false), (1, false), (0, true)] {
        let mut script = captured_at(Some(Server));
        let mut flow = script.open_with(0x81, 0x81);
        script.data(&mut flow, Client, 0, 1, 100);
        for _ in 0..=repeats {
            script.send(&mut flow, Server, ACK, &[fail(dsn(Client, 0))], 0);
        }
        if late {
            script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 100, Some(1))], 100);
            script.send(&mut flow, Server, ACK, &[], 0);
        }
        script.send(&mut flow, Client, ACK, &[infinite(Client, 200, 201)], 100);
        assert_eq!(counted(&script, Server, "MPFailTx"), Some(repeats + 1));
        assert_eq!(counted(&script, Client, "MPFailRx"), (repeats == 0).then_some(1));
        assert_eq!(counted(&script, Server, "InfiniteMapRx"), (!late).then_some(1));
    }
}

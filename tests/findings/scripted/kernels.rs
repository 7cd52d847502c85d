//! The counters and the advice of findings: those of the kernel that speaks the connection's version.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::{MpCapable, MptcpOption, TcpOption};

use super::{fires, silent};
use crate::script::*;

/// Counter and advice of the one finding of this id.
#[track_caller]
fn told(script: &Script, id: &str) -> (Option<&'static str>, Option<&'static str>) {
    let found = script.the(id);
    (found.counter, found.advice)
}

#[test]
fn the_counter_of_a_reset_counts_mp_tcprst() {
    in_both_versions(|version| {
        for with_reason in [false, true] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
            script.data(&mut join, Client, 0, 1, 100);
            let options = if with_reason { vec![reason(4)] } else { Vec::new() };
            script.send(&mut join, Server, RST | ACK, &options, 0);
            script.data(&mut first, Client, 100, 1, 100);
            let (counter, advice) = told(&script, "subflow-reset");
            assert_eq!(counter, (version == 1 && with_reason).then_some("MPTcpExtMPRstTx"));
            assert_eq!(advice.is_some(), version == 1);
        }
    });
}

#[test]
fn a_fast_close_and_a_removed_address_by_version() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.send(&mut first, Client, ACK, &[remove(&[2])], 0);
        script.send(&mut join, Server, RST | ACK, &[], 0);
        script.data(&mut first, Client, 100, 101, 100);
        script.wait(2 * SECOND);
        script.send(&mut first, Client, RST | ACK, &[fastclose(SERVER_KEY)], 0);
        let names = if version == 0 {
            ["MPTcpExtMPFastcloseTX", "MPTcpExtMPRemoveAddrSubDelete"]
        } else {
            ["MPTcpExtMPFastcloseTx", "MPTcpExtRmSubflow"]
        };
        assert_eq!(told(&script, "fastclose").0, Some(names[0]));
        assert_eq!(told(&script, "subflow-reset-by-removal").0, Some(names[1]));
    });
}

/// The server's options are missing from the start. Its peer notices that by an acknowledgement without DATA_ACK, or by
/// payload without mapping, whichever comes first.
#[test]
fn the_counter_of_a_fallback_is_told_alike_by_report_and_finding() {
    in_both_versions(|version| {
        for client_first in [true, false] {
            let mut script = Script::default();
            let mut first = script.open();
            if client_first {
                script.send(&mut first, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
                script.send(&mut first, Server, ACK, &[], 0);
            }
            script.send(&mut first, Server, ACK, &[], 100);
            script.send(&mut first, Client, ACK, &[], 0);
            let expected = match (version, client_first) {
                (0, true) => "MPTcpExtMPFallbackAckInit",
                (0, false) => "MPTcpExtMPFallbackDataInit",
                _ => "MPTcpExtMPCapableDataFallback",
            };
            let fallback = script.report().connection(0).fallback.expect("a fallback");
            assert_eq!(fallback.counter, Some(expected));
            assert_eq!(told(&script, "fallback-no-option-on-data").0, Some(expected));
        }
    });
}

/// A SYN/ACK with the option answers a SYN that had it, captured or not: the client counts that it sent one without in the end.
#[test]
fn a_client_whose_first_syn_was_not_captured() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut first = Flow::new(CLIENT, SERVER);
        let (_, syn_ack, _) = handshake();
        script.send(&mut first, Client, SYN, &[], 0);
        script.send(&mut first, Server, SYN | ACK, &[syn_ack], 0);
        script.send(&mut first, Client, ACK, &[], 0);
        script.send(&mut first, Client, ACK, &[], 100);
        let fallback = script.report().connection(0).fallback.expect("a fallback");
        let counter = ["MPTcpExtMPCapableRetransFallback", "MPTcpExtMPCapableSYNTXDrop"][usize::from(version)];
        assert_eq!((fallback.cause, fallback.counter), ("syn_retried_without_option", Some(counter)));
        assert_eq!(told(&script, "fallback-syn-retried-without-option").0, Some(counter));
    });
}

/// A RST of version 0 gives no reason: where no connection has the token of the join that it refuses, that is the reason.
#[test]
fn a_join_with_a_token_that_no_connection_has() {
    in_both_versions(|version| {
        for known in [true, false] {
            let mut script = Script::default();
            if known {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
            }
            let mut join = Flow::new(CLIENT_2, SERVER);
            let syn = script.send(&mut join, Client, SYN, &[join_syn_of(0xdead_beef)], 0);
            let rst = script.send(&mut join, Server, RST | ACK, &[], 0);
            let unknown = version == 0 && known;
            let id = if unknown { "join-refused-unknown-token" } else { "join-refused-without-reason" };
            fires(&script, id, &[syn, rst]);
            let found = script.the(id);
            assert_eq!(found.rfc, Some(if unknown { "6824 §3.2" } else { "8684 §3.2" }));
            assert_eq!(found.counter, None);
            assert_eq!(found.message.contains("without a reason"), !unknown);
        }
    });
}

/// A server answers with the version that it has; a client without it goes on as TCP, and nothing is broken.
#[test]
pub(super) fn an_answer_of_the_other_version() {
    for answer in [0, 1] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let syn = script.send(&mut flow, Client, SYN, &[handshake().0], 0);
        let TcpOption::Mptcp(MptcpOption::MpCapable(capable)) = handshake().1 else { panic!() };
        // Flag B makes an answer of the same version void.
        let flags = if answer == 1 { 0x41 } else { 0x01 };
        let capable = TcpOption::Mptcp(MptcpOption::MpCapable(MpCapable { version: answer, flags, ..capable }));
        let syn_ack = script.send(&mut flow, Server, SYN | ACK, &[capable], 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 100);
        script.send(&mut flow, Server, ACK, &[], 100);
        let [told, not] = ["fallback-no-common-version", "fallback-bad-option"];
        let [told, not] = if answer == 0 { [told, not] } else { [not, told] };
        fires(&script, told, &[syn_ack]);
        silent(&script, not);
        assert_eq!(script.the(told).frames.iter().any(|frame| frame.id.number == syn), answer == 0);
        assert_eq!(script.report().connection(0).fallback.map(|fallback| fallback.cause), Some("bad_option"));
        let counters = script.report().kernel_counters(&[]).expect("all is known");
        assert_eq!(counters.client.get("MPTcpExtMPCapableFallbackSYNACK"), Some(&1));
    }
}

/// A bare SYN/ACK may be of a server that speaks the other version only.
#[test]
fn an_answer_without_option_to_one_version() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        script.send(&mut flow, Client, SYN, &[handshake().0], 0);
        script.send(&mut flow, Server, SYN | ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        let found = script.the("fallback-no-option-in-syn-ack");
        assert!(found.message.contains(&format!("does not speak MPTCP version {version} on this port")), "{found:?}");
        assert_eq!(found.advice.is_some_and(|advice| advice.contains("version 1 only")), version == 0);
    });
}

/// Version 0 has servers drop a SYN with flag B: no device is blamed for that.
#[test]
fn syns_with_a_flag_that_servers_must_not_take() {
    in_both_versions(|version| {
        for flags in [0x41, 0x01] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            let shown = (version == 0).then_some(CLIENT_KEY);
            script.send(&mut flow, Client, SYN, &[capable(flags, shown, None)], 0);
            script.wait(SECOND);
            script.again(&mut flow, Client, SYN, &[], 0);
            script.send(&mut flow, Server, SYN | ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 100);
            let found = script.the("fallback-syn-retried-without-option");
            let must_be_dropped = version == 0 && flags == 0x41;
            assert_eq!(found.message.contains("something drops SYNs"), !must_be_dropped, "{found:?}");
            assert_eq!(found.advice.is_some(), !must_be_dropped);
        }
    });
}

/// What version 0 cannot say is not missed.
#[test]
fn a_reset_of_a_version_without_reasons() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.data(&mut join, Client, 100, 1, 100);
        script.send(&mut join, Server, RST | ACK, &[], 0);
        script.data(&mut first, Client, 200, 101, 100);
        let found = script.the("subflow-reset");
        assert_eq!(found.message.ends_with(", without a reason."), version == 1, "{found:?}");
    });
}

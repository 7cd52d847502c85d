//! The counters and the advice of findings: those of the kernel that speaks the connection's version.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};

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

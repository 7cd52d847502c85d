//! Joins that never come to their end: moved by a NAT, lost, or not to be delivered.

use mptcp_inspect::track::side::Side::{Client, Server};

use super::fires;
use crate::script::*;

/// A NAT gives a subflow another port in mid-flow, and the server knows nothing of that.
#[test]
fn a_subflow_that_goes_on_from_another_port() {
    in_both_versions(|_| {
        for goes_on in [true, false] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let begun = if goes_on { -101 } else { -5_000_000 };
            let mut moved = Flow::new((CLIENT.0, 40999), SERVER).rewound(Client, begun).rewound(Server, -1);
            let first = script.send(&mut moved, Client, ACK, &[mapping(Client, 100, 101, 100, None)], 100);
            let rst = script.send(&mut moved, Server, RST, &[], 0);
            assert!(!script.ids().iter().any(|id| id.starts_with("join-refused")), "{:?}", script.findings());
            fires(&script, "subflow-reset", &[first, rst][usize::from(!goes_on)..]);
            let found = script.the("subflow-reset");
            assert_eq!(found.message.contains("goes on where subflow 0 stood"), goes_on, "{found:?}");
        }
    });
}

/// What the server refuses is what came in the place of the third ACK, not its own SYN/ACK.
#[test]
fn a_third_ack_that_never_comes() {
    in_both_versions(|_| {
        let mut script = Script::default();
        script.open();
        let (mut join, syn_ack) = script.join_answered(CLIENT_2, SERVER, 1, [false; 2]);
        script.wait(4 * SECOND);
        script.send(&mut join, Client, ACK, &[data_ack(Server, 0)], 0);
        script.send(&mut join, Server, RST, &[], 0);
        let found = script.found().into_iter().find(|found| found.id.starts_with("join-refused")).expect("refused");
        let told =
            format!("after its SYN/ACK (frame {syn_ack}, sent once), which no third ACK with MP_JOIN had answered");
        assert!(found.message.contains(&told), "{found:?}");
    });
}

/// Somebody on the way says that it cannot deliver the SYN; that a segment is too long (code 4) is another matter.
#[test]
fn a_join_that_cannot_be_delivered() {
    in_both_versions(|_| {
        for (code, meaning) in [(1, Some("host unreachable")), (13, Some("administratively prohibited")), (4, None)] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let mut join = Flow::new(CLIENT_2, SERVER).unanswered();
            let syn = join.join_syn(2, false);
            script.send(&mut join, Client, SYN, std::slice::from_ref(&syn), 0);
            let icmp = script.unreachable(code);
            script.wait(SECOND);
            script.again(&mut join, Client, SYN, &[syn], 0);
            let found = script.the("join-unanswered");
            let told = meaning.map(|why| {
                format!("10.0.0.254 reports with ICMP in frame {icmp} that the SYN cannot be delivered ({why})")
            });
            assert_eq!(found.message.contains("ICMP"), told.is_some(), "{found:?}");
            assert!(told.is_none_or(|told| found.message.contains(&told)), "{found:?}");
        }
        // The first SYN of a connection.
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER).unanswered();
        let (syn, ..) = handshake();
        script.send(&mut flow, Client, SYN, &[syn], 0);
        let icmp = script.unreachable(1);
        script.wait(SECOND);
        script.again(&mut flow, Client, SYN, &[syn], 0);
        fires(&script, "connection-unanswered", &[icmp]);
        assert!(script.the("connection-unanswered").message.contains("(host unreachable)"));
    });
}

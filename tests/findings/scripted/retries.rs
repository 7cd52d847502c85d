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

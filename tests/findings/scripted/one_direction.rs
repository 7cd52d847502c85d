//! Captures that hold one direction, or begin late: what they do not show is not told as if they did.

use mptcp_inspect::model::Connection;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};

use super::{fires, silent};
use crate::script::*;

fn only(script: &Script) -> Connection {
    script.report().connection(0)
}

/// Only the client's packets: it sends 100 bytes and acknowledges 300.
fn of_the_client() -> Script {
    let mut script = Script::default();
    let mut flow = script.open_one_way();
    script.send(&mut flow, Client, ACK, &[data_ack(Server, 300)], 0);
    script
}

/// What the server sent is not nothing, and how much of the client's was in flight is not known.
#[test]
fn the_other_direction_is_unknown() {
    in_both_versions(|version| {
        let connection = only(&of_the_client());
        let (up, down) = (&connection.directions.client_to_server, &connection.directions.server_to_client);
        assert_eq!((up.bytes, down.bytes, down.missing_bytes, down.acked_bytes), (Some(100), None, None, Some(300)));
        let subflow = &connection.subflows[0].directions;
        assert_eq!(subflow.client_to_server.max_in_flight_bytes, None);
        assert_eq!((subflow.client_to_server.data_bytes, subflow.server_to_client.data_bytes), (Some(100), None));
        assert_eq!(connection.stack.sysctls.version_accepted, Some(version));
        assert_eq!(connection.stack.scheduler.server_to_client.why, Some("its packets are not in the capture".into()));
    });
    // Nobody answers this one: that the server sent nothing is known.
    let mut script = Script::default();
    script.send(&mut Flow::new(CLIENT, SERVER), Client, SYN, &[handshake().0], 0);
    assert_eq!(only(&script).directions.server_to_client.bytes, Some(0));
}

/// The client acknowledges one byte more at the data level than came, which is the server's DATA_FIN; or as many.
#[test]
fn a_data_fin_that_only_its_acknowledgement_shows() {
    in_both_versions(|_| {
        for (bytes, last, closes) in [(300, 301, true), (301, 301, false)] {
            let mut script = Script::default();
            let flow = script.open_one_way();
            let mut flow = flow.rewound(Server, -300);
            script.send(&mut flow, Client, ACK, &[data_ack(Server, 300)], 0);
            let mut flow = flow.rewound(Server, 300 - bytes);
            script.send(&mut flow, Client, ACK, &[data_ack(Server, last)], 0);
            // The FIN of the subflow is no byte of it.
            let mut flow = flow.rewound(Server, -1);
            script.send(&mut flow, Client, ACK, &[data_ack(Server, last)], 0);
            let connection = only(&script);
            assert_eq!(connection.directions.server_to_client.acked_bytes, Some(bytes as u64));
            assert_eq!(connection.close == "half_closed", closes);
        }
    });
}

/// The client has closed its subflow; what comes for it later it answers with a RST. In that way nobody gives a subflow up.
#[test]
fn a_reset_behind_the_fin() {
    in_both_versions(|_| {
        for (flags, state) in [(RST, "closed"), (RST | ACK, "reset")] {
            let mut script = of_the_client();
            let mut join = Flow::new(CLIENT_2, SERVER);
            let (syn, ack) = (join.join_syn(2, false), join.join_ack());
            script.send(&mut join, Client, SYN, &[syn], 0);
            script.send(&mut join, Client, ACK, &[ack], 0);
            script.send(&mut join, Client, ACK, &[mapping(Client, 100, 1, 100, None)], 100);
            script.send(&mut join, Client, FIN | ACK, &[data_ack(Server, 300)], 0);
            let rst = script.send(&mut join, Client, flags, &[], 0);
            let connection = only(&script);
            let subflow = &connection.subflows[1];
            assert_eq!((subflow.state, subflow.closed.is_some()), (state, true));
            if flags == RST {
                silent(&script, "subflow-reset");
            } else {
                fires(&script, "subflow-reset", &[rst]);
            }
        }
    });
}

/// The client's joins to what the server announced are not in the capture, or not known as such.
#[test]
fn an_announced_address_in_one_direction() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Server, SYN | ACK, &[handshake().1], 0);
    script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
    script.send(&mut flow, Server, ACK, &[data_fin(Server, 0)], 0);
    script.send(&mut flow, Server, FIN | ACK, &[], 0);
    let join = Flow::new(CLIENT_2, SERVER_2);
    script.send(&mut join.clone(), Server, SYN | ACK, &[join.join_syn_ack(false)], 0);
    silent(&script, "address-never-used");
}

/// The token of a join may be that of a connection that began before the capture.
#[test]
fn a_refused_join_beside_a_connection_whose_token_is_unknown() {
    for begins_before in [true, false] {
        let mut script = Script::default();
        let (mut other, mut join) = (Flow::new(CLIENT, SERVER), Flow::new(CLIENT_2, SERVER));
        if begins_before {
            script.data(&mut other, Client, 0, 1, 100);
        }
        let syn = join.join_syn(1, false);
        script.send(&mut join, Client, SYN, &[syn], 0);
        let rst = script.send(&mut join, Server, RST | ACK, &[reason(3)], 0);
        if begins_before {
            script.data(&mut other, Client, 100, 101, 100);
        }
        fires(&script, "join-refused-prohibited", &[rst]);
        let found = script.the("join-refused-prohibited");
        let open =
            "it may be of connection 1, which was open to the same server and whose token is not in this capture";
        assert_eq!(found.message.contains(open), begins_before, "{found:?}");
        assert_eq!(found.message.contains("the token was changed on the way"), !begins_before, "{found:?}");
    }
}

/// A device that echoes the MP_JOIN of the SYN.
#[test]
fn an_echoed_join() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let mut join = Flow::new(CLIENT_2, SERVER);
        let option = join.join_syn(1, false);
        script.send(&mut join, Client, SYN, std::slice::from_ref(&option), 0);
        let answer = script.send(&mut join, Server, SYN | ACK, &[option], 0);
        fires(&script, "join-syn-ack-without-option", &[answer]);
        let found = script.the("join-syn-ack-without-option");
        assert!(found.message.contains("that repeats the MP_JOIN of the SYN"), "{found:?}");
    });
}

/// The server agreed and then says nothing of it: that is why the client gives MPTCP up.
#[test]
fn an_infinite_mapping_after_silence() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
    script.send(&mut flow, Server, ACK, &[], 0);
    let frame = script.send(&mut flow, Client, ACK, &[infinite(Client, 100, 101)], 100);
    fires(&script, "fallback-infinite-mapping", &[frame]);
    let found = script.the("fallback-infinite-mapping");
    assert!(found.message.contains("nothing that the server sent after its SYN/ACK"), "{found:?}");
}

/// The capture begins late: the key in MP_FASTCLOSE is the one whose token a join has named, or nothing tells whose it is.
#[test]
fn a_fastclose_key_that_a_token_proves() {
    in_both_versions(|_| {
        for named in [true, false] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            script.data(&mut flow, Client, 0, 1, 100);
            if named {
                let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
                script.data(&mut join, Client, 100, 1, 100);
            }
            script.data(&mut flow, Client, 200, 101, 100);
            script.send(&mut flow, Client, ACK, &[fastclose(SERVER_KEY)], 0);
            script.send(&mut flow, Server, RST, &[], 0);
            let found = script.the("fastclose");
            assert_eq!(found.message.contains("with the right key"), named, "{found:?}");
        }
    });
}

/// The SYN brought data, and the third ACK goes on behind it: a server that is not in the capture took it.
#[test]
fn fast_open_that_the_third_ack_shows() {
    in_both_versions(|_| {
        for (accepted, unmapped) in [(true, 0), (false, 264)] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            let (syn, _, ack) = handshake();
            script.send(&mut flow, Client, SYN, &[syn], 264);
            if !accepted {
                flow = flow.rewound(Client, 264);
            }
            script.send(&mut flow, Client, ACK, &[ack], 0);
            let first = if accepted { 0 } else { 264 };
            if !accepted {
                script.send(&mut flow, Client, ACK, &[data_ack(Server, 0)], 264);
            }
            script.send(&mut flow, Client, ACK, &[mapping(Client, first, first as u32 + 1, 100, None)], 100);
            let connection = only(&script);
            let up = &connection.directions.client_to_server;
            assert_eq!((up.bytes, up.unmapped_bytes), (Some(100), Some(unmapped)));
            assert_eq!(connection.stack.sysctls.fast_open_accepted_bytes, if accepted { 264 } else { 0 });
        }
    });
}

/// Data without options follows data with them; and then data with options follows on another subflow.
#[test]
fn options_that_end_in_the_middle() {
    in_both_versions(|_| {
        for (sender, joined) in [(Client, false), (Server, false), (Client, true)] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            let (syn, syn_ack, ack) = handshake();
            if sender == Client {
                script.send(&mut flow, Client, SYN, &[syn], 0);
                script.send(&mut flow, Client, ACK, &[ack], 0);
            } else {
                script.send(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
            }
            let last = script.send(&mut flow, sender, ACK, &[mapping(sender, 0, 1, 100, None)], 100);
            let bare = script.send(&mut flow, sender, ACK, &[], 100);
            if joined {
                let mut join = Flow::new(CLIENT_2, SERVER);
                let (syn, ack) = (join.join_syn(1, false), join.join_ack());
                script.send(&mut join, Client, SYN, &[syn], 0);
                script.send(&mut join, Client, ACK, &[ack], 0);
                script.send(&mut join, Client, ACK, &[mapping(Client, 100, 1, 100, None)], 100);
                assert_eq!(only(&script).outcome, "mptcp");
            } else {
                fires(&script, "fallback-options-vanished", &[last, bare]);
            }
        }
    });
}

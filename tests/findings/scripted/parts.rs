//! Files into which one capture was cut.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};

use crate::script::*;

/// A connection with a join, data on both paths, a retransmission, a keepalive and a close.
fn whole() -> Script {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let mut joined = script.join(CLIENT_2, SERVER, 1, [false, false]);
    for (part, flow) in [&mut joined, &mut flow].into_iter().enumerate() {
        let offset = 100 + 100 * part as u64;
        let dss = [mapping(Client, offset, 1 + 100 * part as u32, 100, None)];
        script.send(flow, Client, ACK, &dss, 100);
        script.again(flow, Client, ACK, &dss, 100);
        script.send(flow, Server, ACK, &[data_ack(Client, offset + 100)], 0);
    }
    script.send(&mut flow.clone().rewound(Client, 1), Client, ACK, &[], 0);
    script.send(&mut flow, Client, ACK, &[data_fin(Client, 300)], 0);
    script.send(&mut flow, Server, ACK, &[data_ack(Client, 301)], 0);
    script.send(&mut flow, Server, ACK, &[data_fin(Server, 0)], 0);
    script.send(&mut flow, Client, ACK, &[data_ack(Server, 1)], 0);
    for flow in [&mut flow, &mut joined] {
        for side in [Client, Server] {
            script.send(flow, side, FIN | ACK, &[], 0);
        }
    }
    script
}

/// What must not depend on where a capture was cut.
fn gist(script: &Script) -> String {
    let report = script.report();
    let header = report.header();
    let connections: Vec<_> = (0..report.connection_count()).map(|index| report.connection(index)).collect();
    let found: Vec<_> = script.found().into_iter().map(|found| (found.id, found.subflow)).collect();
    let subflows: Vec<_> = connections.iter().flat_map(|connection| &connection.subflows).collect();
    let carried = |subflow: &&mptcp_inspect::model::Subflow| {
        let sent = &subflow.directions.client_to_server;
        (subflow.state, sent.segments, sent.payload_bytes, sent.retransmitted_bytes)
    };
    format!(
        "{} {:?} {:?} {found:?} {} {}",
        header.capture.tcp_segments,
        connections.iter().map(|of| (of.outcome, of.close, of.views.len())).collect::<Vec<_>>(),
        subflows.iter().map(carried).collect::<Vec<_>>(),
        header.capture.view_segments,
        header.tcp_connections.seen,
    )
}

/// Files into which one capture was cut say together what it says, wherever the cut is, whatever order they are given in, and
/// where they overlap.
#[test]
fn parts_of_one_capture() {
    in_both_versions(|_| {
        let expected = gist(&whole());
        for at in 1..whole().frame_count() {
            for overlap in [0, 1, 5] {
                for order in [[0, 1], [1, 0]] {
                    let mut parts = whole();
                    parts.cut(at, overlap, order);
                    assert_eq!(gist(&parts), expected, "cut at {at}, {overlap} in both, {order:?}");
                }
            }
        }
    });
}

/// As of IPv6, whose packets have no identification: a SYN/ACK that is sent again after a second, and two announcements with the
/// same numbers, are no copies of what another part shows.
#[test]
fn parts_of_one_capture_without_identification() {
    let record = || {
        let mut script = Script::default();
        script.no_ip_id = true;
        let mut flow = Flow::new(CLIENT, SERVER);
        let (syn, syn_ack, ack) = handshake();
        script.send(&mut flow, Client, SYN, &[syn], 0);
        script.send(&mut flow, Server, SYN | ACK, std::slice::from_ref(&syn_ack), 0);
        script.wait(SECOND);
        script.again(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
        script.send(&mut flow, Client, ACK, &[ack], 0);
        for id in [1, 2] {
            script.send(&mut flow, Server, ACK, &[announce(id, [10, 0, 7, id], None, SERVER_KEY)], 0);
        }
        script.data(&mut flow, Client, 0, 1, 100);
        script.data(&mut flow, Client, 100, 101, 100);
        script
    };
    let expected = gist(&record());
    for at in 1..record().frame_count() {
        let mut parts = record();
        parts.cut(at, 0, [0, 1]);
        assert_eq!(gist(&parts), expected, "cut at {at}");
        let report = parts.report();
        let connection = report.connection(0);
        assert_eq!(connection.addresses.len(), 2, "cut at {at}");
        let syn_ack = connection.subflows[0].syn_ack.as_ref().expect("a SYN/ACK");
        assert_eq!(syn_ack.retransmissions, 1, "cut at {at}");
    }
}

//! Which path and interface data takes, and how paths and connections end.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::TcpOption;

use super::joins::refused_join;
use super::{fires, silent};
use crate::script::*;

#[test]
pub(super) fn data_on_a_backup_path() {
    for backup in [[false, true], [false, false], [true, false]] {
        let mut script = Script::default();
        let mut first = script.open();
        let mut join = script.join(CLIENT_2, SERVER, 2, backup);
        let frame = script.data(&mut join, Client, 0, 1, 60_000);
        script.data(&mut first, Client, 60_000, 1, 60_000);
        // The mark of the server binds the client; its own does not.
        if backup[1] { fires(&script, "backup-path-used", &[frame]) } else { silent(&script, "backup-path-used") }
    }
}

#[test]
pub(super) fn one_source_on_two_interfaces() {
    for (third, wrong) in [(0, true), (1, false)] {
        let mut script = Script::default();
        script.open();
        script.interface = 1;
        script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.interface = third;
        let join = (CLIENT_2.0, 40009);
        script.join(join, SERVER_2, 2, [false; 2]);
        if wrong { fires(&script, "wrong-interface", &[4, 8]) } else { silent(&script, "wrong-interface") }
    }
}

/// The answer comes in on another interface than the one the SYN left through (packet types: 0 to us, 4 outgoing).
#[test]
pub(super) fn an_answer_on_another_interface() {
    for (answered_on, wrong) in [(2, true), (3, false)] {
        let mut script = Script::default();
        script.open();
        let mut join = Flow::new(CLIENT_2, SERVER);
        let (syn, syn_ack, ack) = (join.join_syn(2, false), join.join_syn_ack(false), join.join_ack());
        script.cooked = Some((3, 4));
        let left = script.send(&mut join, Client, SYN, &[syn], 0);
        script.cooked = Some((answered_on, 0));
        let answer = script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
        script.cooked = Some((3, 4));
        script.send(&mut join, Client, ACK, &[ack], 0);
        if wrong {
            fires(&script, "wrong-interface", &[left, answer]);
        } else {
            silent(&script, "wrong-interface");
        }
    }
}

/// At the server, whose answers come at once, the interfaces say nothing of the client's routes.
#[test]
pub(super) fn one_source_on_two_interfaces_of_the_other_end() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    let handshake = |script: &mut Script, flow: &mut Flow, options: [TcpOption<'_>; 3]| {
        let [syn, syn_ack, ack] = options;
        script.send(flow, Client, SYN, &[syn], 0);
        script.send(flow, Server, SYN | ACK, &[syn_ack], 0);
        script.wait(SECOND);
        script.send(flow, Client, ACK, &[ack], 0);
        script.send(flow, Server, ACK, &[data_ack(Client, 0)], 0);
    };
    let keys =
        [capable(1, None, None), capable(1, Some(SERVER_KEY), None), capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))];
    handshake(&mut script, &mut flow, keys);
    script.interface = 1;
    let mut join = Flow::new((CLIENT.0, 40009), SERVER_2);
    let proofs = [join.join_syn(0, false), join.join_syn_ack(false), join.join_ack()];
    handshake(&mut script, &mut join, proofs);
    silent(&script, "wrong-interface");
}

#[test]
pub(super) fn data_that_stalls_before_it_moves() {
    for (acknowledged, stalled) in [(false, true), (true, false)] {
        let mut script = Script::default();
        let mut first = script.open();
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        let last = script.send(&mut first, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
        if acknowledged {
            script.send(&mut first, Server, ACK, &[data_ack(Client, 100)], 0);
        }
        script.wait(3 * SECOND);
        let moved = script.data(&mut join, Client, 100, 1, 100);
        if stalled { fires(&script, "path-stalled", &[last, moved]) } else { silent(&script, "path-stalled") }
    }
}

#[test]
pub(super) fn resets_in_mid_life() {
    for (code, unsupported) in [(4, false), (6, true)] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.data(&mut join, Client, 100, 1, 100);
        let rst = script.send(&mut join, Server, RST | ACK, &[reason(code)], 0);
        script.data(&mut first, Client, 200, 101, 100);
        fires(&script, "subflow-reset", &[rst]);
        let id = "subflow-reset-reason-unsupported";
        if unsupported { fires(&script, id, &[rst]) } else { silent(&script, id) }
    }
    // A refused join was no subflow yet.
    silent(&refused_join(SERVER, &[reason(2)]).0, "subflow-reset");
}

/// A RST after which both ends go on was not sent by the one in whose name it came.
#[test]
pub(super) fn resets_without_effect() {
    in_both_versions(|_| {
        for (goes_on, acknowledged) in [(true, true), (true, false), (false, false)] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Server, 0, 1, 100);
            script.ttl = Some(61);
            let rst = script.send(&mut flow.clone(), Server, RST, &[], 0);
            script.ttl = None;
            if goes_on {
                script.send(&mut flow, Server, ACK, &[mapping(Server, 100, 101, 100, None)], 100);
            }
            if acknowledged {
                let shown = script.send(&mut flow, Client, ACK, &[data_ack(Server, 200)], 0);
                fires(&script, "subflow-reset-forged", &[rst, shown]);
                let found = script.the("subflow-reset-forged");
                assert!(found.message.contains("It has TTL 61, the first segment"), "{found:?}");
                let connection = script.report().connection(0);
                assert_eq!((connection.subflows[0].state, connection.close), ("established", "open"));
                assert!(connection.subflows[0].reset.is_none() && connection.closed.is_none());
                silent(&script, "connection-reset");
            } else {
                silent(&script, "subflow-reset-forged");
                fires(&script, "connection-reset", &[rst]);
            }
        }
    });
    // It overtook data that was sent before it: its number is behind that.
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Server, 0, 1, 100);
    let rst = script.send(&mut flow.clone().rewound(Server, -100), Server, RST, &[], 0);
    script.data(&mut flow, Server, 100, 101, 100);
    silent(&script, "subflow-reset-forged");
    fires(&script, "connection-reset", &[rst]);
}

/// A RST to the SYN with MP_CAPABLE, none to the one without.
#[test]
fn a_syn_that_is_refused_for_its_option() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    let rst = script.send(&mut Flow::new(CLIENT, SERVER).rewound(Client, -1), Server, RST | ACK, &[], 0);
    let bare = script.again(&mut flow, Client, SYN, &[], 0);
    script.send(&mut flow, Server, SYN | ACK, &[], 0);
    script.send(&mut flow, Client, ACK, &[], 0);
    for side in [Client, Server] {
        script.send(&mut flow, side, ACK, &[], 100);
        script.send(&mut flow, side, FIN | ACK, &[], 0);
    }
    fires(&script, "fallback-syn-retried-without-option", &[rst, bare]);
    let found = script.the("fallback-syn-retried-without-option");
    assert!(found.message.starts_with("1 SYN with MP_CAPABLE got a RST (frame 2)"), "{found:?}");
    silent(&script, "subflow-reset-forged");
    let connection = script.report().connection(0);
    assert_eq!((connection.subflows[0].state, connection.close), ("closed", "fallback_fin"));
}

#[test]
pub(super) fn ends() {
    for (key, wrong) in [(WRONG_KEY, true), (SERVER_KEY, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let frame = script.send(&mut flow, Client, RST | ACK, &[fastclose(key)], 0);
        if wrong {
            fires(&script, "fastclose-wrong-key", &[frame]);
        } else {
            silent(&script, "fastclose-wrong-key");
        }
        if wrong { silent(&script, "fastclose") } else { fires(&script, "fastclose", &[frame]) }
    }
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    script.send(&mut flow, Client, FIN | ACK, &[], 0);
    silent(&script, "closed-without-data-fin");
    let last = script.send(&mut flow, Server, FIN | ACK, &[], 0);
    fires(&script, "closed-without-data-fin", &[last]);
}

/// The capture lacks the DATA_FIN of the client, or its last data, or nothing.
#[test]
pub(super) fn an_end_that_was_not_captured() {
    let id = "closed-without-data-fin";
    for (lost, data_fin, told) in [(0, false, true), (0, true, false), (100, true, false), (100, false, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        script.data(&mut flow, Server, 0, 1, 100);
        flow = flow.rewound(Client, -lost);
        let acked = 100 + lost as u64 + u64::from(data_fin);
        script.send(&mut flow, Server, ACK, &[data_ack(Client, acked)], 0);
        script.send(&mut flow, Client, FIN | ACK, &[data_ack(Server, 100)], 0);
        script.send(&mut flow, Server, FIN | ACK, &[data_ack(Client, acked)], 0);
        script.send(&mut flow, Client, ACK, &[data_ack(Server, 101)], 0);
        if told {
            fires(&script, id, &[]);
        } else {
            silent(&script, id);
        }
        let connection = script.report().connection(0);
        if lost == 0 {
            assert_eq!(connection.directions.client_to_server.acked_bytes, Some(100));
            assert_eq!(connection.close, if data_fin { "data_fin" } else { "half_closed" });
        }
    }
}

/// Payload that TCP alone shows to be missing may have been the DATA_FIN's.
#[test]
fn an_end_behind_payload_that_was_not_captured() {
    for (lost, close) in [(0, "tcp_fin_only"), (100, "open")] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        flow = flow.rewound(Client, -lost);
        script.send(&mut flow, Client, FIN | ACK, &[], 0);
        script.send(&mut flow, Server, FIN | ACK, &[], 0);
        assert_eq!(script.report().connection(0).close, close, "{lost} bytes lost");
    }
}

/// Where every option is cut, nothing tells whether there was MPTCP.
#[test]
fn options_that_the_capture_cut_are_counted() {
    for (snaplen, connections, cut) in [(None, 1, 0), (Some(42), 0, 5)] {
        let mut script = Script::default();
        script.snaplen = snaplen;
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let report = script.report();
        let capture = report.header().capture;
        assert_eq!((report.connection_count(), capture.options_cut_segments), (connections, cut));
    }
}

/// Bytes that come late on their own slow path are no handover, however silent the others are meanwhile; bytes that follow
/// after a silence are.
#[test]
pub(super) fn bytes_behind_a_hole_and_bytes_that_follow() {
    in_both_versions(|_| {
        for (held_back, moved) in [(true, false), (false, true)] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
            script.data(&mut first, Client, 0, 1, 100);
            // The join's 100 bytes come before or behind these, and the server has acknowledged nothing meanwhile.
            let (own, late) = if held_back { (200, 100) } else { (100, 200) };
            script.send(&mut first, Client, ACK, &[mapping(Client, own, 101, 100, None)], 100);
            script.wait(450 * MS);
            let frame = script.data(&mut join, Client, late, 1, 100);
            if moved {
                fires(&script, "handover", &[frame]);
            } else {
                silent(&script, "handover");
            }
            assert_eq!(script.report().connection(0).directions.client_to_server.handovers.len(), usize::from(moved));
        }
    });
}

/// While acknowledgements are under way, other data may go elsewhere: no path was given up.
#[test]
pub(super) fn data_by_turns_on_long_paths() {
    in_both_versions(|_| {
        for (round_trip, moved) in [(600 * MS, false), (20 * MS, true)] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = Flow::new(CLIENT_2, SERVER);
            let (syn, syn_ack, ack) = (join.join_syn(2, false), join.join_syn_ack(false), join.join_ack());
            script.send(&mut join, Client, SYN, &[syn], 0);
            script.wait(round_trip);
            script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
            script.send(&mut join, Client, ACK, &[ack], 0);
            script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
            let old = script.send(&mut join, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
            script.wait(300 * MS);
            let new = script.data(&mut first, Client, 100, 1, 100);
            // It is used again, much later.
            script.wait(SECOND);
            script.data(&mut join, Client, 200, 101, 100);
            if moved {
                fires(&script, "handover", &[old, new]);
            } else {
                silent(&script, "handover");
            }
        }
    });
}

/// Blocks that go over both paths by turns: the backup is used beside the regular path wherever the last block goes.
#[test]
fn a_backup_path_that_is_used_by_turns() {
    in_both_versions(|_| {
        for (blocks, backup, used) in [(12, true, true), (13, true, true), (12, false, false), (2, true, false)] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false, backup]);
            for block in 0..blocks {
                let flow = if block % 2 == 0 { &mut first } else { &mut join };
                script.data(flow, Client, block * 6000, (block / 2 * 6000 + 1) as u32, 6000);
            }
            if used {
                fires(&script, "backup-path-used", &[]);
            } else {
                silent(&script, "backup-path-used");
            }
        }
    });
}

/// The regular path falls silent with bytes outstanding, or is idle for good: nothing shows that it works.
#[test]
fn a_backup_path_where_no_regular_path_works() {
    in_both_versions(|_| {
        for stalls in [true, false] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [true; 2]);
            script.data(&mut first, Client, 0, 1, 1000);
            if stalls {
                script.send(&mut first, Client, ACK, &[mapping(Client, 1000, 1001, 1000, None)], 1000);
                script.wait(500 * MS);
            }
            let from = if stalls { 2000 } else { 1000 };
            for block in 0..10 {
                script.data(&mut join, Client, from + block * 6000, (block * 6000 + 1) as u32, 6000);
            }
            if stalls {
                // It has recovered.
                let at = 1 + from as u32;
                script.data(&mut first, Client, from + 60_000, at, 1000);
            }
            silent(&script, "backup-path-used");
        }
    });
}

/// MP_PRIO makes a backup of a path in use: what was under way may come, what is sent a second later may not.
#[test]
fn a_path_that_becomes_a_backup() {
    in_both_versions(|_| {
        for (late, used) in [(true, true), (false, false)] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
            script.data(&mut join, Server, 0, 1, 6000);
            script.send(&mut join, Client, ACK, &[prio(true)], 0);
            let mut at = 6000;
            let mut ssn = [1, 6001];
            script.wait(if late { SECOND } else { 0 });
            for block in 0..10 {
                let (flow, ssn) = if block % 2 == 0 { (&mut first, &mut ssn[0]) } else { (&mut join, &mut ssn[1]) };
                script.data(flow, Server, at, *ssn, 6000);
                at += 6000;
                *ssn += 6000;
            }
            script.data(&mut first, Server, at, ssn[0], 6000);
            if used {
                fires(&script, "backup-path-used", &[]);
                silent(&script, "handover");
            } else {
                silent(&script, "backup-path-used");
                fires(&script, "handover", &[]);
            }
        }
    });
}

/// Most of the stream is not captured: the share of a path is not that of what shows.
#[test]
fn shares_of_a_stream_with_holes() {
    in_both_versions(|_| {
        for (missing, told) in [(0, true), (60_000, false)] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
            script.data(&mut first, Client, 0, 1, 60_000);
            script.data(&mut first, Client, 60_000, 60_001, 60_000);
            script.data(&mut join, Client, 120_000 + missing, 1, 100);
            assert_eq!(script.ids().contains(&"one-path-carries-most"), told);
            // What waits for them has not waited no time.
            let connection = script.report().connection(0);
            let reorder = connection.directions.client_to_server.reorder;
            assert_eq!((reorder.late_bytes > 0, reorder.max_wait_ns), (missing > 0, told.then_some(0)));
        }
    });
}

/// The reason of a RST is its own: a RST without one that came before, as a device sends it, has none.
#[test]
fn the_reason_of_another_reset() {
    let mut script = Script::default();
    let mut first = script.open();
    script.data(&mut first, Client, 0, 1, 100);
    let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
    script.data(&mut join, Client, 100, 1, 100);
    let bare = script.send(&mut join, Client, RST, &[], 0);
    script.send(&mut join, Client, ACK, &[mapping(Client, 200, 101, 100, None)], 100);
    script.send(&mut join, Client, RST | ACK, &[reason(4)], 0);
    script.data(&mut first, Client, 300, 101, 100);
    let reset = script.report().connection(0).subflows[1].reset.expect("a reset");
    assert_eq!((reset.frame.id.number, reset.reason), (bare, None));
    let found = script.the("subflow-reset");
    assert!(found.message.contains("without a reason") && found.counter.is_none(), "{found:?}");
}

/// The only subflow is removed by its id: that is why the connection ends without DATA_FIN.
#[test]
fn a_removal_that_ends_the_last_subflow() {
    for removes in [false, true] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let steers = if removes { vec![remove(&[0])] } else { Vec::new() };
        let removal = script.send(&mut flow, Server, ACK, &steers, 0);
        script.send(&mut flow, Server, FIN | ACK, &[], 0);
        let last = script.send(&mut flow, Client, FIN | ACK, &[], 0);
        fires(&script, "closed-without-data-fin", &[&[last][..], &[removal][..usize::from(removes)]].concat());
        let message = script.the("closed-without-data-fin").message;
        assert_eq!(message.contains("the server had removed address id 0"), removes, "{message}");
    }
}

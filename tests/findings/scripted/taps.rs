//! One connection at several taps: what changes on the way between them.

use mptcp_inspect::crypto::Key;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{self, Client, Server};
use mptcp_inspect::wire::TcpOption;

use super::{fires, silent};
use crate::script::*;

/// Three taps; the option of the SYN is gone at the last only, so the fault lies between the last two.
#[test]
pub(super) fn the_stretch_at_fault_is_the_shortest() {
    for lost_from in [1, 2] {
        let mut script = Script::default();
        let mut flows = [(); 3].map(|()| Flow::new(CLIENT, SERVER));
        for (input, flow) in flows.iter_mut().enumerate() {
            script.input = input as u16;
            let syn = capable(1, None, None);
            script.send(flow, Client, SYN, if input < lost_from { std::slice::from_ref(&syn) } else { &[] }, 0);
        }
        for (input, flow) in flows.iter_mut().enumerate().rev() {
            script.input = input as u16;
            script.send(flow, Server, SYN | ACK, &[], 0);
        }
        for (input, flow) in flows.iter_mut().enumerate() {
            script.input = input as u16;
            script.send(flow, Client, ACK, &[], 0);
        }
        let between = script.the("path-stripped-option").between.expect("two inputs");
        assert_eq!(between, [lost_from - 1, lost_from].map(|input| format!("input-{input}.pcap")));
        fires(&script, "path-stripped-option", &[1]);
    }
}

/// A NAT helper that puts another address into ADD_ADDR, and a device that takes the reason off a RST.
#[test]
pub(super) fn announcements_and_resets_that_change_on_the_way() {
    for changed in [true, false] {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            let mut flow = script.open();
            let far = changed && input == 1;
            let address = if far { [192, 0, 2, 7] } else { SERVER_2.0 };
            script.send(&mut flow, Server, ACK, &[announce(1, address, None, SERVER_KEY)], 0);
            script.data(&mut flow, Client, 0, 1, 100);
            // The server's packets are whole where they leave: at the second input, which shows the same delays.
            let why = [reason(4)];
            script.send(&mut flow, Server, RST | ACK, if changed && input == 0 { &[] } else { &why }, 0);
        }
        if changed {
            fires(&script, "path-changed-option", &[4]);
            assert!(script.the("path-stripped-option").message.contains("MP_TCPRST with reason 4"));
        } else {
            silent(&script, "path-changed-option");
            silent(&script, "path-stripped-option");
        }
    }
}

/// One connection at two inputs: the client's data as it left and as it came, each as the lengths of its segments and what
/// makes its bytes differ.
fn two_streams(sent: &[usize], got: &[usize], salt: u8, server_key: Key) -> Script {
    let mut script = Script::default();
    for (input, segments, salt, key) in [(0, sent, 0, SERVER_KEY), (1, got, salt, server_key)] {
        script.input = input;
        let mut flow = Flow::new(CLIENT, SERVER);
        let mss = || TcpOption::MaximumSegmentSize(1460);
        script.send(&mut flow, Client, SYN, &[mss(), capable(1, None, None)], 0);
        script.send(&mut flow, Server, SYN | ACK, &[mss(), capable(1, Some(key), None)], 0);
        script.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
        script.salt = salt;
        let all = segments.iter().sum::<usize>() as u16;
        for &len in segments {
            script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, all, None)], len);
        }
        script.salt = 0;
    }
    script
}

#[test]
pub(super) fn streams_that_are_cut_or_written_anew() {
    let id = "path-resegmented";
    // Each segment counts up from 0, so 256 bytes hold the same in one or two segments.
    fires(&two_streams(&[512], &[256, 256], 0, SERVER_KEY), id, &[4]);
    fires(&two_streams(&[256, 256], &[512], 0, SERVER_KEY), id, &[4]);
    silent(&two_streams(&[256, 256], &[256, 256], 0, SERVER_KEY), id);
    // Larger than the MSS: offload in the sending host.
    silent(&two_streams(&[2560], &[1280, 1280], 0, SERVER_KEY), id);

    let id = "path-changed-payload";
    fires(&two_streams(&[512], &[512], 7, SERVER_KEY), id, &[4]);
    fires(&two_streams(&[512], &[256, 256], 7, SERVER_KEY), id, &[4]);
    silent(&two_streams(&[512], &[256, 256], 0, SERVER_KEY), id);

    let id = "path-changed-option";
    fires(&two_streams(&[512], &[512], 0, WRONG_KEY), id, &[2]);
    silent(&two_streams(&[512], &[256, 256], 7, SERVER_KEY), id);
}

/// One connection at two inputs, the second 1 ms later; `mss` there, and whether a segment gets lost on the way.
fn two_views(mss: u16, lost: bool) -> Script {
    two_views_of(mss, lost, lost)
}

/// The same, and whether what got lost is sent again.
fn two_views_of(mss: u16, lost: bool, sent_again: bool) -> Script {
    let mut script = Script::default();
    let mut near = Flow::new(CLIENT, SERVER);
    let mut far = near.clone();
    // The server's packets pass the second input first.
    let mut both = |script: &mut Script, side, flags, options: [Vec<TcpOption<'_>>; 2], payload, skip: bool| {
        let order = if side == Client { [0, 1] } else { [1, 0] };
        for input in order {
            script.input = input;
            let flow = if input == 0 { &mut near } else { &mut far };
            if input == 0 || !skip {
                script.send(flow, side, flags, &options[usize::from(input)], payload);
            }
        }
        if skip {
            // It was sent, and it did not get here.
            far = near.clone();
        }
    };
    let syn = |mss| vec![TcpOption::MaximumSegmentSize(mss), capable(1, None, None)];
    both(&mut script, Client, SYN, [syn(1460), syn(mss)], 0, false);
    let same = |option: TcpOption<'static>| [vec![option], vec![option]];
    both(&mut script, Server, SYN | ACK, same(capable(1, Some(SERVER_KEY), None)), 0, false);
    both(&mut script, Client, ACK, same(capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))), 0, false);
    both(&mut script, Client, ACK, same(mapping(Client, 0, 1, 100, None)), 100, lost);
    both(&mut script, Client, ACK, same(mapping(Client, 100, 101, 100, None)), 100, false);
    if sent_again {
        let back = |flow: &mut Flow| *flow = flow.clone().rewound(Client, 200);
        back(&mut near);
        back(&mut far);
        let mut again = |script: &mut Script, offset: u64, ssn| {
            for (input, flow) in [(0, &mut near), (1, &mut far)] {
                script.input = input;
                script.send(flow, Client, ACK, &[mapping(Client, offset, ssn, 100, None)], 100);
            }
        };
        again(&mut script, 0, 1);
        near = near.rewound(Client, -100);
        far = far.rewound(Client, -100);
    }
    for side in [Client, Server] {
        for (input, flow) in [(0, &mut near), (1, &mut far)] {
            script.input = input;
            script.send(flow, side, FIN | ACK, &[], 0);
        }
    }
    script
}

#[test]
pub(super) fn two_captures_of_one_connection() {
    fires(&two_views(1400, false), "path-changed-tcp-options", &[1]);
    fires(&two_views(1460, true), "path-lost-packets", &[]);
    // Nobody sent it again: it came, and the second capture lacks it.
    silent(&two_views_of(1460, true, false), "path-lost-packets");
    let whole = two_views(1460, false);
    for id in ["path-changed-tcp-options", "path-lost-packets", "path-rewrote-sequence-numbers", "path-stripped-option"]
    {
        silent(&whole, id);
    }
}

/// A host that forwards shows each packet at two interfaces, with 1700 others between: none of them was sent again.
#[test]
fn copies_that_come_late() {
    let mut script = Script::default();
    let mut flow = script.open();
    for number in 0..3 {
        script.copy(number, 1);
    }
    let (count, between) = (6000, 1700);
    for number in 0..count {
        if number < count - between {
            let offset = number as u64 * 10;
            script.send(&mut flow, Client, ACK, &[mapping(Client, offset, offset as u32 + 1, 10, None)], 10);
        }
        if number >= between {
            // Until the first copy of data, the originals stand alone behind the six frames of the handshake.
            let done = number - between;
            script.copy(if done < between { 6 + done } else { 6 + between + 2 * (done - between) }, 1);
        }
    }
    let report = script.report();
    let capture = report.header().capture;
    assert_eq!((capture.tcp_segments, capture.duplicates), (4303, 4303));
    assert_eq!(report.connection(0).subflows[0].directions.client_to_server.retransmitted_bytes, 0);
}

/// A device that splits segments, captured at both sides of it: only what comes to it again was sent again.
#[test]
fn segments_that_are_cut_between_two_interfaces() {
    for again in [false, true] {
        let mut script = Script::default();
        let mut flow = script.open();
        for number in 0..3 {
            script.copy(number, 1);
        }
        for round in 0..if again { 2 } else { 1 } {
            script.interface = 0;
            flow = flow.rewound(Client, 300 * round);
            script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 300, None)], 300);
            script.interface = 1;
            flow = flow.rewound(Client, 300);
            for _ in 0..3 {
                script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 300, None)], 100);
            }
        }
        let report = script.report();
        let sent = &report.connection(0).subflows[0].directions.client_to_server;
        assert_eq!(sent.retransmitted_bytes, if again { 300 } else { 0 });
        assert_eq!(report.header().capture.tcp_segments, if again { 5 } else { 4 });
    }
}

/// A second place whose clock is so far ahead that its capture seems to begin when the first is over, even where it begins in
/// the middle, shows the same packets.
#[test]
fn captures_of_two_places_one_behind_the_other() {
    for first in 0..6 {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            let before = script.frame_count();
            let mut flow = script.open();
            for part in 0..4 {
                script.data(&mut flow, Client, 100 * part, 1 + 100 * part as u32, 100);
            }
            if input == 1 {
                script.forget(before..before + first);
            }
        }
        let report = script.report();
        let connection = report.connection(0);
        assert_eq!((report.connection_count(), connection.views.len()), (1, 1), "without {first}");
        assert_eq!(connection.subflows[0].directions.client_to_server.retransmitted_bytes, 0);
    }
}

/// The same segments at inputs that do not all show each of them, 1 ms apart; the last tells which do.
fn at_inputs(
    script: &mut Script,
    flows: &mut [Flow; 2],
    segment: (Side, u8, &[TcpOption<'_>], usize),
    inputs: &[usize],
) {
    let (side, flags, options, payload) = segment;
    for (input, flow) in flows.iter_mut().enumerate() {
        script.input = input as u16;
        script.send(flow, side, flags, options, payload);
        script.wait(-9 * MS);
        if !inputs.contains(&input) {
            // It passes all the same.
            let last = script.frame_count() - 1;
            script.forget(last..last + 1);
        }
    }
    script.wait(30 * MS);
}

/// A connection whose first subflow both inputs show, each the directions in `initial`, and whose join those of `joins` show.
fn partly_shown(first: [&[usize]; 2], joins: &[usize]) -> Script {
    let mut script = Script::identified(false);
    let mut flows = [Flow::new(CLIENT, SERVER), Flow::new(CLIENT, SERVER)];
    let (syn, syn_ack, ack) = handshake();
    let [client, server] = first;
    at_inputs(&mut script, &mut flows, (Client, SYN, &[syn], 0), client);
    at_inputs(&mut script, &mut flows, (Server, SYN | ACK, &[syn_ack], 0), server);
    at_inputs(&mut script, &mut flows, (Client, ACK, &[ack], 0), client);
    at_inputs(&mut script, &mut flows, (Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100), client);
    at_inputs(&mut script, &mut flows, (Server, ACK, &[data_ack(Client, 100)], 0), server);
    at_inputs(&mut script, &mut flows, (Server, ACK, &[mapping(Server, 0, 1, 50, None)], 50), server);
    let mut joined = [Flow::new(CLIENT_2, SERVER), Flow::new(CLIENT_2, SERVER)];
    let [syn, syn_ack, ack] = [joined[0].join_syn(1, false), joined[0].join_syn_ack(false), joined[0].join_ack()];
    at_inputs(&mut script, &mut joined, (Client, SYN, &[syn], 0), joins);
    at_inputs(&mut script, &mut joined, (Server, SYN | ACK, &[syn_ack], 0), joins);
    at_inputs(&mut script, &mut joined, (Client, ACK, &[ack], 0), joins);
    at_inputs(&mut script, &mut joined, (Server, ACK, &[data_ack(Client, 100)], 0), joins);
    at_inputs(&mut script, &mut flows, (Client, FIN | ACK, &[], 0), client);
    script.wait(2 * SECOND);
    at_inputs(&mut script, &mut joined, (Client, ACK, &[mapping(Client, 100, 1, 100, None)], 100), joins);
    at_inputs(&mut script, &mut joined, (Server, ACK, &[data_ack(Client, 200)], 0), joins);
    script
}

/// A subflow that only one of two places shows belongs to the connection, and what is between their clocks is no handover.
#[test]
fn subflows_of_one_input_only() {
    in_both_versions(|_| {
        for joins in [&[0_usize][..], &[1]] {
            let script = partly_shown([&[0, 1], &[0, 1]], joins);
            let report = script.report();
            assert_eq!((report.connection_count(), report.header().capture.tcp_segments), (1, 13));
            let connection = report.connection(0);
            let sent = &connection.directions.client_to_server;
            assert_eq!((sent.bytes, sent.missing_bytes), (Some(200), Some(0)), "{joins:?}");
            let states: Vec<_> = connection.subflows.iter().map(|subflow| subflow.state).collect();
            assert_eq!(states, ["established"; 2]);
            if joins == [1] {
                assert!(sent.handovers.is_empty());
                silent(&script, "handover");
            } else {
                assert_eq!(sent.handovers.len(), 1);
            }
        }
    });
}

/// Where the first input has one direction only, the one that has both tells what happened.
#[test]
fn a_whole_view_before_one_of_one_direction() {
    in_both_versions(|_| {
        for (first, bytes) in [([&[0, 1][..], &[1]], 50), ([&[0, 1], &[0, 1]], 50)] {
            let report = partly_shown(first, &[1]).report();
            let connection = report.connection(0);
            assert_eq!(report.connection_count(), 1);
            assert_eq!(connection.directions.server_to_client.bytes, Some(bytes));
            assert_eq!(connection.directions.client_to_server.bytes, Some(200));
            assert_eq!(connection.views.len(), 1);
        }
    });
}

/// A third ACK that one of two inputs lost was not removed on the way, and a later segment is none.
#[test]
fn a_third_ack_that_was_not_captured() {
    in_both_versions(|_| {
        for inputs in [1, 2] {
            let mut script = Script::identified(false);
            let mut flows = [Flow::new(CLIENT, SERVER), Flow::new(CLIENT, SERVER)];
            let (syn, syn_ack, ack) = handshake();
            let all: &[usize] = if inputs == 1 { &[0] } else { &[0, 1] };
            let but_last: &[usize] = if inputs == 1 { &[] } else { &[0] };
            at_inputs(&mut script, &mut flows, (Client, SYN, &[syn], 0), all);
            at_inputs(&mut script, &mut flows, (Server, SYN | ACK, &[syn_ack], 0), all);
            at_inputs(&mut script, &mut flows, (Client, ACK, &[ack], 0), but_last);
            at_inputs(&mut script, &mut flows, (Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100), but_last);
            for _ in 0..2 {
                at_inputs(&mut script, &mut flows, (Client, ACK, &[], 100), all);
                at_inputs(&mut script, &mut flows, (Server, ACK, &[], 0), all);
            }
            silent(&script, "fallback-no-option-in-third-ack");
            let third = |found: &mptcp_inspect::model::Finding| found.message.starts_with("The third ACK");
            assert!(!script.found().iter().any(third));
        }
    });
}

/// A SYN/ACK without identification shows again on the other of two interfaces: at once it is a copy, a second later it was sent
/// again.
#[test]
fn a_syn_ack_that_is_sent_again_over_another_interface() {
    in_both_versions(|_| {
        for copied in [true, false] {
            let mut script = Script::identified(false);
            let (asked, answer, confirmed) = handshake();
            let mut flow = Flow::new(CLIENT, SERVER);
            script.send(&mut flow, Client, SYN, &[asked], 0);
            script.send(&mut flow, Server, SYN | ACK, std::slice::from_ref(&answer), 0);
            if !copied {
                script.wait(SECOND);
            }
            script.interface = 1;
            script.again(&mut flow, Server, SYN | ACK, &[answer], 0);
            script.interface = 0;
            script.send(&mut flow, Client, ACK, &[confirmed], 0);
            assert_eq!(script.report().header().capture.duplicates, u64::from(copied));
        }
    });
}

/// Segments without identification, each of which the same interface shows once more in the same microsecond: copies. Later, or with
/// another timestamp, they are sent again.
#[test]
fn segments_that_one_interface_shows_twice() {
    in_both_versions(|_| {
        for (later, stamp, copies) in [(0, 7, 2), (MS, 7, 0), (0, 8, 0)] {
            let mut script = Script::identified(false);
            let stamped = |value, option| [TcpOption::Timestamps { value, echo_reply: 1 }, option];
            let mut flow = Flow::new(CLIENT, SERVER);
            let (asked, answer, confirmed) = handshake();
            script.send(&mut flow, Client, SYN, &stamped(7, asked), 0);
            script.wait(later - 10 * MS);
            script.again(&mut flow, Client, SYN, &stamped(stamp, asked), 0);
            script.send(&mut flow, Server, SYN | ACK, &stamped(7, answer), 0);
            script.send(&mut flow, Client, ACK, &stamped(7, confirmed), 0);
            let data = mapping(Client, 0, 1, 100, None);
            script.send(&mut flow, Client, ACK, &stamped(7, data), 100);
            script.wait(later - 10 * MS);
            script.again(&mut flow, Client, ACK, &stamped(stamp, data), 100);
            let report = script.report();
            assert_eq!(report.header().capture.duplicates, copies);
            let resent = report.connection(0).subflows[0].directions.client_to_server.retransmitted_bytes;
            assert_eq!(resent, if copies > 0 { 0 } else { 100 });
        }
    });
}

//! What is a fallback, since which packet, whose doing; and what looks like one and is none.

use mptcp_inspect::model::Connection;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::{MptcpOption, TcpOption};

use super::{fires, silent};
use crate::script::*;

fn only(script: &Script) -> Connection {
    script.report().connection(0)
}

/// Cause, whose doing, and where.
#[track_caller]
fn fell_back(script: &Script, cause: &str, by: &str, frame: u64) {
    let connection = only(script);
    let fallback = connection.fallback.as_ref().expect("a fallback");
    let seen = (connection.outcome, fallback.cause, fallback.by, fallback.frame.map_or(0, |frame| frame.id.number));
    assert_eq!(seen, ("fallback", cause, Some(by), frame));
}

/// The client gives up once it has the SYN/ACK: nobody refused anything.
#[test]
fn a_client_that_resets_after_the_answer() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    script.send(&mut flow, Server, SYN | ACK, &[capable(1, Some(SERVER_KEY), None)], 0);
    let rst = script.send(&mut flow, Client, RST, &[], 0);
    silent(&script, "connection-refused");
    fires(&script, "connection-reset", &[rst]);
    assert_eq!((only(&script).outcome, only(&script).close), ("unknown", "reset"));
}

/// Flag B, no algorithm: the client must ignore the answer (RFC 8684 §3.1).
#[test]
fn an_answer_that_must_be_ignored() {
    for flags in [0x41, 0x00] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
        let answer = script.send(&mut flow, Server, SYN | ACK, &[capable(flags, Some(SERVER_KEY), None)], 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 100);
        script.send(&mut flow, Server, ACK, &[], 100);
        fell_back(&script, "bad_option", "server", answer);
    }
}

/// The client's options are gone before the server has sent any data: it is the client's packets that tell.
#[test]
fn options_that_vanish_before_the_other_end_has_data() {
    let mut script = Script::default();
    let mut flow = script.open();
    for number in 0..3 {
        script.data(&mut flow, Client, 100 * number, 1 + 100 * number as u32, 100);
    }
    let first = script.send(&mut flow, Client, ACK, &[], 100);
    script.send(&mut flow, Server, ACK, &[], 0);
    script.send(&mut flow, Client, ACK, &[], 100);
    script.send(&mut flow, Server, ACK, &[], 100);
    fell_back(&script, "options_vanished", "path", first);
}

/// The first data of the server has no option, so that the client falls back; the server goes on with mappings for a while.
#[test]
fn a_first_segment_without_options_before_others_with() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let bare = script.send(&mut flow, Server, ACK, &[], 100);
    script.send(&mut flow, Client, ACK, &[], 0);
    script.send(&mut flow, Server, ACK, &[mapping(Server, 100, 101, 100, None)], 100);
    script.send(&mut flow, Client, ACK, &[], 100);
    script.send(&mut flow, Client, ACK, &[], 100);
    fell_back(&script, "no_option_on_data", "path", bare);
}

/// The first subflow loses its options while another is in use: it is reset, the connection goes on (RFC 8684 §3.7).
#[test]
fn options_lost_on_the_first_subflow_of_two() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let mut join = script.join(CLIENT_2, SERVER, 1, [false; 2]);
    script.send(&mut flow, Client, ACK, &[], 100);
    let rst = script.send(&mut flow, Server, RST | ACK, &[reason(6)], 0);
    script.data(&mut join, Client, 100, 1, 100);
    for side in [Client, Server] {
        let offset = if side == Client { 200 } else { 0 };
        script.send(&mut join, side, ACK, &[data_fin(side, offset)], 0);
        script.send(&mut join, side.peer(), ACK, &[data_ack(side, offset + 1)], 0);
    }
    let connection = only(&script);
    assert_eq!((connection.outcome, connection.close), ("mptcp", "data_fin"));
    assert!(connection.fallback.is_none());
    fires(&script, "subflow-reset", &[rst]);
}

/// The server acknowledges mapped data without any DATA_ACK from some packet on: it has fallen back.
#[test]
fn acknowledgements_that_lose_their_options() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let mut first = 0;
    for number in 1..4_u32 {
        let offset = 100 * u64::from(number);
        script.send(&mut flow, Client, ACK, &[mapping(Client, offset, 1 + 100 * number, 100, None)], 100);
        let ack = script.send(&mut flow, Server, ACK, &[], 0);
        first = if number == 1 { ack } else { first };
    }
    fell_back(&script, "options_vanished", "path", first);
    // It was only some ACKs that were without.
    script.send(&mut flow, Server, ACK, &[data_ack(Client, 400)], 0);
    assert_eq!(only(&script).outcome, "mptcp");
}

/// MP_FAIL, and both go on with mappings and DATA_ACKs.
#[test]
fn an_mp_fail_that_nobody_heeds() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let frame = script.send(&mut flow, Server, ACK, &[fail(dsn(Client, 0))], 0);
    for number in 1..4_u32 {
        script.data(&mut flow, Client, 100 * u64::from(number), 1 + 100 * number, 100);
    }
    assert_eq!(only(&script).outcome, "mptcp");
    silent(&script, "fallback-mp-fail");
    fires(&script, "mp-fail-unanswered", &[frame]);
}

/// A connection that is closed without data: its FINs are none.
#[test]
fn fins_without_data() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.send(&mut flow, Client, FIN | ACK, &[], 0);
    script.send(&mut flow, Server, FIN | ACK, &[], 0);
    script.send(&mut flow, Client, ACK, &[], 0);
    silent(&script, "fallback-no-option-on-data");
    assert_eq!((only(&script).outcome, only(&script).close), ("mptcp", "tcp_fin_only"));
}

/// The third ACK brings the data of a Fast Open SYN again, with an MP_CAPABLE that has no room for its length: void, and no
/// device's doing. With the length it is MPTCP.
#[test]
pub(super) fn first_data_with_the_option_of_an_ack() {
    for data_len in [None, Some(200)] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let syn = script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 200);
        script.wait(SECOND);
        let mut flow = flow.rewound(Client, 201);
        script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
        script.send(&mut flow, Server, SYN | ACK, &[capable(1, Some(SERVER_KEY), None)], 0);
        let mut option = capable(1, Some(CLIENT_KEY), Some(SERVER_KEY));
        if let TcpOption::Mptcp(MptcpOption::MpCapable(option)) = &mut option {
            option.data_len = data_len;
        }
        let first = script.send(&mut flow, Client, ACK, &[option], 200);
        let answer = if data_len.is_some() { vec![data_ack(Client, 200)] } else { Vec::new() };
        script.send(&mut flow, Server, ACK, &answer, 0);
        let id = "fallback-first-data-without-length";
        silent(&script, "fallback-no-option-on-data");
        if data_len.is_some() {
            silent(&script, id);
            continue;
        }
        script.send(&mut flow, Server, ACK, &[], 100);
        script.send(&mut flow, Client, ACK, &[], 100);
        fires(&script, id, &[syn, first]);
        fell_back(&script, "bad_option", "client", first);
        assert_eq!(script.the(id).counter, Some("MPTcpExtMPCapableFallbackACK"));
        let counters = script.report().kernel_counters().expect("all is known");
        let server = &counters.server;
        assert_eq!(server.get("MPTcpExtMPCapableFallbackACK"), Some(&1));
        assert_eq!((server.get("MPTcpExtMPCapableACKRX"), server.get("MPTcpExtDssFallback")), (None, None));
        assert_eq!(counters.client.get("MPTcpExtMPCapableDataFallback"), Some(&1));
    }
}

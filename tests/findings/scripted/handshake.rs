//! Connections that ask for MPTCP and do not get it, or get it by halves.

use mptcp_inspect::track::side::Side::{Client, Server};

use super::{fires, silent};
use crate::script::*;

#[test]
pub(super) fn a_refused_connection() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    let rst = script.send(&mut flow, Server, RST | ACK, &[], 0);
    fires(&script, "connection-refused", &[rst]);

    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    script.send(&mut flow, Server, RST | ACK, &[], 0);
    silent(&script, "connection-refused");
}

#[test]
pub(super) fn an_unanswered_connection() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    let first = script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    script.wait(SECOND);
    let second = script.again(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    fires(&script, "connection-unanswered", &[first, second]);

    // One direction only: the client goes on, so it was answered.
    script.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
    silent(&script, "connection-unanswered");
}

#[test]
pub(super) fn a_late_connection() {
    for (delay, late) in [(SECOND, true), (MS, false)] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let syn = script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
        script.wait(delay);
        script.again(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
        script.send(&mut flow, Server, SYN | ACK, &[capable(1, Some(SERVER_KEY), None)], 0);
        script.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
        if late { fires(&script, "syn-retransmitted", &[syn]) } else { silent(&script, "syn-retransmitted") }
    }
}

#[test]
pub(super) fn a_malformed_option() {
    let mut script = Script::default();
    let mut flow = script.open();
    let frame = script.send_raw(&mut flow, Client, ACK, vec![30, 3, 0x20], 0);
    fires(&script, "option-malformed", &[frame]);

    // A DSS that says nothing is legal.
    let mut script = Script::default();
    let mut flow = script.open();
    script.send_raw(&mut flow, Client, ACK, vec![30, 4, 0x20, 0], 0);
    silent(&script, "option-malformed");
}

#[test]
pub(super) fn flags_and_versions() {
    let mut script = Script::default();
    script.open_with(0x41, 0x01);
    fires(&script, "mp-capable-flags-illegal", &[1]);
    let mut script = Script::default();
    script.open_with(0x81, 0x01);
    silent(&script, "mp-capable-flags-illegal");

    // A version 0 SYN, answered with version 1, and the other way round.
    let version = |version: u8, key| {
        let mut bytes = vec![30, 12, version, 0x81];
        bytes.extend(key);
        bytes
    };
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send_raw(&mut flow, Client, SYN, version(0, CLIENT_KEY.0), 0);
    let frame = script.send_raw(&mut flow, Server, SYN | ACK, version(1, SERVER_KEY.0), 0);
    fires(&script, "version-illegal", &[frame]);
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    script.send_raw(&mut flow, Server, SYN | ACK, version(0, SERVER_KEY.0), 0);
    silent(&script, "version-illegal");
}

#[test]
pub(super) fn contradicting_keys() {
    for (key, wrong) in [(WRONG_KEY, true), (SERVER_KEY, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        let frame = script.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(key))], 0);
        if wrong { fires(&script, "keys-contradict", &[frame]) } else { silent(&script, "keys-contradict") }
    }
}

#[test]
pub(super) fn infinite_mapping_and_bad_option() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    let frame = script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 0, None)], 50);
    fires(&script, "fallback-infinite-mapping", &[frame]);
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    script.data(&mut flow, Client, 100, 101, 50);
    silent(&script, "fallback-infinite-mapping");

    for (flags, id, other) in [
        (0x81, "fallback-bad-option", "fallback-option-echoed"),
        (0x01, "fallback-option-echoed", "fallback-bad-option"),
    ] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
        let frame = script.send(&mut flow, Server, SYN | ACK, &[capable(flags, None, None)], 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        fires(&script, id, &[frame]);
        silent(&script, other);
    }
}

#[test]
pub(super) fn one_port_or_one_network_without_mptcp() {
    let port = |port| (SERVER.0, port);
    let mut script = Script::default();
    script.open_between(CLIENT, SERVER, 1, 1);
    script.open_plain((CLIENT.0, 40010), port(80));
    silent(&script, "options-stripped-on-one-port");
    script.open_plain((CLIENT.0, 40011), port(80));
    fires(&script, "options-stripped-on-one-port", &[]);
    silent(&script, "options-stripped-for-one-prefix");
    // On another server it says nothing.
    let mut script = Script::default();
    script.open_between(CLIENT, SERVER_2, 1, 1);
    script.open_plain((CLIENT.0, 40010), port(80));
    script.open_plain((CLIENT.0, 40011), port(80));
    silent(&script, "options-stripped-on-one-port");

    let mut script = Script::default();
    script.open_between(CLIENT, SERVER, 1, 1);
    script.open_plain((CLIENT_2.0, 40010), SERVER);
    script.open_plain((CLIENT_2.0, 40011), SERVER);
    fires(&script, "options-stripped-for-one-prefix", &[]);
    silent(&script, "options-stripped-on-one-port");
}

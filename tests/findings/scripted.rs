//! Connections written down segment by segment: each finding that no capture shows, and what looks like it and is not.

use std::collections::BTreeSet;
use std::sync::Mutex;

use mptcp_inspect::crypto::Key;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::TcpOption;

use crate::script::*;

/// What the tests below make fire.
pub(crate) const FIRES: &[&str] = &[
    "connection-refused",
    "connection-unanswered",
    "syn-retransmitted",
    "option-malformed",
    "mp-capable-flags-illegal",
    "version-illegal",
    "keys-contradict",
    "fallback-infinite-mapping",
    "fallback-bad-option",
    "syn-ack-not-of-server",
    "fallback-simultaneous-open",
    "options-stripped-on-one-port",
    "options-stripped-for-one-prefix",
    "join-refused-with-reason",
    "join-refused-without-reason",
    "join-refused-no-listener",
    "join-ack-without-option",
    "join-unanswered",
    "join-incomplete",
    "join-despite-c-flag",
    "join-retransmitted",
    "address-never-echoed",
    "address-never-used",
    "add-addr-hmac-mismatch",
    "private-address-announced",
    "address-id-reused",
    "remove-addr-hit-nothing",
    "checksum-absent",
    "checksum-not-negotiated",
    "mapping-conflict",
    "sequence-out-of-reach",
    "unmapped-payload",
    "mp-fail-unanswered",
    "head-of-line-blocking",
    "backup-path-used",
    "wrong-interface",
    "path-stalled",
    "subflow-reset",
    "subflow-reset-reason-unsupported",
    "fastclose-wrong-key",
    "closed-without-data-fin",
    "path-changed-option",
    "path-changed-tcp-options",
    "path-lost-packets",
    "path-resegmented",
    "join-data-without-option",
    "payload-changed-on-retransmission",
];

/// Ids that fired where they should (true), and that did not where they should not.
static TRIED: Mutex<BTreeSet<(String, bool)>> = Mutex::new(BTreeSet::new());

fn tried(id: &str, fired: bool) {
    TRIED.lock().expect("no test panics in here").insert((id.to_owned(), fired));
}

#[test]
fn each_finding_is_tried_where_it_fires_and_where_it_does_not() {
    let all: &[fn()] = &[
        a_refused_connection,
        an_unanswered_connection,
        a_late_connection,
        a_malformed_option,
        flags_and_versions,
        contradicting_keys,
        infinite_mapping_and_bad_option,
        one_port_or_one_network_without_mptcp,
        a_syn_ack_that_is_not_of_the_server,
        a_simultaneous_open,
        refused_joins,
        a_join_whose_third_ack_lacks_its_option,
        unanswered_and_unfinished_joins,
        a_late_join_and_a_forbidden_one,
        addresses,
        a_private_address_on_a_public_connection,
        checksums_and_what_was_agreed,
        mappings,
        an_mp_fail_without_answer,
        data_behind_a_slow_path,
        data_on_a_backup_path,
        one_source_on_two_interfaces,
        an_answer_on_another_interface,
        one_source_on_two_interfaces_of_the_other_end,
        data_that_stalls_before_it_moves,
        resets_in_mid_life,
        ends,
        a_join_whose_data_lacks_its_option,
        payload_that_changes_on_a_retransmission,
        refusals_and_what_else_is_known_of_them,
        a_silent_address_that_was_announced,
        the_stretch_at_fault_is_the_shortest,
        announcements_and_resets_that_change_on_the_way,
        streams_that_are_cut_or_written_anew,
        two_captures_of_one_connection,
    ];
    for test in all {
        test();
    }
    let tried = TRIED.lock().expect("no test panics in there");
    for id in FIRES {
        for fired in [true, false] {
            assert!(tried.contains(&((*id).to_owned(), fired)), "{id}: {fired}");
        }
    }
}

/// It fires once, with these frames among its evidence.
#[track_caller]
fn fires(script: &Script, id: &str, frames: &[u64]) {
    tried(id, true);
    let found = script.findings();
    let mut of_id = found.iter().filter(|finding| finding.0 == id);
    let Some(finding) = of_id.next() else { panic!("{id} did not fire: {found:?}") };
    assert!(of_id.next().is_none(), "{id} fired twice: {found:?}");
    for frame in frames {
        assert!(finding.2.contains(frame), "{id} names {:?}, not {frame}", finding.2);
    }
}

#[track_caller]
fn silent(script: &Script, id: &str) {
    tried(id, false);
    assert!(!script.ids().contains(&id), "{id} fired: {:?}", script.findings());
}

#[test]
fn a_refused_connection() {
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
fn an_unanswered_connection() {
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
fn a_late_connection() {
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
fn a_malformed_option() {
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
fn flags_and_versions() {
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
fn contradicting_keys() {
    for (key, wrong) in [(WRONG_KEY, true), (SERVER_KEY, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        let frame = script.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(key))], 0);
        if wrong { fires(&script, "keys-contradict", &[frame]) } else { silent(&script, "keys-contradict") }
    }
}

#[test]
fn infinite_mapping_and_bad_option() {
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
fn one_port_or_one_network_without_mptcp() {
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
    // Where SYN/ACKs of the two ports differ, that is said.
    let said = |ttls: [u8; 3]| {
        let mut script = Script::at_ttl(ttls[0]);
        script.open_between(CLIENT, SERVER, 1, 1);
        for (index, ttl) in ttls[1..].iter().enumerate() {
            script.ttl = Some(*ttl);
            script.open_plain((CLIENT.0, 40010 + index as u16), port(80));
        }
        script.the("options-stripped-on-one-port").message
    };
    assert!(said([51, 62, 62]).ends_with(" Its SYN/ACKs have TTL 62 rather than 51, as if another device sent them."));
    assert!(!said([51, 51, 51]).contains("TTL"));
    assert!(!said([51, 62, 51]).contains("TTL"), "they vary by themselves");

    let mut script = Script::default();
    script.open_between(CLIENT, SERVER, 1, 1);
    script.open_plain((CLIENT_2.0, 40010), SERVER);
    script.open_plain((CLIENT_2.0, 40011), SERVER);
    fires(&script, "options-stripped-for-one-prefix", &[]);
    silent(&script, "options-stripped-on-one-port");
}

#[test]
fn a_syn_ack_that_is_not_of_the_server() {
    use TcpOption::{MaximumSegmentSize, SackPermitted, Timestamps, WindowScale};
    const ID: &str = "syn-ack-not-of-server";
    let stamps = || Timestamps { value: 7, echo_reply: 0 };
    let offer = || vec![MaximumSegmentSize(1460), SackPermitted, stamps(), WindowScale(7), capable(1, None, None)];
    // The handshake, a segment of the server with its TTL, and one more.
    let script = |syn: &[TcpOption<'_>], syn_ack: &[TcpOption<'_>], ttls: [u8; 2], flags: u8| {
        let mut script = Script::at_ttl(ttls[0]);
        let mut flow = Flow::new(CLIENT, SERVER);
        script.send(&mut flow, Client, SYN, syn, 0);
        script.send(&mut flow, Server, SYN | ACK, syn_ack, 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        script.ttl = Some(ttls[1]);
        script.send(&mut flow, Server, flags, &[], 0);
        script
    };
    let sound = [MaximumSegmentSize(1460), SackPermitted, stamps(), WindowScale(9)];
    let unscaled = [MaximumSegmentSize(1460), SackPermitted, stamps()];
    let bare = [MaximumSegmentSize(1380)];
    fires(&script(&offer(), &sound, [62, 51], ACK), ID, &[1, 2]);
    fires(&script(&offer(), &unscaled, [51, 51], ACK), ID, &[1, 2]);
    fires(&script(&offer(), &bare, [51, 51], ACK), ID, &[1, 2]);
    let both = script(&offer(), &bare, [62, 51], ACK).the(ID).message;
    assert!(both.contains("TTL 62 and what the server sends after it 51; it takes none of"), "{both}");

    silent(&script(&offer(), &sound, [51, 51], ACK), ID);
    // A forged RST says nothing of the handshake.
    silent(&script(&offer(), &sound, [51, 62], RST), ID);
    // What the SYN does not offer cannot be taken; SACK alone is no sign.
    silent(&script(&[capable(1, None, None)], &bare, [51, 51], ACK), ID);
    silent(&script(&offer(), &[SackPermitted], [51, 51], ACK), ID);
    // An MPTCP server is the server.
    let mptcp = [MaximumSegmentSize(1460), capable(1, Some(SERVER_KEY), None)];
    let mut agreed = Script::at_ttl(62);
    let mut flow = Flow::new(CLIENT, SERVER);
    agreed.send(&mut flow, Client, SYN, &offer(), 0);
    agreed.send(&mut flow, Server, SYN | ACK, &mptcp, 0);
    agreed.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
    agreed.ttl = Some(51);
    agreed.data(&mut flow, Client, 0, 1, 100);
    silent(&agreed, ID);
}

#[test]
fn a_simultaneous_open() {
    const ID: &str = "fallback-simultaneous-open";
    // Linux repeats its SYN with an ACK: the option is that of the SYN.
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    let asks = || [capable(1, None, None)];
    let one = script.send(&mut flow, Client, SYN, &asks(), 0);
    let other = script.send(&mut flow, Server, SYN, &asks(), 0);
    script.again(&mut flow, Client, SYN | ACK, &asks(), 0);
    script.again(&mut flow, Server, SYN | ACK, &asks(), 0);
    script.send(&mut flow, Client, ACK, &[], 100);
    script.send(&mut flow, Server, ACK, &[], 100);
    fires(&script, ID, &[one, other]);
    silent(&script, "fallback-option-echoed");
    silent(&script, "option-out-of-place");
    assert_eq!(script.the(ID).counter, Some("MPTcpExtSimultConnectFallback"));

    // The other end's does not ask for MPTCP.
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &asks(), 0);
    script.send(&mut flow, Server, SYN, &[], 0);
    script.again(&mut flow, Server, SYN | ACK, &[], 0);
    fires(&script, ID, &[1, 2]);

    // A SYN that is repeated, and one that is answered.
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &asks(), 0);
    script.again(&mut flow, Client, SYN, &asks(), 0);
    script.send(&mut flow, Server, SYN | ACK, &asks(), 0);
    silent(&script, ID);
    let mut script = Script::default();
    script.open();
    silent(&script, ID);
}

/// A connection, and a join that is answered with a RST.
fn refused_join(server: ([u8; 4], u16), options: &[TcpOption<'_>]) -> (Script, u64) {
    let mut script = Script::default();
    let mut first = script.open();
    script.data(&mut first, Client, 0, 1, 100);
    let mut join = Flow::new(CLIENT_2, server);
    let syn = join.join_syn(2, false);
    script.send(&mut join, Client, SYN, &[syn], 0);
    let rst = script.send(&mut join, Server, RST | ACK, options, 0);
    (script, rst)
}

#[test]
fn refused_joins() {
    let other_port = (SERVER.0, 9999);
    let cases = [
        ("join-refused-with-reason", refused_join(SERVER, &[reason(2)])),
        ("join-refused-prohibited", refused_join(SERVER, &[reason(3)])),
        ("join-refused-unknown-token", refused_join(SERVER, &[reason(1)])),
        ("join-refused-without-reason", refused_join(SERVER, &[])),
        ("join-refused-no-listener", refused_join(other_port, &[])),
    ];
    for (id, (script, rst)) in &cases {
        fires(script, id, &[*rst]);
        for (other, _) in cases.iter().filter(|other| other.0 != *id) {
            silent(script, other);
        }
    }
}

#[test]
fn a_join_whose_third_ack_lacks_its_option() {
    for bare in [true, false] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = Flow::new(CLIENT_2, SERVER);
        let (syn, syn_ack, ack) = (join.join_syn(2, false), join.join_syn_ack(false), join.join_ack());
        script.send(&mut join, Client, SYN, &[syn], 0);
        script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
        let third = script.send(&mut join, Client, ACK, if bare { &[] } else { std::slice::from_ref(&ack) }, 0);
        script.send(&mut join, Server, RST | ACK, &[reason(1)], 0);
        if bare {
            fires(&script, "join-ack-without-option", &[third]);
        } else {
            silent(&script, "join-ack-without-option");
        }
    }
}

#[test]
fn unanswered_and_unfinished_joins() {
    let mut script = Script::default();
    script.open();
    let mut join = Flow::new(CLIENT_2, SERVER);
    let syn = join.join_syn(2, false);
    let frame = script.send(&mut join, Client, SYN, std::slice::from_ref(&syn), 0);
    silent(&script, "join-unanswered");
    script.wait(SECOND);
    let again = script.again(&mut join, Client, SYN, &[syn], 0);
    fires(&script, "join-unanswered", &[frame, again]);

    let mut script = Script::default();
    let mut first = script.open();
    let mut join = Flow::new(CLIENT_2, SERVER);
    let (syn, syn_ack) = (join.join_syn(2, false), join.join_syn_ack(false));
    script.send(&mut join, Client, SYN, &[syn], 0);
    let frame = script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
    silent(&script, "join-incomplete");
    script.wait(2 * SECOND);
    script.data(&mut first, Client, 0, 1, 100);
    fires(&script, "join-incomplete", &[frame]);
}

#[test]
fn a_late_join_and_a_forbidden_one() {
    let mut script = Script::default();
    script.open();
    let mut join = Flow::new(CLIENT_2, SERVER);
    let (syn, syn_ack, ack) = (join.join_syn(2, false), join.join_syn_ack(false), join.join_ack());
    let frame = script.send(&mut join, Client, SYN, std::slice::from_ref(&syn), 0);
    script.wait(SECOND);
    script.again(&mut join, Client, SYN, &[syn], 0);
    script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
    script.send(&mut join, Client, ACK, &[ack], 0);
    script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
    fires(&script, "join-retransmitted", &[frame]);

    for (flags, forbidden) in [(0x21, true), (0x01, false)] {
        let mut script = Script::default();
        script.open_with(1, flags);
        script.join(CLIENT_2, SERVER, 2, [false; 2]);
        silent(&script, "join-retransmitted");
        if forbidden { fires(&script, "join-despite-c-flag", &[4]) } else { silent(&script, "join-despite-c-flag") }
    }
}

/// A connection in which the server announces an address, and the client sends enough to have echoed it.
fn announced(options: &[TcpOption<'_>], echoed: Option<TcpOption<'_>>) -> Script {
    let mut script = Script::default();
    let mut flow = script.open();
    for option in options {
        script.send(&mut flow, Server, ACK, std::slice::from_ref(option), 0);
    }
    if let Some(echo) = echoed {
        script.send(&mut flow, Client, ACK, &[echo], 0);
    }
    for number in 0..8 {
        script.data(&mut flow, Client, number * 100, number as u32 * 100 + 1, 100);
    }
    script
}

#[test]
fn addresses() {
    let there = SERVER_2.0;
    let good = announce(1, there, None, SERVER_KEY);
    let script = announced(std::slice::from_ref(&good), None);
    fires(&script, "address-never-echoed", &[4]);
    let mut script = announced(&[good], Some(echo(1, there, None)));
    silent(&script, "address-never-echoed");
    silent(&script, "add-addr-hmac-mismatch");
    fires(&script, "address-never-used", &[4]);
    script.join(CLIENT, SERVER_2, 0, [false; 2]);
    silent(&script, "address-never-used");

    let script = announced(&[announce(1, there, None, WRONG_KEY)], None);
    fires(&script, "add-addr-hmac-mismatch", &[4]);

    let twice = |second: [u8; 4], port| {
        announced(&[announce(1, there, None, SERVER_KEY), announce(1, second, port, SERVER_KEY)], None)
    };
    fires(&twice([10, 0, 7, 7], None), "address-id-reused", &[4, 5]);
    silent(&twice(there, Some(8443)), "address-id-reused");

    fires(&announced(&[remove(&[9])], None), "remove-addr-hit-nothing", &[4]);
    silent(&announced(&[announce(9, there, None, SERVER_KEY), remove(&[9])], None), "remove-addr-hit-nothing");
}

#[test]
fn a_private_address_on_a_public_connection() {
    for (address, private) in [([192, 168, 1, 2], true), ([198, 51, 100, 3], false)] {
        let mut script = Script::default();
        let mut flow = script.open_between(([203, 0, 113, 1], 40000), ([198, 51, 100, 2], 443), 1, 1);
        let frame = script.send(&mut flow, Server, ACK, &[announce(1, address, None, SERVER_KEY)], 0);
        if private {
            fires(&script, "private-address-announced", &[frame]);
        } else {
            silent(&script, "private-address-announced");
        }
    }
    silent(&announced(&[announce(1, [192, 168, 1, 2], None, SERVER_KEY)], None), "private-address-announced");
}

#[test]
fn checksums_and_what_was_agreed() {
    for (flags, checksum, fired) in [
        (0x81, None, Some("checksum-absent")),
        (0x01, Some(0x1234), Some("checksum-not-negotiated")),
        (0x01, None, None),
    ] {
        let mut script = Script::default();
        let mut flow = script.open_with(flags, flags);
        let frame = script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, checksum)], 100);
        for id in ["checksum-absent", "checksum-not-negotiated"] {
            if fired == Some(id) { fires(&script, id, &[frame]) } else { silent(&script, id) }
        }
    }
}

#[test]
fn mappings() {
    for (offset, conflict) in [(500, true), (0, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        let first = script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
        let second = script.again(&mut flow, Client, ACK, &[mapping(Client, offset, 1, 100, None)], 100);
        if conflict {
            fires(&script, "mapping-conflict", &[first, second]);
        } else {
            silent(&script, "mapping-conflict");
        }
    }
    for (offset, far) in [(1 << 60, true), (100, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
        let frame = script.send(&mut flow, Server, ACK, &[data_ack(Client, offset)], 0);
        if far { fires(&script, "sequence-out-of-reach", &[frame]) } else { silent(&script, "sequence-out-of-reach") }
    }
    for mapped in [false, true] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.data(&mut join, Client, 100, 1, 100);
        let options = if mapped { vec![mapping(Client, 200, 101, 50, None)] } else { Vec::new() };
        let frame = script.send(&mut join, Client, ACK, &options, 50);
        if mapped { silent(&script, "unmapped-payload") } else { fires(&script, "unmapped-payload", &[frame]) }
    }
}

#[test]
fn an_mp_fail_without_answer() {
    for answered in [false, true] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.data(&mut join, Client, 100, 1, 100);
        let frame = script.send(&mut join, Server, ACK, &[fail(dsn(Client, 100))], 0);
        if answered {
            script.send(&mut join, Client, ACK, &[fail(dsn(Server, 0))], 0);
        }
        script.data(&mut join, Client, 200, 101, 100);
        if answered { silent(&script, "mp-fail-unanswered") } else { fires(&script, "mp-fail-unanswered", &[frame]) }
    }
}

#[test]
fn data_behind_a_slow_path() {
    for (delay, blocked) in [(SECOND, true), (50 * MS, false)] {
        let mut script = Script::default();
        let mut first = script.open();
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        for number in 0..2 {
            let len = 60_000;
            let ssn = number * u32::from(len) + 1;
            script.send(
                &mut first,
                Client,
                ACK,
                &[mapping(Client, 1000 + u64::from(ssn) - 1, ssn, len, None)],
                usize::from(len),
            );
        }
        script.wait(delay);
        let late = script.send(&mut join, Client, ACK, &[mapping(Client, 0, 1, 1000, None)], 1000);
        if blocked {
            fires(&script, "head-of-line-blocking", &[late]);
        } else {
            silent(&script, "head-of-line-blocking");
        }
    }
}

#[test]
fn data_on_a_backup_path() {
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
fn one_source_on_two_interfaces() {
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
fn an_answer_on_another_interface() {
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
fn one_source_on_two_interfaces_of_the_other_end() {
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
fn data_that_stalls_before_it_moves() {
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
fn resets_in_mid_life() {
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

#[test]
fn ends() {
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

#[test]
fn a_join_whose_data_lacks_its_option() {
    for mapped in [false, true] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        let options = if mapped { vec![mapping(Client, 100, 1, 100, None)] } else { Vec::new() };
        let bare = script.send(&mut join, Client, ACK, &options, 100);
        let rst = script.send(&mut join, Server, RST | ACK, &[reason(6)], 0);
        if mapped {
            silent(&script, "join-data-without-option");
        } else {
            fires(&script, "join-data-without-option", &[bare, rst]);
        }
    }
}

/// The whole mapping again, its last segment again, and a segment that came out of order again.
#[test]
fn payload_that_changes_on_a_retransmission() {
    let id = "payload-changed-on-retransmission";
    for (changed, checksum) in [(true, Some(0x1234)), (false, Some(0x1234)), (true, None)] {
        let flags = if checksum.is_some() { 0x81 } else { 0x01 };
        let told = changed && checksum.is_some();
        let open = || {
            let mut script = Script::default();
            let flow = script.open_with(flags, flags);
            (script, flow)
        };
        let check =
            |script: &Script, frames: [u64; 2]| if told { fires(script, id, &frames) } else { silent(script, id) };
        let option = |len| [mapping(Client, 0, 1, len, checksum)];

        let (mut script, mut flow) = open();
        let first = script.send(&mut flow, Client, ACK, &option(100), 100);
        script.salt = u8::from(changed);
        let again = script.again(&mut flow, Client, ACK, &option(100), 100);
        check(&script, [first, again]);

        let (mut script, mut flow) = open();
        script.send(&mut flow, Client, ACK, &option(200), 100);
        let last = script.send(&mut flow, Client, ACK, &option(200), 100);
        script.salt = u8::from(changed);
        let again = script.again(&mut flow, Client, ACK, &option(200), 100);
        check(&script, [last, again]);

        let (mut script, mut flow) = open();
        flow = flow.rewound(Client, -100);
        let early = script.send(&mut flow, Client, ACK, &option(300), 100);
        script.salt = u8::from(changed);
        let again = script.again(&mut flow, Client, ACK, &option(300), 100);
        check(&script, [early, again]);
    }
}

/// What else the connection shows of why a join was refused.
#[test]
fn refusals_and_what_else_is_known_of_them() {
    let refused = |prepare: &dyn Fn(&mut Script), server, options: &[TcpOption<'_>]| {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        prepare(&mut script);
        let mut join = Flow::new((CLIENT_2.0, 40077), server);
        let syn = join.join_syn(2, false);
        script.send(&mut join, Client, SYN, &[syn], 0);
        script.send(&mut join, Server, RST | ACK, options, 0);
        script
    };
    let other_address = |script: &mut Script| {
        script.join(CLIENT_2, SERVER_2, 2, [false; 2]);
    };
    let same_path = |script: &mut Script| {
        script.join(CLIENT_2, SERVER, 2, [false; 2]);
    };
    let unknown = |prepare| refused(prepare, SERVER, &[reason(1)]).the("join-refused-unknown-token").message;
    assert!(
        unknown(&other_address).contains("Subflow 1 to 10.0.8.8:443 works: a load balancer"),
        "{}",
        unknown(&other_address)
    );
    assert!(!unknown(&|_| ()).contains("load balancer"));
    let limit = |prepare| refused(prepare, SERVER, &[reason(3)]).the("join-refused-prohibited").message;
    assert!(limit(&same_path).contains("Subflow 1 joins the same two addresses already"), "{}", limit(&same_path));
    assert!(!limit(&other_address).contains("already"));
}

#[test]
fn a_silent_address_that_was_announced() {
    for there in [SERVER_2, SERVER] {
        let mut script = Script::default();
        let mut flow = script.open();
        let frame = script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
        let mut join = Flow::new(CLIENT_2, there);
        let syn = join.join_syn(2, false);
        script.send(&mut join, Client, SYN, std::slice::from_ref(&syn), 0);
        script.wait(SECOND);
        script.again(&mut join, Client, SYN, &[syn], 0);
        let message = script.the("join-unanswered").message;
        assert_eq!(
            message.contains(&format!("announced this address in frame {frame}")),
            there == SERVER_2,
            "{message}"
        );
    }
}

/// Three taps; the option of the SYN is gone at the last only, so the fault lies between the last two.
#[test]
fn the_stretch_at_fault_is_the_shortest() {
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
fn announcements_and_resets_that_change_on_the_way() {
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
fn streams_that_are_cut_or_written_anew() {
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
    if lost {
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
fn two_captures_of_one_connection() {
    fires(&two_views(1400, false), "path-changed-tcp-options", &[1]);
    fires(&two_views(1460, true), "path-lost-packets", &[]);
    let whole = two_views(1460, false);
    for id in ["path-changed-tcp-options", "path-lost-packets", "path-rewrote-sequence-numbers", "path-stripped-option"]
    {
        silent(&whole, id);
    }
}

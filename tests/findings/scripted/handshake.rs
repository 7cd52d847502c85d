//! Connections that ask for MPTCP and do not get it, or get it by halves.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::TcpOption;

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
    silent(&script, "connection-unanswered");
    script.wait(SECOND);
    let second = script.again(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
    fires(&script, "connection-unanswered", &[first, second]);

    let found = script.the("connection-unanswered");
    assert!(found.message.starts_with("2 SYNs to 10.0.9.9:443 with MP_CAPABLE got no answer in the "), "{found:?}");
    assert!(found.advice.is_some());

    // The client gives MPTCP up, and plain TCP gets no answer either: nothing is left to try.
    for _ in 0..3 {
        script.again(&mut flow, Client, SYN, &[], 0);
    }
    let found = script.the("connection-unanswered");
    assert!(found.message.starts_with("2 SYNs to 10.0.9.9:443 with MP_CAPABLE"), "{found:?}");
    assert!(found.message.contains("neither did 3 without it") && found.advice.is_none(), "{found:?}");

    // One direction only: the client goes on, so it was answered.
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
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
    // The server need not be asked why it did not agree.
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(0x41, None, None)], 0);
    script.send(&mut flow, Server, SYN | ACK, &[], 0);
    script.send(&mut flow, Client, ACK, &[], 0);
    assert_eq!(script.the("fallback-no-option-in-syn-ack").advice, None);
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

/// No server sends the option unasked: it answers a SYN that was not captured, after which the client sent one without.
#[test]
fn an_answer_to_a_syn_that_was_not_captured() {
    in_both_versions(|_| {
        let (_, answer, confirmed) = handshake();
        for gives_up in [true, false] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            script.send(&mut flow, Client, SYN, &[], 0);
            let frame = script.send(&mut flow, Server, SYN | ACK, std::slice::from_ref(&answer), 0);
            let ack = if gives_up { Vec::new() } else { vec![confirmed] };
            script.send(&mut flow, Client, ACK, &ack, 0);
            let mapped = if gives_up { Vec::new() } else { vec![mapping(Client, 0, 1, 100, None)] };
            script.send(&mut flow, Client, ACK, &mapped, 100);
            let acked = if gives_up { Vec::new() } else { vec![data_ack(Client, 100)] };
            script.send(&mut flow, Server, ACK, &acked, 0);
            for id in ["option-out-of-place", "fallback-bad-option", "fallback-no-option-in-third-ack"] {
                silent(&script, id);
            }
            if gives_up {
                fires(&script, "fallback-syn-retried-without-option", &[frame]);
            }
            let outcome = script.report().connection(0).outcome;
            assert_eq!(outcome == "fallback", gives_up, "{outcome}");
        }
    });
}

/// The third ACK must have the version that was agreed on, and an algorithm.
#[test]
fn flags_and_version_of_the_third_ack() {
    for (version, flags, id) in [(1, 0x80, "mp-capable-flags-illegal"), (0, 0x81, "option-malformed")] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        script.send(&mut flow, Client, SYN, &[handshake().0], 0);
        script.send(&mut flow, Server, SYN | ACK, &[handshake().1], 0);
        let mut bytes = vec![30, 20, version, flags];
        bytes.extend(CLIENT_KEY.0);
        bytes.extend(SERVER_KEY.0);
        let frame = script.send_raw(&mut flow, Client, ACK, bytes, 0);
        fires(&script, id, &[frame]);
    }
}

/// Where the snaplen cuts options off, nothing is known of what was there.
#[test]
fn options_that_the_capture_cut() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    script.send(&mut flow, Server, ACK, &[data_ack(Client, 100)], 0);
    script.join(CLIENT_2, SERVER, 2, [false; 2]);
    let lacks_options = [
        "fallback-no-option-in-syn-ack",
        "fallback-no-option-in-third-ack",
        "fallback-bad-option",
        "join-syn-ack-without-option",
        "join-ack-without-option",
    ];
    // From the IP header's first byte to that behind the longest options.
    for snaplen in 40..100 {
        script.snaplen = Some(snaplen);
        let found = script.ids();
        assert!(!found.iter().any(|id| lacks_options.contains(id)), "{snaplen}: {found:?}");
        let report = script.report();
        for index in 0..report.connection_count() {
            assert_ne!(report.connection(index).outcome, "fallback", "{snaplen}");
        }
    }
}

/// One direction alone shows that the other answered.
#[test]
fn one_direction() {
    for (direction, answered) in [(Client, true), (Client, false)] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        script.send(&mut flow, direction, SYN, &[capable(1, None, None)], 0);
        if answered {
            script.send(&mut flow, direction, ACK, &[capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
        }
        let connection = script.report().connection(0);
        assert_eq!(connection.subflows[0].state, if answered { "established" } else { "unanswered" });
    }
    // Of what is acknowledged, nothing shows where it began.
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Server, ACK, &[data_ack(Client, 700)], 0);
    assert_eq!(script.report().connection(0).directions.client_to_server.acked_bytes, None);
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
pub(super) fn a_syn_ack_that_is_not_of_the_server() {
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
pub(super) fn a_simultaneous_open() {
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

/// The key of an end was changed on the way: its data counts from another, or its peer acknowledges by another.
#[test]
fn data_that_counts_from_another_key() {
    for (shown, own) in [(true, true), (false, true), (true, false)] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let (syn, syn_ack, ack) = handshake();
        let changed = [capable(1, Some(WRONG_KEY), None), capable(1, Some(CLIENT_KEY), Some(WRONG_KEY))];
        script.send(&mut flow, Client, SYN, &[syn], 0);
        script.send(&mut flow, Server, SYN | ACK, &[if shown && own { changed[0] } else { syn_ack }], 0);
        script.send(&mut flow, Client, ACK, &[if shown && own { changed[1] } else { ack }], 0);
        script.data(&mut flow, Client, 0, 1, 100);
        let mut first = None;
        for number in 0..3 {
            let option = mapping(Server, number * 100, number as u32 * 100 + 1, 100, None);
            let frame = script.send(&mut flow, Server, ACK, &[option], 100);
            let by_another = shown && !own;
            let ack = data_ack(Server, (number + 1) * 100 + if by_another { 1 << 60 } else { 0 });
            let acked = script.send(&mut flow, Client, ACK, &[ack], 0);
            first.get_or_insert(if own { frame } else { acked });
        }
        if !shown {
            silent(&script, "sequence-out-of-reach");
            continue;
        }
        silent(&script, "unmapped-payload");
        fires(&script, "sequence-out-of-reach", &[first.expect("three")]);
        let found = script.the("sequence-out-of-reach");
        let words = if own {
            "The numbers of the server's data do not follow from the key that frame 2 shows as the server's"
        } else {
            "The client acknowledges data by numbers that do not follow from the server's key in frame 2"
        };
        assert!(found.message.starts_with(words), "{found:?}");
    }
}

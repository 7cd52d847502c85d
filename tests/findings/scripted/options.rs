//! Options that cannot be read, or are not there.

use mptcp_inspect::crypto::{Suite, identify};
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::TcpOption::{self, MaximumSegmentSize, SackPermitted, Timestamps, WindowScale};

use super::{fires, silent};
use crate::script::*;

/// MP_CAPABLE of a version, with these keys.
fn capable_of(version: u8, keys: &[[u8; 8]]) -> Vec<u8> {
    let mut bytes = vec![30, 4 + 8 * keys.len() as u8, version, 1];
    bytes.extend(keys.concat());
    bytes
}

/// The handshake of a connection of this version.
fn open(script: &mut Script, version: u8) -> Flow {
    let mut flow = Flow::new(CLIENT, SERVER);
    let (client, server) = (CLIENT_KEY.0, SERVER_KEY.0);
    let asked: &[[u8; 8]] = if version == 0 { &[client] } else { &[] };
    script.send_raw(&mut flow, Client, SYN, capable_of(version, asked), 0);
    script.send_raw(&mut flow, Server, SYN | ACK, capable_of(version, &[server]), 0);
    script.send_raw(&mut flow, Client, ACK, capable_of(version, &[client, server]), 0);
    flow
}

/// RFC 9293 §3.1: an option's length counts kind and length, and the options end with the header.
#[test]
fn lengths_that_no_option_has() {
    for version in [0, 1] {
        for bytes in [&[30, 0, 0x20, 1][..], &[30, 1, 0x20, 1], &[30, 2], &[30, 40, 0x20, 1, 0, 0, 0, 1]] {
            let mut script = Script::default();
            let mut flow = open(&mut script, version);
            let frame = script.send_raw(&mut flow, Client, ACK, bytes.to_vec(), 0);
            fires(&script, "option-malformed", &[frame]);
            // On a SYN/ACK it is the answer that the client cannot use.
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            script.send_raw(&mut flow, Client, SYN, capable_of(version, if version == 0 { &[[7; 8]] } else { &[] }), 0);
            let answer = script.send_raw(&mut flow, Server, SYN | ACK, bytes.to_vec(), 0);
            fires(&script, "option-malformed", &[answer]);
            fires(&script, "fallback-bad-option", &[answer]);
        }
        // What the capture cut is no fault of the sender.
        let mut script = Script::default();
        let mut flow = open(&mut script, version);
        script.send_raw(&mut flow, Client, ACK, vec![30, 8, 0x20, 1, 0, 0, 0, 1], 0);
        script.snaplen = Some(43);
        silent(&script, "option-malformed");
    }
}

/// RFC 6824 §3.4.1 has no HMAC, RFC 8684 §3.4.1 requires one, unless it is an echo.
#[test]
fn addresses_announced_as_the_other_version_does() {
    let address = [&[3][..], &SERVER_2.0].concat();
    let version_0 = [&[30, 8, 0x34][..], &address].concat();
    let version_1 = [&[30, 16, 0x30][..], &address, &[0xab; 8]].concat();
    let echo = [&[30, 8, 0x31][..], &address].concat();
    for (version, option, readable) in [
        (0, &version_0, true),
        (0, &version_1, false),
        (0, &echo, false),
        (1, &version_0, false),
        (1, &version_1, true),
        (1, &echo, true),
    ] {
        let mut script = Script::default();
        let mut flow = open(&mut script, version);
        let frame = script.send_raw(&mut flow, Server, ACK, option.clone(), 0);
        let announced = script.report().connection(0).addresses.len();
        if readable {
            silent(&script, "option-malformed");
            assert_eq!(announced, usize::from(*option != echo));
        } else {
            fires(&script, "option-malformed", &[frame]);
            silent(&script, "add-addr-hmac-mismatch");
            assert_eq!(announced, 0);
        }
    }
}

/// Version 0 has no MP_TCPRST: RFC 6824 §3.
#[test]
pub(super) fn options_that_one_version_has() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let frame = script.send(&mut flow, Server, RST | ACK, &[reason(1)], 0);
        if version == 0 {
            fires(&script, "option-out-of-place", &[frame]);
        } else {
            silent(&script, "option-out-of-place");
        }
    });
}

/// A mapping may be among the options that the capture cut: which payload is data is unknown then, not nothing.
#[test]
fn mappings_that_the_capture_cut() {
    for version in [0, 1] {
        let mut script = Script::default();
        let mut flow = open(&mut script, version);
        // 4 bytes of DSS flags, an 8-byte DATA_ACK and DSN, SSN and length.
        let dss = [&[30, 26, 0x20, 0x0f][..], &[0; 16], &[0, 0, 0, 1], &[0, 200]].concat();
        script.send_raw(&mut flow, Client, ACK, dss, 200);
        let data = |script: &Script| {
            let connection = script.report().connection(0);
            let (up, down) = (connection.directions.client_to_server, connection.directions.server_to_client);
            let sub = connection.subflows[0].directions.client_to_server.clone();
            assert_eq!((down.bytes, down.missing_bytes, down.unmapped_bytes), (Some(0), Some(0), Some(0)));
            assert_eq!(sub.payload_bytes, 200);
            [up.bytes, up.missing_bytes, up.unmapped_bytes, up.reinjected_bytes, up.resent_bytes, sub.data_bytes]
        };
        assert!(data(&script).iter().all(Option::is_some));
        script.snaplen = Some(62);
        assert_eq!(data(&script), [None; 6]);
        let scheduler = script.report().connection(0).stack.scheduler.client_to_server;
        assert_eq!(scheduler.why.as_deref(), Some("the capture cut the options that map its data"));
    }
}

/// Behind a device that overwrites options, only their length is left: 12 and 4 bytes in a SYN of version 0 and 1, 12 in a
/// SYN/ACK, 16 in that of a join (RFC 6824 and RFC 8684 §3.1, §3.2). Others are cleared as well: MSS (4), SACK permitted (2),
/// timestamps (10), window scale (3), each with its NOPs.
#[test]
fn options_that_were_overwritten_before_the_capture() {
    const ID: &str = "option-blanked";
    let usual = [
        MaximumSegmentSize(1460),
        SackPermitted,
        Timestamps { value: 7, echo_reply: 0 },
        TcpOption::NoOperation,
        WindowScale(7),
    ];
    let script = |flags: u8, lacking: Option<usize>, padding: &[u8]| {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let mut bytes = Vec::new();
        let kept = usual.iter().enumerate().filter(|(index, _)| Some(*index) != lacking);
        kept.for_each(|(_, option)| option.emit(&mut bytes));
        bytes.extend(padding);
        script.send_raw(&mut flow, if flags & ACK == 0 { Client } else { Server }, flags, bytes, 0);
        script
    };
    for (flags, lengths) in [(SYN, &[4, 12][..]), (SYN | ACK, &[12, 16])] {
        for run in (0..=20).step_by(4) {
            for byte in [0, 1] {
                // The NOP of the window scale is no part of it; the header takes 40 bytes of options.
                let script = script(flags, None, &vec![byte; run]);
                if lengths.contains(&run) { fires(&script, ID, &[1]) } else { silent(&script, ID) }
            }
        }
    }
    // Three NOPs and the end of the list are four bytes.
    fires(&script(SYN, None, &[1, 1, 1, 0]), ID, &[1]);
    // What a device clears besides: one of the others, with the NOPs beside it.
    for (lacking, cleared) in [(0, 4), (1, 4), (2, 12), (4, 4)] {
        silent(&script(SYN, Some(lacking), &vec![1; cleared]), ID);
    }
    let message = script(SYN, None, &[1; 12]).the(ID).message;
    assert!(message.contains("MP_CAPABLE of version 0 or MP_JOIN"), "{message}");
    // With the option there is nothing to miss.
    let mut whole = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    let mut bytes = vec![1; 4];
    usual.iter().chain([&capable(1, None, None)]).for_each(|option| option.emit(&mut bytes));
    whole.send_raw(&mut flow, Client, SYN, bytes, 0);
    silent(&whole, ID);
}

/// The multipath-tcp.org kernel's version 1 (PROTOCOL §1.4) has the formats of version 0 and SHA-1. Its SYN tells, and without it
/// the first DSN or DATA_ACK, which is IDSN + 1 by that hash.
#[test]
fn a_draft_whose_syn_was_not_captured() {
    let (client, server) = (CLIENT_KEY.0, SERVER_KEY.0);
    for (suite, dialect) in [(Suite::Sha1, "draft-v1"), (Suite::Sha256, "rfc8684")] {
        let identity = |side| identify(suite, key_of(side));
        let low = |side, offset: u32| (identity(side).idsn as u32).wrapping_add(1 + offset).to_be_bytes();
        let asked: &[[u8; 8]] = if suite == Suite::Sha1 { &[client] } else { &[] };
        // The frames of the handshake that there are, in their order; and whether a DATA_ACK comes before the first mapping.
        for (order, acked_first) in [("SA", true), ("SA", false), ("A", true), ("A", false), ("SsA", true)] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER).rewound(Client, -1);
            if order == "A" {
                flow = flow.rewound(Server, -1);
            }
            for frame in order.chars() {
                match frame {
                    'S' => script.send_raw(&mut flow, Server, SYN | ACK, capable_of(1, &[server]), 0),
                    's' => {
                        flow = flow.rewound(Client, 1);
                        script.send_raw(&mut flow, Client, SYN, capable_of(1, asked), 0)
                    }
                    _ => script.send_raw(&mut flow, Client, ACK, capable_of(1, &[client, server]), 0),
                };
            }
            let mapping = [&low(Client, 0)[..], &[0, 0, 0, 1], &[0, 100]].concat();
            let acks: &[u8] = if acked_first { &low(Server, 0) } else { &[] };
            let flags = if acked_first { 5 } else { 4 };
            let head = [30, (4 + acks.len() + mapping.len()) as u8, 0x20, flags];
            script.send_raw(&mut flow, Client, ACK, [&head, acks, &mapping].concat(), 100);
            script.send_raw(&mut flow, Server, ACK, [&[30, 8, 0x20, 1][..], &low(Client, 100)].concat(), 0);
            let join = [&[30, 12, 0x10, 2][..], &identity(Server).token.0.to_be_bytes(), &[0, 0, 0, 9]].concat();
            script.send_raw(&mut Flow::new(CLIENT_2, SERVER), Client, SYN, join, 0);

            let report = script.report();
            let connection = report.connection(0);
            let sent = &connection.directions.client_to_server;
            assert_eq!(connection.dialect, Some(dialect), "{order} {acked_first}");
            assert_eq!(connection.client.token, Some(identity(Client).token));
            assert_eq!((sent.bytes, sent.missing_bytes, sent.acked_bytes), (Some(100), Some(0), Some(100)));
            assert_eq!((report.connection_count(), connection.subflows.len()), (1, 2), "{order} {acked_first}");
        }
    }
}

/// A RST behind both FINs and their acknowledgements answers a stray segment: the subflow was closed (RFC 9293 §3.6).
#[test]
fn a_reset_after_the_end() {
    for version in [0, 1] {
        for (last_ack, closed) in [(true, true), (false, false)] {
            let mut script = Script::default();
            let mut flow = open(&mut script, version);
            script.send(&mut flow, Client, FIN | ACK, &[], 0);
            script.send(&mut flow, Server, FIN | ACK, &[], 0);
            if last_ack {
                script.send(&mut flow, Client, ACK, &[], 0);
                script.again(&mut flow, Server, FIN | ACK, &[], 0);
            }
            // An abort acknowledges what came before it, as any segment does.
            script.send(&mut flow, Client, RST | ACK, &[], 0);
            let connection = script.report().connection(0);
            let subflow = &connection.subflows[0];
            assert_eq!((subflow.state, subflow.reset.is_none()), (if closed { "closed" } else { "reset" }, closed));
            assert_eq!(connection.close == "reset", !closed);
        }
    }
}

/// A SYN/ACK with MP_CAPABLE proves that a SYN with it had arrived, though the client had gone on without by then.
#[test]
fn an_answer_after_the_client_gave_up() {
    for version in [0, 1] {
        for answered in [true, false] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            let asked: &[[u8; 8]] = if version == 0 { &[[7; 8]] } else { &[] };
            let syn = script.send_raw(&mut flow, Client, SYN, capable_of(version, asked), 0);
            script.wait(SECOND);
            let bare = script.again(&mut flow, Client, SYN, &[], 0);
            let answer = if answered { capable_of(version, &[SERVER_KEY.0]) } else { Vec::new() };
            let syn_ack = script.send_raw(&mut flow, Server, SYN | ACK, answer, 0);
            script.send(&mut flow, Client, ACK, &[], 100);
            fires(&script, "fallback-syn-retried-without-option", &[syn, bare]);
            let found = script.the("fallback-syn-retried-without-option");
            assert_eq!(found.message.contains("drops SYNs"), !answered, "{}", found.message);
            assert_eq!(found.frames.iter().any(|frame| frame.id.number == syn_ack), answered);
        }
    }
}

/// RFC 6824 §3.1: 12 bytes in the SYN, and none of version 0 maps data. A SYN's option of another length must be ignored.
#[test]
fn mp_capable_of_another_length() {
    let (client, server) = (CLIENT_KEY.0, SERVER_KEY.0);
    for (version, keys, legal) in [
        (0, &[client][..], true),
        (0, &[client, server], false),
        (0, &[], false),
        (1, &[], true),
        (1, &[client, server], false),
    ] {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let syn = script.send_raw(&mut flow, Client, SYN, capable_of(version, keys), 0);
        script.send(&mut flow, Server, SYN | ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 100);
        if legal {
            silent(&script, "option-malformed");
        } else {
            fires(&script, "option-malformed", &[syn]);
        }
        let by = script.report().connection(0).fallback.and_then(|fallback| fallback.by);
        assert_eq!(by == Some("client"), !legal, "version {version}, {} keys", keys.len());
        let message = script.the("fallback-no-option-in-syn-ack").message;
        assert_eq!(message.contains("the length of the SYN's option makes it void"), !legal, "{message}");
    }
    for version in [0, 1] {
        let mut script = Script::default();
        let mut flow = open(&mut script, version);
        let mut first = capable_of(version, &[client, server]);
        first[1] = 22;
        first.extend([0, 100]);
        let frame = script.send_raw(&mut flow, Client, ACK, first, 100);
        if version == 0 { fires(&script, "option-malformed", &[frame]) } else { silent(&script, "option-malformed") }
    }
}

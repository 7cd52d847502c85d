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

/// The server's options are gone after the handshake: its bare ACK of mapped data is what tells, and makes the client go on
/// without mappings, once what was under way is through.
#[test]
fn an_answer_without_options_to_mapped_data() {
    in_both_versions(|version| {
        for answer_captured in [true, false] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
            let mut server = flow.clone();
            script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 100, None)], 100);
            let ack = if answer_captured { script.send(&mut server, Server, ACK, &[], 0) } else { 0 };
            script.send(&mut flow, Client, ACK, &[mapping(Client, 200, 201, 100, None)], 100);
            let bare = script.send(&mut flow, Client, ACK, &[], 100);
            script.send(&mut flow, Client, ACK, &[], 100);
            if answer_captured {
                script.send(&mut flow, Server, ACK, &[], 0);
                fell_back(&script, "no_option_on_data", "path", ack);
                let found = script.the("fallback-no-option-on-data");
                assert!(
                    found.message.contains("acknowledges the client's data (frame 6) without DATA_ACK"),
                    "{found:?}"
                );
                let counter = ["MPTcpExtMPFallbackAckInit", "MPTcpExtMPCapableDataFallback"][usize::from(version)];
                assert_eq!(found.counter, Some(counter));
            } else {
                fell_back(&script, "options_vanished", "path", bare);
            }
            silent(&script, "ends-disagree-about-fallback");
        }
    });
}

/// Options of one end behind the first bare packet of the other: still under way, or sent by one that must have known.
#[test]
fn options_behind_the_first_packet_without() {
    in_both_versions(|_| {
        for heard in [false, true] {
            let mut script = Script::default();
            let mut flow = script.open();
            let mut sent_before = flow.clone();
            let bare = script.send(&mut flow, Server, ACK, &[], 100);
            let client = if heard { &mut flow } else { &mut sent_before };
            let last = script.send(client, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
            let mut flow = if heard { flow } else { flow.rewound(Client, -100) };
            script.send(&mut flow, Server, ACK, &[], 100);
            script.send(&mut flow, Client, ACK, &[], 100);
            fell_back(&script, "no_option_on_data", "path", bare);
            if heard {
                fires(&script, "ends-disagree-about-fallback", &[bare, last]);
            } else {
                silent(&script, "ends-disagree-about-fallback");
            }
        }
        // An end that has no data has ACKs only.
        for pause in [0, 2 * SECOND] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Server, 0, 1, 100);
            for part in 1..4_u32 {
                let option = mapping(Server, 100 * u64::from(part), 1 + 100 * part, 100, None);
                script.send(&mut flow, Server, ACK, &[option], 100);
                script.send(&mut flow, Client, ACK, &[], 0);
                script.wait(if part == 2 { pause } else { 0 });
            }
            fell_back(&script, "options_vanished", "path", 7);
            let disagree = script.ids().contains(&"ends-disagree-about-fallback");
            assert_eq!(disagree, pause > 0);
        }
    });
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
        let counters = script.report().kernel_counters(&[]).expect("all is known");
        let server = &counters.server;
        assert_eq!(server.get("MPTcpExtMPCapableFallbackACK"), Some(&1));
        assert_eq!((server.get("MPTcpExtMPCapableACKRX"), server.get("MPTcpExtDssFallback")), (None, None));
        assert_eq!(counters.client.get("MPTcpExtMPCapableDataFallback"), Some(&1));
    }
}

/// The client retries its SYN without MP_CAPABLE, and the answer is to the first: its third ACK tells what it makes of that
/// (RFC 8684 §3.1).
#[test]
fn a_syn_without_the_option_beside_one_with() {
    in_both_versions(|_| {
        for takes_it in [true, false] {
            let (syn, syn_ack, ack) = handshake();
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            script.send(&mut flow, Client, SYN, &[syn], 0);
            script.wait(SECOND);
            let bare = script.again(&mut flow, Client, SYN, &[], 0);
            script.send(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
            let with: &[_] = if takes_it { &[ack] } else { &[] };
            script.send(&mut flow, Client, ACK, with, 0);
            if takes_it {
                script.data(&mut flow, Client, 0, 1, 100);
                script.data(&mut flow, Server, 0, 1, 100);
                assert_eq!((only(&script).outcome, script.ids()), ("mptcp", vec!["syn-retransmitted"]));
            } else {
                script.send(&mut flow, Client, ACK, &[], 100);
                script.send(&mut flow, Server, ACK, &[], 100);
                fell_back(&script, "syn_retried_without_option", "client", bare);
                assert_eq!(script.the("fallback-syn-retried-without-option").advice, None);
            }
        }
    });
}

/// Only the client's packets were captured: whether the server agreed, nothing tells.
#[test]
fn one_direction_of_a_connection_that_went_on_as_tcp() {
    in_both_versions(|_| {
        for retried in [false, true] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            let mut frames = vec![script.send(&mut flow, Client, SYN, &[handshake().0], 0)];
            if retried {
                frames.push(script.again(&mut flow, Client, SYN, &[], 0));
            }
            script.send(&mut flow, Client, ACK, &[], 0);
            let data = script.send(&mut flow, Client, ACK, &[], 100);
            let connection = only(&script);
            let fallback = connection.fallback.as_ref().expect("a fallback");
            if retried {
                assert_eq!((fallback.cause, fallback.by), ("syn_retried_without_option", Some("client")));
                fires(&script, "fallback-syn-retried-without-option", &frames);
            } else {
                assert_eq!((fallback.cause, fallback.by, fallback.counter), ("no_option_in_third_ack", None, None));
                fires(&script, "fallback-no-option-in-third-ack", &[frames[0], data]);
            }
            silent(&script, "fallback-no-option-on-data");
        }
    });
}

/// The client's MP_FAIL alone does not tell who found a wrong checksum.
#[test]
fn one_direction_of_an_mp_fail() {
    for answers in [true, false] {
        let mut script = Script::default();
        let mut flow = script.open_one_way();
        let frame = script.send(&mut flow, Client, ACK, &[fail(dsn(Server, 0))], 0);
        if answers {
            script.send(&mut flow, Client, ACK, &[infinite(Client, 100, 101)], 100);
            assert!(script.the("infinite-mapping").message.ends_with("from frame 5 on."));
        }
        fires(&script, "fallback-mp-fail", &[frame]);
        let found = script.the("fallback-mp-fail");
        assert!(found.message.contains("answers an MP_FAIL of the server, whose packets"), "{found:?}");
        assert_eq!(found.message.contains("infinite mapping"), answers, "{found:?}");
    }
}

/// A device that echoes options gave the client its own key: that is not the server's.
#[test]
fn an_echoed_key() {
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut flow = Flow::new(CLIENT, SERVER);
        let (syn, ..) = handshake();
        script.send(&mut flow, Client, SYN, &[syn], 0);
        script.send(&mut flow, Server, SYN | ACK, &[syn], 0);
        if version == 0 {
            script.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(CLIENT_KEY))], 0);
        } else {
            script.send(&mut flow, Client, ACK, &[], 0);
        }
        let connection = only(&script);
        assert_eq!((connection.server.key, connection.server.token), (None, None));
        assert_eq!(connection.fallback.map(|fallback| fallback.cause), Some("option_echoed"));
    });
}

/// The capture begins with the first data, which has both keys: what comes after it without options is a fallback.
#[test]
fn a_fallback_behind_a_capture_that_begins_with_the_keys() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER).rewound(Client, -1).rewound(Server, -1);
    script.send(&mut flow, Client, ACK, &[handshake().2], 0);
    script.data(&mut flow, Client, 0, 1, 100);
    let first = script.send(&mut flow, Client, ACK, &[], 100);
    for _ in 0..3 {
        script.send(&mut flow, Server, ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 100);
    }
    fell_back(&script, "options_vanished", "path", first);
}

/// NOPs in the place of the third ACK's option: something overwrites options, whether MPTCP goes on or not.
#[test]
fn a_third_ack_whose_option_is_overwritten() {
    in_both_versions(|_| {
        for (nops, goes_on) in [(20, false), (28, true), (2, false), (2, true)] {
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            let (syn, syn_ack, _) = handshake();
            script.send(&mut flow, Client, SYN, &[syn], 0);
            script.send(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
            let ack = script.send_raw(&mut flow, Client, ACK, vec![1; nops], 0);
            if goes_on {
                script.data(&mut flow, Client, 0, 1, 100);
            } else {
                script.send(&mut flow, Client, ACK, &[], 100);
                script.send(&mut flow, Server, ACK, &[], 0);
                let found = script.the("fallback-no-option-in-third-ack");
                assert_eq!(found.message.contains("NOPs stand in its place"), nops == 20, "{found:?}");
                assert_eq!(found.advice.is_none(), nops == 20);
            }
            assert_eq!(only(&script).fallback.is_none(), goes_on);
            if nops >= 20 {
                fires(&script, "option-blanked", &[ack]);
            } else {
                silent(&script, "option-blanked");
            }
        }
    });
}

/// An end that finds the first checksum wrong goes on without options, and nobody removed any.
#[test]
fn a_silent_fallback_for_a_wrong_checksum() {
    in_both_versions(|_| {
        for wrong in [true, false] {
            let mut script = Script::default();
            let mut flow = script.open_with(0x81, 0x81);
            let checksum = wrong.then_some(0x1234);
            let data = script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, checksum)], 100);
            let ack = script.send(&mut flow, Server, ACK, &[], 0);
            let bare = script.send(&mut flow, Server, ACK, &[], 100);
            script.send(&mut flow, Client, ACK, &[], 0);
            fell_back(&script, "no_option_on_data", "path", bare);
            let found = script.the("fallback-no-option-on-data");
            assert_eq!(found.message.contains("options are removed"), !wrong, "{found:?}");
            let told = format!("the checksum of the client's first 100 bytes is wrong (frame {data}), so the server");
            assert_eq!(found.message.contains(&told), wrong, "{found:?}");
            assert!(ack < bare);
        }
    });
}

/// At the client the third ACK has its option, at the server NOPs.
#[test]
fn a_third_ack_that_is_overwritten_between_two_captures() {
    in_both_versions(|_| {
        for nops in [0, 20] {
            let mut script = Script::default();
            for input in [0, 1] {
                script.input = input;
                let mut flow = Flow::new(CLIENT, SERVER);
                let (syn, syn_ack, ack) = handshake();
                script.send(&mut flow, Client, SYN, &[syn], 0);
                script.send(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
                if input == 0 {
                    script.send(&mut flow, Client, ACK, &[ack], 0);
                } else {
                    script.send_raw(&mut flow, Client, ACK, vec![1; nops], 0);
                }
                script.send(&mut flow, Client, ACK, &[], 100);
                script.send(&mut flow, Server, ACK, &[], 0);
            }
            let (told, not) = ("path-blanked-option", "path-stripped-option");
            let (told, not) = if nops > 0 { (told, not) } else { (not, told) };
            fires(&script, told, &[3]);
            silent(&script, not);
        }
    });
}

/// An ACK of the first data that a device sent, without options, makes the client fall back; the server goes on with them.
#[test]
fn a_silent_fallback_for_an_ack_without_options() {
    in_both_versions(|_| {
        for ttl in [None, Some(60)] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
            script.ttl = ttl;
            let early = script.send(&mut flow, Server, ACK, &[], 0);
            script.ttl = None;
            script.send(&mut flow, Server, ACK, &[data_ack(Client, 100)], 0);
            for _ in 0..3 {
                script.send(&mut flow, Client, ACK, &[], 100);
            }
            script.send(&mut flow, Server, RST | ACK, &[reason(6)], 0);
            fires(&script, "fallback-options-vanished", &[early]);
            let found = script.the("fallback-options-vanished");
            let told = format!("the ACK in frame {early} acknowledges the client's data without an MPTCP option");
            assert!(found.message.contains(&told), "{found:?}");
            assert_eq!(found.message.contains("a device on the way sent it"), ttl.is_some(), "{found:?}");
            assert!(!found.message.contains("removed"), "{found:?}");
        }
    });
}

/// Where options vanish in mid-connection, the end that takes what comes for TCP counts that; one that resets the subflow does not.
#[test]
fn the_counter_of_options_that_vanish() {
    in_both_versions(|version| {
        for taken in [true, false] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            script.data(&mut flow, Server, 0, 1, 100);
            script.send(&mut flow, Client, ACK, &[], 100);
            if taken {
                script.send(&mut flow, Server, ACK, &[], 0);
                script.send(&mut flow, Client, ACK, &[], 100);
            } else {
                script.send(&mut flow, Server, RST | ACK, &[reason(6)], 0);
            }
            let counter = script.the("fallback-options-vanished").counter;
            assert_eq!(counter, (taken && version == 1).then_some("MPTcpExtDssFallback"));
        }
    });
}

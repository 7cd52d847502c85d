//! What is said of the proof of joins whose handshake lacks a part: never captured, or never there.

use mptcp_inspect::crypto::auth::join_syn_ack_hmac;
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::{MpJoin, MptcpOption, TcpOption};

use super::words::tree_of;
use crate::script::*;

const BOTH: &[&str] = &["syn_ack_hmac", "ack_hmac"];

/// A connection with a join that goes as `handshake` does.
fn joined(handshake: impl Fn(&mut Script, &mut Flow)) -> Script {
    let mut script = Script::default();
    let mut first = script.open();
    script.data(&mut first, Client, 0, 1, 100);
    let mut join = Flow::new(CLIENT_2, SERVER);
    handshake(&mut script, &mut join);
    script.data(&mut first, Client, 100, 101, 100);
    script
}

fn asked(script: &mut Script, join: &mut Flow) {
    let syn = join.join_syn(2, false);
    script.send(join, Client, SYN, &[syn], 0);
}

fn answered(script: &mut Script, join: &mut Flow) {
    asked(script, join);
    let syn_ack = join.join_syn_ack(false);
    script.send(join, Server, SYN | ACK, &[syn_ack], 0);
}

#[track_caller]
fn lacks(script: &Script, absent: &[&str], shown: &[&str], hidden: &str) {
    let join = script.report().connection(0).subflows[1].join.clone().expect("a join");
    assert_eq!(join.absent, absent);
    let tree = tree_of(script);
    assert!(shown.iter().all(|words| tree.contains(words)) && !tree.contains(hidden), "{tree}");
}

/// No segment is missing where a RST answers the SYN, or the SYN/ACK is one that no third ACK follows.
#[test]
fn hmacs_that_were_never_there() {
    in_both_versions(|_| {
        let refused = joined(|script, join| {
            asked(script, join);
            script.send(join, Server, RST | ACK, &[], 0);
        });
        lacks(&refused, BOTH, &["refused", "✓ token  no data"], "segments missing");

        let stripped = joined(|script, join| {
            asked(script, join);
            script.send(join, Server, SYN | ACK, &[], 0);
            script.send(join, Client, RST, &[reason(1)], 0);
        });
        lacks(&stripped, BOTH, &["refused", "✓ token  no data"], "nonce not seen");

        let wrong = joined(|script, join| {
            asked(script, join);
            let hmac = join_syn_ack_hmac(
                mptcp_inspect::crypto::Suite::Sha256,
                WRONG_KEY,
                CLIENT_KEY,
                join.server_nonce,
                mptcp_inspect::crypto::Nonce(0),
            );
            let (address_id, nonce) = (0, join.server_nonce);
            let answer = MpJoin::SynAck { backup: false, address_id, hmac, nonce, reserved: 0 };
            script.send(join, Server, SYN | ACK, &[TcpOption::Mptcp(MptcpOption::MpJoin(answer))], 0);
            script.send(join, Client, RST, &[reason(1)], 0);
        });
        lacks(&wrong, &BOTH[1..], &["✗ proof fails", "✓ token  ✗ SYN/ACK HMAC: expected"], "segments missing");

        let bare = joined(|script, join| {
            answered(script, join);
            script.send(join, Client, ACK, &[], 0);
            script.send(join, Server, RST | ACK, &[], 0);
        });
        lacks(&bare, &BOTH[1..], &["refused", "✓ token, SYN/ACK HMAC  no data"], "segments missing");
    });
}

/// What the packets show to have been there was not captured.
#[test]
fn hmacs_that_were_not_captured() {
    in_both_versions(|_| {
        let no_syn_ack = joined(|script, join| {
            asked(script, join);
            join.clone_from(&join.clone().rewound(Server, -1));
            let ack = join.join_ack();
            script.send(join, Client, ACK, &[ack], 0);
            script.send(join, Server, RST | ACK, &[], 0);
        });
        lacks(&no_syn_ack, &[], &["? partly proven", "SYN/ACK HMAC: segments missing"], "✓ token  no data");
        // The client may have sent it before it gave up.
        let given_up = joined(|script, join| {
            answered(script, join);
            script.send(join, Client, RST, &[], 0);
        });
        lacks(&given_up, &[], &["✓ SYN/ACK HMAC  ? ACK HMAC: segments missing"], "✓ token, SYN/ACK HMAC");
        let begun = joined(|script, join| {
            answered(script, join);
            script.send(join, Client, ACK, &[data_ack(Server, 0)], 0);
            script.send(join, Server, ACK, &[data_ack(Client, 100)], 0);
        });
        lacks(&begun, &[], &["✓ SYN/ACK HMAC  ? ACK HMAC: segments missing"], "✓ token, SYN/ACK HMAC");
    });
}

//! What the tree says of connections: nothing that the packets contradict.

use mptcp_inspect::crypto::{Suite, auth::add_addr_hmac};
use mptcp_inspect::report::style::Look;
use mptcp_inspect::report::{Report, Selection, table, tree};
use mptcp_inspect::track::side::Side::{Client, Server};
use mptcp_inspect::wire::{AddAddr, MpCapable, MptcpOption, TcpOption};

use super::{fires, silent};
use crate::script::*;

pub(super) fn tree_of(script: &Script) -> String {
    let (report, mut out) = (script.report(), Vec::new());
    let look = Look { width: 200, ..Look::default() };
    tree::write(&mut out, &report, &Selection::new(&report, &[], None), look, false).expect("memory takes it");
    String::from_utf8(out).expect("UTF-8")
}

/// RFC 8684 §3.4.1: a receiver that keeps to it takes the port into account, as it is.
#[test]
fn an_hmac_that_only_some_receivers_take() {
    for (hashed, words) in [(Some(8443), "✓ HMAC\n"), (None, "✓ HMAC (port taken as 0, as Linux 5.11 did)\n")] {
        let hmac = Some(add_addr_hmac(Suite::Sha256, SERVER_KEY, CLIENT_KEY, 1, SERVER_2.0.into(), hashed));
        let (address, port) = (SERVER_2.0.into(), Some(8443));
        let option = AddAddr { low_nibble: 0, address_id: 1, address, port, hmac };
        let mut script = Script::default();
        let mut flow = script.open();
        script.send(&mut flow, Server, ACK, &[TcpOption::Mptcp(MptcpOption::AddAddr(option))], 0);
        script.send(&mut flow, Client, ACK, &[echo(1, SERVER_2.0, port)], 0);
        let tree = tree_of(&script).replace("  echoed", "");
        assert!(tree.contains(&format!("as id 1 at frame 4  {words}")), "{tree}");
    }
}

/// What another subflow had carried before is carried all the same.
#[test]
fn a_subflow_that_only_repeats() {
    in_both_versions(|_| {
        for repeats in [true, false] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
            for block in 0..20 {
                script.data(&mut first, Client, block * 6000, block as u32 * 6000 + 1, 6000);
                if repeats {
                    script.data(&mut join, Client, block * 6000, block as u32 * 6000 + 1, 6000);
                }
            }
            let tree = tree_of(&script);
            assert_eq!(tree.contains("no data"), !repeats, "{tree}");
            assert_eq!(tree.contains("↑ 120 kB reinjected"), repeats, "{tree}");
            if repeats {
                silent(&script, "one-path-carries-most");
                let message = script.the("reinjections-useless").message;
                let expected = "The client sent 120 kB again on another subflow, beside 120 kB of data, ";
                assert!(message.starts_with(expected), "{message}");
                fires(&script, "reinjections-useless", &[10]);
            } else {
                fires(&script, "one-path-carries-most", &[]);
            }
        }
    });
}

/// A subflow that was there before or after is no other path.
#[test]
fn subflows_that_were_not_there_at_the_same_time() {
    for over in [true, false] {
        let mut script = Script::default();
        let mut first = script.open();
        let mut early = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        if over {
            script.send(&mut early, Client, FIN | ACK, &[], 0);
            script.send(&mut early, Server, FIN | ACK, &[], 0);
            script.send(&mut early, Client, ACK, &[], 0);
        }
        let mut join = script.join(([10, 0, 3, 1], 40002), SERVER, 3, [false; 2]);
        for block in 0..20 {
            script.data(&mut join, Client, block * 6000, block as u32 * 6000 + 1, 6000);
        }
        script.send(&mut first, Client, ACK, &[data_ack(Server, 0)], 0);
        script.send(&mut early, Client, ACK, &[], 0);
        let message = script.the("one-path-carries-most").message;
        assert!(message.ends_with("although 3 subflows were there.") || over, "{message}");
    }
}

/// RFC 8684 appendix B: what Fast Open carries is no part of the data-level stream.
#[test]
fn data_in_the_syn() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    let (syn, syn_ack, ack) = handshake();
    script.send(&mut flow, Client, SYN, &[syn], 264);
    script.send(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
    script.send(&mut flow, Client, ACK, &[ack], 0);
    script.data(&mut flow, Client, 0, 1, 100);
    let tree = tree_of(&script);
    assert!(tree.contains("↑ 100 B ↓ 0 B") && tree.contains("↑ 264 B more in the SYN"), "{tree}");
}

/// A server answers what it is offered: with other options to other SYNs, whichever of its sockets it is.
#[test]
fn listeners_that_answer_several_kinds_of_syns() {
    let stamps = TcpOption::Timestamps { value: 7, echo_reply: 0 };
    for (offers, answers, ways) in [
        ([true, false], [1460, 1460], 0),
        ([true, true], [1460, 1460], 0),
        ([true, true], [1460, 1400], 2),
        ([true, false], [1460, 1400], 0),
    ] {
        let mut script = Script::default();
        for (number, (offered, mss)) in offers.into_iter().zip(answers).enumerate() {
            let mut flow = Flow::new((CLIENT.0, 40000 + number as u16), SERVER);
            let (syn, syn_ack, ack) = handshake();
            let mut asked = vec![TcpOption::MaximumSegmentSize(1460), syn];
            let mut answered = vec![TcpOption::MaximumSegmentSize(mss), syn_ack];
            if offered {
                asked.push(stamps);
                answered.push(stamps);
            }
            script.send(&mut flow, Client, SYN, &asked, 0);
            script.send(&mut flow, Server, SYN | ACK, &answered, 0);
            script.send(&mut flow, Client, ACK, &[ack], 0);
        }
        let listeners = script.report().header().stack.listeners;
        assert_eq!((listeners.len(), listeners[0].ways().len()), (1, ways));
        assert_eq!(tree_of(&script).contains("answers in 2 ways"), ways == 2);
    }
}

/// Joins without connection are subflows too.
#[test]
fn the_table_has_every_subflow() {
    let mut script = Script::default();
    script.join(CLIENT_2, SERVER, 2, [false; 2]);
    let (report, mut out) = (script.report(), Vec::new());
    table::write(&mut out, &report, &Selection::new(&report, &[], None), Look { width: 200, ..Look::default() })
        .expect("memory takes it");
    let table = String::from_utf8(out).expect("UTF-8");
    let row = table.lines().nth(1).unwrap_or_default();
    assert!(row.trim_start().starts_with("-    0") && row.contains("10.0.2.1:40001"), "{table}");
}

/// The draft of version 1 is spoken by the kernel of version 0: its path managers open the subflows, and it echoes nothing.
#[test]
fn a_connection_of_the_draft() {
    in_both_versions(|version| {
        for draft in [false, true] {
            if version == 1 {
                continue;
            }
            let mut script = Script::default();
            let mut flow = Flow::new(CLIENT, SERVER);
            let (syn, syn_ack, ack) = handshake();
            for (side, flags, option) in [(Client, SYN, syn), (Server, SYN | ACK, syn_ack), (Client, ACK, ack)] {
                let TcpOption::Mptcp(MptcpOption::MpCapable(capable)) = option else { panic!() };
                let capable = MpCapable { version: u8::from(draft), ..capable };
                script.send(&mut flow, side, flags, &[TcpOption::Mptcp(MptcpOption::MpCapable(capable))], 0);
            }
            script.data(&mut flow, Client, 0, 1, 100);
            script.send(&mut flow, Server, ACK, &[announce_0(1, SERVER_2.0, draft)], 0);
            for (client, server) in [(CLIENT_2, SERVER), ((CLIENT.0, 40007), SERVER_2), ((CLIENT_2.0, 40008), SERVER_2)]
            {
                script.join(client, server, 2, [false; 2]);
            }
            let report = script.report();
            let connection = report.connection(0);
            assert_eq!(connection.dialect, Some(if draft { "draft-v1" } else { "rfc6824" }));
            assert_eq!(connection.stack.path_manager.client.pattern, Some("fullmesh"));
            let tree = tree_of(&script);
            assert!(tree.contains("server announced 10.0.8.8 as id 1") && !tree.contains("no echo"), "{tree}");
        }
    });
}

/// What the peer acknowledged was there and not captured; what it did not may have been lost on the way, or never sent.
#[test]
fn bytes_in_holes() {
    in_both_versions(|_| {
        for (acked, words) in [(300, "↑ 100 B not captured"), (100, "↑ 100 B missing")] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let mut flow = flow.rewound(Client, -100);
            script.send(&mut flow, Client, ACK, &[mapping(Client, 200, 201, 100, None)], 100);
            script.send(&mut flow, Server, ACK, &[data_ack(Client, acked)], 0);
            let tree = tree_of(&script);
            assert!(tree.contains(words), "{tree}");
        }
    });
}

//! One packet at two taps: what its options say, and who sent a RST.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{self, Client, Server};
use mptcp_inspect::wire::{AddAddr, MpCapable, MpJoin, MpPrio, MptcpOption, TcpOption};

use super::{fires, silent};
use crate::script::*;

/// The client's capture is input 0, the server's input 1.
fn tap_of(side: Side) -> u16 {
    u16::from(side == Server)
}

/// A connection of either version at both taps, and one segment of `side` with these options at its own tap and at the other.
fn two_taps(version: u8, side: Side, [own, other]: [&[TcpOption<'_>]; 2], payload: usize, ip_id: bool) -> Script {
    let mut script = Script::identified(ip_id);
    for input in [0, 1] {
        script.input = input;
        let mut flow = if version == 1 { script.open() } else { open_v0(&mut script) };
        script.data(&mut flow, Client, 0, 1, 100);
        script.data(&mut flow, Server, 0, 1, 100);
        script.send(&mut flow, side, ACK, if input == tap_of(side) { own } else { other }, payload);
        script.data(&mut flow, side.peer(), 100, 101, 100);
    }
    script
}

/// RFC 6824 §3.1: a key in SYN and SYN/ACK.
fn open_v0(script: &mut Script) -> Flow {
    let capable = |sender_key, receiver_key| {
        TcpOption::Mptcp(MptcpOption::MpCapable(MpCapable {
            version: 0,
            flags: 1,
            sender_key: Some(sender_key),
            receiver_key,
            data_len: None,
            checksum: None,
        }))
    };
    let mut flow = Flow::new(CLIENT, SERVER);
    script.send(&mut flow, Client, SYN, &[capable(CLIENT_KEY, None)], 0);
    script.send(&mut flow, Server, SYN | ACK, &[capable(SERVER_KEY, None)], 0);
    script.send(&mut flow, Client, ACK, &[capable(CLIENT_KEY, Some(SERVER_KEY))], 0);
    flow
}

fn prio() -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::MpPrio(MpPrio { backup: true, address_id: None, reserved: 0 }))
}

/// ADD_ADDR as RFC 6824 has it: the IP version for flags, and no HMAC.
fn announce_v0() -> TcpOption<'static> {
    TcpOption::Mptcp(MptcpOption::AddAddr(AddAddr {
        low_nibble: 4,
        address_id: 1,
        address: SERVER_2.0.into(),
        port: None,
        hmac: None,
    }))
}

/// Three segments of the handshake, two with data and their DATA_ACKs: the eighth is the one that differs.
const DIFFERS: u64 = 8;

#[test]
pub(super) fn options_that_one_capture_lacks() {
    let id = "path-stripped-option";
    let announced = announce(1, SERVER_2.0, None, SERVER_KEY);
    for (version, side, option, name) in [
        (1, Client, mapping(Client, 100, 101, 50, None), "DSS"),
        (0, Client, mapping(Client, 100, 101, 50, None), "DSS"),
        (1, Server, data_ack(Client, 100), "DSS"),
        (1, Server, announced, "ADD_ADDR"),
        (0, Server, announce_v0(), "ADD_ADDR"),
        (1, Client, echo(1, SERVER_2.0, None), "ADD_ADDR"),
        (1, Client, remove(&[3]), "REMOVE_ADDR"),
        (0, Client, remove(&[3]), "REMOVE_ADDR"),
        (1, Client, prio(), "MP_PRIO"),
        (0, Server, prio(), "MP_PRIO"),
        (1, Client, fail(dsn(Server, 0)), "MP_FAIL"),
        (1, Client, fastclose(SERVER_KEY), "MP_FASTCLOSE"),
    ] {
        let payload = if name == "DSS" && side == Client { 50 } else { 0 };
        for ip_id in [true, false] {
            let stripped = two_taps(version, side, [&[option], &[]], payload, ip_id);
            if !ip_id && side == Client && payload == 0 {
                // The ACK before it has the same numbers: nothing tells the two apart.
                silent(&stripped, id);
                continue;
            }
            fires(&stripped, id, &[DIFFERS]);
            let found = stripped.the(id);
            assert!(found.message.contains(name), "{}", found.message);
            let inputs = [side, side.peer()].map(|side| format!("input-{}.pcap", tap_of(side)));
            assert_eq!(found.between.expect("two inputs"), inputs);
            // Beside another option, which stays.
            let beside = prio();
            if name != "MP_PRIO" {
                let stripped = two_taps(version, side, [&[option, beside], &[beside]], payload, ip_id);
                assert!(stripped.the(id).message.contains(name));
                silent(&stripped, "path-changed-option");
            }
            let whole = two_taps(version, side, [&[option], &[option]], payload, ip_id);
            silent(&whole, id);
            silent(&whole, "path-changed-option");
            let inserted = two_taps(version, side, [&[], &[option]], payload, ip_id);
            silent(&inserted, id);
            assert!(inserted.the("path-changed-option").message.contains("inserted"));
        }
    }
}

#[test]
pub(super) fn options_that_say_something_else_behind_the_path() {
    let id = "path-changed-option";
    let sent = mapping(Client, 100, 101, 50, None);
    for (changed, what) in [
        (mapping(Client, 1100, 101, 50, None), "DSN of DSS"),
        (mapping(Client, 100, 108, 50, None), "SSN of DSS"),
        (mapping(Client, 100, 101, 49, None), "length of DSS"),
        (mapping(Client, 100, 101, 50, Some(7)), "checksum of DSS"),
    ] {
        let script = two_taps(1, Client, [&[sent], &[changed]], 50, true);
        fires(&script, id, &[DIFFERS]);
        assert!(script.the(id).message.contains(what), "{}", script.the(id).message);
        silent(&script, "path-stripped-option");
    }
    let script = two_taps(0, Server, [&[data_ack(Client, 100)], &[data_ack(Client, 60)]], 0, true);
    assert!(script.the(id).message.contains("DATA_ACK of DSS"));
    let script = two_taps(1, Client, [&[remove(&[3])], &[remove(&[4])]], 0, true);
    assert!(script.the(id).message.contains("REMOVE_ADDR"));
}

/// The nonce or the address id in the SYN of a join.
#[test]
pub(super) fn a_join_whose_syn_is_changed_on_the_way() {
    for what in ["nonce", "address id", "backup flag", ""] {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let mut join = Flow::new(CLIENT_2, SERVER);
            let mut syn = join.join_syn(2, false);
            if let TcpOption::Mptcp(MptcpOption::MpJoin(MpJoin::Syn { nonce, address_id, backup, .. })) = &mut syn
                && input == 1
            {
                match what {
                    "nonce" => nonce.0 ^= 1,
                    "address id" => *address_id = 9,
                    "backup flag" => *backup = true,
                    _ => {}
                }
            }
            script.send(&mut join, Client, SYN, &[syn], 0);
            let syn_ack = join.join_syn_ack(false);
            script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
        }
        if what.is_empty() {
            silent(&script, "path-changed-option");
        } else {
            fires(&script, "path-changed-option", &[6]);
            assert!(script.the("path-changed-option").message.contains(what));
        }
    }
}

/// What one capture lost, and what looks like another packet, is not compared.
#[test]
pub(super) fn packets_that_nothing_tells_apart() {
    let announced = announce(1, SERVER_2.0, None, SERVER_KEY);
    for ip_id in [true, false] {
        for lost in [[true, false], [false, true], [false, false]] {
            for input_that_lost in [0, 1] {
                let mut script = Script::identified(ip_id);
                for input in [0, 1] {
                    script.input = input;
                    script.lost = 0;
                    let mut flow = script.open();
                    script.data(&mut flow, Client, 0, 1, 100);
                    // Two ACKs with the same numbers: of one the option is all that is its own.
                    for (option, lost) in [announced, data_ack(Client, 100)].into_iter().zip(lost) {
                        if lost && input == input_that_lost {
                            script.lost += 1;
                        } else {
                            script.send(&mut flow, Server, ACK, &[option], 0);
                        }
                    }
                    script.data(&mut flow, Server, 0, 1, 100);
                }
                silent(&script, "path-stripped-option");
                silent(&script, "path-changed-option");
            }
        }
    }
}

/// SYNs with the option that never came, and one that the client itself sent without (RFC 8684 §3.7).
#[test]
pub(super) fn a_syn_that_was_sent_without_the_option() {
    for stripped in [false, true] {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            script.lost = 0;
            let mut flow = Flow::new(CLIENT, SERVER);
            let own = input == 0;
            let capable = capable(1, None, None);
            if own {
                script.send(&mut flow, Client, SYN, &[capable], 0);
                script.again(&mut flow, Client, SYN, &[capable], 0);
            } else if stripped {
                script.send(&mut flow, Client, SYN, &[], 0);
                script.again(&mut flow, Client, SYN, &[], 0);
            } else {
                script.lost = 2;
                flow = flow.rewound(Client, -1);
            }
            script.again(&mut flow, Client, SYN, &[], 0);
            script.send(&mut flow, Server, SYN | ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 0);
        }
        if stripped {
            fires(&script, "path-stripped-option", &[1]);
        } else {
            silent(&script, "path-stripped-option");
        }
    }
}

/// The third ACK of a join does not arrive; the first segment that does has a DSS, so nothing on this path removes options.
#[test]
pub(super) fn a_third_ack_that_is_lost() {
    for stripped in [false, true] {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            script.lost = 0;
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 2, [false; 2]);
            let ack = join.join_ack();
            match (input, stripped) {
                (0, _) => _ = script.send(&mut join, Client, ACK, &[ack], 0),
                (_, true) => _ = script.send(&mut join, Client, ACK, &[], 0),
                (_, false) => script.lost = 1,
            }
            script.send(&mut join, Client, ACK, &[data_ack(Server, 0)], 0);
        }
        if stripped {
            fires(&script, "path-stripped-option", &[8]);
        } else {
            silent(&script, "path-stripped-option");
        }
    }
}

/// A firewall resets one end in the name of the other, which goes on.
#[test]
pub(super) fn a_reset_that_no_end_sent() {
    let reset_at = |inputs: &[u16], goes_on: bool| {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            script.lost = 0;
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            if inputs.contains(&input) {
                script.send(&mut flow, Client, RST | ACK, &[], 0);
            } else {
                script.lost = 1;
            }
            if goes_on {
                script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 100, None)], 100);
                script.send(&mut flow, Server, RST, &[], 0);
            }
        }
        script
    };
    let forged = reset_at(&[1], true);
    fires(&forged, "path-forged-reset", &[6, 7]);
    silent(&forged, "connection-reset");
    assert_eq!(forged.the("path-forged-reset").between, Some(["input-0.pcap".into(), "input-1.pcap".into()]));
    // It overtook data on the way; the server's own RST answers that.
    let mut overtaken = Script::default();
    for input in [0, 1] {
        overtaken.input = input;
        let mut flow = overtaken.open();
        overtaken.data(&mut flow, Client, 0, 1, 100);
        let reset = |script: &mut Script, flow: &Flow| script.send(&mut flow.clone(), Client, RST, &[], 0);
        let before = flow.clone();
        if input == 1 {
            reset(&mut overtaken, &before);
        }
        overtaken.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 100, None)], 100);
        if input == 0 {
            reset(&mut overtaken, &before);
        }
        overtaken.send(&mut flow, Server, RST, &[], 0);
    }
    silent(&overtaken, "path-forged-reset");
    // It came from the client; or the client's capture lost it, for all that shows.
    for inputs in [&[0, 1][..], &[0], &[1]] {
        silent(&reset_at(inputs, false), "path-forged-reset");
    }
    for sent in [reset_at(&[0, 1], true), reset_at(&[0, 1], false), reset_at(&[0], true)] {
        silent(&sent, "path-forged-reset");
        fires(&sent, "connection-reset", &[6]);
    }
}

/// A tap on a firewall that shifts sequence numbers shows each packet with both.
#[test]
pub(super) fn a_shift_of_sequence_numbers_is_no_change_of_payload() {
    for shift in [4096, -4096, 0x1234_5678] {
        let mut script = Script::default();
        for input in [0, 1, 2] {
            script.input = input;
            let flow = Flow::new(CLIENT, SERVER);
            let shifted = flow.clone().rewound(Client, shift);
            let mut flows = match input {
                0 => vec![flow],
                1 => vec![flow, shifted],
                _ => vec![shifted],
            };
            let steps: [(Side, u8, Vec<TcpOption<'_>>, usize); 7] = [
                (Client, SYN, vec![capable(1, None, None)], 0),
                (Server, SYN | ACK, vec![capable(1, Some(SERVER_KEY), None)], 0),
                (Client, ACK, vec![capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))], 0),
                (Client, ACK, vec![mapping(Client, 0, 1, 100, None)], 100),
                (Server, ACK, vec![data_ack(Client, 100)], 0),
                (Client, FIN | ACK, vec![], 0),
                (Server, FIN | ACK, vec![], 0),
            ];
            for (side, flags, options, payload) in steps {
                for flow in &mut flows {
                    script.send(flow, side, flags, &options, payload);
                }
            }
        }
        silent(&script, "path-changed-payload");
        silent(&script, "path-translated-addresses");
    }
}

/// A device removes the option of a SYN, and the clock of the capture behind it is behind: that capture comes first.
#[test]
pub(super) fn a_stripped_syn_at_a_clock_that_is_behind() {
    for join in [false, true] {
        let mut script = Script::default();
        let opened = |script: &mut Script, input: u16| {
            script.input = input;
            if join {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
            }
        };
        // Of the join's connection both have seen enough before.
        let first = |script: &mut Script, input: u16| {
            script.input = input;
            let mut flow = if join { Flow::new(CLIENT_2, SERVER) } else { Flow::new(CLIENT, SERVER) };
            let option = if join { flow.join_syn(2, false) } else { capable(1, None, None) };
            script.send(&mut flow, Client, SYN, if input == 0 { std::slice::from_ref(&option) } else { &[] }, 0);
            if input == 0 {
                script.wait(20 * MS);
            }
            script.send(&mut flow, Server, SYN | ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 100);
        };
        for input in [0, 1] {
            opened(&mut script, input);
        }
        for input in [1, 0] {
            first(&mut script, input);
        }
        let syn = if join { 6 } else { 1 };
        fires(&script, "path-stripped-option", &[syn]);
        let between = script.the("path-stripped-option").between;
        assert_eq!(between, Some(["input-0.pcap".into(), "input-1.pcap".into()]));
        let report = script.report();
        assert_eq!(report.connection_count(), 1);
        assert_eq!(report.header().tcp_connections.seen, 1);
    }
    // Another connection of the same ports is another connection.
    let mut script = Script::default();
    for input in [1, 0] {
        script.input = input;
        let mut flow = Flow::new(CLIENT, SERVER).rewound(Client, i32::from(input));
        let option = capable(1, None, None);
        script.send(&mut flow, Client, SYN, if input == 0 { std::slice::from_ref(&option) } else { &[] }, 0);
        script.send(&mut flow, Server, SYN | ACK, &[], 0);
    }
    silent(&script, "path-stripped-option");
}

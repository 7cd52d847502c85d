//! Addresses that are announced.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{self, Client, Server};
use mptcp_inspect::wire::{AddAddr, MptcpOption, TcpOption};

use super::{fires, silent};
use crate::script::*;

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
pub(super) fn addresses() {
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
    assert_eq!(script.the("add-addr-hmac-mismatch").counter, None, "the option is passed over");

    let twice = |second: [u8; 4], port| {
        announced(&[announce(1, there, None, SERVER_KEY), announce(1, second, port, SERVER_KEY)], None)
    };
    fires(&twice([10, 0, 7, 7], None), "address-id-reused", &[4, 5]);
    silent(&twice(there, Some(8443)), "address-id-reused");

    fires(&announced(&[remove(&[9])], None), "remove-addr-hit-nothing", &[4]);
    silent(&announced(&[announce(9, there, None, SERVER_KEY), remove(&[9])], None), "remove-addr-hit-nothing");
}

/// One id, announced with two ports, is removed as a whole.
#[test]
fn an_id_with_two_ports() {
    let with_port = |port| announce(3, SERVER_2.0, Some(port), SERVER_KEY);
    let script = announced(
        &[with_port(8443), with_port(8444), remove(&[3]), announce(3, [10, 0, 7, 7], None, SERVER_KEY)],
        None,
    );
    silent(&script, "address-id-reused");
    let removed: Vec<bool> =
        script.report().connection(0).addresses.iter().map(|address| address.removed.is_some()).collect();
    assert_eq!(removed, [true, true, false]);
}

/// The initial subflow has address id 0 at both ends, which no option tells.
#[test]
fn the_initial_subflow_by_its_id() {
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    script.join(CLIENT_2, SERVER, 2, [false; 2]);
    let removal = script.send(&mut flow, Client, ACK, &[remove(&[0])], 0);
    let reset = script.send(&mut flow, Client, RST | ACK, &[], 0);
    fires(&script, "subflow-reset-by-removal", &[removal, reset]);
    silent(&script, "subflow-reset");

    // Only version 0 names an address id in MP_PRIO (RFC 6824 and RFC 8684 §3.3.8).
    in_both_versions(|version| {
        let mut script = Script::default();
        let mut flow = script.open();
        script.join(CLIENT_2, SERVER, 2, [false; 2]);
        let frame = script.send_raw(&mut flow, Client, ACK, vec![30, 4, 0x51, 0], 0);
        let changes = |subflow: usize| {
            let subflow = script.report().connection(0).subflows[subflow].clone();
            subflow.backup.changes.iter().map(|change| change.frame.id.number).collect::<Vec<_>>()
        };
        let expected = if version == 0 { vec![frame] } else { vec![] };
        assert_eq!((changes(0), changes(1)), (expected, vec![]));
        if version == 0 {
            silent(&script, "option-malformed");
        } else {
            fires(&script, "option-malformed", &[frame]);
        }
    });
}

/// RFC 8684 §3.4.2: the receiver of REMOVE_ADDR closes the subflows that use the address.
#[test]
pub(super) fn a_removed_address_that_is_used() {
    in_both_versions(|_| {
        for (from, wait, again, used) in [
            (Server, 2 * SECOND, false, true),
            // Under way when the REMOVE_ADDR was sent; by the end that gave up the address; announced once more.
            (Server, 0, false, false),
            (Client, 2 * SECOND, false, false),
            (Server, 2 * SECOND, true, false),
        ] {
            let mut script = Script::default();
            let mut first = script.open();
            let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
            let removal = script.send(&mut first, Client, ACK, &[remove(&[2])], 0);
            if again {
                let option =
                    AddAddr { low_nibble: 4, address_id: 2, address: CLIENT_2.0.into(), port: None, hmac: None };
                script.send(&mut first, Client, ACK, &[TcpOption::Mptcp(MptcpOption::AddAddr(option))], 0);
            }
            script.wait(wait);
            let frame = script.data(&mut join, from, 0, 1, 100);
            if used {
                fires(&script, "remove-addr-not-obeyed", &[removal, frame]);
            } else if !again || script.report().connection(0).addresses.len() == 1 {
                silent(&script, "remove-addr-not-obeyed");
            }
        }
    });
}

#[test]
pub(super) fn a_private_address_on_a_public_connection() {
    for (address, private) in [([192, 168, 1, 2], true), ([198, 51, 100, 3], false)] {
        let mut script = Script::default();
        let mut flow = script.open_between(([203, 0, 113, 1], 40000), ([198, 51, 100, 2], 443), 1, 1);
        let frame = script.send(&mut flow, Server, ACK, &[announce(1, address, None, SERVER_KEY)], 0);
        if private {
            fires(&script, "private-address-announced", &[frame]);
            // Whoever joins there has reached it.
            script.join(CLIENT_2, (address, 443), 2, [false; 2]);
            silent(&script, "private-address-announced");
        } else {
            silent(&script, "private-address-announced");
        }
    }
    silent(&announced(&[announce(1, [192, 168, 1, 2], None, SERVER_KEY)], None), "private-address-announced");
}

#[test]
pub(super) fn a_silent_address_that_was_announced() {
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

/// What the kernels of both ends count of addresses, as far as the packets show it.
#[test]
fn counters_of_addresses() {
    let here = || announce(1, SERVER_2.0, None, SERVER_KEY);
    let count = |script: &Script, names: [(Side, &str); 4]| {
        let counters = script.report().kernel_counters(&[]).expect("all is known");
        names.map(|(side, name)| {
            let end = if side == Client { &counters.client } else { &counters.server };
            end.get(format!("MPTcpExt{name}").as_str()).copied().unwrap_or(0)
        })
    };
    let names = [(Server, "AddAddrTx"), (Client, "AddAddr"), (Client, "EchoAddTx"), (Server, "EchoAdd")];
    let mut script = Script::default();
    let mut flow = script.open();
    for echoed in 1..=4 {
        // The echoes get lost, so the server goes on.
        script.send(&mut flow, Server, ACK, &[here()], 0);
        script.send(&mut flow, Client, ACK, &[echo(1, SERVER_2.0, None)], 0);
        let heard = u64::from(echoed == 1);
        assert_eq!(count(&script, names), [echoed, echoed, echoed, heard]);
    }

    // One REMOVE_ADDR with two ids counts twice. That it came shows where the client ends a subflow of one of them.
    let names = [(Server, "RmAddrTx"), (Client, "RmAddr"), (Client, "MPPrioRx"), (Server, "MPPrioTx")];
    for acts in [false, true] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        script.send(&mut flow, Server, ACK, &[remove(&[0, 7])], 0);
        if acts {
            script.send(&mut flow, Client, FIN | ACK, &[], 0);
        }
        script.send(&mut flow, Server, FIN | ACK, &[], 0);
        assert_eq!(count(&script, names), [2, 2 * u64::from(acts), 0, 0]);
    }

    // At the other end's capture they came, or did not.
    for came in [false, true] {
        let mut script = Script::default();
        for input in [0, 1] {
            script.input = input;
            let mut flow = Flow::new(CLIENT, SERVER);
            script.send(&mut flow, Client, SYN, &[capable(1, None, None)], 0);
            // The first input is where the client is: there the answer comes later.
            script.wait(if input == 0 { MS } else { 0 });
            script.send(&mut flow, Server, SYN | ACK, &[capable(1, Some(SERVER_KEY), None)], 0);
            script.send(&mut flow, Client, ACK, &[capable(1, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
            script.data(&mut flow, Client, 0, 1, 100);
            let steers = [remove(&[7]), priority(true)];
            script.send(&mut flow, Client, ACK, if input == 0 || came { &steers } else { &[] }, 0);
        }
        let names = [(Client, "RmAddrTx"), (Server, "RmAddr"), (Client, "MPPrioTx"), (Server, "MPPrioRx")];
        let came = u64::from(came);
        assert_eq!(count(&script, names), [1, came, 1, came]);
    }
}

/// A socket that is closed by the time an announcement comes echoes nothing; nor can the echo be here before a round trip.
#[test]
fn an_announcement_that_comes_after_the_data() {
    for (wait, closed, told) in [(0, false, true), (0, true, false), (SECOND, true, true)] {
        let mut script = Script::default();
        let mut flow = script.open();
        for number in 0..8 {
            script.data(&mut flow, Client, number * 100, number as u32 * 100 + 1, 100);
        }
        script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
        script.wait(wait);
        if closed {
            script.send(&mut flow, Client, ACK, &[data_fin(Client, 800)], 0);
        }
        if told { fires(&script, "address-never-echoed", &[]) } else { silent(&script, "address-never-echoed") }
    }
}

/// What another address had under the same id is no use of the new one.
#[test]
fn an_id_that_another_address_had() {
    let third = [10, 0, 7, 7];
    let mut script = Script::default();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
    script.send(&mut flow, Client, ACK, &[echo(1, SERVER_2.0, None)], 0);
    let mut join = Flow::new(CLIENT, SERVER_2);
    join.server_id = 1;
    let [syn, syn_ack, ack] = [join.join_syn(0, false), join.join_syn_ack(false), join.join_ack()];
    script.send(&mut join, Client, SYN, &[syn], 0);
    script.send(&mut join, Server, SYN | ACK, &[syn_ack], 0);
    script.send(&mut join, Client, ACK, &[ack], 0);
    script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
    silent(&script, "address-never-used");
    script.send(&mut flow, Server, ACK, &[remove(&[1])], 0);
    let again = script.send(&mut flow, Server, ACK, &[announce(1, third, None, SERVER_KEY)], 0);
    script.send(&mut flow, Client, ACK, &[echo(1, third, None)], 0);
    fires(&script, "address-never-used", &[again]);
}

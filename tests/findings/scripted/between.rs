//! What happens between captures at both ends: losses, options in another form, echoes.

use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{self, Client, Server};
use mptcp_inspect::wire::{Dss, Mapping, MptcpOption, RawSequence, TcpOption};

use super::ends::at_both;
use super::{fires, silent};
use crate::script::*;

/// The client's data, with its DSN in 64 bits or in the low 32 of them.
fn mapped(offset: u64, short: bool) -> TcpOption<'static> {
    let number = dsn(Client, offset);
    let dsn = if short { RawSequence::Short(number as u32) } else { RawSequence::Long(number) };
    let mapping = Some(Mapping { dsn, ssn: 1 + offset as u32, len: 100, checksum: None });
    let flags = if short { 0x04 } else { 0x0c };
    TcpOption::Mptcp(MptcpOption::Dss(Dss { flags, reserved: 0, data_ack: None, mapping }))
}

/// The low 32 bits of a DSN say the same; other low bits, or other high ones, do not.
#[test]
pub(super) fn data_sequence_numbers_in_another_form() {
    in_both_versions(|_| {
        for (at_server, note) in
            [((100, true), true), ((100, false), false), ((300, true), false), ((300, false), false)]
        {
            let script = at_both(|script, server| {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
                let (offset, short) = if server { at_server } else { (100, false) };
                let TcpOption::Mptcp(MptcpOption::Dss(mut dss)) = mapped(offset, short) else { return };
                if let Some(mapping) = &mut dss.mapping {
                    mapping.ssn = 101;
                }
                script.send(&mut flow, Client, ACK, &[TcpOption::Mptcp(MptcpOption::Dss(dss))], 100);
                script.send(&mut flow, Server, ACK, &[data_ack(Client, 200)], 0);
            });
            if note {
                fires(&script, "path-shortened-numbers", &[6]);
            } else {
                silent(&script, "path-shortened-numbers");
            }
            assert_eq!(script.ids().contains(&"path-changed-option"), at_server.0 != 100, "{at_server:?}");
        }
    });
}

/// Of several options of one packet, those are named that differ.
#[test]
fn one_option_of_a_packet_that_is_changed() {
    for changed in [false, true] {
        let script = at_both(|script, at_server| {
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let key = if changed && at_server { WRONG_KEY } else { SERVER_KEY };
            script.send(&mut flow, Client, RST | ACK, &[fastclose(key), reason(0)], 0);
        });
        if changed {
            let message = script.the("path-changed-option").message;
            assert!(message.contains("MP_FASTCLOSE") && !message.contains("MP_TCPRST"), "{message}");
        } else {
            silent(&script, "path-changed-option");
        }
    }
}

/// A segment that is sent again and again, and never comes; or comes in the end.
#[test]
fn a_segment_that_never_comes() {
    in_both_versions(|_| {
        for (lost, refused) in [(0, false), (2, false), (3, false), (3, true)] {
            let script = at_both(|script, at_server| {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
                let data = [mapping(Client, 100, 101, 100, None)];
                for copy in 0..3 {
                    let here = !at_server || copy >= lost;
                    let first = copy == 0 || at_server && copy == lost;
                    match (here, first) {
                        (true, true) => script.send(&mut flow, Client, ACK, &data, 100),
                        (true, false) => script.again(&mut flow, Client, ACK, &data, 100),
                        (false, _) => 0,
                    };
                    script.wait(SECOND);
                }
                if lost < 3 {
                    script.send(&mut flow, Server, ACK, &[data_ack(Client, 200)], 0);
                } else if refused {
                    // It came under another 4-tuple, say.
                    script.send(&mut flow, Server, RST, &[], 0);
                }
            });
            if lost == 3 && !refused {
                fires(&script, "path-lost-packets", &[7]);
                let message = script.the("path-lost-packets").message;
                assert!(message.contains("200 B that the client sent again"), "{message}");
            } else {
                silent(&script, "path-lost-packets");
            }
        }
    });
}

/// An echo that names another address is no echo of what was announced, nor is it missing.
#[test]
fn an_echo_of_another_address() {
    for (both, changed) in [(false, false), (false, true), (true, false), (true, true)] {
        let steps = |script: &mut Script, at_server: bool| {
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
            let address = if changed && at_server { [10, 0, 8, 5] } else { SERVER_2.0 };
            script.send(&mut flow, Client, ACK, &[echo(1, address, None)], 0);
            for part in 1..10 {
                script.data(&mut flow, Client, 100 * part, 1 + 100 * part as u32, 100);
            }
        };
        let script = if both {
            at_both(steps)
        } else {
            let mut script = Script::default();
            steps(&mut script, true);
            script
        };
        if changed {
            fires(&script, "address-never-echoed", &[6, 7]);
            let message = script.the("address-never-echoed").message;
            assert!(message.contains("has another address or port"), "{message}");
        } else {
            silent(&script, "address-never-echoed");
        }
    }
}

/// An address that is announced again after it was removed, and one whose id is changed on the way, are what both captures show.
#[test]
fn announcements_that_both_captures_show() {
    for changed in [false, true] {
        let script = at_both(|script, at_server| {
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let id = if changed && !at_server { 7 } else { 1 };
            script.send(&mut flow, Server, ACK, &[announce(id, SERVER_2.0, None, SERVER_KEY)], 0);
            if !changed {
                script.send(&mut flow, Client, ACK, &[echo(1, SERVER_2.0, None)], 0);
                script.send(&mut flow, Server, ACK, &[remove(&[1])], 0);
                script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, None, SERVER_KEY)], 0);
                script.send(&mut flow, Client, ACK, &[echo(1, SERVER_2.0, None)], 0);
            }
        });
        let addresses = script.report().connection(0).addresses;
        let removed: Vec<bool> = addresses.iter().map(|address| address.removed.is_some()).collect();
        assert_eq!(removed, if changed { vec![false] } else { vec![true, false] });
        silent(&script, "address-never-echoed");
    }
}

/// The port of an announcement, as any other part, is told.
#[test]
fn an_announcement_whose_port_is_changed() {
    let script = at_both(|script, at_server| {
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let port = Some(if at_server { 9002 } else { 9258 });
        script.send(&mut flow, Server, ACK, &[announce(1, SERVER_2.0, port, SERVER_KEY)], 0);
    });
    let message = script.the("path-changed-option").message;
    assert!(message.contains("10.0.8.8:9002 (id 1) in frame 2#6 and 10.0.8.8:9258 (id 1) in frame 1#6"), "{message}");
}

/// The client's SYN/ACK is its own SYN's option, in the place of the server's.
#[test]
fn an_answer_in_whose_place_the_question_comes_back() {
    let connection = at_both(|script, at_server| {
        let mut flow = Flow::new(CLIENT, SERVER);
        let (syn, syn_ack, _) = handshake();
        script.send(&mut flow, Client, SYN, &[syn], 0);
        script.send(&mut flow, Server, SYN | ACK, &[if at_server { syn_ack } else { syn }], 0);
        script.send(&mut flow, Client, ACK, &[], 0);
        script.send(&mut flow, Client, ACK, &[], 100);
    });
    let join = at_both(|script, at_server| {
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let mut join = Flow::new(CLIENT_2, SERVER);
        let (syn, syn_ack) = (join.join_syn(1, false), join.join_syn_ack(false));
        script.send(&mut join, Client, SYN, &[syn], 0);
        let answer = if at_server { syn_ack } else { join.join_syn(1, false) };
        script.send(&mut join, Server, SYN | ACK, &[answer], 0);
        script.send(&mut join, Client, RST, &[], 0);
    });
    for script in [connection, join] {
        let message = script.the("path-echoed-option").message;
        assert!(message.contains("put one in the place of the other"), "{message}");
        silent(&script, "path-stripped-option");
    }
}

/// Options of one direction vanish in mid-life: which, both captures tell.
#[test]
fn options_of_one_direction_that_vanish() {
    for side in [Client, Server] {
        let script = at_both(|script, at_server| {
            let mut flow = script.open();
            for part in 0..3 {
                script.data(&mut flow, Client, 100 * part, 1 + 100 * part as u32, 100);
                script.data(&mut flow, Server, 100 * part, 1 + 100 * part as u32, 100);
            }
            // From here on the options of one side get lost; the other notices, and sends none any more.
            let at = |end: Side| (end == Server) == at_server;
            for part in 3..20 {
                let (offset, ssn) = (100 * part, 1 + 100 * part as u32);
                let own = [mapping(side, offset, ssn, 100, None)];
                let kept = at(side) && part == 3;
                script.send(&mut flow, side, ACK, if kept { &own } else { &[] }, 100);
                script.send(&mut flow, side.peer(), ACK, &[], 100);
            }
        });
        let message = script.the("fallback-options-vanished").message;
        assert!(!message.contains("one direction or of both"), "{side:?}: {message}");
    }
}

/// One direction at a router and both at the server: numbers of interfaces of two hosts do not compare.
#[test]
fn interfaces_of_two_hosts() {
    in_both_versions(|_| {
        let mut script = Script::identified(false);
        for input in [0, 1] {
            script.input = input;
            let mut flow = Flow::new(CLIENT, SERVER);
            let (syn, syn_ack, ack) = handshake();
            let data = mapping(Client, 0, 1, 100, None);
            let steps = [
                (Client, SYN, syn, 0),
                (Server, SYN | ACK, syn_ack, 0),
                (Client, ACK, ack, 0),
                (Client, ACK, data, 100),
                (Server, ACK, data_ack(Client, 100), 0),
            ];
            for (side, flags, option, payload) in steps {
                // The router forwards what the client sends to its third interface; the server has two.
                script.cooked = Some(if input == 0 { (3, 4) } else { (2, if side == Server { 4 } else { 0 }) });
                script.send(&mut flow, side, flags, &[option], payload);
                if input == 0 && side == Server {
                    script.forget(script.frame_count() - 1..script.frame_count());
                }
            }
        }
        silent(&script, "wrong-interface");
    });
}

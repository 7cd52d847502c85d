//! One connection captured at both ends: what an end is said to have got is what came there.

use mptcp_inspect::crypto::Nonce;
use mptcp_inspect::model::{Connection, Verdict};
use mptcp_inspect::report::Report;
use mptcp_inspect::track::side::Side::{Client, Server};

use super::{fires, silent};
use crate::script::*;

/// Captures at the client's host and at the server's, each of the same script; the latter is told so.
pub(super) fn at_both(steps: impl Fn(&mut Script, bool)) -> Script {
    let mut script = Script::default();
    for (input, host) in [(0, Client), (1, Server)] {
        script.input = input;
        script.host = Some(host);
        steps(&mut script, host == Server);
    }
    script
}

fn connection(script: &Script) -> Connection {
    script.report().connection(0)
}

/// Only at its own host is a server proven to leave the option out; a router, and a capture of unknown place, prove nothing.
#[test]
fn a_server_that_does_not_answer_the_option() {
    in_both_versions(|_| {
        for (host, ttl, by) in [(Some(Server), 64, Some("server")), (Some(Server), 63, None), (None, 64, None)] {
            let mut script = Script::default();
            for input in [0, 1] {
                script.input = input;
                script.host = if input == 0 { Some(Client) } else { host };
                script.ttl = Some(ttl);
                let mut flow = Flow::new(CLIENT, SERVER);
                script.send(&mut flow, Client, SYN, &[handshake().0], 0);
                // The second capture has the answer sooner.
                script.wait(if input == 1 { -5 * MS } else { 0 });
                script.send(&mut flow, Server, SYN | ACK, &[], 0);
                script.send(&mut flow, Client, ACK, &[], 0);
                script.send(&mut flow, Client, ACK, &[], 100);
            }
            assert_eq!(connection(&script).fallback.expect("a fallback").by, by, "{host:?} {ttl}");
            let message = script.the("fallback-no-option-in-syn-ack").message;
            assert_eq!(message.contains("reached the server"), by.is_some(), "{message}");
            assert_eq!(message.contains("lost beyond both"), by.is_none(), "{message}");
        }
    });
}

/// An option that the path makes void is no option that a server must answer.
#[test]
fn an_option_of_the_syn_that_is_spoiled_on_the_way() {
    in_both_versions(|version| {
        let shown = (version == 0).then_some(CLIENT_KEY);
        let spoiled = |ends: [bool; 2]| {
            at_both(|script, at_server| {
                let mut flow = Flow::new(CLIENT, SERVER);
                let flags = if ends[usize::from(at_server)] { 0x41 } else { 0x01 };
                script.send(&mut flow, Client, SYN, &[capable(flags, shown, None)], 0);
                script.send(&mut flow, Server, SYN | ACK, &[], 0);
                script.send(&mut flow, Client, ACK, &[], 0);
                script.send(&mut flow, Client, ACK, &[], 100);
            })
        };
        let by = |script: &Script| connection(script).fallback.expect("a fallback").by;
        let changed = spoiled([false, true]);
        assert_eq!(by(&changed), Some("path"));
        let message = changed.the("fallback-no-option-in-syn-ack").message;
        assert!(message.contains("on the way, the flags of the SYN's option make it void"), "{message}");
        assert_eq!(by(&spoiled([true, true])), Some("client"));
        assert_eq!(by(&spoiled([false, false])), Some("server"));
    });
}

/// What the server got of a join decides, though the client's capture shows that all was well when it left.
#[test]
fn joins_that_are_spoiled_on_their_way_to_the_server() {
    in_both_versions(|version| {
        for spoiled in ["HMAC", "option", "data", "nothing"] {
            let script = at_both(|script, at_server| {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
                let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 1, [false, false]);
                let mut other = join.clone();
                other.server_nonce = Nonce(8);
                let ack = match (at_server, spoiled) {
                    (true, "HMAC") => vec![other.join_ack()],
                    (true, "option") => vec![],
                    _ => vec![join.join_ack()],
                };
                script.send(&mut join, Client, ACK, &ack, 0);
                if matches!(spoiled, "data" | "nothing") {
                    script.send(&mut join, Server, ACK, &[data_ack(Client, 100)], 0);
                    let dss = mapping(Client, 100, 1, 100, None);
                    let dss = [dss];
                    let bare = at_server && spoiled == "data";
                    script.send(&mut join, Client, ACK, if bare { &[] } else { &dss }, 100);
                }
                if spoiled != "nothing" {
                    let why = [reason(if spoiled == "data" { 6 } else { 1 })];
                    script.send(&mut join, Server, RST | ACK, if version == 0 { &[] } else { &why }, 0);
                }
                script.data(&mut flow, Client, 200, 101, 100);
            });
            let id = match spoiled {
                "HMAC" => "join-hmac-mismatch",
                "option" => "join-ack-without-option",
                _ => "join-data-without-option",
            };
            if spoiled == "nothing" {
                silent(&script, id);
            } else {
                fires(&script, id, &[]);
            }
            assert!(!script.ids().iter().any(|id| id.starts_with("join-refused")), "{spoiled}: {:?}", script.ids());
            assert!(!script.ids().contains(&"subflow-reset-reason-unsupported"), "{spoiled}: {:?}", script.ids());
            let proof = connection(&script).subflows[1].join.as_ref().expect("a join").ack_hmac.clone();
            assert_eq!(matches!(proof, Verdict::Mismatch { .. }), spoiled == "HMAC", "{proof:?}");
        }
    });
}

/// The server's join, whose SYN/ACK the client sent as it should.
#[test]
fn a_join_of_the_server_that_is_spoiled_on_its_way() {
    for wrong in [false, true] {
        let script = at_both(|script, at_server| {
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            // The flow's client is who opens it: here the server of the connection.
            let mut join = Flow::new(SERVER_2, CLIENT_2);
            join.server_nonce = Nonce(9);
            let syn = join.join_syn_to(Client, 2);
            script.host = if at_server { Some(Client) } else { Some(Server) };
            script.send(&mut join, Client, SYN, &[syn], 0);
            let own = join.join_syn_ack_by(Client, false);
            let other = join.join_syn_ack_by(Server, false);
            script.send(&mut join, Server, SYN | ACK, &[if wrong && at_server { other } else { own }], 0);
            script.send(&mut join, Client, RST | ACK, &[reason(1)], 0);
        });
        let proof = connection(&script).subflows[1].join.as_ref().expect("a join").syn_ack_hmac.clone();
        assert_eq!(matches!(proof, Verdict::Mismatch { .. }), wrong, "{proof:?}");
        if wrong {
            fires(&script, "join-hmac-mismatch", &[]);
        } else {
            silent(&script, "join-hmac-mismatch");
        }
    }
}

/// Two segments that came as one have the mapping of the first.
#[test]
fn payload_that_came_without_its_mapping() {
    in_both_versions(|_| {
        for merged in [false, true] {
            let script = at_both(|script, at_server| {
                let mut flow = script.open();
                let first = [mapping(Client, 0, 1, 100, None)];
                if merged && at_server {
                    script.send(&mut flow, Client, ACK, &first, 200);
                } else {
                    script.send(&mut flow, Client, ACK, &first, 100);
                    script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 100, None)], 100);
                }
                script.data(&mut flow, Client, 200, 201, 100);
            });
            if merged {
                fires(&script, "unmapped-payload", &[4]);
            } else {
                silent(&script, "unmapped-payload");
            }
        }
    });
}

/// The receiver of a MP_FASTCLOSE ignores one whose key is not its own any more.
#[test]
fn a_fastclose_whose_key_is_changed_on_the_way() {
    for changed in [false, true] {
        let script = at_both(|script, at_server| {
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let key = if changed && at_server { WRONG_KEY } else { SERVER_KEY };
            script.send(&mut flow, Client, RST | ACK, &[fastclose(key)], 0);
        });
        assert_eq!(connection(&script).close, if changed { "reset" } else { "fastclose" });
        if changed {
            fires(&script, "fastclose-wrong-key", &[6]);
            silent(&script, "fastclose");
        } else {
            silent(&script, "fastclose-wrong-key");
        }
    }
}

/// A MP_FAIL that never came cannot be answered; only the capture where it was sent shows it.
#[test]
fn a_fail_that_gets_lost() {
    in_both_versions(|_| {
        for lost in [false, true] {
            let script = at_both(|script, at_server| {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
                let fail = [fail(dsn(Client, 0)), data_ack(Client, 100)];
                let kept = if lost && !at_server { &fail[1..] } else { &fail[..] };
                script.send(&mut flow, Server, ACK, if lost { kept } else { &fail[1..] }, 0);
                for part in 1..4 {
                    script.data(&mut flow, Client, 100 * part, 1 + 100 * part as u32, 100);
                }
            });
            if lost {
                fires(&script, "mp-fail-unanswered", &[6]);
            } else {
                silent(&script, "mp-fail-unanswered");
            }
        }
    });
}

/// However many RSTs the victim answers with, the one in the server's name that the server's capture lacks is not the server's.
#[test]
fn a_forged_reset_that_is_answered_by_many() {
    in_both_versions(|_| {
        for forged in [false, true] {
            let script = at_both(|script, at_server| {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
                script.data(&mut flow, Server, 0, 1, 100);
                if at_server && forged {
                    script.lost = 1;
                } else {
                    script.send(&mut flow, Server, RST | ACK, &[], 0);
                }
                for part in 1..3 {
                    script.send(
                        &mut flow,
                        Server,
                        ACK,
                        &[mapping(Server, 100 * part, 1 + 100 * part as u32, 100, None)],
                        100,
                    );
                }
                for step in 0..20 {
                    script.send(&mut flow.clone().rewound(Client, -step), Client, RST, &[], 0);
                }
                script.lost = 0;
            });
            if forged {
                fires(&script, "path-forged-reset", &[8, 9]);
                silent(&script, "connection-reset");
            } else {
                silent(&script, "path-forged-reset");
            }
        }
    });
}

/// A host whose socket is gone answers with a RST without ACK, which takes whatever way its routes say, and may overtake the data
/// of that socket: no device sent it.
#[test]
fn a_reset_of_a_socket_that_is_gone() {
    in_both_versions(|_| {
        for with_ack in [false, true] {
            for inputs in [1, 2] {
                let mut script = Script::default();
                // The first input lacks what went another way.
                for input in 0..inputs {
                    script.input = input;
                    let mut flow = script.open();
                    script.data(&mut flow, Client, 0, 1, 100);
                    script.data(&mut flow, Client, 100, 101, 100);
                    if input + 1 == inputs {
                        let flags = if with_ack { RST | ACK } else { RST };
                        script.send(&mut flow.clone().rewound(Client, 100), Client, flags, &[], 0);
                    } else {
                        script.lost = 1;
                    }
                    script.data(&mut flow, Client, 200, 201, 100);
                    script.data(&mut flow, Client, 300, 301, 100);
                    script.lost = 0;
                }
                let id = if inputs == 1 { "subflow-reset-forged" } else { "path-forged-reset" };
                if with_ack {
                    fires(&script, id, &[8]);
                } else {
                    silent(&script, id);
                }
            }
        }
    });
}

/// Announcements, echoes and removals that get lost on their way.
#[test]
fn addresses_whose_signals_get_lost() {
    for lost in ["announcement", "echo", "removal", "nothing"] {
        let script = at_both(|script, at_server| {
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let mut send = |script: &mut Script, side, option, what, at_sender: bool| {
                if at_sender || lost != what {
                    script.send(&mut flow, side, ACK, &[option], 0);
                } else {
                    script.lost += 1;
                }
            };
            let address = SERVER_2.0;
            for _ in 0..2 {
                send(script, Server, announce(1, address, None, SERVER_KEY), "announcement", at_server);
            }
            if lost != "announcement" {
                send(script, Client, echo(1, address, None), "echo", !at_server);
            }
            send(script, Server, remove(&[1]), "removal", at_server);
            for part in 1..12 {
                script.data(&mut flow, Client, 100 * part, 1 + 100 * part as u32, 100);
            }
            script.lost = 0;
        });
        let addresses = connection(&script).addresses;
        assert_eq!(addresses.len(), 1, "{lost}");
        assert_eq!(addresses[0].echoed.is_some(), matches!(lost, "removal" | "nothing"), "{lost}");
        assert!(addresses[0].removed.is_some(), "{lost}");
        let told = |id, text| {
            let message = script.the(id).message;
            assert!(message.contains(text), "{lost}: {message}");
        };
        match lost {
            "announcement" => told("address-never-echoed", "none of that arrived at input-0.pcap"),
            "echo" => told("address-never-echoed", "the client's echo (frame 1#8) got lost on the way back"),
            "removal" => told("path-lost-packets", "The REMOVE_ADDR of id 1 that the server sent"),
            _ => {
                silent(&script, "address-never-echoed");
                silent(&script, "path-lost-packets");
            }
        }
    }
}

/// SYN/ACKs that never reach the client: nothing went on.
#[test]
fn an_answer_that_never_reaches_the_client() {
    in_both_versions(|_| {
        for inputs in [&[false, true][..], &[true]] {
            let mut script = Script::default();
            for (input, &at_server) in inputs.iter().enumerate() {
                script.input = input as u16;
                script.host = Some(if at_server { Server } else { Client });
                let mut flow = Flow::new(CLIENT, SERVER);
                let (syn, syn_ack, _) = handshake();
                script.send(&mut flow, Client, SYN, &[syn], 0);
                for again in 0..3 {
                    if again > 0 {
                        script.again(&mut flow, Client, SYN, &[syn], 0);
                    }
                    if at_server {
                        let send = if again == 0 { Script::send } else { Script::again };
                        send(&mut script, &mut flow, Server, SYN | ACK, &[syn_ack], 0);
                    }
                    script.wait(SECOND);
                }
            }
            if inputs.len() == 2 {
                let message = script.the("connection-unanswered").message;
                assert!(message.contains("The server answered (frame 2#2), and the answer is lost"), "{message}");
                silent(&script, "syn-retransmitted");
            } else {
                let message = script.the("syn-retransmitted").message;
                assert!(message.contains("the client never went on"), "{message}");
            }
        }
    });
}

/// SYNs with the option that no capture farther on shows, and one without that it does.
#[test]
fn syns_whose_option_makes_the_path_drop_them() {
    for dropped in [false, true] {
        let script = at_both(|script, at_server| {
            let mut flow = Flow::new(CLIENT, SERVER);
            let syn = [capable(1, None, None)];
            for again in 0..3 {
                let send = if again == 0 { Script::send } else { Script::again };
                if at_server && dropped {
                    script.wait(10 * MS);
                } else {
                    send(script, &mut flow, Client, SYN, &syn, 0);
                }
                script.wait(SECOND);
            }
            let send = if at_server && dropped { Script::send } else { Script::again };
            send(script, &mut flow, Client, SYN, &[], 0);
            script.send(&mut flow, Server, SYN | ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 100);
        });
        let by = connection(&script).fallback.expect("a fallback").by;
        assert_eq!(by, Some(if dropped { "path" } else { "client" }));
        let message = script.the("fallback-syn-retried-without-option").message;
        assert_eq!(message.contains("input-1.pcap shows none of them"), dropped, "{message}");
    }
}

/// Third ACKs that never reach the server: it refused no complete handshake.
#[test]
fn third_acks_that_get_lost() {
    in_both_versions(|_| {
        for lost in [false, true] {
            let script = at_both(|script, at_server| {
                let mut flow = script.open();
                script.data(&mut flow, Client, 0, 1, 100);
                let (mut join, _) = script.join_answered(CLIENT_2, SERVER, 1, [false, false]);
                for _ in 0..3 {
                    let ack = join.join_ack();
                    if !at_server || !lost {
                        script.send(&mut join, Client, ACK, &[ack], 0);
                    }
                    script.wait(SECOND);
                }
                script.send(&mut join, Server, RST, &[], 0);
                script.data(&mut flow, Client, 100, 101, 100);
            });
            if lost {
                let message = script.the("join-incomplete").message;
                assert!(message.contains("input-1.pcap, which is nearer to the server, shows none"), "{message}");
            }
            let refused = script.ids().iter().any(|id| id.starts_with("join-refused"));
            assert_eq!(refused, !lost, "{:?}", script.ids());
        }
    });
}

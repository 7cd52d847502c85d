//! How paths shared the load, as far as the place of the capture shows it.

use mptcp_inspect::model::{ConnectionFilter, Coupling};
use mptcp_inspect::report::{Report, Selection};
use mptcp_inspect::track::side::Side::{Client, Server};

use super::words::tree_of;
use super::{fires, silent};
use crate::script::*;

/// Two paths captured so that the client's handshakes take this part of their time on its side, in ms; what it sends on the second
/// is lost and sent again, or arrives twice.
fn two_paths(own: i64, others: i64) -> Script {
    let mut script = Script::default();
    let mut flows = [Flow::new(CLIENT, SERVER), Flow::new(CLIENT_2, SERVER)];
    for (number, flow) in flows.iter_mut().enumerate() {
        let (syn, syn_ack, ack) = match number {
            0 => handshake(),
            _ => (flow.join_syn(2, false), flow.join_syn_ack(false), flow.join_ack()),
        };
        script.send(flow, Client, SYN, &[syn], 0);
        script.wait((others - 10) * MS);
        script.send(flow, Server, SYN | ACK, &[syn_ack], 0);
        script.wait((own - 10) * MS);
        script.send(flow, Client, ACK, &[ack], 0);
        script.send(flow, Server, ACK, &[data_ack(Client, 0)], 0);
    }
    let [mut first, mut second] = flows;
    for block in 0..80_u64 {
        let ssn = block as u32 * 1400 + 1;
        script.data(&mut first, Client, block * 2800, ssn, 1400);
        let option = mapping(Client, block * 2800 + 1400, ssn, 1400, None);
        script.send(&mut second, Client, ACK, std::slice::from_ref(&option), 1400);
        if block % 10 == 0 {
            script.again(&mut second, Client, ACK, &[option], 1400);
        }
        script.send(&mut second, Server, ACK, &[data_ack(Client, block * 2800 + 2800)], 0);
    }
    script
}

/// Loss and round-trip time of a path show at its sender only.
#[test]
fn losses_show_near_the_sender() {
    in_both_versions(|version| {
        for (own, others, near) in [(10, 100, true), (100, 10, false), (50, 50, false)] {
            let script = two_paths(own, others);
            let stack = script.report().connection(0).stack;
            let Coupling { subflows, best_path_tcp_bps, estimate, less_congested_got_more, goodput_bps, .. } =
                stack.coupling.client_to_server;
            let told = [subflows[1].loss, subflows[0].loss].map(|loss| loss.is_some());
            assert_eq!(told, [near; 2], "version {version}, {own} of {others} ms");
            assert!(subflows.iter().all(|path| path.rtt_p50_ns.is_some() == near));
            assert_eq!([best_path_tcp_bps.is_some(), estimate.is_some()], [near; 2]);
            assert!(less_congested_got_more.is_none() || near);
            assert!(goodput_bps.is_some(), "what comes shows everywhere");
            assert_eq!(stack.scheduler.client_to_server.rtt_correlation, None, "of two paths it is always 1 or -1");
        }
    });
}

/// Only subflows that are there at the same time are a choice; the finding names data of the one that carried most.
#[test]
fn subflows_one_after_the_other() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let mut first = script.open();
        let mut named = Vec::new();
        for part in 0..3_u64 {
            let client = ([10, 0, 2 + part as u8, 1], 40001 + part as u16);
            let mut join = script.join(client, SERVER, 2 + part as u8, [false; 2]);
            for block in part * 8..part * 8 + 8 {
                named.push(script.data(&mut first, Client, block * 6000, block as u32 * 6000 + 1, 6000));
            }
            script.send(&mut join, Client, FIN | ACK, &[], 0);
            script.send(&mut join, Server, FIN | ACK, &[], 0);
            script.send(&mut join, Client, ACK, &[], 0);
        }
        let message = script.the("one-path-carries-most").message;
        assert!(message.ends_with("although 2 subflows were there."), "{message}");
        fires(&script, "one-path-carries-most", &[named[0], named[23]]);
    });
}

/// `--connection`: what is counted and found is that of the connections that are named.
#[test]
fn one_connection_of_several() {
    in_both_versions(|_| {
        let mut script = Script::default();
        script.open();
        let (mut other, (syn, ..)) = (Flow::new(CLIENT_2, SERVER), handshake());
        script.send(&mut other, Client, SYN, &[syn], 0);
        let number = |number| [ConnectionFilter::Number(number)];
        let report = script.report();
        let counted = |filters: &[ConnectionFilter]| {
            let counters = report.kernel_counters(filters).expect("all is known");
            counters.client.get("MPTcpExtMPCapableSYNTX").copied()
        };
        assert_eq!([counted(&[]), counted(&number(1)), counted(&number(2))], [Some(2), Some(1), Some(1)]);
        assert_eq!(counted(&number(3)), None);

        // A join of another connection, whose token is not in the capture.
        let mut script = Script::default();
        script.join(CLIENT_2, SERVER, 2, [false; 2]);
        let mut join = Flow::new(([10, 0, 3, 1], 40002), SERVER);
        let syn = join.join_syn(3, false);
        script.send(&mut join, Client, SYN, &[syn], 0);
        script.send(&mut join, Server, RST | ACK, &[], 0);
        let report = script.report();
        let token = report.orphans(&|_| true, 9)[0].token.expect("a SYN has it");
        let found = |filters: &[ConnectionFilter]| Selection::new(&report, filters, None).findings(&report).len();
        let filters = [number(1), [ConnectionFilter::Token(token)]];
        assert_eq!([found(&[]), found(&filters[0]), found(&filters[1])], [1, 0, 1]);
    });
}

/// What the capture cut may have asked for MPTCP.
#[test]
fn a_syn_whose_options_were_cut() {
    in_both_versions(|_| {
        for (snaplen, asked) in [(None, Some(1)), (Some(45), None)] {
            let mut script = Script::default();
            script.snaplen = snaplen;
            script.open();
            assert_eq!(script.report().header().tcp_connections.asked_for_mptcp, asked);
            let tree = tree_of(&script);
            assert_eq!(tree.contains("none seen to ask for MPTCP"), asked.is_none(), "{tree}");
            assert!(!tree.contains("none asked"), "{tree}");
        }
    });
}

/// A copy of the SYN/ACK behind the end of its connection ends nothing, and nobody waited for it. While the connection lives, the
/// server sends it again.
#[test]
fn a_syn_ack_that_comes_after_the_end() {
    in_both_versions(|_| {
        for over in [true, false] {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            if over {
                script.send(&mut flow, Client, FIN | ACK, &[data_fin(Client, 100)], 0);
                script.send(&mut flow, Server, FIN | ACK, &[data_fin(Server, 0)], 0);
                script.send(&mut flow, Client, ACK, &[], 0);
            }
            let last = script.frame_count() as u64;
            let before = script.report().connection(0).duration_ns;
            script.wait(SECOND);
            let mut early = Flow::new(CLIENT, SERVER).rewound(Client, -1);
            let syn_ack = handshake().1;
            script.send(&mut early, Server, SYN | ACK, &[syn_ack], 0);
            let connection = script.report().connection(0);
            assert_eq!(connection.duration_ns == before, over);
            assert_eq!(connection.closed.map(|closed| closed.frame.id.number), over.then_some(last));
            if over {
                silent(&script, "syn-retransmitted");
            }
        }
    });
}

/// An end may withdraw an address that it never announced: the tree tells when.
#[test]
fn an_address_that_is_removed_unannounced() {
    in_both_versions(|_| {
        for removed in [true, false] {
            let mut script = Script::default();
            let mut first = script.open();
            script.join(CLIENT_2, SERVER, 2, [false; 2]);
            let frame = script.send(&mut first, Client, ACK, &[remove(if removed { &[2] } else { &[9] })], 0);
            let tree = tree_of(&script);
            assert_eq!(tree.contains(&format!("client removed 10.0.2.1 at frame {frame}\n")), removed, "{tree}");
        }
    });
}

/// Padding in the place of the option proves that the path removed it: there is nothing to ask of the server.
#[test]
fn a_blanked_option_needs_no_advice() {
    in_both_versions(|_| {
        for blanked in [true, false] {
            let mut script = Script::default();
            let (mut flow, (syn, ..)) = (Flow::new(CLIENT, SERVER), handshake());
            script.send(&mut flow, Client, SYN, &[syn], 0);
            script.send_raw(&mut flow, Server, SYN | ACK, if blanked { vec![1; 12] } else { vec![] }, 0);
            script.send(&mut flow, Client, ACK, &[], 0);
            let finding = script.the("fallback-no-option-in-syn-ack");
            assert_eq!(finding.advice.is_none(), blanked, "{}", finding.message);
        }
    });
}

/// What is wrong with an option is said.
#[test]
fn what_is_wrong_with_an_option() {
    in_both_versions(|_| {
        let mut script = Script::default();
        let mut flow = script.open();
        script.send_raw(&mut flow, Client, ACK, vec![30, 3, 0x20], 0);
        let message = script.the("option-malformed").message;
        let expected =
            "The client sent an option DSS that cannot be read: length 3 at option byte 0: DSS needs at least 4";
        assert!(message.starts_with(expected), "{message}");
    });
    in_both_versions(|version| {
        for flags in [ACK, RST | ACK] {
            let mut script = Script::default();
            let mut flow = script.open();
            let frame = script.send(&mut flow, Client, flags, &[reason(1)], 0);
            let place = match (version, flags) {
                (0, _) => ", which version 0 does not have",
                (_, ACK) => " on a segment without RST, where it has no meaning",
                _ => {
                    silent(&script, "option-out-of-place");
                    continue;
                }
            };
            let message = script.the("option-out-of-place").message;
            assert_eq!(message, format!("The client sent MP_TCPRST{place} (frame {frame})."));
        }
    });
}

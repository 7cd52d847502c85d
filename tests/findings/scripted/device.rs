//! A device on the way that was captured on all its interfaces: what it lets through, and what it keeps back.

use mptcp_inspect::track::side::Side::{Client, Server};

use super::{fires, silent};
use crate::script::*;

/// A device with two interfaces; what is captured comes in at the first.
fn device() -> Script {
    let mut script = Script::default();
    (script.apart, script.cooked) = (true, Some((2, 0)));
    script
}

/// What was recorded from frame `from` on, counted from 0, leaves at the other interface.
fn passes(script: &mut Script, from: usize) {
    (from..script.frame_count()).for_each(|frame| script.copy(frame, 1));
}

#[test]
fn a_join_that_comes_in_and_does_not_leave() {
    in_both_versions(|_| {
        for (refused, passed) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut script = device();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            passes(&mut script, 0);
            let before = script.frame_count();
            let mut join = Flow::new(CLIENT_2, SERVER);
            let syn = join.join_syn(2, false);
            let mut frames = vec![script.send(&mut join, Client, SYN, &[syn], 0)];
            if refused {
                frames.push(script.send(&mut join, Server, RST | ACK, &[], 0));
            }
            if passed {
                passes(&mut script, before);
            }
            script.wait(3 * SECOND);
            let told = match (refused, passed) {
                (false, false) => (
                    "join-unanswered",
                    "came in at interface 0:2, and no other interface shows it: the device that was captured drops it",
                ),
                (true, false) => {
                    ("path-forged-reset", "only interface 0:2 shows both: the device that was captured answered")
                }
                (false, true) => ("join-unanswered", "the path or a firewall drops them"),
                (true, true) => ("join-refused-without-reason", "The server answered the SYN"),
            };
            script.data(&mut flow, Client, 100, 101, 100);
            fires(&script, told.0, &frames);
            let found = script.the(told.0);
            assert!(found.message.contains(told.1), "{}", found.message);
            assert_eq!(found.advice.is_none(), !passed, "{found:?}");
            if refused {
                silent(&script, if passed { "path-forged-reset" } else { "join-refused-without-reason" });
            }
        }
    });
}

/// Two SYNs with MP_CAPABLE, and one without that is answered.
#[test]
fn syns_that_are_kept_back_for_their_option() {
    in_both_versions(|_| {
        for passed in [false, true] {
            let mut script = device();
            let mut flow = Flow::new(CLIENT, SERVER);
            let syn = handshake().0;
            let mut frames = vec![script.send(&mut flow, Client, SYN, std::slice::from_ref(&syn), 0)];
            script.wait(SECOND);
            frames.push(script.again(&mut flow, Client, SYN, &[syn], 0));
            let kept = script.frame_count();
            script.wait(SECOND);
            frames.push(script.again(&mut flow, Client, SYN, &[], 0));
            script.send(&mut flow, Server, SYN | ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 0);
            script.send(&mut flow, Client, ACK, &[], 100);
            script.send(&mut flow, Server, ACK, &[], 0);
            passes(&mut script, if passed { 0 } else { kept });
            fires(&script, "fallback-syn-retried-without-option", &frames);
            let found = script.the("fallback-syn-retried-without-option");
            let device =
                "they came in at interface 0:2, and no other interface shows them: the device that was captured drops";
            assert_eq!(found.message.contains(device), !passed, "{}", found.message);
            assert_eq!(found.advice.is_none(), !passed);
        }
    });
}

/// A host's own SYN leaves at one interface: none other has to show it.
#[test]
fn what_a_host_sends_itself_did_not_come_in() {
    let mut script = device();
    let mut flow = script.open();
    script.data(&mut flow, Client, 0, 1, 100);
    passes(&mut script, 0);
    script.cooked = Some((2, 4));
    let mut join = Flow::new(CLIENT_2, SERVER);
    let syn = join.join_syn(2, false);
    script.send(&mut join, Client, SYN, &[syn], 0);
    script.cooked = Some((2, 0));
    script.send(&mut join, Server, RST | ACK, &[], 0);
    silent(&script, "path-forged-reset");
    fires(&script, "join-refused-without-reason", &[]);
}

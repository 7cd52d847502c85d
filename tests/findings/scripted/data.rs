//! Mappings, checksums, and the order of data.

use mptcp_inspect::track::side::Side::{Client, Server};

use super::{fires, silent};
use crate::script::*;

#[test]
pub(super) fn checksums_and_what_was_agreed() {
    for (flags, checksum, fired) in [
        (0x81, None, Some("checksum-absent")),
        (0x01, Some(0x1234), Some("checksum-not-negotiated")),
        (0x01, None, None),
    ] {
        let mut script = Script::default();
        let mut flow = script.open_with(flags, flags);
        let frame = script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, checksum)], 100);
        for id in ["checksum-absent", "checksum-not-negotiated"] {
            if fired == Some(id) { fires(&script, id, &[frame]) } else { silent(&script, id) }
        }
    }
}

#[test]
pub(super) fn mappings() {
    for (offset, conflict) in [(500, true), (0, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        let first = script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
        let second = script.again(&mut flow, Client, ACK, &[mapping(Client, offset, 1, 100, None)], 100);
        if conflict {
            fires(&script, "mapping-conflict", &[first, second]);
        } else {
            silent(&script, "mapping-conflict");
        }
    }
    for (offset, far) in [(1 << 60, true), (100, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, None)], 100);
        let frame = script.send(&mut flow, Server, ACK, &[data_ack(Client, offset)], 0);
        if far { fires(&script, "sequence-out-of-reach", &[frame]) } else { silent(&script, "sequence-out-of-reach") }
    }
    for mapped in [false, true] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.data(&mut join, Client, 100, 1, 100);
        let options = if mapped { vec![mapping(Client, 200, 101, 50, None)] } else { Vec::new() };
        let frame = script.send(&mut join, Client, ACK, &options, 50);
        if mapped { silent(&script, "unmapped-payload") } else { fires(&script, "unmapped-payload", &[frame]) }
    }
}

#[test]
pub(super) fn an_mp_fail_without_answer() {
    for answered in [false, true] {
        let mut script = Script::default();
        let mut first = script.open();
        script.data(&mut first, Client, 0, 1, 100);
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        script.data(&mut join, Client, 100, 1, 100);
        let frame = script.send(&mut join, Server, ACK, &[fail(dsn(Client, 100))], 0);
        if answered {
            script.send(&mut join, Client, ACK, &[fail(dsn(Server, 0))], 0);
        }
        script.data(&mut join, Client, 200, 101, 100);
        if answered { silent(&script, "mp-fail-unanswered") } else { fires(&script, "mp-fail-unanswered", &[frame]) }
    }
}

#[test]
pub(super) fn data_behind_a_slow_path() {
    for (delay, blocked) in [(SECOND, true), (50 * MS, false)] {
        let mut script = Script::default();
        let mut first = script.open();
        let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
        for number in 0..2 {
            let len = 60_000;
            let ssn = number * u32::from(len) + 1;
            script.send(
                &mut first,
                Client,
                ACK,
                &[mapping(Client, 1000 + u64::from(ssn) - 1, ssn, len, None)],
                usize::from(len),
            );
        }
        script.wait(delay);
        let late = script.send(&mut join, Client, ACK, &[mapping(Client, 0, 1, 1000, None)], 1000);
        if blocked {
            fires(&script, "head-of-line-blocking", &[late]);
        } else {
            silent(&script, "head-of-line-blocking");
        }
    }
}

/// The whole mapping again, its last segment again, and a segment that came out of order again.
#[test]
pub(super) fn payload_that_changes_on_a_retransmission() {
    let id = "payload-changed-on-retransmission";
    for (changed, checksum) in [(true, Some(0x1234)), (false, Some(0x1234)), (true, None)] {
        let flags = if checksum.is_some() { 0x81 } else { 0x01 };
        let told = changed && checksum.is_some();
        let open = || {
            let mut script = Script::default();
            let flow = script.open_with(flags, flags);
            (script, flow)
        };
        let check =
            |script: &Script, frames: [u64; 2]| if told { fires(script, id, &frames) } else { silent(script, id) };
        let option = |len| [mapping(Client, 0, 1, len, checksum)];

        let (mut script, mut flow) = open();
        let first = script.send(&mut flow, Client, ACK, &option(100), 100);
        script.salt = u8::from(changed);
        let again = script.again(&mut flow, Client, ACK, &option(100), 100);
        check(&script, [first, again]);

        let (mut script, mut flow) = open();
        script.send(&mut flow, Client, ACK, &option(200), 100);
        let last = script.send(&mut flow, Client, ACK, &option(200), 100);
        script.salt = u8::from(changed);
        let again = script.again(&mut flow, Client, ACK, &option(200), 100);
        check(&script, [last, again]);

        let (mut script, mut flow) = open();
        flow = flow.rewound(Client, -100);
        let early = script.send(&mut flow, Client, ACK, &option(300), 100);
        script.salt = u8::from(changed);
        let again = script.again(&mut flow, Client, ACK, &option(300), 100);
        check(&script, [early, again]);
    }
}

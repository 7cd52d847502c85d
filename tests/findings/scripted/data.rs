//! Mappings, checksums, and the order of data.

use mptcp_inspect::report::Report;
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
    // Behind what was acknowledged, and reaching into it: one too low, in its place, and one that repeats a byte.
    for (offset, ssn, conflict) in [(100, 100, true), (100, 101, false), (99, 100, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let frame = script.data(&mut flow, Client, offset, ssn, 100);
        if conflict { fires(&script, "mapping-conflict", &[frame]) } else { silent(&script, "mapping-conflict") }
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

/// Payload without mapping that options follow, with a DATA_ACK only or bare; and mappings that are too short.
#[test]
pub(super) fn payload_without_mapping() {
    let id = "unmapped-payload";
    for acks_data in [true, false] {
        for (mapped_after, acked, closed) in
            [(true, false, false), (false, true, false), (false, false, true), (true, true, true)]
        {
            let mut script = Script::default();
            let mut flow = script.open();
            script.data(&mut flow, Client, 0, 1, 100);
            let options = if acks_data { vec![data_ack(Server, 0)] } else { Vec::new() };
            let frame = script.send(&mut flow, Client, ACK, &options, 60);
            if mapped_after {
                script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 161, 100, None)], 100);
            }
            if acked {
                script.send(&mut flow, Server, ACK, &[data_ack(Client, 100)], 0);
            }
            if closed {
                script.send(&mut flow, Client, FIN | ACK, &[data_ack(Server, 0)], 0);
            }
            // Nothing but bare payload to the end is a fallback.
            if acks_data || mapped_after || closed {
                fires(&script, id, &[frame]);
                assert!(script.the(id).message.starts_with("60 bytes of the client"));
            }
        }
    }
    for (short, wrong) in [(8, true), (0, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        let mut frames = Vec::new();
        for number in 0..3 {
            let len = 100 - short;
            let option = mapping(Client, number * u64::from(len), number as u32 * 100 + 1, len, None);
            frames.push(script.send(&mut flow, Client, ACK, &[option], 100));
        }
        if wrong { fires(&script, id, &frames[..1]) } else { silent(&script, id) }
    }
    // A join that carries DATA_ACKs and never a mapping.
    let mut script = Script::default();
    script.open();
    let mut join = script.join(CLIENT_2, SERVER, 2, [false; 2]);
    let frame = script.send(&mut join, Client, ACK, &[data_ack(Server, 0)], 60);
    script.send(&mut join, Server, ACK, &[data_ack(Client, 0)], 0);
    fires(&script, id, &[frame]);
}

/// What explains payload without mapping: more is to come, the capture lacks what mapped it, or nobody wants it any more.
#[test]
pub(super) fn payload_whose_mapping_may_be_elsewhere() {
    let id = "unmapped-payload";
    let bare = |script: &mut Script, flow: &mut Flow| script.send(flow, Client, ACK, &[data_ack(Server, 0)], 60);
    let open = || {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        (script, flow)
    };
    // The capture ends before anything follows; and then the mapping follows.
    let (mut script, mut flow) = open();
    bare(&mut script, &mut flow);
    silent(&script, id);
    script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 160, None)], 100);
    script.send(&mut flow, Server, ACK, &[data_ack(Client, 260)], 0);
    silent(&script, id);
    // The segment before, which may have mapped this one, was not captured.
    let (mut script, flow) = open();
    let mut flow = flow.rewound(Client, -100);
    bare(&mut script, &mut flow);
    script.data(&mut flow, Client, 260, 261, 100);
    silent(&script, id);
    // The capture begins in the middle.
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER).rewound(Client, -1);
    script.data(&mut flow, Client, 0, 1, 100);
    bare(&mut script, &mut flow);
    script.data(&mut flow, Client, 160, 161, 100);
    silent(&script, id);
    // Options are cut.
    let (mut script, mut flow) = open();
    bare(&mut script, &mut flow);
    script.snaplen = Some(44);
    script.data(&mut flow, Client, 160, 161, 100);
    silent(&script, id);
    // After an abort.
    for fast in [true, false] {
        let (mut script, mut flow) = open();
        let options = if fast { vec![fastclose(CLIENT_KEY)] } else { Vec::new() };
        script.send(&mut flow.clone(), Server, RST | ACK, &options, 0);
        bare(&mut script, &mut flow);
        script.send(&mut flow, Server, RST | ACK, &[], 0);
        silent(&script, id);
    }
}

/// A mapping and its payload are captured after the acknowledgement of what was sent later.
#[test]
fn a_segment_that_is_captured_late() {
    for checksum in [None, Some(0x1234)] {
        let flags = if checksum.is_some() { 0x81 } else { 0x01 };
        let mut script = Script::default();
        let early = script.open_with(flags, flags);
        let mut flow = early.clone().rewound(Client, -100);
        script.send(&mut flow, Client, ACK, &[mapping(Client, 100, 101, 100, checksum)], 100);
        script.send(&mut flow, Server, ACK, &[data_ack(Client, 200)], 0);
        script.send(&mut early.clone(), Client, ACK, &[mapping(Client, 0, 1, 100, checksum)], 100);
        script.send(&mut flow, Server, ACK, &[data_ack(Client, 200)], 0);
        let sent = script.report().connection(0).directions.client_to_server;
        assert_eq!((sent.bytes, sent.unmapped_bytes, sent.missing_bytes), (Some(200), Some(0), Some(0)));
        assert_eq!(sent.checksums.mismatch, if checksum.is_some() { 2 } else { 0 });
        silent(&script, "unmapped-payload");
    }
}

/// The checksum of a mapping of the payload that a script without salt sends.
pub(super) fn checksum(offset: u64, ssn: u32, len: u16) -> u16 {
    checksum_of(offset, ssn, (0..len).map(|byte| byte as u8))
}

/// The checksum of a mapping of this payload.
fn checksum_of(offset: u64, ssn: u32, payload: impl ExactSizeIterator<Item = u8>) -> u16 {
    let mut bytes = dsn(Client, offset).to_be_bytes().to_vec();
    bytes.extend(ssn.to_be_bytes());
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    let sum: u32 = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded >> 16) + (folded & 0xffff)) as u16
}

/// Only a later checksum that is right, or an infinite mapping in its place, shows that no bytes came or went.
#[test]
fn what_a_wrong_checksum_shows() {
    let right = |offset, ssn| mapping(Client, offset, ssn, 100, Some(checksum(offset, ssn, 100)));
    let infinite = || mapping(Client, 200, 201, 0, Some(0));
    for (removed, after, told) in [
        (0, Some(right(200, 201)), true),
        (3, Some(right(200, 201)), false),
        (0, Some(infinite()), true),
        (3, Some(infinite()), false),
        (0, None, false),
    ] {
        let mut script = Script::default();
        let mut flow = script.open_with(0x81, 0x81);
        script.send(&mut flow, Client, ACK, &[right(0, 1)], 100);
        script.salt = u8::from(removed == 0);
        script.send(&mut flow, Client, ACK, &[right(100, 101)], 100 - removed);
        script.salt = 0;
        if let Some(after) = after {
            script.send(&mut flow, Client, ACK, &[after], 100);
        }
        let message = script.the("checksum-mismatch").message;
        assert_eq!(message.contains("not inserted or removed"), told, "{removed} removed: {message}");
    }
}

/// Whichever segment of a mapping was damaged: sent again in time, it is right.
#[test]
fn a_checksum_is_right_with_what_tcp_sends_again() {
    let payload: Vec<u8> = [0, 1, 2].into_iter().flat_map(|_| 0..100).collect();
    let option = [mapping(Client, 0, 1, 300, Some(checksum_of(0, 1, payload.into_iter())))];
    for damaged in 0..3 {
        for (again, acknowledged, right) in [(true, false, true), (false, false, false), (true, true, false)] {
            let mut script = Script::default();
            let mut flow = script.open_with(0x81, 0x81);
            let mut frames = Vec::new();
            for segment in 0..3 {
                script.salt = u8::from(segment == damaged);
                frames.push(script.send(&mut flow, Client, ACK, &option, 100));
            }
            script.salt = 0;
            if acknowledged {
                script.send(&mut flow, Server, ACK, &[data_ack(Client, 300)], 0);
            }
            if again {
                let mut behind = flow.rewound(Client, 100 * (3 - damaged));
                frames.push(script.send(&mut behind, Client, ACK, &option, 100));
            }
            let sent = script.report().connection(0).directions.client_to_server.checksums;
            assert_eq!((sent.verified, sent.mismatch), (u64::from(right), u64::from(!right)), "{damaged}");
            if right {
                let message = script.the("payload-changed-on-retransmission").message;
                assert!(message.contains("TCP repaired it"), "{message}");
                fires(&script, "payload-changed-on-retransmission", &[frames[damaged as usize], frames[3]]);
                silent(&script, "checksum-mismatch");
            } else {
                script.the("checksum-mismatch");
            }
        }
    }
}

#[test]
pub(super) fn data_behind_a_data_fin() {
    let id = "data-behind-data-fin";
    for (offset, behind) in [(101, true), (100, true), (0, false)] {
        let mut script = Script::default();
        let mut flow = script.open();
        script.data(&mut flow, Client, 0, 1, 100);
        let fin = data_fin(Client, 100);
        let closed = script.send(&mut flow, Client, ACK, &[fin], 0);
        let frame = script.data(&mut flow, Client, offset, 101, 50);
        if behind {
            fires(&script, id, &[closed, frame]);
            assert!(script.the(id).message.contains("mapped 50 bytes"));
        } else {
            silent(&script, id);
        }
        let sent = script.report().connection(0).directions.client_to_server;
        assert_eq!((sent.bytes, sent.missing_bytes), (Some(if behind { 150 } else { 100 }), Some(0)));
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

/// Wrong checksums on two paths: each subflow ends with MP_FAIL, and the kernel counts both.
#[test]
fn an_mp_fail_on_each_path() {
    let mut script = Script::default();
    let mut first = script.open();
    script.data(&mut first, Client, 0, 1, 100);
    let mut joins = [(CLIENT_2, 2), (([10, 0, 3, 1], 40002), 3)]
        .map(|(client, id)| (script.join(client, SERVER, id, [false; 2]), u64::from(id) - 1));
    let mut frames = Vec::new();
    for (join, number) in &mut joins {
        script.data(join, Client, *number * 100, 1, 100);
        frames.push(script.send(join, Server, RST | ACK, &[fail(dsn(Client, *number * 100)), reason(6)], 0));
    }
    script.data(&mut first, Client, 300, 101, 100);
    let found = script.findings();
    for (index, frame) in frames.iter().enumerate() {
        let here = ("mp-fail", Some(index as u64 + 1), vec![*frame]);
        assert!(found.contains(&here), "{here:?} in {found:?}");
    }
    let counters = script.report().kernel_counters(&[]).expect("all is known");
    for (end, name) in [
        (&counters.server, "MPTcpExtMPFailTx"),
        (&counters.server, "MPTcpExtDataCsumErr"),
        (&counters.client, "MPTcpExtMPFailRx"),
    ] {
        assert_eq!(end.get(name), Some(&2), "{name}");
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

/// Segments that a link damages, as their TCP checksums show: their receiver drops them, so they make no DSS checksum wrong, and
/// the last one is no copy of what it got. A device that repairs the TCP checksum is another matter.
#[test]
fn segments_that_tcp_does_not_take() {
    for (mended, damaged, expected) in [
        // Of each mapping: verified, wrong, not checkable.
        (true, [true, false], (2, 0, 0)),
        (true, [true, true], (2, 0, 0)),
        (false, [true, true], (1, 0, 1)),
    ] {
        let mut script = Script::default();
        script.tcp_checksums = true;
        let mut flow = script.open_with(0x81, 0x81);
        let option = |offset: u64| {
            let ssn = 1 + offset as u32;
            let payload = (0..200_u16).map(|byte| (byte % 100) as u8);
            [mapping(Client, offset, ssn, 200, Some(checksum_of(offset, ssn, payload)))]
        };
        for offset in [0, 200] {
            for half in [0, 1] {
                script.send(&mut flow, Client, ACK, &option(offset), 100);
                if offset == 200 && damaged[half] {
                    script.damage();
                }
            }
        }
        if mended {
            flow = flow.rewound(Client, 200);
            for _ in 0..2 {
                script.send(&mut flow, Client, ACK, &option(200), 100);
            }
            // Sent once more for nothing, and damaged.
            script.again(&mut flow, Client, ACK, &option(200), 100);
            script.damage();
        }
        let sent = script.report().connection(0).directions.client_to_server;
        let checksums = &sent.checksums;
        assert_eq!((checksums.verified, checksums.mismatch, checksums.unverifiable), expected, "{mended} {damaged:?}");
        silent(&script, "checksum-mismatch");
    }
}

#[test]
fn payload_that_changes_together_with_its_tcp_checksum() {
    let mut script = Script::default();
    (script.tcp_checksums, script.salt) = (true, 1);
    let mut flow = script.open_with(0x81, 0x81);
    let option = [mapping(Client, 0, 1, 100, Some(checksum(0, 1, 100)))];
    let frame = script.send(&mut flow, Client, ACK, &option, 100);
    fires(&script, "checksum-mismatch", &[frame]);
}

/// The third ACK asks for checksums, as the SYN does not: flag A of one of the two is not what was sent.
#[test]
fn a_third_ack_that_asks_for_checksums() {
    let mut script = Script::default();
    let mut flow = Flow::new(CLIENT, SERVER);
    let (syn, syn_ack, _) = handshake();
    script.send(&mut flow, Client, SYN, &[syn], 0);
    script.send(&mut flow, Server, SYN | ACK, &[syn_ack], 0);
    let ack = script.send(&mut flow, Client, ACK, &[capable(0x81, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
    let frame = script.send(&mut flow, Client, ACK, &[mapping(Client, 0, 1, 100, Some(0x1234))], 100);
    fires(&script, "checksum-not-negotiated", &[frame]);
    let message = script.the("checksum-not-negotiated").message;
    assert!(message.contains(&format!("the third ACK in frame {ack} does")), "{message}");
}

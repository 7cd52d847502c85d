//! The ways that a stream's bytes take.

use std::collections::HashSet;

use mptcp_inspect::extract::stream::{MappingName, Part, Stream};
use mptcp_inspect::packet::TcpFlags;
use mptcp_inspect::track::observer::{Checked, Data, Observer};
use mptcp_inspect::track::side::Side;
use proptest::prelude::*;

use crate::memory::{LIMIT, Memory, finish, memory};
use crate::traffic::{CLIENT_ISN, Packet, SERVER_ISN, handshakes, mapping, plans, track, traffic};

/// What the client sends, reassembled.
#[derive(Default)]
struct Upload {
    stream: Stream,
    sink: Memory,
}

impl Observer for Upload {
    const WANTS_DATA: bool = true;

    fn data(&mut self, data: Data<'_>) {
        assert_eq!((data.number, data.side, data.anchored), (Some(1), Side::Client, true));
        let mapping = data.mapping.map(|(offset, len)| MappingName { subflow: data.subflow, offset, len });
        let Data { offset, bytes, anchored, again, intact, refused, .. } = data;
        let part = Part { offset, bytes, mapping, anchored, again, intact, refused };
        self.stream.insert(part, LIMIT, &mut self.sink);
    }

    fn checked(&mut self, checked: Checked) {
        let mapping = MappingName { subflow: checked.subflow, offset: checked.offset, len: checked.len };
        self.stream.checked(mapping, checked.judgement, LIMIT, &mut self.sink);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// However the bytes are cut, repeated, reordered and spread over subflows: the stream and the report are the same.
    #[test]
    fn streams_do_not_depend_on_how_they_travel(
        mut plans in plans(),
        checksums in any::<bool>(),
        bytes in any::<u64>(),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 0..6),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1..16_usize), 0..40),
    ) {
        if !damages.is_empty() {
            for plan in &mut plans {
                plan.corrupted = None;
            }
        }
        let (mut data, stream) = traffic(&plans, checksums, bytes);
        let mut damaged = HashSet::new();
        let mut halved = false;
        for (at, before, halves) in damages.into_iter().filter(|_| checksums) {
            // Damaged on the way, and sent again by TCP: once in a mapping.
            let at = at.index(data.len());
            let mut packet = data[at].clone();
            if damaged.insert((packet.subflow, packet.options.clone())) {
                packet.payload[0] ^= 0x55;
                let right = data[at].clone();
                data.insert(at + usize::from(!before), packet);
                let half = right.payload.len() / 2;
                if before && halves && half > 0 {
                    halved = true;
                    let seq = right.seq.wrapping_add(half as u32);
                    let second = Packet { seq, payload: right.payload[half..].to_vec(), ..right.clone() };
                    data[at + 1].payload.truncate(half);
                    data.insert(at + 2, second);
                }
            }
        }
        for repeat in repeats {
            let at = repeat.index(data.len());
            let packet = data[at].clone();
            data.insert(at + 1, packet);
        }
        // A copy of a part of a segment cannot be compared with the whole: halves stay behind what they replace.
        for (at, distance) in swaps.into_iter().filter(|_| !halved) {
            let at = at.index(data.len());
            let with = (at + distance).min(data.len() - 1);
            data.swap(at, with);
        }
        let mut packets = handshakes(checksums, 2);
        packets.append(&mut data);
        let mut upload = Upload { sink: memory(), ..Upload::default() };
        let tracker = track(&packets, &mut upload);
        let outcome = finish(upload.stream, Some(stream.len() as i64), &mut upload.sink);
        prop_assert!(upload.sink.bytes == stream, "the stream differs");
        prop_assert_eq!((outcome.holes.bytes, outcome.wrong.bytes), (0, 0));
        let connection = tracker.connection(0).expect("a connection");
        let level = &connection.data.client;
        prop_assert_eq!((level.unique, level.missing()), (stream.len() as u64, 0));
        let corrupted = plans.iter().filter(|plan| checksums && plan.reinjected && plan.corrupted.is_some()).count();
        let copies = plans.iter().filter(|plan| plan.reinjected).count();
        let mappings = if checksums { (plans.len() + copies - corrupted) as u64 } else { 0 };
        let tally = &connection.checksums.client;
        prop_assert_eq!((tally.verified, tally.mismatch, tally.unverifiable()), (mappings, corrupted as u64, 0));
    }
}

/// What comes to an end that has reset the subflow is not what it takes: the copy on another subflow is.
#[test]
fn bytes_on_a_subflow_that_its_receiver_has_reset() {
    for reset in [true, false] {
        let mut packets = handshakes(false, 1);
        packets.append(&mut mapping(0, 1, 0, b"first ", &[], false));
        if reset {
            let seq = SERVER_ISN + 1;
            packets.push(Packet::new(1, false, TcpFlags::RST | TcpFlags::ACK, seq, CLIENT_ISN.wrapping_add(1), None));
        }
        packets.append(&mut mapping(1, 1, 6, b"spoiled", &[], false));
        packets.append(&mut mapping(0, 7, 6, b"the end", &[], false));
        let mut upload = Upload { sink: memory(), ..Upload::default() };
        track(&packets, &mut upload);
        let outcome = finish(upload.stream, Some(13), &mut upload.sink);
        assert_eq!(upload.sink.bytes, if reset { b"first the end" } else { b"first spoiled" });
        assert!(outcome.differing.bytes > 0);
    }
}

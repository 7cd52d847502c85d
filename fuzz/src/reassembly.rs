//! A stream cut into mappings, those into segments, over two subflows, in any order and with repetitions: bytes and checksums
//! must come out as a naive model has them.

use mptcp_inspect::track::observer::{Data, Observer};
use mptcp_inspect::track::side::Side;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::{Dss, MptcpOption, RawSequence};

use super::bytes::Bytes;
use super::world::{ACK, Ends, Packet, SYN};

/// Mappings and segments of a stream at most.
const MAPPINGS: usize = 40;
const SEGMENTS: usize = 200;

/// The stream as an extractor would rebuild it.
#[derive(Default)]
struct Extract {
    bytes: Vec<Option<u8>>,
}

impl Observer for Extract {
    const WANTS_DATA: bool = true;

    fn data(&mut self, data: Data<'_>) {
        if data.side != Side::Client {
            return;
        }
        assert_eq!(data.bytes.len() as u64, data.len, "nothing was cut");
        let start = usize::try_from(data.offset).expect("there are no Fast Open bytes");
        self.bytes.resize(self.bytes.len().max(start + data.bytes.len()), None);
        for (slot, &byte) in self.bytes[start..].iter_mut().zip(data.bytes) {
            assert!(slot.is_none_or(|known| known == byte), "copies are equal");
            *slot = Some(byte);
        }
    }
}

/// One handshake and one join, then the data in the order the input says.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let kinds = bytes.u8();
    let ends = Ends::new(1, kinds & 1, true, kinds & 2 != 0);
    let (mut tracker, mut extract, mut number) = (Tracker::new(Config::default()), Extract::default(), 0);
    let mut send = |packet: &Packet, extract: &mut Extract| {
        number += 1;
        let packet = Packet { ip_id: number as u16, time: number as i64 * 1_000_000, ..packet.clone() };
        packet.feed(number, &mut tracker, extract);
    };
    for packet in handshakes(&ends) {
        send(&packet, &mut extract);
    }
    let (planned, stream_len, mappings, wrong) = plan(&mut bytes, &ends, kinds & 4 != 0);
    let mut left: Vec<&Packet> = planned.iter().collect();
    while !left.is_empty() {
        let choice = usize::from(bytes.u8());
        // The window of what may come next, so that order matters without every segment coming in any place.
        let segment = left[choice % left.len().min(16)];
        send(segment, &mut extract);
        if choice < 0xf0 {
            left.retain(|other| !std::ptr::eq(*other, segment));
        }
        if bytes.is_empty() {
            left.iter().for_each(|segment| send(segment, &mut extract));
            break;
        }
    }
    tracker.finish(&mut extract);
    let connection = tracker.connections().next().expect("one connection");
    let data = &connection.data.client;
    assert_eq!(data.unique, stream_len as u64, "every byte once");
    assert_eq!(data.missing(), 0);
    let found: Vec<u8> = extract.bytes.iter().map(|byte| byte.expect("no hole")).collect();
    let expected: Vec<u8> = (0..stream_len).map(|at| byte_at(at, wrong)).collect();
    assert_eq!(found, expected);
    let tally = &connection.checksums.client;
    let mismatches = u64::from(wrong.is_some());
    assert_eq!((tally.verified, tally.mismatch), (mappings as u64 - mismatches, mismatches), "{tally:?}");
    assert_eq!(tally.unverifiable(), 0, "{tally:?}");
}

fn byte_at(at: usize, wrong: Option<usize>) -> u8 {
    (at as u8).wrapping_mul(37) ^ (at >> 8) as u8 ^ u8::from(wrong == Some(at)) << 3
}

fn handshakes(ends: &Ends) -> Vec<Packet> {
    let mut packets = Vec::new();
    for step in 0..3 {
        packets.push(packet(ends, 0, step).with(&MptcpOption::MpCapable(ends.capable(step))));
    }
    // What the ends have sent proves the IDSN, and DATA_ACKs would follow.
    let ack = RawSequence::Short((ends.idsn(0) as u32).wrapping_add(1));
    for step in 0..4 {
        let packet = packet(ends, 1, step);
        packets.push(match step {
            3 => packet.with(&MptcpOption::Dss(Dss::new(Some(ack), None, false))),
            _ => packet.with(&MptcpOption::MpJoin(ends.join(step, 0, 1))),
        });
    }
    packets
}

/// A packet of a handshake.
fn packet(ends: &Ends, subflow: u8, step: u8) -> Packet {
    let end = usize::from(step % 2 == 1);
    let flags = [SYN, SYN | ACK, ACK, ACK][usize::from(step)];
    let isn = [0xffff_fff0_u32, 77];
    Packet {
        tuple: ends.tuple(end, 0, subflow),
        seq: isn[end].wrapping_add(u32::from(step > 1)),
        ack: if step == 0 { 0 } else { isn[1 - end].wrapping_add(1) },
        flags,
        options: Vec::new(),
        payload: Vec::new(),
        cut: 0,
        time: 0,
        tap: (0, 0),
        ip_id: 0,
    }
}

/// Cuts the stream: segments, its length, the number of mappings, and the byte that is wrong.
fn plan(bytes: &mut Bytes<'_>, ends: &Ends, damaged: bool) -> (Vec<Packet>, usize, usize, Option<usize>) {
    let mut cuts: Vec<(usize, u8)> = Vec::new();
    for _ in 0..1 + usize::from(bytes.u8()) % MAPPINGS {
        let len = bytes.u16();
        cuts.push((1 + usize::from(len & 0x3ff), (len >> 15) as u8));
    }
    let total: usize = cuts.iter().map(|cut| cut.0).sum();
    let wrong = damaged.then(|| usize::from(bytes.u16()) % total);
    let (mut planned, mut at, mut ssn) = (Vec::new(), 0, [1_u32; 2]);
    for &(len, subflow) in &cuts {
        let right: Vec<u8> = (at..at + len).map(|at| byte_at(at, None)).collect();
        let own_ssn = ssn[usize::from(subflow)];
        let dss = MptcpOption::Dss(ends.dss(0, at as u64, own_ssn, &right, false, at % 2 == 0));
        let mut done = 0;
        while done < len {
            let room = if planned.len() < SEGMENTS { 1 + usize::from(bytes.u8()) } else { len };
            let count = room.min(len - done);
            let mut packet = packet(ends, subflow, 2).with(&dss);
            packet.seq = packet.seq.wrapping_add(own_ssn - 1).wrapping_add(done as u32);
            packet.payload = (at + done..at + done + count).map(|at| byte_at(at, wrong)).collect();
            planned.push(packet);
            done += count;
        }
        at += len;
        ssn[usize::from(subflow)] += len as u32;
    }
    (planned, total, cuts.len(), wrong)
}

//! Traffic made by hand.

use std::net::Ipv4Addr;

use mptcp_inspect::crypto::{Key, Nonce, Suite, identify};
use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::packet::options::Parsed;
use mptcp_inspect::packet::{Header, IpPair, Segment, TapHint, TcpChecksum, TcpFlags};
use mptcp_inspect::track::observer::Observer;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::{Dss, Mapping, MpCapable, MpJoin, MptcpOption, RawSequence};
use proptest::prelude::*;

const CLIENT_KEY: Key = Key(*b"client k");
pub(crate) const SERVER_KEY: Key = Key(*b"server k");

/// A segment of the client's, or of the server's to it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) subflow: u16,
    pub(crate) from_client: bool,
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn new(
        subflow: u16,
        from_client: bool,
        flags: u8,
        seq: u32,
        ack: u32,
        option: Option<MptcpOption<'_>>,
    ) -> Self {
        let mut options = Vec::new();
        if let Some(option) = option {
            option.emit(&mut options);
        }
        Self { subflow, from_client, flags, seq, ack, options, payload: Vec::new() }
    }
}

/// Initial sequence numbers: the client's wrap soon.
pub(crate) const CLIENT_ISN: u32 = u32::MAX - 3000;
pub(crate) const SERVER_ISN: u32 = 77;

/// The handshake of a connection's first subflow.
fn opening(subflow: u16, client_key: Key, server_key: Key, checksums: bool) -> Vec<Packet> {
    let capable = |sender_key, receiver_key| {
        let flags = if checksums { 0x81 } else { 0x01 };
        let (data_len, checksum) = (None, None);
        Some(MptcpOption::MpCapable(MpCapable { version: 1, flags, sender_key, receiver_key, data_len, checksum }))
    };
    let (client, server) = (CLIENT_ISN.wrapping_add(1), SERVER_ISN + 1);
    let keys = capable(Some(client_key), Some(server_key));
    vec![
        Packet::new(subflow, true, TcpFlags::SYN, CLIENT_ISN, 0, capable(None, None)),
        Packet::new(subflow, false, TcpFlags::SYN | TcpFlags::ACK, SERVER_ISN, client, capable(Some(server_key), None)),
        Packet::new(subflow, true, TcpFlags::ACK, client, server, keys),
    ]
}

/// Handshakes of a connection and of `joins` more subflows.
pub(crate) fn handshakes(checksums: bool, joins: u16) -> Vec<Packet> {
    let (syn, syn_ack, ack) = (TcpFlags::SYN, TcpFlags::SYN | TcpFlags::ACK, TcpFlags::ACK);
    let (client, server) = (CLIENT_ISN.wrapping_add(1), SERVER_ISN + 1);
    let mut packets = opening(0, CLIENT_KEY, SERVER_KEY, checksums);
    for subflow in 1..=joins {
        let token = identify(Suite::Sha256, SERVER_KEY).token;
        let (backup, reserved, address_id, nonce) = (false, 0, subflow as u8, Nonce(u32::from(subflow)));
        let join = MpJoin::Syn { backup, address_id, token, nonce, reserved };
        let answer = MpJoin::SynAck { backup, address_id: 0, hmac: [0; 8], nonce, reserved };
        packets.push(Packet::new(subflow, true, syn, CLIENT_ISN, 0, Some(MptcpOption::MpJoin(join))));
        packets.push(Packet::new(subflow, false, syn_ack, SERVER_ISN, client, Some(MptcpOption::MpJoin(answer))));
        let proof = MpJoin::Ack { hmac: [0; 20], reserved: 0 };
        packets.push(Packet::new(subflow, true, ack, client, server, Some(MptcpOption::MpJoin(proof))));
    }
    packets
}

/// Data of one mapping: bytes `[offset, offset + payload)` of the stream at relative sequence number `ssn` of a subflow,
/// cut at `cuts`.
pub(crate) fn mapping(
    subflow: u16,
    ssn: u32,
    offset: usize,
    payload: &[u8],
    cuts: &[usize],
    checksums: bool,
) -> Vec<Packet> {
    mapping_by(CLIENT_KEY, subflow, ssn, offset, payload, cuts, checksums)
}

/// As [`mapping`], of the client with this key.
fn mapping_by(
    key: Key,
    subflow: u16,
    ssn: u32,
    offset: usize,
    payload: &[u8],
    cuts: &[usize],
    checksums: bool,
) -> Vec<Packet> {
    let dsn = identify(Suite::Sha256, key).first_dsn().wrapping_add(offset as u64);
    let len = payload.len() as u16;
    let checksum = checksums.then(|| {
        let mut covered = dsn.to_be_bytes().to_vec();
        covered.extend(ssn.to_be_bytes());
        covered.extend(len.to_be_bytes());
        covered.extend([0, 0]);
        covered.extend(payload);
        internet_checksum(&covered)
    });
    let dss = Dss::new(None, Some(Mapping { dsn: RawSequence::Long(dsn), ssn, len, checksum }), false);
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % payload.len()).chain([0, payload.len()]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let segment = |bounds: &[usize]| {
        let seq = CLIENT_ISN.wrapping_add(ssn).wrapping_add(bounds[0] as u32);
        let option = Some(MptcpOption::Dss(dss));
        let payload = payload[bounds[0]..bounds[1]].to_vec();
        Packet { payload, ..Packet::new(subflow, true, TcpFlags::ACK, seq, SERVER_ISN + 1, option) }
    };
    bounds.windows(2).map(segment).collect()
}

/// RFC 1071, word by word.
pub(crate) fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum = words.fold(0, |sum, word| ((sum + word) & 0xffff) + ((sum + word) >> 16));
    !(sum as u16)
}

/// Feeds packets to a tracker as frames of their own.
pub(crate) fn track<O: Observer>(packets: &[Packet], observer: &mut O) -> Tracker {
    let mut tracker = Tracker::new(Config::default());
    for (index, packet) in packets.iter().enumerate() {
        let id = FrameId { number: index as u64 + 1, input: 0 };
        let time = Timestamp(1_000_000_000 + index as i64 * 1000);
        let frame = Frame { id, time, link: LinkType::RAW, interface: 0, data: &[], wire_len: 0 };
        let (client, server) = (Ipv4Addr::new(10, 0, 0, 1).to_bits(), Ipv4Addr::new(10, 0, 0, 2).to_bits());
        let pair = IpPair::V4 { source: client, destination: server };
        let port = 40_000 + packet.subflow;
        let (ip, source_port, destination_port) =
            if packet.from_client { (pair, port, 80) } else { (pair.reversed(), 80, port) };
        let header = Header {
            ip,
            source_port,
            destination_port,
            seq: packet.seq,
            ack: packet.ack,
            flags: TcpFlags(packet.flags),
            window: 1000,
            options_cut: false,
            payload_len: packet.payload.len() as u32,
            payload_sum: None,
            checksum: TcpChecksum::default(),
            ip_id: index as u16 + 1,
            ttl: 64,
            source_routed: false,
            encapsulations: 0,
            tap: TapHint::default(),
        };
        let segment = Segment { header: &header, options: &packet.options, payload: &packet.payload };
        tracker.segment(&frame, &segment, &Parsed::of(&segment).options(&segment), observer);
    }
    tracker.finish(observer);
    tracker
}

/// One mapping's worth of the stream and how it travels.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) len: usize,
    pub(crate) cuts: Vec<usize>,
    pub(crate) subflow: u16,
    /// The same data again on another subflow.
    pub(crate) reinjected: bool,
    /// The first copy of those two has this byte changed.
    pub(crate) corrupted: Option<usize>,
}

pub(crate) fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let cuts = prop::collection::vec(any::<usize>(), 0..6);
    let corrupted = prop::option::weighted(0.3, any::<usize>());
    let plan = (1..6000_usize, cuts, 0..3_u16, any::<bool>(), corrupted).prop_map(|plan| {
        let (len, cuts, subflow, reinjected, corrupted) = plan;
        Plan { len, cuts, subflow, reinjected, corrupted }
    });
    prop::collection::vec(plan, 1..20)
}

/// The data of `plans` over three subflows, and the stream they make up. Without checksums nothing is corrupted.
pub(crate) fn traffic(plans: &[Plan], checksums: bool, bytes: u64) -> (Vec<Packet>, Vec<u8>) {
    let total = plans.iter().map(|plan| plan.len).sum();
    let stream = noise(total, bytes);
    let (mut packets, mut offset, mut next) = (Vec::new(), 0, [1_u32; 3]);
    for plan in plans {
        let payload = &stream[offset..offset + plan.len];
        let other = (plan.subflow + 1) % 3;
        let mut first = mapping(plan.subflow, next[usize::from(plan.subflow)], offset, payload, &plan.cuts, checksums);
        next[usize::from(plan.subflow)] += plan.len as u32;
        let copy = plan.reinjected.then(|| {
            let ssn = next[usize::from(other)];
            next[usize::from(other)] += plan.len as u32;
            mapping(other, ssn, offset, payload, &[], checksums)
        });
        if let (Some(at), true, true) = (plan.corrupted, checksums, plan.reinjected) {
            let packet = at % first.len();
            let byte = at % first[packet].payload.len();
            first[packet].payload[byte] ^= 0x55;
        }
        packets.append(&mut first);
        packets.extend(copy.into_iter().flatten());
        offset += plan.len;
    }
    (packets, stream)
}

/// Bytes without a pattern.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(len)
    .collect()
}

/// Connections at the same time, whose clients send by turns; and what each sends.
pub(crate) fn crowd(connections: u16, turns: usize) -> (Vec<Packet>, Vec<Vec<u8>>) {
    const TURN: usize = 1000;
    let keys = |index: u16| ["client", "server"].map(|who| format!("{who}{index:02}"));
    let [clients, servers] = [0, 1].map(|end| {
        let key = |index| Key(keys(index)[end].as_bytes().try_into().expect("eight bytes"));
        (0..connections).map(key).collect::<Vec<Key>>()
    });
    let streams: Vec<Vec<u8>> =
        (0..connections).map(|index| noise(turns * TURN, 1000 + 2 * u64::from(index))).collect();
    let mut packets = Vec::new();
    for index in 0..connections {
        let at = usize::from(index);
        packets.extend(opening(index, clients[at], servers[at], false));
    }
    for turn in 0..turns {
        for index in 0..connections {
            let (at, offset) = (usize::from(index), turn * TURN);
            let payload = &streams[at][offset..offset + TURN];
            packets.extend(mapping_by(clients[at], index, offset as u32 + 1, offset, payload, &[], false));
        }
    }
    (packets, streams)
}

//! Captures made to measure: MPTCP v1 connections with real keys, HMACs and checksums, the same ones every time.
//!
//! Each connection is a script that Linux could have followed: handshake, a request with MP_CAPABLE, joins, the answer spread
//! over all subflows, DATA_FINs, FINs. Several connections are under way at once, a packet of each in turn. IP and TCP
//! checksums are left 0, as offloading hosts do.
#![allow(dead_code, reason = "each bench uses a part")]

use std::io::{self, Write};

use mptcp_inspect::crypto::auth::{join_ack_hmac, join_syn_ack_hmac};
use mptcp_inspect::crypto::{Identity, Key, Nonce, Suite, identify};
use mptcp_inspect::packet::TcpFlags;
use mptcp_inspect::packet::checksum::{add16, sum16};
use mptcp_inspect::wire::{Dss, Mapping, MpCapable, MpJoin, RawSequence, kind, pad_to_words};

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Connections.
    pub(crate) connections: u32,
    /// Subflows of each, the initial one included; at most 256.
    pub(crate) subflows: u16,
    /// Segments of the answer in each connection.
    pub(crate) segments: u32,
    /// Bytes of payload of each.
    pub(crate) payload: usize,
    /// DSS checksums on everything.
    pub(crate) checksums: bool,
    /// Connections under way at once.
    pub(crate) at_once: u32,
}

/// The file header: nanoseconds, this machine's byte order, link type RAW (IP at once).
const FILE_HEADER: [u32; 6] = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 1 << 18, 101];
/// Nanoseconds between packets.
const STEP: u64 = 2_000;
/// What is sent: any bytes do, if they differ.
static CONTENT: [u8; 1 << 16] = {
    let mut content = [0; 1 << 16];
    let mut state = 1_u32;
    let mut at = 0;
    while at < content.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        content[at] = (state >> 24) as u8;
        at += 1;
    }
    content
};

impl Traffic {
    /// Packets of a whole capture.
    pub(crate) fn packets(&self) -> u64 {
        let joins = u64::from(self.subflows) - 1;
        let each = 5 + 4 * joins + 2 * u64::from(self.segments) + 3 + 3 * (joins + 1);
        each * u64::from(self.connections)
    }

    /// The capture in memory.
    pub(crate) fn capture(self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut maker = Maker::new(self);
        while maker.write_some(&mut out, usize::MAX).is_ok_and(|more| more) {}
        out
    }
}

/// Makes a capture bit by bit.
pub(crate) struct Maker {
    traffic: Traffic,
    under_way: Vec<Conversation>,
    begun: u32,
    turn: usize,
    clock: u64,
    started: bool,
}

impl Maker {
    /// Nothing made yet.
    pub(crate) fn new(traffic: Traffic) -> Self {
        Self { traffic, under_way: Vec::new(), begun: 0, turn: 0, clock: 1_700_000_000_000_000_000, started: false }
    }

    /// Writes up to `packets` packets, the file header before the first; false at the end.
    pub(crate) fn write_some(&mut self, out: &mut impl Write, packets: usize) -> io::Result<bool> {
        if !self.started {
            self.started = true;
            out.write_all(&FILE_HEADER.map(u32::to_ne_bytes).concat())?;
        }
        for _ in 0..packets {
            while self.begun < self.traffic.connections && self.under_way.len() < self.traffic.at_once as usize {
                self.under_way.push(Conversation::new(self.begun, self.traffic));
                self.begun += 1;
            }
            if self.under_way.is_empty() {
                return Ok(false);
            }
            self.turn = if self.turn + 1 < self.under_way.len() { self.turn + 1 } else { 0 };
            let conversation = &mut self.under_way[self.turn];
            self.clock += STEP;
            let packet = conversation.next(self.clock);
            let len = packet.len() as u32;
            let times = [self.clock / 1_000_000_000, self.clock % 1_000_000_000].map(|part| part as u32);
            out.write_all(&[times[0], times[1], len, len].map(u32::to_ne_bytes).concat())?;
            out.write_all(packet)?;
            if conversation.is_over() {
                self.under_way.swap_remove(self.turn);
            }
        }
        Ok(true)
    }
}

/// One end of a connection.
struct End {
    key: Key,
    identity: Identity,
    /// Next data sequence number.
    dsn: u64,
    ip_id: u16,
}

/// One subflow: what each end has sent on it, the SYN counted, and its number of origin.
#[derive(Clone, Copy, Default)]
struct Leg {
    sent: [u32; 2],
    origin: [u32; 2],
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// One connection under way.
struct Conversation {
    number: u32,
    traffic: Traffic,
    ends: [End; 2],
    legs: Vec<Leg>,
    step: u32,
    packet: Vec<u8>,
    options: Vec<u8>,
}

impl Conversation {
    fn new(number: u32, traffic: Traffic) -> Self {
        let end = |side: u64| {
            let key = Key(scramble(u64::from(number) << 1 | side).to_be_bytes());
            let identity = identify(Suite::Sha256, key);
            End { key, identity, dsn: identity.first_dsn(), ip_id: 0 }
        };
        let leg = |index: u16| {
            let seed = u64::from(number) << 16 | u64::from(index) | 1 << 60;
            Leg { sent: [0; 2], origin: [scramble(seed) as u32, scramble(!seed) as u32] }
        };
        let legs = (0..traffic.subflows).map(leg).collect();
        Self { number, traffic, ends: [end(0), end(1)], legs, step: 0, packet: Vec::new(), options: Vec::new() }
    }

    fn joins(&self) -> u32 {
        self.legs.len() as u32 - 1
    }

    fn steps(&self) -> u32 {
        5 + 4 * self.joins() + 2 * self.traffic.segments + 3 + 3 * self.legs.len() as u32
    }

    fn is_over(&self) -> bool {
        self.step >= self.steps()
    }

    /// The next packet, from the IP header on.
    fn next(&mut self, now: u64) -> &[u8] {
        let step = self.step;
        self.step += 1;
        self.options.clear();
        let opened = 5 + 4 * self.joins();
        let answered = opened + 2 * self.traffic.segments;
        if step < 5 {
            self.open(step, now);
        } else if step < opened {
            self.join((step - 5) / 4 + 1, (step - 5) % 4, now);
        } else if step < answered {
            let leg = (step - opened) / 2 % self.legs.len() as u32;
            if (step - opened).is_multiple_of(2) {
                self.data(SERVER, leg, now);
            } else {
                self.acknowledge(CLIENT, leg, now);
            }
        } else if step < answered + 3 {
            self.finish_data(step - answered, now);
        } else {
            let step = step - answered - 3;
            self.finish_leg(step / 3, step % 3, now);
        }
        &self.packet
    }

    /// Handshake of the initial subflow, first data and its acknowledgement (RFC 8684 §3.1).
    fn open(&mut self, step: u32, now: u64) {
        let [client, server] = [self.ends[CLIENT].key, self.ends[SERVER].key];
        let flags = MpCapable::HMAC_ALGORITHM | if self.traffic.checksums { MpCapable::CHECKSUM_REQUIRED } else { 0 };
        let capable = |sender_key, receiver_key| MpCapable {
            version: 1,
            flags,
            sender_key,
            receiver_key,
            data_len: None,
            checksum: None,
        };
        match step {
            0 => {
                self.syn_options(now);
                capable(None, None).emit(&mut self.options);
                self.send(CLIENT, 0, TcpFlags::SYN, 0, now);
            }
            1 => {
                self.syn_options(now);
                capable(Some(server), None).emit(&mut self.options);
                self.send(SERVER, 0, TcpFlags::SYN | TcpFlags::ACK, 0, now);
            }
            2 => {
                self.stamp(now);
                capable(Some(client), Some(server)).emit(&mut self.options);
                self.send(CLIENT, 0, TcpFlags::ACK, 0, now);
            }
            3 => {
                self.stamp(now);
                let len = self.traffic.payload;
                let checksum = self.checksum(CLIENT, 1, len as u16, len);
                let first = MpCapable { data_len: Some(len as u16), checksum, ..capable(Some(client), Some(server)) };
                first.emit(&mut self.options);
                self.send(CLIENT, 0, TcpFlags::ACK | TcpFlags::PSH, len, now);
                self.ends[CLIENT].dsn += len as u64;
            }
            _ => self.acknowledge(SERVER, 0, now),
        }
    }

    /// Handshake of a further subflow (RFC 8684 §3.2).
    fn join(&mut self, leg: u32, step: u32, now: u64) {
        let address_id = leg as u8;
        let seed = u64::from(self.number) << 16 | u64::from(leg) | 1 << 61;
        let [nonce_a, nonce_b] = [Nonce(scramble(seed) as u32), Nonce(scramble(!seed) as u32)];
        let [key_a, key_b] = [self.ends[CLIENT].key, self.ends[SERVER].key];
        match step {
            0 => {
                self.syn_options(now);
                let token = self.ends[SERVER].identity.token;
                MpJoin::Syn { backup: false, address_id, token, nonce: nonce_a, reserved: 0 }.emit(&mut self.options);
                self.send(CLIENT, leg, TcpFlags::SYN, 0, now);
            }
            1 => {
                self.syn_options(now);
                let hmac = join_syn_ack_hmac(Suite::Sha256, key_b, key_a, nonce_b, nonce_a);
                MpJoin::SynAck { backup: false, address_id: 0, hmac, nonce: nonce_b, reserved: 0 }
                    .emit(&mut self.options);
                self.send(SERVER, leg, TcpFlags::SYN | TcpFlags::ACK, 0, now);
            }
            2 => {
                self.stamp(now);
                let hmac = join_ack_hmac(Suite::Sha256, key_a, key_b, nonce_a, nonce_b);
                MpJoin::Ack { hmac, reserved: 0 }.emit(&mut self.options);
                self.send(CLIENT, leg, TcpFlags::ACK, 0, now);
            }
            _ => self.acknowledge(SERVER, leg, now),
        }
    }

    fn data(&mut self, from: usize, leg: u32, now: u64) {
        let len = self.traffic.payload;
        self.stamp(now);
        self.map(from, leg, len as u16, len, false);
        self.send(from, leg, TcpFlags::ACK | TcpFlags::PSH, len, now);
        self.ends[from].dsn += len as u64;
    }

    fn acknowledge(&mut self, from: usize, leg: u32, now: u64) {
        self.stamp(now);
        Dss::new(Some(self.data_ack(from)), None, false).emit(&mut self.options);
        self.send(from, leg, TcpFlags::ACK, 0, now);
    }

    /// DATA_FIN of both ends, without data, and the acknowledgement of the second.
    fn finish_data(&mut self, step: u32, now: u64) {
        let from = if step == 1 { CLIENT } else { SERVER };
        if step == 2 {
            return self.acknowledge(from, 0, now);
        }
        self.stamp(now);
        self.map(from, 0, 1, 0, true);
        self.send(from, 0, TcpFlags::ACK, 0, now);
        self.ends[from].dsn += 1;
    }

    fn finish_leg(&mut self, leg: u32, step: u32, now: u64) {
        let from = if step == 1 { CLIENT } else { SERVER };
        self.stamp(now);
        Dss::new(Some(self.data_ack(from)), None, false).emit(&mut self.options);
        let fin = if step < 2 { TcpFlags::FIN } else { 0 };
        self.send(from, leg, TcpFlags::ACK | fin, 0, now);
    }

    /// Adds a DSS that maps `len` bytes of data to be sent next.
    fn map(&mut self, from: usize, leg: u32, data_len: u16, len: usize, fin: bool) {
        let ssn = if fin { 0 } else { self.legs[leg as usize].sent[from] };
        let checksum = self.checksum(from, ssn, data_len, len);
        let mapping = Mapping { dsn: RawSequence::Long(self.ends[from].dsn), ssn, len: data_len, checksum };
        Dss::new(Some(self.data_ack(from)), Some(mapping), fin).emit(&mut self.options);
    }

    /// RFC 8684 §3.3.1: over DSN, SSN, length, a zero, and the payload.
    fn checksum(&self, from: usize, ssn: u32, data_len: u16, len: usize) -> Option<u16> {
        self.traffic.checksums.then(|| {
            let dsn = self.ends[from].dsn.to_be_bytes();
            let header = [&dsn[..], &ssn.to_be_bytes(), &data_len.to_be_bytes()].map(sum16);
            !header.into_iter().fold(sum16(&CONTENT[..len]), add16)
        })
    }

    fn data_ack(&self, from: usize) -> RawSequence {
        RawSequence::Long(self.ends[1 - from].dsn)
    }

    fn stamp(&mut self, now: u64) {
        let clock = ((now / 1_000_000) as u32).to_be_bytes();
        self.options.extend_from_slice(&[kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10]);
        self.options.extend_from_slice(&clock);
        self.options.extend_from_slice(&clock);
    }

    fn syn_options(&mut self, now: u64) {
        self.options.extend_from_slice(&[2, 4, 0x05, 0xb4, 4, 2, kind::TIMESTAMPS, 10]);
        self.options.extend_from_slice(&((now / 1_000_000) as u32).to_be_bytes());
        self.options.extend_from_slice(&[0, 0, 0, 0, kind::NO_OPERATION, 3, 3, 7]);
    }

    /// Makes the packet with the options gathered.
    fn send(&mut self, from: usize, leg: u32, flags: u8, len: usize, _now: u64) {
        pad_to_words(&mut self.options);
        let end = &mut self.ends[from];
        end.ip_id = end.ip_id.wrapping_add(1).max(1);
        let ends = [
            ([10, leg as u8, (self.number / 50_000) as u8, 1], 10_000 + (self.number % 50_000) as u16),
            ([192, 0, 2, 1], 443),
        ];
        let (source, destination) = (ends[from], ends[1 - from]);
        let sent = &mut self.legs[leg as usize];
        let seq = sent.origin[from].wrapping_add(sent.sent[from]);
        let acked = sent.origin[1 - from].wrapping_add(sent.sent[1 - from]);
        let ack = if flags & TcpFlags::ACK == 0 { 0 } else { acked };
        let takes_one = u32::from(flags & (TcpFlags::SYN | TcpFlags::FIN) != 0);
        sent.sent[from] = sent.sent[from].wrapping_add(len as u32 + takes_one);
        let tcp_header = 20 + self.options.len();
        let total = (20 + tcp_header + len) as u16;
        let packet = &mut self.packet;
        packet.clear();
        packet.extend_from_slice(&[0x45, 0]);
        packet.extend_from_slice(&total.to_be_bytes());
        packet.extend_from_slice(&end.ip_id.to_be_bytes());
        packet.extend_from_slice(&[0x40, 0, 64, 6, 0, 0]);
        packet.extend_from_slice(&source.0);
        packet.extend_from_slice(&destination.0);
        packet.extend_from_slice(&source.1.to_be_bytes());
        packet.extend_from_slice(&destination.1.to_be_bytes());
        packet.extend_from_slice(&seq.to_be_bytes());
        packet.extend_from_slice(&ack.to_be_bytes());
        packet.extend_from_slice(&[(tcp_header << 2) as u8, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(&self.options);
        packet.extend_from_slice(&CONTENT[..len]);
    }
}

/// Numbers without pattern, from numbers with one (Steele, Lea, Flood: SplitMix64).
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

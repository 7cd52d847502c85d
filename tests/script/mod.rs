//! A tiny scripted builder: connections written down segment by segment, and read by the real decoder, tracker and rules.

mod options;

use std::cell::Cell;

use mptcp_inspect::capture::{InputInfo, Kind};
use mptcp_inspect::crypto::auth::{join_ack_hmac, join_syn_ack_hmac};
use mptcp_inspect::crypto::{Key, Nonce, identify};
use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::model::Finding;
use mptcp_inspect::packet::Decoder;
use mptcp_inspect::report::{Report, TrackedReport};
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::side::Side;
use mptcp_inspect::track::{Compare, Config, Tracker};
use mptcp_inspect::wire::{MpJoin, MptcpOption, TcpOption, pad_to_words};
pub(crate) use options::*;
use options::{index, suite};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const MS: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1000 * MS;

pub(crate) const CLIENT_KEY: Key = Key([0xc1, 2, 3, 4, 5, 6, 7, 8]);
pub(crate) const SERVER_KEY: Key = Key([0x5e, 7, 6, 5, 4, 3, 2, 1]);
pub(crate) const WRONG_KEY: Key = Key([0xee; 8]);

type Address = ([u8; 4], u16);

pub(crate) const CLIENT: Address = ([10, 0, 1, 1], 40000);
pub(crate) const SERVER: Address = ([10, 0, 9, 9], 443);
pub(crate) const CLIENT_2: Address = ([10, 0, 2, 1], 40001);
pub(crate) const SERVER_2: Address = ([10, 0, 8, 8], 443);

/// A TCP connection under way: its ends, and the next sequence number of each.
#[derive(Clone)]
pub(crate) struct Flow {
    client: Address,
    server: Address,
    next: [u32; 2],
    nonce: u32,
    /// The nonce in a join's SYN/ACK.
    pub(crate) server_nonce: Nonce,
    /// The address id in it.
    pub(crate) server_id: u8,
}

/// Frames as they were recorded.
#[derive(Default)]
pub(crate) struct Script {
    frames: Vec<(i64, u16, u16, LinkType, Vec<u8>)>,
    now: i64,
    pub(crate) input: u16,
    pub(crate) interface: u16,
    /// Interface index and packet type of a cooked header (SLL2) before the packet.
    pub(crate) cooked: Option<(u32, u8)>,
    /// The interfaces of the only input are told apart.
    pub(crate) apart: bool,
    /// The end whose host captures: what it sends leaves, the rest comes in, as a cooked header (SLL2) tells.
    pub(crate) host: Option<Side>,
    /// TTL of what is sent; 64 unless told.
    pub(crate) ttl: Option<u8>,
    /// Packets that this input did not get, so far.
    pub(crate) lost: u16,
    /// TCP checksums are filled in; else they are 0, as where an interface does that.
    pub(crate) tcp_checksums: bool,
    /// IPv4 identifications are 0, as IPv6 has none.
    pub(crate) no_ip_id: bool,
    /// What makes payload differ from that of other segments.
    pub(crate) salt: u8,
    /// Bytes captured of each frame; all unless told.
    pub(crate) snaplen: Option<usize>,
}

/// A finding as the report has it: id, subflow, frame numbers.
pub(crate) type Seen = (&'static str, Option<u64>, Vec<u64>);

thread_local! {
    /// The version that the connections of this test's thread speak.
    static VERSION: Cell<u8> = const { Cell::new(1) };
}

/// The same test with connections of version 0, and with those of version 1.
pub(crate) fn in_both_versions(test: impl Fn(u8)) {
    for version in [0, 1] {
        VERSION.set(version);
        test(version);
    }
}

/// The TCP checksum of an IPv4 packet without options (RFC 9293 §3.1), word by word.
fn fill_in_checksum(packet: &mut [u8]) {
    let tcp = packet[20..].to_vec();
    let pseudo = [&packet[12..20], &[0, 6], &(tcp.len() as u16).to_be_bytes()].concat();
    let words = [pseudo, tcp].concat();
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum = words.chunks(2).map(word).fold(0, |sum, word| ((sum + word) & 0xffff) + ((sum + word) >> 16));
    packet[36..38].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

impl Flow {
    pub(crate) fn new(client: Address, server: Address) -> Self {
        Self { client, server, next: [1000, 5000], nonce: u32::from(client.1), server_nonce: Nonce(7), server_id: 0 }
    }

    /// The flow as it was `bytes` of `side` ago.
    pub(crate) fn rewound(mut self, side: Side, bytes: i32) -> Self {
        self.next[index(side)] = self.next[index(side)].wrapping_add(bytes.wrapping_neg() as u32);
        self
    }

    /// The same before the server has sent anything.
    pub(crate) fn unanswered(mut self) -> Self {
        self.next[index(Side::Server)] = 0;
        self
    }

    fn token_of(side: Side) -> mptcp_inspect::crypto::Token {
        identify(suite(), key_of(side)).token
    }

    /// MP_JOIN of the SYN.
    pub(crate) fn join_syn(&self, address_id: u8, backup: bool) -> TcpOption<'static> {
        self.syn_to(Side::Server, address_id, backup)
    }

    /// MP_JOIN of a SYN that joins this end.
    pub(crate) fn join_syn_to(&self, joined: Side, address_id: u8) -> TcpOption<'static> {
        self.syn_to(joined, address_id, false)
    }

    fn syn_to(&self, joined: Side, address_id: u8, backup: bool) -> TcpOption<'static> {
        let (token, nonce) = (Self::token_of(joined), Nonce(self.nonce));
        TcpOption::Mptcp(MptcpOption::MpJoin(MpJoin::Syn { backup, address_id, token, nonce, reserved: 0 }))
    }

    /// MP_JOIN of the SYN/ACK.
    pub(crate) fn join_syn_ack(&self, backup: bool) -> TcpOption<'static> {
        self.join_syn_ack_by(Side::Server, backup)
    }

    /// MP_JOIN of the SYN/ACK with which this end answers.
    pub(crate) fn join_syn_ack_by(&self, joined: Side, backup: bool) -> TcpOption<'static> {
        let (own, other) = (key_of(joined), key_of(joined.peer()));
        let hmac = join_syn_ack_hmac(suite(), own, other, self.server_nonce, Nonce(self.nonce));
        TcpOption::Mptcp(MptcpOption::MpJoin(MpJoin::SynAck {
            backup,
            address_id: self.server_id,
            hmac,
            nonce: self.server_nonce,
            reserved: 0,
        }))
    }

    /// MP_JOIN of the third ACK.
    pub(crate) fn join_ack(&self) -> TcpOption<'static> {
        let hmac = join_ack_hmac(suite(), CLIENT_KEY, SERVER_KEY, Nonce(self.nonce), self.server_nonce);
        TcpOption::Mptcp(MptcpOption::MpJoin(MpJoin::Ack { hmac, reserved: 0 }))
    }
}

impl Script {
    /// One that is captured where packets have this TTL.
    pub(crate) fn at_ttl(ttl: u8) -> Self {
        Self { ttl: Some(ttl), ..Self::default() }
    }

    /// One whose packets have IPv4 identifications or not.
    pub(crate) fn identified(ip_id: bool) -> Self {
        Self { no_ip_id: !ip_id, ..Self::default() }
    }

    pub(crate) fn wait(&mut self, nanos: i64) {
        self.now += nanos;
    }

    /// One segment of `side`, 10 ms after the last (third ACKs 5: as it is where the client is captured); gives its frame number in its input.
    pub(crate) fn send(
        &mut self,
        flow: &mut Flow,
        side: Side,
        flags: u8,
        options: &[TcpOption<'_>],
        payload: usize,
    ) -> u64 {
        let mut bytes = Vec::new();
        for option in options {
            option.emit(&mut bytes);
        }
        self.send_raw(flow, side, flags, bytes, payload)
    }

    pub(crate) fn send_raw(
        &mut self,
        flow: &mut Flow,
        side: Side,
        flags: u8,
        mut options: Vec<u8>,
        payload: usize,
    ) -> u64 {
        self.now += 10 * MS;
        // The same packet has the same identification at each input: here, the one with the same number there.
        let number = self.frames.iter().filter(|frame| frame.1 == self.input).count() as u16 + 1;
        let ip_id = if self.no_ip_id { 0 } else { number + self.lost };
        pad_to_words(&mut options);
        let (from, to) = if side == Side::Client { (flow.client, flow.server) } else { (flow.server, flow.client) };
        let (seq, ack) = (flow.next[index(side)], flow.next[index(side.peer())]);
        let total = (40 + options.len() + payload) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.extend(ip_id.to_be_bytes());
        packet.extend([0x40, 0, self.ttl.unwrap_or(64), 6, 0, 0]);
        packet.extend(from.0);
        packet.extend(to.0);
        packet.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
        packet.extend(seq.to_be_bytes());
        packet.extend(if flags & ACK == 0 { 0 } else { ack }.to_be_bytes());
        packet.extend([((20 + options.len()) as u8 / 4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(options);
        packet.extend((0..payload).map(|byte| byte as u8 ^ self.salt));
        if self.tcp_checksums {
            fill_in_checksum(&mut packet);
        }
        flow.next[index(side)] = seq.wrapping_add(payload as u32 + u32::from(flags & (SYN | FIN) != 0));
        let by_host = self.host.map(|host| (2, if host == side { 4 } else { 0 }));
        let link = match by_host.or(self.cooked) {
            Some((index, packet_type)) => {
                let mut header = vec![0x08, 0, 0, 0];
                header.extend(index.to_be_bytes());
                header.extend([0, 1, packet_type, 6]);
                header.extend([0; 8]);
                packet.splice(0..0, header);
                LinkType::LINUX_SLL2
            }
            None => LinkType::RAW,
        };
        self.frames.push((self.now, self.input, self.interface, link, packet));
        self.frames.iter().filter(|frame| frame.1 == self.input).count() as u64
    }

    /// A byte of the payload recorded last changes on the way, and no checksum with it.
    pub(crate) fn damage(&mut self) {
        let (.., packet) = self.frames.last_mut().expect("a packet");
        *packet.last_mut().expect("payload") ^= 0x10;
    }

    /// 10.0.0.254 answers the packet recorded last with ICMP: destination unreachable, with this code (RFC 792). Gives the frame.
    pub(crate) fn unreachable(&mut self, code: u8) -> u64 {
        let (time, input, interface, link, packet) = self.frames.last().expect("a packet").clone();
        let mut icmp = vec![0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 254];
        icmp.extend(&packet[12..16]);
        icmp.extend([3, code, 0, 0, 0, 0, 0, 0]);
        icmp.extend(&packet[..28]);
        self.frames.push((time + MS, input, interface, link, icmp));
        self.frames.iter().filter(|frame| frame.1 == input).count() as u64
    }

    /// The packet that was recorded as number `index`, from 0, shows once more, on another interface.
    pub(crate) fn copy(&mut self, index: usize, interface: u16) {
        let (_, input, _, link, packet) = self.frames[index].clone();
        self.frames.push((self.now, input, interface, link, packet));
    }

    /// The packet that was recorded last shows on another interface, too, behind a device that puts `to` in the place of the
    /// client's address `from`. What the server sends passes there first.
    pub(crate) fn translated(&mut self, interface: u16, from: Address, to: Address) {
        let here = self.frames.last().expect("a packet").clone();
        let mut there = (here.0, here.1, interface, here.3, here.4.clone());
        let from_client = here.4[12..16] == from.0;
        let (address, port) = if from_client { (12, 20) } else { (16, 22) };
        there.4[address..address + 4].copy_from_slice(&to.0);
        there.4[port..port + 2].copy_from_slice(&to.1.to_be_bytes());
        self.frames.insert(self.frames.len() - usize::from(!from_client), there);
    }

    /// Frames so far.
    pub(crate) fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// The capture is cut: its frames from `at` on are those of another input, and so are copies of `overlap` frames before.
    pub(crate) fn cut(&mut self, at: usize, overlap: usize, [before, behind]: [u16; 2]) {
        let frames = std::mem::take(&mut self.frames);
        for (index, mut frame) in frames.into_iter().enumerate() {
            frame.1 = if index < at { before } else { behind };
            if (at.saturating_sub(overlap)..at).contains(&index) {
                self.frames.extend([frame.clone(), (frame.0, behind, frame.2, frame.3, frame.4)]);
            } else {
                self.frames.push(frame);
            }
        }
    }

    /// These frames were not recorded.
    pub(crate) fn forget(&mut self, frames: std::ops::Range<usize>) {
        self.frames.drain(frames);
    }

    /// The capture of an input ended behind so many of its frames.
    pub(crate) fn forget_input_behind(&mut self, input: u16, frames: usize) {
        let mut left = frames;
        self.frames.retain(|frame| {
            let own = frame.1 == input;
            let kept = !own || left > 0;
            left -= usize::from(own && left > 0);
            kept
        });
    }

    /// The segment that was sent last is sent again.
    pub(crate) fn again(
        &mut self,
        flow: &mut Flow,
        side: Side,
        flags: u8,
        options: &[TcpOption<'_>],
        payload: usize,
    ) -> u64 {
        let back = payload as u32 + u32::from(flags & (SYN | FIN) != 0);
        flow.next[index(side)] = flow.next[index(side)].wrapping_sub(back);
        self.send(flow, side, flags, options, payload)
    }

    /// The handshake of a first subflow, with these flags in SYN and SYN/ACK.
    pub(crate) fn open_with(&mut self, client: u8, server: u8) -> Flow {
        self.open_between(CLIENT, SERVER, client, server)
    }

    pub(crate) fn open_between(
        &mut self,
        client: Address,
        server: Address,
        client_flags: u8,
        server_flags: u8,
    ) -> Flow {
        let mut flow = Flow::new(client, server);
        // In version 0 the SYN has the client's key.
        let shown = (VERSION.get() == 0).then_some(CLIENT_KEY);
        self.send(
            &mut flow,
            Side::Client,
            SYN,
            &[TcpOption::MaximumSegmentSize(1460), capable(client_flags, shown, None)],
            0,
        );
        self.send(
            &mut flow,
            Side::Server,
            SYN | ACK,
            &[TcpOption::MaximumSegmentSize(1460), capable(server_flags, Some(SERVER_KEY), None)],
            0,
        );
        let flags = client_flags | (server_flags & 0x80);
        self.now -= 5 * MS;
        self.send(&mut flow, Side::Client, ACK, &[capable(flags, Some(CLIENT_KEY), Some(SERVER_KEY))], 0);
        flow
    }

    pub(crate) fn open(&mut self) -> Flow {
        self.open_with(0x01, 0x01)
    }

    /// A connection that has fallen back in its SYN/ACK.
    pub(crate) fn open_plain(&mut self, client: Address, server: Address) {
        let mut flow = Flow::new(client, server);
        self.send(&mut flow, Side::Client, SYN, &[capable(1, None, None)], 0);
        self.send(&mut flow, Side::Server, SYN | ACK, &[], 0);
        self.send(&mut flow, Side::Client, ACK, &[], 0);
    }

    /// Mapped data, and the peer's DATA_ACK.
    pub(crate) fn data(&mut self, flow: &mut Flow, side: Side, offset: u64, ssn: u32, len: u16) -> u64 {
        let frame = self.send(flow, side, ACK, &[mapping(side, offset, ssn, len, None)], usize::from(len));
        self.send(flow, side.peer(), ACK, &[data_ack(side, offset + u64::from(len))], 0);
        frame
    }

    /// A capture of the client's packets alone: its handshake, and 100 bytes.
    pub(crate) fn open_one_way(&mut self) -> Flow {
        let mut flow = Flow::new(CLIENT, SERVER);
        let (syn, _, ack) = handshake();
        self.send(&mut flow, Side::Client, SYN, &[syn], 0);
        self.send(&mut flow, Side::Client, ACK, &[ack], 0);
        self.send(&mut flow, Side::Client, ACK, &[mapping(Side::Client, 0, 1, 100, None)], 100);
        flow
    }

    /// SYN and SYN/ACK of a join, and the frame of the latter.
    pub(crate) fn join_answered(&mut self, client: Address, server: Address, id: u8, backup: [bool; 2]) -> (Flow, u64) {
        let mut flow = Flow::new(client, server);
        let (syn, syn_ack) = (flow.join_syn(id, backup[0]), flow.join_syn_ack(backup[1]));
        self.send(&mut flow, Side::Client, SYN, &[syn], 0);
        let frame = self.send(&mut flow, Side::Server, SYN | ACK, &[syn_ack], 0);
        (flow, frame)
    }

    /// A whole join, and the answer that confirms it.
    pub(crate) fn join(&mut self, client: Address, server: Address, id: u8, backup: [bool; 2]) -> Flow {
        let (mut flow, _) = self.join_answered(client, server, id, backup);
        let ack = flow.join_ack();
        self.now -= 5 * MS;
        self.send(&mut flow, Side::Client, ACK, &[ack], 0);
        self.send(&mut flow, Side::Server, ACK, &[data_ack(Side::Client, 0)], 0);
        flow
    }

    /// All findings, of connections first.
    pub(crate) fn found(&self) -> Vec<Finding> {
        let report = self.report();
        let of_connections = (0..report.connection_count()).flat_map(|index| report.connection(index).findings);
        of_connections.chain(report.findings()).collect()
    }

    /// The report of all.
    pub(crate) fn report(&self) -> TrackedReport {
        let inputs = self.frames.iter().map(|frame| frame.1).max().unwrap_or(0) + 1;
        let compare = match (inputs, self.apart) {
            (1, false) => Compare::Nothing,
            (1, true) => Compare::Interfaces,
            _ => Compare::Inputs,
        };
        let mut tracker = Tracker::new(Config { compare, ..Config::default() });
        let mut decoder = Decoder::new();
        let mut numbers = vec![0; usize::from(inputs)];
        let mut left = vec![0; usize::from(inputs)];
        self.frames.iter().for_each(|frame| left[usize::from(frame.1)] += 1);
        for (time, input, interface, link, data) in &self.frames {
            let number = &mut numbers[usize::from(*input)];
            *number += 1;
            let frame = Frame {
                id: FrameId { number: *number, input: *input },
                time: Timestamp(*time),
                link: *link,
                interface: *interface,
                data: &data[..self.snaplen.unwrap_or(data.len()).min(data.len())],
                wire_len: data.len() as u32,
            };
            let decoded = decoder.decode(&frame);
            tracker.frame(&frame, &decoded, &mut Silent);
            left[usize::from(*input)] -= 1;
            if left[usize::from(*input)] == 0 {
                tracker.input_ended(*input);
            }
        }
        tracker.finish(&mut Silent);
        let info = |input: u16| InputInfo {
            name: format!("input-{input}.pcap"),
            kind: Kind::Pcap,
            interfaces: Vec::new(),
            packets: numbers[usize::from(input)],
            cut_after: None,
            dropped: None,
            bytes_read: 0,
            bytes_total: None,
        };
        TrackedReport::new(tracker, (0..inputs).map(info).collect(), 0)
    }

    /// Their ids, subflows and frames.
    pub(crate) fn findings(&self) -> Vec<Seen> {
        let seen = |finding: &Finding| {
            let frames = finding.frames.iter().map(|frame| frame.id.number).collect();
            (finding.id, finding.subflow, frames)
        };
        self.found().iter().map(seen).collect()
    }

    /// The finding of this id.
    #[track_caller]
    pub(crate) fn the(&self, id: &str) -> Finding {
        let found = self.found();
        found.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id}: {found:?}")).clone()
    }

    pub(crate) fn ids(&self) -> Vec<&'static str> {
        self.findings().into_iter().map(|finding| finding.0).collect()
    }
}

//! A script of segments on a few connections: each byte chooses a step, the bytes behind it its details. Most steps are as
//! two honest ends would do them; some forge, damage, repeat, or jump in time.

use mptcp_inspect::capture::{InputInfo, InterfaceInfo, Kind};
use mptcp_inspect::crypto::{Key, add_addr_hmac};
use mptcp_inspect::frame::LinkType;
use mptcp_inspect::report::TrackedReport;
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Compare, Config, Tracker};
use mptcp_inspect::wire::{
    AddAddr, Dss, Mapping, MpCapable, MpFail, MpFastclose, MpJoin, MpPrio, MpTcprst, MptcpOption, RawSequence,
    RemoveAddr,
};

use super::bytes::Bytes;
use super::world::{ACK, Ends, Packet, SYN};
use super::{invariants, report};

/// Steps of one script at most.
const STEPS: usize = 600;
/// Connections of a script, and subflows of each.
const CONNECTIONS: usize = 3;
const SUBFLOWS: usize = 4;

/// Plays the script twice: the reports must keep the invariants and be equal.
pub fn run(input: &[u8]) {
    let (first, second) = (play(input), play(input));
    let text = invariants::check(&first);
    assert!(text == invariants::check(&second), "the same segments give the same report");
    report::print(&first, input.first().copied().unwrap_or(0));
}

/// The report on a script.
pub fn play(input: &[u8]) -> TrackedReport {
    let mut script = Script::new(Bytes::new(input));
    for _ in 0..STEPS {
        if script.bytes.is_empty() {
            break;
        }
        script.step();
    }
    script.tracker.finish(&mut Silent);
    let interfaces = vec![InterfaceInfo { name: Some("eth\u{1b}[2J0".to_owned()), link: LinkType::RAW, snaplen: 0 }; 2];
    let info = |name: &str| InputInfo {
        name: name.to_owned(),
        kind: Kind::Pcap,
        interfaces: interfaces.clone(),
        packets: 0,
        cut_after: None,
        dropped: None,
        bytes_read: 0,
        bytes_total: None,
    };
    TrackedReport::new(script.tracker, vec![info("one"), info("two\u{7}")], 0)
}

/// What both ends of a subflow have sent so far.
#[derive(Clone, Debug, Default)]
struct Sent {
    /// Next sequence number of each end, from its SYN's.
    next: [u32; 2],
}

struct Script<'a> {
    bytes: Bytes<'a>,
    tracker: Tracker,
    ends: Vec<Ends>,
    sent: Vec<[Sent; SUBFLOWS]>,
    /// Data-level bytes each end has sent.
    streams: Vec<[u64; 2]>,
    frames: u64,
    time: i64,
    tap: (u16, u16),
    /// XOR of one byte of the next segment's options or payload.
    damage: Option<(u8, u8)>,
    last: Vec<Packet>,
}

impl<'a> Script<'a> {
    fn new(mut bytes: Bytes<'a>) -> Self {
        let kinds = bytes.u8();
        let ends = (0..CONNECTIONS as u8).map(|number| {
            Ends::new(number, kinds >> number & 1, kinds >> (number + 3) & 1 == 1, kinds & 0x40 != 0 && number == 0)
        });
        let pair = [1, 2].map(|end| Key([1, end, 0x5a, 0xc3, 0x11, 0x99, 1, 0x42]));
        let given = kinds & 0x80 != 0;
        let config = Config {
            keys: if given { pair.to_vec() } else { vec![] },
            pairs: if given { vec![pair] } else { vec![] },
            compare: Compare::Inputs,
            ..Config::default()
        };
        Self {
            bytes,
            tracker: Tracker::new(config),
            ends: ends.collect(),
            sent: vec![Default::default(); CONNECTIONS],
            streams: vec![[0; 2]; CONNECTIONS],
            frames: 0,
            time: 1_700_000_000_000_000_000,
            tap: (0, 0),
            damage: None,
            last: Vec::new(),
        }
    }

    /// One step. Its second byte names the connection (2 bits), the subflow (2), the sender (1), and the opener of joins (1).
    fn step(&mut self) {
        let what = self.bytes.u8();
        let who = self.bytes.u8();
        let (c, s, end) = (usize::from(who & 3) % CONNECTIONS, who >> 2 & 3, usize::from(who >> 4 & 1));
        let opener = usize::from(who >> 5 & 1);
        self.time = self.time.saturating_add(1_000_000);
        match what % 26 {
            0 => self.handshake(c, 3),
            1 => self.handshake(c, usize::from(who >> 6)),
            2 => self.join(c, s, opener, 4),
            3 => self.join(c, s, opener, usize::from(who >> 6)),
            4..=7 => self.data(c, s, end, opener, who & 0x40 != 0, who & 0x80 != 0),
            8 => self.raw_data(c, s, end, opener),
            9 => self.data_ack(c, s, end, opener),
            10 => self.add_addr(c, s, end, opener),
            11 => self.control(c, s, end, opener),
            12 => {
                self.time = match who >> 6 {
                    0 => self.time.saturating_add(i64::from(self.bytes.u32()) << 8),
                    1 => self.time.saturating_sub(i64::from(self.bytes.u32()) << 8),
                    2 => i64::MIN,
                    _ => i64::MAX,
                }
            }
            13 => self.again(who),
            14 => self.damage = Some((who, self.bytes.u8() | 1)),
            15 => self.raw_options(c, s, end, opener),
            16 => self.tap = (u16::from(who & 1), u16::from(who >> 1 & 1)),
            17 => self.end(c, s, end, opener, who >> 6),
            18 => self.forged_capable(c, end, who >> 6),
            19 => self.forged_join(c, s, end, opener, who >> 6),
            20 => self.mapping_as_told(c, s, end, opener),
            21 => self.first_data(c, who & 0x40 != 0),
            22 => self.move_sequence(c, s, end),
            23 => self.sent[c][usize::from(s)] = Sent { next: [self.bytes.u32(), self.bytes.u32()] },
            24 => self.data_fin(c, s, end, opener),
            _ => self.many(c, s, end, opener, who),
        }
    }

    fn packet(&mut self, c: usize, s: u8, end: usize, opener: usize, flags: u8) -> Packet {
        let sent = &self.sent[c][usize::from(s)];
        Packet {
            tuple: self.ends[c].tuple(end, opener, s),
            seq: isn(end).wrapping_add(sent.next[end]),
            ack: if flags & ACK != 0 { isn(1 - end).wrapping_add(sent.next[1 - end]) } else { 0 },
            flags,
            options: Vec::new(),
            payload: Vec::new(),
            cut: 0,
            time: self.time,
            tap: self.tap,
            ip_id: 0,
        }
    }

    fn send(&mut self, mut packet: Packet) {
        if let Some((at, mask)) = self.damage.take() {
            let options = packet.options.len();
            let slot = usize::from(at) % (options + packet.payload.len()).max(1);
            if slot < options {
                packet.options[slot] ^= mask;
            } else if let Some(byte) = packet.payload.get_mut(slot - options) {
                *byte ^= mask;
            }
        }
        self.frames += 1;
        packet.ip_id = self.frames as u16;
        packet.feed(self.frames, &mut self.tracker, &mut Silent);
        self.last.push(packet);
        if self.last.len() > 8 {
            self.last.remove(0);
        }
    }

    /// The first `steps` packets of a connection's handshake.
    fn handshake(&mut self, c: usize, steps: usize) {
        self.sent[c][0] = Sent::default();
        for step in 0..steps.min(3) as u8 {
            let end = usize::from(step == 1);
            let flags = [SYN, SYN | ACK, ACK][usize::from(step)];
            let packet = self.packet(c, 0, end, 0, flags).with(&MptcpOption::MpCapable(self.ends[c].capable(step)));
            self.send(packet);
            if step < 2 {
                self.sent[c][0].next[end] = 1;
            }
        }
    }

    /// The first `steps` packets of a join; the fourth is its acknowledgement.
    fn join(&mut self, c: usize, s: u8, opener: usize, steps: usize) {
        if s == 0 {
            return;
        }
        self.sent[c][usize::from(s)] = Sent::default();
        for step in 0..steps as u8 {
            let end = if step % 2 == 0 { opener } else { 1 - opener };
            let flags = [SYN, SYN | ACK, ACK, ACK][usize::from(step)];
            let mut packet = self.packet(c, s, end, opener, flags);
            if step < 3 {
                packet = packet.with(&MptcpOption::MpJoin(self.ends[c].join(step, opener, s)));
            } else {
                let ack = RawSequence::Short(self.ends[c].idsn(opener) as u32 + 1);
                packet = packet.with(&MptcpOption::Dss(Dss::new(Some(ack), None, false)));
            }
            self.send(packet);
            if step < 2 {
                self.sent[c][usize::from(s)].next[end] = 1;
            }
        }
    }

    fn payload(&mut self) -> Vec<u8> {
        let len = usize::from(self.bytes.u8());
        let seed = self.bytes.u8();
        (0..len).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)).collect()
    }

    /// Data with its mapping: next in the stream, or `again` from somewhere before.
    fn data(&mut self, c: usize, s: u8, end: usize, opener: usize, again: bool, long: bool) {
        let payload = self.payload();
        let stream = self.streams[c][end];
        let offset = if again { stream.saturating_sub(u64::from(self.bytes.u8())) } else { stream };
        self.streams[c][end] = stream.max(offset + payload.len() as u64);
        let ssn = self.sent[c][usize::from(s)].next[end];
        let dss = self.ends[c].dss(end, offset, ssn, &payload, false, long);
        let mut packet = self.packet(c, s, end, opener, ACK).with(&MptcpOption::Dss(dss));
        self.sent[c][usize::from(s)].next[end] = ssn.wrapping_add(payload.len() as u32);
        packet.payload = payload;
        self.send(packet);
    }

    /// Payload without options.
    fn raw_data(&mut self, c: usize, s: u8, end: usize, opener: usize) {
        let mut packet = self.packet(c, s, end, opener, ACK);
        packet.payload = self.payload();
        let next = &mut self.sent[c][usize::from(s)].next[end];
        *next = next.wrapping_add(packet.payload.len() as u32);
        self.send(packet);
    }

    fn data_ack(&mut self, c: usize, s: u8, end: usize, opener: usize) {
        let acked = self.ends[c].idsn(1 - end).wrapping_add(1).wrapping_add(self.streams[c][1 - end]);
        let ack = if self.bytes.u8() & 1 == 0 { RawSequence::Long(acked) } else { RawSequence::Short(acked as u32) };
        let packet = self.packet(c, s, end, opener, ACK).with(&MptcpOption::Dss(Dss::new(Some(ack), None, false)));
        self.send(packet);
    }

    fn add_addr(&mut self, c: usize, s: u8, end: usize, opener: usize) {
        let (address_id, how) = (self.bytes.u8(), self.bytes.u8());
        let ends = &self.ends[c];
        let address = ends.address(address_id ^ (how >> 4));
        let port = (how & 1 != 0).then_some(8080);
        let hmac = add_addr_hmac(ends.suite(), ends.keys[end], ends.keys[1 - end], address_id, address, port);
        let echo = how & 2 != 0;
        let low_nibble = if ends.version == 0 { 4 } else { u8::from(echo) };
        let hmac = (ends.version == 1 && !echo).then_some(hmac);
        let option = MptcpOption::AddAddr(AddAddr { low_nibble, address_id, address, port, hmac });
        let packet = self.packet(c, s, end, opener, ACK).with(&option);
        self.send(packet);
    }

    fn control(&mut self, c: usize, s: u8, end: usize, opener: usize) {
        let (kind, value) = (self.bytes.u8(), self.bytes.u8());
        let ids = [value, value ^ 1];
        let dsn = self.ends[c].idsn(end).wrapping_add(u64::from(value));
        let option = match kind % 5 {
            0 => MptcpOption::RemoveAddr(RemoveAddr { ids: &ids, reserved: 0 }),
            1 => MptcpOption::MpPrio(MpPrio {
                backup: value & 1 != 0,
                address_id: (value & 2 != 0).then_some(value >> 4),
                reserved: 0,
            }),
            2 => MptcpOption::MpFail(MpFail { dsn, reserved: 0 }),
            3 => MptcpOption::MpFastclose(MpFastclose { key: self.ends[c].keys[1 - end], reserved: 0 }),
            _ => MptcpOption::MpTcprst(MpTcprst { flags: value & 15, reason: value >> 4 }),
        };
        let packet = self.packet(c, s, end, opener, ACK).with(&option);
        self.send(packet);
    }

    /// One of the last packets again, perhaps at another tap, perhaps with another payload.
    fn again(&mut self, how: u8) {
        let Some(mut packet) = self.last.get(usize::from(how & 7) % self.last.len().max(1)).cloned() else { return };
        packet.time = self.time;
        packet.tap = self.tap;
        if how & 0x10 != 0 {
            packet.payload.iter_mut().for_each(|byte| *byte ^= how);
        }
        if how & 0x20 != 0 {
            packet.cut = packet.payload.len() as u32 / 2;
            packet.payload.truncate(packet.payload.len() - packet.cut as usize);
        }
        self.frames += 1;
        if how & 0x40 != 0 {
            packet.ip_id = self.frames as u16;
        }
        packet.feed(self.frames, &mut self.tracker, &mut Silent);
    }

    fn raw_options(&mut self, c: usize, s: u8, end: usize, opener: usize) {
        let (flags, len) = (self.bytes.u8(), usize::from(self.bytes.u8()) % 41);
        let mut packet = self.packet(c, s, end, opener, flags);
        packet.options = self.bytes.take(len).to_vec();
        packet.payload = self.payload();
        self.send(packet);
    }

    /// RST or FIN.
    fn end(&mut self, c: usize, s: u8, end: usize, opener: usize, how: u8) {
        let flags = [0x11, 0x04, 0x14, 0x14][usize::from(how)];
        let mut packet = self.packet(c, s, end, opener, flags);
        if how == 3 {
            packet = packet.with(&MptcpOption::MpTcprst(MpTcprst { flags: 1, reason: self.bytes.u8() }));
        }
        if flags & 1 != 0 {
            let next = &mut self.sent[c][usize::from(s)].next[end];
            *next = next.wrapping_add(1);
        }
        self.send(packet);
    }

    /// MP_CAPABLE with keys that are not the ends', at any point.
    fn forged_capable(&mut self, c: usize, end: usize, step: u8) {
        let forged = Key([self.bytes.u8(); 8]);
        let capable = self.ends[c].capable(step);
        let capable = MpCapable { sender_key: capable.sender_key.map(|_| forged), ..capable };
        let flags = [SYN, SYN | ACK, ACK, ACK][usize::from(step)];
        let packet = self.packet(c, 0, end, 0, flags).with(&MptcpOption::MpCapable(capable));
        self.send(packet);
    }

    /// MP_JOIN with a token, nonce or HMAC that is wrong.
    fn forged_join(&mut self, c: usize, s: u8, end: usize, opener: usize, step: u8) {
        let wrong = self.bytes.u8();
        let join = match self.ends[c].join(step.min(2), opener, s) {
            MpJoin::Syn { backup, address_id, mut token, mut nonce, reserved } => {
                if wrong & 1 == 0 {
                    token.0 ^= u32::from(wrong)
                } else {
                    nonce.0 ^= u32::from(wrong)
                }
                MpJoin::Syn { backup, address_id, token, nonce, reserved }
            }
            MpJoin::SynAck { backup, address_id, mut hmac, nonce, reserved } => {
                hmac[usize::from(wrong & 7)] ^= wrong;
                MpJoin::SynAck { backup, address_id, hmac, nonce, reserved }
            }
            MpJoin::Ack { mut hmac, reserved } => {
                hmac[usize::from(wrong) % 20] ^= wrong;
                MpJoin::Ack { hmac, reserved }
            }
        };
        let flags = [SYN, SYN | ACK, ACK, ACK][usize::from(step)];
        let packet = self.packet(c, s, end, opener, flags).with(&MptcpOption::MpJoin(join));
        self.send(packet);
    }

    /// A mapping with whatever numbers the script says.
    fn mapping_as_told(&mut self, c: usize, s: u8, end: usize, opener: usize) {
        let how = self.bytes.u8();
        let dsn = match how & 3 {
            0 => RawSequence::Short(self.bytes.u32()),
            1 => RawSequence::Long(self.bytes.u64()),
            _ => RawSequence::Long(self.ends[c].idsn(end).wrapping_add(1).wrapping_add(u64::from(self.bytes.u16()))),
        };
        let ssn = match how >> 2 & 3 {
            0 => self.bytes.u32(),
            _ => self.sent[c][usize::from(s)].next[end].wrapping_add(u32::from(self.bytes.u8())).wrapping_sub(128),
        };
        let len = if how & 0x10 != 0 { self.bytes.u16() } else { u16::from(self.bytes.u8()) };
        let checksum = (how & 0x20 != 0).then(|| self.bytes.u16());
        let ack = (how & 0x40 != 0)
            .then(|| RawSequence::Long(self.ends[c].idsn(1 - end).wrapping_add(u64::from(self.bytes.u16()))));
        let dss = Dss::new(ack, Some(Mapping { dsn, ssn, len, checksum }), how & 0x80 != 0);
        let mut packet = self.packet(c, s, end, opener, ACK).with(&MptcpOption::Dss(dss));
        packet.payload = self.payload();
        self.send(packet);
    }

    /// MP_CAPABLE with the first data (v1).
    fn first_data(&mut self, c: usize, with_checksum: bool) {
        let payload = self.payload();
        let dsn = self.ends[c].idsn(0).wrapping_add(1);
        let data_len = payload.len() as u16;
        let checksum = with_checksum.then(|| super::world::checksum(dsn, 1, data_len, &payload));
        let capable = MpCapable { data_len: Some(data_len), checksum, ..self.ends[c].capable(2) };
        let mut packet = self.packet(c, 0, 0, 0, ACK).with(&MptcpOption::MpCapable(capable));
        self.streams[c][0] = self.streams[c][0].max(payload.len() as u64);
        self.sent[c][0].next[0] = 1 + payload.len() as u32;
        packet.payload = payload;
        self.send(packet);
    }

    /// Leaves a gap, or goes back, in sequence space, data space, or both.
    fn move_sequence(&mut self, c: usize, s: u8, end: usize) {
        let (how, by) = (self.bytes.u8(), u32::from(self.bytes.u16()));
        let by = by << (how >> 3);
        let next = &mut self.sent[c][usize::from(s)].next[end];
        if how & 1 != 0 {
            *next = if how & 4 != 0 { next.wrapping_sub(by) } else { next.wrapping_add(by) };
        }
        let stream = &mut self.streams[c][end];
        if how & 2 != 0 {
            *stream =
                if how & 4 != 0 { stream.saturating_sub(u64::from(by)) } else { stream.saturating_add(u64::from(by)) };
        }
    }

    fn data_fin(&mut self, c: usize, s: u8, end: usize, opener: usize) {
        let payload = self.payload();
        let ssn = if payload.is_empty() { 0 } else { self.sent[c][usize::from(s)].next[end] };
        let dss = self.ends[c].dss(end, self.streams[c][end], ssn, &payload, true, true);
        let mut packet = self.packet(c, s, end, opener, ACK).with(&MptcpOption::Dss(dss));
        let next = &mut self.sent[c][usize::from(s)].next[end];
        *next = next.wrapping_add(payload.len() as u32);
        self.streams[c][end] += payload.len() as u64;
        packet.payload = payload;
        self.send(packet);
    }

    /// A burst of one kind, to reach limits.
    fn many(&mut self, c: usize, s: u8, end: usize, opener: usize, how: u8) {
        let count = 1 + u32::from(self.bytes.u8());
        for index in 0..count {
            let mut packet = self.packet(c, s, end, opener, ACK);
            match how >> 6 {
                0 => {
                    // Every second byte: holes at both levels.
                    packet.seq = packet.seq.wrapping_add(2 * index);
                    packet.payload = vec![index as u8];
                    let ssn = self.sent[c][usize::from(s)].next[end].wrapping_add(2 * index);
                    let offset = self.streams[c][end] + 2 * u64::from(index);
                    packet = packet.clone().with(&MptcpOption::Dss(self.ends[c].dss(
                        end,
                        offset,
                        ssn,
                        &packet.payload,
                        false,
                        false,
                    )));
                }
                1 => {
                    packet.seq = packet.seq.wrapping_add(3 * index);
                    packet.payload = vec![1; 2];
                }
                2 => packet = packet.with(&MptcpOption::RemoveAddr(RemoveAddr { ids: &[index as u8], reserved: 0 })),
                _ => {
                    packet = packet.with(&MptcpOption::MpPrio(MpPrio {
                        backup: index % 2 == 0,
                        address_id: None,
                        reserved: 0,
                    }))
                }
            }
            self.send(packet);
        }
    }
}

/// The initial sequence number of an end: one of them wraps soon.
fn isn(end: usize) -> u32 {
    if end == 0 { 0xffff_ff00 } else { 0x1000 }
}

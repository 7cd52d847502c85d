//! Two ends that speak MPTCP by the book: keys, HMACs and checksums are right unless a script says otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mptcp_inspect::crypto::{Key, Nonce, Suite, identify};
use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::packet::checksum::{add16, sum16};
use mptcp_inspect::packet::{Decoded, Header, IpPair, Segment, TapHint, TcpChecksum, TcpFlags};
use mptcp_inspect::track::Tracker;
use mptcp_inspect::track::observer::Observer;
use mptcp_inspect::wire::{Dss, Mapping, MpCapable, MpJoin, MptcpOption, RawSequence, pad_to_words};

/// Flags of segments.
pub const SYN: u8 = TcpFlags::SYN;
/// Likewise.
pub const ACK: u8 = TcpFlags::ACK;

/// One MPTCP connection as its ends know it. Index 0 is the client, 1 the server.
#[derive(Clone, Debug)]
pub struct Ends {
    /// 0 or 1.
    pub version: u8,
    /// Whether DSS checksums are in use.
    pub checksum: bool,
    /// Keys.
    pub keys: [Key; 2],
    /// IPv6 instead of IPv4.
    pub v6: bool,
    number: u8,
}

impl Ends {
    /// The connection with this number: its keys and addresses follow from it.
    pub fn new(number: u8, version: u8, checksum: bool, v6: bool) -> Self {
        let key = |end: u8| Key([number, end, 0x5a, 0xc3, 0x11, 0x99, version, 0x42]);
        Self { version, checksum, keys: [key(1), key(2)], v6, number }
    }

    /// Its hash.
    pub fn suite(&self) -> Suite {
        if self.version == 0 { Suite::Sha1 } else { Suite::Sha256 }
    }

    /// The IDSN of an end.
    pub fn idsn(&self, end: usize) -> u64 {
        identify(self.suite(), self.keys[end]).idsn
    }

    /// A nonce of an end on a subflow.
    pub fn nonce(&self, end: usize, subflow: u8) -> Nonce {
        Nonce(0x0101_0000 * (end as u32 + 1) + u32::from(subflow) * 77 + u32::from(self.number))
    }

    /// MP_CAPABLE of a SYN (0), SYN/ACK (1) or third ACK (2).
    pub fn capable(&self, step: u8) -> MpCapable {
        let flags = 1 | if self.checksum { 0x80 } else { 0 };
        let (sender_key, receiver_key) = match step {
            0 => (if self.version == 0 { Some(self.keys[0]) } else { None }, None),
            1 => (Some(self.keys[1]), None),
            _ => (Some(self.keys[0]), Some(self.keys[1])),
        };
        MpCapable { version: self.version, flags, sender_key, receiver_key, data_len: None, checksum: None }
    }

    /// MP_JOIN of a SYN (0), SYN/ACK (1) or third ACK (2) of a subflow that `opener` opens.
    pub fn join(&self, step: u8, opener: usize, subflow: u8) -> MpJoin {
        let other = 1 - opener;
        let (nonce_a, nonce_b) = (self.nonce(opener, subflow), self.nonce(other, subflow));
        let (key_a, key_b) = (self.keys[opener], self.keys[other]);
        match step {
            0 => MpJoin::Syn {
                backup: false,
                address_id: subflow,
                token: identify(self.suite(), key_b).token,
                nonce: nonce_a,
                reserved: 0,
            },
            1 => MpJoin::SynAck {
                backup: false,
                address_id: subflow,
                hmac: mptcp_inspect::crypto::join_syn_ack_hmac(self.suite(), key_b, key_a, nonce_b, nonce_a),
                nonce: nonce_b,
                reserved: 0,
            },
            _ => MpJoin::Ack {
                hmac: mptcp_inspect::crypto::join_ack_hmac(self.suite(), key_a, key_b, nonce_a, nonce_b),
                reserved: 0,
            },
        }
    }

    /// A DSS that maps `payload` at a stream offset (0 is the first byte) to a subflow sequence number.
    pub fn dss(&self, end: usize, offset: u64, ssn: u32, payload: &[u8], fin: bool, long: bool) -> Dss {
        let dsn = self.idsn(end).wrapping_add(1).wrapping_add(offset);
        let len = payload.len() as u16 + u16::from(fin);
        let checksum = self.checksum.then(|| checksum(dsn, ssn, len, payload));
        let raw = if long { RawSequence::Long(dsn) } else { RawSequence::Short(dsn as u32) };
        Dss::new(None, Some(Mapping { dsn: raw, ssn, len, checksum }), fin)
    }

    /// The 4-tuple of a subflow as seen from the sender.
    pub fn tuple(&self, sender: usize, opener: usize, subflow: u8) -> (IpPair, u16, u16) {
        let v4 =
            |end: usize| u32::from(Ipv4Addr::new(10, end as u8, self.number, if end == opener { subflow } else { 1 }));
        let v6 = |end: usize| Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(v4(end)));
        let port = |end: usize| if end == opener { 40_000 + u16::from(subflow) } else { 443 };
        let other = 1 - sender;
        let ip = if self.v6 {
            IpPair::V6 { source: v6(sender), destination: v6(other) }
        } else {
            IpPair::V4 { source: v4(sender), destination: v4(other) }
        };
        (ip, port(sender), port(other))
    }

    /// An address of an end.
    pub fn address(&self, id: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 9, self.number, id))
    }
}

/// The DSS checksum (RFC 8684 §3.3.1), written down once more, independently.
pub fn checksum(dsn: u64, ssn: u32, len: u16, payload: &[u8]) -> u16 {
    let mut header = dsn.to_be_bytes().to_vec();
    header.extend(ssn.to_be_bytes());
    header.extend(len.to_be_bytes());
    !add16(sum16(&header), sum16(payload))
}

/// A segment that owns its bytes.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Addresses and ports.
    pub tuple: (IpPair, u16, u16),
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// TCP flags.
    pub flags: u8,
    /// Option area.
    pub options: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// Bytes of payload that the capture cut.
    pub cut: u32,
    /// Time in nanoseconds.
    pub time: i64,
    /// Input and interface.
    pub tap: (u16, u16),
    /// IPv4 identification.
    pub ip_id: u16,
}

impl Packet {
    /// Puts an option behind the others, while there is room.
    #[must_use]
    pub fn with(mut self, option: &MptcpOption<'_>) -> Self {
        let mut bytes = Vec::new();
        option.emit(&mut bytes);
        pad_to_words(&mut bytes);
        if self.options.len() + bytes.len() <= 40 {
            self.options.extend(bytes);
        }
        self
    }

    /// Feeds it to a tracker.
    pub fn feed<O: Observer>(&self, number: u64, tracker: &mut Tracker, observer: &mut O) {
        let (ip, source_port, destination_port) = self.tuple;
        let header = Header {
            ip,
            source_port,
            destination_port,
            seq: self.seq,
            ack: self.ack,
            flags: TcpFlags(self.flags),
            window: 1000,
            options_cut: false,
            payload_len: self.payload.len() as u32 + self.cut,
            payload_sum: None,
            checksum: TcpChecksum::default(),
            ip_id: self.ip_id,
            ttl: 64,
            source_routed: false,
            encapsulations: 0,
            tap: TapHint::default(),
        };
        let segment = Segment { header: &header, options: &self.options, payload: &self.payload };
        let frame = Frame {
            id: FrameId { number, input: self.tap.0 },
            time: Timestamp(self.time),
            link: LinkType::RAW,
            interface: self.tap.1,
            data: &[],
            wire_len: 0,
        };
        tracker.frame(&frame, &Decoded::Tcp(segment), observer);
    }
}

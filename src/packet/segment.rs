//! A TCP segment as the tracker gets it: what its headers say, and its bytes where they lie.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use super::checksum::{add16, fold, same, sum16};
use super::tcp::FIXED;

/// Source and destination of an IP header, kept by family so that flow keys pack without conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpPair {
    /// IPv4, host order.
    V4 {
        /// Source.
        source: u32,
        /// Destination: the last hop of a source route where the header holds one.
        destination: u32,
    },
    /// IPv6.
    V6 {
        /// Source.
        source: Ipv6Addr,
        /// Destination: the last segment of a routing header where there is one.
        destination: Ipv6Addr,
    },
}

impl IpPair {
    /// Source address.
    pub fn source(self) -> IpAddr {
        match self {
            Self::V4 { source, .. } => IpAddr::V4(Ipv4Addr::from(source)),
            Self::V6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// Source and destination exchanged.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::V4 { source, destination } => Self::V4 { source: destination, destination: source },
            Self::V6 { source, destination } => Self::V6 { source: destination, destination: source },
        }
    }

    /// The sum of both addresses in words of 32 bits, as checksums take it.
    #[inline]
    pub(super) fn sum(self) -> u64 {
        let words = |address: Ipv6Addr| {
            let bits = address.to_bits();
            [bits, bits >> 32, bits >> 64, bits >> 96].map(|word| u64::from(word as u32)).iter().sum::<u64>()
        };
        match self {
            Self::V4 { source, destination } => u64::from(source) + u64::from(destination),
            Self::V6 { source, destination } => words(source) + words(destination),
        }
    }

    /// Destination address.
    pub fn destination(self) -> IpAddr {
        match self {
            Self::V4 { destination, .. } => IpAddr::V4(Ipv4Addr::from(destination)),
            Self::V6 { destination, .. } => IpAddr::V6(destination),
        }
    }
}

/// TCP flags, as in byte 13 of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;

    /// Whether any of `bits` is set.
    pub fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
    /// FIN.
    pub fn fin(self) -> bool {
        self.any(Self::FIN)
    }
    /// The first packet of a handshake: a SYN, not a SYN/ACK.
    pub fn opens(self) -> bool {
        self.syn() && !self.ack()
    }
    /// SYN.
    pub fn syn(self) -> bool {
        self.any(Self::SYN)
    }
    /// RST.
    pub fn rst(self) -> bool {
        self.any(Self::RST)
    }
    /// ACK.
    pub fn ack(self) -> bool {
        self.any(Self::ACK)
    }
}

/// Where a frame was tapped, as far as its link layer tells beyond the capture's interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TapHint {
    /// SLL2: the kernel's interface index; 0 where unknown.
    pub interface_index: u32,
    /// SLL and SLL2 packet type plus 1 (1 to us … 5 outgoing); 0 where the link type has none.
    pub packet_type: u8,
}

impl TapHint {
    /// Whether the frame left (true) or reached (false) the capturing host, as SLL and SLL2 tell: LINUX_SLL_OUTGOING is 4,
    /// LINUX_SLL_HOST 0. `None` for what went between others, and for other link types.
    pub fn outgoing(self) -> Option<bool> {
        match self.packet_type {
            1 => Some(false),
            5 => Some(true),
            _ => None,
        }
    }
}

/// One TCP segment: its bytes are borrowed from the frame or from the reassembly buffer, and what its headers say from
/// whoever keeps it, so that it is handed on without being copied.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// What its headers say.
    pub header: &'a Header,
    /// The captured part of the option area.
    pub options: &'a [u8],
    /// The captured part of the payload.
    pub payload: &'a [u8],
}

/// A TCP checksum, and what else it covers that is kept nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpChecksum {
    /// The checksum as written; 0 is none.
    pub written: u16,
    /// Byte 12 of the header: data offset and reserved bits.
    pub data_offset: u8,
    /// The urgent pointer.
    pub urgent: u16,
}

/// Larger payloads may have been put together by an interface or a host, which does not mend the checksum.
const ONE_PACKET: usize = 1500;
/// TCP, in the pseudo-header of its checksum (RFC 9293 §3.1).
const PROTOCOL: u64 = 6;

impl Segment<'_> {
    /// Whether its TCP checksum is right, so that its receiver takes it (RFC 9293 §3.1); `payload_sum` is the
    /// [`sum16`] of the payload. `None` where that cannot be told: parts of the segment were not captured, the checksum was left
    /// to an interface to be filled in, or the segment may have been put together from several.
    #[inline]
    pub fn is_intact(&self, payload_sum: u16) -> Option<bool> {
        let TcpChecksum { written, data_offset, urgent } = self.checksum;
        let whole = !self.options_cut && self.payload.len() as u64 == u64::from(self.payload_len);
        let len = FIXED + self.options.len() + self.payload.len();
        let pseudo = self.ip.sum() + PROTOCOL + len as u64;
        // What a host leaves to its interface is the sum of the pseudo-header, or nothing.
        if !whole || self.payload.len() > ONE_PACKET || written == 0 || written == fold(pseudo) {
            return None;
        }
        let pair = |high: u16, low: u16| u64::from(high) << 16 | u64::from(low);
        let flags = u16::from_be_bytes([data_offset, self.flags.0]);
        let header = pair(self.source_port, self.destination_port)
            + u64::from(self.seq)
            + u64::from(self.ack)
            + pair(flags, self.window)
            + pair(written, urgent);
        Some(same(add16(add16(fold(pseudo + header), sum16(self.options)), payload_sum), 0))
    }
}

impl Deref for Segment<'_> {
    type Target = Header;
    #[inline]
    fn deref(&self) -> &Header {
        self.header
    }
}

/// What the headers of a segment say, options left out.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// IP addresses.
    pub ip: IpPair,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Raw sequence number.
    pub seq: u32,
    /// Raw acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Unscaled window.
    pub window: u16,
    /// The header is longer than what was captured of it.
    pub options_cut: bool,
    /// Bytes of payload on the wire by the IP length; more than were captured where the capture was cut.
    pub payload_len: u32,
    /// [`sum16`](super::checksum::sum16) of the captured payload, where it was taken while reading.
    pub payload_sum: Option<u16>,
    /// Its TCP checksum.
    pub checksum: TcpChecksum,
    /// IPv4 identification; 0 for IPv6.
    pub ip_id: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The header holds an IPv4 source route or IPv6 routing header.
    pub source_routed: bool,
    /// Tunnels and tags around the IP header that carries this segment.
    pub encapsulations: u8,
    /// Where it was tapped.
    pub tap: TapHint,
}

impl Header {
    /// That of no segment.
    pub(crate) const NONE: Self = Self {
        ip: IpPair::V4 { source: 0, destination: 0 },
        source_port: 0,
        destination_port: 0,
        seq: 0,
        ack: 0,
        flags: TcpFlags(0),
        window: 0,
        options_cut: false,
        payload_len: 0,
        payload_sum: None,
        checksum: TcpChecksum { written: 0, data_offset: 0, urgent: 0 },
        ip_id: 0,
        ttl: 0,
        source_routed: false,
        encapsulations: 0,
        tap: TapHint { interface_index: 0, packet_type: 0 },
    };
}

//! From a frame of any link type to one TCP segment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// IPv6, host order.
    V6 {
        /// Source.
        source: u128,
        /// Destination: the last segment of a routing header where there is one.
        destination: u128,
    },
}

impl IpPair {
    /// Source address.
    pub fn source(self) -> IpAddr {
        match self {
            Self::V4 { source, .. } => IpAddr::V4(Ipv4Addr::from(source)),
            Self::V6 { source, .. } => IpAddr::V6(Ipv6Addr::from(source)),
        }
    }

    /// Destination address.
    pub fn destination(self) -> IpAddr {
        match self {
            Self::V4 { destination, .. } => IpAddr::V4(Ipv4Addr::from(destination)),
            Self::V6 { destination, .. } => IpAddr::V6(Ipv6Addr::from(destination)),
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

/// One TCP segment: borrowed from the frame, or from the reassembly buffer.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
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
    /// The captured part of the option area.
    pub options: &'a [u8],
    /// The header is longer than what was captured of it.
    pub options_cut: bool,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// Bytes of payload on the wire by the IP length; more than `payload.len()` where the capture was cut.
    pub payload_len: u32,
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

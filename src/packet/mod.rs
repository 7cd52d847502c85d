//! From a frame of any link type to one TCP segment.
//!
//! [`Decoder::decode`] walks the layers of a frame, each a pure function in a file of its own (`link`, `ipv4`,
//! `ipv6`, `tunnel`, `tcp`) from the bytes it starts at to the next layer and the bytes that that one starts at.
//! Tunnels and tags are looked through, so the segment is the innermost one. The only state is IP reassembly
//! (`defrag`). No checksum is checked: captures of offloading hosts have wrong ones.

pub mod checksum;
mod defrag;
mod ip;
mod ipv4;
mod ipv6;
mod link;
pub mod options;
mod tcp;
#[cfg(test)]
mod tests;
mod tunnel;
mod view;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::defrag::Defrag;
use self::view::{Around, Fragment, IpHeader, Next, Reject, View};
pub use self::view::{Layer, Malformed, Reason};
use crate::frame::Frame;

/// Decodes frames. Holds the IP datagrams under reassembly, within the bounds of [`crate::limits`], and nothing else.
#[derive(Debug, Default)]
pub struct Decoder {
    defrag: Defrag,
    /// The payload of the last datagram that became whole: segments borrow it.
    whole: Vec<u8>,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// No IP packet: ARP, LLDP, …, or a link type that is not decoded.
    NotIp,
    /// An IP packet without TCP: UDP, ICMP, ….
    NotTcp,
    /// A header that contradicts itself or was cut away.
    Malformed(Malformed),
    /// A part of an IP datagram whose other parts are still missing.
    FragmentHeld,
}

impl Decoder {
    /// No datagram under reassembly.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes one frame. A frame that makes a fragmented datagram whole yields the segment of the whole datagram,
    /// borrowed from the decoder.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Decoded<'a> {
        let mut tap = TapHint::default();
        let (next, view) = match link::start(frame, &mut tap) {
            Ok(start) => start,
            Err(reject) => return rejected(reject, &Around::default()),
        };
        // Nearly every frame is TCP over plain IP: it does not need to be gathered layer by layer. Each version of IP has a
        // path of its own, so that addresses go from the header to the segment without being put together in between.
        let next = match next {
            Next::Ip => ip::version(view).unwrap_or(next),
            other => other,
        };
        match next {
            Next::Ipv4 => self.behind(ipv4::header(view), frame, tap),
            Next::Ipv6 => self.behind(ipv6::header(view), frame, tap),
            _ => self.gather(frame, next, view, Around { tap, ..Around::default() }),
        }
    }

    /// Decodes a frame that begins with this IP header.
    #[inline(always)]
    fn behind<'a>(
        &'a mut self,
        header: Result<(IpHeader, Next, View<'a>), Reject>,
        frame: &Frame<'a>,
        tap: TapHint,
    ) -> Decoded<'a> {
        match header {
            Ok((ip, Next::Tcp, view)) => tcp::segment(view, &ip, 0, tap),
            Ok((ip, next, view)) => self.gather(frame, next, view, Around { tap, encapsulations: 0, ip: Some(ip) }),
            Err(reject) => rejected(reject, &Around::default()),
        }
    }

    /// Frames whose IP datagram never became whole: held still, pushed out, or given up after
    /// [`crate::limits::FRAGMENT_SECONDS`].
    pub fn incomplete_fragments(&self) -> u64 {
        self.defrag.incomplete()
    }

    /// Decodes a frame from `next` on, which `view` starts with.
    #[inline(never)]
    fn gather<'a>(&'a mut self, frame: &Frame<'a>, next: Next, view: View<'a>, mut around: Around) -> Decoded<'a> {
        match walk(next, view, &mut around) {
            Ok(Walked::Tcp(view)) => segment(view, &around),
            Ok(Walked::Fragment(fragment, part)) => self.reassemble(frame, fragment, part, around),
            Err(reject) => rejected(reject, &around),
        }
    }

    /// Adds a part to its datagram, and decodes the whole if that completes it. The whole may itself be a tunnel that
    /// carries a part of another datagram, and so on; each turn is a tunnel deeper.
    #[cold]
    fn reassemble<'a>(
        &'a mut self,
        frame: &Frame<'a>,
        fragment: Fragment,
        part: View<'a>,
        mut around: Around,
    ) -> Decoded<'a> {
        let mut whole = match self.add_part(frame, fragment, part, &around) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Decoded::FragmentHeld,
            Err(reject) => return rejected(reject, &around),
        };
        loop {
            around.ip = Some(whole.ip);
            // Segments borrow from the decoder, but what borrows from the decoder cannot be added to it: a trial walk
            // tells which of the two this is.
            let mut trial = around;
            let view = View::new(&whole.bytes, whole.len);
            match walk(Next::IpPayload(whole.protocol), view, &mut trial) {
                Ok(Walked::Fragment(fragment, part)) => match self.add_part(frame, fragment, part, &trial) {
                    Ok(Some(inner)) => (whole, around) = (inner, trial),
                    Ok(None) => return Decoded::FragmentHeld,
                    Err(reject) => return rejected(reject, &trial),
                },
                Ok(Walked::Tcp(..)) => break,
                Err(reject) => return rejected(reject, &trial),
            }
        }
        self.whole = whole.bytes;
        match walk(Next::IpPayload(whole.protocol), View::new(&self.whole, whole.len), &mut around) {
            Ok(Walked::Tcp(view)) => segment(view, &around),
            Ok(Walked::Fragment(..)) => Decoded::FragmentHeld,
            Err(reject) => rejected(reject, &around),
        }
    }

    /// The whole datagram if this part completes it.
    fn add_part(
        &mut self,
        frame: &Frame<'_>,
        fragment: Fragment,
        part: View<'_>,
        around: &Around,
    ) -> Result<Option<defrag::Whole>, Reject> {
        let Some(header) = around.ip else { return Err(Reject::NotIp) };
        if !ip::may_hold_tcp(fragment.protocol) {
            return Err(Reject::NotTcp);
        }
        let key = defrag::Key::new(frame, around.tap, around.encapsulations, header.pair, fragment);
        self.defrag.add(frame.time, key, fragment, header, part)
    }
}

/// Where a walk through the layers ends: at what has still to be read. (Reading the segment here would copy it twice.)
enum Walked<'a> {
    Tcp(View<'a>),
    Fragment(Fragment, View<'a>),
}

/// Walks the layers from `next`, which `view` starts with. Ends because every layer takes bytes or is the last but one.
#[inline]
fn walk<'a>(mut next: Next, mut view: View<'a>, around: &mut Around) -> Result<Walked<'a>, Reject> {
    loop {
        (next, view) = match next {
            Next::Ipv4 => around.inside(ipv4::header(view)?),
            Next::Tcp => return Ok(Walked::Tcp(view)),
            Next::Ipv6 => around.inside(ipv6::header(view)?),
            Next::Ip => (ip::version(view)?, view),
            Next::Vlan => link::vlan(view, around)?,
            Next::Ethernet => link::ethernet(view)?,
            Next::Llc => link::llc(view)?,
            Next::Mpls => link::mpls(view, around)?,
            Next::Pppoe => link::pppoe(view, around)?,
            Next::Ppp => link::ppp(view)?,
            Next::IpPayload(protocol) => ip::payload(protocol, view, around)?,
            Next::Udp => tunnel::udp(view, around)?,
            Next::Gre => tunnel::gre(view, around)?,
            Next::Fragment(fragment) => return Ok(Walked::Fragment(fragment, view)),
        };
    }
}

/// The segment that a walk has come to.
#[inline]
fn segment<'a>(view: View<'a>, around: &Around) -> Decoded<'a> {
    match &around.ip {
        Some(ip) => tcp::segment(view, ip, around.encapsulations, around.tap),
        // Only IP headers announce TCP.
        None => Decoded::NotIp,
    }
}

/// What to say of a frame without segment. What a tunnel carries besides IP went over IP all the same.
#[cold]
fn rejected(reject: Reject, around: &Around) -> Decoded<'static> {
    match reject {
        Reject::NotIp if around.ip.is_none() => Decoded::NotIp,
        Reject::NotIp | Reject::NotTcp => Decoded::NotTcp,
        Reject::Malformed(malformed) => Decoded::Malformed(malformed),
    }
}

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
    /// [`checksum::sum16`] of `payload`, where it was taken while reading.
    pub payload_sum: Option<u16>,
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

impl Segment<'_> {
    /// The segment without its bytes, to be kept beside them.
    pub fn without_bytes(&self) -> Segment<'static> {
        Segment {
            ip: self.ip,
            source_port: self.source_port,
            destination_port: self.destination_port,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            options: &[],
            options_cut: self.options_cut,
            payload: &[],
            payload_len: self.payload_len,
            payload_sum: self.payload_sum,
            ip_id: self.ip_id,
            ttl: self.ttl,
            source_routed: self.source_routed,
            encapsulations: self.encapsulations,
            tap: self.tap,
        }
    }
}

impl Segment<'static> {
    /// The segment with its bytes again.
    #[inline]
    pub fn with_bytes<'a>(self, options: &'a [u8], payload: &'a [u8]) -> Segment<'a> {
        Segment { options, payload, ..self }
    }
}

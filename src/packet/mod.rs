//! From a frame of any link type to one TCP segment.
//!
//! [`Decoder::decode`] walks the layers of a frame, each a pure function in a file of its own (`link`, `wifi`,
//! `ipv4`, `ipv6`, `tunnel`, `tcp`) from the bytes it starts at to the next layer and the bytes that that one starts at.
//! Tunnels and tags are looked through, so the segment is the innermost one. The only state is IP reassembly
//! (`defrag`). No checksum is checked: captures of offloading hosts have wrong ones.

pub mod checksum;
mod defrag;
pub mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod link;
pub mod options;
mod segment;
mod tcp;
#[cfg(test)]
mod tests;
mod tunnel;
mod view;
mod wifi;

use self::defrag::Defrag;
pub use self::segment::{Header, IpPair, Segment, TapHint, TcpChecksum, TcpFlags};
use self::view::{Around, Fragment, IpHeader, Next, Reject, View};
pub use self::view::{Layer, Malformed, Reason};
use crate::frame::Frame;

/// Decodes frames. Holds the IP datagrams under reassembly, within the bounds of [`crate::limits`], and what the last segment
/// borrows.
#[derive(Debug)]
pub struct Decoder {
    defrag: Defrag,
    header: Header,
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

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// No datagram under reassembly.
    pub fn new() -> Self {
        Self { defrag: Defrag::default(), header: Header::NONE, whole: Vec::new() }
    }

    /// Decodes one frame. A frame that makes a fragmented datagram whole yields the segment of the whole datagram,
    /// borrowed from the decoder. What its headers say is lent until the next frame.
    #[inline(always)]
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
            Ok((ip, Next::Tcp, view)) => tcp::segment(view, &ip, 0, tap, &mut self.header),
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
            Ok(Walked::Tcp(view)) => read(view, &around, &mut self.header),
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
            Ok(Walked::Tcp(view)) => read(view, &around, &mut self.header),
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
fn read<'a>(view: View<'a>, around: &Around, header: &'a mut Header) -> Decoded<'a> {
    match &around.ip {
        Some(ip) => tcp::segment(view, ip, around.encapsulations, around.tap, header),
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

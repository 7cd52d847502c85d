//! ICMP errors that quote a TCP segment (RFC 792, RFC 4443): who could not deliver it, and why.

use std::net::IpAddr;

use etherparse::IpNumber;

use super::view::{IpHeader, Layer, Next, Reject, View};
use super::{IpPair, TapHint, ip, ipv4, ipv6, link};
use crate::frame::Frame;

/// An ICMP error, and the segment that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Who sent it.
    pub from: IpAddr,
    /// What it says: `host unreachable`.
    pub meaning: &'static str,
    /// Addresses of the segment.
    pub quoted: IpPair,
    /// Its source port.
    pub source_port: u16,
    /// Its destination port.
    pub destination_port: u16,
    /// Its raw sequence number.
    pub seq: u32,
}

/// The ICMP error that a frame holds, directly over IP, if it says that a TCP segment was not delivered.
pub fn error(frame: &Frame<'_>) -> Option<IcmpError> {
    let (next, view) = link::start(frame, &mut TapHint::default()).ok()?;
    let (outer, next, view) = header(next, view)?;
    let Next::IpPayload(protocol) = next else { return None };
    let (&[kind, code, ..], quote) = view.header::<8>(Layer::Ip).ok()?;
    let (meaning, version) = match IpNumber(protocol) {
        IpNumber::ICMP => (meaning_v4(kind, code)?, Next::Ipv4),
        IpNumber::IPV6_ICMP => (meaning_v6(kind, code)?, Next::Ipv6),
        _ => return None,
    };
    let (inner, Next::Tcp, quote) = header(version, quote)? else { return None };
    let (&[a, b, c, d, seq @ ..], _) = quote.header::<8>(Layer::Ip).ok()?;
    Some(IcmpError {
        from: outer.pair.source(),
        meaning,
        quoted: inner.pair,
        source_port: u16::from_be_bytes([a, b]),
        destination_port: u16::from_be_bytes([c, d]),
        seq: u32::from_be_bytes(seq),
    })
}

fn header(next: Next, view: View<'_>) -> Option<(IpHeader, Next, View<'_>)> {
    let next = if matches!(next, Next::Ip) { ip::version(view).ok()? } else { next };
    let read: Result<_, Reject> = match next {
        Next::Ipv4 => ipv4::header(view),
        Next::Ipv6 => ipv6::header(view),
        _ => return None,
    };
    read.ok()
}

/// Destination unreachable (RFC 792, RFC 1812 §5.2.7.1). That a segment is too long, or was too long on its way, is no such thing.
fn meaning_v4(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (3, 0 | 6 | 11) => "network unreachable",
        (3, 1 | 7 | 8 | 12) => "host unreachable",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, 9 | 10 | 13) => "administratively prohibited",
        _ => return None,
    })
}

/// Destination unreachable (RFC 4443 §3.1).
fn meaning_v6(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (1, 0) => "no route",
        (1, 1 | 5) => "administratively prohibited",
        (1, 3) => "address unreachable",
        (1, 4) => "port unreachable",
        (1, 6) => "route rejected",
        _ => return None,
    })
}

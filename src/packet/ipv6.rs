//! IPv6 (RFC 8200) and its extension headers.

use std::net::Ipv6Addr;

use etherparse::{IpNumber, Ipv6HeaderSlice};

use super::IpPair;
use super::view::{Around, Fragment, IpHeader, Layer, Next, Reason, Reject, View};

/// Bytes of the fixed header.
const FIXED: usize = 40;

/// Reads the fixed header; the view that follows, extension headers and all, is as long as it says.
///
/// A payload length of 0 goes with a jumbo payload option (RFC 2675), or is what the kernel leaves of packets beyond
/// 64 KiB (BIG TCP): then the frame's own length counts.
#[inline]
pub(super) fn header(view: View<'_>) -> Result<(IpHeader, Next, View<'_>), Reject> {
    let Ok(header) = Ipv6HeaderSlice::from_slice(view.bytes) else { return Err(explain(view)) };
    let len = usize::from(header.payload_length());
    let rest = view.skip(FIXED, Layer::Ipv6)?;
    let rest = if len == 0 { rest } else { rest.with_len(len) };
    let ip = IpHeader {
        pair: IpPair::V6 { source: Ipv6Addr::from(header.source()), destination: Ipv6Addr::from(header.destination()) },
        id: 0,
        ttl: header.hop_limit(),
        source_routed: false,
    };
    Ok(match header.next_header() {
        IpNumber::TCP => (ip, Next::Tcp, rest),
        IpNumber::IPV6_HEADER_HOP_BY_HOP if len == 0 => {
            (ip, Next::IpPayload(IpNumber::IPV6_HEADER_HOP_BY_HOP.0), with_jumbo_len(rest))
        }
        other => (ip, Next::IpPayload(other.0), rest),
    })
}

/// What an extension header leads to.
pub(super) enum Extension<'a> {
    /// The next header, and what follows.
    Skipped(u8, View<'a>),
    /// A part of a datagram.
    Fragment(Fragment, View<'a>),
}

/// Whether [`extension`] takes it. The authentication header, which IPv4 has too, is not among them.
pub(super) fn is_extension(number: IpNumber) -> bool {
    matches!(
        number,
        IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_FRAGMENTATION_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::MOBILITY_HEADER
            | IpNumber::HIP
            | IpNumber::SHIM6
    )
}

/// One extension header: next header, length in 8-byte units less 1, body (RFC 6564); the fragment header is always 8
/// bytes.
pub(super) fn extension<'a>(number: IpNumber, view: View<'a>, around: &mut Around) -> Result<Extension<'a>, Reject> {
    let (&[next, units, high, low, id @ ..], after_first) = view.header::<8>(Layer::Extension)?;
    if number == IpNumber::IPV6_FRAGMENTATION_HEADER {
        let field = u16::from_be_bytes([high, low]);
        let fragment =
            Fragment { id: u32::from_be_bytes(id), offset: field & !7, more: field & 1 == 1, protocol: next };
        // Alone and whole: an atomic fragment (RFC 6946).
        return Ok(if fragment.offset == 0 && !fragment.more {
            Extension::Skipped(next, after_first)
        } else {
            Extension::Fragment(fragment, after_first)
        });
    }
    let rest = view.skip((usize::from(units) + 1) * 8, Layer::Extension)?;
    if number == IpNumber::IPV6_ROUTE_HEADER {
        let (kind, segments_left) = (high, low);
        let addresses = after_first.bytes.get(..usize::from(units) * 8).unwrap_or_default().as_chunks().0;
        if let Some(IpHeader { pair: IpPair::V6 { destination, .. }, source_routed, .. }) = &mut around.ip {
            *source_routed = true;
            if let Some(last) = final_segment(kind, addresses).filter(|_| segments_left > 0) {
                *destination = Ipv6Addr::from(last);
            }
        }
    }
    Ok(Extension::Skipped(next, rest))
}

/// The last address of a route that has segments left.
fn final_segment(kind: u8, addresses: &[[u8; 16]]) -> Option<[u8; 16]> {
    match kind {
        // Source route (RFC 2460 §4.4, deprecated), mobile IPv6's home address (RFC 6275 §6.4): in order of visit.
        0 | 2 => addresses.last(),
        // Segment routing (RFC 8754 §2): in reverse order. What follows the list are TLVs.
        4 => addresses.first(),
        _ => None,
    }
    .copied()
}

/// As long as the jumbo payload option of the hop-by-hop header at the start says (RFC 2675 §2), if there is one; not
/// longer than the frame was: up to 4 GiB is more than any link carries, but not more than a header can claim.
fn with_jumbo_len(view: View<'_>) -> View<'_> {
    const PAD1: u8 = 0;
    const JUMBO: u8 = 0xc2;
    let [_, units, body @ ..] = view.bytes else { return view };
    let mut options = body.get(..usize::from(*units) * 8 + 6).unwrap_or(body);
    loop {
        match options {
            [PAD1, rest @ ..] => options = rest,
            [JUMBO, 4, a, b, c, d, ..] => {
                return view.with_len((u32::from_be_bytes([*a, *b, *c, *d]) as usize).min(view.len));
            }
            [_, len, rest @ ..] => options = rest.get(usize::from(*len)..).unwrap_or_default(),
            _ => return view,
        }
    }
}

/// Why the header could not be read.
#[cold]
fn explain(view: View<'_>) -> Reject {
    match view.nibble() {
        Some(6) | None => view.too_short(FIXED, Layer::Ipv6),
        Some(_) => Reject::malformed(Layer::Ipv6, Reason::Version),
    }
}

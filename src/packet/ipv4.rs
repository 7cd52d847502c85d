//! IPv4 (RFC 791).

use etherparse::{IpNumber, Ipv4HeaderSlice};

use super::IpPair;
use super::view::{Fragment, IpHeader, Layer, Next, Reason, Reject, View};

/// Strict and loose source route (RFC 791 §3.1); both are copied into every fragment.
mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const LOOSE_ROUTE: u8 = 131;
    pub(super) const STRICT_ROUTE: u8 = 137;
}

/// Bytes of the header without options.
const FIXED: usize = 20;

/// Reads the header; the view that follows is as long as it says.
///
/// A total length of 0 is what the kernel's segmentation offload leaves, also for packets beyond 64 KiB (BIG TCP): then
/// the frame's own length counts.
#[inline(always)]
pub(super) fn header(view: View<'_>) -> Result<(IpHeader, Next, View<'_>), Reject> {
    let Ok(header) = Ipv4HeaderSlice::from_slice(view.bytes) else { return Err(explain(view)) };
    let total = usize::from(header.total_len());
    let view = if total == 0 { view } else { view.with_len(total) };
    let header_len = header.slice().len();
    if view.len < header_len {
        return Err(Reject::malformed(Layer::Ipv4, Reason::TotalLength));
    }
    let rest = view.skip(header_len, Layer::Ipv4)?;
    let mut destination = u32::from_be_bytes(header.destination());
    let mut source_routed = false;
    if header_len > FIXED
        && let Some(route) = source_route(header.options(), destination)
    {
        source_routed = true;
        destination = route;
    }
    let ip = IpHeader {
        pair: IpPair::V4 { source: u32::from_be_bytes(header.source()), destination },
        id: header.identification(),
        ttl: header.ttl(),
        source_routed,
    };
    let protocol = header.protocol();
    if header.is_fragmenting_payload() {
        let fragment = Fragment {
            id: u32::from(header.identification()),
            // 13 bits of 8-byte units.
            offset: header.fragments_offset().value() << 3,
            more: header.more_fragments(),
            protocol: protocol.0,
        };
        return Ok((ip, Next::Fragment(fragment), rest));
    }
    let next = if protocol == IpNumber::TCP { Next::Tcp } else { Next::IpPayload(protocol.0) };
    Ok((ip, next, rest))
}

/// The final destination if there is a source route: `next_hop` once the route has been used up.
///
/// Option type, length, pointer (from 1, to the next address), addresses. The header's destination is the next hop, and
/// the last address the final destination, until the pointer has passed the end.
fn source_route(mut options: &[u8], next_hop: u32) -> Option<u32> {
    loop {
        match options {
            [option::NOP, rest @ ..] => options = rest,
            [] | [_] | [option::END, ..] => return None,
            [kind, len, body @ ..] => {
                let body_len = usize::from(*len).checked_sub(2)?;
                let (body, rest) = body.split_at_checked(body_len)?;
                if !matches!(*kind, option::LOOSE_ROUTE | option::STRICT_ROUTE) {
                    options = rest;
                    continue;
                }
                let (pointer, route) = body.split_first()?;
                let pending = usize::from(*pointer) + 3 <= usize::from(*len);
                let last = route.as_chunks().0.last().filter(|_| pending);
                return Some(last.map_or(next_hop, |last| u32::from_be_bytes(*last)));
            }
        }
    }
}

/// Why the header could not be read.
#[cold]
fn explain(view: View<'_>) -> Reject {
    let reason = match view.bytes.first() {
        Some(first) if first >> 4 != 4 => Reason::Version,
        Some(first) if first & 0xf < 5 => Reason::HeaderLength,
        Some(first) => return view.too_short(usize::from(first & 0xf) * 4, Layer::Ipv4),
        None => return view.too_short(FIXED, Layer::Ipv4),
    };
    Reject::malformed(Layer::Ipv4, reason)
}

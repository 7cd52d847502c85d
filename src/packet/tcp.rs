//! The TCP header (RFC 9293 §3.1).
//!
//! ```text
//!  0  source port            2  destination port
//!  4  sequence number        8  acknowledgement number
//! 12  data offset (4 bits)  13  flags                  14  window
//! 16  checksum              18  urgent pointer         20  options
//! ```
//!
//! Read here rather than by etherparse, which takes only headers that were captured whole.

use super::view::{IpHeader, Layer, Malformed, Reason, View};
use super::{Decoded, Header, Segment, TapHint, TcpChecksum, TcpFlags};

/// Bytes of the header without options.
pub(super) const FIXED: usize = 20;

/// The segment that `view` starts with, and what the layers around it told; its headers are kept in `kept`.
#[inline]
pub(super) fn segment<'a>(
    view: View<'a>,
    ip: &IpHeader,
    encapsulations: u8,
    tap: TapHint,
    kept: &'a mut Header,
) -> Decoded<'a> {
    let Some((header, rest)) = view.bytes.split_first_chunk::<FIXED>() else {
        return malformed(if view.len < FIXED { Reason::Short } else { Reason::Cut });
    };
    #[rustfmt::skip]
    let &[
        from_0, from_1, to_0, to_1, seq_0, seq_1, seq_2, seq_3, ack_0, ack_1, ack_2, ack_3,
        data_offset, flags, window_0, window_1, checksum_0, checksum_1, urgent_0, urgent_1,
    ] = header;
    let header_len = usize::from(data_offset >> 4) * 4;
    if header_len < FIXED {
        return malformed(Reason::DataOffset);
    }
    if header_len > view.len {
        return malformed(Reason::DataOffsetBeyond);
    }
    let (options, payload, options_cut) = match rest.split_at_checked(header_len - FIXED) {
        Some((options, payload)) => (options, payload, false),
        None => (rest, &[][..], true),
    };
    *kept = Header {
        ip: ip.pair,
        source_port: u16::from_be_bytes([from_0, from_1]),
        destination_port: u16::from_be_bytes([to_0, to_1]),
        seq: u32::from_be_bytes([seq_0, seq_1, seq_2, seq_3]),
        ack: u32::from_be_bytes([ack_0, ack_1, ack_2, ack_3]),
        flags: TcpFlags(flags),
        window: u16::from_be_bytes([window_0, window_1]),
        options_cut,
        payload_len: u32::try_from(view.len - header_len).unwrap_or(u32::MAX),
        payload_sum: None,
        checksum: TcpChecksum {
            written: u16::from_be_bytes([checksum_0, checksum_1]),
            data_offset,
            urgent: u16::from_be_bytes([urgent_0, urgent_1]),
        },
        ip_id: ip.id,
        ttl: ip.ttl,
        source_routed: ip.source_routed,
        encapsulations,
        tap,
    };
    Decoded::Tcp(Segment { header: kept, options, payload })
}

#[cold]
fn malformed(reason: Reason) -> Decoded<'static> {
    Decoded::Malformed(Malformed { layer: Layer::Tcp, reason })
}

//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each section in its own byte order and with its own
//! interfaces, each of them with its own link type, snaplen, resolution and offset of time.
//!
//! ```text
//! block      type 4 | length 4 | body | length 4                            length of all, rounded up to 4
//! section    0a0d0d0a | length | 1a2b3c4d | major 2 | minor 2 | section length 8 | options | length
//! interface  1 | length | link type 2 | reserved 2 | snaplen 4 | options | length
//! packet     6 | length | interface 4 | time high 4 | time low 4 | captured 4 | wire 4 | bytes, padded | options | length
//! simple     3 | length | wire 4 | bytes, padded | length
//! obsolete   2 | length | interface 2 | drops 2 | time high 4 | time low 4 | captured 4 | wire 4 | bytes | options | length
//! option     code 2 | length 2 | value, padded
//! ```
//!
//! Every other block is skipped.

use super::step::{Damage, Record, Step};
use super::{InterfaceInfo, Kind};
use crate::frame::{LinkType, Timestamp};
use crate::limits::{CAPTURE_RECORD_BYTES, INPUT_INTERFACES, INTERFACE_NAME_BYTES, SECTION_INTERFACES};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// Bytes of type and length before, and of the length behind a block's body.
const FRAMING: usize = 12;
/// Bytes before the frame in an enhanced and in an obsolete packet block.
const PACKET_HEADER: usize = 28;
/// Bytes before the frame in a simple packet block.
const SIMPLE_HEADER: usize = 12;

/// Where in the file we are: the section's byte order and interfaces.
#[derive(Clone, Debug, Default)]
pub(super) struct PcapngFile {
    swapped: bool,
    /// The section's interfaces, the first [`SECTION_INTERFACES`] of them.
    section: Vec<Interface>,
    /// Interfaces that the section describes beyond these: their packets are frames that nobody can read.
    more: u32,
    /// Index, among the input's, of the section's first interface.
    first_interface: usize,
    /// A packet's time, for simple packet blocks, which have none: that of the last.
    time: Option<i64>,
}

/// What a packet needs to know of its interface.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    clock: Clock,
}

impl Interface {
    /// One that was described when there were too many already.
    const UNKNOWN: Self =
        Self { link: LinkType(u32::MAX), snaplen: 0, clock: Clock { unit: Unit::Nanoseconds(1000), offset: 0 } };
}

impl PcapngFile {
    pub(super) const KIND: Kind = Kind::Pcapng;

    /// Whether a file that starts so is a pcapng: a section header's type, and its byte-order magic as far as it is there.
    pub(super) fn recognises(start: &[u8]) -> bool {
        if start.first_chunk().is_none_or(|kind| u32::from_be_bytes(*kind) != SECTION_HEADER) {
            return false;
        }
        let magic = start.get(8..12).and_then(<[u8]>::first_chunk);
        magic.is_none_or(|magic| section_swapped(*magic).is_some())
    }

    /// Whether the block at the start of `rest`, though cut, is known to hold a packet.
    pub(super) fn begins_packet(&self, rest: &[u8]) -> bool {
        let kind = rest.first_chunk().map(|kind| self.u32(*kind));
        matches!(kind, Some(PACKET | SIMPLE_PACKET | ENHANCED_PACKET))
    }

    /// Whether a whole block is at hand, of whatever kind.
    pub(super) fn has_block(&self, rest: &[u8]) -> bool {
        let length = rest.get(4..8).and_then(<[u8]>::first_chunk);
        length.is_some_and(|&length| self.u32(length) as usize <= rest.len())
    }

    /// The block at the start of `rest`. An interface that it describes is appended to `interfaces`.
    #[inline]
    pub(super) fn step(&mut self, rest: &[u8], interfaces: &mut Vec<InterfaceInfo>) -> Step {
        let Some(&[k0, k1, k2, k3, l0, l1, l2, l3]) = rest.first_chunk::<8>() else { return Step::Need(8) };
        let kind = self.u32([k0, k1, k2, k3]);
        if kind == SECTION_HEADER {
            // Its length can only be read once its byte order is known.
            let Some(magic) = rest.get(8..12).and_then(<[u8]>::first_chunk) else { return Step::Need(FRAMING) };
            let Some(swapped) = section_swapped(*magic) else { return Step::Damaged(Damage::UnknownSection) };
            self.swapped = swapped;
        }
        let length = self.u32([l0, l1, l2, l3]);
        let total = length as usize;
        if total > CAPTURE_RECORD_BYTES {
            return Step::Damaged(Damage::TooLong(length));
        }
        if total < FRAMING {
            return Step::Damaged(Damage::TooShort(length));
        }
        // Some writers forget the padding in the length (Wireshark rounds up, too).
        let consumed = total.next_multiple_of(4);
        let Some((body, end)) = rest.get(..consumed).and_then(|block| block.split_last_chunk::<4>()) else {
            return Step::Need(consumed);
        };
        let last = self.u32(*end);
        if last != length {
            return Step::Damaged(Damage::LengthsDiffer { first: length, last });
        }
        match kind {
            ENHANCED_PACKET | PACKET => self.packet(kind, body, consumed),
            SIMPLE_PACKET => self.simple_packet(body, consumed),
            INTERFACE_DESCRIPTION => self.interface(body, consumed, interfaces),
            SECTION_HEADER => self.section(body, consumed, interfaces.len()),
            _ => Step::Skip(consumed),
        }
    }

    /// An enhanced or obsolete packet block; `block` is all of it but the length at its end.
    #[inline]
    fn packet(&mut self, kind: u32, block: &[u8], consumed: usize) -> Step {
        let Some((head, rest)) = block.split_first_chunk::<PACKET_HEADER>() else {
            return Step::Damaged(Damage::TooShort(consumed as u32));
        };
        let [_, _, _, _, _, _, _, _, i0, i1, i2, i3, h0, h1, h2, h3, t0, t1, t2, t3, c0, c1, c2, c3, w0, w1, w2, w3] =
            *head;
        let id = if kind == PACKET { u32::from(self.u16([i0, i1])) } else { self.u32([i0, i1, i2, i3]) };
        let interface = match self.section.get(id as usize) {
            Some(interface) => interface,
            None if (id as usize).wrapping_sub(self.section.len()) < self.more as usize => &Interface::UNKNOWN,
            None => return Step::Damaged(Damage::UnknownInterface(id)),
        };
        let captured = self.u32([c0, c1, c2, c3]);
        let len = captured as usize;
        if len > rest.len() {
            return Step::Damaged(Damage::TooLong(captured));
        }
        let ticks = u64::from(self.u32([h0, h1, h2, h3])) << 32 | u64::from(self.u32([t0, t1, t2, t3]));
        let time = interface.clock.nanoseconds(ticks);
        self.time = Some(time);
        Step::Frame(Record {
            skip: PACKET_HEADER,
            len,
            consumed,
            time,
            wire_len: self.u32([w0, w1, w2, w3]).max(captured),
            interface: self.first_interface.saturating_add(id as usize).min(INPUT_INTERFACES) as u16,
            link: interface.link,
        })
    }

    /// A simple packet block: of the first interface, cut at its snaplen. It has no time: it gets its predecessor's, or
    /// none. (The next packet's may not have been read yet.)
    #[cold]
    fn simple_packet(&mut self, block: &[u8], consumed: usize) -> Step {
        let Some((&[_, _, _, _, _, _, _, _, w0, w1, w2, w3], rest)) = block.split_first_chunk::<SIMPLE_HEADER>() else {
            return Step::Damaged(Damage::TooShort(consumed as u32));
        };
        let interface = match self.section.first() {
            Some(interface) => interface,
            None if self.more > 0 => &Interface::UNKNOWN,
            None => return Step::Damaged(Damage::UnknownInterface(0)),
        };
        let interface = *interface;
        let time = self.time.unwrap_or(Timestamp::UNKNOWN.0);
        let wire_len = self.u32([w0, w1, w2, w3]);
        let kept = if interface.snaplen == 0 { wire_len } else { wire_len.min(interface.snaplen) };
        Step::Frame(Record {
            skip: SIMPLE_HEADER,
            len: rest.len().min(kept as usize),
            consumed,
            time,
            wire_len,
            interface: self.first_interface as u16,
            link: interface.link,
        })
    }

    /// A section header: what follows is in its byte order and of its interfaces only.
    #[cold]
    fn section(&mut self, block: &[u8], consumed: usize, interfaces: usize) -> Step {
        let major = match block.get(12..14).and_then(<[u8]>::first_chunk) {
            Some(major) if consumed >= 28 => self.u16(*major),
            _ => return Step::Damaged(Damage::TooShort(consumed as u32)),
        };
        if major != 1 {
            return Step::Damaged(Damage::UnknownSection);
        }
        self.section.clear();
        self.more = 0;
        self.first_interface = interfaces;
        Step::Skip(consumed)
    }

    /// An interface description.
    #[cold]
    fn interface(&mut self, block: &[u8], consumed: usize, interfaces: &mut Vec<InterfaceInfo>) -> Step {
        let Some((head, mut options)) = block.split_first_chunk::<16>() else {
            return Step::Damaged(Damage::TooShort(consumed as u32));
        };
        if self.section.len() >= SECTION_INTERFACES || interfaces.len() >= INPUT_INTERFACES {
            self.more = self.more.saturating_add(1);
            return Step::Skip(consumed);
        }
        let [_, _, _, _, _, _, _, _, l0, l1, _, _, s0, s1, s2, s3] = *head;
        let link = LinkType(u32::from(self.u16([l0, l1])));
        let snaplen = self.u32([s0, s1, s2, s3]);
        let mut name = None;
        let mut resolution = 6;
        let mut offset = 0;
        while let Some((code, value, rest)) = self.option(options) {
            match code {
                IF_NAME => {
                    let value = value.get(..INTERFACE_NAME_BYTES).unwrap_or(value);
                    name = Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
                }
                IF_TSRESOL => resolution = value.first().copied().unwrap_or(resolution),
                IF_TSOFFSET => offset = value.first_chunk().map_or(offset, |value| self.i64(*value)),
                _ => {}
            }
            options = rest;
        }
        self.section.push(Interface { link, snaplen, clock: Clock::new(resolution, offset) });
        interfaces.push(InterfaceInfo { name: name.filter(|name| !name.is_empty()), link, snaplen });
        Step::Skip(consumed)
    }

    /// Code and value of the first option, and the rest; `None` at the end, also where an option is longer than its block.
    fn option<'a>(&self, options: &'a [u8]) -> Option<(u16, &'a [u8], &'a [u8])> {
        let (&[c0, c1, l0, l1], rest) = options.split_first_chunk::<4>()?;
        let len = usize::from(self.u16([l0, l1]));
        let code = self.u16([c0, c1]);
        let value = rest.get(..len)?;
        (code != 0).then(|| (code, value, rest.get(len.next_multiple_of(4)..).unwrap_or_default()))
    }

    #[inline]
    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.swapped { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    #[inline]
    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.swapped { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn i64(&self, bytes: [u8; 8]) -> i64 {
        if self.swapped { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) }
    }
}

/// Whether a section is big-endian; `None` if that is no byte-order magic.
fn section_swapped(magic: [u8; 4]) -> Option<bool> {
    if u32::from_le_bytes(magic) == BYTE_ORDER_MAGIC {
        Some(false)
    } else if u32::from_be_bytes(magic) == BYTE_ORDER_MAGIC {
        Some(true)
    } else {
        None
    }
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug)]
struct Clock {
    unit: Unit,
    /// Nanoseconds to add.
    offset: i64,
}

/// The unit of a time.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// So many nanoseconds each.
    Nanoseconds(u64),
    /// So many in a nanosecond.
    PerNanosecond(u64),
    /// 2^n in a second.
    PowerOfTwo(u32),
}

impl Clock {
    /// From `if_tsresol` (the exponent of ten, or of two if the high bit is set) and `if_tsoffset` (seconds).
    fn new(resolution: u8, offset: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::PowerOfTwo(exponent)
        } else if exponent <= 9 {
            Unit::Nanoseconds(10_u64.saturating_pow(9_u32.saturating_sub(exponent)))
        } else {
            // A unit too short for 64 bits to reach a nanosecond: all times are 0.
            10_u64.checked_pow(exponent.saturating_sub(9)).map_or(Unit::PowerOfTwo(127), Unit::PerNanosecond)
        };
        Self { unit, offset: offset.saturating_mul(1_000_000_000) }
    }

    /// Nanoseconds since the epoch, rounded down, saturating.
    #[inline]
    fn nanoseconds(self, ticks: u64) -> i64 {
        let nanoseconds = match self.unit {
            Unit::Nanoseconds(each) => ticks.saturating_mul(each),
            // Never zero: a power of ten.
            Unit::PerNanosecond(count) => ticks.checked_div(count).unwrap_or(0),
            // 2⁶⁴ · 10⁹ < 2⁹⁴ fits, and no shift beyond 127.
            Unit::PowerOfTwo(n) => u64::try_from((u128::from(ticks) * 1_000_000_000) >> n).unwrap_or(u64::MAX),
        };
        i64::try_from(nanoseconds).unwrap_or(i64::MAX).saturating_add(self.offset)
    }
}

#[cfg(test)]
mod tests;

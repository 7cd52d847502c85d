//! The classic pcap format (draft-ietf-opsawg-pcap): a file header, then records. Microseconds or nanoseconds, either byte
//! order, and Kuznetzov's variant with its longer record header.
//!
//! ```text
//! file    magic 4 | major 2 | minor 2 | reserved 8 | snaplen 4 | FCS and link type 4
//! record  seconds 4 | fraction 4 | captured length 4 | wire length 4 | [ifindex 4 | protocol 2 | type 1 | pad 1] | bytes
//! ```

use super::step::{Damage, Record, Step};
use super::{InterfaceInfo, Kind};
use crate::frame::LinkType;
use crate::limits::CAPTURE_RECORD_BYTES;

/// Bytes of the file header.
pub(super) const HEADER: usize = 24;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const KUZNETZOV: u32 = 0xa1b2_cd34;

/// What the file header says, as needed to read records.
#[derive(Clone, Copy, Debug)]
pub(super) struct PcapFile {
    swapped: bool,
    /// Nanoseconds in one unit of the fraction.
    fraction: i64,
    /// Bytes of a record header: 16, Kuznetzov's 24.
    record_header: usize,
    link: LinkType,
    snaplen: u32,
}

impl PcapFile {
    /// Whether a file that starts so is a pcap.
    pub(super) fn recognises(start: &[u8]) -> bool {
        start.first_chunk().is_some_and(|magic| variant(*magic).is_some())
    }

    /// Reads the file header; `None` for another magic.
    pub(super) fn new(header: [u8; HEADER]) -> Option<Self> {
        let [m0, m1, m2, m3, _, _, _, _, _, _, _, _, _, _, _, _, s0, s1, s2, s3, l0, l1, l2, l3] = header;
        let (swapped, fraction, record_header) = variant([m0, m1, m2, m3])?;
        // The upper bits tell the length of the frame check sequence; libpcap's LT_LINKTYPE masks them in the same way.
        let link = LinkType(word([l0, l1, l2, l3], swapped) & 0x03ff_ffff);
        Some(Self { swapped, fraction, record_header, link, snaplen: word([s0, s1, s2, s3], swapped) })
    }

    /// Its only interface.
    pub(super) fn interface(&self) -> InterfaceInfo {
        InterfaceInfo { name: None, link: self.link, snaplen: self.snaplen }
    }

    pub(super) const KIND: Kind = Kind::Pcap;

    /// The record at the start of `rest`.
    #[inline]
    pub(super) fn step(&self, rest: &[u8]) -> Step {
        let Some(header) = rest.first_chunk::<16>().filter(|_| rest.len() >= self.record_header) else {
            return Step::Need(self.record_header);
        };
        let [t0, t1, t2, t3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3] = *header;
        let captured = word([c0, c1, c2, c3], self.swapped);
        let wire_len = word([w0, w1, w2, w3], self.swapped);
        let len = captured as usize;
        if (captured > wire_len || len > CAPTURE_RECORD_BYTES || wire_len == 0)
            && let Some(damage) = damage(header, captured, wire_len)
        {
            return Step::Damaged(damage);
        }
        let consumed = self.record_header + len;
        if rest.len() < consumed {
            return Step::Need(consumed);
        }
        let seconds = i64::from(word([t0, t1, t2, t3], self.swapped));
        let fraction = i64::from(word([f0, f1, f2, f3], self.swapped));
        // At most 2³² · 10⁹ + 2³² · 10³: no overflow.
        let time = seconds * 1_000_000_000 + fraction * self.fraction;
        Step::Frame(Record { skip: self.record_header, len, consumed, time, wire_len, interface: 0, link: self.link })
    }
}

/// What is wrong with a suspicious record; nothing, if it is an empty packet with a time.
#[cold]
fn damage(header: &[u8; 16], captured: u32, wire: u32) -> Option<Damage> {
    if captured as usize > CAPTURE_RECORD_BYTES {
        Some(Damage::TooLong(captured))
    } else if captured > wire {
        Some(Damage::MoreThanOnTheWire { captured, wire })
    } else if *header == [0; 16] {
        Some(Damage::Zeros)
    } else {
        None
    }
}

/// Byte order, nanoseconds per unit of fraction, and bytes of a record header, by the magic.
fn variant(magic: [u8; 4]) -> Option<(bool, i64, usize)> {
    let swapped = !matches!(u32::from_le_bytes(magic), MICROSECONDS | NANOSECONDS | KUZNETZOV);
    match word(magic, swapped) {
        MICROSECONDS => Some((swapped, 1000, 16)),
        NANOSECONDS => Some((swapped, 1, 16)),
        KUZNETZOV => Some((swapped, 1000, 24)),
        _ => None,
    }
}

/// A word: little-endian, or `swapped`.
#[inline]
fn word(bytes: [u8; 4], swapped: bool) -> u32 {
    let little = u32::from_le_bytes(bytes);
    if swapped { little.swap_bytes() } else { little }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Words = fn(u32) -> [u8; 4];
    type Halves = fn(u16) -> [u8; 2];

    /// A header in the byte order in which `order` and `half` write.
    fn header(magic: u32, link: u32, order: Words, half: Halves) -> [u8; HEADER] {
        let words =
            [order(magic), [half(2), half(4)].concat().try_into().unwrap(), [0; 4], [0; 4], order(96), order(link)];
        words.concat().try_into().unwrap()
    }

    #[test]
    fn both_orders_and_resolutions() {
        let orders: [(Words, Halves); 2] = [(u32::to_le_bytes, u16::to_le_bytes), (u32::to_be_bytes, u16::to_be_bytes)];
        for (order, half) in orders {
            for (magic, time) in [(0xa1b2_c3d4, 1_700_000_000_000_005_000), (0xa1b2_3c4d, 1_700_000_000_000_000_005)] {
                // The FCS bits (4 bytes, present) are not part of the link type.
                let file = header(magic, 0x2400_0071, order, half);
                assert!(PcapFile::recognises(&file));
                let pcap = PcapFile::new(file).unwrap();
                assert_eq!(pcap.interface(), InterfaceInfo { name: None, link: LinkType::LINUX_SLL, snaplen: 96 });
                let mut record = [1_700_000_000, 5, 3, 1500].map(order).concat();
                record.extend(b"abcNEXT");
                let expected = Record {
                    skip: 16,
                    len: 3,
                    consumed: 19,
                    time,
                    wire_len: 1500,
                    interface: 0,
                    link: LinkType::LINUX_SLL,
                };
                assert_eq!(pcap.step(&record), Step::Frame(expected));
                for cut in 0..19 {
                    assert_eq!(pcap.step(&record[..cut]), Step::Need(if cut < 16 { 16 } else { 19 }));
                }
            }
        }
    }

    #[test]
    fn kuznetzovs_records_have_eight_more_bytes() {
        let pcap = PcapFile::new(header(0xa1b2_cd34, 1, u32::to_le_bytes, u16::to_le_bytes)).unwrap();
        let mut record = [1, 2, 3, 4, 0, 0].map(u32::to_le_bytes).concat();
        record.extend(b"abc");
        let Step::Frame(frame) = pcap.step(&record) else { panic!("no frame") };
        assert_eq!((frame.skip, frame.len, frame.consumed, frame.time), (24, 3, 27, 1_000_002_000));
    }

    #[test]
    fn nonsense_is_damage() {
        let pcap = PcapFile::new(header(0xa1b2_c3d4, 1, u32::to_le_bytes, u16::to_le_bytes)).unwrap();
        let step = |words: [u32; 4]| pcap.step(&words.map(u32::to_le_bytes).concat());
        assert_eq!(step([1, 0, 61, 60]), Step::Damaged(Damage::MoreThanOnTheWire { captured: 61, wire: 60 }));
        assert_eq!(step([1, 0, 0x0100_0001, u32::MAX]), Step::Damaged(Damage::TooLong(0x0100_0001)));
        assert_eq!(step([0; 4]), Step::Damaged(Damage::Zeros));
        assert!(matches!(step([1, 0, 0, 0]), Step::Frame(Record { len: 0, .. })), "an empty packet with a time is one");
    }
}

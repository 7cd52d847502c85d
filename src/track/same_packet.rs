//! The same packet at several inputs: do its MPTCP options say the same at each?
//!
//! What tells a packet from all others (sequence numbers counted alike at all inputs, flags, window, length, timestamps, IPv4
//! identification) is kept for the segments of late, with hashes of what its options say. So each packet is compared with itself
//! only: what a capture lost, what was cut or merged, what is sent again stays out of it.

use super::Place;
use super::mark::Mark;
use super::side::{PerSide, Side};
use super::sites::Sites;
use super::tap::{fingerprint, fold};
use crate::limits;
use crate::packet::Segment;
use crate::wire::{self, Dss, MptcpOption, RawSequence, Subtype, TcpOption, kind};

/// Segments a set holds.
const WAYS: usize = 8;
const SETS: usize = limits::COMPARED_SEGMENTS / WAYS;

/// Segments of late, of any input.
#[derive(Default)]
pub(super) struct SamePacket {
    /// Empty until a segment comes; in a set the newest is first.
    sets: Vec<[Shown; WAYS]>,
}

/// A segment at one input.
#[derive(Clone, Copy, Default)]
struct Shown {
    key: u64,
    frame: Option<Mark>,
    says: Says,
}

/// What the MPTCP options of a segment say, as hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Says {
    /// One bit a subtype.
    subtypes: u16,
    /// Low halves of DATA_ACK and DSN, SSN, length, and the rest of the DSS; all the same where it can't be read.
    dss: [u16; 5],
    /// High halves of DATA_ACK and DSN; 0 where they are not sent.
    high: [u16; 2],
    /// All other options, each in the slot of its subtype's two lowest bits.
    others: [u16; 4],
}

/// Options of packets that say different things at two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Sender of the packets.
    pub from: Side,
    /// Subtype of the option.
    pub subtype: Subtype,
    /// How they differ.
    pub how: How,
    /// The first such packet at both inputs, that of the lower site first.
    pub frames: [Mark; 2],
    /// Such packets.
    pub count: u32,
    /// The latest of them.
    latest: u64,
}

/// How an option differs, of two sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The lower one lacks it.
    LowerLacks,
    /// The higher one does.
    HigherLacks,
    /// Both have it, with other contents; of a DSS, one bit a part: DATA_ACK, DSN, SSN, length, the rest, and
    /// [`SHORTENED`].
    Changed(u8),
}

/// The bit of [`How::Changed`] that says that DATA_ACK or DSN has 64 bits at one site and the same low 32 of them at the other.
pub const SHORTENED: u8 = 1 << 5;

/// What came of a look.
pub(super) struct Look {
    key: u64,
    frame: Mark,
    says: Says,
    /// The same input has shown such a segment before: nothing tells the two apart.
    twin: bool,
    /// The packet at another input, where it says something else.
    other: [Option<Shown>; WAYS],
}

impl SamePacket {
    /// Compares a segment with itself at other inputs. `place` is its direction, `shift` what this input's sequence numbers
    /// are ahead of those that the connection was first seen with, by sender.
    pub(super) fn look(
        &mut self,
        place: Place,
        shift: PerSide<u32>,
        segment: &Segment<'_>,
        timestamps: Option<(u32, u32)>,
        frame: Mark,
        sites: &Sites,
    ) -> Option<Look> {
        // The handshake's SYNs are kept as they are; of cut options nobody knows what they said.
        if segment.flags.syn() || segment.options_cut {
            return None;
        }
        if self.sets.is_empty() {
            self.sets = vec![[Shown::default(); WAYS]; SETS];
        }
        let key = key(place.number(), shift, place.from, segment, timestamps);
        let set = self.sets.get_mut(key as usize % SETS)?;
        let here = sites.of(frame.frame().input);
        let mut look = Look { key, frame, says: Says::of(segment.options), twin: false, other: [None; WAYS] };
        for shown in set.iter().filter(|shown| shown.key == key) {
            let Some(there) = shown.frame else { continue };
            if sites.of(there.frame().input) == here {
                look.twin = true;
            } else if let Some(free) = look.other.iter_mut().find(|other| other.is_none()) {
                *free = Some(*shown);
            }
        }
        set.rotate_right(1);
        *set.first_mut()? = Shown { key, frame: Some(frame), says: look.says };
        Some(look)
    }
}

impl Look {
    /// Whether there is anything to take note of.
    pub(super) fn is_eventful(&self) -> bool {
        self.twin || self.other.iter().flatten().any(|other| other.says != self.says)
    }

    /// Takes note of what differs.
    pub(super) fn note(&self, from: Side, sites: &Sites, known: &mut Vec<Difference>) {
        if self.twin {
            // What was compared with one of two that look the same may have been the other.
            for difference in known.iter_mut().filter(|difference| difference.latest == self.key) {
                difference.count = difference.count.saturating_sub(1);
                difference.latest = 0;
            }
            known.retain(|difference| difference.count > 0);
            return;
        }
        let site = |shown: &&Shown| shown.frame.map(|frame| sites.of(frame.frame().input));
        for other in self.other.iter().flatten() {
            let mut there = self.other.iter().flatten().filter(|shown| site(shown) == site(&other));
            if there.clone().count() == 1 && there.all(|shown| shown.says != self.says) {
                self.differs(from, other, sites, known);
            }
        }
    }

    fn differs(&self, from: Side, other: &Shown, sites: &Sites, known: &mut Vec<Difference>) {
        let Some(there) = other.frame else { return };
        let site = |frame: Mark| sites.of(frame.frame().input);
        let turned = site(there) > site(self.frame);
        let (frames, lower, higher) = if turned {
            ([self.frame, there], self.says, other.says)
        } else {
            ([there, self.frame], other.says, self.says)
        };
        for subtype in 0..16 {
            let Some(how) = lower.differs(&higher, Subtype(subtype)) else { continue };
            let pair = frames.map(site);
            let same = |known: &&mut Difference| {
                let kind = std::mem::discriminant(&known.how) == std::mem::discriminant(&how);
                (known.from, known.subtype.0) == (from, subtype) && kind && known.frames.map(site) == pair
            };
            if let Some(known) = known.iter_mut().find(same) {
                known.count = known.count.saturating_add(1);
                known.latest = self.key;
                if let (How::Changed(parts), How::Changed(more)) = (&mut known.how, how) {
                    *parts |= more;
                }
            } else if known.len() < limits::DIFFERENCES {
                let subtype = Subtype(subtype);
                known.push(Difference { from, subtype, how, frames, count: 1, latest: self.key });
            }
        }
    }
}

impl Says {
    fn of(options: &[u8]) -> Self {
        let mut says = Self::default();
        for item in wire::options(options).filter(|item| item.kind == kind::MPTCP) {
            let subtype = item.bytes.get(2).map_or(0xf, |third| third >> 4);
            says.subtypes |= 1 << subtype;
            if let TcpOption::Mptcp(MptcpOption::Dss(dss)) = item.option {
                let parts = parts(&dss);
                says.dss.iter_mut().zip(parts).for_each(|(known, part)| *known = known.rotate_left(1) ^ part);
                says.high = [dss.data_ack, dss.mapping.map(|mapping| mapping.dsn)].map(high);
            } else if subtype == Subtype::DSS.0 {
                let hash = hash(item.bytes) as u16;
                says.dss.iter_mut().for_each(|known| *known = known.rotate_left(1) ^ hash);
            } else if let Some(slot) = says.others.get_mut(usize::from(subtype & 3)) {
                *slot = slot.rotate_left(1) ^ hash(item.bytes) as u16;
            }
        }
        says
    }

    fn differs(&self, higher: &Self, subtype: Subtype) -> Option<How> {
        let has = |says: &Self| says.subtypes >> subtype.0 & 1 == 1;
        match (has(self), has(higher)) {
            (false, false) => None,
            (false, true) => Some(How::LowerLacks),
            (true, false) => Some(How::HigherLacks),
            (true, true) if subtype == Subtype::DSS => {
                let differ = self.dss.iter().zip(&higher.dss).enumerate().filter(|(_, (one, other))| one != other);
                let mut parts = differ.fold(0, |parts, (index, _)| parts | 1 << index);
                for (index, pair) in self.high.into_iter().zip(higher.high).enumerate() {
                    parts |= match pair {
                        (one, other) if one == other => 0,
                        (0, _) | (_, 0) => SHORTENED,
                        _ => 1 << index,
                    };
                }
                (parts != 0).then_some(How::Changed(parts))
            }
            // One hash may be of several: it tells nothing of this one where another came or went.
            (true, true) => {
                let (slot, sharing) = (usize::from(subtype.0 & 3), 0x1111 << (subtype.0 & 3) & !(1 << Subtype::DSS.0));
                let same_kinds = (self.subtypes ^ higher.subtypes) & sharing == 0;
                let differs = same_kinds && self.others.get(slot) != higher.others.get(slot);
                differs.then_some(How::Changed(0))
            }
        }
    }
}

/// The flags of a DSS that say how long its numbers are (RFC 8684 §3.3).
const LENGTHS: u8 = 0x0a;

/// A hash of the high half of a DATA_ACK or DSN.
fn high(number: Option<RawSequence>) -> u16 {
    match number {
        Some(RawSequence::Long(all)) => (fold(all >> 32 ^ 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89) as u16).max(1),
        _ => 0,
    }
}

/// Hashes of the parts of a DSS.
fn parts(dss: &Dss) -> [u16; 5] {
    let sequence = |number: Option<RawSequence>| {
        number.map_or(0, |number| {
            let low = match number {
                RawSequence::Short(low) => low,
                RawSequence::Long(all) => all as u32,
            };
            fold(u64::from(low) ^ 0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
        })
    };
    let number = |number: u64| fold(number ^ 0x4528_21e6_38d0_1377, 0xbe54_66cf_34e9_0c6c);
    let (mapping, flags) = (dss.mapping, u64::from(dss.flags & !LENGTHS) << 8 | u64::from(dss.reserved));
    let checksum = mapping.and_then(|mapping| mapping.checksum).map_or(0, |checksum| 1 << 32 | u64::from(checksum));
    [
        sequence(dss.data_ack) as u16,
        sequence(mapping.map(|mapping| mapping.dsn)) as u16,
        mapping.map_or(0, |mapping| number(u64::from(mapping.ssn))) as u16,
        mapping.map_or(0, |mapping| number(u64::from(mapping.len))) as u16,
        number(checksum << 16 | flags) as u16,
    ]
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64 ^ 0x243f_6a88_85a3_08d3, |hash, chunk| {
        let number = chunk.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        fold(hash ^ number, 0x1319_8a2e_0370_7344 ^ hash.rotate_left(32))
    })
}

/// What tells a packet from all others.
fn key(owner: u64, shift: PerSide<u32>, from: Side, segment: &Segment<'_>, timestamps: Option<(u32, u32)>) -> u64 {
    let ack = if segment.flags.ack() { segment.ack.wrapping_sub(shift[from.peer()]) } else { 0 };
    let numbers = [segment.seq.wrapping_sub(shift[from]), ack];
    // 0 is a free slot's.
    fingerprint(owner, numbers, 0, segment, timestamps).max(1)
}

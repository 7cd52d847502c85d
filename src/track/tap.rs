//! Taps: where segments were captured, and whether one was seen at another tap before.

use hashbrown::HashMap;

use super::sites::Sites;
use crate::frame::{Frame, Timestamp};
use crate::limits;
use crate::packet::Segment;
use crate::packet::options::Options;

/// The taps of a run, numbered as they show.
#[derive(Default)]
pub(crate) struct Taps {
    ids: HashMap<(u32, u32), u16, foldhash::fast::RandomState>,
    known: Vec<Tap>,
    last: Option<((u32, u32), u16)>,
    /// Inputs whose interfaces are those of the one that they follow.
    following: HashMap<u16, u16, foldhash::fast::RandomState>,
    /// Which inputs are parts of one capture.
    pub(crate) sites: Sites,
}

/// One tap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    pub(crate) input: u16,
}

impl Taps {
    /// The tap of a segment: input, interface, and for SLL2 the interface that the header names.
    #[inline]
    pub(crate) fn of(&mut self, frame: &Frame<'_>, segment: &Segment<'_>) -> u16 {
        let key = (u32::from(frame.id.input) << 16 | u32::from(frame.interface), segment.tap.interface_index);
        match self.last {
            Some((last, id)) if last == key => id,
            _ => self.look_up(key, frame.id.input),
        }
    }

    fn look_up(&mut self, shown: (u32, u32), input: u16) -> u16 {
        let first = self.following.get(&input).copied().unwrap_or(input);
        let (key, input) = ((u32::from(first) << 16 | shown.0 & 0xffff, shown.1), first);
        let id = match self.ids.get(&key) {
            Some(&id) => id,
            None if self.known.len() < limits::TAPS => {
                let id = self.known.len() as u16;
                self.known.push(Tap { input });
                self.ids.insert(key, id);
                id
            }
            None => 0,
        };
        self.last = Some((shown, id));
        id
    }

    /// Whether segments of more than one input were seen.
    pub(crate) fn several_inputs(&self) -> bool {
        self.known.first().is_some_and(|first| self.known.iter().any(|tap| tap.input != first.input))
    }

    /// What was captured at site `later` is a part of the capture at site `first`. Gives taps that turned out to be others.
    pub(crate) fn unite(&mut self, later: u16, first: u16, how: Part) -> Vec<(u16, u16)> {
        self.sites.unite(later, first);
        if how != Part::Following {
            return Vec::new();
        }
        self.following.values_mut().filter(|input| **input == later).for_each(|input| *input = first);
        self.following.insert(later, first);
        let of_later = |&&(place, _): &&(u32, u32)| place >> 16 == u32::from(later);
        let mut known: Vec<(u32, u32)> = self.ids.keys().filter(of_later).copied().collect();
        // Taps get their numbers in order.
        known.sort_unstable();
        let renamed = known.into_iter().filter_map(|shown| Some((*self.ids.get(&shown)?, self.look_up(shown, later))));
        let renamed: Vec<(u16, u16)> = renamed.collect();
        self.last = None;
        renamed
    }

    /// Whether two inputs were captured at one site.
    #[inline]
    pub(crate) fn at_one_site(&self, a: u16, b: u16) -> bool {
        self.sites.are_one(a, b)
    }

    /// The input of a tap.
    pub(crate) fn input(&self, tap: u16) -> u16 {
        self.known.get(usize::from(tap)).map_or(0, |tap| tap.input)
    }
}

/// How a part of a capture lies to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// It begins behind them: a packet that looks like one of theirs was sent again.
    Following,
    /// It begins before their end: it has copies of their last frames.
    Overlapping,
}

/// Segments a set holds: a copy is found unless this many newer ones fell into its set.
const WAYS: usize = 4;
/// Sets at first.
const SETS: usize = limits::RECENT_SEGMENTS / WAYS;
/// By how much their number grows with the first copy.
const GROWTH: usize = limits::RECENT_SEGMENTS_WHERE_COPIES_ARE / limits::RECENT_SEGMENTS;

/// Fingerprints of recent segments.
///
/// The segments between a packet and its copy spread unevenly over the sets: with as many as there are sets, one copy of fifty
/// is missed. So there are few sets, which a core's cache holds, until a copy shows that this capture has any; then so many
/// that hardly one is missed. A missed copy counts as sent again.
pub(crate) struct Recent {
    /// In a set the newest is first.
    sets: Vec<[Slot; WAYS]>,
    /// Which bits of a fingerprint choose a set beside those that do at first.
    grown: usize,
    /// Segments without identification of the last few microseconds, and when they came. Empty until there is one.
    doubles: Vec<(Slot, Timestamp)>,
}

/// Segments that [`Recent::doubled`] remembers.
const DOUBLES: usize = 256;
/// A bridge or a mirror port shows a packet twice within less than this; no sender learns of a loss in so short a time.
const DOUBLED_WITHIN_NS: u64 = 5_000;

/// The upper 48 bits of a segment's fingerprint, the lower 13 of its tap, the lower 3 of its packet type: two sets are a
/// cache line. With the bits that choose the set, two segments have one chance in 2⁵⁹ to look the same.
type Slot = u64;
const PLACE: Slot = 0xffff;
const _: () = assert!(limits::TAPS <= 1 << 13);
const _: () = assert!(SETS.is_power_of_two() && SETS <= 1 << 16 && GROWTH.is_power_of_two());

/// Two numbers as one that every bit of both has a part in.
#[inline]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// What tells a segment of flow `owner` from all others. Its sequence and acknowledgement numbers may be counted from elsewhere.
#[inline]
pub(super) fn fingerprint(
    owner: u64,
    [seq, ack]: [u32; 2],
    options: u64,
    segment: &Segment<'_>,
    timestamps: Option<(u32, u32)>,
) -> u64 {
    let (value, echo) = timestamps.unwrap_or((0, 0));
    let sequence = u64::from(seq) << 32 | u64::from(ack);
    let packet = u64::from(segment.ip_id) << 48
        | u64::from(segment.flags.0) << 40
        | options << 32
        | u64::from(segment.payload_len);
    let stamps = u64::from(value) << 32 | u64::from(echo);
    // Numbers without pattern: the binary places of pi.
    let first = fold(owner ^ 0x243f_6a88_85a3_08d3, sequence ^ 0x1319_8a2e_0370_7344);
    let second = fold(packet ^ 0xa409_3822_299f_31d0, stamps ^ 0x082e_fa98_ec4e_6c89);
    fold(first ^ u64::from(segment.window), second ^ 0x4528_21e6_38d0_1377)
}

/// Options as eight bits.
#[cold]
fn sum_of(options: &[u8]) -> u64 {
    let words = options.chunks(8).map(|chunk| chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    words.fold(0x243f_6a88_85a3_08d3, |sum, word| fold(sum ^ word, 0x1319_8a2e_0370_7344)) & 0xff
}

/// Where a segment was captured: its tap, and for cooked headers whether it came or left.
#[inline]
pub(crate) fn place(segment: &Segment<'_>, tap: u16) -> u16 {
    tap << 3 | u16::from(segment.tap.packet_type & 7)
}

/// The tap that is part of a [`place`].
#[inline]
pub(crate) fn tap_of(place: u16) -> u16 {
    place >> 3
}

/// Puts the newest into a set; its oldest falls out.
#[inline]
fn push(set: &mut [Slot; WAYS], newest: Slot) {
    set.rotate_right(1);
    if let Some(first) = set.first_mut() {
        *first = newest;
    }
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { sets: vec![[Slot::default(); WAYS]; SETS], grown: 0, doubles: Vec::new() }
    }

    /// The set of a fingerprint. What chooses among the sets that came later is part of what a slot keeps.
    #[inline]
    fn set_of(&self, fingerprint: u64) -> usize {
        fingerprint as usize % SETS + ((fingerprint >> 16) as usize & self.grown) * SETS
    }

    /// Makes the sets as many as they will be, and puts what they hold where it is looked for from now on.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.grown = GROWTH - 1;
        let few = std::mem::replace(&mut self.sets, vec![[Slot::default(); WAYS]; SETS * GROWTH]);
        for (index, set) in few.into_iter().enumerate() {
            for slot in set.into_iter().rev().filter(|&slot| slot != Slot::default()) {
                let place = self.set_of(slot & !PLACE | index as u64);
                if let Some(set) = self.sets.get_mut(place) {
                    push(set, slot);
                }
            }
        }
    }

    /// Whether this segment of flow `owner` was seen before at another tap, or twice at this one. A sender gives each
    /// IPv4 packet its own identification, so the same one with the same sequence numbers is the same packet. Where there
    /// is none (IPv6, or 0), only another tap or another direction through the capturing host makes it a copy; RSTs, which
    /// have no more to tell them apart, must have as many options, and what only signals must say the same.
    #[inline]
    pub(crate) fn is_copy(&mut self, owner: u64, segment: &Segment<'_>, options: &Options<'_>, tap: u16) -> bool {
        self.original(owner, segment, options, tap).is_some()
    }

    /// Where the segment was seen before that this one is a copy of, as [`place`] names it.
    #[inline]
    pub(crate) fn original(
        &mut self,
        owner: u64,
        segment: &Segment<'_>,
        options: &Options<'_>,
        tap: u16,
    ) -> Option<u16> {
        let (index, shown) = self.look(owner, segment, options);
        let set = self.sets.get_mut(index)?;
        let slot = shown | Slot::from(place(segment, tap));
        let seen = set.iter().find(|&&known| known & !PLACE == slot & !PLACE);
        let original = seen.filter(|&&known| known != slot || segment.ip_id != 0).map(|known| (known & PLACE) as u16);
        if original.is_none() {
            push(set, slot);
        } else if self.grown == 0 {
            self.grow();
        }
        original
    }

    /// Where a segment without identification was seen that the same place shows once more at once: with the same timestamps, a few
    /// microseconds later. Only payload and SYNs are looked at: other segments may be sent twice.
    #[inline]
    pub(crate) fn doubled(
        &mut self,
        owner: u64,
        segment: &Segment<'_>,
        options: &Options<'_>,
        tap: u16,
        now: Timestamp,
    ) -> Option<u16> {
        let looked_at =
            segment.ip_id == 0 && (segment.payload_len > 0 || segment.flags.syn()) && options.timestamps.is_some();
        if looked_at { self.double_of(owner, segment, options, tap, now) } else { None }
    }

    fn double_of(
        &mut self,
        owner: u64,
        segment: &Segment<'_>,
        options: &Options<'_>,
        tap: u16,
        now: Timestamp,
    ) -> Option<u16> {
        if self.doubles.is_empty() {
            self.doubles = vec![(Slot::default(), Timestamp::default()); DOUBLES];
        }
        let (index, shown) = self.look(owner, segment, options);
        let here = place(segment, tap);
        let slot = shown | Slot::from(here);
        let known = self.doubles.get_mut(index % DOUBLES)?;
        let again = known.0 == slot && known.1.is_known() && now.since(known.1) < DOUBLED_WITHIN_NS && now >= known.1;
        *known = (slot, now);
        again.then_some(here)
    }

    /// The set of a segment, and what a slot keeps of it beside its place.
    #[inline]
    fn look(&self, owner: u64, segment: &Segment<'_>, options: &Options<'_>) -> (usize, Slot) {
        let told = if segment.ip_id != 0 {
            0
        } else if segment.flags.rst() {
            segment.options.len() as u64 & 0xff
        } else if options.has_control() && segment.payload_len == 0 {
            sum_of(segment.options)
        } else {
            0
        };
        let fingerprint = fingerprint(owner, [segment.seq, segment.ack], told, segment, options.timestamps);
        (self.set_of(fingerprint), fingerprint & !PLACE)
    }

    /// What was seen at some taps was seen at others: each with what it turned out to be.
    pub(crate) fn rename(&mut self, taps: &[(u16, u16)]) {
        for slot in self.sets.iter_mut().flatten() {
            let place = (*slot & PLACE) as u16;
            if let Some(&(_, tap)) = taps.iter().find(|renamed| renamed.0 == tap_of(place)) {
                *slot = *slot & !PLACE | Slot::from(tap << 3 | place & 7);
            }
        }
    }

    /// Whether the segment was seen before, wherever.
    pub(crate) fn holds(&self, owner: u64, segment: &Segment<'_>, options: &Options<'_>) -> bool {
        let (index, shown) = self.look(owner, segment, options);
        self.sets.get(index).is_some_and(|set| set.iter().any(|&known| known & !PLACE == shown))
    }
}

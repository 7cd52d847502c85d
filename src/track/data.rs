//! The data level of one direction: DSNs seen, who carried them first, how they came into order, what was acknowledged.
//!
//! Positions: DSNs are kept as `DSN - IDSN + ORIGIN`, so that the first byte of the stream has position `ORIGIN + 1` whatever
//! the IDSN, and 64-bit wraps cannot occur. Fast Open bytes lie below that; where the IDSN is unknown the first DSN seen
//! takes its place.

mod absorb;
mod near;

use std::collections::VecDeque;
use std::num::NonZeroU64;

use super::choices::Choices;
use super::histogram::Histogram;
use super::mark::{Mark, Moment, unwrap};
use super::order::Order;
use super::range_set::RangeSet;
use super::sparse::{Sparse, empty};
use super::timeline::Timeline;
use crate::frame::Timestamp;
use crate::limits;
use crate::wire::RawSequence;

/// The position of the IDSN.
pub const ORIGIN: u64 = 1 << 48;
/// Positions farther than this from the origin are no part of the stream.
const REACH: u64 = 1 << 47;

/// The data level of what one side sends.
#[derive(Clone, Debug, Default)]
pub struct DataLevel {
    base: Base,
    /// How far positions have moved since the first one was given.
    rebased: u64,
    /// Positions seen.
    pub seen: RangeSet,
    /// Bytes first seen.
    pub unique: u64,
    /// What was sent again.
    pub again: Sparse<Again>,
    /// Position up to which the peer acknowledged; none is 0.
    acked: Option<NonZeroU64>,
    /// Position of the DATA_FIN and its first frame.
    pub fin: Option<(u64, Mark)>,
    /// When the DATA_FIN was first seen.
    pub fin_time: Option<Timestamp>,
    carriers: Sparse<VecDeque<Carrier>>,
    /// Runs of new data on one subflow.
    pub blocks: Blocks,
    /// How data came into order.
    pub order: Sparse<Order>,
    /// Choices among free paths.
    pub choices: Sparse<Choices>,
    /// What subflows carried over time, where it was much.
    pub timeline: Option<Box<Timeline>>,
}

/// Bytes of positions that had been seen before.
#[derive(Clone, Debug, Default)]
pub struct Again {
    /// On another subflow.
    pub reinjected: u64,
    /// Of those, not acknowledged yet when they were sent again.
    pub reinjected_useful: u64,
    /// On the same subflow.
    pub resent: u64,
}

empty! {
    Again = Again { reinjected: 0, reinjected_useful: 0, resent: 0 };
    VecDeque<Carrier> = VecDeque::new();
}

/// Where DSNs are counted from.
#[derive(Clone, Copy, Debug, Default)]
struct Base {
    /// The DSN whose position is `ORIGIN`.
    dsn: Option<u64>,
    /// Only low halves have been seen: the high half of `dsn` is made up.
    high_unknown: bool,
    /// `dsn` is the IDSN of a known key, not merely the first DSN seen.
    is_idsn: bool,
}

/// Positions `[start, end)` first carried by `subflow`.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    start: u64,
    end: u64,
    subflow: u16,
}

/// Runs of new data that stayed on one subflow.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    /// Their number, the present one included.
    pub count: u64,
    /// Sizes of the finished ones.
    pub sizes: Sparse<Histogram>,
    /// Subflow of the present one.
    pub subflow: u16,
    /// Its bytes so far.
    pub bytes: u64,
    first: Timestamp,
    /// When new data was last seen.
    pub last: Option<Moment>,
}

impl Blocks {
    /// When new data was first seen.
    pub fn first(&self) -> Option<Timestamp> {
        (self.count > 0).then_some(self.first)
    }
}

/// What one delivery of bytes amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Bytes not seen before.
    pub fresh: u64,
    /// Bytes that another subflow carried before.
    pub reinjected: u64,
    /// Of those, not yet acknowledged at the data level.
    pub useful: u64,
    /// New data moved here from this subflow.
    pub switched_from: Option<u16>,
    /// All data before it had been acknowledged.
    pub from_idle: bool,
}

impl DataLevel {
    /// Position up to which the peer acknowledged.
    #[inline]
    pub fn acked(&self) -> Option<u64> {
        self.acked.map(NonZeroU64::get)
    }

    /// Tells the initial DSN, from a key. Positions already given keep their distance to each other: all move so far up.
    pub fn set_idsn(&mut self, idsn: u64) -> u64 {
        let before = self.rebased;
        match self.base.dsn {
            Some(dsn) if self.base.is_idsn && dsn == idsn => {}
            Some(dsn) if self.base.high_unknown && !self.base.is_idsn => {
                // The first DSN seen by its low half: the key gives the high half.
                let full = unwrap(idsn, dsn as u32);
                self.rebase(full, idsn);
            }
            Some(dsn) if !self.base.is_idsn => self.rebase(dsn, idsn),
            _ => {}
        }
        self.base = Base { dsn: Some(idsn), high_unknown: false, is_idsn: true };
        self.rebased - before
    }

    /// Moves what is known to positions counted from `idsn` instead of `dsn`.
    fn rebase(&mut self, dsn: u64, idsn: u64) {
        let shift = dsn.wrapping_sub(idsn);
        if shift == 0 || shift >= REACH {
            return;
        }
        if self.seen.end() != 0 {
            self.seen.shift(shift);
        }
        self.rebased += shift;
        for carrier in self.carriers.written().into_iter().flatten() {
            carrier.start += shift;
            carrier.end += shift;
        }
        if let Some(order) = self.order.written() {
            order.rebase(shift);
        }
        self.acked = self.acked.and_then(|position| position.checked_add(shift));
        self.fin = self.fin.map(|(position, mark)| (position + shift, mark));
    }

    /// The position of a DSN or DATA_ACK; `None` where it lies so far away that it cannot be of this stream.
    #[inline]
    pub fn position(&mut self, sequence: RawSequence) -> Option<u64> {
        let Some(base) = self.base.dsn else { return Some(self.begin_at(sequence)) };
        let dsn = match sequence {
            RawSequence::Long(dsn) => {
                if self.base.high_unknown {
                    self.learn_high_half(base, dsn);
                }
                dsn
            }
            RawSequence::Short(low) => unwrap(base.wrapping_add(self.reference().wrapping_sub(ORIGIN)), low),
        };
        let base = self.base.dsn.unwrap_or(base);
        let position = dsn.wrapping_sub(base).wrapping_add(ORIGIN);
        (position.wrapping_sub(ORIGIN - REACH) < 2 * REACH).then_some(position)
    }

    /// The full DSN of a position, and whether its high half is known.
    pub fn dsn(&self, position: u64) -> (u64, bool) {
        let base = self.base.dsn.unwrap_or(0);
        (base.wrapping_add(position.wrapping_sub(ORIGIN)), self.base.dsn.is_some() && !self.base.high_unknown)
    }

    /// Whether positions count from a known key's IDSN.
    pub fn counts_from_idsn(&self) -> bool {
        self.base.is_idsn
    }

    /// The offset of a position in the application's stream. A key that tells the IDSN late moves positions, not offsets.
    pub fn offset(&self, position: u64) -> i64 {
        (position as i64).wrapping_sub((ORIGIN + 1 + self.rebased) as i64)
    }

    /// Whether offset 0 is the first byte after the IDSN.
    pub fn is_anchored(&self) -> bool {
        self.base.is_idsn && self.rebased == 0
    }

    /// The position nearest to which short forms are read.
    fn reference(&self) -> u64 {
        self.seen.end().max(self.acked().unwrap_or(0)).max(ORIGIN)
    }

    #[cold]
    fn begin_at(&mut self, sequence: RawSequence) -> u64 {
        let (dsn, high_unknown) = match sequence {
            RawSequence::Long(dsn) => (dsn, false),
            RawSequence::Short(low) => (u64::from(low) | 1 << 32, true),
        };
        self.base = Base { dsn: Some(dsn.wrapping_sub(1)), high_unknown, is_idsn: false };
        ORIGIN + 1
    }

    #[cold]
    fn learn_high_half(&mut self, base: u64, dsn: u64) {
        let guess = unwrap(base.wrapping_add(self.reference().wrapping_sub(ORIGIN)), dsn as u32);
        self.base.dsn = Some(base.wrapping_add(dsn.wrapping_sub(guess)));
        self.base.high_unknown = false;
    }

    /// Counts `[start, end)` as carried by `subflow`.
    #[inline]
    pub fn deliver(&mut self, start: u64, end: u64, subflow: u16, at: Moment) -> Delivered {
        if self.seen.end() == 0 {
            self.begin_stream(start);
        }
        let mut delivered = Delivered::default();
        if start == self.seen.contiguous() && self.seen.is_contiguous() {
            let len = end - start;
            self.seen.insert(start, end, |_, _| {});
            self.carry(start, end, subflow);
            delivered.fresh = len;
            delivered.from_idle = self.acked() == Some(start);
            self.unique += len;
            self.note_block(subflow, len, at, &mut delivered);
            return delivered;
        }
        self.deliver_slowly(start, end, subflow, at, &mut delivered);
        delivered
    }

    /// A stream is taken to begin where the IDSN says, or else at the first byte seen.
    #[cold]
    fn begin_stream(&mut self, start: u64) {
        let origin = if self.base.is_idsn && start > ORIGIN { ORIGIN + 1 } else { start };
        self.seen = RangeSet::starting_at(origin);
    }

    #[cold]
    fn deliver_slowly(&mut self, start: u64, end: u64, subflow: u16, at: Moment, delivered: &mut Delivered) {
        let start = if self.base.is_idsn { start.max(ORIGIN + 1) } else { start };
        if start >= end {
            return;
        }
        if start < self.seen.origin() {
            self.seen.lower_origin(start);
        }
        let before = self.seen.contiguous();
        let mut fresh = [(0u64, 0u64); 8];
        let mut parts = 0;
        let mut rest = 0;
        self.seen.insert(start, end, |a, b| match fresh.get_mut(parts) {
            Some(slot) => {
                *slot = (a, b);
                parts += 1;
            }
            None => rest += b - a,
        });
        self.seen.bound(limits::HOLES);
        let mut at_position = start;
        for &(a, b) in fresh.get(..parts).unwrap_or(&[]) {
            self.repeated(at_position, a, subflow, delivered);
            self.carry(a, b, subflow);
            if a > before {
                self.order.wait(a, b, at.time);
            }
            delivered.fresh += b - a;
            at_position = b;
        }
        self.repeated(at_position, end, subflow, delivered);
        delivered.fresh += rest;
        self.unique += delivered.fresh;
        if self.seen.contiguous() > before
            && let Some(order) = self.order.written()
        {
            order.release(self.seen.contiguous(), subflow, at.time);
        }
        if delivered.fresh > 0 {
            self.note_block(subflow, delivered.fresh, at, delivered);
        }
    }

    /// Classifies positions that were seen before by who carried them first.
    fn repeated(&mut self, start: u64, end: u64, subflow: u16, delivered: &mut Delivered) {
        if start >= end {
            return;
        }
        let mut at = start;
        let mut index = self.carriers.partition_point(|carrier| carrier.end <= start);
        while at < end {
            let carrier = self.carriers.get(index).copied();
            index += 1;
            let (stop, by) = match carrier {
                Some(carrier) if carrier.start <= at => (carrier.end.min(end), Some(carrier.subflow)),
                Some(carrier) => {
                    index -= 1;
                    (carrier.start.min(end), None)
                }
                None => (end, None),
            };
            let len = stop - at;
            if by == Some(subflow) {
                self.again.resent += len;
            } else {
                let unacked = stop.saturating_sub(self.acked().unwrap_or(0).max(at));
                self.again.reinjected += len;
                self.again.reinjected_useful += unacked;
                delivered.reinjected += len;
                delivered.useful += unacked;
            }
            at = stop;
        }
    }

    #[inline]
    fn carry(&mut self, start: u64, end: u64, subflow: u16) {
        let carriers = &mut *self.carriers;
        match carriers.back_mut() {
            Some(last) if last.subflow == subflow && last.end == start => last.end = end,
            Some(last) if last.end > start => carry_slowly(carriers, start, end, subflow),
            _ => {
                carriers.push_back(Carrier { start, end, subflow });
                bound(carriers);
            }
        }
    }

    #[inline]
    fn note_block(&mut self, subflow: u16, len: u64, at: Moment, delivered: &mut Delivered) {
        let blocks = &mut self.blocks;
        if blocks.count == 0 {
            blocks.count = 1;
            blocks.subflow = subflow;
            blocks.first = at.time;
        } else if blocks.subflow != subflow {
            delivered.switched_from = Some(blocks.subflow);
            blocks.sizes.add(blocks.bytes, 1);
            blocks.count += 1;
            blocks.subflow = subflow;
            blocks.bytes = 0;
        }
        blocks.bytes += len;
        blocks.last = Some(at);
    }

    /// Takes a DATA_ACK: everything below `position` was received. Old ones are normal on slow paths and change nothing.
    #[inline]
    pub fn acknowledge(&mut self, position: u64) {
        if self.acked().is_none_or(|acked| position > acked) {
            self.acked = NonZeroU64::new(position);
        }
    }

    /// Bytes that the highest DATA_ACK covers, without the DATA_FIN; `None` where it is not known what they count from.
    pub fn acked_bytes(&self) -> Option<u64> {
        let origin = if self.base.is_idsn {
            ORIGIN + 1
        } else if self.seen.end() > 0 {
            self.seen.origin()
        } else {
            return None;
        };
        let end = self.fin.map_or(self.acked()?, |(fin, _)| self.acked().unwrap_or(0).min(fin));
        Some(end.saturating_sub(origin))
    }

    /// Bytes in holes below the highest DSN seen, or below the DATA_FIN.
    pub fn missing(&self) -> u64 {
        if self.seen.end() == 0 {
            return self.fin.map_or(0, |(fin, _)| if self.base.is_idsn { fin.saturating_sub(ORIGIN + 1) } else { 0 });
        }
        let behind = |fin: u64| fin < self.seen.end() && !self.seen.contains(fin, fin + 1);
        // The DATA_FIN takes a place of its own, which data behind it leaves out.
        let own = self.fin.map_or(0, |(fin, _)| u64::from(behind(fin)));
        self.seen.missing() - own + self.fin.map_or(0, |(fin, _)| fin.saturating_sub(self.seen.end()))
    }

    /// Whether a DATA_ACK covers the DATA_FIN.
    pub fn fin_acked(&self) -> bool {
        self.fin.is_some_and(|(fin, _)| self.acked().is_some_and(|acked| acked > fin))
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.seen.heap_bytes()
            + self.timeline.as_ref().map_or(0, |timeline| timeline.heap_bytes())
            + self.again.own_bytes()
            + self.carriers.own_bytes()
            + self.carriers.capacity() * size_of::<Carrier>()
            + self.blocks.sizes.own_bytes()
            + self.blocks.sizes.heap_bytes()
            + self.order.own_bytes()
            + self.order.heap_bytes()
            + self.choices.own_bytes()
    }

    /// Gives back what only an open stream needs.
    pub fn close(&mut self) {
        if self.seen.is_contiguous() {
            self.carriers = Sparse::default();
            if let Some(order) = self.order.written() {
                order.close();
            }
        }
    }
}

/// Carriers looked through one by one before they are searched.
const NEAR: usize = 16;

#[cold]
fn carry_slowly(carriers: &mut VecDeque<Carrier>, start: u64, end: u64, subflow: u16) {
    // What comes late belongs near the end.
    let later = carriers.iter().rev().take(NEAR).take_while(|carrier| carrier.start >= start).count();
    let at =
        if later < NEAR { carriers.len() - later } else { carriers.partition_point(|carrier| carrier.start < start) };
    if let Some(before) = at.checked_sub(1).and_then(|index| carriers.get_mut(index))
        && before.subflow == subflow
        && before.end == start
    {
        before.end = end;
        return;
    }
    carriers.insert(at, Carrier { start, end, subflow });
    bound(carriers);
}

fn bound(carriers: &mut VecDeque<Carrier>) {
    if carriers.len() > limits::CARRIERS {
        carriers.pop_front();
    }
}

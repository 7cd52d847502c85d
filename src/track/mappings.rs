//! The DSS mappings of one direction of one subflow that may still matter, and what those that are offered become.

use std::collections::VecDeque;

use super::mapping::{Complete, Mapping, Payload, Piece, Placed};
use super::mark::Mark;
use super::sparse::{Sparse, empty};
use super::sums::Sums;
use crate::limits;

/// What became of a mapping that was offered.
#[derive(Clone, Copy, Debug)]
pub enum Inserted {
    /// It is new.
    New,
    /// It repeats what is known.
    Known,
    /// It is the known one with, or without, a DATA_FIN behind it: another checksum over the same bytes. It is complete
    /// if the known one was.
    Variant(Option<Complete>),
    /// It contradicts the mapping first shown in this frame: that one stays (RFC 8684 §3.3.1).
    Conflict(Mark),
}

/// The mappings of one direction of one subflow that may still matter, sorted by `start`.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    /// Everything below was settled.
    floor: u64,
    open: Sparse<Open>,
}

/// Those that are not settled: on a closed subflow, only what never became complete.
#[derive(Clone, Debug, Default)]
struct Open {
    list: VecDeque<Mapping>,
    /// Parts that came out of order since no mapping was open: their memory is counted with them.
    parts: usize,
    /// Of the segments that came last.
    sums: Sums,
    /// A later copy of payload had other bytes: the frame with the first copy.
    changed: Option<Mark>,
}

empty! { Open = Open { list: VecDeque::new(), parts: 0, sums: Sums::EMPTY, changed: None }; }

impl Mappings {
    /// Offers a mapping.
    #[inline]
    pub fn insert(&mut self, placed: Placed) -> Inserted {
        if let Some(last) = self.open.list.back() {
            if last.placed.start == placed.start && same(&last.placed, &placed) {
                return Inserted::Known;
            }
            if placed.start < last.placed.end() {
                return self.insert_slowly(placed);
            }
        } else if placed.end() <= self.floor {
            return Inserted::Known;
        }
        self.open.list.push_back(Mapping::new(placed));
        Inserted::New
    }

    #[cold]
    fn insert_slowly(&mut self, placed: Placed) -> Inserted {
        if self.is_settled(&placed) {
            return Inserted::Known;
        }
        self.insert_between(placed)
    }

    /// Whether a mapping lies below all that is remembered: it is taken for one that was settled.
    #[inline]
    pub fn is_settled(&self, placed: &Placed) -> bool {
        placed.end() <= self.floor
    }

    /// Offers a mapping among or below those that are remembered.
    #[cold]
    pub fn insert_between(&mut self, placed: Placed) -> Inserted {
        let list = &mut self.open.list;
        let at = list.partition_point(|mapping| mapping.placed.start < placed.start);
        for mapping in list.range(at.saturating_sub(2)..).take(4) {
            let other = &mapping.placed;
            if other.start >= placed.end() || other.end() <= placed.start {
                continue;
            }
            let same_bytes = other.start == placed.start && other.data_len == placed.data_len;
            if !other.agrees_with(&placed) || (same_bytes && other.checksum != placed.checksum) {
                return Inserted::Conflict(other.frame);
            }
            if same_bytes {
                return Inserted::Known;
            }
            if other.start == placed.start && other.len == placed.len {
                return self.open.insert_variant(placed);
            }
            if other.start <= placed.start && other.end() >= placed.end() {
                return Inserted::Known;
            }
        }
        list.insert(at, Mapping::new(placed));
        Inserted::New
    }

    /// Hands payload to every mapping it belongs to; `complete` hears of those it completes, or changes afterwards.
    #[inline]
    pub fn cover(
        &mut self,
        start: u64,
        payload: Payload<'_>,
        wire_end: u64,
        frame: Mark,
        complete: impl FnMut(Complete),
    ) {
        if let Some(open) = self.open.written() {
            open.cover(start, payload, wire_end, frame, complete);
        }
    }

    /// The frame with the first copy of payload that came again with other bytes, once.
    #[inline]
    pub(crate) fn take_changed(&mut self) -> Option<Mark> {
        self.open.written()?.changed.take()
    }

    /// Bytes on the heap. Parts are walked over only where there were many.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Open { list, parts, sums, .. } = &*self.open;
        let parts =
            if *parts < limits::PIECES { *parts } else { list.iter().map(|mapping| mapping.pieces.capacity()).sum() };
        self.open.own_bytes() + sums.heap_bytes() + list.capacity() * size_of::<Mapping>() + parts * size_of::<Piece>()
    }

    /// Whether there are more mappings than are kept.
    #[inline]
    pub fn is_overfull(&self) -> bool {
        self.open.list.len() > limits::MAPPINGS
    }

    /// Splits `[start, end)` into parts with their data-level position, and parts that no mapping covers (`None`).
    #[inline]
    pub fn split(&self, start: u64, end: u64, mut part: impl FnMut(u64, u64, Option<&Placed>)) {
        let open = &*self.open;
        if let Some(back) = open.list.back().filter(|back| back.placed.start <= start && end <= back.placed.end()) {
            part(start, end, Some(&back.placed));
            return;
        }
        let mut at = start;
        for mapping in open.list.range(open.first_reaching(start)..) {
            let placed = &mapping.placed;
            if placed.start >= end || at >= end {
                break;
            }
            if placed.end() <= at {
                continue;
            }
            if at < placed.start {
                part(at, placed.start, None);
                at = placed.start;
            }
            let stop = placed.end().min(end);
            part(at, stop, Some(placed));
            at = stop;
        }
        if at < end {
            part(at, end, None);
        }
    }

    /// Forgets mappings that the peer has acknowledged at the TCP level; `settled` hears of those that never completed.
    #[inline]
    pub fn acknowledged(&mut self, acked: u64, mut settled: impl FnMut(Complete)) {
        let Some(Open { list, sums, .. }) = self.open.written() else { return };
        let before = self.floor;
        while let Some(front) = list.front() {
            let old = front.placed.end() <= acked;
            let late = front.placed.end() + limits::LATE_PAYLOAD <= acked;
            if !(old && front.done || late || list.len() > limits::MAPPINGS) {
                break;
            }
            if !front.done {
                settled(front.complete());
            }
            self.floor = self.floor.max(front.placed.end());
            list.pop_front();
        }
        if self.floor != before {
            sums.forget_below(self.floor);
        }
    }

    /// Adds to the data-level positions, modulo 2^64.
    pub(super) fn shift(&mut self, by: u64) {
        for mapping in self.open.written().into_iter().flat_map(|open| &mut open.list) {
            mapping.placed.position = mapping.placed.position.wrapping_add(by);
        }
    }

    /// Gives back what a closed subflow no longer needs.
    pub fn shrink(&mut self) {
        let Some(Open { list, sums, .. }) = self.open.written() else { return };
        while let Some(front) = list.front().filter(|front| front.done) {
            self.floor = self.floor.max(front.placed.end());
            list.pop_front();
        }
        if list.is_empty() {
            self.open = Sparse::default();
        } else {
            list.shrink_to_fit();
            *sums = Sums::EMPTY;
        }
    }

    /// Gives up on all that is open.
    pub fn close(&mut self, settled: impl FnMut(Complete)) {
        if let Some(Open { list, .. }) = self.open.written() {
            list.drain(..).filter(|mapping| !mapping.done).map(|mapping| mapping.complete()).for_each(settled);
            self.open = Sparse::default();
        }
    }

    /// The mapping that begins last.
    pub fn last(&self) -> Option<&Placed> {
        self.open.list.back().map(|mapping| &mapping.placed)
    }
}

impl Open {
    /// The same bytes with another data-level length: only the DATA_FIN can make that difference.
    fn insert_variant(&mut self, placed: Placed) -> Inserted {
        let known = |mapping: &&Mapping| mapping.placed.start == placed.start && mapping.placed.len == placed.len;
        if self.list.iter().filter(known).any(|mapping| mapping.placed.data_len == placed.data_len) {
            return Inserted::Known;
        }
        let Some(at) = self.list.iter().position(|mapping| known(&mapping)) else { return Inserted::Known };
        let Some(mut variant) = self.list.get(at).cloned() else { return Inserted::Known };
        variant.placed = placed;
        let complete = variant.done.then(|| variant.complete());
        self.list.insert(at + 1, variant);
        Inserted::Variant(complete)
    }

    #[inline]
    fn cover(
        &mut self,
        start: u64,
        payload: Payload<'_>,
        wire_end: u64,
        frame: Mark,
        mut complete: impl FnMut(Complete),
    ) {
        let Some(back) = self.list.back_mut() else { return };
        if start >= back.placed.start {
            let changed = back.cover(start, payload, wire_end, frame, &mut self.sums);
            self.parts += usize::from(!back.pieces.is_empty());
            if let Some(due) = back.due(changed.is_some(), &self.sums) {
                complete(due);
            }
            if changed.is_some() {
                self.changed = changed;
            }
            if self.list.len() > 1 && self.list.get(self.list.len() - 2).is_some_and(|m| m.placed.end() > start) {
                self.cover_slowly(start, payload, wire_end, frame, &mut complete);
            }
        } else {
            self.cover_slowly(start, payload, wire_end, frame, &mut complete);
        }
    }

    #[cold]
    fn cover_slowly(
        &mut self,
        start: u64,
        payload: Payload<'_>,
        wire_end: u64,
        frame: Mark,
        complete: &mut dyn FnMut(Complete),
    ) {
        let first = self.first_reaching(start);
        self.parts = self.parts.saturating_add(1);
        for mapping in self.list.range_mut(first..) {
            if mapping.placed.start >= wire_end {
                break;
            }
            let changed = mapping.cover(start, payload, wire_end, frame, &mut self.sums);
            if let Some(due) = mapping.due(changed.is_some(), &self.sums) {
                complete(due);
            }
            if changed.is_some() {
                self.changed = changed;
            }
        }
    }

    /// Index of the first mapping that can cover a byte at or after `start`. Mappings that overlap are rare and short, so
    /// looking three back from the last that begins before `start` finds them.
    fn first_reaching(&self, start: u64) -> usize {
        let after = self.list.partition_point(|mapping| mapping.placed.start <= start);
        (after.saturating_sub(3)..after)
            .find(|&index| self.list.get(index).is_some_and(|mapping| mapping.placed.end() > start))
            .unwrap_or(after)
    }
}

fn same(a: &Placed, b: &Placed) -> bool {
    a.data_len == b.data_len && a.position == b.position && a.checksum == b.checksum
}

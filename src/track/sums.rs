//! The sums of the segments of open mappings, to be compared with what TCP sends again.

use std::collections::VecDeque;

use super::mark::Mark;
use crate::limits;
use crate::packet::checksum::{add16, at_offset};

/// Segments of one direction of one subflow that may be sent again.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// As they came first.
    first: Segments,
    /// Parts of segments that came again: together they may be one.
    again: Segments,
    /// A segment has a right TCP checksum: those of others mean something.
    pub(super) intact: bool,
}

impl Sums {
    pub(super) const EMPTY: Self =
        Self { first: Segments(VecDeque::new()), again: Segments(VecDeque::new()), intact: false };

    /// Adds a segment's payload, with its one's complement sum as if it began at an even offset.
    #[inline]
    pub(super) fn push(&mut self, start: u64, len: u32, sum: u16, frame: Mark) {
        self.first.push(Summed { frame, start, len, sum });
    }

    /// The sum of these bytes as they came first, and the frame with the first of them: where one or several segments are just
    /// they.
    pub(super) fn of(&self, start: u64, len: u32) -> Option<(u16, Mark)> {
        self.first.of(start, len)
    }

    /// A part of a segment came again, in the mapping `whole` if that is one segment. Where all of the segment has: its
    /// bounds, and its sums as it came first and again.
    pub(super) fn part(&mut self, part: Summed, whole: Option<Summed>) -> Option<(Summed, u16)> {
        self.again.push(part);
        let segment = self.first.at(part.start).or(whole)?;
        Some((segment, self.again.of(segment.start, segment.len)?.0))
    }

    /// Everything below is acknowledged.
    #[inline]
    pub(super) fn forget_below(&mut self, seq: u64) {
        self.first.forget_below(seq);
        self.again.forget_below(seq);
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        (self.first.0.capacity() + self.again.0.capacity()) * size_of::<Summed>()
    }
}

/// A segment's payload, or the part of it that was new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summed {
    /// The frame that carried it.
    pub(super) frame: Mark,
    /// Its first byte's unwrapped sequence number.
    pub(super) start: u64,
    /// Its length.
    pub(super) len: u32,
    /// Its one's complement sum, as if it began at an even offset.
    pub(super) sum: u16,
}

/// By their first bytes; no two have the same.
#[derive(Clone, Debug, Default)]
struct Segments(VecDeque<Summed>);

impl Segments {
    /// Adds one; the first goes where there are too many.
    #[inline]
    fn push(&mut self, segment: Summed) {
        if self.0.back().is_none_or(|last| last.start < segment.start) {
            self.0.push_back(segment);
        } else {
            self.push_between(segment);
        }
        if self.0.len() > limits::SUMS {
            self.0.pop_front();
        }
    }

    #[cold]
    fn push_between(&mut self, segment: Summed) {
        let at = self.0.partition_point(|known| known.start < segment.start);
        if self.0.get(at).is_none_or(|known| known.start != segment.start) {
            self.0.insert(at, segment);
        }
    }

    /// The one that this byte is of.
    fn at(&self, byte: u64) -> Option<Summed> {
        let after = self.0.partition_point(|known| known.start <= byte);
        self.0.get(after.checked_sub(1)?).copied().filter(|known| byte < known.start + u64::from(known.len))
    }

    fn of(&self, start: u64, len: u32) -> Option<(u16, Mark)> {
        let from = self.0.partition_point(|known| known.start < start);
        let first = self.0.get(from)?.frame;
        let (mut at, mut sum) = (0, 0);
        for segment in self.0.range(from..) {
            if segment.start != start + u64::from(at) || segment.len > len - at {
                return None;
            }
            sum = add16(sum, at_offset(segment.sum, at.into()));
            at += segment.len;
            if at == len {
                return Some((sum, first));
            }
        }
        None
    }

    #[inline]
    fn forget_below(&mut self, seq: u64) {
        while self.0.front().is_some_and(|first| first.start + u64::from(first.len) <= seq) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameId;
    use crate::packet::checksum::sum16;

    const START: u64 = (3 << 32) - 61;

    fn bytes() -> Vec<u8> {
        (0..100_u32).map(|byte| (byte * 7 % 251) as u8).collect()
    }

    fn segment(from: usize, to: usize) -> Summed {
        let frame = Mark::from(FrameId { number: from as u64 + 1, input: 0 });
        Summed { frame, start: START + from as u64, len: (to - from) as u32, sum: sum16(&bytes()[from..to]) }
    }

    fn add(sums: &mut Sums, Summed { frame, start, len, sum }: Summed) {
        sums.push(start, len, sum, frame);
    }

    #[test]
    fn the_last_are_found_and_those_acknowledged_are_not() {
        let mut sums = Sums::EMPTY;
        let last = 3 * limits::SUMS as u64 / 2;
        let frame = segment(0, 1).frame;
        (0..last).for_each(|number| sums.push(number << 20, 1000, number as u16, frame));
        sums.forget_below((last - 100) << 20);
        for number in 0..last {
            let found = sums.of(number << 20, 1000).map(|known| known.0);
            assert_eq!(found, (number + 100 >= last).then_some(number as u16), "{number}");
        }
    }

    #[test]
    fn segments_that_adjoin_have_one_sum() {
        let mut sums = Sums::EMPTY;
        for (from, to) in [(50, 100), (0, 33), (33, 50), (33, 40)] {
            add(&mut sums, segment(from, to));
        }
        for (from, to) in [(0, 100), (33, 100), (0, 50), (33, 50)] {
            let found = sums.of(START + from as u64, (to - from) as u32).map(|known| known.0);
            assert_eq!(found, Some(sum16(&bytes()[from..to])), "{from} to {to}");
        }
        assert!(sums.of(START, 99).is_none() && sums.of(START + 1, 99).is_none());
    }

    #[test]
    fn parts_are_compared_once_they_are_a_segment() {
        let mut sums = Sums::EMPTY;
        add(&mut sums, segment(0, 40));
        assert!(sums.part(segment(25, 40), None).is_none());
        assert!(sums.part(segment(0, 10), None).is_none());
        let (first, again) = sums.part(segment(10, 25), None).expect("all of it");
        assert_eq!((first.start, first.len, again), (START, 40, first.sum));
        // Where the mapping is one segment, it is known by its own sum.
        assert!(sums.part(segment(50, 60), Some(segment(50, 70))).is_none());
        assert!(sums.part(segment(60, 70), Some(segment(50, 70))).is_some());
    }
}

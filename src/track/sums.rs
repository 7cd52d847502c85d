//! The sums of segments that were summed lately, to be compared with what TCP sends again.

use super::mark::Mark;
use crate::limits;
use crate::packet::checksum::add16;

/// Some of the last segments of one direction of one subflow.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    list: Vec<Summed>,
    /// Where the next goes, once there are as many as are kept.
    next: usize,
}

/// A segment's payload, or the part of it that was new.
#[derive(Clone, Copy, Debug)]
struct Summed {
    /// The frame that carried it.
    frame: Mark,
    /// Low half of its first byte's unwrapped sequence number.
    start: u32,
    len: u32,
    /// Its one's complement sum, as if it began at an even offset.
    sum: u16,
}

impl Sums {
    pub(super) const EMPTY: Self = Self { list: Vec::new(), next: 0 };

    /// Adds a segment's payload; the oldest goes where there are too many.
    #[inline]
    pub(super) fn push(&mut self, start: u64, len: u32, sum: u16, frame: Mark) {
        let summed = Summed { frame, start: start as u32, len, sum };
        if self.list.len() < limits::SUMS {
            self.list.push(summed);
        } else if let Some(oldest) = self.list.get_mut(self.next) {
            *oldest = summed;
            self.next = (self.next + 1) % limits::SUMS;
        }
    }

    /// The sum of these bytes, as if they began at an even offset, and the frame with the first of them: where one or
    /// several of the last segments are just they.
    pub(super) fn of(&self, start: u64, len: u32) -> Option<(u16, Mark)> {
        let (mut at, mut sum, mut first) = (0, 0, None);
        while at < len {
            let next = (start as u32).wrapping_add(at);
            let summed = self.list.iter().find(|summed| summed.start == next && summed.len <= len - at)?;
            sum = add16(sum, if at & 1 == 1 { summed.sum.swap_bytes() } else { summed.sum });
            first.get_or_insert(summed.frame);
            at += summed.len.max(1);
        }
        Some((sum, first?))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Summed>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameId;
    use crate::packet::checksum::sum16;

    #[test]
    fn the_last_are_found_and_no_others() {
        let mut sums = Sums::default();
        let mark = Mark::from(FrameId { number: 1, input: 0 });
        let last = 3 * limits::SUMS as u64 / 2;
        for number in 0..last {
            sums.push(number << 20, 1000, number as u16, mark);
        }
        for number in 0..last {
            let found = sums.of(number << 20, 1000).map(|known| known.0);
            assert_eq!(found, (number + limits::SUMS as u64 >= last).then_some(number as u16), "{number}");
            assert!(sums.of(number << 20, 999).is_none());
        }
    }

    #[test]
    fn segments_that_adjoin_have_one_sum() {
        let bytes: Vec<u8> = (0..100_u32).map(|byte| (byte * 7 % 251) as u8).collect();
        let mut sums = Sums::default();
        for (number, (from, to)) in [(50, 100), (0, 33), (33, 50)].into_iter().enumerate() {
            let mark = Mark::from(FrameId { number: number as u64 + 1, input: 0 });
            sums.push(u64::from(u32::MAX) - 60 + from as u64, (to - from) as u32, sum16(&bytes[from..to]), mark);
        }
        for (from, to) in [(0, 100), (33, 100), (0, 50), (33, 50)] {
            let found = sums.of(u64::from(u32::MAX) - 60 + from as u64, (to - from) as u32).map(|known| known.0);
            assert_eq!(found, Some(sum16(&bytes[from..to])), "{from} to {to}");
        }
        assert!(sums.of(u64::from(u32::MAX) - 60, 99).is_none());
    }
}

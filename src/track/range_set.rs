//! A set of sequence numbers kept as a contiguous prefix and the ranges beyond it, for streams that mostly arrive in order.

use super::sparse::{Sparse, empty};

/// Half-open ranges `[start, end)` of unwrapped sequence numbers. Everything below `contiguous` counts as seen; ranges above
/// it are sorted, disjoint and not adjacent.
#[derive(Clone, Debug, Default)]
pub struct RangeSet {
    origin: u64,
    contiguous: u64,
    holes: Sparse<Holes>,
}

/// What only a set with holes has.
#[derive(Clone, Debug, Default)]
struct Holes {
    beyond: Vec<(u64, u64)>,
    forgotten: u64,
}

empty! { Holes = Holes { beyond: Vec::new(), forgotten: 0 }; }

impl RangeSet {
    /// An empty set whose prefix ends at `origin`.
    pub fn starting_at(origin: u64) -> Self {
        Self { origin, contiguous: origin, ..Self::default() }
    }

    /// Where the set began.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// The end of the prefix without holes.
    #[inline]
    pub fn contiguous(&self) -> u64 {
        self.contiguous
    }

    /// One past the highest number seen.
    #[inline]
    pub fn end(&self) -> u64 {
        self.holes.beyond.last().map_or(self.contiguous, |range| range.1)
    }

    /// Whether there is no hole.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.holes.beyond.is_empty()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.holes.own_bytes() + self.holes.beyond.capacity() * size_of::<(u64, u64)>()
    }

    /// Ranges above the prefix.
    pub fn beyond(&self) -> &[(u64, u64)] {
        &self.holes.beyond
    }

    /// Numbers that lie in holes below [`RangeSet::end`], holes that [`RangeSet::bound`] closed included.
    pub fn missing(&self) -> u64 {
        let mut at = self.contiguous;
        let mut sum = self.holes.forgotten;
        for &(start, end) in &self.holes.beyond {
            sum += start - at;
            at = end;
        }
        sum
    }

    /// Counts from elsewhere: adds this to all numbers.
    pub fn shift(&mut self, by: u64) {
        self.origin += by;
        self.contiguous += by;
        for range in self.holes.written().into_iter().flat_map(|holes| &mut holes.beyond) {
            *range = (range.0 + by, range.1 + by);
        }
    }

    /// Takes over that numbers of another set lie in holes that were given up.
    pub fn absorb_forgotten(&mut self, other: &Self) {
        if other.holes.forgotten > 0 {
            self.holes.forgotten += other.holes.forgotten;
        }
    }

    /// Puts numbers below the present prefix in reach: the set began earlier than it seemed. What lies between is a hole.
    pub fn lower_origin(&mut self, origin: u64) {
        if origin < self.origin {
            if self.contiguous > self.origin {
                self.holes.beyond.insert(0, (self.origin, self.contiguous));
            }
            self.origin = origin;
            self.contiguous = origin;
        }
    }

    /// Adds `[start, end)` and calls `fresh` for each part that was not in the set, in order.
    #[inline]
    pub fn insert(&mut self, start: u64, end: u64, mut fresh: impl FnMut(u64, u64)) {
        if start == self.contiguous && self.holes.beyond.is_empty() {
            if end > start {
                fresh(start, end);
                self.contiguous = end;
            }
            return;
        }
        self.insert_slowly(start, end, &mut fresh);
    }

    fn insert_slowly(&mut self, start: u64, end: u64, fresh: &mut dyn FnMut(u64, u64)) {
        let mut at = start.max(self.contiguous);
        if at >= end {
            return;
        }
        // The first range that ends at or after `at`: it, and those that begin up to `end`, are merged into one.
        let first = self.holes.beyond.partition_point(|range| range.1 < at);
        let mut merged = (at, end);
        let mut last = first;
        while let Some(&(range_start, range_end)) = self.holes.beyond.get(last).filter(|range| range.0 <= end) {
            if at < range_start {
                fresh(at, range_start);
            }
            at = at.max(range_end);
            merged = (merged.0.min(range_start), merged.1.max(range_end));
            last += 1;
        }
        if at < end {
            fresh(at, end);
        }
        if merged.0 <= self.contiguous {
            self.contiguous = merged.1;
            if last > first {
                self.holes.beyond.drain(first..last);
            }
        } else if first == last {
            self.holes.beyond.insert(first, merged);
        } else {
            self.holes.beyond.drain(first + 1..last);
            if let Some(range) = self.holes.beyond.get_mut(first) {
                *range = merged;
            }
        }
    }

    /// The parts of `[start, end)` that are not in the set.
    pub fn absent(&self, start: u64, end: u64, mut each: impl FnMut(u64, u64)) {
        let mut at = start.max(self.contiguous);
        for &(range_start, range_end) in &self.holes.beyond {
            if range_start >= end || at >= end {
                break;
            }
            if at < range_start {
                each(at, range_start);
            }
            at = at.max(range_end);
        }
        if at < end {
            each(at, end);
        }
    }

    /// Whether all of `[start, end)` is in the set.
    #[inline]
    pub fn contains(&self, start: u64, end: u64) -> bool {
        end <= self.contiguous || {
            let mut all = true;
            self.absent(start, end, |_, _| all = false);
            all
        }
    }

    /// Whether all of `[start, end)` was truly added: not in a hole that [`RangeSet::bound`] gave up, nor before the set began.
    pub fn holds(&self, start: u64, end: u64) -> bool {
        self.holes.forgotten == 0 && start >= self.origin && self.contains(start, end)
    }

    /// Keeps at most `ranges` ranges above the prefix: the lowest holes are given up (and stay counted as missing).
    pub fn bound(&mut self, ranges: usize) {
        while self.holes.beyond.len() > ranges {
            let (start, end) = self.holes.beyond.remove(0);
            self.holes.forgotten += start - self.contiguous;
            self.contiguous = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_set_of_numbers(ranges in proptest::collection::vec((0u64..200, 0u64..40), 0..60)) {
            let mut set = RangeSet::starting_at(20);
            let mut naive: BTreeSet<u64> = BTreeSet::new();
            for (start, length) in ranges {
                let end = start + length;
                let mut absent = Vec::new();
                set.absent(start, end, |a, b| absent.extend(a..b));
                let mut fresh = Vec::new();
                set.insert(start, end, |a, b| fresh.extend(a..b));
                let expected: Vec<u64> = (start.max(20)..end).filter(|n| naive.insert(*n)).collect();
                prop_assert_eq!(&fresh, &expected);
                prop_assert_eq!(&absent, &expected);
                prop_assert!(set.contains(start, end));
                let highest = naive.last().map_or(20, |n| n + 1);
                prop_assert_eq!(set.end(), highest);
                prop_assert_eq!(set.missing(), highest - 20 - naive.len() as u64);
                prop_assert!(set.beyond().windows(2).all(|pair| pair[0].1 < pair[1].0));
                prop_assert!(set.beyond().first().is_none_or(|range| range.0 > set.contiguous()));
            }
        }
    }

    #[test]
    fn bounding_gives_up_the_lowest_holes_and_says_so() {
        let mut set = RangeSet::starting_at(0);
        for start in [10, 30, 50] {
            set.insert(start, start + 5, |_, _| {});
        }
        assert_eq!(set.missing(), 40);
        set.bound(1);
        assert_eq!((set.contiguous(), set.missing(), set.end()), (35, 40, 55));
        assert!(set.contains(0, 35) && !set.holds(30, 35));
    }

    #[test]
    fn an_origin_can_be_lowered() {
        let mut set = RangeSet::starting_at(100);
        set.insert(100, 110, |_, _| {});
        set.lower_origin(90);
        assert_eq!((set.contiguous(), set.missing(), set.end()), (90, 10, 110));
        set.insert(90, 100, |_, _| {});
        assert_eq!((set.contiguous(), set.missing()), (110, 0));
    }
}

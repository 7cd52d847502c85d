//! What shows of a sender's scheduler: the choices it made while every path was free.
//!
//! While paths are busy every scheduler sends where the congestion window opens next, so that the order of paths says little.
//! When everything sent has been acknowledged at the data level, all paths are free, and the next byte shows a choice.

use super::sparse::empty;

/// Choices of one sender among free paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choices {
    /// Choices among two usable paths or more.
    pub total: u32,
    /// Those that fell on another path than the data before.
    pub moved: u32,
    /// Those where the chosen path's round-trip time differs clearly from that of the best other.
    pub measured: u32,
    /// Those of `measured` where the chosen path's is the shorter.
    pub shortest: u32,
    /// Which of the first 64 subflows `shortest` fell on, as bits.
    pub shortest_on: u64,
}

empty! {
    Choices = Choices { total: 0, moved: 0, measured: 0, shortest: 0, shortest_on: 0 };
}

/// A round-trip time differs clearly from another where it is at least this many fourths of it.
const CLEARLY: u64 = 5;

impl Choices {
    /// The choice fell on `chosen` with its smoothed round-trip time, after data on `before`; `others` are the times of the
    /// other usable paths. Times are 0 where they are not known.
    pub fn note(&mut self, chosen: (u16, u64), before: u16, others: impl Iterator<Item = u64>) {
        let mut best = u64::MAX;
        let mut count = 0u32;
        for other in others {
            count += 1;
            best = best.min(other);
        }
        if count == 0 {
            return;
        }
        self.total = self.total.saturating_add(1);
        self.moved = self.moved.saturating_add(u32::from(chosen.0 != before));
        if best == 0 || chosen.1 == 0 {
            return;
        }
        if chosen.1.saturating_mul(CLEARLY) <= best.saturating_mul(4) {
            self.measured = self.measured.saturating_add(1);
            self.shortest = self.shortest.saturating_add(1);
            self.shortest_on |= 1u64.checked_shl(u32::from(chosen.0)).unwrap_or(0);
        } else if best.saturating_mul(CLEARLY) <= chosen.1.saturating_mul(4) {
            self.measured = self.measured.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_path_is_no_choice() {
        let mut choices = Choices::default();
        choices.note((0, 10), 0, std::iter::empty());
        assert_eq!(choices.total, 0);
    }

    #[test]
    fn round_trip_times_that_differ_by_a_quarter_are_measured() {
        let mut choices = Choices::default();
        choices.note((0, 80), 0, [100].into_iter());
        choices.note((1, 100), 0, [80].into_iter());
        choices.note((1, 100), 1, [90].into_iter());
        choices.note((1, 100), 1, [0, 200].into_iter());
        assert_eq!((choices.total, choices.moved, choices.measured, choices.shortest), (4, 1, 2, 1));
        assert_eq!(choices.shortest_on, 1);
    }
}

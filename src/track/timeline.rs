//! What each subflow carried over time, in constant memory: 64 steps whose width doubles when time runs past them.

use crate::frame::Timestamp;
use crate::limits;

/// What all subflows of a connection carried in one direction.
#[derive(Clone, Debug)]
pub struct Timeline {
    start: Timestamp,
    /// log2 of a step's width in nanoseconds.
    width_log2: u32,
    /// By subflow, then by step.
    rows: Vec<(u16, Box<[Step; limits::TIMELINE_STEPS]>)>,
}

/// One subflow in one step of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// New data-level bytes.
    pub bytes: u32,
    /// Most bytes sent and not acknowledged.
    pub in_flight: u32,
    /// Smoothed round-trip time at its end, in microseconds; 0 where there was none.
    pub rtt_us: u32,
    /// TCP payload bytes sent again.
    pub resent: u32,
}

/// 2^23 ns, about 8 ms: the width of a step at first.
const FIRST_WIDTH_LOG2: u32 = 23;

impl Timeline {
    /// Begins at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { start, width_log2: FIRST_WIDTH_LOG2, rows: Vec::new() }
    }

    /// Adds what `subflow` did at `now`.
    #[inline]
    pub fn add(&mut self, subflow: u16, now: Timestamp, step: Step) {
        let since = now.since(self.start);
        let mut index = (since >> self.width_log2) as usize;
        if index >= limits::TIMELINE_STEPS {
            self.widen(since);
            index = (since >> self.width_log2) as usize;
        }
        let row = match self.rows.iter().position(|row| row.0 == subflow) {
            Some(row) => row,
            None if self.rows.len() < limits::TIMELINE_SUBFLOWS => {
                self.rows.push((subflow, Box::new([Step::default(); limits::TIMELINE_STEPS])));
                self.rows.len() - 1
            }
            None => return,
        };
        if let Some(known) = self.rows.get_mut(row).and_then(|row| row.1.get_mut(index)) {
            *known = known.and(step);
        }
    }

    #[cold]
    fn widen(&mut self, since: u64) {
        while (since >> self.width_log2) as usize >= limits::TIMELINE_STEPS {
            self.width_log2 += 1;
            for (_, steps) in &mut self.rows {
                let mut merged = [Step::default(); limits::TIMELINE_STEPS];
                for (into, pair) in merged.iter_mut().zip(steps.chunks(2)) {
                    *into = pair.iter().fold(Step::default(), |sum, step| sum.and(*step));
                }
                **steps = merged;
            }
        }
    }

    /// Bytes on the heap, this struct included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let row = size_of::<[Step; limits::TIMELINE_STEPS]>();
        size_of::<Self>() + self.rows.capacity() * size_of::<(u16, usize)>() + self.rows.len() * row
    }

    /// When it begins.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Width of a step in nanoseconds.
    pub fn width(&self) -> u64 {
        1 << self.width_log2
    }

    /// Subflows and their steps.
    pub fn rows(&self) -> impl Iterator<Item = (u16, &[Step])> {
        self.rows.iter().map(|(subflow, steps)| (*subflow, steps.as_slice()))
    }
}

impl Step {
    /// This and a later one.
    fn and(self, later: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(later.bytes),
            in_flight: self.in_flight.max(later.in_flight),
            rtt_us: if later.rtt_us == 0 { self.rtt_us } else { later.rtt_us },
            resent: self.resent.saturating_add(later.resent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(bytes: u32) -> Step {
        Step { bytes, in_flight: bytes, rtt_us: bytes, resent: 1 }
    }

    #[test]
    fn widening_loses_nothing() {
        let mut timeline = Timeline::new(Timestamp(1_000));
        for index in 0..1000u32 {
            timeline.add(3, Timestamp(1_000 + i64::from(index) * 10_000_000), step(index));
        }
        let (subflow, steps) = timeline.rows().next().unwrap();
        assert_eq!(subflow, 3);
        assert_eq!(steps.iter().map(|step| u64::from(step.bytes)).sum::<u64>(), 999 * 1000 / 2);
        assert_eq!(steps.iter().map(|step| step.resent).sum::<u32>(), 1000);
        assert_eq!(steps.iter().map(|step| step.in_flight).max(), Some(999));
        // 10 s in 64 steps of a power of two: 2^28 ns.
        assert_eq!(timeline.width(), 1 << 28);
        assert_eq!(steps.iter().rposition(|step| step.bytes > 0), Some((9_990_000_000u64 >> 28) as usize));
    }

    #[test]
    fn subflows_beyond_the_limit_are_left_out() {
        let mut timeline = Timeline::new(Timestamp(0));
        for subflow in 0..100 {
            timeline.add(subflow, Timestamp(0), step(1));
        }
        assert_eq!(timeline.rows().count(), limits::TIMELINE_SUBFLOWS);
    }

    #[test]
    fn time_before_the_start_counts_as_the_start() {
        let mut timeline = Timeline::new(Timestamp(5_000_000_000));
        timeline.add(0, Timestamp(0), step(7));
        assert_eq!(timeline.rows().next().unwrap().1[0].bytes, 7);
    }
}

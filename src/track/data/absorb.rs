//! What two connections saw of one stream, put together.

use super::{Again, DataLevel, REACH};
use crate::track::mark::unwrap;

impl DataLevel {
    /// Counts what `other` saw of the same stream, on subflows that are numbered from `first_subflow` here. Which of two subflows
    /// carried a byte first can no longer be told: what both saw counts as reinjected by the other's. Gives what has to be added
    /// (modulo 2^64) to positions that `other` gave.
    pub fn absorb(&mut self, other: &Self, first_subflow: u16) -> u64 {
        // What tells of order, runs, choices and times only makes sense of data seen in one go: those of `other` are given up.
        let Self {
            base,
            rebased: _,
            seen,
            unique: _,
            again,
            acked,
            fin,
            fin_time,
            carriers: _,
            blocks,
            order: _,
            choices: _,
            timeline: _,
        } = other;
        let Some(dsn) = base.dsn else { return 0 };
        let shift = match self.base.dsn {
            Some(own) if base.high_unknown => unwrap(own, dsn as u32).wrapping_sub(own),
            Some(own) => dsn.wrapping_sub(own),
            None => {
                self.base = *base;
                0
            }
        };
        let place = |position: u64| position.wrapping_add(shift);
        if shift.wrapping_add(REACH) >= 2 * REACH {
            return 0;
        }
        if let (Some(at), true) = (blocks.last, seen.end() != 0) {
            let first = (seen.origin(), seen.contiguous());
            for (start, end) in
                std::iter::once(first).chain(seen.beyond().iter().copied()).filter(|range| range.0 < range.1)
            {
                self.deliver(place(start), place(end), first_subflow, at);
            }
            self.seen.absorb_forgotten(seen);
        }
        if again.own_bytes() > 0 {
            let Again { reinjected, reinjected_useful, resent } = **again;
            self.again.reinjected += reinjected;
            self.again.reinjected_useful += reinjected_useful;
            self.again.resent += resent;
        }
        if let Some(acked) = acked {
            self.acknowledge(place(acked.get()));
        }
        if self.fin.is_none() {
            self.fin = fin.map(|(position, mark)| (place(position), mark));
            self.fin_time = *fin_time;
        }
        shift
    }
}

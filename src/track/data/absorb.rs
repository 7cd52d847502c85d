//! What two connections saw of one stream, put together.

use super::{DataLevel, REACH};
use crate::track::mark::unwrap;

impl DataLevel {
    /// Counts what `other` saw of the same stream, on subflows that are numbered from `base` here. Which of two subflows
    /// carried a byte first can no longer be told: what both saw counts as reinjected by the other's. Gives what has to be added
    /// (modulo 2^64) to positions that `other` gave.
    pub fn absorb(&mut self, other: &Self, base: u16) -> u64 {
        let Some(dsn) = other.base.dsn else { return 0 };
        let shift = match self.base.dsn {
            Some(own) if other.base.high_unknown => unwrap(own, dsn as u32).wrapping_sub(own),
            Some(own) => dsn.wrapping_sub(own),
            None => {
                self.base = other.base;
                0
            }
        };
        let place = |position: u64| position.wrapping_add(shift);
        if shift.wrapping_add(REACH) >= 2 * REACH {
            return 0;
        }
        let at = other.blocks.last;
        if let (Some(at), true) = (at, other.seen.end() != 0) {
            let first = (other.seen.origin(), other.seen.contiguous());
            for (start, end) in
                std::iter::once(first).chain(other.seen.beyond().iter().copied()).filter(|range| range.0 < range.1)
            {
                self.deliver(place(start), place(end), base, at);
            }
        }
        if other.again.own_bytes() > 0 {
            self.again.reinjected += other.again.reinjected;
            self.again.reinjected_useful += other.again.reinjected_useful;
            self.again.resent += other.again.resent;
        }
        if let Some(acked) = other.acked() {
            self.acknowledge(place(acked));
        }
        if self.fin.is_none() {
            self.fin = other.fin.map(|(position, mark)| (place(position), mark));
        }
        shift
    }
}

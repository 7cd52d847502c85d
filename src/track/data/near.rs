//! Whether numbers lie where a stream is: for what no handshake places.

use super::DataLevel;
use crate::track::mark::unwrap;
use crate::wire::RawSequence;

/// How far two subflows of one connection lie apart at the most.
const APART: u64 = 1 << 27;
/// The same, where only low halves tell.
const CLOSE: u32 = 1 << 21;

impl DataLevel {
    /// The high half of the DSNs where the stream began.
    pub(in crate::track) fn high_half(&self) -> Option<u32> {
        self.base.dsn.filter(|_| !self.base.high_unknown).map(|dsn| (dsn >> 32) as u32)
    }

    /// The DSN that the stream has come to, where it is known whole.
    pub(in crate::track) fn place(&self) -> Option<u64> {
        let (here, known) = self.dsn(self.reference());
        known.then_some(here)
    }

    /// Whether a 64-bit DSN or DATA_ACK lies about where the stream has come to.
    pub(in crate::track) fn is_near(&self, dsn: u64) -> bool {
        self.place().is_some_and(|here| dsn.wrapping_sub(here).wrapping_add(APART) < 2 * APART)
    }

    /// While the high half of the DSNs is unknown: what it is if this is the IDSN, and what stands in its place.
    pub(in crate::track) fn high_halves(&self, idsn: u64) -> Option<(u32, u32)> {
        let made_up = self.base.dsn.filter(|_| self.base.high_unknown)?;
        Some(((unwrap(idsn, made_up as u32) >> 32) as u32, (made_up >> 32) as u32))
    }

    /// Whether a DSN or DATA_ACK lies close to where the stream has come to, as far as its low half tells.
    pub(in crate::track) fn is_close(&self, sequence: RawSequence) -> bool {
        let (here, known) = self.dsn(self.reference());
        match sequence {
            RawSequence::Long(dsn) if known => self.is_near(dsn),
            RawSequence::Long(dsn) => self.is_close(RawSequence::Short(dsn as u32)),
            RawSequence::Short(low) => {
                self.base.dsn.is_some() && low.wrapping_sub(here as u32).wrapping_add(CLOSE) < 2 * CLOSE
            }
        }
    }

    /// Whether what was seen of the stream can be so: nothing, low halves of DSNs above this IDSN, or whole ones.
    pub(in crate::track) fn may_follow(&self, idsn: u64) -> bool {
        let (dsn, whole) = self.dsn(self.reference());
        match self.base.dsn {
            None => true,
            Some(_) if whole => dsn.wrapping_sub(idsn) < 1 << 40,
            Some(_) => (dsn as u32).wrapping_sub(idsn as u32) < 1 << 31,
        }
    }
}

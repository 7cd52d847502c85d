//! Small forms of facts that are kept many times.

use std::num::NonZeroU64;

use crate::frame::{FrameId, Timestamp};

/// A [`FrameId`] in eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(NonZeroU64);

impl Mark {
    /// The frame.
    pub fn frame(self) -> FrameId {
        FrameId { number: self.0.get() & 0xffff_ffff_ffff, input: (self.0.get() >> 48) as u16 }
    }
}

impl From<FrameId> for Mark {
    #[inline]
    fn from(id: FrameId) -> Self {
        let packed = u64::from(id.input) << 48 | id.number.min(0xffff_ffff_ffff);
        Self(NonZeroU64::new(packed).unwrap_or(NonZeroU64::MIN))
    }
}

impl std::fmt::Debug for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.frame().input, self.frame().number)
    }
}

/// A frame and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The frame.
    pub frame: Mark,
    /// Its time.
    pub time: Timestamp,
}

/// The unwrapped number nearest to `reference` whose low 32 bits are `raw`: how 32-bit sequence numbers and 32-bit forms of
/// DSN and DATA_ACK become 64-bit ones.
#[inline]
pub fn unwrap(reference: u64, raw: u32) -> u64 {
    let distance = raw.wrapping_sub(reference as u32) as i32;
    reference.wrapping_add(i64::from(distance) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_unwrap_to_the_nearest() {
        assert_eq!(unwrap(0x2_0000_0010, 0x20), 0x2_0000_0020);
        assert_eq!(unwrap(0x2_0000_0010, 0xffff_fff0), 0x1_ffff_fff0);
        assert_eq!(unwrap(0x2_ffff_fff0, 0x10), 0x3_0000_0010);
    }

    #[test]
    fn marks_keep_input_and_number() {
        let id = FrameId { number: 994_313, input: 7 };
        assert_eq!(Mark::from(id).frame(), id);
    }
}

//! Experiments: TCP kinds 253 and 254 (RFC 4727), told apart by an experiment id (RFC 6994 §3).
//!
//! ```text
//! +---------------+---------------+-------------------------------+
//! |  Kind 253/254 |    Length     |       ExID, 16 bits           |
//! +---------------+---------------+-------------------------------+
//! | or 32 bits of ExID            |  experiment-specific ...
//! +-------------------------------+---------------
//! ```
//!
//! MPTCP's own subtype for experiments, MP_EXPERIMENTAL (RFC 8684 §7.2), has no layout that a third party could read; it
//! is kept whole in `MptcpOption::Unknown`.

use std::fmt;

/// Fast Open before it had a kind of its own (RFC 7413 §4.1.1).
const FAST_OPEN: u16 = 0xf989;
/// Shared Memory Communications over RDMA (RFC 7609 appendix B): "SMCR" in EBCDIC, the one 32-bit ExID in wide use.
const SMC_R: u32 = 0xe2d4_c3d9;

/// An experiment id. RFC 6994 leaves its size to the registry: 32 bits for those registered so, else 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExId {
    /// 16 bits.
    Short(u16),
    /// 32 bits.
    Long(u32),
}

impl ExId {
    /// Splits what follows kind and length into ExID and data; none below 2 bytes.
    #[inline]
    pub(super) fn split(body: &[u8]) -> Option<(Self, &[u8])> {
        if let Some((long, data)) = body.split_first_chunk()
            && u32::from_be_bytes(*long) == SMC_R
        {
            return Some((Self::Long(SMC_R), data));
        }
        let (short, data) = body.split_first_chunk()?;
        Some((Self::Short(u16::from_be_bytes(*short)), data))
    }

    /// Whether the option is Fast Open in its experimental form.
    #[inline]
    pub const fn is_fast_open(self) -> bool {
        matches!(self, Self::Short(FAST_OPEN))
    }

    /// The Fast Open ExID.
    pub(super) const fn fast_open() -> Self {
        Self::Short(FAST_OPEN)
    }

    /// Writes the ExID.
    pub(super) fn emit(self, out: &mut Vec<u8>) {
        match self {
            Self::Short(id) => out.extend_from_slice(&id.to_be_bytes()),
            Self::Long(id) => out.extend_from_slice(&id.to_be_bytes()),
        }
    }
}

/// `f989` or `e2d4c3d9`
impl fmt::Display for ExId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(id) => write!(f, "{id:04x}"),
            Self::Long(id) => write!(f, "{id:08x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_unless_registered_with_more() {
        assert_eq!(ExId::split(&[0xf9, 0x89, 1, 2]), Some((ExId::Short(0xf989), &[1, 2][..])));
        assert_eq!(ExId::split(&[0xe2, 0xd4, 0xc3, 0xd9]), Some((ExId::Long(0xe2d4_c3d9), &[][..])));
        assert_eq!(ExId::split(&[0xe2, 0xd4, 0xc3]), Some((ExId::Short(0xe2d4), &[0xc3][..])));
        assert_eq!(ExId::split(&[0xf9]), None);
    }
}

//! What a key says about its end: token and initial data sequence number (RFC 8684 §3.1, §3.2; RFC 6824 likewise).

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Key, Suite, Token};

/// What one hash of a key gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The first 32 bits of the hash.
    pub token: Token,
    /// The initial data sequence number: the last 64 bits of the hash.
    pub idsn: u64,
}

impl Identity {
    /// The data sequence number of the first byte of data: the IDSN itself stands for the handshake.
    #[inline]
    pub const fn first_dsn(&self) -> u64 {
        self.idsn.wrapping_add(1)
    }
}

/// Token and IDSN of `key`, by one hash.
///
/// ```
/// use mptcp_inspect::crypto::{Key, Suite, Token, identify};
///
/// let server = identify(Suite::Sha256, Key(0x73bb_1503_58a0_aecb_u64.to_be_bytes()));
/// assert_eq!(server.token, Token(0x5f3f_5591));
/// assert_eq!(server.idsn, 12_148_165_319_181_844_525);
/// ```
pub fn identify(suite: Suite, key: Key) -> Identity {
    match suite {
        Suite::Sha1 => {
            let [t0, t1, t2, t3, .., d0, d1, d2, d3, d4, d5, d6, d7]: [u8; 20] = Sha1::digest(key.0).into();
            Identity::from_ends([t0, t1, t2, t3], [d0, d1, d2, d3, d4, d5, d6, d7])
        }
        Suite::Sha256 => {
            let [t0, t1, t2, t3, .., d0, d1, d2, d3, d4, d5, d6, d7]: [u8; 32] = Sha256::digest(key.0).into();
            Identity::from_ends([t0, t1, t2, t3], [d0, d1, d2, d3, d4, d5, d6, d7])
        }
    }
}

impl Identity {
    const fn from_ends(token: [u8; 4], idsn: [u8; 8]) -> Self {
        Self { token: Token(u32::from_be_bytes(token)), idsn: u64::from_be_bytes(idsn) }
    }
}

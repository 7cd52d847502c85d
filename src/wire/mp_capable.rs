//! MP_CAPABLE: opens a connection (RFC 8684 §3.1, RFC 6824 §3.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-------+---------------+
//! |     Kind      |    Length     |Subtype|Version|A|B|C|D|E|F|G|H|
//! +---------------+---------------+-------+-------+---------------+
//! |                   Option Sender's Key (64 bits)               |
//! |                      (if option Length > 4)                   |
//! +---------------------------------------------------------------+
//! |                  Option Receiver's Key (64 bits)              |
//! |                      (if option Length > 12)                  |
//! +-------------------------------+-------------------------------+
//! |  Data-Level Length (16 bits)  |  Checksum (16 bits, optional) |
//! +-------------------------------+-------------------------------+
//! ```

use std::fmt;

use nom::combinator::cond;

use super::be;
use super::error::{Lengths, WireError};
use super::subtype::Subtype;
use crate::crypto::Key;

/// v1: 4 in the SYN, 12 in the SYN/ACK, 20 in the ACK, 22 or 24 with data. v0: 12, 12, 20.
const LENGTHS: Lengths = Lengths::of([4, 12, 20, 22, 24]);

/// An MP_CAPABLE option. Which handshake packet it belongs to is said by its keys and by the TCP flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpCapable {
    /// The MPTCP version, 0 to 15: 0 and 1 exist.
    pub version: u8,
    /// Flags A (0x80) to H (0x01), as on the wire.
    pub flags: u8,
    /// Key of the end that sent the option; none in a v1 SYN.
    pub sender_key: Option<Key>,
    /// Key of the end that receives it; from the third ACK on.
    pub receiver_key: Option<Key>,
    /// Data-level length: bytes mapped implicitly from DSN = IDSN + 1 (v1, first data).
    pub data_len: Option<u16>,
    /// Checksum of that mapping.
    pub checksum: Option<u16>,
}

impl MpCapable {
    /// Flag A: this end wants DSS checksums.
    pub const CHECKSUM_REQUIRED: u8 = 0x80;
    /// Flag B: another format may follow; the option must be ignored.
    pub const EXTENSIBILITY: u8 = 0x40;
    /// Flag C (v1): no further subflows to this end's address and port.
    pub const DENY_JOIN_ID0: u8 = 0x20;
    /// Flag H: HMAC-SHA1 in v0, HMAC-SHA256 in v1.
    pub const HMAC_ALGORITHM: u8 = 0x01;
    /// Flags D to H: the crypto algorithms.
    const CRYPTO: u8 = 0x1f;

    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let length = option.len();
        let fields = (
            be::header,
            be::u8,
            cond(length > 4, be::key),
            cond(length > 12, be::key),
            cond(length > 20, be::u16),
            cond(length > 22, be::u16),
        );
        let (version, flags, sender_key, receiver_key, data_len, checksum) =
            be::read(option, Subtype::MP_CAPABLE, LENGTHS, fields)?;
        Ok(Self { version, flags, sender_key, receiver_key, data_len, checksum })
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        be::emit(out, Subtype::MP_CAPABLE, self.version, |out| {
            out.push(self.flags);
            for key in [self.sender_key, self.receiver_key].into_iter().flatten() {
                out.extend_from_slice(&key.0);
            }
            for field in [self.data_len, self.checksum].into_iter().flatten() {
                out.extend_from_slice(&field.to_be_bytes());
            }
        });
    }

    /// Whether this end wants DSS checksums (A).
    #[inline]
    pub const fn checksum_required(&self) -> bool {
        self.flags & Self::CHECKSUM_REQUIRED != 0
    }

    /// Whether the extensibility flag (B) is set: a receiver must ignore the option.
    #[inline]
    pub const fn extensibility(&self) -> bool {
        self.flags & Self::EXTENSIBILITY != 0
    }

    /// Whether this end refuses joins to the address and port of the initial subflow (C). v1 only: v0 has it reserved.
    #[inline]
    pub const fn deny_join_id0(&self) -> bool {
        self.flags & Self::DENY_JOIN_ID0 != 0
    }

    /// Whether HMAC-SHA1 (v0) or HMAC-SHA256 (v1) is offered or chosen (H).
    #[inline]
    pub const fn hmac_algorithm(&self) -> bool {
        self.flags & Self::HMAC_ALGORITHM != 0
    }

    /// The algorithm bits D to H. All zero, and a receiver must ignore the option.
    #[inline]
    pub const fn crypto_bits(&self) -> u8 {
        self.flags & Self::CRYPTO
    }
}

/// `MP_CAPABLE v1 flags 81 sender_key 73bb150358a0aecb`
impl fmt::Display for MpCapable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MP_CAPABLE v{} flags {:02x}", self.version, self.flags)?;
        if let Some(key) = self.sender_key {
            write!(f, " sender_key {key}")?;
        }
        if let Some(key) = self.receiver_key {
            write!(f, " receiver_key {key}")?;
        }
        if let Some(len) = self.data_len {
            write!(f, " data_len {len}")?;
        }
        if let Some(checksum) = self.checksum {
            write!(f, " checksum {checksum:04x}")?;
        }
        Ok(())
    }
}

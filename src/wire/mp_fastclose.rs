//! MP_FASTCLOSE: closes the whole connection at once (RFC 8684 §3.5, the same in RFC 6824 §3.5).
//!
//! ```text
//! +---------------+---------------+-------+-----------------------+
//! |     Kind      |    Length     |Subtype|      (reserved)       |
//! +---------------+---------------+-------+-----------------------+
//! |                      Option Receiver's Key                    |
//! |                            (64 bits)                          |
//! +---------------------------------------------------------------+
//! ```

use std::fmt;

use nom::combinator::map;

use super::be;
use super::error::{Lengths, WireError};
use super::subtype::Subtype;
use crate::crypto::Key;

const LENGTHS: Lengths = Lengths::of([12]);

/// An MP_FASTCLOSE option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpFastclose {
    /// Key of the end that receives the option.
    pub key: Key,
    /// Twelve reserved bits.
    pub reserved: u16,
}

impl MpFastclose {
    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let fields = (be::header, be::u8, be::key);
        be::read(
            option,
            Subtype::MP_FASTCLOSE,
            LENGTHS,
            map(fields, |(high, low, key)| Self { key, reserved: u16::from_be_bytes([high, low]) }),
        )
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let [high, low] = self.reserved.to_be_bytes();
        be::emit(out, Subtype::MP_FASTCLOSE, high, |out| {
            out.push(low);
            out.extend_from_slice(&self.key.0);
        });
    }
}

/// `MP_FASTCLOSE key d005b1ab34bad344`
impl fmt::Display for MpFastclose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MP_FASTCLOSE key {}", self.key)
    }
}

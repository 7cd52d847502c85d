//! MP_FAIL: a checksum failed, or the sender falls back to TCP (RFC 8684 §3.7, RFC 6824 §3.6).
//!
//! ```text
//! +---------------+---------------+-------+----------------------+
//! |     Kind      |   Length=12   |Subtype|      (reserved)      |
//! +---------------+---------------+-------+----------------------+
//! |                 Data Sequence Number (8 octets)              |
//! +--------------------------------------------------------------+
//! ```

use std::fmt;

use nom::combinator::map;

use super::be;
use super::error::{Lengths, WireError};
use super::subtype::Subtype;

const LENGTHS: Lengths = Lengths::of([12]);

/// An MP_FAIL option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpFail {
    /// Where the data stream is bad from: always all 64 bits.
    pub dsn: u64,
    /// Twelve reserved bits.
    pub reserved: u16,
}

impl MpFail {
    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let fields = (be::header, be::u8, be::u64);
        be::read(
            option,
            Subtype::MP_FAIL,
            LENGTHS,
            map(fields, |(high, low, dsn)| Self { dsn, reserved: u16::from_be_bytes([high, low]) }),
        )
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let [high, low] = self.reserved.to_be_bytes();
        be::emit(out, Subtype::MP_FAIL, high, |out| {
            out.push(low);
            out.extend_from_slice(&self.dsn.to_be_bytes());
        });
    }
}

/// `MP_FAIL dsn 10975753215851282122`
impl fmt::Display for MpFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MP_FAIL dsn {}", self.dsn)
    }
}

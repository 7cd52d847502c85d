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

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::wire::MptcpOption;
    use crate::wire::testing::{complaint, mptcp, stretched};

    #[test]
    fn dsn_and_reserved_bits() {
        let option = mptcp(&hex!("1e0c6000 9851b565d52abeca"));
        assert_eq!(option, MptcpOption::MpFail(MpFail { dsn: 10_975_753_215_851_282_122, reserved: 0 }));
        assert_eq!(option.to_string(), "MP_FAIL dsn 10975753215851282122");
        let MptcpOption::MpFail(option) = mptcp(&hex!("1e0c6abc 0000000000000001")) else { panic!("not MP_FAIL") };
        assert_eq!((option.dsn, option.reserved), (1, 0xabc));
    }

    #[test]
    fn other_lengths_are_malformed() {
        for length in [3, 4, 8, 11, 13] {
            assert_eq!(
                complaint(&stretched(length, &[0x60])),
                format!("length {length} at option byte 0: MP_FAIL needs 12")
            );
        }
    }
}

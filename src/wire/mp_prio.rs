//! MP_PRIO: makes a subflow a backup or a normal one (RFC 8684 §3.3.8, RFC 6824 §3.3.8).
//!
//! ```text
//! +---------------+---------------+-------+-----+-+--------------+
//! |     Kind      |     Length    |Subtype|(rsv)|B| AddrID (opt) |   v1: no AddrID
//! +---------------+---------------+-------+-----+-+--------------+
//! ```

use std::fmt;

use nom::combinator::{cond, map};

use super::be;
use super::error::{Lengths, WireError};
use super::subtype::Subtype;

const LENGTHS: Lengths = Lengths::of([3, 4]);

/// An MP_PRIO option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpPrio {
    /// B: use the subflow only when no other is left.
    pub backup: bool,
    /// v0: the sender's address whose subflows are meant. Without it, the subflow that carries the option.
    pub address_id: Option<u8>,
    /// Three reserved bits.
    pub reserved: u8,
}

impl MpPrio {
    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let fields = (be::header, cond(option.len() > 3, be::u8));
        be::read(
            option,
            Subtype::MP_PRIO,
            LENGTHS,
            map(fields, |(nibble, address_id)| Self { backup: nibble & 1 != 0, address_id, reserved: nibble >> 1 }),
        )
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        be::emit(out, Subtype::MP_PRIO, self.reserved << 1 | u8::from(self.backup), |out| out.extend(self.address_id));
    }
}

/// `MP_PRIO backup id 2`
impl fmt::Display for MpPrio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.backup { "MP_PRIO backup" } else { "MP_PRIO normal" })?;
        match self.address_id {
            Some(id) => write!(f, " id {id}"),
            None => Ok(()),
        }
    }
}

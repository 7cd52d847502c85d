//! MP_TCPRST: why a subflow was reset (RFC 8684 §3.6). Not in v0.
//!
//! ```text
//! +---------------+---------------+-------+-----------------------+
//! |     Kind      |    Length     |Subtype|U|V|W|T|    Reason     |
//! +---------------+---------------+-------+-----------------------+
//! ```

use std::fmt;

use nom::combinator::map;

use super::be;
use super::error::{Lengths, WireError};
use super::subtype::Subtype;

const LENGTHS: Lengths = Lengths::of([4]);

/// An MP_TCPRST option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpTcprst {
    /// Flags U (0x8), V, W (reserved) and T (0x1).
    pub flags: u8,
    /// Why, as a code: see [`MpTcprst::meaning`].
    pub reason: u8,
}

impl MpTcprst {
    /// T: the condition is transient.
    pub const TRANSIENT: u8 = 0x1;

    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let fields = (be::header, be::u8);
        be::read(option, Subtype::MP_TCPRST, LENGTHS, map(fields, |(flags, reason)| Self { flags, reason }))
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        be::emit(out, Subtype::MP_TCPRST, self.flags, |out| out.push(self.reason));
    }

    /// Whether the other end may try again (T).
    #[inline]
    pub const fn transient(&self) -> bool {
        self.flags & Self::TRANSIENT != 0
    }

    /// What the reason code means (IANA, "MPTCP MP_TCPRST Reason Codes").
    pub const fn meaning(&self) -> &'static str {
        match self.reason {
            0 => "unspecified error",
            1 => "MPTCP-specific error",
            2 => "lack of resources",
            3 => "administratively prohibited",
            4 => "too much outstanding data",
            5 => "unacceptable performance",
            6 => "middlebox interference",
            _ => "unassigned reason",
        }
    }
}

/// `MP_TCPRST reason 3 (administratively prohibited) transient`
impl fmt::Display for MpTcprst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MP_TCPRST reason {} ({})", self.reason, self.meaning())?;
        f.write_str(if self.transient() { " transient" } else { "" })
    }
}

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
    /// Why, as a code: see [`MpTcprst::why`].
    pub reason: u8,
}

/// Why a subflow was reset (RFC 8684 §3.6; IANA, "MPTCP MP_TCPRST Reason Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetReason(pub u8);

impl ResetReason {
    /// Something of MPTCP went wrong: an unknown token, a wrong HMAC, a broken mapping.
    pub const MPTCP_SPECIFIC: Self = Self(1);
    /// A limit or a rule of the host forbids it.
    pub const PROHIBITED: Self = Self(3);
    /// Something on the path interferes: options are gone.
    pub const MIDDLEBOX: Self = Self(6);

    /// What the code means.
    pub const fn meaning(self) -> &'static str {
        match self.0 {
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

/// `3 (administratively prohibited)`
impl fmt::Display for ResetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.meaning())
    }
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

    /// Why.
    #[inline]
    pub const fn why(&self) -> ResetReason {
        ResetReason(self.reason)
    }
}

/// `MP_TCPRST reason 3 (administratively prohibited) transient`
impl fmt::Display for MpTcprst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MP_TCPRST reason {}", self.why())?;
        f.write_str(if self.transient() { " transient" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::wire::MptcpOption;
    use crate::wire::testing::{complaint, mptcp};

    /// From tcpdump's mptcp-tcprst.pcap.
    #[test]
    fn flags_and_reason() {
        let MptcpOption::MpTcprst(permanent) = mptcp(&hex!("1e048000")) else { panic!("not MP_TCPRST") };
        assert_eq!((permanent.transient(), permanent.reason), (false, 0));
        let MptcpOption::MpTcprst(transient) = mptcp(&hex!("1e048101")) else { panic!("not MP_TCPRST") };
        assert_eq!((transient.transient(), transient.reason), (true, 1));
        assert_eq!(transient.to_string(), "MP_TCPRST reason 1 (MPTCP-specific error) transient");
        assert_eq!(mptcp(&hex!("1e048e06")), MptcpOption::MpTcprst(MpTcprst { flags: 0xe, reason: 6 }));
    }

    #[test]
    fn reasons_have_the_rfcs_words() {
        let meaning = |reason| ResetReason(reason).meaning();
        assert_eq!(meaning(3), "administratively prohibited");
        assert_eq!(meaning(6), "middlebox interference");
        assert_eq!(meaning(7), "unassigned reason");
    }

    #[test]
    fn other_lengths_are_malformed() {
        assert_eq!(complaint(&hex!("1e0380")), "length 3 at option byte 0: MP_TCPRST needs 4");
        assert_eq!(complaint(&hex!("1e05800000")), "length 5 at option byte 0: MP_TCPRST needs 4");
    }
}

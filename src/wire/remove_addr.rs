//! REMOVE_ADDR: withdraws addresses (RFC 8684 §3.4.2, the same in RFC 6824 §3.4.2).
//!
//! ```text
//! +---------------+---------------+-------+-------+---------------+
//! |     Kind      |Length = 3 + n |Subtype|(resvd)|   Address ID  | ...
//! +---------------+---------------+-------+-------+---------------+
//!                            (followed by n-1 Address IDs, if required)
//! ```

use std::fmt;

use super::be;
use super::error::WireError;
use super::subtype::Subtype;

/// A REMOVE_ADDR option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveAddr<'a> {
    /// The sender's ids of the addresses that are gone, one or more.
    pub ids: &'a [u8],
    /// Four reserved bits.
    pub reserved: u8,
}

impl<'a> RemoveAddr<'a> {
    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &'a [u8]) -> Result<Self, WireError> {
        match be::header(option) {
            Ok((ids @ [_, ..], reserved)) => Ok(Self { ids, reserved }),
            _ => Err(WireError::needs_at_least(Subtype::REMOVE_ADDR.into(), option.len(), 4)),
        }
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        be::emit(out, Subtype::REMOVE_ADDR, self.reserved, |out| out.extend_from_slice(self.ids));
    }
}

/// `REMOVE_ADDR id 1 2 3`
impl fmt::Display for RemoveAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REMOVE_ADDR id")?;
        self.ids.iter().try_for_each(|id| write!(f, " {id}"))
    }
}

//! One MPTCP option of any subtype (TCP kind 30; RFC 8684 §3).

use std::fmt;

use super::error::WireError;
use super::hex::Hex;
use super::subtype::Subtype;
use super::{AddAddr, Dss, MpCapable, MpFail, MpFastclose, MpJoin, MpPrio, MpTcprst, RemoveAddr};

/// An MPTCP option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MptcpOption<'a> {
    /// Opens a connection.
    MpCapable(MpCapable),
    /// Opens a subflow.
    MpJoin(MpJoin),
    /// Acknowledges and maps data.
    Dss(Dss),
    /// Announces an address.
    AddAddr(AddAddr),
    /// Withdraws addresses.
    RemoveAddr(RemoveAddr<'a>),
    /// Changes a subflow's priority.
    MpPrio(MpPrio),
    /// A checksum failed, or fallback.
    MpFail(MpFail),
    /// Closes the connection at once.
    MpFastclose(MpFastclose),
    /// Why a subflow was reset.
    MpTcprst(MpTcprst),
    /// An experiment (0xf) or an unassigned subtype (9 to 14).
    Unknown {
        /// Which.
        subtype: Subtype,
        /// The whole option.
        bytes: &'a [u8],
    },
    /// A known subtype with a body that cannot be.
    Malformed {
        /// Which.
        subtype: Subtype,
        /// The whole option.
        bytes: &'a [u8],
        /// What is wrong with it.
        error: WireError,
    },
}

impl<'a> MptcpOption<'a> {
    /// Reads one whole option (kind, length, subtype, …) that starts at byte `offset` of the option area. It has at least
    /// 3 bytes and its length byte is right: the walk saw to that.
    #[inline(always)]
    pub(super) fn parse(bytes: &'a [u8], third: u8, offset: u8) -> Self {
        let subtype = Subtype(third >> 4);
        let parsed = match subtype {
            Subtype::DSS => Dss::parse(bytes).map(Self::Dss),
            Subtype::MP_CAPABLE => MpCapable::parse(bytes).map(Self::MpCapable),
            Subtype::MP_JOIN => MpJoin::parse(bytes).map(Self::MpJoin),
            Subtype::ADD_ADDR => AddAddr::parse(bytes).map(Self::AddAddr),
            Subtype::REMOVE_ADDR => RemoveAddr::parse(bytes).map(Self::RemoveAddr),
            Subtype::MP_PRIO => MpPrio::parse(bytes).map(Self::MpPrio),
            Subtype::MP_FAIL => MpFail::parse(bytes).map(Self::MpFail),
            Subtype::MP_FASTCLOSE => MpFastclose::parse(bytes).map(Self::MpFastclose),
            Subtype::MP_TCPRST => MpTcprst::parse(bytes).map(Self::MpTcprst),
            _ => Ok(Self::Unknown { subtype, bytes }),
        };
        match parsed {
            Ok(option) => option,
            Err(error) => Self::Malformed { subtype, bytes, error: error.at(offset) },
        }
    }

    /// Writes the option as it was.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::MpCapable(option) => option.emit(out),
            Self::MpJoin(option) => option.emit(out),
            Self::Dss(option) => option.emit(out),
            Self::AddAddr(option) => option.emit(out),
            Self::RemoveAddr(option) => option.emit(out),
            Self::MpPrio(option) => option.emit(out),
            Self::MpFail(option) => option.emit(out),
            Self::MpFastclose(option) => option.emit(out),
            Self::MpTcprst(option) => option.emit(out),
            Self::Unknown { bytes, .. } | Self::Malformed { bytes, .. } => out.extend_from_slice(bytes),
        }
    }

    /// The subtype.
    pub const fn subtype(&self) -> Subtype {
        match self {
            Self::MpCapable(_) => Subtype::MP_CAPABLE,
            Self::MpJoin(_) => Subtype::MP_JOIN,
            Self::Dss(_) => Subtype::DSS,
            Self::AddAddr(_) => Subtype::ADD_ADDR,
            Self::RemoveAddr(_) => Subtype::REMOVE_ADDR,
            Self::MpPrio(_) => Subtype::MP_PRIO,
            Self::MpFail(_) => Subtype::MP_FAIL,
            Self::MpFastclose(_) => Subtype::MP_FASTCLOSE,
            Self::MpTcprst(_) => Subtype::MP_TCPRST,
            Self::Unknown { subtype, .. } | Self::Malformed { subtype, .. } => *subtype,
        }
    }

    /// The subtype's name as in a report; `MPTCP` for one that has none.
    pub const fn name(&self) -> &'static str {
        match self.subtype().name() {
            Some(name) => name,
            None => "MPTCP",
        }
    }
}

/// Name and fields, as the option itself displays them.
impl fmt::Display for MptcpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MpCapable(option) => option.fmt(f),
            Self::MpJoin(option) => option.fmt(f),
            Self::Dss(option) => option.fmt(f),
            Self::AddAddr(option) => option.fmt(f),
            Self::RemoveAddr(option) => option.fmt(f),
            Self::MpPrio(option) => option.fmt(f),
            Self::MpFail(option) => option.fmt(f),
            Self::MpFastclose(option) => option.fmt(f),
            Self::MpTcprst(option) => option.fmt(f),
            Self::Unknown { subtype, bytes } => write!(f, "{subtype} {}", Hex(bytes)),
            Self::Malformed { bytes, error, .. } => write!(f, "malformed {} ({error})", Hex(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::testing::mptcp;
    use crate::wire::{MptcpOption, Subtype};

    #[test]
    fn subtypes_without_a_layout_are_kept_whole() {
        for subtype in 9..=15 {
            let bytes = [30, 5, subtype << 4 | 0x3, 0xaa, 0xbb];
            assert_eq!(mptcp(&bytes), MptcpOption::Unknown { subtype: Subtype(subtype), bytes: &bytes });
        }
        assert_eq!(mptcp(&[30, 4, 0xf0, 0xaa]).to_string(), "MP_EXPERIMENTAL 1e04f0aa");
        assert_eq!(mptcp(&[30, 3, 0x90]).to_string(), "MPTCP subtype 9 1e0390");
        assert_eq!(mptcp(&[30, 4, 0xf0, 0xaa]).name(), "MP_EXPERIMENTAL");
    }
}

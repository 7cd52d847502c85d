//! MPTCP subtypes: the high nibble of an MPTCP option's third byte (RFC 8684 §7.2).

use std::fmt;

/// An MPTCP subtype, `0x0` to `0xf`. Open: code points without a name are values too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtype(pub u8);

impl Subtype {
    /// Opens a connection (RFC 8684 §3.1).
    pub const MP_CAPABLE: Self = Self(0x0);
    /// Opens a subflow (RFC 8684 §3.2).
    pub const MP_JOIN: Self = Self(0x1);
    /// Data sequence signal (RFC 8684 §3.3).
    pub const DSS: Self = Self(0x2);
    /// Announces an address (RFC 8684 §3.4.1).
    pub const ADD_ADDR: Self = Self(0x3);
    /// Withdraws addresses (RFC 8684 §3.4.2).
    pub const REMOVE_ADDR: Self = Self(0x4);
    /// Changes a subflow's priority (RFC 8684 §3.3.8).
    pub const MP_PRIO: Self = Self(0x5);
    /// Fallback or checksum failure (RFC 8684 §3.7).
    pub const MP_FAIL: Self = Self(0x6);
    /// Closes the connection abruptly (RFC 8684 §3.5).
    pub const MP_FASTCLOSE: Self = Self(0x7);
    /// Why a subflow was reset (RFC 8684 §3.6).
    pub const MP_TCPRST: Self = Self(0x8);
    /// Private use (RFC 8684 §7.2).
    pub const MP_EXPERIMENTAL: Self = Self(0xf);

    /// The RFC's name, where it has one: `MP_CAPABLE`, `DSS`, …
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::MP_CAPABLE => "MP_CAPABLE",
            Self::MP_JOIN => "MP_JOIN",
            Self::DSS => "DSS",
            Self::ADD_ADDR => "ADD_ADDR",
            Self::REMOVE_ADDR => "REMOVE_ADDR",
            Self::MP_PRIO => "MP_PRIO",
            Self::MP_FAIL => "MP_FAIL",
            Self::MP_FASTCLOSE => "MP_FASTCLOSE",
            Self::MP_TCPRST => "MP_TCPRST",
            Self::MP_EXPERIMENTAL => "MP_EXPERIMENTAL",
            _ => return None,
        })
    }
}

/// The name, or `MPTCP subtype 9`.
impl fmt::Display for Subtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "MPTCP subtype {}", self.0),
        }
    }
}

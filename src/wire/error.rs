//! Why an option could not be read. An error is data: it is reported, and the walk goes on where it can.

use std::fmt;

use super::kind;
use super::subtype::Subtype;

/// What is wrong with one option, and where.
///
/// ```
/// # use mptcp_inspect::wire::{self, TcpOption, MptcpOption};
/// let item = wire::options(&[1, 30, 3, 0x20]).nth(1).unwrap();
/// let TcpOption::Mptcp(MptcpOption::Malformed { error, .. }) = item.option else { panic!() };
/// assert_eq!(error.to_string(), "length 3 at option byte 1: DSS needs at least 4");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WireError {
    /// Where the option starts, in bytes from the start of the option area.
    pub offset: u8,
    /// The option's length byte; 0 where there is none.
    pub length: u8,
    /// Which option.
    pub what: What,
    /// What is wrong.
    pub kind: WireErrorKind,
}

/// The option that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A TCP option by its kind.
    Kind(u8),
    /// An MPTCP option by its subtype.
    Subtype(Subtype),
}

/// What is wrong with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireErrorKind {
    /// Its length is none of those it may have. The walk goes on behind it.
    Needs(Lengths),
    /// Its length is less than it needs. The walk goes on behind it, unless the length is 0 or 1.
    NeedsAtLeast(u8),
    /// The option area ends behind the kind. The walk ends.
    NoLength,
    /// It runs past the end of the option area, of which `left` bytes remain. The walk ends.
    PastEnd {
        /// Bytes from its start to the end of the option area.
        left: u8,
    },
    /// The capture kept only `left` bytes of it: not the sender's fault. The walk ends.
    Cut {
        /// Bytes of it that were captured.
        left: u8,
    },
}

/// A few lengths in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lengths([u8; 5]);

impl WireError {
    /// Whether the capture, not the sender, cut the option.
    pub const fn is_cut(&self) -> bool {
        matches!(self.kind, WireErrorKind::Cut { .. })
    }

    /// Whether nothing behind this option can be read.
    pub const fn ends_walk(&self) -> bool {
        match self.kind {
            WireErrorKind::Needs(_) => false,
            WireErrorKind::NeedsAtLeast(_) => self.length < 2,
            WireErrorKind::NoLength | WireErrorKind::PastEnd { .. } | WireErrorKind::Cut { .. } => true,
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn needs(what: What, length: usize, lengths: Lengths) -> Self {
        Self::new(what, length, WireErrorKind::Needs(lengths))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn needs_at_least(what: What, length: usize, least: u8) -> Self {
        Self::new(what, length, WireErrorKind::NeedsAtLeast(least))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn new(what: What, length: usize, kind: WireErrorKind) -> Self {
        Self { offset: 0, length: u8::try_from(length).unwrap_or(u8::MAX), what, kind }
    }

    /// The same error for an option that starts at `offset`.
    #[inline]
    pub(super) const fn at(self, offset: u8) -> Self {
        Self { offset, ..self }
    }
}

/// `length 3 at option byte 12: DSS needs at least 4`
impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, length, what, kind } = self;
        match kind {
            WireErrorKind::Needs(lengths) => {
                write!(f, "length {length} at option byte {offset}: {what} needs {lengths}")
            }
            WireErrorKind::NeedsAtLeast(least) => {
                write!(f, "length {length} at option byte {offset}: {what} needs at least {least}")
            }
            WireErrorKind::NoLength => write!(f, "no length at option byte {offset}: {what} needs at least 2"),
            WireErrorKind::PastEnd { left } => {
                write!(f, "length {length} at option byte {offset}: {what} needs more than the {left} left")
            }
            WireErrorKind::Cut { left } => {
                write!(f, "option byte {offset}: {what} cut by the capture after {left}")
            }
        }
    }
}

impl std::error::Error for WireError {}

impl What {
    /// The option's name as in a report; `MPTCP` or `UNKNOWN` where it has none.
    pub const fn name(self) -> &'static str {
        let (name, otherwise) = match self {
            Self::Kind(kind) => match kind::decoded_name(kind) {
                None => (kind::undecoded_name(kind), "UNKNOWN"),
                name => (name, ""),
            },
            Self::Subtype(subtype) => (subtype.name(), "MPTCP"),
        };
        match name {
            Some(name) => name,
            None => otherwise,
        }
    }
}

/// The name, `kind 99` or `MPTCP subtype 9`.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => match kind::decoded_name(*kind).or_else(|| kind::undecoded_name(*kind)) {
                Some(name) => f.write_str(name),
                None => write!(f, "kind {kind}"),
            },
            Self::Subtype(subtype) => subtype.fmt(f),
        }
    }
}

impl From<Subtype> for What {
    fn from(subtype: Subtype) -> Self {
        Self::Subtype(subtype)
    }
}

impl Lengths {
    /// One to five lengths.
    #[expect(clippy::indexing_slicing, reason = "N is at most 5; iterators are not const")]
    pub(super) const fn of<const N: usize>(lengths: [u8; N]) -> Self {
        const { assert!(N >= 1 && N <= 5) };
        let mut all = [0; 5];
        let mut i = 0;
        while i < N {
            all[i] = lengths[i];
            i += 1;
        }
        Self(all)
    }

    /// The lengths, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied().take_while(|&length| length != 0)
    }
}

/// `4`, `14 or 16`, `12, 16 or 24`
impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.iter().count();
        self.iter().enumerate().try_for_each(|(i, length)| match i {
            0 => write!(f, "{length}"),
            _ if i + 1 == count => write!(f, " or {length}"),
            _ => write!(f, ", {length}"),
        })
    }
}

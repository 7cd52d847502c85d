//! What the two file formats have in common: each is a pure function from the bytes at hand to the next [`Step`], so that
//! neither knows where bytes come from and both can be tested on every cut.

use std::fmt;

use crate::frame::LinkType;

/// What the bytes at hand begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole frame.
    Frame(Record),
    /// Something else of so many bytes, at least one, now dealt with.
    Skip(usize),
    /// Nothing whole: at least so many bytes, more than at hand, are needed to tell.
    Need(usize),
    /// Nonsense.
    Damaged(Damage),
}

/// Where a frame lies in the bytes at hand, and what its record says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Bytes before the frame.
    pub(super) skip: usize,
    /// Bytes of the frame.
    pub(super) len: usize,
    /// Bytes of the whole record; the next one begins there.
    pub(super) consumed: usize,
    /// Nanoseconds since the epoch.
    pub(super) time: i64,
    /// Bytes on the wire, at least `len`.
    pub(super) wire_len: u32,
    /// Index into the input's interfaces.
    pub(super) interface: u16,
    /// Link type.
    pub(super) link: LinkType,
}

impl Record {
    /// Before the first frame.
    pub(super) const NONE: Self =
        Self { skip: 0, len: 0, consumed: 0, time: 0, wire_len: 0, interface: 0, link: LinkType::NULL };
}

/// What is wrong with the bytes where an input stopped to make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// A record or block claims more bytes than [`CAPTURE_RECORD_BYTES`](crate::limits::CAPTURE_RECORD_BYTES).
    TooLong(u32),
    /// A block claims fewer bytes than its kind needs.
    TooShort(u32),
    /// A record claims that more bytes were captured than there were.
    MoreThanOnTheWire {
        /// Bytes captured.
        captured: u32,
        /// Bytes on the wire.
        wire: u32,
    },
    /// A record header of zeros: what a file system leaves after a crash.
    Zeros,
    /// The lengths at both ends of a block differ.
    LengthsDiffer {
        /// At its start.
        first: u32,
        /// At its end.
        last: u32,
    },
    /// A packet of an interface that its section doesn't describe.
    UnknownInterface(u32),
    /// A pcapng section whose byte-order magic is none, or of another major version.
    UnknownSection,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(len) => write!(f, "the next record claims {len} bytes"),
            Self::TooShort(len) => write!(f, "the next block claims {len} bytes, too few for its kind"),
            Self::MoreThanOnTheWire { captured, wire } => {
                write!(f, "the next record claims {captured} captured bytes of {wire}")
            }
            Self::Zeros => write!(f, "zeros where the next packet should be"),
            Self::LengthsDiffer { first, last } => {
                write!(f, "the next block's length is {first} at its start and {last} at its end")
            }
            Self::UnknownInterface(id) => write!(f, "the next packet is of interface {id}, which is not described"),
            Self::UnknownSection => write!(f, "the next section is of an unknown version"),
        }
    }
}

//! DSS, the data sequence signal: acknowledges data and maps subflow bytes to data bytes (RFC 8684 §3.3, RFC 6824 §3.3).
//!
//! ```text
//! +---------------+---------------+-------+----------------------+
//! |     Kind      |    Length     |Subtype| (reserved) |F|m|M|a|A|
//! +---------------+---------------+-------+----------------------+
//! |           Data ACK (4 or 8 octets, depending on flags)       |
//! +--------------------------------------------------------------+
//! |   Data sequence number (4 or 8 octets, depending on flags)   |
//! +--------------------------------------------------------------+
//! |              Subflow Sequence Number (4 octets)              |
//! +-------------------------------+------------------------------+
//! |  Data-Level Length (2 octets) |      Checksum (2 octets)     |
//! +-------------------------------+------------------------------+
//! ```

use std::fmt;

use nom::combinator::{cond, map};

use super::be;
use super::error::{Lengths, WireError};
use super::subtype::Subtype;

/// Kind, length, subtype and flags: also the length of a DSS that says nothing, which is legal.
const HEADER: usize = 4;
const CHECKSUM: usize = 2;

/// A DSS option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dss {
    /// The fourth byte as on the wire: F (0x10), m, M, a, A and three reserved bits.
    pub flags: u8,
    /// Four further reserved bits: the low nibble of the third byte.
    pub reserved: u8,
    /// All data before this has arrived.
    pub data_ack: Option<RawSequence>,
    /// Which data the subflow's bytes are.
    pub mapping: Option<Mapping>,
}

/// From subflow sequence numbers to data sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Data sequence number of the first byte.
    pub dsn: RawSequence,
    /// Relative subflow sequence number of the first byte: the SYN has 0. Also 0 where there is only a DATA_FIN.
    pub ssn: u32,
    /// Bytes covered, a DATA_FIN included. 0 is the infinite mapping: fallback.
    pub len: u16,
    /// Checksum, present if the length says so.
    pub checksum: Option<u16>,
}

/// A data sequence number as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawSequence {
    /// The low 32 bits.
    Short(u32),
    /// All 64 bits.
    Long(u64),
}

impl Dss {
    /// F: the data stream ends with this mapping.
    pub const DATA_FIN: u8 = 0x10;
    /// m: the data sequence number has 8 octets.
    pub const LONG_DSN: u8 = 0x08;
    /// M: a mapping is present.
    pub const HAS_MAPPING: u8 = 0x04;
    /// a: the data ACK has 8 octets.
    pub const LONG_ACK: u8 = 0x02;
    /// A: a data ACK is present.
    pub const HAS_ACK: u8 = 0x01;

    /// A DSS with the flags that its parts ask for.
    pub const fn new(data_ack: Option<RawSequence>, mapping: Option<Mapping>, data_fin: bool) -> Self {
        let ack = match data_ack {
            None => 0,
            Some(RawSequence::Short(_)) => Self::HAS_ACK,
            Some(RawSequence::Long(_)) => Self::HAS_ACK | Self::LONG_ACK,
        };
        let map = match mapping {
            None => 0,
            Some(Mapping { dsn: RawSequence::Short(_), .. }) => Self::HAS_MAPPING,
            Some(Mapping { dsn: RawSequence::Long(_), .. }) => Self::HAS_MAPPING | Self::LONG_DSN,
        };
        let fin = if data_fin { Self::DATA_FIN } else { 0 };
        Self { flags: ack | map | fin, reserved: 0, data_ack, mapping }
    }

    /// Reads one whole option, kind and length included.
    ///
    /// The flags fix the length but for a mapping's checksum, which is there if the option is 2 longer. Flags a and m mean
    /// nothing without A and M.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let Some(&flags) = option.get(HEADER - 1) else {
            return Err(WireError::needs_at_least(Subtype::DSS.into(), option.len(), HEADER as u8));
        };
        let is_set = |flag| flags & flag != 0;
        let has_ack = is_set(Self::HAS_ACK);
        let has_mapping = is_set(Self::HAS_MAPPING);
        let base = Self::base_length(flags);
        let has_checksum = has_mapping && option.len() == base + CHECKSUM;
        if option.len() != base && !has_checksum {
            return Err(Self::wrong_length(option.len(), base, has_mapping));
        }
        let mapping = map(
            (sequence(is_set(Self::LONG_DSN)), be::u32, be::u16, cond(has_checksum, be::u16)),
            |(dsn, ssn, len, checksum)| Mapping { dsn, ssn, len, checksum },
        );
        let fields = (be::header, be::u8, cond(has_ack, sequence(is_set(Self::LONG_ACK))), cond(has_mapping, mapping));
        let (reserved, flags, data_ack, mapping) = be::read(option, Subtype::DSS, Lengths::of([base as u8]), fields)?;
        Ok(Self { flags, reserved, data_ack, mapping })
    }

    /// Writes the option. The flags are written as they are; [`Dss::new`] makes those that fit the parts.
    pub fn emit(&self, out: &mut Vec<u8>) {
        be::emit(out, Subtype::DSS, self.reserved, |out| {
            out.push(self.flags);
            if let Some(ack) = self.data_ack {
                ack.emit(out);
            }
            if let Some(mapping) = self.mapping {
                mapping.dsn.emit(out);
                out.extend_from_slice(&mapping.ssn.to_be_bytes());
                out.extend_from_slice(&mapping.len.to_be_bytes());
                if let Some(checksum) = mapping.checksum {
                    out.extend_from_slice(&checksum.to_be_bytes());
                }
            }
        });
    }

    /// Whether the data stream ends with this mapping (F).
    #[inline]
    pub const fn data_fin(&self) -> bool {
        self.flags & Self::DATA_FIN != 0
    }

    /// The length without a checksum that `flags` ask for.
    #[inline]
    const fn base_length(flags: u8) -> usize {
        let ack = match flags & (Self::HAS_ACK | Self::LONG_ACK) {
            0b01 => 4,
            0b11 => 8,
            _ => 0,
        };
        let mapping = match flags & (Self::HAS_MAPPING | Self::LONG_DSN) {
            0b0100 => 4 + 4 + 2,
            0b1100 => 8 + 4 + 2,
            _ => 0,
        };
        HEADER + ack + mapping
    }

    #[cold]
    #[inline(never)]
    fn wrong_length(length: usize, base: usize, has_mapping: bool) -> WireError {
        let base = base as u8;
        let lengths = if has_mapping { Lengths::of([base, base + CHECKSUM as u8]) } else { Lengths::of([base]) };
        WireError::needs(Subtype::DSS.into(), length, lengths)
    }
}

impl Mapping {
    /// Whether this is the infinite mapping: from here on the subflow is plain TCP (RFC 8684 §3.7).
    #[inline]
    pub const fn is_infinite(&self) -> bool {
        self.len == 0
    }
}

impl RawSequence {
    /// Octets on the wire: 4 or 8.
    #[inline]
    pub const fn octets(self) -> u8 {
        match self {
            Self::Short(_) => 4,
            Self::Long(_) => 8,
        }
    }

    fn emit(self, out: &mut Vec<u8>) {
        match self {
            Self::Short(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::Long(value) => out.extend_from_slice(&value.to_be_bytes()),
        }
    }
}

/// A parser of 8 octets if `long`, else of 4.
#[inline]
fn sequence(long: bool) -> impl Fn(&[u8]) -> be::Read<'_, RawSequence> {
    move |input| {
        if long {
            be::u64(input).map(|(rest, value)| (rest, RawSequence::Long(value)))
        } else {
            be::u32(input).map(|(rest, value)| (rest, RawSequence::Short(value)))
        }
    }
}

/// `DSS ack 3576348362 dsn 3518592144 ssn 1 len 41 checksum 082f fin`
impl fmt::Display for Dss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DSS")?;
        if let Some(ack) = self.data_ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(Mapping { dsn, ssn, len, checksum }) = self.mapping {
            write!(f, " dsn {dsn} ssn {ssn} len {len}")?;
            if let Some(checksum) = checksum {
                write!(f, " checksum {checksum:04x}")?;
            }
        }
        f.write_str(if self.data_fin() { " fin" } else { "" })
    }
}

/// The number, in decimal.
impl fmt::Display for RawSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(value) => value.fmt(f),
            Self::Long(value) => value.fmt(f),
        }
    }
}

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
    #[inline(always)]
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
    /// Whether it is this number, as far as it shows.
    #[inline]
    pub const fn is_of(self, whole: u64) -> bool {
        match self {
            Self::Short(low) => low == whole as u32,
            Self::Long(all) => all == whole,
        }
    }

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

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::wire::MptcpOption;
    use crate::wire::testing::{complaint, mptcp, stretched};

    fn dss(bytes: &[u8]) -> Dss {
        match mptcp(bytes) {
            MptcpOption::Dss(dss) => dss,
            option => panic!("{option}"),
        }
    }

    /// tcpdump's mptcp-v0.pcap, packets 4 to 16: short numbers, checksums.
    #[test]
    fn v0_data_and_acks() {
        use RawSequence::Short;
        for (bytes, ack, dsn, ssn, len, checksum) in [
            (hex!("1e142005 d52abeca d1b97490 00000001 0029 082f"), 0xd52a_beca, 0xd1b9_7490, 1, 41, 0x082f),
            (hex!("1e142005 d1b974b9 d52abeca 00000001 0029 45c9"), 0xd1b9_74b9, 0xd52a_beca, 1, 41, 0x45c9),
            (hex!("1e142005 d1b974b9 d52abef3 0000002a 0350 6d11"), 0xd1b9_74b9, 0xd52a_bef3, 42, 848, 0x6d11),
            (hex!("1e142005 d52ac243 d1b974b9 00000001 0310 5187"), 0xd52a_c243, 0xd1b9_74b9, 1, 784, 0x5187),
            (hex!("1e142005 d1b977c9 d52ac243 00000001 0018 ec8a"), 0xd1b9_77c9, 0xd52a_c243, 1, 24, 0xec8a),
            (hex!("1e142005 c9dc1c61 b1712fb6 00000001 0001 9e91"), 0xc9dc_1c61, 0xb171_2fb6, 1, 1, 0x9e91),
        ] {
            let mapping = Mapping { dsn: Short(dsn), ssn, len, checksum: Some(checksum) };
            assert_eq!(dss(&bytes), Dss::new(Some(Short(ack)), Some(mapping), false));
        }
        assert_eq!(dss(&hex!("1e082001 d1b974b9")), Dss::new(Some(Short(0xd1b9_74b9)), None, false));
    }

    /// tcpdump's mptcp-aa-v1.pcap, packets 7, 8 and 10: long numbers, no checksums.
    #[test]
    fn v1_data_and_acks() {
        use RawSequence::Long;
        assert_eq!(
            dss(&hex!("1e0c2003 ee83a616c38765c5")),
            Dss::new(Some(Long(17_186_763_219_675_866_565)), None, false)
        );
        let ack = Some(Long(0xee83_a616_c387_65d5));
        let dsn = Long(12_148_165_319_181_844_526);
        let mapping = |ssn| Mapping { dsn, ssn, len: 16, checksum: None };
        assert_eq!(
            dss(&hex!("1e1a200f ee83a616c38765d5 a896f3fe7a8dc02e 00000001 0010")),
            Dss::new(ack, Some(mapping(1)), false)
        );
        assert_eq!(
            dss(&hex!("1e1a200f ee83a616c38765d5 a896f3fe7a8dc02e 00000011 0010")),
            Dss::new(ack, Some(mapping(17)), false)
        );
    }

    /// The RFC's shapes: length without checksum for each set of flags.
    const SHAPES: [(u8, u8); 9] = [
        (0b0000, 4),
        (0b0001, 8),
        (0b0011, 12),
        (0b0100, 14),
        (0b1100, 18),
        (0b0101, 18),
        (0b0111, 22),
        (0b1101, 22),
        (0b1111, 26),
    ];

    #[test]
    fn the_length_tells_a_checksum() {
        for (flags, base) in SHAPES {
            let plain = dss(&stretched(base, &[0x20, flags])).mapping;
            assert_eq!(plain.is_some(), flags & Dss::HAS_MAPPING != 0);
            assert_eq!(plain.and_then(|mapping| mapping.checksum), None);
            if flags & Dss::HAS_MAPPING != 0 {
                let checked = dss(&stretched(base + 2, &[0x20, flags])).mapping;
                assert_eq!(checked.and_then(|mapping| mapping.checksum), Some(0), "flags {flags:04b}");
            }
        }
    }

    #[test]
    fn other_lengths_are_malformed() {
        for (flags, base) in SHAPES {
            let has_mapping = flags & Dss::HAS_MAPPING != 0;
            for length in 4..=40 {
                if length == base || has_mapping && length == base + 2 {
                    continue;
                }
                let needs = if has_mapping { format!("{base} or {}", base + 2) } else { base.to_string() };
                assert_eq!(
                    complaint(&stretched(length, &[0x20, flags])),
                    format!("length {length} at option byte 0: DSS needs {needs}")
                );
            }
        }
    }

    /// Seen on a SYN in the wild.
    #[test]
    fn three_bytes_are_too_few() {
        assert_eq!(complaint(&hex!("1e0320")), "length 3 at option byte 0: DSS needs at least 4");
    }

    #[test]
    fn long_flags_without_their_field_mean_nothing() {
        let option = dss(&hex!("1e04200a"));
        assert_eq!((option.data_ack, option.mapping, option.flags), (None, None, 0x0a));
    }

    #[test]
    fn reserved_bits_are_kept() {
        let option = dss(&hex!("1e082ff1 d1b974b9"));
        assert_eq!((option.reserved, option.flags, option.data_fin()), (0xf, 0xf1, true));
    }

    #[test]
    fn prints() {
        assert_eq!(
            dss(&hex!("1e142015 d52abeca d1b97490 00000000 0001 0a51")).to_string(),
            "DSS ack 3576348362 dsn 3518592144 ssn 0 len 1 checksum 0a51 fin"
        );
        let infinite = dss(&hex!("1e0e2004 d1b97490 00000001 0000"));
        assert!(infinite.mapping.is_some_and(|mapping| mapping.is_infinite()));
    }
}

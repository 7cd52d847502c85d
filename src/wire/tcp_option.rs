//! One TCP option of any kind (RFC 9293 §3.2).

use std::fmt;

use super::be;
use super::error::{Lengths, What, WireError};
use super::experimental::ExId;
use super::hex::Hex;
use super::kind;
use super::mptcp_option::MptcpOption;

/// A TCP option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Kind 0: the list ends here; what follows is padding.
    EndOfList,
    /// Kind 1: padding.
    NoOperation,
    /// Kind 2: the largest segment that the sender takes, in bytes of TCP payload.
    MaximumSegmentSize(u16),
    /// Kind 3: by how many bits the sender's windows are to be shifted.
    WindowScale(u8),
    /// Kind 4: the sender understands SACK.
    SackPermitted,
    /// Kind 5: blocks that arrived out of order.
    Sack(SackBlocks<'a>),
    /// Kind 8.
    Timestamps {
        /// The sender's clock.
        value: u32,
        /// The last clock value it got from the other end.
        echo_reply: u32,
    },
    /// Kind 34, or experiment f989.
    FastOpen {
        /// The kind it came under: 34, 253 or 254.
        kind: u8,
        /// The cookie; empty asks for one.
        cookie: &'a [u8],
    },
    /// Kind 19: 16 bytes of MD5.
    Md5Signature(&'a [u8]),
    /// Kind 29.
    AuthenticationOption {
        /// Which key the sender used.
        key_id: u8,
        /// Which key it would like the other end to use.
        r_next_key_id: u8,
        /// The message authentication code.
        mac: &'a [u8],
    },
    /// Kind 28.
    UserTimeout {
        /// Whether the unit is minutes; else seconds.
        minutes: bool,
        /// How long, 15 bits.
        timeout: u16,
    },
    /// Kind 253 or 254, with an experiment id.
    Experimental {
        /// 253 or 254.
        kind: u8,
        /// Which experiment.
        exid: ExId,
        /// What follows the id.
        data: &'a [u8],
    },
    /// Kind 30.
    Mptcp(MptcpOption<'a>),
    /// A registered kind that is not decoded; most are obsolete (RFC 6247).
    Obsolete {
        /// Which.
        kind: u8,
        /// Its name in the IANA registry, in this tool's spelling.
        name: &'static str,
        /// What follows kind and length.
        data: &'a [u8],
    },
    /// A kind that is not registered, or an experiment without an id.
    Unknown {
        /// Which.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
    /// Cannot be read; [`WireError::ends_walk`] says whether anything follows.
    Malformed(WireError),
}

impl<'a> TcpOption<'a> {
    /// Reads the option `bytes` (kind, length and body, the length right) that starts at byte `offset` of the area.
    #[inline(always)]
    pub(super) fn parse(kind: u8, bytes: &'a [u8], offset: u8) -> Self {
        let data = bytes.get(2..).unwrap_or_default();
        match (kind, data) {
            (kind::MPTCP, &[third, ..]) => Self::Mptcp(MptcpOption::parse(bytes, third, offset)),
            (kind::TIMESTAMPS, &[v0, v1, v2, v3, e0, e1, e2, e3]) => Self::Timestamps {
                value: u32::from_be_bytes([v0, v1, v2, v3]),
                echo_reply: u32::from_be_bytes([e0, e1, e2, e3]),
            },
            (kind::SACK, blocks) if !blocks.is_empty() && blocks.len().is_multiple_of(SackBlocks::BLOCK) => {
                Self::Sack(SackBlocks(blocks))
            }
            (kind::MAXIMUM_SEGMENT_SIZE, &[a, b]) => Self::MaximumSegmentSize(u16::from_be_bytes([a, b])),
            (kind::WINDOW_SCALE, &[shift]) => Self::WindowScale(shift),
            (kind::SACK_PERMITTED, []) => Self::SackPermitted,
            _ => Self::parse_rare(kind, data, offset),
        }
    }

    /// Writes the option as it was. A malformed one is not here to write: the walk's item has its bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut option = |kind, parts: &[&[u8]]| {
            be::emit_option(out, kind, |out| parts.iter().for_each(|part| out.extend_from_slice(part)));
        };
        match *self {
            Self::EndOfList => out.push(kind::END_OF_LIST),
            Self::NoOperation => out.push(kind::NO_OPERATION),
            Self::MaximumSegmentSize(size) => option(kind::MAXIMUM_SEGMENT_SIZE, &[&size.to_be_bytes()]),
            Self::WindowScale(shift) => option(kind::WINDOW_SCALE, &[&[shift]]),
            Self::SackPermitted => option(kind::SACK_PERMITTED, &[]),
            Self::Sack(SackBlocks(blocks)) => option(kind::SACK, &[blocks]),
            Self::Timestamps { value, echo_reply } => {
                option(kind::TIMESTAMPS, &[&value.to_be_bytes(), &echo_reply.to_be_bytes()]);
            }
            Self::FastOpen { kind: kind::FAST_OPEN, cookie } => option(kind::FAST_OPEN, &[cookie]),
            Self::FastOpen { kind, cookie } => be::emit_option(out, kind, |out| {
                ExId::fast_open().emit(out);
                out.extend_from_slice(cookie);
            }),
            Self::Md5Signature(digest) => option(kind::MD5, &[digest]),
            Self::AuthenticationOption { key_id, r_next_key_id, mac } => {
                option(kind::AUTHENTICATION, &[&[key_id, r_next_key_id], mac]);
            }
            Self::UserTimeout { minutes, timeout } => {
                let value = u16::from(minutes) << 15 | timeout & 0x7fff;
                option(kind::USER_TIMEOUT, &[&value.to_be_bytes()]);
            }
            Self::Experimental { kind, exid, data } => be::emit_option(out, kind, |out| {
                exid.emit(out);
                out.extend_from_slice(data);
            }),
            Self::Mptcp(mptcp) => mptcp.emit(out),
            Self::Obsolete { kind, data, .. } | Self::Unknown { kind, data } => option(kind, &[data]),
            Self::Malformed(_) => {}
        }
    }

    /// The option's name as in a report: `MSS`, `MP_CAPABLE`, …
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EndOfList => "EOL",
            Self::NoOperation => "NOP",
            Self::MaximumSegmentSize(_) => "MSS",
            Self::WindowScale(_) => "WINDOW_SCALE",
            Self::SackPermitted => "SACK_PERMITTED",
            Self::Sack(_) => "SACK",
            Self::Timestamps { .. } => "TIMESTAMPS",
            Self::FastOpen { .. } => "FAST_OPEN",
            Self::Md5Signature(_) => "MD5",
            Self::AuthenticationOption { .. } => "AO",
            Self::UserTimeout { .. } => "USER_TIMEOUT",
            Self::Experimental { .. } => "EXPERIMENTAL",
            Self::Mptcp(option) => option.name(),
            Self::Obsolete { name, .. } => name,
            Self::Unknown { .. } => "UNKNOWN",
            Self::Malformed(error) => error.what.name(),
        }
    }

    /// What is wrong with the option, if it is malformed, MPTCP or not.
    #[inline]
    pub const fn error(&self) -> Option<&WireError> {
        match self {
            Self::Malformed(error) | Self::Mptcp(MptcpOption::Malformed { error, .. }) => Some(error),
            _ => None,
        }
    }

    /// What few segments carry.
    #[inline(never)]
    fn parse_rare(kind: u8, data: &'a [u8], offset: u8) -> Self {
        match (kind, data) {
            (kind::FAST_OPEN, cookie) => Self::FastOpen { kind, cookie },
            (kind::MD5, digest) if digest.len() == 16 => Self::Md5Signature(digest),
            (kind::AUTHENTICATION, &[key_id, r_next_key_id, ref mac @ ..]) => {
                Self::AuthenticationOption { key_id, r_next_key_id, mac }
            }
            (kind::USER_TIMEOUT, &[high, low]) => {
                Self::UserTimeout { minutes: high & 0x80 != 0, timeout: u16::from_be_bytes([high & 0x7f, low]) }
            }
            (kind::EXPERIMENTAL_1 | kind::EXPERIMENTAL_2, _) => match ExId::split(data) {
                Some((exid, cookie)) if exid.is_fast_open() => Self::FastOpen { kind, cookie },
                Some((exid, data)) => Self::Experimental { kind, exid, data },
                None => Self::Unknown { kind, data },
            },
            _ => match (Self::needs(kind, data.len() + 2), kind::undecoded_name(kind)) {
                (Some(error), _) => Self::Malformed(error.at(offset)),
                (None, Some(name)) => Self::Obsolete { kind, name, data },
                (None, None) => Self::Unknown { kind, data },
            },
        }
    }

    /// What a kind that was not decoded would have needed; none for kinds that are not decoded at all.
    fn needs(kind: u8, length: usize) -> Option<WireError> {
        let lengths = match kind {
            kind::MAXIMUM_SEGMENT_SIZE | kind::USER_TIMEOUT => Lengths::of([4]),
            kind::WINDOW_SCALE => Lengths::of([3]),
            kind::SACK_PERMITTED => Lengths::of([2]),
            kind::SACK => Lengths::of([10, 18, 26, 34]),
            kind::TIMESTAMPS => Lengths::of([10]),
            kind::MD5 => Lengths::of([18]),
            kind::AUTHENTICATION => return Some(WireError::needs_at_least(What::Kind(kind), length, 4)),
            kind::MPTCP => return Some(WireError::needs_at_least(What::Kind(kind), length, 3)),
            _ => return None,
        };
        Some(WireError::needs(What::Kind(kind), length, lengths))
    }
}

/// Name and fields.
impl fmt::Display for TcpOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::EndOfList | Self::NoOperation | Self::SackPermitted => f.write_str(name),
            Self::MaximumSegmentSize(size) => write!(f, "{name} {size}"),
            Self::WindowScale(shift) => write!(f, "{name} {shift}"),
            Self::Sack(blocks) => {
                f.write_str(name)?;
                blocks.iter().try_for_each(|(left, right)| write!(f, " {left}-{right}"))
            }
            Self::Timestamps { value, echo_reply } => write!(f, "{name} {value} echo {echo_reply}"),
            Self::FastOpen { cookie: [], .. } => write!(f, "{name} cookie request"),
            Self::FastOpen { cookie, .. } => write!(f, "{name} cookie {}", Hex(cookie)),
            Self::Md5Signature(digest) => write!(f, "{name} {}", Hex(digest)),
            Self::AuthenticationOption { key_id, r_next_key_id, mac } => {
                write!(f, "{name} key {key_id} next {r_next_key_id} mac {}", Hex(mac))
            }
            Self::UserTimeout { minutes, timeout } => {
                write!(f, "{name} {timeout} {}", if *minutes { "min" } else { "s" })
            }
            Self::Experimental { exid, data, .. } => write!(f, "{name} {exid} {}", Hex(data)),
            Self::Mptcp(option) => option.fmt(f),
            Self::Obsolete { data, .. } => write!(f, "{name} {}", Hex(data)),
            Self::Unknown { kind, data } => write!(f, "kind {kind} {}", Hex(data)),
            Self::Malformed(error) => write!(f, "malformed ({error})"),
        }
    }
}

/// The blocks of a SACK option (RFC 2018 §3), one or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SackBlocks<'a>(&'a [u8]);

impl<'a> SackBlocks<'a> {
    /// Bytes of a block on the wire.
    const BLOCK: usize = 8;

    /// Blocks from their bytes in network order, 8 each. None if `bytes` is empty or no multiple of 8.
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(Self::BLOCK) { None } else { Some(Self(bytes)) }
    }

    /// `(left edge, right edge)` of each block: the first sequence number in it, and the one behind its last.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + 'a {
        self.0.chunks_exact(Self::BLOCK).filter_map(|block| {
            let (left, right) = block.split_first_chunk()?;
            Some((u32::from_be_bytes(*left), u32::from_be_bytes(*right.first_chunk()?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::wire::options;

    /// The one option that `bytes` are, seen to be written again byte for byte.
    fn one(bytes: &[u8]) -> TcpOption<'_> {
        let mut walk = options(bytes);
        let item = walk.next().expect("an option");
        assert!(walk.next().is_none(), "one option");
        if item.option.error().is_none() {
            let mut again = Vec::new();
            item.option.emit(&mut again);
            assert_eq!(again, bytes);
        }
        item.option
    }

    #[test]
    fn values_and_names() {
        for (bytes, printed) in [
            (&hex!("00")[..], "EOL"),
            (&hex!("01"), "NOP"),
            (&hex!("020405b4"), "MSS 1460"),
            (&hex!("030307"), "WINDOW_SCALE 7"),
            (&hex!("0402"), "SACK_PERMITTED"),
            (&hex!("050a0000000100000010"), "SACK 1-16"),
            (&hex!("0512000000010000001000000020ffffffff"), "SACK 1-16 32-4294967295"),
            (&hex!("080a0000000a0000000b"), "TIMESTAMPS 10 echo 11"),
            (&hex!("13120102030405060708090a0b0c0d0e0f10"), "MD5 0102030405060708090a0b0c0d0e0f10"),
            (&hex!("1c048005"), "USER_TIMEOUT 5 min"),
            (&hex!("1c047fff"), "USER_TIMEOUT 32767 s"),
            (&hex!("1d060102abcd"), "AO key 1 next 2 mac abcd"),
            (&hex!("1e048000"), "MP_TCPRST reason 0 (unspecified error)"),
            (&hex!("2202"), "FAST_OPEN cookie request"),
            (&hex!("220a0102030405060708"), "FAST_OPEN cookie 0102030405060708"),
            (&hex!("fe04f989"), "FAST_OPEN cookie request"),
            (&hex!("fd06f989abcd"), "FAST_OPEN cookie abcd"),
            (&hex!("fe06e2d4c3d9"), "EXPERIMENTAL e2d4c3d9 "),
            (&hex!("fd05acce01"), "EXPERIMENTAL acce 01"),
            (&hex!("fd03aa"), "kind 253 aa"),
            (&hex!("06060000000a"), "ECHO 0000000a"),
            (&hex!("1c05000000"), "malformed (length 5 at option byte 0: USER_TIMEOUT needs 4)"),
            (&hex!("ac05010203"), "ACC_ECN_0 010203"),
            (&hex!("6304abcd"), "kind 99 abcd"),
        ] {
            assert_eq!(one(bytes).to_string(), printed);
        }
    }

    #[test]
    fn wrong_lengths_say_what_was_needed() {
        for (bytes, needs) in [
            (&hex!("0203ff")[..], "length 3 at option byte 0: MSS needs 4"),
            (&hex!("0302"), "length 2 at option byte 0: WINDOW_SCALE needs 3"),
            (&hex!("040300"), "length 3 at option byte 0: SACK_PERMITTED needs 2"),
            (&hex!("0502"), "length 2 at option byte 0: SACK needs 10, 18, 26 or 34"),
            (&hex!("080400ff"), "length 4 at option byte 0: TIMESTAMPS needs 10"),
            (&hex!("130400ff"), "length 4 at option byte 0: MD5 needs 18"),
            (&hex!("1d0300"), "length 3 at option byte 0: AO needs at least 4"),
            (&hex!("1e02"), "length 2 at option byte 0: MPTCP needs at least 3"),
        ] {
            assert_eq!(one(bytes).error().map(ToString::to_string).as_deref(), Some(needs));
        }
    }

    #[test]
    fn sack_blocks_are_whole() {
        assert!(SackBlocks::new(&[]).is_none());
        assert!(SackBlocks::new(&[0; 7]).is_none());
        assert_eq!(SackBlocks::new(&[0, 0, 0, 1, 0, 0, 0, 2]).unwrap().iter().collect::<Vec<_>>(), [(1, 2)]);
    }
}

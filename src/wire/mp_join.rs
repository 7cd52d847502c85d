//! MP_JOIN: opens a further subflow (RFC 8684 §3.2, the same in RFC 6824 §3.2). Three forms, told apart by length.
//!
//! ```text
//! SYN
//! +---------------+---------------+-------+-----+-+---------------+
//! |     Kind      |  Length = 12  |Subtype|(rsv)|B|   Address ID  |
//! +---------------+---------------+-------+-----+-+---------------+
//! |                   Receiver's Token (32 bits)                  |
//! +---------------------------------------------------------------+
//! |                Sender's Random Number (32 bits)               |
//! +---------------------------------------------------------------+
//! SYN/ACK
//! +---------------+---------------+-------+-----+-+---------------+
//! |     Kind      |  Length = 16  |Subtype|(rsv)|B|   Address ID  |
//! +---------------+---------------+-------+-----+-+---------------+
//! |                Sender's Truncated HMAC (64 bits)              |
//! +---------------------------------------------------------------+
//! |                Sender's Random Number (32 bits)               |
//! +---------------------------------------------------------------+
//! ACK
//! +---------------+---------------+-------+-----------------------+
//! |     Kind      |  Length = 24  |Subtype|      (reserved)       |
//! +---------------+---------------+-------+-----------------------+
//! |                    Sender's HMAC (160 bits)                   |
//! +---------------------------------------------------------------+
//! ```

use std::fmt;

use nom::combinator::map;

use super::be;
use super::error::{Lengths, WireError};
use super::hex::Hex;
use super::subtype::Subtype;
use crate::crypto::{Nonce, Token};

const LENGTHS: Lengths = Lengths::of([12, 16, 24]);
const SYN_ACK_LENGTH: usize = 16;
const ACK_LENGTH: usize = 24;

/// An MP_JOIN option, one form for each packet of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpJoin {
    /// First packet, 12 bytes.
    Syn {
        /// B: the sender wants this subflow as a backup.
        backup: bool,
        /// The sender's id for the address it joins from.
        address_id: u8,
        /// Token of the end that is joined.
        token: Token,
        /// The sender's random number.
        nonce: Nonce,
        /// Three reserved bits.
        reserved: u8,
    },
    /// Second packet, 16 bytes.
    SynAck {
        /// B: the sender wants this subflow as a backup.
        backup: bool,
        /// The sender's id for the address it answers from.
        address_id: u8,
        /// Leftmost 64 bits of the sender's HMAC.
        hmac: [u8; 8],
        /// The sender's random number.
        nonce: Nonce,
        /// Three reserved bits.
        reserved: u8,
    },
    /// Third packet, 24 bytes.
    Ack {
        /// Leftmost 160 bits of the sender's HMAC.
        hmac: [u8; 20],
        /// Twelve reserved bits.
        reserved: u16,
    },
}

impl MpJoin {
    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        match option.len() {
            ACK_LENGTH => {
                let fields = (be::header, be::u8, be::array);
                be::read(
                    option,
                    Subtype::MP_JOIN,
                    LENGTHS,
                    map(fields, |(high, low, hmac)| Self::Ack { hmac, reserved: u16::from_be_bytes([high, low]) }),
                )
            }
            SYN_ACK_LENGTH => {
                let fields = (be::header, be::u8, be::array, be::nonce);
                be::read(
                    option,
                    Subtype::MP_JOIN,
                    LENGTHS,
                    map(fields, |(nibble, address_id, hmac, nonce)| Self::SynAck {
                        backup: nibble & 1 != 0,
                        address_id,
                        hmac,
                        nonce,
                        reserved: nibble >> 1,
                    }),
                )
            }
            _ => {
                let fields = (be::header, be::u8, be::token, be::nonce);
                be::read(
                    option,
                    Subtype::MP_JOIN,
                    LENGTHS,
                    map(fields, |(nibble, address_id, token, nonce)| Self::Syn {
                        backup: nibble & 1 != 0,
                        address_id,
                        token,
                        nonce,
                        reserved: nibble >> 1,
                    }),
                )
            }
        }
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let nibble = |reserved: u8, backup: bool| reserved << 1 | u8::from(backup);
        match *self {
            Self::Syn { backup, address_id, token, nonce, reserved } => {
                be::emit(out, Subtype::MP_JOIN, nibble(reserved, backup), |out| {
                    out.push(address_id);
                    out.extend_from_slice(&token.0.to_be_bytes());
                    out.extend_from_slice(&nonce.0.to_be_bytes());
                });
            }
            Self::SynAck { backup, address_id, hmac, nonce, reserved } => {
                be::emit(out, Subtype::MP_JOIN, nibble(reserved, backup), |out| {
                    out.push(address_id);
                    out.extend_from_slice(&hmac);
                    out.extend_from_slice(&nonce.0.to_be_bytes());
                });
            }
            Self::Ack { hmac, reserved } => {
                let [high, low] = reserved.to_be_bytes();
                be::emit(out, Subtype::MP_JOIN, high, |out| {
                    out.push(low);
                    out.extend_from_slice(&hmac);
                });
            }
        }
    }

    /// The reserved bits, whatever the form.
    pub const fn reserved(&self) -> u16 {
        match *self {
            Self::Syn { reserved, .. } | Self::SynAck { reserved, .. } => reserved as u16,
            Self::Ack { reserved, .. } => reserved,
        }
    }
}

/// `MP_JOIN id 1 token e47f0142 nonce 1b665a18 backup`
impl fmt::Display for MpJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backup = match *self {
            Self::Syn { backup, address_id, token, nonce, .. } => {
                write!(f, "MP_JOIN id {address_id} token {token} nonce {nonce}")?;
                backup
            }
            Self::SynAck { backup, address_id, hmac, nonce, .. } => {
                write!(f, "MP_JOIN id {address_id} hmac {} nonce {nonce}", Hex(&hmac))?;
                backup
            }
            Self::Ack { hmac, .. } => {
                write!(f, "MP_JOIN hmac {}", Hex(&hmac))?;
                false
            }
        };
        f.write_str(if backup { " backup" } else { "" })
    }
}

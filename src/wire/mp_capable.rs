//! MP_CAPABLE: opens a connection (RFC 8684 §3.1, RFC 6824 §3.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------+-------+---------------+
//! |     Kind      |    Length     |Subtype|Version|A|B|C|D|E|F|G|H|
//! +---------------+---------------+-------+-------+---------------+
//! |                   Option Sender's Key (64 bits)               |
//! |                      (if option Length > 4)                   |
//! +---------------------------------------------------------------+
//! |                  Option Receiver's Key (64 bits)              |
//! |                      (if option Length > 12)                  |
//! +-------------------------------+-------------------------------+
//! |  Data-Level Length (16 bits)  |  Checksum (16 bits, optional) |
//! +-------------------------------+-------------------------------+
//! ```

use std::fmt;

use nom::combinator::cond;

use super::be;
use super::error::{Lengths, WireError};
use super::subtype::Subtype;
use crate::crypto::Key;

/// v1: 4 in the SYN, 12 in the SYN/ACK, 20 in the ACK, 22 or 24 with data. v0: 12, 12, 20.
const LENGTHS: Lengths = Lengths::of([4, 12, 20, 22, 24]);

/// An MP_CAPABLE option. Which handshake packet it belongs to is said by its keys and by the TCP flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpCapable {
    /// The MPTCP version, 0 to 15: 0 and 1 exist.
    pub version: u8,
    /// Flags A (0x80) to H (0x01), as on the wire.
    pub flags: u8,
    /// Key of the end that sent the option; none in a v1 SYN.
    pub sender_key: Option<Key>,
    /// Key of the end that receives it; from the third ACK on.
    pub receiver_key: Option<Key>,
    /// Data-level length: bytes mapped implicitly from DSN = IDSN + 1 (v1, first data).
    pub data_len: Option<u16>,
    /// Checksum of that mapping.
    pub checksum: Option<u16>,
}

impl MpCapable {
    /// Flag A: this end wants DSS checksums.
    pub const CHECKSUM_REQUIRED: u8 = 0x80;
    /// Flag B: another format may follow; the option must be ignored.
    pub const EXTENSIBILITY: u8 = 0x40;
    /// Flag C (v1): no further subflows to this end's address and port.
    pub const DENY_JOIN_ID0: u8 = 0x20;
    /// Flag H: HMAC-SHA1 in v0, HMAC-SHA256 in v1.
    pub const HMAC_ALGORITHM: u8 = 0x01;
    /// Flags D to H: the crypto algorithms.
    const CRYPTO: u8 = 0x1f;

    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let length = option.len();
        let fields = (
            be::header,
            be::u8,
            cond(length > 4, be::key),
            cond(length > 12, be::key),
            cond(length > 20, be::u16),
            cond(length > 22, be::u16),
        );
        let (version, flags, sender_key, receiver_key, data_len, checksum) =
            be::read(option, Subtype::MP_CAPABLE, LENGTHS, fields)?;
        Ok(Self { version, flags, sender_key, receiver_key, data_len, checksum })
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        be::emit(out, Subtype::MP_CAPABLE, self.version, |out| {
            out.push(self.flags);
            for key in [self.sender_key, self.receiver_key].into_iter().flatten() {
                out.extend_from_slice(&key.0);
            }
            for field in [self.data_len, self.checksum].into_iter().flatten() {
                out.extend_from_slice(&field.to_be_bytes());
            }
        });
    }

    /// Whether this end wants DSS checksums (A).
    #[inline]
    pub const fn checksum_required(&self) -> bool {
        self.flags & Self::CHECKSUM_REQUIRED != 0
    }

    /// Whether the extensibility flag (B) is set: a receiver must ignore the option.
    #[inline]
    pub const fn extensibility(&self) -> bool {
        self.flags & Self::EXTENSIBILITY != 0
    }

    /// Whether this end refuses joins to the address and port of the initial subflow (C). v1 only: v0 has it reserved.
    #[inline]
    pub const fn deny_join_id0(&self) -> bool {
        self.flags & Self::DENY_JOIN_ID0 != 0
    }

    /// Whether HMAC-SHA1 (v0) or HMAC-SHA256 (v1) is offered or chosen (H).
    #[inline]
    pub const fn hmac_algorithm(&self) -> bool {
        self.flags & Self::HMAC_ALGORITHM != 0
    }

    /// The algorithm bits D to H. All zero, and a receiver must ignore the option.
    #[inline]
    pub const fn crypto_bits(&self) -> u8 {
        self.flags & Self::CRYPTO
    }

    /// Whether a receiver must ignore it: for its extensibility flag, or because it offers no algorithm of a version that exists.
    pub const fn is_void(&self) -> bool {
        self.extensibility() || (self.version <= 1 && self.crypto_bits() == 0)
    }
}

/// `MP_CAPABLE v1 flags 81 sender_key 73bb150358a0aecb`
impl fmt::Display for MpCapable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MP_CAPABLE v{} flags {:02x}", self.version, self.flags)?;
        if let Some(key) = self.sender_key {
            write!(f, " sender_key {key}")?;
        }
        if let Some(key) = self.receiver_key {
            write!(f, " receiver_key {key}")?;
        }
        if let Some(len) = self.data_len {
            write!(f, " data_len {len}")?;
        }
        if let Some(checksum) = self.checksum {
            write!(f, " checksum {checksum:04x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::wire::MptcpOption;
    use crate::wire::testing::{complaint, mptcp, stretched};

    fn capable(bytes: &[u8]) -> MpCapable {
        match mptcp(bytes) {
            MptcpOption::MpCapable(capable) => capable,
            option => panic!("{option}"),
        }
    }

    const CLIENT: Key = Key(hex!("8f0c7c64a6a32ac1"));
    const SERVER: Key = Key(hex!("73bb150358a0aecb"));

    /// The handshake of tcpdump's mptcp-aa-v1.pcap and its first data.
    #[test]
    fn v1_handshake() {
        let syn =
            MpCapable { version: 1, flags: 0x01, sender_key: None, receiver_key: None, data_len: None, checksum: None };
        assert_eq!(capable(&hex!("1e040101")), syn);
        let syn_ack = MpCapable { sender_key: Some(SERVER), ..syn };
        assert_eq!(capable(&hex!("1e0c0101 73bb150358a0aecb")), syn_ack);
        let ack = MpCapable { sender_key: Some(CLIENT), receiver_key: Some(SERVER), ..syn };
        assert_eq!(capable(&hex!("1e140101 8f0c7c64a6a32ac1 73bb150358a0aecb")), ack);
        let data = MpCapable { data_len: Some(16), ..ack };
        assert_eq!(capable(&hex!("1e160101 8f0c7c64a6a32ac1 73bb150358a0aecb 0010")), data);
        let checked = MpCapable { flags: 0x81, checksum: Some(0xbeef), ..data };
        assert_eq!(capable(&hex!("1e180181 8f0c7c64a6a32ac1 73bb150358a0aecb 0010 beef")), checked);
    }

    /// The handshake of tcpdump's mptcp-v0.pcap.
    #[test]
    fn v0_handshake() {
        let syn = capable(&hex!("1e0c0081 9c9eabd1e46a33b2"));
        assert_eq!((syn.version, syn.flags, syn.receiver_key), (0, 0x81, None));
        assert_eq!(syn.sender_key, Some(Key(hex!("9c9eabd1e46a33b2"))));
        let ack = capable(&hex!("1e140081 9c9eabd1e46a33b2 967d2770b6960552"));
        assert_eq!(ack.sender_key, syn.sender_key);
        assert_eq!(ack.receiver_key, Some(Key(hex!("967d2770b6960552"))));
    }

    #[test]
    fn each_flag_has_its_bit() {
        let flags = |flags: u8| {
            let option = capable(&[30, 4, 0x01, flags]);
            let all =
                [option.checksum_required(), option.extensibility(), option.deny_join_id0(), option.hmac_algorithm()];
            (all, option.crypto_bits())
        };
        assert_eq!(flags(0x80), ([true, false, false, false], 0));
        assert_eq!(flags(0x40), ([false, true, false, false], 0));
        assert_eq!(flags(0x20), ([false, false, true, false], 0));
        assert_eq!(flags(0x01), ([false, false, false, true], 0x01));
        assert_eq!(flags(0x1e), ([false; 4], 0x1e));
    }

    #[test]
    fn other_lengths_are_malformed() {
        for length in (3..=40).filter(|length| ![4, 12, 20, 22, 24].contains(length)) {
            assert_eq!(
                complaint(&stretched(length, &[0x01])),
                format!("length {length} at option byte 0: MP_CAPABLE needs 4, 12, 20, 22 or 24")
            );
        }
    }

    #[test]
    fn prints() {
        let option = capable(&hex!("1e180181 8f0c7c64a6a32ac1 73bb150358a0aecb 0010 0eef"));
        assert_eq!(
            option.to_string(),
            "MP_CAPABLE v1 flags 81 sender_key 8f0c7c64a6a32ac1 receiver_key 73bb150358a0aecb data_len 16 checksum 0eef"
        );
    }
}

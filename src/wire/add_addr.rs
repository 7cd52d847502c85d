//! ADD_ADDR: announces an address (RFC 8684 §3.4.1, RFC 6824 §3.4.1).
//!
//! ```text
//! +---------------+---------------+-------+-------+---------------+
//! |     Kind      |     Length    |Subtype|(rsv)|E|  Address ID   |   v0: IPVer, 4 or 6, for (rsv)|E
//! +---------------+---------------+-------+-------+---------------+
//! |           Address (IPv4: 4 octets / IPv6: 16 octets)          |
//! +-------------------------------+-------------------------------+
//! |   Port (2 octets, optional)   |                               |
//! +-------------------------------+                               |
//! |                Truncated HMAC (8 octets, if E=0)              |   v0: none
//! |                               +-------------------------------+
//! |                               |
//! +-------------------------------+
//! ```
//!
//! The length fixes the fields; the low nibble then says which dialect it is, and that the two agree:
//!
//! | low nibble | IPv4, no HMAC | IPv4, HMAC | IPv6, no HMAC | IPv6, HMAC |
//! |---|---|---|---|---|
//! | length (with port) | 8 (10) | 16 (18) | 20 (22) | 28 (30) |
//! | 4 | v0 | draft-v1 | – | v1, reserved bit set |
//! | 6 | – | v1, reserved bits set | v0 | draft-v1 |
//! | other, even (E = 0) | – | v1 | – | v1 |
//! | odd (E = 1) | v1 echo | – | v1 echo | – |

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nom::Parser;
use nom::combinator::{cond, map};

use super::be;
use super::error::{Lengths, WireError};
use super::hex::Hex;
use super::subtype::Subtype;

/// The echo flag of RFC 8684.
const ECHO: u8 = 0x1;
/// Kind, length, subtype and address id.
const HEADER: usize = 4;
const PORT: usize = 2;
const HMAC: usize = 8;

/// An ADD_ADDR option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddAddr {
    /// The low nibble of the third byte: IP version (v0, draft-v1), or reserved bits and E (v1).
    pub low_nibble: u8,
    /// The sender's id for the address.
    pub address_id: u8,
    /// The address.
    pub address: IpAddr,
    /// The port, if it is not that of the subflow.
    pub port: Option<u16>,
    /// The truncated HMAC.
    pub hmac: Option<[u8; 8]>,
}

/// The dialect that an ADD_ADDR is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddAddrForm {
    /// RFC 6824: IP version, no HMAC.
    V0,
    /// RFC 8684: E and HMAC exclude each other.
    Rfc8684 {
        /// The receiver confirms an ADD_ADDR.
        echo: bool,
    },
    /// The multipath-tcp.org kernel's v1: IP version and HMAC.
    DraftV1,
}

impl AddAddr {
    /// Reads one whole option, kind and length included.
    #[inline]
    pub fn parse(option: &[u8]) -> Result<Self, WireError> {
        let length = option.len();
        let (is_v6, has_port, has_hmac) = match length {
            8 => (false, false, false),
            10 => (false, true, false),
            16 => (false, false, true),
            18 => (false, true, true),
            20 => (true, false, false),
            22 => (true, true, false),
            28 => (true, false, true),
            30 => (true, true, true),
            _ => return Err(Self::wrong_length(option)),
        };
        let fields = (be::header, be::u8, ip_address(is_v6), cond(has_port, be::u16), cond(has_hmac, be::array));
        let (low_nibble, address_id, address, port, hmac) =
            be::read(option, Subtype::ADD_ADDR, Lengths::of([length as u8]), fields)?;
        let add_addr = Self { low_nibble, address_id, address, port, hmac };
        // Without an HMAC it is an echo, or v0 with the right IP version; with an HMAC it is no echo.
        if add_addr.echo() == has_hmac && !add_addr.names_its_ip_version() {
            return Err(Self::wrong_length(option));
        }
        Ok(add_addr)
    }

    /// Writes the option.
    pub fn emit(&self, out: &mut Vec<u8>) {
        be::emit(out, Subtype::ADD_ADDR, self.low_nibble, |out| {
            out.push(self.address_id);
            match self.address {
                IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
            }
            if let Some(port) = self.port {
                out.extend_from_slice(&port.to_be_bytes());
            }
            if let Some(hmac) = self.hmac {
                out.extend_from_slice(&hmac);
            }
        });
    }

    /// The dialect.
    #[inline]
    pub const fn form(&self) -> AddAddrForm {
        match (self.names_its_ip_version(), self.hmac.is_some()) {
            (true, false) => AddAddrForm::V0,
            (true, true) => AddAddrForm::DraftV1,
            (false, has_hmac) => AddAddrForm::Rfc8684 { echo: !has_hmac },
        }
    }

    /// Whether this confirms the other end's ADD_ADDR (v1, E).
    #[inline]
    pub const fn echo(&self) -> bool {
        self.low_nibble & ECHO != 0
    }

    /// Whether the low nibble is the address's IP version, as in v0 and draft-v1.
    #[inline]
    const fn names_its_ip_version(&self) -> bool {
        self.low_nibble == if self.address.is_ipv4() { 4 } else { 6 }
    }

    #[cold]
    #[inline(never)]
    fn wrong_length(option: &[u8]) -> WireError {
        let least = (HEADER + 4) as u8;
        let Some(&third) = option.get(2).filter(|_| option.len() >= least as usize) else {
            return WireError::needs_at_least(Subtype::ADD_ADDR.into(), option.len(), least);
        };
        let with = |address: usize, extra: usize| (HEADER + address + extra) as u8;
        let lengths = match third & 0x0f {
            4 => Lengths::of([with(4, 0), with(4, PORT), with(4, HMAC), with(4, PORT + HMAC)]),
            6 => Lengths::of([with(16, 0), with(16, PORT), with(16, HMAC), with(16, PORT + HMAC)]),
            nibble if nibble & ECHO != 0 => Lengths::of([with(4, 0), with(4, PORT), with(16, 0), with(16, PORT)]),
            _ => Lengths::of([with(4, HMAC), with(4, PORT + HMAC), with(16, HMAC), with(16, PORT + HMAC)]),
        };
        WireError::needs(Subtype::ADD_ADDR.into(), option.len(), lengths)
    }
}

/// A parser of an IPv6 address if `is_v6`, else of an IPv4 address.
#[inline]
fn ip_address(is_v6: bool) -> impl Fn(&[u8]) -> be::Read<'_, IpAddr> {
    move |input| {
        if is_v6 {
            map(be::array::<16>, |octets| Ipv6Addr::from(octets).into()).parse(input)
        } else {
            map(be::array::<4>, |octets| Ipv4Addr::from(octets).into()).parse(input)
        }
    }
}

/// `ADD_ADDR id 1 192.168.136.225 hmac 669928744366716c`
impl fmt::Display for AddAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ADD_ADDR id {} ", self.address_id)?;
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f)?,
            None => self.address.fmt(f)?,
        }
        match &self.hmac {
            Some(hmac) => write!(f, " hmac {}", Hex(hmac)),
            None => f.write_str(if self.echo() { " echo" } else { "" }),
        }
    }
}

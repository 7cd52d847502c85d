//! Keys, tokens and the hashes between them. Pure functions; no state.

pub mod auth;
mod token;

use std::fmt;

pub use auth::{add_addr_hmac, add_addr_hmac_check, join_ack_hmac, join_syn_ack_hmac};
pub use token::{Identity, identify};

use serde::{Serialize, Serializer};

/// The 64-bit key of one end, in wire order (RFC 8684 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 8]);

/// The 32-bit token of one end: the first 32 bits of the hash of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

/// The 32-bit nonce of one end of a join.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u32);

macro_rules! prints_as_hex {
    ($($name:ident: |$value:ident, $f:ident| $write:expr;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self;
                $write
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

prints_as_hex! {
    Key: |key, f| write!(f, "{:016x}", u64::from_be_bytes(key.0));
    Token: |token, f| write!(f, "{:08x}", token.0);
    Nonce: |nonce, f| write!(f, "{:08x}", nonce.0);
}

/// The hash of a connection: decided by the version and the MP_CAPABLE dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// v0 (RFC 6824) and the draft-v1 dialect.
    Sha1,
    /// v1 (RFC 8684).
    Sha256,
}

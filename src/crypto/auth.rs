//! HMACs: of joins (RFC 8684 §3.2) and of announced addresses (RFC 8684 §3.4.1), the latter in every variant in the field.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::{Key, Nonce, Suite};

/// The HMAC in the SYN/ACK of a join, B to A: leftmost 64 bits of HMAC(key_b ‖ key_a, nonce_b ‖ nonce_a).
///
/// A is the end that joins, whichever opened the connection.
pub fn join_syn_ack_hmac(suite: Suite, key_b: Key, key_a: Key, nonce_b: Nonce, nonce_a: Nonce) -> [u8; 8] {
    let [h0, h1, h2, h3, h4, h5, h6, h7, ..] = join_hmac(suite, key_b, key_a, nonce_b, nonce_a);
    [h0, h1, h2, h3, h4, h5, h6, h7]
}

/// The HMAC in the third packet of a join, A to B: leftmost 160 bits of HMAC(key_a ‖ key_b, nonce_a ‖ nonce_b).
pub fn join_ack_hmac(suite: Suite, key_a: Key, key_b: Key, nonce_a: Nonce, nonce_b: Nonce) -> [u8; 20] {
    join_hmac(suite, key_a, key_b, nonce_a, nonce_b)
}

/// What an ADD_ADDR of `sender` must hold.
///
/// * SHA-256 (RFC 8684): rightmost 64 bits of HMAC(sender ‖ receiver, id ‖ address ‖ port), port 0 where there is none.
/// * SHA-1 (draft-v1): leftmost 64 bits of HMAC(sender ‖ 0, id ‖ address ‖ port if there is one).
pub fn add_addr_hmac(
    suite: Suite,
    sender: Key,
    receiver: Key,
    address_id: u8,
    address: IpAddr,
    port: Option<u16>,
) -> [u8; 8] {
    match suite {
        Suite::Sha1 => add_addr_draft(sender, address_id, address, port),
        Suite::Sha256 => {
            let message = Announcement::new(address_id, address, Some(port.unwrap_or(0)));
            right64(&hmac_sha256(sender, receiver, message.as_bytes()))
        }
    }
}

/// Which variant of the ADD_ADDR HMAC `seen` is, or else what the suite's own form expects.
///
/// The RFC's text left room and kernels differed. In order: `rfc8684`; `port_zeroed` (Linux 5.11: port hashed as 0 though
/// present); `left64` (Linux before May 2020: leftmost bits); `right64_of_160` (rightmost of an HMAC cut to 160 bits);
/// `keys_reversed`; `draft_sha1`. With [`Suite::Sha1`] only `draft_sha1` is there to try.
pub fn add_addr_hmac_check(
    suite: Suite,
    sender: Key,
    receiver: Key,
    address_id: u8,
    address: IpAddr,
    port: Option<u16>,
    seen: [u8; 8],
) -> Result<&'static str, [u8; 8]> {
    if suite == Suite::Sha1 {
        let expected = add_addr_draft(sender, address_id, address, port);
        return if expected == seen { Ok("draft_sha1") } else { Err(expected) };
    }
    let message = Announcement::new(address_id, address, Some(port.unwrap_or(0)));
    let digest = hmac_sha256(sender, receiver, message.as_bytes());
    let expected = right64(&digest);
    if seen == expected {
        return Ok("rfc8684");
    }
    let port_zeroed = || {
        let message = Announcement::new(address_id, address, Some(0));
        right64(&hmac_sha256(sender, receiver, message.as_bytes()))
    };
    if port.is_some_and(|port| port != 0) && seen == port_zeroed() {
        return Ok("port_zeroed");
    }
    let [left @ .., _, _, _, _, _, _, _, _, _, _, _, _] = digest;
    if seen == digest[..8] {
        return Ok("left64");
    }
    if seen == right64(&left) {
        return Ok("right64_of_160");
    }
    if seen == right64(&hmac_sha256(receiver, sender, message.as_bytes())) {
        return Ok("keys_reversed");
    }
    if seen == add_addr_draft(sender, address_id, address, port) {
        return Ok("draft_sha1");
    }
    Err(expected)
}

/// Leftmost 160 bits (in v0, all) of the HMAC that proves a join: keys and nonces of the prover first.
fn join_hmac(suite: Suite, own: Key, other: Key, own_nonce: Nonce, other_nonce: Nonce) -> [u8; 20] {
    let mut message = [0; 8];
    message[..4].copy_from_slice(&own_nonce.0.to_be_bytes());
    message[4..].copy_from_slice(&other_nonce.0.to_be_bytes());
    match suite {
        Suite::Sha1 => hmac_sha1(own.0, other.0, &message),
        Suite::Sha256 => {
            let [left @ .., _, _, _, _, _, _, _, _, _, _, _, _] = hmac_sha256(own, other, &message);
            left
        }
    }
}

/// The multipath-tcp.org kernel's draft-v1 form. It passed eight zero bytes where the receiver's key belongs.
fn add_addr_draft(sender: Key, address_id: u8, address: IpAddr, port: Option<u16>) -> [u8; 8] {
    let message = Announcement::new(address_id, address, port);
    let [h0, h1, h2, h3, h4, h5, h6, h7, ..] = hmac_sha1(sender.0, [0; 8], message.as_bytes());
    [h0, h1, h2, h3, h4, h5, h6, h7]
}

/// The rightmost 64 bits.
const fn right64<const N: usize>(digest: &[u8; N]) -> [u8; 8] {
    match digest.last_chunk() {
        Some(right) => *right,
        None => [0; 8],
    }
}

fn hmac_sha1(first: [u8; 8], second: [u8; 8], message: &[u8]) -> [u8; 20] {
    let mac = Hmac::<Sha1>::new(&hmac_block(first, second).into());
    mac.chain_update(message).finalize().into_bytes().into()
}

fn hmac_sha256(first: Key, second: Key, message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new(&hmac_block(first.0, second.0).into());
    mac.chain_update(message).finalize().into_bytes().into()
}

/// Two keys as an HMAC key of one block: zeros behind it, as HMAC itself would put them (RFC 2104 §2).
fn hmac_block(first: [u8; 8], second: [u8; 8]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..8].copy_from_slice(&first);
    block[8..16].copy_from_slice(&second);
    block
}

/// The message of an ADD_ADDR HMAC: id ‖ address ‖ port.
struct Announcement {
    bytes: [u8; 1 + 16 + 2],
    len: usize,
}

impl Announcement {
    fn new(address_id: u8, address: IpAddr, port: Option<u16>) -> Self {
        let mut message = Self { bytes: [0; 19], len: 0 };
        message.push(&[address_id]);
        match address {
            IpAddr::V4(address) => message.push(&address.octets()),
            IpAddr::V6(address) => message.push(&address.octets()),
        }
        if let Some(port) = port {
            message.push(&port.to_be_bytes());
        }
        message
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

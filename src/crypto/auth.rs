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
        // There is room for an id, the longest address and a port.
        for (free, byte) in self.bytes.iter_mut().skip(self.len).zip(part) {
            *free = *byte;
            self.len += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const fn key(bytes: u64) -> Key {
        Key(bytes.to_be_bytes())
    }

    const NS3_KEYS: [u64; 2] = [0x1d1d_262c_4cb3_28fd, 0xc584_78a9_dd4b_dc20];

    /// Captured joins: v0 from tcpdump's mptcp-v0.pcap and an ns-3 trace, v1 from mptcp-doc.
    #[test]
    fn join_hmacs_of_public_traces() {
        for (suite, keys, nonces, syn_ack, ack) in [
            (
                Suite::Sha1,
                [0x9c9e_abd1_e46a_33b2, 0x967d_2770_b696_0552],
                [0x1b66_5a18, 0x33ab_e9d5],
                hex!("5ab680c7884af03d"),
                hex!("cb7b87f5e5f0502f43b535fb70ef6607df2e6c7a"),
            ),
            (
                Suite::Sha256,
                [0xff2e_c3a2_f615_1881, 0x54f0_4ad5_bd2d_9f42],
                [0xc0d3_46f6, 0x0a54_f9af],
                hex!("c7489cf7056428b4"),
                hex!("b4e6a41bf5861313df7f5f454966998ad7e698a4"),
            ),
            (
                Suite::Sha1,
                NS3_KEYS,
                [0x8c80_207e, 0x7daf_17ba],
                hex!("46839e7189e39c55"),
                hex!("9380e94604fb583c5cb44de129d98ac42089a2d8"),
            ),
            (
                Suite::Sha1,
                NS3_KEYS,
                [0x8e43_b8cf, 0x8ebd_19ca],
                hex!("7f79dd776b464597"),
                hex!("5c71e6b1a900b7699d63a61724051d57b3b0f323"),
            ),
        ] {
            let [a, b] = keys.map(key);
            let [nonce_a, nonce_b] = nonces.map(Nonce);
            assert_eq!(join_syn_ack_hmac(suite, b, a, nonce_b, nonce_a), syn_ack);
            assert_eq!(join_ack_hmac(suite, a, b, nonce_a, nonce_b), ack);
        }
    }

    /// Linux, net/mptcp/crypto_test.c: keys and messages are the ASCII characters.
    #[test]
    fn hmacs_of_the_kernels_own_tests() {
        for (first, second, message, expected) in [
            (
                b"0b0b0b0b",
                b"0b0b0b0b",
                b"48692054",
                hex!("8385e24fb4235ac37556b6b886db106284a1da671699f46db1f235ec622dcafa"),
            ),
            (
                b"aaaaaaaa",
                b"aaaaaaaa",
                b"dddddddd",
                hex!("2c5e219164ff1dca1c4a92318d847bb6b9d44492984e1eb71aff9022f71046e9"),
            ),
            (
                b"01020304",
                b"05060708",
                b"cdcdcdcd",
                hex!("e73b9ba9969969cefb04aa0d6df18ec2fcc075b6f23b4d8c4da736a5dbbc6e7d"),
            ),
        ] {
            assert_eq!(hmac_sha256(Key(*first), Key(*second), message), expected);
        }
    }

    const SENDER: Key = key(0xc53d_54f2_accb_167a);
    const RECEIVER: Key = key(0xabe9_ccd1_f538_59e7);

    /// A kernel of 2024 (ptcpdump) takes the rightmost bits, one of February 2020 (tcpdump's mptcp-aa-v1.pcap) the leftmost.
    #[test]
    fn announced_addresses_of_public_traces() {
        let address = IpAddr::from([10, 0, 2, 1]);
        let seen = hex!("d43bfb3a9c0d5ac1");
        assert_eq!(add_addr_hmac_check(Suite::Sha256, SENDER, RECEIVER, 1, address, None, seen), Ok("rfc8684"));
        assert_eq!(add_addr_hmac(Suite::Sha256, SENDER, RECEIVER, 1, address, None), seen);

        let (sender, receiver) = (key(0x73bb_1503_58a0_aecb), key(0x8f0c_7c64_a6a3_2ac1));
        let address = IpAddr::from([192, 168, 136, 225]);
        let check = |seen| add_addr_hmac_check(Suite::Sha256, sender, receiver, 1, address, None, seen);
        assert_eq!(check(hex!("669928744366716c")), Ok("left64"));
        assert_eq!(check(hex!("669928744366716d")), Err(hex!("e0e054c3444e4c25")));
    }

    /// Expected values from Python's hmac module.
    #[test]
    fn every_variant_is_told_by_its_name() {
        let v4 = IpAddr::from([10, 0, 2, 1]);
        let v6: IpAddr = "2001:db8::2".parse().unwrap();
        for (address, port, variant, seen) in [
            (v4, None, "rfc8684", hex!("19a118c98b46efc8")),
            (v4, None, "left64", hex!("2ff6523965a7d2ba")),
            (v4, None, "right64_of_160", hex!("7a97f6734c332b6b")),
            (v4, None, "keys_reversed", hex!("fac251317de29c98")),
            (v4, None, "draft_sha1", hex!("312320d70b077cbc")),
            (v4, Some(8080), "rfc8684", hex!("95856eadfd709b41")),
            (v4, Some(8080), "port_zeroed", hex!("19a118c98b46efc8")),
            (v4, Some(8080), "left64", hex!("180de309575e0238")),
            (v4, Some(8080), "right64_of_160", hex!("741ffa57b8caef19")),
            (v4, Some(8080), "keys_reversed", hex!("b90a697806e4bff2")),
            (v4, Some(8080), "draft_sha1", hex!("b26b1110a44f6e7a")),
            (v6, None, "rfc8684", hex!("123ca6dd0de3c471")),
            (v6, None, "draft_sha1", hex!("422558b20332b703")),
            (v6, Some(8080), "rfc8684", hex!("1acdb3776551f3eb")),
            (v6, Some(8080), "port_zeroed", hex!("123ca6dd0de3c471")),
            (v6, Some(8080), "left64", hex!("90ffea34c9f6a114")),
            (v6, Some(8080), "right64_of_160", hex!("76e9060a8c81b0cf")),
            (v6, Some(8080), "keys_reversed", hex!("be07aff0b4e2ad20")),
            (v6, Some(8080), "draft_sha1", hex!("6cd0d464d158b43a")),
        ] {
            let check = |suite, id, seen| add_addr_hmac_check(suite, SENDER, RECEIVER, id, address, port, seen);
            assert_eq!(check(Suite::Sha256, 7, seen), Ok(variant), "{address} {port:?}");
            assert!(check(Suite::Sha256, 8, seen).is_err(), "another id, {address} {port:?} {variant}");
            assert_eq!(check(Suite::Sha1, 7, seen).ok(), (variant == "draft_sha1").then_some(variant));
        }
    }
}

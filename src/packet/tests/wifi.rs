//! IEEE 802.11 frames around a packet, bare and behind what capturing hosts put before them.

use hex_literal::hex;

use super::{ETHERNET, v4};
use crate::frame::LinkType;

/// As [`super::ways_in`].
pub(super) fn ways_in() -> Vec<(&'static str, LinkType, Vec<u8>, u8)> {
    let with = |prefix: &[u8], packet: &[u8]| [prefix, packet].concat();
    // Behind frame control and duration: addresses and sequence control; then LLC.
    let addresses = hex!("020000000001 020000000002 020000000003 1000");
    let snap = with(&hex!("aaaa03 000000 0800"), &v4());
    let wifi = with(&addresses, &snap);
    let wifi_relayed = [&addresses[..], &hex!("020000000004"), &snap].concat();
    let wifi_qos = |control: &[u8]| [&addresses[..], control, &snap].concat();
    let aggregated = {
        let [high, low] = (snap.len() as u16).to_be_bytes();
        [&addresses[..], &hex!("8000"), &ETHERNET, &[high, low], &snap].concat()
    };
    vec![
        ("802.11", LinkType::IEEE802_11, with(&hex!("0801 0000"), &wifi), 0),
        ("802.11 between access points", LinkType::IEEE802_11, with(&hex!("0803 0000"), &wifi_relayed), 0),
        ("802.11 QoS", LinkType::IEEE802_11, with(&hex!("8802 0000"), &wifi_qos(&hex!("0500"))), 0),
        (
            "802.11 QoS with HT control",
            LinkType::IEEE802_11,
            with(&hex!("8882 0000"), &wifi_qos(&hex!("050000000000"))),
            0,
        ),
        ("802.11 aggregated", LinkType::IEEE802_11, with(&hex!("8801 0000"), &aggregated), 0),
        ("radiotap", LinkType::IEEE802_11_RADIOTAP, with(&hex!("0000 0800 00000000 0801 0000"), &wifi), 0),
        (
            "radiotap with time, padded",
            LinkType::IEEE802_11_RADIOTAP,
            with(
                &hex!("0000 2000 03000080 00000000 00000000 0102030405060708 20 05 000000000000 8801 0000"),
                &wifi_qos(&hex!("05000000")),
            ),
            0,
        ),
        ("PPI", LinkType::PPI, with(&hex!("0000 0800 69000000 0802 0000"), &wifi), 0),
    ]
}

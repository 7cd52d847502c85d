//! Frames of one link type: a byte chooses the link type, then each frame has a length in two bytes.

use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::packet::options::Parsed;
use mptcp_inspect::packet::{Decoded, Decoder};

use super::bytes::Bytes;

/// Every link type that is decoded, and one that is not.
pub const LINKS: [LinkType; 17] = [
    LinkType::ETHERNET,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::PPP,
    LinkType::PPP_HDLC,
    LinkType::PPP_ETHER,
    LinkType::RAW,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType(147),
    LinkType::IEEE802_11,
    LinkType::IEEE802_11_RADIOTAP,
    LinkType::PPI,
];

/// Decodes them one after another, with two decoders that must agree.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let link = LINKS[usize::from(bytes.u8()) % LINKS.len()];
    let (mut one, mut other) = (Decoder::new(), Decoder::new());
    let mut number = 0;
    while !bytes.is_empty() {
        let length = usize::from(bytes.u16());
        let data = bytes.take(length);
        number += 1;
        let wire_len = data.len() as u32 + u32::from(length % 7 == 0) * 100;
        let id = FrameId { number, input: 0 };
        let time = Timestamp(number as i64 * 7_000_000_000);
        let frame = Frame { id, time, link, interface: 0, data, wire_len };
        let decoded = one.decode(&frame);
        assert_eq!(format!("{decoded:?}"), format!("{:?}", other.decode(&frame)));
        let Decoded::Tcp(segment) = decoded else { continue };
        assert!(segment.options.len() <= 40);
        assert!(segment.payload.len() <= segment.payload_len as usize, "{segment:?}");
        assert!(segment.payload_len <= 1 << 20, "{segment:?}");
        let parsed = Parsed::of(&segment);
        let options = parsed.options(&segment);
        assert!(options.mptcp || options.control().count() == 0);
    }
    assert!(one.incomplete_fragments() <= number);
}

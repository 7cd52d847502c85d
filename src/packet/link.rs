//! Link layers, from the frame's link type to the IP header. The link type decides; nothing is guessed but the version
//! of an IP header behind a layer that does not tell it.

use etherparse::EtherType;

use super::view::{Around, Layer, Next, Reject, View};
use super::{TapHint, wifi};
use crate::frame::{Frame, LinkType};

/// `EtherType`s beyond those that etherparse names.
mod ether_type {
    /// VLAN tag as some switches nest it.
    pub(super) const QINQ_9200: u16 = 0x9200;
    pub(super) const MPLS_UNICAST: u16 = 0x8847;
    pub(super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    /// Transparent Ethernet bridging: in GRE, and in cooked captures of GRE.
    pub(super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    /// The lowest `EtherType`: below it the field is an IEEE 802.3 length.
    pub(super) const LOWEST: u16 = 0x0600;
}

/// The layer a frame starts with, and where it was tapped.
#[inline]
pub(super) fn start<'a>(frame: &Frame<'a>, tap: &mut TapHint) -> Result<(Next, View<'a>), Reject> {
    let view = View::new(frame.data, frame.wire_len as usize);
    match frame.link {
        LinkType::ETHERNET => ethernet(view),
        LinkType::LINUX_SLL2 => sll2(view, tap),
        LinkType::LINUX_SLL => sll(view, tap),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => Ok((Next::Ip, view)),
        LinkType::IPV4 => Ok((Next::Ipv4, view)),
        LinkType::IPV6 => Ok((Next::Ipv6, view)),
        LinkType::NULL | LinkType::LOOP => loopback(view),
        LinkType::PPP | LinkType::PPP_HDLC => Ok((Next::Ppp, view)),
        LinkType::PPP_ETHER => Ok((Next::Pppoe, view)),
        LinkType::IEEE802_11 => wifi::data_frame(view, false),
        LinkType::IEEE802_11_RADIOTAP => wifi::radiotap(view),
        LinkType::PPI => wifi::ppi(view),
        _ => Err(Reject::NotIp),
    }
}

/// The layer that an `EtherType` announces.
#[inline]
pub(super) fn by_ether_type(ether_type: u16) -> Result<Next, Reject> {
    match EtherType(ether_type) {
        EtherType::IPV4 => Ok(Next::Ipv4),
        EtherType::IPV6 => Ok(Next::Ipv6),
        EtherType::VLAN_TAGGED_FRAME
        | EtherType::PROVIDER_BRIDGING
        | EtherType::VLAN_DOUBLE_TAGGED_FRAME
        | EtherType(ether_type::QINQ_9200) => Ok(Next::Vlan),
        EtherType(ether_type::MPLS_UNICAST | ether_type::MPLS_MULTICAST) => Ok(Next::Mpls),
        EtherType(ether_type::PPPOE_SESSION) => Ok(Next::Pppoe),
        EtherType(ether_type::TRANSPARENT_ETHERNET) => Ok(Next::Ethernet),
        _ => Err(Reject::NotIp),
    }
}

/// Ethernet II, or IEEE 802.3 with LLC: destination (6), source (6), `EtherType` or length (2).
#[inline]
pub(super) fn ethernet(view: View<'_>) -> Result<(Next, View<'_>), Reject> {
    let (header, rest) = view.header::<14>(Layer::Ethernet)?;
    after_ether_type(u16::from_be_bytes([header[12], header[13]]), rest)
}

/// One VLAN tag: priority and VLAN id (2), `EtherType` or length (2).
pub(super) fn vlan<'a>(view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    around.deeper(Layer::Vlan)?;
    let (&[_, _, high, low], rest) = view.header::<4>(Layer::Vlan)?;
    after_ether_type(u16::from_be_bytes([high, low]), rest)
}

/// What follows a field that is an `EtherType` or an IEEE 802.3 length.
#[inline]
fn after_ether_type(ether_type: u16, rest: View<'_>) -> Result<(Next, View<'_>), Reject> {
    if ether_type >= ether_type::LOWEST {
        return Ok((by_ether_type(ether_type)?, rest));
    }
    Ok((Next::Llc, rest.with_len(usize::from(ether_type).min(rest.len))))
}

/// IEEE 802.2: DSAP, SSAP, control; with both SAPs 0xaa SNAP follows: OUI (3), `EtherType` (2) (RFC 1042).
pub(super) fn llc(view: View<'_>) -> Result<(Next, View<'_>), Reject> {
    let (sap, rest) = view.header::<3>(Layer::Llc)?;
    match sap {
        [0xaa, 0xaa, 0x03] => {
            let (&[a, b, c, high, low], rest) = rest.header::<5>(Layer::Llc)?;
            match [a, b, c] {
                // Encapsulated Ethernet: RFC 1042, and its variant for bridges (IEEE 802.1H).
                [0, 0, 0 | 0xf8] => Ok((by_ether_type(u16::from_be_bytes([high, low]))?, rest)),
                _ => Err(Reject::NotIp),
            }
        }
        // The SAP of IP itself.
        [0x06, 0x06, 0x03] => Ok((Next::Ip, rest)),
        _ => Err(Reject::NotIp),
    }
}

/// MPLS: label stack entries of 4 bytes until the bottom (RFC 3032); below it IP by its first nibble, or Ethernet
/// behind a control word, whose first nibble is 0 (RFC 4385 §3).
pub(super) fn mpls<'a>(mut view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    loop {
        around.deeper(Layer::Mpls)?;
        let (entry, rest) = view.header::<4>(Layer::Mpls)?;
        view = rest;
        if entry[2] & 1 == 1 {
            break;
        }
    }
    match view.nibble() {
        Some(4 | 6) => Ok((Next::Ip, view)),
        Some(0) => Ok((Next::Ethernet, view.skip(4, Layer::Mpls)?)),
        Some(_) => Err(Reject::NotIp),
        None => Err(view.too_short(1, Layer::Mpls)),
    }
}

/// `PPPoE` session (RFC 2516 §4): version and type, code (0: data), session id (2), length (2).
pub(super) fn pppoe<'a>(view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    around.deeper(Layer::Pppoe)?;
    let (&[version_type, code, _, _, high, low], rest) = view.header::<6>(Layer::Pppoe)?;
    if version_type != 0x11 || code != 0 {
        return Err(Reject::NotIp);
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    Ok((Next::Ppp, rest.with_len(len.min(rest.len))))
}

/// PPP: optionally the HDLC address and control bytes, then the protocol in one byte (odd: compressed) or two
/// (RFC 1661 §6.5, RFC 1662 §3.1).
pub(super) fn ppp(view: View<'_>) -> Result<(Next, View<'_>), Reject> {
    let view = if view.bytes.starts_with(&[0xff, 0x03]) { view.skip(2, Layer::Ppp)? } else { view };
    let (&[first], rest) = view.header::<1>(Layer::Ppp)?;
    let (protocol, rest) = if first & 1 == 1 {
        (u16::from(first), rest)
    } else {
        let (&[second], rest) = rest.header::<1>(Layer::Ppp)?;
        (u16::from_be_bytes([first, second]), rest)
    };
    match protocol {
        0x0021 => Ok((Next::Ipv4, rest)),
        0x0057 => Ok((Next::Ipv6, rest)),
        0x0281 | 0x0283 => Ok((Next::Mpls, rest)),
        _ => Err(Reject::NotIp),
    }
}

/// Linux cooked capture, first form: packet type (2), ARPHRD type (2), address length (2), address (8), protocol (2).
fn sll<'a>(view: View<'a>, tap: &mut TapHint) -> Result<(Next, View<'a>), Reject> {
    let (header, rest) = view.header::<16>(Layer::Cooked)?;
    tap.packet_type = u8::try_from(u16::from_be_bytes([header[0], header[1]])).map_or(0, |kind| kind.saturating_add(1));
    let device = u16::from_be_bytes([header[2], header[3]]);
    cooked(device, u16::from_be_bytes([header[14], header[15]]), rest)
}

/// Linux cooked capture, second form: protocol (2), reserved (2), interface index (4), ARPHRD type (2), packet type (1),
/// address length (1), address (8).
#[inline]
fn sll2<'a>(view: View<'a>, tap: &mut TapHint) -> Result<(Next, View<'a>), Reject> {
    let (header, rest) = view.header::<20>(Layer::Cooked)?;
    tap.interface_index = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    tap.packet_type = header[10].saturating_add(1);
    let device = u16::from_be_bytes([header[8], header[9]]);
    cooked(device, u16::from_be_bytes([header[0], header[1]]), rest)
}

/// What a cooked header announces: its protocol field is an `EtherType` except for a few devices and values.
#[inline]
fn cooked(device: u16, protocol: u16, rest: View<'_>) -> Result<(Next, View<'_>), Reject> {
    /// ARPHRD types whose packets are no Ethernet payload: frame relay, radiotap, netlink.
    const FOREIGN: [u16; 3] = [770, 803, 824];
    /// The protocol of IEEE 802.2 frames (`ETH_P_802_2`).
    const LLC: u16 = 0x0004;
    if FOREIGN.contains(&device) {
        return Err(Reject::NotIp);
    }
    if protocol == LLC {
        return Ok((Next::Llc, rest));
    }
    Ok((by_ether_type(protocol)?, rest))
}

/// BSD loopback: a 4-byte address family in the byte order of the capturing host, which the file does not tell. (LOOP's
/// is in network order, but some writers have it otherwise.) IPv6 is 24, 28 or 30 on the BSDs, 10 on Linux.
fn loopback(view: View<'_>) -> Result<(Next, View<'_>), Reject> {
    let (&family, rest) = view.header::<4>(Layer::Loopback)?;
    // Families are small: in the wrong order they are not.
    match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
        2 => Ok((Next::Ipv4, rest)),
        10 | 24 | 28 | 30 => Ok((Next::Ipv6, rest)),
        _ => Err(Reject::NotIp),
    }
}

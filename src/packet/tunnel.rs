//! Tunnels with a header of their own: GRE, and those over UDP, which are told by their port.

use super::link;
use super::view::{Around, Layer, Next, Reject, View};

/// UDP destination ports.
mod port {
    pub(super) const VXLAN: u16 = 4789;
    /// VXLAN as Linux numbered it before IANA did.
    pub(super) const VXLAN_LINUX: u16 = 8472;
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const GENEVE: u16 = 6081;
}

/// GRE version 0 (RFC 2784, RFC 2890): flags and version (2), protocol as an `EtherType` (2), then checksum, key and
/// sequence number (4 each) as flagged.
pub(super) fn gre<'a>(view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    const CHECKSUM: u8 = 0x80;
    /// A source route of RFC 1701, which RFC 2784 took out.
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    around.deeper(Layer::Gre)?;
    let (&[flags, version, high, low], rest) = view.header::<4>(Layer::Gre)?;
    if version & 0x07 != 0 || flags & ROUTING != 0 {
        return Err(Reject::NotTcp);
    }
    let optional = [CHECKSUM, KEY, SEQUENCE].into_iter().filter(|bit| flags & bit != 0).count() * 4;
    let rest = rest.skip(optional, Layer::Gre)?;
    match u16::from_be_bytes([high, low]) {
        ERSPAN => erspan(rest, flags & SEQUENCE != 0),
        ether_type => Ok((link::by_ether_type(ether_type)?, rest)),
    }
}

/// GRE's protocol for copies of switch ports, in the first two forms.
const ERSPAN: u16 = 0x88be;

/// ERSPAN (draft-foschiano-erspan §4.1, §4.2): the first form has no sequence number in GRE and no header of its own; the second
/// has both: version (4 bits, 1) and VLAN, class and session, index (8 bytes in all). Then Ethernet.
fn erspan(view: View<'_>, numbered: bool) -> Result<(Next, View<'_>), Reject> {
    if !numbered {
        return Ok((Next::Ethernet, view));
    }
    let (header, rest) = view.header::<8>(Layer::Erspan)?;
    if header[0] >> 4 != 1 {
        return Err(Reject::NotTcp);
    }
    Ok((Next::Ethernet, rest))
}

/// UDP: source port, destination port, length, checksum. Only tunnels are of interest.
pub(super) fn udp<'a>(view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    let (&[_, _, port_high, port_low, len_high, len_low, _, _], rest) = view.header::<8>(Layer::Udp)?;
    // A length of 0 is what offload leaves; any other below 8 is nonsense, and so is all that follows.
    let rest = match usize::from(u16::from_be_bytes([len_high, len_low])) {
        0 => rest,
        len => rest.with_len(len.saturating_sub(8).min(rest.len)),
    };
    match u16::from_be_bytes([port_high, port_low]) {
        port::VXLAN | port::VXLAN_LINUX => vxlan(rest, around),
        port::GTP_U => gtp_u(rest, around),
        port::GENEVE => geneve(rest, around),
        _ => Err(Reject::NotTcp),
    }
}

/// VXLAN (RFC 7348 §5): flags (1), reserved (3), network identifier (3), reserved (1); then Ethernet.
fn vxlan<'a>(view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    const HAS_IDENTIFIER: u8 = 0x08;
    let (header, rest) = view.header::<8>(Layer::Vxlan)?;
    if header[0] & HAS_IDENTIFIER == 0 {
        return Err(Reject::NotTcp);
    }
    around.deeper(Layer::Vxlan)?;
    Ok((Next::Ethernet, rest))
}

/// Geneve (RFC 8926 §3.4): version (2 bits, 0) and length of the options in 4-byte units (6 bits), flags (1), protocol as an
/// `EtherType` (2), network identifier (3), reserved (1); options.
fn geneve<'a>(view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    const VERSION: u8 = 0xc0;
    const CONTROL: u8 = 0x80;
    let (&[version_len, flags, high, low, ..], rest) = view.header::<8>(Layer::Geneve)?;
    if version_len & VERSION != 0 || flags & CONTROL != 0 {
        return Err(Reject::NotTcp);
    }
    around.deeper(Layer::Geneve)?;
    let options = usize::from(version_len & !VERSION) * 4;
    Ok((link::by_ether_type(u16::from_be_bytes([high, low]))?, rest.skip(options, Layer::Geneve)?))
}

/// GTP-U version 1 (3GPP TS 29.281 §5.1): flags, message type, length (2), tunnel endpoint (4). With any of the flags E,
/// S, PN: sequence number (2), N-PDU number (1), next extension type (1). Each extension header: length in 4-byte units,
/// body, next type. The user's packet is IP, or Ethernet in a 5G Ethernet session.
fn gtp_u<'a>(view: View<'a>, around: &mut Around) -> Result<(Next, View<'a>), Reject> {
    const VERSION_1_GTP: u8 = 0x30;
    const VERSION_AND_TYPE: u8 = 0xf0;
    const ANY_OPTIONAL: u8 = 0x07;
    const HAS_EXTENSION: u8 = 0x04;
    const USER_PACKET: u8 = 255;
    let (&[flags, message, high, low, ..], rest) = view.header::<8>(Layer::Gtp)?;
    if flags & VERSION_AND_TYPE != VERSION_1_GTP || message != USER_PACKET {
        return Err(Reject::NotTcp);
    }
    around.deeper(Layer::Gtp)?;
    let mut view = rest.with_len(usize::from(u16::from_be_bytes([high, low])).min(rest.len));
    if flags & ANY_OPTIONAL != 0 {
        let (&[_, _, _, mut next], rest) = view.header::<4>(Layer::Gtp)?;
        view = rest;
        while flags & HAS_EXTENSION != 0 && next != 0 {
            let (&[units], _) = view.header::<1>(Layer::Gtp)?;
            // A length of 0 would never end; it is treated as the shortest there is.
            let len = usize::from(units).max(1) * 4;
            let rest = view.skip(len, Layer::Gtp)?;
            next = view.bytes.get(len - 1).copied().unwrap_or(0);
            view = rest;
        }
    }
    Ok((if matches!(view.nibble(), Some(4 | 6)) { Next::Ip } else { Next::Ethernet }, view))
}

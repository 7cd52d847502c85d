//! IEEE 802.11 data frames as monitor mode captures them, and the headers that capturing hosts put before them. What is
//! encrypted stays so.

use super::link;
use super::view::{Layer, Next, Reject, View};
use crate::frame::LinkType;

/// Radiotap: version (1, 0), pad (1), length of the whole header (2, little-endian), then words of presence bits (4 each,
/// bit 31: another follows), then the fields that they announce.
pub(super) fn radiotap(view: View<'_>) -> Result<(Next, View<'_>), Reject> {
    let (&[version, _, low, high], _) = view.header::<4>(Layer::Radiotap)?;
    if version != 0 {
        return Err(Reject::NotIp);
    }
    let frame = view.skip(usize::from(u16::from_le_bytes([low, high])), Layer::Radiotap)?;
    data_frame(frame, is_padded(view.bytes))
}

/// Whether a radiotap header says that the 802.11 header is padded to words of 4 bytes.
fn is_padded(header: &[u8]) -> bool {
    const HAS_TIME: u8 = 0x01;
    const HAS_FLAGS: u8 = 0x02;
    const MORE_WORDS: u8 = 0x80;
    const DATA_PAD: u8 = 0x20;
    let words = header.get(4..).unwrap_or(&[]).chunks_exact(4);
    let Some(&present) = header.get(4).filter(|present| **present & HAS_FLAGS != 0) else { return false };
    let more = words.take_while(|word| word.last().is_some_and(|last| last & MORE_WORDS != 0)).count();
    let fields = 4 + 4 * (more + 1);
    // The time comes first: 8 bytes, aligned to as many.
    let flags = if present & HAS_TIME == 0 { fields } else { fields.next_multiple_of(8) + 8 };
    header.get(flags).is_some_and(|flags| flags & DATA_PAD != 0)
}

/// PPI: version (1, 0), flags (1), length of the whole header (2, little-endian), link type of the frame (4, little-endian).
pub(super) fn ppi(view: View<'_>) -> Result<(Next, View<'_>), Reject> {
    let (&[version, _, low, high, l0, l1, l2, l3], _) = view.header::<8>(Layer::Ppi)?;
    let frame = view.skip(usize::from(u16::from_le_bytes([low, high])), Layer::Ppi)?;
    match (version, LinkType(u32::from_le_bytes([l0, l1, l2, l3]))) {
        (0, LinkType::IEEE802_11) => data_frame(frame, false),
        (0, LinkType::ETHERNET) => Ok((Next::Ethernet, frame)),
        _ => Err(Reject::NotIp),
    }
}

/// An 802.11 frame: control (2), duration (2), three addresses (6 each), sequence control (2); the fourth address (6) between
/// access points, the `QoS` control (2) of `QoS` data and HT control (4) behind that; then LLC. Of aggregated MSDUs only the
/// first is looked at: a frame is one segment here.
pub(super) fn data_frame(view: View<'_>, is_padded: bool) -> Result<(Next, View<'_>), Reject> {
    const VERSION_AND_TYPE: u8 = 0x0f;
    const DATA: u8 = 0x08;
    const NO_DATA: u8 = 0x40;
    const QOS: u8 = 0x80;
    const BOTH_DS: u8 = 0x03;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const HT_CONTROL: u8 = 0x80;
    const AGGREGATED: u8 = 0x80;
    let (&[kind, flags], _) = view.header::<2>(Layer::Wifi)?;
    if kind & VERSION_AND_TYPE != DATA || kind & NO_DATA != 0 || flags & (PROTECTED | MORE_FRAGMENTS) != 0 {
        return Err(Reject::NotIp);
    }
    let (&[.., fragment, _], _) = view.header::<24>(Layer::Wifi)?;
    if fragment & 0x0f != 0 {
        return Err(Reject::NotIp);
    }
    let mut len = if flags & BOTH_DS == BOTH_DS { 30 } else { 24 };
    let mut aggregated = false;
    if kind & QOS != 0 {
        let (&[control, _], _) = view.skip(len, Layer::Wifi)?.header::<2>(Layer::Wifi)?;
        aggregated = control & AGGREGATED != 0;
        len += if flags & HT_CONTROL == 0 { 2 } else { 6 };
    }
    if is_padded {
        len = usize::next_multiple_of(len, 4);
    }
    let body = view.skip(len, Layer::Wifi)?;
    // Each of several MSDUs has a header like Ethernet's, with a length.
    if aggregated { link::ethernet(body) } else { Ok((Next::Llc, body)) }
}

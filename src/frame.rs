//! What a capture yields: a frame is bytes, a time, a link type and the number that names it to a person.

use std::fmt;

/// Nanoseconds since the Unix epoch, as the capture says. Never the clock of the machine that analyses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// That of a packet of which the capture does not say when it was.
    pub const UNKNOWN: Self = Self(i64::MIN);

    /// Whether the capture says it.
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }

    /// Nanoseconds from `earlier` to `self`; 0 where the capture's time went backwards, or one of both is unknown.
    #[inline]
    pub fn since(self, earlier: Self) -> u64 {
        if earlier.is_known() { u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0) } else { 0 }
    }
}

impl Timestamp {
    /// RFC 3339 in UTC with nine decimals, as ASCII. Years have four digits: those of 2^63 nanoseconds are 1677 to 2262.
    pub fn text(self) -> [u8; 30] {
        let seconds = self.0.div_euclid(1_000_000_000);
        let nanos = self.0.rem_euclid(1_000_000_000);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let parts = [nanos, of_day % 60, of_day / 60 % 60, of_day / 3600, day, month, year];
        // From the last digit to the first: a mark ends each part.
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let mut parts = parts.into_iter().map(|part| part as u32);
        let mut rest = 0;
        for digit in text.iter_mut().rev() {
            if digit.is_ascii_digit() {
                *digit += (rest % 10) as u8;
                rest /= 10;
            } else {
                rest = parts.next().unwrap_or(0);
            }
        }
        text
    }
}

/// Prints RFC 3339 in UTC with nine decimals, or `unknown`, e.g. `2026-11-22T10:57:28.622157800Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(if self.is_known() { std::str::from_utf8(&text).unwrap_or_default() } else { "unknown" })
    }
}

/// The proleptic Gregorian date of a day count since 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Names a frame as a person would: its number in its input, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId {
    /// The frame's number in its input, from 1.
    pub number: u64,
    /// Which input, from 0.
    pub input: u16,
}

/// A link type as in the tcpdump.org registry (`LINKTYPE_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

macro_rules! link_types {
    ($($(#[$doc:meta])* $constant:ident = $value:literal, $name:literal;)*) => {
        impl LinkType {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The registry's name without its `LINKTYPE_` prefix (as tcpdump prints it), if it is one that is decoded.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($name),)* _ => None }
            }

            /// Whether frames of this type are decoded.
            pub fn is_decoded(self) -> bool {
                self.name().is_some()
            }
        }
    };
}

link_types! {
    /// BSD loopback: 4 bytes address family in the capturing host's byte order.
    NULL = 0, "NULL";
    /// Ethernet.
    ETHERNET = 1, "EN10MB";
    /// PPP.
    PPP = 9, "PPP";
    /// Raw IP, as some systems number it.
    RAW_BSD = 12, "RAW";
    /// Raw IP, as OpenBSD numbers it.
    RAW_OPENBSD = 14, "RAW";
    /// PPP in HDLC-like framing.
    PPP_HDLC = 50, "PPP_SERIAL";
    /// PPPoE session packets without Ethernet header.
    PPP_ETHER = 51, "PPP_ETHER";
    /// Raw IP: the first nibble tells the version.
    RAW = 101, "RAW";
    /// IEEE 802.11 without header of the capturing host.
    IEEE802_11 = 105, "IEEE802_11";
    /// OpenBSD loopback: 4 bytes address family in network order.
    LOOP = 108, "LOOP";
    /// Linux cooked capture, first form.
    LINUX_SLL = 113, "LINUX_SLL";
    /// IEEE 802.11 behind a radiotap header.
    IEEE802_11_RADIOTAP = 127, "IEEE802_11_RADIO";
    /// Per-packet information, mostly before IEEE 802.11.
    PPI = 192, "PPI";
    /// Raw IPv4.
    IPV4 = 228, "IPV4";
    /// Raw IPv6.
    IPV6 = 229, "IPV6";
    /// Linux cooked capture, second form: it names the interface.
    LINUX_SLL2 = 276, "LINUX_SLL2";
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "LINKTYPE_{}", self.0),
        }
    }
}

/// One captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its name.
    pub id: FrameId,
    /// When it was captured.
    pub time: Timestamp,
    /// How to read `data`.
    pub link: LinkType,
    /// Index into the input's interfaces.
    pub interface: u16,
    /// The captured bytes.
    pub data: &'a [u8],
    /// Bytes on the wire; more than `data.len()` where a snaplen cut it.
    pub wire_len: u32,
}

impl Frame<'_> {
    /// An empty frame, where there is none.
    pub fn nothing() -> Self {
        let (id, time) = (FrameId::default(), Timestamp::default());
        Self { id, time, link: LinkType::NULL, interface: 0, data: &[], wire_len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339() {
        // Expected values from Python's datetime.
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Timestamp(1_795_349_448_622_157_801).to_string(), "2026-11-22T12:10:48.622157801Z");
        assert_eq!(Timestamp(951_782_400_000_000_000).to_string(), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
    }
}

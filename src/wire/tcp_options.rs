//! The walk over a TCP header's option area (RFC 9293 §3.2). It survives any kind and any length; where it cannot go on, its
//! last item says where and why.

use std::slice;

use super::error::{What, WireError, WireErrorKind};
use super::kind;
use super::tcp_option::TcpOption;

/// One option, with where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Where it starts, in bytes from the start of the option area.
    pub offset: u8,
    /// Its kind.
    pub kind: u8,
    /// The whole option, kind and length included, as captured. Of one that ends the walk: all that is left.
    pub bytes: &'a [u8],
    /// What it says.
    pub option: TcpOption<'a>,
}

/// An iterator over the options of an option area, in order: see [`options`].
#[derive(Clone, Debug)]
pub struct TcpOptions<'a> {
    rest: &'a [u8],
    padding: &'a [u8],
    offset: u8,
    is_cut: bool,
}

/// Walks a whole option area: the bytes between the fixed 20 of the TCP header and its data offset, at most 40.
///
/// ```
/// use mptcp_inspect::wire::{self, TcpOption};
///
/// let mut options = wire::options(&[2, 4, 0x05, 0xb4, 1, 3, 3, 7]);
/// assert_eq!(options.next().unwrap().option, TcpOption::MaximumSegmentSize(1460));
/// assert_eq!(options.nth(1).unwrap().option.to_string(), "WINDOW_SCALE 7");
/// ```
#[inline]
pub const fn options(bytes: &[u8]) -> TcpOptions<'_> {
    TcpOptions { rest: bytes, padding: &[], offset: 0, is_cut: false }
}

/// Walks an option area of which the capture kept only the first part. An option that runs past the end is then
/// [`WireErrorKind::Cut`], not an error of its sender.
#[inline]
pub const fn options_cut(bytes: &[u8]) -> TcpOptions<'_> {
    TcpOptions { rest: bytes, padding: &[], offset: 0, is_cut: true }
}

/// Pads a list of options with NOPs to the 32-bit words that a TCP header is made of.
pub fn pad_to_words(options: &mut Vec<u8>) {
    options.resize(options.len().next_multiple_of(4), kind::NO_OPERATION);
}

impl<'a> TcpOptions<'a> {
    /// What follows the end-of-list option, once the walk has got there: zeros, from an honest sender.
    #[inline]
    pub const fn padding(&self) -> &'a [u8] {
        self.padding
    }

    /// The last item, for an option that hides whatever follows it.
    #[cold]
    #[inline(never)]
    fn stop(&mut self, kind: u8, length: u8, why: WireErrorKind) -> Item<'a> {
        let bytes = std::mem::take(&mut self.rest);
        // The subtype, if it is there, tells more than the kind.
        let what = match (kind, bytes) {
            (kind::MPTCP, &[_, length, third, ..]) if length >= 3 => What::Subtype(super::Subtype(third >> 4)),
            _ => What::Kind(kind),
        };
        let error = WireError::new(what, length as usize, why).at(self.offset);
        Item { offset: self.offset, kind, bytes, option: TcpOption::Malformed(error) }
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = Item<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Item<'a>> {
        let (first, behind_kind) = self.rest.split_first()?;
        let kind = *first;
        let offset = self.offset;
        let (bytes, rest, option) = match kind {
            kind::NO_OPERATION => (slice::from_ref(first), behind_kind, TcpOption::NoOperation),
            kind::END_OF_LIST => {
                self.padding = behind_kind;
                (slice::from_ref(first), &[][..], TcpOption::EndOfList)
            }
            _ => {
                let left = u8::try_from(self.rest.len()).unwrap_or(u8::MAX);
                let Some(&length) = behind_kind.first() else {
                    let why = if self.is_cut { WireErrorKind::Cut { left } } else { WireErrorKind::NoLength };
                    return Some(self.stop(kind, 0, why));
                };
                if length < 2 {
                    return Some(self.stop(kind, length, WireErrorKind::NeedsAtLeast(2)));
                }
                let Some((bytes, rest)) = self.rest.split_at_checked(length as usize) else {
                    let why = if self.is_cut { WireErrorKind::Cut { left } } else { WireErrorKind::PastEnd { left } };
                    return Some(self.stop(kind, length, why));
                };
                (bytes, rest, TcpOption::parse(kind, bytes, offset))
            }
        };
        self.rest = rest;
        // An option area has 40 bytes at most; the offset saturates for a caller that hands in more.
        self.offset = offset.saturating_add(bytes.len() as u8);
        Some(Item { offset, kind, bytes, option })
    }
}

impl std::iter::FusedIterator for TcpOptions<'_> {}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    fn printed(options: &mut TcpOptions<'_>) -> Vec<(u8, String)> {
        options.map(|item| (item.offset, item.option.to_string())).collect()
    }

    fn names(bytes: &[u8]) -> Vec<&'static str> {
        options(bytes).map(|item| item.option.name()).collect()
    }

    /// The SYN of iOS 7, in its order of options.
    #[test]
    fn a_whole_area() {
        let syn = hex!("020405b4 01 030304 1e0c0001 72d38468f5b08cec 01 01 080a0000000100000000 0402 00 00");
        let mut walk = options(&syn);
        assert_eq!(
            printed(&mut walk),
            [
                (0, "MSS 1460"),
                (4, "NOP"),
                (5, "WINDOW_SCALE 4"),
                (8, "MP_CAPABLE v0 flags 01 sender_key 72d38468f5b08cec"),
                (20, "NOP"),
                (21, "NOP"),
                (22, "TIMESTAMPS 1 echo 0"),
                (32, "SACK_PERMITTED"),
                (34, "EOL"),
            ]
            .map(|(offset, option)| (offset, option.to_owned()))
        );
        assert_eq!(walk.padding(), [0]);
    }

    /// ADD_ADDR and DSS in one segment, packet 13 of tcpdump's mptcp-aa-v1.pcap.
    #[test]
    fn two_mptcp_options() {
        assert_eq!(names(&hex!("1e103001 c0a888e1 669928744366716c 1e0c2003 ee83a616c38765d5")), ["ADD_ADDR", "DSS"]);
        assert_eq!(names(&hex!("1e083101 0a000201 1e0c2003 f9948ef804577f69")), ["ADD_ADDR", "DSS"]);
        assert_eq!(names(&hex!("1e103001 0a000201 f8295862f645df19 1e082001 d0bd7aef")), ["ADD_ADDR", "DSS"]);
        assert_eq!(names(&hex!("1e083401 0a010202 1e142005d52abecad1b97490000000010029082f")), ["ADD_ADDR", "DSS"]);
    }

    #[test]
    fn a_bad_body_does_not_end_the_walk() {
        let mut walk = options(&hex!("020405b4 0402 080a0000000100000000")[..6]);
        assert_eq!(walk.by_ref().count(), 2);
        let area = hex!("020405b4 080a0000000100000000 1e0320 01 030307");
        let texts = printed(&mut options(&area));
        assert_eq!(texts[2], (14, "malformed 1e0320 (length 3 at option byte 14: DSS needs at least 4)".to_owned()));
        assert_eq!(texts[4], (18, "WINDOW_SCALE 7".to_owned()));
    }

    #[test]
    fn where_and_why_it_stops() {
        for (area, why) in [
            (&hex!("01 01 1e00 2003")[..], "length 0 at option byte 2: MPTCP needs at least 2"),
            (&hex!("01 01 0801 2003"), "length 1 at option byte 2: TIMESTAMPS needs at least 2"),
            (&hex!("01 01 1e0c 2003"), "length 12 at option byte 2: DSS needs more than the 4 left"),
            (&hex!("01 01 01 1e0c"), "length 12 at option byte 3: MPTCP needs more than the 2 left"),
            (&hex!("01 01 01 63"), "no length at option byte 3: kind 99 needs at least 2"),
        ] {
            let last = options(area).last().expect("options");
            let error = last.option.error().expect("malformed");
            assert_eq!(error.to_string(), why);
            assert!(error.ends_walk() && !error.is_cut());
            assert_eq!(last.bytes, &area[last.offset as usize..], "what is left");
        }
    }

    #[test]
    fn a_cut_area_is_no_ones_fault() {
        for (area, why) in [
            (&hex!("01 01 1e0c 2003")[..], "option byte 2: DSS cut by the capture after 4"),
            (&hex!("01 01 01 08"), "option byte 3: TIMESTAMPS cut by the capture after 1"),
        ] {
            let last = options_cut(area).last().expect("options");
            let error = last.option.error().expect("cut");
            assert_eq!(error.to_string(), why);
            assert!(error.is_cut() && error.ends_walk());
        }
        let lie = options_cut(&hex!("01 1e01")).last().expect("options");
        assert!(!lie.option.error().expect("malformed").is_cut(), "a length of 1 is wrong, cut or not");
    }

    #[test]
    fn padding_is_what_follows_the_end() {
        let mut walk = options(&[1, 0, 0, 7, 30]);
        assert!(walk.padding().is_empty());
        assert_eq!(walk.by_ref().count(), 2);
        assert_eq!(walk.padding(), [0, 7, 30]);
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn words_are_filled_with_nops() {
        for (before, after) in [(0, 0), (1, 4), (3, 4), (4, 4), (5, 8)] {
            let mut options = vec![9; before];
            pad_to_words(&mut options);
            assert_eq!(options.len(), after);
            assert!(options[before..].iter().all(|&byte| byte == 1));
        }
    }
}

//! The walk over a TCP header's option area (RFC 9293 §3.2). It survives any kind and any length; where it cannot go on, its
//! last item says where and why.

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

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let (&kind, behind_kind) = self.rest.split_first()?;
        let offset = self.offset;
        let (bytes, rest, option) = match kind {
            kind::NO_OPERATION => (&self.rest[..1], behind_kind, TcpOption::NoOperation),
            kind::END_OF_LIST => {
                self.padding = behind_kind;
                (&self.rest[..1], &[][..], TcpOption::EndOfList)
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

//! One walk over a segment's options: what the tracker needs of them, in place.

use std::ops::Deref;

use super::Segment;
use crate::limits;
use crate::wire::{self, Dss, MpCapable, MpJoin, MptcpOption, Subtype, TcpOption, WireError, kind};

/// The options of one segment: what was read of them, borrowed from whoever keeps it, and their bytes.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    usual: &'a Usual,
    unusual: Option<&'a Unusual>,
    bytes: &'a [u8],
    cut: bool,
}

/// What was read of a segment's options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parsed {
    /// What nearly all have.
    pub usual: Usual,
    /// What few have; `None` where they are laid out as usual.
    pub unusual: Option<Unusual>,
}

/// What nearly all segments have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usual {
    /// Any option of kind 30, even a broken one.
    pub mptcp: bool,
    /// Longest run of NOPs; an end of list with the zeros behind it counts as such.
    pub nop_run: u8,
    /// TSval and TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// DSS.
    pub dss: Option<Dss>,
}

/// What few segments have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unusual {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// MP_CAPABLE.
    pub capable: Option<MpCapable>,
    /// MP_JOIN.
    pub join: Option<MpJoin>,
    /// There are other MPTCP options: [`Options::control`] walks over them.
    pub control: bool,
    /// A duplicate of a kind that may stand once (a second DSS, MP_CAPABLE or MP_JOIN).
    pub repeated: bool,
    /// An option of kind 30 without a length that the walk can use: less than 3, or more than the header has left.
    pub broken: Option<WireError>,
    /// Kinds in their order.
    kinds: Kinds,
}

/// Kinds of options in their order, padding left out; 0 ends the list.
pub type Kinds = [u8; limits::SYN_KINDS];

impl Deref for Options<'_> {
    type Target = Usual;
    #[inline]
    fn deref(&self) -> &Usual {
        self.usual
    }
}

impl<'a> Options<'a> {
    /// The options of `segment`, read before.
    #[inline]
    pub fn new(segment: &Segment<'a>, usual: &'a Usual, unusual: Option<&'a Unusual>) -> Self {
        Self { usual, unusual, bytes: segment.options, cut: segment.options_cut }
    }

    /// What only segments with options in no usual layout have.
    #[inline]
    pub fn unusual(&self) -> Option<&'a Unusual> {
        self.unusual
    }

    /// MP_CAPABLE.
    #[inline]
    pub fn capable(&self) -> Option<&'a MpCapable> {
        self.unusual?.capable.as_ref()
    }

    /// MP_JOIN.
    #[inline]
    pub fn join(&self) -> Option<&'a MpJoin> {
        self.unusual?.join.as_ref()
    }

    /// Whether there are MPTCP options that [`control`](Self::control) walks over.
    #[inline]
    pub fn has_control(&self) -> bool {
        self.unusual.is_some_and(|unusual| unusual.control)
    }

    /// Whether kind 30 shows more than one DSS.
    #[inline]
    pub fn has_more_than_dss(&self) -> bool {
        let more = |unusual: &Unusual| {
            let &Unusual { capable, join, control, repeated, broken, .. } = unusual;
            capable.is_some() || join.is_some() || control || repeated || broken.is_some()
        };
        self.unusual.is_some_and(more)
    }

    /// Kinds of options in their order, without padding.
    pub fn kinds(&self) -> Kinds {
        let noted = self.unusual.map_or_else(Kinds::default, |unusual| unusual.kinds);
        if noted != Kinds::default() {
            return noted;
        }
        let mut kinds = Kinds::default();
        for (slot, item) in kinds.iter_mut().zip(self.walk().filter(|item| item.kind > kind::NO_OPERATION)) {
            *slot = item.kind;
        }
        kinds
    }

    /// The MPTCP options beside DSS, MP_CAPABLE and MP_JOIN in order, malformed and unknown ones included.
    pub fn control(&self) -> impl Iterator<Item = MptcpOption<'a>> {
        let walk = if self.has_control() { self.walk() } else { wire::options(&[]) };
        walk.filter_map(|item| match item.option {
            TcpOption::Mptcp(MptcpOption::Dss(_) | MptcpOption::MpCapable(_) | MptcpOption::MpJoin(_)) => None,
            TcpOption::Mptcp(option) => Some(option),
            _ => None,
        })
    }

    #[inline]
    fn walk(&self) -> wire::TcpOptions<'a> {
        walk(self.bytes, self.cut)
    }
}

#[inline]
fn walk(bytes: &[u8], cut: bool) -> wire::TcpOptions<'_> {
    if cut { wire::options_cut(bytes) } else { wire::options(bytes) }
}

impl Parsed {
    /// Reads the options of a segment.
    #[inline(always)]
    pub fn of(segment: &Segment<'_>) -> Self {
        match Usual::of(segment) {
            Some(usual) => Self { usual, unusual: None },
            None => Self::of_unusual(segment),
        }
    }

    /// The same of a segment that has none in a usual layout.
    pub(crate) fn of_unusual(segment: &Segment<'_>) -> Self {
        Self::read_any(segment.options, segment.options_cut)
    }

    /// The options of the segment that they were read of.
    #[inline]
    pub fn options<'a>(&'a self, segment: &Segment<'a>) -> Options<'a> {
        Options::new(segment, &self.usual, self.unusual.as_ref())
    }

    /// Whether the payload is covered by a checksum that stands here.
    pub fn has_checksum(&self) -> bool {
        let capable = || self.unusual.and_then(|unusual| unusual.capable);
        self.usual.has_checksum() || capable().is_some_and(|capable| capable.checksum.is_some())
    }

    #[inline(never)]
    fn read_any(bytes: &[u8], cut: bool) -> Self {
        let (mut usual, mut unusual) = (Usual::default(), Unusual::default());
        let mut nops = 0u8;
        let mut kinds = 0;
        let mut walk = walk(bytes, cut);
        while let Some(item) = walk.next() {
            if item.kind > kind::NO_OPERATION
                && let Some(slot) = unusual.kinds.get_mut(kinds)
            {
                *slot = item.kind;
                kinds += 1;
            }
            match item.option {
                TcpOption::NoOperation => {
                    nops += 1;
                    usual.nop_run = usual.nop_run.max(nops);
                    continue;
                }
                TcpOption::EndOfList if walk.padding().iter().all(|&byte| byte == kind::END_OF_LIST) => {
                    usual.nop_run = usual.nop_run.max(nops + 1 + walk.padding().len() as u8);
                }
                TcpOption::Timestamps { value, echo_reply } => usual.timestamps = Some((value, echo_reply)),
                TcpOption::Mptcp(option) => note(option, &mut usual, &mut unusual),
                TcpOption::MaximumSegmentSize(mss) => unusual.mss = Some(mss),
                TcpOption::WindowScale(shift) => unusual.window_scale = Some(shift),
                TcpOption::SackPermitted => unusual.sack_permitted = true,
                TcpOption::Malformed(error) if item.kind == kind::MPTCP && !error.is_cut() => {
                    usual.mptcp = true;
                    unusual.broken = Some(error);
                }
                _ => {}
            }
            nops = 0;
        }
        Self { usual, unusual: Some(unusual) }
    }
}

#[inline]
fn note(option: MptcpOption<'_>, usual: &mut Usual, unusual: &mut Unusual) {
    usual.mptcp = true;
    match option {
        MptcpOption::Dss(dss) if usual.dss.is_none() => usual.dss = Some(dss),
        MptcpOption::MpCapable(capable) if unusual.capable.is_none() => unusual.capable = Some(capable),
        MptcpOption::MpJoin(join) if unusual.join.is_none() => unusual.join = Some(join),
        MptcpOption::Dss(_) | MptcpOption::MpCapable(_) | MptcpOption::MpJoin(_) => unusual.repeated = true,
        _ => unusual.control = true,
    }
}

impl Usual {
    /// Reads the options of a segment; `None` where they are laid out otherwise.
    #[inline(always)]
    pub fn of(segment: &Segment<'_>) -> Option<Self> {
        if segment.options_cut { None } else { Self::read(segment.options) }
    }

    /// Whether the payload is covered by a checksum that stands in the DSS.
    #[inline]
    pub fn has_checksum(&self) -> bool {
        self.dss.and_then(|dss| dss.mapping).is_some_and(|mapping| mapping.checksum.is_some())
    }

    /// What nearly all segments beyond the handshake have, laid out as Linux and most others do: two NOPs and timestamps,
    /// a DSS, NOPs up to the word. `None` where it is anything else.
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut timestamps = None;
        if let [kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10, tail @ ..] = rest {
            let (&[v0, v1, v2, v3, e0, e1, e2, e3], tail) = tail.split_first_chunk()?;
            timestamps = Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3])));
            rest = tail;
        }
        let (mut nops, mut read) = (0, None);
        if let &[kind::MPTCP, length, third, ..] = rest {
            let (option, tail) = rest.split_at_checked(usize::from(length))?;
            if third >> 4 != Subtype::DSS.0 || tail.iter().any(|&byte| byte != kind::NO_OPERATION) {
                return None;
            }
            let Ok(dss) = Dss::parse(option) else { return None };
            read = Some(dss);
            nops = tail.len() as u8;
        } else if !rest.is_empty() {
            return None;
        }
        let nop_run = if timestamps.is_some() { nops.max(2) } else { nops };
        Some(Self { mptcp: read.is_some(), nop_run, timestamps, dss: read })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::Header;

    /// Pieces of option areas: NOPs, timestamps, DSS of several lengths (right and wrong), other options, cut ones.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(vec![1]),
            Just(vec![1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9]),
            Just(vec![30, 8, 0x20, 1, 1, 2, 3, 4]),
            Just(vec![30, 9, 0x20, 1, 1, 2, 3, 4, 5]),
            Just([&[30, 20, 0x20, 5][..], &[7; 16]].concat()),
            Just(vec![30, 8, 0x20]),
            Just(vec![30, 4, 0x50, 1]),
            Just(vec![0]),
            proptest::collection::vec(any::<u8>(), 0..4),
        ]
    }

    proptest! {
        #[test]
        fn the_usual_layouts_read_as_the_walk_reads_them(parts in proptest::collection::vec(pieces(), 0..4)) {
            let bytes = parts.concat();
            let segment = Segment { header: &Header::NONE, options: &bytes, payload: &[] };
            let walked = Parsed::read_any(&bytes, false);
            if let Some(usual) = Usual::of(&segment) {
                prop_assert_eq!(Options::new(&segment, &usual, None).kinds(), walked.options(&segment).kinds());
                prop_assert_eq!(format!("{usual:?}"), format!("{:?}", walked.usual));
                // Kinds that the one notes, the other finds when asked; there is nothing else.
                let unusual = walked.unusual.map(|unusual| Unusual { kinds: Kinds::default(), ..unusual });
                prop_assert_eq!(format!("{unusual:?}"), format!("{:?}", Some(Unusual::default())));
            }
        }
    }
}

//! One walk over a segment's options: what the tracker needs of them, in place.

use super::Segment;
use crate::limits;
use crate::wire::{self, Dss, MpCapable, MpJoin, MptcpOption, Subtype, TcpOption, What, kind};

/// The options of one segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Any option of kind 30, even a broken one.
    pub mptcp: bool,
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// TSval and TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// MP_CAPABLE.
    pub capable: Option<MpCapable>,
    /// MP_JOIN.
    pub join: Option<MpJoin>,
    /// DSS.
    pub dss: Option<Dss>,
    /// There are other MPTCP options: [`Options::control`] walks over them.
    pub control: bool,
    bytes: &'a [u8],
    cut: bool,
    /// Longest run of NOPs; an end of list with the zeros behind it counts as such.
    pub nop_run: u8,
    /// A duplicate of a kind that may stand once (a second DSS, MP_CAPABLE or MP_JOIN).
    pub repeated: bool,
    /// An option of kind 30 without a length that the walk can use: less than 3, or more than the header has left.
    pub broken: Option<What>,
    /// Kinds in their order, where a walk noted them; 0 ends the list.
    kinds: Kinds,
}

/// Kinds of options in their order, padding left out; 0 ends the list.
pub type Kinds = [u8; limits::SYN_KINDS];

/// Options in one of the usual layouts, without the bytes: to be kept beside them.
#[derive(Clone, Copy, Debug)]
pub struct UsualOptions {
    timestamps: Option<(u32, u32)>,
    dss: Option<Dss>,
    nop_run: u8,
}

impl UsualOptions {
    /// Reads the options of a segment; `None` where they are laid out otherwise.
    #[inline]
    pub fn of(segment: &Segment<'_>) -> Option<Self> {
        let mut options = Options { bytes: segment.options, ..Options::default() };
        let usual = !segment.options_cut && options.read_usual();
        usual.then_some(Self { timestamps: options.timestamps, dss: options.dss, nop_run: options.nop_run })
    }

    /// The options with their bytes again.
    #[inline]
    pub fn with_bytes<'a>(&self, bytes: &'a [u8]) -> Options<'a> {
        let &Self { timestamps, dss, nop_run } = self;
        Options { bytes, mptcp: dss.is_some(), timestamps, dss, nop_run, ..Options::default() }
    }

    /// As [`Options::has_checksum`].
    #[inline]
    pub fn has_checksum(&self) -> bool {
        has_checksum(self.dss)
    }
}

impl<'a> Options<'a> {
    /// Reads the options of a segment.
    #[inline(always)]
    pub fn of(segment: &Segment<'a>) -> Self {
        let mut options = Self { bytes: segment.options, cut: segment.options_cut, ..Self::default() };
        if segment.options_cut || !options.read_usual() {
            options.read_any();
        }
        options
    }

    /// The same with other bytes: with none to be kept beside them, and then with them again.
    #[inline]
    pub fn with_bytes<'b>(&self, bytes: &'b [u8]) -> Options<'b> {
        Options { bytes, ..*self }
    }

    /// Whether the payload is covered by a checksum that stands here.
    pub fn has_checksum(&self) -> bool {
        has_checksum(self.dss) || self.capable.is_some_and(|capable| capable.checksum.is_some())
    }

    /// Kinds of options in their order, without padding.
    pub fn kinds(&self) -> Kinds {
        if self.kinds != Kinds::default() {
            return self.kinds;
        }
        let mut kinds = Kinds::default();
        for (slot, item) in kinds.iter_mut().zip(self.walk().filter(|item| item.kind > kind::NO_OPERATION)) {
            *slot = item.kind;
        }
        kinds
    }

    /// What nearly all segments beyond the handshake have, laid out as Linux and most others do: two NOPs and timestamps,
    /// a DSS, NOPs up to the word. False, and nothing read, where it is anything else.
    #[inline(always)]
    fn read_usual(&mut self) -> bool {
        let mut rest = self.bytes;
        let mut timestamps = None;
        if let [kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10, tail @ ..] = rest {
            let Some((&[v0, v1, v2, v3, e0, e1, e2, e3], tail)) = tail.split_first_chunk() else { return false };
            timestamps = Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3])));
            rest = tail;
        }
        let mut nops = 0;
        if let &[kind::MPTCP, length, third, ..] = rest {
            let Some((option, tail)) = rest.split_at_checked(usize::from(length)) else { return false };
            if third >> 4 != Subtype::DSS.0 || tail.iter().any(|&byte| byte != kind::NO_OPERATION) {
                return false;
            }
            let Ok(dss) = Dss::parse(option) else { return false };
            self.dss = Some(dss);
            self.mptcp = true;
            nops = tail.len() as u8;
        } else if !rest.is_empty() {
            return false;
        }
        self.timestamps = timestamps;
        self.nop_run = if timestamps.is_some() { nops.max(2) } else { nops };
        true
    }

    #[inline(never)]
    fn read_any(&mut self) {
        let mut nops = 0u8;
        let mut kinds = 0;
        let mut walk = self.walk();
        while let Some(item) = walk.next() {
            if item.kind > kind::NO_OPERATION
                && let Some(slot) = self.kinds.get_mut(kinds)
            {
                *slot = item.kind;
                kinds += 1;
            }
            match item.option {
                TcpOption::NoOperation => {
                    nops += 1;
                    self.nop_run = self.nop_run.max(nops);
                    continue;
                }
                TcpOption::EndOfList if walk.padding().iter().all(|&byte| byte == kind::END_OF_LIST) => {
                    self.nop_run = self.nop_run.max(nops + 1 + walk.padding().len() as u8);
                }
                TcpOption::Timestamps { value, echo_reply } => self.timestamps = Some((value, echo_reply)),
                TcpOption::Mptcp(option) => self.mptcp(option),
                TcpOption::MaximumSegmentSize(mss) => self.mss = Some(mss),
                TcpOption::WindowScale(shift) => self.window_scale = Some(shift),
                TcpOption::SackPermitted => self.sack_permitted = true,
                TcpOption::Malformed(error) if item.kind == kind::MPTCP && !error.is_cut() => {
                    self.mptcp = true;
                    self.broken = Some(error.what);
                }
                _ => {}
            }
            nops = 0;
        }
    }

    #[inline]
    fn mptcp(&mut self, option: MptcpOption<'a>) {
        self.mptcp = true;
        match option {
            MptcpOption::Dss(dss) if self.dss.is_none() => self.dss = Some(dss),
            MptcpOption::MpCapable(capable) if self.capable.is_none() => self.capable = Some(capable),
            MptcpOption::MpJoin(join) if self.join.is_none() => self.join = Some(join),
            MptcpOption::Dss(_) | MptcpOption::MpCapable(_) | MptcpOption::MpJoin(_) => self.repeated = true,
            _ => self.control = true,
        }
    }

    /// The other MPTCP options in order, malformed and unknown ones included.
    pub fn control(&self) -> impl Iterator<Item = MptcpOption<'a>> {
        let walk = if self.control { self.walk() } else { wire::options(&[]) };
        walk.filter_map(|item| match item.option {
            TcpOption::Mptcp(MptcpOption::Dss(_) | MptcpOption::MpCapable(_) | MptcpOption::MpJoin(_)) => None,
            TcpOption::Mptcp(option) => Some(option),
            _ => None,
        })
    }

    #[inline]
    fn walk(&self) -> wire::TcpOptions<'a> {
        if self.cut { wire::options_cut(self.bytes) } else { wire::options(self.bytes) }
    }
}

#[inline]
fn has_checksum(dss: Option<Dss>) -> bool {
    dss.and_then(|dss| dss.mapping).is_some_and(|mapping| mapping.checksum.is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let empty = Options { bytes: &bytes, ..Options::default() };
            let (mut usual, mut walked) = (empty, empty);
            walked.read_any();
            if usual.read_usual() {
                prop_assert_eq!(usual.kinds(), walked.kinds());
                // Kinds that the one notes, the other finds when asked.
                walked.kinds = Kinds::default();
                prop_assert_eq!(format!("{:?}", usual), format!("{:?}", walked));
            } else {
                prop_assert_eq!(format!("{:?}", usual), format!("{:?}", empty));
            }
        }
    }
}

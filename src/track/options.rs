//! One walk over a segment's options: what the tracker needs of them, in place.

use crate::packet::Segment;
use crate::wire::{self, Dss, MpCapable, MpJoin, MptcpOption, TcpOption};

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
    /// Longest run of NOPs.
    pub nop_run: u8,
    /// A duplicate of a kind that may stand once (a second DSS, MP_CAPABLE or MP_JOIN).
    pub repeated: bool,
    /// The walk stopped at something broken.
    pub broken: bool,
}

impl<'a> Options<'a> {
    /// Reads the options of a segment.
    #[inline(always)]
    pub fn of(segment: &Segment<'a>) -> Self {
        let mut options = Self { bytes: segment.options, cut: segment.options_cut, ..Self::default() };
        let mut nops = 0u8;
        for item in options.walk() {
            match item.option {
                TcpOption::NoOperation => {
                    nops += 1;
                    options.nop_run = options.nop_run.max(nops);
                    continue;
                }
                TcpOption::Timestamps { value, echo_reply } => options.timestamps = Some((value, echo_reply)),
                TcpOption::Mptcp(option) => options.mptcp(option),
                TcpOption::MaximumSegmentSize(mss) => options.mss = Some(mss),
                TcpOption::WindowScale(shift) => options.window_scale = Some(shift),
                TcpOption::SackPermitted => options.sack_permitted = true,
                TcpOption::Malformed(_) => options.broken = true,
                _ => {}
            }
            nops = 0;
        }
        options
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

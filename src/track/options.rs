//! One walk over a segment's options: what the tracker needs of them, in place.

use crate::packet::Segment;
use crate::wire::{self, Dss, MpCapable, MpJoin, MptcpOption, TcpOption};

/// MPTCP options besides MP_CAPABLE, MP_JOIN and DSS in one segment: forty option bytes hold thirteen of the shortest.
const CONTROL: usize = 6;

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
    /// Other MPTCP options, malformed and unknown ones included.
    pub control: [Option<MptcpOption<'a>>; CONTROL],
    /// Longest run of NOPs.
    pub nop_run: u8,
    /// A duplicate of a kind that may stand once (a second DSS, MP_CAPABLE or MP_JOIN).
    pub repeated: bool,
    /// The walk stopped at something broken.
    pub broken: bool,
}

impl<'a> Options<'a> {
    /// Reads the options of a segment.
    #[inline]
    pub fn of(segment: &Segment<'a>) -> Self {
        let mut options = Self::default();
        let walk =
            if segment.options_cut { wire::options_cut(segment.options) } else { wire::options(segment.options) };
        let mut nops = 0u8;
        for item in walk {
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
            other => {
                if let Some(slot) = self.control.iter_mut().find(|slot| slot.is_none()) {
                    *slot = Some(other);
                }
            }
        }
    }

    /// Other MPTCP options in order.
    pub fn control(&self) -> impl Iterator<Item = MptcpOption<'a>> {
        self.control.into_iter().map_while(|option| option)
    }
}

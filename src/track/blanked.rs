//! SYNs and SYN/ACKs of TCP flows whose MPTCP option a device seems to have overwritten before they came here (RFC 8684 §3.7).

use std::net::IpAddr;

use super::mark::Mark;
use crate::limits;
use crate::packet::Segment;
use crate::packet::options::Options;
use crate::wire::kind;

/// NOPs that align other options, at most: a blanked option has them beside it.
const ALIGNMENT: u8 = 3;

/// SYNs and SYN/ACKs without MPTCP that hold a run of padding as long as the option of MPTCP that belongs there.
#[derive(Clone, Debug, Default)]
pub struct Blanked {
    /// The first.
    pub first: Option<BlankedSyn>,
    /// Frames of the first few.
    pub frames: Vec<Mark>,
    /// How many.
    pub count: u64,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct BlankedSyn {
    /// Its sender.
    pub source: (IpAddr, u16),
    /// Its receiver.
    pub destination: (IpAddr, u16),
    /// It is a SYN/ACK.
    pub is_ack: bool,
    /// NOPs, or the end of list with its zeros.
    pub run: u8,
    /// The options that have this length.
    pub options: &'static str,
}

impl Blanked {
    /// Takes a look at a SYN or SYN/ACK of a flow without MPTCP.
    #[cold]
    pub(super) fn note(&mut self, segment: &Segment<'_>, options: &Options<'_>, frame: Mark) {
        let is_ack = segment.flags.ack();
        let Some(missing) = overwritten(options, is_ack).filter(|_| !segment.options_cut) else { return };
        self.count += 1;
        if self.frames.len() < limits::EVIDENCE_FRAMES {
            self.frames.push(frame);
        }
        self.first.get_or_insert_with(|| BlankedSyn {
            source: (segment.ip.source(), segment.source_port),
            destination: (segment.ip.destination(), segment.destination_port),
            is_ack,
            run: options.nop_run,
            options: missing,
        });
    }
}

/// The MPTCP options that the longest run of padding may have been. The usual options, which devices clear as well, are all
/// there: none of them stood in its place.
fn overwritten(options: &Options<'_>, is_ack: bool) -> Option<&'static str> {
    let kinds = options.kinds();
    let usual = [kind::MAXIMUM_SEGMENT_SIZE, kind::WINDOW_SCALE, kind::SACK_PERMITTED, kind::TIMESTAMPS];
    if options.mptcp || !usual.iter().all(|kind| kinds.contains(kind)) {
        return None;
    }
    let is = |length: u8| (length..=length + ALIGNMENT).contains(&options.nop_run);
    match is_ack {
        false if is(4) => Some("MP_CAPABLE of version 1"),
        false if is(12) => Some("MP_CAPABLE of version 0 or MP_JOIN"),
        true if is(12) => Some("MP_CAPABLE"),
        true if is(16) => Some("MP_JOIN"),
        _ => None,
    }
}

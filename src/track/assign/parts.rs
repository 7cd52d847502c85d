//! Parts of one capture: files that were cut by size or time, given together. No packet is in two of them, unless they overlap:
//! then it is the same frame, at the same time. Captures of two places show the same packets, even where their clocks lie so
//! far apart that one seems to begin when the other is over.

use super::Arrival;
use crate::packet::TcpFlags;
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::track::tap::Part;
use crate::track::{Place, Tracker};

/// No SYN is sent again sooner (RFC 6298 §2, with Linux' minimum).
const RETRANSMISSION_NS: u64 = 200_000_000;

/// Another input that shows a flow: the place there of what the flow's lower endpoint sends.
pub(super) type Showing = (u16, Place);

impl Tracker {
    /// An input has shown its last frame.
    pub fn input_ended(&mut self, input: u16) {
        self.taps.sites.end(input);
    }

    /// The first segment of a flow at an input, where others show this flow: if it goes on where one of them stopped, both are
    /// parts of one capture, and from now on they are known to be. All others are captures of another place.
    #[cold]
    pub(super) fn find_part(&mut self, shown: &[Showing], arrival: &Arrival<'_, '_>) {
        let here = self.taps.sites.of(arrival.frame.id.input);
        let goes_on = |&(input, low): &Showing| {
            let there = self.taps.sites.of(input);
            let possible = there != here && !self.taps.sites.are_apart(there, here);
            let (how, likely) = self.goes_on(there, low, arrival).filter(|_| possible)?;
            Some(((likely, input < here, input), how, there))
        };
        let part = shown.iter().filter_map(goes_on).max();
        if let Some((_, how, there)) = part {
            let renamed = self.taps.unite(here, there, how);
            self.recent.rename(&renamed);
        }
        let here = part.map_or(here, |(.., there)| there);
        for there in shown.iter().map(|&(input, _)| input) {
            let there = self.taps.sites.of(there);
            if there != here {
                self.taps.sites.set_apart(there, here);
            }
        }
    }

    /// How a segment goes on where a site stopped, if it does, and whether its TTL speaks for that, too.
    fn goes_on(&self, site: u16, low: Place, arrival: &Arrival<'_, '_>) -> Option<(Part, bool)> {
        let &Arrival { segment, options, at, from_low, .. } = arrival;
        let place = low.turned(from_low);
        let record = self.connections.subflow(place)?;
        let likely = ttl_of(record, place.from, segment.flags) == Some(segment.ttl);
        let known = self.recent.holds(place.number(), segment, options);
        if known && likely && at.time.is_known() && record.last.time == at.time {
            return Some((Part::Overlapping, likely));
        }
        // Without identification, RSTs look alike, and so do SYNs that are sent again.
        let again = segment.flags.syn() && at.time.since(record.last.time) >= RETRANSMISSION_NS;
        let repeated = known && (segment.ip_id != 0 || !(segment.flags.rst() || again));
        let follows = !repeated && self.taps.sites.is_over(site) && is_news(record, place.from, arrival);
        follows.then_some((Part::Following, likely))
    }
}

/// The TTL of such segments of a side, as far as they were seen.
fn ttl_of(record: &Subflow, from: Side, flags: TcpFlags) -> Option<u8> {
    if flags.syn() {
        return record.syn_seen(flags).map(|seen| seen.ttl);
    }
    Some(record.halves[from].ttl).filter(|&ttl| ttl != 0)
}

/// Whether a segment is none of those that were sent before the last of what was seen: it repeats no part of a handshake that is
/// complete, is not wholly acknowledged, and does not acknowledge less than its sender did. One byte less is a keepalive's.
fn is_news(record: &Subflow, from: Side, arrival: &Arrival<'_, '_>) -> bool {
    let segment = arrival.segment;
    if segment.flags.syn() {
        // Where a flow is known whose SYN is not, this one is of another flow, or older.
        let (known, over, unknown) = if segment.flags.ack() {
            (&record.syn_ack, record.third_ack.is_some(), record.third_ack.is_none())
        } else {
            (&record.syn, record.syn_ack.is_some(), record.is_closed())
        };
        return known.as_ref().map_or(unknown, |known| known.seq != segment.seq || !over);
    }
    // Whoever has closed answers late segments with RSTs of whatever number these name.
    if segment.flags.rst() {
        return true;
    }
    let (sent, got) = (&record.halves[from], &record.halves[from.peer()]);
    let end = sent.unwrap(segment.seq) + u64::from(segment.payload_len) + 1;
    let is_open = sent.acked().is_none_or(|acked| end >= acked);
    is_open && (!segment.flags.ack() || got.acked().is_none_or(|acked| got.unwrap(segment.ack) >= acked))
}

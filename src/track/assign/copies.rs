//! Copies that look unlike their originals: a device that the capture shows both sides of may cut segments anew.

use super::Arrival;
use crate::track::flow::{COPIED, FlowId};
use crate::track::half::Half;
use crate::track::tap;
use crate::track::{Place, Tracker};

/// The least time after which a SYN or SYN/ACK is sent again: no stack's first timeout is shorter (RFC 6298 §2), and no copy comes
/// so late.
const SYN_TIMER_NS: u64 = 500_000_000;

impl Tracker {
    /// Whether a SYN or SYN/ACK without identification, which looks like all others of its handshake, is sent again: what another
    /// place of the same capture shows of one that was seen at `original` follows it at once.
    #[cold]
    pub(super) fn is_syn_sent_again(&self, place: Place, original: u16, arrival: &Arrival<'_, '_>) -> bool {
        let segment = arrival.segment;
        if !segment.flags.syn() || segment.ip_id != 0 {
            return false;
        }
        let Some(record) = self.connections.subflow(place) else { return false };
        let one_clock = self.taps.at_one_site(self.taps.input(tap::tap_of(original)), arrival.frame.id.input);
        one_clock
            && record
                .syn_seen(segment.flags)
                .is_some_and(|seen| arrival.at.time.since(seen.last().time) >= SYN_TIMER_NS)
    }

    /// Takes note of a copy in its flow.
    #[cold]
    pub(super) fn note_copy(&mut self, id: FlowId, place: Place, original: u16, arrival: &Arrival<'_, '_>) {
        if self.note_original(place, original, arrival)
            && let Some(flow) = self.flows.get_mut(id)
        {
            flow.directions |= COPIED;
        }
    }

    /// Takes note of where the original of a copy was seen; true if that was elsewhere.
    pub(super) fn note_original(&mut self, place: Place, original: u16, arrival: &Arrival<'_, '_>) -> bool {
        let here = tap::place(arrival.segment, arrival.tap);
        let inputs = [original, here].map(|place| self.taps.input(tap::tap_of(place)));
        // Overlapping parts of one capture both show the original.
        let overlap = inputs[0] != inputs[1] && self.taps.at_one_site(inputs[0], inputs[1]);
        let elsewhere = original != here && !overlap;
        self.two_sides |= elsewhere && inputs[0] == inputs[1] && tap::tap_of(original) != arrival.tap;
        if elsewhere && let Some(half) = self.half_mut(place) {
            half.seldom.original_at = Some(original);
        }
        elsewhere
    }

    /// Whether a segment shows payload behind the place that shows it first: the sender did not send it again, it was cut
    /// into other segments between these places.
    pub(super) fn is_cut_anew(&self, place: Place, arrival: &Arrival<'_, '_>) -> bool {
        let segment = arrival.segment;
        let Some(record) = self.connections.subflow(place) else { return false };
        let half = &record.halves[place.from];
        let Some(original) = half.seldom.original_at else { return false };
        if segment.payload_len == 0 || segment.flags.syn() || segment.flags.rst() {
            return false;
        }
        let start = half.unwrap(segment.seq);
        original != tap::place(segment, arrival.tap) && half.seen.holds(start, start + u64::from(segment.payload_len))
    }

    fn half_mut(&mut self, place: Place) -> Option<&mut Half> {
        self.connections.subflow_mut(place).map(|record| &mut record.halves[place.from])
    }
}

//! RSTs that were captured before the SYN that they answer: an interface with several queues shows packets out of order by
//! microseconds.

use super::Arrival;
use crate::limits;
use crate::track::flow::FlowKey;
use crate::track::mark::Moment;
use crate::track::subflow::Reset;
use crate::track::{Place, Tracker};

/// More than queues put between two packets.
const OUT_OF_ORDER_NS: u64 = 1_000_000;

/// A RST that is the first segment of its flow.
#[derive(Clone, Copy)]
pub(crate) struct EarlyReset {
    key: FlowKey,
    from_low: bool,
    at: Moment,
    seq: u32,
    ack: u32,
    ttl: u8,
    options_cut: bool,
}

impl Tracker {
    /// Remembers a RST that is the first segment of its flow; of several the last.
    #[cold]
    pub(super) fn note_early_reset(&mut self, arrival: &Arrival<'_, '_>) {
        let segment = arrival.segment;
        if !segment.flags.ack() {
            return;
        }
        if self.early_resets.len() >= limits::EARLY_RESETS {
            self.early_resets.pop_front();
        }
        self.early_resets.push_back(EarlyReset {
            key: arrival.key,
            from_low: arrival.from_low,
            at: arrival.at,
            seq: segment.seq,
            ack: segment.ack,
            ttl: segment.ttl,
            options_cut: segment.options_cut,
        });
    }

    /// The RST that answers this SYN and was captured just before it.
    #[cold]
    pub(super) fn take_early_reset(&mut self, arrival: &Arrival<'_, '_>) -> Option<EarlyReset> {
        let answers = |early: &EarlyReset| {
            let (here, there) = (arrival.at, early.at);
            let one_input = here.frame.frame().input == there.frame.frame().input;
            let at_once = there.time.is_known() && here.time.since(there.time) < OUT_OF_ORDER_NS;
            let of_flow = early.key == arrival.key && early.from_low != arrival.from_low;
            of_flow && early.ack == arrival.segment.seq.wrapping_add(1) && one_input && at_once
        };
        let at = self.early_resets.iter().position(answers)?;
        self.early_resets.remove(at)
    }

    /// The SYN at this place was refused.
    #[cold]
    pub(super) fn refuse(&mut self, place: Place, early: EarlyReset) {
        let Some(record) = self.connections.subflow_mut(place) else { return };
        let by = place.from.peer();
        let half = &mut record.halves[by];
        half.segments += 1;
        half.next = half.unwrap(early.seq);
        record.seldom.reset = Some(Reset {
            by,
            at: early.at,
            seq: early.seq,
            reason: None,
            of_syn: true,
            with_ack: true,
            in_order: true,
            fastclose: false,
            fail: false,
            options_cut: early.options_cut,
            ttl: early.ttl,
            sent: half.next,
        });
        record.update_carries();
    }
}

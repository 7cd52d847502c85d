//! A 4-tuple that is used again where several inputs show it: what another input still shows of the connection before goes there,
//! until its own SYN of the next one comes. Clocks may lie so far apart that it is several connections behind.

use crate::limits;
use crate::track::flow::{FlowId, OtherTap};
use crate::track::{Place, Tracker};

/// What other inputs show of connections that had a 4-tuple before.
#[derive(Default)]
pub(super) struct Before {
    taps: Vec<OtherTap>,
    places: Vec<Place>,
}

impl Tracker {
    /// What is to be known of a flow once its 4-tuple is used again.
    pub(super) fn before(&mut self, id: FlowId) -> Before {
        let Some(flow) = self.flows.get_mut(id).filter(|_| self.config.compare.any()) else { return Before::default() };
        let low = flow.low;
        let more = flow.more.get_or_insert_default();
        let (taps, mut places) = (std::mem::take(&mut more.taps), std::mem::take(&mut more.earlier));
        places.push(low);
        if places.len() > limits::EARLIER_PLACES {
            places.remove(0);
        }
        Before { taps, places }
    }

    /// The next connection has the flow now.
    pub(super) fn remember(&mut self, id: FlowId, before: Before) {
        if let Some(flow) = self.flows.get_mut(id).filter(|_| !before.places.is_empty()) {
            let more = flow.more.get_or_insert_default();
            (more.taps, more.earlier) = (before.taps, before.places);
        }
    }

    /// Of the connections that have or had a flow, the place in that whose SYN has this sequence number; `low` where none has.
    pub(super) fn place_of_syn(&mut self, id: FlowId, low: Place, seq: u32) -> Place {
        let Some(more) = self.flows.get_mut(id).and_then(|flow| flow.more.as_ref()) else { return low };
        let earlier = more.earlier.clone();
        let mut all = std::iter::once(low).chain(earlier.into_iter().rev());
        let is_its_syn = |place: Place| self.connections.subflow(place)?.syn.as_ref().map(|syn| syn.seq == seq);
        all.find(|&place| is_its_syn(place) == Some(true)).unwrap_or(low)
    }
}

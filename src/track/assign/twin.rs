//! A connection that one input shows twice: a device that translates addresses was captured on both sides. Of a join the nonce
//! tells it at once; of a first subflow a key does, and the sequence numbers with it.

use super::Arrival;
use crate::limits;
use crate::packet::IpPair;
use crate::track::connection::Connection;
use crate::track::flow::FlowKey;
use crate::track::mark::Mark;
use crate::track::observer::{ConnectionId, Event, Observer, What};
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::track::{Place, Tracker};

impl Tracker {
    /// A key of `id` is one of another connection, too: where both show one handshake, the later becomes a further 4-tuple of
    /// the first. Gives the place of the segment that told it, if that is another now.
    #[cold]
    pub(in crate::track) fn unite_twins<O: Observer>(
        &mut self,
        id: ConnectionId,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Place> {
        let twin = self.twin_of(self.connection(id)?)?;
        let (first, second) = (id.min(twin), id.max(twin));
        let gone = self.connections.take(second)?;
        self.buffer += gone.kept_bytes();
        self.tokens.forget(&gone);
        self.streams.forget(&gone);
        let counts = &mut self.counts;
        // Each segment of a handshake that shows keys has its option.
        counts.tcp_segments = counts.tcp_segments.saturating_sub(gone.segments);
        counts.mptcp_segments = counts.mptcp_segments.saturating_sub(gone.segments);
        counts.duplicates += gone.segments;
        counts.tcp_connections = counts.tcp_connections.saturating_sub(1);
        counts.asked_for_mptcp = counts.asked_for_mptcp.saturating_sub(1);
        let state = self.connections.get_mut(first)?;
        if let Some(other) = gone.subflows.first() {
            let tuple = (other.ip, other.source_port, other.destination_port);
            state.note_alias(0, tuple, other.first.frame);
            self.two_sides = true;
            let (key, from_low) = FlowKey::new(tuple.0, tuple.1, tuple.2);
            let place = Place { connection: first, subflow: 0, from: other.initiator };
            if let Some(flow) = self.flows.find(key).and_then(|flow| self.flows.get_mut(flow)) {
                flow.low = place.turned(from_low);
            }
        }
        if let Some(absorbed) = gone.number() {
            let (number, at, what) = (state.number(), arrival.at, What::Absorbed(absorbed));
            observer.event(Event { connection: first, number, subflow: None, at, what });
        }
        if id == first {
            return None;
        }
        let flow = self.flows.find(arrival.key)?;
        self.flows.get_mut(flow).map(|flow| flow.low.turned(arrival.from_low))
    }

    /// Another connection with the same handshake.
    fn twin_of(&self, state: &Connection) -> Option<ConnectionId> {
        let tokens = Side::BOTH.into_iter().filter_map(|side| state.ends[side].token());
        let others = tokens.flat_map(|token| self.tokens.candidates(token)).map(|found| found.0);
        let mut others = others.filter(|&other| other != state.id);
        others.find(|&other| self.connection(other).is_some_and(|other| is_twin(state, other)))
    }
}

impl Connection {
    /// A subflow was seen under another 4-tuple, that of its initiator's packets, first in this frame.
    pub(super) fn note_alias(&mut self, subflow: u16, tuple: (IpPair, u16, u16), frame: Mark) {
        let Some(record) = self.subflows.get_mut(usize::from(subflow)) else { return };
        if record.seldom.also_seen_as.len() < limits::ALIASES {
            record.seldom.also_seen_as.push(tuple);
            record.seldom.also_seen_in.get_or_insert(frame);
        } else {
            self.seldom.left_out.tuples += 1;
        }
    }
}

/// Whether both show one handshake, and nothing else so far: no key, flag or initial sequence number differs.
fn is_twin(a: &Connection, b: &Connection) -> bool {
    let ([first], [second]) = (a.subflows.as_slice(), b.subflows.as_slice()) else { return false };
    let own = |state: &Connection| state.view_of.is_none() && !state.orphan;
    let key = |side: Side| match (a.key_of(side), b.key_of(side)) {
        (Some(a), Some(b)) => Some(a == b),
        _ => None,
    };
    let keys = Side::BOTH.map(key);
    let seq = |of: fn(&Subflow) -> Option<u32>| (of(first), of(second));
    let syn = seq(|subflow| subflow.syn.as_ref().map(|syn| syn.seq));
    let syn_ack = seq(|subflow| subflow.syn_ack.as_ref().map(|syn| syn.seq));
    own(a)
        && own(b)
        && a.input == b.input
        && keys.contains(&Some(true))
        && !keys.contains(&Some(false))
        && (syn.0.is_some() && syn.0 == syn.1)
        && syn_ack.0.zip(syn_ack.1).is_none_or(|(a, b)| a == b)
        && [first, second].into_iter().all(|subflow| subflow.third_ack.is_none() && !subflow.is_closed())
}

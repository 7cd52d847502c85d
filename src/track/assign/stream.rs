//! Which connection a subflow belongs to whose handshake was not captured: its DSNs and DATA_ACKs tell, where they are of 64
//! bits and lie where both streams of one connection are; or where one does, and an address is known, too.

use super::Arrival;
use crate::limits;
use crate::track::Tracker;
use crate::track::connection::Connection;
use crate::track::observer::{ConnectionId, Event, Observer, What};
use crate::track::side::Side;
use crate::track::subflow::{Join, Subflow};
use crate::wire::RawSequence;

impl Tracker {
    /// The place of a first segment without handshake in a connection that is known.
    pub(super) fn by_stream<O: Observer>(
        &mut self,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<(ConnectionId, u16, Side)> {
        let dss = arrival.options.dss.as_ref()?;
        let long = |sequence| if let RawSequence::Long(dsn) = sequence { Some(dsn) } else { None };
        let sent = dss.mapping.as_ref().filter(|mapping| mapping.len > 0).and_then(|mapping| long(mapping.dsn));
        let acked = dss.data_ack.and_then(long);
        if !self.streams.are_kept() {
            self.streams.keep(self.connections.iter_mut());
        }
        let by_sent = sent.into_iter().flat_map(|dsn| self.streams.candidates(dsn));
        let by_acked = acked.into_iter().flat_map(|dsn| self.streams.candidates(dsn)).map(|(id, of)| (id, of.peer()));
        let fits = |&(id, source): &(ConnectionId, Side)| {
            self.connection(id).is_some_and(|state| {
                let near = |side: Side, dsn: Option<u64>| dsn.is_none_or(|dsn| state.data[side].is_near(dsn));
                let enough = (sent.is_some() && acked.is_some()) || knows_an_end(state, source, arrival);
                !state.is_closed() && near(source, sent) && near(source.peer(), acked) && enough
            })
        };
        let (mut connection, source) = by_sent.chain(by_acked).find(fits)?;
        if let Some(view) = self.view_at(connection, arrival.frame.id.input) {
            connection = view;
        }
        let state = self.connections.get_mut(connection)?;
        if state.subflows.len() >= limits::SUBFLOWS {
            state.seldom.left_out.subflows += 1;
            return None;
        }
        let subflow = state.subflows.len() as u16;
        state.add_subflow(Subflow::new(arrival, source, Side::Client, Some(Join::default())));
        let (number, is_view) = (state.number(), state.view_of.is_some());
        self.connections.grow(connection, size_of::<Subflow>() + size_of::<Join>());
        if !is_view {
            let (at, what) = (arrival.at, What::SubflowOpened);
            observer.event(Event { connection, number, subflow: Some(subflow), at, what });
        }
        Some((connection, subflow, source))
    }
}

/// Whether an address of a segment that `source` sent is known to be that end's.
fn knows_an_end(state: &Connection, source: Side, arrival: &Arrival<'_, '_>) -> bool {
    let (from, to) = (arrival.segment.ip.source(), arrival.segment.ip.destination());
    state.subflows.iter().any(|known| known.address_of(source).0 == from || known.address_of(source.peer()).0 == to)
}

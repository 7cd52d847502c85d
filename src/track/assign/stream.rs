//! Which connection a subflow belongs to whose handshake was not captured: its DSNs and DATA_ACKs tell, where they are of 64
//! bits and lie where both streams of one connection are; or where one does, and an address is known, too.

use super::Arrival;
use super::join::uses;
use crate::limits;
use crate::packet::Segment;
use crate::track::connection::Connection;
use crate::track::mark::Moment;
use crate::track::observer::{ConnectionId, Event, Observer, What};
use crate::track::side::Side;
use crate::track::subflow::{Join, Subflow};
use crate::track::{Place, Tracker};
use crate::wire::{Dss, RawSequence};

impl Tracker {
    /// The place of a first segment without handshake in a connection that is known.
    pub(super) fn by_stream<O: Observer>(&mut self, arrival: &Arrival<'_, '_>, observer: &mut O) -> Option<Place> {
        self.keep_streams();
        let dss = arrival.options.dss.as_ref()?;
        let (mut connection, source) = self.connection_of(dss, arrival.segment, None)?;
        if let Some(view) = self.view_at(connection, arrival.frame.id.input) {
            connection = view;
        }
        let subflow = self.admit(connection, Subflow::new(arrival, source, Side::Client, Some(Join::default())))?;
        let state = self.connection(connection)?;
        let (number, is_view) = (state.number(), state.view_of.is_some());
        if !is_view {
            let (at, what) = (arrival.at, What::SubflowOpened);
            observer.event(Event { connection, number, subflow: Some(subflow), at, what });
        }
        Some(Place { connection, subflow, from: source })
    }

    /// From now on streams are kept: there is something that only they can place.
    #[cold]
    pub(super) fn keep_streams(&mut self) {
        if !self.streams.are_kept() {
            self.streams.keep(self.connections.iter_mut());
        }
    }

    /// The place of a segment of what may be part of a connection: a join whose token names none, or subflows without
    /// handshake that began as a connection of their own. Once its DSNs show whose it is, it moves there.
    #[cold]
    pub(in crate::track) fn by_later_stream<O: Observer>(
        &mut self,
        place: Place,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Place> {
        let &Arrival { segment, options, at, .. } = arrival;
        let dss = options.dss.as_ref()?;
        let part = self.connection(place.connection).filter(|state| state.view_of.is_none() && state.may_be_part())?;
        let number = part.number();
        let (connection, from) = self.connection_of(dss, segment, Some((part, place.from)))?;
        // Among themselves, orphans take the end that was joined for the server.
        let joined = if from == place.from { Side::Server } else { Side::Client };
        if number.is_some() && connection > place.connection {
            // The younger one goes.
            self.connection(connection).filter(|younger| younger.may_be_part() && younger.number().is_some())?;
            self.unite(connection, place.connection, joined, at, observer);
            return None;
        }
        self.move_part(place, (connection, joined), at, observer)
    }

    /// Makes what was kept apart a part of `connection`, which it joins at the end `joined`; gives the new place of a segment of
    /// it.
    pub(super) fn move_part<O: Observer>(
        &mut self,
        place: Place,
        (connection, joined): (ConnectionId, Side),
        at: Moment,
        observer: &mut O,
    ) -> Option<Place> {
        let part = self.connection(place.connection)?;
        let (input, token) = (part.input, part.ends.server.token_named);
        let from = if joined == Side::Server { place.from } else { place.from.peer() };
        let home = self.view_at(connection, input).unwrap_or(connection);
        let base = self.connection(home)?.subflows.len() as u16;
        self.unite(place.connection, home, joined, at, observer);
        self.connection(place.connection).is_none().then_some(())?;
        let state = self.connections.get_mut(connection)?;
        if let Some(token) = token {
            state.ends[joined].token_named.get_or_insert(token);
            self.tokens.insert(token, connection, joined);
        }
        let subflow = base + place.subflow;
        if home == connection {
            let (number, what) = (state.number(), What::SubflowOpened);
            observer.event(Event { connection, number, subflow: Some(subflow), at, what });
        }
        Some(Place { connection: home, subflow, from })
    }

    /// Makes a connection part of another, `into`, or of another's view; `joined` as for [`adopt`](Self::adopt).
    pub(in crate::track) fn unite<O: Observer>(
        &mut self,
        part: ConnectionId,
        into: ConnectionId,
        joined: Side,
        at: Moment,
        observer: &mut O,
    ) {
        let number = self.connection(part).and_then(Connection::number);
        self.adopt(part, into, joined);
        let (Some(absorbed), None) = (number, self.connection(part)) else { return };
        self.counts.tcp_connections = self.counts.tcp_connections.saturating_sub(1);
        let home = self.connection(into).and_then(|state| self.connection(state.view_of.unwrap_or(into)));
        if let Some(home) = home {
            let what = What::Absorbed(absorbed);
            observer.event(Event { connection: home.id, number: home.number(), subflow: None, at, what });
        }
    }

    /// The connection whose streams these numbers are of, and which end sent them. They are of `part`, sent by that side, if it is
    /// known already, and what it saw before counts, too. All of a connection may be closed when both numbers tell.
    fn connection_of(
        &self,
        dss: &Dss,
        segment: &Segment<'_>,
        part: Option<(&Connection, Side)>,
    ) -> Option<(ConnectionId, Side)> {
        let long = |sequence| if let RawSequence::Long(dsn) = sequence { Some(dsn) } else { None };
        let sent = dss.mapping.as_ref().filter(|mapping| mapping.len > 0).and_then(|mapping| long(mapping.dsn));
        let acked = dss.data_ack.and_then(long);
        let but = part.map(|part| part.0.id);
        let shown = sent.is_some() && acked.is_some();
        let seen = |of: fn(Side) -> Side| part.and_then(|(part, side)| part.data[of(side)].place());
        let (sent, acked) = (sent.or_else(|| seen(|side| side)), acked.or_else(|| seen(Side::peer)));
        let both = sent.is_some() && acked.is_some();
        let by_sent = sent.into_iter().flat_map(|dsn| self.streams.candidates(dsn));
        let by_acked = acked.into_iter().flat_map(|dsn| self.streams.candidates(dsn)).map(|(id, of)| (id, of.peer()));
        let fits = |&(id, source): &(ConnectionId, Side)| {
            self.connection(id).is_some_and(|state| {
                let near = |side: Side, dsn: Option<u64>| dsn.is_none_or(|dsn| state.data[side].is_near(dsn));
                let enough = || both || (!state.is_closed() && knows_an_end(state, source, segment));
                near(source, sent) && near(source.peer(), acked) && enough()
            })
        };
        let found = by_sent.chain(by_acked).filter(|found| Some(found.0) != but).find(fits);
        if found.is_some() || shown { found } else { self.by_short_numbers(dss, segment, but) }
    }

    /// The same by numbers of 32 bits, one of each stream, where an address is known, too: few connections, or few that
    /// began before the capture, can be told apart so.
    fn by_short_numbers(
        &self,
        dss: &Dss,
        segment: &Segment<'_>,
        but: Option<ConnectionId>,
    ) -> Option<(ConnectionId, Side)> {
        let sent = dss.mapping.as_ref().filter(|mapping| mapping.len > 0)?.dsn;
        let acked = dss.data_ack?;
        let fits = |&(id, source): &(ConnectionId, Side)| {
            self.connection(id).is_some_and(|state| {
                let close = |side: Side, sequence| state.data[side].is_close(sequence);
                let all = close(source, sent) && close(source.peer(), acked) && !state.is_closed();
                all && knows_an_end(state, source, segment)
            })
        };
        // Where there are many connections, those whose subflows may lack their handshake.
        let few = self.connections.alive() <= limits::EARLY;
        let all = self.connections.iter().take(if few { limits::EARLY } else { 0 });
        let all = all.filter(|state| state.view_of.is_none() && !state.orphan).map(|state| state.id);
        let early = if few { &[] } else { self.streams.few_early() };
        let candidates = all.chain(early.iter().copied()).filter(|&id| Some(id) != but);
        candidates.flat_map(|id| Side::BOTH.map(|source| (id, source))).find(fits)
    }
}

impl Connection {
    /// Whether it may turn out to be part of another: nothing of a handshake tells that it is one, and it is young.
    fn may_be_part(&self) -> bool {
        let nothing_shown = || self.subflows.iter().all(|subflow| !subflow.role_shown);
        self.orphan || (self.segments < limits::PART_SEGMENTS && nothing_shown())
    }
}

/// Whether an address of a segment that `source` sent is known to be that end's.
fn knows_an_end(state: &Connection, source: Side, segment: &Segment<'_>) -> bool {
    uses(state, source, segment.ip.source()) || uses(state, source.peer(), segment.ip.destination())
}

//! Which connection a join belongs to: its token names an end of one, its nonce tells it from others.

use std::net::IpAddr;

use super::Arrival;
use crate::crypto::{Nonce, Token};
use crate::track::connection::Connection;
use crate::track::observer::{ConnectionId, Event, Observer, What};
use crate::track::side::Side;
use crate::track::subflow::{Join, Subflow};
use crate::track::{Place, Tracker};

impl Tracker {
    /// A join's SYN: its token names the end being joined.
    pub(super) fn join<O: Observer>(
        &mut self,
        token: Token,
        nonce: Nonce,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Place> {
        let found = if self.is_shared(token) { self.known_join(token, nonce) } else { self.choose(token, arrival) };
        let (mut connection, joined) = match found {
            Some(found) => found,
            None => (self.open_orphan(token, arrival, observer)?, Side::Server),
        };
        connection = self.home_of_join(connection, arrival.frame.id.input)?;
        let source = if names_its_own(self.connection(connection)?, joined, arrival) { joined } else { joined.peer() };
        if let Some(subflow) = self.connections.get_mut(connection)?.with_nonce(token, nonce) {
            let place = Place { connection, subflow, from: source };
            return self.join_again(place, (token, nonce), arrival, observer);
        }
        let state = self.connections.get_mut(connection)?;
        let join = Join { token: Some(token), initiator_nonce: Some(nonce), ..Join::default() };
        let denied = state.denies_join_id0(source.peer()) == Some(true)
            && state.initial().is_some_and(|initial| {
                initial.address_of(source.peer())
                    == (arrival.segment.ip.destination(), arrival.segment.destination_port)
            });
        let (number, is_view) = (state.number(), state.view_of.is_some());
        let subflow = self.admit(connection, Subflow::new(arrival, source, source, Some(join)))?;
        if denied && let Some(state) = self.connections.get_mut(connection) {
            state.note_join_denied(subflow, source, arrival.at.frame);
        }
        if !is_view {
            let (at, what) = (arrival.at, What::SubflowOpened);
            observer.event(Event { connection, number, subflow: Some(subflow), at, what });
        }
        Some(Place { connection, subflow, from: source })
    }

    /// Where a new join belongs. One that only another input shows is the connection's all the same; where its own comes to show
    /// it, too, that takes it over. But a view of both directions will take the place of a connection of one.
    fn home_of_join(&self, connection: ConnectionId, input: u16) -> Option<ConnectionId> {
        let main = self.connection(connection)?.view_of.unwrap_or(connection);
        let view =
            self.view_at(main, input).filter(|_| !self.connection(main).is_some_and(Connection::shows_both_ends));
        Some(view.unwrap_or(main))
    }

    /// A join that is known, under another 4-tuple or at another tap.
    fn join_again<O: Observer>(
        &mut self,
        place: Place,
        (token, nonce): (Token, Nonce),
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Place> {
        let Place { connection, subflow, from } = place;
        let input = arrival.frame.id.input;
        let first = self.connection(connection)?.subflows.get(usize::from(subflow))?.interface.0;
        let shown_here = self.taps.at_one_site(first, input);
        let views = self.connections.views_of(connection).filter(|view| self.taps.at_one_site(view.input, input));
        let views: Vec<ConnectionId> = views.map(|view| view.id).collect();
        let mut in_views = views
            .into_iter()
            .filter_map(|view| Some((view, self.connections.get_mut(view)?.with_nonce(token, nonce)?)));
        let in_view = in_views.next();
        if let Some((alias_of, subflow)) = if shown_here { Some((connection, subflow)) } else { in_view } {
            // A NAT lies between two taps of one input.
            let alias = (arrival.segment.ip, arrival.segment.source_port, arrival.segment.destination_port);
            self.connections.get_mut(alias_of)?.note_alias(subflow, alias, arrival.at.frame);
            self.two_sides = true;
            return Some(Place { connection: alias_of, subflow, from });
        }
        if self.may_take_over(place, input) {
            self.take_over(place, arrival, observer)?;
            return Some(place);
        }
        self.open_view(place, arrival, observer)
    }

    /// The connection that a token names: a live one before a closed one, one with a known address before another, the
    /// latest before the rest.
    fn choose(&self, token: Token, arrival: &Arrival<'_, '_>) -> Option<(ConnectionId, Side)> {
        let ends = (arrival.segment.ip.source(), arrival.segment.ip.destination());
        let mut all = self.tokens.candidates(token);
        let (first, second) = (all.next()?, all.next());
        if second.is_none() && self.connection(first.0).is_some() {
            return Some(first);
        }
        fittest(self.tokens.candidates(token).filter_map(|(id, joined)| Some((self.connection(id)?, joined))), ends)
    }

    /// A join whose connection is not in the capture: joins with the same token are grouped.
    fn open_orphan<O: Observer>(
        &mut self,
        token: Token,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<ConnectionId> {
        self.keep_streams();
        let id = self.open_connection(arrival.at, observer)?;
        self.connections.get_mut(id)?.orphan = true;
        self.name_orphan(id, token);
        Some(id)
    }

    /// An orphan's token is known: joins that name it are put beside it, and a connection that has it takes them.
    fn name_orphan(&mut self, id: ConnectionId, token: Token) {
        let Some(state) = self.connections.get_mut(id) else { return };
        state.ends.server.token_named = Some(token);
        self.tokens.insert(token, id, Side::Server);
        self.tokens.orphans += 1;
    }

    /// The SYN of a join comes behind its SYN/ACK, which had no token and was put apart: now the token says whose both are.
    #[cold]
    pub(super) fn late_join_syn(
        &mut self,
        Place { connection: orphan, subflow, .. }: Place,
        (token, nonce): (Token, Nonce),
        arrival: &Arrival<'_, '_>,
    ) {
        let Some(state) = self.connections.get_mut(orphan) else { return };
        let input = state.input;
        if let Some(join) = state.subflows.get_mut(usize::from(subflow)).and_then(|subflow| subflow.join.as_mut()) {
            join.token.get_or_insert(token);
            join.initiator_nonce.get_or_insert(nonce);
        }
        let Some(join) = state.subflows.get(usize::from(subflow)).and_then(|subflow| subflow.join.as_deref()) else {
            return;
        };
        let join = join.clone();
        let found = if self.is_shared(token) { self.proven_owner(token, &join) } else { self.choose(token, arrival) };
        let found = found.filter(|found| found.0 != orphan);
        let Some((connection, joined)) = found else { return self.name_orphan(orphan, token) };
        // A join that is known under another 4-tuple was counted there.
        if self.connections.get_mut(connection).is_none_or(|state| state.with_nonce(token, nonce).is_some()) {
            return;
        }
        self.adopt(orphan, self.view_at(connection, input).unwrap_or(connection), joined);
    }

    /// A join's SYN/ACK or ACK without its SYN: no token says whose it is.
    pub(super) fn unknown_join<O: Observer>(
        &mut self,
        source: Side,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Place> {
        self.keep_streams();
        let id = self.open_connection(arrival.at, observer)?;
        let state = self.connections.get_mut(id)?;
        state.orphan = true;
        state.add_subflow(Subflow::new(arrival, source, Side::Client, Some(Join::default())));
        let (at, what) = (arrival.at, What::SubflowOpened);
        observer.event(Event { connection: id, number: None, subflow: Some(0), at, what });
        Some(Place { connection: id, subflow: 0, from: source })
    }
}

/// Whoever joins names the token of the other end. One that names its own, which is `named`, goes to the other end all the same.
fn names_its_own(state: &Connection, named: Side, arrival: &Arrival<'_, '_>) -> bool {
    state.initial().is_some_and(|initial| {
        let is = |side: Side| initial.address_of(side).0 == arrival.segment.ip.destination();
        is(named.peer()) && !is(named)
    })
}

/// The connection that a join between these addresses, the joiner's first, fits best: the first of those that fit alike.
pub(super) fn fittest<'c>(
    candidates: impl Iterator<Item = (&'c Connection, Side)>,
    (source, destination): (IpAddr, IpAddr),
) -> Option<(ConnectionId, Side)> {
    let mut best = None;
    for (state, joined) in candidates {
        let affinity = u8::from(knows(state, joined, destination)) + u8::from(knows(state, joined.peer(), source));
        let whole = state.shows_both_ends();
        let rank = (state.view_of.is_none(), !state.orphan, !state.is_closed(), affinity, whole);
        if best.is_none_or(|(best, _)| rank > best) {
            best = Some((rank, (state.id, joined)));
        }
    }
    best.map(|(_, found)| found)
}

/// Whether that end has this address on a subflow.
pub(super) fn uses(state: &Connection, side: Side, address: IpAddr) -> bool {
    state.subflows.iter().any(|subflow| subflow.address_of(side).0 == address)
}

/// Whether an address is known to be that end's: of a subflow, or announced.
fn knows(state: &Connection, side: Side, address: IpAddr) -> bool {
    uses(state, side, address) || state.addresses.iter().any(|known| known.by == side && known.address == address)
}

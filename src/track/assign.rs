//! Which connection a segment belongs to: by its 4-tuple, by the token of a join, and by the tap it was captured at.

use super::connection::Connection;
use super::expire::Left;
use super::flow::{Flow, FlowId, FlowKey, OtherTap, PLAIN, RECENT};
use super::keys::{Dialect, KeySource};
use super::mark::Moment;
use super::observer::{ConnectionId, Event, Observer, Silent, What};
use super::options::Options;
use super::side::{PerSide, Side};
use super::sparse::Sparse;
use super::subflow::{Join, Subflow};
use super::{Assigned, Place, Tracker};
use crate::crypto::{Nonce, Token};
use crate::frame::Frame;
use crate::limits;
use crate::packet::Segment;
use crate::wire::MpJoin;

/// Silence after which a new SYN takes over a 4-tuple at once: two minutes, as long as TIME-WAIT lasts (RFC 9293 §3.6.1).
const STALE_NS: u64 = 120_000_000_000;

/// What assigning a segment works with.
struct Arrival<'s, 'p> {
    frame: &'s Frame<'p>,
    segment: &'s Segment<'p>,
    options: &'s Options<'p>,
    at: Moment,
    tap: u16,
    from_low: bool,
}

impl Tracker {
    #[inline]
    pub(super) fn assign<O: Observer>(
        &mut self,
        frame: &Frame<'_>,
        segment: &Segment<'_>,
        options: &Options<'_>,
        at: Moment,
        tap: u16,
        observer: &mut O,
    ) -> Assigned {
        let (key, from_low) = FlowKey::of(segment);
        let arrival = Arrival { frame, segment, options, at, tap, from_low };
        let Some(id) = self.flows.find(key) else { return self.new_flow(key, &arrival, observer) };
        let Some(flow) = self.flows.get_mut(id) else { return Assigned::Plain };
        let direction = if from_low { 1 } else { 2 };
        if flow.tap == tap {
            flow.directions |= direction | RECENT;
        } else if let Some(elsewhere) = self.at_other_tap(id, &arrival, observer) {
            return elsewhere;
        }
        let Some(flow) = self.flows.get_mut(id) else { return Assigned::Plain };
        if flow.connection == PLAIN {
            return self.plain_flow(key, id, &arrival, observer);
        }
        let (connection, subflow, side) = (flow.connection, flow.subflow, flow.sender(from_low));
        let owner = owner(connection, subflow, side);
        if flow.is_view {
            return self.feed_view(connection, subflow, side, &arrival);
        }
        let eventful = flow.more.is_some() || (segment.flags.syn() && !segment.flags.ack());
        if self.recent.is_copy(owner, segment, options.timestamps, tap) {
            self.note_interface(connection, subflow, frame);
            return Assigned::Copy(Some(Place { connection, subflow, from: side }));
        }
        if eventful {
            return self.eventful(key, id, &arrival, observer);
        }
        Assigned::To(Place { connection, subflow, from: side })
    }

    /// A SYN, or a flow whose 4-tuple was taken over lately.
    #[cold]
    fn eventful<O: Observer>(
        &mut self,
        key: FlowKey,
        id: FlowId,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Assigned {
        let Some(flow) = self.flows.get_mut(id) else { return Assigned::Plain };
        let (connection, subflow, side) = (flow.connection, flow.subflow, flow.sender(arrival.from_low));
        let previous = flow.more.as_ref().and_then(|more| more.previous);
        let current = Assigned::To(Place { connection, subflow, from: side });
        let Some(state) = self.connections.get(connection) else {
            return if arrival.segment.flags.syn() { self.new_flow(key, arrival, observer) } else { current };
        };
        let Some(record) = state.subflows.get(usize::from(subflow)) else { return current };
        if arrival.segment.flags.syn() && !arrival.segment.flags.ack() {
            let same = record.syn.as_ref().is_some_and(|syn| syn.seq == arrival.segment.seq)
                || record.halves[side].syn.is_some_and(|syn| syn as u32 == arrival.segment.seq);
            let simultaneous = side != record.initiator && record.syn_ack.is_none() && record.syn.is_some();
            if same || simultaneous {
                return current;
            }
            let alive =
                !record.is_closed() && arrival.at.time.since(record.last.time) < STALE_NS && record.syn_ack.is_some();
            let old = (connection, subflow, flow_side(side, arrival.from_low));
            let assigned = self.new_flow(key, arrival, observer);
            if alive && let Some(flow) = self.flows.get_mut(id) {
                flow.more.get_or_insert_default().previous = Some(old);
            }
            return assigned;
        }
        let Some((old_connection, old_subflow, old_low)) = previous else { return current };
        if record.syn_ack.is_some() {
            if let Some(more) = self.flows.get_mut(id).and_then(|flow| flow.more.as_mut()) {
                more.previous = None;
            }
            return current;
        }
        let syn = record.syn.as_ref().map_or(0, |syn| syn.seq);
        let fits_new = if side == record.initiator {
            arrival.segment.seq.wrapping_sub(syn) <= 1 + arrival.segment.payload_len
        } else {
            arrival.segment.flags.ack() && arrival.segment.ack == syn.wrapping_add(1)
        };
        if fits_new {
            return current;
        }
        let from = if arrival.from_low { old_low } else { old_low.peer() };
        Assigned::To(Place { connection: old_connection, subflow: old_subflow, from })
    }

    /// A flow's segment at a tap that is not its first. `None` lets it count as if it were.
    #[cold]
    fn at_other_tap<O: Observer>(
        &mut self,
        id: FlowId,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Assigned> {
        let direction = if arrival.from_low { 1 } else { 2 };
        let flow = self.flows.get_mut(id)?;
        let (connection, primary_directions, first_tap) = (flow.connection, flow.directions, flow.tap);
        let low_side = flow.low_side;
        let subflow = flow.subflow;
        if self.taps.input(first_tap) == arrival.frame.id.input || connection == PLAIN {
            return None;
        }
        let flow = self.flows.get_mut(id)?;
        let more = flow.more.get_or_insert_default();
        // Interfaces of one input show one view: what one of them repeats is a copy within it.
        let input = arrival.frame.id.input;
        let index = match more.taps.iter().position(|other| other.input == input) {
            Some(index) => index,
            None if more.taps.len() < limits::VIEWS => {
                more.taps.push(OtherTap { input, directions: 0, view: None });
                more.taps.len() - 1
            }
            None => return Some(Assigned::Copy(None)),
        };
        let other = more.taps.get_mut(index)?;
        other.directions |= direction;
        let view = other.view;
        if view.is_none() && primary_directions & direction == 0 {
            return None;
        }
        let new_syn = arrival.segment.flags.syn() && !arrival.segment.flags.ack();
        let fits = view.filter(|view| !new_syn || self.holds_syn(view.0, view.1, arrival.segment.seq));
        let (view, view_subflow, low) = match fits {
            Some(view) => view,
            None => match self.open_view(connection, subflow, low_side, arrival, observer) {
                Some(view) => view,
                // Beyond a limit: what other taps show is no part of this one's view.
                None => return Some(Assigned::Copy(None)),
            },
        };
        if let Some(other) =
            self.flows.get_mut(id).and_then(|flow| flow.more.as_mut()).and_then(|more| more.taps.get_mut(index))
        {
            other.view = Some((view, view_subflow, low));
        }
        let from = if arrival.from_low { low } else { low.peer() };
        Some(self.feed_view(view, view_subflow, from, arrival))
    }

    /// Hands a segment to another tap's view of a connection, which no observer hears of. The place told is that in the
    /// connection itself.
    fn feed_view(&mut self, view: ConnectionId, subflow: u16, from: Side, arrival: &Arrival<'_, '_>) -> Assigned {
        let owner = owner(view, subflow, from);
        let place = self.place_in_main(view, subflow, from);
        if self.recent.is_copy(owner, arrival.segment, arrival.options.timestamps, arrival.tap) {
            return Assigned::Copy(place);
        }
        self.feed(view, subflow, from, arrival.segment, arrival.options, arrival.at, &mut Silent);
        place.map_or(Assigned::Copy(None), Assigned::View)
    }

    /// Where a view's subflow is in the connection that it shows: the initial one first, a join where its nonce is.
    fn place_in_main(&self, view: ConnectionId, subflow: u16, from: Side) -> Option<Place> {
        let state = self.connection(view)?;
        let connection = state.view_of?;
        let shown = state.subflows.get(usize::from(subflow))?;
        let main = self.connection(connection)?;
        let nonce = |record: &Subflow| record.join.as_ref().and_then(|join| join.initiator_nonce);
        let same = |record: &Subflow| record.join.is_some() == shown.join.is_some() && nonce(record) == nonce(shown);
        let subflow = main.subflows.iter().position(same).unwrap_or(0) as u16;
        Some(Place { connection, subflow, from })
    }

    fn holds_syn(&self, connection: ConnectionId, subflow: u16, seq: u32) -> bool {
        let record = self.connection(connection).and_then(|state| state.subflows.get(usize::from(subflow)));
        record.is_some_and(|record| record.syn.as_ref().is_none_or(|syn| syn.seq == seq))
    }

    /// Finds or makes the view of a connection at another input, and in it the subflow.
    fn open_view<O: Observer>(
        &mut self,
        of: ConnectionId,
        of_subflow: u16,
        low_side: Side,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<(ConnectionId, u16, Side)> {
        let main = self.connection(of)?;
        let of = main.view_of.unwrap_or(of);
        let template = main.subflows.get(usize::from(of_subflow))?.clone_identity(arrival);
        let (dialect, ends) = (main.dialect, main.ends.clone());
        let is_join = template.join.is_some();
        let holds = |view: &Connection| view.subflows.iter().any(|known| known.same_tuple(&template));
        let input = arrival.frame.id.input;
        let here = self.connections.views_of(of).find(|view| !holds(view) && view.input == input);
        // A host's second interface may be an input of its own: its joins belong to the view of the first.
        let open = |view: &&Connection| !holds(view) && (is_join || view.subflows.is_empty());
        let other = || self.connections.views_of(of).find(open);
        let found = here.or_else(other).map(|view| view.id);
        let id = if let Some(id) = found {
            id
        } else {
            if self.connections.views_of(of).count() >= limits::VIEWS {
                return None;
            }
            let id = self.open_connection(arrival, observer)?;
            let view = self.connections.get_mut(id)?;
            view.view_of = Some(of);
            if is_join {
                // The other end's initial subflow is not in this input: its keys are those of the connection.
                view.dialect = dialect;
                view.ends = ends;
                for side in Side::BOTH {
                    view.keys_changed(side);
                }
            }
            self.connections.add_view(of, id);
            id
        };
        let view = self.connections.get_mut(id)?;
        if view.subflows.len() >= limits::SUBFLOWS {
            return None;
        }
        view.add_subflow(template);
        Some((id, (view.subflows.len() - 1) as u16, low_side))
    }

    /// The first segment of a 4-tuple, or of a new incarnation of one.
    #[cold]
    fn new_flow<O: Observer>(&mut self, key: FlowKey, arrival: &Arrival<'_, '_>, observer: &mut O) -> Assigned {
        let options = arrival.options;
        let is_syn = arrival.segment.flags.syn() && !arrival.segment.flags.ack();
        let is_join = options.join.is_some() && (is_syn || options.capable.is_none());
        if !is_join {
            self.counts.tcp_connections += 1;
            self.counts.asked_for_mptcp += u64::from(is_syn && options.capable.is_some());
        }
        if !options.mptcp {
            let flow = Flow { syn: arrival.segment.seq, ..self.flow(PLAIN, 0, arrival, Side::Client) };
            self.insert_flow(key, flow);
            return Assigned::Plain;
        }
        let source = source_side(arrival);
        let placed = match options.join {
            Some(MpJoin::Syn { token, nonce, .. }) if is_syn => self.join(token, nonce, arrival, observer),
            Some(_) if options.capable.is_none() => self.unknown_join(source, arrival, observer),
            _ => self.initial(source, arrival, observer),
        };
        let Some((connection, subflow, source)) = placed else { return Assigned::Plain };
        let flow = self.flow(connection, subflow, arrival, source);
        self.insert_flow(key, flow);
        if self.connection(connection).is_some_and(|state| state.view_of.is_some()) {
            return self.feed_view(connection, subflow, source, arrival);
        }
        // An alias of a subflow already seen (NAT): its packets were counted there.
        let owner = owner(connection, subflow, source);
        if self.recent.is_copy(owner, arrival.segment, options.timestamps, arrival.tap) {
            return Assigned::Copy(Some(Place { connection, subflow, from: source }));
        }
        Assigned::To(Place { connection, subflow, from: source })
    }

    /// A segment of a flow that had no MPTCP so far.
    #[cold]
    fn plain_flow<O: Observer>(
        &mut self,
        key: FlowKey,
        id: FlowId,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Assigned {
        let is_syn = arrival.segment.flags.syn() && !arrival.segment.flags.ack();
        if arrival.options.mptcp {
            self.counts.tcp_connections = self.counts.tcp_connections.saturating_sub(u64::from(!is_syn));
            return self.new_flow(key, arrival, observer);
        }
        if is_syn
            && let Some(flow) = self.flows.get_mut(id)
            && flow.syn != arrival.segment.seq
        {
            flow.syn = arrival.segment.seq;
            self.counts.tcp_connections += 1;
        }
        Assigned::Plain
    }

    fn flow(&self, connection: ConnectionId, subflow: u16, arrival: &Arrival<'_, '_>, source: Side) -> Flow {
        Flow {
            connection,
            subflow,
            low_side: flow_side(source, arrival.from_low),
            directions: if arrival.from_low { 1 } else { 2 },
            tap: arrival.tap,
            is_view: self.connection(connection).is_some_and(|state| state.view_of.is_some()),
            syn: 0,
            more: None,
        }
    }

    fn insert_flow(&mut self, key: FlowKey, flow: Flow) {
        let (_, evicted) = self.flows.insert(key, flow, self.config.flows);
        self.counts.flows_evicted += u64::from(evicted);
    }

    /// A new connection, known by MP_CAPABLE or, in a capture that begins in the middle, by later options.
    fn initial<O: Observer>(
        &mut self,
        source: Side,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<(ConnectionId, u16, Side)> {
        let id = self.open_connection(arrival, observer)?;
        let keys = self.config.keys.clone();
        let state = self.connections.get_mut(id)?;
        self.listed += 1;
        let number = Some(self.listed);
        state.number = number;
        state.add_subflow(Subflow::new(arrival, source, Side::Client, None));
        for (subflow, what) in [(None, What::ConnectionOpened), (Some(0), What::SubflowOpened)] {
            observer.event(Event { connection: id, number, subflow, at: arrival.at, what });
        }
        if !arrival.segment.flags.syn() && !keys.is_empty() && self.undecided.len() < limits::CONNECTIONS {
            self.undecided.push(id);
        }
        Some((id, 0, source))
    }

    fn open_connection<O: Observer>(&mut self, arrival: &Arrival<'_, '_>, observer: &mut O) -> Option<ConnectionId> {
        while self.connections.is_full(self.config.connections) {
            let Some(victim) = self.connections.victim() else { break };
            self.evict(victim, observer);
        }
        let id = self.connections.next_id()?;
        self.connections.push(Box::new(Connection::new(id, arrival.at, arrival.frame.id.input)));
        Some(id)
    }

    /// Gives up a connection, and what the tables know of it.
    #[cold]
    fn evict<O: Observer>(&mut self, victim: ConnectionId, observer: &mut O) {
        self.let_go(victim, Left::Limit, observer);
    }

    /// A join's SYN: its token names the end being joined.
    fn join<O: Observer>(
        &mut self,
        token: Token,
        nonce: Nonce,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<(ConnectionId, u16, Side)> {
        let input = arrival.frame.id.input;
        let found = self.choose(token, arrival);
        let (mut connection, joined) = match found {
            Some(found) => found,
            None => (self.open_orphan(token, arrival, observer)?, Side::Server),
        };
        let source = joined.peer();
        if let Some((subflow, record)) = self.with_nonce(connection, token, nonce) {
            let shown_here = record.interface.0 == input;
            let view = self.connections.views_of(connection).filter(|view| view.input == input);
            let mut views = view.filter_map(|view| Some((view.id, self.with_nonce(view.id, token, nonce)?.0)));
            let in_view = views.next();
            drop(views);
            if let Some((alias_of, subflow)) = if shown_here { Some((connection, subflow)) } else { in_view } {
                // The same join under another 4-tuple: a NAT lies between two taps of one input.
                let alias = (arrival.segment.ip, arrival.segment.source_port, arrival.segment.destination_port);
                let state = self.connections.get_mut(alias_of)?;
                let record = state.subflows.get_mut(usize::from(subflow))?;
                if record.also_seen_as.len() < limits::VIEWS {
                    record.also_seen_as.push(alias);
                } else {
                    state.left_out.tuples += 1;
                }
                return Some((alias_of, subflow, source));
            }
            let low_side = flow_side(source, arrival.from_low);
            let (view, subflow, low) = self.open_view(connection, subflow, low_side, arrival, observer)?;
            let source = if arrival.from_low { low } else { low.peer() };
            return Some((view, subflow, source));
        }
        // At the tap of another end: the view that already shows this input.
        if let Some(view) = self.view_at(connection, input) {
            connection = view;
        }
        let is_view = self.connection(connection)?.view_of.is_some();
        let state = self.connections.get_mut(connection)?;
        if state.subflows.len() >= limits::SUBFLOWS {
            state.left_out.subflows += 1;
            return None;
        }
        let join = Join { token: Some(token), initiator_nonce: Some(nonce), ..Join::default() };
        let denied = state.ends[joined].flags.is_some_and(|flags| flags & 0x20 != 0)
            && state.initial().is_some_and(|initial| {
                initial.address_of(joined) == (arrival.segment.ip.destination(), arrival.segment.destination_port)
            });
        state.add_subflow(Subflow::new(arrival, source, source, Some(join)));
        let subflow = (state.subflows.len() - 1) as u16;
        if denied {
            state.note_join_denied(subflow, source, arrival.at.frame);
        }
        if !is_view {
            let (number, at, what) = (state.number, arrival.at, What::SubflowOpened);
            observer.event(Event { connection, number, subflow: Some(subflow), at, what });
        }
        Some((connection, subflow, source))
    }

    /// The connection that a token names: a live one before a closed one, one with a known address before another, the
    /// latest before the rest.
    fn choose(&self, token: Token, arrival: &Arrival<'_, '_>) -> Option<(ConnectionId, Side)> {
        let destination = arrival.segment.ip.destination();
        let source = arrival.segment.ip.source();
        let rank = |&(id, side): &(ConnectionId, Side)| {
            let state = self.connection(id)?;
            let knows = |by: Side, address| {
                state.subflows.iter().any(|subflow| subflow.address_of(by).0 == address)
                    || state.addresses.iter().any(|known| known.by == by && known.address == address)
            };
            let affinity = u8::from(knows(side, destination)) + u8::from(knows(side.peer(), source));
            Some((state.view_of.is_none(), !state.is_closed(), affinity))
        };
        let candidates = self.tokens.candidates(token).filter_map(|candidate| Some((rank(&candidate)?, candidate)));
        let mut best = None;
        for (rank, candidate) in candidates {
            if best.is_none_or(|(best, _)| rank > best) {
                best = Some((rank, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    fn with_nonce(&self, connection: ConnectionId, token: Token, nonce: Nonce) -> Option<(u16, &Subflow)> {
        let state = self.connection(connection)?;
        let same = |join: &Join| join.token == Some(token) && join.initiator_nonce == Some(nonce);
        let index = state.subflows.iter().position(|subflow| subflow.join.as_deref().is_some_and(same))?;
        Some((index as u16, state.subflows.get(index)?))
    }

    fn view_at(&self, of: ConnectionId, input: u16) -> Option<ConnectionId> {
        if self.connection(of)?.input == input {
            return None;
        }
        self.connections.views_of(of).find(|view| view.input == input).map(|view| view.id)
    }

    /// A join whose connection is not in the capture: joins with the same token are grouped.
    fn open_orphan<O: Observer>(
        &mut self,
        token: Token,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<ConnectionId> {
        let keys = self.config.keys.clone();
        let id = self.open_connection(arrival, observer)?;
        let state = self.connections.get_mut(id)?;
        state.orphan = true;
        state.ends.server.token_named = Some(token);
        for key in keys {
            if let Some(dialect) = state.dialect_that_fits(Side::Server, key) {
                state.dialect = Some(dialect);
                state.ends.server.learn(key, dialect.suite(), KeySource::CommandLine, None);
                state.keys_changed(Side::Server);
            }
        }
        self.tokens.insert(token, id, Side::Server);
        self.tokens.orphans += 1;
        Some(id)
    }

    /// A join's SYN/ACK or ACK without its SYN: no token says whose it is.
    fn unknown_join<O: Observer>(
        &mut self,
        source: Side,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<(ConnectionId, u16, Side)> {
        let id = self.open_connection(arrival, observer)?;
        let state = self.connections.get_mut(id)?;
        state.orphan = true;
        state.add_subflow(Subflow::new(arrival, source, Side::Client, Some(Join::default())));
        let (at, what) = (arrival.at, What::SubflowOpened);
        observer.event(Event { connection: id, number: None, subflow: Some(0), at, what });
        Some((id, 0, source))
    }

    #[cold]
    fn note_interface(&mut self, connection: ConnectionId, subflow: u16, frame: &Frame<'_>) {
        let interface = (frame.id.input, frame.interface);
        let state = self.connections.get_mut(connection);
        let Some(record) = state.and_then(|state| state.subflows.get_mut(usize::from(subflow))) else { return };
        let known = record.interface == interface || record.more_interfaces.contains(&interface);
        if !known && record.more_interfaces.len() < limits::VIEWS {
            record.more_interfaces.push(interface);
        }
    }
}

impl Subflow {
    /// A subflow whose first segment was sent by `source` and which `initiator` opened.
    fn new(arrival: &Arrival<'_, '_>, source: Side, initiator: Side, join: Option<Join>) -> Self {
        let segment = arrival.segment;
        let turned = source != initiator;
        Self {
            ip: if turned { segment.ip.reversed() } else { segment.ip },
            source_port: if turned { segment.destination_port } else { segment.source_port },
            destination_port: if turned { segment.source_port } else { segment.destination_port },
            initiator,
            initiator_known: segment.flags.syn(),
            handshake_open: true,
            halves: PerSide::default(),
            syn: None,
            syn_ack: None,
            third_ack: None,
            third_ack_delay: 0,
            join: join.map(Box::new),
            address_ids: PerSide::default(),
            backup: PerSide::default(),
            join_backup: PerSide::default(),
            backup_changes: Sparse::default(),
            first: arrival.at,
            last: arrival.at,
            reset: None,
            options: PerSide::default(),
            bare: PerSide::default(),
            interface: (arrival.frame.id.input, arrival.frame.interface),
            more_interfaces: Sparse::default(),
            also_seen_as: Sparse::default(),
            source_routed: PerSide::default(),
        }
    }

    /// The same subflow, with nothing seen, at the tap of `arrival`.
    fn clone_identity(&self, arrival: &Arrival<'_, '_>) -> Self {
        let source = self.initiator;
        let mut fresh = Self::new(arrival, source, source, self.join.as_ref().map(|_| Join::default()));
        let turned =
            arrival.segment.ip.source() != self.ip.source() && arrival.segment.ip.source() == self.ip.destination();
        if turned || (arrival.segment.flags.syn() && arrival.segment.flags.ack()) {
            fresh.ip = fresh.ip.reversed();
            std::mem::swap(&mut fresh.source_port, &mut fresh.destination_port);
        }
        fresh
    }

    fn same_tuple(&self, other: &Self) -> bool {
        (self.ip, self.source_port, self.destination_port) == (other.ip, other.source_port, other.destination_port)
            && self.syn.as_ref().is_none_or(|syn| other.syn.as_ref().is_none_or(|other| other.seq == syn.seq))
    }

    /// Address and port of one end.
    pub fn address_of(&self, side: Side) -> (std::net::IpAddr, u16) {
        if side == self.initiator {
            (self.ip.source(), self.source_port)
        } else {
            (self.ip.destination(), self.destination_port)
        }
    }
}

/// What tells the two directions of all subflows apart, for the memory of recent segments.
fn owner(connection: ConnectionId, subflow: u16, from: Side) -> u64 {
    u64::from(connection) << 17 | u64::from(subflow) << 1 | u64::from(from == Side::Client)
}

/// The side with the lower endpoint, when `source` sent a segment that comes from the lower endpoint or not.
fn flow_side(source: Side, from_low: bool) -> Side {
    if from_low { source } else { source.peer() }
}

/// The side that sends the first segment seen of a flow: told by its flags and MP_CAPABLE, or else guessed by the ports.
fn source_side(arrival: &Arrival<'_, '_>) -> Side {
    let segment = arrival.segment;
    let capable_of_client = arrival.options.capable.is_some_and(|capable| capable.receiver_key.is_some());
    if segment.flags.syn() {
        if segment.flags.ack() { Side::Server } else { Side::Client }
    } else if capable_of_client || matches!(arrival.options.join, Some(MpJoin::Ack { .. })) {
        Side::Client
    } else if segment.source_port < segment.destination_port {
        Side::Server
    } else {
        Side::Client
    }
}

impl Tracker {
    /// Keys given by hand for connections whose handshake is not in the capture: tried once data has shown the stream.
    pub(super) fn try_given_keys(&mut self) {
        for id in std::mem::take(&mut self.undecided) {
            for key in self.config.keys.clone() {
                let Some(state) = self.connections.get_mut(id) else {
                    continue;
                };
                for side in Side::BOTH {
                    let fits = if state.ends[side].key.is_none() { state.dialect_that_fits(side, key) } else { None };
                    if let Some(dialect) =
                        fits.filter(|_| state.dialect.is_none_or(|known: Dialect| fits == Some(known)))
                    {
                        state.dialect = Some(dialect);
                        state.ends[side].learn(key, dialect.suite(), KeySource::CommandLine, None);
                        state.keys_changed(side);
                    }
                }
                self.tokens.learn(state, id);
            }
        }
    }
}

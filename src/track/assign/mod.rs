//! Which connection a segment belongs to: here by its 4-tuple, in `join` by the token of a join, in `shared_token` by its
//! HMAC, in `stream` by its DSNs, in `views` by the tap that it was captured at, in `twin` where one input shows it twice;
//! `parts` tells which taps are one, `reuse` what other taps still show of a 4-tuple's last connection.

use std::num::NonZeroU64;

mod copies;
mod early;
mod held;
mod join;
mod parts;
mod reuse;
mod shared_token;
mod stream;
mod twin;
mod views;

pub(super) use early::EarlyReset;
pub(super) use held::HeldSegment;

use super::connection::Connection;
use super::expire::Left;
use super::flow::{COPIED, Flow, FlowId, FlowKey, PLAIN, RECENT, TAKEN_OVER};
use super::mark::{Mark, Moment};
use super::observer::{ConnectionId, Event, Observer, What};
use super::side::{PerSide, Side};
use super::sparse::Sparse;
use super::subflow::{Join, Subflow};
use super::{Assigned, Place, Tracker};
use crate::crypto::Key;
use crate::frame::Frame;
use crate::limits;
use crate::packet::Segment;
use crate::packet::options::Options;
use crate::wire::MpJoin;

/// Silence after which a new SYN takes over a 4-tuple at once: two minutes, as long as TIME-WAIT lasts (RFC 9293 §3.6.1).
const STALE_NS: u64 = 120_000_000_000;

/// Time after the end of a subflow from which on a SYN of the same sequence number is no stray copy of its own.
const STRAY_NS: u64 = 1_000_000_000;

/// A segment, and what is known of it before anyone knows whose it is.
pub(super) struct Arrival<'s, 'p> {
    pub(super) frame: &'s Frame<'p>,
    pub(super) segment: &'s Segment<'p>,
    pub(super) options: &'s Options<'p>,
    pub(super) at: Moment,
    pub(super) tap: u16,
    pub(super) key: FlowKey,
    /// It comes from the lower endpoint of its flow.
    pub(super) from_low: bool,
}

impl<'s, 'p> Arrival<'s, 'p> {
    #[inline]
    pub(super) fn new(frame: &'s Frame<'p>, segment: &'s Segment<'p>, options: &'s Options<'p>, tap: u16) -> Self {
        let (key, from_low) = FlowKey::of(segment);
        let at = Moment { frame: Mark::from(frame.id), time: frame.time };
        Self { frame, segment, options, at, tap, key, from_low }
    }

    /// As in [`Flow::directions`].
    #[inline]
    fn direction(&self) -> u8 {
        if self.from_low { 1 } else { 2 }
    }
}

impl Tracker {
    /// Finds where a segment belongs, and makes the place if it is the first there.
    #[inline]
    pub(super) fn assign<O: Observer>(&mut self, arrival: &Arrival<'_, '_>, observer: &mut O) -> Assigned {
        let &Arrival { frame, segment, options, mut tap, from_low, .. } = arrival;
        let Some(id) = self.flows.find(arrival.key) else { return self.new_flow(arrival, observer) };
        let Some(mut flow) = self.flows.get_mut(id) else { return Assigned::Plain };
        if flow.tap == tap {
            flow.directions |= arrival.direction() | RECENT;
        } else {
            if let Some(elsewhere) = self.at_other_tap(id, arrival, observer) {
                return elsewhere;
            }
            tap = self.taps.of(frame, segment);
            let Some(now) = self.flows.get_mut(id) else { return Assigned::Plain };
            flow = now;
        }
        if flow.is_plain() {
            return self.plain_flow(id, arrival, observer);
        }
        let place = flow.low.turned(from_low);
        if flow.is_view {
            return self.feed_view(place, arrival);
        }
        let eventful = flow.more.is_some() || segment.flags.syn() || options.capable().is_some();
        let (copied, owner) = (flow.directions & COPIED != 0, flow.owner(place));
        let doubled = self.recent.doubled(owner, segment, options, tap, arrival.at.time);
        if let Some(original) = self.recent.original(owner, segment, options, tap).or(doubled)
            && !self.is_syn_sent_again(place, original, arrival)
        {
            self.note_interface(place, frame);
            self.note_copy(id, place, original, arrival);
            return Assigned::Copy(Some(place));
        }
        if copied && self.is_cut_anew(place, arrival) {
            return Assigned::Copy(Some(place));
        }
        if eventful {
            return self.eventful(id, arrival, observer);
        }
        Assigned::To(place)
    }

    /// A SYN, MP_CAPABLE, or a flow whose 4-tuple was taken over lately.
    #[cold]
    fn eventful<O: Observer>(&mut self, id: FlowId, arrival: &Arrival<'_, '_>, observer: &mut O) -> Assigned {
        let Some(flow) = self.flows.get_mut(id) else { return Assigned::Plain };
        let place = flow.low.turned(arrival.from_low);
        let Place { connection, subflow, from: side } = place;
        let first_tap = flow.tap;
        let previous = flow.more.as_ref().and_then(|more| more.previous);
        let current = Assigned::To(place);
        let Some(state) = self.connections.get(connection) else {
            return if arrival.segment.flags.syn() { self.new_flow(arrival, observer) } else { current };
        };
        let Some(record) = state.subflows.get(usize::from(subflow)) else { return current };
        if arrival.segment.flags.opens() {
            let same = record.syn.as_ref().is_some_and(|syn| syn.seq == arrival.segment.seq)
                || record.halves[side].syn().is_some_and(|syn| syn as u32 == arrival.segment.seq);
            let simultaneous = side != record.initiator && record.syn_ack.is_none() && record.syn.is_some();
            if same
                && state.is_nameless()
                && let Some(&MpJoin::Syn { token, nonce, .. }) = arrival.options.join()
            {
                self.late_join_syn(place, (token, nonce), arrival);
                return self.late_place(id, connection, arrival, observer);
            }
            let one_clock = self.taps.at_one_site(self.taps.input(first_tap), arrival.frame.id.input);
            let anew = same && record.is_closed() && opens_anew(state, record, arrival, one_clock);
            if (same && !anew) || simultaneous {
                return current;
            }
            let alive =
                !record.is_closed() && arrival.at.time.since(record.last.time) < STALE_NS && record.syn_ack.is_some();
            let before = self.before(id);
            let assigned = self.new_flow(arrival, observer);
            self.remember(id, before);
            if alive && let Some(flow) = self.flows.get_mut(id) {
                flow.more.get_or_insert_default().previous = Some(place.turned(arrival.from_low));
            }
            return assigned;
        }
        if opened_unseen(state, record, side, arrival) {
            return self.new_flow(arrival, observer);
        }
        let Some(old) = previous else { return current };
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
        Assigned::To(old.turned(arrival.from_low))
    }

    /// Where the segments of a flow belong whose connection was `before`, until a token told more.
    fn late_place<O: Observer>(
        &mut self,
        id: FlowId,
        before: ConnectionId,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Assigned {
        let Some(flow) = self.flows.get_mut(id) else { return Assigned::Plain };
        let place = flow.low.turned(arrival.from_low);
        if flow.is_view {
            return self.feed_view(place, arrival);
        }
        let Place { connection, subflow, .. } = place;
        if connection != before {
            let number = self.connection(connection).and_then(Connection::number);
            let (at, what) = (arrival.at, What::SubflowOpened);
            observer.event(Event { connection, number, subflow: Some(subflow), at, what });
        }
        Assigned::To(place)
    }

    /// The first segment of a 4-tuple, or of a new incarnation of one.
    #[cold]
    fn new_flow<O: Observer>(&mut self, arrival: &Arrival<'_, '_>, observer: &mut O) -> Assigned {
        let options = arrival.options;
        let is_syn = arrival.segment.flags.opens();
        if options.mptcp && gives_up_unseen(arrival.segment) {
            let nowhere = Place { connection: PLAIN, subflow: 0, from: Side::Client };
            self.insert_flow(arrival.key, self.flow(nowhere, arrival));
            return Assigned::Plain;
        }
        let is_join = options.join().is_some() && (is_syn || options.capable().is_none());
        let late =
            options.mptcp && options.join().is_none() && options.capable().is_none() && !arrival.segment.flags.syn();
        let found = if late { self.by_stream(arrival, observer) } else { None };
        if !is_join && found.is_none() {
            self.counts.tcp_connections += 1;
            self.counts.asked_for_mptcp += u64::from(is_syn && options.capable().is_some());
        }
        if !options.mptcp {
            let flow = Flow {
                syn: arrival.segment.seq,
                ..self.flow(Place { connection: PLAIN, subflow: 0, from: Side::Client }, arrival)
            };
            let id = self.insert_flow(arrival.key, flow);
            if self.config.compare.any() {
                self.hold(id, arrival);
            }
            if arrival.segment.flags.rst() {
                self.note_early_reset(arrival);
            }
            return Assigned::Plain;
        }
        let source = source_side(arrival);
        let placed = match options.join() {
            _ if found.is_some() => found,
            Some(&MpJoin::Syn { token, nonce, .. }) if is_syn => self.join(token, nonce, arrival, observer),
            Some(_) if options.capable().is_none() => self.unknown_join(source, arrival, observer),
            _ => self.initial(source, arrival, observer),
        };
        let Some(place) = placed else { return Assigned::Plain };
        let mut flow = self.flow(place, arrival);
        let taken_over = options.join().is_some_and(|join| self.was_taken_over(place, join));
        flow.directions |= if taken_over { TAKEN_OVER } else { 0 };
        let owner = flow.owner(place);
        self.insert_flow(arrival.key, flow);
        if self.connection(place.connection).is_some_and(|state| state.view_of.is_some()) {
            return self.feed_view(place, arrival);
        }
        self.recent.doubled(owner, arrival.segment, options, arrival.tap, arrival.at.time);
        // An alias of a subflow already seen (NAT): its packets were counted there.
        if self.recent.is_copy(owner, arrival.segment, options, arrival.tap) {
            return Assigned::Copy(Some(place));
        }
        Assigned::To(place)
    }

    /// A segment of a flow that had no MPTCP so far.
    #[cold]
    fn plain_flow<O: Observer>(&mut self, id: FlowId, arrival: &Arrival<'_, '_>, observer: &mut O) -> Assigned {
        let is_syn = arrival.segment.flags.opens();
        if arrival.options.mptcp && !gives_up_unseen(arrival.segment) {
            let early = if is_syn { self.take_early_reset(arrival) } else { None };
            let counted = !is_syn || early.is_some();
            self.counts.tcp_connections = self.counts.tcp_connections.saturating_sub(u64::from(counted));
            let syn = self.flows.get_mut(id).map(|flow| flow.syn);
            let answers = arrival.segment.flags.syn() && syn == Some(arrival.segment.ack.wrapping_sub(1)) && !is_syn;
            let held = self.held_elsewhere(id, arrival);
            let assigned = self.new_flow(arrival, observer);
            self.hand_on(held, observer);
            if let (Assigned::To(place), Some(early)) = (assigned, early) {
                self.refuse(place, early);
            }
            if answers
                && let Some(Place { connection, .. }) = assigned.place()
                && let Some(state) = self.connections.get_mut(connection)
            {
                state.handshake.not_asked = true;
            }
            return assigned;
        }
        if self.config.compare.any() {
            self.hold(id, arrival);
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

    /// A flow whose first segment has this place.
    fn flow(&self, place: Place, arrival: &Arrival<'_, '_>) -> Flow {
        Flow {
            low: place.turned(arrival.from_low),
            directions: arrival.direction(),
            tap: arrival.tap,
            is_view: self.connection(place.connection).is_some_and(|state| state.view_of.is_some()),
            syn: 0,
            more: None,
        }
    }

    fn insert_flow(&mut self, key: FlowKey, flow: Flow) -> FlowId {
        let (id, evicted) = self.flows.insert(key, flow, self.config.flows);
        self.counts.flows_evicted += u64::from(evicted);
        id
    }

    /// A new connection, known by MP_CAPABLE or, in a capture that begins in the middle, by later options.
    fn initial<O: Observer>(&mut self, source: Side, arrival: &Arrival<'_, '_>, observer: &mut O) -> Option<Place> {
        let id = self.open_connection(arrival.at, observer)?;
        let state = self.connections.get_mut(id)?;
        self.listed += 1;
        let number = Some(self.listed);
        state.number = NonZeroU64::new(self.listed);
        let subflow = Subflow::new(arrival, source, Side::Client, None);
        if !subflow.role_shown {
            self.streams.note_early(id);
        }
        state.add_subflow(subflow);
        for (subflow, what) in [(None, What::ConnectionOpened), (Some(0), What::SubflowOpened)] {
            observer.event(Event { connection: id, number, subflow, at: arrival.at, what });
        }
        Some(Place { connection: id, subflow: 0, from: source })
    }

    /// Adds a subflow to a connection, and gives its index; beyond the limit it is counted only.
    fn admit(&mut self, connection: ConnectionId, subflow: Subflow) -> Option<u16> {
        let state = self.connections.get_mut(connection)?;
        if state.subflows.len() >= limits::SUBFLOWS {
            state.seldom.left_out.subflows += 1;
            return None;
        }
        state.add_subflow(subflow);
        let index = (state.subflows.len() - 1) as u16;
        self.connections.grow(connection, size_of::<Subflow>() + size_of::<Join>());
        Some(index)
    }

    fn open_connection<O: Observer>(&mut self, at: Moment, observer: &mut O) -> Option<ConnectionId> {
        while self.connections.is_full(self.config.connections) {
            let Some(victim) = self.connections.victim() else { break };
            self.evict(victim, observer);
        }
        let id = self.connections.next_id()?;
        self.connections.push(Box::new(Connection::new(id, at, at.frame.frame().input)));
        Some(id)
    }

    /// Gives up a connection, and what the tables know of it.
    #[cold]
    fn evict<O: Observer>(&mut self, victim: ConnectionId, observer: &mut O) {
        self.let_go(victim, Left::Limit, observer);
    }

    #[cold]
    fn note_interface(&mut self, place: Place, frame: &Frame<'_>) {
        let interface = (frame.id.input, frame.interface);
        let Some(record) = self.connections.subflow_mut(place) else { return };
        let more = &record.seldom.more_interfaces;
        // What overlapping parts of one capture both show is one interface.
        let (input, index) = record.interface;
        let same = index == frame.interface && self.taps.at_one_site(input, frame.id.input);
        if !same && !more.contains(&interface) && more.len() < limits::SUBFLOW_INTERFACES {
            record.seldom.more_interfaces.push(interface);
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
            role_shown: segment.flags.syn() || arrival.options.capable().is_some() || arrival.options.join().is_some(),
            handshake_open: true,
            carries: false,
            halves: PerSide::default(),
            syn: None,
            syn_ack: None,
            third_ack: None,
            third_ack_delay: 0,
            join: join.map(Box::new),
            address_ids: PerSide::default(),
            backup: PerSide::default(),
            join_backup: PerSide::default(),
            first: arrival.at,
            last: arrival.at,
            options: PerSide::default(),
            interface: (arrival.frame.id.input, arrival.frame.interface),
            source_routed: PerSide::default(),
            seldom: Sparse::default(),
        }
    }
}

/// Whether a SYN with the sequence number of the one that opened a subflow, which is over, opens another: it carries another
/// key or nonce, or asks for something else; or it comes when no copy of the first can be on its way any more, as whoever has
/// completed a handshake does not send its SYN again. Some stacks choose the same sequence number each time.
#[cold]
fn opens_anew(state: &Connection, record: &Subflow, arrival: &Arrival<'_, '_>, one_clock: bool) -> bool {
    // Where none was seen this one may be it, recorded late.
    if record.syn.is_none() {
        return false;
    }
    let options = arrival.options;
    let other = match (&record.join, options.join(), options.capable()) {
        (Some(join), Some(&MpJoin::Syn { token, nonce, .. }), _) => {
            join.token.zip(join.initiator_nonce).is_some_and(|known| known != (token, nonce))
        }
        (Some(_), None, Some(_)) | (None, Some(MpJoin::Syn { .. }), None) => true,
        (None, None, Some(capable)) => {
            let asked = state.handshake.syn.and_then(|(asked, _)| asked.sender_key);
            asked.zip(capable.sender_key).is_some_and(|(known, key)| known != key)
        }
        _ => false,
    };
    // The clocks of two taps may lie apart.
    let later = one_clock && arrival.at.time.since(record.last.time) >= STRAY_NS;
    other || (later && record.is_established())
}

/// Whether a SYN/ACK or a third ACK is of a connection whose SYN was not captured: what is known under this 4-tuple is over, and
/// has another sequence number, or other keys at both ends. Where its end was not captured either, all of that differs.
#[cold]
fn opened_unseen(state: &Connection, record: &Subflow, from: Side, arrival: &Arrival<'_, '_>) -> bool {
    let segment = arrival.segment;
    let is_over = record.is_closed() || state.seldom.fastclose.is_some();
    if !is_over && !record.is_established() {
        return false;
    }
    let differs =
        |side: Side, shown: Option<Key>| state.key_of(side).zip(shown).is_some_and(|(known, shown)| known != shown);
    let capable = arrival.options.capable();
    let other_number = |side: Side, number: u32| record.halves[side].syn().is_some_and(|syn| syn as u32 != number);
    if segment.flags.syn() {
        if record.begins_again(segment) {
            return false;
        }
        let answers_other = other_number(from.peer(), segment.ack.wrapping_sub(1))
            && capable.is_some_and(|shown| differs(from, shown.sender_key));
        return other_number(from, segment.seq) && (is_over || answers_other);
    }
    let begins_other = is_over || other_number(from, segment.seq.wrapping_sub(1));
    begins_other
        && capable.is_some_and(|shown| differs(from, shown.sender_key) && differs(from.peer(), shown.receiver_key))
}

/// Whether the first segment of a flow is the RST with which a socket gives up whose SYN was not captured and never answered:
/// it has nothing to acknowledge, and acknowledges 0 (RFC 9293 §3.10.5). A connection that closes ends its joins so.
fn gives_up_unseen(segment: &Segment<'_>) -> bool {
    segment.flags.rst() && segment.flags.ack() && segment.ack == 0 && !segment.flags.syn()
}

/// The side that sends the first segment seen of a flow: told by its flags and MP_CAPABLE, or else guessed by the ports.
fn source_side(arrival: &Arrival<'_, '_>) -> Side {
    let segment = arrival.segment;
    let capable_of_client = arrival.options.capable().is_some_and(|capable| capable.receiver_key.is_some());
    if segment.flags.syn() {
        if segment.flags.ack() { Side::Server } else { Side::Client }
    } else if capable_of_client || matches!(arrival.options.join(), Some(MpJoin::Ack { .. })) {
        Side::Client
    } else if segment.source_port < segment.destination_port {
        Side::Server
    } else {
        Side::Client
    }
}

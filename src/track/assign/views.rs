//! The views that other taps give of a connection: captures of one connection at several places are told apart by input,
//! and each but the first has a connection of its own in which nothing is counted twice.

use super::Arrival;
use super::parts::Showing;
use crate::limits;
use crate::track::connection::Connection;
use crate::track::flow::{FlowId, FlowKey, OtherTap, RECENT, TAKEN_OVER};
use crate::track::mark::Moment;
use crate::track::observer::{ConnectionId, Event, Observer, Silent, What};
use crate::track::same_packet::Look;
use crate::track::side::{PerSide, Side};
use crate::track::subflow::{Join, Subflow};
use crate::track::{Assigned, Place, Tracker};
use crate::wire::MpJoin;

impl Tracker {
    /// A flow's segment at a tap that is not its first. `None` lets it count as if it were.
    #[cold]
    pub(super) fn at_other_tap<O: Observer>(
        &mut self,
        id: FlowId,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Assigned> {
        let (direction, input) = (arrival.direction(), arrival.frame.id.input);
        let flow = self.flows.get_mut(id)?;
        let (shown, primary_directions) = (flow.low, flow.directions);
        // Interfaces of one input show one view: what one of them repeats is a copy within it.
        if self.taps.input(flow.tap) == input || flow.is_plain() || self.is_next_part(id, arrival) {
            return None;
        }
        let again = primary_directions & direction != 0;
        if again && arrival.segment.flags.syn() && self.may_take_over(shown, input) {
            let place = shown.turned(arrival.from_low);
            let taken = self.take_over(place, arrival, observer);
            return Some(taken.map_or(Assigned::Copy(None), |()| Assigned::To(place)));
        }
        let more = self.flows.get_mut(id)?.more.get_or_insert_default();
        let index = match more.taps.iter().position(|other| self.taps.at_one_site(other.input, input)) {
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
        if view.is_none() && self.belongs_to_main(shown.connection, input) {
            return self.promote(id, arrival, observer);
        }
        if view.is_none() && !again {
            return None;
        }
        let new_syn = arrival.segment.flags.opens();
        let of = if new_syn { self.place_of_syn(id, shown, arrival.segment.seq) } else { shown };
        let fits = view.filter(|&view| !new_syn || self.holds_syn(view, arrival.segment.seq));
        let view = match fits {
            Some(view) => view,
            None => match self.open_view(of, arrival, observer) {
                Some(view) => view,
                // Beyond a limit: what other taps show is no part of this one's view.
                None => return Some(Assigned::Copy(None)),
            },
        };
        if let Some(other) =
            self.flows.get_mut(id).and_then(|flow| flow.more.as_mut()).and_then(|more| more.taps.get_mut(index))
        {
            other.view = Some(view);
        }
        Some(self.feed_view(view.turned(arrival.from_low), arrival))
    }

    /// Whether a flow's segment is at the next part of the capture that showed the flow so far.
    fn is_next_part(&mut self, id: FlowId, arrival: &Arrival<'_, '_>) -> bool {
        let input = arrival.frame.id.input;
        let Some(low) = self.flows.get_mut(id).map(|flow| flow.low) else { return false };
        let opens = arrival.segment.flags.opens();
        let low = if opens { self.place_of_syn(id, low, arrival.segment.seq) } else { low };
        let Some(flow) = self.flows.get_mut(id) else { return false };
        let first = self.taps.input(flow.tap);
        if !self.taps.at_one_site(first, input) {
            let others = || flow.more.iter().flat_map(|more| &more.taps);
            if others().any(|other| self.taps.at_one_site(other.input, input)) {
                return false;
            }
            let others = others().filter_map(|other| Some((other.input, other.view?)));
            let shown: Vec<Showing> = std::iter::once((first, low)).chain(others).collect();
            self.find_part(&shown, arrival);
        }
        let is_next = self.taps.at_one_site(first, input);
        if is_next && let Some(flow) = self.flows.get_mut(id) {
            // This segment's tap may just have turned out to be one of that capture.
            flow.tap = self.taps.of(arrival.frame, arrival.segment);
            flow.directions |= arrival.direction() | RECENT;
        }
        is_next
    }

    /// Whether a connection is a view, and the one that it is of shows this input.
    fn belongs_to_main(&self, view: ConnectionId, input: u16) -> bool {
        let main = self.connection(view).and_then(|state| self.connection(state.view_of?));
        main.is_some_and(|main| self.taps.at_one_site(main.input, input))
    }

    /// The connection itself shows a flow that one of its views showed first: from now on this tap is the first.
    fn promote<O: Observer>(&mut self, id: FlowId, arrival: &Arrival<'_, '_>, observer: &mut O) -> Option<Assigned> {
        let flow = self.flows.get_mut(id)?;
        let low = flow.low;
        let earlier = OtherTap { input: self.taps.input(flow.tap), directions: flow.directions, view: Some(low) };
        let shown = self.connection(low.connection)?;
        let template = self.connections.subflow(low)?.clone_identity(arrival);
        let connection = shown.view_of?;
        let number = self.connection(connection)?.number();
        let Some(subflow) = self.admit(connection, template) else { return Some(Assigned::Copy(None)) };
        let flow = self.flows.get_mut(id)?;
        flow.low = Place { connection, subflow, ..low };
        (flow.is_view, flow.tap) = (false, arrival.tap);
        flow.directions = arrival.direction();
        let taps = &mut flow.more.get_or_insert_default().taps;
        taps.retain(|tap| !self.taps.at_one_site(tap.input, arrival.frame.id.input));
        taps.push(earlier);
        let place = flow.low.turned(arrival.from_low);
        let (at, what) = (arrival.at, What::SubflowOpened);
        observer.event(Event { connection, number, subflow: Some(subflow), at, what });
        let copy = self.recent.is_copy(place.number(), arrival.segment, arrival.options, arrival.tap);
        Some(if copy { Assigned::Copy(Some(place)) } else { Assigned::To(place) })
    }

    /// Hands a segment to another tap's view of a connection, which no observer hears of. The place told is that in the
    /// connection itself.
    pub(super) fn feed_view(&mut self, place: Place, arrival: &Arrival<'_, '_>) -> Assigned {
        let &Arrival { segment, options, tap, .. } = arrival;
        let original = self.recent.original(place.number(), segment, options, tap);
        if let Some(original) = original {
            self.note_original(place, original, arrival);
        }
        if original.is_some() || self.is_cut_anew(place, arrival) {
            return Assigned::Copy(self.place_in_main(place));
        }
        // The nonce of a join is known only then.
        self.feed(place, arrival, &mut Silent);
        let Some(in_main) = self.place_in_main(place) else { return Assigned::Copy(None) };
        self.compare(in_main, self.shift_of(place, in_main), arrival);
        Assigned::View(in_main)
    }

    /// Compares a segment with the same packet at other inputs. `shift` is what sequence numbers are ahead there of those in
    /// the connection itself.
    #[cold]
    pub(in crate::track) fn compare(&mut self, place: Place, shift: PerSide<u32>, arrival: &Arrival<'_, '_>) {
        let &Arrival { segment, options, at, .. } = arrival;
        let look = self.same_packet.look(place, shift, segment, options.timestamps, at.frame, &self.taps.sites);
        let Some(look) = look.filter(Look::is_eventful) else { return };
        let Some(record) = self.connections.subflow_mut(place) else { return };
        look.note(place.from, &self.taps.sites, &mut record.seldom.differences);
    }

    /// What a firewall that shifts sequence numbers adds on the way from the first tap to a view's.
    fn shift_of(&self, in_view: Place, in_main: Place) -> PerSide<u32> {
        let (Some(there), Some(here)) = (self.connections.subflow(in_view), self.connections.subflow(in_main)) else {
            return PerSide::default();
        };
        let shift = |side: Side| {
            let both = there.halves[side].syn().zip(here.halves[side].syn());
            both.map_or(0, |(there, here)| (there as u32).wrapping_sub(here as u32))
        };
        PerSide { client: shift(Side::Client), server: shift(Side::Server) }
    }

    /// Where a view's subflow is in the connection that it shows: the initial one first, a join where its nonce is, or where
    /// none is known its 4-tuple.
    pub(in crate::track) fn place_in_main(&self, Place { connection: view, subflow, from }: Place) -> Option<Place> {
        let state = self.connection(view)?;
        let connection = state.view_of?;
        let shown = state.subflows.get(usize::from(subflow))?;
        let main = self.connection(connection)?;
        let nonce = |record: &Subflow| record.join.as_ref().and_then(|join| join.initiator_nonce);
        let same = |record: &Subflow| match (nonce(record), nonce(shown)) {
            // A nonce that was changed on the way leaves the SYN's addresses and sequence number as they were.
            (Some(known), Some(nonce)) => known == nonce || record.same_syn(shown),
            _ if shown.join.is_some() => record.same_tuple(shown),
            _ => record.join.is_none(),
        };
        let subflow = main.subflows.iter().position(same)? as u16;
        Some(Place { connection, subflow, from })
    }

    fn holds_syn(&self, place: Place, seq: u32) -> bool {
        self.connections.subflow(place).is_some_and(|record| record.syn.as_ref().is_none_or(|syn| syn.seq == seq))
    }

    /// Finds or makes the view of a connection at another input, and in it the subflow: gives what the place `shown` is there.
    pub(super) fn open_view<O: Observer>(
        &mut self,
        shown: Place,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Place> {
        let main = self.connection(shown.connection)?;
        let of = main.view_of.unwrap_or(shown.connection);
        let template = self.connections.subflow(shown)?.clone_identity(arrival);
        let id = self.view_for(of, &template, arrival.at, observer)?;
        let view = self.connections.get_mut(id)?;
        view.add_subflow(template);
        Some(Place { connection: id, subflow: (view.subflows.len() - 1) as u16, ..shown })
    }

    /// Finds or makes the view of a connection at the input of a subflow's first frame, and room for that subflow.
    fn view_for<O: Observer>(
        &mut self,
        of: ConnectionId,
        template: &Subflow,
        at: Moment,
        observer: &mut O,
    ) -> Option<ConnectionId> {
        let input = at.frame.frame().input;
        let main = self.connection(of)?;
        let (dialect, ends) = (main.dialect, main.ends.clone());
        let is_join = template.join.is_some();
        let holds = |view: &Connection| view.subflows.iter().any(|known| known.same_tuple(template));
        let here = |view: &&Connection| !holds(view) && self.taps.at_one_site(view.input, input);
        let here = self.connections.views_of(of).find(here);
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
            let id = self.open_connection(at, observer)?;
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
        self.connection(id).filter(|view| view.subflows.len() < limits::SUBFLOWS)?;
        Some(id)
    }

    /// Whether a subflow of a connection is one that another input showed first and that nothing was carried on so far, and
    /// `input` is the connection's own.
    pub(super) fn may_take_over(&self, place: Place, input: u16) -> bool {
        let main = self.connection(place.connection).filter(|main| main.view_of.is_none() && !main.orphan);
        let main = main.filter(|main| self.taps.at_one_site(main.input, input));
        let record = main.and_then(|main| main.subflows.get(usize::from(place.subflow)));
        record.is_some_and(|record| {
            let carried = Side::BOTH.iter().any(|&side| record.halves[side].payload_bytes > 0);
            record.join.is_some() && !self.taps.at_one_site(record.interface.0, input) && !carried
        })
    }

    /// Whether a join whose SYN comes to its place in a connection was in this place for another input before, which has left it
    /// as the last of its view.
    pub(super) fn was_taken_over(&self, place: Place, join: &MpJoin) -> bool {
        let MpJoin::Syn { nonce, .. } = *join else { return false };
        let last = |view: &Connection| view.subflows.last()?.join.as_ref()?.initiator_nonce;
        self.connections.views_of(place.connection).any(|view| last(view) == Some(nonce))
    }

    /// The connection's own input shows a subflow that another showed first: what that showed becomes a part of its view.
    #[cold]
    pub(super) fn take_over<O: Observer>(
        &mut self,
        place: Place,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<()> {
        let record = self.connections.subflow(place)?;
        let (old, template) = (record.clone(), record.clone_identity(arrival));
        let view = self.view_for(place.connection, &old, old.first, observer)?;
        let record = self.connections.subflow_mut(place)?;
        *record = template;
        let segments = old.halves.client.segments + old.halves.server.segments;
        self.counts.tcp_segments = self.counts.tcp_segments.saturating_sub(segments);
        self.counts.duplicates += segments;
        self.counts.view_segments += segments;
        let (key, from_low) = FlowKey::new(old.ip, old.source_port, old.destination_port);
        let (input, initiator) = (old.interface.0, old.initiator);
        let view_state = self.connections.get_mut(view)?;
        view_state.segments += segments;
        view_state.add_subflow(old);
        let subflow = (view_state.subflows.len() - 1) as u16;
        let low = Place { connection: view, subflow, from: initiator }.turned(from_low);
        let flow = self.flows.find(key).and_then(|id| self.flows.get_mut(id))?;
        if key == arrival.key {
            let directions = std::mem::replace(&mut flow.directions, arrival.direction() | TAKEN_OVER);
            flow.tap = arrival.tap;
            flow.more.get_or_insert_default().taps.push(OtherTap { input, directions, view: Some(low) });
        } else {
            (flow.low, flow.is_view) = (low, true);
        }
        Some(())
    }

    /// The view of a connection that another input gives.
    pub(super) fn view_at(&self, of: ConnectionId, input: u16) -> Option<ConnectionId> {
        let shows = |state: &Connection| self.taps.at_one_site(state.input, input);
        if shows(self.connection(of)?) {
            return None;
        }
        self.connections.views_of(of).find(|view| shows(view)).map(|view| view.id)
    }
}

impl Subflow {
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

    fn same_syn(&self, other: &Self) -> bool {
        self.syn.is_some() && other.syn.is_some() && self.same_tuple(other)
    }

    fn same_tuple(&self, other: &Self) -> bool {
        (self.ip, self.source_port, self.destination_port) == (other.ip, other.source_port, other.destination_port)
            && self.syn.as_ref().is_none_or(|syn| other.syn.as_ref().is_none_or(|other| other.seq == syn.seq))
    }
}

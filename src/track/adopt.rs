//! Joins seen before their connection: captures merged with clocks apart, or written interface by interface. When a key
//! shows whose token a group of orphans named, they move into their connection; so does a join whose SYN, with the token,
//! comes behind its SYN/ACK.

use super::connection::Connection;
use super::flow::FlowKey;
use super::observer::ConnectionId;
use super::side::Side;
use super::subflow::Subflow;
use super::{Place, Tracker};
use crate::limits;

impl Tracker {
    /// Moves the subflows of orphans that name a token of `id` into it.
    #[cold]
    pub(super) fn adopt_orphans(&mut self, id: ConnectionId) {
        for side in Side::BOTH {
            let Some(token) =
                self.connection(id).and_then(|state| state.ends[side].key).map(|known| known.identity.token)
            else {
                continue;
            };
            let is_orphan = |state: &Connection| state.orphan && state.view_of.is_none();
            let theirs = self.tokens.candidates(token).filter(|&(orphan, named)| {
                orphan != id && named == Side::Server && self.connection(orphan).is_some_and(is_orphan)
            });
            let theirs: Vec<_> = theirs.map(|(orphan, _)| orphan).collect();
            for orphan in theirs {
                if self.may_adopt(orphan, id, side) {
                    self.adopt(orphan, id, side);
                }
            }
        }
    }

    /// `joined` is the side whose token the orphans named; among themselves they took it for the server.
    pub(super) fn adopt(&mut self, orphan: ConnectionId, id: ConnectionId, joined: Side) {
        let subflows = |id| self.connection(id).map_or(0, |state| state.subflows.len());
        if subflows(orphan) + subflows(id) > limits::SUBFLOWS {
            return;
        }
        let Some(mut orphan) = self.connections.take(orphan) else { return };
        self.tokens.forget(&orphan);
        self.streams.forget(&orphan);
        let Some(state) = self.connections.get_mut(id) else { return };
        if joined == Side::Client {
            orphan.swap_sides();
        }
        // Only the first subflow of a connection can be the initial one.
        for subflow in &mut orphan.subflows {
            subflow.join.get_or_insert_default();
        }
        let (base, is_view) = (state.subflows.len(), state.view_of.is_some());
        state.absorb(&mut orphan);
        let moved: Vec<_> = state
            .subflows
            .iter()
            .enumerate()
            .skip(base)
            .map(|(index, subflow)| {
                let (key, from_low) = FlowKey::new(subflow.ip, subflow.source_port, subflow.destination_port);
                let place = Place { connection: id, subflow: index as u16, from: subflow.initiator };
                (key, place.turned(from_low))
            })
            .collect();
        for (key, low) in moved {
            if let Some(flow) = self.flows.find(key).and_then(|flow| self.flows.get_mut(flow))
                && flow.low.connection == orphan.id
            {
                (flow.low, flow.is_view) = (low, is_view);
            }
        }
    }
}

impl Connection {
    /// Whether it is a join of which no SYN told the token.
    pub(super) fn is_nameless(&self) -> bool {
        self.orphan && self.view_of.is_none() && self.ends.server.token_named.is_none()
    }

    /// Exchanges client and server: the first guess was wrong.
    fn swap_sides(&mut self) {
        self.ends.swap();
        self.data.swap();
        self.checksums.swap();
        for subflow in &mut self.subflows {
            subflow.initiator = subflow.initiator.peer();
            subflow.halves.swap();
            subflow.address_ids.swap();
            subflow.backup.swap();
            subflow.join_backup.swap();
            subflow.options.swap();
            subflow.source_routed.swap();
            if let Some(seldom) = subflow.seldom.written() {
                seldom.bare.swap();
                seldom.backup_since.swap();
                seldom.told.swap();
                seldom.resets.iter_mut().for_each(|reset| reset.by = reset.by.peer());
                seldom.differences.iter_mut().for_each(|difference| difference.from = difference.from.peer());
                seldom.backup_changes.iter_mut().for_each(|change| change.1 = change.1.peer());
                let survived = seldom.survived.iter_mut().map(|survived| &mut survived.0);
                let attempts = seldom.attempts.iter_mut().map(|attempts| &mut attempts.1);
                for reset in seldom.reset.iter_mut().chain(survived).chain(attempts) {
                    reset.by = reset.by.peer();
                }
            }
        }
        self.addresses.iter_mut().for_each(|address| address.by = address.by.peer());
        if let Some(seldom) = self.seldom.written() {
            seldom.swap_sides();
        }
    }

    /// Takes over the subflows of `other`, whose data is counted with this connection's, and what it knew beyond them. Of its ends
    /// and its handshake it knew nothing, or it would be no part; what it took for a fallback was the end of one subflow.
    fn absorb(&mut self, other: &mut Self) {
        let base = self.subflows.len() as u16;
        self.dialect = self.dialect.or(other.dialect);
        self.options_cut |= other.options_cut;
        for side in Side::BOTH {
            if other.data[side].unique > 0 {
                self.seldom.carried_before[side] += other.data[side].unique;
            }
            let data = &mut self.data[side];
            let before = data.unique;
            let shift = data.absorb(&other.data[side], base);
            other.subflows.iter_mut().for_each(|subflow| subflow.halves[side].shift_positions(shift));
            other.checksums[side].shift_positions(shift);
            let carried = share_out(&mut other.subflows, side, data.unique - before);
            data.unique = before + carried;
        }
        other.subflows.drain(..).for_each(|subflow| self.add_subflow(subflow));
        for side in Side::BOTH {
            if let Some(checksums) = other.checksums[side].written() {
                self.checksums[side].absorb(checksums, base);
            }
        }
        self.addresses.append(&mut other.addresses);
        if self.addresses.len() > limits::ADDRESSES {
            self.seldom.left_out.addresses += (self.addresses.len() - limits::ADDRESSES) as u64;
            self.addresses.truncate(limits::ADDRESSES);
        }
        if let Some(seldom) = other.seldom.written() {
            self.seldom.absorb(seldom, base);
        }
        self.segments += other.segments;
        if other.first.time < self.first.time {
            self.first = other.first;
        }
        if other.last.time > self.last.time {
            self.last = other.last;
        }
        self.look_whether_closed();
    }
}

/// Only `gained` of the bytes that `moved` carried first are new to the connection; the rest it had from others. Gives how many
/// are left to them.
fn share_out(moved: &mut [Subflow], side: Side, gained: u64) -> u64 {
    let carried: u64 = moved.iter().map(|subflow| subflow.halves[side].data_bytes).sum();
    let mut twice = carried.saturating_sub(gained);
    for subflow in moved {
        let half = &mut subflow.halves[side];
        let part = twice.min(half.data_bytes);
        half.data_bytes -= part;
        if part > 0 {
            half.seldom.reinjected += part;
        }
        twice -= part;
    }
    carried.min(gained)
}

//! Connections that are over: no segment finds them any more, and the report tells of them all the same. A live capture that runs
//! for days has more of them than memory: then the oldest go.

use std::collections::{BTreeMap, VecDeque};

use super::connection::Connection;
use super::expire::Left;
use super::observer::ConnectionId;
use crate::limits;

/// Those that are kept.
#[derive(Default)]
pub(super) struct Retired {
    kept: BTreeMap<ConnectionId, (Box<Connection>, Left)>,
    /// In the order in which they left.
    order: VecDeque<ConnectionId>,
    /// As many as those whose handshake never completed: a flood of them pushes out none of the rest.
    half_open: VecDeque<ConnectionId>,
    /// Bytes that they take.
    bytes: usize,
}

impl Retired {
    /// Keeps one.
    pub(super) fn add(&mut self, connection: Box<Connection>, reason: Left) {
        self.bytes += connection.footprint();
        let order = if reason == Left::HalfOpen { &mut self.half_open } else { &mut self.order };
        order.push_back(connection.id);
        self.kept.insert(connection.id, (connection, reason));
    }

    /// Takes out one that is too much, if there is one.
    pub(super) fn shed(&mut self) -> Option<(Box<Connection>, Left)> {
        let id = if self.half_open.len() > limits::RETIRED_HALF_OPEN {
            self.half_open.pop_front()
        } else if self.order.len() > limits::RETIRED || self.bytes > limits::RETIRED_BYTES {
            self.order.pop_front().or_else(|| self.half_open.pop_front())
        } else {
            None
        };
        let (connection, reason) = self.kept.remove(&id?)?;
        self.bytes = self.bytes.saturating_sub(connection.footprint());
        Some((connection, reason))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// One of them.
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        if self.kept.is_empty() { None } else { self.kept.get(&id).map(|kept| &*kept.0) }
    }

    /// All of them, in order of their first packets.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.kept.values().map(|kept| &*kept.0)
    }
}

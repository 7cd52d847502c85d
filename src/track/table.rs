//! All connections by number, within bounds: of how many there are, of how far their numbers lie apart, and of the memory that
//! they take. Whoever adds one makes room first.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Place;
use super::connection::Connection;
use super::observer::ConnectionId;
use super::subflow::Subflow;
use crate::limits;

/// The table.
#[derive(Default)]
pub(crate) struct Connections {
    /// The number of the first slot: no connection before it is left.
    base: u64,
    slots: VecDeque<Option<Box<Connection>>>,
    /// Connections from the oldest on; some are gone.
    by_age: VecDeque<ConnectionId>,
    alive: usize,
    /// Bytes that connections were last found to take.
    bytes: usize,
    /// Views of connections at other taps.
    views: HashMap<ConnectionId, Vec<ConnectionId>, foldhash::fast::RandomState>,
}

impl Connections {
    #[inline]
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.get(self.slot(id)?)?.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slot(id)?;
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    #[inline]
    fn slot(&self, id: ConnectionId) -> Option<usize> {
        u64::from(id).checked_sub(self.base).map(|slot| slot as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().flatten().map(|connection| &**connection)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.slots.iter_mut().flatten().map(|connection| &mut **connection)
    }

    /// The number of the next connection; `None` after 2^32 of them.
    pub(crate) fn next_id(&self) -> Option<ConnectionId> {
        ConnectionId::try_from(self.base + self.slots.len() as u64).ok()
    }

    /// One past the number of the last connection.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    /// The subflow of a place.
    pub(crate) fn subflow(&self, place: Place) -> Option<&Subflow> {
        self.get(place.connection)?.subflows.get(usize::from(place.subflow))
    }

    /// As [`Connections::subflow`].
    pub(crate) fn subflow_mut(&mut self, place: Place) -> Option<&mut Subflow> {
        self.get_mut(place.connection)?.subflows.get_mut(usize::from(place.subflow))
    }

    /// Connections held.
    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// The first connection held from number `from` on.
    pub(crate) fn next_held(&self, from: u64) -> Option<&Connection> {
        let skip = from.saturating_sub(self.base) as usize;
        self.slots.iter().skip(skip).find_map(Option::as_deref)
    }

    /// Adds the connection with the number [`Connections::next_id`].
    pub(crate) fn push(&mut self, connection: Box<Connection>) {
        self.by_age.push_back(connection.id);
        self.slots.push_back(Some(connection));
        self.alive += 1;
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let slot = self.slot(id)?;
        let taken = self.slots.get_mut(slot)?.take()?;
        self.alive -= 1;
        self.bytes = self.bytes.saturating_sub(taken.accounted);
        self.views.remove(&id);
        while self.by_age.front().is_some_and(|&id| self.get(id).is_none()) {
            self.by_age.pop_front();
        }
        while matches!(self.slots.front(), Some(None)) {
            self.slots.pop_front();
            self.base += 1;
        }
        Some(taken)
    }

    /// Two connections change places; their ids stay with them.
    pub(crate) fn exchange(&mut self, one: ConnectionId, other: ConnectionId) {
        let slots = self.slot(one).zip(self.slot(other));
        if let Some((one, other)) = slots.filter(|&(one, other)| one.max(other) < self.slots.len()) {
            self.slots.swap(one, other);
        }
    }

    /// Notes that `view` shows `of` at another tap.
    pub(crate) fn add_view(&mut self, of: ConnectionId, view: ConnectionId) {
        let mut views = self.views.remove(&of).unwrap_or_default();
        views.retain(|&view| self.get(view).is_some());
        views.push(view);
        self.views.insert(of, views);
    }

    /// The views of a connection.
    pub(crate) fn views_of(&self, of: ConnectionId) -> impl Iterator<Item = &Connection> {
        self.views.get(&of).into_iter().flatten().filter_map(|&view| self.get(view))
    }

    /// Measures a connection again.
    #[cold]
    #[inline(never)]
    pub(crate) fn account(&mut self, id: ConnectionId) {
        let Some(connection) = self.get_mut(id) else { return };
        let before = connection.accounted;
        connection.accounted = connection.footprint();
        // Measuring looks at every subflow: the more there are, the more segments come in between.
        let pause = connection.segments.min(64).max(8 * connection.subflows.len() as u64);
        connection.due_at = connection.segments + pause;
        let now = connection.accounted;
        self.bytes = (self.bytes + now).saturating_sub(before);
    }

    /// Counts what a connection is known to have grown by.
    pub(crate) fn grow(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(connection) = self.get_mut(id) {
            connection.accounted += bytes;
            self.bytes += bytes;
        }
    }

    /// Whether a limit is passed, so that something should go.
    #[inline]
    pub(crate) fn is_full(&self, connections: usize) -> bool {
        self.alive >= connections.max(1)
            || self.slots.len() >= limits::CONNECTION_SPAN
            || self.bytes > limits::CONNECTION_BYTES
    }

    /// What to give up: of the oldest connections, one that was never answered, else one that is closed, else the oldest.
    /// Where one takes more than its share of the memory, that one; and the oldest, where numbers lie too far apart.
    pub(crate) fn victim(&mut self) -> Option<ConnectionId> {
        while self.by_age.front().is_some_and(|&id| self.get(id).is_none()) {
            self.by_age.pop_front();
        }
        let span = self.slots.len() >= limits::CONNECTION_SPAN;
        let window = || self.by_age.iter().take(if span { 1 } else { limits::EVICTION_WINDOW });
        let find = |useless: fn(&Connection) -> bool| window().position(|&id| self.get(id).is_none_or(useless));
        let index = find(|connection| connection.accounted > limits::CONNECTION_BYTES / 16)
            .or_else(|| find(|connection| connection.subflows.iter().all(|subflow| subflow.syn_ack.is_none())))
            .or_else(|| find(Connection::is_closed))
            .unwrap_or(0);
        self.by_age.remove(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::mark::Moment;

    fn table(count: u32) -> Connections {
        let mut table = Connections::default();
        for id in 0..count {
            assert_eq!(table.next_id(), Some(id));
            table.push(Box::new(Connection::new(
                id,
                Moment {
                    frame: crate::frame::FrameId { number: 1, input: 0 }.into(),
                    time: crate::frame::Timestamp::default(),
                },
                0,
            )));
        }
        table
    }

    #[test]
    fn numbers_stay_when_connections_go() {
        let mut table = table(5);
        assert!(table.take(0).is_some() && table.take(0).is_none() && table.take(2).is_some());
        assert_eq!(table.iter().map(|connection| connection.id).collect::<Vec<_>>(), [1, 3, 4]);
        assert!(table.take(1).is_some());
        assert_eq!((table.get(1).map(|c| c.id), table.get(3).map(|c| c.id)), (None, Some(3)));
        assert_eq!(table.next_id(), Some(5));
    }

    #[test]
    fn what_is_gone_is_no_victim() {
        let mut table = table(3);
        table.take(0);
        assert_eq!(table.victim(), Some(1));
        table.take(1);
        assert_eq!(table.victim(), Some(2));
        table.take(2);
        assert_eq!(table.victim(), None);
    }
}

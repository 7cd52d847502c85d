//! From places in data streams to connections: for subflows whose handshake was not captured. Numbers of 64 bits that start at
//! random do not meet by chance.

use super::candidates::Candidates;
use super::connection::Connection;
use super::observer::ConnectionId;
use super::side::Side;
use crate::limits;

/// Where the streams of connections are. Kept from the first subflow on that needs it: most captures have none.
#[derive(Default)]
pub(crate) struct Streams {
    kept: bool,
    /// By the high half of their DSNs.
    by_high_half: Candidates,
    /// Connections that began before the capture; one more than [`limits::EARLY`] at the most.
    early: Vec<ConnectionId>,
}

impl Streams {
    /// Whether they are kept.
    #[inline]
    pub(crate) fn are_kept(&self) -> bool {
        self.kept
    }

    /// Keeps them from now on, those of these connections first.
    pub(crate) fn keep<'a>(&mut self, connections: impl Iterator<Item = &'a mut Connection>) {
        self.kept = true;
        connections.for_each(|connection| self.learn(connection));
    }

    /// Takes note of the streams of a connection whose DSNs became known.
    pub(crate) fn learn(&mut self, connection: &mut Connection) {
        if connection.view_of.is_some() || connection.orphan {
            return;
        }
        for side in Side::BOTH {
            if connection.stream_kept[side] {
                continue;
            }
            let Some(high) = connection.data[side].high_half() else { continue };
            connection.stream_kept[side] = true;
            self.by_high_half.insert(high, connection.id, side);
        }
    }

    /// A connection began before the capture.
    pub(crate) fn note_early(&mut self, id: ConnectionId) {
        if self.early.len() <= limits::EARLY {
            self.early.push(id);
        }
    }

    /// Those that began before the capture, if they are few.
    pub(crate) fn few_early(&self) -> &[ConnectionId] {
        if self.early.len() <= limits::EARLY { &self.early } else { &[] }
    }

    /// Forgets a connection.
    pub(crate) fn forget(&mut self, connection: &Connection) {
        // Once there are too many, it stays so: those left out are not known.
        if self.early.len() <= limits::EARLY {
            self.early.retain(|&id| id != connection.id);
        }
        // A key that came late may have moved the beginning: what is left then leads nowhere.
        let kept = Side::BOTH.into_iter().filter(|&side| connection.stream_kept[side]);
        for high in kept.filter_map(|side| connection.data[side].high_half()) {
            self.by_high_half.remove(high, connection.id);
        }
    }

    /// Streams that may reach this DSN, latest first: those that began in the same stretch of 2^32, or the one before.
    pub(crate) fn candidates(&self, dsn: u64) -> impl Iterator<Item = (ConnectionId, Side)> {
        let high = (dsn >> 32) as u32;
        [high, high.wrapping_sub(1)].into_iter().flat_map(|high| self.by_high_half.with(high))
    }
}

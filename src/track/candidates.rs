//! From 32 bits to the ends of connections that have them: most numbers are of one only, but they collide, and are used again.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::observer::ConnectionId;
use super::side::Side;
use crate::limits;

/// Ends of connections, by a number.
#[derive(Default)]
pub(crate) struct Candidates {
    /// The latest; most numbers have one only.
    latest: HashMap<u32, (ConnectionId, Side), foldhash::fast::RandomState>,
    /// Further ones, oldest first.
    more: HashMap<u32, Vec<(ConnectionId, Side)>, foldhash::fast::RandomState>,
}

impl Candidates {
    /// Takes note of an end. Of too many with the same number the oldest is forgotten. Gives whether there are others.
    pub(crate) fn insert(&mut self, number: u32, id: ConnectionId, side: Side) -> bool {
        match self.latest.entry(number) {
            Entry::Vacant(place) => {
                place.insert((id, side));
                false
            }
            Entry::Occupied(mut latest) if *latest.get() != (id, side) => {
                let more = self.more.entry(number).or_default();
                if !more.contains(&(id, side)) {
                    more.push(latest.insert((id, side)));
                    if more.len() > limits::SAME_NUMBER {
                        more.remove(0);
                    }
                }
                true
            }
            Entry::Occupied(_) => self.more.contains_key(&number),
        }
    }

    /// Forgets a connection's ends with this number.
    pub(crate) fn remove(&mut self, number: u32, id: ConnectionId) {
        let is_latest = self.latest.get(&number).is_some_and(|known| known.0 == id);
        let mut next = None;
        if let Some(more) = self.more.get_mut(&number) {
            more.retain(|known| known.0 != id);
            next = if is_latest { more.pop() } else { None };
            if more.is_empty() {
                self.more.remove(&number);
            }
        }
        match next {
            _ if !is_latest => {}
            Some(next) => drop(self.latest.insert(number, next)),
            None => drop(self.latest.remove(&number)),
        }
    }

    /// The ends with this number, latest first.
    pub(crate) fn with(&self, number: u32) -> impl Iterator<Item = (ConnectionId, Side)> {
        let more = self.more.get(&number).into_iter().flat_map(|list| list.iter().rev());
        self.latest.get(&number).into_iter().chain(more).copied()
    }
}

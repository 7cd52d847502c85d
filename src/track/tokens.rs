//! From tokens to connections. Tokens collide, and keys are used again: candidates are kept, and the HMAC decides.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::connection::Connection;
use super::observer::ConnectionId;
use super::side::Side;
use crate::crypto::Token;
use crate::limits;

/// Which connections have an end with a token.
#[derive(Default)]
pub(crate) struct TokenTable {
    /// The latest connection; most tokens have one only.
    latest: HashMap<u32, (ConnectionId, Side), foldhash::fast::RandomState>,
    /// How many groups of orphans were put in.
    pub(crate) orphans: usize,
    /// Further ones, oldest first.
    more: HashMap<u32, Vec<(ConnectionId, Side)>, foldhash::fast::RandomState>,
}

impl TokenTable {
    /// Takes note of the tokens of a connection whose keys became known.
    pub(crate) fn learn(&mut self, connection: &mut Connection, id: ConnectionId) {
        for side in Side::BOTH {
            if let Some(token) = connection.ends[side].others.written().and_then(|others| others.dropped.take()) {
                self.remove(token, id);
            }
            if let Some(token) = connection.ends[side].token() {
                self.insert(token, id, side);
            }
        }
    }

    /// Takes note of one token.
    pub(crate) fn insert(&mut self, token: Token, id: ConnectionId, side: Side) {
        match self.latest.entry(token.0) {
            Entry::Vacant(place) => drop(place.insert((id, side))),
            Entry::Occupied(mut latest) if *latest.get() != (id, side) => {
                let more = self.more.entry(token.0).or_default();
                if more.contains(&(id, side)) {
                    return;
                }
                more.push(latest.insert((id, side)));
                if more.len() > limits::SAME_TOKEN {
                    more.remove(0);
                }
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Forgets a connection.
    pub(crate) fn forget(&mut self, connection: &Connection) {
        let counted = connection.orphan && connection.view_of.is_none() && !connection.is_nameless();
        self.orphans = self.orphans.saturating_sub(usize::from(counted));
        for end in [&connection.ends.client, &connection.ends.server] {
            let keys = end.others.known.iter().map(|known| known.identity.token);
            for token in end.token().into_iter().chain(end.token_named).chain(keys) {
                self.remove(token, connection.id);
            }
        }
    }

    fn remove(&mut self, token: Token, id: ConnectionId) {
        let is_latest = self.latest.get(&token.0).is_some_and(|known| known.0 == id);
        let mut next = None;
        if let Some(more) = self.more.get_mut(&token.0) {
            more.retain(|known| known.0 != id);
            next = if is_latest { more.pop() } else { None };
            if more.is_empty() {
                self.more.remove(&token.0);
            }
        }
        match next {
            _ if !is_latest => {}
            Some(next) => drop(self.latest.insert(token.0, next)),
            None => drop(self.latest.remove(&token.0)),
        }
    }

    /// The connections with this token, latest first, and which end has it.
    pub(crate) fn candidates(&self, token: Token) -> impl Iterator<Item = (ConnectionId, Side)> {
        let more = self.more.get(&token.0).into_iter().flat_map(|list| list.iter().rev());
        self.latest.get(&token.0).into_iter().chain(more).copied()
    }
}

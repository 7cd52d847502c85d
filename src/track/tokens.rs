//! From tokens to connections. Tokens collide, and keys are used again: candidates are kept, and the HMAC decides.

use super::candidates::Candidates;
use super::connection::Connection;
use super::observer::ConnectionId;
use super::side::Side;
use crate::crypto::Token;

/// Which connections have an end with a token.
#[derive(Default)]
pub(crate) struct TokenTable {
    by_token: Candidates,
    /// How many groups of orphans were put in.
    pub(crate) orphans: usize,
}

impl TokenTable {
    /// Takes note of the tokens of a connection whose keys became known. Gives whether another has one of them.
    pub(crate) fn learn(&mut self, connection: &mut Connection, id: ConnectionId) -> bool {
        let mut shared = false;
        for side in Side::BOTH {
            if let Some(token) = connection.ends[side].others.written().and_then(|others| others.dropped.take()) {
                self.remove(token, id);
            }
            if let Some(token) = connection.ends[side].token() {
                shared |= self.insert(token, id, side);
            }
        }
        shared
    }

    /// Takes note of one token. Gives whether another connection has it.
    pub(crate) fn insert(&mut self, token: Token, id: ConnectionId, side: Side) -> bool {
        self.by_token.insert(token.0, id, side)
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
        self.by_token.remove(token.0, id);
    }

    /// The connections with this token, latest first, and which end has it.
    pub(crate) fn candidates(&self, token: Token) -> impl Iterator<Item = (ConnectionId, Side)> {
        self.by_token.with(token.0)
    }
}

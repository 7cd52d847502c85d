//! Keys given by hand: they prove what a handshake outside the capture would have. They are tried once everything has been
//! seen, on connections and joins that lack a key.

use super::Tracker;
use super::connection::Connection;
use super::keys::{Dialect, KeySource};
use super::observer::ConnectionId;
use super::side::Side;
use crate::crypto::{Identity, Key, identify};

/// A key given by hand.
struct Given {
    key: Key,
    /// What it makes of an end by the rules of each version.
    identities: [(Dialect, Identity); 2],
}

impl Given {
    fn new(key: Key) -> Self {
        let by = |dialect: Dialect| (dialect, identify(dialect.suite(), key));
        Self { key, identities: [by(Dialect::Rfc8684), by(Dialect::Rfc6824)] }
    }
}

impl Tracker {
    /// Tries the given keys wherever a key is missing. Connections come first: what they learn brings them joins, and what is
    /// left of these can be proven alone.
    pub(super) fn try_given_keys(&mut self) {
        if self.config.keys.is_empty() {
            return;
        }
        let given: Vec<Given> = self.config.keys.iter().copied().map(Given::new).collect();
        let lacking = |state: &&Connection| {
            state.view_of.is_none() && (state.ends.client.key.is_none() || state.ends.server.key.is_none())
        };
        let ids = |orphan: bool| {
            let of_kind = self.connections.iter().filter(lacking).filter(move |state| state.orphan == orphan);
            of_kind.map(|state| state.id)
        };
        let all: Vec<ConnectionId> = ids(false).chain(ids(true)).collect();
        for id in all {
            // Joins that the first key brought may prove the second.
            while self.try_on(id, &given) {}
        }
    }

    /// Whether a connection took a given key for its own.
    fn try_on(&mut self, id: ConnectionId, given: &[Given]) -> bool {
        let Some(state) = self.connections.get_mut(id) else { return false };
        let mut learned = false;
        for side in Side::BOTH {
            learned |= state.learn_given(side, given);
        }
        if learned && !state.orphan {
            self.tokens.learn(state, id);
            self.adopt_orphans(id);
        }
        learned
    }
}

impl Connection {
    /// Takes the given key that is the missing one of `side`.
    fn learn_given(&mut self, side: Side, given: &[Given]) -> bool {
        if self.ends[side].key.is_some() {
            return false;
        }
        let fits = |given: &Given| Some((given.key, self.dialect_of_given(side, given)?));
        let Some((key, dialect)) = given.iter().find_map(fits) else { return false };
        self.dialect = Some(dialect);
        self.ends[side].learn(key, dialect.suite(), KeySource::CommandLine, None);
        self.keys_changed(side);
        true
    }

    /// The rules by which a given key is that of `side`: by its token, by its IDSN, or by the HMAC of a join.
    fn dialect_of_given(&self, side: Side, given: &Given) -> Option<Dialect> {
        let known = self.dialect;
        let mut possible = given
            .identities
            .iter()
            .map(|(dialect, identity)| (known.unwrap_or(*dialect), dialect.suite(), identity))
            .filter(|(dialect, suite, _)| dialect.suite() == *suite);
        let right = |(dialect, _, identity): &(Dialect, _, &Identity)| {
            self.is_identity_of(side, identity) || self.joins_prove(side, given.key, *dialect)
        };
        possible.find(right).map(|(dialect, _, _)| dialect)
    }

    /// Whether the HMAC of a join is right if `key` is that of `side`.
    fn joins_prove(&self, side: Side, key: Key, dialect: Dialect) -> bool {
        let Some(peer) = self.ends[side.peer()].key.map(|known| known.key) else { return false };
        self.subflows.iter().any(|subflow| {
            let (initiator, responder) = if subflow.initiator == side { (key, peer) } else { (peer, key) };
            subflow.join.as_ref().is_some_and(|join| {
                let proof = join.verify(Some(dialect.suite()), Some(initiator), Some(responder), None, self.orphan);
                proof.syn_ack.is_verified() || proof.ack.is_verified()
            })
        })
    }
}

//! Keys given by hand: they prove what a handshake outside the capture would have. They are tried once everything has been
//! seen, on connections and joins that lack a key.

use super::Tracker;
use super::connection::Connection;
use super::keys::{Dialect, EndIdentity, KeySource, KnownKey};
use super::observer::{ConnectionId, Observer};
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
    pub(super) fn try_given_keys<O: Observer>(&mut self, observer: &mut O) {
        if self.config.keys.is_empty() {
            return;
        }
        let given: Vec<Given> = self.config.keys.iter().copied().map(Given::new).collect();
        let open = |end: &EndIdentity| end.key.is_none_or(|known| known.source == KeySource::Fastclose);
        let lacking =
            |state: &&Connection| state.view_of.is_none() && (open(&state.ends.client) || open(&state.ends.server));
        let ids = |orphan: bool| {
            let of_kind = self.connections.iter().filter(lacking).filter(move |state| state.orphan == orphan);
            of_kind.map(|state| state.id)
        };
        let all: Vec<ConnectionId> = ids(false).chain(ids(true)).collect();
        for id in all {
            // Joins that the first key brought may prove the second.
            while self.try_on(id, &given) {}
        }
        self.unite_by_keys(&given, observer);
    }

    /// Given keys that no connection has.
    pub fn keys_that_fit_nothing(&self) -> Vec<Key> {
        let has = |state: &Connection, key: Key| {
            Side::BOTH.into_iter().any(|side| state.ends[side].key.is_some_and(|known| known.key == key))
        };
        let fits_nothing = |key: &Key| !self.connections().any(|state| has(state, *key));
        self.config.keys.iter().copied().filter(fits_nothing).collect()
    }

    /// Whether a connection took a given key for its own.
    fn try_on(&mut self, id: ConnectionId, given: &[Given]) -> bool {
        let Some(state) = self.connections.get_mut(id) else { return false };
        let mut learned = false;
        for side in Side::BOTH {
            learned |= state.learn_given(side, given, &self.config.pairs);
        }
        if learned && !state.orphan {
            self.tokens.learn(state, id);
            self.adopt_orphans(id);
        }
        learned
    }

    /// What began in the middle as several connections is one where the same given key proves them.
    fn unite_by_keys<O: Observer>(&mut self, given: &[Given], observer: &mut O) {
        let mut known: Vec<(Key, ConnectionId, Side)> = Vec::new();
        let began_earlier =
            |state: &&Connection| state.view_of.is_none() && !state.orphan && state.handshake.syn.is_none();
        let all: Vec<ConnectionId> = self.connections.iter().filter(began_earlier).map(|state| state.id).collect();
        for id in all {
            let Some(state) = self.connections.get_mut(id) else { continue };
            let shown = |side: Side| {
                state.ends[side]
                    .key
                    .filter(|known| known.source == KeySource::CommandLine)
                    .map(|known| (known.key, side))
            };
            let keys: Vec<(Key, Side)> = Side::BOTH.into_iter().filter_map(shown).collect();
            let same = |&(key, side): &(Key, Side)| {
                known.iter().find(|known| known.0 == key).map(|known| (known.1, known.2 == side))
            };
            let Some((into, as_it_is)) = keys.iter().find_map(same) else {
                known.extend(keys.into_iter().map(|(key, side)| (key, id, side)));
                continue;
            };
            let at = state.last;
            self.unite(id, into, if as_it_is { Side::Server } else { Side::Client }, at, observer);
            // What the part brought may prove the other key, as it did for the part.
            while self.try_on(into, given) {}
        }
    }
}

impl Connection {
    /// Takes the given key that is the missing one of `side`.
    fn learn_given(&mut self, side: Side, given: &[Given], pairs: &[[Key; 2]]) -> bool {
        if let Some(known) = self.ends[side].key {
            return self.confirm_fastclose(&known, given);
        }
        let fits = |given: &Given| Some((given.key, self.dialect_of_given(side, given)?));
        let found = given.iter().find_map(fits).or_else(|| self.pair_of(side, given, pairs));
        let Some((key, dialect)) = found else { return false };
        self.dialect = Some(dialect);
        self.ends[side].learn(key, dialect.suite(), KeySource::CommandLine, None);
        self.keys_changed(side);
        true
    }

    /// A key that only MP_FASTCLOSE showed is right if it was given, too.
    fn confirm_fastclose(&mut self, known: &KnownKey, given: &[Given]) -> bool {
        if known.source == KeySource::Fastclose
            && given.iter().any(|given| given.key == known.key)
            && let Some(seldom) = self.seldom.written()
            && let Some((_, _, right @ None)) = &mut seldom.fastclose
        {
            *right = Some(true);
        }
        false
    }

    /// The key that was given in a pair with the peer's, if nothing seen contradicts it.
    fn pair_of(&self, side: Side, given: &[Given], pairs: &[[Key; 2]]) -> Option<(Key, Dialect)> {
        let (peer, dialect) = (self.ends[side.peer()].key?.key, self.dialect?);
        let mut keys = pairs.iter().filter_map(|&[one, other]| match peer {
            _ if peer == one => Some(other),
            _ if peer == other => Some(one),
            _ => None,
        });
        keys.find_map(|key| {
            let given = given.iter().find(|given| given.key == key)?;
            let (_, identity) = given.identities.iter().find(|(by, _)| by.suite() == dialect.suite())?;
            self.data[side].may_follow(identity.idsn).then_some((key, dialect))
        })
    }

    /// The rules by which a given key is that of `side`: by its token, by its IDSN, by the HMAC of a join, or by
    /// checksums.
    fn dialect_of_given(&self, side: Side, given: &Given) -> Option<Dialect> {
        let known = self.dialect;
        let mut possible = given
            .identities
            .iter()
            .map(|(dialect, identity)| (known.unwrap_or(*dialect), dialect.suite(), identity))
            .filter(|(dialect, suite, _)| dialect.suite() == *suite);
        let right = |(dialect, _, identity): &(Dialect, _, &Identity)| {
            self.is_identity_of(side, identity)
                || self.joins_prove(side, given.key, *dialect)
                || self.checksums_prove(side, identity)
        };
        possible.find(right).map(|(dialect, _, _)| dialect)
    }

    /// Whether checksums, in which the whole DSN counts, are right if this is the identity of `side`: more than one, as one in
    /// 2^16 is right by chance.
    fn checksums_prove(&self, side: Side, identity: &Identity) -> bool {
        let halves = self.data[side].high_halves(identity.idsn);
        halves.is_some_and(|(high, made_up)| self.checksums[side].right_with(high, made_up) > 1)
    }

    /// Whether the HMAC of a join is right if `key` is that of `side`.
    fn joins_prove(&self, side: Side, key: Key, dialect: Dialect) -> bool {
        let Some(peer) = self.key_of(side.peer()) else { return false };
        self.subflows.iter().any(|subflow| {
            let (initiator, responder) = if subflow.initiator == side { (key, peer) } else { (peer, key) };
            subflow.join.as_ref().is_some_and(|join| {
                let proof = join.verify(Some(dialect.suite()), Some(initiator), Some(responder), None, self.orphan);
                proof.syn_ack.is_verified() || proof.ack.is_verified()
            })
        })
    }
}

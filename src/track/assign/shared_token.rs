//! A token that live connections with different keys have: a join that names it is kept apart until its HMAC says whose it is.

use super::Arrival;
use super::join::fittest;
use crate::crypto::{Key, Nonce, Token};
use crate::track::connection::Connection;
use crate::track::keys::Dialect;
use crate::track::observer::{ConnectionId, Observer};
use crate::track::side::Side;
use crate::track::subflow::{Join, JoinProof, Subflow};
use crate::track::{Place, Tracker};
use crate::wire::MpJoin;

impl Tracker {
    /// Whether live connections with different keys have this token.
    pub(super) fn is_shared(&self, token: Token) -> bool {
        let mut live = self.owners(token).filter(|(state, _)| !state.is_closed()).filter_map(|(state, _)| keys(state));
        live.next().is_some_and(|first| live.any(|other| other != first))
    }

    /// Where a join with this nonce already is.
    pub(super) fn known_join(&mut self, token: Token, nonce: Nonce) -> Option<(ConnectionId, Side)> {
        let all: Vec<_> = self.tokens.candidates(token).collect();
        all.into_iter().find(|found| {
            self.connections.get_mut(found.0).is_some_and(|state| state.with_nonce(token, nonce).is_some())
        })
    }

    /// The connection whose keys an HMAC of this join proves, and which end it joins.
    pub(super) fn proven_owner(&self, token: Token, join: &Join) -> Option<(ConnectionId, Side)> {
        let is_proven = |proof: JoinProof| proof.syn_ack.is_verified() || proof.ack.is_verified();
        let proven = self.owners(token).filter(|&(state, joined)| is_proven(proof(state, joined, join)));
        let (live, closed): (Vec<_>, Vec<_>) = proven.partition(|(state, _)| !state.is_closed());
        live.into_iter().chain(closed).next().map(|(state, joined)| (state.id, joined))
    }

    /// The place of a SYN/ACK or third ACK of a join that is kept apart, if its HMAC proves the keys of a connection.
    #[cold]
    pub(in crate::track) fn by_hmac<O: Observer>(
        &mut self,
        place: Place,
        arrival: &Arrival<'_, '_>,
        observer: &mut O,
    ) -> Option<Place> {
        let orphan = self.connection(place.connection).filter(|state| state.orphan && state.view_of.is_none())?;
        let token = orphan.ends.server.token_named?;
        let mut join = Join::clone(orphan.subflows.get(usize::from(place.subflow))?.join.as_deref()?);
        match *arrival.options.join()? {
            MpJoin::Syn { .. } => return None,
            MpJoin::SynAck { hmac, nonce, .. } => {
                (join.syn_ack_hmac, join.responder_nonce) = (Some(hmac), Some(nonce));
            }
            MpJoin::Ack { hmac, .. } => join.ack_hmac = Some(hmac),
        }
        let (connection, joined) = self.proven_owner(token, &join)?;
        self.move_part(place, (connection, joined), arrival.at, observer)
    }

    /// Whether orphans that name the token of `joined` may become joins of this connection: an HMAC proves that they are, or
    /// nothing speaks for another.
    pub(in crate::track) fn may_adopt(&self, orphan: ConnectionId, id: ConnectionId, joined: Side) -> bool {
        let (Some(orphan), Some(state)) = (self.connection(orphan), self.connection(id)) else { return false };
        let mut open = true;
        for join in orphan.subflows.iter().filter_map(|subflow| subflow.join.as_deref()) {
            let JoinProof { syn_ack, ack, .. } = proof(state, joined, join);
            if syn_ack.is_verified() || ack.is_verified() {
                return true;
            }
            open &= !syn_ack.is_mismatch() && !ack.is_mismatch();
        }
        open && !orphan.ends.server.token_named.is_some_and(|token| self.is_shared(token))
    }

    /// The capture has ended: joins that no HMAC placed go where their addresses fit best.
    #[cold]
    pub(in crate::track) fn place_shared<O: Observer>(&mut self, observer: &mut O) {
        let apart = self.connections.iter().filter(|state| state.orphan && state.view_of.is_none());
        let named: Vec<_> = apart.filter_map(|state| Some((state.id, state.ends.server.token_named?))).collect();
        for (orphan, token) in named {
            let Some(join) = self.connection(orphan).and_then(|state| state.subflows.first()) else { continue };
            let found = fittest(self.owners(token), ends_of(join));
            let at = self.connection(orphan).map(|state| state.last);
            if let (Some((connection, joined)), Some(at)) = (found, at) {
                let place = Place { connection: orphan, subflow: 0, from: Side::Client };
                self.move_part(place, (connection, joined), at, observer);
            }
        }
    }

    /// Connections that have this token, and which end: no views, no orphans that only name it.
    fn owners(&self, token: Token) -> impl Iterator<Item = (&Connection, Side)> {
        let all = self.tokens.candidates(token).filter_map(|(id, side)| Some((self.connection(id)?, side)));
        all.filter(|(state, _)| state.view_of.is_none() && !state.orphan)
    }
}

/// The addresses of the end that joins and of the end that is joined.
fn ends_of(join: &Subflow) -> (std::net::IpAddr, std::net::IpAddr) {
    (join.address_of(Side::Client).0, join.address_of(Side::Server).0)
}

fn keys(state: &Connection) -> Option<[Key; 2]> {
    Some([state.key_of(Side::Client)?, state.key_of(Side::Server)?])
}

/// What the HMACs of a join say if it joins that end of a connection.
fn proof(state: &Connection, joined: Side, join: &Join) -> JoinProof {
    join.verify(state.dialect.map(Dialect::suite), state.key_of(joined.peer()), state.key_of(joined), None, false)
}

//! The subflows of a connection as a list: honest ones have a few, an attacker with a token can open hundreds, and none of
//! these steps may cost more for it.

use super::Connection;
use crate::crypto::{Nonce, Token};
use crate::track::subflow::Subflow;

impl Connection {
    /// Whether all subflows are closed. One that was found open is looked at first the next time: of hundreds that close one
    /// by one, not all are looked at for each.
    pub(super) fn all_closed(&mut self) -> bool {
        let is_open = |subflow: &Subflow| !subflow.is_closed();
        if self.subflows.get(usize::from(self.open)).is_some_and(is_open) {
            return false;
        }
        let open = self.subflows.iter().position(is_open);
        self.open = open.unwrap_or(0) as u16;
        open.is_none()
    }

    /// It is closed if all its subflows are: some were added.
    pub(in crate::track) fn look_whether_closed(&mut self) {
        self.closed = self.all_closed();
    }

    /// Adds a subflow. Most connections have one or two, and a subflow is large: room is made for no more than needed.
    pub(crate) fn add_subflow(&mut self, subflow: Subflow) {
        if self.subflows.len() == self.subflows.capacity() {
            self.subflows.reserve_exact(self.subflows.len().max(1));
        }
        let nonce = nonce_of(&subflow);
        self.subflows.push(subflow);
        if self.seldom.nonces.len() + 1 == self.subflows.len() && self.subflows.len() > Self::MANY {
            self.seldom.nonces.push(nonce);
        }
    }

    /// `initial` or `join`; none where no handshake was captured that tells.
    pub fn role_of(&self, subflow: &Subflow) -> Option<&'static str> {
        let shown = subflow.role_shown || self.initial().is_some_and(|initial| initial.role_shown);
        shown.then_some(if subflow.join.is_some() { "join" } else { "initial" })
    }

    /// Subflows from which on their nonces are kept beside them, to be looked through.
    const MANY: usize = 16;

    /// The subflow that was joined with this token and nonce.
    pub(in crate::track) fn with_nonce(&mut self, token: Token, nonce: Nonce) -> Option<u16> {
        let many = self.subflows.len() > Self::MANY;
        if many && self.seldom.nonces.len() != self.subflows.len() {
            self.seldom.nonces = self.subflows.iter().map(nonce_of).collect();
        }
        let alike = |index: &usize| !many || self.seldom.nonces.get(*index) == Some(&Some(nonce));
        let named = |index: &usize| {
            let join = self.subflows.get(*index).and_then(|subflow| subflow.join.as_deref());
            join.is_some_and(|join| join.token == Some(token) && join.initiator_nonce == Some(nonce))
        };
        (0..self.subflows.len()).filter(alike).find(named).map(|index| index as u16)
    }
}

fn nonce_of(subflow: &Subflow) -> Option<Nonce> {
    subflow.join.as_ref()?.initiator_nonce
}

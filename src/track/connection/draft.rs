//! The multipath-tcp.org kernel's version 1, told from RFC 8684 where its SYN was not captured: SYN/ACK and third ACK look alike,
//! and the first data sequence number shows by which hash the key gives it.

use super::Connection;
use crate::crypto::identify;
use crate::track::keys::Dialect;
use crate::track::side::Side;
use crate::wire::RawSequence;

impl Connection {
    /// The first DSN or DATA_ACK seen of `side` is not IDSN + 1 by the rules that its MP_CAPABLE suggests: where they rest on no
    /// SYN, they are the draft's if it is IDSN + 1 by SHA-1.
    #[cold]
    pub(super) fn try_draft(&mut self, side: Side, first: RawSequence) {
        let Some(known) = self.ends[side].key.filter(|_| self.may_be_draft()) else { return };
        if first.is_of(identify(Dialect::DraftV1.suite(), known.key).first_dsn()) {
            self.become_draft();
            self.ends[side].proven = true;
        }
    }

    /// Version 1 is known, and no SYN showed which.
    pub(super) fn may_be_draft(&self) -> bool {
        self.dialect == Some(Dialect::Rfc8684) && self.handshake.syn.is_none()
    }

    /// The rules are the draft's: tokens and IDSNs are others.
    pub(super) fn become_draft(&mut self) {
        self.dialect = Some(Dialect::DraftV1);
        for side in Side::BOTH {
            self.ends[side].identify_anew(Dialect::DraftV1.suite());
            self.keys_changed(side);
        }
    }
}

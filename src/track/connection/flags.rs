//! What the flags of MP_CAPABLE ask for (RFC 8684 §3.1).

use super::Connection;
use crate::track::side::Side;
use crate::wire::MpCapable;

impl Connection {
    /// Whether this end asked for checksums (A); `None` where its MP_CAPABLE was not seen.
    pub fn asks_for_checksums(&self, side: Side) -> Option<bool> {
        self.ends[side].flags.map(|flags| flags & MpCapable::CHECKSUM_REQUIRED != 0)
    }

    /// Whether either side that was seen asked for checksums; `None` where no MP_CAPABLE was.
    pub fn checksum_in_use(&self) -> Option<bool> {
        match (self.asks_for_checksums(Side::Client), self.asks_for_checksums(Side::Server)) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(false) || b.unwrap_or(false)),
        }
    }

    /// Whether checksums must be used, as both ends know: `None` unless both flags were seen.
    pub fn checksum_agreed(&self) -> Option<bool> {
        let both = self.asks_for_checksums(Side::Client).zip(self.asks_for_checksums(Side::Server));
        both.map(|(client, server)| client || server)
    }

    /// Whether this end asked for no joins to the address and port of its initial subflow (C); `None` where its MP_CAPABLE was
    /// not seen. Version 0 has no such flag: there the bit stands for an algorithm (RFC 6824 §3.1).
    pub fn denies_join_id0(&self, side: Side) -> Option<bool> {
        let is_v0 = self.dialect.is_some_and(|dialect| dialect.version() == 0);
        self.ends[side].flags.map(|flags| !is_v0 && flags & MpCapable::DENY_JOIN_ID0 != 0)
    }

    /// The SYN/ACK has an MP_CAPABLE with which a client can only go on as TCP: the option must be ignored, or its
    /// version is another than the SYN's.
    pub(super) fn answer_is_void(&self) -> bool {
        let Some((answer, _)) = self.handshake.syn_ack else { return false };
        let other_version = self.handshake.syn.is_some_and(|(asked, _)| asked.version != answer.version);
        answer.is_void() || other_version
    }
}

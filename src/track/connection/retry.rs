//! A handshake that begins again: the initiator sent a RST at the SYN/ACK, or got one for its SYN, and sends the same SYN once
//! more, which is answered. So it goes where the answer comes in on another interface than the socket is bound to, and where a
//! device answers in the name of one end.

use super::Connection;
use crate::packet::Segment;
use crate::track::data::DataLevel;
use crate::track::half::Half;
use crate::track::keys::{EndIdentity, KeySource};
use crate::track::side::Side;
use crate::track::subflow::{Join, Subflow, SynSeen};

impl Subflow {
    /// Whether a SYN/ACK with this acknowledgement answers a SYN that was sent again after a RST, which therefore ended an attempt
    /// only.
    pub(in crate::track) fn begins_again(&self, ack: u32) -> bool {
        let Some(reset) = self.reset().filter(|_| !self.is_established()) else { return false };
        let again = |syn: &SynSeen| {
            syn.retransmissions() > 0 && syn.last().frame > reset.at.frame && ack == syn.seq.wrapping_add(1)
        };
        self.syn.as_ref().is_some_and(again)
    }

    /// Whether this is a copy of the SYN/ACK that comes when the handshake is complete and the subflow over: nobody waits for it,
    /// and it is no part of what it ends.
    #[cold]
    pub(super) fn is_answered_already(&self, segment: &Segment<'_>, side: Side) -> bool {
        let same = self.syn_ack.as_ref().is_some_and(|seen| seen.seq == segment.seq);
        let answers = segment.flags.ack() && side != self.initiator;
        answers && same && self.third_ack.is_some() && self.is_closed() && !self.begins_again(segment.ack)
    }
}

impl Connection {
    /// Forgets what the end that is asked said in an attempt that a RST ended.
    #[cold]
    pub(super) fn begin_again(&mut self, subflow: u16) {
        let Some(record) = self.subflows.get_mut(usize::from(subflow)) else { return };
        let responder = record.initiator.peer();
        let Some(reset) = record.seldom.reset.take() else { return };
        let before = record.seldom.attempts.map_or(0, |attempts| attempts.0);
        record.seldom.attempts = Some((before + 1, reset));
        (record.syn_ack, record.third_ack, record.third_ack_delay) = (None, None, 0);
        record.handshake_open = true;
        let half = &mut record.halves[responder];
        let segments = half.segments;
        *half = Half::default();
        half.segments = segments;
        record.update_carries();
        self.closed = false;
        if let Some(join) = &mut record.join {
            let Join { token, initiator_nonce, .. } = **join;
            **join = Join { token, initiator_nonce, ..Join::default() };
            return;
        }
        let handshake = &mut self.handshake;
        (handshake.syn_ack, handshake.bare_syn_ack, handshake.echoed) = (None, None, false);
        (handshake.ack, handshake.bare_ack) = (None, None);
        self.fallback = None;
        // The key of an attempt that came to nothing is nobody's.
        let end = &mut self.ends[responder];
        if let Some(known) = end.key.filter(|known| known.source == KeySource::Handshake && !end.proven) {
            *end = EndIdentity::default();
            end.others.dropped = Some(known.identity.token);
            self.data[responder] = DataLevel::default();
        }
    }
}

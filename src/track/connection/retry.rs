//! A handshake that begins again: the initiator sent a RST at the SYN/ACK, or got one for its SYN, and sends the same SYN once
//! more, which is answered. So it goes where the answer comes in on another interface than the socket is bound to, and where a
//! device answers in the name of one end. The capture may lack the RST, or the answer to the last SYN.

use super::{Connection, Input};
use crate::packet::{Segment, TcpFlags};
use crate::track::data::DataLevel;
use crate::track::half::Half;
use crate::track::keys::{EndIdentity, KeySource};
use crate::track::mark::Moment;
use crate::track::side::Side;
use crate::track::subflow::{Join, Subflow};

/// An answer to a SYN is not followed by more than this before it is acknowledged: no window in a SYN is larger (RFC 7323 §2.2).
const FIRST_WINDOW: u32 = 0xffff;

/// Whether one came after the other: frames of different inputs have no order, and their clocks tell.
fn is_behind(later: Moment, earlier: Moment) -> bool {
    if later.frame.frame().input == earlier.frame.frame().input {
        later.frame > earlier.frame
    } else {
        later.time > earlier.time
    }
}

impl Subflow {
    /// Whether a SYN/ACK answers a SYN that was sent again after a RST, which therefore ended an attempt only; or, where no RST was
    /// captured, after another answer: that one counts from another number.
    pub(in crate::track) fn begins_again(&self, segment: &Segment<'_>) -> bool {
        let Some(syn) = self.syn.as_ref().filter(|_| !self.is_established()) else { return false };
        let again = match (self.reset(), &self.syn_ack) {
            (Some(reset), _) => syn.retransmissions() > 0 && is_behind(syn.last(), reset.at),
            (None, Some(known)) => known.seq != segment.seq && self.third_ack.is_none(),
            (None, None) => false,
        };
        again && segment.ack == syn.seq.wrapping_add(1)
    }

    /// Whether a segment behind the SYNs is of a later attempt than the SYN/ACK that was captured: it counts the responder's bytes
    /// from another number.
    #[inline]
    pub(super) fn is_of_later_attempt(&self, input: &Input<'_, '_>) -> bool {
        self.handshake_open && self.third_ack.is_none() && self.syn_ack.is_some() && self.counts_anew(input)
    }

    #[cold]
    fn counts_anew(&self, input: &Input<'_, '_>) -> bool {
        let (Some(syn), Some(syn_ack)) = (&self.syn, &self.syn_ack) else { return false };
        let segment = input.segment;
        if !segment.flags.ack() || segment.flags.any(TcpFlags::SYN | TcpFlags::RST) || self.is_established() {
            return false;
        }
        let by_initiator = input.side == self.initiator;
        let next = if by_initiator { segment.ack } else { segment.seq };
        if next.wrapping_sub(syn_ack.seq).wrapping_sub(1) <= FIRST_WINDOW {
            return false;
        }
        if by_initiator {
            // What follows a long gap in the capture has other options, or is not the first.
            let third_ack = input.options.capable().is_some() || input.options.join().is_some();
            let sent_again = is_behind(syn.last(), syn_ack.last());
            self.halves[input.side].is_first(segment.seq) && (third_ack || sent_again)
        } else {
            self.reset().is_some_and(|reset| reset.by == self.initiator)
        }
    }

    /// Whether this is a copy of the SYN/ACK that comes when the handshake is complete and the subflow over: nobody waits for it,
    /// and it is no part of what it ends.
    #[cold]
    pub(super) fn is_answered_already(&self, segment: &Segment<'_>, side: Side) -> bool {
        let same = self.syn_ack.as_ref().is_some_and(|seen| seen.seq == segment.seq);
        let answers = segment.flags.ack() && side != self.initiator;
        answers && same && self.third_ack.is_some() && self.is_closed() && !self.begins_again(segment)
    }
}

impl Connection {
    /// Forgets what the end that is asked said in an attempt that came to nothing.
    #[cold]
    pub(super) fn begin_again(&mut self, subflow: u16) {
        let Some(record) = self.subflows.get_mut(usize::from(subflow)) else { return };
        let responder = record.initiator.peer();
        if let Some(reset) = record.reset() {
            let before = record.seldom.attempts.map_or(0, |attempts| attempts.0);
            record.seldom.reset = None;
            record.seldom.attempts = Some((before + 1, reset));
        }
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
            // The third ACK tells, should it be this answer that the initiator took.
            if record.seldom.other_syn_ack.is_none()
                && let Some(answer) = join.answer()
            {
                record.seldom.other_syn_ack = Some(answer);
            }
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

//! What a connection and its subflows amount to: state, outcome, close. Read from what was seen, at any time.

use super::checksums::{Owner, settle};
use super::{Connection, Env, FallbackCause, Input};
use crate::track::mark::{Mark, Moment};
use crate::track::observer::Observer;
use crate::track::side::Side;
use crate::track::subflow::{Join, Reset, Subflow, Told};
use crate::wire::MptcpOption;

/// What became of a connection as MPTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// MPTCP was agreed and used.
    Mptcp,
    /// It went on as TCP.
    Fallback,
    /// The SYN was answered with nothing but a RST.
    Refused,
    /// The SYN was not answered.
    Unanswered,
    /// Cannot be told from this capture.
    Unknown,
}

impl Outcome {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mptcp => "mptcp",
            Self::Fallback => "fallback",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Unknown => "unknown",
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// DATA_FIN both ways.
    DataFin,
    /// DATA_FIN one way, or both and one of them was not acknowledged.
    HalfClosed,
    /// MP_FASTCLOSE.
    Fastclose,
    /// All subflows reset.
    Reset,
    /// All subflows closed with FIN, without DATA_FIN.
    TcpFinOnly,
    /// In a fallback, FIN is the close.
    FallbackFin,
    /// Not in this capture.
    Open,
}

impl Close {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataFin => "data_fin",
            Self::HalfClosed => "half_closed",
            Self::Fastclose => "fastclose",
            Self::Reset => "reset",
            Self::TcpFinOnly => "tcp_fin_only",
            Self::FallbackFin => "fallback_fin",
            Self::Open => "open",
        }
    }
}

/// State of a subflow at the end of what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubflowState {
    /// Handshake complete, and neither closed nor reset.
    Established,
    /// Its SYN, or its finished handshake before any data, was answered with a RST.
    Refused,
    /// Its SYN was not answered.
    Unanswered,
    /// Its handshake did not complete.
    HalfOpen,
    /// FIN both ways.
    Closed,
    /// Reset in mid-life.
    Reset,
    /// Began before the capture.
    Unknown,
}

impl SubflowState {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::HalfOpen => "half_open",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Unknown => "unknown",
        }
    }
}

impl Subflow {
    /// Its state.
    pub fn state(&self) -> SubflowState {
        let data = self.has_payload();
        let handshake_seen = self.syn.is_some() || self.syn_ack.is_some();
        if let Some(reset) = self.reset() {
            let refused_join =
                handshake_seen && !data && self.join.as_ref().is_some_and(|join| join.refused(&reset, self));
            return if reset.of_syn || refused_join { SubflowState::Refused } else { SubflowState::Reset };
        }
        if self.is_closed() {
            return SubflowState::Closed;
        }
        if !handshake_seen {
            return SubflowState::Unknown;
        }
        // In a capture of one direction, what the initiator acknowledges was answered.
        let answered_unseen = self.halves[self.initiator.peer()].acked().is_some();
        if self.syn_ack.is_none() && !self.other_side_spoke() && !answered_unseen {
            return SubflowState::Unanswered;
        }
        if self.is_established() || data || (self.join.is_none() && answered_unseen && self.syn_ack.is_none()) {
            return SubflowState::Established;
        }
        SubflowState::HalfOpen
    }

    /// It is a join that its initiator reset before the handshake was complete: nothing that this end sent beyond the SYN
    /// shows more.
    pub fn was_given_up(&self) -> bool {
        let (Some(reset), Some(join)) = (self.reset(), self.join.as_deref()) else { return false };
        let data = self.has_payload();
        let other_options = self.options[self.initiator].is_some_and(|(first, _)| first != reset.at.frame);
        let went_on = (other_options || self.third_ack.is_some()) && !join.is_unanswered();
        reset.by == self.initiator && self.initiator_known && !data && !went_on && join.confirmed.is_none()
    }

    /// The first acknowledgement of what `side` mapped, where its peer has sent no option beyond the handshake.
    fn bare_answer(&self, side: Side) -> Option<Mark> {
        let silent = self.options[side.peer()].is_none();
        self.seldom.bare[side.peer()].acks.filter(|_| silent).map(|(first, _)| first.frame)
    }

    fn has_payload(&self) -> bool {
        self.halves.client.payload_bytes + self.halves.server.payload_bytes > 0
    }

    fn other_side_spoke(&self) -> bool {
        self.halves[self.initiator.peer()].segments > 0
    }
}

/// Third ACKs beyond the first without an answer: more than the ordinary loss of one, for each must be answered.
const UNANSWERED_REPEATS: u32 = 2;

impl Join {
    /// Its initiator sent the third ACK again and again, and the responder never answered (RFC 8684 §3.2).
    pub fn is_unanswered(&self) -> bool {
        self.confirmed.is_none() && self.ack_repeats.is_some_and(|repeats| repeats.1 >= UNANSWERED_REPEATS)
    }

    /// Whether a RST before any data refuses it: one of the responder, until this has accepted it; or one with which the
    /// initiator answers the SYN/ACK. Later it gives up what it opened itself.
    fn refused(&self, reset: &Reset, subflow: &Subflow) -> bool {
        let answers_syn_ack = subflow.syn_ack.is_some() && subflow.third_ack.is_none();
        self.confirmed.is_none() && (reset.by != subflow.initiator || answers_syn_ack)
    }
}

impl Connection {
    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        if self.fallback.is_some() {
            return Outcome::Fallback;
        }
        let handshake = &self.handshake;
        let Some(initial) = self.initial() else {
            return Outcome::Unknown;
        };
        if handshake.syn.is_some() && handshake.syn_ack.is_none() && handshake.ack.is_none() {
            let answered = initial.halves.server.segments > 0;
            return match initial.reset() {
                Some(reset) if reset.of_syn => Outcome::Refused,
                _ if !answered && initial.halves.client.payload_bytes == 0 => Outcome::Unanswered,
                _ if self.any_mptcp_data() => Outcome::Mptcp,
                _ => Outcome::Unknown,
            };
        }
        if handshake.ack.is_some() || self.any_mptcp_data() || self.subflows.len() > 1 {
            return Outcome::Mptcp;
        }
        Outcome::Unknown
    }

    /// Whether an MPTCP option shows at all: not at a tap behind a device that removes them.
    pub fn shows_mptcp(&self) -> bool {
        let options = |subflow: &Subflow| subflow.options.client.is_some() || subflow.options.server.is_some();
        let joins = |subflow: &Subflow| subflow.join.as_ref().is_some_and(|join| join.initiator_nonce.is_some());
        let handshake = &self.handshake;
        let capable = handshake.syn.is_some() || handshake.syn_ack.is_some() || handshake.ack.is_some();
        capable || self.subflows.iter().any(|subflow| options(subflow) || joins(subflow))
    }

    fn any_mptcp_data(&self) -> bool {
        self.data.client.acked().is_some()
            || self.data.server.acked().is_some()
            || self.subflows.iter().any(|subflow| {
                subflow.halves.client.last_mapping_end().is_some() || subflow.halves.server.last_mapping_end().is_some()
            })
    }

    /// How it ended.
    pub fn close(&self) -> Close {
        let reset = |subflow: &Subflow| subflow.reset().is_some();
        if self.seldom.fastclose.is_some() {
            return Close::Fastclose;
        }
        if self.fallback.is_some() || !self.shows_mptcp() {
            let Some(initial) = self.initial() else { return Close::Open };
            return match (initial.reset().is_some(), initial.is_closed()) {
                (true, _) => Close::Reset,
                (false, true) => Close::FallbackFin,
                (false, false) => Close::Open,
            };
        }
        let all_closed = !self.subflows.is_empty() && self.subflows.iter().all(Subflow::is_closed);
        let ended = |side: Side| self.data_ended(side, all_closed) || self.sent_unseen_data_fin(side);
        let (client, server) = (ended(Side::Client), ended(Side::Server));
        if client && server {
            return Close::DataFin;
        }
        // Without a handshake, those that were captured may not be all.
        let all_known = self.initial().is_none_or(|initial| initial.role_shown);
        let others_live = self.shows_that_others_live();
        if all_closed
            && all_known
            && !others_live
            && self.initial().is_none_or(reset)
            && self.subflows.iter().all(reset)
        {
            return Close::Reset;
        }
        if client || server || Side::BOTH.into_iter().any(|side| self.data[side].fin.is_some()) {
            return Close::HalfClosed;
        }
        // Where data is missing, or options are cut, a DATA_FIN may be on what was not captured.
        let whole = |side: Side| {
            self.data[side].missing() == 0 && self.subflows.iter().all(|subflow| subflow.halves[side].is_whole())
        };
        let whole = !self.options_cut && Side::BOTH.into_iter().all(whole);
        if all_closed && whole && !others_live { Close::TcpFinOnly } else { Close::Open }
    }

    /// The only subflow seen was reset with MP_FAIL: that is done where another one carries the connection on (RFC 8684 §3.7), which
    /// the capture lacks then.
    fn shows_that_others_live(&self) -> bool {
        matches!(self.subflows.as_slice(), [only] if only.reset().is_some_and(|reset| reset.fail))
    }

    /// Whether the data of `side` came to its end: its DATA_FIN was acknowledged (RFC 8684 §3.3.3), or, where all subflows are
    /// over, a FIN says that its peer needed no more, or nothing but the acknowledgement of the DATA_FIN itself is lacking.
    fn data_ended(&self, side: Side, all_closed: bool) -> bool {
        let data = &self.data[side];
        let Some((fin, _)) = data.fin else { return false };
        let finished = || self.subflows.iter().any(|subflow| subflow.reset().is_none());
        let all_data = || data.acked().is_some_and(|acked| acked >= fin);
        data.fin_acked() || !self.shows_packets_of(side.peer()) || (all_closed && (finished() || all_data()))
    }

    /// Payload without mapping has piled up, or the capture has ended: says whether that is a fallback, and of which kind.
    pub(in crate::track) fn conclude_bare<O: Observer>(&mut self, env: &mut Env<'_, O>) {
        // What the snaplen cut off may be what seems to be missing.
        if self.fallback.is_some() || self.orphan || self.options_cut {
            return;
        }
        let Some(initial) = self.initial() else { return };
        // With another subflow in use, one that loses its options is reset, and the connection goes on (RFC 8684 §3.7).
        let in_use = |subflow: &Subflow| {
            subflow.is_established() || subflow.halves.iter().any(|(_, half)| half.last_mapping_end().is_some())
        };
        if self.subflows.iter().skip(1).any(in_use) {
            return;
        }
        let capable = self.handshake.syn.is_some() || self.handshake.syn_ack.is_some();
        let began = (initial.syn.is_some() || initial.syn_ack.is_some()) && capable;
        if !began && self.handshake.ack.is_none() {
            return;
        }
        // A view of a connection whose options were gone when they came here: never more than TCP.
        if initial.syn.is_some() && self.handshake.syn.is_none() && self.handshake.syn_ack.is_none() {
            return;
        }
        // The side whose payload is the first without options; one whose first data was bare sent mappings later for nothing.
        let lacking = |side: Side| -> Option<(Mark, bool)> {
            let half = &initial.halves[side];
            let unmapped = &half.seldom.unmapped;
            let begins_bare = unmapped.pieces().any(|piece| Some(piece.start) == half.first_byte());
            let first = unmapped.first_frame().filter(|_| begins_bare || initial.seldom.bare[side].segments > 0)?;
            Some((first, !begins_bare && half.last_mapping_end().is_some()))
        };
        let bare_now = Side::BOTH.into_iter().any(|side| initial.seldom.bare[side].segments > 0);
        let found = Side::BOTH
            .into_iter()
            .filter(|_| bare_now)
            .filter_map(|side| lacking(side).map(|(frame, mapped)| (frame, mapped, side)))
            .min_by_key(|found| (found.0, found.1));
        let Some((frame, mapped, side)) = found else { return self.conclude_silent_server(env) };
        let (cause, frame, side) = self.bare_third_ack().unwrap_or_else(|| {
            if self.handshake.is_ack_without_length(frame) {
                return (FallbackCause::BadOption, frame, Side::Client);
            }
            let failed = self.seldom.failed.client.or(self.seldom.failed.server).is_some();
            if mapped && failed {
                (FallbackCause::MpFail, frame, side)
            } else if let Some(ack) = initial.bare_answer(side).filter(|ack| mapped && *ack < frame) {
                // It went on without mappings as it must (RFC 8684 §3.7).
                (FallbackCause::NoOptionOnData, ack, side.peer())
            } else {
                (if mapped { FallbackCause::OptionsVanished } else { FallbackCause::NoOptionOnData }, frame, side)
            }
        });
        self.fall_back(cause, frame, Some(side), env);
    }

    /// The third ACK has no MP_CAPABLE, and nothing that the client sent later has an option: the fallback that this is.
    fn bare_third_ack(&self) -> Option<(FallbackCause, Mark, Side)> {
        let (initial, handshake) = (self.initial()?, &self.handshake);
        if initial.options.client.is_some() || handshake.ack.is_some() {
            return None;
        }
        // In a capture of one direction no SYN/ACK tells which segment of the client answers it: data comes after that.
        let unseen = initial.syn_ack.is_none() && initial.options.server.is_none() && !self.options_cut;
        let after = initial.seldom.bare.client.first.filter(|_| unseen && handshake.syn.is_some());
        let bare = handshake.bare_ack.or(after)?;
        Some(match (handshake.syn_ack, handshake.given_up()) {
            (Some((_, answer)), _) if self.answer_is_void() => (FallbackCause::BadOption, answer, Side::Server),
            (_, Some(syn)) => (FallbackCause::SynRetriedWithoutOption, syn, Side::Client),
            (Some((_, answer)), _) if handshake.not_asked => {
                (FallbackCause::SynRetriedWithoutOption, answer, Side::Client)
            }
            _ => (FallbackCause::NoOptionInThirdAck, bare, Side::Client),
        })
    }

    /// The client sent mapped data; the server acknowledged it, always without an option: it does not speak MPTCP.
    fn conclude_silent_server<O: Observer>(&mut self, env: &mut Env<'_, O>) {
        let Some(initial) = self.initial() else { return };
        let client = &initial.halves.client;
        let acked_data = client.last_mapping_end().is_some()
            && client.acked().zip(client.first_byte()).is_some_and(|(acked, first)| {
                // A FIN is no data.
                client.fin.map_or(acked, |fin| acked.min(fin.0)) > first
            });
        let silent = initial.options.server.is_none()
            && self.handshake.syn_ack.is_some()
            && self.data.client.acked().is_none()
            && !self.options_cut;
        let bare = self.bare_third_ack().filter(|_| self.handshake.syn_ack.is_some());
        if let Some((cause, frame, side)) = bare {
            self.fall_back(cause, frame, Some(side), env);
        } else if let Some((side, frame)) = self.stopped_acknowledging() {
            self.fall_back(FallbackCause::OptionsVanished, frame, Some(side), env);
        } else if acked_data && silent && initial.halves.server.segments > 1 {
            let frame = initial.bare_answer(Side::Client).unwrap_or(initial.last.frame);
            self.fall_back(FallbackCause::NoOptionOnData, frame, Some(Side::Server), env);
        }
    }

    /// The end whose ACKs lost their options, from this frame on: they acknowledge mapped data as TCP does, and no DATA_ACK does.
    fn stopped_acknowledging(&self) -> Option<(Side, Mark)> {
        let initial = self.initial().filter(|_| !self.options_cut)?;
        Side::BOTH.into_iter().find_map(|side| {
            let (first, _) = initial.seldom.bare[side].acks.filter(|acks| acks.1 > 1)?;
            let (sent, data) = (&initial.halves[side.peer()], &self.data[side.peer()]);
            let (end, position) = sent.last_mapping_end()?;
            let acked_by_tcp = position - end.saturating_sub(sent.acked()?).min(position);
            (data.acked()? < acked_by_tcp).then_some((side, first.frame))
        })
    }

    /// MP_FAIL was taken for a fallback, but both ends went on with their options, and nothing came without a mapping: nobody
    /// fell back.
    fn take_back_fallback(&mut self) {
        let Some(seen) = self.fallback.filter(|seen| seen.cause == FallbackCause::MpFail) else { return };
        let Some((initial, side)) = self.initial().zip(seen.side) else { return };
        let went_on = |side: Side| initial.options[side].is_some_and(|(_, last)| last > seen.frame);
        let answered = Side::BOTH.into_iter().any(|side| {
            self.seldom.infinite[side].is_some() || initial.seldom.bare[side].segments > 0 || !went_on(side)
        });
        if !answered && self.seldom.failed[side.peer()].is_none() && initial.reset().is_none() {
            self.fallback = None;
        }
    }

    /// The capture has ended.
    pub(in crate::track) fn finish<O: Observer>(&mut self, env: &mut Env<'_, O>) {
        self.take_back_fallback();
        self.conclude_bare(env);
        for side in Side::BOTH {
            let owner = self.owner(side, 0);
            let (tally, data) = (&mut self.checksums[side], &self.data[side]);
            for (index, subflow) in self.subflows.iter_mut().enumerate() {
                let owner = Owner { subflow: index as u16, ..owner };
                subflow.halves[side].mappings.close(|complete| {
                    settle(tally, data, &complete, owner, env.observer);
                });
            }
        }
    }
}

/// Whether a RST is the first that comes back after a SYN. Where packets of the initiator were captured, one of them is the SYN.
fn answers_syn(subflow: &Subflow, input: &Input<'_, '_>) -> bool {
    let half = &subflow.halves[input.side];
    let asked = subflow.syn.is_some() || subflow.halves[subflow.initiator].segments == 0;
    // What the initiator acknowledges was an answer before it, captured or not.
    let first = subflow.syn_ack.is_none() && half.segments <= 1 && half.acked().is_none();
    asked && first && input.side != subflow.initiator
}

/// What a RST says that a socket of its sender sent.
pub(super) fn note_told(subflow: &mut Subflow, input: &Input<'_, '_>) {
    let has = |kind: fn(&MptcpOption<'_>) -> bool| input.options.control().any(|option| kind(&option));
    let told = Told {
        reason: has(|option| matches!(option, MptcpOption::MpTcprst(_))),
        fastclose: has(|option| matches!(option, MptcpOption::MpFastclose(_))),
    };
    if told != Told::default() && input.segment.flags.ack() && !answers_syn(subflow, input) {
        let known = &mut subflow.seldom.told[input.side];
        *known = Told { reason: known.reason || told.reason, fastclose: known.fastclose || told.fastclose };
    }
}

/// What a RST says.
pub(super) fn reset_of(subflow: &Subflow, input: &Input<'_, '_>, at: Moment) -> Reset {
    let of_syn = answers_syn(subflow, input);
    let half = &subflow.halves[input.side];
    let reason = input.options.control().find_map(|option| match option {
        MptcpOption::MpTcprst(rst) => Some((rst.why(), rst.transient())),
        _ => None,
    });
    let mut reset = Reset {
        ttl: input.segment.ttl,
        sent: half.next.max(half.unwrap(input.segment.seq)),
        by: input.side,
        at,
        seq: input.segment.seq,
        reason,
        of_syn,
        with_ack: input.segment.flags.ack(),
        in_order: half.unwrap(input.segment.seq) == half.next && half.seen.is_contiguous(),
        fastclose: false,
        fail: false,
        options_cut: input.segment.options_cut,
    };
    amend_reset(&mut reset, input);
    reset
}

/// A later RST of the same side may say that it ends more than the subflow. Its reason is its own: the first may be forged.
pub(super) fn amend_reset(reset: &mut Reset, input: &Input<'_, '_>) {
    if input.side == reset.by {
        for option in input.options.control() {
            reset.fastclose |= matches!(option, MptcpOption::MpFastclose(_));
            reset.fail |= matches!(option, MptcpOption::MpFail(_));
        }
    }
}

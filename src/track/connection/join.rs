//! The handshake of a join: MP_JOIN in its SYN, SYN/ACK and third ACK (RFC 8684 §3.2).

use super::outcome::SubflowState;
use super::{AnomalyKind, Connection, Env, Input};
use crate::track::half::SynSource;
use crate::track::keys::Dialect;
use crate::track::mark::{Mark, Moment};
use crate::track::observer::{Event, Observer, What};
use crate::track::side::Side;
use crate::track::subflow::{Join, JoinProof, Subflow};
use crate::wire::{MpJoin, Subtype};

/// Time between copies of a third ACK from which on a timer sends them (RFC 8684 §3.2): no stack's runs out sooner. What
/// comes faster are segments that follow each other, each with the option.
const THIRD_ACK_TIMER_NS: u64 = 100_000_000;

impl Join {
    /// Takes note of a third ACK with its HMAC.
    fn note_third_ack(&mut self, at: Moment) {
        let (last, count) = self.ack_repeats.unwrap_or((at, 0));
        if self.ack_repeats.is_none() {
            self.ack_repeats = Some((at, 0));
        } else if at.time.since(last.time) >= THIRD_ACK_TIMER_NS {
            self.ack_repeats = Some((at, count + 1));
        }
    }
}

/// HMACs of a join's handshake of which the packets show that no segment has them here, captured or not: there is nothing to
/// check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absent {
    /// That of the SYN/ACK.
    pub syn_ack: bool,
    /// That of the third ACK.
    pub ack: bool,
}

impl Subflow {
    /// Later segments show that the third ACK had its option, or that options pass on this path: the one that had it was not
    /// captured.
    pub fn took_third_ack(&self, join: &Join) -> bool {
        let both_sent_data = Side::BOTH.into_iter().all(|side| self.halves[side].payload_bytes > 0);
        both_sent_data || join.confirmed.is_some() || self.options[self.initiator].is_some()
    }
}

impl Connection {
    /// Which HMACs were never there.
    pub fn absent_hmacs(&self, subflow: &Subflow, join: &Join) -> Absent {
        let responder = subflow.initiator.peer();
        let unanswered = match subflow.reset() {
            Some(reset) => reset.of_syn && reset.by == responder && join.bare_ack.is_none(),
            None => subflow.state() == SubflowState::Unanswered && !self.lacks_direction(responder),
        };
        let unanswered = unanswered && subflow.syn_ack.is_none() && !subflow.took_third_ack(join);
        let syn_ack = join.syn_ack_hmac.is_none() && (unanswered || join.bare_syn_ack.is_some());
        // An initiator that does not take the SYN/ACK sends a RST for a third ACK (RFC 8684 §3.2).
        let given_up =
            subflow.reset().is_some_and(|reset| reset.by == subflow.initiator) && subflow.third_ack.is_none();
        let not_taken = || join.bare_syn_ack.is_some() || self.prove_join(subflow, join).syn_ack.is_mismatch();
        let bare = join.bare_ack.is_some() && !subflow.took_third_ack(join);
        let ack = join.ack_hmac.is_none() && (unanswered || bare || (given_up && not_taken()));
        Absent { syn_ack, ack }
    }

    /// Checks the handshake of a join of this connection.
    pub fn prove_join(&self, subflow: &Subflow, join: &Join) -> JoinProof {
        let responder = subflow.initiator.peer();
        let suite = self.dialect.map(Dialect::suite);
        join.verify(
            suite,
            self.key_of(subflow.initiator),
            self.key_of(responder),
            self.ends[responder].token(),
            self.orphan,
        )
    }

    pub(super) fn join_syn(&mut self, input: &Input<'_, '_>) {
        let Some(&MpJoin::Syn { backup, address_id, token, nonce, .. }) = input.options.join() else { return };
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        subflow.address_ids[input.side] = Some(address_id);
        subflow.backup[input.side] = backup;
        subflow.join_backup[input.side] = backup;
        let Some(join) = &mut subflow.join else { return };
        if join.syn_ack_hmac.is_none() {
            join.token = Some(token);
            join.initiator_nonce = Some(nonce);
            if let Some(known) = self.seldom.written().and_then(|all| all.nonces.get_mut(usize::from(input.subflow))) {
                *known = Some(nonce);
            }
        }
    }

    /// What the checks of a join say so far.
    fn proof_of(&self, subflow: u16) -> Option<JoinProof> {
        let subflow = self.subflows.get(usize::from(subflow))?;
        Some(self.prove_join(subflow, subflow.join.as_deref()?))
    }

    pub(super) fn join_syn_ack<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        // A forged one that comes later must not displace what is proven.
        let proven = self.proof_of(input.subflow).is_some_and(|proof| proof.syn_ack.is_verified());
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let Some(join) = &mut subflow.join else { return };
        let Some(&MpJoin::SynAck { backup, address_id, hmac, nonce, .. }) = input.options.join() else {
            if !input.segment.options_cut && join.bare_syn_ack.is_none() {
                join.bare_syn_ack = Some(env.at.frame);
                let shown = input.options.join().and_then(|shown| match *shown {
                    MpJoin::Syn { token, nonce, .. } => Some((token, nonce)),
                    _ => None,
                });
                join.echoed = shown.is_some() && shown == join.token.zip(join.initiator_nonce);
            }
            return;
        };
        if proven || (join.syn_ack_hmac.is_some() && join.ack_hmac.is_some()) {
            if join.responder_nonce != Some(nonce) && join.ack_hmac.is_none() {
                subflow.seldom.other_syn_ack = Some((nonce, hmac, env.at.frame));
            }
            return;
        }
        join.syn_ack_hmac = Some(hmac);
        join.responder_nonce = Some(nonce);
        join.syn_ack_frame = Some(env.at.frame);
        subflow.address_ids[input.side] = Some(address_id);
        subflow.backup[input.side] = backup;
        subflow.join_backup[input.side] = backup;
    }

    /// MP_JOIN beyond the SYNs: the third ACK with its HMAC.
    pub(super) fn join_ack<O: Observer>(&mut self, option: &MpJoin, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let (id, number) = (self.id, self.number());
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        if !subflow.role_shown && matches!(option, MpJoin::Ack { .. }) {
            // Its third ACK, sent again: this is taken for the first subflow only for want of its handshake.
            return;
        }
        let (MpJoin::Ack { hmac, .. }, Some(join)) = (option, &mut subflow.join) else {
            self.anomaly(AnomalyKind::OptionOutOfPlace(Subtype::MP_JOIN), input, env.at, None);
            return;
        };
        if join.ack_hmac.is_none() {
            join.ack_hmac = Some(*hmac);
            join.ack_frame = Some(env.at.frame);
            env.observer.event(Event {
                connection: id,
                number,
                subflow: Some(input.subflow),
                at: env.at,
                what: What::JoinShown,
            });
        }
        join.note_third_ack(env.at);
        let earlier = join.ack_hmac.filter(|known| known != hmac).zip(join.ack_frame);
        let other_syn_ack = subflow.seldom.other_syn_ack.is_some();
        if input.segment.payload_len == 0 {
            subflow.halves[input.side].learn_syn(input.segment.seq.wrapping_sub(1), SynSource::Acknowledged);
            subflow.halves[input.side.peer()].learn_syn(input.segment.ack.wrapping_sub(1), SynSource::Acknowledged);
        }
        if other_syn_ack {
            self.settle_join_syn_ack(input.subflow);
        }
        if let Some(earlier) = earlier {
            self.settle_join_ack(input.subflow, earlier, (*hmac, env.at.frame));
        }
    }

    /// Two SYN/ACKs with different nonces: the third ACK tells which one the initiator took. The first stays unless only the
    /// other one is right.
    #[cold]
    fn settle_join_syn_ack(&mut self, subflow: u16) {
        let right = |state: &Self| {
            state.proof_of(subflow).is_some_and(|proof| proof.syn_ack.is_verified() && proof.ack.is_verified())
        };
        if right(self) {
            return;
        }
        self.exchange_syn_acks(subflow);
        if !right(self) {
            self.exchange_syn_acks(subflow);
        }
    }

    fn exchange_syn_acks(&mut self, subflow: u16) {
        let Some(subflow) = self.subflows.get_mut(usize::from(subflow)) else { return };
        let Some(join) = &mut subflow.join else { return };
        let other = std::mem::replace(&mut subflow.seldom.other_syn_ack, join.answer());
        join.responder_nonce = other.map(|other| other.0);
        join.syn_ack_hmac = other.map(|other| other.1);
        join.syn_ack_frame = other.map(|other| other.2);
    }

    /// Two third ACKs with different HMACs: one is forged or damaged. The earlier one stays unless only the later one is right.
    #[cold]
    fn settle_join_ack(&mut self, subflow: u16, earlier: ([u8; 20], Mark), later: ([u8; 20], Mark)) {
        let right = |state: &Self| state.proof_of(subflow).is_some_and(|proof| proof.ack.is_verified());
        if right(self) {
            return;
        }
        self.set_join_ack(subflow, later);
        if !right(self) {
            self.set_join_ack(subflow, earlier);
        }
    }

    fn set_join_ack(&mut self, subflow: u16, (hmac, frame): ([u8; 20], Mark)) {
        if let Some(join) = self.subflows.get_mut(usize::from(subflow)).and_then(|subflow| subflow.join.as_mut()) {
            join.ack_hmac = Some(hmac);
            join.ack_frame = Some(frame);
        }
    }
}

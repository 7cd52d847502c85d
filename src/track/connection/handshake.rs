//! The handshake of a subflow, and MP_CAPABLE in that of the first: keys, flags, and where it was missing (RFC 8684 §3.1).

use super::{AnomalyKind, Connection, Effects, Env, FallbackCause, FallbackSeen, Input};
use crate::crypto::Key;
use crate::frame::Timestamp;
use crate::limits;
use crate::track::half::SynSource;
use crate::track::keys::{Dialect, KeySource, Learned};
use crate::track::mark::Mark;
use crate::track::observer::{Data, Observer, What};
use crate::track::side::Side;
use crate::track::sparse::Sparse;
use crate::track::subflow::{Repeats, SynSeen};
use crate::wire::{MpCapable, Subtype};

/// Handshake of the initial subflow.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    /// SYNs: frame, time, whether with MP_CAPABLE.
    pub syns: Vec<(Mark, Timestamp, bool)>,
    /// MP_CAPABLE of the SYN.
    pub syn: Option<(MpCapable, Mark)>,
    /// MP_CAPABLE of the SYN/ACK.
    pub syn_ack: Option<(MpCapable, Mark)>,
    /// A SYN/ACK without MP_CAPABLE.
    pub bare_syn_ack: Option<Mark>,
    /// The SYN of the other end, that crossed the first one: a simultaneous open (RFC 9293 §3.5).
    pub crossed: Option<Mark>,
    /// The SYN/ACK's option is the SYN's.
    pub echoed: bool,
    /// The SYN that was answered with MP_CAPABLE had none: the answer is to an earlier one, which was not captured. No server sends
    /// the option unasked.
    pub not_asked: bool,
    /// MP_CAPABLE of the third ACK, or of the first data.
    pub ack: Option<(MpCapable, Mark)>,
    /// The third ACK, where it has no MP_CAPABLE.
    pub bare_ack: Option<Mark>,
    /// NOPs in a row in it, as in [`SynSeen::nop_run`].
    pub bare_ack_nops: u8,
    /// Payload of the SYN, while it is not known whether it was accepted (kept only for extraction).
    syn_payload: Vec<u8>,
}

impl Handshake {
    /// Whether this frame, which has data, has the MP_CAPABLE of a third ACK that has none: without data-level length, so it is
    /// void (RFC 8684 §3.1).
    pub(super) fn is_ack_without_length(&self, frame: Mark) -> bool {
        self.ack.is_some_and(|(capable, at)| at == frame && capable.version > 0 && capable.data_len.is_none())
    }

    /// The client sent its SYN without MP_CAPABLE in the end, after others with it: the first one without.
    pub fn given_up(&self) -> Option<Mark> {
        let last = self.syns.last().filter(|last| !last.2 && self.syn.is_some())?;
        Some(self.syns.iter().find(|syn| !syn.2).unwrap_or(last).0)
    }

    /// Bytes of payload that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.syn_payload.len()
    }

    pub(in crate::track) fn heap_bytes(&self) -> usize {
        self.syns.capacity() * size_of::<(Mark, Timestamp, bool)>() + self.syn_payload.capacity()
    }
}

impl Connection {
    /// A SYN or SYN/ACK.
    #[cold]
    #[inline(never)]
    pub(super) fn syn<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>, effects: &mut Effects) {
        let is_ack = input.segment.flags.ack();
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let from_initiator = input.side == subflow.initiator;
        if from_initiator == is_ack {
            // A SYN of the other end, then the initiator's SYN/ACK.
            let initial = subflow.join.is_none();
            if initial && !is_ack {
                self.handshake.crossed.get_or_insert(env.at.frame);
            }
            if !initial || self.handshake.crossed.is_none() {
                self.anomaly(AnomalyKind::OptionOutOfPlace(Subtype::MP_CAPABLE), input, env.at, None);
            }
            return;
        }
        if is_ack && subflow.begins_again(input.segment) {
            self.begin_again(input.subflow);
        }
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        half.learn_syn(input.segment.seq, SynSource::Syn);
        let slot = if is_ack { &mut subflow.syn_ack } else { &mut subflow.syn };
        match slot {
            Some(seen) => {
                seen.repeats.count += 1;
                seen.repeats.last = Some(env.at);
            }
            None => *slot = Some(syn_seen(input, env)),
        }
        if is_ack {
            if subflow.reset().is_some_and(|reset| reset.of_syn) {
                subflow.survive_reset(env.at.frame);
                self.closed = false;
            }
            subflow.accept_fast_open(input.segment.ack);
            let initiator = &mut subflow.halves[input.side.peer()];
            initiator.learn_syn(input.segment.ack.wrapping_sub(1), SynSource::Acknowledged);
            initiator.acknowledge(input.segment.ack, env.at.time);
        }
        match (subflow.join.is_some(), is_ack) {
            (false, false) => self.initial_syn(input, env, effects),
            (false, true) => self.initial_syn_ack(input, env, effects),
            (true, false) => self.join_syn(input),
            (true, true) => self.join_syn_ack(input, env),
        }
        self.controls(input, env, effects);
    }

    fn initial_syn<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>, effects: &mut Effects) {
        let capable = input.options.capable().copied();
        if self.handshake.syns.len() < limits::SYNS {
            if self.handshake.syns.is_empty() {
                // Most connections have one.
                self.handshake.syns.reserve_exact(1);
            }
            let has_option = capable.is_some() || input.segment.options_cut;
            self.handshake.syns.push((env.at.frame, env.at.time, has_option));
        }
        let payload = input.segment.payload;
        if O::WANTS_DATA && self.handshake.syn_payload.is_empty() && payload.len() <= *env.buffer {
            *env.buffer -= payload.len();
            self.handshake.syn_payload = payload.to_vec();
        }
        let Some(capable) = capable else { return };
        let ends = &mut self.ends[input.side];
        ends.flags = Some(capable.flags);
        // Captured after its answer, which looks like that of RFC 8684.
        if capable.version == 1 && capable.sender_key.is_some() && self.may_be_draft() {
            self.become_draft();
            effects.keys = true;
        }
        if self.handshake.syn.is_none() {
            self.handshake.syn = Some((capable, env.at.frame));
        }
        if capable.version <= 1 && self.handshake.syn_ack.is_none() {
            self.dialect = Some(match (capable.version, capable.sender_key) {
                (0, _) => Dialect::Rfc6824,
                (_, Some(_)) => Dialect::DraftV1,
                _ => Dialect::Rfc8684,
            });
        }
        if let Some(key) = capable.sender_key {
            self.learn_key(input.side, key, KeySource::Handshake, input, env, effects);
        }
        // Version 0 has one key there; version 1 none, or in its draft one (RFC 6824 and RFC 8684 §3.1).
        if capable.receiver_key.is_some() || (capable.version == 0 && capable.sender_key.is_none()) {
            self.anomaly(AnomalyKind::MalformedOption(Some(Subtype::MP_CAPABLE), None), input, env.at, None);
        }
        if capable.is_void() {
            self.anomaly(AnomalyKind::CapableFlagsIllegal(capable.flags), input, env.at, None);
        }
    }

    fn initial_syn_ack<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>, effects: &mut Effects) {
        // What the snaplen cut off may have been the option.
        let cut = input.segment.options_cut;
        // Each end repeats its SYN with an ACK, and no server's key with it: Linux goes on as TCP.
        let no_key = !cut && input.options.capable().is_none_or(|capable| capable.sender_key.is_none());
        // An answer with the option is to one of the SYNs with it, and the third ACK tells what the client makes of it.
        if let Some(frame) = self.handshake.given_up().filter(|_| no_key) {
            self.fall_back(FallbackCause::SynRetriedWithoutOption, frame, Some(Side::Client), env);
        }
        if let Some(crossed) = self.handshake.crossed.filter(|_| no_key && self.handshake.syn.is_some()) {
            self.fall_back(FallbackCause::SimultaneousOpen, crossed, None, env);
        }
        let Some(&capable) = input.options.capable() else {
            if !cut {
                self.handshake.bare_syn_ack.get_or_insert(env.at.frame);
                if self.handshake.syn.is_some() && self.handshake.syn_ack.is_none() {
                    let broken = input.options.mptcp;
                    let cause = if broken { FallbackCause::BadOption } else { FallbackCause::NoOptionInSynAck };
                    self.fall_back(cause, env.at.frame, Some(Side::Server), env);
                }
            }
            self.deliver_fast_open(env);
            return;
        };
        let asked = self.handshake.syn.map(|(asked, _)| asked);
        let echoed = asked.is_some_and(|asked| asked == capable);
        if echoed || capable.sender_key.is_none() {
            self.handshake.echoed = echoed;
            let cause = if echoed { FallbackCause::OptionEchoed } else { FallbackCause::BadOption };
            self.fall_back(cause, env.at.frame, Some(Side::Server), env);
            self.deliver_fast_open(env);
            return;
        }
        if asked.is_some_and(|asked| capable.version > asked.version) {
            self.anomaly(AnomalyKind::VersionIllegal(capable.version), input, env.at, None);
        }
        if capable.is_void() {
            self.anomaly(AnomalyKind::CapableFlagsIllegal(capable.flags), input, env.at, None);
        }
        if asked.is_none() && self.subflows.first().is_some_and(|subflow| subflow.syn.is_some()) {
            self.anomaly(AnomalyKind::OptionOutOfPlace(Subtype::MP_CAPABLE), input, env.at, None);
        }
        if self.handshake.syn_ack.is_none() {
            self.handshake.syn_ack = Some((capable, env.at.frame));
        }
        self.ends[input.side].flags = Some(capable.flags);
        let draft = self.dialect == Some(Dialect::DraftV1);
        self.dialect = match capable.version {
            0 => Some(Dialect::Rfc6824),
            1 if draft => self.dialect,
            1 => Some(Dialect::Rfc8684),
            _ => self.dialect,
        };
        if let Some(key) = capable.sender_key {
            self.learn_key(input.side, key, KeySource::Handshake, input, env, effects);
        }
        self.deliver_fast_open(env);
    }

    /// MP_CAPABLE beyond the SYNs: the third ACK with both keys, or first data with them (RFC 8684 §3.1).
    pub(super) fn capable<O: Observer>(
        &mut self,
        capable: &MpCapable,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
        effects: &mut Effects,
    ) {
        let (Some(sender), Some(receiver)) = (capable.sender_key, capable.receiver_key) else {
            self.anomaly(AnomalyKind::OptionOutOfPlace(Subtype::MP_CAPABLE), input, env.at, None);
            return;
        };
        if input.side != Side::Client || self.subflows.get(usize::from(input.subflow)).is_some_and(|s| s.join.is_some())
        {
            self.anomaly(AnomalyKind::OptionOutOfPlace(Subtype::MP_CAPABLE), input, env.at, None);
            return;
        }
        if let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) {
            subflow.role_shown = true;
        }
        if self.dialect.is_none() {
            self.dialect = match capable.version {
                0 => Some(Dialect::Rfc6824),
                1 => Some(Dialect::Rfc8684),
                _ => None,
            };
        }
        if capable.is_void() {
            self.anomaly(AnomalyKind::CapableFlagsIllegal(capable.flags), input, env.at, None);
        }
        if self.dialect.is_some_and(|dialect| dialect.version() != capable.version) {
            self.anomaly(AnomalyKind::MalformedOption(Some(Subtype::MP_CAPABLE), None), input, env.at, None);
        }
        self.ends.client.flags.get_or_insert(capable.flags);
        if self.handshake.ack.is_none() {
            self.handshake.ack = Some((*capable, env.at.frame));
        }
        let fresh = self.learn_key(Side::Client, sender, KeySource::Acknowledged, input, env, effects);
        // Where the SYN/ACK echoed the client's key, the client takes that for the server's, which has none.
        let peer = if self.handshake.echoed && sender == receiver {
            Learned::Nothing
        } else {
            self.learn_key(Side::Server, receiver, KeySource::Acknowledged, input, env, effects)
        };
        // Where one key is known for right, the other may be damaged, here or before: the data is of this connection all the same.
        if fresh == Learned::Rejected && peer == Learned::Rejected {
            return;
        }
        self.learn_initial_sequence(capable, input, env);
        if capable.version == 0 && capable.data_len.is_some() {
            self.anomaly(AnomalyKind::MalformedOption(Some(Subtype::MP_CAPABLE), None), input, env.at, None);
        }
        if let Some(len) = capable.data_len.filter(|&len| len > 0) {
            self.map_first_data(len, capable.checksum, input, env);
        }
    }

    /// The third ACK carries the first sequence number after the SYN and what Fast Open brought in it, and acknowledges the other
    /// SYN.
    fn learn_initial_sequence<O: Observer>(
        &mut self,
        capable: &MpCapable,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
    ) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let payload_fits = capable.data_len.is_none() && input.segment.payload_len == 0;
        if payload_fits {
            let unanswered = subflow.syn_ack.is_none();
            if unanswered {
                subflow.accept_fast_open(input.segment.seq);
            }
            subflow.halves[input.side].learn_syn(input.segment.seq.wrapping_sub(1), SynSource::Acknowledged);
            subflow.halves[input.side.peer()].learn_syn(input.segment.ack.wrapping_sub(1), SynSource::Acknowledged);
            if unanswered {
                self.deliver_fast_open(env);
            }
        }
    }

    pub(super) fn learn_key<O: Observer>(
        &mut self,
        side: Side,
        key: Key,
        source: KeySource,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
        effects: &mut Effects,
    ) -> Learned {
        let Some(dialect) = self.dialect else { return Learned::Nothing };
        let known = self.ends[side].key.filter(|known| known.source >= KeySource::Handshake);
        let learned = self.ends[side].learn(key, dialect.suite(), source, Some(env.at.frame));
        if learned != Learned::Nothing && known.is_some() {
            self.anomaly(AnomalyKind::KeysContradict, input, env.at, known.and_then(|known| known.frame));
        }
        if learned == Learned::Changed {
            self.keys_changed(side);
            effects.keys = true;
            if let Some(known) = self.ends[side].key {
                self.tell(Some(input.subflow), What::KeysLearned(side, known.identity.token), env);
            }
        }
        learned
    }

    /// The data level of a side counts from the IDSN of its key.
    pub(in crate::track) fn keys_changed(&mut self, side: Side) {
        if let Some(known) = &self.ends[side].key {
            let halves = self.data[side].high_halves(known.identity.idsn);
            if let (Some((high, made_up)), Some(tally)) = (halves, self.checksums[side].written()) {
                tally.learn_high_half(high, made_up);
            }
            let shift = self.data[side].set_idsn(known.identity.idsn);
            if shift != 0 {
                self.subflows.iter_mut().for_each(|subflow| subflow.halves[side].shift_positions(shift));
                self.checksums[side].shift_positions(shift);
            }
        }
    }

    /// The first segment of the initiator after the SYN/ACK; and whether a join's responder took it.
    #[inline]
    pub(super) fn note_third_ack<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        if !subflow.handshake_open || (subflow.join.is_none() && subflow.syn_ack.is_none()) {
            return;
        }
        if input.side == subflow.initiator {
            if subflow.third_ack.is_none() && subflow.syn_ack.is_some() && !input.segment.flags.rst() {
                // One whose options were cut tells nothing, nor one that shows by its number that others came before it.
                let untold = input.segment.options_cut || !subflow.halves[input.side].is_first(input.segment.seq);
                subflow.third_ack = Some(env.at.frame);
                let answered = subflow.syn_ack.as_ref().map_or(env.at.time, |syn_ack| syn_ack.last().time);
                subflow.third_ack_delay = env.at.time.since(answered);
                match &mut subflow.join {
                    None => {
                        subflow.handshake_open = false;
                        if self.handshake.ack.is_none() && !untold {
                            self.handshake.bare_ack = Some(env.at.frame);
                            self.handshake.bare_ack_nops = input.options.nop_run;
                        }
                    }
                    Some(join) => {
                        // One with other MPTCP options is none: the third ACK came before, and was not captured.
                        if !input.options.mptcp && !untold {
                            join.bare_ack = Some(env.at.frame);
                            join.bare_ack_nops = input.options.nop_run;
                        }
                    }
                }
            }
        } else if let Some(join) = &mut subflow.join
            && !input.segment.flags.rst()
        {
            // MPTCP options beyond the SYN/ACK show that the responder got a third ACK with its HMAC, captured or not.
            let answers = join.ack_hmac.is_some() && subflow.syn_ack.is_some();
            if answers || input.options.mptcp {
                join.confirmed.get_or_insert(env.at.frame);
                subflow.handshake_open = false;
            }
        }
        subflow.update_carries();
    }

    pub(super) fn fall_back<O: Observer>(
        &mut self,
        cause: FallbackCause,
        frame: Mark,
        side: Option<Side>,
        env: &mut Env<'_, O>,
    ) {
        if self.fallback.is_none() {
            self.fallback = Some(FallbackSeen { cause, frame, side });
            self.tell(Some(0), What::FellBack, env);
            self.flush_unmapped(env);
            // How it closed was told before anything showed that it was TCP by then.
            if self.is_closed() {
                self.tell(None, What::ConnectionClosed, env);
            }
        }
    }

    /// Fast Open bytes of the SYN come before the data sequence space: RFC 8684 appendix B. In a fallback they begin the stream.
    fn deliver_fast_open<O: Observer>(&mut self, env: &mut Env<'_, O>) {
        let payload = std::mem::take(&mut self.handshake.syn_payload);
        *env.buffer += payload.len();
        let accepted = self.subflows.first().map_or(0, |subflow| subflow.halves.client.seldom.fast_open);
        if accepted == 0 {
            return;
        }
        if O::WANTS_DATA {
            let bytes = payload.get(..(accepted as usize).min(payload.len())).unwrap_or(&[]);
            env.observer.data(Data {
                connection: self.id,
                number: self.number(),
                side: Side::Client,
                subflow: 0,
                offset: -i64::from(accepted),
                anchored: true,
                bytes,
                len: u64::from(accepted),
                mapping: None,
                again: false,
                intact: None,
                refused: false,
            });
        }
    }
}

fn syn_seen<O: Observer>(input: &Input<'_, '_>, env: &Env<'_, O>) -> SynSeen {
    let (options, unusual) = (input.options, input.options.unusual());
    let mut repeats = Sparse::<Repeats>::default();
    if input.segment.payload_len > 0 {
        repeats.fast_open = input.segment.payload_len;
    }
    SynSeen {
        first: env.at,
        seq: input.segment.seq,
        mss: unusual.and_then(|unusual| unusual.mss),
        window_scale: unusual.and_then(|unusual| unusual.window_scale),
        sack_permitted: unusual.is_some_and(|unusual| unusual.sack_permitted),
        timestamps: options.timestamps.is_some(),
        nop_run: options.nop_run,
        ttl: input.segment.ttl,
        kinds: options.kinds(),
        interface_index: input.segment.tap.interface_index,
        outgoing: input.segment.tap.outgoing(),
        repeats,
    }
}

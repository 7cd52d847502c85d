//! What a connection makes of the segments that belong to it. Its state is self-contained: no other connection, no table, no
//! clock.
//!
//! * [`handshake`]: MP_CAPABLE and MP_JOIN, keys and flags
//! * [`control`]: addresses, priority, failure, fast close, reset
//! * [`payload`]: DSS, mappings, the data level
//! * [`checksums`]: whether what was mapped is what was sent
//! * `seldom`: what few connections have
//! * `unmapped`: payload without a mapping, and the stream of a fallback
//! * `unseen`: data and DATA_FINs that only their acknowledgement shows
//! * `choice`: which path new data takes
//! * `retry`: a handshake that begins again
//! * [`outcome`]: what all of it amounts to

use std::num::NonZeroU64;

mod anomaly;
pub mod checksums;
mod choice;
mod completes;
pub mod control;
mod draft;
mod flags;
pub mod handshake;
mod join;
pub mod outcome;
pub mod payload;
mod retry;
mod seldom;
mod subflows;
mod unmapped;
mod unplaced;
mod unseen;

use super::config::Compare;
use super::data::DataLevel;
use super::keys::{Dialect, EndIdentity};
use super::mark::{Mark, Moment};
use super::observer::{ConnectionId, Event, Observer, What};
use super::side::{PerSide, Side};
use super::sparse::{Sparse, empty};
use super::subflow::{Bare, Reset, Subflow};
use crate::crypto::Key;
use crate::frame::Timestamp;
use crate::packet::options::Options;
use crate::packet::{Segment, TcpFlags};

pub use anomaly::{Anomaly, AnomalyKind, Level};
pub use checksums::ChecksumTally;
use checksums::{Owner, settle};
pub use choice::{HandoverSeen, Signal};
pub use control::{Announced, Removal};
pub use handshake::Handshake;
pub use seldom::Seldom;

/// One MPTCP connection as one tap saw it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its place in the tracker.
    pub id: ConnectionId,
    pub(in crate::track) number: Option<NonZeroU64>,
    /// The rules it follows, where its MP_CAPABLE showed them.
    pub dialect: Option<Dialect>,
    /// Only joins of it were seen: its token is known, its first subflow is not.
    pub orphan: bool,
    /// Identity of both ends.
    pub ends: PerSide<EndIdentity>,
    /// Handshake of the initial subflow.
    pub handshake: Handshake,
    /// Subflows in order of first packet.
    pub subflows: Vec<Subflow>,
    /// What each side sent at the data level.
    pub data: PerSide<DataLevel>,
    /// Checksums of what each side sent.
    pub checksums: PerSide<Sparse<ChecksumTally>>,
    /// Addresses announced.
    pub addresses: Sparse<Vec<Announced>>,
    /// When it stopped to be MPTCP.
    pub fallback: Option<FallbackSeen>,
    /// What few connections have.
    pub seldom: Sparse<Seldom>,
    /// Segments of it.
    pub segments: u64,
    /// First segment.
    pub first: Moment,
    /// Last segment.
    pub last: Moment,
    /// The connection of which this is another tap's view.
    pub view_of: Option<ConnectionId>,
    /// Its streams are kept track of, by sender.
    pub(in crate::track) stream_kept: PerSide<bool>,
    /// Input that shows it.
    pub input: u16,
    /// The snaplen cut TCP options: what is missing may have been there.
    pub options_cut: bool,
    closed: bool,
    /// A subflow that was open when last looked at.
    open: u16,
    /// Segments after which its memory is to be measured again.
    pub(in crate::track) due_at: u64,
    /// Bytes it was last found to take.
    pub(in crate::track) accounted: usize,
}

empty! {
    Vec<Announced> = Vec::new();
}

/// A fallback to TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallbackSeen {
    /// Why.
    pub cause: FallbackCause,
    /// Where it shows.
    pub frame: Mark,
    /// Whose missing or failing option it was, by sender.
    pub side: Option<Side>,
}

/// Causes of fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackCause {
    /// The SYN/ACK had no MP_CAPABLE: the server does not speak MPTCP, or its option was stripped (RFC 8684 §3.1).
    NoOptionInSynAck,
    /// The SYN/ACK had the client's own MP_CAPABLE: something on the way returns options that it does not know.
    OptionEchoed,
    /// The client sent its SYN again without MP_CAPABLE, and that one was answered (RFC 8684 §3.7).
    SynRetriedWithoutOption,
    /// The third ACK, or in version 1 what comes instead of it, had no MP_CAPABLE (RFC 8684 §3.1).
    NoOptionInThirdAck,
    /// The first data of an end came without DSS (RFC 8684 §3.7).
    NoOptionOnData,
    /// An end that had sent MPTCP options sent data without (RFC 8684 §3.7).
    OptionsVanished,
    /// An end sent MP_FAIL on its only subflow: a checksum was wrong (RFC 8684 §3.7).
    MpFail,
    /// An end sent a mapping of length 0: all that follows is one stream (RFC 8684 §3.7).
    InfiniteMapping,
    /// MP_CAPABLE was there and must be ignored: illegal flags or version (RFC 8684 §3.1).
    BadOption,
    /// Both ends sent a SYN: Multipath TCP has no handshake for that.
    SimultaneousOpen,
}

impl FallbackCause {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoOptionInSynAck => "no_option_in_syn_ack",
            Self::OptionEchoed => "option_echoed",
            Self::SynRetriedWithoutOption => "syn_retried_without_option",
            Self::NoOptionInThirdAck => "no_option_in_third_ack",
            Self::NoOptionOnData => "no_option_on_data",
            Self::OptionsVanished => "options_vanished",
            Self::MpFail => "mp_fail",
            Self::InfiniteMapping => "infinite_mapping",
            Self::BadOption => "bad_option",
            Self::SimultaneousOpen => "simultaneous_open",
        }
    }
}

/// What the outside world lends a connection for one segment.
pub(crate) struct Env<'a, O> {
    pub(crate) at: Moment,
    /// Buffer bytes left for payload that waits for a mapping.
    pub(crate) buffer: &'a mut usize,
    /// What may show the same connection elsewhere.
    pub(crate) compare: Compare,
    /// Whether TCP takes the segment, where that was looked at: an observer of data wants to know.
    pub(crate) intact: Option<bool>,
    pub(crate) observer: &'a mut O,
}

/// One segment, as the connection gets it.
pub(crate) struct Input<'s, 'p> {
    pub(crate) segment: &'s Segment<'p>,
    pub(crate) options: &'s Options<'p>,
    /// Its sender.
    pub(crate) side: Side,
    /// Its subflow.
    pub(crate) subflow: u16,
}

impl Input<'_, '_> {
    /// The payload captured of `[from, to)`, counted from the segment's first byte.
    #[inline]
    fn payload(&self, from: u64, to: u64) -> &[u8] {
        let payload = self.segment.payload;
        payload.get(from as usize..(to as usize).min(payload.len())).unwrap_or(&[])
    }
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, at: Moment, input: u16) -> Self {
        Self {
            id,
            number: None,
            dialect: None,
            orphan: false,
            ends: PerSide::default(),
            handshake: Handshake::default(),
            subflows: Vec::new(),
            data: PerSide::default(),
            checksums: PerSide::default(),
            addresses: Sparse::default(),
            fallback: None,
            seldom: Sparse::default(),
            segments: 0,
            first: at,
            last: at,
            view_of: None,
            stream_kept: PerSide::default(),
            input,
            options_cut: false,
            closed: false,
            open: 0,
            due_at: 0,
            accounted: 0,
        }
    }

    /// Its number in the report, from 1, in order of first packet; orphans and views have none.
    #[inline]
    pub fn number(&self) -> Option<u64> {
        self.number.map(NonZeroU64::get)
    }

    /// Takes one segment. Gives what a router must know: keys that changed.
    #[inline]
    pub(crate) fn segment<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>) -> Effects {
        let mut effects = Effects::default();
        let segment = input.segment;
        self.segments += 1;
        self.options_cut |= segment.options_cut;
        let Some(mut subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return effects };
        if segment.flags.any(TcpFlags::SYN) && subflow.is_answered_already(segment, input.side) {
            subflow.halves[input.side].segments += 1;
            return effects;
        }
        self.last = env.at;
        if subflow.is_of_later_attempt(input) {
            self.begin_again(input.subflow);
            let Some(again) = self.subflows.get_mut(usize::from(input.subflow)) else { return effects };
            subflow = again;
        }
        subflow.last = env.at;
        let stray = segment.flags.rst() && subflow.reset().is_none() && subflow.is_over();
        let half = &mut subflow.halves[input.side];
        half.segments += 1;
        if half.next == 0 {
            half.next = half.unwrap(segment.seq);
        }
        if segment.source_routed {
            subflow.source_routed[input.side] = true;
        }
        if segment.flags.any(TcpFlags::SYN) {
            self.syn(input, env, &mut effects);
            return effects;
        }
        half.window = segment.window;
        if half.ttl == 0 && !segment.flags.any(TcpFlags::RST) {
            half.ttl = segment.ttl;
        }
        let unseen = subflow.halves[input.side.peer()].segments == 0;
        let unseen = unseen.then(|| self.acked_of_peer(input));
        if segment.flags.ack() {
            self.acknowledge(input, env);
        }
        let options = input.options;
        if options.mptcp {
            if options.has_more_than_dss() {
                self.cold_options(input, env, &mut effects);
            }
            self.note_options(input, env.at);
        }
        self.note_third_ack(input, env);
        if let Some(dss) = &options.dss {
            effects.keys |= self.dss(dss, input, env);
        }
        if let Some(before) = unseen {
            self.note_unseen_fin(input, before);
        }
        if segment.payload_len > 0 {
            self.payload(input, env);
        }
        if segment.flags.any(TcpFlags::FIN | TcpFlags::RST) && !stray {
            self.end_of_subflow(input, env, &mut effects);
        }
        effects
    }

    /// A segment behind the SYNs has MPTCP options.
    #[inline]
    fn note_options(&mut self, input: &Input<'_, '_>, at: Moment) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        match &mut subflow.options[input.side] {
            Some((_, last)) => *last = at.frame,
            none => *none = Some((at.frame, at.frame)),
        }
        if let Some(seldom) = subflow.seldom.written() {
            seldom.bare[input.side.peer()].note_option_of_peer(at);
            let bare = &mut seldom.bare[input.side];
            if (bare.segments > 0 || bare.acks.is_some()) && self.fallback.is_none() {
                *bare = Bare::default();
            }
        }
    }

    /// An acknowledgement by `input.side` settles what its peer sent.
    #[inline]
    fn acknowledge<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let (peer, number) = (input.side.peer(), self.number());
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[peer];
        if let Some((_, echo)) = input.options.timestamps
            && let Some(rtt) = half.rtt.written()
        {
            rtt.echoed(echo, env.at.time);
        }
        if let Some(acked) = half.acknowledge(input.segment.ack, env.at.time) {
            let bare_ack = !input.options.mptcp && input.segment.payload_len == 0;
            if bare_ack && half.last_mapping_end().is_some() {
                let acks = &mut subflow.seldom.bare[input.side].acks;
                acks.get_or_insert((env.at, 0)).1 += 1;
                if self.fallback.is_none() && self.data[peer].acked().is_none() {
                    subflow.seldom.bare_ack[input.side].get_or_insert((env.at.frame, input.segment.ttl));
                }
            }
            let bare = &subflow.seldom.bare[peer];
            if bare.segments > 0 && bare.acknowledged.is_none() && acked > bare.start {
                subflow.seldom.bare[peer].acknowledged = Some(env.at.frame);
            }
            let owner = Owner { connection: self.id, number, side: peer, subflow: input.subflow };
            let (tally, data) = (&mut self.checksums[peer], &self.data[peer]);
            half.mappings.acknowledged(acked, |complete| {
                settle(tally, data, &complete, owner, env.observer);
            });
            // Its peer has what the sender of the RST sent after it: neither took the subflow for ended.
            let goes_on = |reset: Reset| reset.by == peer && (reset.sent + 1..=half.next).contains(&acked);
            if subflow.seldom.reset.is_some_and(goes_on) {
                subflow.survive_reset(env.at.frame);
                self.closed = false;
            }
        } else if input.options.has_control()
            && input.segment.payload_len == 0
            && !input.segment.flags.any(TcpFlags::FIN | TcpFlags::RST)
        {
            let repeated = &mut subflow.halves[input.side].seldom.signalling_acks;
            repeated.get_or_insert((env.at.frame, 0)).1 += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn cold_options<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>, effects: &mut Effects) {
        if let Some(capable) = input.options.capable() {
            self.capable(capable, input, env, effects);
        }
        if let Some(join) = input.options.join() {
            self.join_ack(join, input, env);
        }
        self.controls(input, env, effects);
    }

    #[cold]
    #[inline(never)]
    fn end_of_subflow<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>, effects: &mut Effects) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let was_closed = subflow.is_closed();
        if input.segment.flags.fin() {
            let half = &mut subflow.halves[input.side];
            let at = half.unwrap(input.segment.seq) + u64::from(input.segment.payload_len);
            half.fin.get_or_insert((at, env.at.frame));
            if half.syn().is_none() {
                self.place_before_fin(at, input, env);
            }
            let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
            let half = &mut subflow.halves[input.side];
            half.next = half.next.max(at + 1);
        }
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        if input.segment.flags.rst() {
            outcome::note_told(subflow, input);
        }
        let left = input.segment.flags.rst() && subflow.is_left(input.side, input.segment);
        let resets = input.segment.flags.rst() && subflow.reset().is_none() && !left;
        if left {
            subflow.seldom.abandoned = true;
        } else if resets {
            subflow.seldom.reset = Some(outcome::reset_of(subflow, input, env.at));
            subflow.seldom.after_reset = None;
        } else if input.segment.flags.rst()
            && let Some(reset) = &mut subflow.seldom.reset
        {
            outcome::amend_reset(reset, input);
        }
        subflow.update_carries();
        let closes = subflow.is_closed() && !was_closed;
        if closes {
            subflow.halves.client.close();
            subflow.halves.server.close();
        }
        if resets {
            self.tell(Some(input.subflow), What::SubflowReset, env);
        }
        if closes {
            self.tell(Some(input.subflow), What::SubflowClosed, env);
        }
        if !self.closed && self.all_closed() {
            self.closed = true;
            self.data.client.close();
            self.data.server.close();
            effects.closed = true;
            self.tell(None, What::ConnectionClosed, env);
        }
    }

    /// Tells whoever listens what happens at this segment.
    #[inline]
    fn tell<O: Observer>(&self, subflow: Option<u16>, what: What, env: &mut Env<'_, O>) {
        env.observer.event(Event { connection: self.id, number: self.number(), subflow, at: env.at, what });
    }

    pub(crate) fn note(&mut self, anomaly: Anomaly) {
        self.seldom.note(anomaly);
    }

    /// The key taken for right of one end.
    pub fn key_of(&self, side: Side) -> Option<Key> {
        self.ends[side].key.map(|known| known.key)
    }

    /// The initial subflow, if it was seen.
    pub fn initial(&self) -> Option<&Subflow> {
        self.subflows.first().filter(|subflow| subflow.join.is_none())
    }

    /// Whether this is a segment after which its memory should be measured: often enough that what it takes is never more
    /// than twice what was found.
    #[inline]
    pub(in crate::track) fn is_due(&self) -> bool {
        self.segments >= self.due_at
    }

    /// Buffered payload bytes, to give back.
    pub(in crate::track) fn kept_bytes(&self) -> usize {
        let kept = |subflow: &Subflow| {
            subflow.halves.client.seldom.unmapped.kept_bytes() + subflow.halves.server.seldom.unmapped.kept_bytes()
        };
        self.subflows.iter().map(kept).sum::<usize>() + self.handshake.kept_bytes()
    }

    /// Whether all subflows seen are closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nanoseconds since the last segment.
    pub fn idle(&self, now: Timestamp) -> u64 {
        now.since(self.last.time)
    }
}

/// What a segment changed that the router keeps tables of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effects {
    /// A key became known or changed.
    pub(crate) keys: bool,
    /// The last subflow closed.
    pub(crate) closed: bool,
}

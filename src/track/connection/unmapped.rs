//! Payload that no mapping covers: it waits for one, or is the stream itself after a fallback (RFC 8684 §3.7).

use super::completes::Completes;
use super::payload::Origin;
use super::{Connection, Env, FallbackCause, Input};
use crate::track::data::ORIGIN;
use crate::track::half::{Half, Piece};
use crate::track::mapping::{Payload, Placed};
use crate::track::mark::Moment;
use crate::track::observer::Observer;
use crate::track::side::Side;
use crate::track::subflow::{Reset, Subflow};
use crate::wire::{Mapping, ResetReason};

/// Payload without options after which a connection that never showed a mapping counts as fallen back at once, instead of
/// when its capture ends.
const BARE_SEGMENTS: u32 = 64;

impl Connection {
    /// Whether the capture shows which data `side` sent on a subflow: it has packets of that side. Where it cut their options, a mapping
    /// may have been among them.
    pub fn shows_data_of(&self, subflow: &Subflow, side: Side) -> bool {
        !self.lacks_direction(side) && (!self.options_cut || subflow.halves[side].seldom.unmapped.bytes() == 0)
    }

    /// Whether all payload of `side` that was captured is known to be data, or none.
    pub fn shows_all_data_of(&self, side: Side) -> bool {
        let mapped = |subflow: &Subflow| subflow.halves[side].seldom.unmapped.bytes() == 0;
        !self.lacks_direction(side) && (!self.options_cut || self.subflows.iter().all(mapped))
    }

    /// Payload that no mapping covers, now: in a fallback it follows from where the stream stood; else it waits.
    #[cold]
    #[inline(never)]
    pub(super) fn unmapped<O: Observer>(
        &mut self,
        start: u64,
        end: u64,
        bytes: &[u8],
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
    ) {
        let decided = self.fallback.is_some() && input.subflow == 0;
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        if decided && half.seldom.line.is_none() {
            half.seldom.line = Some(line_of(half));
        }
        if let Some((seq, position)) = half.seldom.line.filter(|line| start >= line.0) {
            let position = position + (start - seq);
            self.deliver(position, end - start, input.side, input.subflow, env.at, env);
            if O::WANTS_DATA {
                self.hand_out(position, end - start, bytes, Origin::Plain, input.side, input.subflow, env);
            }
            return;
        }
        let keep = O::WANTS_DATA || self.checksum_in_use() != Some(false);
        let kept = if keep && bytes.len() <= *env.buffer { bytes.to_vec() } else { Vec::new() };
        *env.buffer -= kept.len();
        let piece = Piece { start, end, bytes: kept, frame: env.at.frame, time: env.at.time };
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        *env.buffer += subflow.halves[input.side].seldom.unmapped.push(piece);
        let bare = subflow.seldom.bare[input.side].segments >= BARE_SEGMENTS;
        if bare && input.subflow == 0 && self.fallback.is_none() && self.handshake.syn.is_some() {
            self.conclude_bare(env);
        }
    }

    /// A mapping came for payload that was seen before it.
    #[cold]
    pub(super) fn resolve_unmapped<O: Observer>(
        &mut self,
        placed: &Placed,
        side: Side,
        subflow: u16,
        env: &mut Env<'_, O>,
    ) {
        let Some(record) = self.subflows.get_mut(usize::from(subflow)) else { return };
        let mut completes = Completes::default();
        let half = &mut record.halves[side];
        let pieces = half.seldom.unmapped.take(placed.start, placed.end());
        for piece in &pieces {
            let payload = Payload { bytes: &piece.bytes, sum: None, segment: None };
            half.mappings.cover(piece.start, payload, piece.end, piece.frame, |complete| completes.push(complete));
        }
        for piece in pieces {
            *env.buffer += piece.bytes.len();
            let (start, end) = (piece.start.max(placed.start), piece.end.min(placed.end()));
            let cut = |from: u64, to: u64| {
                let from = ((from - piece.start) as usize).min(piece.bytes.len());
                let to = ((to - piece.start) as usize).min(piece.bytes.len());
                piece.bytes.get(from..to).unwrap_or(&[])
            };
            let at = Moment { frame: piece.frame, time: piece.time };
            self.deliver_mapped(start, end, cut(start, end), placed, side, subflow, at, env);
            for (from, to) in [(piece.start, start), (end, piece.end)] {
                if from < to {
                    let bytes = cut(from, to).to_vec();
                    *env.buffer = env.buffer.saturating_sub(bytes.len());
                    let rest = Piece { start: from, end: to, bytes, frame: piece.frame, time: piece.time };
                    if let Some(record) = self.subflows.get_mut(usize::from(subflow)) {
                        *env.buffer += record.halves[side].seldom.unmapped.push(rest);
                    }
                }
            }
        }
        for complete in completes.iter() {
            self.settle(complete, side, subflow, env);
        }
    }

    /// It is a fallback: what waited for a mapping on the initial subflow is the TCP stream itself.
    /// But a peer that resets the subflow for a lack of mappings has not fallen back, and has not taken it.
    pub(super) fn flush_unmapped<O: Observer>(&mut self, env: &mut Env<'_, O>) {
        for side in Side::BOTH {
            let reset = self.subflows.first().and_then(Subflow::reset);
            let refused = |reset: Reset| {
                reset.by == side.peer() && reset.reason.is_some_and(|why| why.0 == ResetReason::MIDDLEBOX)
            };
            if reset.is_some_and(refused) {
                continue;
            }
            let Some(half) = self.subflows.first_mut().map(|subflow| &mut subflow.halves[side]) else { return };
            if half.seldom.unmapped.is_empty() {
                continue;
            }
            let (seq, position) = half.seldom.line.unwrap_or_else(|| line_of(half));
            half.seldom.line = Some((seq, position));
            for piece in half.seldom.unmapped.take(seq, u64::MAX) {
                *env.buffer += piece.bytes.len();
                let start = piece.start.max(seq);
                let skip = ((start - piece.start) as usize).min(piece.bytes.len());
                let position = position + (start - seq);
                let at = Moment { frame: piece.frame, time: piece.time };
                self.deliver(position, piece.end - start, side, 0, at, env);
                if O::WANTS_DATA {
                    let bytes = piece.bytes.get(skip..).unwrap_or(&[]);
                    self.hand_out(position, piece.end - start, bytes, Origin::Plain, side, 0, env);
                }
            }
        }
    }

    /// Length 0: from here on the subflow is the stream (RFC 8684 §3.7).
    #[cold]
    pub(super) fn infinite_mapping<O: Observer>(
        &mut self,
        mapping: &Mapping,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
    ) {
        self.seldom.infinite[input.side].get_or_insert(env.at.frame);
        let position = self.data[input.side].position(mapping.dsn);
        if let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) {
            let half = &mut subflow.halves[input.side];
            let start = half.place(mapping.ssn);
            if half.seldom.line.is_none() {
                half.seldom.line = start.zip(position);
            }
            if start == Some(half.unwrap(input.segment.seq)) {
                half.seldom.infinite_in_place = true;
            }
        }
        let cause = if self.seldom.failed.client.is_some() || self.seldom.failed.server.is_some() {
            FallbackCause::MpFail
        } else {
            FallbackCause::InfiniteMapping
        };
        self.fall_back(cause, env.at.frame, Some(input.side), env);
    }
}

/// Where a stream without mappings goes on: after the last mapping, or from the first byte.
fn line_of(half: &Half) -> (u64, u64) {
    match (half.last_mapping_end(), half.syn()) {
        (Some(end), _) => end,
        (None, Some(syn)) => (syn + 1 + u64::from(half.seldom.fast_open), ORIGIN + 1),
        (None, None) => (half.seen.origin(), ORIGIN + 1),
    }
}

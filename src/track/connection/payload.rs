//! DSS and payload: placing mappings, checking them, and handing bytes to the data level (RFC 8684 §3.3).

use super::{AnomalyKind, Connection, Env, FallbackCause, HandoverSeen, Input};
use crate::limits;
use crate::packet::checksum::add16;
use crate::track::data::{DataLevel, Delivered, ORIGIN};
use crate::track::half::{Half, Piece, SynSource};
use crate::track::mapping::{Complete, Inserted, Missing, Payload, Placed};
use crate::track::mark::{Mark, Moment};
use crate::track::observer::{Checked, Data, Event, Observer, What};
use crate::track::side::Side;
use crate::track::sparse::{Sparse, empty};
use crate::track::subflow::{Reset, Subflow};
use crate::track::timeline::{Step, Timeline};
use crate::wire::{Dss, Mapping, RawSequence};

/// Silence that makes a change of path a handover: longer than the reordering of paths in use, shorter than a person's
/// patience. TCP's minimum retransmission timeout on Linux is 200 ms.
const HANDOVER_SILENCE_NS: u64 = 200_000_000;
/// Payload without options after which a connection that never showed a mapping counts as fallen back at once, instead of
/// when its capture ends.
const BARE_SEGMENTS: u32 = 64;

/// Outcomes of the checksums of what one side sent.
#[derive(Clone, Debug, Default)]
pub struct ChecksumTally {
    /// Right.
    pub verified: u64,
    /// Wrong.
    pub mismatch: u64,
    /// Bytes cut by the snaplen.
    pub cut: u64,
    /// Bytes never captured.
    pub missing: u64,
    /// High half of the DSN unknown: each candidate for its contribution and how many mappings it makes right.
    pub inferred: Sparse<Vec<(u16, u64)>>,
    /// The wrong ones, up to a limit.
    pub mismatches: Sparse<Vec<Mismatch>>,
}

/// One wrong checksum.
#[derive(Clone, Copy, Debug)]
pub struct Mismatch {
    /// Its subflow.
    pub subflow: u16,
    /// Its mapping.
    pub placed: Placed,
    /// Frame with the mapping's last byte.
    pub last_frame: Mark,
    /// Checksum of what was seen.
    pub expected: u16,
    /// First DSN.
    pub dsn: u64,
}

empty! {
    Vec<(u16, u64)> = Vec::new();
    Vec<Mismatch> = Vec::new();
}

impl ChecksumTally {
    /// Bytes on the heap.
    pub(in crate::track) fn heap_bytes(&self) -> usize {
        self.inferred.capacity() * size_of::<(u16, u64)>() + self.mismatches.capacity() * size_of::<Mismatch>()
    }

    /// Judges a mapping that is complete or given up; tells whether it is right, where that can be told.
    pub(super) fn settle(&mut self, complete: &Complete, data: &DataLevel, subflow: u16) -> Option<bool> {
        let seen = complete.placed.checksum?;
        let payload = match complete.sum {
            Ok(sum) => sum,
            Err(Missing::Cut) => {
                self.cut += 1;
                return None;
            }
            Err(Missing::Segments) => {
                self.missing += 1;
                return None;
            }
        };
        let (dsn, high_known) = data.dsn(complete.placed.position);
        let placed = &complete.placed;
        let header = sum_words(&[dsn as u32, placed.ssn, u32::from(placed.data_len)]);
        let low = add16(header, payload);
        let high = sum_words(&[(dsn >> 32) as u32]);
        if !high_known {
            self.infer(!add16(low, seen), high);
            return None;
        }
        let right = |payload_difference: u16| {
            let sum = add16(add16(add16(low, high), payload_difference), seen);
            sum == 0xffff || sum == 0
        };
        if right(0) || complete.other_copy.is_some_and(right) {
            self.verified += 1;
            return Some(true);
        }
        self.mismatch += 1;
        if self.mismatches.len() < limits::MISMATCHES {
            let expected = !add16(low, high);
            self.mismatches.push(Mismatch { subflow, placed: *placed, last_frame: complete.last_frame, expected, dsn });
        }
        Some(false)
    }

    /// The high half of the DSN adds one constant to all sums until the low half wraps: mappings that agree on it are
    /// consistent, though not verified.
    fn infer(&mut self, needed: u16, made_up_high: u16) {
        let constant = add16(needed, !made_up_high);
        let constant = if constant == 0xffff { 0 } else { constant };
        if let Some(candidate) = self.inferred.iter_mut().find(|candidate| candidate.0 == constant) {
            candidate.1 += 1;
        } else if self.inferred.len() < limits::INFERRED {
            self.inferred.push((constant, 1));
        } else {
            self.missing += 1;
        }
    }

    /// Counts what another tally saw, on subflows that are numbered from `base` here.
    pub(in crate::track) fn absorb(&mut self, other: &Self, base: u16) {
        self.verified += other.verified;
        self.mismatch += other.mismatch;
        self.cut += other.cut;
        self.missing += other.missing;
        for &candidate in other.inferred.iter().take(limits::INFERRED.saturating_sub(self.inferred.len())) {
            self.inferred.push(candidate);
        }
        for mismatch in other.mismatches.iter().take(limits::MISMATCHES - self.mismatches.len()) {
            self.mismatches.push(Mismatch { subflow: mismatch.subflow + base, ..*mismatch });
        }
    }

    /// Mappings whose checksum could not be judged.
    pub fn unverifiable(&self) -> u64 {
        self.cut + self.missing + self.inferred.iter().map(|candidate| candidate.1).sum::<u64>()
    }

    /// Of those, how many agree with each other on an unknown high half beyond the one that told it.
    pub fn consistent(&self) -> u64 {
        self.inferred.iter().map(|candidate| candidate.1).max().map_or(0, |most| most - 1)
    }
}

fn sum_words(words: &[u32]) -> u16 {
    words.iter().fold(0, |sum, word| add16(add16(sum, (word >> 16) as u16), *word as u16))
}

impl Connection {
    /// A DSS option.
    #[inline]
    pub(super) fn dss<O: Observer>(&mut self, dss: &Dss, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        if let Some(ack) = dss.data_ack {
            let data = &mut self.data[input.side.peer()];
            match data.position(ack) {
                Some(position) => {
                    data.acknowledge(position);
                    if !self.ends[input.side.peer()].proven {
                        self.prove(input.side.peer(), ack);
                    }
                }
                None => self.anomaly(AnomalyKind::SequenceOutOfReach, input, env.at, None, 0),
            }
        }
        if let Some(mapping) = &dss.mapping {
            self.mapping(mapping, dss.data_fin(), input, env);
        }
    }

    /// The first DSN or DATA_ACK is IDSN + 1: it proves the key.
    #[inline]
    fn prove(&mut self, side: Side, first: RawSequence) {
        let (low, high) = match first {
            RawSequence::Short(low) => (low, None),
            RawSequence::Long(dsn) => (dsn as u32, Some((dsn >> 32) as u32)),
        };
        if self.ends[side].prove_by_dsn(low, high) {
            self.keys_changed(side);
        }
    }

    #[inline]
    fn mapping<O: Observer>(&mut self, mapping: &Mapping, data_fin: bool, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        if mapping.len == 0 {
            return self.infinite_mapping(mapping, input, env);
        }
        let len = u32::from(mapping.len) - u32::from(data_fin);
        if mapping.ssn == 1 && !self.ends[input.side].proven {
            self.prove(input.side, mapping.dsn);
        }
        let Some(position) = self.data[input.side].position(mapping.dsn) else {
            self.anomaly(AnomalyKind::SequenceOutOfReach, input, env.at, None, 0);
            return;
        };
        if data_fin {
            self.data_fin(position + u64::from(len), input, env);
        }
        if len == 0 {
            return self.bare_data_fin(mapping, position, input, env);
        }
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        if half.syn.is_none() && !learn_base(half, mapping, len, input) {
            return;
        }
        let Some(start) = half.place(mapping.ssn) else { return };
        let placed = Placed {
            start,
            len,
            position,
            ssn: mapping.ssn,
            data_len: mapping.len,
            checksum: mapping.checksum,
            frame: env.at.frame,
        };
        self.place(placed, input, env);
    }

    /// The mapping that MP_CAPABLE with data implies: IDSN + 1, SSN 1 (RFC 8684 §3.1).
    pub(super) fn map_first_data<O: Observer>(
        &mut self,
        len: u16,
        checksum: Option<u16>,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
    ) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        if half.syn.is_none() && u32::from(len) == input.segment.payload_len {
            half.learn_syn(input.segment.seq.wrapping_sub(1), SynSource::Mapping);
        }
        let Some(syn) = half.syn else { return };
        let placed = Placed {
            start: syn + 1 + u64::from(half.fast_open),
            len: u32::from(len),
            position: ORIGIN + 1,
            ssn: 1,
            data_len: len,
            checksum,
            frame: env.at.frame,
        };
        self.place(placed, input, env);
    }

    #[inline]
    fn place<O: Observer>(&mut self, placed: Placed, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        match half.mappings.insert(placed) {
            Inserted::Known | Inserted::Variant(None) => {}
            Inserted::Variant(Some(complete)) => self.settle(&complete, input.side, input.subflow, env),
            Inserted::New => {
                if half.mappings.is_overfull() {
                    // Nobody acknowledges: the oldest goes, as if it had been.
                    let (tally, data) = (&mut self.checksums[input.side], &self.data[input.side]);
                    half.mappings.acknowledged(0, |complete| {
                        tally.settle(&complete, data, input.subflow);
                    });
                }
                let end = (placed.end(), placed.position + u64::from(placed.len));
                if half.last_mapping_end.is_none_or(|last| end.0 > last.0) {
                    half.last_mapping_end = Some(end);
                }
                let wants = |side: Side| self.ends[side].flags.map(|flags| flags & 0x80 != 0);
                let agreed = wants(Side::Client).zip(wants(Side::Server)).map(|(client, server)| client || server);
                if !half.unmapped.is_empty() {
                    self.resolve_unmapped(&placed, input.side, input.subflow, env);
                }
                match (agreed, placed.checksum) {
                    (Some(true), None) => self.anomaly(AnomalyKind::ChecksumAbsent, input, env.at, None, 0),
                    (Some(false), Some(_)) => self.anomaly(AnomalyKind::ChecksumNotNegotiated, input, env.at, None, 0),
                    _ => {}
                }
            }
            Inserted::Conflict(earlier) => {
                self.anomaly(AnomalyKind::MappingConflict, input, env.at, Some(earlier), u64::from(placed.ssn));
            }
        }
    }

    /// A segment's payload.
    #[inline]
    pub(super) fn payload<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let segment = input.segment;
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        let stamp = input.options.timestamps.map(|(value, _)| value);
        let mark = env.at.frame;
        let Some(taken) = half.take(segment.seq, segment.payload_len, stamp, mark, env.at.time) else {
            self.anomaly(AnomalyKind::SequenceOutOfReach, input, env.at, None, 1);
            return;
        };
        let mut completes = Completes::default();
        let payload = Payload { bytes: segment.payload, sum: segment.payload_sum };
        half.mappings.cover(taken.start, payload, taken.end, mark, |complete| completes.push(complete));
        let changed = half.mappings.take_changed();
        if env.compare {
            half.seldom.digest.get_or_insert_default().add(half.syn, &taken, segment);
        }
        if !input.options.mptcp && !segment.options_cut {
            let bare = &mut subflow.bare[input.side];
            bare.first.get_or_insert(mark);
            bare.segments = bare.segments.saturating_add(1);
        }
        for &(start, end) in taken.fresh_parts() {
            self.fresh(start, end, taken.start, input, env);
        }
        for complete in completes.iter() {
            self.settle(complete, input.side, input.subflow, env);
        }
        if changed.is_some() {
            self.anomaly(AnomalyKind::PayloadChanged, input, env.at, changed, 0);
        }
    }

    /// Bytes `[start, end)` of a segment's payload, which begins at `segment_start`, were not seen before.
    #[inline]
    fn fresh<O: Observer>(
        &mut self,
        start: u64,
        end: u64,
        segment_start: u64,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
    ) {
        let Some(subflow) = self.subflows.get(usize::from(input.subflow)) else { return };
        let mut parts = [Part::default(); 4];
        let mut count = 0;
        subflow.halves[input.side].mappings.split(start, end, |a, b, placed| {
            if let Some(slot) = parts.get_mut(count) {
                *slot = Part { start: a, end: b, placed: placed.copied() };
                count += 1;
            } else if let Some(last) = parts.last_mut() {
                last.end = b;
                last.placed = None;
            }
        });
        for part in parts.get(..count).unwrap_or(&[]) {
            let from = (part.start - segment_start) as usize;
            let to = ((part.end - segment_start) as usize).min(input.segment.payload.len());
            let bytes = input.segment.payload.get(from..to).unwrap_or(&[]);
            match &part.placed {
                Some(placed) => {
                    self.deliver_mapped(part.start, part.end, bytes, placed, input.side, input.subflow, env.at, env);
                }
                None => self.unmapped(part.start, part.end, bytes, input, env),
            }
        }
    }

    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "a private step of the hot path; a struct would be built to be taken apart"
    )]
    fn deliver_mapped<O: Observer>(
        &mut self,
        start: u64,
        end: u64,
        bytes: &[u8],
        placed: &Placed,
        side: Side,
        subflow: u16,
        at: Moment,
        env: &mut Env<'_, O>,
    ) {
        let position = placed.position + (start - placed.start);
        self.deliver(position, end - start, side, subflow, at, env);
        if O::WANTS_DATA {
            self.hand_out(position, end - start, bytes, Some(placed), side, subflow, env);
        }
    }

    /// Tells the observer of bytes of the stream.
    #[expect(clippy::too_many_arguments, reason = "as above")]
    fn hand_out<O: Observer>(
        &self,
        position: u64,
        len: u64,
        bytes: &[u8],
        placed: Option<&Placed>,
        side: Side,
        subflow: u16,
        env: &mut Env<'_, O>,
    ) {
        let data = &self.data[side];
        let plain = || self.subflows.first().is_some_and(|first| first.halves[side].is_plain_from_start());
        env.observer.data(Data {
            connection: self.id,
            number: self.number,
            side,
            subflow,
            offset: data.offset(position),
            anchored: data.is_anchored() || (placed.is_none() && plain()),
            bytes,
            len,
            mapping: placed
                .filter(|placed| placed.checksum.is_some())
                .map(|placed| (data.offset(placed.position), placed.len)),
        });
    }

    #[inline]
    fn deliver<O: Observer>(
        &mut self,
        position: u64,
        len: u64,
        side: Side,
        subflow: u16,
        at: Moment,
        env: &mut Env<'_, O>,
    ) {
        let data = &mut self.data[side];
        let (before, previous) = (data.blocks.last, data.blocks.subflow);
        let delivered = data.deliver(position, position + len, subflow, at);
        let much = data.unique >= limits::TIMELINE_FROM;
        let mut asked_for_backup = false;
        if let Some(record) = self.subflows.get_mut(usize::from(subflow)) {
            let half = &mut record.halves[side];
            half.data_bytes += delivered.fresh;
            half.reinjected += delivered.reinjected;
            asked_for_backup = record.backup.client || record.backup.server;
            if much {
                note_time(data, half, subflow, delivered.fresh, at);
            }
        }
        if self.subflows.len() > 1 && (delivered.from_idle || asked_for_backup) {
            self.note_choice(side, subflow, previous, delivered);
        }
        if let (Some(from), Some(before)) = (delivered.switched_from, before) {
            self.note_switch(from, subflow, side, before, env);
        }
    }

    /// Data went to a subflow while others were free, or though an end had asked for it to be a backup.
    #[cold]
    #[inline(never)]
    fn note_choice(&mut self, side: Side, chosen: u16, previous: u16, delivered: Delivered) {
        let usable = |subflow: &Subflow| {
            let open =
                subflow.reset.is_none() && subflow.halves.client.fin.is_none() && subflow.halves.server.fin.is_none();
            open && subflow.is_established()
        };
        let is_backup = |subflow: &Subflow| subflow.backup.client || subflow.backup.server;
        let chosen_backup = self.subflows.get(usize::from(chosen)).is_some_and(is_backup);
        let regular = |subflow: &&Subflow| usable(subflow) && !is_backup(subflow);
        if chosen_backup {
            if self.subflows.iter().take(limits::CHOICE_SUBFLOWS).any(|subflow| regular(&subflow))
                && let Some(record) = self.subflows.get_mut(usize::from(chosen))
            {
                record.halves[side].seldom.against_priority += delivered.fresh;
            }
            return;
        }
        let times = |subflow: &Subflow| subflow.halves[side].rtt.smoothed;
        let own = self.subflows.get(usize::from(chosen)).map_or(0, times);
        let others = self
            .subflows
            .iter()
            .take(limits::CHOICE_SUBFLOWS)
            .enumerate()
            .filter(|(index, _)| *index != usize::from(chosen));
        let others = others.map(|(_, subflow)| subflow).filter(regular).map(times);
        self.data[side].choices.note((chosen, own), previous, others);
    }

    /// New data moved to another subflow: a handover where the old one is gone, demoted, or has long been silent.
    fn note_switch<O: Observer>(&mut self, from: u16, to: u16, side: Side, before: Moment, env: &mut Env<'_, O>) {
        let Some(old) = self.subflows.get(usize::from(from)) else { return };
        let half = &old.halves[side];
        let gap = env.at.time.since(half.last_data_time);
        let since_last_data = |mark: Mark| half.last_data.is_none_or(|last| mark >= last);
        let removed = || {
            let uses = |by: Side, id| old.address_ids[by] == Some(id);
            self.removals.iter().any(|removal| since_last_data(removal.frame) && uses(removal.by, removal.id))
        };
        let signal = if old.reset.is_some() {
            Some("reset")
        } else if half.fin.is_some() {
            Some("fin")
        } else if old.backup_changes.last().is_some_and(|change| change.2 && since_last_data(change.0)) {
            Some("mp_prio")
        } else if removed() {
            Some("remove_addr")
        } else {
            None
        };
        let stalled = half.acked.is_some_and(|acked| acked < half.next) && gap >= HANDOVER_SILENCE_NS;
        let all_silent = env.at.time.since(before.time) >= HANDOVER_SILENCE_NS;
        if signal.is_none() && !(stalled && all_silent) {
            return;
        }
        if self.handovers[side].len() < limits::HANDOVERS {
            self.handovers[side].push(HandoverSeen { from, to, frame: env.at.frame, gap, signal });
        } else {
            self.left_out.handovers += 1;
        }
    }

    /// Payload that no mapping covers, now: in a fallback it follows from where the stream stood; else it waits.
    #[cold]
    #[inline(never)]
    fn unmapped<O: Observer>(
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
                self.hand_out(position, end - start, bytes, None, input.side, input.subflow, env);
            }
            return;
        }
        let keep = O::WANTS_DATA || self.checksum_in_use() != Some(false);
        let kept = if keep && bytes.len() <= *env.buffer { bytes.to_vec() } else { Vec::new() };
        *env.buffer -= kept.len();
        let piece = Piece { start, end, bytes: kept, frame: env.at.frame, time: env.at.time };
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        *env.buffer += subflow.halves[input.side].unmapped.push(piece);
        let bare = subflow.bare[input.side].segments >= BARE_SEGMENTS;
        if bare && input.subflow == 0 && self.fallback.is_none() && self.handshake.syn.is_some() {
            self.conclude_bare(env);
        }
    }

    /// A mapping came for payload that was seen before it.
    #[cold]
    fn resolve_unmapped<O: Observer>(&mut self, placed: &Placed, side: Side, subflow: u16, env: &mut Env<'_, O>) {
        let Some(record) = self.subflows.get_mut(usize::from(subflow)) else { return };
        let mut completes = Completes::default();
        let half = &mut record.halves[side];
        let pieces = half.unmapped.take(placed.start, placed.end());
        for piece in &pieces {
            let payload = Payload { bytes: &piece.bytes, sum: None };
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
                        *env.buffer += record.halves[side].unmapped.push(rest);
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
            let reset = self.subflows.first().and_then(|subflow| subflow.reset);
            let refused = |reset: Reset| reset.by == side.peer() && reset.reason.is_some_and(|reason| reason.0 == 6);
            if reset.is_some_and(refused) {
                continue;
            }
            let Some(half) = self.subflows.first_mut().map(|subflow| &mut subflow.halves[side]) else { return };
            if half.unmapped.is_empty() {
                continue;
            }
            let (seq, position) = half.seldom.line.unwrap_or_else(|| line_of(half));
            half.seldom.line = Some((seq, position));
            for piece in half.unmapped.take(seq, u64::MAX) {
                *env.buffer += piece.bytes.len();
                let start = piece.start.max(seq);
                let skip = ((start - piece.start) as usize).min(piece.bytes.len());
                let position = position + (start - seq);
                let at = Moment { frame: piece.frame, time: piece.time };
                self.deliver(position, piece.end - start, side, 0, at, env);
                if O::WANTS_DATA {
                    let bytes = piece.bytes.get(skip..).unwrap_or(&[]);
                    self.hand_out(position, piece.end - start, bytes, None, side, 0, env);
                }
            }
        }
    }

    #[inline]
    fn settle<O: Observer>(&mut self, complete: &Complete, side: Side, subflow: u16, env: &mut Env<'_, O>) {
        if complete.placed.checksum.is_none() {
            return;
        }
        let right = self.checksums[side].settle(complete, &self.data[side], subflow);
        if right == Some(false) {
            env.observer.event(Event {
                connection: self.id,
                number: self.number,
                subflow: Some(subflow),
                at: env.at,
                what: What::ChecksumMismatch(side, self.data[side].dsn(complete.placed.position).0),
            });
        }
        if O::WANTS_DATA {
            let (offset, len) = (self.data[side].offset(complete.placed.position), complete.placed.len);
            env.observer.checked(Checked {
                connection: self.id,
                number: self.number,
                side,
                subflow,
                offset,
                len,
                right,
            });
        }
    }

    fn data_fin<O: Observer>(&mut self, position: u64, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let data = &mut self.data[input.side];
        if data.fin.is_none() {
            data.fin = Some((position, env.at.frame));
            data.fin_time = Some(env.at.time);
            env.observer.event(Event {
                connection: self.id,
                number: self.number,
                subflow: Some(input.subflow),
                at: env.at,
                what: What::DataFin(input.side),
            });
        }
    }

    /// A DATA_FIN without data: SSN 0, length 1; its checksum covers the pseudo-header only. Counted once a subflow.
    fn bare_data_fin<O: Observer>(
        &mut self,
        mapping: &Mapping,
        position: u64,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
    ) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        if half.bare_data_fin.replace((position, mapping.checksum)) == Some((position, mapping.checksum))
            || mapping.checksum.is_none()
        {
            return;
        }
        let placed = Placed {
            start: 0,
            len: 0,
            position,
            ssn: mapping.ssn,
            data_len: mapping.len,
            checksum: mapping.checksum,
            frame: env.at.frame,
        };
        let complete = Complete { placed, sum: Ok(0), other_copy: None, last_frame: env.at.frame };
        self.settle(&complete, input.side, input.subflow, env);
    }

    /// Length 0: from here on the subflow is the stream (RFC 8684 §3.7).
    #[cold]
    fn infinite_mapping<O: Observer>(&mut self, mapping: &Mapping, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        self.infinite[input.side].get_or_insert(env.at.frame);
        let position = self.data[input.side].position(mapping.dsn);
        if let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) {
            let half = &mut subflow.halves[input.side];
            if half.seldom.line.is_none() {
                half.seldom.line = half.place(mapping.ssn).zip(position);
            }
        }
        let cause = if self.failed.client.is_some() || self.failed.server.is_some() {
            FallbackCause::MpFail
        } else {
            FallbackCause::InfiniteMapping
        };
        self.fall_back(cause, env.at.frame, Some(input.side), env);
    }
}

/// Adds to the timeline of a direction that carries much.
#[inline]
fn note_time(data: &mut DataLevel, half: &mut Half, subflow: u16, fresh: u64, at: Moment) {
    let timeline = data.timeline.get_or_insert_with(|| Box::new(Timeline::new(at.time)));
    let in_flight = half.next.saturating_sub(half.acked.unwrap_or(half.next));
    let step = Step {
        bytes: saturate(fresh),
        in_flight: saturate(in_flight),
        rtt_us: saturate(half.rtt.smoothed / 1000),
        resent: saturate(half.retransmitted - half.seldom.told_retransmitted.unwrap_or(half.retransmitted)),
    };
    half.seldom.told_retransmitted = Some(half.retransmitted);
    timeline.add(subflow, at.time, step);
}

fn saturate(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Where a stream without mappings goes on: after the last mapping, or from the first byte.
fn line_of(half: &Half) -> (u64, u64) {
    match (half.last_mapping_end, half.syn) {
        (Some(end), _) => end,
        (None, Some(syn)) => (syn + 1 + u64::from(half.fast_open), ORIGIN + 1),
        (None, None) => (half.seen.origin(), ORIGIN + 1),
    }
}

/// In a capture that begins in the middle, a mapping tells the subflow's base where its first byte is known: it fits the
/// segment that carries it, or follows the mapping before at the segment that follows.
fn learn_base(half: &mut Half, mapping: &Mapping, len: u32, input: &Input<'_, '_>) -> bool {
    let segment = input.segment;
    let follows = half.seldom.base_hint == Some(mapping.ssn) && half.next == half.unwrap(segment.seq);
    half.seldom.base_hint = Some(mapping.ssn.wrapping_add(len));
    if len == segment.payload_len || (follows && segment.payload_len > 0) {
        half.learn_syn(segment.seq.wrapping_sub(mapping.ssn), SynSource::Mapping);
    }
    half.syn.is_some()
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    start: u64,
    end: u64,
    placed: Option<Placed>,
}

/// Mappings that one segment completed: one, or a few where it spans several.
#[derive(Default)]
struct Completes {
    first: Option<Complete>,
    more: Vec<Complete>,
}

impl Completes {
    #[inline]
    fn push(&mut self, complete: Complete) {
        if self.first.is_none() {
            self.first = Some(complete);
        } else {
            self.more.push(complete);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Complete> {
        self.first.iter().chain(&self.more)
    }
}

//! DSS and payload: placing mappings, and handing bytes to the data level (RFC 8684 §3.3).

use std::num::NonZeroU64;

use super::checksums::{Owner, settle};
use super::completes::Completes;
use super::unplaced::learn_base;
use super::{AnomalyKind, Connection, Env, Input, Level};
use crate::limits;
use crate::packet::checksum::sum16;
use crate::track::data::{DataLevel, ORIGIN};
use crate::track::half::{Half, Shown, SynSource, Taken};
use crate::track::mapping::{Complete, Payload, Placed};
use crate::track::mappings::Inserted;
use crate::track::mark::Moment;
use crate::track::observer::{Data, Judgement, Observer, What};
use crate::track::side::Side;
use crate::track::stuck::Stuck;
use crate::track::subflow::Subflow;
use crate::track::timeline::{Step, Timeline};
use crate::wire::{Dss, Mapping, RawSequence};

impl Connection {
    /// A DSS option. Gives whether it changed the tokens.
    #[inline]
    pub(super) fn dss<O: Observer>(&mut self, dss: &Dss, input: &Input<'_, '_>, env: &mut Env<'_, O>) -> bool {
        let mut changed = false;
        if let Some(ack) = dss.data_ack {
            // First: counted from the IDSN of a wrong key it would lie out of reach.
            let peer = input.side.peer();
            if !self.ends[peer].proven {
                changed |= self.prove(peer, ack, self.data[peer].acked().is_none());
            }
            match self.position(peer, ack, &mut changed) {
                Some(position) => self.data[peer].acknowledge(position),
                None => self.anomaly(AnomalyKind::SequenceOutOfReach(Level::Data), input, env.at, None),
            }
        }
        if let Some(mapping) = &dss.mapping {
            self.mapping(mapping, dss.data_fin(), input, env, &mut changed);
        }
        changed
    }

    /// The first DSN or DATA_ACK is IDSN + 1: it proves the key. `is_first`: there was none before. Gives whether tokens changed.
    #[inline]
    fn prove(&mut self, side: Side, first: RawSequence, is_first: bool) -> bool {
        let dialect = self.dialect;
        let changed = self.ends[side].prove_by_dsn(first);
        if changed {
            self.keys_changed(side);
        }
        if is_first && !self.ends[side].proven {
            self.try_draft(side, first);
        }
        changed || self.dialect != dialect
    }

    /// The position of a DSN of `side`. One out of reach may prove another of its keys, which changes tokens.
    #[inline]
    fn position(&mut self, side: Side, dsn: RawSequence, changed: &mut bool) -> Option<u64> {
        let position = self.data[side].position(dsn);
        if position.is_none() && self.ends[side].prove_by_reach(dsn) {
            *changed = true;
            self.keys_changed(side);
            return self.data[side].position(dsn);
        }
        position
    }

    #[inline]
    fn mapping<O: Observer>(
        &mut self,
        mapping: &Mapping,
        data_fin: bool,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
        changed: &mut bool,
    ) {
        if mapping.is_infinite() {
            return self.infinite_mapping(mapping, input, env);
        }
        let shown = Shown { mapping: *mapping, data_fin, frame: env.at.frame };
        let len = shown.payload_len();
        if mapping.ssn <= 1 && !self.ends[input.side].proven {
            *changed |= self.prove(input.side, mapping.dsn, true);
        }
        let Some(position) = self.position(input.side, mapping.dsn, changed) else {
            self.anomaly(AnomalyKind::SequenceOutOfReach(Level::Data), input, env.at, None);
            return;
        };
        if data_fin {
            self.data_fin(position + u64::from(len), input, env);
        }
        let end = position + u64::from(len);
        if let Some((fin, shown)) = self.data[input.side].fin.filter(|fin| len > 0 && end > fin.0) {
            self.anomaly(AnomalyKind::DataBehindFin(end - position.max(fin)), input, env.at, Some(shown));
        }
        if len == 0 {
            return self.bare_data_fin(mapping, position, input, env);
        }
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        if half.syn().is_none() {
            match learn_base(half, &shown, input) {
                Some(unplaced) => self.place_early(&unplaced, input, env),
                None => return,
            }
        }
        self.place_mapping(&shown, position, input, env);
    }

    /// A mapping whose SSN means a place.
    #[inline]
    pub(super) fn place_mapping<O: Observer>(
        &mut self,
        shown: &Shown,
        position: u64,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
    ) {
        let mapping = &shown.mapping;
        let half = self.subflows.get(usize::from(input.subflow)).map(|subflow| &subflow.halves[input.side]);
        let Some(start) = half.and_then(|half| half.place(mapping.ssn)) else { return };
        let placed = Placed {
            start,
            len: shown.payload_len(),
            position,
            ssn: mapping.ssn,
            data_len: mapping.len,
            checksum: mapping.checksum,
            frame: shown.frame,
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
        if half.syn().is_none() && u32::from(len) == input.segment.payload_len {
            half.learn_syn(input.segment.seq.wrapping_sub(1), SynSource::Mapping);
        }
        let Some(syn) = half.syn() else { return };
        let placed = Placed {
            start: syn + 1 + u64::from(half.seldom.fast_open),
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
        let mut inserted = half.mappings.insert(placed);
        if matches!(inserted, Inserted::Known)
            && half.mappings.is_settled(&placed)
            && !half.seen.contains(placed.start, placed.end())
        {
            // Captured after the acknowledgement of later payload: its own is still to come.
            inserted = half.mappings.insert_between(placed);
        }
        match inserted {
            Inserted::Known | Inserted::Variant(None) => {}
            Inserted::Variant(Some(complete)) => {
                self.settle(&complete, input.side, input.subflow, env);
            }
            Inserted::New => {
                if half.mappings.is_overfull() {
                    // Nobody acknowledges: the oldest goes, as if it had been.
                    let number = self.number.map(NonZeroU64::get);
                    let owner = Owner { connection: self.id, number, side: input.side, subflow: input.subflow };
                    let (tally, data) = (&mut self.checksums[input.side], &self.data[input.side]);
                    half.mappings.acknowledged(0, |complete| {
                        settle(tally, data, &complete, owner, env.observer);
                    });
                }
                // Of what was acknowledged, only where it ends is remembered.
                let contradicts = half.last_mapping_end().is_some_and(|(end, position)| {
                    let overlaps = placed.start < end && end < placed.end();
                    overlaps && placed.position.wrapping_add(end.wrapping_sub(placed.start)) != position
                });
                half.note_mapping_end(placed.end(), placed.position + u64::from(placed.len));
                if !half.seldom.unmapped.is_empty() {
                    self.resolve_unmapped(&placed, input.side, input.subflow, env);
                }
                match (self.checksum_agreed(), placed.checksum) {
                    (Some(true), None) => self.anomaly(AnomalyKind::ChecksumAbsent, input, env.at, None),
                    (Some(false), Some(_)) => self.anomaly(AnomalyKind::ChecksumNotNegotiated, input, env.at, None),
                    _ => {}
                }
                if contradicts {
                    self.anomaly(AnomalyKind::MappingConflict { ssn: placed.ssn }, input, env.at, None);
                }
            }
            Inserted::Conflict(earlier) => {
                self.anomaly(AnomalyKind::MappingConflict { ssn: placed.ssn }, input, env.at, Some(earlier));
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
            self.anomaly(AnomalyKind::SequenceOutOfReach(Level::Subflow), input, env.at, None);
            return;
        };
        let mut completes = Completes::default();
        let payload = Payload { bytes: segment.payload, sum: segment.payload_sum, segment: Some(segment) };
        half.mappings.cover(taken.start, payload, taken.end, mark, |complete| completes.push(complete));
        let changed = half.mappings.take_changed();
        if env.compare.any() {
            let syn = half.syn();
            half.seldom.digest.get_or_insert_default().add(syn, &taken, segment);
        }
        if !input.options.mptcp && !segment.options_cut {
            let bare = &mut subflow.seldom.bare[input.side];
            if bare.first.is_none() {
                (bare.first, bare.start) = (Some(mark), taken.start);
            }
            bare.segments = bare.segments.saturating_add(1);
        }
        if O::WANTS_DATA {
            env.intact = segment.is_intact(segment.payload_sum.unwrap_or_else(|| sum16(segment.payload)));
        }
        for &(start, end) in taken.fresh_parts() {
            self.fresh(start, end, taken.start, input, env);
        }
        if O::WANTS_DATA && !taken.is_fresh() {
            self.hand_out_again(&taken, input, env);
        }
        let mut repaired = false;
        for complete in completes.iter() {
            let judgement = self.settle(complete, input.side, input.subflow, env);
            repaired |= complete.again && judgement == Judgement::Again;
        }
        if changed.is_some() {
            self.anomaly(AnomalyKind::PayloadChanged { repaired }, input, env.at, changed);
        }
    }

    /// Tells the observer of what a segment repeats.
    #[cold]
    fn hand_out_again<O: Observer>(&mut self, taken: &Taken, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let Some(subflow) = self.subflows.get(usize::from(input.subflow)) else { return };
        let mut parts = Vec::new();
        let mut at = taken.start;
        for &(start, end) in taken.fresh_parts().iter().chain(&[(taken.end, taken.end)]) {
            subflow.halves[input.side].mappings.split(at, start, |a, b, placed| {
                parts.extend(placed.map(|placed| (a, b, *placed)));
            });
            at = end;
        }
        for (start, end, placed) in parts {
            let bytes = input.payload(start - taken.start, end - taken.start);
            let position = placed.position + (start - placed.start);
            self.hand_out(position, end - start, bytes, Origin::Again(&placed), input.side, input.subflow, env);
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
            let bytes = input.payload(part.start - segment_start, part.end - segment_start);
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
    pub(super) fn deliver_mapped<O: Observer>(
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
            self.hand_out(position, end - start, bytes, Origin::Mapped(placed), side, subflow, env);
        }
    }

    /// Tells the observer of bytes of the stream.
    #[expect(clippy::too_many_arguments, reason = "as above")]
    pub(super) fn hand_out<O: Observer>(
        &self,
        position: u64,
        len: u64,
        bytes: &[u8],
        origin: Origin<'_>,
        side: Side,
        subflow: u16,
        env: &mut Env<'_, O>,
    ) {
        let data = &self.data[side];
        let (placed, again) = match origin {
            Origin::Mapped(placed) => (Some(placed), false),
            Origin::Again(placed) => (Some(placed), true),
            Origin::Plain => (None, false),
        };
        let plain = || self.subflows.first().is_some_and(|first| first.halves[side].is_plain_from_start());
        env.observer.data(Data {
            connection: self.id,
            number: self.number(),
            side,
            subflow,
            offset: data.offset(position),
            anchored: data.is_anchored() || (placed.is_none() && plain()),
            bytes,
            len,
            mapping: placed
                .filter(|placed| placed.checksum.is_some())
                .map(|placed| (data.offset(placed.position), placed.len)),
            again,
            intact: env.intact,
            refused: self.is_reset_by(side.peer(), subflow),
        });
    }

    /// Whether this end has reset a subflow: it takes nothing more on it.
    fn is_reset_by(&self, side: Side, subflow: u16) -> bool {
        let reset = self.subflows.get(usize::from(subflow)).and_then(Subflow::reset);
        reset.is_some_and(|reset| reset.by == side)
    }

    #[inline]
    pub(super) fn deliver<O: Observer>(
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
        if delivered.fresh == 0
            && let Some(acked) = data.acked().filter(|acked| (position..position + len).contains(acked))
        {
            let slot = &mut self.seldom.stuck[side];
            let mut stuck = slot.map(|known| known.0);
            Stuck::note(&mut stuck, acked, at);
            *slot = stuck.map(|stuck| (stuck, subflow));
        }
        let data = &mut self.data[side];
        let much = data.unique >= limits::TIMELINE_FROM;
        let mut asked_for_backup = false;
        if let Some(record) = self.subflows.get_mut(usize::from(subflow)) {
            let half = &mut record.halves[side];
            half.data_bytes += delivered.fresh;
            if delivered.reinjected > 0 {
                half.seldom.reinjected += delivered.reinjected;
            }
            asked_for_backup = record.backup.client || record.backup.server;
            if much {
                note_time(data, half, subflow, delivered.fresh, at);
            }
        }
        if self.subflows.len() > 1 && (delivered.from_idle || asked_for_backup) {
            self.note_choice(side, subflow, previous, delivered, (position + len, at));
        }
        if let (Some(from), Some(before)) = (delivered.switched_from, before) {
            self.note_switch(from, subflow, side, before, position + len, env);
        }
    }

    fn data_fin<O: Observer>(&mut self, position: u64, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let data = &mut self.data[input.side];
        if data.fin.is_none() {
            data.fin = Some((position, env.at.frame));
            data.fin_time = Some(env.at.time);
            self.tell(Some(input.subflow), What::DataFin(input.side), env);
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
        if !half.note_bare_data_fin(position, mapping.checksum) || mapping.checksum.is_none() {
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
        let complete =
            Complete { placed, sum: Ok(0), other_copy: None, again: false, damaged: false, last_frame: env.at.frame };
        self.settle(&complete, input.side, input.subflow, env);
    }
}

/// Adds to the timeline of a direction that carries much.
#[inline]
fn note_time(data: &mut DataLevel, half: &mut Half, subflow: u16, fresh: u64, at: Moment) {
    let timeline = data.timeline.get_or_insert_with(|| Box::new(Timeline::new(at.time)));
    let in_flight = half.next.saturating_sub(half.acked().unwrap_or(half.next));
    let (retransmitted, told) = (half.seldom.retransmitted, half.seldom.told_retransmitted);
    let step = Step {
        bytes: saturate(fresh),
        in_flight: saturate(in_flight),
        rtt_us: saturate(half.rtt.smoothed / 1000),
        resent: saturate(retransmitted - told.unwrap_or(retransmitted)),
    };
    half.seldom.told_retransmitted = Some(retransmitted);
    timeline.add(subflow, at.time, step);
}

fn saturate(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Why the place of bytes in the stream is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// A mapping tells it.
    Mapped(&'a Placed),
    /// A mapping tells it, and TCP sent them again.
    Again(&'a Placed),
    /// It is TCP by now.
    Plain,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    start: u64,
    end: u64,
    placed: Option<Placed>,
}

//! What the DATA_ACKs of the peer say of data and of a DATA_FIN that the capture lacks (RFC 8684 §3.3.3).

use super::{Connection, Input};
use crate::track::data::ORIGIN;
use crate::track::half::Half;
use crate::track::keys::Dialect;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

impl Connection {
    /// Whether the capture has any packet of `side`.
    pub fn shows_packets_of(&self, side: Side) -> bool {
        self.subflows.iter().any(|subflow| subflow.halves[side].segments > 0)
    }

    /// Whether `side` sent packets and the capture has none of them: its peer acknowledges what they carried.
    pub fn lacks_direction(&self, side: Side) -> bool {
        !self.shows_packets_of(side) && self.subflows.iter().any(|subflow| subflow.halves[side].is_unseen())
    }

    /// The end that found a wrong checksum, so far as the capture tells: whoever sent MP_FAIL first, for that of the other answers
    /// it. It may lack the first of the two.
    pub fn first_to_fail(&self) -> Option<Side> {
        let failed = |side: Side| self.seldom.failed[side].map(|(frame, _, subflow)| (frame, side, subflow));
        let (frame, first, subflow) = Side::BOTH.into_iter().filter_map(failed).min_by_key(|failed| failed.0)?;
        let other = first.peer();
        if !self.shows_packets_of(other) {
            return None;
        }
        // The kernel of version 0 does not answer with MP_FAIL, and its infinite mappings may come from both ends.
        if self.seldom.failed[other].is_some() || matches!(self.dialect, Some(Dialect::Rfc6824 | Dialect::DraftV1)) {
            return Some(first);
        }
        // The end whose data was wrong answers, and goes on with an infinite mapping (RFC 8684 §3.7).
        let answers = |side: Side| self.checksums[side].mismatch > 0 || self.seldom.infinite[side].is_some();
        let record = self.subflows.get(usize::from(subflow))?;
        match (answers(first), answers(other)) {
            (true, false) => Some(other),
            (false, true) => Some(first),
            _ => (!Self::may_lack_report(record, other, frame)).then_some(first),
        }
    }

    /// Whether an MP_FAIL of `side` may have come before this frame and before the capture, which has no handshake and nothing else
    /// that this side said there.
    fn may_lack_report(subflow: &Subflow, side: Side, frame: Mark) -> bool {
        let began_earlier = subflow.syn.is_none() && subflow.syn_ack.is_none();
        let said_nothing = subflow.options[side].is_none_or(|(said, _)| said > frame);
        let in_reset = subflow.reset().is_some_and(|reset| reset.fail && reset.by != side);
        began_earlier && said_nothing && !in_reset
    }

    /// Whether the capture holds all that `side` sent, as far as holes, FINs and the acknowledgements of the peer tell.
    pub fn holds_all_of(&self, side: Side) -> bool {
        self.holds_segments_of(side) && self.acked_beyond(side) == 0
    }

    /// How far the peer's bytes are acknowledged: on the subflow, and at the data level.
    pub(super) fn acked_of_peer(&self, input: &Input<'_, '_>) -> (Option<u64>, Option<u64>) {
        let peer = input.side.peer();
        let subflow = self.subflows.get(usize::from(input.subflow));
        (subflow.and_then(|subflow| subflow.halves[peer].acked()), self.data[peer].acked())
    }

    /// Takes note of what a segment acknowledges of a direction that was not captured; `before` it that was acknowledged.
    #[cold]
    pub(super) fn note_unseen_fin(&mut self, input: &Input<'_, '_>, before: (Option<u64>, Option<u64>)) {
        let now = self.acked_of_peer(input);
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side.peer()];
        let fin = before.0.is_some_and(|acked| now.0 == Some(acked + 1)) && before.1 == now.1;
        if now.0 != before.0 && half.seldom.fin_acked_unseen != fin {
            half.seldom.fin_acked_unseen = fin;
        }
    }

    /// Whether the DATA_ACKs of the peer cover one more than all bytes of `side` that reached it: none of its packets was
    /// captured, and what TCP acknowledged is no less than its data.
    fn acked_more_than_came(&self, side: Side) -> bool {
        let payload = |half: &Half| {
            let acked = half.acked()?.checked_sub(half.first_byte()?)?;
            acked.checked_sub(u64::from(half.seldom.fin_acked_unseen))
        };
        let came = self.subflows.iter().map(|subflow| payload(&subflow.halves[side])).sum::<Option<u64>>();
        let acked = self.data[side].acked_bytes().filter(|_| self.data[side].counts_from_idsn());
        came.is_some_and(|came| acked == Some(came + 1))
    }

    /// Whether `side` sent a DATA_FIN that was not captured: the peer acknowledged one more than the last byte, and no byte
    /// is missing.
    pub fn sent_unseen_data_fin(&self, side: Side) -> bool {
        let data = &self.data[side];
        if self.lacks_direction(side) {
            return self.fallback.is_none() && !self.options_cut && self.acked_more_than_came(side);
        }
        let end_is_known = data.seen.end() > 0 || data.counts_from_idsn();
        self.fallback.is_none()
            && data.fin.is_none()
            && end_is_known
            && self.acked_beyond(side) == 1
            && self.holds_segments_of(side)
    }

    /// How far the peer acknowledged beyond the last byte seen.
    fn acked_beyond(&self, side: Side) -> u64 {
        let data = &self.data[side];
        let end = if data.seen.end() > 0 { data.seen.end() } else { ORIGIN + 1 };
        let end = data.fin.map_or(end, |(fin, _)| end.max(fin + 1));
        data.acked().map_or(0, |acked| acked.saturating_sub(end))
    }

    fn holds_segments_of(&self, side: Side) -> bool {
        let whole = |half: &Half| half.is_whole() && half.seldom.unmapped.is_empty();
        !self.options_cut
            && self.data[side].missing() == 0
            && self.subflows.iter().all(|subflow| whole(&subflow.halves[side]))
    }
}

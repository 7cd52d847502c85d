//! Which path new data takes: choices among free ones, and handovers from those that went silent.

use super::{Connection, Env};
use crate::frame::Timestamp;
use crate::limits;
use crate::track::data::Delivered;
use crate::track::mark::{Mark, Moment};
use crate::track::observer::Observer;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// Silence that makes a change of path a handover: longer than the reordering of paths in use, shorter than a person's
/// patience. TCP's minimum retransmission timeout on Linux is 200 ms.
const HANDOVER_SILENCE_NS: u64 = 200_000_000;

/// Silence beyond which bytes that fill a hole are no longer taken for late: what was lost is sent again on another path.
const LATE_NS: u64 = 1_000_000_000;

/// New data moved from a silent subflow to another.
#[derive(Clone, Copy, Debug)]
pub struct HandoverSeen {
    /// Fell silent.
    pub from: u16,
    /// Took over.
    pub to: u16,
    /// Last frame with data on `from` before.
    pub last: Option<Mark>,
    /// First frame on `to`.
    pub frame: Mark,
    /// When it came.
    pub time: Timestamp,
    /// Nanoseconds since the last data on `from`.
    pub gap: u64,
    /// What announced it.
    pub signal: Option<Signal>,
}

/// What tells that a path is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A RST.
    Reset,
    /// A FIN.
    Fin,
    /// MP_PRIO: it is a backup now.
    MpPrio,
    /// REMOVE_ADDR of one of its addresses.
    RemoveAddr,
}

impl Signal {
    /// Its name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Fin => "fin",
            Self::MpPrio => "mp_prio",
            Self::RemoveAddr => "remove_addr",
        }
    }
}

impl Connection {
    /// Data went to a subflow while others were free, or though an end had asked for it to be a backup.
    #[cold]
    #[inline(never)]
    pub(super) fn note_choice(
        &mut self,
        side: Side,
        chosen: u16,
        previous: u16,
        delivered: Delivered,
        (end, at): (u64, Moment),
    ) {
        let is_backup = |subflow: &Subflow| subflow.backup.client || subflow.backup.server;
        let chosen_backup = self.subflows.get(usize::from(chosen)).is_some_and(is_backup);
        let regular = |subflow: &&Subflow| subflow.carries && !is_backup(subflow);
        if chosen_backup {
            if self.subflows.iter().take(limits::CHOICE_SUBFLOWS).any(|subflow| regular(&subflow))
                && let Some(record) = self.subflows.get_mut(usize::from(chosen))
            {
                record.halves[side].seldom.against_priority += delivered.fresh;
            }
            if self.is_beside_regular(side, chosen, end, at)
                && let Some(record) = self.subflows.get_mut(usize::from(chosen))
            {
                record.halves[side].seldom.beside.add(delivered.fresh, at.frame);
                self.take_back_handover(side, chosen, at);
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

    /// Whether the peer's mark as backup binds data up to `end` that `side` sends on a subflow: a regular path is open, and is
    /// not silent with bytes outstanding, as one is that has failed.
    fn is_beside_regular(&self, side: Side, chosen: u16, end: u64, at: Moment) -> bool {
        let Some(subflow) = self.subflows.get(usize::from(chosen)).filter(|subflow| subflow.backup[side.peer()]) else {
            return false;
        };
        // After MP_PRIO, what was sent before it arrived comes first: for a round trip, and where queues are long in holes only.
        let to_come = subflow.seldom.backup_since[side.peer()]
            .is_some_and(|since| at.time.since(since) < grace(subflow) || end < self.data[side].seen.end());
        let works = |other: &Subflow| {
            let half = &other.halves[side];
            let outstanding = half.acked().is_some_and(|acked| acked < half.next);
            let silent = at.time.since(half.last_data_time) >= HANDOVER_SILENCE_NS;
            other.carries && !other.backup[side.peer()] && !(outstanding && silent)
        };
        !to_come && self.subflows.iter().take(limits::CHOICE_SUBFLOWS).any(works)
    }

    /// New data on a path that MP_PRIO made a backup, beside a regular one and soon after some moved away: it had not moved.
    fn take_back_handover(&mut self, side: Side, chosen: u16, at: Moment) {
        let grace = self.subflows.get(usize::from(chosen)).map_or(0, grace);
        let Some(seldom) = self.seldom.written() else { return };
        seldom.handovers[side].retain(|seen| {
            let soon = at.time.since(seen.time) < LATE_NS + grace;
            !(seen.from == chosen && seen.signal == Some(Signal::MpPrio) && soon)
        });
    }

    /// Data of `side` moved from a backup to a regular path, which therefore worked meanwhile.
    fn regular_path_works(&mut self, side: Side, from: u16, to: u16) {
        let marked = |index: u16| self.subflows.get(usize::from(index)).is_some_and(|one| one.backup[side.peer()]);
        if marked(from) && !marked(to) {
            for subflow in self.subflows.iter_mut().take(limits::CHOICE_SUBFLOWS) {
                if let Some(seldom) = subflow.halves[side].seldom.written() {
                    seldom.beside.regular_path_works();
                }
            }
        }
    }

    /// New data up to `end` moved to another subflow: a handover where the old one is gone, demoted, or has long been silent.
    pub(super) fn note_switch<O: Observer>(
        &mut self,
        from: u16,
        to: u16,
        side: Side,
        before: Moment,
        end: u64,
        env: &mut Env<'_, O>,
    ) {
        self.regular_path_works(side, from, to);
        let Some(old) = self.subflows.get(usize::from(from)) else { return };
        let half = &old.halves[side];
        let gap = env.at.time.since(half.last_data_time);
        let since_last_data = |mark: Mark| half.last_data.is_none_or(|last| mark >= last);
        let removed = || {
            let uses = |by: Side, id| old.address_id(by) == Some(id);
            self.seldom.removals.iter().any(|removal| since_last_data(removal.frame) && uses(removal.by, removal.id))
        };
        let signal = if old.reset().is_some() {
            Some(Signal::Reset)
        } else if half.fin.is_some() {
            Some(Signal::Fin)
        } else if old.seldom.backup_changes.last().is_some_and(|change| change.2 && since_last_data(change.0)) {
            Some(Signal::MpPrio)
        } else if removed() {
            Some(Signal::RemoveAddr)
        } else {
            None
        };
        // What is outstanding says nothing before its acknowledgement is overdue (RFC 6298 §2, with Linux' minimum).
        let overdue = HANDOVER_SILENCE_NS + half.rtt.smoothed.max(old.handshake_ns());
        let stalled = half.acked().is_some_and(|acked| acked < half.next) && gap >= overdue;
        let all_silent = env.at.time.since(before.time) >= HANDOVER_SILENCE_NS;
        // Bytes below others that came before them were late on their own path: they were sent before those, not in their place.
        let late = gap < LATE_NS && end < self.data[side].seen.end();
        if signal.is_none() && (late || !(stalled && all_silent)) {
            return;
        }
        if self.seldom.handovers[side].len() < limits::HANDOVERS {
            self.seldom.handovers[side].push(HandoverSeen {
                from,
                to,
                last: half.last_data,
                frame: env.at.frame,
                time: env.at.time,
                gap,
                signal,
            });
        } else {
            self.seldom.left_out.handovers += 1;
        }
    }
}

/// How long data that was sent before an MP_PRIO may still come.
fn grace(subflow: &Subflow) -> u64 {
    HANDOVER_SILENCE_NS + 2 * subflow.handshake_ns()
}

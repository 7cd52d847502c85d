//! Data that stands still: sent again and again, and never acknowledged, while the capture goes on.

use super::rules::{data, paths};
use super::{Finder, span, times};
use crate::text;
use crate::track::connection::Connection;
use crate::track::side::Side;
use crate::track::stuck::Stuck;

/// Repeats that are more than a run of ordinary losses.
const REPEATS: u32 = 4;
/// Time over which they come.
const LONG: u64 = span::SECOND;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    for side in Side::BOTH {
        unanswered(finder, connection, side);
        not_taken(finder, connection, side);
    }
}

fn stands_still(stuck: &Stuck) -> bool {
    stuck.times >= REPEATS && stuck.last.time.since(stuck.first.time) >= LONG
}

/// TCP sends the same bytes of a subflow again, and no ACK for them comes.
fn unanswered(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    for (index, subflow) in finder.subflows() {
        let (half, peer) = (&subflow.halves[side], &subflow.halves[side.peer()]);
        let Some(stuck) = half.seldom.stuck.filter(|stuck| half.acked() == Some(stuck.at) && stands_still(stuck))
        else {
            continue;
        };
        // A peer whose window is shut asks for that, and what moved elsewhere is told as such.
        let moved = connection.seldom.handovers[side].iter().any(|handover| handover.from == index);
        if peer.window == 0 || moved || subflow.is_closed() {
            continue;
        }
        let goes_on = connection.subflows.iter().enumerate().any(|(other, subflow)| {
            other != usize::from(index) && subflow.halves[side].last_data_time > stuck.first.time
        });
        let text = format!(
            "The {} sent the same bytes of subflow {index} again {} in {}, from frame {} to {}, and the {} never acknowledged them: {}.",
            side.name(),
            times(u64::from(stuck.times)),
            text::duration(stuck.last.time.since(stuck.first.time)),
            finder.frame(stuck.first.frame),
            finder.frame(stuck.last.frame),
            side.peer().name(),
            if goes_on { "its data goes on elsewhere, and this path is lost to it" } else { "its data stands still" },
        );
        finder.report(paths::PATH_SILENT, Some(index), &[stuck.first.frame, stuck.last.frame], text);
    }
}

/// TCP delivers the same data again, and the DATA_ACK stays.
fn not_taken(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    let level = &connection.data[side];
    let here = |stuck: &(Stuck, u16)| level.acked() == Some(stuck.0.at) && stands_still(&stuck.0);
    let Some((stuck, index)) = connection.seldom.stuck[side].filter(here).filter(|_| connection.fallback.is_none())
    else {
        return;
    };
    let Some(subflow) = connection.subflows.get(usize::from(index)) else { return };
    let half = &subflow.halves[side];
    // The peer has all that was sent there, and went on to say what it lacks.
    let speaks = subflow.options[side.peer()].is_some_and(|options| options.1 > stuck.first.frame);
    let delivered = half.acked().is_some_and(|acked| acked >= half.next);
    if !speaks || !delivered {
        return;
    }
    let text = format!(
        "The {} sent the data from byte {} of its stream again {} in {}, from frame {} to {}. TCP delivered it on subflow {index}, and the {}'s DATA_ACK stays before it.",
        side.name(),
        if level.counts_from_idsn() { text::count(level.offset(stuck.at).unsigned_abs()) } else { "?".to_owned() },
        times(u64::from(stuck.times)),
        text::duration(stuck.last.time.since(stuck.first.time)),
        finder.frame(stuck.first.frame),
        finder.frame(stuck.last.frame),
        side.peer().name(),
    );
    finder.report(data::DATA_NOT_TAKEN, Some(index), &[stuck.first.frame, stuck.last.frame], text);
}

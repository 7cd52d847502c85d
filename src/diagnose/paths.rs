//! Which path data took: backup, share, interface, handover.

use std::net::IpAddr;

use super::rules::paths as rule;
use super::{Finder, span};
use crate::frame::Timestamp;
use crate::text;
use crate::track::connection::{Connection, HandoverSeen, Signal};
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// Data on a backup path below this is what was under way when paths changed.
const BACKUP_BYTES: u64 = 20_000;
/// Bytes below which shares of a stream say nothing.
const ENOUGH_BYTES: u64 = 100_000;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    if connection.subflows.len() < 2 {
        return;
    }
    for side in Side::BOTH {
        backup(finder, connection, side);
        for handover in &connection.seldom.handovers[side] {
            moved(finder, connection, side, handover);
        }
    }
    lopsided(finder, connection);
    interfaces(finder, connection);
}

/// The mark asks the other end: what `side` sends is bound by the mark of its peer.
fn backup(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    let all = connection.data[side].unique;
    for (index, subflow) in finder.subflows() {
        let beside = &subflow.halves[side].seldom.beside;
        let Some((first, last)) = beside.frames.filter(|_| beside.bytes >= BACKUP_BYTES.max(all / 20)) else {
            continue;
        };
        let marked = |other: &Subflow| {
            other.backup[side.peer()] || other.join_backup[side.peer()] || !other.seldom.backup_changes.is_empty()
        };
        let regular = finder.subflows().filter(|(_, other)| !marked(other) && other.halves[side].data_bytes > 0);
        let regular = regular.max_by_key(|(_, other)| other.halves[side].data_bytes);
        let which = regular.map_or_else(|| "another".to_owned(), |(regular, _)| format!("subflow {regular}"));
        let text = format!(
            "The {} sent {} ({} of its data) on subflow {index}, which the {} had marked as backup, while {which} worked (frames {} to {}).",
            side.name(),
            text::bytes(beside.bytes),
            text::share(beside.bytes as f64 / all.max(1) as f64),
            side.peer().name(),
            finder.frame(first),
            finder.frame(last),
        );
        finder.report(rule::BACKUP_PATH_USED, Some(index), &[first, last], text);
    }
}

/// One finding for both directions.
fn lopsided(finder: &mut Finder<'_, '_>, connection: &Connection) {
    if connection.fallback.is_some() {
        return;
    }
    let mut parts: Vec<String> = Vec::new();
    let mut on = None;
    let mut frames = Vec::new();
    for side in Side::BOTH {
        let all = connection.data[side].unique;
        let Some((index, paths)) = main_path(connection, side).filter(|_| all >= ENOUGH_BYTES) else { continue };
        if on.is_none_or(|on| on == (index, paths)) {
            on = Some((index, paths));
            let Some(half) = connection.subflows.get(usize::from(index)).map(|path| &path.halves[side]) else {
                continue;
            };
            frames.extend([half.first_data, half.last_data].into_iter().flatten());
            let carried = half.data_bytes;
            parts.push(format!(
                "{} of the {}'s {}",
                text::share(carried as f64 / all as f64),
                side.name(),
                text::bytes(all)
            ));
        }
    }
    if let Some((index, paths)) = on {
        let text = format!("Subflow {index} carried {}, although {paths} subflows were there.", parts.join(" and "));
        frames.sort_unstable();
        frames.dedup();
        finder.report(rule::ONE_PATH_CARRIES_MOST, Some(index), &frames, text);
    }
}

/// The path that carried nearly everything that `side` sent, if others were there meanwhile that could have, and how many
/// paths that makes: as many as there were at once.
fn main_path(connection: &Connection, side: Side) -> Option<(u16, usize)> {
    // What the capture lacks went over other paths, for all that it shows.
    let all = connection.data[side].unique + connection.data[side].missing();
    let carried = |subflow: &Subflow| subflow.halves[side].data_bytes;
    let index = connection.subflows.iter().position(|path| carried(path) >= all - all / 20 && carried(path) > 0)?;
    let path = connection.subflows.get(index)?;
    let beside = |other: &&Subflow| {
        let usable = other.is_established() && !other.backup.client && !other.backup.server && other.reset().is_none();
        usable && other.first.time <= path.halves[side].last_data_time && other.last.time >= path.first.time
    };
    // What others carried too was no less carried by them.
    let again: u64 = connection.subflows.iter().map(|subflow| subflow.halves[side].seldom.reinjected).sum();
    let paths = most_at_once(connection.subflows.iter().filter(beside));
    (beside(&path) && paths > 1 && again <= all / 20).then_some((u16::try_from(index).ok()?, paths))
}

/// How many of these subflows there were at the same time, at most.
fn most_at_once<'a>(subflows: impl Iterator<Item = &'a Subflow> + Clone) -> usize {
    let mut begins: Vec<Timestamp> = subflows.clone().map(|subflow| subflow.first.time).collect();
    let mut ends: Vec<Timestamp> = subflows.map(|subflow| subflow.last.time).collect();
    begins.sort_unstable();
    ends.sort_unstable();
    let mut ended = ends.into_iter().peekable();
    let mut over = 0;
    let there = begins.into_iter().enumerate().map(|(begun, now)| {
        while ended.next_if(|&end| end < now).is_some() {
            over += 1;
        }
        begun + 1 - over
    });
    there.max().unwrap_or(0)
}

fn moved(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side, handover: &HandoverSeen) {
    let HandoverSeen { from, to, last, frame, gap, signal, time: _ } = *handover;
    if finder.evidence.were_captured_apart(from, to) {
        return;
    }
    // As a connection is aborted, its subflows end one after the other.
    if signal == Some(Signal::Reset) && connection.seldom.fastclose.is_some() {
        return;
    }
    let frames: Vec<Mark> = last.into_iter().chain([frame]).collect();
    let announced = match signal {
        Some(Signal::RemoveAddr) => "announced by REMOVE_ADDR",
        Some(Signal::MpPrio) => "announced by MP_PRIO",
        Some(Signal::Fin) => "after its FIN",
        Some(Signal::Reset) => "after its RST",
        None => "without any announcement",
    };
    let text = format!(
        "The {}'s data moved from subflow {from} to {to} in frame {}, {} after the last on the old path, {announced}.",
        side.name(),
        finder.frame(frame),
        text::duration(gap),
    );
    let rule = if signal.is_none() && gap >= span::SECOND { rule::PATH_STALLED } else { rule::HANDOVER };
    finder.report(rule, Some(to), &frames, text);
}

/// An interface as taps tell it: site, interface of the capture, and the kernel's index where SLL2 names it.
type Place = (u16, u16, u32);

fn place_of(finder: &Finder<'_, '_>, subflow: &Subflow) -> Option<Place> {
    let syn = subflow.syn.as_ref()?;
    Some((finder.evidence.sites.of(subflow.interface.0), subflow.interface.1, syn.interface_index))
}

/// The same source address on two interfaces, or a SYN whose answer comes in elsewhere.
fn interfaces(finder: &mut Finder<'_, '_>, connection: &Connection) {
    let mut seen: Vec<(IpAddr, Place, Mark, u16)> = Vec::new();
    for (index, subflow) in finder.subflows() {
        let (Some(place), Some(syn)) = (place_of(finder, subflow), &subflow.syn) else { continue };
        let address = subflow.address_of(subflow.initiator).0;
        let answered_at = subflow.syn_ack.as_ref().map_or(0, |syn_ack| syn_ack.interface_index);
        // Only the host that opens the subflow chooses the way out; what a router forwards passes two interfaces anyway.
        let left = syn.outgoing;
        // Two inputs may be of two hosts, whose interfaces do not compare.
        let input = |mark: Mark| mark.frame().input;
        let one_host =
            subflow.syn_ack.as_ref().is_some_and(|answer| input(answer.first.frame) == input(syn.first.frame));
        if left == Some(true) && one_host && place.2 != 0 && answered_at != 0 && answered_at != place.2 {
            let syn_ack = subflow.syn_ack.as_ref().map_or(syn.first.frame, |syn_ack| syn_ack.first.frame);
            let text = format!(
                "The SYN from {address} left through interface {} (frame {}), and its answer came in on interface {} (frame {}): the route goes by destination only.",
                place.2,
                finder.frame(syn.first.frame),
                answered_at,
                finder.frame(syn_ack),
            );
            finder.report(rule::WRONG_INTERFACE, Some(index), &[syn.first.frame, syn_ack], text);
            continue;
        }
        // An input is one host's interface, or all of them: only those of one input, or of the same host, compare.
        if left == Some(false) || (left.is_none() && !may_be_near_initiator(subflow)) {
            continue;
        }
        let other = seen.iter().find(|known| {
            let one_host = || !connection.seen_in(place.0) && !finder.evidence.were_captured_apart(known.3, index);
            // A file is no interface: two of one host may show the same.
            let same = known.1.2 != 0 && known.1.2 == place.2;
            known.0 == address && known.1 != place && !same && (known.1.0 == place.0 || one_host())
        });
        if let Some(&(_, _, first, _)) = other {
            let text = format!(
                "Subflows from {address} leave through two interfaces (frames {} and {}): the route goes by destination only, and one of the paths is not what its address says.",
                finder.frame(first),
                finder.frame(syn.first.frame),
            );
            finder.report(rule::WRONG_INTERFACE, Some(index), &[first, syn.first.frame], text);
        } else {
            seen.push((address, place, syn.first.frame, index));
        }
    }
}

/// Whether a subflow may have been captured where it was opened: the SYN/ACK took a round trip, the third ACK came sooner.
fn may_be_near_initiator(subflow: &Subflow) -> bool {
    let (Some(syn), Some(syn_ack), Some(_)) = (&subflow.syn, &subflow.syn_ack, subflow.third_ack) else { return true };
    subflow.third_ack_delay < syn_ack.first.time.since(syn.last().time)
}

impl Connection {
    /// Whether the first subflow was seen in an input too: then that input is another host's.
    fn seen_in(&self, input: u16) -> bool {
        self.initial().is_some_and(|initial| initial.seldom.more_interfaces.iter().any(|at| at.0 == input))
    }
}

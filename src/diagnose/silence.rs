//! Why an end stopped sending options without a word, where the packets show it: what came to it was not fit to go on with.

use super::Finder;
use super::version_0::is_its_kernel;
use super::views::ended_at;
use crate::text;
use crate::track::connection::{Connection, FallbackSeen};
use crate::track::data::ORIGIN;
use crate::track::mark::Mark;
use crate::track::side::Side;

/// What it met with, and the frames that show it.
pub(super) type Cause = (String, Vec<Mark>);

/// The cause of a fallback that no option explains, if the captures show one.
pub(super) fn cause(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Option<Cause> {
    let silent = seen.side?;
    wrong_checksum(finder, connection, seen, silent)
        .or_else(|| other_length(finder, connection, silent))
        .or_else(|| bare_ack(finder, connection, seen, silent))
}

/// The peer of the end that fell silent takes what comes for TCP: it acknowledges it, and does not reset the subflow. The kernel of
/// version 0 does not in mid-connection.
pub(super) fn is_taken_for_tcp(connection: &Connection, seen: &FallbackSeen) -> bool {
    let Some((initial, silent)) = connection.initial().zip(seen.side) else { return false };
    let refused = initial.reset().is_some_and(|reset| reset.by == silent.peer());
    !is_its_kernel(connection.dialect) && !refused && initial.seldom.bare[silent].acknowledged.is_some()
}

/// The first data of the peer has a wrong checksum: whoever finds that before any right one falls back without MP_FAIL.
fn wrong_checksum(
    finder: &Finder<'_, '_>,
    connection: &Connection,
    seen: &FallbackSeen,
    silent: Side,
) -> Option<Cause> {
    let speaking = silent.peer();
    let of_first = |view: &Connection| {
        let mut wrong = view.checksums[speaking].mismatches.iter();
        wrong.find(|wrong| wrong.subflow == 0 && wrong.placed.position == ORIGIN + 1).copied()
    };
    let here = of_first(connection).filter(|wrong| wrong.last_frame < seen.frame);
    let wrong = here.or_else(|| finder.evidence.views.iter().find_map(|view| of_first(view)))?;
    let text = format!(
        "the checksum of the {}'s first {} is wrong (frame {}), so the {} fell back",
        speaking.name(),
        text::counted(u64::from(wrong.placed.data_len), "byte"),
        finder.frame(wrong.placed.frame),
        silent.name(),
    );
    Some((text, vec![wrong.placed.frame]))
}

/// What the peer sent has another length in another capture: its mappings no longer fit.
fn other_length(finder: &Finder<'_, '_>, connection: &Connection, silent: Side) -> Option<Cause> {
    let speaking = silent.peer();
    let length = |view: &Connection| ended_at(&view.initial()?.halves[speaking]);
    let here = length(connection)?;
    let changed = finder.evidence.views.iter().any(|view| length(view).is_some_and(|there| there != here));
    let text = format!(
        "the {}'s data has another length behind the path, so that its mappings do not fit, and the {} fell back",
        speaking.name(),
        silent.name(),
    );
    changed.then_some((text, Vec::new()))
}

/// An ACK of the first data has no DATA_ACK, though the packets around it have options: whoever gets that falls back.
fn bare_ack(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen, silent: Side) -> Option<Cause> {
    let (initial, speaking) = (connection.initial()?, silent.peer());
    let (frame, ttl) = initial.seldom.bare_ack[speaking].filter(|bare| bare.0 < seen.frame)?;
    initial.options[speaking].filter(|options| options.1 > frame)?;
    let syn = if speaking == initial.initiator { &initial.syn } else { &initial.syn_ack };
    let usual =
        syn.as_ref().map(|syn| syn.ttl).filter(|&usual| usual != ttl && initial.seldom.more_interfaces.is_empty());
    let text = format!(
        "the ACK in frame {} acknowledges the {}'s data without an MPTCP option, while the {} goes on with them{}, so the {} fell back",
        finder.frame(frame),
        silent.name(),
        speaking.name(),
        usual.map_or_else(String::new, |usual| {
            format!(" (its TTL is {ttl}, that of the handshake {usual}: a device on the way sent it)")
        }),
        silent.name(),
    );
    Some((text, vec![frame]))
}

/// Whose options other captures show to be lost on the way, where `silent`'s data has none: its own, or its peer's, which
/// made it fall back.
pub(super) fn lost_from(connection: &Connection, views: &[&Connection], silent: Side) -> Option<Side> {
    let peer = silent.peer();
    let of_view = |view: &&Connection| {
        if mapped_to(view, silent) > mapped_to(connection, silent) {
            Some(silent)
        } else if mapped_to(view, peer) != mapped_to(connection, peer) && carries_as_much(view, connection, peer) {
            Some(peer)
        } else {
            None
        }
    };
    views.iter().find_map(of_view)
}

/// Whether what shows fewer mappings of one end on the first subflow shows the payload of the others.
fn carries_as_much(view: &Connection, connection: &Connection, side: Side) -> bool {
    let reach = |connection: &Connection| connection.initial()?.halves[side].reach();
    let mapped = mapped_to(view, side).max(mapped_to(connection, side));
    [view, connection].into_iter().all(|shown| reach(shown).is_some_and(|reach| reach >= mapped))
}

/// How far the mappings of one end reach on the first subflow, counted from the SYN.
fn mapped_to(connection: &Connection, side: Side) -> u64 {
    connection.initial().map_or(0, |initial| initial.halves[side].mapped_to())
}

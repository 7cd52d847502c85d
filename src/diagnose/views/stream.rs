//! What became of one direction of a subflow between two taps: mappings, payload, segments, losses.

use super::super::Finder;
use super::super::rules::views as rule;
use super::reach::{goes_on, opened};
use super::{Stretch, Tap};
use crate::text;
use crate::track::data::ORIGIN;
use crate::track::half::Half;
use crate::track::mapping::Placed;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

pub(super) fn look(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) {
    mappings(finder, stretch, side);
    if stretch.shows_both_numberings(finder) {
        return;
    }
    payload(finder, stretch, side);
    segments(finder, stretch, side);
    losses(finder, stretch, side);
}

/// Mappings that do not come out of the stretch, though the payload does.
fn mappings(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) {
    // Where the handshake lost its option, neither end goes on with them.
    if stretch.lost_options(finder) {
        return;
    }
    let (from, to) = stretch.of(side);
    let (sent, got) = (&from.subflow.halves[side], &to.subflow.halves[side]);
    let (mapped, arrived) = (sent.mapped_to(), got.mapped_to());
    let payload_came = got.reach().is_some_and(|reach| reach >= mapped);
    if mapped <= arrived || !payload_came || to.subflow.seldom.bare[side].segments == 0 {
        return;
    }
    let bare = to.subflow.seldom.bare[side].first;
    let none = if arrived == 0 { "none" } else { "no more" };
    let text = format!(
        "Data of the {} carries mappings at {} and {none} at {} (from frame {}): they were removed {}.",
        side.name(),
        finder.evidence.input_name(from.subflow.interface.0),
        finder.evidence.input_name(to.subflow.interface.0),
        bare.map_or_else(|| "?".to_owned(), |frame| finder.frame(frame).to_string()),
        stretch.name(finder, side),
    );
    let frames: Vec<Mark> = bare.into_iter().chain(sent.first_data).collect();
    stretch.report(finder, rule::PATH_STRIPPED_OPTION, side, &frames, text);
}

/// Where the FIN stands, counted from the SYN, of a stream that is all there and ends with it: what lies behind it has other
/// sequence numbers, as it has at a tap that shows both sides of a firewall that shifts them.
pub(in crate::diagnose) fn ended_at(half: &Half) -> Option<u64> {
    let (fin, syn) = half.fin.zip(half.syn())?;
    (half.next == fin.0 + 1 && half.is_whole()).then(|| fin.0.saturating_sub(syn))
}

/// How far the stream reaches without hole, counted from the SYN.
fn reached(half: &Half) -> Option<u64> {
    half.syn().filter(|_| half.seen.is_contiguous()).map(|syn| half.seen.end().saturating_sub(syn))
}

/// Checksums right before the stretch and wrong behind it, a stream of another length, or of the same and other bytes.
fn payload(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) {
    let (from, to) = stretch.of(side);
    let (sent, got) = (&from.subflow.halves[side], &to.subflow.halves[side]);
    let (before, behind) = (&from.connection.checksums[side], &to.connection.checksums[side]);
    let wrong_before = |dsn: u64| before.mismatches.iter().any(|mismatch| mismatch.dsn == dsn);
    let wrong = behind.mismatches.iter().find(|mismatch| mismatch.subflow == to.index && !wrong_before(mismatch.dsn));
    let lengths = other_length(finder, from, to, side, wrong.is_some());
    let right_before = before.verified > 0 && before.mismatch == 0;
    // What is wrong behind the stretch was looked at before it.
    let shown_before = |placed: &Placed| {
        let origins = sent.syn().zip(got.syn());
        origins.is_some_and(|(here, there)| {
            let start = here + placed.start.saturating_sub(there);
            sent.seen.holds(start, start + u64::from(placed.len))
        })
    };
    let wrong = wrong.filter(|wrong| right_before && shown_before(&wrong.placed));
    let mut frames = Vec::new();
    let mut parts = Vec::new();
    if let Some(mismatch) = wrong {
        frames.extend([mismatch.placed.frame, mismatch.last_frame]);
        parts.push(format!(
            "all checksums of the {} are right at {} and that of {} from byte {} of its stream is wrong at {} (frame {})",
            side.name(),
            finder.evidence.input_name(from.subflow.interface.0),
            text::counted(u64::from(mismatch.placed.data_len), "byte"),
            text::count(mismatch.placed.position.saturating_sub(ORIGIN + 1)),
            finder.evidence.input_name(to.subflow.interface.0),
            finder.frame(mismatch.placed.frame),
        ));
    }
    if let Some((before, after, frame)) = lengths {
        frames.push(frame);
        let (more, difference) = if after > before { ("longer", after - before) } else { ("shorter", before - after) };
        let what = format!("what the {} sent on subflow {} is", side.name(), stretch.index);
        parts.push(format!("{what} {} {more} behind it", text::counted(difference, "byte")));
    } else if wrong.is_none()
        && let (Some(one), Some(other)) = (&sent.seldom.digest, &got.seldom.digest)
        && reached(sent).is_some()
        && reached(sent) == reached(got)
        && one.differs(other)
    {
        frames.extend(got.first_data);
        parts.push(format!(
            "the {} that the {} sent on subflow {} are not the same behind it",
            text::bytes(got.seen.end().saturating_sub(got.seen.origin())),
            side.name(),
            stretch.index,
        ));
    }
    if !parts.is_empty() {
        let text = format!("Payload was changed {}: {}.", stretch.name(finder, side), parts.join("; "));
        stretch.report(finder, rule::PATH_CHANGED_PAYLOAD, side, &frames, text);
    }
}

/// The lengths of the stream before and behind the stretch where they differ, and a frame behind it that shows so. Without
/// FINs only a wrong checksum tells insertion from a capture that ended sooner.
fn other_length(
    finder: &Finder<'_, '_>,
    from: Tap<'_>,
    to: Tap<'_>,
    side: Side,
    checksum_is_wrong: bool,
) -> Option<(u64, u64, Mark)> {
    let (sent, got) = (&from.subflow.halves[side], &to.subflow.halves[side]);
    // Bytes of Fast Open are in the SYN: without it, what follows seems to begin sooner.
    let has_syn = |tap: &Tap<'_>| tap.subflow.initiator != side || tap.subflow.syn.is_some();
    if !has_syn(&from) || !has_syn(&to) {
        return None;
    }
    if let Some((before, after)) = ended_at(sent).zip(ended_at(got)) {
        return (before != after).then_some((before, after, got.fin?.1));
    }
    let (before, after) = reached(sent).zip(reached(got))?;
    let came = got.last_data_time.since(opened(to.connection)?);
    let went_on = opened(from.connection).is_some_and(|syn| goes_on(from.connection, syn, came, finder.evidence.sites));
    (after > before && checksum_is_wrong && went_on).then_some((before, after, got.last_data?))
}

/// The same bytes in another number of segments. What is larger than the MSS was so only within a host: there segmentation
/// offload cuts and merges segments beside the capture, and nothing can be said of the path.
fn segments(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) {
    let (from, to) = stretch.of(side);
    let (sent, got) = (&from.subflow.halves[side], &to.subflow.halves[side]);
    let (Some(one), Some(other)) = (&sent.seldom.digest, &got.seldom.digest) else { return };
    // What is sent again is cut anew.
    let once = sent.seldom.retransmitted == 0 && got.seldom.retransmitted == 0;
    if !once || reached(sent).is_none() || reached(sent) != reached(got) || one.segments == other.segments {
        return;
    }
    let mss = |subflow: &Subflow| {
        let seen = if side == subflow.initiator { &subflow.syn_ack } else { &subflow.syn };
        seen.as_ref().and_then(|seen| seen.mss).map(u32::from)
    };
    let on_the_wire = |largest: u32, tap: Tap<'_>| mss(tap.subflow).is_some_and(|mss| largest <= mss);
    if !on_the_wire(one.largest, from) || !on_the_wire(other.largest, to) {
        return;
    }
    let verb = if one.segments < other.segments { "split" } else { "merged" };
    let text = format!(
        "The {} that the {} sent on subflow {} passed {} in {} (the largest of {}) and {} in {} (the largest of {}): segments were {verb} {}.",
        text::bytes(got.seen.end().saturating_sub(got.seen.origin())),
        side.name(),
        stretch.index,
        finder.evidence.input_name(from.subflow.interface.0),
        text::counted(one.segments, "segment"),
        text::counted(u64::from(one.largest), "byte"),
        finder.evidence.input_name(to.subflow.interface.0),
        text::count(other.segments),
        text::counted(u64::from(other.largest), "byte"),
        stretch.name(finder, side),
    );
    let frames: Vec<Mark> = sent.first_data.into_iter().chain(got.first_data).collect();
    stretch.report(finder, rule::PATH_RESEGMENTED, side, &frames, text);
}

fn losses(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) {
    let (from, to) = stretch.of(side);
    let (sent, got) = (&from.subflow.halves[side], &to.subflow.halves[side]);
    let whole = |tap: Tap<'_>| tap.subflow.syn.is_some() && tap.subflow.is_closed();
    let frames: Vec<Mark> = sent.seldom.first_again.into_iter().collect();
    // What was sent once and is not at the other input came there all the same: that capture lost it.
    let lost = sent.seldom.retransmitted.saturating_sub(got.seldom.retransmitted);
    let same_length = ended_at(sent).zip(ended_at(got)).is_some_and(|(sent, got)| sent == got);
    // What an end got and refused, as under another 4-tuple, is not lost.
    let refused = [from, to].iter().any(|tap| tap.subflow.reset().is_some_and(|reset| reset.by != side));
    if lost == 0 {
        return;
    }
    let text = if !refused && never_came(sent, got) {
        format!(
            "{} that the {} sent again on subflow {} are not at {}, nor were they acknowledged: they were lost {}.",
            text::bytes(lost),
            side.name(),
            stretch.index,
            finder.evidence.input_name(to.subflow.interface.0),
            stretch.name(finder, side),
        )
    } else if whole(from) && whole(to) && same_length {
        format!(
            "{} that the {} sent on subflow {} were lost {} and sent again.",
            text::bytes(lost),
            side.name(),
            stretch.index,
            stretch.name(finder, side),
        )
    } else {
        return;
    };
    stretch.report(finder, rule::PATH_LOST_PACKETS, side, &frames, text);
}

/// Whether the first byte that its receiver did not acknowledge was sent, and is not behind the stretch.
fn never_came(sent: &Half, got: &Half) -> bool {
    let (Some(near), Some(far), Some(acked)) = (sent.syn(), got.syn(), sent.acked()) else { return false };
    let next = acked.saturating_sub(near);
    let acked_there = got.acked().map_or(0, |acked| acked.saturating_sub(far));
    sent.seen.holds(acked, acked + 1) && !got.seen.holds(far + next, far + next + 1) && acked_there <= next
}

//! Mappings, checksums, MP_FAIL, and the order in which data came.

use super::handshake::{just, many};
use super::rules::data as rule;
use super::{Finder, other_key, silence, span};
use crate::text;
use crate::track::connection::checksums::Mismatch;
use crate::track::connection::{AnomalyKind, Connection, FallbackCause, Level};
use crate::track::data::ORIGIN;
use crate::track::half::Piece;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::wire::MpCapable;

/// Bytes below which shares of a stream say nothing.
const ENOUGH_BYTES: u64 = 100_000;
/// The most payload beyond a mapping that is taken for what a device inserted, not for data without mapping.
const INSERTED: u64 = 256;
/// Repeated ACKs from which on other tools, and TCP itself, take them for loss (RFC 5681 §3.2).
const DUPLICATE_ACKS: u64 = 3;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    for side in Side::BOTH {
        checksums(finder, connection, side);
        unmapped(finder, side);
        mp_fail(finder, side);
        infinite(finder, connection, side);
        blocked(finder, connection, side);
        reinjected(finder, connection, side);
    }
    disagreement(finder, connection);
    signalling_acks(finder);
    if !connection.seldom.anomalies.is_empty() {
        rules_broken(finder);
    }
}

fn rules_broken(finder: &mut Finder<'_, '_>) {
    use AnomalyKind as Kind;
    let connection = finder.connection();
    let conflict = |kind| if let Kind::MappingConflict { ssn } = kind { Some(ssn) } else { None };
    many(finder, conflict, rule::MAPPING_CONFLICT, |ssn, who| {
        format!("The {who} mapped bytes at subflow sequence number {ssn} again, to another place in the stream")
    });
    let changed = |kind| if let Kind::PayloadChanged { repaired } = kind { Some(repaired) } else { None };
    many(finder, changed, rule::PAYLOAD_CHANGED_ON_RETRANSMISSION, |repaired, who| {
        let why = ", and with them the checksum is right: the first copy was damaged on the way, and TCP repaired it";
        let why = if repaired { why } else { "" };
        format!("Payload that the {who} sent again has other bytes than its first copy{why}")
    });
    let far = |kind| if let Kind::SequenceOutOfReach(level) = kind { Some(level) } else { None };
    let keys = Side::BOTH.map(|side| other_key::explain(finder, connection, side));
    many(finder, far, rule::SEQUENCE_OUT_OF_REACH, |level, who| {
        if let Some(text) = keys.iter().flatten().next() {
            return text.clone();
        }
        let what = match level {
            Level::Subflow => "a TCP sequence number",
            Level::Data => "a DSN or DATA_ACK",
        };
        format!("The {who} sent {what} too far from all others to be of this stream")
    });
    let behind = |kind| if let Kind::DataBehindFin(bytes) = kind { Some(bytes) } else { None };
    many(finder, behind, rule::DATA_BEHIND_DATA_FIN, |bytes, who| {
        format!("The {who} mapped {} behind its DATA_FIN", text::counted(bytes, "byte"))
    });
    many(finder, just(Kind::ChecksumAbsent), rule::CHECKSUM_ABSENT, |(), who| {
        format!("The {who} sent a mapping without checksum, although checksums were agreed on")
    });
    let asks = connection.handshake.ack.filter(|(capable, _)| capable.flags & MpCapable::CHECKSUM_REQUIRED != 0);
    let asks = asks.map(|(_, frame)| finder.frame(frame));
    many(finder, just(Kind::ChecksumNotNegotiated), rule::CHECKSUM_NOT_NEGOTIATED, |(), who| match asks {
        Some(ack) => format!(
            "The {who} sent a mapping with a checksum, which neither SYN nor SYN/ACK asks for; the third ACK in frame {ack} does, so flag A of another packet was changed on the way"
        ),
        None => format!("The {who} sent a mapping with a checksum, although neither end asked for them"),
    });
}

fn checksums(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    let tally = &connection.checksums[side];
    let Some(first) = tally.mismatches.first() else { return };
    let data = &connection.data[side];
    let offset = |mismatch: &Mismatch| mismatch.placed.position.saturating_sub(ORIGIN + 1);
    let mut text = if tally.mismatch == 1 {
        "A DSS checksum".to_owned()
    } else {
        format!("{} DSS checksums", text::count(tally.mismatch))
    };
    let verb = if tally.mismatch == 1 { "is" } else { "are" };
    text.push_str(&format!(" of the {} {verb} wrong", side.name()));
    let begins = finder.frame(first.placed.frame);
    let frames = if first.last_frame == first.placed.frame {
        format!("frame {begins}")
    } else {
        format!("frames {begins} to {}", finder.frame(first.last_frame))
    };
    text.push_str(&format!(
        ", {} of {} bytes from byte {} of its stream ({frames})",
        if tally.mismatch == 1 { "that" } else { "first that" },
        text::count(u64::from(first.placed.data_len)),
        if data.counts_from_idsn() { text::count(offset(first)) } else { "?".to_owned() },
    ));
    if let Some(why) = explain_mismatch(connection, side, first) {
        text.push_str(&format!(": {why}"));
    }
    text.push('.');
    let frames: Vec<Mark> =
        tally.mismatches.iter().flat_map(|mismatch| [mismatch.placed.frame, mismatch.last_frame]).collect();
    let one_subflow = tally.mismatches.iter().all(|mismatch| mismatch.subflow == first.subflow);
    finder.report(rule::CHECKSUM_MISMATCH, one_subflow.then_some(first.subflow), &frames, text);
}

/// What a wrong checksum shows beyond that it is wrong; `None` where it could be anything.
pub fn explain_mismatch(connection: &Connection, side: Side, mismatch: &Mismatch) -> Option<&'static str> {
    let tally = &connection.checksums[side];
    if tally.verified == 0 {
        let all = tally.mismatch > 2;
        return all.then_some("no checksum of this end is right: it computes them wrongly, or everything is rewritten");
    }
    let half = &connection.subflows.get(usize::from(mismatch.subflow))?.halves[side];
    let (end, position) = half.last_mapping_end()?;
    let is_last = mismatch.placed.end() == end;
    let trailing = half.next.saturating_sub(end);
    if is_last && connection.seldom.infinite[side].is_none() && (1..=INSERTED).contains(&trailing) {
        return Some("more payload came than its mapping covers: bytes were inserted on the way");
    }
    let others = tally
        .mismatches
        .iter()
        .filter(|other| other.subflow == mismatch.subflow && other.placed.start > mismatch.placed.start)
        .count();
    let infinite_fits = half.seldom.infinite_in_place
        && half.seldom.line.is_some_and(|(seq, at)| at.wrapping_sub(seq) == position.wrapping_sub(end));
    if others == 0 && (mismatch.right_after || infinite_fits) {
        return Some("what follows stands where it should: bytes were changed on the way, not inserted or removed");
    }
    (others > 1)
        .then_some("mappings after it are wrong as well: bytes were changed again and again, or inserted before them")
}

/// Payload outside a fallback that nothing maps, where the capture holds whatever could have mapped it.
fn unmapped(finder: &mut Finder<'_, '_>, side: Side) {
    for (index, own) in finder.subflows() {
        let (connection, _, subflow) = finder.evidence.subflow_seen_by(side.peer(), (index, own));
        // Options that were cut may be mappings.
        if connection.fallback.is_some() || connection.orphan || connection.options_cut {
            continue;
        }
        // Their mappings are there, and count from another key.
        if other_key::is_used(connection, side) {
            continue;
        }
        let half = &subflow.halves[side];
        let unmapped = &half.seldom.unmapped;
        let Some(from) = half.first_byte().filter(|_| subflow.syn.is_some() && !unmapped.is_empty()) else { continue };
        let mut bytes = 0;
        let mut first = None;
        for piece in unmapped.pieces().filter(|piece| stays_unmapped(connection, subflow, side, piece)) {
            if first.is_none() && half.seen.holds(from, piece.start) {
                first = unmapped.dropped_from();
                bytes += unmapped.dropped;
            }
            first.get_or_insert(piece.frame);
            bytes += piece.end - piece.start;
        }
        let Some(first) = first else { continue };
        let text = format!(
            "{} of the {}, from frame {} on, {} in the stream is not said.",
            text::counted(bytes, "byte"),
            side.name(),
            finder.frame(first),
            if bytes == 1 { "has no mapping: where it belongs" } else { "have no mapping: where they belong" },
        );
        finder.report(rule::UNMAPPED_PAYLOAD, Some(index), &[first], text);
    }
}

/// Whether a piece of payload has no mapping, and not only none so far or none that was captured.
fn stays_unmapped(connection: &Connection, subflow: &Subflow, side: Side, piece: &Piece) -> bool {
    let half = &subflow.halves[side];
    // Nobody maps what is left after a FASTCLOSE or RST.
    let aborted = connection.seldom.fastclose.is_some_and(|(_, at, _)| at.time <= piece.time)
        || subflow.reset().is_some_and(|reset| reset.at.time <= piece.time);
    // A subflow that has lost all its options has fallen back, or is told of as such.
    let speaks = half.last_mapping_end().is_some() || subflow.options[side].is_some_and(|seen| seen.1 >= piece.frame);
    // The mapping may be on a segment that is missing here: it begins at most its own length before.
    let from = half.first_byte().unwrap_or(0).max(piece.start.saturating_sub(u64::from(u16::MAX)));
    if aborted || !speaks || !half.seen.holds(from, piece.end) {
        return false;
    }
    // A mapping may come after its payload: it will not once the sender went on to the next, or the peer took the payload.
    let bare = &subflow.seldom.bare[side];
    half.last_mapping_end().is_some_and(|last| last.0 > piece.end)
        || half.acked().is_some_and(|acked| acked >= piece.end)
        || half.fin.is_some()
        || subflow.is_closed()
        || bare.first.is_some_and(|first| first <= piece.frame)
}

/// MP_FAIL that is not the fallback itself: the first, and those of other subflows.
fn mp_fail(finder: &mut Finder<'_, '_>, side: Side) {
    let peer = side.peer();
    // Its sender gets the answer.
    let own = finder.connection();
    let seen = finder.evidence.seen_by(side);
    let connection = if seen.seldom.mp_fails(side).next().is_some() { seen } else { own };
    for (frame, _, index) in connection.seldom.mp_fails(side) {
        // Where both sent one, the second is the answer.
        if !connection.seldom.mp_fails(peer).any(|other| other.0 < frame && other.2 == index) {
            one_mp_fail(finder, connection, side, (frame, index));
        }
    }
}

fn one_mp_fail(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side, (frame, index): (Mark, u16)) {
    let peer = side.peer();
    let Some(subflow) = connection.subflows.get(usize::from(index)) else { return };
    let Some(number) = finder.evidence.number_of(connection, index) else { return };
    let with_reset = subflow.reset().filter(|reset| reset.fail && reset.by == side);
    let shown = finder.frame(frame);
    let head = format!("The {} reported a wrong checksum with MP_FAIL in frame {shown}", side.name());
    if let Some(reset) = with_reset {
        let reason = super::close::reason(&reset, connection.dialect);
        let text = format!(
            "{head} and reset subflow {number}{reason}: payload was changed on that path, and its data has to be sent again on another."
        );
        return finder.report(rule::MP_FAIL, Some(number), &[frame, reset.at.frame], text);
    }
    let failed = connection.seldom.mp_fails(peer).find(|failed| failed.2 == index);
    let answers = [failed.map(|failed| failed.0), connection.seldom.infinite[peer]];
    let mut frames = vec![frame];
    frames.extend(answers.iter().flatten());
    let bare = subflow.seldom.bare[peer].segments > 0;
    if finder.connection().fallback.is_some_and(|seen| seen.cause == FallbackCause::MpFail)
        && (frames.len() > 1 || bare)
    {
        // The fallback's own finding tells it.
    } else if frames.len() > 1 || bare {
        let how = match (connection.seldom.infinite[peer], failed) {
            (Some(infinite), _) => format!("an infinite mapping in frame {}", finder.frame(infinite)),
            (None, Some(failed)) => format!("MP_FAIL in frame {}", finder.frame(failed.0)),
            (None, None) => "data without mappings".to_owned(),
        };
        let text = format!("{head}; the {} answered with {how}.", peer.name());
        finder.report(rule::MP_FAIL, Some(number), &frames, text);
    } else if subflow.reset().is_none() && subflow.options[peer].is_some_and(|options| options.1 > frame) {
        let text = format!("{head}, and the {} went on as if nothing had been said.", peer.name());
        finder.report(rule::MP_FAIL_UNANSWERED, Some(number), &frames, text);
    }
}

fn infinite(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    let Some(frame) = connection.seldom.infinite[side] else { return };
    // The fallback's own finding tells it.
    if connection.fallback.is_some_and(|seen| seen.cause == FallbackCause::InfiniteMapping && seen.frame == frame) {
        return;
    }
    let other_way = if connection.seldom.infinite[side.peer()].is_some() || !connection.shows_packets_of(side.peer()) {
        ""
    } else {
        "; the other direction has none, which is allowed"
    };
    let text = format!(
        "The {}'s data follows without mappings from frame {} on{other_way}.",
        side.name(),
        finder.frame(frame)
    );
    finder.report(rule::INFINITE_MAPPING, Some(0), &[frame], text);
}

/// One end goes on with MPTCP after it got what the other sent without.
pub(super) fn disagreement(finder: &mut Finder<'_, '_>, connection: &Connection) {
    let Some(seen) = connection.fallback else { return };
    let Some(silent) = seen.side else { return };
    let lost = matches!(
        seen.cause,
        FallbackCause::OptionsVanished | FallbackCause::NoOptionOnData | FallbackCause::NoOptionInThirdAck
    );
    let Some(initial) = connection.initial().filter(|_| lost) else { return };
    let speaking = silent.peer();
    // What was under way, or waited in a queue of its sender, was sent before that end could know.
    let bare = &initial.seldom.bare[silent];
    let knew = bare.acknowledged.into_iter().chain(bare.ignored).min();
    let goes_on = |last: Mark| last > seen.frame && knew.is_some_and(|knew| last >= knew);
    let Some((_, last)) = initial.options[speaking].filter(|options| goes_on(options.1)) else { return };
    let mut text = format!(
        "The {} sends no MPTCP options from frame {} on, while the {} still did in frame {}: one end fell back and the other did not",
        silent.name(),
        finder.frame(seen.frame),
        speaking.name(),
        finder.frame(last),
    );
    let mut frames = vec![seen.frame, last];
    if let Some(reset) = initial.reset() {
        text.push_str(&format!(
            "; the {} reset the connection in frame {}",
            reset.by.name(),
            finder.frame(reset.at.frame)
        ));
        frames.push(reset.at.frame);
    }
    text.push('.');
    finder.report(rule::ENDS_DISAGREE_ABOUT_FALLBACK, Some(0), &frames, text);
    if silence::cause(finder, connection, &seen).is_some() {
        finder.advice_is_moot();
    }
}

/// Data waited for a slow path longer than that path was worth.
fn blocked(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    let data = &connection.data[side];
    let order = &data.order;
    if data.unique < ENOUGH_BYTES || order.late_bytes < data.unique / 4 || order.waits.percentile(95) < span::SECOND / 2
    {
        return;
    }
    let Some(slow) = order.slowest() else { return };
    let Some(subflow) = connection.subflows.get(usize::from(slow)) else { return };
    let carried = subflow.halves[side].data_bytes;
    if carried >= data.unique / 4 {
        return;
    }
    let text = format!(
        "{} of the {}'s {} waited for data on subflow {slow}, half of them {} or longer and 5 % {} or longer, while that subflow carried {}.",
        text::bytes(order.late_bytes),
        side.name(),
        text::bytes(data.unique),
        text::duration(order.waits.percentile(50)),
        text::duration(order.waits.percentile(95)),
        text::bytes(carried),
    );
    let frames: Vec<Mark> = subflow.halves[side].first_data.into_iter().collect();
    finder.report(rule::HEAD_OF_LINE_BLOCKING, Some(slow), &frames, text);
}

fn reinjected(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    let data = &connection.data[side];
    if data.unique < ENOUGH_BYTES
        || data.again.reinjected < data.unique / 5
        || data.again.reinjected_useful >= data.again.reinjected / 2
    {
        return;
    }
    let text = format!(
        "The {} sent {} again on another subflow, beside {} of data, {} of them after they had been acknowledged.",
        side.name(),
        text::bytes(data.again.reinjected),
        text::bytes(data.unique),
        text::bytes(data.again.reinjected - data.again.reinjected_useful),
    );
    // The data of the subflow that repeated most.
    let halves = connection.subflows.iter().map(|subflow| &subflow.halves[side]);
    let most = halves.max_by_key(|half| half.seldom.reinjected);
    let frames: Vec<Mark> = most.into_iter().flat_map(|half| [half.first_data, half.last_data]).flatten().collect();
    finder.report(rule::REINJECTIONS_USELESS, None, &frames, text);
}

fn signalling_acks(finder: &mut Finder<'_, '_>) {
    let mut frames = Vec::new();
    let mut count = 0;
    for (_, subflow) in finder.subflows() {
        for side in Side::BOTH {
            if let Some((first, more)) = subflow.halves[side].seldom.signalling_acks {
                frames.push(first);
                count += u64::from(more);
            }
        }
    }
    if count >= DUPLICATE_ACKS {
        // The first of each direction is kept.
        let first = if (frames.len() as u64) < count { ", first in the frames named" } else { "" };
        let text = format!(
            "{} with MPTCP signalling repeat an acknowledgement{first}: other tools may call duplicate ACKs what is no sign of loss.",
            text::counted(count, "ACK"),
        );
        finder.report(rule::DUP_ACK_IS_NOT_LOSS, None, &frames, text);
    }
}

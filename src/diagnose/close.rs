//! How subflows and the connection ended.

use super::handshake::{just, many_of};
use super::rules::close as rule;
use super::version_0::is_its_kernel;
use super::views::nearest;
use super::{Finder, join_data, span};
use crate::capture::Inputs;
use crate::text;
use crate::track::connection::outcome::{Close, SubflowState};
use crate::track::connection::{Anomaly, AnomalyKind, Connection, FallbackCause, Removal};
use crate::track::data::ORIGIN;
use crate::track::keys::Dialect;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::{Reset, Subflow};
use crate::wire::ResetReason;

/// Sequence numbers of both ends that are so near to those of another subflow are no chance: at most what was in flight, or was
/// sent in vain since, lies between them.
const NEAR: u32 = 1 << 20;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    let close = close_of(connection, &finder.evidence.views, finder.evidence.inputs);
    if close == Close::Reset {
        connection_reset(finder, connection);
    } else {
        for (index, subflow) in finder.subflows() {
            if let Some(reset) = subflow.reset() {
                subflow_reset(finder, connection, index, subflow, &reset);
            }
        }
    }
    for (index, subflow) in finder.subflows() {
        if let Some((reset, shown)) = subflow.seldom.survived {
            without_effect(finder, connection, index, subflow, &reset, shown);
        }
    }
    fastclose(finder, connection);
    if matches!(close, Close::Reset | Close::Fastclose) && connection.fallback.is_none() {
        for side in Side::BOTH {
            unacknowledged(finder, connection, side);
        }
    }
    if connection.is_closed() && matches!(close, Close::TcpFinOnly | Close::HalfClosed) {
        without_data_fin(finder, connection);
    }
    for side in Side::BOTH {
        let key = just(AnomalyKind::FastcloseKeyWrong);
        // Its receiver ignores it, or not.
        let seen = finder.evidence.seen_by(side.peer());
        let evidence = finder.evidence;
        let numbered = |anomaly: &Anomaly| {
            let subflow = evidence.number_of(seen, anomaly.subflow).unwrap_or(anomaly.subflow);
            (anomaly.side == side).then_some(Anomaly { subflow, ..*anomaly })
        };
        many_of(
            finder,
            seen.seldom.anomalies.iter().filter_map(numbered),
            key,
            rule::FASTCLOSE_WRONG_KEY,
            |(), who| format!("The {who} sent MP_FASTCLOSE with a key that is not the peer's, so the peer ignores it"),
        );
    }
}

/// How a connection ended, by what the end saw that was told to abort it.
pub(crate) fn close_of(connection: &Connection, views: &[&Connection], inputs: Inputs<'_>) -> Close {
    let told = connection.seldom.fastclose.map(|(side, _, _)| (nearest(connection, views, side.peer(), inputs), side));
    told.filter(|&(seen, side)| is_ignored(seen, side)).map_or(connection, |told| told.0).close()
}

/// The MP_FASTCLOSE of `side` has a wrong key where its receiver saw it.
fn is_ignored(seen: &Connection, side: Side) -> bool {
    let wrong = |anomaly: &Anomaly| anomaly.kind == AnomalyKind::FastcloseKeyWrong && anomaly.side == side;
    seen.seldom.fastclose.is_none() && seen.seldom.anomalies.iter().any(wrong)
}

/// `, with reason 6 (middlebox interference)`; nothing where the version has none to give.
pub(super) fn reason(reset: &Reset, dialect: Option<Dialect>) -> String {
    match reset.reason {
        Some((reason, transient)) => {
            let transient = if transient { ", transient" } else { "" };
            format!(", with reason {} ({}{transient})", reason.0, reason.meaning())
        }
        None if is_its_kernel(dialect) => String::new(),
        None if reset.options_cut => ", whose options the capture cut".to_owned(),
        None => ", without a reason".to_owned(),
    }
}

fn connection_reset(finder: &mut Finder<'_, '_>, connection: &Connection) {
    let Some((index, last)) = finder
        .subflows()
        .filter_map(|(index, subflow)| Some((index, subflow.reset()?)))
        .max_by_key(|(_, reset)| reset.at.time)
    else {
        return;
    };
    // A refused connection is said to be refused.
    if last.of_syn || connection.outcome() == crate::track::connection::outcome::Outcome::Refused {
        return;
    }
    let age = match connection.handshake.syn {
        Some(_) => format!(", {} after it began", text::duration(last.at.time.since(connection.first.time))),
        None => String::new(),
    };
    let text = format!(
        "The {} reset the connection in frame {}{}{age}.",
        last.by.name(),
        finder.frame(last.at.frame),
        reason(&last, connection.dialect)
    );
    let frames: Vec<_> = connection.subflows.iter().filter_map(Subflow::reset).map(|reset| reset.at.frame).collect();
    finder.report(rule::CONNECTION_RESET, (connection.subflows.len() == 1).then_some(index), &frames, text);
}

/// A subflow that worked was given up before the end of the data.
fn subflow_reset(finder: &mut Finder<'_, '_>, connection: &Connection, index: u16, subflow: &Subflow, reset: &Reset) {
    let ended =
        Side::BOTH.into_iter().all(|side| connection.data[side].fin_time.is_some_and(|fin| fin <= reset.at.time));
    let aborted = connection
        .seldom
        .fastclose
        .is_some_and(|(_, at, _)| at.time.since(reset.at.time) < span::SECOND || at.time <= reset.at.time);
    if subflow.state() != SubflowState::Reset || ended || aborted || reset.fastclose {
        return;
    }
    // MP_FAIL in the RST has its own finding, and so has a join that was never complete, or whose data lost its options.
    let told = reset.reason.is_none() && join_data::explains_reset(finder, index);
    if reset.fail || subflow.was_given_up() || told {
        return;
    }
    let removed =
        connection.seldom.removals.iter().rev().find(|removal| subflow.address_id(removal.by) == Some(removal.id));
    let mut frames = vec![reset.at.frame];
    let mut text = format!(
        "The {} reset subflow {index} in frame {}{}",
        reset.by.name(),
        finder.frame(reset.at.frame),
        reason(reset, connection.dialect)
    );
    if let Some(removal) = removed {
        text.push_str(&format!(
            ": the {} had removed address id {} in frame {}.",
            removal.by.name(),
            removal.id,
            finder.frame(removal.frame)
        ));
        frames.push(removal.frame);
        return finder.report(rule::SUBFLOW_RESET_BY_REMOVAL, Some(index), &frames, text);
    }
    let borne_out = fits(finder, (index, subflow), reset);
    if let Some((known, last)) = continued(connection, index, subflow) {
        frames.extend([last, subflow.first.frame]);
        text.push_str(&format!(
            ": it goes on where subflow {known} stood in frame {}, from another address or port and without a handshake, so a NAT on the way gave that subflow a new one",
            finder.frame(last),
        ));
    } else if borne_out == Some(true) {
        text.push_str(", which fits what is broken on it");
    }
    text.push('.');
    // A RST without the option is counted as one of TCP's.
    let counter = rule::SUBFLOW_RESET.counter.filter(|_| reset.reason.is_some());
    finder.report_with(rule::SUBFLOW_RESET, Some(index), &frames, text, counter);
    if borne_out == Some(false) {
        let text = format!(
            "The {} gave{} for the reset in frame {}, but nothing of the kind shows on subflow {index} in this capture.",
            reset.by.name(),
            reason(reset, connection.dialect).replace(", with", ""),
            finder.frame(reset.at.frame),
        );
        finder.report(rule::SUBFLOW_RESET_REASON_UNSUPPORTED, Some(index), &[reset.at.frame], text);
    }
}

/// A subflow without handshake has the sequence numbers of both ends that another one, to the same address, had reached: that
/// one, and its last frame before this.
fn continued(connection: &Connection, index: u16, subflow: &Subflow) -> Option<(u16, Mark)> {
    if subflow.syn.is_some() || subflow.syn_ack.is_some() {
        return None;
    }
    let goes_on = |(known, other): (usize, &Subflow)| {
        let same = |side: Side| {
            let (here, there) = (&subflow.halves[side], &other.halves[side]);
            let apart = (there.next as u32).wrapping_sub(here.next as u32) as i32;
            (here.next != 0 && apart.unsigned_abs() < NEAR).then_some(())
        };
        let whole = usize::from(index) != known && other.role_shown && other.first.time < subflow.first.time;
        (whole && other.address_of(Side::Server) == subflow.address_of(Side::Server)).then_some(())?;
        Side::BOTH.into_iter().try_for_each(same)?;
        Some((known as u16, other.halves[Side::Client].last_data.unwrap_or(other.first.frame)))
    };
    connection.subflows.iter().enumerate().find_map(goes_on)
}

/// A RST that ended nothing.
fn without_effect(
    finder: &mut Finder<'_, '_>,
    connection: &Connection,
    index: u16,
    subflow: &Subflow,
    reset: &Reset,
    shown: Mark,
) {
    // That the SYN was answered only without its option is said of the fallback.
    if reset.of_syn && connection.fallback.is_some_and(|seen| seen.cause == FallbackCause::SynRetriedWithoutOption) {
        return;
    }
    let (who, other) = (reset.by.name(), reset.by.peer().name());
    let usual = subflow.halves[reset.by].ttl;
    let foreign = usual != 0 && usual != reset.ttl && subflow.seldom.more_interfaces.is_empty();
    // A host whose socket is gone answers so, by its routes alone: on another path it overtakes what the socket sent before.
    if !reset.with_ack && !reset.in_order && !reset.of_syn && !foreign {
        return;
    }
    let mut text = format!(
        "The RST in frame {} in the name of the {who} did not end subflow {index}: ",
        finder.frame(reset.at.frame)
    );
    text.push_str(&if reset.of_syn {
        format!("a SYN/ACK followed in frame {}", finder.frame(shown))
    } else {
        format!("the {who} sent more, and the {other} acknowledged it in frame {}", finder.frame(shown))
    });
    if foreign {
        text.push_str(&format!(". It has TTL {}, the first segment of the {who} after its SYN {usual}", reset.ttl));
    }
    text.push_str(if reset.of_syn && !foreign { "." } else { ": a device on the way sent it." });
    finder.report(rule::SUBFLOW_RESET_FORGED, Some(index), &[reset.at.frame, shown], text);
}

/// Whether what the capture shows, as the end saw it that reset the subflow, bears out the reason; `None` where a wire cannot
/// show it.
fn fits(finder: &Finder<'_, '_>, subflow: (u16, &Subflow), reset: &Reset) -> Option<bool> {
    let reason = reset.reason?.0;
    let (connection, index, subflow) = finder.evidence.subflow_seen_by(reset.by, subflow);
    let broken = || {
        let anomaly = connection.seldom.anomalies.iter().any(|anomaly| anomaly.subflow == index);
        let wrong = Side::BOTH
            .into_iter()
            .any(|side| connection.checksums[side].mismatches.iter().any(|mismatch| mismatch.subflow == index));
        let bare = Side::BOTH
            .into_iter()
            .any(|side| subflow.seldom.bare[side].segments > 0 || !subflow.halves[side].seldom.unmapped.is_empty());
        anomaly || wrong || bare
    };
    match reason {
        ResetReason::MPTCP_SPECIFIC | ResetReason::MIDDLEBOX => Some(broken()),
        _ => None,
    }
}

fn fastclose(finder: &mut Finder<'_, '_>, connection: &Connection) {
    let Some((side, at, right)) = connection.seldom.fastclose else { return };
    if is_ignored(finder.evidence.seen_by(side.peer()), side) {
        return;
    }
    let key = match right {
        Some(true) => "with the right key",
        Some(false) => "with a wrong key",
        None => "with a key that nothing else in the capture shows",
    };
    let text = format!(
        "The {} aborted the connection with MP_FASTCLOSE in frame {}, {key}.",
        side.name(),
        finder.frame(at.frame)
    );
    finder.report(rule::FASTCLOSE, None, &[at.frame], text);
}

fn unacknowledged(finder: &mut Finder<'_, '_>, connection: &Connection, side: Side) {
    let data = &connection.data[side];
    let peer_seen = connection.subflows.iter().any(|subflow| subflow.halves[side.peer()].segments > 1);
    if connection.options_cut || !data.counts_from_idsn() || data.unique == 0 || !peer_seen {
        return;
    }
    let lost = data.seen.end().saturating_sub(data.acked().unwrap_or(ORIGIN + 1).max(ORIGIN + 1));
    if lost == 0 {
        return;
    }
    let last = connection
        .subflows
        .iter()
        .filter_map(|subflow| subflow.halves[side].last_data.map(|mark| (subflow.halves[side].last_data_time, mark)))
        .max();
    let text = format!(
        "The last {} of the {} were not acknowledged at the data level when the connection ended.",
        text::counted(lost, "byte"),
        side.name(),
    );
    let frames: Vec<_> = last.map(|last| last.1).into_iter().collect();
    finder.report(rule::DATA_UNACKNOWLEDGED_AT_CLOSE, None, &frames, text);
}

fn without_data_fin(finder: &mut Finder<'_, '_>, connection: &Connection) {
    let whole = connection
        .subflows
        .iter()
        .all(|subflow| Side::BOTH.into_iter().all(|side| subflow.halves[side].segments > 0) && subflow.syn.is_some());
    if !whole || connection.handshake.syn.is_none() || connection.fallback.is_some() {
        return;
    }
    // What was acknowledged and not captured may have held it, and so may what another capture shows.
    let seen = |side: Side| finder.evidence.all().any(|view| view.data[side].fin.is_some());
    let missing: Vec<&str> =
        Side::BOTH.into_iter().filter(|&side| !seen(side) && connection.holds_all_of(side)).map(Side::name).collect();
    if missing.is_empty() {
        return;
    }
    let mut frames = vec![connection.last.frame];
    let why = last_removal(connection).map_or_else(String::new, |removal| {
        frames.push(removal.frame);
        format!(
            ": the {} had removed address id {}, that of the last subflow, in frame {}",
            removal.by.name(),
            removal.id,
            finder.frame(removal.frame),
        )
    });
    let who = match missing.as_slice() {
        [one] => format!("the {one} never sent a DATA_FIN"),
        _ => "neither end ever sent a DATA_FIN".to_owned(),
    };
    let text =
        format!("All subflows are closed, the last in frame {}, and {who}{why}.", finder.frame(connection.last.frame));
    finder.report(rule::CLOSED_WITHOUT_DATA_FIN, None, &frames, text);
}

/// The REMOVE_ADDR that took the connection its last subflow.
fn last_removal(connection: &Connection) -> Option<&Removal> {
    let last = connection.subflows.iter().max_by_key(|subflow| subflow.last.time)?;
    let of_last = |removal: &&Removal| {
        last.address_id(removal.by) == Some(removal.id)
            && last.first.time <= removal.time
            && removal.time <= last.last.time
            && Side::BOTH.into_iter().all(|side| last.halves[side].fin.is_some_and(|fin| fin.1 > removal.frame))
    };
    connection.seldom.removals.iter().rev().find(of_last)
}

//! Joins as their ends saw them.

use super::joins::{and_reset, route};
use super::rules::joins as rule;
use super::views::{goes_on, host_without, keeps_back};
use super::{Finder, twin};
use crate::track::connection::Connection;
use crate::track::connection::outcome::SubflowState;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::{Join, Subflow};

/// A join as the end saw it that got a SYN/ACK or third ACK with a wrong proof or none; where neither did, as it is.
pub(super) fn decided_by<'a>(
    finder: &Finder<'_, 'a>,
    index: u16,
    subflow: &'a Subflow,
) -> (&'a Connection, &'a Subflow) {
    let spoiled = |side: Side| {
        let (seen, _, shown) = finder.evidence.subflow_seen_by(side, (index, subflow));
        let join = shown.join.as_deref()?;
        let proof = seen.prove_join(shown, join);
        let (wrong, missing) = if side == shown.initiator {
            (proof.syn_ack.is_mismatch(), lacks_proof_of_syn_ack(join).is_some())
        } else {
            (proof.ack.is_mismatch(), lacks_proof_of_third_ack(seen, shown, join).is_some())
        };
        (wrong || missing).then_some((seen, shown))
    };
    let own = (finder.connection(), subflow);
    if finder.evidence.views.is_empty() {
        return own;
    }
    let ends = [subflow.initiator, subflow.initiator.peer()];
    ends.into_iter().find_map(spoiled).unwrap_or(own)
}

/// The SYN/ACK without MP_JOIN, where none has it.
pub(super) fn lacks_proof_of_syn_ack(join: &Join) -> Option<Mark> {
    join.bare_syn_ack.filter(|_| join.syn_ack_hmac.is_none())
}

/// The third ACK without MP_JOIN that answers a SYN/ACK with it, where the join comes to nothing for that.
pub(super) fn lacks_proof_of_third_ack(connection: &Connection, subflow: &Subflow, join: &Join) -> Option<Mark> {
    let unfinished = matches!(subflow.state(), SubflowState::Refused | SubflowState::Reset | SubflowState::HalfOpen);
    join.bare_ack.filter(|_| {
        join.ack_hmac.is_none()
            && join.syn_ack_hmac.is_some()
            && unfinished
            && !subflow.took_third_ack(join)
            && !connection.options_cut
    })
}

/// The responder's capture shows none of the third ACKs, and the join came to nothing.
pub(super) fn third_ack_got_lost(
    finder: &mut Finder<'_, '_>,
    connection: &Connection,
    index: u16,
    subflow: &Subflow,
    join: &Join,
) -> bool {
    let responder = subflow.initiator.peer();
    let seen = finder.evidence.seen_by(responder);
    let there = twin(subflow, seen).and_then(|(_, shown)| shown.join.as_deref());
    let lost = there.is_some_and(|there| there.syn_ack_hmac.is_some() && there.ack_frame.is_none());
    let Some(first) = join.ack_frame.filter(|_| lost && !std::ptr::eq(seen, connection)) else { return false };
    if subflow.is_established() || there.is_some_and(|there| there.confirmed.is_some()) {
        return false;
    }
    let repeats = join.ack_repeats.map_or(0, |(_, repeats)| repeats);
    let mut frames = vec![first];
    let text = format!(
        "The {} sent the third ACK of the join {} {}, first in frame {}, and {}, which is nearer to the {}, shows none of them: they got lost on the way{}.",
        subflow.initiator.name(),
        route(subflow),
        super::times(u64::from(repeats) + 1),
        finder.frame(first),
        finder.evidence.input_name(seen.input),
        responder.name(),
        and_reset(finder, subflow, &mut frames),
    );
    finder.report(rule::JOIN_INCOMPLETE, Some(index), &frames, text);
    true
}

/// What a round trip between captures takes, at most, where nothing shows it.
const ROUND_TRIP: u64 = 100_000_000;

/// Where the SYN of a join, or its answer, got lost, as far as a capture at the other end tells.
pub(super) fn where_lost(finder: &Finder<'_, '_>, subflow: &Subflow, frames: &mut Vec<Mark>) -> Option<String> {
    let responder = subflow.initiator.peer();
    let there =
        finder.evidence.views.iter().find_map(|view| twin(subflow, view).filter(|there| there.1.syn_ack.is_some()));
    if let Some((_, there)) = there
        && let (Some(sent), Some(asked), Some(answer)) = (&subflow.syn, &there.syn, &there.syn_ack)
    {
        // Whoever goes on got the answer; and a capture that ends before it can come does not lack it.
        let under_way = answer.first.time.since(asked.first.time);
        let sites = finder.evidence.sites;
        let here = finder.evidence.all().find(|view| sites.are_one(view.input, subflow.interface.0));
        let went_on = here.is_some_and(|here| goes_on(here, sent.first.time, 2 * under_way + ROUND_TRIP, sites));
        if there.third_ack.is_some() || !went_on {
            return None;
        }
        frames.push(answer.first.frame);
        let frame = finder.frame(answer.first.frame);
        return Some(format!(
            "the {} answered (frame {frame}), and the answer is lost on the way back",
            responder.name()
        ));
    }
    if let Some(place) = keeps_back(finder.evidence, subflow) {
        let name = finder.evidence.input_name(place);
        return Some(format!(
            "it came in at {name}, and no other interface shows it: the device that was captured drops it"
        ));
    }
    let host = host_without(finder, subflow, responder, subflow.syn.as_ref()?.first.time)?;
    let (host, who) = (finder.evidence.input_name(host), responder.name());
    Some(format!("{host}, which was captured at the {who}, does not show it: it is lost on the way"))
}

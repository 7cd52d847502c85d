//! Joins as their ends saw them.

use super::joins::{and_reset, route};
use super::rules::joins as rule;
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

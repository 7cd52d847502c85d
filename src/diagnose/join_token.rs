//! Joins that were taken, with a token in their SYN that is not right.

use super::Finder;
use super::joins::{route, syn_of};
use super::rules::joins as rule;
use crate::track::mark::Mark;
use crate::track::subflow::{Join, JoinProof, Subflow};
use crate::track::verdict::Verdict;

/// The SYN names another connection, and the HMACs are of this one.
pub(super) fn token_mismatch(
    finder: &mut Finder<'_, '_>,
    index: u16,
    subflow: &Subflow,
    join: &Join,
    proof: &JoinProof,
) {
    let Verdict::Mismatch { expected, seen } = proof.token else { return };
    let (by, responder) = (subflow.initiator.name(), subflow.initiator.peer().name());
    let text = format!(
        "The token in the SYN of the join {} (frame {}) is {seen}, and that of the {responder} is {expected}; yet the HMACs of the join are right: what the {by} sent, or what the {responder} got, is not what this capture shows.",
        route(subflow),
        finder.frame(syn_of(subflow)),
    );
    let frames: Vec<Mark> = [Some(syn_of(subflow)), join.syn_ack_frame, join.ack_frame].into_iter().flatten().collect();
    finder.report(rule::JOIN_TOKEN_MISMATCH, Some(index), &frames, text);
}

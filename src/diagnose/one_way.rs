//! Fallbacks of which the capture lacks the packets of one end, or that rest on its silence.

use super::Finder;
use super::fallback::{Verdict, syn_frame};
use super::rules::fallback as rule;
use super::version_0::is_its_kernel;
use crate::track::connection::{Connection, FallbackSeen};
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// No capture has a SYN/ACK with MP_CAPABLE: the server may never have agreed.
pub(super) fn nobody_saw_agreement(connection: &Connection, views: &[&Connection]) -> bool {
    std::iter::once(&connection).chain(views).all(|view| view.handshake.syn_ack.is_none())
}

/// The server agreed, acknowledged data, and never sent an option after its SYN/ACK.
pub(super) fn never_spoke(connection: &Connection) -> bool {
    let acknowledges = |initial: &Subflow| {
        let sent = &initial.halves.client;
        initial.options.server.is_none()
            && sent.acked().zip(sent.first_byte()).is_some_and(|(acked, first)| acked > first)
    };
    connection.handshake.syn_ack.is_some()
        && !connection.options_cut
        && connection.subflows.len() == 1
        && connection.initial().is_some_and(acknowledges)
}

/// The client asked, its SYN/ACK was not captured, and what the client sent then has no option.
pub(super) fn no_option_after_syn(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let syn = syn_frame(connection);
    let why = match finder.evidence.fallback_by() {
        Some("path") => "the option of the SYN or of the SYN/ACK was removed on the way",
        Some(_) => "the server did not answer the option: it does not speak MPTCP on this port",
        None => {
            "the SYN/ACK, which is not in the capture, had no MP_CAPABLE when it reached the client, or the client's options were removed on the way"
        }
    };
    let text = format!(
        "The client asked for MPTCP{}, and nothing that it sent after the handshake, from frame {} on, carries an MPTCP option: {why}.",
        syn.map_or_else(String::new, |syn| format!(" in frame {}", finder.frame(syn))),
        finder.frame(seen.frame),
    );
    (rule::FALLBACK_NO_OPTION_IN_THIRD_ACK, text, syn.into_iter().collect())
}

/// MP_FAIL of one end, and none of the other was captured: it reports a wrong checksum, or answers such a report. A wrong checksum
/// of its own data tells; an infinite mapping follows from the end whose data was wrong (RFC 8684 §3.7).
pub(super) fn failed_one_way(finder: &Finder<'_, '_>, connection: &Connection, side: Side, at: Mark) -> Verdict {
    let (who, other) = (side.name(), side.peer().name());
    let unseen = if connection.shows_packets_of(side.peer()) { "which is" } else { "whose packets are" };
    let mut frames = vec![at];
    let mut text = format!("The {who} sent MP_FAIL in frame {}", finder.frame(at));
    if connection.checksums[side].mismatch > 0 {
        text.push_str(&format!(
            ", in answer to an MP_FAIL of the {other}, {unseen} not in the capture: data of the {who} has a wrong checksum.",
        ));
    } else if let Some(infinite) = connection.seldom.infinite[side].filter(|_| !is_its_kernel(connection.dialect)) {
        frames.push(infinite);
        text.push_str(&format!(
            " and went on with an infinite mapping in frame {}, as the end does whose data had a wrong checksum: most likely it answers an MP_FAIL of the {other}, {unseen} not in the capture.",
            finder.frame(infinite)
        ));
    } else {
        text.push_str(&format!(
            ": it found a wrong checksum in data from the {other}, or it answers an MP_FAIL of the {other}, {unseen} not in the capture.",
        ));
    }
    (rule::FALLBACK_MP_FAIL, text, frames)
}

//! SYN/ACKs and third ACKs whose MPTCP option was overwritten with NOPs, as one capture shows them.

use super::Finder;
use super::rules::fallback as rule;
use crate::track::connection::Connection;
use crate::track::mark::Mark;
use crate::track::subflow::{Subflow, SynSeen};

/// NOPs in a row that only a blanked option explains: stacks pad with three at most, and the shortest MPTCP option that
/// matters has four bytes.
pub(super) const BLANKED: u8 = 4;
/// Octets of MP_CAPABLE in a SYN/ACK (RFC 8684 §3.1).
const CAPABLE_LEN: u8 = 12;
/// Octets of MP_JOIN in a SYN/ACK (RFC 8684 §3.2).
const JOIN_LEN: u8 = 16;
/// Octets of the timestamps option (RFC 7323 §3.2).
const TIMESTAMPS_LEN: u8 = 10;

/// The SYN/ACK, where it has a run of NOPs as long as the option that should be there, and as the timestamps that the SYN may
/// have offered, if it lacks these: devices clear them, too.
pub(super) fn overwritten(subflow: &Subflow) -> Option<&SynSeen> {
    let option = if subflow.join.is_some() { JOIN_LEN } else { CAPABLE_LEN };
    let offered = subflow.syn.as_ref().is_none_or(|syn| syn.timestamps);
    subflow.syn_ack.as_ref().filter(|syn_ack| {
        let timestamps = if offered && !syn_ack.timestamps { TIMESTAMPS_LEN } else { 0 };
        syn_ack.nop_run >= option + timestamps
    })
}

/// A third ACK without its option, and the NOPs in its place, if a run of them is as long.
pub(super) fn blanked_ack(connection: &Connection, subflow: &Subflow) -> Option<(Mark, u8)> {
    let (bare, nops, length) = match &subflow.join {
        None if connection.handshake.syn.is_none() => return None,
        None => (connection.handshake.bare_ack, connection.handshake.bare_ack_nops, 20),
        Some(join) => (join.bare_ack, join.bare_ack_nops, 24),
    };
    bare.filter(|_| nops >= length).map(|frame| (frame, nops))
}

/// A run of NOPs where an option should be.
pub(super) fn blanked(finder: &mut Finder<'_, '_>, connection: &Connection, index: u16, subflow: &Subflow) {
    if let Some((frame, nops)) = blanked_ack(connection, subflow) {
        let text = format!(
            "The third ACK in frame {} has a run of {nops} NOPs and no {}: something on the path overwrites options in place of removing them.",
            finder.frame(frame),
            if subflow.join.is_some() { "MP_JOIN" } else { "MP_CAPABLE" },
        );
        finder.report(rule::OPTION_BLANKED, Some(index), &[frame], text);
    }
    let Some(syn_ack) = overwritten(subflow) else { return };
    let (missing, option) = match &subflow.join {
        None => (connection.handshake.syn.is_some() && connection.handshake.syn_ack.is_none(), "MP_CAPABLE"),
        Some(join) => (join.syn_ack_hmac.is_none(), "MP_JOIN"),
    };
    if missing {
        let text = format!(
            "The SYN/ACK in frame {} has {} bytes of padding in a row and no {option}: something on the path overwrites options in place of removing them.",
            finder.frame(syn_ack.first.frame),
            syn_ack.nop_run,
        );
        finder.report(rule::OPTION_BLANKED, Some(index), &[syn_ack.first.frame], text);
    }
}

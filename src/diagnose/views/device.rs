//! What a device that was captured on all its interfaces keeps to itself: a SYN that comes in and does not leave, though others of
//! its connection do.

use super::twin;
use crate::diagnose::Evidence;
use crate::track::connection::Connection;
use crate::track::subflow::Subflow;

/// The interface where the SYN of a subflow came in, if the device has not let it through, nor sent anything of the subflow
/// elsewhere: it lets other subflows to the same address through.
pub(in crate::diagnose) fn keeps_back(evidence: &Evidence<'_>, subflow: &Subflow) -> Option<u16> {
    let responder = subflow.initiator.peer();
    let to = subflow.address_of(responder).0;
    let shown = |subflow: &Subflow| evidence.views.iter().any(|view| twin(subflow, view).is_some());
    let passes = |other: &Subflow| other.address_of(responder).0 == to && shown(other);
    let kept = came_in(evidence, subflow) && !shown(subflow) && evidence.connection.subflows.iter().any(passes);
    kept.then_some(subflow.interface.0)
}

/// The interface where the first SYNs of a connection came in, which carried MP_CAPABLE, if only the one without leaves.
pub(in crate::diagnose) fn keeps_option_back(evidence: &Evidence<'_>) -> Option<u16> {
    let handshake = &evidence.connection.handshake;
    let bare = handshake.syns.iter().filter(|syn| !syn.2).count() as u64;
    let initial = evidence.connection.initial().filter(|initial| came_in(evidence, initial))?;
    // Beyond, there are as many SYNs as came in without the option, and there is an option in none of them.
    let beyond = |view: &&Connection| {
        let syn = twin(initial, view).and_then(|(_, shown)| shown.syn.as_ref());
        let shown = syn.map(|syn| u64::from(syn.retransmissions()) + 1);
        shown == Some(bare) && !view.shows_mptcp()
    };
    (!evidence.views.is_empty() && evidence.views.iter().all(beyond)).then_some(initial.interface.0)
}

/// Whether a SYN of the connection is kept back, whatever it carries.
pub(crate) fn keeps_any_back(evidence: &Evidence<'_>) -> bool {
    let kept = |subflow: &Subflow| subflow.syn_ack.is_none() && keeps_back(evidence, subflow).is_some();
    evidence.connection.subflows.iter().any(kept) || keeps_option_back(evidence).is_some()
}

/// Whether all interfaces of a host were captured, each known by its number there, and the SYN of a subflow came in at one.
fn came_in(evidence: &Evidence<'_>, subflow: &Subflow) -> bool {
    let syn = subflow.syn.as_ref();
    evidence.inputs.are_interfaces() && syn.is_some_and(|syn| syn.outgoing != Some(true) && syn.interface_index != 0)
}

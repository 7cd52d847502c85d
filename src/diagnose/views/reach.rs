//! How long a capture goes on: what came later is not missing there.

use crate::frame::Timestamp;
use crate::track::connection::Connection;
use crate::track::sites::Sites;
use crate::track::subflow::Subflow;

/// When a capture last shows a connection: what other places show of it, which it lacks, is left out.
fn last_at_its_place(view: &Connection, sites: &Sites) -> Option<Timestamp> {
    let own = |subflow: &&Subflow| sites.are_one(subflow.interface.0, view.input);
    view.subflows.iter().filter(own).map(|subflow| subflow.last.time).max()
}

/// Whether a capture goes on for so long after a time of its own.
pub(in crate::diagnose) fn goes_on(view: &Connection, from: Timestamp, nanoseconds: u64, sites: &Sites) -> bool {
    last_at_its_place(view, sites).is_some_and(|last| last >= from && last.since(from) >= nanoseconds)
}

/// When the connection was opened, by the clock of a capture that shows its SYN.
pub(super) fn opened(view: &Connection) -> Option<Timestamp> {
    Some(view.initial()?.syn.as_ref()?.first.time)
}

//! Backup: who asked for it on which subflow, how and when, and whether data kept to it.

use super::{Naming, both};
use crate::model::{LowPriority, Priority, PriorityChange};
use crate::track::connection::Connection;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// Bytes that may have been on their way to the wire when backup was asked for: a host queue's worth.
const UNDER_WAY: u64 = 64 << 10;

/// Subflows whose priority was spoken of.
pub(super) fn read(connection: &Connection, naming: &dyn Naming) -> Vec<Priority> {
    let spoken_of = |subflow: &Subflow| {
        subflow.join_backup.client || subflow.join_backup.server || !subflow.seldom.backup_changes.is_empty()
    };
    let subflows = connection.subflows.iter().enumerate().filter(|(_, subflow)| spoken_of(subflow));
    subflows.map(|(index, subflow)| priority(connection, index, subflow, naming)).collect()
}

fn priority(connection: &Connection, index: usize, subflow: &Subflow, naming: &dyn Naming) -> Priority {
    let view = |side: Side| LowPriority { low_prio: subflow.backup[side], rcv_low_prio: subflow.backup[side.peer()] };
    let join_frame = |side: Side| {
        let syn = if side == subflow.initiator { &subflow.syn } else { &subflow.syn_ack };
        syn.as_ref().map_or(subflow.first.frame, |syn| syn.first.frame)
    };
    let joined = Side::BOTH.into_iter().filter(|side| subflow.join_backup[*side]);
    let mut timeline: Vec<PriorityChange> = joined
        .map(|side| PriorityChange {
            frame: naming.frame(join_frame(side)),
            by: side.name(),
            option: "mp_join",
            backup: true,
        })
        .collect();
    timeline.extend(subflow.seldom.backup_changes.iter().map(|&(frame, side, backup)| PriorityChange {
        frame: naming.frame(frame),
        by: side.name(),
        option: "mp_prio",
        backup,
    }));
    Priority {
        subflow: index as u64,
        client: view(Side::Client),
        server: view(Side::Server),
        timeline,
        obeyed: both(|side| obeyed(connection, subflow, side)),
        bytes_against: both(|side| subflow.halves[side].seldom.against_priority),
    }
}

/// Whether `side` kept from sending new data on a backup while it had a regular path. Nothing to tell where it sent nothing,
/// or where there never was a backup beside a regular path.
fn obeyed(connection: &Connection, subflow: &Subflow, side: Side) -> Option<bool> {
    if connection.data[side].unique == 0 || connection.subflows.len() < 2 || !connection.shows_all_data_of(side) {
        return None;
    }
    let against = subflow.halves[side].seldom.against_priority;
    let by_join = subflow.join_backup.client || subflow.join_backup.server;
    let tolerated = if by_join { 0 } else { UNDER_WAY };
    Some(against <= tolerated)
}

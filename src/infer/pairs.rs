//! Addresses known of both ends, where each was learnt, and what became of every pair.

use std::net::IpAddr;

use super::{Naming, addresses};
use crate::limits;
use crate::model::{AddressPairs, KnownAddress, PairState};
use crate::track::connection::Connection;
use crate::track::connection::outcome::SubflowState;
use crate::track::mark::Moment;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// The addresses and pairs of a connection.
pub(super) fn read(connection: &Connection, naming: &dyn Naming) -> AddressPairs {
    let (client, server) = (known(connection, Side::Client, naming), known(connection, Side::Server, naming));
    let mut pairs = Vec::new();
    for a in &client {
        for b in server.iter().filter(|b| a.address.is_ipv4() == b.address.is_ipv4()) {
            if pairs.len() < limits::ADDRESS_PAIRS {
                pairs.push(pair(connection, a.address, b.address));
            }
        }
    }
    AddressPairs { client, server, pairs }
}

fn known(connection: &Connection, side: Side, naming: &dyn Naming) -> Vec<KnownAddress> {
    let mut list: Vec<(Moment, IpAddr, &'static str)> = Vec::new();
    for subflow in &connection.subflows {
        let learnt = if subflow.join.is_some() { "join" } else { "initial" };
        list.push((subflow.first, subflow.address_of(side).0, learnt));
    }
    for announced in connection.addresses.iter().filter(|announced| announced.by == side) {
        let at = Moment { frame: announced.frame, time: announced.time };
        list.push((at, announced.address, "announced"));
    }
    list.sort_by_key(|entry| (entry.2 != "initial", entry.0.time, entry.0.frame));
    let mut known: Vec<KnownAddress> = Vec::new();
    for (at, address, learnt) in list {
        if known.len() < limits::ADDRESSES && !known.iter().any(|known| known.address == address) {
            let removed = removal(connection, side, address);
            known.push(KnownAddress {
                address,
                learnt,
                frame: naming.frame(at.frame),
                removed: removed.map(|at| naming.frame(at.frame)),
                joins_after_removal: removed.map_or(0, |at| joins_after(connection, side, address, at)),
            });
        }
    }
    known
}

/// The last REMOVE_ADDR of an id that the address has, by announcement or on a subflow.
fn removal(connection: &Connection, side: Side, address: IpAddr) -> Option<Moment> {
    let announced = connection.addresses.iter().filter(|known| known.by == side && known.address == address);
    let used = connection.subflows.iter().filter(|subflow| subflow.address_of(side).0 == address);
    let ids: Vec<u8> =
        announced.map(|known| known.id).chain(used.filter_map(|subflow| subflow.address_id(side))).collect();
    let removals = connection.seldom.removals.iter().filter(|removal| removal.by == side && ids.contains(&removal.id));
    removals.map(|removal| Moment { frame: removal.frame, time: removal.time }).max_by_key(|at| (at.time, at.frame))
}

fn joins_after(connection: &Connection, side: Side, address: IpAddr, removed: Moment) -> u32 {
    let joined = |subflow: &&Subflow| subflow.join.is_some() && subflow.address_of(side).0 == address;
    connection.subflows.iter().filter(joined).filter(|subflow| subflow.first.time > removed.time).count() as u32
}

fn pair(connection: &Connection, client: IpAddr, server: IpAddr) -> PairState {
    let of_pair = connection.subflows.iter().enumerate().filter(|(_, subflow)| addresses(subflow) == (client, server));
    let mut subflows = Vec::new();
    let mut best = (0, "never_tried");
    for (index, subflow) in of_pair {
        subflows.push(index as u64);
        let reached = match subflow.state() {
            SubflowState::Unanswered => (1, "unanswered"),
            SubflowState::HalfOpen => (2, "incomplete"),
            SubflowState::Reset if subflow.was_given_up() => (2, "incomplete"),
            SubflowState::Refused => (3, "refused"),
            SubflowState::Established | SubflowState::Closed | SubflowState::Reset | SubflowState::Unknown => {
                (4, "established")
            }
        };
        best = best.max(reached);
    }
    PairState { client, server, state: best.1, subflows }
}

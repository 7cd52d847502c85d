//! What the traffic shows of the settings of both ends: path manager, scheduler, sysctls, priorities, coupling, routing,
//! listeners. Pure: reads what was tracked, gives values of the report model.
//!
//! Each classifier names a pattern only where no other setting that this tool knows would have left the same traces, or says
//! which would (`alternatives`); else it says why it can't (`why`). The confidence grows with the number of observations:
//! `confidence`.

mod coupling;
mod pairs;
mod path_manager;
mod priority;
mod scheduler;
mod surroundings;
mod sysctls;

use std::net::IpAddr;

use crate::model::{Directions, FrameRef, Sides, Stack};
use crate::track::connection::Connection;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

pub use surroundings::{Patterns, Surroundings};

/// Names frames and interfaces as the report does.
pub trait Naming {
    /// The report's name of a frame.
    fn frame(&self, mark: Mark) -> FrameRef;
    /// The name of an interface: input and index.
    fn interface(&self, interface: (u16, u16)) -> String;
}

/// What one connection shows.
pub fn stack(connection: &Connection, around: &Surroundings, naming: &dyn Naming) -> Stack {
    Stack {
        path_manager: Sides {
            client: path_manager::infer(connection, Side::Client, around, naming),
            server: path_manager::infer(connection, Side::Server, around, naming),
        },
        scheduler: both(|side| scheduler::infer(connection, side)),
        sysctls: sysctls::read(connection),
        priority: priority::read(connection, naming),
        address_pairs: pairs::read(connection, naming),
        coupling: both(|side| coupling::read(connection, side)),
        routing: around.misrouted(connection, naming),
    }
}

/// A value for each direction, by its sender.
fn both<T>(of: impl Fn(Side) -> T) -> Directions<T> {
    Directions { client_to_server: of(Side::Client), server_to_client: of(Side::Server) }
}

/// How sure `hits` of `total` observations make: Laplace's rule of succession, to two decimals. One of one gives 0.67, ten
/// of ten 0.92.
fn confidence(hits: u64, total: u64) -> f64 {
    round(((hits + 1) as f64) / ((total + 2) as f64), 100.0)
}

/// `value` to a multiple of `1 / steps`.
fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// Client's and server's address of a subflow.
fn addresses(subflow: &Subflow) -> (IpAddr, IpAddr) {
    (subflow.address_of(Side::Client).0, subflow.address_of(Side::Server).0)
}

/// Whether both ends have finished the handshake, or data flowed.
fn was_established(subflow: &Subflow) -> bool {
    let data = subflow.halves.client.payload_bytes + subflow.halves.server.payload_bytes > 0;
    subflow.is_established() || data || (subflow.syn.is_none() && subflow.syn_ack.is_none())
}

/// The subflow's handshake as the capture saw it: time from the SYN to the SYN/ACK, and from there to the third ACK. Where
/// the capture is near the initiator, the second is short; near the responder, the first.
fn handshake_times(subflow: &Subflow) -> Option<(u64, u64)> {
    let (syn, syn_ack) = (subflow.syn.as_ref()?, subflow.syn_ack.as_ref()?);
    subflow.third_ack?;
    let clean = syn.retransmissions() == 0 && syn_ack.retransmissions() == 0;
    clean.then(|| (syn_ack.first.time.since(syn.first.time), subflow.third_ack_delay))
}

/// Time that complete handshakes took from the capture to `side` and back, and in all.
fn distance(connection: &Connection, side: Side) -> Option<(u64, u64)> {
    let mut own = 0;
    let mut all = 0;
    for subflow in &connection.subflows {
        if let Some((to_responder, to_initiator)) = handshake_times(subflow) {
            own += if subflow.initiator == side { to_initiator } else { to_responder };
            all += to_responder + to_initiator;
        }
    }
    (all > 0).then_some((own, all))
}

/// Whether a capture at this [`distance`] is near the end: the round trip to it takes no more than a quarter of the whole.
fn is_near((own, all): (u64, u64)) -> bool {
    own.saturating_mul(4) <= all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_observations_make_surer() {
        assert!((confidence(1, 1) - 0.67).abs() < 1e-9);
        assert!((confidence(10, 10) - 0.92).abs() < 1e-9);
        assert!(confidence(5, 10) < confidence(9, 10));
    }
}

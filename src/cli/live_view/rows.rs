//! Rows of the live view: what a look at a connection and its paths gives.

use super::model::{Model, name};
use crate::capture::InputInfo;
use crate::report::{ConnectionNow, FindingCounts};
use crate::text;
use crate::track::Tracker;
use crate::track::connection::Connection;
use crate::track::observer::ConnectionId;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// One connection.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub id: ConnectionId,
    /// Its name on the screen.
    pub name: String,
    /// Client and server.
    pub ends: (String, String),
    /// Version, outcome and close.
    pub state: String,
    /// Bytes a second by sender: client, server.
    pub rates: [f64; 2],
    /// Data-level bytes by sender.
    pub bytes: [u64; 2],
    /// What was found.
    pub findings: FindingCounts,
    /// Its paths.
    pub paths: Vec<PathRow>,
}

/// One subflow.
#[derive(Clone, Debug)]
pub struct PathRow {
    /// Interface, and addresses.
    pub path: String,
    /// The interface.
    pub interface: String,
    /// State, and what its handshake proved.
    pub state: String,
    /// Whether its join is proven: both HMACs.
    pub proven: Option<bool>,
    /// Backup for either end.
    pub backup: bool,
    /// Bytes a second by sender.
    pub rates: [f64; 2],
    /// Share of the connection's bytes by sender.
    pub shares: [Option<f64>; 2],
    /// Median round trip in nanoseconds.
    pub rtt: Option<u64>,
}

impl Model {
    /// Looks at a connection.
    pub(super) fn row(&mut self, tracker: &Tracker, info: &InputInfo, connection: &Connection) -> Row {
        let inputs = std::slice::from_ref(info);
        let ends =
            connection.subflows.first().map(|first| (address(first, Side::Client), address(first, Side::Server)));
        let version = connection.dialect.map_or(String::new(), |dialect| format!(" v{}", dialect.version()));
        let close = connection.close().name();
        let outcome = if connection.orphan { "join only" } else { connection.outcome().name() };
        let state = match close {
            "open" => format!("{outcome}{version}"),
            close => format!("{outcome}{version}, {}", close.replace('_', " ")),
        };
        let paths: Vec<PathRow> =
            (0..connection.subflows.len()).filter_map(|index| self.path(info, connection, index)).collect();
        let findings = ConnectionNow::new(&tracker.counts, inputs, connection).found();
        for finding in &findings {
            self.tell(connection, finding);
        }
        let sum = |side: usize| paths.iter().map(|path| path.rates[side]).sum();
        Row {
            id: connection.id,
            name: name(connection.number()),
            ends: ends.unwrap_or_default(),
            state,
            rates: [sum(0), sum(1)],
            bytes: [connection.data.client.unique, connection.data.server.unique],
            findings: findings.iter().collect(),
            paths,
        }
    }

    fn path(&self, info: &InputInfo, connection: &Connection, index: usize) -> Option<PathRow> {
        let subflow = connection.subflows.get(index)?;
        let rates = self.rates.get(&(connection.id, index as u16)).copied().unwrap_or_default();
        let proven = subflow.join.as_deref().map(|join| {
            let proof = connection.prove_join(subflow, join);
            proof.syn_ack.is_verified() && proof.ack.is_verified()
        });
        let share = |side: Side| {
            let all = connection.data[side].unique;
            (all > 0).then(|| subflow.halves[side].data_bytes as f64 / all as f64)
        };
        let median = |side: Side| {
            let samples = &subflow.halves[side].rtt.by_ack;
            (samples.weight() > 0).then(|| samples.percentile(50))
        };
        let interface = info.interfaces.get(usize::from(subflow.interface.1)).and_then(|known| known.name.as_deref());
        Some(PathRow {
            path: format!("{} {} {}", address(subflow, Side::Client), self.arrow(), address(subflow, Side::Server)),
            interface: text::clean(interface.unwrap_or("?"), self.look.unicode).into_owned(),
            state: subflow.state().name().replace('_', " "),
            proven,
            backup: subflow.backup.client || subflow.backup.server,
            rates: [rates[0].per_second, rates[1].per_second],
            shares: [share(Side::Client), share(Side::Server)],
            rtt: median(Side::Client).max(median(Side::Server)),
        })
    }

    fn arrow(&self) -> &'static str {
        if self.look.unicode { "→" } else { "->" }
    }
}

fn address(subflow: &Subflow, side: Side) -> String {
    let (address, port) = subflow.address_of(side);
    std::net::SocketAddr::new(address, port).to_string()
}

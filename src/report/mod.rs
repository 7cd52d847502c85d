//! The report: one model ([`crate::model`]) that every output is a view of, and one small file per output.
//!
//! | output | file | for |
//! |---|---|---|
//! | `tree` | [`tree`] | people: connections, their subflows, and what is wrong with them |
//! | `table` | [`table`] | people: one row a subflow |
//! | `json` | [`json`] | programs: the whole report, one object |
//! | `packets` | [`packets`] | people: one line a segment, while reading |
//! | `ndjson` | [`ndjson`] | programs: one object a segment and event, while reading |
//!
//! Outputs take a [`Report`] and write to an [`std::io::Write`]. They know nothing of packets, terminals or arguments: what
//! depends on the reader (width, colours, character set) is in [`style::Look`], decided by the command line.
#![allow(
    clippy::indexing_slicing,
    reason = "columns and parts of its own are counted here, never what a capture holds"
)]

mod append;
mod build;
#[cfg(feature = "cli")]
mod cells;
pub mod counters;
mod event_line;
pub mod explain;
mod gather;
mod in_groups;
pub mod json;
mod json_text;
#[cfg(feature = "cli")]
mod layout;
pub mod ndjson;
#[cfg(feature = "cli")]
pub mod packets;
pub mod seen;
mod segment_line;
mod selection;
#[cfg(feature = "cli")]
mod sentences;
#[cfg(feature = "cli")]
mod stack_lines;
#[cfg(feature = "cli")]
pub mod style;
#[cfg(feature = "cli")]
pub mod table;
#[cfg(feature = "cli")]
pub mod tree;

use crate::crypto::Token;
use crate::model::{Connection, ConnectionFilter, Finding, Header, KernelCounters, Orphans};

pub use crate::model::FindingCounts;
pub use build::{ConnectionNow, Departed, TrackedReport, interface_name};
pub use selection::{Selection, Tally};

/// What outputs read. Connections are built one at a time, when asked for, because a capture can hold a million of them.
///
/// Every method gives the same answer each time it is asked: the analysis is over when a report exists.
pub trait Report: Sync {
    /// Everything that is not a connection, an orphan or a finding.
    fn header(&self) -> Header;

    /// How many connections there are. Their ids ascend from 1, with gaps where one turned out to be another tap's view of
    /// an earlier one, or was pushed out by a limit.
    fn connection_count(&self) -> usize;

    /// Builds one connection. `index` is below [`Report::connection_count`].
    fn connection(&self, index: usize) -> Connection;

    /// The findings of one connection alone. `index` is below [`Report::connection_count`].
    fn connection_findings(&self, index: usize) -> Vec<Finding> {
        self.connection(index).findings
    }

    /// What orders, counts and finds a connection, without building it. `index` is below [`Report::connection_count`].
    fn summary(&self, index: usize) -> Summary;

    /// How many joins there are whose connection the capture lacks and whose token `wanted` takes, without building them.
    /// The token is unknown where their SYNs were not captured.
    fn orphan_joins(&self, wanted: &dyn Fn(Option<Token>) -> bool) -> u64;

    /// Those joins by token, in order of their first packets; the first `most` of them only, because a flood can have a
    /// million.
    fn orphans(&self, wanted: &dyn Fn(Option<Token>) -> bool, most: usize) -> Vec<Orphans>;

    /// Findings of no connection.
    fn findings(&self) -> Vec<Finding>;

    /// The counters of both ends' kernels that the connections imply which `filters` name (all, if there is none); `None` where
    /// that was not looked at.
    fn kernel_counters(&self, filters: &[ConnectionFilter]) -> Option<KernelCounters> {
        let _ = filters;
        None
    }
}

/// The cheap part of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// As [`Connection::id`].
    pub id: u64,
    /// MPTCP version: 0, 1, or unknown.
    pub version: Option<u8>,
    /// As [`Connection::outcome`].
    pub outcome: &'static str,
    /// Its findings.
    pub findings: FindingCounts,
    /// Its subflows.
    pub subflows: u32,
    /// Unique data-level bytes, both directions.
    pub bytes: u64,
    /// The client's token.
    pub client_token: Option<Token>,
    /// The server's token.
    pub server_token: Option<Token>,
}

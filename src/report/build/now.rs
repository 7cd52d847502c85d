//! One connection as it stands while the capture goes on, for a live view and for events.

use super::header::header;
use super::{Context, connection, finding, summary};
use crate::capture::{InputInfo, Inputs};
use crate::crypto::Token;
use crate::diagnose;
use crate::frame::Timestamp;
use crate::model::{CaptureStack, Connection, Finding, Header, Orphans};
use crate::report::{FindingCounts, Report, Summary};
use crate::track::Counts;
use crate::track::connection as tracked;
use crate::track::sites;

/// A report of a single connection, which may be open yet.
#[derive(Clone, Copy)]
pub struct ConnectionNow<'a> {
    counts: &'a Counts,
    inputs: Inputs<'a>,
    connection: &'a tracked::Connection,
}

impl<'a> ConnectionNow<'a> {
    /// A report of `connection`. `counts` are those of its tracker.
    pub fn new(counts: &'a Counts, inputs: &'a [InputInfo], connection: &'a tracked::Connection) -> Self {
        Self { counts, inputs: inputs.into(), connection }
    }

    /// What the tracker knows of it.
    pub fn tracked(&self) -> &'a tracked::Connection {
        self.connection
    }

    /// What is to be said of it by now.
    pub fn found(&self) -> Vec<Finding> {
        let context = Context { inputs: self.inputs };
        let found = diagnose::connection(&self.evidence());
        found.iter().map(|found| finding(&context, self.connection.number(), Some(self.connection), found)).collect()
    }

    fn number(&self) -> u64 {
        self.connection.number().unwrap_or(0)
    }

    fn evidence(&self) -> diagnose::Evidence<'a> {
        let capture_end: Timestamp = self.counts.last.unwrap_or_default();
        let (views, sites) = (Vec::new(), &sites::ALL_APART);
        diagnose::Evidence { connection: self.connection, views, capture_end, inputs: self.inputs, sites }
    }
}

impl Report for ConnectionNow<'_> {
    fn header(&self) -> Header {
        header(self.counts, self.inputs, 0, CaptureStack::default())
    }

    fn connection_count(&self) -> usize {
        1
    }

    fn connection(&self, _: usize) -> Connection {
        let context = Context { inputs: self.inputs };
        let mut built = connection::build(self.number(), self.connection, &[], &context);
        built.findings = self.found();
        built
    }

    fn summary(&self, _: usize) -> Summary {
        let findings: FindingCounts = self.found().iter().collect();
        summary(self.connection, self.number(), findings)
    }

    fn orphan_joins(&self, _: &dyn Fn(Option<Token>) -> bool) -> u64 {
        0
    }

    fn orphans(&self, _: &dyn Fn(Option<Token>) -> bool, _: usize) -> Vec<Orphans> {
        Vec::new()
    }

    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }
}

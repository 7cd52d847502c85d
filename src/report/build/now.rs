//! One connection as it stands while the capture goes on, for a live view and for events.

use super::{Context, connection, finding, header};
use crate::capture::InputInfo;
use crate::diagnose;
use crate::report::model::{Connection, Finding, Header, Orphans};
use crate::report::{FindingCounts, Report, Summary};
use crate::track::Tracker;
use crate::track::connection as tracked;

/// A report of a single connection, which may be open yet.
pub struct ConnectionNow<'a> {
    tracker: &'a Tracker,
    inputs: &'a [InputInfo],
    connection: &'a tracked::Connection,
}

impl<'a> ConnectionNow<'a> {
    /// A report of `connection`, which `tracker` holds or has just let go.
    pub fn new(tracker: &'a Tracker, inputs: &'a [InputInfo], connection: &'a tracked::Connection) -> Self {
        Self { tracker, inputs, connection }
    }

    /// Its number in events and in the live view: connections, views and groups of orphans are counted together, so that a
    /// number never changes.
    pub fn number(&self) -> u64 {
        u64::from(self.connection.id) + 1
    }

    /// The connection with its findings.
    pub fn build(&self) -> Connection {
        let context = Context { inputs: self.inputs };
        let mut built = connection::build(self.number(), self.connection, &[], &context);
        let found = diagnose::connection(&self.evidence());
        built.findings = found.into_iter().map(|found| finding(&context, self.number(), found)).collect();
        built
    }

    fn evidence(&self) -> diagnose::Evidence<'a> {
        let capture_end = self.tracker.counts.last.unwrap_or_default();
        diagnose::Evidence { connection: self.connection, views: Vec::new(), capture_end }
    }
}

impl Report for ConnectionNow<'_> {
    fn header(&self) -> Header {
        header(self.tracker, self.inputs, 0)
    }

    fn connection_count(&self) -> usize {
        1
    }

    fn connection(&self, _: usize) -> Connection {
        self.build()
    }

    fn summary(&self, _: usize) -> Summary {
        let mut findings = FindingCounts::default();
        for found in diagnose::connection(&self.evidence()) {
            findings.add(found.rule.severity);
        }
        super::summary(self.connection, findings)
    }

    fn orphans(&self) -> Vec<Orphans> {
        Vec::new()
    }

    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }
}

//! Connections that a live capture had to forget: what was found of them, and what they make its kernels count.

use super::ConnectionNow;
use crate::diagnose;
use crate::diagnose::counters::Counters;
use crate::frame::Timestamp;
use crate::report::FindingCounts;
use crate::track::Counts;
use crate::track::connection::Connection;

/// What is known of all of them.
#[derive(Clone, Debug, Default)]
pub struct Departed {
    findings: FindingCounts,
    pub(super) counters: Counters,
}

impl Departed {
    /// Adds one, at time `now` of the capture.
    pub fn add(&mut self, connection: &Connection, now: Timestamp) {
        let counts = Counts { last: Some(now), ..Counts::default() };
        self.findings += ConnectionNow::new(&counts, &[], connection).found().iter().collect();
        diagnose::counters::add(&mut self.counters, connection, &[], [].as_slice().into());
    }

    /// Their findings.
    pub fn findings(&self) -> FindingCounts {
        self.findings
    }
}

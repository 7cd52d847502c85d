//! Which connections an output shows, and what all of them add up to.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{FindingCounts, Report, Summary};
use crate::crypto::Token;
use crate::limits;
use crate::model::{ConnectionFilter, Finding, FrameRef, Orphans, Subflow};

/// The connections to show, in the order to show them, and counts over all that the filters let through.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Indices for [`Report::connection`].
    pub indices: Vec<usize>,
    /// Connections that are not shown because there are too many.
    pub hidden: usize,
    /// Counts over the shown and the hidden ones.
    pub tally: Tally,
    /// Joins whose connection the capture lacks, that the filters let through: see [`Selection::orphans`].
    pub orphan_joins: u64,
    /// Filters that name neither a connection nor such joins.
    pub unmatched: Vec<ConnectionFilter>,
    /// Whether connections were chosen by `--connection`.
    pub filtered: bool,
    filters: Vec<ConnectionFilter>,
}

/// Counts over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub connections: u64,
    /// Those that stayed MPTCP v0.
    pub v0: u64,
    /// Those that stayed MPTCP v1.
    pub v1: u64,
    /// MPTCP of a version the capture does not show.
    pub version_unknown: u64,
    /// Those that fell back to TCP.
    pub fallback: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those whose SYN nobody answered.
    pub unanswered: u64,
    /// Those whose outcome the capture does not show.
    pub unknown: u64,
    /// Subflows of all of them.
    pub subflows: u64,
    /// Findings of all of them.
    pub findings: FindingCounts,
}

impl Selection {
    /// Chooses among the connections of `report`: all that `filters` name (all, if there is none), in order of their
    /// numbers; but if they are more than `limit`, only that many, the most interesting first.
    pub fn new(report: &dyn Report, filters: &[ConnectionFilter], limit: Option<usize>) -> Self {
        // Kept short while it grows: a million connections need no list of a million.
        const SLACK: usize = 4096;
        let limit = if filters.is_empty() { limit.unwrap_or(usize::MAX) } else { usize::MAX };
        let mut chosen: Vec<(Reverse<Interest>, usize)> = Vec::new();
        let mut matched = vec![false; filters.len()];
        let mut tally = Tally::default();
        for index in 0..report.connection_count() {
            let summary = report.summary(index);
            if !filters.is_empty() && !mark_matches(filters, &mut matched, &summary) {
                continue;
            }
            tally.add(&summary);
            chosen.push((Reverse(Interest::of(&summary)), index));
            if chosen.len() >= limit.saturating_add(SLACK) {
                chosen.sort_unstable();
                chosen.truncate(limit);
            }
        }
        let orphan_joins = report.orphan_joins(&|token| names_orphans(filters, token));
        for (filter, hit) in filters.iter().zip(&mut matched) {
            let joins = |token: Token| report.orphan_joins(&|other| other == Some(token)) > 0;
            *hit = *hit || (orphan_joins > 0 && filter.token().is_some_and(joins));
        }
        let all_fit = tally.connections <= limit as u64;
        if !all_fit {
            chosen.sort_unstable();
            chosen.truncate(limit);
        }
        let indices: Vec<usize> = chosen.into_iter().map(|(_, index)| index).collect();
        Self {
            hidden: (tally.connections as usize).saturating_sub(indices.len()),
            indices,
            tally,
            orphan_joins,
            unmatched: filters.iter().zip(&matched).filter(|(_, hit)| !**hit).map(|(filter, _)| *filter).collect(),
            filtered: !filters.is_empty(),
            filters: filters.to_vec(),
        }
    }

    /// Builds the joins without connection of `report` that the filters let through, as many as are listed.
    pub fn orphans(&self, report: &dyn Report) -> Vec<Orphans> {
        report.orphans(&|token| names_orphans(&self.filters, token), limits::ORPHAN_JOINS)
    }

    /// The findings of no connection; where connections are chosen, those of the whole input and those that have a frame of a
    /// chosen one among their evidence.
    pub fn findings(&self, report: &dyn Report) -> Vec<Finding> {
        let mut findings = report.findings();
        if self.filtered && !findings.is_empty() {
            let joins = self.orphans(report).into_iter().flat_map(|group| group.subflows);
            let chosen = self.indices.iter().flat_map(|&index| report.connection(index).subflows);
            let frames: BTreeSet<FrameRef> = chosen.chain(joins).flat_map(|subflow| frames_of(&subflow)).collect();
            // Of many joins a finding names only some.
            let named = |finding: &Finding| self.orphan_joins == 0 || finding.frames.len() < limits::EVIDENCE_FRAMES;
            let other = |finding: &Finding| !finding.frames.iter().any(|frame| frames.contains(frame));
            findings.retain(|finding| finding.frames.is_empty() || !(named(finding) && other(finding)));
        }
        findings
    }
}

/// Frames of a subflow that findings of many connections name.
fn frames_of(subflow: &Subflow) -> impl Iterator<Item = FrameRef> + use<> {
    let syns = [&subflow.syn, &subflow.syn_ack].map(|syn| syn.as_ref().map(|syn| syn.frame));
    let ends = [Some(subflow.opened.frame), subflow.reset.as_ref().map(|reset| reset.frame)];
    syns.into_iter().chain(ends).flatten()
}

/// Whether `filters` name joins without connection that ask for `token`; all of them, if there is no filter.
pub(super) fn names_orphans(filters: &[ConnectionFilter], token: Option<Token>) -> bool {
    filters.is_empty() || filters.iter().any(|filter| filter.token().is_some() && filter.token() == token)
}

/// How many joins are in these groups.
pub(super) fn joins_in(orphans: &[Orphans]) -> u64 {
    orphans.iter().map(|group| group.subflows.len() as u64).sum()
}

/// Notes which filters name this connection, and tells whether one does.
fn mark_matches(filters: &[ConnectionFilter], matched: &mut [bool], summary: &Summary) -> bool {
    let mut any = false;
    for (filter, hit) in filters.iter().zip(matched) {
        if filter.names(summary.id, [summary.client_token, summary.server_token]) {
            (*hit, any) = (true, true);
        }
    }
    any
}

impl Tally {
    fn add(&mut self, summary: &Summary) {
        self.connections += 1;
        self.subflows += u64::from(summary.subflows);
        self.findings += summary.findings;
        let counter = match (summary.outcome, summary.version) {
            ("mptcp", Some(0)) => &mut self.v0,
            ("mptcp", Some(1)) => &mut self.v1,
            ("mptcp", _) => &mut self.version_unknown,
            ("fallback", _) => &mut self.fallback,
            ("refused", _) => &mut self.refused,
            ("unanswered", _) => &mut self.unanswered,
            _ => &mut self.unknown,
        };
        *counter += 1;
    }
}

/// What makes a person look at one connection before another: errors, warnings, a fallback, many subflows, many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interest {
    has_errors: bool,
    has_warnings: bool,
    fell_back: bool,
    subflows: u32,
    bytes: u64,
}

impl Interest {
    fn of(summary: &Summary) -> Self {
        Self {
            has_errors: summary.findings.errors > 0,
            has_warnings: summary.findings.warnings > 0,
            fell_back: summary.outcome == "fallback",
            subflows: summary.subflows,
            bytes: summary.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_numbers_or_tokens() {
        assert_eq!("12".parse(), Ok(ConnectionFilter::Number(12)));
        assert_eq!("#12345678".parse(), Ok(ConnectionFilter::Number(12_345_678)));
        assert_eq!("7b221d74".parse(), Ok(ConnectionFilter::Token(Token(0x7b22_1d74))));
        assert_eq!("12345678".parse(), Ok(ConnectionFilter::Either(12_345_678, Token(0x1234_5678))));
        for wrong in ["", "#", "7b221d7", "7b221d7g", "-1", "+12", "1 2"] {
            assert!(wrong.parse::<ConnectionFilter>().is_err(), "{wrong}");
        }
    }
}

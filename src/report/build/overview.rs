//! What only all connections together tell, and what orders them: one look at each, spread over threads.
//!
//! A look at a connection costs more in waiting for its memory than in work, so everything that needs all of them is done in
//! the same look. Connections are taken in groups of constant size and what the groups gave is put together in their order:
//! the result does not depend on how many threads there are.

use super::{TrackedReport, summary};
use crate::diagnose::across::Answers;
use crate::diagnose::{self, Found};
use crate::infer::Patterns;
use crate::model::CaptureStack;
use crate::report::in_groups::in_groups;
use crate::report::{FindingCounts, Summary};
use crate::track::observer::ConnectionId;

/// Connections that a thread looks at before it takes more. Not more than hosts, so that a group alone never passes a limit.
pub(super) const GROUP: usize = 512;
const _: () = assert!(GROUP <= crate::limits::HOST_PAIRS);

/// The result.
pub(super) struct Overview {
    /// Of each listed connection, in their order and groups.
    summaries: Vec<Vec<Summary>>,
    /// Patterns between hosts.
    pub(super) stack: CaptureStack,
    /// Findings of no connection.
    pub(super) across: Vec<Found>,
}

#[derive(Default)]
struct Part {
    summaries: Vec<Summary>,
    patterns: Patterns,
    answers: Answers,
}

impl Overview {
    /// Looks at the connections that a report lists.
    pub(super) fn of(report: &TrackedReport) -> Self {
        let (mut summaries, mut patterns, mut answers) = (Vec::new(), Patterns::default(), Answers::default());
        for part in in_groups(&report.listed, GROUP, |group| look(report, group)) {
            summaries.push(part.summaries);
            patterns.absorb(part.patterns);
            answers.absorb(part.answers);
        }
        Self { summaries, stack: patterns.into_model(), across: answers.found() }
    }

    /// What was learnt of the connection `listed[index]`.
    pub(super) fn summary(&self, index: usize) -> Summary {
        let summary = self.summaries.get(index / GROUP).and_then(|group| group.get(index % GROUP));
        let summary = summary.copied().unwrap_or_default();
        Summary { id: if summary.id == 0 { index as u64 + 1 } else { summary.id }, ..summary }
    }
}

fn look(report: &TrackedReport, group: &[ConnectionId]) -> Part {
    let context = report.context();
    let mut part = Part { summaries: Vec::with_capacity(group.len()), ..Part::default() };
    for connection in group.iter().filter_map(|&id| report.tracker.connection(id)) {
        let mut findings = FindingCounts::default();
        for found in diagnose::connection(&report.evidence(connection)) {
            findings.add(found.rule.severity);
        }
        part.summaries.push(summary(connection, connection.number().unwrap_or(0), findings));
        part.patterns.add(connection, &report.around, &context);
        part.answers.add(connection);
    }
    part
}

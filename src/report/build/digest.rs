//! What only all connections together tell, and what orders them: one look at each, spread over threads.
//!
//! A look at a connection costs more in waiting for its memory than in work, so everything that needs all of them is done in
//! the same look. Connections are taken in groups of constant size and what the groups gave is put together in their order:
//! the result does not depend on how many threads there are.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Context, summary};
use crate::capture::InputInfo;
use crate::diagnose::across::Answers;
use crate::diagnose::{self, Evidence, Found};
use crate::frame::Timestamp;
use crate::infer::{Patterns, Surroundings};
use crate::report::model::CaptureStack;
use crate::report::{FindingCounts, Summary};
use crate::track::Tracker;
use crate::track::connection::Connection;
use crate::track::observer::ConnectionId;

/// Connections that a thread looks at before it takes more. Not more than hosts, so that a group alone never passes a limit.
const GROUP: usize = 512;
const _: () = assert!(GROUP <= crate::limits::HOST_PAIRS);
/// Threads that look: memory is what they wait for, and few saturate it.
const THREADS: usize = 4;

/// The result.
pub(super) struct Digest {
    /// Of each listed connection, in their order.
    pub(super) summaries: Vec<Summary>,
    /// Patterns between hosts.
    pub(super) stack: CaptureStack,
    /// Findings of no connection.
    pub(super) across: Vec<Found>,
}

/// What looking needs.
pub(super) struct Scene<'a> {
    pub(super) tracker: &'a Tracker,
    pub(super) inputs: &'a [InputInfo],
    pub(super) around: &'a Surroundings,
    /// The views of a connection.
    pub(super) views: &'a (dyn Fn(ConnectionId) -> Vec<&'a Connection> + Sync),
    pub(super) capture_end: Timestamp,
}

#[derive(Default)]
struct Part {
    summaries: Vec<Summary>,
    patterns: Patterns,
    answers: Answers,
}

impl Digest {
    /// Looks at the connections `listed`.
    pub(super) fn of(scene: &Scene<'_>, listed: &[ConnectionId]) -> Self {
        let mut whole = Part { summaries: Vec::with_capacity(listed.len()), ..Part::default() };
        for part in in_groups(listed, |group| scene.look(group)) {
            whole.summaries.extend(part.summaries);
            whole.patterns.absorb(part.patterns);
            whole.answers.absorb(part.answers);
        }
        for (index, summary) in whole.summaries.iter_mut().enumerate().filter(|(_, summary)| summary.id == 0) {
            summary.id = index as u64 + 1;
        }
        Self { summaries: whole.summaries, stack: whole.patterns.into_model(), across: whole.answers.found() }
    }
}

impl Scene<'_> {
    fn look(&self, group: &[ConnectionId]) -> Part {
        let context = Context { inputs: self.inputs };
        let mut part = Part { summaries: Vec::with_capacity(group.len()), ..Part::default() };
        for connection in group.iter().filter_map(|&id| self.tracker.connection(id)) {
            let views = (self.views)(connection.id);
            let evidence = Evidence { connection, views, capture_end: self.capture_end, inputs: self.inputs };
            let mut findings = FindingCounts::default();
            for found in diagnose::connection(&evidence) {
                findings.add(found.rule.severity);
            }
            part.summaries.push(summary(connection, connection.number.unwrap_or(0), findings));
            part.patterns.add(connection, self.around, &context);
            part.answers.add(connection);
        }
        part
    }
}

/// What `look` gives of each group of `all`, in their order.
pub(super) fn in_groups<T: Sync, R: Send>(all: &[T], look: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let groups: Vec<&[T]> = all.chunks(GROUP).collect();
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS).min(groups.len());
    if threads < 2 {
        return groups.into_iter().map(look).collect();
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(groups.len()));
    let work = || {
        while let Some((index, group)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, groups.get(at)?)))
        {
            let result = look(group);
            if let Ok(mut results) = results.lock() {
                results.push((index, result));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no thread, this one does all.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_unstable_by_key(|result| result.0);
    results.into_iter().map(|result| result.1).collect()
}

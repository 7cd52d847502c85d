//! Frames in, report out: sources through the decoder into the tracker.

use std::io::Write;
use std::path::Path;

use anyhow::bail;

use super::exit::{Told, complain};
use super::plan::{Plan, SourcePlan};
use super::progress::Progress;
use crate::capture::{CaptureError, FileSource, Filtered, InputInfo, Merge, OpenOptions, Source, open};
use crate::packet::Decoder;
use crate::report::TrackedReport;
use crate::track::observer::{Observer, Silent};
use crate::track::{Config, Tracker};

/// What reading gave.
pub struct Analysis {
    /// What was learnt, from all that could be read.
    pub report: TrackedReport,
    /// Whether an input could not be read, or not to its end. The reason is on standard error already.
    pub incomplete: bool,
}

/// Reads what the plan names and analyses it. Formats that print segments (`packets`, `ndjson`) write to `out` meanwhile.
///
/// Inputs that fail are told of and left out; only where none is left is that an error.
pub fn analyze(plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Analysis> {
    match &plan.source {
        SourcePlan::Files(files) => analyze_files(plan, files.iter().map(AsRef::as_ref), out),
        SourcePlan::Live { .. } => bail!("PLUG IN: live capture"),
    }
}

fn analyze_files<'a>(plan: &Plan, files: impl Iterator<Item = &'a Path>, _out: &mut dyn Write) -> anyhow::Result<Analysis> {
    let mut sources = Vec::new();
    let mut failed = 0;
    for path in files {
        match open(path, sources.len() as u16, &OpenOptions::default()) {
            Ok(source) => sources.push(source),
            Err(error) => {
                complain(&error.to_string());
                failed += 1;
            }
        }
    }
    if sources.is_empty() {
        return Err(Told.into());
    }
    let mut silent = Silent;
    let (tracker, inputs, fragments, problems) = match &plan.filter {
        Some(filter) => {
            let filtered: Result<Vec<_>, CaptureError> = sources.into_iter().map(|source| Filtered::new(source, filter)).collect();
            read_all(plan, filtered?, &mut silent)
        }
        None => read_all::<FileSource, _>(plan, sources, &mut silent),
    };
    for problem in &problems {
        complain(&problem.to_string());
    }
    let incomplete = failed > 0 || !problems.is_empty();
    Ok(Analysis { report: TrackedReport::new(tracker, inputs, fragments), incomplete })
}

type Read = (Tracker, Vec<InputInfo>, u64, Vec<CaptureError>);

fn read_all<S: Source, O: Observer>(plan: &Plan, mut sources: Vec<S>, observer: &mut O) -> Read {
    if sources.len() == 1
        && let Some(mut source) = sources.pop()
    {
        let mut problems = Vec::new();
        let (tracker, fragments) = run(plan, &mut source, observer, &mut problems);
        return (tracker, source.inputs().into_iter().cloned().collect(), fragments, problems);
    }
    let mut merge = Merge::new(sources);
    let mut problems = Vec::new();
    let (tracker, fragments) = run(plan, &mut merge, observer, &mut problems);
    problems.append(&mut merge.take_problems());
    (tracker, merge.inputs().into_iter().cloned().collect(), fragments, problems)
}

/// The loop: every frame of `source` through the decoder into a tracker.
fn run<S: Source, O: Observer>(plan: &Plan, source: &mut S, observer: &mut O, problems: &mut Vec<CaptureError>) -> (Tracker, u64) {
    let mut tracker = Tracker::new(Config { keys: plan.keys.clone() });
    let mut decoder = Decoder::new();
    let mut progress = Progress::new(plan.quiet);
    let mut left = plan.count.unwrap_or(u64::MAX);
    let mut until = None;
    while left > 0 {
        match source.advance() {
            Ok(true) => {}
            Ok(false) => break,
            Err(problem) => {
                problems.push(problem);
                break;
            }
        }
        let frame = source.frame();
        if let Some(duration) = plan.duration {
            let span = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
            if frame.time.0 > *until.get_or_insert(frame.time.0.saturating_add(span)) {
                break;
            }
        }
        left -= 1;
        let decoded = decoder.decode(&frame);
        tracker.frame(&frame, &decoded, observer);
        progress.frame(|| position(source));
    }
    tracker.finish(observer);
    progress.finish();
    (tracker, decoder.incomplete_fragments())
}

fn position<S: Source>(source: &S) -> (u64, Option<u64>) {
    source.inputs().iter().fold((0, Some(0)), |(read, total), input| {
        (read + input.bytes_read, total.zip(input.bytes_total).map(|(sum, bytes)| sum + bytes))
    })
}

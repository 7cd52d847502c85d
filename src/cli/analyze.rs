//! Frames in, report out: sources through the decoder into the tracker.
//!
//! A file that shows packets at two interfaces, as a device does that was captured on both sides, is read once more with its
//! interfaces told apart, as several captures are. Where that proves that something between them changed what passes, the
//! report is that of the second reading.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;

use super::exit::{Told, complain};
use super::follow::{Follow, Follower};
use super::frames::{Frames, Here};
#[cfg(feature = "live")]
use super::live;
use super::plan::{Plan, SourcePlan};
use super::progress::Progress;
use super::signals;
use crate::ahead::Ahead;
use crate::capture::{self, CaptureError, FileSource, InputInfo, Merge, OpenOptions, Source};
use crate::cores::cores;
use crate::frame::Timestamp;
use crate::report::TrackedReport;
use crate::track::observer::Silent;
use crate::track::{Compare, Config, Tracker};
use crate::wire::Hex;

/// With more files than this at once, none is read ahead: each that is holds some megabytes.
const FILES_READ_AHEAD: usize = 8;

/// What reading gave.
pub struct Analysis {
    /// What was learnt, from all that could be read.
    pub report: TrackedReport,
    /// Whether an input could not be read, or not to its end. The reason is on standard error already.
    pub incomplete: bool,
}

/// Reads what the plan names and analyses it. Formats that print segments (`packets`, `ndjson`) write to `out` meanwhile.
///
/// Inputs that fail are told of on standard error and left out; only where none is left is that an error.
pub fn analyze(plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Analysis> {
    match &plan.source {
        SourcePlan::Files(files) => analyze_files(files, plan, out),
        #[cfg(feature = "live")]
        SourcePlan::Live { interfaces, snaplen, write } => {
            let live_plan = live::LivePlan { interfaces, snaplen: *snaplen, write: write.as_deref() };
            if Follower::is_needed(plan) {
                let mut follower = Follower::new(plan, Vec::new(), out)?;
                let mut analysis = live::analyze(plan, &live_plan, &mut follower)?;
                analysis.incomplete |= !follower.finish(&analysis.report)?;
                return Ok(analysis);
            }
            live::analyze(plan, &live_plan, &mut Silent)
        }
        #[cfg(not(feature = "live"))]
        SourcePlan::Live { .. } => bail!("live capture needs libpcap, which this build is without (feature 'live')"),
    }
}

fn analyze_files(files: &[PathBuf], plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Analysis> {
    let options = OpenOptions { read_ahead: files.len() <= FILES_READ_AHEAD };
    let mut sources: Vec<FileSource> = Vec::with_capacity(files.len());
    let mut opened: Vec<usize> = Vec::with_capacity(files.len());
    for (place, path) in in_order(files) {
        let Ok(input) = u16::try_from(sources.len()) else { bail!("more than {} captures at once", u16::MAX) };
        match capture::open(path, input, &options) {
            Ok(source) => {
                sources.push(source);
                opened.push(place);
            }
            Err(problem) => complain(&problem.to_string()),
        }
    }
    // Frames are named by the places of their inputs among those that could be opened.
    let before = |place: &usize| opened.iter().filter(|other| *other < place).count() as u16;
    let given: Vec<u16> = opened.iter().map(before).collect();
    if sources.is_empty() {
        return Err(Told.into());
    }
    // There is something to report: what an output file had before makes room for it.
    out.flush()?;
    let left_out = sources.len() < files.len();
    let stoppers = sources.iter_mut().map(FileSource::stopper).filter_map(Result::transpose);
    signals::stop_streams(stoppers.collect::<io::Result<_>>()?)?;
    let compare = if sources.len() > 1 { Compare::Inputs } else { Compare::Nothing };
    let mut analysis = analyze_sources(sources, plan, (compare, given), out)?;
    if let [file] = files
        && analysis.report.tracker().shows_two_sides()
        && !Follower::is_needed(plan)
        && capture::can_be_read_again(file)
        && let Ok(source) = capture::open(file, 0, &options)
    {
        let apart = analyze_sources(vec![source], plan, (Compare::Interfaces, vec![0]), out)?.report;
        if apart.shows_changes_on_the_way() {
            analysis.report = apart;
        }
    }
    analysis.incomplete |= left_out;
    Ok(analysis)
}

/// Files in the order of their first frames, each with its place among those given: what is compared of the parts of a capture
/// goes by the numbers of inputs, then of frames.
fn in_order(files: &[PathBuf]) -> Vec<(usize, &PathBuf)> {
    let mut files: Vec<_> = files.iter().enumerate().collect();
    if files.len() > 1 {
        // Those of unknown time, which may be pipes, come last.
        files.sort_by_cached_key(|file| capture::first_time(file.1).unwrap_or(Timestamp(i64::MAX)));
    }
    files
}

/// Which places are compared, and the places of the inputs among those that the user gave.
type Order = (Compare, Vec<u16>);

/// Reads files together, decoded ahead where that helps.
fn analyze_sources(
    sources: Vec<FileSource>,
    plan: &Plan,
    order: Order,
    out: &mut dyn Write,
) -> anyhow::Result<Analysis> {
    match &plan.filter {
        Some(filter) => analyze_frames(Here::new(filtered(sources, filter)?), plan, order, out),
        // On a single core a thread that decodes ahead would only take turns with the one that waits for it.
        None if cores() > 1 && sources.iter().all(FileSource::is_worth_threads) => {
            let sources = sources.into_iter().map(Ahead::new).collect::<io::Result<Vec<_>>>()?;
            analyze_frames(Merge::new(sources), plan, order, out)
        }
        None => analyze_frames(Here::new(sources), plan, order, out),
    }
}

#[cfg(feature = "live")]
fn filtered<S: Source>(sources: Vec<S>, filter: &str) -> anyhow::Result<Vec<capture::Filtered<S>>> {
    Ok(sources.into_iter().map(|source| capture::Filtered::new(source, filter)).collect::<Result<_, _>>()?)
}

#[cfg(not(feature = "live"))]
fn filtered<S: Source>(_: Vec<S>, _: &str) -> anyhow::Result<Vec<S>> {
    bail!("-f needs libpcap, which this build is without (feature 'live')")
}

/// Takes all frames, and writes meanwhile if the plan says so.
fn analyze_frames(frames: impl Frames, plan: &Plan, order: Order, out: &mut dyn Write) -> anyhow::Result<Analysis> {
    if !Follower::is_needed(plan) {
        return read(frames, plan, order, &mut Silent);
    }
    let mut follower = Follower::new(plan, order.1.clone(), out)?;
    let mut analysis = read(frames, plan, order, &mut follower)?;
    analysis.incomplete |= !follower.finish(&analysis.report)?;
    Ok(analysis)
}

/// Reads to the end, or as far as the plan says. Only what is written meanwhile can fail.
fn read<F: Follow>(
    mut frames: impl Frames,
    plan: &Plan,
    (compare, given): Order,
    follower: &mut F,
) -> anyhow::Result<Analysis> {
    let mut tracker =
        Tracker::new(Config { keys: plan.keys.clone(), pairs: plan.pairs.clone(), compare, ..Config::default() });
    let mut progress = Progress::new(plan.quiet);
    let limit = plan.count.unwrap_or(u64::MAX);
    let patience = plan.duration.map_or(u64::MAX, |duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let mut began = None;
    // Inputs known to be at their end.
    let mut ended = 0;
    // The last frame taken of each input.
    let mut taken = vec![0; frames.merge().sources().len()];
    let stopped = loop {
        if tracker.counts.packets >= limit {
            break true;
        }
        if !frames.advance() {
            break false;
        }
        while let Some(&input) = frames.merge().ended().get(ended) {
            tracker.input_ended(input as u16);
            ended += 1;
        }
        let go_on = frames.show(|frame, decoded, options, inputs| {
            if frame.time.since(*began.get_or_insert(frame.time)) > patience {
                return Ok(false);
            }
            if let Some(last) = taken.get_mut(usize::from(frame.id.input)) {
                *last = frame.id.number.max(*last);
            }
            let assigned = tracker.frame_with(frame, decoded, options, follower);
            follower.after(frame, decoded, assigned, &tracker, inputs).map(|()| true)
        })?;
        if !go_on {
            break true;
        }
        if frames.merge().is_dry() {
            follower.flush()?;
        }
        progress.frame(|| position(&frames.merge().inputs()));
    };
    tracker.finish(follower);
    progress.finish();
    let merge = frames.merge();
    let mut inputs: Vec<InputInfo> = merge.inputs().into_iter().cloned().collect();
    if stopped {
        // The merge has looked at frames that were not taken.
        inputs.iter_mut().zip(taken).for_each(|(input, last)| input.packets = last);
    }
    // A further reading has nothing new to say of that.
    let incomplete = compare != Compare::Interfaces && tell_of_faults(merge.problems(), &inputs, plan, &tracker);
    let report = TrackedReport::new(tracker, inputs, frames.incomplete_fragments()).with_order(given);
    Ok(Analysis { report, incomplete })
}

/// Tells what is wrong with the inputs, or with what they were to be read with; true if something of an input is missing.
fn tell_of_faults(problems: &[CaptureError], inputs: &[InputInfo], plan: &Plan, tracker: &Tracker) -> bool {
    // Connections that left before the end may have been those.
    if !plan.quiet && tracker.counts.left.total() == 0 {
        for key in tracker.keys_that_fit_nothing() {
            complain(&format!("--key {} is the key of no connection here", Hex(&key.0)));
        }
    }
    for problem in problems {
        complain(&problem.to_string());
    }
    !problems.is_empty() || complain_of_undecoded(inputs, tracker)
}

/// Tells of inputs of which no frame could be decoded, if there are any. Where some could be, the report tells of the others.
fn complain_of_undecoded(inputs: &[InputInfo], tracker: &Tracker) -> bool {
    let mut any = false;
    for (index, input) in inputs.iter().enumerate() {
        let unknown = tracker.undecoded.iter().filter(|unknown| usize::from(unknown.input) == index);
        let links: Vec<String> = unknown.clone().map(|unknown| unknown.link.to_string()).collect();
        if !links.is_empty() && unknown.map(|unknown| unknown.packets).sum::<u64>() == input.packets {
            complain(&format!("{}: no frame could be decoded (link type {})", input.name, links.join(", ")));
            any = true;
        }
    }
    any
}

/// Bytes read of all inputs and, if every size is known, bytes in all.
fn position(inputs: &[&InputInfo]) -> (u64, Option<u64>) {
    let read = inputs.iter().map(|input| input.bytes_read).sum();
    (read, inputs.iter().map(|input| input.bytes_total).sum())
}

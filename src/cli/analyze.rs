//! Frames in, report out: sources through the decoder into the tracker.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::exit::{Told, complain};
use super::plan::{Plan, SourcePlan};
use super::progress::Progress;
use crate::capture::{self, FileSource, InputInfo, Merge, OpenOptions, Source};
use crate::frame::Timestamp;
use crate::packet::{Decoded, Decoder};
use crate::report::Report;
use crate::report::model::{self, CaptureSummary};

/// With more files than this at once, none is read ahead: each that is holds some megabytes.
const FILES_READ_AHEAD: usize = 16;

/// What reading gave.
pub struct Analysis {
    /// What was learnt, from all that could be read.
    pub report: Box<dyn Report>,
    /// Whether an input could not be read, or not to its end. The reason is on standard error already.
    pub incomplete: bool,
}

/// Reads what the plan names and analyses it. Formats that print segments (`packets`, `ndjson`) write to `out` meanwhile.
///
/// Inputs that fail are told of on standard error and left out; only where none is left is that an error.
pub fn analyze(plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Analysis> {
    match &plan.source {
        SourcePlan::Files(files) => analyze_files(files, plan, out),
        // PLUG IN: one capture::live source per interface, Merge, Reader::read; Ctrl-C sets a flag that stops it.
        SourcePlan::Live { .. } => bail!("PLUG IN: live capture"),
    }
}

fn analyze_files(files: &[PathBuf], plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Analysis> {
    let options = OpenOptions { read_ahead: files.len() <= FILES_READ_AHEAD };
    let mut sources: Vec<FileSource> = Vec::with_capacity(files.len());
    for path in files {
        let Ok(input) = u16::try_from(sources.len()) else { bail!("more than {} captures at once", u16::MAX) };
        match capture::open(Path::new(path), input, &options) {
            Ok(source) => sources.push(source),
            Err(problem) => complain(&problem.to_string()),
        }
    }
    if sources.is_empty() {
        return Err(Told.into());
    }
    let left_out = sources.len() < files.len();
    let mut reader = Reader::new(plan, sources.len());
    let (inputs, damaged) = match &plan.filter {
        None => reader.read(Merge::new(sources), plan, out)?,
        Some(filter) => reader.read(Merge::new(filtered(sources, filter)?), plan, out)?,
    };
    Ok(Analysis { report: reader.report(inputs), incomplete: left_out || damaged })
}

#[cfg(feature = "live")]
fn filtered<S: Source>(sources: Vec<S>, filter: &str) -> anyhow::Result<Vec<capture::Filtered<S>>> {
    Ok(sources.into_iter().map(|source| capture::Filtered::new(source, filter)).collect::<Result<_, _>>()?)
}

#[cfg(not(feature = "live"))]
fn filtered<S: Source>(_: Vec<S>, _: &str) -> anyhow::Result<Vec<S>> {
    bail!("-f needs libpcap, which this build is without (feature 'live')")
}

/// Everything between the sources and the report.
struct Reader {
    decoder: Decoder,
    // PLUG IN: tracker: Tracker::new(config from plan.keys, several_inputs)
    summary: CaptureSummary,
}

impl Reader {
    fn new(_plan: &Plan, _inputs: usize) -> Self {
        Self { decoder: Decoder::new(), summary: CaptureSummary::default() }
    }

    /// Reads to the end, or as far as the plan says. Gives what is known of the inputs, and whether one is damaged.
    fn read<S: Source>(
        &mut self,
        mut merge: Merge<S>,
        plan: &Plan,
        _out: &mut dyn Write,
    ) -> anyhow::Result<(Vec<model::Input>, bool)> {
        let mut progress = Progress::new(plan.quiet);
        let limit = plan.count.unwrap_or(u64::MAX);
        let patience =
            plan.duration.map_or(u64::MAX, |duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        let mut began: Option<Timestamp> = None;
        while self.summary.packets < limit && merge.advance()? {
            let frame = merge.frame();
            if frame.time.since(*began.get_or_insert(frame.time)) > patience {
                break;
            }
            let CaptureSummary { first, last, packets, tcp_segments, skipped, .. } = &mut self.summary;
            *packets += 1;
            *first = Some(first.map_or(frame.time, |first| first.min(frame.time)));
            *last = Some(last.map_or(frame.time, |last| last.max(frame.time)));
            match self.decoder.decode(&frame) {
                // PLUG IN: self.tracker.segment(&frame, &segment)
                Decoded::Tcp(_segment) => *tcp_segments += 1,
                Decoded::NotIp => skipped.not_ip += 1,
                Decoded::NotTcp => skipped.not_tcp += 1,
                Decoded::Malformed(_) => skipped.malformed += 1,
                Decoded::FragmentHeld => {}
            }
            progress.frame(|| position(&merge.inputs()));
        }
        progress.finish();
        self.summary.skipped.fragments_incomplete = self.decoder.incomplete_fragments();
        for problem in merge.problems() {
            complain(&problem.to_string());
        }
        let inputs = merge.inputs().into_iter().map(input).collect();
        Ok((inputs, !merge.problems().is_empty()))
    }

    fn report(self, inputs: Vec<model::Input>) -> Box<dyn Report> {
        // PLUG IN: the builder, from the tracker.
        let header = model::Header {
            schema: model::SCHEMA,
            tool: concat!("mptcp-inspect ", env!("CARGO_PKG_VERSION")).to_owned(),
            inputs,
            capture: self.summary,
            tcp_connections: model::TcpConnections::default(),
        };
        Box::new(HeaderOnly(header))
    }
}

/// Bytes read of all inputs and, if every size is known, bytes in all.
fn position(inputs: &[&InputInfo]) -> (u64, Option<u64>) {
    let read = inputs.iter().map(|input| input.bytes_read).sum();
    (read, inputs.iter().map(|input| input.bytes_total).sum())
}

fn input(info: &InputInfo) -> model::Input {
    let interfaces = info.interfaces.iter().map(|interface| model::Interface {
        name: interface.name.clone(),
        link_type: interface.link.to_string(),
        snaplen: interface.snaplen,
    });
    model::Input {
        name: info.name.clone(),
        kind: info.kind.as_str(),
        interfaces: interfaces.collect(),
        packets: info.packets,
        cut_after: info.cut_after,
        dropped: info.dropped,
    }
}

/// Stands in for the builder's report.
struct HeaderOnly(model::Header);

impl Report for HeaderOnly {
    fn header(&self) -> model::Header {
        self.0.clone()
    }
    fn connection_count(&self) -> usize {
        0
    }
    fn connection(&self, _: usize) -> model::Connection {
        unreachable!("there are none")
    }
    fn summary(&self, _: usize) -> crate::report::Summary {
        crate::report::Summary::default()
    }
    fn orphans(&self) -> Vec<model::Orphans> {
        vec![]
    }
    fn findings(&self) -> Vec<model::Finding> {
        vec![]
    }
}

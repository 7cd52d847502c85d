//! Frames in, report out: sources through the decoder into the tracker.

use std::io::Write;

use anyhow::bail;

use super::exit::complain;
use super::plan::{Plan, SourcePlan};
use super::progress::Progress;
use crate::report::{Report, model};

/// What reading gave.
pub struct Analysis {
    /// What was learnt, from all that could be read.
    pub report: Box<dyn Report>,
    /// Whether an input could not be read, or not to its end. The reason is on standard error already.
    pub incomplete: bool,
}

/// Reads what the plan names and analyses it. Formats that print segments (`packets`, `ndjson`) write to `out` meanwhile.
///
/// Inputs that fail are told of and left out; only where none is left is that an error.
pub fn analyze(plan: &Plan, _out: &mut dyn Write) -> anyhow::Result<Analysis> {
    // PLUG IN: capture::open per file (live: capture::live per interface), capture::Merge, packet::Decoder, track::Tracker.
    let SourcePlan::Files(files) = &plan.source else {
        bail!("PLUG IN: live capture");
    };
    let mut progress = Progress::new(plan.quiet);
    let mut readable = 0;
    for path in files {
        let opened = std::fs::File::open(path).and_then(|file| {
            if file.metadata()?.is_dir() { Err(std::io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
        });
        match opened {
            Ok(_) => readable += 1,
            Err(error) => complain(&format!("{}: {error}", path.display())),
        }
        progress.frame(|| (0, None));
    }
    progress.finish();
    if readable == 0 {
        return Err(super::exit::Told.into());
    }
    Ok(Analysis { report: Box::new(Stub), incomplete: readable < files.len() })
}

struct Stub;

impl Report for Stub {
    fn header(&self) -> model::Header {
        model::Header {
            schema: model::SCHEMA,
            tool: concat!("mptcp-inspect ", env!("CARGO_PKG_VERSION")).to_owned(),
            inputs: vec![],
            capture: model::CaptureSummary::default(),
            tcp_connections: model::TcpConnections::default(),
        }
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

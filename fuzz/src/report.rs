//! A capture file through the whole pipeline to every output: one byte says how to print, the rest is the file.

use std::io::Cursor;

use mptcp_inspect::capture::{self, OpenOptions, Source};
use mptcp_inspect::packet::Decoder;
use mptcp_inspect::report::style::Look;
use mptcp_inspect::report::{Report, Selection, TrackedReport, table, tree};
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};

use super::invariants;

/// Frames read of one input.
const FRAMES: usize = 2000;

/// Reads, tracks, checks and prints it.
pub fn run(input: &[u8]) {
    let Some((&how, file)) = input.split_first() else { return };
    let Some(report) = analyze(file) else { return };
    invariants::check(&report);
    print(&report, how);
}

/// The report on a capture file's bytes.
pub fn analyze(file: &[u8]) -> Option<TrackedReport> {
    let options = OpenOptions { read_ahead: false };
    let mut source = capture::read("fuzz", Cursor::new(file.to_vec()), 0, &options).ok()?;
    let mut tracker = Tracker::new(Config::default());
    let mut decoder = Decoder::new();
    for _ in 0..FRAMES {
        if !matches!(source.advance(), Ok(true)) {
            break;
        }
        let frame = source.frame();
        tracker.frame(&frame, &decoder.decode(&frame), &mut Silent);
    }
    tracker.finish(&mut Silent);
    let inputs = source.inputs().into_iter().cloned().collect();
    Some(TrackedReport::new(tracker, inputs, decoder.incomplete_fragments()))
}

/// Prints it as tree and table: what reaches a terminal has no control characters but line ends, and no line is wider than
/// asked for where that can be kept.
pub fn print(report: &TrackedReport, how: u8) {
    let width = [1, 20, 40, 80, 100, 132, 400, usize::MAX][usize::from(how & 7)];
    let look = Look { width, unicode: how & 8 != 0, color: false, verbose: how & 16 != 0 };
    let limit = if how & 32 == 0 { None } else { Some(1) };
    let selection = Selection::new(report, &[], limit);
    assert_eq!(selection.indices.len() + selection.hidden, report.connection_count());
    let mut text = Vec::new();
    tree::write(&mut text, report, &selection, look, how & 64 != 0).expect("a vector takes all");
    table::write(&mut text, report, &selection, look).expect("a vector takes all");
    let text = String::from_utf8(text).expect("outputs are UTF-8");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(look.unicode || text.is_ascii(), "{text}");
    let mut colored = Vec::new();
    tree::write(&mut colored, report, &selection, Look { color: true, ..look }, true).expect("a vector takes all");
}

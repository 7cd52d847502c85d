//! Findings: each fires where it should and not where something similar happens, on real captures and on scripted ones.
//!
//! Expectations for captures were reviewed against each capture's `truth.json` (what sockets, kernels and applications said);
//! counters are compared with the kernels' own.
#[path = "../script/mod.rs"]
mod script;
#[path = "../support/mod.rs"]
mod support;

mod captures;
mod scripted;
mod verdicts;

use mptcp_inspect::capture::{InputInfo, Kind};
use mptcp_inspect::diagnose::rules;
use mptcp_inspect::report::{Report, TrackedReport};
use mptcp_inspect::track::{Config, Tracker};

#[test]
fn every_finding_is_tested() {
    let here = ["capture-dropped-packets"];
    let tested = captures::FIRES.iter().map(|case| case.0).chain(scripted::FIRES.iter().copied()).chain(here);
    let tested: std::collections::BTreeSet<&str> = tested.collect();
    let all: std::collections::BTreeSet<&str> = rules::all().map(|rule| rule.id).collect();
    assert_eq!(tested, all);
}

/// `capture-dropped-packets` fires when the kernel dropped packets of a live run, and not when it dropped none.
#[test]
fn dropped_packets_are_told_and_their_absence_is_not() {
    let found = |dropped| {
        let input = InputInfo {
            name: "enp0s9".to_owned(),
            kind: Kind::Live,
            interfaces: Vec::new(),
            packets: 10,
            cut_after: None,
            dropped,
            bytes_read: 0,
            bytes_total: None,
        };
        let report = TrackedReport::new(Tracker::new(Config::default()), vec![input], 0);
        report.findings().iter().map(|finding| finding.id).collect::<Vec<_>>()
    };
    assert_eq!(found(Some(3)), ["capture-dropped-packets"]);
    assert!(found(Some(0)).is_empty());
    assert!(found(None).is_empty());
}

#[test]
fn the_document_is_in_step() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnose/FINDINGS.md");
    let mut text = Vec::new();
    mptcp_inspect::diagnose::document::write(&mut text).expect("memory");
    let kept = std::fs::read_to_string(&path).expect("FINDINGS.md");
    let made = String::from_utf8(text).expect("UTF-8");
    for rule in rules::all() {
        assert!(made.contains(&format!("\n### `{}`\n", rule.id)), "{} is left out", rule.id);
    }
    assert_eq!(kept, made, "write it anew: mptcp-inspect --generate findings > src/diagnose/FINDINGS.md");
}

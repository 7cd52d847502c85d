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

use mptcp_inspect::diagnose::rules;

#[test]
fn every_finding_is_tested() {
    let tested = captures::FIRES.iter().map(|case| case.0).chain(scripted::FIRES.iter().copied());
    let tested: std::collections::BTreeSet<&str> = tested.collect();
    let all: std::collections::BTreeSet<&str> = rules::all().map(|rule| rule.id).collect();
    assert_eq!(tested, all);
}

#[test]
fn the_document_is_in_step() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnose/FINDINGS.md");
    let mut text = Vec::new();
    mptcp_inspect::diagnose::document::write(&mut text).expect("memory");
    let kept = std::fs::read_to_string(&path).expect("FINDINGS.md");
    let made = String::from_utf8(text).expect("UTF-8");
    assert_eq!(kept, made, "write it anew: mptcp-inspect --generate findings > src/diagnose/FINDINGS.md");
}

//! What each output makes of reports made by hand. The snapshots are meant to be read.
#![cfg(feature = "cli")]

mod sample;

use mptcp_inspect::model::ConnectionFilter;
use mptcp_inspect::report::style::Look;
use mptcp_inspect::report::{Selection, json, table, tree};
use sample::Sample;

/// Connections shown unless all are asked for.
const LIMIT: Option<usize> = Some(20);

fn tree_of(sample: &Sample, look: Look) -> String {
    let mut out = Vec::new();
    tree::write(&mut out, sample, &Selection::new(sample, &[], LIMIT), look, false).unwrap();
    String::from_utf8(out).unwrap()
}

fn table_of(sample: &Sample, look: Look) -> String {
    let mut out = Vec::new();
    table::write(&mut out, sample, &Selection::new(sample, &[], LIMIT), look).unwrap();
    String::from_utf8(out).unwrap()
}

fn json_of(sample: &Sample, filters: &[ConnectionFilter]) -> String {
    let mut out = Vec::new();
    json::write(&mut out, sample, filters).unwrap();
    String::from_utf8(out).unwrap()
}

fn look(width: usize) -> Look {
    Look { width, ..Look::default() }
}

#[test]
fn tree_of_a_healthy_connection() {
    insta::assert_snapshot!(tree_of(&sample::healthy(), look(100)));
}

#[test]
fn tree_at_80_columns() {
    insta::assert_snapshot!(tree_of(&sample::troubled(), look(80)));
}

#[test]
fn tree_at_120_columns() {
    insta::assert_snapshot!(tree_of(&sample::troubled(), look(120)));
}

#[test]
fn tree_at_200_columns() {
    insta::assert_snapshot!(tree_of(&sample::troubled(), look(200)));
}

#[test]
fn tree_in_detail() {
    insta::assert_snapshot!(tree_of(&sample::troubled(), Look { verbose: true, ..look(120) }));
}

#[test]
fn tree_in_ascii() {
    let tree = tree_of(&sample::troubled(), Look { unicode: false, ..look(80) });
    assert!(tree.is_ascii());
    insta::assert_snapshot!(tree);
}

#[test]
fn tree_in_colour() {
    let colored = tree_of(&sample::troubled(), Look { color: true, ..look(100) });
    insta::assert_snapshot!(colored.replace('\u{1b}', "ESC"));
    // Colours add nothing but colours.
    assert_eq!(without_escapes(&colored), tree_of(&sample::troubled(), look(100)));
}

#[test]
fn tree_of_many_connections_shows_the_most_interesting() {
    let tree = tree_of(&sample::many(15_000), look(100));
    assert_eq!(tree.lines().filter(|line| line.starts_with('#')).count(), 20);
    assert!(tree.contains("\n#15000 "), "the one with an error");
    assert!(tree.contains("… 14,980 more connections (--all shows them)"));
    insta::assert_snapshot!(tree.lines().take(18).collect::<Vec<_>>().join("\n"));
}

#[test]
fn tree_of_nothing() {
    insta::assert_snapshot!(tree_of(&sample::empty(), look(100)));
}

#[test]
fn every_width_shows_every_word() {
    let words = |text: &str| {
        let mut words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || matches!(c, '│' | '├' | '└' | '─'))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        words.sort();
        words
    };
    let wide = words(&tree_of(&sample::troubled(), look(1000)));
    for width in [40, 60, 72, 80, 100, 120, 160, 200] {
        let narrow = tree_of(&sample::troubled(), look(width));
        assert_eq!(words(&narrow), wide, "at {width} columns");
        if width >= 72 {
            for line in narrow.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn table_at_three_widths() {
    let sample = sample::troubled();
    let tables: Vec<String> = [60, 80, 120, 200].iter().map(|&width| table_of(&sample, look(width))).collect();
    insta::assert_snapshot!(tables.join("\n"));
}

#[test]
fn a_token_names_connections_and_orphans() {
    let sample = sample::troubled();
    let choose = |id: &str| Selection::new(&sample, &[id.parse().unwrap()], LIMIT);
    assert_eq!(choose("#3").indices, [2]);
    assert_eq!(choose("b4eba729").indices, [0, 1]);
    let orphan = choose("11223344");
    assert_eq!((orphan.indices.len(), orphan.orphan_joins, orphan.unmatched.len()), (0, 1, 0));
    assert_eq!(orphan.orphans(&sample).len(), 1);
    assert_eq!(choose("99999999").unmatched.len(), 1);
}

#[test]
fn joins_without_connection_beyond_the_limit_are_counted() {
    let limit = mptcp_inspect::limits::ORPHAN_JOINS;
    let sample = sample::guessed(limit as u32 + 5);
    let said = |text: &str, line: &str| text.lines().any(|other| other == line);
    let tree = tree_of(&sample, look(120));
    assert!(tree.contains("; 16,389 joins without connection"), "{tree}");
    assert!(said(&tree, "… 5 more joins without connection, beyond a limit"), "{tree}");
    let table = table_of(&sample, look(120));
    assert!(said(&table, "… 16,349 more joins without connection (see --format json)"), "{table}");
    let report = |filters: &[ConnectionFilter]| -> serde_json::Value {
        serde_json::from_str(&json_of(&sample, filters)).unwrap()
    };
    let all = report(&[]);
    assert_eq!(all["orphans"].as_array().map(Vec::len), Some(limit));
    assert_eq!(all["orphans_left_out"], serde_json::json!({ "joins": 5 }));
    // Asked for by its token, one beyond the limit is listed.
    let last = report(&["00004004".parse().unwrap()]);
    assert_eq!(last["orphans"][0]["token"], "00004004");
    assert_eq!(last.get("orphans_left_out"), None);
    let few = sample::guessed(3);
    assert!(!tree_of(&few, look(120)).contains("limit"));
}

#[test]
fn json_has_the_shape_of_the_contract() {
    insta::assert_snapshot!(json_of(&sample::healthy(), &[]));
}

#[test]
fn json_holds_only_the_connections_asked_for() {
    let sample = sample::troubled();
    let ids = |filters: &[&str]| -> Vec<u64> {
        let filters: Vec<ConnectionFilter> = filters.iter().map(|filter| filter.parse().unwrap()).collect();
        let report: serde_json::Value = serde_json::from_str(&json_of(&sample, &filters)).unwrap();
        report["connections"].as_array().unwrap().iter().map(|c| c["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(&[]), [1, 2, 3, 4, 5]);
    assert_eq!(ids(&["4", "2"]), [2, 4]);
    assert_eq!(ids(&["8e000fd1"]), [3]);
    assert_eq!(ids(&["55667788"]), [5]);
    assert_eq!(ids(&["b4eba729"]), [1, 2]);
    assert_eq!(ids(&["99"]), [0_u64; 0]);
}

/// The text without ANSI escape sequences.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain + rest
}

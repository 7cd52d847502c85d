//! What the program concludes of every capture: kept in one snapshot a folder, reviewed against its `truth.json`, and held
//! against what of the truth a program can read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::captures::findings;
use crate::support::{self, Complaints, Folder, file_name, list, text};

/// Folders whose files are one traffic in several forms, or parts of it: given together they are no further case.
const FORMS: &[&str] = &["27-snaplen96", "28-mid-start", "29-formats", "52-encaps"];
/// Connections from which on a capture is told in counts.
const MANY: usize = 8;
/// Parts of the names of kernel counters that something raises which went wrong, or ended in another way than it should.
const TROUBLE: &[&str] = &[
    "SYNTXDrop",
    "Fallback",
    "Fail",
    "Infinite",
    "Fastclose",
    "MPRst",
    "NoToken",
    "NoMPJoin",
    "Rejected",
    "CsumErr",
    "DssReset",
    "FASTCLOSE",
    "RemoveAddrSubDelete",
];

/// Folders kept here with fewer files than their originals.
const IN_PART: &[&str] = &["11e-alg-insert-single", "27-snaplen96"];
/// Folders in which something went wrong that the kernels do not count, and what.
const UNCOUNTED: &[(&str, &str)] = &[("23b-reuseport-short", "version 0 refuses joins to connections that close")];

/// Files and their report.
type Case = (Vec<PathBuf>, Value);

/// Each file alone, and all views of the traffic together.
fn cases(folder: &Folder) -> Vec<Case> {
    let files = folder.captures();
    let mut sets: Vec<Vec<PathBuf>> = files.iter().map(|file| vec![file.clone()]).collect();
    let ends = ["client-any.pcap", "server-any.pcap"].map(|name| folder.path.join(name));
    if files.len() > 2 && ends.iter().all(|end| files.contains(end)) {
        sets.push(ends.to_vec());
    }
    if files.len() > 1 && !FORMS.contains(&folder.scenario()) && folder.name != "shared/public" {
        sets.push(files);
    }
    sets.into_iter().map(|files| (files.clone(), support::report(&files, &[]))).collect()
}

/// `v1-01-single`: of a folder kept here and its original beside the checkout only one is read where they are the same.
fn folders() -> Vec<(String, Folder)> {
    let mut named: BTreeMap<String, Folder> = BTreeMap::new();
    for folder in support::folders() {
        let (place, name) = folder.name.split_once('/').expect("a folder");
        assert!(["testdata", "shared"].contains(&place), "{place}");
        let in_part = place == "testdata" && IN_PART.contains(&folder.scenario());
        let cut = if folder.is_cut() || in_part { "-cut" } else { "" };
        named.entry(format!("{}{cut}", name.replace('/', "-"))).or_insert(folder);
    }
    named.into_iter().collect()
}

#[test]
fn every_capture_has_a_reviewed_verdict() {
    let mut complaints = Complaints::default();
    for (name, folder) in folders() {
        let cases = cases(&folder);
        let mut told: Vec<(String, String)> = Vec::new();
        for (files, report) in &cases {
            let files = files.iter().map(|file| file_name(file)).collect::<Vec<_>>().join(" + ");
            let verdict = verdict(report);
            match told.iter_mut().find(|known| known.1 == verdict) {
                Some(known) => known.0 += &format!(", {files}"),
                None => told.push((files, verdict)),
            }
        }
        let text = told.iter().map(|(files, verdict)| [files.as_str(), "\n", verdict].concat()).collect::<String>();
        let settings = insta::Settings::clone_current();
        settings.bind(|| {
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots/verdicts" }, {
                insta::assert_snapshot!(name.as_str(), text);
            });
        });
        agrees_with_truth(&mut complaints, &folder, &cases);
    }
    assert!(complaints.0.is_empty(), "{}", complaints.0.join("\n"));
}

/// What `truth.json` says in fields, whatever the snapshot says.
fn agrees_with_truth(complaints: &mut Complaints, folder: &Folder, cases: &[Case]) {
    let Some(raised) = raised(folder) else { return };
    let name = &folder.name;
    let intact = list(&folder.truth["connections"]).iter().all(|connection| connection["intact"] != false);
    let uncounted = UNCOUNTED.iter().any(|known| known.0 == folder.scenario());
    let troubled =
        uncounted || !intact || raised.keys().any(|counter| TROUBLE.iter().any(|part| counter.contains(part)));
    let severe = |(_, report): &Case| findings(report).into_iter().find(|finding| finding["severity"] != "note");
    if !troubled {
        for case in cases {
            let finding = severe(case);
            complaints
                .check(finding.is_none(), || format!("no end counted trouble in {name}; {:?}: {finding:?}", case.0));
        }
    } else if !folder.is_cut() {
        let told = cases.iter().any(|case| !findings(&case.1).is_empty());
        complaints.check(told, || format!("nothing is found in {name}, where the ends counted {raised:?}"));
    }
    for (files, report) in cases {
        for connection in list(&report["connections"]) {
            let counter = text(&connection["fallback"]["counter"]).trim_start_matches("MPTcpExt");
            let counted = counter.is_empty() || raised.contains_key(counter);
            complaints.check(counted, || format!("{counter} in {files:?}: {raised:?}"));
        }
    }
}

/// The counters that both kernels raised, without their prefix; `None` where the truth has none.
fn raised(folder: &Folder) -> Option<BTreeMap<String, u64>> {
    let ends = ["client", "server"];
    let of_end = |end: &&str| {
        let v1 = folder.truth["nstat"][end].as_object();
        v1.or_else(|| folder.truth["counters"][end]["mptcp"].as_object())
    };
    let tables: Vec<_> = ends.iter().filter_map(of_end).collect();
    let counted = tables.iter().flat_map(|table| table.iter()).filter_map(|(name, count)| {
        let count = count.as_u64().filter(|count| *count > 0)?;
        Some((name.trim_start_matches("MPTcpExt").to_owned(), count))
    });
    (!tables.is_empty()).then(|| counted.collect())
}

/// What is concluded, one line each.
fn verdict(report: &Value) -> String {
    let mut out = String::new();
    let connections = list(&report["connections"]);
    if connections.len() > MANY {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for connection in connections {
            *counts.entry(in_short(connection)).or_default() += 1;
        }
        for (what, count) in counts {
            let _ = writeln!(out, "  {count} × {what}");
        }
    } else {
        for found in connections {
            connection(&mut out, found);
        }
    }
    for group in list(&report["orphans"]) {
        for join in list(&group["subflows"]).iter().take(MANY) {
            let _ = writeln!(out, "  join without connection, token {}: {}", text(&group["token"]), subflow(join));
        }
    }
    for found in list(&report["findings"]) {
        finding(&mut out, "  ", found);
    }
    if out.is_empty() { "  nothing\n".to_owned() } else { out }
}

/// Without frames and numbers.
fn in_short(connection: &Value) -> String {
    let mut words = format!("{}, {}", text(&connection["outcome"]), text(&connection["close"]));
    let states: Vec<&str> = list(&connection["subflows"]).iter().map(|subflow| text(&subflow["state"])).collect();
    let _ = write!(words, "; subflows {}", states.join(", "));
    for finding in list(&connection["findings"]) {
        let _ = write!(words, "; {} {}", text(&finding["severity"]), text(&finding["id"]));
    }
    words
}

fn connection(out: &mut String, found: &Value) {
    let fallback = &found["fallback"];
    let fallback = fallback["cause"].as_str().map_or_else(String::new, |cause| {
        let by = fallback["by"].as_str().unwrap_or("cannot tell");
        let counter = fallback["counter"].as_str().unwrap_or("no counter");
        format!(": {cause}, by {by}, at {}, {counter}", fallback["frame"])
    });
    let (outcome, close) = (text(&found["outcome"]), text(&found["close"]));
    let _ = writeln!(out, "  #{} v{} {outcome}{fallback}; {close}", found["id"], found["version"]);
    for address in list(&found["addresses"]) {
        let hmac = address["hmac"]["verdict"].as_str().unwrap_or("without HMAC");
        let frame = |at: &Value| if at.is_null() { "never".to_owned() } else { format!("at {}", at["frame"]) };
        let _ = writeln!(
            out,
            "    {} announced {} id {} at {}, sent {}, {hmac}, echoed {}, removed {}",
            text(&address["by"]),
            text(&address["address"]),
            address["id"],
            address["frame"],
            address["sent"],
            frame(&address["echoed"]),
            frame(&address["removed"]),
        );
    }
    for view in list(&found["views"]) {
        let fallback = view["fallback"]["cause"].as_str().unwrap_or("no fallback");
        let input = text(&view["input"]).rsplit('/').next().unwrap_or_default();
        let differences: Vec<&str> = list(&view["differences"]).iter().map(text).collect();
        let mptcp = if view["shows_mptcp"] == true { "" } else { ", shows no MPTCP" };
        let _ = writeln!(
            out,
            "    view {input}, nearer to the {}: {}, {fallback}, {}{mptcp} [{}]",
            text(&view["nearer_to"]),
            text(&view["outcome"]),
            text(&view["close"]),
            differences.join(", ")
        );
    }
    for found in list(&found["subflows"]) {
        let _ = writeln!(out, "    {}: {}", found["id"], subflow(found));
    }
    for found in list(&found["findings"]) {
        finding(out, "    ", found);
    }
}

fn subflow(found: &Value) -> String {
    let mut words = text(&found["state"]).to_owned();
    let reset = &found["reset"];
    if !reset.is_null() {
        let by = reset["by"].as_str().unwrap_or("?");
        let _ = write!(words, ", reset by {by} at {} reason {}", reset["frame"], reset["reason"]);
    }
    for change in list(&found["backup"]["changes"]) {
        let _ = write!(words, ", {} backup {} at {}", text(&change["by"]), change["backup"], change["frame"]);
    }
    words
}

fn finding(out: &mut String, indent: &str, found: &Value) {
    let frames: Vec<String> = list(&found["frames"]).iter().take(8).map(Value::to_string).collect();
    let subflow = found["subflow"].as_u64().map_or_else(String::new, |subflow| format!(" on {subflow}"));
    let (severity, id, message) = (text(&found["severity"]), text(&found["id"]), text(&found["message"]));
    let _ = writeln!(out, "{indent}{severity} {id}{subflow} [{}] {message}", frames.join(", "));
}

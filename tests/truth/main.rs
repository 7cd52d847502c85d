//! Judges the report of the real program by what sockets, kernels and applications said of the same traffic.
//!
//! One test for each file, or set of files of one vantage point, of each capture folder. The expected values come from
//! `truth.json` alone (`expected.rs`); where it does not hold word for word, `exceptions.rs` says why.
#[path = "../support/mod.rs"]
mod support;

mod exceptions;
mod expected;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use exceptions::Exception;
use expected::{Case, Connection, Join, Stream};
use serde_json::Value;
use support::{Complaints, DIRECTIONS, four_tuple, four_tuples, list, socket, text};

fn main() -> ExitCode {
    let cases = support::folders().into_iter().flat_map(|folder| expected::cases(&folder));
    let mut tests: Vec<_> =
        cases.map(|case| libtest_mimic::Trial::test(case.name.clone(), move || judge(&case))).collect();
    tests.push(libtest_mimic::Trial::test("truth::backup_changes_of_08_mp_prio_small", backup_changes));
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), tests).exit_code()
}

fn judge(case: &Case) -> Result<(), libtest_mimic::Failed> {
    let extracted = tempfile::tempdir()?;
    let directory = extracted.path().to_str().expect("UTF-8");
    let report = support::report(&case.files, &["--extract", directory]);
    let mut complaints = Complaints::default();
    let c = &mut complaints;

    c.equal("schema", text(&report["schema"]), "mptcp-inspect/report/1");
    if let Some(packets) = case.packets {
        c.equal("capture.packets", report["capture"]["packets"].as_u64(), Some(packets));
    }
    if let Some(segments) = case.tcp_segments {
        let counted =
            ["tcp_segments", "duplicates"].map(|field| report["capture"][field].as_u64().unwrap_or(0)).iter().sum();
        c.equal("capture.tcp_segments + capture.duplicates", counted, segments);
    }
    match case.exception {
        Some(Exception::KeysUnseen) => judge_without_keys(c, &report),
        Some(Exception::MidStart) => judge_mid_start(c, case, &report, extracted.path()),
        Some(Exception::ServerOnly) => judge_server_only(c, case, &report),
        _ => judge_connections(c, case, &report, extracted.path()),
    }
    complaints.verdict()
}

fn judge_connections(c: &mut Complaints, case: &Case, report: &Value, extracted: &Path) {
    let connections = list(&report["connections"]);
    c.equal("number of connections", connections.len(), case.connections.len());
    for expected in &case.connections {
        let Some(found) = connections.iter().find(|found| is_it(expected, found)) else {
            let have: Vec<_> =
                connections.iter().map(|found| (&found["client"]["token"], &found["server"]["token"])).collect();
            c.0.push(format!(
                "connection {} > {} {:?} is missing; the report has {have:?}",
                expected.client, expected.server, expected.tokens
            ));
            continue;
        };
        judge_connection(c, case, expected, found, extracted);
    }
    judge_totals(c, case, report);
}

/// The same 4-tuple, and, since ports are reused, the same tokens where they are known.
fn is_it(expected: &Connection, found: &Value) -> bool {
    let same_token =
        |end: &str, token: &Option<String>| token.as_ref().is_none_or(|token| found[end]["token"] == **token);
    !found["client"]["address"].is_null()
        && socket(&found["client"]) == expected.client
        && same_token("client", &expected.tokens[0])
        && same_token("server", &expected.tokens[1])
}

fn judge_connection(c: &mut Complaints, case: &Case, expected: &Connection, found: &Value, extracted: &Path) {
    let id = &found["id"];
    c.equal(&format!("connection {id}: server"), socket(&found["server"]), expected.server.clone());
    c.equal(&format!("connection {id}: version"), found["version"].as_u64(), Some(case.version));
    for (end, (key, idsn)) in ["client", "server"].iter().zip(expected.keys.iter().zip(expected.idsn)) {
        if let Some(key) = key {
            c.equal(&format!("connection {id}: {end} key"), text(&found[*end]["key"]), key.as_str());
        }
        if let Some(idsn) = idsn {
            c.equal(&format!("connection {id}: {end} idsn"), text(&found[*end]["idsn"]).to_owned(), idsn.to_string());
        }
    }
    if let Some(outcome) = expected.outcome.filter(|_| case.exception != Some(Exception::OutcomeOpen)) {
        c.equal(&format!("connection {id}: outcome"), text(&found["outcome"]), outcome);
        c.check(found["fallback"].is_null() == (outcome == "mptcp"), || {
            format!("connection {id}: fallback {}", found["fallback"])
        });
        let cause = text(&found["fallback"]["cause"]);
        c.check(outcome == "mptcp" || expected.causes.is_empty() || expected.causes.contains(&cause), || {
            format!("connection {id}: fallback for {cause:?}, expected one of {:?}", expected.causes)
        });
    }
    if let Some(close) = case.close {
        c.equal(&format!("connection {id}: close"), text(&found["close"]), close);
    }
    judge_subflows(c, case, expected, found);
    for (direction, stream) in DIRECTIONS.iter().zip(&expected.streams) {
        if let Some(stream) = stream.as_ref().filter(|_| case.exception != Some(Exception::OutcomeOpen)) {
            judge_stream(c, found, direction, stream, extracted);
        }
    }
}

fn judge_subflows(c: &mut Complaints, case: &Case, expected: &Connection, found: &Value) {
    let id = &found["id"];
    let subflows = list(&found["subflows"]);
    let flows: BTreeSet<_> = subflows.iter().flat_map(four_tuples).collect();
    for flow in &expected.flows {
        c.check(flows.contains(flow), || format!("connection {id}: subflow {flow} is missing"));
    }
    let Some(joins) = &expected.joins else { return };
    let initial = format!("{}>{}", expected.client, expected.server);
    let wanted: BTreeSet<_> = joins.iter().map(|join| join.flow.clone()).chain([initial]).collect();
    c.equal(&format!("connection {id}: 4-tuples"), flows, wanted);
    let number = if case.exception == Some(Exception::SeenTwice) { joins.len() } else { joins.len() + 1 };
    c.equal(&format!("connection {id}: number of subflows"), subflows.len(), number);
    for join in joins {
        let Some(subflow) = subflows.iter().find(|subflow| four_tuples(subflow).contains(&join.flow)) else { continue };
        judge_join(c, &format!("connection {id}, {}", join.flow), join, subflow);
    }
    if let Some(subflow) = subflows.first() {
        c.equal(&format!("connection {id}: role of the first subflow"), text(&subflow["role"]), "initial");
        c.check(subflow["join"].is_null(), || format!("connection {id}: the initial subflow has a join"));
    }
}

fn judge_join(c: &mut Complaints, at: &str, join: &Join, subflow: &Value) {
    c.equal(&format!("{at}: role"), text(&subflow["role"]), "join");
    if !join.initiator.is_empty() {
        c.equal(&format!("{at}: initiator"), text(&subflow["initiator"]), join.initiator.as_str());
    }
    c.equal(&format!("{at}: token"), text(&subflow["join"]["token"]), join.token.as_str());
    c.equal(&format!("{at}: token check"), text(&subflow["join"]["token_check"]["verdict"]), "verified");
    c.equal(&format!("{at}: SYN/ACK HMAC"), text(&subflow["join"]["syn_ack_hmac"]["verdict"]), join.syn_ack_hmac);
    c.equal(&format!("{at}: ACK HMAC"), text(&subflow["join"]["ack_hmac"]["verdict"]), join.ack_hmac);
    for (end, id) in ["source", "destination"].iter().zip(join.address_ids) {
        if id.is_some() {
            c.equal(&format!("{at}: address id of the {end}"), subflow["address_ids"][*end].as_u64(), id);
        }
    }
    if list(&subflow["backup"]["changes"]).is_empty() {
        let ends = if join.initiator == "server" { ["server", "client"] } else { ["client", "server"] };
        for (end, backup) in ends.iter().zip(join.backup) {
            if backup.is_some() {
                c.equal(&format!("{at}: backup asked by the {end}"), subflow["backup"][*end].as_bool(), backup);
            }
        }
    }
}

fn judge_stream(c: &mut Complaints, found: &Value, direction: &str, stream: &Stream, extracted: &Path) {
    let id = &found["id"];
    // Fast Open bytes lie outside the data sequence space, but the application sent them.
    let syn = if direction == DIRECTIONS[0] { "syn" } else { "syn_ack" };
    let fast_open = found["subflows"][0][syn]["fast_open_bytes"].as_u64().unwrap_or(0);
    let bytes = found["directions"][direction]["bytes"].as_u64().unwrap_or(0) + fast_open;
    c.check(stream.bytes.contains(&bytes), || {
        format!("connection {id}: {bytes} bytes {direction}, expected {:?}", stream.bytes)
    });
    c.equal(
        &format!("connection {id}: missing bytes {direction}"),
        found["directions"][direction]["missing_bytes"].as_u64(),
        Some(0),
    );
    let name = format!("conn-{id}-{direction}.bin");
    let Ok(content) = std::fs::read(extracted.join(&name)) else {
        c.check(stream.bytes.contains(&0), || format!("--extract wrote no {name}"));
        return;
    };
    let sum = support::sha256(&content);
    c.check(stream.sha256.contains(&sum), || {
        format!(
            "{name}: {} bytes with SHA-256 {sum}, expected {:?} bytes with {:?}",
            content.len(),
            stream.bytes,
            stream.sha256
        )
    });
    let manifest = std::fs::read_to_string(extracted.join("manifest.json")).unwrap_or_default();
    c.check(manifest.contains(&name), || format!("the manifest does not list {name}"));
}

fn judge_totals(c: &mut Complaints, case: &Case, report: &Value) {
    let connections = list(&report["connections"]);
    let twice = case.exception == Some(Exception::SeenTwice);
    if let Some(expected) = case.checksums {
        let got = ["verified", "mismatch", "unverifiable"].map(|verdict| {
            let counts = connections
                .iter()
                .flat_map(|found| DIRECTIONS.map(|direction| &found["directions"][direction]["checksums"][verdict]));
            counts.filter_map(Value::as_u64).sum::<u64>()
        });
        c.equal("DSS checksums [verified, mismatch, unverifiable]", got, expected);
    }
    if let Some(expected) = case.add_addr_verified {
        let hmacs = connections
            .iter()
            .flat_map(|found| list(&found["addresses"]))
            .map(|address| text(&address["hmac"]["verdict"]));
        let got = hmacs.filter(|verdict| *verdict == "verified").count() as u64;
        c.equal("verified ADD_ADDR HMACs", got, if twice { expected / 2 } else { expected });
    }
    if let Some([joins, syn_acks, acks]) = case.join_totals.filter(|_| !twice) {
        let subflows: Vec<_> = connections
            .iter()
            .flat_map(|found| list(&found["subflows"]))
            .filter(|subflow| text(&subflow["role"]) == "join")
            .collect();
        let verified = |field: &str| {
            subflows.iter().filter(|subflow| subflow["join"][field]["verdict"] == "verified").count() as u64
        };
        c.equal("joins", subflows.len() as u64, joins);
        c.equal("verified SYN/ACK HMACs", verified("syn_ack_hmac"), syn_acks);
        c.equal("verified ACK HMACs", verified("ack_hmac"), acks);
    }
    let orphans: BTreeSet<_> =
        list(&report["orphans"]).iter().map(|orphan| text(&orphan["token"]).to_owned()).collect();
    c.equal("tokens of orphans", orphans, case.orphans.clone());
    for subflow in list(&report["orphans"]).iter().flat_map(|orphan| list(&orphan["subflows"])) {
        judge_unverifiable(c, subflow);
    }
    if let Some((by, reason)) = case.reset {
        let all = connections.iter().chain(list(&report["orphans"])).flat_map(|found| list(&found["subflows"]));
        let resets: Vec<_> = all.map(|subflow| &subflow["reset"]).filter(|reset| !reset.is_null()).collect();
        // An orphan's ends cannot be told apart by name.
        let fits = |reset: &&Value| {
            reset["reason"] == reason && (reset["by"] == by || reset["by"].is_null() || !case.orphans.is_empty())
        };
        c.check(resets.iter().any(fits), || format!("no RST of the {by} with reason {reason}; there are {resets:?}"));
    }
}

/// Nothing can be proved of a join whose keys are not in the capture.
fn judge_unverifiable(c: &mut Complaints, subflow: &Value) {
    for check in ["token_check", "syn_ack_hmac", "ack_hmac"] {
        c.equal(
            &format!("{}: {check} without keys", four_tuple(subflow)),
            text(&subflow["join"][check]["verdict"]),
            "unverifiable",
        );
    }
}

fn judge_without_keys(c: &mut Complaints, report: &Value) {
    for found in list(&report["connections"]) {
        for end in ["client", "server"] {
            c.check(found[end]["key"].is_null(), || {
                format!("a key of the {end} out of nowhere: {}", found[end]["key"])
            });
        }
        for direction in DIRECTIONS {
            c.equal(
                &format!("checksum mismatches {direction}"),
                found["directions"][direction]["checksums"]["mismatch"].as_u64(),
                Some(0),
            );
        }
    }
    let all =
        list(&report["connections"]).iter().chain(list(&report["orphans"])).flat_map(|found| list(&found["subflows"]));
    for subflow in all.filter(|subflow| !subflow["join"].is_null()) {
        judge_unverifiable(c, subflow);
    }
}

fn judge_mid_start(c: &mut Complaints, case: &Case, report: &Value, extracted: &Path) {
    judge_without_keys(c, report);
    let connections = list(&report["connections"]);
    c.equal("number of connections", connections.len(), case.connections.len());
    for (expected, found) in case.connections.iter().zip(connections) {
        let flows: BTreeSet<_> = list(&found["subflows"]).iter().flat_map(four_tuples).collect();
        let initial = format!("{}>{}", expected.client, expected.server);
        c.equal("4-tuples", flows, expected.flows.iter().cloned().chain([initial]).collect());
        // The joins were captured whole: their token is the server's, and all data came after the first of them.
        if list(&found["subflows"]).iter().any(|subflow| !subflow["join"].is_null()) {
            c.equal("the server's token", found["server"]["token"].as_str(), expected.tokens[1].as_deref());
            for (direction, stream) in DIRECTIONS.iter().zip(&expected.streams) {
                judge_stream(c, found, direction, stream.as_ref().expect("a stream"), extracted);
            }
        }
    }
    c.equal("orphans", list(&report["orphans"]).len(), 0);
}

fn judge_server_only(c: &mut Complaints, case: &Case, report: &Value) {
    let connections = list(&report["connections"]);
    c.check(!connections.is_empty(), || "no connection".to_owned());
    let Some(found) = connections.iter().find(|found| !found["server"]["token"].is_null()) else {
        c.0.push("the server's token is not known".to_owned());
        return;
    };
    c.check(found["client"]["key"].is_null(), || "the client's key is not in the capture".to_owned());
    // The joins' SYNs are missing, but their DSNs are those of the connection.
    c.equal("orphans", list(&report["orphans"]).len(), 0);
    c.equal("missing bytes", found["directions"][DIRECTIONS[1]]["missing_bytes"].as_u64(), Some(0));
    c.equal("server", socket(&found["server"]), case.connections[0].server.clone());
}

/// `08-mp-prio-small`, `conclude`: "the client sends MP_PRIO twice on the joined subflow: frame 32 sets backup, frame 45 clears it".
fn backup_changes() -> Result<(), libtest_mimic::Failed> {
    let folder =
        support::folders().into_iter().find(|folder| folder.scenario() == "08-mp-prio-small").expect("testdata");
    let report = support::report(&folder.captures(), &[]);
    let mut c = Complaints::default();
    let subflow = &report["connections"][0]["subflows"][1];
    let changes: Vec<_> = list(&subflow["backup"]["changes"])
        .iter()
        .map(|change| (change["frame"].as_u64(), text(&change["by"]).to_owned(), change["backup"].as_bool()))
        .collect();
    let expected = [(Some(32), "client".to_owned(), Some(true)), (Some(45), "client".to_owned(), Some(false))];
    c.equal("changes of backup", changes, expected.into());
    c.equal("backup at the end", subflow["backup"]["client"].as_bool(), Some(false));
    c.verdict()
}

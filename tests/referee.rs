//! The program against `referee/referee.py`, a second, independent decoder: keys, tokens, HMACs, checksums and streams of
//! every capture, also of those whose truth has none of it.
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use support::{Complaints, DIRECTIONS, file_name, four_tuples, list, socket, text};

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    if !support::have("python3") || !support::have("zstd") {
        return ExitCode::SUCCESS;
    }
    let mut tests = Vec::new();
    for folder in support::folders() {
        // The files of one vantage point together are judged by truth.rs; here each is on its own, and all are together.
        let files = folder.captures();
        for file in &files {
            let set = vec![file.clone()];
            let name = format!("{}/{}", folder.name, file_name(file));
            tests.push(libtest_mimic::Trial::test(name, move || judge(&set)));
        }
        if folder.is_v0() && files.len() == 2 && files.iter().all(|file| file_name(file).starts_with("client")) {
            tests.push(libtest_mimic::Trial::test(format!("{}/both", folder.name), move || judge(&files)));
        }
    }
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn judge(files: &[PathBuf]) -> Result<(), libtest_mimic::Failed> {
    let extracted = tempfile::tempdir()?;
    let referee = support::referee(files);
    let report = support::report(files, &["--extract", extracted.path().to_str().expect("UTF-8")]);
    let mut complaints = Complaints::default();
    let cut = referee["payload_cut"] == true;
    for expected in list(&referee["connections"]) {
        let initial = text(&expected["initial"]);
        let fits = |found: &&Value| {
            !found["client"]["address"].is_null()
                && !found["server"]["address"].is_null()
                && format!("{}>{}", socket(&found["client"]), socket(&found["server"])) == initial
                && (expected["tokens"][1].is_null() || found["server"]["token"] == expected["tokens"][1])
        };
        match list(&report["connections"]).iter().find(fits) {
            Some(found) => judge_connection(&mut complaints, expected, found, extracted.path(), cut),
            None => complaints.0.push(format!("connection {initial} with tokens {} is missing", expected["tokens"])),
        }
    }
    complaints.verdict()
}

fn judge_connection(c: &mut Complaints, expected: &Value, found: &Value, extracted: &Path, cut: bool) {
    let id = &found["id"];
    c.equal(&format!("connection {id}: version"), &found["version"], &expected["version"]);
    for (index, end) in ["client", "server"].iter().enumerate() {
        for (field, values) in [("key", "keys"), ("token", "tokens"), ("idsn", "idsn")] {
            let value = &expected[values][index];
            c.check(value.is_null() || found[*end][field] == *value, || {
                format!("connection {id}: {end} {field} {}, referee {value}", found[*end][field])
            });
        }
    }
    judge_joins(c, expected, found);
    for address in list(&expected["addresses"]).iter().filter(|address| !address["hmac"].is_null()) {
        let same = |ours: &&Value| ["by", "id", "address", "port"].iter().all(|field| ours[*field] == address[*field]);
        let verdict = list(&found["addresses"]).iter().find(same).map(|ours| text(&ours["hmac"]["verdict"]));
        let wanted = if address["hmac"] == "mismatch" { "mismatch" } else { "verified" };
        c.equal(&format!("connection {id}: HMAC of ADD_ADDR {address}"), verdict, Some(wanted));
    }
    // Without options on it, a fallback has a TCP stream, of which the referee takes no account.
    if found["outcome"] != "mptcp" || expected["completed"] == false {
        return;
    }
    for direction in DIRECTIONS {
        judge_direction(c, &expected[direction], found, direction, extracted, cut);
    }
}

fn judge_joins(c: &mut Complaints, expected: &Value, found: &Value) {
    let id = &found["id"];
    let subflows = list(&found["subflows"]);
    for join in list(&expected["joins"]) {
        let flows: BTreeSet<_> = list(&join["flows"]).iter().map(|flow| text(flow).to_owned()).collect();
        let ours = subflows.iter().find(|subflow| four_tuples(subflow).iter().any(|flow| flows.contains(flow)));
        let Some(subflow) = ours else {
            c.0.push(format!("connection {id}: join {flows:?} is missing"));
            continue;
        };
        c.equal(
            &format!("connection {id}: 4-tuples of a join"),
            four_tuples(subflow).into_iter().collect(),
            flows.clone(),
        );
        c.equal(&format!("{flows:?}: initiator"), &subflow["initiator"], &join["initiator"]);
        c.equal(&format!("{flows:?}: token"), &subflow["join"]["token"], &join["token"]);
        for check in ["syn_ack_hmac", "ack_hmac"] {
            let verdict = match join[check].as_bool() {
                Some(true) => "verified",
                Some(false) => "mismatch",
                None => "unverifiable",
            };
            c.equal(&format!("{flows:?}: {check}"), text(&subflow["join"][check]["verdict"]), verdict);
        }
        for (index, end) in ["source", "destination"].iter().enumerate() {
            c.equal(&format!("{flows:?}: id of the {end}"), &subflow["address_ids"][*end], &join["address_ids"][index]);
        }
    }
}

fn judge_direction(c: &mut Complaints, expected: &Value, found: &Value, direction: &str, extracted: &Path, cut: bool) {
    if expected.is_null() {
        return;
    }
    let id = &found["id"];
    let ours = &found["directions"][direction];
    for verdict in ["verified", "mismatch", "unverifiable"] {
        c.equal(
            &format!("connection {id}: checksums {verdict} {direction}"),
            &ours["checksums"][verdict],
            &expected["checksums"][verdict],
        );
    }
    // The referee counts what it saw; of a direction without any packet, the report says that it does not know.
    let mut subflows = found["subflows"].as_array().into_iter().flatten();
    let unseen = ours["bytes"].is_null() && expected["bytes"] == 0;
    if cut || (unseen && subflows.all(|subflow| subflow["directions"][direction]["segments"] == 0)) {
        return;
    }
    c.equal(&format!("connection {id}: bytes {direction}"), &ours["bytes"], &expected["bytes"]);
    c.equal(&format!("connection {id}: missing bytes {direction}"), &ours["missing_bytes"], &expected["missing_bytes"]);
    let bytes = expected["bytes"].as_u64().unwrap_or(0) + expected["fast_open_bytes"].as_u64().unwrap_or(0);
    if expected["missing_bytes"] == 0 && bytes > 0 {
        let name = format!("conn-{id}-{direction}.bin");
        let content = std::fs::read(extracted.join(&name)).unwrap_or_default();
        let sum = support::sha256(&content);
        c.equal(
            &format!("SHA-256 of {name} ({} bytes, referee {bytes})", content.len()),
            sum.as_str(),
            text(&expected["sha256"]),
        );
    }
}

//! What the report says of settings, judged by the settings that `truth.json` names.
//!
//! Each folder is read file by file and as a whole. A pattern that is named must be the setting; one that is not must have a
//! reason. Some must be named (`REQUIRED`), and some must not (`SILENT`): there the capture can't tell.
#![allow(clippy::float_cmp, reason = "rounded values")]
#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;
use support::{Complaints, DIRECTIONS, Folder, file_name, list, text};

/// Scenario, files (by part of their name), end, pattern of its path manager on every connection.
const REQUIRED: [(&str, &str, &str, &str); 20] = [
    ("01-fullmesh-csum", "client", "client", "fullmesh"),
    ("03-ndiffports4", "client", "client", "ndiffports"),
    ("06-roundrobin", "client", "client", "fullmesh"),
    ("07-redundant", "client", "client", "fullmesh"),
    ("09-backup", "client", "client", "fullmesh"),
    ("13e-strip-join-only", "client", "client", "fullmesh"),
    ("16-ipv6", "client", "client", "fullmesh"),
    ("21-nat", "client", "client", "fullmesh"),
    ("22-cc-lia", "client", "client", "fullmesh"),
    ("23b-reuseport-short", "client", "client", "fullmesh"),
    ("27-syncookies", "client", "client", "fullmesh"),
    ("01-single", "client", "client", "single_path"),
    ("02-client-endpoint", "client-any", "client", "subflow_endpoints"),
    ("03-server-signal", "client-any", "client", "announced"),
    ("04-fullmesh", "client-any", "client", "fullmesh"),
    ("18a-join-refused-limits", "client-any", "client", "subflow_endpoints"),
    ("25-vlan-qinq", "trunk", "client", "announced"),
    ("24-300-conns", "client-any", "client", "subflow_endpoints"),
    ("33-reuseport", "client-e1", "client", "single_path"),
    ("43-server-initiated-join", "client-any", "server", "announced"),
];

/// Scenario and files that show no path manager: joins are elsewhere, stripped, forged, or out of the question.
const SILENT: [(&str, &str); 9] = [
    ("02-client-endpoint", "client-e1"),
    ("13a-strip-syn", "client"),
    ("13e-strip-join-only", "server_eth1"),
    ("14-syn-drop", "client"),
    ("13-strip-syn", "client"),
    ("18b-join-stripped", "server"),
    ("18f-join-bad-token", "server"),
    ("28-mid-start", "cut50"),
    ("16-drop-mp-syn", "client"),
];

fn main() -> ExitCode {
    let folders = || support::folders().into_iter().filter(|folder| !folder.truth.is_null());
    let mut tests = Vec::new();
    for folder in folders() {
        for files in sets(&folder) {
            let names: Vec<String> = files.iter().map(|file| file_name(file)).collect();
            let name = format!("patterns::{}/{}", folder.name, names.join("+"));
            let truth = folder.truth.clone();
            let (scenario, is_v0, is_cut) = (folder.scenario().to_owned(), folder.is_v0(), folder.is_cut());
            tests.push(libtest_mimic::Trial::test(name, move || {
                let allowed = if is_v0 { allowed_v0(&truth) } else { allowed_v1(&truth, &scenario) };
                patterns(&support::report(&files, &[]), &allowed, &scenario, &names, is_cut)
            }));
        }
        for (name, judge) in OTHERS {
            let applies =
                name.split("::").nth(1).is_some_and(|scenarios| scenarios.split('|').any(|s| s == folder.scenario()));
            if applies {
                let files = client_files(&folder);
                let truth = folder.truth.clone();
                let name = format!("{name}::{}", folder.name);
                tests.push(libtest_mimic::Trial::test(name, move || judge(&support::report(&files, &[]), &truth)));
            }
        }
    }
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), tests).exit_code()
}

/// Each file alone, all of the client's, and all together.
fn sets(folder: &Folder) -> Vec<Vec<PathBuf>> {
    let all = folder.captures();
    let mut sets: Vec<Vec<PathBuf>> = all.iter().map(|file| vec![file.clone()]).collect();
    // Formats of one capture, and encapsulations of one connection, are no parts of a whole.
    if !matches!(folder.scenario(), "29-formats" | "52-encaps" | "27-snaplen96" | "28-mid-start") {
        sets.extend([client_files(folder), all]);
    }
    sets.retain(|files| !files.is_empty());
    sets.sort();
    sets.dedup();
    sets
}

fn client_files(folder: &Folder) -> Vec<PathBuf> {
    let all = folder.captures();
    let clients: Vec<PathBuf> = all.iter().filter(|file| file_name(file).starts_with("client")).cloned().collect();
    if clients.is_empty() { all } else { clients }
}

/// Patterns that the settings allow: of the client's path manager, of the server's, of both schedulers.
struct Allowed {
    client: Vec<&'static str>,
    server: Vec<&'static str>,
    scheduler: Vec<&'static str>,
}

fn allowed_v0(truth: &Value) -> Allowed {
    let settings = &truth["settings"];
    let client = match text(&settings["mptcp_path_manager"]) {
        "default" => vec!["single_path"],
        "fullmesh" => vec!["fullmesh"],
        "ndiffports" => vec!["ndiffports"],
        "binder" => vec!["binder"],
        _ => vec![],
    };
    let scheduler = match text(&settings["mptcp_scheduler"]) {
        "default" => vec!["lowest_rtt"],
        "roundrobin" => vec!["round_robin"],
        "redundant" => vec!["redundant"],
        _ => vec![],
    };
    Allowed { client, server: vec![], scheduler }
}

/// `ip mptcp endpoint` flags. Mainline's scheduler is none of those that have a name here.
fn allowed_v1(truth: &Value, scenario: &str) -> Allowed {
    let endpoints = list(&truth["settings"]["endpoints"]);
    let has = |namespace: &str, flag: &str| {
        endpoints.iter().any(|endpoint| {
            text(&endpoint["ns"]) == namespace && text(&endpoint["add"]).split_whitespace().any(|word| word == flag)
        })
    };
    let mut client = Vec::new();
    if has("v1c", "fullmesh") {
        client.push("fullmesh");
    } else {
        client.extend(has("v1c", "subflow").then_some("subflow_endpoints"));
        client.extend(has("v1s", "signal").then_some("announced"));
    }
    match scenario {
        // Its truth has no settings; the client's second address joins.
        "08-mp-prio-small" => client.push("subflow_endpoints"),
        // Its IPv6 files come from another scenario, with a server that announces.
        "52-encaps" => client.push("announced"),
        _ if endpoints.is_empty() => client.push("single_path"),
        _ => {}
    }
    let server = if has("v1c", "signal") { vec!["announced"] } else { vec![] };
    Allowed { client, server, scheduler: vec![] }
}

fn patterns(
    report: &Value,
    allowed: &Allowed,
    scenario: &str,
    files: &[String],
    is_cut: bool,
) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let c = &mut complaints;
    let matching = |part: &str| files.iter().all(|file| file.contains(part));
    for connection in list(&report["connections"]) {
        let (id, stack) = (&connection["id"], &connection["stack"]);
        for (end, allowed) in [("client", &allowed.client), ("server", &allowed.server)] {
            judge(c, &format!("#{id} path_manager.{end}"), &stack["path_manager"][end], allowed);
        }
        for direction in DIRECTIONS {
            judge(c, &format!("#{id} scheduler.{direction}"), &stack["scheduler"][direction], &allowed.scheduler);
        }
        for (of, part, end, pattern) in REQUIRED {
            // Files of a shortened capture, or one interface of several, need not show it.
            let whole = files.len() > 1 || !matches!(of, "25-vlan-qinq");
            if of == scenario && matching(part) && whole && !is_cut && shows_joins(files) {
                c.equal(&format!("#{id} path_manager.{end}"), text(&stack["path_manager"][end]["pattern"]), pattern);
            }
        }
        if scenario == "07-redundant" && files.len() > 1 {
            for direction in DIRECTIONS {
                c.equal(direction, text(&stack["scheduler"][direction]["pattern"]), "redundant");
            }
        }
        if SILENT.iter().any(|(of, part)| *of == scenario && matching(part)) {
            for end in ["client", "server"] {
                c.check(stack["path_manager"][end]["pattern"].is_null(), || format!("#{id} {end}: must be silent"));
            }
        }
    }
    complaints.verdict()
}

/// The second interface alone has joins without their connection.
fn shows_joins(files: &[String]) -> bool {
    files.iter().any(|file| !file.contains("enp0s10") && !file.contains("-e2"))
}

fn judge(c: &mut Complaints, what: &str, found: &Value, allowed: &[&str]) {
    match found["pattern"].as_str() {
        Some(pattern) => {
            c.check(allowed.contains(&pattern), || format!("{what}: {pattern} is not the setting, {allowed:?}"));
            let sure = found["confidence"].as_f64();
            c.check(sure.is_some_and(|sure| sure > 0.0 && sure < 1.0), || format!("{what}: confidence {sure:?}"));
        }
        None => c.check(!text(&found["why"]).is_empty(), || format!("{what}: no pattern and no reason")),
    }
}

type Judge = fn(&Value, &Value) -> Result<(), libtest_mimic::Failed>;

/// Name and scenarios, and what must hold there.
const OTHERS: [(&str, Judge); 7] = [
    ("listeners::23b-reuseport-short|33-reuseport", listeners),
    ("checksum::01-fullmesh-csum|10-csum-nogso|03-server-signal|02-client-endpoint|16-ipv6", checksum),
    ("syns::14-syn-drop|16-drop-mp-syn", syns),
    ("backup::09-backup|07a-backup-client", backup),
    ("multipath_off::20-multipath-off", multipath_off),
    ("pairs::04-fullmesh|18a-join-refused-limits|13e-strip-join-only|02-client-endpoint", pairs),
    ("coupling::20-multipath-off|22b-loss-delay-csum", coupling),
];

/// Workers of a `SO_REUSEPORT` group listen with MSS 1000 + worker: truth knows which worker served which connection.
fn listeners(report: &Value, truth: &Value) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let mut served: BTreeMap<u64, u64> = BTreeMap::new();
    for connection in list(&truth["connections"]) {
        let worker = connection["server_worker"].as_u64().or_else(|| connection["server"]["worker"].as_u64());
        let Some(worker) = worker else {
            eprintln!("SKIPPED: this truth.json does not say which worker served a connection");
            return Ok(());
        };
        *served.entry(1000 + worker).or_default() += 1;
    }
    let listeners = list(&report["stack"]["listeners"]);
    complaints.equal("listeners", listeners.len(), 1);
    let listener = &listeners[0];
    let found: BTreeMap<u64, u64> = list(&listener["fingerprints"])
        .iter()
        .map(|print| (print["mss"].as_u64().expect("mss"), print["connections"].as_u64().expect("connections")))
        .collect();
    let all: u64 = served.values().sum();
    let part = |count: &u64| *count as f64 / all as f64;
    let evenness = served.values().map(part).map(|p| -p * p.ln()).sum::<f64>() / (served.len() as f64).ln();
    complaints.equal("answers", listener["answers"].as_u64(), Some(all));
    complaints.equal("connections by MSS", found, served);
    let shown = listener["evenness"].as_f64().unwrap_or(0.0);
    complaints.check((shown - evenness).abs() < 0.001, || format!("evenness {shown}, expected {evenness}"));
    complaints.verdict()
}

fn checksum(report: &Value, truth: &Value) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let settings = &truth["settings"];
    let v1 = list(&settings["sysctl"]).iter().any(|set| text(&set["set"]) == "net.mptcp.checksum_enabled=1");
    let asked = settings["mptcp_checksum"].as_u64() == Some(1) || v1;
    for connection in list(&report["connections"]) {
        let seen = &connection["stack"]["sysctls"];
        for end in ["client", "server"] {
            complaints.equal(end, seen["checksum_asked"][end].as_bool(), Some(asked));
            complaints.equal(end, seen["mptcp_enabled"][end].as_bool(), Some(true));
        }
        complaints.equal("in use", seen["checksum"].as_bool(), Some(asked));
    }
    complaints.verdict()
}

/// v0: `mptcp_syn_retries` SYNs are repeated with the option. Mainline: `syn_retrans_before_tcp_fallback`, 2 unless set.
fn syns(report: &Value, truth: &Value) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let retries = truth["settings"]["sysctls"]["net.mptcp.mptcp_syn_retries"].as_u64().unwrap_or(2);
    let seen = &list(&report["connections"])[0]["stack"]["sysctls"];
    complaints.equal("with", seen["syns_with_option"].as_u64(), Some(1 + retries));
    complaints.equal("without", seen["syns_without_option"].as_u64(), Some(1));
    // TCP's initial retransmission timeout is 1 s (RFC 6298 §2.1), on Linux plus a timer tick.
    let first = list(&seen["syn_spacing_ns"])[0].as_u64().unwrap_or(0);
    complaints.check((990_000_000..1_100_000_000).contains(&first), || format!("first retry after {first} ns"));
    complaints.equal("server's MPTCP", &seen["mptcp_enabled"]["server"], &Value::Null);
    complaints.verdict()
}

/// The client's second address is a backup: MP_JOIN with B, and (nearly) no data on it.
fn backup(report: &Value, _: &Value) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let connection = &list(&report["connections"])[0];
    let backups: Vec<u64> = list(&connection["subflows"])
        .iter()
        .filter(|subflow| matches!(text(&subflow["source"]["address"]), "192.168.3.5" | "10.8.2.1"))
        .filter_map(|subflow| subflow["id"].as_u64())
        .collect();
    let told = list(&connection["stack"]["priority"]);
    complaints.equal("subflows", told.iter().filter_map(|p| p["subflow"].as_u64()).collect::<Vec<_>>(), backups);
    for priority in told {
        complaints.equal("client", priority["client"]["low_prio"].as_bool(), Some(true));
        complaints.equal("server", priority["server"]["rcv_low_prio"].as_bool(), Some(true));
        complaints.equal("option", text(&priority["timeline"][0]["option"]), "mp_join");
        complaints.check(priority["obeyed"]["client_to_server"] == true, || "data went there".to_owned());
    }
    complaints.verdict()
}

/// `ip link set dev enp0s10 multipath off` in mid-transfer: its address is removed and joins no more.
fn multipath_off(report: &Value, _: &Value) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let known = &list(&report["connections"])[0]["stack"]["address_pairs"]["client"];
    let off = list(known).iter().find(|known| text(&known["address"]) == "192.168.3.5");
    complaints.check(off.is_some_and(|known| !known["removed"].is_null()), || format!("{known}"));
    complaints.equal("joins", off.and_then(|known| known["joins_after_removal"].as_u64()), Some(0));
    let initial = list(known).first().map(|known| text(&known["learnt"]));
    complaints.equal("first", initial, Some("initial"));
    complaints.verdict()
}

/// States of address pairs, from what the scenarios do.
fn pairs(report: &Value, truth: &Value) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let pairs = &list(&report["connections"])[0]["stack"]["address_pairs"]["pairs"];
    let count = |state: &str| list(pairs).iter().filter(|pair| text(&pair["state"]) == state).count();
    let expected = match text(&truth["scenario"]) {
        name if name.contains("04-fullmesh") => [4, 0, 0],
        name if name.contains("18a") => [1, 1, 0],
        name if name.contains("13e") => [2, 2, 0],
        _ => [2, 0, 0],
    };
    complaints.equal("pairs", ["established", "refused", "never_tried"].map(count), expected);
    complaints.verdict()
}

/// More than 1 MiB: a timeline that adds up to what the subflows carried since it began, and shares that add up to 1.
fn coupling(report: &Value, _: &Value) -> Result<(), libtest_mimic::Failed> {
    let mut complaints = Complaints::default();
    let connection = &list(&report["connections"])[0];
    let coupling = &connection["stack"]["coupling"]["client_to_server"];
    let paths = list(&coupling["subflows"]);
    let share: f64 = paths.iter().filter_map(|path| path["share"].as_f64()).sum();
    complaints.check((share - 1.0).abs() < 0.001, || format!("shares add up to {share}"));
    let steps = || paths.iter().flat_map(|path| list(&path["timeline"]));
    let drawn: u64 = steps().filter_map(|step| step["bytes"].as_u64()).sum();
    let all = connection["directions"]["client_to_server"]["bytes"].as_u64().unwrap_or(0);
    complaints.check(drawn + (1 << 20) >= all && drawn < all, || format!("{drawn} of {all} bytes drawn"));
    complaints
        .check(steps().all(|step| step["step"].as_u64().is_some_and(|step| step < 64)), || "too many steps".to_owned());
    complaints.verdict()
}

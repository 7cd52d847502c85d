//! What `truth.json` lets one expect of the report, for each file or set of files of one vantage point.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::exceptions::{Exception, exception};
use crate::support::{Folder, file_name, list, text};

/// One run of the program and what its report must say. `None` is not judged: the truth has no word on it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) version: u64,
    pub(crate) exception: Option<Exception>,
    pub(crate) packets: Option<u64>,
    pub(crate) tcp_segments: Option<u64>,
    pub(crate) connections: Vec<Connection>,
    /// Tokens of joins whose connection is not in the files.
    pub(crate) orphans: BTreeSet<String>,
    /// Verified, mismatched, unverifiable mappings over all connections.
    pub(crate) checksums: Option<[u64; 3]>,
    pub(crate) add_addr_verified: Option<u64>,
    /// Joins, SYN/ACK HMACs and ACK HMACs verified, over all connections.
    pub(crate) join_totals: Option<[u64; 3]>,
    /// Sender and reason of the first MP_TCPRST.
    pub(crate) reset: Option<(&'static str, u64)>,
    pub(crate) close: Option<&'static str>,
}

pub(crate) struct Connection {
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) tokens: [Option<String>; 2],
    pub(crate) keys: [Option<String>; 2],
    pub(crate) idsn: [Option<u64>; 2],
    pub(crate) outcome: Option<&'static str>,
    /// One of these, where it is a fallback and the truth tells why.
    pub(crate) causes: &'static [&'static str],
    pub(crate) joins: Option<Vec<Join>>,
    /// 4-tuples that must be among the subflows.
    pub(crate) flows: Vec<String>,
    pub(crate) streams: [Option<Stream>; 2],
}

pub(crate) struct Join {
    pub(crate) flow: String,
    pub(crate) token: String,
    pub(crate) initiator: String,
    pub(crate) address_ids: [Option<u64>; 2],
    /// B bit in the SYN and in the SYN/ACK.
    pub(crate) backup: [Option<bool>; 2],
    pub(crate) syn_ack_hmac: &'static str,
    pub(crate) ack_hmac: &'static str,
}

/// An application's stream: what was sent, and what was received where a middlebox changed it.
pub(crate) struct Stream {
    pub(crate) bytes: Vec<u64>,
    pub(crate) sha256: Vec<String>,
}

/// All cases of a folder.
pub(crate) fn cases(folder: &Folder) -> Vec<Case> {
    if folder.truth.is_null() {
        Vec::new()
    } else if folder.is_v0() {
        v0_cases(folder)
    } else {
        v1_cases(folder)
    }
}

fn case(folder: &Folder, files: Vec<PathBuf>, version: u64) -> Case {
    let names: Vec<_> = files.iter().map(|file| file_name(file)).collect();
    Case {
        name: format!("{}/{}", folder.name, names.join("+")),
        exception: exception(folder.scenario(), &names.join("+")),
        files,
        version,
        packets: None,
        tcp_segments: None,
        connections: Vec::new(),
        orphans: BTreeSet::new(),
        checksums: None,
        add_addr_verified: None,
        join_totals: None,
        reset: None,
        close: None,
    }
}

// --- v1 ---

fn v1_cases(folder: &Folder) -> Vec<Case> {
    if let Some(sets) = folder.truth["verified"]["files"].as_object() {
        return sets.iter().filter_map(|(names, verified)| v1_verified(folder, names, verified)).collect();
    }
    // 08-mp-prio-small and 52-encaps have no `verified`: what the sockets said is all there is.
    folder.captures().into_iter().map(|file| v1_unverified(folder, file)).collect()
}

fn v1_unverified(folder: &Folder, file: PathBuf) -> Case {
    let name = file_name(&file);
    let v6 = ["v6-", "6in4", "null-v6", "ipv6-"].iter().any(|start| name.starts_with(start));
    let truth = if v6 { &folder.truth["connections_v6_files"] } else { &folder.truth["connections"] };
    let mut case = case(folder, vec![file], 1);
    case.connections = list(truth).iter().map(by_the_kernel).collect();
    case
}

/// What the sockets said of a connection.
fn by_the_kernel(truth: &Value) -> Connection {
    Connection {
        tokens: [&truth["client_token"], &truth["server_token"]].map(|token| token.as_str().map(str::to_owned)),
        outcome: Some("mptcp"),
        flows: established(truth),
        ..v1_connection(truth)
    }
}

fn v1_verified(folder: &Folder, names: &str, verified: &Value) -> Option<Case> {
    let files: Vec<_> = names.split('+').map(|name| folder.path.join(name)).collect();
    if !files.iter().all(|file| file.is_file()) {
        return None;
    }
    let mut case = case(folder, files, 1);
    let count = |field: &str| verified[field].as_u64().unwrap_or(0);
    let completed = count("mptcp");
    let fallbacks = list(&verified["mpc_fallback"]);
    case.packets = verified["packets"].as_u64();
    case.tcp_segments = verified["tcp"].as_u64();
    case.add_addr_verified = Some(count("addaddr_hmac_ok"));
    case.join_totals = Some([count("joins_known"), count("hmac_synack_ok"), count("hmac_ack_ok")]);
    let complete = !folder.is_cut();
    if complete {
        case.checksums = Some([count("csum_ok"), count("csum_bad"), count("csum_unverifiable")]);
    }
    case.reset = list(&verified["rst_reasons"]).first().map(|reset| {
        (if text(&reset["dir"]) == "s2c" { "server" } else { "client" }, reset["reason"].as_u64().expect("reason"))
    });
    let all_streams = count("streams_checked") > 0 && count("streams_match") == count("streams_checked");
    if verified["events"]["MP_FASTCLOSE"].is_u64() {
        case.close = Some("fastclose");
    } else if all_streams && folder.truth["expected"]["fallback"] == 0 {
        case.close = Some("data_fin");
    }

    let truths = list(&folder.truth["connections"]);
    if case.exception == Some(Exception::MidStart) {
        let streams = |truth: &Value| ["c2s", "s2c"].map(|direction| Some(v1_stream(&truth[direction])));
        case.connections =
            truths.iter().map(|truth| Connection { streams: streams(truth), ..by_the_kernel(truth) }).collect();
        return Some(case);
    }
    let fell_back = folder.truth["expected"]["fallback"].as_u64();
    for index in 0..completed as usize {
        let tokens: [Option<String>; 2] = match verified["tokens"].get(index) {
            Some(pair) => [0, 1].map(|end| pair[end].as_str().map(str::to_owned)),
            None => ["client_token", "server_token"].map(|field| truths[index][field].as_str().map(str::to_owned)),
        };
        let Some(truth) = truths.iter().find(|truth| truth["client_token"].as_str() == tokens[0].as_deref()) else {
            continue;
        };
        let mut connection = v1_connection(truth);
        connection.outcome = fell_back.map(|number| if number == 0 { "mptcp" } else { "fallback" });
        connection.causes = late_causes(&folder.truth["nstat"]);
        connection.joins = v1_joins(verified, truth, &tokens);
        if verified["join_list"].is_null() && count("joins") > 0 {
            connection.flows = established(truth);
        }
        if complete && count("streams_checked") > 0 {
            connection.streams = ["c2s", "s2c"].map(|direction| {
                let differs = list(&verified["streams_mismatch"])
                    .iter()
                    .any(|mismatch| mismatch["id"] == truth["id"] && mismatch["dir"] == *direction);
                (!differs).then(|| v1_stream(&truth[direction]))
            });
        }
        connection.tokens = tokens;
        case.connections.push(connection);
    }
    // A plain TCP connection after a handshake that asked for MPTCP: its stream is the TCP stream.
    for (truth, why) in truths.iter().skip(completed as usize).zip(fallbacks) {
        let mut connection = v1_connection(truth);
        connection.outcome = Some("fallback");
        connection.causes = early_causes(folder.scenario(), text(why), &folder.truth["nstat"]);
        connection.joins = Some(Vec::new());
        if complete && truth["intact"] == true {
            connection.streams = ["c2s", "s2c"].map(|direction| Some(v1_stream(&truth[direction])));
        }
        case.connections.push(connection);
    }
    case.orphans = list(&verified["join_list"])
        .iter()
        .filter(|join| join["known"] == false)
        .map(|join| text(&join["token"]).to_owned())
        .collect();
    Some(case)
}

fn v1_connection(truth: &Value) -> Connection {
    let end = |name: &str| {
        let end = &truth["initial"][name];
        socket(text(&end[0]), end[1].as_u64().expect("port"))
    };
    Connection {
        client: end("client"),
        server: end("server"),
        tokens: [None, None],
        keys: [None, None],
        idsn: [None, None],
        outcome: None,
        causes: &[],
        joins: None,
        flows: Vec::new(),
        streams: [None, None],
    }
}

fn v1_joins(verified: &Value, truth: &Value, tokens: &[Option<String>; 2]) -> Option<Vec<Join>> {
    if verified["join_list"].is_null() {
        // Left out of the truth where there are very many.
        return (verified["joins"].as_u64().unwrap_or(0) == 0 || truth.is_null()).then(Vec::new);
    }
    let ours = list(&verified["join_list"])
        .iter()
        .filter(|join| tokens.iter().flatten().any(|token| join["token"] == **token));
    Some(
        ours.map(|join| Join {
            flow: v1_flow(text(&join["flow"])),
            token: text(&join["token"]).to_owned(),
            initiator: text(&join["initiator"]).to_owned(),
            address_ids: [join["id"].as_u64(), join["rid"].as_u64()],
            backup: [join["backup"].as_bool(), join["rbackup"].as_bool()],
            syn_ack_hmac: check(&join["hmac_synack"]),
            ack_hmac: check(&join["hmac_ack"]),
        })
        .collect(),
    )
}

fn v1_stream(stream: &Value) -> Stream {
    Stream {
        bytes: ["sent", "received"].iter().filter_map(|field| stream[*field].as_u64()).collect(),
        sha256: ["sent_sha256", "received_sha256"].map(|field| text(&stream[field]).to_owned()).into(),
    }
}

/// The joins the client's kernel reported as established.
fn established(truth: &Value) -> Vec<String> {
    list(&truth["subflow_events"])
        .iter()
        .filter(|event| event["seen_by"] == "client" && event["event"] == "SF_ESTABLISHED")
        .map(|event| {
            let end = |host: &str, port: &str| socket(text(&event[host]), event[port].as_u64().expect("port"));
            format!("{}>{}", end("src", "sport"), end("dst", "dport"))
        })
        .collect()
}

/// Why a handshake did not become MPTCP, from what the decoder missed and the counter that the kernel raised.
fn early_causes(scenario: &str, missing: &str, nstat: &Value) -> &'static [&'static str] {
    if nstat["client"]["MPTcpExtMPCapableSYNTXDrop"].is_u64() {
        &["syn_retried_without_option"]
    } else if scenario == "35a-mirror-synack" && missing == "no MP_CAPABLE in third ACK" {
        // Seen before the box, the SYN/ACK is a mirror image of the SYN; seen behind it, it has no option.
        &["option_echoed"]
    } else if missing == "no MP_CAPABLE in SYN/ACK" {
        &["no_option_in_syn_ack"]
    } else {
        &["no_option_in_third_ack"]
    }
}

/// Why an established connection became plain TCP, from the counters of both kernels.
fn late_causes(nstat: &Value) -> &'static [&'static str] {
    let raised = |name: &str| ["client", "server"].iter().any(|end| nstat[*end][format!("MPTcpExt{name}")].is_u64());
    if raised("DataCsumErr") {
        &["mp_fail", "infinite_mapping"]
    } else if raised("MPCapableDataFallback") {
        &["no_option_on_data", "options_vanished"]
    } else {
        &[]
    }
}

fn check(value: &Value) -> &'static str {
    match value.as_bool() {
        Some(true) => "verified",
        Some(false) => "mismatch",
        None => "unverifiable",
    }
}

fn socket(host: &str, port: u64) -> String {
    std::net::SocketAddr::new(host.parse().expect("address"), port as u16).to_string()
}

/// `host:port>host:port`, where v6 hosts have no brackets.
fn v1_flow(flow: &str) -> String {
    let ends: Vec<_> = flow.split('>').map(|end| end.rsplit_once(':').expect("port")).collect();
    ends.iter().map(|(host, port)| socket(host, port.parse().expect("port"))).collect::<Vec<_>>().join(">")
}

// --- v0 ---

fn v0_cases(folder: &Folder) -> Vec<Case> {
    let views = folder.truth["verified_by_python_hashlib"].as_object().expect("views");
    views.values().filter_map(|view| v0_view(folder, view)).collect()
}

fn v0_view(folder: &Folder, view: &Value) -> Option<Case> {
    let mut files: Vec<_> = view["files"]
        .as_object()?
        .iter()
        .filter(|(_, packets)| **packets != 0)
        .map(|(name, _)| folder.path.join(name))
        .collect();
    if files.is_empty() || !files.iter().all(|file| file.is_file()) {
        return None;
    }
    files.sort();
    let mut case = case(folder, files, 0);
    let checks = &view["checks"];
    let count = |field: &str| checks[field].as_u64().unwrap_or(0);
    let complete = !folder.is_cut();
    case.add_addr_verified = Some(0);
    case.join_totals = Some([count("MP_JOIN SYN"), count("MP_JOIN SYN/ACK HMAC ok"), count("MP_JOIN ACK HMAC ok")]);
    if complete {
        case.packets = Some(view["files"].as_object()?.values().filter_map(Value::as_u64).sum());
        case.checksums = Some([count("DSS checksum ok"), count("DSS checksum BAD"), 0]);
        if folder.scenario().contains("fastclose") {
            case.close = Some("fastclose");
        }
    }
    let wanted = view["connections_with_mp_capable_syn"].as_u64()? as usize;
    for truth in list(&folder.truth["connections"]).iter().take(wanted) {
        let found = list(&view["connections"])
            .iter()
            .find(|found| text(&found["initial"]).starts_with(text(&truth["client"]["local"])));
        case.connections.push(v0_connection(folder, view, truth, found.unwrap_or(&Value::Null), complete));
    }
    Some(case)
}

fn v0_connection(folder: &Folder, view: &Value, truth: &Value, found: &Value, complete: bool) -> Connection {
    let client = text(&truth["client"]["local"]).to_owned();
    let mptcp = truth["mptcp"]["client"] == 1;
    let infinite = folder.truth["counters"]["server"]["mptcp"]["InfiniteMapRx"].is_u64();
    let own = |hex: &Value| hex.as_str().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let joins = view["joins"]
        .as_array()
        .map(|joins| joins.iter().filter(|join| join["connection"] == *client).map(v0_join).collect());
    let stream = |name: &str| -> Option<Stream> {
        let sums: Vec<_> = [("equals_sent", "sha256_sent"), ("equals_received", "sha256_received")]
            .iter()
            // The decoder's verdict where it gives one; else (many connections, plain TCP) `truth_checks` says all are equal.
            .filter(|(equal, _)| found[name][*equal].as_bool().unwrap_or(true))
            .map(|(_, field)| text(&truth[name][*field]).to_owned())
            .collect();
        let bytes = ["bytes_sent", "bytes_received"].iter().filter_map(|field| truth[name][*field].as_u64()).collect();
        (complete && !sums.is_empty()).then_some(Stream { bytes, sha256: sums })
    };
    Connection {
        server: text(&truth["client"]["remote"]).to_owned(),
        tokens: ["client_local", "server_local"].map(|field| truth["tokens"][field].as_str().map(str::to_owned)),
        keys: ["keyA", "keyB"].map(|field| found[field].as_str().map(str::to_owned)),
        idsn: ["idsnA", "idsnB"].map(|field| own(&found[field])),
        outcome: Some(if mptcp && !(infinite && complete) { "mptcp" } else { "fallback" }),
        causes: v0_causes(&folder.truth["counters"]["client"]["mptcp"], infinite),
        // The client opens all subflows: its kernel's list must be in the capture, unless a translator rewrote it on the way.
        flows: if folder.scenario() == "21-nat" { Vec::new() } else { v0_kernel_flows(truth, joins.is_none()) },
        joins,
        streams: [stream("upload"), stream("download")],
        client,
    }
}

fn v0_kernel_flows(truth: &Value, wanted: bool) -> Vec<String> {
    let flows = list(&truth["subflows_by_getsockopt_client"]).iter().filter(|_| wanted);
    flows.map(|flow| format!("{}>{}", text(&flow["local"]), text(&flow["remote"]))).collect()
}

fn v0_join(join: &Value) -> Join {
    Join {
        flow: format!("{}>{}", text(&join["client"]), text(&join["server"])),
        token: text(&join["token"]).to_owned(),
        initiator: "client".to_owned(),
        address_ids: [join["addr_id"].as_u64(), join["server_addr_id"].as_u64()],
        backup: [&join["backup"], &join["server_backup"]].map(|bit| bit.as_u64().map(|bit| bit != 0)),
        syn_ack_hmac: check(&join["synack_hmac_ok"]),
        ack_hmac: check(&join["ack_hmac_ok"]),
    }
}

fn v0_causes(counters: &Value, infinite: bool) -> &'static [&'static str] {
    if counters["MPCapableRetransFallback"].is_u64() {
        &["syn_retried_without_option"]
    } else if counters["MPCapableFallbackSYNACK"].is_u64() {
        &["no_option_in_syn_ack"]
    } else if infinite {
        &["mp_fail", "infinite_mapping"]
    } else {
        &[]
    }
}

//! Real captures.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{self, list, text};

/// A finding, captures in which it fires (of one vantage point, or of two given together), and some in which something
/// similar happens and it does not.
type Case = (&'static str, &'static str, &'static str);

/// Each line: id; where it fires; where it must not.
pub(crate) const FIRES: &[Case] = &[
    ("fallback-no-option-in-syn-ack", "v1/17a-plain-server/client-e1.pcap", "v1/35a-mirror-synack/client-e1.pcap"),
    ("fallback-option-echoed", "v1/35a-mirror-synack/client-e1.pcap", "v1/17a-plain-server/client-e1.pcap"),
    ("fallback-syn-retried-without-option", "v1/16-drop-mp-syn/client-e1.pcap", "v1/17a-plain-server/client-e1.pcap"),
    (
        "fallback-no-option-in-third-ack",
        "v1/15a-strip-after-synack/server-e1.pcap",
        "v1/15a-strip-after-synack/client-e1.pcap",
    ),
    ("fallback-no-option-on-data", "v1/15b-strip-after-3rd-ack/server-e1.pcap", "v1/15d-strip-s2c-only/server-e1.pcap"),
    ("fallback-options-vanished", "v1/15d-strip-s2c-only/server-e1.pcap", "v1/15b-strip-after-3rd-ack/server-e1.pcap"),
    ("fallback-mp-fail", "v1/11a-csum-corrupt-single/client-e1.pcap", "v1/12a-csum-corrupt-sub2/client-any.pcap"),
    ("option-blanked", "v1/14-strip-synack/client-e1.pcap", "v1/17a-plain-server/client-e1.pcap"),
    (
        "join-refused-unknown-token",
        "v1/18f-join-bad-token/server-any.pcap",
        "v1/18a-join-refused-limits/client-any.pcap",
    ),
    ("join-refused-prohibited", "v1/18a-join-refused-limits/client-any.pcap", "v1/18b-join-stripped/client-any.pcap"),
    (
        "join-refused-at-close",
        "v0/23b-reuseport-short/client_enp0s10.pcap+client_enp0s9.pcap",
        "v1/18a-join-refused-limits/client-any.pcap",
    ),
    ("join-syn-ack-without-option", "v1/18b-join-stripped/client-any.pcap", "v1/18d-join-hmac-synack/client-any.pcap"),
    ("join-hmac-mismatch", "v1/18d-join-hmac-synack/client-any.pcap", "v1/18b-join-stripped/client-any.pcap"),
    ("checksum-mismatch", "v1/11a-csum-corrupt-single/server-e1.pcap", "v1/11a-csum-corrupt-single/client-e1.pcap"),
    ("mp-fail", "v1/12a-csum-corrupt-sub2/client-any.pcap", "v1/15d-strip-s2c-only/server-e1.pcap"),
    ("infinite-mapping", "v1/11a-csum-corrupt-single/client-e1.pcap", "v1/11e-alg-insert-single/client-e1.pcap"),
    (
        "ends-disagree-about-fallback",
        "v1/15d-strip-s2c-only/client-e1.pcap+server-e1.pcap",
        "v1/15b-strip-after-3rd-ack/client-e1.pcap+server-e1.pcap",
    ),
    (
        "reinjections-useless",
        "v0/07-redundant/client_enp0s10.pcap+client_enp0s9.pcap",
        "v0/06-roundrobin/client_enp0s10.pcap+client_enp0s9.pcap",
    ),
    ("dup-ack-is-not-loss", "v1/20-rm-addr/client-any.pcap", "v1/01-single/client-e1.pcap"),
    ("one-path-carries-most", "v1/20-rm-addr/client-any.pcap", "v1/07a-backup-client/client-any.pcap"),
    ("handover", "v0/20-multipath-off/client_enp0s10.pcap+client_enp0s9.pcap", "v1/02-client-endpoint/client-any.pcap"),
    (
        "subflow-reset-by-removal",
        "v0/20-multipath-off/client_enp0s10.pcap+client_enp0s9.pcap",
        "v1/20-rm-addr/client-any.pcap",
    ),
    ("connection-reset", "v1/15d-strip-s2c-only/server-e1.pcap", "v1/19a-fastclose-linger0-client/client-any.pcap"),
    ("fastclose", "v1/19a-fastclose-linger0-client/client-any.pcap", "v1/15d-strip-s2c-only/server-e1.pcap"),
    (
        "option-out-of-place",
        "v1/19e-fastclose-ack-variant/server-any.pcap",
        "v1/19a-fastclose-linger0-client/client-any.pcap",
    ),
    (
        "data-unacknowledged-at-close",
        "v0/18a-fastclose-client/client_enp0s10.pcap+client_enp0s9.pcap",
        "v1/19a-fastclose-linger0-client/client-any.pcap",
    ),
    (
        "path-stripped-option",
        "v1/15a-strip-after-synack/client-e1.pcap+server-e1.pcap",
        "v1/13-strip-syn/client-e1.pcap+server-e1.pcap",
    ),
    (
        "path-blanked-option",
        "v1/13-strip-syn/client-e1.pcap+server-e1.pcap",
        "v1/40-seq-randomising-firewall/client-any.pcap+server-any.pcap",
    ),
    (
        "path-echoed-option",
        "v1/35a-mirror-synack/client-e1.pcap+server-e1.pcap",
        "v1/13-strip-syn/client-e1.pcap+server-e1.pcap",
    ),
    (
        "path-changed-payload",
        "v1/11e-alg-insert-single/client-e1.pcap+server-e1.pcap",
        "v1/40-seq-randomising-firewall/client-any.pcap+server-any.pcap",
    ),
    (
        "path-rewrote-sequence-numbers",
        "v1/40-seq-randomising-firewall/client-any.pcap+server-any.pcap",
        "v1/30-nat/client-any.pcap+server-any.pcap",
    ),
    (
        "path-translated-addresses",
        "v1/30-nat/client-any.pcap+server-any.pcap",
        "v1/40-seq-randomising-firewall/client-any.pcap+server-any.pcap",
    ),
];

/// Complete captures of traffic with which nothing is wrong.
const HEALTHY: &[&str] = &[
    "v1/01-single/client-e1.pcap",
    "v1/02-client-endpoint/client-any.pcap",
    "v1/03-server-signal/client-any.pcap",
    "v1/04-fullmesh/client-any.pcap",
    "v1/06a-ipv6/client-any.pcap",
    "v1/07a-backup-client/client-any.pcap",
    "v1/08-mp-prio-small/client-any.pcap",
    "v1/10-csum-nogso/client-any.pcap",
    "v1/20-rm-addr/client-any.pcap",
    "v1/22b-loss-delay-csum/client-any.pcap",
    "v1/24-300-conns/client-any.pcap",
    "v1/25-vlan-qinq/trunk1.pcap+trunk2.pcap",
    "v1/26a-vxlan/underlay-e1.pcap+underlay-e2.pcap",
    "v1/27-snaplen96/client-any-full.pcap",
    "v1/27-snaplen96/client-any-s96.pcap",
    "v1/28-mid-start/full.pcap",
    "v1/29-formats/merged.pcap",
    "v1/30-nat/client-any.pcap",
    "v1/30-nat/nat-any.pcap",
    "v1/30-nat/server-any.pcap",
    "v1/30-nat/client-any.pcap+server-any.pcap",
    "v1/32-tfo/client-any.pcap",
    "v1/33-reuseport/client-e1.pcap",
    "v1/34b-any-twice/mbox-any.pcap",
    "v1/37-rawip-sll/any-sll1.pcap",
    "v1/39-port-reuse/client-any.pcap",
    "v1/40-seq-randomising-firewall/client-any.pcap+server-any.pcap",
    "v1/43-server-initiated-join/client-any.pcap",
    "v1/46-dss-32bit/server-any.pcap",
    "v0/01-fullmesh-csum/client_enp0s10.pcap+client_enp0s9.pcap",
    "v0/03-ndiffports4/client_enp0s9.pcap",
    "v0/05-default-pm/client_enp0s9.pcap",
    "v0/06-roundrobin/client_enp0s10.pcap+client_enp0s9.pcap",
    "v0/07-redundant/client_enp0s10.pcap+client_enp0s9.pcap",
    "v0/09-backup/client_enp0s10.pcap+client_enp0s9.pcap",
    "v0/16-ipv6/client_enp0s10.pcap+client_enp0s9.pcap",
    "v0/21-nat/client_enp0s10.pcap+client_enp0s9.pcap+server_eth1.pcap+server_eth2.pcap",
    "v0/22-cc-lia/client_enp0s10.pcap+client_enp0s9.pcap",
    "v0/27-syncookies/client_enp0s10.pcap+client_enp0s9.pcap",
];

/// The files of a case, here or beside the checkout; none where they are absent.
fn files(case: &str) -> Option<Vec<PathBuf>> {
    let (folder, names) = case.rsplit_once('/')?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = here.join("testdata/captures").join(folder.replace('/', "-"));
    [kept, here.join("../shared/captures").join(folder)].into_iter().find_map(|directory| {
        let files: Vec<PathBuf> = names.split('+').map(|name| directory.join(name)).collect();
        files.iter().all(|file| file.is_file()).then_some(files)
    })
}

fn report(case: &str) -> Option<Value> {
    let found = files(case);
    if found.is_none() {
        eprintln!("SKIPPED: {case} is absent");
    }
    Some(support::report(&found?, &[]))
}

fn findings(report: &Value) -> Vec<Value> {
    let of_connections = list(&report["connections"]).iter().flat_map(|connection| list(&connection["findings"]));
    of_connections.chain(list(&report["findings"])).cloned().collect()
}

fn has(report: &Value, id: &str) -> bool {
    findings(report).iter().any(|finding| finding["id"] == id)
}

#[test]
fn findings_fire_where_they_should() {
    for (id, fires, not) in FIRES {
        if let Some(report) = report(fires) {
            assert!(has(&report, id), "{id} in {fires}");
        }
        if let Some(report) = report(not) {
            assert!(!has(&report, id), "{id} not in {not}");
        }
    }
}

#[test]
fn healthy_traffic_has_notes_at_most() {
    for case in HEALTHY {
        let Some(report) = report(case) else { continue };
        for finding in findings(&report) {
            assert_eq!(finding["severity"], "note", "{case}: {finding:#}");
        }
    }
}

#[test]
fn captures_say_what_went_wrong() {
    for (name, case) in [
        ("01", "v1/01-single/client-e1.pcap"),
        ("11a_client", "v1/11a-csum-corrupt-single/client-e1.pcap"),
        ("11a_server", "v1/11a-csum-corrupt-single/server-e1.pcap"),
        ("11a_both", "v1/11a-csum-corrupt-single/client-e1.pcap+server-e1.pcap"),
        ("11e_server", "v1/11e-alg-insert-single/server-e1.pcap"),
        ("11e_both", "v1/11e-alg-insert-single/client-e1.pcap+server-e1.pcap"),
        ("12a", "v1/12a-csum-corrupt-sub2/client-any.pcap"),
        ("13_client", "v1/13-strip-syn/client-e1.pcap"),
        ("13_both", "v1/13-strip-syn/client-e1.pcap+server-e1.pcap"),
        ("14_client", "v1/14-strip-synack/client-e1.pcap"),
        ("14_server", "v1/14-strip-synack/server-e1.pcap"),
        ("14_both", "v1/14-strip-synack/client-e1.pcap+server-e1.pcap"),
        ("15a_client", "v1/15a-strip-after-synack/client-e1.pcap"),
        ("15a_server", "v1/15a-strip-after-synack/server-e1.pcap"),
        ("15a_both", "v1/15a-strip-after-synack/client-e1.pcap+server-e1.pcap"),
        ("15b_client", "v1/15b-strip-after-3rd-ack/client-e1.pcap"),
        ("15b_server", "v1/15b-strip-after-3rd-ack/server-e1.pcap"),
        ("15b_both", "v1/15b-strip-after-3rd-ack/client-e1.pcap+server-e1.pcap"),
        ("15d_client", "v1/15d-strip-s2c-only/client-e1.pcap"),
        ("15d_server", "v1/15d-strip-s2c-only/server-e1.pcap"),
        ("15d_both", "v1/15d-strip-s2c-only/client-e1.pcap+server-e1.pcap"),
        ("16", "v1/16-drop-mp-syn/client-e1.pcap"),
        ("17a", "v1/17a-plain-server/client-e1.pcap"),
        ("18a", "v1/18a-join-refused-limits/client-any.pcap"),
        ("18b_client", "v1/18b-join-stripped/client-any.pcap"),
        ("18b_both", "v1/18b-join-stripped/client-any.pcap+server-any.pcap"),
        ("18d", "v1/18d-join-hmac-synack/client-any.pcap"),
        ("18f", "v1/18f-join-bad-token/server-any.pcap"),
        ("19a", "v1/19a-fastclose-linger0-client/client-any.pcap"),
        ("19e", "v1/19e-fastclose-ack-variant/server-any.pcap"),
        ("20", "v1/20-rm-addr/client-any.pcap"),
        ("22b", "v1/22b-loss-delay-csum/client-any.pcap"),
        ("30_both", "v1/30-nat/client-any.pcap+server-any.pcap"),
        ("35a_client", "v1/35a-mirror-synack/client-e1.pcap"),
        ("35a_both", "v1/35a-mirror-synack/client-e1.pcap+server-e1.pcap"),
        ("40_both", "v1/40-seq-randomising-firewall/client-any.pcap+server-any.pcap"),
        ("v0_13a_both", "v0/13a-strip-syn/client_enp0s9.pcap+server_eth1.pcap"),
        (
            "v0_13e_both",
            "v0/13e-strip-join-only/client_enp0s10.pcap+client_enp0s9.pcap+server_eth1.pcap+server_eth2.pcap",
        ),
        ("v0_14", "v0/14-syn-drop/client_enp0s9.pcap"),
        ("v0_15", "v0/15-server-disabled/client_enp0s9.pcap"),
        ("v0_17b", "v0/17b-csumfail-single/server_eth1.pcap"),
        ("v0_18a", "v0/18a-fastclose-client/client_enp0s10.pcap+client_enp0s9.pcap"),
        ("v0_20", "v0/20-multipath-off/client_enp0s10.pcap+client_enp0s9.pcap"),
        ("v0_21_both", "v0/21-nat/client_enp0s10.pcap+client_enp0s9.pcap+server_eth1.pcap+server_eth2.pcap"),
        ("public_v0", "public/mptcp-v0.pcap"),
        ("public_aa_v1", "public/mptcp-aa-v1.pcap"),
        ("public_oobr", "public/mptcp-dss-oobr.pcap"),
    ] {
        if let Some(report) = report(case) {
            insta::with_settings!({ description => case, omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots/findings" }, {
                insta::assert_snapshot!(name, summary(&report));
            });
        }
    }
}

/// Outcome, fallback, close, subflows and findings, one line each.
fn summary(report: &Value) -> String {
    let mut out = String::new();
    for connection in list(&report["connections"]) {
        let fallback = &connection["fallback"];
        let by = fallback["by"].as_str().unwrap_or("cannot tell");
        let fallback = fallback["cause"].as_str().map_or_else(String::new, |cause| {
            format!(", {cause} by {by} at {} ({})", fallback["frame"], text(&fallback["counter"]))
        });
        let _ = writeln!(
            out,
            "connection {}: {}{fallback}; {}",
            connection["id"],
            text(&connection["outcome"]),
            text(&connection["close"])
        );
        for subflow in list(&connection["subflows"]) {
            let reset = &subflow["reset"];
            let reset = if reset.is_null() {
                String::new()
            } else {
                format!(", reset by {} at {} reason {}", text(&reset["by"]), reset["frame"], reset["reason"])
            };
            let _ = writeln!(out, "subflow {}: {}{reset}", subflow["id"], text(&subflow["state"]));
        }
        for finding in list(&connection["findings"]) {
            line(&mut out, finding);
        }
    }
    for finding in list(&report["findings"]) {
        line(&mut out, finding);
    }
    out
}

fn line(out: &mut String, finding: &Value) {
    let frames: Vec<String> = list(&finding["frames"]).iter().take(8).map(Value::to_string).collect();
    let _ = writeln!(
        out,
        "{} {} [{}]\n    {}",
        text(&finding["severity"]),
        text(&finding["id"]),
        frames.join(", "),
        text(&finding["message"])
    );
}

/// Captures whose packets a middlebox made differ from what the end that counts sent.
const NOT_AS_SENT: &[&str] = &["19e-fastclose-ack-variant", "52-encaps"];

#[test]
fn counters_are_the_kernels() {
    let mut compared = 0;
    for folder in support::folders().iter().filter(|folder| !NOT_AS_SENT.contains(&folder.scenario())) {
        let kernel = |end: &str, name: &str| {
            let v1 = &folder.truth["nstat"][end][name];
            let v0 = &folder.truth["counters"][end]["mptcp"][name.trim_start_matches("MPTcpExt")];
            v1.as_u64().or_else(|| v0.as_u64()).unwrap_or(0)
        };
        if folder.truth["nstat"].is_null() && folder.truth["counters"].is_null() || folder.is_cut() {
            continue;
        }
        let captures = folder.captures();
        let sets = if folder.is_v0() { vec![captures] } else { captures.into_iter().map(|file| vec![file]).collect() };
        for files in sets {
            let report = support::report(&files, &[]);
            for end in ["client", "server"] {
                for (name, implied) in report["kernel_counters"][end].as_object().expect("counters") {
                    assert_eq!(implied.as_u64(), Some(kernel(end, name)), "{name} of the {end} in {files:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

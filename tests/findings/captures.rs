//! Real captures.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{self, list};

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
        "v1/15b-strip-after-3rd-ack/client-e1.pcap+server-e1.pcap",
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

pub(crate) fn findings(report: &Value) -> Vec<Value> {
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

/// What another capture shows of a connection is compared, not set aside as a copy.
#[test]
fn segments_of_another_view_are_counted_as_such() {
    let [client, server] = ["client-e1.pcap", "server-e1.pcap"].map(|name| format!("v1/13-strip-syn/{name}"));
    let together = format!("{client}+server-e1.pcap");
    let [Some(client), Some(server), Some(together)] = [&client, &server, &together].map(|case| report(case)) else {
        return;
    };
    let count = |report: &Value, field: &str| report["capture"][field].as_u64();
    assert_eq!(count(&together, "tcp_segments"), count(&client, "tcp_segments"));
    assert_eq!(count(&together, "view_segments"), count(&server, "tcp_segments"));
    assert_eq!(count(&together, "duplicates"), count(&server, "tcp_segments"));
    assert_eq!(count(&client, "view_segments"), None);
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
        let each: Vec<_> = captures.iter().map(|file| vec![file.clone()]).collect();
        let sets = if folder.is_v0() { vec![captures] } else { [each, vec![captures]].concat() };
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

//! What holds for every report, whatever was captured.

use mptcp_inspect::limits;
use mptcp_inspect::model::{Connection, ConnectionDirection, Directions, Subflow, SubflowDirection};
use mptcp_inspect::report::{Report, TrackedReport, json};
use serde_json::Value;

/// Asserts all of them; gives the report as JSON text.
pub fn check(report: &TrackedReport) -> Vec<u8> {
    let capture = report.header().capture;
    let skipped = capture.skipped;
    let undecoded: u64 = capture.not_decoded.iter().map(|unknown| unknown.packets).sum();
    let accounted = capture.tcp_segments + capture.duplicates + skipped.not_ip + skipped.not_tcp + skipped.malformed;
    assert!(accounted <= capture.packets && undecoded <= skipped.not_ip, "{capture:?}");
    assert!(capture.mptcp_segments <= capture.tcp_segments + capture.duplicates, "{capture:?}");
    assert!(capture.view_segments <= capture.duplicates, "{capture:?}");
    assert!(capture.first <= capture.last);
    let mut last = 0;
    for index in 0..report.connection_count() {
        let built = report.connection(index);
        connection(&built);
        // Numbers go up, with gaps where one left or turned out to be another tap's view.
        assert!(built.id > last);
        last = built.id;
        let summary = report.summary(index);
        assert_eq!(summary.subflows as usize, built.subflows.len());
        assert_eq!((summary.version, summary.outcome), (built.version, built.outcome));
        assert_eq!(summary.findings, built.findings.iter().collect());
        assert_eq!(summary.client_token, built.client.token);
    }
    let orphans = report.orphans(&|_| true, limits::ORPHAN_JOINS);
    orphans.iter().flat_map(|group| &group.subflows).for_each(subflow);
    let listed: usize = orphans.iter().map(|group| group.subflows.len()).sum();
    assert_eq!(listed as u64, report.orphan_joins(&|_| true).min(limits::ORPHAN_JOINS as u64));
    assert_eq!(report.orphan_joins(&|_| true), report.header().capture.joins_without_connection);
    let mut text = Vec::new();
    json::write(&mut text, report, &[]).expect("a vector takes all");
    let value: Value = serde_json::from_slice(&text).expect("what is written as JSON reads back");
    assert_eq!(value["connections"].as_array().map(Vec::len), Some(report.connection_count()));
    text
}

fn connection(connection: &Connection) {
    let Directions { client_to_server, server_to_client } = &connection.directions;
    direction(connection, client_to_server, |subflow| &subflow.directions.client_to_server);
    direction(connection, server_to_client, |subflow| &subflow.directions.server_to_client);
    connection.subflows.iter().for_each(subflow);
    let subflows = connection.subflows.len() as u64;
    assert!(connection.subflows.iter().enumerate().all(|(index, subflow)| subflow.id == index as u64));
    assert!(connection.subflows.len() <= limits::SUBFLOWS && connection.addresses.len() <= limits::ADDRESSES);
    for finding in &connection.findings {
        assert_eq!(finding.connection, Some(connection.id));
        assert!(finding.subflow.is_none_or(|subflow| subflow < subflows), "{finding:?}");
        assert!(!finding.message.contains(char::is_control), "{finding:?}");
    }
}

fn direction(connection: &Connection, direction: &ConnectionDirection, of: impl Fn(&Subflow) -> &SubflowDirection) {
    let carried: Option<u64> = connection.subflows.iter().map(|subflow| of(subflow).data_bytes).sum();
    assert_eq!(carried, direction.bytes, "the subflows carried what the connection has: {connection:#?}");
    let shares: f64 = connection.subflows.iter().filter_map(|subflow| of(subflow).share).sum();
    let rounding = 1e-4 * connection.subflows.len() as f64;
    assert!(
        direction.bytes.is_none_or(|bytes| bytes == 0) || (shares - 1.0).abs() <= rounding,
        "shares add up to {shares}"
    );
    let checks = &direction.checksums;
    assert!(checks.consistent <= checks.unverifiable, "{checks:?}");
    assert!(checks.mismatches.len() as u64 <= checks.mismatch, "{checks:?}");
    assert!(checks.mismatches.iter().all(|wrong| wrong.subflow < connection.subflows.len() as u64));
    assert!(direction.reinjected_useful_bytes <= direction.reinjected_bytes, "{direction:?}");
    let reorder = &direction.reorder;
    assert!(reorder.p50_wait_ns <= reorder.p95_wait_ns && reorder.p95_wait_ns <= reorder.max_wait_ns, "{reorder:?}");
    assert!(direction.handovers.len() <= limits::HANDOVERS);
}

fn subflow(subflow: &Subflow) {
    for direction in [&subflow.directions.client_to_server, &subflow.directions.server_to_client] {
        assert!(direction.share.is_none_or(|share| (0.0..=1.0).contains(&share)), "{direction:?}");
        assert!(direction.retransmitted_bytes <= direction.payload_bytes, "{direction:?}");
        assert!(direction.payload_bytes == 0 || direction.segments > 0);
        for rtt in [&direction.rtt, &direction.rtt_timestamps].into_iter().flatten() {
            assert!(
                rtt.samples > 0 && rtt.min_ns <= rtt.p50_ns && rtt.p50_ns <= rtt.p95_ns && rtt.p95_ns <= rtt.max_ns
            );
        }
    }
}

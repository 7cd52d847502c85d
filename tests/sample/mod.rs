//! A report made by hand, with something of everything that outputs must show.

mod connections;
mod parts;

use connections::*;
use mptcp_inspect::crypto::Token;
use mptcp_inspect::model::*;
use mptcp_inspect::report::{Report, Summary};
use parts::*;

/// A report of given parts.
pub(crate) struct Sample {
    pub(crate) header: Header,
    pub(crate) connections: Vec<Connection>,
    pub(crate) orphans: Vec<Orphans>,
    pub(crate) findings: Vec<Finding>,
}

impl Report for Sample {
    fn header(&self) -> Header {
        self.header.clone()
    }
    fn connection_count(&self) -> usize {
        self.connections.len()
    }
    fn connection(&self, index: usize) -> Connection {
        self.connections[index].clone()
    }
    fn summary(&self, index: usize) -> Summary {
        let connection = &self.connections[index];
        Summary {
            id: index as u64 + 1,
            version: connection.version,
            outcome: connection.outcome,
            findings: connection.findings.iter().collect(),
            subflows: connection.subflows.len() as u32,
            bytes: [&connection.directions.client_to_server, &connection.directions.server_to_client]
                .iter()
                .filter_map(|sent| sent.bytes)
                .sum(),
            client_token: connection.client.token,
            server_token: connection.server.token,
        }
    }
    fn orphan_joins(&self, wanted: &dyn Fn(Option<Token>) -> bool) -> u64 {
        let groups = self.orphans.iter().filter(|group| wanted(group.token));
        groups.map(|group| group.subflows.len() as u64).sum()
    }
    fn orphans(&self, wanted: &dyn Fn(Option<Token>) -> bool, most: usize) -> Vec<Orphans> {
        // Each has one join.
        self.orphans.iter().filter(|group| wanted(group.token)).take(most).cloned().collect()
    }
    fn findings(&self) -> Vec<Finding> {
        self.findings.clone()
    }
}

/// Nothing was read.
pub(crate) fn empty() -> Sample {
    Sample { header: header(&["empty.pcap"], 0), connections: vec![], orphans: vec![], findings: vec![] }
}

/// One healthy connection.
pub(crate) fn healthy() -> Sample {
    Sample {
        header: header(&["two-paths.pcapng"], 995),
        connections: vec![two_paths(1)],
        orphans: vec![],
        findings: vec![],
    }
}

/// Everything that can go wrong.
pub(crate) fn troubled() -> Sample {
    let mut header = header(&["phone.pcapng", "server\u{1b}[31m.pcap"], 1_234_567);
    header.capture.duplicates = 9_012;
    header.capture.view_segments = 9_000;
    header.capture.skipped = Skipped { not_ip: 1_203, not_tcp: 88, malformed: 1, ..Skipped::default() };
    header.inputs[1].cut_after = Some(98_123);
    header.inputs[1].interfaces[0].name = Some("rmnet0\u{202e}".to_owned());
    header.tcp_connections = TcpConnections { seen: 14, asked_for_mptcp: Some(5), forgotten: 0 };
    Sample {
        header,
        connections: vec![two_paths(1), bad_join(2), fallback(3), handover(4), from_the_middle(5)],
        orphans: vec![Orphans { token: Some(Token(0x1122_3344)), subflows: vec![orphan()] }],
        findings: vec![Finding {
            id: "options-stripped-on-port",
            severity: Severity::Warning,
            message:
                "MP_CAPABLE was answered on 3 of 3 connections to port 443 and on 0 of 5 to port 80: something on the \
                      path to port 80 removes it."
                    .to_owned(),
            connection: None,
            subflow: None,
            frames: (1..=12).map(|number| frame_of(0, number * 7)).collect(),
            rfc: None,
            counter: None,
            between: None,
            advice: Some(
                "Compare with a capture taken at the server: if the SYN arrives there without the option, it is the path.",
            ),
        }],
    }
}

/// `count` joins, each with a token that nobody has.
pub(crate) fn guessed(count: u32) -> Sample {
    let of = |token| Orphans { token: Some(Token(token)), subflows: vec![orphan()] };
    Sample { orphans: (0..count).map(of).collect(), ..empty() }
}

/// `count` small connections, one of them with an error.
pub(crate) fn many(count: u64) -> Sample {
    let mut connections: Vec<Connection> = (1..=count).map(small).collect();
    if let Some(last) = connections.last_mut() {
        last.findings = bad_join(last.id).findings;
    }
    let mut header = header(&["many.pcap"], count * 40);
    header.tcp_connections = TcpConnections { seen: count, asked_for_mptcp: Some(count), forgotten: 0 };
    Sample { header, connections, orphans: vec![], findings: vec![] }
}

fn header(names: &[&str], packets: u64) -> Header {
    let inputs = names
        .iter()
        .map(|name| Input {
            name: (*name).to_owned(),
            kind: "pcapng",
            interfaces: vec![Interface {
                name: Some("enp0s9".to_owned()),
                link_type: "EN10MB".to_owned(),
                snaplen: 262_144,
            }],
            packets: packets / names.len() as u64,
            cut_after: None,
            dropped: None,
        })
        .collect();
    let seen = packets > 0;
    Header {
        schema: SCHEMA,
        tool: "mptcp-inspect 0.0.0".to_owned(),
        inputs,
        capture: CaptureSummary {
            not_decoded: Vec::new(),
            first: seen.then(|| time(0)),
            last: seen.then(|| time(831_000_000)),
            packets,
            tcp_segments: packets.saturating_sub(5),
            mptcp_segments: packets.saturating_sub(94),
            ..CaptureSummary::default()
        },
        tcp_connections: TcpConnections { seen: u64::from(seen), asked_for_mptcp: Some(u64::from(seen)), forgotten: 0 },
        stack: CaptureStack::default(),
    }
}

//! A report made by hand, with something of everything that outputs must show.

use mptcp_inspect::crypto::{Key, Token};
use mptcp_inspect::frame::{FrameId, Timestamp};
use mptcp_inspect::report::model::*;
use mptcp_inspect::report::{Report, Summary};

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
            bytes: connection.directions.client_to_server.bytes + connection.directions.server_to_client.bytes,
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
    header.tcp_connections = TcpConnections { seen: 14, asked_for_mptcp: 5, forgotten: 0 };
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
    header.tcp_connections = TcpConnections { seen: count, asked_for_mptcp: count, forgotten: 0 };
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
            first: seen.then(|| time(0)),
            last: seen.then(|| time(831_000_000)),
            packets,
            tcp_segments: packets.saturating_sub(5),
            mptcp_segments: packets.saturating_sub(94),
            ..CaptureSummary::default()
        },
        tcp_connections: TcpConnections { seen: u64::from(seen), asked_for_mptcp: u64::from(seen), forgotten: 0 },
        stack: CaptureStack::default(),
    }
}

fn time(nanos: i64) -> Timestamp {
    Timestamp(1_795_349_448_622_157_801 + nanos)
}

fn frame_of(input: u16, number: u64) -> FrameRef {
    FrameRef { id: FrameId { number, input }, several_inputs: false }
}

fn frame(number: u64) -> FrameRef {
    frame_of(0, number)
}

fn moment(number: u64, nanos: i64) -> Moment {
    Moment { frame: frame(number), time: time(nanos) }
}

fn end(address: &str, port: u16, key: Option<u64>, token: Option<u32>) -> Endpoint {
    Endpoint {
        address: Some(address.parse().unwrap()),
        port: Some(port),
        key: key.map(|key| Key(key.to_be_bytes())),
        key_source: key.map(|_| "mp_capable"),
        key_frame: key.map(|_| frame(3)),
        token: token.map(Token),
        idsn: key.map(|key| Sequence64(key.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        flags: key.map(|_| CapableFlags { checksum: true, deny_join_id0: false }),
    }
}

fn socket(address: &str, port: u16) -> SocketAddress {
    SocketAddress { address: address.parse().unwrap(), port }
}

fn verified() -> Verdict {
    Verdict::Verified { variant: None }
}

fn carried(bytes: u64, of: u64, segments: u64) -> SubflowDirection {
    SubflowDirection {
        segments,
        payload_bytes: bytes + 264,
        retransmitted_bytes: 264,
        data_bytes: bytes,
        share: (of > 0).then(|| bytes as f64 / of as f64),
        reinjected_bytes: 0,
        rtt: Some(Rtt {
            samples: segments / 2,
            min_ns: 10_100_000,
            p50_ns: 12_345_678,
            p95_ns: 48_000_000,
            max_ns: 1_230_000_000,
        }),
        rtt_timestamps: None,
        max_in_flight_bytes: 65_535,
        first_data: Some(At { frame: frame(18) }),
        last_data: Some(At { frame: frame(970) }),
    }
}

fn subflow(id: u64, source: SocketAddress, destination: SocketAddress) -> Subflow {
    let syn = Syn {
        frame: frame(3 + id * 5),
        mss: Some(1460),
        window_scale: Some(10),
        sack_permitted: true,
        timestamps: true,
        retransmissions: 0,
        fast_open_bytes: 0,
    };
    Subflow {
        id,
        role: if id == 0 { "initial" } else { "join" },
        initiator: Some("client"),
        source,
        destination,
        also_seen_as: vec![],
        interfaces: vec!["enp0s9".to_owned()],
        address_ids: AddressIds { source: Some(id as u8), destination: Some(0) },
        backup: Backup { client: false, server: false, changes: vec![] },
        join: (id > 0).then(|| Join {
            token: Some(Token(0xb4eb_a729)),
            token_check: verified(),
            syn_ack_hmac: verified(),
            ack_hmac: verified(),
        }),
        state: "closed",
        reset: None,
        syn: Some(syn.clone()),
        syn_ack: Some(Syn { frame: frame(4 + id * 5), retransmissions: id as u32 % 2, ..syn }),
        opened: moment(3 + id * 5, 0),
        closed: Some(moment(990, 830_000_000)),
        directions: Directions::default(),
    }
}

fn connection(id: u64, client: Endpoint, server: Endpoint) -> Connection {
    Connection {
        id,
        version: Some(1),
        dialect: Some("rfc8684"),
        client,
        server,
        checksum: Some(false),
        options_cut: false,
        outcome: "mptcp",
        fallback: None,
        close: "data_fin",
        opened: moment(3, 0),
        closed: Some(moment(993, 831_000_000)),
        duration_ns: 831_000_000,
        directions: Directions::default(),
        addresses: vec![],
        subflows: vec![],
        views: vec![],
        stack: Stack::default(),
        left_out: None,
        findings: vec![],
    }
}

fn direction(bytes: u64, verified: u64) -> ConnectionDirection {
    ConnectionDirection {
        bytes,
        acked_bytes: Some(bytes),
        data_fin: Some(DataFin { frame: frame(981), acked: true }),
        checksums: Checksums { verified, ..Checksums::default() },
        ..ConnectionDirection::default()
    }
}

fn two_paths(id: u64) -> Connection {
    let mut first = subflow(0, socket("10.8.1.1", 57862), socket("10.8.1.2", 8080));
    first.directions.client_to_server = carried(340_000, 500_000, 410);
    first.directions.server_to_client = carried(1_198_800, 1_200_000, 1030);
    let mut second = subflow(1, socket("10.8.2.1", 40001), socket("10.8.2.2", 8080));
    second.directions.client_to_server = carried(160_000, 500_000, 120);
    second.directions.server_to_client = carried(1_200, 1_200_000, 2);
    second.address_ids.destination = Some(1);
    Connection {
        checksum: Some(true),
        directions: Directions {
            client_to_server: direction(500_000, 170),
            server_to_client: direction(1_200_000, 1_405),
        },
        addresses: vec![Address {
            by: "server",
            id: 1,
            address: "10.8.2.2".parse().unwrap(),
            port: None,
            frame: frame(6),
            hmac: Some(Verdict::Verified { variant: Some("rfc8684") }),
            echoed: Some(At { frame: frame(7) }),
            sent: 1,
            removed: None,
        }],
        subflows: vec![first, second],
        stack: Stack {
            path_manager: Sides {
                client: PathManager {
                    pattern: Some("fullmesh"),
                    confidence: Some(0.97),
                    frames: vec![frame(8)],
                    ..PathManager::default()
                },
                server: PathManager { why: Some("opened no subflow".to_owned()), ..PathManager::default() },
            },
            ..Stack::default()
        },
        ..connection(
            id,
            end("10.8.1.1", 57862, Some(0xb46a_fbd4_6ae0_ec67), Some(0x7b22_1d74)),
            end("10.8.1.2", 8080, Some(0x0102_0304_0506_0708), Some(0xb4eb_a729)),
        )
    }
}

fn bad_join(id: u64) -> Connection {
    let mut first = subflow(0, socket("2001:db8:1::1", 57862), socket("2001:db8:ffff::53", 443));
    first.directions.server_to_client = carried(24_500_000, 24_500_000, 17_000);
    let mut refused = subflow(1, socket("2001:db8:1::1", 57864), socket("2001:db8:fff2::53", 443));
    refused.state = "reset";
    refused.join = Some(Join {
        token: Some(Token(0xb4eb_a729)),
        token_check: verified(),
        syn_ack_hmac: Verdict::Mismatch {
            expected: "a1b2c3d4e5f60718".to_owned(),
            seen: "0000000000000000".to_owned(),
        },
        ack_hmac: Verdict::Unverifiable { why: "segments_missing" },
    });
    refused.reset = Some(Reset {
        by: Some("client"),
        frame: frame(14),
        reason: Some(1),
        meaning: Some("MPTCP-specific error"),
        transient: Some(false),
    });
    let mut from_server = subflow(2, socket("2001:db8:ffff::54", 443), socket("2001:db8:1::1", 33_000));
    from_server.initiator = Some("server");
    from_server.backup.server = true;
    from_server.backup.changes = vec![BackupChange { frame: frame(55), by: "server", backup: true }];
    from_server.address_ids = AddressIds { source: Some(3), destination: None };
    Connection {
        close: "open",
        closed: None,
        duration_ns: 125_000_000_000,
        directions: Directions {
            client_to_server: ConnectionDirection::default(),
            server_to_client: direction(24_500_000, 0),
        },
        subflows: vec![first, refused, from_server],
        findings: vec![
            Finding {
                id: "backup-used",
                severity: Severity::Note,
                message: "The server asked for subflow 2 to be a backup and it carried nothing.".to_owned(),
                connection: Some(id),
                subflow: Some(2),
                frames: vec![frame(55)],
                rfc: Some("8684 §3.3.8"),
                counter: None,
                advice: None,
                between: None,
            },
            Finding {
                id: "join-hmac-mismatch",
                severity: Severity::Error,
                message: "The SYN/ACK's HMAC does not prove the server's key: expected a1b2c3d4e5f60718, seen \
                          0000000000000000, so the client refused the join."
                    .to_owned(),
                connection: Some(id),
                subflow: Some(1),
                frames: vec![frame(12), frame(14)],
                rfc: Some("8684 §3.2"),
                counter: Some("MPTcpExtMPJoinSynAckHMacFailure"),
                between: None,
                advice: Some(
                    "Another host answered in the server's place, or the key was changed on the way: compare the keys in a \
                     capture taken at the server.",
                ),
            },
        ],
        ..connection(
            id,
            end("2001:db8:1::1", 57862, Some(1), Some(0x0000_0fd1)),
            end("2001:db8:ffff::53", 443, Some(2), Some(0xb4eb_a729)),
        )
    }
}

fn fallback(id: u64) -> Connection {
    let mut only = subflow(0, socket("192.168.178.23", 50_124), socket("203.0.113.200", 80));
    only.directions =
        Directions { client_to_server: carried(412, 412, 9), server_to_client: carried(8_812, 8_812, 12) };
    let by_path = Fallback {
        cause: "no_option_in_syn_ack",
        by: None,
        frame: Some(frame(31)),
        counter: Some("MPTcpExtMPCapableFallbackSYNACK"),
    };
    Connection {
        outcome: "fallback",
        fallback: Some(by_path),
        close: "fallback_fin",
        duration_ns: 45_000_000,
        directions: Directions {
            client_to_server: ConnectionDirection { bytes: 412, ..ConnectionDirection::default() },
            server_to_client: ConnectionDirection { bytes: 8_812, ..ConnectionDirection::default() },
        },
        subflows: vec![only],
        ..connection(
            id,
            end("192.168.178.23", 50_124, Some(3), Some(0x8e00_0fd1)),
            end("203.0.113.200", 80, None, None),
        )
    }
}

fn handover(id: u64) -> Connection {
    let mut wifi = subflow(0, socket("192.168.178.23", 50_200), socket("203.0.113.201", 443));
    wifi.directions.server_to_client = carried(30_000_000, 54_000_000, 20_000);
    wifi.state = "reset";
    wifi.reset = Some(Reset { by: Some("server"), frame: frame(4_001), reason: None, meaning: None, transient: None });
    let mut lte = subflow(1, socket("100.64.3.2", 50_201), socket("203.0.113.201", 443));
    lte.directions.server_to_client = carried(24_000_000, 54_000_000, 16_000);
    lte.also_seen_as =
        vec![FourTuple { source: socket("198.51.100.7", 6_201), destination: socket("203.0.113.201", 443) }];
    lte.interfaces = vec!["rmnet0\u{202e}".to_owned()];
    let mut down = direction(54_000_000, 27_575);
    down.checksums.mismatch = 1;
    down.checksums.unverifiable = 4;
    down.reinjected_bytes = 1_400_000;
    down.missing_bytes = 2_896;
    down.reorder = Reorder {
        late_bytes: 8_000_000,
        max_wait_ns: 340_000_000,
        p50_wait_ns: 12_000_000,
        p95_wait_ns: 99_000_000,
        max_buffer_bytes: 512_000,
        slowest_subflow: Some(1),
    };
    down.handovers =
        vec![Handover { from: 0, to: 1, frame: frame(4_100), gap_ns: 1_234_000_000, signal: Some("remove_addr") }];
    down.acked_bytes = Some(54_002_000);
    Connection {
        version: Some(0),
        dialect: Some("rfc6824"),
        checksum: Some(true),
        close: "fastclose",
        duration_ns: 3_671_000_000_000,
        directions: Directions { client_to_server: ConnectionDirection::default(), server_to_client: down },
        subflows: vec![wifi, lte],
        findings: vec![Finding {
            id: "checksum-mismatch",
            severity: Severity::Error,
            message: "1 of 27,576 DSS checksums is wrong: 1,428 bytes from DSN 15213121 on were changed on the way."
                .to_owned(),
            connection: Some(id),
            subflow: None,
            frames: vec![frame(800), frame(801)],
            rfc: Some("6824 §3.3.1"),
            counter: Some("MPTcpExtDataCsumErr"),
            advice: None,
            between: None,
        }],
        ..connection(
            id,
            end("192.168.178.23", 50_200, Some(5), Some(0x0aaa_0fd1)),
            end("203.0.113.201", 443, Some(6), Some(0x0bbb_a729)),
        )
    }
}

fn from_the_middle(id: u64) -> Connection {
    let mut first = subflow(0, socket("10.8.1.1", 44_000), socket("10.8.1.2", 8080));
    first.state = "unknown";
    (first.syn, first.syn_ack) = (None, None);
    first.address_ids = AddressIds { source: None, destination: None };
    let mut second = subflow(1, socket("10.8.2.1", 44_001), socket("10.8.1.2", 8080));
    second.state = "established";
    let unseen = || Verdict::Unverifiable { why: "keys_not_seen" };
    second.join = Some(Join {
        token: Some(Token(0x5566_7788)),
        token_check: unseen(),
        syn_ack_hmac: unseen(),
        ack_hmac: unseen(),
    });
    Connection {
        version: None,
        dialect: None,
        checksum: None,
        options_cut: false,
        outcome: "unknown",
        close: "open",
        closed: None,
        subflows: vec![first, second],
        ..connection(id, end("10.8.1.1", 44_000, None, None), end("10.8.1.2", 8080, None, Some(0x5566_7788)))
    }
}

fn orphan() -> Subflow {
    let mut subflow = subflow(0, socket("10.9.2.1", 55_001), socket("10.9.1.2", 8080));
    subflow.role = "join";
    subflow.state = "established";
    let unseen = || Verdict::Unverifiable { why: "connection_not_seen" };
    subflow.join = Some(Join {
        token: Some(Token(0x1122_3344)),
        token_check: unseen(),
        syn_ack_hmac: unseen(),
        ack_hmac: unseen(),
    });
    subflow
}

fn small(id: u64) -> Connection {
    let port = 30_000 + id as u16;
    let mut only = subflow(0, socket("10.8.1.1", port), socket("10.8.1.2", 8080));
    only.directions.client_to_server = carried(1_000 + id, 1_000 + id, 3);
    Connection {
        directions: Directions {
            client_to_server: direction(1_000 + id, 0),
            server_to_client: ConnectionDirection::default(),
        },
        subflows: vec![only],
        ..connection(
            id,
            end("10.8.1.1", port, Some(id), Some(0x1000_0000 + id as u32)),
            end("10.8.1.2", 8080, Some(id + 1_000_000), Some(0x2000_0000 + id as u32)),
        )
    }
}

//! Connections, each with something of its own to show.

use super::parts::*;
use mptcp_inspect::crypto::Token;
use mptcp_inspect::model::*;

pub(super) fn two_paths(id: u64) -> Connection {
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

pub(super) fn bad_join(id: u64) -> Connection {
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
        absent: Vec::new(),
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
        duration_ns: Some(125_000_000_000),
        directions: Directions { client_to_server: no_data(), server_to_client: direction(24_500_000, 0) },
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

pub(super) fn fallback(id: u64) -> Connection {
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
        duration_ns: Some(45_000_000),
        directions: Directions {
            client_to_server: ConnectionDirection { bytes: Some(412), ..no_data() },
            server_to_client: ConnectionDirection { bytes: Some(8_812), ..no_data() },
        },
        subflows: vec![only],
        ..connection(
            id,
            end("192.168.178.23", 50_124, Some(3), Some(0x8e00_0fd1)),
            end("203.0.113.200", 80, None, None),
        )
    }
}

pub(super) fn handover(id: u64) -> Connection {
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
    down.reinjected_bytes = Some(1_400_000);
    down.missing_bytes = Some(2_896);
    down.reorder = Reorder {
        late_bytes: 8_000_000,
        max_wait_ns: Some(340_000_000),
        p50_wait_ns: Some(12_000_000),
        p95_wait_ns: Some(99_000_000),
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
        duration_ns: Some(3_671_000_000_000),
        directions: Directions { client_to_server: no_data(), server_to_client: down },
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

pub(super) fn from_the_middle(id: u64) -> Connection {
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
        absent: Vec::new(),
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

pub(super) fn orphan() -> Subflow {
    let mut subflow = subflow(0, socket("10.9.2.1", 55_001), socket("10.9.1.2", 8080));
    subflow.role = Some("join");
    subflow.state = "established";
    let unseen = || Verdict::Unverifiable { why: "connection_not_seen" };
    subflow.join = Some(Join {
        token: Some(Token(0x1122_3344)),
        token_check: unseen(),
        syn_ack_hmac: unseen(),
        ack_hmac: unseen(),
        absent: Vec::new(),
    });
    subflow
}

pub(super) fn small(id: u64) -> Connection {
    let port = 30_000 + id as u16;
    let mut only = subflow(0, socket("10.8.1.1", port), socket("10.8.1.2", 8080));
    only.directions.client_to_server = carried(1_000 + id, 1_000 + id, 3);
    Connection {
        directions: Directions { client_to_server: direction(1_000 + id, 0), server_to_client: no_data() },
        subflows: vec![only],
        ..connection(
            id,
            end("10.8.1.1", port, Some(id), Some(0x1000_0000 + id as u32)),
            end("10.8.1.2", 8080, Some(id + 1_000_000), Some(0x2000_0000 + id as u32)),
        )
    }
}

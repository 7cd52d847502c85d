//! What reports are put together from, with the usual values.

use mptcp_inspect::crypto::{Key, Token};
use mptcp_inspect::frame::{FrameId, Timestamp};
use mptcp_inspect::model::*;

pub(super) fn time(nanos: i64) -> Timestamp {
    Timestamp(1_795_349_448_622_157_801 + nanos)
}

pub(super) fn frame_of(input: u16, number: u64) -> FrameRef {
    FrameRef { id: FrameId { number, input }, input: None }
}

pub(super) fn frame(number: u64) -> FrameRef {
    frame_of(0, number)
}

pub(super) fn moment(number: u64, nanos: i64) -> Moment {
    Moment { frame: frame(number), time: time(nanos) }
}

pub(super) fn end(address: &str, port: u16, key: Option<u64>, token: Option<u32>) -> Endpoint {
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

pub(super) fn socket(address: &str, port: u16) -> SocketAddress {
    SocketAddress { address: address.parse().unwrap(), port }
}

pub(super) fn verified() -> Verdict {
    Verdict::Verified { variant: None }
}

pub(super) fn carried(bytes: u64, of: u64, segments: u64) -> SubflowDirection {
    SubflowDirection {
        segments,
        payload_bytes: bytes + 264,
        retransmitted_bytes: 264,
        data_bytes: Some(bytes),
        share: (of > 0).then(|| bytes as f64 / of as f64),
        reinjected_bytes: Some(0),
        rtt: Some(Rtt {
            samples: segments / 2,
            min_ns: 10_100_000,
            p50_ns: 12_345_678,
            p95_ns: 48_000_000,
            max_ns: 1_230_000_000,
        }),
        rtt_timestamps: None,
        max_in_flight_bytes: Some(65_535),
        first_data: Some(At { frame: frame(18) }),
        last_data: Some(At { frame: frame(970) }),
    }
}

pub(super) fn subflow(id: u64, source: SocketAddress, destination: SocketAddress) -> Subflow {
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
        role: Some(if id == 0 { "initial" } else { "join" }),
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
            absent: Vec::new(),
        }),
        state: "closed",
        reset: None,
        syn: Some(syn.clone()),
        syn_ack: Some(Syn { frame: frame(4 + id * 5), retransmissions: id as u32 % 2, ..syn }),
        opened: moment(3 + id * 5, 0),
        closed: Some(moment(990, 830_000_000)),
        directions: Directions { client_to_server: idle(), server_to_client: idle() },
    }
}

pub(super) fn connection(id: u64, client: Endpoint, server: Endpoint) -> Connection {
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
        duration_ns: Some(831_000_000),
        directions: Directions { client_to_server: no_data(), server_to_client: no_data() },
        addresses: vec![],
        subflows: vec![],
        views: vec![],
        stack: Stack::default(),
        left_out: None,
        findings: vec![],
    }
}

pub(super) fn direction(bytes: u64, verified: u64) -> ConnectionDirection {
    ConnectionDirection {
        bytes: Some(bytes),
        acked_bytes: Some(bytes),
        unmapped_bytes: Some(0),
        data_fin: Some(DataFin { frame: frame(981), acked: true }),
        checksums: Checksums { verified, ..Checksums::default() },
        ..no_data()
    }
}

/// A direction without data.
pub(super) fn no_data() -> ConnectionDirection {
    ConnectionDirection {
        bytes: Some(0),
        reinjected_bytes: Some(0),
        reinjected_useful_bytes: Some(0),
        resent_bytes: Some(0),
        missing_bytes: Some(0),
        reorder: Reorder { max_wait_ns: Some(0), p50_wait_ns: Some(0), p95_wait_ns: Some(0), ..Reorder::default() },
        ..ConnectionDirection::default()
    }
}

/// A direction of a subflow without data.
fn idle() -> SubflowDirection {
    SubflowDirection { data_bytes: Some(0), reinjected_bytes: Some(0), ..SubflowDirection::default() }
}

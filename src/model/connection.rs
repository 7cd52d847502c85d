//! One connection: its ends, its two data streams, its addresses.

use std::net::IpAddr;

use serde::Serialize;

use super::{At, Finding, FrameRef, Moment, Reset, Sequence64, SocketAddress, Stack, Subflow, Syn, Verdict};
use crate::crypto::{Key, Token};

/// One MPTCP connection.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// Number in the report, from 1, in order of first packet.
    pub id: u64,
    /// MPTCP version: 0, 1, or unknown.
    pub version: Option<u8>,
    /// `rfc6824`, `rfc8684`, `draft-v1`.
    pub dialect: Option<&'static str>,
    /// The end that opened it (or, in a capture that begins in the middle, the end taken for it).
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// Whether DSS checksums are in use: asked for by either side.
    pub checksum: Option<bool>,
    /// The snaplen cut TCP options of it: what is missing may have been there.
    pub options_cut: bool,
    /// `mptcp`, `fallback`, `refused`, `unanswered`, `unknown`.
    pub outcome: &'static str,
    /// Why and by whom it fell back to TCP.
    pub fallback: Option<Fallback>,
    /// `data_fin`, `half_closed`, `fastclose`, `reset`, `tcp_fin_only`, `fallback_fin`, `open`.
    pub close: &'static str,
    /// First packet.
    pub opened: Moment,
    /// Last packet of a closed connection.
    pub closed: Option<Moment>,
    /// From first to last packet.
    pub duration_ns: Option<u64>,
    /// The two data streams.
    pub directions: Directions<ConnectionDirection>,
    /// Addresses announced, in order of announcement.
    pub addresses: Vec<Address>,
    /// Subflows in order of their first packet.
    pub subflows: Vec<Subflow>,
    /// The same connection seen at further taps, where the packets differ.
    pub views: Vec<View>,
    /// What the traffic shows of the stack's settings.
    pub stack: Stack,
    /// What is worth telling.
    pub findings: Vec<Finding>,
    /// What limits left out of the lists above; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

/// What limits on memory left out of the lists of one connection. No honest connection has that many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Joins: their segments are in no connection.
    pub subflows: u64,
    /// Announcements of addresses.
    pub addresses: u64,
    /// Removals of addresses.
    pub removals: u64,
    /// Changes of priority.
    pub priority_changes: u64,
    /// Moves of data from a silent path.
    pub handovers: u64,
    /// Breaches of the rules, of which there are no findings.
    pub breaches: u64,
    /// Other 4-tuples of subflows.
    pub tuples: u64,
    /// Checksums that do not match, which are counted but not listed.
    pub checksum_mismatches: u64,
}

impl LeftOut {
    /// Each with what it is, in the singular.
    pub fn each(&self) -> [(u64, &'static str); 8] {
        [
            (self.subflows, "join"),
            (self.addresses, "announcement"),
            (self.removals, "address removal"),
            (self.priority_changes, "priority change"),
            (self.handovers, "handover"),
            (self.breaches, "violation"),
            (self.tuples, "other 4-tuple"),
            (self.checksum_mismatches, "checksum mismatch"),
        ]
    }
}

/// One value a direction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Directions<T> {
    /// Sent by the client.
    pub client_to_server: T,
    /// Sent by the server.
    pub server_to_client: T,
}

/// One end of a connection.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    /// Address on the initial subflow.
    pub address: Option<IpAddr>,
    /// Port on the initial subflow.
    pub port: Option<u16>,
    /// Its key.
    pub key: Option<Key>,
    /// Where the key was learnt: `mp_capable`, `mp_fastclose`, `command_line`.
    pub key_source: Option<&'static str>,
    /// The frame that showed the key.
    pub key_frame: Option<FrameRef>,
    /// Its token: computed from the key, or seen in a join.
    pub token: Option<Token>,
    /// Its initial data sequence number.
    pub idsn: Option<Sequence64>,
    /// What its MP_CAPABLE asked for.
    pub flags: Option<CapableFlags>,
}

/// Flags of one end's MP_CAPABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CapableFlags {
    /// A: DSS checksums required.
    pub checksum: bool,
    /// C (v1): no joins to this address and port.
    pub deny_join_id0: bool,
}

/// Why a connection is not, or no longer, MPTCP.
#[derive(Clone, Debug, Serialize)]
pub struct Fallback {
    /// `no_option_in_syn_ack`, `option_echoed`, `syn_retried_without_option`, `no_option_in_third_ack`,
    /// `no_option_on_data`, `options_vanished`, `mp_fail`, `infinite_mapping`, `bad_option`, `simultaneous_open`.
    pub cause: &'static str,
    /// `client`, `server`, `path`, or unknown from this capture.
    pub by: Option<&'static str>,
    /// Where it shows.
    pub frame: Option<FrameRef>,
    /// The Linux counter the same event raises.
    pub counter: Option<&'static str>,
}

/// The data level of one direction. What only mappings tell is none where the capture cut the options that may have held them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConnectionDirection {
    /// Unique data-level bytes seen, without DATA_FIN. In a fallback, TCP stream bytes.
    pub bytes: Option<u64>,
    /// Bytes acknowledged by the highest DATA_ACK.
    pub acked_bytes: Option<u64>,
    /// Same DSNs again on another subflow.
    pub reinjected_bytes: Option<u64>,
    /// Of those, bytes whose original had not been acknowledged at the data level yet.
    pub reinjected_useful_bytes: Option<u64>,
    /// Same DSNs under new sequence numbers on the same subflow.
    pub resent_bytes: Option<u64>,
    /// Payload that no mapping covers.
    pub unmapped_bytes: Option<u64>,
    /// DSN holes below the highest DSN seen.
    pub missing_bytes: Option<u64>,
    /// The end of the stream.
    pub data_fin: Option<DataFin>,
    /// DSS checksums of mappings.
    pub checksums: Checksums,
    /// How data was put back in order.
    pub reorder: Reorder,
    /// Times a path that carried data fell silent and another took over.
    pub handovers: Vec<Handover>,
}

/// DATA_FIN of one direction.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DataFin {
    /// First frame that carries it.
    pub frame: FrameRef,
    /// Whether a DATA_ACK covered it.
    pub acked: bool,
}

/// Counts of DSS checksums, one a mapping.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checksums {
    /// Recomputed and right.
    pub verified: u64,
    /// Recomputed and wrong.
    pub mismatch: u64,
    /// Not recomputable: bytes cut or missing, or the high half of the DSN unknown.
    pub unverifiable: u64,
    /// Of those, mappings that agree with each other on the unknown high half: consistent, but not verified.
    pub consistent: u64,
    /// Where the wrong ones are (bounded; `mismatch` counts all).
    pub mismatches: Vec<ChecksumMismatch>,
}

/// One wrong DSS checksum.
#[derive(Clone, Debug, Serialize)]
pub struct ChecksumMismatch {
    /// Index of the subflow.
    pub subflow: u64,
    /// Frame with the mapping.
    pub mapping_frame: FrameRef,
    /// Frame with the mapping's last byte.
    pub last_frame: FrameRef,
    /// First data sequence number of the mapping.
    pub dsn: Sequence64,
    /// Its data-level length.
    pub length: u32,
    /// Checksum of the bytes seen, hex.
    pub expected: String,
    /// Checksum in the option, hex.
    pub seen: String,
    /// A sentence on what else shows: bytes inserted, bytes changed in place, one end that computes all of them wrongly; `None`
    /// where it could be anything.
    pub explanation: Option<&'static str>,
}

/// Reordering at the data level, as it shows at the capture point.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Reorder {
    /// Bytes that arrived above a hole.
    pub late_bytes: u64,
    /// Longest time such bytes waited for the hole to fill; `None` where none of theirs did in this capture.
    pub max_wait_ns: Option<u64>,
    /// Median wait, by bytes.
    pub p50_wait_ns: Option<u64>,
    /// 95th percentile, by bytes.
    pub p95_wait_ns: Option<u64>,
    /// Most bytes waiting at once.
    pub max_buffer_bytes: u64,
    /// The subflow whose arrivals filled the holes that most bytes had waited for.
    pub slowest_subflow: Option<u64>,
}

/// One move of data from a silent path to another.
#[derive(Clone, Debug, Serialize)]
pub struct Handover {
    /// Subflow that fell silent.
    pub from: u64,
    /// Subflow that took over.
    pub to: u64,
    /// First frame of new data on `to`.
    pub frame: FrameRef,
    /// Silence between the last new data on `from` and the first on `to`.
    pub gap_ns: u64,
    /// What announced it: `remove_addr`, `mp_prio`, `fin`, `reset`, or nothing.
    pub signal: Option<&'static str>,
}

/// One address announced with ADD_ADDR.
#[derive(Clone, Debug, Serialize)]
pub struct Address {
    /// `client` or `server`.
    pub by: &'static str,
    /// Its id.
    pub id: u8,
    /// The address.
    pub address: IpAddr,
    /// The port, if one was announced.
    pub port: Option<u16>,
    /// First announcement.
    pub frame: FrameRef,
    /// Check of its HMAC; `None` in v0, which has none.
    pub hmac: Option<Verdict>,
    /// The echo (v1).
    pub echoed: Option<At>,
    /// Times it was sent.
    pub sent: u32,
    /// Its REMOVE_ADDR.
    pub removed: Option<At>,
}

/// The same connection at another tap.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Name of the input, or of the interface where those of one input are told apart.
    pub input: String,
    /// The end to which it lies nearer than the input of the connection itself: `client` or `server`.
    pub nearer_to: &'static str,
    /// Whether an MPTCP option shows there at all.
    pub shows_mptcp: bool,
    /// Ids of the findings on a stretch of path that ends at this input.
    pub differences: Vec<&'static str>,
    /// Segments of this connection seen there.
    pub segments: u64,
    /// Outcome as it shows there.
    pub outcome: &'static str,
    /// Fallback as it shows there.
    pub fallback: Option<Fallback>,
    /// How it ended there.
    pub close: &'static str,
    /// Data-level bytes as they show there, with their checksums.
    pub directions: Directions<ConnectionDirection>,
    /// Its subflows as they show there.
    pub subflows: Vec<ViewSubflow>,
}

/// A subflow at another tap.
#[derive(Clone, Debug, Serialize)]
pub struct ViewSubflow {
    /// The id that the connection gives it; `None` where the connection's own input does not show it.
    pub id: Option<u64>,
    /// Who sent the SYN, as its address shows there.
    pub source: SocketAddress,
    /// The other end.
    pub destination: SocketAddress,
    /// Its state as it shows there.
    pub state: &'static str,
    /// Its RST as it shows there.
    pub reset: Option<Reset>,
    /// The SYN.
    pub syn: Option<Syn>,
    /// The SYN/ACK.
    pub syn_ack: Option<Syn>,
    /// Segments and bytes.
    pub directions: Directions<ViewDirection>,
}

/// One direction of a subflow at another tap.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ViewDirection {
    /// TCP segments.
    pub segments: u64,
    /// Segments with new payload.
    pub data_segments: Option<u64>,
    /// Payload bytes of the largest.
    pub largest_segment: Option<u32>,
    /// Payload bytes.
    pub payload_bytes: u64,
}

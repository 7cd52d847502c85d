//! The report model: what the tool learned of a capture, under the names of the report contract. Every output is a view of
//! these structs; none reads the tracker. Unknown is `None` (`null`), never a guess and never a zero.
//!
//! Times are RFC 3339 UTC with nanoseconds; durations are nanoseconds with the suffix `_ns`; keys, tokens, nonces and HMACs
//! are lower-case hex; 64-bit sequence numbers are decimal strings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::crypto::{Key, Token};
use crate::frame::{FrameId, Timestamp};

/// The value of `schema`: raised when a field changes meaning.
pub const SCHEMA: &str = "mptcp-inspect/report/1";

/// A frame named by its input (only where there are several) and number: `12`, or `"2#12"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameRef {
    /// The frame.
    pub id: FrameId,
    /// Whether the run has several inputs, so that the input must be named.
    pub several_inputs: bool,
}

impl std::fmt::Display for FrameRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.several_inputs {
            write!(f, "{}#{}", u32::from(self.id.input) + 1, self.id.number)
        } else {
            write!(f, "{}", self.id.number)
        }
    }
}

impl Serialize for FrameRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.several_inputs { serializer.collect_str(self) } else { serializer.serialize_u64(self.id.number) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A 64-bit sequence number: a decimal string in JSON, since JSON numbers lose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence64(pub u64);

impl Serialize for Sequence64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// `{ "frame": … }`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct At {
    /// The frame that shows it.
    pub frame: FrameRef,
}

/// `{ "frame": …, "time": … }`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// The frame that shows it.
    pub frame: FrameRef,
    /// When.
    pub time: Timestamp,
}

/// The whole report, without its connections: those are built one at a time (a capture can hold a million), and printers
/// ask for them by index.
#[derive(Clone, Debug, Serialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Name and version of the tool.
    pub tool: String,
    /// The captures read, in the order given.
    pub inputs: Vec<Input>,
    /// What was in them.
    pub capture: CaptureSummary,
    /// TCP connections, MPTCP or not.
    pub tcp_connections: TcpConnections,
}

/// One capture file or live run.
#[derive(Clone, Debug, Serialize)]
pub struct Input {
    /// The path as given, `-` for standard input, or the interface.
    pub name: String,
    /// `pcap`, `pcapng` or `live`.
    pub kind: &'static str,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Frames read from it.
    pub packets: u64,
    /// The last whole frame before the place where the file was damaged or cut.
    pub cut_after: Option<u64>,
    /// Live: what the kernel dropped.
    pub dropped: Option<u64>,
}

/// One interface of an input.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    /// Its name where the capture tells.
    pub name: Option<String>,
    /// Registry name of its link type.
    pub link_type: String,
    /// Bytes kept of each frame.
    pub snaplen: u32,
}

/// Counts over all inputs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaptureSummary {
    /// Time of the earliest frame.
    pub first: Option<Timestamp>,
    /// Time of the latest frame.
    pub last: Option<Timestamp>,
    /// Frames read.
    pub packets: u64,
    /// TCP segments, without `duplicates`.
    pub tcp_segments: u64,
    /// Those of them that carry an MPTCP option.
    pub mptcp_segments: u64,
    /// Segments seen again at another tap and set aside.
    pub duplicates: u64,
    /// Frames that are no TCP segment, by reason.
    pub skipped: Skipped,
}

/// Why frames were not looked at as TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// ARP, LLDP, …
    pub not_ip: u64,
    /// UDP, ICMP, …
    pub not_tcp: u64,
    /// Headers that contradict themselves or were cut away.
    pub malformed: u64,
    /// IP fragments whose datagram never became whole.
    pub fragments_incomplete: u64,
    /// Segments of connections that a limit pushed out.
    pub evicted: u64,
}

/// Counts of TCP connections.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TcpConnections {
    /// All TCP connections seen, not counting MP_JOIN subflows.
    pub seen: u64,
    /// Those whose SYN carried MP_CAPABLE.
    pub asked_for_mptcp: u64,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Recomputed and equal.
    Verified {
        /// Which variant of the algorithm matched, where there are several in the field.
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<&'static str>,
    },
    /// Recomputed and different.
    Mismatch {
        /// What it should have been.
        expected: String,
        /// What the packet holds.
        seen: String,
    },
    /// Could not be recomputed.
    Unverifiable {
        /// Why not: `keys_not_seen`, `nonce_not_seen`, `connection_not_seen`, `payload_cut`, `segments_missing`,
        /// `not_negotiated`, `evicted`.
        why: &'static str,
    },
}

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
    pub duration_ns: u64,
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
    /// `no_option_on_data`, `options_vanished`, `mp_fail`, `infinite_mapping`, `bad_option`.
    pub cause: &'static str,
    /// `client`, `server`, `path`, or unknown from this capture.
    pub by: Option<&'static str>,
    /// Where it shows.
    pub frame: Option<FrameRef>,
    /// The Linux counter the same event raises.
    pub counter: Option<&'static str>,
}

/// The data level of one direction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConnectionDirection {
    /// Unique data-level bytes seen, without DATA_FIN. In a fallback, TCP stream bytes.
    pub bytes: u64,
    /// Bytes acknowledged by the highest DATA_ACK.
    pub acked_bytes: Option<u64>,
    /// Same DSNs again on another subflow.
    pub reinjected_bytes: u64,
    /// Of those, bytes whose original had not been acknowledged at the data level yet.
    pub reinjected_useful_bytes: u64,
    /// Same DSNs under new sequence numbers on the same subflow.
    pub resent_bytes: u64,
    /// Payload that no mapping covers.
    pub unmapped_bytes: u64,
    /// DSN holes below the highest DSN seen.
    pub missing_bytes: u64,
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
    /// `length_changed`, `bytes_changed`, or unknown.
    pub explanation: Option<&'static str>,
}

/// Reordering at the data level, as it shows at the capture point.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Reorder {
    /// Bytes that arrived above a hole.
    pub late_bytes: u64,
    /// Longest time such bytes waited for the hole to fill.
    pub max_wait_ns: u64,
    /// Median wait, by bytes.
    pub p50_wait_ns: u64,
    /// 95th percentile, by bytes.
    pub p95_wait_ns: u64,
    /// Most bytes waiting at once.
    pub max_buffer_bytes: u64,
    /// The subflow that most often filled the hole last.
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

/// One subflow.
#[derive(Clone, Debug, Serialize)]
pub struct Subflow {
    /// Index in the connection, from 0.
    pub id: u64,
    /// `initial` or `join`.
    pub role: &'static str,
    /// Which end of the connection sent the SYN: `client` or `server`.
    pub initiator: Option<&'static str>,
    /// The initiator's address and port.
    pub source: SocketAddress,
    /// The other address and port.
    pub destination: SocketAddress,
    /// Further 4-tuples under which the same subflow was seen (NAT).
    pub also_seen_as: Vec<FourTuple>,
    /// Interfaces it was seen on.
    pub interfaces: Vec<String>,
    /// Address ids of both ends.
    pub address_ids: AddressIds,
    /// Backup flags.
    pub backup: Backup,
    /// Proof of the join; `None` for the initial subflow.
    pub join: Option<Join>,
    /// `established`, `refused`, `unanswered`, `half_open`, `closed`, `reset`, `unknown`.
    pub state: &'static str,
    /// The RST that ended it.
    pub reset: Option<Reset>,
    /// What the SYN said.
    pub syn: Option<Syn>,
    /// What the SYN/ACK said.
    pub syn_ack: Option<Syn>,
    /// First packet.
    pub opened: Moment,
    /// Last packet of a closed subflow.
    pub closed: Option<Moment>,
    /// What each direction carried.
    pub directions: Directions<SubflowDirection>,
}

/// Address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SocketAddress {
    /// IP address.
    pub address: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl std::fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// Both ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FourTuple {
    /// The initiator's side.
    pub source: SocketAddress,
    /// The other side.
    pub destination: SocketAddress,
}

/// Address ids of a subflow; unknown where its handshake was not seen.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AddressIds {
    /// Of `source`.
    pub source: Option<u8>,
    /// Of `destination`.
    pub destination: Option<u8>,
}

/// Backup flags as last asked by each end.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// Asked by the client.
    pub client: bool,
    /// Asked by the server.
    pub server: bool,
    /// Changes by MP_PRIO.
    pub changes: Vec<BackupChange>,
}

/// One MP_PRIO that applied to the subflow.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BackupChange {
    /// Its frame.
    pub frame: FrameRef,
    /// Who asked.
    pub by: &'static str,
    /// For what.
    pub backup: bool,
}

/// Proof of a join.
#[derive(Clone, Debug, Serialize)]
pub struct Join {
    /// Token in the SYN.
    pub token: Option<Token>,
    /// token = hash(key).
    pub token_check: Verdict,
    /// HMAC of the SYN/ACK.
    pub syn_ack_hmac: Verdict,
    /// HMAC of the third ACK.
    pub ack_hmac: Verdict,
}

/// A RST and what it says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reset {
    /// Who sent it.
    pub by: Option<&'static str>,
    /// Its frame.
    pub frame: FrameRef,
    /// MP_TCPRST reason code.
    pub reason: Option<u8>,
    /// RFC 8684's words for it.
    pub meaning: Option<&'static str>,
    /// T flag.
    pub transient: Option<bool>,
}

/// TCP options of a SYN or SYN/ACK.
#[derive(Clone, Debug, Serialize)]
pub struct Syn {
    /// Its frame.
    pub frame: FrameRef,
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Timestamps offered.
    pub timestamps: bool,
    /// Times it was sent again.
    pub retransmissions: u32,
    /// Data in it.
    pub fast_open_bytes: u32,
}

/// TCP level of one direction of a subflow.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SubflowDirection {
    /// TCP segments.
    pub segments: u64,
    /// Payload bytes in them, retransmissions included.
    pub payload_bytes: u64,
    /// Bytes whose sequence numbers had been seen.
    pub retransmitted_bytes: u64,
    /// Data-level bytes first carried here.
    pub data_bytes: u64,
    /// `data_bytes` over the connection's; `None` where that is 0.
    pub share: Option<f64>,
    /// Data-level bytes that another subflow had carried before.
    pub reinjected_bytes: u64,
    /// Round-trip times of this direction's data, from cumulative acknowledgements (Karn's rule).
    pub rtt: Option<Rtt>,
    /// The same from TCP timestamps.
    pub rtt_timestamps: Option<Rtt>,
    /// Most bytes sent and not yet acknowledged.
    pub max_in_flight_bytes: u64,
    /// First frame with new data.
    pub first_data: Option<At>,
    /// Last frame with new data.
    pub last_data: Option<At>,
}

/// Round-trip times.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rtt {
    /// How many.
    pub samples: u64,
    /// Shortest.
    pub min_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// Longest.
    pub max_ns: u64,
}

/// The same connection at another tap.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Name of the input.
    pub input: String,
    /// Segments of this connection seen there.
    pub segments: u64,
    /// Outcome as it shows there.
    pub outcome: &'static str,
    /// Fallback as it shows there.
    pub fallback: Option<Fallback>,
    /// Data-level bytes as they show there, with their checksums.
    pub directions: Directions<ConnectionDirection>,
}

/// What the traffic shows of the settings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stack {
    /// Which subflows each end opens.
    pub path_manager: Option<serde_json::Value>,
    /// How each end spreads data.
    pub scheduler: Option<serde_json::Value>,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Stable, kebab-case.
    pub id: &'static str,
    /// `error`, `warning`, `note`.
    pub severity: Severity,
    /// One sentence with its evidence.
    pub message: String,
    /// The connection's id.
    pub connection: Option<u64>,
    /// The subflow's id.
    pub subflow: Option<u64>,
    /// Evidence.
    pub frames: Vec<FrameRef>,
    /// RFC section, e.g. `8684 §3.2`.
    pub rfc: Option<&'static str>,
    /// The Linux counter the same event raises.
    pub counter: Option<&'static str>,
    /// What to look at next.
    pub advice: Option<&'static str>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Broken or refused.
    Error,
    /// Works, worse than it could.
    Warning,
    /// Worth knowing.
    Note,
}

/// MP_JOIN subflows whose connection the capture lacks.
#[derive(Clone, Debug, Serialize)]
pub struct Orphans {
    /// The token they ask for; unknown where the SYNs were not captured.
    pub token: Option<Token>,
    /// The subflows.
    pub subflows: Vec<Subflow>,
}

/// Linux `MPTcpExt…` counters that the packets imply, by name, over all connections. One that is not listed is not known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KernelCounters {
    /// Of the ends that opened the connections.
    pub client: BTreeMap<&'static str, u64>,
    /// Of the ends that were connected to.
    pub server: BTreeMap<&'static str, u64>,
}

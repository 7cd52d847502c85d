//! The report model: what the tool learned of a capture. JSON has these names, so this is its reference. The outputs at the
//! end are views of these structs alone; those that print while reading (`packets`, `ndjson`, the live view) also hear the
//! tracker's events. Unknown is `None` (`null`), never a guess and never a zero.
//!
//! Times are RFC 3339 UTC with nanoseconds; durations are nanoseconds with the suffix `_ns`; keys, tokens, nonces and HMACs
//! are lower-case hex; 64-bit sequence numbers are decimal strings.

mod connection;
mod filter;
mod finding_counts;
mod stack;
mod subflow;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Serialize, Serializer};

use crate::crypto::Token;
use crate::frame::{FrameId, Timestamp};

pub use connection::*;
pub use filter::ConnectionFilter;
pub use finding_counts::FindingCounts;
pub use stack::*;
pub use subflow::*;

/// The value of `schema`: raised when a field changes meaning.
pub const SCHEMA: &str = "mptcp-inspect/report/1";

/// A frame named by its input (only where there are several) and number: `12`, or `"2#12"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameRef {
    /// The frame.
    pub id: FrameId,
    /// The number of its input as the user gave it, from 1, where the run has several, so that it must be named.
    pub input: Option<NonZeroU32>,
}

/// How frames are named in a run with several inputs: the numbers of the inputs as the user gave them, by their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbering<'a>(pub &'a [u16]);

impl Numbering<'_> {
    /// The name of a frame.
    pub fn of(self, id: FrameId) -> FrameRef {
        let given = self.0.get(usize::from(id.input)).filter(|_| self.0.len() > 1);
        FrameRef { id, input: given.and_then(|&given| NonZeroU32::new(u32::from(given) + 1)) }
    }
}

impl std::fmt::Display for FrameRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.input {
            Some(input) => write!(f, "{input}#{}", self.id.number),
            None => write!(f, "{}", self.id.number),
        }
    }
}

impl Serialize for FrameRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.input.is_some() { serializer.collect_str(self) } else { serializer.serialize_u64(self.id.number) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_known() { serializer.collect_str(self) } else { serializer.serialize_none() }
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
    /// What all connections together show of settings.
    pub stack: CaptureStack,
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
    /// TCP segments whose options the capture cut: what they carried is not known. Absent where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub options_cut_segments: u64,
    /// Segments seen again, at another tap or twice at one: copies, which are set aside, and `view_segments`.
    pub duplicates: u64,
    /// Those of the `duplicates` that show a connection at another place of its path and are compared with the first view of
    /// it; absent where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub view_segments: u64,
    /// Frames that are no TCP segment, by reason.
    pub skipped: Skipped,
    /// Frames of link types that are not decoded: what they hold is not known. Absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_decoded: Vec<NotDecoded>,
    /// Connections that left before the end and are not in this report: of a live capture, and those that a limit pushed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_left: Option<ConnectionsLeft>,
    /// All MP_JOIN subflows whose connection the capture lacks, listed or not; absent where there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub joins_without_connection: u64,
}

/// Frames of a link type that is not decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotDecoded {
    /// The link type.
    pub link_type: String,
    /// How many.
    pub packets: u64,
}

/// Why connections left before the end of the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionsLeft {
    /// Closed, and silent for a while.
    pub closed: u64,
    /// Silent for long.
    pub idle: u64,
    /// Their handshake never completed.
    pub half_open: u64,
    /// Pushed out by a limit.
    pub limit: u64,
    /// What was found of them; absent where that was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<FindingCounts>,
}

/// Why frames were not looked at as TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// ARP, LLDP, …, and what [`CaptureSummary::not_decoded`] lists.
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
    /// Those whose SYN carried MP_CAPABLE; `None` where none shows and the capture cut options, or is of a link type that is not
    /// decoded.
    pub asked_for_mptcp: Option<u64>,
    /// 4-tuples that a limit pushed out: one of them that came again counts as a new connection. Absent where there was none.
    #[serde(skip_serializing_if = "is_zero")]
    pub forgotten: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
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
    /// The stretch of path at fault: the two inputs that bound it, or interfaces of one, in the order in which the
    /// packets pass them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between: Option<[String; 2]>,
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

impl Severity {
    /// `error`, `warning` or `note`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// MP_JOIN subflows whose connection the capture lacks.
#[derive(Clone, Debug, Serialize)]
pub struct Orphans {
    /// The token they ask for; unknown where the SYNs were not captured.
    pub token: Option<Token>,
    /// The subflows.
    pub subflows: Vec<Subflow>,
}

/// What a limit left out of the list of such joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrphansLeftOut {
    /// Joins.
    pub joins: u64,
}

/// Linux `MPTcpExt…` counters that the packets imply, by name, over all connections. One that is not listed is not known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KernelCounters {
    /// Of the ends that opened the connections.
    pub client: BTreeMap<&'static str, u64>,
    /// Of the ends that were connected to.
    pub server: BTreeMap<&'static str, u64>,
}

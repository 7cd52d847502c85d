//! What the traffic shows of the settings of both ends. Patterns are named only where the traffic tells them; where it does
//! not, the pattern is `null` and `why` says what is missing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{Directions, FrameRef, SocketAddress};

/// What one connection shows of the settings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stack {
    /// Which subflows each end opens.
    pub path_manager: Sides<PathManager>,
    /// How each end spreads data.
    pub scheduler: Directions<Scheduler>,
    /// Settings that the handshake shows.
    pub sysctls: Sysctls,
    /// Subflows for which an end asked for backup, or took it back.
    pub priority: Vec<Priority>,
    /// Addresses known of both ends, and what became of each pair.
    pub address_pairs: AddressPairs,
    /// How paths shared the load.
    pub coupling: Directions<Coupling>,
    /// Subflows that left through another interface than the one that owns their address.
    pub routing: Vec<Misrouted>,
}

/// One value an end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sides<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

/// Which subflows one end opens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PathManager {
    /// `single_path`, `fullmesh`, `ndiffports`, `subflow_endpoints`, `announced`, `binder`, or not told.
    pub pattern: Option<&'static str>,
    /// From 0 to 1, by the amount of evidence.
    pub confidence: Option<f64>,
    /// SYNs of the joins it rests on.
    pub frames: Vec<FrameRef>,
    /// Why there is no pattern, or what limits the one named.
    pub why: Option<String>,
    /// Other settings that would look the same here.
    pub alternatives: Vec<&'static str>,
    /// Pairs of known addresses that a full mesh would have and this end never tried.
    pub missing_pairs: Vec<AddressPair>,
}

/// A client's and a server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AddressPair {
    /// The client's.
    pub client: IpAddr,
    /// The server's.
    pub server: IpAddr,
}

/// How one end spreads data.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scheduler {
    /// `lowest_rtt`, `round_robin`, `redundant`, `single_path`, `backup_only`, or not told.
    pub pattern: Option<&'static str>,
    /// From 0 to 1, by the amount of evidence.
    pub confidence: Option<f64>,
    /// Why there is no pattern, or what limits the one named.
    pub why: Option<String>,
    /// Other schedulers that would look the same here.
    pub alternatives: Vec<&'static str>,
    /// Runs of new data that stayed on one subflow, as they passed the capture.
    pub blocks: u64,
    /// Their median size; `None` with fewer than two.
    pub median_block_bytes: Option<u64>,
    /// Changes of subflow a second, while there was data.
    pub switches_per_second: Option<f64>,
    /// Bytes that another subflow had carried before, over all bytes at the data level.
    pub duplicate_share: Option<f64>,
    /// Correlation of the subflows' ranks by median round-trip time and by share: -1 where the fastest carried most. `None`
    /// with fewer than three, and where handshakes do not show that the capture was made near the sender.
    pub rtt_correlation: Option<f64>,
    /// What it chose while all paths were free.
    pub choices: Choices,
}

/// Choices made when everything sent had been acknowledged and two paths or more were open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Choices {
    /// Their number.
    pub total: u32,
    /// Those that fell on another subflow than the data before.
    pub moved: u32,
    /// Those with clearly different round-trip times.
    pub measured: u32,
    /// Of `measured`, those that fell on the shortest.
    pub shortest: u32,
}

/// Settings that the handshake shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sysctls {
    /// MPTCP is on: the end sent MP_CAPABLE. `None` where its absence may be the path's doing.
    pub mptcp_enabled: Sides<Option<bool>>,
    /// The end asked for DSS checksums.
    pub checksum_asked: Sides<Option<bool>>,
    /// Checksums are in use.
    pub checksum: Option<bool>,
    /// Version in the first SYN.
    pub version_offered: Option<u8>,
    /// Version in the SYN/ACK.
    pub version_accepted: Option<u8>,
    /// C flag (v1): the end's initial address takes no joins.
    pub deny_join_id0: Sides<Option<bool>>,
    /// SYNs with MP_CAPABLE.
    pub syns_with_option: u32,
    /// SYNs sent without it afterwards: the option was given up (`mptcp_syn_retries`, `syn_retrans_before_tcp_fallback`).
    pub syns_without_option: u32,
    /// Time between one SYN and the next.
    pub syn_spacing_ns: Vec<u64>,
    /// Data in the SYN.
    pub fast_open_bytes: u32,
    /// Of those, accepted by the SYN/ACK.
    pub fast_open_accepted_bytes: u32,
}

/// Priority of one subflow.
#[derive(Clone, Debug, Serialize)]
pub struct Priority {
    /// The subflow.
    pub subflow: u64,
    /// The client's view.
    pub client: LowPriority,
    /// The server's view.
    pub server: LowPriority,
    /// Who asked for what, when and how.
    pub timeline: Vec<PriorityChange>,
    /// Whether what each end sent kept to it.
    pub obeyed: Directions<Option<bool>>,
    /// Bytes of new data sent on it while it was a backup and a regular path was open.
    pub bytes_against: Directions<u64>,
}

/// The flags of v0's `/proc/net/mptcp`, as last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LowPriority {
    /// This end asked for backup.
    pub low_prio: bool,
    /// Its peer did.
    pub rcv_low_prio: bool,
}

/// One request.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PriorityChange {
    /// The frame that carries it.
    pub frame: FrameRef,
    /// `client` or `server`.
    pub by: &'static str,
    /// `mp_join` (its B bit) or `mp_prio`.
    pub option: &'static str,
    /// For backup, or for regular use.
    pub backup: bool,
}

/// Addresses known of both ends, and the pairs of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressPairs {
    /// The client's, in order of appearance.
    pub client: Vec<KnownAddress>,
    /// The server's.
    pub server: Vec<KnownAddress>,
    /// Every pair of one family.
    pub pairs: Vec<PairState>,
}

/// An address and how it became known.
#[derive(Clone, Debug, Serialize)]
pub struct KnownAddress {
    /// The address.
    pub address: IpAddr,
    /// `initial` (the first subflow), `announced` (ADD_ADDR) or `join` (a join from it or to it).
    pub learnt: &'static str,
    /// Where.
    pub frame: FrameRef,
    /// REMOVE_ADDR of it.
    pub removed: Option<FrameRef>,
    /// Joins from it after that: with `ip link set dev … multipath off` there are none.
    pub joins_after_removal: u32,
}

/// What became of one pair of addresses.
#[derive(Clone, Debug, Serialize)]
pub struct PairState {
    /// The client's address.
    pub client: IpAddr,
    /// The server's.
    pub server: IpAddr,
    /// `established`, `refused`, `unanswered`, `incomplete`, `never_tried`: the best that any subflow of it reached.
    pub state: &'static str,
    /// Its subflows.
    pub subflows: Vec<u64>,
}

/// How paths shared the load in one direction. The congestion control's name is not on the wire.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coupling {
    /// Subflows that carried data.
    pub subflows: Vec<PathLoad>,
    /// Whether the path with less loss carried more; `None` where losses don't differ clearly or do not show.
    pub less_congested_got_more: Option<bool>,
    /// Bits a second of new data, from first to last.
    pub goodput_bps: Option<u64>,
    /// The best of `subflows[].one_tcp_bps`.
    pub best_path_tcp_bps: Option<u64>,
    /// How `one_tcp_bps` is estimated.
    pub estimate: Option<&'static str>,
    /// Width of the steps of `subflows[].timeline`.
    pub step_ns: Option<u64>,
    /// Where they begin, counted from the connection's first packet.
    pub timeline_from_ns: Option<u64>,
}

/// One path's part of the load.
#[derive(Clone, Debug, Serialize)]
pub struct PathLoad {
    /// The subflow.
    pub subflow: u64,
    /// Its part of the new data.
    pub share: f64,
    /// Median round-trip time; `None` where handshakes do not show that the capture was made near the sender.
    pub rtt_p50_ns: Option<u64>,
    /// TCP payload sent again, over all payload sent; `None` likewise: elsewhere it is what arrived twice.
    pub loss: Option<f64>,
    /// Most bytes sent and not acknowledged; `None` where no acknowledgement was captured.
    pub max_in_flight_bytes: Option<u64>,
    /// What one TCP alone would carry on this path, near the sender.
    pub one_tcp_bps: Option<u64>,
    /// Over time, where the direction carried more than 1 MiB.
    pub timeline: Vec<LoadStep>,
}

/// One step of time; steps without data are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LoadStep {
    /// Its number.
    pub step: u32,
    /// New data-level bytes.
    pub bytes: u32,
    /// Most bytes in flight.
    pub in_flight_bytes: u32,
    /// Smoothed round-trip time at its end, near the sender.
    pub rtt_us: Option<u32>,
    /// TCP payload bytes sent again.
    pub retransmitted_bytes: u32,
}

/// A subflow that left through another interface than the one that owns its source address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misrouted {
    /// The subflow.
    pub subflow: u64,
    /// Its source address.
    pub address: IpAddr,
    /// Where it was seen.
    pub interface: String,
    /// Where nearly all other subflows with this address were seen.
    pub owner: String,
    /// Its first frame.
    pub frame: FrameRef,
}

/// What all connections show together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaptureStack {
    /// Patterns of the connections between the same hosts (initial addresses), in order of first packet.
    pub hosts: Vec<HostPair>,
    /// Connections of host pairs beyond the limit.
    pub hosts_left_out: u64,
    /// Servers' answers, by address and port.
    pub listeners: Vec<Listener>,
}

/// Connections between two hosts.
#[derive(Clone, Debug, Serialize)]
pub struct HostPair {
    /// The client's initial address.
    pub client: IpAddr,
    /// The server's.
    pub server: IpAddr,
    /// Connections.
    pub connections: u64,
    /// Patterns of each end's path manager and how many connections show them; connections without one are not counted.
    pub path_manager: Sides<BTreeMap<&'static str, u64>>,
    /// The same of schedulers.
    pub scheduler: Directions<BTreeMap<&'static str, u64>>,
}

/// SYN/ACKs of one address and port.
#[derive(Clone, Debug, Serialize)]
pub struct Listener {
    /// Where they come from.
    pub server: SocketAddress,
    /// Connections answered with MP_CAPABLE or without.
    pub answers: u64,
    /// Answers that differ, or answer SYNs that do.
    pub fingerprints: Vec<Fingerprint>,
    /// How evenly connections fall on its [`ways`](Self::ways): 1 where all have the same number, near 0 where one has
    /// nearly all (Pielou's evenness). `None` where there is one way.
    pub evenness: Option<f64>,
    /// Answers with fingerprints beyond the limit.
    pub left_out: u64,
}

impl Listener {
    /// Different answers to SYNs that offered the same: those of the workers of a `SO_REUSEPORT` group or of the servers
    /// behind a load balancer. A server answers what it was offered, so answers to other SYNs show nothing of it. Of several
    /// such groups the one with most connections; empty where there is none.
    pub fn ways(&self) -> Vec<&Fingerprint> {
        let alike = |offered: &[u8]| -> Vec<&Fingerprint> {
            self.fingerprints.iter().filter(|print| print.offered.as_deref() == Some(offered)).collect()
        };
        let connections = |group: &Vec<&Fingerprint>| group.iter().map(|print| print.connections).sum::<u64>();
        let groups = self.fingerprints.iter().filter_map(|print| print.offered.as_deref()).map(alike);
        let several = groups.filter(|group| group.len() > 1);
        // The first of the largest.
        let largest = several.reduce(|best, group| if connections(&group) > connections(&best) { group } else { best });
        largest.unwrap_or_default()
    }
}

/// Options of SYN/ACKs that are alike.
#[derive(Clone, Debug, Serialize)]
pub struct Fingerprint {
    /// Connections answered with it.
    pub connections: u64,
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// Kinds of options in their order, without padding.
    pub options: Vec<u8>,
    /// Those of the SYNs that it answers; `None` where the SYN was not captured, was sent again (then with fewer options,
    /// perhaps), or may have asked for a Fast Open cookie.
    pub offered: Option<Vec<u8>>,
    /// The first one.
    pub frame: FrameRef,
}

//! One subflow: its ends, its handshake, what each direction carried.

use std::net::IpAddr;

use serde::Serialize;

use super::{At, Directions, FrameRef, Moment, Verdict};
use crate::crypto::Token;

/// One subflow.
#[derive(Clone, Debug, Serialize)]
pub struct Subflow {
    /// Index in the connection, from 0.
    pub id: u64,
    /// `initial` or `join`; none where no handshake was captured that tells.
    pub role: Option<&'static str>,
    /// Which end of the connection sent the SYN: `client` or `server`.
    pub initiator: Option<&'static str>,
    /// The initiator's address and port.
    pub source: SocketAddress,
    /// The other address and port.
    pub destination: SocketAddress,
    /// Further 4-tuples under which the same subflow was seen (NAT).
    pub also_seen_as: Vec<FourTuple>,
    /// Interfaces it was seen on, those that have a name.
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
    /// Those of the two HMACs that no segment has here, captured or not, as the packets show: a RST answered the SYN, the segment
    /// lacks its MP_JOIN, or the SYN/ACK was not taken. They are `unverifiable`, and nothing is missing. Absent where there are
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<&'static str>,
}

impl Join {
    /// What there is to verify: each check with its name.
    pub fn checks(&self) -> impl Iterator<Item = (&Verdict, &'static str)> {
        let hmacs = [("syn_ack_hmac", &self.syn_ack_hmac, "SYN/ACK HMAC"), ("ack_hmac", &self.ack_hmac, "ACK HMAC")];
        let present = hmacs.into_iter().filter(|(field, ..)| !self.absent.contains(field));
        std::iter::once((&self.token_check, "token")).chain(present.map(|(_, verdict, name)| (verdict, name)))
    }
}

/// A RST and what it says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reset {
    /// Who sent it: `client`, `server`, or `path` where two captures prove that no end did.
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
    /// Data-level bytes first carried here; `None` where the capture cut the options that may have mapped the payload.
    pub data_bytes: Option<u64>,
    /// `data_bytes` over the connection's; `None` where that is 0 or unknown.
    pub share: Option<f64>,
    /// Data-level bytes that another subflow had carried before; `None` as `data_bytes`.
    pub reinjected_bytes: Option<u64>,
    /// Round-trip times of this direction's data, from cumulative acknowledgements (Karn's rule).
    pub rtt: Option<Rtt>,
    /// The same from TCP timestamps.
    pub rtt_timestamps: Option<Rtt>,
    /// Most bytes sent and not yet acknowledged; `None` where no acknowledgement was captured.
    pub max_in_flight_bytes: Option<u64>,
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

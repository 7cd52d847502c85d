//! What went wrong, who did it, and at which packet: rules over what the tracker saw.
//!
//! Each rule has an entry in [`rules`] with everything that is to be said about it whatever the connection; the functions
//! here and in the other files decide whether it fires, and with which evidence.

pub mod dropped;
pub mod rules;

use crate::frame::Timestamp;
use crate::report::explain::Explanation;
use crate::track::connection::{Connection, FallbackCause, FallbackSeen};
use crate::track::mark::Mark;
use crate::track::side::Side;

/// What the rules look at.
pub struct Evidence<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// The same connection at other taps.
    pub views: Vec<&'a Connection>,
    /// Time of the last frame of the capture.
    pub capture_end: Timestamp,
}

/// A rule that fired.
pub struct Found {
    /// Which.
    pub rule: &'static Explanation,
    /// One sentence with its evidence.
    pub message: String,
    /// The subflow concerned.
    pub subflow: Option<u16>,
    /// The evidence.
    pub frames: Vec<Mark>,
    /// The Linux counter, where it depends on the case.
    pub counter: Option<&'static str>,
}

/// All rules, over one connection.
pub fn connection(evidence: &Evidence<'_>) -> Vec<Found> {
    let _ = evidence;
    Vec::new()
}

/// Who made a connection fall back.
pub fn fallback_by(connection: &Connection, views: &[&Connection]) -> Option<&'static str> {
    let _ = views;
    let seen = connection.fallback?;
    match seen.cause {
        FallbackCause::OptionEchoed => Some("path"),
        FallbackCause::MpFail => Some("path"),
        FallbackCause::InfiniteMapping | FallbackCause::BadOption | FallbackCause::SynRetriedWithoutOption => {
            seen.side.map(Side::name)
        }
        _ => None,
    }
}

/// The Linux counter that a fallback raises.
pub fn fallback_counter(seen: &FallbackSeen, connection: &Connection) -> Option<&'static str> {
    let _ = connection;
    Some(match seen.cause {
        FallbackCause::NoOptionInSynAck | FallbackCause::OptionEchoed | FallbackCause::BadOption => {
            "MPTcpExtMPCapableFallbackSYNACK"
        }
        FallbackCause::SynRetriedWithoutOption => "MPTcpExtMPCapableSYNTXDrop",
        FallbackCause::NoOptionInThirdAck => "MPTcpExtMPCapableFallbackACK",
        FallbackCause::NoOptionOnData if seen.side == Some(Side::Server) => "MPTcpExtMPCapableDataFallback",
        FallbackCause::NoOptionOnData => "MPTcpExtDssFallback",
        FallbackCause::MpFail => "MPTcpExtDSSCorruptionFallback",
        FallbackCause::InfiniteMapping => "MPTcpExtInfiniteMapRx",
        FallbackCause::OptionsVanished => return None,
    })
}

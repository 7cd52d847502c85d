//! What can go wrong with an input. Every message names the input and, where some of it was read, how much.

use std::io;

use super::step::Damage;
use crate::frame::LinkType;

/// Why an input could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// It can't be opened.
    #[error("{name}: cannot be opened: {reason}")]
    Open {
        /// The input.
        name: String,
        /// What the system said.
        reason: io::Error,
    },
    /// It is no capture, or none that is read here.
    #[error("{name}: not a pcap or pcapng capture; it looks like {looks_like}")]
    NotACapture {
        /// The input.
        name: String,
        /// What it seems to be, with its article: `a PNG image`, `text`.
        looks_like: String,
    },
    /// It ends before its last record does.
    #[error(
        "{name}: cut short {} packet {} ({packets} whole packet{} read)",
        if *.in_packet { "in the middle of" } else { "after" },
        if *.in_packet { packets.saturating_add(1) } else { *packets },
        if *packets == 1 { "" } else { "s" }
    )]
    Cut {
        /// The input.
        name: String,
        /// Whole packets read.
        packets: u64,
        /// What is cut is a packet; otherwise another block of a pcapng, or the compressed stream between two packets.
        in_packet: bool,
    },
    /// Its bytes make no sense from here on.
    #[error("{name}: damaged after packet {packets}: {damage}")]
    Damaged {
        /// The input.
        name: String,
        /// Whole packets read.
        packets: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The system, or the decompressor, failed to read on.
    #[error("{name}: cannot be read after packet {packets}: {reason}")]
    Read {
        /// The input.
        name: String,
        /// Whole packets read.
        packets: u64,
        /// What it said.
        reason: io::Error,
    },
    /// A capture filter can't be compiled for a link type.
    #[error("filter \"{filter}\" is not possible on link type {link}: {reason}")]
    Filter {
        /// The filter's text.
        filter: String,
        /// The link type of the frames.
        link: LinkType,
        /// What libpcap said.
        reason: String,
    },
    /// There is no interface of this name.
    #[error("there is no interface '{name}'; there are: {}", available.join(", "))]
    NoSuchInterface {
        /// The name asked for.
        name: String,
        /// Those that there are.
        available: Vec<String>,
    },
    /// The process may not capture.
    #[error(
        "{name}: no permission to capture: that needs CAP_NET_RAW. Run it with sudo (it drops root once the interfaces are \
         open), or give the program the capability: sudo setcap cap_net_raw,cap_net_admin=eip {}. Interfaces: {}",
        this_program(),
        available.join(", ")
    )]
    NotPermitted {
        /// The interface.
        name: String,
        /// All interfaces.
        available: Vec<String>,
    },
    /// An interface cannot be captured on.
    #[error("{name}: cannot be captured on: {reason}")]
    Interface {
        /// The interface.
        name: String,
        /// What libpcap said.
        reason: String,
    },
    /// An interface went away while it was captured on.
    #[error("{name}: is gone after packet {packets}: {reason}")]
    Vanished {
        /// The interface.
        name: String,
        /// What libpcap said.
        reason: String,
        /// Packets so far, of all interfaces.
        packets: u64,
    },
}

/// The path of the running program, for a command line to copy.
fn this_program() -> String {
    std::env::current_exe().map_or_else(|_| "mptcp-inspect".to_owned(), |path| path.display().to_string())
}

//! Reads Multipath TCP from live interfaces or capture files, decodes every TCP option, rebuilds each MPTCP connection,
//! proves it, and tells what happened.
//!
//! ```text
//! capture ──▶ frame ──▶ packet ──▶ track ──▶ diagnose, infer ──▶ report ──▶ cli
//! (reads)     (bytes,   (one TCP   (state     (into model)        (printers)  (arguments,
//!              time)     segment)   machine)                                   exit status)
//!                                     └─────▶ extract (writes streams)
//!                       wire, crypto: pure; used by packet and track
//! ```
//!
//! Each layer knows those before it only; `tests/layers.rs` holds them to it.
//!
//! * [`wire`]: TCP options as typed values. Bytes in, values out, and back. No state.
//! * [`crypto`]: tokens, initial data sequence numbers and HMACs from keys. No state.
//! * [`frame`]: what a capture yields: bytes, a time, a number.
//! * [`capture`]: files, streams and interfaces: all that is read comes from here.
//! * [`packet`]: the way from a frame of any link type to one TCP [`packet::Segment`].
//! * [`ahead`]: reading and decoding in a thread of its own, beside the tracker.
//! * [`track`]: the state machine, without I/O and without a clock: which connection a segment belongs to, and what that
//!   connection makes of it.
//! * [`model`]: what the report says, as data: JSON has its names.
//! * [`infer`]: what the traffic shows of the settings of both ends.
//! * [`diagnose`]: rules over what was tracked: what went wrong, who did it, at which packet.
//! * [`extract`]: the data-level byte streams, in order, into files.
//! * [`report`]: the model filled in, and one small file per output.
//! * [`text`]: numbers and names as a person reads them.
//! * [`limits`]: every bound on untrusted input.
#![forbid(unsafe_code)]
// Nothing that a capture holds may end the program.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

pub mod ahead;
pub mod capture;
#[cfg(feature = "cli")]
pub mod cli;
mod cores;
pub mod crypto;
pub mod diagnose;
pub mod extract;
pub mod frame;
pub mod infer;
pub mod limits;
pub mod model;
pub mod packet;
pub mod report;
pub mod text;
pub mod track;
pub mod wire;

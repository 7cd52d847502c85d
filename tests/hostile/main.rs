//! Attacks: what floods, forges, contradicts, jumps and explodes must neither stop the analysis nor change what was proven.
//!
//! `HOSTILE_FLOOD` sets the number of SYNs of the floods (default 100,000) to measure peak memory with.
#![cfg(feature = "cli")]

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a package of its own, with its own lints")]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

mod files;
mod floods;
mod forgeries;
mod scene;

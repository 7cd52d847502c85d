//! Signals that end a run that would not end by itself: what was read so far is reported.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::capture::Stopper;

/// The status after a second signal, as shells have it for Ctrl-C.
const ABORTED: i32 = 130;

/// A flag that Ctrl-C, SIGTERM and the loss of the terminal set; a second signal ends the process at once.
pub(super) fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in stopping() {
        flag::register_conditional_shutdown(signal, ABORTED, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// The same signals end streams that are still being written.
pub(super) fn stop_streams(streams: Vec<Stopper>) -> io::Result<()> {
    if streams.is_empty() {
        return Ok(());
    }
    // Its second signal does not wait for the streams.
    stop_flag()?;
    let mut signals = Signals::new(stopping())?;
    let wait = move || {
        if signals.forever().next().is_some() {
            streams.iter().for_each(Stopper::stop);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// Ctrl-C, SIGTERM, and the loss of the terminal unless whoever started the process wants it to outlive that (`nohup`).
fn stopping() -> Vec<i32> {
    let outlives = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status));
    if outlives { vec![SIGINT, SIGTERM] } else { vec![SIGINT, SIGTERM, SIGHUP] }
}

/// Whether a process ignores SIGHUP, from its status as Linux tells it: a mask of signals, the first the lowest bit.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_shows_in_the_status() {
        // Under nohup, and without.
        assert!(ignores_hangup("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}

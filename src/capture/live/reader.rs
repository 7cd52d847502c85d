//! The thread that reads one interface: from the kernel's ring into batches, as fast as it can, and nothing else.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture};

use crate::limits;

/// How long a thread sleeps at most before it looks whether it is to stop, in milliseconds.
const NAP_MS: u16 = 100;
/// Between two looks at the kernel's counters.
const STATS_INTERVAL: Duration = Duration::from_millis(500);
/// How long a thread goes on reading what was captured before it was stopped.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Packets of one interface, one after the other, in a buffer that is used again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    packets: Vec<Record>,
}

/// Where a packet of a batch lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Nanoseconds since the epoch.
    pub(super) time: i64,
    /// Bytes on the wire.
    pub(super) wire_len: u32,
    start: u32,
    len: u32,
}

impl Batch {
    /// The packet at `index` and its bytes.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<(Record, &[u8])> {
        let record = *self.packets.get(index)?;
        let start = record.start as usize;
        Some((record, self.bytes.get(start..start + record.len as usize)?))
    }

    pub(super) fn time(&self, index: usize) -> Option<i64> {
        self.packets.get(index).map(|record| record.time)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }

    fn push(&mut self, packet: &pcap::Packet<'_>) {
        let (seconds, nanos) = (packet.header.ts.tv_sec, packet.header.ts.tv_usec);
        self.packets.push(Record {
            time: seconds.saturating_mul(1_000_000_000).saturating_add(nanos),
            wire_len: packet.header.len,
            start: self.bytes.len() as u32,
            len: packet.data.len() as u32,
        });
        self.bytes.extend_from_slice(packet.data);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= limits::CAPTURE_BATCH_BYTES || self.packets.len() >= limits::CAPTURE_BATCH_BYTES / 64
    }
}

/// What a thread tells the analysis.
pub(super) enum Message {
    /// Packets of an interface.
    Packets(usize, Box<Batch>),
    /// The interface is read no more: stopped, or for this reason.
    Gone(usize, Option<String>),
}

/// The kernel's counters of one interface. They wrap at 2^32 in libpcap and not here.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Packets that matched the filter.
    pub(super) received: AtomicU64,
    /// Of those, dropped because nobody read them in time.
    pub(super) dropped: AtomicU64,
    /// Dropped by the interface or its driver.
    pub(super) interface_dropped: AtomicU64,
}

/// One thread's work.
pub(super) struct Reader {
    pub(super) index: usize,
    pub(super) capture: Capture<Active>,
    pub(super) messages: SyncSender<Message>,
    /// Batches that the analysis is done with.
    pub(super) empties: Receiver<Box<Batch>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) counters: Arc<Counters>,
    pub(super) batches: usize,
    pub(super) last_stats: Option<(Instant, pcap::Stat)>,
}

impl Reader {
    /// Reads until the interface is gone or the analysis wants no more.
    pub(super) fn run(mut self) {
        let reason = self.read();
        self.look_at_counters(true);
        // Nobody listens any more where this fails.
        let _ = self.messages.send(Message::Gone(self.index, reason));
    }

    fn read(&mut self) -> Option<String> {
        let mut batch = Box::<Batch>::default();
        self.batches = 1;
        let mut stopping: Option<Instant> = None;
        loop {
            let quiet = match self.fill(&mut batch) {
                Ok(quiet) => quiet,
                Err(reason) => {
                    let _ = self.hand_over(batch);
                    return Some(reason);
                }
            };
            if !batch.packets.is_empty() {
                batch = self.hand_over(batch)?;
            }
            self.look_at_counters(false);
            if self.stop.load(Ordering::Relaxed) {
                let since = *stopping.get_or_insert_with(Instant::now);
                // The kernel's current block comes when its time is over; then there is no more.
                let block = Duration::from_millis(2 * limits::CAPTURE_BLOCK_MS as u64);
                if since.elapsed() > LAST_WORDS || (quiet && since.elapsed() > block) {
                    return None;
                }
            }
            if quiet {
                self.wait(stopping.is_some());
            }
        }
    }

    /// Fills the batch from what the kernel has; true if it has no more.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, String> {
        while !batch.is_full() {
            match self.capture.next_packet() {
                Ok(packet) => batch.push(&packet),
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => return Ok(true),
                Err(error) => return Err(super::said(&error)),
            }
        }
        Ok(false)
    }

    /// Sends a batch and gets an empty one, waiting for it if need be; `None` if the analysis is gone.
    fn hand_over(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        self.messages.send(Message::Packets(self.index, batch)).ok()?;
        if let Ok(mut empty) = self.empties.try_recv() {
            empty.clear();
            return Some(empty);
        }
        if self.batches < limits::CAPTURE_BATCHES {
            self.batches += 1;
            return Some(Box::default());
        }
        loop {
            match self.empties.recv_timeout(Duration::from_millis(u64::from(NAP_MS))) {
                Ok(mut empty) => {
                    empty.clear();
                    return Some(empty);
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.look_at_counters(false),
            }
        }
    }

    /// Sleeps until the kernel has something.
    fn wait(&mut self, stopping: bool) {
        let patience = if stopping { 10 } else { NAP_MS };
        let mut descriptors = [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)];
        let woken = poll(&mut descriptors, PollTimeout::from(patience));
        let readable =
            descriptors.first().and_then(PollFd::revents).is_some_and(|seen| seen.contains(PollFlags::POLLIN));
        if !matches!(woken, Ok(0)) && !readable {
            // An interface that is down reports that at once, and again and again.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn look_at_counters(&mut self, now: bool) {
        if !now && self.last_stats.is_some_and(|(at, _)| at.elapsed() < STATS_INTERVAL) {
            return;
        }
        let Ok(stats) = self.capture.stats() else { return };
        let before = self.last_stats.map(|(_, before)| before);
        let add = |counter: &AtomicU64, value: u32, before: Option<u32>| {
            counter.fetch_add(u64::from(value.wrapping_sub(before.unwrap_or(0))), Ordering::Relaxed);
        };
        add(&self.counters.received, stats.received, before.map(|stats| stats.received));
        add(&self.counters.dropped, stats.dropped, before.map(|stats| stats.dropped));
        add(&self.counters.interface_dropped, stats.if_dropped, before.map(|stats| stats.if_dropped));
        self.last_stats = Some((Instant::now(), stats));
    }
}

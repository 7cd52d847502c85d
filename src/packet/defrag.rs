//! IP reassembly (RFC 791 §3.2, RFC 8200 §4.5), bounded in count, bytes and age.
//!
//! Where parts overlap, what came first stays, whichever way the overlap lies. Parts that a snaplen cut count as seen:
//! the whole datagram then has its length from the wire, and its bytes up to the first one that was not captured.

use std::ops::Range;

use super::view::{Fragment, IpHeader, Layer, Reason, Reject, View};
use super::{IpPair, TapHint};
use crate::frame::{Frame, Timestamp};
use crate::limits;

/// Nanoseconds of capture time that a datagram waits.
const PATIENCE: u64 = limits::FRAGMENT_SECONDS as u64 * 1_000_000_000;

/// Datagrams under reassembly.
#[derive(Debug, Default)]
pub(super) struct Defrag {
    /// Oldest first. Few enough to be searched from the end, where the wanted one mostly is.
    pending: Vec<Pending>,
    /// Frames of datagrams that were given up.
    abandoned: u64,
}

/// Which parts belong together. The tap is part of it: the same datagram seen at two taps is two, and neither may take
/// the other's parts, or one of the two would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pair: IpPair,
    id: u32,
    /// IPv4 only: in IPv6 the parts may differ in it.
    protocol: u8,
    input: u16,
    interface: u16,
    tap: TapHint,
    encapsulations: u8,
}

impl Key {
    /// The key of a part.
    pub(super) fn new(frame: &Frame<'_>, tap: TapHint, encapsulations: u8, pair: IpPair, fragment: Fragment) -> Self {
        Self {
            pair,
            id: fragment.id,
            protocol: if matches!(pair, IpPair::V4 { .. }) { fragment.protocol } else { 0 },
            input: frame.id.input,
            interface: frame.interface,
            tap,
            encapsulations,
        }
    }
}

/// A datagram all of whose parts were seen.
pub(super) struct Whole {
    /// The payload up to the first byte not captured.
    pub(super) bytes: Vec<u8>,
    /// Bytes of payload on the wire.
    pub(super) len: usize,
    /// The first part's header.
    pub(super) ip: IpHeader,
    /// The first part's protocol.
    pub(super) protocol: u8,
}

impl Defrag {
    /// Takes one part; the whole datagram if nothing is missing any more.
    pub(super) fn add(
        &mut self,
        time: Timestamp,
        key: Key,
        fragment: Fragment,
        ip: IpHeader,
        part: View<'_>,
    ) -> Result<Option<Whole>, Reject> {
        let start = usize::from(fragment.offset);
        let end = start.saturating_add(part.len);
        if part.len == 0 || end > limits::FRAGMENT_BYTES || (fragment.more && part.len % 8 != 0) {
            return Err(Reject::malformed(Layer::Fragment, Reason::Fragment));
        }
        self.expire(time);
        let index = match self.pending.iter().rposition(|pending| pending.key == key) {
            Some(index) => index,
            None => {
                if self.pending.len() >= limits::FRAGMENTED_DATAGRAMS {
                    self.give_up(0);
                }
                self.pending.push(Pending::new(key, time));
                self.pending.len() - 1
            }
        };
        let Some(pending) = self.pending.get_mut(index) else { return Ok(None) };
        pending.frames += 1;
        pending.add(start..end, fragment.more, part.bytes)?;
        if start == 0 {
            pending.first.get_or_insert((ip, fragment.protocol));
        }
        if !pending.is_whole() {
            return Ok(None);
        }
        Ok(self.pending.remove(index).into_whole())
    }

    /// Frames whose datagram never became whole, so far.
    pub(super) fn incomplete(&self) -> u64 {
        self.abandoned + self.pending.iter().map(|pending| pending.frames).sum::<u64>()
    }

    /// Datagrams under reassembly.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Gives up those that have waited too long. Taps may be out of step, so any may be due, but the oldest first.
    fn expire(&mut self, now: Timestamp) {
        while self.pending.first().is_some_and(|oldest| now.since(oldest.since) > PATIENCE) {
            self.give_up(0);
        }
    }

    fn give_up(&mut self, index: usize) {
        if index < self.pending.len() {
            self.abandoned += self.pending.remove(index).frames;
        }
    }
}

/// One datagram under reassembly.
#[derive(Debug)]
struct Pending {
    key: Key,
    since: Timestamp,
    frames: u64,
    /// Header and protocol of the part at offset 0.
    first: Option<(IpHeader, u8)>,
    /// Length of the whole, once the last part was seen.
    total: Option<usize>,
    bytes: Vec<u8>,
    /// What was seen: sorted, apart from each other. At most one range per 16 bytes.
    seen: Vec<Range<usize>>,
    /// The lowest offset that was seen but not captured.
    cut_at: Option<usize>,
}

impl Pending {
    fn new(key: Key, since: Timestamp) -> Self {
        Self { key, since, frames: 0, first: None, total: None, bytes: Vec::new(), seen: Vec::new(), cut_at: None }
    }

    /// Takes the bytes of `part` that no earlier part had; `captured` are its bytes as far as they were captured.
    fn add(&mut self, part: Range<usize>, more: bool, captured: &[u8]) -> Result<(), Reject> {
        let known_end = self.seen.last().map_or(0, |range| range.end);
        let contradicts = match self.total {
            Some(total) => part.end > total || (!more && part.end != total),
            None => !more && part.end < known_end,
        };
        if contradicts {
            return Err(Reject::malformed(Layer::Fragment, Reason::Fragment));
        }
        if !more {
            self.total = Some(part.end);
        }
        let first = self.seen.partition_point(|range| range.end < part.start);
        let mut joined = part.clone();
        let mut at = part.start;
        let mut last = first;
        while let Some(range) = self.seen.get(last).filter(|range| range.start <= part.end).cloned() {
            self.copy(at..range.start, part.start, captured);
            at = at.max(range.end);
            joined = joined.start.min(range.start)..joined.end.max(range.end);
            last += 1;
        }
        self.copy(at..part.end, part.start, captured);
        self.seen.splice(first..last, [joined]);
        Ok(())
    }

    /// Copies `range` of the datagram from a part that starts at `part_start`.
    fn copy(&mut self, range: Range<usize>, part_start: usize, captured: &[u8]) {
        if range.is_empty() {
            return;
        }
        let captured_end = range.end.min(part_start + captured.len());
        if captured_end < range.end {
            let cut = captured_end.max(range.start);
            self.cut_at = Some(self.cut_at.map_or(cut, |at| at.min(cut)));
        }
        if self.bytes.len() < captured_end {
            self.bytes.resize(captured_end, 0);
        }
        let source = range.start.checked_sub(part_start).and_then(|from| captured.get(from..captured_end - part_start));
        if let (Some(target), Some(source)) = (self.bytes.get_mut(range.start..captured_end), source) {
            target.copy_from_slice(source);
        }
    }

    fn is_whole(&self) -> bool {
        matches!((self.seen.as_slice(), self.total), ([only], Some(total)) if only.start == 0 && only.end == total)
    }

    fn into_whole(self) -> Option<Whole> {
        let ((ip, protocol), len) = (self.first?, self.total?);
        let mut bytes = self.bytes;
        if let Some(cut) = self.cut_at {
            bytes.truncate(cut);
        }
        Some(Whole { bytes, len, ip, protocol })
    }
}

//! Round-trip times of what one side sends on a subflow.

use std::collections::VecDeque;

use super::histogram::Histogram;
use crate::frame::Timestamp;
use crate::limits;

/// Outstanding segments and timestamps, and the samples they gave.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips {
    /// What was sent lately; nothing on a closed subflow.
    outstanding: Option<Box<Outstanding>>,
    /// From cumulative acknowledgements (Karn's rule: never of what was sent twice).
    pub by_ack: Histogram,
    /// From TCP timestamps (RFC 7323 §4).
    pub by_timestamp: Histogram,
    /// Smoothed as senders do it (RFC 6298 §2.3), in nanoseconds; 0 before the first sample.
    pub smoothed: u64,
}

/// What has not been acknowledged yet.
#[derive(Clone, Debug, Default)]
struct Outstanding {
    /// (end of the segment, when it was sent), in order.
    segments: VecDeque<(u64, Timestamp)>,
    /// (TSval, when it was first sent), in order.
    stamps: VecDeque<(u32, Timestamp)>,
}

super::sparse::empty! {
    RoundTrips = RoundTrips {
        outstanding: None,
        by_ack: Histogram::EMPTY,
        by_timestamp: Histogram::EMPTY,
        smoothed: 0,
    };
}

impl RoundTrips {
    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let outstanding = self.outstanding.as_ref().map_or(0, |outstanding| {
            size_of::<Outstanding>()
                + outstanding.segments.capacity() * size_of::<(u64, Timestamp)>()
                + outstanding.stamps.capacity() * size_of::<(u32, Timestamp)>()
        });
        outstanding + self.by_ack.heap_bytes() + self.by_timestamp.heap_bytes()
    }

    /// New data up to `end` was sent.
    #[inline]
    pub fn sent(&mut self, end: u64, stamp: Option<u32>, now: Timestamp) {
        if !now.is_known() {
            return;
        }
        let Outstanding { segments, stamps } = &mut **self.outstanding.get_or_insert_default();
        if segments.len() < limits::RTT_PROBES {
            segments.push_back((end, now));
        }
        if let Some(stamp) = stamp {
            let newer = stamps.back().is_none_or(|last| stamp.wrapping_sub(last.0) as i32 > 0);
            if newer && stamps.len() < limits::RTT_PROBES {
                stamps.push_back((stamp, now));
            }
        }
    }

    /// Data from `start` on was sent again: what is outstanding beyond it can no longer be timed.
    #[cold]
    pub fn sent_again(&mut self, start: u64) {
        let Some(outstanding) = &mut self.outstanding else { return };
        while outstanding.segments.back().is_some_and(|last| last.0 > start) {
            outstanding.segments.pop_back();
        }
    }

    /// Everything below `acked` was acknowledged.
    #[inline]
    pub fn acknowledged(&mut self, acked: u64, now: Timestamp) {
        let Some(outstanding) = &mut self.outstanding else { return };
        let mut sent = None;
        while let Some(first) = outstanding.segments.front().copied().filter(|first| first.0 <= acked) {
            sent = Some(first.1);
            outstanding.segments.pop_front();
        }
        if let Some(sent) = sent {
            let sample = now.since(sent);
            self.by_ack.add(sample, 1);
            self.smoothed = if self.smoothed == 0 { sample } else { self.smoothed - self.smoothed / 8 + sample / 8 };
        }
    }

    /// The peer echoed a timestamp.
    #[inline]
    pub fn echoed(&mut self, stamp: u32, now: Timestamp) {
        let Some(Outstanding { stamps, .. }) = self.outstanding.as_deref_mut() else { return };
        while let Some(first) = stamps.front().copied().filter(|first| stamp.wrapping_sub(first.0) as i32 >= 0) {
            stamps.pop_front();
            if first.0 == stamp {
                self.by_timestamp.add(now.since(first.1), 1);
            }
        }
    }

    /// Gives back what only an open subflow needs.
    pub fn close(&mut self) {
        self.outstanding = None;
        self.by_ack.shrink();
        self.by_timestamp.shrink();
    }
}

//! Order at the data level: what waits above a hole, how long, and which path's data fills it (head-of-line blocking).

use std::collections::VecDeque;

use super::histogram::Histogram;
use crate::frame::Timestamp;
use crate::limits;

/// Data above a hole.
#[derive(Clone, Debug, Default)]
pub struct Order {
    waiting: VecDeque<Waiting>,
    buffered: u64,
    /// Bytes that came above a hole.
    pub late_bytes: u64,
    /// Most of them at once.
    pub max_buffer: u64,
    /// How long they waited, weighted by bytes.
    pub waits: Histogram,
    /// Per subflow: bytes that its data released by filling a hole last.
    pub released_by: Vec<(u16, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    start: u64,
    end: u64,
    since: Timestamp,
}

super::sparse::empty! {
    Order = Order {
        waiting: VecDeque::new(),
        buffered: 0,
        late_bytes: 0,
        max_buffer: 0,
        waits: Histogram::EMPTY,
        released_by: Vec::new(),
    };
}

impl Order {
    /// `[start, end)` came above a hole.
    pub(super) fn wait(&mut self, start: u64, end: u64, since: Timestamp) {
        let len = end - start;
        self.late_bytes += len;
        self.buffered += len;
        self.max_buffer = self.max_buffer.max(self.buffered);
        if let Some(last) = self.waiting.back_mut()
            && last.end == start
            && last.since == since
        {
            last.end = end;
            return;
        }
        let at = match self.waiting.back() {
            Some(last) if last.start > start => self.waiting.partition_point(|waiting| waiting.start < start),
            _ => self.waiting.len(),
        };
        self.waiting.insert(at, Waiting { start, end, since });
        if self.waiting.len() > limits::WAITING
            && let Some(lost) = self.waiting.pop_front()
        {
            self.buffered = self.buffered.saturating_sub(lost.end - lost.start);
        }
    }

    /// The hole below `contiguous` was filled by `subflow`.
    pub(super) fn release(&mut self, contiguous: u64, subflow: u16, now: Timestamp) {
        let mut released = 0;
        while let Some(first) = self.waiting.front().copied().filter(|first| first.end <= contiguous) {
            let len = first.end - first.start;
            self.waits.add(now.since(first.since), len);
            released += len;
            self.waiting.pop_front();
        }
        if released > 0 {
            self.buffered = self.buffered.saturating_sub(released);
            match self.released_by.iter_mut().find(|entry| entry.0 == subflow) {
                Some(entry) => entry.1 += released,
                None => self.released_by.push((subflow, released)),
            }
        }
    }

    /// The subflow whose data released most bytes; the first of those that released as many.
    pub fn slowest(&self) -> Option<u16> {
        self.released_by.iter().max_by_key(|entry| (entry.1, u16::MAX - entry.0)).map(|entry| entry.0)
    }

    /// Positions have moved.
    pub(super) fn rebase(&mut self, shift: u64) {
        for waiting in &mut self.waiting {
            waiting.start += shift;
            waiting.end += shift;
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Waiting>()
            + self.waits.heap_bytes()
            + self.released_by.capacity() * size_of::<(u16, u64)>()
    }

    /// Gives back what only an open stream needs.
    pub(super) fn close(&mut self) {
        self.waiting = VecDeque::new();
        self.waits.shrink();
    }
}

//! Frames in order of time, where a file has them only nearly so.
//!
//! A program that captures on several interfaces into one pcapng (dumpcap) has a thread for each, which gets packets by whole
//! blocks from the kernel: those of a busy interface stand before older ones of a quiet one. So frames wait until later ones
//! show that none before them is missing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::step::Record;
use crate::frame::{Frame, FrameId, LinkType, Timestamp};
use crate::limits::{ORDER_BYTES, ORDER_NS};

/// Bytes of a chunk, and of a block of frames shown.
const CHUNK: usize = 1 << 19;

/// Frames that wait for earlier ones.
#[derive(Default)]
pub(super) struct Window {
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Their bytes, in the order of the file.
    chunks: VecDeque<Chunk>,
    /// Chunks that are gone.
    gone: usize,
    spare_chunk: Vec<u8>,
    bytes: usize,
    /// How often the time went further back than frames wait: each time is a new beginning.
    epoch: u32,
    /// The latest time since then.
    latest: i64,
    /// The frame shown, and where it lies in its block.
    shown: Option<Waiting>,
    at: usize,
    block: Vec<u8>,
    /// Blocks of frames shown are kept until they are asked for.
    keep: bool,
    used_block: Option<Vec<u8>>,
    spare_block: Vec<u8>,
}

/// A frame that waits. What comes first in here comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    epoch: u32,
    time: i64,
    number: u64,
    /// Chunks before its own, those that are gone included.
    chunk: usize,
    at: usize,
    len: usize,
    wire_len: u32,
    interface: u16,
    link: LinkType,
}

/// Bytes of frames.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Frames in it that wait.
    waiting: usize,
}

impl Window {
    /// One without frames. Where blocks are kept, each that was passed over waits for [`used_block`](Self::used_block).
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Takes in frame `number` of the file.
    pub(super) fn add(&mut self, number: u64, record: &Record, bytes: &[u8]) {
        if record.time < self.latest.saturating_sub(ORDER_NS) {
            // No frame is that late: somebody set the clock.
            self.epoch += 1;
            self.latest = record.time;
        }
        self.latest = self.latest.max(record.time);
        if self.chunks.back().is_none_or(|chunk| chunk.bytes.len() + bytes.len() > CHUNK) {
            let bytes = std::mem::take(&mut self.spare_chunk);
            self.chunks.push_back(Chunk { bytes, waiting: 0 });
        }
        let chunk = (self.gone + self.chunks.len()).saturating_sub(1);
        let Some(last) = self.chunks.back_mut() else { return };
        let (at, len) = (last.bytes.len(), bytes.len());
        last.bytes.extend_from_slice(bytes);
        last.waiting += 1;
        self.bytes += len;
        self.waiting.push(Reverse(Waiting {
            epoch: self.epoch,
            time: record.time,
            number,
            chunk,
            at,
            len,
            wire_len: record.wire_len,
            interface: record.interface,
            link: record.link,
        }));
    }

    /// Moves to the earliest frame, if it has waited long enough or `all` have; false if it has not, or none waits.
    pub(super) fn advance(&mut self, all: bool) -> bool {
        let Some(Reverse(first)) = self.waiting.peek() else { return false };
        let full = self.bytes + self.waiting.len() * size_of::<Waiting>() >= ORDER_BYTES;
        let due = first.epoch < self.epoch || first.time <= self.latest.saturating_sub(ORDER_NS);
        if !(all || full || due) {
            return false;
        }
        let Some(Reverse(first)) = self.waiting.pop() else { return false };
        self.show(first);
        self.release(first.chunk);
        true
    }

    /// Puts a frame behind those in the block.
    fn show(&mut self, frame: Waiting) {
        let Some(chunk) = self.chunks.get(frame.chunk.wrapping_sub(self.gone)) else { return };
        let bytes = chunk.bytes.get(frame.at..).and_then(|bytes| bytes.get(..frame.len)).unwrap_or_default();
        if !self.keep {
            self.block.clear();
        } else if !self.block.is_empty() && self.block.len() + frame.len > CHUNK {
            self.spare_block.clear();
            self.used_block = Some(std::mem::replace(&mut self.block, std::mem::take(&mut self.spare_block)));
        }
        self.at = self.block.len();
        self.block.extend_from_slice(bytes);
        self.shown = Some(frame);
    }

    /// A frame of this chunk waits no more.
    fn release(&mut self, chunk: usize) {
        if let Some(chunk) = self.chunks.get_mut(chunk.wrapping_sub(self.gone)) {
            chunk.waiting = chunk.waiting.saturating_sub(1);
        }
        while self.chunks.front().is_some_and(|chunk| chunk.waiting == 0) {
            let Some(mut first) = self.chunks.pop_front() else { return };
            self.gone += 1;
            self.bytes = self.bytes.saturating_sub(first.bytes.len());
            first.bytes.clear();
            // One of a giant frame is not worth its memory.
            if first.bytes.capacity() <= 2 * CHUNK {
                self.spare_chunk = first.bytes;
            }
        }
    }

    /// The frame moved to.
    #[inline]
    pub(super) fn frame(&self, input: u16) -> Frame<'_> {
        let Some(shown) = &self.shown else { return Frame::nothing() };
        Frame {
            id: FrameId { number: shown.number, input },
            time: Timestamp(shown.time),
            link: shown.link,
            interface: shown.interface,
            data: self.block.get(self.at..).unwrap_or_default(),
            wire_len: shown.wire_len,
        }
    }

    /// Where it begins in its block.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The block that the frames since the last one lay in, once a frame lies in another.
    pub(super) fn used_block(&mut self) -> Option<Vec<u8>> {
        self.used_block.take()
    }

    /// The block that the last frames lay in.
    pub(super) fn take_block(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.block)
    }

    /// Gives back a block that no frame lies in.
    pub(super) fn give_back(&mut self, block: Vec<u8>) {
        self.spare_block = block;
    }
}

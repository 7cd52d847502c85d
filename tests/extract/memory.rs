//! Streams that go to memory.

use mptcp_inspect::extract::stream::{Outcome, Sink, Stream};

/// More than waits in any stream here.
pub(crate) const LIMIT: usize = 8 << 20;

/// A file in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    fill_left: u64,
}

impl Sink for Memory {
    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
    fn fill(&mut self, count: u64) -> u64 {
        let filled = if count <= self.fill_left { count } else { 0 };
        self.bytes.resize(self.bytes.len() + filled as usize, 0);
        filled
    }
    fn read_back(&mut self, position: u64, buffer: &mut [u8]) -> bool {
        buffer.copy_from_slice(&self.bytes[position as usize..][..buffer.len()]);
        true
    }
}

pub(crate) fn memory() -> Memory {
    Memory { bytes: Vec::new(), fill_left: 1 << 20 }
}

pub(crate) fn finish(stream: Stream, end: Option<i64>, sink: &mut Memory) -> Outcome {
    let outcome = stream.finish(end, sink);
    assert_eq!(outcome.length, sink.bytes.len() as u64);
    outcome
}

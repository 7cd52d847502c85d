//! Where streams that are in order wait to be written and hashed, in blocks: what lies between the tracker, which must not
//! wait, and the threads that write and hash.
//!
//! ```text
//!                     blocks, with what has become of their streams
//! tracking thread ──┬──────────────────────────────────────────────▶ write-streams: files, entries of the manifest
//!   Stream, Outbox  └──────────────────────────────────────────────▶ hash-streams: SHA-256
//! ```
//!
//! A block is used again once both have dropped it. Until then it is kept here as well: what is to be read back lies in a
//! block or, if in none, in the file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::files::{Files, Key, file_name};
use super::manifest::Entry;
use super::stream::{Outcome, Sink};
use super::worker::Worker;
use super::writer::{Hasher, Stretch, ToHash, ToWrite, Writer};
use crate::limits;

/// Blocks on their way to the files.
#[derive(Debug)]
pub(super) struct Outbox {
    directory: Box<Path>,
    /// Streams with a block that is being filled.
    open: Vec<Open>,
    uses: u64,
    /// Full blocks that may not be written yet, oldest first, and where in its stream each begins.
    under_way: VecDeque<(u64, Stretch)>,
    /// The last of them, not handed over yet. All are of one stream.
    ready: usize,
    /// Memory to be used again.
    spare: Vec<Vec<u8>>,
    /// Zeros that may still be written for holes.
    fill_left: u64,
    writer: Worker<Writer>,
    hasher: Worker<Hasher>,
    has_failed: Arc<AtomicBool>,
}

/// A block that is being filled.
#[derive(Debug)]
struct Open {
    key: Key,
    /// Where in the stream it begins.
    position: u64,
    /// Whether the stream begins with it.
    begins: bool,
    bytes: Vec<u8>,
    /// When it was last filled.
    used: u64,
    /// The stream's file, to read back from.
    file: Option<File>,
}

/// What stands in the block for a hole of up to this size: a stretch of its own costs more.
const SMALL_HOLE: &[u8] = &[0; 4096];

/// Where one stream goes.
pub(super) struct BlockSink<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) key: Key,
    /// How long the stream is; none before it begins.
    pub(super) length: &'a mut Option<u64>,
}

impl Open {
    /// Takes bytes, of which there is room in a block. Short streams take no more memory than they need.
    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let enough = needed.max((2 * self.bytes.capacity()).min(limits::EXTRACT_BLOCK));
            self.bytes.reserve_exact(enough - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl Outbox {
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let has_failed = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(Files::new(directory)?, Arc::clone(&has_failed));
        Ok(Self {
            directory: directory.into(),
            open: Vec::new(),
            uses: 0,
            under_way: VecDeque::new(),
            ready: 0,
            spare: Vec::new(),
            fill_left: limits::EXTRACT_FILL,
            writer: Worker::new(writer),
            hasher: Worker::new(Hasher::default()),
            has_failed,
        })
    }

    /// From now on everything is done in the thread that gives it.
    pub(super) fn without_threads(&mut self) {
        self.writer.stay_here();
        self.hasher.stay_here();
    }

    /// Whether writing is known to have failed. What is given after a failure is not written, whether it is known or not.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// The stream whose block has to go before that of `key` can be filled: the one that was filled the longest ago.
    pub(super) fn in_the_way(&self, key: Key) -> Option<Key> {
        if self.open.len() < limits::EXTRACT_OPEN_FILES || self.open.iter().rev().any(|open| open.key == key) {
            return None;
        }
        self.open.iter().min_by_key(|open| open.used).map(|open| open.key)
    }

    /// Takes the block of a stream as it is, to be handed over.
    pub(super) fn take_block(&mut self, key: Key) {
        if let Some(index) = self.open.iter().position(|open| open.key == key) {
            let open = self.open.swap_remove(index);
            if open.begins || !open.bytes.is_empty() {
                let bytes = self.pack(open.bytes);
                let stretch = Stretch { key, begins: open.begins, bytes, zeros: 0 };
                self.under_way.push_back((open.position, stretch));
                self.ready += 1;
            } else {
                self.keep(open.bytes);
            }
        }
    }

    /// Hands over what is ready of a stream; `so_far` is what has become of that.
    pub(super) fn hand_over(&mut self, so_far: &Outcome) {
        for index in self.under_way.len() - self.ready..self.under_way.len() {
            let Some((_, stretch)) = self.under_way.get(index) else { continue };
            self.hasher.give(ToHash::Stretch(stretch.clone()));
            self.writer.give(ToWrite::Stretch(stretch.clone(), so_far.clone()));
        }
        self.ready = 0;
    }

    /// A stream has ended, and all of it is handed over.
    pub(super) fn end(&mut self, entry: Entry) {
        self.hasher.give(ToHash::End(entry.key()));
        self.writer.give(ToWrite::End(Box::new(entry)));
    }

    /// Takes a stream back.
    pub(super) fn remove(&mut self, key: Key) {
        self.open.retain(|open| open.key != key);
        self.hasher.give(ToHash::Remove(key));
        self.writer.give(ToWrite::Remove(key));
    }

    /// Waits until everything is written and hashed; nothing the second time.
    pub(super) fn finish(&mut self) -> Option<(Writer, Hasher)> {
        while let Some(key) = self.open.last().map(|open| open.key) {
            self.take_block(key);
            self.hand_over(&Outcome::default());
        }
        self.writer.finish().zip(self.hasher.finish())
    }

    /// The block of a stream that is `length` long.
    #[inline]
    fn open(&mut self, key: Key, length: Option<u64>) -> Option<&mut Open> {
        let index = self.open.iter().rposition(|open| open.key == key).unwrap_or_else(|| {
            let bytes = self.memory();
            let (position, begins) = (length.unwrap_or(0), length.is_none());
            self.open.push(Open { key, position, begins, bytes, used: 0, file: None });
            self.open.len() - 1
        });
        self.uses += 1;
        let open = self.open.get_mut(index)?;
        open.used = self.uses;
        Some(open)
    }

    /// Room for a block.
    fn memory(&mut self) -> Vec<u8> {
        while self.under_way.len() > self.ready
            && let Some((_, stretch)) = self.under_way.front_mut()
            && let Some(bytes) = Arc::get_mut(&mut stretch.bytes)
        {
            let bytes = std::mem::take(bytes);
            self.under_way.pop_front();
            self.keep(bytes);
        }
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps memory to be used again.
    fn keep(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < limits::EXTRACT_WAITING {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// What waits takes little more memory than it has bytes.
    fn pack(&mut self, bytes: Vec<u8>) -> Arc<Vec<u8>> {
        if bytes.len() >= bytes.capacity() / 4 {
            return Arc::new(bytes);
        }
        let packed = Arc::new(bytes.clone());
        self.keep(bytes);
        packed
    }

    /// Makes the block of a stream, with zeros behind it, ready; the next one begins behind them.
    fn fill_up(&mut self, key: Key, length: Option<u64>, zeros: u64) {
        let memory = self.memory();
        let Some(open) = self.open(key, length) else { return };
        let (position, begins) = (open.position, std::mem::take(&mut open.begins));
        let bytes = std::mem::replace(&mut open.bytes, memory);
        open.position += bytes.len() as u64 + zeros;
        let bytes = self.pack(bytes);
        self.under_way.push_back((position, Stretch { key, begins, bytes, zeros }));
        self.ready += 1;
    }

    /// Copies from blocks into the end of `buffer`, which begins at `position` of a stream; gives how much of its beginning
    /// lies in the file.
    fn read_blocks(&self, key: Key, position: u64, buffer: &mut [u8]) -> usize {
        let mut left = buffer.len();
        let mut read = |start: u64, bytes: &[u8]| {
            // In what is left, the block begins here.
            let begin = start.saturating_sub(position).min(left as u64) as usize;
            let skip = position.saturating_sub(start) as usize;
            if let Some(into) = buffer.get_mut(begin..left) {
                let bytes = bytes.get(skip..).unwrap_or_default();
                let (copied, zeros) = into.split_at_mut(bytes.len().min(into.len()));
                copied.copy_from_slice(bytes.get(..copied.len()).unwrap_or_default());
                zeros.fill(0);
            }
            left = begin;
            left > 0
        };
        let open = self.open.iter().filter(|open| open.key == key).map(|open| (open.position, open.bytes.as_slice()));
        let under_way = self.under_way.iter().rev().filter(|(_, stretch)| stretch.key == key);
        let _ = open
            .chain(under_way.map(|(start, stretch)| (*start, stretch.bytes.as_slice())))
            .all(|(start, bytes)| read(start, bytes));
        left
    }

    /// Reads from the file of a stream what lies in no block.
    fn read_file(&mut self, key: Key, length: Option<u64>, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        let path = self.directory.join(file_name(key));
        let open = self.open(key, length).ok_or_else(|| io::Error::other("no file is open"))?;
        let file = match &mut open.file {
            Some(file) => file,
            none => none.insert(File::open(path)?),
        };
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(buffer)
    }
}

impl Drop for Outbox {
    /// What was taken is written even if nobody asks what came of it.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}

impl Sink for BlockSink<'_> {
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        let Some(open) = self.outbox.open(self.key, *self.length) else { return };
        let room = limits::EXTRACT_BLOCK - open.bytes.len();
        *self.length = Some(self.length.unwrap_or(0) + bytes.len() as u64);
        if bytes.len() < room {
            open.extend(bytes);
            return;
        }
        let (now, mut later) = bytes.split_at(room);
        open.extend(now);
        self.outbox.fill_up(self.key, *self.length, 0);
        while let Some(open) = self.outbox.open(self.key, *self.length) {
            let (now, rest) = later.split_at(later.len().min(limits::EXTRACT_BLOCK));
            open.extend(now);
            if now.len() < limits::EXTRACT_BLOCK {
                return;
            }
            self.outbox.fill_up(self.key, *self.length, 0);
            later = rest;
        }
    }

    fn fill(&mut self, count: u64) -> u64 {
        if count > self.outbox.fill_left {
            return 0;
        }
        self.outbox.fill_left -= count;
        if let Some(zeros) = usize::try_from(count).ok().and_then(|count| SMALL_HOLE.get(..count)) {
            self.append(zeros);
            return count;
        }
        self.outbox.fill_up(self.key, *self.length, count);
        *self.length = Some(self.length.unwrap_or(0) + count);
        count
    }

    fn read_back(&mut self, position: u64, buffer: &mut [u8]) -> bool {
        if self.length.is_none() {
            return false;
        }
        let in_file = self.outbox.read_blocks(self.key, position, buffer);
        let Some(buffer) = buffer.get_mut(..in_file).filter(|buffer| !buffer.is_empty()) else { return true };
        match self.outbox.read_file(self.key, *self.length, position, buffer) {
            Ok(()) => true,
            Err(error) => {
                self.outbox.writer.give(ToWrite::Failed(self.key, error));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::extract::files::Key;
    use crate::track::side::Side;

    /// What is done with one of three streams.
    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        Fill(u64),
        ReadBack(prop::sample::Index, usize),
        TakeBlock,
    }

    fn step() -> impl Strategy<Value = (u64, Step)> {
        let step = prop_oneof![
            4 => (1..2000_usize).prop_map(Step::Append),
            2 => (1..700_000_usize).prop_map(Step::Append),
            1 => (1..400_000_u64).prop_map(Step::Fill),
            4 => (any::<prop::sample::Index>(), 1..100_000_usize).prop_map(|(at, len)| Step::ReadBack(at, len)),
            1 => Just(Step::TakeBlock),
        ];
        (0..3_u64, step)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// What is read back is what was given, wherever it is; and so are the files and the hashes.
        #[test]
        fn nothing_is_lost_on_the_way(steps in prop::collection::vec(step(), 1..40), threads in any::<bool>()) {
            let directory = tempfile::tempdir().expect("a directory");
            let mut outbox = Outbox::new(directory.path()).expect("a directory");
            if !threads {
                outbox.without_threads();
            }
            let keys = [0, 1, 2].map(|number| -> Key { (number, Side::Client) });
            let mut streams: [(Option<u64>, Vec<u8>); 3] = Default::default();
            for (index, (number, step)) in steps.into_iter().enumerate() {
                let (length, expected) = &mut streams[number as usize];
                let mut sink = BlockSink { outbox: &mut outbox, key: keys[number as usize], length };
                match step {
                    Step::Append(len) => {
                        let bytes: Vec<u8> = (0..len).map(|at| (at * 31 + index * 7) as u8).collect();
                        sink.append(&bytes);
                        expected.extend(bytes);
                    }
                    Step::Fill(count) => {
                        assert_eq!(sink.fill(count), count);
                        expected.resize(expected.len() + count as usize, 0);
                    }
                    Step::ReadBack(_, _) if expected.is_empty() => assert!(!sink.read_back(0, &mut [0])),
                    Step::ReadBack(at, len) => {
                        let at = at.index(expected.len());
                        let mut buffer = vec![1; len.min(expected.len() - at)];
                        assert!(sink.read_back(at as u64, &mut buffer));
                        prop_assert!(buffer == expected[at..at + buffer.len()], "other bytes at {}", at);
                    }
                    Step::TakeBlock => outbox.take_block(keys[number as usize]),
                }
                outbox.hand_over(&Outcome::default());
            }
            for (key, (length, expected)) in keys.into_iter().zip(&streams) {
                prop_assert_eq!(length.unwrap_or(0), expected.len() as u64);
                outbox.take_block(key);
                outbox.hand_over(&Outcome::default());
                outbox.hasher.give(ToHash::End(key));
            }
            let (writer, hasher) = outbox.finish().expect("the first time");
            prop_assert!(writer.failed.is_none());
            for (key, (_, expected)) in keys.into_iter().zip(&streams).filter(|(_, (length, _))| length.is_some()) {
                prop_assert!(&std::fs::read(writer.files.path(key)).expect("the file") == expected);
                prop_assert_eq!(hasher.hashes.get(&key), Some(&Sha256::digest(expected).into()));
            }
        }
    }
}

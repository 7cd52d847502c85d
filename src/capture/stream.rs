//! Bytes, however they come, as one window that moves forward: [`Stream::rest`] is what is at hand, [`Stream::fill`] asks
//! for more of it, [`Stream::consume`] passes over it.
//!
//! A large input is read (and decompressed) by a thread of its own, into blocks that go round between the two threads:
//!
//! ```text
//!            filled blocks, in order
//! reader ─────────────────────────────▶ Stream        block  | headroom | up to BLOCK bytes, page-aligned |
//!        ◀─────────────────────────────                           ▲
//!                used blocks                    the tail of the block before, where a record straddles both
//! ```
//!
//! So records are parsed in place, and only one that straddles two blocks is copied. One that doesn't fit the headroom is
//! joined in a block that grows as its bytes arrive, up to what the format accepts as a record.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes of a block: system calls and wake-ups cost next to nothing at that size (64 KiB take twice as long, 256 KiB a tenth
/// longer; 1 MiB is no faster and takes more memory, since what a block's frames hold is kept beside it).
const BLOCK: usize = 1 << 19;
/// Room in front of a block for the tail of the one before: a packet of any usual size.
const HEADROOM: usize = 64 << 10;
/// Where in memory the data of a block begin: at a page, like the kernel's copy of the file. Processors copy between pages
/// that start together several times faster than else (AMD's `rep movsb`: 0.12 s rather than 0.55 s for 1.3 GB).
const PAGE: usize = 4096;
/// Bytes of the allocation of a block.
const ALLOCATED: usize = HEADROOM + PAGE + BLOCK;
/// Blocks that go round: memory, and how far the reader may run ahead.
const BLOCKS: usize = 4;

/// Where the bytes come from.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    /// Bytes of the file read so far, before decompression; counted by whoever reads the file.
    position: Arc<AtomicU64>,
    /// Hand on what there is, rather than wait for a whole block: somebody may be watching packets arrive.
    live: bool,
    /// Reading includes decompression.
    compressed: bool,
    /// An error that came after some bytes of a block.
    failed: Option<io::Error>,
}

impl Input {
    /// Bytes from `reader`, which counts in `position` what it read of the file.
    pub(super) fn new(reader: Box<dyn Read + Send>, position: Arc<AtomicU64>, compressed: bool, live: bool) -> Self {
        Self { reader, position, live, compressed, failed: None }
    }

    /// Whether bytes are handed on as they come.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Fills a block, the used one if it has the right size; `None` at the end. An error after some bytes waits for the
    /// next call.
    fn next_block(&mut self, mut bytes: Vec<u8>) -> io::Result<Option<Block>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if bytes.len() != ALLOCATED {
            bytes = vec![0; ALLOCATED];
        }
        let start = HEADROOM + bytes.as_ptr().wrapping_add(HEADROOM).align_offset(PAGE).min(PAGE);
        let mut end = start;
        while let Some(room) = bytes.get_mut(end..start + BLOCK)
            && !room.is_empty()
        {
            match self.reader.read(room) {
                Ok(0) => break,
                Ok(count) => {
                    end += count;
                    if self.live {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if end == start => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok((end > start).then(|| Block { bytes, start, end, position: self.position() }))
    }
}

/// One filled block.
struct Block {
    /// At least `HEADROOM` bytes, then the data, from `start` to `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
}

/// What comes from the reading thread, or from whoever wants it stopped.
enum Filled {
    Block(Block),
    Failed(io::Error),
    /// The thread has ended.
    End,
    /// What is still to come is not waited for.
    Stop,
}

/// Sends the end when the thread ends, however it does.
struct Sender(SyncSender<Filled>);

impl Drop for Sender {
    fn drop(&mut self) {
        // Fails if nobody waits for more.
        let _ = self.0.send(Filled::End);
    }
}

/// Ends an input that is still being written, from another thread.
pub struct Stopper(SyncSender<Filled>);

impl Stopper {
    /// What was read so far is all.
    pub fn stop(&self) {
        // Fails if the input has ended.
        let _ = self.0.send(Filled::Stop);
    }
}

/// Where blocks come from.
enum Feed {
    /// To be read ahead, from the first time on that something is needed.
    Unstarted(Input),
    /// Read when needed, by the thread that needs it.
    Inline { input: Input, spare: Vec<u8> },
    /// Read ahead.
    Ahead { filled: Receiver<Filled>, used: SyncSender<Vec<u8>>, reader: Option<JoinHandle<()>> },
    /// No more.
    Ended,
    /// Nobody waits for more.
    Stopped,
}

/// What becomes of a block that was passed over.
enum Passed {
    /// It is filled again.
    Used,
    /// It waits for who needs its bytes. One at most: a block that is passed over while another waits was filled after that
    /// one, so that nobody has been shown what is in it.
    Kept(Option<Vec<u8>>),
}

/// A window on an input's bytes.
pub(super) struct Stream {
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    feed: Feed,
    /// What becomes of blocks that were passed over.
    passed: Passed,
    /// Why it ended before its end.
    error: Option<io::Error>,
    /// Bytes of the file that what was at hand so far took.
    pub(super) position: u64,
}

impl Stream {
    /// A window that starts with `start`, already read, and goes on with `input`; `ahead` reads it in a thread of its own,
    /// from the first [`fill`](Self::fill) on.
    pub(super) fn new(start: Vec<u8>, input: Input, ahead: bool) -> Self {
        let position = input.position();
        let feed = if ahead { Feed::Unstarted(input) } else { Feed::Inline { input, spare: Vec::new() } };
        Self { end: start.len(), buffer: start, at: 0, feed, passed: Passed::Used, error: None, position }
    }

    /// The bytes at hand.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..self.end).unwrap_or_default()
    }

    /// Where [`rest`](Self::rest) begins, for [`slice`](Self::slice); valid until the next [`fill`](Self::fill).
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes at a place, also one already passed over; empty if it is not there.
    #[inline]
    pub(super) fn slice(&self, from: usize, len: usize) -> &[u8] {
        self.buffer.get(from..).and_then(|bytes| bytes.get(..len)).unwrap_or_default()
    }

    /// Passes over `count` bytes at hand.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.end);
    }

    /// Brings at least `need` bytes to hand; `false` if the input ends before that.
    #[cold]
    pub(super) fn fill(&mut self, need: usize) -> bool {
        while self.end - self.at < need {
            match self.feed.next() {
                Ok(Some(block)) => self.append(block),
                Ok(None) => {
                    if !self.was_stopped() {
                        self.feed = Feed::Ended;
                    }
                    return false;
                }
                Err(error) => {
                    self.feed = Feed::Ended;
                    self.error = Some(error);
                    return false;
                }
            }
        }
        true
    }

    /// Whether it was ended by a [`Stopper`].
    pub(super) fn was_stopped(&self) -> bool {
        matches!(self.feed, Feed::Stopped)
    }

    /// What ends it from another thread, if the bytes are handed on as they come and in a thread of its own.
    pub(super) fn stopper(&mut self) -> io::Result<Option<Stopper>> {
        match std::mem::replace(&mut self.feed, Feed::Ended) {
            Feed::Unstarted(input) if input.is_live() => {
                let (feed, stopper) = read_ahead(input)?;
                self.feed = feed;
                Ok(Some(stopper))
            }
            other => {
                self.feed = other;
                Ok(None)
            }
        }
    }

    /// Why the input ended, if that was not its end; once.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Puts a block behind the bytes at hand.
    fn append(&mut self, mut block: Block) {
        self.position = block.position;
        let tail = self.buffer.get(self.at..self.end).unwrap_or_default();
        let at = block.start.checked_sub(tail.len());
        if let Some((at, room)) = at.and_then(|at| Some((at, block.bytes.get_mut(at..block.start)?))) {
            room.copy_from_slice(tail);
            self.at = at;
            self.end = block.end;
            self.leave(block.bytes);
        } else {
            if matches!(self.passed, Passed::Kept(None)) {
                let joined = tail.to_vec();
                (self.at, self.end) = (0, joined.len());
                self.leave(joined);
            }
            self.buffer.truncate(self.end);
            self.buffer.drain(..self.at);
            self.buffer.extend_from_slice(block.bytes.get(block.start..block.end).unwrap_or_default());
            self.at = 0;
            self.end = self.buffer.len();
            self.feed.recycle(block.bytes);
        }
    }
}

impl Stream {
    /// Goes over to another buffer.
    fn leave(&mut self, next: Vec<u8>) {
        let left = std::mem::replace(&mut self.buffer, next);
        match &mut self.passed {
            Passed::Kept(kept @ None) => *kept = Some(left),
            Passed::Kept(Some(_)) | Passed::Used => self.feed.recycle(left),
        }
    }

    /// From now on a block that was passed over waits for [`take_kept`](Self::take_kept), which is to be asked each time
    /// before more is looked at. The caller is a thread of its own: only where bytes cost work before they can be looked at
    /// (decompression) does it pay to read them in yet another.
    pub(super) fn keep(&mut self) -> io::Result<BlockReturn> {
        self.passed = Passed::Kept(None);
        self.feed = match std::mem::replace(&mut self.feed, Feed::Ended) {
            Feed::Unstarted(input) if input.compressed => read_ahead(input)?.0,
            Feed::Unstarted(input) => Feed::Inline { input, spare: Vec::new() },
            started => started,
        };
        Ok(match &self.feed {
            Feed::Ahead { used, .. } => BlockReturn(Some(used.clone())),
            Feed::Unstarted(_) | Feed::Inline { .. } | Feed::Ended | Feed::Stopped => BlockReturn(None),
        })
    }

    /// The block that was passed over since the last call.
    pub(super) fn take_kept(&mut self) -> Option<Vec<u8>> {
        match &mut self.passed {
            Passed::Kept(kept) => kept.take(),
            Passed::Used => None,
        }
    }

    /// Takes the buffer with the bytes at hand; there are none after.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        (self.at, self.end) = (0, 0);
        std::mem::take(&mut self.buffer)
    }

    /// Gives a block back that nobody needs any more.
    pub(super) fn give_back(&mut self, block: Vec<u8>) {
        self.feed.recycle(block);
    }
}

/// Takes blocks back from another thread.
pub(crate) struct BlockReturn(Option<SyncSender<Vec<u8>>>);

impl BlockReturn {
    /// Gives a block back to the thread that reads; leaves it where there is none.
    pub(crate) fn give_back(&self, block: &mut Vec<u8>) {
        if let Some(used) = &self.0 {
            // Fails if the reading thread has ended; then nobody needs it.
            let _ = used.try_send(std::mem::take(block));
        }
    }
}

impl Feed {
    /// The next block; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Block>> {
        if let Self::Unstarted(_) = self
            && let Self::Unstarted(input) = std::mem::replace(self, Self::Ended)
        {
            *self = read_ahead(input)?.0;
        }
        match self {
            Self::Inline { input, spare } => input.next_block(std::mem::take(spare)),
            Self::Ahead { filled, reader, .. } => match filled.recv() {
                Ok(Filled::Block(block)) => Ok(Some(block)),
                Ok(Filled::Failed(error)) => Err(error),
                Ok(Filled::Stop) => {
                    // The thread waits for bytes that may never come.
                    *self = Self::Stopped;
                    Ok(None)
                }
                Ok(Filled::End) | Err(_) => {
                    join(reader);
                    Ok(None)
                }
            },
            Self::Unstarted(_) | Self::Ended | Self::Stopped => Ok(None),
        }
    }

    /// Gives a used block back.
    fn recycle(&mut self, used_block: Vec<u8>) {
        match self {
            Self::Inline { spare, .. } => *spare = used_block,
            // Fails if the thread has ended; then nobody needs it.
            Self::Ahead { used, .. } => drop(used.try_send(used_block)),
            Self::Unstarted(_) | Self::Ended | Self::Stopped => {}
        }
    }
}

/// Waits for a thread that has nothing more to say. Had it said all? If it panicked, so does this one: a part must not pass
/// for the whole.
pub(crate) fn join(thread: &mut Option<JoinHandle<()>>) {
    if let Some(Err(panic)) = thread.take().map(JoinHandle::join) {
        std::panic::resume_unwind(panic);
    }
}

/// Starts the reading thread. It ends at the end of the input, or at its next block after the [`Stream`] was dropped.
fn read_ahead(mut input: Input) -> io::Result<(Feed, Stopper)> {
    let (send_filled, filled) = sync_channel(BLOCKS);
    // One more than go round: the bytes that the stream began with.
    let (used, receive_used) = sync_channel(BLOCKS + 1);
    for _ in 0..BLOCKS {
        let _ = used.try_send(Vec::new());
    }
    let stopper = Stopper(send_filled.clone());
    let sender = Sender(send_filled);
    let read = move || {
        while let Ok(bytes) = receive_used.recv() {
            let filled = match input.next_block(bytes) {
                Ok(Some(block)) => Filled::Block(block),
                Ok(None) => break,
                Err(error) => Filled::Failed(error),
            };
            if sender.0.send(filled).is_err() {
                break;
            }
        }
    };
    let reader = thread::Builder::new().name("read-ahead".to_owned()).spawn(read)?;
    Ok((Feed::Ahead { filled, used, reader: Some(reader) }, stopper))
}

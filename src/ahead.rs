//! Reading and decoding ahead of the tracker, in a thread of its own: a file's frames come with what they hold.
//!
//! ```text
//!              batches: a block of the file and what its frames hold
//! ahead thread ──────────────────────────────────────────────────────▶ Ahead ──▶ tracker
//!   read, decompress, walk the layers, read options
//!              ◀──────────────────────────────────────────────────────
//!                          blocks and lists to be used again
//! ```
//!
//! Bytes stay where they were read; what was decoded says where in the block they are. Frames, their order and what is said
//! of them are those of [`FileSource`] and [`Decoder`] alone. What is said of the input (interfaces, bytes read, fragments left
//! over) is what was known behind the block; only the number of packets is that of the frame moved to.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::capture::{BlockReturn, CaptureError, FileSource, InputInfo, Source, join};
use crate::frame::{Frame, FrameId, LinkType, Timestamp};
use crate::limits;
use crate::packet::checksum::sum16;
use crate::packet::options::{Options, Parsed, Unusual, Usual};
use crate::packet::{Decoded, Decoder, Header, Malformed, Segment};

/// Batches that wait for the tracker. Their blocks are missing from those that go round below, but come back: the tracker
/// waits only where no batch does.
const WAITING: usize = 2;

/// A file whose frames are decoded ahead.
pub struct Ahead {
    batches: Receiver<Batch>,
    used: SyncSender<Batch>,
    used_blocks: BlockReturn,
    /// The tracker has caught up since the last batch was begun.
    caught_up: Arc<AtomicBool>,
    input: u16,
    batch: Batch,
    /// The next entry of the batch; the one before is shown.
    next: usize,
    info: InputInfo,
    /// Frames of datagrams that never became whole.
    incomplete_fragments: u64,
    thread: Option<JoinHandle<()>>,
}

/// A block of a file, and the frames that lie in it.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Bytes that do not lie in the block: payload of reassembled datagrams.
    reassembled: Vec<u8>,
    entries: Vec<Entry>,
    /// What only segments with options in no usual layout have.
    unusual: Vec<Unusual>,
    /// SYNs and SYN/ACKs with MP_CAPABLE in it.
    handshakes: usize,
    /// The tracker had caught up when it was begun: what the tracker can do itself is left to it.
    hurry: bool,
    /// What is known of the input after it; `None` in a used one.
    info: Option<InputInfo>,
    /// How the input ended, behind the last entry.
    problem: Option<CaptureError>,
    incomplete_fragments: u64,
}

/// One frame.
struct Entry {
    time: Timestamp,
    number: u64,
    link: LinkType,
    interface: u16,
    wire_len: u32,
    data: Span,
    holds: Holds,
    /// What the rest is of: that of no segment where there is none.
    header: Header,
    /// The options and the payload behind them.
    bytes: Span,
    options_len: u8,
    usual: Usual,
    /// The place in [`Batch::unusual`] of what it has beside these, or [`NOTHING`].
    unusual: u32,
}

/// No place.
const NOTHING: u32 = u32::MAX;

/// As [`Decoded`], without the segment.
#[derive(Clone, Copy)]
enum Holds {
    Tcp,
    NotIp,
    NotTcp,
    Malformed(Malformed),
    FragmentHeld,
}

/// A place in a batch.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    len: u32,
    reassembled: bool,
}

impl Ahead {
    /// Decodes the frames of `source` in a thread of their own.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(mut source: FileSource) -> io::Result<Self> {
        let info = source.info().clone();
        let (send, batches) = sync_channel(WAITING);
        let (used, receive_used) = sync_channel(WAITING + 2);
        let (input, used_blocks) = (source.input(), source.keep_used_blocks()?);
        let caught_up = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&caught_up);
        let thread = thread::Builder::new().name("decode-ahead".to_owned());
        let thread = Some(thread.spawn(move || decode(source, &send, &receive_used, &tell))?);
        let (batch, next, incomplete_fragments) = (Batch::default(), 0, 0);
        Ok(Self { batches, used, used_blocks, caught_up, input, batch, next, info, incomplete_fragments, thread })
    }

    /// The frame moved to, what it holds, and the options of its segment.
    #[inline(always)]
    pub fn shown(&self) -> (Frame<'_>, Decoded<'_>, Option<Options<'_>>) {
        let Some(entry) = self.entry() else { return (Frame::nothing(), Decoded::NotIp, None) };
        let decoded = match entry.holds {
            Holds::Tcp => {
                let bytes = self.batch.slice(entry.bytes);
                let (options, payload) = bytes.split_at_checked(usize::from(entry.options_len)).unwrap_or((bytes, &[]));
                let segment = Segment { header: &entry.header, options, payload };
                let options = Options::new(&segment, &entry.usual, self.batch.unusual.get(entry.unusual as usize));
                return (self.frame_of(entry), Decoded::Tcp(segment), Some(options));
            }
            Holds::NotIp => Decoded::NotIp,
            Holds::NotTcp => Decoded::NotTcp,
            Holds::Malformed(malformed) => Decoded::Malformed(malformed),
            Holds::FragmentHeld => Decoded::FragmentHeld,
        };
        (self.frame_of(entry), decoded, None)
    }

    #[inline(always)]
    fn frame_of(&self, entry: &Entry) -> Frame<'_> {
        Frame {
            id: FrameId { number: entry.number, input: self.input },
            time: entry.time,
            link: entry.link,
            interface: entry.interface,
            data: self.batch.slice(entry.data),
            wire_len: entry.wire_len,
        }
    }

    /// As [`Decoder::incomplete_fragments`], of what was decoded so far.
    pub fn incomplete_fragments(&self) -> u64 {
        self.incomplete_fragments
    }

    #[inline]
    fn entry(&self) -> Option<&Entry> {
        self.batch.entries.get(self.next.wrapping_sub(1))
    }

    /// Gets the next batch; an error is the end.
    #[cold]
    fn next_batch(&mut self) -> Result<bool, CaptureError> {
        if let Some(problem) = self.batch.problem.take() {
            return Err(problem);
        }
        let batch = self.batches.try_recv().or_else(|_| {
            self.caught_up.store(true, Ordering::Relaxed);
            self.batches.recv()
        });
        let Ok(batch) = batch else {
            join(&mut self.thread);
            return Ok(false);
        };
        let mut used = std::mem::replace(&mut self.batch, batch);
        self.used_blocks.give_back(&mut used.bytes);
        used.entries.clear();
        used.unusual.clear();
        used.reassembled.clear();
        // Fails at the end only, when nobody needs it.
        let _ = self.used.try_send(used);
        self.next = 0;
        if let Some(info) = self.batch.info.take() {
            let packets = self.info.packets;
            self.info = InputInfo { packets, cut_after: None, ..info };
        }
        self.incomplete_fragments = self.batch.incomplete_fragments;
        Ok(true)
    }
}

impl Source for Ahead {
    #[inline]
    fn advance(&mut self) -> Result<bool, CaptureError> {
        loop {
            if let Some(entry) = self.batch.entries.get(self.next) {
                self.info.packets = self.info.packets.max(entry.number);
                self.next += 1;
                return Ok(true);
            }
            match self.next_batch() {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(problem) => {
                    self.info.cut_after = Some(self.info.packets);
                    return Err(problem);
                }
            }
        }
    }

    #[inline]
    fn frame(&self) -> Frame<'_> {
        self.entry().map_or_else(Frame::nothing, |entry| self.frame_of(entry))
    }

    #[inline]
    fn time(&self) -> Timestamp {
        self.entry().map_or_else(Timestamp::default, |entry| entry.time)
    }

    fn inputs(&self) -> Vec<&InputInfo> {
        vec![&self.info]
    }
}

impl Batch {
    #[inline]
    fn slice(&self, span: Span) -> &[u8] {
        let bytes = if span.reassembled { &self.reassembled } else { &self.bytes };
        bytes.get(span.start as usize..).and_then(|bytes| bytes.get(..span.len as usize)).unwrap_or_default()
    }
}

/// Half of what the tracker remembers of a usual connection: its handshake has a SYN and a SYN/ACK.
const ROOM: usize = 1536;
/// The kernel finds and clears memory by pages.
const PAGE: usize = 4096;

/// Makes room for the connections of so many segments that open one. Memory that nobody has used yet must be found and
/// cleared by the kernel, which can take as long as all that is done with it (twice as long where a hypervisor has to find it
/// first). So it is used once here, where there is time, and goes back to the allocator. The program's, set up as
/// `.cargo/config.toml` says, hands it out next; others may not, and then this was for nothing.
fn make_room(handshakes: usize) {
    let mut room = vec![0_u8; (handshakes * ROOM).min(limits::ROOM_BYTES)];
    room.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    black_box(room);
}

/// Fills batches until the input ends, or nobody wants them any more.
fn decode(mut source: FileSource, batches: &SyncSender<Batch>, used: &Receiver<Batch>, caught_up: &AtomicBool) {
    let mut decoder = Decoder::new();
    let mut batch = Batch::default();
    loop {
        let moved = source.advance();
        match source.used_block() {
            Some(block) if batch.entries.is_empty() => source.give_back(block),
            Some(block) => {
                batch.close(block, &source, &decoder);
                let mut next = used.try_recv().unwrap_or_default();
                if next.bytes.capacity() > 0 {
                    source.give_back(std::mem::take(&mut next.bytes));
                }
                if batches.send(std::mem::replace(&mut batch, next)).is_err() {
                    return;
                }
                batch.hurry = caught_up.swap(false, Ordering::Relaxed);
            }
            None => {}
        }
        match moved {
            Ok(true) => batch.add(&source, &mut decoder),
            end => {
                let block = source.take_block();
                batch.close(block, &source, &decoder);
                batch.problem = end.err();
                // Fails only if nobody wants it.
                let _ = batches.send(batch);
                return;
            }
        }
    }
}

impl Batch {
    /// Ends with the last frame that lies in `block`.
    fn close(&mut self, block: Vec<u8>, source: &FileSource, decoder: &Decoder) {
        self.bytes = block;
        let handshakes = std::mem::take(&mut self.handshakes);
        if !self.hurry {
            make_room(handshakes);
        }
        self.incomplete_fragments = decoder.incomplete_fragments();
        self.info = Some(source.info().clone());
    }

    /// Adds the frame that `source` is at.
    #[inline]
    fn add(&mut self, source: &FileSource, decoder: &mut Decoder) {
        let frame = source.frame();
        let data = Span { start: source.frame_at() as u32, len: frame.data.len() as u32, reassembled: false };
        let mut entry = Entry {
            time: frame.time,
            number: frame.id.number,
            link: frame.link,
            interface: frame.interface,
            wire_len: frame.wire_len,
            data,
            holds: Holds::Tcp,
            header: Header::NONE,
            bytes: Span::default(),
            options_len: 0,
            usual: Usual::default(),
            unusual: NOTHING,
        };
        match decoder.decode(&frame) {
            Decoded::Tcp(segment) => {
                entry.header = *segment.header;
                let checksum = if let Some(usual) = Usual::of(&segment) {
                    entry.usual = usual;
                    usual.has_checksum()
                } else {
                    self.read_others(&segment, &mut entry)
                };
                // The tracker would have to fetch the payload from this core: it does where it waits anyway.
                if checksum && !self.hurry {
                    entry.header.payload_sum = Some(sum16(segment.payload));
                }
                entry.options_len = segment.options.len() as u8;
                entry.bytes = self.place(&segment, &frame, data);
            }
            Decoded::NotIp => entry.holds = Holds::NotIp,
            Decoded::NotTcp => entry.holds = Holds::NotTcp,
            Decoded::Malformed(malformed) => entry.holds = Holds::Malformed(malformed),
            Decoded::FragmentHeld => entry.holds = Holds::FragmentHeld,
        }
        self.entries.push(entry);
    }

    /// Reads options in no usual layout; tells whether the payload is covered by a checksum that stands there.
    #[inline(never)]
    fn read_others(&mut self, segment: &Segment<'_>, entry: &mut Entry) -> bool {
        let parsed = Parsed::of_unusual(segment);
        entry.usual = parsed.usual;
        if let Some(unusual) = parsed.unusual {
            self.handshakes += usize::from(unusual.capable.is_some() && segment.flags.syn());
            entry.unusual = self.unusual.len() as u32;
            self.unusual.push(unusual);
        }
        parsed.has_checksum()
    }

    /// Where options and payload lie; what does not lie in the frame is kept. The payload is behind the options.
    #[inline]
    fn place(&mut self, segment: &Segment<'_>, frame: &Frame<'_>, data: Span) -> Span {
        let len = segment.options.len() + segment.payload.len();
        if len == 0 {
            return Span::default();
        }
        let offset = segment.options.as_ptr().addr().wrapping_sub(frame.data.as_ptr().addr());
        if offset < frame.data.len() && len <= frame.data.len() - offset {
            return Span { start: data.start + offset as u32, len: len as u32, reassembled: false };
        }
        let start = self.reassembled.len() as u32;
        self.reassembled.extend_from_slice(segment.options);
        self.reassembled.extend_from_slice(segment.payload);
        Span { start, len: len as u32, reassembled: true }
    }
}

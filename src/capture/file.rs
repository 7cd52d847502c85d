//! One capture file, or stream of one: bytes from [`Stream`], records by the format.

use std::io;
use std::path::Path;

use super::container::{self, Opened};
use super::looks_like::looks_like;
use super::order::Window;
use super::pcap_file::{self, PcapFile};
use super::pcapng_file::PcapngFile;
use super::step::{Damage, Record, Step};
use super::stream::{BlockReturn, Stopper, Stream};
use super::{CaptureError, InputInfo, Source};
use crate::frame::{Frame, FrameId, Timestamp};

/// How to read files.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Read large and compressed inputs in a thread of their own, ahead of the analysis. For hundreds of files at once it
    /// is better off: each thread has some megabytes of blocks.
    pub read_ahead: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { read_ahead: true }
    }
}

/// Opens a capture file, or standard input for `-`: pcap or pcapng, plain, gzip or zstd, as its content says. `input`
/// becomes the input number of its frames.
///
/// # Errors
/// [`CaptureError::Open`], [`CaptureError::NotACapture`], and [`CaptureError::Cut`] where even the file header is.
pub fn open(path: &Path, input: u16, options: &OpenOptions) -> Result<FileSource, CaptureError> {
    let name = path.to_string_lossy().into_owned();
    match container::open(path) {
        Ok(opened) => FileSource::new(name, input, opened, options),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            Err(CaptureError::NotACapture { name, looks_like: "a directory".to_owned() })
        }
        Err(reason) => Err(CaptureError::Open { name, reason }),
    }
}

/// Whether [`open`] can read a path more than once: it is a file, and not what stands for standard input.
pub fn can_be_read_again(path: &Path) -> bool {
    path.as_os_str() != "-" && path.is_file()
}

/// The time of a capture file's first frame, if it has one; none of what cannot be read twice.
pub fn first_time(path: &Path) -> Option<Timestamp> {
    if !can_be_read_again(path) {
        return None;
    }
    let mut source = open(path, 0, &OpenOptions { read_ahead: false }).ok()?;
    source.advance().ok()?.then(|| source.time())
}

/// Reads a capture from anything that gives bytes, as [`open`] does; `name` stands for it in messages.
///
/// # Errors
/// As [`open`].
pub fn read(
    name: impl Into<String>,
    reader: impl io::Read + Send + 'static,
    input: u16,
    options: &OpenOptions,
) -> Result<FileSource, CaptureError> {
    let name = name.into();
    match container::unpack(reader, None) {
        Ok(opened) => FileSource::new(name, input, opened, options),
        Err(reason) => Err(CaptureError::Open { name, reason }),
    }
}

/// A capture file or stream as a [`Source`]. Reads forward in constant memory.
///
/// Frames come as they stand in the file; but where it begins with several interfaces, in order of time as far as they are
/// not more than half a second apart. Their numbers are those of the file.
pub struct FileSource {
    stream: Stream,
    format: Format,
    /// The frame moved to, and where its record begins in the stream.
    record: Record,
    record_at: usize,
    ended: bool,
    input: u16,
    info: InputInfo,
    worth_threads: bool,
    /// It may still be written.
    live: bool,
    /// Frames that wait for earlier ones, where frames may not be in order.
    window: Option<Box<Window>>,
    /// Blocks of frames that were passed over are kept.
    keep: bool,
    /// What ended the input, behind those that wait.
    problem: Option<CaptureError>,
}

/// A format and its state.
enum Format {
    Pcap(PcapFile),
    Pcapng(PcapngFile),
}

impl FileSource {
    fn new(name: String, input: u16, opened: Opened, options: &OpenOptions) -> Result<Self, CaptureError> {
        let Opened { start, input: bytes, size, large, cut } = opened;
        let live = bytes.is_live();
        let worth_threads = large && options.read_ahead && !live;
        let mut interfaces = Vec::new();
        let mut header = 0;
        let (format, kind) = if PcapFile::recognises(&start) {
            let pcap = start.first_chunk::<{ pcap_file::HEADER }>().and_then(|header| PcapFile::new(*header));
            let Some(pcap) = pcap else { return Err(CaptureError::Cut { name, packets: 0, in_packet: false }) };
            interfaces.push(pcap.interface());
            header = pcap_file::HEADER;
            (Format::Pcap(pcap), PcapFile::KIND)
        } else if PcapngFile::recognises(&start) {
            (Format::Pcapng(PcapngFile::default()), PcapngFile::KIND)
        } else if cut {
            return Err(CaptureError::Cut { name, packets: 0, in_packet: false });
        } else {
            return Err(CaptureError::NotACapture { name, looks_like: looks_like(&start) });
        };
        let mut stream = Stream::new(start, bytes, large && options.read_ahead);
        stream.consume(header);
        let info = InputInfo {
            name,
            kind,
            interfaces,
            packets: 0,
            cut_after: None,
            dropped: None,
            bytes_read: stream.position,
            bytes_total: size,
        };
        Ok(Self {
            stream,
            format,
            record: Record::NONE,
            record_at: 0,
            ended: false,
            input,
            info,
            worth_threads,
            live,
            window: None,
            keep: false,
            problem: None,
        })
    }

    /// What is known of the input so far.
    pub fn info(&self) -> &InputInfo {
        &self.info
    }

    /// The input number of its frames.
    pub fn input(&self) -> u16 {
        self.input
    }

    /// Whether it is large enough for threads of its own, and no live stream, whose frames should not wait for others.
    pub fn is_worth_threads(&self) -> bool {
        self.worth_threads
    }

    /// What ends it from another thread, if it is a stream that may still be written.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn stopper(&mut self) -> io::Result<Option<Stopper>> {
        self.stream.stopper()
    }

    /// Keeps the blocks of bytes that frames were read from, for [`used_block`](Self::used_block).
    pub(crate) fn keep_used_blocks(&mut self) -> io::Result<BlockReturn> {
        self.keep = true;
        self.stream.keep()
    }

    /// The block that the frames since the last one lay in, once a frame lies in another: to be asked after each step.
    pub(crate) fn used_block(&mut self) -> Option<Vec<u8>> {
        self.window.as_mut().map_or_else(|| self.stream.take_kept(), |window| window.used_block())
    }

    /// The block that the last frames lay in; the input must have ended.
    pub(crate) fn take_block(&mut self) -> Vec<u8> {
        self.window.as_mut().map_or_else(|| self.stream.take_buffer(), |window| window.take_block())
    }

    /// Gives back a block that no frame lies in.
    pub(crate) fn give_back(&mut self, block: Vec<u8>) {
        match &mut self.window {
            Some(window) => window.give_back(block),
            None => self.stream.give_back(block),
        }
    }

    /// Where the frame moved to begins in its block.
    #[inline]
    pub(crate) fn frame_at(&self) -> usize {
        self.window.as_ref().map_or(self.record_at + self.record.skip, |window| window.at())
    }

    /// Gets at least `need` bytes; `false` at the end of the input, an error if that is in the middle of something.
    #[cold]
    fn fill(&mut self, need: usize) -> Result<bool, CaptureError> {
        let filled = self.stream.fill(need);
        self.info.bytes_read = self.stream.position;
        if filled {
            return Ok(true);
        }
        self.ended = true;
        let error = self.stream.take_error();
        let rest = self.stream.rest();
        if error.is_none() && (rest.is_empty() || self.stream.was_stopped()) {
            return Ok(false);
        }
        let in_packet = match &self.format {
            Format::Pcap(_) => !rest.is_empty(),
            Format::Pcapng(pcapng) => pcapng.begins_packet(rest),
        };
        let packets = self.info.packets;
        self.info.cut_after = Some(packets);
        let name = self.info.name.clone();
        Err(match error {
            Some(reason) if reason.kind() != io::ErrorKind::UnexpectedEof => {
                CaptureError::Read { name, packets, reason }
            }
            _ => CaptureError::Cut { name, packets, in_packet },
        })
    }

    #[cold]
    fn damaged(&mut self, damage: Damage) -> CaptureError {
        self.ended = true;
        self.info.cut_after = Some(self.info.packets);
        CaptureError::Damaged { name: self.info.name.clone(), packets: self.info.packets, damage }
    }

    /// Moves to the next record of a frame.
    #[inline]
    fn next_record(&mut self) -> Result<bool, CaptureError> {
        while !self.ended {
            let rest = self.stream.rest();
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(rest),
                Format::Pcapng(pcapng) => pcapng.step(rest, &mut self.info.interfaces),
            };
            match step {
                Step::Frame(record) => {
                    self.record = record;
                    self.record_at = self.stream.at();
                    self.stream.consume(record.consumed);
                    self.info.packets += 1;
                    return Ok(true);
                }
                Step::Skip(count) => self.stream.consume(count),
                Step::Need(count) => {
                    self.fill(count)?;
                }
                Step::Damaged(damage) => return Err(self.damaged(damage)),
            }
        }
        Ok(false)
    }

    /// The file begins with several interfaces: from its first frame on, frames wait for earlier ones.
    #[cold]
    fn begin_window(&mut self) -> Result<bool, CaptureError> {
        let mut window = Box::new(Window::new(self.keep));
        self.put(&mut window);
        self.window = Some(window);
        self.next_waiting()
    }

    #[inline(never)]
    fn next_waiting(&mut self) -> Result<bool, CaptureError> {
        let Some(mut window) = self.window.take() else { return Ok(false) };
        let moved = self.next_in_order(&mut window);
        self.window = Some(window);
        moved
    }

    /// Lets the frame moved to wait. Its block is needed no more.
    fn put(&mut self, window: &mut Window) {
        let bytes = self.stream.slice(self.record_at + self.record.skip, self.record.len);
        window.add(self.info.packets, &self.record, bytes);
        if let Some(block) = self.stream.take_kept() {
            self.stream.give_back(block);
        }
    }

    /// Moves to the next frame of those in the window, which takes in as many as it needs.
    fn next_in_order(&mut self, window: &mut Window) -> Result<bool, CaptureError> {
        loop {
            if window.advance(self.ended) {
                return Ok(true);
            }
            if self.ended {
                return self.problem.take().map_or(Ok(false), Err);
            }
            match self.next_record() {
                Ok(true) => self.put(window),
                Ok(false) => {}
                Err(problem) => self.problem = Some(problem),
            }
        }
    }
}

impl Source for FileSource {
    #[inline]
    fn advance(&mut self) -> Result<bool, CaptureError> {
        if self.window.is_some() {
            return self.next_waiting();
        }
        let first = self.info.packets == 0;
        let moved = self.next_record();
        if first && self.info.interfaces.len() > 1 && matches!(moved, Ok(true)) {
            return self.begin_window();
        }
        moved
    }

    #[inline]
    fn frame(&self) -> Frame<'_> {
        if let Some(window) = &self.window {
            return window.frame(self.input);
        }
        let record = &self.record;
        Frame {
            id: FrameId { number: self.info.packets, input: self.input },
            time: Timestamp(record.time),
            link: record.link,
            interface: record.interface,
            data: self.stream.slice(self.record_at + record.skip, record.len),
            wire_len: record.wire_len,
        }
    }

    fn is_dry(&self) -> bool {
        let rest = || self.stream.rest();
        self.live
            && match &self.format {
                Format::Pcap(pcap) => matches!(pcap.step(rest()), Step::Need(_)),
                Format::Pcapng(pcapng) => !pcapng.has_block(rest()),
            }
    }

    fn inputs(&self) -> Vec<&InputInfo> {
        vec![&self.info]
    }
}

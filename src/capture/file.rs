//! One capture file, or stream of one: bytes from [`Stream`], records by the format.

use std::io;
use std::path::Path;

use super::container::{self, Opened};
use super::looks_like::looks_like;
use super::pcap_file::{self, PcapFile};
use super::pcapng_file::PcapngFile;
use super::step::{Damage, Record, Step};
use super::stream::{BlockReturn, Stream};
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
}

/// A format and its state.
enum Format {
    Pcap(PcapFile),
    Pcapng(PcapngFile),
}

impl FileSource {
    fn new(name: String, input: u16, opened: Opened, options: &OpenOptions) -> Result<Self, CaptureError> {
        let Opened { start, input: bytes, size, large, cut } = opened;
        let worth_threads = large && options.read_ahead && !bytes.is_live();
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
        Ok(Self { stream, format, record: Record::NONE, record_at: 0, ended: false, input, info, worth_threads })
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

    /// Keeps the blocks of bytes that frames were read from, for [`used_block`](Self::used_block).
    pub(crate) fn keep_used_blocks(&mut self) -> io::Result<BlockReturn> {
        self.stream.keep()
    }

    /// The block that the frames since the last one lay in, once a frame lies in another: to be asked after each step.
    pub(crate) fn used_block(&mut self) -> Option<Vec<u8>> {
        self.stream.take_kept()
    }

    /// The block that the last frames lay in; the input must have ended.
    pub(crate) fn take_block(&mut self) -> Vec<u8> {
        self.stream.take_buffer()
    }

    /// Gives back a block that no frame lies in.
    pub(crate) fn give_back(&mut self, block: Vec<u8>) {
        self.stream.give_back(block);
    }

    /// Where the frame moved to begins in its block.
    #[inline]
    pub(crate) fn frame_at(&self) -> usize {
        self.record_at + self.record.skip
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
        if error.is_none() && rest.is_empty() {
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
}

impl Source for FileSource {
    #[inline]
    fn advance(&mut self) -> Result<bool, CaptureError> {
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

    #[inline]
    fn frame(&self) -> Frame<'_> {
        let record = &self.record;
        Frame {
            id: FrameId { number: self.info.packets, input: self.input },
            time: Timestamp(record.time),
            link: record.link,
            interface: record.interface,
            data: self.stream.slice(self.frame_at(), record.len),
            wire_len: record.wire_len,
        }
    }

    fn inputs(&self) -> Vec<&InputInfo> {
        vec![&self.info]
    }
}

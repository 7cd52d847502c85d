//! What a capture comes in: a path or standard input, plain or compressed. Ends in an [`Input`] of the capture's own bytes
//! and the first of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

use super::stream::Input;
use crate::limits::ZSTD_WINDOW_LOG;

/// Bytes looked at to tell what a file is: a pcap's header. Waiting for more could keep a live stream's first packet back.
const START: usize = 24;
/// Bytes asked for to tell; more than [`START`] come where they are there.
const START_ROOM: usize = 4096;
/// Bytes from which on a file is worth a thread that reads ahead.
const LARGE: u64 = 1 << 20;
/// Compressed bytes given to gzip's decompressor at once. What it makes of a bite with an error in it is lost, so that a bite
/// is a few packets; with 256 bytes, reading takes a tenth longer.
const BITE: usize = 512;
/// Bytes taken from zstd's decompressor at once: it checks the next block only when there is room behind the last, and loses
/// what it gave when that is damaged.
const SIP: usize = 1024;

/// An opened input.
pub(super) struct Opened {
    /// Its first bytes, decompressed: at least [`START`] of them unless it is shorter.
    pub(super) start: Vec<u8>,
    /// The rest of its bytes, decompressed.
    pub(super) input: Input,
    /// The file's size if it is a regular file.
    pub(super) size: Option<u64>,
    /// Long enough, or slow enough to read, for a thread of its own.
    pub(super) large: bool,
    /// The compressed stream ends in the middle of what would tell what it holds.
    pub(super) cut: bool,
}

/// Opens a path, or standard input for `-`.
pub(super) fn open(path: &Path) -> io::Result<Opened> {
    let file = if path.as_os_str() == "-" { standard_input()? } else { File::open(path)? };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    unpack(file, metadata.is_file().then_some(metadata.len()))
}

/// Looks at the first bytes of a capture of `size` bytes (if known: otherwise it may be a live stream) and decompresses it.
pub(super) fn unpack(reader: impl Read + Send + 'static, size: Option<u64>) -> io::Result<Opened> {
    let position = Arc::new(AtomicU64::new(0));
    let mut reader: Box<dyn Read + Send> = Box::new(Counted { reader, position: Arc::clone(&position) });
    let (mut start, mut failed) = read_start(reader.as_mut());
    let compression = compression(&start);
    if let Some(compression) = compression {
        let stored = BufReader::new(Cursor::new(start).chain(Resumed { failed, reader }));
        reader = match compression {
            Compression::Gzip => Box::new(Members(Some(GzDecoder::new(Bites(stored))))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(Sips(decoder))
            }
        };
        (start, failed) = read_start(reader.as_mut());
    }
    let too_little = start.len() < START;
    if let Some(error) = failed.take_if(|error| too_little && error.kind() != io::ErrorKind::UnexpectedEof) {
        return Err(error);
    }
    let cut = too_little && failed.is_some();
    let large = compression.is_some() || size.is_none_or(|size| size >= LARGE);
    let live = compression.is_none() && size.is_none();
    let reader = Box::new(Resumed { failed, reader });
    let input = Input::new(reader, position, compression.is_some(), live);
    Ok(Opened { start, input, size, large, cut })
}

/// Standard input as a file: its buffer of 8 KiB would only be in the way, and a file knows its size.
#[cfg(unix)]
fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Standard input as a file: its buffer of 8 KiB would only be in the way, and a file knows its size.
#[cfg(windows)]
fn standard_input() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

/// Counts what was read.
struct Counted<R> {
    reader: R,
    position: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What a capture can be compressed with.
#[derive(Clone, Copy)]
enum Compression {
    Gzip,
    Zstd,
}

/// By the magic; RFC 1952 §2.3.1, RFC 8878 §3.1 (skippable frames, as pzstd begins with, included).
fn compression(start: &[u8]) -> Option<Compression> {
    match start {
        [0x1f, 0x8b, 8, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// A reader of which an error is known already.
struct Resumed {
    failed: Option<io::Error>,
    reader: Box<dyn Read + Send>,
}

impl Read for Resumed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.failed.take().map_or_else(|| self.reader.read(buffer), Err)
    }
}

/// A buffered reader that shows [`BITE`] bytes at most.
struct Bites<R>(R);

impl<R: BufRead> Read for Bites<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: BufRead> BufRead for Bites<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.0.fill_buf()?;
        Ok(bytes.get(..BITE).unwrap_or(bytes))
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

/// The first byte of each gzip member.
const GZIP_MAGIC: u8 = 0x1f;

/// The members of a gzip file one after the other (RFC 1952 §2.2). Zeros behind the last are padding, as of tapes.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.0 else { return Ok(0) };
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let rest = member.get_mut();
            let mut padding = true;
            while padding {
                let bytes = rest.fill_buf()?;
                let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
                padding = zeros > 0 && zeros == bytes.len();
                rest.consume(zeros);
            }
            let next = rest.fill_buf()?.first().copied();
            if next.is_some_and(|byte| byte != GZIP_MAGIC) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what follows the gzip data is none"));
            }
            let ended = next.is_none();
            self.0 = self.0.take().filter(|_| !ended).map(|member| GzDecoder::new(member.into_inner()));
        }
    }
}

/// A reader that gives [`SIP`] bytes at most.
struct Sips<R>(R);

impl<R: Read> Read for Sips<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(SIP);
        self.0.read(buffer.get_mut(..len).unwrap_or_default())
    }
}

/// Reads until there is enough to tell what it is, or the end, or an error: then what is there decides, and the error comes
/// behind it.
fn read_start(reader: &mut dyn Read) -> (Vec<u8>, Option<io::Error>) {
    let mut start = vec![0; START_ROOM];
    let mut len = 0;
    let mut failed = None;
    while len < START
        && let Some(room) = start.get_mut(len..)
    {
        match reader.read(room) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    start.truncate(len);
    (start, failed)
}

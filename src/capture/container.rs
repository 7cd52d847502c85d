//! What a capture comes in: a path or standard input, plain or compressed. Ends in an [`Input`] of the capture's own bytes
//! and the first of them.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::stream::Input;
use crate::limits::ZSTD_WINDOW_LOG;

/// Bytes looked at to tell what a file is: a pcap's header. Waiting for more could keep a live stream's first packet back.
const START: usize = 24;
/// Bytes asked for to tell; more than [`START`] come where they are there.
const START_ROOM: usize = 4096;
/// Bytes from which on a file is worth a thread that reads ahead.
const LARGE: u64 = 1 << 20;

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
    let mut start = read_start(reader.as_mut())?;
    let compression = compression(&start);
    if let Some(compression) = compression {
        let stored = Cursor::new(start).chain(reader);
        reader = match compression {
            Compression::Gzip => Box::new(MultiGzDecoder::new(stored)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(stored)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        start = read_start(reader.as_mut())?;
    }
    let large = compression.is_some() || size.is_none_or(|size| size >= LARGE);
    let live = compression.is_none() && size.is_none();
    Ok(Opened { start, input: Input::new(reader, position, compression.is_some(), live), size, large })
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

/// Reads until there is enough to tell what it is, or the end. Compressed data that end too early just end: then what is
/// there decides.
fn read_start(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut start = vec![0; START_ROOM];
    let mut len = 0;
    while len < START
        && let Some(room) = start.get_mut(len..)
    {
        match reader.read(room) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    start.truncate(len);
    Ok(start)
}

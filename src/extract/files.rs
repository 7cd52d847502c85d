//! The files of extracted streams: the edge where extraction does I/O. Their names hold nothing from the capture.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::stream::Sink;
use crate::limits;
use crate::track::side::Side;

/// Which stream: the connection's number and the sender.
pub type Key = (u64, Side);

/// Bytes buffered for each open file: an append of a few segments is one write.
const BUFFER: usize = 64 << 10;

/// A directory of streams, of which a bounded number is open at once.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    open: Vec<Open>,
    uses: u64,
    /// Zeros that may still be written for holes.
    fill_left: u64,
    /// The first failure. Nothing is written after it.
    failed: Option<(PathBuf, io::Error)>,
}

#[derive(Debug)]
struct Open {
    key: Key,
    file: BufWriter<File>,
    used: u64,
}

/// Where one stream goes.
pub(super) struct FileSink<'a> {
    pub(super) files: &'a mut Files,
    pub(super) key: Key,
    /// Whether the file is there: it is made by the first byte.
    pub(super) created: &'a mut bool,
}

/// The name of a stream's file.
pub fn file_name((number, side): Key) -> String {
    format!("conn-{number}-{}.bin", direction(side))
}

/// The report's name of the direction that `side` sends.
pub fn direction(side: Side) -> &'static str {
    match side {
        Side::Client => "client_to_server",
        Side::Server => "server_to_client",
    }
}

impl Files {
    /// Makes the directory unless it is there.
    pub fn new(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            open: Vec::new(),
            uses: 0,
            fill_left: limits::EXTRACT_FILL,
            failed: None,
        })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether writing has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Writes what is buffered and closes everything; gives the first failure, if there was one.
    pub fn close(&mut self) -> Option<(PathBuf, io::Error)> {
        for mut open in std::mem::take(&mut self.open) {
            if let Err(error) = open.file.flush() {
                self.fail(&file_name(open.key), error);
            }
            discard_buffer(open.file);
        }
        self.failed.take()
    }

    /// Closes and deletes the file of a stream.
    pub fn remove(&mut self, key: Key) {
        if let Some(index) = self.open.iter().position(|open| open.key == key) {
            discard_buffer(self.open.swap_remove(index).file);
        }
        // It was not asked for: if it cannot be deleted, it does no harm, and the manifest does not list it.
        let _ = fs::remove_file(self.directory.join(file_name(key)));
    }

    /// The size of a stream's file.
    pub fn size(&self, key: Key) -> Option<u64> {
        fs::metadata(self.directory.join(file_name(key))).ok().map(|data| data.len())
    }

    /// Writes a whole file.
    pub fn write_whole(&self, name: &str, content: &[u8]) -> io::Result<()> {
        create(&self.directory.join(name))?.write_all(content)
    }

    fn fail(&mut self, name: &str, error: io::Error) {
        if self.failed.is_none() {
            self.failed = Some((self.directory.join(name), error));
        }
    }

    /// Does something with a stream's file, which is opened, or created the first time.
    fn with(&mut self, key: Key, created: &mut bool, act: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> bool {
        if self.failed.is_some() {
            return false;
        }
        self.uses += 1;
        let uses = self.uses;
        let found = self.open.iter_mut().rev().find(|open| open.key == key);
        let done = match found {
            Some(open) => {
                open.used = uses;
                act(&mut open.file)
            }
            None => self.open_file(key, created).and_then(|open| act(&mut open.file)),
        };
        match done {
            Ok(()) => true,
            Err(error) => {
                self.fail(&file_name(key), error);
                false
            }
        }
    }

    fn open_file(&mut self, key: Key, created: &mut bool) -> io::Result<&mut Open> {
        if self.open.len() >= limits::EXTRACT_OPEN_FILES {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, open)| open.used).map_or(0, |(index, _)| index);
            let mut oldest = self.open.swap_remove(oldest);
            oldest.file.flush()?;
        }
        let path = self.directory.join(file_name(key));
        let file = if *created {
            let mut file = File::options().read(true).write(true).open(&path)?;
            file.seek(SeekFrom::End(0))?;
            file
        } else {
            let file = create(&path)?;
            *created = true;
            file
        };
        self.open.push(Open { key, file: BufWriter::with_capacity(BUFFER, file), used: self.uses });
        self.open.last_mut().ok_or_else(|| io::Error::other("no file is open"))
    }
}

/// Makes a new file in place of one that may be there. A link is replaced, not followed.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().read(true).write(true).create_new(true).open(path)
}

/// Closes a file without a second try to write what could not be written.
fn discard_buffer(file: BufWriter<File>) {
    let _ = file.into_parts();
}

impl Sink for FileSink<'_> {
    fn append(&mut self, bytes: &[u8]) {
        self.files.with(self.key, self.created, |file| file.write_all(bytes));
    }

    fn fill(&mut self, count: u64) -> u64 {
        let filled = if count <= self.files.fill_left { count } else { 0 };
        self.files.fill_left -= filled;
        // Left sparse where the file system can.
        let made = self.files.with(self.key, self.created, |file| {
            file.flush()?;
            let end = file.get_mut().seek(SeekFrom::End(0))? + filled;
            file.get_mut().set_len(end)?;
            file.get_mut().seek(SeekFrom::Start(end)).map(|_| ())
        });
        if made { filled } else { 0 }
    }

    fn read_back(&mut self, position: u64, buffer: &mut [u8]) -> bool {
        *self.created
            && self.files.with(self.key, self.created, |file| {
                file.flush()?;
                let file = file.get_mut();
                file.seek(SeekFrom::Start(position))?;
                file.read_exact(buffer)?;
                file.seek(SeekFrom::End(0)).map(|_| ())
            })
    }
}

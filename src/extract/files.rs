//! The files of extracted streams: where extraction does I/O, but for reading back. Their names hold nothing from the capture.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::limits;
use crate::track::side::Side;

/// Which stream: the connection's number and the sender.
pub type Key = (u64, Side);

/// A directory of streams, of which a bounded number is open at once.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    open: Vec<Open>,
    uses: u64,
}

#[derive(Debug)]
struct Open {
    key: Key,
    file: File,
    used: u64,
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
        Ok(Self { directory: directory.to_owned(), open: Vec::new(), uses: 0 })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of a stream.
    pub fn path(&self, key: Key) -> PathBuf {
        self.directory.join(file_name(key))
    }

    /// Opens the file of a stream; one that `begins` gets a new file.
    pub(super) fn open(&mut self, key: Key, begins: bool) -> io::Result<&mut File> {
        self.uses += 1;
        let index = match self.open.iter().position(|open| open.key == key) {
            Some(index) => index,
            None => self.open_anew(key, begins)?,
        };
        let open = self.open.get_mut(index).ok_or_else(|| io::Error::other("no file is open"))?;
        open.used = self.uses;
        Ok(&mut open.file)
    }

    fn open_anew(&mut self, key: Key, begins: bool) -> io::Result<usize> {
        if self.open.len() >= limits::EXTRACT_OPEN_FILES {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, open)| open.used).map_or(0, |(index, _)| index);
            self.open.swap_remove(oldest);
        }
        let path = self.path(key);
        let file = if begins {
            create(&path)?
        } else {
            let mut file = File::options().write(true).open(&path)?;
            file.seek(SeekFrom::End(0))?;
            file
        };
        self.open.push(Open { key, file, used: self.uses });
        Ok(self.open.len() - 1)
    }

    /// Closes the file of a stream.
    pub(super) fn close(&mut self, key: Key) {
        self.open.retain(|open| open.key != key);
    }

    /// Closes and deletes the file of a stream.
    pub fn remove(&mut self, key: Key) {
        self.close(key);
        // It was not asked for: if it cannot be deleted, it does no harm, and the manifest does not list it.
        let _ = fs::remove_file(self.path(key));
    }

    /// The size of a stream's file.
    pub fn size(&self, key: Key) -> Option<u64> {
        fs::metadata(self.path(key)).ok().map(|data| data.len())
    }

    /// Writes a whole file.
    pub fn write_whole(&self, name: &str, content: &[u8]) -> io::Result<()> {
        create(&self.directory.join(name))?.write_all(content)
    }
}

/// Makes a new file in place of one that may be there. A link is replaced, not followed.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().write(true).create_new(true).open(path)
}

/// Appends to a file, and behind that zeros, which are left sparse where the file system can.
pub(super) fn append(file: &mut File, bytes: &[u8], zeros: u64) -> io::Result<()> {
    file.write_all(bytes)?;
    if zeros > 0 {
        let end = file.stream_position()? + zeros;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
    }
    Ok(())
}

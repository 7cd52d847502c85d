//! What is done with streams that are in order: they are written, and they are hashed. Each is done in a thread of its own
//! ([`Worker`](super::worker::Worker)); what is done does not depend on when.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::files::{self, Files, Key};
use super::manifest::{Entry, Manifest};
use super::stream::Outcome;
use super::worker::Work;
use crate::limits;

/// What holes are hashed as, some at a time.
static ZEROS: [u8; 4096] = [0; 4096];

/// The next part of a stream.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// Whose.
    pub(super) key: Key,
    /// Whether the stream begins with it.
    pub(super) begins: bool,
    /// Its bytes. Given back by being dropped.
    pub(super) bytes: Arc<Vec<u8>>,
    /// Zeros behind them, for a hole.
    pub(super) zeros: u64,
}

/// Writes streams, and lists those that have ended.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) files: Files,
    /// Streams that have a file and have not ended, and what had become of each when its last stretch was given.
    begun: BTreeMap<Key, Outcome>,
    /// Streams that have ended.
    pub(super) manifest: Manifest,
    /// The first failure. Nothing is written after it.
    pub(super) failed: Option<(PathBuf, io::Error)>,
    has_failed: Arc<AtomicBool>,
}

/// What there is to write.
#[derive(Debug)]
pub(super) enum ToWrite {
    /// The next part of a stream, and what has become of the stream so far.
    Stretch(Stretch, Outcome),
    /// A stream has ended: what is said of it.
    End(Box<Entry>),
    /// A stream is not wanted after all.
    Remove(Key),
    /// A stream could not be read back.
    Failed(Key, io::Error),
}

impl Writer {
    /// Sets `has_failed` when something could not be written.
    pub(super) fn new(files: Files, has_failed: Arc<AtomicBool>) -> Self {
        Self { files, begun: BTreeMap::new(), manifest: Manifest::new(), failed: None, has_failed }
    }

    fn write(&mut self, stretch: &Stretch, so_far: Outcome) -> io::Result<()> {
        let file = self.files.open(stretch.key, stretch.begins)?;
        // Even if not all of it can be written: what it tells of may be in the file.
        self.begun.insert(stretch.key, so_far);
        files::append(file, &stretch.bytes, stretch.zeros)
    }

    fn fail(&mut self, key: Key, error: io::Error) {
        if self.failed.is_none() {
            self.failed = Some((self.files.path(key), error));
            self.has_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Lists a stream. One that ends after a failure is told of as it was then, whatever was taken of it before the failure
    /// showed where streams are put in order; one that begins after a failure has no file.
    fn end(&mut self, mut entry: Box<Entry>) {
        let key = entry.key();
        let so_far = self.begun.remove(&key);
        if self.failed.is_some() {
            let Some(so_far) = so_far else { return };
            entry.cut(&so_far);
        }
        self.files.close(key);
        self.manifest.add(*entry);
    }
}

impl Work for Writer {
    type Task = ToWrite;
    const NAME: &'static str = "write-streams";

    fn weight(task: &ToWrite) -> usize {
        match task {
            ToWrite::Stretch(stretch, so_far) => stretch.bytes.len() + so_far.heap_bytes(),
            ToWrite::End(_) | ToWrite::Remove(_) | ToWrite::Failed(..) => 0,
        }
    }

    fn take(&mut self, task: ToWrite) {
        match task {
            ToWrite::Stretch(stretch, so_far) => {
                if self.failed.is_none()
                    && let Err(error) = self.write(&stretch, so_far)
                {
                    self.fail(stretch.key, error);
                }
            }
            ToWrite::End(entry) => self.end(entry),
            ToWrite::Remove(key) => {
                if self.begun.remove(&key).is_some() {
                    self.files.remove(key);
                }
            }
            ToWrite::Failed(key, error) => self.fail(key, error),
        }
    }
}

/// Hashes streams.
#[derive(Debug, Default)]
pub(super) struct Hasher {
    /// Of streams that have not ended.
    begun: BTreeMap<Key, Sha256>,
    /// SHA-256 of streams that have: as many as the manifest lists.
    pub(super) hashes: BTreeMap<Key, [u8; 32]>,
}

/// What there is to hash.
#[derive(Debug)]
pub(super) enum ToHash {
    /// The next part of a stream.
    Stretch(Stretch),
    /// A stream has ended.
    End(Key),
    /// A stream is not wanted after all.
    Remove(Key),
}

impl Work for Hasher {
    type Task = ToHash;
    const NAME: &'static str = "hash-streams";

    fn weight(task: &ToHash) -> usize {
        if let ToHash::Stretch(stretch) = task { stretch.bytes.len() } else { 0 }
    }

    fn take(&mut self, task: ToHash) {
        match task {
            ToHash::Stretch(stretch) => {
                let hash = self.begun.entry(stretch.key).or_default();
                hash.update(stretch.bytes.as_slice());
                let mut left = stretch.zeros;
                while left > 0 {
                    let turn = left.min(ZEROS.len() as u64);
                    hash.update(ZEROS.get(..turn as usize).unwrap_or(&ZEROS));
                    left -= turn;
                }
            }
            ToHash::End(key) => {
                if let Some(hash) = self.begun.remove(&key)
                    && self.hashes.len() < limits::EXTRACT_ENTRIES
                {
                    self.hashes.insert(key, hash.finalize().into());
                }
            }
            ToHash::Remove(key) => {
                self.begun.remove(&key);
            }
        }
    }
}

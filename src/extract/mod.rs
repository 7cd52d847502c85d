//! Extraction: each direction's byte stream of each connection, in DSN order, into a file of its own, and a manifest.
//!
//! * [`stream`]: puts one stream in order; pure
//! * `outbox`: what is in order, in blocks, on its way to
//! * `writer`: what writes and hashes it, each in a thread of its own where a `worker` gets one
//! * [`files`]: the files
//! * [`manifest`]: what is said of each stream
//!
//! A hole is filled with zeros, so that a byte's place in the file is its place in the stream, and listed in the manifest.
//! Fast Open bytes come first. A connection that fell back goes on from its TCP stream: the tracker hands that out as data.
//! Views of other taps have no files, nor have joins whose connection is not known; bytes that such a join carried before
//! its connection showed are missing, and the manifest tells how many.
#![allow(clippy::indexing_slicing, reason = "an array of two, by side")]

pub mod files;
pub mod manifest;
mod outbox;
pub mod stream;
mod worker;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::crypto::Token;
use crate::limits;
use crate::model::ConnectionFilter;
use crate::track::Tracker;
use crate::track::connection::Connection;
use crate::track::observer::{Checked, Data, Event, Observer, What};
use crate::track::side::{PerSide, Side};
use files::Key;
use manifest::Entry;
use outbox::{BlockSink, Outbox};
use stream::{MappingName, Part, Sink, Stream};

/// Writes the streams of connections as they are tracked.
#[derive(Debug)]
pub struct Extractor {
    outbox: Outbox,
    /// Connections to extract; all if empty.
    filters: Vec<ConnectionFilter>,
    /// By number. Those of connections that left are gone.
    connections: BTreeMap<u64, Slot>,
    /// Bytes that wait in all streams.
    held: usize,
}

#[derive(Debug, Default)]
struct Slot {
    tokens: [Option<Token>; 2],
    streams: PerSide<Option<Box<Stream>>>,
    /// Bytes that have gone out; none where there is no file.
    lengths: PerSide<Option<u64>>,
}

/// What was extracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Files with streams.
    pub streams: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Streams of which something is missing, or of which the end was not seen.
    pub incomplete: u64,
}

/// Writing failed.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// There is no directory to write to.
    #[error("cannot make the directory {}: {reason}", .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// A file could not be written to its end: a full disk, for example. The rest of the analysis is not affected.
    #[error(
        "cannot write {}: {reason}; kept in {}: {} files with {} bytes, each right as far as it goes",
        .path.display(), .directory.display(), .kept.streams, .kept.bytes
    )]
    Write {
        /// The first file that failed.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
        /// The directory.
        directory: PathBuf,
        /// What it has.
        kept: Extracted,
    },
}

impl Extractor {
    /// An extractor that writes into `directory`, which is made if it is not there. Files of the same names in it are
    /// replaced. With `filters`, only the connections that they name are extracted.
    pub fn new(directory: &Path, filters: &[ConnectionFilter]) -> Result<Self, ExtractError> {
        let outbox = Outbox::new(directory)
            .map_err(|reason| ExtractError::Directory { directory: directory.to_owned(), reason })?;
        Ok(Self { outbox, filters: filters.to_vec(), connections: BTreeMap::new(), held: 0 })
    }

    /// As [`new`](Self::new), but everything is written and hashed in the calling thread. Files and manifest are the same.
    pub fn without_threads(directory: &Path, filters: &[ConnectionFilter]) -> Result<Self, ExtractError> {
        let mut extractor = Self::new(directory, filters)?;
        extractor.outbox.without_threads();
        Ok(extractor)
    }

    /// The capture has ended, and the tracker has finished: writes what waits, and the manifest.
    pub fn finish(mut self, tracker: &Tracker) -> Result<Extracted, ExtractError> {
        for connection in tracker.present() {
            let Some(number) = connection.number() else { continue };
            if connection.view_of.is_some() || !self.is_wanted(number, connection) {
                self.discard(number);
                continue;
            }
            for side in Side::BOTH {
                self.finish_stream(number, connection, side);
            }
        }
        // What turned out to be another tap's view, or part of another connection.
        while let Some((&number, _)) = self.connections.first_key_value() {
            self.discard(number);
            self.connections.remove(&number);
        }
        self.close()
    }

    /// A connection left the tracker: its streams end here.
    pub fn gone(&mut self, connection: &Connection) {
        let Some(number) = connection.number() else { return };
        if self.is_wanted(number, connection) {
            for side in Side::BOTH {
                self.finish_stream(number, connection, side);
            }
        } else {
            self.discard(number);
        }
        self.connections.remove(&number);
    }

    fn is_wanted(&self, number: u64, connection: &Connection) -> bool {
        let tokens = [connection.ends.client.token(), connection.ends.server.token()];
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.names(number, tokens))
    }

    fn finish_stream(&mut self, number: u64, connection: &Connection, side: Side) {
        if connection.seldom.carried_before[side] > 0 {
            // Where nothing came after those bytes, an empty file: the manifest tells what it lacks.
            self.with(number, side, |_, sink| sink.append(&[]));
        }
        let key = (number, side);
        if self.connections.get(&number).is_none_or(|slot| slot.streams[side].is_none()) {
            return;
        }
        self.make_room(key);
        let Some(slot) = self.connections.get_mut(&number) else { return };
        let Some(stream) = slot.streams[side].take() else { return };
        self.held -= stream.held();
        let failed = self.outbox.has_failed();
        let mut sink = BlockSink { outbox: &mut self.outbox, key, length: &mut slot.lengths[side] };
        let anchored = stream.is_anchored();
        let end = end_of(connection, side);
        // What came after a failure was not taken: what is missing now was not missing in the capture.
        let outcome = if failed { stream.so_far().clone() } else { stream.finish(end, &mut sink) };
        // Nothing of it is deleted from here on.
        if slot.lengths[side].take().is_some() {
            self.outbox.take_block(key);
            self.outbox.hand_over(&outcome);
            let mut entry = Entry::new(key, connection);
            entry.tell(&outcome, anchored && end.is_some());
            self.outbox.end(entry);
        }
    }

    /// Writes the manifest, even where a file could not be written: it says what is left.
    fn close(mut self) -> Result<Extracted, ExtractError> {
        // The first time there is always something.
        let Some((writer, hasher)) = self.outbox.finish() else { return Ok(Extracted::default()) };
        let (files, mut manifest, failed) = (writer.files, writer.manifest, writer.failed);
        manifest.sort();
        manifest.hashed(&hasher.hashes);
        if let Some((path, error)) = &failed {
            manifest.fail(format!("cannot write {}: {error}", path.display()), |key| files.size(key));
        }
        let extracted = manifest.totals();
        let written = files.write_whole(manifest::NAME, &manifest.to_json());
        let failed = failed.or_else(|| Some((files.directory().join(manifest::NAME), written.err()?)));
        let Some((path, reason)) = failed else { return Ok(extracted) };
        Err(ExtractError::Write { path, reason, directory: files.directory().to_owned(), kept: extracted })
    }

    fn discard(&mut self, number: u64) {
        let Some(slot) = self.connections.get_mut(&number) else { return };
        for side in Side::BOTH {
            if let Some(stream) = slot.streams[side].take() {
                self.held -= stream.held();
                if slot.lengths[side].take().is_some() {
                    self.outbox.remove((number, side));
                }
            }
        }
    }

    /// The slot of a connection, unless nobody asked for it.
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let slot = self.connections.entry(number).or_default();
        let undecided = slot.tokens.contains(&None);
        let named = self.filters.is_empty() || self.filters.iter().any(|filter| filter.names(number, slot.tokens));
        (named || (undecided && self.filters.iter().any(|filter| filter.token().is_some()))).then_some(slot)
    }

    fn limit(&self) -> usize {
        match self.held {
            held if held > 2 * limits::EXTRACT_BUFFERS => 0,
            held if held > limits::EXTRACT_BUFFERS => limits::EXTRACT_BUFFER_SCARCE,
            _ => limits::EXTRACT_BUFFER,
        }
    }

    /// Hands over the block of another stream where there are too many for one of `key`.
    fn make_room(&mut self, key: Key) {
        let Some((number, side)) = self.outbox.in_the_way(key) else { return };
        let slot = self.connections.get(&number);
        // A block that is being filled is that of a stream that has not ended.
        let Some(stream) = slot.and_then(|slot| slot.streams[side].as_ref()) else { return };
        self.outbox.take_block((number, side));
        self.outbox.hand_over(stream.so_far());
    }

    /// Does something with a stream and its sink.
    fn with(&mut self, number: u64, side: Side, act: impl FnOnce(&mut Stream, &mut BlockSink<'_>)) {
        if self.outbox.has_failed() || self.slot(number).is_none() {
            return;
        }
        self.make_room((number, side));
        let Some(slot) = self.connections.get_mut(&number) else { return };
        let stream = slot.streams[side].get_or_insert_default();
        let before = stream.held();
        let mut sink = BlockSink { outbox: &mut self.outbox, key: (number, side), length: &mut slot.lengths[side] };
        act(stream, &mut sink);
        self.outbox.hand_over(stream.so_far());
        self.held = self.held + stream.held() - before;
    }
}

impl Observer for Extractor {
    const WANTS_DATA: bool = true;

    fn data(&mut self, data: Data<'_>) {
        let Some(number) = data.number else { return };
        let subflow = data.subflow;
        let mapping = data.mapping.map(|(offset, len)| MappingName { subflow, offset, len });
        let Data { offset, bytes, anchored, again, intact, refused, .. } = data;
        let part = Part { offset, bytes, mapping, anchored, again, intact, refused };
        let limit = self.limit();
        self.with(number, data.side, |stream, sink| stream.insert(part, limit, sink));
    }

    fn checked(&mut self, checked: Checked) {
        let Some(number) = checked.number else { return };
        let name = MappingName { subflow: checked.subflow, offset: checked.offset, len: checked.len };
        let limit = self.limit();
        self.with(number, checked.side, |stream, sink| stream.checked(name, checked.judgement, limit, sink));
    }

    fn event(&mut self, event: Event) {
        let (Some(number), What::KeysLearned(side, token)) = (event.number, event.what) else { return };
        if self.filters.is_empty() {
            return;
        }
        if let Some(slot) = self.slot(number) {
            slot.tokens[usize::from(side == Side::Server)] = Some(token);
        }
        if self.slot(number).is_none() {
            self.discard(number);
        }
    }
}

/// The offset at which a side closed its stream: by DATA_FIN, or in a fallback by FIN.
fn end_of(connection: &Connection, side: Side) -> Option<i64> {
    let data = &connection.data[side];
    if let Some((fin, _)) = data.fin {
        return Some(data.offset(fin));
    }
    connection.fallback?;
    let half = &connection.initial()?.halves[side];
    let (seq, position) = half.seldom.line.or_else(|| half.last_mapping_end())?;
    let (fin, _) = half.fin?;
    Some(data.offset(position + fin.checked_sub(seq)?))
}

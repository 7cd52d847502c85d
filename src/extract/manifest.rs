//! `manifest.json`: what each extracted file holds, and what it does not.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Extracted;
use super::files::{Key, direction, file_name};
use super::stream::{Outcome, Ranges};
use crate::crypto::Token;
use crate::limits;
use crate::track::connection::Connection;
use crate::track::side::Side;

/// Its name in the directory.
pub const NAME: &str = "manifest.json";
/// Names this form of the manifest.
pub const SCHEMA: &str = "mptcp-inspect/extract/1";

/// The manifest. Offsets and lengths are in bytes, counted from the first byte of the stream.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Name and version of the tool.
    pub tool: &'static str,
    /// Why files are shorter than their streams; none if all could be written.
    pub error: Option<String>,
    /// The streams, by connection, client to server first. A direction without data has neither file nor entry.
    pub streams: Vec<Entry>,
    /// Streams that are not listed because there are too many; absent where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub unlisted_streams: u64,
    /// Bytes in them.
    #[serde(skip_serializing_if = "is_zero")]
    pub unlisted_bytes: u64,
    /// Ranges listed in all streams.
    #[serde(skip)]
    ranges: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One stream.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// The file.
    pub file: String,
    /// The connection's number in the report.
    pub connection: u64,
    /// `client_to_server` or `server_to_client`.
    pub direction: &'static str,
    /// The client's address and port on the first subflow.
    pub client: Option<String>,
    /// The server's.
    pub server: Option<String>,
    /// The client's token.
    pub client_token: Option<Token>,
    /// The server's.
    pub server_token: Option<Token>,
    /// The file's length.
    pub bytes: u64,
    /// Of the file; none where it could not be written to its end.
    pub sha256: Option<String>,
    /// Whether the file is the whole stream: its beginning and its end were seen, and nothing is missing between.
    pub complete: bool,
    /// Bytes of the SYN (Fast Open) that begin the file.
    pub fast_open_bytes: u64,
    /// Bytes whose DSS checksum is right.
    pub verified_bytes: u64,
    /// Bytes that are missing.
    pub missing_bytes: u64,
    /// Where: zeros stand in their place, save for `unfilled_bytes`.
    pub holes: Vec<Range>,
    /// Missing bytes with no zeros in their place: at the end, or in holes too large to fill. Behind such a hole, places in
    /// the file are not those in the stream.
    pub unfilled_bytes: u64,
    /// Bytes of which the capture has copies that differ; where a checksum told which is right, the file has that.
    pub differing_bytes: u64,
    /// Where.
    pub differing: Vec<Range>,
    /// Bytes whose DSS checksum is wrong, and of which no right copy came.
    pub wrong_bytes: u64,
    /// Where.
    pub wrong: Vec<Range>,
    /// Bytes left out because they came late, in a stream whose beginning was not captured.
    pub before_start_bytes: u64,
    /// Bytes left out because a join carried them before its connection showed in the capture: missing, unless they came
    /// again. Absent where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub before_connection_bytes: u64,
    /// Writing failed before the stream had ended.
    #[serde(skip)]
    cut: bool,
}

/// A range of a stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Range {
    /// Its first byte.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

impl Manifest {
    /// An empty one.
    pub(super) fn new() -> Self {
        let tool = concat!("mptcp-inspect ", env!("CARGO_PKG_VERSION"));
        Self {
            schema: SCHEMA,
            tool,
            error: None,
            streams: Vec::new(),
            unlisted_streams: 0,
            unlisted_bytes: 0,
            ranges: 0,
        }
    }

    /// Adds a stream; beyond the limits it is counted, or its ranges are not listed.
    pub(super) fn add(&mut self, mut entry: Entry) {
        if self.streams.len() >= limits::EXTRACT_ENTRIES {
            self.unlisted_streams += 1;
            self.unlisted_bytes += entry.bytes;
            return;
        }
        let ranges = entry.holes.len() + entry.differing.len() + entry.wrong.len();
        if self.ranges + ranges > limits::EXTRACT_ALL_RANGES {
            (entry.holes, entry.differing, entry.wrong) = (Vec::new(), Vec::new(), Vec::new());
        } else {
            self.ranges += ranges;
        }
        self.streams.push(entry);
    }

    /// Takes what the hashes of the files are, as far as they could be written.
    pub(super) fn hashed(&mut self, hashes: &BTreeMap<Key, [u8; 32]>) {
        for entry in self.streams.iter_mut().filter(|entry| !entry.cut) {
            entry.sha256 = hashes.get(&entry.key()).map(|hash| crate::wire::Hex(hash).to_string());
        }
    }

    /// Writing failed: takes each file for what it is now.
    pub(super) fn fail(&mut self, error: String, size: impl Fn(Key) -> Option<u64>) {
        self.error = Some(error);
        for entry in &mut self.streams {
            let left = size(entry.key()).unwrap_or(0);
            entry.complete = entry.complete && left == entry.bytes;
            entry.sha256 = entry.sha256.take().filter(|_| left == entry.bytes);
            entry.bytes = left;
            entry.verified_bytes = entry.verified_bytes.min(left);
            for ranges in [&mut entry.holes, &mut entry.differing, &mut entry.wrong] {
                ranges.retain(|range| range.offset < left);
            }
        }
    }

    /// Puts connections that left early where their numbers are.
    pub(super) fn sort(&mut self) {
        self.streams.sort_by_key(|entry| (entry.connection, entry.direction));
    }

    /// Sums over the streams.
    pub(super) fn totals(&self) -> Extracted {
        let unlisted = Extracted { streams: self.unlisted_streams, bytes: self.unlisted_bytes, incomplete: 0 };
        self.streams.iter().fold(unlisted, |sum, entry| Extracted {
            streams: sum.streams + 1,
            bytes: sum.bytes + entry.bytes,
            incomplete: sum.incomplete + u64::from(!entry.complete),
        })
    }

    /// The manifest as pretty-printed JSON and a line feed.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists always serialize, and a Vec takes everything.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

impl Entry {
    /// Of a stream that has a file, but of which nothing is known yet.
    pub(super) fn new((number, side): Key, connection: &Connection) -> Self {
        let end = |side: Side| {
            let (address, port) = connection.initial()?.address_of(side);
            Some(std::net::SocketAddr::new(address, port).to_string())
        };
        Self {
            file: file_name((number, side)),
            connection: number,
            direction: direction(side),
            client: end(Side::Client),
            server: end(Side::Server),
            client_token: connection.ends.client.token(),
            server_token: connection.ends.server.token(),
            bytes: 0,
            sha256: None,
            complete: false,
            fast_open_bytes: 0,
            verified_bytes: 0,
            missing_bytes: 0,
            holes: Vec::new(),
            unfilled_bytes: 0,
            differing_bytes: 0,
            differing: Vec::new(),
            wrong_bytes: 0,
            wrong: Vec::new(),
            before_start_bytes: 0,
            before_connection_bytes: connection.seldom.carried_before[side],
            cut: false,
        }
    }

    /// Tells what became of the stream, of which both ends were seen or not.
    pub(super) fn tell(&mut self, outcome: &Outcome, ends_seen: bool) {
        self.bytes = outcome.length;
        self.complete = ends_seen && outcome.holes.bytes == 0 && outcome.before_start == 0;
        self.fast_open_bytes = outcome.fast_open;
        self.verified_bytes = outcome.verified;
        self.missing_bytes = outcome.holes.bytes;
        self.holes = ranges(&outcome.holes);
        self.unfilled_bytes = outcome.unfilled;
        self.differing_bytes = outcome.differing.bytes;
        self.differing = ranges(&outcome.differing);
        self.wrong_bytes = outcome.wrong.bytes;
        self.wrong = ranges(&outcome.wrong);
        self.before_start_bytes = outcome.before_start;
    }

    /// Tells what had become of the stream when writing failed.
    pub(super) fn cut(&mut self, so_far: &Outcome) {
        self.tell(so_far, false);
        self.cut = true;
    }

    pub(super) fn key(&self) -> Key {
        let side = if self.direction == direction(Side::Client) { Side::Client } else { Side::Server };
        (self.connection, side)
    }
}

fn ranges(ranges: &Ranges) -> Vec<Range> {
    ranges.list.iter().map(|&(offset, length)| Range { offset, length }).collect()
}

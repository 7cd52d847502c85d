//! One direction's byte stream, put in order. Pure: bytes come in with their offsets, and go out to a [`Sink`] in order.
//!
//! What is next in order goes out at once, unless a checksum has still to tell whether it is right; everything else waits
//! in a buffer of bounded size. Where two copies of the same bytes wait, the one whose checksum is right goes out. When the
//! buffer is full, its front goes out as it is: bytes whose checksum is wrong or unknown, or a hole.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use crate::limits;
use crate::track::observer::Judgement;

/// Where a stream goes.
pub trait Sink {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]);

    /// Appends up to `count` zeros for a hole, and tells how many: fewer only where holes are too large to be filled.
    fn fill(&mut self, count: u64) -> u64;

    /// Reads `buffer.len()` bytes from `position` of what was appended; false where that cannot be done.
    fn read_back(&mut self, position: u64, buffer: &mut [u8]) -> bool;
}

/// A part of a stream that was seen.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Offset of its first byte in the stream; Fast Open bytes have negative ones.
    pub offset: i64,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The mapping whose checksum will tell whether it is right.
    pub mapping: Option<MappingName>,
    /// Whether the stream is known to begin at offset 0, or at Fast Open bytes before it.
    pub anchored: bool,
    /// TCP sent these bytes again.
    pub again: bool,
    /// Whether TCP takes the segment that carried them; `None` where that cannot be told.
    pub intact: Option<bool>,
    /// The receiver had reset the subflow before they came.
    pub refused: bool,
}

/// What tells mappings of one stream apart: subflow, offset and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingName {
    /// The subflow that carried it.
    pub subflow: u16,
    /// Offset of its first byte.
    pub offset: i64,
    /// Its length.
    pub len: u32,
}

/// What became of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes appended, zeros for holes included.
    pub length: u64,
    /// Bytes before offset 0.
    pub fast_open: u64,
    /// Bytes whose checksum is right.
    pub verified: u64,
    /// Bytes whose checksum is wrong, and of which there was no right copy in time.
    pub wrong: Ranges,
    /// Bytes of which a second copy differed.
    pub differing: Ranges,
    /// Bytes that are missing.
    pub holes: Ranges,
    /// Of those, how many have no zeros in their place.
    pub unfilled: u64,
    /// Bytes that came after the stream had begun behind them (only where its beginning is not known).
    pub before_start: u64,
}

impl Outcome {
    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let lists = [&self.wrong, &self.differing, &self.holes];
        lists.into_iter().map(|ranges| ranges.list.capacity() * size_of::<(u64, u64)>()).sum()
    }
}

/// Ranges of a stream, counted from its first byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The first of them, up to a limit: start and length.
    pub list: Vec<(u64, u64)>,
    /// Bytes in all of them.
    pub bytes: u64,
}

/// A stream on its way to its sink.
#[derive(Debug, Default)]
pub struct Stream {
    /// Offset of the first byte of the stream.
    start: i64,
    /// Offset of the next byte to go out.
    next: i64,
    stage: Stage,
    anchored: bool,
    /// TCP checksums are right where this was captured: those that are not mean something.
    intact: bool,
    /// What waits, by offset and order of arrival. None ends at or below `next`.
    pieces: BTreeMap<(i64, u64), Piece>,
    arrivals: u64,
    held: usize,
    /// Everything from here on can be read back at its distance from the end.
    unbroken_from: i64,
    outcome: Outcome,
    scratch: Vec<u8>,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing has come.
    #[default]
    Empty,
    /// Where it begins is not known: the first bytes wait for earlier ones.
    Unanchored,
    /// It is known where it begins, but nothing has gone out.
    Anchored,
    /// Bytes have gone out.
    Running,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    mapping: Option<MappingName>,
    again: bool,
    grade: Grade,
}

/// What is known of bytes, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    /// TCP sent them again, and the first copy counts.
    Again,
    /// TCP does not take them: their segment's checksum is wrong, or the subflow was reset by the end that they came to.
    Damaged,
    /// Their checksum is wrong.
    Wrong,
    /// Their checksum will tell.
    Pending,
    /// There is no checksum, or it cannot be verified.
    Plain,
    /// Their checksum is right.
    Right,
    /// It is right with these, which TCP sent again, and not with the first copy.
    Repaired,
}

impl Stream {
    /// Bytes that the buffer takes, what it costs to keep them included.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes a part. When more than `limit` bytes wait, the front of the buffer goes out as it is.
    pub fn insert<S: Sink>(&mut self, part: Part<'_>, limit: usize, sink: &mut S) {
        let Some(end) = part.offset.checked_add_unsigned(part.bytes.len() as u64) else { return };
        if part.bytes.is_empty() {
            return;
        }
        self.place_start(&part);
        let mut part = part;
        if part.offset < self.next {
            let late = (self.next.min(end) - part.offset) as usize;
            let (before, rest) = part.bytes.split_at(late.min(part.bytes.len()));
            if !part.again {
                self.note_before_start(part.offset, before);
            }
            self.compare_written(part.offset, before, sink);
            part = Part { offset: self.next, bytes: rest, ..part };
            if rest.is_empty() {
                return;
            }
        }
        self.intact |= part.intact == Some(true);
        let grade = match part.mapping {
            _ if part.refused || (part.intact == Some(false) && self.intact) => Grade::Damaged,
            None if part.again && self.is_damaged(part.offset, end) => Grade::Plain,
            _ if part.again => Grade::Again,
            Some(_) => Grade::Pending,
            None => Grade::Plain,
        };
        let ready = self.stage != Stage::Unanchored && grade == Grade::Plain;
        if ready && part.offset == self.next && self.pieces.is_empty() {
            self.append(part.bytes, grade, sink);
            return;
        }
        self.held += part.bytes.len() + limits::EXTRACT_PIECE_COST;
        let piece = Piece { bytes: part.bytes.to_vec(), mapping: part.mapping, again: part.again, grade };
        self.pieces.insert((part.offset, self.arrivals), piece);
        self.arrivals += 1;
        self.advance(limit, sink);
    }

    /// Whether bytes wait there that TCP does not take.
    fn is_damaged(&self, from: i64, to: i64) -> bool {
        let mut damaged = self.pieces.range(..(to, 0)).filter(|(_, piece)| piece.grade == Grade::Damaged);
        damaged.any(|(key, piece)| key.0 + piece.bytes.len() as i64 > from)
    }

    /// Takes what a mapping's checksum says.
    pub fn checked<S: Sink>(&mut self, mapping: MappingName, judgement: Judgement, limit: usize, sink: &mut S) {
        let Some(end) = mapping.offset.checked_add(i64::from(mapping.len)) else { return };
        let mut any = false;
        let range = (mapping.offset, 0)..(end, 0);
        let same = if judgement == Judgement::Again { self.same_as_first(mapping, range.clone()) } else { Vec::new() };
        for (key, piece) in self.pieces.range_mut(range) {
            if piece.mapping == Some(mapping) {
                piece.grade = match judgement {
                    Judgement::Again if piece.again && piece.grade != Grade::Damaged && !same.contains(key) => {
                        Grade::Repaired
                    }
                    _ if piece.again => piece.grade,
                    Judgement::First | Judgement::Again => Grade::Right,
                    Judgement::Neither if piece.grade < Grade::Right && piece.grade != Grade::Damaged => Grade::Wrong,
                    Judgement::Unknown if piece.grade == Grade::Pending => Grade::Plain,
                    _ => piece.grade,
                };
                any = true;
            }
        }
        if any {
            self.advance(limit, sink);
        }
    }

    /// Of what TCP sent again in a mapping, that which is as it was the first time.
    fn same_as_first(&self, mapping: MappingName, range: Range<(i64, u64)>) -> Vec<(i64, u64)> {
        let pieces = || self.pieces.range(range.clone()).filter(|(_, piece)| piece.mapping == Some(mapping));
        let same = |key: &(i64, u64), piece: &Piece| {
            pieces().filter(|(_, first)| !first.again).any(|(first_key, first)| {
                let from = key.0.checked_sub(first_key.0).and_then(|from| usize::try_from(from).ok());
                from.and_then(|from| first.bytes.get(from..)).is_some_and(|first| first.starts_with(&piece.bytes))
            })
        };
        pieces().filter(|(key, piece)| piece.again && same(key, piece)).map(|(key, _)| *key).collect()
    }

    /// Nothing more will come; `end` is the offset where the sender closed the stream, if that was seen. Lets everything out
    /// and gives what became of the stream.
    pub fn finish<S: Sink>(mut self, end: Option<i64>, sink: &mut S) -> Outcome {
        self.advance(0, sink);
        if let Some(end) = end.filter(|&end| end > self.next && self.stage == Stage::Running) {
            let missing = end.abs_diff(self.next);
            self.outcome.holes.add(self.next.abs_diff(self.start), missing);
            self.outcome.unfilled += missing;
        }
        self.outcome
    }

    /// What became of the stream so far, without what waits.
    pub fn so_far(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether the stream is known to begin where it was begun.
    pub fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// Where the stream begins, as far as can be told while nothing has gone out.
    fn place_start(&mut self, part: &Part<'_>) {
        let start = match self.stage {
            Stage::Running => return,
            Stage::Empty if part.anchored => part.offset.min(0),
            Stage::Empty => part.offset,
            Stage::Unanchored | Stage::Anchored => part.offset.min(self.start),
        };
        if self.stage == Stage::Empty {
            self.stage = if part.anchored { Stage::Anchored } else { Stage::Unanchored };
            self.anchored = part.anchored;
        }
        self.start = start;
        self.next = start;
        self.unbroken_from = start;
    }

    /// Lets out what may go; more than that where over `limit` bytes wait.
    fn advance<S: Sink>(&mut self, limit: usize, sink: &mut S) {
        let hold = self.stage == Stage::Unanchored && self.held <= limits::EXTRACT_UNANCHORED.min(limit);
        while !hold && !self.pieces.is_empty() {
            let forced = self.held > limit || self.pieces.len() > limits::EXTRACT_PIECES;
            match self.best_at_next() {
                Some((key, grade)) if grade >= Grade::Plain || forced => self.emit(key, grade, sink),
                None if forced => self.leave_hole(sink),
                _ => break,
            }
        }
    }

    /// The best copy of the next byte.
    fn best_at_next(&self) -> Option<((i64, u64), Grade)> {
        let mut best: Option<((i64, u64), Grade)> = None;
        for (&key, piece) in self.pieces.range(..=(self.next, u64::MAX)) {
            // Of those sent again, the last is the one that the checksum was judged with.
            let last = piece.grade == Grade::Repaired;
            if best.is_none_or(|(_, grade)| piece.grade > grade || (last && grade == Grade::Repaired)) {
                best = Some((key, piece.grade));
            }
        }
        best
    }

    /// Lets a piece out from `next` to its end, or to where a better one begins.
    fn emit<S: Sink>(&mut self, key: (i64, u64), grade: Grade, sink: &mut S) {
        let Some(piece) = self.pieces.get_mut(&key) else { return };
        let bytes = std::mem::take(&mut piece.bytes);
        let end = key.0 + bytes.len() as i64;
        let after = (Bound::Excluded((self.next, u64::MAX)), Bound::Excluded((end, 0)));
        let matters = |other: Grade| grade < Grade::Plain || other == Grade::Repaired;
        let better = |(_, other): &(&(i64, u64), &Piece)| other.grade > grade && matters(other.grade);
        let stop = self.pieces.range(after).find(better).map_or(end, |(key, _)| key.0);
        let slice = |from: i64, to: i64| bytes.get((from - key.0) as usize..(to - key.0) as usize).unwrap_or(&[]);
        let mut dead = Vec::new();
        for (&other, piece) in self.pieces.range(..(stop, 0)) {
            let other_end = other.0 + piece.bytes.len() as i64;
            if other == key {
                continue;
            }
            let (from, to) = (other.0.max(self.next), other_end.min(stop));
            let copy = piece.bytes.get((from - other.0) as usize..(to - other.0) as usize).unwrap_or(&[]);
            if let Some((at, len)) = difference(slice(from, to), copy) {
                self.outcome.differing.add((from - self.start) as u64 + at, len);
            }
            if other_end <= stop {
                dead.push(other);
            }
        }
        let next = self.next;
        self.append(slice(next, stop), grade, sink);
        if stop == end {
            dead.push(key);
            self.held -= bytes.len();
        } else if let Some(piece) = self.pieces.get_mut(&key) {
            piece.bytes = bytes;
        }
        for key in dead {
            if let Some(piece) = self.pieces.remove(&key) {
                self.held -= piece.bytes.len() + limits::EXTRACT_PIECE_COST;
            }
        }
    }

    /// Gives up on what is missing before the first piece.
    fn leave_hole<S: Sink>(&mut self, sink: &mut S) {
        let Some((&(offset, _), _)) = self.pieces.first_key_value() else { return };
        let missing = offset.abs_diff(self.next);
        let filled = sink.fill(missing);
        self.outcome.holes.add(self.next.abs_diff(self.start), missing);
        self.outcome.length += filled;
        self.next = offset;
        if filled < missing {
            self.outcome.unfilled += missing - filled;
            self.unbroken_from = offset;
        }
        self.stage = Stage::Running;
    }

    fn append<S: Sink>(&mut self, bytes: &[u8], grade: Grade, sink: &mut S) {
        let len = bytes.len() as u64;
        match grade {
            Grade::Right | Grade::Repaired => self.outcome.verified += len,
            Grade::Wrong | Grade::Damaged => self.outcome.wrong.add(self.next.abs_diff(self.start), len),
            Grade::Plain | Grade::Pending | Grade::Again => {}
        }
        if self.next < 0 {
            self.outcome.fast_open += len.min(self.next.unsigned_abs());
        }
        sink.append(bytes);
        self.outcome.length += len;
        self.next += len as i64;
        self.stage = Stage::Running;
    }

    /// Counts those of late bytes that lie before the start.
    fn note_before_start(&mut self, offset: i64, bytes: &[u8]) {
        if offset < self.start {
            self.outcome.before_start += self.start.abs_diff(offset).min(bytes.len() as u64);
        }
    }

    /// Compares a late copy with what went out.
    fn compare_written<S: Sink>(&mut self, offset: i64, bytes: &[u8], sink: &mut S) {
        let before = self.unbroken_from.saturating_sub(offset).max(0).min(bytes.len() as i64);
        let bytes = bytes.get(before as usize..).unwrap_or(&[]);
        let offset = offset + before;
        let Some(position) = self.outcome.length.checked_sub(self.next.abs_diff(offset)) else { return };
        self.scratch.resize(bytes.len(), 0);
        if bytes.is_empty() || !sink.read_back(position, &mut self.scratch) {
            return;
        }
        if let Some((at, len)) = difference(&self.scratch, bytes) {
            self.outcome.differing.add(offset.abs_diff(self.start) + at, len);
        }
    }
}

impl Ranges {
    /// Adds a range; joins it to the last if it continues that.
    fn add(&mut self, start: u64, len: u64) {
        self.bytes += len;
        match self.list.last_mut() {
            Some((last, last_len)) if *last + *last_len == start => *last_len += len,
            _ => {
                if self.list.len() < limits::EXTRACT_RANGES {
                    self.list.push((start, len));
                }
            }
        }
    }
}

/// The first byte in which two copies differ, and the length up to the last.
fn difference(a: &[u8], b: &[u8]) -> Option<(u64, u64)> {
    if a == b {
        return None;
    }
    let differs = |(a, b): (&u8, &u8)| a != b;
    let first = a.iter().zip(b).position(differs)?;
    let last = a.iter().zip(b).rposition(differs)?;
    Some((first as u64, (last - first + 1) as u64))
}

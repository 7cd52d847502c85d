//! A DSS mapping: which bytes of a subflow are which bytes of the data stream, and the sum of those seen. No payload is kept: one's complement sums of its parts are enough, in any order.

use super::mark::Mark;
use crate::limits;
use crate::packet::checksum::{add16, sum16};

/// A mapping as its option said it, placed in unwrapped sequence space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Unwrapped subflow sequence number of its first byte.
    pub start: u64,
    /// Payload bytes: the data-level length without the DATA_FIN.
    pub len: u32,
    /// Data-level position of its first byte (see `data`).
    pub position: u64,
    /// Subflow sequence number in the option.
    pub ssn: u32,
    /// Data-level length in the option: it counts the DATA_FIN.
    pub data_len: u16,
    /// Checksum in the option.
    pub checksum: Option<u16>,
    /// The frame that showed it first.
    pub frame: Mark,
}

impl Placed {
    /// One past its last byte.
    #[inline]
    pub fn end(&self) -> u64 {
        self.start + u64::from(self.len)
    }

    /// Whether `other` says the same of the bytes that both cover.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.position.wrapping_sub(self.start) == other.position.wrapping_sub(other.start)
    }
}

/// A part of a mapping: one that came out of order, or the last that came in order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    offset: u32,
    len: u32,
    sum: u16,
}

/// A mapping and how much of its payload has been summed.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// What it says.
    pub placed: Placed,
    /// Bytes summed from its start without hole.
    prefix: u32,
    sum: u16,
    pub(super) pieces: Vec<Piece>,
    /// A later copy of part of it had other bytes: the difference of the sums, to be tried where the first copy is wrong.
    other_copy: Option<u16>,
    /// The part that was summed last, in order.
    tail: Piece,
    /// Some of its bytes were not captured.
    cut: bool,
    pub(super) done: bool,
    last_frame: Mark,
}

/// A mapping whose payload is complete, or given up.
#[derive(Clone, Copy, Debug)]
pub struct Complete {
    /// What it says.
    pub placed: Placed,
    /// The one's complement sum of its payload; `Err` where bytes were cut or never seen.
    pub sum: Result<u16, Missing>,
    /// The difference another copy of its bytes makes.
    pub other_copy: Option<u16>,
    /// The frame with its last byte.
    pub last_frame: Mark,
}

/// Why a payload could not be summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The snaplen cut it.
    Cut,
    /// Segments were not captured.
    Segments,
}

/// A segment's payload as captured.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Their sum, if it was taken before.
    pub sum: Option<u16>,
}

impl Payload<'_> {
    /// The sum of `[from, to)` of a payload that begins at `start`, at an offset in a mapping.
    #[inline]
    fn sum_of(&self, offset: u32, start: u64, from: u64, to: u64) -> u16 {
        match self.sum {
            Some(sum) if from == start && to - from == self.bytes.len() as u64 => {
                if offset & 1 == 1 {
                    sum.swap_bytes()
                } else {
                    sum
                }
            }
            _ => aligned_sum(offset, slice(self.bytes, start, from, to)),
        }
    }
}

impl Mapping {
    pub(super) fn new(placed: Placed) -> Self {
        Self {
            placed,
            prefix: 0,
            sum: 0,
            pieces: Vec::new(),
            other_copy: None,
            tail: Piece::default(),
            cut: false,
            done: false,
            last_frame: placed.frame,
        }
    }

    /// Takes the part of `payload`, which begins at `start`, that belongs to this mapping and is not summed yet.
    /// `wire_end` is where the payload ended on the wire, which can be more than was captured. Gives the frame with the
    /// first copy where this one has other bytes.
    pub(super) fn cover(&mut self, start: u64, payload: Payload<'_>, wire_end: u64, frame: Mark) -> Option<Mark> {
        let from = start.max(self.placed.start);
        let to = wire_end.min(self.placed.end());
        if from >= to {
            return None;
        }
        let offset = (from - self.placed.start) as u32;
        let len = (to - from) as u32;
        if self.done || offset + len <= self.prefix {
            return self.compare(offset, len, slice(payload.bytes, start, from, to));
        }
        let captured_end = start + payload.bytes.len() as u64;
        if to > captured_end {
            self.cut = true;
        }
        if self.pieces.is_empty() && offset == self.prefix {
            if self.placed.checksum.is_some() && !self.cut {
                let sum = payload.sum_of(offset, start, from, to);
                self.sum = add16(self.sum, sum);
                self.tail = Piece { offset, len, sum };
            }
            self.prefix += len;
            self.last_frame = frame;
            None
        } else {
            self.cover_out_of_order(offset, len, slice(payload.bytes, start, from, to), frame)
        }
    }

    /// A further copy of bytes that were summed before: told apart where it is the whole mapping or its last part.
    #[cold]
    fn compare(&mut self, offset: u32, len: u32, bytes: &[u8]) -> Option<Mark> {
        if self.placed.checksum.is_none() || self.cut || bytes.len() as u64 != u64::from(len) {
            return None;
        }
        let (first, frame) = if offset == 0 && len == self.prefix {
            (self.sum, self.placed.frame)
        } else if (offset, len) == (self.tail.offset, self.tail.len) {
            (self.tail.sum, self.last_frame)
        } else {
            return None;
        };
        self.note_other_copy(first, aligned_sum(offset, bytes)).then_some(frame)
    }

    #[cold]
    fn cover_out_of_order(&mut self, offset: u32, len: u32, bytes: &[u8], frame: Mark) -> Option<Mark> {
        let summing = self.placed.checksum.is_some() && !self.cut;
        if let Some(piece) = self.pieces.iter().find(|piece| piece.offset == offset && piece.len == len) {
            let changed = summing && self.note_other_copy(piece.sum, aligned_sum(offset, bytes));
            return changed.then_some(self.last_frame);
        }
        if self.pieces.len() >= limits::PIECES {
            self.cut = true;
            return None;
        }
        let end = offset + len;
        let mut at = offset.max(self.prefix);
        let mut index = 0;
        while at < end {
            let next = self.pieces.get(index).copied();
            match next {
                Some(piece) if piece.offset <= at => {
                    at = at.max(piece.offset + piece.len);
                    index += 1;
                }
                _ => {
                    let stop = next.map_or(end, |piece| piece.offset.min(end));
                    let bytes =
                        bytes.get((at - offset) as usize..((stop - offset) as usize).min(bytes.len())).unwrap_or(&[]);
                    let sum = if summing { aligned_sum(at, bytes) } else { 0 };
                    self.pieces.insert(index, Piece { offset: at, len: stop - at, sum });
                    self.last_frame = frame;
                    index += 1;
                    at = stop;
                }
            }
        }
        self.absorb();
        None
    }

    /// Moves pieces that now adjoin the prefix into it.
    fn absorb(&mut self) {
        let mut taken = 0;
        for piece in &self.pieces {
            if piece.offset != self.prefix {
                break;
            }
            self.prefix += piece.len;
            self.sum = add16(self.sum, piece.sum);
            taken += 1;
        }
        self.pieces.drain(..taken);
    }

    /// Whether the copies differ. Both zeros of one's complement are the same sum.
    fn note_other_copy(&mut self, first: u16, second: u16) -> bool {
        let differ = first % 0xffff != second % 0xffff;
        if differ {
            self.other_copy = Some(add16(second, !first));
        }
        differ
    }

    pub(super) fn is_complete(&self) -> bool {
        self.prefix >= self.placed.len
    }

    pub(super) fn complete(&self) -> Complete {
        let sum = match (self.is_complete(), self.cut) {
            (_, true) => Err(Missing::Cut),
            (true, false) => Ok(self.sum),
            (false, false) => Err(Missing::Segments),
        };
        Complete { placed: self.placed, sum, other_copy: self.other_copy, last_frame: self.last_frame }
    }
}

fn slice(payload: &[u8], start: u64, from: u64, to: u64) -> &[u8] {
    let first = (from - start) as usize;
    let last = ((to - start) as usize).min(payload.len());
    payload.get(first..last).unwrap_or(&[])
}

/// The sum of bytes at an offset in a mapping: at an odd one, the halves of each word change places (RFC 1071 §2).
fn aligned_sum(offset: u32, bytes: &[u8]) -> u16 {
    let sum = sum16(bytes);
    if offset & 1 == 1 { sum.swap_bytes() } else { sum }
}

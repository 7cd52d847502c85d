//! A DSS mapping: which bytes of a subflow are which bytes of the data stream, and the sum of those seen. No payload is kept:
//! one's complement sums of its parts are enough, in any order.

use super::mark::Mark;
use super::sums::{Summed, Sums};
use crate::limits;
use crate::packet::Segment;
use crate::packet::checksum::{add16, at_offset, same, sum16};

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

/// A part of a mapping that came out of order.
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
    /// Later copies of parts of it had other bytes.
    others: Option<Others>,
    /// Some of its bytes were not captured.
    cut: bool,
    /// A segment of it has a wrong TCP checksum: its receiver does not take it.
    damaged: bool,
    pub(super) done: bool,
    last_frame: Mark,
}

/// What later copies of parts of a mapping add to its sum, if they are right.
#[derive(Clone, Copy, Debug)]
struct Others {
    /// All but the last.
    before: u16,
    /// Where the last begins: one that comes there again takes its place.
    offset: u32,
    /// What it adds.
    difference: u16,
}

impl Others {
    fn sum(self) -> u16 {
        add16(self.before, self.difference)
    }
}

/// A mapping whose payload is complete, or given up.
#[derive(Clone, Copy, Debug)]
pub struct Complete {
    /// What it says.
    pub placed: Placed,
    /// The one's complement sum of its payload; `Err` where bytes were cut or never seen.
    pub sum: Result<u16, Missing>,
    /// The difference that later copies of its bytes make, all of them in the place of the first.
    pub other_copy: Option<u16>,
    /// It was complete before: another copy of its bytes came.
    pub again: bool,
    /// TCP does not take a segment of it, whose checksum is wrong where that of others is right: its receiver never got this
    /// copy.
    pub damaged: bool,
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
    /// The segment that carried them, if it is at hand.
    pub segment: Option<&'a Segment<'a>>,
}

impl Payload<'_> {
    /// Whether these are all of its bytes.
    #[inline]
    fn is_all(&self, (from, to): (u64, u64)) -> bool {
        to - from == self.bytes.len() as u64
    }

    /// Whether TCP takes the segment of which these are all bytes; `None` where that cannot be told.
    #[cold]
    fn is_intact(&self, bytes: (u64, u64)) -> Option<bool> {
        let segment = self.segment.filter(|_| self.is_all(bytes))?;
        segment.is_intact(self.sum.unwrap_or_else(|| sum16(self.bytes)))
    }

    /// The sum of `[from, to)` of a payload that begins at `start`.
    #[inline]
    fn sum_of(&self, start: u64, from: u64, to: u64) -> u16 {
        match self.sum {
            Some(sum) if from == start && to - from == self.bytes.len() as u64 => sum,
            _ => sum16(slice(self.bytes, start, from, to)),
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
            others: None,
            cut: false,
            damaged: false,
            done: false,
            last_frame: placed.frame,
        }
    }

    /// Takes the part of `payload`, which begins at `start`, that belongs to this mapping and is not summed yet.
    /// `wire_end` is where the payload ended on the wire, which can be more than was captured. Gives the frame with the
    /// first copy where this one has other bytes.
    pub(super) fn cover(
        &mut self,
        start: u64,
        payload: Payload<'_>,
        wire_end: u64,
        frame: Mark,
        sums: &mut Sums,
    ) -> Option<Mark> {
        let from = start.max(self.placed.start);
        let to = wire_end.min(self.placed.end());
        if from >= to {
            return None;
        }
        let offset = (from - self.placed.start) as u32;
        let len = (to - from) as u32;
        if self.done || offset + len <= self.prefix {
            // Its receiver drops this copy.
            if sums.intact && payload.is_intact((from, to)) == Some(false) {
                return None;
            }
            return self.compare(offset, len, slice(payload.bytes, start, from, to), frame, sums);
        }
        let captured_end = start + payload.bytes.len() as u64;
        if to > captured_end {
            self.cut = true;
        }
        if self.pieces.is_empty() && offset == self.prefix {
            if self.placed.checksum.is_some() && !self.cut {
                let sum = payload.sum_of(start, from, to);
                self.note_damage(payload, (from, to), sum, sums);
                self.sum = add16(self.sum, at_offset(sum, offset.into()));
                if len < self.placed.len {
                    sums.push(from, len, sum, frame);
                }
            }
            self.prefix += len;
            self.last_frame = frame;
            None
        } else {
            if let Some(sum) = payload.sum {
                self.note_damage(payload, (from, to), sum, sums);
            }
            self.cover_out_of_order(offset, len, slice(payload.bytes, start, from, to), frame, sums)
        }
    }

    /// Looks whether TCP takes the segment whose payload, all of it, is now summed.
    #[inline]
    fn note_damage(&mut self, payload: Payload<'_>, (from, to): (u64, u64), sum: u16, sums: &mut Sums) {
        match payload.segment.filter(|_| payload.is_all((from, to))).and_then(|segment| segment.is_intact(sum)) {
            Some(true) => sums.intact = true,
            Some(false) => self.damaged = true,
            None => {}
        }
    }

    /// A further copy of bytes that were summed before: told apart where it is the whole mapping, or segments of late.
    #[cold]
    fn compare(&mut self, offset: u32, len: u32, bytes: &[u8], frame: Mark, sums: &mut Sums) -> Option<Mark> {
        if self.placed.checksum.is_none() || self.cut || bytes.len() as u64 != u64::from(len) {
            return None;
        }
        let (start, sum) = (self.placed.start + u64::from(offset), sum16(bytes));
        if offset == 0 && len == self.prefix {
            return self.note_other_copy(offset, self.sum, sum).then_some(self.placed.frame);
        }
        if let Some((first, first_frame)) = sums.of(start, len) {
            return self
                .note_other_copy(offset, at_offset(first, offset.into()), at_offset(sum, offset.into()))
                .then_some(first_frame);
        }
        let Placed { start: whole, len: whole_len, frame: shown, .. } = self.placed;
        let whole = Summed { frame: shown, start: whole, len: whole_len, sum: self.sum };
        let part = Summed { frame, start, len, sum };
        let (segment, again) = sums.part(part, self.is_complete().then_some(whole))?;
        let offset = u32::try_from(segment.start.checked_sub(self.placed.start)?).ok()?;
        self.note_other_copy(offset, at_offset(segment.sum, offset.into()), at_offset(again, offset.into()))
            .then_some(segment.frame)
    }

    #[cold]
    fn cover_out_of_order(
        &mut self,
        offset: u32,
        len: u32,
        bytes: &[u8],
        frame: Mark,
        sums: &mut Sums,
    ) -> Option<Mark> {
        let summing = self.placed.checksum.is_some() && !self.cut;
        if self.pieces.iter().any(|piece| piece.offset <= offset && piece.offset + piece.len >= offset + len) {
            return self.compare(offset, len, bytes, frame, sums);
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
                    let mut sum = 0;
                    if summing {
                        sum = sum16(bytes);
                        sums.push(self.placed.start + u64::from(at), stop - at, sum, frame);
                        sum = at_offset(sum, at.into());
                    }
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
    fn note_other_copy(&mut self, offset: u32, first: u16, second: u16) -> bool {
        let differ = !same(first, second);
        if differ {
            let difference = add16(second, !first);
            let before = match self.others {
                Some(others) if others.offset == offset => others.before,
                Some(others) => others.sum(),
                None => 0,
            };
            self.others = Some(Others { before, offset, difference });
        }
        differ
    }

    pub(super) fn is_complete(&self) -> bool {
        self.prefix >= self.placed.len
    }

    /// What is to be judged once a segment was taken: all of it when it becomes complete, and again where a later copy has
    /// other bytes.
    #[inline]
    pub(super) fn due(&mut self, changed: bool, sums: &Sums) -> Option<Complete> {
        if !self.is_complete() {
            return None;
        }
        let again = std::mem::replace(&mut self.done, true);
        let damaged = self.damaged && sums.intact;
        (!again || changed).then(|| Complete { again, damaged, ..self.complete() })
    }

    pub(super) fn complete(&self) -> Complete {
        let sum = match (self.is_complete(), self.cut) {
            (_, true) => Err(Missing::Cut),
            (true, false) => Ok(self.sum),
            (false, false) => Err(Missing::Segments),
        };
        Complete {
            placed: self.placed,
            sum,
            other_copy: self.others.map(Others::sum),
            again: false,
            damaged: false,
            last_frame: self.last_frame,
        }
    }
}

fn slice(payload: &[u8], start: u64, from: u64, to: u64) -> &[u8] {
    let first = (from - start) as usize;
    let last = ((to - start) as usize).min(payload.len());
    payload.get(first..last).unwrap_or(&[])
}

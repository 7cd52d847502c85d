//! DSS mappings of one direction of one subflow: which bytes of the subflow are which bytes of the data stream, and whether
//! the checksum over them is right. No payload is kept: one's complement sums of its parts are enough, in any order.

use std::collections::VecDeque;

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
    fn agrees_with(&self, other: &Self) -> bool {
        self.position.wrapping_sub(self.start) == other.position.wrapping_sub(other.start)
    }
}

/// A part of a mapping that came out of order.
#[derive(Clone, Copy, Debug)]
struct Piece {
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
    pieces: Vec<Piece>,
    /// A later copy of part of it had other bytes: the difference of the sums, to be tried where the first copy is wrong.
    other_copy: Option<u16>,
    /// Some of its bytes were not captured.
    cut: bool,
    done: bool,
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

/// What became of a mapping that was offered.
#[derive(Clone, Copy, Debug)]
pub enum Inserted {
    /// It is new.
    New,
    /// It repeats what is known.
    Known,
    /// It is the known one with, or without, a DATA_FIN behind it: another checksum over the same bytes. It is complete
    /// if the known one was.
    Variant(Option<Complete>),
    /// It contradicts the mapping first shown in this frame: that one stays (RFC 8684 §3.3.1).
    Conflict(Mark),
}

/// The mappings of one direction of one subflow that may still matter, sorted by `start`.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    open: VecDeque<Mapping>,
    /// Everything below was settled.
    floor: u64,
    /// Parts that came out of order since no mapping was open: their memory is counted with them.
    parts: usize,
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
    fn new(placed: Placed) -> Self {
        Self {
            placed,
            prefix: 0,
            sum: 0,
            pieces: Vec::new(),
            other_copy: None,
            cut: false,
            done: false,
            last_frame: placed.frame,
        }
    }

    /// Takes the part of `payload`, which begins at `start`, that belongs to this mapping and is not summed yet.
    /// `wire_end` is where the payload ended on the wire, which can be more than was captured.
    fn cover(&mut self, start: u64, payload: Payload<'_>, wire_end: u64, frame: Mark) {
        let from = start.max(self.placed.start);
        let to = wire_end.min(self.placed.end());
        if from >= to || self.done {
            return;
        }
        let captured_end = start + payload.bytes.len() as u64;
        if to > captured_end {
            self.cut = true;
        }
        let offset = (from - self.placed.start) as u32;
        let len = (to - from) as u32;
        if self.pieces.is_empty() && offset == self.prefix {
            if self.placed.checksum.is_some() && !self.cut {
                self.sum = add16(self.sum, payload.sum_of(offset, start, from, to));
            }
            self.prefix += len;
            self.last_frame = frame;
        } else {
            self.cover_out_of_order(offset, len, slice(payload.bytes, start, from, to), frame);
        }
    }

    #[cold]
    fn cover_out_of_order(&mut self, offset: u32, len: u32, bytes: &[u8], frame: Mark) {
        let summing = self.placed.checksum.is_some() && !self.cut;
        if let Some(piece) = self.pieces.iter().find(|piece| piece.offset == offset && piece.len == len) {
            if summing {
                self.note_other_copy(piece.sum, aligned_sum(offset, bytes));
            }
            return;
        }
        if self.pieces.len() >= limits::PIECES {
            self.cut = true;
            return;
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

    fn note_other_copy(&mut self, first: u16, second: u16) {
        if first != second {
            self.other_copy = Some(add16(second, !first));
        }
    }

    fn is_complete(&self) -> bool {
        self.prefix >= self.placed.len
    }

    fn complete(&self) -> Complete {
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

impl Mappings {
    /// Offers a mapping.
    #[inline]
    pub fn insert(&mut self, placed: Placed) -> Inserted {
        if let Some(last) = self.open.back() {
            if last.placed.start == placed.start && same(&last.placed, &placed) {
                return Inserted::Known;
            }
            if placed.start >= last.placed.end() {
                self.push(placed);
                return Inserted::New;
            }
        } else if placed.end() > self.floor {
            self.push(placed);
            return Inserted::New;
        }
        self.insert_slowly(placed)
    }

    fn push(&mut self, placed: Placed) {
        self.open.push_back(Mapping::new(placed));
    }

    #[cold]
    fn insert_slowly(&mut self, placed: Placed) -> Inserted {
        if placed.end() <= self.floor {
            return Inserted::Known;
        }
        let at = self.open.partition_point(|mapping| mapping.placed.start < placed.start);
        for mapping in self.open.range(at.saturating_sub(2)..).take(4) {
            let other = &mapping.placed;
            if other.start >= placed.end() || other.end() <= placed.start {
                continue;
            }
            let same_bytes = other.start == placed.start && other.data_len == placed.data_len;
            if !other.agrees_with(&placed) || (same_bytes && other.checksum != placed.checksum) {
                return Inserted::Conflict(other.frame);
            }
            if same_bytes {
                return Inserted::Known;
            }
            if other.start == placed.start && other.len == placed.len {
                return self.insert_variant(placed);
            }
            if other.start <= placed.start && other.end() >= placed.end() {
                return Inserted::Known;
            }
        }
        self.open.insert(at, Mapping::new(placed));
        Inserted::New
    }

    /// The same bytes with another data-level length: only the DATA_FIN can make that difference.
    fn insert_variant(&mut self, placed: Placed) -> Inserted {
        let known = |mapping: &&Mapping| mapping.placed.start == placed.start && mapping.placed.len == placed.len;
        if self.open.iter().filter(known).any(|mapping| mapping.placed.data_len == placed.data_len) {
            return Inserted::Known;
        }
        let Some(at) = self.open.iter().position(|mapping| known(&mapping)) else { return Inserted::Known };
        let Some(mut variant) = self.open.get(at).cloned() else { return Inserted::Known };
        variant.placed = placed;
        let complete = variant.done.then(|| variant.complete());
        self.open.insert(at + 1, variant);
        Inserted::Variant(complete)
    }

    /// Hands payload to every mapping it belongs to; `complete` hears of those it completes.
    #[inline]
    pub fn cover(
        &mut self,
        start: u64,
        payload: Payload<'_>,
        wire_end: u64,
        frame: Mark,
        mut complete: impl FnMut(Complete),
    ) {
        let Some(back) = self.open.back_mut() else { return };
        if start >= back.placed.start {
            back.cover(start, payload, wire_end, frame);
            self.parts += usize::from(!back.pieces.is_empty());
            if back.is_complete() && !back.done {
                back.done = true;
                complete(back.complete());
            }
            if self.open.len() > 1 && self.open.get(self.open.len() - 2).is_some_and(|m| m.placed.end() > start) {
                self.cover_slowly(start, payload, wire_end, frame, &mut complete);
            }
        } else {
            self.cover_slowly(start, payload, wire_end, frame, &mut complete);
        }
    }

    /// Bytes on the heap. Parts are walked over only where there were many.
    pub(crate) fn heap_bytes(&self) -> usize {
        let parts = if self.parts < limits::PIECES {
            self.parts
        } else {
            self.open.iter().map(|mapping| mapping.pieces.capacity()).sum()
        };
        self.open.capacity() * size_of::<Mapping>() + parts * size_of::<Piece>()
    }

    /// Whether there are more mappings than are kept.
    #[inline]
    pub fn is_overfull(&self) -> bool {
        self.open.len() > limits::MAPPINGS
    }

    #[cold]
    fn cover_slowly(
        &mut self,
        start: u64,
        payload: Payload<'_>,
        wire_end: u64,
        frame: Mark,
        complete: &mut dyn FnMut(Complete),
    ) {
        let first = self.first_reaching(start);
        self.parts = self.parts.saturating_add(1);
        for mapping in self.open.range_mut(first..) {
            if mapping.placed.start >= wire_end {
                break;
            }
            mapping.cover(start, payload, wire_end, frame);
            if mapping.is_complete() && !mapping.done {
                mapping.done = true;
                complete(mapping.complete());
            }
        }
    }

    /// Index of the first mapping that can cover a byte at or after `start`. Mappings that overlap are rare and short, so
    /// looking three back from the last that begins before `start` finds them.
    fn first_reaching(&self, start: u64) -> usize {
        let after = self.open.partition_point(|mapping| mapping.placed.start <= start);
        (after.saturating_sub(3)..after)
            .find(|&index| self.open.get(index).is_some_and(|mapping| mapping.placed.end() > start))
            .unwrap_or(after)
    }

    /// Splits `[start, end)` into parts with their data-level position, and parts that no mapping covers (`None`).
    #[inline]
    pub fn split(&self, start: u64, end: u64, mut part: impl FnMut(u64, u64, Option<&Placed>)) {
        if let Some(back) = self.open.back().filter(|back| back.placed.start <= start && end <= back.placed.end()) {
            part(start, end, Some(&back.placed));
            return;
        }
        let mut at = start;
        for mapping in self.open.range(self.first_reaching(start)..) {
            let placed = &mapping.placed;
            if placed.start >= end || at >= end {
                break;
            }
            if placed.end() <= at {
                continue;
            }
            if at < placed.start {
                part(at, placed.start, None);
                at = placed.start;
            }
            let stop = placed.end().min(end);
            part(at, stop, Some(placed));
            at = stop;
        }
        if at < end {
            part(at, end, None);
        }
    }

    /// Forgets mappings that the peer has acknowledged at the TCP level; `settled` hears of those that never completed.
    #[inline]
    pub fn acknowledged(&mut self, acked: u64, mut settled: impl FnMut(Complete)) {
        while let Some(front) = self.open.front() {
            let old = front.placed.end() <= acked;
            let late = front.placed.end() + limits::LATE_PAYLOAD <= acked;
            if !(old && front.done || late || self.open.len() > limits::MAPPINGS) {
                break;
            }
            if !front.done {
                settled(front.complete());
            }
            self.floor = self.floor.max(front.placed.end());
            self.open.pop_front();
        }
    }

    /// Gives back what a closed subflow no longer needs.
    pub fn shrink(&mut self) {
        while let Some(front) = self.open.front().filter(|front| front.done) {
            self.floor = self.floor.max(front.placed.end());
            self.open.pop_front();
        }
        self.open.shrink_to_fit();
    }

    /// Gives up on all that is open.
    pub fn close(&mut self, settled: impl FnMut(Complete)) {
        self.open.drain(..).filter(|mapping| !mapping.done).map(|mapping| mapping.complete()).for_each(settled);
        self.open.shrink_to_fit();
    }

    /// The mapping that begins last.
    pub fn last(&self) -> Option<&Placed> {
        self.open.back().map(|mapping| &mapping.placed)
    }
}

fn same(a: &Placed, b: &Placed) -> bool {
    a.data_len == b.data_len && a.position == b.position && a.checksum == b.checksum
}

//! The TCP level of what one side sends on a subflow: sequence space, retransmissions, acknowledgements, and the payload
//! that waits for a mapping.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use super::beside::Beside;
use super::digest::Digest;
use super::mappings::Mappings;
use super::mark::{Mark, Moment, unwrap};
use super::range_set::RangeSet;
use super::round_trip::RoundTrips;
use super::sparse::Sparse;
use super::stuck::Stuck;
use crate::frame::Timestamp;
use crate::limits;
use crate::wire::Mapping;

/// Unwrapped sequence numbers begin here, so that none is negative.
const EPOCH: u64 = 2 << 32;

/// One direction of one subflow.
#[derive(Clone, Debug, Default)]
pub struct Half {
    // None of these numbers is 0: sequence numbers begin at `EPOCH`, positions at `ORIGIN`.
    syn: Option<NonZeroU64>,
    acked: Option<NonZeroU64>,
    last_mapping_end: Option<(NonZeroU64, u64)>,
    /// The DATA_FIN without data last seen here: position and checksum.
    bare_data_fin: Option<NonZeroU64>,
    bare_checksum: Option<u16>,
    /// Where the SYN's number comes from.
    syn_source: SynSource,
    /// Sequence numbers of payload seen.
    pub seen: RangeSet,
    /// One past the highest sequence number sent, FIN included.
    pub next: u64,
    /// The FIN.
    pub fin: Option<(u64, Mark)>,
    /// TCP segments.
    pub segments: u64,
    /// Their payload bytes.
    pub payload_bytes: u64,
    /// Data-level bytes first carried here.
    pub data_bytes: u64,
    /// Most bytes sent and not acknowledged.
    pub max_in_flight: u64,
    /// Unscaled window last announced by this side.
    pub window: u16,
    /// TTL of its first segment after the SYNs that is no RST; 0 before it.
    pub ttl: u8,
    /// First frame with new data.
    pub first_data: Option<Mark>,
    /// Last frame with new data.
    pub last_data: Option<Mark>,
    /// Its time.
    pub last_data_time: Timestamp,
    /// Mappings.
    pub mappings: Mappings,
    /// Round-trip times.
    pub rtt: Sparse<RoundTrips>,
    /// What few directions have.
    pub seldom: Sparse<Seldom>,
}

/// What few directions of subflows have.
#[derive(Clone, Debug, Default)]
pub struct Seldom {
    /// Payload bytes of the SYN that the peer accepted: they lie outside the data sequence space (RFC 8684 appendix B).
    pub fast_open: u32,
    /// Payload no mapping covers yet.
    pub unmapped: Unmapped,
    /// Bytes whose sequence numbers had been seen.
    pub retransmitted: u64,
    /// The first segment with such bytes.
    pub first_again: Option<Mark>,
    /// Data-level bytes that another subflow had carried.
    pub reinjected: u64,
    /// While the SYN is unknown: mappings without place.
    pub unplaced: Unplaced,
    /// Data-level bytes carried while an end had asked for backup and a path for regular use was open.
    pub against_priority: u64,
    /// Likewise, where it was the peer who asked and a regular path worked.
    pub beside: Beside,
    /// `retransmitted` when the timeline last heard of it.
    pub told_retransmitted: Option<u64>,
    /// In a fallback: a sequence number and its data-level position; the rest of the stream follows from it.
    pub line: Option<(u64, u64)>,
    /// The infinite mapping names the sequence number of the segment that carries it: no bytes were inserted or removed.
    pub infinite_in_place: bool,
    /// What its payload looks like, where several inputs may show it.
    pub digest: Option<Box<Digest>>,
    /// Where the capture shows its segments first, if it shows them at several places.
    pub(super) original_at: Option<u16>,
    /// ACKs that carry only MPTCP signalling and repeat an acknowledgement: no sign of loss (RFC 8684 §3). The first,
    /// and how many.
    pub signalling_acks: Option<(Mark, u32)>,
    /// Where no segment of it was captured: the last acknowledgement moved by one and no DATA_ACK with it, so that was for a FIN.
    pub fin_acked_unseen: bool,
    /// What is sent again while the peer does not acknowledge it: its sequence number.
    pub stuck: Option<Stuck>,
}

super::sparse::empty! {
    Seldom = Seldom {
        fast_open: 0,
        unmapped: Unmapped { ranges: VecDeque::new(), dropped: 0, dropped_from: None },
        retransmitted: 0,
        first_again: None,
        reinjected: 0,
        unplaced: Unplaced { list: Vec::new(), places: None },
        against_priority: 0,
        beside: Beside::NOTHING,
        told_retransmitted: None,
        line: None,
        infinite_in_place: false,
        original_at: None,
        signalling_acks: None,
        fin_acked_unseen: false,
        stuck: None,
        digest: None,
    };
}

/// Mappings of a direction whose SYN is unknown: none tells alone which byte its first is.
#[derive(Clone, Debug, Default)]
pub struct Unplaced {
    /// Those mappings, the one seen last at the end; up to a limit the latest.
    pub list: Vec<Shown>,
    /// Sequence numbers, as on the wire, that the SYN can have had by what they say: the first and the last.
    pub places: Option<(u32, u32)>,
}

/// A mapping as a segment showed it.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// As the option holds it.
    pub mapping: Mapping,
    /// A DATA_FIN is behind its bytes.
    pub data_fin: bool,
    /// The segment's frame.
    pub frame: Mark,
}

impl Shown {
    /// Payload bytes: the data-level length without the DATA_FIN.
    #[inline]
    pub fn payload_len(&self) -> u32 {
        u32::from(self.mapping.len) - u32::from(self.data_fin)
    }
}

/// How the initial sequence number is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SynSource {
    /// It is not.
    #[default]
    Unknown,
    /// From a mapping: its SSN and the sequence number of the segment that carries it.
    Mapping,
    /// From the handshake's acknowledgement.
    Acknowledged,
    /// From the SYN.
    Syn,
}

/// What TCP makes of one segment's payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Unwrapped sequence number of the first payload byte.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    parts: [(u64, u64); 4],
    count: u8,
}

impl Taken {
    /// Whether all of it is new.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.fresh_parts() == [(self.start, self.end)]
    }

    /// The parts not seen before, in order.
    #[inline]
    pub fn fresh_parts(&self) -> &[(u64, u64)] {
        self.parts.get(..usize::from(self.count)).unwrap_or(&[])
    }
}

impl Half {
    /// Unwrapped sequence number of the SYN.
    #[inline]
    pub fn syn(&self) -> Option<u64> {
        self.syn.map(NonZeroU64::get)
    }

    /// How far its segments reach, counted from the SYN.
    pub fn reach(&self) -> Option<u64> {
        self.syn().map(|syn| self.next.saturating_sub(syn))
    }

    /// How far its mappings reach, counted from the SYN.
    pub fn mapped_to(&self) -> u64 {
        self.last_mapping_end().zip(self.syn()).map_or(0, |(end, syn)| end.0.saturating_sub(syn))
    }

    /// Whether the capture shows its segments at several places.
    pub fn shows_copies(&self) -> bool {
        self.seldom.original_at.is_some()
    }

    /// What the peer has acknowledged.
    #[inline]
    pub fn acked(&self) -> Option<u64> {
        self.acked.map(NonZeroU64::get)
    }

    /// Data-level positions are counted from elsewhere: adds this to those that are kept here, modulo 2^64.
    #[cold]
    pub(super) fn shift_positions(&mut self, by: u64) {
        self.mappings.shift(by);
        let moved = |position: u64| position.wrapping_add(by);
        self.last_mapping_end = self.last_mapping_end.map(|(end, position)| (end, moved(position)));
        self.bare_data_fin = self.bare_data_fin.and_then(|position| NonZeroU64::new(moved(position.get())));
        if let Some(seldom) = self.seldom.written() {
            seldom.line = seldom.line.map(|(seq, position)| (seq, moved(position)));
        }
    }

    /// Where the mapping that ends last ends: sequence number and data-level position.
    #[inline]
    pub fn last_mapping_end(&self) -> Option<(u64, u64)> {
        self.last_mapping_end.map(|(end, position)| (end.get(), position))
    }

    /// Takes note of where a mapping ends.
    #[inline]
    pub(super) fn note_mapping_end(&mut self, end: u64, position: u64) {
        if self.last_mapping_end.is_none_or(|last| end > last.0.get()) {
            self.last_mapping_end = NonZeroU64::new(end).map(|end| (end, position));
        }
    }

    /// Takes note of a DATA_FIN without data; true if it is not the one seen last.
    pub(super) fn note_bare_data_fin(&mut self, position: u64, checksum: Option<u16>) -> bool {
        let before = (self.bare_data_fin, self.bare_checksum);
        (self.bare_data_fin, self.bare_checksum) = (NonZeroU64::new(position), checksum);
        before != (self.bare_data_fin, self.bare_checksum)
    }

    /// The unwrapped form of a sequence number of this direction.
    #[inline]
    pub fn unwrap(&self, raw: u32) -> u64 {
        unwrap(if self.next == 0 { EPOCH + u64::from(raw) } else { self.next }, raw)
    }

    /// Learns the initial sequence number, unless a better source told it.
    pub fn learn_syn(&mut self, raw: u32, source: SynSource) {
        if source > self.syn_source {
            let syn = self.unwrap(raw);
            self.syn = NonZeroU64::new(syn);
            self.syn_source = source;
            if self.seen.end() == 0 {
                self.seen = RangeSet::starting_at(syn + 1);
                self.next = self.next.max(syn + 1);
            }
        }
    }

    /// The unwrapped sequence number that a mapping's SSN means: SSN 1 is the first byte after the SYN and after the bytes
    /// that Fast Open carried in it.
    #[inline]
    pub fn place(&self, ssn: u32) -> Option<u64> {
        let syn = self.syn()?.wrapping_add(u64::from(self.seldom.fast_open));
        let relative_reference = self.next.max(self.seen.end()).wrapping_sub(syn);
        Some(syn.wrapping_add(unwrap(relative_reference, ssn)))
    }

    /// Takes a segment's payload `[seq, seq + len)`. `None` where it lies too far ahead to be of this stream.
    #[inline]
    pub fn take(&mut self, seq: u32, len: u32, stamp: Option<u32>, at: Mark, now: Timestamp) -> Option<Taken> {
        let start = self.unwrap(seq);
        let end = start + u64::from(len);
        if self.seen.end() == 0 {
            self.seen = RangeSet::starting_at(start);
            self.next = start;
        }
        if start > self.next + limits::SEQUENCE_JUMP {
            return None;
        }
        let mut taken = Taken { start, end, ..Taken::default() };
        let mut fresh = 0;
        if start < self.seen.origin() && self.syn_source <= SynSource::Mapping {
            self.seen.lower_origin(start);
        }
        self.seen.insert(start, end, |a, b| {
            fresh += b - a;
            // A segment that fills more than four holes at once is no real one: the rest counts as fresh, and unmapped.
            if let Some(part) = taken.parts.get_mut(usize::from(taken.count)) {
                *part = (a, b);
                taken.count += 1;
            }
        });
        self.payload_bytes += u64::from(len);
        if fresh > 0 {
            self.first_data.get_or_insert(at);
            self.last_data = Some(at);
            self.last_data_time = now;
        }
        if fresh == u64::from(len) {
            self.rtt.sent(end, stamp, now);
        } else {
            self.seldom.retransmitted += u64::from(len) - fresh;
            self.seldom.first_again.get_or_insert(at);
            self.rtt.sent_again(start);
            if let Some(acked) = self.acked().filter(|acked| (start..end).contains(acked) && fresh == 0) {
                Stuck::note(&mut self.seldom.stuck, acked, Moment { frame: at, time: now });
            }
        }
        if !self.seen.is_contiguous() {
            self.seen.bound(limits::HOLES);
        }
        self.next = self.next.max(end);
        let in_flight = self.next - self.acked().unwrap_or_else(|| self.seen.origin()).min(self.next);
        self.max_in_flight = self.max_in_flight.max(in_flight);
        Some(taken)
    }

    /// Takes an acknowledgement by the peer; gives the new high mark where it moved.
    #[inline]
    pub fn acknowledge(&mut self, ack: u32, now: Timestamp) -> Option<u64> {
        let ack = self.unwrap(ack);
        if self.next != 0 && ack > self.next + limits::SEQUENCE_JUMP {
            return None;
        }
        match self.acked() {
            Some(acked) if ack <= acked => None,
            _ => {
                self.acked = NonZeroU64::new(ack);
                if let Some(rtt) = self.rtt.written() {
                    rtt.acknowledged(ack, now);
                }
                Some(ack)
            }
        }
    }

    /// The first byte after the SYN, and after what Fast Open carried in it.
    pub fn first_byte(&self) -> Option<u64> {
        self.syn().map(|syn| syn + 1 + u64::from(self.seldom.fast_open))
    }

    /// Whether a segment of this sequence number may be the first behind the SYN.
    pub(super) fn is_first(&self, seq: u32) -> bool {
        self.first_byte().is_none_or(|first| self.unwrap(seq) <= first)
    }

    /// Whether all payload was captured: up to the FIN, and as far as the peer acknowledged.
    pub fn is_whole(&self) -> bool {
        let Some(first) = self.first_byte() else { return false };
        let end = self.fin.map_or(self.next, |fin| fin.0).max(first);
        self.acked().is_none_or(|acked| acked <= self.next.max(first)) && self.seen.holds(first, end)
    }

    /// Whether no mapping was ever seen and the first byte is known: in a fallback, this is where the stream begins.
    pub fn is_plain_from_start(&self) -> bool {
        self.syn.is_some() && self.last_mapping_end.is_none()
    }

    /// Most bytes sent and not yet acknowledged; `None` where no acknowledgement of them was captured.
    pub fn most_in_flight(&self) -> Option<u64> {
        (self.payload_bytes == 0 || self.acked.is_some()).then_some(self.max_in_flight)
    }

    /// Whether the peer acknowledges what it sent, and the capture has none of that.
    pub fn is_unseen(&self) -> bool {
        self.segments == 0 && self.acked.is_some()
    }

    /// Gives back what only an open subflow needs.
    pub fn close(&mut self) {
        self.mappings.shrink();
        if let Some(rtt) = self.rtt.written() {
            rtt.close();
        }
    }
}

/// Ranges of payload that no mapping covers (yet), and their bytes where they will be needed.
#[derive(Clone, Debug, Default)]
pub struct Unmapped {
    ranges: VecDeque<Piece>,
    /// Bytes in ranges that were given up.
    pub dropped: u64,
    dropped_from: Option<Mark>,
}

/// Payload without mapping.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Unwrapped sequence number of its first byte.
    pub start: u64,
    /// One past its last.
    pub end: u64,
    /// The captured bytes, from `start`; shorter where they were cut or not kept.
    pub bytes: Vec<u8>,
    /// Its frame.
    pub frame: Mark,
    /// When it came.
    pub time: Timestamp,
}

impl Unmapped {
    /// Bytes on the heap, without the payload: that is lent from the tracker's buffer.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.ranges.capacity() * size_of::<Piece>()
    }

    /// Bytes of payload that are kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.ranges.iter().map(|piece| piece.bytes.len()).sum()
    }

    /// Whether there is any.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes that no mapping covers.
    pub fn bytes(&self) -> u64 {
        self.dropped + self.ranges.iter().map(|piece| piece.end - piece.start).sum::<u64>()
    }

    /// The pieces that are still held, in the order in which they came.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.ranges.iter()
    }

    /// The frame of the first piece that was given up.
    pub fn dropped_from(&self) -> Option<Mark> {
        self.dropped_from
    }

    /// The first frame with such bytes that is still held.
    pub fn first_frame(&self) -> Option<Mark> {
        self.ranges.front().map(|piece| piece.frame)
    }

    /// Adds a piece; gives back the buffer bytes that were let go for it.
    pub fn push(&mut self, piece: Piece) -> usize {
        if piece.bytes.is_empty()
            && let Some(last) = self.ranges.back_mut().filter(|last| last.end == piece.start && last.bytes.is_empty())
        {
            last.end = piece.end;
            return 0;
        }
        self.ranges.push_back(piece);
        if self.ranges.len() <= limits::UNMAPPED_RANGES {
            return 0;
        }
        self.ranges.pop_front().map_or(0, |lost| {
            self.dropped += lost.end - lost.start;
            self.dropped_from.get_or_insert(lost.frame);
            lost.bytes.len()
        })
    }

    /// Takes out all pieces that reach into `[start, end)`.
    pub fn take(&mut self, start: u64, end: u64) -> Vec<Piece> {
        let (taken, kept): (Vec<_>, VecDeque<_>) = {
            let mut taken = Vec::new();
            let mut kept = VecDeque::new();
            for piece in self.ranges.drain(..) {
                if piece.start < end && piece.end > start { taken.push(piece) } else { kept.push_back(piece) }
            }
            (taken, kept)
        };
        self.ranges = kept;
        taken
    }
}

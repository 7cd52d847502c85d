//! What one direction of a subflow looks like at one input, small enough to be held against another input: how its payload
//! was cut into segments, and the sum of its bytes.

use super::half::Taken;
use crate::packet::Segment;
use crate::packet::checksum::{add16, at_offset, same, sum16};

/// Payload of one direction of a subflow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digest {
    /// Segments whose payload was all new.
    pub segments: u64,
    /// Payload bytes of the largest segment.
    pub largest: u32,
    /// One's complement sum of all new payload, by its place in the subflow.
    pub sum: u16,
    /// Some payload was not summed: the snaplen cut it, the SYN is unknown, or it came in parts.
    pub incomplete: bool,
    /// A segment has a right TCP checksum: those of others mean something.
    intact: bool,
}

impl Digest {
    /// Takes a segment of the direction whose SYN had the sequence number `syn`.
    pub(crate) fn add(&mut self, syn: Option<u64>, taken: &Taken, segment: &Segment<'_>) {
        self.largest = self.largest.max(segment.payload_len);
        match taken.fresh_parts() {
            [] => {}
            [(start, end)] if (*start, *end) == (taken.start, taken.end) => {
                self.segments += 1;
                let whole = segment.payload.len() as u64 == u64::from(segment.payload_len);
                match syn.filter(|_| whole) {
                    Some(syn) => {
                        let sum = segment.payload_sum.unwrap_or_else(|| sum16(segment.payload));
                        match segment.is_intact(sum) {
                            Some(true) => self.intact = true,
                            // Its receiver does not take it: what it got instead is no new payload here.
                            Some(false) if self.intact => self.incomplete = true,
                            _ => {}
                        }
                        self.sum = add16(self.sum, at_offset(sum, start.wrapping_sub(syn + 1)));
                    }
                    None => self.incomplete = true,
                }
            }
            _ => self.incomplete = true,
        }
    }

    /// Whether the sums of two digests of the same bytes differ, where both are of all bytes.
    pub fn differs(&self, other: &Self) -> bool {
        // Both zeros of one's complement are the same sum.
        !self.incomplete && !other.incomplete && !same(self.sum, other.sum)
    }
}

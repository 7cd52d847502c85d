//! DSS checksums (RFC 8684 §3.3): each mapping that is complete or given up is judged, counted, and told of.

use super::{Connection, Env};
use crate::limits;
use crate::packet::checksum::{add16, same};
use crate::track::data::DataLevel;
use crate::track::mapping::{Complete, Missing, Placed};
use crate::track::mark::Mark;
use crate::track::observer::{Checked, ConnectionId, Judgement, Observer, What};
use crate::track::side::Side;
use crate::track::sparse::{Sparse, empty};

/// Outcomes of the checksums of what one side sent.
#[derive(Clone, Debug, Default)]
pub struct ChecksumTally {
    /// Right.
    pub verified: u64,
    /// Wrong.
    pub mismatch: u64,
    /// Bytes cut by the snaplen.
    pub cut: u64,
    /// Bytes never captured.
    pub missing: u64,
    /// High half of the DSN unknown: each candidate for its contribution and how many mappings it makes right.
    pub inferred: Sparse<Vec<(u16, u64)>>,
    /// The wrong ones, up to a limit.
    pub mismatches: Sparse<Vec<Mismatch>>,
}

/// One wrong checksum.
#[derive(Clone, Copy, Debug)]
pub struct Mismatch {
    /// Its subflow.
    pub subflow: u16,
    /// Its mapping.
    pub placed: Placed,
    /// Frame with the mapping's last byte.
    pub last_frame: Mark,
    /// Checksum of what was seen.
    pub expected: u16,
    /// First DSN.
    pub dsn: u64,
    /// A mapping behind it on its subflow is right: what follows stands where it should.
    pub right_after: bool,
}

empty! {
    Vec<(u16, u64)> = Vec::new();
    Vec<Mismatch> = Vec::new();
    ChecksumTally = ChecksumTally {
        verified: 0,
        mismatch: 0,
        cut: 0,
        missing: 0,
        inferred: Sparse::EMPTY,
        mismatches: Sparse::EMPTY,
    };
}

impl Sparse<ChecksumTally> {
    /// Positions are counted from elsewhere.
    #[cold]
    pub(in crate::track) fn shift_positions(&mut self, by: u64) {
        let mismatches = self.written().and_then(|tally| tally.mismatches.written());
        for wrong in mismatches.into_iter().flatten() {
            wrong.placed.position = wrong.placed.position.wrapping_add(by);
        }
    }
}

impl ChecksumTally {
    /// Bytes on the heap.
    pub(in crate::track) fn heap_bytes(&self) -> usize {
        self.inferred.capacity() * size_of::<(u16, u64)>() + self.mismatches.capacity() * size_of::<Mismatch>()
    }

    fn judge(&mut self, seen: u16, complete: &Complete, data: &DataLevel, subflow: u16) -> Judgement {
        let payload = match complete.sum {
            Ok(sum) => sum,
            Err(Missing::Cut) => {
                self.cut += 1;
                return Judgement::Unknown;
            }
            Err(Missing::Segments) => {
                self.missing += 1;
                return Judgement::Unknown;
            }
        };
        let (dsn, high_known) = data.dsn(complete.placed.position);
        let placed = &complete.placed;
        let header = sum_words(&[dsn as u32, placed.ssn, u32::from(placed.data_len)]);
        let low = add16(header, payload);
        let high = sum_words(&[(dsn >> 32) as u32]);
        if !high_known {
            if !complete.again {
                self.infer(!add16(low, seen), high);
            }
            return Judgement::Unknown;
        }
        let right = |payload_difference: u16| {
            let sum = add16(add16(add16(low, high), payload_difference), seen);
            same(sum, 0)
        };
        if complete.again {
            let repaired = complete.other_copy.is_some_and(right) && self.repair(complete, subflow);
            return if repaired { Judgement::Again } else { Judgement::Unknown };
        }
        let judgement = match complete.other_copy {
            _ if right(0) => Judgement::First,
            Some(other) if right(other) => Judgement::Again,
            _ => Judgement::Neither,
        };
        if judgement != Judgement::Neither {
            self.verified += 1;
            if !self.mismatches.is_empty() {
                self.note_right_after(placed, subflow);
            }
            return judgement;
        }
        // What its receiver got in the place of the damaged segment is not here, or not yet.
        if complete.damaged {
            self.missing += 1;
            return Judgement::Unknown;
        }
        self.mismatch += 1;
        if self.mismatches.len() < limits::MISMATCHES {
            let expected = !add16(low, high);
            self.mismatches.push(Mismatch {
                subflow,
                placed: *placed,
                last_frame: complete.last_frame,
                expected,
                dsn,
                right_after: false,
            });
        }
        judgement
    }

    /// A mapping is right: what was wrong before it on its subflow moved nothing.
    #[cold]
    fn note_right_after(&mut self, placed: &Placed, subflow: u16) {
        let before = |wrong: &&mut Mismatch| {
            wrong.subflow == subflow && wrong.placed.len > 0 && wrong.placed.end() <= placed.start
        };
        if let Some(wrong) = self.mismatches.iter_mut().rev().find(before) {
            wrong.right_after = true;
        }
    }

    /// A mapping is right after all: whether it had been told wrong, or lacked what its receiver got.
    fn repair(&mut self, complete: &Complete, subflow: u16) -> bool {
        if let Some(wrong) = self.find(&complete.placed, subflow) {
            self.mismatches.remove(wrong);
            self.mismatch -= 1;
        } else if complete.damaged {
            self.missing = self.missing.saturating_sub(1);
        } else {
            return false;
        }
        self.verified += 1;
        true
    }

    /// The place in `mismatches` of a mapping that was told wrong; those beyond the limit are not found.
    fn find(&self, placed: &Placed, subflow: u16) -> Option<usize> {
        self.mismatches.iter().position(|wrong| wrong.subflow == subflow && wrong.placed == *placed)
    }

    /// The high half of the DSN adds one constant to all sums until the low half wraps: mappings that agree on it are
    /// consistent, though not verified.
    fn infer(&mut self, needed: u16, made_up_high: u16) {
        let constant = constant_of(needed, made_up_high);
        if let Some(candidate) = self.inferred.iter_mut().find(|candidate| candidate.0 == constant) {
            candidate.1 += 1;
        } else if self.inferred.len() < limits::INFERRED {
            self.inferred.push((constant, 1));
        } else {
            self.missing += 1;
        }
    }

    /// Mappings whose checksum is right if the high half of the DSN is this, and not the made-up one.
    pub(in crate::track) fn right_with(&self, high: u32, made_up: u32) -> u64 {
        let constant = constant_of(sum_words(&[high]), sum_words(&[made_up]));
        self.inferred.iter().find(|candidate| candidate.0 == constant).map_or(0, |candidate| candidate.1)
    }

    /// The high half became known: the mappings that it makes right are verified. Of the others nobody can say any more what
    /// they were.
    pub(in crate::track) fn learn_high_half(&mut self, high: u32, made_up: u32) {
        let right = self.right_with(high, made_up);
        if right > 0 {
            let constant = constant_of(sum_words(&[high]), sum_words(&[made_up]));
            self.inferred.retain(|candidate| candidate.0 != constant);
            self.verified += right;
        }
    }

    /// Counts what another tally saw, on subflows that are numbered from `base` here.
    pub(in crate::track) fn absorb(&mut self, other: &Self, base: u16) {
        self.verified += other.verified;
        self.mismatch += other.mismatch;
        self.cut += other.cut;
        self.missing += other.missing;
        for &(constant, mappings) in other.inferred.iter() {
            if let Some(known) = self.inferred.iter_mut().find(|known| known.0 == constant) {
                known.1 += mappings;
            } else if self.inferred.len() < limits::INFERRED {
                self.inferred.push((constant, mappings));
            } else {
                self.missing += mappings;
            }
        }
        for mismatch in other.mismatches.iter().take(limits::MISMATCHES - self.mismatches.len()) {
            self.mismatches.push(Mismatch { subflow: mismatch.subflow + base, ..*mismatch });
        }
    }

    /// Mappings whose checksum could not be judged.
    pub fn unverifiable(&self) -> u64 {
        self.cut + self.missing + self.inferred.iter().map(|candidate| candidate.1).sum::<u64>()
    }

    /// Of those, how many agree with each other on an unknown high half beyond the one that told it.
    pub fn consistent(&self) -> u64 {
        self.inferred.iter().map(|candidate| candidate.1).max().map_or(0, |most| most - 1)
    }
}

/// What a high half adds in the place of the made-up one.
fn constant_of(high: u16, made_up: u16) -> u16 {
    let constant = add16(high, !made_up);
    if constant == 0xffff { 0 } else { constant }
}

fn sum_words(words: &[u32]) -> u16 {
    words.iter().fold(0, |sum, word| add16(add16(sum, (word >> 16) as u16), *word as u16))
}

/// Whose mapping it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) connection: ConnectionId,
    pub(super) number: Option<u64>,
    /// Its sender.
    pub(super) side: Side,
    pub(super) subflow: u16,
}

/// Judges a mapping that is complete or given up, and tells whoever listens to data: until then its bytes are kept back.
#[inline]
pub(super) fn settle<O: Observer>(
    tally: &mut Sparse<ChecksumTally>,
    data: &DataLevel,
    complete: &Complete,
    owner: Owner,
    observer: &mut O,
) -> Judgement {
    let Some(seen) = complete.placed.checksum else { return Judgement::Unknown };
    let judgement = tally.judge(seen, complete, data, owner.subflow);
    if O::WANTS_DATA {
        let Owner { connection, number, side, subflow } = owner;
        let (offset, len) = (data.offset(complete.placed.position), complete.placed.len);
        observer.checked(Checked { connection, number, side, subflow, offset, len, judgement });
    }
    judgement
}

impl Connection {
    pub(super) fn owner(&self, side: Side, subflow: u16) -> Owner {
        Owner { connection: self.id, number: self.number(), side, subflow }
    }

    /// Settles a mapping, and tells of a checksum that is wrong, or right after all. Gives what it says.
    #[inline]
    pub(super) fn settle<O: Observer>(
        &mut self,
        complete: &Complete,
        side: Side,
        subflow: u16,
        env: &mut Env<'_, O>,
    ) -> Judgement {
        let owner = self.owner(side, subflow);
        let wrong = self.checksums[side].mismatch;
        let judgement = settle(&mut self.checksums[side], &self.data[side], complete, owner, env.observer);
        let dsn = || self.data[side].dsn(complete.placed.position).0;
        match judgement {
            Judgement::Neither => self.tell(Some(subflow), What::ChecksumMismatch(side, dsn()), env),
            Judgement::Again if self.checksums[side].mismatch < wrong => {
                self.tell(Some(subflow), What::ChecksumRepaired(side, dsn()), env);
            }
            _ => {}
        }
        judgement
    }
}

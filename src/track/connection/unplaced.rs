//! Mappings of a subflow whose SYN was not captured: their SSNs have no place until one of them shows which byte it begins at.

use super::{Connection, Env, Input};
use crate::limits;
use crate::track::half::{Half, Shown, SynSource};
use crate::track::observer::Observer;

impl Connection {
    /// The SYN became known: the mappings that waited for it, in their order.
    #[cold]
    pub(super) fn place_early<O: Observer>(&mut self, unplaced: &[Shown], input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        for shown in unplaced {
            if let Some(position) = self.data[input.side].position(shown.mapping.dsn) {
                self.place_mapping(shown, position, input, env);
            }
        }
    }
}

/// In a capture that begins in the middle, a mapping tells the subflow's base where its first byte is known: it fits the
/// segment that carries it, or those that do so far; or it follows the mapping before at the segment that follows. Gives the
/// mappings that had no place until now.
#[cold]
pub(super) fn learn_base(half: &mut Half, shown: &Shown, input: &Input<'_, '_>) -> Option<Vec<Shown>> {
    let (mapping, segment) = (&shown.mapping, input.segment);
    if segment.payload_len == 0 {
        return None;
    }
    let at = half.unwrap(segment.seq);
    let contiguous = half.next == at && half.seen.is_contiguous();
    let unplaced = &mut half.seldom.unplaced;
    let last = unplaced.list.last().copied().filter(|_| contiguous);
    let same = last.is_some_and(|last| last.mapping == *mapping);
    let first = if same { unplaced.first } else { at };
    let follows = !same && last.is_some_and(|last| last.mapping.ssn.wrapping_add(last.payload_len()) == mapping.ssn);
    let fits = at + u64::from(segment.payload_len) - first == u64::from(shown.payload_len());
    if follows || fits {
        half.learn_syn((first as u32).wrapping_sub(mapping.ssn), SynSource::Mapping);
        return Some(std::mem::take(&mut half.seldom.unplaced.list));
    }
    unplaced.first = first;
    if unplaced.list.last().is_none_or(|last| last.mapping != *mapping) {
        if unplaced.list.len() >= limits::UNPLACED {
            unplaced.list.remove(0);
        }
        unplaced.list.push(*shown);
    }
    None
}

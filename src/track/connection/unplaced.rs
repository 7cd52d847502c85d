//! Mappings of a subflow whose SYN was not captured: their SSNs have no place until one of them shows which byte it begins at.

use super::{Connection, Env, Input};
use crate::limits;
use crate::track::half::{Half, Shown, SynSource, Unplaced};
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

    /// A FIN at `end` is behind all data: where nothing is missing before it, the last mapping ends there.
    #[cold]
    pub(super) fn place_before_fin<O: Observer>(&mut self, end: u64, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let Some(subflow) = self.subflows.get_mut(usize::from(input.subflow)) else { return };
        let half = &mut subflow.halves[input.side];
        let ends = half.seldom.unplaced.list.iter().map(|shown| shown.mapping.ssn.wrapping_add(shown.payload_len()));
        let Some(last) = ends.reduce(|a, b| if later(b, a) { b } else { a }).filter(|_| half.next == end) else {
            return;
        };
        let syn = (end as u32).wrapping_sub(last);
        if half.seldom.unplaced.places.is_some_and(|(from, to)| !later(from, syn) && !later(syn, to)) {
            half.learn_syn(syn, SynSource::Mapping);
            let unplaced = std::mem::take(&mut half.seldom.unplaced.list);
            self.place_early(&unplaced, input, env);
        }
    }
}

/// Whether one sequence number is behind another.
fn later(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

/// Takes a mapping of a segment whose SYN is unknown. Gives the mappings that had no place until now, this one left out, once
/// there is only one place for them: a segment with a mapping lies within it, which leaves the SYN so many places as the
/// mapping has bytes before and behind the segment. Or a mapping follows the last one, and is first seen where that ends.
#[cold]
pub(super) fn learn_base(half: &mut Half, shown: &Shown, input: &Input<'_, '_>) -> Option<Vec<Shown>> {
    let (mapping, segment) = (&shown.mapping, input.segment);
    if segment.payload_len == 0 {
        return None;
    }
    let is_next = half.next == half.unwrap(segment.seq);
    let unplaced = &mut half.seldom.unplaced;
    let known = unplaced.list.iter().any(|known| known.mapping == *mapping);
    let last = unplaced.list.last().filter(|_| is_next && !known);
    let follows = last.is_some_and(|last| last.mapping.ssn.wrapping_add(last.payload_len()) == mapping.ssn);
    let latest = segment.seq.wrapping_sub(mapping.ssn);
    let earliest = latest.wrapping_add(segment.payload_len).wrapping_sub(shown.payload_len());
    unplaced.narrow(earliest, latest);
    let only = unplaced.places.filter(|places| places.0 == places.1).map(|places| places.0);
    if let Some(syn) = only.or_else(|| follows.then_some(latest)) {
        half.learn_syn(syn, SynSource::Mapping);
        return Some(std::mem::take(&mut half.seldom.unplaced.list));
    }
    unplaced.list.retain(|known| known.mapping != *mapping);
    if unplaced.list.len() >= limits::UNPLACED {
        unplaced.list.remove(0);
    }
    unplaced.list.push(*shown);
    None
}

impl Unplaced {
    /// The SYN has the number `earliest`, `latest`, or one between.
    fn narrow(&mut self, earliest: u32, latest: u32) {
        let (from, to) = self.places.unwrap_or((earliest, latest));
        let from = if later(earliest, from) { earliest } else { from };
        let to = if later(to, latest) { latest } else { to };
        // What contradicts itself is no honest subflow, or another one: it begins anew.
        self.places = Some(if later(from, to) { (earliest, latest) } else { (from, to) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_fewer_until_one_is_left() {
        let mut unplaced = Unplaced::default();
        for (earliest, latest, left) in [
            (u32::MAX - 100, 50, (u32::MAX - 100, 50)),
            (u32::MAX - 40, 90, (u32::MAX - 40, 50)),
            (u32::MAX - 200, 7, (u32::MAX - 40, 7)),
            (7, 9, (7, 7)),
            (500, 600, (500, 600)),
        ] {
            unplaced.narrow(earliest, latest);
            assert_eq!(unplaced.places, Some(left));
        }
    }
}

//! Where inputs were captured. Inputs that are parts of one capture have one site; all others have their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits;

/// The sites of all inputs. A site has the number of the first of its inputs.
#[derive(Debug, Default)]
pub struct Sites {
    /// The site of an input, where it is not the input itself.
    first: BTreeMap<u16, u16>,
    /// Sites that are two places, the lower first.
    apart: BTreeSet<(u16, u16)>,
    /// Inputs that have shown their last frame.
    ended: BTreeSet<u16>,
}

/// Each input has its own.
pub static ALL_APART: Sites = Sites::new();

impl Sites {
    /// Each input has its own.
    pub const fn new() -> Self {
        Self { first: BTreeMap::new(), apart: BTreeSet::new(), ended: BTreeSet::new() }
    }

    /// The site of an input.
    #[inline]
    pub fn of(&self, input: u16) -> u16 {
        if self.first.is_empty() { input } else { self.first.get(&input).copied().unwrap_or(input) }
    }

    /// Whether two inputs were captured at one site.
    #[inline]
    pub fn are_one(&self, a: u16, b: u16) -> bool {
        a == b || self.of(a) == self.of(b)
    }

    /// An input has shown its last frame.
    pub(super) fn end(&mut self, input: u16) {
        self.ended.insert(input);
    }

    /// Whether all parts of the capture at a site have shown their last frame.
    pub(super) fn is_over(&self, site: u16) -> bool {
        let mut parts = self.first.iter().filter(|(_, of)| **of == site);
        self.ended.contains(&site) && parts.all(|(input, _)| self.ended.contains(input))
    }

    /// Whether two sites are known to be two places.
    pub(super) fn are_apart(&self, a: u16, b: u16) -> bool {
        self.apart.contains(&(a.min(b), a.max(b)))
    }

    /// Two sites are two places.
    pub(super) fn set_apart(&mut self, a: u16, b: u16) {
        if self.apart.len() < limits::SITES_APART {
            self.apart.insert((a.min(b), a.max(b)));
        }
    }

    /// What was captured at site `part` is a later part of what was captured at site `of`.
    pub(super) fn unite(&mut self, part: u16, of: u16) {
        self.first.values_mut().filter(|site| **site == part).for_each(|site| *site = of);
        self.first.insert(part, of);
        let others = |&(a, b): &(u16, u16)| if a == part { Some(b) } else { (b == part).then_some(a) };
        let others: Vec<u16> = self.apart.iter().filter_map(others).collect();
        others.into_iter().filter(|&other| other != of).for_each(|other| self.set_apart(of, other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_capture_have_one_site_and_share_what_is_apart() {
        let mut sites = Sites::new();
        sites.set_apart(4, 3);
        sites.unite(4, 2);
        sites.unite(2, 0);
        assert_eq!([0, 1, 2, 3, 4].map(|input| sites.of(input)), [0, 1, 0, 3, 0]);
        assert!(sites.are_apart(3, 0) && !sites.are_apart(1, 0) && sites.are_one(4, 2));
        for input in [0, 2] {
            sites.end(input);
            assert!(!sites.is_over(0));
        }
        sites.end(4);
        assert!(sites.is_over(0));
    }
}

//! The inputs of a run, and the places where they were captured.

use super::InputInfo;

/// Inputs and places. A place is an input, unless the interfaces of a single input are told apart: then it is one of them.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The inputs, in the order of their first frames.
    pub infos: &'a [InputInfo],
    /// The places of the inputs among those that the user gave; none where there are no several.
    pub given: &'a [u16],
    /// Names of the places within the only input; none where inputs are the places.
    pub places: &'a [String],
}

impl<'a> Inputs<'a> {
    /// The inputs as the user gave them.
    pub fn as_given(self) -> impl Iterator<Item = &'a InputInfo> {
        let mut order: Vec<usize> = (0..self.infos.len()).collect();
        order.sort_by_key(|&own| self.given.get(own));
        order.into_iter().filter_map(|own| self.infos.get(own))
    }

    /// Whether the places are interfaces of the only input.
    pub fn are_interfaces(self) -> bool {
        !self.places.is_empty()
    }

    /// The input that a place is, or is in.
    pub fn info(self, place: u16) -> Option<&'a InputInfo> {
        if self.places.is_empty() { self.infos.get(usize::from(place)) } else { self.infos.first() }
    }

    /// The name of a place.
    pub fn name(self, place: u16) -> Option<&'a str> {
        self.names().nth(usize::from(place))
    }

    /// The names of all places.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let infos = if self.places.is_empty() { self.infos } else { &[] };
        self.places.iter().map(String::as_str).chain(infos.iter().map(|info| info.name.as_str()))
    }
}

impl<'a> From<&'a [InputInfo]> for Inputs<'a> {
    fn from(infos: &'a [InputInfo]) -> Self {
        Self { infos, given: &[], places: &[] }
    }
}

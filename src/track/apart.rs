//! Interfaces of one input as places of their own: where a device was captured on both of its sides, each side is told from the
//! other as two inputs are.

use crate::frame::{Frame, FrameId};
use crate::limits;
use crate::packet::Segment;
use crate::track::Tracker;

/// Places within an input, in the order in which they showed.
#[derive(Debug, Default)]
pub struct Apart {
    places: Vec<Spot>,
}

/// An interface, as far as the capture tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Index into the input's interfaces.
    pub interface: u16,
    /// The capturing kernel's index of the interface, where each packet tells it; 0 where none does.
    pub kernel_index: u32,
}

impl Apart {
    /// The places so far.
    pub fn places(&self) -> &[Spot] {
        &self.places
    }
}

impl Tracker {
    /// A frame with the number of its place for that of its input. Beyond a limit, places count as the first.
    pub(super) fn at_its_place<'f>(&mut self, frame: &Frame<'f>, segment: &Segment<'_>) -> Frame<'f> {
        let spot = Spot { interface: frame.interface, kernel_index: segment.tap.interface_index };
        let places = &mut self.apart.places;
        let place = match places.iter().position(|&known| known == spot) {
            Some(known) => known as u16,
            None if places.len() < limits::PLACES => {
                let place = places.len() as u16;
                places.push(spot);
                // What two interfaces show at once is no capture in parts.
                (0..place).for_each(|other| self.taps.sites.set_apart(other, place));
                place
            }
            None => 0,
        };
        Frame { id: FrameId { input: place, ..frame.id }, ..*frame }
    }
}

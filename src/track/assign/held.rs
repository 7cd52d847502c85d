//! Where several inputs are compared: how TCP connections without MPTCP began. If another input shows the SYN with its option,
//! and its clock is behind, this was the same connection behind a device that removes it.

use super::Arrival;
use crate::frame::{Frame, FrameId, LinkType, Timestamp};
use crate::limits;
use crate::packet::options::Parsed;
use crate::packet::{Header, Segment};
use crate::track::flow::{FlowId, More};
use crate::track::observer::Observer;
use crate::track::{Assigned, Tracker};

/// A segment without payload.
#[derive(Clone, Debug)]
pub(crate) struct HeldSegment {
    id: FrameId,
    time: Timestamp,
    interface: u16,
    tap: u16,
    header: Header,
    options: Vec<u8>,
}

impl Tracker {
    /// Holds a segment of a plain flow that a SYN began; for a new flow the oldest makes room.
    #[cold]
    pub(super) fn hold(&mut self, id: FlowId, arrival: &Arrival<'_, '_>) {
        let is_syn = arrival.segment.flags.opens();
        let Some(flow) = self.flows.get_mut(id) else { return };
        let input = arrival.frame.id.input;
        if let Some(more) = &mut flow.more {
            let first = more.held.first().map(|first| first.id.input);
            if first.is_some_and(|first| self.taps.at_one_site(first, input)) && more.held.len() < limits::HELD_SEGMENTS
            {
                more.held.push(arrival.held());
            }
        } else if is_syn {
            flow.more = Some(Box::new(More { held: vec![arrival.held()], ..More::default() }));
            self.held_flows.push_back(id);
            if self.held_flows.len() > limits::HELD_FLOWS
                && let Some(oldest) = self.held_flows.pop_front()
                && let Some(more) = self.flows.get_mut(oldest).and_then(|flow| flow.more.as_mut())
            {
                more.held = Vec::new();
            }
        }
    }

    /// What was held of a flow of which another input shows this SYN with an MPTCP option.
    pub(super) fn held_elsewhere(&mut self, id: FlowId, arrival: &Arrival<'_, '_>) -> Vec<HeldSegment> {
        let segment = arrival.segment;
        let held =
            self.flows.get_mut(id).and_then(|flow| flow.more.as_mut()).map(|more| std::mem::take(&mut more.held));
        let Some(held) = held.filter(|held| !held.is_empty()) else { return Vec::new() };
        let input = arrival.frame.id.input;
        let elsewhere = |first: &HeldSegment| !self.taps.at_one_site(first.id.input, input);
        let same = |first: &HeldSegment| first.header.seq == segment.seq && elsewhere(first);
        let is_syn = segment.flags.opens();
        if is_syn && held.first().is_some_and(same) { held } else { Vec::new() }
    }

    /// Hands them to the view that their input gives of the connection, which exists by now.
    pub(super) fn hand_on<O: Observer>(&mut self, held: Vec<HeldSegment>, observer: &mut O) {
        self.counts.tcp_connections = self.counts.tcp_connections.saturating_sub(u64::from(!held.is_empty()));
        for HeldSegment { id, time, interface, tap, header, options } in held {
            let segment = Segment { header: &header, options: &options, payload: &[] };
            let parsed = Parsed::of(&segment);
            let frame = Frame { id, time, link: LinkType::RAW, interface, data: &[], wire_len: 0 };
            let options = parsed.options(&segment);
            let assigned = self.assign(&Arrival::new(&frame, &segment, &options, tap), observer);
            if matches!(assigned, Assigned::View(_) | Assigned::Copy(_)) {
                self.counts.tcp_segments = self.counts.tcp_segments.saturating_sub(1);
                self.counts.duplicates += 1;
                self.counts.view_segments += u64::from(matches!(assigned, Assigned::View(_)));
            }
        }
    }
}

impl Arrival<'_, '_> {
    fn held(&self) -> HeldSegment {
        HeldSegment {
            id: self.frame.id,
            time: self.frame.time,
            interface: self.frame.interface,
            tap: self.tap,
            header: *self.segment.header,
            options: self.segment.options.to_vec(),
        }
    }
}

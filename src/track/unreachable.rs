//! SYNs that a host or router on the way could not deliver, as its ICMP error tells.

use std::net::IpAddr;

use super::Tracker;
use super::flow::FlowKey;
use super::mark::Mark;
use crate::frame::Frame;
use crate::packet::icmp;

/// An ICMP error that answers a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Its frame.
    pub frame: Mark,
    /// Who sent it.
    pub from: IpAddr,
    /// What it says.
    pub meaning: &'static str,
}

impl Tracker {
    /// A frame without TCP: if it is an ICMP error that quotes the SYN of a subflow, that has it.
    #[cold]
    pub(super) fn note_unreachable(&mut self, frame: &Frame<'_>) {
        if self.connections.alive() == 0 {
            return;
        }
        let Some(error) = icmp::error(frame) else { return };
        let (key, from_low) = FlowKey::new(error.quoted, error.source_port, error.destination_port);
        let Some(flow) = self.flows.find(key).and_then(|flow| self.flows.get_mut(flow)) else { return };
        let place = flow.low.turned(from_low);
        let Some(subflow) = self.connections.subflow_mut(place) else { return };
        let of_syn = subflow.syn.as_ref().is_some_and(|syn| syn.seq == error.seq) && place.from == subflow.initiator;
        if of_syn {
            let told = Unreachable { frame: frame.id.into(), from: error.from, meaning: error.meaning };
            subflow.seldom.unreachable.get_or_insert(told);
        }
    }
}

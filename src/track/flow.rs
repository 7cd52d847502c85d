//! The flow table: from addresses and ports to what is known of the flow, in one lookup.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::observer::ConnectionId;
use super::side::Side;
use crate::packet::{IpPair, Segment};

/// Index of a flow in the table.
pub(crate) type FlowId = u32;

/// A flow that has no MPTCP so far.
pub(crate) const PLAIN: ConnectionId = ConnectionId::MAX;

/// What is known of one 4-tuple.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Its connection, or [`PLAIN`].
    pub(crate) connection: ConnectionId,
    /// Its subflow.
    pub(crate) subflow: u16,
    /// The side with the lower endpoint.
    pub(crate) low_side: Side,
    /// Directions seen at the primary tap: 1 from the lower endpoint, 2 from the higher.
    pub(crate) directions: u8,
    /// The tap that showed it first.
    pub(crate) tap: u16,
    /// Its connection is another tap's view of one.
    pub(crate) is_view: bool,
    /// Sequence number of the last SYN of a plain flow.
    pub(crate) syn: u32,
    /// What few flows have.
    pub(crate) more: Option<Box<More>>,
}

/// What few flows have.
#[derive(Clone, Debug, Default)]
pub(crate) struct More {
    /// Other inputs that show it.
    pub(crate) taps: Vec<OtherTap>,
    /// A new SYN came while this one was alive: until it is answered, segments that fit only the old one go there.
    pub(crate) previous: Option<(ConnectionId, u16, Side)>,
}

/// Another input that shows a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherTap {
    pub(crate) input: u16,
    pub(crate) directions: u8,
    /// The view it belongs to; `None` while it shows only a direction that the primary tap does not.
    pub(crate) view: Option<(ConnectionId, u16, Side)>,
}

impl Flow {
    /// The side that sent a segment.
    #[inline]
    pub(crate) fn sender(&self, from_low: bool) -> Side {
        if from_low { self.low_side } else { self.low_side.peer() }
    }
}

type V4Key = (u64, u64);
type V6Key = ((u128, u16), (u128, u16));

/// Both directions of a flow have one key: the lower endpoint first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowKey {
    V4(V4Key),
    V6(V6Key),
}

impl FlowKey {
    /// The key of a segment's flow, and whether the segment comes from the lower endpoint.
    #[inline]
    pub(crate) fn of(segment: &Segment<'_>) -> (Self, bool) {
        Self::new(segment.ip, segment.source_port, segment.destination_port)
    }

    #[inline]
    pub(crate) fn new(ip: IpPair, source_port: u16, destination_port: u16) -> (Self, bool) {
        match ip {
            IpPair::V4 { source, destination } => {
                let source = u64::from(source) << 16 | u64::from(source_port);
                let destination = u64::from(destination) << 16 | u64::from(destination_port);
                let from_low = source <= destination;
                (Self::V4(if from_low { (source, destination) } else { (destination, source) }), from_low)
            }
            IpPair::V6 { source, destination } => {
                let (source, destination) = ((source, source_port), (destination, destination_port));
                let from_low = source <= destination;
                (Self::V6(if from_low { (source, destination) } else { (destination, source) }), from_low)
            }
        }
    }
}

impl FlowKey {
    fn ends(&self) -> [(IpAddr, u16); 2] {
        let v4 = |end: u64| (IpAddr::from(((end >> 16) as u32).to_be_bytes()), end as u16);
        match self {
            Self::V4((low, high)) => [v4(*low), v4(*high)],
            Self::V6((low, high)) => {
                [(IpAddr::from(low.0.to_be_bytes()), low.1), (IpAddr::from(high.0.to_be_bytes()), high.1)]
            }
        }
    }
}

/// The table. Its hash is seeded per process, since addresses and ports are the attacker's; it is never iterated.
#[derive(Default)]
pub(crate) struct FlowTable {
    v4: HashMap<V4Key, FlowId, foldhash::fast::RandomState>,
    v6: HashMap<V6Key, FlowId, foldhash::fast::RandomState>,
    flows: Vec<Flow>,
    keys: Vec<FlowKey>,
    last: Option<(FlowKey, FlowId)>,
    /// Where the next flow goes once the table is full: the oldest leaves.
    next_victim: usize,
}

impl FlowTable {
    #[inline]
    pub(crate) fn find(&mut self, key: FlowKey) -> Option<FlowId> {
        if let Some((last, id)) = self.last {
            if last == key {
                return Some(id);
            }
        }
        let id = match &key {
            FlowKey::V4(key) => self.v4.get(key),
            FlowKey::V6(key) => self.v6.get(key),
        }
        .copied()?;
        self.last = Some((key, id));
        Some(id)
    }

    /// Both ends of every flow without MPTCP.
    pub(crate) fn plain(&self) -> impl Iterator<Item = [(IpAddr, u16); 2]> {
        let plain = self.flows.iter().zip(&self.keys).filter(|(flow, _)| flow.connection == PLAIN);
        plain.map(|(_, key)| key.ends())
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.flows.get_mut(id as usize)
    }

    /// Adds a flow, or replaces the one of the same key. Beyond `limit` the oldest flow goes; true if one did.
    pub(crate) fn insert(&mut self, key: FlowKey, flow: Flow, limit: usize) -> (FlowId, bool) {
        if let Some(id) = self.find(key) {
            if let Some(slot) = self.flows.get_mut(id as usize) {
                *slot = flow;
            }
            return (id, false);
        }
        let mut evicted = false;
        let id = if self.flows.len() < limit {
            self.flows.push(flow);
            self.keys.push(key);
            self.flows.len() - 1
        } else {
            let victim = self.next_victim;
            self.next_victim = (victim + 1) % limit.max(1);
            if let (Some(slot), Some(old)) = (self.flows.get_mut(victim), self.keys.get_mut(victim)) {
                match old {
                    FlowKey::V4(old) => drop(self.v4.remove(old)),
                    FlowKey::V6(old) => drop(self.v6.remove(old)),
                }
                *slot = flow;
                *old = key;
            }
            evicted = true;
            victim
        } as FlowId;
        self.last = Some((key, id));
        match key {
            FlowKey::V4(key) => self.v4.insert(key, id),
            FlowKey::V6(key) => self.v6.insert(key, id),
        };
        (id, evicted)
    }
}

//! The flow table: from addresses and ports to what is known of the flow, in one lookup.

use std::hash::BuildHasher;
use std::net::IpAddr;

use hashbrown::HashTable;

use super::Place;
use super::assign::HeldSegment;
use super::observer::ConnectionId;
use crate::packet::{IpPair, Segment};

/// Index of a flow in the table.
pub(crate) type FlowId = u32;

/// A flow that has no MPTCP so far.
pub(crate) const PLAIN: ConnectionId = ConnectionId::MAX;

/// In [`Flow::directions`]: a further segment came since the table was last swept.
pub(crate) const RECENT: u8 = 4;
/// In [`Flow::directions`]: it shows at several places of one input.
pub(crate) const COPIED: u8 = 8;

/// In [`Flow::directions`]: another input showed it first, which has lost its place in the connection.
pub(crate) const TAKEN_OVER: u8 = 16;

/// What is known of one 4-tuple.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// The place of what the lower endpoint sends; its connection may be [`PLAIN`].
    pub(crate) low: Place,
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
    /// Where several inputs are read: what had this 4-tuple before, as [`Flow::low`], the latest last.
    pub(crate) earlier: Vec<Place>,
    /// A new SYN came while this one was alive: until it is answered, segments that fit only the old one go there. As
    /// [`Flow::low`].
    pub(crate) previous: Option<Place>,
    /// How a flow without MPTCP began.
    pub(crate) held: Vec<HeldSegment>,
}

/// Another input that shows a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherTap {
    pub(crate) input: u16,
    pub(crate) directions: u8,
    /// Its place in the view it belongs to, as [`Flow::low`]; `None` while it shows only a direction that the primary tap does
    /// not.
    pub(crate) view: Option<Place>,
}

impl Flow {
    /// What tells the direction that has this place from all others: that of another input, which has left it, included.
    #[inline]
    pub(crate) fn owner(&self, place: Place) -> u64 {
        place.number() | u64::from(self.directions & TAKEN_OVER) << 58
    }

    /// Whether it has no MPTCP so far.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.low.connection == PLAIN
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
                let (source, destination) =
                    ((source.to_bits(), source_port), (destination.to_bits(), destination_port));
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

/// A key as kept for each flow: the longer ones, which are rare, elsewhere.
enum KeptKey {
    V4(V4Key),
    V6(Box<V6Key>),
}

impl KeptKey {
    fn key(&self) -> FlowKey {
        match self {
            Self::V4(key) => FlowKey::V4(*key),
            Self::V6(key) => FlowKey::V6(**key),
        }
    }
}

impl From<FlowKey> for KeptKey {
    fn from(key: FlowKey) -> Self {
        match key {
            FlowKey::V4(key) => Self::V4(key),
            FlowKey::V6(key) => Self::V6(Box::new(key)),
        }
    }
}

/// Flows found lately, kept where they are found at once: as many as a link has under way, few enough for a core's cache.
/// Flows that share a slot push each other out of it, and are looked up.
const LATELY: usize = 512;

/// The table. Its hash is seeded per process, since addresses and ports are the attacker's; it is never iterated.
pub(crate) struct FlowTable {
    /// Places by the hash of their keys, a half of which is kept: growing and most misses need no look at the keys.
    index: HashTable<(u32, FlowId)>,
    state: foldhash::fast::RandomState,
    flows: Vec<Flow>,
    /// `None` where the place is free.
    keys: Vec<Option<KeptKey>>,
    /// Free places.
    free: Vec<FlowId>,
    /// The next place that sweeping looks at.
    hand: usize,
    lately: Box<[(V4Key, FlowId); LATELY]>,
    last_v6: Option<(V6Key, FlowId)>,
    /// Where the next flow goes once the table is full: the oldest leaves.
    next_victim: usize,
}

impl Default for FlowTable {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            state: foldhash::fast::RandomState::default(),
            flows: Vec::new(),
            keys: Vec::new(),
            free: Vec::new(),
            hand: 0,
            lately: Box::new([NOWHERE; LATELY]),
            last_v6: None,
            next_victim: 0,
        }
    }
}

/// An empty slot: no flow has the lower endpoint behind the higher.
const NOWHERE: (V4Key, FlowId) = ((1, 0), 0);

/// The slot of a key in [`FlowTable::lately`].
#[inline]
fn slot_of(key: V4Key) -> usize {
    let mixed = (key.0 ^ key.1.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as usize % LATELY
}

/// The place of a key.
fn look_up(
    index: &HashTable<(u32, FlowId)>,
    state: &foldhash::fast::RandomState,
    keys: &[Option<KeptKey>],
    key: FlowKey,
) -> Option<FlowId> {
    let half = half_hash(state, key);
    let same = |id: FlowId| keys.get(id as usize).and_then(Option::as_ref).is_some_and(|kept| kept.key() == key);
    index.find(spread(half), |entry| entry.0 == half && same(entry.1)).map(|entry| entry.1)
}

/// Half of a key's hash.
#[inline]
fn half_hash(state: &foldhash::fast::RandomState, key: FlowKey) -> u32 {
    match key {
        FlowKey::V4(key) => state.hash_one(key) as u32,
        FlowKey::V6(key) => state.hash_one(key) as u32,
    }
}

/// A hash as the index wants it, which takes the place from its low end and a mark from its high end.
#[inline]
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

impl FlowTable {
    #[inline]
    pub(crate) fn find(&mut self, key: FlowKey) -> Option<FlowId> {
        match key {
            FlowKey::V4(key) => {
                let slot = self.lately.get_mut(slot_of(key))?;
                if slot.0 == key {
                    return Some(slot.1);
                }
                let id = look_up(&self.index, &self.state, &self.keys, FlowKey::V4(key))?;
                *slot = (key, id);
                Some(id)
            }
            FlowKey::V6(key) => {
                if let Some((_, id)) = self.last_v6.filter(|last| last.0 == key) {
                    return Some(id);
                }
                let id = look_up(&self.index, &self.state, &self.keys, FlowKey::V6(key))?;
                self.last_v6 = Some((key, id));
                Some(id)
            }
        }
    }

    /// Both ends of every flow without MPTCP.
    pub(crate) fn plain(&self) -> impl Iterator<Item = [(IpAddr, u16); 2]> {
        let plain = self.flows.iter().zip(&self.keys).filter(|(flow, _)| flow.is_plain());
        plain.filter_map(|(_, key)| Some(key.as_ref()?.key().ends()))
    }

    /// Forgets a key, and that it was found lately.
    #[cold]
    fn forget(&mut self, key: FlowKey, place: usize) {
        if let Ok(entry) = self.index.find_entry(spread(half_hash(&self.state, key)), |entry| entry.1 as usize == place)
        {
            entry.remove();
        }
        match key {
            FlowKey::V4(key) => {
                if let Some(slot) = self.lately.get_mut(slot_of(key)).filter(|slot| slot.0 == key) {
                    *slot = NOWHERE;
                }
            }
            FlowKey::V6(_) => self.last_v6 = None,
        }
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
        let id = if let Some(free) = self.free.pop() {
            if let (Some(slot), Some(place)) = (self.flows.get_mut(free as usize), self.keys.get_mut(free as usize)) {
                *slot = flow;
                *place = Some(key.into());
            }
            free as usize
        } else if self.flows.len() < limit {
            self.flows.push(flow);
            self.keys.push(Some(key.into()));
            self.flows.len() - 1
        } else {
            let victim = self.next_victim;
            self.next_victim = (victim + 1) % limit.max(1);
            let old = self.keys.get_mut(victim).and_then(|old| old.replace(key.into()));
            if let Some(old) = old {
                self.forget(old.key(), victim);
            }
            if let Some(slot) = self.flows.get_mut(victim) {
                *slot = flow;
            }
            evicted = true;
            victim
        } as FlowId;
        let half = half_hash(&self.state, key);
        self.index.insert_unique(spread(half), (half, id), |&(half, _)| spread(half));
        (id, evicted)
    }

    /// Places, free ones included.
    pub(crate) fn slots(&self) -> usize {
        self.flows.len()
    }

    /// Forgets the flow of this key if it belongs to `connection`.
    pub(crate) fn remove(&mut self, key: FlowKey, connection: ConnectionId) {
        let Some(id) = self.find(key) else { return };
        if self.get_mut(id).is_some_and(|flow| flow.low.connection == connection) {
            self.vacate(id as usize);
        }
    }

    /// Looks at `count` places, more while there are more than `limit` flows: plain flows without a further segment since
    /// the last look go. Flows with MPTCP go with their connection.
    pub(crate) fn sweep(&mut self, count: usize, limit: usize) {
        let places = self.flows.len();
        let mut looked = 0;
        while looked < count.min(places) || (self.flows.len() - self.free.len() > limit && looked < 2 * places) {
            looked += 1;
            let place = self.hand;
            self.hand = if place + 1 < places { place + 1 } else { 0 };
            let (Some(flow), Some(Some(_))) = (self.flows.get_mut(place), self.keys.get(place)) else { continue };
            if !flow.is_plain() {
                continue;
            }
            if flow.directions & RECENT != 0 {
                flow.directions &= !RECENT;
            } else {
                self.vacate(place);
            }
        }
    }

    fn vacate(&mut self, place: usize) {
        let Some(key) = self.keys.get_mut(place).and_then(Option::take) else { return };
        self.forget(key.key(), place);
        if let Some(flow) = self.flows.get_mut(place) {
            flow.low.connection = PLAIN;
            flow.more = None;
        }
        self.free.push(place as FlowId);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::track::side::Side;

    fn flow(connection: ConnectionId) -> Flow {
        Flow {
            low: Place { connection, subflow: 0, from: Side::Client },
            directions: 1,
            tap: 0,
            is_view: false,
            syn: 0,
            more: None,
        }
    }

    fn key(number: u32, v6: bool) -> FlowKey {
        let (source, destination) = (number, u32::MAX);
        let v6 = v6.then_some(|end: u32| Ipv6Addr::from_bits(end.into()));
        let ip = if let Some(v6) = v6 {
            IpPair::V6 { source: v6(source), destination: v6(destination) }
        } else {
            IpPair::V4 { source, destination }
        };
        FlowKey::new(ip, 1, 2).0
    }

    /// More flows than are remembered as found lately, of both families, in a table that holds fewer than there are.
    #[test]
    fn the_youngest_flows_are_found_and_the_oldest_forgotten() {
        const LIMIT: usize = 3_000;
        let mut table = FlowTable::default();
        for number in 0..4_000 {
            let (_, evicted) = table.insert(key(number, number % 2 == 0), flow(number), LIMIT);
            assert_eq!(evicted, number as usize >= LIMIT);
        }
        for _ in 0..2 {
            for number in 0..4_000 {
                let found = table.find(key(number, number % 2 == 0));
                let connection = found.and_then(|id| table.get_mut(id)).map(|flow| flow.low.connection);
                assert_eq!(connection, (number >= 1_000).then_some(number));
                assert_eq!(table.find(key(number, number % 2 == 1)), None);
            }
        }
    }

    fn key_of(host: u32) -> FlowKey {
        key(host, false)
    }

    #[test]
    fn places_of_forgotten_flows_are_used_again() {
        let mut table = FlowTable::default();
        for host in 0..100 {
            table.insert(key_of(host), flow(PLAIN), 1000);
        }
        table.insert(key_of(100), flow(7), 1000);
        let busy = table.find(key_of(50)).unwrap();
        table.get_mut(busy).unwrap().directions |= RECENT;
        table.sweep(101, 1000);
        assert_eq!(table.slots() - table.free.len(), 2, "the busy one and the one with MPTCP stay");
        assert!(
            table.find(key_of(50)).is_some() && table.find(key_of(100)).is_some() && table.find(key_of(49)).is_none()
        );
        table.remove(key_of(100), 8);
        assert!(table.find(key_of(100)).is_some(), "it belongs to another connection");
        table.remove(key_of(100), 7);
        assert!(table.find(key_of(100)).is_none());
        for host in 200..300 {
            table.insert(key_of(host), flow(PLAIN), 1000);
        }
        assert_eq!(table.slots(), 101);
    }

    #[test]
    fn beyond_the_limit_plain_flows_go_at_once_and_those_with_mptcp_stay() {
        let mut table = FlowTable::default();
        for host in 0..100 {
            table.insert(key_of(host), flow(if host < 10 { host } else { PLAIN }), 1000);
        }
        table.sweep(0, 20);
        assert_eq!(table.slots() - table.free.len(), 20);
        assert!((0..10).all(|host| table.find(key_of(host)).is_some()));
    }
}

//! How much memory a connection takes: estimated, without a walk over what honest traffic has thousands of.

use std::mem::size_of;

use super::connection::{Announced, Anomaly, Connection, HandoverSeen, Removal};
use super::half::Half;
use super::side::Side;
use super::subflow::{Join, Subflow};

impl Connection {
    /// Bytes on the heap, this struct included.
    pub(crate) fn footprint(&self) -> usize {
        let own = size_of::<Self>()
            + self.subflows.capacity() * size_of::<Subflow>()
            + self.nonces.capacity() * size_of::<Option<crate::crypto::Nonce>>()
            + self.addresses.capacity() * size_of::<Announced>()
            + self.removals.capacity() * size_of::<Removal>()
            + self.anomalies.capacity() * size_of::<Anomaly>();
        let sides = Side::BOTH.into_iter().map(|side| {
            self.data[side].heap_bytes()
                + self.checksums[side].heap_bytes()
                + self.handovers[side].capacity() * size_of::<HandoverSeen>()
        });
        let subflows = self.subflows.iter().map(Subflow::heap_bytes);
        own + sides.sum::<usize>() + subflows.sum::<usize>()
    }
}

impl Subflow {
    fn heap_bytes(&self) -> usize {
        let rare = self.join.as_ref().map_or(0, |_| size_of::<Join>())
            + self.backup_changes.capacity() * size_of::<(u64, Side, bool)>()
            + self.also_seen_as.capacity() * 64;
        rare + self.halves.client.heap_bytes() + self.halves.server.heap_bytes()
    }
}

impl Half {
    fn heap_bytes(&self) -> usize {
        let digest = self.seldom.digest.as_ref().map_or(0, |digest| size_of_val(&**digest));
        digest
            + self.seldom.own_bytes()
            + self.seen.heap_bytes()
            + self.mappings.heap_bytes()
            + self.unmapped.heap_bytes()
            + self.rtt.heap_bytes()
    }
}

//! How much memory a connection takes: estimated, without a walk over what honest traffic has thousands of.

use std::mem::size_of;

use super::connection::{Announced, Connection};
use super::half::Half;
use super::side::Side;
use super::subflow::{Join, Subflow};

impl Connection {
    /// Bytes on the heap, this struct included.
    pub(crate) fn footprint(&self) -> usize {
        let own = size_of::<Self>()
            + self.subflows.capacity() * size_of::<Subflow>()
            + self.addresses.capacity() * size_of::<Announced>()
            + self.seldom.own_bytes()
            + self.seldom.heap_bytes();
        let sides = Side::BOTH.into_iter().map(|side| {
            self.data[side].heap_bytes() + self.checksums[side].own_bytes() + self.checksums[side].heap_bytes()
        });
        let subflows = self.subflows.iter().map(Subflow::heap_bytes);
        own + sides.sum::<usize>() + subflows.sum::<usize>()
    }
}

impl Subflow {
    fn heap_bytes(&self) -> usize {
        let rare = self.join.as_ref().map_or(0, |_| size_of::<Join>())
            + self.seldom.own_bytes()
            + self.seldom.backup_changes.capacity() * size_of::<(u64, Side, bool)>()
            + self.seldom.also_seen_as.capacity() * 64;
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
            + self.seldom.unmapped.heap_bytes()
            + self.rtt.own_bytes()
            + self.rtt.heap_bytes()
    }
}

//! How much memory a connection takes: estimated, without a walk over what honest traffic has thousands of.

use std::mem::size_of;

use super::connection::{Announced, Connection};
use super::half::{Half, Shown};
use super::same_packet::Difference;
use super::side::Side;
use super::subflow::{Join, RstSent, Subflow};
use crate::packet::IpPair;

impl Connection {
    /// Bytes on the heap, this struct included.
    pub(crate) fn footprint(&self) -> usize {
        let own = size_of::<Self>()
            + self.subflows.capacity() * size_of::<Subflow>()
            + self.addresses.own_bytes()
            + self.addresses.capacity() * size_of::<Announced>()
            + self.handshake.heap_bytes()
            + self.seldom.own_bytes()
            + self.seldom.heap_bytes();
        let sides = Side::BOTH.into_iter().map(|side| {
            self.data[side].heap_bytes()
                + self.checksums[side].own_bytes()
                + self.checksums[side].heap_bytes()
                + self.ends[side].heap_bytes()
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
            + self.seldom.also_seen_as.capacity() * size_of::<(IpPair, u16, u16)>()
            + self.seldom.more_interfaces.capacity() * size_of::<(u16, u16)>()
            + self.seldom.resets.capacity() * size_of::<RstSent>()
            + self.seldom.differences.capacity() * size_of::<Difference>();
        let syns = [&self.syn, &self.syn_ack].into_iter().flatten().map(|syn| syn.repeats.own_bytes()).sum::<usize>();
        rare + syns + self.halves.client.heap_bytes() + self.halves.server.heap_bytes()
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
            + self.seldom.unplaced.list.capacity() * size_of::<Shown>()
            + self.rtt.own_bytes()
            + self.rtt.heap_bytes()
    }
}

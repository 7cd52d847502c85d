//! Settings that the handshake of the first subflow shows.
#![allow(clippy::indexing_slicing, reason = "a window of two has two")]

use crate::model::{Sides, Sysctls};
use crate::track::connection::{Connection, FallbackCause};
use crate::track::side::Side;
use crate::track::subflow::SynSeen;

/// What the handshake of a connection shows.
pub(super) fn read(connection: &Connection) -> Sysctls {
    let handshake = &connection.handshake;
    let initial = connection.initial();
    let denies = |side: Side| connection.denies_join_id0(side);
    let asks = |side: Side| connection.asks_for_checksums(side);
    let with = handshake.syns.iter().filter(|syn| syn.2).count();
    let without = handshake.syns.iter().skip_while(|syn| !syn.2).filter(|syn| !syn.2).count();
    Sysctls {
        mptcp_enabled: Sides { client: enabled(connection, Side::Client), server: enabled(connection, Side::Server) },
        checksum_asked: Sides { client: asks(Side::Client), server: asks(Side::Server) },
        checksum: connection.checksum_in_use(),
        version_offered: handshake.syn.map(|(option, _)| option.version),
        // The third ACK has both keys: it answers a SYN/ACK that may not have been captured.
        version_accepted: handshake
            .syn_ack
            .or(handshake.ack)
            .filter(|_| !handshake.echoed)
            .map(|(option, _)| option.version),
        deny_join_id0: Sides { client: denies(Side::Client), server: denies(Side::Server) },
        syns_with_option: with as u32,
        syns_without_option: without as u32,
        syn_spacing_ns: handshake.syns.windows(2).map(|pair| pair[1].1.since(pair[0].1)).collect(),
        fast_open_bytes: initial.and_then(|initial| initial.syn.as_ref()).map_or(0, SynSeen::fast_open),
        fast_open_accepted_bytes: initial.map_or(0, |initial| initial.halves.client.seldom.fast_open),
    }
}

/// An end that sent MP_CAPABLE with its key, or joined, has MPTCP on. One that did not may have been silenced by the path.
fn enabled(connection: &Connection, side: Side) -> Option<bool> {
    let spoke = connection.initial().is_some_and(|initial| initial.options[side].is_some());
    let handshake = &connection.handshake;
    let capable = match side {
        Side::Client => handshake.syn.is_some() || handshake.ack.is_some(),
        Side::Server => {
            let echoed = connection.fallback.is_some_and(|fallback| fallback.cause == FallbackCause::OptionEchoed);
            handshake.syn_ack.is_some() && !echoed
        }
    };
    (capable || spoke).then_some(true)
}

//! The kernel's view: which `MPTcpExt…` counters of each end the packets of a capture imply.
//!
//! Only what a wire shows is counted: an option that was sent counts as sent, and as received only where what follows shows
//! that it was (an answer, an echo, the effect). What happens inside a host alone (queues, scheduling, blackhole cache) is
//! left out, so a counter that is not listed is not known to be zero.

use super::views::nearer_to_server;
use crate::track::connection::outcome::SubflowState;
use crate::track::connection::{Connection, FallbackCause, Removal};
use crate::track::keys::Dialect;
use crate::track::mark::Mark;
use crate::track::side::{PerSide, Side};
use crate::track::subflow::{Join, Subflow};
use crate::wire::ResetReason;
use std::collections::BTreeMap;

/// Counters by name, for each end.
pub type Counters = PerSide<BTreeMap<&'static str, u64>>;

/// Adds what one connection implies; `views` are what other inputs show of it.
pub fn add(counters: &mut Counters, connection: &Connection, views: &[&Connection]) {
    let mut tally = Tally { counters };
    if connection.orphan {
        orphan_joins(&mut tally, connection);
        return;
    }
    match connection.dialect {
        Some(Dialect::Rfc6824 | Dialect::DraftV1) => version_0(&mut tally, connection),
        _ => version_1(&mut tally, connection, views),
    }
}

struct Tally<'c> {
    counters: &'c mut Counters,
}

impl Tally<'_> {
    fn add(&mut self, side: Side, name: &'static str, count: u64) {
        if count > 0 {
            *self.counters[side].entry(name).or_default() += count;
        }
    }

    fn one(&mut self, side: Side, name: &'static str, when: bool) {
        self.add(side, name, u64::from(when));
    }
}

fn version_1(tally: &mut Tally<'_>, connection: &Connection, views: &[&Connection]) {
    handshake(tally, connection);
    let cause = connection.fallback.map(|seen| (seen.cause, seen.side));
    tally.one(
        Side::Client,
        "MPTcpExtMPCapableSYNTXDrop",
        cause.is_some_and(|cause| cause.0 == FallbackCause::SynRetriedWithoutOption),
    );
    tally.one(
        Side::Client,
        "MPTcpExtMPCapableDataFallback",
        cause == Some((FallbackCause::NoOptionOnData, Some(Side::Server))),
    );
    tally.one(Side::Server, "MPTcpExtDssFallback", cause == Some((FallbackCause::NoOptionOnData, Some(Side::Client))));
    for subflow in &connection.subflows {
        if let Some(join) = &subflow.join {
            join_1(tally, connection, subflow, join);
        }
    }
    announced_1(tally, connection);
    for side in Side::BOTH {
        steering(tally, connection, views, side);
        let fastclosed =
            connection.subflows.iter().filter_map(Subflow::reset).filter(|reset| reset.fastclose && reset.by == side);
        tally.add(side, "MPTcpExtMPFastcloseTx", fastclosed.count() as u64);
        // A RST that refuses a join, or answers what comes for a closed subflow, is sent without a socket that would count it.
        let told = |subflow: &&Subflow| {
            let reset = subflow.reset().filter(|reset| reset.by == side && reset.reason.is_some() && reset.with_ack);
            reset.is_some() && (subflow.state() == SubflowState::Reset || subflow.initiator == side)
        };
        tally.add(side, "MPTcpExtMPRstTx", connection.subflows.iter().filter(told).count() as u64);
        failed(tally, connection, side, ["MPTcpExtMPFailTx", "MPTcpExtMPFailRx", "MPTcpExtDataCsumErr"]);
        tally.one(side, "MPTcpExtInfiniteMapTx", connection.seldom.infinite[side].is_some());
        tally.one(side.peer(), "MPTcpExtInfiniteMapRx", connection.seldom.infinite[side].is_some());
    }
}

/// Times that Linux sends an ADD_ADDR that is not echoed.
const ADD_ADDR_TIMES: u32 = 4;

/// Each echo shows that an ADD_ADDR came; that none was sent after it, though some might have been, that the echo did.
fn announced_1(tally: &mut Tally<'_>, connection: &Connection) {
    for announced in connection.addresses.iter() {
        let (by, peer) = (announced.by, announced.by.peer());
        let echoes = u64::from(announced.echoes);
        let heard = if announced.echo_unheard || announced.sent >= ADD_ADDR_TIMES { 0 } else { echoes };
        tally.add(by, "MPTcpExtAddAddrTx", u64::from(announced.sent));
        tally.add(peer, "MPTcpExtAddAddr", echoes);
        tally.add(peer, "MPTcpExtEchoAddTx", echoes);
        tally.add(by, "MPTcpExtEchoAdd", heard);
        if announced.port.is_some() {
            tally.add(peer, "MPTcpExtPortAdd", echoes);
            tally.add(by, "MPTcpExtPortAdd", heard);
        }
    }
}

/// REMOVE_ADDR and MP_PRIO, which nothing acknowledges: sent where the capture nearest to the sender shows them. They came
/// where another capture, nearer to the receiver, shows them too, or where the receiver acts on them.
fn steering(tally: &mut Tally<'_>, connection: &Connection, views: &[&Connection], side: Side) {
    let nearest = |to: Side| {
        views.iter().copied().fold(connection, |best, view| {
            let nearer = if to == Side::Server { nearer_to_server(view, best) } else { nearer_to_server(best, view) };
            if nearer { view } else { best }
        })
    };
    let (leaving, coming) = (nearest(side), nearest(side.peer()));
    let removed = |tap: &Connection| tap.seldom.removals.iter().filter(|removal| removal.by == side).count() as u64;
    tally.add(side, "MPTcpExtRmAddrTx", removed(leaving));
    tally.add(side, "MPTcpExtMPPrioTx", priority_changes(leaving, side));
    if views.is_empty() {
        let removals = connection.seldom.removals.iter().filter(|removal| removal.by == side);
        tally.add(
            side.peer(),
            "MPTcpExtRmAddr",
            removals.filter(|removal| acted_on(connection, removal)).count() as u64,
        );
    } else {
        tally.add(side.peer(), "MPTcpExtRmAddr", removed(coming));
        tally.add(side.peer(), "MPTcpExtMPPrioRx", priority_changes(coming, side));
    }
}

/// MP_PRIO options of a side.
fn priority_changes(connection: &Connection, side: Side) -> u64 {
    let changes = connection.subflows.iter().flat_map(|subflow| subflow.seldom.backup_changes.iter());
    frames(changes.filter(|change| change.1 == side).map(|change| change.0))
}

/// Whether the receiver of a REMOVE_ADDR was the first to end a subflow of that id, after it.
fn acted_on(connection: &Connection, removal: &Removal) -> bool {
    let (by, peer) = (removal.by, removal.by.peer());
    connection.subflows.iter().filter(|subflow| subflow.address_id(by) == Some(removal.id)).any(|subflow| {
        let ended = |side: Side| {
            let reset = subflow.reset().filter(|reset| reset.by == side).map(|reset| reset.at.frame);
            let fin = subflow.halves[side].fin.map(|fin| fin.1);
            reset.into_iter().chain(fin).min()
        };
        ended(peer).is_some_and(|frame| frame > removal.frame && ended(by).is_none_or(|other| frame < other))
    })
}

/// Frames, each counted once: one option can name several subflows or ids.
fn frames(marks: impl Iterator<Item = Mark>) -> u64 {
    let mut marks: Vec<Mark> = marks.collect();
    marks.sort_unstable();
    marks.dedup();
    marks.len() as u64
}

fn handshake(tally: &mut Tally<'_>, connection: &Connection) {
    let handshake = &connection.handshake;
    let asked = handshake.syn.is_some();
    let agreed = handshake.syn_ack.is_some();
    let bare = connection
        .fallback
        .is_some_and(|seen| matches!(seen.cause, FallbackCause::NoOptionInSynAck | FallbackCause::OptionEchoed));
    let acknowledged = handshake.ack.is_some();
    let server_spoke = connection.initial().is_some_and(|initial| initial.options.server.is_some());
    tally.one(Side::Client, "MPTcpExtMPCapableSYNTX", asked);
    tally.one(Side::Server, "MPTcpExtMPCapableSYNRX", asked && agreed);
    let attempts = connection.initial().map_or(0, Subflow::earlier_attempts);
    tally.add(Side::Server, "MPTcpExtMPCapableSYNRX", if asked && agreed { attempts } else { 0 });
    tally.one(Side::Client, "MPTcpExtMPCapableSYNACKRX", asked && agreed && acknowledged);
    tally.one(Side::Client, "MPTcpExtMPCapableFallbackSYNACK", bare);
    let crossed = connection.fallback.is_some_and(|seen| seen.cause == FallbackCause::SimultaneousOpen);
    tally.one(Side::Client, "MPTcpExtSimultConnectFallback", crossed);
    tally.one(Side::Server, "MPTcpExtMPCapableACKRX", asked && acknowledged && server_spoke);
    let third = connection.fallback.is_some_and(|seen| seen.cause == FallbackCause::NoOptionInThirdAck);
    tally.one(Side::Server, "MPTcpExtMPCapableFallbackACK", third);
}

/// What is so in both versions: SYN, SYN/ACK, ACK of a join. True where the HMAC of the SYN/ACK was refused.
fn join_handshake(tally: &mut Tally<'_>, connection: &Connection, subflow: &Subflow, join: &Join) -> bool {
    let (initiator, responder) = (subflow.initiator, subflow.initiator.peer());
    let answered = join.syn_ack_hmac.is_some();
    tally.one(initiator, "MPTcpExtMPJoinSynTx", subflow.syn.is_some() && join.token.is_some());
    tally.one(responder, "MPTcpExtMPJoinSynRx", join.token.is_some() && answered);
    tally.add(responder, "MPTcpExtMPJoinSynRx", if answered { subflow.earlier_attempts() } else { 0 });
    tally.one(initiator, "MPTcpExtMPJoinSynAckRx", answered && join.ack_hmac.is_some());
    tally.one(responder, "MPTcpExtMPJoinAckRx", answered && join.ack_hmac.is_some() && join.confirmed.is_some());
    let by_initiator = subflow.reset().is_some_and(|reset| reset.by == initiator);
    by_initiator && answered && connection.prove_join(subflow, join).syn_ack.is_mismatch()
}

fn join_1(tally: &mut Tally<'_>, connection: &Connection, subflow: &Subflow, join: &Join) {
    let (initiator, responder) = (subflow.initiator, subflow.initiator.peer());
    let hmac_refused = join_handshake(tally, connection, subflow, join);
    tally.one(initiator, "MPTcpExtMPJoinSynAckHMacFailure", hmac_refused);
    let answered = join.syn_ack_hmac.is_some();
    let complete = answered && join.ack_hmac.is_some();
    let refused = subflow.reset().filter(|reset| reset.by == responder && subflow.state() == SubflowState::Refused);
    let reason = refused.and_then(|reset| reset.reason).map(|reason| reason.0);
    tally.one(responder, "MPTcpExtMPJoinRejected", complete && reason == Some(ResetReason::PROHIBITED));
    let at_once = refused.is_some_and(|reset| reset.of_syn) && reason == Some(ResetReason::MPTCP_SPECIFIC);
    tally.one(responder, "MPTcpExtMPJoinSynRx", at_once);
    tally.one(responder, "MPTcpExtMPJoinNoTokenFound", at_once);
    // The B bit of the SYN, where no MP_PRIO has changed it since.
    let original =
        |side: Side| subflow.backup[side] && !subflow.seldom.backup_changes.iter().any(|change| change.1 == side);
    tally.one(responder, "MPTcpExtMPJoinSynBackupRx", answered && original(initiator));
    tally.one(initiator, "MPTcpExtMPJoinSynAckBackupRx", complete && original(responder));
    let port = subflow.address_of(responder).1;
    let to_announced_port =
        connection.addresses.iter().any(|announced| announced.by == responder && announced.port == Some(port));
    if to_announced_port {
        tally.one(responder, "MPTcpExtMPJoinPortSynRx", answered);
        tally.one(initiator, "MPTcpExtMPJoinPortSynAckRx", complete);
        tally.one(responder, "MPTcpExtMPJoinPortAckRx", complete && join.confirmed.is_some());
    }
}

/// The receiver of wrong data says MP_FAIL first; the other's MP_FAIL, if any, answers, and may come too late to count.
fn failed(tally: &mut Tally<'_>, connection: &Connection, side: Side, [sent, received, checksum]: [&'static str; 3]) {
    let peer = side.peer();
    for (frame, _, index) in connection.seldom.mp_fails(side) {
        tally.one(side, sent, !sent.is_empty());
        let answer = connection.seldom.mp_fails(peer).find(|other| other.2 == index);
        if answer.is_some_and(|other| other.0 < frame) {
            continue;
        }
        tally.one(side, checksum, true);
        let subflow = connection.subflows.get(usize::from(index));
        let reset = subflow.is_some_and(|subflow| subflow.reset().is_some_and(|reset| reset.fail));
        tally.one(peer, received, answer.is_some() || connection.seldom.infinite[peer].is_some() || reset);
    }
}

/// Joins that name a token nobody here has: the client of the join is taken for the connection's.
fn orphan_joins(tally: &mut Tally<'_>, connection: &Connection) {
    for subflow in &connection.subflows {
        let Some(join) = &subflow.join else { continue };
        let unknown = subflow
            .reset()
            .is_some_and(|reset| reset.of_syn && reset.reason.is_some_and(|why| why.0 == ResetReason::MPTCP_SPECIFIC));
        if join.token.is_some() && unknown {
            tally.one(subflow.initiator, "MPTcpExtMPJoinSynTx", true);
            tally.one(subflow.initiator.peer(), "MPTcpExtMPJoinSynRx", true);
            tally.one(subflow.initiator.peer(), "MPTcpExtMPJoinNoTokenFound", true);
        }
    }
}

/// The multipath-tcp.org kernel has names of its own for some.
fn version_0(tally: &mut Tally<'_>, connection: &Connection) {
    handshake(tally, connection);
    let retried = connection.fallback.is_some_and(|seen| seen.cause == FallbackCause::SynRetriedWithoutOption);
    tally.one(Side::Client, "MPTcpExtMPCapableRetransFallback", retried);
    let agreed = connection.handshake.ack.is_some() && connection.handshake.syn_ack.is_some();
    tally.one(Side::Client, "MPTcpExtMPTCPCsumEnabled", agreed && connection.checksum_in_use() == Some(true));
    for subflow in &connection.subflows {
        if let Some(join) = &subflow.join {
            join_handshake(tally, connection, subflow, join);
            // This kernel counts a SYN/ACK without MP_JOIN as one with a wrong HMAC.
            let bare = join.bare_syn_ack.is_some() && join.syn_ack_hmac.is_none();
            tally.one(subflow.initiator, "MPTcpExtMPJoinSynAckHMacFailure", bare && subflow.reset().is_some());
        }
    }
    for announced in connection.addresses.iter() {
        tally.add(announced.by, "MPTcpExtAddAddrTx", u64::from(announced.sent));
    }
    for side in Side::BOTH {
        failed(tally, connection, side, ["", "MPTcpExtMPFailRX", "MPTcpExtMPCsumFail"]);
        tally.one(side.peer(), "MPTcpExtInfiniteMapRx", connection.seldom.infinite[side].is_some());
    }
    if let Some((side, _, Some(true))) = connection.seldom.fastclose {
        tally.one(side, "MPTcpExtMPFastcloseTX", true);
    }
}

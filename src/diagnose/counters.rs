//! The kernel's view: which `MPTcpExt…` counters of each end the packets of a capture imply.
//!
//! Only what a wire shows is counted: an option that was sent counts as sent, and as received only where what follows shows
//! that it was (an answer, an echo, the effect), or where the capture was made at its receiver. What happens inside a host
//! alone (queues, scheduling, blackhole cache) is left out, and so is a counter that some packet may have raised or not: one
//! that is not listed is not known to be zero.

use super::version_0::is_its_kernel;
use super::views::{is_at, nearest};
use crate::capture::Inputs;
use crate::track::connection::outcome::SubflowState;
use crate::track::connection::{Announced, Connection, FallbackCause, Removal};
use crate::track::mark::Mark;
use crate::track::side::{PerSide, Side};
use crate::track::subflow::{Join, Subflow};
use crate::wire::ResetReason;
use std::collections::{BTreeMap, BTreeSet};

/// Counters by name, for each end.
pub type Known = PerSide<BTreeMap<&'static str, u64>>;

/// What has been counted so far.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    known: Known,
    /// Those that some connection raised by a number that its packets leave open.
    open: PerSide<BTreeSet<&'static str>>,
}

impl Counters {
    /// Those that the packets tell.
    pub fn known(mut self) -> Known {
        for side in Side::BOTH {
            self.known[side].retain(|name, _| !self.open[side].contains(name));
        }
        self.known
    }
}

/// Adds what one connection implies; `views` are what other inputs show of it. Each end is read from the view nearest to it.
pub fn add(counters: &mut Counters, connection: &Connection, views: &[&Connection], inputs: Inputs<'_>) {
    for side in Side::BOTH {
        let seen = nearest(connection, views, side, inputs);
        let other_end = nearest(connection, views, side.peer(), inputs);
        let arrives = is_at(seen, side, inputs) || !std::ptr::eq(seen, other_end);
        let mut tally = Tally { counters, side, arrives };
        if connection.orphan {
            orphan_joins(&mut tally, connection);
            continue;
        }
        if is_its_kernel(connection.dialect) {
            version_0(&mut tally, seen);
        } else {
            version_1(&mut tally, seen);
        }
    }
}

/// The counters of one end.
struct Tally<'c> {
    counters: &'c mut Counters,
    side: Side,
    /// What is sent to this end shows as it came there.
    arrives: bool,
}

impl Tally<'_> {
    fn add(&mut self, side: Side, name: &'static str, count: u64) {
        if count > 0 && side == self.side {
            *self.counters.known[side].entry(name).or_default() += count;
        }
    }

    fn one(&mut self, side: Side, name: &'static str, when: bool) {
        self.add(side, name, u64::from(when));
    }

    /// How often this connection raised a counter is not known.
    fn leave_open(&mut self, side: Side, name: &'static str, when: bool) {
        if when && side == self.side {
            self.counters.open[side].insert(name);
        }
    }
}

fn version_1(tally: &mut Tally<'_>, connection: &Connection) {
    handshake(tally, connection);
    fallback_1(tally, connection);
    for subflow in &connection.subflows {
        if let Some(join) = &subflow.join {
            join_1(tally, connection, subflow, join);
        }
    }
    for announced in connection.addresses.iter() {
        announced_1(tally, connection, announced);
    }
    for side in Side::BOTH {
        removals(tally, connection, side, "MPTcpExtRmAddr");
        priorities(tally, connection, side);
        resets(tally, connection, side);
        failed(tally, connection, side, ["MPTcpExtMPFailTx", "MPTcpExtMPFailRx", "MPTcpExtDataCsumErr"]);
        tally.one(side, "MPTcpExtInfiniteMapTx", connection.seldom.infinite[side].is_some());
        tally.one(side.peer(), "MPTcpExtInfiniteMapRx", connection.seldom.infinite[side].is_some());
        tally.leave_open(side.peer(), "MPTcpExtInfiniteMapRx", fell_back_before_infinite(connection, side));
    }
}

/// The infinite mapping of `side` came to an end that acknowledged without options by then: it had fallen back, and looks at none.
fn fell_back_before_infinite(connection: &Connection, side: Side) -> bool {
    let bare = connection.initial().and_then(|initial| initial.seldom.bare[side.peer()].acks);
    bare.zip(connection.seldom.infinite[side]).is_some_and(|(acks, infinite)| acks.0.frame < infinite)
}

fn fallback_1(tally: &mut Tally<'_>, connection: &Connection) {
    let cause = connection.fallback.map(|seen| (seen.cause, seen.side));
    let retried = cause.is_some_and(|cause| cause.0 == FallbackCause::SynRetriedWithoutOption);
    let void = cause == Some((FallbackCause::BadOption, Some(Side::Client)));
    let server_sent = connection.initial().is_some_and(|initial| initial.halves.server.first_data.is_some());
    tally.one(Side::Client, "MPTcpExtMPCapableSYNTXDrop", retried || connection.handshake.given_up().is_some());
    let bare = cause == Some((FallbackCause::NoOptionOnData, Some(Side::Server))) || (void && server_sent);
    tally.one(Side::Client, "MPTcpExtMPCapableDataFallback", bare);
    tally.one(Side::Server, "MPTcpExtDssFallback", cause == Some((FallbackCause::NoOptionOnData, Some(Side::Client))));
    // The server had answered a SYN with the option: that the client gave it up shows in the third ACK.
    let agreed = connection.handshake.syn_ack.is_some();
    let gave_up = retried && agreed && connection.handshake.bare_ack.is_some();
    let third = cause.is_some_and(|cause| cause.0 == FallbackCause::NoOptionInThirdAck);
    let bare = (server_sent && (void || gave_up)) || (third && agreed);
    tally.one(Side::Server, "MPTcpExtMPCapableFallbackACK", bare);
}

/// Times that Linux sends an ADD_ADDR that is not echoed.
const ADD_ADDR_TIMES: u32 = 4;

/// Each echo shows that an ADD_ADDR came; that none was sent after it, though some might have been, that the echo did.
fn announced_1(tally: &mut Tally<'_>, connection: &Connection, announced: &Announced) {
    let (by, peer) = (announced.by, announced.by.peer());
    let refused = connection.prove_announced(announced).is_some_and(|verdict| verdict.is_mismatch());
    let possible = if tally.arrives { announced.possible } else { announced.sent };
    let all_came = refused || announced.echoes >= possible;
    let unheard = announced.echo_unheard || announced.sent >= ADD_ADDR_TIMES;
    let (heard, all_heard) = match (tally.arrives, announced.echo_arrivals) {
        (true, echoes) => (echoes.taken, !echoes.doubtful),
        (false, _) if unheard => (0, announced.echoes == 0),
        (false, _) => (announced.echoes, true),
    };
    tally.add(by, "MPTcpExtAddAddrTx", u64::from(announced.sent));
    tally.add(peer, "MPTcpExtEchoAddTx", u64::from(announced.echoes));
    let of_port = announced.port.map(|_| "MPTcpExtPortAdd");
    for name in ["MPTcpExtAddAddr"].into_iter().chain(of_port) {
        tally.add(peer, name, u64::from(announced.echoes));
        tally.leave_open(peer, name, !all_came);
    }
    for name in ["MPTcpExtEchoAdd"].into_iter().chain(of_port) {
        tally.add(by, name, u64::from(heard));
        tally.leave_open(by, name, !all_heard);
    }
}

/// MP_PRIO: it came where the capture is the receiver's.
fn priorities(tally: &mut Tally<'_>, connection: &Connection, side: Side) {
    let priorities = priority_changes(connection, side);
    tally.add(side, "MPTcpExtMPPrioTx", priorities);
    tally.add(side.peer(), "MPTcpExtMPPrioRx", if tally.arrives { priorities } else { 0 });
}

/// REMOVE_ADDR, which nothing acknowledges: it came where the capture is the receiver's, or where the receiver acts on it.
fn removals(tally: &mut Tally<'_>, connection: &Connection, side: Side, received: &'static str) {
    let peer = side.peer();
    let removals = || connection.seldom.removals.iter().filter(|removal| removal.by == side);
    let sent = if received == "MPTcpExtRmAddr" { "MPTcpExtRmAddrTx" } else { "MPTcpExtRemAddrTx" };
    tally.add(side, sent, removals().map(|removal| u64::from(removal.sent)).sum());
    if tally.arrives {
        tally.add(peer, received, removals().map(|removal| u64::from(removal.arrivals.taken)).sum());
        tally.leave_open(peer, received, removals().any(|removal| removal.arrivals.doubtful));
        return;
    }
    // Ids of one option come together.
    let came = |removal: &Removal| removals().any(|other| other.frame == removal.frame && acted_on(connection, other));
    for removal in removals() {
        let came = came(removal);
        tally.one(peer, received, came);
        tally.leave_open(peer, received, !came || removal.sent > 1);
    }
}

/// RSTs with options that a socket of this side sent, and those that one of its peer's took.
fn resets(tally: &mut Tally<'_>, connection: &Connection, side: Side) {
    let peer = side.peer();
    for subflow in &connection.subflows {
        let told = subflow.seldom.told[side];
        tally.one(side, "MPTcpExtMPFastcloseTx", told.fastclose);
        // A RST that refuses a join, or answers what comes for a closed subflow, is sent without a socket that would count it.
        let by_socket = subflow.state() == SubflowState::Reset || subflow.initiator == side;
        tally.one(side, "MPTcpExtMPRstTx", told.reason && by_socket);
    }
    if !tally.arrives || connection.fallback.is_some() {
        return;
    }
    let fastclose = connection.seldom.fastclose.filter(|(by, _, right)| *by == side && *right == Some(true));
    let in_reset = |at: Mark| connection.subflows.iter().any(|of| of.reset().is_some_and(|reset| reset.at.frame == at));
    // One on an ACK counts, too, if it is taken.
    tally.leave_open(peer, "MPTcpExtMPFastcloseRx", fastclose.is_some_and(|(_, at, _)| !in_reset(at.frame)));
    for (subflow, reset) in connection.subflows.iter().filter_map(|subflow| Some((subflow, subflow.reset()?))) {
        // Linux looks at options of a RST once another segment has shown it that the handshake went well.
        let earlier = subflow.options[side].is_some_and(|(first, _)| first != reset.at.frame);
        if reset.by != side || reset.reason.is_none() || !subflow.is_established() || !earlier {
            continue;
        }
        let taken = reset.in_order && subflow.halves[peer].fin.is_none();
        for (name, has) in
            [("MPTcpExtMPRstRx", true), ("MPTcpExtMPFastcloseRx", reset.fastclose && fastclose.is_some())]
        {
            tally.one(peer, name, has && taken);
            tally.leave_open(peer, name, has && !taken);
        }
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
    // Linux takes an option that it cannot use for none.
    let void = handshake.syn.is_some_and(|(syn, _)| syn.version == 1 && syn.sender_key.is_none());
    let bare = connection.fallback.is_some_and(|seen| match seen.cause {
        FallbackCause::NoOptionInSynAck | FallbackCause::OptionEchoed => true,
        FallbackCause::BadOption => seen.side == Some(Side::Server) && void,
        _ => false,
    });
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
    let void = connection
        .fallback
        .is_some_and(|seen| seen.cause == FallbackCause::BadOption && seen.side == Some(Side::Client));
    tally.one(Side::Server, "MPTcpExtMPCapableACKRX", asked && acknowledged && server_spoke && !void);
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
    let by_responder = subflow.reset().is_some_and(|reset| reset.by == responder);
    let ack_refused = by_responder && complete && connection.prove_join(subflow, join).ack.is_mismatch();
    tally.one(responder, "MPTcpExtMPJoinAckHMacFailure", ack_refused);
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
        // Where the other end's packets were not captured, this one may be an answer.
        tally.one(side, checksum, connection.shows_packets_of(peer));
        let subflow = connection.subflows.get(usize::from(index));
        let reset = subflow.is_some_and(|subflow| subflow.reset().is_some_and(|reset| reset.fail));
        tally.one(peer, received, answer.is_some() || connection.seldom.infinite[peer].is_some() || reset);
    }
    // Mainline Linux counts each segment that has it, the kernel of version 0 the first.
    let repeats = connection.seldom.fail_repeats[side];
    if !is_its_kernel(connection.dialect) {
        tally.add(side, sent, u64::from(repeats));
        tally.leave_open(peer, received, repeats > 0);
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
            join_0(tally, connection, subflow, join);
        }
    }
    for announced in connection.addresses.iter() {
        tally.add(announced.by, "MPTcpExtAddAddrTx", u64::from(announced.sent));
    }
    for side in Side::BOTH {
        removals_0(tally, connection, side);
        failed(tally, connection, side, ["", "MPTcpExtMPFailRX", "MPTcpExtMPCsumFail"]);
        tally.one(side.peer(), "MPTcpExtInfiniteMapRx", connection.seldom.infinite[side].is_some());
    }
    if let Some((side, _, Some(true))) = connection.seldom.fastclose {
        tally.one(side, "MPTcpExtMPFastcloseTX", true);
    }
}

fn join_0(tally: &mut Tally<'_>, connection: &Connection, subflow: &Subflow, join: &Join) {
    let hmac_refused = join_handshake(tally, connection, subflow, join);
    // This kernel counts a SYN/ACK without MP_JOIN as one with a wrong HMAC.
    let bare = join.bare_syn_ack.is_some() && join.syn_ack_hmac.is_none() && subflow.reset().is_some();
    tally.one(subflow.initiator, "MPTcpExtMPJoinSynAckHMacFailure", hmac_refused || bare);
    let responder = subflow.initiator.peer();
    let refused =
        subflow.state() == SubflowState::Refused && subflow.reset().is_some_and(|reset| reset.by == responder);
    let wrong = connection.prove_join(subflow, join).ack.is_mismatch();
    tally.one(responder, "MPTcpExtMPJoinAckHMacFailure", refused && wrong);
    let bare = join.bare_ack.is_some() && join.ack_hmac.is_none() && join.syn_ack_hmac.is_some();
    tally.one(responder, "MPTcpExtMPJoinAckMissing", refused && bare && !connection.options_cut);
}

/// This kernel counts options, whatever ids they have.
fn removals_0(tally: &mut Tally<'_>, connection: &Connection, side: Side) {
    let of_side = || connection.seldom.removals.iter().filter(|removal| removal.by == side);
    let together = of_side().any(|one| of_side().any(|other| one.id != other.id && one.frame == other.frame));
    removals(tally, connection, side, "MPTcpExtRemAddrRx");
    tally.leave_open(side, "MPTcpExtRemAddrTx", together);
    tally.leave_open(side.peer(), "MPTcpExtRemAddrRx", together);
}

//! Forgetting, for captures that run for days: connections leave some time after they closed or fell silent, and flows,
//! tokens and buffers with them; the report knows the latest of them all the same ([`Retired`](super::retired)). A capture
//! file needs none of this; a live run calls [`Tracker::expire`] again and again.

use super::connection::outcome::Close;
use super::connection::{Connection, Env};
use super::flow::FlowKey;
use super::observer::{ConnectionId, Observer};
use super::{Compare, Tracker};
use crate::frame::Timestamp;
use crate::limits;

const SECOND: u64 = 1_000_000_000;

/// Why a connection left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It closed, and nothing came for a while.
    Closed,
    /// Nothing came for long.
    Idle,
    /// Its handshake never completed.
    HalfOpen,
    /// A limit pushed it out.
    Limit,
}

impl Left {
    /// Its name in event streams.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::HalfOpen => "half_open",
            Self::Limit => "limit",
        }
    }
}

/// How many connections left, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftCounts {
    /// [`Left::Closed`].
    pub closed: u64,
    /// [`Left::Idle`].
    pub idle: u64,
    /// [`Left::HalfOpen`].
    pub half_open: u64,
    /// [`Left::Limit`].
    pub limit: u64,
}

impl LeftCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.closed + self.idle + self.half_open + self.limit
    }
}

/// How far sweeping has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The next connection to look at.
    next: u64,
    /// No connection before this one has an open handshake, unless younger ones pushed it out.
    settled: u64,
    /// When flows were last looked at, and what was left over of a whole flow to look at.
    flows: Option<(Timestamp, u64)>,
}

impl Tracker {
    /// Lets go of what is over at time `now`: tells `observer` of each connection that leaves. To be called several times a
    /// second; each call does a bounded part of the work.
    pub fn expire<O: Observer>(&mut self, now: Timestamp, observer: &mut O) {
        self.expire_half_open(observer);
        for _ in 0..limits::SWEEP_CONNECTIONS {
            let Some(held) = self.connections.next_held(self.sweep.next) else {
                self.sweep.next = 0;
                break;
            };
            let id = held.id;
            self.sweep.next = u64::from(id) + 1;
            if let Some(reason) = over(held, now) {
                self.let_go(id, reason, observer);
            }
        }
        while self.connections.alive() > limits::LIVE_CONNECTIONS {
            let Some(victim) = self.connections.victim() else { break };
            self.let_go(victim, Left::Limit, observer);
        }
        self.expire_flows(now);
    }

    /// Of connections whose handshake is open, only the youngest are kept: a flood brings more than will ever complete.
    fn expire_half_open<O: Observer>(&mut self, observer: &mut O) {
        let youngest = limits::LIVE_HALF_OPEN as u64;
        while self.connections.end() - self.sweep.settled > youngest {
            let end = self.connections.end() - youngest;
            let held = self.connections.next_held(self.sweep.settled).filter(|held| u64::from(held.id) < end);
            let Some(held) = held else {
                self.sweep.settled = end;
                return;
            };
            let (id, half_open) = (held.id, held.is_half_open());
            self.sweep.settled = u64::from(id) + 1;
            if half_open {
                self.let_go(id, Left::HalfOpen, observer);
            }
        }
    }

    /// Flows without MPTCP that fell silent: a part of the table at a time, so that it is once through in the time that a
    /// flow may be silent.
    fn expire_flows(&mut self, now: Timestamp) {
        let (before, rest) = *self.sweep.flows.get_or_insert((now, 0));
        let work = u128::from(now.since(before)) * self.flows.slots() as u128 + u128::from(rest);
        let round = u128::from(limits::LIVE_PLAIN_SECONDS * SECOND);
        self.sweep.flows = Some((now, (work % round) as u64));
        self.flows.sweep((work / round) as usize, limits::LIVE_FLOWS);
    }

    /// Lets one connection go, with all that refers to it: no segment finds it any more.
    pub(super) fn let_go<O: Observer>(&mut self, id: ConnectionId, reason: Left, observer: &mut O) {
        let Some(mut connection) = self.connections.take(id) else { return };
        let at = connection.last;
        connection.finish(&mut Env { at, buffer: &mut self.buffer, compare: Compare::Nothing, intact: None, observer });
        self.buffer += connection.kept_bytes();
        for subflow in &connection.subflows {
            let aliases = subflow.seldom.also_seen_as.iter().copied();
            for (ip, source, destination) in
                std::iter::once((subflow.ip, subflow.source_port, subflow.destination_port)).chain(aliases)
            {
                self.flows.remove(FlowKey::new(ip, source, destination).0, id);
            }
        }
        self.tokens.forget(&connection);
        self.streams.forget(&connection);
        if connection.view_of.is_none() {
            observer.left(&connection, reason);
        }
        // Whatever passed a limit has to make room.
        if reason == Left::Limit || connection.view_of.is_some() {
            self.forget(&connection, reason, observer);
        } else {
            self.retired.add(connection, reason);
        }
        while let Some((connection, reason)) = self.retired.shed() {
            self.forget(&connection, reason, observer);
        }
    }

    /// The report will not know a connection that left.
    fn forget<O: Observer>(&mut self, connection: &Connection, reason: Left, observer: &mut O) {
        let left = &mut self.counts.left;
        match reason {
            Left::Closed => left.closed += 1,
            Left::Idle => left.idle += 1,
            Left::HalfOpen => left.half_open += 1,
            Left::Limit => left.limit += 1,
        }
        if connection.view_of.is_none() {
            observer.forgotten(connection);
        }
    }

    /// Connections held, without those that left.
    pub fn held(&self) -> usize {
        self.connections.alive()
    }

    /// Connections that left.
    pub fn departed(&self) -> u64 {
        self.counts.left.total() + self.retired.len() as u64
    }
}

/// Whether a connection is over, and why.
fn over(connection: &Connection, now: Timestamp) -> Option<Left> {
    let idle = connection.idle(now) / SECOND;
    if connection.is_half_open() && idle >= limits::LIVE_HALF_OPEN_SECONDS {
        Some(Left::HalfOpen)
    } else if has_ended(connection) && idle >= limits::LIVE_CLOSED_SECONDS {
        Some(Left::Closed)
    } else {
        (idle >= limits::LIVE_IDLE_SECONDS).then_some(Left::Idle)
    }
}

/// Whether nothing is to come: all subflows are closed, or the data is, and what is left of the subflows went unseen.
fn has_ended(connection: &Connection) -> bool {
    connection.is_closed() || matches!(connection.close(), Close::DataFin | Close::Fastclose)
}

impl Connection {
    /// Whether nothing of it ever got beyond the handshake: unanswered, half-open or refused.
    pub fn is_half_open(&self) -> bool {
        self.subflows.iter().all(|subflow| {
            (subflow.syn.is_some() || subflow.syn_ack.is_some())
                && !subflow.is_established()
                && subflow.halves.client.payload_bytes + subflow.halves.server.payload_bytes == 0
        })
    }
}

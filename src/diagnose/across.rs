//! What shows only across connections: joins without their connection, ports and networks on which MPTCP never works.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::joins::route;
use super::rules::{fallback, joins};
use super::version_0::is_its_kernel;
use super::{Evidence, Found, endpoint};
use crate::diagnose::Explanation;
use crate::text;
use crate::track::blanked::Blanked;
use crate::track::connection::outcome::SubflowState;
use crate::track::connection::{Connection, FallbackCause};
use crate::track::keys::Dialect;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::wire::ResetReason;

/// Connections to one port that must all have failed before that is a pattern.
const PATTERN: u32 = 2;

/// Rules over joins without their connection, beside the connections that the report lists. `evidence` names frames and
/// inputs; its connection is not looked at.
pub fn orphans<'a>(
    orphans: impl Iterator<Item = &'a Connection>,
    listed: &(impl Iterator<Item = &'a Connection> + Clone),
    evidence: &Evidence<'_>,
) -> Vec<Found> {
    let mut found = Vec::new();
    let orphans: Vec<&Connection> = orphans.collect();
    let whose = |join: &Subflow| only_connection_of(join, listed.clone());
    // A fallback before any key was shown leaves a connection without token for good.
    let nameless = !orphans.is_empty()
        && listed
            .clone()
            .any(|one| one.fallback.is_none() && Side::BOTH.into_iter().any(|side| one.ends[side].token().is_none()));
    let dialect = dialect_of_all(listed.clone());
    refused_orphans(&orphans, &whose, (nameless, dialect), evidence, &mut found);
    bare_orphans(&orphans, evidence, &mut found);
    found
}

/// The dialect of the connections, where all that show theirs have the same.
fn dialect_of_all<'a>(connections: impl Iterator<Item = &'a Connection>) -> Option<Dialect> {
    let mut dialects = connections.filter_map(|connection| connection.dialect);
    let first = dialects.next()?;
    dialects.all(|dialect| dialect == first).then_some(first)
}

/// Joins whose token no connection of the capture has, answered with a RST: one finding for all that were answered alike.
/// `nameless`: the capture has connections whose token it does not show; `dialect` is that of all.
fn refused_orphans<'a>(
    orphans: &[&Connection],
    whose: &dyn Fn(&Subflow) -> Option<&'a Connection>,
    (nameless, dialect): (bool, Option<Dialect>),
    evidence: &Evidence<'_>,
    found: &mut Vec<Found>,
) {
    let gives_none = is_its_kernel(dialect);
    let mut alike: Vec<(Option<ResetReason>, Found, u64)> = Vec::new();
    for subflow in orphans.iter().flat_map(|orphan| &orphan.subflows) {
        let (Some(join), Some(reset)) = (&subflow.join, subflow.reset()) else { continue };
        let refused = subflow.state() == SubflowState::Refused && reset.by != subflow.initiator;
        let Some(token) = join.token.filter(|_| refused) else { continue };
        let reason = reset.reason.map(|reason| reason.0);
        let frames = [subflow.first.frame, reset.at.frame];
        if let Some((_, known, count)) = alike.iter_mut().find(|known| known.0 == reason) {
            *count += 1;
            if known.frames.len() < crate::limits::EVIDENCE_FRAMES {
                known.frames.extend(frames);
            }
            continue;
        }
        let why = match reason {
            Some(reason) => format!(" with reason {reason}"),
            None if gives_none => String::new(),
            None => " without a reason".to_owned(),
        };
        let message = format!(
            "The join {} names token {:08x}, which no connection in this capture {}, and was answered with a RST in frame {}{why}: {}",
            route(subflow),
            token.0,
            if nameless { "is known to have" } else { "has" },
            evidence.frame(reset.at.frame),
            where_it_is(whose(subflow), nameless),
        );
        let rule = match reason {
            Some(ResetReason::MPTCP_SPECIFIC) => joins::JOIN_REFUSED_UNKNOWN_TOKEN,
            Some(ResetReason::PROHIBITED) => joins::JOIN_REFUSED_PROHIBITED,
            Some(_) => joins::JOIN_REFUSED_WITH_REASON,
            None if gives_none && !nameless => joins::JOIN_REFUSED_UNKNOWN_TOKEN,
            None => joins::JOIN_REFUSED_WITHOUT_REASON,
        };
        let dialect = dialect.filter(|_| reason.is_none());
        // The kernel of version 0 refuses some that it does not count.
        let counter = rule.counter.filter(|_| reason.is_some());
        alike.push((reason, Found { counter, dialect, ..of_capture(rule, message, frames.to_vec()) }, 1));
    }
    found.extend(alike.into_iter().map(|(_, mut found, count)| {
        let more = match count {
            1 => ".".to_owned(),
            _ => format!(". {} were answered so.", text::counted(count, "such join")),
        };
        found.message.push_str(&more);
        found
    }));
}

/// Where the connection of a refused join may be. `known` is the only one that was open to its server; `nameless`: the capture has
/// connections whose token it does not show.
fn where_it_is(known: Option<&Connection>, nameless: bool) -> String {
    let token = known.and_then(|known| Some((known.number()?, known.ends.server.token())));
    match token {
        Some((number, Some(token))) => format!(
            "its connection is gone or on another host, or the token was changed on the way (connection {number}, which was open to the same server, has token {:08x})",
            token.0
        ),
        Some((number, None)) => format!(
            "it may be of connection {number}, which was open to the same server and whose token is not in this capture"
        ),
        None if nameless => {
            "it may be of one whose token is not in this capture, or of one that is gone or on another host".to_owned()
        }
        None => "its connection is gone or on another host, or the token was changed on the way".to_owned(),
    }
}

/// SYNs or SYN/ACKs without MPTCP that have padding in the place of its option: one finding for all.
pub fn blanked(blanked: &Blanked, evidence: &Evidence<'_>) -> Option<Found> {
    let (first, &frame) = blanked.first.as_ref().zip(blanked.frames.first())?;
    let segment = if first.is_ack { "SYN/ACK" } else { "SYN" };
    let more = match blanked.count {
        1 => String::new(),
        count => format!(" {} look so.", text::counted(count, "segment")),
    };
    let message = format!(
        "The {segment} {} → {} (frame {}) carries no MPTCP option and has {} bytes of padding in a row, as many as {} takes there: something on the path before this capture probably overwrote it.{more}",
        endpoint(first.source),
        endpoint(first.destination),
        evidence.frame(frame),
        first.run,
        first.options,
    );
    Some(of_capture(fallback::OPTION_BLANKED, message, blanked.frames.clone()))
}

/// The only connection that was open to the server of a join at its time.
fn only_connection_of<'a>(join: &Subflow, connections: impl Iterator<Item = &'a Connection>) -> Option<&'a Connection> {
    let server = join.address_of(join.initiator.peer());
    let mut open = connections.filter(|connection| {
        let to_it = connection.initial().is_some_and(|initial| initial.address_of(Side::Server) == server);
        to_it && (connection.first.time..=connection.last.time).contains(&join.first.time)
    });
    open.next().filter(|_| open.next().is_none())
}

/// Joins whose connection is not in this capture, answered by a SYN/ACK without MP_JOIN: one finding for all.
fn bare_orphans(orphans: &[&Connection], evidence: &Evidence<'_>, found: &mut Vec<Found>) {
    let bare = |subflow: &Subflow| {
        let join = subflow.join.as_ref().filter(|join| join.token.is_some() && join.syn_ack_hmac.is_none())?;
        Some((subflow.syn.as_ref()?.first.frame, join.bare_syn_ack?))
    };
    let mut all = orphans.iter().flat_map(|orphan| &orphan.subflows).filter_map(|join| Some((join, bare(join)?)));
    let Some((first, (syn, syn_ack))) = all.next() else { return };
    let mut frames = vec![syn, syn_ack];
    let mut count = 1;
    for (_, (syn, syn_ack)) in all {
        count += 1;
        if frames.len() < crate::limits::EVIDENCE_FRAMES {
            frames.extend([syn, syn_ack]);
        }
    }
    let more = match count {
        1 => String::new(),
        _ => format!(" {} were answered so.", text::counted(count, "such join")),
    };
    let message = format!(
        "The SYN with MP_JOIN {} (frame {}) was answered by a SYN/ACK without MP_JOIN (frame {}): the option is stripped on this path, or the join reached a server without MPTCP. Its connection is not in this capture.{more}",
        route(first),
        evidence.frame(syn),
        evidence.frame(syn_ack),
    );
    let rule = joins::JOIN_SYN_ACK_WITHOUT_OPTION;
    found.push(of_capture(rule, message, frames));
}

/// Connections that asked for MPTCP, by how the SYN/ACK answered.
#[derive(Default)]
struct Tally {
    asked: u32,
    answered: u32,
    frames: Vec<Mark>,
    look: Look,
}

/// What SYN/ACKs have in common: their input, TTL and MSS.
#[derive(Clone, Copy, Default)]
enum Look {
    #[default]
    None,
    Same(u16, u8, Option<u16>),
    Various,
}

impl Look {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, look) | (look, Self::None) => look,
            (Self::Same(input, ttl, mss), Self::Same(other_input, other_ttl, other_mss))
                if (input, ttl, mss) == (other_input, other_ttl, other_mss) =>
            {
                self
            }
            _ => Self::Various,
        }
    }

    /// `, and its SYN/ACKs have TTL 62 rather than 51, as of another device`; empty where they are alike.
    fn unlike(self, other: Self) -> String {
        let (Self::Same(input, ttl, mss), Self::Same(other_input, other_ttl, other_mss)) = (self, other) else {
            return String::new();
        };
        let mut what = Vec::new();
        if ttl != other_ttl {
            what.push(format!("TTL {ttl} rather than {other_ttl}"));
        }
        if let (Some(mss), Some(other_mss)) = (mss, other_mss)
            && mss != other_mss
        {
            what.push(format!("MSS {mss} rather than {other_mss}"));
        }
        if what.is_empty() || input != other_input {
            return String::new();
        }
        format!(" Its SYN/ACKs have {}, as if another device sent them.", what.join(" and "))
    }
}

type Network = (IpAddr, IpAddr, u16);

/// How servers answered: by client network, server address and port.
#[derive(Default)]
pub struct Answers {
    groups: BTreeMap<Network, Tally>,
    failed: bool,
}

impl Answers {
    /// Takes a look at one connection.
    pub fn add(&mut self, connection: &Connection) {
        let Some(initial) =
            connection.initial().filter(|initial| connection.handshake.syn.is_some() && initial.syn_ack.is_some())
        else {
            return;
        };
        let (server, port) = initial.address_of(Side::Server);
        let network = (network_of(initial.address_of(Side::Client).0), server, port);
        let lost = connection
            .fallback
            .filter(|seen| seen.cause == FallbackCause::NoOptionInSynAck || seen.cause == FallbackCause::OptionEchoed);
        self.failed |= lost.is_some();
        let frames = lost.map(|seen| seen.frame).into_iter().collect();
        let look = initial.syn_ack.as_ref().map_or(Look::None, |seen| Look::Same(connection.input, seen.ttl, seen.mss));
        self.count(network, Tally { asked: 1, answered: u32::from(lost.is_none()), frames, look });
    }

    /// Adds what later connections showed.
    pub fn absorb(&mut self, later: Self) {
        self.failed |= later.failed;
        later.groups.into_iter().for_each(|(network, tally)| self.count(network, tally));
    }

    fn count(&mut self, network: Network, other: Tally) {
        if self.groups.len() >= crate::limits::ANSWERING && !self.groups.contains_key(&network) {
            return;
        }
        let tally = self.groups.entry(network).or_default();
        tally.asked += other.asked;
        tally.answered += other.answered;
        tally.look = tally.look.and(other.look);
        let room = crate::limits::EVIDENCE_FRAMES.saturating_sub(tally.frames.len());
        tally.frames.extend(other.frames.into_iter().take(room));
    }

    /// Compares the groups of one server.
    pub fn found(&self) -> Vec<Found> {
        let mut found = Vec::new();
        if self.failed {
            stripped(&self.groups, &mut found);
        }
        found
    }
}

/// Ports and networks for which MPTCP never worked, beside others of the same server for which it did.
fn stripped(groups: &BTreeMap<Network, Tally>, found: &mut Vec<Found>) {
    for ((network, server, port), tally) in
        groups.iter().filter(|(_, tally)| tally.answered == 0 && tally.asked >= PATTERN)
    {
        let works = |other: &(&Network, &Tally)| other.1.answered == other.1.asked;
        let on_port =
            groups.iter().filter(works).find(|(key, _)| key.0 == *network && key.1 == *server && key.2 != *port);
        let for_network =
            groups.iter().filter(works).find(|(key, _)| key.0 != *network && key.1 == *server && key.2 == *port);
        if let Some((other, good)) = on_port {
            let message = format!(
                "{server} answered MP_CAPABLE on {} of {} to port {} and on 0 of {} to port {port}: something on the way to port {port} removes it, or its listener is plain TCP.{}",
                good.answered,
                text::counted(u64::from(good.asked), "connection"),
                other.2,
                tally.asked,
                tally.look.unlike(good.look),
            );
            found.push(of_capture(fallback::OPTIONS_STRIPPED_ON_ONE_PORT, message, tally.frames.clone()));
        }
        if let Some((other, good)) = for_network {
            let message = format!(
                "Port {port} of {server} answered MP_CAPABLE on {} of {} from {}, and on 0 of {} from {}: the path from the latter removes it.",
                good.answered,
                text::counted(u64::from(good.asked), "connection"),
                prefix(other.0),
                tally.asked,
                prefix(*network),
            );
            found.push(of_capture(fallback::OPTIONS_STRIPPED_FOR_ONE_PREFIX, message, tally.frames.clone()));
        }
    }
}

/// A finding that belongs to no connection.
fn of_capture(rule: &'static Explanation, message: String, frames: Vec<Mark>) -> Found {
    Found { rule, message, subflow: None, frames, counter: rule.counter, between: None, settled: false, dialect: None }
}

/// The network that an address is in, as far as an address tells: /24, /48.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::from((u32::from(address) & 0xffff_ff00).to_be_bytes()),
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 80 << 80).to_be_bytes()),
    }
}

fn prefix(network: IpAddr) -> String {
    format!("{network}/{}", if network.is_ipv4() { 24 } else { 48 })
}

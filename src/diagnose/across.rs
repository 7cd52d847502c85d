//! What shows only across connections: joins without their connection, ports and networks on which MPTCP never works.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::rules::{fallback, joins};
use super::{Evidence, Found, endpoint};
use crate::report::text;
use crate::track::connection::outcome::SubflowState;
use crate::track::connection::{Connection, FallbackCause};
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::wire::MpTcprst;

/// Connections to one port that must all have failed before that is a pattern.
const PATTERN: u32 = 2;

/// Rules over joins without their connection. `evidence` names frames and inputs; its connection is not looked at.
pub fn orphans<'a>(orphans: impl Iterator<Item = &'a Connection>, evidence: &Evidence<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for orphan in orphans {
        refused_orphan(orphan, evidence, &mut found);
    }
    found
}

/// A join whose token no connection of the capture has, answered with a RST.
fn refused_orphan(orphan: &Connection, evidence: &Evidence<'_>, found: &mut Vec<Found>) {
    for subflow in &orphan.subflows {
        let (Some(join), Some(reset)) = (&subflow.join, subflow.reset) else { continue };
        let Some(token) =
            join.token.filter(|_| subflow.state() == SubflowState::Refused && reset.by != subflow.initiator)
        else {
            continue;
        };
        let why = reset.reason.map_or_else(
            || "without a reason".to_owned(),
            |(reason, _)| format!("with reason {reason} ({})", MpTcprst { flags: 0, reason }.meaning()),
        );
        let message = format!(
            "The join {} → {} names token {:08x}, which no connection in this capture has, and was answered with a RST in frame {} {why}: its connection is gone or on another host, or the token was changed on the way.",
            endpoint(subflow.address_of(subflow.initiator)),
            endpoint(subflow.address_of(subflow.initiator.peer())),
            token.0,
            evidence.frame(reset.at.frame),
        );
        let rule = match reset.reason {
            Some((1, _)) => joins::JOIN_REFUSED_UNKNOWN_TOKEN,
            Some((3, _)) => joins::JOIN_REFUSED_PROHIBITED,
            Some(_) => joins::JOIN_REFUSED_WITH_REASON,
            None => joins::JOIN_REFUSED_WITHOUT_REASON,
        };
        found.push(Found {
            rule,
            message,
            subflow: None,
            frames: vec![subflow.first.frame, reset.at.frame],
            counter: None,
        });
    }
}

/// Connections that asked for MPTCP, by how the SYN/ACK answered.
#[derive(Default)]
struct Tally {
    asked: u32,
    answered: u32,
    frames: Vec<Mark>,
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
        self.count(network, Tally { asked: 1, answered: u32::from(lost.is_none()), frames });
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
        let room = crate::limits::SYNS.saturating_sub(tally.frames.len());
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
                "{server} answered MP_CAPABLE on {} of {} to port {} and on 0 of {} to port {port}: something on the way to port {port} removes it, or its listener is plain TCP.",
                good.answered,
                text::counted(u64::from(good.asked), "connection"),
                other.2,
                tally.asked,
            );
            found.push(Found {
                rule: fallback::OPTIONS_STRIPPED_ON_ONE_PORT,
                message,
                subflow: None,
                frames: tally.frames.clone(),
                counter: None,
            });
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
            found.push(Found {
                rule: fallback::OPTIONS_STRIPPED_FOR_ONE_PREFIX,
                message,
                subflow: None,
                frames: tally.frames.clone(),
                counter: None,
            });
        }
    }
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

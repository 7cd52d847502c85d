//! Which subflows an end opens: the pattern of a path manager.
//!
//! | pattern | evidence | setting |
//! |---|---|---|
//! | `single_path` | no join and no announcement, though there was time for them | v0 `default`; v1 without endpoints |
//! | `fullmesh` | joins between all known addresses of both ends | v0 `fullmesh`; v1 endpoints with `fullmesh` |
//! | `ndiffports` | joins between the two addresses of the first subflow, from other ports | v0 `ndiffports` |
//! | `subflow_endpoints` | joins from further own addresses to the peer's first | v1 endpoints with `subflow` |
//! | `announced` | joins only to addresses that the peer announced | v1 without endpoints, the peer's with `signal` |
//! | `binder` | joins with a source route | v0 `binder` |

use std::net::IpAddr;

use super::{Naming, Surroundings, confidence};
use crate::limits;
use crate::model::{AddressPair, PathManager};
use crate::track::connection::Connection;
use crate::track::connection::outcome::Outcome;
use crate::track::keys::Dialect;
use crate::track::mark::Mark;
use crate::track::side::Side;

/// Round trips after which an end that opens subflows would have tried: joins follow the first acknowledged data.
const PATIENCE_ROUND_TRIPS: u64 = 8;
/// The same for networks without delay: kernels open subflows from a work queue.
const PATIENCE_NS: u64 = 20_000_000;

/// What the pattern rests on, seen from the end in question: `own` address first, then the peer's.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// 0 for all that the kernel of multipath-tcp.org speaks.
    version: Option<u8>,
    /// Addresses and peer's port of the first subflow.
    initial: Option<(IpAddr, IpAddr, u16)>,
    joins: Vec<Attempt>,
    /// Announced by this end.
    announced: Vec<IpAddr>,
    /// Announced by the peer.
    peer_announced: Vec<(IpAddr, Option<u16>)>,
    /// The peer's C flag: its first address takes no joins.
    denied: bool,
}

/// One join.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    own: IpAddr,
    peer: IpAddr,
    peer_port: u16,
    /// The first subflow was still open.
    beside_initial: bool,
    /// By source route.
    routed: bool,
    frame: Option<Mark>,
}

/// What the facts show.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    pattern: Option<&'static str>,
    confidence: f64,
    why: Option<&'static str>,
    alternatives: Vec<&'static str>,
    /// Own address, peer's.
    missing: Vec<(IpAddr, IpAddr)>,
}

/// The pattern of one end of a connection.
pub(super) fn infer(connection: &Connection, side: Side, around: &Surroundings, naming: &dyn Naming) -> PathManager {
    let facts = facts(connection, side);
    let found = find(connection, side, &facts, around);
    let pair = |(own, peer): (IpAddr, IpAddr)| match side {
        Side::Client => AddressPair { client: own, server: peer },
        Side::Server => AddressPair { client: peer, server: own },
    };
    let named = found.pattern.is_some();
    PathManager {
        pattern: found.pattern,
        confidence: named.then_some(found.confidence),
        frames: facts.joins.iter().filter_map(|join| join.frame).map(|frame| naming.frame(frame)).collect(),
        why: found.why.map(str::to_owned),
        alternatives: found.alternatives,
        missing_pairs: found.missing.into_iter().map(pair).collect(),
    }
}

/// Its name alone.
pub(super) fn pattern(connection: &Connection, side: Side, around: &Surroundings) -> Option<&'static str> {
    find(connection, side, &facts(connection, side), around).pattern
}

fn find(connection: &Connection, side: Side, facts: &Facts, around: &Surroundings) -> Found {
    match obstacle(connection, side, facts) {
        Some(why) => Found::not_told(why),
        None if !facts.joins.is_empty() => facts.classify(),
        None if side == Side::Server => Found::not_told("opened no subflow"),
        None => no_join(connection, facts, around),
    }
}

/// What keeps any pattern from showing.
fn obstacle(connection: &Connection, side: Side, facts: &Facts) -> Option<&'static str> {
    match connection.outcome() {
        Outcome::Fallback if facts.joins.is_empty() => Some("fell back to TCP: subflows were out of the question"),
        Outcome::Refused | Outcome::Unanswered if facts.joins.is_empty() => Some("not established"),
        _ if facts.initial.is_none() => Some("the first subflow is not in the capture"),
        _ if connection.dialect.is_none() => Some("the version is not in the capture"),
        _ if side == Side::Client && facts.joins.is_empty() && !handshake_seen(connection) => {
            Some("began before the capture")
        }
        _ => None,
    }
}

fn handshake_seen(connection: &Connection) -> bool {
    connection.initial().is_some_and(|initial| initial.syn.is_some() && initial.syn_ack.is_some())
}

fn facts(connection: &Connection, side: Side) -> Facts {
    let peer = side.peer();
    let initial = connection.initial();
    let initial_end = initial.filter(|initial| initial.is_closed()).map(|initial| initial.last.time);
    let joins = connection
        .subflows
        .iter()
        .filter(|subflow| subflow.join.is_some() && subflow.initiator_known && subflow.initiator == side);
    let announced = |by: Side| connection.addresses.iter().filter(move |address| address.by == by);
    Facts {
        version: connection.dialect.map(|dialect| u8::from(!dialect.is_multipath_tcp_orgs())),
        initial: initial.map(|first| (first.address_of(side).0, first.address_of(peer).0, first.address_of(peer).1)),
        joins: joins
            .map(|join| Attempt {
                own: join.address_of(side).0,
                peer: join.address_of(peer).0,
                peer_port: join.address_of(peer).1,
                beside_initial: initial_end.is_none_or(|end| join.first.time < end),
                routed: join.source_routed[side],
                frame: Some(join.first.frame),
            })
            .collect(),
        announced: announced(side).map(|address| address.address).collect(),
        peer_announced: announced(peer).map(|address| (address.address, address.port)).collect(),
        denied: connection.denies_join_id0(peer) == Some(true),
    }
}

/// No join of the client: a single path by choice, or something that hid the joins.
fn no_join(connection: &Connection, facts: &Facts, around: &Surroundings) -> Found {
    if !facts.announced.is_empty() || !facts.peer_announced.is_empty() {
        return Found::not_told("addresses were announced, and no join is in the capture");
    }
    if connection.subflows.len() > 1 {
        return Found::not_told("opened no subflow; the server did");
    }
    if around.hides_joins_of(connection) {
        return Found::not_told("other flows between the same hosts may be its joins, or show that they open subflows");
    }
    if connection.data.client.missing() + connection.data.server.missing() > 0 {
        return Found::not_told("a part of the data is not in the capture: it may have gone over other subflows");
    }
    if [Side::Client, Side::Server]
        .into_iter()
        .any(|side| connection.subflows.iter().all(|s| s.halves[side].segments < 2))
    {
        return Found::not_told("only one direction is in the capture");
    }
    let acked = connection.data.client.acked_bytes().unwrap_or(0) + connection.data.server.acked_bytes().unwrap_or(0);
    if acked == 0 {
        return Found::not_told("no data was acknowledged, before which no subflow is opened");
    }
    if !connection.first.time.is_known() {
        return Found::not_told("the packets have no times");
    }
    let round_trip = connection.initial().and_then(super::handshake_times).map_or(0, |(a, b)| a.saturating_add(b));
    let patience = round_trip.saturating_mul(PATIENCE_ROUND_TRIPS).max(PATIENCE_NS);
    if connection.last.time.since(connection.first.time) < patience {
        return Found::not_told("too short to open subflows");
    }
    if connection.dialect.is_some_and(Dialect::is_multipath_tcp_orgs) {
        return Found::not_told("one path: the default path manager, or another with nothing to do, looks like this");
    }
    Found {
        pattern: Some("single_path"),
        confidence: 0.6,
        why: Some("neither end showed a second address: a mesh of one address each looks the same"),
        alternatives: vec!["fullmesh", "subflow_endpoints"],
        ..Found::default()
    }
}

impl Facts {
    /// The pattern of joins; there is at least one.
    fn classify(&self) -> Found {
        let Some((own, peer, port)) = self.initial else {
            return Found::not_told("the first subflow is not in the capture");
        };
        let same_pair = |join: &&Attempt| join.own == own && join.peer == peer && join.peer_port == port;
        let beside = self.joins.iter().filter(same_pair).filter(|join| join.beside_initial).count() as u64;
        let others: Vec<&Attempt> = self.joins.iter().filter(|join| !same_pair(join)).collect();
        let total = self.joins.len() as u64;
        if self.version == Some(0) && self.joins.iter().any(|join| join.routed) {
            return Found::named("binder", confidence(total, total), &[]);
        }
        if others.is_empty() {
            if beside == 0 {
                return Found::not_told("joined only again, after the first subflow had closed");
            }
            return Found::named(
                "ndiffports",
                confidence(beside + 1, total + 1),
                if self.version == Some(0) { &["binder"] } else { &[] },
            );
        }
        match self.version {
            Some(0) => self.classify_v0(),
            _ => self.classify_v1(&others, peer, port),
        }
    }

    /// In v0 only `fullmesh` (or a daemon that does the same through netlink) joins further addresses.
    fn classify_v0(&self) -> Found {
        let matrix = self.matrix(false);
        let missing = self.missing(&matrix);
        let tried = (matrix.len() - missing.len()) as u64;
        if tried * 2 < matrix.len() as u64 {
            return Found { missing, ..Found::not_told("fewer than half of the pairs of known addresses were tried") };
        }
        let why = (!missing.is_empty()).then_some("pairs are missing: not tried, or not in this capture");
        Found { why, missing, ..Found::named("fullmesh", confidence(tried, matrix.len() as u64), &[]) }
    }

    /// In v1 an announced address is joined once, from where the route leads; from several addresses only by endpoints with
    /// `fullmesh`, or, where the peer's first address is denied, by all that have `subflow`. An end's first address need not
    /// be an endpoint.
    fn classify_v1(&self, others: &[&Attempt], peer: IpAddr, port: u16) -> Found {
        let announced = |join: &Attempt| {
            self.peer_announced
                .iter()
                .any(|known| known.0 == join.peer && known.1.is_none_or(|port| port == join.peer_port))
        };
        let to_initial = |join: &Attempt| join.peer == peer && join.peer_port == port;
        let shared = |join: &Attempt| {
            let same = |other: &&&Attempt| (other.peer, other.peer_port) == (join.peer, join.peer_port);
            !to_initial(join) && others.iter().filter(same).any(|other| other.own != join.own)
        };
        let missing = self.missing(&self.matrix(self.denied));
        let opens = |own: IpAddr| others.iter().any(|join| join.own == own);
        let gaps: Vec<_> = missing.iter().filter(|pair| opens(pair.0)).copied().collect();
        let total = others.len() as u64;
        if others.iter().any(|join| shared(join)) {
            if self.denied {
                let why = "several own addresses joined one announced address: endpoints, with or without fullmesh";
                return Found { missing, ..Found::not_told(why) };
            }
            let why = (!gaps.is_empty()).then_some("pairs are missing: beyond a limit, or not in this capture");
            let sure = confidence(total + 1, total + 1 + gaps.len() as u64);
            return Found { why, missing: gaps, ..Found::named("fullmesh", sure, &[]) };
        }
        // An endpoint of `subflow` that the announced address has used up does not join the first.
        let elsewhere = self.initial.is_some_and(|initial| others.iter().any(|join| join.own != initial.0));
        let mesh: &[&str] = if gaps.is_empty() { &["fullmesh"] } else { &[] };
        if others.iter().any(|join| to_initial(join)) {
            return Found { missing, ..Found::named("subflow_endpoints", confidence(total, total), mesh) };
        }
        if others.iter().all(|join| announced(join)) {
            let alternatives: &[&str] = match mesh {
                _ if self.denied => &["subflow_endpoints", "fullmesh"],
                [] if elsewhere => &["subflow_endpoints"],
                mesh => mesh,
            };
            return Found { missing, ..Found::named("announced", confidence(total, total), alternatives) };
        }
        Found::not_told("joined addresses whose announcement is not in the capture")
    }

    /// All pairs of known addresses; where joins to the peer's first address are denied, without those.
    fn matrix(&self, denied: bool) -> Vec<(IpAddr, IpAddr)> {
        let mut own = Vec::new();
        let mut peer = Vec::new();
        let mut add = |own_address: Option<IpAddr>, peer_address: Option<IpAddr>| {
            let room = |known: &Vec<IpAddr>| known.len() < limits::MESH_ADDRESSES;
            own.extend(own_address.filter(|address| room(&own) && !own.contains(address)));
            peer.extend(peer_address.filter(|address| room(&peer) && !peer.contains(address)));
        };
        if let Some((own, peer, _)) = self.initial {
            add(Some(own), (!denied).then_some(peer));
        }
        self.joins.iter().for_each(|join| add(Some(join.own), Some(join.peer)));
        self.announced.iter().for_each(|address| add(Some(*address), None));
        self.peer_announced.iter().for_each(|address| add(None, Some(address.0)));
        own.iter().flat_map(|a| peer.iter().filter(|b| a.is_ipv4() == b.is_ipv4()).map(|b| (*a, *b))).collect()
    }

    fn missing(&self, matrix: &[(IpAddr, IpAddr)]) -> Vec<(IpAddr, IpAddr)> {
        let tried = |pair: &&(IpAddr, IpAddr)| {
            self.initial.is_some_and(|(own, peer, _)| (own, peer) == **pair)
                || self.joins.iter().any(|join| (join.own, join.peer) == **pair)
        };
        matrix.iter().filter(|pair| !tried(pair)).copied().collect()
    }
}

impl Found {
    fn named(pattern: &'static str, confidence: f64, alternatives: &[&'static str]) -> Self {
        Self { pattern: Some(pattern), confidence, alternatives: alternatives.to_vec(), ..Self::default() }
    }

    fn not_told(why: &'static str) -> Self {
        Self { why: Some(why), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 4] = [10, 8, 1, 1];
    const B: [u8; 4] = [10, 8, 2, 1];
    const X: [u8; 4] = [10, 8, 1, 2];
    const Y: [u8; 4] = [10, 8, 2, 2];

    fn facts(version: u8, joins: &[([u8; 4], [u8; 4])]) -> Facts {
        Facts {
            version: Some(version),
            initial: Some((A.into(), X.into(), 80)),
            joins: joins.iter().map(|&(own, peer)| attempt(own, peer)).collect(),
            ..Facts::default()
        }
    }

    fn attempt(own: [u8; 4], peer: [u8; 4]) -> Attempt {
        Attempt { own: own.into(), peer: peer.into(), peer_port: 80, beside_initial: true, routed: false, frame: None }
    }

    fn announcing(mut facts: Facts, peer: &[[u8; 4]]) -> Facts {
        facts.peer_announced = peer.iter().map(|&address| (address.into(), None)).collect();
        facts
    }

    #[test]
    fn all_pairs_are_a_full_mesh_in_both_versions() {
        for version in [0, 1] {
            let found = announcing(facts(version, &[(A, Y), (B, X), (B, Y)]), &[Y]).classify();
            assert_eq!(found.pattern, Some("fullmesh"), "v{version}");
            assert!(found.missing.is_empty() && found.confidence > 0.7);
        }
    }

    #[test]
    fn a_mesh_with_holes_names_them_in_v0() {
        let found = announcing(facts(0, &[(A, Y), (B, X)]), &[Y]).classify();
        assert_eq!((found.pattern, found.missing), (Some("fullmesh"), vec![(B.into(), Y.into())]));
        let many = [[10, 8, 3, 2], [10, 8, 4, 2], [10, 8, 5, 2], Y];
        assert_eq!(announcing(facts(0, &[(A, Y)]), &many).classify().pattern, None);
    }

    #[test]
    fn joins_of_the_first_pair_are_ndiffports() {
        let found = facts(0, &[(A, X), (A, X), (A, X)]).classify();
        assert_eq!(found.pattern, Some("ndiffports"));
        assert!(found.confidence > facts(0, &[(A, X)]).classify().confidence);
    }

    #[test]
    fn a_join_that_replaces_the_first_subflow_is_not_ndiffports() {
        let mut again = facts(0, &[(A, X)]);
        again.joins[0].beside_initial = false;
        assert_eq!(again.classify().pattern, None);
    }

    #[test]
    fn a_source_route_is_the_binder() {
        let mut routed = facts(0, &[(A, X), (A, X)]);
        routed.joins[1].routed = true;
        assert_eq!(routed.classify().pattern, Some("binder"));
        routed.version = Some(1);
        assert_ne!(routed.classify().pattern, Some("binder"));
    }

    #[test]
    fn a_further_address_to_the_first_is_a_subflow_endpoint_in_v1() {
        let found = facts(1, &[(B, X)]).classify();
        assert_eq!((found.pattern, found.alternatives), (Some("subflow_endpoints"), vec!["fullmesh"]));
        // The peer's announced address joined as well: where the route leads, or because the endpoint is one of a mesh.
        let both = announcing(facts(1, &[(B, X), (B, Y)]), &[Y]).classify();
        assert_eq!((both.pattern, both.missing.len()), (Some("subflow_endpoints"), 1));
        assert_eq!(both.alternatives, ["fullmesh"]);
        let one = announcing(facts(1, &[(B, X)]), &[Y]).classify();
        assert_eq!((one.pattern, one.alternatives), (Some("subflow_endpoints"), vec![]), "a mesh would have joined Y");
    }

    #[test]
    fn joins_to_announced_addresses_only_are_the_peers_doing() {
        assert_eq!(announcing(facts(1, &[(B, Y)]), &[Y]).classify().pattern, Some("announced"));
        assert_eq!(announcing(facts(1, &[(A, Y)]), &[Y]).classify().pattern, Some("announced"));
        assert_eq!(facts(1, &[(B, Y)]).classify().pattern, None, "nobody announced it");
        // A mesh that has B would have joined the first address from it, too; one that has A has done all it could.
        let alternatives = |own| announcing(facts(1, &[(own, Y)]), &[Y]).classify().alternatives;
        assert_eq!((alternatives(B), alternatives(A)), (vec!["subflow_endpoints"], vec!["fullmesh"]));
    }

    #[test]
    fn an_announced_address_of_the_other_family_is_no_mesh() {
        let v6 = |last: u16| std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into();
        let mut found = announcing(facts(1, &[(B, Y)]), &[Y]);
        found.initial = Some((v6(1), v6(2), 80));
        let found = found.classify();
        assert_eq!((found.pattern, found.alternatives), (Some("announced"), vec!["fullmesh"]));
    }

    #[test]
    fn an_announced_address_joined_from_several_is_a_mesh_in_v1_even_with_holes() {
        let z = [10, 8, 3, 1];
        let found = announcing(facts(1, &[(B, X), (B, Y), (z, Y)]), &[Y]).classify();
        assert_eq!((found.pattern, found.missing), (Some("fullmesh"), vec![(z.into(), X.into())]));
        assert!(found.why.is_some());
    }

    #[test]
    fn the_first_address_announced_with_another_port() {
        let mut ported = facts(1, &[(A, X)]);
        ported.joins[0].peer_port = 9001;
        assert_eq!(ported.classify().pattern, None);
        ported.peer_announced = vec![(X.into(), Some(9001))];
        assert_eq!(ported.classify().pattern, Some("announced"));
    }

    #[test]
    fn with_joins_to_the_first_address_denied_several_sources_tell_nothing() {
        let mut denied = announcing(facts(1, &[(A, Y), (B, Y)]), &[Y]);
        denied.denied = true;
        assert_eq!(denied.classify().pattern, None);
        let mut one = announcing(facts(1, &[(A, Y)]), &[Y]);
        one.denied = true;
        assert_eq!(one.classify().pattern, Some("announced"));
    }
}

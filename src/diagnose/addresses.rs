//! Addresses announced and removed.

use std::net::IpAddr;

use super::handshake::many;
use super::rules::addresses as rule;
use super::views::{AddressSeen, announced};
use super::{Finder, span};
use crate::text;
use crate::track::connection::outcome::Close;
use crate::track::connection::{Announced, AnomalyKind, Connection, Removal};
use crate::track::keys::Dialect;
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::track::verdict::Verdict;

/// Segments of the peer after an announcement within which an echo must have come.
const ECHO_SEGMENTS: u64 = 8;
/// Time beside two round trips after which a REMOVE_ADDR that arrived has been obeyed.
const OBEYED_WITHIN: u64 = span::SECOND;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    for seen in announced(connection, &finder.evidence.views, finder.evidence.inputs) {
        if !seen.received.is_some_and(|(at, received)| hmac_is_wrong(finder, at, received)) {
            never_echoed(finder, &seen);
            never_used(finder, connection, &seen.announced);
        }
        private(finder, connection, &seen.announced);
    }
    for removal in &connection.seldom.removals {
        not_obeyed(finder, connection, removal);
    }
    if !connection.seldom.anomalies.is_empty() {
        let reused = |kind| if let AnomalyKind::AddressIdReused(id) = kind { Some(id) } else { None };
        many(finder, reused, rule::ADDRESS_ID_REUSED, |id, who| {
            format!("The {who} announced another address as id {id} without removing the first")
        });
        if connection.handshake.syn.is_some() || connection.handshake.syn_ack.is_some() {
            let unknown = |kind| if let AnomalyKind::RemovedUnknown(id) = kind { Some(id) } else { None };
            many(finder, unknown, rule::REMOVE_ADDR_HIT_NOTHING, |id, who| {
                format!("The {who} removed address id {id}, which it had neither announced nor used")
            });
        }
    }
}

/// `10.8.2.2 (id 1)`, with its port where there is one.
pub(super) fn name(announced: &Announced) -> String {
    let address = match announced.port {
        Some(port) => super::endpoint((announced.address, port)),
        None => announced.address.to_string(),
    };
    format!("{address} (id {})", announced.id)
}

fn hmac_is_wrong(finder: &mut Finder<'_, '_>, connection: &Connection, announced: &Announced) -> bool {
    let Some(Verdict::Mismatch { expected, seen }) = connection.prove_announced(announced) else { return false };
    let text = format!(
        "The HMAC with which the {} announced {} in frame {} is {seen} and should be {expected}: the option was changed on the way, or forged, and the peer ignores it.",
        announced.by.name(),
        name(announced),
        finder.frame(announced.frame),
    );
    finder.report(rule::ADD_ADDR_HMAC_MISMATCH, None, &[announced.frame], text);
    true
}

/// Version 1 confirms each announcement.
fn never_echoed(finder: &mut Finder<'_, '_>, seen: &AddressSeen<'_>) {
    let (connection, announced) = (seen.connection, &seen.announced);
    let peer = announced.by.peer();
    let version_1 = connection.dialect.is_some_and(|dialect| dialect == Dialect::Rfc8684);
    if announced.echoed.is_some() || !version_1 || connection.fallback.is_some() || connection.options_cut {
        return;
    }
    // An echo that only this capture lacks ends the repetitions.
    let joined = was_joined(connection, announced);
    let arrived = joined && announced.sent <= 1 && announced.echoed_otherwise.is_none() && seen.lost_echo.is_none();
    if left_first(connection, announced) || arrived {
        return;
    }
    let spoke: u64 = connection.subflows.iter().map(|subflow| subflow.halves[peer].segments).sum();
    if spoke < ECHO_SEGMENTS {
        return;
    }
    let mut frames = vec![announced.frame];
    let what_became = if let Some(echo) = announced.echoed_otherwise {
        frames.push(echo);
        let (peer, frame) = (peer.name(), finder.frame(echo));
        format!(
            "the {peer}'s echo of this id (frame {frame}) has another address or port: one of the two was changed on the way"
        )
    } else if let Some(echo) = seen.lost_echo {
        frames.push(echo);
        format!("the {}'s echo (frame {}) got lost on the way back", peer.name(), finder.frame(echo))
    } else if seen.received.is_none() {
        format!("none of that arrived at {}", finder.evidence.input_name(finder.evidence.seen_by(peer).input))
    } else if joined {
        format!("the {} opened a subflow to it, but no echo of it came: that got lost on the way", peer.name())
    } else {
        format!("the {} never echoed it", peer.name())
    };
    let text = format!(
        "The {} announced {} in frame {} ({}), and {what_became}.",
        announced.by.name(),
        name(announced),
        finder.frame(announced.frame),
        super::times(u64::from(announced.sent)),
    );
    finder.report(rule::ADDRESS_NEVER_ECHOED, None, &frames, text);
    if joined || seen.lost_echo.is_some() || announced.echoed_otherwise.is_some() {
        finder.advice_is_moot();
    }
}

/// Whether the peer had ended its data, or the connection was aborted, before its echo could be here: a closed socket
/// sends none.
fn left_first(connection: &Connection, announced: &Announced) -> bool {
    let ended = connection.data[announced.by.peer()].fin_time;
    let aborted = connection.seldom.fastclose.map(|(_, at, _)| at.time);
    let trip = connection.initial().map_or(0, Subflow::handshake_ns);
    ended.into_iter().chain(aborted).any(|time| time.since(announced.time) <= trip)
}

/// Whether the peer opened a subflow to the address, which it can know by the announcement only: this arrived.
fn was_joined(connection: &Connection, announced: &Announced) -> bool {
    let by = announced.by;
    let first = connection.initial().map(|initial| initial.address_of(by));
    connection.subflows.iter().any(|subflow| {
        let end = subflow.address_of(by);
        subflow.join.is_some()
            && subflow.initiator == by.peer()
            && subflow.first.time >= announced.time
            && announced.is_of(end)
            && first.is_some_and(|first| first != end)
    })
}

/// Whether a subflow has the id of an announcement because another address had it before.
fn had_id_before(connection: &Connection, subflow: &Subflow, announced: &Announced) -> bool {
    let by = announced.by;
    let removed = connection.seldom.removals.iter().any(|removal| {
        removal.by == by
            && removal.id == announced.id
            && subflow.first.time <= removal.time
            && removal.time <= announced.time
    });
    let other = connection.addresses.iter().any(|other| {
        other.by == by
            && other.id == announced.id
            && other.address != announced.address
            && other.address == subflow.address_of(by).0
    });
    removed || other
}

fn never_used(finder: &mut Finder<'_, '_>, connection: &Connection, announced: &Announced) {
    let used = connection.subflows.iter().any(|subflow| {
        announced.is_of(subflow.address_of(announced.by))
            || (subflow.join.is_some()
                && subflow.address_ids[announced.by] == Some(announced.id)
                && !had_id_before(connection, subflow, announced))
    });
    // Data that is not there came over subflows that are not there either.
    let holes = Side::BOTH.into_iter().any(|side| connection.data[side].missing() > 0);
    // A join is known for one of this connection by the token in its SYN.
    let known = |side: Side| connection.ends[side].token().is_some() && connection.shows_packets_of(side);
    if used
        || holes
        || !Side::BOTH.into_iter().all(known)
        || connection.fallback.is_some()
        || (announced.echoed.is_none() && connection.close() == Close::Open)
    {
        return;
    }
    let text = format!(
        "The {} announced {} in frame {}, and no subflow to it or from it shows in this capture.",
        announced.by.name(),
        name(announced),
        finder.frame(announced.frame),
    );
    finder.report(rule::ADDRESS_NEVER_USED, None, &[announced.frame], text);
}

/// The receiver of REMOVE_ADDR must close the subflows that use the address.
fn not_obeyed(finder: &mut Finder<'_, '_>, connection: &Connection, removal: &Removal) {
    let (by, peer) = (removal.by, removal.by.peer());
    let announced_since = |known: &Announced| known.by == by && known.id == removal.id && known.time > removal.time;
    if connection.addresses.iter().any(announced_since) {
        return;
    }
    for (index, subflow) in finder.subflows().filter(|(_, subflow)| subflow.address_id(by) == Some(removal.id)) {
        let half = &subflow.halves[peer];
        let later = half.last_data_time.since(removal.time);
        let (true, Some(last)) = (subflow.first.time < removal.time, half.last_data) else { continue };
        // What was under way may come.
        if later < OBEYED_WITHIN + 2 * subflow.handshake_ns() {
            continue;
        }
        let text = format!(
            "The {} removed address id {} in frame {}, and the {} sent new data on subflow {index}, which uses it, until frame {}, {} later: it did not obey, or the REMOVE_ADDR did not reach it.",
            by.name(),
            removal.id,
            finder.frame(removal.frame),
            peer.name(),
            finder.frame(last),
            text::duration(later),
        );
        finder.report(rule::REMOVE_ADDR_NOT_OBEYED, Some(index), &[removal.frame, last], text);
    }
}

/// A private address behind a public connection.
fn private(finder: &mut Finder<'_, '_>, connection: &Connection, announced: &Announced) {
    let Some(initial) = connection.initial() else { return };
    let (near, far) = (initial.address_of(announced.by).0, initial.address_of(announced.by.peer()).0);
    if !is_private(announced.address) || is_private(near) || is_private(far) {
        return;
    }
    let reached =
        |subflow: &Subflow| subflow.is_established() && subflow.address_of(announced.by).0 == announced.address;
    if connection.subflows.iter().any(reached) {
        return;
    }
    let text = format!(
        "The {} announced {} in frame {}, a private address, over a connection between public ones ({near} and {far}): the peer most likely cannot reach it.",
        announced.by.name(),
        name(announced),
        finder.frame(announced.frame),
    );
    finder.report(rule::PRIVATE_ADDRESS_ANNOUNCED, None, &[announced.frame], text);
}

/// Not routed in the public Internet: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 §2.5.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_private() || address.is_link_local() || address.is_loopback() || shared
        }
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 || address.is_loopback()
        }
    }
}

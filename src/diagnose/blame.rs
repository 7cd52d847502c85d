//! Whose fault it is that an option of the first handshake is not answered.

use super::blanked::overwritten;
use super::views::is_at;
use crate::capture::Inputs;
use crate::track::connection::{Anomaly, AnomalyKind, Connection};
use crate::track::side::Side;

/// What of the SYN's option makes it one that must be ignored (RFC 8684 §3.1).
pub(super) fn void_by(connection: &Connection) -> Option<&'static str> {
    let (_, syn) = connection.handshake.syn?;
    let of_syn = |anomaly: &&Anomaly| anomaly.side == Side::Client && anomaly.frame == syn;
    connection.seldom.anomalies.iter().filter(of_syn).find_map(|anomaly| match anomaly.kind {
        AnomalyKind::CapableFlagsIllegal(_) => Some("flags of the SYN's option make"),
        AnomalyKind::MalformedOption(..) => Some("length of the SYN's option makes"),
        _ => None,
    })
}

/// What made the SYN's option void on the way: at one place it is, and at another it is not.
pub(super) fn made_void(connection: &Connection, views: &[&Connection]) -> Option<&'static str> {
    let all = || std::iter::once(connection).chain(views.iter().copied()).filter(|view| view.handshake.syn.is_some());
    let void = all().find_map(void_by)?;
    all().any(|view| void_by(view).is_none()).then_some(void)
}

/// The SYN asked, the SYN/ACK is silent.
pub(super) fn by_of_bare_syn_ack(
    connection: &Connection,
    views: &[&Connection],
    inputs: Inputs<'_>,
) -> Option<&'static str> {
    if connection.initial().and_then(overwritten).is_some() {
        return Some("path");
    }
    let seen_elsewhere =
        |view: &&&Connection| view.initial().is_some_and(|initial| initial.syn.is_some() && initial.syn_ack.is_some());
    let elsewhere = || views.iter().filter(seen_elsewhere);
    let lost = |view: &&Connection| view.handshake.syn.is_none() || view.handshake.syn_ack.is_some();
    if elsewhere().any(lost) {
        return Some("path");
    }
    // Only at its own host is a server proven to be silent: anywhere else, what lies beyond may have taken the option.
    let at_server = elsewhere().any(|view| is_at(view, Side::Server, inputs));
    at_server.then_some("server")
}

/// SYN and SYN/ACK agreed, the third ACK is silent: the client saw a SYN/ACK without option, or its ACK lost it. Only where
/// the capture was made at the client, whose answer comes at once, did it leave the option out itself.
pub(super) fn by_of_bare_ack(connection: &Connection, views: &[&Connection], inputs: Inputs<'_>) -> &'static str {
    let proven = views.iter().any(|view| {
        view.handshake.syn.is_some() && (view.handshake.bare_syn_ack.is_some() || view.handshake.ack.is_some())
    });
    let agreed_at_client = std::iter::once(&connection).chain(views).any(|view| {
        is_at(view, Side::Client, inputs) && view.handshake.syn_ack.is_some() && view.handshake.bare_ack.is_some()
    });
    if agreed_at_client && !views.is_empty() && !proven { "client" } else { "path" }
}

/// What lies farther on shows the client's SYN without the option, and none of those with it before: they got lost between.
pub(super) fn drops_option<'a>(connection: &Connection, views: &[&'a Connection]) -> Option<&'a Connection> {
    let with = connection.handshake.syns.iter().filter(|syn| syn.2).count();
    let bare_only = |view: &&&Connection| {
        let syns = &view.handshake.syns;
        view.handshake.syn.is_none() && !syns.is_empty() && syns.iter().all(|syn| !syn.2)
    };
    views.iter().find(bare_only).copied().filter(|_| with > 1)
}

//! Fallbacks that the SYN/ACK shows, and what it tells of devices on the way.

use super::blame::{made_void, void_by};
use super::fallback::{Verdict, syn_frame};
use super::rules::fallback as rule;
use super::{Finder, endpoint};
use crate::track::connection::{Connection, FallbackSeen};
use crate::track::side::Side;

pub(super) fn without_option(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let frame = finder.frame(seen.frame);
    let syn = syn_frame(connection);
    let asked = syn.map_or_else(String::new, |syn| format!(" in frame {}", finder.frame(syn)));
    let server = connection.initial().map_or_else(String::new, |initial| endpoint(initial.address_of(Side::Server)));
    // Most servers speak one version only.
    let version = connection.handshake.syn.map_or_else(String::new, |(syn, _)| format!(" version {}", syn.version));
    let no_peer = format!("it does not speak MPTCP{version} on this port");
    let no_server = format!("the server does not speak MPTCP{version} on this port");
    let views = &finder.evidence.views;
    let elsewhere = views.iter().any(|view| view.handshake.syn.is_some() && view.handshake.syn_ack.is_none());
    let why = match finder.evidence.fallback_by() {
        Some("path") => match made_void(connection, views) {
            Some(void) => &format!("on the way, the {void} it void, so a server must ignore it"),
            None => "the option was removed on the way",
        },
        Some("client") => {
            let void = void_by(connection).unwrap_or_default();
            &format!("the {void} it void, so a server must ignore it")
        }
        Some("server") => {
            &format!("the SYN reached the server with its option and the server did not answer it: {no_peer}")
        }
        _ if elsewhere => &format!("another capture shows the same: the option is lost beyond both, or {no_server}"),
        _ if connection.asks_for_checksums(Side::Client) == Some(true) => {
            &format!("{no_server} or refuses the checksums that the SYN asks for, or the option was removed on the way")
        }
        _ => &format!("{no_server}, or the option was removed on the way"),
    };
    let text = format!(
        "The client asked for MPTCP{asked} and the SYN/ACK of {server} (frame {frame}) carries no MP_CAPABLE: {why}."
    );
    (rule::FALLBACK_NO_OPTION_IN_SYN_ACK, text, syn.into_iter().collect())
}

/// A SYN/ACK whose MP_CAPABLE the client cannot use.
pub(super) fn bad_option(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let frame = finder.frame(seen.frame);
    let versions = connection.handshake.syn.zip(connection.handshake.syn_ack);
    let versions = versions.map(|((asked, _), (answer, _))| (asked.version, answer.version));
    // A server answers with a version that it has, and a client that does not have it goes on as TCP (RFC 8684 §3.1).
    if let Some((asked, answer)) = versions.filter(|(asked, answer)| answer < asked && !connection.handshake.not_asked)
    {
        let text = format!(
            "The client asked for version {asked} of MPTCP, the server answered with version {answer} (frame {frame}), and the client, which does not speak that, went on as TCP."
        );
        return (rule::FALLBACK_NO_COMMON_VERSION, text, syn_frame(connection).into_iter().collect());
    }
    let what = match versions.filter(|(asked, answer)| asked != answer) {
        _ if connection.handshake.not_asked => "has no meaning: the SYN had none".to_owned(),
        Some((asked, answer)) => {
            format!("is of version {answer}, and the client, which asked for version {asked}, went on as TCP")
        }
        None => "is malformed, lacks the server's key or must be ignored for its flags".to_owned(),
    };
    (rule::FALLBACK_BAD_OPTION, format!("The MP_CAPABLE in the SYN/ACK (frame {frame}) {what}."), Vec::new())
}

/// Signs that a SYN/ACK without MP_CAPABLE is not the server's own, or was rewritten.
pub(super) fn answered_on_the_way(finder: &mut Finder<'_, '_>, connection: &Connection) {
    let Some(initial) = connection.initial() else { return };
    let (Some(syn), Some(syn_ack)) = (&initial.syn, &initial.syn_ack) else { return };
    let mut signs: Vec<String> = Vec::new();
    // Interfaces at different places of the path see different TTLs.
    let later = initial.halves.server.ttl;
    if later != 0 && later != syn_ack.ttl && initial.seldom.more_interfaces.is_empty() {
        signs.push(format!("it has TTL {} and what the server sends after it {later}", syn_ack.ttl));
    }
    // Window scale and timestamps come from one document (RFC 7323): a stack that has one has both.
    let scale = syn.window_scale.is_some() && syn_ack.window_scale.is_none();
    let offered_all = scale && syn.sack_permitted && syn.timestamps;
    if scale && syn.timestamps && syn_ack.timestamps {
        signs.push("it takes the timestamps that the SYN offers and not the window scale".to_owned());
    } else if offered_all && !syn_ack.sack_permitted && !syn_ack.timestamps {
        signs.push("it takes none of window scale, SACK and timestamps, all of which the SYN offers".to_owned());
    }
    if signs.is_empty() {
        return;
    }
    let text = format!(
        "The SYN/ACK in frame {} may come from a device on the way, or was rewritten by one: {}.",
        finder.frame(syn_ack.first.frame),
        signs.join("; "),
    );
    finder.report(rule::SYN_ACK_NOT_OF_SERVER, Some(0), &[syn.first.frame, syn_ack.first.frame], text);
}

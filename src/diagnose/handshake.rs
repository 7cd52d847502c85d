//! The first subflow's handshake, and options that break the rules.

use super::rules::handshake as rule;
use super::version_0::is_its_kernel;
use super::{Finder, endpoint, span};
use crate::text;
use crate::track::connection::outcome::Outcome;
use crate::track::connection::{Anomaly, AnomalyKind, Connection, FallbackCause};
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::{Subflow, SynSeen};
use crate::wire::Subtype;

/// No stack sends a SYN again sooner: what comes faster is a copy, as a NAT or a bridge makes them.
const RETRANSMISSION_NS: u64 = 200_000_000;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    // No answer is one that reaches the client.
    let at_client = finder.evidence.seen_by(Side::Client);
    if let Some(initial) = connection.initial() {
        match (connection.outcome(), at_client.outcome(), at_client.initial()) {
            (Outcome::Refused, ..) => refused(finder, initial),
            (_, Outcome::Unanswered, Some(initial)) => unanswered(finder, at_client, initial),
            _ => late(finder, connection, initial),
        }
    }
    if !connection.seldom.anomalies.is_empty() {
        rules_broken(finder);
    }
}

fn refused(finder: &mut Finder<'_, '_>, initial: &Subflow) {
    let Some(reset) = initial.reset() else { return };
    let mut frames = vec![initial.first.frame, reset.at.frame];
    frames.dedup();
    let text = format!(
        "{} answered the SYN with a RST in frame {}: nobody listens there, or a firewall rejects it.",
        endpoint(initial.address_of(Side::Server)),
        finder.frame(reset.at.frame),
    );
    finder.report(rule::CONNECTION_REFUSED, Some(0), &frames, text);
}

fn unanswered(finder: &mut Finder<'_, '_>, connection: &Connection, initial: &Subflow) {
    // A capture of one direction lacks answers: then the client goes on as if there were some.
    let Some(syn) = initial.syn.as_ref() else { return };
    let only_syns = initial.halves.client.segments <= u64::from(syn.retransmissions()) + 1;
    if connection.handshake.syn.is_none() || !only_syns {
        return;
    }
    // Clocks of two places do not compare.
    let own = std::ptr::eq(connection, finder.connection());
    let waited = if own { finder.evidence.capture_end } else { connection.last.time }.since(syn.first.time);
    // A capture that ends just then lacks time.
    if syn.retransmissions() == 0 && waited < span::SECOND {
        return;
    }
    let all = u64::from(syn.retransmissions()) + 1;
    let syns = &connection.handshake.syns;
    // A client that gives MPTCP up sends the rest without the option, those that were not remembered too.
    let gave_up = connection.handshake.given_up().is_some();
    let with = if gave_up { syns.iter().filter(|syn| syn.2).count() as u64 } else { all };
    let mut text = format!(
        "{} to {} with MP_CAPABLE got no answer in the {} until the capture ends",
        text::counted(with, "SYN"),
        endpoint(initial.address_of(Side::Server)),
        text::duration(waited),
    );
    if gave_up {
        let without = all.saturating_sub(with);
        text.push_str(&format!(", and neither did {without} without it: that is no matter of MPTCP"));
    }
    let mut frames: Vec<Mark> = syns.iter().map(|syn| syn.0).collect();
    if let Some(answer) =
        finder.evidence.all().filter_map(Connection::initial).find_map(|initial| initial.syn_ack.as_ref())
    {
        let frame = finder.frame(answer.first.frame);
        text.push_str(&format!(". The server answered (frame {frame}), and the answer is lost on the way back"));
        frames.push(answer.first.frame);
    } else if let Some(why) = super::undelivered(finder, initial, &mut frames) {
        text.push_str(&format!(": {why}"));
    }
    text.push('.');
    finder.report(rule::CONNECTION_UNANSWERED, Some(0), &frames, text);
    // What the advice tells to try, the client has tried.
    if gave_up {
        finder.advice_is_moot();
    }
}

/// The SYN or the SYN/ACK was lost, and the connection is MPTCP all the same.
fn late(finder: &mut Finder<'_, '_>, connection: &Connection, initial: &Subflow) {
    let (Some(syn), Some(syn_ack)) = (&initial.syn, &initial.syn_ack) else { return };
    let retried = connection.fallback.is_some_and(|seen| seen.cause == FallbackCause::SynRetriedWithoutOption);
    if connection.handshake.syn.is_none() || retried || syn.retransmissions() + syn_ack.retransmissions() == 0 {
        return;
    }
    let mut frames = vec![syn.first.frame, syn_ack.last().frame];
    if let Some(text) = late_opening(finder, initial, syn, syn_ack, &mut frames) {
        finder.report(rule::SYN_RETRANSMITTED, Some(0), &frames, text);
    }
}

/// `The SYN was sent 3 times before the handshake went on, 3.01 s after the first SYN.`
pub(super) fn late_opening(
    finder: &Finder<'_, '_>,
    subflow: &Subflow,
    syn: &SynSeen,
    syn_ack: &SynSeen,
    frames: &mut Vec<Mark>,
) -> Option<String> {
    let delay = syn_ack.last().time.since(syn.first.time);
    if delay < RETRANSMISSION_NS {
        return None;
    }
    let (what, copies) = match (syn.retransmissions(), syn_ack.retransmissions()) {
        (0, 0) => return None,
        (0, copies) => ("SYN/ACK", copies),
        (copies, _) => ("SYN", copies),
    };
    // Nothing but SYNs of its initiator: it is not known to have had an answer.
    let sent = subflow.halves[subflow.initiator].segments;
    let stuck = subflow.reset().is_none() && sent > 0 && sent <= u64::from(syn.retransmissions()) + 1;
    if stuck && subflow.seldom.attempts.is_none() {
        return Some(format!(
            "The SYN was sent {} and the SYN/ACK {}, the last {} after the first SYN, and the {} never went on: the SYN/ACK does not reach it, or its answer does not come here.",
            super::times(u64::from(syn.retransmissions()) + 1),
            super::times(u64::from(syn_ack.retransmissions()) + 1),
            text::duration(delay),
            subflow.initiator.name(),
        ));
    }
    let attempts = subflow.seldom.attempts.map_or_else(String::new, |(count, reset)| {
        frames.push(reset.at.frame);
        let (by, frame) = (reset.by.name(), finder.frame(reset.at.frame));
        let what = text::counted(u64::from(count), "attempt");
        format!(": {what} ended with a RST in the {by}'s name, the last in frame {frame}")
    });
    Some(format!(
        "The {what} was sent {} before the handshake went on, {} after the first SYN{attempts}.",
        super::times(u64::from(copies) + 1),
        text::duration(delay),
    ))
}

fn rules_broken(finder: &mut Finder<'_, '_>) {
    use AnomalyKind as Kind;
    let malformed = |kind| if let Kind::MalformedOption(subtype, error) = kind { Some((subtype, error)) } else { None };
    many(finder, malformed, rule::OPTION_MALFORMED, |(subtype, error), who| {
        let option = subtype.map_or_else(|| "an MPTCP option".to_owned(), |subtype| format!("an option {subtype}"));
        let why = error.map_or_else(String::new, |error| format!(": {error}"));
        format!("The {who} sent {option} that cannot be read{why}")
    });
    let dialect = finder.connection().dialect;
    let misplaced = |kind| if let Kind::OptionOutOfPlace(subtype) = kind { Some(subtype) } else { None };
    many(finder, misplaced, rule::OPTION_OUT_OF_PLACE, |subtype, who| {
        let place = match subtype {
            Subtype::MP_TCPRST if is_its_kernel(dialect) => ", which version 0 does not have",
            Subtype::MP_TCPRST => " on a segment without RST, where it has no meaning",
            _ => " where it has no meaning",
        };
        format!("The {who} sent {subtype}{place}")
    });
    let illegal = |kind| if let Kind::CapableFlagsIllegal(flags) = kind { Some(flags) } else { None };
    many(finder, illegal, rule::MP_CAPABLE_FLAGS_ILLEGAL, |flags, who| {
        format!("The {who} sent MP_CAPABLE with flags {flags:02x}, which make it void")
    });
    let above = |kind| if let Kind::VersionIllegal(version) = kind { Some(version) } else { None };
    many(finder, above, rule::VERSION_ILLEGAL, |version, who| {
        format!("The {who} answered with MPTCP version {version}, which the SYN did not offer")
    });
    many(finder, just(Kind::KeysContradict), rule::KEYS_CONTRADICT, |(), who| {
        format!("The {who} sent MP_CAPABLE with a key other than the one shown before")
    });
}

/// Takes anomalies of a kind about which there is no more to say.
pub(super) fn just(kind: AnomalyKind) -> impl Fn(AnomalyKind) -> Option<()> {
    move |other| (other == kind).then_some(())
}

/// One finding for all anomalies of a kind: `of` tells whether one is, and what is to be said of it.
pub(super) fn many<T>(
    finder: &mut Finder<'_, '_>,
    of: impl Fn(AnomalyKind) -> Option<T>,
    rule: &'static crate::diagnose::Explanation,
    sentence: impl Fn(T, &str) -> String,
) {
    let anomalies = finder.anomalies().copied();
    many_of(finder, anomalies, of, rule, sentence);
}

/// [`many`], of these anomalies.
pub(super) fn many_of<T>(
    finder: &mut Finder<'_, '_>,
    anomalies: impl Iterator<Item = Anomaly>,
    of: impl Fn(AnomalyKind) -> Option<T>,
    rule: &'static crate::diagnose::Explanation,
    sentence: impl Fn(T, &str) -> String,
) {
    let of = &of;
    let mut all = anomalies.filter_map(|anomaly| Some((anomaly, of(anomaly.kind)?)));
    let Some((first, told)) = all.next() else { return };
    let mut frames = vec![first.frame];
    frames.extend(first.other);
    let mut count = 1;
    let mut one_subflow = true;
    for (more, _) in all {
        frames.push(more.frame);
        frames.extend(more.other);
        one_subflow &= more.subflow == first.subflow;
        count += 1;
    }
    let mut text = sentence(told, first.side.name());
    text.push_str(&format!(" (frame {})", finder.frame(first.frame)));
    if count > 1 {
        text.push_str(&format!(", {} in all", super::times(count)));
    }
    text.push('.');
    finder.report(rule, one_subflow.then_some(first.subflow), &frames, text);
}

//! Joins: refused, unanswered, half-way, or with a wrong proof.

use super::handshake::{just, late_opening, many};
use super::join_data;
use super::join_seen::{decided_by, lacks_proof_of_syn_ack, lacks_proof_of_third_ack, third_ack_got_lost, where_lost};
use super::join_token::token_mismatch;
use super::rules::joins as rule;
use super::version_0::is_its_kernel;
use super::views::keeps_back;
use super::{Finder, endpoint, other_key, span, twin};
use crate::text;
use crate::track::connection::outcome::SubflowState;
use crate::track::connection::{AnomalyKind, Connection};
use crate::track::mark::{Mark, Moment};
use crate::track::side::Side;
use crate::track::subflow::{Join, JoinProof, Reset, Subflow};
use crate::track::verdict::Verdict;
use crate::wire::ResetReason;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    for (index, subflow) in finder.subflows().filter(|(_, subflow)| subflow.join.is_some()) {
        let (seen, shown) = decided_by(finder, index, subflow);
        if let Some(join) = &shown.join {
            one(finder, seen, index, shown, join);
        }
    }
    if !connection.seldom.anomalies.is_empty() {
        many(finder, just(AnomalyKind::JoinDenied), rule::JOIN_DESPITE_C_FLAG, |(), who| {
            format!(
                "The {who} sent a join to the address of the first subflow although the peer had set flag C, which forbids it"
            )
        });
    }
}

fn one(finder: &mut Finder<'_, '_>, connection: &Connection, index: u16, subflow: &Subflow, join: &Join) {
    let proof = connection.prove_join(subflow, join);
    if proof.syn_ack.is_mismatch() || proof.ack.is_mismatch() {
        return hmac_mismatch(finder, index, subflow, join, &proof);
    }
    if let Some(bare) = lacks_proof_of_syn_ack(join) {
        return syn_ack_without_option(finder, index, subflow, join, bare);
    }
    let state = subflow.state();
    if let Some(bare) = lacks_proof_of_third_ack(connection, subflow, join) {
        return ack_without_option(finder, index, subflow, join, bare);
    }
    if third_ack_got_lost(finder, connection, index, subflow, join) {
        return;
    }
    if proof.token.is_mismatch() && (proof.syn_ack.is_verified() || proof.ack.is_verified()) {
        token_mismatch(finder, index, subflow, join, &proof);
    }
    if complete(join) {
        join_data::look(finder, connection, index, subflow);
    }
    match (state, subflow.reset()) {
        (SubflowState::Refused | SubflowState::Reset, Some(reset)) if subflow.was_given_up() => {
            gave_up(finder, connection, index, subflow, join, &reset);
        }
        (SubflowState::Refused, Some(reset)) => refused(finder, connection, index, subflow, &reset),
        (SubflowState::Unanswered, _) => unanswered(finder, connection, index, subflow),
        (SubflowState::HalfOpen, _) => incomplete(finder, connection, index, subflow, join),
        _ => late(finder, index, subflow),
    }
}

/// SYN/ACK and third ACK came with their HMACs.
fn complete(join: &Join) -> bool {
    join.syn_ack_hmac.is_some() && join.ack_hmac.is_some()
}

/// `10.8.2.1:38757 → 10.8.1.2:8080`.
pub(super) fn route(subflow: &Subflow) -> String {
    let (from, to) = (subflow.initiator, subflow.initiator.peer());
    format!("{} → {}", endpoint(subflow.address_of(from)), endpoint(subflow.address_of(to)))
}

pub(super) fn syn_of(subflow: &Subflow) -> Mark {
    subflow.syn.as_ref().map_or(subflow.first.frame, |syn| syn.first.frame)
}

fn hmac_mismatch(finder: &mut Finder<'_, '_>, index: u16, subflow: &Subflow, join: &Join, proof: &JoinProof) {
    let of_syn_ack = proof.syn_ack.is_mismatch();
    let (what, by, frame, counter) = if of_syn_ack {
        ("SYN/ACK", subflow.initiator.peer(), join.syn_ack_frame, "MPTcpExtMPJoinSynAckHMacFailure")
    } else {
        ("third ACK", subflow.initiator, join.ack_frame, "MPTcpExtMPJoinAckHMacFailure")
    };
    let frame = frame.unwrap_or(subflow.first.frame);
    let mut frames = vec![frame];
    let text = format!(
        "The HMAC in the {what} of the join {} (frame {}) does not follow from the keys of the connection: changed on the way, or not sent by the {}{}.",
        route(subflow),
        finder.frame(frame),
        by.name(),
        and_reset(finder, subflow, &mut frames),
    );
    finder.report_with(rule::JOIN_HMAC_MISMATCH, Some(index), &frames, text, Some(counter));
}

fn syn_ack_without_option(finder: &mut Finder<'_, '_>, index: u16, subflow: &Subflow, join: &Join, bare: Mark) {
    let syn = syn_of(subflow);
    let mut frames = vec![syn, bare];
    let (what, why) = if join.echoed {
        ("that repeats the MP_JOIN of the SYN", "a middlebox echoes options, and the server's own answer is not there")
    } else {
        ("without MP_JOIN", who_left_it_out(finder, subflow, &mut frames))
    };
    let text = format!(
        "The SYN with MP_JOIN {} (frame {}) was answered by a SYN/ACK {what} (frame {}): {why}{}.",
        route(subflow),
        finder.frame(syn),
        finder.frame(bare),
        and_reset(finder, subflow, &mut frames),
    );
    finder.report(rule::JOIN_SYN_ACK_WITHOUT_OPTION, Some(index), &frames, text);
    finder.settle();
}

fn ack_without_option(finder: &mut Finder<'_, '_>, index: u16, subflow: &Subflow, join: &Join, bare: Mark) {
    let mut frames: Vec<Mark> = join.syn_ack_frame.into_iter().chain([bare]).collect();
    let text = format!(
        "The third ACK of the join {} (frame {}) carries no MP_JOIN although the SYN/ACK did: the option is stripped on this path{}.",
        route(subflow),
        finder.frame(bare),
        and_reset(finder, subflow, &mut frames),
    );
    finder.report(rule::JOIN_ACK_WITHOUT_OPTION, Some(index), &frames, text);
}

/// `; the client reset the subflow in frame 12`, where it did.
pub(super) fn and_reset(finder: &Finder<'_, '_>, subflow: &Subflow, frames: &mut Vec<Mark>) -> String {
    let Some(reset) = subflow.reset() else { return String::new() };
    frames.push(reset.at.frame);
    format!("; the {} reset the subflow in frame {}", reset.by.name(), finder.frame(reset.at.frame))
}

/// Why a SYN/ACK has no MP_JOIN: captures at other places tell.
fn who_left_it_out(finder: &Finder<'_, '_>, subflow: &Subflow, frames: &mut Vec<Mark>) -> &'static str {
    let twins =
        finder.evidence.all().filter_map(|view| twin(subflow, view)).filter(|(_, twin)| !std::ptr::eq(*twin, subflow));
    let mut verdict = "the option is stripped on this path, or the join reached a server without MPTCP";
    for (_, twin) in twins {
        let (Some(syn), Some(join)) = (&twin.syn, &twin.join) else { continue };
        if join.initiator_nonce.is_none() {
            frames.push(syn.first.frame);
            return "the SYN lost its option on the way";
        }
        if join.syn_ack_hmac.is_some() {
            frames.extend(join.syn_ack_frame);
            return "the SYN/ACK lost its option on the way";
        }
        if join.bare_syn_ack.is_some() {
            verdict = "the other capture shows it without MP_JOIN too: the option is lost beyond both, or the server did not send it";
        }
    }
    verdict
}

/// A RST to the SYN, or to the finished handshake before any data.
fn refused(finder: &mut Finder<'_, '_>, connection: &Connection, index: u16, subflow: &Subflow, reset: &Reset) {
    let syn = syn_of(subflow);
    let who = reset.by.name();
    let at = finder.frame(reset.at.frame);
    let complete = subflow.join.as_ref().is_some_and(|join| join.ack_hmac.is_some());
    let answer_to = match (reset.of_syn, complete) {
        (true, _) => "the SYN",
        (false, true) => "the complete handshake",
        (false, false) if reset.by != subflow.initiator => "the handshake",
        (false, false) => "the SYN/ACK",
    };
    // The SYN/ACK is its own: what it refuses came in the place of the third ACK.
    let own_answer = subflow.syn_ack.as_ref().filter(|_| !reset.of_syn && !complete && reset.by != subflow.initiator);
    let head = match own_answer {
        Some(syn_ack) => format!(
            "The {who} reset the join {} in frame {at}, {} after its SYN/ACK (frame {}, sent {}), which no third ACK with MP_JOIN had answered",
            route(subflow),
            text::duration(reset.at.time.since(syn_ack.first.time)),
            finder.frame(syn_ack.first.frame),
            super::times(u64::from(syn_ack.retransmissions()) + 1),
        ),
        None => format!("The {who} answered {answer_to} of the join {} with a RST in frame {at}", route(subflow)),
    };
    if was_closing(connection, reset) {
        let text = format!("{head}: the connection was already closing.");
        return finder.report(rule::JOIN_REFUSED_AT_CLOSE, Some(index), &[syn, reset.at.frame], text);
    }
    if let Some(fallback) = earlier_fallback(connection, subflow, reset) {
        return refused_after_fallback(finder, connection, index, reset, &head, &[syn, reset.at.frame, fallback]);
    }
    let (rule, why) = why_refused(connection, subflow, reset, complete);
    let hint = refusal_hint(connection, index, subflow, rule).unwrap_or_default();
    finder.report(rule, Some(index), &[syn, reset.at.frame], format!("{head}{why}{hint}."));
    if other_key::is_used(connection, subflow.initiator.peer()) {
        finder.advice_is_moot();
    }
}

/// What a refusal says, and what to call it. `complete`: it came after the third ACK.
fn why_refused(
    connection: &Connection,
    subflow: &Subflow,
    reset: &Reset,
    complete: bool,
) -> (&'static super::Explanation, String) {
    let responder = subflow.initiator.peer();
    let reason = reset.reason.map(|(why, _)| format!("{} (reason {})", why.meaning(), why.0));
    let port = |subflow: &Subflow| subflow.address_of(responder).1;
    let version_0 = connection.dialect.is_some_and(|dialect| dialect.version() == 0);
    let first_port = connection.initial().map(port);
    let other_port = first_port.is_some_and(|first| first != port(subflow));
    // A client connects from a port; it does not listen there. The kernel of version 0 takes joins all the same.
    let of_client = responder == Side::Client && first_port.is_some() && !version_0;
    let proof = subflow.join.as_deref().map(|join| connection.prove_join(subflow, join));
    let foreign = proof.is_some_and(|proof| proof.token.is_mismatch());
    match reset.reason {
        Some((ResetReason::MPTCP_SPECIFIC, _)) if reset.of_syn && reset.by == responder => (
            rule::JOIN_REFUSED_UNKNOWN_TOKEN,
            format!(
                ": {}. It does not know the token{}",
                reason.unwrap_or_default(),
                if foreign || other_key::is_used(connection, responder) {
                    ", which is not its own"
                } else {
                    ", although it is right: the connection was gone there, or the join reached another host"
                }
            ),
        ),
        Some((ResetReason::PROHIBITED, _)) => {
            let all_right = |proof: JoinProof| [proof.token, proof.syn_ack, proof.ack].iter().all(Verdict::is_verified);
            let proven = if complete && proof.is_some_and(all_right) {
                ", although token and HMACs are right: a limit or its path manager forbids the subflow"
            } else {
                ": a limit or its path manager forbids the subflow"
            };
            (rule::JOIN_REFUSED_PROHIBITED, format!(": {}{proven}", reason.unwrap_or_default()))
        }
        Some(_) => (rule::JOIN_REFUSED_WITH_REASON, format!(": {}", reason.unwrap_or_default())),
        None if reset.of_syn && (other_port || of_client) && reset.by == responder => (
            rule::JOIN_REFUSED_NO_LISTENER,
            format!(
                " without a reason: nobody listens for joins on port {}{}",
                port(subflow),
                if other_port { "" } else { ", from which the client opened the connection" },
            ),
        ),
        None => {
            let hint = if reset.options_cut {
                "the capture cut its options"
            } else if version_0 {
                "version 0 has none to give"
            } else {
                "a firewall, a host without MPTCP, or the reason was stripped"
            };
            let foreign = if foreign { "; the token is not that of the end it goes to" } else { "" };
            (rule::JOIN_REFUSED_WITHOUT_REASON, format!(" without a reason ({hint}){foreign}"))
        }
    }
}

/// The connection was TCP by the time its SYN was refused as one of an unknown connection: the frame that shows it.
fn earlier_fallback(connection: &Connection, subflow: &Subflow, reset: &Reset) -> Option<Mark> {
    let unknown = reset.of_syn && reset.reason.is_none_or(|why| why.0 == ResetReason::MPTCP_SPECIFIC);
    let join = subflow.join.as_deref().filter(|_| unknown)?;
    // Frames of different inputs have no order.
    let before = |frame: Mark| frame.frame().input == reset.at.frame.frame().input && frame < reset.at.frame;
    let own = !connection.prove_join(subflow, join).token.is_mismatch();
    connection.fallback.map(|seen| seen.frame).filter(|&frame| own && before(frame))
}

fn refused_after_fallback(
    finder: &mut Finder<'_, '_>,
    connection: &Connection,
    index: u16,
    reset: &Reset,
    head: &str,
    frames: &[Mark],
) {
    // Mainline Linux forgets the token of a connection that falls back; the kernel of version 0 keeps it, and counts apart.
    let (rule, counter) = match reset.reason {
        Some(_) => (rule::JOIN_REFUSED_UNKNOWN_TOKEN, rule::JOIN_REFUSED_UNKNOWN_TOKEN.counter),
        None if is_its_kernel(connection.dialect) => {
            (rule::JOIN_REFUSED_WITHOUT_REASON, Some("MPTcpExtMPJoinAlreadyFallenback"))
        }
        None => (rule::JOIN_REFUSED_WITHOUT_REASON, None),
    };
    let at = frames.last().map_or_else(String::new, |&fallback| finder.frame(fallback).to_string());
    let text = format!(
        "{head}{}: the connection had fallen back to TCP in frame {at}, and has one subflow from then on.",
        super::close::reason(reset, connection.dialect),
    );
    finder.report_with(rule, Some(index), frames, text, counter);
    finder.advice_is_moot();
}

/// What other subflows of the connection add to a refusal.
fn refusal_hint(
    connection: &Connection,
    index: u16,
    subflow: &Subflow,
    rule: &'static crate::diagnose::Explanation,
) -> Option<String> {
    let responder = subflow.initiator.peer();
    let others = || connection.subflows.iter().enumerate().filter(|(other, _)| *other != usize::from(index));
    let first_address = connection.initial()?.address_of(responder);
    let to_first = subflow.address_of(responder) == first_address;
    let announced = others().find(|(_, other)| {
        other.join.is_some() && other.is_established() && other.address_of(responder).0 != first_address.0
    });
    if rule.id == rule::JOIN_REFUSED_UNKNOWN_TOKEN.id
        && to_first
        && let Some((works, other)) = announced
    {
        return Some(format!(
            ". Subflow {works} to {} works: a load balancer or anycast seems to lead joins to the first address elsewhere",
            endpoint(other.address_of(responder)),
        ));
    }
    let hosts = |subflow: &Subflow| (subflow.address_of(Side::Client).0, subflow.address_of(Side::Server).0);
    let same_path = others().find(|(_, other)| {
        other.first.time <= subflow.first.time && other.is_established() && hosts(other) == hosts(subflow)
    });
    same_path.map(|(known, _)| format!(". Subflow {known} joins the same two addresses already"))
}

/// Whether the connection was at its end when a join was refused.
fn was_closing(connection: &Connection, reset: &Reset) -> bool {
    let before = |time| time <= reset.at.time;
    Side::BOTH.into_iter().any(|side| connection.data[side].fin_time.is_some_and(before))
        || connection.seldom.fastclose.is_some_and(|(_, at, _)| before(at.time))
        || connection.initial().is_some_and(|initial| initial.reset().is_some_and(|initial| before(initial.at.time)))
}

fn gave_up(
    finder: &mut Finder<'_, '_>,
    connection: &Connection,
    index: u16,
    subflow: &Subflow,
    join: &Join,
    reset: &Reset,
) {
    if join.is_unanswered() {
        return unanswered_third_ack(finder, index, subflow, join);
    }
    let who = reset.by.name();
    let at = finder.frame(reset.at.frame);
    let mut frames = vec![syn_of(subflow), reset.at.frame];
    let mut head = format!("The {who} gave up its join {} with a RST in frame {at}", route(subflow));
    if let Some(syn_ack) = &subflow.syn_ack {
        frames.push(syn_ack.first.frame);
        let answer = finder.frame(syn_ack.first.frame);
        head = format!(
            "The {who} answered the SYN/ACK of its join {} (frame {answer}) with a RST in frame {at}",
            route(subflow)
        );
    }
    if was_closing(connection, reset) {
        let text = format!("{head}: the connection was already closing.");
        return finder.report(rule::JOIN_REFUSED_AT_CLOSE, Some(index), &frames, text);
    }
    let unseen = if subflow.syn_ack.is_none() { "; what it got as an answer is not in this capture" } else { "" };
    let text = format!("{head}{}{unseen}.", super::close::reason(reset, connection.dialect));
    finder.report(rule::JOIN_INCOMPLETE, Some(index), &frames, text);
}

fn unanswered(finder: &mut Finder<'_, '_>, connection: &Connection, index: u16, subflow: &Subflow) {
    let Some(syn) = subflow.syn.as_ref() else { return };
    let waited = finder.evidence.capture_end.since(syn.first.time);
    let (initiator, responder) = (subflow.initiator, subflow.initiator.peer());
    // A capture of one direction lacks answers, one that ends just then lacks time.
    let only_syns = subflow.halves[initiator].segments <= u64::from(syn.retransmissions()) + 1;
    let peer_seen = connection.shows_packets_of(responder);
    let mut frames = vec![syn.first.frame, syn.last().frame];
    let lost = super::undelivered(finder, subflow, &mut frames).or_else(|| where_lost(finder, subflow, &mut frames));
    let too_soon = lost.is_none() && syn.retransmissions() == 0 && waited < span::SECOND;
    if !only_syns || !peer_seen || too_soon {
        return;
    }
    let end = subflow.address_of(responder);
    let announced =
        finder.connection().addresses.iter().find(|announced| announced.by == responder && announced.is_of(end));
    let announced = announced.map_or_else(String::new, |announced| {
        frames.push(announced.frame);
        format!(
            " The {} announced this address in frame {}: it may not be reachable from here.",
            announced.by.name(),
            finder.frame(announced.frame)
        )
    });
    let text = format!(
        "{} with MP_JOIN {} got no answer in {}: {}.{announced}",
        text::counted(u64::from(syn.retransmissions()) + 1, "SYN"),
        route(subflow),
        text::duration(waited),
        lost.unwrap_or_else(|| "the path or a firewall drops them, or there is no route".to_owned()),
    );
    finder.report(rule::JOIN_UNANSWERED, Some(index), &frames, text);
    if keeps_back(finder.evidence, subflow).is_some() {
        finder.advice_is_moot();
    }
}

fn incomplete(finder: &mut Finder<'_, '_>, connection: &Connection, index: u16, subflow: &Subflow, join: &Join) {
    let one_direction = Side::BOTH.into_iter().any(|side| subflow.halves[side].segments == 0);
    if one_direction {
        return;
    }
    if join.is_unanswered() {
        return unanswered_third_ack(finder, index, subflow, join);
    }
    let (Some(frame), Some(syn_ack)) = (join.syn_ack_frame, &subflow.syn_ack) else { return };
    // A connection that ends has no use for the join any more.
    let ended = Side::BOTH.into_iter().filter_map(|side| connection.data[side].fin_time);
    let ended = ended.chain(connection.seldom.fastclose.map(|(_, at, _)| at.time)).min();
    let end = ended.unwrap_or(finder.evidence.capture_end).min(finder.evidence.capture_end);
    let silent = end.since(syn_ack.first.time);
    // What is not the third ACK, but comes after it, shows that it is missing in the capture only.
    if silent < span::SECOND || join.ack_hmac.is_some() || subflow.third_ack.is_some() {
        return;
    }
    let text = format!(
        "The join {} got its SYN/ACK in frame {}, but no third ACK followed in {}.",
        route(subflow),
        finder.frame(frame),
        text::duration(silent),
    );
    finder.report(rule::JOIN_INCOMPLETE, Some(index), &[syn_of(subflow), frame], text);
}

/// The initiator sent its third ACK again and again.
fn unanswered_third_ack(finder: &mut Finder<'_, '_>, index: u16, subflow: &Subflow, join: &Join) {
    let (Some(first), Some((last, repeats))) = (join.ack_frame, join.ack_repeats) else { return };
    let mut frames = vec![first, last.frame];
    let text = format!(
        "The {} sent the third ACK of the join {} {}, first in frame {} and last in frame {}, and the {} never answered it{}.",
        subflow.initiator.name(),
        route(subflow),
        super::times(u64::from(repeats) + 1),
        finder.frame(first),
        finder.frame(last.frame),
        subflow.initiator.peer().name(),
        and_reset(finder, subflow, &mut frames),
    );
    finder.report(rule::JOIN_INCOMPLETE, Some(index), &frames, text);
}

fn late(finder: &mut Finder<'_, '_>, index: u16, subflow: &Subflow) {
    let (Some(syn), Some(syn_ack)) = (&subflow.syn, &subflow.syn_ack) else { return };
    let mut frames = vec![syn.first.frame, syn_ack.last().frame];
    if let Some(text) = late_opening(finder, subflow, syn, syn_ack, &mut frames) {
        return finder.report(rule::JOIN_RETRANSMITTED, Some(index), &frames, text);
    }
    // An answer that came before a copy got lost on its way.
    let late = |(answer, (last, repeats)): &((Mark, Mark), (Moment, u32))| *repeats > 0 && last.frame < answer.0;
    let answered = subflow.join.as_deref().and_then(|join| join.confirmed.zip(join.ack_frame).zip(join.ack_repeats));
    let Some(((confirmed, first), (last, repeats))) = answered.filter(late) else { return };
    let text = format!(
        "The third ACK of the join {} (frame {}) was sent {}, the last {} after the SYN/ACK, before the {} answered it in frame {}.",
        route(subflow),
        finder.frame(first),
        super::times(u64::from(repeats) + 1),
        text::duration(last.time.since(syn_ack.last().time)),
        subflow.initiator.peer().name(),
        finder.frame(confirmed),
    );
    finder.report(rule::JOIN_RETRANSMITTED, Some(index), &[first, last.frame, confirmed], text);
}

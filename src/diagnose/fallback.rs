//! Why a connection went on as TCP, and who is to blame.

use super::blame::{by_of_bare_ack, by_of_bare_syn_ack, drops_option, made_void, void_by};
use super::blanked::{blanked, blanked_ack};
use super::one_way::{failed_one_way, never_spoke, no_option_after_syn, nobody_saw_agreement};
use super::rules::fallback as rule;
use super::silence::{self, lost_from};
use super::version_0::is_its_kernel;
use super::views::keeps_option_back;
use super::{Finder, counter, syn_ack};
use crate::capture::Inputs;
use crate::diagnose::Explanation;
use crate::text;
use crate::track::connection::{Connection, FallbackCause, FallbackSeen};
use crate::track::data::ORIGIN;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    if let Some(seen) = &connection.fallback {
        fell_back(finder, connection, seen);
        if seen.cause == FallbackCause::NoOptionInSynAck && finder.evidence.views.is_empty() {
            syn_ack::answered_on_the_way(finder, connection);
        }
    }
    for (index, subflow) in finder.subflows() {
        blanked(finder, connection, index, subflow);
    }
}

/// Who made a connection fall back: `client`, `server`, `path`, or `None` where this capture cannot tell.
///
/// One capture tells by what follows from the protocol: an end that asked for MPTCP, or agreed to it, sends its options, so
/// where they are missing later the path took them. Another view of the connection tells for certain.
pub fn fallback_by(connection: &Connection, views: &[&Connection], inputs: Inputs<'_>) -> Option<&'static str> {
    let seen = connection.fallback?;
    match seen.cause {
        FallbackCause::NoOptionInSynAck if made_void(connection, views).is_some() => Some("path"),
        FallbackCause::NoOptionInSynAck if void_by(connection).is_some() => Some("client"),
        FallbackCause::NoOptionInSynAck => by_of_bare_syn_ack(connection, views, inputs),
        FallbackCause::NoOptionInThirdAck if nobody_saw_agreement(connection, views) => {
            by_of_bare_syn_ack(connection, views, inputs)
        }
        FallbackCause::NoOptionInThirdAck => Some(by_of_bare_ack(connection, views, inputs)),
        FallbackCause::OptionEchoed
        | FallbackCause::MpFail
        | FallbackCause::NoOptionOnData
        | FallbackCause::OptionsVanished => Some("path"),
        FallbackCause::SimultaneousOpen => None,
        FallbackCause::SynRetriedWithoutOption if drops_option(connection, views).is_some() => Some("path"),
        FallbackCause::InfiniteMapping | FallbackCause::BadOption | FallbackCause::SynRetriedWithoutOption => {
            seen.side.map(Side::name)
        }
    }
}

/// Flag B of a version 0 SYN: who does not know it takes no such SYN (RFC 6824 §3.1). Those are its flags.
fn must_be_dropped(connection: &Connection) -> Option<u8> {
    const EXTENSIBILITY: u8 = 0x40;
    let (syn, _) = connection.handshake.syn?;
    (syn.version == 0 && syn.flags & EXTENSIBILITY != 0).then_some(syn.flags)
}

/// The Linux counter that a fallback raises, at the end that notices it.
pub fn fallback_counter(seen: &FallbackSeen, connection: &Connection) -> Option<&'static str> {
    let name = match seen.cause {
        FallbackCause::BadOption if seen.side == Some(Side::Client) => "MPTcpExtMPCapableFallbackACK",
        FallbackCause::NoOptionInSynAck | FallbackCause::OptionEchoed | FallbackCause::BadOption => {
            "MPTcpExtMPCapableFallbackSYNACK"
        }
        FallbackCause::SynRetriedWithoutOption => "MPTcpExtMPCapableSYNTXDrop",
        // The server counts this one where it had agreed, the client another where the server had not.
        FallbackCause::NoOptionInThirdAck if connection.handshake.syn_ack.is_none() => return None,
        // The kernel of version 0 needs no MP_CAPABLE there; which counter it raises later depends on what else comes.
        FallbackCause::NoOptionInThirdAck if is_its_kernel(connection.dialect) => return None,
        FallbackCause::NoOptionInThirdAck => "MPTcpExtMPCapableFallbackACK",
        FallbackCause::NoOptionOnData if is_its_kernel(connection.dialect) && acknowledges_data(seen, connection) => {
            "MPTcpExtMPFallbackAckInit"
        }
        FallbackCause::NoOptionOnData if seen.side == Some(Side::Server) => "MPTcpExtMPCapableDataFallback",
        FallbackCause::NoOptionOnData => "MPTcpExtDssFallback",
        FallbackCause::MpFail => "MPTcpExtDataCsumErr",
        FallbackCause::InfiniteMapping => "MPTcpExtInfiniteMapRx",
        FallbackCause::SimultaneousOpen => "MPTcpExtSimultConnectFallback",
        FallbackCause::OptionsVanished if silence::is_taken_for_tcp(connection, seen) => "MPTcpExtDssFallback",
        FallbackCause::OptionsVanished => return None,
    };
    counter(name, connection.dialect)
}

/// The end whose options are missing acknowledges data of its peer by then: that is what the peer notices first, an
/// acknowledgement without DATA_ACK.
fn acknowledges_data(seen: &FallbackSeen, connection: &Connection) -> bool {
    let Some((initial, side)) = connection.initial().zip(seen.side) else { return false };
    initial.halves[side.peer()].first_data.is_some_and(|first| first < seen.frame)
}

fn fell_back(finder: &mut Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) {
    let (rule, message, mut frames) = match seen.cause {
        FallbackCause::NoOptionInSynAck => syn_ack::without_option(finder, connection, seen),
        FallbackCause::OptionEchoed => option_echoed(finder, connection, seen),
        FallbackCause::SynRetriedWithoutOption => syn_retried(finder, connection, seen),
        FallbackCause::NoOptionInThirdAck => no_option_in_third_ack(finder, connection, seen),
        FallbackCause::NoOptionOnData => no_option_on_data(finder, connection, seen),
        FallbackCause::OptionsVanished => options_vanished(finder, connection, seen),
        FallbackCause::MpFail => failed(finder, connection, seen),
        FallbackCause::InfiniteMapping => infinite_mapping(finder, connection, seen),
        FallbackCause::BadOption if seen.side == Some(Side::Client) => without_length(finder, connection, seen),
        FallbackCause::BadOption => syn_ack::bad_option(finder, connection, seen),
        FallbackCause::SimultaneousOpen => {
            let syn = syn_frame(connection);
            let text = format!(
                "Both ends sent a SYN{} before they had that of the other: a simultaneous open, in which MPTCP agrees on no keys.",
                syn.map_or_else(String::new, |syn| {
                    format!(" (frames {} and {})", finder.frame(syn), finder.frame(seen.frame))
                }),
            );
            (rule::FALLBACK_SIMULTANEOUS_OPEN, text, syn.into_iter().collect())
        }
    };
    frames.push(seen.frame);
    finder.report_with(rule, Some(0), &frames, message, fallback_counter(seen, connection));
    if matches!(
        seen.cause,
        FallbackCause::NoOptionInSynAck
            | FallbackCause::NoOptionInThirdAck
            | FallbackCause::NoOptionOnData
            | FallbackCause::OptionsVanished
    ) && finder.evidence.fallback_by().is_some()
    {
        finder.settle();
    }
    if is_settled(finder, connection, seen) {
        finder.advice_is_moot();
    }
}

/// Whether the captures show what the advice tells to look for.
fn is_settled(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> bool {
    match seen.cause {
        // NOPs in its place prove that the path removed it.
        FallbackCause::NoOptionInSynAck => {
            let void = void_by(connection).is_some() && made_void(connection, &finder.evidence.views).is_none();
            void || by_of_bare_syn_ack(connection, &[], finder.evidence.inputs) == Some("path")
        }
        FallbackCause::NoOptionInThirdAck => {
            connection.initial().is_some_and(|initial| blanked_ack(connection, initial).is_some())
        }
        // A SYN with the option arrived: nothing drops them.
        FallbackCause::SynRetriedWithoutOption => {
            connection.handshake.syn_ack.is_some()
                || keeps_option_back(finder.evidence).is_some()
                || must_be_dropped(connection).is_some()
                || drops_option(connection, &finder.evidence.views).is_some()
        }
        FallbackCause::NoOptionOnData | FallbackCause::OptionsVanished => {
            silence::cause(finder, connection, seen).is_some()
        }
        _ => false,
    }
}

fn infinite_mapping(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let who = seen.side.map_or("an end", Side::name);
    let why = if seen.side == Some(Side::Client) && never_spoke(connection) {
        ": nothing that the server sent after its SYN/ACK carries an MPTCP option, though it acknowledges data"
    } else {
        " without an MP_FAIL before it in this capture"
    };
    let text = format!("The {who} announced an infinite mapping in frame {}{why}.", finder.frame(seen.frame));
    (rule::FALLBACK_INFINITE_MAPPING, text, Vec::new())
}

pub(super) type Verdict = (&'static Explanation, String, Vec<Mark>);

pub(super) fn syn_frame(connection: &Connection) -> Option<Mark> {
    connection.handshake.syn.map(|(_, frame)| frame)
}

fn without_length(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let syn = connection.initial().and_then(|initial| initial.syn.as_ref()).filter(|syn| syn.fast_open() > 0);
    let fast_open = syn.map_or_else(String::new, |syn| {
        format!(
            " The SYN in frame {} had brought {} (Fast Open), which the server did not take: the client sent them again in its third ACK.",
            finder.frame(syn.first.frame),
            text::counted(u64::from(syn.fast_open()), "byte"),
        )
    });
    let text = format!(
        "The client's first data (frame {}) came with an MP_CAPABLE that has no data-level length, so the server ignored the option and went on as TCP.{fast_open}",
        finder.frame(seen.frame),
    );
    (rule::FALLBACK_FIRST_DATA_WITHOUT_LENGTH, text, syn.map(|syn| syn.first.frame).into_iter().collect())
}

fn option_echoed(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let syn = syn_frame(connection);
    let unechoed = |view: &&Connection| {
        let syn_ack = view.initial()?.syn_ack.as_ref().filter(|_| !view.handshake.echoed)?;
        Some((view.handshake.syn_ack.is_some(), syn_ack.first.frame))
    };
    let own = finder.evidence.views.iter().find_map(unechoed);
    let text = format!(
        "The SYN/ACK (frame {}) repeats the client's own MP_CAPABLE{}, without a key of the server: a middlebox echoes options{}.",
        finder.frame(seen.frame),
        syn.map_or_else(String::new, |syn| format!(" of frame {}", finder.frame(syn))),
        match own {
            Some((true, own)) => format!(", in the place of the server's own, which is in frame {}", finder.frame(own)),
            Some((false, own)) => format!("; the SYN/ACK has none in frame {}", finder.frame(own)),
            None => "; what the server answered does not show".to_owned(),
        },
    );
    (rule::FALLBACK_OPTION_ECHOED, text, syn.into_iter().chain(own.map(|own| own.1)).collect())
}

fn syn_retried(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    if connection.handshake.not_asked {
        let text = format!(
            "The SYN/ACK (frame {}) has MP_CAPABLE, which the SYN before it lacks: the client had sent SYNs with it that are not in the capture, got no answer in time, gave the option up, and went on as TCP.",
            finder.frame(seen.frame),
        );
        return (rule::FALLBACK_SYN_RETRIED_WITHOUT_OPTION, text, Vec::new());
    }
    let syns = &connection.handshake.syns;
    let with = syns.iter().filter(|syn| syn.2).count() as u64;
    let first = syns.first().map_or(connection.first.time, |syn| syn.1);
    let bare = syns.iter().find(|syn| !syn.2).map_or(connection.last.time, |syn| syn.1);
    let frames: Vec<Mark> = syns.iter().filter(|syn| syn.2).map(|syn| syn.0).collect();
    if let Some((_, syn_ack)) = connection.handshake.syn_ack {
        let text = format!(
            "The client repeated its SYN without MP_CAPABLE (frame {}) after {}, but the SYN/ACK (frame {}) has it: a SYN with the option reached the server, and the answer came too late.",
            finder.frame(seen.frame),
            text::duration(bare.since(first)),
            finder.frame(syn_ack),
        );
        return (rule::FALLBACK_SYN_RETRIED_WITHOUT_OPTION, text, [frames, vec![syn_ack]].concat());
    }
    if connection.initial().is_some_and(|initial| initial.syn_ack.is_none()) {
        let text = format!(
            "The client sent {} with MP_CAPABLE and, {} after the first, one without (frame {}), and went on as TCP. The capture lacks the SYN/ACK that it answered.",
            text::counted(with, "SYN"),
            text::duration(bare.since(first)),
            finder.frame(seen.frame),
        );
        return (rule::FALLBACK_SYN_RETRIED_WITHOUT_OPTION, text, frames);
    }
    let first_try = connection.initial().and_then(Subflow::overcome_reset).filter(|reset| reset.of_syn);
    if let Some(reset) = first_try {
        let text = format!(
            "{} with MP_CAPABLE got a RST (frame {}); the one without (frame {}) was accepted: the server or something on the way refuses SYNs that carry the option.",
            text::counted(with, "SYN"),
            finder.frame(reset.at.frame),
            finder.frame(seen.frame),
        );
        return (rule::FALLBACK_SYN_RETRIED_WITHOUT_OPTION, text, [frames, vec![reset.at.frame]].concat());
    }
    if let Some(flags) = must_be_dropped(connection) {
        let text = format!(
            "{} with MP_CAPABLE got no answer; the one without (frame {}) did. Flag B is set in that option (flags {flags:02x}): a server that does not know the flag must ignore such a SYN.",
            text::counted(with, "SYN"),
            finder.frame(seen.frame),
        );
        return (rule::FALLBACK_SYN_RETRIED_WITHOUT_OPTION, text, frames);
    }
    let text = format!(
        "{} with MP_CAPABLE got no answer; the one without (frame {}) did. MPTCP cost {} and then was not used: {}.",
        text::counted(with, "SYN"),
        finder.frame(seen.frame),
        text::duration(bare.since(first)),
        what_drops_the_option(finder, connection),
    );
    (rule::FALLBACK_SYN_RETRIED_WITHOUT_OPTION, text, frames)
}

/// What is known of whoever lets SYNs with the option get lost.
fn what_drops_the_option(finder: &Finder<'_, '_>, connection: &Connection) -> String {
    let name = |place: u16| finder.evidence.input_name(place);
    if let Some(place) = keeps_option_back(finder.evidence).map(name) {
        return format!(
            "they came in at {place}, and no other interface shows them: the device that was captured drops SYNs that carry the option"
        );
    }
    match drops_option(connection, &finder.evidence.views).map(|view| name(view.input)) {
        Some(place) => format!(
            "{place} shows none of them, and the one without: something before it drops SYNs that carry the option"
        ),
        None => "something drops SYNs that carry the option".to_owned(),
    }
}

fn no_option_in_third_ack(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    if nobody_saw_agreement(connection, &finder.evidence.views) {
        return no_option_after_syn(finder, connection, seen);
    }
    let answer = connection.handshake.syn_ack.map(|(_, frame)| frame);
    let at_client = |view: &&Connection| view.handshake.syn.is_some() && view.handshake.bare_syn_ack.is_some();
    let sent = |view: &&Connection| view.handshake.ack.is_some();
    let views = || finder.evidence.views.iter().copied();
    let overwritten = connection.initial().is_some_and(|initial| blanked_ack(connection, initial).is_some());
    let why = match finder.evidence.fallback_by() {
        _ if overwritten => "NOPs stand in its place, so it was overwritten on the way",
        _ if views().any(|view| at_client(&view)) => "the option of the SYN/ACK was lost on its way to the client",
        _ if views().any(|view| sent(&view)) => "the option of the third ACK was lost on its way to the server",
        Some("client") => "the SYN/ACK reached the client with its option, and the client did not go on with MPTCP",
        _ => "either the option of the SYN/ACK did not reach the client, or that of the ACK was removed on the way",
    };
    let text = format!(
        "The server agreed to MPTCP{}, but the client's third ACK (frame {}) carries no MP_CAPABLE, although the client had asked for MPTCP: {why}.",
        answer.map_or_else(String::new, |frame| format!(" in frame {}", finder.frame(frame))),
        finder.frame(seen.frame),
    );
    (rule::FALLBACK_NO_OPTION_IN_THIRD_ACK, text, answer.into_iter().collect())
}

fn no_option_on_data(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let who = seen.side.map_or("peer", Side::name);
    let agreed = match seen.side {
        Some(Side::Server) => connection.handshake.syn_ack.map(|(_, frame)| frame),
        _ => connection.handshake.ack.map(|(_, frame)| frame),
    };
    let other = if who == "server" { "client" } else { "server" };
    let mut frames: Vec<Mark> = agreed.into_iter().collect();
    let lost = seen.side.and_then(|side| lost_from(connection, &finder.evidence.views, side));
    let why = match (lost, silence::cause(finder, connection, seen)) {
        (Some(side), _) if Some(side) == seen.side => {
            format!("options were removed from the {who}'s packets on the way")
        }
        (_, Some((why, shown))) => {
            frames.extend(shown);
            why
        }
        (Some(_), None) => format!("the {other}'s options were removed on the way, so the {who} went on without them"),
        (None, None) => {
            let spoiled = if acknowledges_data(seen, connection) && connection.checksum_in_use() == Some(true) {
                format!(", or the {other}'s data was changed on the way")
            } else {
                String::new()
            };
            format!(
                "options are removed after the handshake, from the {who}'s packets or from the {other}'s before them{spoiled}"
            )
        }
    };
    let frame = finder.frame(seen.frame);
    let first_data = connection.initial().zip(seen.side).and_then(|(initial, side)| initial.halves[side].first_data);
    let what = if first_data.is_some_and(|first| first <= seen.frame) {
        format!("its first data (frame {frame}) carries no MPTCP option")
    } else {
        format!("it acknowledges the {other}'s data (frame {frame}) without DATA_ACK or any other MPTCP option")
    };
    let text = format!(
        "The {who} agreed to MPTCP{}, but {what}: {why}.",
        agreed.map_or_else(String::new, |frame| format!(" in frame {}", finder.frame(frame))),
    );
    (rule::FALLBACK_NO_OPTION_ON_DATA, text, frames)
}

fn options_vanished(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let who = seen.side.map_or("sender", Side::name);
    let last_good = seen.side.and_then(|side| connection.initial()?.options[side]).map(|(_, last)| last);
    let mut frames: Vec<Mark> = last_good.into_iter().collect();
    let lost = seen.side.and_then(|side| lost_from(connection, &finder.evidence.views, side));
    let why = match (lost, silence::cause(finder, connection, seen)) {
        (Some(side), _) if Some(side) == seen.side => format!("they were removed from the {who}'s packets on the way"),
        (_, Some((why, shown))) => {
            frames.extend(shown);
            why
        }
        (Some(side), None) => format!("the {}'s were removed on the way, so the {who} went on without", side.name()),
        (None, None) => "the options of one direction or of both are removed on the way, or an end fell back in silence for data that was changed".to_owned(),
    };
    let captured = seen.side.is_none_or(|side| connection.shows_packets_of(side.peer()));
    let text = format!(
        "The {who}'s packets carry no MPTCP option from frame {} on{}; no MP_FAIL and no infinite mapping{} explains it: {why}.",
        finder.frame(seen.frame),
        last_good
            .map_or_else(String::new, |last| format!(" (the last one with an option is frame {})", finder.frame(last))),
        if captured { "" } else { " in this capture" },
    );
    (rule::FALLBACK_OPTIONS_VANISHED, text, frames)
}

fn failed(finder: &Finder<'_, '_>, connection: &Connection, seen: &FallbackSeen) -> Verdict {
    let first = Side::BOTH
        .into_iter()
        .filter_map(|side| connection.seldom.failed[side].map(|(frame, dsn, _)| (frame, dsn, side)))
        .min_by_key(|failed| failed.0);
    if let Some((frame, _, side)) = first.filter(|first| connection.first_to_fail() != Some(first.2)) {
        return failed_one_way(finder, connection, side, frame);
    }
    let mut frames: Vec<Mark> = Vec::new();
    let reporter = first.map_or("receiver", |first| first.2.name());
    let sender = first.map_or("sender", |first| first.2.peer().name());
    let at = first.map_or(seen.frame, |first| first.0);
    frames.push(at);
    let mut text = format!(
        "The {reporter} found a wrong checksum in data from the {sender} and said so with MP_FAIL in frame {}",
        finder.frame(at)
    );
    if let Some((_, dsn, side)) = first {
        // MP_FAIL names the DSN of the failed mapping: the offset tells where in the stream.
        let data = &connection.data[side.peer()];
        let (base, known) = data.dsn(ORIGIN + 1);
        let offset = dsn.wrapping_sub(base);
        // Without the key, positions count from the first byte seen.
        let is_placed = known && data.counts_from_idsn() && offset < 1 << 40;
        if is_placed {
            text.push_str(&format!(
                " (mapping at byte {} of the {}'s stream)",
                text::count(offset),
                side.peer().name()
            ));
        }
        if let Some(infinite) = connection.seldom.infinite[side.peer()] {
            text.push_str(&format!(
                "; the {sender} went on with an infinite mapping in frame {}",
                finder.frame(infinite)
            ));
            frames.push(infinite);
        }
        let sum = &connection.checksums[side.peer()];
        let place = ORIGIN + 1 + offset;
        let is_held = sum.missing == 0 && sum.cut == 0 && (!is_placed || data.seen.contains(place, place + 1));
        // What another capture shows of it is told where they are compared.
        if sum.mismatch == 0 && sum.verified > 0 && is_held && !is_changed_in_a_view(finder, side.peer()) {
            // Copies that it shows farther on are set aside, and may be what was changed.
            let copies = connection.subflows.iter().any(|subflow| subflow.halves[side.peer()].shows_copies());
            text.push_str(if copies {
                ". All checksums are right where this capture shows the data first: the payload is changed behind that place"
            } else {
                ". All checksums are right where this capture was made: the payload is changed beyond it"
            });
        }
    }
    text.push('.');
    (rule::FALLBACK_MP_FAIL, text, frames)
}

/// Whether another capture shows a wrong checksum in data of `side`.
fn is_changed_in_a_view(finder: &Finder<'_, '_>, side: Side) -> bool {
    finder.evidence.views.iter().any(|view| view.checksums[side].mismatch > 0)
}

//! What captures of the same connection at several places prove of the path between them.
//!
//! The taps that show a subflow are put in the order in which the client's packets pass them, and each is compared with the
//! next: so a difference is pinned to the shortest stretch of path that the captures bound.

mod device;
mod ends;
mod handshake;
mod options;
mod reach;
mod reset;
mod stream;

pub(crate) use device::keeps_any_back;
pub(in crate::diagnose) use device::{keeps_back, keeps_option_back};
pub(crate) use ends::{AddressSeen, announced, join_proof, nearest};
pub(in crate::diagnose) use reach::goes_on;
pub(in crate::diagnose) use reset::host_without;
use std::cmp::Reverse;
pub(in crate::diagnose) use stream::ended_at;

use super::rules::views as rule;
use super::{Finder, endpoint};
use crate::capture::Inputs;
use crate::diagnose::Explanation;
use crate::track::connection::Connection;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// One subflow as one tap shows it.
#[derive(Clone, Copy)]
struct Tap<'a> {
    connection: &'a Connection,
    subflow: &'a Subflow,
    /// Its index in `connection`.
    index: u16,
}

/// Two taps of one subflow, in the order in which the client's packets pass them.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    near: Tap<'a>,
    far: Tap<'a>,
    /// The subflow's index in the report.
    index: u16,
}

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let evidence = finder.evidence;
    for (index, _) in finder.subflows() {
        let taps = taps(evidence.connection, &evidence.views, index);
        for (&near, &far) in taps.iter().zip(taps.iter().skip(1)) {
            let stretch = Stretch { near, far, index };
            handshake::look(finder, &stretch);
            let worked = !stretch.lost_options(finder);
            if worked {
                handshake::reset_reason(finder, &stretch);
            }
            if index == 0 {
                handshake::announcements(finder, &stretch);
            }
            options::look(finder, &stretch, !worked);
            if index == 0 {
                handshake::removals(finder, &stretch);
            }
            for side in Side::BOTH {
                stream::look(finder, &stretch, side);
            }
            reset::look(finder, &stretch);
            translated(finder, &stretch);
        }
    }
    reset::refused_on_the_way(finder);
    for &view in &evidence.views {
        if !finder.found.iter().any(|found| found.rule.id == super::rules::data::ENDS_DISAGREE_ABOUT_FALLBACK.id) {
            super::data::disagreement(finder, view);
        }
    }
    for (index, subflow) in finder.subflows() {
        translated_here(finder, index, subflow);
    }
}

/// Whether tap `a` lies nearer to the server than tap `b`: there a SYN of the client is answered sooner, and its SYN/ACK later. The
/// delay between two packets does not depend on the clocks of the capturing hosts.
pub(crate) fn nearer_to_server(a: &Connection, b: &Connection) -> bool {
    let pair = |of: fn(&Subflow) -> Option<u64>| {
        let delays = |there: &Subflow| Some((there.initiator, of(twin(there, a)?.1)?, of(there)?));
        b.subflows.iter().find_map(delays)
    };
    let answer = pair(answer_delay).map(|(by, here, there)| (by == Side::Client, here < there, here > there));
    let third_ack = || pair(third_ack_delay).map(|(by, here, there)| (by == Side::Client, here > there, here < there));
    match answer.or_else(third_ack) {
        Some((true, nearer, _) | (false, _, nearer)) => nearer,
        None => a.first.time > b.first.time,
    }
}

/// Whether a capture was made at this end: its host sent the SYN, or the SYN/ACK, and got the other's. What passes a router, or
/// loops back, comes in, too, or leaves with a TTL that no host begins with: where the interfaces of one host are told apart,
/// none of them is an end's.
pub(crate) fn is_at(connection: &Connection, side: Side, inputs: Inputs<'_>) -> bool {
    const BEGINNINGS: [u8; 4] = [32, 64, 128, 255];
    if inputs.are_interfaces() {
        return false;
    }
    connection.initial().is_some_and(|initial| {
        let (syn, syn_ack) = (initial.syn.as_ref(), initial.syn_ack.as_ref());
        let (own, other) = if side == Side::Client { (syn, syn_ack) } else { (syn_ack, syn) };
        own.is_some_and(|seen| seen.outgoing == Some(true) && BEGINNINGS.contains(&seen.ttl))
            && other.is_none_or(|seen| seen.outgoing == Some(false))
    })
}

/// From the SYN to its answer.
fn answer_delay(subflow: &Subflow) -> Option<u64> {
    let (syn, syn_ack) = (subflow.syn.as_ref()?, subflow.syn_ack.as_ref()?);
    Some(syn_ack.first.time.since(syn.last().time.min(syn_ack.first.time)))
}

/// From the SYN/ACK to its answer.
fn third_ack_delay(subflow: &Subflow) -> Option<u64> {
    subflow.syn_ack.as_ref().zip(subflow.third_ack).map(|_| subflow.third_ack_delay)
}

/// All taps that show a subflow, those nearer to the client first.
fn taps<'a>(connection: &'a Connection, views: &[&'a Connection], index: u16) -> Vec<Tap<'a>> {
    let Some(subflow) = connection.subflows.get(usize::from(index)).filter(|_| !views.is_empty()) else {
        return Vec::new();
    };
    let mut taps = vec![Tap { connection, subflow, index }];
    taps.extend(views.iter().filter_map(|view| {
        let (index, subflow) = twin(subflow, view)?;
        Some(Tap { connection: view, subflow, index })
    }));
    // The end that was asked answers sooner the nearer a tap is to it.
    let towards_server = subflow.initiator == Side::Client;
    let delays = |of: fn(&Tap<'a>) -> Option<u64>| taps.iter().map(of).collect::<Option<Vec<u64>>>();
    let of_connection = |tap: &Tap<'a>| tap.connection.initial().and_then(answer_delay);
    if delays(|tap| answer_delay(tap.subflow)).is_some() {
        if towards_server {
            taps.sort_by_key(|tap| Reverse(answer_delay(tap.subflow)));
        } else {
            taps.sort_by_key(|tap| answer_delay(tap.subflow));
        }
    } else if delays(of_connection).is_some() {
        taps.sort_by_key(|tap| Reverse(of_connection(tap)));
    } else if delays(|tap| third_ack_delay(tap.subflow)).is_some() {
        // A capture that lacks the SYN has its place all the same.
        if towards_server {
            taps.sort_by_key(|tap| third_ack_delay(tap.subflow));
        } else {
            taps.sort_by_key(|tap| Reverse(third_ack_delay(tap.subflow)));
        }
    } else if towards_server {
        taps.sort_by_key(|tap| tap.subflow.first.time);
    } else {
        taps.sort_by_key(|tap| Reverse(tap.subflow.first.time));
    }
    taps
}

/// The same subflow in another view: the first one, or the one of the same nonce, 4-tuple, or SYN.
pub(crate) fn twin<'a>(subflow: &Subflow, view: &'a Connection) -> Option<(u16, &'a Subflow)> {
    let numbered = || view.subflows.iter().enumerate().map(|(index, other)| (index as u16, other));
    let Some(join) = &subflow.join else {
        return view.initial().and_then(|initial| numbered().find(|(_, other)| std::ptr::eq(*other, initial)));
    };
    let nonce = |other: &Subflow| other.join.as_ref().and_then(|join| join.initiator_nonce);
    let same_nonce = |other: &&Subflow| join.initiator_nonce.is_some() && nonce(other) == join.initiator_nonce;
    let tuple = |subflow: &Subflow| (subflow.ip, subflow.source_port, subflow.destination_port);
    let same_tuple = |other: &&Subflow| {
        let unknown = nonce(other).is_none() || join.initiator_nonce.is_none();
        other.join.is_some() && unknown && tuple(other) == tuple(subflow)
    };
    // The nonce itself may be what was changed on the way.
    let same_syn = |other: &&Subflow| {
        let seq = |subflow: &Subflow| subflow.syn.as_ref().map(|syn| syn.seq);
        other.join.is_some() && seq(subflow).is_some() && seq(other) == seq(subflow) && tuple(other) == tuple(subflow)
    };
    let found = |same: &dyn Fn(&&Subflow) -> bool| numbered().find(|(_, other)| same(other));
    found(&same_nonce).or_else(|| found(&same_tuple)).or_else(|| found(&same_syn))
}

impl<'a> Stretch<'a> {
    /// The taps in the order in which the packets of `side` pass them.
    fn of(&self, side: Side) -> (Tap<'a>, Tap<'a>) {
        if side == Side::Client { (self.near, self.far) } else { (self.far, self.near) }
    }

    /// Whether one of the two taps shows both sides of a firewall that shifts sequence numbers: it has the subflow's SYN with
    /// two, and which of its payload belongs to which is not known.
    fn shows_both_numberings(&self, finder: &Finder<'_, '_>) -> bool {
        let evidence = finder.evidence;
        [self.near.subflow, self.far.subflow].into_iter().any(|subflow| {
            let tuple =
                |subflow: &Subflow| (subflow.interface.0, subflow.ip, subflow.source_port, subflow.destination_port);
            let seq = |subflow: &Subflow| subflow.syn.as_ref().map(|syn| syn.seq);
            let other = |other: &Subflow| tuple(other) == tuple(subflow) && seq(other) != seq(subflow);
            evidence.all().any(|view| view.subflows.iter().any(other))
        })
    }

    /// Whether options of this subflow were already found to be lost on the way.
    fn lost_options(&self, finder: &Finder<'_, '_>) -> bool {
        let lost = [rule::PATH_STRIPPED_OPTION.id, rule::PATH_BLANKED_OPTION.id];
        finder.found.iter().any(|found| found.subflow == Some(self.index) && lost.contains(&found.rule.id))
    }

    /// The inputs that bound the stretch, in the order of the packets of `side`.
    fn inputs(&self, side: Side) -> (u16, u16) {
        let (from, to) = self.of(side);
        (from.subflow.interface.0, to.subflow.interface.0)
    }

    /// `on the way to the server, between client-e1.pcap and server-e1.pcap`, in the direction of `side`'s packets.
    fn name(&self, finder: &Finder<'_, '_>, side: Side) -> String {
        format!("on the way to the {}, {}", side.peer().name(), between(finder, self.inputs(side)))
    }

    /// Reports what happened to packets of `side`.
    fn report(
        &self,
        finder: &mut Finder<'_, '_>,
        rule: &'static Explanation,
        side: Side,
        frames: &[Mark],
        message: String,
    ) {
        finder.report(rule, Some(self.index), frames, message);
        if let Some(found) = finder.found.last_mut() {
            found.between = Some(self.inputs(side));
        }
    }
}

/// `between client-e1.pcap and server-e1.pcap`, or where one input shows both sides.
fn between(finder: &Finder<'_, '_>, (from, to): (u16, u16)) -> String {
    let name = |input| finder.evidence.input_name(input);
    if from == to {
        return format!("between two places that {} shows", name(from));
    }
    format!("between {} and {}", name(from), name(to))
}

/// Another 4-tuple, the same subflow.
fn translated(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>) {
    let (near, far, index) = (stretch.near.subflow, stretch.far.subflow, stretch.index);
    let ends = |subflow: &Subflow| (subflow.address_of(Side::Client), subflow.address_of(Side::Server));
    let (a, b) = (ends(near), ends(far));
    if a == b {
        return;
    }
    // A tap on the translator shows both sides of it.
    let shows = |subflow: &Subflow, other: &Subflow| {
        let tuple = (other.ip, other.source_port, other.destination_port);
        subflow.seldom.also_seen_as.contains(&tuple)
    };
    if shows(near, far) || shows(far, near) {
        return;
    }
    let text = format!(
        "Subflow {index} is {} → {} at {} and {} → {} at {}: a NAT lies between them.",
        endpoint(a.0),
        endpoint(a.1),
        finder.evidence.input_name(near.interface.0),
        endpoint(b.0),
        endpoint(b.1),
        finder.evidence.input_name(far.interface.0),
    );
    let frames = [near.first.frame, far.first.frame];
    stretch.report(finder, rule::PATH_TRANSLATED_ADDRESSES, Side::Client, &frames, text);
}

/// One input can show both sides of a NAT.
fn translated_here(finder: &mut Finder<'_, '_>, index: u16, subflow: &Subflow) {
    let told =
        |found: &super::Found| found.rule.id == rule::PATH_TRANSLATED_ADDRESSES.id && found.subflow == Some(index);
    if finder.found.iter().any(told) {
        return;
    }
    let here = std::iter::once(subflow);
    let there = finder.evidence.views.iter().filter_map(|view| Some(twin(subflow, view)?.1));
    let Some((shown, (ip, source, destination))) = here.chain(there).find_map(|shown| {
        let own = (shown.ip, shown.source_port, shown.destination_port);
        Some((shown, shown.seldom.also_seen_as.iter().find(|other| **other != own)?))
    }) else {
        return;
    };
    let text = format!(
        "{} shows subflow {index} as {} → {} and, with the same {}, as {} → {}: a NAT lies between its capture points.",
        finder.evidence.input_name(shown.interface.0),
        endpoint(shown.address_of(shown.initiator)),
        endpoint(shown.address_of(shown.initiator.peer())),
        if shown.join.is_some() { "token and nonce" } else { "keys" },
        endpoint((ip.source(), *source)),
        endpoint((ip.destination(), *destination)),
    );
    let frames: Vec<Mark> = std::iter::once(shown.first.frame).chain(shown.seldom.also_seen_in).collect();
    finder.report(rule::PATH_TRANSLATED_ADDRESSES, Some(index), &frames, text);
}

//! A RST that shows behind a stretch of path, and that the end in whose name it comes did not send.

use super::super::Finder;
use super::super::joins::route;
use super::super::rules::views as rule;
use super::reach::{goes_on, opened};
use super::{Stretch, Tap, is_at, keeps_back, twin};
use crate::frame::Timestamp;
use crate::limits;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::{Reset, Subflow};

pub(super) fn look(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>) {
    for side in Side::BOTH {
        let (from, to) = stretch.of(side);
        let Some((reset, after)) = forged(finder, &from, &to, side) else { continue };
        let mut frames = vec![reset.at.frame, after];
        let mut text = format!(
            "A RST on subflow {} in the {}'s name is in frame {} and not at {}, and the {} went on after it, in frame {}: a device sent it {}",
            stretch.index,
            side.name(),
            finder.frame(reset.at.frame),
            finder.evidence.input_name(from.subflow.interface.0),
            side.name(),
            finder.frame(after),
            stretch.name(finder, side),
        );
        if let Some(answer) = from.subflow.reset().filter(|answer| answer.by != side) {
            let (peer, frame) = (answer.by.name(), finder.frame(answer.at.frame));
            text.push_str(&format!("; the RST of the {peer} in frame {frame} only follows from it"));
            frames.push(answer.at.frame);
        }
        text.push('.');
        no_longer_blamed(finder, stretch, &frames);
        stretch.report(finder, rule::PATH_FORGED_RESET, side, &frames, text);
    }
}

/// Joins that are refused on the way: the capture that was made at the host in whose name the RST comes shows neither it nor the
/// SYN, or a device on the way was captured, which has not let the SYN through.
pub(super) fn refused_on_the_way(finder: &mut Finder<'_, '_>) {
    for (index, subflow) in finder.subflows() {
        let responder = subflow.initiator.peer();
        let refused = subflow.reset().filter(|reset| reset.of_syn && reset.by == responder);
        let Some((reset, syn)) = refused.zip(subflow.syn.as_ref()).filter(|_| subflow.join.is_some()) else { continue };
        let host = host_without(finder, subflow, responder, reset.at.time);
        let host = host.filter(|&host| !finder.evidence.sites.are_one(host, reset.at.frame.frame().input));
        let proof = if let Some(host) = host {
            let (host, who) = (finder.evidence.input_name(host), responder.name());
            format!("{host}, which was captured at the {who}, shows neither: something on the way answered")
        } else if let Some(place) = keeps_back(finder.evidence, subflow) {
            let name = finder.evidence.input_name(place);
            format!("only {name} shows both: the device that was captured answered")
        } else {
            continue;
        };
        let frames = [syn.first.frame, reset.at.frame];
        let text = format!(
            "The SYN of the join {} (frame {}) got a RST in the {}'s name (frame {}), and {proof}.",
            route(subflow),
            finder.frame(syn.first.frame),
            responder.name(),
            finder.frame(reset.at.frame),
        );
        finder.found.retain(|found| {
            let refusal = found.rule.id.starts_with("join-refused");
            !(refusal && found.subflow == Some(index) && found.frames.contains(&reset.at.frame))
        });
        finder.report(rule::PATH_FORGED_RESET, Some(index), &frames, text);
        if let Some(found) = finder.found.last_mut() {
            found.between = host.map(|host| (host, subflow.interface.0));
            found.settled = host.is_none();
        }
    }
}

/// The input that was captured at the host of `responder`, at least until `time` by the clock of the subflow's input, and lacks
/// the subflow.
pub(in crate::diagnose) fn host_without(
    finder: &Finder<'_, '_>,
    subflow: &Subflow,
    responder: Side,
    time: Timestamp,
) -> Option<u16> {
    let evidence = finder.evidence;
    let here = subflow.interface.0;
    let own = evidence.all().find(|view| evidence.sites.are_one(view.input, here))?;
    let came = time.since(opened(own)?);
    let host = evidence.all().find(|view| {
        let elsewhere = !evidence.sites.are_one(view.input, here);
        let shows = |other: &Subflow| evidence.sites.are_one(other.interface.0, view.input);
        let lacks = twin(subflow, view).is_none_or(|(_, other)| !shows(other));
        let went_on = || opened(view).is_some_and(|from| goes_on(view, from, came, evidence.sites));
        elsewhere && lacks && is_at(view, responder, evidence.inputs) && went_on()
    });
    host.map(|view| view.input)
}

/// A RST in the name of `side` at `to`, and what that side sent after it, where `from`, which its packets pass first, does not
/// show this RST. One that a capture lost proves nothing: only that its sender went on as if it had sent none.
fn forged(finder: &Finder<'_, '_>, from: &Tap<'_>, to: &Tap<'_>, side: Side) -> Option<(Reset, Mark)> {
    let seldom = &to.subflow.seldom;
    let ended = || to.subflow.reset().zip(seldom.after_reset);
    let survived = || seldom.survived.map(|survived| survived.0).zip(seldom.after_survived);
    // The end in whose name it came began its handshake again.
    let attempt = || Some((seldom.attempts?.1, to.subflow.syn.as_ref()?.last().frame));
    let (first, second) = (from.subflow.halves[side].reach()?, to.subflow.halves[side].reach()?);
    if from.subflow.syn.is_none() || to.subflow.syn.is_none() || first < second {
        return None;
    }
    // A host whose socket is gone answers without ACK, and by its routes alone, whatever path the subflow took.
    let at_sender = is_at(from.connection, side, finder.evidence.inputs);
    let foreign = |reset: &Reset| {
        let own = reset.with_ack || reset.of_syn || reset.in_order || at_sender;
        reset.by == side && own && !passed(from, to, reset) && went_on(finder, from, to, reset.at.time)
    };
    [ended(), survived(), attempt()].into_iter().flatten().find(|(reset, _)| foreign(reset))
}

/// Whether the capture `from` goes on beyond this time of the capture `to`.
fn went_on(finder: &Finder<'_, '_>, from: &Tap<'_>, to: &Tap<'_>, time: Timestamp) -> bool {
    let (Some(here), Some(there)) = (&from.subflow.syn, &to.subflow.syn) else { return false };
    goes_on(from.connection, here.first.time, time.since(there.first.time), finder.evidence.sites)
}

/// Whether a RST that `to` shows is at `from`, too, for all that is known.
fn passed(from: &Tap<'_>, to: &Tap<'_>, reset: &Reset) -> bool {
    let from_syn = |tap: &Tap<'_>, seq: u32| seq.wrapping_sub(tap.subflow.halves[reset.by].syn().unwrap_or(0) as u32);
    let known = from.subflow.seldom.resets.iter().filter(|known| known.by == reset.by);
    let came = (from_syn(to, reset.seq), reset.with_ack);
    known.clone().count() >= limits::RESETS
        || known.map(|sent| (from_syn(from, sent.seq), sent.with_ack)).any(|sent| sent == came)
}

/// What one capture alone says of this RST, or of the answer to it, blames an end.
fn no_longer_blamed(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, frames: &[Mark]) {
    let own = finder.connection().subflows.get(usize::from(stretch.index)).and_then(Subflow::reset);
    let of_reset = |id: &str| ["subflow-reset", "connection-reset", "join-refused"].iter().any(|of| id.starts_with(of));
    finder.found.retain(|found| {
        let this = found.subflow.is_none_or(|index| index == stretch.index);
        let rests_on = |frame: &Mark| frames.contains(frame) || own.is_some_and(|own| own.at.frame == *frame);
        !(this && of_reset(found.rule.id) && found.frames.iter().any(rests_on))
    });
}

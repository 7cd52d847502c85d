//! Options at two taps: of SYN, SYN/ACK, third ACK and RST, and of announced addresses.

use super::super::Finder;
use super::super::addresses::name;
use super::super::blanked::BLANKED;
use super::super::rules::views as rule;
use super::{Stretch, Tap, between};
use crate::diagnose::Explanation;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::SynSeen;

pub(super) fn look(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>) {
    let initiator = stretch.near.subflow.initiator;
    let (first, second) = stretch.of(initiator);
    let option = if first.is_join() { "MP_JOIN" } else { "MP_CAPABLE" };
    if first.asked()
        && !second.asked()
        && second.bare_syns() > first.bare_syns()
        && let (Some(with), Some(without)) = (&first.subflow.syn, &second.subflow.syn)
    {
        let frames = [with.first.frame, without.first.frame];
        gone(finder, stretch, initiator, &format!("The SYN carries {option}"), frames, more_nops(with, without));
    }
    if let (Some(with), Some(without)) = (&second.subflow.syn_ack, &first.subflow.syn_ack) {
        let echoed = |tap: &Tap<'_>| match &tap.subflow.join {
            None => tap.connection.handshake.echoed,
            Some(join) => join.echoed,
        };
        if echoed(&first) && !second.answered() && !echoed(&second) {
            let frames = [with.first.frame, without.first.frame];
            let text = format!(
                "The SYN/ACK has no {option} in frame {} and that of the SYN in frame {}: a device echoes options {}.",
                finder.frame(frames[0]),
                finder.frame(frames[1]),
                stretch.name(finder, initiator.peer()),
            );
            stretch.report(finder, rule::PATH_ECHOED_OPTION, initiator.peer(), &frames, text);
        } else if echoed(&first) && second.answered() {
            let frames = [with.first.frame, without.first.frame];
            let text = format!(
                "The SYN/ACK has the {}'s own {option} in frame {} and that of the SYN in frame {}: a device put one in the place of the other {}.",
                initiator.peer().name(),
                finder.frame(frames[0]),
                finder.frame(frames[1]),
                stretch.name(finder, initiator.peer()),
            );
            stretch.report(finder, rule::PATH_ECHOED_OPTION, initiator.peer(), &frames, text);
        } else if second.answered() && !first.answered() {
            let frames = [with.first.frame, without.first.frame];
            let head = format!("The SYN/ACK carries {option}");
            gone(finder, stretch, initiator.peer(), &head, frames, more_nops(with, without));
        }
    }
    third_ack(finder, stretch, (first, second), option);
    changed(finder, stretch, (first, second));
    tcp_header(finder, stretch);
}

impl Tap<'_> {
    fn is_join(&self) -> bool {
        self.subflow.join.is_some()
    }

    /// The SYN carries its option here.
    fn asked(&self) -> bool {
        match &self.subflow.join {
            None => self.connection.handshake.syn.is_some(),
            Some(join) => join.initiator_nonce.is_some(),
        }
    }

    /// SYNs without their option; one at least where the option is never there. What an end itself sent without is no loss: a
    /// client gives the option up where SYNs with it get no answer (RFC 8684 §3.7).
    fn bare_syns(&self) -> usize {
        match &self.subflow.join {
            None => self.connection.handshake.syns.iter().filter(|(_, _, has_option)| !has_option).count(),
            Some(_) => usize::from(!self.asked()),
        }
    }

    /// So does the SYN/ACK.
    fn answered(&self) -> bool {
        match &self.subflow.join {
            None => self.connection.handshake.syn_ack.is_some(),
            Some(join) => join.syn_ack_hmac.is_some(),
        }
    }
}

fn third_ack(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, (first, second): (Tap<'_>, Tap<'_>), option: &str) {
    let (with, without) = match (&first.subflow.join, &second.subflow.join) {
        (None, None) => {
            let (here, there) = (&first.connection.handshake, &second.connection.handshake);
            (here.ack.map(|(_, frame)| frame), there.bare_ack.zip(Some(there.bare_ack_nops)))
        }
        (Some(here), Some(there)) => (here.ack_frame, there.bare_ack.zip(Some(there.bare_ack_nops))),
        _ => return,
    };
    let (Some(with), Some((without, nops))) = (with, without) else { return };
    // Where the ACK itself was lost, the next segment stands in its place: one with another option shows that nothing is removed.
    let other = second.subflow.options[first.subflow.initiator].is_some_and(|(earliest, _)| earliest == without);
    if other || first.subflow.third_ack != Some(with) {
        return;
    }
    gone(finder, stretch, first.subflow.initiator, &format!("The third ACK carries {option}"), [with, without], nops);
}

/// `{head} in frame 5 and not in frame 7: it was removed …`
fn removed(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, from: Side, head: &str, frames: [Mark; 2]) {
    let text = format!(
        "{head} in frame {} and not in frame {}: it was removed {}.",
        finder.frame(frames[0]),
        finder.frame(frames[1]),
        stretch.name(finder, from),
    );
    stretch.report(finder, rule::PATH_STRIPPED_OPTION, from, &frames, text);
}

/// The run of NOPs that one has, if it is longer than that of the other.
fn more_nops(with: &SynSeen, without: &SynSeen) -> u8 {
    if without.nop_run > with.nop_run { without.nop_run } else { 0 }
}

/// An option of the handshake is there before the stretch and not behind it, where this many NOPs are more than before.
fn gone(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, from: Side, head: &str, frames: [Mark; 2], nops: u8) {
    if nops < BLANKED {
        return removed(finder, stretch, from, head, frames);
    }
    let text = format!(
        "{head} in frame {} and not in frame {}; {nops} bytes of padding stand in its place: it was overwritten {}.",
        finder.frame(frames[0]),
        finder.frame(frames[1]),
        stretch.name(finder, from),
    );
    stretch.report(finder, rule::PATH_BLANKED_OPTION, from, &frames, text);
}

/// Options of the handshake that are at both taps and say different things.
fn changed(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, (first, second): (Tap<'_>, Tap<'_>)) {
    let initiator = first.subflow.initiator;
    let mut differ = |from: Side, what: &str, frames: [Mark; 2]| {
        let text = format!(
            "{what} differs between frames {} and {}: it was changed {}.",
            finder.frame(frames[0]),
            finder.frame(frames[1]),
            stretch.name(finder, from),
        );
        stretch.report(finder, rule::PATH_CHANGED_OPTION, from, &frames, text);
    };
    let (Some(here), Some(there)) = (&first.subflow.join, &second.subflow.join) else {
        let (here, there) = (&first.connection.handshake, &second.connection.handshake);
        if first.is_join() != second.is_join() || here.echoed || there.echoed {
            return;
        }
        for (from, segment, one, other) in [
            (initiator, "SYN", &here.syn, &there.syn),
            (initiator.peer(), "SYN/ACK", &there.syn_ack, &here.syn_ack),
            (initiator, "third ACK", &here.ack, &there.ack),
        ] {
            let (Some((one, before)), Some((other, behind))) = (one, other) else { continue };
            let content = |capable: &crate::wire::MpCapable| {
                (capable.version, capable.flags, capable.sender_key, capable.receiver_key)
            };
            if content(one) != content(other) {
                differ(from, &format!("MP_CAPABLE of the {segment}"), [*before, *behind]);
            }
        }
        return;
    };
    if let (Some(before), Some(behind)) = (&first.subflow.syn, &second.subflow.syn)
        && let Some(what) = other_join_syn(&first, &second)
    {
        differ(initiator, &format!("The {what} in MP_JOIN of the SYN"), [before.first.frame, behind.first.frame]);
    }
    if let (Some(before), Some(behind)) = (there.syn_ack_frame, here.syn_ack_frame)
        && (there.syn_ack_hmac, there.responder_nonce) != (here.syn_ack_hmac, here.responder_nonce)
    {
        differ(initiator.peer(), "MP_JOIN of the SYN/ACK", [before, behind]);
    }
    if let (Some(before), Some(behind)) = (here.ack_frame, there.ack_frame)
        && here.ack_hmac != there.ack_hmac
    {
        differ(initiator, "MP_JOIN of the third ACK", [before, behind]);
    }
}

/// What MP_JOIN of the SYN says differently at two taps, where both show it.
fn other_join_syn(first: &Tap<'_>, second: &Tap<'_>) -> Option<&'static str> {
    let (here, there) = (first.subflow.join.as_ref()?, second.subflow.join.as_ref()?);
    let (one, other) = (here.token.zip(here.initiator_nonce)?, there.token.zip(there.initiator_nonce)?);
    let initiator = first.subflow.initiator;
    let id = |tap: &Tap<'_>| tap.subflow.address_ids[initiator];
    let backup = |tap: &Tap<'_>| tap.subflow.join_backup[initiator];
    if one.0 != other.0 {
        Some("token")
    } else if one.1 != other.1 {
        Some("nonce")
    } else if id(first) != id(second) {
        Some("address id")
    } else {
        (backup(first) != backup(second)).then_some("backup flag")
    }
}

/// The RST says why before the stretch and not behind it.
pub(super) fn reset_reason(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>) {
    let (Some(near), Some(far)) = (stretch.near.subflow.reset(), stretch.far.subflow.reset()) else { return };
    let (with, without) = if near.by == Side::Client { (near, far) } else { (far, near) };
    if let Some((reason, _)) = with.reason.filter(|_| near.by == far.by && without.reason.is_none()) {
        let head = format!("The {}'s RST carries MP_TCPRST with reason {reason}", with.by.name());
        removed(finder, stretch, with.by, &head, [with.at.frame, without.at.frame]);
    }
}

/// Addresses that were announced in other words than they arrived.
pub(super) fn announcements(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>) {
    for side in Side::BOTH {
        let (from, to) = stretch.of(side);
        for announced in from.connection.addresses.iter().filter(|announced| announced.by == side) {
            let mut same_id = to.connection.addresses.iter().filter(|other| {
                (other.by, other.id, other.address.is_ipv4()) == (side, announced.id, announced.address.is_ipv4())
            });
            let same = |address: &crate::track::connection::Announced| {
                (address.address, address.port) == (announced.address, announced.port)
            };
            let Some(other) = same_id.clone().next().filter(|_| !same_id.any(same)) else { continue };
            let text = format!(
                "ADD_ADDR of the {} announces {} in frame {} and {} in frame {}: it was changed {}.",
                side.name(),
                name(announced),
                finder.frame(announced.frame),
                name(other),
                finder.frame(other.frame),
                stretch.name(finder, side),
            );
            let frames = [announced.frame, other.frame];
            stretch.report(finder, rule::PATH_CHANGED_OPTION, side, &frames, text);
        }
    }
}

/// Removals of addresses that one tap shows, and the next, which shows all that their sender sent, does not.
pub(super) fn removals(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>) {
    // A device that takes the option off a packet that passes is told of as such.
    if stretch.lost_options(finder) {
        return;
    }
    for side in Side::BOTH {
        let (from, to) = stretch.of(side);
        let (sent, got) = (&from.subflow.halves[side], &to.subflow.halves[side]);
        if sent.reach().is_none() || sent.reach() != got.reach() {
            continue;
        }
        let here = from.connection.seldom.removals.iter().filter(|removal| removal.by == side);
        for removal in here {
            let arrived = to.connection.seldom.removals.iter().any(|other| (other.by, other.id) == (side, removal.id));
            if arrived {
                continue;
            }
            let text = format!(
                "The REMOVE_ADDR of id {} that the {} sent in frame {} is not at {}: it got lost {}, or that capture lacks it.",
                removal.id,
                side.name(),
                finder.frame(removal.frame),
                finder.evidence.input_name(to.subflow.interface.0),
                stretch.name(finder, side),
            );
            stretch.report(finder, rule::PATH_LOST_PACKETS, side, &[removal.frame], text);
        }
    }
}

/// Sequence numbers and other options of the handshake.
fn tcp_header(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>) {
    let (near, far) = (stretch.near.subflow, stretch.far.subflow);
    let index = stretch.index;
    for (side, name, here, there) in
        [(near.initiator, "SYN", &near.syn, &far.syn), (near.initiator.peer(), "SYN/ACK", &near.syn_ack, &far.syn_ack)]
    {
        let (Some(here), Some(there)) = (here, there) else { continue };
        let (here, there) = if side == Side::Client { (here, there) } else { (there, here) };
        let frames = [here.first.frame, there.first.frame];
        if here.seq != there.seq {
            let text = format!(
                "The {name} of subflow {index} has sequence number {} in frame {} and {} in frame {}: a firewall {} shifts the {}'s numbers by {}.",
                here.seq,
                finder.frame(frames[0]),
                there.seq,
                finder.frame(frames[1]),
                between(finder, (near.interface.0, far.interface.0)),
                side.name(),
                there.seq.wrapping_sub(here.seq),
            );
            stretch.report(finder, rule::PATH_REWROTE_SEQUENCE_NUMBERS, side, &frames, text);
        }
        let rule: &'static Explanation = rule::PATH_CHANGED_TCP_OPTIONS;
        if let Some(what) = other_options(here, there) {
            let text = format!(
                "In the {name} of subflow {index}, {what} from frame {} to {}, {}.",
                finder.frame(frames[0]),
                finder.frame(frames[1]),
                stretch.name(finder, side),
            );
            stretch.report(finder, rule, side, &frames, text);
        }
    }
}

/// `MSS went from 1460 to 1400, SACK-permitted was removed`.
fn other_options(here: &SynSeen, there: &SynSeen) -> Option<String> {
    let number = |name: &str, one: Option<u16>, other: Option<u16>| match (one, other) {
        (one, other) if one == other => None,
        (Some(one), Some(other)) => Some(format!("{name} went from {one} to {other}")),
        (one, _) => Some(presence(name, one.is_some())),
    };
    let flag = |name: &str, one: bool, other: bool| (one != other).then(|| presence(name, one));
    let changed = [
        number("MSS", here.mss, there.mss),
        number("window scale", here.window_scale.map(u16::from), there.window_scale.map(u16::from)),
        flag("SACK-permitted", here.sack_permitted, there.sack_permitted),
        flag("timestamps", here.timestamps, there.timestamps),
    ];
    let changed: Vec<String> = changed.into_iter().flatten().collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

fn presence(name: &str, was_there: bool) -> String {
    format!("{name} was {}", if was_there { "removed" } else { "added" })
}

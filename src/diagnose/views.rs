//! What two captures of the same connection prove of the stretch between them.

use super::fallback::BLANKED;
use super::rules::views as rule;
use super::{Finder, endpoint};
use crate::report::explain::Explanation;
use crate::report::text;
use crate::track::connection::Connection;
use crate::track::half::Half;
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::{Subflow, SynSeen};

/// Two taps of one connection, in the order in which the client's packets pass them.
struct Stretch<'a> {
    near: &'a Connection,
    far: &'a Connection,
}

pub(super) fn look(finder: &mut Finder<'_, '_>) {
    let connection = finder.connection();
    let evidence = finder.evidence;
    for &view in &evidence.views {
        let far_is_view = nearer_to_server(view, connection);
        let stretch =
            if far_is_view { Stretch { near: connection, far: view } } else { Stretch { near: view, far: connection } };
        for (index, subflow) in finder.subflows() {
            let Some(twin) = twin(subflow, view) else { continue };
            let (near, far) = if far_is_view { (subflow, twin) } else { (twin, subflow) };
            handshake(finder, &stretch, index, near, far);
            for side in Side::BOTH {
                data(finder, index, near, far, side);
            }
            rewritten(finder, index, near, far);
        }
        for side in Side::BOTH {
            changed(finder, &stretch, side);
        }
        if !finder.found.iter().any(|found| found.rule.id == super::rules::data::ENDS_DISAGREE_ABOUT_FALLBACK.id) {
            super::data::disagreement(finder, view);
        }
    }
    for (index, subflow) in finder.subflows() {
        translated_here(finder, index, subflow);
    }
}

/// Whether tap `a` lies nearer to the server than tap `b`: there the SYN is answered sooner. The delay between two packets
/// does not depend on the clocks of the capturing hosts.
pub(super) fn nearer_to_server(a: &Connection, b: &Connection) -> bool {
    let delay = |connection: &Connection| {
        let initial = connection.initial()?;
        let (syn, syn_ack) = (initial.syn.as_ref()?, initial.syn_ack.as_ref()?);
        Some(syn_ack.first.time.since(syn.last.time.min(syn_ack.first.time)))
    };
    match (delay(a), delay(b)) {
        (Some(a), Some(b)) => a < b,
        _ => a.first.time > b.first.time,
    }
}

impl Stretch<'_> {
    /// The same stretch for one subflow, which other inputs may show than the first.
    fn of(near: &Subflow, far: &Subflow) -> Inputs {
        Inputs { near: near.interface.0, far: far.interface.0 }
    }
}

/// The two inputs that bound a stretch.
#[derive(Clone, Copy)]
struct Inputs {
    near: u16,
    far: u16,
}

impl Inputs {
    /// `between client-e1.pcap and server-e1.pcap`, in the direction of `side`'s packets.
    fn name(self, finder: &Finder<'_, '_>, side: Side) -> String {
        let (from, to, end) = match side {
            Side::Client => (self.near, self.far, "server"),
            Side::Server => (self.far, self.near, "client"),
        };
        let name = |input| finder.evidence.input_name(input);
        format!("on the way to the {end}, between {} and {}", name(from), name(to))
    }
}

/// The same subflow in another view: the first one, or the one of the same nonce or 4-tuple.
fn twin<'a>(subflow: &Subflow, view: &'a Connection) -> Option<&'a Subflow> {
    let Some(join) = &subflow.join else { return view.initial() };
    let nonce = |other: &Subflow| other.join.as_ref().and_then(|join| join.initiator_nonce);
    let same_nonce =
        view.subflows.iter().find(|other| join.initiator_nonce.is_some() && nonce(other) == join.initiator_nonce);
    let tuple = |subflow: &Subflow| (subflow.ip, subflow.source_port, subflow.destination_port);
    same_nonce.or_else(|| {
        view.subflows
            .iter()
            .find(|other| other.join.is_some() && nonce(other).is_none() && tuple(other) == tuple(subflow))
    })
}

/// Options of SYN, SYN/ACK and third ACK.
fn handshake(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, index: u16, near: &Subflow, far: &Subflow) {
    let initiator = near.initiator;
    let (first, second) = if initiator == Side::Client { (near, far) } else { (far, near) };
    let connections = if initiator == Side::Client { (stretch.near, stretch.far) } else { (stretch.far, stretch.near) };
    let option = if near.join.is_none() { "MP_CAPABLE" } else { "MP_JOIN" };
    let asked = |at: &Subflow, connection: &Connection| match &at.join {
        None => connection.handshake.syn.is_some(),
        Some(join) => join.initiator_nonce.is_some(),
    };
    let answered = |at: &Subflow, connection: &Connection| match &at.join {
        None => connection.handshake.syn_ack.is_some(),
        Some(join) => join.syn_ack_hmac.is_some(),
    };
    if asked(first, connections.0)
        && !asked(second, connections.1)
        && let (Some(with), Some(without)) = (&first.syn, &second.syn)
    {
        gone(finder, Stretch::of(near, far), index, initiator, ("SYN", option), with, without);
    }
    if let (Some(with), Some(without)) = (&second.syn_ack, &first.syn_ack) {
        let echoed = near.join.is_none() && connections.0.handshake.echoed && !connections.1.handshake.echoed;
        if echoed && !answered(second, connections.1) {
            let text = format!(
                "The SYN/ACK has no MP_CAPABLE in frame {} and the client's own in frame {}: a device echoes options {}.",
                finder.frame(with.first.frame),
                finder.frame(without.first.frame),
                Stretch::of(near, far).name(finder, initiator.peer()),
            );
            finder.report(rule::PATH_ECHOED_OPTION, Some(index), &[with.first.frame, without.first.frame], text);
        } else if answered(second, connections.1) && !answered(first, connections.0) {
            gone(finder, Stretch::of(near, far), index, initiator.peer(), ("SYN/ACK", option), with, without);
        }
    }
    third_ack(finder, Stretch::of(near, far), index, first, second, connections);
}

fn third_ack(
    finder: &mut Finder<'_, '_>,
    stretch: Inputs,
    index: u16,
    first: &Subflow,
    second: &Subflow,
    connections: (&Connection, &Connection),
) {
    let (with, without) = match (&first.join, &second.join) {
        (None, None) => {
            let there = connections.0.handshake.ack.map(|(_, frame)| frame);
            (there, connections.1.handshake.bare_ack.filter(|_| connections.1.handshake.ack.is_none()))
        }
        (Some(here), Some(there)) => (here.ack_frame, there.bare_ack.filter(|_| there.ack_hmac.is_none())),
        _ => return,
    };
    let (Some(with), Some(without)) = (with, without) else { return };
    let option = if first.join.is_none() { "MP_CAPABLE" } else { "MP_JOIN" };
    let text = format!(
        "The third ACK carries {option} in frame {} and not in frame {}: it was removed {}.",
        finder.frame(with),
        finder.frame(without),
        stretch.name(finder, first.initiator),
    );
    finder.report(rule::PATH_STRIPPED_OPTION, Some(index), &[with, without], text);
}

/// An option of a SYN or SYN/ACK is there before the stretch and not behind it.
fn gone(
    finder: &mut Finder<'_, '_>,
    stretch: Inputs,
    index: u16,
    from: Side,
    what: (&str, &str),
    with: &SynSeen,
    without: &SynSeen,
) {
    let blanked = without.nop_run >= BLANKED && without.nop_run > with.nop_run;
    let (rule, how): (&'static Explanation, String) = if blanked {
        (rule::PATH_BLANKED_OPTION, format!("{} NOPs stand in its place: it was overwritten", without.nop_run))
    } else {
        (rule::PATH_STRIPPED_OPTION, "it was removed".to_owned())
    };
    let text = format!(
        "The {} carries {} in frame {} and not in frame {}; {how} {}.",
        what.0,
        what.1,
        finder.frame(with.first.frame),
        finder.frame(without.first.frame),
        stretch.name(finder, from),
    );
    finder.report(rule, Some(index), &[with.first.frame, without.first.frame], text);
}

/// Mappings of one direction that do not come out of the stretch, though the payload does; and payload that does not.
fn data(finder: &mut Finder<'_, '_>, index: u16, near: &Subflow, far: &Subflow, side: Side) {
    let stretch = Stretch::of(near, far);
    let told = [rule::PATH_STRIPPED_OPTION.id, rule::PATH_BLANKED_OPTION.id];
    let told = finder.found.iter().any(|found| found.subflow == Some(index) && told.contains(&found.rule.id));
    let (from, to) = if side == Side::Client { (near, far) } else { (far, near) };
    let (sent, got) = (&from.halves[side], &to.halves[side]);
    let (mapped, arrived) = (mapped_to(sent), mapped_to(got));
    let payload_came = got.syn.is_some_and(|syn| got.next.saturating_sub(syn) >= mapped);
    if !told && mapped > arrived && payload_came && to.bare[side].segments > 0 {
        let bare = to.bare[side].first;
        let text = format!(
            "Data of the {} carries mappings at {} and none at {} (from frame {}): they were removed {}.",
            side.name(),
            finder.evidence.input_name(from.interface.0),
            finder.evidence.input_name(to.interface.0),
            bare.map_or_else(|| "?".to_owned(), |frame| finder.frame(frame).to_string()),
            stretch.name(finder, side),
        );
        let frames: Vec<Mark> = bare.into_iter().chain(sent.first_data).collect();
        finder.report(rule::PATH_STRIPPED_OPTION, Some(index), &frames, text);
    }
    let whole = |subflow: &Subflow| subflow.syn.is_some() && subflow.is_closed();
    let lost = sent.payload_bytes.saturating_sub(got.payload_bytes);
    let same_length = ended_at(sent).zip(ended_at(got)).is_some_and(|(sent, got)| sent == got);
    if lost > 0 && whole(from) && whole(to) && same_length {
        let text = format!(
            "{} that the {} sent on subflow {index} were lost {} and sent again.",
            text::bytes(lost),
            side.name(),
            stretch.name(finder, side),
        );
        finder.report(rule::PATH_LOST_PACKETS, Some(index), &[], text);
    }
}

/// How far mappings reach, counted from the SYN.
fn mapped_to(half: &Half) -> u64 {
    half.last_mapping_end.zip(half.syn).map_or(0, |(end, syn)| end.0.saturating_sub(syn))
}

/// Where the FIN stands, counted from the SYN.
fn ended_at(half: &Half) -> Option<u64> {
    half.fin.zip(half.syn).map(|(fin, syn)| fin.0.saturating_sub(syn))
}

/// Checksums right before the stretch and wrong behind it, or a stream of another length.
fn changed(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) {
    let (from, to) = if side == Side::Client { (stretch.near, stretch.far) } else { (stretch.far, stretch.near) };
    let wrong_there = |dsn: u64| from.checksums[side].mismatches.iter().any(|mismatch| mismatch.dsn == dsn);
    let new = to.checksums[side].mismatches.iter().find(|mismatch| !wrong_there(mismatch.dsn));
    let lengths = from.initial().zip(to.initial()).and_then(|(from, to)| {
        let (before, after) = ended_at(&from.halves[side]).zip(ended_at(&to.halves[side]))?;
        (before != after).then_some((before, after, to.halves[side].fin?.1))
    });
    // Without FIN too, a stream that is longer behind the stretch was lengthened there.
    let lengths = lengths.or_else(|| {
        let (from, to) = from.initial().zip(to.initial())?;
        let reached =
            |subflow: &Subflow| subflow.halves[side].syn.map(|syn| subflow.halves[side].next.saturating_sub(syn));
        let (before, after) = reached(from).zip(reached(to))?;
        (after > before && from.syn.is_some() && to.syn.is_some()).then_some((
            before,
            after,
            to.halves[side].last_data?,
        ))
    });
    let offset = new.map(|mismatch| mismatch.placed.position.saturating_sub(crate::track::data::ORIGIN + 1));
    let mut frames = Vec::new();
    let mut parts = Vec::new();
    if let (Some(mismatch), Some(offset)) = (new, offset) {
        frames.extend([mismatch.placed.frame, mismatch.last_frame]);
        let right = from.checksums[side].verified > 0 && from.checksums[side].mismatch == 0;
        if !right && lengths.is_none() {
            return;
        }
        parts.push(format!(
            "all checksums of the {} are right at {} and that of {} bytes from byte {} is wrong at {} (frame {})",
            side.name(),
            finder.evidence.input_name(from.input),
            text::count(u64::from(mismatch.placed.data_len)),
            text::count(offset),
            finder.evidence.input_name(to.input),
            finder.frame(mismatch.placed.frame),
        ));
    }
    if let Some((before, after, fin)) = lengths {
        frames.push(fin);
        let (more, difference) = if after > before { ("longer", after - before) } else { ("shorter", before - after) };
        parts.push(format!("the {}'s stream is {} {more} behind it", side.name(), text::counted(difference, "byte")));
    }
    if parts.is_empty() {
        return;
    }
    let inputs = Inputs { near: stretch.near.input, far: stretch.far.input };
    let text = format!("Payload was changed {}: {}.", inputs.name(finder, side), parts.join("; "));
    finder.report(rule::PATH_CHANGED_PAYLOAD, new.map(|mismatch| mismatch.subflow), &frames, text);
}

/// Sequence numbers, addresses and other options of the handshake.
fn rewritten(finder: &mut Finder<'_, '_>, index: u16, near: &Subflow, far: &Subflow) {
    let tuple = |subflow: &Subflow| (subflow.address_of(Side::Client), subflow.address_of(Side::Server));
    if tuple(near) != tuple(far) {
        let (a, b) = (tuple(near), tuple(far));
        let text = format!(
            "Subflow {index} is {} → {} at {} and {} → {} at {}: a NAT lies between them.",
            endpoint(a.0),
            endpoint(a.1),
            finder.evidence.input_name(near.interface.0),
            endpoint(b.0),
            endpoint(b.1),
            finder.evidence.input_name(far.interface.0),
        );
        finder.report(rule::PATH_TRANSLATED_ADDRESSES, Some(index), &[near.first.frame, far.first.frame], text);
    }
    for (side, name, here, there) in
        [(near.initiator, "SYN", &near.syn, &far.syn), (near.initiator.peer(), "SYN/ACK", &near.syn_ack, &far.syn_ack)]
    {
        let (Some(here), Some(there)) = (here, there) else { continue };
        let frames = [here.first.frame, there.first.frame];
        if here.seq != there.seq {
            let shift = there.seq.wrapping_sub(here.seq);
            let text = format!(
                "The {name} of subflow {index} has sequence number {} in frame {} and {} in frame {}: a firewall between {} and {} shifts the {}'s numbers by {shift}.",
                here.seq,
                finder.frame(frames[0]),
                there.seq,
                finder.frame(frames[1]),
                finder.evidence.input_name(near.interface.0),
                finder.evidence.input_name(far.interface.0),
                side.name(),
            );
            finder.report(rule::PATH_REWROTE_SEQUENCE_NUMBERS, Some(index), &frames, text);
        }
        if let Some(what) = other_options(here, there) {
            let text = format!(
                "{what} of the {name} of subflow {index} differ between frames {} and {}.",
                finder.frame(frames[0]),
                finder.frame(frames[1])
            );
            finder.report(rule::PATH_CHANGED_TCP_OPTIONS, Some(index), &frames, text);
        }
    }
}

fn other_options(here: &SynSeen, there: &SynSeen) -> Option<String> {
    let mut changed = Vec::new();
    let mut differ = |name: &'static str, is: bool| changed.extend(is.then_some(name));
    differ("MSS", here.mss != there.mss);
    differ("Window scale", here.window_scale != there.window_scale);
    differ("SACK-permitted", here.sack_permitted != there.sack_permitted);
    differ("Timestamps", here.timestamps != there.timestamps);
    (!changed.is_empty()).then(|| changed.join(", "))
}

/// One input can show both sides of a NAT.
fn translated_here(finder: &mut Finder<'_, '_>, index: u16, subflow: &Subflow) {
    if finder
        .found
        .iter()
        .any(|found| found.rule.id == rule::PATH_TRANSLATED_ADDRESSES.id && found.subflow == Some(index))
    {
        return;
    }
    let Some((ip, source, destination)) = subflow.also_seen_as.first() else { return };
    let text = format!(
        "Subflow {index} also shows as {} → {} with the same token and nonce: a NAT lies between the capture points.",
        endpoint((ip.source(), *source)),
        endpoint((ip.destination(), *destination)),
    );
    finder.report(rule::PATH_TRANSLATED_ADDRESSES, Some(index), &[subflow.first.frame], text);
}

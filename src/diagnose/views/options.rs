//! Options of the same packet at two taps, beyond the SYNs.

use super::super::Finder;
use super::super::rules::views as rule;
use super::Stretch;
use crate::text;
use crate::track::mark::Mark;
use crate::track::same_packet::{Difference, How, SHORTENED};
use crate::track::side::Side;
use crate::wire::Subtype;

/// Options that are gone, new or other behind the stretch. `handshake_lost` tells that those of the handshake are known to be
/// gone: what follows of that says nothing new.
pub(super) fn look(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, handshake_lost: bool) {
    for side in Side::BOTH {
        let found = differences(finder, stretch, side);
        let mut gone = Vec::new();
        let mut other = Vec::new();
        let mut shorter = Vec::new();
        let lower_first = passed_lower_first(finder, stretch, side);
        for difference in &found {
            if difference.how == How::Changed(SHORTENED) {
                shorter.push(difference);
                continue;
            }
            let stripped = match difference.how {
                How::LowerLacks => !lower_first,
                How::HigherLacks => lower_first,
                How::Changed(_) => false,
            };
            if stripped { gone.push(difference) } else { other.push(difference) }
        }
        if !handshake_lost && !gone.is_empty() {
            removed(finder, stretch, side, &gone);
        }
        if !other.is_empty() {
            changed(finder, stretch, side, &other);
        }
        for difference in shorter {
            shortened(finder, stretch, side, difference);
        }
    }
}

/// What differs in packets of `side` and is not told yet.
fn differences(finder: &Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) -> Vec<Difference> {
    let (from, to) = stretch.inputs(side);
    let site = |input| finder.evidence.sites.of(input);
    let Some(subflow) = finder.connection().subflows.get(usize::from(stretch.index)) else { return Vec::new() };
    let of_stretch = |difference: &&Difference| {
        let between = difference.frames.map(|frame| site(frame.frame().input));
        difference.from == side && (between == [site(from), site(to)] || between == [site(to), site(from)])
    };
    let told = |difference: &Difference| {
        let has = |frames: &[Mark]| difference.frames.iter().all(|frame| frames.contains(frame));
        finder.found.iter().any(|found| found.between == Some((from, to)) && has(&found.frames))
    };
    subflow.seldom.differences.iter().filter(of_stretch).filter(|difference| !told(difference)).copied().collect()
}

/// Whether packets of `side` pass the site with the lower number first.
fn passed_lower_first(finder: &Finder<'_, '_>, stretch: &Stretch<'_>, side: Side) -> bool {
    let (from, to) = stretch.inputs(side);
    finder.evidence.sites.of(from) < finder.evidence.sites.of(to)
}

/// The frames of a difference in the order in which the packet passed them.
fn in_order(finder: &Finder<'_, '_>, stretch: &Stretch<'_>, side: Side, difference: &Difference) -> [Mark; 2] {
    let [lower, higher] = difference.frames;
    if passed_lower_first(finder, stretch, side) { [lower, higher] } else { [higher, lower] }
}

/// ` (the first of 3 packets)`, if there are more than one.
fn first_of(count: u32) -> String {
    match count {
        1 => String::new(),
        _ => format!(" (the first of {})", text::counted(u64::from(count), "packet")),
    }
}

/// `in frame 1#70 and not in frame 2#70`; and how often, if more than once.
fn where_seen(finder: &Finder<'_, '_>, [with, without]: [Mark; 2], count: u32) -> String {
    format!("in frame {} and not in frame {}{}", finder.frame(with), finder.frame(without), first_of(count))
}

fn removed(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side, gone: &[&Difference]) {
    let mut frames = Vec::new();
    let mut parts = Vec::new();
    for difference in gone {
        let pair = in_order(finder, stretch, side, difference);
        parts.push(format!("{} is {}", difference.subtype, where_seen(finder, pair, difference.count)));
        frames.extend(pair);
    }
    let text = format!(
        "In packets of the {} on subflow {}, {}: removed {}.",
        side.name(),
        stretch.index,
        parts.join(", "),
        stretch.name(finder, side),
    );
    stretch.report(finder, rule::PATH_STRIPPED_OPTION, side, &frames, text);
}

fn changed(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side, other: &[&Difference]) {
    let mut frames = Vec::new();
    let mut parts = Vec::new();
    for difference in other {
        let [before, behind] = in_order(finder, stretch, side, difference);
        parts.push(match difference.how {
            How::Changed(which) => {
                let more = first_of(difference.count);
                let (before, behind) = (finder.frame(before), finder.frame(behind));
                format!("{} differs between frames {before} and {behind}{more}", what(difference.subtype, which))
            }
            How::LowerLacks | How::HigherLacks => {
                let seen = where_seen(finder, [behind, before], difference.count);
                format!("{} is {seen}: it was inserted", difference.subtype)
            }
        });
        frames.extend([before, behind]);
    }
    let text = format!(
        "In packets of the {} on subflow {}, {}; it happened {}.",
        side.name(),
        stretch.index,
        parts.join(", "),
        stretch.name(finder, side),
    );
    // What cannot be read behind the stretch and was right before it is not its sender's fault.
    let malformed = super::super::rules::handshake::OPTION_MALFORMED.id;
    let explains = |found: &super::super::Found| found.frames.iter().all(|frame| frames.contains(frame));
    finder.found.retain(|found| found.rule.id != malformed || !explains(found));
    stretch.report(finder, rule::PATH_CHANGED_OPTION, side, &frames, text);
}

/// The same numbers in another form.
fn shortened(finder: &mut Finder<'_, '_>, stretch: &Stretch<'_>, side: Side, difference: &Difference) {
    let frames = in_order(finder, stretch, side, difference);
    let text = format!(
        "In packets of the {} on subflow {}, DATA_ACK or DSN of DSS has 64 bits in one of frames {} and {}, and the same low 32 bits alone in the other{}; it happened {}.",
        side.name(),
        stretch.index,
        finder.frame(frames[0]),
        finder.frame(frames[1]),
        first_of(difference.count),
        stretch.name(finder, side),
    );
    stretch.report(finder, rule::PATH_SHORTENED_NUMBERS, side, &frames, text);
}

/// `the DSN and the length of DSS`; the option alone where nothing more is known.
fn what(subtype: Subtype, parts: u8) -> String {
    const PARTS: [&str; 5] = ["DATA_ACK", "DSN", "SSN", "length", "flags or checksum"];
    let named = PARTS.iter().enumerate().filter(|(index, _)| parts >> index & 1 == 1).map(|(_, name)| *name);
    let named: Vec<&str> = named.collect();
    if named.is_empty() || named.len() == PARTS.len() {
        return subtype.to_string();
    }
    format!("{} of {subtype}", named.join(", "))
}

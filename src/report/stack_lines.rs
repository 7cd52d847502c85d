//! What the tree tells of settings: patterns always, with `-v` also what they rest on and why others are not named.

use super::layout::Cell;
use super::style::Role;
use crate::model::{
    AddressPairs, Connection, Coupling, Directions, Fingerprint, Listener, Priority, Scheduler, Stack, Sysctls,
};
use crate::text;

/// Words of one line; it breaks between them.
type Line = Vec<Cell>;

/// Lines under a connection.
pub(super) fn connection(connection: &Connection, verbose: bool) -> Vec<Line> {
    let stack = &connection.stack;
    let mut lines = Vec::new();
    let settings = settings(stack);
    if !settings.is_empty() {
        lines.push(settings);
    }
    for wrong in &stack.routing {
        let message = format!(
            "subflow {} has {}'s address {} but was seen on {} at frame {}",
            wrong.subflow, wrong.owner, wrong.address, wrong.interface, wrong.frame
        );
        lines.push(words(Role::Warning, &message));
    }
    lines.extend(stack.priority.iter().filter(|priority| verbose || !kept(priority)).map(priority));
    if verbose {
        lines.extend(reasons(stack));
        lines.extend(numbers(&stack.scheduler));
        lines.extend(sysctls(connection));
        lines.extend(pairs(&stack.address_pairs));
        lines.extend(both(&stack.coupling).into_iter().filter_map(|(arrow, coupling)| load(arrow, coupling)));
    }
    lines
}

/// Listeners that answer in several ways: one line each.
pub(super) fn listeners(listeners: &[Listener], limit: usize) -> Vec<Line> {
    listeners.iter().filter_map(listener).take(limit).collect()
}

fn listener(listener: &Listener) -> Option<Line> {
    const SHOWN: usize = 16;
    let mut sorted = listener.ways();
    if sorted.is_empty() {
        return None;
    }
    let ways = sorted.len();
    let only_mss = sorted.windows(2).all(|pair| pair[0].mss != pair[1].mss);
    let same_head = |a: &Fingerprint, b: &Fingerprint| (a.mss, a.window_scale) == (b.mss, b.window_scale);
    let only_head = sorted.windows(2).all(|pair| !same_head(pair[0], pair[1]));
    sorted.sort_by_key(|print| std::cmp::Reverse(print.connections));
    let mut shown: Vec<String> = sorted
        .iter()
        .take(SHOWN)
        .map(|print| {
            let mss = print.mss.map_or_else(|| "none".to_owned(), |mss| mss.to_string());
            let scale =
                print.window_scale.filter(|_| !only_mss).map_or_else(String::new, |scale| format!("/scale {scale}"));
            let kinds = print.options.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
            let options = if only_head { String::new() } else { format!("/options {kinds}") };
            format!("{mss}{scale}{options}: {}", text::count(print.connections))
        })
        .collect();
    if sorted.len() > SHOWN {
        shown.push(format!("{} more", sorted.len() - SHOWN));
    }
    let evenness = listener.evenness.map_or_else(String::new, |evenness| format!("; evenness {evenness}"));
    let message = format!(
        "listener {} answers in {ways} ways, as {ways} sockets or hosts would: MSS {}{evenness}",
        listener.server,
        shown.join(", "),
    );
    Some(words(Role::Plain, &message))
}

fn settings(stack: &Stack) -> Line {
    let settings = [
        ("client's path manager", stack.path_manager.client.pattern, stack.path_manager.client.confidence),
        ("server's path manager", stack.path_manager.server.pattern, stack.path_manager.server.confidence),
        ("↑ scheduler", stack.scheduler.client_to_server.pattern, stack.scheduler.client_to_server.confidence),
        ("↓ scheduler", stack.scheduler.server_to_client.pattern, stack.scheduler.server_to_client.confidence),
    ];
    let mut line = Vec::new();
    for (name, pattern, confidence) in settings {
        let Some(pattern) = pattern else { continue };
        if !line.is_empty() {
            line.push(Cell::of(Role::Dim, "·"));
        }
        let sure = confidence.map_or_else(String::new, |sure| format!(" ({})", text::share(sure)));
        line.push(Cell::plain(format!("{name}: {}", pattern.replace('_', " "))).and(Role::Dim, sure));
    }
    line
}

fn kept(priority: &Priority) -> bool {
    let obeyed = &priority.obeyed;
    obeyed.client_to_server != Some(false) && obeyed.server_to_client != Some(false)
}

fn priority(priority: &Priority) -> Line {
    let asked: Vec<String> = priority
        .timeline
        .iter()
        .map(|change| {
            let what = if change.backup { "backup" } else { "regular use" };
            let option = if change.option == "mp_join" { "MP_JOIN" } else { "MP_PRIO" };
            format!("{} asked for {what} ({option}, frame {})", change.by, change.frame)
        })
        .collect();
    let verdict = |arrow: &str, obeyed: Option<bool>, bytes: u64| match obeyed {
        Some(true) if bytes == 0 => Some(format!("{arrow} kept to it")),
        Some(true) => Some(format!("{arrow} kept to it but for {}", text::bytes(bytes))),
        Some(false) => Some(format!("{arrow} {} sent on it beside a regular path", text::bytes(bytes))),
        None => None,
    };
    let (obeyed, against) = (&priority.obeyed, &priority.bytes_against);
    let verdicts = [
        verdict("↑", obeyed.client_to_server, against.client_to_server),
        verdict("↓", obeyed.server_to_client, against.server_to_client),
    ];
    let told: Vec<String> = asked.into_iter().chain(verdicts.into_iter().flatten()).collect();
    let role = if kept(priority) { Role::Plain } else { Role::Warning };
    words(role, &format!("priority of subflow {}: {}", priority.subflow, told.join("; ")))
}

/// Why a pattern is not named, or what limits the one named.
fn reasons(stack: &Stack) -> Vec<Line> {
    let (path, scheduler) = (&stack.path_manager, &stack.scheduler);
    let reasons = [
        ("client's path manager", path.client.pattern, &path.client.why, &path.client.alternatives),
        ("server's path manager", path.server.pattern, &path.server.why, &path.server.alternatives),
        (
            "↑ scheduler",
            scheduler.client_to_server.pattern,
            &scheduler.client_to_server.why,
            &scheduler.client_to_server.alternatives,
        ),
        (
            "↓ scheduler",
            scheduler.server_to_client.pattern,
            &scheduler.server_to_client.why,
            &scheduler.server_to_client.alternatives,
        ),
    ];
    let mut lines = Vec::new();
    for (name, pattern, why, alternatives) in reasons {
        let unknown = if pattern.is_none() { "not told: " } else { "" };
        if let Some(why) = why {
            lines.push(words(Role::Dim, &format!("{name}: {unknown}{why}")));
        }
        if !alternatives.is_empty() {
            lines.push(words(
                Role::Dim,
                &format!("{name}: {} would look the same", alternatives.join(" or ").replace('_', " ")),
            ));
        }
    }
    lines
}

fn numbers(scheduler: &Directions<Scheduler>) -> Vec<Line> {
    let line = |(arrow, scheduler): (&str, &Scheduler)| {
        let median = scheduler.median_block_bytes?;
        let mut told = vec![
            format!("{arrow} {}", text::counted(scheduler.blocks, "block")),
            format!("{} median", text::bytes(median)),
        ];
        told.extend(scheduler.switches_per_second.map(|rate| format!("{rate} switches/s")));
        told.extend(
            scheduler
                .duplicate_share
                .filter(|share| *share > 0.0)
                .map(|share| format!("{} sent twice", text::share(share))),
        );
        told.extend(scheduler.rtt_correlation.map(|value| format!("correlation of RTT and share {value}")));
        if scheduler.choices.total > 0 {
            let choices = scheduler.choices;
            told.push(format!(
                "{} among free paths ({} moved)",
                text::counted(choices.total.into(), "choice"),
                choices.moved
            ));
        }
        Some(words(Role::Dim, &told.join(", ")))
    };
    both(scheduler).into_iter().filter_map(line).collect()
}

fn sysctls(connection: &Connection) -> Option<Line> {
    let seen: &Sysctls = &connection.stack.sysctls;
    let mut told = Vec::new();
    if let Some(offered) = seen.version_offered {
        let answered = connection.subflows.first().is_some_and(|initial| initial.syn_ack.is_some());
        let lacks_answer = !answered && !matches!(connection.outcome, "refused" | "unanswered");
        let accepted = match seen.version_accepted {
            Some(version) => format!("v{version} accepted"),
            None if lacks_answer => "answer not captured".to_owned(),
            None => "not accepted".to_owned(),
        };
        told.push(format!("v{offered} offered, {accepted}"));
    }
    match (seen.checksum_asked.client, seen.checksum_asked.server) {
        (Some(true), Some(true)) => told.push("checksums asked for by both".to_owned()),
        (Some(true), _) => told.push("checksums asked for by the client".to_owned()),
        (_, Some(true)) => told.push("checksums asked for by the server".to_owned()),
        _ => {}
    }
    for (name, denied) in [("client", seen.deny_join_id0.client), ("server", seen.deny_join_id0.server)] {
        if denied == Some(true) {
            told.push(format!("{name} takes no joins at its first address (C)"));
        }
    }
    if seen.syns_with_option > 1 || seen.syns_without_option > 0 {
        let spacing: Vec<String> = seen.syn_spacing_ns.iter().map(|&gap| text::duration(gap)).collect();
        told.push(format!(
            "{} with MP_CAPABLE, {} without, {} apart",
            text::counted(seen.syns_with_option.into(), "SYN"),
            seen.syns_without_option,
            spacing.join(", ")
        ));
    }
    if seen.fast_open_bytes > 0 {
        let accepted = text::bytes(seen.fast_open_accepted_bytes.into());
        told.push(format!("Fast Open: {} sent, {accepted} accepted", text::bytes(seen.fast_open_bytes.into())));
    }
    (!told.is_empty()).then(|| words(Role::Dim, &format!("handshake: {}", told.join("; "))))
}

fn pairs(pairs: &AddressPairs) -> Option<Line> {
    if pairs.pairs.len() < 2 {
        return None;
    }
    let established = pairs.pairs.iter().filter(|pair| pair.state == "established").count();
    let mut told = vec![format!("{established} of {} address pairs established", pairs.pairs.len())];
    let others = pairs.pairs.iter().filter(|pair| pair.state != "established");
    told.extend(others.map(|pair| format!("{} – {} {}", pair.client, pair.server, pair.state.replace('_', " "))));
    for known in pairs.client.iter().chain(&pairs.server) {
        if let Some(removed) = known.removed {
            let after = match known.joins_after_removal {
                0 => "no join from or to it since".to_owned(),
                number => text::counted(number.into(), "join") + " since",
            };
            told.push(format!("{} removed at frame {removed}, {after}", known.address));
        }
    }
    Some(words(Role::Dim, &told.join("; ")))
}

fn load(arrow: &str, coupling: &Coupling) -> Option<Line> {
    if coupling.subflows.len() < 2 {
        return None;
    }
    let mut told = vec![format!("{arrow} {}", bits(coupling.goodput_bps?))];
    told.extend(coupling.best_path_tcp_bps.map(|rate| format!("one TCP on the best path: about {}", bits(rate))));
    told.extend(coupling.less_congested_got_more.map(|more| {
        let word = if more { "more" } else { "less" };
        format!("the path with less loss carried {word}")
    }));
    Some(words(Role::Dim, &told.join("; ")))
}

/// Bits a second.
fn bits(rate: u64) -> String {
    match rate {
        0..1_000 => format!("{rate} bit/s"),
        1_000..1_000_000 => format!("{:.1} kbit/s", rate as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} Mbit/s", rate as f64 / 1e6),
        _ => format!("{:.1} Gbit/s", rate as f64 / 1e9),
    }
}

fn both<T>(directions: &Directions<T>) -> [(&'static str, &T); 2] {
    [("↑", &directions.client_to_server), ("↓", &directions.server_to_client)]
}

fn words(role: Role, text: &str) -> Line {
    Cell::words(role, text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_one_decimal() {
        assert_eq!(bits(999), "999 bit/s");
        assert_eq!(bits(19_960_000), "20.0 Mbit/s");
    }
}

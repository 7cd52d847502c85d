//! The words that text outputs use for the codes of the report model. A code without words prints as itself.

use super::cells;
use super::layout::Cell;
use super::style::Role;
use crate::model::{Connection, Directions, Fallback, FrameRef, Join, Reset, Severity, Verdict, View};
use crate::text;

/// What the connection turned out to be.
pub(super) fn protocol(connection: &Connection) -> Cell {
    match (connection.outcome, connection.version) {
        ("mptcp", Some(version)) => {
            let draft = if connection.dialect == Some("draft-v1") { " (draft)" } else { "" };
            Cell::of(Role::Strong, format!("MPTCP v{version}{draft}"))
        }
        ("fallback", _) => Cell::of(Role::Warning, "fell back to TCP"),
        ("refused", _) => Cell::of(Role::Error, "refused"),
        ("unanswered", _) => Cell::of(Role::Warning, "unanswered"),
        (_, Some(version)) => Cell::of(Role::Strong, format!("MPTCP v{version}?")),
        ("unknown", None) if nothing_proves_it(connection) => Cell::of(Role::Plain, "MPTCP?"),
        (_, None) => Cell::of(Role::Strong, "MPTCP"),
    }
}

/// No token and no further subflow: one stray option.
fn nothing_proves_it(connection: &Connection) -> bool {
    let token = connection.client.token.or(connection.server.token);
    token.is_none() && connection.subflows.len() < 2
}

/// How the connection ended.
pub(super) fn close(connection: &Connection) -> Cell {
    if connection.close == "open" && connection.closed.is_some() {
        return Cell::plain("closed, how does not show");
    }
    let Directions { client_to_server: up, server_to_client: down } = &connection.directions;
    if connection.close == "half_closed" && [up, down].iter().any(|direction| cells::lacks(connection, direction)) {
        return Cell::plain("closed by DATA_FIN one way, the other not captured");
    }
    let (role, words) = close_words(connection.close);
    Cell::of(role, words)
}

fn close_words(close: &str) -> (Role, &str) {
    match close {
        "data_fin" => (Role::Plain, "closed by DATA_FIN"),
        "half_closed" => (Role::Plain, "half closed"),
        "fastclose" => (Role::Warning, "closed by FASTCLOSE"),
        "reset" => (Role::Warning, "reset"),
        "tcp_fin_only" => (Role::Warning, "closed by TCP FIN, no DATA_FIN"),
        "fallback_fin" => (Role::Plain, "closed by TCP FIN"),
        "open" => (Role::Plain, "still open"),
        other => (Role::Plain, other),
    }
}

/// State of a subflow.
pub(super) fn state(state: &str) -> Cell {
    match state {
        "established" | "closed" => Cell::plain(state),
        "half_open" => Cell::of(Role::Warning, "half open"),
        "unknown" => Cell::of(Role::Dim, "began earlier"),
        "refused" => Cell::of(Role::Error, state),
        other => Cell::of(Role::Warning, other),
    }
}

/// `fell back to TCP at frame 12 because of the path: the SYN/ACK carries no MP_CAPABLE`.
pub(super) fn fallback(fallback: &Fallback) -> String {
    let by = match fallback.by {
        Some("path") => " because of the path",
        Some("client") => " by the client",
        Some("server") => " by the server",
        Some(_) => "",
        None => " (by whom does not show here)",
    };
    let at = fallback.frame.map_or_else(String::new, |frame| format!(" at frame {frame}"));
    format!("fell back to TCP{at}{by}: {}", cause(fallback.cause))
}

/// What a fallback was caused by.
pub(super) fn cause(cause: &str) -> &str {
    match cause {
        "no_option_in_syn_ack" => "the SYN/ACK carries no MP_CAPABLE",
        "simultaneous_open" => "both ends sent a SYN at once",
        "option_echoed" => "the SYN/ACK echoes the client's own MP_CAPABLE",
        "syn_retried_without_option" => "the SYN was only answered once it was sent without MP_CAPABLE",
        "no_option_in_third_ack" => "the third ACK carries no MP_CAPABLE",
        "no_option_on_data" => "the first data carries no MPTCP option",
        "options_vanished" => "MPTCP options vanish in the middle of the connection",
        "mp_fail" => "a wrong checksum was answered by MP_FAIL",
        "infinite_mapping" => "an infinite mapping was announced",
        "bad_option" => "the MP_CAPABLE is not a legal one",
        other => other,
    }
}

/// `server.pcap, nearer to the server, shows no MPTCP option at all; on the way to or from it: path-stripped-option`.
pub(super) fn view(view: &View, connection: &Connection) -> String {
    let inputs = connection.views.iter().map(|view| view.input.as_str());
    let name = text::short_name(&view.input, inputs);
    let same_fallback = match (&view.fallback, &connection.fallback) {
        (Some(here), Some(there)) => here.cause == there.cause,
        (None, None) => true,
        _ => false,
    };
    let shows = if !view.shows_mptcp {
        "no MPTCP option at all".to_owned()
    } else if same_fallback && view.outcome == connection.outcome && view.close == connection.close {
        "the same outcome".to_owned()
    } else if let Some(seen) = view.fallback.as_ref().filter(|_| !same_fallback) {
        format!("that it {}", fallback(seen))
    } else if same_fallback && view.outcome == connection.outcome {
        format!("it {}", close_words(view.close).1)
    } else {
        match view.outcome {
            "mptcp" => "MPTCP".to_owned(),
            "unknown" => {
                format!("{} of {}", text::counted(view.subflows.len() as u64, "subflow"), connection.subflows.len())
            }
            outcome => format!("it {outcome}"),
        }
    };
    let mut words = format!("{name}, nearer to the {}, shows {shows}", view.nearer_to);
    if !view.differences.is_empty() {
        words.push_str("; between the two: ");
        words.push_str(&view.differences.join(", "));
    }
    words
}

/// `reset by server at frame 12: administratively prohibited (reason 3)`; `has_reasons`: the version can give one.
pub(super) fn reset(reset: &Reset, has_reasons: bool) -> String {
    let by = reset.by.map_or_else(String::new, |by| format!(" by the {by}"));
    let transient = if reset.transient == Some(true) { ", transient" } else { "" };
    let why = match (reset.reason, reset.meaning) {
        (Some(reason), Some(meaning)) => format!(": {meaning} (reason {reason}{transient})"),
        (Some(reason), None) => format!(": reason {reason}{transient}"),
        (None, _) if has_reasons => ", no reason given".to_owned(),
        (None, _) => String::new(),
    };
    format!("reset{by} at frame {}{why}", reset.frame)
}

/// Why a check could not be made.
pub(super) fn why(why: &str) -> &str {
    match why {
        "keys_not_seen" => "keys not seen",
        "nonce_not_seen" => "nonce not seen",
        "connection_not_seen" => "connection not seen",
        "payload_cut" => "payload cut by the capture",
        "segments_missing" => "segments missing",
        "not_negotiated" => "not negotiated",
        "evicted" => "forgotten under a limit",
        other => other,
    }
}

/// One check as mark and name: `✓ token`, `✗ token`, `? token`.
pub(super) fn check(verdict: &Verdict, name: &str) -> Cell {
    match verdict {
        Verdict::Verified { variant } => {
            let cell = Cell::of(Role::Good, format!("✓ {name}"));
            match variant.and_then(hmac_variant) {
                Some(words) => cell.and(Role::Warning, format!(" ({words})")),
                None => cell,
            }
        }
        Verdict::Mismatch { .. } => Cell::of(Role::Error, format!("✗ {name}")),
        Verdict::Unverifiable { .. } => Cell::of(Role::Warning, format!("? {name}")),
    }
}

/// How an ADD_ADDR HMAC that follows from the keys is not the one of RFC 8684: a receiver that keeps to the RFC ignores the
/// address.
pub(super) fn hmac_variant(variant: &str) -> Option<&'static str> {
    match variant {
        "port_zeroed" => Some("port taken as 0, as Linux 5.11 did"),
        "left64" => Some("left 64 bits, as Linux before 5.7 did"),
        "right64_of_160" => Some("right 64 bits of the first 160"),
        "keys_reversed" => Some("keys in reverse order"),
        _ => None,
    }
}

/// The proof of a join in one cell: of all that there is to prove. What it leaves open, [`proof_details`] tells.
pub(super) fn proof(join: &Join) -> Cell {
    if join.checks().any(|(verdict, _)| matches!(verdict, Verdict::Mismatch { .. })) {
        return Cell::of(Role::Error, "✗ proof fails");
    }
    if all_verified(join) {
        let there = |field: &str| !join.absent.contains(&field);
        return Cell::of(
            Role::Good,
            match (there("syn_ack_hmac"), there("ack_hmac")) {
                (true, true) => "✓ token, both HMACs",
                (true, false) => "✓ token, SYN/ACK HMAC",
                (false, true) => "✓ token, ACK HMAC",
                (false, false) => "✓ token",
            },
        );
    }
    match one_reason(join) {
        Some(reason) => Cell::of(Role::Warning, format!("? {}", why(reason))),
        None => Cell::of(Role::Warning, "? partly proven"),
    }
}

fn all_verified(join: &Join) -> bool {
    join.checks().all(|(verdict, _)| matches!(verdict, Verdict::Verified { .. }))
}

/// Why nothing of a join could be checked, where that has one reason.
fn one_reason(join: &Join) -> Option<&'static str> {
    let first = unverifiable(&join.token_check)?;
    join.checks().all(|(verdict, _)| unverifiable(verdict) == Some(first)).then_some(first)
}

/// Check by check, where the cell of [`proof`] does not say it all.
pub(super) fn proof_details(join: &Join) -> Vec<Cell> {
    if all_verified(join) || one_reason(join).is_some() {
        return Vec::new();
    }
    let detail = |(verdict, name): (&Verdict, &str)| match verdict {
        Verdict::Mismatch { expected, seen } => {
            check(verdict, name).and(Role::Plain, format!(": expected {expected}, seen {seen}"))
        }
        Verdict::Unverifiable { why: reason } => check(verdict, name).and(Role::Plain, format!(": {}", why(reason))),
        Verdict::Verified { .. } => check(verdict, name),
    };
    join.checks().map(detail).collect()
}

fn unverifiable(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Unverifiable { why } => Some(why),
        _ => None,
    }
}

/// What a handover was announced by.
pub(super) fn signal(signal: Option<&str>) -> &str {
    match signal {
        Some("remove_addr") => "announced by REMOVE_ADDR",
        Some("mp_prio") => "announced by MP_PRIO",
        Some("fin") => "announced by FIN",
        Some("reset") => "announced by RST",
        Some(other) => other,
        None => "unannounced",
    }
}

/// Word and role of a severity.
pub(super) fn severity(severity: Severity) -> (&'static str, Role) {
    let role = match severity {
        Severity::Error => Role::Error,
        Severity::Warning => Role::Warning,
        Severity::Note => Role::Strong,
    };
    (severity.name(), role)
}

/// `frame 3`, `frames 3, 4, 9`, and only the first few of many.
pub(super) fn frames(frames: &[FrameRef]) -> String {
    const SHOWN: usize = 8;
    let mut text = String::from(if frames.len() == 1 { "frame " } else { "frames " });
    for (index, frame) in frames.iter().take(SHOWN).enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&frame.to_string());
    }
    if frames.len() > SHOWN {
        text.push_str(" and ");
        text.push_str(&text::count((frames.len() - SHOWN) as u64));
        text.push_str(" more");
    }
    text
}

//! `tree`: what a person reads first. A headline for the capture; then a line for each connection, under it what is wrong
//! with it, and a line for each of its subflows.
//!
//! ```text
//! #1  MPTCP v1  10.8.1.1:57862 → 10.8.1.2:8080  ↑ 500 kB ↓ 1.20 MB  831 ms  closed by DATA_FIN
//! │   error: …
//! ├─ 0  10.8.1.1:57862 → 10.8.1.2:8080  ids 0→0  closed  initial              ↑ 340 kB  68%  ↓ 1.20 MB 100%
//! └─ 1  10.8.2.1:40001 → 10.8.1.2:8080  ids 1→0  closed  ✓ token, both HMACs  ↑ 160 kB  32%
//! ```
//!
//! The client's address is always on the left; the arrow points from the end that sent the SYN. ↑ is what the client sent, ↓
//! what the server sent. Facts are never cut: on narrow screens they take more lines.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::layout::{Cell, Page, align, line_width};
use super::model::{
    Checksums, Connection, ConnectionDirection, Endpoint, Finding, Header, Orphans, Subflow, SubflowDirection, Verdict,
};
use super::style::{Look, Role};
use super::{FindingCounts, Report, Selection, sentences, text};

/// Columns between cells.
const GAP: usize = 2;
/// Subflows of one connection, addresses of one connection, and findings of one thing that are shown unless all are asked for:
/// more is an attack or a test, and would bury the rest.
const LIST_LIMIT: usize = 40;

/// Writes the tree of the connections in `selection`; `all` also lifts the limit on the lines of one connection.
pub fn write(
    out: &mut dyn Write,
    report: &dyn Report,
    selection: &Selection,
    look: Look,
    all: bool,
) -> io::Result<()> {
    let header = report.header();
    let mut page = Page::new(out, look);
    let findings = report.findings();
    let orphans = if selection.filtered { Vec::new() } else { report.orphans() };
    headline(&mut page, &header, selection, &findings, &orphans)?;
    let several_interfaces = header.inputs.iter().map(|input| input.interfaces.len()).sum::<usize>() > 1;
    let mut tree = Tree { page, limit: if all { usize::MAX } else { LIST_LIMIT }, several_interfaces };
    if !findings.is_empty() {
        tree.page.blank()?;
        tree.findings("", &findings.iter().collect::<Vec<_>>())?;
    }
    for &index in &selection.indices {
        tree.page.blank()?;
        tree.connection(&report.connection(index))?;
    }
    if selection.hidden > 0 {
        tree.page.blank()?;
        let more = text::counted(selection.hidden as u64, "more connection");
        tree.page.flow("", "", &[Cell::of(Role::Strong, format!("… {more}")), Cell::plain("(--all shows them)")], 1)?;
    }
    for group in &orphans {
        tree.page.blank()?;
        tree.orphans(group)?;
    }
    Ok(())
}

/// What was read, what was in it, and how much of that is wrong.
fn headline(
    page: &mut Page<'_>,
    header: &Header,
    selection: &Selection,
    findings: &[Finding],
    orphans: &[Orphans],
) -> io::Result<()> {
    let names: Vec<&str> = header.inputs.iter().map(|input| input.name.as_str()).collect();
    let name = match names.as_slice() {
        [] => "no input".to_owned(),
        [_, _, _, _, ..] => format!("{} captures: {}, …", text::count(names.len() as u64), names[..2].join(", ")),
        few => few.join(", "),
    };
    let capture = &header.capture;
    let mut cells = vec![Cell::of(Role::Strong, name), Cell::plain(text::counted(capture.packets, "packet"))];
    if let (Some(first), Some(last)) = (capture.first, capture.last) {
        cells.push(Cell::plain(text::duration(last.since(first))));
        cells.push(Cell::of(Role::Dim, format!("from {first}")));
    }
    page.flow("", "  ", &cells, GAP)?;

    let tally = selection.tally;
    let mut cells = Vec::new();
    if !selection.filtered {
        let asked = format!("{} asked for MPTCP", text::count(header.tcp_connections.asked_for_mptcp));
        let seen = text::counted(header.tcp_connections.seen, "TCP connection");
        cells.push(Cell::plain(format!("{seen}, {asked}")));
    }
    let outcomes = [
        (tally.v0, "MPTCP v0", Role::Strong),
        (tally.v1, "MPTCP v1", Role::Strong),
        (tally.version_unknown, "MPTCP", Role::Strong),
        (tally.fallback, "fell back to TCP", Role::Warning),
        (tally.refused, "refused", Role::Error),
        (tally.unanswered, "unanswered", Role::Warning),
        (tally.unknown, "of unknown outcome", Role::Plain),
    ];
    for (number, what, role) in outcomes.into_iter().filter(|(number, ..)| *number > 0) {
        cells.push(Cell::of(role, format!("{} {what}", text::count(number))));
    }
    if tally.subflows > 0 {
        cells.push(Cell::plain(text::counted(tally.subflows, "subflow")));
    }
    if !orphans.is_empty() {
        let joins = orphans.iter().map(|group| group.subflows.len() as u64).sum();
        cells.push(Cell::of(Role::Warning, text::counted(joins, "join") + " without connection"));
    }
    page.flow("", "  ", &cells, GAP)?;

    let mut counts: FindingCounts = findings.iter().collect();
    counts += tally.findings;
    let mut cells = finding_counts(counts);
    if cells.is_empty() && tally.connections > 0 {
        cells.push(Cell::of(Role::Good, "nothing wrong found"));
    }
    if capture.packets > 0 && tally.connections == 0 && orphans.is_empty() && !selection.filtered {
        cells.push(Cell::plain("no Multipath TCP in it"));
    }
    if !cells.is_empty() {
        page.flow("", "  ", &cells, GAP)?;
    }
    set_aside(page, header)
}

fn finding_counts(counts: FindingCounts) -> Vec<Cell> {
    [(counts.errors, "error", Role::Error), (counts.warnings, "warning", Role::Warning), (counts.notes, "note", Role::Plain)]
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, noun, role)| Cell::of(role, text::counted(number, noun)))
        .collect()
}

/// What was read and not looked at, and where inputs are incomplete: what a person must know before trusting the rest.
fn set_aside(page: &mut Page<'_>, header: &Header) -> io::Result<()> {
    let skipped = header.capture.skipped;
    let kinds = [
        (header.capture.duplicates, "seen again at another tap"),
        (skipped.not_ip, "not IP"),
        (skipped.not_tcp, "not TCP"),
        (skipped.malformed, "malformed"),
        (skipped.fragments_incomplete, "in incomplete fragments"),
        (skipped.evicted, "beyond a limit"),
    ];
    let cells: Vec<Cell> = kinds
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| Cell::of(Role::Dim, format!("{} {what}", text::count(number))))
        .collect();
    if !cells.is_empty() {
        let label = Cell::of(Role::Dim, "set aside:");
        page.flow("", "  ", &[vec![label], cells].concat(), GAP)?;
    }
    for input in &header.inputs {
        if let Some(frame) = input.cut_after {
            let message = format!("{} is damaged or cut after frame {}", input.name, text::count(frame));
            let words: Vec<Cell> = Cell::words(Role::Warning, &message).collect();
            page.flow("", "  ", &words, 1)?;
        }
        if let Some(dropped) = input.dropped.filter(|dropped| *dropped > 0) {
            let message = format!("{}: the kernel dropped {}", input.name, text::counted(dropped, "packet"));
            let words: Vec<Cell> = Cell::words(Role::Warning, &message).collect();
            page.flow("", "  ", &words, 1)?;
        }
    }
    Ok(())
}

struct Tree<'a> {
    page: Page<'a>,
    /// Lines of a list that are shown.
    limit: usize,
    several_interfaces: bool,
}

impl Tree<'_> {
    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        let bar = if connection.subflows.is_empty() { "    " } else { "│   " };
        let number = format!("#{:<3}", connection.id);
        self.page.flow(&format!("{number} "), bar, &connection_cells(connection), GAP)?;
        let of_connection: Vec<&Finding> = connection.findings.iter().filter(|f| f.subflow.is_none()).collect();
        let told = |fallback| of_connection.iter().any(|f| f.id.starts_with("fallback") && f.frames.contains(fallback));
        if let Some(fallback) = &connection.fallback
            && !fallback.frame.as_ref().is_some_and(told)
        {
            let words: Vec<Cell> = Cell::words(Role::Warning, &sentences::fallback(fallback)).collect();
            self.page.flow(bar, &format!("{bar}  "), &words, 1)?;
        }
        self.facts(bar, connection)?;
        self.findings(bar, &of_connection)?;
        self.subflows(connection)
    }

    /// What a connection's line has no room for: addresses, handovers, other views, settings.
    fn facts(&mut self, bar: &str, connection: &Connection) -> io::Result<()> {
        let hang = format!("{bar}  ");
        for address in connection.addresses.iter().take(self.limit) {
            let port = address.port.map_or_else(String::new, |port| format!(" port {port}"));
            let mut cells =
                vec![Cell::plain(format!("{} announced {}{port} as id {}", address.by, address.address, address.id))];
            match &address.hmac {
                Some(Verdict::Unverifiable { why }) => {
                    cells.push(Cell::of(Role::Warning, format!("? HMAC ({})", sentences::why(why))));
                }
                Some(verdict) => cells.push(sentences::check(verdict, "HMAC")),
                None => {}
            }
            if address.echoed.is_some() {
                cells.push(Cell::plain("echoed"));
            } else if connection.version == Some(1) {
                cells.push(Cell::of(Role::Warning, "no echo"));
            }
            if address.sent > 1 {
                cells.push(Cell::plain(format!("sent {} times", address.sent)));
            }
            if let Some(removed) = address.removed {
                cells.push(Cell::plain(format!("removed at frame {}", removed.frame)));
            }
            cells.push(Cell::of(Role::Dim, format!("frame {}", address.frame)));
            self.page.flow(bar, &hang, &cells, GAP)?;
        }
        self.and_more(bar, connection.addresses.len(), "announcement")?;
        for (arrow, direction) in both(&connection.directions.client_to_server, &connection.directions.server_to_client) {
            for handover in direction.handovers.iter().take(self.limit) {
                let message = format!(
                    "{arrow} data moved from subflow {} to {} at frame {} after {} of silence, {}",
                    handover.from,
                    handover.to,
                    handover.frame,
                    text::duration(handover.gap_ns),
                    sentences::signal(handover.signal),
                );
                self.page.flow(bar, &hang, &Cell::words(Role::Plain, &message).collect::<Vec<_>>(), 1)?;
            }
            self.and_more(bar, direction.handovers.len(), "handover")?;
            if self.page.look.verbose && direction.reorder.late_bytes > 0 {
                self.page.flow(bar, &hang, &reorder_cells(arrow, direction), GAP)?;
            }
        }
        for view in &connection.views {
            let mut words = format!("at {}: ", view.input);
            match &view.fallback {
                Some(fallback) => words.push_str(&sentences::fallback(fallback)),
                None => words.push_str(view.outcome),
            }
            words.push_str(&format!(", {}", text::counted(view.segments, "segment")));
            self.page.flow(bar, &hang, &Cell::words(Role::Plain, &words).collect::<Vec<_>>(), 1)?;
        }
        let settings = settings_cells(connection);
        if settings.is_empty() { Ok(()) } else { self.page.flow(bar, &hang, &settings, GAP) }
    }

    fn subflows(&mut self, connection: &Connection) -> io::Result<()> {
        let shown = connection.subflows.len().min(self.limit);
        let hidden = connection.subflows.len() - shown;
        let shares = connection.subflows.len() > 1;
        let findings = |id| connection.findings.iter().filter(move |f| f.subflow == Some(id)).collect::<Vec<_>>();
        self.branches(&connection.subflows[..shown], hidden, shares, findings)
    }

    fn orphans(&mut self, group: &Orphans) -> io::Result<()> {
        let cells = [
            Cell::of(Role::Warning, "joins without their connection"),
            Cell::plain(group.token.map_or_else(|| "token not seen".to_owned(), |token| format!("token {token}"))),
        ];
        self.page.flow("", "│   ", &cells, GAP)?;
        let shown = group.subflows.len().min(self.limit);
        self.branches(&group.subflows[..shown], group.subflows.len() - shown, false, |_| Vec::new())
    }

    /// One line a subflow where they fit; else two, ends above and what was carried below.
    fn branches<'f>(
        &mut self,
        subflows: &[Subflow],
        hidden: usize,
        shares: bool,
        findings: impl Fn(u64) -> Vec<&'f Finding>,
    ) -> io::Result<()> {
        let look = self.page.look;
        let mut ends: Vec<Vec<Cell>> = subflows.iter().map(|s| ends_cells(s, self.several_interfaces)).collect();
        let mut loads: Vec<Vec<Cell>> = load_rows(subflows, shares);
        align(&mut ends, look);
        align(&mut loads, look);
        let id_width = subflows.last().map_or(1, |last| last.id.to_string().len());
        let indent = 3 + id_width + GAP;
        let fits = ends
            .iter()
            .zip(&loads)
            .all(|(ends, loads)| indent + line_width(ends, GAP, look) + GAP + line_width(loads, GAP, look) <= look.width);
        for (index, (subflow, (ends, loads))) in subflows.iter().zip(ends.into_iter().zip(loads)).enumerate() {
            let last = index + 1 == subflows.len() && hidden == 0;
            let first = format!("{}{:>id_width$}  ", if last { "└─ " } else { "├─ " }, subflow.id);
            let rest = format!("{:<indent$}", if last { "" } else { "│" });
            if fits {
                self.page.flow(&first, &rest, &[ends, loads].concat(), GAP)?;
            } else {
                self.page.flow(&first, &rest, &ends, GAP)?;
                if loads.iter().any(|cell| !cell.is_empty()) {
                    self.page.flow(&rest, &rest, &loads, GAP)?;
                }
            }
            self.subflow_facts(&rest, subflow)?;
            self.findings(&rest, &findings(subflow.id))?;
        }
        if hidden > 0 {
            let more = Cell::plain(format!("… {} (--all shows them)", text::counted(hidden as u64, "more subflow")));
            self.page.flow("└─ ", "   ", &[more], 1)?;
        }
        Ok(())
    }

    fn subflow_facts(&mut self, bar: &str, subflow: &Subflow) -> io::Result<()> {
        let hang = format!("{bar}  ");
        if let Some(reset) = &subflow.reset {
            let words: Vec<Cell> = Cell::words(Role::Plain, &sentences::reset(reset)).collect();
            self.page.flow(bar, &hang, &words, 1)?;
        }
        for change in subflow.backup.changes.iter().take(self.limit) {
            let (by, what) = (change.by, if change.backup { "backup" } else { "normal use" });
            let message = format!("{by} asked for {what} at frame {}", change.frame);
            self.page.flow(bar, &hang, &Cell::words(Role::Plain, &message).collect::<Vec<_>>(), 1)?;
        }
        self.and_more(bar, subflow.backup.changes.len(), "priority change")?;
        for other in subflow.also_seen_as.iter().take(self.limit) {
            let (client, server, arrow) = sides(subflow, other.source, other.destination);
            let cell = Cell::plain(format!("also seen as {client} {arrow} {server}"));
            self.page.flow(bar, &hang, &[cell], 1)?;
        }
        if self.page.look.verbose {
            self.details(bar, subflow)?;
        }
        Ok(())
    }

    /// Round trips, retransmissions and handshake of a subflow.
    fn details(&mut self, bar: &str, subflow: &Subflow) -> io::Result<()> {
        for (arrow, direction) in both(&subflow.directions.client_to_server, &subflow.directions.server_to_client) {
            if direction.segments > 0 {
                self.page.flow(bar, bar, &detail_cells(arrow, direction), GAP)?;
            }
        }
        for (name, syn) in [("SYN", &subflow.syn), ("SYN/ACK", &subflow.syn_ack)] {
            let Some(syn) = syn else { continue };
            let mut cells = vec![Cell::of(Role::Dim, format!("{name} frame {}", syn.frame))];
            cells.extend(syn.mss.map(|mss| Cell::of(Role::Dim, format!("MSS {mss}"))));
            cells.extend(syn.window_scale.map(|shift| Cell::of(Role::Dim, format!("window ×{}", 1_u64 << shift.min(63)))));
            if syn.retransmissions > 0 {
                cells.push(Cell::of(Role::Warning, format!("sent {} times", syn.retransmissions + 1)));
            }
            if syn.fast_open_bytes > 0 {
                cells.push(Cell::plain(format!("{} of Fast Open data", text::bytes(syn.fast_open_bytes.into()))));
            }
            self.page.flow(bar, bar, &cells, GAP)?;
        }
        Ok(())
    }

    /// Each finding: what, then its evidence, then what to do about it.
    fn findings(&mut self, bar: &str, findings: &[&Finding]) -> io::Result<()> {
        let mut sorted = findings.to_vec();
        sorted.sort_by_key(|finding| finding.severity);
        let hang = format!("{bar}  ");
        for finding in sorted.iter().take(self.limit) {
            let (word, role) = sentences::severity(finding.severity);
            let label = Cell::of(role, format!("{word}:"));
            let message: Vec<Cell> = std::iter::once(label).chain(Cell::words(Role::Plain, &finding.message)).collect();
            self.page.flow(bar, &hang, &message, 1)?;
            let mut evidence = vec![finding.id.to_owned()];
            if !finding.frames.is_empty() {
                evidence.push(sentences::frames(&finding.frames));
            }
            evidence.extend(finding.rfc.map(|rfc| format!("RFC {rfc}")));
            evidence.extend(finding.counter.map(str::to_owned));
            let cells: Vec<Cell> = separated(evidence);
            self.page.flow(&hang, &hang, &cells, 1)?;
            if let Some(advice) = finding.advice {
                self.page.flow(&hang, &hang, &Cell::words(Role::Plain, advice).collect::<Vec<_>>(), 1)?;
            }
        }
        self.and_more(bar, findings.len(), "finding")
    }

    /// Tells of what a list of `total` lines does not show.
    fn and_more(&mut self, bar: &str, total: usize, noun: &str) -> io::Result<()> {
        if total <= self.limit {
            return Ok(());
        }
        let more = text::counted((total - self.limit) as u64, &format!("more {noun}"));
        self.page.flow(bar, bar, &[Cell::plain(format!("… {more} (--all shows them)"))], 1)
    }
}

fn connection_cells(connection: &Connection) -> Vec<Cell> {
    let Connection { client, server, directions, .. } = connection;
    let mut cells = vec![
        sentences::protocol(connection),
        Cell::plain(format!("{} → {}", endpoint(client), endpoint(server))),
        Cell::plain(format!(
            "↑ {} ↓ {}",
            text::bytes(directions.client_to_server.bytes),
            text::bytes(directions.server_to_client.bytes)
        )),
        Cell::plain(text::duration(connection.duration_ns)),
        sentences::close(connection.close),
    ];
    if client.token.is_some() || server.token.is_some() {
        let token = |end: &Endpoint| end.token.map_or_else(|| "?".to_owned(), |token| token.to_string());
        cells.push(Cell::of(Role::Dim, format!("tokens {} {}", token(client), token(server))));
    }
    for (name, end) in [("client", client), ("server", server)] {
        match end.key_source {
            Some("command_line") => cells.push(Cell::of(Role::Dim, format!("{name}'s key given"))),
            Some("mp_fastclose") => cells.push(Cell::of(Role::Dim, format!("{name}'s key from MP_FASTCLOSE"))),
            _ => {}
        }
    }
    cells.extend(checksum_cells(connection));
    for (arrow, direction) in both(&directions.client_to_server, &directions.server_to_client) {
        let amounts = [
            (direction.missing_bytes, "not captured", Role::Warning),
            (direction.unmapped_bytes, "without mapping", Role::Warning),
            (unacknowledged(connection, direction), "never acknowledged", Role::Warning),
            (direction.reinjected_bytes, "reinjected", Role::Plain),
            (direction.resent_bytes, "resent", Role::Plain),
        ];
        for (number, what, role) in amounts.into_iter().filter(|(number, ..)| *number > 0) {
            cells.push(Cell::of(role, format!("{arrow} {} {what}", text::bytes(number))));
        }
    }
    cells
}

/// Bytes of a closed MPTCP connection that no DATA_ACK covered.
fn unacknowledged(connection: &Connection, direction: &ConnectionDirection) -> u64 {
    match direction.acked_bytes {
        Some(acked) if connection.closed.is_some() && connection.outcome == "mptcp" => {
            (direction.bytes + direction.missing_bytes).saturating_sub(acked)
        }
        _ => 0,
    }
}

fn checksum_cells(connection: &Connection) -> Vec<Cell> {
    let Checksums { verified, mismatch, unverifiable, .. } = [&connection.directions.server_to_client]
        .into_iter()
        .fold(connection.directions.client_to_server.checksums.clone(), |mut sum, direction| {
            sum.verified += direction.checksums.verified;
            sum.mismatch += direction.checksums.mismatch;
            sum.unverifiable += direction.checksums.unverifiable;
            sum
        });
    let mut cells = Vec::new();
    if verified > 0 {
        cells.push(Cell::of(Role::Good, format!("✓ {}", text::counted(verified, "checksum"))));
    }
    if mismatch > 0 {
        cells.push(Cell::of(Role::Error, format!("✗ {}", text::counted(mismatch, "checksum"))));
    }
    // Where checksums were not negotiated there is nothing to miss.
    if unverifiable > 0 && connection.checksum != Some(false) {
        cells.push(Cell::of(Role::Warning, format!("? {}", text::counted(unverifiable, "checksum"))));
    }
    cells
}

fn settings_cells(connection: &Connection) -> Vec<Cell> {
    let pattern = |value: &Option<serde_json::Value>, key: &str| {
        Some(value.as_ref()?.get(key)?.get("pattern")?.as_str()?.replace('_', " "))
    };
    let stack = &connection.stack;
    let settings = [
        ("client's path manager", pattern(&stack.path_manager, "client")),
        ("server's path manager", pattern(&stack.path_manager, "server")),
        ("↑ scheduler", pattern(&stack.scheduler, "client_to_server")),
        ("↓ scheduler", pattern(&stack.scheduler, "server_to_client")),
    ];
    settings
        .into_iter()
        .filter_map(|(name, pattern)| Some(Cell::plain(format!("{name}: {}", pattern?))))
        .collect()
}

fn reorder_cells(arrow: &str, direction: &ConnectionDirection) -> Vec<Cell> {
    let reorder = direction.reorder;
    let mut cells = vec![
        Cell::plain(format!("{arrow} {} out of order", text::bytes(reorder.late_bytes))),
        Cell::plain(format!(
            "waited {} (median), {} (95%), {} (longest)",
            text::duration(reorder.p50_wait_ns),
            text::duration(reorder.p95_wait_ns),
            text::duration(reorder.max_wait_ns)
        )),
        Cell::plain(format!("up to {} at once", text::bytes(reorder.max_buffer_bytes))),
    ];
    cells.extend(reorder.slowest_subflow.map(|id| Cell::plain(format!("mostly for subflow {id}"))));
    cells
}

/// Who joined whom, in which state.
fn ends_cells(subflow: &Subflow, several_interfaces: bool) -> Vec<Cell> {
    let (client, server, arrow) = sides(subflow, subflow.source, subflow.destination);
    let (client_id, server_id, id_arrow) = sides(subflow, subflow.address_ids.source, subflow.address_ids.destination);
    let id = |id: Option<u8>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    let backup = match (subflow.backup.client, subflow.backup.server) {
        (true, true) => "backup",
        (true, false) => "backup (client)",
        (false, true) => "backup (server)",
        (false, false) => "",
    };
    let interfaces: BTreeSet<&str> = subflow.interfaces.iter().map(String::as_str).collect();
    let interfaces = interfaces.into_iter().collect::<Vec<_>>().join(", ");
    vec![
        Cell::plain(format!("{client} {arrow} {server}")),
        Cell::of(Role::Dim, format!("ids {}{id_arrow}{}", id(client_id), id(server_id))),
        Cell::of(Role::Dim, if several_interfaces { interfaces } else { String::new() }),
        Cell::of(Role::Warning, backup),
        sentences::state(subflow.state),
    ]
}

/// Proof and bytes of subflows, as rows of the same columns.
fn load_rows(subflows: &[Subflow], shares: bool) -> Vec<Vec<Cell>> {
    let cell = |arrow: &str, direction: &SubflowDirection, width: usize| {
        let share = direction.share.filter(|_| shares).map_or_else(String::new, |s| format!(" {:>4}", text::share(s)));
        match direction.data_bytes {
            0 => Cell::default(),
            bytes => Cell::plain(format!("{arrow} {:>width$}{share}", text::bytes(bytes))),
        }
    };
    let width = |direction: fn(&Subflow) -> &SubflowDirection| {
        subflows.iter().map(|subflow| text::bytes(direction(subflow).data_bytes).len()).max().unwrap_or(0)
    };
    let (up, down) = (width(|s| &s.directions.client_to_server), width(|s| &s.directions.server_to_client));
    subflows
        .iter()
        .map(|subflow| {
            let directions = &subflow.directions;
            let proof = match &subflow.join {
                Some(join) => sentences::proof(join),
                None if subflow.role == "initial" => Cell::of(Role::Dim, "initial"),
                None => Cell::default(),
            };
            let idle = directions.client_to_server.data_bytes == 0 && directions.server_to_client.data_bytes == 0;
            let up = if idle { Cell::of(Role::Dim, "no data") } else { cell("↑", &directions.client_to_server, up) };
            vec![proof, up, cell("↓", &directions.server_to_client, down)]
        })
        .collect()
}

fn detail_cells(arrow: &str, direction: &SubflowDirection) -> Vec<Cell> {
    let mut cells = vec![
        Cell::plain(format!("{arrow} {}", text::counted(direction.segments, "segment"))),
        Cell::plain(format!("{} payload", text::bytes(direction.payload_bytes))),
    ];
    let amounts = [(direction.retransmitted_bytes, "retransmitted"), (direction.reinjected_bytes, "reinjected")];
    for (number, what) in amounts.into_iter().filter(|(number, _)| *number > 0) {
        cells.push(Cell::plain(format!("{} {what}", text::bytes(number))));
    }
    if let Some(rtt) = direction.rtt.or(direction.rtt_timestamps) {
        let [min, p50, p95] = [rtt.min_ns, rtt.p50_ns, rtt.p95_ns].map(text::duration);
        cells.push(Cell::plain(format!("RTT {p50} (least {min}, 95% {p95})")));
    }
    if direction.max_in_flight_bytes > 0 {
        cells.push(Cell::plain(format!("{} in flight", text::bytes(direction.max_in_flight_bytes))));
    }
    cells
}

/// A pair by source and destination of the SYN, as client's side, server's side, and the arrow from who sent it.
fn sides<T>(subflow: &Subflow, source: T, destination: T) -> (T, T, &'static str) {
    if subflow.initiator == Some("server") { (destination, source, "←") } else { (source, destination, "→") }
}

fn both<'d, T>(up: &'d T, down: &'d T) -> [(&'static str, &'d T); 2] {
    [("↑", up), ("↓", down)]
}

fn endpoint(end: &Endpoint) -> String {
    match (end.address, end.port) {
        (Some(address), Some(port)) => std::net::SocketAddr::new(address, port).to_string(),
        (Some(address), None) => address.to_string(),
        (None, _) => "?".to_owned(),
    }
}

/// Dim cells with a dot after each but the last.
fn separated(texts: Vec<String>) -> Vec<Cell> {
    let last = texts.len().saturating_sub(1);
    let dot = |index| if index == last { "" } else { " ·" };
    texts.into_iter().enumerate().map(|(i, text)| Cell::of(Role::Dim, text + dot(i))).collect()
}

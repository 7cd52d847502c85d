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

use std::io::{self, Write};

use super::layout::{Cell, Page, align, line_width, unaligned};
use super::selection::joins_in;
use super::style::{Look, Role};
use super::{FindingCounts, Report, Selection, cells, sentences, stack_lines};
use crate::model::{Connection, Finding, Header, Orphans, Subflow};
use crate::text;

/// Columns between cells.
const GAP: usize = 2;
/// Subflows of one connection, addresses of one connection, and findings of one thing that are shown unless all are asked for:
/// more is an attack or a test, and would bury the rest.
pub(super) const LIST_LIMIT: usize = 40;

/// Writes the tree of the connections in `selection`; `all` also lifts the limit on the lines of one connection.
pub fn write(out: &mut dyn Write, report: &dyn Report, selection: &Selection, look: Look, all: bool) -> io::Result<()> {
    let header = report.header();
    let mut page = Page::new(out, look);
    let findings = selection.findings(report);
    headline(&mut page, &header, selection, &findings)?;
    let mut interfaces = header.inputs.iter().flat_map(|input| &input.interfaces).map(|interface| &interface.name);
    let first_interface = interfaces.next();
    let several_interfaces = interfaces.any(|name| Some(name) != first_interface);
    let mut tree = Tree {
        page,
        limit: if all { usize::MAX } else { LIST_LIMIT },
        several_interfaces,
        advised: Vec::new(),
        has_reasons: true,
    };
    if !findings.is_empty() {
        tree.page.blank()?;
        tree.findings("", &findings.iter().collect::<Vec<_>>())?;
    }
    let listeners =
        if selection.filtered { Vec::new() } else { stack_lines::listeners(&header.stack.listeners, tree.limit) };
    if !listeners.is_empty() {
        tree.page.blank()?;
    }
    for line in listeners {
        tree.page.flow("", "  ", &line, 1)?;
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
    tree.all_orphans(report, selection)
}

/// What was read, what was in it, and how much of that is wrong.
fn headline(page: &mut Page<'_>, header: &Header, selection: &Selection, findings: &[Finding]) -> io::Result<()> {
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
        cells.push(Cell::of(Role::Dim, text::date_and_time(first)));
    }
    page.flow("", "  ", &cells, GAP)?;
    page.flow("", "  ", &cells::tally(header, selection), 1)?;

    let tally = selection.tally;
    let mut counts: FindingCounts = findings.iter().collect();
    counts += tally.findings;
    let mut cells = cells::finding_counts(counts);
    let left = capture.connections_left.and_then(|left| left.findings).unwrap_or_default();
    if cells.is_empty() && tally.connections > 0 && left == FindingCounts::default() {
        cells.push(Cell::of(Role::Good, "nothing wrong found"));
    }
    if capture.packets > 0
        && tally.connections == 0
        && capture.connections_left.is_none()
        && selection.orphan_joins == 0
        && !selection.filtered
    {
        if capture.options_cut_segments > 0 {
            cells.push(Cell::of(Role::Warning, "? Multipath TCP: the capture cut TCP options"));
        } else if !capture.not_decoded.is_empty() {
            let unknown: u64 = capture.not_decoded.iter().map(|unknown| unknown.packets).sum();
            let part = if unknown == capture.packets { "nothing" } else { "not everything" };
            cells.push(Cell::of(Role::Warning, format!("? Multipath TCP: {part} could be decoded")));
        } else {
            cells.push(Cell::plain("no Multipath TCP in it"));
        }
    }
    if !cells.is_empty() {
        page.flow("", "  ", &cells, GAP)?;
    }
    set_aside(page, header)
}

/// What was read and not looked at, and where inputs are incomplete: what a person must know before trusting the rest.
fn set_aside(page: &mut Page<'_>, header: &Header) -> io::Result<()> {
    let capture = &header.capture;
    let skipped = capture.skipped;
    if capture.view_segments > 0 {
        let compared = text::counted(capture.view_segments, "segment");
        let words = format!("compared: {compared} of the same connections at another place");
        page.flow("", "  ", &Cell::words(Role::Dim, &words).collect::<Vec<_>>(), 1)?;
    }
    let undecoded = capture.not_decoded.iter().map(|unknown| unknown.packets).sum();
    let kinds = [
        (capture.duplicates.saturating_sub(capture.view_segments), "seen again at another tap"),
        (skipped.not_ip.saturating_sub(undecoded), "not IP"),
        (skipped.not_tcp, "not TCP"),
        (skipped.malformed, "malformed"),
        (skipped.fragments_incomplete, "in incomplete fragments"),
        (skipped.evicted, "of connections beyond a limit"),
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
    for unknown in &capture.not_decoded {
        let (packets, link) = (text::counted(unknown.packets, "packet"), &unknown.link_type);
        let message = format!("{packets} of link type {link} could not be decoded");
        page.flow("", "  ", &Cell::words(Role::Warning, &message).collect::<Vec<_>>(), 1)?;
    }
    let cells = cells::left_before_the_end(header);
    if !cells.is_empty() {
        page.flow("", "  ", &cells, GAP)?;
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
    /// Advice given for the connection so far: once is enough.
    advised: Vec<&'static str>,
    /// The connection's version has reasons for a RST.
    has_reasons: bool,
}

impl Tree<'_> {
    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.advised.clear();
        self.has_reasons = connection.dialect.is_none_or(|dialect| dialect == "rfc8684");
        let bar = if connection.subflows.is_empty() { "    " } else { "│   " };
        self.page.flow(&format!("#{:<2} ", connection.id), bar, &cells::connection(connection), GAP)?;
        let of_connection: Vec<&Finding> = connection.findings.iter().filter(|f| f.subflow.is_none()).collect();
        let told =
            |fallback| connection.findings.iter().any(|f| f.id.starts_with("fallback") && f.frames.contains(fallback));
        if let Some(fallback) = &connection.fallback
            && !fallback.frame.as_ref().is_some_and(told)
        {
            let words: Vec<Cell> = Cell::words(Role::Warning, &sentences::fallback(fallback)).collect();
            self.page.flow(bar, &format!("{bar}  "), &words, 1)?;
        }
        self.facts(bar, connection)?;
        let left_out = cells::left_out(connection);
        if !left_out.is_empty() {
            self.page.flow(bar, &format!("{bar}  "), &left_out, GAP)?;
        }
        self.findings(bar, &of_connection)?;
        self.subflows(connection)
    }

    /// What a connection's line has no room for: addresses, handovers, other views, settings.
    fn facts(&mut self, bar: &str, connection: &Connection) -> io::Result<()> {
        let hang = format!("{bar}  ");
        for address in connection.addresses.iter().take(self.limit) {
            let cells = cells::address(address, connection);
            self.page.flow(bar, &hang, &cells, GAP)?;
        }
        self.and_more(bar, connection.addresses.len(), "announcement")?;
        for line in cells::removed_addresses(connection).into_iter().take(self.limit) {
            self.page.flow(bar, &hang, &line, 1)?;
        }
        for (arrow, direction) in
            cells::both(&connection.directions.client_to_server, &connection.directions.server_to_client)
        {
            let told = |frame| {
                let of_paths = |f: &&Finding| matches!(f.id, "handover" | "path-stalled");
                connection.findings.iter().filter(of_paths).any(|f| f.frames.contains(frame))
            };
            // As a connection is aborted, its subflows end one after the other.
            let aborted = |signal| signal == Some("reset") && connection.close == "fastclose";
            let handovers = direction.handovers.iter().take(self.limit);
            for handover in handovers.filter(|handover| !told(&handover.frame) && !aborted(handover.signal)) {
                let message = format!(
                    "{arrow} data moved from subflow {} to {} at frame {}, {} after the last on the old path, {}",
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
                self.page.flow(bar, &hang, &cells::reorder(arrow, direction), GAP)?;
            }
        }
        for view in &connection.views {
            let words = sentences::view(view, connection);
            self.page.flow(bar, &hang, &Cell::words(Role::Plain, &words).collect::<Vec<_>>(), 1)?;
        }
        for line in stack_lines::connection(connection, self.page.look.verbose) {
            self.page.flow(bar, &hang, &line, 1)?;
        }
        Ok(())
    }

    fn subflows(&mut self, connection: &Connection) -> io::Result<()> {
        let shown = connection.subflows.len().min(self.limit);
        let hidden = connection.subflows.len() - shown;
        let shares = connection.subflows.len() > 1;
        let findings = |id| connection.findings.iter().filter(move |f| f.subflow == Some(id)).collect::<Vec<_>>();
        self.branches(&connection.subflows[..shown], hidden, shares, findings)
    }

    /// Joins without connection, by token; then how many there are besides.
    fn all_orphans(&mut self, report: &dyn Report, selection: &Selection) -> io::Result<()> {
        let orphans = selection.orphans(report);
        for group in orphans.iter().take(self.limit) {
            self.page.blank()?;
            self.orphans(group)?;
        }
        let beyond = selection.orphan_joins.saturating_sub(joins_in(&orphans));
        if orphans.len() > self.limit || beyond > 0 {
            self.page.blank()?;
        }
        self.and_more("", orphans.len(), "token of joins without connection")?;
        if beyond > 0 {
            let more = format!("… {} without connection, beyond a limit", text::counted(beyond, "more join"));
            self.page.flow("", "  ", &Cell::words(Role::Warning, &more).collect::<Vec<_>>(), 1)?;
        }
        Ok(())
    }

    fn orphans(&mut self, group: &Orphans) -> io::Result<()> {
        let cells = [
            Cell::of(Role::Warning, "joins without their connection"),
            Cell::plain(group.token.map_or_else(|| "token not seen".to_owned(), |token| format!("token {token}"))),
        ];
        self.page.flow("", "│   ", &cells, GAP)?;
        self.has_reasons = true;
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
        let mut ends: Vec<Vec<Cell>> = subflows.iter().map(|s| cells::ends(s, self.several_interfaces)).collect();
        let mut loads: Vec<Vec<Cell>> = cells::loads(subflows, shares);
        align(&mut ends, look);
        align(&mut loads, look);
        let id_width = subflows.last().map_or(1, |last| last.id.to_string().len());
        let indent = 3 + id_width + GAP;
        let widest = |rows: &[Vec<Cell>]| rows.iter().map(|row| line_width(row, GAP, look)).max().unwrap_or(0);
        let on_one_line = indent + widest(&ends) + GAP + widest(&loads) <= look.width;
        let on_two_lines = indent + widest(&ends) <= look.width;
        for (index, (subflow, (ends, loads))) in subflows.iter().zip(ends.into_iter().zip(loads)).enumerate() {
            let last = index + 1 == subflows.len() && hidden == 0;
            let first = format!("{}{:>id_width$}  ", if last { "└─ " } else { "├─ " }, subflow.id);
            let rest = format!("{:<indent$}", if last { "" } else { "│" });
            if on_one_line {
                self.page.flow(&first, &rest, &[ends, loads].concat(), GAP)?;
            } else if !on_two_lines {
                self.page.flow(&first, &rest, &unaligned([ends, loads].concat()), GAP)?;
            } else {
                self.page.flow(&first, &rest, &ends, GAP)?;
                let fits = indent + line_width(&loads, GAP, look) <= look.width;
                let loads = if fits { loads } else { unaligned(loads) };
                if loads.iter().any(|cell| !cell.is_empty()) {
                    self.page.flow(&rest, &rest, &loads, GAP)?;
                }
            }
            let findings = findings(subflow.id);
            self.subflow_facts(&rest, subflow, &findings)?;
            self.findings(&rest, &findings)?;
        }
        if hidden > 0 {
            let more = Cell::plain(format!("… {} (--all shows them)", text::counted(hidden as u64, "more subflow")));
            self.page.flow("└─ ", "   ", &[more], 1)?;
        }
        Ok(())
    }

    /// What a subflow's line has no room for, without what `findings` tell.
    fn subflow_facts(&mut self, bar: &str, subflow: &Subflow, findings: &[&Finding]) -> io::Result<()> {
        let hang = format!("{bar}  ");
        let details = subflow.join.as_ref().map(sentences::proof_details).unwrap_or_default();
        if !details.is_empty() {
            self.page.flow(bar, &hang, &details, GAP)?;
        }
        let of_reset = |f: &&Finding| {
            ["subflow-reset", "join-refused", "join-data", "connection-reset", "path-forged-reset"]
                .iter()
                .any(|id| f.id.starts_with(id))
        };
        let told = |frame| findings.iter().copied().filter(of_reset).any(|f| f.frames.contains(frame));
        if let Some(reset) = subflow.reset.as_ref().filter(|reset| !told(&reset.frame)) {
            let words: Vec<Cell> = Cell::words(Role::Plain, &sentences::reset(reset, self.has_reasons)).collect();
            self.page.flow(bar, &hang, &words, 1)?;
        }
        for change in subflow.backup.changes.iter().take(self.limit) {
            let (by, what) = (change.by, if change.backup { "backup" } else { "regular use" });
            let message = format!("{by} asked for {what} at frame {}", change.frame);
            self.page.flow(bar, &hang, &Cell::words(Role::Plain, &message).collect::<Vec<_>>(), 1)?;
        }
        self.and_more(bar, subflow.backup.changes.len(), "priority change")?;
        for other in subflow.also_seen_as.iter().take(self.limit) {
            let (client, server, arrow) = cells::sides(subflow, other.source, other.destination);
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
        for (arrow, direction) in
            cells::both(&subflow.directions.client_to_server, &subflow.directions.server_to_client)
        {
            if direction.segments > 0 {
                self.page.flow(bar, bar, &cells::details(arrow, direction), GAP)?;
            }
        }
        for (name, syn) in [("SYN", &subflow.syn), ("SYN/ACK", &subflow.syn_ack)] {
            let Some(syn) = syn else { continue };
            let mut cells = vec![Cell::of(Role::Dim, format!("{name} frame {}", syn.frame))];
            cells.extend(syn.mss.map(|mss| Cell::of(Role::Dim, format!("MSS {mss}"))));
            cells.extend(
                syn.window_scale.map(|shift| Cell::of(Role::Dim, format!("window ×{}", 1_u64 << shift.min(63)))),
            );
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
        // What two captures prove is the cause of what one shows.
        sorted.sort_by_key(|finding| (finding.severity, finding.between.is_none()));
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
            let cells: Vec<Cell> = cells::separated(evidence);
            self.page.flow(&hang, &hang, &cells, 1)?;
            if let Some(advice) = finding.advice.filter(|advice| !self.advised.contains(advice)) {
                self.advised.push(advice);
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

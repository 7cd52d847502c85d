//! The cells of the tree's lines: what each line says, without how lines are drawn.

use std::collections::BTreeSet;

use super::layout::Cell;
use super::style::Role;
use super::{FindingCounts, Selection, sentences};
use crate::model::{
    Address, Checksums, Connection, ConnectionDirection, Directions, Endpoint, Header, KnownAddress, Subflow,
    SubflowDirection, TcpConnections, Verdict,
};
use crate::text;

/// `14 TCP connections, 5 asked for MPTCP: 1 v0, 2 v1, 1 fell back to TCP; 7 subflows`.
pub(super) fn tally(header: &Header, selection: &Selection) -> Vec<Cell> {
    let tally = selection.tally;
    let TcpConnections { seen, asked_for_mptcp, .. } = header.tcp_connections;
    let mut cells = Vec::new();
    if selection.filtered {
        cells.push(Cell::plain(text::counted(tally.connections, "chosen connection")));
    } else {
        cells.push(Cell::plain(format!("{},", text::counted(seen, "TCP connection"))));
        cells.push(Cell::plain(match asked_for_mptcp {
            Some(0) if tally.connections == 0 => "none asked for MPTCP".to_owned(),
            // Those that began before the capture did, or whose options it cut.
            None | Some(0) => "none seen to ask for MPTCP".to_owned(),
            Some(asked) => format!("{} asked for MPTCP", text::count(asked)),
        }));
    }
    let outcomes = [
        (tally.v0, "MPTCP v0", Role::Strong),
        (tally.v1, "MPTCP v1", Role::Strong),
        (tally.version_unknown, "MPTCP of unknown version", Role::Strong),
        (tally.fallback, "fell back to TCP", Role::Warning),
        (tally.refused, "refused", Role::Error),
        (tally.unanswered, "unanswered", Role::Warning),
        (tally.unknown, "of unknown outcome", Role::Plain),
    ];
    let mut punctuation = ":";
    for (number, what, role) in outcomes.into_iter().filter(|(number, ..)| *number > 0) {
        push_after(&mut cells, punctuation, Cell::of(role, format!("{} {what}", text::count(number))));
        punctuation = ",";
    }
    punctuation = ";";
    if tally.subflows > 0 {
        push_after(&mut cells, punctuation, Cell::plain(text::counted(tally.subflows, "subflow")));
        punctuation = ",";
    }
    if selection.orphan_joins > 0 {
        let joins = text::counted(selection.orphan_joins, "join") + " without connection";
        push_after(&mut cells, punctuation, Cell::of(Role::Warning, joins));
    }
    cells
}

/// Connections that are counted but not shown, because they left before the end of the capture: those that ended as live
/// captures forget them, and those that a limit pushed out, which a person must know of.
pub(super) fn left_before_the_end(header: &Header) -> Vec<Cell> {
    let left = header.capture.connections_left.unwrap_or_default();
    let forgotten = header.tcp_connections.forgotten;
    let kinds = [
        (left.closed, "closed", Role::Dim),
        (left.idle, "silent for long", Role::Dim),
        (left.half_open, "never complete", Role::Dim),
        (left.limit, "beyond a limit", Role::Warning),
        (forgotten, "TCP flows beyond a limit", Role::Warning),
    ];
    let shown = kinds.into_iter().filter(|(number, ..)| *number > 0);
    let mut cells: Vec<Cell> =
        shown.map(|(number, what, role)| Cell::of(role, format!("{} {what}", text::count(number)))).collect();
    if !cells.is_empty() {
        cells.insert(0, Cell::of(Role::Dim, "left before the end:"));
    }
    cells.extend(finding_counts(left.findings.unwrap_or_default()));
    cells
}

/// What limits left out of a connection.
pub(super) fn left_out(connection: &Connection) -> Vec<Cell> {
    let Some(left_out) = &connection.left_out else { return Vec::new() };
    let shown = left_out.each().into_iter().filter(|(number, _)| *number > 0);
    let mut cells: Vec<Cell> =
        shown.map(|(number, what)| Cell::of(Role::Warning, text::counted(number, what))).collect();
    cells.insert(0, Cell::of(Role::Dim, "beyond limits, not shown:"));
    cells
}

/// Appends a cell, with `punctuation` to the one before it.
fn push_after(cells: &mut Vec<Cell>, punctuation: &str, cell: Cell) {
    if let Some(previous) = cells.pop() {
        cells.push(previous.and(Role::Plain, punctuation));
    }
    cells.push(cell);
}

pub(super) fn finding_counts(counts: FindingCounts) -> Vec<Cell> {
    [
        (counts.errors, "error", Role::Error),
        (counts.warnings, "warning", Role::Warning),
        (counts.notes, "note", Role::Plain),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .map(|(number, noun, role)| Cell::of(role, text::counted(number, noun)))
    .collect()
}

pub(super) fn connection(connection: &Connection) -> Vec<Cell> {
    let Connection { client, server, directions, .. } = connection;
    let mut cells = vec![
        sentences::protocol(connection),
        Cell::plain(format!("{} → {}", endpoint(client), endpoint(server))),
        Cell::plain(format!(
            "↑ {} ↓ {}",
            known_bytes(directions.client_to_server.bytes),
            known_bytes(directions.server_to_client.bytes)
        )),
    ];
    cells.extend(connection.duration_ns.map(|duration| Cell::plain(text::duration(duration))));
    if connection.outcome != "unanswered" {
        cells.push(sentences::close(connection));
    }
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
    let accepted = connection.stack.sysctls.fast_open_accepted_bytes;
    if accepted > 0 {
        // They lie before the data-level stream (RFC 8684 appendix B).
        cells.push(Cell::plain(format!("↑ {} more in the SYN", text::bytes(accepted.into()))));
    }
    cells.extend(checksum_cells(connection));
    if connection.options_cut {
        cells.push(Cell::of(Role::Warning, "? options cut by the capture"));
    }
    for (arrow, direction) in both(&directions.client_to_server, &directions.server_to_client) {
        let unseen = direction.acked_bytes.filter(|_| lacks(connection, direction));
        let amounts = [
            (unseen, "acknowledged, not captured", Role::Warning),
            (direction.missing_bytes, missing(direction), Role::Warning),
            (direction.unmapped_bytes, "without mapping", Role::Warning),
            (unacknowledged(connection, direction), "never acknowledged", Role::Warning),
            (direction.reinjected_bytes, "reinjected", Role::Plain),
            (direction.resent_bytes, "resent", Role::Plain),
        ];
        for (number, what, role) in amounts {
            let some = number.filter(|&number| number > 0);
            cells.extend(some.map(|number| Cell::of(role, format!("{arrow} {} {what}", text::bytes(number)))));
        }
    }
    cells
}

/// Whether the capture has no packet of a direction that was in use.
pub(super) fn lacks(connection: &Connection, direction: &ConnectionDirection) -> bool {
    direction.bytes.is_none() && !connection.options_cut
}

/// What bytes in holes are: those that the peer has, as its DATA_ACKs say, were not captured. Where all of them may lie behind
/// what it acknowledged, they may have been lost on the way as well, or never sent.
fn missing(direction: &ConnectionDirection) -> &'static str {
    let (Some(bytes), Some(missing)) = (direction.bytes, direction.missing_bytes) else { return "missing" };
    let behind = (bytes + missing).saturating_sub(direction.acked_bytes.unwrap_or(0));
    if behind < missing { "not captured" } else { "missing" }
}

/// Bytes of a closed MPTCP connection that no DATA_ACK covered.
fn unacknowledged(connection: &Connection, direction: &ConnectionDirection) -> Option<u64> {
    let over = connection.closed.is_some() && connection.outcome == "mptcp";
    let acked = direction.acked_bytes.filter(|_| over)?;
    Some((direction.bytes? + direction.missing_bytes?).saturating_sub(acked))
}

/// Bytes, or `?` where they are not known.
pub(super) fn known_bytes(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), text::bytes)
}

fn checksum_cells(connection: &Connection) -> Vec<Cell> {
    let Directions { client_to_server: up, server_to_client: down } = &connection.directions;
    let sum = |count: fn(&Checksums) -> u64| count(&up.checksums) + count(&down.checksums);
    let (verified, mismatch) = (sum(|counts| counts.verified), sum(|counts| counts.mismatch));
    let unverifiable = sum(|counts| counts.unverifiable);
    let mut cells = Vec::new();
    if verified > 0 {
        cells.push(Cell::of(Role::Good, format!("✓ {}", text::counted(verified, "checksum"))));
    }
    if mismatch > 0 {
        cells.push(Cell::of(Role::Error, format!("✗ {}", text::counted(mismatch, "checksum"))));
    }
    // Where checksums were not negotiated there is nothing to miss.
    if unverifiable > 0 && connection.checksum != Some(false) {
        let consistent = match sum(|counts| counts.consistent) {
            0 => String::new(),
            // They agree with each other on what is not known.
            consistent => format!(" ({} consistent)", text::count(consistent)),
        };
        cells.push(Cell::of(Role::Warning, format!("? {}{consistent}", text::counted(unverifiable, "checksum"))));
    }
    cells
}

pub(super) fn reorder(arrow: &str, direction: &ConnectionDirection) -> Vec<Cell> {
    let reorder = direction.reorder;
    let mut cells = vec![
        Cell::plain(format!("{arrow} {} out of order", text::bytes(reorder.late_bytes))),
        match (reorder.p50_wait_ns, reorder.p95_wait_ns, reorder.max_wait_ns) {
            (Some(median), Some(high), Some(longest)) => Cell::plain(format!(
                "waited {} (median), {} (95%), {} (longest)",
                text::duration(median),
                text::duration(high),
                text::duration(longest)
            )),
            _ => Cell::plain("for bytes that the capture lacks"),
        },
        Cell::plain(format!("up to {} at once", text::bytes(reorder.max_buffer_bytes))),
    ];
    cells.extend(reorder.slowest_subflow.map(|id| Cell::plain(format!("mostly for subflow {id}"))));
    cells
}

/// Who joined whom, in which state.
pub(super) fn ends(subflow: &Subflow, several_interfaces: bool) -> Vec<Cell> {
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
pub(super) fn loads(subflows: &[Subflow], shares: bool) -> Vec<Vec<Cell>> {
    let cell = |arrow: &str, direction: &SubflowDirection, width: usize| {
        let share = direction.share.filter(|_| shares).map_or_else(String::new, |s| format!(" {:>4}", text::share(s)));
        match (direction.data_bytes, direction.reinjected_bytes) {
            (Some(0), None | Some(0)) => Cell::default(),
            // It carried what another had carried before it, and nothing else.
            (Some(0), again) => Cell::plain(format!("{arrow} {:>width$} reinjected", known_bytes(again))),
            (bytes, _) => Cell::plain(format!("{arrow} {:>width$}{share}", known_bytes(bytes))),
        }
    };
    let shown = |direction: &SubflowDirection| match direction.data_bytes {
        Some(0) => known_bytes(direction.reinjected_bytes),
        bytes => known_bytes(bytes),
    };
    let width = |direction: fn(&Subflow) -> &SubflowDirection| {
        subflows.iter().map(|subflow| shown(direction(subflow)).len()).max().unwrap_or(0)
    };
    let (up, down) = (width(|s| &s.directions.client_to_server), width(|s| &s.directions.server_to_client));
    subflows
        .iter()
        .map(|subflow| {
            let directions = &subflow.directions;
            let proof = match &subflow.join {
                Some(join) => sentences::proof(join),
                None if subflow.role == Some("initial") => Cell::of(Role::Dim, "initial"),
                None => Cell::default(),
            };
            let idle = both(&directions.client_to_server, &directions.server_to_client)
                .iter()
                .all(|(_, of)| of.data_bytes == Some(0) && of.reinjected_bytes.unwrap_or(0) == 0);
            let up = if idle { Cell::of(Role::Dim, "no data") } else { cell("↑", &directions.client_to_server, up) };
            vec![proof, up, cell("↓", &directions.server_to_client, down)]
        })
        .collect()
}

pub(super) fn details(arrow: &str, direction: &SubflowDirection) -> Vec<Cell> {
    let mut cells = vec![
        Cell::plain(format!("{arrow} {}", text::counted(direction.segments, "segment"))),
        Cell::plain(format!("{} payload", text::bytes(direction.payload_bytes))),
    ];
    let amounts = [(Some(direction.retransmitted_bytes), "retransmitted"), (direction.reinjected_bytes, "reinjected")];
    for (number, what) in amounts {
        let some = number.filter(|&number| number > 0);
        cells.extend(some.map(|number| Cell::plain(format!("{} {what}", text::bytes(number)))));
    }
    if let Some(rtt) = direction.rtt.or(direction.rtt_timestamps) {
        let [min, p50, p95] = [rtt.min_ns, rtt.p50_ns, rtt.p95_ns].map(text::duration);
        // At the receiver it is what that takes to acknowledge.
        cells.push(Cell::plain(format!("RTT from here {p50} (least {min}, 95% {p95})")));
    }
    let in_flight = direction.max_in_flight_bytes.filter(|&bytes| bytes > 0);
    cells.extend(in_flight.map(|bytes| Cell::plain(format!("up to {} in flight", text::bytes(bytes)))));
    cells
}

/// A pair by source and destination of the SYN, as client's side, server's side, and the arrow from who sent it: none where the
/// capture does not tell.
pub(super) fn sides<T>(subflow: &Subflow, source: T, destination: T) -> (T, T, &'static str) {
    match subflow.initiator {
        Some("server") => (destination, source, "←"),
        Some(_) => (source, destination, "→"),
        None => (source, destination, "–"),
    }
}

pub(super) fn both<'d, T>(up: &'d T, down: &'d T) -> [(&'static str, &'d T); 2] {
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
pub(super) fn separated(texts: Vec<String>) -> Vec<Cell> {
    let last = texts.len().saturating_sub(1);
    let dot = |index| if index == last { "" } else { " ·" };
    texts.into_iter().enumerate().map(|(i, text)| Cell::of(Role::Dim, text + dot(i))).collect()
}

/// Whether packets of the other end were captured.
fn shows_peer_of(end: &str, connection: &Connection) -> bool {
    connection.subflows.iter().map(|subflow| &subflow.directions).any(|directions| {
        let of_peer = if end == "server" { &directions.client_to_server } else { &directions.server_to_client };
        of_peer.segments > 0
    })
}

/// `server announced 10.8.2.2 as id 1 at frame 6  ✓ HMAC  echoed`.
pub(super) fn address(address: &Address, connection: &Connection) -> Vec<Cell> {
    let port = address.port.map_or_else(String::new, |port| format!(" port {port}"));
    let mut cells = vec![
        Cell::plain(format!("{} announced {}{port} as id {}", address.by, address.address, address.id))
            .and(Role::Dim, format!(" at frame {}", address.frame)),
    ];
    match &address.hmac {
        Some(Verdict::Unverifiable { why }) => {
            cells.push(Cell::of(Role::Warning, format!("? HMAC ({})", sentences::why(why))));
        }
        Some(verdict) => cells.push(sentences::check(verdict, "HMAC")),
        None => {}
    }
    if address.echoed.is_some() {
        cells.push(Cell::plain("echoed"));
    } else if connection.dialect == Some("rfc8684") && shows_peer_of(address.by, connection) {
        cells.push(Cell::of(Role::Warning, "no echo"));
    }
    if address.sent > 1 {
        cells.push(Cell::plain(format!("sent {} times", address.sent)));
    }
    if let Some(removed) = address.removed {
        cells.push(Cell::plain(format!("removed at frame {}", removed.frame)));
    }
    cells
}

/// `client removed 10.8.2.1 at frame 348`: addresses that were in use without an announcement.
pub(super) fn removed_addresses(connection: &Connection) -> Vec<Vec<Cell>> {
    let pairs = &connection.stack.address_pairs;
    let known = [("client", &pairs.client), ("server", &pairs.server)];
    let known = known.into_iter().flat_map(|(by, list)| list.iter().map(move |known| (by, known)));
    let told = |by: &str, known: &KnownAddress| {
        let mut announced = connection.addresses.iter().filter(|address| address.by == by);
        announced.any(|address| address.address == known.address && address.removed.is_some())
    };
    let removed = known.filter(|(by, known)| !told(by, known)).filter_map(|(by, known)| {
        let at = known.removed?;
        Some(Cell::words(Role::Plain, &format!("{by} removed {} at frame {at}", known.address)).collect())
    });
    removed.collect()
}

//! `table`: one row a subflow, joins without connection last, for people and for `grep`, `sort` and `awk`. Rows never wrap:
//! where the width does not suffice, columns are left out, the least important first.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use unicode_width::UnicodeWidthStr;

use super::style::{Look, Role};
use super::tree::LIST_LIMIT;
use super::{Report, Selection, cells};
use crate::model::{Connection, Join, Subflow, SubflowDirection, Verdict};
use crate::text;

/// Columns between columns.
const GAP: usize = 2;

/// One column: its heading, whether it holds numbers, when it goes (the lowest first; 9 never), and its cells.
struct Column {
    heading: &'static str,
    number: bool,
    keep: u8,
    /// By the connection, which joins may lack, and the subflow.
    cell: fn(Option<&Connection>, Option<&Subflow>) -> String,
}

/// All columns, in their order.
const COLUMNS: &[Column] = &[
    Column { heading: "CONN", number: true, keep: 9, cell: |connection, _| number(connection) },
    Column { heading: "SUB", number: true, keep: 9, cell: |_, subflow| of(subflow, |s| s.id.to_string()) },
    Column {
        heading: "PROTO",
        number: false,
        keep: 6,
        cell: |connection, _| connection.map(protocol).unwrap_or_default(),
    },
    Column { heading: "SOURCE", number: false, keep: 9, cell: |_, subflow| of(subflow, |s| s.source.to_string()) },
    Column {
        heading: "DESTINATION",
        number: false,
        keep: 9,
        cell: |_, subflow| of(subflow, |s| s.destination.to_string()),
    },
    Column { heading: "OPENER", number: false, keep: 4, cell: |_, subflow| of(subflow, |s| or_dash(s.initiator)) },
    Column { heading: "IDS", number: false, keep: 3, cell: |_, subflow| of(subflow, ids) },
    Column {
        heading: "PROOF",
        number: false,
        keep: 6,
        cell: |_, subflow| of(subflow, |s| proof(s.join.as_ref()).into()),
    },
    Column { heading: "BACKUP", number: false, keep: 2, cell: |_, subflow| of(subflow, backup) },
    Column { heading: "STATE", number: false, keep: 7, cell: |_, subflow| of(subflow, |s| s.state.to_owned()) },
    Column { heading: "UP", number: true, keep: 8, cell: |_, subflow| of(subflow, |s| amount(up(s).data_bytes)) },
    Column { heading: "%", number: true, keep: 5, cell: |_, subflow| of(subflow, |s| share(up(s))) },
    Column { heading: "DOWN", number: true, keep: 8, cell: |_, subflow| of(subflow, |s| amount(down(s).data_bytes)) },
    Column { heading: "%", number: true, keep: 5, cell: |_, subflow| of(subflow, |s| share(down(s))) },
    Column { heading: "RTT UP", number: true, keep: 1, cell: |_, subflow| of(subflow, |s| rtt(up(s))) },
    Column { heading: "RTT DOWN", number: true, keep: 1, cell: |_, subflow| of(subflow, |s| rtt(down(s))) },
    Column { heading: "WRONG", number: true, keep: 4, cell: wrong },
];

/// Writes the rows of the connections in `selection`.
pub fn write(out: &mut dyn Write, report: &dyn Report, selection: &Selection, look: Look) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let row = |connection: Option<&Connection>, subflow: Option<&Subflow>| -> Vec<String> {
        let cells = COLUMNS.iter().map(|column| (column.cell)(connection, subflow));
        cells.map(|cell| text::clean(&cell, look.unicode).into_owned()).collect()
    };
    for &index in &selection.indices {
        let connection = report.connection(index);
        if connection.subflows.is_empty() {
            rows.push(row(Some(&connection), None));
        }
        rows.extend(connection.subflows.iter().map(|subflow| row(Some(&connection), Some(subflow))));
    }
    let orphans = selection.orphans(report);
    let joins = orphans.iter().flat_map(|group| &group.subflows).take(LIST_LIMIT);
    rows.extend(joins.map(|join| row(None, Some(join))));
    let shown = columns_that_fit(&rows, look.width);
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(shown.iter().map(|&column| COLUMNS[column].heading));
    for row in &rows {
        table.add_row(shown.iter().map(|&column| &row[column]));
    }
    for (position, &column) in shown.iter().enumerate() {
        let Some(laid_out) = table.column_mut(position) else { continue };
        laid_out.set_padding((0, if position + 1 == shown.len() { 0 } else { GAP as u16 }));
        if COLUMNS[column].number {
            laid_out.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        if look.color && index == 0 {
            let style = Role::Strong.style();
            writeln!(out, "{style}{line}{style:#}")?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    if selection.hidden > 0 {
        let more = text::counted(selection.hidden as u64, "more connection");
        writeln!(out, "{}", text::clean(&format!("… {more} (--all shows them)"), look.unicode))?;
    }
    if selection.orphan_joins > LIST_LIMIT as u64 {
        let more = text::counted(selection.orphan_joins - LIST_LIMIT as u64, "more join");
        let line = format!("… {more} without connection (see --format json)");
        writeln!(out, "{}", text::clean(&line, look.unicode))?;
    }
    Ok(())
}

/// Indices of the columns that fit side by side. Columns without content go first.
fn columns_that_fit(rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let content = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
    shown.retain(|&column| COLUMNS[column].keep == 9 || content(column) > 0);
    let taken = |shown: &[usize]| {
        let cells: usize = shown.iter().map(|&column| content(column).max(COLUMNS[column].heading.len())).sum();
        cells + GAP * shown.len().saturating_sub(1)
    };
    while taken(&shown) > width {
        let least = shown.iter().map(|&column| COLUMNS[column].keep).min().unwrap_or(9);
        if least == 9 {
            break;
        }
        shown.retain(|&column| COLUMNS[column].keep != least);
    }
    shown
}

fn of(subflow: Option<&Subflow>, cell: impl Fn(&Subflow) -> String) -> String {
    subflow.map(cell).unwrap_or_default()
}

/// Joins without connection have none.
fn number(connection: Option<&Connection>) -> String {
    connection.map_or_else(|| "-".to_owned(), |connection| connection.id.to_string())
}

fn protocol(connection: &Connection) -> String {
    match (connection.outcome, connection.version) {
        ("mptcp", Some(version)) => format!("v{version}"),
        ("mptcp", None) => "mptcp".to_owned(),
        (outcome, _) => outcome.to_owned(),
    }
}

fn ids(subflow: &Subflow) -> String {
    let id = |id: Option<u8>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    format!("{}→{}", id(subflow.address_ids.source), id(subflow.address_ids.destination))
}

fn proof(join: Option<&Join>) -> &'static str {
    let Some(join) = join else { return "" };
    let checks = || join.checks().map(|check| check.0);
    if checks().any(|check| matches!(check, Verdict::Mismatch { .. })) {
        "mismatch"
    } else if checks().all(|check| matches!(check, Verdict::Verified { .. })) {
        "verified"
    } else if checks().any(|check| matches!(check, Verdict::Verified { .. })) {
        "partial"
    } else {
        "unproven"
    }
}

fn backup(subflow: &Subflow) -> String {
    match (subflow.backup.client, subflow.backup.server) {
        (true, true) => "both",
        (true, false) => "client",
        (false, true) => "server",
        (false, false) => "",
    }
    .to_owned()
}

fn up(subflow: &Subflow) -> &SubflowDirection {
    &subflow.directions.client_to_server
}

fn down(subflow: &Subflow) -> &SubflowDirection {
    &subflow.directions.server_to_client
}

fn amount(bytes: Option<u64>) -> String {
    // A no-break space would not survive `awk`; none at all reads well enough in a column.
    cells::known_bytes(bytes).replace(' ', "")
}

fn share(direction: &SubflowDirection) -> String {
    direction.share.map(text::share).unwrap_or_default()
}

fn rtt(direction: &SubflowDirection) -> String {
    direction
        .rtt
        .or(direction.rtt_timestamps)
        .map(|rtt| text::duration(rtt.p50_ns).replace(' ', ""))
        .unwrap_or_default()
}

/// Errors and warnings of the subflow; those of the connection show at its first.
fn wrong(connection: Option<&Connection>, subflow: Option<&Subflow>) -> String {
    let Some(connection) = connection else { return String::new() };
    let is_first = subflow.is_none_or(|subflow| subflow.id == 0);
    let mut counts = super::FindingCounts::default();
    for finding in &connection.findings {
        if finding.subflow == subflow.map(|subflow| subflow.id) || (is_first && finding.subflow.is_none()) {
            counts.add(finding.severity);
        }
    }
    match counts.errors + counts.warnings {
        0 => String::new(),
        wrong => wrong.to_string(),
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

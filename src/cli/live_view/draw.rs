//! The live view's picture: a headline, connections with their paths, what happened lately, and the keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::model::Model;
use super::rates::rate;
use super::rows::{PathRow, Row};
use crate::text;

/// Columns of a rate.
const RATE: usize = 11;
/// Columns of a share.
const SHARE: usize = 4;
/// Screens of at least this width show all of a path in one line of fixed columns.
const WIDE: u16 = 120;

/// Draws everything.
pub(super) fn screen(frame: &mut Frame<'_>, model: &mut Model) {
    let area = frame.area();
    model.width = area.width;
    let events = (model.events.len() as u16).min((area.height / 4).clamp(2, 12));
    let areas = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(if events > 0 { events + 1 } else { 0 }),
        Constraint::Length(1),
    ])
    .split(area);
    let [head, body, happened, keys] = areas[..] else { return };
    frame.render_widget(Paragraph::new(headline(model)), head);
    match model.opened {
        Some((_, scroll)) => {
            let lines: Vec<Line<'_>> = model.details.iter().map(|line| Line::raw(line.as_str())).collect();
            frame.render_widget(Paragraph::new(lines).scroll((scroll, 0)), body);
        }
        None => frame.render_widget(Paragraph::new(connections(model, body)), body),
    }
    if events > 0 {
        frame.render_widget(Paragraph::new(lately(model, usize::from(events), usize::from(area.width))), happened);
    }
    frame.render_widget(Paragraph::new(footer(model)), keys);
    if model.help {
        help(frame, model, area);
    }
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn coloured(model: &Model, color: Color) -> Style {
    if model.look.color { Style::new().fg(color) } else { Style::new() }
}

fn headline(model: &Model) -> Vec<Line<'static>> {
    let summary = &model.summary;
    let seconds = summary.elapsed.as_secs();
    let clock = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut first = vec![
        Span::styled("mptcp-inspect", strong()),
        Span::raw(format!(
            "  {}  {clock}  {}  {}",
            summary.name,
            text::counted(summary.packets, "packet"),
            rate(summary.rate / 8.0)
        )),
    ];
    if summary.dropped > 0 {
        let lost = format!("  {} dropped", text::count(summary.dropped));
        first.push(Span::styled(lost, coloured(model, Color::Red).add_modifier(Modifier::BOLD)));
    }
    let mut counts = format!(
        "{}, {} closed, {} half-open",
        text::counted(summary.connections as u64, "connection"),
        text::count(summary.closed as u64),
        text::count(summary.half_open as u64)
    );
    if summary.left > 0 {
        counts.push_str(&format!(", {} left", text::count(summary.left)));
    }
    let mut second = vec![Span::styled(counts, dim()), Span::styled(format!("  by {}", model.sort.name()), dim())];
    if model.paused {
        second.push(Span::styled("  PAUSED", coloured(model, Color::Yellow).add_modifier(Modifier::BOLD)));
    }
    vec![Line::from(first), Line::from(second)]
}

/// The connections that fit, the selected one among them.
fn connections(model: &Model, area: Rect) -> Vec<Line<'static>> {
    if model.rows.is_empty() {
        return vec![Line::raw(""), Line::styled("  No MPTCP connection so far.", dim())];
    }
    let height = usize::from(area.height);
    let selected = model.position();
    // As many rows before the selected one as leave room for it whole.
    let size = |row: &Row| 1 + row.paths.len();
    let mut first = selected;
    let mut used = model.rows.get(selected).map_or(0, size);
    while let Some(before) = first.checked_sub(1).and_then(|index| model.rows.get(index)) {
        if used + size(before) > height {
            break;
        }
        used += size(before);
        first -= 1;
    }
    let wide = area.width >= WIDE;
    let addresses =
        widest(model.rows.iter().skip(first).flat_map(|row| &row.paths).map(|path| path.path.as_str()), 31, 60);
    let interfaces = widest(model.rows.iter().flat_map(|row| &row.paths).map(|path| path.interface.as_str()), 2, 15);
    let mut lines = Vec::with_capacity(height);
    for (index, row) in model.rows.iter().enumerate().skip(first) {
        lines.push(connection(model, row, index == selected, usize::from(area.width)));
        for (number, path) in row.paths.iter().enumerate() {
            let last = number + 1 == row.paths.len();
            lines.push(self::path(model, path, number, last, if wide { addresses } else { 0 }, interfaces));
        }
        if lines.len() >= height {
            break;
        }
    }
    lines.truncate(height);
    lines
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>, least: usize, most: usize) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0).clamp(least, most)
}

fn connection(model: &Model, row: &Row, selected: bool, width: usize) -> Line<'static> {
    let (up, down, arrow) = symbols(model);
    let mark = match (selected, model.look.unicode) {
        (true, true) => "▸",
        (true, false) => ">",
        (false, _) => " ",
    };
    let name = format!("{mark} {}  {} {arrow} {} ", row.name, row.ends.0, row.ends.1);
    let rates = format!("{up} {:<RATE$}{down} {:<RATE$}", rate(row.rates[0]), rate(row.rates[1]));
    let bytes = format!("  {up} {} {down} {}", text::bytes(row.bytes[0]), text::bytes(row.bytes[1]));
    let base = if selected { Style::new().add_modifier(Modifier::REVERSED) } else { strong() };
    let mut spans = vec![Span::styled(name.clone(), base), Span::raw(" "), Span::raw(row.state.clone())];
    let mut used = name.chars().count() + 1 + row.state.chars().count();
    for (count, what, color) in
        [(row.findings.errors, "error", Color::Red), (row.findings.warnings, "warning", Color::Yellow)]
    {
        if count > 0 {
            let found = format!("  {}", text::counted(count, what));
            used += found.chars().count();
            spans.push(Span::styled(found, coloured(model, color).add_modifier(Modifier::BOLD)));
        }
    }
    for more in [format!("  {}", rates.trim_end()), bytes] {
        let columns = more.chars().count();
        if used + columns <= width {
            used += columns;
            spans.push(Span::raw(more));
        }
    }
    Line::from(spans)
}

fn symbols(model: &Model) -> (&'static str, &'static str, &'static str) {
    if model.look.unicode { ("↑", "↓", "→") } else { ("up", "down", "->") }
}

/// One path: its interface, on wide screens its addresses, then rates with shares, round trip, state.
fn path(
    model: &Model,
    path: &PathRow,
    number: usize,
    last: bool,
    addresses: usize,
    interfaces: usize,
) -> Line<'static> {
    let (up, down, _) = symbols(model);
    let branch = match (last, model.look.unicode) {
        (true, true) => "└─",
        (false, true) => "├─",
        (true, false) => "`-",
        (false, false) => "|-",
    };
    let share = |share: Option<f64>| share.map(text::share).unwrap_or_default();
    let mut spans = vec![
        Span::styled(format!("  {branch} {number} "), dim()),
        Span::styled(format!("{:<interfaces$} ", path.interface), strong()),
    ];
    if addresses > 0 {
        spans.push(Span::raw(format!(" {:<addresses$} ", path.path)));
    }
    spans.push(Span::raw(format!(
        " {up} {:<RATE$}{:>SHARE$}  {down} {:<RATE$}{:>SHARE$}  ",
        rate(path.rates[0]),
        share(path.shares[0]),
        rate(path.rates[1]),
        share(path.shares[1])
    )));
    spans.push(Span::raw(format!("{:<9}", path.rtt.map(text::duration).unwrap_or_default())));
    match path.proven {
        Some(true) => {
            spans.push(Span::styled(if model.look.unicode { " ✓" } else { " proven" }, coloured(model, Color::Green)));
        }
        Some(false) => spans.push(Span::styled(" unproven", dim())),
        None => {}
    }
    if path.backup {
        spans.push(Span::styled(" backup", coloured(model, Color::Cyan)));
    }
    // Last, since narrow screens may cut it: mostly it says what is to be expected.
    spans.push(match path.state.as_str() {
        "established" => Span::raw(format!(" {}", path.state)),
        "closed" => Span::styled(format!(" {}", path.state), dim()),
        other => Span::styled(format!(" {other}"), coloured(model, Color::Yellow)),
    });
    Line::from(spans)
}

/// The last of what happened, under a rule.
fn lately(model: &Model, count: usize, width: usize) -> Vec<Line<'static>> {
    let rule = if model.look.unicode { "─" } else { "-" };
    let mut lines = vec![Line::styled(rule.repeat(width), dim())];
    let skipped = model.events.len().saturating_sub(count);
    lines.extend(model.events.iter().skip(skipped).map(|event| Line::raw(event.clone())));
    lines
}

fn footer(model: &Model) -> Line<'static> {
    let keys = match (model.opened.is_some(), model.look.unicode) {
        (true, true) => "↑↓ scroll  Esc back  p pause  ? help  q quit",
        (true, false) => "up/down scroll  Esc back  p pause  ? help  q quit",
        (false, true) => "↑↓ select  Enter open  s sort  p pause  ? help  q quit",
        (false, false) => "up/down select  Enter open  s sort  p pause  ? help  q quit",
    };
    Line::styled(keys, Style::new().add_modifier(Modifier::REVERSED))
}

fn help(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let (up, down, _) = symbols(model);
    let text = [
        "up, down, k, j   select a connection".to_owned(),
        "Enter            open it; Esc goes back".to_owned(),
        "s                sort by rate, bytes, newest, number".to_owned(),
        "p, space         pause the picture; the capture goes on".to_owned(),
        "q, Ctrl-C        end, and print the report".to_owned(),
        String::new(),
        format!("{up} is what the client sends, {down} what the server sends:"),
        "rate, and share of the connection's bytes. Then the".to_owned(),
        "median round trip, and the state of the path.".to_owned(),
        format!("{} both HMACs of the join are right", if model.look.unicode { "✓     " } else { "proven" }),
        "backup marks a path that an end wants spared.".to_owned(),
    ];
    let width = 62.min(area.width);
    let height = (text.len() as u16 + 2).min(area.height);
    let [x, y] = [(area.width - width) / 2, (area.height - height) / 2];
    let place = Rect { x, y, width, height };
    let rule = if model.look.unicode { "─" } else { "-" }.repeat(usize::from(width));
    let mut lines = vec![Line::styled(rule.clone(), dim())];
    lines.extend(text.into_iter().map(|line| Line::raw(format!("  {line}"))));
    lines.push(Line::styled(rule, dim()));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines), place);
}

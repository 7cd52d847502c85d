//! What the live view shows, and what keys do to it. Knows no terminal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::rates::{Rate, advance};
use super::rows::Row;
use crate::capture::InputInfo;
use crate::limits;
use crate::model::{Finding, Severity};
use crate::report::style::Look;
use crate::report::{ConnectionNow, Selection, tree};
use crate::text;
use crate::track::Tracker;
use crate::track::connection::Connection;
use crate::track::observer::{ConnectionId, Event, What};
use crate::track::side::Side;

/// Connections for which rows are made: more than any screen has lines.
const ROWS: usize = 100;

/// What a key asks the program to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// End the capture.
    Quit,
}

/// The order of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The busiest first.
    #[default]
    Rate,
    /// The one with most bytes first.
    Bytes,
    /// The latest first.
    Newest,
    /// In order of first packet.
    Number,
}

impl Sort {
    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::Newest => "newest",
            Self::Number => "number",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Rate => Self::Bytes,
            Self::Bytes => Self::Newest,
            Self::Newest => Self::Number,
            Self::Number => Self::Rate,
        }
    }
}

/// The capture as a whole.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Interfaces.
    pub name: String,
    /// Since the start.
    pub elapsed: Duration,
    /// Packets read.
    pub packets: u64,
    /// Packets lost.
    pub dropped: u64,
    /// Bits a second, of all connections.
    pub rate: f64,
    /// Connections held, open handshakes not counted.
    pub connections: usize,
    /// Of those, closed.
    pub closed: usize,
    /// Open handshakes.
    pub half_open: usize,
    /// Connections that left.
    pub left: u64,
}

/// Everything shown.
pub struct Model {
    /// Colours and characters.
    pub look: Look,
    /// The capture.
    pub summary: Summary,
    /// The connections, in order.
    pub rows: Vec<Row>,
    /// What happened lately, latest last.
    pub events: VecDeque<String>,
    /// The order.
    pub sort: Sort,
    /// The connection that keys act on.
    pub selected: Option<ConnectionId>,
    /// The connection shown alone, and how far it is scrolled.
    pub opened: Option<(ConnectionId, u16)>,
    /// Its lines.
    pub details: Vec<String>,
    /// Nothing moves.
    pub paused: bool,
    /// Keys are explained.
    pub help: bool,
    /// Columns of the screen, as last drawn.
    pub width: u16,
    /// Findings that were told of.
    told: BTreeSet<(ConnectionId, &'static str, Option<u64>)>,
    pub(super) rates: BTreeMap<(ConnectionId, u16), [Rate; 2]>,
    looked: Duration,
}

impl Model {
    /// A model of nothing.
    pub fn new(look: Look) -> Self {
        Self {
            look,
            summary: Summary::default(),
            rows: Vec::new(),
            events: VecDeque::new(),
            sort: Sort::default(),
            selected: None,
            opened: None,
            details: Vec::new(),
            paused: false,
            help: false,
            width: 80,
            told: BTreeSet::new(),
            rates: BTreeMap::new(),
            looked: Duration::ZERO,
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Action::Quit;
        }
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') if self.help => self.help = false,
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left if self.opened.is_some() => self.opened = None,
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Enter | KeyCode::Right => {
                self.opened = if self.opened.is_some() { None } else { self.selected.map(|id| (id, 0)) };
            }
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            _ => {}
        }
        Action::None
    }

    /// Moves the selection, or scrolls what is opened.
    fn step(&mut self, by: isize) {
        if let Some((_, scroll)) = &mut self.opened {
            let last = self.details.len().saturating_sub(1) as isize;
            *scroll =
                (isize::from(i16::try_from(*scroll).unwrap_or(i16::MAX))).saturating_add(by).clamp(0, last) as u16;
            return;
        }
        let last = self.rows.len().saturating_sub(1) as isize;
        let next = (self.position() as isize).saturating_add(by).clamp(0, last);
        self.selected = self.rows.get(next as usize).map(|row| row.id);
    }

    /// The row of the selected connection.
    pub fn position(&self) -> usize {
        self.rows.iter().position(|row| Some(row.id) == self.selected).unwrap_or(0)
    }

    /// Notes something that happened to the capture.
    pub fn notice(&mut self, line: &str) {
        let line = text::clean(line, self.look.unicode).into_owned();
        self.happened(line);
    }

    /// Notes something that happened to a connection. What a flood of SYNs can cause is left out.
    pub fn event(&mut self, event: &Event) {
        let what = match event.what {
            What::ConnectionOpened
            | What::Absorbed(_)
            | What::KeysLearned(..)
            | What::DataFin(..)
            | What::SubflowOpened => return,
            What::JoinShown => "joined",
            What::AddressAnnounced(..) => "address announced",
            What::AddressRemoved(..) => "address removed",
            What::BackupChanged => "priority changed",
            What::FellBack => "fell back to TCP",
            What::ChecksumMismatch(..) => "wrong DSS checksum",
            What::ChecksumRepaired(..) => "DSS checksum right with what TCP sent again",
            What::SubflowReset => "reset",
            What::SubflowClosed => "closed",
            What::Fastclosed => "fast close",
            What::ConnectionClosed => "connection closed",
        };
        let time = event.at.time.to_string();
        let clock = time.get(11..23).unwrap_or_default();
        let place = event.subflow.map(|subflow| format!(" path {subflow}")).unwrap_or_default();
        self.happened(format!("{clock}  {}{place}  {what}", name(event.number)));
    }

    fn happened(&mut self, line: String) {
        if self.events.back() == Some(&line) {
            return;
        }
        self.events.push_back(line);
        if self.events.len() > limits::VIEW_EVENTS {
            self.events.pop_front();
        }
    }

    /// Looks at the state of the capture.
    pub fn look_at(&mut self, tracker: &Tracker, info: &InputInfo, elapsed: Duration) {
        let seconds = (elapsed.saturating_sub(self.looked)).as_secs_f64();
        self.looked = elapsed;
        let mut rates = BTreeMap::new();
        let mut order = Vec::new();
        let mut summary = Summary {
            name: text::clean(&info.name, self.look.unicode).into_owned(),
            elapsed,
            packets: info.packets,
            dropped: info.dropped.unwrap_or(0),
            left: tracker.departed(),
            ..Summary::default()
        };
        for connection in tracker.present().filter(|connection| connection.view_of.is_none()) {
            if connection.is_half_open() {
                summary.half_open += 1;
                continue;
            }
            summary.connections += 1;
            summary.closed += usize::from(connection.is_closed());
            let mut total = 0.0;
            for (index, subflow) in connection.subflows.iter().enumerate() {
                let key = (connection.id, index as u16);
                let before = self.rates.get(&key).copied();
                let now = Side::BOTH.map(|side| {
                    let bytes = subflow.halves[side].payload_bytes;
                    advance(before.map(|both| both[side as usize]), bytes, seconds)
                });
                total += now[0].per_second + now[1].per_second;
                rates.insert(key, now);
            }
            summary.rate += total * 8.0;
            let bytes = connection.data.client.unique + connection.data.server.unique;
            order.push((connection.id, total, bytes, connection.is_closed()));
        }
        self.rates = rates;
        self.summary = summary;
        match self.sort {
            // Rates flicker: what is as good as equal keeps its order.
            Sort::Rate => order.sort_by_key(|&(_, rate, bytes, closed)| {
                std::cmp::Reverse((!closed, (rate + 1.0).log2() as u32, (bytes + 1).ilog2()))
            }),
            Sort::Bytes => order.sort_by_key(|&(_, _, bytes, _)| std::cmp::Reverse(bytes)),
            Sort::Newest => order.reverse(),
            Sort::Number => {}
        }
        if self.selected.is_none_or(|selected| !order.iter().any(|&(id, ..)| id == selected)) {
            self.selected = order.first().map(|&(id, ..)| id);
        }
        let selected = order.iter().position(|&(id, ..)| Some(id) == self.selected).unwrap_or(0);
        let first = selected.saturating_sub(ROWS / 2);
        let shown = order.iter().skip(first).take(ROWS).filter_map(|&(id, ..)| tracker.connection(id));
        let rows = shown.map(|connection| self.row(tracker, info, connection)).collect();
        self.rows = rows;
        self.open_details(tracker, info);
    }

    /// Tells of a finding the first time that it shows.
    pub(super) fn tell(&mut self, connection: &Connection, finding: &Finding) {
        if finding.severity == Severity::Note || !self.told.insert((connection.id, finding.id, finding.subflow)) {
            return;
        }
        if self.told.len() > limits::VIEW_FINDINGS {
            self.told.pop_first();
        }
        let severity = finding.severity.name();
        let line = format!("{severity}  {}  {}", name(connection.number()), finding.message);
        self.notice(&line);
    }

    /// The connection that is shown alone, as the tree prints it.
    fn open_details(&mut self, tracker: &Tracker, info: &InputInfo) {
        let Some((id, _)) = self.opened else { return };
        let Some(connection) = tracker.connection(id) else {
            self.details.push(String::new());
            self.details.push("This connection has left.".to_owned());
            self.opened = None;
            return;
        };
        let now = ConnectionNow::new(&tracker.counts, std::slice::from_ref(info), connection);
        let look = Look { width: usize::from(self.width.max(40)), color: false, verbose: true, ..self.look };
        let mut printed = Vec::new();
        if tree::write(&mut printed, &now, &Selection::new(&now, &[], None), look, false).is_ok() {
            let printed = String::from_utf8_lossy(&printed);
            // The headline is about the capture.
            let lines = printed.lines().skip_while(|line| !line.is_empty()).skip(1);
            self.details = lines.map(|line| text::clean(line, self.look.unicode).into_owned()).collect();
        }
    }
}

/// A connection's name; a join whose connection is not known has no number.
pub fn name(number: Option<u64>) -> String {
    number.map_or_else(|| "join".to_owned(), |number| format!("#{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(model: &mut Model, code: KeyCode) -> Action {
        model.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn keys_sort_open_pause_help_and_quit() {
        let mut model = Model::new(Look::default());
        assert_eq!(press(&mut model, KeyCode::Char('s')), Action::None);
        assert_eq!(model.sort, Sort::Bytes);
        press(&mut model, KeyCode::Enter);
        assert!(model.opened.is_none(), "there is nothing to open");
        model.selected = Some(3);
        press(&mut model, KeyCode::Enter);
        assert_eq!(model.opened, Some((3, 0)));
        press(&mut model, KeyCode::Esc);
        assert!(model.opened.is_none());
        press(&mut model, KeyCode::Char('p'));
        press(&mut model, KeyCode::Char('?'));
        assert!(model.paused && model.help);
        assert_eq!(press(&mut model, KeyCode::Char('q')), Action::None, "leaves the help");
        assert_eq!(press(&mut model, KeyCode::Char('q')), Action::Quit);
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(model.key(ctrl_c), Action::Quit);
    }

    #[test]
    fn what_comes_from_outside_moves_no_cursor() {
        let mut model = Model::new(Look::default());
        model.notice("eth\u{1b}[2J0: gone");
        assert!(!model.events[0].contains('\u{1b}'));
    }
}

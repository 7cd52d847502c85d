//! What is written while reading: the formats that print segments and events, and extraction.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::args::Format;
use super::exit::complain;
use super::plan::Plan;
use crate::capture::InputInfo;
use crate::extract::Extractor;
use crate::frame::{Frame, Timestamp};
use crate::limits;
use crate::model::{ConnectionFilter, Numbering};
use crate::packet::Decoded;
use crate::report::seen::Seen;
use crate::report::{ConnectionNow, Report, Selection, TrackedReport, interface_name, ndjson, packets};
use crate::text;
use crate::track::connection::Connection;
use crate::track::expire::Left;
use crate::track::observer::{Checked, ConnectionId, Data, Event, Judgement, Observer, Silent, What};
use crate::track::side::Side;
use crate::track::{Assigned, Counts, Tracker};

/// An observer that also hears of each frame, after the tracker took it.
pub trait Follow: Observer {
    /// A frame was taken. `inputs` tells of the inputs so far.
    fn after<'i>(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded<'_>,
        assigned: Assigned,
        tracker: &Tracker,
        inputs: impl Fn() -> Vec<&'i InputInfo>,
    ) -> io::Result<()> {
        let _ = (frame, decoded, assigned, tracker, inputs);
        Ok(())
    }

    /// A connection left before the end of the capture: nothing more comes of it.
    fn gone(&mut self, connection: &ConnectionNow<'_>, reason: Left) -> io::Result<()> {
        let _ = (connection, reason);
        Ok(())
    }

    /// A moment in a live capture: what was written so far is to be seen.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Follow for Silent {}

/// Writes while reading.
pub struct Follower<'a> {
    plan: &'a Plan,
    out: &'a mut dyn Write,
    extractor: Option<Extractor>,
    /// Whether lines are written.
    prints: bool,
    /// The places of the inputs among those that the user gave.
    given: Vec<u16>,
    first: Option<Timestamp>,
    events: Vec<Event>,
    right_checksums: u32,
    wrong_checksums: u32,
    /// Interfaces' names by input and index.
    interfaces: BTreeMap<(u16, u16), String>,
    /// Lines of connections of which it is not known yet whether they are wanted.
    held: BTreeMap<ConnectionId, Vec<u8>>,
    held_bytes: usize,
    /// Lines for which there was no room.
    not_held: u64,
    line: Vec<u8>,
    /// The inputs as they were when the last interface showed, for connections that a limit pushes out.
    inputs: Vec<InputInfo>,
    /// Why such a connection could not be written of.
    failed: io::Result<()>,
}

impl<'a> Follower<'a> {
    /// Whether the plan asks for anything that is written while reading.
    pub fn is_needed(plan: &Plan) -> bool {
        plan.extract.is_some() || matches!(plan.format, Format::Packets | Format::Ndjson)
    }

    /// Prepares what the plan asks for. Lines go to `out`.
    pub fn new(plan: &'a Plan, given: Vec<u16>, out: &'a mut dyn Write) -> anyhow::Result<Self> {
        let extractor =
            plan.extract.as_ref().map(|directory| Extractor::new(directory, &plan.connections)).transpose()?;
        Ok(Self {
            plan,
            out,
            extractor,
            prints: matches!(plan.format, Format::Packets | Format::Ndjson),
            given,
            first: None,
            events: Vec::new(),
            right_checksums: 0,
            wrong_checksums: 0,
            interfaces: BTreeMap::new(),
            held: BTreeMap::new(),
            held_bytes: 0,
            not_held: 0,
            line: Vec::new(),
            inputs: Vec::new(),
            failed: Ok(()),
        })
    }

    /// The capture has ended: writes what is only known now. False if something could not be written; the reason is on
    /// standard error already.
    pub fn finish(self, report: &TrackedReport) -> anyhow::Result<bool> {
        self.failed?;
        if self.plan.format == Format::Ndjson {
            let mut line = self.line;
            for event in &self.events {
                let connection = report.tracker().connection(event.connection);
                if let (Choice::Wanted, Some(connection)) = (choice(&self.plan.connections, connection), connection) {
                    line.clear();
                    ndjson::write_event(&mut line, event, connection, Numbering(&self.given));
                    self.out.write_all(&line)?;
                }
            }
            let selection = Selection::new(report, &self.plan.connections, None);
            // What is to be said of a connection that left was written when it did.
            for &index in selection.indices.iter().filter(|&&index| !report.has_left(index)) {
                for finding in &report.connection_findings(index) {
                    ndjson::write_finding(self.out, finding)?;
                }
            }
            for finding in &selection.findings(report) {
                ndjson::write_finding(self.out, finding)?;
            }
            ndjson::write_end(self.out, &report.header())?;
        }
        if self.not_held > 0 {
            let lines = text::counted(self.not_held, "line");
            complain(&format!("{lines} left out: too many connections whose tokens might be those asked for"));
        }
        match self.extractor.map(|extractor| extractor.finish(report.tracker())) {
            Some(Err(error)) => complain(&error.to_string()),
            Some(Ok(extracted)) if extracted.incomplete > 0 && !self.plan.quiet => {
                let (incomplete, streams) = (extracted.incomplete, extracted.streams);
                complain(&format!("{incomplete} of {streams} extracted streams are not complete: see manifest.json"));
                return Ok(true);
            }
            _ => return Ok(true),
        }
        Ok(false)
    }

    /// The lines of one segment and of what it changed, into `self.line`.
    fn print(&mut self, seen: &Seen<'_>) {
        self.line.clear();
        let is_wanted = self.plan.all_tcp || seen.options().any(|item| item.kind == crate::wire::kind::MPTCP);
        // Where MPTCP ends, the segment that shows it may have none.
        let falls_back = seen.events.iter().any(|event| event.what == What::FellBack);
        match self.plan.format {
            Format::Packets if is_wanted || falls_back => packets::write_segment(&mut self.line, seen, self.plan.look),
            Format::Ndjson => {
                if is_wanted {
                    ndjson::write_segment(&mut self.line, seen);
                }
                let Some(connection) = seen.connection else { return };
                for event in seen.events.iter().filter(|event| event.connection == connection.id) {
                    ndjson::write_event(&mut self.line, event, connection, Numbering(&self.given));
                }
            }
            _ => {}
        }
    }

    /// Writes `self.line` out, keeps it, or drops it, by what `--connection` asks for.
    fn release(&mut self, connection: Option<&Connection>) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        match choice(&self.plan.connections, connection) {
            Choice::Wanted => {
                if let Some(lines) = connection.and_then(|connection| self.held.remove(&connection.id)) {
                    self.held_bytes -= lines.len();
                    self.out.write_all(&lines)?;
                }
                self.out.write_all(&self.line)?;
            }
            Choice::Unwanted => {
                if let Some(lines) = connection.and_then(|connection| self.held.remove(&connection.id)) {
                    self.held_bytes -= lines.len();
                }
            }
            Choice::Unknown => {
                if let Some(connection) = connection
                    && self.held_bytes + self.line.len() <= limits::HELD_LINES
                {
                    self.held_bytes += self.line.len();
                    self.held.entry(connection.id).or_default().extend_from_slice(&self.line);
                } else {
                    self.not_held += 1;
                }
            }
        }
        Ok(())
    }
}

/// Brings what is remembered of the inputs up to date. Interfaces are only ever added, and there can be thousands: the known
/// ones are not looked at again.
fn note_interfaces(known: &mut Vec<InputInfo>, now: &[&InputInfo]) {
    for (known, now) in known.iter_mut().zip(now) {
        let new = now.interfaces.get(known.interfaces.len()..).unwrap_or_default();
        known.interfaces.extend_from_slice(new);
    }
    known.extend(now.iter().skip(known.len()).map(|&info| info.clone()));
}

/// Whether `--connection` asks for a connection.
enum Choice {
    Wanted,
    Unwanted,
    /// A token that is not known yet will tell.
    Unknown,
}

fn choice(filters: &[ConnectionFilter], connection: Option<&Connection>) -> Choice {
    if filters.is_empty() {
        return Choice::Wanted;
    }
    let Some(connection) = connection else { return Choice::Unwanted };
    let tokens = Side::BOTH.map(|side| connection.ends[side].token());
    if filters.iter().any(|filter| filter.names(connection.number().unwrap_or(0), tokens)) {
        Choice::Wanted
    } else if tokens.contains(&None) && filters.iter().any(|filter| filter.token().is_some()) {
        Choice::Unknown
    } else {
        Choice::Unwanted
    }
}

impl Observer for Follower<'_> {
    const WANTS_DATA: bool = true;

    fn data(&mut self, data: Data<'_>) {
        if let Some(extractor) = &mut self.extractor {
            extractor.data(data);
        }
    }

    fn checked(&mut self, checked: Checked) {
        match checked.judgement {
            Judgement::First | Judgement::Again => self.right_checksums += 1,
            Judgement::Neither => self.wrong_checksums += 1,
            Judgement::Unknown => {}
        }
        if let Some(extractor) = &mut self.extractor {
            extractor.checked(checked);
        }
    }

    fn event(&mut self, event: Event) {
        if let What::ChecksumRepaired(..) = event.what {
            self.wrong_checksums = self.wrong_checksums.saturating_sub(1);
        }
        if self.prints {
            self.events.push(event);
        }
        if let Some(extractor) = &mut self.extractor {
            extractor.event(event);
        }
    }

    /// A limit pushed a connection out.
    fn left(&mut self, connection: &Connection, reason: Left) {
        let counts = Counts { last: Some(connection.last.time), ..Counts::default() };
        let inputs = std::mem::take(&mut self.inputs);
        let written = self.gone(&ConnectionNow::new(&counts, &inputs, connection), reason);
        self.inputs = inputs;
        if self.failed.is_ok() {
            self.failed = written;
        }
    }
}

impl Follow for Follower<'_> {
    fn after<'i>(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded<'_>,
        assigned: Assigned,
        tracker: &Tracker,
        inputs: impl Fn() -> Vec<&'i InputInfo>,
    ) -> io::Result<()> {
        if !self.prints {
            return Ok(());
        }
        let first = *self.first.get_or_insert(frame.time);
        let Decoded::Tcp(segment) = decoded else { return Ok(()) };
        let place = assigned.place();
        let found = place.and_then(|place| tracker.connection(place.connection));
        let (connection, subflow) = match found.and_then(|found| found.view_of) {
            Some(of) => (tracker.connection(of), None),
            None => (found, found.and(place).map(|place| place.subflow)),
        };
        let key = (frame.id.input, frame.interface);
        std::mem::replace(&mut self.failed, Ok(()))?;
        let interface = self.interfaces.entry(key).or_insert_with(|| {
            let inputs = inputs();
            note_interfaces(&mut self.inputs, &inputs);
            inputs.get(usize::from(key.0)).map_or_else(String::new, |info| interface_name(info, key.1))
        });
        let interface = std::mem::take(interface);
        let events = std::mem::take(&mut self.events);
        let seen = Seen {
            frame: Numbering(&self.given).of(frame.id),
            time: frame.time,
            since_first_ns: frame.time.since(first),
            interface: &interface,
            segment,
            connection,
            subflow,
            from: place.map(|place| place.from),
            is_copy: matches!(assigned, Assigned::Copy(_) | Assigned::View(_)),
            right_checksums: std::mem::take(&mut self.right_checksums),
            wrong_checksums: std::mem::take(&mut self.wrong_checksums),
            events: &events,
        };
        self.print(&seen);
        self.release(connection)?;
        self.events = events;
        self.events.clear();
        if let Some(name) = self.interfaces.get_mut(&key) {
            *name = interface;
        }
        Ok(())
    }

    fn gone(&mut self, connection: &ConnectionNow<'_>, reason: Left) -> io::Result<()> {
        let tracked = connection.tracked();
        // What it only turned out to be now that it is over.
        let events = std::mem::take(&mut self.events);
        self.line.clear();
        if self.plan.format == Format::Ndjson && tracked.number().is_some() {
            for event in events.iter().filter(|event| event.connection == tracked.id) {
                ndjson::write_event(&mut self.line, event, tracked, Numbering(&self.given));
            }
            let report = connection.connection(0);
            for finding in &report.findings {
                ndjson::write_finding(&mut self.line, finding)?;
            }
            ndjson::write_left(&mut self.line, &report, reason.name())?;
        }
        self.release(Some(tracked))?;
        if let Some(lines) = self.held.remove(&tracked.id) {
            self.held_bytes -= lines.len();
        }
        if let Some(extractor) = &mut self.extractor {
            extractor.gone(tracked);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

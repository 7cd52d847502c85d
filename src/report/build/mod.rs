//! From the tracker to the report model.

pub(super) mod connection;
mod departed;
mod header;
mod now;
mod overview;
mod subflow;

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use departed::Departed;
use header::{dropped_packets, header, not_decoded};
pub use now::ConnectionNow;

use super::in_groups::in_groups;
use super::selection::names_orphans;
use super::{FindingCounts, Report, Summary};
use crate::capture::{InputInfo, Inputs};
use crate::crypto::Token;
use crate::diagnose;
use crate::diagnose::counters::Counters;
use crate::frame::FrameId;
use crate::infer::{self, Naming, Surroundings};
use crate::model::{
    Connection, ConnectionFilter, Finding, FrameRef, Handover, Header, KernelCounters, Numbering, Orphans,
};
use crate::text;
use crate::track::Tracker;
use crate::track::apart::Spot;
use crate::track::connection as tracked;
use crate::track::mark::{Mark, Moment};
use crate::track::observer::ConnectionId;
use overview::Overview;

/// A report over a tracker whose capture has ended.
pub struct TrackedReport {
    tracker: Tracker,
    inputs: Vec<InputInfo>,
    /// The places of the inputs among those that the user gave.
    given: Vec<u16>,
    /// Names of the places within the only input, where its interfaces are told apart.
    places: Vec<String>,
    incomplete_fragments: u64,
    /// Connections that the report lists: no views, no orphans.
    listed: Vec<ConnectionId>,
    /// Views by the connection they show.
    views: Views,
    orphans: Vec<ConnectionId>,
    around: Surroundings,
    /// What the tracker has forgotten, where somebody looked.
    departed: Option<Departed>,
    /// Made when first asked for: it looks at every connection.
    overview: OnceLock<Overview>,
}

/// What building a connection needs besides the connection.
pub(super) struct Context<'a> {
    pub(super) inputs: Inputs<'a>,
}

impl Naming for Context<'_> {
    fn frame(&self, mark: Mark) -> FrameRef {
        self.frame_ref(mark.frame())
    }

    fn interface(&self, interface: (u16, u16)) -> String {
        let name = Context::interface(self, interface);
        // That of an input which has one without name goes by the input's.
        if name.is_empty() { self.place(interface.0) } else { name }
    }
}

impl Context<'_> {
    pub(super) fn frame(&self, mark: Mark) -> FrameRef {
        self.frame_ref(mark.frame())
    }

    fn frame_ref(&self, id: FrameId) -> FrameRef {
        Numbering(self.inputs.given).of(id)
    }

    pub(super) fn moment(&self, moment: Moment) -> crate::model::Moment {
        crate::model::Moment { frame: self.frame(moment.frame), time: moment.time }
    }

    /// The name of a place.
    pub(super) fn place(&self, place: u16) -> String {
        self.inputs.name(place).unwrap_or("?").to_owned()
    }

    pub(super) fn interface(&self, (place, index): (u16, u16)) -> String {
        match self.inputs.info(place) {
            Some(info) => interface_name(info, index),
            None => format!("{}", place + 1),
        }
    }
}

/// The report's name of an input's interface; empty where it has none.
pub fn interface_name(info: &InputInfo, index: u16) -> String {
    match info.interfaces.get(usize::from(index)).and_then(|interface| interface.name.clone()) {
        Some(name) => name,
        None if info.interfaces.len() > 1 => format!("{}:{index}", info.name),
        None => String::new(),
    }
}

/// The names of interfaces that are told apart: the capture's own, or their numbers there, or in the capturing kernel.
fn names_of(places: &[Spot], info: &InputInfo) -> Vec<String> {
    let named = |interface: u16| info.interfaces.get(usize::from(interface))?.name.as_deref();
    let name = |&Spot { interface, kernel_index }: &Spot| {
        let others = places.iter().filter(|other| other.interface != interface);
        let is_alone = others.clone().next().is_none();
        let is_unique = others.clone().all(|other| named(other.interface) != named(interface));
        match (named(interface).filter(|_| is_unique), kernel_index) {
            (_, index) if is_alone && index != 0 => format!("interface {index}"),
            (Some(name), 0) => name.to_owned(),
            (Some(name), index) => format!("{name}:{index}"),
            (None, 0) => format!("interface {interface}"),
            (None, index) => format!("interface {interface}:{index}"),
        }
    };
    places.iter().map(name).collect()
}

impl TrackedReport {
    /// A report of what `tracker` saw. [`Tracker::finish`] must have been called.
    pub fn new(tracker: Tracker, inputs: Vec<InputInfo>, incomplete_fragments: u64) -> Self {
        let all: Vec<&tracked::Connection> = tracker.connections().collect();
        let parts = in_groups(&all, overview::GROUP, |group| {
            let mut part = Sorted::default();
            for connection in group {
                part.add(connection);
            }
            part
        });
        let mut whole = Sorted::default();
        for part in parts {
            whole.absorb(part);
        }
        let around = whole.around.complete(tracker.plain_flows());
        let Sorted { listed, views, orphans, .. } = whole;
        let places = inputs.first().map_or_else(Vec::new, |info| names_of(tracker.places(), info));
        let (given, overview) = ((0..inputs.len() as u16).collect(), OnceLock::new());
        Self {
            tracker,
            inputs,
            given,
            places,
            incomplete_fragments,
            listed,
            views,
            orphans,
            around,
            departed: None,
            overview,
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs { infos: &self.inputs, given: &self.given, places: &self.places }
    }

    /// The inputs are not in the order in which the user gave them: `given` has their places among those, from 0.
    #[must_use]
    pub fn with_order(mut self, given: Vec<u16>) -> Self {
        self.given = given;
        self
    }

    /// Tells of connections, too, that the tracker has forgotten.
    #[must_use]
    pub fn with_departed(mut self, departed: Departed) -> Self {
        self.departed = Some(departed);
        self
    }

    /// What was found of connections that the tracker has forgotten.
    pub fn departed_findings(&self) -> FindingCounts {
        self.departed.as_ref().map(Departed::findings).unwrap_or_default()
    }

    /// Whether a connection had left before the end.
    pub fn has_left(&self, index: usize) -> bool {
        self.listed.get(index).is_some_and(|&id| self.tracker.has_left(id))
    }

    /// Whether views of a connection prove that something between them changed what passed.
    pub fn shows_changes_on_the_way(&self) -> bool {
        (0..self.listed.len()).any(|index| {
            let tracked = self.tracked(index).filter(|tracked| self.views.contains_key(&tracked.id));
            tracked.is_some_and(|tracked| {
                let evidence = self.evidence(tracked);
                let found = diagnose::connection(&evidence);
                found.iter().any(|found| diagnose::rules::views::is_change(found.rule))
                    || diagnose::keeps_any_back(&evidence)
            })
        })
    }

    /// The tracker.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    fn overview(&self) -> &Overview {
        self.overview.get_or_init(|| Overview::of(self))
    }

    fn context(&self) -> Context<'_> {
        Context { inputs: self.inputs() }
    }

    fn tracked(&self, index: usize) -> Option<&tracked::Connection> {
        self.tracker.connection(*self.listed.get(index)?)
    }

    fn views_of(&self, id: ConnectionId) -> Vec<&tracked::Connection> {
        let ids = self.views.get(&id).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|&view| self.tracker.connection(view)).collect()
    }

    fn evidence<'a>(&'a self, connection: &'a tracked::Connection) -> diagnose::Evidence<'a> {
        diagnose::Evidence {
            connection,
            views: self.views_of(connection.id),
            capture_end: self.tracker.end_of(connection.input),
            inputs: self.inputs(),
            sites: self.tracker.sites(),
        }
    }

    /// Joins without their connection whose token `wanted` takes, in groups.
    fn wanted_orphans<'a>(
        &'a self,
        wanted: &'a dyn Fn(Option<Token>) -> bool,
    ) -> impl Iterator<Item = (Option<Token>, &'a tracked::Connection)> {
        let tracked = self.orphans.iter().filter_map(|&id| self.tracker.connection(id));
        tracked.map(|tracked| (tracked.ends.server.token(), tracked)).filter(|(token, _)| wanted(*token))
    }
}

/// Connections by how the report shows them, and what each of them tells of the others' surroundings.
#[derive(Default)]
struct Sorted {
    listed: Vec<ConnectionId>,
    views: Views,
    orphans: Vec<ConnectionId>,
    around: Surroundings,
}

/// Views by the connection they show.
type Views = BTreeMap<ConnectionId, Vec<ConnectionId>>;

impl Sorted {
    fn add(&mut self, connection: &tracked::Connection) {
        match connection.view_of {
            Some(of) => self.views.entry(of).or_default().push(connection.id),
            None if connection.orphan => self.orphans.push(connection.id),
            None => self.listed.push(connection.id),
        }
        self.around.add(connection);
    }

    /// Adds later connections.
    fn absorb(&mut self, later: Self) {
        self.listed.extend(later.listed);
        self.orphans.extend(later.orphans);
        later.views.into_iter().for_each(|(of, views)| self.views.entry(of).or_default().extend(views));
        self.around.absorb(later.around);
    }
}

impl Report for TrackedReport {
    fn header(&self) -> Header {
        let mut header =
            header(&self.tracker.counts, self.inputs(), self.incomplete_fragments, self.overview().stack.clone());
        header.capture.joins_without_connection = self.orphan_joins(&|_| true);
        header.capture.not_decoded = not_decoded(&self.tracker.undecoded);
        if let (Some(left), Some(departed)) = (&mut header.capture.connections_left, &self.departed) {
            left.findings = Some(departed.findings());
        }
        let tells = header.capture.not_decoded.is_empty();
        let asked = &mut header.tcp_connections.asked_for_mptcp;
        *asked = asked.filter(|&asked| asked > 0 || tells);
        header
    }

    fn connection_count(&self) -> usize {
        self.listed.len()
    }

    fn connection(&self, index: usize) -> Connection {
        // The caller keeps to `connection_count`; an index beyond it gets the connection it would be, empty.
        let fallback;
        let tracked = if let Some(tracked) = self.tracked(index) {
            tracked
        } else {
            fallback = tracked::Connection::empty();
            &fallback
        };
        let id = tracked.number().unwrap_or(index as u64 + 1);
        let evidence = self.evidence(tracked);
        let mut built = connection::build(id, tracked, &evidence.views, &self.context());
        built.stack = infer::stack(tracked, &self.around, &self.context());
        for direction in [&mut built.directions.client_to_server, &mut built.directions.server_to_client] {
            let apart = |handover: &Handover| evidence.were_captured_apart(handover.from as u16, handover.to as u16);
            direction.handovers.retain(|handover| !apart(handover));
        }
        let found = diagnose::connection(&evidence);
        for found in &found {
            if found.is_forged_reset() {
                connection::reset_by_path(&mut built, found, &self.context());
            }
            let ends = found.between.map_or([None; 2], |(from, to)| [Some(from), Some(to)]);
            for (view, tracked) in built.views.iter_mut().zip(&evidence.views) {
                let shown_by = |input| tracked.subflows.iter().any(|subflow| Some(subflow.interface.0) == input);
                if ends.into_iter().any(shown_by) && !view.differences.contains(&found.rule.id) {
                    view.differences.push(found.rule.id);
                }
            }
        }
        built.findings = found.iter().map(|found| finding(&self.context(), Some(id), Some(tracked), found)).collect();
        built
    }

    fn connection_findings(&self, index: usize) -> Vec<Finding> {
        let Some(tracked) = self.tracked(index) else { return Vec::new() };
        let found = diagnose::connection(&self.evidence(tracked));
        let id = tracked.number().unwrap_or(index as u64 + 1);
        found.iter().map(|found| finding(&self.context(), Some(id), Some(tracked), found)).collect()
    }

    fn summary(&self, index: usize) -> Summary {
        self.overview().summary(index)
    }

    fn orphan_joins(&self, wanted: &dyn Fn(Option<Token>) -> bool) -> u64 {
        self.wanted_orphans(wanted).map(|(_, tracked)| tracked.subflows.len() as u64).sum()
    }

    fn orphans(&self, wanted: &dyn Fn(Option<Token>) -> bool, most: usize) -> Vec<Orphans> {
        let context = self.context();
        let mut list: Vec<Orphans> = Vec::new();
        let mut by_token = BTreeMap::new();
        let mut left = most;
        for (token, tracked) in self.wanted_orphans(wanted) {
            if left == 0 {
                break;
            }
            let subflows: Vec<_> = (0..tracked.subflows.len().min(left))
                .filter_map(|index| subflow::build(tracked, &[], index, &context))
                .collect();
            left -= subflows.len();
            if let Some(known) = token.and_then(|token| by_token.get(&token)).and_then(|&at: &usize| list.get_mut(at)) {
                known.subflows.extend(subflows);
            } else {
                by_token.extend(token.map(|token| (token, list.len())));
                list.push(Orphans { token, subflows });
            }
        }
        list
    }

    fn findings(&self) -> Vec<Finding> {
        let nothing = tracked::Connection::empty();
        let orphans = self.orphans.iter().filter_map(|&id| self.tracker.connection(id));
        let listed = self.listed.iter().filter_map(|&id| self.tracker.connection(id));
        let orphans = diagnose::across::orphans(orphans, &listed, &self.evidence(&nothing));
        let blanked = diagnose::across::blanked(self.tracker.blanked(), &self.evidence(&nothing));
        let found = orphans.iter().chain(&blanked).chain(&self.overview().across);
        let across = found.map(|found| finding(&self.context(), None, None, found)).collect::<Vec<_>>();
        dropped_packets(&self.inputs).into_iter().chain(across).collect()
    }

    fn kernel_counters(&self, filters: &[ConnectionFilter]) -> Option<KernelCounters> {
        // What a limit pushed out took its counts along, unless somebody looked; of which connections they are, nobody kept.
        let departed = self.departed.as_ref().filter(|_| filters.is_empty());
        if self.tracker.counts.left.total() > 0 && departed.is_none() {
            return None;
        }
        let mut counters = departed.map_or_else(Counters::default, |departed| departed.counters.clone());
        let named = |connection: &&tracked::Connection| {
            let tokens = [connection.ends.client.token(), connection.ends.server.token()];
            match connection.number() {
                Some(number) => filters.is_empty() || filters.iter().any(|filter| filter.names(number, tokens)),
                None => names_orphans(filters, tokens[1]),
            }
        };
        let connections = self.tracker.connections().filter(|connection| connection.view_of.is_none());
        for connection in connections.filter(named) {
            diagnose::counters::add(&mut counters, connection, &self.views_of(connection.id), self.inputs());
        }
        let counters = counters.known();
        Some(KernelCounters { client: counters.client, server: counters.server })
    }
}

fn summary(connection: &tracked::Connection, id: u64, findings: FindingCounts) -> Summary {
    Summary {
        id,
        version: connection.dialect.map(crate::track::keys::Dialect::version),
        outcome: connection.outcome().name(),
        findings,
        subflows: connection.subflows.len() as u32,
        bytes: connection.data.client.unique + connection.data.server.unique,
        client_token: connection.ends.client.token(),
        server_token: connection.ends.server.token(),
    }
}

fn finding(
    context: &Context<'_>,
    id: Option<u64>,
    connection: Option<&tracked::Connection>,
    found: &diagnose::Found,
) -> Finding {
    let mut frames: Vec<FrameRef> = found.frames.iter().map(|&mark| context.frame(mark)).collect();
    frames.sort_by_key(|frame| (frame.id.number, frame.input));
    frames.dedup();
    let rule = found.rule;
    let dialect = connection.map_or(found.dialect, |connection| connection.dialect);
    Finding {
        id: rule.id,
        severity: rule.severity,
        // Names of inputs and interfaces are in it, and are the capture's to choose.
        message: text::clean(&found.message, true).into_owned(),
        connection: id,
        subflow: found.subflow.map(u64::from),
        frames,
        rfc: diagnose::section(rule.rfc, dialect),
        counter: found.counter.and_then(|counter| diagnose::counter(counter, dialect)),
        advice: diagnose::advice(rule, dialect).filter(|_| !found.settled),
        between: found.between.map(|(from, to)| [context.place(from), context.place(to)]),
    }
}

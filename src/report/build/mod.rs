//! From the tracker to the report model.

pub(super) mod connection;
mod departed;
mod now;
mod overview;
mod subflow;

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use departed::Departed;
pub use now::ConnectionNow;

use super::in_groups::in_groups;
use super::{FindingCounts, Report, Summary};
use crate::capture::{InputInfo, Inputs};
use crate::crypto::Token;
use crate::diagnose;
use crate::diagnose::counters::Counters;
use crate::frame::{FrameId, LinkType};
use crate::infer::{self, Naming, Surroundings};
use crate::model::{
    CaptureStack, CaptureSummary, Connection, ConnectionsLeft, Finding, FoundBySeverity, FrameRef, Handover, Header,
    Input, Interface, KernelCounters, NotDecoded, Orphans, SCHEMA, Skipped, TcpConnections,
};
use crate::text;
use crate::track::apart::Spot;
use crate::track::connection as tracked;
use crate::track::mark::{Mark, Moment};
use crate::track::observer::ConnectionId;
use crate::track::{Counts, Tracker, Undecoded};
use overview::{Overview, Scene};

/// A report over a tracker whose capture has ended.
pub struct TrackedReport {
    tracker: Tracker,
    inputs: Vec<InputInfo>,
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
        Context::interface(self, interface)
    }
}

impl Context<'_> {
    pub(super) fn frame(&self, mark: Mark) -> FrameRef {
        self.frame_ref(mark.frame())
    }

    fn frame_ref(&self, id: FrameId) -> FrameRef {
        FrameRef { id, several_inputs: self.inputs.several() }
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

/// The report's name of an input's interface.
pub fn interface_name(info: &InputInfo, index: u16) -> String {
    match info.interfaces.get(usize::from(index)).and_then(|interface| interface.name.clone()) {
        Some(name) => name,
        None if info.interfaces.len() > 1 => format!("{}:{index}", info.name),
        None => info.name.clone(),
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
        let overview = OnceLock::new();
        Self { tracker, inputs, places, incomplete_fragments, listed, views, orphans, around, departed: None, overview }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs { infos: &self.inputs, places: &self.places }
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
        self.overview.get_or_init(|| {
            let (tracker, views) = (&self.tracker, &self.views);
            let scene = Scene {
                tracker,
                inputs: self.inputs(),
                around: &self.around,
                views: &|id| views_of(tracker, views, id),
            };
            Overview::of(&scene, &self.listed)
        })
    }

    fn context(&self) -> Context<'_> {
        Context { inputs: self.inputs() }
    }

    fn tracked(&self, index: usize) -> Option<&tracked::Connection> {
        self.tracker.connection(*self.listed.get(index)?)
    }

    fn views_of(&self, id: ConnectionId) -> Vec<&tracked::Connection> {
        views_of(&self.tracker, &self.views, id)
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

fn views_of<'a>(tracker: &'a Tracker, views: &Views, id: ConnectionId) -> Vec<&'a tracked::Connection> {
    let ids = views.get(&id).map_or(&[][..], Vec::as_slice);
    ids.iter().filter_map(|&view| tracker.connection(view)).collect()
}

impl Report for TrackedReport {
    fn header(&self) -> Header {
        let mut header =
            header(&self.tracker.counts, self.inputs(), self.incomplete_fragments, self.overview().stack.clone());
        header.capture.joins_without_connection = self.orphan_joins(&|_| true);
        header.capture.not_decoded = not_decoded(&self.tracker.undecoded);
        if let (Some(left), Some(departed)) = (&mut header.capture.connections_left, &self.departed) {
            let FindingCounts { errors, warnings, notes } = departed.findings();
            left.findings = Some(FoundBySeverity { errors, warnings, notes });
        }
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
        let views = self.views_of(tracked.id);
        let mut built = connection::build(id, tracked, &views, &self.context());
        built.stack = infer::stack(tracked, &self.around, &self.context());
        let evidence = self.evidence(tracked);
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
            for (view, tracked) in built.views.iter_mut().zip(&views) {
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
                .filter_map(|index| subflow::build(tracked, index, &context))
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

    fn kernel_counters(&self) -> Option<KernelCounters> {
        // What a limit pushed out took its counts along, unless somebody looked.
        if self.tracker.counts.left.total() > 0 && self.departed.is_none() {
            return None;
        }
        let mut counters = self.departed.as_ref().map_or_else(Counters::default, |departed| departed.counters.clone());
        for connection in self.tracker.connections().filter(|connection| connection.view_of.is_none()) {
            diagnose::counters::add(&mut counters, connection, &self.views_of(connection.id), self.inputs());
        }
        let counters = counters.known();
        Some(KernelCounters { client: counters.client, server: counters.server })
    }
}

/// Frames that were not decoded, by link type.
fn not_decoded(undecoded: &[Undecoded]) -> Vec<NotDecoded> {
    let mut packets: BTreeMap<LinkType, u64> = BTreeMap::new();
    for known in undecoded {
        *packets.entry(known.link).or_default() += known.packets;
    }
    packets.into_iter().map(|(link, packets)| NotDecoded { link_type: link.to_string(), packets }).collect()
}

/// Everything that is not a connection.
fn header(counts: &Counts, inputs: Inputs<'_>, incomplete_fragments: u64, stack: CaptureStack) -> Header {
    let left = counts.left;
    Header {
        schema: SCHEMA,
        tool: concat!("mptcp-inspect ", env!("CARGO_PKG_VERSION")).to_owned(),
        inputs: inputs.infos.iter().map(input).collect(),
        capture: CaptureSummary {
            first: counts.first,
            last: counts.last,
            packets: counts.packets,
            tcp_segments: counts.tcp_segments,
            mptcp_segments: counts.mptcp_segments,
            options_cut_segments: counts.options_cut_segments,
            duplicates: counts.duplicates,
            view_segments: counts.view_segments,
            skipped: Skipped {
                not_ip: counts.not_ip,
                not_tcp: counts.not_tcp,
                malformed: counts.malformed,
                fragments_incomplete: incomplete_fragments,
                evicted: counts.evicted,
            },
            not_decoded: Vec::new(),
            connections_left: (left.total() > 0).then_some(ConnectionsLeft {
                closed: left.closed,
                idle: left.idle,
                half_open: left.half_open,
                limit: left.limit,
                findings: None,
            }),
            joins_without_connection: 0,
        },
        tcp_connections: TcpConnections {
            seen: counts.tcp_connections,
            asked_for_mptcp: counts.asked_for_mptcp,
            forgotten: counts.flows_evicted,
        },
        stack,
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
    frames.sort();
    frames.dedup();
    let rule = found.rule;
    let dialect = connection.and_then(|connection| connection.dialect);
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

/// Live: packets that the kernel dropped are missing from everything else that is said.
fn dropped_packets(inputs: &[InputInfo]) -> Option<Finding> {
    let dropped: u64 = inputs.iter().filter_map(|input| input.dropped).sum();
    let rule = diagnose::rules::capture::CAPTURE_DROPPED_PACKETS;
    (dropped > 0).then(|| Finding {
        id: rule.id,
        severity: rule.severity,
        message: format!(
            "The capture lost {} beside {} that it has: what is said of missing packets may be wrong.",
            text::counted(dropped, "packet"),
            text::count(inputs.iter().map(|input| input.packets).sum())
        ),
        connection: None,
        subflow: None,
        frames: Vec::new(),
        rfc: None,
        counter: None,
        advice: Some(rule.advice),
        between: None,
    })
}

fn input(info: &InputInfo) -> Input {
    Input {
        name: info.name.clone(),
        kind: info.kind.as_str(),
        interfaces: info
            .interfaces
            .iter()
            .map(|interface| Interface {
                name: interface.name.clone(),
                link_type: interface.link.to_string(),
                snaplen: interface.snaplen,
            })
            .collect(),
        packets: info.packets,
        cut_after: info.cut_after,
        dropped: info.dropped,
    }
}

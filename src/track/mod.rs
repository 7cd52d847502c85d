//! The state machine: feed segments in the order of the capture, then ask for what they amount to. No I/O and no clock: time
//! is the capture's.
//!
//! Two questions are kept apart. *Which connection does a segment belong to?* is answered here and in `assign`, with the
//! tables that know all connections. *What does that connection make of it?* is answered in [`connection`], whose state is
//! self-contained.

mod adopt;
pub mod apart;
pub(crate) mod assign;
pub mod beside;
pub mod blanked;
mod candidates;
pub mod choices;
mod config;
pub mod connection;
pub mod data;
pub mod digest;
pub mod expire;
mod flow;
mod footprint;
mod given;
pub mod half;
pub mod histogram;
pub mod keys;
pub mod left_out;
mod link;
pub mod mapping;
pub mod mappings;
pub mod mark;
pub mod observer;
pub mod order;
pub mod range_set;
pub mod retired;
pub mod round_trip;
pub mod same_packet;
pub mod side;
pub mod sites;
pub mod sparse;
mod streams;
pub mod stuck;
pub mod subflow;
mod sums;
mod table;
mod tap;
pub mod timeline;
mod tokens;
pub mod unreachable;
pub mod verdict;

use std::collections::VecDeque;

use crate::frame::{Frame, LinkType, Timestamp};
use crate::limits;
use crate::packet::{Decoded, Segment};

use crate::packet::options::{Options, Parsed};
use apart::{Apart, Spot};
use assign::{Arrival, EarlyReset};
pub use config::{Compare, Config};
use connection::{Connection, Env, Input};
use flow::{FlowId, FlowTable};
use observer::{ConnectionId, Observer, Silent};
use retired::Retired;
use same_packet::SamePacket;
use side::{PerSide, Side};
use streams::Streams;
use table::Connections;
use tap::{Recent, Taps};
use tokens::TokenTable;

/// Counts over all frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Frames.
    pub packets: u64,
    /// Earliest time.
    pub first: Option<Timestamp>,
    /// Latest time.
    pub last: Option<Timestamp>,
    /// TCP segments, copies not counted.
    pub tcp_segments: u64,
    /// Those with an option of kind 30.
    pub mptcp_segments: u64,
    /// Those whose options were cut.
    pub options_cut_segments: u64,
    /// Segments seen again at other taps: copies, and those of views.
    pub duplicates: u64,
    /// Those of views, which are compared.
    pub view_segments: u64,
    /// Frames without IP.
    pub not_ip: u64,
    /// IP packets without TCP.
    pub not_tcp: u64,
    /// Broken headers.
    pub malformed: u64,
    /// Segments of connections that a limit pushed out.
    pub evicted: u64,
    /// TCP connections: flows that are no joins.
    pub tcp_connections: u64,
    /// Those whose SYN carried MP_CAPABLE.
    pub asked_for_mptcp: u64,
    /// 4-tuples that a limit pushed out: one of them that comes again counts as new.
    pub flows_evicted: u64,
    /// Connections that left before the end and are not known any more, by reason.
    pub left: expire::LeftCounts,
}

/// Frames of one input and of a link type that is not decoded.
#[derive(Clone, Copy, Debug)]
pub struct Undecoded {
    /// The input.
    pub input: u16,
    /// The link type.
    pub link: LinkType,
    /// How many.
    pub packets: u64,
}

/// The tracker.
pub struct Tracker {
    config: Config,
    flows: FlowTable,
    tokens: TokenTable,
    streams: Streams,
    taps: Taps,
    apart: Apart,
    /// An input shows packets at two of its interfaces.
    two_sides: bool,
    recent: Recent,
    /// SYNs without MPTCP that seem to have had it.
    blanked: blanked::Blanked,
    same_packet: SamePacket,
    /// Flows of which something is held, oldest first.
    held_flows: VecDeque<FlowId>,
    /// RSTs of late that are the first segments of their flows.
    early_resets: VecDeque<EarlyReset>,
    connections: Connections,
    retired: Retired,
    /// Connections that the report lists, so far: the number of the last one.
    listed: u64,
    sweep: expire::Sweep,
    /// Buffer bytes left for payload that waits for a mapping.
    buffer: usize,
    /// Counts so far.
    pub counts: Counts,
    /// Frames of link types that are not decoded; those beyond a limit are counted as without IP.
    pub undecoded: Vec<Undecoded>,
    /// Where inputs are compared: when the last frame of each came.
    ends: Vec<Timestamp>,
}

/// Where a segment was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// It belongs to no MPTCP connection.
    Plain,
    /// It was seen before at another tap; this is where it was counted, as far as that is known.
    Copy(Option<Place>),
    /// It belongs here.
    To(Place),
    /// It belongs to another tap's view of this connection, or to a view itself.
    View(Place),
}

/// A subflow and a direction of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The connection.
    pub connection: ConnectionId,
    /// Its subflow.
    pub subflow: u16,
    /// The sender.
    pub from: Side,
}

impl Place {
    /// Where what the lower endpoint of a flow sends has this place: that of a segment from there, or from the other end.
    /// And the other way round.
    #[inline]
    fn turned(self, from_low: bool) -> Self {
        if from_low { self } else { Self { from: self.from.peer(), ..self } }
    }

    /// What tells the directions of all subflows apart, as a number.
    #[inline]
    fn number(self) -> u64 {
        u64::from(self.connection) << 17 | u64::from(self.subflow) << 1 | u64::from(self.from == Side::Client)
    }
}

impl Assigned {
    /// The place of the segment, or of what it is a copy of.
    pub fn place(self) -> Option<Place> {
        match self {
            Self::Plain => None,
            Self::Copy(place) => place,
            Self::To(place) | Self::View(place) => Some(place),
        }
    }
}

impl Tracker {
    /// A tracker that has seen nothing.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            flows: FlowTable::default(),
            tokens: TokenTable::default(),
            streams: Streams::default(),
            taps: Taps::default(),
            apart: Apart::default(),
            two_sides: false,
            recent: Recent::new(),
            blanked: blanked::Blanked::default(),
            same_packet: SamePacket::default(),
            held_flows: VecDeque::new(),
            early_resets: VecDeque::new(),
            connections: Connections::default(),
            retired: Retired::default(),
            listed: 0,
            sweep: expire::Sweep::default(),
            buffer: limits::BUFFERED_BYTES,
            counts: Counts::default(),
            undecoded: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Inputs end at times of their own clocks.
    fn note_end(&mut self, frame: &Frame<'_>) {
        let input = usize::from(frame.id.input);
        if self.ends.len() <= input {
            self.ends.resize(input + 1, frame.time);
        }
        if let Some(end) = self.ends.get_mut(input) {
            *end = frame.time.max(*end);
        }
    }

    /// The time of an input's last frame.
    pub fn end_of(&self, input: u16) -> Timestamp {
        let own = self.ends.get(usize::from(input)).copied();
        own.or(self.counts.last).unwrap_or_default()
    }

    /// Takes one frame, decoded.
    #[inline]
    pub fn frame<O: Observer>(&mut self, frame: &Frame<'_>, decoded: &Decoded<'_>, observer: &mut O) -> Assigned {
        self.frame_with(frame, decoded, None, observer)
    }

    /// Takes one frame, decoded, whose options may have been read before.
    #[inline]
    pub fn frame_with<O: Observer>(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded<'_>,
        options: Option<&Options<'_>>,
        observer: &mut O,
    ) -> Assigned {
        let named;
        let frame = match decoded {
            Decoded::Tcp(segment) if self.config.compare == Compare::Interfaces => {
                named = self.at_its_place(frame, segment);
                &named
            }
            _ => frame,
        };
        if self.config.compare.any() && frame.time.is_known() {
            self.note_end(frame);
        }
        let counts = &mut self.counts;
        counts.packets += 1;
        if frame.time.is_known() {
            counts.first = Some(counts.first.map_or(frame.time, |first| first.min(frame.time)));
            counts.last = Some(counts.last.map_or(frame.time, |last| last.max(frame.time)));
        }
        match decoded {
            Decoded::Tcp(segment) => {
                let (parsed, read_now);
                let options = if let Some(read_before) = options {
                    read_before
                } else {
                    parsed = Parsed::of(segment);
                    read_now = parsed.options(segment);
                    &read_now
                };
                return self.segment(frame, segment, options, observer);
            }
            Decoded::NotIp => {
                counts.not_ip += 1;
                if !frame.link.is_decoded() {
                    self.note_undecoded(frame.id.input, frame.link);
                }
            }
            Decoded::NotTcp => {
                counts.not_tcp += 1;
                self.note_unreachable(frame);
            }
            Decoded::Malformed(_) => counts.malformed += 1,
            Decoded::FragmentHeld => {}
        }
        Assigned::Plain
    }

    #[cold]
    fn note_undecoded(&mut self, input: u16, link: LinkType) {
        if let Some(known) = self.undecoded.iter_mut().find(|known| (known.input, known.link) == (input, link)) {
            known.packets += 1;
        } else if self.undecoded.len() < limits::UNDECODED {
            self.undecoded.push(Undecoded { input, link, packets: 1 });
        }
    }

    /// Takes one TCP segment whose options have been read.
    #[inline]
    pub fn segment<O: Observer>(
        &mut self,
        frame: &Frame<'_>,
        segment: &Segment<'_>,
        options: &Options<'_>,
        observer: &mut O,
    ) -> Assigned {
        let arrival = Arrival::new(frame, segment, options, self.taps.of(frame, segment));
        let mut assigned = self.assign(&arrival, observer);
        if self.tokens.orphans > 0
            && options.join().is_some()
            && let Assigned::To(place) = &mut assigned
        {
            *place = self.by_hmac(*place, &arrival, observer).unwrap_or(*place);
        }
        if self.streams.are_kept()
            && options.dss.is_some()
            && let Assigned::To(place) = &mut assigned
        {
            *place = self.by_later_stream(*place, &arrival, observer).unwrap_or(*place);
        }
        match assigned {
            Assigned::Copy(_) => self.counts.duplicates += 1,
            Assigned::View(_) => {
                self.counts.duplicates += 1;
                self.counts.view_segments += 1;
            }
            _ => {
                self.counts.tcp_segments += 1;
                self.counts.mptcp_segments += u64::from(options.mptcp);
                self.counts.options_cut_segments += u64::from(segment.options_cut);
            }
        }
        match assigned {
            Assigned::To(mut place) => {
                if self.feed(place, &arrival, observer)
                    && let Some(moved) = self.unite_twins(place.connection, &arrival, observer)
                {
                    (place, assigned) = (moved, Assigned::Copy(Some(moved)));
                }
                if self.config.compare.any() {
                    self.compare(place, PerSide::default(), &arrival);
                }
            }
            Assigned::Plain if segment.flags.syn() => self.blanked.note(segment, options, arrival.at.frame),
            Assigned::View(_) | Assigned::Plain | Assigned::Copy(_) => {}
        }
        assigned
    }

    /// Lets a connection make what it will of a segment. Gives whether it showed a key that another connection has, too.
    #[inline]
    fn feed<O: Observer>(&mut self, place: Place, arrival: &Arrival<'_, '_>, observer: &mut O) -> bool {
        let Place { connection, subflow, from } = place;
        let &Arrival { segment, options, at, .. } = arrival;
        let Some(state) = self.connections.get_mut(connection) else {
            self.counts.evicted += 1;
            return false;
        };
        let mut env = Env { at, buffer: &mut self.buffer, compare: self.config.compare, intact: None, observer };
        let input = Input { segment, options, side: from, subflow };
        let effects = state.segment(&input, &mut env);
        if self.config.compare.any()
            && let Some(record) = state.subflows.get_mut(usize::from(subflow))
        {
            record.note_resets(from, segment, at.frame);
        }
        let due = state.is_due();
        if self.streams.are_kept() {
            self.streams.learn(state);
        }
        let mut shared = false;
        if effects.keys {
            shared = self.tokens.learn(state, connection);
            if self.tokens.orphans > 0 && state.view_of.is_none() && !state.orphan {
                self.adopt_orphans(connection);
            }
        }
        if due {
            self.connections.account(connection);
        }
        shared
    }

    /// The capture has ended: what was waiting is decided.
    pub fn finish<O: Observer>(&mut self, observer: &mut O) {
        self.try_given_keys(observer);
        if self.tokens.orphans > 0 {
            self.place_shared(observer);
        }
        for connection in self.connections.iter_mut() {
            let at = connection.last;
            if connection.view_of.is_some() {
                connection.finish(&mut Env {
                    at,
                    buffer: &mut self.buffer,
                    compare: Compare::Nothing,
                    intact: None,
                    observer: &mut Silent,
                });
            } else {
                connection.finish(&mut Env {
                    at,
                    buffer: &mut self.buffer,
                    compare: Compare::Nothing,
                    intact: None,
                    observer,
                });
            }
        }
        self.link_views();
        self.prefer_whole_views();
    }

    /// Connections in order of their first packet, views and orphans included, and those that left and are still known.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        let (mut retired, mut others) = (self.retired.iter().peekable(), self.connections.iter().peekable());
        std::iter::from_fn(move || match (retired.peek(), others.peek()) {
            (Some(left), Some(other)) if left.id < other.id => retired.next(),
            (Some(_), None) => retired.next(),
            _ => others.next(),
        })
    }

    /// As [`Tracker::connections`], without those that left.
    pub fn present(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter()
    }

    /// SYNs and SYN/ACKs of flows without MPTCP that seem to have had it on an earlier stretch of their path.
    pub fn blanked(&self) -> &blanked::Blanked {
        &self.blanked
    }

    /// Both ends of every flow that showed no MPTCP.
    pub fn plain_flows(&self) -> impl Iterator<Item = [(std::net::IpAddr, u16); 2]> {
        self.flows.plain()
    }

    /// Whether an input shows packets at two of its interfaces: what lies between them may have changed some.
    pub fn shows_two_sides(&self) -> bool {
        self.two_sides
    }

    /// The interfaces of the only input, where they are told apart: a frame's input is an index into them.
    pub fn places(&self) -> &[Spot] {
        self.apart.places()
    }

    /// Which inputs are parts of one capture.
    pub fn sites(&self) -> &sites::Sites {
        &self.taps.sites
    }

    /// One connection.
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id).or_else(|| self.retired.get(id))
    }

    /// Whether a connection left and is still known.
    pub fn has_left(&self, id: ConnectionId) -> bool {
        self.retired.get(id).is_some()
    }
}

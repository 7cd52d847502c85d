//! What went wrong, who did it, and at which packet: rules over what the tracker saw.
//!
//! Each rule has an entry in [`rules`] with everything that is to be said about it whatever the connection; the functions
//! in the other files, by topic, decide whether it fires and with which evidence. Nothing is allocated where nothing fires.

pub mod across;
mod addresses;
mod blame;
mod blanked;
mod close;
pub mod counters;
mod data;
pub mod document;
mod explanation;
mod fallback;
mod handshake;
mod join_data;
mod join_seen;
mod join_token;
mod joins;
mod one_way;
mod other_key;
mod paths;
pub mod rules;
mod silence;
mod standstill;
mod syn_ack;
mod version_0;
mod views;

use crate::capture::Inputs;
use crate::frame::Timestamp;
use crate::model::{FrameRef, Numbering};
use crate::text;
use crate::track::connection::{Anomaly, Connection};
use crate::track::keys::Dialect;
use crate::track::mark::Mark;
use crate::track::sites::Sites;
use crate::track::subflow::Subflow;

pub(crate) use close::close_of;
pub use data::explain_mismatch;
pub use explanation::Explanation;
pub use fallback::{fallback_by, fallback_counter};
pub use version_0::{advice, counter, section};
pub(crate) use views::{AddressSeen, announced, join_proof, keeps_any_back, nearer_to_server, twin};

/// What the rules look at.
pub struct Evidence<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// The same connection at other taps.
    pub views: Vec<&'a Connection>,
    /// Time of the last frame of the input that shows the connection.
    pub capture_end: Timestamp,
    /// The inputs, for their names.
    pub inputs: Inputs<'a>,
    /// Which of them are parts of one capture.
    pub sites: &'a Sites,
}

/// A rule that fired.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub rule: &'static Explanation,
    /// One sentence with its evidence.
    pub message: String,
    /// The subflow concerned.
    pub subflow: Option<u16>,
    /// The evidence.
    pub frames: Vec<Mark>,
    /// The counter of mainline Linux; [`counter`] tells that of the connection's kernel.
    pub counter: Option<&'static str>,
    /// What two captures prove of the stretch between them: its inputs, in the order in which packets pass them.
    pub between: Option<(u16, u16)>,
    /// What the captures show has settled it: the advice to look further is moot.
    pub settled: bool,
    /// The rules it is judged by where it is of no connection.
    pub dialect: Option<Dialect>,
}

impl Found {
    /// Whether the first of its frames is a RST that neither end sent.
    pub(crate) fn is_forged_reset(&self) -> bool {
        self.rule.id == rules::views::PATH_FORGED_RESET.id
    }
}

/// All rules, over one connection.
pub fn connection(evidence: &Evidence<'_>) -> Vec<Found> {
    let mut finder = Finder { evidence, found: Vec::new() };
    handshake::look(&mut finder);
    fallback::look(&mut finder);
    joins::look(&mut finder);
    addresses::look(&mut finder);
    data::look(&mut finder);
    paths::look(&mut finder);
    standstill::look(&mut finder);
    close::look(&mut finder);
    views::look(&mut finder);
    finder.found
}

/// Where rules report to.
struct Finder<'e, 'a> {
    evidence: &'e Evidence<'a>,
    found: Vec<Found>,
}

impl<'a> Finder<'_, 'a> {
    /// Other views are there, and what was reported last rests on them too.
    fn settle(&mut self) {
        let settled = !self.evidence.views.is_empty();
        if let Some(found) = self.found.last_mut() {
            found.settled = settled;
        }
    }

    /// The capture itself shows the cause of what was reported last.
    fn advice_is_moot(&mut self) {
        if let Some(found) = self.found.last_mut() {
            found.settled = true;
        }
    }

    fn connection(&self) -> &'a Connection {
        self.evidence.connection
    }

    /// Subflows with their numbers.
    fn subflows(&self) -> impl Iterator<Item = (u16, &'a Subflow)> + use<'a> {
        let subflows: &'a [Subflow] = &self.evidence.connection.subflows;
        subflows.iter().enumerate().map(|(index, subflow)| (index as u16, subflow))
    }

    /// Anomalies of one kind.
    fn anomalies(&self) -> impl Iterator<Item = &'a Anomaly> + use<'a> {
        let anomalies: &'a [Anomaly] = &self.evidence.connection.seldom.anomalies;
        anomalies.iter()
    }

    /// A frame as messages name it.
    fn frame(&self, mark: Mark) -> FrameRef {
        self.evidence.frame(mark)
    }

    fn report(&mut self, rule: &'static Explanation, subflow: Option<u16>, frames: &[Mark], message: String) {
        self.report_with(rule, subflow, frames, message, rule.counter);
    }

    /// Like [`Finder::report`], with a counter that depends on the case; `None` where this case raises none.
    fn report_with(
        &mut self,
        rule: &'static Explanation,
        subflow: Option<u16>,
        frames: &[Mark],
        message: String,
        counter: Option<&'static str>,
    ) {
        self.found.push(Found {
            rule,
            message,
            subflow,
            frames: frames.to_vec(),
            counter,
            between: None,
            settled: false,
            dialect: None,
        });
    }
}

impl Evidence<'_> {
    /// Whether two subflows were captured at different hosts: the input of one of them gives another view, too. Clocks and
    /// interfaces of two hosts do not compare.
    pub(crate) fn were_captured_apart(&self, one: u16, other: u16) -> bool {
        let site = |subflow: &Subflow| self.sites.of(subflow.interface.0);
        let of = |index: u16| self.connection.subflows.get(usize::from(index)).map(site);
        let in_views = |at: u16| self.views.iter().flat_map(|view| &view.subflows).any(|subflow| site(subflow) == at);
        of(one).zip(of(other)).is_some_and(|(one, other)| one != other && (in_views(one) || in_views(other)))
    }

    /// Who made the connection fall back.
    fn fallback_by(&self) -> Option<&'static str> {
        fallback_by(self.connection, &self.views, self.inputs)
    }

    /// A frame as messages name it.
    pub fn frame(&self, mark: Mark) -> FrameRef {
        Numbering(self.inputs.given).of(mark.frame())
    }

    /// The name of a place, without its folders unless two differ by them only.
    pub fn input_name(&self, place: u16) -> &str {
        self.inputs.name(place).map_or("?", |name| text::short_name(name, self.inputs.names()))
    }
}

/// Milliseconds and seconds that several rules share.
mod span {
    pub(super) const SECOND: u64 = 1_000_000_000;
}

/// Who said with ICMP that the SYN of a subflow could not be delivered, and why.
fn undelivered(finder: &Finder<'_, '_>, subflow: &Subflow, frames: &mut Vec<Mark>) -> Option<String> {
    let told = subflow.seldom.unreachable?;
    frames.push(told.frame);
    Some(format!(
        "{} reports with ICMP in frame {} that the SYN cannot be delivered ({})",
        told.from,
        finder.frame(told.frame),
        told.meaning
    ))
}

/// `10.8.1.1:57862`, `[2001:db8::1]:443`.
fn endpoint((address, port): (std::net::IpAddr, u16)) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

/// `once`, `twice`, `5 times`.
fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{} times", text::count(count)),
    }
}

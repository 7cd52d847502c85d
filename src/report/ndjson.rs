//! `ndjson`: one JSON object a line, for programs. `segment` lines as they are read, each followed by lines of other types
//! that say what the segment changed; at the end of the capture the findings, which need all of it.
//!
//! | `type` | `event` | fields besides `frame`, `time` and `connection` |
//! |---|---|---|
//! | `segment` | – | those of the report contract; padding options (NOP, EOL) are left out; `duplicate` is there, and true, for a copy from another tap |
//! | `connection` | `opened` | `client`, `server` (address and port) |
//! | | `keys` | `by`, `token`, `key` |
//! | | `fallback` | `cause`, `evidence_frame`: the frame that shows it, where that took later ones to tell |
//! | | `data_fin` | `by` |
//! | | `fastclose` | `by` |
//! | | `closed` | `close`, `bytes_client_to_server`, `bytes_server_to_client` |
//! | | `left` | live, or a limit pushed it out: `reason` (`closed`, `idle`, `half_open`, `limit`) and `report`, the connection of the report contract; no `frame`, no `time` |
//! | `subflow` | `opened` | `subflow`, `role`, `initiator`, `source`, `destination`, `token` |
//! | | `join` | `subflow`, `token_check`, `syn_ack_hmac`, `ack_hmac` |
//! | | `backup` | `subflow`, `by`, `backup` |
//! | | `reset` | `subflow`, `by`, `reason`, `meaning`, `transient` |
//! | | `closed` | `subflow` |
//! | `address` | `announced` | `by`, `id`, `address`, `port`, `hmac` |
//! | | `removed` | `by`, `id` |
//! | `checksum` | `mismatch` | `subflow`, `by`, `dsn`, `length`, `mapping_frame`, `expected`, `seen` |
//! | `finding` | – | those of the report contract |
//! | `capture` | `ended` | the last line: `inputs`, `capture` and `tcp_connections` of the report contract, with what was set aside and left out |

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::build::connection::model_verdict;
use super::model::{self, Finding, FrameRef, Header, Sequence64};
use super::seen::Seen;
use super::segment_line;
use crate::track::connection::checksums::Mismatch;
use crate::track::connection::{Announced, Connection, Removal};
use crate::track::mark::Mark;
use crate::track::observer::{Event, What};
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::wire::MpTcprst;

/// Appends the line of a segment.
pub fn write_segment(out: &mut Vec<u8>, seen: &Seen<'_>) {
    segment_line::append(out, seen);
}

/// Writes the line of something that changed. `connection` is as it stands after that.
pub fn write_event(
    out: &mut dyn Write,
    event: &Event,
    connection: &Connection,
    several_inputs: bool,
) -> io::Result<()> {
    line(out, &EventLine { event, connection, several_inputs })
}

/// Writes the line of a connection that left a live capture before its end: the last of it, with its findings.
pub fn write_left(out: &mut dyn Write, connection: &model::Connection, reason: &str) -> io::Result<()> {
    line(out, &LeftLine { r#type: "connection", event: "left", reason, connection: connection.id, report: connection })
}

/// Writes the line of a finding.
pub fn write_finding(out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
    line(out, &FindingLine { r#type: "finding", finding })
}

/// Writes the last line: what was read, and what of it was left out.
pub fn write_end(out: &mut dyn Write, header: &Header) -> io::Result<()> {
    let Header { inputs, capture, tcp_connections, .. } = header;
    line(out, &EndLine { r#type: "capture", event: "ended", inputs, capture, tcp_connections })
}

fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    // A line is written in hundreds of small parts: to memory first, where a part is no call.
    let mut line = Vec::with_capacity(1 << 10);
    serde_json::to_writer(&mut line, value)?;
    line.push(b'\n');
    out.write_all(&line)
}

#[derive(Serialize)]
struct LeftLine<'a> {
    r#type: &'static str,
    event: &'static str,
    reason: &'a str,
    connection: u64,
    report: &'a model::Connection,
}

#[derive(Serialize)]
struct EndLine<'a> {
    r#type: &'static str,
    event: &'static str,
    inputs: &'a [model::Input],
    capture: &'a model::CaptureSummary,
    tcp_connections: &'a model::TcpConnections,
}

#[derive(Serialize)]
struct FindingLine<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Serializes what it displays, as a string.
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn socket(ip: std::net::IpAddr, port: u16) -> Text<std::net::SocketAddr> {
    Text(std::net::SocketAddr::new(ip, port))
}

fn checksum(checksum: Option<u16>) -> Option<Text<impl std::fmt::Display>> {
    struct Sum(u16);
    impl std::fmt::Display for Sum {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{:04x}", self.0)
        }
    }
    checksum.map(|sum| Text(Sum(sum)))
}

struct EventLine<'a> {
    event: &'a Event,
    connection: &'a Connection,
    several_inputs: bool,
}

impl Serialize for EventLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let (kind, name) = names(self.event.what);
        map.serialize_entry("type", kind)?;
        map.serialize_entry("event", name)?;
        map.serialize_entry("frame", &self.frame(self.event.at.frame))?;
        map.serialize_entry("time", &self.event.at.time)?;
        map.serialize_entry("connection", &self.connection.number())?;
        if matches!(kind, "subflow" | "checksum") {
            map.serialize_entry("subflow", &self.event.subflow)?;
        }
        self.fields(&mut map)?;
        map.end()
    }
}

/// `type` and `event` of a line.
fn names(what: What) -> (&'static str, &'static str) {
    match what {
        What::ConnectionOpened => ("connection", "opened"),
        What::KeysLearned(..) => ("connection", "keys"),
        What::FellBack => ("connection", "fallback"),
        What::Fastclosed => ("connection", "fastclose"),
        What::DataFin(_) => ("connection", "data_fin"),
        What::ConnectionClosed => ("connection", "closed"),
        What::SubflowOpened => ("subflow", "opened"),
        What::JoinShown => ("subflow", "join"),
        What::BackupChanged => ("subflow", "backup"),
        What::SubflowReset => ("subflow", "reset"),
        What::SubflowClosed => ("subflow", "closed"),
        What::AddressAnnounced(_) => ("address", "announced"),
        What::AddressRemoved(_) => ("address", "removed"),
        What::ChecksumMismatch(..) => ("checksum", "mismatch"),
    }
}

impl EventLine<'_> {
    fn frame(&self, mark: Mark) -> FrameRef {
        FrameRef { id: mark.frame(), several_inputs: self.several_inputs }
    }

    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let connection = self.connection;
        match self.event.what {
            What::ConnectionOpened => {
                for side in Side::BOTH {
                    let end = connection.initial().map(|initial| initial.address_of(side));
                    map.serialize_entry(side.name(), &end.map(|(address, port)| socket(address, port)))?;
                }
                Ok(())
            }
            What::KeysLearned(side, token) => {
                let known = connection.ends[side].key.filter(|known| known.identity.token == token);
                map.serialize_entry("by", side.name())?;
                map.serialize_entry("token", &token)?;
                map.serialize_entry("key", &known.map(|known| known.key))
            }
            What::FellBack => {
                map.serialize_entry("cause", &connection.fallback.map(|fallback| fallback.cause.name()))?;
                let evidence = connection.fallback.map(|fallback| self.frame(fallback.frame));
                map.serialize_entry("evidence_frame", &evidence)
            }
            What::Fastclosed => map.serialize_entry("by", &connection.seldom.fastclose.map(|(side, _, _)| side.name())),
            What::DataFin(side) => map.serialize_entry("by", side.name()),
            What::ConnectionClosed => {
                map.serialize_entry("close", connection.close().name())?;
                map.serialize_entry("bytes_client_to_server", &connection.data.client.unique)?;
                map.serialize_entry("bytes_server_to_client", &connection.data.server.unique)
            }
            What::AddressAnnounced(id) => self.announced(id, map),
            What::AddressRemoved(id) => self.removed(id, map),
            What::ChecksumMismatch(side, dsn) => self.mismatch(side, dsn, map),
            _ => match self.event.subflow.and_then(|subflow| connection.subflows.get(usize::from(subflow))) {
                Some(subflow) => self.subflow(subflow, map),
                None => Ok(()),
            },
        }
    }

    fn subflow<M: SerializeMap>(&self, subflow: &Subflow, map: &mut M) -> Result<(), M::Error> {
        let join = subflow.join.as_deref();
        match self.event.what {
            What::SubflowOpened => {
                map.serialize_entry("role", if join.is_some() { "join" } else { "initial" })?;
                map.serialize_entry("initiator", &subflow.initiator_known.then(|| subflow.initiator.name()))?;
                map.serialize_entry("source", &socket(subflow.ip.source(), subflow.source_port))?;
                map.serialize_entry("destination", &socket(subflow.ip.destination(), subflow.destination_port))?;
                map.serialize_entry("token", &join.and_then(|join| join.token))
            }
            What::JoinShown => {
                let Some(join) = join else { return Ok(()) };
                let proof = self.connection.prove_join(subflow, join);
                map.serialize_entry("token_check", &model_verdict(&proof.token))?;
                map.serialize_entry("syn_ack_hmac", &model_verdict(&proof.syn_ack))?;
                map.serialize_entry("ack_hmac", &model_verdict(&proof.ack))
            }
            What::BackupChanged => {
                let change = subflow.seldom.backup_changes.iter().rev().find(|change| change.0 == self.event.at.frame);
                map.serialize_entry("by", &change.map(|change| change.1.name()))?;
                map.serialize_entry("backup", &change.map(|change| change.2))
            }
            What::SubflowReset => {
                let Some(reset) = subflow.reset() else { return Ok(()) };
                map.serialize_entry("by", reset.by.name())?;
                map.serialize_entry("reason", &reset.reason.map(|(reason, _)| reason))?;
                let meaning = reset.reason.map(|(reason, _)| MpTcprst { flags: 0, reason }.meaning());
                map.serialize_entry("meaning", &meaning)?;
                map.serialize_entry("transient", &reset.reason.map(|(_, transient)| transient))
            }
            _ => Ok(()),
        }
    }

    fn announced<M: SerializeMap>(&self, id: u8, map: &mut M) -> Result<(), M::Error> {
        let connection = self.connection;
        let here = |known: &&Announced| known.frame == self.event.at.frame && known.id == id;
        let Some(known) = connection.addresses.iter().rev().find(here) else { return map.serialize_entry("id", &id) };
        let suite = connection.dialect.map(crate::track::keys::Dialect::suite);
        let key = |side: Side| connection.ends[side].key.map(|known| known.key);
        let verdict = known.verify(suite, key(known.by), key(known.by.peer()));
        map.serialize_entry("by", known.by.name())?;
        map.serialize_entry("id", &id)?;
        map.serialize_entry("address", &known.address)?;
        map.serialize_entry("port", &known.port)?;
        map.serialize_entry("hmac", &verdict.as_ref().map(model_verdict))
    }

    fn removed<M: SerializeMap>(&self, id: u8, map: &mut M) -> Result<(), M::Error> {
        let here = |removal: &&Removal| removal.frame == self.event.at.frame && removal.id == id;
        let removal = self.connection.seldom.removals.iter().rev().find(here);
        map.serialize_entry("by", &removal.map(|removal| removal.by.name()))?;
        map.serialize_entry("id", &id)
    }

    fn mismatch<M: SerializeMap>(&self, side: Side, dsn: u64, map: &mut M) -> Result<(), M::Error> {
        let mismatches = &self.connection.checksums[side].mismatches;
        let here = |mismatch: &&Mismatch| mismatch.dsn == dsn && Some(mismatch.subflow) == self.event.subflow;
        map.serialize_entry("by", side.name())?;
        map.serialize_entry("dsn", &Sequence64(dsn))?;
        // Only so many are kept one by one.
        let Some(mismatch) = mismatches.iter().rev().find(here) else { return Ok(()) };
        map.serialize_entry("length", &mismatch.placed.data_len)?;
        map.serialize_entry("mapping_frame", &self.frame(mismatch.placed.frame))?;
        map.serialize_entry("expected", &checksum(Some(mismatch.expected)))?;
        map.serialize_entry("seen", &checksum(mismatch.placed.checksum))
    }
}

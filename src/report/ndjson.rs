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

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::build::connection::model_verdict;
use super::model::{self, Finding, FrameRef, Header, Sequence64};
use super::seen::Seen;
use crate::track::connection::checksums::Mismatch;
use crate::track::connection::{Announced, Connection, Removal};
use crate::track::mark::Mark;
use crate::track::observer::{Event, What};
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::wire::{AddAddrForm, Hex, Item, MpJoin, MpTcprst, MptcpOption, RawSequence, TcpOption};

/// Writes the line of a segment.
pub fn write_segment(out: &mut dyn Write, seen: &Seen<'_>) -> io::Result<()> {
    line(out, &SegmentLine(seen))
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

fn hex(bytes: &[u8]) -> Text<Hex<'_>> {
    Text(Hex(bytes))
}

fn socket(ip: std::net::IpAddr, port: u16) -> Text<std::net::SocketAddr> {
    Text(std::net::SocketAddr::new(ip, port))
}

struct SegmentLine<'a>(&'a Seen<'a>);

impl Serialize for SegmentLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seen = self.0;
        let segment = seen.segment;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "segment")?;
        map.serialize_entry("frame", &seen.frame)?;
        map.serialize_entry("time", &seen.time)?;
        map.serialize_entry("interface", seen.interface)?;
        map.serialize_entry("source", &socket(segment.ip.source(), segment.source_port))?;
        map.serialize_entry("destination", &socket(segment.ip.destination(), segment.destination_port))?;
        map.serialize_entry("seq", &segment.seq)?;
        map.serialize_entry("ack", &segment.ack)?;
        map.serialize_entry("flags", &Flags(segment.flags.0))?;
        map.serialize_entry("window", &segment.window)?;
        map.serialize_entry("payload_bytes", &segment.payload_len)?;
        map.serialize_entry("connection", &seen.number())?;
        map.serialize_entry("subflow", &seen.subflow)?;
        map.serialize_entry("options", &Options(seen))?;
        if seen.is_copy {
            map.serialize_entry("duplicate", &true)?;
        }
        map.end()
    }
}

/// Names of the flags in the order of their bits.
pub(super) const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

struct Flags(u8);

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(FLAGS.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name))
    }
}

struct Options<'a>(&'a Seen<'a>);

impl Serialize for Options<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for item in self.0.options() {
            if !matches!(item.option, TcpOption::NoOperation | TcpOption::EndOfList) {
                list.serialize_element(&OptionOf(&item))?;
            }
        }
        list.end()
    }
}

struct OptionOf<'a>(&'a Item<'a>);

impl Serialize for OptionOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let item = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", &item.kind)?;
        if let Some(error) = item.option.error() {
            map.serialize_entry("malformed", &Text(error))?;
            map.serialize_entry("bytes", &hex(item.bytes))?;
            return map.end();
        }
        map.serialize_entry("name", item.option.name())?;
        map.serialize_entry("length", &item.bytes.len())?;
        match &item.option {
            TcpOption::Mptcp(option) => mptcp(&mut map, option)?,
            option => plain(&mut map, option, item.bytes)?,
        }
        map.end()
    }
}

/// Fields of an option that is not MPTCP.
fn plain<M: SerializeMap>(map: &mut M, option: &TcpOption<'_>, bytes: &[u8]) -> Result<(), M::Error> {
    match option {
        TcpOption::MaximumSegmentSize(mss) => map.serialize_entry("mss", mss),
        TcpOption::WindowScale(shift) => map.serialize_entry("shift", shift),
        TcpOption::Sack(blocks) => map.serialize_entry("blocks", &Blocks(*blocks)),
        TcpOption::Timestamps { value, echo_reply } => {
            map.serialize_entry("value", value)?;
            map.serialize_entry("echo_reply", echo_reply)
        }
        TcpOption::FastOpen { cookie, .. } => map.serialize_entry("cookie", &hex(cookie)),
        TcpOption::Md5Signature(digest) => map.serialize_entry("digest", &hex(digest)),
        TcpOption::AuthenticationOption { key_id, r_next_key_id, mac } => {
            map.serialize_entry("key_id", key_id)?;
            map.serialize_entry("r_next_key_id", r_next_key_id)?;
            map.serialize_entry("mac", &hex(mac))
        }
        TcpOption::UserTimeout { minutes, timeout } => {
            let unit: u32 = if *minutes { 60 } else { 1 };
            map.serialize_entry("timeout_seconds", &(u32::from(*timeout) * unit))
        }
        TcpOption::Experimental { exid, data, .. } => {
            map.serialize_entry("exid", &Text(exid))?;
            map.serialize_entry("data", &hex(data))
        }
        TcpOption::Obsolete { .. } | TcpOption::Unknown { .. } => map.serialize_entry("bytes", &hex(bytes)),
        TcpOption::SackPermitted
        | TcpOption::NoOperation
        | TcpOption::EndOfList
        | TcpOption::Malformed(_)
        | TcpOption::Mptcp(_) => Ok(()),
    }
}

struct Blocks<'a>(crate::wire::SackBlocks<'a>);

impl Serialize for Blocks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(left, right)| [left, right]))
    }
}

/// Fields of an MPTCP option.
fn mptcp<M: SerializeMap>(map: &mut M, option: &MptcpOption<'_>) -> Result<(), M::Error> {
    match option {
        MptcpOption::MpCapable(capable) => {
            map.serialize_entry("version", &capable.version)?;
            map.serialize_entry("flags", &hex(&[capable.flags]))?;
            map.serialize_entry("sender_key", &capable.sender_key)?;
            map.serialize_entry("receiver_key", &capable.receiver_key)?;
            map.serialize_entry("data_len", &capable.data_len)?;
            map.serialize_entry("checksum", &checksum(capable.checksum))
        }
        MptcpOption::MpJoin(join) => mp_join(map, join),
        MptcpOption::Dss(dss) => {
            let mapping = dss.mapping.as_ref();
            map.serialize_entry("data_ack", &dss.data_ack.map(Text))?;
            map.serialize_entry("data_ack_bytes", &dss.data_ack.map(RawSequence::octets))?;
            map.serialize_entry("dsn", &mapping.map(|mapping| Text(mapping.dsn)))?;
            map.serialize_entry("dsn_bytes", &mapping.map(|mapping| mapping.dsn.octets()))?;
            map.serialize_entry("subflow_seq", &mapping.map(|mapping| mapping.ssn))?;
            map.serialize_entry("data_len", &mapping.map(|mapping| mapping.len))?;
            map.serialize_entry("checksum", &checksum(mapping.and_then(|mapping| mapping.checksum)))?;
            map.serialize_entry("data_fin", &dss.data_fin())
        }
        MptcpOption::AddAddr(add) => {
            map.serialize_entry("address_id", &add.address_id)?;
            map.serialize_entry("address", &add.address)?;
            map.serialize_entry("port", &add.port)?;
            let echo = match add.form() {
                AddAddrForm::Rfc8684 { echo } => Some(echo),
                AddAddrForm::V0 | AddAddrForm::DraftV1 => None,
            };
            map.serialize_entry("echo", &echo)?;
            map.serialize_entry("hmac", &add.hmac.as_ref().map(|hmac| hex(hmac)))
        }
        MptcpOption::RemoveAddr(remove) => map.serialize_entry("address_ids", remove.ids),
        MptcpOption::MpPrio(prio) => {
            map.serialize_entry("backup", &prio.backup)?;
            map.serialize_entry("address_id", &prio.address_id)
        }
        MptcpOption::MpFail(fail) => map.serialize_entry("dsn", &Sequence64(fail.dsn)),
        MptcpOption::MpFastclose(close) => map.serialize_entry("key", &close.key),
        MptcpOption::MpTcprst(reset) => {
            map.serialize_entry("reason", &reset.reason)?;
            map.serialize_entry("meaning", reset.meaning())?;
            map.serialize_entry("transient", &reset.transient())
        }
        MptcpOption::Unknown { subtype, bytes } => {
            map.serialize_entry("subtype", &subtype.0)?;
            map.serialize_entry("bytes", &hex(bytes))
        }
        MptcpOption::Malformed { .. } => Ok(()),
    }
}

fn mp_join<M: SerializeMap>(map: &mut M, join: &MpJoin) -> Result<(), M::Error> {
    let (backup, address_id, token, nonce, hmac) = match join {
        MpJoin::Syn { backup, address_id, token, nonce, .. } => {
            (Some(backup), Some(address_id), Some(token), Some(nonce), None)
        }
        MpJoin::SynAck { backup, address_id, hmac, nonce, .. } => {
            (Some(backup), Some(address_id), None, Some(nonce), Some(&hmac[..]))
        }
        MpJoin::Ack { hmac, .. } => (None, None, None, None, Some(&hmac[..])),
    };
    map.serialize_entry("address_id", &address_id)?;
    map.serialize_entry("backup", &backup)?;
    map.serialize_entry("token", &token)?;
    map.serialize_entry("nonce", &nonce)?;
    map.serialize_entry("hmac", &hmac.map(hex))
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
                let change = subflow.backup_changes.iter().rev().find(|change| change.0 == self.event.at.frame);
                map.serialize_entry("by", &change.map(|change| change.1.name()))?;
                map.serialize_entry("backup", &change.map(|change| change.2))
            }
            What::SubflowReset => {
                let Some(reset) = subflow.reset else { return Ok(()) };
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

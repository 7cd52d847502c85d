//! `ndjson`: one JSON object a line, for programs. `segment` lines as they are read, each followed by lines of other types
//! that say what the segment changed; at the end of the capture the findings, which need all of it.
//!
//! | `type` | `event` | fields besides `frame`, `time` and `connection` |
//! |---|---|---|
//! | `segment` | – | what the packet holds, layer by layer; padding options (NOP, EOL) are left out; `duplicate` is there, and true, for a copy from another tap |
//! | `connection` | `opened` | `client`, `server` (address and port) |
//! | | `keys` | `by`, `token`, `key` |
//! | | `absorbed` | `absorbed`: what was told under this number is part of this connection; without handshake both were taken for one |
//! | | `fallback` | `cause`, `evidence_frame`: the frame that shows it, where that took later ones to tell |
//! | | `data_fin` | `by` |
//! | | `fastclose` | `by` |
//! | | `closed` | `close`, `bytes_client_to_server`, `bytes_server_to_client`; once more where only the end of the capture shows a fallback |
//! | | `left` | live, or a limit pushed it out: `reason` (`closed`, `idle`, `half_open`, `limit`) and `report`, a [`model::Connection`]; no `frame`, no `time` |
//! | `subflow` | `opened` | `subflow`, `role`, `initiator`, `source`, `destination`, `token`; once more where it turns out to be another connection's |
//! | | `join` | `subflow`, `token_check`, `syn_ack_hmac`, `ack_hmac` |
//! | | `backup` | `subflow`, `by`, `backup` |
//! | | `reset` | `subflow`, `by`, `reason`, `meaning`, `transient` |
//! | | `closed` | `subflow` |
//! | `address` | `announced` | `by`, `id`, `address`, `port`, `hmac` |
//! | | `removed` | `by`, `id` |
//! | `checksum` | `mismatch` | `subflow`, `by`, `dsn`, `length`, `mapping_frame`, `expected`, `seen` |
//! | | `repaired` | `subflow`, `by`, `dsn`: it is right with bytes that TCP sent again |
//! | `finding` | – | those of [`model::Finding`] |
//! | `capture` | `ended` | the last line: `inputs`, `capture` and `tcp_connections` of [`model::Header`], with what was set aside and left out |

use std::io::{self, Write};

use serde::Serialize;

use super::seen::Seen;
use super::{event_line, segment_line};
use crate::model::{self, Finding, Header, Numbering};
use crate::track::connection::Connection;
use crate::track::observer::Event;

/// Appends the line of a segment.
pub fn write_segment(out: &mut Vec<u8>, seen: &Seen<'_>) {
    segment_line::append(out, seen);
}

/// Appends the line of something that changed. `connection` is as it stands after that.
pub fn write_event(out: &mut Vec<u8>, event: &Event, connection: &Connection, numbering: Numbering<'_>) {
    event_line::append(out, event, connection, numbering);
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

//! `json`: the whole report, one object, in the shape and order of [`crate::model`] (`schema`, `tool`, `inputs`, `capture`,
//! `tcp_connections`, `connections`, `orphans`, `findings`).
//!
//! Connections are built and written a few at a time, so the size of the output does not bound the size of a capture. Joins
//! without connection beyond [`limits::ORPHAN_JOINS`] are not listed; `orphans_left_out` then tells how many.
//! The fields and their units are those of [`crate::model`].

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::gather::Gather;
use super::in_groups::in_groups;
use super::{Report, Selection, selection};
use crate::limits;
use crate::model::ConnectionFilter;
use crate::model::OrphansLeftOut;

/// Connections that one thread builds and formats before it takes more, and those held at once.
const GROUP: usize = 16;
const AT_ONCE: usize = 16 * GROUP;

/// Bytes that a connection usually takes; a wrong guess only costs time.
const USUAL_BYTES: usize = 16 << 10;

/// Writes the report as pretty-printed JSON (two spaces) and a line feed. `filters` choose connections; empty, all are
/// written.
pub fn write(out: &mut dyn Write, report: &dyn Report, filters: &[ConnectionFilter]) -> io::Result<()> {
    let header = report.header();
    let mut object = Object { out: Gather::new(out), begun: false };
    object.field("schema", header.schema)?;
    object.field("tool", &header.tool)?;
    object.field("inputs", &header.inputs)?;
    object.field("capture", &header.capture)?;
    object.field("tcp_connections", &header.tcp_connections)?;
    object.field("stack", &header.stack)?;
    object.name("connections")?;
    let chosen = (!filters.is_empty()).then(|| Selection::new(report, filters, None));
    match &chosen {
        Some(chosen) => connections(&mut object.out, report, &chosen.indices)?,
        None => connections(&mut object.out, report, &(0..report.connection_count()).collect::<Vec<_>>())?,
    }
    let wanted = |token| selection::names_orphans(filters, token);
    let orphans = report.orphans(&wanted, limits::ORPHAN_JOINS);
    let joins = report.orphan_joins(&wanted).saturating_sub(selection::joins_in(&orphans));
    object.field("orphans", &orphans)?;
    drop(orphans);
    if joins > 0 {
        object.field("orphans_left_out", &OrphansLeftOut { joins })?;
    }
    object.field("findings", &chosen.map_or_else(|| report.findings(), |chosen| chosen.findings(report)))?;
    if let Some(counters) = report.kernel_counters(filters) {
        object.field("kernel_counters", &counters)?;
    }
    object.out.write_all(b"\n}\n")?;
    object.out.finish()
}

/// The outermost object.
struct Object<'a> {
    out: Gather<'a>,
    begun: bool,
}

impl Object<'_> {
    fn name(&mut self, name: &str) -> io::Result<()> {
        self.out.write_all(if self.begun { b",\n  \"" } else { b"{\n  \"" })?;
        self.begun = true;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(b"\": ")
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> io::Result<()> {
        self.name(name)?;
        serialize(&mut self.out, value, 1)
    }
}

/// The list of connections: built and formatted by several threads, written in order.
fn connections(out: &mut Gather<'_>, report: &dyn Report, indices: &[usize]) -> io::Result<()> {
    let mut begun = false;
    out.write_all(b"[")?;
    for some in indices.chunks(AT_ONCE) {
        let formatted = in_groups(some, GROUP, |group| -> io::Result<Vec<u8>> {
            let mut bytes = Vec::with_capacity(group.len() * USUAL_BYTES);
            for &index in group {
                bytes.extend_from_slice(b",\n    ");
                serialize(&mut bytes, &report.connection(index), 2)?;
            }
            Ok(bytes)
        });
        for group in formatted {
            let group = group?;
            // No comma before the first.
            out.write_all(group.get(usize::from(!begun)..).unwrap_or_default())?;
            begun = true;
        }
    }
    out.write_all(if indices.is_empty() { b"]" } else { b"\n  ]" })
}

/// Writes a value that stands `depth` levels deep.
fn serialize<T: Serialize + ?Sized>(out: &mut impl Write, value: &T, depth: usize) -> io::Result<()> {
    let mut formatter = PrettyFormatter::new();
    for _ in 0..depth {
        // Only moves the indentation on: what it writes is written already.
        formatter.begin_object(&mut io::sink())?;
    }
    value.serialize(&mut serde_json::Serializer::with_formatter(out, formatter)).map_err(io::Error::from)
}

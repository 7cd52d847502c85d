//! `json`: the whole report, one object, in the shape and order of the report contract (`schema`, `tool`, `inputs`, `capture`,
//! `tcp_connections`, `connections`, `orphans`, `findings`).
//!
//! Connections are built and written one at a time, so the size of the output does not bound the size of a capture. Joins
//! without connection beyond [`limits::ORPHAN_JOINS`] are not listed; `orphans_left_out` then tells how many.
//! The fields and their units are those of [`super::model`].

use std::io::{self, Write};

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use super::gather::Gather;
use super::model::OrphansLeftOut;
use super::{ConnectionFilter, Report, Selection, selection};
use crate::limits;

/// Writes the report as pretty-printed JSON (two spaces) and a line feed. `filters` choose connections; empty, all are
/// written.
pub fn write(out: &mut dyn Write, report: &dyn Report, filters: &[ConnectionFilter]) -> io::Result<()> {
    let document = Document { report, filters };
    let mut gather = Gather::new(out);
    let mut serializer = serde_json::Serializer::with_formatter(&mut gather, serde_json::ser::PrettyFormatter::new());
    document.serialize(&mut serializer).map_err(io::Error::from)?;
    gather.write_all(b"\n")?;
    gather.finish()
}

struct Document<'a> {
    report: &'a dyn Report,
    filters: &'a [ConnectionFilter],
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let header = self.report.header();
        let wanted = |token| selection::names_orphans(self.filters, token);
        let orphans = self.report.orphans(&wanted, limits::ORPHAN_JOINS);
        let joins = self.report.orphan_joins(&wanted).saturating_sub(selection::joins_in(&orphans));
        let mut object = serializer.serialize_struct("Report", 10)?;
        object.serialize_field("schema", header.schema)?;
        object.serialize_field("tool", &header.tool)?;
        object.serialize_field("inputs", &header.inputs)?;
        object.serialize_field("capture", &header.capture)?;
        object.serialize_field("tcp_connections", &header.tcp_connections)?;
        object.serialize_field("stack", &header.stack)?;
        object.serialize_field("connections", &Connections(self))?;
        object.serialize_field("orphans", &orphans)?;
        drop(orphans);
        if joins > 0 {
            object.serialize_field("orphans_left_out", &OrphansLeftOut { joins })?;
        }
        object.serialize_field("findings", &self.report.findings())?;
        if let Some(counters) = self.report.kernel_counters() {
            object.serialize_field("kernel_counters", &counters)?;
        }
        object.end()
    }
}

struct Connections<'a>(&'a Document<'a>);

impl Serialize for Connections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Document { report, filters } = self.0;
        let mut list = serializer.serialize_seq(None)?;
        if filters.is_empty() {
            for index in 0..report.connection_count() {
                list.serialize_element(&report.connection(index))?;
            }
        } else {
            for index in Selection::new(*report, filters, None).indices {
                list.serialize_element(&report.connection(index))?;
            }
        }
        list.end()
    }
}

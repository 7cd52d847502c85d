//! The line of an event in `ndjson`: what a segment changed.

use super::build::connection::model_verdict;
use super::json_text::{Checksum, Plain, Quoted, Serde, Shown, Socket, field};
use crate::model::{FrameRef, Numbering};
use crate::track::connection::{Announced, Connection, Removal};
use crate::track::mark::Mark;
use crate::track::observer::{Event, What};
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::wire::ResetReason;

/// Appends the line, its end included.
pub(super) fn append(out: &mut Vec<u8>, event: &Event, connection: &Connection, numbering: Numbering<'_>) {
    let (kind, name) = names(event.what);
    let of = Of { event, connection, numbering };
    field!(out, first "type", Plain(kind));
    field!(out, "event", Plain(name));
    field!(out, "frame", of.frame(event.at.frame));
    field!(out, "time", event.at.time);
    field!(out, "connection", connection.number());
    if matches!(kind, "subflow" | "checksum") {
        field!(out, "subflow", event.subflow);
    }
    of.fields(out);
    out.extend_from_slice(b"}\n");
}

/// `type` and `event` of a line.
fn names(what: What) -> (&'static str, &'static str) {
    match what {
        What::ConnectionOpened => ("connection", "opened"),
        What::Absorbed(_) => ("connection", "absorbed"),
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
        What::ChecksumRepaired(..) => ("checksum", "repaired"),
    }
}

/// An event and what it is of.
struct Of<'a> {
    event: &'a Event,
    connection: &'a Connection,
    numbering: Numbering<'a>,
}

fn named(side: Side) -> Plain<'static> {
    Plain(side.name())
}

impl Of<'_> {
    fn frame(&self, mark: Mark) -> FrameRef {
        self.numbering.of(mark.frame())
    }

    fn fields(&self, out: &mut Vec<u8>) {
        let connection = self.connection;
        match self.event.what {
            What::ConnectionOpened => {
                let end = |side| connection.initial().map(|initial| initial.address_of(side));
                let socket = |side| end(side).map(|(address, port)| Socket(address, port));
                field!(out, "client", socket(Side::Client));
                field!(out, "server", socket(Side::Server));
            }
            What::KeysLearned(side, token) => {
                let known = connection.ends[side].key.filter(|known| known.identity.token == token);
                field!(out, "by", named(side));
                field!(out, "token", token);
                field!(out, "key", known.map(|known| known.key));
            }
            What::Absorbed(number) => field!(out, "absorbed", number),
            What::FellBack => {
                field!(out, "cause", connection.fallback.map(|fallback| Plain(fallback.cause.name())));
                field!(out, "evidence_frame", connection.fallback.map(|fallback| self.frame(fallback.frame)));
            }
            What::Fastclosed => field!(out, "by", connection.seldom.fastclose.map(|(side, ..)| named(side))),
            What::DataFin(side) => field!(out, "by", named(side)),
            What::ConnectionClosed => {
                field!(out, "close", Plain(connection.close().name()));
                let bytes = |side: Side| connection.shows_all_data_of(side).then_some(connection.data[side].unique);
                field!(out, "bytes_client_to_server", bytes(Side::Client));
                field!(out, "bytes_server_to_client", bytes(Side::Server));
            }
            What::AddressAnnounced(id) => self.announced(out, id),
            What::AddressRemoved(id) => self.removed(out, id),
            What::ChecksumMismatch(side, dsn) | What::ChecksumRepaired(side, dsn) => self.checksum(out, side, dsn),
            What::SubflowOpened | What::JoinShown | What::BackupChanged | What::SubflowReset | What::SubflowClosed => {
                let index = self.event.subflow.map(usize::from);
                if let Some(subflow) = index.and_then(|index| connection.subflows.get(index)) {
                    self.subflow(out, subflow);
                }
            }
        }
    }

    fn subflow(&self, out: &mut Vec<u8>, subflow: &Subflow) {
        let join = subflow.join.as_deref();
        match self.event.what {
            What::SubflowOpened => {
                field!(out, "role", self.connection.role_of(subflow).map(Plain));
                field!(out, "initiator", subflow.shown_initiator().map(named));
                field!(out, "source", Socket(subflow.ip.source(), subflow.source_port));
                field!(out, "destination", Socket(subflow.ip.destination(), subflow.destination_port));
                field!(out, "token", join.and_then(|join| join.token));
            }
            What::JoinShown => {
                let Some(join) = join else { return };
                let proof = self.connection.prove_join(subflow, join);
                field!(out, "token_check", Serde(model_verdict(&proof.token)));
                field!(out, "syn_ack_hmac", Serde(model_verdict(&proof.syn_ack)));
                field!(out, "ack_hmac", Serde(model_verdict(&proof.ack)));
            }
            What::BackupChanged => {
                let change = subflow.seldom.backup_changes.iter().rev().find(|change| change.0 == self.event.at.frame);
                field!(out, "by", change.map(|change| named(change.1)));
                field!(out, "backup", change.map(|change| change.2));
            }
            What::SubflowReset => {
                let Some(reset) = subflow.reset() else { return };
                field!(out, "by", named(reset.by));
                field!(out, "reason", reset.reason.map(|(why, _)| why.0));
                let meaning = |(why, _): (ResetReason, bool)| Plain(why.meaning());
                field!(out, "meaning", reset.reason.map(meaning));
                field!(out, "transient", reset.reason.map(|(_, transient)| transient));
            }
            _ => {}
        }
    }

    fn announced(&self, out: &mut Vec<u8>, id: u8) {
        let connection = self.connection;
        let here = |known: &&Announced| known.frame == self.event.at.frame && known.id == id;
        let Some(known) = connection.addresses.iter().rev().find(here) else { return field!(out, "id", id) };
        let verdict = connection.prove_announced(known);
        field!(out, "by", named(known.by));
        field!(out, "id", id);
        field!(out, "address", Shown(known.address));
        field!(out, "port", known.port);
        field!(out, "hmac", verdict.as_ref().map(|verdict| Serde(model_verdict(verdict))));
    }

    fn removed(&self, out: &mut Vec<u8>, id: u8) {
        let here = |removal: &&Removal| removal.frame == self.event.at.frame && removal.id == id;
        let removal = self.connection.seldom.removals.iter().rev().find(here);
        field!(out, "by", removal.map(|removal| named(removal.by)));
        field!(out, "id", id);
    }

    fn checksum(&self, out: &mut Vec<u8>, side: Side, dsn: u64) {
        field!(out, "by", named(side));
        field!(out, "dsn", Quoted(dsn));
        let mut latest = self.connection.checksums[side].mismatches.iter().rev();
        // Only so many are kept one by one.
        let Some(mismatch) = latest.find(|known| known.dsn == dsn && Some(known.subflow) == self.event.subflow) else {
            return;
        };
        field!(out, "length", mismatch.placed.data_len);
        field!(out, "mapping_frame", self.frame(mismatch.placed.frame));
        field!(out, "expected", Checksum(mismatch.expected));
        field!(out, "seen", mismatch.placed.checksum.map(Checksum));
    }
}

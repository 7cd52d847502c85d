//! What happens while tracking, for those who want it at once: extraction and the event stream. The report does not need it.

use super::connection::Connection;
use super::expire::Left;
use super::mark::Moment;
use super::side::Side;
use crate::crypto::Token;

/// Number of a connection in its tracker, from 0, in order of first packet.
pub type ConnectionId = u32;

/// Hears of data and events in the order of the capture.
pub trait Observer {
    /// Whether [`Observer::data`] is wanted: without it no payload is copied for later.
    const WANTS_DATA: bool = false;

    /// Bytes of a data stream, as soon as their place is known; not in order, and copies may come again.
    fn data(&mut self, data: Data<'_>) {
        let _ = data;
    }

    /// A mapping with a checksum is complete.
    fn checked(&mut self, checked: Checked) {
        let _ = checked;
    }

    /// Something changed.
    fn event(&mut self, event: Event) {
        let _ = event;
    }

    /// A connection left before the end: nothing more comes of it.
    fn left(&mut self, connection: &Connection, reason: Left) {
        let _ = (connection, reason);
    }

    /// The report at the end will not know a connection that left.
    fn forgotten(&mut self, connection: &Connection) {
        let _ = connection;
    }
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {}

/// A part of a data stream.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Whose.
    pub connection: ConnectionId,
    /// Its number in the report, from 1; none for joins whose connection is not known (yet).
    pub number: Option<u64>,
    /// Who sent it.
    pub side: Side,
    /// The subflow that carried it.
    pub subflow: u16,
    /// Offset in the application's stream: 0 is the first byte after Fast Open bytes, which have negative offsets.
    /// Where the IDSN is unknown, 0 is the first DSN seen, and stays so if a key tells the IDSN later.
    pub offset: i64,
    /// Whether the stream is known to begin at offset 0, or at Fast Open bytes before it.
    pub anchored: bool,
    /// The captured bytes; shorter than `len` where the snaplen cut them.
    pub bytes: &'a [u8],
    /// Length on the wire.
    pub len: u64,
    /// Offset and length of the mapping whose checksum will tell whether these bytes are right.
    pub mapping: Option<(i64, u32)>,
    /// The subflow carried these bytes before: TCP sent them again. They are told only where their mapping is still known.
    pub again: bool,
    /// Whether TCP takes the segment that carried them: its checksum is right. `None` where that cannot be told.
    pub intact: Option<bool>,
    /// The receiver had reset the subflow before they came.
    pub refused: bool,
}

/// The outcome of a mapping's checksum, for extraction.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// Whose.
    pub connection: ConnectionId,
    /// Its number in the report, from 1; none for joins whose connection is not known (yet).
    pub number: Option<u64>,
    /// Who sent it.
    pub side: Side,
    /// The subflow that carried it.
    pub subflow: u16,
    /// Offset of its first byte in the stream.
    pub offset: i64,
    /// Payload bytes.
    pub len: u32,
    /// What it says.
    pub judgement: Judgement,
}

/// What the checksum of a mapping says of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The bytes that came first are right.
    First,
    /// They are right with those that TCP sent again: the first copy was damaged on the way.
    Again,
    /// No copy is right.
    Neither,
    /// It could not be checked.
    Unknown,
}

/// Something changed in a connection.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Whose.
    pub connection: ConnectionId,
    /// Its number in the report, from 1; none for joins whose connection is not known (yet).
    pub number: Option<u64>,
    /// The subflow concerned.
    pub subflow: Option<u16>,
    /// At which segment.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A connection was seen for the first time.
    ConnectionOpened,
    /// What was told as the connection of this number is part of this one.
    Absorbed(u64),
    /// A key, and so a token, became known or changed.
    KeysLearned(Side, Token),
    /// A subflow was seen for the first time.
    SubflowOpened,
    /// A join showed its HMACs.
    JoinShown,
    /// An address with this id was announced.
    AddressAnnounced(u8),
    /// The address with this id was removed.
    AddressRemoved(u8),
    /// A subflow changed priority.
    BackupChanged,
    /// It is TCP from here on.
    FellBack,
    /// The checksum of the mapping that begins at this DSN is wrong.
    ChecksumMismatch(Side, u64),
    /// It was told wrong, and is right with bytes that TCP sent again.
    ChecksumRepaired(Side, u64),
    /// A subflow was reset.
    SubflowReset,
    /// A subflow closed with FINs.
    SubflowClosed,
    /// MP_FASTCLOSE.
    Fastclosed,
    /// This side's DATA_FIN.
    DataFin(Side),
    /// All subflows are closed.
    ConnectionClosed,
}

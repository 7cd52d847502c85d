//! One captured TCP segment and what the tracker made of it: what the outputs that are written while reading take.

use crate::frame::Timestamp;
use crate::model::FrameRef;
use crate::packet::Segment;
use crate::track::connection::Connection;
use crate::track::half::Half;
use crate::track::observer::Event;
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::track::verdict::Verdict;
use crate::wire::{self, AddAddr, MpJoin, MptcpOption, TcpOptions};

/// A segment, right after the tracker took it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its frame.
    pub frame: FrameRef,
    /// When.
    pub time: Timestamp,
    /// Nanoseconds since the first frame.
    pub since_first_ns: u64,
    /// The report's name of the interface it was captured on; empty where it has none.
    pub interface: &'a str,
    /// The segment.
    pub segment: &'a Segment<'a>,
    /// The connection it belongs to.
    pub connection: Option<&'a Connection>,
    /// Its subflow, where `connection` has it.
    pub subflow: Option<u16>,
    /// Which end sent it.
    pub from: Option<Side>,
    /// Whether it was seen before at another tap.
    pub is_copy: bool,
    /// DSS checksums that its payload completed and that are right.
    pub right_checksums: u32,
    /// Likewise, and wrong.
    pub wrong_checksums: u32,
    /// What it changed.
    pub events: &'a [Event],
}

impl<'a> Seen<'a> {
    /// The connection's number in the report; none for a plain one, and for joins whose connection is not known.
    pub fn number(&self) -> Option<u64> {
        self.connection?.number()
    }

    /// Its options.
    pub fn options(&self) -> TcpOptions<'a> {
        let bytes = self.segment.options;
        if self.segment.options_cut { wire::options_cut(bytes) } else { wire::options(bytes) }
    }

    /// Its subflow as tracked.
    pub fn tracked_subflow(&self) -> Option<&'a Subflow> {
        self.connection?.subflows.get(usize::from(self.subflow?))
    }

    /// Its sequence number counted from the SYN's, where that is known.
    pub fn relative_seq(&self) -> Option<u32> {
        self.half(self.from?).and_then(|half| Some(self.segment.seq.wrapping_sub(half.syn()? as u32)))
    }

    /// Its acknowledgement number counted from the other SYN's, where that is known.
    pub fn relative_ack(&self) -> Option<u32> {
        self.half(self.from?.peer()).and_then(|half| Some(self.segment.ack.wrapping_sub(half.syn()? as u32)))
    }

    fn half(&self, side: Side) -> Option<&'a Half> {
        Some(&self.tracked_subflow()?.halves[side])
    }

    /// What can be said of what an option claims, as far as the capture has shown the keys.
    pub fn verdict(&self, option: &MptcpOption<'_>) -> Option<Verdict> {
        let (connection, from) = (self.connection?, self.from?);
        match option {
            MptcpOption::MpJoin(join) => self.verdict_of_join(connection, join),
            MptcpOption::AddAddr(add) => verdict_of_address(connection, from, add),
            MptcpOption::MpFastclose(close) => {
                let key = connection.ends[from.peer()].key?.key;
                Some(Verdict::compare(&key.0, &close.key.0))
            }
            _ => None,
        }
    }

    fn verdict_of_join(&self, connection: &Connection, option: &MpJoin) -> Option<Verdict> {
        let subflow = self.tracked_subflow()?;
        let join = subflow.join.as_deref()?;
        let proof = connection.prove_join(subflow, join);
        // What was tracked may stem from another copy: the verdict is on that.
        match option {
            // Echoed in the SYN/ACK it proves nothing.
            MpJoin::Syn { token, .. } => {
                (join.token == Some(*token) && self.from == Some(subflow.initiator)).then_some(proof.token)
            }
            MpJoin::SynAck { hmac, .. } => (join.syn_ack_hmac == Some(*hmac)).then_some(proof.syn_ack),
            MpJoin::Ack { hmac, .. } => (join.ack_hmac == Some(*hmac)).then_some(proof.ack),
        }
    }
}

fn verdict_of_address(connection: &Connection, by: Side, add: &AddAddr) -> Option<Verdict> {
    let announced = connection.addresses.iter().rev().find(|known| {
        (known.by, known.id, known.address, known.port, known.hmac)
            == (by, add.address_id, add.address, add.port, add.hmac)
    });
    connection.prove_announced(announced?)
}

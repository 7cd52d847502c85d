//! What breaks a rule, or is out of the ordinary.

use super::{Connection, Input};
use crate::track::mark::{Mark, Moment};
use crate::track::side::Side;
use crate::wire::{Subtype, WireError};

/// Something against the rules, or out of the ordinary.
#[derive(Clone, Copy, Debug)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// Where.
    pub frame: Mark,
    /// On which subflow.
    pub subflow: u16,
    /// Sent by.
    pub side: Side,
    /// A further frame of evidence.
    pub other: Option<Mark>,
}

/// Kinds of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnomalyKind {
    /// An MPTCP option that can't be read: its subtype, where that can, and what is wrong with it, unless it is one that the
    /// version does not have so.
    MalformedOption(Option<Subtype>, Option<WireError>),
    /// A mapping contradicts an earlier one of the same bytes; `other` is the earlier.
    MappingConflict {
        /// Its relative subflow sequence number.
        ssn: u32,
    },
    /// A number too far away from all others to be of this stream.
    SequenceOutOfReach(Level),
    /// Keys were shown that contradict the connection's.
    KeysContradict,
    /// A checksum though none was negotiated.
    ChecksumNotNegotiated,
    /// No checksum though it was negotiated.
    ChecksumAbsent,
    /// Flags of MP_CAPABLE, bit B or no algorithm among them, for which the option must be ignored.
    CapableFlagsIllegal(u8),
    /// The SYN/ACK's version, which is above the SYN's.
    VersionIllegal(u8),
    /// REMOVE_ADDR of an address id that nothing has.
    RemovedUnknown(u8),
    /// An address id that was announced again with another address.
    AddressIdReused(u8),
    /// An MPTCP option where it must not stand (MP_TCPRST without RST, MP_CAPABLE in a later SYN, …).
    OptionOutOfPlace(Subtype),
    /// Payload of the subflow has other bytes in a later copy; `other` is the frame with the first.
    PayloadChanged {
        /// With the later copy the checksum is right.
        repaired: bool,
    },
    /// So many bytes were mapped behind the DATA_FIN that `other` showed.
    DataBehindFin(u64),
    /// A join to the address that C=1 forbade.
    JoinDenied,
    /// MP_FASTCLOSE with a key that is not the receiver's.
    FastcloseKeyWrong,
}

/// Which numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// DSNs and DATA_ACKs.
    Data,
    /// TCP sequence numbers.
    Subflow,
}

impl Connection {
    pub(super) fn anomaly(&mut self, kind: AnomalyKind, input: &Input<'_, '_>, at: Moment, other: Option<Mark>) {
        self.note(Anomaly { kind, frame: at.frame, subflow: input.subflow, side: input.side, other });
    }
}

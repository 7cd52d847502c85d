//! One subflow: a TCP connection that carries a part of an MPTCP connection.

use super::half::Half;
use super::mark::{Mark, Moment};
use super::same_packet::Difference;
use super::side::{PerSide, Side};
use super::sparse::{Sparse, empty};
use super::unreachable::Unreachable;
use super::verdict::{Verdict, Why};
use crate::crypto::auth::{join_ack_hmac, join_syn_ack_hmac};
use crate::crypto::{Key, Nonce, Suite, Token};
use crate::frame::Timestamp;
use crate::limits;
use crate::packet::options::Kinds;
use crate::packet::{IpPair, Segment, TcpFlags};
use crate::wire::ResetReason;

/// One subflow.
#[derive(Clone, Debug)]
pub struct Subflow {
    /// Addresses as in the initiator's packets.
    pub ip: IpPair,
    /// The initiator's port.
    pub source_port: u16,
    /// The other port.
    pub destination_port: u16,
    /// Which end sent the SYN.
    pub initiator: Side,
    /// Whether `initiator` rests on a SYN or SYN/ACK, not on a guess.
    pub initiator_known: bool,
    /// A packet of its handshake was seen: it is initial or a join as `join` says.
    pub role_shown: bool,
    /// Both directions, by sender.
    pub halves: PerSide<Half>,
    /// The SYN.
    pub syn: Option<SynSeen>,
    /// The SYN/ACK.
    pub syn_ack: Option<SynSeen>,
    /// The first segment of the initiator after the SYN/ACK.
    pub third_ack: Option<Mark>,
    /// Nanoseconds from the SYN/ACK to it.
    pub third_ack_delay: u64,
    /// The third ACK, or the responder's answer to a join's, is still to come.
    pub handshake_open: bool,
    /// Data may flow: the handshake was completed, and neither end has closed.
    pub carries: bool,
    /// The join's handshake; `None` for the initial subflow. Where neither's was captured, the first counts as initial.
    pub join: Option<Box<Join>>,
    /// Address id of each end, as the join's MP_JOIN tells it; see [`Subflow::address_id`].
    pub address_ids: PerSide<Option<u8>>,
    /// Backup as last asked by each end.
    pub backup: PerSide<bool>,
    /// Backup as each end asked for it in MP_JOIN.
    pub join_backup: PerSide<bool>,
    /// First and last segment.
    pub first: Moment,
    /// Last segment.
    pub last: Moment,
    /// An MPTCP option was seen beyond the handshake, by sender: first and last frame.
    pub options: PerSide<Option<(Mark, Mark)>>,
    /// The interface it was first seen on: input and index.
    pub interface: (u16, u16),
    /// Packets held an IPv4 source route or IPv6 routing header, by sender.
    pub source_routed: PerSide<bool>,
    /// What few subflows have.
    pub seldom: Sparse<Seldom>,
}

/// Two, as most connections have, are just a size that the allocator has: 1280 bytes. The next is 1536.
const _: () = assert!(size_of::<Subflow>() <= 640);

/// What few subflows have.
#[derive(Clone, Debug, Default)]
pub struct Seldom {
    /// The RST that ended it.
    pub reset: Option<Reset>,
    /// A RST that did not: the frame shows that both ends went on.
    pub survived: Option<(Reset, Mark)>,
    /// MP_PRIO that applied: frame, sender, backup.
    pub backup_changes: Vec<(Mark, Side, bool)>,
    /// When each end last asked for backup with MP_PRIO.
    pub backup_since: PerSide<Option<Timestamp>>,
    /// Segments without any MPTCP option since the last one with, by sender.
    pub bare: PerSide<Bare>,
    /// The first ACK of each end that acknowledges mapped data without an MPTCP option, before any DATA_ACK, and its TTL.
    pub bare_ack: PerSide<Option<(Mark, u8)>>,
    /// The first ICMP error that answers its SYN.
    pub unreachable: Option<Unreachable>,
    /// Interfaces beyond the first: input and index.
    pub more_interfaces: Vec<(u16, u16)>,
    /// Other 4-tuples under which it was seen (NAT).
    pub also_seen_as: Vec<(IpPair, u16, u16)>,
    /// The first packet under the first of them.
    pub also_seen_in: Option<Mark>,
    /// A join's SYN/ACK with another nonce than the first: the responder had forgotten that it answered. Its nonce, HMAC and
    /// frame.
    pub other_syn_ack: Option<(Nonce, [u8; 8], Mark)>,
    /// Handshakes that a RST ended before the one that is told of: how many, and the last RST.
    pub attempts: Option<(u32, Reset)>,
    /// What a socket of each end said when it reset the subflow.
    pub told: PerSide<Told>,
    /// Where inputs are compared: its RSTs, in order, without repeats.
    pub resets: Vec<RstSent>,
    /// Where inputs are compared: the first segment that the sender of the RST that ended it sent after it.
    pub after_reset: Option<Mark>,
    /// The same for the RST that did not end it.
    pub after_survived: Option<Mark>,
    /// Options of its packets that say different things at two inputs.
    pub differences: Vec<Difference>,
    /// One end has left it for good, as a RST without a socket shows, and the capture has nothing of the other.
    pub abandoned: bool,
}

/// Options of a RST that a socket sent: it has ACK, and is no answer to a SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// MP_TCPRST.
    pub reason: bool,
    /// MP_FASTCLOSE.
    pub fastclose: bool,
}

impl Told {
    const NOTHING: Self = Self { reason: false, fastclose: false };
}

/// What tells a RST from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RstSent {
    /// Its sender.
    pub by: Side,
    /// Raw sequence number.
    pub seq: u32,
    /// It has ACK.
    pub with_ack: bool,
}

/// Segments without options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bare {
    /// The first such segment.
    pub first: Option<Mark>,
    /// Their number.
    pub segments: u32,
    /// Unwrapped sequence number of the first such payload.
    pub start: u64,
    /// The first segment of the peer that acknowledges some of it.
    pub acknowledged: Option<Mark>,
    /// ACKs without payload that acknowledged more of what the peer had mapped: the first, and how many.
    pub acks: Option<(Moment, u32)>,
    /// The first segment of the peer with an option that came long after the first of those: it must have had that by then.
    pub ignored: Option<Mark>,
}

impl Bare {
    const NONE: Self = Self { first: None, segments: 0, start: 0, acknowledged: None, acks: None, ignored: None };
    /// Nothing is longer under way, in queues of its sender and of the path together.
    const LONG: u64 = 1_000_000_000;

    /// The peer sent an option: it may have had the ACKs by then.
    pub(super) fn note_option_of_peer(&mut self, at: Moment) {
        if self.acks.is_some_and(|(first, _)| at.time.since(first.time) > Self::LONG) {
            self.ignored.get_or_insert(at.frame);
        }
    }
}

empty! {
    Seldom = Seldom {
        reset: None,
        survived: None,
        backup_changes: Vec::new(),
        backup_since: PerSide { client: None, server: None },
        bare: PerSide { client: Bare::NONE, server: Bare::NONE },
        bare_ack: PerSide { client: None, server: None },
        unreachable: None,
        more_interfaces: Vec::new(),
        also_seen_as: Vec::new(),
        also_seen_in: None,
        other_syn_ack: None,
        attempts: None,
        told: PerSide { client: Told::NOTHING, server: Told::NOTHING },
        resets: Vec::new(),
        after_reset: None,
        after_survived: None,
        differences: Vec::new(),
        abandoned: false,
    };
    Repeats = Repeats { last: None, count: 0, fast_open: 0 };
}

/// A SYN or SYN/ACK.
#[derive(Clone, Debug)]
pub struct SynSeen {
    /// First copy.
    pub first: Moment,
    /// Raw sequence number.
    pub seq: u32,
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: bool,
    /// Longest run of NOPs among its options, or of zeros at their end: a blanked option leaves one of its length.
    pub nop_run: u8,
    /// TTL of the first copy.
    pub ttl: u8,
    /// Kinds of its options in their order, padding left out; 0 ends the list.
    pub kinds: Kinds,
    /// SLL2: the kernel's index of the interface that saw the first copy; 0 where unknown.
    pub interface_index: u32,
    /// SLL and SLL2: whether the first copy left (true) or reached (false) the capturing host.
    pub outgoing: Option<bool>,
    /// What few SYNs have.
    pub(super) repeats: Sparse<Repeats>,
}

/// Further copies of a SYN, and what it carried.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    /// The latest copy.
    pub(super) last: Option<Moment>,
    /// How many.
    pub(super) count: u32,
    /// Payload in the first.
    pub(super) fast_open: u32,
}

impl SynSeen {
    /// The latest copy.
    pub fn last(&self) -> Moment {
        self.repeats.last.unwrap_or(self.first)
    }

    /// Further copies.
    pub fn retransmissions(&self) -> u32 {
        self.repeats.count
    }

    /// Bytes of payload in it.
    pub fn fast_open(&self) -> u32 {
        self.repeats.fast_open
    }
}

/// Handshake of a join (RFC 8684 §3.2).
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// Token in the SYN: that of the end being joined.
    pub token: Option<Token>,
    /// The initiator's nonce (R_A).
    pub initiator_nonce: Option<Nonce>,
    /// The other's nonce (R_B).
    pub responder_nonce: Option<Nonce>,
    /// HMAC in the SYN/ACK.
    pub syn_ack_hmac: Option<[u8; 8]>,
    /// HMAC in the third ACK.
    pub ack_hmac: Option<[u8; 20]>,
    /// SYN/ACK without MP_JOIN.
    pub bare_syn_ack: Option<Mark>,
    /// That SYN/ACK has the MP_JOIN of the SYN: something on the way returns options that it does not know.
    pub echoed: bool,
    /// Third ACK without MP_JOIN.
    pub bare_ack: Option<Mark>,
    /// NOPs in a row in it, as in [`SynSeen::nop_run`].
    pub bare_ack_nops: u8,
    /// The frame with the SYN/ACK's HMAC.
    pub syn_ack_frame: Option<Mark>,
    /// The frame with the ACK's HMAC.
    pub ack_frame: Option<Mark>,
    /// Third ACKs with an HMAC: the last that a timer can have sent, and how many of those came after the first.
    pub ack_repeats: Option<(Moment, u32)>,
    /// The responder answered the third ACK with more than a RST, or showed by MPTCP options that it had got one.
    pub confirmed: Option<Mark>,
}

/// What the checks of a join say.
#[derive(Clone, Copy, Debug)]
pub struct JoinProof {
    /// token = hash(key)
    pub token: Verdict,
    /// HMAC of the SYN/ACK.
    pub syn_ack: Verdict,
    /// HMAC of the third ACK.
    pub ack: Verdict,
}

impl Join {
    /// What the SYN/ACK said: nonce, HMAC and frame.
    pub(super) fn answer(&self) -> Option<(Nonce, [u8; 8], Mark)> {
        let (nonce, hmac) = self.responder_nonce.zip(self.syn_ack_hmac)?;
        Some((nonce, hmac, self.syn_ack_frame?))
    }

    /// Checks the handshake. `responder` is the key of the end being joined, `initiator` the other; `responder_token` its
    /// token. `None` in place of keys says which is not known.
    pub fn verify(
        &self,
        suite: Option<Suite>,
        initiator: Option<Key>,
        responder: Option<Key>,
        responder_token: Option<Token>,
        orphan: bool,
    ) -> JoinProof {
        let unknown = Verdict::Unverifiable(if orphan { Why::ConnectionNotSeen } else { Why::KeysNotSeen });
        let token = match (self.token, responder.and(responder_token)) {
            (Some(seen), Some(expected)) => Verdict::compare(&expected.0.to_be_bytes(), &seen.0.to_be_bytes()),
            (None, Some(_)) => Verdict::Unverifiable(Why::SegmentsMissing),
            _ => unknown,
        };
        let (Some(suite), Some(key_a), Some(key_b)) = (suite, initiator, responder) else {
            return JoinProof { token, syn_ack: unknown, ack: unknown };
        };
        let nonces = self.initiator_nonce.zip(self.responder_nonce);
        let syn_ack = match (self.syn_ack_hmac, nonces) {
            (None, _) => Verdict::Unverifiable(if self.bare_syn_ack.is_some() {
                Why::NonceNotSeen
            } else {
                Why::SegmentsMissing
            }),
            (_, None) => Verdict::Unverifiable(Why::NonceNotSeen),
            (Some(seen), Some((r_a, r_b))) => {
                Verdict::compare(&join_syn_ack_hmac(suite, key_b, key_a, r_b, r_a), &seen)
            }
        };
        let ack = match (self.ack_hmac, nonces) {
            (None, _) => Verdict::Unverifiable(Why::SegmentsMissing),
            (_, None) => Verdict::Unverifiable(Why::NonceNotSeen),
            (Some(seen), Some((r_a, r_b))) => Verdict::compare(&join_ack_hmac(suite, key_a, key_b, r_a, r_b), &seen),
        };
        JoinProof { token, syn_ack, ack }
    }
}

/// A RST, and what MP_TCPRST in it says.
#[derive(Clone, Copy, Debug)]
pub struct Reset {
    /// Its sender.
    pub by: Side,
    /// Its frame.
    pub at: Moment,
    /// Raw sequence number.
    pub seq: u32,
    /// MP_TCPRST: reason and T flag.
    pub reason: Option<(ResetReason, bool)>,
    /// It answered the SYN.
    pub of_syn: bool,
    /// It has ACK: a socket sent it. A segment for which there is none is answered without, if it has ACK itself (RFC 9293
    /// §3.10.7.1).
    pub with_ack: bool,
    /// It has the sequence number that its receiver waits for, if that got what shows here: others are not obeyed (RFC 5961 §3.2).
    pub in_order: bool,
    /// It carried MP_FASTCLOSE.
    pub fastclose: bool,
    /// It carried MP_FAIL.
    pub fail: bool,
    /// The snaplen cut its options.
    pub options_cut: bool,
    /// TTL.
    pub ttl: u8,
    /// How far its sender had sent by then: an unwrapped sequence number.
    pub sent: u64,
}

impl Subflow {
    /// The data behind the SYN begins at `next`: so many of the bytes that Fast Open brought in it were accepted.
    pub(super) fn accept_fast_open(&mut self, next: u32) {
        let brought = self.syn.as_ref().map_or(0, SynSeen::fast_open);
        let initiator = &mut self.halves[self.initiator];
        let syn = initiator.syn().map(|syn| syn as u32);
        let accepted = syn.map_or(0, |syn| next.wrapping_sub(syn).wrapping_sub(1));
        if accepted > 0 && accepted <= brought {
            initiator.seldom.fast_open = accepted;
        }
    }

    /// What is known of the SYN or SYN/ACK, whichever has these flags.
    pub(super) fn syn_seen(&self, flags: TcpFlags) -> Option<&SynSeen> {
        if flags.ack() { self.syn_ack.as_ref() } else { self.syn.as_ref() }
    }

    /// Address and port of one end.
    pub fn address_of(&self, side: Side) -> (std::net::IpAddr, u16) {
        if side == self.initiator {
            (self.ip.source(), self.source_port)
        } else {
            (self.ip.destination(), self.destination_port)
        }
    }

    /// The address id of one end on it. Those of the initial subflow are 0 by definition, not on the wire (RFC 8684 §3.2).
    pub fn address_id(&self, side: Side) -> Option<u8> {
        if self.join.is_none() { self.role_shown.then_some(0) } else { self.address_ids[side] }
    }

    /// Which end sent the SYN, where a packet of the handshake shows it: behind the SYNs, MP_CAPABLE and MP_JOIN come from that end.
    pub fn shown_initiator(&self) -> Option<Side> {
        (self.initiator_known || self.syn_ack.is_some() || self.role_shown).then_some(self.initiator)
    }

    /// The RST that ended it.
    #[inline]
    pub fn reset(&self) -> Option<Reset> {
        self.seldom.reset
    }

    /// The RST did not end it, as this frame shows.
    #[cold]
    pub(super) fn survive_reset(&mut self, shown: Mark) {
        let reset = self.seldom.reset.take();
        self.seldom.after_survived = self.seldom.after_reset.take();
        self.seldom.survived = reset.map(|reset| (reset, shown));
        self.update_carries();
    }

    /// A RST that did not end it: both ends went on, or began again.
    pub fn overcome_reset(&self) -> Option<Reset> {
        let begun_again = || self.seldom.attempts.map(|attempts| attempts.1);
        self.seldom.survived.map(|survived| survived.0).or_else(begun_again)
    }

    /// Nanoseconds from its SYN to its third ACK, as far as they were captured: a round trip.
    pub fn handshake_ns(&self) -> u64 {
        let answer = self
            .syn
            .as_ref()
            .zip(self.syn_ack.as_ref())
            .map_or(0, |(syn, syn_ack)| syn_ack.last().time.since(syn.last().time));
        answer.saturating_add(self.third_ack_delay)
    }

    /// Takes note of a segment of `side`: a RST, or one that comes after its RST.
    #[inline]
    pub(super) fn note_resets(&mut self, side: Side, segment: &Segment<'_>, frame: Mark) {
        if segment.flags.rst() {
            let sent = RstSent { by: side, seq: segment.seq, with_ack: segment.flags.ack() };
            let known = &self.seldom.resets;
            let of_side = known.iter().filter(|other| other.by == side).count();
            if of_side < limits::RESETS && !known.contains(&sent) {
                self.seldom.resets.push(sent);
            }
        } else if let Some(seldom) = self.seldom.written()
            && !segment.flags.syn()
            && seldom.reset.is_some_and(|reset| reset.by == side)
        {
            seldom.after_reset.get_or_insert(frame);
        }
    }

    /// Handshakes that a RST ended before the one that is told of.
    pub fn earlier_attempts(&self) -> u64 {
        self.seldom.attempts.map_or(0, |attempts| u64::from(attempts.0))
    }

    /// Whether both ends have closed it.
    pub fn is_closed(&self) -> bool {
        let both = self.halves.client.fin.is_some() && self.halves.server.fin.is_some();
        self.reset().is_some() || both || self.seldom.abandoned
    }

    /// Whether a RST of `side` says only that no socket is left: it has no ACK, and comes right behind a FIN of that end. What
    /// the other end sent, and whether that was a FIN, the capture does not have.
    pub(super) fn is_left(&self, side: Side, segment: &Segment<'_>) -> bool {
        let half = &self.halves[side];
        !segment.flags.ack()
            && self.halves[side.peer()].is_unseen()
            && half.fin.is_some_and(|(fin, _)| half.unwrap(segment.seq) == fin + 1)
    }

    /// Whether each end acknowledged the other's FIN: TCP is done (RFC 9293 §3.6), and a RST can only answer a stray segment.
    pub(super) fn is_over(&self) -> bool {
        let over = |half: &Half| half.fin.zip(half.acked()).is_some_and(|((fin, _), acked)| acked > fin);
        over(&self.halves.client) && over(&self.halves.server)
    }

    /// Data may flow or not, after what may have changed that.
    pub(super) fn update_carries(&mut self) {
        let ended = self.reset().is_some() || self.halves.client.fin.is_some() || self.halves.server.fin.is_some();
        self.carries = !ended && self.is_established();
    }

    /// Whether the handshake reached the point where data may flow.
    pub fn is_established(&self) -> bool {
        match &self.join {
            _ if self.syn.is_none() && self.syn_ack.is_none() => false,
            None => self.syn_ack.is_some() && self.third_ack.is_some(),
            Some(join) => join.confirmed.is_some(),
        }
    }
}

//! Options that steer a connection: addresses, priority, failure, fast close, reset (RFC 8684 §3.3.8, §3.4 to §3.7).

use std::net::IpAddr;

use super::{Anomaly, AnomalyKind, Connection, Effects, Env, FallbackCause, Input};
use crate::crypto::auth::add_addr_hmac_check;
use crate::crypto::{Identity, Key, Suite, identify};
use crate::frame::Timestamp;
use crate::limits;
use crate::track::keys::{Dialect, KeySource, NEAR};
use crate::track::mark::Mark;
use crate::track::observer::{Event, Observer, What};
use crate::track::side::Side;
use crate::track::subflow::Subflow;
use crate::track::verdict::{Tag, Verdict, Why};
use crate::wire::{self, AddAddr, MpFastclose, MpPrio, MptcpOption, Subtype};

/// An address announced with ADD_ADDR.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    /// Who announced it.
    pub by: Side,
    /// Its id.
    pub id: u8,
    /// The address.
    pub address: IpAddr,
    /// The port, if one was given.
    pub port: Option<u16>,
    /// First announcement.
    pub frame: Mark,
    /// Its time: frames of different inputs have no order.
    pub time: Timestamp,
    /// Its HMAC; v0 has none.
    pub hmac: Option<[u8; 8]>,
    /// The echo.
    pub echoed: Option<Mark>,
    /// An echo of its id with another address or port.
    pub echoed_otherwise: Option<Mark>,
    /// Times it was echoed.
    pub echoes: u32,
    /// It was sent again after an echo, which therefore had not arrived.
    pub echo_unheard: bool,
    /// Times it was sent.
    pub sent: u32,
    /// Those that the receiver may have taken, if this is what reached it.
    pub possible: u32,
    /// Echoes, if this is what reached the announcer.
    pub echo_arrivals: Arrivals,
    /// Its REMOVE_ADDR.
    pub removed: Option<Mark>,
}

impl Announced {
    /// Whether it announced this address and port, or the address for any port.
    pub fn is_of(&self, (address, port): (IpAddr, u16)) -> bool {
        self.address == address && self.port.is_none_or(|announced| announced == port)
    }

    /// Whether it is what an id of this end names now.
    fn stands_for(&self, by: Side, id: u8) -> bool {
        self.by == by && self.id == id && self.removed.is_none()
    }
}

/// One id in a REMOVE_ADDR.
#[derive(Clone, Copy, Debug)]
pub struct Removal {
    /// Who removed it.
    pub by: Side,
    /// The id.
    pub id: u8,
    /// Its frame.
    pub frame: Mark,
    /// Its time: frames of different inputs have no order.
    pub time: Timestamp,
    /// Whether an announced address or a subflow had the id.
    pub hit: bool,
    /// Times it was sent.
    pub sent: u32,
    /// Those, if this is what reached the receiver.
    pub arrivals: Arrivals,
}

/// Options that came to the host for which they are, if what a capture shows is what came there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrivals {
    /// Those that it took.
    pub taken: u32,
    /// Whether it may have taken others.
    pub doubtful: bool,
}

impl Arrivals {
    fn note(&mut self, taken: Option<bool>) {
        self.taken += u32::from(taken == Some(true));
        self.doubtful |= taken.is_none();
    }
}

impl Announced {
    /// Checks its HMAC with the sender's and the receiver's key.
    pub fn verify(&self, suite: Option<Suite>, sender: Option<Key>, receiver: Option<Key>) -> Option<Verdict> {
        let seen = self.hmac?;
        let (Some(suite), Some(sender), Some(receiver)) = (suite, sender, receiver) else {
            return Some(Verdict::Unverifiable(Why::KeysNotSeen));
        };
        Some(match add_addr_hmac_check(suite, sender, receiver, self.id, self.address, self.port, seen) {
            Ok(variant) => Verdict::Verified(Some(variant)),
            Err(expected) => Verdict::Mismatch { expected: Tag::new(&expected), seen: Tag::new(&seen) },
        })
    }
}

impl Connection {
    /// Checks the HMAC of an announcement; `None` where it has none.
    pub fn prove_announced(&self, announced: &Announced) -> Option<Verdict> {
        let (sender, receiver) = (self.key_of(announced.by), self.key_of(announced.by.peer()));
        announced.verify(self.dialect.map(Dialect::suite), sender, receiver)
    }

    /// The MPTCP options of a segment that are none of MP_CAPABLE, MP_JOIN and DSS, and one that cannot be told apart.
    pub(super) fn controls<O: Observer>(&mut self, input: &Input<'_, '_>, env: &mut Env<'_, O>, effects: &mut Effects) {
        for option in input.options.control() {
            self.control(&option, input, env, effects);
        }
        if let Some(error) = input.options.unusual().and_then(|unusual| unusual.broken) {
            let subtype = match error.what {
                wire::What::Subtype(subtype) => Some(subtype),
                wire::What::Kind(_) => None,
            };
            self.anomaly(AnomalyKind::MalformedOption(subtype, Some(error)), input, env.at, None);
        }
    }

    #[cold]
    #[inline(never)]
    fn control<O: Observer>(
        &mut self,
        option: &MptcpOption<'_>,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
        effects: &mut Effects,
    ) {
        match option {
            MptcpOption::AddAddr(add) if !self.dialect.is_none_or(|dialect| dialect.has_form(add.form())) => {
                self.anomaly(AnomalyKind::MalformedOption(Some(Subtype::ADD_ADDR), None), input, env.at, None);
            }
            MptcpOption::AddAddr(add) if add.echo() => self.echo(add, input),
            MptcpOption::AddAddr(add) => self.add_addr(add, input, env),
            MptcpOption::RemoveAddr(remove) => {
                for &id in remove.ids {
                    self.remove_addr(id, input, env);
                }
            }
            // Version 1 has no address id in it (RFC 8684 §3.3.8).
            MptcpOption::MpPrio(prio) if prio.address_id.is_some() && self.dialect == Some(Dialect::Rfc8684) => {
                self.anomaly(AnomalyKind::MalformedOption(Some(Subtype::MP_PRIO), None), input, env.at, None);
            }
            MptcpOption::MpPrio(prio) => self.prio(*prio, input, env),
            MptcpOption::MpFail(fail) => self.fail(fail.dsn, input, env),
            MptcpOption::MpFastclose(close) => self.fastclose(close, input, env, effects),
            // Version 0 has no such option.
            MptcpOption::MpTcprst(_) if input.segment.flags.rst() && self.dialect != Some(Dialect::Rfc6824) => {}
            MptcpOption::MpTcprst(_) => {
                self.anomaly(AnomalyKind::OptionOutOfPlace(Subtype::MP_TCPRST), input, env.at, None);
            }
            MptcpOption::Malformed { subtype, error, .. } => {
                self.anomaly(AnomalyKind::MalformedOption(Some(*subtype), Some(*error)), input, env.at, None);
            }
            _ => {}
        }
    }

    /// Whether the receiver takes the options of a segment that came to it as it shows here; `None` where that is not certain.
    /// TCP drops what lies before that which was acknowledged (RFC 9293 §3.10.7.4), and may drop what others overtook.
    fn is_taken(&self, input: &Input<'_, '_>) -> Option<bool> {
        let subflow = self.subflows.get(usize::from(input.subflow))?;
        let (from, to) = (&subflow.halves[input.side], &subflow.halves[input.side.peer()]);
        let end = from.unwrap(input.segment.seq) + u64::from(input.segment.payload_len);
        let behind = from.acked().is_some_and(|acked| end < acked);
        if subflow.reset().is_some() || behind {
            return Some(false);
        }
        let overtaken = end < from.next || to.acked().is_some_and(|acked| to.unwrap(input.segment.ack) < acked);
        (!overtaken && to.fin.is_none()).then_some(true)
    }

    /// Likewise with REMOVE_ADDR, which is looked at later: not any more if the receiver has no open socket by then, and
    /// perhaps not where data has ended.
    fn is_removal_taken(&self, input: &Input<'_, '_>) -> Option<bool> {
        let peer = input.side.peer();
        let open = |subflow: &Subflow| subflow.reset().is_none() && subflow.halves[peer].fin.is_none();
        if !self.subflows.iter().any(open) {
            return Some(false);
        }
        let ended = Side::BOTH.into_iter().any(|side| self.data[side].fin.is_some());
        self.is_taken(input).filter(|taken| !(*taken && ended))
    }

    fn add_addr<O: Observer>(&mut self, add: &AddAddr, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let by = input.side;
        let possible = u32::from(self.is_taken(input) != Some(false));
        let same_id = |known: &&mut Announced| known.stands_for(by, add.address_id);
        let mut reused = None;
        for known in self.addresses.iter_mut().filter(same_id) {
            if known.address == add.address && known.port == add.port {
                known.sent += 1;
                known.possible += possible;
                known.echo_unheard |= known.echoed.is_some();
                return;
            }
            if known.address != add.address {
                reused = Some(known.frame);
            }
        }
        if let Some(earlier) = reused {
            self.anomaly(AnomalyKind::AddressIdReused(add.address_id), input, env.at, Some(earlier));
        }
        if self.addresses.len() < limits::ADDRESSES {
            self.addresses.push(Announced {
                by,
                id: add.address_id,
                address: add.address,
                port: add.port,
                frame: env.at.frame,
                time: env.at.time,
                hmac: add.hmac,
                echoed: None,
                echoed_otherwise: None,
                echoes: 0,
                echo_unheard: false,
                sent: 1,
                possible,
                echo_arrivals: Arrivals::default(),
                removed: None,
            });
        } else {
            self.seldom.left_out.addresses += 1;
        }
        self.tell(Some(input.subflow), What::AddressAnnounced(add.address_id), env);
    }

    fn echo(&mut self, add: &AddAddr, input: &Input<'_, '_>) {
        let announcer = input.side.peer();
        let taken = self.is_taken(input);
        let matching = |known: &&mut Announced| {
            known.by == announcer
                && known.id == add.address_id
                && known.address == add.address
                && known.port == add.port
        };
        let same_id = |known: &&mut Announced| known.stands_for(announcer, add.address_id);
        let mut announced = self.addresses.written().into_iter().flatten().rev();
        if let Some(known) = announced.find(matching) {
            known.echoed.get_or_insert(self.last.frame);
            known.echoes += 1;
            known.echo_arrivals.note(taken);
        } else if let Some(known) = self.addresses.written().into_iter().flatten().rev().find(same_id) {
            known.echoed_otherwise.get_or_insert(self.last.frame);
        }
    }

    fn remove_addr<O: Observer>(&mut self, id: u8, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let by = input.side;
        let taken = self.is_removal_taken(input);
        // REMOVE_ADDR is sent again on other subflows: only a new announcement makes a second one new.
        let known = self.seldom.removals.iter().rposition(|removal| removal.by == by && removal.id == id);
        let again = known.and_then(|index| self.seldom.removals.get(index)).map(|removal| removal.frame);
        let mut was_announced = false;
        let announced = self.addresses.written().into_iter().flatten();
        // An id may have been announced with several ports.
        for known in announced.filter(|known| known.stands_for(by, id)) {
            known.removed = Some(env.at.frame);
            was_announced = true;
        }
        let used = self
            .subflows
            .iter()
            .any(|subflow| subflow.address_id(by) == Some(id) && again.is_none_or(|frame| subflow.first.frame > frame));
        let hit = was_announced || used || (id == 0 && again.is_none());
        if again.is_some() && !hit {
            // Segments with data that an interface cuts of one all have its options.
            let cut = input.segment.payload_len > 0;
            if let Some(removal) = known.and_then(|index| self.seldom.removals.get_mut(index)) {
                removal.sent += u32::from(!cut);
                removal.arrivals.note(taken.filter(|_| !cut));
            }
            return;
        }
        if self.seldom.removals.len() < limits::ADDRESSES {
            let mut arrivals = Arrivals::default();
            arrivals.note(taken);
            let (frame, time) = (env.at.frame, env.at.time);
            self.seldom.removals.push(Removal { by, id, frame, time, hit, sent: 1, arrivals });
        } else {
            self.seldom.left_out.removals += 1;
        }
        if !hit && !self.options_cut {
            self.anomaly(AnomalyKind::RemovedUnknown(id), input, env.at, None);
        }
        self.tell(Some(input.subflow), What::AddressRemoved(id), env);
    }

    fn prio<O: Observer>(&mut self, prio: MpPrio, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        let side = input.side;
        let number = self.number();
        for (index, subflow) in self.subflows.iter_mut().enumerate() {
            let applies = match prio.address_id {
                None => index == usize::from(input.subflow),
                Some(id) => subflow.address_id(side) == Some(id) && !subflow.is_closed(),
            };
            if applies {
                subflow.backup[side] = prio.backup;
                subflow.seldom.backup_since[side] = prio.backup.then_some(env.at.time);
                if subflow.seldom.backup_changes.len() < limits::ADDRESSES {
                    subflow.seldom.backup_changes.push((env.at.frame, side, prio.backup));
                } else {
                    self.seldom.left_out.priority_changes += 1;
                }
                let subflow = Some(index as u16);
                let what = What::BackupChanged;
                env.observer.event(Event { connection: self.id, number, subflow, at: env.at, what });
            }
        }
    }

    fn fail<O: Observer>(&mut self, dsn: u64, input: &Input<'_, '_>, env: &mut Env<'_, O>) {
        self.seldom.note_failed(input.side, (env.at.frame, dsn, input.subflow));
        let alone = self.subflows.iter().filter(|subflow| !subflow.is_closed()).count() <= 1;
        if !input.segment.flags.rst() && alone {
            self.fall_back(FallbackCause::MpFail, env.at.frame, Some(input.side), env);
        }
    }

    /// The key in MP_FASTCLOSE is that of the receiver: it proves who sent it, or teaches a key that was not seen.
    fn fastclose<O: Observer>(
        &mut self,
        close: &MpFastclose,
        input: &Input<'_, '_>,
        env: &mut Env<'_, O>,
        effects: &mut Effects,
    ) {
        let receiver = input.side.peer();
        let right = match &self.ends[receiver].key {
            Some(known) if known.source > KeySource::Fastclose || known.key == close.key => {
                Some(known.key == close.key)
            }
            _ => {
                if self.dialect.is_none() {
                    self.dialect = self.dialect_that_fits(receiver, close.key);
                }
                // A join that names the token that follows from it proves it.
                let token = self.dialect.map(|dialect| identify(dialect.suite(), close.key).token);
                let proven = token.is_some() && token == self.ends[receiver].token_named;
                self.learn_key(receiver, close.key, KeySource::Fastclose, input, env, effects);
                proven.then_some(true)
            }
        };
        if right == Some(false) {
            self.anomaly(AnomalyKind::FastcloseKeyWrong, input, env.at, None);
            return;
        }
        if self.seldom.fastclose.is_none() {
            self.seldom.fastclose = Some((input.side, env.at, right));
            self.tell(Some(input.subflow), What::Fastclosed, env);
        }
    }

    /// Which rules make `key` the key of `side`: those whose token a join named, or whose IDSN lies just below the DSNs seen.
    pub(in crate::track) fn dialect_that_fits(&self, side: Side, key: Key) -> Option<Dialect> {
        [Dialect::Rfc8684, Dialect::Rfc6824]
            .into_iter()
            .find(|dialect| self.is_identity_of(side, &identify(dialect.suite(), key)))
    }

    /// Whether a join named this token of `side`, or its IDSN lies just below the DSNs seen.
    pub(in crate::track) fn is_identity_of(&self, side: Side, identity: &Identity) -> bool {
        let (dsn, whole) = self.data[side].dsn(self.data[side].seen.end().max(crate::track::data::ORIGIN));
        let near = whole && dsn.wrapping_sub(identity.idsn) < NEAR;
        self.ends[side].token_named == Some(identity.token) || near
    }

    pub(in crate::track) fn note_join_denied(&mut self, subflow: u16, side: Side, frame: Mark) {
        self.note(Anomaly { kind: AnomalyKind::JoinDenied, frame, subflow, side, other: None });
    }
}

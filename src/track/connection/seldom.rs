//! What few connections have. It lies apart, so that the many others take no room and no time for it.

use super::{Anomaly, HandoverSeen, Removal};
use crate::crypto::Nonce;
use crate::limits;
use crate::track::left_out::LeftOut;
use crate::track::mark::{Mark, Moment};
use crate::track::side::{PerSide, Side};
use crate::track::sparse::empty;
use crate::track::stuck::Stuck;

/// What few connections have.
#[derive(Clone, Debug, Default)]
pub struct Seldom {
    /// Ids in REMOVE_ADDR.
    pub removals: Vec<Removal>,
    /// MP_FAIL by sender: its frame, DSN and subflow.
    pub failed: PerSide<Option<(Mark, u64, u16)>>,
    /// The first MP_FAIL on each further subflow, by sender.
    pub failed_elsewhere: PerSide<Vec<(Mark, u64, u16)>>,
    /// Further segments with MP_FAIL, by sender.
    pub fail_repeats: PerSide<u32>,
    /// Infinite mapping by sender.
    pub infinite: PerSide<Option<Mark>>,
    /// MP_FASTCLOSE: sender, frame, whether its key is the receiver's.
    pub fastclose: Option<(Side, Moment, Option<bool>)>,
    /// What broke a rule.
    pub anomalies: Vec<Anomaly>,
    /// What limits left out of lists.
    pub left_out: LeftOut,
    /// Moves of data from a silent path.
    pub handovers: PerSide<Vec<HandoverSeen>>,
    /// By sender: data that TCP delivers again and again while the DATA_ACK stays: its position, and the subflow that brought it
    /// last.
    pub stuck: PerSide<Option<(Stuck, u16)>>,
    /// Data-level bytes by sender that joins carried before it was known whose they are: observers never had them.
    pub carried_before: PerSide<u64>,
    /// Nonces of joins by subflow, where these are many.
    pub(in crate::track) nonces: Vec<Option<Nonce>>,
}

empty! {
    Seldom = Seldom {
        removals: Vec::new(),
        failed: PerSide { client: None, server: None },
        failed_elsewhere: PerSide { client: Vec::new(), server: Vec::new() },
        fail_repeats: PerSide { client: 0, server: 0 },
        infinite: PerSide { client: None, server: None },
        fastclose: None,
        anomalies: Vec::new(),
        left_out: LeftOut::NOTHING,
        handovers: PerSide { client: Vec::new(), server: Vec::new() },
        stuck: PerSide { client: None, server: None },
        carried_before: PerSide { client: 0, server: 0 },
        nonces: Vec::new(),
    };
}

impl Seldom {
    /// Exchanges client and server.
    pub(in crate::track) fn swap_sides(&mut self) {
        let Self {
            removals,
            failed,
            failed_elsewhere,
            fail_repeats,
            infinite,
            fastclose,
            anomalies,
            left_out: _,
            handovers,
            stuck,
            carried_before,
            nonces: _,
        } = self;
        stuck.swap();
        failed.swap();
        failed_elsewhere.swap();
        fail_repeats.swap();
        infinite.swap();
        handovers.swap();
        carried_before.swap();
        for removal in removals {
            removal.by = removal.by.peer();
        }
        for anomaly in anomalies {
            anomaly.side = anomaly.side.peer();
        }
        if let Some((side, _, _)) = fastclose {
            *side = side.peer();
        }
    }

    /// Takes note of an MP_FAIL: the first of this side on its subflow, or one more.
    pub(in crate::track) fn note_failed(&mut self, side: Side, failed: (Mark, u64, u16)) {
        if self.mp_fails(side).any(|known| known.2 == failed.2) {
            self.fail_repeats[side] += 1;
            return;
        }
        match &mut self.failed[side] {
            first @ None => *first = Some(failed),
            Some(_) => self.failed_elsewhere[side].push(failed),
        }
    }

    /// The first MP_FAIL of this side on each subflow: frame, DSN, subflow.
    pub fn mp_fails(&self, side: Side) -> impl Iterator<Item = (Mark, u64, u16)> {
        self.failed[side].into_iter().chain(self.failed_elsewhere[side].iter().copied())
    }

    /// Takes over what was seen of a connection whose subflows are numbered from `base` here.
    pub(in crate::track) fn absorb(&mut self, other: &mut Self, base: u16) {
        let Self {
            removals,
            failed,
            failed_elsewhere,
            fail_repeats,
            infinite,
            fastclose,
            anomalies,
            left_out,
            handovers,
            // Told of one connection: it begins anew.
            stuck: _,
            carried_before,
            // Those of the subflows come with them.
            nonces: _,
        } = other;
        self.left_out.absorb(left_out);
        self.removals.append(removals);
        self.left_out.removals += self.removals.len().saturating_sub(limits::ADDRESSES) as u64;
        self.removals.truncate(limits::ADDRESSES);
        for anomaly in anomalies.drain(..) {
            self.note(Anomaly { subflow: anomaly.subflow + base, ..anomaly });
        }
        self.fastclose = self.fastclose.or(*fastclose);
        for side in Side::BOTH {
            for (frame, dsn, subflow) in failed[side].into_iter().chain(failed_elsewhere[side].drain(..)) {
                self.note_failed(side, (frame, dsn, subflow + base));
            }
            self.fail_repeats[side] += fail_repeats[side];
            self.infinite[side] = self.infinite[side].or(infinite[side]);
            self.carried_before[side] += carried_before[side];
            let known = &mut self.handovers[side];
            known.extend(handovers[side].drain(..).map(|seen| HandoverSeen {
                from: seen.from + base,
                to: seen.to + base,
                ..seen
            }));
            self.left_out.handovers += known.len().saturating_sub(limits::HANDOVERS) as u64;
            known.truncate(limits::HANDOVERS);
        }
    }

    /// Remembers a breach of the rules, as long as there is room.
    pub(super) fn note(&mut self, anomaly: Anomaly) {
        if self.anomalies.len() < limits::ANOMALIES {
            self.anomalies.push(anomaly);
        } else {
            self.left_out.anomalies += 1;
        }
    }

    /// Bytes on the heap.
    pub(in crate::track) fn heap_bytes(&self) -> usize {
        self.removals.capacity() * size_of::<Removal>()
            + self.anomalies.capacity() * size_of::<Anomaly>()
            + (self.handovers.client.capacity() + self.handovers.server.capacity()) * size_of::<HandoverSeen>()
            + self.nonces.capacity() * size_of::<Option<Nonce>>()
            + [&self.failed_elsewhere.client, &self.failed_elsewhere.server]
                .map(|list| list.capacity() * size_of::<(Mark, u64, u16)>())
                .iter()
                .sum::<usize>()
    }
}

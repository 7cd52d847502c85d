//! What each end saw. A device between two captures makes them differ, and an end answers what it got, not what was sent to it:
//! what an end is said to have received is what the capture shows that was made nearest to it.

use super::{is_at, nearer_to_server, twin};
use crate::capture::Inputs;
use crate::diagnose::Evidence;
use crate::track::connection::{Announced, Connection};
use crate::track::mark::Mark;
use crate::track::side::Side;
use crate::track::subflow::{JoinProof, Subflow};
use crate::track::verdict::Verdict;

/// A subflow and its index in its connection.
type Numbered<'a> = (u16, &'a Subflow);
/// The same in what shows it.
type Seen<'a> = (&'a Connection, u16, &'a Subflow);

/// What shows a connection nearest to one end, among those that show it from its beginning, if any does.
pub(crate) fn nearest<'a>(
    connection: &'a Connection,
    views: &[&'a Connection],
    side: Side,
    inputs: Inputs<'_>,
) -> &'a Connection {
    let begins = |view: &Connection| view.initial().is_some_and(|initial| initial.syn.is_some());
    let whole = views.iter().copied().filter(|view| begins(view) || !begins(connection));
    whole.fold(connection, |best, view| {
        let nearer = if side == Side::Server { nearer_to_server(view, best) } else { nearer_to_server(best, view) };
        if is_at(view, side, inputs) || (nearer && !is_at(best, side, inputs)) { view } else { best }
    })
}

impl<'a> Evidence<'a> {
    /// All that shows the connection: itself, then its other views.
    pub(in crate::diagnose) fn all(&self) -> impl Iterator<Item = &'a Connection> {
        std::iter::once(self.connection).chain(self.views.iter().copied())
    }

    /// The connection as this end saw it.
    pub(in crate::diagnose) fn seen_by(&self, side: Side) -> &'a Connection {
        nearest(self.connection, &self.views, side, self.inputs)
    }

    /// A subflow of the connection, with its number, as this end saw it.
    pub(in crate::diagnose) fn subflow_seen_by(&self, side: Side, subflow: Numbered<'a>) -> Seen<'a> {
        subflow_seen_by((self.connection, &self.views), side, subflow, self.inputs)
    }

    /// The number in the report of a subflow of `view`.
    pub(in crate::diagnose) fn number_of(&self, view: &Connection, index: u16) -> Option<u16> {
        if std::ptr::eq(view, self.connection) {
            return Some(index);
        }
        let same = |subflow: &Subflow| twin(subflow, view).is_some_and(|(other, _)| other == index);
        self.connection.subflows.iter().position(same).map(|number| number as u16)
    }
}

fn subflow_seen_by<'a>(
    (connection, views): (&'a Connection, &[&'a Connection]),
    side: Side,
    (index, subflow): Numbered<'a>,
    inputs: Inputs<'_>,
) -> Seen<'a> {
    let own = (connection, index, subflow);
    if views.is_empty() {
        return own;
    }
    let seen = nearest(connection, views, side, inputs);
    if std::ptr::eq(seen, connection) {
        return own;
    }
    twin(subflow, seen).map_or(own, |(index, shown)| (seen, index, shown))
}

/// What the checks of a join say, each of what its receiver got.
pub(crate) fn join_proof<'a>(
    all: (&'a Connection, &[&'a Connection]),
    subflow: Numbered<'a>,
    inputs: Inputs<'_>,
) -> Option<JoinProof> {
    let (_, own) = subflow;
    let mut proof = all.0.prove_join(own, own.join.as_deref()?);
    for side in [own.initiator, own.initiator.peer()] {
        let (seen, _, shown) = subflow_seen_by(all, side, subflow, inputs);
        let Some(got) = shown.join.as_deref().map(|join| seen.prove_join(shown, join)) else { continue };
        let take = |verdict: &mut Verdict, got: Verdict| {
            if !matches!(got, Verdict::Unverifiable(_)) {
                *verdict = got;
            }
        };
        if side == own.initiator {
            take(&mut proof.syn_ack, got.syn_ack);
        } else {
            take(&mut proof.token, got.token);
            take(&mut proof.ack, got.ack);
        }
    }
    Some(proof)
}

/// An address that an end announced.
pub(crate) struct AddressSeen<'a> {
    /// What shows it.
    pub(crate) connection: &'a Connection,
    /// Its announcement, with the echo that came back to who announced it.
    pub(crate) announced: Announced,
    /// An echo that left and did not come back.
    pub(crate) lost_echo: Option<Mark>,
    /// What its receiver got of it, if anything.
    pub(crate) received: Option<(&'a Connection, &'a Announced)>,
}

/// What both ends announced: that nothing of it arrived is no reason to leave it out.
pub(crate) fn announced<'a>(
    connection: &'a Connection,
    views: &[&'a Connection],
    inputs: Inputs<'_>,
) -> Vec<AddressSeen<'a>> {
    let alone = |one: &'a Announced| {
        let (announced, received) = (*one, Some((connection, one)));
        AddressSeen { connection, announced, lost_echo: None, received }
    };
    if views.is_empty() {
        return connection.addresses.iter().map(alone).collect();
    }
    let elsewhere = Side::BOTH.into_iter().flat_map(|side| {
        let seen = nearest(connection, views, side, inputs);
        let unknown = move |one: &&Announced| one.by == side && same_announcement(seen, one, connection).is_none();
        seen.addresses.iter().filter(unknown).map(move |one| (seen, one))
    });
    let own = connection.addresses.iter().map(|one| (connection, one));
    let both_ends = |(shows, one): (&'a Connection, &'a Announced)| {
        let [sender, receiver] = [one.by, one.by.peer()].map(|side| nearest(connection, views, side, inputs));
        let mut announced = *one;
        let mut lost_echo = None;
        if let Some(sent) =
            same_announcement(shows, one, sender).filter(|sent| (sent.address, sent.port) == (one.address, one.port))
        {
            let copy = |here: Option<Mark>| here.filter(|_| sent.echoed.is_some()).or(sent.echoed);
            lost_echo = one.echoed.filter(|_| sent.echoed.is_none());
            announced.echoed = copy(one.echoed);
            announced.echoed_otherwise = sent.echoed_otherwise;
            announced.removed = one.removed.or(sent.removed);
            announced.sent = one.sent.max(sent.sent);
        }
        let received = same_announcement(shows, one, receiver).map(|got| (receiver, got));
        AddressSeen { connection: shows, announced, lost_echo, received }
    };
    own.chain(elsewhere).map(both_ends).collect()
}

/// What `other` shows of an announcement that `shows` has: that of the same id, as many as came before it with this id set aside;
/// else, the id may be what was changed on the way, that of the same address.
fn same_announcement<'a>(shows: &Connection, one: &Announced, other: &'a Connection) -> Option<&'a Announced> {
    let same_id =
        |known: &&Announced| (known.by, known.id, known.address.is_ipv4()) == (one.by, one.id, one.address.is_ipv4());
    let before = shows.addresses.iter().take_while(|known| known.frame != one.frame || known.id != one.id);
    let rank = before.filter(same_id).count();
    let same_address = |known: &&Announced| (known.by, known.address, known.port) == (one.by, one.address, one.port);
    let by_id = other.addresses.iter().filter(same_id).nth(rank);
    by_id.or_else(|| other.addresses.iter().find(same_address))
}

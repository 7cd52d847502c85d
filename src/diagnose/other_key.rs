//! Data that does not count from the key that the handshake shows of its sender.

use super::Finder;
use crate::track::connection::{Anomaly, AnomalyKind, Connection, Level};
use crate::track::keys::KeySource;
use crate::track::mark::Mark;
use crate::track::side::Side;

/// What shows that one of the ends uses another key than the handshake shows here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Its own data counts from another.
    Data,
    /// Its peer acknowledges by another.
    Acknowledgements,
}

/// What is to be said of the key of `side`, where the numbers of data show that it is not the one that an end uses.
pub(super) fn explain(finder: &Finder<'_, '_>, connection: &Connection, side: Side) -> Option<String> {
    let (sign, key) = sign_of(connection, side)?;
    let (who, peer, key) = (side.name(), side.peer().name(), finder.frame(key));
    Some(match sign {
        Sign::Data => format!(
            "The numbers of the {who}'s data do not follow from the key that frame {key} shows as the {who}'s: it was changed on the way, or is of another host"
        ),
        Sign::Acknowledgements => format!(
            "The {peer} acknowledges data by numbers that do not follow from the {who}'s key in frame {key}: it got another key"
        ),
    })
}

/// Whether the data of `side` counts from another key than the handshake shows.
pub(super) fn is_used(connection: &Connection, side: Side) -> bool {
    sign_of(connection, side).is_some_and(|(sign, _)| sign == Sign::Data)
}

/// The sign, and the frame of the key.
fn sign_of(connection: &Connection, side: Side) -> Option<(Sign, Mark)> {
    let (end, data) = (&connection.ends[side], &connection.data[side]);
    let key = end.key.filter(|known| known.source >= KeySource::Handshake)?.frame?;
    let far = |by: Side| {
        let of =
            |anomaly: &&Anomaly| anomaly.side == by && anomaly.kind == AnomalyKind::SequenceOutOfReach(Level::Data);
        connection.seldom.anomalies.iter().filter(of).count()
    };
    let unmapped = |by: Side| -> u64 {
        connection.subflows.iter().map(|subflow| subflow.halves[by].seldom.unmapped.bytes()).sum()
    };
    if data.counts_from_idsn() && far(side) > 1 && unmapped(side) > data.unique {
        return Some((Sign::Data, key));
    }
    let others = data.unique > 0 && data.acked().is_none() && far(side.peer()) > 1 && unmapped(side.peer()) == 0;
    others.then_some((Sign::Acknowledgements, key))
}

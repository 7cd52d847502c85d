//! Joins whose handshake kept its options, and whose data or acknowledgements lost theirs.

use super::joins::{and_reset, route};
use super::rules::joins as rule;
use super::version_0::is_its_kernel;
use super::{Finder, text};
use crate::track::connection::Connection;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// A join with a complete handshake.
pub(super) fn look(finder: &mut Finder<'_, '_>, connection: &Connection, index: u16, subflow: &Subflow) {
    for side in Side::BOTH {
        data_without_option(finder, index, side);
        if !connection.options_cut {
            answer_without_option(finder, connection, index, subflow, side);
        }
    }
}

/// The finding tells of the RST that follows.
pub(super) fn explains_reset(finder: &Finder<'_, '_>, index: u16) -> bool {
    let told = rule::JOIN_DATA_WITHOUT_OPTION.id;
    finder.found.iter().any(|found| found.rule.id == told && found.subflow == Some(index))
}

/// Payload, and not one mapping: the options of the handshake passed, those of data do not.
fn data_without_option(finder: &mut Finder<'_, '_>, index: u16, side: Side) {
    let Some(own) = finder.connection().subflows.get(usize::from(index)) else { return };
    let (connection, _, subflow) = finder.evidence.subflow_seen_by(side.peer(), (index, own));
    let (half, bare) = (&subflow.halves[side], &subflow.seldom.bare[side]);
    let Some(first) = bare.first.filter(|_| half.last_mapping_end().is_none() && !connection.options_cut) else {
        return;
    };
    let mut frames = vec![first];
    let text = format!(
        "The {} sent {} on the join {}, from frame {} on, without any MPTCP option: options are removed on this path after the handshake{}.",
        side.name(),
        text::counted(half.payload_bytes, "byte"),
        route(subflow),
        finder.frame(first),
        and_reset(finder, subflow, &mut frames),
    );
    finder.report(rule::JOIN_DATA_WITHOUT_OPTION, Some(index), &frames, text);
}

/// Mapped data of `side` that its peer acknowledges without DATA_ACK, and that `side` answers with a RST, as it must.
fn answer_without_option(
    finder: &mut Finder<'_, '_>,
    connection: &Connection,
    index: u16,
    subflow: &Subflow,
    side: Side,
) {
    let peer = side.peer();
    let bare = &subflow.seldom.bare[peer];
    let refused = subflow.reset().filter(|reset| reset.by == side && bare.segments == 0);
    // What the peer sent before any data, as its answer to the third ACK, is none to data.
    let silent = match (subflow.options[peer], subflow.halves[side].first_data) {
        (Some((_, last)), Some(data)) => last < data,
        (options, _) => options.is_none(),
    };
    let Some((reset, (ack, _))) = refused.zip(bare.acks.filter(|_| silent)) else { return };
    let ack = ack.frame;
    let text = format!(
        "The {} acknowledged the {}'s data on the join {} (frame {}) without DATA_ACK or any other MPTCP option, and the {} reset the subflow in frame {}: options are removed on this path after the handshake.",
        peer.name(),
        side.name(),
        route(subflow),
        finder.frame(ack),
        side.name(),
        finder.frame(reset.at.frame),
    );
    let counter = is_its_kernel(connection.dialect).then_some("MPTcpExtMPFallbackAckSub");
    finder.report_with(rule::JOIN_DATA_WITHOUT_OPTION, Some(index), &[ack, reset.at.frame], text, counter);
}

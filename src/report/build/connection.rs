//! One connection of the report.

use super::Context;
use super::subflow;
use crate::diagnose::{AddressSeen, announced};
use crate::model::{
    Address, At, CapableFlags, ChecksumMismatch, Checksums, Connection, ConnectionDirection, DataFin, Directions,
    Endpoint, Fallback, Handover, LeftOut, Reorder, Sequence64, Stack, View,
};
use crate::track::connection as tracked;
use crate::track::connection::Signal;
use crate::track::histogram::Histogram;
use crate::track::left_out as track;
use crate::track::mark::Moment;
use crate::track::side::Side;
use crate::track::verdict::Verdict;

pub(super) fn build(
    id: u64,
    connection: &tracked::Connection,
    views: &[&tracked::Connection],
    context: &Context<'_>,
) -> Connection {
    let closed = connection.is_closed();
    Connection {
        id,
        version: connection.dialect.map(crate::track::keys::Dialect::version),
        dialect: connection.dialect.map(crate::track::keys::Dialect::name),
        client: endpoint(connection, Side::Client, context),
        server: endpoint(connection, Side::Server, context),
        checksum: connection.checksum_in_use(),
        options_cut: connection.options_cut,
        outcome: connection.outcome().name(),
        fallback: fallback(connection, views, context),
        close: crate::diagnose::close_of(connection, views, context.inputs).name(),
        opened: context.moment(connection.first),
        closed: closed.then(|| context.moment(connection.last)),
        duration_ns: connection.first.time.is_known().then(|| connection.last.time.since(connection.first.time)),
        directions: directions(connection, context),
        addresses: addresses(connection, views, context),
        subflows: (0..connection.subflows.len())
            .filter_map(|index| subflow::build(connection, views, index, context))
            .collect(),
        views: views.iter().map(|view| self::view(connection, view, context)).collect(),
        stack: Stack::default(),
        findings: Vec::new(),
        left_out: left_out(connection),
    }
}

/// What limits left out; nothing for all but attacks.
fn left_out(connection: &tracked::Connection) -> Option<LeftOut> {
    let track::LeftOut { subflows, addresses, removals, priority_changes, handovers, anomalies, tuples } =
        connection.seldom.left_out;
    let unlisted = |side: Side| {
        let tally = &connection.checksums[side];
        tally.mismatch.saturating_sub(tally.mismatches.len() as u64)
    };
    let left_out = LeftOut {
        subflows,
        addresses,
        removals,
        priority_changes,
        handovers,
        breaches: anomalies,
        tuples,
        checksum_mismatches: unlisted(Side::Client) + unlisted(Side::Server),
    };
    (left_out != LeftOut::default()).then_some(left_out)
}

fn endpoint(connection: &tracked::Connection, side: Side, context: &Context<'_>) -> Endpoint {
    let end = &connection.ends[side];
    let initial = connection.initial().map(|initial| initial.address_of(side));
    Endpoint {
        address: initial.map(|address| address.0),
        port: initial.map(|address| address.1),
        key: end.key.map(|known| known.key),
        key_source: end.key.map(|known| known.source.name()),
        key_frame: end.key.and_then(|known| known.frame).map(|frame| context.frame(frame)),
        token: end.token(),
        idsn: end.key.map(|known| Sequence64(known.identity.idsn)),
        flags: connection
            .asks_for_checksums(side)
            .zip(connection.denies_join_id0(side))
            .map(|(checksum, deny_join_id0)| CapableFlags { checksum, deny_join_id0 }),
    }
}

fn directions(connection: &tracked::Connection, context: &Context<'_>) -> Directions<ConnectionDirection> {
    Directions {
        client_to_server: direction(connection, Side::Client, context),
        server_to_client: direction(connection, Side::Server, context),
    }
}

fn direction(connection: &tracked::Connection, side: Side, context: &Context<'_>) -> ConnectionDirection {
    let data = &connection.data[side];
    let order = &data.order;
    // What waited for bytes that never came has no time to show.
    let waits = Some(&order.waits).filter(|waits| order.late_bytes == 0 || waits.weight() > 0);
    let unmapped: u64 = connection.subflows.iter().map(|subflow| subflow.halves[side].seldom.unmapped.bytes()).sum();
    let shown = connection.shows_all_data_of(side);
    ConnectionDirection {
        bytes: shown.then_some(data.unique),
        acked_bytes: data
            .acked_bytes()
            .map(|bytes| bytes.saturating_sub(u64::from(connection.sent_unseen_data_fin(side)))),
        reinjected_bytes: shown.then_some(data.again.reinjected),
        reinjected_useful_bytes: shown.then_some(data.again.reinjected_useful),
        resent_bytes: shown.then_some(data.again.resent),
        unmapped_bytes: shown.then_some(unmapped),
        missing_bytes: shown.then(|| data.missing()),
        data_fin: data.fin.map(|(_, frame)| DataFin { frame: context.frame(frame), acked: data.fin_acked() }),
        checksums: checksums(connection, side, context),
        reorder: Reorder {
            late_bytes: order.late_bytes,
            max_wait_ns: waits.map(Histogram::max),
            p50_wait_ns: waits.map(|waits| waits.percentile(50)),
            p95_wait_ns: waits.map(|waits| waits.percentile(95)),
            max_buffer_bytes: order.max_buffer,
            slowest_subflow: order.slowest().map(u64::from),
        },
        handovers: connection.seldom.handovers[side]
            .iter()
            .map(|handover| Handover {
                from: u64::from(handover.from),
                to: u64::from(handover.to),
                frame: context.frame(handover.frame),
                gap_ns: handover.gap,
                signal: handover.signal.map(Signal::name),
            })
            .collect(),
    }
}

fn checksums(connection: &tracked::Connection, side: Side, context: &Context<'_>) -> Checksums {
    let tally = &connection.checksums[side];
    Checksums {
        verified: tally.verified,
        mismatch: tally.mismatch,
        unverifiable: tally.unverifiable(),
        consistent: tally.consistent(),
        mismatches: tally
            .mismatches
            .iter()
            .map(|mismatch| ChecksumMismatch {
                subflow: u64::from(mismatch.subflow),
                mapping_frame: context.frame(mismatch.placed.frame),
                last_frame: context.frame(mismatch.last_frame),
                dsn: Sequence64(mismatch.dsn),
                length: u32::from(mismatch.placed.data_len),
                expected: format!("{:04x}", mismatch.expected),
                seen: format!("{:04x}", mismatch.placed.checksum.unwrap_or_default()),
                explanation: crate::diagnose::explain_mismatch(connection, side, mismatch),
            })
            .collect(),
    }
}

fn addresses(connection: &tracked::Connection, views: &[&tracked::Connection], context: &Context<'_>) -> Vec<Address> {
    announced(connection, views, context.inputs).iter().map(|seen| address(seen, context)).collect()
}

fn address(seen: &AddressSeen<'_>, context: &Context<'_>) -> Address {
    let announced = &seen.announced;
    let (checked, received) = seen.received.unwrap_or((seen.connection, announced));
    Address {
        by: announced.by.name(),
        id: announced.id,
        address: announced.address,
        port: announced.port,
        frame: context.frame(announced.frame),
        hmac: checked.prove_announced(received).as_ref().map(model_verdict),
        echoed: announced.echoed.map(|frame| At { frame: context.frame(frame) }),
        sent: announced.sent,
        removed: announced.removed.map(|frame| At { frame: context.frame(frame) }),
    }
}

/// A verdict in the words of the report.
pub(in crate::report) fn model_verdict(verdict: &Verdict) -> crate::model::Verdict {
    use crate::model::Verdict as Model;
    match verdict {
        Verdict::Verified(variant) => Model::Verified { variant: *variant },
        Verdict::Mismatch { expected, seen } => {
            Model::Mismatch { expected: expected.to_string(), seen: seen.to_string() }
        }
        Verdict::Unverifiable(why) => Model::Unverifiable { why: why.name() },
    }
}

fn fallback(
    connection: &tracked::Connection,
    views: &[&tracked::Connection],
    context: &Context<'_>,
) -> Option<Fallback> {
    let seen = connection.fallback?;
    Some(Fallback {
        cause: seen.cause.name(),
        by: crate::diagnose::fallback_by(connection, views, context.inputs),
        frame: Some(context.frame(seen.frame)),
        counter: crate::diagnose::fallback_counter(&seen, connection),
    })
}

fn view(connection: &tracked::Connection, view: &tracked::Connection, context: &Context<'_>) -> View {
    View {
        input: context.place(view.input),
        nearer_to: if crate::diagnose::nearer_to_server(view, connection) { "server" } else { "client" },
        shows_mptcp: view.shows_mptcp(),
        differences: Vec::new(),
        segments: view.segments,
        outcome: view.outcome().name(),
        fallback: fallback(view, &[], context),
        close: view.close().name(),
        directions: directions(view, context),
        subflows: subflow::of_view(connection, view, context),
    }
}

/// The RST that a finding rests on was sent by neither end.
pub(super) fn reset_by_path(built: &mut Connection, found: &crate::diagnose::Found, context: &Context<'_>) {
    let Some(frame) = found.frames.first().map(|&frame| context.frame(frame)) else { return };
    let own = built.subflows.iter_mut().filter_map(|subflow| subflow.reset.as_mut());
    let views = built.views.iter_mut().flat_map(|view| &mut view.subflows);
    for reset in own.chain(views.filter_map(|subflow| subflow.reset.as_mut())) {
        if reset.frame == frame {
            reset.by = Some("path");
        }
    }
}

impl tracked::Connection {
    /// A connection of which nothing is known.
    pub(super) fn empty() -> Self {
        let frame = crate::frame::FrameId { number: 1, input: 0 }.into();
        Self::new(0, Moment { frame, time: crate::frame::Timestamp::default() }, 0)
    }
}

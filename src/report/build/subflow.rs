//! One subflow of the report.

use super::Context;
use super::connection::model_verdict;
use crate::diagnose::join_proof;
use crate::model::{
    AddressIds, At, Backup, BackupChange, Directions, FourTuple, Join, Reset, Rtt, SocketAddress, Subflow,
    SubflowDirection, Syn, ViewDirection, ViewSubflow,
};
use crate::track::connection::Connection;
use crate::track::half::Half;
use crate::track::histogram::Histogram;
use crate::track::side::Side;
use crate::track::subflow as tracked;

pub(super) fn build(
    connection: &Connection,
    views: &[&Connection],
    index: usize,
    context: &Context<'_>,
) -> Option<Subflow> {
    let subflow = connection.subflows.get(index)?;
    let closed = subflow.is_closed();
    Some(Subflow {
        id: index as u64,
        role: connection.role_of(subflow),
        initiator: subflow.shown_initiator().map(Side::name),
        source: SocketAddress { address: subflow.ip.source(), port: subflow.source_port },
        destination: SocketAddress { address: subflow.ip.destination(), port: subflow.destination_port },
        also_seen_as: subflow
            .seldom
            .also_seen_as
            .iter()
            .map(|(ip, source, destination)| FourTuple {
                source: SocketAddress { address: ip.source(), port: *source },
                destination: SocketAddress { address: ip.destination(), port: *destination },
            })
            .collect(),
        interfaces: std::iter::once(subflow.interface)
            .chain(subflow.seldom.more_interfaces.iter().copied())
            .map(|at| context.interface(at))
            .filter(|name| !name.is_empty())
            .collect(),
        address_ids: AddressIds {
            source: subflow.address_id(subflow.initiator),
            destination: subflow.address_id(subflow.initiator.peer()),
        },
        backup: Backup {
            client: subflow.backup.client,
            server: subflow.backup.server,
            changes: subflow
                .seldom
                .backup_changes
                .iter()
                .map(|&(frame, side, backup)| BackupChange { frame: context.frame(frame), by: side.name(), backup })
                .collect(),
        },
        join: subflow
            .join
            .as_deref()
            .filter(|_| connection.role_of(subflow).is_some())
            .and_then(|join| Some((join, join_proof((connection, views), (index as u16, subflow), context.inputs)?)))
            .map(|(join, proof)| self::join(connection, subflow, join, &proof)),
        state: subflow.state().name(),
        reset: subflow.reset().map(|reset| self::reset(reset, context)),
        syn: subflow.syn.as_ref().map(|syn| self::syn(syn, context)),
        syn_ack: subflow.syn_ack.as_ref().map(|syn| self::syn(syn, context)),
        opened: context.moment(subflow.first),
        closed: closed.then(|| context.moment(subflow.last)),
        directions: Directions {
            client_to_server: direction(connection, subflow, Side::Client, context),
            server_to_client: direction(connection, subflow, Side::Server, context),
        },
    })
}

fn join(connection: &Connection, subflow: &tracked::Subflow, join: &tracked::Join, proof: &tracked::JoinProof) -> Join {
    let absent = connection.absent_hmacs(subflow, join);
    let absent = [(absent.syn_ack, "syn_ack_hmac"), (absent.ack, "ack_hmac")];
    Join {
        absent: absent.into_iter().filter(|absent| absent.0).map(|absent| absent.1).collect(),
        token: join.token,
        token_check: model_verdict(&proof.token),
        syn_ack_hmac: model_verdict(&proof.syn_ack),
        ack_hmac: model_verdict(&proof.ack),
    }
}

fn reset(reset: tracked::Reset, context: &Context<'_>) -> Reset {
    Reset {
        by: Some(reset.by.name()),
        frame: context.frame(reset.at.frame),
        reason: reset.reason.map(|(why, _)| why.0),
        meaning: reset.reason.map(|(why, _)| why.meaning()),
        transient: reset.reason.map(|reason| reason.1),
    }
}

/// The subflows of another tap's view of `connection`.
pub(super) fn of_view(connection: &Connection, view: &Connection, context: &Context<'_>) -> Vec<ViewSubflow> {
    let ids: Vec<Option<u16>> =
        connection.subflows.iter().map(|subflow| Some(crate::diagnose::twin(subflow, view)?.0)).collect();
    let numbered = view.subflows.iter().enumerate();
    let shown = numbered.map(|(index, subflow)| ViewSubflow {
        id: ids.iter().position(|id| id.map(usize::from) == Some(index)).map(|id| id as u64),
        source: SocketAddress { address: subflow.ip.source(), port: subflow.source_port },
        destination: SocketAddress { address: subflow.ip.destination(), port: subflow.destination_port },
        state: subflow.state().name(),
        reset: subflow.reset().map(|reset| self::reset(reset, context)),
        syn: subflow.syn.as_ref().map(|syn| self::syn(syn, context)),
        syn_ack: subflow.syn_ack.as_ref().map(|syn| self::syn(syn, context)),
        directions: Directions {
            client_to_server: view_direction(&subflow.halves.client),
            server_to_client: view_direction(&subflow.halves.server),
        },
    });
    shown.collect()
}

fn view_direction(half: &Half) -> ViewDirection {
    ViewDirection {
        segments: half.segments,
        data_segments: half.seldom.digest.as_ref().map(|digest| digest.segments),
        largest_segment: half.seldom.digest.as_ref().map(|digest| digest.largest),
        payload_bytes: half.payload_bytes,
    }
}

fn syn(seen: &tracked::SynSeen, context: &Context<'_>) -> Syn {
    Syn {
        frame: context.frame(seen.first.frame),
        mss: seen.mss,
        window_scale: seen.window_scale,
        sack_permitted: seen.sack_permitted,
        timestamps: seen.timestamps,
        retransmissions: seen.retransmissions(),
        fast_open_bytes: seen.fast_open(),
    }
}

fn direction(
    connection: &Connection,
    subflow: &tracked::Subflow,
    side: Side,
    context: &Context<'_>,
) -> SubflowDirection {
    let half = &subflow.halves[side];
    let all = Some(connection.data[side].unique).filter(|&all| all > 0 && connection.shows_all_data_of(side));
    let shown = connection.shows_data_of(subflow, side);
    SubflowDirection {
        segments: half.segments,
        payload_bytes: half.payload_bytes,
        retransmitted_bytes: half.seldom.retransmitted,
        data_bytes: shown.then_some(half.data_bytes),
        share: all.map(|all| (half.data_bytes as f64 / all as f64 * 10_000.0).round() / 10_000.0),
        reinjected_bytes: shown.then_some(half.seldom.reinjected),
        rtt: rtt(&half.rtt.by_ack),
        rtt_timestamps: rtt(&half.rtt.by_timestamp),
        max_in_flight_bytes: half.most_in_flight(),
        first_data: half.first_data.map(|frame| At { frame: context.frame(frame) }),
        last_data: half.last_data.map(|frame| At { frame: context.frame(frame) }),
    }
}

fn rtt(samples: &Histogram) -> Option<Rtt> {
    (samples.weight() > 0).then(|| Rtt {
        samples: samples.weight(),
        min_ns: samples.min(),
        p50_ns: samples.percentile(50),
        p95_ns: samples.percentile(95),
        max_ns: samples.max(),
    })
}

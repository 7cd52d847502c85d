//! How paths shared the load: in-flight bytes, round-trip time, loss and share of each, over time. Which congestion control
//! does so is not on the wire.
//!
//! Round-trip times and losses of paths show near the sender only. At the receiver an acknowledgement follows at once, and a
//! segment seen twice arrived twice.

use super::{distance, is_near, round};
use crate::model::{Coupling, LoadStep, PathLoad};
use crate::track::connection::Connection;
use crate::track::half::Half;
use crate::track::side::Side;
use crate::track::timeline::Timeline;

/// How the throughput of one TCP is estimated (Mathis et al. 1997).
const ESTIMATE: &str = "1.22 * MSS / (median RTT * sqrt(loss)) of the path; none without loss";
/// Segments that must have been lost on a path before its loss rate says something.
const LOSSES: u64 = 4;
/// Segment size assumed where no SYN told one.
const MSS: u64 = 1400;

/// The load of what `side` sent.
pub(super) fn read(connection: &Connection, side: Side) -> Coupling {
    let data = &connection.data[side];
    if data.unique == 0 || !connection.shows_all_data_of(side) {
        return Coupling::default();
    }
    let near = distance(connection, side).is_some_and(is_near);
    let timeline = data.timeline.as_deref();
    let carrying = connection.subflows.iter().enumerate().filter(|(_, subflow)| subflow.halves[side].payload_bytes > 0);
    let subflows: Vec<PathLoad> = carrying
        .map(|(index, subflow)| {
            let half = &subflow.halves[side];
            let mss = |syn: &Option<crate::track::subflow::SynSeen>| syn.as_ref().and_then(|syn| syn.mss);
            let mss = mss(&subflow.syn).zip(mss(&subflow.syn_ack)).map_or(MSS, |(a, b)| u64::from(a.min(b)));
            PathLoad {
                subflow: index as u64,
                share: round(half.data_bytes as f64 / data.unique as f64, 10_000.0),
                rtt_p50_ns: median_rtt(half).filter(|_| near),
                loss: loss(half).filter(|_| near).map(|loss| round(loss, 1e6)),
                max_in_flight_bytes: half.most_in_flight(),
                one_tcp_bps: one_tcp(half, mss).filter(|_| near),
                timeline: timeline.map_or_else(Vec::new, |timeline| steps(timeline, index as u16, near)),
            }
        })
        .collect();
    let span =
        data.blocks.last.zip(data.blocks.first()).map(|(last, first)| last.time.since(first)).filter(|&span| span > 0);
    Coupling {
        less_congested_got_more: less_congested_got_more(connection, side).filter(|_| near),
        goodput_bps: span.map(|span| (data.unique as f64 * 8e9 / span as f64) as u64),
        best_path_tcp_bps: subflows.iter().filter_map(|path| path.one_tcp_bps).max(),
        estimate: subflows.iter().any(|path| path.one_tcp_bps.is_some()).then_some(ESTIMATE),
        step_ns: timeline.map(Timeline::width),
        timeline_from_ns: timeline.map(|timeline| timeline.start().since(connection.first.time)),
        subflows,
    }
}

fn median_rtt(half: &Half) -> Option<u64> {
    let by = if half.rtt.by_ack.weight() > 0 { &half.rtt.by_ack } else { &half.rtt.by_timestamp };
    (by.weight() > 0).then(|| by.percentile(50))
}

fn loss(half: &Half) -> Option<f64> {
    (half.payload_bytes > 0).then(|| half.seldom.retransmitted as f64 / half.payload_bytes as f64)
}

/// Loss enough to be no accident.
fn clear_loss(half: &Half, mss: u64) -> Option<f64> {
    loss(half).filter(|_| half.seldom.retransmitted >= LOSSES * mss)
}

fn one_tcp(half: &Half, mss: u64) -> Option<u64> {
    let loss = clear_loss(half, mss)?;
    let rtt = median_rtt(half)? as f64 / 1e9;
    (rtt > 0.0).then(|| (1.22 * mss as f64 * 8.0 / (rtt * loss.sqrt())) as u64)
}

/// Between the paths that carried most and second most: whether the one with clearly less loss is the first.
fn less_congested_got_more(connection: &Connection, side: Side) -> Option<bool> {
    let mut halves: Vec<&Half> = connection.subflows.iter().map(|subflow| &subflow.halves[side]).collect();
    halves.retain(|half| half.data_bytes >= 64 * MSS);
    halves.sort_by_key(|half| std::cmp::Reverse(half.data_bytes));
    let &[most, second, ..] = halves.as_slice() else { return None };
    let clear = [most, second].into_iter().any(|half| clear_loss(half, MSS).is_some());
    let (a, b) = (loss(most)?, loss(second)?);
    let differ = clear && (a >= 2.0 * b || b >= 2.0 * a);
    differ.then_some(a < b)
}

fn steps(timeline: &Timeline, subflow: u16, near: bool) -> Vec<LoadStep> {
    let row = timeline.rows().find(|row| row.0 == subflow);
    let steps = row.map_or(&[][..], |row| row.1).iter().enumerate();
    steps
        .filter(|(_, step)| step.bytes > 0 || step.resent > 0)
        .map(|(index, step)| LoadStep {
            step: index as u32,
            bytes: step.bytes,
            in_flight_bytes: step.in_flight,
            rtt_us: (near && step.rtt_us > 0).then_some(step.rtt_us),
            retransmitted_bytes: step.resent,
        })
        .collect()
}

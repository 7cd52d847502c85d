//! What the report says of the capture as a whole.

use std::collections::BTreeMap;

use crate::capture::{InputInfo, Inputs};
use crate::diagnose;
use crate::frame::LinkType;
use crate::model::{
    CaptureStack, CaptureSummary, ConnectionsLeft, Finding, Header, Input, Interface, NotDecoded, SCHEMA, Skipped,
    TcpConnections,
};
use crate::text;
use crate::track::{Counts, Undecoded};

/// Frames that were not decoded, by link type.
pub(super) fn not_decoded(undecoded: &[Undecoded]) -> Vec<NotDecoded> {
    let mut packets: BTreeMap<LinkType, u64> = BTreeMap::new();
    for known in undecoded {
        *packets.entry(known.link).or_default() += known.packets;
    }
    packets.into_iter().map(|(link, packets)| NotDecoded { link_type: link.to_string(), packets }).collect()
}

/// Everything that is not a connection.
pub(super) fn header(counts: &Counts, inputs: Inputs<'_>, incomplete_fragments: u64, stack: CaptureStack) -> Header {
    let left = counts.left;
    Header {
        schema: SCHEMA,
        tool: concat!("mptcp-inspect ", env!("CARGO_PKG_VERSION")).to_owned(),
        inputs: inputs.as_given().map(input).collect(),
        capture: CaptureSummary {
            first: counts.first,
            last: counts.last,
            packets: counts.packets,
            tcp_segments: counts.tcp_segments,
            mptcp_segments: counts.mptcp_segments,
            options_cut_segments: counts.options_cut_segments,
            duplicates: counts.duplicates,
            view_segments: counts.view_segments,
            skipped: Skipped {
                not_ip: counts.not_ip,
                not_tcp: counts.not_tcp,
                malformed: counts.malformed,
                fragments_incomplete: incomplete_fragments,
                evicted: counts.evicted,
            },
            not_decoded: Vec::new(),
            connections_left: (left.total() > 0).then_some(ConnectionsLeft {
                closed: left.closed,
                idle: left.idle,
                half_open: left.half_open,
                limit: left.limit,
                findings: None,
            }),
            joins_without_connection: 0,
        },
        tcp_connections: TcpConnections {
            seen: counts.tcp_connections,
            asked_for_mptcp: (counts.asked_for_mptcp > 0 || counts.options_cut_segments == 0)
                .then_some(counts.asked_for_mptcp),
            forgotten: counts.flows_evicted,
        },
        stack,
    }
}

/// Live: packets that the kernel dropped are missing from everything else that is said.
pub(super) fn dropped_packets(inputs: &[InputInfo]) -> Option<Finding> {
    let dropped: u64 = inputs.iter().filter_map(|input| input.dropped).sum();
    let rule = diagnose::rules::capture::CAPTURE_DROPPED_PACKETS;
    (dropped > 0).then(|| Finding {
        id: rule.id,
        severity: rule.severity,
        message: format!(
            "The capture lost {} beside {} that it has: what is said of missing packets may be wrong.",
            text::counted(dropped, "packet"),
            text::count(inputs.iter().map(|input| input.packets).sum())
        ),
        connection: None,
        subflow: None,
        frames: Vec::new(),
        rfc: None,
        counter: None,
        advice: Some(rule.advice),
        between: None,
    })
}

fn input(info: &InputInfo) -> Input {
    Input {
        name: info.name.clone(),
        kind: info.kind.as_str(),
        interfaces: info
            .interfaces
            .iter()
            .map(|interface| Interface {
                name: interface.name.clone(),
                link_type: interface.link.to_string(),
                snaplen: interface.snaplen,
            })
            .collect(),
        packets: info.packets,
        cut_after: info.cut_after,
        dropped: info.dropped,
    }
}

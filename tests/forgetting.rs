//! What a live run forgets, and when: the tracker's tables hold what is alive, whatever came before.

use std::path::Path;

use etherparse::PacketBuilder;
use mptcp_inspect::capture::{OpenOptions, Source, open};
use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::limits;
use mptcp_inspect::packet::Decoder;
use mptcp_inspect::report::{Departed, Report, TrackedReport};
use mptcp_inspect::track::connection::Connection;
use mptcp_inspect::track::expire::Left;
use mptcp_inspect::track::observer::Observer;
use mptcp_inspect::track::{Config, Tracker};

const SECOND: i64 = 1_000_000_000;

/// Keeps what left.
#[derive(Default)]
struct Leaving(Vec<(Left, u64, usize)>, Departed);

impl Observer for Leaving {
    fn left(&mut self, connection: &Connection, reason: Left) {
        let bytes = connection.data.client.unique + connection.data.server.unique;
        self.0.push((reason, bytes, connection.subflows.len()));
    }

    fn forgotten(&mut self, connection: &Connection) {
        self.1.add(connection, Timestamp(connection.last.time.0 + 75 * SECOND));
    }
}

/// Feeds a capture, `later` nanoseconds after its own time; gives the time of its last frame.
fn feed(tracker: &mut Tracker, capture: &Path, later: i64, leaving: &mut Leaving) -> i64 {
    let mut source = open(capture, 0, &OpenOptions::default()).unwrap();
    let mut decoder = Decoder::new();
    let mut last = 0;
    while source.advance().unwrap() {
        let mut frame = source.frame();
        frame.time.0 += later;
        last = frame.time.0;
        let decoded = decoder.decode(&frame);
        tracker.frame(&frame, &decoded, leaving);
    }
    last
}

#[test]
fn a_closed_connection_leaves_after_a_while_and_the_same_one_again_is_as_new() {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures/v1-08-mp-prio-small/client-any.pcap");
    let mut tracker = Tracker::new(Config::default());
    let mut leaving = Leaving::default();
    let mut later = 0;
    for round in 1..=3 {
        let last = feed(&mut tracker, &capture, later, &mut leaving);
        tracker.expire(Timestamp(last + 59 * SECOND), &mut leaving);
        assert_eq!((leaving.0.len(), tracker.held()), (round - 1, 1), "strays may still come");
        // The same ports and tokens again: nothing of the first may be in the way.
        tracker.expire(Timestamp(last + 62 * SECOND), &mut leaving);
        assert_eq!((leaving.0.len(), tracker.held()), (round, 0));
        later += 100 * SECOND;
    }
    assert!(leaving.0.iter().all(|left| left.0 == Left::Closed && *left == leaving.0[0]), "{:?}", leaving.0);
    assert!(leaving.0[0].1 > 0 && leaving.0[0].2 > 1, "with its bytes and its join: {:?}", leaving.0[0]);
    // Nobody finds them any more, and the report tells of each.
    assert_eq!((tracker.counts.left.total(), tracker.departed()), (0, 3));
    tracker.finish(&mut leaving);
    let report = TrackedReport::new(tracker, Vec::new(), 0);
    assert_eq!(report.connection_count(), 3);
    for index in 0..3 {
        let summary = report.summary(index);
        assert_eq!((summary.outcome, summary.bytes, summary.id), ("mptcp", leaving.0[0].1, index as u64 + 1));
        assert!(report.has_left(index));
    }
    assert_eq!(report.kernel_counters(&[]).expect("of all").client["MPTcpExtMPCapableSYNTX"], 3);
    assert!(report.header().capture.connections_left.is_none());
}

/// A SYN with an MPTCP option from a client that never comes again.
fn syn(client: u32, option: &[u8]) -> Vec<u8> {
    let [a, b, c, d] = client.to_be_bytes();
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([a, b, c, d], [10, 0, 0, 2], 64).tcp(1024, 80, client, 65_535);
    builder.syn().options_raw(option).unwrap().write(&mut packet, &[]).unwrap();
    packet
}

#[test]
fn a_flood_of_syns_pushes_itself_out() {
    let mut tracker = Tracker::new(Config::default());
    let mut decoder = Decoder::new();
    let mut leaving = Leaving::default();
    let count = 3 * limits::LIVE_HALF_OPEN as u32;
    for client in 0..count {
        let [a, b, c, d] = client.to_be_bytes();
        let option = match client % 2 {
            0 => [30, 4, 0x01, 0x01].to_vec(),
            _ => [30, 12, 0x10, 2, a, b, c, d, d, c, b, a].to_vec(),
        };
        let data = syn(0x0b00_0000 + client, &option);
        let time = Timestamp(i64::from(client) * 100_000);
        let id = FrameId { number: u64::from(client) + 1, input: 0 };
        let frame = Frame { id, time, link: LinkType::RAW, interface: 0, data: &data, wire_len: data.len() as u32 };
        let decoded = decoder.decode(&frame);
        tracker.frame(&frame, &decoded, &mut leaving);
        if client % 500 == 0 {
            tracker.expire(time, &mut leaving);
            assert!(tracker.held() <= limits::LIVE_HALF_OPEN);
        }
    }
    let now = i64::from(count) * 100_000;
    tracker.expire(Timestamp(now), &mut leaving);
    assert_eq!(tracker.held(), limits::LIVE_HALF_OPEN);
    assert!(leaving.0.iter().all(|left| left.0 == Left::HalfOpen));
    // The rest is given up when it is as old as handshakes get.
    for round in 0..4 {
        tracker.expire(Timestamp(now + (100 + round) * SECOND), &mut leaving);
    }
    let kept = limits::RETIRED_HALF_OPEN as u64;
    assert_eq!((tracker.held(), tracker.counts.left.half_open), (0, u64::from(count) - kept));
    // What was found of those that are forgotten is known: nobody answered the half that is no join.
    tracker.finish(&mut leaving);
    let report = TrackedReport::new(tracker, Vec::new(), 0).with_departed(std::mem::take(&mut leaving.1));
    let left = report.header().capture.connections_left.expect("some");
    let forgotten = (u64::from(count) - kept) / 2;
    assert_eq!((left.half_open, left.findings.map(|found| found.warnings)), (2 * forgotten, Some(forgotten)));
    let counters = report.kernel_counters(&[]).expect("of all");
    assert_eq!(counters.client["MPTcpExtMPCapableSYNTX"], u64::from(count) / 2);
}

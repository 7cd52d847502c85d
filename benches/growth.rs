//! Whether a packet costs the same however much there is to remember: `cargo bench --bench growth` measures decoding,
//! tracking and the report's summaries over more and more connections, and over more and more subflows in one connection,
//! prints the figures and draws `benches/growth.svg`. `-- --quick` stops at 100,000 connections and draws nothing.
//!
//! Measured is the processor's time of all threads, so that other processes disturb little; of several runs the best counts.
//! There are two figures for each: with memory that the process has used before, and with memory that the kernel has to find
//! and clear first, as for a program that runs once. What the kernel takes for that differs much from machine to machine.

mod traffic;

/// As in the program.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use std::fmt::Write as _;
use std::time::Duration;

use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::packet::Decoder;
use mptcp_inspect::report::{Report, TrackedReport};
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use traffic::{Maker, Traffic};

/// Packets made at once: they fit a core's cache no better than a file's do.
const CHUNK: usize = 50_000;
/// Packets to run over for one figure, in several runs if one has fewer.
const ENOUGH: u64 = 600_000;

/// One figure.
struct Point {
    x: u64,
    packets: u64,
    nanoseconds: f64,
    /// With fresh memory.
    fresh: f64,
}

/// What becomes of the memory that a run took.
#[derive(Clone, Copy, PartialEq)]
enum Memory {
    /// The next run finds it.
    Reused,
    /// Nobody ever does.
    Kept,
}

fn main() {
    // cargo passes --bench; cargo test runs benches without it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let most = if quick { 100_000 } else { 1_000_000 };
    let short = Traffic { connections: 0, subflows: 2, segments: 4, payload: 100, checksums: false, at_once: 100 };
    let connections: Vec<Point> = [100, 1_000, 10_000, 100_000, 1_000_000]
        .into_iter()
        .filter(|&count| count <= most)
        .map(|count| measure(u64::from(count), Traffic { connections: count, ..short }))
        .collect();
    // The same number of packets and the same share of handshakes in each.
    let subflows: Vec<Point> = [2_u16, 5, 10, 20, 50, 100, 200]
        .into_iter()
        .map(|count| {
            let segments = 20 * u32::from(count);
            let connections = 4_000 / u32::from(count);
            let traffic = Traffic { connections, subflows: count, segments, at_once: 10, ..short };
            measure(u64::from(count), traffic)
        })
        .collect();
    for (what, points) in [("connections", &connections), ("subflows in a connection", &subflows)] {
        println!("{what:>26}     packets   ns a packet   to the first   with fresh memory");
        let first = points.first().map_or(1.0, |point| point.nanoseconds);
        for Point { x, packets, nanoseconds, fresh } in points {
            println!("{x:>26}  {packets:>10}  {nanoseconds:>12.0}  {:>12.2}×  {fresh:>18.0}", nanoseconds / first);
        }
    }
    if !quick {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/growth.svg");
        std::fs::write(path, draw(&connections, &subflows)).expect("a place to draw");
        println!("{path}");
    }
}

fn measure(x: u64, traffic: Traffic) -> Point {
    let packets = traffic.packets();
    let runs = (ENOUGH / packets).clamp(3, 60);
    let best = |runs, memory| (0..runs).map(|_| run(traffic, memory)).min().unwrap_or_default();
    let of_each = |time: Duration| time.as_nanos() as f64 / packets as f64;
    // Of what takes gigabytes, the first run finds no memory, and the second that of the first.
    let fresh = if packets > 10 * ENOUGH { run(traffic, Memory::Reused) } else { best(runs.min(5), Memory::Kept) };
    let reused = best(if packets > 10 * ENOUGH { 2 } else { runs }, Memory::Reused);
    Point { x, packets, nanoseconds: of_each(reused), fresh: of_each(fresh) }
}

/// Makes the traffic chunk by chunk; what takes the packets in is timed, and the summaries at the end.
fn run(traffic: Traffic, memory: Memory) -> Duration {
    let mut maker = Maker::new(traffic);
    let mut decoder = Decoder::new();
    let mut tracker = Tracker::new(Config::default());
    let mut chunk = Vec::new();
    let mut number = 0;
    let mut header = 24;
    let mut time = Duration::ZERO;
    loop {
        chunk.clear();
        let more = maker.write_some(&mut chunk, CHUNK).expect("memory");
        let began = processor_time();
        take_in(chunk.get(header..).unwrap_or_default(), &mut number, &mut decoder, &mut tracker);
        time += processor_time().saturating_sub(began);
        header = 0;
        if !more {
            break;
        }
    }
    assert_eq!(number, traffic.packets(), "each packet was taken in");
    let began = processor_time();
    tracker.finish(&mut Silent);
    let report = TrackedReport::new(tracker, Vec::new(), 0);
    let established = (0..report.connection_count()).filter(|&index| report.summary(index).outcome == "mptcp").count();
    time += processor_time().saturating_sub(began);
    let left = report.tracker().counts.left.total();
    assert_eq!(established as u64 + left, u64::from(traffic.connections), "each connection was understood");
    if memory == Memory::Kept {
        std::mem::forget(report);
    }
    time
}

fn take_in(mut records: &[u8], number: &mut u64, decoder: &mut Decoder, tracker: &mut Tracker) {
    while let Some((header, behind)) = records.split_first_chunk::<16>() {
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (data, next) = behind.split_at(word(8) as usize);
        *number += 1;
        let frame = Frame {
            id: FrameId { number: *number, input: 0 },
            time: Timestamp(i64::from(word(0)) * 1_000_000_000 + i64::from(word(4))),
            link: LinkType::RAW,
            interface: 0,
            data,
            wire_len: word(12),
        };
        tracker.frame(&frame, &decoder.decode(&frame), &mut Silent);
        records = next;
    }
}

/// What all threads of this process have used.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process has used something");
    let part = |time: TimeVal| Duration::new(time.tv_sec().unsigned_abs(), time.tv_usec() as u32 * 1000);
    part(usage.user_time()) + part(usage.system_time())
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 264.0;

/// Two diagrams side by side, one scale of time for both.
fn draw(connections: &[Point], subflows: &[Point]) -> String {
    let highest =
        connections.iter().chain(subflows).map(|point| point.nanoseconds.max(point.fresh)).fold(0.0, f64::max);
    let step = if highest > 400.0 { 100.0 } else { 50.0 };
    let top = (highest * 1.15 / step).ceil() * step;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"20\" y=\"24\" font-size=\"15\" fill=\"#222\">Processor time for a packet (ns): \
         decoding, tracking, all checks, summary</text>\n"
    );
    let panels = [
        (60.0, 410.0, connections, "connections (2 subflows each)"),
        (480.0, 830.0, subflows, "subflows in a connection"),
    ];
    for (left, right, points, title) in panels {
        panel(&mut svg, (left, right), points, title, (top, step));
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, (left, right): (f64, f64), points: &[Point], title: &str, (top, step): (f64, f64)) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let log = |x: u64| (x as f64).log10();
    let x =
        |value: u64| left + 14.0 + (log(value) - log(first.x)) / (log(last.x) - log(first.x)) * (right - left - 28.0);
    let y = |value: f64| BOTTOM - value / top * (BOTTOM - TOP);
    let mut line = 0.0;
    while line <= top {
        let at = y(line);
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\" \
             fill=\"#555\">{line}</text>",
            left - 8.0,
            at + 4.0
        );
        line += step;
    }
    let limit = y(first.nanoseconds * 1.3);
    let _ = writeln!(
        svg,
        "<path d=\"M{left} {limit:.1}H{right}\" stroke=\"#c33\" stroke-dasharray=\"5 4\"/><text x=\"{left}\" y=\"{:.1}\" \
         fill=\"#c33\">1.3 × the first</text>",
        limit - 5.0
    );
    let path = |height: fn(&Point) -> f64| -> String {
        let points: Vec<String> =
            points.iter().map(|point| format!("{:.1} {:.1}", x(point.x), y(height(point)))).collect();
        points.join("L")
    };
    let _ = writeln!(
        svg,
        "<path d=\"M{}\" fill=\"none\" stroke=\"#999\" stroke-dasharray=\"2 3\"/>\n\
         <path d=\"M{}\" fill=\"none\" stroke=\"#2563a8\" stroke-width=\"2\"/>",
        path(|point| point.fresh),
        path(|point| point.nanoseconds)
    );
    if title.starts_with("connections") {
        let highest = points.iter().map(|point| point.fresh).fold(0.0, f64::max);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#777\">with memory that the kernel clears first</text>",
            x(last.x),
            y(highest) - 8.0
        );
    }
    for point in points {
        let (at, height) = (x(point.x), y(point.nanoseconds));
        let _ = writeln!(
            svg,
            "<circle cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"3.5\" fill=\"#2563a8\"/><text x=\"{at:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\" fill=\"#222\">{:.0}</text><text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\" \
             fill=\"#555\">{}</text>",
            height + 18.0,
            point.nanoseconds,
            BOTTOM + 18.0,
            thousands(point.x)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#222\">{title}</text>",
        f64::midpoint(left, right),
        BOTTOM + 40.0
    );
}

fn thousands(number: u64) -> String {
    match number {
        1_000_000.. => format!("{} M", number / 1_000_000),
        10_000.. => format!("{} k", number / 1_000),
        _ => number.to_string(),
    }
}

//! What each stage costs a segment, and all of them together, on traffic made here: `cargo bench --bench pipeline`.
#![allow(missing_docs, reason = "criterion's macros make functions")]

mod traffic;

/// As in the program.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mptcp_inspect::capture::{self, FileSource, OpenOptions, Source};
use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::packet::checksum::sum16;
use mptcp_inspect::packet::options::Parsed;
use mptcp_inspect::packet::{Decoded, Decoder};
use mptcp_inspect::report::style::Look;
use mptcp_inspect::report::{Selection, TrackedReport, json, tree};
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};
use traffic::Traffic;

/// Few connections with much data and checksums; many short ones.
const KINDS: [(&str, Traffic); 2] = [
    ("bulk", Traffic { connections: 2, subflows: 2, segments: 5_000, payload: 1_400, checksums: true, at_once: 2 }),
    ("many", Traffic { connections: 1_000, subflows: 2, segments: 6, payload: 300, checksums: false, at_once: 50 }),
];

/// Bytes of pcap file header and record header.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

fn frames(capture: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    let mut rest = &capture[FILE_HEADER..];
    while let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (data, next) = behind.split_at(word(8) as usize);
        frames.push(Frame {
            id: FrameId { number: frames.len() as u64 + 1, input: 0 },
            time: Timestamp(i64::from(word(0)) * 1_000_000_000 + i64::from(word(4))),
            link: LinkType::RAW,
            interface: 0,
            data,
            wire_len: word(12),
        });
        rest = next;
    }
    frames
}

fn source(capture: &Arc<[u8]>) -> FileSource {
    let reader = Cursor::new(Arc::clone(capture));
    capture::read("bench", reader, 0, &OpenOptions { read_ahead: false }).expect("a capture")
}

fn track(source: &mut FileSource) -> TrackedReport {
    let mut tracker = Tracker::new(Config::default());
    let mut decoder = Decoder::new();
    while source.advance().expect("a whole capture") {
        let frame = source.frame();
        tracker.frame(&frame, &decoder.decode(&frame), &mut Silent);
    }
    tracker.finish(&mut Silent);
    TrackedReport::new(tracker, vec![source.info().clone()], 0)
}

fn write_tree(report: &TrackedReport) -> Vec<u8> {
    let mut out = Vec::new();
    let selection = Selection::new(report, &[], Some(20));
    tree::write(&mut out, report, &selection, Look::default(), false).expect("memory");
    out
}

/// The stages work on what the stages before them made, so that each is measured alone.
fn stages(criterion: &mut Criterion) {
    for (name, kind) in KINDS {
        let capture: Arc<[u8]> = kind.capture().into();
        let frames = frames(&capture);
        assert_eq!(frames.len() as u64, kind.packets(), "each packet is there");
        let mut decoders: Vec<Decoder> = frames.iter().map(|_| Decoder::new()).collect();
        let decoded: Vec<Decoded<'_>> =
            decoders.iter_mut().zip(&frames).map(|(decoder, frame)| decoder.decode(frame)).collect();
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(frames.len() as u64));
        group.bench_function(BenchmarkId::from_parameter("read"), |bench| {
            bench.iter(|| {
                let mut source = source(&capture);
                while source.advance().expect("a whole capture") {
                    black_box(source.frame());
                }
            });
        });
        group.bench_function(BenchmarkId::from_parameter("slice"), |bench| {
            let mut decoder = Decoder::new();
            bench.iter(|| {
                for frame in &frames {
                    black_box(decoder.decode(frame));
                }
            });
        });
        group.bench_function(BenchmarkId::from_parameter("options"), |bench| {
            bench.iter(|| {
                for decoded in &decoded {
                    let Decoded::Tcp(segment) = decoded else { panic!("{decoded:?}") };
                    black_box(Parsed::of(segment));
                }
            });
        });
        group.bench_function(BenchmarkId::from_parameter("track"), |bench| {
            bench.iter(|| {
                let mut tracker = Tracker::new(Config::default());
                for (frame, decoded) in frames.iter().zip(&decoded) {
                    tracker.frame(frame, decoded, &mut Silent);
                }
                tracker.finish(&mut Silent);
                tracker
            });
        });
        let report = track(&mut source(&capture));
        group.bench_function(BenchmarkId::from_parameter("report"), |bench| bench.iter(|| write_tree(&report)));
        group.bench_function(BenchmarkId::from_parameter("json"), |bench| {
            bench.iter(|| {
                let mut out = Vec::new();
                json::write(&mut out, &report, &[]).expect("memory");
                out
            });
        });
        group.bench_function(BenchmarkId::from_parameter("end to end"), |bench| {
            bench.iter(|| write_tree(&track(&mut source(&capture))));
        });
        group.finish();
    }
}

fn checksum(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..1_u32 << 16).map(|number| (number.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let mut group = criterion.benchmark_group("checksum");
    for len in [1_428, 1 << 16] {
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bench| bench.iter(|| sum16(black_box(&bytes[..len]))));
    }
    group.finish();
}

criterion_group!(benches, stages, checksum);
criterion_main!(benches);

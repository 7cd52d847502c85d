//! Real captures, altered. However they are altered, analysis ends normally and the report keeps its invariants; and where a
//! byte that a check covers is altered in all its copies, that check does not stay verified.
//!
//! `MUTATION_SECONDS` makes the first part run longer (default 20).
#![cfg(feature = "cli")]

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a package of its own, with its own lints")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mptcp_inspect::capture::{self, OpenOptions, Source};
use mptcp_inspect::frame::{Frame, FrameId, LinkType, Timestamp};
use mptcp_inspect::model::{self, Verdict};
use mptcp_inspect::packet::{Decoded, Decoder, IpPair, Segment};
use mptcp_inspect::report::{Report, TrackedReport};
use mptcp_inspect::track::observer::Silent;
use mptcp_inspect::track::{Config, Tracker};
use mptcp_inspect::wire::{self, MptcpOption, RawSequence, TcpOption};

/// Analysis of one altered capture of some hundred packets may not take longer, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);

/// A frame that owns its bytes.
#[derive(Clone)]
struct Owned {
    time: i64,
    link: LinkType,
    wire_len: u32,
    data: Vec<u8>,
}

fn captures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures");
    let mut files: Vec<PathBuf> = fs::read_dir(root)
        .expect("testdata")
        .flat_map(|folder| fs::read_dir(folder.expect("an entry").path()).expect("a folder"))
        .map(|file| file.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    files.sort();
    files
}

fn named(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures").join(name)
}

fn load(path: &Path) -> Vec<Owned> {
    let mut source = capture::open(path, 0, &OpenOptions { read_ahead: false }).expect("a capture");
    let mut frames = Vec::new();
    while matches!(source.advance(), Ok(true)) {
        let frame = source.frame();
        let (time, link, wire_len) = (frame.time.0, frame.link, frame.wire_len);
        frames.push(Owned { time, link, wire_len, data: frame.data.to_vec() });
    }
    frames
}

fn frame(index: usize, owned: &Owned) -> Frame<'_> {
    let id = FrameId { number: index as u64 + 1, input: 0 };
    let Owned { time, link, wire_len, data } = owned;
    Frame { id, time: Timestamp(*time), link: *link, interface: 0, data, wire_len: *wire_len }
}

fn analyze(frames: &[Owned]) -> TrackedReport {
    let (mut tracker, mut decoder) = (Tracker::new(Config::default()), Decoder::new());
    for (index, owned) in frames.iter().enumerate() {
        let frame = frame(index, owned);
        tracker.frame(&frame, &decoder.decode(&frame), &mut Silent);
    }
    tracker.finish(&mut Silent);
    TrackedReport::new(tracker, Vec::new(), decoder.incomplete_fragments())
}

/// A xorshift generator: the same mutations on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn mutate(frames: &mut Vec<Owned>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        let (at, other) = (random.below(frames.len()), random.below(frames.len()));
        let byte = random.next() as u8 | 1;
        match random.below(8) {
            0 | 1 => {
                // Mostly in the headers.
                let limit = frames[at].data.len().min(if byte & 2 == 0 { 120 } else { usize::MAX });
                let place = random.below(limit);
                frames[at].data.get_mut(place).into_iter().for_each(|target| *target ^= byte);
            }
            2 => drop(frames.remove(at)),
            3 => frames.insert(other, frames[at].clone()),
            4 => frames.swap(at, other),
            5 => {
                let kept = random.below(frames[at].data.len());
                frames[at].data.truncate(kept);
            }
            6 => frames[at].time = frames[at].time.wrapping_add((random.next() as i64) >> random.below(64)),
            _ => frames.truncate(frames.len() - random.below(frames.len() / 4)),
        }
        if frames.is_empty() {
            return;
        }
    }
}

#[test]
fn altered_captures_are_analysed_to_the_end() {
    let seconds = std::env::var("MUTATION_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let end = Instant::now() + Duration::from_secs(seconds);
    let captures: Vec<_> = captures().iter().map(|path| (path.clone(), load(path))).collect();
    assert!(captures.len() > 40);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut runs = 0;
    while Instant::now() < end {
        let (path, original) = &captures[runs % captures.len()];
        let mut frames = original.clone();
        frames.truncate(600);
        mutate(&mut frames, &mut random);
        let begun = Instant::now();
        let report = analyze(&frames);
        fuzz::invariants::check(&report);
        fuzz::report::print(&report, runs as u8);
        assert!(begun.elapsed() < PATIENCE, "run {runs} on {}", path.display());
        runs += 1;
    }
    println!("{runs} altered captures");
}

/// Checks that came out as verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verified {
    tokens: usize,
    syn_acks: usize,
    acks: usize,
    addresses: usize,
    checksums: u64,
}

fn verified(report: &TrackedReport) -> Verified {
    let is = |verdict: &Verdict| usize::from(matches!(verdict, Verdict::Verified { .. }));
    let mut count = Verified::default();
    let mut join = |subflow: &model::Subflow| {
        let Some(join) = &subflow.join else { return };
        count.tokens += is(&join.token_check);
        count.syn_acks += is(&join.syn_ack_hmac);
        count.acks += is(&join.ack_hmac);
    };
    let connections: Vec<_> = (0..report.connection_count()).map(|index| report.connection(index)).collect();
    connections.iter().flat_map(|connection| &connection.subflows).for_each(&mut join);
    report.orphans(&|_| true, usize::MAX).iter().flat_map(|group| &group.subflows).for_each(&mut join);
    for connection in &connections {
        count.addresses +=
            connection.addresses.iter().filter_map(|address| address.hmac.as_ref()).map(is).sum::<usize>();
        let directions = &connection.directions;
        count.checksums +=
            directions.client_to_server.checksums.verified + directions.server_to_client.checksums.verified;
    }
    count
}

/// Where something lies: frame, first byte in it, bytes.
type Place = (usize, usize, usize);

/// A piece of a capture that checks cover, with all its copies.
struct Covered {
    what: What,
    content: Vec<u8>,
    places: Vec<Place>,
}

/// Kinds of such pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Key,
    Token,
    /// Nonce of the end that joins, and of the one that answers.
    Nonce,
    SynAckHmac,
    AckHmac,
    /// Everything of an ADD_ADDR with HMAC behind the subtype.
    Announcement,
    /// Data sequence number (or its low half), subflow sequence number, length and checksum of a mapping.
    Mapping,
}

/// Finds them, with the program's decoder (which other tests judge) and with offsets from the RFCs' figures.
fn covered(frames: &[Owned]) -> Vec<Covered> {
    let mut found: Vec<Covered> = Vec::new();
    let mut decoder = Decoder::new();
    for (index, owned) in frames.iter().enumerate() {
        let frame = frame(index, owned);
        let Decoded::Tcp(segment) = decoder.decode(&frame) else { continue };
        let base = segment.options.as_ptr() as usize - frame.data.as_ptr() as usize;
        for item in wire::options(segment.options) {
            let TcpOption::Mptcp(option) = item.option else { continue };
            let at = base + usize::from(item.offset);
            for (what, from, len) in pieces(&option, item.bytes.len()) {
                if what == What::Mapping && !is_captured_whole(&option, &segment) {
                    continue;
                }
                let place = (index, at + from, len);
                let content = item.bytes[from..from + len].to_vec();
                match found.iter_mut().find(|known| known.what == what && known.content == content) {
                    Some(known) => known.places.push(place),
                    None => found.push(Covered { what, content, places: vec![place] }),
                }
            }
        }
    }
    found
}

/// Whether this segment's payload, whole, is what its mapping covers: then the checksum can be judged. (A DATA_FIN without
/// payload is such a mapping too.)
fn is_captured_whole(option: &MptcpOption<'_>, segment: &Segment<'_>) -> bool {
    let MptcpOption::Dss(dss) = option else { return false };
    let len = dss.mapping.map(|mapping| u32::from(mapping.len) - u32::from(dss.data_fin()));
    segment.payload.len() == segment.payload_len as usize && len == Some(segment.payload_len)
}

fn pieces(option: &MptcpOption<'_>, len: usize) -> Vec<(What, usize, usize)> {
    match option {
        MptcpOption::MpCapable(capable) => {
            let keys = [(4, capable.sender_key), (12, capable.receiver_key)];
            keys.into_iter().filter(|(_, key)| key.is_some()).map(|(from, _)| (What::Key, from, 8)).collect()
        }
        MptcpOption::MpFastclose(_) => vec![(What::Key, 4, 8)],
        MptcpOption::MpJoin(_) => match len {
            12 => vec![(What::Token, 4, 4), (What::Nonce, 8, 4)],
            16 => vec![(What::SynAckHmac, 4, 8), (What::Nonce, 12, 4)],
            _ => vec![(What::AckHmac, 4, 20)],
        },
        MptcpOption::AddAddr(add) if add.hmac.is_some() => vec![(What::Announcement, 3, len - 3)],
        MptcpOption::Dss(dss) if dss.mapping.is_some_and(|mapping| mapping.checksum.is_some() && mapping.len > 0) => {
            let ack = match dss.data_ack {
                None => 0,
                Some(RawSequence::Short(_)) => 4,
                Some(RawSequence::Long(_)) => 8,
            };
            vec![(What::Mapping, 4 + ack, len - 4 - ack)]
        }
        _ => Vec::new(),
    }
}

fn alter(frames: &[Owned], places: &[Place], byte: usize, mask: u8) -> Vec<Owned> {
    let mut altered = frames.to_vec();
    for &(frame, from, len) in places {
        altered[frame].data[from + byte % len] ^= mask;
    }
    altered
}

/// Captures with proofs of every kind, and how many pieces of each are altered (all would take minutes).
const PROVEN: [(&str, usize); 7] = [
    ("v1-46-dss-32bit/server-any.pcap", 10),
    ("v0-22-cc-lia/client_enp0s9.pcap", 4),
    ("v1-27-snaplen96/client-e1-s96.pcap", 6),
    ("v1-03-server-signal/client-any.pcap", 4),
    ("v1-04-fullmesh/client-any.pcap", 4),
    ("v1-43-server-initiated-join/client-any.pcap", 4),
    ("v0-01-fullmesh-csum/client_enp0s9.pcap", 4),
];

#[test]
fn what_was_altered_is_not_verified() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut tried = std::collections::BTreeMap::new();
    for (name, most) in PROVEN {
        let frames = load(&named(name));
        let before = verified(&analyze(&frames));
        let mut pieces = covered(&frames);
        while pieces.iter().filter(|piece| piece.what == What::Mapping).count() > most {
            let mappings: Vec<_> = (0..pieces.len()).filter(|&at| pieces[at].what == What::Mapping).collect();
            pieces.swap_remove(mappings[random.below(mappings.len())]);
        }
        for piece in &pieces {
            for _ in 0..2 {
                let (byte, mask) = (random.below(piece.content.len()), 1 << random.below(8));
                let after = verified(&analyze(&alter(&frames, &piece.places, byte, mask)));
                let context = format!(
                    "{name}: {:?} {:02x?} byte {byte} ^ {mask:#x}: {before:?} {after:?}",
                    piece.what, piece.content
                );
                match piece.what {
                    What::Key if before.syn_acks + before.acks > 0 => {
                        assert!(after.syn_acks + after.acks < before.syn_acks + before.acks, "{context}");
                    }
                    What::Key => {}
                    What::Token => assert!(before.tokens == 0 || after.tokens < before.tokens, "{context}"),
                    What::Nonce => {
                        assert!(before.syn_acks == 0 || after.syn_acks < before.syn_acks, "{context}");
                        assert!(before.acks == 0 || after.acks < before.acks, "{context}");
                    }
                    What::SynAckHmac => assert!(before.syn_acks == 0 || after.syn_acks < before.syn_acks, "{context}"),
                    What::AckHmac => assert!(before.acks == 0 || after.acks < before.acks, "{context}"),
                    What::Announcement => {
                        assert!(before.addresses == 0 || after.addresses < before.addresses, "{context}");
                    }
                    What::Mapping => assert!(before.checksums == 0 || after.checksums < before.checksums, "{context}"),
                }
                *tried.entry(format!("{:?}", piece.what)).or_insert(0) += 1;
            }
        }
    }
    println!("{tried:?}");
    assert_eq!(tried.len(), 7, "every kind was tried: {tried:?}");
}

/// Sender, receiver and ports: a direction of a flow.
fn flow(segment: &Segment<'_>) -> (IpPair, u16, u16) {
    (segment.ip, segment.source_port, segment.destination_port)
}

#[test]
fn altered_payload_is_not_verified() {
    let mut random = Random(0xda94_2042_e4dd_58b5);
    let mut tried = 0;
    for (name, most) in PROVEN {
        let frames = load(&named(name));
        let before = verified(&analyze(&frames)).checksums;
        if before == 0 {
            continue;
        }
        let mut decoder = Decoder::new();
        // Payload that is all of a mapping with checksum: surely covered.
        let mut segments = Vec::new();
        for (index, owned) in frames.iter().enumerate() {
            let frame = frame(index, owned);
            let Decoded::Tcp(segment) = decoder.decode(&frame) else { continue };
            if segment.payload.is_empty() || segment.flags.syn() {
                continue;
            }
            let base = segment.payload.as_ptr() as usize - frame.data.as_ptr() as usize;
            let has_checksum = wire::options(segment.options).any(|item| {
                let TcpOption::Mptcp(option) = item.option else { return false };
                is_captured_whole(&option, &segment)
                    && pieces(&option, item.bytes.len()).iter().any(|piece| piece.0 == What::Mapping)
            });
            segments.push((flow(&segment), segment.seq, index, base, segment.payload.len(), has_checksum));
        }
        let candidates: Vec<_> = segments.iter().filter(|segment| segment.5).collect();
        for _ in 0..if candidates.is_empty() { 0 } else { most } {
            let &&(flow, seq, _, _, len, _) = &candidates[random.below(candidates.len())];
            let target = seq.wrapping_add(random.below(len) as u32);
            let mask = 1 << random.below(8);
            let copies: Vec<Place> = segments
                .iter()
                .filter(|segment| segment.0 == flow && (target.wrapping_sub(segment.1) as usize) < segment.4)
                .map(|segment| (segment.2, segment.3 + target.wrapping_sub(segment.1) as usize, 1))
                .collect();
            let after = verified(&analyze(&alter(&frames, &copies, 0, mask))).checksums;
            assert!(after < before, "{name}: sequence number {target} of {flow:?} ^ {mask:#x}: {before} {after}");
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
}

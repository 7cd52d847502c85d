//! Capture files, whole: every container of the same traffic gives the same frames, tshark agrees, cuts are found at every
//! byte, and bytes may come in any portions.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use mptcp_inspect::ahead::Ahead;
use mptcp_inspect::capture::{CaptureError, FileSource, Kind, Merge, OpenOptions, Source, open, read};

const READ_AHEAD: OpenOptions = OpenOptions { read_ahead: true };
const INLINE: OpenOptions = OpenOptions { read_ahead: false };

/// Number, nanoseconds, captured bytes, length on the wire.
type Seen = (u64, i64, Vec<u8>, u32);

/// All frames of a source, and the error that ended it.
fn frames(source: &mut impl Source) -> (Vec<Seen>, Option<CaptureError>) {
    let mut seen = Vec::new();
    loop {
        match source.advance() {
            Ok(true) => {
                let frame = source.frame();
                seen.push((frame.id.number, frame.time.0, frame.data.to_vec(), frame.wire_len));
            }
            end => {
                assert!(!source.advance().unwrap(), "an end is final");
                return (seen, end.err());
            }
        }
    }
}

fn read_bytes(bytes: &[u8], options: &OpenOptions) -> Result<FileSource, CaptureError> {
    read("test", Cursor::new(bytes.to_vec()), 0, options)
}

/// A little-endian pcap in microseconds, one packet per (microseconds, length), and the frames it holds.
fn pcap(packets: &[(u32, usize)]) -> (Vec<u8>, Vec<Seen>) {
    let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
    let mut seen = Vec::new();
    for (index, &(time, len)) in packets.iter().enumerate() {
        file.extend([time / 1_000_000, time % 1_000_000, len as u32, len as u32 + 4].map(u32::to_le_bytes).concat());
        let data: Vec<u8> = (0..len).map(|byte| (byte * 7 + index) as u8).collect();
        file.extend(&data);
        seen.push((index as u64 + 1, i64::from(time) * 1000, data, len as u32 + 4));
    }
    (file, seen)
}

/// A pcapng of one Ethernet interface with an unknown block, two packets and statistics; and where its packets end.
fn pcapng() -> (Vec<u8>, [usize; 2]) {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let packet = [0_u32, 0, 5, 4, 60, 0x0403_0201].map(u32::to_le_bytes).concat();
    let mut file = block(0x0a0d_0d0a, &[0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes).concat());
    file.extend(block(1, &[1_u32, 0].map(u32::to_le_bytes).concat()));
    file.extend(block(0x4000_0bad, b"whatever"));
    file.extend(block(6, &packet));
    let first = file.len();
    file.extend(block(6, &packet));
    let second = file.len();
    file.extend(block(5, &[0; 12]));
    (file, [first, second])
}

/// A pcapng of so many interfaces, with packets of these interfaces and milliseconds, each with its number in it.
fn interleaved(interfaces: usize, packets: &[(u32, u32)], len: usize) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let mut file = block(0x0a0d_0d0a, &[0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes).concat());
    for _ in 0..interfaces {
        file.extend(block(1, &[1_u32, 0].map(u32::to_le_bytes).concat()));
    }
    for (number, (interface, time)) in packets.iter().enumerate() {
        let mut body = [*interface, 0, time * 1000, len as u32, len as u32].map(u32::to_le_bytes).concat();
        body.extend((number as u32 + 1).to_le_bytes().iter().cycle().take(len));
        file.extend(block(6, &body));
    }
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_pcap_cut_at_any_byte_is_read_up_to_the_cut() {
    let (file, expected) = pcap(&[(1, 5), (2, 0), (3, 9)]);
    let ends = [24 + 21, 24 + 21 + 16, file.len()];
    for cut in 4..24 {
        let error = read_bytes(&file[..cut], &INLINE).err().expect("no header");
        assert!(matches!(error, CaptureError::Cut { packets: 0, .. }), "{cut}: {error}");
    }
    for cut in 24..=file.len() {
        let mut source = read_bytes(&file[..cut], &INLINE).unwrap();
        let (seen, error) = frames(&mut source);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(seen, expected[..whole], "{cut}");
        let at_boundary = cut == 24 || ends.contains(&cut);
        let cut_after = (!at_boundary).then_some(whole as u64);
        assert_eq!((source.info().packets, source.info().cut_after), (whole as u64, cut_after), "{cut}");
        match error {
            None => assert!(at_boundary, "{cut}"),
            Some(error) => {
                let message = format!(
                    "test: cut short in the middle of packet {} ({whole} whole packet{} read)",
                    whole + 1,
                    if whole == 1 { "" } else { "s" }
                );
                assert_eq!(error.to_string(), message);
            }
        }
    }
}

#[test]
fn a_pcapng_cut_at_any_byte_is_read_up_to_the_cut() {
    let (file, ends) = pcapng();
    for cut in 4..=file.len() {
        let mut source = read_bytes(&file[..cut], &INLINE).unwrap();
        let (seen, error) = frames(&mut source);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(seen.len(), whole, "{cut}");
        assert_eq!(source.info().cut_after.is_some(), error.is_some(), "{cut}");
        if let Some(error) = error {
            assert!(matches!(error, CaptureError::Cut { packets, .. } if packets == whole as u64), "{cut}: {error}");
        }
        // The statistics at the end are no packet.
        if cut == file.len() - 1 {
            assert_eq!(source.info().cut_after, Some(2));
            let mut again = read_bytes(&file[..cut], &INLINE).unwrap();
            let error = frames(&mut again).1.unwrap();
            assert_eq!(error.to_string(), "test: cut short after packet 2 (2 whole packets read)");
        }
    }
}

/// The numbers of the frames in the order in which they come; each holds its own.
fn numbers(source: &mut impl Source) -> Vec<u64> {
    let (seen, error) = frames(source);
    assert!(error.is_none(), "{error:?}");
    for (number, _, data, _) in &seen {
        assert_eq!(data[..4], (*number as u32).to_le_bytes());
    }
    seen.into_iter().map(|frame| frame.0).collect()
}

/// Packets of several interfaces in the order in which their threads wrote them down come in order of time.
#[test]
fn interfaces_of_one_file_merge_by_time() {
    let packets = [(0, 100), (0, 102), (1, 101), (0, 210), (0, 330), (1, 213), (1, 213), (0, 331)];
    let in_order = [1, 3, 2, 4, 6, 7, 5, 8];
    let file = interleaved(2, &packets, 4);
    let mut source = read_bytes(&file, &INLINE).unwrap();
    assert_eq!(numbers(&mut source), in_order);
    assert_eq!((source.info().packets, source.info().cut_after), (8, None));
    // What was read before a cut comes, in order, and the cut after it.
    let mut cut = read_bytes(&file[..file.len() - 1], &INLINE).unwrap();
    let (seen, error) = frames(&mut cut);
    assert_eq!(seen.iter().map(|frame| frame.0).collect::<Vec<_>>(), in_order[..7]);
    assert!(matches!(error, Some(CaptureError::Cut { packets: 7, .. })));
    assert_eq!(cut.info().cut_after, Some(7));
    // One interface's packets stay as they are.
    let file = interleaved(1, &packets.map(|packet| (0, packet.1)), 4);
    assert_eq!(numbers(&mut read_bytes(&file, &INLINE).unwrap()), [1, 2, 3, 4, 5, 6, 7, 8]);
    // No packet is three seconds late: the clock was set back.
    let file = interleaved(2, &[(0, 5000), (1, 4900), (0, 2000), (1, 1990), (0, 5000)], 4);
    assert_eq!(numbers(&mut read_bytes(&file, &INLINE).unwrap()), [2, 1, 4, 3, 5]);
}

/// The same of more than memory should hold at once, read in a thread of its own as here.
#[test]
fn large_files_of_several_interfaces_merge_by_time() {
    // A hundred packets of one interface, then those of the other from meanwhile.
    let packets: Vec<(u32, u32)> =
        (0..600).map(|at| (at / 100 % 2, at / 200 * 200 + at % 100 * 2 + at / 100 % 2)).collect();
    let mut in_order: Vec<u64> = (1..=600).collect();
    in_order.sort_by_key(|number| packets[*number as usize - 1].1);
    for len in [72, 100_000] {
        let file = interleaved(2, &packets, len);
        assert_eq!(numbers(&mut read_bytes(&file, &INLINE).unwrap()), in_order, "{len}");
        let mut ahead = Ahead::new(read_bytes(&file, &READ_AHEAD).unwrap()).unwrap();
        assert_eq!(numbers(&mut ahead), in_order, "{len}");
        assert_eq!(ahead.inputs()[0].packets, 600);
    }
}

#[test]
fn any_byte_changed_never_panics() {
    for file in [pcap(&[(1, 5), (2, 0), (3, 9)]).0, pcapng().0] {
        for place in 0..file.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = file.clone();
                changed[place] = value;
                if let Ok(mut source) = read_bytes(&changed, &INLINE) {
                    frames(&mut source);
                }
            }
        }
    }
}

/// Gives its bytes in portions of a few.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    portion: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = buffer.len().min(self.portion);
        self.bytes.read(&mut buffer[..room])
    }
}

#[test]
fn records_may_straddle_blocks_in_every_way() {
    // Usual ones, some longer than a block's headroom, and one longer than a block; over several blocks.
    let packets: Vec<(u32, usize)> = (0..900)
        .map(|i| (i, [60, 1500, 9001, 3, 70_000][i as usize % 5]))
        .chain([(901, 2_500_000), (902, 64)])
        .collect();
    let (file, expected) = pcap(&packets);
    let gz = gzip(&file);
    for options in [READ_AHEAD, INLINE] {
        for bytes in [&file, &gz] {
            let (seen, error) = frames(&mut read_bytes(bytes, &options).unwrap());
            assert!(error.is_none(), "{error:?}");
            assert!(seen == expected, "frames differ");
        }
    }
    let (file, expected) = pcap(&packets[..40]);
    for portion in [1000, 65_536] {
        let bytes = Cursor::new(file.clone());
        let (seen, _) = frames(&mut read("trickle", Trickle { bytes, portion }, 0, &READ_AHEAD).unwrap());
        assert!(seen == expected, "frames differ");
    }
    let (file, expected) = pcap(&[(1, 5), (2, 0), (3, 9)]);
    let bytes = Cursor::new(file);
    assert_eq!(frames(&mut read("trickle", Trickle { bytes, portion: 1 }, 0, &INLINE).unwrap()).0, expected);
}

#[test]
fn gzip_members_and_zstd_frames_in_a_row() {
    let (file, expected) = pcap(&[(1, 5), (2, 600), (3, 9)]);
    let (head, tail) = file.split_at(300);
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for stored in [[gzip(head), gzip(tail)].concat(), [zst(head), zst(tail)].concat()] {
        assert_eq!(frames(&mut read_bytes(&stored, &INLINE).unwrap()).0, expected);
        let (seen, error) = frames(&mut read_bytes(&stored[..stored.len() - 9], &INLINE).unwrap());
        assert!(expected.starts_with(&seen));
        assert!(matches!(error, Some(CaptureError::Cut { .. })), "{error:?}");
    }
    let twice = read_bytes(&gzip(&gzip(&file)), &INLINE).err().unwrap();
    assert!(twice.to_string().contains("a gzip file inside a compressed one"), "{twice}");
}

/// Packets that no compression makes smaller, as a pcap, compressed by `flushed`: where the compressed bytes of the first
/// part of the file end, and all of them.
fn in_two_parts(flushed: impl Fn(&[u8], &[u8]) -> (usize, Vec<u8>)) -> (usize, Vec<u8>, Vec<Seen>) {
    let (mut file, mut expected) = pcap(&[(1, 300), (2, 300), (3, 300), (4, 300), (5, 300), (6, 300)]);
    let mut noise = 1_u64;
    for (index, frame) in expected.iter_mut().enumerate() {
        for (place, byte) in frame.2.iter_mut().enumerate() {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (noise >> 56) as u8;
            file[24 + index * 316 + 16 + place] = *byte;
        }
    }
    let (head, tail) = file.split_at(24 + 4 * 316);
    let (end, stored) = flushed(head, tail);
    (end, stored, expected)
}

/// Several members are one file; zeros behind the last are padding, anything else is damage (as gzip(1) has it).
#[test]
fn gzip_members_and_what_is_behind_them() {
    let (file, expected) = pcap(&[(1, 5), (2, 0), (3, 9)]);
    let (head, tail) = file.split_at(50);
    let members = [gzip(head), gzip(tail)].concat();
    for (behind, damaged) in [(vec![], false), (vec![0; 1], false), (vec![0; 5000], false), (vec![0, 0, 7], true)] {
        let stored = [members.as_slice(), &behind].concat();
        for options in [&INLINE, &READ_AHEAD] {
            let mut source = read_bytes(&stored, options).unwrap();
            let (seen, error) = frames(&mut source);
            assert_eq!(
                (seen.as_slice(), error.is_some()),
                (expected.as_slice(), damaged),
                "{} bytes behind",
                behind.len()
            );
        }
    }
}

/// Both compressions reserve a block type (RFC 1951 §3.2.3, RFC 8878 §3.1.1.2.2): where it appears, decoding ends at once.
#[test]
fn a_compressed_file_damaged_early_gives_the_frames_before() {
    let gz = |head: &[u8], tail: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(head).unwrap();
        encoder.flush().unwrap();
        let end = encoder.get_ref().len();
        encoder.write_all(tail).unwrap();
        (end, encoder.finish().unwrap())
    };
    let zst = |head: &[u8], tail: &[u8]| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(head).unwrap();
        encoder.flush().unwrap();
        let end = encoder.get_ref().len();
        encoder.write_all(tail).unwrap();
        (end, encoder.finish().unwrap())
    };
    for (end, mut stored, expected) in [in_two_parts(gz), in_two_parts(zst)] {
        stored[end] |= 0b110;
        for options in [&INLINE, &READ_AHEAD] {
            let (seen, error) = frames(&mut read_bytes(&stored, options).unwrap());
            // What is lost with the damage is less than two of these packets.
            assert!(seen.len() >= 2 && expected.starts_with(&seen), "{} frames", seen.len());
            let error = error.expect("an error").to_string();
            assert!(error.starts_with(&format!("test: cannot be read after packet {}: ", seen.len())), "{error}");
        }
    }
}

#[test]
fn a_compressed_file_cut_at_any_byte_is_read_up_to_the_cut() {
    let (gz, zst) = (
        |head: &[u8], tail: &[u8]| (0, gzip(&[head, tail].concat())),
        |head: &[u8], tail: &[u8]| {
            (0, [zstd::encode_all(head, 1).unwrap(), zstd::encode_all(tail, 1).unwrap()].concat())
        },
    );
    for (_, stored, expected) in [in_two_parts(gz), in_two_parts(zst)] {
        let mut most = 0;
        for cut in 1..stored.len() {
            match read_bytes(&stored[..cut], &INLINE) {
                Ok(mut source) => {
                    let (seen, error) = frames(&mut source);
                    assert!(expected.starts_with(&seen) && seen.len() >= most);
                    most = seen.len();
                    // Between two frames of zstd, nothing tells that there was another.
                    let whole = error.is_none() && seen.len() == 4;
                    assert!(whole || matches!(error, Some(CaptureError::Cut { .. })), "{cut}: {error:?}");
                }
                Err(CaptureError::Cut { packets: 0, .. }) => assert_eq!(most, 0, "{cut}"),
                Err(CaptureError::NotACapture { .. }) => assert!(cut < 4, "{cut}: no magic"),
                Err(other) => panic!("{cut}: {other}"),
            }
        }
        assert!(most >= 4, "{most} frames of all but the last byte");
    }
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    let text = read_bytes(b"hello, this is a text file", &INLINE).err().unwrap();
    assert_eq!(text.to_string(), "test: not a pcap or pcapng capture; it looks like text");
    let empty = read_bytes(b"", &INLINE).err().unwrap();
    assert!(matches!(empty, CaptureError::NotACapture { looks_like, .. } if looks_like == "an empty file"));
    let directory = open(Path::new(env!("CARGO_MANIFEST_DIR")), 0, &INLINE).err().unwrap();
    assert!(matches!(directory, CaptureError::NotACapture { looks_like, .. } if looks_like == "a directory"));
    let missing = open(Path::new("/nonexistent/trace.pcap"), 0, &INLINE).err().unwrap();
    assert!(missing.to_string().starts_with("/nonexistent/trace.pcap: cannot be opened: "), "{missing}");
}

#[test]
fn sources_merge_by_time_and_one_may_break() {
    let (a, _) = pcap(&[(10, 1), (30, 1), (30, 1), (50, 1)]);
    let (b, _) = pcap(&[(5, 1), (30, 1), (20, 1), (60, 1), (70, 1)]);
    let (c, _) = pcap(&[]);
    let source = |bytes: &[u8], input| read(format!("{input}"), Cursor::new(bytes.to_vec()), input, &INLINE).unwrap();
    let mut merge = Merge::new(vec![source(&a, 0), source(&b[..b.len() - 1], 1), source(&c, 2)]);
    let mut order = Vec::new();
    while merge.advance().unwrap() {
        let frame = merge.frame();
        order.push((frame.time.0 / 1000, frame.id.input, frame.id.number));
    }
    assert!(!merge.advance().unwrap());
    let expected = [(5, 1, 1), (10, 0, 1), (30, 0, 2), (30, 0, 3), (30, 1, 2), (20, 1, 3), (50, 0, 4), (60, 1, 4)];
    assert_eq!(order, expected);
    let problems: Vec<String> = merge.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["1: cut short in the middle of packet 5 (4 whole packets read)"]);
    let counts: Vec<_> = merge.inputs().iter().map(|input| (input.packets, input.cut_after)).collect();
    assert_eq!(counts, [(4, None), (4, Some(4)), (0, None)]);
}

#[cfg(feature = "live")]
#[test]
fn filters_apply_to_files() {
    use mptcp_inspect::capture::Filtered;

    let (file, _) = pcap(&[(1, 50), (2, 200), (3, 51), (4, 300)]);
    let mut source = Filtered::new(read_bytes(&file, &INLINE).unwrap(), "greater 100").unwrap();
    let numbers: Vec<u64> = frames(&mut source).0.iter().map(|frame| frame.0).collect();
    assert_eq!(numbers, [2, 4]);
    assert_eq!(source.inputs()[0].packets, 4);
    let error = Filtered::new(read_bytes(&file, &INLINE).unwrap(), "no such word").err().unwrap();
    assert!(error.to_string().starts_with("filter \"no such word\" is not possible on link type EN10MB: "), "{error}");
    // A pcapng's link types show as they come; there is no "ether" on one of raw IP.
    let mut raw = pcapng().0;
    raw[36] = 101;
    let mut source = Filtered::new(read_bytes(&raw, &INLINE).unwrap(), "ether host 1:2:3:4:5:6").unwrap();
    let error = source.advance().unwrap_err();
    assert!(error.to_string().contains("link type RAW"), "{error}");
    assert!(!source.advance().unwrap());
}

/// The real captures, or `None`, loudly.
fn formats() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures/v1/29-formats");
    if !folder.is_dir() {
        eprintln!("skipped: no {}", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn all_containers_of_the_same_traffic_give_the_same_frames() {
    let Some(folder) = formats() else { return };
    let all = |name: &str| {
        let mut source = open(&folder.join(name), 0, &READ_AHEAD).unwrap();
        let (seen, error) = frames(&mut source);
        (seen, error, source.info().clone())
    };
    let (expected, _, info) = all("merged.pcap");
    assert_eq!((expected.len(), info.kind, info.interfaces.len()), (770, Kind::Pcap, 1));
    assert_eq!((info.bytes_read, info.bytes_total), (781_788, Some(781_788)));
    for name in ["merged-bigendian.pcap", "merged-nsec.pcap", "merged.pcap.gz", "merged.pcap.zst", "merged-2if.pcapng"]
    {
        let (seen, error, info) = all(name);
        assert!(error.is_none() && seen == expected, "{name}");
        assert_eq!(info.bytes_read, info.bytes_total.unwrap(), "{name}");
    }
    // Recorded at two taps in nanoseconds: the same packets.
    let (two_taps, _, info) = all("two-if.pcapng");
    assert_eq!((two_taps.len(), info.kind, info.interfaces.len()), (770, Kind::Pcapng, 2));
    let (cut, error, info) = all("merged-truncated.pcap");
    assert!(expected.starts_with(&cut) && info.cut_after == Some(cut.len() as u64));
    assert!(error.unwrap().to_string().contains(&format!("in the middle of packet {}", cut.len() + 1)));
}

#[test]
fn tshark_sees_the_same_frames() {
    let Some(folder) = formats() else { return };
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("skipped: no tshark");
        return;
    }
    for name in ["merged.pcap", "merged-nsec.pcap", "merged-truncated.pcap", "merged-2if.pcapng", "two-if.pcapng"] {
        let path = folder.join(name);
        let fields = ["frame.number", "frame.time_epoch", "frame.cap_len", "frame.len"];
        let arguments = fields.iter().flat_map(|field| ["-e", field]);
        let output =
            Command::new("tshark").arg("-r").arg(&path).args(["-T", "fields"]).args(arguments).output().unwrap();
        let theirs = String::from_utf8(output.stdout).unwrap();
        let mut source = open(&path, 0, &READ_AHEAD).unwrap();
        let mut ours = frames(&mut source).0;
        // tshark keeps the order of the file.
        ours.sort_by_key(|frame| frame.0);
        let ours: Vec<String> = ours
            .iter()
            .map(|(number, time, data, wire)| {
                let (seconds, nanos) = (time / 1_000_000_000, time % 1_000_000_000);
                format!("{number}\t{seconds}.{nanos:09}\t{}\t{wire}", data.len())
            })
            .collect();
        assert!(!theirs.is_empty() && ours == theirs.lines().collect::<Vec<_>>(), "{name}");
    }
}

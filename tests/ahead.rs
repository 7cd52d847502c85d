//! Reading and decoding in threads ahead of the analysis: what comes out is what one thread alone gets, whatever the input's
//! size, container and faults; and threads end when nobody listens any more.

use std::io::{Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mptcp_inspect::ahead::Ahead;
use mptcp_inspect::capture::{FileSource, OpenOptions, Source, open, read};
use mptcp_inspect::packet::checksum::sum16;
use mptcp_inspect::packet::options::{Options, Parsed};
use mptcp_inspect::packet::{Decoded, Decoder, Header, Segment};

const READ_AHEAD: OpenOptions = OpenOptions { read_ahead: true };
const INLINE: OpenOptions = OpenOptions { read_ahead: false };
/// Longer than anything here takes on a busy machine.
const STUCK: Duration = Duration::from_secs(300);

/// One frame, what it holds, and its options, as text; or how the input ended.
type Said = String;

fn said(source: &impl Source, decoded: &Decoded<'_>, options: &str) -> Said {
    format!("{:?} {decoded:?} {options}", source.frame())
}

fn options_of(decoded: &Decoded<'_>, read_ahead: Option<&Options<'_>>) -> String {
    match (decoded, read_ahead) {
        (Decoded::Tcp(_), Some(options)) => format!("{options:?}"),
        (Decoded::Tcp(segment), None) => format!("{:?}", Parsed::of(segment).options(segment)),
        _ => String::new(),
    }
}

/// What must be the same of an input at its end.
fn ending(source: &impl Source, error: Option<&dyn std::error::Error>, incomplete: u64) -> Said {
    format!("{:?} {:?} {incomplete}", source.inputs(), error.map(ToString::to_string))
}

/// What the headers say once the payload is summed, which may be done ahead.
fn summed(segment: &Segment<'_>) -> Header {
    let sum = sum16(segment.payload);
    assert!(segment.payload_sum.is_none_or(|taken| taken == sum));
    Header { payload_sum: Some(sum), ..*segment.header }
}

/// One thread alone: the truth here.
fn alone(mut source: FileSource) -> Vec<Said> {
    let mut decoder = Decoder::new();
    let mut all = Vec::new();
    loop {
        match source.advance() {
            Ok(true) => {
                let mut decoded = decoder.decode(&source.frame());
                let header;
                if let Decoded::Tcp(segment) = &mut decoded {
                    header = summed(segment);
                    segment.header = &header;
                }
                let line = said(&source, &decoded, &options_of(&decoded, None));
                all.push(line);
            }
            end => {
                all.push(ending(&source, end.err().as_ref().map(|error| error as _), decoder.incomplete_fragments()));
                return all;
            }
        }
    }
}

fn ahead(source: FileSource) -> Vec<Said> {
    let mut ahead = Ahead::new(source).expect("a thread");
    let mut all = Vec::new();
    loop {
        match ahead.advance() {
            Ok(true) => {
                assert!(ahead.inputs()[0].packets >= ahead.frame().id.number);
                let (_, mut decoded, options) = ahead.shown();
                let options = options_of(&decoded, options.as_ref());
                let header;
                if let Decoded::Tcp(segment) = &mut decoded {
                    header = summed(segment);
                    segment.header = &header;
                }
                all.push(said(&ahead, &decoded, &options));
            }
            end => {
                assert!(!ahead.advance().expect("said once"), "an end is final");
                all.push(ending(&ahead, end.err().as_ref().map(|error| error as _), ahead.incomplete_fragments()));
                return all;
            }
        }
    }
}

#[track_caller]
fn assert_same(name: &str, ahead: &[Said], alone: &[Said]) {
    for (index, (ahead, alone)) in ahead.iter().zip(alone).enumerate() {
        assert_eq!(ahead, alone, "{name}, frame {}", index + 1);
    }
    assert_eq!(ahead.len(), alone.len(), "{name}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn read_bytes(bytes: Vec<u8>, options: &OpenOptions) -> FileSource {
    read("bytes", Cursor::new(bytes), 7, options).expect("a capture")
}

/// Gives its bytes in portions, each of which becomes a block.
struct Portions {
    bytes: Cursor<Vec<u8>>,
    portion: usize,
}

impl Read for Portions {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = buffer.len().min(self.portion);
        self.bytes.read(&mut buffer[..room])
    }
}

fn captures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if [".pcap", ".pcapng", ".pcap.gz", ".pcap.zst"].iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "{found:?}");
    found
}

#[test]
fn every_capture_decodes_ahead_as_it_does_alone() {
    for path in captures() {
        let name = path.display().to_string();
        let expected = alone(open(&path, 3, &INLINE).expect("a capture"));
        for options in [&READ_AHEAD, &INLINE] {
            assert_same(&name, &ahead(open(&path, 3, options).expect("a capture")), &expected);
        }
    }
}

/// Blocks much smaller than usual, so that records and datagrams lie in several, and batches follow each other.
#[test]
fn captures_in_small_blocks_and_compressed_decode_ahead_as_they_do_alone() {
    for path in captures() {
        let bytes = std::fs::read(&path).expect("a file");
        if bytes.len() > 200_000 {
            continue;
        }
        let name = path.display().to_string();
        let portions = |portion| {
            let bytes = Portions { bytes: Cursor::new(bytes.clone()), portion };
            read("portions", bytes, 7, &READ_AHEAD).expect("a capture")
        };
        assert_same(&name, &ahead(portions(977)), &alone(portions(977)));
        let compressed = gzip(&bytes);
        for bytes in [compressed.clone(), compressed[..compressed.len() * 2 / 3].to_vec()] {
            let Ok(source) = read("bytes", Cursor::new(bytes.clone()), 7, &INLINE) else { continue };
            assert_same(&name, &ahead(read_bytes(bytes, &READ_AHEAD)), &alone(source));
        }
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

fn pcapng_start() -> Vec<u8> {
    let section = block(0x0a0d_0d0a, &[0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes).concat());
    [section, block(1, &[1_u32, 0].map(u32::to_le_bytes).concat())].concat()
}

fn packet(len: u32) -> Vec<u8> {
    let mut body = [0_u32, 0, 5, len, len].map(u32::to_le_bytes).concat();
    body.resize(20 + len as usize, 0x5a);
    block(6, &body)
}

/// A reader of `count` times the same bytes between two others.
fn repeated(start: Vec<u8>, middle: Vec<u8>, count: usize, end: Vec<u8>) -> impl Read + Send {
    struct Repeated(Cursor<Vec<u8>>, usize);
    impl Read for Repeated {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.1 > 0 && self.0.position() == self.0.get_ref().len() as u64 {
                self.1 -= 1;
                self.0.set_position(0);
            }
            self.0.read(buffer)
        }
    }
    Cursor::new(start).chain(Repeated(Cursor::new(middle), count - 1)).chain(Cursor::new(end))
}

/// What `work` gives, if it ends.
#[track_caller]
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, done) = mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    done.recv_timeout(STUCK).expect("it is stuck, or has panicked")
}

/// Blocks without packets go round, too: more of them than there are blocks for must not keep all.
#[test]
fn long_stretches_without_a_packet_are_passed_over() {
    let unknown = block(0x4000_0bad, &vec![0; 100_000]);
    let mut file = [pcapng_start(), packet(60)].concat();
    (0..100).for_each(|_| file.extend(&unknown));
    file.extend(packet(64));
    let expected = alone(read_bytes(file.clone(), &INLINE));
    assert_eq!(expected.len(), 3);
    for bytes in [gzip(&file), file] {
        let bytes_2 = bytes.clone();
        let seen = in_time(move || ahead(read_bytes(bytes_2, &READ_AHEAD)));
        let expected = alone(read_bytes(bytes, &INLINE));
        assert_same("stretch", &seen, &expected);
    }
}

/// Records beyond any headroom, one after another and in compressed files, too.
#[test]
fn records_longer_than_blocks_are_joined() {
    let mut file = pcapng_start();
    for len in [60, 3_000_000, 64, 70_000, 2_000_000, 1_500_000, 60] {
        file.extend(packet(len));
    }
    for bytes in [gzip(&file), file] {
        let expected = alone(read_bytes(bytes.clone(), &INLINE));
        assert_eq!(expected.len(), 8);
        assert_same("long", &in_time(move || ahead(read_bytes(bytes, &READ_AHEAD))), &expected);
    }
}

/// Peak memory of this process so far, in MiB.
#[cfg(target_os = "linux")]
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("it is there");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn stretches_without_a_packet_take_no_memory() {
    let start = [pcapng_start(), packet(60)].concat();
    let reader = repeated(start, block(0x4000_0bad, &vec![0; 1 << 20]), 600, packet(64));
    let source = read("repeated", reader, 0, &READ_AHEAD).expect("a capture");
    assert_eq!(in_time(move || ahead(source)).len(), 3);
    assert!(peak_mib() < 400, "{} MiB", peak_mib());
}

/// A reader that tells when it is dropped, and may panic at its end.
struct Watched<R> {
    reader: R,
    _alive: Arc<()>,
    panics: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        assert!(count > 0 || !self.panics, "as asked");
        Ok(count)
    }
}

#[test]
fn threads_end_when_nobody_listens() {
    let packets = packet(1000).repeat(1000);
    let mut compressed = gzip(&pcapng_start());
    (0..20).for_each(|_| compressed.extend(gzip(&packets)));
    let plain = [pcapng_start(), packets.repeat(20)].concat();
    for (bytes, frames) in [(&compressed, 0), (&compressed, 1), (&compressed, 5000), (&plain, 0), (&plain, 5000)] {
        let alive = Arc::new(());
        let reader = Watched { reader: Cursor::new(bytes.clone()), _alive: Arc::clone(&alive), panics: false };
        let mut ahead = Ahead::new(read("watched", reader, 0, &READ_AHEAD).expect("a capture")).expect("a thread");
        for _ in 0..frames {
            assert!(ahead.advance().expect("a frame"));
        }
        drop(ahead);
        in_time(move || {
            while Arc::strong_count(&alive) > 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

/// What a thread had given before it died must not pass for the whole.
#[test]
fn a_panic_in_a_thread_is_no_end_of_the_input() {
    let file = [pcapng_start(), packet(1000).repeat(1000)].concat();
    for bytes in [gzip(&file), file] {
        let reader = Watched { reader: Cursor::new(bytes), _alive: Arc::new(()), panics: true };
        let source = read("watched", reader, 0, &READ_AHEAD).expect("a capture");
        let ended = catch_unwind(AssertUnwindSafe(|| ahead(source).len()));
        assert!(ended.is_err(), "{ended:?}");
    }
}

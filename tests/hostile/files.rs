//! Files made to stop the program, to take its memory, or to write on the terminal.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use mptcp_inspect::capture::{InterfaceInfo, OpenOptions, PcapngWriter, Source, open};
use mptcp_inspect::limits;

use crate::fuzz;

/// Runs the program on a file, with at most so much memory.
fn inspect(path: &Path, memory_kib: u64) -> Output {
    let program = env!("CARGO_BIN_EXE_mptcp-inspect");
    Command::new("sh")
        .args(["-c", &format!("ulimit -v {memory_kib}; exec \"$0\" \"$1\""), program])
        .arg(path)
        .output()
        .expect("a shell")
}

/// Ends by itself (not by a signal, a panic's 101, or for want of memory), and prints no control characters.
fn ends_well(path: &Path) -> Output {
    let output = inspect(path, 1 << 20);
    let code = output.status.code().unwrap_or(-1);
    assert!((0..=3).contains(&code), "{}: {code} {}", path.display(), String::from_utf8_lossy(&output.stderr));
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.iter().any(|&byte| byte < b' ' && byte != b'\n'), "{}", String::from_utf8_lossy(text));
    }
    output
}

fn pcap_header() -> Vec<u8> {
    let mut header = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    header.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    header
}

fn record(time: u32, length: u32) -> Vec<u8> {
    let mut record: Vec<u8> = [time, 0, length, length].iter().flat_map(|word| word.to_le_bytes()).collect();
    record.resize(16 + length as usize, 0);
    record
}

#[test]
fn bombs_are_read_in_constant_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = record(1, 262_144).repeat(16);
    // 1 GiB of zeros in frames, about a thousandth of it compressed.
    let gz = folder.path().join("bomb.pcap.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(&gz).expect("a file"), flate2::Compression::fast());
    encoder.write_all(&pcap_header()).expect("room");
    (0..256).for_each(|_| encoder.write_all(&records).expect("room"));
    encoder.finish().expect("room");
    let output = ends_well(&gz);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let zst = folder.path().join("bomb.pcap.zst");
    let mut encoder = zstd::Encoder::new(std::fs::File::create(&zst).expect("a file"), 1).expect("an encoder");
    encoder.write_all(&pcap_header()).expect("room");
    (0..256).for_each(|_| encoder.write_all(&records).expect("room"));
    encoder.finish().expect("room");
    let output = ends_well(&zst);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A window of 2 GiB asks for as much memory (RFC 8878 §3.1.1.1.2): exponent 21, mantissa 0.
    let window = folder.path().join("window.zst");
    std::fs::write(&window, [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0xff, 0xff, 0xff]).expect("a file");
    ends_well(&window);
}

fn block(kind: u32, length: u32, body: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &length.to_le_bytes()].concat()
}

#[test]
fn absurd_blocks_end_the_file_not_the_program() {
    let section = block(0x0a0d_0d0a, 28, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let interface = block(1, 20, &[1, 0, 0, 0, 0, 0, 4, 0]);
    let mut files = Vec::new();
    for length in [0, 1, 11, 12, 13, 0x7fff_fffc, 0xffff_fff0, u32::MAX, (limits::CAPTURE_RECORD_BYTES as u32) + 16] {
        for kind in [1, 2, 3, 4, 5, 6, 0xbad, 0x0a0d_0d0a] {
            files.push([section.clone(), interface.clone(), block(kind, length, &[0; 64])].concat());
        }
    }
    // A packet that claims more than its block has; more interfaces than a section may have; endless options.
    files.push(
        [
            section.clone(),
            interface.clone(),
            block(6, 32, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 9, 0, 0, 0]),
        ]
        .concat(),
    );
    files.push([section.clone(), interface.repeat(limits::SECTION_INTERFACES + 10)].concat());
    files.push([section.clone(), block(1, 28, &[1, 0, 0, 0, 0, 0, 4, 0, 2, 0, 255, 255, 0, 0, 0, 0])].concat());
    let many_sections = [section, interface.repeat(1000)].concat().repeat(80);
    files.push(many_sections);
    for file in files {
        fuzz::capture_file::run(&file);
        fuzz::report::run(&[&[0x1b][..], &file].concat());
    }
}

#[test]
fn escapes_in_names_of_interfaces_reach_no_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("evil\u{1b}]0;title\u{7}.pcapng");
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures/v1-08-mp-prio-small/client-any.pcap");
    let mut source = open(&real, 0, &OpenOptions::default()).expect("a capture");
    let mut writer = PcapngWriter::new(std::fs::File::create(&path).expect("a file")).expect("room");
    while source.advance().expect("whole") {
        let frame = source.frame();
        let name = Some("\u{1b}[2J\u{7}\u{9b}A\r\n\u{202e}eth0".to_owned());
        writer.frame(&frame, &[InterfaceInfo { name, link: frame.link, snaplen: 0 }]).expect("room");
    }
    for format in ["tree", "table", "packets", "json", "ndjson"] {
        let output = Command::new(env!("CARGO_BIN_EXE_mptcp-inspect"))
            .args(["-v", "-F", format])
            .arg(&path)
            .output()
            .expect("the program");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8_lossy(&output.stderr);
        let is_json = format.ends_with("json");
        let escape =
            |c: char| (c.is_control() && c != '\n' && !(is_json && c > '\u{7f}')) || (!is_json && c == '\u{202e}');
        assert_eq!(text.chars().find(|&c| escape(c)), None, "{format}: {text:?}");
    }
}

#[test]
fn escapes_in_names_and_comments_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let section = block(0x0a0d_0d0a, 28, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    // if_name (2) and opt_comment (1), 8 bytes each: ESC [ 2 J BEL and the C1 form of CSI.
    let evil = [0x1b, b'[', b'2', b'J', 7, 0xc2, 0x9b, b'A'];
    let mut body = vec![1, 0, 0, 0, 0, 0, 4, 0];
    for code in [2_u8, 1] {
        body.extend([code, 0, 8, 0]);
        body.extend(evil);
    }
    body.extend([0; 4]);
    let length = 12 + body.len() as u32;
    let path = folder.path().join("evil\u{1b}[31m.pcapng");
    std::fs::write(&path, [section, block(1, length, &body)].concat()).expect("a file");
    let output = ends_well(&path);
    assert!(!output.stdout.windows(2).any(|pair| pair == [0xc2, 0x9b]));
}

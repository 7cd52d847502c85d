//! What the program writes: to where it was told, nothing else, whatever a capture says; and where that fails, it says what
//! is kept.
#![cfg(all(feature = "cli", unix))]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mptcp_inspect::capture::{InterfaceInfo, OpenOptions, PcapngWriter, Source, open};

/// Two subflows, 64 packets.
const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/captures/v1-08-mp-prio-small/client-any.pcap");
/// One subflow, hundreds of kilobytes of data.
const BULK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/captures/v1-01-single/client-e1.pcap");

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mptcp-inspect"));
    command.args(arguments).env_clear().env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Names in a directory.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("the directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_full_standard_output_is_an_error_that_says_so() {
    for format in ["tree", "table", "json", "packets", "ndjson"] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = program(&["-F", format, SMALL]).stdout(full).output().expect("the program");
        assert_eq!(output.status.code(), Some(2), "{format}");
        let expected = "mptcp-inspect: cannot write to standard output: No space left on device (os error 28); it has the \
                        first 0 bytes of the output\n";
        assert_eq!(stderr(&output), expected, "{format}");
    }
    let named = program(&["-o", "/dev/full", SMALL]).output().expect("the program");
    assert_eq!(named.status.code(), Some(2));
    assert!(stderr(&named).starts_with("mptcp-inspect: cannot write to /dev/full: "), "{}", stderr(&named));
    for arguments in [&["--help"][..], &["--version"], &["explain"], &["--generate", "man"]] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = program(arguments).stdout(full).output().expect("the program");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("No space left on device"), "{arguments:?}: {}", stderr(&output));
    }
}

/// Cut by a limit on the size of files, 32 kB, as by a full disk: what is there is the beginning, and the message has its size.
#[test]
fn a_report_that_does_not_fit_is_kept_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.ndjson");
    let whole = program(&["-F", "ndjson", BULK]).output().expect("the program").stdout;
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" -F ndjson -o \"$1\" \"$2\""])
        .args([env!("CARGO_BIN_EXE_mptcp-inspect"), path.to_str().expect("UTF-8"), BULK])
        .output()
        .expect("sh");
    let kept = fs::read(&path).expect("the file");
    assert!(whole.len() > kept.len() && !kept.is_empty() && whole.starts_with(&kept), "{} bytes", kept.len());
    assert_eq!(output.status.code(), Some(2));
    let expected = format!("it has the first {} bytes of the output\n", kept.len());
    assert!(stderr(&output).ends_with(&expected), "{}", stderr(&output));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    for format in ["ndjson", "packets", "json"] {
        let script = "\"$0\" -F \"$1\" \"$2\" 2>\"$3\" | head -n 1; echo \"${PIPESTATUS[0]}\"";
        let folder = tempfile::tempdir().expect("a folder");
        let errors = folder.path().join("errors");
        let output = Command::new("bash")
            .args(["-c", script, env!("CARGO_BIN_EXE_mptcp-inspect"), format, BULK])
            .arg(&errors)
            .output()
            .expect("bash");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!((text.lines().count(), text.lines().last()), (2, Some("0")), "{format}: {text}");
        assert_eq!(fs::read_to_string(&errors).expect("a file"), "", "{format}");
    }
}

/// A capture whose interface has a name that is a path, and whose section has a comment that is one.
fn treacherous(folder: &Path) -> PathBuf {
    let path = folder.join("treacherous.pcapng");
    let name = Some("../../escaped".to_owned());
    let mut source = open(Path::new(SMALL), 0, &OpenOptions::default()).expect("a capture");
    let mut writer = PcapngWriter::new(Vec::new()).expect("room");
    while source.advance().expect("whole") {
        let frame = source.frame();
        let info = InterfaceInfo { name: name.clone(), link: frame.link, snaplen: 0 };
        writer.frame(&frame, &[info]).expect("room");
    }
    let mut bytes = writer.into_inner();
    // A custom block with a comment: type, length, enterprise number, data, length.
    let comment = *b"../../../escaped/by-comment\0";
    let length = (16 + comment.len() as u32).to_le_bytes();
    bytes.extend([&0x0bad_u32.to_le_bytes()[..], &length, &[0; 4], &comment, &length].concat());
    fs::write(&path, bytes).expect("room");
    path
}

#[test]
fn extraction_writes_only_what_is_named_whatever_the_capture_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = treacherous(folder.path());
    let into = folder.path().join("a").join("streams");
    fs::create_dir_all(&into).expect("a folder");
    let output = program(&["--extract", into.to_str().expect("UTF-8")]).arg(&capture).output().expect("the program");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = ["conn-1-client_to_server.bin", "conn-1-server_to_client.bin", "manifest.json"];
    assert!(names(&into).iter().map(String::as_str).all(|name| expected.contains(&name)), "{:?}", names(&into));
    assert!(names(&into).contains("manifest.json") && names(&into).len() > 1);
    assert_eq!(names(folder.path()), ["a", "treacherous.pcapng"].map(str::to_owned).into());
    assert_eq!(names(&folder.path().join("a")), ["streams".to_owned()].into());
}

#[test]
fn extraction_replaces_links_and_leaves_other_files_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").expect("a file");
    let into = folder.path().join("streams");
    fs::create_dir(&into).expect("a folder");
    fs::write(into.join("notes.txt"), "mine").expect("a file");
    let dangling = folder.path().join("not-there-yet");
    for (name, target) in [
        ("conn-1-client_to_server.bin", &victim),
        ("conn-1-server_to_client.bin", &dangling),
        ("manifest.json", &victim),
    ] {
        symlink(target, into.join(name)).expect("a link");
    }
    let output = program(&["--extract", into.to_str().expect("UTF-8"), BULK]).output().expect("the program");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&victim).expect("the victim"), "precious");
    assert!(!dangling.exists());
    assert_eq!(fs::read_to_string(into.join("notes.txt")).expect("notes"), "mine");
    for name in ["conn-1-client_to_server.bin", "manifest.json"] {
        assert!(fs::symlink_metadata(into.join(name)).expect("the file").is_file(), "{name}");
    }
}

/// A folder where a stream's file should be is not deleted: that is an error, and the rest is written.
#[test]
fn extraction_deletes_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let in_the_way = folder.path().join("conn-1-client_to_server.bin");
    fs::create_dir(&in_the_way).expect("a folder");
    fs::write(in_the_way.join("file"), "precious").expect("a file");
    let output = program(&["--extract", folder.path().to_str().expect("UTF-8"), BULK]).output().expect("the program");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot write") && stderr(&output).contains("kept in"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(in_the_way.join("file")).expect("the file"), "precious");
}

/// A file system of 64 KiB, in a mount namespace of its own.
#[test]
fn extraction_to_a_full_disk_says_what_is_kept() {
    if !is_root() {
        eprintln!("SKIPPED: a full disk needs root, to mount one");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = "mount -t tmpfs -o size=64k none \"$1\" || { echo no mount; exit 77; }; \"$0\" -F table --extract \"$1\" \"$2\"; \
                  status=$?; cat \"$1\"/manifest.json; ls -l \"$1\" >&2; exit $status";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_mptcp-inspect")])
        .arg(folder.path())
        .arg(BULK)
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: a full disk needs unshare");
        return;
    };
    if output.status.code() == Some(77) || stderr(&output).contains("unshare failed") {
        eprintln!("SKIPPED: nothing can be mounted here: {}", stderr(&output));
        return;
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("No space left on device") && message.contains("kept in"), "{message}");
    assert!(stdout.contains("10.8.1.1"), "the report comes all the same: {stdout}");
    assert!(names(folder.path()).is_empty(), "all of it went to the small disk");
}

/// Packets to the discard port of the loopback interface, until `program` ends.
fn traffic_until(mut child: std::process::Child) -> Output {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    while child.try_wait().expect("a child").is_none() {
        let _ = socket.send_to(&[7; 1000], "127.0.0.1:9");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.wait_with_output().expect("its output")
}

#[test]
#[cfg(feature = "live")]
fn packets_saved_to_a_full_disk_are_told_of_and_the_capture_goes_on() {
    if !is_root() {
        eprintln!("SKIPPED: saving packets needs root");
        return;
    }
    let arguments = ["-i", "lo", "-w", "/dev/full", "-c", "10", "--duration", "20", "-F", "table", "udp", "port", "9"];
    let child = program(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
    let output = traffic_until(child);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let expected =
        "cannot write to /dev/full: No space left on device (os error 28); 0 B are kept, packets are saved no more";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

/// `-w` writes one file, with the names of interfaces in it and not as names of files.
#[test]
#[cfg(feature = "live")]
fn packets_are_saved_to_the_named_file_only() {
    if !is_root() {
        eprintln!("SKIPPED: saving packets needs root");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("saved.pcapng");
    let arguments = ["-i", "lo", "-c", "5", "--duration", "20", "-F", "table", "-w", saved.to_str().expect("UTF-8")];
    let mut child = program(&arguments);
    child.args(["udp", "port", "9"]).current_dir(folder.path()).stdout(Stdio::piped());
    let output = traffic_until(child.stderr(Stdio::piped()).spawn().expect("the program"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(names(folder.path()), ["saved.pcapng".to_owned()].into());
    let mut source = open(&saved, 0, &OpenOptions::default()).expect("a capture");
    let mut packets = 0;
    while source.advance().expect("whole") {
        packets += 1;
    }
    assert_eq!(packets, 5);
}

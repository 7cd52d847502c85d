//! The program as its users meet it: the real binary, its output, its messages and its exit status.
#![cfg(feature = "cli")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program with arguments as a shell would split them, in a known locale.
fn program(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mptcp-inspect"));
    command.args(arguments.split_whitespace()).env_clear().env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

fn run(arguments: &str) -> Output {
    program(arguments).output().expect("the program starts")
}

/// Standard error and exit status of a run that prints nothing to standard output.
fn complaint(arguments: &str) -> String {
    let Output { status, stdout, stderr } = run(arguments);
    assert_eq!(String::from_utf8_lossy(&stdout), "", "{arguments}");
    format!("{}exit status {}\n", String::from_utf8_lossy(&stderr), status.code().unwrap())
}

/// A file of this test run, in a directory of its own.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

/// A pcap with `packets` ARP frames, one a second.
fn pcap(packets: u32) -> Vec<u8> {
    let arp: [u8; 42] = {
        let mut frame = [0; 42];
        (frame[12], frame[13]) = (0x08, 0x06);
        frame
    };
    let mut bytes = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
    for second in 0..packets {
        bytes.extend([second, 0, arp.len() as u32, arp.len() as u32].map(u32::to_le_bytes).concat());
        bytes.extend(arp);
    }
    bytes
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn help_is_short_or_long() {
    let short = String::from_utf8(run("-h").stdout).unwrap();
    assert!(short.lines().count() <= 50, "-h fits one screen");
    insta::assert_snapshot!("help", short);
    let long = String::from_utf8(run("--help").stdout).unwrap();
    assert!(long.lines().all(|line| line.chars().count() <= 100));
    insta::assert_snapshot!("long_help", long);
    assert_eq!(run("--help").status.code(), Some(0));
}

#[test]
fn no_arguments_print_the_short_help() {
    let output = run("");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: mptcp-inspect [OPTIONS] <FILE>..."));
}

#[test]
fn wrong_usage_is_told_in_one_line_and_a_hint() {
    let wrong = [
        "--bad",
        "-F xml a.pcap",
        "--key 12 a.pcap",
        "--connection x a.pcap",
        "--width 20 a.pcap",
        "-w out.pcap a.pcap",
        "-i lo -f tcp port 80",
        "explain no-such-finding",
        "-F json",
    ];
    let complaints: Vec<String> =
        wrong.iter().map(|line| format!("$ mptcp-inspect {line}\n{}", complaint(line))).collect();
    insta::assert_snapshot!(complaints.join("\n"));
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    let text = file("notes.txt", b"Dear diary,\ntoday I captured nothing.\n");
    let empty = file("empty.pcap", b"");
    let here = env!("CARGO_TARGET_TMPDIR");
    let shown =
        [format!("{here}/missing.pcap"), here.to_owned(), text.display().to_string(), empty.display().to_string()]
            .map(|name| complaint(&name).replace(here, "TMP"));
    insta::assert_snapshot!(shown.join("\n"));
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_told_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let secret = file("secret.pcap", &pcap(1));
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
    if File::open(&secret).is_ok() {
        eprintln!("skipped: this user (root?) may read every file");
        return;
    }
    let complaint = complaint(&secret.display().to_string());
    assert!(complaint.contains("secret.pcap: cannot be opened: Permission denied"), "{complaint}");
    assert!(complaint.ends_with("exit status 2\n"), "{complaint}");
}

#[test]
fn readable_files_are_reported_even_if_others_are_not() {
    let good = file("good.pcap", &pcap(3));
    let output = run(&format!("-F json /missing.pcap {}", good.display()));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("mptcp-inspect: /missing.pcap: "));
    let report = json(&output);
    assert_eq!(report["inputs"].as_array().unwrap().len(), 1);
    assert_eq!(report["capture"]["packets"], 3);
    assert_eq!(report["capture"]["skipped"]["not_ip"], 3);
}

#[test]
fn a_cut_file_is_reported_up_to_the_cut() {
    let mut bytes = pcap(3);
    bytes.truncate(bytes.len() - 10);
    let cut = file("cut.pcap", &bytes);
    let output = run(&format!("-F json {}", cut.display()));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cut short in the middle of packet 3 (2 whole packets read)")
    );
    let report = json(&output);
    assert_eq!(report["capture"]["packets"], 2);
    assert_eq!(report["inputs"][0]["cut_after"], 2);
}

/// Frames that cannot be decoded prove nothing.
#[test]
fn an_input_of_an_unknown_link_type_is_no_capture_without_mptcp() {
    let mut bytes = pcap(3);
    bytes[20..24].copy_from_slice(&195_u32.to_le_bytes());
    let unknown = file("link-195.pcap", &bytes).display().to_string();
    let output = run(&unknown);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("link-195.pcap: no frame could be decoded (link type LINKTYPE_195)"), "{complaint}");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.contains("3 packets of link type LINKTYPE_195 could not be decoded"), "{tree}");
    assert!(!tree.contains("no Multipath TCP in it") && !tree.contains("not IP"), "{tree}");
    let report = json(&run(&format!("-F json {unknown}")));
    assert_eq!(report["capture"]["not_decoded"][0]["packets"], 3);
    assert_eq!(report["capture"]["skipped"]["not_ip"], 3);
}

#[test]
fn a_key_that_fits_nothing_is_told() {
    let one = file("keyless.pcap", &pcap(1)).display().to_string();
    let output = run(&format!("--key 0011223344556677 {one}"));
    let expected = "mptcp-inspect: --key 0011223344556677 is the key of no connection here\n";
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), expected));
    assert_eq!(run(&format!("-q --key 0011223344556677 {one}")).stderr, b"");
}

#[test]
fn count_and_duration_stop_reading() {
    let ten = file("ten.pcap", &pcap(10)).display().to_string();
    let packets = |options: &str| json(&run(&format!("-F json {options} {ten}")))["capture"]["packets"].clone();
    assert_eq!(packets(""), 10);
    assert_eq!(packets("-c 4"), 4);
    assert_eq!(packets("--duration 2.5"), 3);
}

/// Frames that were looked at to put inputs in order, or to see that time is over, were not taken.
#[test]
fn inputs_count_the_packets_that_were_taken() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&pcap(10)).unwrap();
    let compressed = encoder.finish().unwrap();
    // Compressed files are decoded ahead.
    for (kind, bytes) in [("pcap", pcap(10)), ("pcap.gz", compressed)] {
        let one = file(&format!("taken-1.{kind}"), &bytes).display().to_string();
        let two = file(&format!("taken-2.{kind}"), &bytes).display().to_string();
        for (options, expected) in [("", [10, 10]), ("-c 5", [3, 2]), ("-c 1", [1, 0]), ("--duration 2.5", [3, 3])] {
            let report = json(&run(&format!("-F json {options} {one} {two}")));
            let packets = [0, 1].map(|input| report["inputs"][input]["packets"].clone());
            assert_eq!(packets, expected, "{kind} {options}");
            assert_eq!(report["capture"]["packets"], expected[0] + expected[1]);
        }
    }
}

/// What stands behind a whole gzip member, and is none, is not a part of it that was cut.
#[test]
fn a_gzip_file_with_something_behind_it() {
    for (behind, said) in
        [(&b"garbage"[..], "cannot be read after packet 3: what follows the gzip data is none"), (b"", "")]
    {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&pcap(3)).unwrap();
        let bytes = [&encoder.finish().unwrap()[..], &[0; 5], behind].concat();
        let output = run(&format!("-F json {}", file("behind.pcap.gz", &bytes).display()));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(if said.is_empty() { 0 } else { 2 }));
        assert_eq!(json(&output)["capture"]["packets"], 3);
    }
}

/// A pcap names no interface.
#[test]
fn an_interface_without_a_name_is_null() {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures/v1-01-single/client-e1.pcap");
    let lines = run(&format!("-F ndjson {}", capture.display())).stdout;
    let first: serde_json::Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!((&first["type"], &first["interface"]), (&"segment".into(), &serde_json::Value::Null));
    let report = json(&run(&format!("-F json {}", capture.display())));
    assert_eq!(report["connections"][0]["subflows"][0]["interfaces"].as_array().map(Vec::len), Some(0));
}

#[test]
fn an_unknown_connection_is_an_error() {
    let one = file("one.pcap", &pcap(1));
    let output = run(&format!("--connection 7 {}", one.display()));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "mptcp-inspect: no connection 7 in this capture\n");
}

#[test]
fn output_goes_to_a_file_but_never_over_an_input() {
    let input = file("input.pcap", &pcap(2));
    let report = file("report.json", b"old and much longer than nothing");
    let output = run(&format!("-F json -o {} {}", report.display(), input.display()));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(written["capture"]["packets"], 2);

    // Where no input can be read, there is nothing to put in its place.
    let before = fs::read(&report).unwrap();
    complaint(&format!("-o {} {}/missing.pcap", report.display(), env!("CARGO_TARGET_TMPDIR")));
    assert_eq!(fs::read(&report).unwrap(), before);
    run(&format!("-F packets -o {} {}", report.display(), input.display()));
    assert_eq!(fs::read(&report).unwrap(), b"", "no segment, no line");

    let complaint = complaint(&format!("-o {0} {0}", input.display()));
    assert!(complaint.contains("is an input: the output would overwrite it"), "{complaint}");
    assert_eq!(fs::read(&input).unwrap(), pcap(2));
}

#[test]
fn standard_input_is_a_capture_too() {
    let mut child =
        program("-F json -").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().unwrap().write_all(&pcap(5)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(json(&output)["inputs"][0]["name"], "-");
    assert_eq!(json(&output)["capture"]["packets"], 5);
}

/// Of several inputs, files are asked first when they begin; a file that is called `-` is none of them.
#[test]
fn standard_input_is_not_the_file_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("-"), pcap(2)).unwrap();
    let mut command = program("-F json -");
    command.arg(file("beside-standard-input.pcap", &pcap(3))).current_dir(folder.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().unwrap().write_all(&pcap(5)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(json(&output)["capture"]["packets"], 8);
}

/// `| head -1`: a reader that goes away is no error, and nothing is said about it.
#[test]
fn a_closed_pipe_ends_quietly() {
    let one = file("pipe.pcap", &pcap(1)).display().to_string();
    for arguments in ["--help", "--generate man", "--generate bash", &format!("-F json {one}"), &one] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = program(arguments).stdout(writer).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{arguments}");
    }
}

/// What `--check` found counts, whoever reads the output.
#[test]
fn a_closed_pipe_hides_no_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures");
    let capture = |name: &str| root.join(name).display().to_string();
    for (name, status) in [("v1-18a-join-refused-limits/client-any.pcap", 1), ("v1-01-single/client-e1.pcap", 0)] {
        for format in ["tree", "json", "ndjson"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let arguments = format!("--check -F {format} {}", capture(name));
            let mut child =
                program(&arguments).stdout(writer).stderr(Stdio::piped()).spawn().expect("the program starts");
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(status), ""), "{arguments}");
        }
    }
}

/// The segment that shows a fallback may have no MPTCP option.
#[test]
fn packets_show_a_fallback() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures");
    let capture = root.join("v1-16-drop-mp-syn/client-e1.pcap");
    let shown = String::from_utf8(run(&format!("-F packets {}", capture.display())).stdout).unwrap();
    assert_eq!(shown.lines().filter(|line| line.contains("→ fallback to TCP: ")).count(), 1, "{shown}");
}

#[test]
fn the_locale_decides_the_characters_and_nothing_else_does() {
    let one = file("locale.pcap", &pcap(1)).display().to_string();
    let tree = |variables: &[(&str, &str)]| {
        let mut command = program(&format!("{one} --connection 7"));
        command.env_remove("LC_ALL").envs(variables.iter().copied());
        command.output().unwrap().stdout
    };
    let plain = tree(&[]);
    assert!(!plain.contains(&0x1b), "no colours into a pipe");
    assert_eq!(tree(&[("COLUMNS", "40"), ("TERM", "xterm-256color"), ("LC_CTYPE", "de_DE.UTF-8")]), plain);
}

#[test]
fn man_page_and_completions_are_generated() {
    for (what, sign) in [
        ("man", ".TH mptcp-inspect 1"),
        ("bash", "-o default mptcp-inspect"),
        ("zsh", "#compdef mptcp-inspect"),
        ("fish", "complete -c"),
    ] {
        let output = run(&format!("--generate {what}"));
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains(sign), "{what}");
    }
}

#[test]
fn explain_says_what_a_finding_means() {
    let one = String::from_utf8(run("explain join-hmac-mismatch").stdout).unwrap();
    for part in ["join-hmac-mismatch (error)", "Meaning", "Detection", "RFC 8684 §3.2"] {
        assert!(one.contains(part), "{one}");
    }
    assert!(one.lines().all(|line| line.chars().count() <= 80), "{one}");
    let all = String::from_utf8(run("explain").stdout).unwrap();
    assert!(all.lines().count() > 60 && all.contains("backup-path-used"), "{all}");
}

/// What the README shows under its first command is what the program prints.
#[test]
fn the_readme_shows_real_output() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let capture = "testdata/captures/v1-18a-join-refused-limits/client-any.pcap";
    assert!(readme.contains(&format!("cargo run --release -- {capture}")));
    let output = program(capture).current_dir(root).output().unwrap();
    assert_eq!(shown, String::from_utf8(output.stdout).unwrap());
}

//! A capture that is still being written: what it has so far is told, and a signal ends the waiting for more.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::Value;

const CAPTURE: &str = "testdata/captures/v1-01-single/client-e1.pcap";

/// The program, reading from a pipe.
struct Reading {
    program: Child,
    pipe: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Reading {
    fn begin(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mptcp-inspect"));
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("the program");
        let (pipe, out) = (program.stdin.take(), program.stdout.take().expect("a pipe"));
        Self { program, pipe, lines: BufReader::new(out) }
    }

    /// Writes the start of a capture, and leaves the pipe open.
    fn write(&mut self, bytes: &[u8]) {
        let pipe = self.pipe.as_mut().expect("open");
        pipe.write_all(bytes).and_then(|()| pipe.flush()).expect("a reader");
    }

    /// The next lines. Fails where they do not come: the program would wait for the pipe's end.
    fn next_lines(&mut self, count: usize) -> Vec<Value> {
        let (done, waits) = channel::<()>();
        let id = self.program.id().to_string();
        let watchdog = thread::spawn(move || {
            if waits.recv_timeout(Duration::from_secs(60)).is_err() {
                let _ = Command::new("kill").args(["-KILL", &id]).status();
            }
        });
        let mut lines = Vec::new();
        while lines.len() < count {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("text") > 0, "{} of {count} lines", lines.len());
            lines.push(serde_json::from_str(&line).expect("JSON"));
        }
        done.send(()).expect("a watchdog");
        watchdog.join().expect("a watchdog");
        lines
    }
}

fn capture() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(CAPTURE)).expect("a capture")
}

/// What a capture gives as ndjson, up to its last segment.
fn lines_of(bytes: &[u8]) -> usize {
    let mut reading = Reading::begin(&["-F", "ndjson", "-"]);
    reading.write(bytes);
    drop(reading.pipe.take());
    let lines = reading.lines.lines().map(|line| line.expect("text"));
    let count = lines.filter(|line| serde_json::from_str::<Value>(line).expect("JSON")["type"] == "segment").count();
    reading.program.wait().expect("an end");
    count
}

#[test]
fn a_segment_is_told_when_it_is_there() {
    let capture = capture();
    let part = &capture[..5_000];
    let due = lines_of(part);
    assert!(due > 5, "{due} segments");
    let mut reading = Reading::begin(&["-F", "ndjson", "-"]);
    reading.write(part);
    let mut segments = 0;
    while segments < due {
        let [line] = reading.next_lines(1).try_into().expect("one");
        segments += usize::from(line["type"] == "segment");
    }
    reading.write(&capture[5_000..]);
    drop(reading.pipe.take());
    assert!(reading.program.wait().expect("an end").success());
}

#[test]
fn a_signal_ends_the_waiting_and_the_report_is_of_what_came() {
    let part = &capture()[..20_000];
    // Whoever runs the tests under nohup wants no program ended by it.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0");
    let ignores_hangup = u64::from_str_radix(mask.trim(), 16).expect("a mask") & 1 == 1;
    for signal in ["-INT", "-TERM", "-HUP"].into_iter().filter(|&signal| signal != "-HUP" || !ignores_hangup) {
        let mut reading = Reading::begin(&["-F", "ndjson", "-"]);
        reading.write(part);
        // It reads by now.
        reading.next_lines(3);
        let killed = Command::new("kill").args([signal, &reading.program.id().to_string()]).status();
        assert!(killed.expect("kill").success());
        let mut last = Value::Null;
        for line in reading.lines.lines() {
            last = serde_json::from_str(&line.expect("text")).expect("JSON");
        }
        assert_eq!((&last["type"], &last["event"]), (&"capture".into(), &"ended".into()));
        assert!(last["capture"]["mptcp_segments"].as_u64().expect("a number") > 3);
        // Its last packet is cut, by whoever ended it.
        assert_eq!(reading.program.wait().expect("an end").code(), Some(0), "{signal}");
    }
}

//! Live capture, end to end: the kernel itself speaks MPTCP v1 between two network namespaces, the program watches on two
//! interfaces, and what it says is held against what the kernel says. Needs root; skips loudly where it can't run.
#![cfg(all(target_os = "linux", feature = "live"))]

mod lab;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, transfer};
use serde_json::Value;

/// The program, capturing in the client's namespace.
struct Inspect {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
}

impl Inspect {
    /// Starts it, and waits until the kernel captures.
    fn start(lab: &Lab, arguments: &[&str]) -> Self {
        let mut child = lab
            .command(&lab.client, env!("CARGO_BIN_EXE_mptcp-inspect"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("capturing on") {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "it ended before it captured");
        }
        // The readers start right after that line; the kernel has been capturing since before it.
        Self { child, errors }
    }

    /// Its process: `ip netns exec` has become it.
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end; gives its status, and what it wrote.
    fn end(mut self) -> (i32, String, String) {
        let mut output = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let mut errors = String::new();
        self.errors.read_to_string(&mut errors).unwrap();
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), output, errors)
    }
}

impl Drop for Inspect {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so, for at most five seconds.
fn until(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn endpoint_id(lab: &Lab, namespace: &str, address: &str) -> String {
    let shown = lab.mptcp(namespace, "endpoint show");
    let line = shown.lines().find(|line| line.starts_with(address)).unwrap_or_else(|| panic!("{address}: {shown}"));
    line.split_whitespace().skip_while(|word| *word != "id").nth(1).unwrap().to_owned()
}

/// The token of the only connection in a namespace, as `ss` shows it.
fn token(lab: &Lab, namespace: &str) -> String {
    let shown = lab.run(namespace, &["ss", "-MniH", "state", "established"]);
    let at = shown.find("token:").unwrap_or_else(|| panic!("no token: {shown}")) + "token:".len();
    let digits: String = shown[at..].chars().take_while(char::is_ascii_hexdigit).collect();
    format!("{digits:0>8}")
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("mptcp-inspect-{}-{name}", std::process::id()))
}

#[test]
fn a_connection_of_the_kernel_is_seen_and_proven_live() {
    let Some(lab) = Lab::new() else { return };
    lab.mptcp(&lab.client, "endpoint add 10.77.2.1 dev p2 subflow");
    let saved = temporary("saved.pcapng");
    let before = (lab.counters(&lab.client), lab.counters(&lab.server));
    let inspect = Inspect::start(&lab, &["-F", "json", "-i", "p1", "-i", "p2", "-w", saved.to_str().unwrap()]);

    let (mut client, mut server) = lab.connect(8080);
    let raised = |namespace: &str, name: &str, before: &std::collections::BTreeMap<String, u64>| {
        lab.counters(namespace).get(name).copied().unwrap_or(0) - before.get(name).copied().unwrap_or(0)
    };
    // The kernel joins once data was acknowledged.
    transfer(&mut client, &mut server, 100_000);
    until("the client joins", || raised(&lab.server, "MPTcpExtMPJoinAckRx", &before.1) == 1);
    transfer(&mut client, &mut server, 400_000);
    transfer(&mut server, &mut client, 300_000);
    let tokens = (token(&lab, &lab.client), token(&lab, &lab.server));
    lab.mptcp(&lab.client, &format!("endpoint change id {} backup", endpoint_id(&lab, &lab.client, "10.77.2.1")));
    until("MP_PRIO arrives", || raised(&lab.server, "MPTcpExtMPPrioRx", &before.1) >= 1);
    lab.mptcp(&lab.server, "endpoint add 10.77.2.2 dev p2 signal");
    until("ADD_ADDR arrives", || raised(&lab.client, "MPTcpExtAddAddr", &before.0) >= 1);
    until("ADD_ADDR's echo arrives", || raised(&lab.server, "MPTcpExtEchoAdd", &before.1) >= 1);
    std::thread::sleep(Duration::from_millis(200));
    lab.mptcp(&lab.server, &format!("endpoint delete id {}", endpoint_id(&lab, &lab.server, "10.77.2.2")));
    until("REMOVE_ADDR arrives", || raised(&lab.client, "MPTcpExtRmAddr", &before.0) >= 1);
    transfer(&mut client, &mut server, 100_000);
    for app in [&mut client, &mut server] {
        app.tell("close");
        assert_eq!(app.answer(), "ok");
    }
    std::thread::sleep(Duration::from_millis(400));
    privileges_are_gone(inspect.pid());
    inspect.signal("-TERM");
    let (status, output, errors) = inspect.end();
    assert_eq!(status, 0, "{errors}");

    let report: Value = serde_json::from_str(&output).expect("a report");
    let connections = report["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 1);
    let connection = &connections[0];
    assert_eq!(report["inputs"][0]["kind"], "live");
    assert_eq!(report["inputs"][0]["dropped"], 0);
    assert_eq!(
        (connection["client"]["token"].as_str(), connection["server"]["token"].as_str()),
        (Some(&*tokens.0), Some(&*tokens.1))
    );
    assert_eq!(connection["outcome"], "mptcp");
    assert_eq!(connection["close"], "data_fin");
    assert_eq!(connection["directions"]["client_to_server"]["bytes"], 600_000);
    assert_eq!(connection["directions"]["server_to_client"]["bytes"], 300_000);

    let subflows = connection["subflows"].as_array().unwrap();
    let joins: Vec<&Value> = subflows.iter().filter(|subflow| subflow["role"] == "join").collect();
    for join in &joins {
        for check in ["token_check", "syn_ack_hmac", "ack_hmac"] {
            assert_eq!(join["join"][check]["verdict"], "verified", "{check}: {join}");
        }
        assert_eq!(join["interfaces"][0], "p2");
    }
    assert_eq!(subflows[0]["interfaces"][0], "p1");
    let counted = |namespace: &str, name: &str| {
        let before = if namespace == lab.client { &before.0 } else { &before.1 };
        raised(namespace, name, before)
    };
    assert_eq!(counted(&lab.client, "MPTcpExtMPCapableSYNTX"), 1);
    assert_eq!(joins.len() as u64, counted(&lab.server, "MPTcpExtMPJoinAckRx"), "joins that the server accepted");
    let data = |direction: &str| -> u64 {
        subflows.iter().map(|subflow| subflow["directions"][direction]["data_bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!((data("client_to_server"), data("server_to_client")), (600_000, 300_000), "bytes by path add up");
    let changes: u64 =
        subflows.iter().map(|subflow| subflow["backup"]["changes"].as_array().unwrap().len() as u64).sum();
    assert_eq!(changes, counted(&lab.server, "MPTcpExtMPPrioRx"), "MP_PRIO that the server got");
    let addresses = connection["addresses"].as_array().unwrap();
    assert_eq!(addresses.len() as u64, counted(&lab.client, "MPTcpExtAddAddr"));
    assert_eq!(addresses[0]["address"], "10.77.2.2");
    assert_eq!(addresses[0]["hmac"]["verdict"], "verified");
    assert!(addresses[0]["echoed"]["frame"].is_u64() && addresses[0]["removed"]["frame"].is_u64(), "{}", addresses[0]);
    the_saved_file_says_the_same(&saved, &report);
}

/// Nothing of root is left in a process that reads packets.
fn privileges_are_gone(pid: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {status}"));
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(field("Uid:").iter().chain(&field("Gid:")).all(|id| id != "0"), "{status}");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert_eq!(field("Seccomp:"), ["2"]);
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(
            status.contains("Seccomp:\t2") && status.contains("CapEff:\t0000000000000000"),
            "every thread: {status}"
        );
    }
}

/// `-w` keeps every packet, with the interface's name: the file gives the same report.
fn the_saved_file_says_the_same(saved: &Path, live: &Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_mptcp-inspect")).args(["-F", "json"]).arg(saved).output().unwrap();
    std::fs::remove_file(saved).unwrap();
    let file: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |report: &Value| -> Vec<Value> {
        let interfaces = report["inputs"][0]["interfaces"].as_array().unwrap();
        interfaces.iter().map(|interface| interface["name"].clone()).collect()
    };
    assert_eq!(names(&file), names(live));
    assert_eq!(file["capture"], live["capture"]);
    assert_eq!(file["connections"], live["connections"]);
}

#[test]
fn events_come_as_they_happen_and_limits_end_the_capture() {
    let Some(lab) = Lab::new() else { return };
    let mut inspect = Inspect::start(&lab, &["-F", "ndjson", "-i", "any", "--duration", "4", "tcp", "port", "8081"]);
    let mut lines = BufReader::new(inspect.child.stdout.take().unwrap()).lines();
    let (mut client, mut server) = lab.connect(8081);
    transfer(&mut client, &mut server, 10_000);
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let began = Instant::now();
    let mut seen = Vec::new();
    while !seen.iter().any(|line: &Value| line["type"] == "connection" && line["event"] == "opened") {
        seen.push(next());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "while the capture goes on");
    assert_eq!(seen[0]["type"], "segment");
    assert_eq!(seen[0]["interface"], "p1", "'any' names the interface of each packet");
    drop((client, server));
    let began = Instant::now();
    let status = inspect.child.wait().unwrap();
    assert!(status.success() && began.elapsed() < Duration::from_secs(6), "--duration ends it");
}

#[test]
fn an_interface_that_vanishes_is_told_of_and_the_others_go_on() {
    let Some(lab) = Lab::new() else { return };
    let mut inspect = Inspect::start(&lab, &["-F", "json", "-i", "p1", "-i", "p2"]);
    lab.run(&lab.client, &["ip", "link", "del", "p2"]);
    let mut line = String::new();
    inspect.errors.read_line(&mut line).unwrap();
    assert!(line.contains("p2") && line.contains("the others go on"), "{line}");
    let (mut client, mut server) = lab.connect(8082);
    transfer(&mut client, &mut server, 1000);
    // What the kernel has not handed over yet goes with the interface.
    std::thread::sleep(Duration::from_secs(1));
    lab.run(&lab.client, &["ip", "link", "del", "p1"]);
    let (status, output, errors) = inspect.end();
    assert_eq!(status, 2, "none is left: {errors}");
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["connections"].as_array().unwrap().len(), 1, "what was read is reported");
}

#[test]
fn what_is_missing_is_said() {
    let run = |program: &mut Command| {
        let output = program.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let program = env!("CARGO_BIN_EXE_mptcp-inspect");
    let (status, errors) = run(Command::new(program).args(["-i", "nosuch0"]));
    assert_eq!(status, Some(2));
    assert!(errors.contains("nosuch0") && errors.contains("lo"), "{errors}");
    let listed = Command::new(program).arg("-D").output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.lines().any(|line| line.starts_with("lo ") && line.contains("127.0.0.1")), "{listed}");

    // Somebody without privileges, where the tests run as root.
    if !Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: setpriv is missing");
        return;
    }
    let copy = temporary("unprivileged");
    std::fs::copy(program, &copy).unwrap();
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    let (status, errors) = run(Command::new("setpriv").args(user).arg(&copy).args(["-i", "lo"]));
    std::fs::remove_file(&copy).unwrap();
    if errors.contains("setpriv") {
        eprintln!("SKIPPED: not root: {errors}");
        return;
    }
    assert_eq!(status, Some(2));
    assert!(
        errors.contains("CAP_NET_RAW") && errors.contains("setcap cap_net_raw") && errors.contains("lo"),
        "{errors}"
    );
}

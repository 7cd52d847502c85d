//! A small MPTCP lab: two network namespaces joined by two veth pairs, in which the kernel itself speaks MPTCP v1.
//!
//! ```text
//! client namespace                      server namespace
//!   p1 10.77.1.1/24 ─────────────────── p1 10.77.1.2/24
//!   p2 10.77.2.1/24 ─────────────────── p2 10.77.2.2/24
//! ```
//!
//! Names hold the process id, so that labs don't meet; dropping a lab ends its programs and removes its namespaces.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static LABS: AtomicU32 = AtomicU32::new(0);

/// Two hosts and two paths between them.
pub(crate) struct Lab {
    pub(crate) client: String,
    pub(crate) server: String,
}

impl Lab {
    /// Sets it up; `None`, said loudly, where this machine cannot.
    pub(crate) fn new() -> Option<Self> {
        for (what, there) in [
            ("root", std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)),
            ("a kernel with MPTCP", Path::new("/proc/sys/net/mptcp/enabled").exists()),
            (
                "ip netns",
                Command::new("ip").args(["netns", "list"]).output().is_ok_and(|output| output.status.success()),
            ),
            ("python3", Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())),
        ] {
            if !there {
                eprintln!("SKIPPED: live tests need {what}");
                return None;
            }
        }
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = |role: &str| format!("mpi{role}{}x{number}", std::process::id());
        let lab = Self { client: name("c"), server: name("s") };
        for namespace in [&lab.client, &lab.server] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
            lab.run(namespace, &["sysctl", "-qw", "net.mptcp.enabled=1", "net.ipv4.conf.all.rp_filter=0"]);
            lab.run(
                namespace,
                &["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"],
            );
        }
        for path in ["1", "2"] {
            let device = format!("p{path}");
            ip(&[
                "link",
                "add",
                &device,
                "netns",
                &lab.client,
                "type",
                "veth",
                "peer",
                "name",
                &device,
                "netns",
                &lab.server,
            ]);
            for (namespace, host) in [(&lab.client, "1"), (&lab.server, "2")] {
                ip(&["-n", namespace, "addr", "add", &format!("10.77.{path}.{host}/24"), "dev", &device]);
                ip(&["-n", namespace, "link", "set", &device, "up"]);
            }
        }
        for namespace in [&lab.client, &lab.server] {
            lab.mptcp(namespace, "limits set subflows 4 add_addr_accepted 4");
        }
        Some(lab)
    }

    /// `ip mptcp …` in a namespace.
    pub(crate) fn mptcp(&self, namespace: &str, command: &str) -> String {
        let mut words = vec!["-n", namespace, "mptcp"];
        words.extend(command.split(' '));
        ip(&words)
    }

    /// Runs a program to its end in a namespace; gives its output.
    pub(crate) fn run(&self, namespace: &str, words: &[&str]) -> String {
        checked(words, Command::new("ip").args(["netns", "exec", namespace]).args(words).output())
    }

    /// Prepares a program to run in a namespace.
    pub(crate) fn command(&self, namespace: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]);
        command
    }

    /// A server and a client that are connected, over the first path.
    pub(crate) fn connect(&self, port: u16) -> (App, App) {
        let port = port.to_string();
        let mut server = App::start(self.command(&self.server, "python3"), &["server", "0.0.0.0", &port]);
        assert_eq!(server.answer(), "ready");
        let mut client = App::start(self.command(&self.client, "python3"), &["client", "10.77.1.2", &port]);
        assert_eq!(client.answer(), "ok");
        assert_eq!(server.answer(), "ok");
        (client, server)
    }

    /// The kernel's counters of a namespace, those of MPTCP, absolute.
    pub(crate) fn counters(&self, namespace: &str) -> BTreeMap<String, u64> {
        let text = self.run(namespace, &["nstat", "-asz"]);
        let mut counters = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(value)) = (words.next(), words.next().and_then(|value| value.parse().ok())) {
                counters.insert(name.to_owned(), value);
            }
        }
        counters
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.client, &self.server] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// One end of a connection: a program that does as it is told.
pub(crate) struct App {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl App {
    fn start(mut python: Command, arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/app.py");
        let mut child = python
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let (commands, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, commands, answers }
    }

    /// Gives a command, without waiting for it to be done.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("the program listens");
    }

    /// Waits until the last command is done.
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the program answers");
        line.trim().to_owned()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Moves bytes from one end to the other.
pub(crate) fn transfer(from: &mut App, to: &mut App, bytes: u32) {
    to.tell(&format!("receive {bytes}"));
    from.tell(&format!("send {bytes}"));
    assert_eq!(from.answer(), "ok");
    assert_eq!(to.answer(), "ok");
}

fn ip(words: &[&str]) -> String {
    checked(words, Command::new("ip").args(words).output())
}

fn checked(words: &[&str], output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

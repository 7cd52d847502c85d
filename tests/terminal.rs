//! The live view on a pseudo-terminal, as tmux draws it, at two sizes. Needs root and tmux; skips loudly where it can't run.
#![cfg(all(target_os = "linux", feature = "live"))]

mod lab;

use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Lab, transfer};

/// A terminal of its own.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn start(columns: u16, lines: u16, command: &str) -> Self {
        let socket = format!("mpi{}x{columns}", std::process::id());
        let terminal = Self { socket };
        // It stays after the program ended, so that what is on it can be looked at.
        let command = format!("{command}; sleep 60");
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns.to_string(),
            "-y",
            &lines.to_string(),
            &command,
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Waits until the screen shows something.
    fn shows(&self, what: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(what) {
                return screen;
            }
            assert!(began.elapsed() < Duration::from_secs(8), "no '{what}' on:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

fn the_view_is_readable(columns: u16, lines: u16) {
    if !Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: the live view needs tmux");
        return;
    }
    let Some(lab) = Lab::new() else { return };
    lab.mptcp(&lab.client, "endpoint add 10.77.2.1 dev p2 subflow backup");
    let program = env!("CARGO_BIN_EXE_mptcp-inspect");
    let command = format!("LC_ALL=C.UTF-8 ip netns exec {} {program} -i p1 -i p2", lab.client);
    let terminal = Terminal::start(columns, lines, &command);
    terminal.shows("No MPTCP connection so far");
    let (mut client, mut server) = lab.connect(8090);
    transfer(&mut client, &mut server, 2_000_000);
    let screen = terminal.shows("backup");
    assert!(screen.contains("mptcp v1") && screen.contains("→ 10.77.1.2:8090"), "{screen}");
    assert!(screen.contains("└─ 1 p2") && screen.contains('✓'), "the join and its proof:\n{screen}");
    assert!(screen.contains("p1, p2") && screen.contains("q quit"), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= usize::from(columns)), "{screen}");

    terminal.press("?");
    terminal.shows("sort by rate, bytes, newest, number");
    terminal.press("?");
    terminal.press("s");
    terminal.shows("by bytes");
    terminal.press("Enter");
    let opened = terminal.shows("tokens ");
    assert!(opened.contains("Esc back"), "{opened}");
    terminal.press("Escape");
    terminal.shows("Enter open");
    terminal.press("p");
    terminal.shows("PAUSED");
    terminal.press("p");
    drop((client, server));
    terminal.press("q");
    let report = terminal.shows("asked for MPTCP");
    assert!(
        report.contains("both HMACs") && !report.contains("q quit"),
        "the report is on the ordinary screen:\n{report}"
    );
}

#[test]
fn on_80_by_24() {
    the_view_is_readable(80, 24);
}

#[test]
fn on_200_by_50() {
    the_view_is_readable(200, 50);
}

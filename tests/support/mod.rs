//! Shared by the tests that judge the program from outside: it runs the real binary on captures and hands back its JSON.
//!
//! `MPTCP_INSPECT_BIN` names another build to judge instead of the one under test.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a run of a program gave.
pub(crate) struct Run {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) status: ExitStatus,
}

impl Run {
    /// Standard output as one JSON value; panics with standard error where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!("standard output is not JSON ({error}); {}; stderr: {}", self.status, self.stderr)
        })
    }

    /// Standard output as one JSON value a line.
    pub(crate) fn ndjson(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

/// Runs the program under test.
pub(crate) fn inspect<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Run {
    let program =
        std::env::var_os("MPTCP_INSPECT_BIN").unwrap_or_else(|| OsString::from(env!("CARGO_BIN_EXE_mptcp-inspect")));
    run(Command::new(program).args(arguments))
}

/// The JSON report on these files, with further options. The program must not fail, but for a file that is cut short: that
/// is an input error (status 2), and the report goes up to the cut.
pub(crate) fn report(files: &[PathBuf], options: &[&str]) -> Value {
    let run =
        inspect(["--format", "json"].iter().chain(options).map(OsString::from).chain(files.iter().map(OsString::from)));
    let cut = run.status.code() == Some(2) && run.stderr.contains("cut short");
    assert!(run.status.success() || cut, "{}: {}", run.status, run.stderr);
    run.json()
}

/// Runs any program to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Run { stdout: output.stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned(), status: output.status }
}

/// Whether a program is there; says so loudly where it is not.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// A directory with captures, and what they are called in test names.
pub(crate) struct Folder {
    /// `testdata/v1-01-single`, `shared/v1/01-single`, `shared/public`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// `truth.json`, `Null` where there is none.
    pub(crate) truth: Value,
}

impl Folder {
    /// Its captures, sorted by name.
    pub(crate) fn captures(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            entries(&self.path).into_iter().filter(|path| path.is_file() && is_capture(path)).collect();
        files.sort();
        files
    }

    /// The number and title of the scenario, e.g. `30-nat`, wherever the folder lies.
    pub(crate) fn scenario(&self) -> &str {
        let last = self.name.rsplit('/').next().unwrap_or_default();
        last.strip_prefix("v1-").or_else(|| last.strip_prefix("v0-")).unwrap_or(last)
    }

    /// MPTCP version of its traffic where it has a truth.
    pub(crate) fn is_v0(&self) -> bool {
        !self.truth["verified_by_python_hashlib"].is_null()
    }

    /// Whether the packets were shortened, so that payload and ends of streams are not all there.
    pub(crate) fn is_cut(&self) -> bool {
        !self.truth["cut"].is_null() || !self.truth["cut_to_bytes"].is_null()
    }
}

/// All folders with captures: those kept here, and the larger set beside the checkout where it exists.
pub(crate) fn folders() -> Vec<Folder> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = folders_in(&here.join("testdata/captures"), "testdata");
    assert!(!found.is_empty(), "testdata/captures is empty");
    let shared = here.join("../shared/captures");
    if shared.is_dir() {
        for part in ["v0", "v1"] {
            found.extend(folders_in(&shared.join(part), &format!("shared/{part}")));
        }
        found.extend(folders_in(&shared, "shared").into_iter().filter(|folder| folder.name == "shared/public"));
    } else {
        eprintln!("SKIPPED: {} is absent; only testdata/captures is judged", shared.display());
    }
    found
}

fn folders_in(directory: &Path, prefix: &str) -> Vec<Folder> {
    let mut paths: Vec<_> = entries(directory).into_iter().filter(|path| path.is_dir()).collect();
    paths.sort();
    paths.into_iter().map(|path| folder(path, prefix)).collect()
}

fn folder(path: PathBuf, prefix: &str) -> Folder {
    let truth = std::fs::read(path.join("truth.json"))
        .map_or(Value::Null, |text| serde_json::from_slice(&text).expect("truth.json"));
    Folder { name: format!("{prefix}/{}", file_name(&path)), path, truth }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.expect("entry").path()).collect())
        .unwrap_or_default()
}

fn is_capture(path: &Path) -> bool {
    let name = file_name(path);
    [".pcap", ".pcapng", ".pcap.gz", ".pcap.zst"].iter().any(|ending| name.ends_with(ending))
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().expect("name").to_string_lossy().into_owned()
}

/// What the independent decoder says of these files.
pub(crate) fn referee(files: &[PathBuf]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/referee/referee.py");
    let run = run(Command::new("python3").arg("-B").arg(script).args(files));
    assert!(run.status.success(), "the referee failed: {}", run.stderr);
    run.json()
}

/// `10.0.0.1:80`, `[::1]:80` of `{ "address", "port" }`.
pub(crate) fn socket(end: &Value) -> String {
    let address: std::net::IpAddr = text(&end["address"]).parse().expect("address");
    std::net::SocketAddr::new(address, end["port"].as_u64().expect("port") as u16).to_string()
}

/// `source>destination` of a subflow or of one of its further 4-tuples.
pub(crate) fn four_tuple(subflow: &Value) -> String {
    format!("{}>{}", socket(&subflow["source"]), socket(&subflow["destination"]))
}

/// All 4-tuples a subflow was seen under.
pub(crate) fn four_tuples(subflow: &Value) -> Vec<String> {
    std::iter::once(subflow).chain(list(&subflow["also_seen_as"])).map(four_tuple).collect()
}

/// The items of an array; none where the field is missing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text of a string; empty where it is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Both directions of a connection, by their names in the report.
pub(crate) const DIRECTIONS: [&str; 2] = ["client_to_server", "server_to_client"];

/// Collects what is wrong, so that one run shows all of it.
#[derive(Default)]
pub(crate) struct Complaints(pub(crate) Vec<String>);

impl Complaints {
    /// Complains where the two differ.
    #[allow(clippy::needless_pass_by_value, reason = "reads better at the many calls")]
    pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, expected: T) {
        if got != expected {
            self.0.push(format!("{what}: got {got:?}, expected {expected:?}"));
        }
    }

    /// Complains where it does not hold.
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    /// `Ok` where nothing is wrong.
    pub(crate) fn verdict(self) -> Result<(), libtest_mimic::Failed> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\n").into()) }
    }
}

//! Every MPTCP option field of every capture, compared with what tshark reads from it.
//!
//! One test a capture file. For each frame and each tshark field, the values of all MPTCP options of the frame, in order,
//! must be the same. What tshark 4.0 does not decode at all is not compared: the checksum of a DSS (it shows that of an
//! MP_CAPABLE only), and the reserved bits.
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;
use support::{Complaints, file_name, list, text};

/// Values of each field, by frame.
type Frames = BTreeMap<u64, BTreeMap<&'static str, Vec<String>>>;

/// A field of tshark and what the same is in an option of ours.
type Field = (&'static str, fn(&Value) -> Vec<String>);

const FIELDS: [Field; 27] = [
    ("subtype", |option| subtype(option).map(|subtype| subtype.to_string()).into_iter().collect()),
    ("version", |option| of(option, &["MP_CAPABLE"], |o| decimal(&o["version"]))),
    ("checksumreq.flags", |option| of(option, &["MP_CAPABLE"], |o| bit(hexadecimal(&o["flags"]), 0x80))),
    ("extensibility.flag", |option| of(option, &["MP_CAPABLE"], |o| bit(hexadecimal(&o["flags"]), 0x40))),
    ("nomoresubflows.flag", |option| {
        of(option, &["MP_CAPABLE"], |o| bit(hexadecimal(&o["flags"]), 0x20).filter(|_| o["version"] == 1))
    }),
    ("sendkey", |option| of(option, &["MP_CAPABLE"], |o| hex_as_decimal(&o["sender_key"]))),
    ("recvkey", |option| {
        let field = if name(option) == "MP_FASTCLOSE" { "key" } else { "receiver_key" };
        of(option, &["MP_CAPABLE", "MP_FASTCLOSE"], |o| hex_as_decimal(&o[field]))
    }),
    ("recvtok", |option| of(option, &["MP_JOIN"], |o| hex_as_decimal(&o["token"]))),
    ("sendrand", |option| of(option, &["MP_JOIN"], |o| hex_as_decimal(&o["nonce"]))),
    ("sendtrunchmac", |option| {
        of(option, &["MP_JOIN"], |o| hex_as_decimal(&o["hmac"]).filter(|_| text(&o["hmac"]).len() == 16))
    }),
    ("sendhmac", |option| {
        of(option, &["MP_JOIN"], |o| Some(text(&o["hmac"]).to_owned()).filter(|hmac| hmac.len() == 40))
    }),
    ("backup.flag", |option| {
        of(option, &["MP_JOIN", "MP_PRIO"], |o| truth(&o["backup"]).filter(|_| text(&o["hmac"]).len() != 40))
    }),
    ("addrid", address_ids),
    ("rawdataack", |option| of(option, &["DSS"], |o| decimal(&o["data_ack"]))),
    ("rawdataseqno", |option| of(option, &["DSS", "MP_FAIL"], |o| decimal(&o["dsn"]))),
    ("subflowseqno", |option| of(option, &["DSS"], |o| decimal(&o["subflow_seq"]))),
    ("datalvllen", |option| of(option, &["DSS", "MP_CAPABLE"], |o| decimal(&o["data_len"]))),
    ("checksum", |option| of(option, &["MP_CAPABLE"], |o| checksum(&o["checksum"]))),
    ("datafin.flag", |option| of(option, &["DSS"], |o| truth(&o["data_fin"]))),
    ("echo", |option| of(option, &["ADD_ADDR"], |o| truth(&o["echo"]))),
    ("ipv4", |option| of(option, &["ADD_ADDR"], |o| address(o, false))),
    ("ipv6", |option| of(option, &["ADD_ADDR"], |o| address(o, true))),
    ("port", |option| of(option, &["ADD_ADDR"], |o| decimal(&o["port"]))),
    ("addaddrtrunchmac", |option| of(option, &["ADD_ADDR"], |o| hex_as_decimal(&o["hmac"]))),
    ("rst_reason", |option| of(option, &["MP_TCPRST"], |o| decimal(&o["reason"]))),
    ("flag_T.flag", |option| of(option, &["MP_TCPRST"], |o| truth(&o["transient"]))),
    ("dataack8.flag", |option| {
        of(option, &["DSS"], |o| {
            Some(u8::from(o["data_ack_bytes"] == 8).to_string()).filter(|_| !o["data_ack"].is_null())
        })
    }),
];

/// What the two are known to differ in.
#[derive(Clone, Copy, PartialEq)]
enum Difference {
    /// The snap length ends within the options: how many of the options before the cut are shown is each tool's choice.
    Cut,
    /// A malformed option: tshark shows the fields before the fault, we show the bytes.
    Malformed,
}

/// Scenario, file (all where empty), difference, reason.
const EXPLAINED: [(&str, &str, Difference, &str); 4] = [
    (
        "27-snaplen96",
        "client-any-s96.pcap",
        Difference::Cut,
        "Linux cooked header and 60 bytes of TCP header need 100 bytes",
    ),
    ("27-snaplen96", "client-e1-s66.pcap", Difference::Cut, "66 bytes end after 12 bytes of TCP options"),
    ("public", "mptcp-dss-oobr.pcap", Difference::Malformed, "a DSS of length 3"),
    ("35a-mirror-synack", "", Difference::Malformed, "a SYN/ACK with the 4-byte MP_CAPABLE of a SYN"),
];

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    if !support::have("tshark") {
        return ExitCode::SUCCESS;
    }
    let mut tests = Vec::new();
    for folder in support::folders() {
        for file in folder.captures() {
            let scenario = folder.scenario().to_owned();
            let name = format!("{}/{}", folder.name, file_name(&file));
            tests.push(libtest_mimic::Trial::test(name, move || compare(&scenario, &file)));
        }
    }
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn compare(scenario: &str, file: &Path) -> Result<(), libtest_mimic::Failed> {
    let name = file_name(file);
    let explained =
        EXPLAINED.iter().find(|row| row.0 == scenario && (row.1 == name || row.1.is_empty())).map(|row| row.2);
    let run = support::inspect(["--format".as_ref(), "ndjson".as_ref(), file.as_os_str()]);
    let segments: Vec<_> = run.ndjson().into_iter().filter(|line| line["type"] == "segment").collect();
    let mut ours = Frames::new();
    let mut complaints = Complaints::default();
    for segment in &segments {
        let frame = segment["frame"].as_u64().expect("frame");
        let options: Vec<_> = list(&segment["options"]).iter().filter(|option| option["kind"] == 30).collect();
        let malformed = options.iter().find(|option| !option["malformed"].is_null());
        if let Some(option) = malformed.filter(|_| explained.is_none()) {
            complaints.0.push(format!("frame {frame}: malformed: {option}"));
        }
        let values = ours.entry(frame).or_default();
        for (field, value) in FIELDS {
            values.insert(field, options.iter().flat_map(|option| value(option)).collect());
        }
        if malformed.is_some() {
            ours.remove(&frame);
        }
    }
    let theirs = tshark(file);
    for frame in ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (Some(our), Some(their)) = (ours.get(frame), theirs.get(frame)) else {
            let seen = if ours.contains_key(frame) { "the report" } else { "tshark" };
            complaints.check(explained.is_some(), || format!("frame {frame}: MPTCP only in {seen}"));
            continue;
        };
        for (field, _) in FIELDS {
            let (our, their) = (&our[field], &their[field]);
            let same = if explained == Some(Difference::Cut) {
                our.starts_with(their) || their.starts_with(our)
            } else {
                our == their
            };
            complaints.check(same, || format!("frame {frame}, {field}: report {our:?}, tshark {their:?}"));
        }
    }
    complaints.0.truncate(20);
    complaints.verdict()
}

/// What tshark reads.
fn tshark(file: &Path) -> Frames {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file).args([
        "-d",
        "udp.port==8472,vxlan",
        "-Y",
        "tcp.options.mptcp.subtype",
        "-T",
        "fields",
    ]);
    command.args(["-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,", "-e", "frame.number"]);
    for (field, _) in FIELDS {
        command.arg("-e").arg(format!("tcp.options.mptcp.{field}"));
    }
    let output = support::run(&mut command);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut frames = Frames::new();
    for line in lines.lines() {
        let mut columns = line.split('|');
        let frame = columns.next().expect("frame").parse().expect("number");
        let values = FIELDS.iter().zip(columns).map(|((field, _), column)| {
            let values = column.split(',').filter(|value| !value.is_empty());
            (*field, values.map(canonical).collect())
        });
        frames.insert(frame, values.collect());
    }
    frames
}

/// tshark writes some numbers as `0x06`.
fn canonical(value: &str) -> String {
    let number = value.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    number.map_or_else(|| value.to_owned(), |number| number.to_string())
}

fn name(option: &Value) -> &str {
    text(&option["name"])
}

fn subtype(option: &Value) -> Option<usize> {
    let names =
        ["MP_CAPABLE", "MP_JOIN", "DSS", "ADD_ADDR", "REMOVE_ADDR", "MP_PRIO", "MP_FAIL", "MP_FASTCLOSE", "MP_TCPRST"];
    names.iter().position(|known| *known == name(option))
}

/// The value, if the option has one of these names.
fn of(option: &Value, names: &[&str], value: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    if names.contains(&name(option)) { value(option).into_iter().collect() } else { Vec::new() }
}

/// A number, or a number as a decimal string (64-bit sequence numbers).
fn decimal(value: &Value) -> Option<String> {
    value.as_u64().map(|number| number.to_string()).or_else(|| value.as_str().map(str::to_owned))
}

/// A hexadecimal string as a number; a number as it is.
fn hexadecimal(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|hex| u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok()))
}

fn hex_as_decimal(value: &Value) -> Option<String> {
    value.as_str().and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(|number| number.to_string())
}

fn checksum(value: &Value) -> Option<String> {
    hexadecimal(value).map(|number| number.to_string())
}

fn bit(flags: Option<u64>, mask: u64) -> Option<String> {
    flags.map(|flags| u8::from(flags & mask != 0).to_string())
}

fn truth(value: &Value) -> Option<String> {
    value.as_bool().map(|value| u8::from(value).to_string())
}

fn address(option: &Value, v6: bool) -> Option<String> {
    option["address"].as_str().filter(|address| address.contains(':') == v6).map(str::to_owned)
}

fn address_ids(option: &Value) -> Vec<String> {
    let one = of(option, &["MP_JOIN", "ADD_ADDR", "MP_PRIO"], |o| decimal(&o["address_id"]));
    let many = list(&option["address_ids"]).iter().filter_map(decimal);
    one.into_iter().chain(many).collect()
}

//! What was typed. What it means is decided in [`super::plan`].

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Parser, ValueEnum, ValueHint};

use crate::crypto::Key;
use crate::model::ConnectionFilter;

/// What MPTCP did in a capture, proven.
#[derive(Debug, Parser)]
#[command(
    name = "mptcp-inspect",
    version,
    about = "Shows what Multipath TCP did in a capture, proves it, and says what went wrong.",
    long_about = LONG_ABOUT,
    after_help = "'mptcp-inspect --help' says more about each option and has examples.",
    after_long_help = EXAMPLES,
    override_usage = "mptcp-inspect [OPTIONS] <FILE>...\n       \
                      mptcp-inspect [OPTIONS] -i <IFACE> [-i <IFACE>]... [FILTER]\n       \
                      mptcp-inspect explain [FINDING]",
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_flag = true,
    disable_version_flag = true,
    styles = STYLES,
    next_help_heading = "Output"
)]
pub struct Args {
    /// Captures to read: pcap or pcapng, also as .gz or .zst; '-' is standard input
    ///
    /// Several captures are merged by time. With -i, the words of the capture filter instead.
    #[arg(value_name = "FILE", help_heading = "Input", display_order = 0, value_hint = ValueHint::FilePath)]
    pub words: Vec<PathBuf>,

    /// Capture live on this interface (repeatable; 'any' for all)
    #[arg(short, long, value_name = "IFACE", help_heading = "Input", display_order = 1)]
    pub interface: Vec<String>,

    /// List the interfaces that -i takes, and exit
    #[arg(short = 'D', long, help_heading = "Input", display_order = 2, exclusive = true)]
    pub list_interfaces: bool,

    /// Stop after N packets
    #[arg(short, long, value_name = "N", help_heading = "Input", display_order = 3, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Stop after S seconds, e.g. 2.5
    ///
    /// Live, seconds from the start; in files, seconds from the first packet.
    #[arg(long, value_name = "S", help_heading = "Input", display_order = 4, allow_negative_numbers = true, value_parser = seconds)]
    pub duration: Option<Duration>,

    /// Keep at most BYTES of each packet (live)
    ///
    /// Checksums of the data can only be verified where packets are kept whole.
    #[arg(short, long, value_name = "BYTES", help_heading = "Input", display_order = 5, default_value_t = SNAPLEN_MAX, requires = "interface",
          value_parser = snaplen)]
    pub snaplen: u32,

    /// Also save the packets to FILE as pcapng (live)
    #[arg(short, long, value_name = "FILE", help_heading = "Input", display_order = 6, requires = "interface",
          value_hint = ValueHint::FilePath)]
    pub write: Option<PathBuf>,

    /// Look only at packets that this capture filter accepts
    ///
    /// In pcap-filter(7) syntax, for live captures and for files alike. Filter by host or port rather than by flags: a
    /// connection whose handshake is filtered away cannot be proven.
    #[arg(short, long, value_name = "BPF", help_heading = "Filter")]
    pub filter: Option<String>,

    /// Show only this connection: its number or a token (repeatable)
    #[arg(long, value_name = "ID", help_heading = "Filter")]
    pub connection: Vec<ConnectionFilter>,

    /// Show all connections, not only the 20 most interesting
    #[arg(long, help_heading = "Filter")]
    pub all: bool,

    /// Show every TCP segment, not only those with MPTCP (packets, ndjson)
    #[arg(long, help_heading = "Filter")]
    pub all_tcp: bool,

    /// What to print
    #[arg(short = 'F', long, value_enum, default_value_t = Format::Tree)]
    pub format: Format,

    /// Print to FILE instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Colour the output
    ///
    /// 'auto' colours on a terminal, unless NO_COLOR is set or TERM is 'dumb'.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,

    /// Fit the output into N columns [default: the terminal's, else 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(40..=1000))]
    pub width: Option<u16>,

    /// Draw with ASCII only [default: where the locale is not UTF-8]
    #[arg(long)]
    pub ascii: bool,

    /// Say more: round-trip times, retransmissions, handshakes
    #[arg(short, long, overrides_with = "verbose")]
    pub verbose: bool,

    /// Say less: no progress, no warnings
    #[arg(short, long, conflicts_with = "verbose", overrides_with = "quiet")]
    pub quiet: bool,

    /// Also print the kernel's counters that the packets imply, as 'nstat' names them (tree, table)
    #[arg(long, help_heading = "Checks")]
    pub counters: bool,

    /// Exit with status 1 if something is found to be wrong (an error, not a warning)
    #[arg(long, help_heading = "Checks")]
    pub check: bool,

    /// Prove with this key where the capture does not show it (repeatable)
    ///
    /// 16 hex digits in the order of the wire; the two keys of one connection can be given as A:B.
    #[arg(long, value_name = "HEX", help_heading = "Checks", value_parser = keys)]
    pub key: Vec<Keys>,

    /// Write each direction's data to a file in DIR, with a manifest
    #[arg(long, value_name = "DIR", help_heading = "Checks", value_hint = ValueHint::DirPath)]
    pub extract: Option<PathBuf>,

    /// Print a man page, shell completions or all findings, and exit
    #[arg(long, value_enum, value_name = "WHAT", exclusive = true, hide_short_help = true)]
    pub generate: Option<Generate>,

    /// Print help (more with --help)
    #[arg(short, long, action = ArgAction::Help, help_heading = "Help")]
    help: Option<bool>,

    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "Help")]
    version: Option<bool>,
}

const LONG_ABOUT: &str = "\
Reads Multipath TCP (RFC 8684, and its predecessor RFC 6824) from captures or live interfaces, rebuilds every connection with \
its subflows, proves tokens, HMACs and checksums from the keys, and says what went wrong, who did it, and at which packet.";

const EXAMPLES: &str = "\
Examples:
  mptcp-inspect trace.pcapng
      What happened in a capture.
  mptcp-inspect wifi.pcap lte.pcap -F json -o report.json
      Two captures of the same traffic, merged, for a program.
  mptcp-inspect -i any --duration 10 tcp port 443
      Ten seconds of live traffic.

Exit status: 0 done; 1 --check found an error; 2 usage or input error (what was read before is still reported).";

const STYLES: Styles =
    Styles::styled().header(AnsiColor::Yellow.on_default().bold()).literal(AnsiColor::Green.on_default());

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Connections, their subflows, and what is wrong with them: for people
    Tree,
    /// One row a subflow
    Table,
    /// The whole report as one JSON object
    Json,
    /// One line a TCP segment that carries MPTCP: for people
    Packets,
    /// One JSON object a line: segments and events as they happen
    Ndjson,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[value(help = None)]
    Auto,
    /// Also into files and pipes.
    #[value(help = None)]
    Always,
    /// Nowhere.
    #[value(help = None)]
    Never,
}

/// What `--generate` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    /// The man page in roff
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// All findings, explained, in Markdown
    Findings,
}

/// The keys of one `--key`: one, or both of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(pub Vec<Key>);

/// Parses 16 hex digits, or two such keys with a colon between them.
fn keys(text: &str) -> Result<Keys, &'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 2 {
        return Err("expected 16 hex digits, or two such keys as A:B");
    }
    parts.into_iter().map(key).collect::<Option<_>>().map(Keys).ok_or("expected 16 hex digits, or two such keys as A:B")
}

fn key(text: &str) -> Option<Key> {
    let hex = text.strip_prefix("0x").unwrap_or(text);
    let is_key = hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| u64::from_str_radix(hex, 16).ok().map(|key| Key(key.to_be_bytes()))).flatten()
}

/// Bytes of a packet that are kept at most: more than any link carries.
const SNAPLEN_MAX: u32 = 262_144;

/// Parses how much of each packet is kept; 0 is all of it, as for other capture programs.
fn snaplen(text: &str) -> Result<u32, &'static str> {
    match text.parse() {
        Ok(0) => Ok(SNAPLEN_MAX),
        Ok(bytes @ 64..=SNAPLEN_MAX) => Ok(bytes),
        _ => Err("expected 64 to 262144, or 0 for whole packets"),
    }
}

/// Parses a positive number of seconds.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|duration| !duration.is_zero()).ok_or("expected a positive number of seconds")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn keys_are_16_hex_digits_alone_or_in_pairs() {
        let expected = Key([0xb4, 0x6a, 0xfb, 0xd4, 0x6a, 0xe0, 0xec, 0x67]);
        assert_eq!(keys("b46afbd46ae0ec67"), Ok(Keys(vec![expected])));
        assert_eq!(
            keys("0xB46AFBD46AE0EC67:0000000000000001"),
            Ok(Keys(vec![expected, Key([0, 0, 0, 0, 0, 0, 0, 1])]))
        );
        for wrong in ["", "b46afbd46ae0ec6", "b46afbd46ae0ec6g", "b46afbd46ae0ec67:", "1:2", "+46afbd46ae0ec67"] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_positive_seconds() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        for wrong in ["0", "-1", "nan", "inf", "1s", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}

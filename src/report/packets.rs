//! `packets`: one line a TCP segment, for people.
//!
//! ```text
//!     9     0.001243  #1/1  10.8.2.1:45287 → 10.8.1.2:8080  SYN  seq 0 len 0  MP_JOIN … token 7b221d74 … ✓
//!     |     |         |     |                               |                 |                          |
//! frame     seconds   |     client and server, the arrow    flags             MPTCP options              verified
//!                     |     says which way
//!                     connection and subflow
//! ```
//!
//! A check mark (`✓`, `ok`) stands behind what was verified: the token and HMACs of a join, the HMAC of an ADD_ADDR, the
//! key of an MP_FASTCLOSE, and the checksums of the mappings that the segment completes; a cross (`✗`, `BAD`) behind what is
//! wrong. Sequence numbers count from the SYN's where that was seen.

use std::io::{self, Write};
use std::net::SocketAddr;

use super::seen::Seen;
use super::segment_line::FLAGS;
use super::style::{Look, Role};
use crate::packet::TcpFlags;
use crate::track::observer::What;
use crate::track::side::Side;
use crate::track::verdict::Verdict;
use crate::wire::{Dss, MptcpOption, TcpOption};

/// Writes the line of a segment.
pub fn write_segment(out: &mut dyn Write, seen: &Seen<'_>, look: Look) -> io::Result<()> {
    let mut line = Line { out, look };
    line.head(seen)?;
    line.numbers(seen)?;
    let mut separator = "  ";
    for item in seen.options() {
        match &item.option {
            TcpOption::Mptcp(option) => {
                write!(line.out, "{separator}{option}")?;
                line.marks(seen, option)?;
                separator = ", ";
            }
            TcpOption::Malformed(error) => {
                line.text(Role::Error, &format_args!("{separator}malformed option ({error})"))?;
                separator = ", ";
            }
            _ => {}
        }
    }
    if seen.is_copy {
        line.text(Role::Dim, &"  (copy at another tap)")?;
    }
    for event in seen.events {
        if let (What::FellBack, Some(connection)) = (event.what, seen.connection)
            && let Some(fallback) = connection.fallback
        {
            let arrow = if look.unicode { "→" } else { "->" };
            line.text(Role::Warning, &format_args!("  {arrow} fallback to TCP: {}", fallback.cause.name()))?;
        }
    }
    line.out.write_all(b"\n")
}

struct Line<'a> {
    out: &'a mut dyn Write,
    look: Look,
}

impl Line<'_> {
    fn text(&mut self, role: Role, text: &dyn std::fmt::Display) -> io::Result<()> {
        if self.look.color {
            let style = role.style();
            write!(self.out, "{style}{text}{style:#}")
        } else {
            write!(self.out, "{text}")
        }
    }

    /// Frame, time, connection and ends.
    fn head(&mut self, seen: &Seen<'_>) -> io::Result<()> {
        let micros = seen.since_first_ns / 1000;
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        self.text(Role::Dim, &format_args!("{:>6} {seconds:>5}.{fraction:06}", Padded(&seen.frame)))?;
        match (seen.number(), seen.subflow) {
            (Some(number), Some(subflow)) => write!(self.out, "  {:<5}", Padded(&format_args!("#{number}/{subflow}")))?,
            (Some(number), None) => write!(self.out, "  {:<5}", Padded(&format_args!("#{number}")))?,
            (None, _) => write!(self.out, "  {:<5}", "-")?,
        }
        let segment = seen.segment;
        let source = SocketAddr::new(segment.ip.source(), segment.source_port);
        let destination = SocketAddr::new(segment.ip.destination(), segment.destination_port);
        let (left, arrow, right) = match (seen.from, self.look.unicode) {
            (Some(Side::Server), true) => (destination, "←", source),
            (Some(Side::Server), false) => (destination, "<-", source),
            (_, true) => (source, "→", destination),
            (_, false) => (source, "->", destination),
        };
        write!(self.out, "  {left} {arrow} {right}")
    }

    /// Flags, sequence numbers and length.
    fn numbers(&mut self, seen: &Seen<'_>) -> io::Result<()> {
        let flags = seen.segment.flags;
        let role = if flags.rst() { Role::Error } else { Role::Plain };
        self.out.write_all(b"  ")?;
        self.text(role, &format_args!("{:<7}", Padded(&FlagNames(flags))))?;
        write!(self.out, "  seq {}", seen.relative_seq().unwrap_or(seen.segment.seq))?;
        if flags.ack() {
            write!(self.out, " ack {}", seen.relative_ack().unwrap_or(seen.segment.ack))?;
        }
        write!(self.out, " len {}", seen.segment.payload_len)
    }

    fn marks(&mut self, seen: &Seen<'_>, option: &MptcpOption<'_>) -> io::Result<()> {
        let mapped = matches!(option, MptcpOption::Dss(Dss { mapping: Some(_), .. }) | MptcpOption::MpCapable(_));
        let (good, bad) = match seen.verdict(option) {
            Some(Verdict::Verified(_)) => (true, false),
            Some(Verdict::Mismatch { .. }) => (false, true),
            Some(Verdict::Unverifiable(_)) => (false, false),
            None => (mapped && seen.right_checksums > 0, mapped && seen.wrong_checksums > 0),
        };
        let (check, cross) = if self.look.unicode { (" ✓", " ✗") } else { (" ok", " BAD") };
        if good && !bad {
            self.text(Role::Good, &check)?;
        }
        if bad {
            self.text(Role::Error, &cross)?;
        }
        Ok(())
    }
}

/// Lets width and alignment apply to what is composed.
struct Padded<'a>(&'a dyn std::fmt::Display);

impl std::fmt::Display for Padded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The longest is a dozen characters.
        f.pad(&self.0.to_string())
    }
}

/// `SYN+ACK`, `FIN+PSH+ACK`; `-` for none.
struct FlagNames(TcpFlags);

impl std::fmt::Display for FlagNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (bit, name) in FLAGS.iter().enumerate() {
            if self.0.0 >> bit & 1 == 1 {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        if separator.is_empty() { f.write_str("-") } else { Ok(()) }
    }
}

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

use std::fmt::Display;

use super::append;
use super::seen::Seen;
use super::segment_line::FLAGS;
use super::sentences;
use super::style::{Look, Role};
use crate::packet::TcpFlags;
use crate::track::observer::What;
use crate::track::side::Side;
use crate::track::verdict::Verdict;
use crate::wire::{Dss, Hex, MptcpOption, TcpOption};

/// Appends the line of a segment, its end included.
pub fn write_segment(out: &mut Vec<u8>, seen: &Seen<'_>, look: Look) {
    let mut line = Line { out, look };
    line.head(seen);
    line.numbers(seen);
    let mut separator = "  ";
    for item in seen.options() {
        match &item.option {
            TcpOption::Mptcp(option) => {
                line.plain(separator);
                append::shown(line.out, option);
                line.marks(seen, option);
                separator = ", ";
            }
            TcpOption::Malformed(error) => {
                let bytes = Hex(item.bytes);
                // What the capture cut is not the sender's fault.
                let (role, what) = if error.is_cut() { (Role::Warning, "cut") } else { (Role::Error, "malformed") };
                line.text(role, format_args!("{separator}{what} option {bytes} ({error})"));
                separator = ", ";
            }
            _ => {}
        }
    }
    if seen.is_copy {
        line.text(Role::Dim, "  (copy at another tap)");
    }
    for event in seen.events {
        if let (What::FellBack, Some(connection)) = (event.what, seen.connection)
            && let Some(fallback) = connection.fallback
        {
            let arrow = if look.unicode { "→" } else { "->" };
            line.text(
                Role::Warning,
                format_args!("  {arrow} fallback to TCP: {}", sentences::cause(fallback.cause.name())),
            );
        }
    }
    line.out.push(b'\n');
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    look: Look,
}

impl Line<'_> {
    fn plain(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, role: Role, text: impl Display) {
        self.styled(role, |out| append::shown(out, text));
    }

    fn styled(&mut self, role: Role, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.look.color {
            return write(self.out);
        }
        let style = role.style();
        append::shown(self.out, style);
        write(self.out);
        append::shown(self.out, format_args!("{style:#}"));
    }

    /// Frame, time, connection and ends.
    fn head(&mut self, seen: &Seen<'_>) {
        let micros = seen.since_first_ns / 1000;
        self.styled(Role::Dim, |out| {
            append::right(out, 6, b' ', |out| append::shown(out, seen.frame));
            out.push(b' ');
            append::right(out, 5, b' ', |out| append::number(out, micros / 1_000_000));
            out.push(b'.');
            append::right(out, 6, b'0', |out| append::number(out, micros % 1_000_000));
        });
        self.plain("  ");
        append::left(self.out, 5, |out| {
            let Some(number) = seen.number() else { return out.push(b'-') };
            out.push(b'#');
            append::number(out, number);
            if let Some(subflow) = seen.subflow {
                out.push(b'/');
                append::number(out, subflow);
            }
        });
        let segment = seen.segment;
        let source = (segment.ip.source(), segment.source_port);
        let destination = (segment.ip.destination(), segment.destination_port);
        let (left, arrow, right) = match (seen.from, self.look.unicode) {
            (Some(Side::Server), true) => (destination, " ← ", source),
            (Some(Side::Server), false) => (destination, " <- ", source),
            (_, true) => (source, " → ", destination),
            (_, false) => (source, " -> ", destination),
        };
        self.plain("  ");
        append::socket(self.out, left.0, left.1);
        self.plain(arrow);
        append::socket(self.out, right.0, right.1);
    }

    /// Flags, sequence numbers and length.
    fn numbers(&mut self, seen: &Seen<'_>) {
        let flags = seen.segment.flags;
        let role = if flags.rst() { Role::Error } else { Role::Plain };
        self.plain("  ");
        self.styled(role, |out| append::left(out, 7, |out| flag_names(out, flags)));
        self.plain("  seq ");
        append::number(self.out, seen.relative_seq().unwrap_or(seen.segment.seq));
        if flags.ack() {
            self.plain(" ack ");
            append::number(self.out, seen.relative_ack().unwrap_or(seen.segment.ack));
        }
        self.plain(" len ");
        append::number(self.out, seen.segment.payload_len);
    }

    fn marks(&mut self, seen: &Seen<'_>, option: &MptcpOption<'_>) {
        let mapped = matches!(option, MptcpOption::Dss(Dss { mapping: Some(_), .. }) | MptcpOption::MpCapable(_));
        let mut variant = None;
        let (good, bad) = match seen.verdict(option) {
            Some(Verdict::Verified(which)) => {
                variant = which.and_then(sentences::hmac_variant);
                (true, false)
            }
            Some(Verdict::Mismatch { .. }) => (false, true),
            Some(Verdict::Unverifiable(_)) => (false, false),
            None => (mapped && seen.right_checksums > 0, mapped && seen.wrong_checksums > 0),
        };
        let (check, cross) = if self.look.unicode { (" ✓", " ✗") } else { (" ok", " BAD") };
        if good && !bad {
            self.text(Role::Good, check);
        }
        if let Some(words) = variant {
            self.text(Role::Warning, format_args!(" ({words})"));
        }
        if bad {
            self.text(Role::Error, cross);
        }
    }
}

/// `SYN+ACK`, `FIN+PSH+ACK`; `-` for none.
fn flag_names(out: &mut Vec<u8>, flags: TcpFlags) {
    let start = out.len();
    for (bit, name) in FLAGS.iter().enumerate() {
        if flags.any(1 << bit) {
            if out.len() > start {
                out.push(b'+');
            }
            out.extend_from_slice(name.as_bytes());
        }
    }
    if out.len() == start {
        out.push(b'-');
    }
}

//! The line of a segment in `ndjson`: by far the most of what that format writes.

use super::json_text::{Checksum, Json, List, Plain, Quoted, Serde, Shown, Socket, field};
use super::seen::Seen;
use crate::packet::TcpFlags;
use crate::wire::{AddAddrForm, Dss, Hex, Item, MpCapable, MpJoin, MptcpOption, RawSequence, TcpOption};

/// Appends the line, its end included.
pub(super) fn append(out: &mut Vec<u8>, seen: &Seen<'_>) {
    let segment = seen.segment;
    field!(out, first "type", Plain("segment"));
    field!(out, "frame", seen.frame);
    field!(out, "time", seen.time);
    field!(out, "interface", Serde(Some(seen.interface).filter(|name| !name.is_empty())));
    field!(out, "source", Socket(segment.ip.source(), segment.source_port));
    field!(out, "destination", Socket(segment.ip.destination(), segment.destination_port));
    field!(out, "seq", segment.seq);
    field!(out, "ack", segment.ack);
    field!(out, "flags", List(names_of(segment.flags)));
    field!(out, "window", segment.window);
    field!(out, "payload_bytes", segment.payload_len);
    field!(out, "connection", seen.number());
    field!(out, "subflow", seen.subflow);
    field!(out, "options", List(seen.options().filter(|item| !is_padding(item))));
    if seen.is_copy {
        field!(out, "duplicate", true);
    }
    out.extend_from_slice(b"}\n");
}

/// Names of the flags in the order of their bits.
pub(super) const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

fn names_of(flags: TcpFlags) -> impl Iterator<Item = Plain<'static>> {
    FLAGS.iter().enumerate().filter(move |(bit, _)| flags.any(1 << bit)).map(|(_, name)| Plain(name))
}

fn is_padding(item: &Item<'_>) -> bool {
    matches!(item.option, TcpOption::NoOperation | TcpOption::EndOfList)
}

impl Json for Item<'_> {
    fn json(self, out: &mut Vec<u8>) {
        field!(out, first "kind", self.kind);
        if let Some(error) = self.option.error() {
            field!(out, "malformed", Serde(error.to_string()));
            field!(out, "bytes", Hex(self.bytes));
        } else {
            field!(out, "name", Plain(self.option.name()));
            field!(out, "length", self.bytes.len());
            match &self.option {
                TcpOption::Mptcp(option) => mptcp(out, option),
                option => plain(out, option, self.bytes),
            }
        }
        out.push(b'}');
    }
}

/// Fields of an option that is not MPTCP.
fn plain(out: &mut Vec<u8>, option: &TcpOption<'_>, bytes: &[u8]) {
    match *option {
        TcpOption::MaximumSegmentSize(mss) => field!(out, "mss", mss),
        TcpOption::WindowScale(shift) => field!(out, "shift", shift),
        TcpOption::Sack(blocks) => {
            field!(out, "blocks", List(blocks.iter().map(|(left, right)| List([left, right].into_iter()))));
        }
        TcpOption::Timestamps { value, echo_reply } => {
            field!(out, "value", value);
            field!(out, "echo_reply", echo_reply);
        }
        TcpOption::FastOpen { cookie, .. } => field!(out, "cookie", Hex(cookie)),
        TcpOption::Md5Signature(digest) => field!(out, "digest", Hex(digest)),
        TcpOption::AuthenticationOption { key_id, r_next_key_id, mac } => {
            field!(out, "key_id", key_id);
            field!(out, "r_next_key_id", r_next_key_id);
            field!(out, "mac", Hex(mac));
        }
        TcpOption::UserTimeout { minutes, timeout } => {
            let unit: u32 = if minutes { 60 } else { 1 };
            field!(out, "timeout_seconds", u32::from(timeout) * unit);
        }
        TcpOption::Experimental { exid, data, .. } => {
            field!(out, "exid", Shown(exid));
            field!(out, "data", Hex(data));
        }
        TcpOption::Obsolete { .. } | TcpOption::Unknown { .. } => field!(out, "bytes", Hex(bytes)),
        TcpOption::SackPermitted
        | TcpOption::NoOperation
        | TcpOption::EndOfList
        | TcpOption::Malformed(_)
        | TcpOption::Mptcp(_) => {}
    }
}

/// Fields of an MPTCP option.
fn mptcp(out: &mut Vec<u8>, option: &MptcpOption<'_>) {
    match option {
        MptcpOption::MpCapable(capable) => mp_capable(out, capable),
        MptcpOption::MpJoin(join) => mp_join(out, join),
        MptcpOption::Dss(dss) => data_sequence_signal(out, dss),
        MptcpOption::AddAddr(add) => {
            field!(out, "address_id", add.address_id);
            field!(out, "address", Shown(add.address));
            field!(out, "port", add.port);
            let echo = match add.form() {
                AddAddrForm::Rfc8684 { echo } => Some(echo),
                AddAddrForm::V0 | AddAddrForm::DraftV1 => None,
            };
            field!(out, "echo", echo);
            field!(out, "hmac", add.hmac.as_ref().map(|hmac| Hex(hmac)));
        }
        MptcpOption::RemoveAddr(remove) => field!(out, "address_ids", List(remove.ids.iter().copied())),
        MptcpOption::MpPrio(prio) => {
            field!(out, "backup", prio.backup);
            field!(out, "address_id", prio.address_id);
        }
        MptcpOption::MpFail(fail) => field!(out, "dsn", Quoted(fail.dsn)),
        MptcpOption::MpFastclose(close) => field!(out, "key", close.key),
        MptcpOption::MpTcprst(reset) => {
            field!(out, "reason", reset.reason);
            field!(out, "meaning", Plain(reset.why().meaning()));
            field!(out, "transient", reset.transient());
        }
        MptcpOption::Unknown { subtype, bytes } => {
            field!(out, "subtype", subtype.0);
            field!(out, "bytes", Hex(bytes));
        }
        MptcpOption::Malformed { .. } => {}
    }
}

fn mp_capable(out: &mut Vec<u8>, capable: &MpCapable) {
    field!(out, "version", capable.version);
    field!(out, "flags", Hex(&[capable.flags]));
    field!(out, "sender_key", capable.sender_key);
    field!(out, "receiver_key", capable.receiver_key);
    field!(out, "data_len", capable.data_len);
    field!(out, "checksum", capable.checksum.map(Checksum));
}

fn data_sequence_signal(out: &mut Vec<u8>, dss: &Dss) {
    let mapping = dss.mapping.as_ref();
    field!(out, "data_ack", dss.data_ack);
    field!(out, "data_ack_bytes", dss.data_ack.map(RawSequence::octets));
    field!(out, "dsn", mapping.map(|mapping| mapping.dsn));
    field!(out, "dsn_bytes", mapping.map(|mapping| mapping.dsn.octets()));
    field!(out, "subflow_seq", mapping.map(|mapping| mapping.ssn));
    field!(out, "data_len", mapping.map(|mapping| mapping.len));
    field!(out, "checksum", mapping.and_then(|mapping| mapping.checksum).map(Checksum));
    field!(out, "data_fin", dss.data_fin());
}

fn mp_join(out: &mut Vec<u8>, join: &MpJoin) {
    let (backup, address_id, token, nonce, hmac) = match join {
        MpJoin::Syn { backup, address_id, token, nonce, .. } => {
            (Some(*backup), Some(*address_id), Some(*token), Some(*nonce), None)
        }
        MpJoin::SynAck { backup, address_id, hmac, nonce, .. } => {
            (Some(*backup), Some(*address_id), None, Some(*nonce), Some(&hmac[..]))
        }
        MpJoin::Ack { hmac, .. } => (None, None, None, None, Some(&hmac[..])),
    };
    field!(out, "address_id", address_id);
    field!(out, "backup", backup);
    field!(out, "token", token);
    field!(out, "nonce", nonce);
    field!(out, "hmac", hmac.map(Hex));
}

//! What two captures of the same connection prove of the path between them, or one of both sides of a device. The stretch is
//! named by its two inputs, or interfaces.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "Two captures of one connection, or one of both sides of a device",
    rules: &[
        PATH_STRIPPED_OPTION,
        PATH_BLANKED_OPTION,
        PATH_ECHOED_OPTION,
        PATH_CHANGED_OPTION,
        PATH_SHORTENED_NUMBERS,
        PATH_CHANGED_PAYLOAD,
        PATH_RESEGMENTED,
        PATH_REWROTE_SEQUENCE_NUMBERS,
        PATH_TRANSLATED_ADDRESSES,
        PATH_CHANGED_TCP_OPTIONS,
        PATH_LOST_PACKETS,
        PATH_FORGED_RESET,
    ],
};

/// Whether a finding proves that something on the way changed what passes: more than how it is cut, where it goes, and what is
/// lost.
pub fn is_change(rule: &Explanation) -> bool {
    let of_any_path = [PATH_RESEGMENTED, PATH_TRANSLATED_ADDRESSES, PATH_LOST_PACKETS];
    TOPIC.rules.iter().any(|known| known.id == rule.id) && of_any_path.iter().all(|known| known.id != rule.id)
}

/// An MPTCP option was removed between two captures.
pub const PATH_STRIPPED_OPTION: &Explanation = &Explanation {
    id: "path-stripped-option",
    severity: Severity::Warning,
    title: "an MPTCP option was removed between two captures",
    meaning: "The option is in a packet at one input and not in the same packet at the other: a device between the two \
              removed it. Neither end is at fault.",
    detection: "The same packet at two inputs, with and without its option: a SYN, SYN/ACK or third ACK, and any later packet \
                that has the same sequence numbers, flags, window, timestamps and IPv4 identification at both.",
    advice: "Look at the firewalls, proxies and NATs between the two capture points, and allow TCP option 30 there.",
    rfc: "8684 §3.7",
    counter: None,
};

/// An MPTCP option was overwritten with NOPs between two captures.
pub const PATH_BLANKED_OPTION: &Explanation = &Explanation {
    id: "path-blanked-option",
    severity: Severity::Warning,
    title: "an MPTCP option was overwritten with NOPs between two captures",
    meaning: "At one input the packet carries the option, at the other NOPs of the same length stand in its place: a \
              device that normalises TCP options.",
    detection: "The same SYN, SYN/ACK or third ACK at two inputs, and a run of four or more NOPs at the second.",
    advice: "Firewalls blank options that they do not know: allow TCP option 30 (Cisco ASA: tcp-map with tcp-options \
              range 30 30 allow).",
    rfc: "8684 §3.7",
    counter: None,
};

/// A middlebox between two captures echoed the option of the SYN.
pub const PATH_ECHOED_OPTION: &Explanation = &Explanation {
    id: "path-echoed-option",
    severity: Severity::Warning,
    title: "a middlebox between two captures echoed the option of the SYN",
    meaning: "The SYN/ACK has no option, or the server's own, where it comes from the server, and that of the client's \
              SYN where it reaches the client.",
    detection: "The same SYN/ACK at two inputs.",
    advice: "",
    rfc: "8684 §3.7",
    counter: None,
};

/// An MPTCP option was changed between two captures.
pub const PATH_CHANGED_OPTION: &Explanation = &Explanation {
    id: "path-changed-option",
    severity: Severity::Error,
    title: "an MPTCP option was changed between two captures",
    meaning: "The option says one thing at one input and another at the other, or it is there only behind the device: a device \
              between the two rewrites or inserts it. Keys, tokens, HMACs or mappings no longer fit, so the other end refuses \
              what it carries.",
    detection: "The contents of options of the same packet at two inputs, parts of DSS told apart.",
    advice: "Look for a proxy, load balancer or NAT helper between the two capture points that handles MPTCP itself.",
    rfc: "8684 §3.7",
    counter: None,
};

/// Data sequence numbers took another form between two captures.
pub const PATH_SHORTENED_NUMBERS: &Explanation = &Explanation {
    id: "path-shortened-numbers",
    severity: Severity::Note,
    title: "data sequence numbers took another form between two captures",
    meaning: "DATA_ACK or DSN of the same DSS has 64 bits at one input and 32 at the other, and the low halves agree: a \
              device between the two rewrites the option. Receivers take either form, so this is harmless.",
    detection: "The parts of DSS of the same packet at two inputs.",
    advice: "",
    rfc: "8684 §3.3",
    counter: None,
};

/// Segments were split or merged between two captures.
pub const PATH_RESEGMENTED: &Explanation = &Explanation {
    id: "path-resegmented",
    severity: Severity::Note,
    title: "segments were split or merged between two captures",
    meaning: "The same bytes pass the two inputs in another number of segments: a proxy or another device that rebuilds \
              the TCP stream. MPTCP is made for it (a mapping may cover many segments), but where segments are merged one \
              of their options is lost.",
    detection: "Segments and the bytes of one direction counted at both inputs, where nothing was sent again. Segments larger \
                than the MSS, which segmentation offload (TSO, GSO, GRO) makes within a capturing host, say nothing of the \
                path and are left out; receive offload can still merge short segments.",
    advice: "",
    rfc: "8684 §3.3.1",
    counter: None,
};

/// Payload was changed between two captures.
pub const PATH_CHANGED_PAYLOAD: &Explanation = &Explanation {
    id: "path-changed-payload",
    severity: Severity::Error,
    title: "payload was changed between two captures",
    meaning: "A mapping whose checksum is right at one input is wrong at the other, or the stream has another length or \
              other bytes there: a device between the two rewrites payload.",
    detection: "DSS checksums of the same mappings, and length and sum of the bytes of the same subflow, at two inputs.",
    advice: "Look for an application-level gateway or proxy between the two capture points.",
    rfc: "8684 §3.3.1",
    counter: None,
};

/// TCP sequence numbers were rewritten between two captures.
pub const PATH_REWROTE_SEQUENCE_NUMBERS: &Explanation = &Explanation {
    id: "path-rewrote-sequence-numbers",
    severity: Severity::Note,
    title: "TCP sequence numbers were rewritten between two captures",
    meaning: "A firewall randomises initial sequence numbers. MPTCP is made for it (mappings count from the start of \
              the subflow), so this is harmless; SACK blocks must be rewritten too.",
    detection: "Sequence numbers of the same SYN or SYN/ACK at two inputs.",
    advice: "",
    rfc: "8684 §3.3.1",
    counter: None,
};

/// Addresses were translated between two captures.
pub const PATH_TRANSLATED_ADDRESSES: &Explanation = &Explanation {
    id: "path-translated-addresses",
    severity: Severity::Note,
    title: "addresses were translated between two captures",
    meaning: "A NAT lies between the two capture points. MPTCP identifies subflows by tokens and addresses by ids, so \
              this is harmless; announced addresses are not translated.",
    detection: "The same subflow (tokens and nonces) under two 4-tuples.",
    advice: "",
    rfc: "8684 §3.2",
    counter: None,
};

/// Other TCP options of the handshake were changed between two captures.
pub const PATH_CHANGED_TCP_OPTIONS: &Explanation = &Explanation {
    id: "path-changed-tcp-options",
    severity: Severity::Note,
    title: "other TCP options of the handshake were changed between two captures",
    meaning: "MSS clamping is usual on tunnels and PPPoE. Where window scaling, SACK or timestamps are removed, \
              throughput suffers.",
    detection: "MSS, window scale, SACK-permitted and timestamps of the same SYN or SYN/ACK at two inputs.",
    advice: "",
    rfc: "",
    counter: None,
};

/// Packets were lost between two captures.
pub const PATH_LOST_PACKETS: &Explanation = &Explanation {
    id: "path-lost-packets",
    severity: Severity::Note,
    title: "packets were lost between two captures",
    meaning: "Segments that one input shows never reached the other, and were sent again.",
    detection: "Payload bytes of one direction that were sent again, counted at both inputs. What one input lacks and \
                nobody sent again was lost by the capture. Likewise a REMOVE_ADDR that an input lacks which has all data \
                of its sender.",
    advice: "",
    rfc: "",
    counter: None,
};

/// A device between two captures reset a subflow in the name of an end.
pub const PATH_FORGED_RESET: &Explanation = &Explanation {
    id: "path-forged-reset",
    severity: Severity::Error,
    title: "a device between two captures reset a subflow in the name of an end",
    meaning: "At one input a RST ends the subflow; at the input nearer to its sender there is none, and the sender goes on. A \
              device between the two sent it. Neither end is at fault; a RST that the other end sends in turn only says that \
              it has given the subflow up.",
    detection: "A RST at one input that the input nearer to its sender lacks, and segments of the same sender after it.",
    advice: "Look for a firewall, intrusion prevention or load balancer between the two capture points that ends connections.",
    rfc: "",
    counter: None,
};

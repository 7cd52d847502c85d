//! Which path data takes, and whether it should.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "Paths",
    rules: &[BACKUP_PATH_USED, ONE_PATH_CARRIES_MOST, WRONG_INTERFACE, PATH_STALLED, PATH_SILENT, HANDOVER],
};

/// Data went over a backup path while a normal one worked.
pub const BACKUP_PATH_USED: &Explanation = &Explanation {
    id: "backup-path-used",
    severity: Severity::Warning,
    title: "data went over a backup path while a normal one worked",
    meaning: "The receiver asked for this subflow to be used only when no other works. It was used at the same time as \
              a normal one.",
    detection: "New data of one end on a subflow that its peer had marked as backup, while one that is none was open, had \
              nothing outstanding in silence, and carried data later: at least 20 kB of it, and 5 % of what that end sent. After \
              MP_PRIO, a round trip and 0.2 s are allowed.",
    advice: "The mark counts for one direction: it asks the other end. Check that the sender's scheduler honours it, \
              and that both ends set it where both directions should (`ip mptcp endpoint … backup`).",
    rfc: "8684 §3.3.8",
    counter: None,
};

/// One path carried nearly everything though two were there.
pub const ONE_PATH_CARRIES_MOST: &Explanation = &Explanation {
    id: "one-path-carries-most",
    severity: Severity::Note,
    title: "one path carried nearly everything though two were there",
    meaning: "Normal where one path is much better, the transfer is short, or data is sent slower than one path \
              carries.",
    detection: "Two or more established subflows that are no backups, and one that carried 95 % or more of at least 100 \
              kB, holes in the capture included, of which next to nothing went over others as well.",
    advice: "If more was expected of the other paths, compare round-trip times (-v, in a capture made at the \
              sender) and receive buffers.",
    rfc: "8684 §3.3.5",
    counter: None,
};

/// A source address leaves through another interface than its own.
pub const WRONG_INTERFACE: &Explanation = &Explanation {
    id: "wrong-interface",
    severity: Severity::Warning,
    title: "a source address leaves through another interface than its own",
    meaning: "Packets from one address go out through the interface of another: the routing table chose by destination \
              only. The second path is then no second path, and networks with source filters drop the packets.",
    detection: "SYNs of one source address on several interfaces, or a SYN that leaves on one interface and its answer \
              that comes in on another.",
    advice: "Add a rule and a table for each address: `ip rule add from ADDRESS table N` and `ip route add default via \
              GATEWAY dev INTERFACE table N`.",
    rfc: "",
    counter: None,
};

/// Data stopped on a path and went on elsewhere only much later.
pub const PATH_STALLED: &Explanation = &Explanation {
    id: "path-stalled",
    severity: Severity::Warning,
    title: "data stopped on a path and went on elsewhere only much later",
    meaning: "The stream stood still until the sender gave up on a path that had failed without a word.",
    detection: "New data moves to another subflow after a second or more of silence of all of them, with bytes \
              outstanding on the old one.",
    advice: "Have the host remove the address when it loses the link (REMOVE_ADDR moves data at once), or shorten \
              sysctl net.mptcp.stale_loss_cnt.",
    rfc: "8684 §3.3.6",
    counter: Some("MPTcpExtSubflowStale"),
};

/// What is sent on a path is never acknowledged.
pub const PATH_SILENT: &Explanation = &Explanation {
    id: "path-silent",
    severity: Severity::Warning,
    title: "what is sent on a path is never acknowledged",
    meaning: "TCP repeats the same bytes of a subflow, and no ACK for them ever comes: the path lets nothing through any more, or \
              keeps this one segment back. Where the data goes on elsewhere, only this path is lost; else the connection stands \
              still.",
    detection: "The first bytes that the peer has not acknowledged, sent again four times or more over a second or more, on a \
                subflow that stays open. Not where the peer's window is shut.",
    advice: "A capture at the other end shows whether the segments arrive and which way the loss goes. If one size or content of \
              segment only is kept back, look for a firewall or an MTU that is too small.",
    rfc: "8684 §3.3.6",
    counter: None,
};

/// Data moved from one path to another.
pub const HANDOVER: &Explanation = &Explanation {
    id: "handover",
    severity: Severity::Note,
    title: "data moved from one path to another",
    meaning: "The path that carried the data was closed, removed or demoted, or fell silent, and another took over.",
    detection: "New data on another subflow after a REMOVE_ADDR, MP_PRIO, FIN or RST of the one before, where that one does not \
              go on beside it; or, without any of these, data that follows on another subflow after 0.2 s of silence, where an acknowledgement on the one before is \
              overdue: by its round-trip time and 0.2 s.",
    advice: "",
    rfc: "8684 §3.3.6",
    counter: None,
};

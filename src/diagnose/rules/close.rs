//! How subflows and the connection ended.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "End of subflows and connections",
    rules: &[
        SUBFLOW_RESET,
        SUBFLOW_RESET_BY_REMOVAL,
        SUBFLOW_RESET_REASON_UNSUPPORTED,
        SUBFLOW_RESET_FORGED,
        CONNECTION_RESET,
        FASTCLOSE,
        FASTCLOSE_WRONG_KEY,
        DATA_UNACKNOWLEDGED_AT_CLOSE,
        CLOSED_WITHOUT_DATA_FIN,
    ],
};

/// A subflow was reset in mid-life.
pub const SUBFLOW_RESET: &Explanation = &Explanation {
    id: "subflow-reset",
    severity: Severity::Warning,
    title: "a subflow was reset in mid-life",
    meaning: "One end gave a working subflow up. The connection goes on over the others, if there are any.",
    detection: "RST on a subflow that carried data or was in use, before the data of both ends had ended.",
    advice: "The reason in MP_TCPRST, where there is one, is what the resetting end believes: 1 broken mapping, 2 \
              resources, 3 policy, 4 and 5 a bad path, 6 a middlebox.",
    rfc: "8684 §3.6",
    counter: Some("MPTcpExtMPRstTx"),
};

/// A subflow was reset because its address was removed.
pub const SUBFLOW_RESET_BY_REMOVAL: &Explanation = &Explanation {
    id: "subflow-reset-by-removal",
    severity: Severity::Note,
    title: "a subflow was reset because its address was removed",
    meaning: "The host gave an address up (link down, endpoint deleted) and ended the subflows that used it. The \
              connection goes on over the others.",
    detection: "RST on a subflow one of whose address ids a REMOVE_ADDR of the same connection names.",
    advice: "",
    rfc: "8684 §3.4.2",
    counter: Some("MPTcpExtRmSubflow"),
};

/// The reason of a reset does not fit what the capture shows.
pub const SUBFLOW_RESET_REASON_UNSUPPORTED: &Explanation = &Explanation {
    id: "subflow-reset-reason-unsupported",
    severity: Severity::Note,
    title: "the reason of a reset does not fit what the capture shows",
    meaning: "The RST blames a middlebox or a broken mapping, and nothing of the kind shows here. The cause may lie \
              beyond this capture's place.",
    detection: "MP_TCPRST with reason 6 without wrong checksum, missing options or MP_FAIL on the subflow; with reason 1 \
              without anything broken on it.",
    advice: "Capture at the end that sent the RST.",
    rfc: "8684 §3.6",
    counter: None,
};

/// A RST that ended nothing.
pub const SUBFLOW_RESET_FORGED: &Explanation = &Explanation {
    id: "subflow-reset-forged",
    severity: Severity::Warning,
    title: "a RST that ended nothing",
    meaning: "After the RST the end in whose name it came went on, and the other end too: neither took the subflow for ended. An \
              end that resets a subflow sends nothing more on it, so a device on the way sent the RST. Its receiver ignored it, \
              most likely for its sequence number; other subflows may not be so lucky.",
    detection: "RST, then new data or a FIN of the same end beyond all that it had sent, which its peer acknowledges; or a RST to \
                the SYN, then a SYN/ACK. The TTL, where it differs from that of the end's other packets.",
    advice: "Look for a firewall or intrusion prevention on the path that ends connections; a capture at each end shows on which \
             stretch it is.",
    rfc: "8684 §3.6",
    counter: None,
};

/// The connection was reset.
pub const CONNECTION_RESET: &Explanation = &Explanation {
    id: "connection-reset",
    severity: Severity::Error,
    title: "the connection was reset",
    meaning: "All subflows ended with RST, without FASTCLOSE and without the end of data. The application saw an error, \
              and data may be lost.",
    detection: "RST on every subflow, no MP_FASTCLOSE, no DATA_FIN both ways.",
    advice: "",
    rfc: "8684 §3.5",
    counter: None,
};

/// One end aborted the connection with FASTCLOSE.
pub const FASTCLOSE: &Explanation = &Explanation {
    id: "fastclose",
    severity: Severity::Note,
    title: "one end aborted the connection with FASTCLOSE",
    meaning: "The application closed at once (SO_LINGER 0, unread data, or exit). All subflows end; data under way is \
              dropped.",
    detection: "MP_FASTCLOSE with the key of the receiver, on an ACK or on RSTs.",
    advice: "",
    rfc: "8684 §3.5",
    counter: Some("MPTcpExtMPFastcloseTx"),
};

/// A FASTCLOSE with a wrong key.
pub const FASTCLOSE_WRONG_KEY: &Explanation = &Explanation {
    id: "fastclose-wrong-key",
    severity: Severity::Error,
    title: "a FASTCLOSE with a wrong key",
    meaning: "The key must be that of the receiver; with another one the receiver ignores it. Seen with forged packets \
              and broken stacks.",
    detection: "Key in MP_FASTCLOSE compared with the keys of the handshake.",
    advice: "",
    rfc: "8684 §3.5",
    counter: None,
};

/// Data was never acknowledged before the connection ended.
pub const DATA_UNACKNOWLEDGED_AT_CLOSE: &Explanation = &Explanation {
    id: "data-unacknowledged-at-close",
    severity: Severity::Warning,
    title: "data was never acknowledged before the connection ended",
    meaning: "The last bytes that one end sent were not confirmed at the data level when the connection ended with a \
              RST or FASTCLOSE: the other application may not have got them.",
    detection: "Highest DATA_ACK below the highest DSN when all subflows are closed.",
    advice: "",
    rfc: "8684 §3.3.3",
    counter: None,
};

/// All subflows were closed with FIN, but no DATA_FIN ended the data.
pub const CLOSED_WITHOUT_DATA_FIN: &Explanation = &Explanation {
    id: "closed-without-data-fin",
    severity: Severity::Warning,
    title: "all subflows were closed with FIN, but no DATA_FIN ended the data",
    meaning: "The FIN of a subflow ends that subflow only. Without DATA_FIN the other end must keep the connection \
              until it times out. An end that removes the address of the only subflow leaves it so.",
    detection: "FIN on every subflow, no DATA_FIN in a direction whose segments the capture holds: without hole up to \
                the FINs, and nothing acknowledged beyond what was seen. A DATA_ACK one beyond the last byte shows a \
                DATA_FIN that was not captured.",
    advice: "",
    rfc: "8684 §3.3.3",
    counter: None,
};

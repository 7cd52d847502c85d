//! Mappings, checksums, and the stream of data.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "Data",
    rules: &[
        CHECKSUM_MISMATCH,
        CHECKSUM_ABSENT,
        CHECKSUM_NOT_NEGOTIATED,
        MAPPING_CONFLICT,
        PAYLOAD_CHANGED_ON_RETRANSMISSION,
        SEQUENCE_OUT_OF_REACH,
        DATA_BEHIND_DATA_FIN,
        UNMAPPED_PAYLOAD,
        MP_FAIL,
        MP_FAIL_UNANSWERED,
        INFINITE_MAPPING,
        ENDS_DISAGREE_ABOUT_FALLBACK,
        DATA_NOT_TAKEN,
        HEAD_OF_LINE_BLOCKING,
        REINJECTIONS_USELESS,
        DUP_ACK_IS_NOT_LOSS,
    ],
};

/// A DSS checksum is wrong.
pub const CHECKSUM_MISMATCH: &Explanation = &Explanation {
    id: "checksum-mismatch",
    severity: Severity::Error,
    title: "a DSS checksum is wrong",
    meaning: "The payload or the mapping was changed between the sender and this capture, or the sender computed the \
              checksum wrongly. The receiver answers with MP_FAIL.",
    detection: "Checksums of all mappings whose payload the capture holds whole. Where TCP sends bytes again that \
              differ before the peer acknowledged them, the checksum is judged with these, too: right with either is right.",
    advice: "Look for a device that rewrites payload (application-level gateway, proxy). A capture at the sender tells \
              whether the checksum was right when it left.",
    rfc: "8684 §3.3.1",
    counter: Some("MPTcpExtDataCsumErr"),
};

/// A mapping lacks the checksum that was agreed on.
pub const CHECKSUM_ABSENT: &Explanation = &Explanation {
    id: "checksum-absent",
    severity: Severity::Warning,
    title: "a mapping lacks the checksum that was agreed on",
    meaning: "One end asked for checksums in MP_CAPABLE, so every mapping must have one. The receiver treats such a \
              mapping as broken.",
    detection: "DSS with a mapping without checksum, in a connection with flag A.",
    advice: "",
    rfc: "8684 §3.3.1",
    counter: None,
};

/// A mapping has a checksum that nobody asked for.
pub const CHECKSUM_NOT_NEGOTIATED: &Explanation = &Explanation {
    id: "checksum-not-negotiated",
    severity: Severity::Warning,
    title: "a mapping has a checksum that nobody asked for",
    meaning: "Neither end set flag A. Receivers ignore the checksum or reset the subflow.",
    detection: "DSS with a checksum, in a connection whose handshake is in the capture and without flag A.",
    advice: "",
    rfc: "8684 §3.3.1",
    counter: None,
};

/// Two mappings contradict each other.
pub const MAPPING_CONFLICT: &Explanation = &Explanation {
    id: "mapping-conflict",
    severity: Severity::Error,
    title: "two mappings contradict each other",
    meaning: "The same bytes of a subflow were mapped twice to different places in the stream. A mapping must not \
              change once it was sent.",
    detection: "DSS mappings of one direction of one subflow that overlap and disagree.",
    advice: "Either the sender is broken, or a middlebox merged segments and kept the wrong options.",
    rfc: "8684 §3.3.1",
    counter: Some("MPTcpExtDSSNotMatching"),
};

/// Payload changed on a retransmission.
pub const PAYLOAD_CHANGED_ON_RETRANSMISSION: &Explanation = &Explanation {
    id: "payload-changed-on-retransmission",
    severity: Severity::Warning,
    title: "payload changed on a retransmission",
    meaning: "Two copies of the same bytes of a subflow differ. One of them was damaged or rewritten before this capture, or \
              the sender is broken: bytes that were sent once must not change.",
    detection: "One's complement sums of both copies, where DSS checksums are in use: the copy is a whole mapping, one or several \
                segments, or in parts a whole segment, and came before the peer acknowledged them.",
    advice: "If the checksum of the mapping is right with one copy only, a link or device damaged the other.",
    rfc: "8684 §3.3.1",
    counter: None,
};

/// Data behind the DATA_FIN.
pub const DATA_BEHIND_DATA_FIN: &Explanation = &Explanation {
    id: "data-behind-data-fin",
    severity: Severity::Warning,
    title: "data behind the DATA_FIN",
    meaning: "An end mapped data behind the place where its DATA_FIN had closed the stream. The receiver drops it; the sender is \
              broken, or two connections are mixed up.",
    detection: "DSNs of mappings above that of the direction's first DATA_FIN.",
    advice: "A capture at the sender tells whether it sent both.",
    rfc: "8684 §3.3.3",
    counter: None,
};

/// A data sequence number is too far away to be of this stream.
pub const SEQUENCE_OUT_OF_REACH: &Explanation = &Explanation {
    id: "sequence-out-of-reach",
    severity: Severity::Warning,
    title: "a data sequence number is too far away to be of this stream",
    meaning: "A DSN, a DATA_ACK or a TCP sequence number lies so far from the others that it cannot be meant: a broken \
              sender, a forged packet, or two connections mixed up.",
    detection: "Numbers more than 2^30 bytes (TCP) or 2^47 (data level) away.",
    advice: "",
    rfc: "8684 §3.3.1",
    counter: None,
};

/// Payload that no mapping covers.
pub const UNMAPPED_PAYLOAD: &Explanation = &Explanation {
    id: "unmapped-payload",
    severity: Severity::Error,
    title: "payload that no mapping covers",
    meaning: "Bytes were sent on a subflow of a working MPTCP connection without saying where in the stream they \
              belong. The receiver has to drop the subflow.",
    detection: "Payload without mapping on a subflow, outside a fallback: without any option, with a DATA_ACK only, or \
                beyond the mapping of its segment. Only where options were captured whole and no segment before it is \
                missing, and where a mapping is no longer to come: the sender went on to map later bytes or closed, or \
                the peer acknowledged these.",
    advice: "If it is one path only, something there strips the DSS from some segments or splits segments without \
              copying options.",
    rfc: "8684 §3.3.1",
    counter: Some("MPTcpExtNoDSSInWindow"),
};

/// An end reported a wrong checksum, and was answered.
pub const MP_FAIL: &Explanation = &Explanation {
    id: "mp-fail",
    severity: Severity::Warning,
    title: "an end reported a wrong checksum, and was answered",
    meaning: "MP_FAIL names the data that arrived with a wrong checksum. With other subflows left the bad one is reset \
              and its data sent again elsewhere: nothing is lost. On the only subflow the connection falls back to TCP.",
    detection: "MP_FAIL, with RST or followed by an MP_FAIL, an infinite mapping, or an end of mappings.",
    advice: "Look for a device that rewrites payload on that path.",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtMPFailTx"),
};

/// An end reported a wrong checksum, and nothing came of it.
pub const MP_FAIL_UNANSWERED: &Explanation = &Explanation {
    id: "mp-fail-unanswered",
    severity: Severity::Error,
    title: "an end reported a wrong checksum, and nothing came of it",
    meaning: "After MP_FAIL the sender must stop using mappings on the only subflow. Here it did not react: the option \
              was lost, or the stack ignores it.",
    detection: "MP_FAIL without RST, then neither an MP_FAIL, nor an infinite mapping, nor payload without mappings from \
              the other end, although it sent more.",
    advice: "",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtMPFailTx"),
};

/// An infinite mapping ended the use of mappings.
pub const INFINITE_MAPPING: &Explanation = &Explanation {
    id: "infinite-mapping",
    severity: Severity::Note,
    title: "an infinite mapping ended the use of mappings",
    meaning: "The rest of the stream in this direction follows the subflow's own sequence numbers. It may go one way \
              only.",
    detection: "DSS with data-level length 0.",
    advice: "",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtInfiniteMapTx"),
};

/// One end fell back to TCP, the other did not.
pub const ENDS_DISAGREE_ABOUT_FALLBACK: &Explanation = &Explanation {
    id: "ends-disagree-about-fallback",
    severity: Severity::Error,
    title: "one end fell back to TCP, the other did not",
    meaning: "One end no longer sends MPTCP options while the other still expects them. Data of the first is then \
              dropped or the connection reset by the second.",
    detection: "MPTCP options of one end after it acknowledged data that the other sent without, or more than a second after \
                the first such ACK of the other.",
    advice: "Either the options are lost in one direction only, where a device on the path treats the two directions \
              differently, or one end fell back in silence for data that was changed on the way.",
    rfc: "8684 §3.7",
    counter: None,
};

/// TCP delivers data, and it is never acknowledged at the data level.
pub const DATA_NOT_TAKEN: &Explanation = &Explanation {
    id: "data-not-taken",
    severity: Severity::Error,
    title: "data is delivered again and again, and never acknowledged at the data level",
    meaning: "The sender repeats data under new sequence numbers, TCP acknowledges each copy, and the DATA_ACK stays before it: \
              the receiver has the bytes and does not take them, so the stream stands still.",
    detection: "Data at the DATA_ACK, mapped again four times or more over a second or more, on a subflow on which TCP acknowledged \
                all, and whose later ACKs bring no higher DATA_ACK.",
    advice: "Look at the receiving host: its kernel's counters (nstat) and memory, and whether its application still reads.",
    rfc: "8684 §3.3.6",
    counter: None,
};

/// Data waited long for a slow path.
pub const HEAD_OF_LINE_BLOCKING: &Explanation = &Explanation {
    id: "head-of-line-blocking",
    severity: Severity::Warning,
    title: "data waited long for a slow path",
    meaning: "Much of the data arrived before bytes that were sent earlier on a slower path, and waited for them longer \
              than that path gained in capacity.",
    detection: "Data above holes in the data sequence: a quarter of the bytes or more waited, half a second or more at \
              the 95th percentile, for a subflow that carried less than a quarter of the data.",
    advice: "Make the slow path a backup (`ip mptcp endpoint … backup`), or let the receive buffer hold the product of \
              the total rate and the longest round trip.",
    rfc: "8684 §3.3.4",
    counter: Some("MPTcpExtOFOQueue"),
};

/// Many bytes were sent again on another path for nothing.
pub const REINJECTIONS_USELESS: &Explanation = &Explanation {
    id: "reinjections-useless",
    severity: Severity::Note,
    title: "many bytes were sent again on another path for nothing",
    meaning: "Data that had already been acknowledged at the data level was sent once more on another subflow. Costs \
              capacity only; a redundant scheduler does it on purpose.",
    detection: "Reinjected bytes of at least a fifth of the data, less than half of them before their DATA_ACK.",
    advice: "",
    rfc: "8684 §3.3.6",
    counter: Some("MPTcpExtDuplicateData"),
};

/// Repeated ACKs that only carry MPTCP signalling.
pub const DUP_ACK_IS_NOT_LOSS: &Explanation = &Explanation {
    id: "dup-ack-is-not-loss",
    severity: Severity::Note,
    title: "repeated ACKs that only carry MPTCP signalling",
    meaning: "ADD_ADDR, REMOVE_ADDR, MP_PRIO and the like travel on ACKs that acknowledge nothing new. Tools that do \
              not know MPTCP show them as duplicate ACKs; they are no sign of loss.",
    detection: "Three or more ACKs without payload that repeat an acknowledgement and carry such an option.",
    advice: "",
    rfc: "8684 §3",
    counter: None,
};

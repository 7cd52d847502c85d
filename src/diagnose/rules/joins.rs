//! Further subflows: refused, unanswered, or not what they say.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "Joins",
    rules: &[
        JOIN_REFUSED_UNKNOWN_TOKEN,
        JOIN_REFUSED_PROHIBITED,
        JOIN_REFUSED_WITH_REASON,
        JOIN_REFUSED_WITHOUT_REASON,
        JOIN_REFUSED_NO_LISTENER,
        JOIN_REFUSED_AT_CLOSE,
        JOIN_SYN_ACK_WITHOUT_OPTION,
        JOIN_ACK_WITHOUT_OPTION,
        JOIN_DATA_WITHOUT_OPTION,
        JOIN_HMAC_MISMATCH,
        JOIN_TOKEN_MISMATCH,
        JOIN_UNANSWERED,
        JOIN_INCOMPLETE,
        JOIN_DESPITE_C_FLAG,
        JOIN_RETRANSMITTED,
    ],
};

/// A join was refused: the token is unknown.
pub const JOIN_REFUSED_UNKNOWN_TOKEN: &Explanation = &Explanation {
    id: "join-refused-unknown-token",
    severity: Severity::Error,
    title: "a join was refused: the token is unknown",
    meaning: "The host that got the MP_JOIN has no MPTCP connection with this token: the connection is closed or has \
              fallen back, or the join reached another host than the connection (load balancer, anycast, NAT).",
    detection: "A SYN with MP_JOIN answered with a RST that says MPTCP-specific error (1); or, where all connections of the \
              capture are of version 0, whose RSTs give no reasons, with any RST if none of them has the token.",
    advice: "Behind a load balancer, let the server announce a dedicated address (`ip mptcp endpoint add … signal`) \
              and set sysctl net.mptcp.allow_join_initial_addr_port=0.",
    rfc: "8684 §3.2",
    counter: Some("MPTcpExtMPJoinNoTokenFound"),
};

/// A join was refused by policy.
pub const JOIN_REFUSED_PROHIBITED: &Explanation = &Explanation {
    id: "join-refused-prohibited",
    severity: Severity::Error,
    title: "a join was refused by policy",
    meaning: "The host knows the connection and will not have another subflow: its limit is reached, or its path \
              manager refuses. On Linux the refusal may come as a RST after a complete handshake with valid HMACs, so \
              such a subflow was never established.",
    detection: "RST with MP_TCPRST reason 3 as answer to the SYN or to the third ACK of a join.",
    advice: "On the refusing host, `ip mptcp limits show` tells how many subflows it accepts; raise it with `ip mptcp \
              limits set subflows N`.",
    rfc: "8684 §3.2",
    counter: Some("MPTcpExtMPJoinRejected"),
};

/// A join was refused with a reason.
pub const JOIN_REFUSED_WITH_REASON: &Explanation = &Explanation {
    id: "join-refused-with-reason",
    severity: Severity::Error,
    title: "a join was refused with a reason",
    meaning: "The host answered the join with a RST whose MP_TCPRST names a reason other than policy or an MPTCP error.",
    detection: "RST with MP_TCPRST in a join that carried no data.",
    advice: "",
    rfc: "8684 §3.6",
    counter: None,
};

/// A join was refused without a reason.
pub const JOIN_REFUSED_WITHOUT_REASON: &Explanation = &Explanation {
    id: "join-refused-without-reason",
    severity: Severity::Error,
    title: "a join was refused without a reason",
    meaning: "A RST without MP_TCPRST: a firewall or a host without MPTCP on that address answered, or the option was \
              stripped from the RST. In version 0 there are no reasons.",
    detection: "A SYN with MP_JOIN, or a join's third ACK, answered by the end that is joined with a RST without MP_TCPRST.",
    advice: "Capture at the other end to see who sends the RST; compare its TTL with that of other packets of the \
              host.",
    rfc: "8684 §3.2",
    counter: None,
};

/// A join was refused: nobody listens on that port.
pub const JOIN_REFUSED_NO_LISTENER: &Explanation = &Explanation {
    id: "join-refused-no-listener",
    severity: Severity::Error,
    title: "a join was refused: nobody listens on that port",
    meaning: "The join went to a port other than that of the server, or to the one from which the client opened the \
              connection, and was answered with a bare RST, as TCP does where no socket listens.",
    detection: "RST without MP_TCPRST as answer to a SYN with MP_JOIN to another port than the first subflow's; or, in \
              version 1, to the client's port.",
    advice: "An endpoint announced with a port needs a listener there: Linux opens one for `ip mptcp endpoint add … \
              signal port N`, unless the port is taken. A server that joins its client has `subflow` endpoints: where \
              clients cannot be joined, make these `signal` endpoints, which clients join.",
    rfc: "8684 §3.4.1",
    counter: None,
};

/// A join came when the connection was already closing.
pub const JOIN_REFUSED_AT_CLOSE: &Explanation = &Explanation {
    id: "join-refused-at-close",
    severity: Severity::Note,
    title: "a join came when the connection was already closing",
    meaning: "The RST answers a join, or its SYN/ACK, that arrived after data had ended or the connection was gone. Harmless, \
              and common with short connections.",
    detection: "A join refused or given up after the DATA_FIN, the FASTCLOSE or the end of the first subflow.",
    advice: "",
    rfc: "8684 §3.2",
    counter: None,
};

/// A join was answered with a SYN/ACK without MP_JOIN.
pub const JOIN_SYN_ACK_WITHOUT_OPTION: &Explanation = &Explanation {
    id: "join-syn-ack-without-option",
    severity: Severity::Error,
    title: "a join was answered with a SYN/ACK without MP_JOIN",
    meaning: "The SYN/ACK came from a TCP that did not see the MP_JOIN: the option was stripped on this path, or the \
              join reached a server without MPTCP. The initiator has to reset.",
    detection: "SYN with MP_JOIN, SYN/ACK without.",
    advice: "MPTCP works on the path of the first subflow and not on this one: capture at the other end to see whether \
              the SYN arrives with its option.",
    rfc: "8684 §3.2",
    counter: Some("MPTcpExtMPJoinSynAckNoMPJoin"),
};

/// The third ACK of a join carries no MP_JOIN.
pub const JOIN_ACK_WITHOUT_OPTION: &Explanation = &Explanation {
    id: "join-ack-without-option",
    severity: Severity::Error,
    title: "the third ACK of a join carries no MP_JOIN",
    meaning: "Without the HMAC of the initiator the subflow cannot be accepted. The option was stripped on this path \
              after the SYN.",
    detection: "The first segment of the initiator after a SYN/ACK with MP_JOIN has no MPTCP option, no later one brings \
              any, and the responder never accepts the subflow.",
    advice: "",
    rfc: "8684 §3.2",
    counter: Some("MPTcpExtMPJoinAckNoMPJoin"),
};

/// Data on a join carries no MPTCP option.
pub const JOIN_DATA_WITHOUT_OPTION: &Explanation = &Explanation {
    id: "join-data-without-option",
    severity: Severity::Error,
    title: "data on a join carries no MPTCP option",
    meaning: "The join's handshake passed with its options and its data comes without: a device on this path removes options \
              after the handshake. There is no fallback on a join, so the receiver must reset the subflow (Linux: reason 1 \
              or 6) and its data has to be sent again elsewhere.",
    detection: "A join with a complete handshake on which one end sent payload, and not one mapping; or on which one end \
                acknowledged mapped data, with no MPTCP option since that came, and the other then sent a RST.",
    advice: "Compare with the first subflow: MPTCP works on its path. Look for a proxy or WAN optimiser on this one, or mark the \
             path unusable (`ip mptcp endpoint delete`).",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtDssReset"),
};

/// An HMAC of a join is wrong.
pub const JOIN_HMAC_MISMATCH: &Explanation = &Explanation {
    id: "join-hmac-mismatch",
    severity: Severity::Error,
    title: "an HMAC of a join is wrong",
    meaning: "The HMAC does not follow from the keys of the connection and the nonces of this handshake: the packet was \
              changed on the way, comes from another host than the connection's, or is forged. The receiver has to \
              reset.",
    detection: "HMACs in SYN/ACK and third ACK, recomputed from the keys in the capture.",
    advice: "If joins fail like this through one path only, something there rewrites options; if they fail everywhere, \
              the two ends disagree on the keys.",
    rfc: "8684 §3.2",
    counter: None,
};

/// The token in the SYN of a join is wrong, its HMACs are right.
pub const JOIN_TOKEN_MISMATCH: &Explanation = &Explanation {
    id: "join-token-mismatch",
    severity: Severity::Error,
    title: "the token in the SYN of a join is wrong, its HMACs are right",
    meaning: "A host that gets an unknown token answers with a RST. This one took the join, so it got the right token: \
              the MP_JOIN that the capture shows was changed on the way to this place or behind it.",
    detection: "The MP_JOIN in the SYN has a token other than that of the key, and SYN/ACK or third ACK have an HMAC that \
              the keys and nonces of the join give.",
    advice: "Capture at both ends: together they show on which stretch the option changes.",
    rfc: "8684 §3.2",
    counter: None,
};

/// A join was never answered.
pub const JOIN_UNANSWERED: &Explanation = &Explanation {
    id: "join-unanswered",
    severity: Severity::Warning,
    title: "a join was never answered",
    meaning: "No SYN/ACK and no RST came back: the path drops SYNs with MP_JOIN, a firewall drops them, or there is no \
              route.",
    detection: "A SYN with MP_JOIN, repeated or not, and no segment of the other end until the capture ends, in a capture \
              that shows that end's segments on another subflow.",
    advice: "Test the same pair of addresses with plain TCP (`nc -s SOURCE DESTINATION PORT`): if that works, \
              something drops the option; if not, routing or a firewall.",
    rfc: "8684 §3.2",
    counter: Some("MPTcpExtMPJoinSynTx"),
};

/// A join stopped half-way.
pub const JOIN_INCOMPLETE: &Explanation = &Explanation {
    id: "join-incomplete",
    severity: Severity::Warning,
    title: "a join stopped half-way",
    meaning: "The handshake went no further: the answer was lost on the path, or the end that opened the join gave it up.",
    detection: "A SYN/ACK with MP_JOIN and no third ACK for a second or more; a third ACK that was sent three times or more \
              and never answered; or a RST of the initiator before its third ACK.",
    advice: "",
    rfc: "8684 §3.2",
    counter: None,
};

/// A join to the address that the C flag closed to joins.
pub const JOIN_DESPITE_C_FLAG: &Explanation = &Explanation {
    id: "join-despite-c-flag",
    severity: Severity::Warning,
    title: "a join to the address that the C flag closed to joins",
    meaning: "The peer said with flag C that no further subflows may be opened to the address of the first one. A join \
              to it will be refused, or reach another server of the same load balancer.",
    detection: "C in MP_CAPABLE, and a SYN with MP_JOIN to that address and port.",
    advice: "The stack that opened the join ignores the flag: update it.",
    rfc: "8684 §3.1",
    counter: None,
};

/// A join opened late because its SYN or SYN/ACK had to be sent again.
pub const JOIN_RETRANSMITTED: &Explanation = &Explanation {
    id: "join-retransmitted",
    severity: Severity::Note,
    title: "a join opened late because a packet of its handshake had to be sent again",
    meaning: "Ordinary loss on this path, or something that drops some of the packets with MP_JOIN.",
    detection: "A repeated SYN, SYN/ACK or third ACK of a join that was answered in the end.",
    advice: "",
    rfc: "",
    counter: None,
};

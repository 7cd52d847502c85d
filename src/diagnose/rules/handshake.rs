//! The handshake of the first subflow, and options that break the rules.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "The first subflow's handshake",
    rules: &[
        CONNECTION_REFUSED,
        CONNECTION_UNANSWERED,
        SYN_RETRANSMITTED,
        OPTION_MALFORMED,
        OPTION_OUT_OF_PLACE,
        MP_CAPABLE_FLAGS_ILLEGAL,
        VERSION_ILLEGAL,
        KEYS_CONTRADICT,
    ],
};

/// The SYN with MP_CAPABLE was answered with a RST.
pub const CONNECTION_REFUSED: &Explanation = &Explanation {
    id: "connection-refused",
    severity: Severity::Error,
    title: "the SYN with MP_CAPABLE was answered with a RST",
    meaning: "Nobody listens on that port, or a firewall rejects the connection. MPTCP has no part in it unless the \
              same connection works without MP_CAPABLE.",
    detection: "The first subflow: a SYN with MP_CAPABLE, and a RST as the only answer.",
    advice: "Try the same port with plain TCP: if that is refused too, it is no matter of MPTCP.",
    rfc: "8684 §3.1",
    counter: None,
};

/// The SYN with MP_CAPABLE was never answered.
pub const CONNECTION_UNANSWERED: &Explanation = &Explanation {
    id: "connection-unanswered",
    severity: Severity::Warning,
    title: "the SYN with MP_CAPABLE was never answered",
    meaning: "Either the host cannot be reached, or something on the path drops SYNs with unknown options.",
    detection: "The first subflow: several SYNs with MP_CAPABLE, or one and a second of capture after it, and no answer of \
                any kind.",
    advice: "Try the same port with plain TCP (on Linux: the same program without mptcpize): if that is answered, \
              something on the path drops SYNs with MP_CAPABLE.",
    rfc: "8684 §3.1",
    counter: None,
};

/// The connection opened late because SYN or SYN/ACK had to be sent again.
pub const SYN_RETRANSMITTED: &Explanation = &Explanation {
    id: "syn-retransmitted",
    severity: Severity::Note,
    title: "the connection opened late because SYN or SYN/ACK had to be sent again",
    meaning: "A SYN or SYN/ACK was lost and repeated, still with MP_CAPABLE. The connection opened as MPTCP, only \
              later.",
    detection: "A repeated SYN or SYN/ACK of the first subflow. The delay is the time from the first SYN to the SYN/ACK.",
    advice: "Once is ordinary loss. If it happens on every connection, something may drop SYNs with MP_CAPABLE: look \
              at net.mptcp.syn_retrans_before_tcp_fallback and net.mptcp.blackhole_timeout.",
    rfc: "",
    counter: None,
};

/// An MPTCP option that cannot be read.
pub const OPTION_MALFORMED: &Explanation = &Explanation {
    id: "option-malformed",
    severity: Severity::Warning,
    title: "an MPTCP option that cannot be read",
    meaning: "An option of kind 30 has a length or content that the connection's version of MPTCP does not allow. The \
              receiver ignores it, or resets the subflow.",
    detection: "Each segment with such an option; --format packets shows its bytes.",
    advice: "If only one end of the path shows it, something in between rewrites options; else the sender is broken.",
    rfc: "8684 §3",
    counter: None,
};

/// An MPTCP option where it must not be.
pub const OPTION_OUT_OF_PLACE: &Explanation = &Explanation {
    id: "option-out-of-place",
    severity: Severity::Warning,
    title: "an MPTCP option where it must not be",
    meaning: "An option was sent in a segment in which it has no meaning: MP_CAPABLE or MP_JOIN in the middle of a \
              subflow, MP_TCPRST without RST or in version 0. Receivers ignore it.",
    detection: "Each such segment.",
    advice: "",
    rfc: "8684 §3",
    counter: None,
};

/// MP_CAPABLE with flags that make it void.
pub const MP_CAPABLE_FLAGS_ILLEGAL: &Explanation = &Explanation {
    id: "mp-capable-flags-illegal",
    severity: Severity::Warning,
    title: "MP_CAPABLE with flags that make it void",
    meaning: "Bit B is set, or the bits C to H name no algorithm. Such an MP_CAPABLE must be ignored, so the connection \
              is plain TCP.",
    detection: "Flags of MP_CAPABLE in SYN, SYN/ACK, third ACK and first data.",
    advice: "",
    rfc: "8684 §3.1",
    counter: None,
};

/// The SYN/ACK has a higher MPTCP version than the SYN.
pub const VERSION_ILLEGAL: &Explanation = &Explanation {
    id: "version-illegal",
    severity: Severity::Error,
    title: "the SYN/ACK has a higher MPTCP version than the SYN",
    meaning: "A server answers with the version of the client or a lower one. A higher one cannot be an answer to this \
              SYN.",
    detection: "Version fields of the two MP_CAPABLE.",
    advice: "",
    rfc: "8684 §3.1",
    counter: None,
};

/// One end showed two different keys.
pub const KEYS_CONTRADICT: &Explanation = &Explanation {
    id: "keys-contradict",
    severity: Severity::Warning,
    title: "one end showed two different keys",
    meaning: "The key in a later MP_CAPABLE is not the one of the handshake. Seen with SYN cookies, with load balancers \
              that send SYN and ACK to different servers, and with forged packets. The checks use the key that the data \
              proves.",
    detection: "Keys in SYN (v0), SYN/ACK, third ACK and first data; initial data sequence numbers decide which is right.",
    advice: "Behind a load balancer, make sure that all packets of one 4-tuple reach the same server.",
    rfc: "8684 §3.1",
    counter: None,
};

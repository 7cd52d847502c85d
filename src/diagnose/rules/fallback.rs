//! Why a connection went on as plain TCP: one finding for each cause in the report.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "Fallback to TCP",
    rules: &[
        FALLBACK_NO_OPTION_IN_SYN_ACK,
        FALLBACK_OPTION_ECHOED,
        FALLBACK_SYN_RETRIED_WITHOUT_OPTION,
        FALLBACK_NO_OPTION_IN_THIRD_ACK,
        FALLBACK_NO_OPTION_ON_DATA,
        FALLBACK_OPTIONS_VANISHED,
        FALLBACK_MP_FAIL,
        FALLBACK_INFINITE_MAPPING,
        FALLBACK_BAD_OPTION,
        FALLBACK_NO_COMMON_VERSION,
        FALLBACK_FIRST_DATA_WITHOUT_LENGTH,
        FALLBACK_SIMULTANEOUS_OPEN,
        OPTION_BLANKED,
        SYN_ACK_NOT_OF_SERVER,
        OPTIONS_STRIPPED_ON_ONE_PORT,
        OPTIONS_STRIPPED_FOR_ONE_PREFIX,
    ],
};

/// Plain TCP: the SYN/ACK carries no MP_CAPABLE.
pub const FALLBACK_NO_OPTION_IN_SYN_ACK: &Explanation = &Explanation {
    id: "fallback-no-option-in-syn-ack",
    severity: Severity::Warning,
    title: "plain TCP: the SYN/ACK carries no MP_CAPABLE",
    meaning: "The client asked for MPTCP and the answer says nothing of it: the server does not speak MPTCP (or not \
              this version), or the option was removed from the SYN or from the SYN/ACK on the way. One capture cannot \
              tell which, unless a run of NOPs is left where the option was.",
    detection: "SYN with MP_CAPABLE, SYN/ACK without, and no MPTCP afterwards.",
    advice: "Capture at the server too and give both files together: that shows whether the SYN arrives with its \
              option. On a Linux server, look at sysctl net.mptcp.enabled and with `ss -Ml` whether the listener is an \
              MPTCP socket (or start it with mptcpize).",
    rfc: "8684 §3.1",
    counter: Some("MPTcpExtMPCapableFallbackSYNACK"),
};

/// Plain TCP: a middlebox echoed the MP_CAPABLE of the SYN.
pub const FALLBACK_OPTION_ECHOED: &Explanation = &Explanation {
    id: "fallback-option-echoed",
    severity: Severity::Warning,
    title: "plain TCP: a middlebox echoed the MP_CAPABLE of the SYN",
    meaning: "The SYN/ACK carries the very option of the SYN. A server would have put its own key there: this is a \
              device that copies options it does not know. The server does not speak MPTCP, or its answer was replaced.",
    detection: "MP_CAPABLE of the SYN/ACK equal to that of the SYN.",
    advice: "Look for a proxy, firewall or load balancer that answers SYNs itself; compare with another port or \
              another network.",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtMPCapableFallbackSYNACK"),
};

/// Plain TCP: the SYN was answered only once it came without MP_CAPABLE.
pub const FALLBACK_SYN_RETRIED_WITHOUT_OPTION: &Explanation = &Explanation {
    id: "fallback-syn-retried-without-option",
    severity: Severity::Warning,
    title: "plain TCP: the SYN was answered only once it came without MP_CAPABLE",
    meaning: "The client repeated its SYN with MP_CAPABLE in vain, then tried without and was answered. Something on \
              the path, or the server, drops SYNs that carry the option. The connection lost the time of the retries, \
              and Linux may avoid MPTCP to all destinations for a while. Where the SYN/ACK has MP_CAPABLE all the same, the \
              SYN had arrived, and only the answer was late.",
    detection: "One or more SYNs with MP_CAPABLE, then one without, which is answered. A SYN/ACK with MP_CAPABLE shows that \
                a SYN had it, even if the capture has only one without.",
    advice: "Capture at the server: if SYNs with the option do not arrive there, a firewall drops them. On Linux, \
              sysctl net.mptcp.syn_retrans_before_tcp_fallback sets how long the client tries, \
              net.mptcp.blackhole_timeout how long it then avoids MPTCP.",
    rfc: "8684 §3.1",
    counter: Some("MPTcpExtMPCapableSYNTXDrop"),
};

/// Plain TCP: the third ACK carries no MP_CAPABLE.
pub const FALLBACK_NO_OPTION_IN_THIRD_ACK: &Explanation = &Explanation {
    id: "fallback-no-option-in-third-ack",
    severity: Severity::Warning,
    title: "plain TCP: the third ACK carries no MP_CAPABLE",
    meaning: "SYN and SYN/ACK agreed on MPTCP, but the ACK of the client says nothing of it, nor does its data. As the \
              client asked for MPTCP itself, the option of the SYN/ACK or of the ACK was most likely removed on the \
              way.",
    detection: "The first segment of the client after the SYN/ACK lacks MP_CAPABLE, and no later one carries an MPTCP \
              option. Where the capture lacks the SYN/ACK, nothing tells whether the server had agreed.",
    advice: "Capture at the client too and give both files together: that shows which of the two options was lost.",
    rfc: "8684 §3.1",
    counter: Some("MPTcpExtMPCapableFallbackACK"),
};

/// Plain TCP: the first data carries no MPTCP option.
pub const FALLBACK_NO_OPTION_ON_DATA: &Explanation = &Explanation {
    id: "fallback-no-option-on-data",
    severity: Severity::Warning,
    title: "plain TCP: the first data carries no MPTCP option",
    meaning: "The handshake agreed on MPTCP, then the first data came without mapping, or the first data was acknowledged \
              without DATA_ACK. An end that had agreed would not do that: the options were removed on the way, or what \
              came to it was changed, so that it fell back.",
    detection: "Payload without MPTCP option from an end that has never sent a mapping, or acknowledgements of mapped \
              data without any DATA_ACK.",
    advice: "Capture at the other end too and give both files together. Devices that rebuild the TCP stream (proxies, \
              WAN optimisers) drop options after the handshake.",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtMPCapableDataFallback"),
};

/// Plain TCP: the MPTCP options vanished in mid-connection.
pub const FALLBACK_OPTIONS_VANISHED: &Explanation = &Explanation {
    id: "fallback-options-vanished",
    severity: Severity::Warning,
    title: "plain TCP: the MPTCP options vanished in mid-connection",
    meaning: "Mappings and DATA_ACKs were exchanged, then one direction carries payload without them and without any \
              sign of fallback. Typical for a change of route to a path that strips options, and for payload that was \
              changed on the way: an end that finds its mappings spoiled may fall back in silence.",
    detection: "Payload without options after mapped data of the same end, no MP_FAIL and no infinite mapping.",
    advice: "Compare the time of the last good packet with routing changes or handovers.",
    rfc: "8684 §3.7",
    counter: None,
};

/// Plain TCP: the receiver found a wrong DSS checksum.
pub const FALLBACK_MP_FAIL: &Explanation = &Explanation {
    id: "fallback-mp-fail",
    severity: Severity::Error,
    title: "plain TCP: the receiver found a wrong DSS checksum",
    meaning: "Payload was changed on the way. As there was no other subflow to fetch it from again, the connection went \
              on as TCP, and the application got the changed bytes.",
    detection: "MP_FAIL without RST on the only subflow, then an infinite mapping or no more mappings.",
    advice: "Look for a device that rewrites payload (an application-level gateway for FTP, SIP or HTTP, a proxy); \
              other ports or TLS usually pass untouched.",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtDataCsumErr"),
};

/// Plain TCP: one end announced an infinite mapping.
pub const FALLBACK_INFINITE_MAPPING: &Explanation = &Explanation {
    id: "fallback-infinite-mapping",
    severity: Severity::Warning,
    title: "plain TCP: one end announced an infinite mapping",
    meaning: "An end declared that the rest of the stream follows without mappings, although no MP_FAIL was seen here. \
              It does so when it has to fall back: after a failed checksum, or when the peer's options stopped.",
    detection: "A DSS with data-level length 0.",
    advice: "",
    rfc: "8684 §3.7",
    counter: Some("MPTcpExtInfiniteMapRx"),
};

/// Plain TCP: the MP_CAPABLE of the SYN/ACK cannot be used.
pub const FALLBACK_BAD_OPTION: &Explanation = &Explanation {
    id: "fallback-bad-option",
    severity: Severity::Error,
    title: "plain TCP: the MP_CAPABLE of the SYN/ACK cannot be used",
    meaning: "The SYN/ACK answers with an MP_CAPABLE that is malformed, has no key, or must be ignored for its flags, \
              so the client goes on without MPTCP.",
    detection: "MP_CAPABLE of the SYN/ACK.",
    advice: "If the server is known to be sound, a device on the way rewrites the option.",
    rfc: "8684 §3.1",
    counter: Some("MPTcpExtMPCapableFallbackSYNACK"),
};

/// Plain TCP: client and server speak no version of MPTCP in common.
pub const FALLBACK_NO_COMMON_VERSION: &Explanation = &Explanation {
    id: "fallback-no-common-version",
    severity: Severity::Warning,
    title: "plain TCP: client and server speak no version of MPTCP in common",
    meaning: "The SYN asks for the highest version of the client; the server answers with a lower one, and the client, \
              which has only its own, goes on without MPTCP. Nothing is broken.",
    detection: "MP_CAPABLE of the SYN/ACK with a lower version than that of the SYN, and no MPTCP afterwards.",
    advice: "Mainline Linux speaks version 1 only, the kernels of multipath-tcp.org version 0: use the same at both ends.",
    rfc: "8684 §3.1",
    counter: Some("MPTcpExtMPCapableFallbackSYNACK"),
};

/// Plain TCP: the first data came with an MP_CAPABLE that has no data-level length.
pub const FALLBACK_FIRST_DATA_WITHOUT_LENGTH: &Explanation = &Explanation {
    id: "fallback-first-data-without-length",
    severity: Severity::Warning,
    title: "plain TCP: the first data came with an MP_CAPABLE that has no data-level length",
    meaning: "The MP_CAPABLE of a third ACK without data is 20 bytes long; with data it must have the data-level length, \
              too. Where that is missing a server must ignore the option. No device is at fault: Linux sends so when the \
              data of a Fast Open SYN goes again in the third ACK, because the server did not accept it in the SYN, or \
              the SYN got lost.",
    detection: "Version 1: MP_CAPABLE with both keys and without data-level length on a segment with payload, and no \
              mappings after it.",
    advice: "It comes with TCP Fast Open only, and now and then: where each connection must be MPTCP, do not use that \
              (net.ipv4.tcp_fastopen).",
    rfc: "8684 §3.1",
    counter: Some("MPTcpExtMPCapableFallbackACK"),
};

/// Plain TCP: both ends sent a SYN at the same time.
pub const FALLBACK_SIMULTANEOUS_OPEN: &Explanation = &Explanation {
    id: "fallback-simultaneous-open",
    severity: Severity::Note,
    title: "plain TCP: both ends sent a SYN at the same time",
    meaning: "Two hosts connected to each other from and to the same ports, and their SYNs crossed. TCP makes one \
              connection of it; MPTCP has no handshake for that, and Linux goes on as TCP.",
    detection: "A SYN with MP_CAPABLE, a SYN of the other end on the same 4-tuple before any SYN/ACK, and a SYN/ACK \
              without a key of its own.",
    advice: "Let one of the two hosts listen and only the other connect. Programs that punch holes through NATs do this \
              on purpose.",
    rfc: "",
    counter: Some("MPTcpExtSimultConnectFallback"),
};

/// An MPTCP option was probably overwritten with NOPs.
pub const OPTION_BLANKED: &Explanation = &Explanation {
    id: "option-blanked",
    severity: Severity::Warning,
    title: "an MPTCP option was probably overwritten with NOPs",
    meaning: "The TCP header holds a run of NOPs as long as the MPTCP option that should be there. No stack sends that: \
              a middlebox blanks options in place of removing them.",
    detection: "In a SYN/ACK or third ACK without the MP_CAPABLE or MP_JOIN that should be there: as many NOPs in a row as it \
                has bytes, and in a SYN/ACK ten more where the timestamps that the SYN offers are missing, too. Where no \
                MPTCP shows at all: as many NOPs, or zeros at the end, as that option has bytes there, and up to three \
                more, in a SYN or SYN/ACK that has MSS, SACK, timestamps and window scale: none of them was cleared.",
    advice: "A firewall with TCP normalisation is the usual cause: allow TCP option 30 there (Cisco ASA: tcp-map with \
              tcp-options range 30 30 allow).",
    rfc: "8684 §3.7",
    counter: None,
};

/// A SYN/ACK without MP_CAPABLE shows signs of a device that answers for the server.
pub const SYN_ACK_NOT_OF_SERVER: &Explanation = &Explanation {
    id: "syn-ack-not-of-server",
    severity: Severity::Note,
    title: "the SYN/ACK may come from a device on the way",
    meaning: "The server seems not to speak MPTCP, but its SYN/ACK does not look like the rest of what it sends, or \
              not like what current stacks send: a proxy or firewall that answers SYNs itself, or rewrites the \
              options of a SYN/ACK. A simple stack, or a server that answers a flood of SYNs with cookies, looks alike.",
    detection: "Beside a SYN/ACK without MP_CAPABLE: the server's next segment has another TTL; or the SYN/ACK takes \
              timestamps and leaves out the window scale, or takes neither them nor SACK, where the SYN offers all.",
    advice: "Capture at the server too and give both files together: that shows whether this SYN/ACK left there.",
    rfc: "8684 §3.7",
    counter: None,
};

/// MPTCP fails on one port of a server and works on another.
pub const OPTIONS_STRIPPED_ON_ONE_PORT: &Explanation = &Explanation {
    id: "options-stripped-on-one-port",
    severity: Severity::Warning,
    title: "MPTCP fails on one port of a server and works on another",
    meaning: "The server speaks MPTCP, as other connections to it show, and yet none to this port is MPTCP. A \
              transparent proxy or a firewall that handles this port alone is likely; a listener without MPTCP on it is \
              the other possibility.",
    detection: "All connections from one client network to one server address, compared by port: MP_CAPABLE answered on \
              none of one port and on all of another.",
    advice: "Ports 80 and 443 are proxied most often: try the same service on an unusual port, and check with `ss -Ml` \
              on the server that the listener is an MPTCP socket.",
    rfc: "8684 §3.7",
    counter: None,
};

/// MPTCP fails from one client network and works from another.
pub const OPTIONS_STRIPPED_FOR_ONE_PREFIX: &Explanation = &Explanation {
    id: "options-stripped-for-one-prefix",
    severity: Severity::Warning,
    title: "MPTCP fails from one client network and works from another",
    meaning: "The same server port speaks MPTCP with clients of one network and not with those of another: the path \
              from the latter removes the options.",
    detection: "All connections to one server address and port, compared by the network of the client (/24 or /48): \
              MP_CAPABLE answered for none of one and for all of another.",
    advice: "Look at what lies between that network and the server: carrier-grade NAT, a proxy of the mobile operator, \
              a VPN.",
    rfc: "8684 §3.7",
    counter: None,
};

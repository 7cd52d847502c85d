//! Where the truth of a capture does not hold word for word, and why.

/// What not to expect of one set of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exception {
    /// No key is in the capture: which connections a tool recognises is its choice, but nothing may be verified or mismatch.
    KeysUnseen,
    /// The same, but DSNs of 64 bits show which subflows are of one connection, and where all its data is captured, the streams.
    MidStart,
    /// One direction only: the client's key and all join SYNs are missing; only the server's token is known.
    ServerOnly,
    /// The same subflow shows twice under two 4-tuples; the truth counts it twice, the report must not.
    SeenTwice,
    /// The two ends, and so the two vantage points, disagree about the outcome, and about where the stream ends: the mapped
    /// bytes alone (which the truth compares) or also the plain ones after them.
    OutcomeOpen,
}

/// Scenario, files, exception, reason.
const TABLE: [(&str, &str, Exception, &str); 7] = [
    ("28-mid-start", "cut50.pcap", Exception::MidStart, "begins after all handshakes"),
    ("28-mid-start", "cut-nosyn1.pcap", Exception::MidStart, "the joins are there, the keys are not"),
    (
        "27-snaplen96",
        "client-e1-s66.pcap",
        Exception::KeysUnseen,
        "66 bytes end within the TCP options of the SYN, before MP_CAPABLE",
    ),
    (
        "49-one-direction",
        "s2c-only.pcap",
        Exception::ServerOnly,
        "the decoder of the truth took the missing third ACK for a fallback",
    ),
    (
        "30-nat",
        "nat-any.pcap",
        Exception::SeenTwice,
        "tap on the address translator: inside and outside address, same token, same nonces",
    ),
    (
        "15d-strip-s2c-only",
        "client-e1.pcap",
        Exception::OutcomeOpen,
        "the client falls back, the server does not and resets",
    ),
    (
        "15d-strip-s2c-only",
        "server-e1.pcap",
        Exception::OutcomeOpen,
        "the client falls back, the server does not and resets",
    ),
];

pub(crate) fn exception(scenario: &str, files: &str) -> Option<Exception> {
    TABLE.iter().find(|row| row.0 == scenario && row.1 == files).map(|row| row.2)
}

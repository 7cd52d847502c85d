//! Addresses announced and removed.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic {
    heading: "Addresses",
    rules: &[
        ADDRESS_NEVER_ECHOED,
        ADDRESS_NEVER_USED,
        ADD_ADDR_HMAC_MISMATCH,
        PRIVATE_ADDRESS_ANNOUNCED,
        ADDRESS_ID_REUSED,
        REMOVE_ADDR_HIT_NOTHING,
        REMOVE_ADDR_NOT_OBEYED,
    ],
};

/// An announced address was never echoed.
pub const ADDRESS_NEVER_ECHOED: &Explanation = &Explanation {
    id: "address-never-echoed",
    severity: Severity::Warning,
    title: "an announced address was never echoed",
    meaning: "In version 1 the receiver of ADD_ADDR confirms it with an echo. None came: the option did not arrive, or \
              the peer does not process it.",
    detection: "ADD_ADDR without an ADD_ADDR echo of the same id and address, although segments of the peer follow, \
                and none of its joins goes to the address.",
    advice: "If the announcement was repeated, it is likely stripped on the way; Linux peers need `ip mptcp limits set \
              add_addr_accepted N` to use an address, but echo it all the same.",
    rfc: "8684 §3.4.1",
    counter: Some("MPTcpExtAddAddrTx"),
};

/// An announced address was never used.
pub const ADDRESS_NEVER_USED: &Explanation = &Explanation {
    id: "address-never-used",
    severity: Severity::Note,
    title: "an announced address was never used",
    meaning: "No subflow was tried to or from the announced address. Normal where the receiver does not want more \
              subflows.",
    detection: "ADD_ADDR, and no join from or to the address.",
    advice: "On a Linux receiver, `ip mptcp limits show`: add_addr_accepted must not be 0, and subflows must leave \
              room.",
    rfc: "8684 §3.4.1",
    counter: Some("MPTcpExtAddAddr"),
};

/// The HMAC of an announced address is wrong.
pub const ADD_ADDR_HMAC_MISMATCH: &Explanation = &Explanation {
    id: "add-addr-hmac-mismatch",
    severity: Severity::Error,
    title: "the HMAC of an announced address is wrong",
    meaning: "The HMAC does not follow from the keys of the connection: the address was changed on the way (a NAT that \
              rewrites options), or the option is forged. The receiver ignores it.",
    detection: "HMAC of ADD_ADDR, recomputed from the keys in all variants known from the field.",
    advice: "",
    rfc: "8684 §3.4.1",
    counter: None,
};

/// A private address was announced over a public connection.
pub const PRIVATE_ADDRESS_ANNOUNCED: &Explanation = &Explanation {
    id: "private-address-announced",
    severity: Severity::Note,
    title: "a private address was announced over a public connection",
    meaning: "The peer most likely cannot reach this address; joins to it will go unanswered, or reach another host.",
    detection: "ADD_ADDR with a private, shared, link-local or unique-local address where the first subflow joins public \
              addresses.",
    advice: "Announce the public address of the NAT, or do not announce this one.",
    rfc: "8684 §3.4.1",
    counter: None,
};

/// One address id was announced for two addresses.
pub const ADDRESS_ID_REUSED: &Explanation = &Explanation {
    id: "address-id-reused",
    severity: Severity::Warning,
    title: "one address id was announced for two addresses",
    meaning: "An id must be removed before it may stand for another address. The peer keeps the first.",
    detection: "ADD_ADDR with a known id, another address, and no REMOVE_ADDR in between.",
    advice: "",
    rfc: "8684 §3.4.1",
    counter: None,
};

/// An address was removed that nobody had.
pub const REMOVE_ADDR_HIT_NOTHING: &Explanation = &Explanation {
    id: "remove-addr-hit-nothing",
    severity: Severity::Warning,
    title: "an address was removed that nobody had",
    meaning: "The REMOVE_ADDR names an id that was neither announced nor used by a subflow. Either its announcement was \
              lost, or the sender keeps books that the peer does not share.",
    detection: "REMOVE_ADDR with an id that neither ADD_ADDR nor MP_JOIN of the same end has named; only where the \
              capture has the whole connection.",
    advice: "",
    rfc: "8684 §3.4.2",
    counter: Some("MPTcpExtRmAddr"),
};

/// Data went on over a removed address.
pub const REMOVE_ADDR_NOT_OBEYED: &Explanation = &Explanation {
    id: "remove-addr-not-obeyed",
    severity: Severity::Warning,
    title: "data went on over an address that had been removed",
    meaning: "The receiver of REMOVE_ADDR must close the subflows that use the address. It went on sending new data on one: \
              it did not obey, or the option was lost on the way, which nothing acknowledges.",
    detection: "New data of the other end on a subflow with the removed id, a second and two round trips or more after the \
              REMOVE_ADDR, without another announcement of the id.",
    advice: "",
    rfc: "8684 §3.4.2",
    counter: None,
};

//! TCP option kinds and their names (IANA, "TCP Option Kind Numbers").

/// End of option list (RFC 9293 §3.2).
pub const END_OF_LIST: u8 = 0;
/// No-operation (RFC 9293 §3.2).
pub const NO_OPERATION: u8 = 1;
/// Maximum segment size (RFC 9293 §3.2).
pub const MAXIMUM_SEGMENT_SIZE: u8 = 2;
/// Window scale (RFC 7323 §2.2).
pub const WINDOW_SCALE: u8 = 3;
/// SACK permitted (RFC 2018 §2).
pub const SACK_PERMITTED: u8 = 4;
/// Selective acknowledgement (RFC 2018 §3).
pub const SACK: u8 = 5;
/// Timestamps (RFC 7323 §3.2).
pub const TIMESTAMPS: u8 = 8;
/// MD5 signature (RFC 2385).
pub const MD5: u8 = 19;
/// User timeout (RFC 5482).
pub const USER_TIMEOUT: u8 = 28;
/// Authentication option (RFC 5925).
pub const AUTHENTICATION: u8 = 29;
/// Multipath TCP (RFC 8684).
pub const MPTCP: u8 = 30;
/// Fast Open cookie (RFC 7413).
pub const FAST_OPEN: u8 = 34;
/// First of the two experimental kinds (RFC 4727, RFC 6994).
pub const EXPERIMENTAL_1: u8 = 253;
/// Second of the two experimental kinds (RFC 4727, RFC 6994).
pub const EXPERIMENTAL_2: u8 = 254;

/// The name of a kind that this tool decodes.
pub(super) const fn decoded_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        END_OF_LIST => "EOL",
        NO_OPERATION => "NOP",
        MAXIMUM_SEGMENT_SIZE => "MSS",
        WINDOW_SCALE => "WINDOW_SCALE",
        SACK_PERMITTED => "SACK_PERMITTED",
        SACK => "SACK",
        TIMESTAMPS => "TIMESTAMPS",
        MD5 => "MD5",
        USER_TIMEOUT => "USER_TIMEOUT",
        AUTHENTICATION => "AO",
        MPTCP => "MPTCP",
        FAST_OPEN => "FAST_OPEN",
        EXPERIMENTAL_1 | EXPERIMENTAL_2 => "EXPERIMENTAL",
        _ => return None,
    })
}

/// The name of a kind that is registered and that this tool does not decode. Most are obsolete (RFC 6247).
pub(super) const fn undecoded_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        6 => "ECHO",
        7 => "ECHO_REPLY",
        9 => "PARTIAL_ORDER_PERMITTED",
        10 => "PARTIAL_ORDER_PROFILE",
        11 => "CC",
        12 => "CC_NEW",
        13 => "CC_ECHO",
        14 => "ALTERNATE_CHECKSUM_REQUEST",
        15 => "ALTERNATE_CHECKSUM_DATA",
        16 => "SKEETER",
        17 => "BUBBA",
        18 => "TRAILER_CHECKSUM",
        20 => "SCPS_CAPABILITIES",
        21 => "SELECTIVE_NEGATIVE_ACK",
        22 => "RECORD_BOUNDARIES",
        23 => "CORRUPTION_EXPERIENCED",
        24 => "SNAP",
        26 => "COMPRESSION_FILTER",
        27 => "QUICK_START",
        69 => "ENO",
        172 => "ACC_ECN_0",
        174 => "ACC_ECN_1",
        _ => return None,
    })
}

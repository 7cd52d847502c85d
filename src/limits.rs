//! Every bound on untrusted input, in one place, with its reason. Beyond a limit the oldest or least useful goes, is
//! counted, and is reported; analysis never refuses to go on.

/// Tunnels and VLAN tags looked through in one frame. Real stacks nest two or three; an attacker could nest hundreds.
pub const ENCAPSULATION_DEPTH: usize = 16;
/// IP datagrams under reassembly at once, over all inputs.
pub const FRAGMENTED_DATAGRAMS: usize = 256;
/// Bytes held for one IP datagram under reassembly: the largest IP payload there is.
pub const FRAGMENT_BYTES: usize = 65_535;
/// Seconds (of capture time) that an incomplete datagram waits for its missing fragments (RFC 8200 §4.5 says 60).
pub const FRAGMENT_SECONDS: i64 = 60;

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

/// Bytes of one record or block of a capture file. A frame has at most 256 KiB in practice; a pcapng block with secrets or
/// comments can be longer. A length beyond this is damage, not data.
pub const CAPTURE_RECORD_BYTES: usize = 16 << 20;
/// Interfaces of one pcapng section. A host with every container's veth has hundreds.
pub const SECTION_INTERFACES: usize = 4096;
/// Interfaces of one input, over all its sections: what a frame's `u16` can name.
pub const INPUT_INTERFACES: usize = 65_535;
/// Bytes kept of an interface's name. The kernel's names have 15; other systems' are paths.
pub const INTERFACE_NAME_BYTES: usize = 256;
/// log2 of the zstd window accepted (128 MiB, what the zstd program accepts unless told): the decoder's memory.
pub const ZSTD_WINDOW_LOG: u32 = 27;

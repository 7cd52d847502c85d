//! Every bound on untrusted input, in one place, with its reason. Beyond a limit the oldest or least useful goes, is
//! counted, and is reported; analysis never refuses to go on.

/// Tunnels and VLAN tags looked through in one frame. Real stacks nest two or three; an attacker could nest hundreds.
pub const ENCAPSULATION_DEPTH: usize = 16;
/// Link types that are not decoded and are told of by name, over all inputs. Real captures have one.
pub const UNDECODED: usize = 64;
/// IP datagrams under reassembly at once, over all inputs.
pub const FRAGMENTED_DATAGRAMS: usize = 256;
/// Bytes held for one IP datagram under reassembly: the largest IP payload there is.
pub const FRAGMENT_BYTES: usize = 65_535;
/// Bytes of room made ahead at once for connections that begin: a flood of SYNs must not cost more than it does anyway.
pub const ROOM_BYTES: usize = 1 << 20;
/// Seconds (of capture time) that an incomplete datagram waits for its missing fragments (RFC 8200 §4.5 says 60).
pub const FRAGMENT_SECONDS: i64 = 60;

/// Mappings kept for one direction of one subflow. A full 4 MiB window of one-segment mappings is about 3,000.
pub const MAPPINGS: usize = 4096;
/// Mappings without place that are kept for one direction whose SYN is unknown: any one that has a place gives it to all.
pub const UNPLACED: usize = 64;
/// Connections, or such as began before the capture, among which numbers of 32 bits tell subflows apart: with two that must lie within
/// 2^22 of 2^32, one of a million that share an address is taken for another's by chance; of so many, one of 16,000.
pub const EARLY: usize = 64;
/// Segments of a connection without handshake that are looked at for whether it is part of another.
pub const PART_SEGMENTS: u64 = 64;
/// How far (in bytes) acknowledgements may run past a mapping before its missing payload is given up: more than a
/// retransmission or a reordered file merge lags behind.
pub const LATE_PAYLOAD: u64 = 4 << 20;
/// Holes remembered in one sequence space; beyond, the lowest is given up and stays counted as missing.
pub const HOLES: usize = 1024;
/// Runs of data by one subflow remembered for one direction of a connection, to tell who carried a byte first.
pub const CARRIERS: usize = 2048;
/// Ranges that wait at the data level for a hole to fill.
pub const WAITING: usize = 4096;
/// Ranges of payload that wait for a mapping, for one direction of one subflow.
pub const UNMAPPED_RANGES: usize = 256;
/// Bytes of payload that wait for a mapping, over all connections. One receive window of a fast path is 6 MiB.
pub const BUFFERED_BYTES: usize = 32 << 20;
/// Outstanding segments timed for round trips, for one direction of one subflow.
pub const RTT_PROBES: usize = 64;
/// The farthest a sequence number may jump ahead (2^30, a quarter of its space): what goes further is no part of the stream.
pub const SEQUENCE_JUMP: u64 = 1 << 30;
/// RSTs that may answer a SYN which is still to come: they are microseconds early.
pub const EARLY_RESETS: usize = 16;
/// Parts of one mapping that wait for earlier parts. A mapping of 64 KiB in segments of 536 bytes has 122.
pub const PIECES: usize = 256;
/// Segments of one direction whose sums are kept until they are acknowledged, to be compared with retransmissions: 12 MB in
/// flight.
pub const SUMS: usize = 8192;
/// Other keys remembered for one end after differing handshakes (SYN cookies, load balancers, forgeries).
pub const OTHER_KEYS: usize = 4;
/// Breaches of the rules remembered for one connection; beyond, they are counted.
pub const ANOMALIES: usize = 64;
/// Addresses, ids in REMOVE_ADDR and changes of priority remembered for one connection. Ids are one byte; both ends announce.
pub const ADDRESSES: usize = 512;
/// Subflows of one connection. Linux allows 8, v0 kernels 32; an attacker with a token and no key can ask for more.
pub const SUBFLOWS: usize = 1024;
/// Handovers remembered for one direction.
pub const HANDOVERS: usize = 64;
/// Steps of time for which what a subflow carried is remembered. What is drawn of them is a few dozen columns wide.
pub const TIMELINE_STEPS: usize = 64;
/// Subflows of one direction with a timeline: Linux allows 8.
pub const TIMELINE_SUBFLOWS: usize = 8;
/// Data-level bytes of one direction from which it has timelines: what carries less is over before coupling can show.
pub const TIMELINE_FROM: u64 = 1 << 20;
/// Other subflows looked at when a sender chose one. Linux allows 8; a capture with a thousand must cost no more.
pub const CHOICE_SUBFLOWS: usize = 16;
/// Addresses of one end that path managers' meshes are judged by.
pub const MESH_ADDRESSES: usize = 32;
/// Pairs of hosts for which patterns are counted, and listeners whose answers are compared; beyond, they are counted only.
pub const HOST_PAIRS: usize = 1024;
/// Groups of connections, by client network and server, that are compared by how MP_CAPABLE was answered.
pub const ANSWERING: usize = 1 << 16;
/// Pairs of addresses of one connection that are listed; what has more is an attack or a test.
pub const ADDRESS_PAIRS: usize = 256;
/// Live view: happenings kept, some screens of them.
pub const VIEW_EVENTS: usize = 200;
/// Live view: findings remembered as told of; beyond, those of the oldest connections are told again.
pub const VIEW_FINDINGS: usize = 10_000;
/// Differing answers of one listener that are told apart. Load balancers have a few hundred workers at most.
pub const FINGERPRINTS: usize = 256;
/// Option kinds remembered of a SYN: forty bytes hold that many that are worth something.
pub const SYN_KINDS: usize = 12;
/// Mismatching checksums remembered one by one for one direction; beyond, they are counted.
pub const MISMATCHES: usize = 64;
/// SYNs of one connection remembered one by one. Linux sends 3 with MP_CAPABLE, then up to 4 without.
pub const SYNS: usize = 12;
/// Frames that a finding of many flows names.
pub const EVIDENCE_FRAMES: usize = 12;
/// Candidates for an unknown high half of the DSN: more than one means damage.
pub const INFERRED: usize = 8;
/// Bytes of one record or block of a capture file. A frame has at most 256 KiB in practice; a pcapng block with secrets or
/// comments can be longer. A length beyond this is damage, not data.
pub const CAPTURE_RECORD_BYTES: usize = 16 << 20;
/// Interfaces of one pcapng section. A host with every container's veth has hundreds. The frames of further ones count as
/// frames without IP.
pub const SECTION_INTERFACES: usize = 4096;
/// Interfaces of one input, over all its sections: what a frame's `u16` can name.
pub const INPUT_INTERFACES: usize = 65_535;
/// Nanoseconds (of capture time) that frames of a file with several interfaces wait for earlier ones: dumpcap's are up to
/// 0.12 s late, which is how long the kernel fills a block.
pub const ORDER_NS: i64 = 500_000_000;
/// Bytes of frames that wait so: a quarter of a second at 1 Gbit/s.
pub const ORDER_BYTES: usize = 32 << 20;
/// Bytes kept of an interface's name. The kernel's names have 15; other systems' are paths.
pub const INTERFACE_NAME_BYTES: usize = 256;
/// log2 of the zstd window accepted (128 MiB, what the zstd program accepts unless told): the decoder's memory.
pub const ZSTD_WINDOW_LOG: u32 = 27;
/// Taps told apart: interfaces of all inputs.
pub const TAPS: usize = 4096;
/// Pairs of inputs known to show two places; beyond, that is found out anew for each flow.
pub const SITES_APART: usize = 1 << 16;
/// Recent segments remembered to know the first copy at another tap: a power of two, small enough for a core's cache. A
/// copy is found among 500 newer segments but for one in 10,000, among 2,000 but for one in 50.
pub const RECENT_SEGMENTS: usize = 8192;
/// The same once a copy was found, 2 MiB. At 100,000 packets a second and 80 ms under way between two taps, one copy in
/// 100,000 is missed.
pub const RECENT_SEGMENTS_WHERE_COPIES_ARE: usize = 32 * RECENT_SEGMENTS;
/// Segments remembered, where there are several inputs, to be compared with the same packet at another: 4 MiB. The clocks of
/// two inputs may lie as far apart as it takes for so many segments to pass.
pub const COMPARED_SEGMENTS: usize = 1 << 17;
/// Segments held, where there are several inputs, of the start of a TCP connection without MPTCP: SYNs, SYN/ACK, third ACK, and
/// the first data.
pub const HELD_SEGMENTS: usize = 6;
/// TCP connections without MPTCP of which these are held: 16 MiB at most.
pub const HELD_FLOWS: usize = 1 << 14;
/// RSTs of each end of a subflow remembered, where there are several inputs; with more, none is said to be missing.
pub const RESETS: usize = 16;
/// Ways remembered in which options of a subflow's packets differ between inputs: what was done (3), to which of 10 options,
/// in which direction, between which two inputs. A device does few of them.
pub const DIFFERENCES: usize = 64;
/// TCP flows remembered, MPTCP or not; beyond, the oldest goes.
pub const FLOWS: usize = 2 << 20;
/// MPTCP connections remembered; beyond, the oldest unanswered one goes, else the oldest closed one, else the oldest.
pub const CONNECTIONS: usize = 1 << 20;
/// How far the numbers of connections in memory may lie apart: each number between takes a pointer. Beyond, the oldest goes,
/// though it may be alive.
pub const CONNECTION_SPAN: usize = 8 * CONNECTIONS;
/// Bytes that all connections may take, by estimates. A connection that only asked takes about 2 kB, one of two subflows 2.8,
/// one on a fast path up to a megabyte: a million ordinary ones fit.
pub const CONNECTION_BYTES: usize = 3 << 30;
/// Ends of connections that may share one token, or the high half of their DSNs, by collision or forgery.
pub const SAME_NUMBER: usize = 8;
/// Connections that had a 4-tuple before and are remembered, where several inputs are read.
pub const EARLIER_PLACES: usize = 8;
/// Interfaces of an input that are told apart as places of their own.
pub const PLACES: usize = 64;
/// Views of one connection at other taps, and taps of one flow.
pub const VIEWS: usize = 16;
/// Further 4-tuples under which one subflow is seen.
pub const ALIASES: usize = 16;
/// Further interfaces at which one subflow is seen.
pub const SUBFLOW_INTERFACES: usize = 16;
/// How many of the oldest connections are looked at to find the least useful.
pub const EVICTION_WINDOW: usize = 64;

/// Joins without their connection that the report lists; beyond, they are counted. Each takes 3 kB there, and a capture
/// that began in the middle of a busy server's connections has some thousands: with more tokens, somebody guesses.
pub const ORPHAN_JOINS: usize = 16_384;

/// Bytes that the kernel buffers for one live interface: at 1 Gbit/s, a quarter of a second in which nobody reads.
pub const CAPTURE_RING_BYTES: i32 = 32 << 20;
/// Milliseconds after which the kernel hands over what it has of a live interface, full block or not.
pub const CAPTURE_BLOCK_MS: i32 = 40;
/// Milliseconds that packets of one live interface wait for earlier ones of the others: a block, and some for the threads.
pub const CAPTURE_HOLD_MS: u64 = 100;
/// Bytes of packets handed over at once by a capture thread.
pub const CAPTURE_BATCH_BYTES: usize = 256 << 10;
/// Batches of one live interface between its thread and the analysis; then the kernel's buffer fills, and then it drops.
pub const CAPTURE_BATCHES: usize = 32;
/// Interfaces captured at once; each costs a thread and a ring. For more there is `any`.
pub const CAPTURE_INTERFACES: usize = 64;

/// Live: seconds after its last segment that a closed connection stays: stray retransmissions still find it.
pub const LIVE_CLOSED_SECONDS: u64 = 60;
/// Live: seconds without a segment after which a handshake is given up. Linux repeats a SYN for the last time after 32 s.
pub const LIVE_HALF_OPEN_SECONDS: u64 = 75;
/// Live: seconds without a segment after which a connection leaves: keepalives come every two hours (RFC 9293 §3.8.4).
pub const LIVE_IDLE_SECONDS: u64 = 3 * 3600;
/// Live: the youngest connections may have open handshakes; of older ones, those leave. At 10,000 SYNs a second, a handshake
/// has more than a second to complete.
pub const LIVE_HALF_OPEN: usize = 16_384;
/// Live: connections held; some kilobytes each.
pub const LIVE_CONNECTIONS: usize = 131_072;
/// Live: seconds that a flow without MPTCP is silent before it is forgotten, at least; twice that at most.
pub const LIVE_PLAIN_SECONDS: u64 = 300;
/// Live: connections that are over and that the report at the end still tells of.
pub const RETIRED: usize = 65_536;
/// Live: as many whose handshake never completed: a flood of them pushes none of the others out.
pub const RETIRED_HALF_OPEN: usize = 1024;
/// Live: bytes that connections which are over take: 20,000 with two subflows.
pub const RETIRED_BYTES: usize = 64 << 20;
/// Live: flows remembered, MPTCP or not.
pub const LIVE_FLOWS: usize = 262_144;
/// Live: connections looked at in one sweep, of which there are some a second.
pub const SWEEP_CONNECTIONS: usize = 8192;
/// Bytes of one extracted stream that wait for earlier ones or for a checksum: Linux's largest receive buffer is 6 MiB, so
/// what is missing for longer was received without being captured.
pub const EXTRACT_BUFFER: usize = 8 << 20;
/// Bytes that wait, over all extracted streams; beyond, each stream keeps [`EXTRACT_BUFFER_SCARCE`], and beyond twice that none.
pub const EXTRACT_BUFFERS: usize = 256 << 20;
/// Bytes of one extracted stream that wait when memory is short: one mapping of the largest size.
pub const EXTRACT_BUFFER_SCARCE: usize = 64 << 10;
/// What a waiting part of a stream costs besides its bytes.
pub const EXTRACT_PIECE_COST: usize = 96;
/// Bytes of a stream whose beginning is not known that wait for earlier ones: what is in flight on a usual path.
pub const EXTRACT_UNANCHORED: usize = 256 << 10;
/// Zeros written for holes, over all extracted streams: a few packets with sequence numbers far apart must not fill a disk.
pub const EXTRACT_FILL: u64 = 1 << 30;
/// Parts of one extracted stream that wait: more than [`EXTRACT_BUFFER`] has of segments of a usual size.
pub const EXTRACT_PIECES: usize = 8192;
/// Extracted streams that the manifest lists; beyond, they are counted. Each has a file of its own: few file systems like more.
pub const EXTRACT_ENTRIES: usize = 1 << 20;
/// Ranges listed in the whole manifest; beyond, streams have their bytes counted only.
pub const EXTRACT_ALL_RANGES: usize = 1 << 20;
/// Holes, and ranges of other kinds, listed for one extracted stream; beyond, their bytes are counted.
pub const EXTRACT_RANGES: usize = 1024;
/// Extracted streams whose files are open at once, and that have a block being filled. A process may have 1024 files unless
/// told otherwise; 64 blocks take 16 MiB at most. Late copies are compared with what was written: that opens as many again.
pub const EXTRACT_OPEN_FILES: usize = 64;
/// Bytes of one extracted stream that are handed over at once to be written and hashed: so many that handing over costs
/// nothing beside them, so few that a core's cache still has them.
pub const EXTRACT_BLOCK: usize = 256 << 10;
/// Blocks, or heaps of smaller tasks, that wait to be written, and as many to be hashed; then the tracker waits too. Each
/// of the two has 6 MiB at most, mostly the same.
pub const EXTRACT_WAITING: usize = 16;
/// Tasks of writing or hashing that go to their thread together where all are small.
pub const EXTRACT_TASKS: usize = 64;
/// Bytes of output lines held back until a token tells whether `--connection` asks for them: handshakes of some thousands
/// of connections.
pub const HELD_LINES: usize = 8 << 20;

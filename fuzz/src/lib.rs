//! Bodies of the fuzz targets: ordinary functions from bytes to nothing, which panic where something is wrong. libFuzzer calls
//! them through the thin programs in `fuzz_targets/`; `tests/corpus.rs` of the crate includes this file and replays the
//! corpus and the regressions without libFuzzer.
//!
//! | target | input | asserts beyond not crashing |
//! |---|---|---|
//! | `options` | a TCP option area | every byte is accounted for; what is read is written as it was |
//! | `frames` | frames of one link type | parts lie within the frame; a decoder's answer is reproducible |
//! | `capture_file` | a file, any container | the same frames however the bytes arrive; nothing after the end |
//! | `tracker_ops` | a script of honest and hostile segments | the report's invariants; determinism |
//! | `reassembly` | how to cut, order and repeat a stream | bytes and checksums as a naive model has them |
//! | `report` | a capture file | invariants; every output at several widths; JSON reads back |

pub mod bytes;
pub mod capture_file;
pub mod frames;
pub mod invariants;
pub mod options;
pub mod reassembly;
pub mod report;
pub mod tracker_ops;
pub mod world;

/// A target's body.
pub type Body = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Body); 6] = [
    ("options", options::run),
    ("frames", frames::run),
    ("capture_file", capture_file::run),
    ("tracker_ops", tracker_ops::run),
    ("reassembly", reassembly::run),
    ("report", report::run),
];

//! Extraction: streams do not depend on how their bytes were cut, repeated or reordered on the way, nor on the path they
//! took; and what went wrong is told.
//!
//! The traffic here is made by hand, with checksums by plain arithmetic. That the streams of real captures have the hashes
//! that the applications computed is judged in `truth`.

mod failures;
mod files;
mod memory;
mod order;
mod traffic;
mod ways;

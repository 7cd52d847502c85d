//! How many cores there are to work on.

use std::num::NonZeroUsize;
use std::thread;

/// Cores that this process may use; 1 where the system does not tell.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

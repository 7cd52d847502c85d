//! Capture: the only I/O of the library.

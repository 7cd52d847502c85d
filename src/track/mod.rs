//! Track.

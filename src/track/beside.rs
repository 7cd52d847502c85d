//! Data on a path that an end asked to be kept for when others fail.

use super::mark::Mark;

/// New data on a subflow that the peer had marked as backup, while a regular path was open and nothing showed that it had failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    /// Bytes after which data went over a regular path again: it worked.
    pub bytes: u64,
    /// First and last frame of these.
    pub frames: Option<(Mark, Mark)>,
    /// Bytes after which none did so far.
    waiting: u64,
    waiting_frames: Option<(Mark, Mark)>,
}

impl Beside {
    /// None.
    pub(super) const NOTHING: Self = Self { bytes: 0, frames: None, waiting: 0, waiting_frames: None };

    /// Adds bytes for which it is not known whether a regular path works.
    pub(super) fn add(&mut self, bytes: u64, frame: Mark) {
        self.waiting += bytes;
        self.waiting_frames = Some(self.waiting_frames.map_or((frame, frame), |known| (known.0, frame)));
    }

    /// Data goes over a regular path.
    pub(super) fn regular_path_works(&mut self) {
        self.bytes += std::mem::take(&mut self.waiting);
        if let Some(waiting) = self.waiting_frames.take() {
            self.frames = Some(self.frames.map_or(waiting, |known| (known.0, waiting.1)));
        }
    }
}

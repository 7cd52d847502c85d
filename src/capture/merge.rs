//! Several sources as one, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CaptureError, InputInfo, Source};
use crate::frame::{Frame, Timestamp};

/// Reads sources side by side and gives always the earliest of their next frames; of equal times, that of the source given
/// first, but of one that has shown frames before one that has not: so the parts of a capture come one after the other. A
/// source's own order stays as it is, even where its times go back. Frame numbers stay each source's own.
///
/// A source that fails ends there and the others go on; [`problems`](Self::problems) has its error.
pub struct Merge<S> {
    sources: Vec<S>,
    /// The source whose frame is shown.
    current: usize,
    /// The other sources that have a frame, by its time and whether it is their first.
    waiting: BinaryHeap<Reverse<(Timestamp, bool, usize)>>,
    /// Sources that are at their end, in the order in which they came to it.
    ended: Vec<usize>,
    started: bool,
    /// Whether the current source has a frame.
    live: bool,
    problems: Vec<CaptureError>,
}

impl<S: Source> Merge<S> {
    /// Merges `sources`, none of which has been advanced.
    pub fn new(sources: Vec<S>) -> Self {
        let waiting = BinaryHeap::with_capacity(sources.len());
        Self { sources, current: 0, waiting, ended: Vec::new(), started: false, live: false, problems: Vec::new() }
    }

    /// The errors so far, at most one per source, in the order in which they came.
    pub fn problems(&self) -> &[CaptureError] {
        &self.problems
    }

    /// The source whose frame is shown.
    #[inline]
    pub fn current(&self) -> Option<&S> {
        self.sources.get(self.current)
    }

    /// The sources, in the order given.
    pub fn sources(&self) -> &[S] {
        &self.sources
    }

    /// The sources that are at their end, in the order in which they came to it.
    #[inline]
    pub fn ended(&self) -> &[usize] {
        &self.ended
    }

    /// Takes the errors so far.
    pub fn take_problems(&mut self) -> Vec<CaptureError> {
        std::mem::take(&mut self.problems)
    }

    /// Advances one source; false at its end.
    #[inline]
    fn advance_source(&mut self, index: usize) -> bool {
        match self.sources.get_mut(index).map(Source::advance) {
            Some(Ok(true)) => return true,
            Some(Err(problem)) => self.problems.push(problem),
            Some(Ok(false)) | None => {}
        }
        self.ended.push(index);
        false
    }

    /// The time of the frame that a source is at.
    fn time_of(&self, index: usize) -> Timestamp {
        self.sources.get(index).map_or_else(Timestamp::default, Source::time)
    }

    /// The current source has moved: another may have the earliest frame now.
    #[inline(never)]
    fn choose(&mut self) {
        let candidate = Reverse((self.time_of(self.current), false, self.current));
        if let Some(mut earliest) = self.waiting.peek_mut()
            && *earliest > candidate
        {
            let Reverse((.., index)) = std::mem::replace(&mut *earliest, candidate);
            self.current = index;
        }
    }

    /// The current source is at its end, or nothing has been read yet: moves to the source with the earliest frame.
    #[cold]
    fn next_source(&mut self) -> bool {
        if !self.started {
            self.started = true;
            for index in 0..self.sources.len() {
                if self.advance_source(index) {
                    self.waiting.push(Reverse((self.time_of(index), true, index)));
                }
            }
        }
        let next = self.waiting.pop();
        self.live = next.is_some();
        if let Some(Reverse((.., index))) = next {
            self.current = index;
        }
        self.live
    }
}

impl<S: Source> Source for Merge<S> {
    /// Never an error: see [`problems`](Merge::problems).
    #[inline]
    fn advance(&mut self) -> Result<bool, CaptureError> {
        if self.live && self.advance_source(self.current) {
            if !self.waiting.is_empty() {
                self.choose();
            }
            return Ok(true);
        }
        Ok(self.next_source())
    }

    #[inline]
    fn frame(&self) -> Frame<'_> {
        self.current().map_or_else(Frame::nothing, Source::frame)
    }

    fn is_dry(&self) -> bool {
        self.sources.iter().any(Source::is_dry)
    }

    fn inputs(&self) -> Vec<&InputInfo> {
        self.sources.iter().flat_map(Source::inputs).collect()
    }
}

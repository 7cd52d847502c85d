//! Several sources as one, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CaptureError, InputInfo, Source};
use crate::frame::{Frame, Timestamp};

/// Reads sources side by side and gives always the earliest of their next frames; of equal times, that of the source given
/// first. A source's own order stays as it is, even where its times go back. Frame numbers stay each source's own.
///
/// A source that fails ends there and the others go on; [`problems`](Self::problems) has its error.
pub struct Merge<S> {
    sources: Vec<S>,
    /// The source whose frame is shown.
    current: usize,
    /// The other sources that have a frame, by its time.
    waiting: BinaryHeap<Reverse<(Timestamp, usize)>>,
    started: bool,
    /// Whether the current source has a frame.
    live: bool,
    problems: Vec<CaptureError>,
}

impl<S: Source> Merge<S> {
    /// Merges `sources`, none of which has been advanced.
    pub fn new(sources: Vec<S>) -> Self {
        let waiting = BinaryHeap::with_capacity(sources.len());
        Self { sources, current: 0, waiting, started: false, live: false, problems: Vec::new() }
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

    /// Takes the errors so far.
    pub fn take_problems(&mut self) -> Vec<CaptureError> {
        std::mem::take(&mut self.problems)
    }

    /// Advances one source: the time of its next frame, `None` at its end.
    #[inline]
    fn advance_source(&mut self, index: usize) -> Option<Timestamp> {
        let source = self.sources.get_mut(index)?;
        match source.advance() {
            Ok(true) => Some(source.time()),
            Ok(false) => None,
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    #[cold]
    fn start(&mut self) {
        self.started = true;
        for index in 0..self.sources.len() {
            if let Some(time) = self.advance_source(index) {
                self.waiting.push(Reverse((time, index)));
            }
        }
    }
}

impl<S: Source> Source for Merge<S> {
    /// Never an error: see [`problems`](Merge::problems).
    #[inline]
    fn advance(&mut self) -> Result<bool, CaptureError> {
        if !self.started {
            self.start();
        } else if self.live
            && let Some(time) = self.advance_source(self.current)
        {
            let candidate = Reverse((time, self.current));
            if let Some(mut earliest) = self.waiting.peek_mut()
                && *earliest > candidate
            {
                let Reverse((_, index)) = std::mem::replace(&mut *earliest, candidate);
                self.current = index;
            }
            return Ok(true);
        }
        let next = self.waiting.pop();
        self.live = next.is_some();
        if let Some(Reverse((_, index))) = next {
            self.current = index;
        }
        Ok(self.live)
    }

    #[inline]
    fn frame(&self) -> Frame<'_> {
        self.current().map_or_else(Frame::nothing, Source::frame)
    }

    fn inputs(&self) -> Vec<&InputInfo> {
        self.sources.iter().flat_map(Source::inputs).collect()
    }
}

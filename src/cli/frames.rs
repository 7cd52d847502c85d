//! The frames of a run in order of time, with what they hold: decoded ahead, or here and now.

use crate::ahead::Ahead;
use crate::capture::{InputInfo, Merge, Source};
use crate::frame::Frame;
use crate::packet::options::Options;
use crate::packet::{Decoded, Decoder};

/// Tells of the inputs so far.
pub(super) type Inputs<'f, 'i> = &'f dyn Fn() -> Vec<&'i InputInfo>;

/// Frames of all sources.
pub(super) trait Frames {
    /// What the frames come from.
    type Source: Source;

    /// The sources, merged.
    fn merge(&self) -> &Merge<Self::Source>;

    /// Moves to the next frame; false at the end. The merge keeps its sources' problems.
    fn advance(&mut self) -> bool;

    /// Gives the frame moved to, decoded, and its options where they were read before.
    fn show<T>(&mut self, take: impl FnOnce(&Frame<'_>, &Decoded<'_>, Option<&Options<'_>>, Inputs<'_, '_>) -> T) -> T;

    /// As [`Decoder::incomplete_fragments`].
    fn incomplete_fragments(&self) -> u64;
}

/// Decoded here and now.
pub(super) struct Here<S> {
    merge: Merge<S>,
    decoder: Decoder,
}

impl<S: Source> Here<S> {
    pub(super) fn new(sources: Vec<S>) -> Self {
        Self { merge: Merge::new(sources), decoder: Decoder::new() }
    }
}

impl<S: Source> Frames for Here<S> {
    type Source = S;

    fn merge(&self) -> &Merge<S> {
        &self.merge
    }

    #[inline]
    fn advance(&mut self) -> bool {
        matches!(self.merge.advance(), Ok(true))
    }

    #[inline]
    fn show<T>(&mut self, take: impl FnOnce(&Frame<'_>, &Decoded<'_>, Option<&Options<'_>>, Inputs<'_, '_>) -> T) -> T {
        let frame = self.merge.frame();
        take(&frame, &self.decoder.decode(&frame), None, &|| self.merge.inputs())
    }

    fn incomplete_fragments(&self) -> u64 {
        self.decoder.incomplete_fragments()
    }
}

impl Frames for Merge<Ahead> {
    type Source = Ahead;

    fn merge(&self) -> &Self {
        self
    }

    #[inline]
    fn advance(&mut self) -> bool {
        matches!(Source::advance(self), Ok(true))
    }

    #[inline]
    fn show<T>(&mut self, take: impl FnOnce(&Frame<'_>, &Decoded<'_>, Option<&Options<'_>>, Inputs<'_, '_>) -> T) -> T {
        let inputs = || self.inputs();
        match self.current() {
            Some(ahead) => {
                let (frame, decoded, options) = ahead.shown();
                take(&frame, &decoded, options.as_ref(), &inputs)
            }
            None => take(&Frame::nothing(), &Decoded::NotIp, None, &inputs),
        }
    }

    fn incomplete_fragments(&self) -> u64 {
        self.sources().iter().map(Ahead::incomplete_fragments).sum()
    }
}

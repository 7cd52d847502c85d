//! Capture filters in libpcap's language, on frames of any source.

use pcap::{BpfProgram, Capture, Linktype};

use super::{CaptureError, InputInfo, Source};
use crate::frame::{Frame, LinkType};

/// The frames of a source that a filter accepts. libpcap compiles the filter once per link type; its program sees the
/// captured bytes. [`InputInfo::packets`] still counts, and frame numbers still name, all frames read.
pub struct Filtered<S> {
    source: S,
    filter: String,
    /// Compiled so far; few, so a search is fast.
    programs: Vec<(LinkType, BpfProgram)>,
    /// A frame came that the filter can't be compiled for.
    failed: bool,
}

impl<S: Source> Filtered<S> {
    /// Filters `source`. The filter is compiled for the interfaces known so far, and for others when their first frame comes.
    ///
    /// # Errors
    /// [`CaptureError::Filter`] if it can't be compiled for one of them.
    pub fn new(source: S, filter: &str) -> Result<Self, CaptureError> {
        let mut links: Vec<LinkType> = Vec::new();
        for interface in source.inputs().iter().flat_map(|input| &input.interfaces) {
            if !links.contains(&interface.link) {
                links.push(interface.link);
            }
        }
        let programs = links.into_iter().map(|link| Ok((link, compile(filter, link)?))).collect::<Result<_, _>>()?;
        Ok(Self { source, filter: filter.to_owned(), programs, failed: false })
    }

    /// The filtered source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// Whether the filter accepts the first frame of its link type.
    #[cold]
    fn compile_and_filter(&mut self) -> Result<bool, CaptureError> {
        let frame = self.source.frame();
        let program = compile(&self.filter, frame.link).inspect_err(|_| self.failed = true)?;
        let accepted = program.filter(frame.data);
        self.programs.push((frame.link, program));
        Ok(accepted)
    }
}

impl<S: Source> Source for Filtered<S> {
    /// Also fails where a frame comes whose link type the filter can't be compiled for.
    fn advance(&mut self) -> Result<bool, CaptureError> {
        while !self.failed && self.source.advance()? {
            let frame = self.source.frame();
            let accepted = match self.programs.iter().find(|(link, _)| *link == frame.link) {
                Some((_, program)) => program.filter(frame.data),
                None => self.compile_and_filter()?,
            };
            if accepted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline]
    fn frame(&self) -> Frame<'_> {
        self.source.frame()
    }

    fn inputs(&self) -> Vec<&InputInfo> {
        self.source.inputs()
    }
}

/// Compiles a filter for frames of a link type.
fn compile(filter: &str, link: LinkType) -> Result<BpfProgram, CaptureError> {
    let failed =
        |error: pcap::Error| CaptureError::Filter { filter: filter.to_owned(), link, reason: error.to_string() };
    // Files number raw IP differently from libpcap's interface, which takes the number that Linux and most BSDs use.
    let link = if link == LinkType::RAW { LinkType::RAW_BSD } else { link };
    let number = i32::try_from(link.0).unwrap_or(i32::MAX);
    Capture::dead(Linktype(number)).and_then(|capture| capture.compile(filter, true)).map_err(failed)
}

//! Capture: the only I/O of the library. Files and streams become an ordered sequence of [`Frame`]s.
//!
//! * [`open`] reads pcap and pcapng, plain or compressed with gzip or zstd, from a path or standard input; which of them
//!   it is, the content says, never the name.
//! * [`PcapngWriter`] writes frames to a pcapng file.
//! * [`Merge`] reads several sources side by side, in order of time.
//! * [`live`] (feature `live`) captures on interfaces.
//! * `Filtered` (feature `live`) keeps the frames that a BPF filter accepts.
//!
//! A source that turns out to be damaged ends there: what was read before stays valid, the error says where it was, and
//! [`InputInfo::cut_after`] keeps it for the report. Memory is bounded whatever the input holds.
//!
//! ```no_run
//! use mptcp_inspect::capture::{OpenOptions, Source, open};
//!
//! let mut source = open("trace.pcapng".as_ref(), 0, &OpenOptions::default())?;
//! while source.advance()? {
//!     let frame = source.frame();
//!     println!("{} {} {} bytes", frame.id.number, frame.time, frame.data.len());
//! }
//! # Ok::<(), mptcp_inspect::capture::CaptureError>(())
//! ```

mod container;
mod error;
mod file;
#[cfg(feature = "live")]
mod filter;
mod inputs;
#[cfg(feature = "live")]
pub mod live;
mod looks_like;
mod merge;
mod order;
mod pcap_file;
mod pcapng_file;
mod step;
mod stream;
mod write;

pub use error::CaptureError;
pub use file::{FileSource, OpenOptions, can_be_read_again, first_time, open, read};
#[cfg(feature = "live")]
pub use filter::Filtered;
pub use inputs::Inputs;
pub use merge::Merge;
pub use step::Damage;
pub use stream::Stopper;
pub(crate) use stream::{BlockReturn, join};
pub use write::PcapngWriter;

use crate::frame::{Frame, LinkType, Timestamp};

/// One ordered sequence of frames.
///
/// ```text
/// while source.advance()? { use(source.frame()); }
/// ```
pub trait Source {
    /// Moves to the next frame; `false` at the end, and from then on. An error means that this input is damaged from here
    /// on: what was read stays valid, the error comes once, and the next call says `false`.
    fn advance(&mut self) -> Result<bool, CaptureError>;

    /// The frame moved to. Only meaningful after [`advance`](Self::advance) returned `true`; otherwise an empty frame or
    /// the last one.
    fn frame(&self) -> Frame<'_>;

    /// Its time.
    fn time(&self) -> Timestamp {
        self.frame().time
    }

    /// Whether the next frame has to be waited for, as far as is known: a stream's writer has not written it yet.
    fn is_dry(&self) -> bool {
        false
    }

    /// What is known so far of the inputs that the frames come from. Interfaces of a pcapng show as they are met.
    fn inputs(&self) -> Vec<&InputInfo>;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn advance(&mut self) -> Result<bool, CaptureError> {
        (**self).advance()
    }
    fn frame(&self) -> Frame<'_> {
        (**self).frame()
    }
    fn time(&self) -> Timestamp {
        (**self).time()
    }
    fn inputs(&self) -> Vec<&InputInfo> {
        (**self).inputs()
    }
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pcap file, of either resolution and byte order.
    Pcap,
    /// A pcapng file.
    Pcapng,
    /// An interface.
    Live,
}

impl Kind {
    /// The name in the report: `pcap`, `pcapng` or `live`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
            Self::Live => "live",
        }
    }
}

/// What is known of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputInfo {
    /// The path as given, `-` for standard input, or the interface.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its interfaces so far, over all sections; [`Frame::interface`] is an index into them.
    pub interfaces: Vec<InterfaceInfo>,
    /// Frames read; the last frame's number.
    pub packets: u64,
    /// Frames before the place where it was damaged or cut short.
    pub cut_after: Option<u64>,
    /// Live: what the kernel dropped.
    pub dropped: Option<u64>,
    /// Bytes of the file (as stored: compressed ones if it is compressed) that the frames so far took, about 512 KiB coarse.
    pub bytes_read: u64,
    /// The file's size where it is a regular file.
    pub bytes_total: Option<u64>,
}

/// One interface of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Its name where the capture tells, at most [`INTERFACE_NAME_BYTES`](crate::limits::INTERFACE_NAME_BYTES) long, as
    /// captured: whoever prints it cleans it.
    pub name: Option<String>,
    /// How its frames begin.
    pub link: LinkType,
    /// Bytes kept of each frame, as the file says; 0 for "no limit".
    pub snaplen: u32,
}

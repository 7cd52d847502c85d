//! Live capture through libpcap: one thread an interface, packets of all interfaces in order of time.
//!
//! ```text
//! kernel ring ──▶ reader (thread) ──▶ batches ──┐
//! kernel ring ──▶ reader (thread) ──▶ batches ──┴─▶ Live::next: by time, after a short hold
//! ```
//!
//! [`open`] is all that needs privileges: drop them, then [`Opened::start`]. Readers copy packets into buffers that go round;
//! when the analysis is slow the buffers run out, then the kernel's ring fills, and then the kernel drops and counts.

mod interfaces;
mod reader;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

use pcap::{Active, Capture, Linktype, Precision};

use super::{CaptureError, InputInfo, InterfaceInfo, Kind, Source};
use crate::frame::{Frame, FrameId, LinkType, Timestamp};
use crate::limits;

use interfaces::Names;
pub use interfaces::{Listed, list};
use reader::{Batch, Counters, Message, Reader};

/// The pseudo-interface that stands for all.
const ANY: &str = "any";

/// What to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Interfaces by name.
    pub interfaces: Vec<String>,
    /// Bytes to keep of each frame.
    pub snaplen: u32,
    /// A filter in libpcap's language.
    pub filter: Option<String>,
    /// The number of this input in its run.
    pub input: u16,
}

/// Interfaces opened and not yet read.
pub struct Opened {
    captures: Vec<Capture<Active>>,
    info: InputInfo,
    names: Names,
    input: u16,
}

/// Opens the interfaces. The kernel begins to capture here.
///
/// # Errors
/// [`CaptureError::NoSuchInterface`], [`CaptureError::NotPermitted`], [`CaptureError::Interface`] or
/// [`CaptureError::Filter`] for the first interface that cannot be captured on.
pub fn open(options: &LiveOptions) -> Result<Opened, CaptureError> {
    let mut names: Vec<&String> = Vec::new();
    for name in &options.interfaces {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.truncate(limits::CAPTURE_INTERFACES);
    let known = Names::now();
    let mut captures = Vec::with_capacity(names.len());
    let mut interfaces = Vec::with_capacity(names.len());
    for name in &names {
        let capture = open_one(name, options)?;
        let link = LinkType(u32::try_from(capture.get_datalink().0).unwrap_or(u32::MAX));
        interfaces.push(InterfaceInfo { name: Some((*name).clone()), link, snaplen: options.snaplen });
        captures.push(capture);
    }
    let name = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let info = InputInfo {
        name,
        kind: Kind::Live,
        interfaces,
        packets: 0,
        cut_after: None,
        dropped: Some(0),
        bytes_read: 0,
        bytes_total: None,
    };
    Ok(Opened { captures, info, names: known, input: options.input })
}

fn open_one(name: &str, options: &LiveOptions) -> Result<Capture<Active>, CaptureError> {
    let failed = |error: pcap::Error| why_not_opened(name, &said(&error));
    let mut capture = Capture::from_device(name)
        .map_err(failed)?
        .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
        .timeout(limits::CAPTURE_BLOCK_MS)
        .buffer_size(limits::CAPTURE_RING_BYTES)
        // Linux stamps every packet in nanoseconds; that is what the readers count on.
        .precision(Precision::Nano)
        .open()
        .and_then(Capture::setnonblock)
        .map_err(failed)?;
    if name == ANY {
        // The second form of cooked capture names the interface of each packet; an old libpcap has only the first.
        let sll2 = i32::try_from(LinkType::LINUX_SLL2.0).unwrap_or_default();
        let _ = capture.set_datalink(Linktype(sll2));
    }
    if let Some(filter) = &options.filter {
        let link = LinkType(u32::try_from(capture.get_datalink().0).unwrap_or(u32::MAX));
        capture.filter(filter, true).map_err(|error| CaptureError::Filter {
            filter: filter.clone(),
            link,
            reason: said(&error),
        })?;
    }
    Ok(capture)
}

/// What libpcap said, without saying that it is libpcap.
fn said(error: &pcap::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("libpcap error: ").unwrap_or(&text).to_owned()
}

fn why_not_opened(name: &str, reason: &str) -> CaptureError {
    let available = || list().into_iter().map(|listed| listed.name).collect();
    let name = name.to_owned();
    let lower = reason.to_ascii_lowercase();
    if name != ANY && !interfaces::exists(&name) && !list().iter().any(|listed| listed.name == name) {
        CaptureError::NoSuchInterface { name, available: available() }
    } else if lower.contains("permi") || lower.contains("cap_net_raw") {
        CaptureError::NotPermitted { name, available: available() }
    } else {
        CaptureError::Interface { name, reason: reason.to_owned() }
    }
}

impl Opened {
    /// Starts the threads that read.
    ///
    /// # Errors
    /// [`CaptureError::Interface`] where the system gives no thread.
    pub fn start(self) -> Result<Live, CaptureError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, messages) = sync_channel(self.captures.len() * (limits::CAPTURE_BATCHES + 1));
        let mut lanes = Vec::with_capacity(self.captures.len());
        for (index, capture) in self.captures.into_iter().enumerate() {
            let (empties, returned) = channel();
            let counters = Arc::new(Counters::default());
            let reader = Reader {
                index,
                capture,
                messages: sender.clone(),
                empties: returned,
                stop: Arc::clone(&stop),
                counters: Arc::clone(&counters),
                batches: 0,
                last_stats: None,
            };
            let info = self.info.interfaces.get(index);
            let name = info.and_then(|info| info.name.clone()).unwrap_or_default();
            let link = info.map_or(LinkType::ETHERNET, |info| info.link);
            let thread = std::thread::Builder::new().name(format!("capture {name}"));
            thread
                .spawn(move || reader.run())
                .map_err(|error| CaptureError::Interface { name: name.clone(), reason: error.to_string() })?;
            lanes.push(Lane { name, link, waiting: VecDeque::new(), at: 0, empties, counters, gone: false });
        }
        Ok(Live {
            info: self.info,
            input: self.input,
            names: self.names,
            lanes,
            messages,
            stop,
            current: None,
            until: i64::MAX,
            fresh: false,
            slots: Vec::new(),
            slot: 0,
            problems: Vec::new(),
            vanished: Vec::new(),
        })
    }
}

/// What [`Live::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame: see [`Live::frame`].
    Frame,
    /// None came in time.
    Idle,
    /// No interface is left, or all are stopped and read to their end.
    End,
}

/// Interfaces being captured on, as one input.
pub struct Live {
    info: InputInfo,
    input: u16,
    names: Names,
    lanes: Vec<Lane>,
    messages: Receiver<Message>,
    stop: Arc<AtomicBool>,
    /// The lane whose packet is shown.
    current: Option<usize>,
    /// It stays the earliest until this time.
    until: i64,
    /// A packet is shown that the next call leaves behind.
    fresh: bool,
    /// Of `any`: the kernel's numbers of interfaces, and which of the input's interfaces each is.
    slots: Vec<(u32, u16)>,
    slot: u16,
    problems: Vec<CaptureError>,
    /// Named interfaces that are gone, to tell when they are back.
    vanished: Vec<String>,
}

/// The packets of one interface that wait to be shown.
struct Lane {
    name: String,
    link: LinkType,
    waiting: VecDeque<(Instant, Box<Batch>)>,
    /// Position in the first batch.
    at: usize,
    /// The way back for batches.
    empties: Sender<Box<Batch>>,
    counters: Arc<Counters>,
    gone: bool,
}

impl Lane {
    #[inline]
    fn head(&self) -> Option<i64> {
        self.waiting.front()?.1.time(self.at)
    }

    /// Leaves the first packet behind; batches that are done go back to their thread. True while the same batch goes on.
    #[inline]
    fn pop(&mut self) -> bool {
        self.at += 1;
        if self.head().is_some() {
            return true;
        }
        if let Some((_, batch)) = self.waiting.pop_front() {
            // The thread may have ended.
            let _ = self.empties.send(batch);
        }
        self.at = 0;
        false
    }
}

impl Live {
    /// Moves to the next frame, waiting for one at most as long as `patience`. Of all interfaces the earliest comes first, as
    /// far as that is known [a tenth of a second](limits::CAPTURE_HOLD_MS) after it came.
    #[inline]
    pub fn next(&mut self, patience: Duration) -> Next {
        if std::mem::take(&mut self.fresh)
            && let Some(lane) = self.current.and_then(|index| self.lanes.get_mut(index))
            && lane.pop()
            && lane.head().is_some_and(|time| time <= self.until)
        {
            return self.show();
        }
        self.select(patience)
    }

    /// Finds the lane with the earliest packet, waiting if need be.
    fn select(&mut self, patience: Duration) -> Next {
        let deadline = Instant::now().checked_add(patience);
        let hold = Duration::from_millis(limits::CAPTURE_HOLD_MS);
        loop {
            while let Ok(message) = self.messages.try_recv() {
                self.take(message);
            }
            let earliest = self.earliest();
            let mut wait = patience;
            if let Some((index, until)) = earliest {
                let silent = self.lanes.iter().any(|lane| !lane.gone && lane.waiting.is_empty());
                let lane = self.lanes.get(index);
                let came = lane.and_then(|lane| lane.waiting.front()).map(|(came, _)| came.elapsed());
                let held = came.map_or(Duration::ZERO, |came| hold.saturating_sub(came));
                let full = lane.is_some_and(|lane| lane.waiting.len() + 1 >= limits::CAPTURE_BATCHES);
                if !silent || held.is_zero() || full {
                    (self.current, self.until) = (Some(index), until);
                    return self.show();
                }
                wait = held;
            } else if self.lanes.iter().all(|lane| lane.gone) {
                return Next::End;
            }
            let left = deadline.map_or(patience, |deadline| deadline.saturating_duration_since(Instant::now()));
            match self.messages.recv_timeout(wait.min(left)) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) if wait >= left => return Next::Idle,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.lanes.iter_mut().for_each(|lane| lane.gone = true),
            }
        }
    }

    /// The lane with the earliest packet, and until when it stays that.
    fn earliest(&self) -> Option<(usize, i64)> {
        let mut first: Option<(i64, usize)> = None;
        let mut second = i64::MAX;
        for (index, time) in self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((index, lane.head()?))) {
            match first {
                Some((earliest, _)) if time >= earliest => second = second.min(time),
                _ => {
                    second = first.map_or(second, |(earliest, _)| earliest);
                    first = Some((time, index));
                }
            }
        }
        first.map(|(_, index)| (index, second))
    }

    #[inline]
    fn show(&mut self) -> Next {
        self.fresh = true;
        self.info.packets += 1;
        let Some(index) = self.current else { return Next::Idle };
        self.slot = index as u16;
        let Some(lane) = self.lanes.get(index) else { return Next::Idle };
        if lane.link == LinkType::LINUX_SLL2
            && let Some((_, packet)) = lane.waiting.front().and_then(|(_, batch)| batch.get(lane.at))
            && let Some(number) = packet.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
        {
            self.slot = match self.slots.iter().find(|(known, _)| *known == number) {
                Some(&(_, slot)) => slot,
                None => self.new_slot(number),
            };
        }
        Next::Frame
    }

    /// `any` showed a packet of an interface not met so far.
    #[cold]
    fn new_slot(&mut self, number: u32) -> u16 {
        if self.info.interfaces.len() >= limits::SECTION_INTERFACES {
            return self.slot;
        }
        let slot = self.info.interfaces.len() as u16;
        let snaplen = self.info.interfaces.first().map_or(0, |interface| interface.snaplen);
        let name = Some(self.names.of(number));
        self.info.interfaces.push(InterfaceInfo { name, link: LinkType::LINUX_SLL2, snaplen });
        self.slots.push((number, slot));
        slot
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Packets(index, batch) => {
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.waiting.push_back((Instant::now(), batch));
                }
            }
            Message::Gone(index, reason) => {
                let Some(lane) = self.lanes.get_mut(index) else { return };
                lane.gone = true;
                if let Some(reason) = reason {
                    let name = lane.name.clone();
                    self.vanished.push(name.clone());
                    self.problems.push(CaptureError::Vanished { name, reason, packets: self.info.packets });
                }
            }
        }
    }

    /// Lets the readers end; what was captured until now still comes.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether an interface is still captured on.
    pub fn is_alive(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.gone)
    }

    /// What went wrong since the last call: interfaces that vanished.
    pub fn take_problems(&mut self) -> Vec<CaptureError> {
        std::mem::take(&mut self.problems)
    }

    /// Interfaces that vanished and are there again. They are captured on no more: that would need privileges again.
    pub fn take_returned(&mut self) -> Vec<String> {
        let (back, gone) = std::mem::take(&mut self.vanished).into_iter().partition(|name| interfaces::exists(name));
        self.vanished = gone;
        back
    }

    /// What is known of the input, with the drops so far.
    pub fn info(&mut self) -> &InputInfo {
        self.info.dropped = Some(self.drops().iter().map(|drops| drops.kernel + drops.interface).sum());
        &self.info
    }

    /// What was received and dropped on each interface opened.
    pub fn drops(&self) -> Vec<Drops> {
        let drops = |lane: &Lane| Drops {
            received: lane.counters.received.load(Ordering::Relaxed),
            kernel: lane.counters.dropped.load(Ordering::Relaxed),
            interface: lane.counters.interface_dropped.load(Ordering::Relaxed),
        };
        self.lanes.iter().map(drops).collect()
    }
}

/// The counters of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Packets that matched the filter.
    pub received: u64,
    /// Of those, dropped because nobody read them in time.
    pub kernel: u64,
    /// Dropped by the interface or its driver.
    pub interface: u64,
}

impl Source for Live {
    /// Waits for the next frame as long as there is an interface; never an error, see [`Live::take_problems`].
    fn advance(&mut self) -> Result<bool, CaptureError> {
        loop {
            match self.next(Duration::from_secs(1)) {
                Next::Frame => return Ok(true),
                Next::End => return Ok(false),
                Next::Idle => {}
            }
        }
    }

    #[inline]
    fn frame(&self) -> Frame<'_> {
        let lane = self.current.and_then(|index| self.lanes.get(index));
        let shown = lane.and_then(|lane| Some((lane.link, lane.waiting.front()?.1.get(lane.at)?)));
        let id = FrameId { number: self.info.packets, input: self.input };
        match shown {
            Some((link, (record, data))) => {
                Frame { id, time: Timestamp(record.time), link, interface: self.slot, data, wire_len: record.wire_len }
            }
            None => {
                Frame { id, time: Timestamp::default(), link: LinkType::NULL, interface: 0, data: &[], wire_len: 0 }
            }
        }
    }

    fn inputs(&self) -> Vec<&InputInfo> {
        vec![&self.info]
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop();
    }
}

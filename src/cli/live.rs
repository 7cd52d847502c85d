//! Live analysis: opens the interfaces, lets go of privileges, and then reads, forgets and shows until it is told to stop.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use super::analyze::Analysis;
use super::args::Format;
use super::exit::complain;
use super::follow::Follow;
use super::live_view::View;
use super::plan::Plan;
use super::privileges;
use super::signals;
use crate::capture::live::{self, Live, LiveOptions, Next};
use crate::capture::{InterfaceInfo, PcapngWriter, Source};
use crate::frame::{Frame, Timestamp};
use crate::packet::Decoder;
use crate::report::{ConnectionNow, Departed, TrackedReport};
use crate::track::connection::Connection;
use crate::track::expire::Left;
use crate::track::observer::{Checked, Data, Event, Observer};
use crate::track::{Config, Tracker};

/// Between two rounds of housekeeping: looking at signals, forgetting, drawing.
const ROUND: Duration = Duration::from_millis(50);
/// Packets between two looks at the clock.
const STRIDE: u32 = 64;
/// Between two flushes of the file that packets are saved to.
const FLUSH: Duration = Duration::from_secs(1);
/// How long stopping may take.
const STOPPING: Duration = Duration::from_secs(3);

/// What to capture on, from the plan.
pub struct LivePlan<'a> {
    /// Interfaces by name.
    pub interfaces: &'a [String],
    /// Bytes to keep of each frame.
    pub snaplen: u32,
    /// Where to save frames.
    pub write: Option<&'a Path>,
}

/// Captures until a limit of the plan, a signal, the user, or the end of all interfaces.
///
/// # Errors
/// Where an interface cannot be opened. What fails later is told on standard error.
pub fn analyze<F: Follow>(plan: &Plan, live_plan: &LivePlan<'_>, follower: &mut F) -> anyhow::Result<Analysis> {
    let watched = plan.format == Format::Tree && plan.on_terminal;
    let mut view = watched.then(|| View::new(plan.look));
    let options = LiveOptions {
        interfaces: live_plan.interfaces.to_vec(),
        snaplen: live_plan.snaplen,
        filter: plan.filter.clone(),
        input: 0,
    };
    let opened = live::open(&options)?;
    let writer = live_plan.write.map(Saver::new).transpose()?;
    if let Some(directory) = &plan.extract {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let written: Vec<&Path> = plan.output.as_deref().into_iter().chain(live_plan.write).collect();
    let dropped = privileges::drop_all(&written, plan.extract.as_deref());
    if plan.look.verbose {
        dropped.done.iter().for_each(|done| complain(done));
        dropped.not_done.iter().for_each(|not_done| complain(&format!("not done: {not_done}")));
    }
    let stop = signals::stop_flag()?;
    if let Some(view) = &mut view {
        view.open()?;
    } else if !plan.quiet {
        complain(&format!("capturing on {}; Ctrl-C stops and reports", live_plan.interfaces.join(", ")));
    }
    let mut run = Run {
        live: opened.start()?,
        tracker: Tracker::new(Config { keys: plan.keys.clone(), pairs: plan.pairs.clone(), ..Config::default() }),
        decoder: Decoder::new(),
        writer,
        limit: plan.count.unwrap_or(u64::MAX),
        until: plan.duration.and_then(|duration| Instant::now().checked_add(duration)),
        stop,
        incomplete: false,
        departed: Departed::default(),
    };
    let written = run.read(follower, &mut view);
    drop(view);
    written?;
    Ok(run.finish(follower))
}

struct Run {
    live: Live,
    tracker: Tracker,
    decoder: Decoder,
    writer: Option<Saver>,
    limit: u64,
    until: Option<Instant>,
    stop: Arc<AtomicBool>,
    incomplete: bool,
    departed: Departed,
}

impl Run {
    /// Reads to the end. Only what is written meanwhile can fail.
    fn read<F: Follow>(&mut self, follower: &mut F, view: &mut Option<View>) -> io::Result<()> {
        let mut round = Instant::now();
        let mut stopping: Option<Instant> = None;
        let mut since_look = 0;
        loop {
            match self.live.next(ROUND) {
                Next::Frame => {
                    self.frame(follower, view)?;
                    if self.tracker.counts.packets >= self.limit {
                        return Ok(());
                    }
                    since_look += 1;
                    if since_look < STRIDE {
                        continue;
                    }
                }
                Next::Idle => {}
                Next::End => {
                    self.tell_problems(view);
                    return Ok(());
                }
            }
            since_look = 0;
            let now = Instant::now();
            if now < round {
                continue;
            }
            round = now + ROUND;
            self.tell_problems(view);
            self.forget(follower)?;
            if let Some(writer) = &mut self.writer {
                writer.flush_now_and_then(now);
            }
            follower.flush()?;
            let quit = match view {
                Some(view) => view.round(&self.tracker, &mut self.live, now),
                None => false,
            };
            let over = self.until.is_some_and(|until| now >= until);
            if quit || over || self.stop.load(Ordering::Relaxed) {
                let since = *stopping.get_or_insert_with(|| {
                    self.live.stop();
                    now
                });
                if now - since > STOPPING {
                    return Ok(());
                }
            }
        }
    }

    #[inline]
    fn frame<F: Follow>(&mut self, follower: &mut F, view: &mut Option<View>) -> io::Result<()> {
        let frame = self.live.frame();
        let decoded = self.decoder.decode(&frame);
        let departed = &mut self.departed;
        let event = |event| {
            if let Some(view) = view {
                view.event(event);
            }
        };
        let mut aside = Aside { follower: &mut *follower, departed, now: frame.time, event, left: F::left };
        let assigned = self.tracker.frame(&frame, &decoded, &mut aside);
        follower.after(&frame, &decoded, assigned, &self.tracker, || self.live.inputs())?;
        if let Some(writer) = &mut self.writer {
            for input in self.live.inputs() {
                writer.frame(&frame, &input.interfaces);
            }
        }
        Ok(())
    }

    /// Lets go of what is over.
    fn forget<F: Follow>(&mut self, follower: &mut F) -> io::Result<()> {
        let inputs = std::slice::from_ref(self.live.info());
        let counts = self.tracker.counts;
        let mut written = Ok(());
        let left = |follower: &mut F, connection: &Connection, reason| {
            if written.is_ok() {
                written = follower.gone(&ConnectionNow::new(&counts, inputs, connection), reason);
            }
        };
        let departed = &mut self.departed;
        let now = wall_clock();
        self.tracker.expire(now, &mut Aside { follower, departed, now, event: |_| {}, left });
        written
    }

    fn tell_problems(&mut self, view: &mut Option<View>) {
        let alive = self.live.is_alive();
        let mut lines: Vec<String> = Vec::new();
        for problem in self.live.take_problems() {
            self.incomplete |= !alive;
            lines.push(format!("{problem}{}", if alive { "; the others go on" } else { "" }));
        }
        for name in self.live.take_returned() {
            lines.push(format!("{name}: is there again; capturing on it takes a new start"));
        }
        for line in lines {
            match view {
                Some(view) => view.notice(&line),
                None => complain(&line),
            }
        }
    }

    fn finish<F: Follow>(mut self, follower: &mut F) -> Analysis {
        self.tracker.finish(follower);
        if let Some(writer) = self.writer.take() {
            self.incomplete |= !writer.finish(&self.live);
        }
        let info = self.live.info().clone();
        let report = TrackedReport::new(self.tracker, vec![info], self.decoder.incomplete_fragments());
        Analysis { report: report.with_departed(self.departed), incomplete: self.incomplete }
    }
}

/// Hands on to the follower what is told, with an ear of its own for events and a way of its own to tell of connections that
/// leave.
struct Aside<'a, F, E, L> {
    follower: &'a mut F,
    departed: &'a mut Departed,
    now: Timestamp,
    event: E,
    left: L,
}

impl<F: Follow, E: FnMut(Event), L: FnMut(&mut F, &Connection, Left)> Observer for Aside<'_, F, E, L> {
    const WANTS_DATA: bool = F::WANTS_DATA;

    fn data(&mut self, data: Data<'_>) {
        self.follower.data(data);
    }

    fn checked(&mut self, checked: Checked) {
        self.follower.checked(checked);
    }

    fn event(&mut self, event: Event) {
        (self.event)(event);
        self.follower.event(event);
    }

    fn left(&mut self, connection: &Connection, reason: Left) {
        (self.left)(self.follower, connection, reason);
    }

    fn forgotten(&mut self, connection: &Connection) {
        self.departed.add(connection, self.now);
    }
}

/// Saves frames to a file. A file that can't be written to is told of once, and the capture goes on without.
struct Saver {
    path: PathBuf,
    writer: Option<PcapngWriter<BufWriter<File>>>,
    flushed: Instant,
    failed: bool,
}

impl Saver {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write to {}", path.display()))?;
        let writer = PcapngWriter::new(BufWriter::with_capacity(1 << 20, file))
            .with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(Self { path: path.to_owned(), writer: Some(writer), flushed: Instant::now(), failed: false })
    }

    #[inline]
    fn frame(&mut self, frame: &Frame<'_>, interfaces: &[InterfaceInfo]) {
        if let Some(writer) = &mut self.writer {
            let written = writer.frame(frame, interfaces);
            self.check(written);
        }
    }

    fn flush_now_and_then(&mut self, now: Instant) {
        if now - self.flushed > FLUSH
            && let Some(writer) = &mut self.writer
        {
            self.flushed = now;
            let written = writer.flush();
            self.check(written);
        }
    }

    /// Writes the statistics and ends the file; false if some of it could not be written.
    fn finish(mut self, live: &Live) -> bool {
        if let Some(mut writer) = self.writer.take() {
            let at = wall_clock();
            let mut written = Ok(());
            for (index, drops) in live.drops().iter().enumerate() {
                written =
                    written.and_then(|()| writer.statistics(index, at, drops.received, drops.interface, drops.kernel));
            }
            self.check(written.and_then(|()| writer.flush()));
        }
        !self.failed
    }

    fn check(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            // What is in the buffer and did not fit is lost: the file has whole packets, and at most one that is cut.
            let kept = self.writer.take().and_then(|writer| writer.into_inner().into_parts().0.metadata().ok());
            let kept = crate::text::bytes(kept.map_or(0, |file| file.len()));
            let name = self.path.display();
            complain(&format!("cannot write to {name}: {error}; {kept} are kept, packets are saved no more"));
            self.failed = true;
        }
    }
}

/// The time by which live packets are stamped.
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

//! Progress on standard error: only on a terminal, and only when reading takes longer than a moment.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Reading that is over sooner shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Frames between two looks at the clock: at the slowest that reading gets, some hundredths of a second.
const STRIDE: u64 = 1 << 14;

/// Shows how far reading has come.
pub struct Progress {
    /// `None` where nobody watches.
    watched: Option<Watched>,
}

struct Watched {
    since: Instant,
    frames: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A progress that shows itself in time, if standard error is a terminal and `quiet` is not set.
    pub fn new(quiet: bool) -> Self {
        let watched = !quiet && std::io::stderr().is_terminal();
        Self { watched: watched.then(|| Watched { since: Instant::now(), frames: 0, bar: None }) }
    }

    /// Notes one frame. `position` gives bytes read and, where it is known, bytes in all; it is only asked now and then.
    #[inline]
    pub fn frame(&mut self, position: impl FnOnce() -> (u64, Option<u64>)) {
        if let Some(watched) = &mut self.watched {
            watched.frames += 1;
            if watched.frames.is_multiple_of(STRIDE) {
                watched.show(position());
            }
        }
    }

    /// Takes it off the screen.
    pub fn finish(self) {
        if let Some(bar) = self.watched.and_then(|watched| watched.bar) {
            bar.finish_and_clear();
        }
    }
}

impl Watched {
    fn show(&mut self, (read, total): (u64, Option<u64>)) {
        if self.bar.is_none() && self.since.elapsed() > PATIENCE {
            self.bar = Some(new_bar(total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(read);
            bar.set_message(format!("{} packets", crate::text::count(self.frames)));
        }
    }
}

fn new_bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3}%  {msg}  {decimal_bytes_per_sec}  {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {decimal_bytes}  {msg}  {decimal_bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    // A template that does not parse is a bug that the default style survives.
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

//! The live view: what MPTCP does at this moment, on a terminal.
//!
//! `model` keeps what is shown and what keys do to it, `rows` and `rates` are what a look at the capture gives, `draw` puts
//! it on the screen, and here is the terminal. It is drawn at most ten times a second, and less often where drawing takes
//! long, so that it never costs the capture more than a twentieth of the time.

mod draw;
pub mod model;
mod rates;
pub mod rows;

use std::io;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as Input, KeyEventKind};

use crate::capture::live::Live;
use crate::report::style::Look;
use crate::track::Tracker;
use crate::track::observer::Event;
use model::{Action, Model};

/// Between two pictures.
const INTERVAL: Duration = Duration::from_millis(100);
/// A picture may take this part of the time.
const SHARE: u32 = 20;

/// The view and its terminal.
pub struct View {
    model: Model,
    terminal: Option<DefaultTerminal>,
    began: Instant,
    next: Instant,
}

impl View {
    /// A view that is not on the screen yet.
    pub fn new(look: Look) -> Self {
        let now = Instant::now();
        Self { model: Model::new(look), terminal: None, began: now, next: now }
    }

    /// Takes over the terminal, until dropped.
    pub fn open(&mut self) -> io::Result<()> {
        self.terminal = Some(ratatui::try_init()?);
        self.began = Instant::now();
        self.next = self.began;
        Ok(())
    }

    /// Notes something that happened to a connection.
    pub fn event(&mut self, event: Event) {
        self.model.event(&event);
    }

    /// Notes something that happened to the capture.
    pub fn notice(&mut self, line: &str) {
        self.model.notice(line);
    }

    /// Looks at keys, and draws when it is time. True if the user has had enough.
    pub fn round(&mut self, tracker: &Tracker, live: &mut Live, now: Instant) -> bool {
        let mut pressed = false;
        while event::poll(Duration::ZERO).unwrap_or(false) {
            match event::read() {
                Ok(Input::Key(key)) if key.kind != KeyEventKind::Release => {
                    pressed = true;
                    if self.model.key(key) == Action::Quit {
                        return true;
                    }
                }
                Ok(Input::Resize(..)) => pressed = true,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if now >= self.next || pressed {
            self.draw(tracker, live, now);
        }
        false
    }

    fn draw(&mut self, tracker: &Tracker, live: &mut Live, now: Instant) {
        let Some(terminal) = &mut self.terminal else { return };
        let model = &mut self.model;
        if !model.paused {
            model.look_at(tracker, live.info(), now - self.began);
        }
        // A terminal that can't be written to is gone; the capture goes on until it is stopped.
        let _ = terminal.draw(|frame| draw::screen(frame, model));
        self.next = now + INTERVAL.max(now.elapsed() * SHARE);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.terminal.take().is_some() {
            ratatui::restore();
        }
    }
}

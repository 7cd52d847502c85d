//! What depends on the reader and not on the capture: width, colours, character set. Decided once, by the command line.

use anstyle::{AnsiColor, Style};

/// How a text output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns to fill at most.
    pub width: usize,
    /// Whether the reader's terminal takes UTF-8; else ASCII only.
    pub unicode: bool,
    /// Whether to write ANSI colours.
    pub color: bool,
    /// Whether to say more: round-trip times, retransmissions, options of the handshake.
    pub verbose: bool,
}

impl Default for Look {
    /// What goes to a file or a pipe: 100 columns, UTF-8, no colours.
    fn default() -> Self {
        Self { width: 100, unicode: true, color: false, verbose: false }
    }
}

/// What a piece of text is; [`Role::style`] says how that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ordinary text.
    Plain,
    /// What the eye should find first.
    Strong,
    /// What it may skip: ids, branches, evidence.
    Dim,
    /// Verified.
    Good,
    /// Works, worse than it could.
    Warning,
    /// Broken.
    Error,
}

impl Role {
    /// Its colours and effects.
    pub fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Error => AnsiColor::Red.on_default().bold(),
        }
    }
}

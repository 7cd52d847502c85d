//! How the program ends: exit statuses and messages on standard error.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

/// What the exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 0: done.
    Done,
    /// 1: done, and `--check` found an error.
    CheckFailed,
    /// 2: wrong usage, or an input that could not be read to its end.
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::CheckFailed => 1,
            Outcome::Failed => 2,
        })
    }
}

/// Turns an error into its message and status. A reader that went away (`| head`) is no error.
pub fn outcome_of(result: anyhow::Result<Outcome>) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(error) if is_broken_pipe(&error) => Outcome::Done,
        Err(error) if error.is::<Told>() => Outcome::Failed,
        Err(error) => {
            complain(&format!("{error:#}"));
            Outcome::Failed
        }
    }
}

/// Prints one line to standard error, prefixed by the program's name and safe for a terminal.
pub fn complain(message: &str) {
    // Nothing can be done about a standard error that cannot be written to.
    let _ = writeln!(io::stderr(), "mptcp-inspect: {}", crate::text::clean(message, true));
}

/// An error whose message the user has seen already.
#[derive(Debug, thiserror::Error)]
#[error("no input could be read")]
pub struct Told;

/// Prints what clap has to say: help and version to standard output, errors of usage to standard error.
pub fn usage(error: &clap::Error) -> Outcome {
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| io::stdout().flush());
        return outcome_of(printed.map(|()| Outcome::Done).context("cannot write to standard output"));
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return Outcome::Failed;
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let _ = write!(io::stderr(), "mptcp-inspect: {text}");
    Outcome::Failed
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

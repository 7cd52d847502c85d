//! Man page and shell completions, from the same definitions as the help.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::{Args, Generate};

/// Writes what `--generate` asks for.
pub fn write(out: &mut dyn Write, what: Generate) -> io::Result<()> {
    let shell = match what {
        Generate::Man => return clap_mangen::Man::new(Args::command()).render(out),
        Generate::Findings => return crate::diagnose::document::write(out),
        Generate::Bash => Shell::Bash,
        Generate::Zsh => Shell::Zsh,
        Generate::Fish => Shell::Fish,
    };
    // The generator panics where its writer fails (`| head`), so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "mptcp-inspect", &mut script);
    out.write_all(&script)
}

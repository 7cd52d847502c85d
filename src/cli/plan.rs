//! What the arguments mean: where frames come from, what is printed, how, and where to.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::args::{Args, Color, Format, Generate};
use crate::crypto::Key;
use crate::model::ConnectionFilter;
use crate::report::style::Look;

/// Connections that a text output shows unless all are asked for: about two screens.
const CONNECTIONS_SHOWN: usize = 20;
/// Columns where there is no terminal to ask, so that the output is the same on every machine.
const COLUMNS: usize = 100;
/// Fewer columns than this are not served.
const COLUMNS_MIN: usize = 40;

/// What the program is to do.
#[derive(Debug)]
pub enum Action {
    /// Print man page or completions.
    Generate(Generate),
    /// Print the interfaces.
    ListInterfaces,
    /// Explain one finding, or list all.
    Explain(Option<String>),
    /// Read captures and report.
    Inspect(Box<Plan>),
}

/// Everything that reading and reporting needs to know.
#[derive(Debug)]
pub struct Plan {
    /// Where frames come from.
    pub source: SourcePlan,
    /// Capture filter.
    pub filter: Option<String>,
    /// Frames to read at most.
    pub count: Option<u64>,
    /// Time to read for: of the clock if live, of the capture else.
    pub duration: Option<Duration>,
    /// Keys to prove with.
    pub keys: Vec<Key>,
    /// Those of them that are the two of one connection.
    pub pairs: Vec<[Key; 2]>,
    /// Where to extract data to.
    pub extract: Option<PathBuf>,
    /// What to print.
    pub format: Format,
    /// Every TCP segment, for the formats that print segments.
    pub all_tcp: bool,
    /// Connections to show; empty for all.
    pub connections: Vec<ConnectionFilter>,
    /// Show everything, however much.
    pub all: bool,
    /// Width, colours, characters, verbosity.
    pub look: Look,
    /// A file instead of standard output.
    pub output: Option<PathBuf>,
    /// Print the kernel's counters too.
    pub counters: bool,
    /// Exit with 1 if there are errors.
    pub check: bool,
    /// No progress, no warnings.
    pub quiet: bool,
    /// Results go to a terminal.
    pub on_terminal: bool,
}

/// Where frames come from.
#[derive(Debug, PartialEq, Eq)]
pub enum SourcePlan {
    /// Capture files; `-` is standard input.
    Files(Vec<PathBuf>),
    /// Live interfaces.
    Live {
        /// Their names.
        interfaces: Vec<String>,
        /// Bytes to keep of each frame.
        snaplen: u32,
        /// Where to save the frames to.
        write: Option<PathBuf>,
    },
}

/// What the plan takes from the process's surroundings.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Columns of the terminal on standard output, if it is one.
    pub terminal: Option<usize>,
    /// `NO_COLOR` is set, or `TERM` is `dumb`.
    pub no_color: bool,
    /// The locale's character set is known not to be UTF-8.
    pub ascii: bool,
}

impl Surroundings {
    /// Of this process.
    pub fn here() -> Self {
        let text = |name| std::env::var_os(name).map(|value: OsString| value.to_string_lossy().into_owned());
        let set = |name| text(name).filter(|value| !value.is_empty());
        let columns = || {
            let size = terminal_size::terminal_size_of(io::stdout());
            size.map_or(COLUMNS, |(width, _)| usize::from(width.0))
        };
        // The first that is set decides, as in setlocale(3).
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        Self {
            terminal: io::stdout().is_terminal().then(columns),
            no_color: set("NO_COLOR").is_some() || text("TERM").as_deref() == Some("dumb"),
            ascii: locale.is_some_and(|locale| !is_utf8(&locale)),
        }
    }
}

/// Whether a locale's name says UTF-8: `de_DE.UTF-8`, `C.utf8`.
fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

impl Action {
    /// Decides from arguments and surroundings. Contradictions that the parser cannot see are errors.
    pub fn new(args: Args, here: &Surroundings) -> anyhow::Result<Self> {
        if let Some(what) = args.generate {
            return Ok(Self::Generate(what));
        }
        if args.list_interfaces {
            return Ok(Self::ListInterfaces);
        }
        if args.interface.is_empty() && args.words.first().is_some_and(|word| word.as_os_str() == "explain") {
            return match args.words.as_slice() {
                [_] => Ok(Self::Explain(None)),
                [_, finding] => Ok(Self::Explain(Some(finding.to_string_lossy().into_owned()))),
                _ => bail!("'explain' takes one finding at a time (a capture of that name is './explain')"),
            };
        }
        Plan::new(args, here).map(|plan| Self::Inspect(Box::new(plan)))
    }
}

impl Plan {
    fn new(args: Args, here: &Surroundings) -> anyhow::Result<Self> {
        let (source, filter) = source_and_filter(&args)?;
        if let (SourcePlan::Files(files), Some(output)) = (&source, &args.output) {
            refuse_to_overwrite(files, output)?;
        }
        let on_terminal = here.terminal.filter(|_| args.output.is_none());
        let look = Look {
            width: args.width.map_or_else(|| on_terminal.unwrap_or(COLUMNS), usize::from).max(COLUMNS_MIN),
            unicode: !args.ascii && !here.ascii,
            color: match args.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => on_terminal.is_some() && !here.no_color,
            },
            verbose: args.verbose,
        };
        Ok(Self {
            source,
            filter,
            count: args.count,
            duration: args.duration,
            pairs: args.key.iter().filter_map(|keys| <[Key; 2]>::try_from(&*keys.0).ok()).collect(),
            keys: args.key.into_iter().flat_map(|keys| keys.0).collect(),
            extract: args.extract,
            format: args.format,
            all_tcp: args.all_tcp,
            connections: args.connection,
            all: args.all,
            look,
            output: args.output,
            counters: args.counters,
            check: args.check,
            quiet: args.quiet,
            on_terminal: on_terminal.is_some(),
        })
    }

    /// How many connections a text output shows.
    pub fn limit(&self) -> Option<usize> {
        (!self.all).then_some(CONNECTIONS_SHOWN)
    }

    /// Opens where the output goes. An existing file is replaced.
    pub fn open_output(&self) -> anyhow::Result<Box<dyn Write>> {
        let (name, file, replaces) = match &self.output {
            None => ("standard output".to_owned(), standard_output()?, false),
            Some(path) => {
                let name = path.display().to_string();
                // What is in it stays until there is something to put in its place.
                let opened = File::options().write(true).create(true).truncate(false).open(path);
                let file = opened.with_context(|| format!("cannot write to {name}"))?;
                let replaces = file.metadata().is_ok_and(|known| known.is_file());
                (name, file, replaces)
            }
        };
        Ok(Box::new(BufWriter::new(Output { name, file, written: 0, unread: self.unread(), replaces })))
    }

    /// What becomes of output that nobody reads any more. What `--check` tells is known at the end only, and files have one.
    fn unread(&self) -> Unread {
        let ends = !matches!(self.source, SourcePlan::Live { .. });
        let at_end = !matches!(self.format, Format::Packets | Format::Ndjson);
        if self.check && (ends || at_end) { Unread::Dropped } else { Unread::Ends }
    }
}

/// Where results go. Its errors say what could not be written to, and how much it has.
struct Output {
    name: String,
    file: File,
    written: u64,
    unread: Unread,
    /// The file's earlier content is still there.
    replaces: bool,
}

impl Output {
    /// Makes the file empty before anything is written to it.
    fn replace(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.replaces) { self.file.set_len(0) } else { Ok(()) }
    }
}

/// What becomes of output whose reader went away (`| head`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    /// It ends the program.
    Ends,
    /// It is dropped.
    Dropped,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.replace().and_then(|()| self.file.write(bytes)) {
            Ok(count) => {
                self.written += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.unread == Unread::Dropped => {
                Ok(bytes.len())
            }
            // Nobody is told of a reader that went away, and an interruption is none.
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) => Err(error),
            Err(error) => {
                let Self { name, written, .. } = self;
                let message =
                    format!("cannot write to {name}: {error}; it has the first {written} bytes of the output");
                Err(io::Error::new(error.kind(), message))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.replace()?;
        self.file.flush()
    }
}

/// Standard output as a file: a buffer of its own would hide how much was written.
#[cfg(unix)]
fn standard_output() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Standard output as a file: a buffer of its own would hide how much was written.
#[cfg(windows)]
fn standard_output() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

/// Files and `-f`; or interfaces and a filter from `-f` or the remaining words.
fn source_and_filter(args: &Args) -> anyhow::Result<(SourcePlan, Option<String>)> {
    if args.interface.is_empty() {
        if args.words.is_empty() {
            bail!("which captures? Give files, '-' for standard input, or an interface with -i");
        }
        if args.words.iter().filter(|word| word.as_os_str() == "-").count() > 1 {
            bail!("standard input ('-') can be read only once");
        }
        return Ok((SourcePlan::Files(args.words.clone()), args.filter.clone()));
    }
    let words: Vec<_> = args.words.iter().map(|word| word.to_string_lossy()).collect();
    let filter = match (&args.filter, words.as_slice()) {
        (Some(_), [first, ..]) => bail!("two capture filters: -f and '{first}…' (with -i, words are a capture filter)"),
        (filter, []) => filter.clone(),
        (None, words) => Some(words.join(" ")),
    };
    if args.write.as_deref().is_some_and(|path| path.as_os_str() == "-") {
        bail!("-w takes a file: standard output has the report ('-w ./-' is a file of that name)");
    }
    let live =
        SourcePlan::Live { interfaces: args.interface.clone(), snaplen: args.snaplen, write: args.write.clone() };
    Ok((live, filter))
}

/// Opening the output would truncate a capture that is to be read.
fn refuse_to_overwrite(files: &[PathBuf], output: &Path) -> anyhow::Result<()> {
    let Ok(output) = output.canonicalize() else { return Ok(()) };
    if files.iter().any(|file| file.canonicalize().is_ok_and(|file| file == output && file.is_file())) {
        bail!("{} is an input: the output would overwrite it", output.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn plan(line: &str, here: &Surroundings) -> anyhow::Result<Plan> {
        let args = Args::try_parse_from(line.split_whitespace())?;
        match Action::new(args, here)? {
            Action::Inspect(plan) => Ok(*plan),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn files_or_interfaces() {
        let here = Surroundings::default();
        let files = plan("x a.pcap - -f udp", &here).unwrap();
        assert_eq!(files.source, SourcePlan::Files(vec!["a.pcap".into(), "-".into()]));
        assert_eq!(files.filter.as_deref(), Some("udp"));
        let live = plan("x -i lo -i eth0 -s 96 tcp port 80", &here).unwrap();
        let interfaces = vec!["lo".to_owned(), "eth0".to_owned()];
        assert_eq!(live.source, SourcePlan::Live { interfaces, snaplen: 96, write: None });
        assert_eq!(live.filter.as_deref(), Some("tcp port 80"));
        let whole = plan("x -i lo -s 0 -vv", &here).unwrap();
        assert!(whole.look.verbose && matches!(whole.source, SourcePlan::Live { snaplen: 262_144, .. }));
        for wrong in [
            "x -i lo -f tcp port 80",
            "x - -",
            "x -w out.pcap a.pcap",
            "x -s 96 a.pcap",
            "x -q -v a.pcap",
            "x -F json",
            "x -i lo -w -",
        ] {
            assert!(plan(wrong, &here).is_err(), "{wrong}");
        }
    }

    #[test]
    fn looks_follow_terminal_and_arguments() {
        let pipe = Surroundings::default();
        let terminal = Surroundings { terminal: Some(132), ..Surroundings::default() };
        let dumb = Surroundings { no_color: true, ascii: true, ..terminal.clone() };
        let look = |line, here| {
            let Look { width, unicode, color, .. } = plan(line, here).unwrap().look;
            (width, unicode, color)
        };
        assert_eq!(look("x a.pcap", &pipe), (100, true, false));
        assert_eq!(look("x a.pcap --color always --ascii", &pipe), (100, false, true));
        assert_eq!(look("x a.pcap", &terminal), (132, true, true));
        assert_eq!(look("x a.pcap --width 80 --color never", &terminal), (80, true, false));
        assert_eq!(look("x a.pcap -o /nowhere/report", &terminal), (100, true, false));
        assert_eq!(look("x a.pcap", &dumb), (132, false, false));
        assert_eq!(look("x a.pcap", &Surroundings { terminal: Some(12), ..pipe }), (40, true, true));
    }

    #[test]
    fn locales_say_their_character_set() {
        for (locale, utf8) in
            [("de_DE.UTF-8", true), ("C.utf8", true), ("C", false), ("POSIX", false), ("de_DE", false)]
        {
            assert_eq!(is_utf8(locale), utf8, "{locale}");
        }
    }

    #[test]
    fn explain_is_a_word_in_the_first_place() {
        let action = |line: &str| Action::new(Args::try_parse_from(line.split(' ')).unwrap(), &Surroundings::default());
        assert!(matches!(action("x explain"), Ok(Action::Explain(None))));
        assert!(matches!(action("x explain join-refused"), Ok(Action::Explain(Some(id))) if id == "join-refused"));
        assert!(matches!(action("x ./explain"), Ok(Action::Inspect(_))));
        assert!(matches!(action("x -i lo explain"), Ok(Action::Inspect(_))));
        assert!(action("x explain a b").is_err());
    }
}

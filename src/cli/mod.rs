//! The command line: arguments ([`args`]), what they mean ([`plan`]), reading and analysing ([`analyze`]), and how it ends
//! ([`exit`]). Results go to standard output, everything else to standard error.

pub mod analyze;
pub mod args;
pub mod exit;
pub mod follow;
mod frames;
pub mod generate;
#[cfg(feature = "live")]
pub mod live;
#[cfg(feature = "live")]
pub mod live_view;
pub mod plan;
#[cfg(feature = "live")]
pub mod privileges;
pub mod progress;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;

use crate::diagnose::rules;
use crate::report::{FindingCounts, Report, Selection, counters, explain, json, table, tree};
use args::{Args, Format};
use exit::{Outcome, complain};
use plan::{Action, Plan, SourcePlan, Surroundings};

/// Runs the program: the process's arguments in, its exit status out.
pub fn run() -> ExitCode {
    match Args::try_parse() {
        Ok(args) => exit::outcome_of(act(args)).into(),
        Err(error) => exit::usage(&error).into(),
    }
}

fn act(args: Args) -> anyhow::Result<Outcome> {
    match Action::new(args, &Surroundings::here())? {
        Action::Generate(what) => generate::write(&mut io::stdout(), what)?,
        Action::ListInterfaces => list_interfaces(&mut io::stdout())?,
        Action::Explain(finding) => explain_finding(&mut io::stdout(), finding.as_deref())?,
        Action::Inspect(plan) => return inspect(&plan),
    }
    Ok(Outcome::Done)
}

/// Reads, analyses, prints.
fn inspect(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut out = plan.open_output()?;
    if matches!(plan.source, SourcePlan::Live { .. }) {
        out.flush()?;
    }
    let analysis = analyze::analyze(plan, &mut out)?;
    let report = &analysis.report;
    let selection = Selection::new(report, &plan.connections, plan.limit());
    match plan.format {
        Format::Tree => tree::write(&mut out, report, &selection, plan.look, plan.all)?,
        Format::Table => table::write(&mut out, report, &selection, plan.look)?,
        Format::Json => json::write(&mut out, report, &plan.connections)?,
        // Written while reading.
        Format::Packets | Format::Ndjson => {}
    }
    if plan.counters
        && matches!(plan.format, Format::Tree | Format::Table)
        && let Some(counted) = report.kernel_counters(&plan.connections)
    {
        counters::write(&mut out, &counted)?;
    }
    out.flush()?;
    for filter in &selection.unmatched {
        complain(&format!("no connection {filter} in this capture"));
    }
    // Only `--check` asks: with connections chosen, each of them is built for that.
    let check_failed = plan.check && {
        let mut found: FindingCounts = selection.findings(report).iter().collect();
        found += selection.tally.findings;
        if !selection.filtered {
            found += report.departed_findings();
        }
        found.errors > 0
    };
    let incomplete = analysis.incomplete;
    let unmatched = !selection.unmatched.is_empty();
    // The process is about to end: giving back the memory of a million connections, one by one, would only take time.
    std::mem::forget(analysis);
    Ok(if incomplete || unmatched {
        Outcome::Failed
    } else if check_failed {
        Outcome::CheckFailed
    } else {
        Outcome::Done
    })
}

/// Prints the explanation of one finding, or the list of all.
fn explain_finding(out: &mut dyn Write, finding: Option<&str>) -> anyhow::Result<()> {
    let Some(finding) = finding else {
        let all: Vec<_> = rules::all().copied().collect();
        return Ok(explain::write_list(out, &all)?);
    };
    match rules::find(finding) {
        Some(explanation) => Ok(explain::write_one(out, explanation, 80)?),
        None => bail!("no finding is called '{finding}'; 'mptcp-inspect explain' lists them"),
    }
}

/// Prints the interfaces that `-i` takes, with their state and addresses.
#[cfg(feature = "live")]
fn list_interfaces(out: &mut dyn Write) -> anyhow::Result<()> {
    let all = crate::capture::live::list();
    let width = all.iter().map(|listed| listed.name.chars().count()).max().unwrap_or(0);
    for listed in all {
        let up = match listed.up {
            Some(true) => "up",
            Some(false) => "down",
            None => "-",
        };
        let name = crate::text::clean(&listed.name, true).into_owned();
        writeln!(out, "{}", format!("{name:width$}  {up:4}  {}", listed.details).trim_end())?;
    }
    Ok(())
}

#[cfg(not(feature = "live"))]
fn list_interfaces(_: &mut dyn Write) -> anyhow::Result<()> {
    bail!("live capture needs libpcap, which this build is without (feature 'live')")
}

//! `--counters`: the kernel's view, to be held against `nstat` on both hosts.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::model::KernelCounters;

/// Writes one line for each counter that either end must have raised: client, server, name as `nstat` has it.
pub fn write(out: &mut dyn Write, counters: &KernelCounters) -> io::Result<()> {
    writeln!(out, "\nLinux counters that these packets imply (compare with nstat -asz; others are not known)")?;
    writeln!(out, "{:>8} {:>8}", "client", "server")?;
    let names: BTreeSet<_> = counters.client.keys().chain(counters.server.keys()).collect();
    for name in names {
        let count = |end: Option<&u64>| end.map_or_else(String::new, u64::to_string);
        writeln!(out, "{:>8} {:>8}  {name}", count(counters.client.get(name)), count(counters.server.get(name)))?;
    }
    Ok(())
}

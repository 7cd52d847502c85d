//! What a live capture lost before it could be read.

use crate::report::explain::Explanation;
use crate::report::model::Severity;
use crate::report::text;

/// The rule `capture-dropped-packets`.
pub static PACKETS: Explanation = Explanation {
    id: "capture-dropped-packets",
    severity: Severity::Warning,
    title: "the capture itself lost packets",
    meaning: "Packets passed the interface faster than they were read, and the kernel or the interface dropped copies of them. \
              The connections were not harmed, but what this tool says of them may be: a missing packet looks like a hole in \
              the data, an unanswered option, an unverifiable checksum.",
    detection: "The counters of the capture: packets that matched the filter and found the kernel's buffer full, and packets \
                that the interface or its driver gave up.",
    advice: "Distrust findings about missing packets, holes and unverified checksums in this run. Capture less: a filter \
             (-f 'tcp port 443'), a shorter snaplen (-s 128), or -w FILE on a faster disk and the analysis afterwards.",
    rfc: "",
    counter: None,
};

/// The sentence of the finding: `dropped` packets beside `captured` ones.
pub fn message(dropped: u64, captured: u64) -> String {
    let share = dropped as f64 / dropped.saturating_add(captured).max(1) as f64;
    format!(
        "the capture lost {} ({} of all): verdicts that rest on missing packets may be wrong",
        text::counted(dropped, "packet"),
        text::share(share)
    )
}

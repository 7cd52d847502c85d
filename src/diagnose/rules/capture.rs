//! What a live capture lost before it could be read.

use super::Topic;
use crate::diagnose::Explanation;
use crate::model::Severity;

/// This topic's findings.
pub const TOPIC: Topic = Topic { heading: "The capture itself", rules: &[CAPTURE_DROPPED_PACKETS] };

/// The kernel or an interface dropped copies of packets.
pub const CAPTURE_DROPPED_PACKETS: &Explanation = &Explanation {
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

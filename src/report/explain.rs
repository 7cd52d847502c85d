//! What each finding means, how it is found and what to try: for `mptcp-inspect explain` and for the documentation.

use std::io::{self, Write};

use crate::diagnose::Explanation;

/// Writes one line for each of `explanations`, in their order: id, severity, title.
pub fn write_list(out: &mut dyn Write, explanations: &[Explanation]) -> io::Result<()> {
    let width = explanations.iter().map(|explanation| explanation.id.len()).max().unwrap_or(0);
    for Explanation { id, severity, title, .. } in explanations {
        writeln!(out, "{id:width$}  {:7}  {title}", severity.name())?;
    }
    Ok(())
}

/// Writes all there is to say about one finding, in lines of at most `width` columns.
pub fn write_one(out: &mut dyn Write, explanation: &Explanation, width: usize) -> io::Result<()> {
    let Explanation { id, severity, title, meaning, detection, advice, rfc, counter } = explanation;
    writeln!(out, "{id} ({}): {title}", severity.name())?;
    let counter = counter.unwrap_or_default();
    let rfc = if rfc.is_empty() { String::new() } else { format!("RFC {rfc}") };
    for (heading, text) in [
        ("Meaning", *meaning),
        ("Detection", *detection),
        ("Advice", *advice),
        ("See", &rfc),
        ("Linux counter", counter),
    ] {
        if !text.is_empty() {
            writeln!(out, "\n{heading}")?;
            paragraph(out, text, width)?;
        }
    }
    Ok(())
}

/// Writes words in lines indented by two.
fn paragraph(out: &mut dyn Write, text: &str, width: usize) -> io::Result<()> {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.write_all(b"\n")?;
            column = 0;
        }
        write!(out, "{}{word}", if column == 0 { "  " } else { " " })?;
        column += length + if column == 0 { 2 } else { 1 };
    }
    out.write_all(b"\n")
}

//! The table of findings as a document, from the same text as `mptcp-inspect explain`.

use std::io::{self, Write};

use super::rules;

/// Writes all findings as Markdown: a table of ids, then each with all there is to say.
pub fn write(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Findings\n")?;
    writeln!(out, "What `mptcp-inspect` can find, by id. `mptcp-inspect explain ID` prints the same text.\n")?;
    writeln!(
        out,
        "An *error* is broken or refused, a *warning* works worse than it could, a *note* is good to know and normal in healthy traffic.\n"
    )?;
    for rules::Topic { heading, rules } in rules::TOPICS {
        writeln!(out, "## {heading}\n\n| id | severity | |\n|---|---|---|")?;
        for rule in *rules {
            writeln!(out, "| [`{0}`](#{0}) | {1} | {2} |", rule.id, rule.severity.name(), cell(rule.title))?;
        }
        for rule in *rules {
            writeln!(
                out,
                "\n### `{}`\n\n{}.\n\n{}\n\n*Shown by:* {}",
                rule.id,
                capital(rule.title),
                rule.meaning,
                rule.detection
            )?;
            if !rule.advice.is_empty() {
                writeln!(out, "\n*Try:* {}", rule.advice)?;
            }
            match (rule.rfc, rule.counter) {
                ("", None) => {}
                ("", Some(counter)) => writeln!(out, "\n*See:* Linux counter `{counter}`")?,
                (rfc, None) => writeln!(out, "\n*See:* RFC {rfc}")?,
                (rfc, Some(counter)) => writeln!(out, "\n*See:* RFC {rfc}; Linux counter `{counter}`")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

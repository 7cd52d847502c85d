//! Numbers, units and captured strings as a person reads them. Pure functions, the same on every machine.

use std::borrow::Cow;

use crate::frame::Timestamp;

/// The name of a file without its folders, unless another of `all` differs by them only.
pub fn short_name<'n>(name: &'n str, all: impl Iterator<Item = &'n str>) -> &'n str {
    let last = |name: &'n str| name.rsplit('/').next().unwrap_or(name);
    let twins = all.filter(|other| last(other) == last(name)).count();
    if twins > 1 { name } else { last(name) }
}

/// A count with thousands separators: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 subflow`, `2 subflows`, `2 mismatches`. The plural adds an s, or es.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if noun.ends_with("ch") { "es" } else { "s" };
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { plural })
}

/// Bytes in decimal units with three significant digits: `999 B`, `1.23 kB`, `45.6 MB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut unit = 1000_u64;
    let mut name = UNITS[0];
    for next in &UNITS[1..] {
        // 999,500 B prints as 1.00 MB, not as 1000 kB.
        if number / unit < 999 || (number / unit == 999 && number % unit < unit / 2) {
            break;
        }
        unit *= 1000;
        name = next;
    }
    format!("{} {name}", three_digits(number, unit))
}

/// A duration in nanoseconds with three significant digits: `831 ms`, `1.23 s`, `2 min 05 s`, `3 h 07 min`, `2 d 01 h`.
pub fn duration(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let tenths = nanos.saturating_add(SECOND / 20) / (SECOND / 10);
    let seconds = nanos.saturating_add(SECOND / 2) / SECOND;
    match nanos {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{nanos} ns"),
        _ if tenths >= 1000 => match seconds {
            0..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
            3_600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
            _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
        },
        _ if nanos < 999_500 => format!("{} µs", three_digits(nanos, 1_000)),
        _ if nanos < 999_500_000 => format!("{} ms", three_digits(nanos, 1_000_000)),
        _ => format!("{} s", three_digits(nanos, SECOND)),
    }
}

/// A share of 1 in percent. Only nothing is `0%` and only everything is `100%`.
pub fn share(part: f64) -> String {
    match part {
        _ if part <= 0.0 => "0%".to_owned(),
        _ if part >= 1.0 => "100%".to_owned(),
        _ if part < 0.005 => "<1%".to_owned(),
        _ if part >= 0.995 => ">99%".to_owned(),
        _ => format!("{}%", (part * 100.0).round()),
    }
}

/// A date and time to the second: `2026-11-22 12:10:48 UTC`.
pub fn date_and_time(time: Timestamp) -> String {
    let text = time.to_string();
    let seconds = text.split('.').next().unwrap_or(&text);
    format!("{} UTC", seconds.replace('T', " "))
}

/// `number / unit` with three significant digits, rounded half up.
fn three_digits(number: u64, unit: u64) -> String {
    let scaled = |factor: u64| (u128::from(number) * u128::from(factor) + u128::from(unit) / 2) / u128::from(unit);
    let (hundredths, tenths) = (scaled(100), scaled(10));
    if hundredths < 1000 {
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    } else if tenths < 1000 {
        format!("{}.{}", tenths / 10, tenths % 10)
    } else {
        scaled(1).to_string()
    }
}

/// The text as a terminal may see it: characters that move the cursor, hide, or reorder text are escaped, since names and
/// comments come from the capture. Without `unicode`, the characters that outputs use are spelt in ASCII and others escaped.
pub fn clean(text: &str, unicode: bool) -> Cow<'_, str> {
    if text.chars().all(|c| matches!(c, ' '..='~') || (unicode && !c.is_ascii() && !is_hidden(c))) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if matches!(c, ' '..='~') || (unicode && !c.is_ascii() && !is_hidden(c)) {
            cleaned.push(c);
        } else if let Some(spelling) = ascii_spelling(c) {
            cleaned.push_str(spelling);
        } else {
            cleaned.extend(c.escape_default());
        }
    }
    Cow::Owned(cleaned)
}

/// Controls, zero-width characters, line separators, direction marks, tags and private use.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{10ffff}')
}

/// How the characters that outputs use are spelt where only ASCII may be written.
fn ascii_spelling(c: char) -> Option<&'static str> {
    Some(match c {
        '→' => "->",
        '←' => "<-",
        '↑' => "up",
        '↓' => "down",
        '├' | '│' => "|",
        '└' => "`",
        '✓' => "ok",
        '✗' => "BAD",
        '─' | '·' | '–' | '—' => "-",
        '…' => "...",
        'µ' => "u",
        '§' => "sec. ",
        '×' => "x",
        '≠' => "!=",
        '‘' | '’' => "'",
        '“' | '”' => "\"",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_thousands_separators() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (27575, "27,575"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "subflow"), "1 subflow");
        assert_eq!(counted(1200, "subflow"), "1,200 subflows");
        assert_eq!(counted(1, "checksum mismatch"), "1 checksum mismatch");
        assert_eq!(counted(2, "checksum mismatch"), "2 checksum mismatches");
    }

    #[test]
    fn bytes_have_three_digits() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (20_000, "20.0 kB"),
            (500_000, "500 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (1_234_567, "1.23 MB"),
            (45_600_000_000, "45.6 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(number), text, "{number}");
        }
    }

    #[test]
    fn durations_have_the_unit_a_person_would_choose() {
        for (nanos, text) in [
            (0, "0 s"),
            (999, "999 ns"),
            (1_500, "1.50 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (45_000_000, "45.0 ms"),
            (831_000_000, "831 ms"),
            (999_600_000, "1.00 s"),
            (1_234_000_000, "1.23 s"),
            (99_940_000_000, "99.9 s"),
            (99_960_000_000, "1 min 40 s"),
            (125_000_000_000, "2 min 05 s"),
            (3_599_600_000_000, "1 h 00 min"),
            (11_220_000_000_000, "3 h 07 min"),
            (176_400_000_000_000, "2 d 01 h"),
        ] {
            assert_eq!(duration(nanos), text, "{nanos}");
        }
        assert_eq!(duration(u64::MAX), "213503 d 23 h");
    }

    #[test]
    fn shares_never_round_to_nothing_or_everything() {
        for (part, text) in
            [(0.0, "0%"), (0.001, "<1%"), (0.005, "1%"), (0.68, "68%"), (0.994, "99%"), (0.999, ">99%"), (1.0, "100%")]
        {
            assert_eq!(share(part), text, "{part}");
        }
    }

    #[test]
    fn hidden_characters_are_escaped() {
        assert_eq!(clean("eth0", true), "eth0");
        assert_eq!(clean("wlan\u{1b}[2J", true), r"wlan\u{1b}[2J");
        assert_eq!(clean("a\tb\r\nc\u{9b}", true), r"a\tb\r\nc\u{9b}");
        assert_eq!(clean("exe\u{202e}gpj.pcap", true), r"exe\u{202e}gpj.pcap");
        assert_eq!(clean("Drähte → ∞", true), "Drähte → ∞");
        assert_eq!(clean("Drähte → §3", false), r"Dr\u{e4}hte -> sec. 3");
    }
}

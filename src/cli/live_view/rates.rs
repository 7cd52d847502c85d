//! Rates of the live view: smoothed, and as a person reads them.

/// The time over which rates are smoothed, in seconds.
const SMOOTHING: f64 = 1.0;

/// Bytes counted, and the rate they come at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    pub(super) bytes: u64,
    pub(super) per_second: f64,
}

/// A rate after `seconds` more.
pub(super) fn advance(before: Option<Rate>, bytes: u64, seconds: f64) -> Rate {
    let Some(before) = before else { return Rate { bytes, per_second: 0.0 } };
    if seconds <= 0.0 {
        return before;
    }
    let now = bytes.saturating_sub(before.bytes) as f64 / seconds;
    let weight = 1.0 - (-seconds / SMOOTHING).exp();
    let per_second = before.per_second + (now - before.per_second) * weight;
    Rate { bytes, per_second: if per_second < 1.0 { 0.0 } else { per_second } }
}

/// Bits a second as a person reads them: `12.3 Mbit/s`.
pub(super) fn rate(bytes_per_second: f64) -> String {
    let bits = bytes_per_second * 8.0;
    let (value, unit) = match bits {
        ..1e3 => (bits, "bit/s"),
        ..1e6 => (bits / 1e3, "kbit/s"),
        ..1e9 => (bits / 1e6, "Mbit/s"),
        _ => (bits / 1e9, "Gbit/s"),
    };
    if value == 0.0 {
        "0".to_owned()
    } else if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_bits_a_second() {
        for (bytes, expected) in [
            (0.0, "0"),
            (125.0, "1.0 kbit/s"),
            (1_250_000.0, "10 Mbit/s"),
            (312_500_000.0, "2.5 Gbit/s"),
            (12.0, "96 bit/s"),
        ] {
            assert_eq!(rate(bytes), expected);
        }
    }

    #[test]
    fn rates_follow_what_comes_and_fall_to_nothing() {
        let mut seen = advance(None, 1000, 0.1);
        assert_eq!(seen.per_second as u64, 0, "what came before the first look has no rate");
        for step in 1..=100 {
            seen = advance(Some(seen), 1000 + step * 1000, 0.1);
        }
        assert!((seen.per_second - 10_000.0).abs() < 100.0, "{}", seen.per_second);
        for _ in 0..200 {
            seen = advance(Some(seen), seen.bytes, 0.1);
        }
        assert_eq!(seen.per_second as u64, 0);
    }
}

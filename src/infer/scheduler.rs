//! How an end spreads data over its subflows.
//!
//! | pattern | evidence |
//! |---|---|
//! | `redundant` | most data goes over two paths or more |
//! | `lowest_rtt` | with all paths free, the next byte goes to the one with the shortest round-trip time |
//! | `round_robin` | with all paths free, the next byte goes to another path than the one before, whatever their round-trip times |
//! | `single_path` | much data, all on one path, though a clearly faster one was open all the time |
//! | `backup_only` | data only on paths that an end asked to be backups, though a regular one was open |
//!
//! Only *free choices* count for the second and third: while paths are busy, every scheduler sends where the window opens
//! next, and the traces of lowest-RTT and round-robin are alike (in the captures of the v0 kernel that this was written
//! against, runs of one segment are more common with the former). They show only near the sender: elsewhere
//! acknowledgements and data have not crossed where they did for the sender.

use std::fmt;

use super::{confidence, distance, handshake_times, is_near, round, was_established};
use crate::model::{Choices, Scheduler};
use crate::track::connection::Connection;
use crate::track::connection::outcome::Outcome;
use crate::track::histogram::Histogram;
use crate::track::side::Side;
use crate::track::subflow::Subflow;

/// Free choices needed to name a pattern.
const CHOICES: u32 = 8;
/// Free choices needed to name `round_robin`, which chance imitates on two paths.
const ROTATIONS: u32 = 16;
/// Bytes below which nothing is named for what was not done.
const MUCH: u64 = 256 << 10;
/// Duplicates below this are the tail of a failed path, not a way of sending.
const DUPLICATES: u64 = 32 << 10;
/// Paths below which a correlation says nothing: that of two is always -1 or 1.
const CORRELATED: usize = 3;

/// What the pattern rests on.
#[derive(Clone, Debug, Default)]
struct Facts {
    version: Option<u8>,
    bytes: u64,
    reinjected: u64,
    paths: Vec<Path>,
    choices: crate::track::choices::Choices,
    /// Time that handshakes took between capture and sender, and in all.
    distance: Option<(u64, u64)>,
}

/// One subflow that was established.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    fresh: u64,
    reinjected: u64,
    backup: bool,
    /// It was used beside a regular path though the peer had asked for a backup.
    beside: bool,
    /// Open before the data began and until it ended.
    open_throughout: bool,
    /// Time from SYN to SYN/ACK.
    handshake: Option<u64>,
    median: Option<u64>,
    /// All it carried was acknowledged.
    alive: bool,
}

/// The pattern of what `side` sent.
pub(super) fn infer(connection: &Connection, side: Side) -> Scheduler {
    let data = &connection.data[side];
    let facts = facts(connection, side, true);
    let (pattern, confidence, why, alternatives) = match find(connection, side, &facts) {
        Ok((pattern, confidence)) => {
            let alternatives = if pattern == "lowest_rtt" { vec!["blest"] } else { Vec::new() };
            (Some(pattern), Some(confidence), None, alternatives)
        }
        Err(untold) => (None, None, Some(untold.to_string()), Vec::new()),
    };
    let span = active_time(connection, side);
    let switches = data.blocks.count.saturating_sub(1);
    let carried = data.unique + data.again.reinjected;
    Scheduler {
        pattern,
        confidence,
        why,
        alternatives,
        blocks: data.blocks.count,
        median_block_bytes: median(&data.blocks.sizes),
        switches_per_second: span.filter(|_| switches > 0).map(|span| round(switches as f64 * 1e9 / span as f64, 10.0)),
        duplicate_share: (carried > 0).then(|| round(data.again.reinjected as f64 / carried as f64, 10_000.0)),
        rtt_correlation: facts.correlation(),
        choices: Choices {
            total: data.choices.total,
            moved: data.choices.moved,
            measured: data.choices.measured,
            shortest: data.choices.shortest,
        },
    }
}

/// Its name alone.
pub(super) fn pattern(connection: &Connection, side: Side) -> Option<&'static str> {
    if connection.subflows.len() < 2 || connection.data[side].unique == 0 {
        return None;
    }
    // Of the rules, only that of version 0's `single_path` looks at medians, which take a walk over a histogram.
    let medians = connection.dialect.is_some_and(|dialect| dialect.version() == 0);
    Some(find(connection, side, &facts(connection, side, medians)).ok()?.0)
}

fn find(connection: &Connection, side: Side, facts: &Facts) -> Result<(&'static str, f64), Untold> {
    match connection.outcome() {
        Outcome::Fallback => Err(Untold::Because("fell back to TCP: one path")),
        Outcome::Refused | Outcome::Unanswered => Err(Untold::Because("not established")),
        _ if connection.lacks_direction(side) => Err(Untold::Because("its packets are not in the capture")),
        _ if !connection.shows_all_data_of(side) => {
            Err(Untold::Because("the capture cut the options that map its data"))
        }
        _ if connection.data[side].unique == 0 => Err(Untold::Because("sent no data")),
        _ if facts.paths.len() < 2 => Err(Untold::Because("one subflow: nothing to choose")),
        _ => facts.classify(),
    }
}

/// Why no pattern is named.
#[derive(Clone, Copy, Debug)]
enum Untold {
    Because(&'static str),
    /// The part of the handshakes' time that passed between the capture and the sender, or in the sender.
    Away(f64),
    /// Free choices seen.
    FewChoices(u32),
    NoPattern(crate::track::choices::Choices),
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Because(why) => f.write_str(why),
            // A slow host shows as a path does: it may be the sender's own capture.
            Self::Away(part) => write!(
                f,
                "the capture was not made near the sender, or the sender is slow: {} of the time that the handshakes took \
                 passed on its side, so what it knew when it chose a path is not known",
                crate::text::share(*part),
            ),
            Self::FewChoices(count) => write!(
                f,
                "{} with all paths free, of {CHOICES} needed; while paths are busy, every scheduler sends where the window \
                 opens",
                crate::text::counted((*count).into(), "choice"),
            ),
            Self::NoPattern(choices) => write!(
                f,
                "of {} choices with all paths free, {} moved to another path; of {} with differing round-trip times, {} fell \
                 on the shortest: no pattern known here",
                choices.total, choices.moved, choices.measured, choices.shortest
            ),
        }
    }
}

/// `medians`: whether the paths' median round-trip times are needed.
fn facts(connection: &Connection, side: Side, medians: bool) -> Facts {
    let data = &connection.data[side];
    let carriers = connection.subflows.iter().map(|subflow| &subflow.halves[side]);
    let last = carriers.clone().filter(|half| half.last_data.is_some()).map(|half| half.last_data_time).max();
    let first = connection.subflows.iter().filter(|subflow| subflow.halves[side].first_data.is_some());
    let first = first.map(|subflow| subflow.first.time).min();
    let path = |subflow: &Subflow| {
        let half = &subflow.halves[side];
        Path {
            fresh: half.data_bytes,
            reinjected: half.seldom.reinjected,
            backup: subflow.backup.client || subflow.backup.server,
            beside: half.seldom.beside.bytes > 0,
            open_throughout: first.zip(last).is_some_and(|(first, last)| {
                subflow.first.time.since(first) < last.since(first) / 4 && subflow.last.time >= last
            }),
            handshake: handshake_times(subflow).map(|times| times.0),
            median: if medians { median(&half.rtt.by_ack) } else { None },
            alive: half.acked().is_none_or(|acked| acked >= half.next.saturating_sub(1)),
        }
    };
    Facts {
        version: connection.dialect.map(crate::track::keys::Dialect::version),
        bytes: data.unique,
        reinjected: data.again.reinjected,
        paths: connection.subflows.iter().filter(|subflow| was_established(subflow)).map(path).collect(),
        choices: *data.choices,
        distance: distance(connection, side),
    }
}

impl Facts {
    fn classify(&self) -> Result<(&'static str, f64), Untold> {
        if let Some(confidence) = self.redundant() {
            return Ok(("redundant", confidence));
        }
        if let Some(named) = self.backup_only() {
            return Ok(named);
        }
        let regular: Vec<&Path> = self.paths.iter().filter(|path| !path.backup).collect();
        if regular.len() < 2 && self.paths.iter().any(|path| path.backup && path.beside) {
            return Err(Untold::Because("a backup was used beside the regular path: no known scheduler does"));
        }
        if regular.len() < 2 {
            return Err(Untold::Because("the other subflows are backups: nothing to choose"));
        }
        if let Some(named) = self.single_path(&regular) {
            return Ok(named);
        }
        match self.distance {
            Some(distance) if is_near(distance) => {}
            Some((own, all)) => return Err(Untold::Away(own as f64 / all as f64)),
            None => return Err(Untold::Because("no handshake shows where the capture was made")),
        }
        let choices = &self.choices;
        if choices.total < CHOICES {
            return Err(Untold::FewChoices(choices.total));
        }
        self.by_choices()
    }

    fn by_choices(&self) -> Result<(&'static str, f64), Untold> {
        let choices = &self.choices;
        let (moved, total) = (u64::from(choices.moved), u64::from(choices.total));
        let (shortest, measured) = (u64::from(choices.shortest), u64::from(choices.measured));
        // Mainline Linux takes the first path while all are free: only where several were the shortest it shows.
        let varied = self.version == Some(0) || choices.shortest_on.count_ones() > 1;
        if measured >= u64::from(CHOICES) && shortest * 20 >= measured * 19 && varied {
            return Ok(("lowest_rtt", confidence(shortest, measured)));
        }
        let regardless = measured == 0 || shortest * 4 <= measured * 3;
        if total >= u64::from(ROTATIONS) && moved * 20 >= total * 19 && regardless {
            return Ok(("round_robin", confidence(moved, total)));
        }
        Err(Untold::NoPattern(*choices))
    }

    /// Most bytes twice, or paths that carried little but what others had carried.
    fn redundant(&self) -> Option<f64> {
        if self.reinjected < DUPLICATES {
            return None;
        }
        let carried = self.bytes + self.reinjected;
        let heavy = |path: &&Path| path.alive && (path.fresh + path.reinjected) * 5 >= self.bytes;
        let both_work = self.bytes >= DUPLICATES * 4 && self.paths.iter().filter(heavy).count() > 1;
        let all = self.reinjected * 2 >= self.bytes && both_work;
        let followers = self.paths.iter().filter(|path| path.reinjected * 10 >= (path.reinjected + path.fresh) * 7);
        let echoed: u64 = followers.map(|path| path.reinjected).sum();
        let leaders_work = self.paths.iter().all(|path| path.alive || path.fresh * 5 < self.bytes);
        let some = self.reinjected * 5 >= self.bytes && echoed * 10 >= self.reinjected * 9 && leaders_work;
        (all || some).then(|| confidence(carried / DUPLICATES, carried / DUPLICATES).min(0.97))
    }

    fn backup_only(&self) -> Option<(&'static str, f64)> {
        let on_backup: u64 = self.paths.iter().filter(|path| path.backup).map(|path| path.fresh).sum();
        let regular = || self.paths.iter().filter(|path| !path.backup);
        let idle = regular().any(|path| path.open_throughout && path.alive) && regular().all(|path| path.fresh == 0);
        (idle && on_backup >= MUCH).then(|| ("backup_only", confidence(on_backup / MUCH, on_backup / MUCH)))
    }

    fn single_path(&self, regular: &[&Path]) -> Option<(&'static str, f64)> {
        // Mainline Linux stays on the first path while its queue is empty.
        if self.version != Some(0) || self.bytes < MUCH {
            return None;
        }
        let used = regular.iter().find(|path| path.fresh == self.bytes)?;
        let faster = regular.iter().any(|path| {
            let clearly = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a * 3 <= b * 2);
            let quicker = clearly(path.handshake, used.handshake) && clearly(path.handshake, used.median);
            path.fresh == 0 && path.open_throughout && path.alive && quicker
        });
        faster.then(|| ("single_path", confidence(self.bytes / MUCH, self.bytes / MUCH)))
    }

    /// Spearman's correlation of median round-trip time and share, where the capture shows those that the sender had.
    fn correlation(&self) -> Option<f64> {
        let points: Vec<(u64, u64)> = self.paths.iter().filter_map(|path| Some((path.median?, path.fresh))).collect();
        if points.len() < CORRELATED || !self.distance.is_some_and(is_near) {
            return None;
        }
        let ranks = |value: fn(&(u64, u64)) -> u64| -> Vec<f64> {
            let rank = |own: u64| {
                let below = points.iter().filter(|point| value(point) < own).count();
                let same = points.iter().filter(|point| value(point) == own).count();
                below as f64 + (same - 1) as f64 / 2.0
            };
            points.iter().map(|point| rank(value(point))).collect()
        };
        pearson(&ranks(|point| point.0), &ranks(|point| point.1)).map(|value| round(value, 100.0))
    }
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a).powi(2);
        bb += (b - mean_b).powi(2);
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

fn median(values: &Histogram) -> Option<u64> {
    (values.weight() > 0).then(|| values.percentile(50))
}

/// From the first new data to the last.
fn active_time(connection: &Connection, side: Side) -> Option<u64> {
    let last = connection.data[side].blocks.last?.time;
    let first = connection.data[side].blocks.first()?;
    Some(last.since(first)).filter(|&span| span > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(fresh: u64) -> Path {
        Path { fresh, open_throughout: true, alive: true, ..Path::default() }
    }

    fn facts(paths: &[Path]) -> Facts {
        Facts {
            version: Some(0),
            bytes: paths.iter().map(|path| path.fresh).sum(),
            reinjected: paths.iter().map(|path| path.reinjected).sum(),
            paths: paths.to_vec(),
            distance: Some((1, 100)),
            ..Facts::default()
        }
    }

    /// Free choices on two paths of these round-trip times, in the order of `chosen`.
    fn choosing(times: [u64; 2], chosen: impl IntoIterator<Item = u16>) -> Facts {
        let mut facts = facts(&[path(500_000), path(500_000)]);
        let mut before = 0;
        for index in chosen {
            let own = times[usize::from(index)];
            facts.choices.note((index, own), before, [times[usize::from(1 - index)]].into_iter());
            before = index;
        }
        facts
    }

    fn named(facts: &Facts) -> Option<&'static str> {
        facts.classify().ok().map(|named| named.0)
    }

    #[test]
    fn always_the_shortest_path_is_lowest_rtt() {
        let steady = choosing([10, 30], [0; 20]);
        assert_eq!(named(&steady), Some("lowest_rtt"));
        let mainline = Facts { version: Some(1), ..steady };
        assert_eq!(named(&mainline), None, "mainline takes its first path whatever its time");
    }

    #[test]
    fn round_trip_times_that_change_show_lowest_rtt_in_v1_too() {
        let mut facts = choosing([10, 30], [0; 10]);
        for _ in 0..10 {
            facts.choices.note((1, 10), 0, [30].into_iter());
        }
        assert_eq!(named(&Facts { version: Some(1), ..facts }), Some("lowest_rtt"));
    }

    #[test]
    fn rotation_whatever_the_round_trip_times_is_round_robin() {
        assert_eq!(named(&choosing([10, 30], (1..41).map(|turn| turn % 2))), Some("round_robin"));
        assert_eq!(named(&choosing([10, 11], (1..41).map(|turn| turn % 2))), Some("round_robin"));
        assert_eq!(named(&choosing([10, 30], (1..11).map(|turn| turn % 2))), None, "too few");
        assert_eq!(named(&choosing([10, 30], (0..40).map(|turn| turn / 2 % 2))), None, "every other time");
    }

    #[test]
    fn choices_show_only_near_the_sender() {
        let mut away = choosing([10, 30], [0; 20]);
        away.distance = Some((90, 100));
        assert_eq!(named(&away), None);
        away.distance = None;
        assert_eq!(named(&away), None);
    }

    #[test]
    fn few_choices_tell_nothing() {
        assert!(choosing([10, 30], [0; 3]).classify().unwrap_err().to_string().starts_with("3 choices"));
    }

    #[test]
    fn the_same_data_on_all_paths_is_redundant() {
        let twin = |fresh, reinjected| Path { reinjected, ..path(fresh) };
        assert_eq!(named(&facts(&[twin(700_000, 200_000), twin(300_000, 700_000)])), Some("redundant"));
        // A slow second path lags so far behind that it skips most of what was acknowledged.
        assert_eq!(named(&facts(&[path(900_000), twin(20_000, 220_000)])), Some("redundant"));
        // The window of a path that failed, sent again on the other.
        assert_ne!(named(&facts(&[path(100_000), twin(100_000, 64_000)])), Some("redundant"));
        let dead = Path { alive: false, ..path(120_000) };
        assert_ne!(named(&facts(&[dead, twin(80_000, 120_000)])), Some("redundant"));
        assert_ne!(named(&facts(&[Path { alive: false, ..path(290_000) }, twin(10_000, 64_000)])), Some("redundant"));
        assert_ne!(named(&facts(&[path(5_000), twin(2_000, 7_000)])), Some("redundant"), "too little");
    }

    #[test]
    fn all_on_a_slow_path_beside_a_fast_one_is_single_path() {
        let slow = Path { handshake: Some(90), median: Some(100), ..path(1 << 20) };
        let fast = Path { handshake: Some(10), ..path(0) };
        assert_eq!(named(&facts(&[slow, fast])), Some("single_path"));
        assert_eq!(named(&Facts { version: Some(1), ..facts(&[slow, fast]) }), None);
        let dead = Path { alive: false, ..fast };
        assert_eq!(named(&facts(&[slow, dead])), None);
        let late = Path { open_throughout: false, ..fast };
        assert_eq!(named(&facts(&[slow, late])), None);
        // The fast path used alone is what lowest-RTT does with little data.
        let fast_used = Path { fresh: 1 << 20, median: Some(10), ..fast };
        assert_eq!(named(&facts(&[fast_used, Path { fresh: 0, ..slow }])), None);
    }

    #[test]
    fn backups_leave_nothing_to_choose_unless_they_carry_all() {
        let backup = |fresh| Path { backup: true, ..path(fresh) };
        assert_eq!(
            facts(&[path(1 << 20), backup(0)]).classify().unwrap_err().to_string(),
            "the other subflows are backups: nothing to choose"
        );
        let beside = Path { beside: true, ..backup(1 << 20) };
        assert_eq!(
            facts(&[path(1 << 20), beside]).classify().unwrap_err().to_string(),
            "a backup was used beside the regular path: no known scheduler does"
        );
        assert_eq!(named(&facts(&[path(0), backup(1 << 20)])), Some("backup_only"));
        let dead = Path { alive: false, ..path(0) };
        assert_eq!(named(&facts(&[dead, backup(1 << 20)])), None);
    }

    #[test]
    fn correlation_of_round_trip_time_and_share() {
        let at = |fresh, median| Path { median: Some(median), ..path(fresh) };
        assert_eq!(facts(&[at(900, 10), at(50, 20), at(40, 30)]).correlation(), Some(-1.0));
        assert_eq!(facts(&[at(10, 10), at(80, 20), at(90, 30)]).correlation(), Some(1.0));
        assert_eq!(facts(&[at(50, 10), at(50, 20), at(50, 30)]).correlation(), None);
        assert_eq!(facts(&[at(10, 10), at(90, 20)]).correlation(), None, "of two it can only be 1 or -1");
        let away = Facts { distance: Some((90, 100)), ..facts(&[at(10, 10), at(80, 20), at(90, 30)]) };
        assert_eq!(away.correlation(), None, "these are not the sender's round-trip times");
    }
}

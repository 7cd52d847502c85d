//! Percentiles of durations in constant memory and without order dependence.

/// Buckets an octave: percentiles are right within 1/32 of their value.
const STEPS_LOG2: u32 = 5;
/// So many buckets are searched; for more there is a place for every bucket between the lowest and the highest.
const FEW: usize = 32;
/// Where buckets are searched, the bits of an entry that hold the weight.
const WEIGHT_BITS: u32 = 48;
const MOST: u64 = (1 << WEIGHT_BITS) - 1;
/// No bucket.
const NONE: u16 = u16::MAX;

/// Durations in nanoseconds, weighted. Extremes are exact, percentiles within about 3 %.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Buckets with their weight in the lower bits, in order; or the weights alone, of all buckets from `low` on.
    entries: Vec<u64>,
    weight: u64,
    min: u64,
    max: u64,
    low: u16,
}

super::sparse::empty! { Histogram = Histogram::EMPTY; }

impl Default for Histogram {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Histogram {
    /// Nothing added.
    pub const EMPTY: Self = Self { entries: Vec::new(), weight: 0, min: 0, max: 0, low: NONE };

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<u64>()
    }

    /// Gives back room for values to come.
    pub fn shrink(&mut self) {
        let used = || self.buckets().filter(|&(_, weight)| weight > 0);
        if self.low != NONE && used().all(|(_, weight)| weight <= MOST) && used().count() < self.entries.len() {
            self.entries = used().map(|(bucket, weight)| entry(bucket, weight)).collect();
            self.low = NONE;
        }
        self.entries.shrink_to_fit();
    }

    /// Adds a duration `weight` times.
    #[inline]
    pub fn add(&mut self, nanoseconds: u64, weight: u64) {
        if self.weight == 0 || weight == 0 {
            if weight > 0 {
                // A single value needs no bucket.
                (self.min, self.max, self.weight) = (nanoseconds, nanoseconds, weight);
            }
            return;
        }
        let bucket = bucket_of(nanoseconds);
        if let Some(known) = self.place(bucket) {
            *known = known.saturating_add(weight);
        } else {
            if self.entries.is_empty() {
                self.search(bucket_of(self.min), self.weight);
            }
            self.search(bucket, weight);
        }
        self.min = self.min.min(nanoseconds);
        self.max = self.max.max(nanoseconds);
        self.weight = self.weight.saturating_add(weight);
    }

    /// The place of a bucket, where each has one.
    #[inline]
    fn place(&mut self, bucket: u16) -> Option<&mut u64> {
        if self.low == NONE {
            return None;
        }
        self.entries.get_mut(usize::from(bucket.checked_sub(self.low)?))
    }

    /// Adds to a bucket that has no place yet.
    #[inline(never)]
    fn search(&mut self, bucket: u16, weight: u64) {
        if self.low == NONE {
            let few = self.entries.len() < FEW;
            let at = self.entries.partition_point(|&known| known < entry(bucket, 0));
            match self.entries.get_mut(at).filter(|known| bucket_and_weight(**known).0 == bucket) {
                Some(known) if weight <= MOST - bucket_and_weight(*known).1 => return *known += weight,
                None if few && weight <= MOST => return self.entries.insert(at, entry(bucket, weight)),
                _ => self.spread(bucket),
            }
        }
        // Octave by octave, so that this is seldom.
        let octave = bucket >> STEPS_LOG2 << STEPS_LOG2;
        if octave < self.low {
            let more = usize::from(self.low - octave);
            self.entries.splice(..0, std::iter::repeat_n(0, more));
            self.low = octave;
        }
        let len = usize::from(octave - self.low) + (1 << STEPS_LOG2);
        if len > self.entries.len() {
            self.entries.resize(len, 0);
        }
        if let Some(known) = self.place(bucket) {
            *known = known.saturating_add(weight);
        }
    }

    /// Gives every bucket between the lowest and the highest a place; `first` has one if there are none.
    fn spread(&mut self, first: u16) {
        let few = std::mem::take(&mut self.entries);
        let bucket = |entry: Option<&u64>| entry.map_or(first, |&entry| bucket_and_weight(entry).0);
        let (lowest, highest) = (bucket(few.first()), bucket(few.last()));
        self.low = lowest;
        self.entries = vec![0; usize::from(highest - lowest) + 1];
        for (bucket, weight) in few.into_iter().map(bucket_and_weight) {
            if let Some(place) = self.place(bucket) {
                *place = weight;
            }
        }
    }

    /// Buckets and their weights, in order; there may be some without weight.
    fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        let low = self.low;
        let shown =
            move |(place, &known)| if low == NONE { bucket_and_weight(known) } else { (low + place as u16, known) };
        self.entries.iter().enumerate().map(shown)
    }

    /// How many were added, by weight.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The shortest.
    pub fn min(&self) -> u64 {
        self.min
    }

    /// The longest.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that `percent` of the weight does not exceed.
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (u128::from(self.weight) * u128::from(percent)).div_ceil(100).max(1);
        let mut sum = 0u128;
        for (bucket, weight) in self.buckets() {
            sum += u128::from(weight);
            if sum >= rank {
                return middle_of(bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

#[inline]
fn entry(bucket: u16, weight: u64) -> u64 {
    u64::from(bucket) << WEIGHT_BITS | weight
}

#[inline]
fn bucket_and_weight(entry: u64) -> (u16, u64) {
    ((entry >> WEIGHT_BITS) as u16, entry & MOST)
}

/// Values below 2^STEPS_LOG2 have a bucket each; above, each octave has 2^STEPS_LOG2 buckets.
#[inline]
fn bucket_of(value: u64) -> u16 {
    let bits = 64 - value.leading_zeros();
    if bits <= STEPS_LOG2 {
        return value as u16;
    }
    let shift = bits - STEPS_LOG2 - 1;
    ((shift + 1) << STEPS_LOG2) as u16 + ((value >> shift) & ((1 << STEPS_LOG2) - 1)) as u16
}

fn middle_of(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let step = bucket & ((1 << STEPS_LOG2) - 1);
    match (bucket >> STEPS_LOG2).checked_sub(1) {
        None => step,
        Some(shift) => (((1 << STEPS_LOG2) | step) << shift) + ((1u64 << shift) >> 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The weights of a histogram's buckets, and those of the values alone.
    fn buckets_are_those_of(histogram: &Histogram, values: &[(u64, u64)]) {
        let mut expected = std::collections::BTreeMap::new();
        for &(value, weight) in values {
            *expected.entry(bucket_of(value)).or_insert(0) += weight;
        }
        let found: Vec<_> = histogram.buckets().filter(|bucket| bucket.1 > 0).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn heavy_weights_need_no_room_beside_the_bucket() {
        let mut histogram = Histogram::default();
        let values = [(7, MOST + 1), (5_000, 3), (5_000, MOST), (2, 1)];
        for (value, weight) in values {
            histogram.add(value, weight);
        }
        buckets_are_those_of(&histogram, &values);
        histogram.shrink();
        buckets_are_those_of(&histogram, &values);
        histogram.add(7, u64::MAX);
        assert_eq!(histogram.weight(), u64::MAX);
    }

    proptest! {
        #[test]
        fn percentiles_are_near_those_of_the_sorted_values(mut values in proptest::collection::vec(0u64..10_000_000_000, 1..300)) {
            let mut histogram = Histogram::default();
            for &value in &values {
                histogram.add(value, 1);
            }
            values.sort_unstable();
            for percent in [1, 50, 95, 100] {
                let rank = (values.len() as u64 * percent).div_ceil(100).max(1) as usize - 1;
                let exact = values[rank];
                let found = histogram.percentile(percent);
                prop_assert!(found.abs_diff(exact) <= exact / 32 + 1, "{percent} %: {found} for {exact}");
            }
            prop_assert_eq!(histogram.min(), values[0]);
            prop_assert_eq!(histogram.max(), *values.last().unwrap());
        }

        #[test]
        fn every_value_keeps_its_weight(
            values in proptest::collection::vec((0u64..10_000_000_000, 1u64..1 << 50), 2..200),
            shrinks in proptest::collection::vec(any::<bool>(), 200),
        ) {
            let mut histogram = Histogram::default();
            for (&(value, weight), shrink) in values.iter().zip(shrinks) {
                histogram.add(value, weight);
                if shrink {
                    histogram.shrink();
                }
            }
            buckets_are_those_of(&histogram, &values);
        }

        #[test]
        fn every_value_lies_in_its_bucket(value: u64) {
            let middle = middle_of(bucket_of(value));
            prop_assert!(middle.abs_diff(value) <= value / 32 + 1);
        }
    }
}

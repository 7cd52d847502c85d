//! Percentiles of durations in constant memory and without order dependence.

/// Buckets an octave: percentiles are right within 1/32 of their value.
const STEPS_LOG2: u32 = 5;

/// Durations in nanoseconds, weighted. Extremes are exact, percentiles within about 3 %.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// (bucket, weight), sorted by bucket.
    buckets: Vec<(u16, u64)>,
    weight: u64,
    min: u64,
    max: u64,
    /// Where the last value fell: the next one is usually near.
    last: u16,
}

super::sparse::empty! { Histogram = Histogram::EMPTY; }

impl Histogram {
    /// Nothing added.
    pub const EMPTY: Self = Self { buckets: Vec::new(), weight: 0, min: 0, max: 0, last: 0 };

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(u16, u64)>()
    }

    /// Gives back room for values to come.
    pub fn shrink(&mut self) {
        self.buckets.shrink_to_fit();
    }

    /// Adds a duration `weight` times.
    pub fn add(&mut self, nanoseconds: u64, weight: u64) {
        if weight == 0 {
            return;
        }
        if self.weight == 0 {
            // A single value needs no bucket.
            (self.min, self.max, self.weight) = (nanoseconds, nanoseconds, weight);
            return;
        }
        if self.buckets.is_empty() {
            self.buckets.push((bucket_of(self.min), self.weight));
        }
        self.min = self.min.min(nanoseconds);
        self.max = self.max.max(nanoseconds);
        self.weight = self.weight.saturating_add(weight);
        let bucket = bucket_of(nanoseconds);
        // Values lie close together, so that few buckets are missing between any two of them.
        let last = self.buckets.get(usize::from(self.last)).map_or(0, |entry| entry.0);
        let guess = usize::from(self.last.wrapping_add(bucket).wrapping_sub(last));
        if let Some(entry) = self.buckets.get_mut(guess).filter(|entry| entry.0 == bucket) {
            entry.1 += weight;
            self.last = guess as u16;
            return;
        }
        let at = self.buckets.partition_point(|entry| entry.0 < bucket);
        match self.buckets.get_mut(at).filter(|entry| entry.0 == bucket) {
            Some(entry) => entry.1 += weight,
            None => self.buckets.insert(at, (bucket, weight)),
        }
        self.last = at as u16;
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
        for &(bucket, weight) in &self.buckets {
            sum += u128::from(weight);
            if sum >= rank {
                return middle_of(bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

/// Values below 2^STEPS_LOG2 have a bucket each; above, each octave has 2^STEPS_LOG2 buckets.
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
        fn every_value_lies_in_its_bucket(value: u64) {
            let middle = middle_of(bucket_of(value));
            prop_assert!(middle.abs_diff(value) <= value / 32 + 1);
        }
    }
}

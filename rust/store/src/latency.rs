//! How long things took: counts by length of time, fine enough to tell percentiles within a quarter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of each doubling.
const PARTS: u64 = 4;
const BUCKETS: usize = 64 * PARTS as usize;

/// What took how long since the store was opened. Any thread may record.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    total_ns: AtomicU64,
    longest_ns: AtomicU64,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How often it was done.
    pub count: u64,
    /// The mean.
    pub mean: Duration,
    /// Half of all took no longer, to within a quarter.
    pub median: Duration,
    /// 99 of 100 took no longer, to within a quarter.
    pub p99: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            total_ns: AtomicU64::default(),
            longest_ns: AtomicU64::default(),
        }
    }
}

impl Latencies {
    pub(crate) fn record(&self, elapsed: Duration) {
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(ns)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.total_ns.fetch_add(ns, Ordering::Relaxed);
        self.longest_ns.fetch_max(ns, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Latency {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let longest = self.longest_ns.load(Ordering::Relaxed);
        let part = |of_hundred: u64| {
            let rank = (count * of_hundred).div_ceil(100);
            let mut before = 0;
            let bucket = counts.iter().position(|count| {
                before += count;
                before >= rank
            });
            Duration::from_nanos(bucket.map_or(0, end_of).min(longest))
        };
        Latency {
            count,
            mean: Duration::from_nanos(self.total_ns.load(Ordering::Relaxed).checked_div(count).unwrap_or(0)),
            median: part(50),
            p99: part(99),
            longest: Duration::from_nanos(longest),
        }
    }
}

/// The bucket of a length of time: its doubling, and which part of that.
fn bucket_of(ns: u64) -> usize {
    let doubling = ns.max(1).ilog2();
    let part = if doubling < 2 { 0 } else { ns >> (doubling - 2) & (PARTS - 1) };
    (u64::from(doubling) * PARTS + part) as usize
}

/// The greatest length of time in a bucket.
fn end_of(bucket: usize) -> u64 {
    let (doubling, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    match doubling {
        0 | 1 => (2 << doubling) - 1,
        2..63 => (1 << doubling) + ((part + 1) << (doubling - 2)) - 1,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_time_is_in_a_bucket_that_ends_no_more_than_a_quarter_behind_it() {
        for ns in (0..4000).chain((12..62).map(|shift| (1 << shift) + 12345)) {
            let end = end_of(bucket_of(ns));
            assert!(end >= ns && end <= ns + ns / 4 + 1, "{ns} is in the bucket up to {end}");
        }
        assert_eq!(end_of(bucket_of(u64::MAX)), u64::MAX);
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let latencies = Latencies::default();
        assert_eq!(latencies.snapshot(), Latency::default());
        (1..=1000).for_each(|micros| latencies.record(Duration::from_micros(micros)));
        let found = latencies.snapshot();
        assert_eq!(found.count, 1000);
        assert_eq!(found.mean, Duration::from_nanos(500_500));
        assert!((500..625).contains(&found.median.as_micros()), "{found:?}");
        assert!((990..=1000).contains(&found.p99.as_micros()), "{found:?}");
        assert_eq!(found.longest, Duration::from_millis(1));
    }
}

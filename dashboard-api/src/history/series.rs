//! One series: its hour, and the buckets that are not on disk yet. No I/O, no clock: whoever asks reads and writes
//! the rows.

use std::collections::BTreeMap;

use super::{
    bucket::{Bucket, Point, SLOTS},
    hour::{Hour, SLOTS_HELD},
};

/// One series.
#[derive(Debug, Default)]
pub struct Series {
    hour: Option<Hour>,
    /// Buckets with slots that the disk lacks, by number. Slots are an hour old at most, so there are 14 at most.
    unwritten: BTreeMap<u64, Bucket>,
    /// The last bucket of which there can be a row on disk.
    on_disk_until: u64,
}

impl Series {
    /// A series of which there may be rows on disk until this bucket.
    pub fn new(on_disk_until: u64) -> Self {
        Self { hour: None, unwritten: BTreeMap::new(), on_disk_until }
    }

    /// Takes what is known of a slot; whether it was new. `stored` reads a bucket's row.
    pub fn put(&mut self, slot: u64, point: &Point, stored: impl FnOnce(u64) -> Option<Bucket>) -> bool {
        let hour = self.hour.get_or_insert_with(|| Hour::new(slot));
        if !hour.put(slot, point) {
            return false;
        }
        let number = slot / SLOTS;
        let may_be_stored = number <= self.on_disk_until;
        let bucket = self
            .unwritten
            .entry(number)
            .or_insert_with(|| may_be_stored.then(|| stored(number)).flatten().unwrap_or_default());
        bucket.add(slot % SLOTS, point)
    }

    /// The newest slot of which something is known.
    pub fn newest(&self) -> Option<u64> {
        self.hour.as_ref().map(Hour::newest)
    }

    /// What is known of a slot of the last hour.
    pub fn slot(&self, slot: u64) -> Option<Point> {
        self.hour.as_ref()?.get(slot)
    }

    /// The buckets that the disk lacks, or has only a part of.
    pub fn unwritten(&self) -> impl Iterator<Item = (u64, &Bucket)> {
        self.unwritten.iter().map(|(number, bucket)| (*number, bucket))
    }

    /// These are on disk now. What has been added to one of them meanwhile stays unwritten.
    pub fn written(&mut self, rows: &[(u64, Bucket)]) {
        for (number, bucket) in rows {
            self.on_disk_until = self.on_disk_until.max(*number);
            if self.unwritten.get(number) == Some(bucket) {
                self.unwritten.remove(number);
            }
        }
    }

    /// Gives its memory back if nothing of the last hour is known.
    pub fn forget_before(&mut self, slot_now: u64) {
        if self.newest().is_some_and(|newest| newest + (SLOTS_HELD as u64) < slot_now) {
            self.hour = None;
        }
    }

    /// Bytes of its hour.
    pub fn bytes(&self) -> usize {
        self.hour.as_ref().map_or(0, Hour::bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// Tells a slot, so many before the present one.
        Put(u64),
        /// Time passes.
        Pass(u64),
        /// Rows are being written; after so many further slots were told, they are on disk.
        Write(Vec<u64>),
        /// The process is killed, and starts again.
        Kill,
    }

    fn step() -> impl Strategy<Value = Step> {
        let back = || 0u64..(SLOTS_HELD as u64 + 20);
        prop_oneof![
            8 => back().prop_map(Step::Put),
            4 => (0u64..40).prop_map(Step::Pass),
            2 => prop::collection::vec(back(), 0..4).prop_map(Step::Write),
            1 => Just(Step::Kill),
        ]
    }

    proptest! {
        /// Whatever the order of late slots, writes and kills: what is on disk at the end holds each slot that was
        /// taken since it was last lost exactly once, and nothing else.
        #[test]
        fn each_slot_reaches_the_disk_once(steps in prop::collection::vec(step(), 0..120)) {
            let mut now = 10_000u64;
            let mut disk: BTreeMap<u64, Bucket> = BTreeMap::new();
            let mut series = Series::new(0);
            // What the disk must hold once all is written.
            let mut taken: BTreeMap<u64, std::collections::BTreeSet<u64>> = BTreeMap::new();
            let mut durable = taken.clone();
            let put = |series: &mut Series, disk: &BTreeMap<u64, Bucket>, taken: &mut BTreeMap<u64, _>, slot: u64| {
                let value = slot as f32;
                let point = Point { memory: Some(value), ..Point::default() };
                series.put(slot, &point, |number| disk.get(&number).copied());
                // Also one that the ring refuses may be on disk already; one that it takes is.
                if series.slot(slot).is_some() {
                    taken.entry(slot / SLOTS).or_insert_with(std::collections::BTreeSet::new).insert(slot);
                }
            };
            for step in steps.into_iter().chain([Step::Write(vec![])]) {
                match step {
                    Step::Put(back) => put(&mut series, &disk, &mut taken, now - back),
                    Step::Pass(slots) => now += slots,
                    Step::Write(meanwhile) => {
                        let rows: Vec<_> = series.unwritten().map(|(n, bucket)| (n, *bucket)).collect();
                        let reached = taken.clone();
                        for back in meanwhile {
                            put(&mut series, &disk, &mut taken, now - back);
                        }
                        disk.extend(rows.iter().copied());
                        series.written(&rows);
                        durable = reached;
                    }
                    Step::Kill => {
                        taken = durable.clone();
                        series = Series::new(now / SLOTS);
                    }
                }
            }
            for (number, slots) in &durable {
                let bucket = disk.get(number).copied().unwrap_or_default();
                prop_assert_eq!(bucket.count() as usize, slots.len(), "bucket {}", number);
                let mean = slots.iter().map(|slot| *slot as f64).sum::<f64>() / slots.len() as f64;
                let got = f64::from(bucket.point().memory.unwrap());
                prop_assert!((got - mean).abs() < 0.1, "{} {}", got, mean);
            }
            prop_assert_eq!(disk.len(), durable.len());
            prop_assert!(series.unwritten().count() <= 14);
        }
    }
}

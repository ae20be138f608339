//! Which steps answer a question about the past, and what each of them holds. No I/O, no clock.

use ecep_proto::api::{
    error::ApiError,
    history::{COARSE_MS, HistoryPoint, KEPT_MS, MAX_POINTS, SUMMARY_MS, Span},
    stats::Rates,
};

use super::bucket::{Bucket, Flow, Point, Range, SLOTS};
use crate::naming::invalid;

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Whether by the slots of the last hour; else by buckets.
    pub is_detailed: bool,
    /// Milliseconds for each point.
    pub step_ms: u64,
    /// When the first point begins; a multiple of the step.
    pub from: u64,
    /// How many points; [`MAX_POINTS`] at most.
    pub count: u64,
}

impl Plan {
    /// Of a question at the time `now`. Detail is known since `detail_since`.
    ///
    /// # Errors
    /// `InvalidArgument` if it asks for nothing, for too much, or for too many points.
    pub fn new(
        from: u64,
        to: u64,
        step_ms: Option<u64>,
        now: u64,
        detail_since: u64,
    ) -> Result<Self, ApiError> {
        let to = to.min(now);
        let from = from.max(now.saturating_sub(KEPT_MS));
        if from >= to {
            return Err(invalid(
                "The time is empty, lies ahead, or is longer ago than 30 days. Give a `from` before `to`.",
            ));
        }
        if step_ms == Some(0) {
            return Err(invalid("A step of 0 ms makes no history. Leave it out, or give 10000 or more."));
        }
        let fits = |step: u64| to.div_ceil(step) - from / step <= MAX_POINTS;
        let shortest = |unit: u64| {
            // One more than the range divided, for the steps that are cut by its ends.
            let steps = (to - from).div_ceil(unit).div_ceil(MAX_POINTS - 1).max(1);
            steps * unit
        };
        let is_recent = from >= detail_since;
        let is_detailed = is_recent && step_ms.unwrap_or_else(|| shortest(SUMMARY_MS)) < COARSE_MS;
        let unit = if is_detailed { SUMMARY_MS } else { COARSE_MS };
        let step_ms = match step_ms {
            Some(asked) => asked.min(KEPT_MS).div_ceil(unit) * unit,
            None => shortest(unit),
        };
        if !fits(step_ms) {
            return Err(invalid(format!(
                "That makes more than {MAX_POINTS} points. Ask for a shorter time, for a longer step, or for none, which gives the finest that fits."
            )));
        }
        let first = from / step_ms;
        Ok(Self { is_detailed, step_ms, from: first * step_ms, count: to.div_ceil(step_ms) - first })
    }

    /// The slots or buckets that it needs, by number: the first, and the one after the last.
    pub fn range(&self) -> (u64, u64) {
        let unit = if self.is_detailed { SUMMARY_MS } else { COARSE_MS };
        (self.from / unit, (self.from + self.count * self.step_ms) / unit)
    }

    /// The points, of slots.
    pub fn of_slots(&self, slot: impl Fn(u64) -> Option<Point>) -> Vec<HistoryPoint> {
        self.points(|number| {
            let mut bucket = Bucket::default();
            bucket.add(number % SLOTS, &slot(number)?).then_some(bucket)
        })
    }

    /// The points, of buckets.
    pub fn of_buckets(&self, bucket: impl Fn(u64) -> Option<Bucket>) -> Vec<HistoryPoint> {
        self.points(bucket)
    }

    fn points(&self, part: impl Fn(u64) -> Option<Bucket>) -> Vec<HistoryPoint> {
        let (first, last) = self.range();
        let parts = (last - first) / self.count.max(1);
        let step = |index: u64| {
            let begins = first + index * parts;
            let mut found = (begins..begins + parts).filter_map(&part);
            // One part is given as it was kept; several are folded, each by how many slots it holds.
            let point = found.next().map(|only| found.fold(Steps::of(&only), Steps::and).point());
            history_point(self.from + index * self.step_ms, point.unwrap_or_default())
        };
        (0..self.count).map(step).collect()
    }
}

/// Buckets folded without a bound on their number.
#[derive(Debug, Default, Clone, Copy)]
struct Steps {
    cpu: Option<Range>,
    /// Of CPU, memory, free disk, received, sent, read, written: each with its weight.
    sums: [(f64, f64); 7],
}

impl Steps {
    fn of(bucket: &Bucket) -> Self {
        Self::default().and(*bucket)
    }

    fn and(mut self, bucket: Bucket) -> Self {
        let point = bucket.point();
        if let Some(cpu) = point.cpu {
            let before = self.cpu.unwrap_or(cpu);
            self.cpu = Some(Range { min: before.min.min(cpu.min), avg: 0.0, max: before.max.max(cpu.max) });
        }
        let weight = f64::from(bucket.count());
        let ([received, sent], [read, written]) = (apart(point.network), apart(point.disk_io));
        let cpu = point.cpu.map(|cpu| cpu.avg);
        let values = [cpu, point.memory, point.disk, received, sent, read, written];
        for (sum, value) in self.sums.iter_mut().zip(values) {
            if let Some(value) = value {
                *sum = (sum.0 + weight * f64::from(value), sum.1 + weight);
            }
        }
        self
    }

    #[expect(clippy::cast_possible_truncation, reason = "a mean of single precision numbers")]
    fn point(self) -> Point {
        let mean = |(sum, weight): (f64, f64)| (weight > 0.0).then(|| (sum / weight) as f32);
        let [cpu, memory, disk, received, sent, read, written] = self.sums.map(mean);
        Point {
            cpu: self.cpu.zip(cpu).map(|(cpu, avg)| Range { avg, ..cpu }),
            memory,
            disk,
            network: received.zip(sent).map(Into::into),
            disk_io: read.zip(written).map(Into::into),
        }
    }
}

fn apart(flow: Option<Flow>) -> [Option<f32>; 2] {
    flow.map_or([None; 2], |flow| flow.map(Some))
}

fn history_point(at: u64, point: Point) -> HistoryPoint {
    // A hundredth of a percent: more digits are noise of the single precision.
    let rounded = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
    let bytes = |value: f32| value.round() as u64;
    HistoryPoint {
        at,
        cpu_percent: point.cpu.map(|cpu| Span {
            min: rounded(cpu.min),
            avg: rounded(cpu.avg),
            max: rounded(cpu.max),
        }),
        memory_bytes: point.memory.map(bytes),
        disk_free_bytes: point.disk.map(bytes),
        rates: Rates::of(
            point.network.map(|flow| flow.map(bytes)),
            point.disk_io.map(|flow| flow.map(bytes)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    /// What is asked for most must come in its finest step.
    #[test]
    fn the_last_hour_comes_in_ten_seconds_and_the_month_in_what_fits() {
        let plan = |back: u64, step| Plan::new(NOW - back, NOW, step, NOW, NOW - HOUR - 60_000).unwrap();
        let hour = plan(HOUR, None);
        assert_eq!((hour.is_detailed, hour.step_ms, hour.count), (true, SUMMARY_MS, 360));
        let day = plan(24 * HOUR, None);
        assert_eq!((day.is_detailed, day.step_ms, day.count), (false, COARSE_MS, 288));
        let month = plan(30 * 24 * HOUR, None);
        assert_eq!((month.is_detailed, month.step_ms), (false, 9 * COARSE_MS));
        assert_eq!(plan(HOUR, Some(25_000)).step_ms, 30_000);
        assert!(!plan(HOUR, Some(COARSE_MS)).is_detailed);
        assert_eq!(plan(2 * HOUR, Some(SUMMARY_MS)).step_ms, COARSE_MS, "not kept any finer");
    }

    /// A question without an answer must say what to ask instead.
    #[test]
    fn questions_without_an_answer_are_refused() {
        let ask = |from, to, step| Plan::new(from, to, step, NOW, NOW - HOUR).map_err(|error| error.message);
        for (from, to) in [(NOW, NOW), (NOW, NOW - 1), (NOW + 1, NOW + 2), (0, NOW - KEPT_MS)] {
            assert!(ask(from, to, None).unwrap_err().contains("`from` before `to`"));
        }
        assert!(ask(NOW - HOUR, NOW, Some(0)).is_err());
        assert!(ask(NOW - KEPT_MS, NOW, Some(COARSE_MS)).unwrap_err().contains("longer step"));
        assert!(ask(0, u64::MAX, Some(u64::MAX)).is_ok(), "large numbers do not overflow");
    }

    proptest! {
        /// Any question that is answered covers its time, with at most a thousand points that follow each other.
        #[test]
        fn every_plan_covers_its_time(
            from in 0u64..2 * NOW, length in 0u64..2 * KEPT_MS, step in prop::option::of(0u64..2 * COARSE_MS),
            since in 0u64..2 * HOUR,
        ) {
            let to = from.saturating_add(length);
            if let Ok(plan) = Plan::new(from, to, step, NOW, NOW - since) {
                prop_assert!(plan.count >= 1 && plan.count <= MAX_POINTS);
                let begin = from.max(NOW - KEPT_MS);
                prop_assert!(plan.from <= begin && plan.from + plan.step_ms > begin);
                prop_assert!(plan.from + plan.count * plan.step_ms >= to.min(NOW));
                let points = plan.of_buckets(|_| None);
                prop_assert_eq!(points.len() as u64, plan.count);
                prop_assert!(points.windows(2).all(|pair| pair[1].at - pair[0].at == plan.step_ms));
            } else if step.is_none() {
                prop_assert!(from >= to.min(NOW) || to <= NOW - KEPT_MS, "without a step all fits");
            }
        }

        /// A gap stays a gap: a point has values exactly where its time holds a slot, and its mean is theirs.
        #[test]
        fn gaps_stay_gaps(known in prop::collection::btree_map(0u64..360, 0u16..1_000, 0..100), steps in 1u64..40) {
            let first = (NOW - HOUR) / SUMMARY_MS;
            let slot = |number: u64| {
                let memory = f32::from(*known.get(&number.checked_sub(first)?)?);
                let network = Some([memory, 2.0 * memory]);
                Some(Point { memory: Some(memory), network, ..Point::default() })
            };
            let plan = Plan::new(NOW - HOUR, NOW, Some(steps * SUMMARY_MS), NOW, 0).unwrap();
            let plan = Plan { is_detailed: true, ..plan };
            for point in plan.of_slots(slot) {
                let begins = point.at / SUMMARY_MS;
                let within: Vec<f64> = (begins..begins + plan.step_ms / SUMMARY_MS)
                    .filter_map(|number| Some(f64::from(slot(number)?.memory?)))
                    .collect();
                prop_assert_eq!(point.memory_bytes.is_some(), !within.is_empty());
                if let Some(bytes) = point.memory_bytes {
                    let mean = within.iter().sum::<f64>() / within.len() as f64;
                    prop_assert!((bytes as f64 - mean).abs() <= 0.51);
                    let [received, sent] = point.rates.network().unwrap();
                    prop_assert!((received as f64 - mean).abs() <= 0.51 && (sent as f64 - 2.0 * mean).abs() <= 0.51);
                }
                prop_assert_eq!(point.rates.network().is_some(), !within.is_empty());
                prop_assert_eq!(point.rates.disk(), None);
            }
        }
    }
}

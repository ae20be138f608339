//! From counters to percentages and rates. No I/O, no clock.

use std::time::Duration;

use super::counters::Moved;

/// CPU time of one container or of anything else whose use is a counter.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    last: Option<(Duration, Duration)>,
}

impl CpuMeter {
    /// Takes the counter at a monotonic time; answers percent of one core since the sample before, at most
    /// 100 for each core. `None` for the first sample, and for the first after the counter went backwards.
    pub(super) fn sample(&mut self, at: Duration, usage: Duration, cores: u32) -> Option<f64> {
        let (before, used_before) = self.last.replace((at, usage))?;
        let elapsed = at.checked_sub(before).filter(|elapsed| !elapsed.is_zero())?;
        let used = usage.checked_sub(used_before)?;
        Some((used.as_secs_f64() / elapsed.as_secs_f64() * 100.0).min(f64::from(cores) * 100.0))
    }
}

/// The kernel's counters of all cores together, in ticks of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostTicks {
    /// At work.
    pub(super) busy: u64,
    /// All.
    pub(super) total: u64,
}

/// CPU use of the whole device.
#[derive(Debug, Default)]
pub(super) struct HostMeter {
    last: Option<HostTicks>,
}

impl HostMeter {
    /// Percent of all cores together since the sample before. `None` for the first sample and after a
    /// counter went backwards.
    pub(super) fn sample(&mut self, now: HostTicks) -> Option<f64> {
        let before = self.last.replace(now)?;
        let total = now.total.checked_sub(before.total).filter(|total| *total > 0)?;
        let busy = now.busy.checked_sub(before.busy)?;
        #[expect(clippy::cast_precision_loss, reason = "differences of one tick are small")]
        let percent = busy as f64 / total as f64 * 100.0;
        Some(percent.min(100.0))
    }
}

/// Bytes per second in two directions.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    last: Option<(Duration, Moved)>,
}

impl RateMeter {
    /// Takes the counters at a monotonic time; answers bytes per second since the sample before. `None` for the first
    /// sample, for the first after one of the counters went backwards, and where there are none.
    pub(super) fn sample(&mut self, at: Duration, moved: Option<Moved>) -> Option<[u64; 2]> {
        let (before, moved_before) = std::mem::replace(&mut self.last, moved.map(|moved| (at, moved)))?;
        let elapsed = at.checked_sub(before).filter(|elapsed| !elapsed.is_zero())?;
        let ([first, second], [first_before, second_before]) = (moved?, moved_before);
        Some([
            per_second(first.checked_sub(first_before)?, elapsed),
            per_second(second.checked_sub(second_before)?, elapsed),
        ])
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate needs no single bytes, and a cast saturates"
)]
fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    (bytes as f64 / elapsed.as_secs_f64()).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A busy loop on one core must read 100, whatever the length of the tick.
    #[test]
    fn percent_is_of_one_core() {
        let mut meter = CpuMeter::default();
        assert_eq!(meter.sample(ms(0), ms(5_000), 2), None);
        assert_eq!(meter.sample(ms(1_000), ms(6_000), 2), Some(100.0));
        assert_eq!(meter.sample(ms(3_000), ms(7_000), 2), Some(50.0));
    }

    /// A restarted container's counter begins at zero: that is a new baseline, not a negative or huge use.
    #[test]
    fn a_counter_that_goes_backwards_is_a_new_baseline() {
        let mut meter = CpuMeter::default();
        meter.sample(ms(0), ms(5_000), 2);
        assert_eq!(meter.sample(ms(1_000), ms(10), 2), None);
        assert_eq!(meter.sample(ms(2_000), ms(510), 2), Some(50.0));
    }

    /// A late tick must not show more than the device has, and no elapsed time is no percentage.
    #[test]
    fn it_is_clamped_and_never_divides_by_nothing() {
        let mut meter = CpuMeter::default();
        meter.sample(ms(0), ms(0), 2);
        assert_eq!(meter.sample(ms(100), ms(10_000), 2), Some(200.0));
        assert_eq!(meter.sample(ms(100), ms(10_001), 2), None);
    }

    /// The device's percentage is of all cores together.
    #[test]
    fn the_host_is_measured_over_all_cores() {
        let mut meter = HostMeter::default();
        assert_eq!(meter.sample(HostTicks { busy: 10, total: 100 }), None);
        assert_eq!(meter.sample(HostTicks { busy: 60, total: 300 }), Some(25.0));
        assert_eq!(meter.sample(HostTicks { busy: 50, total: 400 }), None);
        assert_eq!(meter.sample(HostTicks { busy: 50, total: 400 }), None);
    }

    /// Bytes per second, whatever the length of the tick.
    #[test]
    fn a_rate_is_of_a_second() {
        let mut meter = RateMeter::default();
        assert_eq!(meter.sample(ms(0), Some([1_000, 50])), None);
        assert_eq!(meter.sample(ms(10_000), Some([21_000, 50])), Some([2_000, 0]));
        assert_eq!(meter.sample(ms(10_500), Some([21_100, 51])), Some([200, 2]));
        assert_eq!(meter.sample(ms(10_500), Some([21_200, 51])), None, "no time has passed");
    }

    /// A counter that began anew, or was away for a while, must not make a huge rate of what it counts by then.
    #[test]
    fn counters_that_began_anew_are_a_new_baseline() {
        let mut meter = RateMeter::default();
        meter.sample(ms(0), Some([5_000, 5_000]));
        assert_eq!(meter.sample(ms(1_000), Some([6_000, 10])), None);
        assert_eq!(meter.sample(ms(2_000), Some([6_001, 20])), Some([1, 10]));
        assert_eq!(meter.sample(ms(3_000), None), None);
        assert_eq!(meter.sample(ms(4_000), Some([1 << 50, 1 << 50])), None);
        assert_eq!(meter.sample(ms(5_000), Some([1 << 50, 1 << 50])), Some([0, 0]));
    }
}

//! From counters to percentages. No I/O, no clock.

use std::time::Duration;

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
}

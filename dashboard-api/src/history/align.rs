//! Where an agent's own clock lies on ours. No I/O, no clock.

/// The two clocks may drift apart, and a report be delayed, by so many milliseconds before they are compared anew.
/// As long as they are not, slots that follow each other there follow each other here, without a hole or an overlap.
const SLACK_MS: i128 = 4_000;

/// How far an agent's clock is behind ours.
#[derive(Debug, Default)]
pub struct Alignment {
    shift: Option<i128>,
}

impl Alignment {
    /// At our time `now` a report says that it is `theirs`.
    pub fn compare(&mut self, now: u64, theirs: u64) {
        let measured = i128::from(now) - i128::from(theirs);
        if self.shift.is_none_or(|shift| (measured - shift).abs() > SLACK_MS) {
            self.shift = Some(measured);
        }
    }

    /// Our time at theirs; `None` before 1970 or before anything was compared.
    pub fn ours(&self, theirs: u64) -> Option<u64> {
        u64::try_from(i128::from(theirs) + self.shift?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecep_proto::api::history::SUMMARY_MS;
    use proptest::prelude::*;

    proptest! {
        /// Reports that are delayed by some seconds, now more, now less, must leave neither holes nor double slots.
        #[test]
        fn jitter_moves_no_slot(start in 0u64..1_000_000, delays in prop::collection::vec(0u64..4_000, 2..200)) {
            let mut alignment = Alignment::default();
            let mut slots = Vec::new();
            for (index, delay) in delays.into_iter().enumerate() {
                let theirs = index as u64 * SUMMARY_MS;
                alignment.compare(start + theirs + delay, theirs);
                slots.push(alignment.ours(theirs).unwrap() / SUMMARY_MS);
            }
            prop_assert!(slots.windows(2).all(|pair| pair[1] == pair[0] + 1), "{slots:?}");
        }

        /// An agent that starts again, with a clock that begins anew, is understood at once; any number is taken.
        #[test]
        fn a_new_clock_is_followed(now in any::<u64>(), first in any::<u64>(), later in any::<u64>()) {
            let mut alignment = Alignment::default();
            alignment.compare(now, first);
            alignment.compare(now, later);
            let ours = alignment.ours(later).map_or(0, i128::from);
            prop_assert!((ours - i128::from(now)).abs() <= SLACK_MS);
        }
    }
}

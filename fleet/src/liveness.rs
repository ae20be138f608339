//! How a device is, judged by the age of its last report.
//!
//! Owns the thresholds and the sentences that say why. Must not know where reports come from or who is told.
//!
//! All times are milliseconds on one clock that never goes back, whose zero the caller chooses.

use ecep_proto::api::{device::Liveness, fleet::REPORT_EVERY_MS};

/// A device is stale from this age of its last report on: three reports are missing, and the third had a
/// second to arrive late.
pub const STALE_AFTER_MS: u64 = 3 * REPORT_EVERY_MS + 1_000;

/// A device is offline from this age of its last report on. Long enough for an agent to rejoin after the router
/// was restarted (its back-off reaches a few seconds), short enough that a person need not wonder.
pub const OFFLINE_AFTER_MS: u64 = 15_000;

/// A device's clock may be this far from ours before it counts as a fault: charts and logs of several devices
/// are laid over each other by their clocks, and a report may take some seconds on a bad link.
pub const CLOCK_OFF_MS: u64 = 30_000;

/// How a device is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// How it is.
    pub liveness: Liveness,
    /// Why, each a sentence; empty when it is connected.
    pub reasons: Vec<String>,
}

/// What is remembered of one device's reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    last: Option<LastReport>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LastReport {
    at: u64,
    problems: Vec<String>,
    clock_ahead_ms: Option<i64>,
}

impl Watch {
    /// Watches a device that has never reported.
    pub fn never_heard() -> Self {
        Self { last: None }
    }

    /// Goes on watching a device that was last heard at `at` and had these problems then.
    pub fn last_heard(at: u64, problems: Vec<String>) -> Self {
        Self { last: Some(LastReport { at, problems, clock_ahead_ms: None }) }
    }

    /// A report arrived `now`. `clock_ahead_ms` is how far the device's clock is ahead of ours (negative: behind).
    pub fn reported(&mut self, now: u64, clock_ahead_ms: i64, mut problems: Vec<String>) {
        if clock_ahead_ms.unsigned_abs() > CLOCK_OFF_MS {
            let side = if clock_ahead_ms > 0 { "ahead of" } else { "behind" };
            problems.push(format!(
                "The device's clock is about {} s {side} the control plane's. Set it, for example by NTP.",
                round_to_ten(clock_ahead_ms.unsigned_abs() / 1_000),
            ));
        }
        let at = self.last.as_ref().map_or(now, |last| last.at.max(now));
        self.last = Some(LastReport { at, problems, clock_ahead_ms: Some(clock_ahead_ms) });
    }

    /// When the last report arrived.
    pub fn last_report_at(&self) -> Option<u64> {
        self.last.as_ref().map(|last| last.at)
    }

    /// What the last report said is wrong, and whether its clock was.
    pub fn problems(&self) -> &[String] {
        self.last.as_ref().map_or(&[], |last| &last.problems)
    }

    /// How far the device's clock was ahead at the last report; none where that was before our start.
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        self.last.as_ref()?.clock_ahead_ms
    }

    /// How the device is `now`.
    pub fn judge(&self, now: u64) -> Judgement {
        let Some(last) = &self.last else {
            return Judgement {
                liveness: Liveness::Never,
                reasons: vec!["The device was enrolled but has never reported. Start its agent.".to_owned()],
            };
        };
        let age = now.saturating_sub(last.at);
        if age >= OFFLINE_AFTER_MS {
            return Judgement {
                liveness: Liveness::Offline,
                reasons: vec![format!(
                    "No report for more than {} s. The device, its network or its agent is down; its containers may still run.",
                    OFFLINE_AFTER_MS / 1_000
                )],
            };
        }
        if age >= STALE_AFTER_MS {
            let mut reasons = vec![format!(
                "No report for more than {} s, though one is due every {} s. What is shown of it may be old.",
                STALE_AFTER_MS / 1_000,
                REPORT_EVERY_MS / 1_000
            )];
            reasons.extend(last.problems.iter().cloned());
            return Judgement { liveness: Liveness::Stale, reasons };
        }
        let liveness = if last.problems.is_empty() { Liveness::Connected } else { Liveness::Degraded };
        Judgement { liveness, reasons: last.problems.clone() }
    }

    /// When the judgement changes next if no report arrives; `None` if it never does.
    pub fn next_change(&self, now: u64) -> Option<u64> {
        let last = self.last.as_ref()?;
        [STALE_AFTER_MS, OFFLINE_AFTER_MS]
            .into_iter()
            .map(|after| last.at.saturating_add(after))
            .find(|at| *at > now)
    }
}

/// A sentence that changes with every report would be an event with every report.
fn round_to_ten(seconds: u64) -> u64 {
    seconds.saturating_add(5) / 10 * 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn good_report_at(at: u64) -> Watch {
        let mut watch = Watch::never_heard();
        watch.reported(at, 0, vec![]);
        watch
    }

    /// The whole life of a device that falls silent, at the very milliseconds where it changes.
    #[test]
    fn a_silent_device_becomes_stale_and_then_offline_at_its_thresholds() {
        let watch = good_report_at(1_000);
        for (age, expected) in [
            (0, Liveness::Connected),
            (STALE_AFTER_MS - 1, Liveness::Connected),
            (STALE_AFTER_MS, Liveness::Stale),
            (OFFLINE_AFTER_MS - 1, Liveness::Stale),
            (OFFLINE_AFTER_MS, Liveness::Offline),
            (u64::MAX - 1_000, Liveness::Offline),
        ] {
            assert_eq!(watch.judge(1_000 + age).liveness, expected, "at age {age}");
        }
    }

    /// Whoever sees a device that is not connected must also see why.
    #[test]
    fn every_judgement_but_connected_has_a_reason() {
        let mut ill = Watch::never_heard();
        assert_eq!(ill.judge(0).liveness, Liveness::Never);
        assert!(!ill.judge(0).reasons.is_empty());
        ill.reported(0, 0, vec!["The engine does not answer.".to_owned()]);
        assert_eq!(ill.judge(0).liveness, Liveness::Degraded);
        for at in [0, STALE_AFTER_MS, OFFLINE_AFTER_MS] {
            assert!(!ill.judge(at).reasons.is_empty(), "at {at}");
        }
    }

    /// Stale data of a device that was ill must not look like stale data of a healthy one.
    #[test]
    fn a_stale_device_still_tells_its_problems() {
        let mut watch = Watch::never_heard();
        watch.reported(0, 0, vec!["The disk is full.".to_owned()]);
        assert!(watch.judge(STALE_AFTER_MS).reasons.contains(&"The disk is full.".to_owned()));
    }

    /// A clock that is far off spoils every chart, so it must be told, with its direction.
    #[test]
    fn a_wrong_clock_degrades_the_device_and_a_right_one_mends_it() {
        let mut watch = Watch::never_heard();
        watch.reported(0, -120_000, vec![]);
        let judgement = watch.judge(0);
        assert_eq!(judgement.liveness, Liveness::Degraded);
        assert!(judgement.reasons[0].contains("120 s behind"), "{judgement:?}");
        watch.reported(1, CLOCK_OFF_MS as i64, vec![]);
        assert_eq!(watch.judge(1).liveness, Liveness::Connected);
    }

    fn rank(liveness: Liveness) -> u8 {
        match liveness {
            Liveness::Connected => 0,
            Liveness::Degraded => 1,
            Liveness::Stale => 2,
            Liveness::Offline => 3,
            Liveness::Never => 4,
        }
    }

    proptest! {
        /// Silence alone never makes a device look better.
        #[test]
        fn without_a_report_it_only_gets_worse(at in 0u64..1_000_000, a in 0u64..100_000, b in 0u64..100_000, ill: bool) {
            let watch = Watch::last_heard(at, if ill { vec!["x".to_owned()] } else { vec![] });
            let (early, late) = (at + a.min(b), at + a.max(b));
            prop_assert!(rank(watch.judge(early).liveness) <= rank(watch.judge(late).liveness));
        }

        /// A timer set to `next_change` sees every change, and none before it: nobody has to poll.
        #[test]
        fn the_judgement_changes_exactly_at_next_change(at in 0u64..1_000_000, age in 0u64..40_000, step in 0u64..40_000) {
            let watch = good_report_at(at);
            let now = at + age;
            match watch.next_change(now) {
                Some(change) => {
                    prop_assert!(change > now);
                    prop_assert_eq!(watch.judge(change - 1), watch.judge(now));
                    prop_assert_ne!(watch.judge(change), watch.judge(now));
                }
                None => prop_assert_eq!(watch.judge(now + step), watch.judge(now)),
            }
        }

        /// Whatever came before, a fresh report without problems means connected.
        #[test]
        fn a_good_report_always_reconnects(reports in prop::collection::vec((0u64..100_000, any::<i64>(), any::<bool>()), 0..20)) {
            let mut watch = Watch::never_heard();
            let mut now = 0;
            for (wait, clock, ill) in reports {
                now += wait;
                watch.reported(now, clock, if ill { vec!["x".to_owned()] } else { vec![] });
            }
            watch.reported(now, 0, vec![]);
            let judgement = watch.judge(now);
            prop_assert_eq!(judgement.liveness, Liveness::Connected);
            prop_assert!(judgement.reasons.is_empty());
        }
    }
}

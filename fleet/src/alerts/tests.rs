//! What alerts promise, step by step and for any sequence of readings.

use proptest::prelude::*;

use super::*;

const START: u64 = 1_000_000;
const READY: u64 = START + GRACE_MS;

fn device() -> DeviceId {
    "edge".parse().unwrap()
}

fn container() -> (TenantSlug, ContainerId) {
    ("acme".parse().unwrap(), "web".parse().unwrap())
}

fn fresh() -> Alerts {
    Alerts::new(START, [])
}

fn raised(kind: AlertKind) -> Outcome {
    Outcome::Raised(Alert { kind, subject: Subject::Device(device()) })
}

fn cleared(kind: AlertKind) -> Outcome {
    Outcome::Cleared(Alert { kind, subject: Subject::Device(device()) })
}

/// A device that stays away is one alert, and its end is told only once it has stayed.
#[test]
fn a_device_that_stays_offline_is_raised_once_and_cleared_after_its_hold() {
    let mut alerts = fresh();
    assert_eq!(alerts.liveness(READY, &device(), Liveness::Offline), None);
    let at = READY + OFFLINE_RAISE_MS;
    assert_eq!(alerts.liveness(at - 1, &device(), Liveness::Offline), None);
    assert_eq!(alerts.liveness(at, &device(), Liveness::Offline), Some(raised(AlertKind::DeviceOffline)));
    assert_eq!(alerts.liveness(at + 60_000, &device(), Liveness::Offline), None);
    let back = at + 100_000;
    assert_eq!(alerts.liveness(back, &device(), Liveness::Connected), None);
    assert_eq!(alerts.liveness(back + 20_000, &device(), Liveness::Offline), None, "it flaps");
    assert_eq!(alerts.liveness(back + 25_000, &device(), Liveness::Degraded), None);
    assert_eq!(alerts.liveness(back + 54_999, &device(), Liveness::Connected), None);
    assert_eq!(
        alerts.liveness(back + 55_000, &device(), Liveness::Connected),
        Some(cleared(AlertKind::DeviceOffline))
    );
    assert_eq!(alerts.conditions.len(), 0);
}

/// While the control plane was down no report could come: at its start that must alarm nobody.
#[test]
fn nothing_is_raised_before_devices_had_their_time_to_report() {
    let mut alerts = fresh();
    for at in (START..READY).step_by(1_000) {
        assert_eq!(alerts.liveness(at, &device(), Liveness::Offline), None);
    }
    assert_eq!(alerts.liveness(READY, &device(), Liveness::Connected), None);
    assert_eq!(alerts.active().count(), 0);
}

/// What was raised before a restart is neither raised again nor cleared by it.
#[test]
fn an_active_alert_outlives_a_restart() {
    let offline = Alert { kind: AlertKind::DeviceOffline, subject: Subject::Device(device()) };
    let (tenant, id) = container();
    let looping = Alert { kind: AlertKind::RestartLoop, subject: Subject::Container(tenant, id) };
    let mut alerts = Alerts::new(START, [(offline, 5), (looping.clone(), 5)]);
    for at in (START..READY + 10 * OFFLINE_RAISE_MS).step_by(1_000) {
        assert_eq!(alerts.liveness(at, &device(), Liveness::Offline), None);
        let (tenant, id) = container();
        assert_eq!(alerts.containers(at, &device(), [(tenant, id, Some(1))]), vec![]);
    }
    assert_eq!(alerts.active().count(), 2);
    let (tenant, id) = container();
    let later = alerts.containers(START + RESTART_CLEAR_MS, &device(), [(tenant, id, Some(1))]);
    assert_eq!(later, vec![Outcome::Cleared(looping)]);
}

/// Two minutes above the threshold raise; a moment below it begins them anew, and so does a hole in the figures.
#[test]
fn overload_must_be_sustained() {
    let mut alerts = fresh();
    let plenty = DISK_ENOUGH_BYTES;
    let mut at = READY;
    let mut feed = |alerts: &mut Alerts, wait: u64, percent: Option<f64>| {
        at += wait;
        alerts.figures(at, &device(), percent, plenty)
    };
    for _ in 0..12 {
        assert_eq!(feed(&mut alerts, 10_000, Some(95.0)), vec![]);
    }
    assert_eq!(feed(&mut alerts, 10_000, Some(89.0)), vec![]);
    for _ in 0..6 {
        assert_eq!(feed(&mut alerts, 10_000, Some(95.0)), vec![]);
    }
    assert_eq!(feed(&mut alerts, 90_000, Some(95.0)), vec![], "a hole is no overload");
    for _ in 0..11 {
        assert_eq!(feed(&mut alerts, 10_000, Some(95.0)), vec![]);
    }
    assert_eq!(feed(&mut alerts, 10_000, Some(95.0)), vec![raised(AlertKind::Overload)]);
    for _ in 0..50 {
        assert_eq!(feed(&mut alerts, 10_000, Some(80.0)), vec![], "between the thresholds nothing changes");
    }
    for _ in 0..6 {
        assert_eq!(feed(&mut alerts, 10_000, Some(10.0)), vec![]);
    }
    assert_eq!(feed(&mut alerts, 10_000, Some(10.0)), vec![cleared(AlertKind::Overload)]);
}

/// A disk is low for as long as it has not got clearly better.
#[test]
fn a_disk_that_hovers_at_the_threshold_is_one_alert() {
    let mut alerts = fresh();
    let mut outcomes = Vec::new();
    for step in 0..100 {
        let free = if step % 2 == 0 { DISK_LOW_BYTES - 1 } else { DISK_LOW_BYTES + 1 };
        let free = if step < 10 { DISK_LOW_BYTES - 1 } else { free };
        outcomes.extend(alerts.figures(READY + step * 10_000, &device(), None, free));
    }
    assert_eq!(outcomes, vec![raised(AlertKind::DiskLow)]);
    for step in 100..110 {
        outcomes.extend(alerts.figures(READY + step * 10_000, &device(), None, DISK_ENOUGH_BYTES));
    }
    assert_eq!(outcomes.last(), Some(&cleared(AlertKind::DiskLow)));
}

/// A container that ends again and again is told once; one that a person restarts now and then is not.
#[test]
fn a_restart_loop_is_raised_and_ends_when_it_is_quiet() {
    let (tenant, id) = container();
    let alert =
        Alert { kind: AlertKind::RestartLoop, subject: Subject::Container(tenant.clone(), id.clone()) };
    let mut alerts = fresh();
    let mut report = |at: u64, started: u64| {
        alerts.containers(at, &device(), [(tenant.clone(), id.clone(), Some(started))])
    };
    for hour in 0..20 {
        let at = READY + hour * 3 * 60_000;
        assert_eq!(report(at, hour), vec![], "every three minutes is no loop");
    }
    let at = READY + 100 * 60_000;
    let mut outcomes = Vec::new();
    for n in 0..20 {
        outcomes.extend(report(at + n * 2_000, 1_000 + n));
    }
    assert_eq!(outcomes, vec![Outcome::Raised(alert.clone())]);
    let last = at + 19 * 2_000;
    assert_eq!(report(last + RESTART_CLEAR_MS - 1, 1_019), vec![]);
    assert_eq!(report(last + RESTART_CLEAR_MS, 1_019), vec![Outcome::Cleared(alert)]);
}

/// Nobody can end the loop of a container that is gone: its alert goes with it.
#[test]
fn a_deleted_containers_alert_is_cleared() {
    let (tenant, id) = container();
    let mut alerts = fresh();
    for n in 0..20 {
        let one = (tenant.clone(), id.clone(), Some(n));
        alerts.containers(READY + n * 2_000, &device(), [one]);
    }
    assert_eq!(alerts.active().count(), 1);
    let outcomes = alerts.containers(READY + 50_000, &device(), []);
    assert!(matches!(outcomes[..], [Outcome::Cleared(_)]), "{outcomes:?}");
    assert!(alerts.starts.is_empty() && alerts.conditions.is_empty());
}

/// A failed move is told once, until one of that container succeeds, or a day has passed.
#[test]
fn a_failed_move_is_over_with_the_next_that_succeeds_or_after_a_day() {
    let (tenant, id) = container();
    let mut alerts = fresh();
    assert!(matches!(alerts.moved(READY, &tenant, &id, false), Some(Outcome::Raised(_))));
    assert_eq!(alerts.moved(READY + 1, &tenant, &id, false), None);
    assert!(matches!(alerts.moved(READY + 2, &tenant, &id, true), Some(Outcome::Cleared(_))));
    assert_eq!(alerts.moved(READY + 3, &tenant, &id, true), None);
    assert!(matches!(alerts.moved(READY, &tenant, &id, false), Some(Outcome::Raised(_))));
    assert_eq!(alerts.due(READY + MOVE_FAILED_MS - 1), vec![]);
    assert_eq!(alerts.due(READY + MOVE_FAILED_MS).len(), 1);
}

/// A removed device leaves no alert behind that nobody could clear.
#[test]
fn a_removed_device_takes_its_alerts_along() {
    let mut alerts = fresh();
    alerts.liveness(READY, &device(), Liveness::Offline);
    alerts.liveness(READY + OFFLINE_RAISE_MS, &device(), Liveness::Offline);
    assert_eq!(alerts.remove_device(&device()), vec![cleared(AlertKind::DeviceOffline)]);
    assert_eq!(alerts.remove_device(&device()), vec![]);
}

#[derive(Debug, Clone)]
enum Input {
    Liveness(Liveness),
    Figures(Option<f64>, u64),
    Started(Option<u64>),
    Gone,
    Moved(bool),
}

fn input() -> impl Strategy<Value = Input> {
    let liveness = prop::sample::select(vec![
        Liveness::Connected,
        Liveness::Degraded,
        Liveness::Stale,
        Liveness::Offline,
        Liveness::Never,
    ]);
    prop_oneof![
        liveness.prop_map(Input::Liveness),
        (prop::option::of(0.0..100.0), 0..2 * DISK_ENOUGH_BYTES)
            .prop_map(|(cpu, disk)| Input::Figures(cpu, disk)),
        prop::option::of(0u64..5).prop_map(Input::Started),
        Just(Input::Gone),
        any::<bool>().prop_map(Input::Moved),
    ]
}

proptest! {
    /// Whatever happens, an alert is raised, then cleared, then raised: never twice the same, so that whoever was
    /// told of the one is told of the other; and what is told as active is what is kept as active.
    #[test]
    fn raising_and_clearing_take_turns(inputs in prop::collection::vec((0u64..90_000, input()), 0..300)) {
        let mut alerts = fresh();
        let mut active = std::collections::BTreeSet::new();
        let mut now = START;
        for (wait, input) in inputs {
            now += wait;
            let (tenant, id) = container();
            let mut outcomes = match input {
                Input::Liveness(liveness) => alerts.liveness(now, &device(), liveness).into_iter().collect(),
                Input::Figures(cpu, disk) => alerts.figures(now, &device(), cpu, disk),
                Input::Started(at) => alerts.containers(now, &device(), [(tenant, id, at)]),
                Input::Gone => alerts.containers(now, &device(), []),
                Input::Moved(well) => alerts.moved(now, &tenant, &id, well).into_iter().collect(),
            };
            outcomes.extend(alerts.due(now));
            for outcome in outcomes {
                match outcome {
                    Outcome::Raised(alert) => prop_assert!(active.insert(alert), "raised twice"),
                    Outcome::Cleared(alert) => prop_assert!(active.remove(&alert), "cleared without being raised"),
                }
            }
            prop_assert!(alerts.active().eq(active.iter()));
            prop_assert!(alerts.conditions.len() <= 5);
        }
    }

    /// However a value flaps, an alert that is raised stays for its hold: the same is never told more often than
    /// the two holds allow.
    #[test]
    fn flapping_is_bounded(steps in prop::collection::vec((1_000u64..20_000, any::<bool>()), 1..400)) {
        let mut alerts = fresh();
        let mut now = READY;
        let mut told = Vec::new();
        for (wait, is_bad) in steps {
            now += wait;
            let liveness = if is_bad { Liveness::Offline } else { Liveness::Connected };
            told.extend(alerts.liveness(now, &device(), liveness).map(|outcome| (now, outcome)));
        }
        for pair in told.windows(2) {
            let hold = if matches!(pair[1].1, Outcome::Raised(_)) { OFFLINE_RAISE_MS } else { OFFLINE_CLEAR_MS };
            prop_assert!(pair[1].0 - pair[0].0 >= hold, "{pair:?}");
        }
    }
}

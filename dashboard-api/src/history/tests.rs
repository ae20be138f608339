//! Histories as they are told, kept and asked for.

use ecep_proto::api::history::{ContainerSummary, HostSummary, StatsSummary};

use super::*;

const START: u64 = 1_800_000_000_000;
const MINUTE: u64 = 60_000;

fn device(id: &str) -> DeviceId {
    id.parse().unwrap()
}

fn key(id: &str) -> ContainerKey {
    ("acme".parse().unwrap(), id.parse().unwrap())
}

fn span(value: f64) -> Option<Span> {
    Some(Span { min: value, avg: value, max: value })
}

/// The summary of one slot: the device at this percentage, and these containers too.
fn summary(at: u64, percent: f64, containers: &[&str]) -> StatsSummary {
    let container = |id: &&str| ContainerSummary {
        tenant: "acme".parse().unwrap(),
        id: id.parse().unwrap(),
        cpu: span(percent),
        memory_bytes: Some(1_000),
        network: Some([at / SUMMARY_MS % 50, 64]),
        disk: None,
    };
    StatsSummary {
        at,
        late: false,
        host: HostSummary {
            cpu: span(percent),
            memory_used_bytes: 5_000,
            disk_free_bytes: 7_000,
            network: Some([at / SUMMARY_MS % 50, 64]),
            disk: Some([4_096, 0]),
        },
        containers: containers.iter().map(container).collect(),
    }
}

/// A folder with a history that goes on for some slots from `START`, by a clock of the agent's own.
fn fill(history: &History, id: &str, slots: std::ops::Range<u64>, containers: &[&str]) {
    for slot in slots {
        let at = slot * SUMMARY_MS;
        let report = StatsReport {
            clock: at + SUMMARY_MS,
            summaries: vec![summary(at, slot as f64 % 50.0, containers)],
        };
        history.take(START + at + SUMMARY_MS, &device(id), &report, |_, _| true).unwrap();
    }
}

fn values(history: &StatsHistory) -> Vec<Option<f64>> {
    history.points.iter().map(|point| point.cpu_percent.map(|cpu| cpu.avg)).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &tempfile::TempDir, now: u64) -> History {
    History::open(folder.path().join("stats"), now).unwrap()
}

/// What was told comes back, in its place, with the hole that was in it.
#[test]
fn a_history_is_what_was_told_with_its_holes() {
    let folder = folder();
    let history = open(&folder, START);
    fill(&history, "edge", 0..10, &["web"]);
    fill(&history, "edge", 13..20, &["web"]);
    let now = START + 20 * SUMMARY_MS;
    let expected: Vec<Option<f64>> =
        (0..20).map(|slot| (!(10..13).contains(&slot)).then_some(slot as f64)).collect();
    let own = history.of_device(now, &device("edge"), (START, now, None)).unwrap();
    assert_eq!((own.step_ms, values(&own)), (SUMMARY_MS, expected.clone()));
    assert_eq!(own.points[0].disk_free_bytes, Some(7_000));
    assert_eq!(own.points[11].memory_bytes, None);
    let web = history.of_container(now, &key("web"), (START, now, None)).unwrap();
    assert_eq!(values(&web), expected);
    assert_eq!((web.points[0].memory_bytes, web.points[0].disk_free_bytes), (Some(1_000), None));
    let (present, containers) = history.present(now, &device("edge"), &[key("web"), key("other")]);
    assert_eq!(present.unwrap().cpu_percent, Some(19.0));
    assert!(containers[0].is_some() && containers[1].is_none());
    assert!(history.present(now + MINUTE, &device("edge"), &[]).0.is_none(), "a minute ago is not now");
}

/// Rates come back in every step, of a device and of a container, from memory and from the disk; who tells none has
/// none.
#[test]
fn rates_are_kept_as_long_as_the_rest() {
    let folder = folder();
    let history = open(&folder, START);
    fill(&history, "edge", 0..30, &["web"]);
    let mut silent = summary(0, 1.0, &["web"]);
    (silent.host.network, silent.host.disk, silent.containers[0].network) = (None, None, None);
    let report = StatsReport { clock: SUMMARY_MS, summaries: vec![silent] };
    history.take(START + SUMMARY_MS, &device("old"), &report, |_, _| false).unwrap();
    let now = START + 30 * SUMMARY_MS;
    let ask = |history: &History, step| {
        let asked = (START, now, step);
        let own = history.of_device(now, &device("edge"), asked).unwrap();
        let web = history.of_container(now, &key("web"), asked).unwrap();
        let old = history.of_device(now, &device("old"), asked).unwrap();
        [own, web, old].map(|history| history.points.iter().map(|point| point.rates).collect::<Vec<_>>())
    };
    let [own, web, old] = ask(&history, None);
    assert_eq!((own[7].network(), own[7].disk()), (Some([7, 64]), Some([4_096, 0])));
    assert_eq!((web[7].network(), web[7].disk()), (Some([7, 64]), None));
    assert_eq!((old[0].network(), old[0].disk()), (None, None));
    let (present, containers) = history.present(now, &device("edge"), &[key("web")]);
    assert_eq!((present.unwrap().network, present.unwrap().disk), (Some([29.0, 64.0]), Some([4_096.0, 0.0])));
    assert_eq!((containers[0].unwrap().network, containers[0].unwrap().disk), (Some([29.0, 64.0]), None));
    let coarse = ask(&history, Some(COARSE_MS));
    // The mean is 14.5.
    assert!(matches!(coarse[0][0].network(), Some([14 | 15, 64])), "{coarse:?}");
    history.write(now, true);
    drop(history);
    assert_eq!(ask(&open(&folder, now), Some(COARSE_MS)), coarse);
}

/// A report whose answer was lost is sent again: nothing of it may count twice.
#[test]
fn what_is_told_twice_counts_once() {
    let folder = folder();
    let history = open(&folder, START);
    for _ in 0..3 {
        fill(&history, "edge", 0..30, &[]);
    }
    let now = START + 30 * SUMMARY_MS;
    let coarse = history.of_device(now, &device("edge"), (START, now, Some(COARSE_MS))).unwrap();
    assert_eq!(values(&coarse), [Some(14.5)]);
    let cpu = coarse.points[0].cpu_percent.unwrap();
    assert_eq!((cpu.min, cpu.max), (0.0, 29.0));
}

/// A process that is killed loses the five minutes that were not over; what was written is there, and goes on.
#[test]
fn a_kill_loses_what_was_not_written_and_nothing_else() {
    let folder = folder();
    let history = open(&folder, START);
    fill(&history, "edge", 0..75, &["web"]);
    let now = START + 75 * SUMMARY_MS;
    history.write(now, false);
    drop(history);
    let history = open(&folder, now);
    let ask = |history: &History, now| {
        let own = history.of_device(now, &device("edge"), (START, now, Some(COARSE_MS))).unwrap();
        let web = history.of_container(now, &key("web"), (START, now, Some(COARSE_MS))).unwrap();
        assert_eq!(values(&own), values(&web));
        own
    };
    let known: Vec<bool> = values(&ask(&history, now)).iter().map(Option::is_some).collect();
    assert_eq!(known, [true, true, false]);
    fill(&history, "edge", 75..90, &["web"]);
    let now = START + 90 * SUMMARY_MS;
    assert_eq!(values(&ask(&history, now))[2], Some((75..90).map(|n| (n % 50) as f64).sum::<f64>() / 15.0));
}

/// A process that is stopped loses nothing but the detail, and five minutes that it was stopped in are whole.
#[test]
fn a_stop_in_the_middle_of_five_minutes_loses_nothing_of_them() {
    let folder = folder();
    let history = open(&folder, START);
    fill(&history, "edge", 0..12, &[]);
    history.write(START + 12 * SUMMARY_MS, true);
    drop(history);
    let history = open(&folder, START + 12 * SUMMARY_MS);
    // The last slots are told again: the answer was lost when the process ended.
    fill(&history, "edge", 10..30, &[]);
    let now = START + 30 * SUMMARY_MS;
    history.write(now, false);
    let five = history.of_device(now, &device("edge"), (START, now, None)).unwrap();
    assert_eq!((five.step_ms, values(&five)), (COARSE_MS, vec![Some(14.5)]));
}

/// What was sampled while the device was cut off comes late and lands where it belongs.
#[test]
fn an_offline_hour_is_filled_in() {
    let folder = folder();
    let history = open(&folder, START);
    fill(&history, "edge", 0..1, &["web"]);
    let back = 300 * SUMMARY_MS;
    history.write(START + back, false);
    let all: Vec<StatsSummary> = (1..300)
        .map(|slot| StatsSummary { late: true, ..summary(slot * SUMMARY_MS, slot as f64 % 50.0, &["web"]) })
        .collect();
    for piece in all.chunks(MAX_SUMMARIES) {
        let report = StatsReport { clock: back, summaries: piece.to_vec() };
        history.take(START + back, &device("edge"), &report, |_, _| true).unwrap();
    }
    let now = START + back;
    let web = history.of_container(now, &key("web"), (START, now, None)).unwrap();
    assert_eq!(values(&web), (0..300).map(|slot| Some((slot % 50) as f64)).collect::<Vec<_>>());
    history.write(now, false);
    let coarse = history.of_container(now, &key("web"), (START, now, Some(COARSE_MS))).unwrap();
    assert_eq!(values(&coarse)[0], Some(14.5), "the first slot was on disk before the rest came");
    let too_many = StatsReport { clock: back, summaries: all };
    assert!(history.take(now, &device("edge"), &too_many, |_, _| true).is_err());
}

/// A container has one history, wherever it runs; its old device's is unchanged.
#[test]
fn a_container_that_moves_keeps_its_history() {
    let folder = folder();
    let history = open(&folder, START);
    fill(&history, "a", 0..40, &["web"]);
    history.write(START + 40 * SUMMARY_MS, false);
    fill(&history, "b", 40..60, &["web"]);
    let now = START + 60 * SUMMARY_MS;
    let whole = |history: &History| {
        let web = history.of_container(now, &key("web"), (START, now, Some(COARSE_MS))).unwrap();
        values(&web).iter().flatten().count()
    };
    let web = history.of_container(now, &key("web"), (START, now, None)).unwrap();
    assert_eq!(values(&web).iter().flatten().count(), 60);
    history.write(now, true);
    assert_eq!(whole(&history), 2);
    drop(history);
    let history = open(&folder, now);
    assert_eq!(whole(&history), 2);
    history.remove_device(&device("a"));
    assert_eq!(whole(&history), 2, "it is not the old device's any more");
    history.remove_device(&device("b"));
    assert!(!history.knows(&key("web")));
}

/// A device tells only of what it may, and cannot put in what is no figure, nor into the future.
#[test]
fn what_cannot_be_is_left_out() {
    let folder = folder();
    let history = open(&folder, START);
    let now = START + SUMMARY_MS;
    let mut odd = summary(0, 1.0, &["web", "forged"]);
    odd.host.cpu = Some(Span { min: 5.0, avg: 1e300, max: f64::INFINITY });
    let ahead = summary(10 * SUMMARY_MS, 1.0, &["web"]);
    let report = StatsReport { clock: SUMMARY_MS, summaries: vec![odd, ahead] };
    history.take(now, &device("edge"), &report, |_, id| id.as_str() == "web").unwrap();
    let own = history.of_device(now, &device("edge"), (START, now, None)).unwrap();
    assert_eq!(own.points.len(), 1);
    assert_eq!((own.points[0].cpu_percent, own.points[0].memory_bytes), (None, Some(5_000)));
    assert!(history.knows(&key("web")));
    assert!(!history.knows(&key("forged")));
    assert_eq!(history.extent().series, 2);
}

/// A device that makes up ever new containers fills its own account and no more.
#[test]
fn a_device_has_a_bounded_number_of_series() {
    let folder = folder();
    let history = open(&folder, START);
    let names: Vec<String> = (0..MAX_SERIES_OF_A_DEVICE + 300).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (round, some) in names.chunks(MAX_SUMMED_CONTAINERS).enumerate() {
        fill(&history, "edge", round as u64..round as u64 + 1, some);
    }
    assert_eq!(history.extent().series, MAX_SERIES_OF_A_DEVICE + 1, "all are busy, so the rest has none");
    let later = 1_000;
    history.write(START + later * SUMMARY_MS, true);
    fill(&history, "edge", later..later + 1, &["fresh"]);
    assert!(history.knows(&key("fresh")));
    assert_eq!(history.files.containers().unwrap().len(), MAX_SERIES_OF_A_DEVICE - 1);
}

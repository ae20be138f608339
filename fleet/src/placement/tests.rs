use ecep_proto::api::share::{Allowance, Quota, Terms};
use proptest::prelude::*;

use super::*;

const MUNICH: Location = Location { lat: 48.137, lon: 11.575 };
const BERLIN: Location = Location { lat: 52.52, lon: 13.405 };
const SYDNEY: Location = Location { lat: -33.868, lon: 151.209 };

fn device(id: &str) -> Device {
    Device {
        id: id.parse().unwrap(),
        liveness: Liveness::Connected,
        engine_reachable: true,
        architecture: Some("x86_64".to_owned()),
        cores: 4,
        cpu_percent: Some(10.0),
        memory_total_bytes: 4_000_000_000,
        memory_used_bytes: Some(1_000_000_000),
        disk_free_bytes: Some(50_000_000_000),
        location: Some(MUNICH),
        granted: None,
        names: BTreeSet::new(),
        ports: BTreeSet::new(),
    }
}

fn nearest(to: Location) -> Wish {
    Wish::Nearest { to, count: 1, within_km: None }
}

fn chosen(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().filter(|one| one.chosen).map(|one| one.device.as_str()).collect()
}

/// Distances decide, so they must be right, over the date line and at the poles too.
#[test]
fn distances_are_those_of_the_earth() {
    for (a, b, km) in [
        (MUNICH, BERLIN, 504.0),
        (MUNICH, SYDNEY, 16_320.0),
        (Location { lat: 0.0, lon: 179.5 }, Location { lat: 0.0, lon: -179.5 }, 111.2),
        (Location { lat: 90.0, lon: 0.0 }, Location { lat: 90.0, lon: 120.0 }, 0.0),
        (Location { lat: 0.0, lon: 0.0 }, Location { lat: 0.0, lon: 180.0 }, 20_015.1),
    ] {
        let told = kilometres(a, b);
        assert!((told - km).abs() <= km * 0.005 + 0.1, "{told} km, not {km}");
    }
}

/// Whoever is passed over must be told why, by a sentence that says what is wrong with that device.
#[test]
fn every_rejection_says_its_reason() {
    let needs = Needs {
        architectures: vec!["amd64".to_owned()],
        demand: Demand { nano_cpus: Some(2_000_000_000), memory_bytes: Some(500_000_000) },
        disk_bytes: 1_000_000_000,
        name: Some("web".parse().unwrap()),
        publishes: true,
        ports: vec![(8080, Protocol::Tcp)],
    };
    let share = |quota: Quota, is_ending| {
        let terms = Terms { quota, allow: vec![Allowance::PublishPorts] };
        Some(GrantedTerms { terms, is_ending })
    };
    let good = device("good");
    let cases = [
        (Device { liveness: Liveness::Offline, ..good.clone() }, "offline"),
        (Device { liveness: Liveness::Never, ..good.clone() }, "never heard of"),
        (Device { engine_reachable: false, ..good.clone() }, "engine does not answer"),
        (
            Device { architecture: Some("aarch64".to_owned()), ..good.clone() },
            "Is arm64, and the image is for amd64",
        ),
        (Device { location: None, ..good.clone() }, "not on the map"),
        (Device { location: Some(SYDNEY), ..good.clone() }, "km away, farther than 1000 km"),
        (
            Device { names: BTreeSet::from(["web".parse().unwrap()]), ..good.clone() },
            "a container web already",
        ),
        (Device { ports: BTreeSet::from([(8080, Protocol::Tcp)]), ..good.clone() }, "TCP port 8080 is taken"),
        (Device { disk_free_bytes: Some(1_000_000_000), ..good.clone() }, "of disk left"),
        (Device { cores: 1, ..good.clone() }, "Has 1 of the 2 cores"),
        (Device { memory_total_bytes: 256_000_000, ..good.clone() }, "256 MB of memory in all"),
        (Device { memory_used_bytes: Some(3_900_000_000), ..good.clone() }, "100 MB of memory left"),
        (Device { cpu_percent: Some(99.0), ..good.clone() }, "99 % of its CPU"),
        (Device { granted: share(Quota::default(), true), ..good.clone() }, "share of this device ends"),
        (Device { granted: Some(GrantedTerms::default()), ..good.clone() }, "do not allow to publish ports"),
        (
            Device {
                granted: share(Quota { containers: Some(0), ..Quota::default() }, false),
                ..good.clone()
            },
            "share is for 0 containers",
        ),
        (
            Device {
                granted: share(Quota { memory_bytes: Some(1), ..Quota::default() }, false),
                ..good.clone()
            },
            "1 of 1 bytes of memory",
        ),
        (
            Device {
                granted: share(Quota { disk_bytes: Some(5), ..Quota::default() }, false),
                ..good.clone()
            },
            "share has 0 kB of disk",
        ),
    ];
    let wish = Wish::Nearest { to: MUNICH, count: 1, within_km: Some(1_000.0) };
    assert_eq!(chosen(&place(std::slice::from_ref(&good), &needs, &wish)), ["good"]);
    for (device, says) in cases {
        let candidates = place(&[device], &needs, &wish);
        assert!(!candidates[0].chosen, "{says}");
        assert!(candidates[0].reasons.iter().any(|reason| reason.contains(says)), "{says}: {candidates:?}");
    }
}

/// The nearest that has room is chosen, not the nearest; and it says how far it is.
#[test]
fn the_nearest_with_room_is_chosen() {
    let full = Device { memory_used_bytes: Some(4_000_000_000), ..device("a-full") };
    let far = Device { location: Some(SYDNEY), ..device("b-far") };
    let near = Device { location: Some(BERLIN), ..device("c-near") };
    let candidates = place(&[full, far, near], &Needs::default(), &nearest(MUNICH));
    assert_eq!(chosen(&candidates), ["c-near"]);
    assert_eq!(candidates[0].reasons, ["504 km away, the nearest with room."]);
    assert!(candidates[1].reasons[0].ends_with("nearer ones have room."), "{candidates:?}");
}

/// Whoever names a device knows how busy it is; what cannot run there is refused all the same, and nobody else is looked at.
#[test]
fn a_named_device_may_be_busy_but_not_wrong() {
    let busy = Device { memory_used_bytes: Some(4_000_000_000), cpu_percent: Some(100.0), ..device("busy") };
    let wish = Wish::These(vec![busy.id.clone()]);
    assert_eq!(chosen(&place(&[busy.clone(), device("other")], &Needs::default(), &wish)), ["busy"]);
    let needs = Needs { architectures: vec!["arm/v7".to_owned()], ..Needs::default() };
    let candidates = place(&[busy, device("other")], &needs, &wish);
    assert_eq!((candidates.len(), chosen(&candidates)), (1, vec![]));
}

/// An image for another architecture fails on the device with a riddle: it must never get there, and a good one always.
#[test]
fn architectures_are_matched_as_engines_do() {
    let runs = |uname: &str, platform: &str| runs(uname, &[platform.to_owned()]);
    for (uname, platform) in [
        ("x86_64", "amd64"),
        ("x86_64", "386"),
        ("aarch64", "arm64"),
        ("aarch64", "arm64/v8"),
        ("armv7l", "arm/v7"),
        ("armv7l", "arm/v6"),
        ("armv6l", "arm/v6"),
        ("riscv64", "linux/riscv64"),
    ] {
        assert!(runs(uname, platform), "{uname} runs {platform}");
    }
    for (uname, platform) in [
        ("x86_64", "arm64"),
        ("aarch64", "amd64"),
        ("armv6l", "arm/v7"),
        ("i686", "amd64"),
        ("aarch64", "arm/v7"),
    ] {
        assert!(!runs(uname, platform), "{uname} does not run {platform}");
    }
    assert!(
        super::runs("riscv64", &[]) && super::runs("riscv64", &[String::new()]),
        "nothing is known of it"
    );
}

fn any_device() -> impl Strategy<Value = Device> {
    let place = prop_oneof![
        Just(None),
        (-90.0..90.0, -180.0..180.0).prop_map(|(lat, lon)| Some(Location { lat, lon }))
    ];
    let liveness = prop_oneof![
        4 => Just(Liveness::Connected), 1 => Just(Liveness::Degraded), 1 => Just(Liveness::Offline)
    ];
    let memory = proptest::option::of(0..4_000_000_000_u64);
    let architecture = prop_oneof![Just("x86_64"), Just("aarch64")];
    (place, liveness, memory, proptest::option::of(0.0..100.0), architecture).prop_map(
        |(location, liveness, memory_used_bytes, cpu_percent, architecture)| Device {
            location,
            liveness,
            memory_used_bytes,
            cpu_percent,
            architecture: Some(architecture.to_owned()),
            ..device("x")
        },
    )
}

fn fleet() -> impl Strategy<Value = Vec<Device>> {
    proptest::collection::vec(any_device(), 0..20).prop_map(|devices| {
        let numbered = devices.into_iter().enumerate();
        numbered.map(|(number, one)| Device { id: format!("d{number}").parse().unwrap(), ..one }).collect()
    })
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let within = proptest::option::of(0.0..20_000.0);
    prop_oneof![
        (1..5_usize, -90.0..90.0, -180.0..180.0, within).prop_map(|(count, lat, lon, within_km)| {
            Wish::Nearest { to: Location { lat, lon }, count, within_km }
        }),
        (1..5_usize).prop_map(|count| Wish::Roomiest { count }),
    ]
}

fn count_of(wish: &Wish) -> usize {
    match wish {
        Wish::These(ids) => ids.len(),
        Wish::Nearest { count, .. } | Wish::Roomiest { count } => *count,
    }
}

proptest! {
    /// Whatever the fleet: every device is told about once, with a reason; the chosen come first and are no more than wished for, and
    /// no fewer than fit; and none is chosen that cannot run it.
    #[test]
    fn every_device_is_judged_once_and_as_many_as_fit_are_chosen(devices in fleet(), wish in any_wish()) {
        let needs = Needs { architectures: vec!["amd64".to_owned()], ..Needs::default() };
        let candidates = place(&devices, &needs, &wish);
        let told: BTreeSet<&DeviceId> = candidates.iter().map(|one| &one.device).collect();
        prop_assert_eq!(told.len(), devices.len());
        prop_assert_eq!(candidates.len(), devices.len());
        prop_assert!(candidates.iter().all(|one| !one.reasons.is_empty() && one.reasons.iter().all(|text| text.ends_with('.'))));
        let number = candidates.iter().filter(|one| one.chosen).count();
        prop_assert!(candidates.iter().skip(number).all(|one| !one.chosen), "the chosen come first");
        let fits = |one: &Candidate| {
            // One that fits among all fits alone.
            let device: Vec<Device> = devices.iter().filter(|device| device.id == one.device).cloned().collect();
            place(&device, &needs, &wish)[0].chosen
        };
        let fitting = candidates.iter().filter(|one| fits(one)).count();
        prop_assert_eq!(number, fitting.min(count_of(&wish)));
        for one in candidates.iter().filter(|one| one.chosen) {
            let device = devices.iter().find(|device| device.id == one.device).unwrap();
            prop_assert!(device.liveness != Liveness::Offline && device.architecture.as_deref() == Some("x86_64"));
        }
    }

    /// The answer depends on the fleet and not on the order in which it is listed, and whoever was not chosen could as well be away.
    #[test]
    fn the_choice_is_steady(devices in fleet(), wish in any_wish(), turn in 0..20_usize) {
        let needs = Needs::default();
        let candidates = place(&devices, &needs, &wish);
        let mut turned = devices.clone();
        turned.rotate_left(turn.min(devices.len()));
        prop_assert_eq!(&candidates, &place(&turned, &needs, &wish));
        let only: Vec<Device> = devices
            .into_iter()
            .filter(|device| candidates.iter().any(|one| one.chosen && one.device == device.id))
            .collect();
        let again = place(&only, &needs, &wish);
        prop_assert_eq!(chosen(&candidates), chosen(&again));
    }

    /// Nobody nearer that fits is passed over.
    #[test]
    fn nobody_nearer_is_passed_over(devices in fleet(), lat in -90.0..90.0, lon in -180.0..180.0, count in 1..5_usize) {
        let wish = Wish::Nearest { to: Location { lat, lon }, count, within_km: None };
        let candidates = place(&devices, &Needs::default(), &wish);
        let farthest = candidates.iter().filter(|one| one.chosen).filter_map(|one| one.distance_km).fold(0.0, f64::max);
        for one in candidates.iter().filter(|one| !one.chosen && one.reasons[0].ends_with("nearer ones have room.")) {
            prop_assert!(one.distance_km.unwrap() >= farthest, "{one:?} is nearer than {farthest} km");
        }
    }

    /// Whoever wishes for more gets nobody who did not fit before.
    #[test]
    fn more_needs_fit_fewer(devices in fleet(), wanted in 0..4_000_000_000_u64) {
        let all = Wish::Roomiest { count: devices.len().max(1) };
        let needs = Needs { demand: Demand { nano_cpus: None, memory_bytes: Some(wanted.max(LEAST_MEMORY_BYTES)) }, ..Needs::default() };
        let before: BTreeSet<DeviceId> = place(&devices, &Needs::default(), &all).into_iter().filter(|one| one.chosen).map(|one| one.device).collect();
        for one in place(&devices, &needs, &all).into_iter().filter(|one| one.chosen) {
            prop_assert!(before.contains(&one.device));
        }
    }
}

//! Containers that nobody moves, and those that were moved, lead the life that they would lead under runc; the engine learns
//! of the runtime and forgets it; the trial tells whether a device can do all this.

use std::path::Path;

use ecep_runtime::order::Outcome;
use ecep_runtime::register::RUNTIME_NAME;

use crate::scene::{Container, LIMIT, engine, scene, wait_for};

/// Exit codes, output, signals, exec and restarts pass through the runtime as they are.
#[test]
fn ordinary_containers_are_as_under_runc() {
    let Some(scene) = scene() else { return };
    let device = scene.device(0);
    let short = Container::create(scene, device, "short", scene.address(20), &[], &["exit", "42"]);
    short.start();
    assert_eq!(short.docker(&["wait"]), "42");
    let words = Container::create(scene, device, "words", scene.address(21), &[], &["say", "one", "two"]);
    words.start();
    assert_eq!(words.docker(&["wait"]), "0");
    assert_eq!(words.docker(&["logs"]), "one two");

    let address = scene.address(22);
    let long = Container::create(scene, device, "long", address, &[], &["serve", "0"]);
    long.start();
    let _route = scene.route(address, device);
    let first = long.ask();
    assert_eq!(long.try_docker(&["exec"], &["/workload", "say", "hello"]).unwrap(), "hello");
    let code = long.try_docker(&["exec"], &["/workload", "exit", "7"]).unwrap_err();
    assert!(code.contains("exit status: 7"), "{code}");
    long.docker(&["pause"]);
    long.docker(&["unpause"]);
    long.docker(&["restart", "--time", "0"]);
    assert_ne!(long.ask().number, first.number, "a restart is a fresh start");
    long.docker(&["kill", "--signal", "KILL"]);
    assert_eq!(long.docker(&["wait"]), "137");
}

/// A bundle that runc refuses is refused in runc's words.
#[test]
fn runcs_errors_reach_the_engine() {
    let Some(scene) = scene() else { return };
    let options = ["--entrypoint", "/no/such/program"];
    let container = Container::create(scene, scene.device(0), "refused", scene.address(23), &options, &[]);
    let said = container.try_docker(&["start"], &[]).unwrap_err();
    assert!(said.contains("/no/such/program"), "{said}");
}

/// After a restore the engine's other commands find what they expect: output, processes, exec, stop and a fresh start.
#[test]
fn a_restored_container_leads_an_ordinary_life() {
    let Some(scene) = scene() else { return };
    let address = scene.address(24);
    let from = Container::create(scene, scene.device(0), "life", address, &[], &["serve", "0"]);
    from.start();
    let _route = scene.route(address, scene.device(0));
    let before = from.ask();
    let folder = scene.dump_folder("life");
    from.save(&folder);
    let to = Container::create(scene, scene.device(1), "life", address, &[], &["serve", "0"]);
    to.order(&folder);
    to.start();
    assert!(matches!(to.outcome(), Outcome::Restored { .. }));
    scene.point(address, scene.device(1));
    to.release();
    drop(from);

    assert_eq!(to.ask().number, before.number);
    wait_for("output after the restore", || to.docker(&["logs"]).contains("tick"));
    assert_eq!(to.try_docker(&["exec"], &["/workload", "say", "hello"]).unwrap(), "hello");
    assert_eq!(to.docker(&["top"]).lines().count(), 3, "a heading, the server and its child");
    to.docker(&["pause"]);
    to.docker(&["unpause"]);
    to.docker(&["stop", "--time", "1"]);
    to.start();
    assert_ne!(to.ask().number, before.number, "after the release a start is a fresh start");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Registration is seen by the engine itself, may be repeated, and leaves no trace.
#[test]
fn the_engine_learns_of_a_runtime_and_forgets_it() {
    let Some(scene) = scene() else { return };
    let engine = engine(scene.device(1));
    let (name, program) = ("ecep-passing", Path::new("/bin/true"));
    for _ in 0..2 {
        engine.add_runtime(name, program, LIMIT).unwrap();
        assert_eq!(engine.runtime(name).unwrap().as_deref(), Some(program));
    }
    for _ in 0..2 {
        engine.remove_runtime(name, LIMIT).unwrap();
        assert_eq!(engine.runtime(name).unwrap(), None);
    }
    assert!(engine.runtime(RUNTIME_NAME).unwrap().is_some(), "others stay");
}

/// The trial passes where the tests before pass, and tells the reason where there is no CRIU.
#[test]
fn the_trial_tells_the_truth() {
    let Some(scene) = scene() else { return };
    let device = scene.device(0);
    let folder = device.data_dir().join("trial");
    let words = ["probe", env!("CARGO_BIN_EXE_ecep-runtime"), folder.to_str().unwrap()];
    let report = scene.step(device, &words).unwrap();
    println!("trial: {report}");
    assert!(report["dump_microseconds"].as_u64().unwrap() > 0);
    assert!(!folder.exists());
    let said = scene.step_without_criu(device, &words).unwrap_err();
    assert!(said.contains("there is no CRIU"), "{said}");
    assert!(!folder.exists());
}

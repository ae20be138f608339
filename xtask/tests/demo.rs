//! The tour of the demonstration, on a lab of its own: the platform as a newcomer and as a stranger's program see it.
//! Needs root and what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use serde_json::Value;
use xtask::stack::Programs;
use xtask::{demo, lab};

/// Every step of the tour, in its order.
const STEPS: [&str; 50] = [
    "set-up",
    "build",
    "lab",
    "sample images",
    "router",
    "control plane",
    "first account",
    "tokens",
    "enrol edge-1",
    "enrol edge-2",
    "devices connected",
    "edge-1: create",
    "edge-1: start",
    "edge-1: serve",
    "edge-1: logs",
    "edge-1: restart",
    "edge-1: stop",
    "edge-1: delete",
    "edge-2: create",
    "edge-2: start",
    "edge-2: serve",
    "edge-2: logs",
    "edge-2: restart",
    "edge-2: stop",
    "edge-2: delete",
    "sample application",
    "telemetry in Python",
    "telemetry in JavaScript",
    "telemetry in Rust",
    "load is seen",
    "router killed",
    "control plane killed",
    "agent killed",
    "engine killed",
    "refused: wrong password",
    "refused: spent join token",
    "refused: used ticket",
    "refused: telemetry token calls",
    "refused: privileged container",
    "refused: malformed request",
    "refused: another tenant's container",
    "refused: expired API token",
    "outside client",
    "moved to edge-2",
    "moved to edge-1",
    "outside client counted on",
    "the agent's log names the caller",
    "nothing crashed",
    "take-down",
    "nothing is left",
];

/// What the project promises to who tries it: each promise is a step, and a step that is not there is not kept.
#[test]
fn every_step_of_the_tour_happens() {
    let name = format!("tour-{}", std::process::id());
    let report = demo::tour(&name, &lab::default_data_root(), Programs::build_with_tests);
    let json = serde_json::to_value(&report).unwrap();
    let steps: Vec<&str> =
        json["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    for step in json["steps"].as_array().unwrap() {
        assert_eq!(step["ok"], Value::Bool(true), "{}: {}", step["name"], step["detail"]);
    }
    assert_eq!(steps, STEPS);
    assert!(report.is_ok());
}

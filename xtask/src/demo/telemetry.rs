//! The tour's second part: live statistics, as stock third-party clients in three languages receive them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ecep_proto::api::name::{ContainerId, DeviceId};
use ecep_proto::api::stats::StatsEvent;

use super::EVENT_LIMIT;
use super::workload::Workload;
use crate::report::Report;
use crate::stack::{Language, Stack, Watch};

/// A piece of the load; one follows the other until it is seen.
const BURN: Duration = Duration::from_secs(1);

/// By how many percent of a core the container's CPU must rise; other work may take the rest of a busy machine.
const RISE: f64 = 20.0;

/// Shows the statistics in each language, and that load is seen.
pub(super) fn show(report: &mut Report, stack: &Stack, workload: &Workload) -> Result<()> {
    for language in Language::ALL {
        report.step(&format!("telemetry in {}", language.name()), || receive(stack, language, workload))?;
    }
    report.step("load is seen", || see_load(stack, workload))
}

/// Fails unless a stock client hears from each device anew.
pub(super) fn resumes(stack: &Stack, workload: &Workload) -> Result<String> {
    let mut watch = Watch::start(stack, Language::Python, stack.telemetry(), workload.device_id())?;
    let count = watch.wait_for("hearing from every device", EVENT_LIMIT, |events| {
        let heard = |device: &DeviceId| events.iter().any(|event| event.device == *device);
        let workload = cpu_of(events, &workload.id).is_some();
        (workload && stack.devices().iter().all(heard)).then_some(events.len())
    })?;
    Ok(format!("telemetry goes on ({count} events)"))
}

fn receive(stack: &Stack, language: Language, workload: &Workload) -> Result<((), String)> {
    let mut watch = Watch::start(stack, language, stack.telemetry(), workload.device_id())?;
    let expected: Vec<&DeviceId> = match language {
        Language::Rust => vec![workload.device_id()],
        Language::Python | Language::JavaScript => stack.devices().iter().collect(),
    };
    let event = watch.wait_for("hearing from every device", EVENT_LIMIT, |events| {
        let of = |device: &DeviceId| events.iter().filter(|event| event.device == *device).count();
        // Two of each: the first tick of a container has no CPU yet.
        if expected.iter().any(|device| of(device) < 2) {
            return None;
        }
        let has_cpu = |event: &&StatsEvent| cpu_of(std::slice::from_ref(event), &workload.id).is_some();
        events.iter().rfind(has_cpu).cloned()
    })?;
    let events = watch.events();
    let hosts = events.iter().filter_map(|event| event.host.cpu_percent);
    ensure!(
        hosts.into_iter().all(|percent| (0.0..=100.0).contains(&percent)),
        "impossible CPU in {events:?}"
    );
    Ok(((), format!("{} events, one of them {}", events.len(), serde_json::to_string(&event)?)))
}

fn see_load(stack: &Stack, workload: &Workload) -> Result<((), String)> {
    let mut watch = Watch::start(stack, Language::Python, stack.telemetry(), workload.device_id())?;
    let idle =
        watch.wait_for("hearing of the container", EVENT_LIMIT, |events| cpu_of(events, &workload.id))?;
    let seen = watch.events().len();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let start = Instant::now();
        let burn = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                workload.burn(BURN)?;
            }
            Ok::<(), anyhow::Error>(())
        });
        let busy = watch.wait_for("seeing the load", EVENT_LIMIT, |events| {
            let fresh = events.get(seen..)?;
            cpu_of(fresh, &workload.id).filter(|percent| *percent >= idle + RISE)
        });
        let after = start.elapsed();
        is_over.store(true, Ordering::Relaxed);
        match burn.join() {
            Ok(burned) => burned.context("the load itself failed")?,
            Err(_) => bail!("the load itself panicked"),
        }
        Ok(((), format!("from {idle:.1} to {:.1} % of a core, seen after {} ms", busy?, after.as_millis())))
    })
}

/// The container's latest CPU.
fn cpu_of(events: &[StatsEvent], container: &ContainerId) -> Option<f64> {
    let stats = events.iter().rev().flat_map(|event| &event.containers);
    stats.filter(|stats| stats.id == *container).find_map(|stats| stats.cpu_percent)
}

//! The tour's first part: everything that can be done to a container, on a device, each proved by the device's engine.

use anyhow::{Context, Result, ensure};
use ecep_proto::api::container::{
    ContainerOrder, ContainerState, CreateContainer, DeleteContainer, LogQuery, StopContainer,
};
use ecep_proto::api::reply::Nothing;
use ecep_proto::api::{
    ContainerDelete, ContainerList, ContainerLogs, ContainerRestart, ContainerStart, ContainerStop,
};

use super::workload::{Workload, counter};
use crate::lab::COUNTER_IMAGE;
use crate::report::Report;
use crate::stack::Stack;

/// What the tour raises the counter to.
const COUNT: u64 = 3;

/// The port that is published on each device.
const PORT: u16 = 9090;

/// Walks a container from its creation to its deletion. The first device has the image; the second pulls it.
pub(super) fn walk(report: &mut Report, stack: &Stack, number: u8) -> Result<()> {
    let step = |what: &str| format!("edge-{number}: {what}");
    let workload = report.step(&step("create"), || create(stack, number))?;
    let operator = stack.operator();
    let device = workload.device_id();
    report.step(&step("start"), || {
        let order = ContainerOrder { container: workload.id.clone(), operation: None };
        operator.order::<ContainerStart>(device, &order)?;
        let facts = workload.expect("running")?;
        Ok(((), format!("the engine runs it as process {}", facts.pid)))
    })?;
    report.step(&step("serve"), || {
        ensure!(workload.count()? == 0, "a new counter must stand at 0");
        for expected in 1..=COUNT {
            ensure!(workload.add()? == expected, "the counter skips");
        }
        Ok(((), format!("{} has counted to {COUNT}", workload.url())))
    })?;
    report.step(&step("logs"), || logs(stack, &workload))?;
    report.step(&step("restart"), || {
        let before = workload.facts()?;
        operator.order::<ContainerRestart>(device, &stop_order(&workload))?;
        let after = workload.expect("running")?;
        ensure!(after.pid != before.pid && after.started_at != before.started_at, "it is the same process");
        ensure!(workload.count()? == 0, "a restarted counter must stand at 0");
        Ok(((), format!("process {} became {}, its count 0", before.pid, after.pid)))
    })?;
    report.step(&step("stop"), || {
        operator.order::<ContainerStop>(device, &stop_order(&workload))?;
        workload.expect("exited")?;
        workload.expect_silence()?;
        Ok(((), "the engine says exited, and its port is closed".into()))
    })?;
    report.step(&step("delete"), || {
        let order = DeleteContainer { container: workload.id.clone(), force: false, operation: None };
        operator.order::<ContainerDelete>(device, &order)?;
        ensure!(!workload.exists()?, "the engine still knows it");
        let list = operator.call::<ContainerList>(device, &Nothing {})?.containers;
        ensure!(list.iter().all(|container| container.id != workload.id), "the agent still lists it");
        Ok(((), "neither the engine nor the agent knows it any more".into()))
    })
}

fn stop_order(workload: &Workload) -> StopContainer {
    StopContainer { container: workload.id.clone(), grace_seconds: None, operation: None }
}

fn create(stack: &Stack, number: u8) -> Result<(Workload<'_>, String)> {
    let has_image = number == 1;
    let image = if has_image { COUNTER_IMAGE } else { stack.pulled_image() };
    let request: CreateContainer = counter("tour", image, PORT, false)?;
    let (workload, phases, pulled) = Workload::create(stack, number, &request)?;
    workload.expect("created")?;
    let list = stack.operator().call::<ContainerList>(workload.device_id(), &Nothing {})?.containers;
    let view =
        list.iter().find(|container| container.id == workload.id).context("the agent does not list it")?;
    ensure!(view.state == ContainerState::Created, "the agent says {:?}", view.state);
    let mut detail = format!("{} by way of: {}", workload.id, phases.join(", "));
    if !has_image {
        ensure!(phases.iter().any(|phase| phase == "pulling"), "no event told of a pull: {phases:?}");
        ensure!(pulled > 0, "no event told how many bytes were pulled");
        detail += &format!("; pulled {pulled} bytes from {image}");
    }
    Ok((workload, detail))
}

fn logs(stack: &Stack, workload: &Workload) -> Result<((), String)> {
    let wanted = format!("count {COUNT}");
    let query = LogQuery { container: workload.id.clone(), tail: None, since: None };
    // The counter writes a line every second.
    let lines = crate::wait::until(&format!("the logs contain {wanted:?}"), super::EVENT_LIMIT, || {
        let lines = stack.operator().call::<ContainerLogs>(workload.device_id(), &query)?.lines;
        Ok(lines.iter().any(|line| line.text == wanted).then_some(lines))
    })?;
    ensure!(lines.iter().any(|line| line.text == "count 0"), "the first lines are missing");
    Ok(((), format!("{} lines, the last one {:?}", lines.len(), lines[lines.len() - 1].text)))
}

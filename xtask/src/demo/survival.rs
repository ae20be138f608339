//! The tour's third part: what the platform is made of is killed, one by one, and the workload must not notice.

use anyhow::{Result, ensure};
use ecep_proto::api::ContainerList;
use ecep_proto::api::container::ContainerState;
use ecep_proto::api::reply::Nothing;

use super::workload::Workload;
use super::{EVENT_LIMIT, telemetry};
use crate::report::Report;
use crate::stack::{DASHBOARD_API, ROUTER, Stack, agent_name};
use crate::wait;

/// Kills (SIGKILL) the router, the control plane, an agent and an engine.
pub(super) fn prove(report: &mut Report, stack: &Stack, workload: &Workload, number: u8) -> Result<()> {
    report.step("router killed", || {
        survives(stack, workload, || {
            let (old, new) = stack.supervisor().kill(ROUTER)?;
            stack.wait_router()?;
            stack.wait_control_plane()?;
            Ok(format!("router {old} became {new}"))
        })
    })?;
    report.step("control plane killed", || {
        survives(stack, workload, || {
            let (old, new) = stack.supervisor().kill(DASHBOARD_API)?;
            stack.wait_control_plane()?;
            let view = stack.cloud().session()?;
            Ok(format!("control plane {old} became {new}, {} is still logged in", view.email))
        })
    })?;
    report.step("agent killed", || {
        survives(stack, workload, || {
            let (old, new) = stack.supervisor().kill(&agent_name(number))?;
            Ok(format!("agent {old} became {new}"))
        })
    })?;
    report.step("engine killed", || {
        survives(stack, workload, || {
            let device = stack.lab().device(number);
            let old = device.engine_pid();
            device.kill_engine()?;
            device.start_engine()?;
            device.wait_ready()?;
            let new = device.engine_pid();
            ensure!(old != new, "it is the same engine");
            Ok(format!("engine {} became {}", old.unwrap_or_default(), new.unwrap_or_default()))
        })
    })
}

/// The workload is the same process with the same count before and after `harm`, and the platform serves it again.
fn survives(
    stack: &Stack,
    workload: &Workload,
    harm: impl FnOnce() -> Result<String>,
) -> Result<((), String)> {
    let (before, count) = (workload.expect("running")?, workload.add()?);
    let done = harm()?;
    wait::until("the agent lists the container as running", EVENT_LIMIT, || {
        let list = stack.operator().call::<ContainerList>(workload.device_id(), &Nothing {})?.containers;
        let view = list.into_iter().find(|container| container.id == workload.id);
        Ok(view.filter(|container| container.state == ContainerState::Running))
    })?;
    stack.wait_connected()?;
    let telemetry = telemetry::resumes(stack, workload)?;
    let after = workload.facts()?;
    ensure!(after == before, "the container was {before:?} and is {after:?}");
    let next = workload.add()?;
    ensure!(next == count + 1, "the counter stood at {count}, and counts on with {next}");
    Ok(((), format!("{done}; the container is still process {}, at count {next}; {telemetry}", after.pid)))
}

//! The tour's fourth part: what must be refused is, by an error that says what to do, as a stranger's client sees it.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use ecep_proto::api::container::{ContainerOrder, Privileges, StopContainer};
use ecep_proto::api::error::ErrorKind;
use ecep_proto::api::http::CreatedToken;
use ecep_proto::api::name::{DeviceId, TenantSlug};
use ecep_proto::api::reply::Nothing;
use ecep_proto::api::roles::Role;
use ecep_proto::api::{
    ContainerCreate, ContainerInspect, ContainerList, ContainerStart, ContainerStop, DeviceInfo, DeviceList,
    Procedure,
};
use serde_json::json;

use super::EVENT_LIMIT;
use super::workload::{Workload, counter};
use crate::lab::COUNTER_IMAGE;
use crate::report::Report;
use crate::stack::{Cloud, Refused, Stack, WampError};
use crate::wait;

/// The shortest life of an API token; the tour makes one early and comes back when it is over.
pub(super) const SHORT_LIFE: Duration = Duration::from_secs(60);

/// For a token that is used at once.
const ENOUGH: Duration = Duration::from_secs(600);

/// Tries everything that must be refused. `short` was made with [`SHORT_LIFE`]; `workload` belongs to the stack's tenant
/// and runs on the device of that number.
pub(super) fn prove(
    report: &mut Report,
    stack: &Stack,
    workload: &Workload,
    number: u8,
    short: &CreatedToken,
) -> Result<()> {
    let (operator, device) = (stack.operator(), workload.device_id());
    report.step("refused: wrong password", || {
        let mut cloud = Cloud::at(stack.cloud().url());
        let error = refusal(cloud.log_in(&stack.login().email, "not the password"))?;
        let refused: &Refused = error.downcast_ref().context("no refusal")?;
        ensure!(refused.0.status == 401 && refused.0.detail.contains("Check both"), "{refused}");
        Ok(((), refused.to_string()))
    })?;
    report.step("refused: spent join token", || {
        let device = stack.lab().device(number);
        let said = refusal(stack.run_enrol(device, "spent", stack.spent_join_token()))?.to_string();
        ensure!(said.contains("has been used as often as it may be"), "{said}");
        Ok(((), last_line(&said)))
    })?;
    report.step("refused: used ticket", || {
        let ticket = stack.cloud().wamp_ticket(stack.tenant())?;
        let client = stack.client_with(stack.tenant(), &ticket.authid, &ticket.ticket)?;
        client.ask::<DeviceList>(&Nothing {}).context("the ticket does not work even once")?;
        by_wamp(client.ask::<DeviceList>(&Nothing {}), None, "used already")
    })?;
    report.step("refused: telemetry token calls", || {
        by_wamp(
            stack.telemetry().call::<DeviceInfo>(device, &Nothing {}),
            Some("wamp.error.not_authorized"),
            "may not call",
        )
    })?;
    report.step("refused: privileged container", || {
        let mut request = counter("root", COUNTER_IMAGE, 9091, false)?;
        request.privileges = Privileges { privileged: true, ..Privileges::default() };
        let verdict = operator.call::<ContainerCreate>(device, &request);
        let told = by_wamp(verdict, Some(ErrorKind::Forbidden.uri()), "policy")?;
        let list = operator.call::<ContainerList>(device, &Nothing {})?.containers;
        ensure!(list.iter().all(|container| container.name.as_str() != "root"), "it exists all the same");
        Ok(told)
    })?;
    report.step("refused: malformed request", || {
        let arguments = json!({"container": 5}).as_object().cloned().unwrap_or_default();
        let verdict = operator.call_raw(&ContainerStart::on(device), &arguments);
        by_wamp(verdict, Some(ErrorKind::InvalidArgument.uri()), "container: invalid type")
    })?;
    report.step("refused: another tenant's container", || strangers(stack, workload, number))?;
    report.step("refused: expired API token", || {
        let client = stack.client_with(stack.tenant(), &short.id, &short.secret)?;
        wait::until("the token expires", SHORT_LIFE * 2, || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            Ok((now > u128::from(short.expires_at)).then_some(()))
        })?;
        by_wamp(client.ask::<DeviceList>(&Nothing {}), None, "expired on")
    })
}

/// A second tenant has a device on the very same engine, with an agent of its own: it must not see or touch what the
/// first one runs there.
fn strangers(stack: &Stack, workload: &Workload, number: u8) -> Result<((), String)> {
    let globex: TenantSlug = "globex".parse()?;
    stack.cloud().make_tenant(&globex, "Globex")?;
    let token = stack.cloud().make_join_token(&globex, 1, ENOUGH)?;
    let token_file = stack.client_with(&globex, &token.id, &token.secret)?.ticket_file;
    stack.run_enrol(stack.lab().device(number), "globex-agent", &token_file)?;
    stack.run_agent(number, "globex-agent")?;
    let operator = stack.client(&globex, "stranger", Role::Operator)?;
    let device: DeviceId = wait::until("the other tenant's agent serves it", EVENT_LIMIT, || {
        let devices = operator.ask::<DeviceList>(&Nothing {})?.devices;
        ensure!(devices.len() == 1, "the other tenant sees {} devices, not its own one", devices.len());
        operator.call::<DeviceInfo>(&devices[0].id, &Nothing {})?;
        Ok(Some(devices[0].id.clone()))
    })?;
    let list = operator.call::<ContainerList>(&device, &Nothing {})?.containers;
    ensure!(list.is_empty(), "the other tenant sees {list:?}");
    let order = StopContainer { container: workload.id.clone(), grace_seconds: Some(0), operation: None };
    let told = by_wamp(operator.call::<ContainerStop>(&device, &order), Some(ErrorKind::NotFound.uri()), "")?;
    by_wamp(
        operator.call::<ContainerInspect>(&device, &workload.reference()),
        Some(ErrorKind::NotFound.uri()),
        "",
    )?;
    let order = ContainerOrder { container: workload.id.clone(), operation: None };
    // The first tenant's device is not even in the other one's realm.
    by_wamp(
        operator.call::<ContainerStart>(workload.device_id(), &order),
        Some("wamp.error.no_such_procedure"),
        "",
    )?;
    workload.expect("running")?;
    Ok(told)
}

fn refusal<T: Debug>(outcome: Result<T>) -> Result<anyhow::Error> {
    match outcome {
        Ok(value) => bail!("it was not refused, but answered {value:?}"),
        Err(error) => Ok(error),
    }
}

/// Checks what the stock client saw: that URI, if it matters, and a message with that hint.
fn by_wamp<T: Debug>(outcome: Result<T>, uri: Option<&str>, hint: &str) -> Result<((), String)> {
    let error = refusal(outcome)?;
    let Some(seen) = error.downcast_ref::<WampError>() else { return Err(error) };
    ensure!(uri.is_none_or(|uri| seen.uri == uri), "the URI is not {}: {seen}", uri.unwrap_or_default());
    ensure!(!seen.message.is_empty() && seen.message.contains(hint), "it does not say {hint:?}: {seen}");
    Ok(((), seen.to_string()))
}

fn last_line(text: &str) -> String {
    text.lines().next_back().unwrap_or_default().into()
}

//! The tour's part about moves: the sample application goes to the other device and back, and a client outside counts on
//! over one TCP connection.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ecep_proto::api::migration::{MigrationMode, MigrationState};

use super::workload::Workload;
use super::{EVENT_LIMIT, SAMPLE};
use crate::report::Report;
use crate::stack::{Counting, Stack, http_client};
use crate::wait;

/// The counter's own port.
const COUNTER_PORT: u16 = 8080;

/// A move takes some seconds; a busy machine needs longer.
const MOVE_LIMIT: Duration = Duration::from_secs(120);

/// Moves it there and back.
pub(super) fn prove(report: &mut Report, stack: &Stack, sample: &Workload) -> Result<()> {
    let _route = stack.route_through(1)?;
    let address = stack.placed(&sample.id)?.container.address.context("the counter has no address")?;
    let client = report.step("outside client", || {
        let client = Counting::start(address, COUNTER_PORT)?;
        client.wait_on(EVENT_LIMIT)?;
        Ok((client, format!("counts at {address}:{COUNTER_PORT} over one TCP connection")))
    })?;
    for (from, to) in [(1, 2), (2, 1)] {
        report.step(&format!("moved to edge-{to}"), || move_to(stack, sample, &client, from, to))?;
    }
    report.step("outside client counted on", || {
        let (answers, longest) = client.stop()?;
        Ok((
            (),
            format!(
                "{answers} answers, none lost, doubled or out of order; longest wait {} ms",
                longest.as_millis()
            ),
        ))
    })
}

fn move_to(stack: &Stack, sample: &Workload, client: &Counting, from: u8, to: u8) -> Result<((), String)> {
    let destination = stack.id(to);
    // An agent that was killed tries out anew whether it can move containers, and the move before may not be over at both ends yet.
    stack.await_movable(&sample.id, to, EVENT_LIMIT)?;
    let operation = wait::until("the move can be ordered", EVENT_LIMIT, || {
        stack.order_move(&sample.id, destination, MigrationMode::Live).map(Some)
    })?;
    let moved = stack.await_move(&operation, MOVE_LIMIT)?;
    ensure!(moved.state == MigrationState::Done, "it failed: {}", moved.error.unwrap_or_default());
    let downtime = wait::until("the source tells how long it stood still", EVENT_LIMIT, || {
        Ok(stack.await_move(&operation, MOVE_LIMIT)?.downtime_ms)
    })?;
    client.wait_on(EVENT_LIMIT)?;
    wait::until("the list shows it there alone", EVENT_LIMIT, || {
        Ok((stack.placed(&sample.id)?.device == *destination).then_some(()))
    })?;
    // The engines themselves, from outside the platform.
    wait::until("the source's engine has nothing left of it", EVENT_LIMIT, || {
        Ok(engine_has(stack, sample, from)?.is_empty().then_some(()))
    })?;
    ensure!(!engine_has(stack, sample, to)?.is_empty(), "the destination's engine does not have it");
    // The port that it left behind leads to it.
    let url = format!("http://{}:{}/count", stack.lab().device(from).address(), SAMPLE.1);
    let port = wait::until("the port that it left leads to it", EVENT_LIMIT, || {
        Ok(Some(http_client(EVENT_LIMIT).get(&url).call()?.body_mut().read_to_string()?.trim().to_owned()))
    })?;
    Ok((
        (),
        format!("stood still for {downtime} ms; edge-{from}'s port {} leads to it, count {port}", SAMPLE.1),
    ))
}

fn engine_has(stack: &Stack, sample: &Workload, number: u8) -> Result<String> {
    let label = format!("label={}={}", ecep_proto::api::label::CONTAINER, sample.id);
    stack.lab().device(number).run_docker(["ps", "--all", "--quiet", "--filter", &label])
}

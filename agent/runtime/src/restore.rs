//! The runtime's own work: `create` of a container for which a restore is ordered, and the `start` after it.
//!
//! From the moment that an order is found, whatever goes wrong fails the `create`: the engine reports it, and nothing
//! starts afresh in silence.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::bundle;
use crate::cause;
use crate::invocation::{Create, Start};
use crate::order::{Claim, Order, Orders, Outcome, Then};
use crate::runc;
use crate::stopped;
use crate::wiring::{self, Network, Wish};

/// How the reason begins where runc and CRIU refuse the images, so that trying them again is of no use.
pub const REFUSED: &str = "runc restore failed";

/// What is said to the engine, in place of a panic or a backtrace.
type Reason = String;

/// Carries out the order for this container.
///
/// # Errors
/// The reason why there is no container; it is in the order's result, too.
pub fn create(create: &Create, orders: &Orders, runc: &Path) -> Result<(), Reason> {
    let claim = orders.claim(&create.id).map_err(|error| error.to_string())?;
    let outcome = restore(create, &claim, runc);
    let result = match &outcome {
        Ok((pid, milliseconds)) => Outcome::Restored { pid: *pid, milliseconds: *milliseconds },
        Err(reason) => Outcome::Failed { reason: reason.clone(), log: cause::log_tail(&claim.work()) },
    };
    // The agent proves the restore by this file; without it there must be no container.
    if let Err(error) = claim.finish(&result) {
        remove(create, runc);
        return Err(format!("cannot write the restore's result: {error}"));
    }
    outcome.map(drop)
}

fn restore(create: &Create, claim: &Claim, runc: &Path) -> Result<(i32, u64), Reason> {
    let (order, work) = (&claim.order, claim.work());
    let criu = work.join("criu.conf");
    fs::write(&criu, bundle::criu_configuration(order))
        .map_err(|error| format!("{}: {error}", criu.display()))?;
    let network = network(create, order, &criu)?;
    claim.wait().map_err(|error| error.to_string())?;
    let start = Instant::now();
    // Standard input, output and error become the container's.
    let status = Command::new(runc)
        .args(create.restore_arguments(&order.images, &work))
        .status()
        .map_err(|error| format!("cannot run {}: {error}", runc.display()))?;
    if !status.success() {
        let log = cause::log_tail(&work);
        let log = if log.is_empty() { last_message(create) } else { log };
        let advice = cause::find(&log).map_or("", |cause| cause.advice);
        return Err(format!("{REFUSED} ({status}): {advice} [{}]", cause::first_line(&log)));
    }
    let elapsed = start.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    let finished = first_process(create).and_then(|pid| {
        if network.is_some() {
            runc::forget_network_path(&create.root, &create.id)
                .map_err(|error| format!("cannot change runc's state of the container: {error}"))?;
        }
        if order.then == Then::Freeze {
            stopped::freeze(pid, &order.images).map_err(|error| error.to_string())?;
        }
        Ok((pid, elapsed))
    });
    if finished.is_err() {
        remove(create, runc);
    }
    finished
}

/// Makes the container's network, and tells runc of it and of CRIU's configuration; none where it shares one.
fn network(create: &Create, order: &Order, criu: &Path) -> Result<Option<Network>, Reason> {
    let changed = |error| format!("cannot change the bundle {}: {error}", create.bundle.display());
    let mut configuration = bundle::read(&create.bundle).map_err(changed)?;
    let kind = bundle::network(&configuration);
    let (hook, addresses) = match &kind {
        bundle::Network::ByHook(hook) => (Some(hook), &[][..]),
        bundle::Network::AfterCreate => (None, order.addresses.as_slice()),
        bundle::Network::Shared if order.isolated => {
            return Err(
                "it shares a network, so it cannot be restored in isolation; create it on a bridge".into()
            );
        }
        bundle::Network::Shared => {
            bundle::prepare(&mut configuration, criu, None);
            bundle::replace(&create.bundle, &configuration).map_err(changed)?;
            return Ok(None);
        }
    };
    let state = json!({
        "ociVersion": configuration["ociVersion"],
        "id": create.id,
        "status": "creating",
        "bundle": create.bundle,
    });
    let made = Network::make().and_then(|network| {
        let wish = Wish { cut: order.isolated, addresses };
        network.connect(wish, &configuration, hook, &state)?;
        Ok(network)
    });
    let network = made.map_err(|error| format!("cannot make the container's network: {error}"))?;
    bundle::prepare(&mut configuration, criu, Some(&network.path()));
    bundle::replace(&create.bundle, &configuration).map_err(changed)?;
    Ok(Some(network))
}

/// `start` of a container that was restored: its processes are there already. False when it was not restored, or was
/// started before.
///
/// # Errors
/// The reason why it must not run.
pub fn start(start: &Start, orders: &Orders) -> Result<bool, Reason> {
    let Some((pid, order)) = orders.take_start(&start.id).map_err(|error| error.to_string())? else {
        return Ok(false);
    };
    // It was done before the restore for every container that its engine's hook connects.
    if !shares_our_network(pid) {
        wiring::connected(pid, order.isolated)
            .map_err(|error| format!("cannot isolate the container: {error}"))?;
        wiring::take_back(pid, &order.addresses).map_err(|error| error.to_string())?;
    }
    Ok(true)
}

fn shares_our_network(pid: i32) -> bool {
    let network = |of: &str| fs::read_link(format!("/proc/{of}/ns/net")).ok();
    network("self") == network(&pid.to_string())
}

fn first_process(create: &Create) -> Result<i32, Reason> {
    let path = create.pid_file.as_ref().ok_or("the engine named no pid file")?;
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.trim().parse().map_err(|_| format!("{} holds no number", path.display()))
}

fn remove(create: &Create, runc: &Path) {
    // It failed already; the engine tries to remove it, too.
    let _ = Command::new(runc).args(&create.globals).args(["delete", "--force"]).arg(&create.id).status();
}

/// What runc told the engine last.
fn last_message(create: &Create) -> String {
    let text = create.log.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let message = text.lines().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(line["msg"].as_str()?.to_owned())
    });
    message.unwrap_or_default()
}

/// Tells the engine why, in the file where it looks for runc's messages (one JSON object a line); the last one with the
/// level `error` is what `docker start` shows.
pub fn tell_engine(log: Option<&Path>, reason: &str) {
    let line = json!({"level": "error", "msg": format!("ecep-runtime: {reason}")});
    if let Some(log) = log
        && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(log)
    {
        // There is no third place to report to.
        let _ = writeln!(file, "{line}");
    }
}

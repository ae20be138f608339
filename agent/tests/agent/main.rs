//! The whole agent against a real router in this process, driven by a plain WAMP client as a third party would:
//! with the simulated engine, and with Docker where ECEP_TEST_DOCKER names its socket.

mod applications;
mod audit;
mod channel;
mod client;
mod cloud;
mod device;
mod docker;
mod foreign;
mod killed;
mod orders;
mod program;
#[path = "../real_docker/mod.rs"]
mod real_docker;
mod repair;
mod secrets;
mod shares;
mod summaries;

use std::time::Duration;

/// Far beyond what any step takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between looks at what nobody tells of.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An engine has one agent: another one would bring to an end what the first is at.
static ENGINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Waits, but not for ever.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

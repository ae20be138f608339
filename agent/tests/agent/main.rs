//! The whole agent against a real router in this process, driven by a plain WAMP client as a third party would:
//! with the simulated engine, and with Docker where ECEP_TEST_DOCKER names its socket.

mod audit;
mod client;
mod cloud;
mod device;
mod docker;
mod foreign;
mod orders;
#[path = "../real_docker/mod.rs"]
mod real_docker;
mod repair;
mod secrets;
mod shares;
mod summaries;

use std::time::Duration;

/// Far beyond what any step takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits, but not for ever.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

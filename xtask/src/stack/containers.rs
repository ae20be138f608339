//! Containers as tests and benchmarks use them: created, asked, moved and deleted, each in one step.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ecep_proto::api::container::{CreateContainer, DeleteContainer};
use ecep_proto::api::migration::{MigrationMode, MigrationState};
use ecep_proto::api::name::{ContainerId, OperationId};
use ecep_proto::api::{ContainerCreate, ContainerDelete};

use super::{Stack, http_client};
use crate::wait;

/// The counter's own port of HTTP.
const COUNTER_PORT: u16 = 8080;

impl Stack {
    /// Creates a container on a device; answers its id and its address for life.
    ///
    /// # Errors
    /// The device refuses, or the control plane does not list it within `limit`.
    pub fn create(
        &self,
        number: u8,
        order: &CreateContainer,
        limit: Duration,
    ) -> Result<(ContainerId, Ipv4Addr)> {
        let (reply, _) = self.operator().order::<ContainerCreate>(self.id(number), order)?;
        let id = reply.container_id.context("the reply names no container")?;
        let address = self.await_address(&id, limit)?;
        Ok((id, address))
    }

    /// Deletes a container that is on a device, whether it runs or not.
    ///
    /// # Errors
    /// The device refuses.
    pub fn delete(&self, number: u8, container: &ContainerId) -> Result<()> {
        let order = DeleteContainer { container: container.clone(), force: true, operation: None };
        self.operator().order::<ContainerDelete>(self.id(number), &order)?;
        Ok(())
    }

    /// Moves a container, as soon as an earlier move of it lets that be, until the control plane lists it there.
    ///
    /// # Errors
    /// It does not get there, or not within `limit`.
    pub fn move_to(
        &self,
        container: &ContainerId,
        number: u8,
        mode: MigrationMode,
        limit: Duration,
    ) -> Result<OperationId> {
        let operation = wait::until("the move can be ordered", limit, || {
            self.order_move(container, self.id(number), mode).map(Some)
        })?;
        let moved = self.await_move(&operation, limit)?;
        ensure!(moved.state == MigrationState::Done, "{}", moved.error.unwrap_or_default());
        wait::until("it is listed there", limit, || {
            Ok((self.placed(container)?.device == *self.id(number)).then_some(()))
        })?;
        Ok(operation)
    }
}

/// The number of a counter at its own address; `/add` raises it first.
///
/// # Errors
/// It does not answer so.
pub fn ask_counter(address: Ipv4Addr, path: &str, limit: Duration) -> Result<u64> {
    let url = format!("http://{address}:{COUNTER_PORT}{path}");
    let mut answer = if path == "/add" {
        http_client(limit).post(&url).send_empty()?
    } else {
        http_client(limit).get(&url).call()?
    };
    let text = answer.body_mut().read_to_string()?;
    text.trim().parse().with_context(|| format!("the counter answered {text:?}"))
}

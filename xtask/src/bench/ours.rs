//! Our own ways, as a stock client orders and follows them.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ecep_proto::api::container::CreateContainer;
use ecep_proto::api::label;
use ecep_proto::api::migration::{MigrateContainer, MigrationMode, MigrationState, MigrationView};
use ecep_proto::api::name::ContainerId;

use super::cells::Cell;
use super::subject::{LIMIT, Subject, Took, await_filled, environment};
use crate::stack::Stack;
use crate::{lab, wait};

/// The devices have tried out before whether they can; this is only the question.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// A container of the platform.
pub(super) struct Ours<'a> {
    stack: &'a Stack,
    container: ContainerId,
    address: Ipv4Addr,
    mode: MigrationMode,
}

impl<'a> Ours<'a> {
    /// Creates it on device `at`, to be moved so.
    pub(super) fn create(stack: &'a Stack, cell: &Cell, mode: MigrationMode, at: u8) -> Result<Self> {
        let mut order = CreateContainer::new("bench".parse()?, lab::COUNTER_IMAGE);
        order.env.extend(environment(cell).map(|(name, value)| (name.to_owned(), value)));
        let (container, address) = stack.create(at, &order, LIMIT)?;
        let mut ours = Self { stack, container, address, mode };
        if let Err(error) = ours.await_ready(at) {
            ours.remove()?;
            return Err(error);
        }
        Ok(ours)
    }

    fn await_ready(&self, at: u8) -> Result<()> {
        let device = self.stack.lab().device(at);
        let label = format!("label={}={}", label::CONTAINER, self.container);
        await_filled(device, &device.run_docker(["ps", "--quiet", "--filter", &label])?)?;
        self.stack.await_movable(&self.container, 3 - at, READY_LIMIT)
    }

    /// Its id.
    pub(super) fn container(&self) -> &ContainerId {
        &self.container
    }
}

impl Subject for Ours<'_> {
    fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn go(&mut self, to: u8) -> Result<Took> {
        let order = MigrateContainer::new(self.container.clone(), self.stack.id(to).clone(), self.mode);
        let view = self.stack.operator().follow_move(&order, LIMIT)?;
        if view.state != MigrationState::Done {
            bail!("{}", view.error.unwrap_or_default());
        }
        // The source tells the last figures a moment after the end.
        let view = wait::until("its figures are told", LIMIT, || {
            let view = self.stack.await_move(&view.operation, LIMIT)?;
            Ok(view.downtime_ms.is_some().then_some(view))
        })?;
        took(&view)
    }

    fn remove(&mut self) -> Result<()> {
        // A move that has just ended keeps the order out for a moment.
        wait::until("it is deleted", LIMIT, || {
            let device = self.stack.placed(&self.container)?.device;
            let number = (1..).zip(self.stack.devices()).find(|(_, id)| **id == device);
            let (number, _) = number.context("it is on no device of the lab")?;
            self.stack.delete(number, &self.container).map(Some)
        })
    }
}

fn took(view: &MigrationView) -> Result<Took> {
    let phases = view.phases.iter();
    Ok(Took {
        downtime_ms: view.downtime_ms.context("the move told no downtime")?,
        total_ms: view.ended_at.context("the move has no end")? - view.started_at,
        phases: phases.map(|took| (format!("{:?}", took.phase).to_lowercase(), took.milliseconds)).collect(),
    })
}

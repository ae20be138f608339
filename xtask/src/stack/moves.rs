//! Moves, as a stock client orders and follows them, and a client outside of the platform that holds one connection to a
//! container wherever it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ecep_proto::api::fleet::PlacedContainer;
use ecep_proto::api::migration::{
    MigrateContainer, MigrationMode, MigrationQuery, MigrationState, MigrationView, Preflight,
    PreflightMigration, Verdict,
};
use ecep_proto::api::name::{ContainerId, DeviceId, OperationId};
use ecep_proto::api::reply::Nothing;
use ecep_proto::api::{ContainerMigrate, ContainerPreflight, FleetContainerList, MigrationHistory};

use super::Stack;
use crate::lab::Device;
use crate::{shell, wait};

/// A client waits this long for one answer: longer than any interruption that is promised.
const PATIENCE: Duration = Duration::from_secs(90);
/// A real client is not a flood.
const PAUSE: Duration = Duration::from_millis(5);

impl Stack {
    /// What stands in the way of a move.
    ///
    /// # Errors
    /// The control plane refuses to look.
    pub fn preflight(&self, container: &ContainerId, destination: &DeviceId) -> Result<Preflight> {
        let request = PreflightMigration { container: container.clone(), destination: destination.clone() };
        self.operator().ask::<ContainerPreflight>(&request)
    }

    /// Waits until the control plane lists a container, and answers its address for life.
    ///
    /// # Errors
    /// It does not within `limit`, or the container has no address.
    pub fn await_address(&self, container: &ContainerId, limit: Duration) -> Result<Ipv4Addr> {
        let placed = wait::until("the control plane lists it", limit, || self.placed(container).map(Some))?;
        placed.container.address.context("it has no address")
    }

    /// Waits until a container can be moved live to a device: both try out at their start whether they can.
    ///
    /// # Errors
    /// It cannot within `limit`.
    pub fn await_movable(&self, container: &ContainerId, number: u8, limit: Duration) -> Result<()> {
        wait::until("it can be moved live", limit, || {
            let preflight = self.preflight(container, self.id(number))?;
            ensure!(preflight.verdict == Verdict::Live, "{:?}", preflight.checks);
            Ok(Some(()))
        })
    }

    /// Orders a move.
    ///
    /// # Errors
    /// The control plane refuses.
    pub fn order_move(
        &self,
        container: &ContainerId,
        destination: &DeviceId,
        mode: MigrationMode,
    ) -> Result<OperationId> {
        let request = MigrateContainer::new(container.clone(), destination.clone(), mode);
        Ok(self.operator().ask::<ContainerMigrate>(&request)?.operation)
    }

    /// Waits for the end of a move; with its figures, where it went well.
    ///
    /// # Errors
    /// It did not end within `limit`.
    pub fn await_move(&self, operation: &OperationId, limit: Duration) -> Result<MigrationView> {
        wait::until("the move ends", limit, || {
            let all = self.operator().ask::<MigrationHistory>(&MigrationQuery { container: None })?;
            let view = all.migrations.into_iter().find(|view| view.operation == *operation);
            let view = view.context("the move is not listed")?;
            Ok((view.state != MigrationState::Running).then_some(view))
        })
    }

    /// Where a container is, as the control plane lists it.
    ///
    /// # Errors
    /// It is not listed exactly once.
    pub fn placed(&self, container: &ContainerId) -> Result<PlacedContainer> {
        let mut listed = self.operator().ask::<FleetContainerList>(&Nothing {})?.containers;
        listed.retain(|placed| placed.container.id == *container);
        match listed.len() {
            1 => Ok(listed.remove(0)),
            count => bail!("container {container} is listed {count} times"),
        }
    }

    /// Gives this machine a route to all containers, through one of the devices; it goes with the answer's drop.
    ///
    /// # Errors
    /// The system refuses.
    pub fn route_through(&self, number: u8) -> Result<Route> {
        Route::add(self.lab().address_pool(), self.lab().device(number))
    }
}

/// A route of this machine.
#[derive(Debug)]
pub struct Route {
    network: String,
}

impl Route {
    /// Leads to a network, written `address/bits`, through a device.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add(network: String, via: &Device) -> Result<Self> {
        let route = Self { network };
        route.lead_through(via)?;
        Ok(route)
    }

    /// Leads through that device from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn lead_through(&self, via: &Device) -> Result<()> {
        shell::run("ip", ["route", "replace", &self.network, "via", &via.address().to_string()]).map(drop)
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        // It goes with the lab's bridge, too.
        let _ = shell::run("ip", ["route", "del", &self.network]);
    }
}

/// A client outside of all devices that counts a counter up over one TCP connection, and checks each answer: none may be
/// lost, doubled or out of order.
pub struct Counting {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    /// In milliseconds, since somebody asked.
    longest: Arc<AtomicU64>,
    worker: JoinHandle<Result<(u64, Duration)>>,
}

impl Counting {
    /// Connects and counts.
    ///
    /// # Errors
    /// It cannot connect.
    pub fn start(address: Ipv4Addr, port: u16) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), PATIENCE)
            .with_context(|| format!("cannot connect to {address}:{port}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let recent = Arc::<AtomicU64>::default();
        let (stopped, counted, waited) = (Arc::clone(&stop), Arc::clone(&count), Arc::clone(&recent));
        let worker = thread::spawn(move || {
            let mut writer = stream.try_clone()?;
            let mut reader = BufReader::new(stream);
            let (mut last, mut longest, mut answers) = (None, Duration::ZERO, 0);
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                writer.write_all(b"POST /add HTTP/1.1\r\nHost: counter\r\nContent-Length: 0\r\n\r\n")?;
                let now = read_answer(&mut reader).context("the connection was lost")?;
                let wait = start.elapsed();
                longest = longest.max(wait);
                waited.fetch_max(wait.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
                ensure!(last.is_none_or(|last| now == last + 1), "the count was {last:?} and is {now}");
                last = Some(now);
                answers += 1;
                counted.store(now, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
            Ok((answers, longest))
        });
        Ok(Self { stop, count, longest: recent, worker })
    }

    /// The longest wait for an answer since this was asked last.
    pub fn take_longest_wait(&self) -> Duration {
        Duration::from_millis(self.longest.swap(0, Ordering::Relaxed))
    }

    /// The last answer.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until it has counted on.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub fn wait_on(&self, limit: Duration) -> Result<()> {
        let before = self.count();
        wait::until("the outside client counts on", limit, || {
            ensure!(!self.worker.is_finished(), "the client has ended");
            Ok((self.count() > before + 1).then_some(()))
        })
    }

    /// Ends it: how many answers it got on its one connection, and the longest wait for one.
    ///
    /// # Errors
    /// Something was lost, doubled or out of order, or the connection broke.
    pub fn stop(self) -> Result<(u64, Duration)> {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().map_err(|_| anyhow::anyhow!("the client panicked"))?
    }
}

/// Reads one answer of a counter over HTTP.
///
/// # Errors
/// The connection was closed, or it is no number.
pub fn read_answer(reader: &mut BufReader<TcpStream>) -> Result<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            bail!("it was closed");
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let text = String::from_utf8_lossy(&body);
    text.trim().parse().with_context(|| format!("the counter answered {text:?}"))
}

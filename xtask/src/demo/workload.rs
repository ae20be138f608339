//! A sample container of the tour, looked at from outside the platform: by the device's own engine, and by HTTP at the
//! device's address. What the platform says is compared with this.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ecep_proto::api::container::{ContainerRef, CreateContainer, PortMapping, Protocol};
use ecep_proto::api::name::{ContainerId, ContainerName, DeviceId};
use ecep_proto::api::{ContainerCreate, ContainerInspect};
use serde_json::Value;

use crate::lab::Device;
use crate::stack::{Stack, http_client};
use crate::wait;

/// The counter's own port.
const COUNTER_PORT: u16 = 8080;

/// A container's program takes a moment to listen; the longest answer is that of a burn.
const HTTP_LIMIT: Duration = Duration::from_secs(60);

/// A counter on a device.
pub(super) struct Workload<'a> {
    stack: &'a Stack,
    number: u8,
    /// Its ECEP id.
    pub id: ContainerId,
    /// The engine's own id.
    engine_id: String,
    /// The device's port.
    port: u16,
}

/// What the engine says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub status: String,
    pub pid: u64,
    pub started_at: String,
    pub restart_count: u64,
}

/// A request for a counter.
pub(super) fn counter(name: &str, image: &str, port: u16, start: bool) -> Result<CreateContainer> {
    let name: ContainerName = name.parse()?;
    Ok(CreateContainer {
        ports: vec![PortMapping { container: COUNTER_PORT, host: Some(port), protocol: Protocol::Tcp }],
        start,
        ..CreateContainer::new(name, image)
    })
}

impl<'a> Workload<'a> {
    /// Orders it; answers it and the phases that the events told of, with the bytes that were pulled.
    pub fn create(
        stack: &'a Stack,
        number: u8,
        request: &CreateContainer,
    ) -> Result<(Self, Vec<String>, u64)> {
        let device = stack.id(number);
        let (reply, events) = stack.operator().order::<ContainerCreate>(device, request)?;
        let id = reply.container_id.context("the reply names no container")?;
        let mut phases: Vec<String> = events.iter().map(|event| event.phase.clone()).collect();
        phases.dedup();
        let pulled = events.iter().filter_map(|event| event.bytes_done).max().unwrap_or(0);
        let detail =
            stack.operator().call::<ContainerInspect>(device, &ContainerRef { container: id.clone() })?;
        let port = request.ports[0].host.context("the request chooses no port")?;
        let workload = Self { stack, number, id, engine_id: detail.engine_id, port };
        let label = format!("label={}={}", ecep_proto::api::label::CONTAINER, workload.id);
        let listed =
            workload.device().run_docker(["ps", "--all", "--quiet", "--no-trunc", "--filter", &label])?;
        ensure!(
            listed == workload.engine_id,
            "the engine knows {listed:?}, the agent says {}",
            workload.engine_id
        );
        Ok((workload, phases, pulled))
    }

    fn device(&self) -> &'a Device {
        self.stack.lab().device(self.number)
    }

    /// The id of its device.
    pub fn device_id(&self) -> &'a DeviceId {
        self.stack.id(self.number)
    }

    /// Its id, as calls want it.
    pub fn reference(&self) -> ContainerRef {
        ContainerRef { container: self.id.clone() }
    }

    /// Its page, for a person.
    pub fn url(&self) -> String {
        format!("http://{}:{}/", self.device().address(), self.port)
    }

    /// Asks the engine.
    pub fn facts(&self) -> Result<Facts> {
        let text = self.device().run_docker(["inspect", &self.engine_id])?;
        let all: Value = serde_json::from_str(&text).context("docker inspect printed no JSON")?;
        let state = &all[0]["State"];
        Ok(Facts {
            status: state["Status"].as_str().context("no status")?.into(),
            pid: state["Pid"].as_u64().context("no pid")?,
            started_at: state["StartedAt"].as_str().context("no start time")?.into(),
            restart_count: all[0]["RestartCount"].as_u64().context("no restart count")?,
        })
    }

    /// Asks the engine, and fails if it is not in that state.
    pub fn expect(&self, status: &str) -> Result<Facts> {
        let facts = self.facts()?;
        ensure!(facts.status == status, "the engine says {}, not {status}", facts.status);
        Ok(facts)
    }

    /// Whether the engine still knows it.
    pub fn exists(&self) -> Result<bool> {
        let all = self.device().run_docker(["ps", "--all", "--quiet", "--no-trunc"])?;
        Ok(all.lines().any(|id| id == self.engine_id))
    }

    /// The number that it has counted to.
    pub fn count(&self) -> Result<u64> {
        // A port may still be closed for a moment after a start.
        wait::until("the counter answers", HTTP_LIMIT, || self.ask("count").map(Some))
    }

    /// Raises the number.
    pub fn add(&self) -> Result<u64> {
        let mut response = http_client(HTTP_LIMIT).post(format!("{}add", self.url())).send_empty()?;
        number(&response.body_mut().read_to_string()?)
    }

    /// Fails if something answers at its port.
    pub fn expect_silence(&self) -> Result<()> {
        match self.ask("count") {
            Ok(count) => bail!("{} still answers {count}", self.url()),
            Err(_) => Ok(()),
        }
    }

    /// Keeps one core busy; answers when that is over.
    pub fn burn(&self, length: Duration) -> Result<()> {
        let url = format!("{}burn?ms={}", self.url(), length.as_millis());
        let response = http_client(HTTP_LIMIT).get(url).call()?;
        ensure!(response.status().is_success(), "the counter answered {}", response.status());
        Ok(())
    }

    fn ask(&self, path: &str) -> Result<u64> {
        let mut response = http_client(HTTP_LIMIT).get(format!("{}{path}", self.url())).call()?;
        number(&response.body_mut().read_to_string()?)
    }
}

fn number(text: &str) -> Result<u64> {
    text.trim().parse().with_context(|| format!("the counter answered {text:?}"))
}

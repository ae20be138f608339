//! An engine in memory, for tests of agents and whole fleets without one Docker engine for each device.
//!
//! It keeps the same contract as `docker` (agent/tests/engine_contract.rs). It runs no programs: a container
//! runs until it is stopped, or until a test lets it exit. Its registry has every image except those whose
//! name begins with `missing`.

mod images;
mod look;
mod state;
mod terminal;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use ecep_proto::api::{
    container::{ContainerState, LogLine, LogLines, LogStream},
    device::EngineFacts,
    file::EntryList,
    image::ImageView,
    name::TenantSlug,
    network::Subnet,
    terminal::TerminalSize,
};
use futures_util::{StreamExt, stream};
use tokio::sync::{broadcast, watch};

use self::state::{Container, Image, World};
use super::{
    Archive, BuildOrder, ByteStream, Engine, EngineContainer, EngineError, EngineEvent, EngineEvents, Found,
    Health, ImageFacts, LogWindow, NamedVolume, Output, OutputWish, PullProgress, TerminalIo,
    docker::mobility::Mobility,
};
use crate::policy::AllowedBody;

/// Events that a slow listener may be behind; one that is further behind loses the stream, as with a real
/// engine that restarts, and lists anew.
const EVENTS_BEHIND: usize = 256;
/// The size of every image.
const IMAGE_BYTES: u64 = 1_000_000;

/// An engine in memory.
pub struct SimEngine {
    world: Arc<Mutex<World>>,
    /// Rises with every line that is written and every change of a container.
    written: watch::Sender<u64>,
    events: broadcast::Sender<EngineEvent>,
    reachable: watch::Sender<bool>,
    pulls_held: watch::Sender<bool>,
}

impl Default for SimEngine {
    fn default() -> Self {
        Self {
            world: Arc::default(),
            written: watch::Sender::new(0),
            events: broadcast::Sender::new(EVENTS_BEHIND),
            reachable: watch::Sender::new(true),
            pulls_held: watch::Sender::new(false),
        }
    }
}

impl SimEngine {
    /// Takes the engine away, or gives it back; its containers go on meanwhile (`live-restore`).
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.send_replace(reachable);
    }

    /// Lets pulls wait half-way, or go on.
    pub fn hold_pulls(&self, held: bool) {
        self.pulls_held.send_replace(held);
    }

    /// Lets a tenant's containers and volumes take so many bytes.
    pub fn set_disk_used(&self, tenant: &TenantSlug, bytes: u64) {
        self.world().disk_used.insert(tenant.clone(), bytes);
    }

    /// Lets a running container end by itself.
    ///
    /// # Errors
    /// `NotFound` where there is none of that id.
    pub fn exit(&self, engine_id: &str, code: i64) -> Result<(), EngineError> {
        self.change(engine_id, |container, _| {
            container.exited(code);
            Ok(true)
        })
    }

    /// Lets a container's own check find this.
    ///
    /// # Errors
    /// `NotFound` where there is none of that id.
    pub fn set_health(&self, engine_id: &str, health: Health) -> Result<(), EngineError> {
        self.world().container(engine_id)?.seen.health = Some(health);
        Ok(())
    }

    /// Lets a registry have an image that does this at once when something is built from it.
    pub fn set_on_build(&self, reference: &str, on_build: &[&str]) {
        let on_build = on_build.iter().map(|line| (*line).to_owned()).collect();
        self.world().images.insert(reference.to_owned(), Image { on_build, ..Image::default() });
    }

    /// Lets a container write a line.
    ///
    /// # Errors
    /// `NotFound` where there is none of that id.
    pub fn write(&self, engine_id: &str, stream: LogStream, text: &str) -> Result<(), EngineError> {
        self.world().container(engine_id)?.write(stream, text.to_owned());
        self.written.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Puts a file into a container, at an absolute path.
    ///
    /// # Errors
    /// `NotFound` where there is none of that id.
    pub fn put_file(&self, engine_id: &str, path: &str, content: Bytes) -> Result<(), EngineError> {
        self.world().container(engine_id)?.files.insert(path.to_owned(), content);
        Ok(())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn reached(&self) -> Result<(), EngineError> {
        if *self.reachable.borrow() {
            return Ok(());
        }
        Err(EngineError::Unreachable("the simulated engine is switched off".to_owned()))
    }

    fn tell(&self, engine_id: &str) {
        self.written.send_modify(|count| *count += 1);
        // Nobody may be listening.
        let _ = self.events.send(EngineEvent { engine_id: engine_id.to_owned() });
    }

    /// Changes one container; `change` answers whether anything is different.
    fn change(
        &self,
        engine_id: &str,
        change: impl FnOnce(&mut Container, &[u16]) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        let mut world = self.world();
        let taken = world.ports_in_use(engine_id);
        let container = world.container(engine_id)?;
        let different = change(container, &taken)?;
        drop(world);
        if different {
            self.tell(engine_id);
        }
        Ok(())
    }
}

impl Engine for SimEngine {
    async fn facts(&self) -> EngineFacts {
        let reachable = *self.reachable.borrow();
        let problem = "The simulated engine is switched off.".to_owned();
        EngineFacts {
            kind: "sim".to_owned(),
            reachable,
            version: reachable.then(|| env!("CARGO_PKG_VERSION").to_owned()),
            api_version: None,
            live_restore: Some(true),
            problems: if reachable { Vec::new() } else { vec![problem] },
        }
    }

    async fn storage(&self) -> Option<PathBuf> {
        None
    }

    async fn list(&self) -> Result<Vec<EngineContainer>, EngineError> {
        self.reached()?;
        let world = self.world();
        let seen = world.containers.values().map(|container| &container.seen);
        Ok(seen.filter(|seen| !world.has_successor(seen)).cloned().collect())
    }

    async fn inspect(&self, engine_id: &str) -> Result<EngineContainer, EngineError> {
        self.reached()?;
        let mut world = self.world();
        let seen = world.container(engine_id)?.seen.clone();
        if world.has_successor(&seen) {
            return Err(EngineError::NotFound(format!("{engine_id} is being replaced")));
        }
        Ok(seen)
    }

    async fn replaced(&self) -> Result<Vec<EngineContainer>, EngineError> {
        self.reached()?;
        let world = self.world();
        let seen = world.containers.values().map(|container| &container.seen);
        Ok(seen.filter(|seen| seen.replacing.is_some()).cloned().collect())
    }

    async fn create(&self, name: &str, body: AllowedBody) -> Result<String, EngineError> {
        self.reached()?;
        let id = self.world().create(name, body.into_inner())?;
        self.tell(&id);
        Ok(id)
    }

    async fn start(&self, engine_id: &str) -> Result<(), EngineError> {
        self.reached()?;
        self.change(engine_id, Container::start)
    }

    async fn stop(&self, engine_id: &str, _grace_seconds: u32) -> Result<(), EngineError> {
        self.reached()?;
        self.change(engine_id, |container, _| Ok(container.stop()))
    }

    async fn restart(&self, engine_id: &str, _grace_seconds: u32) -> Result<(), EngineError> {
        self.reached()?;
        self.change(engine_id, |container, taken| {
            container.stop();
            container.start(taken)
        })
    }

    async fn remove(&self, engine_id: &str, force: bool) -> Result<(), EngineError> {
        self.reached()?;
        self.world().remove(engine_id, force)?;
        self.tell(engine_id);
        Ok(())
    }

    async fn rename(&self, engine_id: &str, name: &str) -> Result<(), EngineError> {
        self.reached()?;
        self.world().rename(engine_id, name)?;
        self.tell(engine_id);
        Ok(())
    }

    async fn logs(&self, engine_id: &str, _tty: bool, window: LogWindow) -> Result<LogLines, EngineError> {
        self.reached()?;
        let mut world = self.world();
        let lines = &world.container(engine_id)?.output;
        let wanted = usize::try_from(window.tail).unwrap_or(usize::MAX);
        let lines: Vec<LogLine> = lines
            .iter()
            .map(|line| LogLine {
                at: line.at / 1_000_000,
                stream: line.stream,
                text: line.text.clone(),
                cut: false,
            })
            .filter(|line| window.since.is_none_or(|since| line.at >= since))
            .collect();
        let first = lines.len().saturating_sub(wanted);
        Ok(LogLines { lines: lines[first..].to_vec(), truncated: false })
    }

    async fn output(&self, engine_id: &str, _tty: bool, wish: OutputWish) -> Result<Output, EngineError> {
        self.reached()?;
        self.world().container(engine_id)?;
        Ok(look::output(&self.world, engine_id, wish, self.written.subscribe()))
    }

    async fn find_path(&self, engine_id: &str, path: &str) -> Result<Found, EngineError> {
        self.reached()?;
        look::find(&self.world().container(engine_id)?.files, path)
    }

    async fn list_folder(
        &self,
        container: &EngineContainer,
        path: &str,
        most: usize,
    ) -> Result<EntryList, EngineError> {
        self.reached()?;
        look::list(&self.world().container(&container.detail.engine_id)?.files, path, most)
    }

    async fn copy_out(&self, engine_id: &str, path: &str) -> Result<Archive, EngineError> {
        self.reached()?;
        look::archive(&self.world().container(engine_id)?.files, path)
    }

    async fn prepare_terminal(&self, engine_id: &str, command: Vec<String>) -> Result<String, EngineError> {
        self.reached()?;
        let mut world = self.world();
        if world.container(engine_id)?.seen.view().state != ContainerState::Running {
            return Err(EngineError::Conflict("the container does not run".to_owned()));
        }
        Ok(terminal::prepare(&mut world, command))
    }

    async fn start_terminal(&self, id: &str, size: TerminalSize) -> Result<Box<dyn TerminalIo>, EngineError> {
        self.reached()?;
        terminal::start(&self.world, id, size)
    }

    async fn resize_terminal(&self, id: &str, size: TerminalSize) -> Result<(), EngineError> {
        terminal::find(&mut self.world(), id)?.size = Some(size);
        Ok(())
    }

    async fn terminal_exit(&self, id: &str) -> Result<Option<i64>, EngineError> {
        Ok(terminal::find(&mut self.world(), id)?.exit_code)
    }

    async fn end_terminal(&self, id: &str) -> Result<(), EngineError> {
        terminal::find(&mut self.world(), id)?.end();
        Ok(())
    }

    async fn disk_used(&self, tenant: &TenantSlug) -> Result<u64, EngineError> {
        self.reached()?;
        Ok(self.world().disk_used.get(tenant).copied().unwrap_or_default())
    }

    async fn images(&self) -> Result<Vec<ImageView>, EngineError> {
        self.reached()?;
        let view = |reference: &String| ImageView {
            id: format!("sim:{reference}"),
            tags: vec![reference.clone()],
            size_bytes: IMAGE_BYTES,
            created_at: 0,
        };
        Ok(self.world().images.keys().map(view).collect())
    }

    async fn has_image(&self, reference: &str) -> Result<bool, EngineError> {
        self.reached()?;
        Ok(self.world().images.contains_key(reference))
    }

    async fn pull(
        &self,
        reference: &str,
        mut progress: impl FnMut(PullProgress) + Send,
    ) -> Result<(), EngineError> {
        self.reached()?;
        if reference.starts_with("missing") {
            return Err(EngineError::NotFound(format!("the simulated registry has no image {reference}")));
        }
        progress(PullProgress { done: IMAGE_BYTES / 2, total: IMAGE_BYTES });
        // The sender lives as long as the engine, so this ends only when the pull may go on.
        let _ = self.pulls_held.subscribe().wait_for(|held| !held).await;
        progress(PullProgress { done: IMAGE_BYTES, total: IMAGE_BYTES });
        self.world().images.entry(reference.to_owned()).or_default();
        Ok(())
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        self.reached()?;
        Ok(images::facts(&self.world().images, reference))
    }

    async fn load(&self, archive: ByteStream) -> Result<(), EngineError> {
        self.reached()?;
        let reference = images::reference(&images::gathered(archive).await?)?;
        self.world().images.insert(reference, Image::default());
        Ok(())
    }

    async fn build(
        &self,
        order: &BuildOrder,
        context: ByteStream,
        output: impl FnMut(&str) + Send,
    ) -> Result<(), EngineError> {
        self.reached()?;
        let context = images::gathered(context).await?;
        let image = images::built(&context, order, output)?;
        self.world().images.insert(order.reference.clone(), image);
        Ok(())
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.reached()?;
        self.world().remove_image(reference)
    }

    async fn ensure_volume(&self, volume: &NamedVolume) -> Result<(), EngineError> {
        self.reached()?;
        self.world().volumes.insert(volume.engine_name.clone());
        Ok(())
    }

    async fn ensure_network(&self, _subnet: &Subnet) -> Result<(), EngineError> {
        self.reached()
    }

    fn has_kernel_networks(&self) -> bool {
        false
    }

    async fn has_runtime(&self, _name: &str) -> bool {
        false
    }

    fn mobility(&self) -> Option<Mobility> {
        None
    }

    async fn events(&self) -> Result<EngineEvents, EngineError> {
        self.reached()?;
        let listener = self.events.subscribe();
        let reachable = self.reachable.subscribe();
        Ok(stream::unfold((listener, reachable), |(mut listener, mut reachable)| async move {
            let event = tokio::select! {
                event = listener.recv() => event.ok()?,
                _ = reachable.wait_for(|reachable| !reachable) => return None,
            };
            Some((Ok(event), (listener, reachable)))
        })
        .boxed())
    }
}

/// Whether a container in this state uses the device.
fn is_live(state: ContainerState) -> bool {
    matches!(state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
}

/// The time of a change, in milliseconds since 1970.
fn now() -> u64 {
    crate::clock::now_ms()
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What a destination does until its copy stands: makes the container, takes what comes, and brings it up, cut off and frozen.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ecep_precopy::pool::Pool;
use ecep_proto::api::{
    fleet::REPORT_EVERY_MS,
    migration::{MigrationPhase, Verdict},
    network::{AssignedAddress, Subnet},
};
use ecep_runtime::register::RUNTIME_NAME;
use tokio::time::timeout;

use super::{
    super::{
        placing::{self, Places},
        plan::Plan,
        preflight, room,
        step::{Why, blocking, say, text_of, unwritten},
        wire::{FromDestination, IMAGE, IMAGES, Lot, Opening, PLAN},
    },
    Move, Streams, prove,
};
use crate::{
    applications::names,
    creation,
    engine::{Engine, NamedVolume, engine_name},
    policy::AllowedBody,
    restoring::{self, Starting},
};

/// The source may wait for its turn behind other moves; its grant is no good after that time. A move that was given up
/// meanwhile ends sooner.
const FIRST_CONTACT: Duration = Duration::from_secs(60 * 60);
/// The control plane tells a network with its answer to the next report, or the one after it.
const NETWORK_LIMIT: Duration = Duration::from_millis(4 * REPORT_EVERY_MS);

impl<E: Engine> Move<'_, E> {
    /// Everything until the copy stands.
    pub(super) async fn receive(&mut self, streams: &mut Streams) -> Result<(), Why> {
        let first = timeout(FIRST_CONTACT, streams.recv()).await;
        match first.map_err(|_| "the source did not come".to_owned())? {
            Some((Opening::Control, stream)) => self.control = Some(stream),
            _ => return Err("the source came without a control stream".to_owned()),
        }
        self.tell(FromDestination::Met).await?;
        self.take_lot(Lot::Plan, streams).await?;
        let plan = self.read_plan().await?;
        // Until the move is over: the engine does not list the copy before.
        self.admitted = Some(preflight::admit(self.shared, &plan).await?);
        let mobility = &self.shared.mobility;
        let has_image = mobility.image(&plan.needs.image_id).await.map_err(say)?.is_some();
        let layers_held =
            if has_image { 0 } else { mobility.layers_held(&plan.layers).await.map_err(say)? };
        self.tell(FromDestination::Wants { image: !has_image, layers_held }).await?;
        if !has_image {
            self.take_lot(Lot::Image, streams).await?;
            mobility.load_image(&self.inbox(Lot::Image).join(IMAGE)).await.map_err(say)?;
            if mobility.image(&plan.needs.image_id).await.map_err(say)?.is_none() {
                return Err(format!("the engine loaded the image, but not as {}", plan.needs.image_id));
            }
            fs::remove_dir_all(self.inbox(Lot::Image)).map_err(text_of)?;
        }
        let body = self.make_ready(&plan).await?;
        let engine_id = self.create(&plan, body).await?;
        let places = self.places(&plan, &engine_id).await?;
        self.tell(FromDestination::Prepared).await?;

        self.take_lot(Lot::Files, streams).await?;
        let (of, arrived) = (places.clone(), self.inbox(Lot::Files));
        blocking(move || {
            of.put(&arrived)?;
            // Where it could not be moved it was copied.
            fs::remove_dir_all(arrived)
        })
        .await?;
        let pool = if plan.is_live(self.grant()) {
            room::claim(self.journal.memory(), plan.needs.memory_bytes);
            fs::DirBuilder::new().mode(0o700).create(self.images()).map_err(text_of)?;
            self.tell(FromDestination::Placed).await?;
            self.take_memory(streams).await?
        } else {
            self.tell(FromDestination::Placed).await?;
            None
        };
        match pool {
            Some(pool) => self.receive_live(&plan, &engine_id, places, pool, streams).await?,
            None => self.receive_cold(places, streams).await?,
        }
        self.tell(FromDestination::Restored).await
    }

    async fn receive_cold(&mut self, places: Places, streams: &mut Streams) -> Result<(), Why> {
        if self.record.came_cold {
            // An agent that is started again must not look for its memory.
            self.write()?;
        }
        let state = self.take_state(None, streams).await?;
        self.tell(FromDestination::At(MigrationPhase::Restoring)).await?;
        blocking(move || placing::flush(&places.put_changes(&state, false)?)).await
    }

    async fn receive_live(
        &mut self,
        plan: &Plan,
        engine_id: &str,
        places: Places,
        pool: Arc<Pool>,
        streams: &mut Streams,
    ) -> Result<(), Why> {
        let mut starting = self.start_ahead(plan, engine_id).await?;
        self.tell(FromDestination::Ready).await?;
        let taking = self.take_state(Some(pool), streams);
        let state = match &mut starting {
            // The source's container stands still: an engine that was killed meanwhile must not be found out at the end only.
            Some(starting) => tokio::select! {
                state = taking => state?,
                why = starting.ended_early() => return Err(why),
            },
            None => taking.await?,
        };
        self.tell(FromDestination::At(MigrationPhase::Restoring)).await?;
        let is_mounted = starting.is_some();
        self.complete_images(&state).map_err(text_of)?;
        let written = blocking(move || places.put_changes(&state, is_mounted)).await?;
        // The source deletes its files after the commit, so these must be on the disk before it; meanwhile it is restored.
        let flushing = tokio::spawn(blocking(move || placing::flush(&written)));
        match starting {
            Some(starting) => {
                let restored = starting.go().await;
                self.shared.mobility.release(engine_id);
                prove(restored?)?;
            }
            None => self.restore(plan, engine_id).await?,
        }
        flushing.await.map_err(|error| error.to_string())?
    }

    /// Has the engine do all that it can before the images are there, while the container still runs: its start takes as long as all
    /// the rest. Not where the container publishes ports: an engine that is killed in its start would leave them taken, and a start
    /// that waits is longer.
    async fn start_ahead(&self, plan: &Plan, engine_id: &str) -> Result<Option<Starting>, Why> {
        if !plan.needs.ports.is_empty() {
            return Ok(None);
        }
        let mobility = &self.shared.mobility;
        mobility.hold(engine_id);
        restoring::start_ahead(mobility, engine_id, self.order(plan)).await.map(Some)
    }

    /// What comes must be what the grant says, and be possible here.
    async fn read_plan(&mut self) -> Result<Plan, Why> {
        let path = self.inbox(Lot::Plan).join(PLAN);
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let plan: Plan = serde_json::from_slice(&text).map_err(|error| {
            format!("the plan cannot be read ({error}); do both devices have the same version?")
        })?;
        plan.check(self.grant()).map_err(|error| error.to_string())?;
        let checks = preflight::check(self.shared, &plan.needs).await.map_err(|error| error.message)?.checks;
        let allowed = if plan.is_live(self.grant()) { Verdict::Live } else { Verdict::Cold };
        let hindering: Vec<&str> =
            checks.iter().filter(|check| check.verdict > allowed).map(|check| check.text.as_str()).collect();
        if !hindering.is_empty() {
            return Err(hindering.join("; "));
        }
        self.record.plan = Some(plan.clone());
        self.write()?;
        Ok(plan)
    }

    /// The image's name, the tenant's network and the volumes; answers the request for the container.
    async fn make_ready(&mut self, plan: &Plan) -> Result<AllowedBody, Why> {
        let tenant = self.grant().tenant.clone();
        let mobility = self.shared.mobility.clone();
        // A name that a guest brings must not stand for its image in what others create here; nor may the name of an application's be
        // given by a device, which could lie: what is deployed later would take it for that.
        if !self.shared.orders.quotas.is_guest(&tenant) && !names::is_of_application(&plan.image) {
            mobility.tag_image(&plan.needs.image_id, &plan.image).await.map_err(say)?;
        }
        let named = match names::is_own_or_shared(&tenant, &plan.image) {
            true => mobility.image(&plan.image).await.map_err(say)?,
            false => None,
        };
        // The name may be another image's here.
        let is_named = named.is_some_and(|image| image.id == plan.needs.image_id);
        let image = (!is_named).then(|| plan.needs.image_id.clone());
        let mut network = None;
        if let Some(address) = plan.address {
            let subnet = self.subnet(&tenant).await?;
            if self.shared.networks.is_taken(address, &plan.needs.container).await {
                return Err(format!("another container of the tenant has the address {address}"));
            }
            self.shared.engine.ensure_network(&subnet).await.map_err(say)?;
            self.shared.networks.bridge_is_there().await;
            network = Some(AssignedAddress { address, subnet });
        }
        let has_runtime = self.shared.engine.has_runtime(RUNTIME_NAME).await;
        if plan.is_live(self.grant()) && !has_runtime {
            // It would be started afresh, beside the one that runs.
            return Err(format!(
                "the destination's engine does not say that it has the runtime {RUNTIME_NAME}; run `ecep-agent setup` there, or move \
                 the container cold"
            ));
        }
        let body = plan.request(image, network.as_ref(), has_runtime);
        let policy = self.shared.orders.policy_for(&tenant).map_err(|error| error.message)?;
        let body = policy.check(&tenant, body).map_err(|error| error.message)?;
        for (engine_name, _) in &plan.needs.volumes {
            let prefix = creation::volume_prefix(&tenant);
            let name = engine_name.strip_prefix(&prefix).ok_or("a volume that is not the tenant's")?;
            let volume = NamedVolume {
                engine_name: engine_name.clone(),
                tenant: tenant.clone(),
                name: name.to_owned(),
            };
            // One that came meanwhile is somebody else's.
            if self.shared.mobility.volume(engine_name).await.map_err(say)?.is_some() {
                return Err(format!("a volume {name} was made here meanwhile; delete it, and move again"));
            }
            self.record.volumes.push(engine_name.clone());
            self.write()?;
            self.shared.engine.ensure_volume(&volume).await.map_err(say)?;
        }
        Ok(body)
    }

    async fn subnet(&self, tenant: &ecep_proto::api::name::TenantSlug) -> Result<Subnet, Why> {
        // The tenant's first container here may have come this moment.
        timeout(NETWORK_LIMIT, self.shared.networks.subnet(tenant)).await.map_err(|_| {
            "the control plane has not told this device the tenant's network; is the device connected?"
                .to_owned()
        })
    }

    async fn create(&mut self, plan: &Plan, body: AllowedBody) -> Result<String, Why> {
        let name = engine_name(&plan.needs.container);
        let engine_id = self.shared.engine.create(&name, body).await.map_err(say)?;
        self.record.engine_id = Some(engine_id.clone());
        self.journal.hold().map_err(unwritten)?;
        self.write()?;
        Ok(engine_id)
    }

    /// Where its files go.
    async fn places(&self, plan: &Plan, engine_id: &str) -> Result<Places, Why> {
        let mobility = &self.shared.mobility;
        let portrait = mobility.portrait(&self.grant().tenant, engine_id, false).await.map_err(say)?;
        let there: HashMap<String, PathBuf> = portrait.volumes.into_iter().collect();
        let volumes = plan.needs.volumes.iter().map(|(name, _)| {
            there.get(name).cloned().ok_or_else(|| format!("the volume {name} is not mounted here"))
        });
        let log =
            match portrait.log {
                Some(log) => Some(log),
                // An engine names the file when it starts a container for the first time.
                None => self.shared.engine.storage().await.map(|root| {
                    root.join("containers").join(engine_id).join(format!("{engine_id}-json.log"))
                }),
            };
        let volumes = volumes.collect::<Result<_, _>>()?;
        if portrait.upper.is_none() || portrait.merged.is_none() {
            return Err("the destination's engine does not say where the container's files are; does it use another storage driver \
                        than overlay2?"
                .to_owned());
        }
        Ok(Places { upper: portrait.upper, merged: portrait.merged, volumes, log })
    }

    /// The small images join those of pages.
    fn complete_images(&self, state: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(state.join(IMAGES))? {
            let entry = entry?;
            // They are small and plain; the folder may be on another disk, or on none.
            fs::copy(entry.path(), self.images().join(entry.file_name()))?;
        }
        Ok(())
    }
}

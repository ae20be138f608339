//! What a source does while the container still runs: image, files and memory go ahead.

use std::{fs, sync::Arc};

use ecep_channel::transfer::Source as Content;
use ecep_fleet::migration::Standing;
use ecep_proto::api::migration::{Decision, MigrationPhase};

use super::{
    super::{
        ahead,
        estimate::{Course, Known},
        files,
        journal::Before,
        plan::Plan,
        preflight,
        step::{Why, blocking, say, text_of},
        wire::{FromDestination, FromSource, IMAGE, Lot, Opening, PLAN},
    },
    GIVEN_UP, Move,
    line::{Line, unexpected},
};
use crate::engine::Engine;

impl<E: Engine> Move<'_, E> {
    /// Copies what can be copied while the container runs.
    pub(super) async fn prepare(&mut self) -> Result<(), Why> {
        let grant = self.grant().clone();
        self.turn = Some(self.shared.at_work.acquire().await.map_err(|error| error.to_string())?);
        tracing::info!(migration = %grant.migration, "a move has its turn");
        // Orders that were accepted before the move come to their end first; later ones are refused.
        self.shared.orders.drain(&grant.container).await;
        let found =
            self.shared.orders.find(&grant.tenant, &grant.container).await.map_err(|error| error.message)?;
        let engine_id = found.detail.engine_id.clone();
        let mobility = &self.shared.mobility;
        let portrait = mobility.portrait(&grant.tenant, &engine_id, true).await.map_err(say)?;
        let needs = preflight::needs(self.shared, &found, &portrait).await.map_err(|error| error.message)?;
        let image = mobility.image(&portrait.image_id).await.map_err(say)?;
        let image = image.ok_or_else(|| format!("the image {} of the container is gone", portrait.image))?;
        let plan = Plan::of(needs, &portrait, image.layers, found.view().address);
        self.record.before = Some(Before {
            engine_id,
            was_running: portrait.is_running,
            is_frozen: false,
            restart: portrait.restart.clone(),
            volumes: portrait.volumes.iter().map(|(name, _)| name.clone()).collect(),
            address: plan.address,
        });
        self.write()?;

        let channels = &self.shared.channels;
        let reached = channels.reach(&grant.destination, &self.record.addresses, &self.record.signed).await;
        let (channel, is_relayed) = reached.map_err(|error| error.to_string())?;
        tracing::info!(migration = %grant.migration, destination = %grant.destination, is_relayed, "the two ends have met");
        let control = self.open_on(&channel, Opening::Control).await?;
        self.line = Some(Line { channel, control, is_relayed });
        match self.answer().await? {
            FromDestination::Met => {}
            other => return Err(unexpected(&other)),
        }

        let path = self.journal.folder().join(PLAN);
        let text = serde_json::to_vec(&plan).map_err(|error| error.to_string())?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        self.send(Lot::Plan, vec![files::item(PLAN, Content::File(path)).map_err(text_of)?]).await?;
        let (wants_image, held) = match self.answer().await? {
            FromDestination::Wants { image, layers_held } => (image, layers_held),
            other => return Err(unexpected(&other)),
        };
        if wants_image {
            self.progress.phase(MigrationPhase::Copying);
            let path = self.journal.folder().join(IMAGE);
            let held = held.min(plan.layers.len());
            self.shared.mobility.save_image(&portrait.image_id, held, &path).await.map_err(say)?;
            let item = files::item(IMAGE, Content::File(path.clone())).map_err(text_of)?;
            self.send(Lot::Image, vec![item]).await?;
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        match self.answer().await? {
            FromDestination::Prepared => {}
            other => return Err(unexpected(&other)),
        }
        self.progress.phase(MigrationPhase::Copying);
        let of = portrait.clone();
        let tracked = blocking(move || files::Tracked::look(&of)).await?;
        self.send(Lot::Files, tracked.all().map_err(text_of)?).await?;
        self.tracked = Some(Arc::new(tracked));
        match self.answer().await? {
            FromDestination::Placed => {}
            other => return Err(unexpected(&other)),
        }
        if let (true, Some(pid)) = (self.record.is_live(), portrait.pid) {
            self.memory_bytes = plan.needs.memory_bytes;
            match self.send_ahead(pid, !plan.needs.ports.is_empty()).await? {
                Course::Freeze => self.await_readiness().await?,
                Course::Stay(why) => return Err(why),
                Course::GoCold => self.go_cold().await?,
            }
        }
        // Whatever ends the container from the freeze on, the engine must not start it afresh.
        self.shared.mobility.set_restart(&portrait.engine_id, None).await.map_err(say)?;
        // Freezing is for nothing where nobody can decide.
        match self.authority.try_decide(Decision::Ask, None).await {
            Ok(Standing::Pending) => Ok(()),
            Ok(_) => Err(GIVEN_UP.to_owned()),
            Err(error) => Err(format!("the control plane cannot be reached to decide: {error}")),
        }
    }

    /// Sends the memory ahead while the container runs, and answers how to go on.
    async fn send_ahead(&mut self, pid: i32, has_ports: bool) -> Result<Course, Why> {
        let options = self.record.options.clone();
        let bytes_per_second = self.record.bytes_per_second;
        let memory_bytes = self.memory_bytes;
        let known = Known { memory_bytes, has_ports, bytes_per_second, options: &options };
        let course = ahead::course_at_once(&known);
        if course != Course::Freeze {
            return Ok(course);
        }
        let stream = self.open(Opening::Memory).await?;
        let throttle = self.throttle.clone();
        match ahead::send(stream, pid, &known, throttle, &mut self.progress).await {
            Ok((sent, course)) => {
                self.sent = Some(Arc::new(sent));
                Ok(course)
            }
            Err(why) => Err(self.or_what_was_said(why).await),
        }
    }

    /// All that can be done at the destination before the freeze is done before it.
    async fn await_readiness(&mut self) -> Result<(), Why> {
        self.tell(FromSource::WillFreeze).await?;
        match self.answer().await? {
            FromDestination::Ready => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// It goes without its memory after all.
    async fn go_cold(&mut self) -> Result<(), Why> {
        tracing::info!(migration = %self.grant().migration, "it would stand still for too long, and goes cold");
        self.record.goes_cold = true;
        self.progress.went_cold();
        self.tell(FromSource::GoesCold).await
    }
}

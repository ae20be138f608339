//! What a source does while the container still runs: image, files and memory go ahead.

use std::{
    fs,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ecep_channel::{grant::Mode, transfer::Source as Content};
use ecep_fleet::migration::Standing;
use ecep_precopy::sent::Sent;
use ecep_proto::api::migration::{Decision, MigrationPhase};
use tokio::time::sleep;

use super::{
    super::{
        files,
        journal::Before,
        memory,
        plan::Plan,
        preflight,
        step::{Why, blocking, say, text_of},
        wire::{FromDestination, IMAGE, Lot, Opening, PLAN},
    },
    GIVEN_UP, Move,
    line::{Line, unexpected},
};
use crate::engine::Engine;

/// Bytes of memory that go ahead are told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);

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
        if let (Mode::Live, Some(pid)) = (grant.mode, portrait.pid) {
            self.memory_bytes = plan.needs.memory_bytes;
            let sent = self.copy_memory(pid, plan.needs.memory_bytes).await?;
            self.sent = Some(Arc::new(sent));
            match self.answer().await? {
                FromDestination::Ready => {}
                other => return Err(unexpected(&other)),
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

    /// Sends the memory ahead while the container runs.
    async fn copy_memory(&mut self, pid: i32, memory_bytes: u64) -> Result<Sent, Why> {
        let stream = self.open(Opening::Memory).await?;
        let throttle = self.throttle.clone();
        let gone = Arc::<AtomicU64>::default();
        let going = Arc::clone(&gone);
        let told = move |bytes| going.store(bytes, Ordering::Relaxed);
        let mut copying =
            pin!(memory::copy_running(stream, pid, memory::limit(memory_bytes), throttle, told));
        loop {
            tokio::select! {
                copied = &mut copying => {
                    self.progress.bytes(gone.load(Ordering::Relaxed), true);
                    return match copied {
                        Ok(sent) => Ok(sent),
                        Err(why) => Err(self.or_what_was_said(why).await),
                    };
                }
                () = sleep(TELL_EVERY) => self.progress.bytes(gone.load(Ordering::Relaxed), false),
            }
        }
    }
}

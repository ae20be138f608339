//! What a source does from the freeze on: saves the container, and sends what has not gone ahead while it is being saved.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ecep_channel::transfer::Item;
use ecep_precopy::sent::Sent;
use ecep_proto::api::migration::MigrationPhase;
use ecep_runtime::{freezer, network};
use tokio::{
    io::AsyncReadExt,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    super::{
        files,
        journal::Before,
        memory, room, saving,
        step::{SetOnDrop, Why, blocking, say, text_of},
        wire::{FromDestination, IMAGES, Lot, Opening},
    },
    ASK_EVERY, GIVEN_UP, Move,
    line::{LINE_LOST, unexpected},
};
use crate::engine::Engine;

/// A connection that was about to be accepted keeps CRIU from saving; the next moment it is not there.
const DUMP_ATTEMPTS: u32 = 4;
/// Seconds between SIGTERM and SIGKILL in a cold move: Docker's own default.
const STOP_GRACE: u32 = 10;
/// CRIU numbers its images of pages from this on.
const FIRST_IMAGE: u32 = 1;
/// Between two looks at what CRIU has begun to write.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The destination has one route to take away. Meanwhile the container is frozen.
const LEAD_LIMIT: Duration = Duration::from_millis(500);

/// A saved container.
struct Saved {
    /// CRIU's images.
    images: PathBuf,
    /// How many images of pages have gone already.
    sent: u32,
    /// The files that have changed.
    changes: Vec<Item>,
}

impl<E: Engine> Move<'_, E> {
    /// From here on the container does not run.
    pub(super) async fn freeze_and_deliver(&mut self) -> Result<(), Why> {
        let before = self.record.before.clone().ok_or("the container was not looked at")?;
        let tracked = self.tracked.clone().ok_or("the container's files were not looked at")?;
        self.progress.phase(MigrationPhase::Freezing);
        self.frozen_at = Some(Instant::now());
        let scratch = self.journal.folder().to_owned();
        let mut items;
        if self.record.is_live() && before.was_running {
            let Saved { images, sent, changes } = self.save(&before, &tracked).await?;
            items = changes;
            self.progress.phase(MigrationPhase::Sending);
            let (small, pages) = files::images(&images).map_err(text_of)?;
            let over = Arc::new(AtomicBool::new(true));
            for number in pages.into_iter().filter(|number| *number >= FIRST_IMAGE + sent) {
                self.send_pages(number, &images, &over).await?;
            }
            items.push(small);
        } else {
            if before.was_running {
                self.shared.engine.stop(&before.engine_id, STOP_GRACE).await.map_err(say)?;
            }
            let (of, into) = (Arc::clone(&tracked), scratch.clone());
            items = blocking(move || of.changes(None, &into)).await?;
        }
        self.progress.phase(MigrationPhase::Sending);
        items.extend(blocking(move || tracked.output(&scratch)).await?);
        self.send(Lot::State, items).await?;
        loop {
            match self.answer().await? {
                FromDestination::At(phase) => self.progress.phase(phase),
                FromDestination::Restored => break,
                other => return Err(unexpected(&other)),
            }
        }
        self.progress.phase(MigrationPhase::Committing);
        self.delivered_at = Some(Instant::now());
        Ok(())
    }

    /// Freezes it, cuts it off and saves it, while its pages travel already.
    async fn save(&mut self, before: &Before, tracked: &Arc<files::Tracked>) -> Result<Saved, Why> {
        let mobility = self.shared.mobility.clone();
        let tenant = self.grant().tenant.clone();
        let mut attempt = 1;
        loop {
            let portrait = mobility.portrait(&tenant, &before.engine_id, false).await.map_err(say)?;
            let pid = portrait.pid.ok_or("the container has ended by itself")?;
            if portrait.is_paused {
                return Err("somebody has paused the container meanwhile; let it go on first".to_owned());
            }
            self.freezing = Some(spawn_blocking(move || saving::freeze_now(pid)));
            if attempt == 1
                && let Err(why) = self.lead_ahead().await
            {
                tracing::warn!(migration = %self.grant().migration, %why, "what is sent to the container meanwhile must be sent again");
            }
            let frozen = match &mut self.freezing {
                Some(freezing) => freezing.await,
                None => Ok(Ok(())),
            };
            self.freezing = None;
            frozen.map_err(|error| error.to_string())??;
            self.progress.phase(MigrationPhase::Saving);
            if attempt == 1 {
                room::claim(self.journal.memory(), self.memory_bytes);
            }
            let folder = self.journal.images_folder().join(format!("dump-{attempt}"));
            let (id, into) = (before.engine_id.clone(), folder.clone());
            let over = Arc::<AtomicBool>::default();
            // However CRIU ends.
            let ending = SetOnDrop(Arc::clone(&over));
            self.dump = Some(spawn_blocking(move || {
                let _ending = ending;
                saving::save(&id, pid, &into)
            }));
            let (of, scratch) = (Arc::clone(tracked), self.journal.folder().to_owned());
            let changes = tokio::spawn(blocking(move || of.changes(Some(pid), &scratch)));
            let sent = self.send_growing(&folder.join(IMAGES), &over).await?;
            let Some(dump) = &mut self.dump else { return Err(GIVEN_UP.to_owned()) };
            let saved = dump.await;
            self.dump = None;
            let changes = changes.await.map_err(|error| error.to_string())?;
            match saved.map_err(|error| error.to_string())? {
                Ok(images) => return Ok(Saved { images, sent, changes: changes? }),
                Err(saving::Failure { is_passing: true, .. }) if attempt < DUMP_ATTEMPTS => {
                    network::reconnect(pid).map_err(|error| error.to_string())?;
                    freezer::thaw(pid).map_err(|error| error.to_string())?;
                    sleep(ASK_EVERY).await;
                    attempt += 1;
                }
                Err(saving::Failure { why, .. }) => return Err(why),
            }
        }
    }

    /// Sends what has not gone ahead of CRIU's images of pages while it writes them, until it is over; answers how many went.
    async fn send_growing(&mut self, images: &Path, over: &Arc<AtomicBool>) -> Result<u32, Why> {
        let mut number = FIRST_IMAGE;
        loop {
            let is_over = over.load(Ordering::Acquire);
            if images.join(memory::name_of(number)).exists() {
                self.send_pages(number, images, over).await?;
                number += 1;
            } else if is_over {
                return Ok(number - FIRST_IMAGE);
            } else {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Sends what has not gone ahead of one of CRIU's images, which may grow until `over` is set or the next one is begun.
    async fn send_pages(&mut self, number: u32, images: &Path, over: &Arc<AtomicBool>) -> Result<(), Why> {
        let sent = self.sent.clone().unwrap_or_else(|| Arc::new(Sent::new(0)));
        let is_packed = self.line()?.is_relayed;
        let stream = self.open(Opening::Pages { number, is_packed }).await?;
        let throttle = self.throttle.clone();
        let image = images.join(memory::name_of(number));
        let (next, over) = (images.join(memory::name_of(number + 1)), Arc::clone(over));
        let is_whole = move || over.load(Ordering::Acquire) || next.exists();
        let (sums, bytes) = match memory::send_image(stream, image, is_whole, sent, throttle, is_packed).await
        {
            Ok(gone) => gone,
            Err(why) => return Err(self.or_what_was_said(why).await),
        };
        self.progress.bytes(bytes, true);
        tracing::info!(migration = %self.grant().migration, pages = sums.pages, fresh = sums.fresh, "an image of memory has gone");
        Ok(())
    }

    /// What is sent to the container from now on waits at the destination, so that nobody has to send it again. It is asked before
    /// the container's cable is cut: until then the frozen container's kernel takes it, and it is saved.
    async fn lead_ahead(&self) -> Result<(), Why> {
        if self.record.before.as_ref().is_none_or(|before| before.address.is_none()) {
            return Ok(());
        }
        let line = self.line.as_ref().ok_or(LINE_LOST)?;
        let taken = async {
            let mut stream = self.open_on(&line.channel, Opening::Traffic).await?;
            stream.read_u8().await.map_err(text_of)
        };
        timeout(LEAD_LIMIT, taken).await.map_err(|_| "the destination does not answer".to_owned())??;
        self.lead_on().await;
        Ok(())
    }
}

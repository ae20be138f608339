//! Publishes what a tenant should hear, in order, without ever holding up whoever has something to tell.

use std::sync::atomic::{AtomicBool, Ordering};

use ecep_link::{CallError, Link};
use ecep_proto::api::{
    DeviceStatusEvents, MigrationEvents, Notices, Topic,
    device::{DeviceView, Liveness},
    migration::MigrationView,
    name::TenantSlug,
    notice::{Notice, NoticeLevel},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{clock::unix_ms, fleet_view::Change};

/// Events of one tenant that wait for the router: a whole large fleet going offline at once. Policy: when it is
/// full the newest is dropped, and the first one of a row logged; whoever lists the devices anew sees the truth.
const QUEUE: usize = 1_024;

/// Something to tell.
pub(super) enum Told {
    /// A device has changed.
    Change(Box<Change>),
    /// A move goes on; with a sentence for people where it has just ended.
    Move(Box<MigrationView>, Option<(NoticeLevel, String)>),
    /// A sentence for people.
    Notice(NoticeLevel, String),
}

/// The queue of one tenant.
pub(super) struct Teller {
    tenant: TenantSlug,
    queue: mpsc::Sender<Told>,
    overflowing: AtomicBool,
}

impl Teller {
    pub(super) fn spawn(tenant: TenantSlug, link: Link, stop: CancellationToken) -> Self {
        let (queue, told) = mpsc::channel(QUEUE);
        let name = tenant.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(publish_all(&name, &link, told)).await;
        });
        Self { tenant, queue, overflowing: AtomicBool::new(false) }
    }

    pub(super) fn tell(&self, told: Told) {
        let full = self.queue.try_send(told).is_err();
        if self.overflowing.swap(full, Ordering::Relaxed) != full && full {
            tracing::warn!(tenant = %self.tenant, "events are dropped: the router does not keep up");
        }
    }
}

async fn publish_all(tenant: &TenantSlug, link: &Link, mut told: mpsc::Receiver<Told>) {
    while let Some(told) = told.recv().await {
        let published = match told {
            Told::Change(change) => publish_change(tenant, link, &change).await,
            Told::Move(view, notice) => publish_move(link, &view, notice).await,
            Told::Notice(level, text) => publish_notice(link, level, text).await,
        };
        match published {
            // Watchers are cut off as well; they list anew when they are back.
            Ok(()) | Err(CallError::NotJoined) => {}
            Err(error) => tracing::warn!(%tenant, %error, "an event was not published"),
        }
    }
}

async fn publish_change(tenant: &TenantSlug, link: &Link, change: &Change) -> Result<(), CallError> {
    let device = &change.device;
    tracing::info!(device = %device.id, %tenant, liveness = ?device.liveness, before = ?change.before, "device status");
    link.publish::<DeviceStatusEvents>(&DeviceStatusEvents::on(&device.id), device).await?;
    match notice_of(change.before, device) {
        Some((level, text)) => publish_notice(link, level, text).await,
        None => Ok(()),
    }
}

async fn publish_move(
    link: &Link,
    view: &MigrationView,
    notice: Option<(NoticeLevel, String)>,
) -> Result<(), CallError> {
    link.publish::<MigrationEvents>(MigrationEvents::URI, view).await?;
    match notice {
        Some((level, text)) => publish_notice(link, level, text).await,
        None => Ok(()),
    }
}

async fn publish_notice(link: &Link, level: NoticeLevel, text: String) -> Result<(), CallError> {
    link.publish::<Notices>(Notices::URI, &Notice { level, text, at: unix_ms() }).await
}

/// What a person is told of a change. A device that is stale for a moment, or comes back from it, is not worth a
/// sentence; one that stays offline is an alert (`alerts`), and so is its return.
fn notice_of(before: Option<Liveness>, device: &DeviceView) -> Option<(NoticeLevel, String)> {
    let name = &device.name;
    let reasons = device.reasons.join(" ");
    match (before, device.liveness) {
        (None, _) => Some((NoticeLevel::Info, format!("Device {name} was enrolled."))),
        (Some(Liveness::Never | Liveness::Degraded), Liveness::Connected) => {
            Some((NoticeLevel::Success, format!("Device {name} is connected.")))
        }
        (Some(before), Liveness::Degraded) if before != Liveness::Degraded => {
            Some((NoticeLevel::Warning, format!("Device {name} is degraded. {reasons}")))
        }
        _ => None,
    }
}

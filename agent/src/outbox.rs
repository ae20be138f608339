//! The ways out to the tenants: one bounded queue of events and one place for the latest statistics each.
//!
//! Events of a tenant leave in order. When the queue is full the newest event is dropped and counted: watchers
//! list anew whenever they (re)join, so an event is a hint and the list is the truth. Statistics are never
//! queued: a tick that finds the last one unsent is skipped, and its gap shows in `sequence`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ecep_link::{CallError, Link};
use ecep_proto::api::{
    ContainerEvents, DeviceStats, OperationEvents, Topic, container::ContainerEvent, name::DeviceId,
    name::TenantSlug, operation::OperationEvent, stats::StatsEvent,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events that wait for one tenant's link; beyond it they are dropped.
const MAX_WAITING: usize = 256;

/// An event for a tenant.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A container's life goes on.
    Container(ContainerEvent),
    /// An operation goes on.
    Operation(OperationEvent),
}

/// All ways out.
#[derive(Debug, Default)]
pub struct Outbox {
    tenants: Mutex<BTreeMap<TenantSlug, Way>>,
}

#[derive(Debug)]
struct Way {
    events: mpsc::Sender<Event>,
    stats: mpsc::Sender<StatsEvent>,
}

impl Outbox {
    /// Opens the way to a tenant over this link, until `cancel` is cancelled.
    pub fn open(&self, device: &DeviceId, tenant: &TenantSlug, link: Link, cancel: CancellationToken) {
        let (events, mut waiting) = mpsc::channel(MAX_WAITING);
        let (stats, mut latest) = mpsc::channel::<StatsEvent>(1);
        self.lock().insert(tenant.clone(), Way { events, stats });
        let topics = (ContainerEvents::on(device), OperationEvents::on(device), DeviceStats::on(device));
        let tenant = tenant.clone();
        tokio::spawn(cancel.run_until_cancelled_owned(async move {
            let mut told = None;
            loop {
                let outcome = tokio::select! {
                    biased;
                    Some(event) = waiting.recv() => match event {
                        Event::Container(event) => link.publish::<ContainerEvents>(&topics.0, &event).await,
                        Event::Operation(event) => link.publish::<OperationEvents>(&topics.1, &event).await,
                    },
                    Some(event) = latest.recv() => link.publish::<DeviceStats>(&topics.2, &event).await,
                    else => return,
                };
                // Not joined is told by the link itself; anything else once until it changes.
                let trouble = outcome.err().filter(|error| *error != CallError::NotJoined);
                if trouble != told {
                    if let Some(error) = &trouble {
                        tracing::warn!(%tenant, %error, "events cannot be published");
                    }
                    told = trouble;
                }
            }
        }));
    }

    /// Closes the way to a tenant.
    pub fn close(&self, tenant: &TenantSlug) {
        self.lock().remove(tenant);
    }

    /// Sends an event to a tenant, if there is a way to it.
    pub fn send(&self, tenant: &TenantSlug, event: Event) {
        if let Some(way) = self.lock().get(tenant)
            && way.events.try_send(event).is_err()
        {
            tracing::debug!(%tenant, "event dropped, too many wait");
        }
    }

    /// Sends statistics to every tenant; `event_for` makes each tenant's own.
    pub fn send_stats(&self, event_for: impl Fn(&TenantSlug) -> StatsEvent) {
        for (tenant, way) in self.lock().iter() {
            if let Ok(place) = way.stats.try_reserve() {
                place.send(event_for(tenant));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantSlug, Way>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

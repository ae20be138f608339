//! The control plane's sessions with the router: one on the control realm, one on each tenant's.
//!
//! Owns the links, what they serve and what they publish. Must not know WAMP's framing (`ecep-link` does).

mod applications;
mod audit;
mod checkpoint;
mod deployment;
mod forecast;
mod insight;
mod migration;
mod move_order;
mod procedures;
mod revoker;
mod served;
mod shares;
mod teller;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use ecep_link::{Credentials, CredentialsError, Link, LinkState, Trust};
use ecep_proto::api::{
    AddressAssign, AddressRelease, AlertAcknowledge, AlertListing, AuditList, AuditReport, Authenticate,
    CheckpointCopy, ContainerMigrate, ContainerPreflight, DeviceList, FleetContainerList, FleetHello,
    FleetReport, GeoSearch, MigrationCancel, MigrationDecide, MigrationHistory, MigrationTell, Procedure,
    StatsHistoryQuery,
    auth::EndSessionsRequest,
    migration::{MigrationList, MigrationQuery, MigrationState, MigrationView},
    name::{DeviceId, TenantSlug},
    notice::NoticeLevel,
    realm::{self, CONTROL_PLANE_AUTHID},
};
use tokio_util::sync::CancellationToken;

use crate::{control::ControlPlane, fleet_view::Change};
use revoker::Revoker;
use teller::{Teller, Told};

/// The watch looks at the fleet at least this often; the first deadline of a device that just reported is later.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The file that `--router-ca` names is of no use.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as the router's authority (--router-ca): {reason}", path.display())]
pub struct RouterAuthorityError {
    path: PathBuf,
    reason: String,
}

/// Which routers are believed.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn router_trust(authority: Option<&Path>) -> Result<Trust, RouterAuthorityError> {
    let Some(path) = authority else { return Ok(Trust::system()) };
    let wrong = |reason: String| RouterAuthorityError { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    Trust::pinned(&pem).map_err(|error| wrong(error.to_string()))
}

/// All links.
pub struct Uplink {
    control: Arc<ControlPlane>,
    trust: Trust,
    stop: CancellationToken,
    control_link: OnceLock<Link>,
    revoker: OnceLock<Revoker>,
    tenants: Mutex<HashMap<TenantSlug, Tenant>>,
}

struct Tenant {
    link: Link,
    teller: Teller,
    stop: CancellationToken,
}

impl Uplink {
    /// Starts all links; they end with `stop`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn start(
        control: Arc<ControlPlane>,
        trust: Trust,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, crate::store::StoreError> {
        let tenants = control.store.tenants()?;
        let uplink = Arc::new(Self {
            control,
            trust,
            stop,
            control_link: OnceLock::new(),
            revoker: OnceLock::new(),
            tenants: Mutex::default(),
        });
        let link = uplink.spawn_control_link();
        uplink.revoker.get_or_init(|| Revoker::spawn(link.clone(), uplink.stop.clone()));
        uplink.control_link.get_or_init(|| link);
        for tenant in tenants {
            uplink.add_tenant(&tenant.slug);
        }
        Ok(uplink)
    }

    /// Joins the realm of a tenant.
    pub fn add_tenant(self: &Arc<Self>, tenant: &TenantSlug) {
        // Without a name its slug is shown. The view is locked before the tenants, here as elsewhere.
        if let Ok(Some(row)) = self.control.store.tenant(tenant) {
            self.control.view().name_tenant(row.slug, row.name);
        }
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.contains_key(tenant) {
            return;
        }
        let stop = self.stop.child_token();
        let link = self.spawn_tenant_link(tenant, stop.clone());
        let teller = Teller::spawn(tenant.clone(), link.clone(), stop.clone());
        tenants.insert(tenant.clone(), Tenant { link, teller, stop });
    }

    /// Leaves the realm of a tenant that was deleted.
    pub fn remove_tenant(&self, tenant: &TenantSlug) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = tenants.remove(tenant) {
            tenant.stop.cancel();
        }
    }

    /// Whether the control realm, so that the router can ask us about clients, and all tenants' are joined.
    pub fn is_joined(&self) -> bool {
        self.links().iter().all(|link| matches!(*link.state().borrow(), LinkState::Joined { .. }))
    }

    /// Tells a tenant how one of its devices has changed.
    pub fn tell(&self, change: Change) {
        self.queue(&change.tenant.clone(), Told::Change(Box::new(change)));
    }

    /// How many links there are, and how many of them are joined.
    pub fn link_counts(&self) -> (usize, usize) {
        let links = self.links();
        let joined = links.iter().filter(|link| matches!(*link.state().borrow(), LinkState::Joined { .. }));
        (links.len(), joined.count())
    }

    /// Tells a tenant how a move goes on; with a sentence for people where it has just ended.
    fn tell_move(&self, tenant: &TenantSlug, view: MigrationView, has_changed_state: bool) {
        if has_changed_state && view.state != MigrationState::Running {
            self.move_ended(tenant, &view);
        }
        let name = &view.name;
        let device = |id: &DeviceId| {
            let known = self.control.view().device(self.control.clock.now(), id);
            known.map_or_else(|| id.to_string(), |device| device.name)
        };
        let notice = match view.state {
            // The source tells its figures after the end, too; the sentence is said once.
            _ if !has_changed_state => None,
            MigrationState::Running => None,
            MigrationState::Done => {
                let text = format!("Container {name} is on {} now.", device(&view.destination));
                Some((NoticeLevel::Success, text))
            }
            MigrationState::Failed => {
                let why = view.error.as_deref().unwrap_or_default();
                let text =
                    format!("Container {name} was not moved and is on {} still: {why}", device(&view.source));
                Some((NoticeLevel::Warning, text))
            }
        };
        self.queue(tenant, Told::Move(Box::new(view), notice));
    }

    /// Tells a tenant something that a person should know.
    pub fn notice(&self, tenant: &TenantSlug, text: String) {
        self.queue(tenant, Told::Notice(NoticeLevel::Info, text));
    }

    /// Has the router end all sessions of this authid, on this realm or on all. The sentence is for whoever is
    /// behind them.
    pub fn end_sessions(&self, authid: String, realm: Option<String>, reason: &str) {
        if let Some(revoker) = self.revoker.get() {
            revoker.end(EndSessionsRequest { authid, realm, reason: reason.to_owned() });
        }
    }

    fn queue(&self, tenant: &TenantSlug, told: Told) {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = tenants.get(tenant) {
            tenant.teller.tell(told);
        }
    }

    /// Waits until every link has said goodbye.
    pub async fn closed(&self) {
        for link in self.links() {
            // An error means that the link's task is gone, which is closed too.
            let _ = link.state().wait_for(|state| *state == LinkState::Closed).await;
        }
    }

    fn links(&self) -> Vec<Link> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let tenants = tenants.values().map(|tenant| tenant.link.clone());
        tenants.chain(self.control_link.get().cloned()).collect()
    }

    fn spawn_control_link(self: &Arc<Self>) -> Link {
        let (authenticate, hello, report) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        let (assign, release, decide, told) =
            (Arc::clone(self), Arc::clone(self), Arc::clone(self), Arc::clone(self));
        let builder = Link::builder("control", self.credentials(realm::CONTROL.to_owned()));
        self.serving_runs(builder)
            .trust(self.trust.clone())
            .procedure::<Authenticate, _, _>(Authenticate::URI.to_owned(), move |_caller, request| {
                let uplink = Arc::clone(&authenticate);
                async move {
                    let reply = uplink.control.authenticate(&request)?;
                    if let Some(tenant) = realm::tenant_of(&request.realm) {
                        uplink.control.audit.joined(&tenant, &reply.authid, &request.transport.peer);
                    }
                    Ok(reply)
                }
            })
            .procedure::<FleetHello, _, _>(FleetHello::URI.to_owned(), move |caller, request| {
                let uplink = Arc::clone(&hello);
                async move { uplink.hello(&caller, request) }
            })
            .procedure::<FleetReport, _, _>(FleetReport::URI.to_owned(), move |caller, request| {
                let uplink = Arc::clone(&report);
                async move { uplink.report(&caller, request).await }
            })
            .procedure::<AddressAssign, _, _>(AddressAssign::URI.to_owned(), move |caller, request| {
                let uplink = Arc::clone(&assign);
                async move { uplink.assign(&caller, request).await }
            })
            .procedure::<AddressRelease, _, _>(AddressRelease::URI.to_owned(), move |caller, request| {
                let uplink = Arc::clone(&release);
                async move { uplink.release(&caller, request).await }
            })
            .procedure::<MigrationDecide, _, _>(MigrationDecide::URI.to_owned(), move |caller, request| {
                let uplink = Arc::clone(&decide);
                async move { uplink.decide(&caller, request).await }
            })
            .procedure::<MigrationTell, _, _>(MigrationTell::URI.to_owned(), move |caller, request| {
                let uplink = Arc::clone(&told);
                async move { uplink.migration_told(&caller, &request) }
            })
            .procedure::<AuditReport, _, _>(AuditReport::URI.to_owned(), {
                let uplink = Arc::clone(self);
                move |caller, report| {
                    let uplink = Arc::clone(&uplink);
                    async move { uplink.audit_report(&caller, report).await }
                }
            })
            .spawn(self.stop.clone())
    }

    fn spawn_tenant_link(self: &Arc<Self>, tenant: &TenantSlug, stop: CancellationToken) -> Link {
        let (devices, containers) = (Arc::clone(&self.control), Arc::clone(&self.control));
        let (of_devices, of_containers) = (tenant.clone(), tenant.clone());
        let builder = Link::builder(format!("tenant {tenant}"), self.credentials(realm::of_tenant(tenant)))
            .trust(self.trust.clone());
        let builder = self.audited(builder, tenant);
        self.serving_applications(builder, tenant)
            .procedure::<AuditList, _, _>(AuditList::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |_caller, query| {
                    let page = uplink.audit_list(&tenant, query);
                    async move { page }
                }
            })
            .procedure::<DeviceList, _, _>(DeviceList::URI.to_owned(), move |_caller, _nothing| {
                let list = devices.view().devices(devices.clock.now(), &of_devices);
                async move { Ok(list) }
            })
            .procedure::<GeoSearch, _, _>(GeoSearch::URI.to_owned(), |_caller, query| {
                std::future::ready(crate::geo::search(&query))
            })
            .procedure::<FleetContainerList, _, _>(
                FleetContainerList::URI.to_owned(),
                move |_caller, _nothing| {
                    let mut list = containers.view().containers(containers.clock.now(), &of_containers);
                    // A copy that is under way is not the container.
                    list.containers
                        .retain(|one| containers.authority.is_visible(&one.container.id, &one.device));
                    async move { Ok(list) }
                },
            )
            .procedure::<ContainerMigrate, _, _>(ContainerMigrate::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |caller, request| {
                    let (uplink, tenant) = (Arc::clone(&uplink), tenant.clone());
                    async move { uplink.migrate(&tenant, &caller, request).await }
                }
            })
            .procedure::<CheckpointCopy, _, _>(CheckpointCopy::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |caller, request| {
                    let (uplink, tenant) = (Arc::clone(&uplink), tenant.clone());
                    async move { uplink.copy_checkpoint(&tenant, &caller, request).await }
                }
            })
            .procedure::<ContainerPreflight, _, _>(ContainerPreflight::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |_caller, request| {
                    let (uplink, tenant) = (Arc::clone(&uplink), tenant.clone());
                    async move { uplink.preflight(&tenant, &request).await }
                }
            })
            .procedure::<MigrationCancel, _, _>(MigrationCancel::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |caller, request| {
                    let (uplink, tenant) = (Arc::clone(&uplink), tenant.clone());
                    async move { uplink.cancel(&tenant, &caller, request).await }
                }
            })
            .procedure::<StatsHistoryQuery, _, _>(StatsHistoryQuery::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |_caller, query| {
                    let (uplink, tenant) = (Arc::clone(&uplink), tenant.clone());
                    async move { uplink.history(&tenant, query).await }
                }
            })
            .procedure::<AlertListing, _, _>(AlertListing::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |_caller, query| {
                    let list = uplink.control.alerts.list(&tenant, &query);
                    async move { list }
                }
            })
            .procedure::<AlertAcknowledge, _, _>(AlertAcknowledge::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |caller, request| {
                    let (uplink, tenant) = (Arc::clone(&uplink), tenant.clone());
                    async move { uplink.acknowledge(&tenant, &caller, request).await }
                }
            })
            .procedure::<MigrationHistory, _, _>(MigrationHistory::URI.to_owned(), {
                let (uplink, tenant) = (Arc::clone(self), tenant.clone());
                move |_caller, query: MigrationQuery| {
                    let migrations = uplink.control.moves.list(&tenant, query.container.as_ref());
                    async move { Ok(MigrationList { migrations }) }
                }
            })
            .spawn(stop)
    }

    /// The same ticket opens every platform realm; it is read anew for each attempt, since the router may have
    /// been given a new one.
    fn credentials(
        &self,
        realm: String,
    ) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<Credentials, CredentialsError>> + Send>>
    + Send
    + Sync
    + use<> {
        let url = self.control.config.router.as_str().to_owned();
        let file = self.control.config.router_ticket_file.clone();
        move || {
            let (url, realm, file) = (url.clone(), realm.clone(), file.clone());
            Box::pin(async move {
                let ticket = tokio::fs::read_to_string(&file).await.map_err(|error| {
                    format!("the router's ticket file {} cannot be read: {error}", file.display())
                })?;
                let authid = CONTROL_PLANE_AUTHID.to_owned();
                Ok(Credentials { url, realm, authid, ticket: ticket.trim().to_owned() })
            })
        }
    }

    /// Notices devices that fall silent, and keeps what the others tell, until `stop`.
    pub async fn watch(self: Arc<Self>) {
        loop {
            let now = self.control.clock.now();
            let next = self.control.view().next_deadline();
            let until_deadline = next.map(|at| Duration::from_millis(at.saturating_sub(now)));
            let wait = until_deadline.map_or(LOOK_EVERY, |wait| wait.min(LOOK_EVERY));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let unsaved = {
                // Told under the lock, so that events leave in the order of the changes.
                let mut view = self.control.view();
                let now = self.control.clock.now();
                view.due(now).into_iter().for_each(|change| self.tell(change));
                view.take_unsaved(now)
            };
            self.look_for_alerts();
            for (device, report) in unsaved {
                if let Err(error) = self.control.store.put_report(&device, &report) {
                    tracing::error!(%device, %error, "a report could not be stored");
                }
            }
        }
    }
}

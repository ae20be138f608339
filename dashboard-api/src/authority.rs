//! The authority: who has each container, under which address, and which move is under way. Every change is one step:
//! written to disk, then seen. The rules of it are `ecep_fleet::migration::authority`.
//!
//! It must not know how containers are moved, nor speak to devices.

mod placements;

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ecep_fleet::migration::authority::Holding;
use ecep_proto::api::{
    container::PortMapping,
    error::{ApiError, ErrorKind},
    fleet::TenantContainer,
    migration::{DecideRequest, Decision, Standing},
    name::{ContainerId, ContainerName, DeviceId, OperationId, TenantSlug},
    network::{AssignAddress, AssignedAddress, Forward, NetworkTable, Place, Subnet, TenantNetwork},
};
use sha2::{Digest, Sha256};

use self::placements::Placements;
use crate::{
    clock::unix_ms,
    store::{Placement, Store, StoreError},
    subnets::{self, Pool},
};

/// A container that was given an address but never seen is forgotten after this time: creating one takes seconds.
const UNSEEN_MS: u64 = 10 * 60 * 1_000;
/// Addresses of one tenant that one device may hold: as many containers as it may report, and a quarter of what there are, so
/// that a stolen device does not use up what its tenant's others need. Policy: one more is refused.
const MAX_OF_A_DEVICE: usize = 1_000;
/// A move that neither of its devices knows of any more is given up after this time: it takes a report or two to tell.
const LOST_MOVE_MS: u64 = 15_000;

/// All placements.
pub struct Authority {
    store: Store,
    pool: Pool,
    known: Mutex<Known>,
    /// One change at a time, over its write to disk.
    changing: tokio::sync::Mutex<()>,
    /// When this authority was loaded: the first revision of every network, so that none comes twice over restarts.
    started: u64,
}

#[derive(Default)]
struct Known {
    placements: Placements,
    /// Counts the changes of each tenant's network.
    revisions: HashMap<TenantSlug, u64>,
    /// The address that was given last in each tenant's network.
    last: HashMap<TenantSlug, Ipv4Addr>,
}

/// A move that has been decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The move.
    pub migration: OperationId,
    /// Whose container.
    pub tenant: TenantSlug,
    /// Whether the destination has it now.
    pub is_committed: bool,
    /// Why it was given up.
    pub reason: Option<String>,
}

impl Authority {
    /// Reads what is stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(store: Store, pool: Pool) -> Result<Self, StoreError> {
        let known = Known { placements: store.placements()?.into_iter().collect(), ..Known::default() };
        Ok(Self {
            store,
            pool,
            known: Mutex::new(known),
            changing: tokio::sync::Mutex::default(),
            started: unix_ms(),
        })
    }

    /// One container.
    pub fn placement(&self, container: &ContainerId) -> Option<Placement> {
        self.known().placements.get(container).cloned()
    }

    /// Whether the device's copy of a container is the one that people should see.
    pub fn is_visible(&self, container: &ContainerId, device: &DeviceId) -> bool {
        self.known().placements.get(container).is_none_or(|placement| placement.holding.holder == *device)
    }

    /// Whether the device has a container of the tenant, or one is on its way there.
    pub fn is_on(&self, tenant: &TenantSlug, device: &DeviceId) -> bool {
        let known = self.known();
        known.placements.of_tenant(tenant).any(|placement| is_end_of(&placement.holding, device))
    }

    /// Gives a container that is about to be created on this device an address.
    ///
    /// # Errors
    /// `Conflict` where the container is elsewhere, `Limit` where no address is left, `Unavailable` if the store fails.
    pub async fn assign(
        &self,
        device: &DeviceId,
        request: AssignAddress,
    ) -> Result<AssignedAddress, ApiError> {
        let _one = self.changing.lock().await;
        let subnet = self.subnet(&request.tenant).await?;
        if let Some(known) = self.placement(&request.container) {
            let address = known.address.filter(|_| known.tenant == request.tenant);
            return match address {
                Some(address) if known.holding.holder == *device => Ok(AssignedAddress { address, subnet }),
                _ => Err(ApiError::new(
                    ErrorKind::Conflict,
                    format!("container {} is not this device's to create", request.container),
                )),
            };
        }
        let address = {
            let known = self.known();
            let of_tenant: Vec<&Placement> = known.placements.of_tenant(&request.tenant).collect();
            if of_tenant.iter().filter(|placement| placement.holding.holder == *device).count()
                >= MAX_OF_A_DEVICE
            {
                let text = format!("The device has {MAX_OF_A_DEVICE} containers of the tenant; delete some.");
                return Err(ApiError::new(ErrorKind::Limit, text));
            }
            let taken: BTreeSet<Ipv4Addr> =
                of_tenant.iter().filter_map(|placement| placement.address).collect();
            let last = known.last.get(&request.tenant).copied().or_else(|| taken.last().copied());
            subnets::next_free(&subnet, &taken, last)
        };
        let address = address.ok_or_else(|| {
            ApiError::new(ErrorKind::Limit, "No address is left in the tenant's network; delete containers.")
        })?;
        let placement = Placement {
            tenant: request.tenant.clone(),
            container: request.container,
            name: request.name,
            address: Some(address),
            holding: Holding::new(device.clone()),
            came_by: None,
            is_seen: false,
            since: unix_ms(),
            left: Vec::new(),
        };
        self.write(placement).await?;
        self.known().last.insert(request.tenant, address);
        Ok(AssignedAddress { address, subnet })
    }

    /// A container was not created after all, or was deleted by its holder.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub async fn release(&self, device: &DeviceId, container: &ContainerId) -> Result<(), ApiError> {
        let _one = self.changing.lock().await;
        match self.placement(container) {
            Some(known) if known.holding.holder == *device && known.holding.moving.is_none() => {
                Ok(self.forget(&known).await?)
            }
            _ => Ok(()),
        }
    }

    /// Begins a move; answers the placement with it. A container that was made before there were placements gets one.
    ///
    /// # Errors
    /// `Conflict` where the container is elsewhere or moves already, `Unavailable` if the store fails.
    pub async fn begin(
        &self,
        tenant: &TenantSlug,
        container: (&ContainerId, &ContainerName),
        migration: &OperationId,
        ends: (&DeviceId, &DeviceId),
    ) -> Result<Placement, ApiError> {
        let _one = self.changing.lock().await;
        let known = self.placement(container.0).unwrap_or_else(|| Placement {
            tenant: tenant.clone(),
            container: container.0.clone(),
            name: container.1.clone(),
            address: None,
            holding: Holding::new(ends.0.clone()),
            came_by: None,
            is_seen: true,
            since: 0,
            left: Vec::new(),
        });
        let holding = known
            .holding
            .begin(migration, ends.0, ends.1)
            .map_err(|error| ApiError::new(ErrorKind::Conflict, error.to_string()))?;
        let next = Placement { holding, since: unix_ms(), ..known };
        self.write(next.clone()).await?;
        Ok(next)
    }

    /// A device commits, gives up, or asks. The second value is what has just been decided by it. `ports` are those that
    /// the container had at its source.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub async fn decide(
        &self,
        device: &DeviceId,
        request: &DecideRequest,
        ports: impl FnOnce(&Placement) -> Vec<PortMapping>,
    ) -> Result<(Standing, Option<Decided>), ApiError> {
        let _one = self.changing.lock().await;
        let Some(known) = self.placement(&request.container) else {
            // Of a container that was never known nothing can be said: on the wrong word the last copy would go.
            return match self.store.last_generation(&request.container)? {
                Some(last) if request.generation <= last => Ok((Standing::NotHolder, None)),
                _ => Err(ApiError::new(
                    ErrorKind::Unavailable,
                    format!("container {} is not known here; was an old backup restored?", request.container),
                )),
            };
        };
        let holding = match request.decision {
            Decision::Commit => known.holding.commit(&request.migration, device),
            // Only the two ends of a move may give it up.
            Decision::Abort if is_end_of(&known.holding, device) => known.holding.abort(&request.migration),
            Decision::Abort | Decision::Ask => known.holding.clone(),
        };
        let decided = (holding != known.holding).then(|| Decided {
            migration: request.migration.clone(),
            tenant: known.tenant.clone(),
            is_committed: holding.generation != known.holding.generation,
            reason: request.reason.clone(),
        });
        let standing = holding.standing(&request.migration, device, request.generation);
        if let Some(decided) = &decided {
            let mut next = Placement { holding, ..known.clone() };
            if decided.is_committed {
                let ports = ports(&known);
                next.left.retain(|(of, _)| of != device && *of != known.holding.holder);
                if !ports.is_empty() {
                    next.left.push((known.holding.holder.clone(), ports));
                }
                next.is_seen = false;
                next.came_by = Some(request.migration.clone());
                next.since = unix_ms();
            }
            self.write(next).await?;
        }
        Ok((standing, decided))
    }

    /// A device told all that it has, and which moves it takes part in. Containers that are gone are forgotten; moves that
    /// both their ends have lost are given up, and answered.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub async fn reported(
        &self,
        device: &DeviceId,
        containers: &[TenantContainer],
        migrations: &[OperationId],
    ) -> Result<Vec<Decided>, ApiError> {
        let reported: BTreeSet<&ContainerId> = containers.iter().map(|one| &one.container.id).collect();
        let now = unix_ms();
        let is_news = |placement: &&Placement| {
            news_of(placement, reported.contains(&placement.container), migrations, now) != News::None
        };
        if self.known().placements.held_by(device).find(is_news).is_none() {
            return Ok(Vec::new());
        }
        let _one = self.changing.lock().await;
        let own: Vec<Placement> = self.known().placements.held_by(device).filter(is_news).cloned().collect();
        let mut decided = Vec::new();
        for known in own {
            match news_of(&known, reported.contains(&known.container), migrations, now) {
                News::None => {}
                News::Seen => self.write(Placement { is_seen: true, came_by: None, ..known }).await?,
                News::Gone => self.forget(&known).await?,
                News::LostMove(migration) => {
                    let holding = known.holding.abort(&migration);
                    decided.push(Decided {
                        migration,
                        tenant: known.tenant.clone(),
                        is_committed: false,
                        reason: Some("the source does not know of the move any more".to_owned()),
                    });
                    self.write(Placement { holding, ..known }).await?;
                }
            }
        }
        Ok(decided)
    }

    /// Removes the tenant's device, and what it had with it; whether there was such a device.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub async fn remove_device(&self, tenant: &TenantSlug, device: &DeviceId) -> Result<bool, ApiError> {
        let _one = self.changing.lock().await;
        let placed: Vec<Placement> = self.known().placements.held_by(device).cloned().collect();
        if !self.store.remove_device(tenant, device, &placed, unix_ms()).await? {
            return Ok(false);
        }
        let mut known = self.known();
        for placement in placed {
            self.bump(&mut known, &placement.tenant);
            known.placements.remove(&placement.container);
        }
        Ok(true)
    }

    /// What decides whether a device's table is old.
    pub fn revision(&self, tenants: &[TenantSlug]) -> u64 {
        let known = self.known();
        let mut hasher = Sha256::new();
        for tenant in tenants {
            let revision = known.revisions.get(tenant).copied().unwrap_or(self.started);
            hasher.update(format!("{tenant} {revision}\n"));
        }
        drop(known);
        // 48 bits, which every JSON reader holds exactly; never 0, which a device says that has no table.
        hasher.finalize().iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte)) | 1
    }

    /// The networks as this device has to set them up. `via` tells a device's address for its neighbours.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub fn table(
        &self,
        device: &DeviceId,
        tenants: &[TenantSlug],
        via: impl Fn(&DeviceId) -> Option<Ipv4Addr>,
    ) -> Result<NetworkTable, ApiError> {
        let revision = self.revision(tenants);
        let mut networks = Vec::new();
        for tenant in tenants {
            let number = self.store.known_network_number(tenant)?;
            let Some(subnet) = number.and_then(|number| self.pool.subnet(tenant, number)) else { continue };
            // Nobody else's lock is taken while ours is held.
            let of_tenant: Vec<Placement> = self.known().placements.of_tenant(tenant).cloned().collect();
            let place = |placement: &Placement| {
                let holder = &placement.holding.holder;
                Some(Place {
                    container: placement.container.clone(),
                    name: placement.name.clone(),
                    address: placement.address?,
                    device: holder.clone(),
                    via: via(holder),
                })
            };
            networks.push(TenantNetwork {
                places: of_tenant.iter().filter_map(place).collect(),
                forwards: of_tenant.iter().flat_map(|placement| forwards(placement, device)).collect(),
                subnet,
            });
        }
        Ok(NetworkTable { revision, networks })
    }

    /// The devices' addresses have changed.
    pub fn touch(&self, tenant: &TenantSlug) {
        self.bump(&mut self.known(), tenant);
    }

    async fn subnet(&self, tenant: &TenantSlug) -> Result<Subnet, ApiError> {
        let number = self.store.network_number(tenant, self.pool.tenants()).await?;
        number.and_then(|number| self.pool.subnet(tenant, number)).ok_or_else(|| {
            ApiError::new(
                ErrorKind::Limit,
                "No network is left for this tenant; give the control plane a larger --address-pool.",
            )
        })
    }

    async fn write(&self, placement: Placement) -> Result<(), StoreError> {
        self.store.put_placement(&placement).await?;
        let mut known = self.known();
        self.bump(&mut known, &placement.tenant);
        known.placements.insert(placement);
        Ok(())
    }

    async fn forget(&self, placement: &Placement) -> Result<(), StoreError> {
        self.store.remove_placement(placement, unix_ms()).await?;
        let mut known = self.known();
        self.bump(&mut known, &placement.tenant);
        known.placements.remove(&placement.container);
        Ok(())
    }

    fn bump(&self, known: &mut Known, tenant: &TenantSlug) {
        // Never one that was there before, also over restarts and in the millisecond of the start.
        let revision = known.revisions.entry(tenant.clone()).or_insert(self.started);
        *revision = unix_ms().max(*revision + 1);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Changed in one step each, so it is sound also after a panic elsewhere.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_end_of(holding: &Holding, device: &DeviceId) -> bool {
    holding.holder == *device || holding.moving.as_ref().is_some_and(|moving| moving.destination == *device)
}

fn forwards(placement: &Placement, device: &DeviceId) -> Vec<Forward> {
    let Some(address) = placement.address.filter(|_| placement.holding.holder != *device) else {
        return Vec::new();
    };
    let here = placement.left.iter().filter(|(of, _)| of == device).flat_map(|(_, ports)| ports);
    here.filter_map(|port| {
        Some(Forward {
            container: placement.container.clone(),
            protocol: port.protocol,
            host_port: port.host?,
            container_port: port.container,
            address,
        })
    })
    .collect()
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    None,
    Seen,
    Gone,
    LostMove(OperationId),
}

/// What its holder's report means for a container.
fn news_of(placement: &Placement, is_there: bool, migrations: &[OperationId], now: u64) -> News {
    let age = now.saturating_sub(placement.since);
    match &placement.holding.moving {
        Some(moving) if !migrations.contains(&moving.migration) && age > LOST_MOVE_MS => {
            News::LostMove(moving.migration.clone())
        }
        Some(_) => News::None,
        None if is_there && !placement.is_seen => News::Seen,
        // Its new holder is still bringing it up, however long that takes.
        None if placement.came_by.as_ref().is_some_and(|move_| migrations.contains(move_)) => News::None,
        None if !is_there && (placement.is_seen || age > UNSEEN_MS) => News::Gone,
        None => News::None,
    }
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::{
        container::{ContainerState, ContainerView, Protocol},
        migration::Decision,
    };

    use super::*;

    struct Scene {
        authority: Authority,
        _folder: tempfile::TempDir,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let authority = Authority::load(store, "10.192.0.0/10".parse().unwrap()).unwrap();
        Scene { authority, _folder: folder }
    }

    fn device(name: &str) -> DeviceId {
        name.parse().unwrap()
    }

    fn acme() -> TenantSlug {
        "acme".parse().unwrap()
    }

    fn request(container: &str) -> AssignAddress {
        AssignAddress {
            tenant: acme(),
            container: container.parse().unwrap(),
            name: container.parse().unwrap(),
        }
    }

    /// A stolen device that makes up containers must not use up the addresses of its tenant's other devices.
    #[tokio::test]
    async fn one_device_leaves_addresses_for_the_others() {
        let Scene { authority, _folder } = scene();
        authority.assign(&device("a"), request("first")).await.unwrap();
        let first = authority.placement(&"first".parse().unwrap()).unwrap();
        for number in 1..MAX_OF_A_DEVICE {
            let container: ContainerId = number.to_string().parse().unwrap();
            authority.known().placements.insert(Placement { container, ..first.clone() });
        }
        let refused = authority.assign(&device("a"), request("more")).await.unwrap_err();
        assert_eq!(refused.uri, ErrorKind::Limit);
        authority.assign(&device("b"), request("more")).await.unwrap();
    }

    fn decision(migration: &str, generation: u64, decision: Decision) -> DecideRequest {
        DecideRequest {
            migration: migration.parse().unwrap(),
            container: "c".parse().unwrap(),
            generation,
            decision,
            reason: None,
        }
    }

    fn reported(container: &str) -> TenantContainer {
        let container = ContainerView {
            id: container.parse().unwrap(),
            name: container.parse().unwrap(),
            application: container.parse().unwrap(),
            image: "app".to_owned(),
            state: ContainerState::Running,
            exit_code: None,
            created_at: 1,
            started_at: None,
            ports: vec![],
            address: None,
            version: None,
            run_once: false,
        };
        TenantContainer { tenant: acme(), container }
    }

    fn port() -> Vec<PortMapping> {
        vec![PortMapping { container: 80, host: Some(8080), protocol: Protocol::Tcp }]
    }

    impl Scene {
        async fn assign(&self, at: &str, container: &str) -> Ipv4Addr {
            self.authority.assign(&device(at), request(container)).await.unwrap().address
        }

        async fn begin(&self, migration: &str, from: &str, to: &str) -> Result<Placement, ApiError> {
            let (container, name) = ("c".parse().unwrap(), "c".parse().unwrap());
            let ends = (&device(from), &device(to));
            self.authority.begin(&acme(), (&container, &name), &migration.parse().unwrap(), ends).await
        }

        async fn decide(&self, by: &str, request: DecideRequest) -> (Standing, Option<Decided>) {
            self.authority.decide(&device(by), &request, |_| port()).await.unwrap()
        }

        fn forwards(&self, at: &str) -> usize {
            let table = self.authority.table(&device(at), &[acme()], |_| None).unwrap();
            table.networks.iter().map(|network| network.forwards.len()).sum()
        }
    }

    /// An address is a container's for life, and nobody else's; only the device that has the container may ask for it.
    #[tokio::test]
    async fn an_address_is_for_life() {
        let scene = scene();
        let first = scene.assign("a", "c").await;
        assert_eq!(scene.assign("a", "c").await, first);
        assert_ne!(scene.assign("a", "d").await, first);
        let refused = scene.authority.assign(&device("b"), request("c")).await.unwrap_err();
        assert_eq!(refused.uri, ErrorKind::Conflict);
    }

    /// Two orders to move one container at once: the second finds the first. And whoever decides first is right.
    #[tokio::test]
    async fn one_move_at_a_time_and_one_decision() {
        let scene = scene();
        scene.assign("a", "c").await;
        scene.begin("m1", "a", "b").await.unwrap();
        assert_eq!(scene.begin("m2", "a", "z").await.unwrap_err().uri, ErrorKind::Conflict);
        // A third device has no say.
        assert_eq!(scene.decide("z", decision("m1", 1, Decision::Abort)).await.1, None);
        let (standing, decided) = scene.decide("b", decision("m1", 2, Decision::Commit)).await;
        assert!(standing == Standing::Holder && decided.unwrap().is_committed);
        let (standing, decided) = scene.decide("a", decision("m1", 1, Decision::Abort)).await;
        assert!(standing == Standing::NotHolder && decided.is_none());
        assert!(scene.authority.is_visible(&"c".parse().unwrap(), &device("b")));
        assert!(!scene.authority.is_visible(&"c".parse().unwrap(), &device("a")));
    }

    /// A → B → A: the port that the container left on A is A's own again, and none is left when it is deleted.
    #[tokio::test]
    async fn forwards_collapse_on_the_way_back_and_die_with_the_container() {
        let scene = scene();
        scene.assign("a", "c").await;
        scene.begin("m1", "a", "b").await.unwrap();
        scene.decide("b", decision("m1", 2, Decision::Commit)).await;
        assert_eq!((scene.forwards("a"), scene.forwards("b")), (1, 0));
        scene.begin("m2", "b", "a").await.unwrap();
        scene.decide("a", decision("m2", 3, Decision::Commit)).await;
        assert_eq!((scene.forwards("a"), scene.forwards("b")), (0, 1));
        scene.authority.reported(&device("a"), &[reported("c")], &[]).await.unwrap();
        scene.authority.reported(&device("a"), &[], &[]).await.unwrap();
        assert_eq!(scene.forwards("b"), 0);
        assert!(scene.authority.placement(&"c".parse().unwrap()).is_none());
    }

    /// A container that was just created, or has just moved here, is not gone because a report was already under way.
    #[tokio::test]
    async fn an_old_report_forgets_nothing() {
        let scene = scene();
        scene.assign("a", "c").await;
        scene.authority.reported(&device("a"), &[], &[]).await.unwrap();
        assert!(scene.authority.placement(&"c".parse().unwrap()).is_some());
        scene.authority.reported(&device("a"), &[reported("c")], &[]).await.unwrap();
        // While it moves, its source may have lost sight of it.
        scene.begin("m1", "a", "b").await.unwrap();
        scene.authority.reported(&device("a"), &[], &["m1".parse().unwrap()]).await.unwrap();
        scene.decide("b", decision("m1", 2, Decision::Commit)).await;
        scene.authority.reported(&device("b"), &[], &[]).await.unwrap();
        assert!(scene.authority.placement(&"c".parse().unwrap()).is_some());
    }

    /// After a backup was restored, or long after a commit: whoever asks about the last copy must not be told to remove it.
    #[tokio::test]
    async fn nobody_removes_the_last_copy_on_a_guess() {
        let scene = scene();
        let unknown =
            scene.authority.decide(&device("a"), &decision("m", 1, Decision::Ask), |_| port()).await;
        assert_eq!(unknown.unwrap_err().uri, ErrorKind::Unavailable);
        scene.assign("a", "c").await;
        scene.begin("m1", "a", "b").await.unwrap();
        scene.decide("b", decision("m1", 2, Decision::Commit)).await;
        // The new holder comes back after days, and is still bringing it up.
        let long_ago = Placement { since: 0, ..scene.authority.placement(&"c".parse().unwrap()).unwrap() };
        scene.authority.write(long_ago).await.unwrap();
        scene.authority.reported(&device("b"), &[], &["m1".parse().unwrap()]).await.unwrap();
        assert_eq!(scene.decide("b", decision("m1", 2, Decision::Abort)).await.0, Standing::Holder);
        // Once it is deleted, an old copy is told so.
        scene.authority.reported(&device("b"), &[reported("c")], &[]).await.unwrap();
        scene.authority.reported(&device("b"), &[], &[]).await.unwrap();
        assert_eq!(scene.decide("a", decision("m1", 1, Decision::Abort)).await.0, Standing::NotHolder);
    }

    /// A device's table is sent again exactly when it has changed.
    #[tokio::test]
    async fn the_revision_follows_the_table() {
        let scene = scene();
        let revision = || scene.authority.revision(&[acme()]);
        let first = revision();
        assert_eq!(revision(), first);
        scene.assign("a", "c").await;
        assert_ne!(revision(), first);
    }

    /// What was decided stands after a crash.
    #[tokio::test]
    async fn placements_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let pool: Pool = "10.192.0.0/10".parse().unwrap();
        let authority = Authority::load(store.clone(), pool).unwrap();
        let given = authority.assign(&device("a"), request("c")).await.unwrap();
        let again = Authority::load(store, pool).unwrap();
        assert_eq!(again.assign(&device("a"), request("c")).await.unwrap(), given);
    }
}

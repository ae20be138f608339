//! Writes down who does what. What is done is written at once, before the answer; refusals are written once and then counted,
//! so that whoever tries a thousand passwords fills no disk.
//!
//! Must not know HTTP or WAMP framing. The store keeps the entries (`store::audit`).

mod joins;
mod repeats;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ecep_proto::api::{
    audit::{
        Actor, ActorKind, AuditReceipt, AuditReport, DeviceCall, MAX_CALLS_OF_A_REPORT, Outcome, Told, Via,
        ViaKind, cut,
    },
    error::{ApiError, ErrorKind},
    name::{DeviceId, TenantSlug},
    realm::CONTROL_PLANE_AUTHID,
    reply::Caller,
};

use crate::store::{
    Store, StoreError,
    audit::{Draft, Log, Mark},
};
use joins::Joins;
use repeats::Repeats;

/// A call that is told this much after it was served was told late. Reports leave at once while the device is connected.
const LATE_AFTER_MS: u64 = 30_000;

/// The action of the entry that says that a device's journal has lost calls.
pub const LOST: &str = "audit.lost";

/// Writes entries.
pub struct Audit {
    store: Store,
    repeats: Mutex<Repeats>,
    joins: Mutex<Joins>,
}

impl Audit {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, repeats: Mutex::default(), joins: Mutex::default() }
    }

    /// Writes down what was done, or refused. It has happened already, so a store that fails is told to the log alone.
    ///
    /// What somebody unknown tried counts as refused whatever it came to: they must not choose how much is written. Done was
    /// nothing then, such as a logout without a login, and is not written at all.
    pub async fn note(&self, now: u64, draft: Draft) {
        let is_nobody = draft.actor == Actor::nobody();
        let draft = match draft.outcome {
            Outcome::Done if is_nobody => None,
            Outcome::Failed | Outcome::Running if is_nobody => lock(&self.repeats).counted(now, draft),
            Outcome::Refused => lock(&self.repeats).counted(now, draft),
            Outcome::Done | Outcome::Running | Outcome::Failed => Some(draft),
        };
        if let Some(draft) = draft {
            self.write(now, vec![draft]).await;
        }
    }

    /// Writes down the refusals that were counted, those whose time is over or all of them.
    pub async fn write_repeats(&self, now: u64, all: bool) {
        let due = lock(&self.repeats).due(now, all);
        if !due.is_empty() {
            self.write(now, due).await;
        }
    }

    async fn write(&self, now: u64, drafts: Vec<Draft>) {
        let drafts = drafts.into_iter().map(|draft| (log_of(&draft), draft)).collect();
        if let Err(error) = self.store.add_audit(now, drafts, None).await {
            tracing::error!(%error, "the audit cannot be written");
        }
    }

    /// Remembers from where somebody has joined a tenant's realm.
    pub fn joined(&self, tenant: &TenantSlug, authid: &str, peer: &str) {
        lock(&self.joins).joined(tenant, authid, peer);
    }

    /// Writes down a call that the control plane has served in a tenant's realm.
    pub async fn served(&self, now: u64, tenant: &TenantSlug, caller: &Caller, told: Told) {
        let draft = self.draft_of_call(tenant, caller, told);
        self.note(now, draft).await;
    }

    /// Writes down what a device tells of calls there: each once, in order. `tenants` have a share in the device, the first
    /// is its owner.
    ///
    /// # Errors
    /// `InvalidArgument` for a report that no agent sends; `Unavailable` if the store fails, and then nothing was written.
    pub async fn report(
        &self,
        now: u64,
        device: &DeviceId,
        tenants: &[TenantSlug],
        report: AuditReport,
    ) -> Result<AuditReceipt, ApiError> {
        let AuditReport { journal, sent_at, calls } = report;
        if calls.len() > MAX_CALLS_OF_A_REPORT || journal.len() > ecep_proto::api::name::MAX_NAME_LENGTH {
            return Err(ApiError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "A report has at most {MAX_CALLS_OF_A_REPORT} calls, and the id of a journal is short."
                ),
            ));
        }
        let owner = tenants.first();
        let mark = self.store.audit_mark(device)?.filter(|mark| mark.journal == journal);
        let mut sequence = mark.map_or(0, |mark| mark.sequence);
        let mut drafts = Vec::new();
        for call in calls {
            if call.sequence <= sequence {
                continue;
            }
            let lost = call.sequence - sequence - 1;
            if lost > 0 {
                let detail = BTreeMap::from([("calls".to_owned(), lost.to_string())]);
                let draft = Draft {
                    device: Some(device.clone()),
                    ..Draft::of_installation(owner.cloned(), LOST, detail)
                };
                drafts.push((log_of(&draft), draft));
            }
            sequence = call.sequence;
            let DeviceCall { at, tenant, caller, told, .. } = call;
            // A device may speak of its own tenants alone; of what it served for one that has no share any more, to its owner.
            let Some(tenant) = Some(&tenant).filter(|tenant| tenants.contains(tenant)).or(owner) else {
                continue;
            };
            let draft = Draft {
                device: Some(device.clone()),
                device_at: Some(at),
                late: sent_at.saturating_sub(at) > LATE_AFTER_MS,
                ..self.draft_of_call(tenant, &caller, told.checked())
            };
            drafts.push((log_of(&draft), draft));
        }
        if !drafts.is_empty() {
            self.store.add_audit(now, drafts, Some((device, Mark { journal, sequence }))).await?;
        }
        Ok(AuditReceipt { sequence })
    }

    fn draft_of_call(&self, tenant: &TenantSlug, caller: &Caller, told: Told) -> Draft {
        let Told { action, target, outcome, error, detail } = told;
        let kind = self.kind_of(tenant, &caller.authid).unwrap_or_else(|error| {
            tracing::warn!(%error, "the audit does not know what kind of actor it is");
            ActorKind::Nobody
        });
        Draft {
            tenant: Some(tenant.clone()),
            // A device says who called there: whatever text it says, it is as short as any.
            actor: Actor { authid: cut(&caller.authid), kind },
            via: Some(Via { kind: ViaKind::WampSession, id: caller.session.to_string() }),
            address: lock(&self.joins).address(tenant, &caller.authid),
            device: None,
            action,
            target,
            outcome,
            error,
            detail,
            count: 1,
            device_at: None,
            late: false,
            is_own: false,
        }
    }

    fn kind_of(&self, tenant: &TenantSlug, authid: &str) -> Result<ActorKind, StoreError> {
        if authid == CONTROL_PLANE_AUTHID {
            return Ok(ActorKind::Installation);
        }
        if self.store.account(authid)?.is_some() {
            return Ok(ActorKind::Person);
        }
        if self.store.api_token(authid)?.is_some_and(|token| token.tenant == *tenant) {
            return Ok(ActorKind::Token);
        }
        let device = authid.parse().ok().map(|device| self.store.device(&device)).transpose()?.flatten();
        Ok(if device.is_some() { ActorKind::Device } else { ActorKind::Nobody })
    }
}

/// Where it is written: so that nobody can push out what concerns others, what each may cause at will stands apart.
fn log_of(draft: &Draft) -> Log {
    match (&draft.tenant, draft.actor.kind) {
        (Some(tenant), _) if draft.device.is_some() => Log::Told(tenant.clone()),
        (Some(tenant), _) => Log::Tenant(tenant.clone()),
        (None, ActorKind::Nobody) => Log::Strangers,
        (None, _) if draft.is_own => Log::People,
        (None, _) => Log::Installation,
    }
}

/// What is behind a lock is changed in one step each.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::{ContainerStop, Procedure};

    use super::*;
    use crate::store::audit::Wanted;

    fn call(sequence: u64, tenant: &str) -> DeviceCall {
        DeviceCall {
            sequence,
            at: 1_000,
            tenant: tenant.parse().unwrap(),
            caller: Caller { session: 7, authid: "ann".to_owned(), authrole: "operator".to_owned() },
            told: Told {
                action: ContainerStop::URI.to_owned(),
                target: format!("c{sequence}"),
                outcome: Outcome::Done,
                error: None,
                detail: BTreeMap::new(),
            },
        }
    }

    fn report(journal: &str, sent_at: u64, calls: Vec<DeviceCall>) -> AuditReport {
        AuditReport { journal: journal.to_owned(), sent_at, calls }
    }

    /// Whoever has a device's key makes up what was called there: it must not grow the log by long texts, nor push out what the
    /// control plane itself wrote down.
    #[tokio::test]
    async fn what_a_device_makes_up_stands_apart_and_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let audit = Audit::new(store.clone());
        let (device, acme): (DeviceId, TenantSlug) = ("edge".parse().unwrap(), "acme".parse().unwrap());
        let mut forged = call(1, "acme");
        forged.caller.authid = "x".repeat(1_000_000);
        let told = audit.report(1, &device, std::slice::from_ref(&acme), report("j", 1, vec![forged])).await;
        assert_eq!(told.unwrap().sequence, 1);
        let wanted = Wanted { to: 1 << 47, limit: 100, ..Wanted::default() };
        let (told, _) = store.audit(&[Log::Told(acme.clone())], &wanted).unwrap();
        assert_eq!((told.len(), told[0].actor.authid.len()), (1, ecep_proto::api::audit::MAX_TEXT));
        assert!(store.audit(&[Log::Tenant(acme)], &wanted).unwrap().0.is_empty());
    }

    /// What anybody may cause at will must not push out what administrators did: neither failures of nobody's requests, which are
    /// counted, nor what people do about their own logins.
    #[tokio::test]
    async fn what_anybody_causes_at_will_pushes_nothing_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let audit = Audit::new(store.clone());
        let plain = || Draft::of_installation(None, "POST /api/login", BTreeMap::new());
        let person = Actor { authid: "vera".to_owned(), kind: ActorKind::Person };
        for _ in 0..10 {
            let nobody = Draft { actor: Actor::nobody(), outcome: Outcome::Failed, ..plain() };
            audit.note(1, nobody).await;
            audit.note(1, Draft { actor: Actor::nobody(), ..plain() }).await;
            audit.note(1, Draft { actor: person.clone(), is_own: true, ..plain() }).await;
        }
        audit.note(1, Draft { actor: person, ..plain() }).await;
        let count = |log: Log| {
            let wanted = Wanted { to: 1 << 47, limit: 100, ..Wanted::default() };
            store.audit(&[log], &wanted).unwrap().0.len()
        };
        assert_eq!([count(Log::Strangers), count(Log::People), count(Log::Installation)], [1, 10, 1]);
    }

    /// Told twice, a call stands once; what a device has lost stands as lost; and no device writes into another tenant's log.
    #[tokio::test]
    async fn a_devices_calls_are_written_once_and_only_to_its_tenants() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let audit = Audit::new(store.clone());
        let (device, tenants): (DeviceId, Vec<TenantSlug>) =
            ("edge".parse().unwrap(), vec!["acme".parse().unwrap(), "shared".parse().unwrap()]);
        let tell = async |report| audit.report(5_000, &device, &tenants, report).await.unwrap().sequence;
        let first = vec![call(1, "acme"), call(2, "shared"), call(3, "victim")];
        assert_eq!(tell(report("j1", 1_500, first.clone())).await, 3);
        assert_eq!(tell(report("j1", 1_500, first)).await, 3);
        assert_eq!(tell(report("j1", 90_000, vec![call(3, "acme"), call(6, "acme")])).await, 6);
        assert_eq!(tell(report("j2", 1_500, vec![call(1, "acme")])).await, 1);
        let entries = |tenant: &str| {
            let wanted = Wanted { to: 1 << 47, limit: 100, ..Wanted::default() };
            store.audit(&Log::of_tenant(&tenant.parse().unwrap()), &wanted).unwrap().0
        };
        let acme = entries("acme");
        let told: Vec<_> = acme.iter().map(|entry| (entry.target.as_str(), entry.late)).collect();
        assert_eq!(told, [("c1", false), ("c3", false), ("", false), ("c6", true), ("c1", false)]);
        assert_eq!((acme[2].action.as_str(), acme[2].detail["calls"].as_str()), (LOST, "2"));
        assert_eq!(entries("shared").len(), 1);
        assert!(entries("victim").is_empty());
    }
}

//! The audit log: entries that are only ever added, each with the hash of the one before. Every tenant has a log of its own and
//! one of what its devices tell, the installation has one, people have one of what they do about their own logins, and strangers
//! have one. So no flood of any of them pushes anything else out.
//!
//! What the hashes prove: whoever changes or takes out an entry must write all later ones anew, and then differs from
//! any hash that was noted elsewhere, such as in an export. Against somebody who may write the store and no hash was taken from,
//! they prove nothing.
//!
//! Must not know who asks, nor what is worth an entry.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Store, StoreError, gate::Gate, table::Table, tree::Transactional};
use ecep_proto::api::{
    audit::{Actor, AuditEntry, Outcome, Via},
    name::{DeviceId, TenantSlug},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Entries of one log. Policy: when it is full the oldest hundredth goes, and an entry says so. A tenant that changes something
/// 125 times a day keeps the whole time; a full log takes about 40 MB of disk.
pub const MAX_ENTRIES_OF_A_LOG: usize = 50_000;
/// How long an entry is kept: a year, and some time to look at it.
pub const KEEP_ENTRIES_MS: u64 = 400 * 24 * 60 * 60 * 1_000;
/// Rows that are looked at for one page, so that a rare match keeps nobody else waiting.
const MAX_LOOKED_AT: usize = 5_000;

/// The action of the entry that says that older ones went because the log was full.
pub const DROPPED: &str = "audit.dropped";

/// Whose log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Log {
    /// A tenant's.
    Tenant(TenantSlug),
    /// What devices told of calls in a tenant's realm: whoever has a device's key may make up as many as they like.
    Told(TenantSlug),
    /// What concerns the whole installation.
    Installation,
    /// What people do about their own accounts, as often as they like.
    People,
    /// What people who are not known tried.
    Strangers,
}

impl Log {
    /// All that concerns a tenant, to be read together.
    pub fn of_tenant(tenant: &TenantSlug) -> Vec<Log> {
        vec![Log::Tenant(tenant.clone()), Log::Told(tenant.clone())]
    }

    /// All that concerns no tenant, to be read together.
    pub fn of_installation() -> Vec<Log> {
        vec![Log::Installation, Log::People, Log::Strangers]
    }

    fn prefix(&self) -> String {
        match self {
            Log::Tenant(tenant) => format!("tenant/{tenant}/"),
            Log::Told(tenant) => format!("told/{tenant}/"),
            Log::Installation => "installation/".to_owned(),
            Log::People => "people/".to_owned(),
            Log::Strangers => "strangers/".to_owned(),
        }
    }

    /// Entries of two logs that are read together must not have the same id.
    fn letter(&self) -> char {
        match self {
            Log::Tenant(_) => 't',
            Log::Told(_) => 'd',
            Log::Installation => 'i',
            Log::People => 'p',
            Log::Strangers => 's',
        }
    }
}

/// What is to be written down; the log adds when, an id and the hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The tenant; none if it concerns the installation.
    pub tenant: Option<TenantSlug>,
    /// Who.
    pub actor: Actor,
    /// By which right.
    pub via: Option<Via>,
    /// From which address.
    pub address: Option<String>,
    /// The device by whose word.
    pub device: Option<DeviceId>,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The error.
    pub error: Option<String>,
    /// Named fields.
    pub detail: BTreeMap<String, String>,
    /// How often.
    pub count: u32,
    /// When, by the device's clock.
    pub device_at: Option<u64>,
    /// Whether it was told only later.
    pub late: bool,
    /// Whether it is about the actor's own account alone.
    pub is_own: bool,
}

impl Draft {
    /// Something that the platform itself did.
    pub fn of_installation(
        tenant: Option<TenantSlug>,
        action: &str,
        detail: BTreeMap<String, String>,
    ) -> Self {
        Self {
            tenant,
            actor: Actor::installation(),
            via: None,
            address: None,
            device: None,
            action: action.to_owned(),
            target: String::new(),
            outcome: Outcome::Done,
            error: None,
            detail,
            count: 1,
            device_at: None,
            late: false,
            is_own: false,
        }
    }

    fn into_entry(self, id: String, at: u64) -> AuditEntry {
        let Self {
            tenant,
            actor,
            via,
            address,
            device,
            action,
            target,
            outcome,
            error,
            detail,
            count,
            device_at,
            late,
            is_own: _,
        } = self;
        AuditEntry {
            id,
            at,
            tenant,
            actor,
            via,
            address,
            device,
            action,
            target,
            outcome,
            error,
            detail,
            count,
            device_at,
            late,
            hash: String::new(),
        }
    }
}

/// How much of a device's journal has been written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The journal.
    pub journal: String,
    /// The number of its last call.
    pub sequence: u64,
}

/// A row, by the log and the entry's id: the entry as text, so that its hash is of exactly these bytes whatever later versions add to the type.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Row {
    /// The hash of the entry before.
    before: String,
    /// The entry without its hash, as JSON.
    entry: String,
    /// Over both.
    hash: String,
}

impl Row {
    fn read(&self) -> Result<AuditEntry, serde_json::Error> {
        let mut entry: AuditEntry = serde_json::from_str(&self.entry)?;
        entry.hash.clone_from(&self.hash);
        Ok(entry)
    }
}

/// The end of a log.
#[derive(Debug, Clone, Default)]
struct Head {
    at: u64,
    sequence: u64,
    hash: String,
    entries: usize,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Written down at this time or later.
    pub from: u64,
    /// Written down before this time.
    pub to: u64,
    /// Of this authid.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this target.
    pub target: Option<String>,
    /// Behind the entry of this id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Whether the newest come first.
    pub newest_first: bool,
}

impl Wanted {
    fn matches(&self, entry: &AuditEntry) -> bool {
        let same =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        same(&self.actor, &entry.actor.authid)
            && same(&self.action, &entry.action)
            && same(&self.target, &entry.target)
    }
}

/// All logs.
#[derive(Clone)]
pub struct AuditLog {
    rows: Table<Row>,
    pub(super) marks: Table<Mark>,
    /// The end of each log that was used since the start; writers come one after the other.
    heads: Arc<Mutex<HashMap<Log, Head>>>,
}

impl AuditLog {
    pub(super) fn open(db: &sled::Db, gate: &Arc<Gate>) -> Result<Self, StoreError> {
        Ok(Self {
            rows: Table::open(db, gate, "audit")?,
            marks: Table::open(db, gate, "audit_marks")?,
            heads: Arc::default(),
        })
    }

    fn head(&self, log: &Log) -> Result<Head, StoreError> {
        let prefix = log.prefix();
        let entries = self.rows.tree.scan_prefix(&prefix).keys().count();
        let Some(last) = self.rows.tree.scan_prefix(&prefix).next_back() else { return Ok(Head::default()) };
        let (key, bytes) = last?;
        let row = self.rows.decode(&key, &bytes)?;
        let (at, sequence) = place(&key[prefix.len()..]);
        Ok(Head { at, sequence, hash: row.hash, entries })
    }
}

/// When, and the how manyth; the id that says both, in an order that text has too.
fn id(at: u64, sequence: u64, log: &Log) -> String {
    format!("{at:012x}{sequence:010x}{}", log.letter())
}

fn place(id: &[u8]) -> (u64, u64) {
    let number = |from: usize, to: usize| {
        let digits = id.get(from..to).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
    };
    (number(0, 12), number(12, 22))
}

fn hash(before: &str, entry: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update("\n");
    hasher.update(entry);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Store {
    /// Writes entries down, and with them how much of a device's journal they are: all or nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn add_audit(
        &self,
        now: u64,
        drafts: Vec<(Log, Draft)>,
        mark: Option<(&DeviceId, Mark)>,
    ) -> Result<(), StoreError> {
        self.put_audit(now, drafts, mark)?;
        self.flush().await
    }

    fn put_audit(
        &self,
        now: u64,
        drafts: Vec<(Log, Draft)>,
        mark: Option<(&DeviceId, Mark)>,
    ) -> Result<(), StoreError> {
        let log = &self.audit;
        let mut heads = log.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed: HashMap<Log, Head> = HashMap::new();
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for (of, draft) in drafts {
            let mut head = match changed.get(&of).or_else(|| heads.get(&of)) {
                Some(head) => head.clone(),
                None => log.head(&of)?,
            };
            if head.entries >= MAX_ENTRIES_OF_A_LOG {
                let oldest = MAX_ENTRIES_OF_A_LOG / 100;
                let prefix = of.prefix();
                let gone =
                    removed.iter().filter(|key: &&sled::IVec| key.starts_with(prefix.as_bytes())).count();
                let keys = log.rows.tree.scan_prefix(&prefix).keys().skip(gone).take(oldest);
                let keys = keys.collect::<Result<Vec<_>, _>>()?;
                let detail = BTreeMap::from([("entries".to_owned(), keys.len().to_string())]);
                let tenant = match &of {
                    Log::Tenant(tenant) | Log::Told(tenant) => Some(tenant.clone()),
                    Log::Installation | Log::People | Log::Strangers => None,
                };
                head.entries = head.entries.saturating_sub(keys.len());
                removed.extend(keys);
                added.push(chain(&mut head, now, &of, Draft::of_installation(tenant, DROPPED, detail))?);
            }
            added.push(chain(&mut head, now, &of, draft)?);
            changed.insert(of, head);
        }
        let mark = mark.map(|(device, mark)| (device.as_str().to_owned(), mark));
        (&log.rows.tree, &log.marks.tree).transaction(|(rows, marks)| {
            for key in &removed {
                rows.remove(key)?;
            }
            for (key, row) in &added {
                log.rows.within(rows).put(key, row)?;
            }
            if let Some((device, mark)) = &mark {
                log.marks.within(marks).put(device, mark)?;
            }
            Ok(())
        })?;
        heads.extend(changed);
        Ok(())
    }

    /// How much of a device's journal has been written down.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn audit_mark(&self, device: &DeviceId) -> Result<Option<Mark>, StoreError> {
        self.audit.marks.get(device.as_str())
    }

    /// Some entries of these logs, by time, and what the next page comes after.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn audit(
        &self,
        logs: &[Log],
        wanted: &Wanted,
    ) -> Result<(Vec<AuditEntry>, Option<String>), StoreError> {
        let rows = &self.audit.rows;
        let mut ways = Vec::new();
        for log in logs {
            let prefix = log.prefix();
            let (mut from, mut to) = (format!("{:012x}", wanted.from), format!("{:012x}", wanted.to));
            match (&wanted.after, wanted.newest_first) {
                (Some(after), true) => to = to.min(after.clone()),
                // Behind this id is from the next text on.
                (Some(after), false) => from = from.max(format!("{after}\0")),
                (None, _) => {}
            }
            if from < to {
                let range = rows.tree.range(format!("{prefix}{from}")..format!("{prefix}{to}"));
                ways.push((prefix.len(), range, None));
            }
        }
        let (mut entries, mut looked_at, mut last) = (Vec::new(), 0, None);
        loop {
            for (skip, range, waiting) in &mut ways {
                if waiting.is_none() {
                    let next = if wanted.newest_first { range.next_back() } else { range.next() };
                    *waiting = next.transpose()?.map(|(key, bytes)| (key[*skip..].to_vec(), key, bytes));
                }
            }
            let waiting = ways.iter_mut().map(|(_, _, waiting)| waiting).filter(|waiting| waiting.is_some());
            let id_of =
                |waiting: &&mut Option<(Vec<u8>, _, _)>| waiting.as_ref().map(|(id, _, _)| id.clone());
            let next =
                if wanted.newest_first { waiting.max_by_key(id_of) } else { waiting.min_by_key(id_of) };
            let Some((id, key, bytes)) = next.and_then(Option::take) else { return Ok((entries, None)) };
            if entries.len() == wanted.limit || looked_at == MAX_LOOKED_AT {
                return Ok((entries, last));
            }
            looked_at += 1;
            let entry = rows.decode(&key, &bytes)?.read().map_err(|error| unreadable(&key, error))?;
            last = Some(String::from_utf8_lossy(&id).into_owned());
            if wanted.matches(&entry) {
                entries.push(entry);
            }
        }
    }

    /// Deletes entries that were written down before this time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep_audit(&self, before: u64) -> Result<(), StoreError> {
        {
            let mut heads = self.audit.heads.lock().unwrap_or_else(PoisonError::into_inner);
            for key in self.audit.rows.tree.iter().keys() {
                let key = key?;
                let key = String::from_utf8_lossy(&key);
                let id = key.rsplit('/').next().unwrap_or_default();
                if place(id.as_bytes()).0 < before {
                    self.audit.rows.tree.remove(&key)?;
                }
            }
            // What is left is counted anew when somebody writes.
            heads.clear();
        }
        self.flush().await
    }
}

/// Looks whether every entry has the hash that it should have, and follows the one before: the keys where it is not so, and what
/// is wrong. That the oldest entries are gone is no fault.
pub(super) fn broken(rows: &BTreeMap<String, Row>) -> Vec<(&str, &'static str)> {
    let mut wrong = Vec::new();
    let mut before: Option<(&str, &str)> = None;
    for (key, row) in rows {
        let log = key.rsplit_once('/').map_or("", |(log, _)| log);
        if hash(&row.before, &row.entry) != row.hash {
            wrong.push((key.as_str(), "this entry of the audit was changed"));
        }
        if before.is_some_and(|(before, hash)| before == log && hash != row.before) {
            let what = "it does not follow the entry before; entries of the audit were taken out or put in";
            wrong.push((key.as_str(), what));
        }
        before = Some((log, &row.hash));
    }
    wrong
}

/// The next row of a log.
fn chain(head: &mut Head, now: u64, log: &Log, draft: Draft) -> Result<(String, Row), StoreError> {
    // A clock that was put back must not put entries out of their order.
    head.at = head.at.max(now);
    head.sequence += 1;
    head.entries += 1;
    let id = id(head.at, head.sequence, log);
    let key = format!("{}{id}", log.prefix());
    let entry = serde_json::to_string(&draft.into_entry(id, head.at))
        .map_err(|error| unreadable(key.as_bytes(), error))?;
    let before = std::mem::take(&mut head.hash);
    head.hash = hash(&before, &entry);
    Ok((key, Row { before, entry, hash: head.hash.clone() }))
}

fn unreadable(key: &[u8], error: serde_json::Error) -> StoreError {
    StoreError::Row { table: "audit", key: String::from_utf8_lossy(key).into_owned(), error }
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::audit::ActorKind;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn acme() -> Log {
        Log::Tenant("acme".parse().unwrap())
    }

    fn draft(actor: &str, target: &str) -> Draft {
        let actor = Actor { authid: actor.to_owned(), kind: ActorKind::Person };
        Draft { actor, target: target.to_owned(), ..Draft::of_installation(None, "test", BTreeMap::new()) }
    }

    fn all() -> Wanted {
        Wanted { to: 1 << 47, limit: 500, ..Wanted::default() }
    }

    fn wrong(store: &Store) -> Vec<&'static str> {
        let rows = store.audit.rows.rows().unwrap().into_iter().collect();
        broken(&rows).into_iter().map(|(_, what)| what).collect()
    }

    fn targets(store: &Store, logs: &[Log], wanted: &Wanted) -> Vec<String> {
        store.audit(logs, wanted).unwrap().0.into_iter().map(|entry| entry.target).collect()
    }

    /// Pages must neither repeat nor skip an entry, in both directions, also where two logs are read together and times are alike.
    #[tokio::test]
    async fn pages_follow_each_other() {
        let (_folder, store) = store();
        let logs = [Log::Installation, Log::Strangers];
        for number in 0..20 {
            let log = logs[number % 2].clone();
            store
                .add_audit(100 + number as u64 / 4, vec![(log, draft("ann", &number.to_string()))], None)
                .await
                .unwrap();
        }
        store.add_audit(100, vec![(acme(), draft("eve", "another log"))], None).await.unwrap();
        for newest_first in [false, true] {
            let mut found = Vec::new();
            let mut wanted = Wanted { limit: 3, newest_first, ..all() };
            loop {
                let (page, next) = store.audit(&logs, &wanted).unwrap();
                found.extend(page.into_iter().map(|entry| entry.id));
                match next {
                    Some(next) => wanted.after = Some(next),
                    None => break,
                }
            }
            let mut sorted = found.clone();
            sorted.sort();
            if newest_first {
                sorted.reverse();
            }
            assert_eq!((found.len(), &found), (20, &sorted));
        }
        assert_eq!(targets(&store, &logs, &Wanted { from: 101, to: 102, ..all() }).len(), 4);
        assert_eq!(targets(&store, &logs, &Wanted { target: Some("7".to_owned()), ..all() }), ["7"]);
        assert_eq!(targets(&store, &logs, &Wanted { actor: Some("eve".to_owned()), ..all() }), [""; 0]);
    }

    /// A clock that was put back must not put entries out of order, nor break the chain; nor may a restart.
    #[tokio::test]
    async fn the_order_is_that_of_writing() {
        let (folder, store) = store();
        store.add_audit(1_000, vec![(acme(), draft("ann", "first"))], None).await.unwrap();
        store.add_audit(10, vec![(acme(), draft("ann", "second"))], None).await.unwrap();
        drop(store);
        let store = loop {
            match Store::open(folder.path()) {
                Err(StoreError::InUse { .. }) => std::thread::yield_now(),
                store => break store.unwrap(),
            }
        };
        store.add_audit(20, vec![(acme(), draft("ann", "third"))], None).await.unwrap();
        assert_eq!(targets(&store, &[acme()], &all()), ["first", "second", "third"]);
        assert_eq!(wrong(&store), [""; 0]);
    }

    /// Whoever changes an entry or takes one out must be found.
    #[tokio::test]
    async fn a_broken_chain_is_found() {
        let (_folder, store) = store();
        for target in ["a", "b", "c"] {
            store.add_audit(1, vec![(acme(), draft("ann", target))], None).await.unwrap();
        }
        let keys: Vec<_> = store.audit.rows.tree.iter().keys().map(Result::unwrap).collect();
        let key = String::from_utf8(keys[1].to_vec()).unwrap();
        let good = store.audit.rows.get(&key).unwrap().unwrap();
        let mut forged = good.clone();
        forged.entry = forged.entry.replace("\"b\"", "\"x\"");
        store.audit.rows.put(&key, &forged).unwrap();
        assert!(wrong(&store)[0].contains("was changed"));
        // With its hash made right it does not fit to the next one.
        forged.hash = hash(&forged.before, &forged.entry);
        store.audit.rows.put(&key, &forged).unwrap();
        assert!(wrong(&store)[0].contains("does not follow"));
        store.audit.rows.remove(&key).unwrap();
        assert!(wrong(&store)[0].contains("does not follow"));
        store.audit.rows.put(&key, &good).unwrap();
        assert_eq!(wrong(&store), [""; 0]);
        // That the oldest are gone is no fault.
        store.audit.rows.tree.remove(std::str::from_utf8(&keys[0]).unwrap()).unwrap();
        assert_eq!(wrong(&store), [""; 0]);
    }

    /// A full log loses its oldest entries and says so; another tenant's loses nothing.
    #[test]
    fn a_full_log_loses_its_oldest_and_says_so() {
        let (_folder, store) = store();
        store.put_audit(1, vec![(Log::Installation, draft("ann", "kept"))], None).unwrap();
        for number in 0..=50 {
            let drafts = (0..1_000).map(|at| (acme(), draft("ann", &format!("{number}-{at}")))).collect();
            store.put_audit(number, drafts, None).unwrap();
        }
        let count = store.audit.rows.tree.scan_prefix(&acme().prefix()).count();
        assert!(count <= MAX_ENTRIES_OF_A_LOG, "{count}");
        let dropped = Wanted { action: Some(DROPPED.to_owned()), from: 50, ..all() };
        assert_eq!(store.audit(&[acme()], &dropped).unwrap().0[0].detail["entries"], "500");
        // Three times a hundredth of the log.
        assert_eq!(targets(&store, &[acme()], &Wanted { limit: 1, ..all() }), ["1-500"]);
        assert_eq!(targets(&store, &[Log::Installation], &all()), ["kept"]);
        assert_eq!(wrong(&store), [""; 0]);
    }

    /// Old entries go after their time, and the chain goes on behind them.
    #[tokio::test]
    async fn old_entries_are_swept() {
        let (_folder, store) = store();
        for at in [1, 2, 3] {
            store.add_audit(at, vec![(acme(), draft("ann", &at.to_string()))], None).await.unwrap();
        }
        store.sweep_audit(3).await.unwrap();
        store.add_audit(4, vec![(acme(), draft("ann", "4"))], None).await.unwrap();
        assert_eq!(targets(&store, &[acme()], &all()), ["3", "4"]);
        assert_eq!(wrong(&store), [""; 0]);
    }
}

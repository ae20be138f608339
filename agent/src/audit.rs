//! The device's journal for the audit: who has called what here. It is on disk before a call is answered, and goes to the control
//! plane when that can be reached, in order and each call once: the control plane remembers the number of the last one.
//!
//! Must not know what the procedures do; what may be told of a call is decided by [`Told::of`].

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ecep_link::{Link, LinkBuilder, LinkState, Served};
use ecep_proto::api::{
    AuditReport, Procedure,
    audit::{AuditReport as Report, DeviceCall, MAX_CALLS_OF_A_REPORT, Told, is_audited_uri},
    name::TenantSlug,
    reply::Caller,
};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::spawn_blocking, time::timeout};

use crate::{clock, durable, random};

/// Calls that wait for the control plane, about 1 MB. Policy: the oldest goes; the gap in the numbers says how many are lost.
const MAX_WAITING: usize = 2_000;
/// Lines of the file before it is written anew without those that have been told.
const MAX_LINES: usize = 2 * MAX_WAITING;
/// After a report that was not taken, unless the link changes before.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const FILE: &str = "audit-journal";

/// The first line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    journal: String,
    /// The number of the next call, if no line below says more.
    next: u64,
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// To be appended to; nothing where the file may end within a line, or was not written at all.
    file: Option<File>,
    head: Head,
    waiting: VecDeque<DeviceCall>,
    lines: usize,
}

impl Journal {
    /// Opens the journal in the agent's folder, or begins one. A line that a crash has cut is left out: its call was not
    /// answered. On a full disk it is in memory alone until there is room: the agent is needed to make some.
    ///
    /// # Errors
    /// The disk's, but for a full one.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut lines = text.lines();
        let head = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let mut head = match head {
            Some(head) => head,
            None => Head { journal: random::journal_id(), next: 1 },
        };
        let mut waiting = VecDeque::new();
        for call in lines.map_while(|line| serde_json::from_str::<DeviceCall>(line).ok()) {
            head.next = head.next.max(call.sequence + 1);
            waiting.push_back(call);
        }
        let too_many = waiting.len().saturating_sub(MAX_WAITING);
        waiting.drain(..too_many);
        let mut inner = Inner { path, file: None, head, waiting, lines: 0 };
        match inner.tidy() {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                tracing::error!(path = %inner.path.display(), %error, "the audit's journal cannot be written");
            }
            tidied => tidied?,
        }
        Ok(Self { inner: Mutex::new(inner), news: Notify::new() })
    }

    /// Writes a call down; on disk when it returns. If the disk refuses, the log says so and the call waits in memory alone:
    /// no order is held up by the audit.
    fn note(&self, at: u64, tenant: TenantSlug, caller: Caller, told: Told) {
        let mut inner = self.lock();
        let call = DeviceCall { sequence: inner.head.next, at, tenant, caller, told };
        inner.head.next += 1;
        let line = serde_json::to_string(&call).map(|line| line + "\n").unwrap_or_default();
        inner.waiting.push_back(call);
        if inner.waiting.len() > MAX_WAITING {
            inner.waiting.pop_front();
        }
        if let Err(error) = inner.append(&line) {
            tracing::error!(path = %inner.path.display(), %error, "the audit's journal cannot be written");
        }
        self.news.notify_one();
    }

    /// What is to be told next.
    fn report(&self, now: u64) -> Option<Report> {
        let inner = self.lock();
        let calls: Vec<DeviceCall> = inner.waiting.iter().take(MAX_CALLS_OF_A_REPORT).cloned().collect();
        let journal = inner.head.journal.clone();
        (!calls.is_empty()).then_some(Report { journal, sent_at: now, calls })
    }

    /// The control plane has these and those before.
    fn taken(&self, sequence: u64) {
        let mut inner = self.lock();
        while inner.waiting.front().is_some_and(|call| call.sequence <= sequence) {
            inner.waiting.pop_front();
        }
        if inner.waiting.is_empty()
            && let Err(error) = inner.tidy()
        {
            tracing::error!(path = %inner.path.display(), %error, "the audit's journal cannot be written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, line: &str) -> io::Result<()> {
        let Some(mut file) = self.file.take_if(|_| self.lines < MAX_LINES) else { return self.tidy() };
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        self.file = Some(file);
        self.lines += 1;
        Ok(())
    }

    /// Writes the file anew with what waits.
    fn tidy(&mut self) -> io::Result<()> {
        self.file = Some(write_anew(&self.path, &self.head, &self.waiting)?);
        self.lines = self.waiting.len();
        Ok(())
    }
}

fn write_anew(path: &Path, head: &Head, waiting: &VecDeque<DeviceCall>) -> io::Result<File> {
    let mut text = serde_json::to_string(head)? + "\n";
    for call in waiting {
        text += &serde_json::to_string(call)?;
        text.push('\n');
    }
    durable::write(path, text.as_bytes())?;
    OpenOptions::new().append(true).open(path)
}

/// Has every call of a tenant that may change something written down before it is answered.
pub fn witness(builder: LinkBuilder, journal: &Arc<Journal>, tenant: &TenantSlug) -> LinkBuilder {
    let (journal, tenant) = (Arc::clone(journal), tenant.clone());
    builder.witness(move |served: Served| {
        let (journal, tenant) = (Arc::clone(&journal), tenant.clone());
        async move {
            let Served { uri, caller, request, reply } = served;
            if !is_audited_uri(uri) {
                return;
            }
            let told = Told::of(uri, &request, &reply);
            // Ends only with the program.
            let _ = spawn_blocking(move || journal.note(clock::now_ms(), tenant, caller, told)).await;
        }
    })
}

/// Tells the control plane what waits, whenever it can be reached.
pub async fn keep_telling(journal: Arc<Journal>, control: Link) {
    let mut state = control.state();
    loop {
        if state.wait_for(|state| matches!(state, LinkState::Joined { .. })).await.is_err() {
            return;
        }
        let Some(report) = journal.report(clock::now_ms()) else {
            journal.news.notified().await;
            continue;
        };
        match control.call::<AuditReport>(AuditReport::URI, &report).await {
            Ok(receipt) => {
                let journal = Arc::clone(&journal);
                // Ends only with the program.
                let _ = spawn_blocking(move || journal.taken(receipt.sequence)).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the control plane does not take the audit");
                let _ = timeout(RETRY_AFTER, state.changed()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ecep_proto::api::{ContainerStop, audit::Outcome};

    use super::*;

    fn note(journal: &Journal, target: &str) {
        let caller = Caller { session: 1, authid: "ann".to_owned(), authrole: "operator".to_owned() };
        let told = Told {
            action: ContainerStop::URI.to_owned(),
            target: target.to_owned(),
            outcome: Outcome::Done,
            error: None,
            detail: BTreeMap::new(),
        };
        journal.note(1, "acme".parse().unwrap(), caller, told);
    }

    fn waiting(journal: &Journal) -> Vec<(u64, String)> {
        let report = journal.report(2);
        report
            .into_iter()
            .flat_map(|report| report.calls)
            .map(|call| (call.sequence, call.told.target))
            .collect()
    }

    fn all(numbers: &[(u64, &str)]) -> Vec<(u64, String)> {
        numbers.iter().map(|(number, target)| (*number, (*target).to_owned())).collect()
    }

    /// What was noted must outlive a crash at any byte of the last line, and its numbers must go on without a second use.
    #[test]
    fn a_crash_loses_no_line_and_reuses_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        note(&journal, "a");
        note(&journal, "b");
        drop(journal);
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let lines: Vec<usize> =
            whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        for cut in lines[1] + 1..whole.len() - 1 {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let journal = Journal::open(folder.path()).unwrap();
            note(&journal, "c");
            drop(journal);
            let journal = Journal::open(folder.path()).unwrap();
            assert_eq!(waiting(&journal), all(&[(1, "a"), (2, "c")]), "cut at {cut}");
        }
        let journal = Journal::open(folder.path()).unwrap();
        let id = journal.report(2).unwrap().journal;
        journal.taken(2);
        assert_eq!(waiting(&journal), all(&[]));
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        note(&journal, "d");
        assert_eq!(waiting(&journal), all(&[(3, "d")]));
        assert_eq!(journal.report(2).unwrap().journal, id);
    }

    /// An agent that is started on a full disk must come up, as it is needed to make room; what is called meanwhile is told, and is on disk
    /// once there is room.
    #[test]
    fn a_full_disk_keeps_no_agent_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        note(&Journal::open(folder.path()).unwrap(), "a");
        // What is written anew goes here first: this device is always full.
        let instead = folder.path().join(FILE).with_extension("new");
        std::os::unix::fs::symlink("/dev/full", &instead).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        note(&journal, "b");
        assert_eq!(waiting(&journal), all(&[(1, "a"), (2, "b")]));
        std::fs::remove_file(&instead).unwrap();
        note(&journal, "c");
        drop(journal);
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(waiting(&journal), all(&[(1, "a"), (2, "b"), (3, "c")]));
    }

    /// A device that is offline for long must not fill its disk; the oldest calls go, and the gap shows how many.
    #[test]
    fn the_oldest_calls_go_when_too_many_wait() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        // Only the policy is tested here, not the disk's flush.
        {
            let mut inner = journal.lock();
            let text = |at: u64| {
                format!(
                    "{{\"sequence\":{at},\"at\":1,\"tenant\":\"acme\",\"caller\":{{\"session\":1,\"authid\":\"a\",\"authrole\":\"owner\"}},\"action\":\"x\",\"target\":\"\",\"outcome\":\"done\",\"error\":null,\"detail\":{{}}}}"
                )
            };
            for at in 1..=MAX_WAITING as u64 {
                inner.waiting.push_back(serde_json::from_str(&text(at)).unwrap());
            }
            inner.head.next = MAX_WAITING as u64 + 1;
        }
        note(&journal, "new");
        assert_eq!(waiting(&journal)[0].0, 2);
        assert_eq!(journal.lock().waiting.len(), MAX_WAITING);
    }
}

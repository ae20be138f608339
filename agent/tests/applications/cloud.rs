//! A cloud in this process: it sends artifacts over a stream in memory, keeps what is stored, and is told of ends. It can break off in
//! the middle, and be away.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use ecep_agent::applications::cloud::{Cloud, CloudError};
use ecep_channel::transfer::{Item, Options, Source, Throttle, send};
use ecep_proto::api::{application::EndRun, artifact::ArtifactDigest, file::StoreFile, name::TenantSlug};
use sha2::{Digest, Sha256};
use tokio::{io::DuplexStream, sync::watch};

#[derive(Default)]
pub struct State {
    artifacts: BTreeMap<String, PathBuf>,
    /// Streams that break off, each after so many bytes.
    pub cuts: Vec<u64>,
    /// Bytes of content that each stream has brought.
    pub moved: Vec<u64>,
    /// Everything is refused until somebody comes back.
    pub is_away: bool,
    /// Each file as it was brought, once for each time that it was not there.
    pub stored: Vec<(StoreFile, Vec<u8>)>,
    pub ended: Vec<EndRun>,
}

#[derive(Clone)]
pub struct InMemory {
    folder: Arc<tempfile::TempDir>,
    state: Arc<Mutex<State>>,
    /// Counts what was asked.
    asked: watch::Sender<u64>,
}

impl InMemory {
    pub fn new() -> Self {
        Self {
            folder: Arc::new(tempfile::tempdir().expect("a folder")),
            state: Arc::default(),
            asked: watch::Sender::new(0),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked with it")
    }

    /// Has an artifact from now on.
    pub fn put(&self, content: &[u8]) -> ArtifactDigest {
        let digest = ArtifactDigest::from_bytes(Sha256::digest(content).into());
        let path = self.folder.path().join(digest.as_str());
        std::fs::write(&path, content).expect("written");
        self.state().artifacts.insert(digest.to_string(), path);
        digest
    }

    /// Sends other bytes in the place of an artifact's.
    pub fn swap(&self, digest: &ArtifactDigest, content: &[u8]) {
        std::fs::write(self.folder.path().join(digest.as_str()), content).expect("written");
    }

    /// Waits until something was asked that many times more.
    pub async fn asked(&self, more: u64) {
        let mut asked = self.asked.subscribe();
        let until = *asked.borrow() + more;
        asked.wait_for(|count| *count >= until).await.expect("it lives");
    }

    fn ask(&self) -> Result<(), CloudError> {
        self.asked.send_modify(|count| *count += 1);
        if self.state().is_away { Err(CloudError::Later("the cloud is away".to_owned())) } else { Ok(()) }
    }
}

impl Cloud for InMemory {
    type Stream = DuplexStream;

    async fn artifact(&self, _: &TenantSlug, digest: &ArtifactDigest) -> Result<DuplexStream, CloudError> {
        self.ask()?;
        let mut state = self.state();
        let path = state.artifacts.get(digest.as_str()).cloned();
        let path = path.ok_or_else(|| CloudError::Never("there is no such artifact".to_owned()))?;
        let cut = if state.cuts.is_empty() { u64::MAX } else { state.cuts.remove(0) };
        drop(state);
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let this = self.clone();
        tokio::spawn(async move {
            let items = [Item { name: "artifact".parse().expect("a name"), source: Source::File(path) }];
            let options = Options { compress: false, throttle: Throttle::new(None) };
            let (reached, mut progress) = watch::channel(0);
            let mut tell = |now: ecep_channel::transfer::Progress| {
                reached.send_replace(now.done);
            };
            let sent = tokio::select! {
                sent = send(theirs, &items, &options, &mut tell) => sent.ok(),
                _ = progress.wait_for(|done| *done >= cut) => None,
            };
            this.state().moved.push(sent.map_or(0, |sent| sent.moved));
        });
        Ok(ours)
    }

    async fn store(&self, _: &TenantSlug, file: &StoreFile, path: &Path) -> Result<(), CloudError> {
        self.ask()?;
        let content = std::fs::read(path).expect("it is there");
        let mut state = self.state();
        if !state.stored.iter().any(|(known, _)| known.file == file.file) {
            state.stored.push((file.clone(), content));
        }
        Ok(())
    }

    async fn end_run(&self, run: &EndRun) -> Result<(), CloudError> {
        self.ask()?;
        let mut state = self.state();
        if !state.ended.iter().any(|known| known.container.id == run.container.id) {
            state.ended.push(run.clone());
        }
        Ok(())
    }
}

//! The engine's own start from a checkpoint, for containers that were created where our runtime is not registered. Slower, not
//! isolated, without open connections, and only on engines with `"experimental": true` from before Docker 26; so it brings
//! checkpoints back, and moves nobody.

use std::{collections::BTreeSet, ffi::OsString, io, path::Path, time::Duration};

use tokio::{fs, sync::Mutex};

use super::{WORK_SECONDS, mobility::Mobility};
use crate::{
    engine::{Engine, EngineError},
    random,
};

/// The checkpoint's name for the engine, in the container's folder.
const NAME: &str = "ecep";
/// The API of Docker 20.10, the oldest engine that we know; later ones still speak it.
const API: &str = "v1.41";
/// Where containerd unpacks checkpoints, and leaves them.
const LEFTOVERS: &str = "/tmp";
const LEFTOVER_PREFIX: &str = "ctrd-checkpoint";

/// What one of them leaves behind must not be taken for another's that is still at it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

impl Mobility {
    /// Starts a stopped container from CRIU's images in a folder. Whether it was restored and not started afresh, the
    /// caller has to prove: engines are known to do that without a word.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn start_from(&self, engine_id: &str, images: &Path) -> Result<(), EngineError> {
        let _alone = ONE_AT_A_TIME.lock().await;
        let storage = self.engine.storage().await.ok_or_else(|| {
            EngineError::Failed("the engine has not told yet where it keeps containers; try again".to_owned())
        })?;
        let place = storage.join("containers").join(engine_id).join("checkpoints").join(NAME);
        let before = leftovers().await;
        let started = match lay_out(images, &place).await {
            Ok(()) => self.post_start(engine_id).await,
            Err(error) => Err(EngineError::Failed(format!("{}: {error}", place.display()))),
        };
        // Whatever came of it, nothing of it stays.
        for path in
            leftovers().await.difference(&before).map(|name| Path::new(LEFTOVERS).join(name)).chain([place])
        {
            if let Err(error) = fs::remove_dir_all(&path).await {
                tracing::warn!(path = %path.display(), %error, "a restore has left this behind");
            }
        }
        started
    }

    /// The client of the engine's API knows no `checkpoint` for a start.
    async fn post_start(&self, engine_id: &str) -> Result<(), EngineError> {
        let unreachable = |error: reqwest::Error| EngineError::Unreachable(error.to_string());
        let client = reqwest::Client::builder()
            .unix_socket(self.engine.socket.as_str())
            .timeout(Duration::from_secs(WORK_SECONDS))
            .build()
            .map_err(unreachable)?;
        let url = format!("http://docker/{API}/containers/{engine_id}/start?checkpoint={NAME}");
        let answer = client.post(url).send().await.map_err(unreachable)?;
        if answer.status().is_success() {
            return Ok(());
        }
        let text = answer.text().await.map_err(unreachable)?;
        Err(EngineError::Failed(format!("the engine cannot restore the container itself: {}", text.trim())))
    }
}

/// Copies the images, with something that no other checkpoint has: the engine refuses the same content a second time.
async fn lay_out(images: &Path, place: &Path) -> io::Result<()> {
    match fs::remove_dir_all(place).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(place).await?;
    let mut entries = fs::read_dir(images).await?;
    while let Some(entry) = entries.next_entry().await? {
        fs::copy(entry.path(), place.join(entry.file_name())).await?;
    }
    let nonce = random::operation_id().map_err(io::Error::other)?;
    fs::write(place.join("nonce"), nonce.as_str()).await
}

async fn leftovers() -> BTreeSet<OsString> {
    let mut found = BTreeSet::new();
    if let Ok(mut entries) = fs::read_dir(LEFTOVERS).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            if entry.file_name().as_encoded_bytes().starts_with(LEFTOVER_PREFIX.as_bytes()) {
                found.insert(entry.file_name());
            }
        }
    }
    found
}

//! Files and output of containers on their way to the cloud: looked at, copied out of the container into a folder of the agent's,
//! and sent from there, so that a broken connection costs nothing but time. How bytes travel is not known here.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    file::{EntryKind, EntryList, FetchFile, FetchLog, ListFiles, MAX_ENTRIES, StoreFile, StoredKind},
    name::{ContainerId, OperationId, TenantSlug},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{io::AsyncWriteExt, task::spawn_blocking, time::timeout};
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::{
    engine::{Archive, Engine, EngineContainer, EngineError, OutputWish, PullProgress},
    lines::Text,
    operations::What,
    orders::{Accepted, Orders},
    reporter::{Ended, Reporter},
    telling::Telling,
};

/// Where copies are until the cloud has them, in the agent's folder.
const FOLDER: &str = "outgoing";
/// Fetches at work at once; the others wait. Each fills some of the disk and of the link.
pub(crate) const MAX_FETCHES: usize = 4;
/// Longest path that Linux takes.
const MAX_PATH: usize = 4_096;
/// Left free on the device's disk for everybody else.
const KEEP_FREE: u64 = 128 << 20;
/// The disk's room is looked at after so many bytes.
const LOOK_EVERY: u64 = 8 << 20;
/// Bytes that are written at once.
const BLOCK: usize = 256 * 1024;
/// Pieces of output that are made into text at once, where that many are there.
const PIECES: usize = 512;
/// An engine that sends nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(120);
/// A cloud that is away for longer is not waited for: whoever fetches is not, either.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

impl<E: Engine> Orders<E> {
    /// What is in a folder of a container: folders first, by name.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument`, or the engine's own.
    pub async fn list_files(&self, tenant: &TenantSlug, request: ListFiles) -> Result<EntryList, ApiError> {
        check_path(&request.path)?;
        let found = self.find(tenant, &request.container).await?;
        let mut list = self
            .engine
            .list_folder(&found, &request.path, MAX_ENTRIES)
            .await
            .map_err(EngineError::into_api)?;
        list.entries.sort_by(|a, b| {
            let is_file = |kind| kind != EntryKind::Directory;
            (is_file(a.kind), &a.name).cmp(&(is_file(b.kind), &b.name))
        });
        Ok(list)
    }

    /// Brings a file or a folder of a container to the cloud.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn fetch_file(
        self: &std::sync::Arc<Self>,
        tenant: &TenantSlug,
        order: FetchFile,
    ) -> Result<Accepted, ApiError> {
        check_path(&order.path)?;
        let what = What::new("file.fetch", &order);
        self.accept(tenant, order.operation.clone(), what, |orders, tenant, report| {
            Box::pin(async move {
                let found = orders.find(&tenant, &order.container).await?;
                let fetch = Fetch { orders: &orders, tenant: &tenant, found: &found, report: &report };
                fetch.file(&order.path).await
            })
        })
    }

    /// Brings a container's output to the cloud.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn fetch_log(
        self: &std::sync::Arc<Self>,
        tenant: &TenantSlug,
        order: FetchLog,
    ) -> Result<Accepted, ApiError> {
        let what = What::new("container.logs.fetch", &order);
        self.accept(tenant, order.operation.clone(), what, |orders, tenant, report| {
            Box::pin(async move {
                let found = orders.find(&tenant, &order.container).await?;
                let fetch = Fetch { orders: &orders, tenant: &tenant, found: &found, report: &report };
                fetch.log(&order).await
            })
        })
    }
}

/// One of them at work.
struct Fetch<'a, E> {
    orders: &'a Orders<E>,
    tenant: &'a TenantSlug,
    found: &'a EngineContainer,
    report: &'a Reporter,
}

impl<E: Engine> Fetch<'_, E> {
    fn id(&self) -> &ContainerId {
        &self.found.view().id
    }

    async fn file(&self, path: &str) -> Ended {
        let _turn = self.turn().await?;
        let engine_id = &self.found.detail.engine_id;
        let there = self.orders.engine.find_path(engine_id, path).await.map_err(EngineError::into_api)?;
        let spool = Spool::begin(&self.orders.policy_folder, self.tenant, &self.report.operation)?;
        let archive = self.orders.engine.copy_out(engine_id, &there.path).await;
        let archive = unless_silent(archive.map_err(EngineError::into_api)?);
        let name =
            path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("root");
        let (kind, name) = match there.kind {
            EntryKind::File => (StoredKind::File, name.to_owned()),
            EntryKind::Directory => (StoredKind::Folder, format!("{name}.tar")),
            EntryKind::Symlink | EntryKind::Other => {
                let text = format!("{path} is neither a file nor a folder; it cannot be fetched");
                return Err(ApiError::new(ErrorKind::InvalidArgument, text));
            }
        };
        let mut tell = self.teller("copying", (kind == StoredKind::File).then_some(there.bytes));
        tell(0);
        match kind {
            StoredKind::File => {
                spool.check_room(there.bytes)?;
                let reader = SyncIoBridge::new(StreamReader::new(archive.map_err(io::Error::other)));
                let writer = spool.writer()?;
                let copied = spawn_blocking(move || take_file(reader, writer, tell));
                copied.await.map_err(defect)??;
            }
            _ => take_all(archive, &spool, tell).await?,
        }
        self.send(kind, name, &spool).await
    }

    async fn log(&self, order: &FetchLog) -> Ended {
        let _turn = self.turn().await?;
        let spool = Spool::begin(&self.orders.policy_folder, self.tenant, &self.report.operation)?;
        let since = order.since.unwrap_or(0);
        let wish =
            OutputWish { tail: None, since_seconds: since / 1_000, stream: order.stream, follow: false };
        let detail = &self.found.detail;
        let output = self.orders.engine.output(&detail.engine_id, detail.tty, wish).await;
        let mut text = Text::default();
        let parts = output.map_err(EngineError::into_api)?.ready_chunks(PIECES).map(move |pieces| {
            let mut out = Vec::new();
            for piece in pieces {
                let piece = piece?;
                if piece.at / 1_000_000 >= since {
                    text.push(&piece, &mut out);
                }
            }
            Ok(bytes::Bytes::from(out))
        });
        let mut tell = self.teller("copying", None);
        tell(0);
        take_all(unless_silent(parts.boxed()), &spool, tell).await?;
        let name = format!("{}.log", self.found.view().name);
        self.send(StoredKind::Log, name, &spool).await
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, ApiError> {
        if self.orders.fetches.available_permits() == 0 {
            self.report.phase("waiting", Some(self.id()), None);
        }
        let stopping = |_| ApiError::new(ErrorKind::Unavailable, "the agent is stopping");
        self.orders.fetches.acquire().await.map_err(stopping)
    }

    async fn send(&self, kind: StoredKind, name: String, spool: &Spool) -> Ended {
        let file = StoreFile {
            file: self.report.operation.clone(),
            kind,
            name,
            container: self.id().clone(),
            application: self.found.view().application.clone(),
            keep: false,
        };
        let total = fs::metadata(&spool.path).map_err(|error| disk(&spool.path, &error))?.len();
        let mut tell = self.teller("sending", Some(total));
        tell(0);
        self.orders
            .stored
            .bring(self.tenant, &file, &spool.path, PATIENCE, &mut |done, _| tell(done))
            .await?;
        tell(total);
        Ok((Some(self.id().clone()), None))
    }

    /// Tells how many bytes are done. A total that is not known is told as what is done.
    fn teller(&self, phase: &'static str, total: Option<u64>) -> impl FnMut(u64) + Send + use<E> {
        let mut telling = Telling::new(self.report, phase, Some(self.id()));
        move |done| telling.bytes(PullProgress { done, total: total.unwrap_or(done).max(done) })
    }
}

/// A copy on the device's disk; gone when dropped.
pub(crate) struct Spool {
    /// Where.
    pub(crate) path: PathBuf,
}

impl Spool {
    pub(crate) fn begin(data: &Path, tenant: &TenantSlug, operation: &OperationId) -> Result<Self, ApiError> {
        let folder = data.join(FOLDER).join(tenant.as_str());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| disk(&folder, &error))?;
        let spool = Self { path: folder.join(operation.as_str()) };
        spool.check_room(0)?;
        Ok(spool)
    }

    fn writer(&self) -> Result<Writer, ApiError> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path);
        Ok(Writer {
            file: file.map_err(|error| disk(&self.path, &error))?,
            path: self.path.clone(),
            written: 0,
            looked_at: 0,
        })
    }

    /// Whether so many bytes more leave the device enough.
    fn check_room(&self, bytes: u64) -> Result<(), ApiError> {
        check_room(self.path.parent().unwrap_or(&self.path), bytes)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "a copy is left until the agent's next start");
            }
            _ => {}
        }
    }
}

/// Removes what an earlier run of the agent has left.
///
/// # Errors
/// The disk's.
pub(crate) fn sweep(data: &Path) -> io::Result<()> {
    match fs::remove_dir_all(data.join(FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn check_room(folder: &Path, bytes: u64) -> Result<(), ApiError> {
    let free = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match free {
        Ok(free) if bytes.saturating_add(KEEP_FREE) > free => Err(ApiError::new(
            ErrorKind::Limit,
            format!(
                "the device's disk has {free} bytes free, and the copy needs {bytes} beside the {KEEP_FREE} that are kept free; \
                 make room on the device, or fetch less at a time"
            ),
        )),
        // What cannot be told now shows when it is written.
        _ => Ok(()),
    }
}

/// Writes a copy, and looks after the disk's room meanwhile.
struct Writer {
    file: File,
    path: PathBuf,
    written: u64,
    looked_at: u64,
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<u64, ApiError> {
        if self.written - self.looked_at >= LOOK_EVERY {
            self.looked_at = self.written;
            check_room(self.path.parent().unwrap_or(&self.path), 0)?;
        }
        self.file.write_all(bytes).map_err(|error| disk(&self.path, &error))?;
        self.written += bytes.len() as u64;
        Ok(self.written)
    }
}

/// The one file that an archive is of.
fn take_file(archive: impl Read, mut writer: Writer, mut tell: impl FnMut(u64)) -> Result<(), ApiError> {
    let broken = |error: io::Error| {
        ApiError::new(
            ErrorKind::Engine,
            format!("the file could not be copied out of the container: {error}"),
        )
    };
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive
        .entries()
        .map_err(broken)?
        .next()
        .ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?
        .map_err(broken)?;
    if !matches!(entry.header().entry_type(), tar::EntryType::Regular | tar::EntryType::Continuous) {
        let text = "it was changed while it was being copied: it is no file any more; try again";
        return Err(ApiError::new(ErrorKind::Conflict, text));
    }
    let (size, mut block) = (entry.size(), vec![0; BLOCK]);
    loop {
        match entry.read(&mut block).map_err(broken)? {
            0 if writer.written < size => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
            0 => return Ok(()),
            read => tell(writer.write(&block[..read])?),
        }
    }
}

/// Everything that comes.
pub(crate) async fn take_all(
    mut bytes: Archive,
    spool: &Spool,
    mut tell: impl FnMut(u64) + Send,
) -> Result<(), ApiError> {
    let Writer { file, path, .. } = spool.writer()?;
    let mut out = tokio::io::BufWriter::with_capacity(BLOCK, tokio::fs::File::from_std(file));
    let (mut written, mut looked_at) = (0_u64, 0);
    while let Some(part) = bytes.try_next().await.map_err(EngineError::into_api)? {
        out.write_all(&part).await.map_err(|error| disk(&path, &error))?;
        written += part.len() as u64;
        if written - looked_at >= LOOK_EVERY {
            looked_at = written;
            spool.check_room(0)?;
        }
        tell(written);
    }
    out.flush().await.map_err(|error| disk(&path, &error))
}

/// Ends with an error where the engine sends nothing for too long.
pub(crate) fn unless_silent<T: Send + 'static>(
    parts: stream::BoxStream<'static, Result<T, EngineError>>,
) -> stream::BoxStream<'static, Result<T, EngineError>> {
    stream::unfold(Some(parts), |parts| async move {
        let mut parts = parts?;
        match timeout(SILENCE, parts.next()).await {
            Ok(part) => Some((part?, Some(parts))),
            Err(_) => {
                let text = format!("it sent nothing for {} seconds", SILENCE.as_secs());
                Some((Err(EngineError::Unreachable(text)), None))
            }
        }
    })
    .boxed()
}

/// # Errors
/// `InvalidArgument`.
fn check_path(path: &str) -> Result<(), ApiError> {
    if path.starts_with('/') && path.len() <= MAX_PATH && !path.contains('\0') {
        return Ok(());
    }
    let text = format!(
        "the path must be a whole one inside the container, beginning with /, of {MAX_PATH} bytes at most"
    );
    Err(ApiError::new(ErrorKind::InvalidArgument, text))
}

fn disk(path: &Path, error: &io::Error) -> ApiError {
    let kind = if error.kind() == io::ErrorKind::StorageFull { ErrorKind::Limit } else { ErrorKind::Engine };
    ApiError::new(kind, format!("the copy on the device's disk failed: {}: {error}", path.display()))
}

fn defect(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Unavailable, format!("this is a defect in the agent, please report it: {error}"))
}

//! Files of containers, as the engine gives them out. The engine follows links inside the container alone. A running container's
//! folders are read through its own root (`openat2` with `RESOLVE_IN_ROOT`): the engine can only give whole trees.

use std::{io, os::fd::OwnedFd, path::Path, time::Duration};

use bollard::{
    container::PathStatResponse,
    query_parameters::{ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder},
};
use ecep_proto::api::{
    container::ContainerState,
    file::{EntryKind, EntryList, EntryView},
};
use futures_util::{StreamExt, TryStreamExt};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use tokio::task::spawn_blocking;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{DockerEngine, WORK_SECONDS, failure::Doing};
use crate::engine::{Archive, EngineContainer, EngineError, Found};

/// Links at the end of a path that are followed: the engine has resolved the first one to its end already.
const MAX_LINKS: usize = 4;
/// Bytes of a stopped container's folder that are read to find what is in it. Policy: what lies behind them is left off.
const MAX_LOOKED_AT: u64 = 64 << 20;
/// As long as a person waits for it.
const LOOK_WITHIN: Duration = Duration::from_secs(20);

/// What the engine calls a folder, a link, and everything that is neither nor a file (Go's `fs.FileMode`).
const MODE_FOLDER: u32 = 1 << 31;
const MODE_LINK: u32 = 1 << 27;
const MODE_OTHER: u32 = (1 << 26) | (1 << 25) | (1 << 24) | (1 << 19);

impl DockerEngine {
    async fn stat(&self, engine_id: &str, path: &str) -> Result<PathStatResponse, EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        let told = client.get_container_archive_info(engine_id, Some(options)).await;
        // The answer to HEAD has no text.
        told.map_err(|error| match self.told(&Doing::Container("look into"), error) {
            EngineError::NotFound(_) => {
                EngineError::NotFound(format!("there is nothing at {path} in the container"))
            }
            other => other,
        })
    }

    pub(super) async fn find(&self, engine_id: &str, path: &str) -> Result<Found, EngineError> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let told = self.stat(engine_id, &path).await?;
            let kind = kind_of(told.file_mode);
            if kind != EntryKind::Symlink || told.link_target.is_empty() {
                return Ok(Found { path, kind, bytes: u64::try_from(told.size).unwrap_or(0) });
            }
            path = told.link_target;
        }
        Err(EngineError::Invalid(format!("the links at {path} lead in a circle")))
    }

    pub(super) async fn archive(&self, engine_id: &str, path: &str) -> Result<Archive, EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let engine = self.clone();
        let bytes = client.download_from_container(engine_id, Some(options));
        Ok(bytes.map_err(move |error| engine.told(&Doing::Container("copy out of"), error)).boxed())
    }

    pub(super) async fn folder(
        &self,
        container: &EngineContainer,
        path: &str,
        most: usize,
    ) -> Result<EntryList, EngineError> {
        let id = &container.detail.engine_id;
        if container.view().state == ContainerState::Running
            && let Some(root) = self.root(container).await?
        {
            let path = path.to_owned();
            let looked = spawn_blocking(move || list(&root, Path::new(&path), most)).await;
            return looked.map_err(failed)?;
        }
        let found = self.find(id, path).await?;
        if found.kind != EntryKind::Directory {
            return Err(EngineError::Invalid(format!("{path} is no folder")));
        }
        let archive = self.archive(id, &found.path).await?.map_err(io::Error::other);
        let reader = SyncIoBridge::new(StreamReader::new(archive));
        let looked = spawn_blocking(move || list_archive(reader, most));
        match tokio::time::timeout(LOOK_WITHIN, looked).await {
            Ok(looked) => looked.map_err(failed)?.map_err(failed),
            Err(_) => Err(EngineError::Failed(format!(
                "{path} is too large to be looked through while the container is stopped; start it, or fetch the folder"
            ))),
        }
    }

    /// The root of a running container; none where this agent may not look at it.
    async fn root(&self, container: &EngineContainer) -> Result<Option<OwnedFd>, EngineError> {
        let Some(pid) = container.detail.pid else { return Ok(None) };
        let Ok(root) = rustix::fs::openat(
            CWD,
            format!("/proc/{pid}/root"),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        ) else {
            return Ok(None);
        };
        // Another process may have got the number meanwhile, one of the device's own: only then would the container run anew.
        let now = self.look_at(&container.detail.engine_id).await?;
        let same = now.detail.pid == Some(pid) && now.view().started_at == container.view().started_at;
        Ok(same.then_some(root))
    }

    async fn look_at(&self, engine_id: &str) -> Result<EngineContainer, EngineError> {
        crate::engine::Engine::inspect(self, engine_id).await
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed(format!("the folder cannot be looked at: {error}"))
}

fn kind_of(mode: u32) -> EntryKind {
    match mode {
        mode if mode & MODE_FOLDER != 0 => EntryKind::Directory,
        mode if mode & MODE_LINK != 0 => EntryKind::Symlink,
        mode if mode & MODE_OTHER != 0 => EntryKind::Other,
        _ => EntryKind::File,
    }
}

/// What is in a folder below this root. No link leads out of it, also if somebody inside moves things about meanwhile.
fn list(root: &OwnedFd, path: &Path, most: usize) -> Result<EntryList, EngineError> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let folder = rustix::fs::openat2(root, path, flags, Mode::empty(), inside);
    let folder = folder.map_err(|error| match error {
        rustix::io::Errno::NOENT => {
            EngineError::NotFound(format!("there is nothing at {} in the container", path.display()))
        }
        rustix::io::Errno::NOTDIR => EngineError::Invalid(format!("{} is no folder", path.display())),
        rustix::io::Errno::LOOP => {
            EngineError::Invalid(format!("the links at {} lead in a circle", path.display()))
        }
        other => failed(other),
    })?;
    let mut list = EntryList { entries: Vec::new(), truncated: false };
    for entry in Dir::read_from(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if list.entries.len() == most {
            list.truncated = true;
            break;
        }
        // One that is gone by now is not there.
        let Ok(stat) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let link = || rustix::fs::readlinkat(&folder, name, Vec::new()).ok();
        list.entries.push(view(&name.to_string_lossy(), &stat, || {
            link().map(|target| target.to_string_lossy().into_owned())
        }));
    }
    Ok(list)
}

fn view(name: &str, stat: &Stat, link: impl FnOnce() -> Option<String>) -> EntryView {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Other,
    };
    EntryView {
        name: name.to_owned(),
        kind,
        bytes: if kind == EntryKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
        modified_at: u64::try_from(stat.st_mtime).unwrap_or(0).saturating_mul(1_000),
        mode: stat.st_mode & 0o7777,
        link: if kind == EntryKind::Symlink { link() } else { None },
    }
}

/// What is in the folder that an archive is of: the entries one step below its first.
fn list_archive(reader: impl io::Read, most: usize) -> io::Result<EntryList> {
    let mut list = EntryList { entries: Vec::new(), truncated: false };
    let mut archive = tar::Archive::new(io::Read::take(reader, MAX_LOOKED_AT));
    for entry in archive.entries()? {
        let Ok(entry) = entry else {
            // Cut short.
            list.truncated = true;
            break;
        };
        let path = entry.path()?.into_owned();
        let mut parts =
            path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).skip(1);
        let (Some(name), None) = (parts.next(), parts.next()) else { continue };
        if list.entries.len() == most {
            list.truncated = true;
            break;
        }
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::Link => EntryKind::File,
            tar::EntryType::Directory => EntryKind::Directory,
            tar::EntryType::Symlink => EntryKind::Symlink,
            _ => EntryKind::Other,
        };
        list.entries.push(EntryView {
            name: name.as_os_str().to_string_lossy().into_owned(),
            kind,
            bytes: if kind == EntryKind::File { entry.size() } else { 0 },
            modified_at: header.mtime().unwrap_or(0).saturating_mul(1_000),
            mode: header.mode().unwrap_or(0) & 0o7777,
            link: entry
                .link_name()?
                .filter(|_| kind == EntryKind::Symlink)
                .map(|target| target.display().to_string()),
        });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root_of(folder: &Path) -> OwnedFd {
        rustix::fs::openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    /// A container must not be able to show the device's own files by a link, absolute or with `..`.
    #[test]
    fn links_do_not_lead_out_of_the_container() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, root) = (folder.path().join("outside"), folder.path().join("root"));
        std::fs::create_dir_all(outside.join("secret")).unwrap();
        std::fs::create_dir_all(root.join("data/inner")).unwrap();
        symlink(&outside, root.join("absolute")).unwrap();
        symlink("../../outside", root.join("data/up")).unwrap();
        symlink("/data", root.join("good")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let root = root_of(&root);
        for path in
            ["/absolute", "/data/up", "/../outside", "/data/../../outside", "/proc/self/root", "/loop"]
        {
            let listed = list(&root, Path::new(path), 10);
            assert!(listed.is_err(), "{path}: {listed:?}");
        }
        let listed = list(&root, Path::new("/good"), 10).unwrap();
        let mut names: Vec<&str> = listed.entries.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["inner", "up"]);
        let one = list(&root, Path::new("/data"), 1).unwrap();
        assert!(one.truncated && one.entries.len() == 1);
        let link = listed.entries.iter().find(|entry| entry.name == "up").unwrap();
        assert_eq!((link.kind, link.link.as_deref()), (EntryKind::Symlink, Some("../../outside")));
    }

    /// Of a stopped container's folder what is directly in it is told, and nothing below.
    #[test]
    fn an_archive_is_listed_one_step_deep() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |name: &str, kind, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            header.set_mtime(7);
            tar.append_data(&mut header, name, content).unwrap();
        };
        add("data/", tar::EntryType::Directory, b"");
        add("data/a", tar::EntryType::Regular, b"abc");
        add("data/sub/", tar::EntryType::Directory, b"");
        add("data/sub/deep", tar::EntryType::Regular, b"x");
        let bytes = tar.into_inner().unwrap();
        let listed = list_archive(&bytes[..], 10).unwrap();
        let told: Vec<_> =
            listed.entries.iter().map(|entry| (&*entry.name, entry.kind, entry.bytes)).collect();
        assert_eq!(told, [("a", EntryKind::File, 3), ("sub", EntryKind::Directory, 0)]);
        assert_eq!((listed.entries[0].mode, listed.entries[0].modified_at), (0o640, 7_000));
        let cut = list_archive(&bytes[..700], 10).unwrap();
        assert!(cut.truncated || cut.entries.len() < 2);
    }
}

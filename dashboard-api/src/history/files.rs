//! The rows of five minutes on disk: for each series one file that is a ring of 30 days. It must not know what the
//! rows mean.
//!
//! A row is written in place, so a file never grows past 8,640 rows of 32 bytes (270 KiB), and what is past 30 days is
//! overwritten; a container that lived for an hour has one block. Rows are not synced one by one: a crash of the process
//! loses none, a crash of the machine the last half minute that the kernel had not written.
//!
//! `<device>/device` is a device's, `<device>/<tenant>.<container>` that of a container which was last there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ecep_proto::api::{
    history::{COARSE_MS, KEPT_MS},
    name::{ContainerId, DeviceId, TenantSlug},
};

use super::bucket::{Bucket, ROW_BYTES};

/// Rows of a file.
const ROWS: u64 = KEPT_MS / COARSE_MS;
/// The name of a device's own file. A container's has a dot in it.
const OWN: &str = "device";

/// A container of a tenant.
pub type ContainerKey = (TenantSlug, ContainerId);

/// A file: a device, and the container on it if it is a container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey {
    /// The device.
    pub device: DeviceId,
    /// The container.
    pub container: Option<ContainerKey>,
}

/// The folder of all files.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// The system's.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        make(&folder)?;
        Ok(Self { folder })
    }

    /// Every container of which there is a file, and on which device's account. What is named otherwise is left alone.
    ///
    /// # Errors
    /// The system's.
    pub fn containers(&self) -> io::Result<Vec<(ContainerKey, DeviceId)>> {
        let mut found = Vec::new();
        for (key, _) in self.all()? {
            found.extend(key.container.map(|container| (container, key.device)));
        }
        Ok(found)
    }

    /// The rows with these numbers, `first` to before `end`.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self, key: &FileKey, first: u64, end: u64) -> io::Result<Vec<(u64, Bucket)>> {
        let file = match File::open(self.path(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let first = first.max(end.saturating_sub(ROWS));
        // Around the end of the ring there are two pieces.
        let turn = (first / ROWS + 1) * ROWS;
        let mut rows = Vec::new();
        for (from, to) in [(first, end.min(turn)), (turn.max(first), end)] {
            if from >= to {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(to - from).unwrap_or_default() * ROW_BYTES];
            let length = read_up_to(&file, &mut bytes, from % ROWS * ROW_BYTES as u64)?;
            let read = bytes[..length].chunks_exact(ROW_BYTES).filter_map(Bucket::from_row);
            rows.extend(read.filter(|(number, _)| (from..to).contains(number)));
        }
        Ok(rows)
    }

    /// Writes rows, each in its place.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, key: &FileKey, rows: &[(u64, Bucket)]) -> io::Result<()> {
        let path = self.path(key);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(&self.folder.join(key.device.as_str()))?;
                options.open(&path)?
            }
            opened => opened?,
        };
        for (number, bucket) in rows {
            file.write_all_at(&bucket.to_row(*number), number % ROWS * ROW_BYTES as u64)?;
        }
        Ok(())
    }

    /// A container's file goes to another device's account.
    ///
    /// # Errors
    /// The system's.
    pub fn hand_over(&self, container: &ContainerKey, from: &DeviceId, to: &DeviceId) -> io::Result<()> {
        let path = |device: &DeviceId| {
            self.path(&FileKey { device: device.clone(), container: Some(container.clone()) })
        };
        make(&self.folder.join(to.as_str()))?;
        match fs::rename(path(from), path(to)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Deletes a container's file.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, key: &FileKey) -> io::Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Deletes all files of a device.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_device(&self, device: &DeviceId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.join(device.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Deletes the containers' files that nobody has written to for 30 days: all their rows are past. Answers whose.
    ///
    /// # Errors
    /// The system's.
    pub fn sweep(&self, now: SystemTime) -> io::Result<Vec<FileKey>> {
        let mut swept = Vec::new();
        for (key, modified) in self.all()? {
            let age = now.duration_since(modified).unwrap_or_default();
            if key.container.is_some() && age > Duration::from_millis(KEPT_MS) {
                self.remove(&key)?;
                swept.push(key);
            }
        }
        Ok(swept)
    }

    fn all(&self) -> io::Result<Vec<(FileKey, SystemTime)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if let Some(device) = name.to_str().and_then(|name| name.parse().ok()) {
                all.extend(self.of_device(&device)?);
            }
        }
        Ok(all)
    }

    fn of_device(&self, device: &DeviceId) -> io::Result<Vec<(FileKey, SystemTime)>> {
        let mut files = Vec::new();
        let entries = match fs::read_dir(self.folder.join(device.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let container = match name.split_once('.') {
                None if name == OWN => None,
                None => continue,
                Some((tenant, id)) => match (tenant.parse(), id.parse()) {
                    (Ok(tenant), Ok(id)) => Some((tenant, id)),
                    _ => continue,
                },
            };
            files.push((FileKey { device: device.clone(), container }, entry.metadata()?.modified()?));
        }
        Ok(files)
    }

    fn path(&self, key: &FileKey) -> PathBuf {
        let name = match &key.container {
            Some((tenant, id)) => format!("{tenant}.{id}"),
            None => OWN.to_owned(),
        };
        self.folder.join(key.device.as_str()).join(name)
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], offset + length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::bucket::Point;

    fn key(container: Option<&str>) -> FileKey {
        FileKey {
            device: "edge".parse().unwrap(),
            container: container.map(|id| ("acme".parse().unwrap(), id.parse().unwrap())),
        }
    }

    fn bucket(value: f32) -> Bucket {
        let mut bucket = Bucket::default();
        bucket.add(3, &Point { cpu: None, memory: Some(value), disk: None });
        bucket
    }

    /// After 30 days the ring begins anew: old rows go, the others are found around its end, and it does not grow.
    #[test]
    fn the_ring_keeps_thirty_days() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().join("stats")).unwrap();
        let key = key(None);
        let last = 7 * ROWS + 100;
        for number in [last - ROWS, last - ROWS + 1, 7 * ROWS - 1, 7 * ROWS, last] {
            files.write(&key, &[(number, bucket(number as f32))]).unwrap();
        }
        let rows = files.read(&key, last - ROWS + 1, last + 1).unwrap();
        let numbers: Vec<u64> = rows.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [last - ROWS + 1, 7 * ROWS - 1, 7 * ROWS, last]);
        assert_eq!(rows[3].1, bucket(last as f32));
        assert_eq!(files.read(&key, 0, last + 1).unwrap(), rows, "no more than the ring holds");
        let length = fs::metadata(files.path(&key)).unwrap().len();
        assert!(length <= ROWS * ROW_BYTES as u64);
        assert_eq!(
            files.read(&FileKey { device: "other".parse().unwrap(), container: None }, 0, 10).unwrap(),
            []
        );
    }

    /// A container that moves takes its past along, and one that is gone leaves nothing after 30 days.
    #[test]
    fn files_move_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().join("stats")).unwrap();
        let web = key(Some("web"));
        files.write(&web, &[(5, bucket(1.0))]).unwrap();
        files.write(&key(None), &[(5, bucket(1.0))]).unwrap();
        fs::write(folder.path().join("stats/edge/a file of somebody.else"), "").unwrap();
        let other: DeviceId = "other".parse().unwrap();
        let container = web.container.clone().unwrap();
        files.hand_over(&container, &web.device, &other).unwrap();
        assert_eq!(files.containers().unwrap(), [(container.clone(), other.clone())]);
        let moved = FileKey { device: other.clone(), container: Some(container.clone()) };
        assert_eq!(files.read(&moved, 0, 10).unwrap().len(), 1);
        assert_eq!(files.sweep(SystemTime::now()).unwrap(), []);
        let later = SystemTime::now() + Duration::from_millis(KEPT_MS + 60_000);
        assert_eq!(files.sweep(later).unwrap(), [moved]);
        assert_eq!(files.read(&key(None), 0, 10).unwrap().len(), 1, "devices stay until they are removed");
        files.remove_device(&web.device).unwrap();
        files.remove_device(&web.device).unwrap();
        assert_eq!(files.read(&key(None), 0, 10).unwrap(), []);
    }
}

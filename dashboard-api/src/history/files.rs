//! The rows of five minutes on disk: for each series one file that is a ring of 30 days. It must not know what the
//! rows mean.
//!
//! A file has two tables, each a ring of 8,640 rows: that of 32 bytes for each bucket, and behind it that of 16 bytes for
//! its rates. The second is younger: a file that ends before it, and a row of it that has another bucket's number, just
//! have no rates, and a control plane that knows only the first reads and writes that as ever. Whatever is kept next
//! gets a table of its own behind these.
//!
//! A row is written in place, so a file never grows past 405 KiB, and what is past 30 days is overwritten; a container
//! that lived for an hour has two blocks. Rows are not synced one by one: a crash of the process loses none, a crash of
//! the machine the last half minute that the kernel had not written.
//!
//! `<device>/device` is a device's, `<device>/<tenant>.<container>` that of a container which was last there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io, iter,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ecep_proto::api::{
    history::{COARSE_MS, KEPT_MS},
    name::{ContainerId, DeviceId, TenantSlug},
};

use super::bucket::{Bucket, RATES_BYTES, ROW_BYTES};

/// Rows of each table of a file.
const ROWS: u64 = KEPT_MS / COARSE_MS;
/// Where the table of rates begins.
const RATES_AT: u64 = ROWS * ROW_BYTES as u64;
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
            let count = usize::try_from(to - from).unwrap_or_default();
            let buckets = read_up_to(&file, count * ROW_BYTES, row_at(from))?;
            let rates = read_up_to(&file, count * RATES_BYTES, rates_at(from))?;
            let rates = rates.chunks_exact(RATES_BYTES).chain(iter::repeat(&[][..]));
            let read = buckets.chunks_exact(ROW_BYTES).zip(rates).filter_map(|(row, rates)| {
                let (number, bucket) = Bucket::from_row(row)?;
                Some((number, bucket.with_rates(number, rates)))
            });
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
            if let Some(rates) = bucket.to_rates(*number) {
                file.write_all_at(&rates, rates_at(*number))?;
            }
            file.write_all_at(&bucket.to_row(*number), row_at(*number))?;
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

/// Where a bucket's row is in its file.
fn row_at(number: u64) -> u64 {
    number % ROWS * ROW_BYTES as u64
}

/// Where the row of its rates is.
fn rates_at(number: u64) -> u64 {
    RATES_AT + number % ROWS * RATES_BYTES as u64
}

/// So many bytes, or what there is of them.
fn read_up_to(file: &File, most: usize, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], offset + length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::bucket::{Point, Range};

    fn key(container: Option<&str>) -> FileKey {
        FileKey {
            device: "edge".parse().unwrap(),
            container: container.map(|id| ("acme".parse().unwrap(), id.parse().unwrap())),
        }
    }

    fn bucket(value: f32) -> Bucket {
        let mut bucket = Bucket::default();
        bucket.add(3, &Point { memory: Some(value), ..Point::default() });
        bucket
    }

    /// With rates that are the same in every precision.
    fn moving(value: f32) -> Bucket {
        let mut bucket = bucket(value);
        bucket.add(4, &Point { network: Some([1024.0, 0.0]), disk_io: Some([2.0, 4.0]), ..Point::default() });
        bucket
    }

    /// The row of a bucket as control planes wrote it before there were rates: number, slots, counts, five floats.
    const OLD_ROW: [u8; 32] = [
        100, 0, 0, 0, 0b11, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0,
        0xc8, 0x42, 0, 0, 0, 0,
    ];

    /// A file from before there were rates is read, goes on in place and gets its rates from then on; and what an older
    /// control plane reads of a file is what it always was.
    #[test]
    fn files_without_rates_are_read_and_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().join("stats")).unwrap();
        let key = key(Some("web"));
        fs::create_dir(folder.path().join("stats/edge")).unwrap();
        let path = files.path(&key);
        let mut old = vec![0; 100 * ROW_BYTES];
        old.extend(OLD_ROW);
        fs::write(&path, &old).unwrap();
        let [(number, before)] = files.read(&key, 0, 200).unwrap()[..] else { panic!("one row") };
        let range = Range { min: 1.0, avg: 2.0, max: 3.0 };
        assert_eq!((number, before.count()), (100, 2));
        assert_eq!(before.point(), Point { cpu: Some(range), memory: Some(100.0), ..Point::default() });

        files.write(&key, &[(101, bucket(5.0))]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 102 * 32, "no second table without rates");
        files.write(&key, &[(102, moving(6.0))]).unwrap();
        let all = [(100, before), (101, bucket(5.0)), (102, moving(6.0))];
        assert_eq!(files.read(&key, 0, 200).unwrap(), all);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[..old.len()], old);
        assert_eq!(bytes[102 * 32..103 * 32], moving(6.0).to_row(102));

        // An older control plane has overwritten a row of 30 days ago: its rates are not those of the new one.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&bucket(7.0).to_row(102 + ROWS), 102 * 32).unwrap();
        assert_eq!(files.read(&key, 102 + ROWS, 103 + ROWS).unwrap(), [(102 + ROWS, bucket(7.0))]);
    }

    /// After 30 days the ring begins anew: old rows go, the others are found around its end, and it does not grow.
    #[test]
    fn the_ring_keeps_thirty_days() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().join("stats")).unwrap();
        let key = key(None);
        let last = 7 * ROWS + 100;
        for number in [last - ROWS, last - ROWS + 1, 7 * ROWS - 1, 7 * ROWS, last] {
            files.write(&key, &[(number, moving(number as f32))]).unwrap();
        }
        let rows = files.read(&key, last - ROWS + 1, last + 1).unwrap();
        let numbers: Vec<u64> = rows.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [last - ROWS + 1, 7 * ROWS - 1, 7 * ROWS, last]);
        assert_eq!(rows[3].1, moving(last as f32));
        assert_eq!(files.read(&key, 0, last + 1).unwrap(), rows, "no more than the ring holds");
        let length = fs::metadata(files.path(&key)).unwrap().len();
        assert!(length <= 405 * 1024, "{length}");
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

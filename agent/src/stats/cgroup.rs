//! A container's cgroup files, versions 1 and 2, found by its first process and kept open.
//!
//! On version 1 each controller has a tree of its own, and a container can sit at different paths in them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    counters::{Moved, blkio, io_stat},
    reread::read,
};

/// Where version 1 counts bytes, the best first: for every scheduler with the groups below; without them; and of
/// kernels that count for one scheduler only.
const IO_V1: [&str; 3] = [
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
    "blkio.io_service_bytes",
];

/// Where the cgroup trees are mounted.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    mounts: Vec<Mount>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// Version 1: the controllers of this tree. Version 2: none.
    controllers: Vec<String>,
    version_2: bool,
    /// The cgroup that is mounted there.
    root: String,
    point: PathBuf,
}

/// The files of one container.
#[derive(Debug)]
pub(super) struct ContainerFiles {
    cpu: CpuFile,
    memory: Option<MemoryFiles>,
    io: Option<IoFile>,
}

#[derive(Debug)]
enum CpuFile {
    /// `cpuacct.usage`: nanoseconds.
    V1(File),
    /// `cpu.stat`: microseconds at `usage_usec`.
    V2(File),
}

#[derive(Debug)]
enum IoFile {
    /// One of [`IO_V1`].
    V1(File),
    /// `io.stat`.
    V2(File),
}

#[derive(Debug)]
struct MemoryFiles {
    usage: File,
    stat: File,
    inactive_key: &'static str,
}

impl Cgroups {
    /// Reads where they are mounted.
    pub(super) fn find() -> Self {
        Self {
            mounts: fs::read_to_string("/proc/self/mountinfo")
                .map(|text| parse_mounts(&text))
                .unwrap_or_default(),
        }
    }

    /// The files of the container with this first process; `None` where it is gone or not accounted.
    pub(super) fn open(&self, pid: u32) -> Option<ContainerFiles> {
        self.files(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
    }

    /// The files of a process with this `/proc/PID/cgroup`.
    fn files(&self, text: &str) -> Option<ContainerFiles> {
        let v1 = |controller: &str| self.folder_v1(text, controller);
        let v2 = self.folder_v2(text);
        let cpu = v1("cpuacct")
            .and_then(|folder| File::open(folder.join("cpuacct.usage")).ok())
            .map(CpuFile::V1)
            .or_else(|| Some(CpuFile::V2(File::open(v2.as_ref()?.join("cpu.stat")).ok()?)))?;
        let memory = v1("memory")
            .and_then(|folder| MemoryFiles::open(&folder, "memory.usage_in_bytes", "total_inactive_file"))
            .or_else(|| MemoryFiles::open(v2.as_deref()?, "memory.current", "inactive_file"));
        let io = v1("blkio")
            .and_then(|folder| IO_V1.iter().find_map(|name| File::open(folder.join(name)).ok()))
            .map(IoFile::V1)
            .or_else(|| Some(IoFile::V2(File::open(v2.as_ref()?.join("io.stat")).ok()?)));
        Some(ContainerFiles { cpu, memory, io })
    }

    fn folder_v1(&self, cgroup: &str, controller: &str) -> Option<PathBuf> {
        let path = paths(cgroup).find(|(names, _)| names.split(',').any(|name| name == controller))?.1;
        let mount =
            self.mounts.iter().find(|mount| mount.controllers.iter().any(|name| name == controller))?;
        Some(mount.folder(path))
    }

    fn folder_v2(&self, cgroup: &str) -> Option<PathBuf> {
        let path = paths(cgroup).find(|(names, _)| names.is_empty())?.1;
        Some(self.mounts.iter().find(|mount| mount.version_2)?.folder(path))
    }
}

impl Mount {
    /// Where a cgroup of this tree is. The mount may show only a part of the tree.
    fn folder(&self, path: &str) -> PathBuf {
        let shown = path.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(path);
        self.point.join(shown.trim_start_matches('/'))
    }
}

impl MemoryFiles {
    fn open(folder: &Path, usage: &str, inactive_key: &'static str) -> Option<Self> {
        let usage = File::open(folder.join(usage)).ok()?;
        Some(Self { usage, stat: File::open(folder.join("memory.stat")).ok()?, inactive_key })
    }
}

impl ContainerFiles {
    /// CPU time used; `None` once the cgroup is gone.
    pub(super) fn cpu_usage(&mut self) -> Option<Duration> {
        match &self.cpu {
            CpuFile::V1(file) => read(file)?.trim().parse().ok().map(Duration::from_nanos),
            CpuFile::V2(file) => value(&read(file)?, "usage_usec").map(Duration::from_micros),
        }
    }

    /// Memory in use, less what the kernel can drop at once; `None` where it is not accounted.
    pub(super) fn memory(&mut self) -> Option<u64> {
        let files = self.memory.as_ref()?;
        let usage: u64 = read(&files.usage)?.trim().parse().ok()?;
        Some(usage.saturating_sub(value(&read(&files.stat)?, files.inactive_key)?))
    }

    /// Bytes read from disks and written to them; `None` where it is not accounted.
    pub(super) fn disk(&self) -> Option<Moved> {
        match self.io.as_ref()? {
            IoFile::V1(file) => read(file).map(|text| blkio(&text)),
            IoFile::V2(file) => read(file).map(|text| io_stat(&text)),
        }
    }
}

/// The number after this key, in a file of keys and values.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once(' ').filter(|(name, _)| *name == key)?.1.trim().parse().ok())
}

/// The lines of /proc/PID/cgroup (cgroups(7)): controllers and path.
fn paths(cgroup: &str) -> impl Iterator<Item = (&str, &str)> {
    cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'))
}

/// The cgroup mounts of mountinfo (proc_pid_mountinfo(5)).
fn parse_mounts(mountinfo: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?.to_owned(), PathBuf::from(before.next()?));
        let mut after = after.split(' ');
        let version_2 = match after.next()? {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        let options = after.nth(1).unwrap_or_default();
        let controllers =
            if version_2 { Vec::new() } else { options.split(',').map(str::to_owned).collect() };
        Some(Mount { controllers, version_2, root, point })
    };
    mountinfo.lines().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
";

    /// A container can sit at different paths in the trees of version 1, and a mount may show only a part.
    #[test]
    fn finds_each_controllers_own_path() {
        let cgroups = Cgroups { mounts: parse_mounts(V1) };
        let text = "4:memory:/docker/x/c1\n2:cpu,cpuacct:/docker/c1\n0::/\n";
        assert_eq!(
            cgroups.folder_v1(text, "cpuacct"),
            Some(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/docker/c1"))
        );
        assert_eq!(cgroups.folder_v1(text, "memory"), Some(PathBuf::from("/sys/fs/cgroup/memory/c1")));
        assert_eq!(cgroups.folder_v2(text), None);
    }

    /// Version 2 has one tree for everything.
    #[test]
    fn finds_the_one_path_of_version_2() {
        let mounts = parse_mounts("24 22 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
        let cgroups = Cgroups { mounts };
        let text = "0::/system.slice/docker-c1.scope\n";
        let expected = PathBuf::from("/sys/fs/cgroup/system.slice/docker-c1.scope");
        assert_eq!(cgroups.folder_v2(text), Some(expected));
        assert_eq!(cgroups.folder_v1(text, "memory"), None);
    }

    fn mount(controllers: &[&str], point: &Path) -> Mount {
        let controllers: Vec<String> = controllers.iter().map(|name| (*name).to_owned()).collect();
        Mount {
            version_2: controllers.is_empty(),
            controllers,
            root: "/".to_owned(),
            point: point.to_owned(),
        }
    }

    /// The descriptors stay open, so each read must begin at the start again and see new numbers.
    #[test]
    fn open_files_are_read_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
        write("memory.current", "5000\n");
        write("memory.stat", "anon 1\nfile 3000\ninactive_file 2000\n");
        write("io.stat", "");
        let mut files = Cgroups { mounts: vec![mount(&[], folder.path())] }.files("0::/\n").unwrap();
        assert_eq!(files.cpu_usage(), Some(Duration::from_micros(1_500)));
        assert_eq!(files.memory(), Some(3_000));
        assert_eq!(files.disk(), Some([0, 0]), "it has touched no disk yet");
        write("cpu.stat", "usage_usec 99999\n");
        write("io.stat", "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n");
        assert_eq!(files.cpu_usage(), Some(Duration::from_micros(99_999)));
        assert_eq!(files.disk(), Some([4_096, 8_192]));
    }

    /// Version 1 counts bytes in files that not every kernel has, and some count none: then there is no number.
    #[test]
    fn bytes_of_version_1_come_from_the_best_file() {
        let folder = tempfile::tempdir().unwrap();
        let (cpu, io) = (folder.path().join("cpuacct"), folder.path().join("blkio"));
        for (folder, name, text) in [(&cpu, "cpuacct.usage", "1000\n"), (&io, IO_V1[2], "Total 0\n")] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        let cgroups = Cgroups { mounts: vec![mount(&["cpuacct"], &cpu), mount(&["blkio"], &io)] };
        let disk = |text: &str| cgroups.files(text).unwrap().disk();
        assert_eq!(disk("2:cpuacct:/\n1:blkio:/\n"), Some([0, 0]));
        fs::write(io.join(IO_V1[0]), "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n").unwrap();
        assert_eq!(disk("2:cpuacct:/\n1:blkio:/\n"), Some([10, 20]));
        assert_eq!(disk("2:cpuacct:/\n"), None);
        assert_eq!(disk("2:cpuacct:/\n1:blkio:/gone\n"), None);
    }

    /// Whatever this machine's version, this very process must be found (in a root cgroup only on version 1).
    #[test]
    fn this_machines_cgroups_can_be_read() {
        let cgroups = Cgroups::find();
        if let Some(mut files) = cgroups.open(std::process::id()) {
            assert!(files.cpu_usage().is_some(), "{cgroups:?}");
        }
    }
}

//! What a failed dump or restore means for the person who must act: known sentences of CRIU and runc, and what to do.

use std::fs;
use std::path::Path;

/// The part of CRIU's log that is worth passing on.
const TAIL_LINES: usize = 20;

/// CRIU's logs run to some hundred KiB; the reason is at the end.
const TAIL_BYTES: usize = 64 * 1024;

/// A reason that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// A word for programs.
    pub name: &'static str,
    /// What it is and how to mend it.
    pub advice: &'static str,
    /// Whether the same dump may work a moment later.
    pub is_passing: bool,
}

/// Sentences that CRIU 3.17 to 4.2 and runc 1.1 write; the first match wins, so narrow ones come first.
const KNOWN: [(&str, Cause); 18] = [
    ("No space left on device", DISK_FULL),
    (
        "io_uring",
        lasting(
            "io_uring",
            "the application uses io_uring, which CRIU cannot save; switch that off in it, or move it cold",
        ),
    ),
    (
        "Can't get rlimit",
        lasting(
            "rlimit",
            "a process that is not root's can be saved only with CAP_SYS_RESOURCE, which this machine withholds; run the \
             container's processes as root, or move it cold",
        ),
    ),
    (
        "In-flight connection",
        passing(
            "in_flight",
            "a connection was waiting to be accepted; let the container run for a moment and try again",
        ),
    ),
    (
        "Can't get 1:16 opt",
        lasting(
            "criu_too_old",
            "this CRIU cannot save sockets on this kernel (6.16 and later need CRIU 4.2); install a newer one",
        ),
    ),
    ("vdso", lasting("criu_too_old", "this CRIU does not know this kernel's vDSO; install a newer one")),
    (
        "external socket is used",
        lasting(
            "unix_socket",
            "a process is connected through a Unix socket to one outside of the container; move it cold",
        ),
    ),
    (
        "Can't dump half of stream unix connection",
        lasting(
            "unix_socket",
            "a process is connected through a Unix socket to one outside of the container; move it cold",
        ),
    ),
    (
        "Network is unreachable",
        lasting("network", "a connection's address is not there: give the order the container's addresses"),
    ),
    (
        "Cannot assign requested address",
        lasting(
            "network",
            "the container has another address than when it was saved; create it with the same one",
        ),
    ),
    ("No mapping for", lasting("cgroup_version", "the devices have different cgroup versions; move it cold")),
    (
        "bad size",
        lasting(
            "files_differ",
            "a file differs from when it was saved; copy the writable layer after the freeze",
        ),
    ),
    (
        "Can't open file",
        lasting(
            "files_missing",
            "a file that a process has open is missing here; copy the writable layer and the volumes",
        ),
    ),
    (
        "MS_PRIVATE",
        lasting("init", "containers with --init cannot be restored; create it without, or move it cold"),
    ),
    (
        "Can't dump ghost file",
        lasting(
            "ghost_file",
            "a process has a large file open that was deleted, which CRIU does not save; let it close the file, or move it cold",
        ),
    ),
    (
        "Some file locks are hold by dumping tasks",
        lasting("file_locks", "a process holds a lock on a file outside of the container; move it cold"),
    ),
    (
        "Connected TCP socket",
        lasting(
            "connections",
            "it was saved with open connections, which the engine's own restore cannot bring back; create it where \
             `ecep-agent setup` was run",
        ),
    ),
    (
        "executable file not found",
        lasting("criu_missing", "there is no CRIU on the engine's PATH; install one"),
    ),
];

/// Also found where nothing could be written down of it: see [`of_disk`].
const DISK_FULL: Cause =
    lasting("disk_full", "the disk of this device is full; free some space and try again");

/// Less than this is left of a disk on which something could not be written.
const FULL_BELOW: u64 = 1024 * 1024;

/// The cause, where the disk of a folder is full: then CRIU's log ends before the reason, for want of space.
pub(crate) fn of_disk(folder: &Path) -> Option<Cause> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    (disk.f_bavail.saturating_mul(disk.f_frsize) < FULL_BELOW).then_some(DISK_FULL)
}

const fn lasting(name: &'static str, advice: &'static str) -> Cause {
    Cause { name, advice, is_passing: false }
}

const fn passing(name: &'static str, advice: &'static str) -> Cause {
    Cause { name, advice, is_passing: true }
}

/// The cause that a log or a message shows, if it is a known one.
pub fn find(text: &str) -> Option<Cause> {
    KNOWN.iter().find(|(sentence, _)| text.contains(sentence)).map(|(_, cause)| *cause)
}

/// The lines of CRIU's log in a work folder that tell of errors, or else its last ones.
pub fn log_tail(work: &Path) -> String {
    let entries = fs::read_dir(work).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let text: String = logs.filter_map(|path| fs::read(path).ok()).map(|bytes| end_of(&bytes)).collect();
    let mut lines: Vec<_> = text.lines().filter(|line| line.contains("Error")).collect();
    if lines.is_empty() {
        lines = text.lines().collect();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// The line that most likely names the reason: CRIU's later errors follow from its first, but for the complaint about its
/// own limits that it makes, and survives, wherever CAP_SYS_RESOURCE is missing.
pub fn first_line(log: &str) -> &str {
    log.lines().find(|line| !line.contains("RLIMIT_NOFILE for self")).unwrap_or_default()
}

fn end_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who reads only the advice must be sent the right way.
    #[test]
    fn knows_what_criu_says() {
        let name = |text| find(text).map(|cause| cause.name);
        assert_eq!(name("(00.01) Error (criu/x.c:1): Can't get rlimit 0"), Some("rlimit"));
        assert_eq!(
            name("Error (criu/sk-inet.c:191): inet: In-flight connection (l) for 1f90"),
            Some("in_flight")
        );
        assert_eq!(name("something new"), None);
        assert!(find("In-flight connection").unwrap().is_passing);
    }

    /// Behind a harmless complaint, before what follows from it.
    #[test]
    fn the_first_real_error_is_shown() {
        let log = "Error: rlimit: Can't setup RLIMIT_NOFILE for self\nError: why\nError: Restoring FAILED.";
        assert_eq!(first_line(log), "Error: why");
        assert_eq!(first_line(""), "");
    }

    /// The reason is often a page before the end, after which CRIU only cleans up.
    #[test]
    fn the_tail_is_the_errors() {
        let folder = tempfile::tempdir().unwrap();
        let log = format!("(0.1) Error (criu/a.c:1): why\n{}", "(0.2) cleaning\n".repeat(100));
        fs::write(folder.path().join("dump.log"), log).unwrap();
        assert_eq!(log_tail(folder.path()), "(0.1) Error (criu/a.c:1): why");
        fs::write(folder.path().join("dump.log"), "a\nb\n").unwrap();
        assert_eq!(log_tail(folder.path()), "a\nb");
        assert_eq!(log_tail(Path::new("/nowhere")), "");
    }
}

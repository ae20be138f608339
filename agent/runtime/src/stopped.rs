//! CRIU leaves a container that is to be frozen stopped (SIGSTOP), so that it does not run before the freezer has it. Here it
//! goes from the one into the other: afterwards only those processes are stopped that were so when they were saved.
//!
//! Those are told by CRIU's images: in `core-<pid>.img` field 3 (`tc`) has the state as its field 1 (CRIU, images/core.proto;
//! compel, task-state.h).

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::criu_image::{self, Value, fields};
use crate::freezer::{self, FreezeError};

/// `CoreEntry.tc` and `TaskCoreEntry.task_state`.
const TASK: u64 = 3;
const STATE: u64 = 1;

/// The state of a process that somebody had stopped.
const STOPPED: u64 = 3;

/// Freezes the container whose first process is `pid`, restored from these images and left stopped, and lets nothing but the
/// freezer hold it.
///
/// # Errors
/// It cannot be frozen; nothing of it runs then.
pub(crate) fn freeze(pid: i32, images: &Path) -> Result<(), FreezeError> {
    freezer::freeze(pid)?;
    // How deep the container's process ids are below the host's.
    let depth = process_ids(pid).len().saturating_sub(1);
    for process in freezer::processes(pid)? {
        let inside = process_ids(process).get(depth).copied();
        let image = inside.and_then(|inside| fs::read(images.join(format!("core-{inside}.img"))).ok());
        if image.as_deref().and_then(state) == Some(STOPPED) {
            continue;
        }
        if let Some(process) = Pid::from_raw(process) {
            // It may have ended: a process of the container's that was killed before is a zombie.
            let _ = kill_process(process, Signal::CONT);
        }
    }
    // Kernels before 6.1 let it out of the stop before the freezer has it again.
    freezer::freeze(pid)
}

/// The ids of a process, from the host's down (proc(5), `NSpid`).
fn process_ids(pid: i32) -> Vec<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    ids.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// The state of the process that an image describes.
fn state(image: &[u8]) -> Option<u64> {
    let task = criu_image::message(image)?.find_map(|field| match field {
        (TASK, Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    })?;
    fields(task).find_map(|field| match field {
        (STATE, Value::Number(number)) => Some(number),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criu_image::HEADER;

    /// `mtype` 1; `thread_info` (field 2, three bytes); `tc` (field 3) with `task_state`, `exit_code` and a text.
    fn image(state: u8) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend([0x08, 1, 0x12, 3, 0x08, 0x80, 1, 0x1a, 8, 0x08, state, 0x10, 0, 0x42, 2, b'h', b'i']);
        bytes
    }

    /// A program that somebody had stopped must not go on by itself after a move, and no other may stay stopped.
    #[test]
    fn tells_who_was_stopped() {
        assert_eq!(state(&image(1)), Some(1));
        assert_eq!(state(&image(3)), Some(STOPPED));
    }

    /// A damaged image says nothing; it must not end the runtime.
    #[test]
    fn survives_what_is_no_image() {
        for length in 0..image(3).len() - 7 {
            assert_eq!(state(&image(3)[..length]), None, "{length}");
        }
        assert_eq!(state(&[0xff; 64]), None);
    }
}

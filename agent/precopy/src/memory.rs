//! Reads the memory of running processes through /proc/PID/pagemap and /proc/PID/mem (proc(5)), without stopping them: what
//! CRIU would save. A page may change while it is read; then it is one that the container never had, and does no harm.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use crate::page::PAGE;

/// Bits of an entry of pagemap (the kernel's admin-guide/mm/pagemap): in memory, swapped out, of a file or shared.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;
/// Bytes of an entry.
const ENTRY: usize = 8;
/// Entries that are read at once: a look at 16 MiB of addresses.
const ENTRIES: usize = 4096;
/// Pages that are read at once: 256 KiB.
const PAGES: usize = 64;

/// A range of addresses with pages that may have to travel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Area {
    start: u64,
    end: u64,
    /// Pages of the file behind it do not travel, only the process's own copies of them.
    own_pages_only: bool,
}

/// Reads all pages of a process that CRIU would save, and hands them on, one or more whole ones at a time. Answers how many
/// pages it read; a process that ends meanwhile has no more of them.
///
/// # Errors
/// The process cannot be looked at, or `take` refuses.
pub fn read<E: From<io::Error>>(pid: i32, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
    let maps = match fs::read_to_string(format!("/proc/{pid}/maps")) {
        Err(error) if is_gone(&error) => return Ok(0),
        maps => maps?,
    };
    let (pagemap, memory) = match (open(pid, "pagemap")?, open(pid, "mem")?) {
        (Some(pagemap), Some(memory)) => (pagemap, memory),
        _ => return Ok(0),
    };
    let mut entries = vec![0; ENTRIES * ENTRY];
    let mut buffer = vec![0; PAGES * PAGE];
    let mut count = 0;
    for area in maps.lines().filter_map(area) {
        let mut at = area.start;
        while at < area.end {
            let pages = usize::try_from((area.end - at) / PAGE as u64).unwrap_or(ENTRIES).min(ENTRIES);
            let wanted = &mut entries[..pages * ENTRY];
            if pagemap.read_exact_at(wanted, at / PAGE as u64 * ENTRY as u64).is_err() {
                // The process has ended.
                return Ok(count);
            }
            for (start, length) in runs(wanted, area.own_pages_only) {
                let mut offset = at + (start * PAGE) as u64;
                let mut left = length;
                while left > 0 {
                    let now = left.min(PAGES);
                    let bytes = &mut buffer[..now * PAGE];
                    // An area that was unmapped since has nothing to read.
                    if memory.read_exact_at(bytes, offset).is_ok() {
                        take(bytes)?;
                        count += now as u64;
                    }
                    offset += bytes.len() as u64;
                    left -= now;
                }
            }
            at += (pages * PAGE) as u64;
        }
    }
    Ok(count)
}

fn open(pid: i32, file: &str) -> io::Result<Option<File>> {
    match File::open(format!("/proc/{pid}/{file}")) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// A line of /proc/PID/maps. What the kernel itself puts there, and what cannot be read, does not travel.
fn area(line: &str) -> Option<Area> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let (_offset, _device, inode) = (fields.next()?, fields.next()?, fields.next()?);
    let name = fields.next().unwrap_or_default();
    let is_kernels = matches!(name, "[vvar]" | "[vvar_vclock]" | "[vdso]" | "[vsyscall]" | "[uprobes]");
    let is_shared = rights.ends_with('s');
    // Shared memory without a file's name: anonymous, of System V, or a memfd.
    let is_memory = name.starts_with("/dev/zero") || name.starts_with("/SYSV") || name.starts_with("/memfd:");
    let is_shared_file = is_shared && inode != "0" && !is_memory;
    if is_kernels || is_shared_file || !rights.starts_with('r') {
        return None;
    }
    let address = |hex| u64::from_str_radix(hex, 16).ok();
    Some(Area { start: address(start)?, end: address(end)?, own_pages_only: !is_shared })
}

/// Runs of pages to be read: the first one's index, and how many.
fn runs(entries: &[u8], own_pages_only: bool) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (index, entry) in entries.chunks_exact(ENTRY).enumerate() {
        let mut bytes = [0; ENTRY];
        bytes.copy_from_slice(entry);
        let entry = u64::from_le_bytes(bytes);
        let is_there = entry & (PRESENT | SWAPPED) != 0 && !(own_pages_only && entry & OF_FILE != 0);
        if !is_there {
            continue;
        }
        match found.last_mut() {
            Some((start, length)) if *start + *length == index => *length += 1,
            _ => found.push((index, 1)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read and what is left out must be what CRIU saves and leaves out.
    #[test]
    fn areas_that_travel() {
        let heap = "55d0c8a00000-55d0c8a21000 rw-p 00000000 00:00 0                          [heap]";
        assert_eq!(
            area(heap),
            Some(Area { start: 0x55d0_c8a0_0000, end: 0x55d0_c8a2_1000, own_pages_only: true })
        );
        let shared = "7f0000000000-7f0000100000 rw-s 00000000 00:01 1031  /dev/zero (deleted)";
        assert_eq!(area(shared).map(|area| area.own_pages_only), Some(false));
        let memfd = "7f0000000000-7f0000100000 rw-s 00000000 00:01 1031  /memfd:x (deleted)";
        assert!(area(memfd).is_some());
        for left_out in [
            "7f0000000000-7f0000100000 rw-s 00000000 fe:01 1031  /data/database",
            "7ffd1cbf2000-7ffd1cbf6000 r--p 00000000 00:00 0                          [vvar]",
            "7f0000000000-7f0000100000 ---p 00000000 00:00 0",
        ] {
            assert_eq!(area(left_out), None, "{left_out}");
        }
    }

    /// A page of a file that the process has not changed comes with the image.
    #[test]
    fn runs_of_own_pages() {
        let entries: Vec<u8> = [PRESENT, PRESENT, 0, PRESENT | OF_FILE, SWAPPED]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        assert_eq!(runs(&entries, true), [(0, 2), (4, 1)]);
        assert_eq!(runs(&entries, false), [(0, 2), (3, 2)]);
    }

    /// The real thing: what this process has in memory is found in what is read.
    #[test]
    fn reads_its_own_memory() {
        let mut mine = vec![0_u8; 8 * PAGE];
        for (index, byte) in mine.iter_mut().enumerate() {
            *byte = u8::try_from((index * 7 + index / 251) % 256).unwrap();
        }
        let start = mine.as_ptr().align_offset(PAGE);
        let page = mine[start..start + PAGE].to_vec();
        let mut found = false;
        let pid = i32::try_from(std::process::id()).unwrap();
        let count = read::<io::Error>(pid, |pages| {
            found |= pages.chunks_exact(PAGE).any(|other| other == page);
            Ok(())
        })
        .unwrap();
        assert!(found, "not among {count} pages");
        assert_eq!(
            read::<io::Error>(i32::MAX, |_| Ok(())).unwrap(),
            0,
            "a process that is gone has no pages"
        );
    }
}

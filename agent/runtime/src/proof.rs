//! Proof that a process was restored from images and not started afresh: the kernel puts each new process's stack at a place
//! of its own, and CRIU puts a restored one's where it was. For restores that are not made by our own runtime, which knows.

use std::fs;
use std::path::Path;

use crate::criu_image::{self, Value};
use crate::stat;

/// The image of the memory map of a container's first process.
const IMAGE: &str = "mm-1.img";
/// `mm_start_stack` in CRIU's mm.proto.
const START_STACK: u64 = 5;
/// `startstack` of proc(5), `stat`.
const STAT_STACK: usize = 28;

/// Whether the process is the one that the images were made of. `None` where that cannot be told.
pub fn is_restored(images: &Path, pid: i32) -> Option<bool> {
    let image = fs::read(images.join(IMAGE)).ok()?;
    Some(stack_of_image(&image)? == stack_of(pid)?)
}

fn stack_of(pid: i32) -> Option<u64> {
    stat::field(pid, STAT_STACK)?.parse().ok()
}

fn stack_of_image(image: &[u8]) -> Option<u64> {
    criu_image::message(image)?.find_map(|field| match field {
        (START_STACK, Value::Number(stack)) => Some(stack),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criu_image::HEADER;

    /// A container that was started afresh must not pass for a restored one.
    #[test]
    fn the_stack_is_found_in_both() {
        let mut image = vec![0; HEADER];
        for (field, value) in [(1, 0x40_0000_u64), (2, 1), (3, 2), (4, 3), (5, 0x7ffd_1234_5678)] {
            image.push(field << 3);
            let mut rest = value;
            while rest > 0x7f {
                image.push((rest as u8) | 0x80);
                rest >>= 7;
            }
            image.push(rest as u8);
        }
        assert_eq!(stack_of_image(&image), Some(0x7ffd_1234_5678));
        assert_eq!(stack_of_image(&image[..image.len() - 3]), None);
        let stack = stack_of(std::process::id().try_into().unwrap()).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let place = |hex| u64::from_str_radix(hex, 16).unwrap();
        assert!((place(from)..place(to)).contains(&stack), "{stack:x} is not in {line}");
    }
}

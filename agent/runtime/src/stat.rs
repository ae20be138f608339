//! What the kernel tells of a process in a line (proc(5), `/proc/PID/stat`).

use std::fs;

/// Fields that come before the name's closing bracket: the process id and the name itself.
const BEFORE: usize = 2;

/// A field by its number in proc(5), from 3 (the state) on; none where the process is gone.
pub fn field(pid: i32, number: usize) -> Option<String> {
    of_line(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, number).map(ToOwned::to_owned)
}

fn of_line(line: &str, number: usize) -> Option<&str> {
    // The name may hold spaces and brackets.
    let (_, after) = line.rsplit_once(") ")?;
    after.trim_end().split(' ').nth(number.checked_sub(BEFORE + 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program may call itself anything; its name must not shift what follows.
    #[test]
    fn fields_are_counted_behind_the_name() {
        let line = "7 (a) b (c) T 1 7 7\n";
        assert_eq!(of_line(line, 3), Some("T"));
        assert_eq!(of_line(line, 4), Some("1"));
        assert_eq!(of_line(line, 6), Some("7"));
        assert_eq!((of_line(line, 7), of_line(line, 1), of_line("", 3)), (None, None, None));
    }
}

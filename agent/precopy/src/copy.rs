//! Copies a tree with everything that it has.

use std::io;
use std::path::Path;
use std::process::Command;

/// Copies a file or a folder with all that is below it: owners, modes, times, extended attributes, links, devices, holes. What is at
/// `to` already stays there, but for what is copied.
///
/// # Errors
/// A sentence with the system's reason in English, which others look for words in; a part may be copied then.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = Command::new("cp");
    copy.env("LC_ALL", "C").args(["--archive", "--no-target-directory"]).args([from, to]);
    let copied = copy.output()?;
    if copied.status.success() {
        return Ok(());
    }
    // It says of each file why; the first is enough.
    let said = String::from_utf8_lossy(&copied.stderr);
    let why = said.lines().next().unwrap_or_default();
    Err(io::Error::other(format!("cannot copy {} to {}: {why}", from.display(), to.display())))
}

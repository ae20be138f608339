//! Runs other programs to their end and turns a failure into a message that names the command and what it said.
//! It knows nothing about what the programs are for.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A failing program's last lines are what a person needs; apt and cargo can print megabytes.
const SHOWN_LINES: usize = 15;

/// Runs `program` and answers what it printed on stdout.
///
/// # Errors
/// The program is missing, or ended with a status other than 0; the message carries its last lines of stderr.
pub fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Result<String> {
    output(Command::new(program).args(args))
}

/// Runs a prepared command and answers what it printed on stdout. See [`run`] for the errors.
pub fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        let said = [output.stderr, output.stdout].concat();
        bail!("`{line}` failed ({}):\n{}", output.status, last_lines(&String::from_utf8_lossy(&said)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command whose output a person should see as it comes; both streams go to stderr, because stdout is kept
/// for reports.
///
/// # Errors
/// The program is missing, or ended with a status other than 0.
pub fn show(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Whether `program` is on the PATH.
pub fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The last lines of a program's output.
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// The command as typed; an argument that is a script is left out.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(|word| match word.to_string_lossy() {
        word if word.contains('\n') => "...".into(),
        word => word,
    });
    shown.collect::<Vec<_>>().join(" ")
}

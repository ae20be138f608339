//! What a person types about the data: `backup`, `restore`, `check`.
//!
//! Must not know how the store or a backup are made up.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{
    admin, artifacts,
    store::{self, Archive, Remedy, Stopped, StoreError},
};

/// `backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Backup {
    /// The data folder.
    #[arg(long, env = "ECEP_API_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// The file to write, readable by this user only. An older one is replaced once the new one is whole.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// `restore`.
#[derive(Debug, Clone, clap::Args)]
pub struct Restore {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// The data folder: missing, or empty.
    #[arg(long, env = "ECEP_API_DATA", value_name = "DIR")]
    pub data: PathBuf,
}

/// `check`.
#[derive(Debug, Clone, clap::Args)]
pub struct Check {
    /// The data folder.
    #[arg(long, env = "ECEP_API_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Remove this row first, as the check names it. Take a backup before.
    #[arg(long, value_name = "TABLE/KEY")]
    pub remove: Vec<String>,
}

/// Writes a backup: of a running control plane through its socket, else from the folder itself.
///
/// # Errors
/// A sentence for whoever typed it; the file is as it was then.
pub fn backup(wanted: &Backup) -> anyhow::Result<()> {
    let folder = match wanted.to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let not_written = || format!("no backup was written to {}", wanted.to.display());
    // Made for this user alone, and removed again unless it is renamed.
    let mut file =
        tempfile::Builder::new().prefix(".ecep-backup-").tempfile_in(folder).with_context(not_written)?;
    let is_running = admin::ask_for_backup(&wanted.data, file.as_file()).with_context(not_written)?;
    if !is_running {
        let copy = Stopped::open(&wanted.data).and_then(|store| store.copy()).map_err(|error| match error {
            StoreError::InUse { .. } => anyhow::anyhow!(
                "the data folder {} is in use by a process that takes no backups; is it just starting?",
                wanted.data.display()
            ),
            error => error.into(),
        });
        let mut out = BufWriter::new(file.as_file());
        copy.and_then(|copy| Ok(copy.write(&mut out)?)).with_context(not_written)?;
        out.flush().with_context(not_written)?;
    }
    // Read again: what counts is what is on the disk.
    file.as_file().sync_all().with_context(not_written)?;
    file.rewind().with_context(not_written)?;
    let copy = Archive::read(BufReader::new(file.as_file())).with_context(not_written)?;
    file.persist(&wanted.to).map_err(|error| error.error).with_context(not_written)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(not_written)?;
    say(&format!(
        "{} rows and {} files are in {}",
        copy.tables.count(),
        copy.files.len(),
        wanted.to.display()
    ))?;
    match artifacts_of(&copy) {
        0 => Ok(()),
        count => say(&format!(
            "The bytes of {count} artifacts are not in it: copy the folder {} now, for example by rsync. Its files never change.",
            wanted.data.join(artifacts::ARTIFACTS).display()
        )),
    }
}

/// How many artifacts a backup knows.
fn artifacts_of(copy: &Archive) -> usize {
    store::missing_bytes(&copy.tables, |_| false).len()
}

/// Puts a backup into an empty folder.
///
/// # Errors
/// A sentence for whoever typed it; the folder is empty then.
pub fn restore(wanted: &Restore) -> anyhow::Result<()> {
    let not_restored = || format!("{} was not restored", wanted.from.display());
    let file = File::open(&wanted.from).with_context(not_restored)?;
    let archive = Archive::read(BufReader::new(file)).with_context(not_restored)?;
    let count = artifacts_of(&archive);
    let (rows, taken) = (archive.tables.count(), crate::clock::readable(archive.made_at));
    store::restore(archive, &wanted.data).with_context(not_restored)?;
    say(&format!("{rows} rows of {taken} are in {}; people log in anew", wanted.data.display()))?;
    match count {
        0 => Ok(()),
        _ => say(&format!(
            "The bytes of {count} artifacts were not in the backup: copy the folder that was kept beside it to {} before the start, or have the files uploaded again.",
            wanted.data.join(artifacts::ARTIFACTS).display()
        )),
    }
}

/// Checks what lies in the folder.
///
/// # Errors
/// A sentence for each thing that does not fit.
pub fn check(wanted: &Check) -> anyhow::Result<()> {
    let store = Stopped::open(&wanted.data)?;
    for row in &wanted.remove {
        let (table, key) = row.split_once('/').context("--remove takes a table and a key, as table/key")?;
        if !store.remove(table, key)? {
            bail!("there is no row {row}");
        }
        say(&format!("{row} is removed"))?;
    }
    let (rows, findings) = store.check()?;
    for finding in &findings {
        say(&finding.to_string())?;
    }
    if findings.is_empty() {
        return say(&format!("{rows} rows, and all fit together"));
    }
    let refused = findings.iter().filter(|finding| finding.remedy == Remedy::Refuse).count();
    bail!("{} of {rows} rows do not fit, {refused} so that the control plane does not start", findings.len())
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

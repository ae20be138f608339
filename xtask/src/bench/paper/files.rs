//! Makes the files that travel. Random bytes where both ways should carry as many; what packs as programs do where an engine packs it anyway.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Of every block so much is random.
const RANDOM: usize = 4_096;
/// The rest of a block packs to almost nothing, so that the whole packs to two fifths, as system images do.
const PLAIN: usize = 6_144;

/// The application's name.
pub(super) const APPLICATION: &str = "paper";

/// A file of random bytes: no two are alike, and nothing makes them smaller.
pub(super) fn random(file: &Path, bytes: u64) -> Result<()> {
    let mut source = File::open("/dev/urandom")?.take(bytes);
    io::copy(&mut source, &mut File::create(file)?)?;
    Ok(())
}

/// A file that packs to two fifths, and is like no other one.
pub(super) fn packable(file: &Path, bytes: u64) -> Result<()> {
    let mut source = File::open("/dev/urandom")?;
    let mut out = BufWriter::new(File::create(file)?);
    let mut block = [b'.'; RANDOM + PLAIN];
    let mut left = bytes;
    while left > 0 {
        source.read_exact(&mut block[..RANDOM])?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        out.write_all(&block[..count])?;
        left -= count as u64;
    }
    Ok(out.flush()?)
}

/// An application of so many bytes, as a tar archive in `folder`.
pub(super) fn application(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let tree = folder.join("application");
    fs::create_dir_all(&tree)?;
    random(&tree.join("data"), bytes)?;
    let archive = folder.join("app.tar");
    let mut tar = std::process::Command::new("tar");
    shell::output(tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(&tree).arg("."))?;
    fs::remove_dir_all(&tree)?;
    Ok(archive)
}

/// Packs a file beside itself, as a browser would.
pub(super) fn compress(file: &Path) -> Result<PathBuf> {
    let mut packed = file.as_os_str().to_owned();
    packed.push(".gz");
    let packed = PathBuf::from(packed);
    let mut gzip = std::process::Command::new("gzip");
    gzip.args(["--force", "--keep"]).arg(file);
    shell::output(&mut gzip)?;
    Ok(packed)
}

/// That all of it has arrived.
pub(super) fn check_size(file: &Path, bytes: u64) -> Result<()> {
    let found = fs::metadata(file).with_context(|| format!("{} did not arrive", file.display()))?.len();
    ensure!(found == bytes, "{} has {found} bytes and not {bytes}", file.display());
    Ok(())
}

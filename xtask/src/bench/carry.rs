//! Carries a file or folder from device to device as a person would: `tar` through one TCP connection over their link.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::cpu::Cpu;
use crate::lab::Device;

/// From a folder of one device to a folder of another.
///
/// # Errors
/// The destination cannot be reached, or `tar` fails, which says why on stderr.
pub(super) fn carry(
    cpus: &[Cpu],
    (from, source): (&Device, &Path),
    (to, destination): (&Device, &Path),
    name: &str,
) -> Result<()> {
    let listener = to.inside(|| Ok(TcpListener::bind((to.address(), 0))?))?;
    let address = listener.local_addr()?;
    let sender = from.inside(|| TcpStream::connect(address).context("cannot reach the destination"))?;
    let (receiver, _) = listener.accept()?;
    let mut unpack = to.command("tar");
    unpack.args(["--extract", "--directory"]).arg(destination).stdin(OwnedFd::from(receiver));
    let mut pack = from.command("tar");
    pack.args(["--create", "--directory"]).arg(source).arg(name).stdout(OwnedFd::from(sender));
    let (mut packing, mut unpacking) = (pack.spawn()?, unpack.spawn()?);
    // Our own ends of the connection: while one is open, the archive has no end.
    drop((pack, unpack));
    cpus[usize::from(from.number()) - 1].count(packing.id())?;
    cpus[usize::from(to.number()) - 1].count(unpacking.id())?;
    let (packed, unpacked) = (packing.wait()?, unpacking.wait()?);
    ensure!(packed.success() && unpacked.success(), "{name} did not travel: {packed}, {unpacked}");
    Ok(())
}

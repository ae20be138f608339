//! Debian's packages: which command or file each is needed for, and how to get it. A thing that is there is taken as it
//! is, whoever installed it: a machine with another vendor's Docker engine keeps that one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cache_dir, make_empty, progress, require_root, unpack_packages};
use crate::shell;

/// What must be there, and the package that brings it.
const NEEDS: [(Need, &str); 13] = [
    (Need::Program("dockerd"), "docker.io"),
    // Debian 13 and later split the client off.
    (Need::Program("docker"), "docker-cli"),
    (Need::Program("ip"), "iproute2"),
    (Need::Program("iptables"), "iptables"),
    (Need::Program("nsenter"), "util-linux"),
    (Need::File("/usr/include/openssl/ssl.h"), "libssl-dev"),
    (Need::Program("pkg-config"), "pkg-config"),
    // Brings the static C library that the sample images are linked with.
    (Need::Program("cc"), "build-essential"),
    (Need::Program("busybox"), "busybox-static"),
    (Need::Program("chromium"), "chromium"),
    // This very file, because the image of real programs takes the system's own Python.
    (Need::File("/usr/bin/python3"), "python3"),
    // The Redis server itself; the package redis-server would only add a service that starts with the machine.
    (Need::Program("redis-check-rdb"), "redis-tools"),
    (Need::Program("sqlite3"), "sqlite3"),
];

enum Need {
    Program(&'static str),
    File(&'static str),
}

impl Need {
    fn is_met(&self) -> bool {
        match self {
            Self::Program(name) => shell::is_on_path(name),
            Self::File(path) => Path::new(path).exists(),
        }
    }
}

pub(super) fn install_missing() -> Result<()> {
    install_needs()?;
    // The sample image of real programs has it.
    unpack("nginx", Path::new("usr/sbin/nginx"), &crate::lab::unpacked_servers())
}

fn install_needs() -> Result<()> {
    let mut missing: Vec<&str> =
        NEEDS.iter().filter(|(need, _)| !need.is_met()).map(|(_, package)| *package).collect();
    if !super::python::can_make_environments() {
        missing.push("python3-venv");
    }
    // Where docker.io still contains the client there is no such package.
    if missing.contains(&"docker-cli") && !is_known("docker-cli") {
        missing.retain(|package| *package != "docker-cli");
    }
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    match NEEDS.iter().find(|(need, _)| !need.is_met()) {
        Some((Need::Program(thing) | Need::File(thing), package)) => {
            bail!("{package} was installed, but {thing} is still missing; is it on root's PATH?")
        }
        None => Ok(()),
    }
}

/// Brings one program that only some tests need.
pub(super) fn install_program(program: &str, package: &str) -> Result<()> {
    if shell::is_on_path(program) { Ok(()) } else { install(&[package]) }
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(", ");
    if !shell::is_on_path("apt-get") {
        bail!(
            "this system has no apt-get, so set-up cannot install what is missing; install these yourself (the names \
             are Debian's): {list}"
        );
    }
    require_root(&format!("set-up must install {list}"))?;
    progress(&format!("installing {list}"));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(&arguments)
}

pub(super) fn unpack_registry() -> Result<()> {
    unpack(REGISTRY, &Path::new("usr/bin").join(REGISTRY), &cache_dir().join("registry"))
}

/// A server is only unpacked: installed, it would be a service that listens on every address of the machine.
fn unpack(package: &str, program: &Path, folder: &Path) -> Result<()> {
    let is_installed = program.file_name().and_then(|name| name.to_str()).is_some_and(shell::is_on_path);
    if is_installed || folder.join(program).exists() {
        return Ok(());
    }
    progress(&format!("unpacking {package}"));
    make_empty(folder)?;
    let archives = format!("Dir::Cache::archives={}", folder.display());
    apt_get(&["install", "--yes", "--download-only", "--no-install-recommends", "-o", &archives, package])?;
    unpack_packages(folder, folder)
}

const REGISTRY: &str = "docker-registry";

/// NATS's server, for measuring.
pub(super) fn unpack_nats() -> Result<PathBuf> {
    let (folder, program) = (cache_dir().join("nats"), Path::new("usr/sbin").join(NATS));
    unpack(NATS, &program, &folder)?;
    Ok(if shell::is_on_path(NATS) { NATS.into() } else { folder.join(program) })
}

const NATS: &str = "nats-server";

pub(super) fn registry_program() -> PathBuf {
    if shell::is_on_path(REGISTRY) { REGISTRY.into() } else { own_registry() }
}

fn own_registry() -> PathBuf {
    cache_dir().join("registry/usr/bin").join(REGISTRY)
}

fn is_known(package: &str) -> bool {
    shell::run("apt-cache", ["show", package]).is_ok()
}

/// Runs apt-get; when it fails, the package lists may be missing or old, so they are fetched and it is tried once more.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let run = |arguments: &[&str]| {
        shell::show(
            Command::new("apt-get")
                .args(["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"])
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    if run(arguments).is_ok() {
        return Ok(());
    }
    progress("fetching the package lists");
    run(&["update"]).context("cannot fetch the package lists; is there a network?")?;
    run(arguments).context("cannot install packages; apt-get says why above")
}

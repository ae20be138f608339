//! Fuzzing as a part of every run: each target for a short while, guided by what its bytes reach. It needs neither the
//! nightly compiler nor another tool: the stable one instruments, and libFuzzer comes with its crate.
//!
//! A target that fails leaves the bytes in `target/fuzz/crash-…`; started with this file as its only argument
//! (`target/fuzz/HOST/fuzz/TARGET FILE`), it fails again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Part;
use crate::{shell, workspace};

/// A package of fuzz targets, one for each file in its folder `targets`.
struct Package {
    name: &'static str,
    folder: &'static str,
    /// How many runs of a target take a few seconds.
    runs: &'static str,
}

const PACKAGES: [Package; 3] = [
    Package { name: "ecep-proto-fuzz", folder: "proto/fuzz", runs: "-runs=500000" },
    // Each run reads two archives through all doors.
    Package { name: "ecep-archive-fuzz", folder: "proto/archive/fuzz", runs: "-runs=50000" },
    // Each run is a whole history of a realm.
    Package { name: "ecep-router-core-fuzz", folder: "router/core/fuzz", runs: "-runs=50000" },
];

/// Without this feature of theirs, no target is built.
const FEATURE: &str = "libfuzzer";

/// The profile that they are built with, which is a folder as well.
const PROFILE: &str = "fuzz";

/// What `cargo fuzz` passes to the compiler, without the sanitizers, which only the nightly has. Everything that the targets
/// are made from is built with it, so they have a target folder of their own.
const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// In every run, the same ones each time.
const SMOKE: &str = "-seed=1";

/// In a long run, others each time.
const LONG: &str = "-max_total_time=60";

/// Memory is bounded for any bytes, and so is time.
const BOUNDS: [&str; 3] = ["-rss_limit_mb=512", "-timeout=10", "-verbosity=0"];

/// The messages that the search starts from: this file holds each of them in each codec.
const SNAPSHOT: &str = "proto/tests/wire/snapshots/wire__frames__messages.snap";

/// Builds the targets and runs each of them.
pub(super) fn parts(all: bool) -> Result<Vec<Part>> {
    let folder = workspace().join("target/fuzz");
    let seeds = write_seeds(&folder.join("seeds"))?;
    let host = shell::run("rustc", ["--print", "host-tuple"])?.trim().to_owned();
    let mut build = Command::new(env!("CARGO"));
    // With a target named, what runs while building is not instrumented.
    build.args(["build", "--quiet", "--profile", PROFILE, "--locked", "--target", &host]);
    for Package { name, .. } in PACKAGES {
        build.args(["--package", name, "--features", &format!("{name}/{FEATURE}")]);
    }
    build.arg("--target-dir").arg(&folder).current_dir(workspace()).env("RUSTFLAGS", INSTRUMENTATION);
    let mut parts = vec![Part { name: "fuzz: build".into(), command: build, counts_as_one: true }];
    for package in PACKAGES {
        for target in targets(&workspace().join(package.folder))? {
            let mut command = Command::new(folder.join(&host).join(PROFILE).join(&target));
            command.args(BOUNDS).args(if all { vec![LONG] } else { vec![package.runs, SMOKE] });
            command.arg(format!("-seed_inputs=@{}", seeds.display()));
            command.arg(format!("-artifact_prefix={}/", folder.display()));
            parts.push(Part { name: format!("fuzz: {target}"), command, counts_as_one: true });
        }
    }
    Ok(parts)
}

/// A file each.
fn targets(package: &Path) -> Result<Vec<String>> {
    let folder = package.join("targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut names: Vec<String> =
        paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Writes the messages to start from, and a list of these files.
fn write_seeds(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let snapshot = workspace().join(SNAPSHOT);
    let text =
        fs::read_to_string(&snapshot).with_context(|| format!("cannot read {}", snapshot.display()))?;
    let messages = messages(&text);
    let messages =
        messages.with_context(|| format!("{} has a line that is no message", snapshot.display()))?;
    let mut files = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let file = folder.join(number.to_string());
        fs::write(&file, message).with_context(|| format!("cannot write {}", file.display()))?;
        files.push(file.display().to_string());
    }
    let list = folder.join("list");
    fs::write(&list, files.join(",")).with_context(|| format!("cannot write {}", list.display()))?;
    Ok(list)
}

/// The messages of the snapshot: JSON as it is, the other codecs in hexadecimal.
fn messages(snapshot: &str) -> Option<Vec<Vec<u8>>> {
    let lines = snapshot.lines().filter_map(|line| line.strip_prefix("  "));
    lines.map(|line| if line.starts_with('[') { Some(line.into()) } else { unhex(line) }).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The search starts from real messages: another format of the snapshot must not leave it with none.
    #[test]
    fn the_snapshot_has_messages() {
        let snapshot = fs::read_to_string(workspace().join(SNAPSHOT)).expect("it can be read");
        let messages = messages(&snapshot).expect("each line is a message");
        assert!(messages.len() > 70 && messages[0].starts_with(b"[1,"), "{messages:?}");
    }
}

//! A CRIU that works on this kernel: the system's own where it passes a trial, else a newer one that is unpacked beside
//! the system, with its own libraries, so that nothing installed is upgraded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cache_dir, make_empty, progress, require_root, unpack_packages};
use crate::shell;

/// The Debian suite whose CRIU (4.2) handles kernels from 6.16 on; 4.1 dumps no TCP socket there.
const SUITE: &str = "forky";

const APT: &str = "/etc/apt";

/// Dumps and restores a process that listens on a socket, in a network of its own: `criu check` also passes on machines
/// where a dump fails. Its argument is the program to try.
const TRIAL: &str = r#"
set -eu
# What a terminal or an editor left open here is not to be dumped.
for descriptor in /proc/$$/fd/*; do
    number=${descriptor##*/}
    if [ "$number" -gt 2 ]; then exec {number}>&-; fi
done
folder=$(mktemp -d)
ip link set lo up
setsid busybox nc -l -p 7777 </dev/null >/dev/null 2>&1 &
process=$!
trap 'kill -KILL $process 2>/dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
    grep -q ':1E61 .* 0A ' /proc/net/tcp /proc/net/tcp6 && break
    sleep 0.02
done
"$1" dump --tree $process --images-dir "$folder" --log-file dump.log --tcp-established >&2 || { tail -n 5 "$folder/dump.log" >&2; exit 1; }
"$1" restore --restore-detached --images-dir "$folder" --log-file restore.log --tcp-established >&2 || { tail -n 5 "$folder/restore.log" >&2; exit 1; }
kill -0 $process
"#;

pub(super) fn own_folder() -> Option<PathBuf> {
    let folder = cache_dir().join("criu/bin");
    folder.join("criu").is_file().then_some(folder)
}

pub(super) fn make_ready() -> Result<()> {
    let kernel =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's version")?;
    let home = cache_dir().join("criu");
    // One trial for each kernel: that is what decides whether a CRIU works.
    let note = home.join("works-on");
    if fs::read_to_string(&note).is_ok_and(|text| text == kernel)
        && (own_folder().is_some() || shell::is_on_path("criu"))
    {
        return Ok(());
    }
    require_root("set-up must try CRIU")?;
    make_empty(&home)?;
    if !shell::is_on_path("criu") || try_out(Path::new("criu")).is_err() {
        progress("unpacking CRIU and its libraries beside the system");
        unpack(&home)?;
        try_out(&home.join("bin/criu"))
            .inspect_err(|_| {
                // The engine must not find a CRIU that does not work.
                let _ = fs::remove_dir_all(home.join("bin"));
            })
            .context("the unpacked CRIU fails its trial")?;
    }
    fs::write(note, kernel)?;
    Ok(())
}

fn try_out(program: &Path) -> Result<()> {
    let mut command = Command::new("unshare");
    command.args(["--net", "bash", "-c", TRIAL, "trial"]).arg(program);
    shell::output(&mut command).map(drop)
}

/// Downloads with a state of apt's own, so that the machine's package lists do not learn of the other suite.
fn unpack(home: &Path) -> Result<()> {
    if !shell::is_on_path("apt-get") {
        bail!("this system has no apt-get; install CRIU 4.2 or newer yourself");
    }
    let apt = home.join("apt");
    for folder in ["sources", "lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    fs::write(apt.join("sources/criu.sources"), one_source(&machine_sources()?)?)?;
    fs::write(apt.join("status"), "")?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq");
        for (option, value) in [
            ("Dir::Etc::SourceList", PathBuf::from("/dev/null")),
            ("Dir::Etc::SourceParts", apt.join("sources")),
            ("Dir::State::Lists", apt.join("lists")),
            ("Dir::State::status", apt.join("status")),
            ("Dir::Cache", apt.join("cache")),
        ] {
            command.arg("-o").arg(format!("{option}={}", value.display()));
        }
        command.args(["-o", "APT::Install-Recommends=false", "-o", "Acquire::Languages=none"]);
        command.args(["-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
        shell::show(command.args(arguments))
    };
    apt_get(&["update"]).context("cannot fetch the package lists; is there a network?")?;
    apt_get(&["install", "--yes", "--download-only", "criu"])?;
    let (root, bin) = (home.join("root"), home.join("bin"));
    for folder in [&root, &bin] {
        fs::create_dir_all(folder)?;
    }
    unpack_packages(&apt.join("cache/archives"), &root)?;
    write_wrapper(&root, &bin.join("criu"))?;
    fs::remove_dir_all(apt)?;
    Ok(())
}

/// The program needs the C library that it was built with, and the loader that belongs to that.
fn write_wrapper(root: &Path, wrapper: &Path) -> Result<()> {
    let loader = find_loader(&root.join("usr/lib")).context("the unpacked C library has no loader")?;
    let libraries = loader.parent().context("the loader has no folder")?;
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        root.join("usr/sbin/criu").display()
    );
    fs::write(wrapper, script)?;
    fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn find_loader(libraries: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(libraries).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
}

/// The machine's package sources, in both of apt's notations: deb822 stanzas, and one-line entries turned into such.
fn machine_sources() -> Result<String> {
    let mut all = String::new();
    let listed = fs::read_dir(APT.to_owned() + "/sources.list.d").into_iter().flatten();
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
    for path in paths.chain([Path::new(APT).join("sources.list")]) {
        let read = || fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => all += &read()?,
            Some("list") if path.exists() => all.extend(read()?.lines().filter_map(stanza)),
            _ => {}
        }
        all.push_str("\n\n");
    }
    Ok(all)
}

/// `deb [signed-by=KEY] URI SUITE COMPONENT…` as a deb822 stanza (sources.list(5)); none for comments and other lines.
fn stanza(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let (uri, rest) = rest.trim().split_once(' ')?;
    let (suite, components) = rest.trim().split_once(' ')?;
    let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let key = key.map(|key| format!("Signed-By: {key}\n")).unwrap_or_default();
    Some(format!("URIs: {uri}\nSuites: {suite}\nComponents: {components}\n{key}\n"))
}

/// From the machine's package sources (deb822): the stanza of its Debian mirror, turned to [`SUITE`].
///
/// # Errors
/// No stanza looks like a Debian mirror.
fn one_source(sources: &str) -> Result<String> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    };
    let stanza = sources
        .split("\n\n")
        .find(|stanza| {
            let uris = field(stanza, "URIs").unwrap_or_default();
            uris.split_whitespace().any(|uri| uri.trim_end_matches('/').ends_with("/debian"))
                && field(stanza, "Components")
                    .is_some_and(|names| names.split_whitespace().any(|name| name == "main"))
        })
        .with_context(|| format!("nothing in {APT} names a Debian mirror to fetch CRIU from"))?;
    let uris = field(stanza, "URIs").unwrap_or_default();
    let key = field(stanza, "Signed-By").map(|key| format!("Signed-By: {key}\n")).unwrap_or_default();
    Ok(format!("Types: deb\nURIs: {uris}\nSuites: {SUITE}\nComponents: main\n{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recipe starts from whatever the machine's administrator wrote, comments and security mirror included.
    #[test]
    fn takes_the_debian_mirror_and_its_key() {
        let sources = "Types: deb\nURIs: http://mirror.test/other\nSuites: x\nComponents: main\n\n\
                       Types: deb\n# an older mirror\nURIs: http://mirror.test/debian-security\nSuites: x-security\n\
                       Components: main\n\n\
                       Types: deb\n# near us\nURIs: http://mirror.test/debian/\nSuites: x x-updates\n\
                       Components: main contrib\nSigned-By: /keys/debian.gpg\n";
        let expected = "Types: deb\nURIs: http://mirror.test/debian/\nSuites: forky\nComponents: main\n\
                        Signed-By: /keys/debian.gpg\n";
        assert_eq!(one_source(sources).unwrap(), expected);
    }

    /// Machines that were upgraded over the years still have the old notation.
    #[test]
    fn understands_one_line_entries() {
        let list = "# deb http://mirror.test/old/debian x main\ndeb-src http://mirror.test/debian x main\n\
                    deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.test/debian x main contrib\n\
                    deb http://mirror.test/debian-security x-security main\n";
        let sources: String = list.lines().filter_map(stanza).collect();
        assert!(one_source(&sources).unwrap().contains("URIs: http://mirror.test/debian\n"), "{sources}");
        assert!(one_source(&sources).unwrap().ends_with("Signed-By: /keys/debian.gpg\n"), "{sources}");
    }

    /// On another distribution set-up must say what it misses, not fetch from a foreign mirror.
    #[test]
    fn refuses_where_there_is_no_debian_mirror() {
        let error =
            one_source("Types: deb\nURIs: http://mirror.test/ubuntu\nComponents: main\n").unwrap_err();
        assert!(error.to_string().contains("names a Debian mirror"), "{error}");
    }
}

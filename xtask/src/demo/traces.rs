//! What a lab could leave on the machine, looked for independently of what takes it down.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::lab::{self, Lab};
use crate::shell;

/// What the machine had before: its own Docker engine and what it runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Host {
    engine: Option<String>,
    containers: Option<String>,
    bridge: Option<String>,
}

const HOST_ENGINE: &str = "/var/run/docker.sock";

impl Host {
    /// Looks at the machine's own engine, if it has one.
    pub fn look() -> Self {
        let containers = Path::new(HOST_ENGINE).exists().then(|| {
            let host = format!("unix://{HOST_ENGINE}");
            shell::run("docker", ["--host", &host, "ps", "--all", "--format", "{{.ID}} {{.State}}"])
                .unwrap_or_else(|error| format!("{error:#}"))
        });
        Self {
            engine: fs::read_to_string("/var/run/docker.pid").ok(),
            containers,
            bridge: shell::run("ip", ["-o", "-4", "address", "show", "docker0"]).ok(),
        }
    }
}

/// What a lab's parts are recognised by: its name, and that of its wires, which are numbered as its network.
pub fn words(lab: &Lab) -> Vec<String> {
    let (name, data) = (lab.name(), lab.data_dir().display());
    let number = lab.cloud_address().octets()[2];
    // With what follows in the lists below, so that lab "a" is not found in what belongs to lab "ab".
    vec![
        format!("ecep-{name}-"),
        format!("ecep-lab-{name} "),
        format!("ecep-lab/{name} "),
        format!("ecep-lab/{name}/"),
        format!("{data} "),
        format!("{data}/"),
        format!("ecepbr{number}: "),
        format!("ecep{number}v"),
    ]
}

/// Fails if anything bears one of the words, or if the host's own engine has changed.
///
/// # Errors
/// Something is left; the message says what.
pub fn expect_none(words: &[String], before: &Host) -> Result<((), String)> {
    let left = find(words)?;
    ensure!(left.is_empty(), "left behind: {}", left.into_iter().collect::<Vec<_>>().join("; "));
    let after = Host::look();
    ensure!(after == *before, "this machine's own engine was {before:?} and is {after:?}");
    Ok((
        (),
        "no process, namespace, mount, bridge, firewall rule, control group or file; this machine's own engine is as it was"
            .into(),
    ))
}

/// Everything on this machine that bears one of the words.
fn find(words: &[String]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut look = |kind: &str, text: &str| {
        let lines = text.lines().map(|line| format!("{line} "));
        let ours = lines.filter(|line| words.iter().any(|word| line.contains(word.as_str())));
        found.extend(ours.map(|line| format!("{kind} {line}")));
    };
    look("network namespace", &shell::run("ip", ["netns", "list"])?);
    look("network interface", &shell::run("ip", ["-o", "link", "show"])?);
    look("firewall rule", &shell::run("iptables-save", [""; 0])?);
    look("mount", &fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?);
    look("control group", &lab::paths_below(Path::new("/sys/fs/cgroup"), 2));
    look("file", &lab::paths_below(Path::new("/run/ecep-lab"), 1));
    look("file", &lab::paths_below(&lab::default_data_root(), 1));
    let this = std::process::id().to_string();
    for entry in fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
        let (pid, path) = (entry.file_name(), entry.path());
        // What has ended and only waits to be reaped has no program any more.
        if pid == this.as_str() || fs::read_link(path.join("exe")).is_err() {
            continue;
        }
        for file in ["cmdline", "environ", "cgroup"] {
            let text =
                String::from_utf8_lossy(&fs::read(path.join(file)).unwrap_or_default()).replace('\0', " ");
            if words.iter().any(|word| text.contains(word.as_str())) {
                look("process", &format!("{} {}", pid.to_string_lossy(), words[0]));
            }
        }
    }
    Ok(found)
}

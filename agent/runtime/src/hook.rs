//! The OCI hooks that the runtime puts around the engine's own while a container is restored: they run after the
//! container's network namespace was made and before any socket or process is back in it (the engine's hook in between
//! connects it). See the runtime specification, "POSIX-platform Hooks".

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;

use crate::netlink;
use crate::network;

/// The first argument by which the program knows that it is called as a hook.
pub const HOOK_COMMAND: &str = "ecep-hook";

/// The state that a runtime sends to a hook is far smaller.
const MAX_STATE: u64 = 1024 * 1024;

/// `arp_ignore`: the network answers no ARP request, so no neighbour learns that the address is here
/// (Linux, ip-sysctl).
const SILENT: &str = "8";

const ANSWERING: &str = "0";

const SYSCTLS: &str = "/proc/sys";

/// Which hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Before the engine's hook.
    Before {
        /// Addresses that sockets need before the engine connects the container.
        addresses: Vec<Ipv4Addr>,
        /// Whether the address must stay unknown to neighbours until the cable is cut.
        quiet: bool,
    },
    /// After the container was connected.
    After {
        /// Whether to cut it off.
        cut: bool,
    },
}

impl Step {
    /// The hook's arguments, with the program's name.
    pub fn to_arguments(&self) -> Vec<String> {
        let mut words = vec!["ecep-runtime".to_owned(), HOOK_COMMAND.to_owned()];
        match self {
            Self::Before { addresses, quiet } => {
                words.push("before".into());
                words.extend(quiet.then(|| "quiet".to_owned()));
                words.extend(addresses.iter().map(ToString::to_string));
            }
            Self::After { cut } => {
                words.push("after".into());
                words.extend(cut.then(|| "cut".to_owned()));
            }
        }
        words
    }

    /// Understands the arguments after [`HOOK_COMMAND`].
    ///
    /// # Errors
    /// This program never writes such arguments.
    pub fn parse(arguments: &[OsString]) -> io::Result<Self> {
        let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
        let bad = || io::Error::other(format!("{HOOK_COMMAND} does not understand {arguments:?}"));
        match words.split_first() {
            Some((&"before", rest)) => {
                let quiet = rest.first() == Some(&"quiet");
                let rest = &rest[usize::from(quiet)..];
                let addresses: io::Result<Vec<Ipv4Addr>> =
                    rest.iter().map(|word| word.parse().map_err(|_| bad())).collect();
                Ok(Self::Before { addresses: addresses?, quiet })
            }
            Some((&"after", rest)) => Ok(Self::After { cut: rest == ["cut"] }),
            _ => Err(bad()),
        }
    }

    /// Does the step for the container whose first process is `pid`; `configuration` is its OCI configuration.
    ///
    /// # Errors
    /// The network is gone, or the system refuses.
    pub fn run(&self, pid: i32, configuration: &Value) -> io::Result<()> {
        match self {
            Self::Before { addresses, quiet } => netlink::in_network_of(pid, || {
                set_sysctls(configuration)?;
                netlink::set_up(netlink::LOOPBACK, true)?;
                if *quiet {
                    set_arp(SILENT)?;
                }
                for address in addresses {
                    netlink::set_loopback_address(*address, true)?;
                }
                if addresses.is_empty() { Ok(()) } else { netlink::set_loopback_route(true) }
            }),
            Self::After { cut } => {
                if *cut {
                    network::cut(pid).map_err(io::Error::other)?;
                }
                netlink::in_network_of(pid, || set_arp(ANSWERING))
            }
        }
    }
}

/// What [`Step::Before`] gave loopback goes again, once the engine has connected the container.
///
/// # Errors
/// The network is gone, or the system refuses.
pub fn take_back(pid: i32, addresses: &[Ipv4Addr]) -> io::Result<()> {
    netlink::in_network_of(pid, || {
        netlink::set_loopback_route(false)?;
        addresses.iter().try_for_each(|address| netlink::set_loopback_address(*address, false))
    })
}

/// Runs as a hook: the container's state comes on standard input.
///
/// # Errors
/// The restore must fail.
pub fn main(arguments: &[OsString]) -> io::Result<()> {
    let step = Step::parse(arguments)?;
    let mut state = Vec::new();
    io::stdin().take(MAX_STATE).read_to_end(&mut state)?;
    let state: Value = serde_json::from_slice(&state)?;
    let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let pid = pid.ok_or_else(|| io::Error::other("the state that the runtime sent names no process"))?;
    let bundle = state["bundle"].as_str().map(Path::new);
    let bundle = bundle.ok_or_else(|| io::Error::other("the state that the runtime sent names no bundle"))?;
    step.run(pid, &serde_json::from_slice(&fs::read(bundle.join("config.json"))?)?)
}

/// Whether these are a hook's arguments.
pub fn is_hook(first: Option<&OsString>) -> bool {
    first.is_some_and(|word| word == OsStr::new(HOOK_COMMAND))
}

/// A restored container gets an empty network, and runc sets parameters only of fresh ones. (Docker lets every container
/// bind low ports by such a parameter.)
fn set_sysctls(configuration: &Value) -> io::Result<()> {
    for (name, value) in configuration["linux"]["sysctl"].as_object().into_iter().flatten() {
        let is_plain = !name.contains('/') && name.split('.').all(|part| !part.is_empty());
        if let Some(value) = value.as_str().filter(|_| name.starts_with("net.") && is_plain) {
            fs::write(Path::new(SYSCTLS).join(name.replace('.', "/")), value)?;
        }
    }
    Ok(())
}

/// /proc/sys/net shows the network of the thread that opens it.
fn set_arp(mode: &str) -> io::Result<()> {
    fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime writes the words into the bundle, and the same program reads them back.
    #[test]
    fn steps_survive_the_command_line() {
        let address = Ipv4Addr::new(10, 201, 0, 5);
        for step in [
            Step::Before { addresses: vec![], quiet: false },
            Step::Before { addresses: vec![address, address], quiet: true },
            Step::After { cut: true },
            Step::After { cut: false },
        ] {
            let words: Vec<_> = step.to_arguments().into_iter().map(OsString::from).collect();
            assert!(is_hook(words.get(1)));
            assert_eq!(Step::parse(&words[2..]).unwrap(), step);
        }
        Step::parse(&["before".into(), "here".into()]).unwrap_err();
        Step::parse(&[]).unwrap_err();
    }
}

//! The network of a container that is to be restored, made before CRIU is at it: an empty one, held by a thread of this program and
//! connected by the engine's own hook where the engine brings one. It takes longer than all that CRIU does, so it is done while the
//! container may still run elsewhere.
//!
//! runc hands a network namespace that is given by a path to CRIU (`--inherit-fd` for [`GIVEN`]), which puts the sockets into it.

use std::{
    fs,
    io::{self, Write},
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};
use serde_json::{Value, json};

use crate::{netlink, network};

/// CRIU's name for a network that is there before the restore. runc's own word.
pub const GIVEN: &str = "extRootNetNS";

/// `arp_ignore`: the network answers no ARP request, so no neighbour learns that the address is here
/// (Linux, ip-sysctl).
const SILENT: &str = "8";

const ANSWERING: &str = "0";

const SYSCTLS: &str = "/proc/sys";

/// How the network is to be before anything is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Whether it is cut off, and unknown to its neighbours from the first moment on.
    pub cut: bool,
    /// Addresses that sockets need before the engine connects the container. Only where no hook does that.
    pub addresses: &'a [Ipv4Addr],
}

/// An empty network that is there as long as this is.
#[derive(Debug)]
pub struct Network {
    thread: i32,
    /// Its end ends the thread.
    _held: mpsc::Sender<()>,
}

impl Network {
    /// Makes one.
    ///
    /// # Errors
    /// The system refuses.
    pub fn make() -> io::Result<Self> {
        let (made, told) = mpsc::channel();
        let (held, end) = mpsc::channel();
        thread::spawn(move || {
            let _ = made.send(leave_network().map(|()| gettid().as_raw_nonzero().get()));
            // Until the other end is dropped.
            let _ = end.recv();
        });
        let thread = told.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { thread, _held: held })
    }

    /// Where it can be opened.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.thread).into()
    }

    /// Prepares it as wished, and has the engine's hook connect it. `configuration` is the container's.
    ///
    /// # Errors
    /// The hook fails, or the system refuses.
    pub fn connect(
        &self,
        wish: Wish<'_>,
        configuration: &Value,
        hook: Option<&Value>,
        state: &Value,
    ) -> io::Result<()> {
        netlink::in_network_of(self.thread, || {
            set_sysctls(configuration)?;
            netlink::set_up(netlink::LOOPBACK, true)?;
            if wish.cut {
                set_arp(SILENT)?;
            }
            for address in wish.addresses {
                netlink::set_loopback_address(*address, true)?;
            }
            if wish.addresses.is_empty() { Ok(()) } else { netlink::set_loopback_route(true) }
        })?;
        let Some(hook) = hook else { return Ok(()) };
        let mut state = state.clone();
        state["pid"] = json!(self.thread);
        run_hook(hook, &state)?;
        connected(self.thread, wish.cut)
    }
}

/// After the container was connected: cuts it off, if wished, and lets it answer its neighbours.
///
/// # Errors
/// The network is gone, or the system refuses.
pub fn connected(pid: i32, cut: bool) -> io::Result<()> {
    if cut {
        network::cut(pid).map_err(io::Error::other)?;
    }
    netlink::in_network_of(pid, || set_arp(ANSWERING))
}

/// What [`Wish::addresses`] gave loopback goes again, once the engine has connected the container.
///
/// # Errors
/// The network is gone, or the system refuses.
pub fn take_back(pid: i32, addresses: &[Ipv4Addr]) -> io::Result<()> {
    netlink::in_network_of(pid, || {
        netlink::set_loopback_route(false)?;
        addresses.iter().try_for_each(|address| netlink::set_loopback_address(*address, false))
    })
}

/// The calling thread gets an empty network of its own.
fn leave_network() -> io::Result<()> {
    #[expect(unsafe_code, reason = "it is so only for a table of files, which stays shared here")]
    // SAFETY: no flag but NEWNET, which concerns no memory and no file descriptor.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Runs a hook as the runtime specification says ("POSIX-platform Hooks"): the container's state comes on standard input.
fn run_hook(hook: &Value, state: &Value) -> io::Result<()> {
    let words = |name: &str| hook[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts =
        |name: &str| words(name).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let path = hook["path"].as_str().unwrap_or_default();
    let mut arguments = texts("args").into_iter();
    let mut command = Command::new(path);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env_clear();
    command.envs(texts("env").iter().filter_map(|pair| pair.split_once('=')));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = |why: String| io::Error::other(format!("the engine's network hook {path}: {why}"));
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read it says itself why.
        let _ = input.write_all(state.to_string().as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

/// runc sets parameters only of networks that it makes. (Docker lets every container bind low ports by such a parameter.)
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

    /// A hook gets the container's state, its own name and its own environment, and its failure is told with its words.
    #[test]
    fn a_hook_runs_as_the_specification_says() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let script = format!("echo \"$0 $1 $KEY $(cat)\" > {}", out.display());
        let hook =
            json!({"path": "/bin/sh", "args": ["sh", "-c", script, "name", "word"], "env": ["KEY=value"]});
        run_hook(&hook, &json!({"pid": 7})).unwrap();
        assert_eq!(fs::read_to_string(out).unwrap(), "name word value {\"pid\":7}\n");
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 3"]});
        let error = run_hook(&hook, &json!({})).unwrap_err().to_string();
        assert!(error.contains("why") && error.contains('3'), "{error}");
    }

    /// The network is another one than ours, can be opened by others, and ends with its holder.
    #[test]
    fn a_network_is_there_as_long_as_it_is_held() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let network = Network::make().unwrap();
        let path = network.path();
        assert_ne!(fs::read_link(&path).unwrap(), fs::read_link("/proc/self/ns/net").unwrap());
        network
            .connect(Wish { cut: false, addresses: &[[10, 9, 8, 7].into()] }, &json!({}), None, &json!({}))
            .unwrap();
        drop(network);
        while path.exists() {
            thread::yield_now();
        }
    }
}

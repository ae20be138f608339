//! The routers that are measured: started on their core, each with one open realm, and stopped.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::cases::Transport;
use super::cores::Cores;
use super::listener;
use crate::lab::Process;
use crate::setup::Peers;

/// How long a router may take until it listens. Python takes seconds.
const START: Duration = Duration::from_secs(60);

/// How long it may take to end.
const STOP: Duration = Duration::from_secs(10);

/// A router to measure.
#[derive(Debug, Clone)]
pub(super) enum Recipe {
    /// A build of our own router.
    Ours {
        /// What to call it.
        name: String,
        /// The program.
        program: PathBuf,
    },
    /// crossbar, as fast as it gets: one worker, nothing logged, permissions cached, nobody pinged.
    Crossbar(Peers),
    /// NATS as it comes. It stands beside RawSocket.
    Nats(Peers),
    /// The same through the client library that programs have, which is the slower of the two.
    NatsThroughLibrary(Peers),
    /// A router that somebody else has started, at one URL or more.
    Elsewhere {
        /// What to call it.
        name: String,
        /// Where.
        urls: Vec<String>,
    },
}

impl Recipe {
    /// What it is called in tables.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ours { name, .. } | Self::Elsewhere { name, .. } => name,
            Self::Crossbar(_) => CROSSBAR,
            Self::Nats(_) => NATS,
            Self::NatsThroughLibrary(_) => NATS_LIBRARY,
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(&self, folder: &Path, cores: &Cores) -> Result<Contestant> {
        match self {
            Self::Ours { name, program } => Contestant::ours(name, program, folder, cores),
            Self::Crossbar(peers) => Contestant::crossbar(peers, folder, cores),
            Self::Nats(peers) => Contestant::nats(self.name(), peers, folder, cores),
            Self::NatsThroughLibrary(peers) => {
                let contestant = Contestant::nats(self.name(), peers, folder, cores)?;
                Ok(Contestant { is_through_library: true, ..contestant })
            }
            Self::Elsewhere { name, urls } => Contestant::elsewhere(name, urls, cores),
        }
    }
}

/// What goals are measured against.
pub(super) const CROSSBAR: &str = "crossbar";
/// And that.
pub(super) const NATS: &str = "nats";
/// And the same by the library that its programs have, where the generator is the limit.
pub(super) const NATS_LIBRARY: &str = "async-nats";

/// As open as the others are.
const OUR_CONFIG: &str = r#"
[[realm]]
name = "realm1"
anonymous_role = "anonymous"
[[realm.role]]
name = "anonymous"
rule = [{ uri = "", match = "prefix", allow = ["call", "register", "publish", "subscribe"] }]
[[listen]]
kind = "websocket"
address = "127.0.0.1:0"
[[listen]]
kind = "rawsocket"
address = "127.0.0.1:0"
"#;

/// A router that listens.
#[derive(Debug)]
pub(super) struct Contestant {
    /// The process whose cost is told, if it is known.
    pub(super) process: Option<u32>,
    urls: Vec<(Transport, String)>,
    /// The generator takes the client library.
    pub(super) is_through_library: bool,
    /// Ours to stop.
    started: Option<Process>,
}

impl Contestant {
    /// Where it speaks a transport.
    pub(super) fn url(&self, transport: Transport) -> Option<&str> {
        self.urls.iter().find(|(spoken, _)| *spoken == transport).map(|(_, url)| url.as_str())
    }

    fn ours(name: &str, program: &Path, folder: &Path, cores: &Cores) -> Result<Self> {
        let socket = folder.join(format!("{name}.sock"));
        let with_unix = Self::ours_at(name, program, folder, cores, Some(&socket));
        // A build from before Unix sockets refuses one in its configuration.
        with_unix.or_else(|_| Self::ours_at(name, program, folder, cores, None))
    }

    fn ours_at(
        name: &str,
        program: &Path,
        folder: &Path,
        cores: &Cores,
        unix: Option<&Path>,
    ) -> Result<Self> {
        let mut config = OUR_CONFIG.to_owned();
        if let Some(socket) = unix {
            config.push_str(&format!("[[listen]]\nkind = \"rawsocket\"\naddress = {socket:?}\n"));
        }
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, config)?;
        let mut command = cores.command(program);
        command.args(["run", "--config"]).arg(&file).env("RUST_LOG", "warn");
        let (mut process, log) = start(name, command, folder, cores)?;
        let told = || fs::read_to_string(&log).unwrap_or_default();
        // All lines come at once, the one for RawSocket not first.
        process.wait_until("listening", START, || told().contains("rs://"))?;
        let text = told();
        let listening = text.lines().filter_map(|line| line.strip_prefix("listening ")?.split_once(' '));
        let listening = listening.filter(|(_, url)| !url.contains("unix:"));
        let mut urls: Vec<_> =
            listening.filter_map(|(_, url)| Some((transport(url)?, url.to_owned()))).collect();
        urls.extend(unix.map(|socket| (Transport::Unix, format!("unix://{}", socket.display()))));
        Ok(Self { process: Some(process.pid()), urls, is_through_library: false, started: Some(process) })
    }

    fn crossbar(peers: &Peers, folder: &Path, cores: &Cores) -> Result<Self> {
        let [websocket, rawsocket] = free_ports()?;
        let endpoint =
            |port| json!({ "type": "tcp", "interface": "127.0.0.1", "port": port, "backlog": 1024 });
        let place = folder.join("crossbar");
        let socket = place.join("sock");
        let serializers = ["json", "msgpack", "cbor"];
        let everything = json!({ "call": true, "register": true, "publish": true, "subscribe": true });
        let permission = json!({ "uri": "", "match": "prefix", "allow": everything, "cache": true });
        let config = json!({
            "version": 2,
            "controller": {},
            "workers": [{
                "type": "router",
                "realms": [{ "name": "realm1", "roles": [{ "name": "anonymous", "permissions": [permission] }] }],
                "transports": [
                    {
                        "type": "websocket", "endpoint": endpoint(websocket), "serializers": serializers,
                        "options": { "auto_ping_interval": 0 },
                    },
                    { "type": "rawsocket", "endpoint": endpoint(rawsocket), "serializers": serializers },
                    {
                        "type": "rawsocket", "serializers": serializers,
                        "endpoint": { "type": "unix", "path": socket, "backlog": 1024 },
                    },
                ],
            }],
        });
        fs::create_dir_all(&place)?;
        fs::write(place.join("config.json"), config.to_string())?;
        let mut command = cores.command(&peers.crossbar);
        // Its native code for WebSocket. Python's own JSON module is the fastest that it still works with.
        command.env("AUTOBAHN_USE_NVX", "1");
        command.args(["start", "--loglevel", "none", "--config", "config.json", "--cbdir"]).arg(&place);
        let (mut process, _) = start(CROSSBAR, command, folder, cores)?;
        let listens =
            || [websocket, rawsocket].into_iter().all(is_open) && UnixStream::connect(&socket).is_ok();
        process.wait_until("listening", START, listens)?;
        let urls = vec![
            (Transport::WebSocket, format!("ws://127.0.0.1:{websocket}/")),
            (Transport::RawSocket, format!("rs://127.0.0.1:{rawsocket}")),
            (Transport::Unix, format!("unix://{}", socket.display())),
        ];
        Ok(Self { process: Some(process.pid()), urls, is_through_library: false, started: Some(process) })
    }

    fn nats(name: &str, peers: &Peers, folder: &Path, cores: &Cores) -> Result<Self> {
        let [port] = free_ports()?;
        let mut command = cores.command(&peers.nats);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        let (mut process, _) = start(name, command, folder, cores)?;
        process.wait_until("listening", START, || is_open(port))?;
        let urls = vec![(Transport::RawSocket, format!("nats://127.0.0.1:{port}"))];
        Ok(Self { process: Some(process.pid()), urls, is_through_library: false, started: Some(process) })
    }

    fn elsewhere(name: &str, urls: &[String], cores: &Cores) -> Result<Self> {
        let known = |url: &String| {
            let transport = transport(url)
                .with_context(|| format!("{url} is not ws://, rs://, tcp://, unix:// or nats://"));
            Ok((transport?, url.clone()))
        };
        let urls = urls.iter().map(known).collect::<Result<Vec<_>>>()?;
        let process = urls.iter().find_map(|(_, url)| listener::process(url));
        match process {
            Some(process) => cores.move_router(process)?,
            None => eprintln!("{name}: no process of this machine listens there, so its cost is not told"),
        }
        Ok(Self { process, urls, is_through_library: false, started: None })
    }

    /// Stops it, if it is ours to stop.
    ///
    /// # Errors
    /// It had to be killed.
    pub(super) fn stop(mut self) -> Result<()> {
        self.started.as_mut().map_or(Ok(()), |process| process.stop(STOP).map(drop))
    }
}

fn start(name: &str, command: Command, folder: &Path, cores: &Cores) -> Result<(Process, PathBuf)> {
    let log = folder.join(format!("{name}.log"));
    // Of an earlier one, which listened elsewhere.
    if log.exists() {
        fs::remove_file(&log)?;
    }
    let process = cores.with_router(|| Process::start(name, command, &log))?;
    Ok((process, log))
}

fn transport(url: &str) -> Option<Transport> {
    Some(match url.split_once("://")?.0 {
        "ws" => Transport::WebSocket,
        "rs" | "tcp" | "nats" => Transport::RawSocket,
        "unix" => Transport::Unix,
        _ => return None,
    })
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // Held until all are chosen, so that they differ.
    let held = (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
        ensure!(*port > 0, "no port is free");
    }
    Ok(ports)
}

fn is_open(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_secs(1)).is_ok()
}

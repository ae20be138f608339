//! The stock WAMP clients of `examples/`, run as a third party runs them: by their command lines, with an API token.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ecep_proto::api::migration::{MigrateContainer, MigrationView};
use ecep_proto::api::name::DeviceId;
use ecep_proto::api::operation::{OperationEvent, OperationReply};
use ecep_proto::api::stats::StatsEvent;
use ecep_proto::api::{ContainerMigrate, Procedure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Stack;
use crate::lab::Process;
use crate::{setup, shell, workspace};

/// How long a client waits for an answer; a pull on a busy machine takes longest.
const CALL_LIMIT: Duration = Duration::from_secs(180);

/// A client that prints telemetry ends by itself after this time at the latest.
const WATCH_LIMIT: Duration = Duration::from_secs(300);

/// An error as the stock client saw it: a WAMP ERROR, or the router's ABORT.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WampError {
    /// The error's URI.
    #[serde(rename = "error")]
    pub uri: String,
    /// Its first argument, or ABORT's message.
    pub message: String,
}

impl std::fmt::Display for WampError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.uri, self.message)
    }
}

impl std::error::Error for WampError {}

/// An order that ended well, and when what happened, in milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Timed<R> {
    /// When the client sent it.
    pub asked_at: u64,
    /// When the client heard of its end.
    pub ended_at: u64,
    /// What the device told on the way, the end as the last.
    pub events: Vec<OperationEvent>,
    /// The answer.
    pub answer: R,
}

/// Everything that is needed to join: what a person copies from the dashboard.
#[derive(Debug, Clone)]
pub struct Client {
    /// The router.
    pub url: String,
    /// The tenant's realm.
    pub realm: String,
    /// The token's id.
    pub authid: String,
    /// The file with the token's secret.
    pub ticket_file: PathBuf,
}

impl Client {
    /// Calls a device's procedure.
    ///
    /// # Errors
    /// [`WampError`], or the client itself fails.
    pub fn call<P: Procedure>(&self, device: &DeviceId, request: &P::Request) -> Result<P::Reply> {
        typed(self.call_raw(&P::on(device), &keywords(request)?)?)
    }

    /// Calls a procedure of the control plane. The errors are those of [`Client::call`].
    pub fn ask<P: Procedure>(&self, request: &P::Request) -> Result<P::Reply> {
        typed(self.call_raw(P::URI, &keywords(request)?)?)
    }

    /// Calls by URI with whatever keyword arguments. The errors are those of [`Client::call`].
    pub fn call_raw(&self, uri: &str, arguments: &Map<String, Value>) -> Result<Value> {
        let lines = self.run(CALL_LIMIT, &[], uri, arguments)?;
        lines.into_iter().next_back().context("the client printed nothing")
    }

    /// Gives an order and follows it to its end; answers the events on the way too. The errors are those of
    /// [`Client::call`].
    pub fn order<P>(
        &self,
        device: &DeviceId,
        request: &P::Request,
    ) -> Result<(OperationReply, Vec<OperationEvent>)>
    where
        P: Procedure<Reply = OperationReply>,
    {
        let mut lines = self.run(CALL_LIMIT, &["--follow"], &P::on(device), &keywords(request)?)?;
        let answer = lines.pop().context("the client printed nothing")?;
        let events = lines.into_iter().map(|mut line| typed(line["event"].take()));
        Ok((typed(answer)?, events.collect::<Result<_>>()?))
    }

    /// Gives an order to a device and follows it to its end, within `limit`, and tells when what happened. The errors are those of
    /// [`Client::call`].
    pub fn order_timed<P: Procedure>(
        &self,
        device: &DeviceId,
        request: &P::Request,
        limit: Duration,
    ) -> Result<Timed<P::Reply>> {
        self.follow_timed(&P::on(device), &keywords(request)?, limit)
    }

    /// Gives an order to the control plane that one device carries out (a deployment, an update), and follows that as
    /// [`Client::order_timed`] does.
    pub fn ask_timed<P: Procedure>(&self, request: &P::Request, limit: Duration) -> Result<Timed<P::Reply>> {
        self.follow_timed(P::URI, &keywords(request)?, limit)
    }

    fn follow_timed<R: DeserializeOwned>(
        &self,
        uri: &str,
        arguments: &Map<String, Value>,
        limit: Duration,
    ) -> Result<Timed<R>> {
        let mut lines = self.run(limit, &["--follow", "--times"], uri, arguments)?;
        let answer = typed(lines.pop().context("the client printed nothing")?)?;
        let mut lines = lines.into_iter();
        let times = lines.next().context("the client printed no times")?;
        let time = |name: &str| times[name].as_u64().with_context(|| format!("the client printed no {name}"));
        let events = lines.map(|mut line| typed(line["event"].take())).collect::<Result<_>>()?;
        Ok(Timed { asked_at: time("asked_at")?, ended_at: time("ended_at")?, events, answer })
    }

    /// Orders a move and follows it to its end, within `limit`: how it stood then. The errors are those of [`Client::call`].
    pub fn follow_move(&self, request: &MigrateContainer, limit: Duration) -> Result<MigrationView> {
        let mut lines = self.run(limit, &["--follow"], ContainerMigrate::URI, &keywords(request)?)?;
        lines.pop();
        let mut last = lines.pop().context("the client printed no event")?;
        typed(last["event"].take())
    }

    fn run(
        &self,
        limit: Duration,
        options: &[&str],
        uri: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Vec<Value>> {
        let mut command = Command::new(setup::python_interpreter());
        command.arg(workspace().join("examples/call-python/call.py")).args(self.options());
        command.args(["--timeout", &limit.as_secs().to_string()]).args(options).arg(uri);
        command.args(arguments.iter().map(|(name, value)| format!("{name}:={value}")));
        let output = command.stdin(Stdio::null()).output().context("cannot run the Python client")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().map(|line| serde_json::from_str(line).context("the client printed no JSON"));
        let mut lines: Vec<Value> = lines.collect::<Result<_>>()?;
        match output.status.code() {
            Some(0) => Ok(lines),
            Some(1) if !lines.is_empty() => {
                Err(typed::<WampError>(lines.swap_remove(lines.len() - 1))?.into())
            }
            _ => bail!(
                "the Python client failed ({}): {}",
                output.status,
                shell::last_lines(&String::from_utf8_lossy(&output.stderr))
            ),
        }
    }

    /// The options that all example clients share.
    pub fn options(&self) -> Vec<String> {
        [
            ("--url", self.url.clone()),
            ("--realm", self.realm.clone()),
            ("--authid", self.authid.clone()),
            ("--ticket-file", self.ticket_file.display().to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

fn keywords(request: &impl serde::Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(request)? {
        // What is left out travels as nothing, not as null: so does a person's call.
        Value::Object(map) => Ok(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => bail!("a request must be an object, not {other}"),
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T> {
    let text = value.to_string();
    serde_json::from_value(value).with_context(|| format!("not as the catalogue says: {text}"))
}

/// The languages that there is a telemetry client in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// autobahn; watches all devices.
    Python,
    /// Node.js; watches all devices.
    JavaScript,
    /// wamp_async; watches one device.
    Rust,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Python, Self::JavaScript, Self::Rust];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::Rust => "Rust",
        }
    }
}

/// A running telemetry client.
#[derive(Debug)]
pub struct Watch {
    process: Process,
    /// Lines printed before it was started: a name's log is added to.
    skip: usize,
}

impl Watch {
    /// Starts a telemetry client that goes on until it is dropped. `device` is what those watch that can only watch one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(stack: &Stack, language: Language, client: &Client, device: &DeviceId) -> Result<Self> {
        let (program, first) = match language {
            Language::Python => (setup::python_interpreter(), Some("examples/telemetry-python/telemetry.py")),
            Language::JavaScript => ("node".into(), Some("examples/telemetry-js/telemetry.mjs")),
            Language::Rust => (stack.programs().telemetry_rust.clone(), None),
        };
        let name = format!("telemetry-{}", language.name());
        let skip = events_in(&stack.lab().data_dir().join(format!("{name}.log"))).len();
        let process = stack.lab().spawn(&name, program, |command| {
            command.args(first.map(|path| workspace().join(path))).args(client.options());
            command.args(["--events", "1000000", "--timeout", &WATCH_LIMIT.as_secs().to_string()]);
            if language == Language::Rust {
                command.arg("--device").arg(device.as_str());
            }
        })?;
        Ok(Self { process, skip })
    }

    /// The events that it has printed so far.
    pub fn events(&self) -> Vec<StatsEvent> {
        events_in(self.process.log()).split_off(self.skip)
    }

    /// Waits until it has printed events that `wanted` finds something in.
    ///
    /// # Errors
    /// It ended, or did not within `limit`.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&[StatsEvent]) -> Option<T>,
    ) -> Result<T> {
        let (log, skip, mut found) = (self.process.log().to_owned(), self.skip, None);
        self.process.wait_until(what, limit, || {
            found = wanted(&events_in(&log)[skip..]);
            found.is_some()
        })?;
        found.context("the events are gone")
    }
}

/// A client's output is one JSON object a line; what it says on stderr is in the same file.
fn events_in(log: &Path) -> Vec<StatsEvent> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

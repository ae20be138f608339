//! Commands with a terminal of their own in running containers (the engine's `exec`). The engine cannot end one: that is done
//! by a signal to its process, which must be the one that the engine means.

use std::time::Duration;

use bollard::{models::ExecConfig, query_parameters::ResizeExecOptionsBuilder};
use ecep_proto::api::terminal::TerminalSize;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::sleep;

use super::{ASK_SECONDS, DockerEngine, WORK_SECONDS, failure::Doing, raw};
use crate::engine::{EngineError, TerminalIo};

/// A shell saves its history at a hang-up; what has not ended by then is killed.
const HANG_UP: Duration = Duration::from_secs(2);

impl DockerEngine {
    pub(super) async fn make_exec(
        &self,
        engine_id: &str,
        command: Vec<String>,
    ) -> Result<String, EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(true),
            env: Some(vec!["TERM=xterm-256color".to_owned()]),
            cmd: Some(command),
            ..ExecConfig::default()
        };
        let made = client.create_exec(engine_id, config).await;
        Ok(made.map_err(|error| self.told(&Doing::Container("open a terminal in"), error))?.id)
    }

    pub(super) async fn start_exec(
        &self,
        id: &str,
        size: TerminalSize,
    ) -> Result<Box<dyn TerminalIo>, EngineError> {
        let version = self.client(ASK_SECONDS).await?.client_version();
        let body = serde_json::json!({ "Detach": false, "Tty": true }).to_string().into_bytes();
        let path = format!("/v{version}/exec/{id}/start");
        let io = raw::upgrade(&self.socket, &path, body, Doing::Container("run the command in")).await?;
        // A command that has ended by now has no size.
        if let Err(error) = self.resize_exec(id, size).await {
            tracing::debug!(%error, "a terminal keeps its size");
        }
        Ok(Box::new(io))
    }

    pub(super) async fn resize_exec(&self, id: &str, size: TerminalSize) -> Result<(), EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        let options = ResizeExecOptionsBuilder::new().w(size.columns.into()).h(size.rows.into()).build();
        let resized = client.resize_exec(id, options).await;
        resized.map_err(|error| self.told(&Doing::Container("resize the terminal in"), error))
    }

    pub(super) async fn exec_exit(&self, id: &str) -> Result<Option<i64>, EngineError> {
        let told = self.inspect_exec(id).await?;
        Ok(if told.running == Some(true) { None } else { Some(told.exit_code.unwrap_or(-1)) })
    }

    pub(super) async fn end_exec(&self, id: &str) -> Result<(), EngineError> {
        let Some(pid) = self.exec_pid(id).await? else { return Ok(()) };
        let process = pidfd_open(pid, PidfdFlags::empty());
        // Still the same one after it was opened: what is signalled is what the engine means.
        if self.exec_pid(id).await? != Some(pid) {
            return Ok(());
        }
        let refused = |error| EngineError::Failed(format!("the terminal's command cannot be ended: {error}"));
        let process = process.map_err(refused)?;
        // The engine's container may be in a world of process numbers that is not this one.
        pidfd_send_signal(&process, Signal::HUP).map_err(refused)?;
        sleep(HANG_UP).await;
        match pidfd_send_signal(&process, Signal::KILL) {
            // It has ended.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    async fn exec_pid(&self, id: &str) -> Result<Option<Pid>, EngineError> {
        let told = self.inspect_exec(id).await?;
        let pid = told.pid.filter(|_| told.running == Some(true));
        Ok(pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)))
    }

    async fn inspect_exec(&self, id: &str) -> Result<bollard::models::ExecInspectResponse, EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        client
            .inspect_exec(id)
            .await
            .map_err(|error| self.told(&Doing::Container("look at the terminal in"), error))
    }
}

//! A device whose agent is the program itself, so that it can be killed as a power cut would: nothing of it goes on.

use std::process::{Child, Command, Stdio};

use crate::{channel::CloudChannel, cloud::Cloud, device::enrolled};

pub struct Program {
    pub cloud: Cloud,
    pub channel: CloudChannel,
    docker: String,
    data: tempfile::TempDir,
    child: Option<Child>,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Program {
    /// Waits until the agent has reported.
    pub async fn start(docker: &str, tenants: &[&str]) -> Self {
        let (cloud, data, key) = enrolled(docker, tenants).await;
        let channel = CloudChannel::listen(&key.signing_key().verifying_key()).await;
        cloud.give_papers(channel.papers.clone());
        let mut program = Self { cloud, channel, docker: docker.to_owned(), data, child: None };
        program.start_again().await;
        program
    }

    /// Starts the next agent, and waits until it has reported.
    pub async fn start_again(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_ecep-agent"))
            .args(["run", "--channel-listen", "127.0.0.1:0", "--docker", &self.docker, "--data"])
            .arg(self.data.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("the program is there");
        self.child = Some(child);
        self.cloud.first_report().await;
    }

    /// By SIGKILL; returns when it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
    }
}

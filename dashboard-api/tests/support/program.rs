//! The program itself, as a process.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::json;

use super::{EMAIL, PASSWORD, Person, client};

/// A running program, killed when the test ends.
pub struct Program {
    pub child: Child,
    pub base: String,
    pub log: Arc<Mutex<String>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    pub fn command(folder: &Path) -> Command {
        Self::command_with("ws://127.0.0.1:9/", folder)
    }

    pub fn command_with(router: &str, folder: &Path) -> Command {
        std::fs::write(folder.join("router-ticket"), super::ROUTER_TICKET).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecep-dashboard-api"));
        command
            .args(["run", "--listen", "127.0.0.1:0", "--router", router])
            .args(["--wamp-url", "ws://127.0.0.1:9/", "--device-wamp-url", "ws://127.0.0.1:9/"])
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--router-ticket-file")
            .arg(folder.join("router-ticket"))
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped());
        command
    }

    pub fn start(folder: &Path) -> Self {
        Self::spawn(Self::command(folder))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let base = loop {
            let line = lines.next().expect("it ended before it listened").unwrap();
            log.lock().unwrap().push_str(&format!("{line}\n"));
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        // Somebody must read on, or the program blocks on a full pipe.
        let rest = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                rest.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, base, log }
    }

    pub fn person(&self) -> Person {
        Person { base: self.base.clone(), cookie: None, client: client() }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Makes the first account with the tenant `acme`, and logs in.
pub async fn set_up(program: &Program, folder: &Path) -> Person {
    let code = std::fs::read_to_string(folder.join("data/setup-code")).unwrap();
    let mut person = program.person();
    let wanted = json!({ "code": code.trim(), "email": EMAIL, "password": PASSWORD, "tenant": "acme", "tenant_name": "Acme" });
    assert_eq!(person.post("/api/setup", wanted).await.status, 201);
    person.login(EMAIL, PASSWORD).await;
    person
}

/// Runs another command of the program on the data in this folder; whether it succeeded, and what it said.
pub fn run(arguments: &[&str], data: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecep-dashboard-api"));
    let output = command.args(arguments).arg("--data").arg(data).env_remove("RUST_LOG").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

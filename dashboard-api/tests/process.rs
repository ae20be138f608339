//! The program itself: it says when it is ready, stops when it is told to, and loses nothing when it is killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ecep_dashboard_api::store::Store;
use serde_json::json;
use support::{
    Device, EMAIL, PASSWORD, Person, client, now,
    router::TestRouter,
    wamp::{PATIENCE, Session},
};

/// Devices that want in while the program is killed: the most that one join token admits.
const DEVICES: u32 = 1_000;

/// A running program, killed when the test ends.
struct Program {
    child: Child,
    base: String,
    log: Arc<Mutex<String>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn command(folder: &Path) -> Command {
        Self::command_with("ws://127.0.0.1:9/", folder)
    }

    fn command_with(router: &str, folder: &Path) -> Command {
        std::fs::write(folder.join("router-ticket"), support::ROUTER_TICKET).unwrap();
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

    fn start(folder: &Path) -> Self {
        Self::spawn(Self::command(folder))
    }

    fn spawn(mut command: Command) -> Self {
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

    fn person(&self) -> Person {
        Person { base: self.base.clone(), cookie: None, client: client() }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

async fn set_up(program: &Program, folder: &Path) -> Person {
    let code = std::fs::read_to_string(folder.join("data/setup-code")).unwrap();
    let mut person = program.person();
    let wanted = json!({ "code": code.trim(), "email": EMAIL, "password": PASSWORD, "tenant": "acme", "tenant_name": "Acme" });
    assert_eq!(person.post("/api/setup", wanted).await.status, 201);
    person.login(EMAIL, PASSWORD).await;
    person
}

/// Every answer that a client got must be true after a crash, and a use of a token is spent if and only if there is a
/// device for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    let (token_id, token) = maria.join_token(DEVICES).await;

    let mut writers = Vec::new();
    for writer in 0..4 {
        let (maria, token) = (maria.clone(), token.clone());
        writers.push(tokio::spawn(async move {
            let mut answered = Vec::new();
            for number in 0..DEVICES / 4 {
                let device = Device::new(1 + writer * (DEVICES / 4) + number);
                let request = maria
                    .client
                    .post(format!("{}/api/device/enrol", maria.base))
                    .json(&device.enrolment(&token, "Edge"));
                // An error is the kill.
                let Ok(response) = request.send().await else { break };
                let Ok(reply) = response.json::<serde_json::Value>().await else { break };
                answered.push(reply["device"].as_str().unwrap().to_owned());
            }
            answered
        }));
    }
    // Kill it in the middle of the writing: as soon as a few have been answered.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let left = maria.get("/api/tenants/acme/join-tokens").await.json()[0]["uses_left"].as_u64().unwrap();
        if left <= u64::from(DEVICES) - 20 {
            break;
        }
        assert!(Instant::now() < deadline, "no device was enrolled in 30 s");
    }
    program.kill();
    let mut answered = Vec::new();
    for writer in writers {
        answered.extend(writer.await.unwrap());
    }
    assert!(answered.len() >= 15, "{} were answered before the kill", answered.len());

    let program = Program::start(folder.path());
    let mut maria = Person { base: program.base.clone(), ..maria };
    assert_eq!(maria.get("/api/session").await.status, 200, "the login is lost");
    maria.login(EMAIL, PASSWORD).await;
    program.kill();

    let store = Store::open(&folder.path().join("data")).unwrap();
    let devices = store.devices().unwrap();
    for device in &answered {
        assert!(devices.iter().any(|known| known.id.as_str() == device), "{device} was answered and is lost");
    }
    let left = store.join_token(&token_id).unwrap().unwrap().uses_left;
    assert_eq!(
        left as usize + devices.len(),
        DEVICES as usize,
        "a use is spent without a device, or the reverse"
    );
}

/// Whoever starts it waits for the line, and whoever stops it waits for the end.
#[tokio::test(flavor = "multi_thread")]
async fn it_stops_soon_after_sigterm_and_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    // The client keeps its connection open, as browsers do.
    assert_eq!(maria.get("/api/session").await.status, 200);
    let told = Command::new("kill").arg("-TERM").arg(program.child.id().to_string()).status().unwrap();
    assert!(told.success());
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = program.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "still running 20 s after SIGTERM");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
    let again = Program::start(folder.path());
    let maria = Person { base: again.base.clone(), ..maria };
    assert_eq!(maria.get("/api/session").await.status, 200);
}

/// What is wrong at the start is told in one sentence, not by a panic.
#[test]
fn a_failed_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let running = Program::start(folder.path());
    let second = Program::command(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(said.contains("in use by another process") && !said.contains("panicked"), "{said}");

    let address = running.base.strip_prefix("http://").unwrap();
    let other = tempfile::tempdir().unwrap();
    let taken = Program::command(other.path()).args(["--listen", address]).output().unwrap();
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(!taken.status.success());
    assert!(said.contains("cannot listen on") && !said.contains("panicked"), "{said}");
}

/// Whoever reads the log, however much is logged, must not be able to log in with what it holds.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged() {
    let router = TestRouter::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Program::command_with(&router.url(), folder.path());
    // A directive for one module must not bring back what is filtered for its crate.
    command.env("RUST_LOG", "trace,sled=info,wamp_async::core=trace,tungstenite::protocol=trace");
    let program = Program::spawn(command);
    let code = std::fs::read_to_string(folder.path().join("data/setup-code")).unwrap();
    let maria = set_up(&program, folder.path()).await;
    let (_, join_token) = maria.join_token(1).await;
    let device = Device::new(1);
    let enrolled = maria.post("/api/device/enrol", device.enrolment(&join_token, "Edge")).await.json();
    let session = device.session(enrolled["device"].as_str().unwrap(), now(), [1; 16]);
    let session = maria.post("/api/device/session", session).await.json();
    let api = json!({ "name": "Grafana", "role": "viewer", "valid_seconds": 600 });
    let api = maria.post("/api/tenants/acme/api-tokens", api).await.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    // Each is shown to the authenticator, the last one in vain.
    let deadline = Instant::now() + PATIENCE;
    let ticket = loop {
        let ticket = maria.post("/api/wamp-ticket", json!({ "tenant": "acme" })).await.json();
        let (realm, authid, secret) =
            (text(&ticket["realm"]), text(&ticket["authid"]), text(&ticket["ticket"]));
        if Session::join(&router.url(), &realm, &authid, &secret).await.is_ok() {
            let again = Session::join(&router.url(), &realm, &authid, &secret).await;
            assert!(again.is_err());
            let by_token =
                Session::join(&router.url(), &realm, &text(&api["id"]), &text(&api["secret"])).await;
            assert!(by_token.is_ok());
            break secret;
        }
        assert!(Instant::now() < deadline, "the control plane did not join in time");
    };
    let cookie = maria.cookie.as_ref().unwrap().split_once('=').unwrap().1.to_owned();
    while !program.log.lock().unwrap().contains("client refused") {
        assert!(Instant::now() < deadline, "the log does not tell of the refusal");
        tokio::task::yield_now().await;
    }
    let log = program.log.lock().unwrap().clone();
    for secret in [
        code.trim().to_owned(),
        PASSWORD.to_owned(),
        join_token,
        text(&session["ticket"]),
        ticket,
        text(&api["secret"]),
        cookie,
        support::ROUTER_TICKET.to_owned(),
    ] {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

/// Logins, devices and accounts survive an ordinary restart.
#[tokio::test]
async fn the_store_outlives_the_server() {
    let server = support::Server::start().await;
    let maria = server.set_up().await;
    let device = Device::new(1);
    let (_, token) = maria.join_token(1).await;
    let enrolled = server.visitor().post("/api/device/enrol", device.enrolment(&token, "Edge")).await.json();
    let id = enrolled["device"].as_str().unwrap();
    let cookie = maria.cookie.clone();
    let server = server.restart("ws://127.0.0.1:9/").await;
    let mut maria = server.visitor();
    maria.cookie = cookie;
    assert_eq!(maria.get("/api/session").await.json()["email"], EMAIL);
    let session = server.visitor().post("/api/device/session", device.session(id, now(), [1; 16])).await;
    assert_eq!(session.status, 200, "{session:?}");
    assert!(!support::data_of(&server.folder).join("setup-code").exists());
}

/// A fleet is larger than what most systems let a program open that does not ask for more.
#[tokio::test(flavor = "multi_thread")]
async fn more_clients_are_served_than_the_usual_limit_of_files_allows() {
    const USUAL: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let plain = Program::command(folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -S -n {USUAL}; exec \"$0\" \"$@\"")]);
    command.arg(plain.get_program()).args(plain.get_args()).env_remove("RUST_LOG").stderr(Stdio::piped());
    let program = Program::spawn(command);
    let address = program.base.strip_prefix("http://").unwrap();
    let idle = (0..2 * USUAL).map(|_| std::net::TcpStream::connect(address).unwrap()).collect::<Vec<_>>();
    assert_eq!(program.person().get("/healthz").await.status, 200);
    drop(idle);
}

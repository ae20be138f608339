//! The program itself: it says when it is ready, stops when it is told to, and loses nothing when it is killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ecep_dashboard_api::store::Store;
use serde_json::json;
use support::{
    Device, EMAIL, PASSWORD, Person, client, now,
    program::{Program, set_up},
    router::TestRouter,
    wamp::{PATIENCE, Session},
};

/// Devices that want in while the program is killed: the most that one join token admits.
const DEVICES: u32 = 1_000;

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
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = maria.get("/api/tenants/acme/join-tokens").await.json()[0]["uses_left"].as_u64().unwrap();
        if left <= u64::from(DEVICES) - 20 {
            break;
        }
        assert!(Instant::now() < deadline, "no device was enrolled in time");
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

/// An order with a key that was sent again because the program was killed must not have been done twice: it is answered as it was, or
/// as one of which nobody knows, and what it makes is there at most once.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_repeats_no_order_with_a_key() {
    const ORDERS: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path());
    let maria = set_up(&program, folder.path()).await;
    let send = async |base: &str, number: usize| {
        let body = json!({ "name": format!("order {number}"), "role": "viewer", "valid_seconds": 3600 });
        let request = client().post(format!("{base}/api/tenants/acme/api-tokens")).json(&body);
        let request = request.header("x-ecep-csrf", "1").header("cookie", maria.cookie.as_ref().unwrap());
        request.header("idempotency-key", format!("key {number}")).send().await
    };
    let (tell, mut told) = tokio::sync::watch::channel(0);
    let sending = async {
        let mut answered = 0;
        for number in 0..ORDERS {
            match send(&program.base, number).await {
                Ok(answer) => assert_eq!(answer.status(), 201),
                Err(_) => break,
            }
            answered = number + 1;
            tell.send_replace(answered);
        }
        answered
    };
    let killing = async {
        let pid = program.child.id().to_string();
        // While the next ones are at work.
        told.wait_for(|answered| *answered >= 20).await.unwrap();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    };
    let (answered, ()) = tokio::join!(sending, killing);
    program.child.wait().unwrap();
    let program = Program::start(folder.path());
    for number in 0..ORDERS {
        let status = send(&program.base, number).await.unwrap().status().as_u16();
        // One that was answered held a secret, which is not shown twice.
        assert!(
            status == 409 || number >= answered && status == 201,
            "order {number} of {answered}: {status}"
        );
    }
    let person = Person { base: program.base.clone(), ..maria };
    let tokens = person.get("/api/tenants/acme/api-tokens").await.json();
    let mut names: Vec<&str> =
        tokens.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(all >= ORDERS - 1, "{all}");
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
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = program.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "still running long after SIGTERM");
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

/// What an invited person chooses, and what somebody changes their password to.
const INVITED_PASSWORD: &str = "marked password of the invited";
const NEW_PASSWORD: &str = "marked password that is new";

/// Whoever reads the log, however much is logged, or the files of the store, must not be able to log in with what they hold; and no
/// refusal must repeat a secret that was sent in a wrong place.
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
    let invitation = json!({ "email": "ida@example.org", "role": "viewer" });
    let invitation = maria.post("/api/tenants/acme/invitations", invitation).await.json();
    let invited = text(&invitation["secret"]);
    let mut ida = program.person();
    assert_eq!(ida.post("/api/invitations/show", json!({ "secret": invited })).await.status, 200);
    let accepted = json!({ "secret": invited, "password": INVITED_PASSWORD });
    assert_eq!(ida.post("/api/invitations/accept", accepted).await.status, 200);
    let login = ida.login("ida@example.org", INVITED_PASSWORD).await;
    let cookies = login.headers.get_all("set-cookie").iter().map(|cookie| {
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        cookie.split_once('=').unwrap().1.to_owned()
    });
    let mut secrets: Vec<String> = cookies.collect();
    for secret in [text(&api["secret"]).as_str(), "guess"] {
        let request = client().get(format!("{}/api/tenants/acme/members", program.base));
        let token = format!("{}.{secret}", text(&api["id"]));
        support::answer(request.header("authorization", format!("Bearer {token}"))).await;
    }
    for (path, body) in [
        ("/api/login", json!(PASSWORD)),
        ("/api/login", json!([PASSWORD])),
        ("/api/login", json!({ "email": EMAIL, "password": { "x": PASSWORD } })),
        ("/api/login", json!({ "email": EMAIL, "password": PASSWORD, "again": PASSWORD })),
        ("/api/login", json!({ "email": PASSWORD, "password": "x" })),
        ("/api/account/password", json!({ "current": PASSWORD, "new": PASSWORD })),
        ("/api/account/password", json!({ "current": "wrong", "new": NEW_PASSWORD })),
        ("/api/invitations/accept", json!({ "secret": invited, "password": INVITED_PASSWORD })),
        ("/api/tenants/acme/join-tokens", json!({ "uses": PASSWORD, "valid_seconds": 60 })),
        ("/api/device/enrol", device.enrolment(&join_token, "Edge")),
    ] {
        let answer = maria.post(path, body).await;
        for secret in [PASSWORD, NEW_PASSWORD, INVITED_PASSWORD, &invited, &join_token] {
            assert!(!answer.text.contains(secret), "{path} repeats {secret}: {answer:?}");
        }
    }
    let change = json!({ "current": PASSWORD, "new": NEW_PASSWORD });
    let changed = maria.post("/api/account/password", change).await;
    assert!(changed.status.is_success(), "{changed:?}");
    let cookie = maria.cookie.as_ref().unwrap().split_once('=').unwrap().1.to_owned();
    while !program.log.lock().unwrap().contains("client refused") {
        assert!(Instant::now() < deadline, "the log does not tell of the refusal");
        tokio::task::yield_now().await;
    }
    let log = program.log.lock().unwrap().clone();
    secrets.extend([
        code.trim().to_owned(),
        PASSWORD.to_owned(),
        join_token,
        text(&session["ticket"]),
        ticket,
        text(&api["secret"]),
        cookie,
        support::ROUTER_TICKET.to_owned(),
        invited,
        INVITED_PASSWORD.to_owned(),
        NEW_PASSWORD.to_owned(),
    ]);
    // A program that runs renames and removes files under the reader.
    program.kill();
    let mut kept = Vec::new();
    read_all(&folder.path().join("data"), &mut kept);
    assert!(kept.windows(EMAIL.len()).any(|window| window == EMAIL.as_bytes()), "the store can be read");
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is in the log");
        let is_kept = kept.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_kept, "{secret} is in the store");
    }
}

fn read_all(folder: &Path, content: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, content);
        } else if path.is_file() {
            // Not the socket for backups, which holds nothing.
            content.extend(std::fs::read(path).unwrap());
        }
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

//! Logs that are read along and terminals, over real HTTP and WebSockets, from a real agent with a simulated engine.

use ecep_proto::api::{ContainerDelete, ContainerRestart, TerminalOpen, container::LogStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::{
    files::Scene,
    support::{Person, Server, client, device::until, wamp::PATIENCE},
};

/// Lines as they come.
struct Lines {
    response: reqwest::Response,
    rest: String,
}

impl Lines {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.rest = rest;
                if line.is_empty() {
                    continue;
                }
                return Some(serde_json::from_str(&line).unwrap());
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("a line in time").unwrap()?;
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn text(&mut self) -> String {
        self.next().await.unwrap()["text"].as_str().unwrap().to_owned()
    }
}

impl Scene {
    fn log_path(&self, query: &str) -> String {
        format!("/api/tenants/acme/devices/{}/containers/{}/log?{query}", self.device.id, self.container)
    }

    /// Asks again while the device's channel is not up yet.
    async fn read_along(&self, person: &Person, query: &str) -> Lines {
        let response = until("the channel", async || {
            let request = client().get(format!("{}{}", person.base, self.log_path(query)));
            let response = request.header("cookie", person.cookie.as_ref().unwrap()).send().await.unwrap();
            (response.status().as_u16() != 503).then_some(response)
        })
        .await;
        assert_eq!(response.status().as_u16(), 200);
        Lines { response, rest: String::new() }
    }

    fn write(&self, stream: LogStream, text: &str) {
        self.device.engine.write(&self.engine_id, stream, text).unwrap();
    }

    /// Its path for a browser.
    async fn open_terminal(&mut self) -> String {
        let order = json!({ "container": self.container, "size": { "columns": 100, "rows": 30 } });
        let opened = self.device.ask::<TerminalOpen>(&mut self.session, order).await.unwrap();
        let terminal = opened["terminal"].as_str().unwrap();
        format!("/api/tenants/acme/devices/{}/terminals/{terminal}", self.device.id)
    }
}

/// A reader gets the last lines and then each as it is written, over a restart of the container, and is told how it ended.
#[tokio::test]
async fn a_log_is_read_along_over_a_restart_to_the_end() {
    let mut scene = Scene::start().await;
    for number in 0..5 {
        scene.write(LogStream::Stdout, &format!("line {number}"));
    }
    scene.write(LogStream::Stderr, "An Error");
    let maria = scene.maria.clone();
    let mut lines = scene.read_along(&maria, "tail=2&follow=true").await;
    assert_eq!([lines.text().await, lines.text().await], ["line 4", "An Error"]);
    scene.write(LogStream::Stdout, "new");
    let new = lines.next().await.unwrap();
    assert_eq!((&new["text"], &new["stream"], new.get("cut")), (&json!("new"), &json!("stdout"), None));
    let order = json!({ "container": scene.container });
    scene.device.ask::<ContainerRestart>(&mut scene.session, order).await.unwrap();
    assert_eq!(lines.text().await, "app:1 runs");

    let mut found = scene.read_along(&maria, "search=error&tail=10").await;
    assert_eq!(found.text().await, "An Error");
    assert_eq!(found.next().await.unwrap()["end"], "complete");
    assert!(found.next().await.is_none());
    let mut stdout = scene.read_along(&maria, "stream=stdout&tail=1").await;
    assert_eq!(stdout.text().await, "app:1 runs");

    let order = json!({ "container": scene.container, "force": true });
    scene.device.ask::<ContainerDelete>(&mut scene.session, order).await.unwrap();
    let end = lines.next().await.unwrap();
    assert_eq!(end["end"], "gone", "{end}");
    assert!(lines.next().await.is_none());
    scene.device.stop().await;
}

/// The whole of a log is saved as a text with times; a question that makes no sense is told so; another tenant's container does not exist.
#[tokio::test]
async fn a_log_is_saved_as_text_and_wrong_questions_are_told() {
    let scene = Scene::start().await;
    for number in 0..400 {
        scene.write(LogStream::Stdout, &format!("line {number}"));
    }
    drop(scene.read_along(&scene.maria, "tail=1").await);
    let saved = scene.maria.get(&scene.log_path("download")).await;
    assert_eq!(saved.text.lines().count(), 401, "all of it, not the last ones");
    assert!(saved.text.lines().all(|line| line.contains("Z ")), "{}", &saved.text[..200]);
    assert!(saved.header("content-disposition").starts_with("attachment;"));
    assert_eq!(saved.header("content-type"), "text/plain; charset=utf-8");
    for query in ["tail=x", "tail=10001", "stream=both", "follow=perhaps", "colour=red"] {
        scene.maria.get(&scene.log_path(query)).await.problem(400);
    }
    let elsewhere = scene.log_path("").replace(&scene.container, "c-0000000000000000");
    scene.maria.get(&elsewhere).await.problem(404);
    let no_device = scene.log_path("").replace(&scene.device.id, "no-such-device");
    scene.maria.get(&no_device).await.problem(404);
}

/// Whoever loses the right to read stops reading at once, and is told why.
#[tokio::test]
async fn a_log_ends_with_the_right_to_read_it() {
    let scene = Scene::start().await;
    let membership = json!([{ "tenant": "acme", "role": "viewer" }]);
    let vera = scene.server.add_person(&scene.maria, "vera@example.org", membership).await;
    let mut lines = scene.read_along(&vera, "follow=true").await;
    assert_eq!(lines.text().await, "app:1 runs");
    let account = vera.account("acme").await;
    let removed = scene.maria.delete(&format!("/api/tenants/acme/members/{account}")).await;
    assert_eq!(removed.status.as_u16(), 204);
    assert_eq!(lines.next().await.unwrap()["end"], "access_ended");
    assert!(lines.next().await.is_none());
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Attaches a terminal as a browser does, from this origin.
async fn attach(server: &Server, path: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("{}{path}", server.base.replace("http", "ws")).into_client_request().unwrap();
    for (name, value) in headers {
        let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// What is shown until it ends so.
async fn shown(socket: &mut Socket, until: &str) -> String {
    let mut all = String::new();
    while !all.ends_with(until) {
        match timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap() {
            Message::Binary(bytes) => all.push_str(std::str::from_utf8(&bytes).unwrap()),
            Message::Ping(_) => {}
            other => panic!("{other:?} after {all:?}"),
        }
    }
    all
}

/// How it ended.
async fn end(socket: &mut Socket) -> Value {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Binary(_) | Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A terminal carries bytes both ways, takes another size, and tells the exit code; it is attached once, by who opened it, from our own
/// pages.
#[tokio::test]
async fn a_terminal_is_typed_into_and_ends_with_its_code() {
    let mut scene = Scene::start().await;
    let maria = scene.maria.clone();
    // The channel is up.
    drop(scene.read_along(&maria, "tail=0").await);
    let path = scene.open_terminal().await;
    let (cookie, origin) = (maria.cookie.clone().unwrap(), scene.server.base.clone());
    let own = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let evil = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    assert_eq!(attach(&scene.server, &path, &evil).await.err(), Some(403));
    assert_eq!(attach(&scene.server, &path, &[("cookie", cookie.as_str())]).await.err(), Some(403));
    let (_, viewer) = maria.api_token("acme", "viewer").await;
    let by_viewer = format!("Bearer {viewer}");
    assert_eq!(attach(&scene.server, &path, &[("authorization", &by_viewer)]).await.err(), Some(403));
    let (_, operator) = maria.api_token("acme", "operator").await;
    let by_other = format!("Bearer {operator}");
    assert_eq!(attach(&scene.server, &path, &[("authorization", &by_other)]).await.err(), Some(404));
    maria.get(&path).await.problem(403);

    let mut socket = attach(&scene.server, &path, &own).await.unwrap();
    socket.send(Message::binary(b"hello\n".to_vec())).await.unwrap();
    assert_eq!(shown(&mut socket, "hello\r\n").await, "hello\r\n");
    socket.send(Message::binary(b"size\n".to_vec())).await.unwrap();
    assert_eq!(shown(&mut socket, "\r\n").await, "100x30\r\n");
    socket.send(Message::text(r#"{"columns":120,"rows":40}"#)).await.unwrap();
    socket.send(Message::binary(b"size\n".to_vec())).await.unwrap();
    assert_eq!(shown(&mut socket, "\r\n").await, "120x40\r\n");
    assert_eq!(attach(&scene.server, &path, &own).await.err(), Some(404), "it is attached once");
    socket.send(Message::binary(b"exit 3\n".to_vec())).await.unwrap();
    assert_eq!(end(&mut socket).await, json!({ "exit_code": 3, "reason": null }));
    scene.device.stop().await;
}

/// A terminal ends with the login that opened it, and whoever goes away leaves no command behind.
#[tokio::test]
async fn a_terminal_ends_with_the_login() {
    let mut scene = Scene::start().await;
    let maria = scene.maria.clone();
    drop(scene.read_along(&maria, "tail=0").await);
    let path = scene.open_terminal().await;
    let (cookie, origin) = (maria.cookie.clone().unwrap(), scene.server.base.clone());
    let own = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let mut socket = attach(&scene.server, &path, &own).await.unwrap();
    socket.send(Message::binary(b"hello\n".to_vec())).await.unwrap();
    shown(&mut socket, "hello\r\n").await;
    assert!(maria.post("/api/logout", json!({})).await.status.is_success());
    let told = end(&mut socket).await;
    assert!(told["reason"].as_str().unwrap().contains("login"), "{told}");
    let engine = std::sync::Arc::clone(&scene.device.engine);
    until("the command to end", async || {
        ecep_agent::engine::Engine::terminal_exit(&*engine, "terminal-0").await.unwrap()
    })
    .await;
    scene.device.stop().await;
}

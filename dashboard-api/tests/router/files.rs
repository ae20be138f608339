//! Files and logs of containers on their way from a real agent, with a simulated engine, to a download.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use ecep_proto::api::{
    ContainerCreate, ContainerStop, FileFetch, FileListing, LogFetch, OperationEvents, Topic,
    container::LogStream, error::ErrorKind,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    join, joined,
    support::{
        Answer, Person, Server, bearer, client,
        device::{RealDevice, until},
        router::TestRouter,
        wamp::Session,
    },
    ticket,
};

/// Maria owns `acme` with a device that has a channel, and a container on it.
pub struct Scene {
    pub router: TestRouter,
    pub server: Server,
    pub maria: Person,
    pub device: RealDevice,
    pub session: Session,
    pub container: String,
    pub engine_id: String,
}

impl Scene {
    pub async fn start() -> Self {
        let router = TestRouter::start().await;
        let server = Server::start_with_channels(&router.url()).await;
        Self::on(router, server).await
    }

    async fn on(router: TestRouter, server: Server) -> Self {
        let maria = server.set_up().await;
        joined(&server).await;
        let device = RealDevice::start(&server, &maria).await;
        let mut session = join(&router, &ticket(&maria, "acme").await).await.unwrap();
        let order = json!({ "name": "web", "image": "app:1", "application": "shop", "operation": "create" });
        let made = device.order::<ContainerCreate>(&mut session, order).await.unwrap();
        let container = made["container_id"].as_str().unwrap().to_owned();
        let engine_id = format!("ecep-{container}");
        Self { router, server, maria, device, session, container, engine_id }
    }

    /// Orders a fetch under this id; gives the stored file once it is there.
    pub async fn fetched(&mut self, order: Value, is_log: bool) -> Value {
        let id = order["operation"].as_str().unwrap().to_owned();
        let answer = match is_log {
            true => self.device.ask::<LogFetch>(&mut self.session, order).await,
            false => self.device.ask::<FileFetch>(&mut self.session, order).await,
        };
        answer.unwrap();
        let maria = self.maria.clone();
        until("the file to be stored", async || {
            let page = maria.get("/api/tenants/acme/files").await.json();
            page["items"].as_array().unwrap().iter().find(|item| item["file"] == id).cloned()
        })
        .await
    }
}

fn content(id: &str) -> String {
    format!("/api/tenants/acme/files/{id}/content")
}

async fn part(person: &Person, id: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client().get(format!("{}{}", person.base, content(id)));
    request = request.header("cookie", person.cookie.as_ref().unwrap());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    crate::support::answer(request).await
}

/// A file is copied out of its container, stored, and downloaded as it was, whole and in parts; the same order again brings it once. A
/// folder comes as an archive. What is deleted is gone.
#[tokio::test]
async fn a_file_comes_from_its_container_to_a_download() {
    let mut scene = Scene::start().await;
    let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    scene.device.engine.put_file(&scene.engine_id, "/data/ä b.txt", Bytes::from(text.clone())).unwrap();
    scene.device.engine.put_file(&scene.engine_id, "/data/sub/x", Bytes::from_static(b"x")).unwrap();
    let listed = json!({ "container": scene.container, "path": "/data" });
    let list = scene.device.ask::<FileListing>(&mut scene.session, listed).await.unwrap();
    let names: Vec<&str> =
        list["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sub", "ä b.txt"]);

    let order = json!({ "container": scene.container, "path": "/data/ä b.txt", "operation": "fetch-1" });
    let stored = scene.fetched(order.clone(), false).await;
    assert_eq!((&stored["name"], &stored["kind"]), (&json!("ä b.txt"), &json!("file")));
    assert_eq!((&stored["bytes"], &stored["application"]), (&json!(text.len()), &json!("shop")));
    let day = stored["deleted_at"].as_u64().unwrap() - stored["stored_at"].as_u64().unwrap();
    assert_eq!(day, 24 * 60 * 60 * 1_000);
    let whole = scene.maria.get(&content("fetch-1")).await;
    assert_eq!((whole.status.as_u16(), whole.text.as_str()), (200, text.as_str()));
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert!(whole.header("content-disposition").starts_with("attachment;"), "{whole:?}");
    assert!(whole.header("content-security-policy").contains("sandbox"));
    let tag = whole.header("etag").to_owned();
    let rest = part(&scene.maria, "fetch-1", &[("range", "bytes=1000-"), ("if-range", &tag)]).await;
    assert_eq!((rest.status.as_u16(), rest.text.as_str()), (206, &text[1000..]));
    assert_eq!(rest.header("content-range"), format!("bytes 1000-{}/{}", text.len() - 1, text.len()));
    let other = part(&scene.maria, "fetch-1", &[("range", "bytes=1000-"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status.as_u16(), other.text.len()), (200, text.len()));
    let none = part(&scene.maria, "fetch-1", &[("range", "bytes=99999999-")]).await;
    assert_eq!(none.status.as_u16(), 416);
    let head = scene.maria.send(Method::HEAD, &content("fetch-1"), None).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, &*text.len().to_string()));

    let again = scene.device.order::<FileFetch>(&mut scene.session, order).await.unwrap();
    assert_eq!(again["state"], "done");
    let folder = json!({ "container": scene.container, "path": "/data", "operation": "fetch-2" });
    let folder = scene.fetched(folder, false).await;
    assert_eq!((&folder["name"], &folder["kind"]), (&json!("data.tar"), &json!("folder")));
    let page = scene.maria.get("/api/tenants/acme/files?limit=1").await.json();
    assert_eq!(page["items"][0]["file"], "fetch-2", "the newest first");
    let next = page["next"].as_str().unwrap();
    let rest = scene.maria.get(&format!("/api/tenants/acme/files?after={next}")).await.json();
    assert_eq!((&rest["items"][0]["file"], &rest["next"]), (&json!("fetch-1"), &Value::Null));
    assert!(page["used_bytes"].as_u64().unwrap() > text.len() as u64, "{page}");

    assert_eq!(scene.maria.delete("/api/tenants/acme/files/fetch-1").await.status.as_u16(), 204);
    scene.maria.get(&content("fetch-1")).await.problem(404);
    scene.maria.delete("/api/tenants/acme/files/fetch-1").await.problem(404);
    scene.device.stop().await;
}

/// How a fetch goes on is told in order, and each phase to its end: a bar that stops short of the whole looks like a fetch that hangs.
#[tokio::test]
async fn a_fetch_is_told_to_its_end() {
    const BYTES: usize = 3_000_000;
    let mut scene = Scene::start().await;
    scene.device.engine.put_file(&scene.engine_id, "/data/big", Bytes::from(vec![7; BYTES])).unwrap();
    scene.session.subscribe(&OperationEvents::on(&scene.device.id.parse().unwrap()), "exact").await;
    for (id, path) in [("fetch-1", "/data/big"), ("fetch-2", "/data")] {
        let order = json!({ "container": scene.container, "path": path, "operation": id });
        scene.device.ask::<FileFetch>(&mut scene.session, order).await.unwrap();
        let mut phases: Vec<(String, u64, u64)> = Vec::new();
        loop {
            let event = scene.session.event(|event| event["operation"] == id).await;
            let phase = event["phase"].as_str().unwrap().to_owned();
            if event["state"] != "running" {
                assert_eq!(phase, "done", "{event}");
                break;
            }
            let now = (phase, event["bytes_done"].as_u64().unwrap(), event["bytes_total"].as_u64().unwrap());
            match phases.last_mut().filter(|(phase, ..)| *phase == now.0) {
                Some(last) => {
                    assert!(last.1 <= now.1, "{path}: {last:?}, then {now:?}");
                    *last = now;
                }
                None => phases.push(now),
            }
        }
        let names: Vec<&str> = phases.iter().map(|(phase, ..)| phase.as_str()).collect();
        assert_eq!(names, ["copying", "sending"], "{path}");
        for (phase, done, total) in &phases {
            assert!(done == total && *done >= BYTES as u64, "{path}: {phase} ends at {done} of {total}");
        }
    }
    scene.device.stop().await;
}

/// What a container writes may be read by whoever may look; what lies in its files may not: a secret could.
#[tokio::test]
async fn whoever_may_only_look_gets_logs_alone() {
    let mut scene = Scene::start().await;
    scene.device.engine.put_file(&scene.engine_id, "/secret", Bytes::from_static(b"s3cret")).unwrap();
    scene.device.engine.write(&scene.engine_id, LogStream::Stderr, "oops").unwrap();
    // A stopped one's, too.
    let stop = json!({ "container": scene.container, "operation": "stop" });
    scene.device.order::<ContainerStop>(&mut scene.session, stop).await.unwrap();
    scene.fetched(json!({ "container": scene.container, "path": "/secret", "operation": "f" }), false).await;
    let log = scene.fetched(json!({ "container": scene.container, "operation": "l" }), true).await;
    assert_eq!((&log["name"], &log["kind"]), (&json!("web.log"), &json!("log")));
    let (_, viewer) = scene.maria.api_token("acme", "viewer").await;
    let page = bearer(&scene.server, Method::GET, "/api/tenants/acme/files", &viewer).await.json();
    let seen: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|item| item["file"].as_str().unwrap()).collect();
    assert_eq!(seen, ["l"]);
    bearer(&scene.server, Method::GET, &content("f"), &viewer).await.problem(403);
    let text = bearer(&scene.server, Method::GET, &content("l"), &viewer).await;
    let lines: Vec<&str> = text.text.lines().collect();
    assert_eq!(lines.len(), 2, "{text:?}");
    assert!(lines[0].ends_with("Z app:1 runs") && lines[1].ends_with("Z oops"), "{lines:?}");
    bearer(&scene.server, Method::DELETE, "/api/tenants/acme/files/l", &viewer).await.problem(403);
    let (_, operator) = scene.maria.api_token("acme", "operator").await;
    let secret = bearer(&scene.server, Method::GET, &content("f"), &operator).await;
    assert_eq!(secret.text, "s3cret");
    scene.device.stop().await;
}

/// What is stored outlives the control plane; what the tenant has no room for is refused with what to do, and costs it nothing.
#[tokio::test]
async fn stored_files_outlive_a_restart_and_keep_to_the_quota() {
    let mut scene = Scene::start().await;
    let engine = Arc::clone(&scene.device.engine);
    engine.put_file(&scene.engine_id, "/small", Bytes::from_static(b"small")).unwrap();
    engine.put_file(&scene.engine_id, "/large", Bytes::from(vec![7; 9 << 20])).unwrap();
    scene
        .fetched(json!({ "container": scene.container, "path": "/small", "operation": "small" }), false)
        .await;
    let large = json!({ "container": scene.container, "path": "/large", "operation": "large" });
    let refused = scene.device.order::<FileFetch>(&mut scene.session, large).await.unwrap_err();
    assert_eq!(refused.uri, ErrorKind::Limit.uri(), "{refused:?}");
    assert!(refused.message.contains("Delete some stored files"), "{refused:?}");
    scene.device.stop().await;
    let server = scene.server.restart(&scene.router.url()).await;
    let mut maria = server.visitor();
    maria.login(crate::support::EMAIL, crate::support::PASSWORD).await;
    assert_eq!(maria.get(&content("small")).await.text, "small");
    let data = crate::support::data_of(&server.folder);
    assert!(!data.join("files/acme/large").exists());
}

/// A line that breaks once so many bytes have gone to the cloud.
struct BrittleLine {
    sent: AtomicU64,
    breaks_at: u64,
}

impl BrittleLine {
    /// Listens; each connection is passed on to `to`.
    fn listen(self: &Arc<Self>, to: SocketAddr) -> SocketAddr {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let (socket, line) = (TcpListener::from_std(socket).unwrap(), Arc::clone(self));
        tokio::spawn(async move {
            while let Ok((near, _)) = socket.accept().await {
                let line = Arc::clone(&line);
                tokio::spawn(async move { line.pass(near, to).await });
            }
        });
        address
    }

    /// Of what was sent nothing is lost on the way: a line that breaks is one that ends, and the cloud has read all of it when the device
    /// learns of that. So what travels twice is what the cloud has not stored, however slow it is.
    async fn pass(&self, near: TcpStream, to: SocketAddr) -> std::io::Result<()> {
        let far = TcpStream::connect(to).await?;
        let ((mut from, mut back), (mut answers, mut on)) = (near.into_split(), far.into_split());
        let forth = async {
            let mut bytes = vec![0; 16 * 1024];
            loop {
                let read = from.read(&mut bytes).await?;
                on.write_all(&bytes[..read]).await?;
                let before = self.sent.fetch_add(read as u64, Ordering::Relaxed);
                let breaks = before < self.breaks_at && before + read as u64 >= self.breaks_at;
                if read == 0 || breaks {
                    on.shutdown().await?;
                    return std::future::pending().await;
                }
            }
        };
        let back = async { tokio::io::copy(&mut answers, &mut back).await.map(drop) };
        tokio::select! { ended = forth => ended, ended = back => ended }
    }
}

/// After a broken connection a file goes on where it broke: what has arrived does not travel again.
#[tokio::test]
async fn a_file_goes_on_after_a_broken_connection() {
    const SIZE: usize = 6 << 20;
    let router = TestRouter::start().await;
    let line = Arc::new(BrittleLine { sent: AtomicU64::new(0), breaks_at: SIZE as u64 / 2 });
    let server = Server::start_behind(&router.url(), |address| line.listen(address)).await;
    let mut scene = Scene::on(router, server).await;
    // It cannot be made smaller.
    let content_of_file: Vec<u8> = (0..SIZE / 32).flat_map(|_| rand::random::<[u8; 32]>()).collect();
    scene.device.engine.put_file(&scene.engine_id, "/big", Bytes::from(content_of_file.clone())).unwrap();
    let order = json!({ "container": scene.container, "path": "/big", "operation": "big" });
    let stored = scene.fetched(order, false).await;
    assert_eq!(stored["bytes"], SIZE);
    let url = format!("{}{}", scene.server.base, content("big"));
    let request = client().get(url).header("cookie", scene.maria.cookie.as_ref().unwrap());
    let got = request.send().await.unwrap().bytes().await.unwrap();
    assert!(got == content_of_file, "it came as it was");
    let sent = line.sent.load(Ordering::Relaxed);
    assert!((SIZE as u64..SIZE as u64 * 5 / 4).contains(&sent), "{sent} bytes have gone");
    scene.device.stop().await;
}

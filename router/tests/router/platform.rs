//! The platform's realms: who is let in, and what the control plane has to do with it.

use ecep_proto::api::error::ErrorKind;
use ecep_proto::api::name::DeviceId;
use ecep_proto::api::realm::{CONTROL, CONTROL_PLANE_AUTHID, TENANT_PREFIX, of_tenant};
use ecep_proto::api::{Authenticate, DeviceInfo, DeviceStats, EndSessions, FleetReport, Procedure, Topic};
use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::{Config, PlatformConfig, TransportKind};
use tokio::task::JoinHandle;

use crate::client::{Client, dict, reason, within};
use crate::server::Server;

const CONTROL_TICKET: &str = "the control plane's own ticket";
const REASON: &str = "this token was deleted";

struct Platform {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Platform {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control_ticket_file = folder.path().join("control.ticket");
        std::fs::write(&control_ticket_file, format!("{CONTROL_TICKET}\n")).unwrap();
        let platform = Some(PlatformConfig { control_ticket_file });
        let server = Server::start(Config { platform, ..Config::default() }).await;
        Self { server, _folder: folder }
    }

    async fn connect(&self) -> Client {
        self.server.connect(TransportKind::WebSocket, Serializer::Json).await
    }

    async fn join(&self, realm: &str, authid: &str, ticket: &str) -> Client {
        let mut client = self.connect().await;
        match client.join_by_ticket(realm, authid, ticket).await {
            Message::Welcome(_) => client,
            other => panic!("{authid} got {other:?}"),
        }
    }

    async fn refused(&self, realm: &str, authid: &str, ticket: &str) -> (String, String) {
        match self.connect().await.join_by_ticket(realm, authid, ticket).await {
            Message::Abort(abort) => reason(&abort),
            other => panic!("{authid} got {other:?}"),
        }
    }

    /// The control plane: lets in whose ticket is `<role> <authid>`, and refuses everybody else.
    async fn control_plane(&self) -> JoinHandle<Vec<Dict>> {
        let mut client = self.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
        client.register(Authenticate::URI).await;
        tokio::spawn(async move {
            let mut questions = Vec::new();
            while let Some(Message::Invocation(invocation)) = client.try_receive().await {
                let question = invocation.payload.kwargs().unwrap().clone();
                let ticket = question["ticket"].as_str().unwrap();
                let authid = question["authid"].as_str().unwrap();
                let answer = match ticket.split_once(' ') {
                    Some((role, name)) if name == authid => dict(&[(
                        "ok",
                        Value::Map(dict(&[("authid", name.into()), ("authrole", role.into())])),
                    )]),
                    _ => dict(&[(
                        "error",
                        Value::Map(dict(&[
                            ("uri", ErrorKind::Forbidden.uri().into()),
                            ("message", "this ticket has been used; ask for a new one".into()),
                        ])),
                    )]),
                };
                let payload = Payload::new(vec![], answer);
                client.send(Yield { request: invocation.request, options: Dict::new(), payload }).await;
                questions.push(question);
            }
            questions
        })
    }
}

/// Asks as the control plane; how many sessions there were.
async fn end_sessions(control_plane: &mut Client, authid: &str, realm: Option<&str>) -> u64 {
    let realm = realm.map_or(Value::Null, Value::from);
    let order = dict(&[("authid", authid.into()), ("realm", realm), ("reason", REASON.into())]);
    match control_plane.call(EndSessions::URI, Payload::new(vec![], order)).await {
        Message::CallResult(result) => result.payload.args()[0].as_map().unwrap()["ended"].as_u64().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The client is told why its session has ended.
async fn ended(client: &mut Client) {
    match client.receive().await {
        Message::Goodbye(goodbye) => {
            assert_eq!(goodbye.reason, "wamp.close.killed");
            assert_eq!(goodbye.details["message"], REASON.into());
        }
        other => panic!("{other:?} instead of GOODBYE"),
    }
    client.hung_up().await;
}

/// Whatever the answer is, there is one.
async fn still_there(client: &mut Client) {
    let answer = client.call("wamp.session.count", Payload::default()).await;
    assert!(matches!(answer, Message::CallResult(_) | Message::Error(_)), "{answer:?}");
}

fn tenant(slug: &str) -> String {
    of_tenant(&slug.parse().unwrap())
}

/// Without the control plane nobody can say who somebody is: the client must learn that this will pass.
#[tokio::test]
async fn no_control_plane() {
    let platform = Platform::start().await;
    let (uri, message) = platform.refused(&tenant("acme"), "ann", "owner ann").await;
    assert_eq!(uri, "wamp.error.authentication_failed");
    assert!(message.contains("control plane is not connected") && message.contains("try again"), "{message}");
    platform.server.stop().await;
}

/// Only the holder of the ticket is the control plane, in every platform realm.
#[tokio::test]
async fn the_control_plane_proves_itself() {
    let platform = Platform::start().await;
    for realm in [CONTROL.to_owned(), tenant("acme")] {
        platform.join(&realm, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
        for ticket in ["", "wrong", &CONTROL_TICKET[1..]] {
            let (uri, _) = platform.refused(&realm, CONTROL_PLANE_AUTHID, ticket).await;
            assert_eq!(uri, "wamp.error.authentication_denied");
        }
    }
    let mut client = platform.connect().await;
    client.hello(CONTROL, dict(&[crate::client::roles()])).await;
    assert_eq!(client.aborted().await.0, "wamp.error.no_matching_auth_method", "not anonymously");
    platform.server.stop().await;
}

/// Whoever has stolen the control plane's ticket is out of every realm once there is another one.
#[tokio::test]
async fn another_control_ticket_ends_all_sessions_of_the_old_one() {
    let platform = Platform::start().await;
    let in_control = platform.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    let of_tenant = platform.join(&tenant("acme"), CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    let file = &platform.server.config.platform.as_ref().unwrap().control_ticket_file;
    std::fs::write(file, "another ticket").unwrap();
    let reloading = platform.server.reloader.reload(platform.server.config.clone());
    within("the new ticket", reloading).await.unwrap();
    for mut client in [in_control, of_tenant] {
        assert!(
            matches!(client.receive().await, Message::Goodbye(goodbye) if goodbye.reason == "wamp.close.killed")
        );
    }
    platform.join(CONTROL, CONTROL_PLANE_AUTHID, "another ticket").await;
    platform.server.stop().await;
}

/// The control plane's verdict is the client's identity; its refusal reaches the client in its own words.
#[tokio::test]
async fn the_control_plane_decides() {
    let platform = Platform::start().await;
    let control_plane = platform.control_plane().await;
    let realm = tenant("acme");
    let mut client = platform.connect().await;
    match client.join_by_ticket(&realm, "ann", "owner ann").await {
        Message::Welcome(welcome) => {
            let said = |key: &str| welcome.details[key].as_str().unwrap();
            assert_eq!((said("authid"), said("authrole"), said("authprovider")), ("ann", "owner", "dynamic"));
        }
        other => panic!("{other:?}"),
    }
    let (uri, message) = platform.refused(&realm, "ann", "spent").await;
    assert_eq!(uri, "wamp.error.authentication_denied");
    assert_eq!(message, "this ticket has been used; ask for a new one");
    let (uri, _) = platform.refused(&realm, "ann", "emperor ann").await;
    assert_eq!(uri, "wamp.error.authentication_failed", "an answer that makes no sense lets nobody in");
    let (uri, _) = platform.refused(TENANT_PREFIX, "ann", "owner ann").await;
    assert_eq!(uri, "wamp.error.invalid_uri");
    platform.server.stop().await;
    let questions = control_plane.await.unwrap();
    let first = &questions[0];
    assert_eq!(first["realm"], realm.as_str().into());
    assert_eq!(first["authmethod"], "ticket".into());
    let transport = first["transport"].as_map().unwrap();
    assert_eq!(transport["kind"], "websocket".into());
    assert!(transport["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    let caller = first["_caller"].as_map().unwrap();
    assert_eq!(caller["authrole"], "router".into(), "the control plane can tell who asks");
}

/// A control plane that dies over a question must not leave the client waiting.
#[tokio::test]
async fn the_control_plane_dies() {
    let platform = Platform::start().await;
    let mut control_plane = platform.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    control_plane.register(Authenticate::URI).await;
    let asking = async { platform.refused(&tenant("acme"), "ann", "owner ann").await };
    let dying = async {
        control_plane.invocation().await;
        drop(control_plane);
    };
    let ((uri, message), ()) = tokio::join!(asking, dying);
    assert_eq!(uri, "wamp.error.authentication_failed");
    assert!(message.contains("the callee left"), "{message}");
    platform.server.stop().await;
}

/// A control plane that is connected and keeps silent must not keep a client beyond its time to join, and the client
/// must learn whose fault it is.
#[tokio::test]
async fn the_control_plane_is_silent() {
    let platform = Platform::start().await;
    let mut control_plane = platform.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    control_plane.register(Authenticate::URI).await;
    let mut config = platform.server.config.clone();
    // Less than the router itself waits for an answer.
    config.limits.handshake_timeout_ms = 2_000;
    platform.server.reloader.reload(config).await.unwrap();
    let asking = async { platform.refused(&tenant("acme"), "ann", "owner ann").await };
    let ((uri, message), _) = tokio::join!(asking, control_plane.invocation());
    assert_eq!(uri, "wamp.error.authentication_failed");
    let expected = ["control plane did not answer", "limits.handshake_timeout_ms", "try again"];
    assert!(expected.iter().all(|words| message.contains(words)), "{message}");
    platform.server.stop().await;
}

/// The router's own session must come back when it is ended, every time: clients join, and sessions are ended, as before.
#[tokio::test]
async fn the_routers_own_session_comes_back() {
    let platform = Platform::start().await;
    let _control_plane = platform.control_plane().await;
    let mut control_plane = platform.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    for _ in 0..3 {
        let order =
            dict(&[("authid", "router".into()), ("realm", CONTROL.into()), ("reason", REASON.into())]);
        match control_plane.call(EndSessions::URI, Payload::new(vec![], order)).await {
            Message::Error(error) => assert_eq!(error.error, "wamp.error.canceled", "the callee is gone"),
            other => panic!("{other:?}"),
        }
        // It waits until the session is back.
        let mut ann = platform.join(&tenant("acme"), "ann", "owner ann").await;
        assert_eq!(end_sessions(&mut control_plane, "ann", None).await, 1);
        ended(&mut ann).await;
    }
    platform.server.stop().await;
}

/// Nobody but the control plane answers for it, and nobody but the router asks.
#[tokio::test]
async fn nobody_else_authenticates() {
    let platform = Platform::start().await;
    let _control_plane = platform.control_plane().await;
    let mut device = platform.join(CONTROL, "d1", "device d1").await;
    let request = device.request();
    device.send(Register { request, options: Dict::new(), procedure: Authenticate::URI.into() }).await;
    match device.receive().await {
        Message::Error(error) => assert_eq!(error.error, "wamp.error.not_authorized"),
        other => panic!("{other:?}"),
    }
    match device.call(Authenticate::URI, Payload::default()).await {
        Message::Error(error) => assert_eq!(error.error, "wamp.error.not_authorized"),
        other => panic!("{other:?}"),
    }
    platform.server.stop().await;
}

/// What happens in one tenant's realm stays there, and each role does what the catalogue says.
#[tokio::test]
async fn tenants_are_apart() {
    let platform = Platform::start().await;
    let _control_plane = platform.control_plane().await;
    let (acme, other) = (tenant("acme"), tenant("other"));
    let device: DeviceId = "d-0123456789ab".parse().unwrap();
    let (info, stats) = (DeviceInfo::on(&device), DeviceStats::on(&device));
    let ticket = format!("device {device}");
    let mut agent = platform.join(&acme, device.as_str(), &ticket).await;
    agent.register(&info).await;
    let mut owner = platform.join(&acme, "ann", "owner ann").await;
    let mut stranger = platform.join(&other, "bob", "owner bob").await;
    for client in [&mut owner, &mut stranger] {
        let request = client.request();
        let options = dict(&[("match", "wildcard".into())]);
        client.send(Subscribe { request, options, topic: DeviceStats::of_all_devices() }).await;
        assert!(matches!(client.receive().await, Message::Subscribed(_)));
    }
    agent.publish(&stats, Payload::of("load")).await;
    let event = owner.event().await;
    assert_eq!(event.details["topic"], stats.as_str().into());

    // The stranger's next message is the answer to its own call: no event came before it.
    match stranger.call(&info, Payload::default()).await {
        Message::Error(error) => assert_eq!(error.error, "wamp.error.no_such_procedure"),
        message => panic!("{message:?}"),
    }
    owner.begin_call(&info, Payload::default()).await;
    let invocation = agent.invocation().await;
    let caller = invocation.payload.kwargs().unwrap()["_caller"].as_map().unwrap();
    assert_eq!((&caller["authid"], &caller["authrole"]), (&"ann".into(), &"owner".into()));
    let error = dict(&[
        ("uri", ErrorKind::Engine.uri().into()),
        ("message", "the engine is down".into()),
        ("details", Value::Map(dict(&[("engine", "docker".into())]))),
    ]);
    let payload = Payload::new(vec![], dict(&[("error", Value::Map(error))]));
    agent.send(Yield { request: invocation.request, options: Dict::new(), payload }).await;
    match owner.receive().await {
        Message::Error(error) => {
            assert_eq!(error.error, ErrorKind::Engine.uri());
            assert_eq!(error.payload.args(), ["the engine is down".into()]);
            assert_eq!(error.payload.kwargs(), Some(&dict(&[("engine", "docker".into())])));
        }
        message => panic!("{message:?}"),
    }

    let mut again = platform.join(&acme, device.as_str(), &ticket).await;
    again.register(&info).await;
    owner.begin_call(&info, Payload::default()).await;
    again.invocation().await;

    // An agent may do nothing in another device's name, and nothing of the control plane's.
    let mut thief = platform.join(&acme, "d-ba9876543210", "device d-ba9876543210").await;
    for procedure in [info.as_str(), FleetReport::URI] {
        let request = thief.request();
        thief.send(Register { request, options: Dict::new(), procedure: procedure.into() }).await;
        match thief.receive().await {
            Message::Error(error) => assert_eq!(error.error, "wamp.error.not_authorized"),
            message => panic!("{message:?}"),
        }
    }
    platform.server.stop().await;
}

/// Whose access has ended must be gone at once, with a reason: on the realm that is named or on all of them, and
/// nobody else.
#[tokio::test]
async fn the_control_plane_ends_sessions() {
    let platform = Platform::start().await;
    let _control_plane = platform.control_plane().await;
    let mut control_plane = platform.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    let (acme, other) = (tenant("acme"), tenant("other"));
    let mut first = platform.join(&acme, "ann", "owner ann").await;
    let mut second = platform.join(&acme, "ann", "viewer ann").await;
    let mut elsewhere = platform.join(&other, "ann", "owner ann").await;
    let mut bob = platform.join(&acme, "bob", "owner bob").await;
    assert_eq!(end_sessions(&mut control_plane, "ann", Some(&acme)).await, 2);
    ended(&mut first).await;
    ended(&mut second).await;
    still_there(&mut elsewhere).await;
    assert_eq!(end_sessions(&mut control_plane, "ann", None).await, 1);
    ended(&mut elsewhere).await;
    assert_eq!(end_sessions(&mut control_plane, "ann", None).await, 0);
    still_there(&mut bob).await;
    // It says who was meant, not who may come: that is asked anew.
    platform.join(&acme, "ann", "owner ann").await;
    match control_plane.call(EndSessions::URI, Payload::default()).await {
        Message::Error(error) => assert_eq!(error.error, "wamp.error.invalid_argument"),
        other => panic!("{other:?}"),
    }
    platform.server.stop().await;
}

/// Access that ends at a set time must end for a session that is open too, with a reason.
#[tokio::test]
async fn a_session_ends_with_its_access() {
    let platform = Platform::start().await;
    let mut control_plane = platform.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    control_plane.register(Authenticate::URI).await;
    let mut clients = Vec::new();
    for ends_in_ms in [Some(300_u64), None, Some(u64::MAX >> 12)] {
        let joining = async { platform.join(&tenant("acme"), "ann", "owner ann").await };
        let deciding = async {
            let question = control_plane.invocation().await;
            let mut welcome = dict(&[("authid", "ann".into()), ("authrole", "owner".into())]);
            welcome.extend(ends_in_ms.map(|span| ("ends_in_ms".to_owned(), span.into())));
            let payload = Payload::new(vec![], dict(&[("ok", Value::Map(welcome))]));
            control_plane.send(Yield { request: question.request, options: Dict::new(), payload }).await;
        };
        clients.push(tokio::join!(joining, deciding).0);
    }
    match clients[0].receive().await {
        Message::Goodbye(goodbye) => {
            assert_eq!(goodbye.reason, "wamp.close.killed");
            assert!(goodbye.details["message"].as_str().unwrap().contains("no longer valid"));
        }
        other => panic!("{other:?} instead of GOODBYE"),
    }
    clients[0].hung_up().await;
    for client in &mut clients[1..] {
        still_there(client).await;
    }
    platform.server.stop().await;
}

/// Nobody but the control plane ends sessions, on the control realm only, and nobody takes the order in its place.
#[tokio::test]
async fn nobody_else_ends_sessions() {
    let platform = Platform::start().await;
    let _control_plane = platform.control_plane().await;
    let acme = tenant("acme");
    for (realm, authid, ticket) in [
        (CONTROL, "d1", "device d1"),
        (&acme, "d1", "device d1"),
        (&acme, "ann", "owner ann"),
        (&acme, CONTROL_PLANE_AUTHID, CONTROL_TICKET),
    ] {
        let mut client = platform.join(realm, authid, ticket).await;
        let order = dict(&[("authid", "ann".into()), ("reason", REASON.into())]);
        match client.call(EndSessions::URI, Payload::new(vec![], order)).await {
            Message::Error(error) => assert_eq!(error.error, "wamp.error.not_authorized", "{authid}"),
            other => panic!("{authid} got {other:?}"),
        }
    }
    for (authid, ticket) in [("d1", "device d1"), (CONTROL_PLANE_AUTHID, CONTROL_TICKET)] {
        let mut client = platform.join(CONTROL, authid, ticket).await;
        let request = client.request();
        client.send(Register { request, options: Dict::new(), procedure: EndSessions::URI.into() }).await;
        match client.receive().await {
            Message::Error(error) => assert_eq!(error.error, "wamp.error.not_authorized", "{authid}"),
            other => panic!("{authid} got {other:?}"),
        }
    }
    platform.server.stop().await;
}

/// Who was let in just before the access ended must not stay because it joins just after.
#[tokio::test]
async fn nobody_slips_in_while_access_ends() {
    let platform = Platform::start().await;
    let mut control_plane = platform.join(CONTROL, CONTROL_PLANE_AUTHID, CONTROL_TICKET).await;
    control_plane.register(Authenticate::URI).await;
    let joining = async { platform.join(&tenant("acme"), "ann", "owner ann").await };
    let ending = async {
        let question = control_plane.invocation().await;
        assert_eq!(end_sessions(&mut control_plane, "ann", None).await, 0);
        let welcome = dict(&[("authid", "ann".into()), ("authrole", "owner".into())]);
        let payload = Payload::new(vec![], dict(&[("ok", Value::Map(welcome))]));
        control_plane.send(Yield { request: question.request, options: Dict::new(), payload }).await;
    };
    let (mut ann, ()) = tokio::join!(joining, ending);
    match ann.receive().await {
        Message::Goodbye(goodbye) => assert_eq!(goodbye.reason, "wamp.close.killed"),
        other => panic!("{other:?} instead of GOODBYE"),
    }
    ann.hung_up().await;
    platform.server.stop().await;
}

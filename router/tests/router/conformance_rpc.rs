//! Calls as clients of every kind see them: what the state machine's own tests can't show.

use ecep_proto::codec::Serializer;
use ecep_proto::id::{RegistrationId, RequestId};
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::TransportKind;

use crate::client::{Client, dict};
use crate::server::{REALM, Server};

/// A client that can do everything, and its session id.
async fn able(server: &Server, kind: TransportKind, serializer: Serializer) -> (Client, u64) {
    let features = |names: &[&str]| {
        let features = names.iter().map(|name| ((*name).to_owned(), true.into())).collect();
        Value::Map(dict(&[("features", Value::Map(features))]))
    };
    let both = ["call_canceling", "payload_passthru_mode", "progressive_call_invocations"];
    let both = [&both[..], &["progressive_call_results"]].concat();
    let callee = [&both[..], &["registration_revocation"]].concat();
    let roles = Value::Map(dict(&[("caller", features(&both)), ("callee", features(&callee))]));
    let mut client = server.connect(kind, serializer).await;
    client.hello(REALM, dict(&[("roles", roles)])).await;
    match client.receive().await {
        Message::Welcome(welcome) => (client, welcome.session.get()),
        other => panic!("{other:?} instead of WELCOME"),
    }
}

/// Callers and callees, so that each transport and serializer is each once, and always with another one.
async fn pairs(server: &Server) -> Vec<(Client, Client)> {
    let mut ways = Vec::new();
    for kind in [TransportKind::WebSocket, TransportKind::RawSocket] {
        ways.extend(Serializer::ALL.map(|serializer| (kind, serializer)));
    }
    let mut pairs = Vec::new();
    for (at, (kind, serializer)) in ways.iter().enumerate() {
        let (other_kind, other) = ways[(at + 1) % ways.len()];
        let (caller, _) = able(server, *kind, *serializer).await;
        let (callee, _) = able(server, other_kind, other).await;
        pairs.push((caller, callee));
    }
    pairs
}

async fn register(client: &mut Client, procedure: &str, options: Dict) -> RegistrationId {
    let request = client.request();
    client.send(Register { request, options, procedure: procedure.into() }).await;
    match client.receive().await {
        Message::Registered(registered) => registered.registration,
        other => panic!("{other:?} instead of REGISTERED"),
    }
}

async fn call(client: &mut Client, procedure: &str, options: Dict, payload: Payload) -> RequestId {
    let request = client.request();
    client.send(Call { request, options, procedure: procedure.into(), payload }).await;
    request
}

async fn answer(client: &mut Client, request: RequestId, options: Dict, payload: Payload) {
    client.send(Yield { request, options, payload }).await;
}

async fn failed(client: &mut Client, request: RequestId) -> String {
    match client.receive().await {
        Message::Error(error) => {
            assert_eq!((error.request_type, error.request), (Call::CODE, request));
            error.error
        }
        other => panic!("{other:?} instead of ERROR"),
    }
}

async fn interrupted(client: &mut Client) -> (RequestId, String) {
    match client.receive().await {
        Message::Interrupt(interrupt) => {
            (interrupt.request, interrupt.options["mode"].as_str().unwrap().to_owned())
        }
        other => panic!("{other:?} instead of INTERRUPT"),
    }
}

fn progress() -> Dict {
    dict(&[("progress", true.into())])
}

/// Pieces of calls and results arrive in their order, with the bytes that are in them.
#[tokio::test]
async fn pieces_both_ways() {
    let server = Server::open().await;
    for (mut caller, mut callee) in pairs(&server).await {
        let registration = register(&mut callee, "com.stream", Dict::new()).await;
        let mut options = progress();
        options.insert("receive_progress".into(), true.into());
        let bytes = |number: u8| Payload::of(Value::Bytes(vec![0, 255, number]));
        let request = call(&mut caller, "com.stream", options.clone(), bytes(0)).await;
        let first = callee.invocation().await;
        assert_eq!((&first.details, &first.payload), (&options, &bytes(0)));
        for number in 1..4 {
            answer(&mut callee, first.request, progress(), bytes(number)).await;
            let piece = CallResult { request, details: progress(), payload: bytes(number) };
            assert_eq!(caller.receive().await, piece.into());
            let (options, payload) = (if number < 3 { progress() } else { Dict::new() }, bytes(10 + number));
            caller.send(Call { request, options, procedure: "com.stream".into(), payload }).await;
            let more = callee.invocation().await;
            assert_eq!((more.request, more.payload), (first.request, bytes(10 + number)));
        }
        answer(&mut callee, first.request, Dict::new(), Payload::default()).await;
        let end = CallResult { request, details: Dict::new(), payload: Payload::default() };
        assert_eq!(caller.receive().await, end.into());
        let request = callee.request();
        callee.send(Unregister { request, registration }).await;
        callee.receive().await;
    }
    server.stop().await;
}

/// A call ends when its caller wants it, when its time is up, and when its caller is gone; its callee is told.
#[tokio::test]
async fn calls_end() {
    let server = Server::open().await;
    for (number, (mut caller, mut callee)) in pairs(&server).await.into_iter().enumerate() {
        let procedure = format!("com.slow.{number}");
        register(&mut callee, &procedure, Dict::new()).await;
        for mode in ["kill", "killnowait"] {
            let request = call(&mut caller, &procedure, Dict::new(), Payload::default()).await;
            let invocation = callee.invocation().await.request;
            caller.send(Cancel { request, options: dict(&[("mode", mode.into())]) }).await;
            assert_eq!(interrupted(&mut callee).await, (invocation, mode.to_owned()));
            let (request_type, details) = (Invocation::CODE, Dict::new());
            let (error, payload) = ("com.stopped".to_owned(), Payload::default());
            callee.send(Error { request_type, request: invocation, details, error, payload }).await;
            let expected = if mode == "kill" { "com.stopped" } else { "wamp.error.canceled" };
            assert_eq!(failed(&mut caller, request).await, expected);
        }
        let options = dict(&[("timeout", 20_i64.into())]);
        let request = call(&mut caller, &procedure, options, Payload::default()).await;
        let invocation = callee.invocation().await.request;
        assert_eq!(failed(&mut caller, request).await, "wamp.error.timeout");
        assert_eq!(interrupted(&mut callee).await, (invocation, "killnowait".to_owned()));
        call(&mut caller, &procedure, Dict::new(), Payload::default()).await;
        let invocation = callee.invocation().await.request;
        drop(caller);
        assert_eq!(interrupted(&mut callee).await, (invocation, "killnowait".to_owned()));
    }
    server.stop().await;
}

/// A wrong mode is a violation, and so is an answer to what was never asked.
#[tokio::test]
async fn violations() {
    let server = Server::open().await;
    for (mut caller, mut callee) in pairs(&server).await {
        let request = caller.request();
        caller.send(Cancel { request, options: dict(&[("mode", "softly".into())]) }).await;
        let (reason, text) = caller.aborted().await;
        assert!(reason == "wamp.error.protocol_violation" && text.contains("killnowait"), "{text}");
        answer(&mut callee, request, Dict::new(), Payload::default()).await;
        let (reason, text) = callee.aborted().await;
        assert!(reason == "wamp.error.protocol_violation" && text.contains("no INVOCATION 1"), "{text}");
    }
    server.stop().await;
}

/// Several callees, each of another kind: each gets its turn, and what one can't take the next one gets unchanged.
#[tokio::test]
async fn shared_and_rerouted() {
    let server = Server::open().await;
    let mut caller = server.join().await;
    let mut callees = Vec::new();
    for (_, mut callee) in pairs(&server).await {
        register(&mut callee, "com.shared", dict(&[("invoke", "roundrobin".into())])).await;
        callees.push(callee);
    }
    let payload = Payload::new(vec![Value::Bytes(vec![0, 7])], dict(&[("text", "bytes".into())]));
    let request = call(&mut caller, "com.shared", Dict::new(), payload.clone()).await;
    for callee in &mut callees {
        let invocation = callee.invocation().await;
        assert_eq!(invocation.payload, payload);
        let (request_type, details) = (Invocation::CODE, Dict::new());
        let error = "wamp.error.unavailable".to_owned();
        let request = invocation.request;
        callee.send(Error { request_type, request, details, error, payload: Payload::of("busy") }).await;
    }
    match caller.receive().await {
        Message::Error(error) => {
            assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.no_available_callee"));
            assert_eq!(error.payload, Payload::of("busy"));
        }
        other => panic!("{other:?}"),
    }
    for callee in &mut callees {
        call(&mut caller, "com.shared", Dict::new(), Payload::default()).await;
        let invocation = callee.invocation().await.request;
        answer(callee, invocation, Dict::new(), Payload::default()).await;
        assert!(matches!(caller.receive().await, Message::CallResult(_)));
    }
    server.stop().await;
}

/// A payload that the router does not look into arrives as it was, with the options that tell how to read it.
#[tokio::test]
async fn passthru() {
    let server = Server::open().await;
    for (number, (mut caller, mut callee)) in pairs(&server).await.into_iter().enumerate() {
        let procedure = format!("com.secret.{number}");
        register(&mut callee, &procedure, Dict::new()).await;
        let options = dict(&[("ppt_scheme", "x_my".into()), ("ppt_serializer", "cbor".into())]);
        let payload = Payload::of(Value::Bytes(vec![0, 1, 254, 255]));
        let request = call(&mut caller, &procedure, options.clone(), payload.clone()).await;
        let invocation = callee.invocation().await;
        assert_eq!((&invocation.details, &invocation.payload), (&options, &payload));
        answer(&mut callee, invocation.request, options.clone(), payload.clone()).await;
        let expected = CallResult { request, details: options, payload };
        assert_eq!(caller.receive().await, expected.into());
    }
    server.stop().await;
}

/// A registration that is taken away is no answer to any request of its callee.
#[tokio::test]
async fn revocations() {
    let server = Server::open().await;
    let mut operator = server.join().await;
    for kind in [TransportKind::WebSocket, TransportKind::RawSocket] {
        for serializer in Serializer::ALL {
            let (mut callee, session) = able(&server, kind, serializer).await;
            let options = dict(&[("match", "prefix".into())]);
            let registration = register(&mut callee, "com.pattern.", options).await;
            call(&mut operator, "com.pattern.x", Dict::new(), Payload::default()).await;
            let invocation = callee.invocation().await;
            assert_eq!(invocation.details, dict(&[("procedure", "com.pattern.x".into())]));
            answer(&mut callee, invocation.request, Dict::new(), Payload::default()).await;
            operator.receive().await;
            let args = vec![registration.get().into(), session.into()];
            let payload = Payload::new(args, dict(&[("reason", "enough".into())]));
            let removed = operator.call("wamp.registration.remove_callee", payload).await;
            assert!(matches!(removed, Message::CallResult(_)), "{removed:?}");
            assert_eq!(callee.receive().await, Unregistered::revoked(registration, "enough").into());
        }
    }
    server.stop().await;
}

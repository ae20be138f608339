//! What a client of our own serves in the realm of the scripts: procedures that need features which some of the other
//! clients lack.

use std::collections::HashMap;

use ecep_proto::codec::Serializer;
use ecep_proto::id::RegistrationId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::TransportKind;

use super::INTEROP;
use crate::client::{Client, dict};
use crate::server::Server;

/// The procedures; the last one ends only by INTERRUPT.
const PROCEDURES: [&str; 4] = ["com.rust.echo", "com.rust.fail", "com.rust.count", "com.rust.endless"];

/// Serves until the router ends. Also leaves an event for whoever comes later.
pub async fn serve(server: &Server) {
    let mut client = connect(server).await;
    let mut procedures = HashMap::new();
    for procedure in PROCEDURES {
        procedures.insert(client.register(procedure).await, procedure);
    }
    let request = client.request();
    let options = dict(&[("acknowledge", true.into()), ("retain", true.into())]);
    client
        .send(Publish { request, options, topic: "com.rust.kept".into(), payload: Payload::of("kept") })
        .await;
    assert!(matches!(client.receive().await, Message::Published(_)));
    tokio::spawn(async move {
        while let Some(message) = client.try_receive().await {
            match message {
                Message::Invocation(invocation) => answer(&mut client, &procedures, invocation).await,
                Message::Interrupt(Interrupt { request, options }) => {
                    let (topic, payload) = ("com.rust.interrupted", Payload::of(options["mode"].clone()));
                    fail(&mut client, request, topic, payload.clone()).await;
                    let request = client.request();
                    client
                        .send(Publish { request, options: Dict::new(), topic: topic.into(), payload })
                        .await;
                }
                Message::Goodbye(_) => break,
                other => panic!("{other:?}"),
            }
        }
    });
}

/// A client that can all that a callee can.
pub async fn connect(server: &Server) -> Client {
    let mut client = server.connect(TransportKind::RawSocket, Serializer::MsgPack).await;
    let features = dict(&[("call_canceling", true.into()), ("progressive_call_results", true.into())]);
    let features = Value::Map(dict(&[("features", Value::Map(features))]));
    let nothing = Value::Map(Dict::new());
    let roles = [
        ("callee", features),
        ("caller", nothing.clone()),
        ("publisher", nothing.clone()),
        ("subscriber", nothing),
    ];
    client.hello(INTEROP, dict(&[("roles", Value::Map(dict(&roles)))])).await;
    assert!(matches!(client.receive().await, Message::Welcome(_)));
    client
}

async fn answer(
    client: &mut Client,
    procedures: &HashMap<RegistrationId, &'static str>,
    invocation: Invocation,
) {
    let (request, payload) = (invocation.request, invocation.payload);
    match procedures[&invocation.registration] {
        "com.rust.echo" => {
            let payload = Payload::of(Value::List(payload.args().to_vec()));
            client.send(Yield { request, options: Dict::new(), payload }).await;
        }
        "com.rust.fail" => fail(client, request, "com.rust.error", payload).await,
        "com.rust.count" => {
            if invocation.details.get("receive_progress") == Some(&true.into()) {
                for number in 0..payload.args()[0].as_u64().unwrap() {
                    let options = dict(&[("progress", true.into())]);
                    client.send(Yield { request, options, payload: Payload::of(number) }).await;
                }
            }
            client.send(Yield { request, options: Dict::new(), payload: Payload::of("done") }).await;
        }
        _ => {}
    }
}

async fn fail(client: &mut Client, request: ecep_proto::id::RequestId, error: &str, payload: Payload) {
    let (request_type, error) = (Invocation::CODE, error.to_owned());
    client.send(Error { request_type, request, details: Dict::new(), error, payload }).await;
}

//! What `wamp_async` can, in a realm that treats it like any other client.

use serde_json::{Value, json};
use wamp_async::{ClientConfig, SerializerType, WampArgs, WampError, WampKwArgs};

use super::{Agent, Answer};
use crate::client::within;
use crate::server::{REALM, Server};

async fn echo(args: Option<WampArgs>, kwargs: Option<WampKwArgs>) -> Answer {
    Ok((args, kwargs))
}

/// The first argument of what the router answers.
async fn ask(agent: &Agent, procedure: &str, args: WampArgs) -> Value {
    let answer = within("an answer", agent.client.call(procedure, Some(args), None)).await.unwrap();
    answer.0.unwrap_or_default().into_iter().next().unwrap_or(Value::Null)
}

fn uri(error: WampError) -> String {
    match error {
        WampError::ServerError(uri, _) => uri,
        other => panic!("{other:?}"),
    }
}

/// It offers its subprotocols without a space between them, in either order; any serializer does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_events() {
    let server = Server::open().await;
    for serializers in [
        vec![SerializerType::Json, SerializerType::MsgPack],
        vec![SerializerType::MsgPack, SerializerType::Json],
    ] {
        let config = || ClientConfig::default().set_serializers(serializers.clone());
        let one = Agent::join_with(&server, REALM, config()).await;
        let two = Agent::join_with(&server, REALM, config()).await;

        let registration = within("REGISTERED", one.client.register("com.echo", echo)).await.unwrap();
        let args = vec![json!("ü"), json!(-1), json!(0.5), json!(null), json!([{ "k": [] }])];
        let kwargs = json!({ "key": true }).as_object().cloned();
        let echoed = within("RESULT", two.client.call("com.echo", Some(args.clone()), kwargs.clone())).await;
        assert_eq!(echoed.unwrap(), (Some(args.clone()), kwargs.clone()));
        let taken = within("ERROR", two.client.register("com.echo", echo)).await.unwrap_err();
        assert_eq!(uri(taken), "wamp.error.procedure_already_exists");
        within("UNREGISTERED", one.client.unregister(registration)).await.unwrap();
        let gone = within("ERROR", two.client.call("com.echo", None, None)).await.unwrap_err();
        assert_eq!(uri(gone), "wamp.error.no_such_procedure");

        let (subscription, mut events) =
            within("SUBSCRIBED", one.client.subscribe("com.topic")).await.unwrap();
        let publish = two.client.publish("com.topic", Some(args.clone()), kwargs.clone(), true);
        let publication = within("PUBLISHED", publish).await.unwrap();
        let (id, event_args, event_kwargs) = within("EVENT", events.recv()).await.unwrap();
        assert_eq!((Some(id), event_args, event_kwargs), (publication, Some(args), kwargs));
        within("UNSUBSCRIBED", one.client.unsubscribe(subscription)).await.unwrap();

        one.leave().await;
        two.leave().await;
    }
    server.stop().await;
}

/// Meta procedures are calls, and meta events are events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meta() {
    let server = Server::open().await;
    let one = Agent::join(&server, REALM).await;
    let (_, mut joined) = within("SUBSCRIBED", one.client.subscribe("wamp.session.on_join")).await.unwrap();
    let (_, mut created) =
        within("SUBSCRIBED", one.client.subscribe("wamp.registration.on_create")).await.unwrap();
    let (_, mut wills) = within("SUBSCRIBED", one.client.subscribe("com.will")).await.unwrap();

    let two = Agent::join(&server, REALM).await;
    let (_, args, _) = within("EVENT", joined.recv()).await.unwrap();
    let session = args.unwrap()[0]["session"].clone();
    assert_eq!(ask(&one, "wamp.session.get", vec![session.clone()]).await["session"], session);

    let registration = two.register("com.echo", echo).await;
    let (_, args, _) = within("EVENT", created.recv()).await.unwrap();
    assert_eq!(args.unwrap()[1]["id"], json!(registration));
    assert_eq!(ask(&one, "wamp.registration.match", vec![json!("com.echo")]).await, json!(registration));
    let callees = ask(&one, "wamp.registration.list_callees", vec![json!(registration)]).await;
    assert_eq!(callees, json!([session]));

    ask(&two, "wamp.session.add_testament", vec![json!("com.will"), json!(["bye"]), json!({})]).await;
    ask(&one, "wamp.session.kill", vec![session]).await;
    let (_, args, _) = within("EVENT", wills.recv()).await.unwrap();
    assert_eq!(args, Some(vec![json!("bye")]));
    within("the end of the killed one", two.life).await.unwrap();

    server.stop().await;
    within("the end of the other one", one.life).await.unwrap();
}

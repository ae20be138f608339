//! Shares of devices between tenants, as their owners agree on them.

use serde_json::{Value, json};

use crate::support::{Device, Person, Server};

/// Maria owns `acme` with a device, Gus owns `globex`.
async fn scene() -> (Server, Person, Person, String) {
    let server = Server::start().await;
    let maria = server.set_up().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let gus =
        server.add_person(&maria, "gus@example.org", json!([{ "tenant": "globex", "role": "owner" }])).await;
    let (_, token) = maria.join_token(1).await;
    let answer = server.visitor().post("/api/device/enrol", Device::new(1).enrolment(&token, "Edge 1")).await;
    let device = answer.json()["device"].as_str().unwrap().to_owned();
    (server, maria, gus, device)
}

fn shares_of(device: &str) -> String {
    format!("/api/tenants/acme/devices/{device}/shares")
}

fn offer(tenant: &str) -> Value {
    json!({ "tenant": tenant, "terms": { "quota": { "cpus": 1.5 }, "allow": ["move_in", "publish_ports", "move_in"] } })
}

/// Nobody gets a strange device into his list, and nobody can try out which tenants there are.
#[tokio::test]
async fn an_offer_tells_nothing_and_waits_for_the_other_owner() {
    let (_server, maria, gus, device) = scene().await;
    let path = shares_of(&device);
    let real = maria.post(&path, offer("globex")).await;
    let guessed = maria.post(&path, offer("no-such-tenant")).await;
    assert_eq!((real.status.as_u16(), guessed.status.as_u16()), (201, 201));
    let comparable = |answer: &Value| {
        let mut answer = answer.clone();
        (answer["tenant"], answer["offered_at"]) = (Value::Null, Value::Null);
        answer
    };
    assert_eq!(comparable(&real.json()), comparable(&guessed.json()));
    assert_eq!(real.json()["terms"]["allow"], json!(["publish_ports", "move_in"]));
    maria.post(&path, offer("globex")).await.problem(409);
    maria.post(&path, offer("acme")).await.problem(400);
    maria.post(&path, json!({ "tenant": "x", "terms": { "quota": { "cpus": 0.0 } } })).await.problem(400);

    let offers = gus.get("/api/tenants/globex/shares").await.json();
    assert_eq!((&offers[0]["device"], &offers[0]["owner_name"]), (&json!(device), &json!("Acme")));
    assert_eq!(offers[0]["state"], "offered");
    let answer = format!("/api/tenants/globex/shares/{device}");
    assert_eq!(gus.post(&answer, json!({})).await.status, 204);
    assert_eq!(gus.post(&answer, json!({})).await.status, 204, "the same again");
    let shares = maria.get(&path).await.json();
    assert_eq!((&shares[0]["tenant"], &shares[0]["state"]), (&json!("globex"), &json!("accepted")));
}

/// Terms are changed by the owner alone; a device that never ran is let go at once, and a share that is over is nowhere.
#[tokio::test]
async fn terms_are_changed_and_shares_end() {
    let (server, maria, gus, device) = scene().await;
    let (path, answer) = (shares_of(&device), format!("/api/tenants/globex/shares/{device}"));
    maria.post(&path, offer("globex")).await;
    gus.post(&answer, json!({})).await;
    let of_gus = format!("{path}/globex");
    let change = json!({ "terms": { "quota": { "containers": 3 } } });
    let put = async |person: &Person, path: &str| {
        person.send(reqwest::Method::PUT, path, Some(change.clone())).await
    };
    assert_eq!(put(&maria, &of_gus).await.json()["terms"]["quota"]["containers"], 3);
    put(&maria, &format!("{path}/initech")).await.problem(404);
    put(&gus, &of_gus).await.problem(404);
    put(&gus, &format!("/api/tenants/globex/devices/{device}/shares/globex")).await.problem(404);

    // It outlives a restart.
    let server = server.restart(crate::support::NO_ROUTER).await;
    let mut maria = server.visitor();
    maria.login(crate::support::EMAIL, crate::support::PASSWORD).await;
    assert_eq!(maria.get(&path).await.json()[0]["state"], "accepted");
    let ended = maria.post(&format!("{of_gus}/end"), json!({})).await.json();
    assert_eq!(ended, json!({ "ended": true, "containers": [] }));
    assert_eq!(maria.get(&path).await.json(), json!([]));
    maria.post(&format!("{of_gus}/end"), json!({})).await.problem(404);
}

/// What is declined is gone, and another tenant's offers and devices are not there for anybody else.
#[tokio::test]
async fn offers_are_for_their_tenant_alone() {
    let (server, maria, gus, device) = scene().await;
    let (path, answer) = (shares_of(&device), format!("/api/tenants/globex/shares/{device}"));
    gus.post(&answer, json!({})).await.problem(404);
    maria.post(&path, offer("globex")).await;
    let viewer =
        server.add_person(&maria, "v@example.org", json!([{ "tenant": "globex", "role": "viewer" }])).await;
    viewer.post(&answer, json!({})).await.problem(403);
    viewer.get("/api/tenants/globex/shares").await.problem(403);
    gus.get(&path).await.problem(404);
    gus.get(&format!("/api/tenants/globex/devices/{device}/shares")).await.problem(404);
    assert_eq!(gus.delete(&answer).await.status, 204);
    assert_eq!(gus.get("/api/tenants/globex/shares").await.json(), json!([]));
    assert_eq!(maria.get(&path).await.json(), json!([]));
    gus.delete(&answer).await.problem(404);
}

/// A tenant that still has a share must not be deleted: the device would go on with realm and terms of nobody. An offer that it
/// never accepted holds nobody up, and a deleted tenant accepts none.
#[tokio::test]
async fn a_tenant_with_a_share_is_not_deleted() {
    let (_server, maria, gus, device) = scene().await;
    let (path, answer) = (shares_of(&device), format!("/api/tenants/globex/shares/{device}"));
    maria.post(&path, offer("globex")).await;
    gus.post(&answer, json!({})).await;
    let delete = async || {
        maria.send(reqwest::Method::DELETE, "/api/tenants/globex", Some(json!({ "confirm": "globex" }))).await
    };
    assert!(delete().await.problem(409).contains("leave these shares"));
    assert_eq!(gus.delete(&answer).await.status, 204);
    maria.post(&path, offer("globex")).await;
    assert_eq!(delete().await.status, 204);
    gus.post(&answer, json!({})).await.problem(404);
    assert_eq!(maria.get(&path).await.json()[0]["state"], "offered", "which tells nothing of the tenant");
}

/// Who shares a device is shown by the name of now.
#[tokio::test]
async fn a_renamed_owner_shows_in_offers() {
    let (_server, maria, gus, device) = scene().await;
    maria.post(&shares_of(&device), offer("globex")).await;
    assert_eq!(maria.patch("/api/tenants/acme", json!({ "name": "Acme & Sons" })).await.status, 204);
    let offers = gus.get("/api/tenants/globex/shares").await.json();
    assert_eq!(offers[0]["owner_name"], "Acme & Sons");
}

/// Only a person who owns the tenant makes a token for one device, and only for one of the tenant's own.
#[tokio::test]
async fn a_token_for_one_device_is_for_an_own_device() {
    let (_server, maria, gus, device) = scene().await;
    let wanted = json!({ "uses": 1, "valid_seconds": 600, "device": device });
    gus.post("/api/tenants/globex/join-tokens", wanted.clone()).await.problem(404);
    gus.post("/api/tenants/acme/join-tokens", wanted.clone()).await.problem(404);
    maria.post(&shares_of(&device), offer("globex")).await;
    gus.post(&format!("/api/tenants/globex/shares/{device}"), json!({})).await;
    gus.post("/api/tenants/globex/join-tokens", wanted.clone()).await.problem(404);
    assert_eq!(maria.post("/api/tenants/acme/join-tokens", wanted).await.status, 201);
    let tokens = maria.get("/api/tenants/acme/join-tokens").await.json();
    // They are listed by their ids, which are random.
    assert!(tokens.as_array().unwrap().iter().any(|token| token["device"] == json!(device)), "{tokens}");
}

/// One tenant must not use up all offers that another may get: its people could be offered nothing by anybody else.
#[tokio::test]
async fn one_owner_leaves_room_for_the_offers_of_others() {
    let (server, maria, gus, device) = scene().await;
    let (_, token) = maria.join_token(20).await;
    let visitor = server.visitor();
    let mut devices = vec![device];
    for seed in 2..=21 {
        let enrolled = visitor.post("/api/device/enrol", Device::new(seed).enrolment(&token, "Edge")).await;
        devices.push(enrolled.json()["device"].as_str().unwrap().to_owned());
    }
    let last = devices.pop().unwrap();
    for device in &devices {
        assert_eq!(maria.post(&shares_of(device), offer("globex")).await.status, 201);
    }
    let refused = maria.post(&shares_of(&last), offer("globex")).await;
    assert!(refused.problem(429).contains("your offers wait"), "{refused:?}");
    assert_eq!(gus.post(&format!("/api/tenants/globex/shares/{}", devices[0]), json!({})).await.status, 204);
    assert_eq!(maria.post(&shares_of(&last), offer("globex")).await.status, 201);
}

//! Keys of devices: changed, ordered to be changed, replaced; and a device's name and place.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_proto::api::enrol::rotate_text;
use ed25519_dalek::Signer;
use serde_json::{Value, json};

use crate::support::{Device, Person, Server, now};

/// A device that maria's tenant has enrolled.
async fn enrolled(server: &Server, maria: &Person, device: &Device) -> String {
    let (_, token) = maria.join_token(1).await;
    let answer = server.visitor().post("/api/device/enrol", device.enrolment(&token, "Edge 1")).await;
    answer.json()["device"].as_str().unwrap().to_owned()
}

async fn may_join(server: &Server, device: &Device, id: &str, nonce: u8) -> bool {
    server.visitor().post("/api/device/session", device.session(id, now(), [nonce; 16])).await.status == 200
}

fn rotation(old: &Device, new: &Device, id: &str, nonce: u8) -> Value {
    let (at, nonce) = (now(), STANDARD_NO_PAD.encode([nonce; 16]));
    let text = rotate_text(&id.parse().unwrap(), &new.public_key(), at, &nonce);
    let sign = |device: &Device| STANDARD_NO_PAD.encode(device.key.sign(text.as_bytes()).to_bytes());
    json!({ "device": id, "public_key": new.public_key(), "at": at, "nonce": nonce, "signature": sign(old), "new_signature": sign(new) })
}

async fn key_of(maria: &Person) -> Value {
    maria.get("/api/tenants/acme/devices").await.json()[0]["key"].clone()
}

/// Both keys are good until the new one was used once; so an agent that is killed anywhere is never locked out.
#[tokio::test]
async fn a_changed_key_replaces_the_old_one_once_it_is_used() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (old, lost, new) = (Device::new(1), Device::new(2), Device::new(3));
    let id = enrolled(&server, &maria, &old).await;
    let before = key_of(&maria).await;
    assert_eq!(before["state"], "current");
    maria.post(&format!("/api/tenants/acme/devices/{id}/rotate-key"), json!({})).await;
    assert_eq!(key_of(&maria).await["state"], "rotation_ordered");

    let visitor = server.visitor();
    let answer = visitor.post("/api/device/rotate-key", rotation(&old, &lost, &id, 1)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(key_of(&maria).await["state"], "rotating");
    // The agent was killed and has lost the key that it had just made: it makes another one.
    let answer = visitor.post("/api/device/rotate-key", rotation(&old, &new, &id, 2)).await;
    assert!(answer.json()["papers"]["certificate"].is_string(), "{answer:?}");
    assert!(!may_join(&server, &lost, &id, 3).await);
    assert!(may_join(&server, &old, &id, 4).await, "still good");
    // The answer to the change was lost: the same again is the same.
    assert_eq!(visitor.post("/api/device/rotate-key", rotation(&old, &new, &id, 5)).await.status, 200);

    let server = server.restart(crate::support::NO_ROUTER).await;
    let mut maria = server.visitor();
    maria.login(crate::support::EMAIL, crate::support::PASSWORD).await;
    assert!(may_join(&server, &new, &id, 6).await);
    assert!(!may_join(&server, &old, &id, 7).await, "dead from the first use of the new one on");
    let after = key_of(&maria).await;
    assert_eq!(after["state"], "current");
    assert_ne!(after["fingerprint"], before["fingerprint"]);
    // The old key may be another device's now.
    assert_ne!(enrolled(&server, &maria, &old).await, id);
}

/// Only a device itself changes its key: by a key that is good, to one that it holds and nobody else has.
#[tokio::test]
async fn a_key_is_changed_only_by_its_device() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (device, thief, other) = (Device::new(1), Device::new(2), Device::new(3));
    let id = enrolled(&server, &maria, &device).await;
    enrolled(&server, &maria, &other).await;
    let visitor = server.visitor();
    let post = async |request: Value| visitor.post("/api/device/rotate-key", request).await;
    assert!(post(rotation(&thief, &thief, &id, 1)).await.problem(403).contains("enrolled here"));
    let mut unproved = rotation(&device, &thief, &id, 2);
    unproved["new_signature"] = unproved["signature"].clone();
    assert!(post(unproved).await.problem(403).contains("new key"));
    assert!(post(rotation(&device, &other, &id, 3)).await.problem(409).contains("another device"));
    let good = rotation(&device, &thief, &id, 4);
    assert_eq!(post(good.clone()).await.status, 200);
    post(good).await.problem(409);
}

/// A wiped device comes back as itself; its old key is dead at once, and the token is for it alone.
#[tokio::test]
async fn a_wiped_device_comes_back_as_itself() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (old, new, other) = (Device::new(1), Device::new(2), Device::new(3));
    let id = enrolled(&server, &maria, &old).await;
    let tokens = "/api/tenants/acme/join-tokens";
    let wanted = |uses: u32, device: &str| json!({ "uses": uses, "valid_seconds": 3_600, "device": device });
    maria.post(tokens, wanted(1, "no-such-device")).await.problem(404);
    assert!(maria.post(tokens, wanted(2, &id)).await.problem(400).contains("one use"));
    let token = maria.post(tokens, wanted(1, &id)).await.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(
        maria
            .get(tokens)
            .await
            .json()
            .as_array()
            .unwrap()
            .iter()
            .filter(|token| token["device"] == id.as_str())
            .count(),
        1
    );

    let visitor = server.visitor();
    let again = visitor.post("/api/device/enrol", new.enrolment(&token, "another name")).await.json();
    assert_eq!(again["device"], id.as_str());
    assert!(!may_join(&server, &old, &id, 1).await);
    assert!(may_join(&server, &new, &id, 2).await);
    let devices = maria.get("/api/tenants/acme/devices").await.json();
    assert_eq!((devices.as_array().unwrap().len(), &devices[0]["name"]), (1, &json!("Edge 1")));
    // A lost answer costs nothing; another device gets nothing by it.
    assert_eq!(
        visitor.post("/api/device/enrol", new.enrolment(&token, "x")).await.json()["device"],
        id.as_str()
    );
    visitor.post("/api/device/enrol", other.enrolment(&token, "x")).await.problem(403);
}

/// A place that is on the map gets there; an owner changes name and place, and nobody else does.
#[tokio::test]
async fn a_device_has_a_place() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let id = enrolled(&server, &maria, &Device::new(1)).await;
    let first = maria.get("/api/tenants/acme/devices").await.json()[0].clone();
    assert_eq!(first["place"], "San José");
    assert!(
        (first["location"]["lat"].as_f64().unwrap() - 37.339).abs() < 0.1,
        "the largest of that name: {first}"
    );
    let path = format!("/api/tenants/acme/devices/{id}");
    let edit = async |change: Value| maria.send(reqwest::Method::PATCH, &path, Some(change)).await;
    let moved = edit(json!({ "name": "Edge two", "place": "munich" })).await.json();
    assert_eq!((&moved["name"], &moved["place"]), (&json!("Edge two"), &json!("munich")));
    assert!((moved["location"]["lon"].as_f64().unwrap() - 11.575).abs() < 0.1, "{moved}");
    let lab = edit(json!({ "place": "Lab 3" })).await.json();
    assert_eq!((&lab["place"], &lab["location"]), (&json!("Lab 3"), &Value::Null));
    let lab = edit(json!({ "location": { "lat": 1.5, "lon": 2.5 } })).await.json();
    assert_eq!((&lab["place"], &lab["location"]["lat"]), (&json!("Lab 3"), &json!(1.5)));
    assert_eq!(edit(json!({ "place": "48.1, 11.5" })).await.json()["location"]["lat"], 48.1);
    assert_eq!(edit(json!({ "place": "" })).await.json()["place"], Value::Null);
    edit(json!({ "location": { "lat": 100, "lon": 0 } })).await.problem(400);
    edit(json!({ "name": "" })).await.problem(400);
    let operator =
        server.add_person(&maria, "op@example.org", json!([{ "tenant": "acme", "role": "operator" }])).await;
    operator.send(reqwest::Method::PATCH, &path, Some(json!({ "name": "x" }))).await.problem(403);
}

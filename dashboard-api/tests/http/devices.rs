//! Enrolment and sessions of devices.

use ecep_proto::api::{enrol::CLOCK_TOLERANCE_MS, realm};
use serde_json::{Value, json};

use crate::support::{Device, Person, Server, now};

async fn enrol(server: &Server, device: &Device, token: &str) -> Value {
    let answer = server.visitor().post("/api/device/enrol", device.enrolment(token, "Edge 1")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn uses_left(owner: &Person) -> u64 {
    owner.get("/api/tenants/acme/join-tokens").await.json()[0]["uses_left"].as_u64().unwrap()
}

/// A lost answer must not cost a use or make a second device; another key is another device.
#[tokio::test]
async fn the_same_key_is_the_same_device() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (_, token) = maria.join_token(2).await;
    let (one, two, three) = (Device::new(1), Device::new(2), Device::new(3));
    let first = enrol(&server, &one, &token).await;
    assert_eq!(first["tenant_name"], "Acme");
    assert!(first["device"].as_str().unwrap().starts_with("edge-1-"), "{first}");
    assert_eq!(uses_left(&maria).await, 1);
    assert_eq!(enrol(&server, &one, &token).await["device"], first["device"]);
    assert_eq!(uses_left(&maria).await, 1);
    assert_ne!(enrol(&server, &two, &token).await["device"], first["device"]);
    assert_eq!(uses_left(&maria).await, 0);
    // Spent for a new key, still good for a known one.
    let spent =
        server.visitor().post("/api/device/enrol", three.enrolment(&token, "Edge 3")).await.problem(403);
    assert!(spent.contains("as often as it may"), "{spent}");
    assert_eq!(enrol(&server, &one, &token).await["device"], first["device"]);
}

/// Many devices at once must not get more places than the token has.
#[tokio::test]
async fn a_token_is_never_used_more_often_than_it_may() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (_, token) = maria.join_token(3).await;
    let requests = (1..=12).map(|seed| {
        let (visitor, body) = (server.visitor(), Device::new(seed).enrolment(&token, "Edge"));
        tokio::spawn(async move { visitor.post("/api/device/enrol", body).await.status })
    });
    let mut enrolled = 0;
    for request in requests.collect::<Vec<_>>() {
        enrolled += u32::from(request.await.unwrap() == 200);
    }
    assert_eq!(enrolled, 3);
    assert_eq!(uses_left(&maria).await, 0);
}

/// Each bad token is refused with what to do; only a holder of a real one learns more than that it is bad.
#[tokio::test]
async fn bad_tokens_are_refused() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let device = Device::new(1);
    let refusal = async |token: &str| {
        server.visitor().post("/api/device/enrol", device.enrolment(token, "Edge")).await.problem(403)
    };
    let (id, token) = maria.join_token(1).await;
    let unknown = refusal("nonsense").await;
    assert!(unknown.contains("make a new one"), "{unknown}");
    // The id alone, which the list shows, is worth nothing and tells nothing.
    assert_eq!(refusal(&format!("{id}.guess")).await, unknown);
    maria.delete(&format!("/api/tenants/acme/join-tokens/{id}")).await;
    assert_eq!(refusal(&token).await, unknown);
}

/// A signature by another key is not possession of this one, whatever the token.
#[tokio::test]
async fn enrolment_needs_the_key_itself() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (_, token) = maria.join_token(1).await;
    let mut stolen = Device::new(1).enrolment(&token, "Edge");
    stolen["signature"] = Device::new(2).enrolment(&token, "Edge")["signature"].clone();
    assert!(server.visitor().post("/api/device/enrol", stolen).await.problem(403).contains("signature"));
    let mut broken = Device::new(1).enrolment(&token, "Edge");
    broken["public_key"] = json!("AAAA");
    assert!(server.visitor().post("/api/device/enrol", broken).await.problem(400).contains("32 bytes"));
    // The neutral element: signatures by it fit any text.
    let mut weak = Device::new(1).enrolment(&token, "Edge");
    weak["public_key"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(server.visitor().post("/api/device/enrol", weak).await.problem(400).contains("Ed25519"));
    assert_eq!(uses_left(&maria).await, 1);
}

/// A device trades its signature for a ticket; a recording of it is worth nothing.
#[tokio::test]
async fn a_session_request_is_good_once() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let device = Device::new(1);
    let id =
        enrol(&server, &device, &maria.join_token(1).await.1).await["device"].as_str().unwrap().to_owned();
    let visitor = server.visitor();
    let request = device.session(&id, now(), [7; 16]);
    let session = visitor.post("/api/device/session", request.clone()).await.json();
    assert_eq!(session["realm"], realm::CONTROL);
    assert_eq!(session["wamp_url"], "ws://10.77.0.1:8081/ws");
    assert!(!session["ticket"].as_str().unwrap().is_empty());
    assert!(visitor.post("/api/device/session", request).await.problem(409).contains("new nonce"));
    let next = device.session(&id, now(), [8; 16]);
    assert_eq!(visitor.post("/api/device/session", next).await.status, 200);
}

/// Small devices have wrong clocks: the refusal must show both times.
#[tokio::test]
async fn a_wrong_clock_is_told_with_both_times() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let device = Device::new(1);
    let id =
        enrol(&server, &device, &maria.join_token(1).await.1).await["device"].as_str().unwrap().to_owned();
    let visitor = server.visitor();
    for at in [0, now() - CLOCK_TOLERANCE_MS - 60_000, now() + CLOCK_TOLERANCE_MS + 60_000, u64::MAX] {
        let refused =
            visitor.post("/api/device/session", device.session(&id, at, [1; 16])).await.problem(403);
        assert!(refused.contains("15 minutes") && refused.matches("GMT").count() == 2, "{refused}");
    }
    let late = device.session(&id, now() - CLOCK_TOLERANCE_MS + 60_000, [1; 16]);
    assert_eq!(visitor.post("/api/device/session", late).await.status, 200);
}

/// An unknown device and a wrong key look the same, so device ids cannot be tried out.
#[tokio::test]
async fn a_session_needs_the_enrolled_key() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let device = Device::new(1);
    let id =
        enrol(&server, &device, &maria.join_token(1).await.1).await["device"].as_str().unwrap().to_owned();
    let visitor = server.visitor();
    let thief = Device::new(2);
    let wrong = visitor.post("/api/device/session", thief.session(&id, now(), [1; 16])).await.problem(403);
    let unknown =
        visitor.post("/api/device/session", thief.session("edge-x", now(), [1; 16])).await.problem(403);
    assert_eq!(wrong.replace(&id, "edge-x"), unknown);
    let mut short = device.session(&id, now(), [1; 16]);
    short["nonce"] = json!("AAAA");
    assert!(visitor.post("/api/device/session", short).await.problem(400).contains("16 bytes"));
}

/// A device that was removed gets no session; with a new token it may come back, as a new device.
#[tokio::test]
async fn a_removed_device_is_out() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let device = Device::new(1);
    let id =
        enrol(&server, &device, &maria.join_token(1).await.1).await["device"].as_str().unwrap().to_owned();
    let path = format!("/api/tenants/acme/devices/{id}");
    assert_eq!(maria.delete(&path).await.status, 204);
    let refused = server.visitor().post("/api/device/session", device.session(&id, now(), [1; 16])).await;
    assert!(refused.problem(403).contains("enrol it again"));
    maria.delete(&path).await.problem(404);
    let again = enrol(&server, &device, &maria.join_token(1).await.1).await;
    assert_ne!(again["device"], id.as_str());
}

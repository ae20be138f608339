//! Invitations.

use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, Person, Server};

const INVITATIONS: &str = "/api/tenants/acme/invitations";
const VERA: &str = "vera@example.org";

async fn invite(owner: &Person, email: &str) -> Value {
    let made = owner.post(INVITATIONS, json!({ "email": email, "role": "operator" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

async fn accept(person: &Person, invitation: &Value, password: Option<&str>) -> Answer {
    let body = match password {
        Some(password) => json!({ "secret": invitation["secret"], "password": password }),
        None => json!({ "secret": invitation["secret"] }),
    };
    person.post("/api/invitations/accept", body).await
}

/// Somebody without an account gets from the link to a login in the tenant, once; the secret is shown once.
#[tokio::test]
async fn an_invitation_makes_an_account_and_a_member() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let made = invite(&maria, " Vera@Example.org ").await;
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(made["link"], format!("/#/invitation/{secret}"));
    let list = maria.get(INVITATIONS).await;
    assert_eq!((&list.json()[0]["email"], &list.json()[0]["role"]), (&json!(VERA), &json!("operator")));
    assert!(!list.text.contains(secret));
    let mut vera = server.visitor();
    let offer = vera.post("/api/invitations/show", json!({ "secret": secret })).await.json();
    assert_eq!((&offer["tenant_name"], &offer["email"]), (&json!("Acme"), &json!(VERA)));
    assert!(accept(&vera, &made, Some("short")).await.problem(400).contains("12 or more"));
    assert!(accept(&vera, &made, Some(VERA)).await.problem(400).contains("e-mail address"));
    let accepted = accept(&vera, &made, Some(PASSWORD)).await;
    assert_eq!(accepted.json(), json!({ "tenant": "acme", "tenant_name": "Acme", "role": "operator" }));
    vera.login(VERA, PASSWORD).await;
    assert_eq!(vera.get("/api/session").await.json()["memberships"][0]["role"], "operator");
    accept(&server.visitor(), &made, Some(PASSWORD)).await.problem(404);
    assert_eq!(maria.get(INVITATIONS).await.json(), json!([]));
}

/// Somebody with an account accepts by being logged in, or by the account's own password; nobody else does.
#[tokio::test]
async fn an_account_accepts_by_its_login_or_its_password() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let vera = server.add_person(&maria, VERA, json!([])).await;
    let other = server.add_person(&maria, "other@example.org", json!([])).await;
    let made = invite(&maria, VERA).await;
    accept(&server.visitor(), &made, None).await.problem(401);
    assert!(accept(&other, &made, None).await.problem(403).contains(VERA));
    accept(&server.visitor(), &made, Some("wrong horse battery")).await.problem(401);
    assert_eq!(accept(&vera, &made, None).await.status, 200);
    let made = invite(&maria, "other@example.org").await;
    assert_eq!(accept(&server.visitor(), &made, Some(PASSWORD)).await.status, 200);
    let again = maria.post(INVITATIONS, json!({ "email": VERA, "role": "owner" })).await;
    assert!(again.problem(409).contains("member of this tenant already"));
}

/// Neither an invitation nor the look at it may tell whether its address has an account.
#[tokio::test]
async fn an_invitation_does_not_tell_who_has_an_account() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    server.add_person(&maria, VERA, json!([])).await;
    let mut seen = Vec::new();
    for email in [VERA, "nobody@example.org"] {
        let made = invite(&maria, email).await;
        let offer =
            server.visitor().post("/api/invitations/show", json!({ "secret": made["secret"] })).await.json();
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        seen.push((names(&made), names(&offer), offer["role"].clone()));
    }
    assert_eq!(seen[0], seen[1]);
}

/// What is not the secret opens nothing; what was withdrawn, replaced or is of another tenant neither.
#[tokio::test]
async fn only_a_waiting_invitation_is_good() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let visitor = server.visitor();
    let made = invite(&maria, VERA).await;
    let id = made["id"].as_str().unwrap();
    for wrong in ["", "x", id, &format!("{id}.guess")] {
        visitor.post("/api/invitations/show", json!({ "secret": wrong })).await.problem(404);
        accept(&visitor, &json!({ "secret": wrong }), Some(PASSWORD)).await.problem(404);
    }
    let newer = invite(&maria, VERA).await;
    accept(&visitor, &made, Some(PASSWORD)).await.problem(404);
    let id = newer["id"].as_str().unwrap();
    maria.delete(&format!("/api/tenants/globex/invitations/{id}")).await.problem(404);
    assert_eq!(maria.delete(&format!("{INVITATIONS}/{id}")).await.status, 204);
    accept(&visitor, &newer, Some(PASSWORD)).await.problem(404);
    maria.delete(&format!("{INVITATIONS}/{id}")).await.problem(404);
    for (body, hint) in [
        (json!({ "email": "vera", "role": "viewer" }), "maria@example.org"),
        (json!({ "email": VERA, "role": "device" }), "owner, operator or viewer"),
        (json!({ "email": VERA, "role": "viewer", "valid_seconds": 59 }), "60 to 2592000"),
    ] {
        assert!(maria.post(INVITATIONS, body).await.problem(400).contains(hint));
    }
}

/// One tenant cannot fill the store.
#[tokio::test]
async fn the_number_of_invitations_is_bounded() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for number in 0..100 {
        invite(&maria, &format!("p{number}@example.org")).await;
    }
    let one_more = maria.post(INVITATIONS, json!({ "email": VERA, "role": "viewer" })).await;
    assert!(one_more.problem(429).contains("Withdraw some"));
    invite(&maria, "p7@example.org").await;
}

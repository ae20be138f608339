//! Accounts, tenants, and what one tenant's people must not reach of another's.

use reqwest::Method;
use serde_json::json;

use crate::support::{PASSWORD, Server};

/// An administrator makes accounts; each sees its own tenants and role.
#[tokio::test]
async fn an_administrator_makes_accounts_and_tenants() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let made = maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json(), json!({ "tenant": "globex", "tenant_name": "Globex", "role": "owner" }));
    let wanted = json!([{ "tenant": "globex", "role": "viewer" }]);
    let vera = server.add_person(&maria, "vera@example.org", wanted).await;
    let session = vera.get("/api/session").await.json();
    assert_eq!(session["admin"], false);
    assert_eq!(
        session["memberships"],
        json!([{ "tenant": "globex", "tenant_name": "Globex", "role": "viewer" }])
    );
}

/// What is taken, missing or out of range is refused with a sentence, and leaves nothing behind.
#[tokio::test]
async fn what_cannot_be_made_is_refused() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let account = |email: &str, memberships| json!({ "email": email, "password": PASSWORD, "memberships": memberships });
    let taken = maria.post("/api/tenants", json!({ "slug": "acme", "name": "Other" })).await.problem(409);
    assert!(taken.contains("acme"), "{taken}");
    let taken = maria.post("/api/accounts", account("MARIA@example.org", json!([]))).await.problem(409);
    assert!(taken.contains("maria@example.org"), "{taken}");
    let missing = account("new@example.org", json!([{ "tenant": "nowhere", "role": "viewer" }]));
    assert!(maria.post("/api/accounts", missing).await.problem(409).contains("nowhere"));
    let wrong = account("new@example.org", json!([{ "tenant": "acme", "role": "device" }]));
    assert!(maria.post("/api/accounts", wrong).await.problem(400).contains("owner, operator or viewer"));
    let short = json!({ "email": "new@example.org", "password": "short", "memberships": [] });
    maria.post("/api/accounts", short).await.problem(400);
    assert_eq!(maria.post("/api/accounts", account("new@example.org", json!([]))).await.status, 201);
}

/// Everything of a tenant, tried by somebody of another, by a member who is no owner, and by nobody: no way in.
#[tokio::test]
async fn only_owners_reach_a_tenants_tokens_and_devices() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let stranger = json!([{ "tenant": "globex", "role": "owner" }]);
    let stranger = server.add_person(&maria, "stranger@example.org", stranger).await;
    let operator = json!([{ "tenant": "acme", "role": "operator" }]);
    let operator = server.add_person(&maria, "operator@example.org", operator).await;
    let (token, _) = maria.join_token(1).await;
    let api = json!({ "name": "grafana", "role": "telemetry", "valid_seconds": 600 });
    let api = maria.post("/api/tenants/acme/api-tokens", api).await.json()["id"].as_str().unwrap().to_owned();

    let new_join = json!({ "uses": 1, "valid_seconds": 600 });
    let new_api = json!({ "name": "x", "role": "viewer", "valid_seconds": 600 });
    let all = [
        (Method::GET, "/api/tenants/acme/join-tokens".to_owned(), None),
        (Method::POST, "/api/tenants/acme/join-tokens".to_owned(), Some(new_join)),
        (Method::DELETE, format!("/api/tenants/acme/join-tokens/{token}"), None),
        (Method::GET, "/api/tenants/acme/api-tokens".to_owned(), None),
        (Method::POST, "/api/tenants/acme/api-tokens".to_owned(), Some(new_api)),
        (Method::DELETE, format!("/api/tenants/acme/api-tokens/{api}"), None),
        (Method::DELETE, "/api/tenants/acme/devices/edge-1".to_owned(), None),
    ];
    for (method, path, body) in all {
        stranger.send(method.clone(), &path, body.clone()).await.problem(404);
        operator.send(method.clone(), &path, body.clone()).await.problem(403);
        server.visitor().send(method.clone(), &path, body).await.problem(401);
    }
    // Another tenant's token by its id under one's own tenant.
    stranger.delete(&format!("/api/tenants/globex/join-tokens/{token}")).await.problem(404);
    stranger.delete(&format!("/api/tenants/globex/api-tokens/{api}")).await.problem(404);
    // A tenant that does not exist looks like one that is somebody else's.
    let nowhere = stranger.get("/api/tenants/nowhere/join-tokens").await.problem(404);
    assert_eq!(nowhere, stranger.get("/api/tenants/acme/join-tokens").await.problem(404));
    assert_eq!(maria.get("/api/tenants/acme/join-tokens").await.json().as_array().unwrap().len(), 1);
}

/// Only members get a ticket of a tenant's realm; only administrators make accounts and tenants.
#[tokio::test]
async fn tickets_are_for_members_and_making_is_for_administrators() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let ticket = maria.post("/api/wamp-ticket", json!({ "tenant": "acme" })).await.json();
    assert_eq!(ticket["realm"], ecep_proto::api::realm::of_tenant(&"acme".parse().unwrap()));
    assert_eq!(ticket["wamp_url"], "ws://127.0.0.1:8081/ws");
    assert!(ticket["authid"].as_str().unwrap().starts_with("maria-"), "{ticket}");

    let stranger = server.add_person(&maria, "stranger@example.org", json!([])).await;
    assert!(
        stranger.post("/api/wamp-ticket", json!({ "tenant": "acme" })).await.problem(403).contains("acme")
    );
    stranger.post("/api/wamp-ticket", json!({ "tenant": "nowhere" })).await.problem(403);
    stranger.post("/api/tenants", json!({ "slug": "mine", "name": "Mine" })).await.problem(403);
    let account = json!({ "email": "x@example.org", "password": PASSWORD, "memberships": [] });
    stranger.post("/api/accounts", account.clone()).await.problem(403);
    server.visitor().post("/api/accounts", account).await.problem(401);
    server.visitor().post("/api/wamp-ticket", json!({ "tenant": "acme" })).await.problem(401);
}

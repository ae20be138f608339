//! What an administrator does about accounts and tenants.

use serde_json::json;

use crate::support::{Device, EMAIL, PASSWORD, Server};

/// A disabled account is out at once and cannot log in, without that being told; enabled again it can.
#[tokio::test]
async fn a_disabled_account_is_out() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let vera = json!([{ "tenant": "acme", "role": "owner" }]);
    let mut vera = server.add_person(&maria, "vera@example.org", vera).await;
    let accounts = maria.get("/api/accounts").await.json();
    let accounts = accounts["accounts"].as_array().unwrap();
    let of = |email: &str| {
        let account = accounts.iter().find(|account| account["email"] == email).unwrap();
        format!("/api/accounts/{}", account["id"].as_str().unwrap())
    };
    let path = of("vera@example.org");
    assert_eq!(maria.patch(&path, json!({ "disabled": true })).await.status, 204);
    vera.get("/api/session").await.problem(401);
    let right = json!({ "email": "vera@example.org", "password": PASSWORD });
    let wrong = json!({ "email": EMAIL, "password": "wrong horse battery" });
    let refused = server.visitor().post("/api/login", right).await.problem(401);
    assert_eq!(refused, server.visitor().post("/api/login", wrong).await.problem(401));
    // Whoever cannot log in is no owner to rely on.
    maria.post("/api/tenants/acme/leave", json!({})).await.problem(409);
    assert_eq!(maria.patch(&path, json!({ "disabled": false })).await.status, 204);
    vera.get("/api/session").await.problem(401);
    vera.login("vera@example.org", PASSWORD).await;
    maria.patch("/api/accounts/nobody", json!({ "disabled": true })).await.problem(404);
    assert!(maria.patch(&of(EMAIL), json!({ "disabled": true })).await.problem(409).contains("your own"));
}

/// A tenant's name can be changed; its slug, by which everything is known, stays.
#[tokio::test]
async fn a_tenant_is_renamed() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    assert_eq!(maria.patch("/api/tenants/acme", json!({ "name": "Acme & Sons" })).await.status, 204);
    assert_eq!(
        maria.get("/api/tenants/acme").await.json(),
        json!({ "slug": "acme", "name": "Acme & Sons", "role": "owner" })
    );
    assert_eq!(maria.get("/api/tenants").await.json()["tenants"][0]["name"], "Acme & Sons");
    maria.patch("/api/tenants/acme", json!({ "name": "" })).await.problem(400);
    maria.patch("/api/tenants/nowhere", json!({ "name": "x" })).await.problem(404);
}

/// A tenant is deleted when it is empty and its slug was typed; nothing of it is left, and nobody gets its slug again.
#[tokio::test]
async fn an_empty_tenant_is_deleted_for_good() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let token = maria.api_token("acme", "viewer").await.1;
    let secret =
        maria.post("/api/tenants/acme/invitations", json!({ "email": "a@b", "role": "viewer" })).await;
    let secret = secret.json()["secret"].clone();
    let (_, join) = maria.join_token(2).await;
    let enrolled = server.visitor().post("/api/device/enrol", Device::new(1).enrolment(&join, "Edge")).await;
    let device = enrolled.json()["device"].as_str().unwrap().to_owned();

    let delete = async |confirm: &str| {
        maria.send(reqwest::Method::DELETE, "/api/tenants/acme", Some(json!({ "confirm": confirm }))).await
    };
    assert!(delete("Acme").await.problem(400).contains("acme"));
    assert!(delete("acme").await.problem(409).contains("remove them"));
    assert_eq!(maria.delete(&format!("/api/tenants/acme/devices/{device}")).await.status, 204);
    assert_eq!(delete("acme").await.status, 204);
    delete("acme").await.problem(404);

    maria.get("/api/tenants/acme").await.problem(404);
    assert_eq!(maria.get("/api/tenants").await.json()["tenants"], json!([]));
    assert_eq!(maria.get("/api/session").await.json()["memberships"], json!([]));
    maria.post("/api/wamp-ticket", json!({ "tenant": "acme" })).await.problem(403);
    server.visitor().post("/api/invitations/show", json!({ "secret": secret })).await.problem(404);
    server.visitor().post("/api/device/enrol", Device::new(2).enrolment(&join, "Edge")).await.problem(403);
    crate::support::bearer(&server, reqwest::Method::GET, "/api/tenants/acme", &token).await.problem(401);
    let again = maria.post("/api/tenants", json!({ "slug": "acme", "name": "Acme" })).await;
    assert!(again.problem(409).contains("another slug"));
    let member = json!({ "email": "x@example.org", "password": PASSWORD, "memberships": [{ "tenant": "acme", "role": "viewer" }] });
    maria.post("/api/accounts", member).await.problem(409);
}

//! Access that ends must end at once, also in a session that is open at the router, and say why.

use ecep_proto::api::{DeviceList, Procedure, realm};
use reqwest::Method;
use serde_json::json;

use crate::{
    join, joined, platform,
    support::{
        PASSWORD, Person, Server,
        router::TestRouter,
        wamp::{Refused, Session},
    },
    ticket,
};

/// A platform with somebody more in the tenant, who has joined it.
async fn with_vera(role: &str) -> (TestRouter, Server, Person, Person, Session) {
    let (router, server, maria) = platform().await;
    let membership = json!([{ "tenant": "acme", "role": role }]);
    let vera = server.add_person(&maria, "vera@example.org", membership).await;
    let session = join(&router, &ticket(&vera, "acme").await).await.unwrap();
    (router, server, maria, vera, session)
}

fn assert_killed(end: &Refused, why: &str) {
    assert!(end.uri.ends_with("killed") && end.message.contains(why), "{end:?}");
}

/// A member whose role changes goes on with the new one only; tickets for the old one open nothing, and others stay.
#[tokio::test]
async fn a_role_change_ends_the_members_sessions() {
    let (router, _server, maria, vera, mut session) = with_vera("owner").await;
    let mut stays = join(&router, &ticket(&maria, "acme").await).await.unwrap();
    let unused = ticket(&vera, "acme").await;
    let path = format!("/api/tenants/acme/members/{}", vera.account("acme").await);
    assert_eq!(maria.patch(&path, json!({ "role": "viewer" })).await.status, 204);
    assert_killed(&session.ended().await, "role in this tenant is viewer");
    assert!(join(&router, &unused).await.is_err());
    assert_eq!(join(&router, &ticket(&vera, "acme").await).await.unwrap().role, "viewer");
    stays.call(DeviceList::URI, json!({})).await.unwrap();
}

/// A member who is removed is out of that tenant, and of no other.
#[tokio::test]
async fn a_removal_ends_the_members_sessions() {
    let (router, server, maria, vera, mut session) = with_vera("operator").await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    joined(&server).await;
    let invitation = json!({ "email": "vera@example.org", "role": "viewer" });
    let invitation = maria.post("/api/tenants/globex/invitations", invitation).await.json();
    vera.post("/api/invitations/accept", json!({ "secret": invitation["secret"] })).await;
    let mut elsewhere = join(&router, &ticket(&vera, "globex").await).await.unwrap();
    let path = format!("/api/tenants/acme/members/{}", vera.account("acme").await);
    assert_eq!(maria.delete(&path).await.status, 204);
    assert_killed(&session.ended().await, "removed from this tenant");
    elsewhere.call(DeviceList::URI, json!({})).await.unwrap();
}

/// Who leaves is out, too.
#[tokio::test]
async fn leaving_ends_the_sessions() {
    let (_router, _server, _maria, vera, mut session) = with_vera("operator").await;
    assert_eq!(vera.post("/api/tenants/acme/leave", json!({})).await.status, 204);
    assert_killed(&session.ended().await, "left this tenant");
}

/// A thief who joined by the old password must not stay.
#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let (router, _server, _maria, vera, mut session) = with_vera("operator").await;
    let change = json!({ "current": PASSWORD, "new": "another horse entirely" });
    assert_eq!(vera.post("/api/account/password", change).await.status, 204);
    assert_killed(&session.ended().await, "password of this account was changed");
    join(&router, &ticket(&vera, "acme").await).await.unwrap();
}

/// A login that is ended from another browser ends what it has open at the router.
#[tokio::test]
async fn ending_a_login_ends_the_sessions() {
    let (_router, server, _maria, vera, mut session) = with_vera("operator").await;
    let mut phone = server.visitor();
    phone.login("vera@example.org", PASSWORD).await;
    assert_eq!(phone.delete("/api/account/logins").await.status, 204);
    assert_killed(&session.ended().await, "other logins");
    vera.get("/api/session").await.problem(401);
}

/// A disabled account is out everywhere, and its ticket opens nothing.
#[tokio::test]
async fn disabling_an_account_ends_its_sessions() {
    let (router, _server, maria, vera, mut session) = with_vera("operator").await;
    let unused = ticket(&vera, "acme").await;
    let path = format!("/api/accounts/{}", vera.account("acme").await);
    assert_eq!(maria.patch(&path, json!({ "disabled": true })).await.status, 204);
    assert_killed(&session.ended().await, "account was disabled");
    assert!(join(&router, &unused).await.is_err());
}

/// Of a tenant that is deleted nobody is left in its realm, neither people nor programs, and nobody comes in.
#[tokio::test]
async fn deleting_a_tenant_ends_its_sessions() {
    let (router, server, maria, vera, mut session) = with_vera("viewer").await;
    let (id, token) = maria.api_token("acme", "viewer").await;
    let secret = token.split_once('.').unwrap().1;
    let acme = realm::of_tenant(&"acme".parse().unwrap());
    let mut program = Session::join(&router.url(), &acme, &id, secret).await.unwrap();
    let unused = ticket(&vera, "acme").await;
    let body = Some(json!({ "confirm": "acme" }));
    assert_eq!(maria.send(Method::DELETE, "/api/tenants/acme", body).await.status, 204);
    assert_killed(&session.ended().await, "tenant was deleted");
    assert_killed(&program.ended().await, "tenant was deleted");
    assert!(join(&router, &unused).await.is_err());
    assert!(Session::join(&router.url(), &acme, &id, secret).await.is_err());
    joined(&server).await;
}

/// The list of API tokens shows a use over WAMP, with the program's address.
#[tokio::test]
async fn a_use_of_an_api_token_over_wamp_is_shown() {
    let (router, _server, maria) = platform().await;
    let (id, token) = maria.api_token("acme", "telemetry").await;
    let acme = realm::of_tenant(&"acme".parse().unwrap());
    Session::join(&router.url(), &acme, &id, token.split_once('.').unwrap().1).await.unwrap();
    let used = &maria.get("/api/tenants/acme/api-tokens").await.json()[0]["last_used"];
    assert_eq!(used["address"], "127.0.0.1");
}

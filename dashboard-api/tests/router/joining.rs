//! Who may join which realm, asked through the router.

use ecep_dashboard_api::{
    secret::SecretHash,
    store::{ApiToken, JoinToken},
};
use ecep_proto::api::{DeviceList, Procedure, realm, roles::Role};
use serde_json::json;

use crate::{
    join, joined, platform,
    support::{
        Device, Server, device::until, line::Line, now, open_store, router::TestRouter, wamp::Session,
    },
    ticket,
};

fn acme() -> String {
    realm::of_tenant(&"acme".parse().unwrap())
}

/// A browser joins in its person's role, once for each ticket.
#[tokio::test]
async fn a_browsers_ticket_opens_its_realm_once() {
    let (router, server, maria) = platform().await;
    let first = ticket(&maria, "acme").await;
    let mut session = join(&router, &first).await.unwrap();
    assert_eq!(session.role, "owner");
    let list = session.call(DeviceList::URI, json!({})).await.unwrap();
    assert_eq!(list["devices"], json!([]));
    let again = join(&router, &first).await.err().unwrap();
    assert!(again.message.contains("used already"), "{again:?}");

    let viewer = json!([{ "tenant": "acme", "role": "viewer" }]);
    let vera = server.add_person(&maria, "vera@example.org", viewer).await;
    assert_eq!(join(&router, &ticket(&vera, "acme").await).await.unwrap().role, "viewer");
}

/// A ticket of one realm or person opens no other, and a made-up one none.
#[tokio::test]
async fn a_ticket_opens_nothing_else() {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    joined(&server).await;
    let of_globex = realm::of_tenant(&"globex".parse().unwrap());
    for (key, value) in [
        ("realm", of_globex.as_str()),
        ("realm", realm::CONTROL),
        ("authid", "somebody"),
        ("ticket", "made-up"),
        ("realm", "ecep-nowhere"),
    ] {
        let mut forged = ticket(&maria, "acme").await;
        forged[key] = json!(value);
        assert!(join(&router, &forged).await.is_err(), "{key} {value}");
    }
    let nowhere = realm::of_tenant(&"nowhere".parse().unwrap());
    let refused = Session::join(&router.url(), &nowhere, "x", "y").await.err().unwrap();
    assert!(refused.message.contains("realm"), "{refused:?}");
}

/// A program joins with an API token as often as it likes, in the token's role, until the token is deleted.
#[tokio::test]
async fn an_api_token_opens_its_realm_until_it_is_deleted() {
    let (router, _server, maria) = platform().await;
    let wanted = json!({ "name": "Grafana", "role": "telemetry", "valid_seconds": 600 });
    let token = maria.post("/api/tenants/acme/api-tokens", wanted).await.json();
    let (id, secret) = (token["id"].as_str().unwrap(), token["secret"].as_str().unwrap());
    for _ in 0..2 {
        let mut session = Session::join(&router.url(), &acme(), id, secret).await.unwrap();
        assert_eq!(session.role, "telemetry");
        let refused = session.call(DeviceList::URI, json!({})).await.unwrap_err();
        assert!(refused.uri.contains("not_authorized"), "telemetry calls nothing: {refused:?}");
    }
    assert!(Session::join(&router.url(), &acme(), id, "guess").await.is_err());
    assert!(Session::join(&router.url(), realm::CONTROL, id, secret).await.is_err());
    maria.delete(&format!("/api/tenants/acme/api-tokens/{id}")).await;
    let refused = Session::join(&router.url(), &acme(), id, secret).await.err().unwrap();
    assert!(refused.message.contains("revoked"), "{refused:?}");
}

/// A deleted API token must not go on working in the program that holds it; other programs are left alone.
#[tokio::test]
async fn deleting_an_api_token_ends_its_sessions() {
    let (router, _server, maria) = platform().await;
    let mut tokens = Vec::new();
    for name in ["leaked", "other"] {
        let wanted = json!({ "name": name, "role": "viewer", "valid_seconds": 600 });
        tokens.push(maria.post("/api/tenants/acme/api-tokens", wanted).await.json());
    }
    let text = |token: &serde_json::Value, key: &str| token[key].as_str().unwrap().to_owned();
    let join_by = async |token| {
        Session::join(&router.url(), &acme(), &text(token, "id"), &text(token, "secret")).await.unwrap()
    };
    let (mut leaked, mut again) = (join_by(&tokens[0]).await, join_by(&tokens[0]).await);
    let mut other = join_by(&tokens[1]).await;
    maria.delete(&format!("/api/tenants/acme/api-tokens/{}", text(&tokens[0], "id"))).await;
    for session in [&mut leaked, &mut again] {
        let end = session.ended().await;
        assert!(end.uri.ends_with("killed") && end.message.contains("was deleted"), "{end:?}");
    }
    other.call(DeviceList::URI, json!({})).await.unwrap();
}

/// An API token that expires must not go on working in a session that it opened before.
#[tokio::test]
async fn an_expired_api_token_ends_its_sessions() {
    let (router, server, _maria) = platform().await;
    let folder = server.stop().await;
    let store = open_store(&folder).await;
    // The first that is still good when it can be used: a slow machine starts slowly.
    let mut tokens = [8, 16, 40]
        .map(|seconds| ApiToken {
            id: format!("for-{seconds}"),
            tenant: "acme".parse().unwrap(),
            name: "brief".to_owned(),
            role: Role::Viewer,
            secret: SecretHash::of("secret"),
            expires_at: now() + seconds * 1_000,
            made_by: None,
            last_used: None,
        })
        .into_iter();
    for token in tokens.as_slice() {
        store.add_api_token(token).await.unwrap();
    }
    drop(store);
    let server = Server::start_in(folder, &router.url(), None).await;
    joined(&server).await;
    let token = tokens.find(|token| token.expires_at > now() + 5_000).expect("it starts in time");
    let mut session = Session::join(&router.url(), &acme(), &token.id, "secret").await.unwrap();
    let end = session.ended().await;
    assert!(now() >= token.expires_at, "ended before its time");
    assert!(end.message.contains("no longer valid"), "{end:?}");
    let refused = Session::join(&router.url(), &acme(), &token.id, "secret").await.err().unwrap();
    assert!(refused.message.contains("expired on"), "{refused:?}");
}

/// Whoever logs out leaves nothing open behind them: neither a session, nor a ticket for one. Another person stays.
#[tokio::test]
async fn logging_out_ends_the_sessions() {
    let (router, server, maria) = platform().await;
    let viewer = json!([{ "tenant": "acme", "role": "viewer" }]);
    let vera = server.add_person(&maria, "vera@example.org", viewer).await;
    let mut stays = join(&router, &ticket(&maria, "acme").await).await.unwrap();
    let mut goes = join(&router, &ticket(&vera, "acme").await).await.unwrap();
    let unused = ticket(&vera, "acme").await;
    assert_eq!(vera.post("/api/logout", json!({})).await.status, 204);
    let end = goes.ended().await;
    assert!(end.uri.ends_with("killed") && end.message.contains("login has ended"), "{end:?}");
    assert!(join(&router, &unused).await.is_err());
    stays.call(DeviceList::URI, json!({})).await.unwrap();
}

/// Access that ends while the router is out of reach must end there too, as soon as it is back.
#[tokio::test]
async fn sessions_are_ended_once_the_router_can_be_reached() {
    let router = TestRouter::start().await;
    let line = Line::to(router.address).await;
    let server = Server::start_with(&format!("ws://{}/", line.address), None).await;
    let maria = server.set_up().await;
    joined(&server).await;
    let wanted = json!({ "name": "leaked", "role": "viewer", "valid_seconds": 600 });
    let token = maria.post("/api/tenants/acme/api-tokens", wanted).await.json();
    let (id, secret) = (token["id"].as_str().unwrap(), token["secret"].as_str().unwrap());
    let mut leaked = Session::join(&router.url(), &acme(), id, secret).await.unwrap();
    line.cut();
    until("the control plane to lose the router", async || {
        (server.visitor().get("/healthz").await.json()["router"] != "joined").then_some(())
    })
    .await;
    assert_eq!(maria.delete(&format!("/api/tenants/acme/api-tokens/{id}")).await.status, 204);
    line.mend();
    leaked.ended().await;
}

/// What has expired is refused, and whoever holds the real thing is told when and what to do.
#[tokio::test]
async fn expired_tokens_are_refused_with_their_end() {
    let (router, server, _maria) = platform().await;
    let folder = server.stop().await;
    let store = open_store(&folder).await;
    let hour_ago = now() - 3_600_000;
    let tenant: ecep_proto::api::name::TenantSlug = "acme".parse().unwrap();
    let api = ApiToken {
        id: "old-api".to_owned(),
        tenant: tenant.clone(),
        name: "old".to_owned(),
        role: Role::Viewer,
        secret: SecretHash::of("api-secret"),
        expires_at: hour_ago,
        made_by: None,
        last_used: None,
    };
    store.add_api_token(&api).await.unwrap();
    let join_token = JoinToken {
        id: "old-join".to_owned(),
        tenant,
        secret: SecretHash::of("old-join.secret"),
        uses_left: 1,
        expires_at: hour_ago,
        device: None,
    };
    let maria = store.accounts("", 1).unwrap().0.remove(0);
    store.add_join_token(&join_token, &maria.id).await.unwrap();
    drop(store);
    let server = Server::start_in(folder, &router.url(), None).await;
    joined(&server).await;

    let refused = Session::join(&router.url(), &acme(), "old-api", "api-secret").await.err().unwrap();
    assert!(refused.message.contains("expired on") && refused.message.contains("new one"), "{refused:?}");
    let guessed = Session::join(&router.url(), &acme(), "old-api", "guess").await.err().unwrap();
    assert!(!guessed.message.contains("expired on"), "{guessed:?}");
    let enrolment = Device::new(1).enrolment("old-join.secret", "Edge");
    let refused = server.visitor().post("/api/device/enrol", enrolment).await.problem(403);
    assert!(refused.contains("expired on") && refused.contains("new one"), "{refused}");
}

/// The router comes back empty: every realm must be served again, and people can join again.
#[tokio::test]
async fn everything_is_registered_again_after_the_router_restarts() {
    let (router, server, maria) = platform().await;
    join(&router, &ticket(&maria, "acme").await).await.unwrap();
    let router = router.restart().await;
    let deadline = std::time::Instant::now() + crate::support::wamp::PATIENCE;
    loop {
        // Refused as long as the control plane is not back on the control realm; then on the tenant's.
        if let Ok(mut session) = join(&router, &ticket(&maria, "acme").await).await
            && session.call(DeviceList::URI, json!({})).await.is_ok()
        {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "not served again in time");
    }
    joined(&server).await;
}

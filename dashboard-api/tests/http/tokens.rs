//! Join tokens and API tokens.

use reqwest::Method;
use serde_json::json;

use crate::support::{Server, answer, bearer, client, now};

/// A secret is shown once, and never again in a list or on the disk.
#[tokio::test]
async fn secrets_are_shown_once_and_stored_hashed() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (join_id, join_secret) = maria.join_token(3).await;
    let api = json!({ "name": "Grafana", "role": "telemetry", "valid_seconds": 600 });
    let api = maria.post("/api/tenants/acme/api-tokens", api).await.json();
    let api_secret = api["secret"].as_str().unwrap();
    assert!(api["id"].as_str().unwrap().starts_with("grafana-"), "{api}");

    let joins = maria.get("/api/tenants/acme/join-tokens").await;
    assert_eq!(joins.json()[0]["id"], join_id.as_str());
    assert_eq!(joins.json()[0]["uses_left"], 3);
    let apis = maria.get("/api/tenants/acme/api-tokens").await;
    assert_eq!(apis.json()[0]["role"], "telemetry");
    assert_eq!(apis.json()[0]["name"], "Grafana");
    assert!(apis.json()[0]["uses_left"].is_null());
    assert!(apis.json()[0]["expires_at"].as_u64().unwrap() > now());
    assert!(!joins.text.contains(&join_secret) && !apis.text.contains(api_secret));

    let cookie = maria.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned();
    let folder = server.stop().await;
    let mut files = vec![folder.path().join("data")];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if !path.is_file() {
            // The socket holds nothing.
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        read += bytes.len();
        for secret in [join_secret.as_str(), api_secret, cookie.as_str(), crate::support::PASSWORD] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }
    assert!(read > 1_000, "the store was not found");
}

/// Ranges are as documented, and the sentence names them.
#[tokio::test]
async fn values_out_of_range_are_refused() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for (body, hint) in [
        (json!({ "uses": 0, "valid_seconds": 600 }), "1 to 1000"),
        (json!({ "uses": 1001, "valid_seconds": 600 }), "1 to 1000"),
        (json!({ "uses": 1, "valid_seconds": 59 }), "60 to 2592000"),
        (json!({ "uses": 1, "valid_seconds": 2_592_001 }), "60 to 2592000"),
    ] {
        let refused = maria.post("/api/tenants/acme/join-tokens", body.clone()).await.problem(400);
        assert!(refused.contains(hint), "{body}: {refused}");
    }
    for (body, hint) in [
        (json!({ "name": "x", "role": "owner", "valid_seconds": 600 }), "telemetry, viewer or operator"),
        (json!({ "name": "x", "role": "device", "valid_seconds": 600 }), "telemetry, viewer or operator"),
        (json!({ "name": "", "role": "viewer", "valid_seconds": 600 }), "1 to 80"),
        (json!({ "name": "x", "role": "viewer", "valid_seconds": 34_560_001 }), "34560000"),
    ] {
        let refused = maria.post("/api/tenants/acme/api-tokens", body.clone()).await.problem(400);
        assert!(refused.contains(hint), "{body}: {refused}");
    }
}

/// A deleted token is gone from the list, and deleting it again says so.
#[tokio::test]
async fn deleting_a_token_is_final() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (id, _) = maria.join_token(1).await;
    let path = format!("/api/tenants/acme/join-tokens/{id}");
    assert_eq!(maria.delete(&path).await.status, 204);
    assert_eq!(maria.get("/api/tenants/acme/join-tokens").await.json(), json!([]));
    assert!(maria.delete(&path).await.problem(404).contains("deleted already"));
}

/// One tenant cannot fill the store.
#[tokio::test]
async fn the_number_of_tokens_is_bounded() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    for _ in 0..200 {
        maria.join_token(1).await;
    }
    let body = json!({ "uses": 1, "valid_seconds": 600 });
    assert!(maria.post("/api/tenants/acme/join-tokens", body).await.problem(429).contains("Delete some"));
}

/// A program reads over HTTP with its token, needs no header against other sites, and its cookie is nothing beside it.
#[tokio::test]
async fn an_api_token_reads_over_http_until_it_is_revoked() {
    let server = Server::start().await;
    let maria = server.set_up().await;
    let (id, token) = maria.api_token("acme", "viewer").await;
    let unused = maria.get("/api/tenants/acme/api-tokens").await.json();
    assert!(unused[0]["last_used"].is_null() && unused[0]["made_by"].as_str().unwrap().starts_with("maria-"));
    let get = async |path: &str| bearer(&server, Method::GET, path, &token).await;
    assert_eq!(get("/api/tenants/acme").await.json()["role"], "viewer");
    let members = get("/api/tenants/acme/members").await.json();
    assert!(members["members"][0]["email"].is_null(), "{members}");
    let used = &maria.get("/api/tenants/acme/api-tokens").await.json()[0]["last_used"];
    assert_eq!(used["address"], "127.0.0.1");
    assert_eq!(used["at"].as_u64().unwrap() % 60_000, 0);

    let with_cookie = client()
        .get(format!("{}/api/tenants/acme/join-tokens", server.base))
        .header("authorization", format!("Bearer {token}"))
        .header("cookie", maria.cookie.as_ref().unwrap());
    answer(with_cookie).await.problem(403);
    for bad in ["", "x", &format!("{id}.guess"), &id] {
        let refused = bearer(&server, Method::GET, "/api/tenants/acme", bad).await;
        refused.problem(401);
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    // A proxy's own password is none of ours.
    let basic = client()
        .get(format!("{}/api/session", server.base))
        .header("authorization", "Basic eDp5")
        .header("cookie", maria.cookie.as_ref().unwrap());
    assert_eq!(answer(basic).await.status, 200);
    maria.delete(&format!("/api/tenants/acme/api-tokens/{id}")).await;
    get("/api/tenants/acme").await.problem(401);
}
